"""Claim, Exact, Estimate: the three kinds of statement, and Gate, which they name; their results
are in `results.py`.

All are plain values. Nothing here measures or judges (`lab.judge.result` does), and nothing
that trains can see a threshold."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from assay.core.errors import ClaimError, nearest
from assay.core.heavy import xr
from assay.core.reasons import GIVEN
from assay.core.results import Kind, signed
from assay.core.results import Literature as Literature
from assay.core.results import Published as Published
from assay.core.stats import Statistic, mean

if TYPE_CHECKING:
    from assay.core.bounded import BoundedColumns

    Terms = xr.DataArray | Mapping[str, xr.DataArray]

Value = Callable[["xr.Dataset", Mapping[str, "xr.Dataset"]], "Terms"]
"""What a claim compares: (arm under judgement, the other arms) → a number for each of its units, or
terms of a statistic."""
OneTerm = Callable[["xr.Dataset", Mapping[str, "xr.Dataset"]], "xr.DataArray"]
"""A value of one term, which may be averaged or selected from further."""
Plain = bool | int | float | str
Groups = Mapping[str, Mapping[str, Mapping[str, str]]]
"""By unit, the groupings of its levels: the group of each level."""
RISKY = ("paper", "theory", "plan")
"""Where a threshold comes from that was fixed before any pilot of the same set-up."""
ROLES = ("same method", "rival")
"""Excuses for an arm that satisfies a claim too; "same method: why" in the text of a study."""


def same_method(why: str) -> str:
    """Excuse an arm that satisfies a claim too, since it is the method itself in another variant.

    Args:
        why: in words.
    Example:
        >>> import assay
        >>> assay.same_method("another width")
        'same method: another width'
    """
    return f"same method: {why}"


def rival(why: str) -> str:
    """Excuse an arm that satisfies a claim too, since it is another method that claims as much.

    Args:
        why: in words.
    Example:
        >>> import assay
        >>> assay.rival("gated dictionaries claim it as well")
        'rival: gated dictionaries claim it as well'
    """
    return f"rival: {why}"


def role(excuse: str) -> str:
    """Read the role of an excuse. Raises: ClaimError for an excuse without a role.

    Args:
        excuse: a value of `Claim.also`.
    Example:
        >>> from assay.core.claims import role
        >>> role("rival: gated dictionaries claim it as well")
        'rival'
    """
    name = excuse.partition(": ")[0]
    if name not in ROLES:
        raise ClaimError(
            f"an arm is excused as the same method or as a rival, got {excuse!r}; write "
            'same_method("why") or rival("why"), in a study "rival: why"'
        )
    return name


@dataclass(frozen=True)
class Gate:
    """A condition without which a claim is not judged at all, such as that training had
    converged.

    Example:
        >>> import xarray as xr
        >>> from assay import Gate
        >>> gate = Gate("low loss", lambda arm: bool(arm.loss.mean() < 0.5))
        >>> gate.met(xr.Dataset({"loss": ("run", [0.25, 0.5])}))
        True
    """

    name: str
    met: Callable[[xr.Dataset], Any]
    """The measures of the claim's runs → whether the condition is met."""


def converged(measure: str, within: float = 0.05) -> Gate:
    """A gate: since half way, the mean over the claim's runs of a history [run, step] moved by at
    most `within` of its end.

    Args:
        measure: name of the history, [run, step].
        within: share of its end, such as 0.05.
    Example:
        >>> import xarray as xr
        >>> import assay
        >>> losses = ("run", "step"), [[4.0, 1.02, 1.0]]
        >>> history = xr.Dataset({"loss": losses}, coords={"step": [100, 200, 400]})
        >>> assay.converged("loss").met(history)  # 1.02 at half way, 1.0 at the end
        True
    """

    def met(arm: xr.Dataset) -> bool:
        if (
            measure not in arm.data_vars
            or "step" not in arm[measure].dims
            or "step" not in arm.coords
        ):
            requirement = (
                f"gate converged({measure!r}) needs a measure [run, step] with coordinate step"
            )
            raise ClaimError(f"{requirement}; {nearest(measure, map(str, arm))}")
        history = arm[measure].mean([d for d in arm[measure].dims if d != "step"])
        end = float(history.isel(step=-1))
        half = float(history.sel(step=float(arm["step"][-1]) / 2, method="nearest"))
        return abs(half - end) <= within * abs(end)

    return Gate("converged", met)


