"""SLURM: groups are tasks of job arrays, submitted by submitit; all nodes see the store's folder.

Submitit begins a job again that is out of time, and SLURM one that was preempted or lost its node:
the group resumes from its last checkpoint. A job that ends without effect is submitted again here.

Source: github.com/facebookincubator/submitit (1.5); slurm.schedmd.com/squeue.html."""

from __future__ import annotations

import contextlib
import json
import math
import secrets
import subprocess
import sys
import time
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from assay.core import foreign, heavy
from assay.core.errors import EngineError
from assay.core.heavy import torch
from assay.core.plain import plain
from assay.lab.store import groups
from assay.lab.store.atomic import explained, write
from assay.lab.store.folder import discard
from assay.lab.store.groups import RunGroup
from assay.lab.store.provenance import THREADS
from assay.lab.store.store import Store
from assay.lab.work.events import Outcome, Relay, Report, Said, Task, from_line, to_line
from assay.lab.work.worker import note_failure, run_group

TRIES = 3
"""How often a group is submitted whose job ends without effect."""
TIMEOUTS = 100
"""How often a job that is out of time is begun again."""
ARRAY = 1000
"""Tasks in a job array at most; clusters allow as many by default."""
POLL = 3.0
"""Seconds between two looks at the jobs, and at a group on which another command works."""
APPEARS = 60.0
"""Seconds until a folder that machines share shows what another one wrote, at the latest."""
_END = object()


@dataclass
class _Queued:
    """A group that was submitted."""

    task: Task
    group: RunGroup
    job: Any = None
    tries: int = 0
    over: float | None = None
    """When its job was first seen to be over, without effect."""
    line: bytes = b""
    """What its job last said."""


class Slurm:
    """Runs tasks as jobs of SLURM's, `workers` at the same time, each of at most so many minutes.

    `parameters` are submitit's, such as partition or gpus_per_node; any other is an option of
    sbatch. What submitit writes is in `<root>/slurm/`, until everything has ended well.
    """

    def __init__(
        self,
        root: Path,
        workers: int = 8,
        threads: int = 1,
        minutes: int = 60,
        parameters: Mapping[str, Any] = MappingProxyType({}),
    ):
        heavy.require("submitit")
        self.width, self._threads = workers, threads
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        self._folder = root.absolute() / "slurm" / name
        self._parameters: dict[str, Any] = {"job_name": "assay", "cpus_per_task": threads}
        self._parameters |= {"time": minutes, "array_parallelism": workers, **parameters}

    def map(self, tasks: Iterable[Task | None], report: Report) -> Generator[Outcome, None, None]:
        """The outcome of each task as it ends. Raises: EngineError with sbatch's own words."""
        source, relay, queue, well = iter(tasks), Relay(report), list[_Queued](), True
        task: object = None
        try:
            while task is not _END or queue:
                new = list[_Queued]()
                while isinstance(task := next(source, _END), Task):
                    if group := groups.read(Path(task.root, "groups", task.group)):
                        new.append(_Queued(task, group))
                    else:  # another process finished it
                        yield Outcome(task.group, "done")
                self._submit(new)
                queue += new
                listed = _listed([queued.job.job_id for queued in queue])
                for queued in list(queue):
                    if outcome := self._look(queued, queued.job.job_id in listed, relay, report):
                        queue.remove(queued)
                        well = well and outcome.status == "done"
                        yield outcome
                if queue or task is not _END:
                    time.sleep(POLL)
        finally:
            if queue:
                subprocess.run(["scancel", "--quiet", *(queued.job.job_id for queued in queue)])
            elif well:
                discard(self._folder)

    def _submit(self, queue: Sequence[_Queued]) -> None:
        import submitit

        parameters = dict(self._parameters)
        setup = [f"export {name}={self._threads}" for name in THREADS]
        setup += ["export PYTHONSAFEPATH=1", *parameters.pop("setup", ())]
        names = submitit.SlurmExecutor._valid_parameters()
        more = {name: parameters.pop(name) for name in [*parameters] if name not in names}
        try:
            for chunk in (queue[i : i + ARRAY] for i in range(0, len(queue), ARRAY)):
                with explained(self._folder):
                    engine = submitit.SlurmExecutor(self._folder, max_num_timeout=TIMEOUTS)
                    engine.update_parameters(**parameters, setup=setup, additional_parameters=more)
                    lines = [queued.task.to_json() for queued in chunk]
                    jobs = engine.map_array(Job(), lines, [self._threads] * len(chunk))
                for queued, job in zip(chunk, jobs, strict=True):
                    queued.job, queued.over, queued.tries = job, None, queued.tries + 1
        except (RuntimeError, ValueError) as e:
            raise EngineError(f"SLURM: {plain(' '.join(str(e).split()))[:500]}") from e

    def _look(self, queued: _Queued, listed: bool, relay: Relay, report: Report) -> Outcome | None:
        """How a group ended; None while it has not."""
        group, job = queued.group, queued.job
        with contextlib.suppress(OSError):
            if (line := foreign.read_stored(group.folder / "progress.json")) != queued.line:
                queued.line = line
                relay.line(line.decode(errors="replace"), {group.name: group})
        kind, why = "RunError", "its job ended without effect"
        if not job.paths.result_pickle.exists():
            if listed:
                queued.over = None
                return None
        elif job.exception() is None:
            outcome = from_line(job.result())
            assert isinstance(outcome, Outcome)
            there = Store(queued.task.root).get_each(group.places, group.experiment)
            if outcome.status != "done" or len(there) == len(group.keys):
                relay.begin(group)
                return outcome
        else:
            kind, why, queued.tries = "EngineError", "its job failed", TRIES
            queued.over = -math.inf
        queued.over = time.monotonic() if queued.over is None else queued.over
        if time.monotonic() - queued.over < APPEARS:
            return None
        if queued.tries < TRIES:
            report(Said(f"{why}, and its group is submitted again: {job.paths.stderr}"))
            self._submit([queued])
            return None
        text = f"{why}; what it said is in {job.paths.stderr}"
        note_failure(group.folder, kind, text)
        return Outcome(group.name, "failed", error=kind, text=text)


