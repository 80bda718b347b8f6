"""Work: one job run to its end in a process of its own, through what `assay run` calls; the store
keeps whatever it finished.

The process holds the job's lock, which it was handed by the runner, and is alone in writing its
state. It ends at once, with all that it started, when the runner does: the pipe from it closes. It
steps back (`nice`), and stops where somebody cancels or its time is over."""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assay.core.compute import Range
from assay.core.errors import AssayError, ExperimentError
from assay.core.plain import plain
from assay.core.schema import to_json
from assay.jobs.folder import Folder
from assay.jobs.queue import stop
from assay.jobs.state import Early, EarlyClaim, Interval
from assay.lab.executors import Inline, Workers
from assay.lab.lab import Lab
from assay.lab.records.provenance import cpu_seconds
from assay.lab.store.atomic import write
from assay.lab.store.origin import STUDIES, code
from assay.lab.store.sealed import seal
from assay.lab.work.events import Failed, Partial, Planned, Progress, Saved, Started
from assay.studies.budget import affordable

YIELDS = 5
"""How far the process steps back."""
LOOKS = 0.2
"""Seconds between looks at whether it should stop."""
COUNTS, WRITES, TELLS = 2.0, 0.5, 2.0
"""Seconds between counts of CPU time, between states that are written, and between events of
progress."""
LONGEST = 500
"""Characters of an error's line."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one job may take; None: what it takes."""

    seconds: float | None = None
    """By the clock, since it was begun."""
    memory: int | None = None
    """Bytes of address space of each of its processes."""
    workers: int | None = None
    """Processes that train: as many as cores; 0: the job's own process."""

    def to_json(self) -> str:
        """One line, for the process that works."""
        return json.dumps(vars(self))


def main() -> None:
    """Work on the job that the runner named: root, key, and limits."""
    root, key, limits = Path(sys.argv[1]), sys.argv[2], Limits(**json.loads(sys.argv[3]))
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # the runner ignores it, which is inherited
    threading.Thread(target=_end_with_the_runner, daemon=True).start()
    os.nice(YIELDS)
    if limits.memory is not None:
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
    Work(Folder(root, key), limits).run()