@dataclass(frozen=True, eq=False, kw_only=True)
class Claim:
    """A sentence, and the range in which a statistic of independent units must lie for it to
    hold.

    Example:
        >>> from assay import Claim
        >>> claim = Claim(
        ...     text="Training brings the error to at most 0.1",
        ...     value=lambda arm, others: arm.error,
        ...     high=0.1,
        ...     must_fail=("untrained",),
        ...     threshold_from="theory: 1/16",
        ...     source="a paper, section 2",
        ... )
        >>> claim.threshold, claim.kind
        ('<= 0.1', 'risky')
    """

    text: str = field(kw_only=False)
    """The whole sentence, with the threshold in it, and sizes of the training as places: "At
    {main.k} features a token" (`core.sizes`)."""
    value: Value
    """(arm under judgement, the other arms) → a DataArray, or terms {name: DataArray} for the
    statistic."""
    units: tuple[str, ...] = ("seed",)
    """One or two crossed factors: a per-run field or a dim of the value, e.g. ("seed",
    "document")."""
    statistic: Statistic = mean
    """The terms' weighted means {name: [draw, ...]} → [draw]."""
    unit: str = "1"
    where: Mapping[str, Plain] = field(default_factory=dict)
    """Only these runs, in every arm, before value and gates: {"density": 0.01}."""
    low: float = -math.inf
    high: float = math.inf
    """The claim holds when the interval lies within [low, high]."""
    fail_low: float | None = None
    fail_high: float | None = None
    """It fails when the interval lies outside [fail_low, fail_high]; by default the same range."""
    scale: Scale = "plain"
    """On what scale units are averaged: for skewed measures, or those near a bound."""
    of: str = "main"
    """The arm it is about."""
    must_fail: tuple[str, ...] = ()
    """Arms in which the claim must fail to say anything; by default those of `near`."""
    near: Mapping[str, str] = field(default_factory=dict)
    """The controls for the strongest other explanations: {control: what it would explain without
    the method}."""
    also: Mapping[str, str] = field(default_factory=dict)
    """Other arms that may satisfy the claim as well: {arm: same_method("why") or rival("why")}.
    None in which a credited part was not learned."""
    credits: str | tuple[str, ...] = ()
    """The parts whose learning the claim credits, of those that `Arm.learned` names: an arm that
    lacks one and satisfies the claim makes it unspecific. Empty: every part."""
    beats: float = 0.0
    """By how much the method must beat each control on the side of a one-sided claim, at least 0;
    as a logarithm where ratios are compared."""
    empty: float | None = None
    """The value without any effect, such as 0.5 for an AUROC; by default 0, and undefined on a log
    or logit scale. A range that contains it needs a planted violation."""
    violations: tuple[str, ...] = ()
    """Arms with a planted violation, which must be found outside the range."""
    automatic: tuple[str, ...] = ()
    """Of a claim of no effect: the controls that make the same change elsewhere, or put something
    else there. That one of them has no effect, either, is no other explanation; that one has an
    effect shows that effects are found."""
    unchanged: str = ""
    """Of a claim about the number of one arm alone: the arm without the change. Where its number is
    outside the range, the claim is not that there is no effect. No part of what the claim says."""
    fixed: tuple[str, ...] = ()
    """What the sentence is about and no unit resamples, such as ("14 kinds",): verdicts are about
    these only."""
    distance: bool = False
    """Whether the value is a distance, such as |γ − 1|: if training moves it below 0, its absolute
    value counts."""
    bounds: tuple[float, float] | None = None
    """The least and the greatest number a unit can have, (0, 1) for shares: the mean then gets an
    exact interval."""
    rounding: float = 0.0
    """By how much rounding of the numbers may have moved the value: the interval is wider by it on
    either side, and units that tie are then no obstacle. A table's, not an author's."""
    natural: tuple[float, float] | None = None
    """The least and the greatest possible number, infinite where there is no bound: they clip what
    is printed; see `bounded.exact_bounds` for when limits are exact."""
    unlike: tuple[str, ...] = ()
    """Arms that are judged only if the claim names them, since their numbers mean something else:
    those of one model, where it is about the difference of two."""
    twins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By control, the controls that replace the other arms of a comparison at the same time: if one
    of them could not be made, the control counts as not made either."""
    ceiling: BoundedColumns | None = None
    """The bounded columns that are compared: the verdict reports whether each arm lies on a bound,
    and a range that the bounds put out of reach decides nothing."""
    lead: Claim | None = None
    """Of a claim about what taking something out leaves of a lead: that the model has this lead
    without the change. Not part of what the claim says."""
    of_share: bool = False
    """Whether the claim compares what is left with a multiple of this lead: without a lead it then
    cannot hold either, while a difference that falls does so from anywhere."""
    groups: Groups = field(default_factory=dict)
    """By unit, the groupings of its levels, such as the template of each prompt: the verdict must
    be the same with these groups as units. Not part of what the claim says."""
    must_hold: tuple[str, ...] = ()
    """Arms with a planted effect of stated size, in which the same code must find it."""
    together: int = 1
    """How many claims of a study ask the same quantity along a sweep, this one included: intervals
    of all of them hold at once. No part of what the claim says."""
    gates: tuple[Gate, ...] = ()
    half: Mapping[str, str] = field(default_factory=dict)
    """{"main": "main-half", …}: arms trained half as long, with their own decay; the outcome must
    survive the change."""
    threshold_from: str
    """"paper: …", "theory: …", "plan: …" (before any pilot) or "pilot: seeds 0–5, …"."""
    published: Literature = None
    """The number that a paper prints for the same quantity, or "new"; an entry of the catalogue
    must say which."""
    source: str
    """Paper title, section."""
    condition: str = ""
    """What value and statistic compute, as a study words it; "" where they are code alone."""
    after_look: str = ""
    """What an earlier look had otherwise, in words; not part of what it says, but such a claim
    confirms, wherever its threshold is from.
    """

    def __post_init__(self) -> None:
        if isinstance(self.credits, str):
            object.__setattr__(self, "credits", (self.credits,))
        if not self.must_fail:
            object.__setattr__(self, "must_fail", tuple(self.near))
        _check_types(self)
        _check_arms(self)
        _check_range(self)

    @property
    def fail_range(self) -> tuple[float, float]:
        """Give (fail_low, fail_high), the range outside of which the claim fails."""
        return (
            self.low if self.fail_low is None else self.fail_low,
            self.high if self.fail_high is None else self.fail_high,
        )

    @cached_property
    def edges(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The range to hold in and the range to fail outside of, on the scale of judging."""
        (low, high), (fail_low, fail_high) = (
            [e if math.isinf(e) else rescale(self.scale, e) for e in ends]
            for ends in ((self.low, self.high), self.fail_range)
        )
        return (low, high), (fail_low, fail_high)

    def level(self, usual: float) -> float:
        """Give the level of its interval such that those of all claims together have the usual one.

        Args:
            usual: of all of them together, 0 to 1.
        Formula: usual^(1/k) of k claims
        Source: Šidák, Rectangular Confidence Regions for the Means of Multivariate Normal
        Distributions, 1967: it holds however the claims are correlated.
        """
        return usual if self.together == 1 else float(usual ** (1 / self.together))

    @property
    def kind(self) -> Kind:
        """risky where the threshold was fixed before any pilot, by theory, paper or plan;
        confirming where a pilot gave it, or a look came first.
        """
        return (
            "risky"
            if self.threshold_from.startswith(RISKY) and not self.after_look
            else "confirming"
        )

    @property
    def is_worded(self) -> bool:
        """Whether its quantity is written as text, in a study or about a table, and not as code."""
        return bool(self.condition) or self.threshold_from == GIVEN

    @property
    def threshold_since(self) -> str:
        """Say where the threshold comes from, and what an earlier look had otherwise."""
        return (
            f"{self.threshold_from}; pilot-set, since {self.after_look}"
            if self.after_look
            else self.threshold_from
        )

    @property
    def facts(self) -> dict[str, Any]:
        """List what is shown of the claim with each verdict on it."""
        return {
            "text": self.text,
            "kind": self.kind,
            "units": self.units,
            "unit": self.unit,
            "source": self.source,
            "published": self.published,
            "threshold": self.threshold,
            "range": (self.low, self.high),
            "fail_range": self.fail_range,
            "threshold_from": self.threshold_since,
            "near": self.near,
            "bounds": self.bounds,
            "natural": self.natural or ((0.0, math.inf) if self.distance else None),
        }

    @property
    def may_hold(self) -> Mapping[str, str]:
        """The arms that may satisfy the claim as well, each with the reason; the half-length method
        is one by itself."""
        half = self.half.get(self.of)
        return {**({half: same_method("trained half as long")} if half else {}), **self.also}

    @property
    def named(self) -> tuple[str, ...]:
        """List every arm that the claim names, its own first."""
        halves = (*self.half, *self.half.values())
        return (
            *(self.of, *self.must_fail, *self.must_hold),
            *(*self.violations, *self.also, *halves),
        )

    def lacks(self, learned: Sequence[str] | None) -> bool:
        """Whether an arm in which only these parts were learned lacks one that is credited; None:
        all were."""
        if learned is None:
            return False
        return not self.credits or not set(self.credits) <= set(learned)

    @property
    def threshold(self) -> str:
        """Give the range as text, such as ">= 1.5 features per dimension" or "in [0.98, 1.02]"."""
        return _range_in_words(self)

    def about(self, arm: str) -> Claim:
        """Put another arm in the method's place; the claim's controls are then the other controls,
        or the method if no other is left."""
        if arm == self.of:
            return self
        controls = tuple(c for c in self.must_fail if c != arm) or (self.of,)
        return replace(
            self,
            of=arm,
            must_fail=controls,
            must_hold=tuple(p for p in self.must_hold if p != arm),
            near={c: why for c, why in self.near.items() if c in controls},
            also={a: why for a, why in self.also.items() if a != arm and a not in controls},
            violations=tuple(v for v in self.violations if v != arm),
        )


