"""Remove: the stored runs and results of an experiment, and artefacts that no other one is left to
use."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from assay.core.schema import BESIDE
from assay.lab import catalogue
from assay.lab.lab import Lab
from assay.lab.store import origin
from assay.studies.related import subjects


@dataclass(frozen=True)
class Removable:
    """What would be deleted: files and folders with their bytes."""

    name: str
    paths: tuple[tuple[Path, int], ...]

    @property
    def bytes(self) -> int:
        """How many bytes that frees."""
        return sum(count for _, count in self.paths)


@dataclass(frozen=True)
class Removed:
    """How many bytes are free again."""

    bytes: int
    paths: tuple[Path, ...] = field(default=(), metadata=BESIDE)
    """What was deleted."""


def removable(lab: Lab, name: str) -> Removable:
    """List what `remove` would delete of the experiment of this name or file. Raises: StoreError
    where its runs are another file's."""
    entry = catalogue.entry(name)
    origin.check(lab.store, entry.name, entry.origin)
    return Removable(entry.name, tuple(lab.removable(entry.name)))


def remove(lab: Lab, removable: Removable) -> Removed:
    """Delete what is stored of an experiment; looks at its claims stay, since they cannot be made
    again, and the ledger notes what was there.
    """
    if not removable.paths:
        return Removed(0)
    return Removed(
        lab.remove(removable.name, about=subjects(lab.store, removable.name)),
        tuple(path for path, _ in removable.paths),
    )
