"""Planted worlds for monthly-running-sum: models and explanations for which its claims hold, fail,
and are made vacuous."""

from monthly_worlds import World, cases

from assay.experiments.monthly_running_sum import experiment

WORLD = World(experiment)
CASES = cases(experiment)
