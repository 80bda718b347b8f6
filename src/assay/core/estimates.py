"""Exact and Estimate: statements without a verdict; what comes out of them."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from assay.core.bands import OfMeans, interval_of
from assay.core.bounded import exact_bounds
from assay.core.claims import Estimate, Exact
from assay.core.curves import Terms, curve, limits
from assay.core.errors import ClaimError
from assay.core.intervals import Interval, Statistic
from assay.core.judging import (
    UNDEFINED,
    Arms,
    Scope,
    describe_method,
    describe_scope,
    exactly,
    grouped,
    groups_in_words,
)
from assay.core.reading import Others, Table, plural, run_unit, tabulate
from assay.core.results import Estimated, Verified
from assay.core.schema import to_json


def verify(exact: Exact, arms: Arms) -> Verified:
    """Whether an Exact statement comes out: every number within the tolerance. NaN violates.

    Raises: ClaimError when the value has another shape than what is expected.
    """
    value = np.asarray(exact.value(Others(arms)), dtype=np.float64)
    try:
        off = np.abs(value - np.asarray(exact.expected, dtype=np.float64))
    except ValueError as e:
        raise ClaimError(
            f"{exact.text!r} expects shape {list(np.shape(exact.expected))}, got "
            f"{list(value.shape)}"
        ) from e
    deviation = float(off.max()) if off.size else math.nan
    numbers = to_json(value.ravel())
    return Verified(
        text=exact.text,
        outcome="exact" if deviation <= exact.tolerance else "violated",
        value=numbers[0] if value.ndim == 0 else numbers,
        expected=np.asarray(exact.expected, dtype=float).tolist(),
        tolerance=exact.tolerance,
        deviation=deviation,
        unit=exact.unit,
        source=exact.source,
        exact=exact,
    )


def estimate(statement: Estimate, arms: Arms, level: float = 0.95, scope: Scope = "") -> Estimated:
    """Compute an Estimate with its intervals; the seeds of diverged runs are left out and counted.

    No interval where more than 1 % of the draws are undefined: one of the rest would leave out just
    the extreme ones. A mean whose units all lie on natural bounds has the exact one that a claim
    about it would have.

    Raises: ClaimError when the value cannot be computed on these arms.
    """
    over = (statement.over,) if statement.over else ()

    def table(arm_reader: Others) -> Table:
        value = partial(statement.value, arm_reader)
        units = (*statement.units, *over)
        return tabulate(value, units, statement.text, arm_reader, swept=statement.over)

    arm_reader = Others(arms, where=statement.where)
    data = table(arm_reader)
    bad = arm_reader.diverged(run_unit(statement.units, arm_reader))
    if bad:
        arm_reader = Others(arms, where=statement.where, without=bad)
        data = table(arm_reader)
    i, found = (_curve if over else _number)(statement, data, level)
    return Estimated(
        text=statement.text,
        units=statement.units,
        unit=statement.unit,
        natural=statement.natural,
        source=statement.source,
        published=statement.published,
        statement=statement,
        n=dict(zip(statement.units, i.n, strict=True)),
        dropped=len(bad),
        scope=describe_scope(statement.units, i, arm_reader, scope),
        **found,
    )


def _curve(statement: Estimate, data: Table, level: float) -> tuple[Interval, dict[str, Any]]:
    """A curve of an estimate: the interval of its first point, and what is kept of it."""

    def allow(terms: Terms, statistic: Statistic, i: Interval) -> Interval:
        at = Table(dict(terms), data.levels)
        return grouped(statement.groups, statement.units, statistic, at, i, level)

    whole = curve(
        data.terms,
        data.levels[statement.over].tolist(),
        statement.statistic,
        over=statement.over,
        factors=len(statement.units),
        crosses=statement.crosses,
        level=level,
        natural=statement.ends,
        units=statement.units,
        allow=allow if statement.groups else None,
    )
    words = describe_method(statement.units, level)
    words = "; ".join(filter(None, (words, groups_in_words(statement.groups))))
    method = f"{words}; the band covers all {len(whole.levels)} levels of {statement.over} together"
    if math.isnan(whole.wider):
        method = f"no interval: fewer than 2 {' or '.join(plural(u, 2) for u in statement.units)}"
    nothing = dict.fromkeys(("estimate", "low", "high", "t_low", "t_high"), math.nan)
    return whole.points[0], {**nothing, "method": method, "points": (), "curve": whole}


def _number(statement: Estimate, data: Table, level: float) -> tuple[Interval, dict[str, Any]]:
    """A single number of an estimate: its interval, and what is kept of it."""
    factors = len(statement.units)
    i = interval_of(
        data.or_empty(factors),
        statement.statistic,
        factors=factors,
        level=level,
        units=statement.units,
    )
    method = describe_method(statement.units, level, n=i.n)
    if isinstance(statement.statistic, OfMeans) and i.band:
        method += f"; {statement.statistic.words}"
    bounds = exact_bounds(
        data, statement.units, statement.statistic, statement.bounds, statement.ends
    )
    if bounds is not None and min(i.n) > 1:
        i = exactly(i, bounds, level)
        method = describe_method(statement.units, level, bounds)
    if statement.groups:
        i = grouped(statement.groups, statement.units, statement.statistic, data, i, level)
        method += f"; {groups_in_words(statement.groups)}"
    low, high = limits(i)
    t_low, t_high = i.t_low, i.t_high
    if i.undefined > UNDEFINED:
        t_low = t_high = math.nan
        method = (
            f"no interval: undefined in {i.undefined:.1%} of the draws, or for the estimate, "
            "or when one unit is left out"
        )
    return i, {
        "estimate": i.estimate,
        "low": low,
        "high": high,
        "t_low": t_low,
        "t_high": t_high,
        "method": method,
        "points": tuple(i.points.tolist()),
    }
