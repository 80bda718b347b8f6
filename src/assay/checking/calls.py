"""Calls: a user's function called with what is credited, without it, and with each control in its
place. Each call is kept, so that an interrupted check resumes where it stopped."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from assay.checking.fingerprint import Fingerprint
from assay.checking.prompts import KEPT, Given
from assay.core import cache, display
from assay.core.arrays import as_numpy
from assay.core.errors import AssayError, DataError, RunError
from assay.lab.store import atomic

EFFECT = "effect"
"""What a number is called that a function gives without a name."""
QUIET = 5.0
"""Seconds between two lines of progress where there is no terminal."""
FEW = 2
"""Calls of so many prompts are not kept, nor counted."""
Numbers = dict[str, np.ndarray]
"""By name a number for each prompt."""
Function = Callable[[Any, Any], Any]


class NotAFunctionOfItError(DataError):
    """The function gives the same numbers whatever it is handed."""


@dataclass(eq=False)
class Steps:
    """How far a check is, reported on standard error or under a notebook's cell."""

    what: str
    """What is counted, such as calls."""
    total: int = 0
    """How many there will be, for the time that is left."""
    done: int = 0
    fresh: int = 0
    seconds: float = 0.0
    """Of the steps that were made and not read."""
    _said: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._follow = display.follower()

    def take(self, arm: str, seconds: float | None = None) -> None:
        """Report a step that is done: in so many seconds, or read."""
        self.done += 1
        if seconds is not None:
            self.seconds += seconds
            self.fresh += 1
        left = max(0, self.total - self.done)
        if self._follow is not None:
            self._follow(self.done, max(self.total, self.done), self.what)
            return
        words = f"{self.done} of {max(self.total, self.done)} {self.what}, {arm}"
        if self.fresh and left:
            words += f", about {_duration(left * self.seconds / self.fresh)} left"
        clock = time.monotonic()
        if sys.stderr.isatty():
            end = "\r" if left else "\n"
            print(f"check: {words}".ljust(79), end=end, file=sys.stderr, flush=True)
        elif self.fresh and self.seconds > QUIET and clock - self._said > QUIET:
            print(f"check: {words}", file=sys.stderr, flush=True)
            self._said = clock


