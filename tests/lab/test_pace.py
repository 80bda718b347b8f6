"""Time left, on a clock that a test moves: nothing before a group is stored, then a range around
what is still to come."""

import statistics

import numpy as np
import pytest

from assay.lab.time_left import LEAST, Pace, Pending


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def group(
    i: int,
    kind: str = "main",
    cost: float | None = 10.0,
    unit: float = 1.0,
    after: tuple[str, ...] = (),
    resumed: bool = False,
) -> Pending:
    return Pending(f"{kind}-{i}", ("toy", kind), cost, unit, frozenset(after), resumed)


def told(*groups: tuple[Pending, float], width: int = 1) -> tuple[Pace, Clock]:
    """A pace that has seen these groups one after the other, each with its seconds."""
    clock = Clock()
    pace = Pace(width, clock)
    for one, seconds in groups:
        pace.began(one.name)
        clock.now += seconds
        pace.stored(one)
    return pace, clock


def steady(seconds: float, many: int = 40, width: int = 1, **known) -> tuple[Pace, Clock]:
    """A pace that has seen so many groups of equal length that nothing else counts."""
    return told(*((group(i, **known), seconds) for i in range(many)), width=width)


def test_nothing_is_said_before_a_group_is_stored() -> None:
    clock = Clock()
    pace = Pace(1, clock)
    pace.began("main-0")
    clock.now = 30.0
    assert pace.left([group(0), group(1)]) is None
    pace.stored(group(0))
    found = pace.left([group(1)])
    assert 10 < found.middle < 30, (
        "between the plan and a first group, which may have built what all share"
    )
    assert found.high / found.low > 2


def test_what_groups_take_replaces_what_was_planned() -> None:
    pace, _ = steady(30.0)
    five, one = pace.left([group(i) for i in range(50, 55)]), pace.left([group(50)])
    assert five.middle == pytest.approx(150, rel=0.02)
    assert five.high / five.low < one.high / one.low < 1.5, "one alone varies more than five"


def test_the_range_is_wide_where_groups_differ() -> None:
    alike, _ = steady(20.0)
    differ, _ = told(*((group(i), 10.0 if i % 2 else 40.0) for i in range(40)))
    ranges = [p.left([group(i) for i in range(50, 60)]) for p in (alike, differ)]
    assert ranges[1].high / ranges[1].low > 1.5 * ranges[0].high / ranges[0].low
    assert ranges[0].middle == pytest.approx(ranges[1].middle, rel=0.05), (
        "the geometric mean of both"
    )


def test_workers_share_groups_and_none_is_shared() -> None:
    pace, _ = steady(10.0, width=2)
    four, three, one = (pace.left([group(50 + i) for i in range(n)]).middle for n in (4, 3, 1))
    assert (
        four == pytest.approx(20, rel=0.02)
        and three == pytest.approx(20, rel=0.02)
        and one == pytest.approx(10, rel=0.02)
    )


def test_what_builds_on_a_group_waits_for_it() -> None:
    pace, _ = steady(10.0, width=2)
    chain = [group(50), group(51, after=("main-50",)), group(52, after=("main-51",)), group(53)]
    assert pace.left(chain).middle == pytest.approx(30, rel=0.02)
    assert pace.left(chain[1:]).middle == pytest.approx(20, rel=0.02), (
        "a parent that is stored is not waited for"
    )


def test_what_a_group_has_spent_is_taken_off_but_it_is_not_over_before_it_is_stored() -> None:
    pace, clock = steady(10.0)
    pace.began("main-50")
    clock.now += 4.0
    assert pace.left([group(50)]).middle == pytest.approx(6, rel=0.05)
    clock.now += 100.0
    assert pace.left([group(50)]).middle == pytest.approx(10 * LEAST, rel=0.05)


def test_a_group_is_as_far_as_the_last_of_its_kind_was_at_that_step() -> None:
    """Groups take 2 seconds of windows, 6 of steps and 2 of measuring; this one is half as fast, in
    a moment when all are."""
    clock = Clock()
    pace = Pace(1, clock)
    for i in range(30):
        pace.began(f"main-{i}")
        start = clock.now
        for done in range(1, 11):
            clock.now = start + 0.2 * done
            pace.reached(f"main-{i}", done, 10, "windows")
        for done in range(1, 101):
            clock.now = start + 2 + 0.06 * done
            pace.reached(f"main-{i}", done, 100, "steps")
        clock.now = start + 10
        pace.stored(group(i))
    pace.began("main-50")
    clock.now += 10.0
    pace.reached("main-50", 50, 100, "steps")
    assert pace.left([group(50)]).middle == pytest.approx(5, rel=0.1), (
        "5 of 10 seconds are behind it, though 10 have passed"
    )
    clock.now += 1.0
    assert pace.left([group(50)]).middle == pytest.approx(4, rel=0.1)


def test_another_kind_goes_by_its_plan_and_one_without_any_is_unknown() -> None:
    pace, _ = steady(20.0)  # twice what was planned
    assert pace.left([group(0, "relu", cost=5.0)]).middle == pytest.approx(10, rel=0.05)
    assert pace.left([group(0, "relu", cost=None)]) is None
    pace, _ = told((group(0, cost=None, unit=2.0), 40.0))
    assert pace.left([group(1, cost=None, unit=3.0)]).middle == pytest.approx(60)


def test_judging_comes_at_the_end() -> None:
    pace, _ = steady(10.0)
    before = pace.left([group(50)])
    pace.closing = 3.0
    after = pace.left([group(50)])
    assert (after.low - before.low, after.high - before.high) == pytest.approx((3, 6))


def test_a_group_that_crashed_or_went_on_from_a_checkpoint_tells_nothing() -> None:
    clock = Clock()
    pace = Pace(1, clock)
    pace.began("main-0")
    clock.now = 1.0
    pace.gone("main-0")
    pace.stored(group(0))
    assert pace.left([group(1)]) is None
    pace, _ = told((group(0, resumed=True), 1.0))
    assert pace.left([group(1)]) is None


@pytest.mark.parametrize("seed", range(4))
def test_at_least_four_fifths_of_the_ranges_hold_the_truth_where_machines_are_as_assumed(
    seed: int,
) -> None:
    """Many commands on machines of many speeds: three kinds of groups, the first of which also
    builds what all share."""
    rng = np.random.default_rng(seed)
    errors, within = [], []
    for _ in range(60):
        machine, kinds = rng.normal(0, 0.4), rng.normal(0, 0.2, 3)
        groups = [
            group(i, kind, cost)
            for i in range(6)
            for kind, cost in (("main", 30.0), ("relu", 20.0), ("half", 10.0))
        ]
        others = np.repeat(rng.normal(0, 0.2 * np.sqrt(0.5), 3), 6)  # programs that come and go
        noise = others + rng.normal(0, 0.2 * np.sqrt(0.5), 18)
        took = [g.cost * np.exp(machine + kinds[i % 3] + noise[i]) for i, g in enumerate(groups)]
        took[0] += 30.0
        clock = Clock()
        pace = Pace(1, clock)
        for i, (g, seconds) in enumerate(zip(groups, took, strict=True)):
            pace.began(g.name)
            clock.now += seconds
            pace.stored(g)
            if rest := groups[i + 1 :]:
                found, true = pace.left(rest), sum(took[i + 1 :])
                errors.append(abs(found.middle - true) / true)
                within.append(bool(found.low <= true <= found.high))
    assert statistics.median(errors) < 0.2
    assert 0.8 <= np.mean(within) < 0.95
