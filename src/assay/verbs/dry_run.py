"""Dry run: what a run on other machines would submit; nothing is."""

from __future__ import annotations

from dataclasses import dataclass

from assay.core.errors import AssayError
from assay.lab.away.fleets.slurm import Slurm
from assay.lab.executors import Away
from assay.lab.lab import Lab


@dataclass(frozen=True)
class DryRun:
    """What would be submitted."""

    script: str
    """A batch script, whole."""


def dry_run(lab: Lab) -> DryRun:
    """Write the batch script with which this lab would have its workers begun. Raises: AssayError
    where it would have none."""
    if not isinstance(lab.executor, Away) or not isinstance(lab.executor.fleet, Slurm):
        raise AssayError("a dry run shows the script of workers on SLURM; add --on slurm")
    return DryRun(lab.executor.fleet.script(lab.executor.command(lab.store.root, lab.device)))
