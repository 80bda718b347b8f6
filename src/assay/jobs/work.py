"""Work: one job run to its end in a process of its own, through what `assay run` calls; the store
keeps whatever it finished.

The runner that started the process holds the job's lease for it, and the process is alone in
writing the job's state. Runs are trained by the process itself, by processes that it starts, or, on
the job's terms, by workers that joined the store. It ends at once, with all that it started here,
when the runner does: the pipe from it closes. It steps back (`nice`), and stops where the runner
says so: somebody cancelled, or its time is over."""

from __future__ import annotations

import math
import os
import resource
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from assay.core.compute import Range
from assay.core.errors import AssayError, ExperimentError, substitute
from assay.core.plain import plain
from assay.core.schema import to_json
from assay.jobs.folder import Folder
from assay.jobs.state import Early, EarlyClaim, Interval, Status
from assay.lab.away.requests import Terms
from assay.lab.executors import Away, Executor, Site
from assay.lab.lab import Lab
from assay.lab.records.provenance import cpu_seconds
from assay.lab.store.atomic import write
from assay.lab.store.origin import STUDIES, code
from assay.lab.store.sealed import seal
from assay.lab.work.events import Failed, Partial, Planned, Progress, Said, Saved, Started
from assay.studies.budget import affordable

YIELDS = 5
"""How far the process steps back."""
COUNTS, WRITES, TELLS = 2.0, 0.5, 2.0
"""Seconds between counts of CPU time, between states that are written, and between events of
progress."""
LONGEST = 500
"""Characters of an error's line."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one job may take; None: what it takes."""

    seconds: float | None = None
    """By the clock, since it was begun; where workers elsewhere train, with what it waits for
    them."""
    memory: int | None = None
    """Bytes of address space of each of its processes, wherever they are."""


def main() -> None:
    """Work on the job that the runner named: root, key, limits and site."""
    limits, site = msgspec.json.decode(sys.argv[3], type=tuple[Limits, Site])
    signal.signal(signal.SIGINT, _interrupt)
    threading.Thread(target=_end_with_the_runner, daemon=True).start()
    os.nice(YIELDS)
    # of a process that trains on a GPU address space says nothing
    if limits.memory is not None and (site.away or site.device == "cpu"):
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
    Work(Folder(Path(sys.argv[1]), sys.argv[2]), limits, site).run()


