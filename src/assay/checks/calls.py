"""Calls: a function of one's own, called with a thing, without it, and with what stands in for
it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from assay.checks.record import Record, digest
from assay.checks.rows import ENDS, FEWEST, Numbers, Prompts, copied
from assay.controls import vectors
from assay.controls.things import Thing
from assay.errors import AssayError, DataError, RunError

EFFECT, NONE = "effect", "none"
"""What a number is called that has no name, and an arm without the thing."""
QUIET = 5.0
"""Seconds between two lines of progress where there is no terminal."""
TAKEN = frozenset(("arm", "prompt"))


@dataclass
class Progress:
    """How far a check is, on standard error."""

    total: int = 0
    done: int = 0
    seconds: float = 0.0
    said: float = field(default_factory=time.monotonic)

    def step(self, arm: str, seconds: float) -> None:
        """Say that a call is done."""
        self.done, self.seconds = self.done + 1, self.seconds + seconds
        left = max(0, self.total - self.done)
        words = f"check: {self.done} of {self.done + left} calls, {arm}"
        words += f", about {left * self.seconds / self.done:.0f} s left" if left else ""
        if sys.stderr.isatty():
            print(words[:79].ljust(79), end="\r" if left else "\n", file=sys.stderr, flush=True)
        elif time.monotonic() - self.said > QUIET:
            print(words, file=sys.stderr, flush=True)
            self.said = time.monotonic()


@dataclass(eq=False)
class Calls:
    """A function and the prompts that it is called with.

    Attributes:
        none: what the function is given for the thing where it is called without it.
        alone: whether its only number is called `effect`, whatever its name.
    """

    function: Callable[[Any, Any], Any]
    prompts: Prompts
    thing: Thing
    none: Any = None
    alone: bool = False
    record: Record = field(default_factory=lambda: Record(None, {}))
    progress: Progress = field(default_factory=Progress)
    _names: set[str] = field(default_factory=set)

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
        """Call the function on these prompts, or on all.

        Args:
            arm: what the value is called in errors and in the record.
            again: the number of a call that is otherwise alike.

        Raises:
            RunError: what the function raised, at the prompt that did (raised).
            DataError: what is no number for each prompt (not-numbers, infinite, name, names).
        """
        rows = range(len(self.prompts)) if rows is None else rows
        key = f"{arm} {again} {digest([*rows])[:16]}"
        if key in self.record.calls:
            return self.record.calls[key]
        begun = time.monotonic()
        try:
            given = self._given(value, rows)
        except AssayError:
            raise
        except Exception as error:
            raise self._raised(value, arm, rows, error) from error
        numbers = self._numbers(given, arm, rows)
        if len(rows) > FEWEST:
            self.record.keep(key, numbers)
            self.progress.step(arm, time.monotonic() - begun)
        return numbers

    def _given(self, value: Any, rows: Sequence[int]) -> Any:
        value = value if value is self.none else copied(self.thing.of_rows(value, rows))
        return self.function(value, self.prompts.take(rows))

    def _raised(self, value: Any, arm: str, rows: Sequence[int], error: Exception) -> RunError:
        """The error with the prompt at which it is raised, sought by halves."""
        at, kind = list(rows), type(error)
        while len(at) > 1:
            half = len(at) // 2
            wrong = [part for part in (at[:half], at[half:]) if self._raises(value, part, kind)]
            if not wrong:
                break
            at = wrong[0]
        given = f"none={self.none!r}" if value is self.none else arm
        where = f"prompt {at[0] + 1}" + f" to {at[-1] + 1}" * (len(at) > 1)
        return RunError(
            "raised", f"{self.name} raised {kind.__name__}: {error}, given {given}", where
        )

    def _raises(self, value: Any, rows: Sequence[int], kind: type[Exception]) -> bool:
        try:
            self._given(value, rows)
        except Exception as error:
            return type(error) is kind
        return False

    def _numbers(self, given: Any, arm: str, rows: Sequence[int]) -> Numbers:
        named = given if isinstance(given, Mapping) else {EFFECT: given}
        if len(named) == 1 and self.alone:
            named = {EFFECT: next(iter(named.values()))}
        found, where = {}, f"{self.name}, given {arm}"
        for name, value in named.items():
            if not str(name).isidentifier() or name in TAKEN or str(name).endswith(ENDS):
                raise DataError("name", f"a number cannot be called {name!r}", where)
            x = _plain(value)
            if x.shape != (len(rows),):
                message = f"{name} is not one number for each of {len(rows)} prompts"
                raise DataError("not-numbers", message, where)
            if np.isinf(x).any():
                message = f"{name} is infinite at prompt {rows[int(np.isinf(x).argmax())] + 1}"
                raise DataError("infinite", message, where)
            found[str(name)] = x
        if not found or (self._names and {*found} != self._names):
            raise DataError("names", f"got {[*found]}; return the same names in each call", where)
        self._names = {*found}
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
