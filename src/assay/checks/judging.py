"""Judging: from the numbers of every arm to a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import special

from assay.checks.calls import NONE
from assay.checks.rows import ENDS, Numbers, Prompts, effects, table
from assay.controls.things import Draw
from assay.errors import ClaimError
from assay.verdicts.case import Case
from assay.verdicts.conditions import Condition, column
from assay.verdicts.rule import (
    Control,
    Hypothesis,
    Sample,
    Verdict,
    interval,
    judge,
    judge_arm,
)

Range = tuple[float, float]
DAMAGE = "damage"
LEAST = 3
"""So many rivals of a pool say how much others differ."""


@dataclass(frozen=True, eq=False)
class Question:
    """A claim about a thing.

    Attributes:
        bounds: the least and greatest number of a prompt.
        given: preconditions without which the claim is not decided.
        known: whether what stands in has a known effect, so that a claim of none is false of it.
    """

    claim: str
    condition: Condition
    prompts: Prompts
    units: tuple[str, ...]
    fixed: tuple[str, ...] = ()
    bounds: Range | None = None
    given: tuple[Condition, ...] = ()
    known: bool = False

    @property
    def read(self) -> set[str]:
        """The numbers that the claim and its preconditions name."""
        return {c.name for of in (self.condition, *self.given) for c in of.columns}

    def laid_out(self, arms: Mapping[str, Numbers], h: Hypothesis) -> Case:
        """Numbers as a table with what the condition reads."""
        names = {*next(iter(arms.values()))} - {c.name for c in self.condition.columns}
        rows = table(self.prompts, arms, self.units, self.fixed).drop(columns=[*names])
        return Case(rows, self.condition, h, self.units, self.fixed)

    def estimate(self, numbers: Numbers) -> float:
        """What the claim is about, by these numbers."""
        return interval(self.laid_out({NONE: numbers}, Hypothesis(of=NONE)).whole).estimate


@dataclass(eq=False)
class Measured:
    """What was measured.

    Attributes:
        arms: by arm the numbers of each prompt; the first arm is the thing.
        draws: by arm what stands in for it.
        repeats: the numbers of the thing in two calls, where these differ.
        unable: why the control `damage` tests nothing.
        samples: by arm what decides the claim with it, so far.
    """

    before: Numbers
    arms: dict[str, Numbers]
    draws: dict[str, Draw] = field(default_factory=dict)
    repeats: tuple[Numbers, ...] = ()
    unable: str = ""
    samples: dict[str, Sample] = field(default_factory=dict)

    @property
    def main(self) -> str:
        """The arm of the thing."""
        return next(iter(self.arms))

    @property
    def controls(self) -> dict[str, Control]:
        """What stands in, by the name of the control."""
        arms: dict[str, list[str]] = {}
        for arm, draw in self.draws.items():
            arms.setdefault(draw.control.name, []).append(arm)
        noise = {draw.control.name: draw.control.noise for draw in self.draws.values()}
        return {name: Control(name, (*of,), noise[name]) for name, of in arms.items()}


@dataclass(frozen=True, eq=False)
class Decided:
    """A verdict, and what it was decided by."""

    case: Case
    samples: Mapping[str, Sample]
    verdict: Verdict

    @property
    def may_hold(self) -> bool:
        """Whether the claim holds by itself, or would if its units did not tie."""
        h = self.case.h
        arm = judge_arm(h, self.samples[h.of], ())
        return arm.outcome == "holds" or arm.reason == "ties"

    @property
    def by_rivals(self) -> bool:
        """Whether the claim holds where only rivals stand in, and none of noise."""
        rivals = tuple(c for c in self.case.h.controls if not c.noise)
        return judge(replace(self.case.h, controls=rivals), self.samples).outcome == "holds"


def decide(question: Question, measured: Measured) -> Decided:
    """Judge by the rule alone."""
    main, c = measured.main, question.condition
    empty = question.estimate(effects(measured.before, measured.before))
    h = Hypothesis(c.low, c.high, of=main, empty=empty if math.isfinite(empty) else 0.0)
    if question.known:
        h = replace(h, missed=tuple(measured.draws))
    else:
        h = replace(h, controls=tuple(measured.controls.values()))
    fresh = {a: x for a, x in measured.arms.items() if a not in measured.samples}
    part = question.laid_out({main: measured.arms[main], **fresh}, h)
    measured.samples |= {arm: part.sample(part.rows, arm) for arm in fresh}
    ends, error = _ends(question, measured), noise(question, measured)
    if ends:
        sure = {"bounds": _span(ends, c), "exact": question.bounds is not None}
        samples = {arm: replace(x, **sure) for arm, x in measured.samples.items()}
    else:
        samples = {arm: widened(x, error) for arm, x in measured.samples.items()}
    verdict = judge(h, samples, _unmet(question, measured, ends))
    return Decided(question.laid_out(measured.arms, h), samples, verdict)


# ---- noise ---------------------------------------------------------------------------------------


def noise(question: Question, measured: Measured) -> float:
    """The standard error that calls which differ add to a mean of two."""
    if not measured.repeats:
        return 0.0
    first, other = map(question.estimate, measured.repeats)
    return abs(first - other) / 2


def widened(sample: Sample, error: float) -> Sample:
    """The sample with its units as much farther from their mean as makes the variance that much
    larger. Formula: x̄ + (x - x̄) √(1 + error² / V)"""
    variance = interval(sample).variance if error else 0.0
    if not variance > 0:
        return sample
    means = np.nanmean(sample.cells, 0)
    by = math.sqrt(1 + error**2 / variance)
    return replace(sample, cells=means + by * (sample.cells - means))


# ---- bounds --------------------------------------------------------------------------------------


def _ends(question: Question, measured: Measured) -> Range | None:
    """Between which numbers each prompt lies, before and after: those that are given, or 0 and 1
    where it is always one of them; only of a condition on one number. Raises: ClaimError
    (beyond-bounds)."""
    at = column(question.condition.quantity)
    if at is None:
        return None
    stem = _stem(at.name)
    arms = [x for arm, x in measured.arms.items() if arm != DAMAGE]
    numbers = np.concatenate([x[f"{stem}{end}"] for x in arms for end in ENDS])
    numbers = numbers[np.isfinite(numbers)]
    if question.bounds is None:
        return (0.0, 1.0) if np.isin(numbers, (0, 1)).all() else None
    low, high = question.bounds
    if numbers.min() < low or numbers.max() > high:
        raise ClaimError("beyond-bounds", f"{stem} is not between {low:g} and {high:g} everywhere")
    return question.bounds


def _stem(name: str) -> str:
    return name.removesuffix(ENDS[0]).removesuffix(ENDS[1])


def _span(ends: Range, condition: Condition) -> Range:
    """Between which numbers what a condition reads of a prompt lies."""
    (low, high), name = ends, condition.columns[0].name
    return ends if name != _stem(name) else (low - high, high - low)


def _unmet(question: Question, measured: Measured, ends: Range | None) -> list[str]:
    """The preconditions that are not met: those that are given, and room for the effect."""
    unmet, c = list[str](), question.condition
    for given in question.given:
        h = Hypothesis(given.low, given.high, of=measured.main)
        case = replace(question, condition=given).laid_out(
            {measured.main: measured.arms[measured.main]}, h
        )
        if judge_arm(h, case.whole).outcome != "holds":
            unmet.append(given.text)
    name = c.columns[0].name
    if ends and name == _stem(name):
        mean = float(np.nanmean(measured.before[name]))
        if c.low > ends[1] - mean or c.high < ends[0] - mean:
            unmet.append(f"that {name}_before leaves room")
    return unmet


# ---- other rivals --------------------------------------------------------------------------------


def others(decided: Decided, control: Control) -> float:
    """How probable it is that another rival of the pool satisfies the claim.

    Formula: P(m + s √(1 + 1/n) t is in the range), with the mean m and the standard deviation s of
    n rivals, less their standard errors, and Student's t with n - 1 degrees of freedom.
    """
    found = [interval(decided.samples[arm]) for arm in control.arms]
    x = np.array([i.estimate for i in found])
    if len(x) < LEAST or not np.isfinite(x).all():
        return 0.0
    errors = [i.variance for i in found if math.isfinite(i.variance)]
    spread = max(float(x.var(ddof=1)) - float(np.mean(errors or [0.0])), 1e-300)
    h = decided.case.h
    t = (np.array([h.low, h.high]) - x.mean()) / math.sqrt(spread * (1 + 1 / len(x)))
    low, high = special.stdtr(len(x) - 1, t)
    return float(high - low)
