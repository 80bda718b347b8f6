"""Apart: arms of a table that have no unit in common, such as ten runs of one kind and ten others
of another: independent groups, of which the means are compared."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from assay.core.columns import Column
from assay.core.errors import ClaimError
from assay.core.expression import Parsed, is_linear
from assay.core.heavy import xr
from assay.core.intervals import Means, Statistic
from assay.core.nouns import plural
from assay.core.power import FEWEST
from assay.core.strata import of_each
from assay.core.table_columns import RUNS

CLEARLY = 2.576
"""From how many standard errors on numbers of units differ clearly."""
CHOSEN = "such as failures, the verdict may come from that alone"
"""What is said of units that were chosen by their numbers."""
UNBOUNDED = "bounds make no interval exact here; judge each arm by itself with them"
"""What is said where units of independent groups lie between bounds."""


def are_apart(arms: Mapping[str, xr.Dataset], unit: str) -> bool:
    """Whether no two of these arms have a unit in common."""
    levels = [set(x.dropna(unit)[unit].values.tolist()) for x in arms.values()]
    return len(levels) > 1 and all(not a & b for a, b in itertools.combinations(levels, 2))


def by_means(parsed: Parsed, main_arm: str, strata: bool = False) -> Parsed:
    """Give the same quantity as one of means of single arms, over units of which each has some.

    Each unit counts in the terms of its own arm alone: means are sums over numbers, so that the
    statistic is one of ratios of sums, and its interval that of independent groups (`strata.put`).
    Raises: ClaimError where it is no sum of such means."""
    statistic: Statistic
    if "value" in parsed.terms:
        walk, columns = parsed.terms["value"], parsed.columns
        if not is_linear(walk, columns):
            arms = " and ".join(dict.fromkeys(c.arm or main_arm for c in columns))
            raise ClaimError(
                f"{parsed.text!r}: {arms} have no unit in common, so nothing can be "
                "computed unit by unit; compare means, as in mean(a.x) - mean(b.x)"
            )
        terms = {str(i): _single(c) for i, c in enumerate(columns)}

        def of_means(m: Means) -> np.ndarray:
            return np.asarray(walk(lambda c: m[str(columns.index(c))]))

        statistic = of_means
    else:
        terms = dict(parsed.terms)
        statistic = parsed.statistic

    return replace(parsed, terms=terms, statistic=of_each(statistic, strata))


def in_words(arms: Mapping[str, xr.Dataset], unit: str) -> list[str]:
    """Say what is compared, and what would be wrong if units were left out, or are the same ones by
    other names. Raises: ClaimError for a group that is too small."""
    levels = {name: [*map(str, x.dropna(unit)[unit].values)] for name, x in arms.items()}
    sizes = {name: len(units) for name, units in levels.items()}
    for name, n in sizes.items():
        there = [key for key, x in arms[name].items() if x.notnull().any()]
        if n == 0 and there[1:]:
            raise ClaimError(
                f"no {unit} of {name} has both {there[0]} and {there[1]}, so no {unit} has a "
                f"number of its own; to compare two kinds of {plural(unit, 2)}, give each "
                "one number, such as a difference of arms, and make the kinds the arms"
            )
        if n < FEWEST:
            raise ClaimError(f"too few units: {name} has {n} of {FEWEST} {plural(unit, FEWEST)}")
    groups = " and ".join(f"{n} of {name}" for name, n in sizes.items())
    what = f"no {unit} is in two arms: judged as independent groups, {groups}"
    return [what, *filter(None, (_as_pairs(levels, unit) or _clearly_fewer(sizes, unit),))]


def _as_pairs(levels: Mapping[str, Sequence[str]], unit: str) -> str:
    """Say that units have the same names but for that of their arm; "" elsewhere, and of runs
    and of mere numbers, which may begin anew in every arm."""
    bare = {a: {_bare(a, level): level for level in each} for a, each in levels.items()}
    common = set.intersection(*map(set, bare.values()))
    fewest = min(map(len, bare.values()))
    if {*RUNS} & {*re.split(r"[\W_\d]+", unit.casefold())} or len(common) < max(FEWEST, fewest / 2):
        return ""
    first = min(common)
    (a, b), units = list(levels)[:2], plural(unit, 2)
    alone = [f"{n} of {x}'s" for x in levels if (n := len(bare[x].keys() - common))]
    lost = f"; {' and '.join(alone)} have no partner" * bool(alone)
    return (
        f"{units} differ in their arm's name alone ({bare[a][first]} and {bare[b][first]}){lost}: "
        f"if they are the same {units}, give them the same names ({first}), and they are compared "
        f"in pairs{f'; if some were left out because of their numbers, {CHOSEN}' * bool(alone)}"
    )


def _bare(arm: str, level: str) -> str:
    """A unit's name without that of its arm; one that no other arm has where that is no name."""
    pattern = rf"(?i)(?<![^\W_]){re.escape(arm)}(?![^\W_])"
    bare = re.sub(pattern, "", level).strip(" -_./:")
    return level if not bare or bare.isdigit() else bare


def _clearly_fewer(sizes: Mapping[str, int], unit: str) -> str:
    """Say that an arm has clearly fewer units than another, though not a number that is likely to
    have been chosen: a round one, such as 30 or 200, or one of which the other is a multiple; ""
    elsewhere."""
    (few, n), (many, m) = (choose(sizes.items(), key=lambda kv: kv[1]) for choose in (min, max))
    if m - n < CLEARLY * math.sqrt(n + m) or m % n == 0 or not str(n)[1:].strip("0"):
        return ""
    return (
        f"{few} has {n} {plural(unit, n)}, and {many} {m}: if {plural(unit, 2)} of {few} were left "
        f"out because of their numbers, {CHOSEN}"
    )


def _single(column: Column) -> Callable[[Callable[[Column], xr.DataArray]], xr.DataArray]:
    return lambda names: names(column)
