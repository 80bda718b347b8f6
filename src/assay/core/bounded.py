"""The mean of units that lie between two bounds, such as shares: an interval that is valid for few
units, and never without width."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import and_

import numpy as np
from jaxtyping import Float

from assay.core.columns import Column
from assay.core.heavy import scipy, xr
from assay.core.intervals import FOLD
from assay.core.reading import Table
from assay.core.stats import Statistic, mean

DRAWS = 20_000
_STREAM = 2
"""Position of this stream; those of the bootstrap's factors are 0 and 1."""

_KEPT = 200
"""Most units whose weights are kept for the next claim (32 MB)."""
_CLAIMS = 64
"""Sets of units whose means are kept (320 kB each)."""

Bounds = tuple[float, float]
FEW = 12
"""With fewer units Student's t contains the mean of bounded ones too rarely: that of six units from
Beta(3, .2) in 87% of cases (benchmarks/coverage/README.md)."""


def exact_bounds(
    data: Table,
    units: Sequence[str],
    statistic: Statistic,
    bounds: Bounds | None,
    natural: Bounds | None,
    worded: bool = True,
) -> Bounds | None:
    """Give the bounds of units that get exact limits, and None where Student's t decides.

    These are the bounds that an author names; else the natural ones, where t is known to be wrong.
    Of a number that code computes instead of a condition in words (`worded` is False), the natural
    ones count only where every unit lies on one of them, so that its records keep their intervals.
    Of two factors exact limits are known only where every cell of the table lies on the same bound,
    and of folds, which are not independent, only where all agree.
    """
    if statistic is not mean or len(data.terms) != 1:
        return None
    (x,) = data.terms.values()
    there = ~np.isnan(x)
    if not there.any():
        return bounds if len(units) == 1 else None
    if FOLD in units and len(np.unique(x[there])) > 1:
        return None
    if len(units) == 1 and natural:
        wrong = misleads(x[there], natural) if worded else np.isin(x[there], natural).all()
        return bounds or (natural if wrong else None)
    if len(units) == 1:
        return bounds
    x, ends = x[there.any(1)][:, there.any(0)], bounds or natural or ()
    return ends if ends and x[0, 0] in ends and (x == x[0, 0]).all() else None


def misleads(x: Float[np.ndarray, " unit"], natural: Bounds, n: int = 0) -> bool:
    """Whether Student's t is known to be wrong for units between natural bounds: where they are
    fewer than 12, one lies on a bound, or half of them or more have the same number.

    `n` is how many there would be of units like these, in place of as many as there are. Never for
    an infinite bound, or where a unit lies beyond one, as the part that a unit has of a ratio may.
    """
    low, high = natural
    if not -np.inf < low < high < np.inf or not ((low <= x) & (x <= high)).all():
        return False
    _, times = np.unique(np.round(x / (high - low), 12), return_counts=True)
    alike = 2 * times.max() >= len(x)
    return bool((n or len(x)) < FEW or np.isin(x, natural).any() or alike)


@dataclass(frozen=True)
class Bounded:
    """The interval of a bounded mean, and how unlikely a number is as its truth; both in the unit
    of the quantity."""

    low: float
    high: float
    p: float
    """Two-sided: the widest error rate whose interval still reaches the number that was asked
    about; never 0."""


