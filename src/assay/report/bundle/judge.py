"""Judge the claims of this bundle again, from its numbers, with NumPy and nothing else.

    python judge.py

judges every claim, prints it with its controls, and compares with the verdicts that the bundle
states. It exits with 0 where everything is as stated, with 1 where a file or a verdict is not, and
with 2 where the bundle cannot be read.

This file was written to be read. In order: two laws of chance, means with weights, the intervals,
the contrast of two arms, the verdict on one arm, the verdict on a claim, statistics as steps, a
study's measures, and what is compared. It knows the second edition of the rule. Limits and
estimates agree with Assay's to rounding: `CLOSE` says how closely."""

from __future__ import annotations

import functools
import hashlib
import io
import itertools
import json
import math
import os
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

HERE = Path(__file__).resolve().parent
DRAWS, BOUNDED_DRAWS, CHUNK = 10_000, 20_000, 500
EDITION = 2
LEVEL = 0.95
"""Of the intervals that decide, where a claim is not one of several along a sweep."""
FEWEST, FOLD, FEWEST_FOLDS = 6, "fold", 5
"""Units from which on skew is corrected for, and two arms are compared unit by unit; of a unit that
is a fold of a cross-validation, fewer are enough."""
FEW = 12
"""Fewer units between natural bounds always have exact limits."""
UNDEFINED = 0.01
"""Share of draws in which a statistic may be undefined."""
CLOSE = 1e-6
"""Limits and estimates agree where they differ by less than this share of the interval's width (or
of the number, if that is more)."""
nan = math.nan


# ---- two laws of chance --------------------------------------------------------------------------


def beta_cdf(x, a, b):
    """The chance that a Beta(a, b) number is below x: the regularised incomplete beta function, by
    its continued fraction, from the inside out."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1.0 - beta_cdf(1 - x, b, a)
    fraction = 1.0
    for m in reversed(range(30 + 3 * math.isqrt(int(a + b)))):
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        even = (m + 1) * (b - m - 1) * x / ((a + 2 * m + 1) * (a + 2 * m + 2))
        fraction = 1 + odd / (1 + even / fraction)
    logs = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(logs + a * math.log(x) + b * math.log1p(-x)) / a / fraction


@functools.cache
def beta_quantile(a, b, q):
    """The number below which a Beta(a, b) number lies with chance q, by halving."""
    low, middle, high = 0.0, 0.5, 1.0
    while low < middle < high:
        low, high = (middle, high) if beta_cdf(middle, a, b) < q else (low, middle)
        middle = (low + high) / 2
    return middle


def t_quantile(df, q):
    """Student's t below which a share q > 1/2 lies: df / (df + t²) is a Beta(df/2, 1/2) number."""
    x = beta_quantile(df / 2, 0.5, 2 * (1 - q))
    return math.sqrt(df * (1 - x) / x)


# ---- means with weights --------------------------------------------------------------------------


class Cells:
    """The terms of a claim as one array [a, b, column] over one or two factors of units; the last
    column counts.

    Columns hold deviations from one unit: equal numbers then average to exactly that number. A cell
    that lacks a term counts in none."""

    def __init__(self, terms, factors):
        shape = next(iter(terms.values())).shape[:factors] + (1,) * (2 - factors)
        self.shapes = {name: x.shape[factors:] for name, x in terms.items()}
        flat = [x.reshape(*shape, math.prod(x.shape[factors:])) for x in terms.values()]
        present = complete(terms, factors).reshape(shape)
        filled = np.ix_(present.any(1), present.any(0))
        self.present = present[filled]
        self.n = self.present.shape[:factors]
        known = [np.where(present[..., None], x, 0.0)[filled] for x in flat]
        columns = np.concatenate(known, -1)
        self.zero = columns[self.present][0]
        columns = (columns - self.zero) * self.present[..., None]
        self.columns = np.concatenate([columns, self.present[..., None]], -1)

    def value(self, statistic, sums):
        """The statistic of the weighted means that belong to sums [draw, column]."""
        counts, by_term, start = sums[:, -1:], {}, 0
        with np.errstate(all="ignore"):
            means = self.zero + sums[:, :-1] / np.where(counts > 0, counts, nan)
            for name, shape in self.shapes.items():
                part = means[:, start : start + math.prod(shape)]
                by_term[name], start = part.reshape(len(sums), *shape), start + math.prod(shape)
            return np.asarray(statistic(by_term), dtype=np.float64).reshape(len(sums))

    def resampled(self):
        """The sums of every bootstrap draw: levels of both factors are drawn with replacement, each
        factor on its own."""
        rng = np.random.default_rng(0)
        for _ in range(0, DRAWS, CHUNK):
            counts = (rng.multinomial(n, np.full(n, 1 / n), CHUNK) for n in self.present.shape)
            yield np.einsum("ka,kb,abc->kc", *counts, self.columns, optimize=True)


def complete(terms, factors):
    """Which cells have a number in every term."""
    axes = {name: tuple(range(factors, x.ndim)) for name, x in terms.items()}
    full = [~np.isnan(x).any(axes[name]) for name, x in terms.items()]
    return np.logical_and.reduce(full)


# ---- the intervals -------------------------------------------------------------------------------


