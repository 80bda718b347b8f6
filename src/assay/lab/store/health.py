"""Health: everything in a store that is not as it was written, and what is done about it; every
byte is read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from assay.core.errors import StoreError
from assay.lab.judge import journal
from assay.lab.store import migration
from assay.lab.store.sealed import NewerError, unseal
from assay.lab.store.store import PARAMS, Store
from assay.lab.work import groups

AGAIN = "it is never used; `assay run` trains it again"


@dataclass(frozen=True)
class Harm:
    """One file or folder that cannot be trusted."""

    what: str
    """Kind: run, parameters, group, checkpoint, artefact, result, looks."""
    path: Path
    why: str
    then: str
    """What becomes of it if nobody does anything."""
    mend: Callable[[], None] = field(repr=False, compare=False)
    """Remove it, or what cannot be trusted in it."""


def harms(store: Store) -> Iterator[Harm]:
    """Everything in a store that is not as it was written, runs first; what an older version wrote
    without hashes is no harm."""
    older = {step.path for step in migration.steps(store)} if store.older else set()
    for bad in store.damaged():
        yield Harm("run", bad.folder, bad.reason, AGAIN, partial(store.remove, bad.folder))
    for run in store.list():
        if run.has_params and _sha256(run.folder / PARAMS) != run.files[PARAMS][1]:
            yield Harm(
                "parameters",
                run.folder,
                f"{PARAMS} differs from its hash",
                AGAIN,
                partial(store.remove, run.folder),
            )
    for folder in groups.damaged(store):
        consequence = "nothing goes on from it; `assay run` starts those runs again"
        yield Harm(
            "group",
            folder,
            "its keys.json is not as it was written",
            consequence,
            partial(_unformed, store, folder),
        )
    for group in groups.unfinished(store):
        for path in groups.checkpoints(group.folder):
            if (
                path not in older and groups.whole(path) is None and path.exists()
            ):  # else the group was just finished
                consequence = "nothing goes on from it; `assay run` starts that group again"
                yield Harm(
                    "checkpoint",
                    path,
                    "it differs from its hash, or is older than hashes",
                    consequence,
                    partial(store.remove, path),
                )
    for folder, why in store.broken_artefacts():
        yield Harm(
            "artefact",
            folder,
            why,
            "it is never used; the next command that needs it builds it again",
            partial(store.remove, folder),
        )
    for path in sorted((store.root / "results").glob("*/*.json")):
        try:
            if path not in older:
                _check_own(path, unseal(path))
        except NewerError:
            continue  # whole, and of use to whoever upgrades
        except StoreError as e:
            yield Harm(
                "result",
                path,
                str(e).removeprefix(f"{path} "),
                "it is never shown; `assay run` writes it again",
                partial(store.remove, path),
            )
    ledger = journal.Ledger(store)
    referenced = ledger.references()
    consequence = "what changed after that look may go untold"
    for path, why, references in (
        *journal.harmed(store),
        *([(ledger.path, gone, referenced)] if (gone := ledger.wrong(referenced)) else ()),
    ):
        yield Harm("looks", path, why, consequence, partial(journal.mend, store, path, references))


def _check_own(path: Path, data: Mapping[str, Any]) -> None:
    """Refuse another file of a store in a result's place: its seal is whole. Raises: StoreError."""
    if (data.get("experiment"), data.get("preset")) != (path.parent.name, path.stem):
        raise StoreError(f"{path} holds something else of this store")


def _unformed(store: Store, folder: Path) -> None:
    with groups.forming(store):
        if groups.read(folder) is None:
            store.remove(folder)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
