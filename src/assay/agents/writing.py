"""Writing: a study's TOML from what an agent says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from assay.core.errors import ExperimentError

BARE = re.compile(r"[A-Za-z0-9_-]+")
Said = Mapping[str, Any]


def study(top: Said, tables: Mapping[str, Sequence[Said]]) -> str:
    """Write a study as TOML, its tables by their names: what is empty is left out. Raises:
    ExperimentError for a value that TOML lacks."""
    parts = ["".join(_lines(top))]
    for name, entries in tables.items():
        parts += [f"[[{name}]]\n" + "".join(_lines(entry)) for entry in entries]
    return "\n".join(part for part in parts if part)


def told(entry: msgspec.Struct) -> Said:
    """Give what an entry of a study says beyond what holds of one that says nothing."""
    usual = {f.name: f.default for f in msgspec.structs.fields(entry)}
    return {k: v for k, v in msgspec.to_builtins(entry).items() if v != usual[k]}


def _lines(table: Said) -> Iterable[str]:
    for key, value in table.items():
        if value not in ("", None, (), [], {}):
            yield f"{_key(key)} = {_value(value, key)}\n"


def _value(value: Any, location: str) -> str:
    """A value in TOML, tables on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value, location)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and value == value and abs(value) != float("inf"):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(v, location) for v in value)}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_key(k)} = {_value(v, location)}' for k, v in value.items())} }}"
    raise ExperimentError(
        f"{location}: a study has texts, finite numbers, true and false, lists and tables, got "
        f"{type(value).__name__}"
    )


def _text(value: str, location: str) -> str:
    if any("\ud800" <= c <= "\udfff" or c == "\0" for c in value):
        raise ExperimentError(
            f"{location}: a text has no null characters and no halves of characters"
        )
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if BARE.fullmatch(name) else _text(name, "a name")
