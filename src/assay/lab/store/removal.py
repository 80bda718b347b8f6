"""Removal: what of an experiment can be deleted from a store; the ledger notes which runs may have
been seen."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from assay.lab.store import groups, origin
from assay.lab.store.atomic import explained
from assay.lab.store.folder import size
from assay.lab.store.journal import Ledger
from assay.lab.store.store import Store


def removable(store: Store, experiment: str) -> list[tuple[Path, int]]:
    """Return what `remove` would delete: folders and files with their bytes, results first. Looks
    stay, since they cannot be rebuilt.

    Artefacts (harvests, most of a store's bytes) are shared: they go with the last experiment that
    has runs. Raises: StoreError for a name that is not one experiment's folder."""
    root = store.root
    origin.sound(experiment)
    paths = sorted((root / "results" / experiment).glob("*.json"))
    begun = list(groups.unfinished(store))
    paths += [g.folder for g in begun if g.experiment == experiment]
    paths += (root / "runs").glob(experiment)
    names = {g.experiment for g in begun} | {p.name for p in (root / "runs").glob("*")}
    paths += [] if names - {experiment} else sorted((root / "artefacts").glob("*"))
    return [(p, size(p)) for p in paths]


def remove(store: Store, experiment: str, about: Collection[str] = ()) -> int:
    """Delete the stored runs and results of an experiment, and return how many bytes that freed;
    `about` names the experiment and those that it borrows from. Raises: StoreError."""
    freed = 0
    if runs := list(store.list(experiment)):
        store.prepare()
        with explained(store.root):
            Ledger(store).note_removed(experiment, runs, about)
    for path, n in removable(store, experiment):
        if path.parent.name == "groups":
            with groups.locked(store, path.name, wait=True):
                if path.exists():
                    store.remove(path)
        else:
            store.remove(path)
        freed += n
    origin.forget(store, experiment)
    return freed
