"""Intervals for a statistic of crossed units: Student's t, a t corrected for skew, and the hull of
both. A bootstrap also checks whether the statistic is defined, and decides nothing. Fewer than six
units do not show how skewed they are, so their interval is Student's t alone.

Units are one or two crossed factors, such as the seeds of trained networks and the held-out
documents that all of them were measured on. A term is an array [a, b, ...] over the levels of both
factors (b has one level when there is one factor). With a weight for every level, u for factor a
and v for factor b, a term's mean is sum(u v x) / sum(u v); the estimate, every bootstrap draw and
every leave-one-out are the same statistic of such means, at other weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from assay.core.errors import ClaimError
from assay.core.heavy import scipy

Means = Mapping[str, np.ndarray]
"""Weighted means {name: [draw, ...]}: what a statistic is given; the dims after `draw` are the
term's own that are no units."""
Statistic = Callable[[Means], np.ndarray]
"""From means to one number per draw, [draw]."""

Numbers = np.ndarray | np.floating | float
"""A number, or an array of them."""

FEWEST = 6
"""Units of every factor that a verdict needs: five of five alike has p = 1/32."""
FARTHEST = 2.0
"""How many times as far from the estimate as Student's a limit that is corrected for skew is, at
most."""
FOLD = "fold"
"""A unit of this name is a fold of a cross-validation, trained on what the others judge."""
FEWEST_FOLDS = 5
"""Folds that a verdict needs; their interval allows for the data that they share."""
DRAWS = 10_000
_BLOCK = 4_000_000
"""Most numbers that one chunk of draws may hold (32 MB), so that memory does not grow with the
units."""
_CACHED = 250_000
"""Most numbers that one product of a chunk reads and gives (2 MB), so that they stay in a cache."""
_KEPT = 10_000_000
"""Most counts of one factor that are kept for the next interval: those of 1,000 units, as 20 MB."""


def fewest(units: Sequence[str]) -> int:
    """Give how many levels of every unit a verdict needs."""
    return FEWEST_FOLDS if tuple(units) == (FOLD,) else FEWEST


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval, in the unit of the statistic; NaN where there are too few
    units for one.

    Example:
        >>> import numpy as np
        >>> import assay
        >>> terms = {"err": np.array([1.0, 3.0]), "var": np.array([2.0, 4.0])}
        >>> fvu = assay.stats.interval(terms, assay.stats.ratio("err", "var"))
        >>> round(fvu.estimate, 3), fvu.points, fvu.low <= fvu.estimate <= fvu.high
        (0.667, array([0.5 , 0.75]), True)
    """

    estimate: float
    low: float
    """Lower limit of the hull of t and the t corrected for skew, of t alone where there are fewer
    than six units, or of an exact interval: what is shown, and what decides."""
    high: float
    boot_low: float
    """Lower limit of the expanded percentile bootstrap, for comparison."""
    boot_high: float
    t_low: float
    """Lower limit of Student's t."""
    t_high: float
    skew_low: float
    """Lower limit of Student's t corrected for the skew of the units."""
    skew_high: float
    n: tuple[int, ...]
    """Units per factor that have at least one number."""
    variance: float
    """Squared standard error V by the jackknife."""
    parts: tuple[float, ...]
    """V_a and V_b: the squared standard error from leaving out levels of one factor."""
    df: float
    """Degrees of freedom of the t interval: units less one, or Satterthwaite's of two factors."""
    undefined: float
    """Share of draws, or 1.0 when the estimate or a leave-one-out itself, in which the statistic is
    not a number."""
    points: Float[np.ndarray, " unit"]
    """The statistic of every level of the first factor by itself."""
    third: float = math.nan
    """Third cumulant of the estimate, of all factors together."""
    bounds: tuple[float, float] | None = None
    """Between which numbers units lie, where the limits are exact."""
    rounding: float = 0.0
    """By how much the limits are wider on either side, as the numbers were rounded."""
    ends: tuple[float, float] | None = None
    """Between which numbers the statistic itself lies, where its limits stay between them, too."""
    band: Callable[..., tuple[float, float]] | None = None
    """Of a number that is taken over levels: its limits at a level, from a band of all of them, and
    with a band that is so many times as wide."""
    undecided: str = ""
    """At which levels that band is on both sides of a comparison inside, and of which."""

    def limits(self, level: float = 0.95) -> tuple[float, float]:
        """Give the hull's limits at another level, where they are not exact.

        Args:
            level: of the interval, 0 to 1.
        Example:
            >>> import numpy as np
            >>> import assay
            >>> i = assay.stats.interval({"x": np.array([1.0, 2.0, 4.0])}, assay.stats.mean)
            >>> i.limits() == (i.low, i.high), i.limits(0.8)[0] > i.low
            (True, True)
        """
        if self.band is not None:
            return self.band(level)
        if not self.df >= 1:
            return math.nan, math.nan
        t = float(scipy.special.stdtrit(self.df, (1 + level) / 2))
        student = student_limits(self.estimate, self.variance, self.third, t, self.ends)
        low, high = deciding([float(x) for x in student], self.n)
        return float(low) - self.rounding, float(high) + self.rounding


