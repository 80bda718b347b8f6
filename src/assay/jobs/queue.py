"""Queue: jobs put into a store, taken in order, and cancelled; all of it is folders, so that it
survives every process.

Owners take turns: next is the owner of whom the fewest jobs run, of those whose last start is
longest ago; among an owner's jobs the one that was submitted first.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from assay.core.errors import AssayError, StoreError
from assay.jobs.bounds import Bounds
from assay.jobs.folder import KEY, Folder, NoJob
from assay.jobs.state import OVER, State
from assay.jobs.submission import Asked, Ready, opened
from assay.lab.away import leases
from assay.lab.store.atomic import explained, write
from assay.lab.store.store import Store, discard

DAY = 24 * 3600.0
ENDS = 10.0
"""Seconds that a process may take to end once its job is over, before it is asked for again."""


class Full(AssayError):
    """A queue, or an owner's share of it, is full; nothing was submitted."""


class NotOver(AssayError):
    """A job has no result, yet or at all."""


class NotYours(AssayError):
    """A job that somebody else asked for."""


# — frozen
def put(root: Path, request: Asked, owner: str = "", bounds: Bounds = Bounds()) -> Folder:  # noqa: B008
    """Put a job into the queue; one that is there already is the same job, and one that failed or
    was cancelled is queued again.

    Raises: AssayError for what cannot run, in one line; Full.
    """
    with opened(root, request, bounds) as ready:
        store = Store(root).prepare()
        folder = Folder(store.root, ready.key)
        with _turn(store.root):
            _put(folder, ready, owner, bounds)
    return folder


@contextmanager
def _turn(root: Path) -> Iterator[None]:
    """Be alone in putting and cancelling while the body runs. Raises: StoreError."""
    with explained(root):
        lease = leases.open_leases(root).wait("jobs-put")
    try:
        yield
    finally:
        lease.done()


def _put(folder: Folder, ready: Ready, owner: str, bounds: Bounds) -> None:
    status = folder.now.status if folder.there else ""
    if status == "running" and folder.cancelled:  # whoever works on it was told to stop
        raise StoreError(f"job {folder.key} is being cancelled; ask again in a moment")
    if status and status not in ("failed", "cancelled"):
        folder.sign(owner)
        return
    _check_room(folder.root, owner, bounds)
    # Whoever writes that a job is over lets go of it a moment later.
    with folder.mine(wait=ENDS if status else 0.0) as is_mine:
        if not is_mine:
            raise StoreError(f"job {folder.key} is held by another process; ask again in a moment")
        if not folder.there:
            folder.make(ready, owner, bounds.workspace)
            folder.tell("queued", owner=owner)
            return
        folder.sign(owner)
        if (before := folder.state).status != "done":
            discard(folder.path / "cancel")
            again = State(status="queued", order=time.time_ns(), owner=owner)
            folder.write(replace(again, cpu_seconds=before.cpu_seconds))
            folder.tell("queued", owner=owner)


def _check_room(root: Path, owner: str, bounds: Bounds) -> None:
    """Refuse what an owner, or the store, has no room for. Raises: Full."""
    states = [state for _, state in every(root)]
    waiting = [state.owner for state in states if state.status not in OVER]
    if len(waiting) >= bounds.queued:
        raise Full(
            f"{len(waiting):,} jobs wait already, and at most {bounds.queued:,} may; submit "
            "again when some are done"
        )
    if bounds.queued_each is not None and waiting.count(owner) >= bounds.queued_each:
        raise Full(
            f"{waiting.count(owner):,} jobs of yours wait or run, and at most "
            f"{bounds.queued_each:,} may; cancel one, or wait for one"
        )
    now = time.time()
    recent = (s for s in states if s.owner == owner and (s.ended or now) > now - DAY)
    spent, most = sum(state.cpu_seconds for state in recent), bounds.cpu_seconds_each
    if most is not None and spent >= most:
        raise Full(
            f"your jobs took {spent:,.0f} CPU-seconds in 24 hours, and at most {most:,.0f} may; "
            "wait, or ask for more"
        )


def cancel(root: Path, key: str, owner: str | None = None) -> Folder:
    """Cancel a job: an owner withdraws, and when nobody asks for it any more it stops; what it
    stored is kept. None: for everybody.

    Raises: StoreError for no such job, or one that the owner did not ask for.
    """
    folder = Folder(root, key)
    if not folder.there:  # before anything is written where there may be no store
        raise NoJob(f"no job {key} in this store")
    with _turn(root):
        return _cancel(folder, owner)


def _cancel(folder: Folder, owner: str | None) -> Folder:
    key, owners = folder.key, folder.owners if folder.asked else ()
    if owner is not None:
        if owner not in owners:
            raise NotYours(f"job {key} was asked for by somebody else, who alone may cancel it")
        if folder.now.status in OVER:
            return folder
        if [o for o in owners if o != owner]:
            folder.leave(owner)
            return folder
    with folder.mine() as is_mine:
        if is_mine:
            folder.stop()
        elif folder.state.status not in OVER:  # whoever works on it looks for this file
            with explained(folder.root):
                write(folder.path / "cancel", b"")
    return folder


class Watched:
    """The states of all jobs of a store, each read again only when its file changed."""

    def __init__(self, root: Path):
        self.root = root
        self._seen: dict[str, tuple[tuple[int, int], State]] = {}

    def every(self) -> Iterator[tuple[Folder, State]]:
        """Every job, with how far it is as it was written last."""
        for folder in _folders(self.root):
            try:
                status = (folder.path / "state.json").stat()
                stamp = status.st_mtime_ns, status.st_ino
                if folder.key not in self._seen or self._seen[folder.key][0] != stamp:
                    self._seen[folder.key] = stamp, folder.state
            except (OSError, StoreError):
                continue
            yield folder, self._seen[folder.key][1]

    def over(self) -> bool:
        """Whether every job has ended."""
        return all(state.status in OVER for _, state in self.every())

    def waiting(self) -> list[Folder]:
        """The jobs that nobody works on and that should run, in the order in which they are
        taken."""
        running, last = Counter[str](), dict[str, float]()
        ready: list[tuple[Folder, State]] = []
        for folder, state in self.every():
            last[state.owner] = max(last.get(state.owner, 0.0), state.started or 0.0)
            if state.status == "running" and folder.held:
                running[state.owner] += 1
            elif state.status not in OVER:
                ready.append((folder, state))
        turns = {f.key: (running[s.owner], last[s.owner], s.order) for f, s in ready}
        return sorted((folder for folder, _ in ready), key=lambda folder: turns[folder.key])


def every(root: Path) -> list[tuple[Folder, State]]:
    """Every job of a store with how far it is now, those submitted first first."""
    jobs = []
    for folder in _folders(root):
        with suppress(StoreError):  # removed meanwhile
            jobs.append((folder, folder.now))
    return sorted(jobs, key=lambda job: job[1].order)


def _folders(root: Path) -> list[Folder]:
    try:
        names = os.listdir(root / "jobs")  # noqa: PTH208 — names are wanted, thousands of them
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [Folder(root, name) for name in sorted(names) if KEY.fullmatch(name)]
