"""Judging: from the numbers of every arm to a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import special

from assay.checks.calls import NONE
from assay.checks.rows import ENDS, Numbers, Prompts, effects
from assay.controls.things import Draw
from assay.errors import ClaimError
from assay.verdicts.case import Case
from assay.verdicts.conditions import Condition, column
from assay.verdicts.rule import Control, Hypothesis, Sample, Verdict, interval, judge, judge_arm

DAMAGE = "damage"
LEAST = 3
"""So many rivals of a pool say how much others differ."""
Range = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Question:
    """A claim about a thing.

    Attributes:
        bounds: the least and greatest number of a prompt.
        given: a precondition without which the claim is not decided.
        known: whether what stands in has a known effect, so that a claim of none is false of it.
    """

    claim: str
    condition: Condition
    prompts: Prompts
    units: tuple[str, ...]
    fixed: tuple[str, ...]
    bounds: Range | None
    given: Condition | None
    known: bool

    @property
    def read(self) -> set[str]:
        """The numbers that the claim and its precondition name."""
        return {c.name for of in (self.condition, self.given) if of for c in of.columns}

    def reads(self, stem: str) -> bool:
        """Whether it names this number, or that before or after."""
        return not self.read.isdisjoint((stem, *(f"{stem}{end}" for end in ENDS)))

    def case(self, arms: Mapping[str, Numbers], h: Hypothesis) -> Case:
        """The numbers that the condition reads, as a table."""
        names = {*next(iter(arms.values()))} - {c.name for c in self.condition.columns}
        rows = self.prompts.table(arms, self.units, self.fixed).drop(columns=[*names])
        return Case(rows, self.condition, h, self.units, self.fixed)

    def estimate(self, numbers: Numbers) -> float:
        """What the claim is about, by these numbers."""
        return interval(self.case({NONE: numbers}, Hypothesis(of=NONE)).whole).estimate


@dataclass(eq=False)
class Measured:
    """What was measured.

    Attributes:
        arms: by arm the numbers of each prompt; the first arm is the thing.
        draws: by arm what stands in for it.
        repeats: the numbers of the thing in two calls, where these differ.
        unable: why the control `damage` tests nothing.
        samples: by arm what decides the claim with it.
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
        found: dict[str, Control] = {}
        for arm, draw in self.draws.items():
            name, noise = draw.control.name, draw.control.noise
            found[name] = Control(name, (*(found[name].arms if name in found else ()), arm), noise)
        return found


@dataclass(frozen=True, eq=False)
class Decided:
    """A verdict, and what it was decided by.

    Attributes:
        noise: the standard error that calls which differ add.
    """

    case: Case
    samples: Mapping[str, Sample]
    verdict: Verdict
    noise: float

    def holds(self, *, rivals: bool) -> bool:
        """Whether the claim holds by itself, or would if units did not tie; and beside rivals."""
        h = self.case.h
        if rivals:
            h = replace(h, controls=tuple(c for c in h.controls if not c.noise))
            return judge(h, self.samples).outcome == "holds"
        arm = judge_arm(h, self.samples[h.of], ())
        return arm.outcome == "holds" or arm.reason == "ties"

    def another(self, control: Control) -> float:
        """How probable it is that another rival of the pool satisfies the claim.

        Formula: P(m + s √(1 + 1/n) t in the range), with the mean m and standard deviation s of n
        rivals, less their errors, and Student's t with n - 1 degrees of freedom.
        """
        found, h = [interval(self.samples[arm]) for arm in control.arms], self.case.h
        if control.noise or len(found) < LEAST or not all(i.defined for i in found):
            return 0.0
        x, errors = (
            np.array(v) for v in zip(*((i.estimate, i.variance) for i in found), strict=True)
        )
        spread = max(x.var(ddof=1) - errors.mean(), 1e-300) * (1 + 1 / len(x))
        t = (np.array([h.low, h.high]) - x.mean()) / math.sqrt(spread)
        low, high = special.stdtr(len(x) - 1, t)
        return float(high - low)


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
    case = question.case({main: measured.arms[main], **fresh}, h)
    measured.samples |= {arm: case.sample(case.rows, arm) for arm in fresh}
    error = 0.0
    if measured.repeats:
        first, other = map(question.estimate, measured.repeats)
        error = abs(first - other) / 2
    bounds, unmet = _bounds(question, measured)
    samples = {arm: widened(x, error) for arm, x in measured.samples.items()}
    if bounds:
        exact = question.bounds is not None
        samples = {a: replace(x, bounds=bounds, exact=exact) for a, x in measured.samples.items()}
    if question.given:
        h_given = Hypothesis(question.given.low, question.given.high, of=main)
        asked = replace(question, condition=question.given)
        if (
            judge_arm(h_given, asked.case({main: measured.arms[main]}, h_given).whole).outcome
            != "holds"
        ):
            unmet.append(question.given.text)
    whole = question.case(measured.arms, h)
    return Decided(whole, samples, judge(h, samples, unmet), error)


def widened(sample: Sample, error: float) -> Sample:
    """The sample with its units farther from their mean, which makes the variance that much larger.

    Formula: x̄ + (x - x̄) √(1 + error² / V)
    """
    variance = interval(sample).variance if error else 0.0
    if not variance > 0:
        return sample
    means = np.nanmean(sample.cells, 0)
    return replace(
        sample, cells=means + (sample.cells - means) * math.sqrt(1 + error**2 / variance)
    )


def _bounds(question: Question, measured: Measured) -> tuple[Range | None, list[str]]:
    """Between which numbers that of each prompt lies, if bounds are given, or all prompts are 0 or
    1 before and after; and whether they leave room for the effect. Raises: ClaimError
    (beyond-bounds)."""
    at, c = column(question.condition.quantity), question.condition
    if at is None:
        return None, []
    stem = at.name.removesuffix(ENDS[0]).removesuffix(ENDS[1])
    arms = [x for arm, x in measured.arms.items() if arm != DAMAGE]
    numbers = np.concatenate([x[f"{stem}{end}"] for x in arms for end in ENDS])
    low, high = question.bounds or (0.0, 1.0)
    if question.bounds and not low <= np.nanmin(numbers) <= np.nanmax(numbers) <= high:
        raise ClaimError("beyond-bounds", f"{stem} is not always from {low:g} to {high:g}")
    if not question.bounds and not np.isin(numbers[np.isfinite(numbers)], (0, 1)).all():
        return None, []
    if at.name != stem:
        return (low, high), []
    mean = float(np.nanmean(measured.before[stem]))
    room = c.low <= high - mean and c.high >= low - mean
    return (low - high, high - low), [] if room else [f"that {stem}_before leaves room"]