class Interval(NamedTuple):
    """An estimate with what its limits at any level are made of."""

    estimate: float = nan
    low: float = nan
    high: float = nan
    n: tuple = ()
    """Units of each factor."""
    points: np.ndarray = np.empty(0)
    """The statistic of each level of the first factor by itself."""
    variance: float = nan
    third: float = nan
    """The third cumulant of the estimate."""
    df: float = 0.0
    undefined: float = 1.0
    """In which share of a bootstrap's draws the statistic is not defined."""
    bounds: list | None = None
    """Between which numbers units lie, of exact limits."""
    rounding: float = 0.0
    """By how much rounding may have moved the estimate: limits are wider by it."""

    def limits(self, level):
        """The hull of two intervals, Student's t and t corrected for skew, of few units the first
        alone; or exact limits."""
        if self.bounds:
            points = self.points[np.isfinite(self.points)]
            # Of two factors all cells are one number, and so many of them share no level.
            points = points[: min(self.n)] if len(self.n) == 2 else points
            return bounded(points, self.estimate, self.bounds, level)
        if self.df < 1:
            return nan, nan
        t, error = t_quantile(self.df, (1 + level) / 2), math.sqrt(self.variance)
        few = min(self.n) < FEWEST
        most, least = (q if few else _hall(q, self.third, self.variance) for q in (t, -t))
        low, high = (self.estimate - error * x for x in (max(t, most), min(-t, least)))
        return low - self.rounding, high + self.rounding

    def limited(self, level):
        """Give the same with its limits at a level."""
        low, high = self.limits(level)
        return self._replace(low=low, high=high)


def interval(terms, statistic, units, draws=True):
    """An estimate with what its limits are made of.

    Student: estimate -/+ t sqrt(V), V the jackknife's variance (for two factors V_a + V_b - V_ab,
    and not below V_a or V_b), t of n - 1 degrees of freedom (for two factors Satterthwaite's).
    Skew: Hall's transformation of t by the third cumulant over V^(3/2).
    Folds share training data: of k folds V is 1 + k/(k - 1) times as much (Nadeau, Bengio 2003).
    Draws of a bootstrap only tell in which share of them the statistic is not defined.
    """
    factors = len(units)
    if not complete(terms, factors).any():
        return Interval(n=(0,) * factors)
    cells = Cells(terms, factors)
    total = cells.columns.sum((0, 1))
    by_level = [cells.columns.sum(1 - axis) for axis in range(factors)]
    theta = float(cells.value(statistic, total[None])[0])
    i = Interval(theta, n=cells.n, points=cells.value(statistic, by_level[0]))
    if min(cells.n) < 2:
        return i._replace(undefined=float(not math.isfinite(theta)))
    left_out = [cells.value(statistic, total - sums) for sums in by_level]
    shared = [1 + k / (k - 1) if u == FOLD else 1.0 for u, k in zip(units, cells.n, strict=True)]
    parts = [_jackknife(x) * by for x, by in zip(left_out, shared, strict=True)]
    thirds = [_third(x) * by**1.5 for x, by in zip(left_out, shared, strict=True)]
    variance, third = parts[0], sum(thirds)
    if factors == 2:
        left_out.append(cells.value(statistic, total - cells.columns[cells.present]))
        variance = max(sum(parts) - _jackknife(left_out[2]), *parts)
    spread = sum(part**2 / (m - 1) for part, m in zip(parts, cells.n, strict=True))
    df = variance**2 / spread if factors == 2 and spread > 0 else min(cells.n) - 1.0
    i = i._replace(variance=variance, third=third, df=df, undefined=0.0)
    if not draws or (statistic is mean and cells.present.all()):
        return i
    if not math.isfinite(theta) or not all(np.isfinite(x).all() for x in left_out):
        return i._replace(undefined=1.0)
    values = np.concatenate([_draws(cells, statistic, sums) for sums in cells.resampled()])
    return i._replace(undefined=1 - float(np.isfinite(values).mean()))


def _draws(cells, statistic, sums):
    """The statistic in each draw; not defined where what it divides by changes its sign."""
    values = cells.value(statistic, sums)
    for divisor in getattr(statistic, "divisors", ()):
        side = np.sign(cells.value(divisor, cells.columns.sum((0, 1))[None]))
        values = np.where(np.sign(cells.value(divisor, sums)) == side, values, nan)
    return values


def _jackknife(left_out):
    """The variance of the estimate that one factor causes."""
    return float((len(left_out) - 1) * np.var(left_out - left_out[0]))


def _third(left_out):
    """The third cumulant of the estimate that one factor causes, by plain moments."""
    n = len(left_out)
    return float(((n - 1) / n) ** 1.5 * np.sum((left_out.mean() - left_out) ** 3))


def _hall(q, third, variance):
    c = third / variance**1.5 if variance > 0 else 0.0
    if abs(c) < 1e-6 or not math.isfinite(c):
        return q
    bent = 3 / c * (float(np.cbrt(max(1 + c * (q - c / 6), 0.0))) - 1)
    return max(-2 * abs(q), min(2 * abs(q), bent))