def bounded_mean(
    points: Sequence[Float[np.ndarray, " unit"]],
    estimate: float,
    bounds: Bounds,
    level: float = 0.95,
    edge: float = math.nan,
) -> Bounded:
    """Bracket the mean of a quantity that lies within bounds, and test whether it could be `edge`.

    `points` has for each factor the means of its levels, NaN where a level has none. Units of one
    factor that only take the two bounds get the Clopper–Pearson interval.

    Formula: for one factor, high is the (1 + level)/2 quantile of sum_i w_i x_i + w_(n+1) · upper
    bound with weights w ~ Dirichlet(1, …, 1), low the (1 − level)/2 quantile with the lower bound
    in its place. Two factors: the distances from the estimate are added in squares.
    Source: Gaffke, Three test statistics for a nonparametric one-sided hypothesis on the mean of a
    nonnegative variable, 2005; Clopper and Pearson, 1934; Zou and Donner, Construction of
    confidence limits about effect measures, 2008 (the squares)."""
    factors = [x[np.isfinite(x)] for x in points]
    if not all(len(x) for x in factors):
        return Bounded(math.nan, math.nan, math.nan)
    sides = [(_quantiles(x, bounds, bounds[0]), _quantiles(x, bounds, bounds[1])) for x in factors]

    def limits(error: float) -> Bounds:
        # Of two factors: the limits of each by itself, as distances from the estimate, add up as
        # independent errors do.
        below = sum(max(0.0, estimate - low(error / 2)) ** 2 for low, _ in sides)
        above = sum(max(0.0, high(1 - error / 2) - estimate) ** 2 for _, high in sides)
        return max(bounds[0], estimate - math.sqrt(below)), min(
            bounds[1], estimate + math.sqrt(above)
        )

    low, high = limits(1 - level)
    return Bounded(low, high, _widest_error(limits, edge) if math.isfinite(edge) else math.nan)


def _quantiles(x: np.ndarray, bounds: Bounds, bound: float) -> Callable[[float], float]:
    """The quantiles of a mean of the units and one more at one of the bounds, with Dirichlet
    weights."""
    values, times = np.unique(np.append(x, bound), return_counts=True)
    if len(values) == 1:
        return lambda q: bound
    # Sums of Dirichlet weights are Beta: those of the units on the greater value, of all.
    if len(values) == 2:  # a Beta distribution, exactly
        return lambda q: float(
            values[0] + (values[1] - values[0]) * scipy.special.betaincinv(times[1], times[0], q)
        )
    # Sorted, so that the order in which units come does not decide which of them draws which
    # weights.
    means = _means(np.sort(x.astype(float)).tobytes(), bounds)[bounds.index(bound)]
    return lambda q: _quantile(means, q)


@lru_cache(maxsize=_CLAIMS)
def _means(units: bytes, bounds: Bounds) -> tuple[Float[np.ndarray, " draw"], ...]:
    """The drawn means of units and one more at each of the bounds, in ascending order: the search
    for other causes asks for those of the same units again and again."""
    x = np.frombuffer(units)
    weights, total = _weights(len(x)) if len(x) <= _KEPT else _weights.__wrapped__(len(x))
    return tuple(np.sort(weights @ np.append(x, bound) / total) for bound in bounds)


@lru_cache(maxsize=4)
def _weights(n: int) -> tuple[Float[np.ndarray, "draw unit"], Float[np.ndarray, " draw"]]:
    """Draw weights of n units and the bound, proportional to w ~ Dirichlet(1, …, 1), with their
    sums; all claims on n units share them."""
    raw = np.random.Philox(key=(_STREAM << 64) + n).random_raw(DRAWS * (n + 1)) >> np.uint64(11)
    # Exponential numbers over their sum are Dirichlet(1, …, 1). Half a step above 0 keeps the
    # logarithm finite.
    weights = raw.astype(np.float64).reshape(DRAWS, n + 1)
    weights += 0.5
    weights /= 2.0**53
    np.negative(np.log(weights, out=weights), out=weights)
    return weights, weights.sum(1)


def _quantile(sorted_: Float[np.ndarray, " draw"], q: float) -> float:
    """NumPy's quantile, to the last bit, of values in ascending order: it would look for their
    order at each call."""
    place = q * (len(sorted_) - 1)
    i = min(int(place), len(sorted_) - 2)
    low, high, part = float(sorted_[i]), float(sorted_[i + 1]), place - i
    return high - (high - low) * (1 - part) if part >= 0.5 else low + (high - low) * part


