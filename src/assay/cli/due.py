"""`assay due`: a table of events, and at which of them an evaluation is due."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from assay.cli import printing
from assay.core import foreign
from assay.core.errors import DataError, nearest
from assay.core.evaluations import MONTH, Due, check_limits, due, effective_compute, in_months, moment

COLUMNS = ("date", "months", "compute", "flop", "efficiency")
LARGEST = 16 * 2**20
"""Bytes of a file of events."""


def told(path: Path, ratio: float, months: float, as_json: bool) -> int:
    """The exit code after printing what is due: 1 where time had run out before an event came at which to evaluate.

    Raises: DataError naming the row, SpecError for limits.
    """
    check_limits(ratio, months)
    labels, events, dated = read(path)
    found = due(events, ratio, months)
    last = found[-1]
    following = {"compute": _or_none(ratio * last.compute), "at": later(last.months + months, labels[0] if dated else None)}
    if as_json:
        rows = [{**vars(d), "row": d.row + 1, "at": labels[d.row], "reasons": list(d.reasons)} for d in found]
        limits = {"ratio": _or_none(ratio), "months": _or_none(months)}
        printing.emit({"events": len(events), **limits, "due": rows, "next": following})
    else:
        show(labels, found, len(events), following, "at" if dated else "at month")
    return 1 if any(d.overdue > 0 for d in found) else 0


def read(path: Path) -> tuple[list[str], list[tuple[float, float]], bool]:
    """When each event was, as written; the events as (months, effective compute); and whether the file has dates.

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
            raise DataError(f"row {i} has more cells than the header has names ({', '.join(names)})")
    labels = [(row[when] or "").strip() for row in rows]
    times = in_months(labels) if when == "date" else [_number(text, i, when) for i, text in enumerate(labels, 1)]
    return labels, [(t, _compute(row, i, what)) for i, (t, row) in enumerate(zip(times, rows, strict=True), 1)], when == "date"


def later(months: float, first: str | None) -> str | None:
    """A time of the history in months, as its events are written: a number, or a date counted from the first; None: never."""
    if first is None:
        return None if math.isinf(months) else f"{months:.6g}"
    try:
        return (moment(first) + timedelta(days=months * MONTH)).date().isoformat()
    except OverflowError:  # no such date
        return None


def show(labels: Sequence[str], found: Sequence[Due], events: int, following: Mapping[str, Any], at: str) -> None:
    """Print the table, how many events there were, and when the next evaluation is due at the latest."""
    numbers = ("row", "compute", "grown", "months since")
    table = printing.grid("row", "at", *numbers[1:], "due by", "overdue", right=numbers)
    for d in found:
        grown, since = ("", "") if d.reasons == ("initial",) else (f"{d.growth:.3g}×", f"{d.since:.3g}")
        overdue = f"{d.overdue:.2g} month{'' if f'{d.overdue:.2g}' == '1' else 's'}" if d.overdue else ""
        table.add_row(str(d.row + 1), labels[d.row], f"{d.compute:.4g}", grown, since, ", ".join(d.reasons), overdue)
    printing.draw(table)
    print()
    limits = [f"when compute reaches {following['compute']:.4g}"] if following["compute"] is not None else []
    limits += [f"{at} {following['at']}"] if following["at"] is not None else []
    sooner = ", whichever comes sooner" if len(limits) == 2 else ""
    printing.say(f"An evaluation is due at {len(found)} of {events} events. The next one: {' or '.join(limits) or 'never'}{sooner}.")


def _columns(names: Sequence[str], path: Path) -> tuple[str, str]:
    """Which column says when, and which how much. Raises: DataError where that is not clear."""
    for name in names:
        if name not in COLUMNS:
            raise DataError(f"{path} has an unknown column {name!r}; {nearest(name, COLUMNS)}")
    chosen = []
    for pair in (("date", "months"), ("compute", "flop")):
        there = [name for name in pair if name in names]
        if len(there) != 1 or names.count(there[0]) > 1:
            raise DataError(f"{path} needs one column {' or '.join(pair)}, got {', '.join(names) or 'no header'}")
        chosen.append(there[0])
    if "efficiency" in names and chosen[1] == "compute":
        raise DataError(f"{path}: efficiency goes with flop; a column compute is effective compute already")
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
        return float(text or "")
    except ValueError:
        raise DataError(f"row {i}: {column} must be a number, got {(text or '').strip()!r}") from None


def _or_none(x: float) -> float | None:
    """The number, or None where JSON has none for it."""
    return x if math.isfinite(x) else None