def interval(
    terms: Mapping[str, Shaped[np.ndarray, ...]],
    statistic: Statistic,
    *,
    factors: int = 1,
    level: float = 0.95,
    draws: int = DRAWS,
    units: Sequence[str] = (),
) -> Interval:
    """Estimate the statistic of the terms' means, with its intervals, in the statistic's unit.

    The first `factors` axes of every term are units. A cell that is NaN in one term counts in none.

    Args:
        terms: {name: [unit, ...] or, of two factors, [unit, unit, ...]}.
        statistic: means of the terms → [draw].
        factors: 1 or 2.
        level: of the intervals, 0 to 1.
        draws: of the bootstrap.
        units: names of the factors; one called fold is a cross-validation's.
    Formula: t interval estimate +/- t sqrt(V), V_a = (n_a-1)/n_a sum_l (theta_(-l) - mean)^2; t of
    n - 1 degrees of freedom. For two factors V = max(V_a + V_b - V_ab, V_a, V_b), of V^2 /
    (V_a^2/(n_a-1) + V_b^2/(n_b-1)) degrees. Skew-corrected: estimate - h(+/-t) sqrt(V), h(q) = 3/c
    (cbrt(max(1 + c (q - c/6), 0)) - 1) between -2 |q| and 2 |q|, with c = k_3 / V^(3/2) and k_3 =
    ((n-1)/n)^(3/2) sum_l (mean - theta_(-l))^3, summed over factors: the plain third moment. A
    statistic with `ends` has Student's t alone, on the scale of the logit between them. V of k
    folds is 1 + k/(k-1) times the jackknife's, that is (1/k + 1/(k-1)) s^2 of their spread s.
    Bootstrap limits are percentiles Phi(-/+ t sqrt(n/(n-1))) of the draws, n of the smaller factor.
    Raises: ClaimError when terms differ in their units, are infinite, or the statistic does not
    give one number per draw.
    Source: Hall, On the Removal of Skewness by Transformation, 1992; Satterthwaite, An Approximate
    Distribution of Estimates of Variance Components, 1946; Owen, The pigeonhole bootstrap, 2007
    (crossed factors); Hesterberg, What Teachers Should Know about the Bootstrap, 2015; Nadeau and
    Bengio, Inference for the Generalization Error, 2003 (folds).
    Example:
        >>> import numpy as np
        >>> import assay
        >>> terms = {"x": np.array([1.0, 2.0, 3.0, 4.0, 5.0])}
        >>> x = assay.stats.interval(terms, assay.stats.mean)
        >>> print(x.estimate, round(x.t_low, 3), round(x.t_high, 3))  # 3 -/+ 2.776 · √0.5
        3.0 1.037 4.963
    """
    if terms and all(np.shape(x)[0] == 0 for x in terms.values()):
        return _nothing(math.nan, (0,) * factors, np.empty(0))
    cells = Cells(terms, factors)
    n = cells.n[:factors]
    points = cells.apply(statistic, cells.by_level(0))
    spread = _spread(cells, statistic, factors, units)
    if spread is None:
        theta = cells.apply(statistic, cells.total[None])[0]
        return _nothing(float(theta), n, points)
    t = float(scipy.special.stdtrit(spread.df, (1 + level) / 2))
    variance = np.float64(spread.variance)
    ends = getattr(statistic, "ends", None)
    student = [float(x) for x in student_limits(spread.theta, variance, spread.third, t, ends)]
    low, high = deciding(student, n)
    values = np.concatenate([_draws(cells, statistic, sums) for sums in cells.resampled(draws)])
    boot = _percentiles(values, min(n), level)
    return Interval(
        estimate=spread.theta,
        low=float(low),
        high=float(high),
        boot_low=boot[0],
        boot_high=boot[1],
        t_low=student[0],
        t_high=student[1],
        skew_low=student[2],
        skew_high=student[3],
        n=n,
        variance=spread.variance,
        parts=spread.parts,
        df=spread.df,
        undefined=1 - float(np.isfinite(values).mean()) if spread.whole else 1.0,
        points=points,
        third=spread.third,
        ends=ends,
    )