def bounded(points, estimate, bounds, level):
    """The exact interval of a mean of units between two bounds (Gaffke 2005; Clopper and Pearson
    1934 where units are only at bounds).

    The upper limit is a quantile of the mean of the units and one more at the upper bound, with
    Dirichlet(1, ..., 1) weights; the lower one has the lower bound in its place."""
    if not len(points):
        return nan, nan
    error = (1 - level) / 2
    low = _dirichlet(points, bounds[0], error)
    high = _dirichlet(points, bounds[1], 1 - error)
    return max(bounds[0], min(low, estimate)), min(bounds[1], max(high, estimate))


def _dirichlet(x, bound, q):
    values, times = np.unique(np.append(x, bound), return_counts=True)
    if len(values) == 1:
        return float(bound)
    if len(values) == 2:
        share = beta_quantile(int(times[1]), int(times[0]), q)
        return float(values[0] + (values[1] - values[0]) * share)
    shape, bits = (BOUNDED_DRAWS, len(x) + 1), np.random.Philox(key=(2 << 64) + len(x))
    raw = (bits.random_raw(math.prod(shape)) >> np.uint64(11)).reshape(shape)
    weights = -np.log((raw.astype(np.float64) + 0.5) / 2.0**53)
    means = weights @ np.append(np.sort(x), bound) / weights.sum(1)
    return float(np.quantile(means, q))


# ---- the contrast of two arms --------------------------------------------------------------------


def contrast(claim, method, control):
    """How far the method lies from a control: an interval like any other, of method less control.

    By the statistic's own way to compare two arms, by logarithms where it is a ratio and both have
    some, or by the difference."""

    def f(side, arm, m):
        return arm["function"]({k[len(side) :]: x for k, x in m.items() if k.startswith(side)})

    def difference(m):
        return f("method.", method, m) - f("control.", control, m)

    def of_logarithms(m):
        return np.log(f("method.", method, m)) - np.log(f("control.", control, m))

    ways = [of_logarithms] if claim.get("ratio") else []
    for way in (*ways, control.get("contrast") or difference):
        i = _compared(claim, method, control, way)
        if i.undefined <= UNDEFINED:
            break
    return i


def _compared(claim, method, control, way):
    """On the levels that both arms have, where these are enough; else as independent."""
    units, level = claim["units"], level_of(claim)
    draws = not (method["function"] is mean and control["function"] is mean)
    first, second = (
        {f"{side}.{name}": x for name, x in arm["terms"].items()}
        for side, arm in (("method", method), ("control", control))
    )
    levels = [[arm["unit_levels"][u] for arm in (method, control)] for u in units]
    common = [np.intersect1d(*pair, return_indices=True)[1:] for pair in levels]
    enough = FEWEST_FOLDS if [*units] == [FOLD] else FEWEST
    if min(len(rows) for rows, _ in common) >= enough:
        both = {name: x[np.ix_(*(rows for rows, _ in common))] for name, x in first.items()}
        both |= {name: x[np.ix_(*(rows for _, rows in common))] for name, x in second.items()}
        i = interval(both, way, units, draws)
        if min(i.n) >= enough:
            return i.limited(level)

    def with_fixed(fixed):
        """The contrast as a statistic of one arm, the means of the other as they are."""
        present = complete(fixed, len(units))
        means = {name: x[present].mean(0) for name, x in fixed.items()}
        return lambda m: way({**m, **{k: _repeated(x, m) for k, x in means.items()}})

    a = interval(first, with_fixed(second), units, draws)
    b = interval(second, with_fixed(first), units, draws)
    spread = sum(i.variance**2 / max(i.df, 1) for i in (a, b))
    variance = a.variance + b.variance
    df = variance**2 / spread if spread > 0 else min(a.df, b.df)
    n = tuple(map(min, zip(a.n, b.n, strict=True)))
    i = a._replace(variance=variance, df=df, third=a.third + b.third, n=n).limited(level)
    return i._replace(undefined=max(a.undefined, b.undefined))


def _repeated(x, m):
    """A mean once for each draw of others."""
    return np.broadcast_to(x, (len(next(iter(m.values()))), *np.shape(x)))


# ---- the verdict on one arm ----------------------------------------------------------------------

SCALES = {
    "plain": (lambda x: x, lambda y: y),
    "log": (np.log, np.exp),
    "log1m": (lambda x: -np.log1p(-x), lambda y: -np.expm1(-y)),
    "logit": (lambda x: np.log(x) - np.log1p(-x), lambda y: 1 / (1 + np.exp(-y))),
}
"""On what scale units are averaged, and how to come back."""


def level_of(claim):
    """The level of the intervals that decide a claim: stricter where those of several along a sweep
    hold at once."""
    return max(LEVEL, claim.get("level", LEVEL))


def ends(claim, which="range"):
    """The least and the greatest value to hold, or by "fail_range" not to fail, on the scale of
    judging."""
    (least, greatest), scale = claim[which], SCALES[claim["scale"]][0]
    return (
        -math.inf if least is None else float(scale(least)),
        math.inf if greatest is None else float(scale(greatest)),
    )


def outside(claim, low, high, which="range"):
    """Whether an interval lies outside of the range to hold, or by "fail_range" to fail."""
    least, greatest = ends(claim, which)
    return high < least or low > greatest


def place(claim, i):
    """What an interval says: it holds within the one range, fails outside of the other. One that
    was moved beyond bounds counts as far as these."""
    low, high = np.clip((i.low, i.high), *i.bounds) if i.bounds else (i.low, i.high)
    least, greatest = ends(claim)
    if least <= low and high <= greatest:
        return "holds"
    return "fails" if outside(claim, low, high, "fail_range") else "undecided"


