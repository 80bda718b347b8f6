"""Bands: means of the same units, each with an interval, which all hold at once; and a number that
is taken of all of them, such as the largest mean, or how many are above a threshold.

The largest of many means is smaller on other units: choosing a level by its number is partly luck.
So no level is chosen here. Each keeps an interval that is wide enough for all of them together, and
the number is computed from all lower ends and from all upper ends. Its interval then holds at least
as often as the band does, whichever level is largest and however alike they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from assay.core.columns import over_levels
from assay.core.heavy import scipy, xr
from assay.core.intervals import (
    DRAWS,
    Cells,
    Interval,
    Means,
    Statistic,
    deciding,
    interval,
    shared_training,
    student_limits,
)
from assay.core.nouns import plural

Numbers = Float[np.ndarray, "..."]
Walk = Callable[[Any], Any]
Ends = tuple[float, float]
Limits = Mapping[str, tuple[Numbers, Numbers]]
"""The lower and the upper limits of numbers, by what they belong to."""
_DRAWS, _NORMAL = 10_000, 60
"""Simulated experiments behind a band, and degrees of freedom beyond which t is as good as
normal."""
_MOST, _FEWEST = 20_000_000, 1_000
"""Random numbers of a simulation, where many levels have to do with fewer experiments; and the
fewest of these."""
_AT_ONCE = 2_000_000
"""Random numbers that are held at once."""
_RANKED, ALMOST = 1_000, 1 - 1e-6
"""Bootstrap draws of a rank correlation, and the largest of which a logarithm is taken."""
MIDDLE = "median of units"
"""What is taken of the units themselves, and not over levels of their means."""
_CANDIDATES = 201
"""Of two crossed factors: the values of cells among which the limits of a median are sought."""
AT = "at"
"""What is taken of a curve at the level where another one is largest."""
SMOOTH = ("mean", "sum")
"""Statistics over levels that move with every mean, for which an ordinary interval is right."""
BANDED = "a band of all levels together"
"""How the method of a number over the levels of mean curves says how its interval was made."""


@dataclass(frozen=True, eq=False)
class OverLevels:
    """What is taken of means over the levels of dimensions, such as their maximum."""

    text: str
    how: str
    over: tuple[str, ...]
    inner: tuple[Walk, ...]
    """What computes a number for each level, [draw, level, …], of the means of terms."""
    beyond: tuple[str, float] | None = None
    levels: str = ""
    """The term that has the numbers which the levels are called, where these come out."""

    def at_levels(self, m: Means) -> list[Float[np.ndarray, "draw level"]]:
        """Compute the number of each level, all dimensions as one."""
        values = [np.asarray(walk(lambda c: m[c.name]), dtype=np.float64) for walk in self.inner]
        shape = np.broadcast_shapes(*(x.shape for x in values))
        return [np.broadcast_to(x, shape).reshape(shape[0], -1) for x in values]

    def value(self, m: Means) -> Float[np.ndarray, " draw"]:
        """Take it of the numbers at all levels; of a median this is the number of a single unit."""
        if self.how == MIDDLE:
            return m[self.text]
        values = self.at_levels(m)
        if self.how == "spearman":
            return rank_correlation(*values)
        if self.how == AT:
            highest = values[1].argmax(1)  # that of a NaN, where there is one
            missing = np.isnan(values[1]).any(1)
            return np.where(missing, np.nan, values[0][np.arange(len(highest)), highest])
        return self._taken(values[0], m[self.levels][0] if self.levels else None)

    @property
    def comparison(self) -> str:
        """The comparison inside, such as `mean(main.x) > 1`; "" where there is none."""
        inside = self.text.partition("(")[2].rpartition(", over=")[0]
        return inside if self.beyond else ""

    @property
    def chooser(self) -> str:
        """What the numbers of all levels are called by which a level is chosen, where these are
        not the numbers that it is taken of."""
        return f"what chooses the level of {self.text}" if self.how == AT else self.text

    def between(self, limits: Limits, levels: Numbers | None) -> Ends:
        """Give the least and greatest value it can have when each level's number is within its
        limits."""
        low, high = limits[self.text]
        if self.how in ("argmax", AT):
            least, greatest = limits[self.chooser]
            likely = greatest >= least.max()
            low, high = (low, high) if levels is None else (levels, levels)
            return float(low[likely].min()), float(high[likely].max())
        ends = self._taken(np.stack([low, high]), levels)
        return float(ends.min()), float(ends.max())

    def _taken(self, x: Float[np.ndarray, "draw level"], levels: Numbers | None) -> Numbers:
        named = xr.DataArray(x, dims=("draw", "level"))
        named = named if levels is None else named.assign_coords(level=levels)
        return over_levels(named, self.how, ("level",), self.beyond, self.text).values


@dataclass(frozen=True, eq=False)
class OfMeans:
    """A statistic of means over levels: `outer` is the arithmetic around what is taken of them."""

    outer: Walk
    plain: tuple[str, ...]
    """Terms whose means are used by themselves."""
    parts: tuple[OverLevels, ...]

    def __call__(self, m: Means) -> Float[np.ndarray, " draw"]:
        values: dict[str, Any] = {part.text: part.value(m) for part in self.parts}
        return np.asarray(self.outer({**m, **values}.__getitem__))

    @property
    def level_of(self) -> str:
        """The dimension of which it is a level, as `argmax` by itself gives one; "" otherwise."""
        return self.parts[0].over[0] if self._is_alone("argmax") else ""

    def never(self, terms: Mapping[str, Numbers]) -> float | None:
        """Give the number of `first` or `last` by itself where no level is so; None of others."""
        if not self._is_alone("first", "last") or (part := self.parts[0]).beyond is None:
            return None
        levels = terms[part.levels].reshape(-1, terms[part.levels].shape[-1])[0]
        outside = -math.inf if part.beyond[0].startswith(">") else math.inf
        return float(part._taken(np.full((1, len(levels)), outside), levels)[0])

    def _is_alone(self, *how: str) -> bool:
        alone = len(self.parts) == 1 and not self.plain and self.parts[0].how in how
        return alone and bool(self.outer(lambda name: 0.375) == 0.375)

    @property
    def has_band(self) -> bool:
        """Whether its interval comes from a band, and is not an ordinary one."""
        return not all(part.how in SMOOTH for part in self.parts)

    @property
    def words(self) -> str:
        """How its interval is made, in words."""
        ways = {part.how for part in self.parts}
        how = BANDED
        if ways == {MIDDLE}:
            how = "order statistics, whatever the distribution of units"
        elif ways == {"spearman"}:
            how = "a bootstrap of ranks, allowing for noise"
        return f"{' and '.join(part.text for part in self.parts)} by {how}"

    def blocks(self, m: Means) -> dict[str, Numbers]:
        """Give the numbers that get a band, [draw, number], by what they belong to."""
        levels = {
            p.text: p.value(m)[:, None] if p.how in SMOOTH else p.at_levels(m)[0]
            for p in self.parts
            if p.how not in ("spearman", MIDDLE)
        }
        levels |= {p.chooser: p.at_levels(m)[1] for p in self.parts if p.how == AT}
        return levels | {name: m[name][:, None] for name in self.plain}


def rank_correlation(x: Numbers, y: Numbers) -> Numbers:
    """Spearman's correlation over the last axis, ties at their mean rank."""
    a, b = (scipy.stats.rankdata(z, axis=-1, nan_policy="propagate") for z in (x, y))
    a, b = a - a.mean(-1, keepdims=True), b - b.mean(-1, keepdims=True)
    with np.errstate(all="ignore"):
        return np.asarray((a * b).sum(-1) / np.sqrt((a**2).sum(-1) * (b**2).sum(-1)))