class Work:
    """A job on its way; `run` comes back when its state says how it ended."""

    def __init__(self, folder: Folder, limits: Limits):
        self.folder, self.limits = folder, limits
        self.state = folder.state
        self._before = self.state.cpu_seconds
        self._begun = time.monotonic()
        self._over = threading.Event()
        self._late = False
        self._written = self._told = 0.0
        self._lock = threading.RLock()

    def run(self) -> None:
        """Run it, and write how it ended."""
        threading.Thread(target=self._look, daemon=True).start()
        try:
            result = self._compute_result()
            self._over.set()
            write(self.folder.path / "result.json", seal(result))
            runs = result["provenance"].get("runs", self.state.total)
            cached = runs if self.state.cached is None else self.state.cached
            self._end("done", done=runs, total=runs, cached=cached, early=None)
        except KeyboardInterrupt:
            self._over.set()
            if self._late:
                took = (
                    f"it took longer than {self.limits.seconds:,.0f} s, all that a job may; what "
                    "is stored is kept; submitted again it goes on"
                )
                self._end("failed", error=took)
            else:
                self.state = replace(self.state, cpu_seconds=self._cpu())
                self.folder.write(self.state)
                stop(self.folder)
        except AssayError as e:
            self._end("failed", error=_line(e.request()))
        except MemoryError:
            self._end(
                "failed",
                error="it needed more memory than a job may have"
                if self.limits.memory
                else "there was not enough memory",
            )
        except BaseException as e:  # sys.exit in somebody's experiment too: the queue goes on
            self._end("failed", error=_line(f"{type(e).__name__}: {e}"))

    def _compute_result(self) -> dict[str, Any]:
        """The result as `assay show --json` prints it, after whatever is missing was trained."""
        request = self.folder.asked
        for path, digest in request["code"].items():
            if code(path) != digest:
                raise ExperimentError(
                    f"{Path(path).name} is not as it was when this was submitted; submit it again"
                )
        experiment, preset = self.folder.experiment()
        workers = self.limits.workers
        lab = Lab(self.folder.root, Inline() if workers == 0 else Workers(workers))
        if (known := lab.known(experiment, preset, run=True)) is not None:
            return to_json(known)
        if experiment.origin.endswith(STUDIES):
            affordable(Path(experiment.origin), lab, experiment, preset)
        lab.run(experiment, preset, self._heard)
        return to_json(lab.known(experiment, preset) or lab.judge(experiment, preset))

    # -- what is told ------------------------------------------------------------------------------

    def _heard(self, event: Any) -> None:
        with self._lock:
            match event:
                case Planned():
                    cached, total = len(event.plan.cached), len(event.plan.rows)
                    self._now(cached=cached, done=cached, total=total)
                    self.folder.tell("planned", runs=total, stored=cached, groups=event.groups)
                case Started():
                    self.folder.tell(
                        "started", arms=list(event.arms), runs=event.runs, seeds=event.seeds
                    )
                case Progress():
                    self._now(seconds_left=_to_bounds(event.eta))
                    if time.monotonic() - self._told > TELLS:
                        self._told = time.monotonic()
                        self.folder.tell(
                            "progress",
                            arms=list(event.arms),
                            done=event.done,
                            total=event.total,
                            unit=event.unit,
                            runs_done=self.state.done,
                            runs=self.state.total,
                            seconds_left=self.state.seconds_left,
                        )
                case Saved():
                    self._now(
                        done=event.done, total=event.total, seconds_left=_to_bounds(event.eta)
                    )
                    self.folder.tell(
                        "saved",
                        runs_done=event.done,
                        runs=event.total,
                        seconds_left=self.state.seconds_left,
                    )
                case Partial():
                    early = _early(event)
                    self._now(early=early)
                    self.folder.tell("partial", **to_json(early))
                case Failed():
                    self.folder.tell("group-failed", arms=list(event.arms), error=_line(event.text))

    def _now(self, **changes: Any) -> None:
        """Note how far it is, and write that now and then; whatever ends it is written by
        `_end`."""
        self.state = replace(self.state, **changes)
        if (
            time.monotonic() - self._written > WRITES
            or {"early", "done", "cached"} & changes.keys()
        ):
            self._written = time.monotonic()
            self.folder.write(self.state)

    def _end(self, status: Any, **changes: Any) -> None:
        self._over.set()
        with self._lock:
            self.state = replace(
                self.state,
                status=status,
                ended=time.time(),
                seconds_left=None,
                cpu_seconds=self._cpu(),
                **changes,
            )
            self.folder.write(self.state)
            self.folder.tell(
                status,
                **(
                    {"error": self.state.error}
                    if self.state.error
                    else {"runs": self.state.total, "stored": self.state.cached}
                ),
            )

    # -- what may stop it --------------------------------------------------------------------------

    def _look(self) -> None:
        counted = time.monotonic()
        while not self._over.wait(LOOKS):
            self._late = (
                self.limits.seconds is not None
                and time.monotonic() - self._begun > self.limits.seconds
            )
            if self._late or self.folder.cancelled:
                self._over.set()
                os.kill(
                    os.getpid(), signal.SIGINT
                )  # KeyboardInterrupt in the main thread: as Ctrl-C at `assay run`
                return
            if time.monotonic() - counted > COUNTS:
                counted = time.monotonic()
                with self._lock:
                    if not self._over.is_set():
                        self._now(cpu_seconds=self._cpu())

    def _cpu(self) -> float:
        return round(
            max(self.state.cpu_seconds, self._before + group_cpu_seconds(os.getpgid(0))), 1
        )


def _end_with_the_runner() -> None:
    while os.read(
        0,
        4096,
        # ends when the runner does, however it ends; sys.stdin's own lock would be held when Python
        # ends
    ):
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
    claims = []
    for judged in event.result.judged:
        controls = {
            arm: Interval(v.outcome, _number(v.estimate), _number(v.low), _number(v.high))
            for arm, v in judged.controls.items()
        }
        v = judged.verdict
        numbers = _number(v.estimate), _number(v.low), _number(v.high)
        claims.append(
            EarlyClaim(
                v.outcome,
                *numbers,
                claim=judged.claim.text,
                reason=v.reason,
                controls=_ordered(controls),
            )
        )
    return Early(event.seeds, tuple(claims))


def _ordered(controls: Mapping[str, Interval]) -> dict[str, Interval]:
    return dict(sorted(controls.items()))


def _number(x: float) -> float | None:
    return float(x) if math.isfinite(x) else None