def _draws(
    cells: Cells, statistic: Statistic, sums: Float[np.ndarray, "draw column"]
) -> Float[np.ndarray, " draw"]:
    """The statistic in each draw; NaN where what it divides by is on the other side of 0, as the
    limits of a quotient then have no end."""
    values = cells.apply(statistic, sums)
    for divisor in getattr(statistic, "divisors", ()):
        side = np.sign(cells.apply(divisor, cells.total[None]))
        values = np.where(np.sign(cells.apply(divisor, sums)) == side, values, np.nan)
    return values


class _Spread(NamedTuple):
    """An estimate, and what leaving out one unit at a time says of its error."""

    theta: float
    variance: float
    parts: tuple[float, ...]
    df: float
    third: float
    whole: bool
    """Whether the statistic is a number for the estimate and without any one unit."""


def _spread(
    cells: Cells, statistic: Statistic, factors: int, units: Sequence[str]
) -> _Spread | None:
    """The jackknife of a statistic; None where a factor has fewer than two units."""
    n = cells.n[:factors]
    if min(n) < 2:
        return None
    theta = cells.apply(statistic, cells.total[None])[0]
    left_out = [
        cells.apply(statistic, cells.total - cells.by_level(axis)) for axis in range(factors)
    ]
    shared = [shared_training(u, k) for u, k in zip(units, n, strict=False)] or [1.0] * factors
    parts = tuple(jackknife(x) * by for x, by in zip(left_out, shared, strict=True))
    variance = parts[0]
    # Owen's pigeonhole: leaving out rows and leaving out columns both count what the cells vary by,
    # so V_ab, from leaving out single cells, is taken off once.
    if factors == 2:
        each_cell = cells.apply(statistic, cells.total - cells.columns[cells.present])
        left_out.append(each_cell)
        variance = max(parts[0] + parts[1] - jackknife(each_cell), *parts)
    third = sum(third_cumulant(x) * by**1.5 for x, by in zip(left_out, shared, strict=False))
    whole = bool(np.isfinite(theta)) and all(np.isfinite(x).all() for x in left_out)
    df = freedom(variance, parts, n)
    groups = getattr(statistic, "groups", None) if getattr(statistic, "strata", False) else None
    if factors == 1 and groups and variance:
        of = groups(cells.means(cells.by_level(0)))
        squares = (n[0] - 1) / n[0] * np.square(left_out[0] - left_out[0].mean())
        own = np.maximum(np.bincount(of) - 1, 1)
        df = max(1.0, variance**2 / float(np.sum(np.bincount(of, squares) ** 2 / own)))
    return _Spread(float(theta), variance, parts, df, float(third), whole)


def _percentiles(
    values: Float[np.ndarray, " draw"], smaller: int, level: float
) -> tuple[float, float]:
    """The expanded percentile interval of draws, of so many units of the smaller factor."""
    finite = np.isfinite(values)
    if not finite.any():
        return math.nan, math.nan
    # A plain percentile interval of n units is too narrow: the draws have variance (n − 1)/n of s²,
    # and normal tails in place of t's. The percentiles are moved outwards by both.
    expanded = scipy.special.stdtrit(smaller - 1, (1 + level) / 2)
    tail = scipy.special.ndtr(-expanded * np.sqrt(smaller / (smaller - 1)))
    low, high = np.quantile(values[finite], [tail, 1 - tail])
    return float(low), float(high)


