"""Migration: what an older version stored, brought by one command to how this one stores it;
nothing is judged anew, and nothing is lost.

Older are the stores whose header says nothing of hashes: their artefacts, results and checkpoints
carry none, or another kind. They are read as they are, and nothing is written into them before they
were migrated. The header is written last: until then the store is the older one, and whatever stops
the command, the next one goes on. What cannot be read is kept under `older/`, where nothing looks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from assay.core import foreign, integrity
from assay.core.spec import canonical_json
from assay.lab.store.atomic import explained, write
from assay.lab.store.sealed import SEAL, seal
from assay.lab.store.store import Store
from assay.lab.work import groups

ASIDE = "older"
"""The folder of a store for what a migration could not read."""


@dataclass(frozen=True)
class Step:
    """One file or folder that is to change, and how."""

    path: Path
    how: str
    do: Callable[[], None] = field(repr=False, compare=False)


def migrate(store: Store) -> list[str]:
    """Bring a store to how this version stores, and tell what was done, a line each; nothing where
    nothing is older.

    Raises: StoreError where another process works in the store, or the disk is full or read-only:
    the same command goes on then."""
    if not store.older:
        return []
    with explained(store.root), store.lock("migration").acquire(blocking=True):
        messages = []
        for step in steps(store):
            step.do()
            messages.append(f"{step.how}: {step.path.relative_to(store.root)}")
        store.modernise()
    return [*messages, f"{store.root} is as this version writes it"]


def steps(store: Store) -> Iterator[Step]:
    """What a migration has still to do, in order."""
    for path in store.unnoted():
        yield Step(path, "hashes written", partial(_note, path))
    for path in sorted((store.root / "results").glob("*/*.json")):
        data = _result(path)
        if data is None:
            yield Step(
                path,
                f"no result that can be read, kept under {ASIDE}/",
                partial(_aside, store, path),
            )
        elif SEAL not in data:
            yield Step(path, "sealed", partial(write, path, seal(data)))
    for path in sorted((store.root / "groups").glob("*/fit-*.safetensors")):
        metadata = groups.checkpoint(path)
        if "sha256" not in metadata:
            yield _checkpoint(store, path, metadata)


def _note(folder: Path) -> None:
    write(folder / integrity.NOTE, integrity.described(folder))


def _result(path: Path) -> dict[str, Any] | None:
    try:
        data = json.loads(foreign.read_stored(path))
        return (
            data
            if isinstance(data["verdicts"], list) and isinstance(data["experiment"], str)
            else None
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _checkpoint(store: Store, path: Path, metadata: dict[str, Any]) -> Step:
    """Seal a checkpoint that says at which step it is and which text made it; nothing could go on
    from any other."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save_file

    try:
        tensors = load_file(path)
    except (SafetensorError, OSError):
        metadata = {}
    if not metadata.get("code"):
        return Step(
            path, f"no checkpoint to go on from, kept under {ASIDE}/", partial(_aside, store, path)
        )
    sealed = {**metadata, "sha256": groups.digest(tensors, metadata["step"], metadata["code"])}
    return Step(
        path,
        "sealed",
        lambda: write(
            path, lambda new: save_file(tensors, new, metadata={"assay": canonical_json(sealed)})
        ),
    )


def _aside(store: Store, path: Path) -> None:
    target = store.root / ASIDE / path.relative_to(store.root)
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)