def _range_in_words(claim: Claim) -> str:
    unit = "" if claim.unit == "1" else f" {claim.unit}"
    if math.isinf(claim.high):
        text = f"{signed('>', claim.low, -math.inf)}{unit}"
    elif math.isinf(claim.low):
        text = f"{signed('<', claim.high, math.inf)}{unit}"
    else:
        text = f"in [{claim.low:.6g}, {claim.high:.6g}]{unit}"
    lower, upper = claim.fail_range
    edges = [f"{e:.6g}" for e, bound in ((lower, claim.low), (upper, claim.high)) if e != bound]
    return f"{text}, fails only beyond {' or '.join(edges)}" if edges else text


def _check_types(claim: Claim) -> None:
    """Refuse one text where a tuple of names is meant. Raises: ClaimError."""
    _check_units(claim.text, claim.units)
    _check_literature(claim.text, claim.published)
    for name in ("must_fail", "must_hold", "violations", "fixed"):
        if isinstance(text := getattr(claim, name), str):  # whose letters would be taken for names
            raise ClaimError(
                f"claim {claim.text!r}: {name} takes a tuple of names, got the text "
                f"{text!r}; write {name}=({text!r},)"
            )
    if isinstance(claim.gates, Gate):
        raise ClaimError(
            f"claim {claim.text!r}: gates takes a tuple, got one gate; write a comma "
            "behind it: gates=(…,)"
        )


