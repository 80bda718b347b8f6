"""Time left, on a clock that a test moves: nothing before a group is stored, then a range around what is still to come."""

from assay.core.compute import Range
from assay.lab.pace import APART, LEAST, Pace, Pending


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def group(i: int, kind: str = "main", cost: float | None = 10.0, unit: float = 1.0) -> Pending:
    return Pending(f"{kind}-{i}", ("toy", kind), cost, unit)


def test_nothing_is_said_before_a_group_is_stored() -> None:
    clock = Clock()
    pace = Pace(1, clock)
    pace.began("main-0")
    clock.now = 30.0
    assert pace.left([group(0), group(1)]) is None
    pace.stored(group(0))
    assert pace.left([group(1)]) == Range(30 / APART, 30 * APART)


def test_groups_of_a_kind_take_what_the_last_three_took() -> None:
    clock = Clock()
    pace = Pace(1, clock)
    for i, seconds in enumerate((100.0, 20.0, 22.0, 24.0)):  # the first built what all share
        pace.began(f"main-{i}")
        clock.now += seconds
        pace.stored(group(i))
    found = pace.left([group(4), group(5)])
    assert found == Range(2 * 20 / APART, 2 * 24 * APART)


def test_workers_share_groups_and_none_is_shared() -> None:
    clock = Clock()
    pace = Pace(2, clock)
    pace.began("main-0")
    clock.now = 10.0
    pace.stored(group(0))
    four, one = pace.left([group(i) for i in range(1, 5)]), pace.left([group(1)])
    assert four == Range(20 / APART, 20 * APART) and one == Range(10 / APART, 10 * APART)


def test_what_a_group_has_spent_is_taken_off_but_it_is_not_over_before_it_is_stored() -> None:
    clock = Clock()
    pace = Pace(1, clock)
    pace.began("main-0")
    clock.now = 10.0
    pace.stored(group(0))
    pace.began("main-1")
    clock.now = 14.0
    assert pace.left([group(1)]) == Range(10 / APART - 4, 10 * APART - 4)
    clock.now = 100.0
    assert pace.left([group(1)]) == Range(LEAST * 10 / APART, LEAST * 10 * APART)


def test_another_kind_goes_by_its_plan_and_one_without_any_is_unknown() -> None:
    clock = Clock()
    pace = Pace(1, clock)
    pace.began("main-0")
    clock.now = 20.0  # twice what was planned
    pace.stored(group(0))
    assert pace.left([group(0, "relu", cost=5.0)]) == Range(10 / APART, 10 * APART)
    assert pace.left([group(0, "relu", cost=None)]) is None
    assert pace.left([group(1, cost=None, unit=3.0)]) == Range(60 / APART, 60 * APART)


def test_a_group_that_crashed_tells_nothing() -> None:
    clock = Clock()
    pace = Pace(1, clock)
    pace.began("main-0")
    clock.now = 1.0
    pace.gone("main-0")
    pace.stored(group(0))
    assert pace.left([group(1)]) is None
