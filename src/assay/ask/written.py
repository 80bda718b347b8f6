"""Written: the values of a study as the TOML that is read back to them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from assay.core.errors import ExperimentError

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml(study: msgspec.Struct) -> str:
    """Write a study: what it says for itself first, then a table for each of its parts; what is as
    it would be anyway is left out. Raises: ExperimentError for a value that TOML has no word
    for."""
    lines, tables = [], list[str]()
    for name, value in _stated(study):
        parts = [value] if isinstance(value, msgspec.Struct) else value
        if isinstance(parts, list | tuple) and all(isinstance(p, msgspec.Struct) for p in parts):
            for part in parts:
                tables += ["", f"[[{name}]]"]
                tables += [f"{_key(k)} = {_value(v)}" for k, v in _stated(part)]
        else:
            lines.append(f"{_key(name)} = {_value(value)}")
    return "\n".join([*lines, *tables, ""]).lstrip("\n")


def _stated(table: msgspec.Struct) -> Iterator[tuple[str, Any]]:
    """What a table says besides its defaults, by the names that a file has."""
    for field in msgspec.structs.fields(table):
        value = getattr(table, field.name)
        usual = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            usual = field.default_factory()
        empty = usual in ((), {}) and isinstance(value, Sequence | Mapping) and not len(value)
        if not (value is None or empty or (value == usual and type(value) is type(usual))):
            yield field.encode_name, value


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, msgspec.Struct):
        value = dict(_stated(value))
    if isinstance(value, Mapping):
        pairs = (f"{_key(k)} = {_value(v)}" for k, v in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, list | tuple | range):
        return f"[{', '.join(map(_value, value))}]"
    raise ExperimentError(f"a study has no place for {type(value).__name__} {value!r}")


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)
