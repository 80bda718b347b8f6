"""Queue: jobs put into a store, taken in order, and cancelled; all of it is folders, so that it
survives every process.

Owners take turns: next is the owner of whom the fewest jobs run, of those whose last start is
longest ago; among an owner's jobs the one that was submitted first.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from assay.core.errors import AssayError, StoreError
from assay.jobs.bounds import Bounds
from assay.jobs.folder import KEY, Folder
from assay.jobs.state import OVER, State
from assay.jobs.submission import Asked, Ready, opened
from assay.lab.store.atomic import explained, write
from assay.lab.store.store import Store, discard

DAY = 24 * 3600.0


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
        with store.lock("jobs-put"):
            _put(folder, ready, owner, bounds)
    return folder


def _put(folder: Folder, ready: Ready, owner: str, bounds: Bounds) -> None:
    if folder.there and folder.now.status not in ("failed", "cancelled"):
        folder.sign(owner)
        return
    _room(folder.root, owner, bounds)
    with folder.mine() as has_lock:
        if not folder.there:
            if not has_lock:
                raise StoreError(
                    f"job {folder.key} is held by another process and has no folder; ask "
                    "again in a moment"
                )
            folder.make(ready, owner, bounds.workspace)
            folder.tell("queued", owner=owner)
            return
        folder.sign(owner)
        if has_lock and folder.now.status in ("failed", "cancelled"):
            discard(folder.path / "cancel")
            before = folder.state
            folder.write(
                State(
                    status="queued",
                    order=time.time_ns(),
                    owner=owner,
                    cpu_seconds=before.cpu_seconds,
                )
            )
            folder.tell("queued", owner=owner)


def _room(root: Path, owner: str, bounds: Bounds) -> None:
    """Refuse what an owner, or the store, has no room for."""
    states = [state for _, state in every(root)]
    waiting = [s for s in states if s.status not in OVER]
    own_jobs = [s for s in waiting if s.owner == owner]
    if len(waiting) >= bounds.queued:
        raise Full(
            f"{len(waiting):,} jobs wait already, and at most {bounds.queued:,} may; submit "
            "again when some are done"
        )
    if bounds.queued_each is not None and len(own_jobs) >= bounds.queued_each:
        raise Full(
            f"{len(own_jobs):,} jobs of yours wait or run, and at most {bounds.queued_each:,} "
            "may; cancel one, or wait for one"
        )
    if bounds.cpu_seconds_each is not None:
        spent = sum(
            s.cpu_seconds
            for s in states
            if s.owner == owner and (s.ended or time.time()) > time.time() - DAY
        )
        if spent >= bounds.cpu_seconds_each:
            raise Full(
                f"your jobs took {spent:,.0f} CPU-seconds in 24 hours, and at most "
                f"{bounds.cpu_seconds_each:,.0f} may; wait, or ask for more"
            )


def cancel(root: Path, key: str, owner: str | None = None) -> Folder:
    """Cancel a job: an owner withdraws, and when nobody asks for it any more it stops; what it
    stored is kept. None: for everybody.

    Raises: StoreError for no such job, or one that the owner did not ask for.
    """
    folder = Folder(root, key)
    owners = folder.owners if folder.asked else ()
    if owner is not None:
        if owner not in owners:
            raise NotYours(f"job {key} was asked for by somebody else, who alone may cancel it")
        if folder.now.status in OVER:
            return folder
        if [o for o in owners if o != owner]:
            folder.leave(owner)
            return folder
    with folder.mine() as has_lock:
        if has_lock:
            folder.stop()
        elif folder.state.status not in OVER:  # whoever works on it looks for this file
            with explained(root):
                write(folder.path / "cancel", b"")
    return folder


class Watched:
    """The states of all jobs of a store, each read again only when its file changed."""

    def __init__(self, root: Path):
        self.root = root
        self._seen: dict[str, tuple[tuple[int, int], State]] = {}

    def every(self) -> Iterator[tuple[Folder, State]]:
        """Every job, with how far it is as it was written last."""
        for key in keys(self.root):
            folder = Folder(self.root, key)
            try:
                status = (folder.path / "state.json").stat()
                stamp = status.st_mtime_ns, status.st_ino
                if key not in self._seen or self._seen[key][0] != stamp:
                    self._seen[key] = stamp, folder.state
            except (OSError, StoreError):
                continue
            yield folder, self._seen[key][1]

    def over(self) -> bool:
        """Whether every job has ended."""
        return all(state.status in OVER for _, state in self.every())

    def waiting(self) -> list[Folder]:
        """The jobs that nobody works on and that should run, in the order in which they are
        taken."""
        jobs = [
            (folder, state, folder.held if state.status == "running" else False)
            for folder, state in self.every()
        ]
        running = Counter(state.owner for _, state, held in jobs if held)
        last = {
            state.owner: state.started or 0.0
            for _, state, _ in sorted(jobs, key=lambda job: job[1].started or 0.0)
        }
        open_ = [
            (folder, state) for folder, state, held in jobs if state.status not in OVER and not held
        ]
        return [folder for folder, _ in sorted(open_, key=lambda job: _turn(job[1], running, last))]


def _turn(state: State, running: Counter[str], last: dict[str, float]) -> tuple[int, float, int]:
    return running[state.owner], last.get(state.owner, 0.0), state.order


def every(root: Path) -> list[tuple[Folder, State]]:
    """Every job of a store with how far it is now, those submitted first first."""
    jobs = []
    for key in keys(root):
        folder = Folder(root, key)
        try:
            jobs.append((folder, folder.now))
        except StoreError:  # removed meanwhile
            continue
    return sorted(jobs, key=lambda job: job[1].order)


def keys(root: Path) -> Sequence[str]:
    """The keys of all jobs."""
    try:
        # — names are wanted, thousands of them
        return sorted(name for name in os.listdir(root / "jobs") if KEY.fullmatch(name))  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return []