def _check_arms(claim: Claim) -> None:
    """Refuse controls and other arms that contradict each other. Raises: ClaimError."""
    nothing = 0.0 if claim.empty is None else claim.empty  # no control, but a violation, tells
    if not claim.must_fail and not claim.low < nothing < claim.high:
        raise ClaimError(
            f"claim {claim.text!r} names no control: must_fail needs at least one arm in "
            "which it has to fail"
        )
    if claim.of in (*claim.must_fail, *claim.must_hold, *claim.violations):
        raise ClaimError(
            f"claim {claim.text!r} is about arm {claim.of!r}, which cannot also be its own control"
        )
    for control in claim.near:
        if control not in claim.must_fail:
            raise ClaimError(
                f"claim {claim.text!r}: near names {control!r}, but must_fail has only "
                f"{', '.join(claim.must_fail)}; "
                "give the near control in both, by one name"
            )
    for arm, excuse in claim.also.items():
        if arm in (claim.of, *claim.must_fail, *claim.must_hold, *claim.violations):
            raise ClaimError(
                f"claim {claim.text!r}: also names {arm!r}, which is the method, a control "
                "or a planted effect"
            )
        role(excuse)


def _check_range(claim: Claim) -> None:
    """Refuse a range that says nothing, or one that its scale does not have. Raises: ClaimError."""
    if not (math.isfinite(claim.beats) and claim.beats >= 0):
        raise ClaimError(
            f"claim {claim.text!r}: beats is by how much controls are beaten, 0 or more, got "
            f"{claim.beats:g}"
        )
    if claim.bounds is not None:
        _check_bounds(claim)
    fail_low, fail_high = claim.fail_range
    if not fail_low <= claim.low <= claim.high <= fail_high:
        got = ", ".join(f"{e:g}" for e in (fail_low, claim.low, claim.high, fail_high))
        raise ClaimError(f"claim {claim.text!r} needs fail_low ≤ low ≤ high ≤ fail_high, got {got}")
    if math.isinf(claim.low) and math.isinf(claim.high):
        raise ClaimError(f"claim {claim.text!r} has no threshold: give low, high, or both")
    if claim.scale != "plain":
        if claim.statistic is not mean:
            raise ClaimError(
                f"claim {claim.text!r}: scale={claim.scale!r} maps the units of a mean; map "
                "within the statistic instead"
            )
        for edge in (claim.low, claim.high, fail_low, fail_high):
            if math.isfinite(edge) and math.isnan(rescale(claim.scale, edge)):
                raise ClaimError(
                    f"claim {claim.text!r}: the threshold {edge:g} is outside the domain "
                    f"of scale={claim.scale!r}"
                )


