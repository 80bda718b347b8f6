"""Runner: takes jobs of a store in order and runs each in a process of its own; what it is doing is
in the store alone.

Killed at any moment it loses nothing: queued jobs stay, and those that ran are taken up where they
were by the next runner. Several runners may serve one store, since each job has a lock; `running`
starts one that waits while another one is there."""

from __future__ import annotations

import collections
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from filelock import FileLock, Timeout

from assay.core.errors import StoreError
from assay.jobs.folder import Folder
from assay.jobs.queue import Watched, stop
from assay.jobs.state import OVER
from assay.jobs.work import Limits
from assay.lab.store.store import Store, discard

POLL = 0.2
"""Seconds between looks at the queue."""
AGAIN = 2.0
"""Seconds before what failed for want of something is tried again."""
GRACE = 15.0
"""Seconds that a job has for ending by itself once it was told to."""


@dataclass
class _Child:
    """A process that works on a job, and the last that it printed."""

    folder: Folder
    process: subprocess.Popen[bytes]
    begun: float
    asked_to_stop: float | None = None
    printed: collections.deque[str] = field(default_factory=lambda: collections.deque(maxlen=20))

    def listen(self) -> None:
        """Read what it prints until it ends, so that it never waits for a reader."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.printed.append(line.decode(errors="replace").rstrip()[:300])


class Runner:
    """Runs jobs of a store, so many at a time.

    Raises: StoreError when the folder `root` is no store, or cannot be written.
    """

    # — frozen
    def __init__(self, root: Path, width: int = 1, limits: Limits = Limits()):  # noqa: B008
        self.root, self.width, self.limits = Store(root.absolute()).prepare().root, width, limits
        self._watched, self._children = Watched(self.root), list[_Child]()

    def step(self) -> bool:
        """Note what ended, begin what can be begun; tell whether anything runs or waits."""
        for child in list(self._children):
            if child.process.poll() is not None:
                self._children.remove(child)
                self._settle(child)
            else:
                self._hurry(child)
        waiting = self._watched.waiting()
        while waiting and len(self._children) < self.width:
            self._begin(waiting[0])
            waiting = self._watched.waiting() if len(self._children) < self.width else []
        return bool(self._children or waiting)

    def run(self, until_idle: bool = False) -> None:
        """Run jobs until interrupted, or until none is left; one that the dying process of another
        runner still holds is waited for."""
        try:
            while True:
                try:
                    if not self.step() and until_idle and self._watched.over():
                        return
                except (
                    OSError,
                    StoreError,
                    # a full disk, no memory for a process: what is queued stays, and may run later
                ) as e:
                    if until_idle:
                        raise
                    print(f"the queue waits: {e}", file=sys.stderr, flush=True)
                    time.sleep(AGAIN)
                time.sleep(POLL)
        finally:
            self.close()

    def close(self) -> None:
        """End the processes that work; what they had not stored is continued by the next runner."""
        for child in self._children:
            _kill(child.process)
        self._children.clear()

    def _begin(self, folder: Folder) -> None:
        """Begin a job, unless another runner did, or it was cancelled."""
        handle = folder.take()
        if handle is None:
            return
        state = folder.state
        try:
            if state.status in OVER:
                return
            if folder.cancelled:
                stop(folder)
                return
            was_running = state.status == "running"
            folder.write(
                replace(
                    state,
                    status="running",
                    started=time.time(),
                    ended=None,
                    starts=state.starts + 1,
                    error="",
                    seconds_left=None,
                )
            )
            folder.tell("continued" if was_running else "begun")
            self._children.append(self._spawn(folder, handle))
        except StoreError as e:  # what was asked is not as it was written
            self._fail(folder, str(e))
        except OSError:
            folder.write(state)
            raise
        finally:
            os.close(handle)  # the process that works has it now

    def _spawn(self, folder: Folder, handle: int) -> _Child:
        place = folder.asked["workspace"] or str(folder.path / "text")
        process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-c",
                "from assay.jobs.work import main; main()",
                str(self.root),
                folder.key,
                self.limits.to_json(),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=_surroundings(),
            cwd=place if Path(place).is_dir() else folder.path,
            pass_fds=(handle,),
            start_new_session=True,
        )
        child = _Child(folder, process, time.monotonic())
        threading.Thread(target=child.listen, daemon=True).start()
        return child

    def _hurry(self, child: _Child) -> None:
        """End a process that was told to stop and does not."""
        late = (
            self.limits.seconds is not None and time.monotonic() - child.begun > self.limits.seconds
        )
        if not (late or child.folder.cancelled):
            return
        child.asked_to_stop = child.asked_to_stop or time.monotonic()
        if time.monotonic() - child.asked_to_stop > GRACE:
            _kill(child.process)

    def _settle(self, child: _Child) -> None:
        """Write how a job ended whose process could not."""
        code = child.process.wait()
        for pipe in (child.process.stdin, child.process.stderr):
            with suppress(OSError):
                assert pipe is not None
                pipe.close()
        with child.folder.mine() as has_lock:
            if not has_lock or child.folder.state.status in OVER:
                return
            if child.folder.cancelled:
                stop(child.folder)
                return
            how = (
                f"signal {-code}" + (" (often: out of memory)" if code == -signal.SIGKILL else "")
                if code < 0
                else f"exit code {code}"
            )
            late = child.asked_to_stop is not None and self.limits.seconds is not None
            words = (
                f"it took longer than {self.limits.seconds:,.0f} s, all that a job may"
                if late
                else f"its process ended with {how}"
            )
            self._fail(
                child.folder,
                " ".join([words + "; what is stored is kept", *list(child.printed)[-1:]]),
            )

    @staticmethod
    def _fail(folder: Folder, error: str) -> None:
        folder.write(
            replace(
                folder.state,
                status="failed",
                ended=time.time(),
                error=" ".join(error.split())[:500],
                seconds_left=None,
            )
        )
        folder.tell("failed", error=error)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def main() -> None:
    """Run the jobs of a store while whoever started this lives; wait while another such process
    serves the store."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C is for the server, at whose end the pipe closes
    root, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    lock = _runner_lock(root)
    while True:
        try:
            lock.acquire(timeout=1)
            break
        except Timeout:
            continue
    Runner(root, settings.pop("width"), Limits(**settings)).run()


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)  # the processes that work see their pipes close


