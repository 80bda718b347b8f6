"""Kin: which results of a store are about the same experiments, under whatever name: every wording
of a study has a name of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from assay.ask.text import read
from assay.core.errors import AssayError
from assay.lab import catalogue
from assay.lab.store.journal import Ledger
from assay.lab.store.origin import STUDIES, owner
from assay.lab.store.store import Store


def about(origin: str) -> tuple[str, ...]:
    """Tell which experiments one is about that lives at `origin`: those of a study, else itself."""
    if not origin.endswith(STUDIES):
        return ()
    return tuple(
        Path(part.name).stem.replace("_", "-") for part in read(Path(origin)).study.experiment
    )


def kin(store: Store, name: str, known: Collection[str]) -> Iterator[str]:
    """Give the names of other stored results that are about one of these experiments; one of which
    nothing can be told counts."""
    for path in sorted((store.root / "results").glob("*/frozen.jsonl")):
        other = path.parent.name
        if other != name and not (subjects(store, other) or set(known)).isdisjoint(known):
            yield other


def subjects(store: Store, name: str) -> set[str]:
    """The experiments that results of this name are about, by the ledger and by the file whose they
    are; empty where neither tells.
    """
    experiments = {
        subject
        for line in Ledger(store).looks
        if line["experiment"] == name
        for subject in line["about"]
    }
    file = owner(store, name)
    with suppress(AssayError):
        experiments |= (
            {name, *about(file)} if file or name in {e.name for e in catalogue.entries()} else set()
        )
    return experiments
