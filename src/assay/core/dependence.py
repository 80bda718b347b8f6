"""Dependence: whether the units of a table depend on each other: groups that a column names, two
crossed columns, near-copies, a pattern in their order, neighbours in time.

A column that says to which group a unit belongs is counted: the verdict has to be the same with its
groups as units, unless they are few and differ less than by chance. What no column says has to be
found in the numbers first."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from assay.core.clustered import NONE, Limits, number, pseudo_values
from assay.core.contrasts import COUNT
from assay.core.digits import told_apart
from assay.core.heavy import scipy
from assay.core.intervals import FEWEST, Statistic
from assay.core.nouns import counted, plural
from assay.core.wordings import numbered, spelling

if TYPE_CHECKING:

    from assay.core.reading import Table

CARRIES = 0.01
"""The p-value below which a column is said to carry variance, or a pattern to be there."""
EVEN = 0.025
"""The p-value from which fewer than six groups do not decide: they differ no more than by chance,
and a verdict is about these alone. It is shared among the columns of a table that have so few, so
that of tables in which these have nothing to do with the numbers, 2.5% are undecided. Simulated at
the threshold, three groups that share something let a claim about all such groups hold in up to 10%
of cases, 12% if a table has three such columns, and two groups in up to 20% (Bancroft, Analysis and
Inference for Incompletely Specified Models, 1964, on when to pool)."""
ORDER = "order"
"""The name of what units depend on where neighbours are alike."""
CONTENT = "content"
"""What the group is called of texts that say the same in several wordings."""
MOST_ANSWERS = 5
"""So many values at most do the possible answers of a task have."""


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


def _in_brackets(limits: Limits) -> str:
    low, high = (f"{x:#.3g}".rstrip(".") if abs(x) < 1000 else f"{x:.4g}" for x in limits)
    return f"[{low}, {high}]"


def _of_each(cells: Cells, unit: str, of: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """The number of each group of units, by the name that its first unit has."""
    numbers = {}
    for k in range(int(of.max()) + 1):
        own = of[cells.places(unit)] == k
        with np.errstate(all="ignore"):  # an arm may have none of a group
            value = number({name: x[own] for name, x in cells.terms.items()}, cells.statistic)
        numbers[names[int((of == k).argmax())]] = value
    return numbers


def where_in_words(name: str, numbers: Mapping[str, float]) -> str:
    """Say the number of each value of a column: 2.1 where judge is “a”, 0 where it is “b”."""
    subjects = (name, *["it"] * len(numbers))
    shown = zip(told_apart(*numbers.values()), subjects, numbers, strict=False)
    return ", ".join(f"{x} where {subject} is “{value}”" for x, subject, value in shown)


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


def groups_in_words(name: str, count: int) -> str:
    """Say how many groups a name stands for: 8 templates, 2 wordings of text, 8 values of io."""
    way, of, column = name.partition(" of ")
    if way == CONTENT:
        return f"{count} groups with similar {column}"
    if of:
        return f"{counted(count, way)} of {column}"
    return counted(count, name)


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
