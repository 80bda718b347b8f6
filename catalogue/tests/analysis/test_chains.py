"""What chains say, on losses made up so that the answer is known."""

import numpy as np
import pytest

from assay.core.errors import SpecError
from assay_catalogue.analysis.chains import (
    CHECKS,
    block_ends,
    drift,
    estimate,
    flags,
    mean_over,
    overshoot,
    plateau,
    standard_error,
)


def test_estimate_and_standard_error_by_hand():
    losses = np.array([[1.0, 3.0], [2.0, 6.0]])  # two chains, two draws, over a centre of 1
    assert estimate(losses, 1.0, 10.0).tolist() == [10.0, 30.0]
    assert standard_error(np.array([10.0, 30.0])) == pytest.approx(np.sqrt(200) / np.sqrt(2))
    assert np.isnan(standard_error(np.array([1.0])))


def test_a_drift_is_told_from_noise():
    made = np.random.default_rng(0)
    still = made.normal(0, 1, (400, 16, 60))
    found = drift(still)
    # t of 16 chains: beyond 2.13 in 5 %, beyond 2 in 6.4 %
    assert 0.03 < (np.abs(found) > 2).mean() < 0.10
    moving = still + np.linspace(0, 1, 60)
    assert (drift(moving) > 2).mean() > 0.8
    assert drift(np.ones((4, 9))) == 0
    with pytest.raises(SpecError):
        drift(np.ones((4, 2)))


def test_what_refused_steps_bring_is_told_by_hand():
    # two places, seen half of the time each: a loss of 1 over a centre of 1 that is always
    # accepted, one of 9 half of the time
    losses, acceptance = np.array([2.0, 10.0]), np.array([1.0, 0.5])
    found = overshoot(losses, (1 - acceptance) * losses, acceptance, 1.0)
    assert found == pytest.approx(1 - ((1 * 1 + 0.5 * 9) / 1.5) / 5)
    # as often refused, but wherever it is: nothing comes of that
    even = np.array([0.75, 0.75])
    assert overshoot(losses, (1 - even) * losses, even, 1.0) == pytest.approx(0.0)
    assert np.isnan(
        overshoot(losses, (1 - even) * losses, even, 7.0)
    )  # below the centre: no share of anything
    assert [bool(flags(np.ones(3), 0.0, 0.98, x)[-1]) for x in (0.09, 0.01, np.nan)] == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("values", "moved", "acceptance", "failed"),
    [
        ([1.0, 1.1, 0.9], 0.5, 0.9, []),
        ([1.0, np.nan, 0.9], np.nan, 0.9, ["not finite"]),
        ([np.inf, 1.0, 1.0], np.nan, np.nan, ["not finite", "step too large"]),
        ([-1.0, -1.1, -0.9], 0.5, 0.9, ["negative"]),
        ([-0.1, 0.2, 0.1], 0.5, 0.9, []),
        ([1.0, 1.1, 0.9], -2.5, 0.9, ["drift"]),
        ([1.0, 1.1, 0.9], 0.5, 0.3, ["step too large"]),
    ],
)
def test_each_fault_has_its_flag(values, moved, acceptance, failed):
    found = flags(np.array(values), moved, acceptance)
    assert [c for c, bad in zip(CHECKS, found, strict=True) if bad] == failed


def test_a_plateau_is_flat_in_rows_and_in_columns():
    grid = np.array(
        [
            [1.0, 1.02, 1.05, 2.0],
            [1.01, 1.03, 1.04, 3.0],
            [1.02, 1.0, 1.01, 0.5],
            [0.1, 0.1, 0.1, 0.1],
        ]
    )
    flat = np.zeros((4, 4), bool)
    flat[:3, :3] = True  # the last row agrees with itself and with no other
    assert plateau(grid).tolist() == flat.tolist()
    assert plateau(grid.T).tolist() == flat.T.tolist()
    assert not plateau(np.array([[1.0, 1.2, 1.4]] * 3)).any()


def test_blocks_are_equal_and_burn_in_takes_whole_ones():
    assert block_ends(100, 20) == [5 * i for i in range(1, 21)]
    for steps, blocks in ((100, 21), (100, 10), (110, 20), (10, 20)):
        with pytest.raises(SpecError):
            block_ends(steps, blocks)
    history = np.arange(20.0)[None]
    assert mean_over(block_ends(100, 20), history, 10).tolist() == [list(range(2, 20))]
    assert mean_over(block_ends(100, 20), history, 11).tolist() == [list(range(3, 20))]
    with pytest.raises(SpecError):
        mean_over(block_ends(100, 20), history, 100)