class Work:
    """A job on its way; `run` comes back when its state says how it ended."""

    def __init__(self, folder: Folder, limits: Limits, site: Site):
        self.folder, self.limits, self.site = folder, limits, site
        self.state = folder.state
        self._executor: Executor | None = None
        self._before = self.state.cpu_seconds
        self._over = threading.Event()
        self._written = self._told = 0.0
        self._lock = threading.RLock()

    def run(self) -> None:
        """Run it, and write how it ended."""
        threading.Thread(target=self._count, daemon=True).start()
        try:
            result = self._compute_result()
            write(self.folder.path / "result.json", seal(result))
            runs = result["provenance"].get("runs", self.state.total)
            cached = runs if self.state.cached is None else self.state.cached
            self._end("done", done=runs, total=runs, cached=cached, early=None)
        except KeyboardInterrupt:  # the runner says so
            if self.folder.cancelled or self.limits.seconds is None:
                self._end("cancelled")
            else:
                self._fail(
                    f"it took longer than {self.limits.seconds:,.0f} s, all that a job may; what "
                    "is stored is kept; submitted again it goes on"
                )
        except AssayError as e:
            self._fail(e.request())
        except MemoryError:
            lacking = "it needed more memory than a job may have"
            self._fail(lacking if self.limits.memory else "there was not enough memory")
        except BaseException as e:  # sys.exit in somebody's experiment too: the queue goes on
            self._fail(f"{type(e).__name__}: {e}")

    def _compute_result(self) -> dict[str, Any]:
        """The result as `assay show --json` prints it, after whatever is missing was trained."""
        request = self.folder.asked
        for path, digest in request["code"].items():
            if code(path) != digest:
                raise ExperimentError(
                    f"{Path(path).name} is not as it was when this was submitted; submit it again"
                )
        experiment, preset = self.folder.experiment()
        memory, owner = self.limits.memory or 0, self.state.owner
        terms = Terms(job=self.folder.key, owner=owner, memory=memory, place=self.folder.place)
        self._executor = self.site.make(self.folder.root, terms)
        lab = Lab(self.folder.root, self._executor, self.site.device)
        if (known := lab.known(experiment, preset, run=True)) is not None:
            return to_json(known)
        if experiment.origin.endswith(STUDIES):
            affordable(Path(experiment.origin), lab, experiment, preset)
        lab.run(experiment, preset, self._heard)
        return to_json(lab.known_or_judged(experiment, preset))

    # -- what is told ------------------------------------------------------------------------------

    def _heard(self, event: Any) -> None:
        tell = self.folder.tell
        with self._lock:
            if self._over.is_set():  # of a judgement that nobody waits for: how it ended stands
                return
            match event:
                case Planned():
                    cached, total = len(event.plan.cached), len(event.plan.rows)
                    self._now(cached=cached, done=cached, total=total)
                    tell("planned", runs=total, stored=cached, groups=event.groups)
                case Started():
                    tell("started", arms=list(event.arms), runs=event.runs, seeds=event.seeds)
                case Progress():
                    self._now(seconds_left=_to_bounds(event.eta))
                    if time.monotonic() - self._told > TELLS:
                        self._told = time.monotonic()
                        how_far = {"done": event.done, "total": event.total, "unit": event.unit}
                        tell("progress", arms=list(event.arms), **how_far, **self._runs)
                case Saved():
                    left = _to_bounds(event.eta)
                    self._now(done=event.done, total=event.total, seconds_left=left)
                    tell("saved", **self._runs)
                case Partial():
                    early = _early(event)
                    self._now(early=early)
                    tell("partial", **to_json(early))
                case Failed():
                    tell("group-failed", arms=list(event.arms), error=_line(event.text))
                case Said() if self.site.away:  # of workers; of processes here, what code prints
                    text = self._without_places(_line(event.text))
                    self._now(workers=text.partition(";")[0])
                    tell("workers", text=text)

    @property
    def _runs(self) -> dict[str, Any]:
        state = self.state
        return {"runs_done": state.done, "runs": state.total, "seconds_left": state.seconds_left}

    def _without_places(self, text: str) -> str:
        """Give a line for who asks from elsewhere, to whom the folder of the store is nothing."""
        return substitute(text, {str(self.folder.root): "the store"})

    def _now(self, **changes: Any) -> None:
        """Note how far it is, and write that now and then; whatever ends it is written by
        `_end`."""
        self.state = replace(self.state, **changes)
        due = time.monotonic() - self._written > WRITES
        if due or {"early", "done", "cached", "workers"} & changes.keys():
            self._written = time.monotonic()
            self.folder.write(self.state)

    def _fail(self, why: str) -> None:
        self._end("failed", error=self._without_places(_line(why)))

    def _end(self, status: Status, **changes: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._over.set()
        with self._lock:
            now = replace(self.state, cpu_seconds=self._cpu(), workers="", **changes)
            runs = {"runs": now.total, "stored": now.cached} if status == "done" else {}
            self.folder.end(now, status, **({"error": now.error} if now.error else runs))

    # -- what it costs -----------------------------------------------------------------------------

    def _count(self) -> None:
        while not self._over.wait(COUNTS):
            with self._lock:
                if not self._over.is_set():
                    self._now(cpu_seconds=self._cpu())

    def _cpu(self) -> float:
        away = self._executor.cpu_seconds if isinstance(self._executor, Away) else 0.0
        here = group_cpu_seconds(os.getpgid(0))
        return round(max(self.state.cpu_seconds, self._before + here + away), 1)


def _interrupt(number: int, frame: Any) -> None:
    """Stop, once: what is told again does not disturb whoever is putting away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _end_with_the_runner() -> None:
    # ends when the runner does, however it ends; sys.stdin's own lock would be held when Python
    # ends
    while os.read(0, 4096):
        pass
    os.killpg(os.getpgid(0), signal.SIGKILL)


def group_cpu_seconds(group: int) -> float:
    """CPU-seconds of all processes of a process group, and of those they waited for; where that
    cannot be told, of this process alone."""
    ticks, seconds = os.sysconf("SC_CLK_TCK"), 0.0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            parts = path.read_text().rpartition(")")[2].split()
            if int(parts[2]) == group:
                seconds += sum(map(int, parts[11:15])) / ticks
    return seconds or cpu_seconds()


def _to_bounds(eta: Range | None) -> tuple[float, float] | None:
    return None if eta is None else (round(eta.low, 1), round(eta.high, 1))


def _line(text: str) -> str:
    return plain(" ".join(text.split()))[:LONGEST]


def _early(event: Partial) -> Early:
    """The verdicts so far, in short, each with its interval and every control."""

    def interval(v: Any) -> Interval:
        ends = (float(x) if math.isfinite(x) else None for x in (v.estimate, v.low, v.high))
        return Interval(v.outcome, *ends)

    claims = (
        EarlyClaim(
            **vars(interval(judged.verdict)),
            claim=judged.claim.text,
            reason=judged.verdict.reason,
            controls={arm: interval(v) for arm, v in sorted(judged.controls.items())},
        )
        for judged in event.result.judged
    )
    return Early(event.seeds, tuple(claims))
