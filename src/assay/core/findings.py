"""Exact and Finding: statements without a verdict; what comes out of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from assay.core.claims import Exact, Finding
from assay.core.errors import ClaimError
from assay.core.intervals import interval
from assay.core.judging import UNDEFINED, Arms, Scope, describe_method, describe_scope
from assay.core.reading import Others, Table, run_unit, tabulate
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
    """A Finding with its estimate and intervals in the finding's unit; no verdict."""

    finding: Finding
    estimate: float
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
    """The statistic of every level of the first factor by itself."""

    def __repr__(self) -> str:
        return (
            f"<Estimated {self.finding.text!r}: {self.estimate:.4g} [{self.low:.4g}, "
            f"{self.high:.4g}]>"
        )

    def to_json(self) -> ToldFinding:
        """Plain values, with the same names as a verdict's."""
        f = self.finding
        entry = {
            "text": f.text,
            "kind": "finding",
            **{
                k: _number(getattr(self, k)) for k in ("estimate", "low", "high", "t_low", "t_high")
            },
            "n": dict(self.n),
            "dropped": self.dropped,
            "units": list(f.units),
            "unit": f.unit,
            "natural": [_number(x) for x in f.natural] if f.natural else None,
            "scope": self.scope,
            "method": self.method,
            "source": f.source,
            "published": to_json(f.published),
            "points": [_number(x) for x in self.points],
        }
        return cast(ToldFinding, entry)


def estimate(finding: Finding, arms: Arms, level: float = 0.95, scope: Scope = "") -> Estimated:
    """A Finding's number with its intervals; the seeds of diverged runs are left out and counted.

    No interval where more than 1 % of the draws are undefined: one of the rest would leave out just
    the extreme ones.

    Raises: ClaimError when the value cannot be computed on these arms.
    """

    def table(arm_reader: Others) -> Table:
        return tabulate(lambda: finding.value(arm_reader), finding.units, finding.text, arm_reader)

    arm_reader = Others(arms, where=finding.where)
    data = table(arm_reader)
    bad = arm_reader.diverged(run_unit(finding.units, arm_reader))
    if bad:
        arm_reader = Others(arms, where=finding.where, without=bad)
        data = table(arm_reader)
    factors = len(finding.units)
    i = interval(data.or_empty(factors), finding.statistic, factors=factors, level=level)
    low, high, t_low, t_high = (
        (i.low, i.high, i.t_low, i.t_high) if i.undefined <= UNDEFINED else (math.nan,) * 4
    )
    method = describe_method(finding.units, level)
    if i.undefined > UNDEFINED:
        method = (
            f"no interval: undefined in {i.undefined:.1%} of the draws, or for the estimate, or "
            "when one unit is left out"
        )
    return Estimated(
        finding=finding,
        estimate=i.estimate,
        low=low,
        high=high,
        t_low=t_low,
        t_high=t_high,
        n=dict(zip(finding.units, i.n, strict=True)),
        dropped=len(bad),
        scope=describe_scope(finding.units, i, arm_reader, scope),
        method=method,
        points=tuple(i.points.tolist()),
    )


def _number(x: float) -> float | None:
    return float(x) if math.isfinite(x) else None
