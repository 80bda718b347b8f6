"""Power: where an interval lies with regard to the ranges of a claim, which decides it; how often
experiments like this one would decide it; and how many units would decide an undecided claim.

Experiments are simulated with as many units as were measured, spread as normal ones with the same
standard errors, and each is placed by its hull. Where limits are exact, units are taken to lie on
one of their two bounds, where the law is known and the interval is widest."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from msgspec import structs

from assay.core.bounded import FEW, Bounds, misleads
from assay.core.claims import Claim, unscale
from assay.core.contrasts import Between
from assay.core.heavy import scipy
from assay.core.intervals import FEWEST, FOLD, Interval, deciding, freedom, student_limits
from assay.core.nouns import plural
from assay.core.results import Price, control_level
from assay.train.rng import normal

CHANCE = 0.8
"""The power that a claim should have: in so many experiments it is decided."""
NOTHING = (math.nan, math.nan)
"""No value would be found."""
MOST = 1_000_000
"""More units than anybody buys: beyond them a claim counts as not decidable by units."""
_WORLDS = 2_000
_DRAWN = 128
"""Most levels of a factor that are drawn; with more of them hardly anything but Student's t
changes."""
_FAR = 64
"""Standard errors beyond a threshold: an effect that four in five experiments would find lies
nearer."""

Worlds = Float[np.ndarray, " world"]
Limits = tuple[np.ndarray, np.ndarray]


# where an interval lies ---------------------------------------------------------------------------


def placed(claim: Claim, low: Any, high: Any) -> tuple[Any, Any]:
    """Say whether an interval lies within the range to hold, and whether outside the range to fail;
    elementwise for arrays of limits."""
    (hold_low, hold_high), (fail_low, fail_high) = claim.edges
    return (hold_low <= low) & (high <= hold_high), (high < fail_low) | (low > fail_high)


def strict(claim: Claim) -> Claim:
    """The claim, failing wherever it does not hold: what others than the method are held to."""
    return replace(claim, fail_low=None, fail_high=None)


def beyond(claim: Claim, control: Interval) -> Claim:
    """The claim that the method lies beyond a control: above one that lies below the range to hold,
    below one that lies above."""
    above = control.estimate < claim.edges[0][0]
    low, high = (claim.beats, math.inf) if above else (-math.inf, -claim.beats)
    return replace(strict(claim), low=low, high=high, scale="plain", bounds=None)


def distance(claim: Claim, i: Interval) -> float:
    """Measure how far the estimate lies from the nearest finite edge, on the scale of judging."""
    return abs(i.estimate - nearest_edge(claim, i))


def nearest_edge(claim: Claim, i: Interval) -> float:
    """Give the finite edge that the estimate lies nearest to, on the scale of judging."""
    ends = [e for pair in claim.edges for e in pair if math.isfinite(e)]
    return min(ends, key=lambda e: abs(i.estimate - e))


# chances ------------------------------------------------------------------------------------------


def chance(claim: Claim, i: Interval, truth: float, level: float = 0.95) -> tuple[float, float]:
    """Compute in which shares of such experiments an arm's interval would hold, and fail, if its
    true value were `truth`.

    `truth` is on the scale of judging; `i` gives the number of units and their spread."""
    return chances(claim, i, level)(truth)


def chances(claim: Claim, i: Interval, level: float) -> Callable[[float], tuple[float, float]]:
    """Give the chances to hold and to fail, as a function of the true value on the scale of
    judging."""
    if i.bounds is None:
        below, above = _hull(i, level)

        def of_hull(truth: float) -> tuple[float, float]:
            holds, fails = placed(claim, truth + below, truth + above)
            return float(holds.mean()), float(fails.mean())

        return of_hull
    bounds, n = i.bounds, min(i.n)

    def of_shares(truth: float) -> tuple[float, float]:
        low, high, law = _between(bounds, n, truth, level)
        holds, fails = placed(claim, low, high)
        return float(law[holds].sum()), float(law[fails].sum())

    return of_shares


def beaten(
    claim: Claim, i: Interval, controls: Sequence[tuple[Interval, Between | None]], level: float
) -> Callable[[float], float]:
    """Compute the chance that every control is beaten in such an experiment, as a function of the
    method's true value on the scale of judging; `controls` are the interval of each, and how far
    the method lies from it."""
    outside, gaps = 1.0, []
    for k, between in controls:
        outside *= chance(strict(claim), k, k.estimate, control_level(level))[1]
        if between is not None and math.isfinite(between.interval.variance):
            to = _log if between.is_log else float
            decided = chances(beyond(claim, k), between.interval, level)
            gaps.append((decided, between.interval.estimate - to(i.estimate), to))
    return lambda truth: outside * math.prod(of(to(truth) + off)[0] for of, off, to in gaps)


def detectable(
    claim: Claim,
    i: Interval,
    level: float = 0.95,
    controls: Callable[[float], float] = lambda truth: 1.0,
) -> tuple[float, float]:
    """Tell from which to which true value at least 80% of such experiments would find the claim to
    hold.

    `controls` gives the chance that controls and planted effects come out as required at a value,
    counted as independent of the arm itself. In the claim's unit; infinite on a side without a
    threshold; NaN twice where no value would be found."""
    (low, high), _ = claim.edges
    if i.df < 1 or not math.isfinite(i.variance):
        return NOTHING
    # Without bounds a far point replaces infinity; a claim not found there is found nowhere.
    reach = _FAR * math.sqrt(i.variance) + 2 * i.rounding
    least, greatest = i.bounds or (high - reach, low + reach)
    sure = greatest if math.isinf(high) else least if math.isinf(low) else (low + high) / 2
    decided = chances(claim, i, level)

    def first(no: float) -> float:
        """The value nearest to `no` that is found, to a billionth of the way."""
        yes = sure
        for _ in range(0 if math.isinf(no) else 30):
            middle = (no + yes) / 2
            is_enough = decided(middle)[0] * controls(middle) >= CHANCE
            no, yes = (no, middle) if is_enough else (middle, yes)
        return no if math.isinf(no) else yes

    if decided(sure)[0] * controls(sure) < CHANCE:
        return NOTHING
    return unscale(claim.scale, first(low)), unscale(claim.scale, first(high))


def half_width(claim: Claim, i: Interval, level: float = 0.95) -> float:
    """Compute the half-width to expect of the interval that decides, on the scale of judging: the
    median over such experiments, between bounds the mean."""
    if i.bounds is None:
        below, above = _hull(i, level)
        return float(np.median(above - below)) / 2
    low, high, law = _between(i.bounds, min(i.n), i.estimate, level)
    return float((high - low) @ law) / 2


# more units ---------------------------------------------------------------------------------------


def with_units(i: Interval, k: int, n: int) -> Interval:
    """Give the interval's standard errors at n units of factor k; its limits stay as they are, and
    mean nothing then.

    Formula: V_k shrinks with 1/n, and so does what two factors share by their cells, V_a + V_b − V;
    the rest of V stays."""
    narrowed, part = i.n[k] / n, i.parts[k] * i.n[k] / n
    shared = max(0.0, sum(i.parts) - i.variance) * narrowed
    parts = tuple(part if j == k else i.variance - i.parts[k] + shared for j in range(len(i.n)))
    counts = tuple(n if j == k else size for j, size in enumerate(i.n))
    variance = i.variance - i.parts[k] + part
    return replace(i, n=counts, parts=parts, variance=variance, df=freedom(variance, parts, counts))


def enough(
    claim: Claim,
    i: Interval,
    factors: tuple[int, ...],
    least: int,
    level: float = 0.95,
    narrowed: float = math.inf,
) -> int | None:
    """Compute the fewest units of a factor with which 80% of experiments would be decided if the
    estimate were the truth.

    Of two `factors` the first is counted, and the second grows in proportion. The squared standard
    error has to come down to the share `narrowed` of what it is. None where no number up to a
    million is enough."""

    def decided(n: int) -> bool:
        more = i
        for k in factors:
            more = with_units(more, k, round(n * i.n[k] / i.n[factors[0]]))
        # ∞ · 0 is no number: units that all lie on a bound have no variance
        is_narrow = math.isinf(narrowed) or more.variance <= narrowed * i.variance
        return is_narrow and max(chance(claim, more, i.estimate, level)) >= CHANCE

    return least_enough(decided, least)


def least_enough(enough: Callable[[int], bool], least: int) -> int | None:
    """Find the least number from `least` on that is enough, up to a million; None where none is."""
    # Doubled until it is enough, then halved into: more units decide more often, but for the noise
    # of simulation.
    high = least
    while not enough(high):
        if high >= MOST:
            return None
        high = min(2 * high, MOST)
    low = max(least - 1, high // 2)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def best(claim: Claim, n: int, level: float = 0.95) -> tuple[float, float, float] | None:
    """Give the exact interval of n units that is nearest to holding, with the number that all of
    them then have, where units lie between bounds and not even that one holds; None where one does,
    or no bounds are known.

    Formula: x - s (x - lower bound) to x + s (upper bound - x), with s = 1 - ((1 - level)/2)^(1/n):
    no units have a narrower one about x than those that all are x
    """
    bounds = claim.bounds or claim.natural
    if bounds is None or not np.isfinite(bounds).all():
        return None
    (least, greatest), (low, high) = bounds, (claim.low, claim.high)
    shrunk = 1 - ((1 - level) / 2) ** (1 / n)
    # With two thresholds as far beyond the one as beyond the other; with one, at the better bound.
    middle = (low + high - shrunk * (least + greatest)) / (2 - 2 * shrunk)
    x = min(max(middle, least), greatest)
    ends = x - shrunk * (x - least), x + shrunk * (greatest - x)
    return None if placed(claim, *ends)[0] else (x, *ends)


def fewest_to_hold(claim: Claim) -> int | None:
    """Compute the fewest units between bounds of which some outcome could hold; None where no
    number up to a million is enough."""
    return least_enough(lambda n: best(claim, n) is None, FEWEST)


def decidable(claim: Claim, n: int, fewest: int = FEWEST) -> bool:
    """Tell whether any outcome of n units of one factor could decide a claim."""
    bounds = claim.bounds or (claim.natural if claim.is_worded and n < FEW else None)
    if n < fewest or len(claim.units) == 2 or bounds is None or not np.isfinite(bounds).all():
        return n >= fewest
    low, high, _ = _between(bounds, n, sum(bounds) / 2, 0.95)
    return bool(np.logical_or(*placed(claim, low, high)).any())


# what decides the undecided -----------------------------------------------------------------------


ON = Price("no number of units: the estimate lies on the threshold")
"""The price of a verdict that no number of units would decide."""


def price_to_decide(claim: Claim, i: Interval, level: float = 0.95) -> Price:
    """Say about how many more units would let 80% of experiments decide the claim if the estimate
    were the truth."""
    (hold_low, hold_high), (fail_low, fail_high) = claim.edges
    between = (fail_low <= i.estimate < hold_low) or (hold_high < i.estimate <= fail_high)
    if between and (fail_low, fail_high) != (hold_low, hold_high):
        return Price("more units do not help: the estimate lies between the two thresholds")
    if i.band is not None:
        return _price_of_band(claim, i.band, i.undecided, level)
    if math.isclose(i.estimate, edge := nearest_edge(claim, i), rel_tol=1e-12, abs_tol=1e-15):
        return ON
    off = abs(i.estimate - edge) - i.rounding
    if off <= 0:
        return Price(
            f"no number of units: rounding alone moves the estimate by up to {i.rounding:.4g}, and "
            "the threshold is not farther away than this; give more decimals"
        )
    if FOLD in claim.units:
        return Price(
            "more folds hold no more data: measure more examples, or several data sets as units"
        )
    least = 0
    points = i.points[np.isfinite(i.points)]
    if claim.bounds is None and i.bounds and not misleads(points, i.bounds, FEW):
        # Only for so few units are limits exact.
        i, least = replace(i, bounds=None), FEW
        low, high = i.limits(level)
        i = replace(i, low=low, high=high)
    if i.bounds is not None and len(i.n) == 2:
        return _price_of_both(claim, i, edge, level)
    if i.bounds is not None and (n := _fewest_of_these(claim, i, i.bounds, level)):
        return _more(claim.units[0], n - i.n[0], n)
    side = i.estimate - i.low if edge < i.estimate else i.high - i.estimate
    reach = (side - i.rounding) / off  # of these units, however skewed
    narrowed = math.inf if i.bounds or not reach else reach**-2
    by_part = sorted(range(len(i.n)), key=lambda k: -i.parts[k])
    for k in by_part:
        if (n := enough(claim, i, (k,), max(least, i.n[k] + 1), level, narrowed)) is not None:
            return _more(claim.units[k], n - i.n[k], n)
    k, both = by_part[0], tuple(by_part)
    if len(both) < 2 or (n := enough(claim, i, both, i.n[k] + 1, level, narrowed)) is None:
        return ON
    times = f"{math.ceil(10 * n / i.n[k]) / 10:g} times as many of both"
    return Price(f"about {times}, {' and '.join(claim.units)}", claim.units[k], n - i.n[k])


def _fewest_of_these(claim: Claim, i: Interval, bounds: Bounds, level: float) -> int | None:
    """Compute about how many units like these would decide a claim in 80% of experiments, where
    they lie between bounds; None where all lie on bounds, of which the law is known.

    Formula: an exact limit is off by hypot(s (x - bound), z sd/sqrt(n)), with s = 1 -
    ((1 - level)/2)^(1/n), exactly so where all units are alike
    """
    points = i.points[np.isfinite(i.points)]
    if np.isin(points, bounds).all():
        return None
    side = 1 if i.estimate > nearest_edge(claim, i) else -1

    def decided(n: int) -> bool:
        error, shrunk = points.std() / math.sqrt(n), 1 - ((1 - level) / 2) ** (1 / n)
        x = i.estimate - side * scipy.special.ndtri(CHANCE) * error  # one in five is beyond
        z = scipy.special.ndtri((1 + level) / 2) * error
        low = x - math.hypot(shrunk * (x - bounds[0]), z)
        high = x + math.hypot(shrunk * (bounds[1] - x), z)
        return any(map(bool, placed(claim, low, high)))

    return least_enough(decided, len(points) + 1)


def _price_of_band(
    claim: Claim, band: Callable[..., tuple[float, float]], undecided: str, level: float
) -> Price:
    """Say how many times as many units would decide what is taken over levels, or else why none."""
    for times in (1.5, 2, 3, 5, 10):
        if any(np.any(x) for x in placed(claim, *band(level, times**-0.5))):
            return Price(f"about {times:g} times as many units, if the means stay as they are")
    why = "the means lie too near to each other, or to the claim's threshold"
    if undecided:
        why = f"its band leaves open at {undecided}; a threshold there that is outside the band "
        why += "would decide it"
    return Price(f"even ten times as many units would not decide it: {why}")


def _price_of_both(claim: Claim, i: Interval, edge: float, level: float) -> Price:
    """Say how many levels each of two factors needs whose cells all lie on one bound."""

    def decided(n: int) -> bool:
        return max(chance(claim, replace(i, n=(n, n)), i.estimate, level)) >= CHANCE

    n = least_enough(decided, min(i.n) + 1)
    if n is None:
        return ON
    short = [(u, n - have) for u, have in zip(claim.units, i.n, strict=True) if have < n]
    needed = " and ".join(f"{n:,} {plural(u, n)}" for u, _ in short)
    end = "lower end above" if edge < i.estimate else "upper end below"
    text = f"about {needed} in all, for an exact {end} {edge:.6g}"
    # More of one factor alone buy nothing where both are short.
    return Price(text, *(short[0] if len(short) == 1 else (None, None)))


def price_of_units(
    unit: str, n: int, available: int, fewest: int, likely: Price | None = None
) -> Price:
    """About how many more units, where `n` of those that are there have a number: the fewest that
    a verdict needs or, if they are more, those that are `likely` to decide it."""
    if not n and available:
        return Price(
            f"more {plural(unit, 2)} alone do not help: none of {available} has what the claim "
            "compares; change what is trained"
        )
    more = math.ceil((fewest - n) * max(available, n) / n) if n else fewest
    total = max(available, n) + more
    if likely and likely.factor == unit and (decide := likely.more or 0) > more:
        need = f"at least {total:,} {plural(unit, total)} are needed"
        return Price(f"{need}; at this spread, about {n + decide:,} in all", unit, decide)
    return _more(unit, more, total)


def _more(unit: str, more: int, total: int) -> Price:
    return Price(f"about {more:,} more {plural(unit, more)}, {total:,} in all", unit, more)


def price_of_arm(name: str, price: Price | None) -> Price | None:
    """The price of another arm's verdict, with that arm's name in front."""
    return structs.replace(price, text=f"{name}: {price.text}") if price else None


def price_of_gate(gate: str, i: Interval) -> Price:
    """What it takes to meet a gate."""
    if gate == "converged" and i.n[0]:
        return Price(
            "longer training; or more units, if a narrower interval survives the change since "
            "half-way"
        )
    if gate == "divisor":
        share = f": it has another sign in {i.undefined:.1%} of resamples" * (i.undefined < 1)
        return Price(
            f"more units, or others, of which it is clearly not 0{share}; or make the claim about "
            "what is divided, or about the difference"
        )
    if gate != "overlap":
        return Price(
            f"more units do not help: meet the gate {gate}, by longer training for instance"
        )
    share = f"in {i.undefined:.1%} of the draws"
    quantity = share if i.undefined < 1 else "for the estimate itself or when one unit is left out"
    return Price(
        f"more units do not help: the statistic is undefined {quantity}; let the sweeps "
        "overlap, or choose other points"
    )


def price_with_gates(price: Price, unmet: Sequence[str]) -> Price:
    """Add to the price of more units what else a claim waits for, lest they be bought in vain."""
    if price.more is None or not unmet:
        return price
    waits = "longer training" if "converged" in unmet else f"what meets the gate {unmet[0]}"
    return structs.replace(price, text=f"{price.text}, and {waits}")


# simulated experiments ----------------------------------------------------------------------------


def _log(x: float) -> float:
    """The logarithm of a number, of what is not positive that of next to nothing."""
    return math.log(max(x, 1e-300))


def _between(bounds: Bounds, n: int, truth: float, level: float) -> tuple[Worlds, Worlds, Worlds]:
    """Clopper and Pearson's limits for each number of n units on the greater bound, and how likely
    that number is; all others lie on the lesser. Numbers beyond seven standard deviations are left
    out."""
    share = min(1.0, max(0.0, (truth - bounds[0]) / (bounds[1] - bounds[0])))
    reach = 7 * math.sqrt(n * share * (1 - share)) + 7
    k = np.arange(max(0, math.floor(n * share - reach)), min(n, math.ceil(n * share + reach)) + 1)
    least, width = bounds[0], bounds[1] - bounds[0]
    with np.errstate(all="ignore"):
        low = np.where(k > 0, scipy.special.betaincinv(k, n - k + 1, (1 - level) / 2), 0.0)
        high = np.where(k < n, scipy.special.betaincinv(k + 1, n - k, (1 + level) / 2), 1.0)
        # P(K ≥ k) = I_p(k, n − k + 1), whose difference at k and k + 1 is P(K = k).
        so_many = np.where(k > 0, scipy.special.betainc(k, n - k + 1, share), 1.0)
        more = np.where(k < n, scipy.special.betainc(k + 1, n - k, share), 0.0)
    return least + width * low, least + width * high, so_many - more


def _hull(i: Interval, level: float) -> Limits:
    """The limits of the interval that decides in simulated experiments, less the true value."""
    draws = [_draw_moments(min(n, _DRAWN)) for n in i.n]
    variances = [part * d.variance for part, d in zip(i.parts, draws, strict=True)]
    factors = zip(i.parts, i.n, draws, strict=True)
    third = np.sum([part**1.5 * d.third / math.sqrt(n) for part, n, d in factors], 0)
    variance, df = variances[0], np.full(_WORLDS, i.df)
    if len(i.n) == 2:
        shared = max(0.0, sum(i.parts) - i.variance)
        variance = np.maximum(variances[0] + variances[1] - shared, np.maximum(*variances))
        spread = sum(v**2 / (n - 1) for v, n in zip(variances, i.n, strict=True))
        df = variance**2 / np.maximum(spread, 1e-300)
    estimate = math.sqrt(i.variance) * draws[0].mean
    t = scipy.special.stdtrit(df, (1 + level) / 2)
    low, high = deciding(student_limits(estimate, variance, third, t), i.n)
    return np.asarray(low) - i.rounding, np.asarray(high) + i.rounding


class _Drawn(NamedTuple):
    """What n standard normal units of a factor look like in each simulated experiment."""

    mean: Worlds
    """In standard errors; drawn by itself, as it is independent of how units spread."""
    variance: Worlds
    third: Worlds
    """By plain moments, as the correction for skew takes it."""


@lru_cache(maxsize=256)
def _draw_moments(n: int) -> _Drawn:
    """Half of the experiments are the others mirrored, so that high and low are treated alike."""
    x = normal(np.array([0]), "power", n, (_WORLDS // 2, n + 1))[0].astype(np.float64)
    off = x[:, 1:] - x[:, 1:].mean(1, keepdims=True)
    variance, third = (off**2).sum(1) / (n - 1), (n / (n - 1)) ** 1.5 * (off**3).mean(1)
    # Mirrored experiments share what is even in the units and turn the sign of what is odd.
    mean, skew = (np.concatenate([v, -v]) for v in (x[:, 0], third))
    return _Drawn(mean, np.concatenate([variance, variance]), skew)