@dataclass(frozen=True, eq=False, kw_only=True)
class Exact:
    """A theorem or a piece of arithmetic: a number that must be reproduced within a stated
    tolerance.

    Example:
        >>> import xarray as xr
        >>> from assay import Exact
        >>> law = Exact(
        ...     text="The variance of a coin is 1/4",
        ...     value=lambda arms: arms["main"].coin.var(),
        ...     expected=0.25,
        ...     tolerance=0.0,
        ...     source="p (1 − p)",
        ... )
        >>> float(law.value({"main": xr.Dataset({"coin": ("run", [0, 1])})}))
        0.25
    """

    text: str = field(kw_only=False)
    value: Callable[[Mapping[str, xr.Dataset]], Any]
    """The arms → a number or an array."""
    expected: Any = 0.0
    tolerance: float
    """Largest absolute deviation."""
    source: str
    unit: str = "1"


@dataclass(frozen=True, eq=False, kw_only=True)
class Estimate:
    """A number with its interval, which nothing judges; or a curve of it over a swept field.

    Example:
        >>> import xarray as xr
        >>> from assay import Estimate
        >>> error = Estimate(text="The error", value=lambda arms: arms["main"].error)
        >>> error.value({"main": xr.Dataset({"error": ("seed", [0.25, 0.5])})}).values
        array([0.25, 0.5 ])
    """

    text: str = field(kw_only=False)
    value: Callable[[Mapping[str, xr.Dataset]], Terms]
    """The arms → a DataArray, or terms for the statistic."""
    units: tuple[str, ...] = ("seed",)
    statistic: Statistic = mean
    unit: str = "1"
    where: Mapping[str, Plain] = field(default_factory=dict)
    over: str = ""
    """A swept field, per run or a dim of the value: the statistic at each of its levels, with a
    band that covers all of them together; "" for a single number."""
    crosses: float | None = None
    """A value of the curve: at which level of the field it has it, with an interval."""
    natural: tuple[float, float] | None = None
    """The least and the greatest possible number, infinite where there is no bound: they clip what
    is printed."""
    bounds: tuple[float, float] | None = None
    """The least and the greatest number a unit can have: the mean then gets an exact interval."""
    published: Literature = None
    source: str = ""
    condition: str = ""
    """What value and statistic compute, as a study words it; "" where they are code alone."""
    groups: Groups = field(default_factory=dict)
    """As of a claim: the interval is as wide as with these groups as units."""
    numbered: bool = False
    """Whether its levels number places, such as blocks, so that they never step by factors."""

    def __post_init__(self) -> None:
        _check_units(self.text, self.units)
        _check_literature(self.text, self.published)
        if self.over in self.units:
            raise ClaimError(
                f"estimate {self.text!r}: {self.over} is a unit, over whose levels it generalises; "
                "a curve goes over another field"
            )
        if self.crosses is not None and not (math.isfinite(self.crosses) and self.over):
            raise ClaimError(
                f"estimate {self.text!r}: crosses is a number, and needs over=FIELD, "
                f"which makes it a curve; got crosses={self.crosses!r}, over={self.over!r}"
            )

    @property
    def ends(self) -> tuple[float, float] | None:
        """The bounds, or the natural range of a quantity in words: where all units lie on one of
        them, they show no spread. A quantity that code computes keeps the intervals of its
        records."""
        return self.bounds or (self.natural if self.condition else None)