def interval_of(
    terms: Mapping[str, np.ndarray],
    statistic: Statistic,
    *,
    factors: int = 1,
    level: float = 0.95,
    draws: int = DRAWS,
    units: Sequence[str] = (),
) -> Interval:
    """Estimate a statistic with its interval (`intervals.interval`); of one that is taken over the
    levels of means, with the interval that a band of all levels gives. Raises: ClaimError.

    Formula: f(low) to f(high) of the limits of all levels, each c/t times as far from the mean as
    its own hull, c the `level` quantile of max |t| over levels (`curves.curve`); of a rank
    correlation the hull of a percentile, a basic (on Fisher's z) and a noise-corrected interval
    Source: Hothorn, Bretz and Westfall, Simultaneous Inference in General Parametric Models, 2008;
    Davison and Hinkley, Bootstrap Methods and their Application, 1997, chapter 5 (the basic one)
    """
    i = interval(terms, statistic, factors=factors, level=level, draws=draws, units=units)
    if not isinstance(statistic, OfMeans) or not statistic.has_band or min(i.n) < 2:
        return i
    band, nan = _Band(terms, statistic, factors, units), math.nan
    low, high = band.limits(level)
    varies = nan if band.varies else 0.0
    estimate = band.limits(level, 0.0)[0] if band.medians else i.estimate
    i = replace(i, estimate=estimate, low=low, high=high, variance=varies, band=band.limits)
    i = replace(i, undecided=band.undecided(level))
    return replace(i, t_low=nan, t_high=nan, skew_low=nan, skew_high=nan)


