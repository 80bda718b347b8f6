"""Exact and Estimate: statements without a verdict; what comes out of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from assay.core.bands import OfMeans, correlation, in_range, interval_of
from assay.core.bands import wider as wider_by
from assay.core.bounded import Bounds, exact_bounds
from assay.core.claim_intervals import exactly, grouped, groups_in_words
from assay.core.claims import Estimate, Exact
from assay.core.errors import ClaimError
from assay.core.intervals import DRAWS, Cells, Interval, Means, Statistic, interval
from assay.core.judging import UNDEFINED, Arms, Scope, describe_method, describe_scope
from assay.core.nouns import plural
from assay.core.reading import Others, Table, run_unit, tabulate
from assay.core.results import Crossing, Curve, Estimated, Verified
from assay.core.schema import to_json

_HALVINGS = 12
"""Of a stretch between two levels, to find where an interval begins to contain what is crossed."""

Terms = Mapping[str, np.ndarray]
"""Terms by name, [unit, (unit,) level, ...]."""


def limits(i: Interval) -> tuple[float, float]:
    """Give the ends of an interval; NaN where more than 1% of its draws are undefined: one of the
    rest would leave out just the extreme ones."""
    return (i.low, i.high) if i.undefined <= UNDEFINED else (math.nan, math.nan)


def curve(
    terms: Terms,
    levels: Sequence[Any],
    statistic: Statistic,
    *,
    over: str,
    factors: int = 1,
    crosses: float | None = None,
    level: float = 0.95,
    draws: int = DRAWS,
    natural: Bounds | None = None,
    units: Sequence[str] = (),
    allow: Callable[[Terms, Statistic, Interval], Interval] | None = None,
    numbered: bool = False,
) -> Curve:
    """Estimate the statistic at every level, with intervals for each and a band for all of them.

    A unit that lacks a number at one level counts at none, so that all points are of the same
    units.

    Args:
        terms: {name: [unit, level, ...] or, of two factors, [unit, unit, level, ...]}.
        levels: of the field, in ascending order.
        statistic: means of the terms at one level → [draw].
        over: the field's name.
        factors: 1 or 2.
        crosses: a value of the curve, to find where it has it.
        level: of the intervals, of the whole band, and of the crossing, 0 to 1.
        draws: of the bootstrap behind each interval.
        natural: the least and the greatest number that there can be; where all units have the
            same number, the interval is exact.
        units: names of the factors; one called fold is a cross-validation's.
        allow: what widens the interval of a statistic of terms at some levels, for groups of units.
        numbered: whether the levels number places, such as blocks, so that no axis is logarithmic.
    Formula: each limit of the band lies c/t times as far from the estimate as that of the interval
    there, with t of Student's for one interval and c the `level` quantile of max |t| over all
    levels in simulated experiments: of ν + 1 normal units with the correlation between levels that
    leaving out each unit gives, all r times √((m ν − 1)/((ν − 1) m)), m their mean square, as few
    units overstate it. A crossing has the interval of all points of the field at which the interval
    of the interpolated curve, less the value, contains 0.
    Raises: ClaimError for fewer than two levels, where no unit has a number at every level, and for
    a crossing over a field that has no numbers.
    Source: Hothorn, Bretz and Westfall, Simultaneous Inference in General Parametric Models, 2008
    (max |t|); Fieller, Some Problems in Interval Estimation, 1954 (a test inverted).
    Example:
        >>> import numpy as np
        >>> from assay.core.curves import curve
        >>> rng = np.random.default_rng(0)
        >>> x = {"x": np.linspace(1, 0, 5) + 0.01 * rng.standard_normal((8, 5))}
        >>> c = curve(x, [0, 1, 2, 3, 4], lambda m: m["x"], over="depth", crosses=0.6)
        >>> c.crossing.words
        'crosses 0.6 between depth 1 and 2; on a straight line at 1.59 [1.57, 1.62]'
    """
    numeric = _check_levels(levels, over, crosses)
    complete = _complete(terms, levels, over, factors)

    def by_units(terms: Terms, statistic: Statistic) -> Interval:
        i = interval(terms, statistic, factors=factors, level=level, draws=draws, units=units)
        return i if allow is None else allow(terms, statistic, i)

    points = tuple(
        by_units({name: x.take(k, factors) for name, x in complete.items()}, statistic)
        for k in range(len(levels))
    )
    freedom = int(min(p.df for p in points))
    wider = math.nan
    if freedom >= 1:
        wider = wider_by(_correlation(complete, statistic, factors), freedom, level)
    # Without spread a hull has no width; exact limits share out what the whole band may err.
    flat = [_flat_bounds(p, complete, k, statistic, natural, units) for k, p in enumerate(points)]
    each = 1 - (1 - level) / len(levels)
    band = tuple(
        limits(exactly(p, bounds, each)) if bounds else _widened(p, wider)
        for p, bounds in zip(points, flat, strict=True)
    )
    points = tuple(
        exactly(p, bounds, level) if bounds else p for p, bounds in zip(points, flat, strict=True)
    )
    log = numeric and not numbered and _steps_by_factors(levels)
    crossing = None
    if crosses is not None:
        between = partial(_between, complete, statistic, factors, by_units, crosses)
        crossing = _crossing(points, levels, over, crosses, between, log=log)
    lows, highs = zip(*map(limits, points), strict=True)
    return Curve(
        over=over,
        axis="log" if log else "plain",
        levels=tuple(levels),
        estimate=tuple(p.estimate for p in points),
        low=lows,
        high=highs,
        band_low=tuple(low for low, _ in band),
        band_high=tuple(high for _, high in band),
        wider=wider,
        crossing=crossing,
        points=points,
    )


def _check_levels(levels: Sequence[Any], over: str, crosses: float | None) -> bool:
    """Whether all levels are numbers. Raises: ClaimError for fewer than two, and for a crossing
    over levels that are no numbers."""
    if len(levels) < 2:
        have = f"it has one, {levels[0]}" if len(levels) else "it has none"
        raise ClaimError(f"over {over} needs two levels or more; {have}")
    numeric = all(isinstance(x, int | float) and not isinstance(x, bool) for x in levels)
    if crosses is not None and not numeric:
        raise ClaimError(
            f"a crossing of {crosses} needs levels that are numbers; {over} has {levels[0]!r}"
        )
    return numeric


def _widened(i: Interval, wider: float) -> tuple[float, float]:
    """The limits of an interval so many times as far from its estimate."""
    low, high = limits(i)
    return i.estimate - wider * (i.estimate - low), i.estimate + wider * (high - i.estimate)


def _flat_bounds(
    i: Interval,
    terms: Terms,
    k: int,
    statistic: Statistic,
    natural: Bounds | None,
    units: Sequence[str],
) -> Bounds | None:
    """The bounds of the units at a level where all have the same number; None elsewhere."""
    if i.variance != 0 or natural is None:
        return None
    factors = len(i.n)
    at = Table({name: x.take(k, factors) for name, x in terms.items()}, {})
    return exact_bounds(at, units or ("",) * factors, statistic, None, natural)


def _complete(terms: Terms, levels: Sequence[Any], over: str, factors: int) -> Terms:
    """The terms without the cells that lack a number somewhere along the curve."""
    masks = [~np.isnan(x).any(axis=tuple(range(factors + 1, x.ndim))) for x in terms.values()]
    there = np.logical_and.reduce(masks)
    present = there.all(-1)
    if not present.any():
        empty = [str(levels[k]) for k in range(len(levels)) if not there[..., k].any()]
        why = f"none has one at {', '.join(empty)}" if empty else "each level has units of its own"
        raise ClaimError(f"no unit has a number at every level of {over}: {why}")
    return {
        name: np.where(present.reshape(*present.shape, *[1] * (x.ndim - factors)), x, np.nan)
        for name, x in terms.items()
    }


def _correlation(
    terms: Terms, statistic: Statistic, factors: int
) -> Float[np.ndarray, "level level"]:
    """How the estimates at two levels vary together, from leaving out each unit."""
    cells, count = Cells(terms, factors), next(iter(terms.values())).shape[factors]
    covariance: Any = 0.0
    for axis in range(factors):
        left = cells.means(cells.total - cells.by_level(axis))
        with np.errstate(all="ignore"):
            values = [statistic({n: m[:, k] for n, m in left.items()}) for k in range(count)]
        off = np.nan_to_num(np.stack(values, 1) - np.mean(values, 1))
        covariance = covariance + (len(off) - 1) / max(len(off), 1) * off.T @ off
    return correlation(covariance)


def _between(
    terms: Terms,
    statistic: Statistic,
    factors: int,
    by_units: Callable[[Terms, Statistic], Interval],
    crosses: float,
    k: int,
    share: float,
) -> Interval:
    """The interval of the interpolated curve less what it is to cross, this share of the way from
    level k to the next."""

    def off(m: Means) -> np.ndarray:
        before, after = (statistic({n: x[:, i] for n, x in m.items()}) for i in (0, 1))
        return (1 - share) * before + share * after - crosses

    return by_units({name: x.take([k, k + 1], factors) for name, x in terms.items()}, off)


def _crossing(
    curve_points: Sequence[Interval],
    swept: Sequence[Any],
    over: str,
    crosses: float,
    between: Callable[[int, float], Interval],
    *,
    log: bool,
) -> Crossing:
    places = np.log(swept) if log else np.asarray(swept, dtype=float)
    back: Callable[[float], float] = math.exp if log else float

    def place(k: int, share: float) -> float:
        return back(float(places[k] + share * (places[k + 1] - places[k])))

    last = len(places) - 1
    points = [between(k, 0.0) for k in range(last)] + [between(last - 1, 1.0)]
    off = np.array([p.estimate for p in points])
    met = [
        place(k, off[k] / (off[k] - off[k + 1]) if off[k] else 0.0)
        for k in range(last)
        if off[k] == 0 or off[k] * off[k + 1] < 0
    ]
    met += [place(last - 1, 1.0)] if off[last] == 0 else []

    def side(i: Interval) -> int | None:
        low, high = limits(i)
        return None if math.isnan(low) else int(low > 0) - int(high < 0)

    sides = [side(p) for p in points]

    def edge(k: int, outer: int, inner: int) -> float:
        """Where, between two neighbours, the interval begins to contain the value."""
        shares = [float(outer > k), float(inner > k)]
        for _ in range(_HALVINGS):
            middle = sum(shares) / 2
            shares[side(between(k, middle)) != sides[outer]] = middle
        return place(k, sum(shares) / 2)

    low = high = math.nan
    if None not in sides and (0 in sides or len(set(sides)) > 1):
        first = next(k for k in range(last + 1) if sides[k] != sides[0] or sides[k] == 0)
        final = next(k for k in range(last, -1, -1) if sides[k] != sides[-1] or sides[k] == 0)
        low = -math.inf if sides[0] == 0 else edge(first - 1, first - 1, first)
        high = math.inf if sides[-1] == 0 else edge(final, final + 1, final)
    estimate = met[0] if len(met) == 1 else math.nan
    levels = [back(float(x)) for x in places]
    words = _words(f"{crosses:g}", over, met, low, high, levels, None in sides, log)
    return Crossing(
        value=float(crosses), estimate=estimate, low=low, high=high, points=tuple(met), words=words
    )


def _words(
    value: str,
    over: str,
    met: Sequence[float],
    low: float,
    high: float,
    levels: Sequence[float],
    no_interval: bool,
    log: bool,
) -> str:
    """Say between which levels the curve has the value, and where on a straight line between them;
    or that it does not within the sweep."""
    inside = [x for x in (low, high) if math.isfinite(x)]
    digits = 3
    while len(inside) == 2 and digits < 6 and f"{low:.{digits}g}" == f"{high:.{digits}g}":
        digits += 1
    first, second = (f"{x:.{digits}g}" for x in (low, high))
    if math.isnan(low):
        limits_text = ""
    elif math.isinf(low) and math.isinf(high):
        limits_text = "anywhere within the sweep, or beyond it"
    elif math.isinf(low):
        limits_text = f"{second} or less"
    elif math.isinf(high):
        limits_text = f"{first} or more"
    else:
        limits_text = f"[{first}, {second}]"
    if not met:
        swept = f"no crossing of {value} within the sweep, {over} {levels[0]:g} to {levels[-1]:g}"
        return f"{swept}; not excluded: {limits_text}" if limits_text else swept
    if no_interval or not limits_text:
        limits_text = ", no interval"
    else:
        limits_text = f" {limits_text}" if limits_text.startswith("[") else f" [{limits_text}]"
    places = ", ".join(f"{x:.{digits}g}" for x in met)
    times = f" {len(met)} times," if len(met) > 1 else ""
    stretches = [_stretch(x, levels) for x in met]
    if None in stretches:  # met at a level, where it was measured
        [only] = met if len(met) == 1 else [math.nan]
        before = only == levels[0] and math.isinf(low)
        after = only == levels[-1] and math.isinf(high)
        at = "at or before" if before else "at or after" if after else "at"
        return f"crosses {value}{times} {at} {over} {places}{limits_text}"
    between = ", ".join(f"{a:g} and {b:g}" for a, b in filter(None, stretches))
    line = f"on a straight line {f'in log {over}' if log else 'between them'}, at"
    a, b = stretches[0] or (math.nan, math.nan)
    # nothing was measured between them, so the interval is only as good as the straight line
    jump = "; if the curve jumps, anywhere between them" if a < low <= high < b else ""
    return f"crosses {value}{times} between {over} {between}; {line} {places}{limits_text}{jump}"


def _stretch(x: float, levels: Sequence[float]) -> tuple[float, float] | None:
    """The two neighbouring levels between which a place lies; None where it is one of them."""
    return next((ends for ends in itertools.pairwise(levels) if ends[0] < x < ends[1]), None)


def _steps_by_factors(levels: Sequence[float]) -> bool:
    """Whether levels are more even on a log axis than on a plain one; two alone are on a plain
    one."""
    x = np.asarray(levels, dtype=float)
    if len(x) < 3 or (x <= 0).any():
        return False
    plain, log = (np.diff(y) for y in (x, np.log(x)))
    return bool(log.std() / log.mean() < plain.std() / plain.mean())


def verify(exact: Exact, arms: Arms) -> Verified:
    """Whether an Exact statement comes out: every number within the tolerance. NaN violates.

    Raises: ClaimError when the value has another shape than what is expected.
    """
    value = np.asarray(exact.value(Others(arms)), dtype=np.float64)
    try:
        off = np.abs(value - np.asarray(exact.expected, dtype=np.float64))
    except ValueError as e:
        raise ClaimError(
            f"{exact.text!r} expects shape {list(np.shape(exact.expected))}, got "
            f"{list(value.shape)}"
        ) from e
    deviation = float(off.max()) if off.size else math.nan
    numbers = to_json(value.ravel())
    return Verified(
        text=exact.text,
        outcome="exact" if deviation <= exact.tolerance else "violated",
        value=numbers[0] if value.ndim == 0 else numbers,
        expected=np.asarray(exact.expected, dtype=float).tolist(),
        tolerance=exact.tolerance,
        deviation=deviation,
        unit=exact.unit,
        source=exact.source,
        exact=exact,
    )


def estimate(statement: Estimate, arms: Arms, level: float = 0.95, scope: Scope = "") -> Estimated:
    """Compute an Estimate with its intervals; the seeds of diverged runs are left out and counted.

    No interval where more than 1% of the draws are undefined: one of the rest would leave out just
    the extreme ones. A mean whose units all lie on natural bounds has the exact one that a claim
    about it would have.

    Raises: ClaimError when the value cannot be computed on these arms.
    """
    over = (statement.over,) if statement.over else ()

    def table(arm_reader: Others) -> Table:
        value = partial(statement.value, arm_reader)
        units = (*statement.units, *over)
        return tabulate(value, units, statement.text, arm_reader, swept=statement.over)

    arm_reader = Others(arms, where=statement.where)
    data = table(arm_reader)
    bad = arm_reader.diverged(run_unit(statement.units, arm_reader))
    if bad:
        arm_reader = Others(arms, where=statement.where, without=bad)
        data = table(arm_reader)
    i, estimated = (_curve if over else _number)(statement, data, level)
    return Estimated(
        text=statement.text,
        units=statement.units,
        unit=statement.unit,
        natural=statement.natural,
        source=statement.source,
        published=statement.published,
        statement=statement,
        n=dict(zip(statement.units, i.n, strict=True)),
        dropped=len(bad),
        level_of=getattr(statement.statistic, "level_of", ""),
        scope=describe_scope(statement.units, i, arm_reader, scope),
        **estimated,
    )


def _curve(statement: Estimate, data: Table, level: float) -> tuple[Interval, dict[str, Any]]:
    """A curve of an estimate: the interval of its first point, and what is kept of it."""

    def allow(terms: Terms, statistic: Statistic, i: Interval) -> Interval:
        at = Table(dict(terms), data.levels)
        return grouped(statement.groups, statement.units, statistic, at, i, level)

    whole = curve(
        data.terms,
        data.levels[statement.over].tolist(),
        statement.statistic,
        over=statement.over,
        factors=len(statement.units),
        crosses=statement.crosses,
        level=level,
        natural=statement.ends,
        units=statement.units,
        allow=allow if statement.groups else None,
        numbered=statement.numbered,
    )
    words = describe_method(statement.units, level)
    words = "; ".join(filter(None, (words, groups_in_words(statement.groups))))
    method = f"{words}; the band covers {whole.all_levels} of {statement.over} together"
    if math.isnan(whole.wider):
        method = f"no interval: fewer than 2 {' or '.join(plural(u, 2) for u in statement.units)}"
    nothing = dict.fromkeys(("estimate", "low", "high", "t_low", "t_high"), math.nan)
    return whole.points[0], {**nothing, "method": method, "points": (), "curve": whole}


def _number(statement: Estimate, data: Table, level: float) -> tuple[Interval, dict[str, Any]]:
    """A single number of an estimate: its interval, and what is kept of it."""
    factors = len(statement.units)
    i = interval_of(
        data.or_empty(factors),
        statement.statistic,
        factors=factors,
        level=level,
        units=statement.units,
    )
    method, never = describe_method(statement.units, level, n=i.n, ends=i.ends), None
    if isinstance(statement.statistic, OfMeans):
        method += f"; {statement.statistic.words}" * (i.band is not None)
        never = statement.statistic.never(data.terms)
    bounds = exact_bounds(
        data, statement.units, statement.statistic, statement.bounds, statement.ends
    )
    if bounds is not None and min(i.n) > 1:
        i = exactly(i, bounds, level)
        method = describe_method(statement.units, level, bounds)
    if statement.groups:
        i = grouped(statement.groups, statement.units, statement.statistic, data, i, level)
        method += f"; {groups_in_words(statement.groups)}"
    i = in_range(i, statement.natural)
    low, high = limits(i)
    t_low, t_high = i.t_low, i.t_high
    if i.undefined > UNDEFINED:
        t_low = t_high = math.nan
        method = (
            f"no interval: undefined in {i.undefined:.1%} of the draws, or for the estimate, "
            "or when one unit is left out"
        )
    return i, {
        "estimate": i.estimate,
        "low": low,
        "high": high,
        "t_low": t_low,
        "t_high": t_high,
        "method": method,
        "never": never,
        "points": tuple(i.points.tolist()),
    }
