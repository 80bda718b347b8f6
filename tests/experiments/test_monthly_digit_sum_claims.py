"""Planted worlds for monthly-digit-sum: models and explanations for which its claims hold, fail,
and are made vacuous."""

from monthly_worlds import World, cases

from assay.experiments.monthly_digit_sum import experiment

WORLD = World(experiment)
CASES = cases(experiment)