Finding = Estimate
"""What an estimate was called; files that people wrote still say so."""


def claims_key(statements: Sequence[Claim | Exact | Estimate]) -> str:
    """A sha256 (hex) of what the statements say: texts, ranges, units, controls, gates; it changes
    when a goalpost moves."""
    return sha256(
        json.dumps(
            [statement_to_json(s) for s in statements], sort_keys=True, ensure_ascii=True
        ).encode()
    ).hexdigest()


def statement_to_json(s: Claim | Exact | Estimate) -> dict[str, Any]:
    """Write what a statement says as plain values: text, range, units, controls, gates; not the
    code of its value."""
    # An estimate keeps the name that it had, so that what was hashed before still says the same.
    kind = "Finding" if isinstance(s, Estimate) else type(s).__name__
    entry: dict[str, Any] = {"kind": kind, "text": s.text, "unit": s.unit}
    if isinstance(s, Exact):
        return entry | {
            "expected": np.asarray(s.expected, dtype=float).tolist(),
            "tolerance": float(s.tolerance),
        }
    entry |= {"units": list(s.units), "where": dict(s.where)}
    if isinstance(s, Claim):
        edges = [repr(float(e)) for e in (s.low, s.high, *s.fail_range)]
        entry |= {
            "range": edges,
            "scale": s.scale,
            "of": s.of,
            "must_fail": list(s.must_fail),
            "must_hold": list(s.must_hold),
            "gates": [g.name for g in s.gates],
            "half": dict(s.half),
            "threshold_from": s.threshold_from,
        }
        entry |= {name: value for name in ("near", "also") if (value := dict(getattr(s, name)))}
        entry |= {"bounds": [repr(float(b)) for b in s.bounds]} if s.bounds else {}
        for name in ("credits", "violations", "automatic", "fixed"):
            entry |= {name: list(value)} if (value := getattr(s, name)) else {}
        entry |= {"beats": repr(float(s.beats))} if s.beats else {}
        entry |= {"distance": True} if s.distance else {}
        entry |= {"empty": repr(float(s.empty))} if s.empty is not None else {}
    elif s.over:
        number = None if s.crosses is None else repr(float(s.crosses))
        entry |= {"over": s.over, "crosses": number}
    return entry | ({"condition": s.condition} if s.condition else {})