def in_range(i: Interval, ends: tuple[float, float] | None) -> Interval:
    """Cut the limits that a band gives off at the ends of the measure's range, beyond which its
    mean of no level can lie."""
    if i.band is None or ends is None:
        return i
    (least, greatest), of_band = ends, i.band

    def limits(level: float, narrowed: float = 1.0) -> tuple[float, float]:
        low, high = of_band(level, narrowed)
        return max(low, least), min(high, greatest)

    return replace(i, low=max(i.low, least), high=min(i.high, greatest), band=limits)


class _Band:
    """The simultaneous limits of all numbers that a statistic is taken of."""

    def __init__(
        self,
        terms: Mapping[str, np.ndarray],
        statistic: OfMeans,
        factors: int,
        units: Sequence[str],
    ) -> None:
        cells = Cells(terms, factors)
        self.statistic, self.n = statistic, cells.n[:factors]
        whole = cells.means(cells.total[None])
        self.means = {k: x[0] for k, x in whole.items()}
        self.sizes = {k: x.shape[1] for k, x in statistic.blocks(whole).items()}

        def numbers(sums: Numbers) -> Numbers:
            blocks = statistic.blocks(cells.means(sums)).values()
            return np.concatenate([sums[:, :0], *blocks], 1)

        theta = numbers(cells.total[None])[0]
        self.theta = self._apart(theta)
        left = [numbers(cells.total - cells.by_level(axis)) for axis in range(factors)]
        by = [shared_training(u, k) for u, k in zip(units, self.n, strict=False)] or [1.0] * factors
        off = [
            np.sqrt(k * (1 - 1 / len(x))) * (x - x.mean(0)) for x, k in zip(left, by, strict=True)
        ]
        fixed = sum((x**2).sum(0) for x in off) == 0
        off = [self._apart(x) for x in off]
        parts = np.stack([(x**2).sum(0) for x in off])
        self.third = -np.sum([(x**3).sum(0) for x in off], 0)
        self.variance, self.df = parts[0], np.full(len(self.theta), self.n[0] - 1.0)
        if factors == 2:  # as of `intervals.interval`
            cell = self._apart(numbers(cells.total - cells.columns[cells.present]))
            both = parts.sum(0) - (1 - 1 / len(cell)) * ((cell - cell.mean(0)) ** 2).sum(0)
            self.variance = np.maximum(both, parts.max(0))
            spread = (parts**2 / (np.array(self.n)[:, None] - 1)).sum(0)
            self.df = self.variance**2 / np.maximum(spread, 1e-300)
            self.df[spread == 0] = min(self.n) - 1
        self.largest = np.zeros(1)
        if len(self.theta):
            freedom = int(self.df.min())
            draws = max(_FEWEST, min(_DRAWS, _MOST // ((freedom + 1) * len(self.theta))))
            self.largest = _largest_t(correlation(sum(x.T @ x for x in off)), freedom, draws)
        ends = _ends(statistic.blocks(cells.means(cells.by_level(0))))
        self.reach = np.where(fixed, ends - theta, np.nan)
        drawn = {p.text: p for p in statistic.parts if p.how == "spearman"}
        self.ranks = {name: _ranks(part, cells, factors) for name, part in drawn.items()}
        middles = [p.text for p in statistic.parts if p.how == MIDDLE]
        self.medians = {name: _median(name, cells, len(middles)) for name in middles}

    def _apart(self, x: Float[np.ndarray, "... number"]) -> Float[np.ndarray, "... number"]:
        """Give the numbers, those by which a level is chosen less the mean over all levels: what
        these have in common does not bear on which is the largest."""
        x, start = x.copy(), 0
        rivals = {p.chooser for p in self.statistic.parts if p.how in ("argmax", AT)}
        for name, size in self.sizes.items():
            part = x[..., start : start + size]
            part -= part.mean(-1, keepdims=True) if name in rivals else 0.0
            start += size
        return x

    @property
    def varies(self) -> bool:
        """Whether any of the numbers differs between units, or may."""
        drawn = {**self.ranks, **self.medians}
        return bool((self.variance > 0).any() or np.isfinite(self.reach).any() or drawn)

    def undecided(self, level: float) -> str:
        """Say at which levels the band is on both sides of a comparison inside."""
        limits, places = self._of_levels(level, 1.0), list[str]()
        for part in self.statistic.parts:
            low, high = limits.get(part.text, (np.zeros(0), np.zeros(0)))
            inner = part.beyond[1] if part.beyond else math.nan
            inside = (low <= inner) & (inner <= high)
            if inside.any():
                named = self.means.get(part.levels, np.zeros(0))
                places.append(f"{_places(part.over, inside, named)} whether {part.comparison}")
        return " and ".join(places)

    def limits(self, level: float, narrowed: float = 1.0) -> tuple[float, float]:
        """Give the limits of the statistic; with limits of means that are so many times as wide."""
        limits = self._of_levels(level, narrowed)
        fixed = {name: (float(x[0]), float(y[0])) for name, (x, y) in limits.items() if len(x) == 1}
        parts = [p for p in self.statistic.parts if p.how not in SMOOTH and p.text in limits]
        ends = fixed | {p.text: p.between(limits, self.means.get(p.levels)) for p in parts}
        drawn = {**self.ranks, **self.medians}
        ends |= {name: limits_of(level, narrowed) for name, limits_of in drawn.items()}
        # the arithmetic around them is a weighted sum, which is largest at ends of each
        corners = (dict(zip(ends, corner, strict=True)) for corner in product(*ends.values()))
        numbers = [float(self.statistic.outer(corner.__getitem__)) for corner in corners]
        return min(numbers), max(numbers)

    def _of_levels(self, level: float, narrowed: float) -> Limits:
        """Give the limits of the number of each level, which are so many times as wide."""
        freedom = int(min(self.df, default=1))
        t = scipy.special.stdtrit(self.df, (1 + level) / 2)
        student = student_limits(self.theta, self.variance, self.third, t)
        times = narrowed * _widening(self.largest, freedom, level)
        hull = [self.theta + times * (x - self.theta) for x in deciding(student, self.n)]
        # Of units that agree a share may still be of the other kind.
        each = 1 - ((1 - level) / 2 / max(1, len(self.theta))) ** (1 / min(self.n))
        flat = self.theta + narrowed * each * self.reach
        low, high = np.fmin(flat[0], hull[0]), np.fmax(flat[1], hull[1])
        limits, start = dict[str, tuple[Numbers, Numbers]](), 0
        for name, size in self.sizes.items():
            limits[name] = low[start : start + size], high[start : start + size]
            start += size
        return limits


def _places(over: Sequence[str], inside: Bool[np.ndarray, " level"], named: Numbers) -> str:
    """Name the levels of one dimension that lie inside, as `layers 0 to 20`; count others."""
    at, total = np.flatnonzero(inside), len(inside)
    if len(named) != total or at[-1] - at[0] >= len(at):
        return f"{len(at)} of {total} levels"
    first, last = (f"{named[k]:g}" for k in (at[0], at[-1]))
    return f"{over[0]} {first}" if first == last else f"{plural(over[0], 2)} {first} to {last}"


def _ends(units: Mapping[str, Numbers]) -> Float[np.ndarray, "2 number"]:
    """The ends of numbers where all units of their kind are 0 or 1, or differences of such; NaN
    elsewhere."""
    ends = [np.full((2, 0), np.nan)]
    for x in units.values():
        distinct = {*np.unique(x)}
        pair = [-1.0 if -1.0 in distinct else 0.0, 1.0]
        kind = pair if distinct <= {-1.0, 0.0, 1.0} else [np.nan, np.nan]
        ends.append(np.repeat(np.array(kind)[:, None], x.shape[1], 1))
    return np.concatenate(ends, 1)


def _ranks(part: OverLevels, cells: Cells, factors: int) -> Callable[[float, float], Ends]:
    """The limits of a rank correlation of means over levels, at a level and so many times as wide:
    the hull of three intervals. Percentiles, since near levels change places; the same turned about
    the estimate, which is as far from the truth as they are from it; and one about the estimate as
    it would be without the noise of the means."""
    whole, noise = cells.means(cells.total[None]), np.zeros((2, 2))
    for axis in range(factors):
        left = part.at_levels(cells.means(cells.total - cells.by_level(axis)))
        off = np.stack([x - x.mean(0) for x in left])
        noise += (1 - 1 / off.shape[1]) * np.einsum("aul,bul->ab", off, off) / off.shape[2]
    draws = np.concatenate([part.value(cells.means(sums)) for sums in cells.resampled(_RANKED)])
    spread = np.cov([x[0] for x in part.at_levels(whole)])
    estimate, true = float(part.value(whole)[0]), spread - noise

    def limits(level: float, narrowed: float) -> Ends:
        finite_draws = draws[np.isfinite(draws)]
        if not len(finite_draws) or not math.isfinite(estimate):
            return math.nan, math.nan
        low, high = np.quantile(finite_draws, [(1 - level) / 2, (1 + level) / 2])
        z, below, above = np.arctanh(np.clip([estimate, low, high], -ALMOST, ALMOST))
        ends = [estimate, low, high, math.tanh(2 * z - above), math.tanh(2 * z - below)]
        if min(np.diag(true)) <= 0:  # levels differ by no more than their noise
            ends += [-1.0, 1.0]
        else:
            r, clean = (x[0, 1] / math.sqrt(x[0, 0] * x[1, 1]) for x in (spread, true))
            center = estimate + min(max(clean, -1.0), 1.0) - r
            wide = math.sqrt(np.diag(spread).prod() / np.diag(true).prod()) * (high - low) / 2
            ends += [max(-1.0, center - wide), min(1.0, center + wide)]
        low, high = (estimate + narrowed * (x - estimate) for x in (min(ends), max(ends)))
        return float(low), float(high)

    return limits


def _median(term: str, cells: Cells, of: int) -> Callable[[float, float], Ends]:
    """The limits of a median of units, at a level and so many times as wide, where it is one of so
    many that hold together.

    Formula: the order statistics k and n + 1 − k, k the largest with P(B < k) ≤ α/2, B binomial of
    n and 1/2; of two crossed factors the values at which the share of cells that are no larger is
    not apart from 1/2 by t of it, its variance the sum of those from leaving out levels of either
    Source: Conover, Practical Nonparametric Statistics, 1999, chapter 3.2
    """
    cell = np.full(cells.present.shape, np.nan)
    cell[cells.present] = cells.means(cells.columns[cells.present])[term]
    x = np.sort(cell[cells.present])
    middle = float(np.median(x))

    def one_factor(tail: float) -> Ends:
        k = int(scipy.stats.binom.ppf(tail, len(x), 0.5))
        while k and scipy.stats.binom.cdf(k - 1, len(x), 0.5) > tail:
            k -= 1
        return (x[k - 1], x[len(x) - k]) if k else (-math.inf, math.inf)

    def two_factors(tail: float) -> Ends:
        values = np.quantile(x, np.linspace(0, 1, _CANDIDATES), method="nearest")
        present = cells.present[..., None].astype(float)
        below = np.where(present > 0, cell[..., None] <= values, 0.0)
        share, variance = below.sum((0, 1)) / present.sum(), np.zeros(len(values))
        for axis in (0, 1):
            remaining = [a.sum((0, 1)) - a.sum(1 - axis) for a in (below, present)]
            left = remaining[0] / remaining[1]
            n = len(left)
            variance += (n - 1) / n * ((left - left.mean(0)) ** 2).sum(0)
        t = float(scipy.special.stdtrit(min(cells.present.shape) - 1, 1 - tail))
        reach = t * np.sqrt(variance)
        low = values[share + reach < 0.5]
        high = values[share - reach > 0.5]
        return (float(low.max()) if len(low) else x[0], float(high.min()) if len(high) else x[-1])

    def limits(level: float, narrowed: float) -> Ends:
        tail = (1 - level) / 2 / of
        ends = one_factor(tail) if min(cells.present.shape) == 1 else two_factors(tail)
        low, high = (middle + narrowed * (x - middle) if narrowed else middle for x in ends)
        return float(low), float(high)

    return limits


def correlation(covariance: Float[np.ndarray, "level level"]) -> Float[np.ndarray, "level level"]:
    """Give the correlations that belong to covariances; 0 with what does not vary."""
    spread = np.sqrt(np.diag(covariance))
    with np.errstate(all="ignore"):
        r = np.nan_to_num(covariance / np.outer(spread, spread))
    np.fill_diagonal(r, 1.0)
    return r


def wider(r: Float[np.ndarray, "level level"], freedom: int, level: float) -> float:
    """Compute how many times as wide intervals are that cover all levels together."""
    return _widening(_largest_t(r, freedom), freedom, level)


def _widening(largest: Float[np.ndarray, " draw"], freedom: int, level: float) -> float:
    single = float(scipy.special.stdtrit(min(freedom, _NORMAL), (1 + level) / 2))
    return max(1.0, float(np.quantile(largest, level)) / single)


def _largest_t(
    r: Float[np.ndarray, "level level"], freedom: int, draws: int = _DRAWS
) -> Float[np.ndarray, " draw"]:
    """The largest |t| over all levels in simulated experiments."""
    off = r[~np.eye(len(r), dtype=bool)]
    square = float(np.mean(off**2)) if len(off) else 0.0
    # Few units overstate how alike the levels are: independent ones have r² = 1/ν on average.
    if freedom > 1 and square > 0:
        unbiased = max(0.0, (square * freedom - 1) / (freedom - 1) / square)
        r = np.sqrt(unbiased) * r + (1 - np.sqrt(unbiased)) * np.eye(len(r))
    values, vectors = np.linalg.eigh(r)
    root = vectors * np.sqrt(np.maximum(values, 0))
    freedom = min(freedom, _NORMAL)
    rng = np.random.Generator(np.random.Philox(key=freedom))
    largest, chunk = [], max(1, _AT_ONCE // ((freedom + 1) * len(r)))
    for start in range(0, draws, chunk):
        x = rng.standard_normal((min(chunk, draws - start), freedom + 1, len(r))) @ root.T
        t = np.abs(x.mean(1)) / (x.std(1, ddof=1) / math.sqrt(freedom + 1))
        largest.append(t.max(1))
    return np.concatenate(largest)