def interval_of(claim, terms, function, level, draws=True):
    """The interval that decides; `function` is the statistic."""
    bounds = exact_bounds(claim, terms, function)
    i = interval(terms, function, claim["units"], draws and not bounds)
    if min(i.n) < 2:
        return i
    more = {"bounds": bounds} if bounds else {"rounding": claim.get("rounding", 0.0)}
    return i._replace(**more).limited(level)


def grouped(claim, data, i, level):
    """Widen an interval so that it is also right with groups of units as units: each grouping by
    itself, and, where there is one unit, every two of them crossed."""
    low, high, one_unit = i.low, i.high, len(claim["units"]) == 1
    for unit, groupings in claim.get("groups", {}).items():
        axis, levels = claim["units"].index(unit), [str(x) for x in data["unit_levels"][unit]]
        codes = [
            np.unique([group_of.get(x, x) for x in levels], return_inverse=True)[1]
            for group_of in groupings.values()
        ]
        pairs = itertools.combinations(codes, 2) if one_unit else ()
        for some in (*((code,) for code in codes), *pairs):
            counts = [code.max(initial=0) + 1 for code in some]
            nested = len(some) > 1 and np.unique(np.stack(some), axis=1).shape[1] == max(counts)
            if nested or min(counts) < 2:
                continue
            terms = {term: _by_group(x, axis, some) for term, x in data["terms"].items()}
            factors = len(claim["units"]) - 1 + len(some)
            of_groups = interval(terms, data["function"], ["group"] * factors, draws=False)
            of_groups = of_groups.limited(level)
            if math.isfinite(of_groups.low):
                low = min(low, i.estimate + of_groups.low - of_groups.estimate)
                high = max(high, i.estimate + of_groups.high - of_groups.estimate)
    return i._replace(low=low, high=high)


def _by_group(x, axis, some):
    """Means of units in each group, or in each cell of two groupings; NaN where there is none."""
    x = np.moveaxis(x, axis, 0)
    shape = (*(code.max() + 1 for code in some), *x.shape[1:])
    sums, counts, known = np.zeros(shape), np.zeros(shape), np.isfinite(x)
    np.add.at(sums, tuple(some), np.where(known, x, 0.0))
    np.add.at(counts, tuple(some), known)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), nan)
    return np.moveaxis(means, 0, axis) if len(some) == 1 else means


def exact_bounds(claim, terms, function):
    """Between which numbers units lie that get exact limits: bounds that the claim names, or
    natural ones where t misleads (of a claim without a condition in words, where all units lie on
    one); of two factors only where all cells lie on the same one."""
    if function is not mean or len(terms) != 1:
        return None
    (x,) = terms.values()
    present, bounds = ~np.isnan(x), claim["bounds"]
    natural = claim["natural"] if claim["scale"] == "plain" else None
    natural = None if natural and None in natural else natural
    if not present.any():
        return bounds if len(claim["units"]) == 1 else None
    if FOLD in claim["units"] and len(np.unique(x[present])) > 1:
        return None
    if len(claim["units"]) == 1 and natural:
        worded, on = claim["condition"], np.isin(x[present], natural).all()
        return bounds or (natural if (misleads(x[present], natural) if worded else on) else None)
    if len(claim["units"]) == 1:
        return bounds
    x, bounds = x[present.any(1)][:, present.any(0)], bounds or natural or ()
    return bounds if len(bounds) and x[0, 0] in bounds and (x == x[0, 0]).all() else None


def misleads(x, natural):
    """Whether Student's t is known to be wrong for units between natural bounds: they are fewer
    than 12, one lies on a bound, or half of them or more have the same number."""
    low, high = natural
    if not low < high or (x < low).any() or (x > high).any():
        return False
    _, times = np.unique(np.round(x / (high - low), 12), return_counts=True)
    return len(x) < FEW or bool(np.isin(x, natural).any()) or 2 * times.max() >= len(x)


def judge_arm(claim, name, gated=False, level=None):
    """The verdict that one arm's numbers give by themselves, at the claim's level unless another is
    named: outcome, reason, estimate, interval and units.

    `claim["arms"][name]` has the terms, and the statistic as a function; the levels of each unit;
    how many units diverged and which they are; how many there were before; the fewest units that
    are enough; gates, as stated."""
    data, units = claim["arms"][name], claim["units"]
    bad, fewest, level = data["dropped"], data["fewest"], level or level_of(claim)
    i = interval_of(claim, data["terms"], data["function"], level)
    i = grouped(claim, data, i, level) if name == claim["of"] else i
    outcome, n = place(claim, i), dict(zip(units, i.n, strict=True))
    few_lost = bad <= data["before"] / 4
    survived = not bad or (few_lost and worst_agree(claim, data, outcome, level))
    gates = dict(data["gates"]) if gated and i.n[0] else {}
    if i.n[0] and not i.undefined <= UNDEFINED:
        gates["divisor" if getattr(data["function"], "divisors", ()) else "overlap"] = False
    counted = {u: k + bad * (u == data["run_unit"]) for u, k in n.items()}
    short = [u for u in units if counted[u] < fewest]
    survived = survived and all(k >= fewest for u, k in n.items() if u not in short)
    unmet = [gate for gate, met in gates.items() if not met]
    identical = claim.get("identical") and outcome == "fails"
    rules = (  # the first that applies is the reason
        (short, f"too few units: {min(counted.values())} of {fewest} "),
        (not survived, "diverged"),
        (unmet, f"gate {''.join(unmet[:1])}"),
        (outcome == "undecided", "interval straddles"),
        (name != claim["of"] or not units_agree(claim, data["function"], i), ""),
        (True, "identical in every unit" if identical else "units agree"),
    )
    reason = next(words for applies, words in rules if applies)
    if reason not in ("", "identical in every unit"):
        outcome = "undecided"
    back = SCALES[claim["scale"]][1]
    numbers = {k: float(back(getattr(i, k))) for k in ("estimate", "low", "high")}
    verdict = {"arm": name, "outcome": outcome, "reason": reason, "n": n, "i": i}
    return {**verdict, **numbers, "lacks": data["lacks"]}


