"""Calls: prompts, and a function called on them with a thing, without it, and with what stands in
for it; each call is kept, so that an interrupted check goes on."""

from __future__ import annotations

import contextlib
import copy
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from inspect import getclosurevars, getsource
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assay.controls import vectors
from assay.controls.things import Thing
from assay.errors import DataError, RunError, nearest
from assay.verdicts.files import text
from assay.verdicts.rows import read

Numbers = Mapping[str, np.ndarray]
"""By name a number for each prompt."""
ENDS = ("_before", "_after")
FEWEST = 2
EFFECT, NONE = "effect", "none"
"""What a number is called that has no name, and the arm without the thing."""
QUIET = 5.0
"""Seconds between two lines of progress."""


def copied(x: Any) -> Any:
    """Data of its own; anything else, such as a model, as it is."""
    if vectors.is_tensor(x):
        return x.clone()
    return copy.deepcopy(x) if isinstance(x, list | dict | np.ndarray | pd.DataFrame) else x


def digest(*parts: Any) -> str:
    """A hash of data by their content; of anything else, such as a model, by its type."""

    def plain(x: Any) -> Any:
        if isinstance(x, pd.DataFrame):
            return x.to_dict("list")
        return vectors.as_numpy(x).tolist() if hasattr(x, "shape") else type(x).__qualname__

    return sha256(json.dumps(parts, default=plain, skipkeys=True).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Prompts:
    """Prompts in the form in which a function gets them: a list or a DataFrame."""

    value: Any

    @classmethod
    def read(cls, prompts: Any) -> Prompts:
        """Read a list of texts or rows, a DataFrame, or the path of a table or of a text with a
        prompt on each line. Raises: DataError (few-prompts, taken-name)."""
        if isinstance(prompts, str | Path):
            if Path(prompts).suffix == ".txt":
                prompts = [x for x in text(Path(prompts)).splitlines() if x.strip()]
            else:
                prompts = read(prompts).frame.to_dict("records")
        made = cls(prompts if isinstance(prompts, pd.DataFrame) else list(prompts))
        if len(made.each) < FEWEST:
            raise DataError("few-prompts", f"{len(made.each)} prompts; give {FEWEST} at least")
        if "arm" in made.columns:
            raise DataError("taken-name", "a column is called arm; rename it", "prompts")
        return made

    @cached_property
    def each(self) -> list[Any]:
        """The prompts one by one."""
        is_frame = isinstance(self.value, pd.DataFrame)
        return self.value.to_dict("records") if is_frame else self.value

    def take(self, at: Sequence[int]) -> Any:
        """Some of the prompts, copied."""
        if isinstance(self.value, pd.DataFrame):
            return self.value.iloc[[*at]].copy()
        return [copied(self.value[i]) for i in at]

    @cached_property
    def by_length(self) -> list[int]:
        """The prompts from the shortest on; of equally long ones the last comes first."""
        return sorted(range(len(self.each)), key=lambda i: (len(str(self.each[i])), -i))

    @cached_property
    def columns(self) -> dict[str, list[Any]]:
        """The texts and numbers of the prompts, by column."""
        if all(isinstance(p, str) for p in self.each):
            return {"text": self.each}
        rows = self.each if all(isinstance(p, Mapping) for p in self.each) else []
        columns = {c: [p.get(c) for p in rows] for c in dict.fromkeys(c for p in rows for c in p)}
        plain = (str, int, float, np.generic, type(None))
        return {str(c): x for c, x in columns.items() if all(isinstance(v, plain) for v in x)}

    @cached_property
    def labels(self) -> list[Any]:
        """What each prompt is called: by its column `prompt` where all have another; else its
        number, from 1, and copies have that of the first."""
        own = self.columns.get("prompt", [])
        if own and len({*own}) == len(own):
            return own
        first: dict[str, int] = {}
        return [first.setdefault(digest(p), i) for i, p in enumerate(self.each, 1)]

    def table(
        self, arms: Mapping[str, Numbers], units: Sequence[str], fixed: Sequence[str]
    ) -> pd.DataFrame:
        """A row for each arm and prompt; with units of other kinds one for each arm and cell of
        units, in which every value of what is fixed counts equally. Raises: DataError."""
        numbers, about = list(next(iter(arms.values()))), {**self.columns, "prompt": self.labels}
        for name in (*units, *fixed):
            if name not in about:
                raise DataError("unknown-column", f"no column {name}; {nearest(name, about)}")
        if same := {"arm", *about} & {*numbers}:
            raise DataError("same-name", f"a column and a number are called {min(same)}")
        rows = pd.concat([pd.DataFrame({"arm": a, **about, **x}) for a, x in arms.items()])
        if [*units] == ["prompt"]:
            return rows.reset_index(drop=True)
        by_cell = rows.groupby(cell := ["arm", *units], sort=False)
        own = [c for c in about if c not in units and (by_cell[c].nunique() <= 1).all()]
        means = rows.groupby([*cell, *fixed], sort=False)[numbers].mean()
        return means.groupby(cell, sort=False).mean().join(by_cell[own].first()).reset_index()


def effects(before: Numbers, after: Numbers) -> dict[str, np.ndarray]:
    """Each number's change, and the number before and after it."""
    found: dict[str, np.ndarray] = {}
    for name, x in after.items():
        found |= {name: x - before[name], f"{name}{ENDS[0]}": before[name], f"{name}{ENDS[1]}": x}
    return found


def stems(numbers: Numbers) -> list[str]:
    """The names under which a function gave numbers."""
    return [name for name in numbers if not name.endswith(ENDS)]


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
    """The source of a function with the data that it uses, or the name of what has none."""
    with contextlib.suppress(TypeError, OSError):
        used = getclosurevars(function)
        data = {**used.globals, **used.nonlocals}
        return getsource(function) + digest({k: x for k, x in data.items() if _is_data(x)})
    return type(function).__qualname__


def _is_data(x: Any) -> bool:
    return vectors.is_tensor(x) or isinstance(x, np.ndarray | str | int | float)


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
        key, begun = f"{arm} {again} {digest(value, [*rows])[:16]}", time.monotonic()
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
