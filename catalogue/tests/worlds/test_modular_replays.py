"""Replayed schedules against a count by hand, and histories whose coverage is known."""

import math

import numpy as np
import pytest

from assay_catalogue.analysis.evaluations import coverage
from assay_catalogue.worlds.modular.replays import (
    BY_HAND,
    STARTS,
    YEAR,
    checkpoint_steps,
    planted_lag,
    random_history,
    replays,
    rows_due,
    uncovered,
)


def test_checkpoints_double_every_fourth():
    assert checkpoint_steps(64) == (16, 19, 23, 27, 32, 38, 46, 54, 64)
    steps = np.array(checkpoint_steps(4096))
    assert len(steps) == 33 and (steps[4:] == 2 * steps[:-4]).all()
    assert checkpoint_steps(15) == () and checkpoint_steps(0) == ()


@pytest.mark.parametrize(("ratio", "d"), [(2.0, 4), (4.0, 8), (8.0, 12)])
def test_every_checkpoint_is_evaluated_from_one_start_in_d(ratio, d):
    steps = checkpoint_steps(2**14)
    mask = replays(steps, ratio)
    assert (mask[:, STARTS:-1].sum(0) == STARTS / d).all() and mask[:, -1].all()
    assert all(not mask[start, :start].any() and mask[start, start] for start in range(STARTS))


@pytest.mark.parametrize(
    ("ratio", "wanted"), [(2.0, 2 ** (3 / 8)), (4.0, 4 ** (7 / 16)), (8.0, 8 ** (11 / 24))]
)
def test_how_late_something_that_stays_is_found(ratio, wanted):
    assert planted_lag(ratio) == pytest.approx(wanted, rel=0.01)


def test_rows_by_hand():
    assert [tuple(rows_due(events)[1:]) for events, _ in BY_HAND] == [rows for _, rows in BY_HAND]


def test_what_one_limit_alone_leaves_open_in_a_year():
    growth = {
        (name, limit): coverage(YEAR[name], rows_due(YEAR[name], limit))[0]
        for name in YEAR
        for limit in (4.0, math.inf)
    }
    assert (
        growth["doubling", 4.0] == growth["fourfold", 4.0] == 4
        and growth["doubling", math.inf] == 8
    )
    assert growth["fourfold", math.inf] == 64 and coverage(YEAR["doubling"], [12])[0] == 4096
    assert coverage(YEAR["flat"], rows_due(YEAR["flat"], months=math.inf))[1] == 12


def test_random_histories_never_shrink_and_are_covered():
    t, c = np.array(random_history(3, 4)).T
    assert (
        (np.diff(t) >= 0).all()
        and (np.diff(c) >= 0).all()
        and c[-1] > 1e3 * c[0]
        and random_history(3, 4) != random_history(3, 5)
    )
    assert uncovered([1, 2], 4.0, 3.0) <= 1e-12
    assert (
        max(coverage(random_history(1, i), [])[0] for i in range(5)) > 1e3
    )  # no evaluation leaves all of it open