def units_agree(claim, function, i):
    """Whether half of the units or more have one and the same number, so that how far others may
    lie is not known."""
    if i.bounds or i.rounding or min(i.n) < 2:
        return False
    points = i.points[np.isfinite(i.points)]
    single = len(claim["units"]) == 1 and function is mean and len(points)
    if i.variance == 0 or not single:
        return i.variance == 0
    _, times = np.unique([float(f"{x:.12g}") for x in points], return_counts=True)
    both = (*ends(claim), *ends(claim, "fail_range"))
    largest = max((abs(e) for e in both if math.isfinite(e)), default=0.0)
    near = np.abs(points - np.median(points)) <= 1e-12 * largest
    return bool(max(times.max(), near.sum()) >= 0.5 * len(points))


def worst_agree(claim, data, outcome, level):
    """Whether the outcome stays where the lost units are counted as copies of the lowest, then of
    the highest, of the others."""
    unit, terms, function = data["run_unit"], data["terms"], data["function"]
    if unit not in claim["units"]:
        return False
    axis = claim["units"].index(unit)
    turned = {name: x.swapaxes(0, axis) for name, x in terms.items()}
    points = interval(turned, function, claim["units"], draws=False).points
    points = np.where(np.isfinite(points), points, nan)
    if len(points) != len(data["unit_levels"][unit]) or np.isnan(points).all():
        return False
    outcomes = {outcome}
    for worst in (np.nanargmin(points), np.nanargmax(points)):
        rows = [*range(len(points)), *[worst] * data["dropped"]]
        filled = {name: x.take(rows, axis) for name, x in terms.items()}
        outcomes.add(place(claim, interval_of(claim, filled, function, level)))
    return len(outcomes) == 1


# ---- the verdict on a claim ----------------------------------------------------------------------


EARLY = ("too few", "diverged", "gate", "units agree", "identical")
"""Reasons why an arm could not be judged itself, which are given before any about others."""


def judge_claim(claim):
    """The verdict on a claim: what its own arm says, unless a control, a planted effect, or an arm
    that lacks what is credited speaks against it."""
    method = judge_arm(claim, claim["of"], gated=True)
    controls = {name: as_control(claim, method, name) for name in claim["must_fail"]}
    is_effect = method["outcome"] == "fails" or has_effect(claim, method["i"])
    automatic = () if is_effect else claim.get("automatic", ())
    for name in (x for x in automatic if x in controls and not is_outside(claim, controls[x])):
        del controls[name]
    planted = {name: judge_arm(claim, name, gated=True) for name in claim["must_hold"]}
    violations = {name: judge_arm(claim, name) for name in claim["violations"]}
    judged = {claim["of"], *claim["must_fail"], *planted, *violations}
    usual = min(level_of(claim), LEVEL)
    rivals = {arm: judge_arm(claim, arm, level=usual) for arm in claim["arms"] if arm not in judged}
    every = {**controls, **planted, **violations, **rivals}

    def having(arms, *outcomes):
        return [name for name, v in arms.items() if v["outcome"] in outcomes]

    missed, passing = having(planted, "fails", "undecided"), having(controls, "holds")
    unbeaten, also = having(controls, "undecided"), having(rivals, "holds")
    lacking = [name for name in having(every, "holds") if every[name]["lacks"]]
    null = is_null(claim, every, automatic)
    blindness = blind(claim, controls, violations) if null else ""
    satisfy = "satisfy" if lacking[1:] else "satisfies"
    unlearned = f"{', '.join(lacking)} {satisfy} it too, unlearned"
    outcome, reason = method["outcome"], method["reason"]
    tied = reason == "units agree" and place(claim, method["i"]) == "holds"
    missed = [] if reason.startswith(EARLY) else missed
    rules = (  # the first that applies decides; only what holds can be unspecific
        (missed, "undecided", f"planted {''.join(missed[:1])} not found"),
        (outcome != "holds" and not (tied and passing), outcome, reason),
        (passing, "unspecific", f"control {', '.join(passing)} satisfies it too"),
        (blindness, "undecided", blindness),
        (lacking and not null, "unspecific", unlearned),
        (not controls, "undecided", "no control could be made"),
        (unbeaten, "undecided", f"control {''.join(unbeaten[:1])} not beaten"),
        (True, outcome, reason),
    )
    _, outcome, reason = next(rule for rule in rules if rule[0])
    roles = {"controls": controls, "planted": planted, "violations": violations}
    roles["also"] = {name: rivals[name] for name in also}
    return {**method, **roles, "outcome": outcome, "reason": reason}


