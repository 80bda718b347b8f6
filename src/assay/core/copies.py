"""Copies: units of a table that have all their numbers from other units, which are no further
units, and controls that have those of the baseline or, on another scale, of an arm that the claim
names, which rule nothing out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from assay.core.errors import Argument, DataError
from assay.core.heavy import scipy, xr
from assay.core.nouns import plural
from assay.core.results import Judged
from assay.core.rows import Names

if TYPE_CHECKING:
    import pandas as pd

NEARLY = 0.8
"""Share of sets of numbers that occur more than once, and of numbers that occur in one set alone,
from which chance does not make them so."""
FEWEST_SETS, CHANCE, MOST_TIMES = 8, 3e-4, 10
"""Fewer different sets may be all that a coarse measure has; the chance from which units of which
nearly all sets occur a multiple of so many times are no copies; how many times at most."""
FOLLOWS = 0.9
"""The rank correlation from which one number may follow from another."""
ALIKE, FAR_BELOW = 0.999, 0.1
"""The correlation from which a control may be a copy of the baseline; the share of the claim's
number, and of its spread between units, that they differ by at most then."""
BY_ROUNDING = 1e-4
"""The part of that by which numbers differ that were computed twice."""
ALMOST = "almost the numbers"
"""How near a control is that need not be a copy."""
DECIMALS = range(7)
"""To so many decimals a copy may be rounded."""
VARIED, ON_LINE, CONSTRUCTED = 4, 1e-4, 1e-9
"""So many different numbers at least show that a control is what an arm is, on another scale; how
far from a line they may be, as a share of their range; the chance that they lie on one below which
few digits are not the reason."""


def copied(judgement: Judged, others: Names, arms: Mapping[str, xr.Dataset]) -> list[str]:
    """The controls that have all numbers of an arm that the claim compares with, rounded or not."""
    return [name for name, _, how in _copied(judgement, others, arms) if how != ALMOST]


def copied_in_words(
    judgement: Judged, others: Names, arms: Mapping[str, xr.Dataset]
) -> Iterator[str]:
    """Say which controls rule nothing out, as they have the numbers of an arm that the claim
    compares with."""
    for name, other, how in _copied(judgement, others, arms):
        so = "so that the claim cannot be true of it: it rules nothing out;"
        if how == ALMOST:
            so = "in every unit: if it is the same measurement again, it rules nothing out;"
        yield f"control {name} has {how} of {other}, {so} measure it anew, or name another control"


def _copied(
    judgement: Judged, others: Names, arms: Mapping[str, xr.Dataset]
) -> Iterator[tuple[str, str, str]]:
    """Controls that have the numbers of other arms, and how near they are."""
    points = np.array(judgement.points)
    points = points[np.isfinite(points)]
    least = FAR_BELOW * min(abs(judgement.estimate), float(points.std()) if points.size else 0.0)
    for name, other in itertools.product((n for n in judgement.controls if n in arms), others):
        a, b = arms[name], arms[other]
        if a.equals(b):
            yield name, other, "the very numbers"
        elif (
            {*a} == {*b}
            and xr.Dataset(a.coords).equals(xr.Dataset(b.coords))
            and a.sizes == b.sizes
        ):
            pairs = [(a[k].values.ravel(), b[k].values.ravel()) for k in a]
            if all(_are_rounded(*pair) for pair in pairs):
                yield name, other, "the rounded numbers"
            elif all(_are_near(*pair, BY_ROUNDING * least) for pair in pairs):
                yield name, other, "the numbers, but for errors of rounding,"
            elif all(_are_near(*pair, least) for pair in pairs):
                yield name, other, ALMOST


def rescaled(
    judgement: Judged, main: str, arms: Mapping[str, xr.Dataset]
) -> Iterator[tuple[str, str]]:
    """The controls that have the main arm's numbers on another scale, such as 1 minus these, and
    why they are no test."""
    for name in judgement.controls:
        if name not in arms or judgement.no_test(name) or {*arms[name]} != {*arms[main]}:
            continue
        a, b = (arms[x].to_dataframe() for x in (main, name))
        if not a.index.equals(b.index):
            continue
        lines = [_line(a[k].to_numpy(), b[k].to_numpy()) for k in arms[name]]
        if lines and all(lines):
            same = "this is the same measurement, so it is no test"
            yield name, f"its number is {lines[0]} that of {main} in every unit: {same}"


def _line(x: np.ndarray, y: np.ndarray) -> str:
    """How numbers follow from others that may be on another scale, as in "1 minus"; "" where they
    do not. A constant difference, and a multiple that is not minus the number, are what another
    change of an additive or a linear model has."""
    if x.shape != y.shape or not np.array_equal(np.isnan(x), np.isnan(y)):
        return ""
    x, y = x[there := np.isfinite(x)], y[there]
    if min(len(np.unique(x)), len(np.unique(y))) < VARIED:
        return ""
    slope, start = np.polyfit(x, y, 1)
    if np.abs(start + slope * x - y).max() > ON_LINE * np.ptp(y):
        return ""
    is_one, is_multiple = np.isclose(abs(slope), 1), abs(start) <= ON_LINE * np.abs(y).max()
    possible = 1 + np.ptp(x) / np.diff(np.unique(x)).min()  # so many numbers on the grid of these
    by_chance = possible ** (2.0 - len(x)) > CONSTRUCTED
    if is_multiple > (is_one and slope < 0) or (slope > 0 and (is_one or by_chance)):
        return ""
    first = "" if is_multiple else f"{start:.3g} "
    times = "" if is_one else f" {abs(slope):.3g} times"
    return f"{first}{'minus' if slope < 0 else 'plus'}{times}"


def _are_rounded(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether numbers are others, rounded."""
    return _are_near(x, y, np.inf) and any(
        np.array_equal(np.round(fine, k), np.round(coarse, 9), equal_nan=True)
        for fine, coarse in ((y, x), (x, y))
        for k in DECIMALS
    )


