"""Workers: runs tasks in one-thread processes.

They are programs spoken to in JSON lines, without pickle, and they end when the pipe from their
parent closes. Where the system allows it they are forked from a template, so that torch is imported
once and the language models of a study are in memory once."""

from __future__ import annotations

import collections
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from assay.lab.store.provenance import THREADS, cores
from assay.lab.work.events import Outcome, Report, Said, Task, from_line
from assay.lab.work.template import SUPPORTED, VARIABLE, Forked, Template

# glibc keeps freed arrays for the next step in place of handing each back to the system: about 7%
# of a run's CPU-seconds
_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**26), "MALLOC_TRIM_THRESHOLD_": str(2**28)}
_AGAIN = 0.5  # seconds until asking again for a task when none was ready
_SLOW = 10.0  # seconds after which it is said that workers are still starting
_SERVE = "from assay.lab.work.worker import serve; serve()"
_PREPARE = "from assay.lab.work.worker import prepare; prepare({line!r})"
_IMPORTS = "import torch, xarray, assay.lab.work.worker"


class Workers:
    """Runs tasks in spawned processes of one thread each, as many as there are free cores.

    More threads than free cores make torch slower than one; and one thread keeps resumed runs
    bitwise equal. `n` is the number of workers, `threads` that of each: one worker of several
    threads serves a single large dictionary."""

    def __init__(self, n: int | None = None, threads: int = 1):
        self.width = n if n is not None else max(1, cores() // threads)
        self.threads = threads
        self._idle: list[_Worker] | None = None
        """Those that wait for the next tasks; None where none waits."""
        self._template: Template | None = None
        """From which workers are forked; started with the first of them."""

    @contextmanager
    def staying(self) -> Iterator[None]:
        """Let workers outlive `map`, with the models that they have opened, until this ends."""
        self._idle = []
        try:
            yield
        finally:
            idle, self._idle = self._idle, None
            for w in idle:
                w.stop()
            self._close()

    def map(self, tasks: Iterable[Task | None], report: Report) -> Generator[Outcome, None, None]:
        """The outcome of each task as it ends; a worker that dies gives a failed outcome, and the
        others go on."""
        source, open_ = iter(tasks), True
        inbox: queue.Queue[tuple[_Worker, str | None]] = queue.Queue()
        workers: list[_Worker] = []
        is_heard, started = False, 0.0
        if self._idle is not None:
            workers, self._idle = [w for w in self._idle if w.joins(inbox, report)], []
        try:
            while True:
                while open_ and sum(w.task is not None for w in workers) < self.width:
                    task = next(source, _END)
                    if task is _END:
                        open_ = False
                    if not isinstance(task, Task):
                        break
                    free = next((w for w in workers if w.task is None), None)
                    if free is None:
                        started = started or time.monotonic()
                        free = _Worker(self.threads, inbox, report, task, self._address(task))
                        workers.append(free)
                    free.start(task)
                if not open_ and all(w.task is None for w in workers):
                    return
                try:
                    worker, line = inbox.get(timeout=_AGAIN)
                except queue.Empty:
                    if workers and not is_heard and time.monotonic() - started > _SLOW:
                        is_heard = True
                        report(Said(_starting(len(workers))))
                    continue
                is_heard = True
                if line is None:
                    if worker not in workers:  # it ended while it waited
                        continue
                    workers.remove(worker)
                    if (task := worker.task) is not None:
                        yield Outcome(task.group, "failed", error="RunError", text=worker.epitaph())
                    continue
                message = from_line(line)
                if isinstance(message, Outcome):
                    worker.task = None
                    yield message
                else:
                    report(message)
        finally:
            for w in workers:
                if self._idle is not None and w.task is None:
                    self._idle.append(w)
                else:
                    w.stop()
            if self._idle is None:
                self._close()

    def _address(self, task: Task) -> str:
        """Where the template is that forks a worker for this task; "" where none can."""
        # neither a GPU nor the threads of a library survive a fork
        if not SUPPORTED or task.device != "cpu" or self.threads != 1:
            return ""
        if running := os.environ.get(VARIABLE):
            return running
        if self._template is None:
            self._template = Template(_IMPORTS, _environment(1))
        return self._template.address

    def _close(self) -> None:
        if self._template is not None:
            self._template.close()
            self._template = None


_END = object()


def _starting(n: int) -> str:
    """Say that so many workers have not begun yet."""
    noun = "1 process, which loads" if n == 1 else f"{n} processes, which load"
    return f"starting {noun} the models; on a busy machine this takes minutes"


def _environment(threads: int) -> dict[str, str]:
    """The variables of a worker, which imports what this process can import."""
    path = os.pathsep.join(p or str(Path.cwd()) for p in sys.path)
    return {**_MEMORY, **os.environ, "PYTHONPATH": path} | dict.fromkeys(THREADS, str(threads))


def _started(
    threads: int, task: Task, address: str
) -> tuple[Forked | subprocess.Popen[str], list[IO[str]]]:
    """A worker and its three streams, forked where a template is."""
    if address:
        with suppress(OSError):  # the template is gone; a worker needs none
            return _forked(task, address)
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(threads),
        encoding="utf-8",
        errors="replace",
    )
    assert process.stdin and process.stdout and process.stderr
    return process, [process.stdin, process.stdout, process.stderr]


