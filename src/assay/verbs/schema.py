"""Schema: a verb's result as plain values, the same for everybody who prints it: a result's fields, in order, are its keys."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field, fields, is_dataclass
from pathlib import Path
from typing import Any


def beside() -> Any:
    """Declare a field that is told beside a result and is no part of its plain values."""
    return field(default=(), metadata={"beside": True})


def to_json(value: Any) -> Any:
    """Write a result as what JSON holds: paths as text, and null for a number that JSON lacks, NaN or infinite."""
    if hasattr(value, "to_json"):  # results of the floors below, some of which are stored as they are
        return value.to_json()
    if is_dataclass(value):
        return {f.name: to_json(getattr(value, f.name)) for f in fields(value) if "beside" not in f.metadata}
    if isinstance(value, Mapping):
        return {key: to_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
