"""Folder: one run in the store: what was asked, how far it is, and its result.

    <root>/jobs/<key>/asked.json    what was asked, sealed
                      text/         a study's file, and links to the files that it names
                      state.json    how far it is; always replaced as a whole
                      output, log   what the process printed as its result, and meanwhile
                      result.json   its result, sealed
    <root>/locks/jobs               locked while a state is changed

By these files alone any server of the store can answer for a run."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import msgspec
from filelock import FileLock, Timeout

from assay.core import foreign
from assay.core.errors import StoreError
from assay.lab.store.atomic import explained, seal, sync, unseal, write
from assay.lab.store.origin import STUDIES
from assay.lab.store.store import Store

DIGITS, OVER = 32, ("done", "failed", "cancelled")
"""Hex digits of a key; the statuses of a run that is over."""


class NoJob(StoreError):
    """A store has no run of this key."""


@dataclass(frozen=True, kw_only=True)
class State:
    """How far a run is; times are in seconds of the epoch."""

    status: Literal["queued", "running", "done", "failed", "cancelled"]
    order: int
    """When it was asked for, in nanoseconds: the first goes first."""
    pid: int = 0
    begun: str = ""
    """When its process started, as `process.started` says it."""
    started: float | None = None
    ended: float | None = None
    exit_code: int | None = None
    """Below 0 the number of a signal; None where no server saw it end."""
    stop: Literal["", "cancelled", "too long"] = ""
    """Why it has to stop."""
    interrupted: float | None = None
    cached: int | None = None
    """Runs that were stored when it was asked for."""
    seconds: tuple[float, float] | None = None
    """From how many seconds to how many it was expected to take."""
    error: str = ""
    """Why it failed, in a line."""


class Job:
    """One run of a store, which may not be there. Raises: NoJob for what is no key."""

    def __init__(self, root: Path, key: str):
        if not re.fullmatch(rf"[0-9a-f]{{{DIGITS}}}", key):
            raise NoJob(f"a run's key has {DIGITS} hex digits, got {key[:80]!r}")
        self.root, self.key, self.path = root, key, root / "jobs" / key

    @property
    def asked(self) -> Mapping[str, Any]:
        """What was asked. Raises: NoJob; StoreError where it was changed."""
        if not (self.path / "asked.json").is_file():
            raise NoJob(f"no run {self.key} in this store")
        return self._unsealed("asked.json", "key")

    @property
    def typed(self) -> str:
        """How its experiment is found: a name, or the path of a file. Raises: StoreError."""
        typed: str = self.asked["typed"]
        return str(self.path.resolve() / "text" / typed) if typed.endswith(STUDIES) else typed

    @property
    def state(self) -> State:
        """How far it is; what cannot be read is a run that failed."""
        try:
            data = foreign.read_stored(self.path / "state.json")
            return msgspec.json.decode(data, type=State, strict=False)
        except (OSError, ValueError, RecursionError):
            lost = "its state cannot be read; run it again to resume"
            return State(status="failed", order=0, error=lost)

    @property
    def result(self) -> dict[str, Any]:
        """What `assay show --json` prints of it. Raises: StoreError where it is not done."""
        if (status := self.state.status) != "done":
            raise StoreError(f"run {self.key} has no result: it is {status}")
        return self._unsealed("result.json", "provenance")

    def _unsealed(self, name: str, field: str) -> dict[str, Any]:
        content = unseal(self.path / name)
        if field not in content or content.get("key", self.key) != self.key:
            raise StoreError(f"{self.path / name} is not of this run; run it again")
        return content

    def write(self, state: State) -> State:
        """Write how far it is, and give it back; only while `changing` the store."""
        write(self.path / "state.json", msgspec.json.encode(state))
        return state

    def keep_result(self) -> bool:
        """Seal what the process printed as its result; False where that is not whole."""
        try:
            content = seal(json.loads(foreign.read_stored(self.path / "output")))
        except (OSError, ValueError, TypeError, RecursionError):
            return False
        write(self.path / "result.json", content)
        return True


@contextmanager
def changing(root: Path) -> Iterator[None]:
    """Be alone in changing states while the body runs. Raises: StoreError."""
    try:
        with explained(root):
            (root / "locks").mkdir(parents=True, exist_ok=True)
            with FileLock(root / "locks" / "jobs", timeout=30):
                yield
    except Timeout:
        raise StoreError("the folder of runs is busy; ask again in a moment") from None


def put(
    root: Path, asked: Mapping[str, Any], state: State, text: Mapping[str, bytes | Path]
) -> Job:
    """Ask for a run, with files and links of its folder `text`; what was asked before is the same
    run, and starts again where it failed, was cancelled, or lost its result. Raises: StoreError."""
    job = Job(Store(root).prepare().root, asked["key"])
    with changing(job.root):
        previous = job.state
        if previous.status == "running" and previous.stop:
            raise StoreError(f"run {job.key} is being stopped; ask again in a moment")
        with suppress(StoreError):
            if previous.status in ("queued", "running") or (job.asked and job.result):
                return job
        # by one rename, so that the folder has all its files or is not there
        aside = job.root / "tmp" / f"job-{job.key}-{uuid.uuid4().hex[:12]}"
        files = {"asked.json": seal(dict(asked)), "state.json": msgspec.json.encode(state)}
        (aside / "text").mkdir(parents=True)
        for name, content in (files | {f"text/{name}": c for name, c in text.items()}).items():
            if isinstance(content, Path):
                (aside / name).symlink_to(content)
            else:
                (aside / name).write_bytes(content)
                sync(aside / name)
        job.path.parent.mkdir(exist_ok=True)
        if job.path.exists():
            job.path.rename(aside.with_name(f"old-{aside.name}"))
        aside.rename(job.path)
        sync(job.path.parent)
    return job


def cancel(root: Path, key: str) -> Job:
    """Cancel a run, which keeps what it stored; a server interrupts the process. Raises: NoJob."""
    job = Job(root, key)
    job.asked  # noqa: B018 — raises before anything is written where there may be no store
    with changing(root):
        state = job.state
        if state.status == "queued":
            job.write(replace(state, status="cancelled", ended=time.time()))
        elif state.status == "running" and not state.stop:
            job.write(replace(state, stop="cancelled"))
    return job
