"""Due: list the events of a table at which an evaluation is due."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from assay.core import foreign
from assay.core.errors import DataError
from assay.verbs.options import AS_WRITTEN, Trust
from assay.verbs.verb import Answer, Part, Table, verb
from assay_catalogue.analysis.evaluations import due as due_events_of

MONTH = 30.4375
"""Days in a month: a year of 365.25 over 12."""
LARGEST = 16 * 2**20
"""Bytes of a file of events."""


@dataclass(frozen=True)
class Row:
    """One event at which an evaluation is due, counted from 1; the rest as in `evaluations.Due`."""

    row: int
    at: str
    """When it was, as the table writes it."""
    compute: float
    reasons: tuple[str, ...]
    growth: float
    since: float
    overdue: float


@dataclass(frozen=True)
class DueTable:
    """The evaluations that are due in a table of events."""

    events: int
    due: tuple[Row, ...]


@verb("the events at which an evaluation is due")
def due(
    events: Path,
    /,
    *,
    ratio: float = 4.0,
    months: float = 3.0,
    trust: Trust = AS_WRITTEN,
) -> Answer[DueTable]:
    """List the events of a line of models at which an evaluation is due, with the reason and any
    delay. Exits with code 1 if one was overdue.

    Parameters
    ----------
    events
        A CSV file with a column compute (effective compute so far) and a column date or months.
    ratio
        An evaluation is due when effective compute is this many times that of the last one; inf
        turns this off.
    months
        An evaluation is due after this many months of 30.4375 days; inf turns this off.

    Examples
    --------
    printf '%s\\n' months,compute 0,1e18 2,5e18 4,3e19 > events.csv
    assay due events.csv
    """
    with trust.raised():
        labels, history = read(events)
    rows = tuple(
        Row(d.row + 1, labels[d.row], d.compute, d.reasons, d.growth, d.since, d.overdue)
        for d in due_events_of(history, ratio, months)
    )
    table = DueTable(len(history), rows)
    return Answer(table, words(table), 1 if any(row.overdue > 0 for row in rows) else 0)


def words(table: DueTable) -> Iterator[Part]:
    """Report which events are due, why, and how many there were."""
    yield Table(
        ("row", "at", "compute", "grown", "months since", "due by", "overdue"),
        [
            (
                str(row.row),
                row.at,
                f"{row.compute:.4g}",
                f"{row.growth:.4g}×",
                f"{row.since:.4g}",
                ", ".join(row.reasons),
                f"{row.overdue:.2g} months" if row.overdue else "",
            )
            for row in table.due
        ],
        right=("row", "compute", "grown", "months since"),
    )
    yield f"An evaluation is due at {len(table.due)} of {table.events} events."


def read(path: Path) -> tuple[list[str], list[tuple[float, float]]]:
    """Read when each event was, as written, and the events as (months, effective compute).

    Raises: DataError for a file that is not such a table, naming the row or the column."""
    try:
        text = foreign.read(path, "a CSV file of events", LARGEST).decode("utf-8-sig")
        names, *rows = [
            [cell.strip() for cell in row]
            for row in csv.reader(io.StringIO(text), strict=True)
            if row
        ] or [[]]
    except (UnicodeDecodeError, csv.Error) as e:
        raise DataError(f"{path} is not a comma-separated table: {e}") from e
    if sorted(names) not in (["compute", "date"], ["compute", "months"]):
        raise DataError(
            f"{path} needs a column compute and a column date or months, got "
            f"{', '.join(names) or 'no header'}"
        )
    when = "date" if "date" in names else "months"
    for i, row in enumerate(rows, 1):
        if len(row) != 2:
            raise DataError(f"row {i} must have 2 cells, got {len(row)}")
    labels = [row[names.index(when)] for row in rows]
    compute = [_number(row[names.index("compute")], i, "compute") for i, row in enumerate(rows, 1)]
    if when == "months":
        return labels, [
            (_number(text, i, when), c)
            for i, (text, c) in enumerate(zip(labels, compute, strict=True), 1)
        ]
    days = [_day(text, i) for i, text in enumerate(labels, 1)]
    return labels, [((day - days[0]) / MONTH, c) for day, c in zip(days, compute, strict=True)]


def _day(text: str, i: int) -> int:
    try:
        return date.fromisoformat(text).toordinal()
    except ValueError:
        raise DataError(f"row {i}: {text!r} is not a date; write it as 2026-11-20") from None


def _number(text: str, i: int, column: str) -> float:
    try:
        if not text.isascii() or "_" in text:  # which Python would take for digits
            raise ValueError
        return float(text)
    except ValueError:
        raise DataError(f"row {i}: {column} must be a number, got {text!r}") from None
