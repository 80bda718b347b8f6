"""Judging: from the numbers of every arm to a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from assay.checks.calls import ENDS, NONE, Numbers, Prompts, effects
from assay.controls.things import Draw
from assay.errors import ClaimError
from assay.verdicts.case import Case
from assay.verdicts.conditions import Condition, column
from assay.verdicts.rule import Control, Hypothesis, Sample, Verdict, interval, judge, judge_arm

DAMAGE = "damage"
Range = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Decided:
    """A verdict, what it was decided by, and the standard error that calls which differ add."""

    case: Case
    samples: Mapping[str, Sample]
    verdict: Verdict
    noise: float

    @property
    def alone(self) -> bool:
        """Whether the claim holds by itself, or would if its units did not tie."""
        arm = judge_arm(self.case.h, self.samples[self.case.h.of], ())
        return arm.outcome == "holds" or arm.reason == "ties"

    @property
    def beside_rivals(self) -> bool:
        """Whether the claim holds but for controls of noise."""
        rivals = tuple(c for c in self.case.h.controls if not c.noise)
        return judge(replace(self.case.h, controls=rivals), self.samples).outcome == "holds"


@dataclass(eq=False)
class Bench:
    """A claim about a thing, and what was measured of it.

    Attributes:
        bounds: the least and greatest number of a prompt.
        given: a precondition without which the claim is not decided.
        known: whether what stands in has a known effect, so that a claim of none is false of it.
        arms: by arm the numbers of each prompt; the first arm is the thing.
        draws: by arm what stands in for it.
        repeats: the numbers of the thing in two calls, if these differ.
        unable: why the control `damage` tests nothing.
    """

    prompts: Prompts
    condition: Condition
    units: tuple[str, ...]
    fixed: tuple[str, ...]
    bounds: Range | None
    given: Condition | None
    known: bool
    before: Numbers = field(default_factory=dict)
    arms: dict[str, Numbers] = field(default_factory=dict)
    draws: dict[str, Draw] = field(default_factory=dict)
    repeats: tuple[Numbers, ...] = ()
    unable: str = ""

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

    @property
    def read(self) -> set[str]:
        """The numbers that the claim and its precondition name."""
        return {c.name for of in (self.condition, self.given) if of for c in of.columns}

    def reads(self, stem: str) -> bool:
        """Whether they name this number, or it before or after."""
        return not self.read.isdisjoint((stem, *(f"{stem}{end}" for end in ENDS)))

    def case(self, arms: Mapping[str, Numbers], h: Hypothesis) -> Case:
        """The numbers that the condition reads, as a table."""
        unread = {*next(iter(arms.values()))} - {c.name for c in self.condition.columns}
        rows = self.prompts.table(arms, self.units, self.fixed).drop(columns=[*unread])
        return Case(rows, self.condition, h, self.units, self.fixed)

    def estimate(self, numbers: Numbers) -> float:
        """What the claim is about, by these numbers."""
        return interval(self.case({NONE: numbers}, Hypothesis(of=NONE)).whole).estimate

    def decide(self) -> Decided:
        """Judge by the rule alone."""
        empty, c = self.estimate(effects(self.before, self.before)), self.condition
        h = Hypothesis(c.low, c.high, self.main, empty=empty if math.isfinite(empty) else 0.0)
        known, others = tuple(self.draws), tuple(self.controls.values())
        h = replace(h, missed=known) if self.known else replace(h, controls=others)
        case = self.case(self.arms, h)
        first, other = map(self.estimate, self.repeats or 2 * (self.arms[self.main],))
        error = abs(first - other) / 2
        bounds, unmet = self._bounds()
        samples = {arm: case.sample(case.rows, arm) for arm in self.arms}
        for arm, x in samples.items():
            exact = replace(x, bounds=bounds, exact=bool(self.bounds))
            samples[arm] = exact if bounds else widened(x, error)
        if g := self.given:
            needed = Hypothesis(g.low, g.high, self.main)
            of = replace(self, condition=g).case({self.main: self.arms[self.main]}, needed)
            unmet += [g.text] * (judge_arm(needed, of.whole).outcome != "holds")
        return Decided(case, samples, judge(h, samples, unmet), error)

    def _bounds(self) -> tuple[Range | None, list[str]]:
        """Between which numbers that of each prompt lies, if bounds are given, or all prompts are 0
        or 1 before and after; and that they leave no room for the effect, if so. Raises: ClaimError
        (beyond-bounds)."""
        at, c = column(self.condition.quantity), self.condition
        if at is None:
            return None, []
        stem = at.name.removesuffix(ENDS[0]).removesuffix(ENDS[1])
        arms = [x for arm, x in self.arms.items() if arm != DAMAGE]
        numbers = np.concatenate([x[f"{stem}{end}"] for x in arms for end in ENDS])
        low, high = self.bounds or (0.0, 1.0)
        if self.bounds and not low <= np.nanmin(numbers) <= np.nanmax(numbers) <= high:
            raise ClaimError("beyond-bounds", f"{stem} is not always from {low:g} to {high:g}")
        if not self.bounds and not np.isin(numbers[np.isfinite(numbers)], (0, 1)).all():
            return None, []
        if at.name != stem:
            return (low, high), []
        mean = float(np.nanmean(self.before[stem]))
        room = c.low <= high - mean and c.high >= low - mean
        return (low - high, high - low), [] if room else [f"that {stem}_before leaves room"]


def widened(sample: Sample, error: float) -> Sample:
    """The sample with units so far from their mean that its variance V is V + error².
    Formula: x̄ + (x - x̄) √(1 + error² / V)
    """
    variance = interval(sample).variance if error else 0.0
    if not variance > 0:
        return sample
    means = np.nanmean(sample.cells, 0)
    by = math.sqrt(1 + error**2 / variance)
    return replace(sample, cells=means + by * (sample.cells - means))
