"""Verdicts as an agent is told them: an estimate never stands without its interval, its control,
and what it speaks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from assay.core.reasons import COMMAND
from assay.jobs import state as jobs
from assay.report.tables import role_of_other, rows

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
    return tuple(map(verdict, data.get("verdicts", ())))


def verdict(entry: JSON) -> Verdict:
    """Read one verdict as `assay show --json` prints it."""
    comparisons = _read_comparisons(entry)
    price = entry.get("price") or {}
    return Verdict(
        claim=entry["text"],
        outcome=entry["outcome"],
        reason=entry["reason"],
        estimate=_number(entry, "estimate"),
        low=_number(entry, "low"),
        high=_number(entry, "high"),
        unit=entry["unit"],
        interval=entry["method"],
        threshold=entry["threshold"],
        threshold_from=entry["threshold_from"],
        n=entry["n"],
        scope=entry["scope"],
        controls=comparisons,
        would_decide=price.get("text", "").partition(COMMAND)[0],
        notes=tuple(entry.get("notes", ())),
        told=_to_text(entry, comparisons),
    )


def estimates(data: JSON) -> tuple[Estimate, ...]:
    """Read the estimates of a result's plain values."""
    return tuple(map(_estimate, data.get("findings", ())))


def _estimate(entry: JSON) -> Estimate:
    row = rows({"findings": [entry]})[0]
    number = " ".join(filter(None, (row.estimate, row.interval, row.unit)))
    told = "; ".join((f"{entry['text']}: {number}, over {row.n}", *row.curve, "not judged"))
    return Estimate(
        text=entry["text"],
        estimate=entry["estimate"],
        low=entry["low"],
        high=entry["high"],
        unit=entry["unit"],
        interval=entry["method"],
        n=entry["n"],
        scope=entry["scope"],
        curve=entry.get("curve"),
        notes=tuple(entry.get("notes", ())),
        told=told,
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
            _make_comparison(
                arm,
                "control",
                i.outcome,
                None if i.outcome == "undecided" else i.outcome == "fails",
                vars(i),
                "",
            )
            for arm, i in c.controls.items()
        )
        numbers = {name: _number(vars(c), name) for name in ("estimate", "low", "high")}
        early_claims.append(Early(claim=c.claim, not_a_verdict=words, controls=controls, **numbers))
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


def _read_comparisons(entry: JSON) -> tuple[Beside, ...]:
    near = entry.get("near") or {}
    comparisons = []
    for kind, role, must in (
        ("controls", "control", "fails"),
        ("planted", "planted", "holds"),
        ("violations", "violation", "fails"),
    ):
        for arm, other in entry.get(kind, {}).items():
            met = None if other["outcome"] == "undecided" else other["outcome"] == must
            comparisons.append(
                _make_comparison(arm, role, other["outcome"], met, other, near.get(arm, ""))
            )
    for arm, other in entry.get("also", {}).items():  # only those that satisfy it are listed
        role = {"also": "may hold too", "true": "also true of", "unnamed": "not named"}[
            role_of_other(entry, other)
        ]
        met = role != "not named"
        comparisons.append(_make_comparison(arm, role, "holds", met, other, ""))
    return tuple(comparisons)


def _make_comparison(
    arm: str, role: Any, outcome: str, met: bool | None, other: JSON, near: str
) -> Beside:
    low, high = _number(other, "low"), _number(other, "high")
    return Beside(
        arm=arm,
        role=role,
        outcome=outcome,
        as_it_must=met,
        estimate=_number(other, "estimate"),
        low=low,
        high=high,
        near=near,
    )


def _number(entry: JSON, name: str) -> float:
    """A number that may be missing; one that JSON lacks is written as null again."""
    value = entry.get(name)
    return float("nan") if value is None else float(value)


def _to_text(entry: JSON, comparisons: Sequence[Beside]) -> str:
    """The verdict in one sentence, with its interval, its units and its controls."""
    unit = "" if entry["unit"] == "1" else f" {entry['unit']}"
    n = " × ".join(
        f"{count} {name}{'' if count == 1 else 's'}" for name, count in entry["n"].items()
    )
    head = f"{entry['outcome'].upper()}: {entry['text']}"
    reason = f" ({entry['reason']})" if entry["reason"] else ""
    controls = "; ".join(_control(b) for b in comparisons) or "no control was asked"
    return (
        f"{head}{reason}. Estimate {_span(entry)}{unit}, threshold {entry['threshold']}, over "
        f"{n or 'no units'}. {controls}."
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
    return f"{what} {b.arm} {came}, {how}: {_span(vars(b))}"


def _span(numbers: JSON) -> str:
    """An estimate with its interval; without one that says so."""
    estimate, low, high = (_number(numbers, name) for name in ("estimate", "low", "high"))
    if estimate != estimate:
        return "none"
    ends = ["unbounded" if x != x else f"{x:.4g}" for x in (low, high)]
    return f"{estimate:.4g} [{ends[0]}, {ends[1]}]"