def _widest_error(limits: Callable[[float], Bounds], edge: float) -> float:
    """The largest error rate, from e^-40 to 1, whose limits still contain the edge."""
    low, high = -40.0, 0.0
    for _ in range(40):
        middle = (low + high) / 2
        least, greatest = limits(math.exp(middle))
        low, high = (middle, high) if least <= edge <= greatest else (low, middle)
    # Beyond one in so many the draws know nothing.
    return max(math.exp(low), 1 / DRAWS)


Arms = Mapping[str, "xr.Dataset"]


@dataclass(frozen=True)
class BoundedColumns:
    """Several columns of one measure that a claim compares."""

    columns: Sequence[Column]
    """All with their arm."""
    bounds: tuple[float, float] | None
    """The least and the greatest number of the measure; None where it has none."""
    numbers: Callable[[xr.Dataset, Column], xr.DataArray]
    """Reads a column of an arm."""
    variable: Callable[[Column], str]
    """The variable of an arm that a column is read from."""
    main: str
    """The arm under judgement."""
    base: str = ""
    """The arm that is subtracted within `main`, where it is the difference of two models."""
    is_change: bool = False
    """Whether `main` is a change of what it is compared with, whose number then only says how much
    room there is for a change. Of two methods, such as two probes, both numbers are findings."""
    strata: Sequence[str] = ()
    """Dimensions of whose values the means count alike."""

    def at_bound(self, arms: Arms) -> str:
        """Say that all columns lie on the same bound; "" where one does not, or is not measured."""
        ends: set[float | None] = set()
        if self.bounds is None:
            return ""
        for c in self.columns:
            if c.arm is None or c.arm not in arms:
                return ""
            x = self.numbers(arms[c.arm], c).values
            x = x[~np.isnan(x)]
            ends.add(next((end for end in self.bounds if x.size and (x == end).all()), None))
        if len(ends) > 1 or ends <= {None}:
            return ""
        every = "both" if len(self.columns) == 2 else "all"
        note = f"{every} are at the bound of {self.columns[0].name}: no difference could show, so"
        return f"{note} ask something {'harder' if ends == {self.bounds[1]} else 'easier'}"

    def extremes(self, arms: Arms) -> Iterator[Arms]:
        """Give the arms as they would be with every number of the arm under judgement at one of the
        bounds, then at the other; nothing where it is no change, or where what it is compared
        with was not measured."""
        names = {self.variable(c) for c in self.columns if c.arm == self.main or self.base}
        measured = {c.arm for c in self.columns} <= {*arms}
        if not names or not (self.is_change or self.base) or self.bounds is None or not measured:
            return
        main = arms[self.main]
        for end in self.bounds:
            less = {name: arms[self.base][name] if self.base else 0.0 for name in names}
            ends = {name: main[name] * 0 + end - less[name] for name in names}
            yield {**arms, self.main: main.assign(ends)}

    def means(self, arms: Arms) -> dict[str, float]:
        """Compute the mean of every column, by its name, over the units at which all of them have a
        number; nothing where an arm was not measured, or where the claim takes something else over
        the levels of a column, such as the largest."""
        measured = all(self.variable(c) in arms.get(str(c.arm), ()) for c in self.columns)
        if not measured or any(c.how == "each" for c in self.columns):
            return {}
        read = [self.numbers(arms[str(c.arm)], c) for c in self.columns]
        with contextlib.suppress(xr.AlignmentError):  # arms that each have units of their own
            read = [*xr.align(*read, join="exact")]
            there = reduce(and_, (x.notnull() for x in read))
            read = [x.where(there) for x in read] if there.any() else read
        each = [x.mean([d for d in x.dims if d not in self.strata]) for x in read]
        return {str(c): float(x.mean()) for c, x in zip(self.columns, each, strict=True)}

    def others(self, arms: Arms) -> str:
        """Say at which mean each other arm is, such as "main.refuses is 0.12"."""
        shown = [c for c in self.columns if c.arm == (self.base or c.arm) != self.main]
        return " and ".join(
            f"{c} is {float(self.numbers(arms[str(c.arm)], c).mean()):.2g}" for c in shown
        )