def shared_training(unit: str, n: int) -> float:
    """Give how many times the squared standard error of independent units that of n units of this
    name is: of folds, each trained on n - 1 of n parts, as the correlation 1/n between them says.

    Formula: 1 + n/(n - 1)
    Source: Nadeau and Bengio, Inference for the Generalization Error, 2003.
    Example:
        >>> from assay.core.intervals import shared_training
        >>> shared_training("fold", 5), shared_training("seed", 5)
        (2.25, 1.0)
    """
    return 1 + n / (n - 1) if unit == FOLD else 1.0


def deciding(student: Sequence[Numbers], n: Sequence[int]) -> tuple[Numbers, Numbers]:
    """Choose the limits that decide among those of `student_limits`: the hull of both, and of fewer
    than six units those of Student's t, as so few hardly show skew."""
    low, high, skew_low, skew_high = student
    if min(n) < FEWEST:
        return low, high
    # Skewed units mislead one method, normal ones the other; the claim must hold by both.
    return np.minimum(low, skew_low), np.maximum(high, skew_high)


def freedom(variance: float, parts: tuple[float, ...], n: tuple[float, ...]) -> float:
    """Compute the degrees of freedom of a squared standard error that factors make up.

    Args:
        variance: V.
        parts: V_a and V_b.
        n: units of each factor.
    Formula: n - 1; of two factors Satterthwaite's V^2 / (V_a^2/(n_a-1) + V_b^2/(n_b-1)), where
    nothing varies that of the smaller.
    Example:
        >>> from assay.core.intervals import freedom
        >>> freedom(2.0, (1.0, 1.0), (6, 6))
        10.0
    """
    spread = sum(part**2 / (m - 1) for part, m in zip(parts, n, strict=True))
    return variance**2 / spread if len(n) == 2 and spread > 0 else float(min(n) - 1)


def _nothing(estimate: float, n: tuple[int, ...], points: np.ndarray) -> Interval:
    """An estimate from too few units for any interval."""
    nan = math.nan
    undefined = 0.0 if math.isfinite(estimate) else 1.0
    return Interval(estimate, *(nan,) * 8, n, nan, (nan,) * len(n), 0, undefined, points)


def counts(
    position: int, n: int, draws: int, bits: np.random.Philox | None = None
) -> Int[np.ndarray, "draw unit"]:
    """How often each of n units is picked in each draw (rows sum to n); a fixed stream for a
    factor's position and n.

    `bits` continues a stream, so that any split of the draws into chunks gives the same numbers.

    Args:
        position: of the factor, 0 or 1.
        n: units.
        draws: how many.
        bits: the stream to go on with.
    Example:
        >>> import assay
        >>> counts = assay.stats.counts(position=0, n=4, draws=3)
        >>> counts.shape, counts.sum(1)
        ((3, 4), array([4, 4, 4]))
    """
    if n == 1:
        return np.ones((draws, 1), dtype=np.int64)
    bits = bits or _stream(position, n)
    # ⌊u n / 2³²⌋ of a 32-bit u: uniform but for n/2³², with exactly one raw number a pick.
    # Rejection would be exact, but how much of the stream a draw uses would then vary, and chunks
    # would not agree.
    raw = bits.random_raw(draws * n) >> np.uint64(32)
    picked = ((raw * np.uint64(n)) >> np.uint64(32)).astype(np.int64).reshape(draws, n)
    # Each draw counts in bins of its own, so that one bincount does them all.
    offset = np.arange(draws)[:, None] * n
    return np.bincount((picked + offset).ravel(), minlength=draws * n).reshape(draws, n)


def _stream(position: int, n: int) -> np.random.Philox:
    return np.random.Philox(key=(position << 64) + n)


def _in_parts(
    position: int, n: int, draws: int, most: int
) -> Iterator[Int[np.ndarray, "draw unit"]]:
    """The counts of all draws, at most so many draws at a time."""
    bits = _stream(position, n)
    for start in range(0, draws, most):
        yield counts(position, n, min(most, draws - start), bits)


def _weights(
    position: int, n: int, draws: int, most: int
) -> Iterator[Float[np.ndarray, "draw unit"]]:
    """Give the counts as float64; those of the usual number of draws are drawn once, for all
    statements about as many units."""
    if draws != DRAWS or draws * n > _KEPT:
        return (part.astype(np.float64) for part in _in_parts(position, n, draws, most))
    unit_counts = _draw_counts(position, n)
    return (unit_counts[start : start + most].astype(np.float64) for start in range(0, draws, most))


