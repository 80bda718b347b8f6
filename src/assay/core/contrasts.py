"""Contrasts: how far a method lies from a control, on their common units where there are enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from assay.core.claims import Claim
from assay.core.intervals import DRAWS, Interval, Means, Statistic, fewest, interval
from assay.core.reading import Table
from assay.core.stats import Compared, mean

UNDEFINED = 0.01
"""Share of draws that may be undefined."""


COUNT = "is "
"""The prefix of a term that says which units another one has."""


@dataclass(frozen=True)
class OfGroups(Compared):
    """A statistic of arms, or values of a column, that have units of their own: of sums, to which a
    unit adds 0 in every term that has no number of it."""

    strata: bool = False
    """Whether these are values of a column, and so few units may be in some that the degrees of
    freedom are Satterthwaite's."""

    def groups(self, means: Means) -> np.ndarray:
        """Number the sets of units that have a number in the same terms."""
        there = np.stack(
            [x.reshape(len(x), -1)[:, 0] for k, x in means.items() if k.startswith(COUNT)]
        )
        return np.unique(there, axis=1, return_inverse=True)[1].ravel()


TwoArms = Callable[[Means, Means], np.ndarray]
"""Means of the method and of the control → [draw]."""


class Between(NamedTuple):
    """How far the method lies from a control."""

    interval: Interval
    """Of method less control, on the claim's scale, or of their logarithms."""
    shared: int
    """Units that both have; 0 where they were compared as independent."""
    is_log: bool


def contrast(
    claim: Claim, method: Table, control: Table, level: float = 0.95, draws: int = DRAWS
) -> Between:
    """Compare the method with a control: by the difference of the statistic, by its own contrast
    where it has one, or of ratios by the logarithm where both are positive.

    The tables are on the scale of judging. Draws tell whether ratios have logarithms; of anything
    else `draws` need not be many where only standard errors count.
    """
    if is_ratio(claim.statistic):
        compared = _compared(claim, method, control, _logs(claim.statistic), level, DRAWS)
        if compared[0].undefined <= UNDEFINED:
            return Between(*compared, True)
    by = own_contrast(claim.statistic) or _difference(claim.statistic)
    return Between(*_compared(claim, method, control, by, level, draws), False)


def is_ratio(statistic: Statistic) -> bool:
    """Tell whether two arms are compared by the logarithm of a statistic."""
    return isinstance(statistic, Compared) and statistic.is_ratio


def own_contrast(statistic: Statistic) -> TwoArms | None:
    """Give the way in which a statistic itself compares two arms; None for their difference."""
    return statistic.contrast if isinstance(statistic, Compared) else None


def _logs(statistic: Statistic) -> TwoArms:
    return lambda m, c: np.log(statistic(m)) - np.log(statistic(c))


def _difference(statistic: Statistic) -> TwoArms:
    return lambda m, c: statistic(m) - statistic(c)


def _compared(
    claim: Claim, method: Table, control: Table, by: TwoArms, level: float, draws: int
) -> tuple[Interval, int]:
    factors = len(claim.units)
    draws = 1 if claim.statistic is mean else draws  # a mean of units that are there is defined
    if isinstance(claim.statistic, OfGroups):
        # an arm that both read has its units in both: of these alone the others have no number
        method, control = _on_units_of_both(method, control, claim.units[0])
    places = [
        np.intersect1d(method.levels[u], control.levels[u], return_indices=True)[1:]
        for u in claim.units
    ]
    # Common units of every factor from which on two arms are compared unit by unit.
    enough = fewest(claim.units)
    if min(len(ours) for ours, _ in places) >= enough:
        sides = {
            f"{side}.{name}": x[np.ix_(*(pair[k] for pair in places))]
            for k, (side, table) in enumerate((("method", method), ("control", control)))
            for name, x in table.terms.items()
        }
        paired = interval(
            Table(sides, {}).or_empty(factors),
            lambda m: by(side_of(m, "method"), side_of(m, "control")),
            factors=factors,
            level=level,
            draws=draws,
            units=claim.units,
        )
        if min(paired.n) >= enough:
            return paired, min(paired.n)
    ours, theirs = (
        interval(
            table.or_empty(factors),
            _with_fixed(by, _means(other.or_empty(factors), factors), first),
            factors=factors,
            level=level,
            draws=draws,
            units=claim.units,
        )
        for table, other, first in ((method, control, True), (control, method, False))
    )
    variance = ours.variance + theirs.variance
    spread = sum(i.variance**2 / max(i.df, 1) for i in (ours, theirs))
    both = replace(
        ours,
        n=tuple(min(pair) for pair in zip(ours.n, theirs.n, strict=True)),
        variance=variance,
        parts=tuple(map(sum, zip(ours.parts, theirs.parts, strict=True))),
        df=variance**2 / spread if spread > 0 else min(ours.df, theirs.df),
        third=ours.third + theirs.third,
        undefined=max(ours.undefined, theirs.undefined),
    )
    low, high = both.limits(level)
    return replace(both, low=low, high=high), 0


def side_of(m: Means, side: str) -> dict[str, np.ndarray]:
    """Give the means of the terms of one side, "method" or "control", by their own names."""
    return {
        name.removeprefix(f"{side}."): x for name, x in m.items() if name.startswith(f"{side}.")
    }


def _means(terms: Mapping[str, np.ndarray], factors: int) -> dict[str, np.ndarray]:
    """The means of the terms over the cells that have a number in all of them."""
    present = np.logical_and.reduce(
        [~np.isnan(x).any(axis=tuple(range(factors, x.ndim))) for x in terms.values()]
    )
    return {name: x[present].mean(0) for name, x in terms.items()} if present.any() else {}


def _on_units_of_both(method: Table, control: Table, unit: str) -> tuple[Table, Table]:
    """Both tables on the units that either has, where one that it lacks counts 0."""
    every = np.union1d(method.levels[unit], control.levels[unit])

    def spread(table: Table) -> Table:
        terms = {name: np.zeros((len(every), *x.shape[1:])) for name, x in table.terms.items()}
        places = np.searchsorted(every, table.levels[unit])
        for name, x in table.terms.items():
            terms[name][places] = x
        return Table(terms, {**table.levels, unit: every})

    return spread(method), spread(control)


def _with_fixed(by: TwoArms, other: Mapping[str, np.ndarray], first: bool) -> Statistic:
    """The contrast as a statistic of one arm, the other's means as they are."""

    def statistic(m: Means) -> np.ndarray:
        n = len(next(iter(m.values())))
        fixed = {name: np.broadcast_to(x, (n, *np.shape(x))) for name, x in other.items()}
        return by(m, fixed) if first else by(fixed, m)

    return statistic
