"""Progress bars on standard error with the time that is left: redrawn in place on a terminal, one
plain line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Self

from rich.console import Console
from rich.text import Text

from assay.cli.progress import QUIET, Shown, blocks
from assay.core.plain import plain
from assay.evaluation.remaining import PHASES, Remaining
from assay.evaluation.watching import Begun, SoFar, Warned
from assay.report.evaluations import so_far
from assay.verbs.verb import duration

INSTANT = 0.02
"""Seconds; what is done faster was found and not made, and says nothing about the rest."""


class Bar(Shown):
    """Shows how much of something countable is done; a context manager that is called with (done,
    total)."""

    def __init__(
        self,
        name: str,
        unit: str,
        console: Console | None = None,
        left: Callable[[], float | None] | None = None,
    ) -> None:
        """`left` tells the seconds that are left, where somebody knows of more than is counted
        here."""
        self.unit, self.left = unit, left
        self.below: list[str] = []
        """Lines under the bar, which whoever works on it may change."""
        self.told: list[str] = []
        self.done = self.total = 0
        self.worked, self.made = 0.0, 0
        super().__init__(name, console)
        self.last = self.spoken = self.started

    def __enter__(self) -> Self:
        self.last = self.spoken = time.monotonic()
        return self

    def __call__(self, completed: int, total: int) -> None:
        """Takes how many of how many are done."""
        clock = time.monotonic()
        if (
            self.done and clock - self.last >= INSTANT
        ):  # what comes before the first word is loading
            self.worked, self.made = (
                self.worked + clock - self.last,
                self.made + completed - self.done,
            )
        self.done, self.total, self.last = completed, total, clock
        if self.redrawn:
            if not self.live.is_started and completed < total:
                self.live.start()
        elif clock - self.spoken >= QUIET:
            self.spoken = clock
            self.say(self.line(), *(line for line in self.below if line not in self.told))
            self.told = list(self.below)

    def line(self) -> str:
        """How far it is, as one line: `evaluate: 12,288 of 99,968 tokens, about 1 min 3 s left`."""
        estimate = (self.total - self.done) * self.worked / self.made if self.made else None
        seconds = estimate if self.left is None else self.left()
        remaining = (
            ""
            if seconds is None
            else f", about {duration(seconds)} left" + ("" if self.left is None else " in all")
        )
        return f"{self.name}: {self.done:,} of {self.total:,} {self.unit}{remaining}"

    def lines(self) -> Sequence[Text]:
        """The line with a bar before it, and what stands below."""
        bar = blocks(self.done / self.total if self.total else 0).append(f"  {self.line()}")
        return [bar, *(Text(plain(line), "dim") for line in self.below)]


class Measuring(Bar):
    """The bar of an evaluation: warnings stand above it, what is known so far of each dictionary
    below it."""

    def __init__(self) -> None:
        super().__init__("evaluate", "tokens")
        self.numbers: dict[str, str] = {}

    def __call__(self, completed: int, total: int) -> None:
        """Take how many tokens of how many are done; before the first of them the model is loaded
        and the means are worked out."""
        if (
            not completed and self.console.is_terminal
        ):  # elsewhere a refusal after it is to stay one line
            self.say(
                "evaluate: loading the model, then the mean and lengths at each site, then "
                f"{total:,} tokens"
            )
        super().__call__(completed, total)

    def watch(self, event: Warned | SoFar | Begun) -> None:
        """Take a warning, what begins, or a dictionary's numbers so far; the first ones are printed
        at once where nothing is redrawn."""
        if isinstance(event, Begun):
            return self.say(f"evaluate: {event.text}")
        if isinstance(event, Warned):
            return self.say(f"warning: {event.dictionary}: {event.text}")
        line = so_far(event)
        if event.dictionary not in self.numbers and not self.redrawn:
            self.say(line)
            self.told.append(line)
        self.numbers[event.dictionary] = line
        self.below = list(self.numbers.values())
        return None


class Stages:
    """A bar for each stage of the work, all with the time that is left in all; a context manager
    that is called with (what, done, total)."""

    def __init__(self, name: str) -> None:
        self.name, self.what = name, ""
        self.bar: Bar | None = None
        self.remaining = Remaining()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.__exit__(*error)

    def __call__(self, what: str, completed: int, total: int) -> None:
        """Takes how many of how many of something are done."""
        self.remaining(what, completed, total)
        first = not completed and what == next(iter(PHASES))
        if not (completed or first):  # what will be done later
            return
        if what != self.what or first:
            self.__exit__()
            phase = PHASES[what]
            name = f"{self.name}: {phase.words}"
            self.bar = Bar(name, phase.unit, left=lambda: self.remaining.seconds).__enter__()
            self.what = what
        assert self.bar is not None
        if first and self.bar.console.is_terminal:
            self.bar.say(f"{self.name}: loading the model, then {total:,} tokens")
        self.bar(completed, total)
