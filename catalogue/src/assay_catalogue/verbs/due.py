"""Due: at which events of a table an evaluation is due."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from assay.core import foreign
from assay.core.errors import DataError, nearest
from assay.core.schema import BESIDE
from assay.verbs.options import AS_WRITTEN, Trust
from assay.verbs.verb import Answer, Part, Table, verb
from assay_catalogue.analysis.evaluations import (
    MONTH,
    check_limits,
    effective_compute,
    in_months,
    moment,
)
from assay_catalogue.analysis.evaluations import due as due_events_of

COLUMNS = ("date", "months", "compute", "flop", "efficiency")
LARGEST = 16 * 2**20
"""Bytes of a file of events."""


@dataclass(frozen=True)
class Row:
    """One event at which an evaluation is due; why, and by how much; as in `Due` but for `row` and
    `at`."""

    row: int
    """The event, counted from 1."""
    months: float
    compute: float
    reasons: tuple[str, ...]
    growth: float
    since: float
    overdue: float
    at: str
    """When it was, as the table writes it."""


@dataclass(frozen=True)
class Following:
    """When the next evaluation is due at the latest; a limit that is left out is None."""

    compute: float | None
    at: str | None


@dataclass(frozen=True)
class DueTable:
    """What is due in a table of events."""

    events: int
    ratio: float
    months: float
    due: tuple[Row, ...]
    next: Following
    dated: bool = field(default=False, metadata=BESIDE)
    """Whether times are dates, and not months."""

    @property
    def overdue(self) -> bool:
        """Whether time had run out before an event came at which to evaluate."""
        return any(row.overdue > 0 for row in self.due)


@verb("which evaluations of a table are due")
def due(
    events: Path,
    /,
    *,
    ratio: float = 4.0,
    months: float = 3.0,
    trust: Trust = AS_WRITTEN,
) -> Answer[DueTable]:
    """At which events of a line of models an evaluation is due, why, and how overdue; exit 1 if
    time had run out before one of them.

    Parameters
    ----------
    events
        A CSV file: a column date or months, and a column compute, or flop with or without
        efficiency.
    ratio
        Due when effective compute is this many times that of the last evaluation; inf leaves it
        out.
    months
        Due after so many months of 30.4375 days; inf leaves it out.

    Examples
    --------
    printf '%s\\n' months,flop 0,1e18 2,5e18 4,3e19 > events.csv
    assay due events.csv
    """
    with trust.raised():
        table = due_table(events, ratio, months)
    return Answer(table, words(table), 1 if table.overdue else 0)


def words(due_table: DueTable) -> Iterator[Part]:
    """Tell which events are due, how many there were, and when the next evaluation is due at the
    latest."""
    yield Table(
        ("row", "at", "compute", "grown", "months since", "due by", "overdue"),
        [cells(row, due_table) for row in due_table.due],
        right=("row", "compute", "grown", "months since"),
    )
    yield ""
    following, limits = due_table.next, []
    if following.compute is not None:
        limits.append(f"when compute reaches {following.compute:.4g}")
    if following.at is not None:
        limits.append(f"{'at' if due_table.dated else 'at month'} {following.at}")
    sooner = ", whichever comes sooner" if len(limits) == 2 else ""
    yield (
        f"An evaluation is due at {len(due_table.due)} of {due_table.events} events. "
        f"The next one: {' or '.join(limits) or 'never'}{sooner}."
    )


def cells(row: Row, due_table: DueTable) -> tuple[str, ...]:
    """Write one event as a row of the table."""
    grown = since = overdue = ""
    if row.reasons != ("initial",):
        grown = f"{rounded(row.growth, due_table.ratio, 'compute' in row.reasons)}×"
        since = rounded(row.since, due_table.months, "time" in row.reasons)
    if row.overdue:
        months = f"{row.overdue:.2g}"
        overdue = f"{months} month{'' if months == '1' else 's'}"
    return (
        str(row.row),
        row.at,
        f"{row.compute:.4g}",
        grown,
        since,
        ", ".join(row.reasons),
        overdue,
    )


def rounded(value: float, limit: float, reached: bool) -> str:
    """Write a number in as few digits, three at least, as put it on its side of a limit."""
    texts = (f"{value:.{digits}g}" for digits in range(3, 17))
    return next((text for text in texts if (float(text) >= limit) == reached), str(value))


def due_table(path: Path, ratio: float, months: float) -> DueTable:
    """Find at which events of a table an evaluation is due. Raises: DataError naming the row,
    SpecError for limits."""
    check_limits(ratio, months)
    labels, events, dated = read(path)
    due_events = due_events_of(events, ratio, months)
    last = due_events[-1]
    compute = ratio * last.compute
    following = Following(
        compute if math.isfinite(compute) else None,
        later(last.months + months, labels[0] if dated else None),
    )
    rows = tuple(Row(**vars(d) | {"row": d.row + 1}, at=labels[d.row]) for d in due_events)
    return DueTable(len(events), ratio, months, rows, following, dated)


def read(path: Path) -> tuple[list[str], list[tuple[float, float]], bool]:
    """Read when each event was, as written; the events as (months, effective compute); and whether
    the file has dates.

    Raises: DataError for a file that is no such table, naming the row or the column.
    """
    try:
        text = foreign.read(path, "a CSV file of events", LARGEST).decode("utf-8-sig")
        table = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
        names = [str(name).strip() for name in table.fieldnames or ()]
        table.fieldnames = names
        when, what = _columns(names, path)
        rows = list(table)
    except (UnicodeDecodeError, csv.Error) as e:
        raise DataError(f"{path} is not a comma-separated table: {e}") from e
    for i, row in enumerate(rows, 1):
        if None in row:
            raise DataError(
                f"row {i} has more cells than the header has names ({', '.join(names)})"
            )
    labels = [(row[when] or "").strip() for row in rows]
    times = (
        in_months(labels)
        if when == "date"
        else [_number(text, i, when) for i, text in enumerate(labels, 1)]
    )
    return (
        labels,
        [
            (t, _compute(row, i, what))
            for i, (t, row) in enumerate(zip(times, rows, strict=True), 1)
        ],
        when == "date",
    )


def later(months: float, first: str | None) -> str | None:
    """A time of the history in months, as its events are written: a number, or a date counted from
    the first; None: never."""
    if first is None:
        return None if math.isinf(months) else f"{months:.6g}"
    try:
        return (moment(first) + timedelta(days=months * MONTH)).date().isoformat()
    except OverflowError:  # no such date
        return None


def _columns(names: Sequence[str], path: Path) -> tuple[str, str]:
    """Which column says when, and which how much. Raises: DataError where that is not clear."""
    for name in names:
        if name not in COLUMNS:
            raise DataError(f"{path} has an unknown column {name!r}; {nearest(name, COLUMNS)}")
    chosen = []
    for pair in (("date", "months"), ("compute", "flop")):
        present_names = [name for name in pair if name in names]
        if len(present_names) != 1 or names.count(present_names[0]) > 1:
            raise DataError(
                f"{path} needs one column {' or '.join(pair)}, got "
                f"{', '.join(names) or 'no header'}"
            )
        chosen.append(present_names[0])
    if "efficiency" in names and chosen[1] == "compute":
        raise DataError(
            f"{path}: efficiency goes with flop; a column compute is effective compute already"
        )
    return chosen[0], chosen[1]


def _compute(row: Mapping[str, str | None], i: int, what: str) -> float:
    number, better = _number(row[what], i, what), row.get("efficiency")
    if what == "compute":
        return number
    factor = _number(better, i, "efficiency") if "efficiency" in row else 1.0
    try:
        return effective_compute(number, factor)
    except DataError as e:
        raise DataError(f"row {i}: {e}") from None


def _number(text: str | None, i: int, column: str) -> float:
    try:
        if not (text or "").isascii() or "_" in (text or ""):  # which Python would take for digits
            raise ValueError
        return float(text or "")
    except ValueError:
        raise DataError(
            f"row {i}: {column} must be a number, got {(text or '').strip()!r}"
        ) from None
