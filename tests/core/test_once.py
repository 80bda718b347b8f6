"""Once: kept while arms are remembered, of these arms alone, and with the same numbers as
without."""

import numpy as np
import pytest
import xarray as xr

from assay.core.memo import of_all, once, remembering


def arm(shift):
    return xr.Dataset(
        {"x": ("run", np.random.default_rng(0).normal(size=12) + shift)},
        coords={"seed": ("run", np.arange(12))},
    )


@pytest.fixture
def asked():
    """The factor of each time that `total` was worked out."""
    return []


@pytest.fixture
def total(asked):
    @once
    def total(data, factor=1.0):
        asked.append(factor)
        return factor * float(data.x.sum())

    return total


def test_it_is_made_once_of_each_arm_and_for_each_argument(total, asked):
    arms = {"main": arm(1), "other": arm(0)}
    with remembering(arms):
        assert total(arms["main"]) == total(arms["main"]) != total(arms["other"])
        assert total(arms["main"], factor=2.0) == 2 * total(arms["main"])
        with remembering(arms):  # the same arms, further down
            total(arms["main"])
    assert asked == [1.0, 1.0, 2.0]


def test_nothing_is_kept_of_other_arms_of_chosen_runs_or_afterwards(total, asked):
    arms, others = {"main": arm(1)}, {"main": arm(2)}
    with remembering(arms):
        for _ in range(2):
            total(arms["main"].isel(run=slice(6)))
            total(others["main"])
        with remembering(others):
            total(others["main"]), total(others["main"])
    total(arms["main"]), total(arms["main"])
    assert len(asked) == 4 + 1 + 2
    with remembering(arms):
        assert [of_all(others, "key", lambda i=i: i) for i in range(2)] == [0, 1]
        assert [of_all(arms, "key", lambda i=i: i) for i in range(2)] == [0, 0]
