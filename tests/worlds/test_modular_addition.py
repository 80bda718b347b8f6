"""Pairs of residues: counted by hand, nested, the same alone and in a group."""

from collections import Counter

import numpy as np
import pytest

from assay.core.errors import SpecError
from assay.worlds.modular import addition


def test_unordered_pairs_and_their_sums():
    assert addition.pairs(3).tolist() == [[0, 0], [0, 1], [0, 2], [1, 1], [1, 2], [2, 2]]
    assert addition.sums(3).tolist() == [0, 1, 2, 2, 0, 1]
    assert len(addition.pairs(53)) == 1431
    assert set(Counter(addition.sums(53).tolist()).values()) == {
        27
    }  # p odd: every sum equally often


@pytest.mark.parametrize(
    ("p", "message"),
    [
        (54, "p must be an odd prime, got 54; nearest 53 and 59"),
        (2, "p must be an odd prime, got 2; the smallest is 3"),
        (0, "p must be an odd prime, got 0; the smallest is 3"),
        (-7, "p must be an odd prime, got -7; the smallest is 3"),
        (49, "p must be an odd prime, got 49; nearest 47 and 53"),
    ],
)
def test_composite_moduli_are_refused(p, message):
    with pytest.raises(SpecError) as e:
        addition.pairs(p)
    assert str(e.value) == message


def test_orders_are_permutations_of_their_seed_alone():
    both = addition.order(np.array([5, 6]), 7)
    assert sorted(both[0].tolist()) == list(range(28))
    assert both[1].tolist() == addition.order(np.array([6]), 7)[0].tolist() != both[0].tolist()
    assert addition.order(np.array([5]), 7, draw=1)[0].tolist() != both[0].tolist()


def test_random_labels_are_uniform_and_their_seeds():
    labels = addition.random_labels(np.arange(40), 53)
    assert labels.shape == (40, 1431) and labels.min() == 0 and labels.max() == 52
    counts = np.bincount(labels.numpy().ravel(), minlength=53)
    assert abs(counts - 40 * 27).max() < 5 * (40 * 27) ** 0.5
    assert labels[7].tolist() == addition.random_labels(np.array([7]), 53)[0].tolist()
    hits = (labels == addition.sums(53)).double().mean().item()
    assert (
        abs(hits - 1 / 53) < 4 * (1 / 53 / labels.numel()) ** 0.5
    )  # they know nothing of the sums
