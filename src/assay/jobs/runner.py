"""Runner: takes jobs of a store in turn and has each done by a process of its own; what it is doing
is in the store alone.

Killed at any moment it loses nothing: queued jobs stay, and those that ran are taken up where they
were by the next runner. Several runners may serve one store, since each job has a lease; `running`
has one that waits while another one is there."""

from __future__ import annotations

import collections
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

import msgspec

from assay.core.errors import StoreError
from assay.jobs.folder import Folder
from assay.jobs.queue import Watched
from assay.jobs.state import OVER
from assay.jobs.work import Limits
from assay.lab.away import leases
from assay.lab.away.leases import Lease
from assay.lab.executors import Site
from assay.lab.store.store import Store, discard

POLL = 0.2
"""Seconds between looks at the queue."""
AGAIN = 2.0
"""Seconds before what failed for want of something is tried again."""
GRACE = 15.0
"""Seconds that a job has for ending by itself once it was told to."""


@dataclass
class _Child:
    """A process that works on a job, which is ours by lease, and the last that it printed, by a
    thread that reads it."""

    folder: Folder
    lease: Lease
    process: subprocess.Popen[bytes]
    reader: threading.Thread = field(init=False)
    begun: float = field(default_factory=time.monotonic)
    asked_to_stop: float | None = None
    printed: collections.deque[str] = field(default_factory=lambda: collections.deque(maxlen=20))

    def __post_init__(self) -> None:
        self.reader = threading.Thread(target=self._listen, daemon=True)
        self.reader.start()

    def _listen(self) -> None:
        """Read what it prints until it ends, so that it never waits for a reader."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.printed.append(line.decode(errors="replace").rstrip()[:300])

    def kill(self) -> None:
        """End it with all that it started here, and let another runner have the job."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.lease.done()


