"""Batches of prefixes, with exact targets."""

import numpy as np

from assay_catalogue.worlds.hidden_markov.batches import drawn_prefixes
from assay_catalogue.worlds.hidden_markov.process import rrxor


def test_targets_are_the_expectation_of_what_comes_next():
    """Over many sequences the shares of the tokens that came next are the filter's prediction,
    prefix by prefix."""
    tree = rrxor().tree(6)
    *_, weight, target = drawn_prefixes(tree, [7], 4000)(0)
    assert weight.sum() == 4000 * 6
    assert len(target[0]) == len(tree)  # all prefixes occur, so rows are the tree's
    came = np.zeros(target[0].shape)
    sequences = rrxor().sequences([8], 4000, 7)(0)[0]
    np.add.at(came, (tree.rows(sequences[:, :6]).ravel(), sequences[:, 1:].ravel()), 1)
    often = came.sum(1) > 300
    error = abs(came / came.sum(1, keepdims=True) - target[0].numpy())[often]
    assert error.max() < 5 * 0.5 / 300**0.5
