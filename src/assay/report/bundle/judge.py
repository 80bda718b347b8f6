"""Judge the claims of this bundle again, from its numbers, with NumPy and nothing else.

    python judge.py              judge every claim, and compare with the verdicts that the bundle
    states python judge.py --claim 3    the same for one claim, told in full

It exits with 0 where everything is as stated, with 1 where a file or a verdict is not, and with 2
where the bundle cannot be read.

This file was written to be read. In order: two laws of chance, means with weights, the intervals,
the contrast of two arms, the verdict on one arm, the verdict on a claim, statistics as steps,
conditions as text, and what is compared. It knows the second edition of the rule. The same seeds of
the same generator draw the bootstrap as in Assay, so that the two agree to rounding: `CLOSE` says
how closely."""

from __future__ import annotations

import ast
import hashlib
import json
import math
import re
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

HERE = Path(__file__).resolve().parent
DRAWS, BOUNDED_DRAWS = 10_000, 20_000
EDITION = 2
SHARED = 6
"""Common units from which on two arms are compared unit by unit."""
CLOSE = 1e-6
"""Limits and estimates agree where they differ by less than this share of the interval's width (or
of the number, if that is more)."""
nan = math.nan


# ---- two laws of chance --------------------------------------------------------------------------


def beta_cdf(x, a, b):
    """The chance that a Beta(a, b) number is below x: the regularised incomplete beta function, by
    its continued fraction."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - beta_cdf(1 - x, b, a)
    front = (
        math.exp(
            a * math.log(x)
            + b * math.log1p(-x)
            + math.lgamma(a + b)
            - math.lgamma(a)
            - math.lgamma(b)
        )
        / a
    )
    tiny, c, d, fraction = 1e-300, 1.0, 0.0, 1.0
    for i in range(1000):  # Lentz's method
        m = i // 2
        if i == 0:
            term = 1.0
        elif i % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 + term * d
        d = 1 / (d if abs(d) > tiny else tiny)
        c = 1 + term / c
        c = c if abs(c) > tiny else tiny
        fraction *= c * d
        if i and abs(c * d - 1) < 1e-15:
            break
    return front * (fraction - 1)


def beta_quantile(a, b, q):
    """The number below which a Beta(a, b) number lies with chance q, by halving."""
    return _halve(lambda x: beta_cdf(x, a, b), q, 0.0, 1.0)


def t_quantile(df, q):
    """Student's t below which a share q > 1/2 lies: |t| is at most s with chance 1 - I(df / (df +
    s²); df/2, 1/2)."""
    return _halve(lambda s: 1 - beta_cdf(df / (df + s * s), df / 2, 0.5) / 2, q, 0.0, 1e4)


def _halve(chance, q, low, high):
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if chance(middle) < q else (low, middle)
    return (low + high) / 2


def normal_cdf(z):
    """The chance that a standard normal number is below z."""
    return math.erfc(-z / math.sqrt(2)) / 2


# ---- means with weights --------------------------------------------------------------------------


class Cells:
    """The terms of a claim as one array [a, b, column] over one or two factors of units; the last
    column counts.

    Columns hold deviations from one unit: equal numbers then average to exactly that number. A cell
    that lacks a term counts in none."""

    def __init__(self, terms, factors):
        first = next(iter(terms.values()))
        units = first.shape[:factors] + (1,) * (2 - factors)
        flat = [x.reshape(*units, -1) for x in terms.values()]
        present = np.logical_and.reduce([~np.isnan(x).any(-1) for x in flat])
        rows, cols = present.any(1), present.any(0)
        flat, present = [x[rows][:, cols] for x in flat], present[rows][:, cols]
        self.shapes = {name: x.shape[factors:] for name, x in terms.items()}
        self.there, self.n = present, present.shape[:factors]
        columns = np.concatenate([np.where(present[..., None], x, 0.0) for x in flat], -1)
        self.zero = columns[present][0] if present.any() else None
        if self.zero is not None:
            self.columns = np.concatenate(
                [(columns - self.zero) * present[..., None], present[..., None]], -1
            )

    def value(self, statistic, sums):
        """The statistic of the weighted means that belong to sums [draw, column]."""
        with np.errstate(all="ignore"):
            means = self.zero + sums[:, :-1] / np.where(sums[:, -1:] > 0, sums[:, -1:], nan)
            means_by_term, offset = {}, 0
            for name, shape in self.shapes.items():
                size = int(np.prod(shape))
                means_by_term[name], offset = (
                    means[:, offset : offset + size].reshape(len(sums), *shape),
                    offset + size,
                )
            return np.asarray(statistic(means_by_term), dtype=np.float64).reshape(len(sums))

    def drawn(self):
        """The sums of every bootstrap draw: levels of both factors are drawn with replacement, each
        factor on its own."""
        a, b, width = self.columns.shape
        times = [np.concatenate(list(_counts(i, n))) for i, n in enumerate((a, b))]
        for start in range(0, DRAWS, 500):
            u, v = (t[start : start + 500].astype(np.float64) for t in times)
            if b == 1:
                yield u @ self.columns[:, 0]
            elif b >= a:
                inner = v @ self.columns.swapaxes(0, 1).reshape(b, a * width)
                yield np.einsum("kw,kwc->kc", u, inner.reshape(len(u), a, width))
            else:
                inner = u @ self.columns.reshape(a, b * width)
                yield np.einsum("kw,kwc->kc", v, inner.reshape(len(u), b, width))


def _counts(position, n):
    """How often each of n units is picked in each draw: a stream of its own for each factor and
    each number of units."""
    bits = np.random.Philox(key=(position << 64) + n)
    for _ in range(0, DRAWS, 500):
        if n == 1:
            yield np.ones((500, 1), dtype=np.int64)
            continue
        raw = bits.random_raw(500 * n) >> np.uint64(32)
        picked = ((raw * np.uint64(n)) >> np.uint64(32)).astype(np.int64).reshape(500, n)
        flat = (picked + np.arange(500)[:, None] * n).ravel()
        yield np.bincount(flat, minlength=500 * n).reshape(500, n)


# ---- the intervals -------------------------------------------------------------------------------


def interval(terms, statistic, factors, level=0.95, draws=True):
    """An estimate with the hull of two intervals: Student's t by the jackknife, and t corrected for
    skew.

    Student: estimate -/+ t sqrt(V), V the jackknife's variance (for two factors V_a + V_b - V_ab,
    and not below V_a or V_b), t of n - 1 degrees of freedom (for two factors Satterthwaite's).
    Skew: Hall's transformation of t by the third cumulant over V^(3/2).
    Draws of a bootstrap only tell in which share of them the statistic is not defined.
    """
    none = {
        "estimate": nan,
        "low": nan,
        "high": nan,
        "n": (0,) * factors,
        "variance": nan,
        "undefined": 1.0,
        "points": np.empty(0),
        "df": 0.0,
        "third": nan,
        "bounds": None,
    }
    cells = Cells(terms, factors) if all(x.shape[0] for x in terms.values()) else None
    if cells is None or cells.zero is None:
        return none
    total, by_level = cells.columns.sum((0, 1)), [cells.columns.sum(1 - axis) for axis in (0, 1)]
    theta, points = (
        float(cells.value(statistic, total[None])[0]),
        cells.value(statistic, by_level[0]),
    )
    smaller = min(cells.n)
    if smaller < 2:
        return {
            **none,
            "estimate": theta,
            "n": cells.n,
            "points": points,
            "undefined": 0.0 if math.isfinite(theta) else 1.0,
        }

    left_out = [cells.value(statistic, total - by_level[axis]) for axis in range(factors)]
    parts = [_jackknife(x) for x in left_out]
    variance, third = parts[0], sum(_third(x) for x in left_out)
    if factors == 2:
        left_out.append(cells.value(statistic, total - cells.columns[cells.there]))
        variance = max(parts[0] + parts[1] - _jackknife(left_out[2]), *parts)
    summary = {
        **none,
        "estimate": theta,
        "n": cells.n,
        "variance": variance,
        "points": points,
        "df": _freedom(variance, parts, cells.n),
        "third": third,
        "undefined": 0.0,
    }
    summary["low"], summary["high"] = limits(summary, level)
    if not draws:
        return summary
    values = np.concatenate([cells.value(statistic, sums) for sums in cells.drawn()])
    whole = math.isfinite(theta) and all(np.isfinite(x).all() for x in left_out)
    return {**summary, "undefined": 1 - float(np.isfinite(values).mean()) if whole else 1.0}


def limits(i, level):
    """The limits of the interval that decides, at any level: the hull, or exact ones."""
    if i["bounds"]:
        points = i["points"][np.isfinite(i["points"])]
        # Of two factors all cells are one number, and so many of them share no level.
        points = points[: min(i["n"])] if len(i["n"]) == 2 else points
        return bounded([points], i["estimate"], i["bounds"], level)
    if not i["df"] >= 1:
        return nan, nan
    t, error = t_quantile(i["df"], (1 + level) / 2), float(np.sqrt(i["variance"]))
    shifts = [t, _hall(t, i["third"], i["variance"])]
    other = [-t, _hall(-t, i["third"], i["variance"])]
    return i["estimate"] - error * max(shifts), i["estimate"] - error * min(other)


def _freedom(variance, parts, n):
    """Satterthwaite's degrees of freedom of two factors; of one, its units less one."""
    spread = sum(part**2 / (m - 1) for part, m in zip(parts, n, strict=True))
    return variance**2 / spread if len(n) == 2 and spread > 0 else float(min(n) - 1)


def _jackknife(left_out):
    off = left_out - left_out[0]
    return float((len(off) - 1) / len(off) * np.sum((off - off.mean()) ** 2))


def _third(left_out):
    """The third cumulant of the estimate that one factor causes, by plain moments."""
    n = len(left_out)
    return float(((n - 1) / n) ** 1.5 * np.sum((left_out.mean() - left_out) ** 3))


def _hall(q, third, variance):
    c = third / variance**1.5 if variance > 0 else 0.0
    return (
        q
        if abs(c) < 1e-6 or not math.isfinite(c)
        else 3 / c * (float(np.cbrt(1 + c * (q - c / 6))) - 1)
    )


def bounded(points, estimate, bounds, level=0.95):
    """The exact interval of a mean of units between two bounds (Gaffke 2005; Clopper and Pearson
    1934 where units are only at bounds).

    The upper limit is a quantile of the mean of the units and one more at the upper bound, with
    Dirichlet(1, ..., 1) weights; the lower one has the lower bound in its place. Two factors: their
    distances from the estimate are added in squares."""
    error = (1 - level) / 2
    below = above = 0.0
    for x in points:
        x = x[np.isfinite(x)]
        if not len(x):
            return nan, nan
        below += max(0.0, estimate - _dirichlet(x, bounds[0], error)) ** 2
        above += max(0.0, _dirichlet(x, bounds[1], 1 - error) - estimate) ** 2
    return max(bounds[0], estimate - math.sqrt(below)), min(bounds[1], estimate + math.sqrt(above))


def _dirichlet(x, bound, q):
    values, times = np.unique(np.append(x, bound), return_counts=True)
    if len(values) == 1:
        return float(bound)
    if len(values) == 2:
        return float(
            values[0] + (values[1] - values[0]) * beta_quantile(int(times[1]), int(times[0]), q)
        )
    n = len(x)
    raw = np.random.Philox(key=(2 << 64) + n).random_raw(BOUNDED_DRAWS * (n + 1)) >> np.uint64(11)
    weights = -np.log((raw.astype(np.float64).reshape(BOUNDED_DRAWS, n + 1) + 0.5) / 2.0**53)
    return float(np.quantile(weights @ np.append(np.sort(x), bound) / weights.sum(1), q))


# ---- the verdict on one arm ----------------------------------------------------------------------

SCALES = {
    "plain": (lambda x: x, lambda y: y),
    "log": (np.log, np.exp),
    "log1m": (lambda x: -np.log1p(-x), lambda y: -np.expm1(-y)),
    "logit": (lambda x: np.log(x) - np.log1p(-x), lambda y: 1 / (1 + np.exp(-y))),
}
"""On what scale units are averaged, and how to come back."""


def edges(claim):
    """(least, greatest) to hold and (least, greatest) not to fail, on the scale of judging."""
    scale = SCALES[claim["scale"]][0]
    low, high, fail_low, fail_high = (
        sign * math.inf if e is None else float(scale(e))
        for e, sign in zip((*claim["range"], *claim["fail_range"]), (-1, 1, -1, 1), strict=True)
    )
    return (low, high), (fail_low, fail_high)


def place(claim, low, high):
    """What an interval with these limits says: it holds within the one range, fails outside of the
    other."""
    (hold_low, hold_high), (fail_low, fail_high) = edges(claim)
    if hold_low <= low and high <= hold_high:
        return "holds"
    return "fails" if high < fail_low or low > fail_high else "undecided"


def outcome_of(claim, i):
    """What an interval says, one that was moved beyond bounds as far as these."""
    low, high = i["low"], i["high"]
    if i["bounds"]:
        low, high = (min(max(x, i["bounds"][0]), i["bounds"][1]) for x in (low, high))
    return place(claim, low, high)


def scaled(claim, terms):
    """The terms on the scale of judging; without a unit where none has a number in all of them."""
    to, factors = SCALES[claim["scale"]][0], len(claim["units"])
    with np.errstate(all="ignore"):
        terms = {name: to(x) for name, x in terms.items()}
    return _or_empty(terms, factors)


def interval_of(claim, terms, function, level, draws=True):
    """The interval that decides; `terms` are on the scale of judging, `function` is the
    statistic."""
    bounds = exact_bounds(claim, terms, function)
    i = interval(terms, function, len(claim["units"]), level, draws and not bounds)
    if bounds and min(i["n"]) >= 2:
        i["bounds"] = bounds
        i["low"], i["high"] = limits(i, level)
    return i


def exact_bounds(claim, terms, function):
    """Between which numbers units lie: bounds that the claim names, or natural ones if all units
    lie on one of the two; of two factors only where all cells lie on the same one."""
    bounds, natural = claim["bounds"], claim["natural"] or [None]
    (x,) = terms.values() if len(terms) == 1 else (np.empty(0),)
    there = ~np.isnan(x)
    plain = function is mean and claim["scale"] == "plain" and None not in natural
    if not bounds and plain and there.any() and np.isin(x[there], natural).all():
        bounds = natural
    if len(claim["units"]) == 1 or not bounds or x.ndim != 2 or not there.any():
        return bounds if len(claim["units"]) == 1 else None
    x = x[there.any(1)][:, there.any(0)]
    return bounds if x[0, 0] in bounds and (x == x[0, 0]).all() else None


# ---- the contrast of two arms --------------------------------------------------------------------


def contrast(claim, own, control, level):
    """How far the method lies from a control: an interval like any other, of method less control.

    By the statistic's own way to compare two arms, by logarithms where it is a ratio and both have
    some, or by the difference. On the levels that both have, where these are enough; else as
    independent."""
    two = own["function"], control["function"]
    if None in two:
        return None
    ways = [lambda m, c: two[0](m) - two[1](c)]
    if control.get("contrast") is not None:
        own_way = control["contrast"]
        ways = [lambda m, c: own_way({**_named("method", m), **_named("control", c)})]
    if claim.get("ratio"):
        ways.insert(0, lambda m, c: np.log(two[0](m)) - np.log(two[1](c)))
    for way in ways:
        i = _compared(claim, own, control, way, level)
        if i["undefined"] <= 0.01:
            break
    return i


def _named(side, m):
    return {f"{side}.{name}": x for name, x in m.items()}


def _compared(claim, own, control, way, level):
    units, factors = claim["units"], len(claim["units"])
    draws = not all(f is mean for f in (own["function"], control["function"]))
    terms = [scaled(claim, arm["terms"]) for arm in (own, control)]
    common = [sorted(set(own["unit_levels"][u]) & set(control["unit_levels"][u])) for u in units]
    if min(map(len, common)) >= SHARED:
        both = {}
        for side, arm, of in zip(("method", "control"), (own, control), terms, strict=True):
            at = [
                [arm["unit_levels"][u].index(k) for k in c]
                for u, c in zip(units, common, strict=True)
            ]
            both |= _named(side, {name: x[np.ix_(*at)] for name, x in of.items()})
        i = interval(
            _or_empty(both, factors),
            lambda m: way(
                *({k.partition(".")[2]: m[k] for k in m if k.startswith(s)} for s in SIDES)
            ),
            factors,
            level,
            draws,
        )
        if min(i["n"]) >= SHARED:
            return i
    first, second = (_full_means(of, factors) for of in terms)
    a = interval(terms[0], lambda m: way(m, _repeated(second, m)), factors, level, draws)
    b = interval(terms[1], lambda m: way(_repeated(first, m), m), factors, level, draws)
    variance = a["variance"] + b["variance"]
    spread = sum(i["variance"] ** 2 / max(i["df"], 1) for i in (a, b))
    i = {
        **a,
        "variance": variance,
        "df": variance**2 / spread if spread > 0 else min(a["df"], b["df"]),
        "third": a["third"] + b["third"],
        "undefined": max(a["undefined"], b["undefined"]),
    }
    i["low"], i["high"] = limits(i, level)
    return i


SIDES = ("method.", "control.")


def _or_empty(terms, factors):
    present = [~np.isnan(x).any(axis=tuple(range(factors, x.ndim))) for x in terms.values()]
    some = np.logical_and.reduce(present).any()
    return terms if some else {name: x[:0] for name, x in terms.items()}


def _full_means(terms, factors):
    present = [~np.isnan(x).any(axis=tuple(range(factors, x.ndim))) for x in terms.values()]
    present = np.logical_and.reduce(present)
    return {name: x[present].mean(0) for name, x in terms.items()}


def _repeated(full, m):
    draws = len(next(iter(m.values())))
    return {name: np.broadcast_to(x, (draws, *np.shape(x))) for name, x in full.items()}


# ---- the verdict on one arm, continued -----------------------------------------------------------


def judge_arm(claim, name, data, level, gated):
    """The verdict that one arm's numbers give by themselves: outcome, reason, estimate, interval
    and units.

    `data`: terms, and the statistic as a function; levels (how many of each unit); how many units
    diverged and which they are; how many there were before; the fewest units that are enough; gates
    as measured."""
    terms, units = scaled(claim, data["terms"]), claim["units"]
    i = interval_of(claim, terms, data["function"], level)
    outcome, n, bad = outcome_of(claim, i), dict(zip(units, i["n"], strict=True)), data["dropped"]
    survived = not bad or bad <= data["before"] / 4
    if bad and survived:
        survived = worst_cases_agree(claim, terms, data, i, outcome, level)
    gates = dict(data["gates"]) if gated and i["n"][0] else {}
    if i["n"][0] and not i["undefined"] <= 0.01:
        gates["overlap"] = False
    if gated and name == claim["of"] and claim["half"] and outcome != "undecided":
        gates["converged"] = gates.get("converged", True) and half_agrees(claim, i, outcome, level)
    unit_counts = {u: k + bad if u == data["run_unit"] else k for u, k in n.items()}
    fewest = data["fewest"]
    survived = survived and all(n[u] >= fewest for u in n if unit_counts[u] >= fewest)
    short, unmet = (
        [u for u in units if unit_counts[u] < fewest],
        [g for g, met in gates.items() if not met],
    )
    if short:
        unit = min(short, key=lambda u: unit_counts[u])
        reason = f"too few units: {unit_counts[unit]} of {fewest} "
    elif not survived:
        reason = "diverged"
    elif unmet:
        reason = f"gate {unmet[0]}"
    else:
        reason = "interval straddles" if outcome == "undecided" else ""
    if not reason and name == claim["of"] and units_agree(claim, data["function"], i):
        reason = (
            "identical in every unit"
            if claim.get("identical") and outcome == "fails"
            else "units agree"
        )
    back = SCALES[claim["scale"]][1]
    verdict = {k: float(back(i[k])) for k in ("estimate", "low", "high")}
    verdict["outcome"] = outcome if reason in ("", "identical in every unit") else "undecided"
    return {"arm": name, "reason": reason, **verdict, "n": n, "i": i, "lacks": data["lacks"]}


def units_agree(claim, function, i):
    """Whether half of the units or more have one and the same number, so that how far others may
    lie cannot be told."""
    if i["bounds"] or min(i["n"]) < 2:
        return False
    points = i["points"][np.isfinite(i["points"])]
    if i["variance"] == 0 or len(claim["units"]) == 2 or function is not mean or not len(points):
        return i["variance"] == 0
    _, times = np.unique([float(f"{x:.12g}") for x in points], return_counts=True)
    return bool(times.max() >= 0.5 * len(points))


def worst_cases_agree(claim, terms, data, i, outcome, level):
    """Whether the outcome stays where the lost units are counted as copies of the lowest, then of
    the highest, of the others."""
    if data["run_unit"] not in claim["units"]:
        return False
    axis, factors = claim["units"].index(data["run_unit"]), len(claim["units"])
    turned = {name: x.swapaxes(0, axis) for name, x in terms.items()}
    points = (
        interval(turned, data["function"], factors, level, draws=False)["points"]
        if axis
        else i["points"]
    )
    finite = np.flatnonzero(np.isfinite(points))
    if len(points) != data["levels"][data["run_unit"]] or not len(finite):
        return False
    for worst in (finite[np.argmin(points[finite])], finite[np.argmax(points[finite])]):
        filled = {
            n: np.concatenate([x, np.repeat(x.take([worst], axis), data["dropped"], axis)], axis)
            for n, x in terms.items()
        }
        if outcome_of(claim, interval_of(claim, filled, data["function"], level)) != outcome:
            return False
    return True


def half_agrees(claim, i, outcome, level):
    """Whether the outcome stays where the interval is moved once by what the second half of
    training changed."""
    whole, half = (
        interval_of(claim, scaled(claim, t["terms"]), t["function"], level, draws=False)["estimate"]
        for t in claim["half"]
    )
    moved = dict(i, low=i["low"] + whole - half, high=i["high"] + whole - half)
    if claim["distance"] and moved["low"] < 0:
        ends = abs(moved["low"]), abs(moved["high"])
        moved |= {"low": 0.0 if moved["high"] > 0 else min(ends), "high": max(ends)}
    return outcome_of(claim, moved) == outcome


# ---- the verdict on a claim ----------------------------------------------------------------------


def judge_claim(claim):
    """The verdict on a claim: what its own arm says, unless a control, a planted effect, or an arm
    that lacks what is credited speaks against it."""
    arms, level = claim["arms"], claim["level"]
    own = judge_arm(claim, claim["of"], arms[claim["of"]], level, gated=True)

    def ask(names, gated=False):
        return {name: judge_arm(claim, name, arms[name], level, gated) for name in names}

    controls = {
        name: as_control(claim, own, v, arms[name], level)
        for name, v in ask(claim["must_fail"]).items()
    }
    planted, violations = ask(claim["must_hold"], gated=True), ask(claim["violations"])
    named = (claim["of"], *controls, *planted, *violations)
    level = min(level, 0.95)  # an early look is strict, and must overlook no arm
    others = {}
    for name in (name for name in arms if name not in named):
        arm, draws = arms[name], False
        i = interval_of(claim, scaled(claim, arm["terms"]), arm["function"], level, draws)
        if arm["lacks"] or place(claim, i["low"], i["high"]) == "holds":
            others[name] = judge_arm(claim, name, arm, level, gated=False)
    every = {**controls, **planted, **violations, **others}
    outcome, reason = own["outcome"], own["reason"]
    early = reason.startswith(("too few", "diverged", "gate", "units agree", "identical"))
    missed = [name for name, v in planted.items() if v["outcome"] != "holds"]
    passing = [name for name, v in controls.items() if v["outcome"] == "holds"]
    lacking = [name for name, v in every.items() if v["lacks"] and v["outcome"] == "holds"]
    open_ = [name for name, v in controls.items() if v["outcome"] == "undecided"]
    null = outcome == "holds" and is_null(claim, every)
    if missed and not early:
        outcome, reason = "undecided", f"planted {missed[0]} not found"
    elif outcome == "holds" and passing:
        outcome, reason = "unspecific", f"control {', '.join(passing)} satisfies it too"
    elif null and blind(claim, controls, violations):
        outcome, reason = "undecided", blind(claim, controls, violations)
    elif outcome == "holds" and lacking and not null:
        satisfy = "satisfies" if len(lacking) == 1 else "satisfy"
        outcome, reason = "unspecific", f"{', '.join(lacking)} {satisfy} it too, unlearned"
    elif outcome == "holds" and open_:
        outcome, reason = "undecided", f"control {open_[0]} not beaten"
    return {
        **own,
        "outcome": outcome,
        "reason": reason,
        "controls": controls,
        "planted": planted,
        "violations": violations,
        "also": {name: v for name, v in others.items() if v["outcome"] == "holds"},
    }


def as_control(claim, own, v, data, level):
    """The verdict on a control as such: it fails where its own interval at 80 % (for a level of
    95 %) lies outside of the range to hold, and the method beyond it on the range's side."""
    if v["outcome"] == "holds" or not _decidable(v):
        return v
    low, high = limits(v["i"], max(0.0, 1 - 4 * (1 - level)))
    if not _outside(claim, low, high):
        return {**v, "outcome": "undecided", "reason": "interval straddles"}
    if own["outcome"] == "holds" and not beaten(claim, own, v, data, level):
        return {**v, "outcome": "undecided", "reason": "not told from the method"}
    return {**v, "outcome": "fails", "reason": ""}


def beaten(claim, own, v, data, level):
    """Whether the method lies beyond a control, by their contrast, or by exact limits that do not
    meet."""
    i = contrast(claim, claim["arms"][claim["of"]], data, level)
    if v["i"]["estimate"] < edges(claim)[0][0]:
        gap, exact = i["low"], own["i"]["low"] - v["i"]["high"]
    else:
        gap, exact = -i["high"], v["i"]["low"] - own["i"]["high"]
    if gap > claim["beats"] and i["undefined"] <= 0.01:
        return True
    return bool(own["i"]["bounds"] and v["i"]["bounds"] and exact > claim["beats"])


def _decidable(v):
    return v["reason"] in ("", "interval straddles", "not told from the method")


def _outside(claim, low, high):
    (least, greatest), _ = edges(claim)
    return high < least or low > greatest


def nothing(claim):
    """The value where there is nothing, on the scale of judging."""
    if claim["empty"] is None:
        return nan if claim["scale"] in ("log", "logit") else 0.0
    return float(SCALES[claim["scale"]][0](claim["empty"]))


def is_null(claim, every):
    """Whether the range contains nothing within its ends, and no arm that lacks what is credited
    lies outside of it."""
    (least, greatest), _ = edges(claim)
    outside = (
        v["lacks"] and _decidable(v) and _outside(claim, v["i"]["low"], v["i"]["high"])
        for v in every.values()
    )
    return least < nothing(claim) < greatest and not any(outside)


def blind(claim, controls, violations):
    """Why a claim that nothing is there does not show that it would see a little; "" if it does."""
    (least, greatest), _ = edges(claim)

    def found(v):
        return _decidable(v) and _outside(claim, v["i"]["low"], v["i"]["high"])

    for name, v in violations.items():
        if not found(v):
            return f"violation {name} not found"
    for v in (*violations.values(), *controls.values()):
        edge = greatest if v["i"]["estimate"] > greatest else least
        near = abs(v["i"]["estimate"] - nothing(claim)) <= 2 * abs(edge - nothing(claim))
        if near and found(v):
            return ""
    return "blind"


# ---- statistics as steps -------------------------------------------------------------------------

_PLAIN = """
absolute add bitwise_and bitwise_or bitwise_xor invert arctan2 cbrt ceil cos divide equal exp exp2 expm1 floor fmax fmin greater
greater_equal isfinite isinf isnan less
less_equal log log10 log1p log2 logical_and logical_not logical_or matmul maximum minimum multiply negative not_equal positive power reciprocal
remainder sign sin sqrt square subtract tanh float_power hypot
mean sum min max amin amax argsort argmin argmax sort reshape transpose clip prod any all cumsum swapaxes std var where take_along_axis concatenate
stack broadcast_to nanmean nansum nanmin nanmax nanmedian median moveaxis expand_dims squeeze diff take einsum quantile percentile average
nan_to_num ptp flip cumprod tensordot dot outer full_like zeros_like ones_like trapezoid ravel repeat tile abs
"""  # noqa: E501
OPERATIONS = {name: getattr(np, name) for name in _PLAIN.split() if hasattr(np, name)}
OPERATIONS |= {
    f"{name}.reduce": getattr(np, name).reduce
    for name in ("add", "maximum", "minimum", "multiply", "logical_and", "logical_or")
}
OPERATIONS |= {
    f"{name}.accumulate": getattr(np, name).accumulate
    for name in ("add", "maximum", "minimum", "multiply")
}
OPERATIONS |= {"getitem": lambda x, index: x[index], "astype": lambda x: x.astype(np.float64)}
"""All that a step may do; each is the operation of NumPy of that name."""


def follow(steps, means):
    """The value of a statistic that is written as steps, for means {name: [draw, ...]}; see
    claims.json."""
    values = []
    draws = len(next(iter(means.values())))

    def read(operand):
        if isinstance(operand, list):
            return [read(x) for x in operand]
        if not isinstance(operand, dict):
            return operand
        (key,) = set(operand) - {"kind", "shape"}
        if key == "numbers":
            return np.array(
                operand[key], dtype={"b": bool, "f": float}.get(operand["kind"], int)
            ).reshape(operand["shape"])
        return {
            "step": lambda v: values[v],
            "term": lambda v: means[v],
            "draws": lambda v: draws,
            "slice": lambda v: slice(*v),
            "new": lambda v: None,
            "all": lambda v: Ellipsis,
            "tuple": lambda v: tuple(read(x) for x in v),
            "list": lambda v: [read(x) for x in v],
        }[key](operand[key])

    for step in steps:
        values.append(
            OPERATIONS[step["do"]](
                *map(read, step["with"]), **{k: read(v) for k, v in step.get("and", {}).items()}
            )
        )
    return np.asarray(values[-1], dtype=np.float64)


def listed(x):
    """An array as nested lists that JSON holds: NaN and infinities as words, which NumPy reads."""
    return (
        [listed(v) for v in x]
        if x.ndim
        else (x.item() if x.dtype.kind != "f" or math.isfinite(x) else str(x.item()))
    )


def mean(m):
    """The mean of the only term."""
    (only,) = m.values()
    return only


# ---- conditions as text, such as "gated.fvu - relu.fvu < -0.02" ----------------------------------

FUNCTIONS = {"log": np.log, "log2": np.log2, "exp": np.exp, "sqrt": np.sqrt, "abs": np.abs}
SIGNS = {ast.Add: np.add, ast.Sub: np.subtract, ast.Mult: np.multiply, ast.Div: np.divide}


def condition(text):
    """A condition taken apart: (body, low, high, name of what is equal or ""); with < the threshold
    itself does not hold."""
    text, _, equal = text.partition(" at equal ")
    tree = ast.parse(_doubled(" ".join(text.split())), mode="eval").body
    parts, signs = [tree.left, *tree.comparators], [type(op) for op in tree.ops]
    if signs[0] in (ast.Gt, ast.GtE):
        parts, signs = parts[::-1], [{ast.Gt: ast.Lt, ast.GtE: ast.LtE}[s] for s in signs[::-1]]
    numbers = [_number(p) for p in parts]
    low, high = -math.inf, math.inf
    if numbers[0] is not None:
        low = numbers[0] if signs[0] is ast.LtE else math.nextafter(numbers[0], math.inf)
    if numbers[-1] is not None:
        high = numbers[-1] if signs[-1] is ast.LtE else math.nextafter(numbers[-1], -math.inf)
    return parts[numbers.index(None)], low, high, equal.strip()


def _number(node):
    try:
        return float(ast.literal_eval(node))
    except (ValueError, TypeError, SyntaxError):
        return None


def _doubled(text):
    """The text in which each = between brackets is doubled, so that Python reads
    slope[kind=rare]."""
    pieces, depth = re.split(r"(\"[^\"]*\"|'[^']*'|[\[\]]|(?<![<>=!])=(?!=))", text), 0
    for i, piece in enumerate(pieces):
        depth += (piece == "[") - (piece == "]")
        pieces[i] = "==" if piece == "=" and depth > 0 else piece
    return "".join(pieces)


class Column(NamedTuple):
    """A measure that a condition names: of which arm, at which levels of its dimensions, and over
    which of them it is averaged."""

    arm: str | None
    name: str
    at: tuple = ()
    over: tuple = ()


def column(node):
    """The Column of a name, arm.column, "arm".column, arm["column"], column[dim=level] or
    mean(column, over=dim); None of something else."""
    if isinstance(node, ast.Name):
        return Column(None, node.id)
    if isinstance(node, ast.Call) and node.keywords:
        over = node.keywords[0].value
        return column(node.args[0])._replace(
            over=tuple(_name_or_literal(n) for n in getattr(over, "elts", [over]))
        )
    inside = getattr(node.slice, "elts", [node.slice]) if isinstance(node, ast.Subscript) else []
    if inside and isinstance(inside[0], ast.Compare):
        return column(node.value)._replace(
            at=tuple((_name_or_literal(n.left), _name_or_literal(n.comparators[0])) for n in inside)
        )
    value = node.value if isinstance(node, (ast.Attribute, ast.Subscript)) else None
    arm = (
        value.id
        if isinstance(value, ast.Name)
        else value.value
        if isinstance(value, ast.Constant)
        else None
    )
    if arm is None:
        return None
    return Column(arm, node.attr if isinstance(node, ast.Attribute) else node.slice.value)


def _name_or_literal(node):
    return node.id if isinstance(node, ast.Name) else ast.literal_eval(node)


def compute(node, read):
    """The value of arithmetic; `read` gives a column's or a mean's."""
    number = _number(node)
    if number is not None:
        return number
    if isinstance(node, ast.BinOp):
        return SIGNS[type(node.op)](compute(node.left, read), compute(node.right, read))
    if isinstance(node, ast.UnaryOp):
        inner = compute(node.operand, read)
        return -inner if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.Call) and node.func.id in FUNCTIONS:
        return FUNCTIONS[node.func.id](compute(node.args[0], read))
    return read(node)


