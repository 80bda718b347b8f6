"""`assay run catalogue`, `assay run 'monthly-*'`: all experiments, or those of such names, as one
series, shown while it runs, then on a page."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from assay.cli import printing
from assay.cli.progress import bar, duration, lasting, stage
from assay.core.compute import Range
from assay.core.errors import AssayError
from assay.core.plain import plain
from assay.core.results import Judged, ResultData
from assay.core.schema import to_json
from assay.lab.work.events import Ended, Failed, Progress, Said, Saved, Started, Surveyed
from assay.report import tables
from assay.verbs.series import Series

if TYPE_CHECKING:
    from assay.cli.options import Choice, Machine, Place


def run(
    name: str,
    choice: Choice,
    machine: Machine,
    place: Place,
    page: Path | None,
    within: str | None = None,
) -> int:
    """Run every experiment of the catalogue, or all whose names fit a pattern, and print what came
    of it; exit code: 0, or the worst error's.

    Raises: AssayError for a time to fit, since what fits is chosen for one experiment.
    """
    if within is not None:
        raise AssayError(f"--within chooses for one experiment; name it in place of {name}")
    from assay.verbs.series import series

    with Display(name) as display:
        outcome = series(machine.lab(place.root), choice.preset, page, choice.set, display, name)
    printing.emit(outcome) if place.json else show(outcome)
    return outcome.exit_code


def show(outcome: Series) -> None:
    """Print one line per experiment, how many errors to expect, and where the pages are."""
    from assay.report import series

    table = printing.grid("experiment", "verdicts", "s", "CPU-s", "made", right=("s", "CPU-s"))
    claims: list[Judged] = []
    for part in outcome.experiments:
        if (result := part.result) is None:
            table.add_row(part.name, "no result", "", "", "")
            continue
        claims += result.verdicts
        spent = (f"{result.seconds:,.0f}", f"{result.cpu_seconds:,.0f}")
        signs = tables.signs(tables.outcomes(result.verdicts))
        table.add_row(part.name, signs, *spent, series.describe_training(to_json(part)))
    table.add_row(
        "all",
        tables.signs(tables.outcomes(claims)),
        f"{outcome.seconds:,.0f}",
        f"{outcome.cpu_seconds:,.0f}",
        "",
    )
    printing.draw(table)
    print()
    if outcome.errors:
        printing.say(outcome.errors)
    for path in outcome.pages:
        printing.tell(str(path))
    for part in outcome.experiments:
        if part.error is not None:
            printing.tell(f"{part.name}: {' '.join(part.error.text.split())}", sys.stderr)


class Display:
    """Shows a series while it runs: one line for each experiment as it ends; on a terminal also
    what is at work, in place."""

    def __init__(self, name: str, console: Console | None = None) -> None:
        self.name = name
        self.console = console or Console(file=sys.stderr, highlight=False)
        self.started = time.monotonic()
        self.at: dict[str, tuple[str, Started | Progress]] = {}
        self.done = self.total = 0
        self.eta: Range | None = None
        self.live = Live(
            get_renderable=self.draw, console=self.console, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> Self:
        if self.console.is_terminal and not self.console.is_dumb_terminal:
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.live.stop()

    def __call__(self, name: str, event: Any) -> None:
        """Take one event of the lab, about the experiment of this name."""
        if line := self.note(name, event):
            self.console.print(plain(line), markup=False, soft_wrap=True)

    def note(self, name: str, event: Any) -> str:
        """Write the line that stays for an event, empty where there is none."""
        match event:
            case Surveyed():
                self.total = event.experiments
                return surveyed(self.name, event)
            case Started():
                self.at[event.group] = (name, event)
            case Progress():
                self.at[event.group] = (name, event)
                self.eta = event.eta
            case Saved():
                self.eta = event.eta
                self.at.pop(event.group, None)
            case Failed():
                self.at.pop(event.group, None)
                return f"{name}, {', '.join(event.arms)}: crashed, {event.text}"
            case Said():
                return event.text
            case Ended():
                self.done, self.total = event.done, event.total
                self.at = {g: (n, e) for g, (n, e) in self.at.items() if n != name}
                return f"{event.done} of {event.total}  {ended(event)}{self.left()}"
        return ""

    def left(self) -> str:
        """Say the time left, as the end of a line; empty while it cannot be told."""
        return "" if self.eta is None or self.done == self.total else f"; {lasting(self.eta)} left"

    def draw(self) -> RenderableType:
        """Draw the lines shown on a terminal now."""
        spent = duration(time.monotonic() - self.started)
        state = (
            f"{self.done} of {self.total} experiments"
            if self.total
            else "looking at what is stored"
        )
        lines = [Text(f"{self.name}  {state}, {spent} so far{self.left()}")]
        lines += [bar(event, f"{name} · {stage(event)}") for name, event in list(self.at.values())]
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(*lines)


def surveyed(name: str, event: Surveyed) -> str:
    """Say what there is to do, in a line: experiments, runs, and how long it takes."""
    runs, missing = sum(len(p.rows) for p in event.plans), sum(len(p.missing) for p in event.plans)
    head = f"{name}: {event.experiments} experiments, {runs:,} runs, {runs - missing:,} stored"
    if not missing:
        return head
    time = "an unknown time" if event.seconds is None else lasting(event.seconds)
    return (
        f"{head}; {missing:,} to train on {event.workers} worker{'s' * (event.workers > 1)}, {time}"
    )


def ended(event: Ended) -> str:
    """Say how one experiment ended, in a line."""
    part = event.part
    if part.data is None:
        return f"{part.name}: no result, {' '.join(str(part.error).split())}"
    data = ResultData.from_json(part.data)
    signs = tables.signs(tables.outcomes(data.verdicts)) or "no claims"
    cost = (
        f"{data.seconds:,.0f} s, {data.cpu_seconds:,.0f} CPU-seconds" if part.trained else "stored"
    )
    return f"{part.name}: {signs}, {cost}"
