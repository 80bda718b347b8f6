"""Schedule: the order in which groups are handed out, against a naive search at every step; and the
time left, on a clock that a test moves: nothing before a group is stored, then about what is still
to come."""

import itertools
import statistics
from types import SimpleNamespace

import numpy as np
import pytest

from assay.lab.work.events import Outcome
from assay.lab.work.work import Pace, Schedule, time_left

COST = {"a": 3.0, "b": 1.0}


def group(name, seed, arm, parents=()):
    member = SimpleNamespace(key=name, spec={"seed": seed}, parent=None)
    return SimpleNamespace(
        name=name,
        arms={arm: (member,)},
        members=(member,),
        keys=frozenset([name]),
        parents=frozenset(parents),
        step=0,
    )


def schedule(groups):
    where = SimpleNamespace(root=SimpleNamespace(absolute=lambda: "/nowhere"))
    return Schedule(where, SimpleNamespace(name="toy", origin="toy"), groups, COST, "cpu")


def naive_order(groups):
    """One worker: whatever is ready, by seed, then the dearest."""
    waiting, order = list(groups), []
    while waiting:
        ready = [g for g in waiting if g.parents <= set(order)]
        first = min(
            ready, key=lambda g: (g.members[0].spec["seed"], -COST[next(iter(g.arms))], g.name)
        )
        waiting.remove(first)
        order.append(first.name)
    return order


@pytest.mark.parametrize("seed", range(5))
def test_the_order_is_that_of_a_naive_search(seed):
    rng = np.random.default_rng(seed)
    groups = []
    for i in range(30):
        before = [g.name for g in groups if rng.random() < 0.1]
        groups.append(group(f"{i:02}", int(rng.integers(3)), "ab"[rng.integers(2)], tuple(before)))
    plan = schedule([groups[i] for i in rng.permutation(30)])
    order = []
    for task in plan.tasks():
        order.append(task.group)
        assert plan.left() == pytest.approx(
            sum(COST[next(iter(g.arms))] for g in groups if g.name not in order[:-1])
        )
        plan.settle(Outcome(task.group, "done"))
    assert order == naive_order(groups)
    assert plan.over and plan.left() == 0 and plan.runs_done == 30


def test_what_builds_on_a_failed_group_is_given_up():
    groups = [group("a", 0, "a"), group("b", 0, "b", ("a",)), group("c", 0, "b", ("b",))]
    plan = schedule([*groups, group("d", 1, "b")])
    tasks = plan.tasks()
    assert next(tasks).group == "a"
    plan.settle(Outcome("a", "failed", "RunError", "no"))
    assert next(tasks).group == "d"
    assert plan.left() == 1.0 and plan.groups_left == 1
    plan.settle(Outcome("d", "done"))
    assert next(tasks, "over") == "over"


def test_a_group_that_another_process_holds_is_tried_again_when_nothing_else_is_left():
    plan = schedule([group("a", 0, "a"), group("b", 1, "b")])
    tasks = plan.tasks()
    assert next(tasks).group == "a"
    plan.settle(Outcome("a", "busy"))
    assert next(tasks).group == "b"
    plan.settle(Outcome("b", "done"))
    assert next(tasks) is None and not plan.over
    plan._again = [(0.0, "a")]
    assert next(tasks).group == "a"


# time left ---------------------------------------------------------------------------------------


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Rest:
    """What is left of one experiment, in so many groups."""

    def __init__(self, cost, groups=9, planned=True):
        self.left, self.planned, self.groups_left = lambda: cost, planned, groups


def pace_after(*groups):
    """A pace that has seen groups of these costs one after the other, each with its seconds."""
    clock = Clock()
    pace = Pace(clock)
    for i, (cost, seconds) in enumerate(groups):
        pace.began(str(i), cost)
        clock.now += seconds
        pace.stored(str(i))
    return pace, clock


