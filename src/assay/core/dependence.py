"""Dependence: whether the units of a table depend on each other: groups that a column names, two
crossed columns, near-copies, a pattern in their order, neighbours in time.

A column that says to which group a unit belongs is counted: the verdict has to be the same with its
groups as units, unless they are few and differ less than by chance. What no column says has to be
found in the numbers first."""

from __future__ import annotations

import itertools
import math
import operator
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from assay.core.clustered import NONE, Limits, clustered, neighbours, number, pseudo_values, serial
from assay.core.contrasts import COUNT
from assay.core.digits import told_apart
from assay.core.errors import Argument, DataError
from assay.core.heavy import scipy
from assay.core.intervals import FEWEST, Statistic, jackknife
from assay.core.nouns import counted, ordinal, plural
from assay.core.outlying_units import find_outliers
from assay.core.recurring import divisions, place_of_shared
from assay.core.rounding import grid
from assay.core.rows import is_text
from assay.core.table_columns import ITEMS, TIMES
from assay.core.wordings import numbered, shared_words, spelling

if TYPE_CHECKING:
    import pandas as pd

    from assay.core.reading import Table

RUNS = frozenset(("seed", "seeds", "run"))
"""Words of names of units that come in no order, whatever numbers they have."""
MOST_LEVELS, LARGEST_GROUP = 12, 0.8
"""Levels of a column of fractions up to which it may name groups; the share of units in one group
from which a column is a remark."""
CARRIES = 0.01
"""The p-value below which a column is said to carry variance, or a pattern to be there."""
EVEN = 0.025
"""The p-value from which fewer than six groups do not decide: they differ no more than by chance,
and a verdict is about these alone. It is shared among the columns of a table that have so few, so
that of tables in which these have nothing to do with the numbers, 2.5% are undecided. Simulated at
the threshold, three groups that share something let a claim about all such groups hold in up to 10%
of cases, 12% if a table has three such columns, and two groups in up to 20% (Bancroft, Analysis and
Inference for Incompletely Specified Models, 1964, on when to pool)."""
FOLLOWS = 0.05
"""The p-value below which the number of a claim is said to follow a pattern that was found in an
order, shared among all of these: of tables sorted by what all arms have in common, 2% are then
undecided."""
NAMED_EACH = 3
"""Groups of a column whose numbers are given one by one."""
PLAIN = 8.0
"""How many times as far as by chance the nearest unit that is no copy is from which units are
refused as near-copies, whether columns are as large as they are or of equal variance."""
DECIDES = 6.0
"""That ratio from which a verdict has to be the same with each set of copies as one unit."""
NEARLY_ALL = 1.5
"""The ratio that nine of ten units reach where nearly all lie in sets: then, too, it has to be the
same. Of independent units, of six laws, nine of ten reach at most 1.1."""
LIKELY = 1.8
"""That ratio from which units may be near-copies; where there are n, it is 9/n higher."""
WARNS, RAISED = 1.6, 40.0
"""That ratio from which a warning says so, though it does not decide; where there are n, it is
RAISED/n higher. Of 200 tables of independent rows, with few numbers behind many, 2% reach it."""
PART = 0.5
"""The share of the largest ratio that sets of the smallest size reach at least, which are then the
copies: of sets of four on a line, two that are neighbours look like one of eight."""
EQUAL = 0.5
"""Of sets of copies: how many sets of equal size they are at least worth, each."""
DIMS, FEWEST_COMPARED, MOST = 6, 8, 2_000
"""Dimensions in which units are compared, and how many units there may be."""
CLIPPED = 3
"""So many times as many numbers are equal at an end as anywhere else, where they were clipped."""
ALIKE, FAR = 1.645, 2.576
"""From how many standard errors of a correlation of neighbours on units follow each other: in an
order that they surely have, and in that of any column of whole numbers."""
ORDER = "order"
"""The name of what units depend on where neighbours are alike."""
SHOWN = 30
"""About so many letters of an example are shown, in whole words."""
UNCHANGED = "and the outcome would be the same"
"""What is said of a grouping with which the outcome is that of the claim without it."""
CONTENT = "content"
"""What the group is called of texts that say the same in several wordings."""
AS_WIDE = 1.05
"""So many times as wide at most is an interval of two crossed groupings that says no more than that
of one of them."""
MOST_LINES = 3
"""Groupings that have a line of their own."""
BOTH_WAYS, FEWEST_TURNED = 0.2, 3
"""The share of units, at least, of which others have the two texts of a pair in the other order; so
many units or more, on average, show that the texts are the answers of a task."""
FEW_PAIRS = 6
"""Columns of which every two are tried together."""
MOST_ANSWERS = 5
"""So many values at most do the possible answers of a task have."""


class Sets(NamedTuple):
    """Sets of near-copies among units."""

    of: np.ndarray
    """The set of each unit, from 0."""
    apart: float
    """How much farther than by chance the nearest unit outside of a set is, for half of the
    units."""
    nearly_all: float
    """How much farther it is for nine of ten units."""
    warns: bool
    """Whether that is said even if it does not decide."""
    plain: bool
    """Whether that is so at each scale of the columns, by far."""
    dims: int
    words: str


class Cells(NamedTuple):
    """The numbers behind a verdict, cell by cell."""

    terms: Mapping[str, np.ndarray]
    statistic: Statistic
    levels: Mapping[str, np.ndarray]
    """Of each unit the level that a cell has."""

    @classmethod
    def of(cls, table: Table, units: Sequence[str], statistic: Statistic) -> Cells:
        """Give the numbers of a table cell by cell, without those that are missing."""
        masks = [np.isnan(x).any(tuple(range(len(units), x.ndim))) for x in table.terms.values()]
        there = np.nonzero(~np.logical_or.reduce(masks))
        levels = {u: np.asarray(table.levels[u])[i] for u, i in zip(units, there, strict=True)}
        return cls({k: x[there] for k, x in table.terms.items()}, statistic, levels)

    def places(self, unit: str) -> np.ndarray:
        """Number a unit's levels, from 0, in the order of `np.unique`."""
        return np.unique(self.levels[unit], return_inverse=True)[1]

    def values(self, unit: str) -> np.ndarray:
        """What each level of a unit adds to the statistic."""
        return pseudo_values(self.terms, self.statistic, self.places(unit))

    def own(self, unit: str) -> np.ndarray:
        """The number of each unit by itself: where arms, or values of a fixed column, have units of
        their own, how far it lies from the mean of these."""
        pairs = [
            (x, self.terms[COUNT + k]) for k, x in self.terms.items() if COUNT + k in self.terms
        ]
        if not pairs or len(self.levels) > 1:
            return self.values(unit)
        return np.sum([x - there * (x.sum(0) / there.sum(0)) for x, there in pairs], axis=0)

    def others(self, unit: str) -> list[np.ndarray]:
        """The other unit, if there is one, as a grouping."""
        return [self.places(u) for u in self.levels if u != unit]


class Vectors(NamedTuple):
    """Units as points, to be compared with each other."""

    units: np.ndarray
    """Which of all units these are: all, or those of one arm where arms have no common ones."""
    points: np.ndarray
    is_clipped: np.ndarray
    """Which of these have a number that was cut off, in which they are alike but no copies."""
    of_controls: bool = False
    """Whether numbers of controls are among them, which decide where they are plain, and are no
    reason for a warning."""

    @classmethod
    def of(cls, units: np.ndarray, numbers: np.ndarray) -> Vectors:
        """Compare units by these numbers, of each a row."""
        return cls(units, _dithered(numbers), np.any([*map(clipped, numbers.T)], axis=0))

    def unclipped(self) -> Vectors:
        """Leave out the units with a number that was cut off."""
        kept = ~self.is_clipped
        return self._replace(
            units=self.units[kept], points=self.points[kept], is_clipped=self.is_clipped[kept]
        )

    def whole(self, of: np.ndarray, n: int) -> np.ndarray:
        """Give groups of these units as groups of all, of which the others are each alone."""
        every = np.arange(n) + of.max() + 1
        every[self.units] = of
        return np.unique(every, return_inverse=True)[1]


