"""Planted worlds for monthly-first-unique: models and explanations for which its claims hold, fail,
and are made vacuous."""

from monthly_worlds import World, cases

from assay.experiments.monthly_first_unique import experiment

WORLD = World(experiment)
CASES = cases(experiment)