class Study:
    """The arms of a study as they were measured, and the quantities that are made of sums."""

    def __init__(self, index, quantities, folder=HERE):
        self.index, self.quantities, self.folder, self.loaded = index, quantities, folder, {}

    def measure(self, arm, name):
        """A stored measure of an arm, and its dims, of which the first is the run."""
        if arm not in self.loaded:
            with np.load(self.folder / self.index[arm]["file"]) as file:
                self.loaded[arm] = {
                    v: file[variable["key"]] for v, variable in self.index[arm]["variables"].items()
                }
        return self.loaded[arm][name], self.index[arm]["variables"][name]["dims"]

    def kept(self, claim, arm):
        """Which runs of an arm the claim asks for."""
        fields, keep = self.index[arm]["runs"], np.ones(self.index[arm]["n"], dtype=bool)
        for name, value in claim["where"].items():
            if name in fields:
                values = np.array(fields[name])
                keep &= (
                    np.isclose(values, value, rtol=1e-12, atol=0)
                    if isinstance(value, float) and values.dtype.kind in "fi"
                    else values == value
                )
            elif self.index[arm]["fields"].get(name) != value:
                raise LookupError(f"arm {arm} has no run with {name}={value!r}")
        if claim.get("seeds") and "seed" in fields:  # those of the look that settled it
            keep &= np.isin(fields["seed"], claim["seeds"])
        if not keep.any():
            raise LookupError(f"arm {arm} has no run that the claim asks for")
        return keep

    def table(self, claim, arm, name, keep, swept, chosen, over):
        """A stored measure over the units [unit, unit, (sweep)], at the levels that are named; and
        the levels of each unit."""
        fields = {
            f: [v for v, k in zip(values, keep, strict=True) if k]
            for f, values in self.index[arm]["runs"].items()
        }
        values, dims = self.measure(arm, name)
        values = np.asarray(values[keep], dtype=np.float64)
        varying = [
            f
            for f, field_values in fields.items()
            if f != "seed" and len(set(map(str, field_values))) > 1
        ]
        sweep = [f for f in varying if f not in claim["units"]]
        if len(sweep) != bool(swept):
            raise LookupError(
                f"the runs of arm {arm} differ in {', '.join(sweep) or 'nothing but the seed'}"
            )
        order = ["seed", *varying]
        levels = {f: sorted(set(fields[f])) for f in order}
        spread = np.full([len(levels[f]) for f in order] + list(values.shape[1:]), nan)
        for row, run_levels in enumerate(zip(*(fields[f] for f in order), strict=True)):
            spread[tuple(levels[f].index(v) for f, v in zip(order, run_levels, strict=True))] = (
                values[row]
            )
        axes = [*order, *dims[1:]]
        levels |= {
            d: self.index[arm]["levels"].get(d, list(range(values.shape[i])))
            for i, d in enumerate(dims)
            if i
        }
        target_axes = [*claim["units"], *sweep]
        for dim, level in chosen:
            if dim in axes:
                (place,) = (
                    i
                    for i, x in enumerate(levels[dim])
                    if str(x) == str(level) or _levels_match(x, level)
                )
                spread, axes = spread.take(place, axes.index(dim)), [d for d in axes if d != dim]
        spread, axes = (
            spread.mean(tuple(axes.index(d) for d in over if d in axes)),
            [d for d in axes if d not in over],
        )
        if unnamed := [d for d in axes if d not in ("seed", *target_axes)]:
            raise LookupError(
                f"{name} of arm {arm} varies over {', '.join(unnamed)}, of which the "
                "condition names nothing"
            )
        if (
            "seed" not in target_axes and "seed" in axes
        ):  # runs that share all units are averaged; NaN of one of them stays
            present = np.zeros([len(levels[f]) for f in order])
            for run in zip(*(fields[f] for f in order), strict=True):
                present[tuple(levels[f].index(v) for f, v in zip(order, run, strict=True))] = 1
            present = present.reshape(present.shape + (1,) * (spread.ndim - present.ndim))
            with np.errstate(invalid="ignore"):
                spread, axes = np.where(present > 0, spread, 0.0).sum(0) / present.sum(0), axes[1:]
        spread = spread.transpose([axes.index(d) for d in target_axes if d in axes])
        for i, d in enumerate(target_axes):
            if d not in axes:
                spread = np.expand_dims(spread, i)
        for i, unit in enumerate(claim["units"]):
            if unit in axes:
                spread = spread.take(np.argsort(np.array(levels[unit]), kind="stable"), i)
        return spread, {u: sorted(levels[u]) for u in claim["units"] if u in axes}

    def arm(self, claim, under):
        """What judge_arm needs of an arm in the method's place: its terms from the condition, the
        seeds of diverged runs left out."""
        body, *_, equal = condition(claim["condition"])
        columns = list(dict.fromkeys(columns_of(body)))
        reads = list(
            dict.fromkeys(
                under if c.arm is None or c.arm == claim["of"] else c.arm for c in columns
            )
        )
        if under in [c.arm for c in columns if c.arm not in (None, claim["of"])]:
            raise LookupError(f"arm {under} would be compared with itself")
        keep = {arm: self.kept(claim, arm) for arm in reads}
        unit = next(
            (u for u in claim["units"] if any(u in self.index[a]["runs"] for a in reads)), "seed"
        )
        bad = {
            v
            for a in reads
            if "diverged" in self.index[a]["variables"]
            for v, k, gone in zip(
                self.index[a]["runs"][unit], keep[a], self.measure(a, "diverged")[0], strict=True
            )
            if k and gone
        }
        before = len(
            {v for v, k in zip(self.index[under]["runs"][unit], keep[under], strict=True) if k}
        )
        keep = {
            a: k & np.array([v not in bad for v in self.index[a]["runs"][unit]])
            for a, k in keep.items()
        }
        arm_fields = {
            "dropped": len(bad),
            "run_unit": unit,
            "before": before,
            "gates": {},
            "histories": {},
            "lacks": under in claim["lacking"],
        }
        if not keep[under].any():
            nothing = {"value": np.empty((0,) * len(claim["units"]))}
            return {
                **arm_fields,
                "terms": nothing,
                "function": mean,
                "levels": dict.fromkeys(claim["units"], 0),
                "unit_levels": {u: [] for u in claim["units"]},
                "fewest": 6,
            }
        levels = {}

        def stored(c, name="", swept=False):
            arm = under if c.arm is None or c.arm == claim["of"] else c.arm
            values, table_levels = self.table(
                claim, arm, name or c.name, keep[arm], swept, c.at, c.over
            )
            for u, unit_levels in table_levels.items():
                if levels.setdefault(u, unit_levels) != unit_levels:
                    raise LookupError(f"arms have other levels of {u}")
            return values

        def parts(c, name, swept=False):
            variables = self.index[under if c.arm is None or c.arm == claim["of"] else c.arm][
                "variables"
            ]
            return (
                {"": stored(c, name, swept)}
                if name in variables
                else {t: stored(c, t, swept) for t in self.quantities[name]["terms"]}
            )

        def quantity(m, prefix, name):
            quantity_terms = {
                t.removeprefix(f"{prefix}."): x for t, x in m.items() if t.startswith(f"{prefix}.")
            }
            return (
                quantity_terms[""]
                if set(quantity_terms) == {""}
                else follow(self.quantities[name]["steps"], quantity_terms)
            )

        means = [
            n
            for n in ast.walk(body)
            if isinstance(n, ast.Call) and n.func.id == "mean" and not n.keywords
        ]
        derived_columns = [
            c
            for c in columns
            if c.name
            not in self.index[under if c.arm is None or c.arm == claim["of"] else c.arm][
                "variables"
            ]
        ]

        def matched(m):
            return at_equal(
                *(
                    quantity(m, f"{s}.{name}", name)
                    for s in "ab"
                    for name in (equal, columns[0].name)
                )
            )

        def contrast_matched(m):
            swept = [
                quantity(m, f"{arm}.{s}.{name}", name)
                for arm in ("method", "control")
                for s in "ab"
                for name in (equal, columns[0].name)
            ]
            return at_equal(*swept[:4], others=swept[4:]) - at_equal(*swept[4:], others=swept[:4])

        def of_means(m):
            return compute(body, lambda node: m[ast.unparse(node.args[0])])

        def of_quantities(m):
            return np.asarray(
                compute(body, lambda node: quantity(m, repr(column(node)), column(node).name))
            )

        with np.errstate(all="ignore"):
            if equal:
                terms = {
                    f"{s}.{q}.{t}": x
                    for s, c in zip("ab", columns, strict=True)
                    for q in (equal, c.name)
                    for t, x in parts(c, q, True).items()
                }
                function = matched
            elif means:
                terms = {
                    ast.unparse(n.args[0]): compute(n.args[0], lambda c: stored(column(c)))
                    for n in means
                }
                function = of_means
            elif derived_columns:
                terms = {f"{c!r}.{t}": x for c in columns for t, x in parts(c, c.name).items()}
                function = of_quantities
            else:
                terms = {"value": compute(body, lambda c: stored(column(c)))}
                function = mean
        units_within_runs = all(u in self.index[under]["dims"] for u in claim["units"])
        return {
            **arm_fields,
            "terms": terms,
            "function": function,
            "levels": {u: len(unit_levels) for u, unit_levels in levels.items()},
            "unit_levels": levels,
            "contrast": contrast_matched if equal else None,
            "fewest": 20 if units_within_runs else 6,
        }


