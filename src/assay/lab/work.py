"""Work: missing runs on their way into the store, of one experiment or of several that share the
workers.

The next experiment starts as soon as a worker finds nothing to do in those before it, so that no
core waits for the last group of one while another has groups left.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from assay.core import errors, extras
from assay.core.compute import Range
from assay.core.errors import AssayError, RunError
from assay.core.experiment import Experiment
from assay.lab import depot, ownership
from assay.lab import groups as grouping
from assay.lab.events import Outcome, Planned
from assay.lab.executors import Executor
from assay.lab.plan import Plan, as_planned, expected, plan
from assay.lab.schedule import Schedule
from assay.lab.store import Store
from assay.lab.time_left import Amount, Pace
from assay.lab.watch import Watch
from assay.lab.worker import Task

Tell = Callable[[Any], None]
_END: Any = object()


class Work:
    """One experiment's missing runs on their way into the store: its groups, their order, and who
    is told."""

    def __init__(self, store: Store, experiment: Experiment, first: Plan, device: str, tell: Tell):
        self.experiment, self.first = experiment, first
        self.early = True
        """Whether verdicts are told before everything is stored; where more than this is being done
        they cost others time."""
        self.pace: Pace = Pace(1)
        self.eta: Callable[[], Range | None] = _nothing
        """How fast groups go, and the time that is left of everything that is being done."""
        self._store, self._device, self._tell = store, device, tell
        self._schedule: Schedule | None = None
        self._watch: Watch | None = None
        self._new: list[grouping.RunGroup] = []
        self.error: Exception | None = None
        """What a user can mend, a crash, or why no groups could be formed; None while nothing went
        wrong."""

    @property
    def begun(self) -> bool:
        """True once its groups are formed, or could not be."""
        return self._watch is not None or self.error is not None

    @property
    def over(self) -> bool:
        """True when nothing of it will be handed out any more, and nothing that could still help is
        running."""
        return self.begun and (self._schedule is None or self._schedule.over)

    def tasks(self) -> Iterator[Task | None]:
        """Its tasks; the groups are formed when the first is drawn. None while all that is left
        waits for another."""
        try:
            self._form()
        except Exception as e:  # whatever it is, other works go on
            self.error = e
        if self._schedule is not None and self._watch is not None:
            yield from self._schedule.tasks()

    def has(self, group: str) -> bool:
        """True when the group is one of its own."""
        return self._schedule is not None and group in self._schedule.groups

    def heard(self, event: Any) -> None:
        """Pass on what a worker reported about it."""
        assert self._watch is not None
        self._watch.heard(event)

    def settle(self, outcome: Outcome) -> None:
        """Record how one of its tasks ended."""
        assert self._schedule is not None and self._watch is not None
        self._schedule.settle(outcome)
        self._watch.settled(outcome)
        if outcome.status == "failed":
            self.error = _error(self._schedule, self.experiment)
            if outcome.error not in ("RunError", "StoreError"):
                # the user's to mend, and every other group would end like this one
                self._schedule.give_up()

    def left(self) -> float:
        """CPU-seconds of what is neither stored nor given up, an unknown run counted as one."""
        return (
            self._watch.left()
            if self._watch is not None
            else 0.0
            if self.error
            else expected(self.first)
        )

    def amounts(self) -> list[Amount]:
        """What is neither stored nor given up, a kind each; before its groups are formed, as one
        kind."""
        if self._schedule is not None:
            return self._schedule.amounts()
        if self.error is not None or not self.first.missing:
            return []
        known = all(r.job.arm in self.first.per_run for r in self.first.missing)
        cost, runs = expected(self.first) if known else None, len(self.first.missing)
        return [Amount((self.experiment.name,), cost, runs)]

    def chain(self) -> float:
        """The CPU-seconds of the longest chain of its groups, of which each waits for another."""
        return self._schedule.chain() if self._schedule is not None else 0.0

    def close(self) -> None:
        """Close it, when nothing of it runs. A mistake of the user's leaves no trace in the
        store."""
        if self._watch is not None:
            self._watch.close()
        if (
            self._schedule is not None
            and self._schedule.failed
            and self._schedule.failed[-1].error not in ("RunError", "StoreError")
        ):
            for group in self._new:
                if group.folder.exists() and not group.step:
                    self._store.remove(group.folder)

    def _form(self) -> None:
        self.first.require_disk()
        self._store.prepare()
        remote = depot.open_depot(self._store.root)
        if remote is not None:
            remote.groups(self.experiment.name)
        with grouping.forming(self._store):
            ownership.claim(self._store, self.experiment)
            begun = list(grouping.unfinished(self._store, self.experiment.name))
            current_plan = plan(
                self._store, self.experiment, self.first.preset, inputs_of=as_planned(self.first)
            )
            formed = grouping.form(
                self._store, self.experiment, [r.wanted for r in current_plan.missing], begun
            )
        self._new = [g for g in formed if g.name not in {b.name for b in begun}]
        if remote is not None:
            remote.formed(formed)
        schedule = Schedule(self._store, self.experiment, formed, self.first.per_run, self._device)
        self._tell(Planned(self.first, len(formed)))
        self._schedule, self._watch = (
            schedule,
            Watch(
                self._store,
                self.experiment,
                current_plan,
                schedule,
                self._tell,
                self.pace,
                self.eta,
                self.early,
            ),
        )


def work(
    store: Store,
    executor: Executor,
    works: Sequence[Work],
    whole: Callable[[Work], None] = lambda one: None,
) -> None:
    """Store every run of these works, unless one ends in an error. `whole` is told of each as soon
    as it is over.

    Raises: AssayError before anything is written where torch is not installed; KeyboardInterrupt at
    once, and the same call then goes on where it was.
    """
    if works:
        extras.require("torch")
    fresh, remaining = not store.root.exists(), list(works)
    pace = Pace(executor.width)

    def eta() -> Range | None:
        pace.width = executor.width  # workers may join and go
        left = sum(w.left() for w in works)
        chain = max((w.chain() for w in works), default=0.0) / left if left > 0 else 0.0
        return pace.left([a for w in works for a in w.amounts()], chain)

    for work_item in works:
        work_item.pace, work_item.eta = pace, eta

    def tell() -> None:
        for work_item in [w for w in remaining if w.over]:
            remaining.remove(work_item)
            whole(work_item)

    def heard(event: Any) -> None:
        candidates = [w for w in works if w.has(getattr(event, "group", ""))] or [
            w for w in works if w.begun and not w.over
        ]
        for work_item in candidates[:1]:
            work_item.heard(event)

    with contextlib.closing(executor.map(_tasks(works), heard)) as outcomes:
        for outcome in outcomes:
            next(w for w in works if w.has(outcome.group)).settle(outcome)
            tell()
            if not remaining:
                break  # what still runs belongs to a work that was given up
    tell()
    for work_item in works:
        work_item.close()
    root = store.root
    if (
        fresh
        and all(w.error for w in works)
        and not any(any(root.glob(f"{part}/*")) for part in ("runs", "groups", "artefacts"))
    ):
        shutil.rmtree(root, ignore_errors=True)  # a store that was made for a mistake


def _tasks(works: Sequence[Work]) -> Iterator[Task | None]:
    """The next task of the first work that has one ready; another work is begun only when none of
    those begun has."""
    later = [w.tasks() for w in works]
    active_iterators: list[Iterator[Task | None]] = []
    while active_iterators or later:
        for task_iterator in list(active_iterators):
            task = next(task_iterator, _END)
            if task is _END:
                active_iterators.remove(task_iterator)
            elif task is not None:
                yield task
                break
        else:
            if later:
                active_iterators.append(later.pop(0))
            elif active_iterators:
                yield None


def _nothing() -> Range | None:
    return None


def _error(schedule: Schedule, experiment: Experiment) -> AssayError:
    first = schedule.failed[0]
    arms = ", ".join(schedule.groups[first.group].arms)
    kind = getattr(errors, first.error, RunError)
    if kind is not RunError:
        error: AssayError = kind(first.text)
        return error
    count = (
        f"{len(schedule.failed)} of {len(schedule.groups)} groups"
        if len(schedule.failed) > 1
        else "one group"
    )
    return RunError(f"{count} of {experiment.name} crashed, arm {arms}: {first.text}")
