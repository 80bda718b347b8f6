"""Plain: text that comes from outside, without what a terminal, a renderer or a spreadsheet would
obey; one function for each edge."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from numbers import Number
from typing import Any

_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
"""Control characters but tab and newline, marks that turn the direction of writing, and what no
encoding has."""
_FORMULA = re.compile(r"[=+\-@\t\r\n]")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def plain(text: str) -> str:
    """Put � in the place of every character that is obeyed instead of shown, such as the escape
    that recolours a terminal."""
    return _OBEYED.sub("�", text)


def plain_all(value: Any) -> Any:
    """Make every text in nested lists and mappings plain, their keys too."""
    if isinstance(value, Mapping):
        return {plain_all(k): plain_all(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain_all(v) for v in value]
    return plain(value) if isinstance(value, str) else value


def cell(value: Any) -> Any:
    """Make a value what a cell of a CSV file may hold: numbers as they are, text that a spreadsheet
    would compute behind an apostrophe."""
    if value is None or isinstance(value, Number):
        return value
    text = plain(str(value))
    return f"'{text}" if _FORMULA.match(str(value)) and not _NUMBER.fullmatch(text) else text


def as_json(value: Any, **how: Any) -> str:
    """Write a value as JSON that reads back the same, where whatever a terminal would obey, or no
    encoding has, is an escape of JSON."""
    return _OBEYED.sub(
        lambda match: f"\\u{ord(match[0]):04x}", json.dumps(value, ensure_ascii=False, **how)
    )


_write = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
).encode


def canonical_json(value: object) -> str:
    """JSON with sorted keys, no spaces and no NaN: equal values give equal text."""
    return _write(value)
