"""Lab: plan, run, judge, show, check, remove. Everything a command does with an experiment, and what a notebook calls."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core import errors
from assay.core.errors import AssayError, ExperimentError, RunError, StoreError, nearest
from assay.core.experiment import Experiment
from assay.lab import groups as grouping
from assay.lab.events import Event, Failed, Finished, Partial, Planned, Progress, Saved, Started
from assay.lab.executors import Executor, Inline, Workers
from assay.lab.plan import Plan, Row, as_stored, plan
from assay.lab.preset import Preset, override
from assay.lab.schedule import Schedule
from assay.lab.store import Store

if TYPE_CHECKING:
    import xarray as xr

    from assay.lab.result import Result

OnEvent = Callable[[Any], None]
Asked = str | Preset


class Lab:
    """A store, and something that runs tasks.

    Raises: StoreError when the folder `root` is no store this version can read.
    """

    def __init__(self, root: Path | str, executor: Executor | None = None, device: str = "cpu"):
        self.store = Store(root)
        self.executor = executor if executor is not None else Workers()
        self.device = device

    def plan(self, experiment: Experiment, preset: Asked = "default") -> Plan:
        """What `run` would do, per run; nothing is written."""
        return plan(self.store, experiment, _preset(experiment, preset), self._executor(experiment).width)

    def run(self, experiment: Experiment, preset: Asked = "default", on_event: OnEvent | None = None) -> Result:
        """The result, after training and measuring whatever is missing; what was killed is continued.

        Raises: RunError when training crashed (what could be stored is stored); StoreError before anything is written
        when the disk is too small; KeyboardInterrupt at once, resumable.
        """
        tell = on_event or _quiet
        first = self.plan(experiment, preset)
        if first.missing:
            first.require_disk()
            self._work(experiment, first, tell)
        result = self.judge(experiment, preset)
        result.write(self.store)
        tell(Finished(result))
        return result

    def judge(self, experiment: Experiment, preset: Asked = "default", arm: str = "main") -> Result:
        """The verdicts on what is stored; nothing is trained or written. Another `arm` is judged as if it were the method.

        Raises: StoreError when runs are missing; ExperimentError for an unknown arm.
        """
        from assay.lab.result import judge_all

        if arm not in experiment.arms:
            raise ExperimentError(f"{experiment.name} has no arm {arm!r}; {nearest(arm, experiment.arms)}")
        now = plan(self.store, experiment, _preset(experiment, preset), inputs_of=as_stored)
        if now.missing:
            why = now.missing[0].why
            raise StoreError(
                f"{len(now.missing)} of {len(now.rows)} runs of {experiment.name} ({now.preset.title}) are not stored ({why}); "
                f"run: assay run {experiment.name}{now.preset.options}"
            )
        for name, rows in now.by_arm().items():
            read = {tuple(sorted(r.inputs.items())) for r in rows}
            if len(read) > 1:
                told = " and ".join(", ".join(f"{k} {v[:12]}" for k, v in one) or "nothing" for one in sorted(read))
                raise StoreError(
                    f"the stored runs of arm {name} read different things ({told}); run: assay run {experiment.name}"
                )
        return judge_all(experiment, now, load(now), arm)

    show = judge

    def check(self, result: Result, record: Mapping[str, Any]) -> list[Any]:
        """Where a result differs from a committed record: outcomes, and estimates outside both intervals."""
        from assay.lab.records import check

        return check(result, record)

    def removable(self, experiment: str, preset: str | None = None) -> list[tuple[Path, int]]:
        """What `remove` would delete: folders and files with their bytes, results first. Looks stay: they cannot be rebuilt."""
        from assay.lab.store import size

        root = self.store.root
        results = [p for p in sorted((root / "results" / experiment).glob("*.json")) if preset in (None, p.stem)]
        runs = [root / "runs" / experiment] if preset is None and (root / "runs" / experiment).exists() else []
        begun = [g.folder for g in grouping.unfinished(self.store, experiment)] if preset is None else []
        return [(p, size(p)) for p in (*results, *begun, *runs)]

    def remove(self, experiment: str, preset: str | None = None) -> int:
        """Bytes freed by deleting the stored runs and results of an experiment, or one preset's result only."""
        freed = 0
        for path, n in self.removable(experiment, preset):
            if path.parent.name == "groups":
                with self.store.lock(f"group-{path.name}"):
                    self.store.remove(path)
            else:
                self.store.remove(path)
            freed += n
        return freed

    def _executor(self, experiment: Experiment) -> Executor:
        return self.executor if experiment.origin else Inline()  # functions do not travel: a worker needs a file to find them

    def _work(self, experiment: Experiment, first: Plan, tell: OnEvent) -> None:
        self.store.prepare()
        with self.store.lock("groups"):
            begun = list(grouping.unfinished(self.store, experiment.name))
            inputs = {r.job.key: r.inputs for r in first.rows}
            now = plan(self.store, experiment, first.preset, inputs_of=lambda job, _: inputs[job.key])
            formed = grouping.form(self.store, experiment, [r.wanted for r in now.missing], begun)
        schedule = Schedule(self.store, experiment, formed, now.per_run, self.device)
        tell(Planned(first, len(formed)))
        watch = _Watch(self.store, experiment, now, schedule, tell)
        with contextlib.closing(self._executor(experiment).map(schedule.tasks(watch.starting), watch.heard)) as outcomes:
            for outcome in outcomes:
                schedule.settle(outcome)
                watch.settled(outcome)
        watch.close()
        if schedule.failed:
            raise _error(schedule, experiment)


