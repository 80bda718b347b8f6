"""Reproduce: an experiment run in an empty store and compared with its committed record."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from assay.core.errors import StoreError
from assay.core.experiment import Experiment
from assay.lab.lab import Lab
from assay.lab.plan.preset import Preset
from assay.lab.records.reproduction import Reproduction, reproduction
from assay.lab.work import groups
from assay.lab.work.events import OnEvent
from assay.verbs.record import recorded


def reproduce(
    experiment: Experiment,
    preset: Preset,
    make_lab: Callable[[Path], Lab],
    root: Path | None = None,
    on_event: OnEvent | None = None,
) -> Reproduction:
    """Run an experiment from an empty store and compare with its record, claim by claim.

    `at` makes the lab on a store; the store is at `root` and kept, or in a temporary folder.

    Raises: ExperimentError without a record of this preset; StoreError where the store holds
    anything of the experiment."""
    record = recorded(experiment, preset)
    with (
        tempfile.TemporaryDirectory(prefix="assay-")
        if root is None
        else nullcontext(str(root)) as folder
    ):
        lab = make_lab(Path(folder) / "store" if root is None else Path(folder))
        require_unused(lab, experiment)
        return reproduction(lab.run(experiment, preset, on_event), record)


def require_unused(lab: Lab, experiment: Experiment) -> None:
    """Refuse a store that holds anything of the experiment, which would be read and not reproduced.
    Raises: StoreError."""
    root = lab.store.root
    held = [
        p
        for p in (root / "runs" / experiment.name, root / "results" / experiment.name)
        if p.exists() and any(p.iterdir())
    ]
    held += [g.folder for g in groups.unfinished(lab.store, experiment.name)]
    if held:
        raise StoreError(
            f"{root} already holds {experiment.name} ({held[0].relative_to(root)}), which would "
            "be read and not reproduced; "
            "leave --root out, or name an empty folder"
        )