def _check_bounds(claim: Claim) -> None:
    least, greatest = claim.bounds or (-math.inf, math.inf)
    if not (math.isfinite(least) and math.isfinite(greatest) and least < greatest):
        raise ClaimError(
            f"claim {claim.text!r}: bounds are two finite numbers, the smaller first, got "
            f"{claim.bounds}"
        )
    if claim.statistic is not mean or claim.scale != "plain":
        raise ClaimError(
            f"claim {claim.text!r}: bounds are of the units of a plain mean; drop the "
            "statistic and the scale, or the bounds"
        )
    for edge in (claim.low, claim.high, *claim.fail_range):
        if math.isfinite(edge) and not least <= edge <= greatest:
            raise ClaimError(
                f"claim {claim.text!r}: all values within its bounds, {least:g} to {greatest:g}, "
                f"lie on one side of the threshold {0.0 if abs(edge) < 1e-300 else edge:g}"
            )


def _check_units(text: str, units: tuple[str, ...]) -> None:
    if not 1 <= len(units) <= 2 or len(set(units)) < len(units) or isinstance(units, str):
        raise ClaimError(
            f'statement {text!r} needs one or two different units, such as ("seed", '
            f'"document"), got {units!r}'
        )


def _check_literature(text: str, published: Literature) -> None:
    if not (published is None or published == "new" or isinstance(published, Published)):
        raise ClaimError(
            f'statement {text!r}: published is Published(number, source), or "new", or None, '
            f"got {published!r}"
        )


Scale = Literal["plain", "log", "log1m", "logit"]

ESTIMAND = {
    "plain": "",
    "log": "judged on the log of each unit: the estimate is the geometric mean",
    "log1m": "judged on -log(1 - x) of each unit: the estimate is 1 - the geometric mean of 1 - x",
    "logit": (
        "judged on the logit of each unit: the estimate is the mean log-odds, put back on the "
        "scale of x"
    ),
}


def rescale(scale: Scale, x: Any) -> Any:
    """x on the given scale, increasing: log x, -log(1 - x) or log(x / (1 - x)); NaN outside its
    domain, infinite at a bound."""
    x = np.asarray(x, dtype=np.float64)
    with np.errstate(all="ignore"):
        if scale == "log":
            out = np.log(x)
        elif scale == "log1m":
            out = -np.log1p(-x)
        elif scale == "logit":
            out = np.log(x) - np.log1p(-x)
        else:
            out = x
    return out if out.ndim else float(out)


def unscale(scale: Scale, y: float) -> float:
    """The inverse of `rescale`."""
    if scale == "log":
        return float(np.exp(y))
    if scale == "log1m":
        return float(-np.expm1(-y))
    if scale == "logit":
        return float(1 / (1 + np.exp(-y)))
    return y


def unscaled(scale: Scale, ys: Iterable[float]) -> tuple[float, ...]:
    """The inverse of `rescale`, of several numbers."""
    return tuple(unscale(scale, y) for y in ys)
