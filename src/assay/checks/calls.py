"""Calls: a function called with a thing, without it, and with what stands in for it; each call is
kept, so that an interrupted check goes on."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import getsource
from pathlib import Path
from typing import Any

import numpy as np

from assay.checks.rows import ENDS, FEWEST, Numbers, Prompts, copied, digest
from assay.controls import vectors
from assay.controls.things import Thing
from assay.errors import DataError, RunError

EFFECT, NONE = "effect", "none"
"""What a number is called that has no name, and the arm without the thing."""
QUIET = 5.0
"""Seconds between two lines of progress."""


class Record:
    """The calls of a check, in a file if there is a path: a line says what the check is about, and
    each further line is a call."""

    def __init__(self, path: str | Path | None = None, about: Any = None) -> None:
        self.path = None if path is None else Path(path)
        self.calls: dict[str, Numbers] = {}
        if self.path is None or not self.path.exists():
            self._write({"check": about})
            return
        *lines, torn = self.path.read_bytes().split(b"\n")
        try:
            first, *calls = map(json.loads, lines)
            known = first["check"] == about
            for call, numbers in (line["call"] for line in calls):
                self.calls[call] = {name: np.array(x, float) for name, x in numbers.items()}
        except (ValueError, TypeError, KeyError):
            raise DataError("not-a-record", "no check was saved here", str(self.path)) from None
        if not known:
            message = "it was saved by another check; name a new file"
            raise DataError("other-check", message, str(self.path))
        with self.path.open("r+b") as file:
            file.truncate(self.path.stat().st_size - len(torn))

    def keep(self, call: str, numbers: Numbers) -> None:
        """Keep what a call gave."""
        self.calls[call] = numbers
        self._write({"call": [call, {name: x.tolist() for name, x in numbers.items()}]})

    def _write(self, line: Any) -> None:
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(f"{json.dumps(line)}\n")


def source(function: Any) -> str:
    """The source of a function, or the name of what has none."""
    with contextlib.suppress(TypeError, OSError):
        return getsource(function)
    return type(function).__qualname__


@dataclass(eq=False)
class Calls:
    """A function and the prompts that it is called with.

    Attributes:
        none: what the function is given for the thing where it is called without it.
        alone: whether its only number is called `effect`, whatever its name.
        left: how many calls there will be.
    """

    function: Callable[[Any, Any], Any]
    prompts: Prompts
    thing: Thing
    none: Any = None
    alone: bool = False
    record: Record = field(default_factory=Record)
    left: int = 0
    _names: set[str] = field(default_factory=set)
    _said: float = field(default_factory=time.monotonic)

    @property
    def name(self) -> str:
        """What the function is called."""
        return str(getattr(self.function, "__name__", type(self.function).__name__))

    def without(self, rows: Sequence[int] | None = None, again: int = 0) -> Numbers:
        """Call the function without the thing."""
        return self(self.none, NONE, rows, again)

    def __call__(
        self, value: Any, arm: str, rows: Sequence[int] | None = None, again: int = 0
    ) -> Numbers:
        """Call the function on these prompts, or on all; `again` numbers calls that are alike.

        Raises:
            RunError: what the function raised, at the prompt that did (raised).
            DataError: what is no number for each prompt (no-numbers, infinite, name, names).
        """
        rows = range(len(self.prompts.each)) if rows is None else rows
        key, begun = f"{arm} {again} {digest([*rows])[:16]}", time.monotonic()
        if key in self.record.calls:
            return self.record.calls[key]
        try:
            given = self._given(value, rows)
        except Exception as error:
            raise self._raised(value, arm, rows, error) from error
        numbers = self._numbers(given, arm, rows)
        if len(rows) > FEWEST:
            self.record.keep(key, numbers)
            self._step(arm, time.monotonic() - begun)
        return numbers

    def _given(self, value: Any, rows: Sequence[int]) -> Any:
        value = value if value is self.none else copied(self.thing.of_rows(value, rows))
        return self.function(value, self.prompts.take(rows))

    def _step(self, arm: str, seconds: float) -> None:
        """Say how far the check is."""
        self.left = max(0, self.left - 1)
        if time.monotonic() - self._said > QUIET:
            self._said = time.monotonic()
            left = f"{self.left} calls and about {self.left * seconds:.0f} s left"
            print(f"check: {arm}; {left}", file=sys.stderr, flush=True)

    def _raised(self, value: Any, arm: str, rows: Sequence[int], error: Exception) -> RunError:
        """The error with the prompt at which it is raised, sought by halves."""
        at, kind, wrong = list(rows), type(error), True
        while wrong and len(at) > 1:
            wrong = False
            for part in (at[: len(at) // 2], at[len(at) // 2 :]):
                try:
                    self._given(value, part)
                except Exception as e:
                    if wrong := type(e) is kind:
                        at = part
                        break
        given = f"none={self.none!r}" if value is self.none else arm
        where = f"prompt {at[0] + 1}" + f" to {at[-1] + 1}" * (len(at) > 1)
        said = f"{self.name} raised {kind.__name__}: {error}, given {given}"
        return RunError("raised", said, where)

    def _numbers(self, given: Any, arm: str, rows: Sequence[int]) -> Numbers:
        named = given if isinstance(given, Mapping) else {EFFECT: given}
        if len(named) == 1 and self.alone:
            named = {EFFECT: next(iter(named.values()))}
        found, where = {}, f"{self.name}, given {arm}"
        for name, value in named.items():
            if not str(name).isidentifier() or str(name).endswith(ENDS):
                raise DataError("name", f"a number cannot be called {name!r}", where)
            found[str(name)] = x = _plain(value)
            if x.shape != (len(rows),):
                message = f"{name} is not one number for each of {len(rows)} prompts"
                raise DataError("no-numbers", message, where)
            if np.isinf(x).any():
                at = rows[int(np.isinf(x).argmax())] + 1
                raise DataError("infinite", f"{name} is infinite at prompt {at}", where)
        self._names = self._names or {*found}
        if not found or {*found} != self._names:
            raise DataError("names", f"got {[*found]}; each call gives the same names", where)
        return found


def _plain(value: Any) -> np.ndarray:
    """A list, array or tensor of numbers in NumPy; of anything else an array without a shape."""
    try:
        if not hasattr(value, "shape"):
            value = [x if isinstance(x, str) else float(x) for x in value]
        x = vectors.as_numpy(value)
    except (TypeError, ValueError):
        return np.empty(())
    return x.astype(float) if x.dtype.kind in "biuf" else np.empty(())
