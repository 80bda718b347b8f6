"""Work: the missing runs of an experiment on their way into the store.

First seeds go first; among these the dearest; parents before those that build on them; groups that
another process holds are tried again later, and waited for only at the end.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from heapq import heappop, heappush
from typing import Any

from assay.core import errors, heavy
from assay.core.compute import Range
from assay.core.errors import AssayError, RunError
from assay.core.experiment import Experiment
from assay.lab.plan.plan import Plan, PlannedRun, replan
from assay.lab.store import groups as grouping
from assay.lab.store import origin
from assay.lab.store.groups import RunGroup, forming
from assay.lab.store.runs import Stored, folder_end, renamed
from assay.lab.store.store import Store
from assay.lab.work.events import Executor, Failed, Outcome, Planned, Progress, Saved, Started, Task
from assay.lab.work.slots import Slots

Tell = Callable[[Any], None]
OFF = 1.5
"""By which factor the time left may be off."""


class Work:
    """One experiment's missing runs on their way into the store: its groups, their order, and what
    is reported: what is stored, and how long it will take."""

    def __init__(self, store: Store, experiment: Experiment, first: Plan, device: str, tell: Tell):
        self.experiment, self.first = experiment, first
        self.eta: Callable[[], Range | None] = lambda: None
        """How fast groups go, and the time that is left of everything that is being done."""
        self.planned = first.cpu_seconds is not None
        """Whether it is known what each of its runs takes; if not, each counts as one."""
        self.error: Exception | None = None
        """A user's error, a crash, or why no groups could be formed; None while nothing went
        wrong."""
        self._store, self._device, self._tell = store, device, tell
        self._schedule: Schedule | None = None
        self._new: list[grouping.RunGroup] = []
        self._now = first

    @property
    def begun(self) -> bool:
        """True once its groups are formed, or could not be."""
        return self._schedule is not None or self.error is not None

    @property
    def over(self) -> bool:
        """True when no more tasks will start, and no work that it waits for is running."""
        return self.begun and (self._schedule is None or self._schedule.over)

    def tasks(self) -> Iterator[Task | None]:
        """Its tasks; the groups are formed when the first is drawn. None while all that is left
        waits for another."""
        try:
            self._form()
        except Exception as e:  # whatever it is, other works go on
            self.error = e
        if self._schedule is not None:
            yield from self._schedule.tasks()

    def has(self, group: str) -> bool:
        """True when the group belongs to this work."""
        return self._schedule is not None and group in self._schedule.groups

    def heard(self, event: Any) -> None:
        """Pass on what a worker reported about it, with the time that is left."""
        assert self._schedule is not None
        if isinstance(event, Progress):
            event = replace(event, eta=self.eta())
        self._tell(event)

    def settle(self, outcome: Outcome) -> None:
        """Record and tell how one of its tasks ended."""
        assert self._schedule is not None
        schedule, group = self._schedule, self._schedule.groups[outcome.group]
        schedule.settle(outcome)
        if outcome.status == "done":
            total = len(self._now.rows)
            stored = min(len(self._now.cached) + schedule.runs_done, total)
            self._tell(Saved(group.name, tuple(group.arms), stored, total, self.eta()))
        if outcome.status == "failed":
            self._tell(Failed(group.name, tuple(group.arms), outcome.text))
            self.error = _error(schedule, self.experiment)
            if outcome.error not in ("RunError", "StoreError"):
                # the user must fix it, and every other group would end like this one
                schedule.give_up()

    def left(self) -> float:
        """CPU-seconds of what is neither stored nor given up; runs where it is not known what each
        takes."""
        if self._schedule is not None:
            return self._schedule.left()
        if self.error is not None:
            return 0.0
        cpu = self.first.cpu_seconds
        return len(self.first.missing) if cpu is None else cpu

    def cost(self, group: str) -> float:
        """What one of its groups costs, in the same; 0 of a group that it does not have."""
        return self._schedule.cost(group) if self._schedule and self.has(group) else 0.0

    def close(self) -> None:
        """Close it, when none of its tasks runs. A mistake of the user's leaves no trace in the
        store."""
        failed = self._schedule.failed if self._schedule is not None else []
        if failed and failed[-1].error not in ("RunError", "StoreError"):
            for group in self._new:
                if group.folder.exists() and not group.step:
                    self._store.remove(group.folder)

    def _form(self) -> None:
        self.first.require_disk()
        self._store.prepare()
        with grouping.forming(self._store):
            origin.claim(self._store, self.experiment)
            begun = list(grouping.unfinished(self._store, self.experiment.name))
            # another command may have stored some of its runs since
            if self._store.listing(self.experiment.name) != self.first.listing:
                self._now = replan(self._store, self.experiment, self.first)
            formed = grouping.form(self._store, self.experiment, self._now.wanted, begun)
        self._new = [g for g in formed if g.name not in {b.name for b in begun}]
        per_run = self.first.per_run if self.planned else {}
        schedule = Schedule(self._store, self.experiment, formed, per_run, self._device)
        self._tell(Planned(self.first, len(formed)))
        self._schedule = schedule


def work(store: Store, executor: Executor, one: Work, slots: Slots | None = None) -> None:
    """Store every run of this work, unless it ends in an error, which `one.error` then has. With
    `slots`, each task waits until this machine has room for it.

    Raises: AssayError before anything is written where torch is not installed; KeyboardInterrupt at
    once, and the same call then goes on where it was.
    """
    heavy.require("torch")
    fresh = not store.root.exists()
    pace = Pace(one)
    one.eta = pace.eta

    def heard(event: Any) -> None:
        pace.heard(event)
        if one.has(getattr(event, "group", "")) or (one.begun and not one.over):
            one.heard(event)

    with contextlib.ExitStack() as stack:
        # nothing is frozen meanwhile; another command may run it as well
        place = store, one.experiment.name, one.first.preset.title
        stack.enter_context(grouping.running(*place))
        tasks = one.tasks()
        if slots is not None:
            slots = stack.enter_context(slots.entered())
            tasks = slots.shared_out(tasks, one._tell, patient=True)
        outcomes = stack.enter_context(contextlib.closing(executor.map(tasks, heard)))
        for outcome in outcomes:
            pace.ended(outcome.group)
            one.settle(outcome)
            if slots is not None:
                slots.ended(one.left() if one.planned else None)
            if one.over:
                break  # what still runs belongs to a work that was given up
    one.close()
    root = store.root
    if (
        fresh
        and one.error
        and not any(any(root.glob(f"{part}/*")) for part in ("runs", "groups", "artefacts"))
    ):
        shutil.rmtree(root, ignore_errors=True)  # a store that was made for a mistake


class Pace:
    """How fast a work goes on, by what of it is stored, and how far the groups are that run."""

    def __init__(self, one: Work):
        self._work, self._cost = one, one.left()
        self._began: float | None = None
        self._done = self._when = 0.0
        """How much of the cost is done, and when the last part was."""
        self._shares: dict[str, float] = {}
        """Which share of each group that runs is done."""

    def heard(self, event: Any) -> None:
        """Take what a worker reported."""
        if isinstance(event, Started | Progress) and self._began is None:
            self._began = time.monotonic()
        if isinstance(event, Progress) and event.total:
            self._shares[event.group] = event.done / event.total

    def ended(self, group: str) -> None:
        """Note that a group runs no more."""
        self._shares.pop(group, None)

    def eta(self) -> Range | None:
        """The seconds that are left; None before anything is stored, and when they should be
        over."""
        left, now = self._work.left(), time.monotonic()
        # a sum that nothing was taken from may have changed in its last digit
        nothing = self._cost - left <= 1e-9 * self._cost
        if nothing or self._began is None:
            return None
        left -= sum(share * self._work.cost(group) for group, share in self._shares.items())
        if self._cost - left != self._done:
            self._done, self._when = self._cost - left, now
        return time_left(left / self._done, self._when - self._began, now - self._when)


def time_left(left: float, spent: float, since: float) -> Range | None:
    """About how many seconds are left, if the rest goes on at the pace of what is done; None where
    they should be over by now: the rest is then slower, and nothing says by how much.

    Args:
        left: the cost of the rest, as a multiple of that of what is done.
        spent: the seconds after which the last of that was done, and `since` those since then.
    """
    seconds = left * spent - since
    return Range.about(seconds, OFF) if seconds >= 1 else None


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


_BUSY = 0.5  # seconds until a group that another process holds is tried again


class Schedule:
    """The groups of one command on their way to being stored; `tasks` hands them out, `settle`
    takes the outcomes. Each costs the same however many there are."""

    def __init__(
        self,
        store: Store,
        experiment: Experiment,
        groups: Sequence[RunGroup],
        per_run: Mapping[str, float],
        device: str,
    ):
        self.groups = {g.name: g for g in groups}
        self._store, self._experiment, self._device = store, experiment, device
        self._per_run = per_run
        home = {key: name for name, g in self.groups.items() for key in g.keys}
        self._parents = {
            name: {home[key] for key in g.parents if key in home} - {name}
            for name, g in self.groups.items()
        }
        self._children: dict[str, list[str]] = {name: [] for name in self.groups}
        for name, parents in self._parents.items():
            for parent in parents:
                self._children[parent].append(name)
        self._given_up = False
        self._ready: list[tuple[int, float, str]] = []
        self._again: list[tuple[float, str]] = []
        self._open = set(self.groups)
        self._left = sum(map(self.cost, self._open))
        self._running: set[str] = set()
        for name, parents in self._parents.items():
            if not parents:
                self._offer(name)
        self.failed: list[Outcome] = []
        self.runs_done = 0

    def tasks(self) -> Iterator[Task | None]:
        """The next task, or None while all that is left waits for another; ends when nothing is
        left."""
        while self._open:
            name = self._next()
            if name is None:
                yield None
                continue
            self._running.add(name)
            root, e = str(self._store.root.absolute()), self._experiment
            yield Task(root, name, e.name, e.origin, self._device, experiment=e)

    def settle(self, outcome: Outcome) -> None:
        """Record how this task ended. What builds on a failed group is given up."""
        name = outcome.group
        self._running.discard(name)
        if outcome.status == "busy" and not self._given_up:
            heappush(self._again, (time.monotonic() + _BUSY, name))
            return
        self._close(name)
        if outcome.status == "done":
            self.runs_done += len(self.groups[name].members)
            for child in self._children[name]:
                self._parents[child].discard(name)
                if not self._parents[child] and child in self._open:
                    self._offer(child)
        elif outcome.status == "failed":
            self.failed.append(outcome)
            lost = list(self._children[name])
            while lost:
                child = lost.pop()
                if child in self._open:
                    self._close(child)
                    lost += self._children[child]

    def give_up(self) -> None:
        """Hand out no other group."""
        for name in self._open - self._running:
            self._close(name)
        self._given_up = True

    @property
    def over(self) -> bool:
        """True when nothing is left that would be waited for."""
        return self._given_up or not self._open

    def left(self) -> float:
        """The cost of everything that is not stored or given up, in the units of `per_run`."""
        return self._left if self._open else 0.0

    def cost(self, name: str) -> float:
        """The cost of one group, in the units of `per_run`."""
        arms = self.groups[name].arms
        return sum(self._per_run.get(arm, 1.0) * len(members) for arm, members in arms.items())

    def _offer(self, name: str) -> None:
        seed = min(int(m.spec["seed"]) for m in self.groups[name].members)
        heappush(self._ready, (seed, -self.cost(name), name))

    def _next(self) -> str | None:
        """The next group that can be handed out now."""
        while self._ready:
            name = heappop(self._ready)[2]
            if name in self._open:
                return name
        while self._again and self._again[0][0] <= time.monotonic():
            name = heappop(self._again)[1]
            if name in self._open:
                return name
        return None

    def _close(self, name: str) -> None:
        if name in self._open:
            self._open.discard(name)
            self._left -= self.cost(name)


def take(store: Store, experiment: Experiment, plan: Plan) -> Mapping[str, int]:
    """Store the missing runs of a plan that other studies have measured, as their files are, and
    count them by the name of the study.

    Only arms that ask a model are taken: their specs say all that is measured, and their inputs the
    content of what is read. Raises: StoreError."""
    materials = experiment.materials
    if materials is None:
        return {}
    taken_arms = {arm for arm in plan.by_arm() if materials.measures(arm)}
    missing = [r for r in plan.missing if r.parent is None and r.job.arm in taken_arms]
    if not missing:
        return {}
    by_end: dict[str, list[tuple[str, str]]] = {}
    for folder in sorted((store.root / "runs").glob("*")):
        for name in store.names(folder.name) if folder.name != experiment.name else ():
            by_end.setdefault(name.partition("-")[2], []).append((folder.name, name))
    taken = Counter[str]()
    files = []
    with forming(store):
        for row in missing:
            for other, name in by_end.get(folder_end(row.job.arm, row.job.spec.seed), ()):
                run = store.at(store.root / "runs" / other / name)
                if isinstance(run, Stored) and _is_same(run, row, experiment):
                    files.append(renamed(run, row.job))
                    taken[other] += 1
                    break
        if files:
            origin.claim(store, experiment)
            store.take(files)
    return taken


def _is_same(run: Stored, row: PlannedRun, experiment: Experiment) -> bool:
    """Whether a run of another study is what this one would measure, as it would measure it."""
    return (
        run.spec_json == row.job.spec.to_json()
        and origin.compared(experiment, run.inputs) == dict(row.inputs)
        and (run.version, run.measured) == (experiment.version, experiment.measured)
        and not run.read
        and not run.unchecked
    )
