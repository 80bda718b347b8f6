"""Wanted: groups that somebody waits for, one small file each, which any worker that sees the store
may take up.

    <root>/wanted/<group>.json      whose group it is, where its experiment lies, on which device,
    since when, and the hash of its text

Whoever waits leaves the file; a worker that finished the group, or failed at it, removes it.
Removed by anybody else, it says that nobody waits any more.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from assay.core import foreign
from assay.core.spec import canonical_json
from assay.lab.away import depot
from assay.lab.store.atomic import explained, write
from assay.lab.store.origin import code, in_file, owner
from assay.lab.store.store import Store
from assay.lab.work.worker import Task

_NAME = re.compile(r"([0-9a-f]{16})\.json")


@dataclass(frozen=True)
class Wanted:
    """A group that somebody waits for."""

    group: str
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

    def found(self, store: Store) -> str:
        """Where the experiment is on this machine, by path or beside the store; "" where it is not,
        or reads differently."""
        places = [self.origin, owner(store, self.name)] if in_file(self.origin) else [self.origin]
        return next(
            (place for place in places if place and self.code and code(place) == self.code), ""
        )


def leave(task: Task) -> None:
    """Ask for a group, whoever may work at it. Raises: StoreError where the store cannot be
    written."""
    root = Path(task.root)
    request = {
        "name": task.name,
        "origin": task.origin,
        "device": task.device,
        "since": task.since,
        "code": code(task.origin),
    }
    with explained(root):
        for folder in (_folder(root), root / "tmp"):
            folder.mkdir(parents=True, exist_ok=True)
        write(_path(root, task.group), canonical_json(request).encode(), root / "tmp")
    if (remote := depot.open_depot(root)) is not None:
        remote.want(task.group, canonical_json(request).encode())


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
    try:
        request = json.loads(foreign.read_stored(_path(root, group)))
        texts = {k: request[k] for k in ("name", "origin", "device", "code")}
        assert all(isinstance(v, str) for v in texts.values())
        return Wanted(group, since=float(request["since"]), **texts)
    except (OSError, ValueError, KeyError, TypeError, AssertionError, RecursionError):
        return None


def _folder(root: Path) -> Path:
    return root / "wanted"


def _path(root: Path, group: str) -> Path:
    return _folder(root) / f"{group}.json"
