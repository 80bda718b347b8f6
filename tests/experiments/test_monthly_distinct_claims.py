"""Planted worlds for monthly-distinct: models and explanations for which its claims hold, fail, and
are made vacuous."""

from monthly_worlds import World, cases

from assay.experiments.monthly_distinct import experiment

WORLD = World(experiment)
CASES = cases(experiment)
