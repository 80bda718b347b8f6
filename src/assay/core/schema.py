"""Schema: a result as plain values, the same for everybody who prints it, and what these values
look like, told from its types.

A result is a frozen dataclass. Its fields, in order, are the keys of what is printed; a value that
is written otherwise than by its fields has a method `to_json`, which says by a TypedDict what it
writes."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

PLAIN = {bool: "boolean", int: "integer", str: "string", Path: "string", type(None): "null"}
BESIDE = types.MappingProxyType({"beside": True})
"""Metadata of a field that is told beside a result and is no part of its plain values."""
OPTIONAL = types.MappingProxyType({"optional": True})
"""Metadata of a field whose key is left out where it is None."""


def to_json(value: Any) -> Any:
    """Write a result as what JSON holds: paths as text, arrays as lists, and null for a number that
    JSON lacks, NaN or infinite."""
    if hasattr(value, "tolist"):
        return to_json(value.tolist())
    if hasattr(value, "to_json"):
        return value.to_json()
    if is_dataclass(value):
        parts = {f: getattr(value, f.name) for f in fields(value) if "beside" not in f.metadata}
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
    if is_typeddict(annotation):
        properties = {name: schema(hint) for name, hint in get_type_hints(annotation).items()}
        return {
            "type": "object",
            "properties": properties,
            "required": [k for k in properties if k in annotation.__required_keys__],
            "additionalProperties": False,
        }
    if hasattr(annotation, "to_json"):
        return schema(get_type_hints(annotation.to_json)["return"])
    if isinstance(annotation, type) and is_dataclass(annotation):
        hints, written_fields = (
            get_type_hints(annotation),
            [f for f in fields(annotation) if "beside" not in f.metadata],
        )
        needed = [f.name for f in written_fields if "optional" not in f.metadata]
        properties = {f.name: schema(hints[f.name]) for f in written_fields}
        return {
            "type": "object",
            "properties": properties,
            "required": needed,
            "additionalProperties": False,
        }
    raise TypeError(f"no JSON schema tells what {annotation!r} is written as")
