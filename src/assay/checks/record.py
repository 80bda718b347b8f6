"""Records: what was measured, in a file from which an interrupted check goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from inspect import getsource
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assay.controls import vectors
from assay.errors import DataError


def digest(*parts: Any) -> str:
    """A hash of data by their content; of anything else, such as a model, by its type."""
    found = sha256()

    def add(x: Any) -> None:
        if isinstance(x, pd.DataFrame):
            x = x.to_dict("list")
        found.update(type(x).__name__.encode())
        if isinstance(x, Mapping):
            add([part for pair in x.items() for part in pair])
        elif isinstance(x, list | tuple):
            found.update(str(len(x)).encode())
            for part in x:
                add(part)
        elif vectors.is_tensor(x) or isinstance(x, np.ndarray):
            numbers = vectors.as_numpy(x)
            found.update(f"{numbers.dtype}{numbers.shape}".encode())
            found.update(repr(numbers.tolist()).encode() if numbers.dtype == object else numbers)
        elif isinstance(x, str | bytes | int | float | np.generic | None):
            found.update(repr(x).encode())

    add(parts)
    return found.hexdigest()


def source(function: Any) -> str:
    """The source of a function, or the name of what has none."""
    for x in (function, type(function)):
        try:
            return getsource(x)
        except (TypeError, OSError):
            continue
    return str(getattr(function, "__qualname__", type(function).__qualname__))


class Record:
    """The calls of one check: in memory, and in a file if there is a path.

    A line says what the check is about; each other line is one call, so that of an interrupted
    check everything but the last line is whole.
    """

    def __init__(self, path: str | Path | None, about: Mapping[str, str]) -> None:
        self.path = None if path is None else Path(path)
        self.calls: dict[str, dict[str, np.ndarray]] = {}
        if self.path is None:
            return
        if not self.path.exists():
            self._write({"assay": "check", **about})
            return
        whole = self.path.read_bytes().rpartition(b"\n")[0]
        try:
            first, *lines = map(json.loads, whole.splitlines() or [b"{}"])
            other = [name for name, x in about.items() if first.get(name) != x]
            for line in lines:
                numbers = {name: np.array(x, float) for name, x in line["numbers"].items()}
                self.calls[line["call"]] = numbers
        except (ValueError, TypeError, KeyError, AttributeError):
            raise DataError("not-a-record", "no check was saved here", str(self.path)) from None
        if other:
            message = f"begun with another {other[0]}; name a new file"
            raise DataError("other-check", message, str(self.path))
        with self.path.open("r+b") as file:
            file.truncate(len(whole) + 1)

    def keep(self, call: str, numbers: Mapping[str, np.ndarray]) -> None:
        """Keep what a call gave."""
        self.calls[call] = dict(numbers)
        if self.path is not None:
            self._write({"call": call, "numbers": {n: x.tolist() for n, x in numbers.items()}})

    def _write(self, line: Mapping[str, Any]) -> None:
        assert self.path is not None
        with self.path.open("a") as file:
            file.write(f"{json.dumps(line)}\n")