def load(now: Plan) -> dict[str, xr.Dataset]:
    """The stored measures of each trained arm, for the runs of the plan that are stored; arms without any are left out."""
    from assay.core.measures import stack

    arms = {}
    for arm, rows in now.by_arm().items():
        there = [(r.job.spec, r.stored) for r in rows if r.state == "cached" and r.stored is not None]
        if there:
            arms[arm] = stack([s for s, _ in there], [stored.measures() for _, stored in there])
    return arms


def _preset(experiment: Experiment, preset: Asked) -> Preset:
    return preset if isinstance(preset, Preset) else override(experiment, preset)


def _quiet(event: Event) -> None:
    """Nobody watches."""


def _error(schedule: Schedule, experiment: Experiment) -> AssayError:
    first = schedule.failed[0]
    arms = ", ".join(schedule.groups[first.group].arms)
    kind = getattr(errors, first.error, RunError)
    if kind is not RunError:
        return kind(first.text)
    count = f"{len(schedule.failed)} of {len(schedule.groups)} groups" if len(schedule.failed) > 1 else "one group"
    return RunError(f"{count} of {experiment.name} crashed, arm {arms}: {first.text}")


class _Watch:
    """Turns outcomes into events: counts what is stored, tells how long it will take, and judges now and then what is there."""

    def __init__(self, store: Store, experiment: Experiment, now: Plan, schedule: Schedule, tell: OnEvent):
        self._store, self._experiment, self._now, self._schedule, self._tell = store, experiment, now, schedule, tell
        self._started = time.monotonic()
        self._first_cost = schedule.left()
        self._done_share: dict[str, float] = {}
        self._judging: threading.Thread | None = None
        self._next_look = 0.0
        self._closed = False

    def starting(self, group: grouping.RunGroup) -> None:
        self._tell(Started(group.name, tuple(group.arms), len(group.members)))

    def heard(self, event: Any) -> None:
        if isinstance(event, Progress):
            self._done_share[event.group] = event.done / event.total if event.total else 0.0
            event = Progress(event.group, event.arms, event.done, event.total, event.numbers, self._eta())
        self._tell(event)

    def settled(self, outcome: Any) -> None:
        group = self._schedule.groups[outcome.group]
        self._done_share.pop(outcome.group, None)
        if outcome.status == "failed":
            self._tell(Failed(group.name, tuple(group.arms), outcome.text))
        elif outcome.status == "done":
            runs = len(self._now.cached) + sum(len(self._schedule.groups[n].members) for n in self._schedule.done)
            self._tell(Saved(group.name, tuple(group.arms), min(runs, len(self._now.rows)), len(self._now.rows)))
            self._look()

    def close(self) -> None:
        self._closed = True
        if self._judging is not None:
            self._judging.join()

    def _eta(self) -> float | None:
        left = self._schedule.left() - sum(self._schedule.cost(n) * share for n, share in self._done_share.items())
        done = self._first_cost - left
        elapsed = time.monotonic() - self._started
        return elapsed * left / done if done > 0.02 * self._first_cost and elapsed > 1 else None

    def _look(self) -> None:
        """Judge in a thread what every arm has by now, at most a twentieth of the time, so that training is not held up."""
        alive = self._judging is not None and self._judging.is_alive()
        if alive or self._tell is _quiet or not self._schedule.left() or time.monotonic() < self._next_look:
            return
        self._judging = threading.Thread(target=self._judge, daemon=True)
        self._judging.start()

    def _judge(self) -> None:
        from assay.lab.result import judge_all

        started = time.monotonic()
        try:
            now = plan(self._store, self._experiment, self._now.preset, inputs_of=as_stored)
            arms, seeds = common_seeds(now)
            if seeds and now.missing:
                result = judge_all(self._experiment, now, arms, figures=False)
                if not self._closed:
                    self._tell(Partial(result, seeds))
        except Exception:
            pass  # too little is there; the last judging, on everything, says what stays wrong
        self._next_look = time.monotonic() + max(2.0, 20 * (time.monotonic() - started))


def common_seeds(now: Plan) -> tuple[dict[str, xr.Dataset], int]:
    """The measures of the seeds that every arm has completely, and how many these are."""
    import numpy as np

    def whole(rows: Sequence[Row]) -> set[int]:
        return {r.job.spec.seed for r in rows} - {r.job.spec.seed for r in rows if r.state == "missing"}

    by_arm = now.by_arm()
    seeds = set.intersection(*(whole(rows) for rows in by_arm.values()))
    if not seeds:
        return {}, 0
    return {arm: data.isel(run=np.isin(data.seed.values, sorted(seeds))) for arm, data in load(now).items()}, len(seeds)
