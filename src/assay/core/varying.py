"""Varying: which fields the arms of an experiment change."""

from __future__ import annotations

from typing import Any

from assay.core import scopes
from assay.core.experiment import Experiment

SHOWN = 3
"""Values of a field that are listed; of more the ends."""


def changes(experiment: Experiment, specs: tuple[Any, ...]) -> dict[str, dict[str, str]]:
    """Tell for each trained arm which fields its runs have otherwise than main's, with their values
    in words."""
    main = experiment.specs_of("main", specs)
    return {
        name: {
            field: written(values)
            for field, values in scopes.changes(experiment.specs_of(name, specs), main).items()
        }
        for name, arm in experiment.arms.items()
        if arm.train is not None
    }


def written(values: tuple[Any, ...]) -> str:
    """Write the values of a field, of many numbers their ends."""
    if len(values) > SHOWN and all(isinstance(v, int | float) for v in values):
        return f"{min(values)} to {max(values)}"
    return ", ".join(map(str, values[:SHOWN])) + " …" * (len(values) > SHOWN)