def _forked(task: Task, address: str) -> tuple[Forked, list[IO[str]]]:
    """A worker forked from a template that has opened what the task's runs share, and its three
    streams. Raises: OSError."""
    pipes = [os.pipe() for _ in range(3)]
    theirs = [pipes[0][0], pipes[1][1], pipes[2][1]]
    ours = [pipes[0][1], pipes[1][0], pipes[2][0]]
    try:
        code = _PREPARE.format(line=task.to_json())
        process = Forked(address, _SERVE, (), theirs, _environment(1), setup=code)
    except OSError:
        for number in ours:
            os.close(number)
        raise
    finally:
        for number in theirs:
            os.close(number)
    return process, [
        open(number, mode, encoding="utf-8", errors="replace")  # noqa: PTH123
        for number, mode in zip(ours, ("w", "r", "r"), strict=True)
    ]


class _Worker:
    """One spawned process, the thread that reads its answers, and the thread that reads what it
    prints."""

    def __init__(
        self,
        threads: int,
        inbox: queue.Queue[tuple[_Worker, str | None]],
        report: Report,
        task: Task,
        address: str,
    ):
        self.task: Task | None = None
        self._inbox, self._report = inbox, report
        self._process, self._streams = _started(threads, task, address)
        self._printed: collections.deque[str] = collections.deque(maxlen=20)
        self._threads = [
            threading.Thread(target=self._listen, daemon=True),
            threading.Thread(target=self._overhear, daemon=True),
        ]
        for t in self._threads:
            t.start()

    def joins(self, inbox: queue.Queue[tuple[_Worker, str | None]], report: Report) -> bool:
        """Answer to another inbox from now on; whether it is alive."""
        self._inbox, self._report = inbox, report
        # the reader may have reported to the other inbox an end that the process has yet to come to
        return self._process.poll() is None and self._threads[0].is_alive()

    def start(self, task: Task) -> None:
        self.task = task
        try:
            self._streams[0].write(task.to_json() + "\n")
            self._streams[0].flush()
        except BrokenPipeError:
            pass  # it died; its reader says so

    def stop(self) -> None:
        """End the process. What it had not stored is continued from its checkpoint by the next
        command."""
        self._process.kill()
        self._process.wait()
        for t in self._threads:
            t.join(timeout=1)
        # What a training started may live on and hold the other end: closing a pipe that is being
        # read would wait for it.
        listened = [
            stream
            for stream, t in zip(self._streams[1:], self._threads, strict=True)
            if not t.is_alive()
        ]
        for stream in (self._streams[0], *listened):
            with suppress(OSError):
                stream.close()

    def epitaph(self) -> str:
        """How the process ended, in a line or two."""
        code = self._process.wait()
        self._threads[1].join(timeout=1)  # its last words
        cause = (
            f"signal {-code}" + (" (often: out of memory)" if code == -9 else "")
            if code < 0
            else f"exit code {code}"
        )
        return "\n  ".join([f"a worker ended with {cause}", *list(self._printed)[-3:]])

    def _listen(self) -> None:
        for line in self._streams[1]:
            self._inbox.put((self, line))
        self._inbox.put((self, None))

    def _overhear(self) -> None:
        for line in self._streams[2]:
            self._printed.append(line.rstrip())
            self._report(Said(line.rstrip()))


EXECUTOR = Workers
