"""When an evaluation of a model in training is due: after so much more effective compute or so much
time, whichever comes sooner.

A history is rows of (months, compute): a moment, and the effective compute spent by then,
cumulative over a line of models, so that a smaller new model takes nothing back. The first row is
evaluated. From then on a row is due where compute is at least `ratio` times, or time at least
`months` later than, that of the last evaluation. What was evaluated late stands where it was
done: the next thresholds count from there, so that overshoot earns nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from assay.core.errors import DataError, SpecError

RATIO, MONTHS = 4.0, 3.0
"""The growth of effective compute and the time, in months, after which Anthropic's Responsible
Scaling Policy evaluates."""
_NEAR = 1e-12
"""Relative tolerance of "at least"."""

Events = Sequence[tuple[float, float]]
"""Rows of (months, compute)."""


@dataclass(frozen=True)
class Due:
    """One evaluation: where in a history it is due, and why."""

    row: int
    """The event, counted from 0."""
    months: float
    compute: float
    reasons: tuple[str, ...]
    """"compute", "time" or both in this order; "initial" for the first."""
    growth: float = 1.0
    """Compute over that of the evaluation before."""
    since: float = 0.0
    """Months since the evaluation before."""
    overdue: float = 0.0
    """Months since time had run out; 0 where it had not."""


def due(events: Events, ratio: float = RATIO, months: float = MONTHS) -> tuple[Due, ...]:
    """The evaluations of a history, the initial one first; each is the first event at which one of
    the two limits is reached.

    An infinite `ratio` or `months` leaves that limit out.
    Formula: c_k ≥ ratio · c_a or t_k − t_a ≥ months, with a the evaluation before; "at least" to a
    relative 1e-12.
    Raises: DataError for a history that is empty, goes back in time, shrinks, or is no row of two
    numbers; SpecError for limits.
    Source: Anthropic, Responsible Scaling Policy 1.0, 2023, gives both limits; the semantics of
    discrete events are ours."""
    check_limits(ratio, months)
    rows = checked(events)
    first = Due(0, float(rows[0, 0]), float(rows[0, 1]), ("initial",))
    return (first, *_rows(rows, first, ratio, months))


def coverage(events: Events, rows: Sequence[int]) -> tuple[float, float]:
    """How far evaluations of these rows leave a history uncovered: (largest growth, most months)
    between two of them, or to its end.

    Range: growth from 1, months from 0. Better: lower. With `due`'s rows, growth stays below ratio
    times the largest growth from one event to the next, and months below `months` plus the longest
    time from one to the next."""
    history = checked(events)
    edges = np.array(sorted({0, *rows, len(history) - 1}))
    t, c = history[edges].T
    return (
        (float((c[1:] / c[:-1]).max()), float(np.diff(t).max())) if len(edges) > 1 else (1.0, 0.0)
    )


def check_limits(ratio: float, months: float) -> None:
    """Refuse a ratio of at most 1, and months that are not above 0. Raises: SpecError."""
    if not ratio > 1:
        raise SpecError(
            "ratio is how many times compute grows until an evaluation is due, above 1, got "
            f"{ratio:g}"
        )
    if not months > 0:
        raise SpecError(f"months is the time until an evaluation is due, above 0, got {months:g}")


def checked(events: Events) -> Float[np.ndarray, "event 2"]:
    """The rows as an array, when they are a history. Raises: DataError naming the first row that is
    none."""
    try:
        rows = np.asarray(events, dtype=float)
    except (ValueError, TypeError) as e:
        raise DataError(
            f"a history is rows of two numbers, months and compute: {str(e).splitlines()[0]}"
        ) from e
    if rows.size == 0:
        raise DataError("a history needs at least one event, got none")
    if rows.ndim != 2 or rows.shape[1] != 2:
        raise DataError(
            f"a history is rows of two numbers, months and compute, got shape {list(rows.shape)}"
        )
    for k, (t, c) in enumerate(rows.tolist()):
        if not math.isfinite(t):
            raise DataError(f"row {k + 1}: its time must be a finite number of months, got {t:g}")
        if not (math.isfinite(c) and c > 0):
            raise DataError(f"row {k + 1}: compute must be finite and above 0, got {c:g}")
        if k and t < rows[k - 1, 0]:
            raise DataError(
                f"row {k + 1}: time goes back, from {rows[k - 1, 0]:.6g} to {t:.6g} months; "
                "sort the events by time"
            )
        if k and c < rows[k - 1, 1]:
            raise DataError(
                f"row {k + 1}: compute shrinks from {rows[k - 1, 1]:.6g} to {c:.6g}; it "
                "counts all that the line of models has had"
            )
    return rows


def _rows(
    rows: Float[np.ndarray, "event 2"], last_due: Due, ratio: float, months: float
) -> Iterator[Due]:
    """The events that reach a limit, by bisection in both columns."""
    t, c = rows.T
    while True:
        by_compute = int(np.searchsorted(c, _least(ratio * last_due.compute)))
        by_time = int(np.searchsorted(t, _least(last_due.months + months, months)))
        row = min(by_compute, by_time)
        if row >= len(rows):
            return
        last_due = _due(row, float(t[row]), float(c[row]), last_due, ratio, months)
        yield last_due


def _due(row: int, t: float, c: float, before: Due, ratio: float, months: float) -> Due:
    since = t - before.months
    late = t >= _least(before.months + months, months)
    reasons = (
        *(("compute",) if c >= _least(ratio * before.compute) else ()),
        *(("time",) if late else ()),
    )
    overdue = since - months if late and since - months > _NEAR * max(abs(t), months) else 0.0
    return Due(row, t, c, reasons, c / before.compute, since, overdue)


def _least(limit: float, unit: float = 0.0) -> float:
    """What counts as reaching a limit that rounding may have moved; `unit`: what the limit was made
    from, where that is larger."""
    return limit - _NEAR * max(abs(limit), unit) if math.isfinite(limit) else limit
