"""Varying: which fields the arms of an experiment change, and which of them somebody who asks may
set, or give several values."""

from __future__ import annotations

from typing import Any, Literal, get_args

from assay.core import scopes
from assay.core.errors import HeldError
from assay.core.experiment import Experiment
from assay.core.spec import Spec, per_run_fields

How = Literal["runs differ", "arms differ", "one value", "arms make it"]
"""What several values of a field are: runs of one arm that differ in it, an arm for each value,
refused as arms make others of the one that there is; or not even one may be set."""
HOW: tuple[How, ...] = get_args(How)
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


def settable(experiment: Experiment, specs: tuple[Any, ...]) -> dict[str, How]:
    """Tell of each field of a preset's specs what somebody may do with it."""
    several = per_run_fields(type(specs[0]))
    return {name: _how(experiment, specs, name, name in several) for name in vars(specs[0])}


def made(experiment: Experiment, specs: tuple[Any, ...], field: str) -> dict[str, str]:
    """Tell which arms have other values of a field than main, each with these in words."""
    return {arm: of[field] for arm, of in changes(experiment, specs).items() if field in of}


def _how(experiment: Experiment, specs: tuple[Any, ...], field: str, several: bool) -> How:
    if _holds(experiment, tuple(_with(s, field, _OTHER) for s in specs)):
        return "arms make it"
    if not several:
        return "arms differ"
    first = getattr(specs[0], field)
    other = first + 1 if isinstance(first, int | float) else _OTHER
    some = tuple(_with(s, field, value) for s in specs for value in (first, other))
    return "one value" if _holds(experiment, some) else "runs differ"


_OTHER: Any = object()
"""What is the value of no field."""


def _with(spec: Spec, field: str, value: Any) -> Spec:
    """A spec that differs in one field, which is held to nothing."""
    clone = object.__new__(type(spec))
    clone.__dict__.update({**vars(spec), field: value})
    return clone


def _holds(experiment: Experiment, specs: tuple[Any, ...]) -> bool:
    """Whether the map of main refuses specs since arms set a field; one that cannot compute with
    what is no value lets it be set."""
    try:
        experiment.specs_of("main", specs)
    except HeldError:
        return True
    except Exception:
        return False
    return False
