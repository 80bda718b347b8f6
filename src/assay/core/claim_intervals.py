"""The numbers that a claim reads of an arm, on the scale of judging; their interval, allowing for
bounds and for groups of units; and the outcome that this interval has."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from assay.core.bands import OfMeans, in_range, interval_of
from assay.core.bounded import Bounds, bounded_mean, exact_bounds
from assay.core.claims import Claim, Groups, rescale
from assay.core.errors import ClaimError
from assay.core.intervals import DRAWS, Interval, interval
from assay.core.memo import of_all
from assay.core.power import placed
from assay.core.reading import Others, Table, tabulate
from assay.core.results import Outcome
from assay.core.stats import Statistic


def read_units(claim: Claim, name: str, arm_reader: Others) -> Table:
    """The units of a claim's value on an arm, read once of unchanged arms."""
    changed = arm_reader.where or arm_reader.swap or arm_reader.without
    if changed or not isinstance(claim.value, Hashable):
        return _tabulated(claim, name, arm_reader)[0]
    key = (claim.value, claim.units, name)
    data, read = of_all(arm_reader.arms, key, lambda: _tabulated(claim, name, arm_reader))
    arm_reader.read |= read
    return data


def _tabulated(claim: Claim, name: str, arm_reader: Others) -> tuple[Table, frozenset[str]]:
    """The units of a claim's value on an arm, and which arms that read."""
    try:
        value = partial(claim.value, arm_reader.take(name), arm_reader)
        data = tabulate(value, claim.units, claim.text, arm_reader)
        return data, frozenset(arm_reader.read)
    except Exception as error:
        error.add_note(f"arm {name}")  # which of its arms a claim stumbles over
        raise


def scaled(claim: Claim, name: str, data: Table) -> Table:
    """The terms' units on the scale of the claim. Raises: ClaimError when one is infinite, or lies
    on the scale's bound."""
    for term, x in data.terms.items():
        if (infinite := np.argwhere(np.isinf(x))).size:
            first = zip(claim.units, infinite[0], strict=False)
            location = ", ".join(f"{unit} {data.levels[unit][i]}" for unit, i in first)
            more = f" and in {len(infinite) - 1} more places" if len(infinite) > 1 else ""
            raise ClaimError(
                f"claim {claim.text!r}: term {term!r} of arm {name!r} is infinite at {location}"
                f"{more}, and a mean of it means nothing; let the value be NaN where a run has no "
                "number"
            )
    mapped = {term: rescale(claim.scale, x) for term, x in data.terms.items()}
    for term, x in data.terms.items():
        off = ~np.isnan(x) & ~np.isfinite(mapped[term])
        if claim.scale != "plain" and off.any():
            raise ClaimError(
                f"claim {claim.text!r}: a unit of arm {name!r} is {x[off].ravel()[0]:g}, on or "
                f"beyond the bound of scale={claim.scale!r}; give shares of k in n as (k + 1/2)/"
                "(n + 1)"
            )
    return Table(mapped, data.levels)


def interval_of_table(claim: Claim, data: Table, level: float, draws: int = DRAWS) -> Interval:
    """The interval that decides: the hull, or, where a unit has bounds, the exact one in its
    place."""
    factors, bounds = len(claim.units), _exact_bounds(claim, data)
    estimated = interval_of if isinstance(claim.statistic, OfMeans) else interval
    i = estimated(
        data.or_empty(factors),
        claim.statistic,
        factors=factors,
        level=level,
        draws=1 if bounds else draws,
        units=claim.units,
    )
    if bounds is None or min(i.n) < 2:
        by = claim.rounding
        return replace(i, low=i.low - by, high=i.high + by, rounding=by) if by else i
    return exactly(i, bounds, level)


def final(claim: Claim, name: str, data: Table, i: Interval, level: float) -> Interval:
    """The interval of an arm within the range of its measure; of the claim's own arm it also
    allows for the groups of units."""
    if name == claim.of:
        i = grouped(claim.groups, claim.units, claim.statistic, data, i, level)
    return in_range(i, claim.natural if claim.scale == "plain" else None)


def grouped(
    groups: Groups,
    units: Sequence[str],
    statistic: Statistic,
    data: Table,
    i: Interval,
    level: float,
) -> Interval:
    """Widen an interval so that it is also right with groups of units as units: each grouping by
    itself, and, where there is one unit, every two of them crossed."""
    low, high = i.low, i.high
    for _, of_groups in by_groups(groups, units, statistic, data, level):
        low = min(low, i.estimate + of_groups.low - of_groups.estimate)
        high = max(high, i.estimate + of_groups.high - of_groups.estimate)
    return replace(i, low=low, high=high)


