"""Verdicts as an agent is told them: an estimate never stands without its interval, its control,
and what it speaks for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from assay.core import results
from assay.core.reasons import COMMAND
from assay.core.results import ResultData
from assay.jobs import state as jobs
from assay.report import tables

JSON = Mapping[str, Any]
AS_IT_MUST = {True: "as it must", False: "AND MUST NOT", None: "so nothing is settled"}


@dataclass(frozen=True, kw_only=True)
class Beside:
    """An arm that was asked the same: a control, which must fail; a planted effect, which must
    hold; or one that may hold too."""

    arm: str
    role: Literal["control", "planted", "violation", "may hold too", "also true of", "not named"]
    """also true of: an arm that satisfies the claim and that nobody named; not named: one that
    makes it unspecific."""
    outcome: str
    as_it_must: bool | None
    """null where that is undecided."""
    estimate: float
    low: float
    high: float
    near: str
    """What this control would explain, where it is called the strongest other explanation; else
    empty."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of one claim, with everything that its estimate must not be told without."""

    claim: str
    outcome: str
    """holds, fails, unspecific (it holds where it should not, too) or undecided."""
    reason: str
    estimate: float
    low: float
    high: float
    unit: str
    interval: str
    """How the interval was made, and over which units."""
    threshold: str
    threshold_from: str
    """Where the threshold comes from; what begins with pilot was chosen after a look at other
    seeds."""
    n: Mapping[str, int]
    scope: str
    """What the verdict speaks for, and nothing wider."""
    controls: tuple[Beside, ...]
    would_decide: str
    """Of an undecided claim: about what it would take."""
    notes: tuple[str, ...]
    told: str
    """All of this in one sentence."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number, or a curve, that nothing judged: no threshold was meant, and no control stands
    beside it."""

    text: str
    estimate: float | None
    """null of a curve."""
    low: float | None
    high: float | None
    unit: str
    interval: str
    """How the interval was made, and over which units."""
    n: Mapping[str, int]
    scope: str
    curve: Mapping[str, Any] | None
    """Its levels with their estimates, the ends of intervals for each alone (low, high), and of a
    band that covers all of them (band_low, band_high); where it crosses a value."""
    notes: tuple[str, ...]
    told: str
    """All of this in one sentence."""


@dataclass(frozen=True, kw_only=True)
class Early:
    """How a claim stands on the seeds that are there so far. This is not a verdict."""

    claim: str
    not_a_verdict: str
    """What would be said if it ended here, in words that say that it does not."""
    estimate: float
    low: float
    high: float
    controls: tuple[Beside, ...]


def verdicts(data: JSON) -> tuple[Verdict, ...]:
    """Read the verdicts of a result's or a record's plain values."""
    return tuple(map(verdict, ResultData.from_json(data).verdicts))


def verdict(v: results.Judged) -> Verdict:
    """Tell one verdict."""
    comparisons = _comparisons(v)
    return Verdict(
        claim=v.text,
        outcome=v.outcome,
        reason=v.reason,
        estimate=v.estimate,
        low=v.low,
        high=v.high,
        unit=v.unit,
        interval=v.method,
        threshold=v.threshold,
        threshold_from=v.threshold_from,
        n=v.n,
        scope=v.scope,
        controls=comparisons,
        would_decide=(v.price.text if v.price else "").partition(COMMAND)[0],
        notes=v.notes,
        told=_to_text(v, comparisons),
    )


def estimates(data: JSON) -> tuple[Estimate, ...]:
    """Read the estimates of a result's plain values."""
    return tuple(map(_estimate, ResultData.from_json(data).findings))


def _estimate(s: results.Estimated) -> Estimate:
    row = tables.row(s)
    number = " ".join(filter(None, (row.estimate, row.interval, row.unit)))
    entry = s.to_json()
    return Estimate(
        **{k: entry[k] for k in ("text", "estimate", "low", "high", "unit", "n", "scope", "curve")},
        interval=s.method,
        notes=s.notes,
        told="; ".join((f"{s.text}: {number}, over {row.n}", *row.curve, "not judged")),
    )