def _runner_lock(root: Path) -> FileLock:
    return Store(root).prepare().lock("jobs-runner")


def served(root: Path) -> bool:
    """Whether a runner that `running` started takes jobs of this store."""
    lock = _runner_lock(root)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    lock.release()
    return False


@contextmanager
# — frozen
def running(root: Path, width: int = 1, limits: Limits = Limits()) -> Iterator[None]:  # noqa: B008
    """Have a runner of this store in a process of its own while the body runs; killed, it is
    started again.

    It waits while another one is there, and follows it.
    """
    settings = json.dumps({"width": width, **vars(limits)})
    command = [
        sys.executable,
        "-P",
        "-c",
        "from assay.jobs.runner import main; main()",
        str(root.absolute()),
        settings,
    ]
    processes, over = list[subprocess.Popen[bytes]](), threading.Event()

    def start() -> None:
        processes.append(
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=_surroundings()
            )
        )

    def keep() -> None:
        while True:
            processes[-1].wait()
            if over.wait(AGAIN):
                return
            start()

    start()
    keeper = threading.Thread(target=keep, daemon=True)
    keeper.start()
    try:
        yield
    finally:
        over.set()
        while keeper.is_alive():  # it may just have started another one
            with suppress(OSError):
                stdin = processes[-1].stdin
                assert stdin is not None
                stdin.close()
            keeper.join(POLL)


def _surroundings() -> dict[str, str]:
    """The variables of a process: it finds what this one imports, and nothing that merely lies in
    its folder."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


def forget(root: Path, key: str) -> None:
    """Remove a job that is over from the store; its runs stay. Raises: StoreError for one that is
    not over."""
    folder = Folder(root, key)
    with folder.mine() as has_lock:
        if not has_lock or folder.state.status not in OVER:
            raise StoreError(f"job {key} is not over; cancel it first")
        store = Store(root)
        store.remove(folder.path) if folder.there else discard(folder.path)
