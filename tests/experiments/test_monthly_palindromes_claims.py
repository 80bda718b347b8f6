"""Planted worlds for monthly-palindromes: models and explanations for which its claims hold, fail,
and are made vacuous."""

from monthly_worlds import World, cases

from assay.experiments.monthly_palindromes import experiment

WORLD = World(experiment)
CASES = cases(experiment)