@dataclass(frozen=True)
class Grouping:
    """How units may depend on each other, and the interval that allows for it."""

    name: str
    words: str
    """What was found."""
    limits: Limits
    carries: bool
    """Whether the numbers show that it matters."""
    advice: str
    decides: bool = True
    """Whether the verdict has to be the same where it is allowed for; else it is a warning."""

    changes: str = ""
    """What the outcome is where it is allowed for; "" where no claim is judged."""
    unit: str = ""
    """What is in the groups; "" where nothing names these."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """How many groups there are, by what names them."""
    combined: Mapping[str, int] = field(default_factory=dict)
    """How many there are of two of which each combination is one unit, if it is of these."""
    answers: Mapping[str, float] = field(default_factory=dict)
    """The number of each value, where these are all possible answers and not a sample of them."""
    without: Limits = NONE
    """The interval that allows for nothing, where it is not the one that is shown."""
    groups: tuple[np.ndarray, ...] = ()
    """By each way of grouping the group of each cell, where columns or texts name them."""
    reason: str = ""
    """Of what is no grouping, as arms have other shares of it: what is said of it."""
    each: tuple[Limits, ...] = ()
    """The interval of each group by itself, where there are two, which are no sample of others."""
    numbers: str = ""
    """The number of each of a few groups, in brackets."""

    @property
    def line(self) -> str:
        """What was found, the interval that allows for it, in place of the one without, and what
        comes of the claim then."""
        if self.answers or self.reason:
            return self.words
        alone = _in_brackets(self.without) if self.without.known else ""
        then = f", {self.changes}" if self.changes else ""
        if not self.limits.known:
            without = f"; without it, the interval is {alone}{then}" if alone else ""
            few = "too few groups for an interval that allows for this"
            none = few if self.counts else "no interval can allow for this"
            return f"{self.words}: {none}{without}"
        interval = f"is {_in_brackets(self.limits)} instead of {alone}" if alone else ""
        interval = interval or f"would be {_in_brackets(self.limits)}"
        return f"{self.words}: allowing for this, the interval {interval}{then}"

    @property
    def todo(self) -> str:
        """What to do about it, without the options of a command."""
        if self.reason:
            return self.advice
        if few := {name: n for name, n in self.counts.items() if n < FEWEST}:
            more = " and ".join(groups_in_words(name, FEWEST) for name in few)
            these = " and ".join(groups_in_words(name, n) for name, n in few.items())
            fixed = f"as the unit if the claim is about these {these} only"
            others = [x for x, n in self.combined.items() if n >= FEWEST and " of " not in x]
            named = [f", or name {x} {fixed}" for x in others]
            return f"give {plural(self.unit, 2)} of at least {more}{''.join(named)}"
        if self.counts and not self.limits.known:  # one group has nearly all the weight
            more = " and ".join(groups_in_words(name, FEWEST) for name in self.counts)
            return f"give {plural(self.unit, 2)} of at least {more}, about as many of each"
        every = [name.partition(" of ") for name in self.name.split(" × ")]
        if ways := [x for x in every if x[1]]:  # the others are columns already
            shared = " and which ".join(
                f"have similar {column}" if way == CONTENT else f"have the same {way}{of}{column}"
                for way, of, column in ways
            )
            columns = "columns that say" if ways[1:] else "a column that says"
            names = ["them" if ways[1:] else "it", *(way for way, of, _ in every if not of)]
            unit = "the unit" if len(every) == len(ways) else "units"
            return f"give {columns} which rows {shared}, and name {' and '.join(names)} as {unit}"
        if self.name == ORDER or " " in self.name or "-" in self.name:
            return self.advice
        return (
            f"if the claim is also about other {plural(self.name, 2)}, name {self.name} as the unit"
        )


def lines(groupings: Iterable[Grouping]) -> list[str]:
    """Say what was found, the heaviest groupings in a line each and the others in one; of those
    that leave the outcome as it is only the heaviest. Of several ways of one name, such as patterns
    in one order, the one with the widest interval counts, of those of units that are combinations
    one that changes the outcome, if any does, both crossed first, and of two that are crossed one
    that alone is about as much."""
    widest: dict[str, Grouping] = {}
    for grouping in groupings:
        name = " × ".join(grouping.combined) or grouping.name  # one fact is one line
        if name not in widest or _weight(grouping) > _weight(widest[name]):
            widest[name] = grouping
    for name, pair in [*widest.items()]:
        parts = (widest[x] for x in pair.counts if x in widest and x != name)
        less = (g for g in parts if _width(pair.limits) <= AS_WIDE * _width(g.limits))
        if any(g.changes == pair.changes for g in less):
            del widest[name]
    # names of the same groups, such as a column of templates and their wordings, are one line
    alike: dict[str, list[Grouping]] = {}
    for g in widest.values():
        printed = "[{:.3g}, {:.3g}]".format(*g.limits) if g.limits.known else g.words
        alike.setdefault(printed, []).append(g)
    joined = {printed: _named_together(same) for printed, same in alike.items()}
    heaviest = sorted(joined, key=lambda x: -_width(joined[x].limits))
    same = [x for x in heaviest if joined[x].changes == UNCHANGED]
    shown = [x for x in heaviest if x not in same[1:]][:MOST_LINES]
    rest = [f"{g.name} {x}" for x, g in joined.items() if x not in (*shown, *same)]
    more = f"{len(rest)} more {plural('grouping', len(rest))} of the units: {', '.join(rest)}"
    return [*(joined[x].line for x in joined if x in shown), *([more] if rest else [])]


def _named_together(same: Sequence[Grouping]) -> Grouping:
    """Groupings that allow for the same as one, which names them."""
    first, *others = same
    names = ", ".join(g.name for g in others if not (first.combined and " × " in g.name))
    words = f"{first.words} (grouping by {names} gives the same)"
    return replace(first, words=words) if names else first


def _weight(grouping: Grouping) -> tuple[bool, int, float]:
    return grouping.changes != UNCHANGED, len(grouping.counts), _width(grouping.limits)


def _in_brackets(limits: Limits) -> str:
    low, high = (f"{x:#.3g}".rstrip(".") if abs(x) < 1000 else f"{x:.4g}" for x in limits)
    return f"[{low}, {high}]"


def _width(limits: Limits) -> float:
    return limits[1] - limits[0] if limits.known else np.inf


def averaged(cells: Cells, run: str, level: float) -> list[Grouping]:
    """Give the grouping by runs that are averaged in each unit, where there are several."""
    (unit,) = (u for u in cells.levels if u != run)
    of = cells.places(run)
    count = int(of.max(initial=-1)) + 1
    if count < 2 or len(of) == len(np.unique(cells.levels[unit])):
        return []
    values = pseudo_values(cells.terms, cells.statistic, np.arange(len(of)))
    p, share = _variance(values, of)
    more = f"measure at least {FEWEST} {plural(run, FEWEST)}, with " * (count < FEWEST)
    return [
        Grouping(
            run,
            f"each {unit} is averaged over {count} {plural(run, count)}, which account for "
            f"{100 * max(0.0, share):.0f}% of the variance",
            clustered(cells.terms, cells.statistic, [cells.places(unit), of], level),
            p < CARRIES,
            f'{more}unit=["{unit}", "{run}"], or fixed="{run}" if the claim is about these {count} '
            "only",
        )
    ]


def runs_of_arms(
    cells: Cells, run: str, without: Mapping[str, Sequence[float]], level: float
) -> Grouping:
    """Give the grouping by runs that each arm has for itself, so that the difference of arms may be
    one of runs: `without` has, by arm, the number without each of its runs, which are several.

    Formula: θ ± t √V, V = V_units + sum of V_arm, each a jackknife; Satterthwaite's degrees of
    freedom"""
    (unit,) = cells.levels
    values = cells.values(unit)
    counts = (len(values), *map(len, without.values()))
    parts = (values.var(ddof=1) / len(values), *(jackknife(np.array(x)) for x in without.values()))
    variance = sum(parts)
    spread = sum(part**2 / (n - 1) for part, n in zip(parts, counts, strict=True))
    df = variance**2 / spread if spread else min(counts) - 1
    half = float(scipy.special.stdtrit(df, (1 + level) / 2)) * math.sqrt(variance)
    theta = number(cells.terms, cells.statistic)
    each = " and ".join(f"{len(x)} of {arm}" for arm, x in without.items())
    return Grouping(
        run,
        f"each {unit} is averaged over {plural(run, 2)} that each arm has for itself ({each})",
        Limits(theta - half, theta + half),
        False,
        f"claim mean(…, over={unit}) of each arm, with {run} as the unit",
    )


def find(
    cells: Cells,
    rows: pd.DataFrame,
    judged: Sequence[str],
    skip: Sequence[str],
    level: float,
    *,
    every: pd.DataFrame | None = None,
    copies: bool = True,
    ordered: bool = True,
) -> list[Grouping]:
    """Find the ways in which units may depend on each other, near-copies first where `copies` are
    looked for. Where units are not `ordered`, what the order of rows or of names suggests warns.

    `rows` are those of all arms that are compared, `every` those of controls as well, whose numbers
    show too which units are alike, `judged` the columns that the claim reads, `skip` those that
    name no groups. Raises: DataError where units are plainly copies."""
    groupings = []
    for unit in cells.levels:
        known, values = np.unique(cells.levels[unit]), cells.values(unit)
        labels, fixed, columns = _columns_of(cells, rows, unit, judged, skip)
        unread = (*skip, *cells.levels, *labels)
        vectors = _vectors(rows, unit, known, judged, unread)
        if every is not None and len(vectors[0].units) == len(known):
            more = _vectors(every, unit, known, judged, unread)[:1]
            more = [v._replace(of_controls=True) for v in more if len(v.units) == len(known)]
            vectors = more + vectors
        fixed_groups = [_codes(column.reindex(known)) for column in fixed.values()]
        shared = [*labels.values(), *fixed_groups]
        # combinations of two columns are no pattern in the order
        shared += map(_joined, itertools.combinations(shared[:FEW_PAIRS], 2))
        vectors = [v._replace(points=_without(v, shared)) for v in vectors]
        groupings += _near(cells, unit, vectors, level) if copies else []
        examples = {name: _example(rows, unit, known, name, of) for name, of in labels.items()}
        texts = {n: x for n, x in (columns | fixed).items() if " of " not in n and is_text(x)}
        closed = [x for x in answers(texts, _of_arms(rows, unit)) if x in labels]
        sampled = {name: of for name, of in labels.items() if name not in closed}
        plain = rows.groupby(unit)[[name for name in labels if name in rows]].first()
        of_units = plain.reindex(known).astype(str).apply(lambda x: x.str.strip())
        few = [name for name in plain if name in sampled and sampled[name].max() < NAMED_EACH]
        numbers = {x: _of_each(cells, unit, sampled[x], [*of_units[x]]) for x in few}
        groupings += _named(cells, unit, sampled, examples, numbers, level)
        first = {tuple(labels[name]): name for name in reversed(closed)}  # is/are is are/is
        groupings += [by_answer(cells, unit, n, [*of_units[n]]) for n in first.values()]
        within = _within(values, fixed_groups)
        read = _with_own([v for v in vectors if not v.of_controls], values, shared)
        for name, order in _orders(rows, unit, known, judged, ordered).items():
            advice = partial(_advice, unit, named=bool(labels), may_be_distinct=copies and ordered)
            patterns = list(_in_order(cells, unit, name, order, read, within, level, advice))
            if not ordered and name.lower() not in TIMES:
                patterns = [replace(p, decides=False) for p in patterns if p.limits.known]
                patterns = sorted(patterns, key=lambda p: p.limits.low - p.limits.high)[:1]
            groupings += patterns
    return groupings


def _columns_of(
    cells: Cells, rows: pd.DataFrame, unit: str, judged: Sequence[str], skip: Sequence[str]
) -> tuple[dict[str, np.ndarray], dict[str, pd.Series], dict[str, pd.Series]]:
    """The groups of units that columns and their texts name, the columns that are fixed, and all
    columns that say something of a unit."""
    taken = (*judged, *skip, *cells.levels)
    columns, fixed = _nested(rows, unit, taken), _nested(rows, unit, (), skip)
    known, values = np.unique(cells.levels[unit]), cells.values(unit)
    coded = {name: _codes(column.reindex(known)) for name, column in columns.items()}
    labels = {
        name: of for name, of in coded.items() if is_named(columns[name]) or carries(values, of)
    }
    fixed_groups = [_codes(column.reindex(known)) for column in fixed.values()]
    named = {tuple(of) for name, of in labels.items() if " of " not in name}
    named |= {tuple(of) for of in fixed_groups}  # the wordings of templates that are fixed
    labels = {x: of for x, of in labels.items() if " of " not in x or tuple(of) not in named}
    rest = _within(values, [*labels.values(), *fixed_groups])
    return _recurring(rows, unit, taken, known, rest) | labels, fixed, columns


def _within(values: np.ndarray, groups: Sequence[np.ndarray]) -> np.ndarray:
    """The values of units without what groups add to them."""
    return values.mean() + _less(values[:, None] - values.mean(), groups)[:, 0]


def _named(
    cells: Cells,
    unit: str,
    labels: Mapping[str, np.ndarray],
    examples: Mapping[str, str],
    numbers: Mapping[str, Mapping[str, float]],
    level: float,
) -> Iterator[Grouping]:
    """The groupings that one column names, with the numbers of a few, or two that are crossed."""
    values, place = cells.values(unit), cells.places(unit)
    n, counts = len(values), {name: len(np.unique(of)) for name, of in labels.items()}
    combined = {name: pair for pair in crossed(labels) for name in pair}
    for name, of in labels.items():
        p, share = _variance(values, of)[0], _variance(cells.own(unit), of)[1]
        groups = groups_in_words(name, count := counts[name])
        said = _each_in_words(name, numbers[name]) if name in numbers else ""
        belong = f"the {n} {plural(unit, n)} belong to {groups}{said or examples[name]}"
        words, both = f"{belong}, which account", {}
        if pair := combined.get(name):
            both = {x: counts[x] for x in pair}
            words = f"{combinations_in_words(unit, both)}, and the {groups} account"
        # rows of items are averaged by themselves
        mean = f" with mean(COLUMN, over={unit}) in the claim" * (not ITEMS.search(unit))
        as_unit = f'unit="{name}"{mean}, or ' if count >= FEWEST else ""
        yield Grouping(
            name,
            f"{words} for {_percent(share)} of the variance" + _chance(p) * (count < FEWEST),
            clustered(cells.terms, cells.statistic, [of[place], *cells.others(unit)], level),
            p < CARRIES,
            f'{as_unit}fixed="{name}" if the claim is about these {count} only',
            p < _even(labels) or count >= FEWEST,
            unit=unit,
            each=_alone(cells, unit, of, level) if count == 2 else (),
            numbers=said,
            counts={name: count},
            combined=both,
            groups=(of[place],),
        )
    if len(cells.levels) == 1:
        yield from _crossed(cells, unit, labels, examples, level)


def _crossed(
    cells: Cells,
    unit: str,
    labels: Mapping[str, np.ndarray],
    examples: Mapping[str, str],
    level: float,
) -> Iterator[Grouping]:
    """The groupings by two columns that are crossed."""
    values, place = cells.values(unit), cells.places(unit)
    n, counts = len(values), {name: len(np.unique(of)) for name, of in labels.items()}
    combined = {name: pair for pair in crossed(labels) for name in pair}
    for (a, of_a), (b, of_b) in itertools.combinations([*labels.items()][:FEW_PAIRS], 2):
        levels = len(np.unique(np.stack([of_a, of_b]), axis=1).T)
        if levels == max(counts[a], counts[b]):
            continue  # one is nested in the other
        both = {a: counts[a], b: counts[b]}
        is_combined = combined.get(a) == (a, b)
        belong = " and to ".join(f"{groups_in_words(x, k)}{examples[x]}" for x, k in both.items())
        words = f"the {n} {plural(unit, n)} belong to {belong}"
        stay, two = [x for x, k in both.items() if k < FEWEST], 2 in both.values()
        each = [_variance(values, of)[0] for of in (of_a, of_b)]
        even = any(p >= _even(labels) and x in stay for p, x in zip(each, both, strict=True))
        fixed = " and ".join(f'fixed="{x}"' for x in stay)
        yield Grouping(
            f"{a} × {b}",
            combinations_in_words(unit, both) if is_combined else words,
            clustered(cells.terms, cells.statistic, [of_a[place], of_b[place]], level),
            min(each) < CARRIES,
            f"{fixed} if the claim is about these only" if fixed else f'unit=["{a}", "{b}"]',
            not even,
            unit=unit,
            each=_alone(cells, unit, of_a if counts[a] == 2 else of_b, level) if two else (),
            counts=both,
            combined=both if is_combined else {},
            groups=(of_a[place], of_b[place]),
        )


def _even(labels: Mapping[str, np.ndarray]) -> float:
    """The p-value from which few groups of one of these columns do not decide: EVEN, shared among
    all columns of few groups, of which one or another would differ by chance."""
    few = {tuple(of) for of in labels.values() if len({*of.tolist()}) < FEWEST}
    return EVEN / max(1, len(few))


def _percent(share: float) -> str:
    """A share, 0 where it is below, in whole percent or in one digit where it is less than one."""
    share = 100 * max(0.0, share)
    return f"{share:.0f}%" if share >= 1 else f"{share:.1g}%"


def _chance(p: float) -> str:
    return f" (p = {p:.1g})" if p >= 0.001 else " (p < 0.001)"


def _alone(cells: Cells, unit: str, of: np.ndarray, level: float) -> tuple[Limits, ...]:
    """The interval of each group by itself."""
    place, limits = cells.places(unit), list[Limits]()
    for k in range(int(of.max()) + 1):
        own = of[place] == k
        groups = [np.unique(x[own], return_inverse=True)[1] for x in (place, *cells.others(unit))]
        terms = {name: x[own] for name, x in cells.terms.items()}
        limits.append(clustered(terms, cells.statistic, groups, level))
    return tuple(limits)


def _of_each(cells: Cells, unit: str, of: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """The number of each group of units, by the name that its first unit has."""
    numbers = {}
    for k in range(int(of.max()) + 1):
        own = of[cells.places(unit)] == k
        with np.errstate(all="ignore"):  # an arm may have none of a group
            value = number({name: x[own] for name, x in cells.terms.items()}, cells.statistic)
        numbers[names[int((of == k).argmax())]] = value
    return numbers


def _each_in_words(name: str, numbers: Mapping[str, float]) -> str:
    """The numbers of groups, in brackets; "" where one has none."""
    if not np.isfinite([*numbers.values()]).all():
        return ""
    return f" ({where_in_words(name, numbers)})"


def where_in_words(name: str, numbers: Mapping[str, float]) -> str:
    """Say the number of each value of a column: 2.1 where judge is “a”, 0 where it is “b”."""
    subjects = (name, *["it"] * len(numbers))
    shown = zip(told_apart(*numbers.values()), subjects, numbers, strict=False)
    return ", ".join(f"{x} where {subject} is “{value}”" for x, subject, value in shown)


def decisive(
    cells: Cells,
    of: np.ndarray,
    groupings: Sequence[Grouping],
    outcome: Callable[..., str],
    level: float,
) -> tuple[int, str] | None:
    """Find the only one of the sets of cells that `of` numbers without which all groupings decide a
    claim alike, and its outcome then; None where none does, or several do."""
    found, count = list[tuple[int, str]](), int(of.max()) + 1
    for k in range(count if count <= MOST else 0):
        left = of != k
        terms = {name: x[left] for name, x in cells.terms.items()}
        outcomes = set[str]()
        for g in groupings:
            groups = [np.unique(x[left], return_inverse=True)[1] for x in g.groups]
            outcomes.add(outcome(*clustered(terms, cells.statistic, groups, level)))
        if len(outcomes) == 1 and "undecided" not in outcomes:
            found.append((k, outcomes.pop()))
    return found[0] if len(found) == 1 else None


def answers(
    columns: Mapping[str, Iterable[str]], given: Sequence[Collection[str]] = ()
) -> list[str]:
    """Name the columns of texts whose values are all possible answers of a task, and no sample: of
    two that have the same few values, and others in each row, such as the right answer and the
    wrong one; and one whose values are among those that arms have `given`."""
    texts = {name: [spelling(str(x)) for x in column] for name, column in columns.items()}
    few = {name: x for name, x in texts.items() if 2 <= len({*x}) <= MOST_ANSWERS}
    return [
        name
        for name, x in few.items()
        if any({*x} == {*y} and all(map(operator.ne, x, y)) for y in few.values())
        or any({*x} <= {*y} for y in given)
    ]


def _of_arms(rows: pd.DataFrame, unit: str) -> list[set[str]]:
    """The values of columns of few texts that differ within a unit, as what arms answer does."""
    found = list[set[str]]()
    for name in (str(x) for x in rows if x not in ("arm", unit) and is_text(rows[x])):
        values = {spelling(str(x)) for x in rows[name].dropna().unique()}
        if len(values) <= MOST_ANSWERS + 1 and rows.groupby(unit)[name].nunique().max() > 1:
            found.append(values)  # one more than there are answers, as for none
    return found


def by_answer(cells: Cells, unit: str, name: str, answer: Sequence[str]) -> Grouping:
    """Give the grouping by the possible answers or labels, of which `answer` is that of each unit:
    it has the number of each, where those of few other values are replaced by an interval."""
    of, values = numbered(answer), cells.values(unit)
    numbers = _of_each(cells, unit, of, answer)
    none = "neither" if len(numbers) == 2 else "none of them"
    apart = f"; the mean of all describes {none}"
    p = _variance(values, of)[0]
    return Grouping(
        name,
        f"the number is {where_in_words(name, numbers)}{apart * is_of_none(values, of)}",
        Limits(min(numbers.values()), max(numbers.values())),
        p < CARRIES,
        f"claim each value of {name} by itself",
        p < EVEN,
        answers=numbers,
    )


def _example(rows: pd.DataFrame, unit: str, known: np.ndarray, name: str, of: np.ndarray) -> str:
    """Two texts of the largest group of those that texts suggest; "" of a column's own groups."""
    way, _, column = name.partition(" of ")
    if column not in rows:
        return ""
    every, largest = rows.groupby(unit)[column].first().reindex(known), np.bincount(of).argmax()
    texts = every[of == largest]
    if len(texts) < 2:
        return ""
    first, second = (str(text).strip() for text in texts[:2])
    starts = [max(0, len(x) - SHOWN) if way == "ending" else 0 for x in (first, second)]
    if way == "word":
        places = place_of_shared([*map(str, texts)], [*map(str, every[of != largest])])
        starts = [max(0, place - SHOWN // 2) for place in places[:2]]
    shown = [*map(_cut, (first, second), starts)]
    if shown[0] == shown[1]:  # they differ in what is cut off
        common = next((k for k, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), 0)
        shown = [_cut(x, max(0, common - SHOWN // 2)) for x in (first, second)]
    return f" (such as “{shown[0]}” and “{shown[1]}”)"


def _cut(text: str, start: int) -> str:
    """The whole words of a text about SHOWN letters from `start` on."""
    begin, end = text.rfind(" ", 0, start + 1) + 1, text.find(" ", start + SHOWN)
    return "… " * (begin > 0) + (f"{text[begin:end]} …" if end > 0 else text[begin:])


def crossed(groups: Mapping[str, np.ndarray]) -> list[tuple[str, str]]:
    """Name the pairs of groupings of which each combination is one unit, as of four speakers and
    six things in twenty-four prompts; `groups` are the numbers of the units' groups."""
    pairs = []
    for (a, of_a), (b, of_b) in itertools.combinations(groups.items(), 2):
        counts, cells = [len(np.unique(x)) for x in (of_a, of_b)], np.stack([of_a, of_b])
        if min(counts) > 1 and math.prod(counts) == len(np.unique(cells, axis=1).T) == len(of_a):
            pairs.append((a, b))
    return pairs


def combined_with(
    unit: np.ndarray, groups: Mapping[str, np.ndarray], *, every: bool = False
) -> dict[str, np.ndarray]:
    """Say of which groups every value of a unit has some of each, and thus of what a claim is about
    no others: these 4 beginnings of text; with these groups. With `every`, also of groups that some
    values have. Groupings that are the same are named once. All are numbers of each row."""
    words_by_groups = dict[tuple[int, ...], str]()
    for name, of in groups.items():
        cells, count = len(np.unique(np.stack([unit, of]), axis=1).T), len(np.unique(of))
        is_combined = cells > count if every else cells == count * len(np.unique(unit))
        if 1 < count <= len(of) / 2 and is_combined:
            words_by_groups.setdefault(tuple(of.tolist()), f"these {groups_in_words(name, count)}")
    return {words: np.array(of) for of, words in words_by_groups.items()}


def about_these(these: str, count: int, limits: Limits, outcome: str, numbers: str = "") -> str:
    """Say that a claim is about so many levels alone, which would have another outcome with them as
    units, too; with the number of each in brackets, if there are any."""
    interval = "with them as units, too, the interval is [{:.3g}, {:.3g}], and".format(*limits)
    few = "with so few of them as units,"
    given, then = (few, "undecided") if count < FEWEST else (interval, outcome)
    return f"the claim is about {these} only{numbers}: {given} the outcome would be {then}"


def combinations_in_words(unit: str, counts: Mapping[str, int]) -> str:
    """Say of what units are combinations: the 24 prompts are combinations (4 beginnings of text × 6
    of thing)."""
    n = math.prod(counts.values())
    parts = (groups_in_words(x, k) if " of " in x else f"{k} of {x}" for x, k in counts.items())
    return f"the {n} {plural(unit, n)} are combinations ({' × '.join(parts)})"


def groups_in_words(name: str, count: int) -> str:
    """Say how many groups a name stands for: 8 templates, 2 wordings of text, 8 values of io."""
    way, of, column = name.partition(" of ")
    if way == CONTENT:
        return f"{count} groups with similar {column}"
    if of:
        return f"{counted(count, way)} of {column}"
    return counted(count, name)


def _near(cells: Cells, unit: str, vectors: Sequence[Vectors], level: float) -> list[Grouping]:
    """The groups of units that lie nearer to each other than independent ones do, with the widest
    interval. Raises: DataError where they plainly are copies."""
    place, lines, groupings, alone = cells.places(unit), list[str](), list[np.ndarray](), 0
    known, values = np.unique(cells.levels[unit]), cells.values(unit)
    is_near = ~np.isin(values, find_outliers(values))
    decides = warns = False
    total = int(place.max()) + 1
    for v in (v.unclipped() for v in vectors):
        sets = near_copies(v.points, unit)
        if sets is None or _is_apart_alone(sets, v, is_near, unit):
            continue
        if sets.plain and sets.dims > 1:
            raise DataError(
                f"{sets.words}: near-copies of a unit do not count as further units; keep one of "
                "each set, or name what was sampled independently: ",
                Argument("unit", ("NAME",)),
            )
        plain = sets.apart > DECIDES or sets.nearly_all > NEARLY_ALL
        if plain or not v.of_controls:
            decides, warns = decides | plain, warns | sets.warns
            groupings.append(v.whole(sets.of, total))
            lines.append(sets.words)
            alone += sets.dims == 1
    ways = [[of] for of in groupings]
    partial = [v for v in vectors if len(v.units) < total]
    if len(groupings) > 1 and partial:
        ways.append([_joined(groupings)])
    elif alone == 2 and not cells.others(unit):
        ways.append(groupings[-2:])  # each arm's copies in an order of their own
    every = [[*(of[place] for of in way), *cells.others(unit)] for way in ways]
    first = groupings[0] if groupings else np.zeros(total, int)
    alike = [str(x) for x in known[first == np.bincount(first).argmax()][:2]]
    units = plural(unit, 2)
    advice = (
        f"keep one of each set if they are copies, as {units} {' and '.join(alike)} may be; if "
        f"not, measure more {units}, as few may be alike by chance"
    )
    intervals = [clustered(cells.terms, cells.statistic, groups, level) for groups in every]
    return [
        Grouping("near-copies", lines[0], widest, True, advice, decides)
        for widest in sorted(intervals, key=lambda i: i.low - i.high)[:1]
        if decides or warns
    ]


def _is_apart_alone(sets: Sets, v: Vectors, is_near: np.ndarray, unit: str) -> bool:
    """Whether units are alike only in that they lie far from the others: most of them, by
    themselves, are in no sets."""
    most = v.points[is_near[v.units]]
    enough = 2 * FEWEST_COMPARED <= len(most) < len(v.units)
    return enough and not sets.plain and near_copies(most, unit) is None


def _joined(groups: Sequence[np.ndarray]) -> np.ndarray:
    """Groups of the units of one arm each, as groups of all."""
    return np.unique(np.stack(groups), axis=1, return_inverse=True)[1].ravel()


def near_copies(x: np.ndarray, unit: str) -> Sets | None:
    """Find the sets in which units lie nearer to each other than independent ones do.

    Args:
        x: [unit, dimension], of any scale.
        unit: what one of them is called.
    """
    # few real units may lie in a plane, but for their jitter: then not at equal variance
    ways = (x, x / x.std(0)) if x.size else (x,)
    x = max(ways, key=lambda x: _nearness(x)[0])
    n, (apart, nearly_all, times, dims) = len(x), _nearness(x)
    if apart < LIKELY + 9 / max(1, n) + (dims == 1):
        return None
    least = min(_nearness(way)[0] for way in ways)
    count = max(2, round(n / times))
    words = (
        f"the {n} {plural(unit, n)} look like about {count} "
        f"{'pairs of' if times == 2 else f'sets of {times}'} similar ones"
    )
    tree = scipy.cluster.hierarchy.linkage(x, "ward")
    of = scipy.cluster.hierarchy.fcluster(tree, count, "maxclust") - 1
    # of most in one set, and few far away, it is not true
    even = n * n >= EQUAL * count * int(np.square(np.bincount(of)).sum())
    # what shows at one scale alone is the long tail of a column
    warns = apart >= WARNS + RAISED / n + (dims == 1) and least >= LIKELY
    sets = Sets(of, apart, nearly_all, warns, least > PLAIN, dims, words)
    return sets if even or (sets.plain and dims > 1) else None


def _nearness(x: np.ndarray) -> tuple[float, float, int, int]:
    """How much farther, than by chance, the nearest unit outside of equal sets is than the farthest
    in them, for half of the units and for nine of ten; how many are in a set; in how many
    dimensions.

    Where a density is smooth, the distances to the k-th and the next neighbour in d dimensions have
    a ratio with k d log(ratio) exponential, whatever the density. The median over units says how
    large sets are, so that most of them have to be in sets of one size.
    Source: Levina and Bickel, Maximum Likelihood Estimation of Intrinsic Dimension, 2004."""
    n, dims = x.shape
    if not FEWEST_COMPARED <= n <= MOST or not dims:
        return 0.0, 0.0, 1, dims
    most_neighbours = n // 2
    away = scipy.spatial.KDTree(x).query(x, most_neighbours + 1)[0][:, 1:]
    away = np.maximum(away, 1e-9 * np.abs(x).max())
    k = np.arange(1, most_neighbours)
    ratios = np.log(away[:, 1:] / away[:, :-1]) * k * dims / np.log(2)
    nearly_all, by_k = np.quantile(ratios, [0.1, 0.5], axis=0)
    # where numbers depend on each other there are fewer dimensions, and all of these are larger
    usual, sets = max(1.0, float(np.median(by_k))), by_k[: max(1, n // 3 - 1)]
    k_found = int(sets.argmax())
    is_peak = (sets >= PART * sets.max()) & (sets >= np.append(sets[1:], 0.0))
    times = int(is_peak.argmax()) + 2
    return float(sets[k_found]) / usual, float(nearly_all[k_found]) / usual, times, dims


class Pattern(NamedTuple):
    """A pattern in an order in which units are alike."""

    words: str
    """With a place for which units these are, in what order."""
    of: np.ndarray
    """The group of each unit."""
    vectors: Vectors
    period: int = 0
    """After so many units the next is of the same group again; 0 where neighbours are."""


def _in_order(
    cells: Cells,
    unit: str,
    name: str,
    order: np.ndarray,
    vectors: Sequence[Vectors],
    values: np.ndarray,
    level: float,
    advice: Callable[[int], str],
) -> Iterator[Grouping]:
    """Groups of neighbours, or of every so many-th unit, and series of their `values`, in an
    order."""
    n, own = len(values), values
    is_number = np.unique(cells.levels[unit]).dtype.kind in "iuf"
    called = "their order" if is_number else "the order of their names"
    sorted_by = called if name == unit else f"the order of {name}"
    units = f"the {n} {plural(unit, n)}, in {sorted_by},"
    usual = name in (unit, "the rows") or name.lower() in TIMES
    patterns = [p for v in vectors if usual and (p := _patterns(v, order, len(vectors)))]
    periods = {p.period for each in patterns for p in each}
    every = [
        p._replace(of=p.vectors.whole(p.of, n))
        for each in patterns
        for p in each
        # in other numbers, the same pattern may show whole
        if not any(longer > p.period > 0 == longer % p.period for longer in periods)
    ]
    if len(patterns) > 1 and any(len(v.units) < n for v in vectors):
        whole = [first.vectors.whole(first.of, n) for first, *_ in patterns]
        every.append(patterns[0][0]._replace(of=_joined(whole)))
    if any(p.period == 2 for p in every):
        second = np.zeros(n, int)
        for v in vectors:  # where arms have units of their own, each in its order
            second[v.units] = _rank(v, order) % 2
        every = [Pattern("", second, vectors[0], 2), *(p for p in every if p.period != 2)]
        # two kinds in turn make a series of alike ones seem to have unlike neighbours
        values = values.mean() + _less((values - values.mean())[:, None], [second])[:, 0]
    chance = FOLLOWS / max(1, len({tuple(p.of) for p in every}))
    for pattern in every:
        if _differs(own if pattern.period == 2 else values, pattern.of, chance):
            yield _of_pattern(cells, unit, pattern, units, level, advice(pattern.period))
    together = all(len(v.units) == n for v in vectors)
    if together and (neighbours(values[order]) + 1 / n) * np.sqrt(n) > (ALIKE if usual else FAR):
        yield Grouping(
            ORDER,
            f"neighbours among {units} have similar numbers",
            serial(values[order], level),
            False,
            advice(0),
        )


def _of_pattern(
    cells: Cells, unit: str, pattern: Pattern, units: str, level: float, advice: str
) -> Grouping:
    """The groups of a pattern, as units."""
    of, words, each = pattern.of, pattern.words.format(units), tuple[Limits, ...]()
    if pattern.period == 2:
        first, second = told_apart(*_of_each(cells, unit, of, [*map(str, range(len(of)))]).values())
        words = f"{units} alternate between two kinds ({first} and {second} on average)"
        each = _alone(cells, unit, of, level)
    groups = [of[cells.places(unit)], *cells.others(unit)]
    limits = clustered(cells.terms, cells.statistic, groups, level)
    return Grouping(ORDER, words, limits, True, advice, each=each)


def _with_own(
    vectors: Sequence[Vectors], values: np.ndarray, shared: Sequence[np.ndarray]
) -> list[Vectors]:
    """What units are compared by, with the number of a claim, less what groups share, where there
    is another for each arm, in which an order of that number may be hidden."""
    if len(vectors) == 1 or len(vectors[0].units) < len(values):
        return [*vectors]
    own = Vectors(np.arange(len(values)), values[:, None], np.zeros(len(values), bool))
    return [*vectors, own._replace(points=_without(own, shared))]


def _differs(values: np.ndarray, of: np.ndarray, chance: float) -> bool:
    """Whether the numbers of a claim differ between groups of which more than one unit is a part,
    and not only numbers that all arms have in common, as in a table sorted by difficulty."""
    there = np.bincount(of)[of] > 1  # units of other arms are each alone
    return bool(there.any()) and _variance(values[there], _joined([of[there]]))[0] < chance


def _advice(unit: str, period: int, *, named: bool, may_be_distinct: bool) -> str:
    """What to do where neighbours are alike, or every so many-th; `named`: columns of the table
    group the units already."""
    units = plural(unit, 2)
    new = f"if the order means nothing, measure new {units}"
    new += " or give distinct=True" * may_be_distinct
    if 0 < period < FEWEST:
        column = f"give a column that says of which of {period} kinds each {unit} is, and "
        fixed = f"{column}fixed=COLUMN if the claim is about these {period} only"
        return f"{fixed}{', or judge each by itself' * (period == 2)}; {new}"
    which = f"every {ordinal(period)}" if period else "neighbouring"
    noun = unit if period else units
    shared = f"; if {which} {noun} share{'s' * (period > 0)} something, name that as the unit"
    return new + shared * (not named)


def _rank(v: Vectors, order: np.ndarray) -> np.ndarray:
    """The place of each of these units in an order of all."""
    return np.argsort(np.argsort(np.argsort(order)[v.units]))


def _patterns(v: Vectors, order: np.ndarray, looks: int) -> list[Pattern]:
    """The patterns in an order in which units are alike, the plainest first; `looks` says how many
    vectors are searched."""
    n, rank = len(v.units), _rank(v, order)
    x = v.points / v.points.std(0)
    periods = [k for k in range(2, n // 2 + 1) if n % k == 0] if n >= FEWEST_COMPARED else []
    sizes = [m for m in periods if 3 * m <= n]
    largest_chance = CARRIES / max(1, (len(periods) + len(sizes)) * looks)
    ways = [
        Pattern(f"{{}} come in groups of {m} with similar numbers", rank // m, v) for m in sizes
    ]
    if k := _period(x, rank, periods, largest_chance):
        twice = "the second half of {} has numbers similar to those of the first, in the same order"
        words = twice if 2 * k == n else f"every {ordinal(k)} of {{}} has a similar number"
        ways.append(Pattern(words, rank % k, v, k))
    chances = [_pattern(x, way.of) for way in ways]
    likely = [i for i in np.argsort(chances) if chances[i] < largest_chance]
    return [ways[i] for i in likely]


def _period(x: np.ndarray, rank: np.ndarray, periods: Sequence[int], chance: float) -> int:
    """The smallest period that leaves no other one to be seen, such as a multiple, or else the
    plainest; 0 where there is none."""
    chances = {k: _pattern(x, rank % k) for k in periods}
    likely = [k for k in periods if chances[k] < chance]
    for k in likely:
        left = _less(x, [rank % k])
        # what two periods both explain has their greatest common divisor as its period
        if all(_pattern(left, rank % q, k, math.gcd(k, q)) >= chance for q in likely):
            return k
    return min(likely, key=lambda k: chances[k], default=0)


def _orders(
    rows: pd.DataFrame, unit: str, levels: np.ndarray, judged: Sequence[str], ordered: bool
) -> dict[str, np.ndarray]:
    """The orders that units may have: of their names, of the rows, of a column of times or of whole
    numbers, such as where a window begins; columns come first where units are not ordered by
    themselves. Seeds have none but that of a column of times."""
    import pandas as pd

    index = {str(level): i for i, level in enumerate(levels)}
    seen = [index[s] for s in dict.fromkeys(map(str, rows[unit])) if s in index]
    orders = {}
    if levels.dtype.kind in "iuf":
        orders[unit] = np.arange(len(levels))
    elif all(re.search(r"\d", str(level)) for level in levels):
        orders[unit] = np.array(sorted(range(len(levels)), key=lambda i: _natural(str(levels[i]))))
    if len(seen) == len(levels):
        orders["the rows"] = np.array(seen)
    for name in rows.columns:
        counts_up = rows[name].dtype.kind in "iu" and name not in judged
        if name not in (unit, "arm") and (name.lower() in TIMES or counts_up):
            by_unit = rows.groupby(unit)[name]
            first = by_unit.first().reindex(levels)
            if by_unit.nunique().max() == 1 and first.is_unique and not first.isna().any():
                orders[name] = np.argsort(pd.factorize(first, sort=True)[0])
    if RUNS & {*re.split(r"[\W_\d]+", unit.casefold())}:
        orders = {name: order for name, order in orders.items() if name.lower() in TIMES}
    if not ordered:
        orders = dict(sorted(orders.items(), key=lambda kv: kv[0].lower() not in TIMES))
    by_order = {tuple(order): name for name, order in reversed(orders.items())}
    return {name: order for name, order in orders.items() if by_order[tuple(order)] == name}


def _natural(name: str) -> tuple:
    """A key that puts doc-2 before doc-10."""
    return tuple((int(x), "") if x.isdigit() else (0, x) for x in re.split(r"(\d+)", name))


def _pattern(x: np.ndarray, of: np.ndarray, known: int = 1, shared: int = 1) -> float:
    """The p-value of groups that share nothing, by the analysis of variance of all dimensions.

    Args:
        x: [unit, dimension], of mean 0; less what so many `known` groups share.
        of: the group of each unit.
        shared: so many groups both ways of grouping have in common.
    """
    n, dims = x.shape
    groups = int(of.max()) + 1
    df = groups - shared, n - groups - known + shared
    if not dims or min(df) <= 0:
        return 1.0
    sums = np.zeros((groups, dims))
    np.add.at(sums, of, x)
    between = float((sums**2 / np.bincount(of)[:, None]).sum())
    within = max(float((x**2).sum()) - between, 1e-12 * n * dims)  # rounding is no pattern
    f = between / df[0] / (within / df[1])
    return float(scipy.special.fdtrc(dims * df[0], dims * df[1], f))


def carries(values: np.ndarray, of: np.ndarray) -> bool:
    """Whether numbers show that groups have something in common."""
    return _variance(values, of)[0] < CARRIES


def is_of_none(values: np.ndarray, of: np.ndarray) -> bool:
    """Whether the mean lies outside the range of each group's numbers, so that it describes none
    of the groups."""
    ranges = ((values[of == k].min(), values[of == k].max()) for k in range(of.max() + 1))
    return not any(low <= values.mean() <= high for low, high in ranges)


def _variance(values: np.ndarray, of: np.ndarray) -> tuple[float, float]:
    """The p-value of groups that share nothing, and the intra-class correlation."""
    off = values - values.mean()
    counts = np.bincount(of)
    n, groups = len(of), len(counts)
    if groups >= n or not off.any():
        return 1.0, 0.0
    between = float((np.bincount(of, off) ** 2 / counts).sum()) / (groups - 1)
    within = max(float(off @ off) - between * (groups - 1), 1e-300) / (n - groups)
    usual = (n - float((counts**2).sum()) / n) / (groups - 1)
    share = (between - within) / (between + (usual - 1) * within)
    return float(scipy.special.fdtrc(groups - 1, n - groups, between / within)), share


def _nested(
    rows: pd.DataFrame, unit: str, skip: Sequence[str], only: Sequence[str] | None = None
) -> dict[str, pd.Series]:
    """The columns that say to which group each level of a unit belongs, in every arm the same, and
    what texts that differ from unit to unit have in common, those that name the units included."""
    own, texts = is_text(rows[unit]) and only is None, dict[str, Any]()
    nested = worded(unit, rows.groupby(unit)[unit].first()) if own else {}
    for name in rows.columns if only is None else only:
        if name in ("arm", unit, *skip) or name not in rows or rows[name].isna().all():
            continue
        values = rows[name].mask(rows[name].astype(str).str.strip() == "")
        by_unit = values.groupby(rows[unit])
        if by_unit.nunique().max() > 1 or values.groupby(rows["arm"]).nunique().max() < 2:
            continue  # it differs within a unit, or it describes arms
        of = by_unit.first()
        if not is_text(of):
            if _several(of) and _may_group(of.dropna().to_numpy(float), of.nunique()):
                nested[name] = of
            continue
        of = of.map(lambda x: spelling(str(x)), na_action="ignore")
        nested |= {name: of} if _several(of) else {}
        texts[name] = of.dropna()
        if 2 * of.nunique() > len(of):
            nested |= worded(name, of)
    return nested | (both_ways(texts) if only is None else {})


def both_ways(texts: Mapping[str, pd.Series]) -> dict[str, pd.Series]:
    """The pairs of texts in two columns that many units have in both directions: what is clean in
    one unit is corrupted in another, and the reverse. Each pair is in about two units."""
    found = dict[str, Any]()
    for (a, x), (b, y) in itertools.combinations(texts.items(), 2):
        pairs = [*zip(x, y, strict=True)] if x.index.equals(y.index) else []
        every = {*pairs}
        turned = sum(p != p[::-1] and p[::-1] in every for p in pairs)
        of = numbered(["\t".join(sorted(p)) for p in pairs])
        if turned >= BOTH_WAYS * len(pairs) > 0 and len({*of}) > len(of) / FEWEST_TURNED:
            groups = dict(zip(x.index, map(str, of), strict=True))
            found[f"pair of {a} and {b}"] = x.index.to_series().map(groups)
    return found


def _recurring(
    rows: pd.DataFrame, unit: str, skip: Sequence[str], known: np.ndarray, values: np.ndarray
) -> dict[str, np.ndarray]:
    """Of the divisions of units that recurring words in texts suggest, or parts of names, the one
    of each column between whose groups numbers differ most, if they differ by more than chance, and
    so do their ranks: one outlier alone makes no groups."""
    found, own = dict[str, np.ndarray](), {unit: known} if is_text(rows[unit]) else {}
    for name in (c for c in rows.columns if c not in ("arm", unit, *skip) and is_text(rows[c])):
        by_unit = rows.groupby(unit)[name]
        of = by_unit.first().reindex(known)
        if not of.isna().any() and by_unit.nunique().max() == 1 and 2 * of.nunique() > len(of):
            own[name] = of.to_numpy()
    both = (values, scipy.stats.rankdata(values)) if own else ()
    for name, texts in own.items():
        found_in = divisions([*map(str, texts)])
        ways = [(max(_variance(x, of)[0] for x in both), way, of) for way, of in found_in]
        if ways and (likely := min(ways, key=lambda x: x[0]))[0] < CARRIES / len(ways):
            found[f"{likely[1]} of {name}"] = likely[2]
    return found


def worded(name: str, of: pd.Series) -> dict[str, pd.Series]:
    """The wording of each text, and the words that fill it, where these come again."""
    import pandas as pd

    ways = shared_words([*map(str, of)]).items()
    named = {f"{way} of {name}": pd.Series(codes, of.index).astype(str) for way, codes in ways}
    most = LARGEST_GROUP * len(of)  # 159 endings of 160 texts are no groups
    return {x: codes for x, codes in named.items() if _several(codes) and codes.nunique() <= most}


def _several(of: pd.Series) -> bool:
    """Whether a column has several levels, fewer than units, none of which nearly all have."""
    counts, n = of.value_counts(), len(of)
    return bool(2 <= len(counts) < counts.sum() and counts.iloc[0] <= LARGEST_GROUP * n)


def is_named(column: pd.Series) -> bool:
    """Whether a column's values are names, or numbers that count something up, such as seeds; other
    numbers are amounts, which name groups only where the numbers of these differ."""
    if is_text(column):
        return True
    levels = np.unique(column.dropna().to_numpy(float))
    if levels.tolist() == [0.0, 1.0]:
        return False  # yes and no
    return bool(np.diff(levels).max(initial=1.0) == 1 and (levels[0] in (0, 1) or levels[0] > 999))


def _may_group(numbers: np.ndarray, levels: int) -> bool:
    """Whether numbers may name groups: some that come again."""
    whole = bool((numbers % 1 == 0).all())
    return 2 * levels <= len(numbers) and (whole or levels <= MOST_LEVELS)


def _codes(of: pd.Series) -> np.ndarray:
    """Number the groups of units; one without a name is a group of its own."""
    import pandas as pd

    codes = pd.factorize(of)[0].copy()
    lone = codes < 0
    codes[lone] = codes.max() + 1 + np.arange(lone.sum())
    return codes


def _vectors(
    rows: pd.DataFrame, unit: str, levels: np.ndarray, judged: Sequence[str], skip: Sequence[str]
) -> list[Vectors]:
    """What there is to compare units by: the judged numbers of all arms, all numbers, and each
    judged column of an arm by itself; where arms have no common units, those of each arm."""
    numeric = [c for c in rows.columns if c not in ("arm", *skip, *judged) and not is_text(rows[c])]
    vectors = list[Vectors]()
    for columns in (list(judged), [*judged, *numeric]):
        means: Any = rows.groupby([unit, "arm"])[columns].mean()
        by_unit = means.unstack("arm").reindex(levels)
        whole = by_unit.dropna(axis=1)
        if whole.empty:
            for arm in rows["arm"].unique():
                rows_of_arm = by_unit.xs(arm, axis=1, level="arm")
                there = np.flatnonzero(rows_of_arm.notna().all(axis=1))
                vectors.append(Vectors.of(there, rows_of_arm.to_numpy(float)[there]))
            continue
        every = np.arange(len(levels))
        v = Vectors.of(every, whole.to_numpy(float))
        if not vectors:
            single = [Vectors.of(every, x[:, None]) for x in whole.to_numpy(float).T]
        if not vectors or v.points.shape[1] > vectors[0].points.shape[1]:
            vectors.append(v)
    first = vectors[0]
    if len(first.units) == len(levels) and first.points.shape[1] > 1:
        vectors += [x for x in single if x.points.size]
    return vectors


def _dithered(x: np.ndarray) -> np.ndarray:
    """Numbers with the noise of their rounding, so that rounded ones are no copies, and neither are
    shares of a few answers; without columns in which that leaves few different ones."""
    steps = np.array([grid(column) or _lattice(column) for column in x.T])
    levels = np.array([len(np.unique(column)) for column in x.T])
    is_repeated = np.where(steps > 0, 2 * levels > len(x), levels > 1)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, x.shape)
    return (x + noise * steps)[:, is_repeated] if x.size else x


def clipped(x: np.ndarray) -> np.ndarray:
    """Say which numbers may be cut off, as those of recovery are at 0 and 1: the least ones or the
    greatest ones, if many more are equal there than anywhere else."""
    levels, counts = np.unique(x, return_counts=True)
    most = CLIPPED * counts[1:-1].max(initial=1)
    is_end = np.isin(levels, [*levels[:1], *levels[-1:]]) & (counts >= most)
    return np.isin(x, levels[is_end & (len(levels) > FEWEST_COMPARED)])


def _lattice(x: np.ndarray) -> float:
    """The least difference of numbers if all their differences are multiples of it, as those of
    shares of six are of a sixth; else 0."""
    levels = np.unique(np.round(x, 12))
    steps = (levels - levels[0]) / np.diff(levels).min(initial=np.inf)
    is_regular = len(levels) > 1 and bool(np.abs(steps - np.round(steps)).max() < 1e-6)
    return float(np.diff(levels).min()) if is_regular else 0.0


def _without(v: Vectors, groupings: Sequence[np.ndarray]) -> np.ndarray:
    """Numbers less what groups share, in the directions in which they vary most."""
    x = v.points - v.points.mean(0) if len(v.points) else v.points
    of_these = (np.unique(of[v.units], return_inverse=True)[1] for of in groupings)
    return principal(_less(x, of_these))


def _less(x: np.ndarray, groupings: Iterable[np.ndarray]) -> np.ndarray:
    """Numbers, each column of mean 0, less what groups share; not of groups of fewer than two on
    average, and no unit that is a group alone, which would be 0, as all others of these would."""
    for of in groupings:
        if x.size and 2 * (of.max() + 1) <= len(x):
            sums, count = np.zeros((of.max() + 1, x.shape[1])), np.bincount(of)[:, None]
            np.add.at(sums, of, x)
            x = x - np.where(count > 1, sums / count, 0.0)[of]
    return x


def principal(x: np.ndarray) -> np.ndarray:
    """Give points by the directions in which they vary most, up to six of them and a fourth as many
    as there are points.

    Args:
        x: [unit, column], each column of mean 0.
    """
    if not x.size:
        return x
    scale = x.std(0)
    x = x[:, scale > 0] / scale[scale > 0]
    left, size, _ = np.linalg.svd(x, full_matrices=False)
    is_large = size > 1e-6 * size.max(initial=0.0)
    return (left * size)[:, is_large][:, : max(1, min(DIMS, len(x) // 4))]
