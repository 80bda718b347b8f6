"""Exact and Estimate: statements without a verdict; what comes out of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from assay.core.claims import Estimate, Exact
from assay.core.curves import Curve, curve, limits
from assay.core.errors import ClaimError
from assay.core.figures import Figure
from assay.core.intervals import interval
from assay.core.judging import UNDEFINED, Arms, Scope, describe_method, describe_scope
from assay.core.reading import Others, Table, plural, run_unit, tabulate
from assay.core.result_schema import ToldExact, ToldFinding
from assay.core.schema import to_json


@dataclass(frozen=True, eq=False)
class Verified:
    """An Exact statement with what came out: outcome exact or violated, largest absolute
    deviation."""

    exact: Exact
    outcome: str
    value: Any
    deviation: float

    def __repr__(self) -> str:
        return f"<Verified {self.exact.text!r}: {self.outcome}, off by {self.deviation:.3g}>"

    def to_json(self) -> ToldExact:
        """Plain values; a deviation that is not a number becomes None."""
        entry = {
            "text": self.exact.text,
            "kind": "exact",
            "outcome": self.outcome,
            "value": self.value,
            "expected": np.asarray(self.exact.expected, dtype=float).tolist(),
            "tolerance": self.exact.tolerance,
            "deviation": _number(self.deviation),
            "unit": self.exact.unit,
            "source": self.exact.source,
        }
        return cast(ToldExact, entry)


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
    numbers = [_number(x) for x in value.ravel().tolist()]
    outcome = "exact" if deviation <= exact.tolerance else "violated"
    return Verified(exact, outcome, numbers[0] if value.ndim == 0 else numbers, deviation)


@dataclass(frozen=True, eq=False)
class Estimated:
    """An Estimate with its number and intervals in the statement's unit, or with its curve; no
    verdict."""

    statement: Estimate
    estimate: float
    """NaN of a curve, as are the limits."""
    low: float
    high: float
    t_low: float
    t_high: float
    n: Mapping[str, int]
    dropped: int
    """Units left out because a run of theirs diverged."""
    scope: str
    method: str
    points: tuple[float, ...]
    """The statistic of every level of the first factor by itself; of a curve none."""
    curve: Curve | None = None
    notes: tuple[str, ...] = ()
    """What was done to the numbers before, such as rows averaged."""

    @property
    def finding(self) -> Estimate:
        """The statement, by the name that it had."""
        return self.statement

    def __repr__(self) -> str:
        if self.curve is not None:
            words = f"{len(self.curve.levels)} levels of {self.curve.over}"
            words += f", {self.curve.crossing.words}" if self.curve.crossing else ""
        else:
            words = f"{self.estimate:.4g} [{self.low:.4g}, {self.high:.4g}]"
        return f"<Estimated {self.statement.text!r}: {words}>"

    def figure(self) -> Figure | None:
        """Draw the curve with its band; None of a single number."""
        c, s = self.curve, self.statement
        if c is None:
            return None
        least, greatest = s.natural or (-math.inf, math.inf)
        numbers = {
            "estimate": [p.estimate for p in c.points],
            "low": [max(low, least) for low, _ in c.band],
            "high": [min(high, greatest) for _, high in c.band],
        }
        words = f"; {c.crossing.words}" if c.crossing else ""
        rules = ((c.crossing.value, f"{c.crossing.value:.3g}"),) if c.crossing else ()
        plain = all(isinstance(level, int | float) for level in c.levels)
        return Figure(
            s.text,
            {c.over: c.levels, **numbers},
            "line" if plain else "points",
            x=c.over,
            y="estimate",
            band=("low", "high"),
            note=f"The band covers all {len(c.levels)} levels together in 95 % of cases{words}.",
            y_title="" if s.unit == "1" else s.unit,
            x_log=c.log,
            rules=rules,
        )

    def to_json(self) -> ToldFinding:
        """Plain values, with the same names as a verdict's."""
        s = self.statement
        entry = {
            "text": s.text,
            "kind": "finding",
            **{
                k: _number(getattr(self, k)) for k in ("estimate", "low", "high", "t_low", "t_high")
            },
            "n": dict(self.n),
            "dropped": self.dropped,
            "units": list(s.units),
            "unit": s.unit,
            "natural": [_number(x) for x in s.natural] if s.natural else None,
            "scope": self.scope,
            "method": self.method,
            "source": s.source,
            "published": to_json(s.published),
            "points": [_number(x) for x in self.points],
            "curve": self.curve.to_json() if self.curve else None,
            "notes": list(self.notes),
        }
        return cast(ToldFinding, entry)


def estimate(statement: Estimate, arms: Arms, level: float = 0.95, scope: Scope = "") -> Estimated:
    """Compute an Estimate with its intervals; the seeds of diverged runs are left out and counted.

    No interval where more than 1 % of the draws are undefined: one of the rest would leave out just
    the extreme ones.

    Raises: ClaimError when the value cannot be computed on these arms.
    """
    over = (statement.over,) if statement.over else ()

    def table(arm_reader: Others) -> Table:
        return tabulate(
            lambda: statement.value(arm_reader),
            (*statement.units, *over),
            statement.text,
            arm_reader,
            swept=statement.over,
        )

    arm_reader = Others(arms, where=statement.where)
    data = table(arm_reader)
    bad = arm_reader.diverged(run_unit(statement.units, arm_reader))
    if bad:
        arm_reader = Others(arms, where=statement.where, without=bad)
        data = table(arm_reader)
    factors = len(statement.units)
    method, whole = describe_method(statement.units, level), None
    if over:
        whole = curve(
            data.terms,
            data.levels[statement.over].tolist(),
            statement.statistic,
            over=statement.over,
            factors=factors,
            crosses=statement.crosses,
            level=level,
        )
        i = whole.points[0]
        low = high = t_low = t_high = math.nan
        number, points = math.nan, ()
        method += f"; the band covers all {len(whole.levels)} levels of {statement.over} together"
        if math.isnan(whole.wider):
            method = (
                f"no interval: fewer than 2 {' or '.join(plural(u, 2) for u in statement.units)}"
            )
    else:
        i = interval(data.or_empty(factors), statement.statistic, factors=factors, level=level)
        low, high = limits(i)
        t_low, t_high = (i.t_low, i.t_high) if i.undefined <= UNDEFINED else (math.nan, math.nan)
        number, points = i.estimate, tuple(i.points.tolist())
        if i.undefined > UNDEFINED:
            method = (
                f"no interval: undefined in {i.undefined:.1%} of the draws, or for the estimate, "
                "or when one unit is left out"
            )
    return Estimated(
        statement=statement,
        estimate=number,
        low=low,
        high=high,
        t_low=t_low,
        t_high=t_high,
        n=dict(zip(statement.units, i.n, strict=True)),
        dropped=len(bad),
        scope=describe_scope(statement.units, i, arm_reader, scope),
        method=method,
        points=points,
        curve=whole,
    )


def _number(x: float) -> float | None:
    return float(x) if math.isfinite(x) else None
