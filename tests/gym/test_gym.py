"""Worlds have the effects that they plant, and a desk's answers are those of its statistics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from assay.gym.agents import AGENTS
from assay.gym.desks import BUDGET, Judged, Plain, Spent
from assay.gym.worlds import LEVELS, World

MANY = np.arange(10_000, 14_000)


@pytest.mark.parametrize("level", sorted(LEVELS))
def test_what_a_candidate_does_beyond_its_near_control_is_the_truth_on_average(level: int) -> None:
    world = World(level, 1001)
    for candidate in range(world.about.candidates):
        own, near = (world.measure(MANY, candidate, near) for near in (0, 1))
        loud = world.loudness[candidate]
        # w differs between seeds by .5 on either side, times how far inputs lie along it
        error = 5 * (2 * (0.6 * loud) ** 2 + 1) ** 0.5 / len(MANY) ** 0.5
        assert (own - near).mean(0) == pytest.approx(world.truth[candidate], abs=error)


def test_a_training_seed_gives_the_same_numbers_alone_and_among_others() -> None:
    world = World(5, 1003)
    whole = world.measure(np.arange(1000, 1008), 2)
    np.testing.assert_array_equal(world.measure(np.array([1005]), 2)[0], whole[5])


def test_the_plain_desk_says_what_a_t_test_says() -> None:
    world = World(2, 1001)
    reading = Plain(world).ask(0, 0, 12)
    own, near = (world.measure(np.arange(1000, 1012), 0, k)[:, 0] for k in (0, 1))
    test = stats.ttest_rel(own, near)
    low, high = test.confidence_interval(0.95)
    assert (reading.low, reading.high) == pytest.approx((low, high))
    assert (reading.answer == "yes") == (low > 0)


def test_whoever_peeks_is_charged_for_what_was_looked_at() -> None:
    desk = Plain(World(1, 1001))
    desk.ask(0, 0, 12, control=False, peek=True)
    assert 3 <= desk.spent <= 12 and desk.looks == desk.spent - 2


def test_a_budget_ends() -> None:
    desk = Plain(World(1, 1001))
    desk.pilot(0, 0, BUDGET - 6)
    desk.ask(0, 0, 6)
    with pytest.raises(Spent):
        desk.ask(0, 0, 6)


def test_loud_is_no_discovery_where_near_controls_come_by_themselves(tmp_path: Path) -> None:
    world = next(
        w for w in (World(3, seed) for seed in range(1000, 1020)) if _only_loud(w) is not None
    )
    loud = _only_loud(world)
    assert loud is not None
    kept = Judged(world, root=tmp_path / "near").ask(loud, 0, 24, control=False, at_least=0.65)
    weak = Judged(world, root=tmp_path / "weak", near=False).ask(
        loud, 0, 24, control=False, at_least=0.65
    )
    assert kept.answer != "yes"
    assert weak.answer == "yes"  # 1.5 where .65 is asked, and the control has .5


def _only_loud(world: World) -> int | None:
    """A candidate that is loud and not planted, beside some that are not loud."""
    mask = (world.loudness > 1) & ~world.planted[:, 0]
    return int(np.flatnonzero(mask)[0]) if mask.any() and (world.loudness == 1).any() else None


def test_agents_report_nothing_that_was_not_asked_and_answered_yes() -> None:
    for name, agent in AGENTS.items():
        desk = Plain(World(5, 1001))
        reported = agent(desk, 7)
        assert all(r.answer == "yes" for r in reported), name
        assert desk.spent <= BUDGET
        assert [*reported] == [*agent(Plain(World(5, 1001)), 7)]
