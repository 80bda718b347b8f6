"""Which nonlinearities a file can name: one entry for each class, and the JSON by which a dictionary's header says which it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from assay.core.errors import DataError, nearest
from assay.dictionaries.gates import Gated, GatedShift, GatedSigmoid, GatedUntied, ScaledReLU
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import Identity, Nonlinearity, ReLU, Rescaled
from assay.dictionaries.selection import AbsTopK, BatchTopK, GroupMax, OneHot, TopK

KINDS = (
    ReLU, Identity, Gated, GatedShift, GatedSigmoid, GatedUntied, ScaledReLU, TopK, AbsTopK, GroupMax, BatchTopK, JumpReLU, OneHot, Rescaled
)  # fmt: skip


def has_name(nonlinearity: Nonlinearity) -> bool:
    """Whether a file can say which it is, so that `from_json` makes it again: it is of `KINDS`, and so are those within it."""
    if type(nonlinearity) not in KINDS:
        return False
    inner = (getattr(nonlinearity, field.name) for field in fields(nonlinearity))  # type: ignore[arg-type]
    return all(has_name(value) for value in inner if isinstance(value, Nonlinearity))


def to_json(nonlinearity: Nonlinearity) -> dict[str, Any]:
    """The nonlinearity as plain JSON: its class name and fields."""
    values = {field.name: getattr(nonlinearity, field.name) for field in fields(nonlinearity)}  # type: ignore[arg-type]
    plain = {name: to_json(value) if isinstance(value, Nonlinearity) else value for name, value in values.items()}
    return {"name": type(nonlinearity).__name__, **plain}


def from_json(values: Mapping[str, Any]) -> Nonlinearity:
    """The nonlinearity that `to_json` wrote."""
    known: dict[str, Callable[..., Nonlinearity]] = {kind.__name__: kind for kind in KINDS}
    name, rest = values.get("name", ""), {k: v for k, v in values.items() if k != "name"}
    if name not in known:
        raise DataError(f"unknown nonlinearity {name!r} in a dictionary's header; {nearest(str(name), known)}")
    return known[name](**{k: from_json(v) if isinstance(v, Mapping) else v for k, v in rest.items()})
