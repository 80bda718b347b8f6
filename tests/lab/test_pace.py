"""Time left, on a clock that a test moves: nothing before a group is stored, then a range around
what is still to come."""

import statistics

import numpy as np
import pytest

from assay.lab.plan.schedule import LEAST, Amount, Pace


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def amount(kind: str = "main", cost: float | None = 10.0, unit: float = 1.0) -> Amount:
    return Amount(("toy", kind), cost, unit)


def pace_after(*groups: tuple[Amount, float], width: int = 1) -> tuple[Pace, Clock]:
    """A pace that has seen these groups one after the other, each with its seconds."""
    clock = Clock()
    pace = Pace(width, clock)
    for i, (group, seconds) in enumerate(groups):
        pace.began(str(i), group)
        clock.now += seconds
        pace.stored(str(i))
    return pace, clock


def steady(seconds: float, width: int = 1) -> tuple[Pace, Clock]:
    """A pace that has seen so many groups of equal length that nothing else counts."""
    return pace_after(*[(amount(), seconds)] * 40, width=width)


def test_nothing_is_known_before_a_group_is_stored() -> None:
    clock = Clock()
    pace = Pace(1, clock)
    pace.began("first", amount())
    clock.now = 30.0
    assert pace.left([amount(cost=20.0)]) is None
    pace.stored("first")
    left = pace.left([amount()])
    assert left.middle == pytest.approx(30, rel=0.1)
    assert left.high / left.low > 1.5
    assert pace.left([]) is None


def test_what_groups_take_replaces_what_was_planned() -> None:
    pace, _ = steady(30.0)
    assert pace.left([amount(cost=50.0)]).middle == pytest.approx(150, rel=0.05)


def test_the_range_is_wide_where_groups_differ() -> None:
    alike, _ = steady(20.0)
    differ, _ = pace_after(*((amount(), 10.0 if i % 2 else 40.0) for i in range(40)))
    ranges = [p.left([amount(cost=100.0)]) for p in (alike, differ)]
    assert ranges[1].high / ranges[1].low > 1.5 * ranges[0].high / ranges[0].low


def test_workers_share_what_is_left_but_not_a_chain() -> None:
    pace, _ = steady(10.0, width=2)
    assert pace.left([amount(cost=40.0)]).middle == pytest.approx(20, rel=0.05)
    assert pace.left([amount(cost=40.0)], chain=0.75).middle == pytest.approx(30, rel=0.05)


def test_what_a_group_has_spent_is_taken_off_but_it_is_not_over_before_it_is_stored() -> None:
    pace, clock = steady(10.0)
    pace.began("more", amount())
    clock.now += 4.0
    assert pace.left([amount()]).middle == pytest.approx(6, rel=0.05)
    clock.now += 100.0
    assert pace.left([amount()]).middle == pytest.approx(10 * LEAST, rel=0.05)


def test_another_kind_goes_by_its_plan_and_one_without_any_is_unknown() -> None:
    pace, _ = steady(20.0)  # twice what was planned
    assert pace.left([amount("relu", cost=5.0)]).middle == pytest.approx(10, rel=0.1)
    assert pace.left([amount("relu", cost=None)]) is None
    pace, _ = pace_after((amount(cost=None, unit=2.0), 40.0))
    assert pace.left([amount(cost=None, unit=3.0)]).middle == pytest.approx(60, rel=0.1)


def test_judging_comes_at_the_end() -> None:
    pace, _ = steady(10.0)
    before = pace.left([amount()])
    pace.closing = 3.0
    after = pace.left([amount()])
    assert (after.low - before.low, after.high - before.high) == pytest.approx((3, 6))


def test_a_group_that_crashed_or_went_on_from_a_checkpoint_tells_nothing() -> None:
    clock = Clock()
    pace = Pace(1, clock)
    pace.began("crashed", amount())
    clock.now = 1.0
    pace.gone("crashed")
    pace.stored("crashed")
    assert pace.left([amount()]) is None
    pace.began("resumed", amount())
    clock.now = 2.0
    pace.stored("resumed", resumed=True)
    assert pace.left([amount()]) is None


@pytest.mark.parametrize("seed", range(4))
def test_about_four_fifths_of_the_ranges_hold_the_truth_where_machines_are_as_assumed(
    seed: int,
) -> None:
    """Many commands on machines of many speeds: three kinds of groups, the first of which also
    builds what all share."""
    rng = np.random.default_rng(seed)
    costs = {"main": 30.0, "relu": 20.0, "half": 10.0}
    errors, within = [], []
    for _ in range(60):
        machine, kinds = rng.normal(0, 0.4), rng.normal(0, 0.2, 3)
        groups = [amount(kind, cost) for _ in range(6) for kind, cost in costs.items()]
        others = np.repeat(rng.normal(0, 0.2 * np.sqrt(0.5), 3), 6)  # programs that come and go
        noise = others + rng.normal(0, 0.2 * np.sqrt(0.5), 18)
        took = [g.cost * np.exp(machine + kinds[i % 3] + noise[i]) for i, g in enumerate(groups)]
        took[0] += 30.0
        clock = Clock()
        pace = Pace(1, clock)
        for i, (g, seconds) in enumerate(zip(groups, took, strict=True)):
            pace.began(str(i), g)
            clock.now += seconds
            pace.stored(str(i))
            if groups[i + 1 :]:
                sums: dict[str, float] = {}
                for later in groups[i + 1 :]:
                    sums[later.kind[1]] = sums.get(later.kind[1], 0.0) + later.cost
                left = pace.left([amount(kind, cost) for kind, cost in sums.items()])
                true = sum(took[i + 1 :])
                errors.append(abs(left.middle - true) / true)
                within.append(bool(left.low <= true <= left.high))
    assert statistics.median(errors) < 0.2
    assert 0.8 <= np.mean(within) < 0.95
