"""Wanted: groups that somebody waits for, one small file each, which any worker that sees the store
may take up.

    <root>/wanted/<group>.json      whose group it is, where its experiment lies, on which device,
    since when, and the hash of its text; where a job asks, also on what terms

Whoever waits leaves the file; a worker that finished the group, or failed at it, removes it.
Removed by anybody else, it says that nobody waits any more.
"""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterator
from contextlib import chdir, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from assay.core import foreign
from assay.core.errors import AssayError
from assay.core.spec import canonical_json
from assay.lab.away import depot
from assay.lab.store.atomic import explained, write
from assay.lab.store.origin import code, in_file, owner
from assay.lab.store.store import Store
from assay.lab.work.worker import Task

_NAME = re.compile(r"([0-9a-f]{16})\.json")


@dataclass(frozen=True, kw_only=True)
class Terms:
    """On what terms a group runs that a submitted job asks for, wherever that is."""

    job: str = ""
    """The key of the job; "" where a command waits."""
    owner: str = ""
    """Who submitted it: owners take turns at a worker."""
    memory: Annotated[int, Meta(ge=0)] = 0
    """Bytes of address space that a worker may have while it is at it; 0: what it takes. On a GPU
    its engine's bound holds, since there address space says nothing."""
    place: str = ""
    """The folder in which it runs, as seen from the store; "": wherever the worker is."""

    @contextmanager
    def hold(self, root: Path, device: str) -> Iterator[None]:
        """Be where they say, with no more memory than they give. Raises: AssayError where that
        folder is not here."""
        place, before = root / self.place, resource.getrlimit(resource.RLIMIT_AS)
        if self.place and not place.is_dir():
            raise AssayError(f"the folder {place}, in which it was submitted, is not here")
        with chdir(place) if self.place else nullcontext():
            if self.memory and device == "cpu":
                most = min(n for n in (self.memory, *before) if n != resource.RLIM_INFINITY)
                resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
            try:
                yield
            finally:
                resource.setrlimit(resource.RLIMIT_AS, before)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A group that somebody waits for."""

    group: str = ""
    name: str
    """Of its experiment."""
    origin: str
    """Where whoever waits has the experiment: a module, or a path on that machine."""
    device: str
    since: float
    """When it was asked for, in seconds of that machine's epoch: who is served first, and nothing
    else."""
    code: str
    """The hash of the experiment's text there."""
    terms: Terms = Terms()

    def found(self, store: Store) -> str:
        """Where the experiment is on this machine, by path or beside the store; "" where it is not,
        or reads differently."""
        places = [self.origin, owner(store, self.name)] if in_file(self.origin) else [self.origin]
        return next(
            (place for place in places if place and self.code and code(place) == self.code), ""
        )


def leave(task: Task, terms: Terms = Terms()) -> None:
    """Ask for a group, whoever may work at it. Raises: StoreError where the store cannot be
    written."""
    root = Path(task.root)
    request: dict[str, Any] = {
        "name": task.name,
        "origin": task.origin,
        "device": task.device,
        "since": task.since,
        "code": code(task.origin),
        **({"terms": asdict(terms)} if terms.job else {}),
    }
    with explained(root):
        for folder in (_folder(root), root / "tmp"):
            folder.mkdir(parents=True, exist_ok=True)
        write(_path(root, task.group), canonical_json(request).encode(), root / "tmp")
    if (remote := depot.open_depot(root)) is not None:
        remote.want(task.group, canonical_json(request).encode())


def drop_job(root: Path, job: str) -> None:
    """Ask for nothing more on behalf of this job; workers leave it at their next step."""
    for group in names(root):
        if (request := read(root, group)) is not None and request.terms.job == job:
            drop(root, group)


def drop(root: Path, group: str) -> None:
    """Ask for it no more."""
    _path(root, group).unlink(missing_ok=True)
    if (remote := depot.open_depot(root)) is not None:
        remote.drop(group)


def is_wanted(root: Path, group: str) -> bool:
    """Whether anybody waits for it."""
    return _path(root, group).exists()


def names(root: Path) -> set[str]:
    """The groups that are waited for."""
    try:
        # — thousands of names
        return {match[1] for name in os.listdir(_folder(root)) if (match := _NAME.fullmatch(name))}  # noqa: PTH208
    except FileNotFoundError:
        return set()


def read(root: Path, group: str) -> Wanted | None:
    """What is asked of a group; None where nothing is, or nothing that can be read."""
    with suppress(OSError, msgspec.MsgspecError, ValueError, RecursionError):
        request = foreign.read_stored(_path(root, group))
        return replace(msgspec.json.decode(request, type=Wanted), group=group)
    return None


def _folder(root: Path) -> Path:
    return root / "wanted"


def _path(root: Path, group: str) -> Path:
    return _folder(root) / f"{group}.json"