def as_control(claim, method, name):
    """The verdict on a control as such: it fails where its own interval, at 80 % where the claim's
    is at 95 %, lies outside of the range to hold, and the method beyond it on the range's side."""
    v = judge_arm(claim, name)
    if v["outcome"] == "holds" or v["reason"] not in DECIDABLE:
        return v
    if not outside(claim, *v["i"].limits(max(0.0, 1 - 4 * (1 - level_of(claim))))):
        return {**v, "outcome": "undecided", "reason": "interval straddles"}
    if method["outcome"] == "holds" and not beaten(claim, method, v):
        return {**v, "outcome": "undecided", "reason": "not told from the method"}
    return {**v, "outcome": "fails", "reason": ""}


def beaten(claim, method, v):
    """Whether the method lies beyond a control, by their contrast, or by exact limits that do not
    meet."""
    ours, control = method["i"], v["i"]
    i = contrast(claim, claim["arms"][claim["of"]], claim["arms"][v["arm"]])
    below = control.estimate < ends(claim)[0]
    gap = i.low if below else -i.high
    exact = ours.low - control.high if below else control.low - ours.high
    if gap > claim["beats"] and i.undefined <= UNDEFINED:
        return True
    return ours.bounds and control.bounds and exact > claim["beats"]


DECIDABLE = ("", "interval straddles", "not told from the method")
"""Reasons that leave no doubt about an arm but where its number lies."""


def is_outside(claim, v):
    """Whether an arm is seen to lie outside of the range to hold."""
    return v["reason"] in DECIDABLE and outside(claim, v["i"].low, v["i"].high)


def nothing(claim):
    """The value where there is nothing, on the scale of judging."""
    if claim["empty"] is None:
        return nan if claim["scale"] in ("log", "logit") else 0.0
    return float(SCALES[claim["scale"]][0](claim["empty"]))


def has_effect(claim, i):
    """Whether a claim with one edge is true with an effect to the other side that is larger than
    what it allows: it then credits this effect."""
    (least, greatest), zero = ends(claim), nothing(claim)
    if math.isinf(greatest):
        return i.low > 2 * zero - least
    return math.isinf(least) and i.high < 2 * zero - greatest


def is_null(claim, every, automatic):
    """Whether the range contains nothing within its ends, and no arm that lacks what is credited,
    no automatic control and no arm without the change lies outside of it."""
    least, greatest = ends(claim)
    others = (*automatic, claim.get("unchanged"))
    asked = [v for name, v in every.items() if v["lacks"] or name in others]
    return least < nothing(claim) < greatest and not any(is_outside(claim, v) for v in asked)


def blind(claim, controls, violations):
    """Why a claim that nothing is there does not show that it would see a little; "" if it does."""
    (least, greatest), zero = ends(claim), nothing(claim)
    for name, v in violations.items():
        if not is_outside(claim, v):
            return f"violation {name} not found"
    for name, v in {**controls, **violations}.items():
        x = v["i"].estimate
        edge = greatest if x > greatest else least
        shows = name not in violations or abs(x - zero) <= 2 * abs(edge - zero)
        if shows and is_outside(claim, v):
            return ""
    return "blind"


# ---- statistics as steps -------------------------------------------------------------------------

_PLAIN = """
absolute add bitwise_and bitwise_or bitwise_xor invert arctan2 cbrt ceil cos divide equal exp exp2
expm1 floor fmax fmin greater greater_equal isfinite isinf isnan less less_equal log log10 log1p
log2 logical_and logical_not logical_or matmul maximum minimum multiply negative not_equal positive
power reciprocal remainder sign sin sqrt square subtract tanh float_power hypot mean sum min max
amin amax argsort argmin argmax sort reshape transpose clip prod any all cumsum swapaxes std var
where take_along_axis concatenate stack broadcast_to nanmean nansum nanmin nanmax nanmedian median
moveaxis expand_dims squeeze diff take einsum quantile percentile average nan_to_num ptp flip
cumprod tensordot dot outer full_like zeros_like ones_like trapezoid ravel repeat tile abs
"""
OPERATIONS = {name: getattr(np, name) for name in _PLAIN.split() if hasattr(np, name)}
OPERATIONS |= {
    f"{name}.{how}": getattr(getattr(np, name), how)
    for how in ("reduce", "accumulate")
    for name in ("add", "maximum", "minimum", "multiply", "logical_and", "logical_or")
}
OPERATIONS |= {
    "getitem": lambda x, index: x[index],
    "astype": lambda x: x.astype(np.float64),
}
"""All that a step may do; each is the operation of NumPy of that name."""


