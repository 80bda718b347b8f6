"""Progress bars on standard error with the time that is left: redrawn in place on a terminal, one
plain line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Self

from rich.console import Console
from rich.text import Text

from assay.cli.progress import QUIET, LiveLines, blocks
from assay.core.plain import plain
from assay.evaluation.watching import Begun, Remaining, Warned
from assay.report.amounts import duration


class Bar(LiveLines):
    """Shows how much of something countable is done; a context manager that is called with (done,
    total)."""

    def __init__(self, name: str, unit: str, console: Console | None = None) -> None:
        self.unit, self.remaining = unit, Remaining()
        self.below: list[str] = []
        """Lines under the bar, which whoever works on it may change."""
        self.told: list[str] = []
        super().__init__(name, console)
        self.spoken = self.started

    def __enter__(self) -> Self:
        self.spoken = time.monotonic()
        return self

    def __call__(self, completed: int, total: int) -> None:
        """Takes how many of how many are done."""
        self.remaining(completed, total)
        if self.redrawn:
            if not self.live.is_started and completed < total:
                self.live.start()
        elif (clock := time.monotonic()) - self.spoken >= QUIET:
            self.spoken = clock
            self.say(self.line(), *(line for line in self.below if line not in self.told))
            self.told = list(self.below)

    def line(self) -> str:
        """How far it is, as one line: `evaluate: 12,288 of 99,968 tokens, about 1 min 3 s left`."""
        r = self.remaining
        left = "" if r.seconds is None else f", about {duration(r.seconds)} left"
        return f"{self.name}: {r.done:,} of {r.total:,} {self.unit}{left}"

    def lines(self) -> Sequence[Text]:
        """The line with a bar before it, and what stands below."""
        r = self.remaining
        bar = blocks(r.done / r.total if r.total else 0).append(f"  {self.line()}")
        return [bar, *(Text(plain(line), "dim") for line in self.below)]


class Measuring(Bar):
    """The bar of an evaluation: warnings stand above it."""

    def __init__(self) -> None:
        super().__init__("evaluate", "tokens")

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

    def watch(self, event: Warned | Begun) -> None:
        """Take a warning, or what begins."""
        if isinstance(event, Begun):
            return self.say(f"evaluate: {event.text}")
        return self.say(f"warning: {event.dictionary}: {event.text}")


class Stages:
    """A bar for each stage of the work; a context manager that is called with (what, done,
    total)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.bar: Bar | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.__exit__(*error)

    def __call__(self, what: str, completed: int, total: int) -> None:
        """Takes how many of how many of something are done; before the first of them the model is
        loaded."""
        if self.bar is None or self.bar.unit != what or not completed:
            self.__exit__()
            self.bar = Bar(self.name, what).__enter__()
            if not completed and self.bar.console.is_terminal:
                self.bar.say(f"{self.name}: loading the model, then {total:,} {what}")
        self.bar(completed, total)