@dataclass(eq=False)
class Calls:
    """A function, the prompts that it is called with, and what has been asked of it."""

    function: Function
    prompts: Given
    keep: bool = True
    steps: Steps = field(default_factory=lambda: Steps("calls"))
    opaque: tuple[str, ...] = field(default=(), init=False)
    """Types of values that cannot be seen into, so that no call is kept."""
    content: str = field(default="", init=False)
    """A hash of the function, by what it is and closes over."""
    _base: str = field(default="", init=False)
    _names: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        seen = Fingerprint().add(self.function)
        self.content = seen.digest
        self.opaque = tuple(dict.fromkeys(seen.opaque))
        seen.add(self.prompts.value)
        self._base = seen.digest

    @property
    def name(self) -> str:
        """What the function is called."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def __call__(
        self, arm: str, thing: Any, rows: Sequence[int] | None = None, repeat: int = 0
    ) -> Numbers:
        """Call the function with a thing in the place of what is credited, on these rows or on all;
        `repeat` numbers calls that are otherwise alike.

        Raises: RunError for what the function raises, DataError for what is no number a prompt.
        """
        rows = range(len(self.prompts)) if rows is None else rows
        is_long = len(rows) > FEW
        path = self._path(thing, rows, repeat) if self.keep and is_long else None
        if path is not None and (stored := _read(path, len(rows))) is not None:
            self.steps.take(arm)
            return stored
        started = time.monotonic()
        numbers = self._call(arm, thing, rows)
        if is_long:
            self.steps.take(arm, time.monotonic() - started)
        if path is not None:
            _write(path, numbers)
        return numbers

    def _call(self, arm: str, thing: Any, rows: Sequence[int]) -> Numbers:
        try:
            given = self.function(_of_rows(thing, rows), self.prompts.take(rows))
        except AssayError:
            raise
        except Exception as e:
            raise self._raised(arm, thing, rows, e) from e
        return self._numbers(arm, given, rows)

    def _raised(self, arm: str, thing: Any, rows: Sequence[int], error: Exception) -> RunError:
        """The error that names the control and the prompt, which is sought by halves."""
        rows, kind = list(rows), type(error)
        while len(rows) > 1:
            for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
                try:
                    self.function(_of_rows(thing, half), self.prompts.take(half))
                except kind:
                    rows = half
                    break
                except Exception:
                    continue
            else:
                break
        count = len(rows)
        first = self.prompts.name(rows[0])
        where = first if count == 1 else f"{count} prompts from {first} on"
        words = " ".join(f"{kind.__name__}: {error}".split())
        hint = ""
        if thing is None and "None" in words:  # not for a mistake in anything else
            hint = "; it is called with None for `without`: let it take None (or, in Python, give "
            hint += "none=…)"
        return RunError(f"{self.name} raised {words} under {arm}, at {where}{hint}")

    def _numbers(self, arm: str, given: Any, rows: Sequence[int]) -> Numbers:
        named = given if isinstance(given, Mapping) else {EFFECT: given}
        numbers = {}
        for name, value in named.items():
            if not (isinstance(name, str) and name.isidentifier()):
                raise DataError(f"{self.name} gave numbers called {name!r}, which is not a name")
            if name in KEPT:
                raise DataError(f"{self.name} gave numbers called {name!r}; rename them")
            try:
                x = as_numpy(value).astype(float)
            except DataError as e:
                raise DataError(f"{self.name} under {arm}: {e}") from e
            if x.shape != (len(rows),):
                raise DataError(
                    f"{self.name} under {arm} gave numbers of shape {x.shape} for {len(rows)} "
                    f"prompts; it gives one number for each prompt, of shape ({len(rows)},)"
                )
            if np.isinf(x).any():
                bad = self.prompts.name(rows[int(np.isinf(x).argmax())])
                raise DataError(f"{self.name} under {arm} gave an infinite number at {bad}")
            numbers[name] = x
        if not numbers:
            raise DataError(f"{self.name} under {arm} gave no numbers")
        if self._names and {*numbers} != self._names:
            raise DataError(
                f"{self.name} gives other names of numbers for other things: "
                f"{', '.join(sorted({*numbers, *self._names}))}"
            )
        self._names = {*numbers}
        return numbers

    def _path(self, thing: Any, rows: Sequence[int], repeat: int) -> Path | None:
        """Where a call is kept; None where something is not seen that may decide it."""
        seen = Fingerprint().add(_of_rows(thing, rows))
        self.opaque = tuple(dict.fromkeys((*self.opaque, *seen.opaque)))
        if self.opaque:
            return None
        seen.add(self._base).add(list(rows)).add(repeat).add(0)  # where the size of a batch was
        return cache.folder() / "checks" / seen.digest[:2] / f"{seen.digest}.json"


@dataclass(frozen=True, eq=False)
class ByRow:
    """A thing that has a part for each prompt, such as the text to patch from."""

    parts: tuple[Any, ...]


def _of_rows(thing: Any, rows: Sequence[int]) -> Any:
    return [thing.parts[i] for i in rows] if isinstance(thing, ByRow) else thing


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _read(path: Path, count: int) -> Numbers | None:
    with contextlib.suppress(OSError, ValueError):
        stored = json.loads(path.read_text())
        numbers = {
            name: np.array([math.nan if v is None else v for v in x], float)
            for name, x in stored.items()
        }
        if numbers and all(x.shape == (count,) for x in numbers.values()):
            return numbers
    return None


def _write(path: Path, numbers: Numbers) -> None:
    plain = {
        name: [None if math.isnan(v) else v for v in x.tolist()] for name, x in numbers.items()
    }
    with contextlib.suppress(OSError):  # a folder that cannot be written keeps nothing
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, json.dumps(plain).encode())
