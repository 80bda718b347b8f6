"""What is shown on standard error while something runs: of `assay run` one line a stage, of all
else a bar, with the time that is left.

On a terminal the lines are redrawn in place; otherwise each event is one plain line."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from textwrap import wrap
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from assay.core.compute import Range, lasting, left_in_words, time_in_words
from assay.core.nouns import counted
from assay.core.plain import plain
from assay.evaluation.watching import BEGINS, Begun, Remaining, Warned
from assay.lab.work.events import (
    Event,
    Failed,
    Planned,
    Progress,
    Said,
    Saved,
    Started,
    Waiting,
    batch,
)

QUIET = 10.0  # seconds between two plain lines of progress
BRIEF = 10.0  # seconds left below which nothing is said about them
STILL = 60.0  # seconds between two plain lines that say what is waited for, where that changes
BAR = 24  # characters


class LiveLines:
    """Lines on standard error while something goes on; a context manager. On a terminal `lines` is
    redrawn in place, below earlier output. They are drawn as soon as this is made, so subclasses
    set their attributes first."""

    def __init__(self, name: str, console: Console | None = None) -> None:
        self.name = name
        self.console = console or Console(file=sys.stderr, highlight=False)
        self.started = time.monotonic()
        # transient: what remains on the screen is the answer, not a frozen bar
        self.live = Live(
            get_renderable=self.draw, console=self.console, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> Self:
        if self.redrawn:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.live.stop()

    @property
    def redrawn(self) -> bool:
        """Whether it is redrawn in place."""
        return self.console.is_terminal and not self.console.is_dumb_terminal

    def say(self, *lines: str) -> None:
        """Print lines that stay, but for empty ones."""
        for line in filter(None, lines):
            self.console.print(plain(line), markup=False, soft_wrap=True)

    def lines(self) -> Sequence[Text]:
        """The lines that are redrawn."""
        return ()

    def draw(self) -> RenderableType:
        """The lines, each cut where the terminal ends."""
        lines = self.lines()
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(*lines)


class Display(LiveLines):
    """Shows the events of one run; a context manager that the lab calls with each event."""

    def __init__(self, name: str, console: Console | None = None) -> None:
        self.stages: dict[str, Started | Progress] = {}
        self.stored, self.total = 0, 0
        self.eta: Range | None = None
        self.waiting = self.last_wait = ""
        self.draws = False
        super().__init__(name, console)
        self.spoken = self.started

    def __call__(self, event: Event) -> None:
        line = self.note(event)
        if line and (not self.live.is_started or isinstance(event, Planned | Failed | Said)):
            self.say(line)
            self.spoken = time.monotonic()

    def note(self, event: Event) -> str:
        """The plain line for an event, empty where none is due; the live lines follow."""
        if self.draws and isinstance(event, Started | Progress):
            event = replace(
                event, seeds=""
            )  # of no training, and so without the seeds that distinguish groups
        self.waiting = event.text if isinstance(event, Waiting) else ""
        match event:
            case Waiting():
                still = self.last_wait and time.monotonic() - self.spoken < STILL
                if still or event.text == self.last_wait:
                    return ""
                self.last_wait = event.text
                return event.text
            case Planned():
                self.total = len(event.plan.rows)
                self.stored = self.total - len(event.plan.missing)
                missing = self.total - self.stored
                took = (
                    f", about {time_in_words(note)} if the cores are free"
                    if (note := recorded(event)) is not None
                    else ""
                )
                self.draws = event.plan.draws
                counts = Counter(r.job.arm for r in event.plan.rows)
                each = max(counts.values(), default=0)
                seeds = f"{counted(len(counts), 'arm')}, {counted(each, 'seed')} each"
                draws = f" ({seeds})" if self.draws else ""
                return (
                    f"{self.name}: {counted(self.total, 'run')}{draws}, {self.stored} stored, "
                    f"{missing} to run{took}"
                )
            case Started():
                self.stages[event.group] = event
                runs = counted(event.runs, "run")
                return f"{batch(event.arms, event.seeds)}: {runs} started"
            case Progress():
                self.stages[event.group] = event
                self.eta = event.eta
                return stage(event) + self.left() if time.monotonic() - self.spoken >= QUIET else ""
            case Saved():
                self.stages.pop(event.group, None)
                self.stored, self.total, self.eta = event.done, event.total, event.eta
                return (
                    f"{', '.join(event.arms)}: stored, {self.stored} of "
                    f"{counted(self.total, 'run')}{self.left()}"
                )
            case Failed():
                self.stages.pop(event.group, None)
                return f"{', '.join(event.arms)}: crashed, {event.text}"
            case Said():
                return event.text
        return ""

    def left(self) -> str:
        """The time left, as the end of a line; empty while it is unknown, or so brief that other
        processes on the machine may double it."""
        brief = self.eta is None or self.eta.middle < BRIEF or self.stored == self.total
        return "" if brief or self.eta is None else f", {lasting(self.eta)} left"

    def lines(self) -> Sequence[Text]:
        """The lines shown on a terminal now."""
        spent = time_in_words(time.monotonic() - self.started)
        state = f"{self.stored} of {counted(self.total, 'run')} stored, {spent} so far{self.left()}"
        stages = (bar(event, stage(event)) for event in self.stages.values())
        waits = map(Text, wrap(self.waiting, self.console.width - 1))
        return [Text(f"{self.name}  {state}"), *waits, *stages]


def recorded(event: Planned) -> float | None:
    """The seconds that what is missing takes by the record of the same runs; None where they are of
    other runs, or unknown."""
    return event.plan.seconds if event.plan.cost_from == "the record" else None


def stage(event: Started | Progress) -> str:
    """One stage's line: its batch, steps done, and its numbers where it is of one arm; of several
    they mean nothing together."""
    if isinstance(event, Started):
        return f"{batch(event.arms, event.seeds)}: starting"
    numbers = (
        "".join(f", {name} {value:.4g}" for name, value in event.numbers.items())
        if len(event.arms) == 1
        else ""
    )
    return (
        f"{batch(event.arms, event.seeds)}: {event.done:,} of {event.total:,} {event.unit}{numbers}"
    )


def bar(event: Started | Progress, words: str) -> Text:
    """The words behind a bar that shows how much of the stage is done."""
    share = event.done / event.total if isinstance(event, Progress) and event.total else 0.0
    return Text("  ").append(blocks(share)).append(f"  {words}")


def blocks(share: float) -> Text:
    """A bar that is filled to a share of its length."""
    full = round(BAR * share)
    return Text().append("━" * full, "#0b63ce").append("─" * (BAR - full), "dim")


class Bar(LiveLines):
    """Shows how much of something countable is done; a context manager that is called with (done,
    total)."""

    def __init__(self, name: str, unit: str, console: Console | None = None) -> None:
        self.unit, self.remaining = unit, Remaining()
        self.below: list[str] = []
        """Lines under the bar, which the code at work may change."""
        self.in_all: Range | None = None
        """How long the rest of this step and all later ones take, where that is known."""
        self.printed: list[str] = []
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
            self.say(self.line(), *(line for line in self.below if line not in self.printed))
            self.printed = list(self.below)

    def line(self) -> str:
        """How far it is, as one line: `evaluate: 12,288 of 99,968 tokens, about 1 min 3 s left`;
        the time of all steps is first, so that no narrow terminal cuts it off."""
        r = self.remaining
        done = f"{r.done:,} of {r.total:,} {self.unit}"
        if self.in_all is not None:
            return f"{self.name}, {left_in_words(self.in_all)} left in all: {done}"
        left = ""
        if r.seconds is not None and r.done < r.total:
            left = f", about {time_in_words(r.seconds)} left"
        return f"{self.name}: {done}{left}"

    def lines(self) -> Sequence[Text]:
        """The line with a bar before it, and the lines below."""
        r = self.remaining
        bar = blocks(r.done / r.total if r.total else 0).append(f"  {self.line()}")
        return [bar, *(Text(plain(line), "dim") for line in self.below)]


class Measuring(Bar):
    """The bar of an evaluation: warnings are above it."""

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

    def __call__(
        self, stage: str, completed: int, total: int, step: str = "", in_all: Range | None = None
    ) -> None:
        """Takes how many of how many of something are done, and perhaps in which step and how long
        all steps take; each begins with a line, which says what is done before the first."""
        if self.bar is None or self.bar.unit != stage or not completed:
            self.__exit__()
            self.bar = Bar(f"{self.name}{step}", stage).__enter__()
            if completed:
                self.bar.spoken -= QUIET
            else:
                begins = BEGINS.get(stage, "loading the model")
                self.bar.say(f"{self.bar.name}: {begins}, then {total:,} {stage}")
        self.bar.in_all = in_all
        self.bar(completed, total)
