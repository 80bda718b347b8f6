"""Kin: which results of a store are about the same experiments, under whatever name: every wording of a study has a name of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from assay.core.errors import AssayError
from assay.lab import catalogue, owners
from assay.lab.origin import STUDIES
from assay.lab.store import Store
from assay.studies.text import read


def about(origin: str) -> tuple[str, ...]:
    """Tell which experiments one is about that lives at `origin`: those of a study, else itself."""
    if not origin.endswith(STUDIES):
        return ()
    return tuple(Path(part.name).stem.replace("_", "-") for part in read(Path(origin)).study.experiment)


def kin(store: Store, name: str, known: Collection[str]) -> Iterator[str]:
    """Give the names of other stored results that are about one of these experiments; one of which nothing can be told counts."""
    catalogued = {e.name for e in catalogue.entries()}
    for path in sorted((store.root / "results").glob("*/frozen.jsonl")):
        if (other := path.parent.name) != name and _related(store, other, known, catalogued):
            yield other


def _related(store: Store, other: str, known: Collection[str], catalogued: Collection[str]) -> bool:
    if other in catalogued:
        return other in known
    try:
        return not {other, *about(owners.origin(store, other))}.isdisjoint(known)
    except AssayError:
        return True
