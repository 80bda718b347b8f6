"""A progress bar on standard error with the time that is left: redrawn in place on a terminal, one
plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from assay.cli.progress import BAR, QUIET, duration
from assay.core.plain import plain

INSTANT = 0.02
"""Seconds; what is done faster was found and not made, and says nothing about the rest."""


class Bar:
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
        self.name, self.unit, self.left = name, unit, left
        self.console = console or Console(file=sys.stderr, highlight=False)
        self.below: list[str] = []
        """Lines under the bar, which whoever works on it may change."""
        self.told: list[str] = []
        self.done = self.total = 0
        self.worked, self.made = 0.0, 0
        self.began = self.last = self.spoken = time.monotonic()
        self.live = Live(
            get_renderable=self.draw, console=self.console, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> Self:
        self.began = self.last = self.spoken = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.live.stop()

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

    @property
    def redrawn(self) -> bool:
        """Whether it is redrawn in place."""
        return self.console.is_terminal and not self.console.is_dumb_terminal

    def say(self, *lines: str) -> None:
        """Print lines that stay; above the bar, where there is one."""
        for line in lines:
            self.console.print(plain(line), markup=False, soft_wrap=True)

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

    def draw(self) -> RenderableType:
        """The line with a bar before it, and what stands below."""
        full = round(BAR * self.done / self.total) if self.total else 0
        bar = (
            Text()
            .append("━" * full, "#0b63ce")
            .append("─" * (BAR - full), "dim")
            .append(f"  {self.line()}")
        )
        lines = [bar, *(Text(plain(line), "dim") for line in self.below)]
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(*lines)
