"""Schema: a result as plain values, the same wherever it is printed, and the JSON schema of these
values, made from its types.

A result is a frozen dataclass, or a `Written` where it is read back as well. Its fields, in order,
are the keys of what is printed; a value that is written otherwise than by its fields has a method
`to_json`, whose annotation says what it writes."""

from __future__ import annotations

import functools
import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    Self,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

from assay.core.errors import DataError

PLAIN = {bool: "boolean", int: "integer", str: "string", Path: "string", type(None): "null"}
OMITTED = types.MappingProxyType({"omitted": True})
"""Metadata of a field that is printed with a result and is not among its plain values."""
OPTIONAL = types.MappingProxyType({"optional": True})
"""Metadata of a field whose key is left out where it is None."""
# JSON has no number that is none, nor an infinite one: both are written as null, and read back by
# what the field is.
if TYPE_CHECKING:
    Number: TypeAlias = float
    Numbers: TypeAlias = tuple[float, ...]
    Range: TypeAlias = tuple[float, ...]
    Reach: TypeAlias = tuple[float, ...]
else:
    Number = Annotated[float | None, "number"]
    Numbers = Annotated[tuple[Number, ...], "numbers"]
    Range = Annotated[tuple[Number, ...], "range"]
    Reach = Annotated[tuple[Number, ...] | None, "reach"]
"""A number, NaN where there is none; several; the two ends of a range, infinite where it has none;
the two ends of what would be found, NaN twice where nothing would, and () where that is not known.
"""


class Written(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A value that is written as JSON by its fields, and read back.

    Example:
        >>> import math
        >>> from assay.core.schema import Number, Written
        >>> class Point(Written, frozen=True, kw_only=True):
        ...     x: Number
        >>> Point(x=math.nan).to_json(), Point.from_json({"x": None}).x
        ({'x': None}, nan)
    """

    UNWRITTEN: ClassVar[tuple[str, ...]] = ()
    """Fields that are not written."""
    OPTIONAL: ClassVar[tuple[str, ...]] = ()
    """Fields that are left out where they are what they are by default."""

    def __post_init__(self) -> None:
        for name, kind in _kinds(type(self)):
            if (value := getattr(self, name)) is not None or kind in ("number", "reach"):
                restored = _restored(kind, value)
                if restored is not value:
                    msgspec.structs.force_setattr(self, name, restored)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read it from plain values, such as a file of an earlier version: what they lack is as it
        is by default, and what is unknown is left out. Raises: DataError for other values."""
        try:
            return msgspec.convert(values, cls)
        except msgspec.ValidationError as e:
            raise DataError(f"not a {cls.__name__} as Assay writes one: {e}") from e

    def to_json(self) -> Any:
        """Write it as plain values."""
        entry = {}
        defaults = _defaults(type(self))
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if name in self.UNWRITTEN or (name in self.OPTIONAL and value == defaults[name]):
                continue
            entry[name] = to_json(value)
        for name, kind in _kinds(type(self)):
            if kind == "reach" and not any(x is not None for x in entry[name]):
                entry[name] = None
        return entry


@functools.cache
def _defaults(written: type[Written]) -> dict[str, Any]:
    every = msgspec.structs.fields(written)  # which reads the annotations of the class every time
    return {
        f.name: f.default_factory() if callable(f.default_factory) else f.default for f in every
    }


@functools.cache
def _kinds(written: type[Written]) -> tuple[tuple[str, str], ...]:
    """The fields of numbers, each with what kind of field it is."""
    hints = get_type_hints(written, include_extras=True)
    parts = {name: (hints[name], *get_args(hints[name])) for name in written.__struct_fields__}
    return tuple(
        (name, part.__metadata__[0])
        for name, every in parts.items()
        for part in every[: 1 if get_origin(every[0]) is Annotated else None]
        if get_origin(part) is Annotated
    )


def _restored(kind: str, value: Any) -> Any:
    """What null was before it was written."""
    if value is None:
        return math.nan if kind == "number" else (math.nan, math.nan)
    if kind == "number" or None not in value:
        return value
    nulls = (math.nan,) * len(value) if kind == "numbers" else (-math.inf, math.inf)
    return tuple(null if x is None else x for x, null in zip(value, nulls, strict=True))


def to_json(value: Any) -> Any:
    """Write a result as what JSON holds: paths as text, arrays as lists, and null for a number that
    JSON lacks, NaN or infinite."""
    if hasattr(value, "tolist"):
        return to_json(value.tolist())
    if hasattr(value, "to_json"):
        return value.to_json()
    if is_dataclass(value):
        parts = {f: getattr(value, f.name) for f in fields(value) if "omitted" not in f.metadata}
        return {
            f.name: to_json(part)
            for f, part in parts.items()
            if part is not None or "optional" not in f.metadata
        }
    if isinstance(value, Mapping):
        return {str(key): to_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def schema(annotation: Any) -> dict[str, Any]:
    """Tell the JSON schema of what `to_json` writes of a type: a result's class, or the type of one
    of its fields.

    Raises: TypeError for a type that says too little to tell, or that JSON does not hold.
    """
    kind, parts = get_origin(annotation), get_args(annotation)
    if kind is Annotated:
        return {"type": ["number", "null"]} if annotation == Number else schema(parts[0])
    if annotation is Any:
        return {}
    if annotation is float:
        return {"type": ["number", "null"]}
    if annotation in PLAIN:
        return {"type": PLAIN[annotation]}
    if kind is Literal:
        return {"enum": list(parts)}
    if kind in (Union, types.UnionType):
        return {"anyOf": [schema(part) for part in parts]}
    if kind is tuple and parts[-1:] != (...,):
        return {
            "type": "array",
            "prefixItems": [schema(part) for part in parts],
            "minItems": len(parts),
            "maxItems": len(parts),
        }
    if kind in (tuple, list, Sequence):
        return {"type": "array", "items": schema(parts[0])}
    if kind in (dict, Mapping) and parts[0] is str:
        return {"type": "object", "additionalProperties": schema(parts[1])}
    if isinstance(annotation, type) and issubclass(annotation, Written):
        return _schema_of_written(annotation)
    if hasattr(annotation, "to_json"):
        return schema(get_type_hints(annotation.to_json)["return"])
    if isinstance(annotation, type) and is_dataclass(annotation):
        hints, written_fields = (
            get_type_hints(annotation),
            [f for f in fields(annotation) if "omitted" not in f.metadata],
        )
        needed = [f.name for f in written_fields if "optional" not in f.metadata]
        return _object({f.name: schema(hints[f.name]) for f in written_fields}, needed)
    raise TypeError(f"no JSON schema for {annotation!r}")


def _schema_of_written(written: type[Written]) -> dict[str, Any]:
    hints = get_type_hints(written, include_extras=True)
    names = [n for n in written.__struct_fields__ if n not in written.UNWRITTEN]
    properties = {}
    for name in names:
        hint = hints[name]
        if name in written.OPTIONAL and type(None) in get_args(hint):
            # It is left out where it is None.
            [hint] = (part for part in get_args(hint) if part is not type(None))
        properties[name] = schema(hint)
    return _object(properties, [n for n in names if n not in written.OPTIONAL])


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
