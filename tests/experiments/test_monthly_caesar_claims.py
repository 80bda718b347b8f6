"""Planted worlds for monthly-caesar: models and explanations for which its claims hold, fail, and
are made vacuous."""

from monthly_worlds import World, cases

from assay.experiments.monthly_caesar import experiment

WORLD = World(experiment)
CASES = cases(experiment)
