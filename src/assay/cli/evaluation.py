"""What `assay evaluate` prints: one dictionary measure by measure, several side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from assay.cli.bar import Bar
from assay.cli.printing import draw, grid, say, tell
from assay.core.schema import to_json
from assay.evaluation.watching import Begun, SoFar, Warned
from assay.report import evaluations
from assay.report.evaluations import labels, row, rows
from assay.verbs.evaluate import Evaluated

LEADING = ("l0", "fvu", "gamma", "ce_increase", "loss_recovered_mean", "loss_recovered_zero")
"""What the table of more than three dictionaries shows; the rest is in --json and in the report."""
SHORT = {"loss_recovered_mean": "recovered (mean)", "loss_recovered_zero": "recovered (zero)"}


class Following(Bar):
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
        line = evaluations.so_far(event)
        if event.dictionary not in self.numbers and not self.redrawn:
            self.say(line)
            self.told.append(line)
        self.numbers[event.dictionary] = line
        self.below = list(self.numbers.values())
        return None


def show(evaluation: Evaluated) -> None:
    """Print what was measured: one dictionary measure by measure, several side by side; then what
    to know of it."""
    for line in evaluations.setting(to_json(evaluation)):
        say(line)
    print()
    if len(evaluation.dictionaries) == 1:
        _show_single(evaluation.dictionaries[0])
    else:
        (_few if len(evaluation.dictionaries) <= 3 else _several)(evaluation.dictionaries)
    print()
    for note in (*evaluation.notes, *evaluations.luck(to_json(evaluation))):
        say(note)
    if all(e["cached"] for e in evaluation.dictionaries):
        print("stored before: nothing was run")
    for path in evaluation.written:
        tell(str(path))
    if not evaluation.written:
        print("With --out DIR: the report, a Pareto plot, every number as CSV and JSON.")


def _show_single(entry: Mapping[str, Any]) -> None:
    table = grid(entry["name"], "estimate", "95 %", "", right=("estimate",))
    for line in rows(entry):
        table.add_row(
            line.label,
            line.estimate,
            line.interval,
            f"{line.unit}{', ' if line.unit and line.why else ''}{line.why}",
        )
    draw(table)


def _few(entries: Sequence[Mapping[str, Any]]) -> None:
    """Every measure of two or three dictionaries side by side."""
    table = grid("", *(e["name"] for e in entries))
    for name in dict.fromkeys(name for e in entries for name in e["measures"]):
        cells = [row(name, e["measures"][name]) if name in e["measures"] else None for e in entries]
        texts = [
            Text.assemble((c.estimate, "bold"), (f" {c.interval}", "bright_black"))
            if c
            else Text("")
            for c in cells
        ]
        table.add_row(labels()[name], *texts)
    draw(table)


def _several(entries: Sequence[Mapping[str, Any]]) -> None:
    """The leading measures of many dictionaries, a row for each under its number."""
    names = [name for name in LEADING if any(name in e["measures"] for e in entries)]
    listed = grid("", "dictionary", "site", right=("",))
    table = grid("", *(SHORT.get(name, labels()[name]) for name in names), right=("",))
    order = {site: i for i, site in enumerate(dict.fromkeys(e["site"] for e in entries))}
    for i, entry in enumerate(sorted(entries, key=lambda e: order[e["site"]]), 1):
        listed.add_row(str(i), entry["name"], entry["site"])
        cells = [
            row(name, entry["measures"][name]) if name in entry["measures"] else None
            for name in names
        ]
        texts = [
            Text.assemble((c.estimate, "bold"), (f"\n{c.interval}", "bright_black"))
            if c
            else Text("")
            for c in cells
        ]
        table.add_row(str(i), *texts)
    draw(listed)
    print()
    draw(table)
