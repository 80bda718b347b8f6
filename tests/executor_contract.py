"""What every executor must do, as checks that anyone can run on theirs.

Each takes `make`, which makes an executor anew, an experiment, a preset, and the folder of an empty
store. What an executor may and may not do besides: where tasks run, in which order, and how often
one is begun is its own; what a task is told to do, what it stores, and that it goes on from its
checkpoint is not."""

import contextlib
import time

from assay.core.errors import RunError
from assay.lab.lab import Lab
from assay.lab.store import groups
from assay.lab.store.store import Store
from assay.lab.work.events import Started

STOPS = 60.0
"""Seconds in which what was closed has to have stopped."""


def measured(root):
    """The measures of every run in a store, by folder name."""
    return {
        p.parent.name: p.read_bytes() for p in sorted(root.glob("runs/*/*/measures.safetensors"))
    }


class Counted:
    """An executor, and which tasks it drew and how each ended."""

    def __init__(self, executor):
        self._executor = executor
        self.drawn = []
        self.outcomes = []

    @property
    def width(self):
        """As it says."""
        return int(self._executor.width)

    def map(self, tasks, report):
        """As it does."""

        def note_tasks():
            for task in tasks:
                if task is not None:
                    self.drawn.append(task.group)
                yield task

        with contextlib.closing(self._executor.map(note_tasks(), report)) as outcomes:
            for outcome in outcomes:
                self.outcomes.append(outcome)
                yield outcome


def check_executor(make, experiment, preset, root):
    """The measures of every run, by folder name, after running the preset in an empty store and
    once more.

    Raises: AssertionError with what failed. Compare the return value with that of another executor:
    it is the same bytes."""
    events = []
    executor = make()
    assert executor.width >= 1, "an executor says how many tasks it runs at once"
    assert list(executor.map(iter(()), events.append)) == [], "no tasks, no outcomes"

    counted = Counted(executor)
    lab = Lab(root, counted)
    result = lab.run(experiment, preset, events.append)
    kinds = [type(e).__name__ for e in events]
    assert kinds[0] == "Planned" and kinds[-1] == "Finished", kinds
    assert kinds.count("Started") == kinds.count("Saved") == events[0].groups, (
        "each group starts and is stored once"
    )
    assert sorted(counted.drawn) == sorted(o.group for o in counted.outcomes), (
        "each task has one outcome"
    )
    assert lab.plan(experiment, preset).missing == (), "everything planned is stored"

    second_events = []
    second = Lab(root, make()).run(experiment, preset, second_events.append)
    assert [type(e).__name__ for e in second_events] == ["Finished"], "a second run trains nothing"
    assert second.to_json() == result.to_json(), "and says the same"
    return measured(root)


def check_failing(make, experiment, preset, root):
    """The measures of what is stored, and the error, after a run in which some groups crash and
    others do not.

    Raises: AssertionError with what failed: the others have to be stored, each task has one
    outcome, and the error says what happened."""
    counted = Counted(make())
    try:
        Lab(root, counted).run(experiment, preset)
    except RunError as e:
        error = str(e)
    else:
        raise AssertionError("a crash of the experiment ends the command with a RunError")
    assert sorted(counted.drawn) == sorted(o.group for o in counted.outcomes), (
        "each task has one outcome"
    )
    ended = {
        status: {o.group for o in counted.outcomes if o.status == status}
        for status in ("done", "failed")
    }
    assert ended["done"] and ended["failed"] and not ended["done"] & ended["failed"], (
        "a group fails alone"
    )
    crashed = [groups.read(root / "groups" / name) for name in ended["failed"]]
    assert all(group is not None and group.error for group in crashed), (
        "a crash is noted with its group"
    )
    return measured(root), error


def check_closing(make, experiment, preset, root):
    """Interrupt a run as soon as its first group is begun: soon nothing works at any, and the same
    run then goes on.

    The groups have to take longer than an executor needs to hear of them and to stop them.
    Raises: AssertionError with what failed.
    """

    def interrupt(event):
        if isinstance(event, Started):
            raise KeyboardInterrupt

    lab = Lab(root, make())
    try:
        lab.run(experiment, preset, interrupt)
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError("what `report` raises ends the run")
    begun, until = groups.names(root), time.monotonic() + STOPS
    assert begun, "the groups take long enough to be interrupted"
    for name in begun:
        while not _free(root, name):
            assert time.monotonic() < until, "closing stops what runs"
            time.sleep(0.1)
    assert groups.names(root) == begun, "and leaves what was begun"


def _free(root, group):
    """Whether no process works on a group."""
    with groups.locked(Store(root), group) as free:
        return free
