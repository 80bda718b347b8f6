"""Claims: a sentence, the condition under which it is true, and what it should be false of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from assay.errors import ClaimError, nearest
from assay.verdicts import reading, rule
from assay.verdicts.conditions import Condition, parse

Names = str | Sequence[str]
REPEATS = ("run", "draw")
"""Dimensions of what is trained or drawn: averaged over where they are no units."""


def names(x: Names) -> tuple[str, ...]:
    """Names, of which there may be one, or an empty one for none."""
    return (x,) * bool(x) if isinstance(x, str) else tuple(x)


@dataclass(frozen=True)
class Claim:
    """A claim about numbers; `judge_table` says what is not said here.

    Attributes:
        text: the sentence.
        holds: the condition under which it is true.
        about: the arm that is judged, in whose place controls are put. It may be left out where
            the outcome is the same whichever of the condition's arms it is.
        because: where the threshold comes from.
        unit: one or two kinds of things over which it generalises; left out, the only dimension.
        fixed: dimensions that are averaged over, and over which it does not generalise.
    """

    text: str
    holds: str
    about: str = ""
    controls: Mapping[str, str] | Names = ()
    noise: Names = ()
    because: str = ""
    found: Names = ()
    missed: Names = ()
    unit: Names = ()
    fixed: Names = ()
    bounds: tuple[float, float] | None = None
    given: Names = ()
    level: float = rule.LEVEL
    folds: str = ""

    def __post_init__(self) -> None:
        for name in ("controls", "noise", "found", "missed", "unit", "fixed", "given"):
            value = getattr(self, name)
            if not isinstance(value, Mapping):
                object.__setattr__(self, name, names(value))
        if not 0 < self.level < 1 or (self.bounds and not self.bounds[0] < self.bounds[1]):
            raise ClaimError("claim", "a level is between 0 and 1, and bounds are in order")

    @property
    def why(self) -> dict[str, str]:
        """Each control with what it would explain."""
        named = self.controls
        return dict(named) if isinstance(named, Mapping) else dict.fromkeys(named, "")


def hypothesis(
    claim: Claim, condition: Condition, controls: Sequence[rule.Control] = ()
) -> rule.Hypothesis:
    """What the rule is asked. Raises: ClaimError: the condition has no range."""
    if math.isinf(condition.low) and math.isinf(condition.high):
        raise ClaimError("no-range", f"`{condition.text}` compares nothing; add a threshold")
    return rule.Hypothesis(
        condition.low,
        condition.high,
        controls=tuple(controls),
        found=tuple(claim.found),
        missed=tuple(claim.missed),
        level=claim.level,
        fewest=rule.FEWEST - (claim.unit == (claim.folds,)),
        folds=claim.folds,
    )


def bounded(sample: rule.Sample, bounds: tuple[float, float] | None) -> rule.Sample:
    """A sample whose units lie between declared bounds. Raises: ClaimError: one does not."""
    if bounds is None:
        return sample
    with np.errstate(all="ignore"):
        each = rule.compiled(sample.formula)[0](sample.cells)
    slack = 1e-9 * (bounds[1] - bounds[0])
    for x in each[(each < bounds[0] - slack) | (each > bounds[1] + slack)]:
        raise ClaimError("out-of-bounds", f"a unit has {x:g}, not {bounds[0]:g} to {bounds[1]:g}")
    return replace(sample, bounds=bounds, exact=True)


def mains(claim: Claim, condition: Condition, arms: Iterable[str]) -> tuple[str, ...]:
    """The arms that the claim may be about: those that it names, or the only one. Raises:
    ClaimError (unknown-arm, which-arm)."""
    others, named = [*claim.why, *claim.found, *claim.missed], condition.arms
    every = dict.fromkeys(arms)
    for arm in (*others, *claim.noise, *named, *names(claim.about)):
        if arm not in every:
            raise ClaimError("unknown-arm", f"no arm {arm}; {nearest(arm, every)}")
    found = named or tuple(arm for arm in every if arm not in others)
    if claim.about and (claim.about in found or not named):
        return (claim.about,)
    if claim.about or (not named and len(found) != 1):
        message = f"which arm is the claim about? {nearest(claim.about, found)}"
        raise ClaimError("which-arm", message, condition.text)
    return found if others else found[:1]


def decide(
    claim: Claim,
    controls: Sequence[rule.Control],
    mains: Sequence[str],
    conditions: Sequence[Condition],
    read: Callable[[Condition, str, str], rule.Sample],
) -> tuple[rule.Hypothesis, dict[str, rule.Sample], rule.Verdict]:
    """What the rule is asked, on what, and the verdict. Raises: ClaimError: it depends on which of
    several arms is judged.

    Args:
        conditions: the claim's own, and those that have to hold first.
        read: what decides a condition about an arm, with another in its place.
    """
    condition, *given = conditions
    found = []
    for main in mains:
        h = replace(hypothesis(claim, condition, controls), of=main)
        others = (*(arm for c in controls for arm in c.arms), *h.found, *h.missed)
        samples = {arm: read(condition, main, arm) for arm in (main, *others)}
        compared = [arm for arm in condition.arms if arm != main]
        with suppress(ClaimError):  # the other may have no such level
            if len(compared) == 1 and not samples[main].ends:  # as 1 of a ratio
                alike = rule.interval(read(condition, main, compared[0])).estimate
                h = replace(h, empty=round(alike, 12) if math.isfinite(alike) else 0.0)
        unmet = []
        for of in given:
            first = rule.judge_arm(hypothesis(claim, of), read(of, main, main), ())
            unmet += [of.text] * (first.outcome != "holds")
        found.append((h, samples, rule.judge(h, samples, unmet)))
    if len({verdict.outcome for _, _, verdict in found}) > 1:
        message = "which arm do the controls replace? the outcome depends on it: give about="
        raise ClaimError("which-arm", message + " or ".join(mains), condition.text)
    return found[0]


def judge_arrays(
    claim: Claim,
    arms: Mapping[str, xr.Dataset],
    functions: Mapping[str, Callable[..., Any]] | None = None,
) -> rule.Verdict:
    """Judge a claim about the measures of arms.

    A control with a dimension `draw` that is no unit has an arm for each draw. One whose numbers
    are the claim's own cannot test it, and leaves a claim that would hold undecided (no-test).

    Args:
        arms: measures by arm, with units and levels as dimensions.
        functions: functions that the condition names.

    Raises:
        ClaimError: the claim cannot be read, or the arms do not have what it names.
    """
    conditions = [parse(text, functions) for text in (claim.holds, *claim.given)]
    condition, about = conditions[0], mains(claim, conditions[0], arms)
    for arm in (a for a in claim.why if a in (*condition.arms, claim.about)):
        raise ClaimError("no-test", f"{arm} is part of the condition, and cannot be its control")
    units = tuple(claim.unit) or _only_dimension(condition, arms, about[0])
    claim = replace(claim, unit=units)
    controls, arms = _drawn(claim, arms)
    arms = {name: _averaged(x, claim) for name, x in arms.items()}

    def read(of: Condition, main: str, arm: str) -> rule.Sample:
        sample = reading.sample(of, arms, units, main, {main: arm})
        return bounded(sample, claim.bounds) if of is condition else sample

    h, samples, verdict = decide(claim, controls, about, conditions, read)
    own = samples[h.of].cells
    same = {arm for arm, x in samples.items() if np.array_equal(x.cells, own, equal_nan=True)}
    idle = [c for c in controls if same.intersection(c.arms)]
    if idle:
        able = replace(h, controls=tuple(c for c in controls if c not in idle))
        verdict = rule.judge(able, samples, [verdict.about] * (verdict.reason == "gate"))
    if idle and verdict.outcome == "holds":
        return replace(verdict, outcome="undecided", reason="no-test", about=idle[0].name)
    return verdict


def _only_dimension(
    condition: Condition, arms: Mapping[str, xr.Dataset], main: str
) -> tuple[str, ...]:
    named = {*condition.over, *(dim for c in condition.columns for dim, _ in c.levels)}
    read = [(arms[c.arm or main], c.name) for c in condition.columns]
    dims = [str(d) for data, name in read for d in data.get(name, data).dims if d not in named]
    units = tuple(dict.fromkeys(dims))
    if len(units) != 1:
        raise ClaimError("unit", f"say what the units are: {', '.join(units) or 'nothing varies'}")
    return units


def _drawn(
    claim: Claim, arms: Mapping[str, xr.Dataset]
) -> tuple[list[rule.Control], dict[str, xr.Dataset]]:
    """The controls, with an arm for each draw."""
    controls, every = list[rule.Control](), dict(arms)
    for name in claim.why:
        names = [name]
        if "draw" in arms[name].dims and "draw" not in claim.unit:
            labels = arms[name].get_index("draw")
            names = [f"{name} {label}" for label in labels]
            every |= {n: arms[name].isel(draw=k) for k, n in enumerate(names)}
        controls.append(rule.Control(name, tuple(names), name in claim.noise))
    return controls, every


def _averaged(data: xr.Dataset, claim: Claim) -> xr.Dataset:
    """An arm's measures over units and levels alone."""
    over = [d for d in (*claim.fixed, *REPEATS) if d in data.dims and d not in claim.unit]
    return data.mean(over, skipna=False) if over else data
