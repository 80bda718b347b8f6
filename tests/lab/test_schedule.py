"""Schedule: the order in which groups are handed out, against a naive search at every step; and the
time left."""

from types import SimpleNamespace

import numpy as np
import pytest

from assay.lab.work import work
from assay.lab.work.events import Outcome, Progress
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
    assert plan.left() == 1.0
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


def test_the_rest_takes_as_long_as_what_is_stored_did():
    """One of three equal groups was stored after 100 seconds, 50 seconds ago."""
    assert time_left(2.0, 100.0, 50.0).middle == pytest.approx(150.0)
    assert time_left(2.0, 100.0, 900.0) is None  # they should be over


def test_the_time_left_is_that_of_the_work_that_is_left(monkeypatch):
    """Of a cost of 12, a group of 1 was stored after 60 seconds; the other, of 11, runs on at the
    same pace, and is half done after 390 seconds and all done after 720."""
    clock = [0.0]
    monkeypatch.setattr(work.time, "monotonic", lambda: clock[0])
    one = SimpleNamespace(planned=True, left=lambda: left[0])
    one.cost = lambda group: {"small": 1.0, "large": 11.0}[group]
    left = [12.0]
    pace = Pace(one)

    def reach(group, done, seconds):
        clock[0] = seconds
        pace.heard(Progress(group, ("main",), done, 24, {}))

    reach("small", 0, 0.0)
    reach("small", 24, 60.0)
    assert pace.eta() is None  # nothing is stored
    left[0] = 12.0 - 1e-14  # nor by a sum whose last digit moved
    assert pace.eta() is None
    left[0] = 11.0
    pace.ended("small")
    assert pace.eta().middle == pytest.approx(660.0)
    reach("large", 12, 390.0)
    assert pace.eta().middle == pytest.approx(330.0)
    reach("large", 24, 720.0)
    assert pace.eta() is None
