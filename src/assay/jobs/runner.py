"""Runner: starts the runs of a store, so many at once, stops them, and notes how they ended.

A run outlives the server that started it; the next server finds it by its state, or finds that it
died. Several servers of a store start no more runs together than each may. Runs are forked from a
template, so that torch is imported and a model is opened once for all of them."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

from assay.core.errors import StoreError, substitute
from assay.core.plain import plain
from assay.jobs import process
from assay.jobs.folder import OVER, Job, NoJob, State, changing
from assay.jobs.process import GRACE, Child, Limits
from assay.lab.store.origin import code
from assay.lab.store.store import Store
from assay.lab.work.template import SUPPORTED, Forked, Template

POLL, AGAIN = 0.2, 2.0
"""Seconds between looks at the folder; until what failed, as on a full disk, is tried again."""
INTERRUPTED, LONGEST = 130, 500
"""The exit code of a run that was interrupted; characters of an error's line."""


class Runner:
    """Runs what is asked of a store, `width` at once, within limits; `options` are given to every
    `assay run`, and `warm` ones are forked from a template.

    Raises: StoreError where the folder `root` is no store, or cannot be written."""

    def __init__(
        self,
        root: Path,
        width: int = 1,
        limits: Limits = Limits(),  # noqa: B008 — frozen
        options: Sequence[str] = (),
        warm: bool = SUPPORTED,
    ):
        self.root, self.width = Store(root.absolute()).prepare().root, width
        self.limits, self.options = limits, tuple(options)
        self._children: dict[str, Child] = {}
        self._warm = warm
        self._template: Template | None = None
        self._over: set[tuple[str, int, int]] = set()
        """State files of runs that are over: they are not read again."""

    def run(self, over: threading.Event | None = None, until_idle: bool = False) -> None:
        """Step until it is `over`, or, with `until_idle`, nothing runs or waits; what runs then is
        left to the next server."""
        over = over or threading.Event()
        try:
            while not over.wait(POLL):
                try:
                    if not self.step() and until_idle:
                        return
                except (OSError, StoreError) as e:  # a full disk: what waits may start later
                    print(f"no run is started: {e}", file=sys.stderr, flush=True)
                    over.wait(AGAIN)
        finally:
            self.close()

    def close(self) -> None:
        """End the template; runs go on."""
        if self._template is not None:
            self._template.close()
            self._template = None

    def _address(self) -> str:
        """Where the template is, which is started with the first run; "" without one."""
        if self._warm and self._template is None:
            self._template = Template(process.IMPORTS, process.environment())
        return self._template.address if self._template is not None else ""

    def step(self) -> bool:
        """Note which runs ended, stop those that have to, and start what may start; whether
        anything runs or waits."""
        with changing(self.root):
            for key, child in list(self._children.items()):
                ended = child.poll()
                if isinstance(child, Forked) and child.lost:  # found by its state from now on
                    del self._children[key]
                elif ended is not None:
                    del self._children[key]
                    self._end(Job(self.root, key), child.pid, ended)
            states = [(job, self._look(job, state)) for job, state in self._open()]
            room = self.width - sum(s.status == "running" for _, s in states)
            for job, state in states:
                if state.status == "queued" and room > 0:
                    room -= self._start(job, state)
            return any(s.status not in OVER for _, s in states)

    def _open(self) -> list[tuple[Job, State]]:
        """The runs that are not over, in the order in which they were asked for."""
        jobs = []
        for path in (self.root / "jobs").glob("*/state.json"):
            with suppress(OSError, NoJob):
                job, status = Job(self.root, path.parent.name), path.stat()
                file = job.key, status.st_mtime_ns, status.st_ino
                if file in self._over:
                    continue
                if (state := job.state).status in OVER:
                    self._over.add(file)
                else:
                    jobs.append((job, state))
        return sorted(jobs, key=lambda pair: (pair[1].order, pair[0].key))

    def _start(self, job: Job, state: State) -> bool:
        """Start a run; False where it cannot be."""
        try:
            asked = job.asked
            if changed := [path for path, digest in asked["code"].items() if code(path) != digest]:
                raise StoreError(f"{Path(changed[0]).name} was changed since; ask again")
            words = ["run", job.typed, "--preset", asked["preset"], "--root", str(self.root)]
        except StoreError as e:
            job.write(replace(state, status="failed", ended=time.time(), error=self._line(str(e))))
            return False
        words += [word for text in asked["sets"] for word in ("--set", text)]
        place = self.root / (asked["workspace"] or job.path / "text")
        folder = place if place.is_dir() else job.path
        how = [*words, "--json", *self.options], folder, job.path / "output", job.path / "log"
        child, go = self._begin(*how)
        begun, now = process.started(child.pid), time.time()
        with go:  # closed without a byte, it ends
            job.write(replace(state, status="running", pid=child.pid, begun=begun, started=now))
            self._children[job.key] = child
            go.write(b"1")
        return True

    def _begin(
        self, words: Sequence[str], place: Path, output: Path, log: Path
    ) -> tuple[Child, IO[bytes]]:
        """Begin a process that waits for a byte, from the template where that answers."""
        if address := self._address():
            with suppress(OSError):
                return process.fork(address, words, place, output, log, self.limits)
        return process.spawn(words, place, output, log, self.limits)

    def _look(self, job: Job, state: State) -> State:
        """Note that a run ended whose process is not there, and stop one that has to."""
        if state.status != "running":
            return state
        if job.key not in self._children and process.started(state.pid) != (state.begun or None):
            return self._end(job, state.pid, None)
        seconds, now = self.limits.seconds, time.time()
        if not state.stop and seconds is not None and now - (state.started or now) > seconds:
            state = replace(state, stop="too long")
        with suppress(ProcessLookupError):
            if state.stop and state.interrupted is None:
                os.kill(state.pid, signal.SIGINT)  # as Ctrl-C does
                return job.write(replace(state, interrupted=now))
            if state.interrupted is not None and now - state.interrupted > GRACE:
                os.killpg(state.pid, signal.SIGKILL)
        return state

    def _end(self, job: Job, pid: int, code: int | None) -> State:
        """Write how a run ended, unless that is known."""
        state = job.state
        if state.pid != pid or (state.status != "running" and state.exit_code is not None):
            return state
        ended = replace(state, ended=time.time(), exit_code=code, error="")
        if job.keep_result():
            return job.write(replace(ended, status="done"))
        if state.stop == "cancelled" or (code == INTERRUPTED and not state.stop):
            return job.write(replace(ended, status="cancelled"))
        return job.write(replace(ended, status="failed", error=self._why(job, state, code)))

    def _why(self, job: Job, state: State, code: int | None) -> str:
        """Why a run failed, in a line."""
        last = process.last_line(job.path / "log")
        if code in (2, 3):  # its last line says what was wrong
            return self._line(last)
        if state.stop == "too long" or code == -signal.SIGALRM:
            how, last = "it took longer than a run may (--job-seconds)", ""
        elif code is None:
            how = "its process ended while no server watched it"
        elif code < 0:
            often = " (often: out of memory)" if code == -signal.SIGKILL else ""
            how = f"its process ended with signal {-code}{often}"
        else:
            how = f"its process ended with exit code {code}"
        printed = f"; it printed last: {last}" if last else ""
        return self._line(f"{how}; stored runs are kept, and run resumes it{printed}")

    def _line(self, text: str) -> str:
        """A line without the place of the store, which means nothing to the one who asked."""
        return plain(" ".join(substitute(text, {str(self.root): "the store"}).split()))[:LONGEST]


@contextmanager
def running(root: Path, width: int, limits: Limits, options: Sequence[str] = ()) -> Iterator[None]:
    """Have a runner of this store in a thread while the body runs; runs outlive it."""
    over, run = threading.Event(), Runner(root, width, limits, options).run
    thread = threading.Thread(target=run, args=(over,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