def early(state: jobs.Early) -> tuple[Early, ...]:
    """Tell claims on the seeds that are stored so far as what they are: no verdicts."""
    seeds = f"{state.seeds} seed{'' if state.seeds == 1 else 's'}"
    early_claims = []
    for c in state.claims:
        words = (
            f"not a verdict: on {seeds} so far it would be called {c.outcome}; all seeds are "
            "still to be judged, and it may change"
        )
        controls = tuple(
            _comparison(
                arm,
                "control",
                i.outcome,
                None if i.outcome == "undecided" else i.outcome == "fails",
                i,
            )
            for arm, i in c.controls.items()
        )
        early_claims.append(
            Early(claim=c.claim, not_a_verdict=words, controls=controls, **_numbers(c))
        )
    return tuple(early_claims)


def counted(outcomes: Sequence[str]) -> str:
    """Count outcomes in words, such as "2 hold, 1 is undecided"."""
    singular, more = {"holds": "holds", "fails": "fails"}, {"holds": "hold", "fails": "fail"}
    phrases = []
    for outcome in dict.fromkeys(outcomes):
        n = outcomes.count(outcome)
        phrases.append(
            f"{n} "
            f"{singular.get(outcome, f'is {outcome}') if n == 1 else more.get(outcome, f'are {outcome}')}"  # noqa: E501
        )
    return ", ".join(phrases) or "no claim was judged"


ROLES: Mapping[str, Any] = {
    "near": "control",
    "also": "may hold too",
    "true": "also true of",
    "unnamed": "not named",
}
"""What an agent is told of an arm, where it is not what `Judged.arms` calls it."""


def _comparisons(v: results.Judged) -> tuple[Beside, ...]:
    comparisons = []
    for role, arm, other in v.arms():
        if isinstance(other, results.Other):  # only those that satisfy it are listed
            outcome, met = "holds", role != "unnamed"
        else:
            outcome = other.outcome
            met = outcome == ("holds" if role == "planted" else "fails")
        settled = None if outcome == "undecided" else met
        why = v.near[arm] if role == "near" else ""
        comparisons.append(_comparison(arm, ROLES.get(role, role), outcome, settled, other, why))
    return tuple(comparisons)


def _comparison(
    arm: str, role: Any, outcome: str, met: bool | None, numbers: Any, near: str = ""
) -> Beside:
    return Beside(
        arm=arm, role=role, outcome=outcome, as_it_must=met, near=near, **_numbers(numbers)
    )


def _numbers(of: Any) -> dict[str, float]:
    """An estimate with its interval, NaN where there is none; written as null again."""
    values = {name: getattr(of, name) for name in ("estimate", "low", "high")}
    return {name: math.nan if x is None else x for name, x in values.items()}


def _to_text(v: results.Judged, comparisons: Sequence[Beside]) -> str:
    """The verdict in one sentence, with its interval, its units and its controls."""
    unit = "" if v.unit == "1" else f" {v.unit}"
    n = " × ".join(f"{count} {name}{'' if count == 1 else 's'}" for name, count in v.n.items())
    reason = f" ({v.reason})" if v.reason else ""
    controls = "; ".join(map(_control, comparisons)) or "no control was asked"
    return (
        f"{v.outcome.upper()}: {v.text}{reason}. Estimate {_span(v)}{unit}, threshold "
        f"{v.threshold}, over {n or 'no units'}. {controls}."
    )


def _control(b: Beside) -> str:
    came = {"holds": "holds", "fails": "fails"}.get(b.outcome, f"is {b.outcome}")
    names = {"control": "Control", "planted": "Planted effect", "violation": "Violation"}
    what = names.get(b.role, "Arm")
    special = {
        "may hold too": "as its author said that it may",
        "also true of": "of which it is true as well",
        "not named": "which makes it unspecific",
    }
    how = special.get(b.role) or (
        "AND MUST HOLD"
        if b.role == "planted" and b.as_it_must is False
        else AS_IT_MUST[b.as_it_must]
    )
    return f"{what} {b.arm} {came}, {how}: {_span(b)}"


def _span(numbers: Any) -> str:
    """An estimate with its interval; without one that says so."""
    if not math.isfinite(numbers.estimate):
        return "none"
    ends = [f"{x:.4g}" if math.isfinite(x) else "unbounded" for x in (numbers.low, numbers.high)]
    return f"{numbers.estimate:.4g} [{ends[0]}, {ends[1]}]"
