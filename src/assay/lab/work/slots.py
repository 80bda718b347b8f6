"""Slots: the cores and the memory of this machine, which all commands that train or measure share.

    <cache>/slots/alone        locked while anything here is read or changed
                  <id>.lock    locked by a command from its first task to its last
                  <id>.json    when it came, what it has, and whether it waits

A killed command loses its lock, and with it all of its slots. Commands are ordered by their time of
arrival plus their CPU-seconds, the earliest first. So a short one overtakes a long one, even
between two of its tasks, unless the long one has waited longer by as much. A command of which
little is left gets a slot at once, if there is enough memory."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from assay.core import cache
from assay.core.compute import free_memory
from assay.lab.store.provenance import cores
from assay.lab.work.events import Task, Waiting

FOLDER = "slots"
"""Where the locks are in the cache."""
WAITING = "waiting for"
"""How the line begins that says so."""
BRIEF = 30.0
"""CPU-seconds below which what is left of a command does not wait for a core."""
UNKNOWN = 600.0
"""The CPU-seconds that are assumed for a command whose cost is unknown."""
SHARED = (
    f"Ctrl-C stops this one; with less than {BRIEF:.0f} CPU-seconds left, it waits for no core."
)
"""How it ends."""
AGAIN = 0.5
"""Seconds until a command that waits looks again."""
PROCESS = " (process "
"""What parts the name of a command from its process."""
_END: Any = object()


@dataclass(frozen=True)
class Entry:
    """What the others know of a command."""

    came: int
    """When it came, later by the CPU-seconds that it takes; in nanoseconds."""
    tasks: int = 0
    """How many of its tasks run."""
    each: int = 1
    """Cores of each of them."""
    bytes: float = 0.0
    """What they take of the memory, all together, once all is made."""
    free: float = 0.0
    """The memory that was free when nothing ran."""
    waits: bool = False
    name: str = "a study"
    """What it runs, with its process."""


class Slots:
    """What one command has of the cores and the memory, and what it waits for.

    Args:
        each: cores of each of its tasks.
        shared: bytes that its tasks have in memory once.
        own: bytes that each task takes besides.
        folder: of the locks; None: in the cache.
        width: cores of the machine; None: those that this process may use.
        name: what it runs, for those that wait for it.
        seconds: CPU-seconds that it takes. One that is soon over need not wait for a core with its
            first task; at most twice as many run as there are cores.
    """

    def __init__(
        self,
        each: int = 1,
        shared: float = 0.0,
        own: float = 0.0,
        folder: Path | None = None,
        width: int | None = None,
        name: str = Entry.name,
        seconds: float = UNKNOWN,
    ):
        self._folder = folder or cache.folder() / FOLDER
        self._width = width or cores()
        self._shared, self._own, self._seconds = shared, own, seconds
        came, name = time.time_ns() + int(1e9 * seconds), f"{name}{PROCESS}{os.getpid()})"
        self._me = Entry(came, each=min(each, self._width), name=name)
        self._name = f"{self._me.came}-{os.getpid()}"
        self._spare = 0
        """Slots of tasks that ended, for its next ones."""
        self._over = self._left = False
        self._next_look = 0.0

    def shared_out(
        self, tasks: Iterator[Task | None], tell: Callable[[Any], None], *, patient: bool = False
    ) -> Iterator[Task | None]:
        """Give the tasks on, each once there is a slot for it; None while there is none, unless it
        is `patient` and none of its tasks runs: then it returns once there is a slot."""
        try:
            while True:
                if why := self._take():
                    if not self._me.tasks and why != WAITING:
                        tell(Waiting(why))
                    if patient and not self._me.tasks:
                        time.sleep(AGAIN)
                    else:
                        yield None
                    continue
                task = next(tasks, _END)
                if isinstance(task, Task):
                    yield task
                    continue
                self._spare += 1
                self._give_spare()
                if task is _END:
                    return
                yield None
        finally:
            self._over = True
            self._give_spare()

    def ended(self, left: float | None = None) -> None:
        """Note that a task ended, whose slot is for the next one, and how many CPU-seconds are
        left, where that is known: what is nearly done goes before what takes longer."""
        if left is not None:
            came = self._me.came - int(1e9 * (self._seconds - left))
            self._me, self._seconds = replace(self._me, came=came), left
        self._spare += 1
        if self._over:
            self._give_spare()

    @contextmanager
    def entered(self) -> Iterator[Slots]:
        """Be one of the commands that share the machine while the body runs."""
        lock = FileLock(self._folder / f"{self._name}.lock")
        with suppress(OSError), self._alone():
            lock.acquire(timeout=0)
        try:
            yield self
        finally:
            self._left = True  # what is given back later is written nowhere
            with suppress(OSError), self._alone():
                lock.release()
                self._forget(self._name)

    def _take(self) -> str:
        """Take a slot; why there is none, or nothing. Where no file can be written, or locks do
        not work, there always is."""
        if self._spare and not self._lets_in():
            self._spare -= 1
            return ""
        self._give_spare()
        if time.monotonic() < self._next_look:
            return WAITING
        try:
            with self._alone():
                return self._taken(self._others())
        except OSError:
            return ""

    def _lets_in(self) -> bool:
        """Whether a slot whose task ended is for another command that waits, as that goes first."""
        if time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + AGAIN
        with suppress(OSError), self._alone():
            return any(e.waits and e.came < self._me.came for e in self._others())
        return False

    def _taken(self, others: list[Entry]) -> str:
        more = self._own + (0.0 if self._me.tasks else self._shared)
        running = [e for e in (self._me, *others) if e.tasks]
        free = min(e.free for e in running) if running else free_memory()
        brief = self._seconds < BRIEF and not self._me.tasks
        width = 2 * self._width if brief else self._width
        core = width - sum(e.tasks * e.each for e in running) >= self._me.each
        # what runs alone may try: that it has not enough memory is then its own error
        fits = not running or (
            core and more <= free_memory() and sum(e.bytes for e in running) + more <= free
        )
        first = brief or not any(e.waits and e.came < self._me.came for e in others)
        if first and fits and core:
            self._note(
                tasks=self._me.tasks + 1, bytes=self._me.bytes + more, free=free, waits=False
            )
            return ""
        self._next_look = time.monotonic() + AGAIN
        if not self._me.waits:
            self._note(waits=True)
        ahead = [e for e in others if e.tasks or (e.waits and e.came < self._me.came)]
        earlier = sorted(e.name for e in ahead)
        own = self._me.name.partition(PROCESS)[0]
        if own != Entry.name:  # one of the same name is not this one, which would wait for itself
            alike = [name.partition(PROCESS)[0] == own for name in earlier]
            earlier = ["another study, " * a + name for a, name in zip(alike, earlier, strict=True)]
        resource = f"memory, {more / 1e9:.1f} GB needed" if core and not fits else "a core"
        others_ahead = f" and {len(earlier) - 3} more" if len(earlier) > 4 else ""
        names = ", ".join(earlier[: 3 if others_ahead else 4])
        return f"{WAITING} {resource}, after {names}{others_ahead}. {SHARED}"

    def _give_spare(self) -> None:
        if self._spare:
            tasks = max(0, self._me.tasks - self._spare)
            used = self._shared + tasks * self._own if tasks else 0.0
            self._spare = 0
            with suppress(OSError), self._alone():
                self._note(tasks=tasks, bytes=used, waits=False)

    def _note(self, **changed: Any) -> None:
        self._me = replace(self._me, **changed)
        if self._left:
            return
        path = self._folder / f"{self._name}.json"
        aside = path.with_suffix(".partial")
        aside.write_text(json.dumps(asdict(self._me)))
        aside.replace(path)

    def _others(self) -> list[Entry]:
        """The other commands that are alive; what dead ones left is removed."""
        others = []
        for path in self._folder.glob("*.lock"):
            if path.stem == self._name:
                continue
            try:
                with FileLock(path, timeout=0):
                    self._forget(path.stem)
            except Timeout:
                with suppress(OSError, ValueError, TypeError):  # it has not written anything yet
                    others.append(Entry(**json.loads(path.with_suffix(".json").read_text())))
        return others

    def _forget(self, name: str) -> None:
        for end in ("json", "partial", "lock"):
            (self._folder / f"{name}.{end}").unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Be the only one that reads and changes. Raises: OSError, also where that takes long."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / "alone", timeout=10):
            yield
