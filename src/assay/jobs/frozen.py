"""Frozen: a study that is submitted, under the name with which the same one was frozen, so that its
run follows what was frozen."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from assay.core.errors import StoreError
from assay.jobs.asked import Ready, laid_out
from assay.lab import catalogue, owners, registered
from assay.lab.preset import override
from assay.lab.store import Store


def named(store: Store, wanted: Ready) -> Ready:
    """Give a submission the name of what was frozen in this store with the same claims, arms and
    seeds; any other keeps its own.

    The name of a file that reads differently now, a comment apart, stays that file's.
    """
    if not wanted.files or not (store.root / "registered").is_dir():
        return wanted
    ending = Path(wanted.typed).suffix
    with laid_out(wanted) as place:
        experiment = catalogue.find(place)
        preset = override(experiment, wanted.asked.preset, wanted.asked.sets)
        for found, changed in registered.about(store, experiment, preset):
            name = str(found.content["experiment"])
            if changed or catalogue.lossy(name) != name:
                continue
            try:
                owners.check(store, name, place)
            except StoreError:
                continue
            (text,) = wanted.files.values()
            return dataclasses.replace(
                wanted, name=name, files={f"{name}{ending}": text}, typed=f"{name}{ending}"
            )
    return wanted
