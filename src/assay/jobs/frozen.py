"""Frozen: a study that is submitted, under the name with which the same one was frozen, so that its
run follows what was frozen."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from assay.core.errors import StoreError
from assay.jobs.submission import Ready, laid_out
from assay.lab import catalogue, ownership, registered
from assay.lab.preset import override
from assay.lab.store import Store


def adopt_frozen_name(store: Store, submission: Ready) -> Ready:
    """Give a submission the name of what was frozen in this store with the same claims, arms and
    seeds; any other keeps its own.

    The name of a file that reads differently now, a comment apart, stays that file's.
    """
    if not submission.files or not (store.root / "registered").is_dir():
        return submission
    ending = Path(submission.typed).suffix
    with laid_out(submission) as place:
        experiment = catalogue.find(place)
        preset = override(experiment, submission.asked.preset, submission.asked.sets)
        for registration, changed in registered.about(store, experiment, preset):
            name = str(registration.content["experiment"])
            if changed or catalogue.lossy(name) != name:
                continue
            try:
                ownership.check(store, name, place)
            except StoreError:
                continue
            (text,) = submission.files.values()
            return dataclasses.replace(
                submission, name=name, files={f"{name}{ending}": text}, typed=f"{name}{ending}"
            )
    return submission