def test_the_time_left_falls_to_nothing_at_the_end_of_a_run_of_unequal_groups():
    """Six groups of three kinds on two workers, of which nothing was planned: at the end one of
    twelve runs and one of six are all but done, side by side."""
    took = {"about": 60.0, "both": 110.0, "real": 50.0}
    runs = {"about": 6, "both": 12, "real": 6}
    order = ["about", "both", "real", "both", "real", "about"]
    groups = [group(f"{i}", i, arm) for i, arm in enumerate(order)]
    for g in groups:
        (arm,) = g.arms
        members = tuple(
            SimpleNamespace(key=g.name, spec={"seed": int(g.name)}) for _ in "x" * runs[arm]
        )
        g.arms, g.members = {arm: members}, members
    plan = Schedule(
        SimpleNamespace(root=SimpleNamespace(absolute=lambda: "/nowhere")),
        SimpleNamespace(name="rare", origin="rare"),
        groups,
        {},
        "cpu",
    )
    work = SimpleNamespace(left=plan.left, planned=False)
    clock = Clock()
    pace, tasks = Pace(clock), plan.tasks()
    running = {}
    seen = []
    while not plan.over:
        while len(running) < 2 and (task := next(tasks, None)) is not None:
            running[task.group] = clock.now
            pace.began(task.group, plan.cost(task.group))
        clock.now += 1.0
        length = {name: took[next(iter(plan.groups[name].arms))] for name in running}
        for name in [n for n, start in running.items() if clock.now - start >= length[n]]:
            del running[name]
            plan.settle(Outcome(name, "done"))
            pace.stored(name)
        work.groups_left = plan.groups_left
        if (eta := time_left([work], pace, 2)) is not None:
            seen.append((clock.now, eta.middle))
    for at, told in seen:
        true = clock.now - at
        assert told <= 1.5 * true + 5 and told >= 0.5 * true - 5, (at, told, true)
    assert all(after <= before + 15 for (_, before), (_, after) in itertools.pairwise(seen))


def test_what_a_group_has_spent_is_taken_off_but_it_is_not_over_before_it_is_stored():
    pace, clock = pace_after((10.0, 10.0))
    pace.began("more", 10.0)
    clock.now += 4.0
    assert time_left([Rest(10.0)], pace, 1).middle == pytest.approx(6)
    clock.now += 100.0
    assert time_left([Rest(10.0)], pace, 1).middle == pytest.approx(0.5), "a twentieth of it"


@pytest.mark.parametrize("seed", range(4))
def test_about_four_fifths_of_the_ranges_hold_the_truth_where_machines_are_as_assumed(seed):
    """Many commands on machines of many speeds: three kinds of groups, the first of which also
    builds what all share."""
    rng = np.random.default_rng(seed)
    costs = (30.0, 20.0, 10.0)
    errors, within = [], []
    for _ in range(60):
        machine, kinds = rng.normal(0, 0.4), rng.normal(0, 0.2, 3)
        groups = costs * 6
        others = np.repeat(rng.normal(0, 0.2 * np.sqrt(0.5), 3), 6)  # programs that come and go
        noise = others + rng.normal(0, 0.2 * np.sqrt(0.5), 18)
        took = [cost * np.exp(machine + kinds[i % 3] + noise[i]) for i, cost in enumerate(groups)]
        took[0] += 30.0
        clock = Clock()
        pace = Pace(clock)
        for i, (cost, seconds) in enumerate(zip(groups, took, strict=True)):
            pace.began(str(i), cost)
            clock.now += seconds
            pace.stored(str(i))
            if groups[i + 1 :]:
                left = time_left([Rest(sum(groups[i + 1 :]))], pace, 1)
                true = sum(took[i + 1 :])
                errors.append(abs(left.middle - true) / true)
                within.append(bool(left.low <= true <= left.high))
    assert statistics.median(errors) < 0.2
    assert 0.8 <= np.mean(within) < 0.95