def _levels_match(level, other):
    """Whether two levels are the same number."""
    return (
        not isinstance(level, str)
        and not isinstance(other, str)
        and math.isclose(level, other, rel_tol=1e-12)
    )


def columns_of(node):
    """The columns that arithmetic names, in the order of the text."""
    if isinstance(node, ast.BinOp):
        return columns_of(node.left) + columns_of(node.right)
    if isinstance(node, ast.UnaryOp) or (isinstance(node, ast.Call) and not node.keywords):
        return columns_of(node.operand if isinstance(node, ast.UnaryOp) else node.args[0])
    leaf = column(node)
    return [] if leaf is None else [leaf]


def at_equal(xa, ya, xb, yb, others=()):
    """y of side a less y of side b at equal x, averaged in log x over the range that both sweeps
    reach, and those of another arm; log y is linear in log x."""
    xa, xb = np.log(xa), np.log(xb)
    every = [xa, xb, *map(np.log, others[::2])]
    low = np.max([x.min(1) for x in every], axis=0)[:, None]
    high = np.min([x.max(1) for x in every], axis=0)[:, None]
    steps = np.linspace(0, 1, 65)
    grid = np.where(high >= low - 1e-9, low + (high - low) * steps, nan)
    weights = np.full(65, 1 / 64) - (steps % 1 == 0) / 128
    return (_interpolate(xa, ya, grid) - _interpolate(xb, yb, grid)) @ weights