def follow(steps, means):
    """The value of a statistic that is written as steps, for means {name: [draw, ...]}; see
    claims.json."""
    values = []

    def read(operand):
        if isinstance(operand, list):
            return [read(x) for x in operand]
        if not isinstance(operand, dict):
            return operand
        (key,) = set(operand) - {"kind", "shape"}
        return kinds[key](operand[key], operand)

    def numbers(values, operand):
        kind = {"b": bool, "f": float}.get(operand["kind"], int)
        return np.array(values, kind).reshape(operand["shape"])

    kinds = {
        "step": lambda v, _: values[v],
        "term": lambda v, _: means[v],
        "draws": lambda v, _: len(next(iter(means.values()))),
        "slice": lambda v, _: slice(*v),
        "new": lambda v, _: None,
        "all": lambda v, _: Ellipsis,
        "tuple": lambda v, _: tuple(map(read, v)),
        "list": lambda v, _: list(map(read, v)),
        "numbers": numbers,
    }
    for step in steps:
        options = {name: read(v) for name, v in step.get("and", {}).items()}
        values.append(OPERATIONS[step["do"]](*map(read, step["with"]), **options))
    return np.asarray(values[-1], dtype=np.float64)


def mean(m):
    """The mean of the only term."""
    (only,) = m.values()
    return only


# ---- a study's measures --------------------------------------------------------------------------


class Measures:
    """What was measured, arm by arm, as measures/index.json lists it; `load` gives the arrays of a
    file by their keys."""

    def __init__(self, index, load):
        self.index, self.load = index, functools.cache(load)

    def terms(self, claim, under):
        """The terms of a claim with an arm in the method's place, of the units that it has."""
        unit_levels, columns = claim["arms"][under]["unit_levels"], {}
        for key, read in claim["reads"].items():
            columns[key] = self.column(claim, read, read["arm"] or under, unit_levels)
        return {name: follow(steps, columns) for name, steps in claim["terms"].items()}

    def column(self, claim, read, arm, unit_levels):
        """A measure over the units and whatever else runs differ in, at the levels and averaged
        over the dimensions that are named; runs that share all units are averaged, too."""
        entry, units = self.index[arm], claim["units"]
        variable, levels = entry["variables"][read["measure"]], entry["levels"]
        x, axes = self.load(entry["file"])[variable["key"]], variable["dims"]
        for unit in (unit for unit in unit_levels if unit in axes):
            rows = [levels[unit].index(level) for level in unit_levels[unit]]
            x = x.take(rows, axes.index(unit))
        chosen = {**claim["where"], **dict(read["at"])}
        places = {dim: levels[dim].index(chosen[dim]) for dim in axes if dim in chosen}
        x = x[tuple(places.get(dim, slice(None)) for dim in axes)].astype(np.float64)
        axes = [dim for dim in axes if dim not in places]
        over = {*read["over"], *({"seed"} - {*units})}
        x = x.mean(tuple(k for k, dim in enumerate(axes) if dim in over))
        axes = [dim for dim in axes if dim not in over]
        order = [*units, *(dim for dim in axes if dim not in units)]
        x = x.transpose([axes.index(dim) for dim in order if dim in axes])
        new = tuple(k for k, unit in enumerate(units) if unit not in axes)
        return np.expand_dims(x, new)


# ---- what is compared ----------------------------------------------------------------------------


def read_here(name):
    """The content of a file of this bundle."""
    return (HERE / name).read_bytes()


def arrays(content):
    """The arrays of a .npz file by their keys."""
    return dict(np.load(io.BytesIO(content)))


def changed_files(read=read_here):
    """Every file whose SHA-256 is not the one that SHA256SUMS names, and every one that is
    missing."""
    changed = []
    for line in read("SHA256SUMS").decode().splitlines():
        digest, _, name = line.partition("  ")
        try:
            same = hashlib.sha256(read(name)).hexdigest() == digest
        except OSError:
            same = False
        changed += [] if same else [name]
    return changed


def _followed(statistic):
    """A statistic that is written as steps, as a function that knows what it divides by."""
    function = functools.partial(follow, statistic["steps"])
    function.divisors = [functools.partial(follow, x) for x in statistic.get("divisors", ())]
    return function


def with_numbers(claim, load, measures):
    """Give a claim the numbers of its arms on the scale of judging, and its statistic as a
    function; `load` gives the arrays of a file."""
    numbers = load(claim["file"]) if "file" in claim else {}
    follows = [_followed(s) if "steps" in s else mean for s in claim["statistics"]]
    scale = SCALES[claim["scale"]][0]
    with np.errstate(all="ignore"):
        for name, table in claim["arms"].items():
            terms = {term: numbers[key] for term, key in table["terms"].items()}
            terms = measures.terms(claim, name) if "terms" in claim else terms
            table["terms"] = {term: scale(x) for term, x in terms.items()}
            for key, to in (("statistic", "function"), ("contrast", "contrast")):
                table[to] = None if table.get(key) is None else follows[table[key]]
    return claim


