"""Schedule: the order in which groups are handed out, against a naive search at every step."""

from types import SimpleNamespace

import numpy as np
import pytest

from assay.lab.plan.schedule import Schedule
from assay.lab.work.events import Outcome

COST = {"a": 3.0, "b": 1.0}


def group(name: str, seed: int, arm: str, parents: tuple[str, ...] = ()) -> SimpleNamespace:
    member = SimpleNamespace(key=name, spec={"seed": seed}, parent=None)
    return SimpleNamespace(
        name=name,
        arms={arm: (member,)},
        members=(member,),
        keys=frozenset([name]),
        parents=frozenset(parents),
        step=0,
    )


def schedule(groups) -> Schedule:
    where = SimpleNamespace(root=SimpleNamespace(absolute=lambda: "/nowhere"))
    return Schedule(where, SimpleNamespace(name="toy", origin="toy"), groups, COST, "cpu")


def naive_order(groups) -> list[str]:
    """One worker: whatever is ready, by seed, then by the dearest chain that begins with it."""

    def reach(g):
        (arm,) = g.arms
        return COST[arm] + max((reach(h) for h in groups if g.name in h.parents), default=0.0)

    waiting, order = list(groups), []
    while waiting:
        ready = [g for g in waiting if g.parents <= set(order)]
        first = min(ready, key=lambda g: (g.members[0].spec["seed"], -reach(g), g.name))
        waiting.remove(first)
        order.append(first.name)
    return order


@pytest.mark.parametrize("seed", range(5))
def test_the_order_is_that_of_a_naive_search(seed) -> None:
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
    assert plan.over and plan.left() == 0 and plan.runs_done == 30 and plan.amounts() == []


def test_what_builds_on_a_failed_group_is_given_up() -> None:
    groups = [group("a", 0, "a"), group("b", 0, "b", ("a",)), group("c", 0, "b", ("b",))]
    plan = schedule([*groups, group("d", 1, "b")])
    tasks = plan.tasks()
    assert next(tasks).group == "a"
    assert plan.chain() == 5.0
    plan.settle(Outcome("a", "failed", "RunError", "no"))
    assert next(tasks).group == "d"
    assert plan.left() == 1.0 == plan.chain()
    plan.settle(Outcome("d", "done"))
    assert next(tasks, "over") == "over"


def test_a_group_that_another_process_holds_is_tried_again_when_nothing_else_is_left() -> None:
    plan = schedule([group("a", 0, "a"), group("b", 1, "b")])
    tasks = plan.tasks()
    assert next(tasks).group == "a"
    plan.settle(Outcome("a", "busy"))
    assert next(tasks).group == "b"
    plan.settle(Outcome("b", "done"))
    assert next(tasks) is None and not plan.over
    plan._again = [(0.0, "a")]
    assert next(tasks).group == "a"