@lru_cache(maxsize=8)
def _draw_counts(position: int, n: int) -> Int[np.ndarray, "draw unit"]:
    small = np.uint8 if n < 256 else np.uint16  # no unit is picked more than n times
    return np.concatenate(
        [part.astype(small) for part in _in_parts(position, n, DRAWS, max(1, _CACHED // n))]
    )


def jackknife(left_out: np.ndarray) -> float:
    """Compute the squared standard error from what a statistic is without each unit."""
    n = len(left_out)
    # From the first, so that equal values have no variance at all, not one of rounding.
    off = left_out - left_out[0]
    return float((n - 1) / n * np.sum((off - off.mean()) ** 2))


def third_cumulant(left_out: np.ndarray) -> float:
    """The third cumulant of the estimate that one factor causes, by its plain moments: over
    V^(3/2) it is the plain skewness of the units, divided by √n."""
    n = len(left_out)
    return float(((n - 1) / n) ** 1.5 * np.sum((left_out.mean() - left_out) ** 3))


def student_limits(
    theta: Numbers,
    variance: Numbers,
    third: Numbers,
    t: Numbers,
    ends: tuple[float, float] | None = None,
) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Compute the limits of Student's t, then of the t corrected for skew, of one estimate or of an
    array of them. Of a statistic that lies between two ends, both are those of its logit, which
    has little skew."""
    theta, variance = np.asarray(theta), np.asarray(variance)
    root = np.sqrt(variance)
    if ends is not None:
        low, high = (_between(theta, times * t * root, ends) for times in (-1, 1))
        return low, high, low, high
    low, high = (theta - root * _hall(q, third, variance) for q in (t, -t))
    return theta - t * root, theta + t * root, low, high


def _between(theta: Numbers, off: Numbers, ends: tuple[float, float]) -> Numbers:
    """The number that lies as far from this one, by the logit of its place between two ends, as
    one that is `off` by so much does to first order. From -1 to 1, this is Fisher's z."""
    least, greatest = ends
    place = (np.asarray(theta) - least) / (greatest - least)
    with np.errstate(all="ignore"):
        logit = np.log(place) - np.log1p(-place)
        moved = logit + off / ((greatest - least) * place * (1 - place))
    inside = (place > 1e-12) & (place < 1 - 1e-12)
    there = np.where(inside, scipy.special.expit(moved), np.clip(place, 0, 1))
    return least + (greatest - least) * there


def _hall(q: Numbers, third: Numbers, variance: Numbers) -> Numbers:
    """The t value that Hall's monotone transformation takes to q, where the estimate has this third
    cumulant and variance: not beyond the inflection of its cubic, and at most twice as far."""
    with np.errstate(all="ignore"):
        c = third / variance**1.5
        # For c → 0 this is q, but 0/0 in floating point; small c is put aside below. Without these
        # bounds, a limit runs several standard errors beyond every unit, for hardly a miss less.
        bent = 3 / c * (np.cbrt(np.maximum(1 + c * (q - c / 6), 0)) - 1)
        bent = np.clip(bent, -FARTHEST * np.abs(q), FARTHEST * np.abs(q))
    return np.where(np.isfinite(c) & (np.abs(c) >= 1e-6), bent, q)


class Cells:
    """Terms as one array [a, b, column]; the last column counts cells, the others are deviations
    from a reference.

    Deviations make equal numbers average to exactly that number (0.9 in all seeds gives 0.9 in
    every draw, without rounding noise around a threshold) and keep precision for terms far from
    zero."""

    def __init__(self, terms: Mapping[str, np.ndarray], factors: int) -> None:
        if not terms:
            raise ClaimError("a value must have at least one term, got none")
        arrays = {name: np.asarray(x, dtype=np.float64) for name, x in terms.items()}
        shapes = {name: x.shape[:factors] for name, x in arrays.items()}
        if len(set(shapes.values())) > 1 or any(x.ndim < factors for x in arrays.values()):
            raise ClaimError(
                f"all terms need the same {factors} unit axes first, got shapes {_listed(arrays)}"
            )
        units = next(iter(shapes.values())) + (1,) * (2 - factors)
        flat = {
            name: x.reshape(*units, int(np.prod(x.shape[factors:]))) for name, x in arrays.items()
        }
        for name, x in flat.items():
            if np.isinf(x).any():
                raise ClaimError(
                    f"term {name!r} is infinite in {int(np.isinf(x).sum())} places; a mean of "
                    "it means nothing"
                )
        # A cell counts in all terms or in none: a ratio of means over different units would be of
        # neither.
        present = np.logical_and.reduce([~np.isnan(x).any(-1) for x in flat.values()])
        if not present.any():
            raise ClaimError(
                f"no unit has a number in all terms ({', '.join(terms)}): nothing is left to judge"
            )
        present, flat = _without_empty(present, flat)
        self.shapes = {name: x.shape[factors:] for name, x in arrays.items()}
        self.present = present
        self.n = present.shape
        columns = np.concatenate([np.where(present[..., None], x, 0.0) for x in flat.values()], -1)
        self.reference = columns[present][0]
        columns = (columns - self.reference) * present[..., None]
        self.columns = np.concatenate([columns, present[..., None]], -1)
        self.total = self.columns.sum((0, 1))

    def by_level(self, axis: int) -> Float[np.ndarray, "level column"]:
        """Sums over the other factor: what one level of this factor adds to the total."""
        return self.columns.sum(1 - axis)

    def resampled(self, draws: int) -> Iterator[Float[np.ndarray, "draw column"]]:
        """Weighted sums of every bootstrap draw, in chunks; levels of both factors are drawn on
        their own."""
        a, b, width = self.columns.shape
        # The longer factor is summed first, as one product.
        inner = self.columns if b >= a else self.columns.swapaxes(0, 1)
        matrix = inner.swapaxes(0, 1).reshape(max(a, b), min(a, b) * width)
        numbers = a + b + matrix.shape[1]
        chunk = max(1, min(draws, _BLOCK // numbers))
        size = min(
            chunk, max(_CACHED // numbers, 64)
        )  # fewer, and a large matrix would be read for little
        pairs = zip(*(_weights(i, n, draws, size) for i, n in enumerate((a, b))), strict=True)
        parts = (
            np.einsum("kw,kwc->kc", short, (long @ matrix).reshape(len(long), min(a, b), width))
            if min(a, b) > 1
            else long @ matrix
            for short, long in (pair if b >= a else pair[::-1] for pair in pairs)
        )
        while chunks := list(islice(parts, chunk // size)):
            yield np.concatenate(chunks)

    def means(self, sums: Float[np.ndarray, "draw column"]) -> dict[str, np.ndarray]:
        """The means of the terms that belong to these weighted sums, [draw, …]."""
        weight = sums[:, -1:]
        with np.errstate(all="ignore"):
            # A draw may pick no cell that is there; its mean is undefined, not 0.
            means = self.reference + sums[:, :-1] / np.where(weight > 0, weight, np.nan)
        means_by_name, offset = {}, 0
        for name, shape in self.shapes.items():
            size = int(np.prod(shape))
            means_by_name[name] = means[:, offset : offset + size].reshape(len(sums), *shape)
            offset += size
        return means_by_name

    def apply(
        self, statistic: Statistic, sums: Float[np.ndarray, "draw column"]
    ) -> Float[np.ndarray, " draw"]:
        """The statistic of the means that belong to these weighted sums."""
        means_by_name = self.means(sums)
        with np.errstate(all="ignore"):
            values = np.asarray(statistic(means_by_name), dtype=np.float64)
        if values.shape != (len(sums),):
            dims = ", ".join(
                f"{n} [draw{''.join(f', {s}' for s in shape)}]" for n, shape in self.shapes.items()
            )
            got = f"got {list(values.shape)} from the means {dims}"
            raise ClaimError(
                f"the statistic must give one number per draw, [{len(sums)}], {got}; average "
                "or choose along other dims"
            )
        return values


def _without_empty(
    present: Bool[np.ndarray, "a b"], flat: dict[str, np.ndarray]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rows, cols = present.any(1), present.any(0)
    return present[rows][:, cols], {name: x[rows][:, cols] for name, x in flat.items()}


def _listed(arrays: Mapping[str, np.ndarray]) -> str:
    return ", ".join(f"{name} {list(x.shape)}" for name, x in arrays.items())