def differences(stated, verdict):
    """Every way in which a verdict differs from what is stated, in words."""
    lines = []
    for kind in ("outcome", "reason"):
        a, b = stated[kind], verdict[kind]
        if (not b.startswith("too few") and a != b) or not a.startswith(b):
            lines.append(f"{kind} is {b or 'none'!r}, stated is {a or 'none'!r}")
    if stated["n"] != verdict["n"]:
        lines.append(f"{verdict['n']} units, stated are {stated['n']}")
    keys = ("estimate", "low", "high")
    theirs = [nan if stated[k] is None else stated[k] for k in keys]
    ours = [verdict[k] if math.isfinite(verdict[k]) else nan for k in keys]
    width = theirs[2] - theirs[1] if math.isfinite(theirs[2] - theirs[1]) else 0.0
    close = np.isclose(ours, theirs, 1e-9, CLOSE * width + 1e-12, equal_nan=True)
    off = [(k, a, b) for k, a, b, same in zip(keys, ours, theirs, close, strict=True) if not same]
    lines += [f"{k} is {a:.9g}, stated is {b:.9g}" for k, a, b in off]
    return [f"{verdict['arm']}: {line}" for line in lines]


def compared(stated, verdict):
    """Every way in which a claim comes out otherwise, its controls, planted effects and the other
    arms that hold among it."""
    if (edition := stated.get("edition", 1)) != EDITION:
        return [f"stated by edition {edition} of the rule, judged by edition {EDITION}"]
    lines = differences(stated, verdict)
    for role in ("controls", "planted", "violations"):
        theirs, ours = stated.get(role, {}), verdict[role]
        for arm in {**theirs, **ours}:
            if arm in theirs and arm in ours:
                lines += differences(theirs[arm], ours[arm])
            else:
                lines.append(f"{arm}: only one of the two judges it")
    ours, theirs = sorted(verdict["also"]), sorted(stated["also"])
    if ours != theirs:
        lines.append(f"other arms that hold: {ours}, stated are {theirs}")
    return lines


def judge_all(read=read_here):
    """Each claim of a bundle: (claim, verdict, the ways in which it is not as stated); what cannot
    be judged is reported as one of these, without a verdict."""

    def load(name):
        return arrays(read(name))

    stated = {v["text"]: v for v in json.loads(read("verdicts.json"))["verdicts"]}
    measures = Measures(json.loads(read("measures/index.json")), load)
    for claim in json.loads(read("claims.json"))["claims"]:
        verdict, off = None, []
        try:
            if claim["carried"]:
                verdict = judge_claim(with_numbers(claim, load, measures))
                off = compared(stated[claim["text"]], verdict)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            off = [f"{type(error).__name__}: {error}"]
        yield claim, verdict, off


def main():
    """Judge all claims, print what comes of them, and give the exit code."""
    lines = [f"CHANGED  {name} is not as SHA256SUMS says" for name in changed_files()]
    wrong, claims = len(lines), list(judge_all())
    for number, (claim, verdict, off) in enumerate(claims, 1):
        lines += ["", f"{number}. {claim['text']}"]
        lines += [f"   {line}" for line in _reported(claim, verdict)]
        lines += [f"   DIFFERS  {line}" for line in off]
        wrong += len(off)
    for text, outcome, stated in theorems():
        lines += ["", f"exact. {text}", f"   {outcome}"]
        if outcome != stated:
            lines, wrong = [*lines, f"   DIFFERS  stated is {stated}"], wrong + 1
    judged = sum(bool(verdict) for _, verdict, _ in claims)
    end = f"{wrong} things are not as stated" if wrong else "all as stated"
    last = f"{judged} of {len(claims)} claim{'s' * (len(claims) != 1)} judged again; {end}"
    if claims and not judged and not wrong:
        which = "the claim was not" if len(claims) == 1 else "none of the claims was"
        last = f"{which} judged again, for the reason given; only the files were checked"
    try:
        print("\n".join([*lines, "", last]), flush=True)
    except BrokenPipeError:  # python judge.py | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1 if wrong else 0


def _reported(claim, verdict):
    """What came of a claim and of the arms that bear on it, in lines."""
    if not verdict:
        return [f"not judged here, because {claim['why_not']}"]
    lines = [line(verdict, claim["unit"])]
    for role, called in (("controls", "control"), ("planted", "planted effect"), ("also", "also")):
        arms = verdict[role].items()
        lines += [f"{called} {arm} {line(v, claim['unit'])}" for arm, v in arms]
    if gates := claim["arms"][claim["of"]]["gates"]:
        lines.append(f"taken as stated: whether {', '.join(gates)}")
    return lines


def line(v, unit):
    """A verdict in words: outcome, reason, estimate, interval and units."""
    n = " x ".join(f"{k} {u}{'s' * (k != 1)}" for u, k in v["n"].items())
    reason = v["reason"].replace("interval straddles", "the interval spans the threshold")
    why = f" ({reason})" if reason else ""
    numbers = f"{v['estimate']:.4g} [{v['low']:.4g}, {v['high']:.4g}]"
    return f"{v['outcome']}{why}: {numbers}{'' if unit == '1' else f' {unit}'}, {n}"


def theorems(read=read_here):
    """Each theorem, whether its number comes out, and what is stated of it."""
    for e in json.loads(read("verdicts.json"))["exact"]:
        pair = [np.ravel(np.array(e[k], dtype=float)) for k in ("value", "expected")]
        close = np.abs(pair[0] - pair[1]).max(initial=0.0) <= e["tolerance"]
        exact = close and pair[0].size
        yield e["text"], "exact" if exact else "violated", e["outcome"]


if __name__ == "__main__":
    try:
        code = main()
    except Exception as error:  # a file that was changed may say anything
        print(f"the bundle cannot be read: {repr(error)[:300]}")
        code = 2
    sys.exit(code)
