"""Which nonlinearities a file can name: those in the files of this folder, found by being there,
and the JSON in which a header names one."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Any

from assay.core.errors import DataError, nearest
from assay.dictionaries.nonlinearity import Nonlinearity


@cache
def known() -> Mapping[str, type[Nonlinearity]]:
    """Find the nonlinearities of this folder by class name: every dataclass at the top of a file
    that has `init` and can be called."""
    files = [
        import_module(f"{__package__}.{file.name}")
        for file in pkgutil.iter_modules(import_module(str(__package__)).__path__)
        if not file.ispkg
    ]
    values = [value for file in files for value in vars(file).values()]
    kinds = [
        value
        for value in values
        # issubclass asks a Protocol for its methods' names, and refuses one that has attributes: so
        # Nonlinearity has methods alone, and what else is used is looked up by getattr.
        if isinstance(value, type) and is_dataclass(value) and issubclass(value, Nonlinearity)
    ]
    return MappingProxyType({kind.__name__: kind for kind in kinds})


def has_name(nonlinearity: Nonlinearity) -> bool:
    """Tell whether a file can say which it is, so that `from_json` makes it again: it is `known`,
    and so are those within it."""
    if type(nonlinearity) not in known().values():
        return False
    inner = (getattr(nonlinearity, field.name) for field in fields(nonlinearity))  # type: ignore[arg-type]
    return all(has_name(value) for value in inner if isinstance(value, Nonlinearity))


def to_json(nonlinearity: Nonlinearity) -> dict[str, Any]:
    """The nonlinearity as plain JSON: its class name and fields."""
    values = {field.name: getattr(nonlinearity, field.name) for field in fields(nonlinearity)}  # type: ignore[arg-type]
    plain = {
        name: to_json(value) if isinstance(value, Nonlinearity) else value
        for name, value in values.items()
    }
    return {"name": type(nonlinearity).__name__, **plain}


def from_json(values: Mapping[str, Any]) -> Nonlinearity:
    """The nonlinearity that `to_json` wrote."""
    name, rest = values.get("name", ""), {k: v for k, v in values.items() if k != "name"}
    if name not in known():
        raise DataError(
            f"unknown nonlinearity {name!r} in a dictionary's header; {nearest(str(name), known())}"
        )
    return known()[name](
        **{k: from_json(v) if isinstance(v, Mapping) else v for k, v in rest.items()}
    )