def by_groups(
    groups: Groups, units: Sequence[str], statistic: Statistic, data: Table, level: float
) -> Iterator[tuple[tuple[str, ...], Interval]]:
    """Give, for each grouping of units, and for every two that are crossed, the interval that has
    these groups as units, where there is one, with the names of its factors in order."""
    for unit, groupings in groups.items():
        axis = units.index(unit)
        levels = [str(level) for level in data.levels[unit]]
        codes = {
            name: np.unique([values.get(level, level) for level in levels], return_inverse=True)[1]
            for name, values in groupings.items()
        }
        pairs = itertools.combinations(codes, 2) if len(units) == 1 else ()
        for names in (*((name,) for name in codes), *pairs):
            crossed = [codes[name] for name in names]
            cells = len(np.unique(np.stack(crossed), axis=1).T)
            if not levels or min(int(of.max()) for of in crossed) < 1:
                continue
            if len(crossed) > 1 and cells == max(int(of.max()) + 1 for of in crossed):
                continue  # one is nested in the other
            terms = {t: _by_group(x, axis, crossed) for t, x in data.terms.items()}
            factors = len(units) - 1 + len(crossed)
            of_groups = interval_of(terms, statistic, factors=factors, level=level, draws=1)
            if math.isfinite(of_groups.low):
                yield (*units[:axis], *names, *units[axis + 1 :]), of_groups


def groups_in_words(groups: Groups) -> str:
    """Say which groups an interval allows for; "" for none."""
    names = next((names for names in groups.values() if names), ())
    crossed = ", and crossed" if len(names) > 1 else ""
    return f"also with each {' and '.join(names)} as one unit{crossed}" if names else ""


def _by_group(x: np.ndarray, axis: int, codes: Sequence[np.ndarray]) -> np.ndarray:
    """Means of units in each group, or in each cell of two groupings; NaN where there is none."""
    x = np.moveaxis(x, axis, 0)
    shape = (*(int(of.max()) + 1 for of in codes), *x.shape[1:])
    sums, counts = np.zeros(shape), np.zeros(shape)
    is_finite = np.isfinite(x)
    np.add.at(sums, tuple(codes), np.where(is_finite, x, 0.0))
    np.add.at(counts, tuple(codes), is_finite)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return np.moveaxis(means, 0, axis) if len(codes) == 1 else means


def exactly(i: Interval, bounds: Bounds, level: float) -> Interval:
    """The interval with exact limits, of units between bounds, in place of the hull's."""
    i, nan = replace(i, bounds=bounds), math.nan
    low, high = limits(i, level)
    i = replace(i, low=low, high=high, boot_low=nan, boot_high=nan)
    return replace(i, t_low=nan, t_high=nan, skew_low=nan, skew_high=nan)


def limits(i: Interval, level: float) -> tuple[float, float]:
    """The limits of an interval at this level, exact ones where its units have bounds."""
    if i.bounds is None:
        return i.limits(level)
    exact = bounded_mean([independent(i)], i.estimate, i.bounds, level)
    return exact.low, exact.high


def independent(i: Interval) -> np.ndarray:
    """The units behind exact limits. Of two factors all cells are one number, and as many of them
    as the smaller factor has levels share neither with another."""
    return i.points if len(i.n) == 1 else i.points[np.isfinite(i.points)][: min(i.n)]


def _exact_bounds(claim: Claim, data: Table) -> Bounds | None:
    """The bounds of units that get exact limits. Raises: ClaimError for a unit outside of them."""
    (x,) = data.terms.values() if len(data.terms) == 1 else (np.empty(0),)
    x = x[~np.isnan(x)]
    if claim.bounds is not None and (off := x[(x < claim.bounds[0]) | (x > claim.bounds[1])]).size:
        raise ClaimError(
            f"claim {claim.text!r}: a unit is {off[0]:g}, outside of its bounds "
            f"{claim.bounds[0]:g} to {claim.bounds[1]:g}"
        )
    natural = claim.natural if claim.scale == "plain" else None
    return exact_bounds(data, claim.units, claim.statistic, claim.bounds, natural, claim.is_worded)


def outcome_between(claim: Claim, low: float, high: float) -> Outcome:
    """The outcome of an interval with these limits."""
    inside, outside = placed(claim, low, high)
    return "holds" if inside else "fails" if outside else "undecided"


def outcome_by(claim: Claim, i: Interval) -> Outcome:
    """The outcome by where the interval lies; one that was moved beyond bounds is cut off there."""
    low, high = i.low, i.high
    if i.bounds is not None:
        # Only up to the bounds: the truth cannot lie beyond them.
        low, high = (min(max(x, i.bounds[0]), i.bounds[1]) for x in (low, high))
    return outcome_between(claim, low, high)