def _interpolate(x, y, grid):
    order = np.argsort(x, axis=1)
    x, y = np.take_along_axis(x, order, 1), np.take_along_axis(np.log(y), order, 1)
    out = np.where(np.abs(grid - x[:, :1]) <= 1e-9, y[:, :1], nan)
    for i in range(x.shape[1] - 1):
        x0, x1, y0, y1 = x[:, i : i + 1], x[:, i + 1 : i + 2], y[:, i : i + 1], y[:, i + 1 : i + 2]
        part = np.clip((grid - x0) / np.where(x1 > x0, x1 - x0, 1.0), 0, 1)
        out = np.where((grid >= x0 - 1e-9) & (grid <= x1 + 1e-9), y0 + part * (y1 - y0), out)
    return np.exp(out)


# ---- what is compared ----------------------------------------------------------------------------


def changed_files(folder=HERE):
    """Every file whose SHA-256 is not the one that SHA256SUMS names, and every one that is
    missing."""
    changed = []
    for line in (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
        stated, _, name = line.partition("  ")
        path = folder / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != stated:
            changed.append(name)
    return changed


def read_claims(folder=HERE):
    """What the bundle says of its claims, and the measures of its arms; the numbers of a claim come
    with `with_numbers`."""
    claims_json = json.loads((folder / "claims.json").read_text(encoding="utf-8"))
    index = json.loads((folder / "measures" / "index.json").read_text(encoding="utf-8"))
    return claims_json, Study(index, claims_json["quantities"], folder)


def with_numbers(claim, study):
    """Give a claim the numbers of its arms, its statistic as a function, and its gates as far as
    they can be asked again."""
    if claim["condition"]:
        return _of_study(claim, study)
    with np.load(study.folder / claim["file"]) as file:
        numbers = {key: np.asarray(file[key], dtype=np.float64) for key in file.files}
    functions = [
        mean
        if statistic == {"name": "mean"}
        else (lambda m, statistic=statistic: follow(statistic["steps"], m))
        for statistic in claim["statistics"]
    ]
    for table in (*claim["arms"].values(), *claim["half"]):
        table["terms"] = {name: numbers[key] for name, key in table["terms"].items()}
        table["function"] = None if table["statistic"] is None else functions[table["statistic"]]
        if table.get("contrast") is not None:
            table["contrast"] = functions[table["contrast"]]
    for arm in claim["arms"].values():
        arm["gates"] = {
            **arm["gates"],
            **{gate: settled(numbers, arm["histories"][gate]) for gate in arm["histories"]},
        }
    return claim


def _of_study(claim, study):
    """Give a study's claim its range and its numbers, both read from its condition and the stored
    measures."""
    _, low, high, _ = condition(claim["condition"])
    claim["range"] = claim["fail_range"] = [None if math.isinf(x) else x for x in (low, high)]
    named = (*claim["must_fail"], *claim["must_hold"], *claim["violations"])
    claim["arms"], needed = {}, (claim["of"], *named)
    for arm in study.index:
        try:
            claim["arms"][arm] = study.arm(claim, arm)
        except (LookupError, KeyError):
            if arm in needed:
                raise
    return claim


def settled(numbers, history):
    """Whether a history, the mean over runs at each step, moved since half way by at most a share
    of its end."""
    steps, values = numbers[history["steps"]], numbers[history["values"]]
    half = values[np.argmin(np.abs(steps - steps[-1] / 2))]
    return bool(abs(half - values[-1]) <= history["within"] * abs(values[-1]))


def differences(stated, verdict):
    """Every way in which a verdict differs from what is stated, in words."""
    lines = []
    for kind in ("outcome", "reason"):
        a, b = stated[kind], verdict[kind]
        if (not b.startswith("too few") and a != b) or not a.startswith(b):
            lines.append(f"{verdict['arm']}: {kind} is {b or 'none'!r}, stated is {a or 'none'!r}")
    if stated["n"] != verdict["n"]:
        lines.append(f"{verdict['arm']}: {verdict['n']} units, stated are {stated['n']}")
    numbers = [nan if stated[k] is None else stated[k] for k in ("estimate", "low", "high")]
    width = numbers[2] - numbers[1] if math.isfinite(numbers[2] - numbers[1]) else 0.0
    for k, a in zip(("estimate", "low", "high"), numbers, strict=True):
        b = verdict[k]
        if math.isnan(a) and not math.isfinite(b):
            continue
        if not abs(a - b) <= CLOSE * width + 1e-9 * abs(a) + 1e-12:
            lines.append(f"{verdict['arm']}: {k} is {b:.9g}, stated is {a:.9g}")
    return lines


def compared(stated, verdict):
    """Every way in which a claim comes out otherwise, its controls, planted effects and the other
    arms that hold among it."""
    if stated.get("edition", 1) != EDITION:
        stated_by = stated.get("edition", 1)
        return [f"stated by edition {stated_by} of the rule, this is the judge of {EDITION}"]
    lines = differences(stated, verdict)
    for role in ("controls", "planted", "violations"):
        stated = {role: {}, **stated}
        for arm in {**stated[role], **verdict[role]}:
            in_both = arm in stated[role] and arm in verdict[role]
            lines += (
                differences(stated[role][arm], verdict[role][arm])
                if in_both
                else [f"{arm}: only one of the two judges it"]
            )
    if set(stated["also"]) != set(verdict["also"]):
        lines.append(
            f"other arms that hold: {sorted(verdict['also'])}, stated are {sorted(stated['also'])}"
        )
    return lines


def compare_all(folder=HERE):
    """For each claim the ways in which its verdict differs from what is stated; what cannot be
    judged is told as one of them."""
    stated, differences_per_claim = _stated(folder), []
    claims_json, study = read_claims(folder)
    for claim in claims_json["claims"]:
        try:
            off = (
                compared(stated[claim["text"]], judge_claim(with_numbers(claim, study)))
                if claim["carried"]
                else []
            )
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            off = [f"{type(error).__name__}: {error}"]
        differences_per_claim.append(off)
    return differences_per_claim


def _stated(folder=HERE):
    return {
        v["text"]: v
        for v in json.loads((folder / "verdicts.json").read_text(encoding="utf-8"))["verdicts"]
    }


def main(words):
    """Judge all claims, or the one that was asked for, print what comes of it, and give the exit
    code."""
    changed = changed_files()
    for name in changed:
        print(f"CHANGED  {name} is not as SHA256SUMS says")
    wrong, judged, (claims_json, study), stated = len(changed), 0, read_claims(), _stated()
    only = int(words[words.index("--claim") + 1]) if "--claim" in words else None
    for number, claim in enumerate(claims_json["claims"], 1):
        if only not in (None, number):
            continue
        print(f"\n{number}. {claim['text']}")
        if not claim["carried"]:
            print(f"   not judged here: {claim['why_not']}")
            continue
        verdict, judged = judge_claim(with_numbers(claim, study)), judged + 1
        print(f"   {_line(verdict, claim['unit'])}")
        for role in ("controls", "planted", "also") if only else ():
            for arm, v in verdict[role].items():
                print(f"   {role}: {arm} {_line(v, claim['unit'])}")
        off = compared(stated[claim["text"]], verdict)
        for line in off:
            print(f"   DIFFERS  {line}")
        wrong += len(off)
        method_arm = claim["arms"][claim["of"]]
        if trusted := [gate for gate in method_arm["gates"] if gate not in method_arm["histories"]]:
            print(f"   taken as stated: whether {', '.join(trusted)}")
    if only is None:
        wrong += other_statements(
            json.loads((HERE / "verdicts.json").read_text(encoding="utf-8"))["exact"]
        )
    print(
        f"\n{judged} of {len(claims_json['claims'])} claims judged again; "
        + (f"{wrong} things are not as stated" if wrong else "all as stated")
    )
    return 1 if wrong else 0


def _line(v, unit):
    n, why = (
        " x ".join(f"{k} {u}" for u, k in v["n"].items()),
        f" ({v['reason']})" if v["reason"] else "",
    )
    numbers = f"{v['estimate']:.6g} [{v['low']:.6g}, {v['high']:.6g}]"
    return f"{v['outcome']}{why}: {numbers}{'' if unit == '1' else f' {unit}'}, n = {n}"


def other_statements(exact):
    """Tell of each theorem whether its number comes out, and count those that are not as stated."""
    wrong = 0
    for e in exact:
        value, expected = (
            np.array([nan if x is None else x for x in np.ravel(e[k])], dtype=float)
            for k in ("value", "expected")
        )
        outcome = (
            "exact"
            if np.abs(value - expected).max(initial=0.0) <= e["tolerance"] and len(value)
            else "violated"
        )
        print(f"\nexact. {e['text']}\n   {outcome}")
        if outcome != e["outcome"]:
            print(f"   DIFFERS  stated is {e['outcome']}")
            wrong += 1
    return wrong


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
    except Exception as error:  # a file that was changed may say anything
        print(f"the bundle cannot be read: {repr(error)[:300]}")
        code = 2
    sys.exit(code)
