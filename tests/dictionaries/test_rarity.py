"""Density classes: hand-counted shares, the floor that a test set has, and no percentages on the
way."""

import math

import numpy as np
import pytest
import torch

from assay.core.errors import DataError
from assay.dictionaries.measuring.rarity import density_classes

KINDS = [np.asarray, torch.as_tensor]


@pytest.mark.parametrize("kind", KINDS)
def test_shares_are_counted_by_hand(kind):
    # of a million rows
    counts = np.array([0, 0, 4, 9, 10, 999, 1000, 100_000, 100_001, 1_000_000])
    got = density_classes(kind(counts), 10**6)
    wanted = {"dead": 0.2, "ultra_rare": 0.2, "rare": 0.2, "ordinary": 0.2, "dense": 0.2}
    assert {name: float(got[name]) for name in wanted} == pytest.approx(wanted)
    assert isinstance(got["dead"], np.floating | np.ndarray if kind is np.asarray else torch.Tensor)


def test_small_densities_are_not_lost_as_printed_percentages_lose_them():
    """4 in a million and 12.4 in a million, which two decimals of a per cent would make 0 and 10 in
    a million."""
    got = density_classes(np.array([[4.0], [12.4]]), 1e6)
    assert got["ultra_rare"].tolist() == [1, 0]
    assert got["rare"].tolist() == [0, 1]
    assert got["dead"].tolist() == [0, 0]


def test_a_class_below_the_floor_is_unknown():
    """In 20,000 rows nothing can be seen to fire once in 100,000: such a feature reads as dead, so
    the share is not 0 but NaN."""
    got = density_classes(np.array([0, 1, 30, 5000]), 20_000)
    assert math.isnan(got["ultra_rare"])
    assert got["rare"] == 0.25
    assert sum(got[name] for name in ("dead", "rare", "ordinary", "dense")) == 1
    assert math.isnan(density_classes(np.array([0, 1]), 100)["rare"])
    assert all(math.isnan(value) for value in density_classes(np.zeros(3), 0).values())


def test_runs_keep_their_axis_and_counts_add_up():
    counts = np.random.default_rng(0).integers(0, 300, (3, 50))
    more = np.random.default_rng(1).integers(0, 300, (3, 50))
    got = density_classes(counts + more, 2000)
    for r in range(3):
        for name, value in density_classes(counts[r] + more[r], 2000).items():
            assert got[name][r] == pytest.approx(value, nan_ok=True)


def test_impossible_counts_are_refused():
    with pytest.raises(DataError, match="in 0 to 10 of 10 rows, got counts from 0 to 11"):
        density_classes(np.array([0, 11]), 10)
