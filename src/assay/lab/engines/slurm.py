"""SLURM: groups are tasks of job arrays, submitted by submitit; all nodes see the store's folder.

Submitit begins a job again that is out of time, and SLURM one that was preempted or lost its node:
the group resumes from its last checkpoint. A job that ends without effect is submitted again here.

Source: github.com/facebookincubator/submitit (1.5); slurm.schedmd.com/squeue.html."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import time
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from assay.core import foreign, heavy
from assay.core.errors import EngineError
from assay.core.plain import plain
from assay.lab.engines.job import APPEARS, Job
from assay.lab.engines.relay import Relay
from assay.lab.store import groups
from assay.lab.store.atomic import explained
from assay.lab.store.folder import discard
from assay.lab.store.groups import RunGroup
from assay.lab.store.provenance import THREADS
from assay.lab.store.store import Store
from assay.lab.work.events import Outcome, Report, Said, Task, from_line
from assay.lab.work.worker import note_failure

TRIES = 3
"""How often a group is submitted whose job ends without effect."""
TIMEOUTS = 100
"""How often a job that is out of time is begun again."""
ARRAY = 1000
"""Tasks in a job array at most; clusters allow as many by default."""
POLL = 3.0
"""Seconds between two looks at the jobs."""


@dataclass
class _Queued:
    """A group that was submitted."""

    task: Task
    group: RunGroup
    job: Any = None
    tries: int = 0
    over: float | None = None
    """When its job was first seen to be over, without effect."""
    line: str = ""
    """What its job last said."""

    @property
    def stored(self) -> bool:
        """Whether all its runs are there."""
        stored_runs = Store(self.task.root).get_each(self.group.places, self.group.experiment)
        return len(stored_runs) == len(self.group.keys)


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
        self._parameters: dict[str, Any] = {
            "job_name": "assay",
            "cpus_per_task": threads,
            "time": minutes,
        }
        self._parameters |= {"array_parallelism": workers, **parameters}

    def map(self, tasks: Iterable[Task | None], report: Report) -> Generator[Outcome, None, None]:
        """The outcome of each task as it ends. Raises: EngineError with sbatch's own words."""
        source, relay, more = iter(tasks), Relay(report), True
        queue, well = list[_Queued](), True
        try:
            while more or queue:
                more, new = False, list[_Queued]()
                for task in source:
                    if task is None:  # another one may be ready later
                        more = True
                        break
                    group = groups.read(Path(task.root, "groups", task.group))
                    if group is None:  # another process finished it
                        yield Outcome(task.group, "done")
                    else:
                        new.append(_Queued(task, group))
                self._submit(new)
                queue += new
                listed = _listed([queued.job.job_id for queued in queue])
                for queued in list(queue):
                    outcome = self._look(queued, queued.job.job_id in listed, relay, report)
                    if outcome is not None:
                        queue.remove(queued)
                        well = well and outcome.status == "done"
                        yield outcome
                if queue or more:
                    time.sleep(POLL)
        finally:
            if queue:
                subprocess.run(["scancel", "--quiet", *(queued.job.job_id for queued in queue)])
            elif well:
                discard(self._folder)

    def _submit(self, queue: Sequence[_Queued]) -> None:
        """Submit groups, as arrays."""
        import submitit

        try:
            for some in (queue[i : i + ARRAY] for i in range(0, len(queue), ARRAY)):
                with explained(self._folder):
                    engine = submitit.SlurmExecutor(self._folder, max_num_timeout=TIMEOUTS)
                    engine.update_parameters(**self._known(engine))
                    lines = [queued.task.to_json() for queued in some]
                    jobs = engine.map_array(Job(), lines, [self._threads] * len(some))
                for queued, job in zip(some, jobs, strict=True):
                    queued.job, queued.over, queued.tries = job, None, queued.tries + 1
        except (RuntimeError, ValueError) as e:
            raise EngineError(f"SLURM: {plain(' '.join(str(e).split()))[:500]}") from e

    def _known(self, engine: Any) -> dict[str, Any]:
        """The parameters as submitit takes them."""
        names, parameters = engine._valid_parameters(), dict(self._parameters)
        setup = [f"export {name}={self._threads}" for name in THREADS]
        setup += ["export PYTHONSAFEPATH=1", *parameters.pop("setup", ())]
        rest = {name: parameters.pop(name) for name in [*parameters] if name not in names}
        return {**parameters, "setup": setup, "additional_parameters": rest}

    def _look(self, queued: _Queued, listed: bool, relay: Relay, report: Report) -> Outcome | None:
        """How a group ended; None while it has not."""
        with contextlib.suppress(OSError, ValueError):
            line = foreign.read_stored(queued.group.folder / "progress.json").decode()
            if line != queued.line:
                queued.line = line
                relay.line(line, {queued.group.name: queued.group})
        paths = queued.job.paths
        if paths.result_pickle.exists():
            if queued.job.exception() is not None:
                return self._failed(queued, "EngineError", "its job failed")
            outcome = from_line(queued.job.result())
            assert isinstance(outcome, Outcome)
            if outcome.status != "done" or queued.stored:
                relay.begin(queued.group)
                return outcome
        elif listed:
            queued.over = None
            return None
        queued.over = queued.over or time.monotonic()
        if time.monotonic() - queued.over < APPEARS:
            return None
        if queued.tries == TRIES:
            return self._failed(queued, "RunError", "its job ended without effect")
        report(
            Said(f"a job ended without effect, and its group is submitted again: {paths.stderr}")
        )
        self._submit([queued])
        return None

    def _failed(self, queued: _Queued, kind: str, why: str) -> Outcome:
        text = f"{why}; what it said is in {queued.job.paths.stderr}"
        note_failure(queued.group.folder, kind, text)
        return Outcome(queued.group.name, "failed", error=kind, text=text)


def _listed(ids: Sequence[str]) -> Collection[str]:
    """Those of these jobs that wait or run; all, where SLURM does not say."""
    arrays = ",".join({job.partition("_")[0] for job in ids})
    words = ["squeue", "--noheader", "--array", "--format=%i", f"--jobs={arrays}"]
    listing = subprocess.run(words, capture_output=True, text=True) if ids else None
    # a job that squeue has forgotten is an error to it
    if listing is None or (listing.returncode and "invalid job id" not in listing.stderr.lower()):
        return ids
    return listing.stdout.split()
