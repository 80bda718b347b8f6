"""Worker: join a store's workers from any machine that sees its folder, and say what was done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.lab import catalogue
from assay.lab.away.worker_loop import Did, Joined


@dataclass(frozen=True)
class Worked:
    """What a worker did until it left."""

    groups: tuple[Did, ...]
    """In the order in which it took them up; one that it left and took up again stands twice."""


def worker(
    root: Path,
    experiments: Sequence[str] = (),
    *,
    idle: float | None = None,
    threads: int = 1,
    device: str | None = None,
    tell: Callable[[Any], None] = lambda told: None,
) -> Worked:
    """Work at groups that somebody waits for, one at a time, until asked to leave, or until nothing
    could be done for `idle` seconds.

    `experiments` are names or files; without any, whatever is wanted. `tell` hears of each group,
    and of what cannot run here.
    Raises: ExperimentError for an unknown name; StoreError when the store cannot be read or
    written."""
    only = [catalogue.entry(name).name for name in experiments]
    return Worked(tuple(Joined(root, only, device, tell, threads).run(idle)))