def _listed(ids: Sequence[str]) -> Collection[str]:
    """Those of these jobs that wait or run; all, where SLURM does not say."""
    arrays = ",".join({job.partition("_")[0] for job in ids})
    words = ["squeue", "--noheader", "--array", "--format=%i", f"--jobs={arrays}"]
    listing = subprocess.run(words, capture_output=True, text=True) if ids else None
    # a job that squeue has forgotten is an error to it
    if listing is None or (listing.returncode and "invalid job id" not in listing.stderr.lower()):
        return ids
    return listing.stdout.split()


class Job:
    """What works on a group on a node; submitit begins it again where it is preempted or out of
    time."""

    _leaving = False

    def __call__(self, line: str, threads: int) -> str:
        """How the group of this task ended, as a line."""
        task = replace(Task(**json.loads(line)), since=time.time())
        folder, last = Path(task.root, "groups", task.group), 0.0

        def report(event: Any) -> None:
            nonlocal last
            if time.monotonic() - last >= 1:
                last = time.monotonic()
                with contextlib.suppress(OSError):
                    write(folder / "progress.json", to_line(event).encode())

        torch.set_num_threads(threads)
        store, until = Store(task.root), time.monotonic() + APPEARS
        while time.monotonic() < until:  # the group, and the runs that it builds on, are seen here
            group = groups.read(folder)
            if group and all(store.get(p, group.experiment) for p in group.parents):
                break
            time.sleep(1)
        while (outcome := run_group(task, report)).status == "busy":
            time.sleep(POLL)
        if self._leaving:  # it ended since submitit ends this process, to begin it again
            discard(folder / "failed.json")
            sys.exit(1)
        return to_line(outcome)

    def checkpoint(self, *arguments: Any) -> Any:
        """What submitit begins again: the same, which resumes from its own checkpoint."""
        from submitit.helpers import DelayedSubmission

        self._leaving = True
        return DelayedSubmission(Job(), *arguments)