def _are_near(x: np.ndarray, y: np.ndarray, least: float) -> bool:
    """Whether numbers vary together and differ by little."""
    if x.shape != y.shape or not (there := np.isfinite(x) & np.isfinite(y)).sum() > 2:
        return False
    x, y = x[there], y[there]
    if not (np.ptp(x) and np.ptp(y)):
        return False
    off = float(np.sqrt(np.square(x - y).mean()))
    return bool(np.corrcoef(x, y)[0, 1] >= ALIKE) and off <= least


def check_copies(rows: pd.DataFrame, units: Names, columns: Sequence[str]) -> None:
    """Refuse units of which half of the levels or more have all the numbers of others. Raises:
    DataError where chance does not make numbers so alike."""
    for unit in units if rows["arm"].nunique() > 1 else ():
        means = rows.groupby(["arm", unit])[list(columns)].mean()
        each = {f"{unit} of {arm}": means.loc[arm].dropna() for arm in rows["arm"].unique()}
        common = means.unstack("arm").dropna()
        for name, numbers in ({unit: common} if len(common) else each).items():
            sets = numbers.value_counts()
            if 0 < 2 * len(sets) <= len(numbers) and not _alike_by_chance(sets):
                raise DataError(
                    f"the {len(numbers)} levels of {name} have only {len(sets)} different "
                    f"{plural('set', len(sets))} of numbers: copies do not count as further "
                    "units; keep one level of each set, or name what was sampled independently: ",
                    Argument("unit", ("NAME",)),
                )


def _alike_by_chance(sets: pd.Series) -> bool:
    """Whether units that have the same set of numbers, of so many each, need not be copies."""
    numbers = np.unique(sets.index.to_frame().to_numpy(float), axis=1)
    varying = numbers[:, np.ptp(numbers, axis=0) > 0]
    many = len(sets) > FEWEST_SETS
    if many and _in_multiples(sets.to_numpy()):
        return False
    if varying.shape[1] < 2 or (sets > 1).mean() < NEARLY:
        return True
    if many and _never_apart(varying):
        return False
    # numbers recur in other sets or arms, or lie on a grid
    recur = len(np.unique(varying)) < NEARLY * varying.size
    return recur or any(map(is_coarse, varying.T))


def _in_multiples(times: np.ndarray) -> bool:
    """Whether nearly all sets occur a multiple of so many times. Of independent units, in whatever
    shares sets occur, at most about one in m occurs a multiple of m times."""
    every = np.arange(2, min(MOST_TIMES, times.sum() // len(times)) + 1)
    fits = (times % every[:, None] == 0).sum(1)
    return bool((scipy.special.bdtrc(fits - 1, len(times), 1 / every) < CHANCE).any())


def _never_apart(numbers: np.ndarray) -> bool:
    """Whether sets that have one number in common have them all, though no number follows from
    another: those of two columns are ordered otherwise."""
    single = all(len(np.unique(x)) >= NEARLY * len(x) for x in numbers.T)
    ranks = scipy.stats.rankdata(numbers, axis=0)
    return single and bool((np.abs(np.corrcoef(ranks.T)) < FOLLOWS).any())


def is_coarse(x: np.ndarray) -> bool:
    """Whether numbers have three digits at most, or are shares of up to 200, four digits of them
    at least."""
    parts = np.array([*range(1, 201), 1000])[:, None]
    counts = parts * x / 10.0 ** np.ceil(np.log10(np.abs(x).max()))
    return bool((np.abs(counts - np.round(counts)) <= np.minimum(6e-5 * parts, 0.012)).all(1).any())