class Runner:
    """Runs jobs of a store, so many at a time, within limits, at a site.

    Raises: StoreError when the folder `root` is no store, or cannot be written.
    """

    def __init__(
        self,
        root: Path,
        width: int = 1,
        limits: Limits = Limits(),  # noqa: B008 — frozen
        site: Site = Site(),  # noqa: B008 — frozen
    ):
        self.root, self.width = Store(root.absolute()).prepare().root, width
        self.limits, self.site = limits, site
        self._watched, self._children = Watched(self.root), list[_Child]()

    def step(self) -> bool:
        """Note what ended, begin what can be begun; tell whether anything runs or waits."""
        for child in list(self._children):
            if child.process.poll() is not None:
                try:
                    self._settle(child)
                finally:  # whoever sees no child may take its job
                    self._children.remove(child)
            elif child.lease.lost:  # we slept for so long that another runner has it
                self._children.remove(child)
                child.kill()
            else:
                self._hurry(child)
        waiting = self._watched.waiting()
        while waiting and len(self._children) < self.width and self._begin(waiting[0]):
            waiting = self._watched.waiting()
        return bool(self._children or waiting)

    def run(
        self,
        until_idle: bool = False,
        over: threading.Event | None = None,
        turn: Lease | None = None,
    ) -> None:
        """Run jobs until interrupted, until it is `over`, the `turn` is lost to another runner, or
        none is left; one that the dying process of another still holds is waited for."""
        over = over or threading.Event()
        try:
            while not over.wait(POLL) and not (turn is not None and turn.lost):
                try:
                    if not self.step() and until_idle and self._watched.over():
                        return
                # a full disk, no memory for a process: what is queued stays, and may run later
                except (OSError, StoreError) as e:
                    if until_idle:
                        raise
                    print(f"the queue waits: {e}", file=sys.stderr, flush=True)
                    over.wait(AGAIN)
        finally:
            self.close()

    def close(self) -> None:
        """End the processes that work; what they had not stored is continued by the next runner."""
        for child in self._children:
            child.kill()
        self._children.clear()

    def _begin(self, folder: Folder) -> bool:
        """Begin a job, unless it was cancelled; False where another runner was first."""
        lease = folder.take()
        if lease is None:
            return False
        running = len(self._children)
        try:
            self._begin_ours(folder, lease)
        finally:
            if len(self._children) == running:
                lease.done()
        return True

    def _begin_ours(self, folder: Folder, lease: Lease) -> None:
        state = folder.state
        if folder.cancelled:
            return folder.stop()
        if state.status in OVER:
            return None
        starts = state.starts + 1
        begun = replace(state, status="running", started=time.time(), ended=None, starts=starts)
        try:
            folder.write(replace(begun, error="", workers="", seconds_left=None))
            folder.tell("continued" if state.status == "running" else "begun")
            self._children.append(self._spawn(folder, lease))
        except StoreError as e:  # what was asked is not as it was written
            folder.fail(str(e))
        except OSError:
            folder.write(state)
            raise

    def _spawn(self, folder: Folder, lease: Lease) -> _Child:
        place = self.root / folder.place
        # told to stop before it can end well, it would end badly: it is told again
        main = (
            "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
            "from assay.jobs.work import main; main()"
        )
        how = msgspec.json.encode((self.limits, self.site)).decode()
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", main, str(self.root), folder.key, how],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # it finds what this process imports, and nothing that merely lies in its folder
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            cwd=place if place.is_dir() else folder.path,
            pass_fds=() if lease.handle is None else (lease.handle,),
            start_new_session=True,
        )
        return _Child(folder, lease, process)

    def _hurry(self, child: _Child) -> None:
        """Tell a process to stop whose job is cancelled, or whose time is over, as Ctrl-C does at
        `assay run`; end one that does not."""
        seconds, now = self.limits.seconds, time.monotonic()
        if child.folder.cancelled or (seconds is not None and now - child.begun > seconds):
            child.asked_to_stop = child.asked_to_stop or now
            with suppress(ProcessLookupError):
                if now - child.asked_to_stop > GRACE:
                    os.killpg(child.process.pid, signal.SIGKILL)
                else:
                    child.process.send_signal(signal.SIGINT)

    def _settle(self, child: _Child) -> None:
        """Write how a job ended whose process could not."""
        code = child.process.wait()
        child.reader.join(timeout=1)  # its last words
        # What a training started may live on and hold the other end: closing a pipe that is being
        # read would wait for it.
        pipes = [child.process.stdin, *([child.process.stderr] * (not child.reader.is_alive()))]
        for pipe in pipes:
            with suppress(OSError):
                assert pipe is not None
                pipe.close()
        try:
            if not child.lease.held():
                pass  # another runner has it
            elif child.folder.cancelled:
                child.folder.stop()
            elif child.folder.state.status not in OVER:
                how = f"signal {-code}" if code < 0 else f"exit code {code}"
                how += " (often: out of memory)" if code == -signal.SIGKILL else ""
                words = f"its process ended with {how}"
                if child.asked_to_stop is not None and self.limits.seconds is not None:
                    words = f"it took longer than {self.limits.seconds:,.0f} s, all that a job may"
                last = list(child.printed)[-1:]
                child.folder.fail(" ".join([f"{words}; what is stored is kept", *last]))
        finally:
            child.lease.done()


@contextmanager
def running(
    root: Path,
    width: int = 1,
    limits: Limits = Limits(),  # noqa: B008 — frozen
    site: Site = Site(),  # noqa: B008 — frozen
) -> Iterator[None]:
    """Have a runner of this store in a thread while the body runs. It waits while another process
    has one, and follows it."""
    over = threading.Event()
    thread = threading.Thread(target=_follow, args=(root, width, limits, site, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _follow(root: Path, width: int, limits: Limits, site: Site, over: threading.Event) -> None:
    while not over.wait(POLL):
        try:
            lease = leases.open_leases(root).take("jobs-runner")
            if lease is not None:
                try:
                    Runner(root, width, limits, site).run(over=over, turn=lease)
                finally:
                    lease.done()
        except Exception as e:  # whatever it is, the server goes on, and with it the queue
            print(f"the queue waits: {e}", file=sys.stderr, flush=True)
            over.wait(AGAIN)


def forget(root: Path, key: str) -> None:
    """Remove a job that is over from the store; its runs stay. Raises: StoreError for one that is
    not over."""
    folder = Folder(root, key)
    with folder.mine() as has_lease:
        if not has_lease or folder.state.status not in OVER:
            raise StoreError(f"job {key} is not over; cancel it first")
        store = Store(root)
        store.remove(folder.path) if folder.there else discard(folder.path)
