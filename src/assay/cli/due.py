"""`assay due`: which events are due, and when the next one is."""

from __future__ import annotations

from assay.cli import printing
from assay.verbs.due import DueTable


def show(due_table: DueTable) -> None:
    """Print the table, how many events there were, and when the next evaluation is due at the
    latest."""
    numbers = ("row", "compute", "grown", "months since")
    table = printing.grid("row", "at", *numbers[1:], "due by", "overdue", right=numbers)
    for d in due_table.due:
        grown, since = ("", "")
        if d.reasons != ("initial",):
            growth = rounded(d.growth, due_table.ratio, "compute" in d.reasons)
            grown, since = f"{growth}×", rounded(d.since, due_table.months, "time" in d.reasons)
        overdue = (
            f"{d.overdue:.2g} month{'' if f'{d.overdue:.2g}' == '1' else 's'}" if d.overdue else ""
        )
        table.add_row(
            str(d.row), d.at, f"{d.compute:.4g}", grown, since, ", ".join(d.reasons), overdue
        )
    printing.draw(table)
    print()
    preposition = "at" if due_table.dated else "at month"
    limits = (
        [f"when compute reaches {due_table.next.compute:.4g}"]
        if due_table.next.compute is not None
        else []
    )
    limits += [f"{preposition} {due_table.next.at}"] if due_table.next.at is not None else []
    sooner = ", whichever comes sooner" if len(limits) == 2 else ""
    summary = f"An evaluation is due at {len(due_table.due)} of {due_table.events} events."
    printing.say(f"{summary} The next one: {' or '.join(limits) or 'never'}{sooner}.")


def rounded(value: float, limit: float, reached: bool) -> str:
    """Write a number in as few digits, three at least, as put it on its side of a limit."""
    texts = (f"{value:.{digits}g}" for digits in range(3, 17))
    return next((text for text in texts if (float(text) >= limit) == reached), str(value))
