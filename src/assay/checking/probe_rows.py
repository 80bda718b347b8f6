"""The rows of a probe: which belong together, how they are dealt out to folds, and what is doubtful
of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from assay.checking import reading, related
from assay.checking.credited import labels_of
from assay.checking.reading import Parts
from assay.core.arrays import Array, as_numpy
from assay.core.errors import DataError
from assay.core.heavy import scipy
from assay.core.intervals import FEWEST, FEWEST_FOLDS, FOLD
from assay.core.nouns import plural
from assay.core.wordings import numbered
from assay.features.linear_probe import stratified_folds

GROUP = "group"
HUGE, BLOCK = 30, 4
"""How many times as far from the median row as is usual from which a row is reported; so many
groups on average have the same label as those next to them where labels come in blocks."""
LEAST_GROUPS = 3
"""Groups at least: to train on, to tune on and to judge."""
DEALINGS, FEW_ROWS = 5, 500
"""In how many ways groups are dealt out to folds, and of how many rows at most: with one way, what
the groups are called decides which learn from which, and that moves the measures of few rows."""
SORTED = "the rows come in blocks of one label"
MOST, EQUAL = 5000, 1e-6
"""Rows at most, whose inner products are kept; and by how much of the largest number rows differ
through rounding."""


class Dealt(NamedTuple):
    """How groups are dealt out to folds."""

    group: np.ndarray
    """The group of each row, by a number that the order of the rows does not change."""
    ways: list[Parts]
    """Several ways of dealing them out, over which measures are averaged."""

    def fold_of(self, way: int) -> np.ndarray:
        """The fold of each row, from 1."""
        of = np.empty_like(self.group)
        for k, (_, judged) in enumerate(self.ways[way], 1):
            of[judged] = k
        return of


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a probe, and which of them are learned from and judged together."""

    x: np.ndarray
    positive: np.ndarray
    group: np.ndarray
    dealt: Dealt
    unit: str
    """What is generalised over: group, or fold."""
    units: np.ndarray
    """The unit of each row, by its number."""
    notes: list[str]
    labels: Sequence[Any]
    """The negative and the positive one."""
    of_texts_alone: Dealt
    """By what controls of texts are judged: without what is joined for the activations alone, as
    texts would then be judged by chance."""
    other: Dealt
    """Without the groups that were found by how alike rows are or, where `groups` names each row by
    itself, with these."""
    k: int
    """How many columns the probe reads; 0 if all."""
    alike: tuple[str, str]
    """Which rows were found to be alike, and what groups= puts them together; "" where none
    were."""

    @classmethod
    def read(
        cls,
        X: Array,
        y: Any,
        groups: Any,
        texts: Sequence[str] | None,
        folds: int,
        k: int | None,
    ) -> Rows:
        """Read and check them. Raises: DataError."""
        x = matrix("X", X, None)
        if k is not None and not 1 <= k <= x.shape[1]:
            raise DataError(
                f"k= is how many columns of X a probe reads, from 1 to {x.shape[1]}; got {k}"
            )
        positive, names = _labels(y, len(x))
        stated = _groups(groups, len(x))
        if texts is not None and len(texts) != len(x):
            raise DataError(f"texts has length {len(texts)} for {len(x)} rows of X")
        group, same = related.with_same_texts(stated, texts)
        for find in (related.with_same_rows, related.with_mirrored_rows):
            group, equal = find(x, group)
            same += equal
        if (count := int(group.max()) + 1) < LEAST_GROUPS:
            of = f"{same[0]}. Here " if count <= int(stated.max()) else ""
            raise DataError(
                f"{of}there {'is' if count == 1 else 'are'} {count} {plural('group', count)}; a "
                "probe is trained and tuned on some and judged on others, which takes three, and a "
                f"verdict takes {FEWEST}; what rows share can be a control: controls="
                '{"session": …}'
            )
        own, in_texts = group, True
        group, joined = related.with_overlaps(x, group, texts)
        alike = related.OVERLAPPING_ROWS, "for each row its document"
        if not joined:
            group, in_texts, joined = related.with_near_copies(x, positive, group, texts)
            alike = related.in_common(texts if in_texts else None, group)
        found = group if int(group.max()) < int(own.max()) else own
        if is_kept := groups is not None and int(stated.max()) == len(x) - 1:  # each by itself
            group = own
            heads = (note.partition(related.AS_ONE) for note in joined)
            joined = [f"{x} are kept apart, as groups= says" if y else x for x, y, _ in heads]
        examples = [] if groups is None else related.merged(list(map(str, groups)), stated, group)
        joined = [*same, *joined, *examples, *_suspicious(x, positive)]
        notes = [f"the positive label is {names[1]!r}, the negative one {names[0]!r}"]
        notes *= names not in ([0, 1], [-1, 1])  # and False and True, which equal 0 and 1
        order = reading.order_of(stated if groups is not None else 0 * stated, x, positive, texts)
        dealt = _dealt(group, positive, order, folds)
        other = dealt
        if found is not own and not (is_kept and folds):  # of which few groups would have too many
            other = _dealt(found if is_kept else own, positive, order, folds)
        alone = dealt if in_texts or folds else _dealt(own, positive, order)
        unit, units = (FOLD, dealt.fold_of(0)) if folds else (GROUP, group)
        alike = alike if found is not own else ("", "")
        notes = [*notes, *joined]
        return cls(
            x, positive, group, dealt, unit, units, notes, names, alone, other, k or 0, alike
        )

    @property
    def held(self) -> np.ndarray:
        """The rows that are judged."""
        return np.concatenate([judged for _, judged in self.dealt.ways[0]])

    @property
    def scope(self) -> str:
        """Say how many rows are judged, and over what intervals are."""
        words = f"{len(self.held):,} rows of {len(np.unique(self.group[self.held])):,} groups"
        where = f", in {len(self.dealt.ways[0])} folds of whole groups" if self.unit == FOLD else ""
        reads = f"; the probe reads {self.k} of {self.x.shape[1]:,} columns" * bool(self.k)
        return f"{words}{where}{reads}; intervals are over {self.unit}s"


def matrix(name: str, value: Array, count: int | None, *, columns: bool = True) -> np.ndarray:
    """Numbers as [row, column]. Raises: DataError."""
    if hasattr(value, "float") and hasattr(value, "detach"):
        value = value.detach().float()
    x = as_numpy(value).astype(float)
    x = x.reshape(len(x), -1) if x.ndim == 1 and not columns else x
    if x.ndim != 2 or (count is not None and len(x) != count):
        rows = "a row for each label" if count is None else f"{count} rows, as X has"
        raise DataError(f"{name} has the shape {x.shape}; give [row, column] with {rows}")
    if not np.isfinite(x).all():
        row = int(np.argwhere(~np.isfinite(x))[0, 0])
        raise DataError(f"{name} has a number that is not finite, in row {row}")
    if columns and np.ptp(x, axis=0).max() <= EQUAL * np.abs(x).max():
        raise DataError(
            f"{name} has the same numbers in every row, but for rounding, so nothing can be read "
            "from it"
        )
    if len(x) > MOST:
        raise DataError(f"{name} has {len(x):,} rows; at most {MOST:,} are compared")
    return x


def _labels(y: Any, count: int) -> tuple[np.ndarray, list[Any]]:
    names = labels_of(y)
    if len(names) != count:
        raise DataError(
            f"y has length {len(names)}, and X has length {count}; X is [row, column], with a row "
            "for each label"
        )
    if empty := [i for i, name in enumerate(names) if name is None or name != name]:
        raise DataError(f"y has no label for row {empty[0]}; leave such rows out")
    if len(kinds := sorted(set(names))) != 2:
        raise DataError(f"y must have labels of two kinds, got {len(kinds)}")
    return np.array([n == kinds[1] for n in names]), kinds


def _groups(groups: Any, count: int) -> np.ndarray:
    if groups is None:
        return np.arange(count)
    names = [str(g) for g in groups]
    if len(names) != count:
        raise DataError(f"groups has length {len(names)} for {count} rows of X")
    return np.asarray(np.unique(np.array(names), return_inverse=True)[1])


def names_of(group: np.ndarray, groups: Sequence[Any] | None) -> dict[str, str]:
    """By the number of each group its author's name for it, of merged ones the first; or its first
    row where none were named."""
    numbers, first = np.unique(group, return_index=True)
    names = [f"group {str(g)!r}" for g in (() if groups is None else groups)] or [
        f"row {i}" for i in range(len(group))
    ]
    return {str(number): names[i] for number, i in zip(numbers, first, strict=True)}


def _dealt(group: np.ndarray, y: np.ndarray, order: np.ndarray, folds: int = 0) -> Dealt:
    """Deal whole groups out to folds, in several ways or into so many folds, by the order of their
    rows. Raises: DataError."""
    numbers = np.empty_like(group)
    numbers[order] = numbered(group[order].tolist())
    if folds:
        of = _folds(folds, numbers, y)
        every = [[(np.flatnonzero(of != k), np.flatnonzero(of == k)) for k in range(folds)]]
    else:
        ways = DEALINGS if len(y) <= FEW_ROWS else 1
        every = [reading.parts_of(list(numbers), y, k) for k in range(ways)]
    ordered = [[(order[np.isin(order, a)], judged) for a, judged in parts] for parts in every]
    return Dealt(numbers, ordered)


def _folds(count: int, group: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The fold of each row, by whole groups, with as many groups of each label in each. Raises:
    DataError."""
    if (groups := len(np.unique(group))) < count or count < FEWEST_FOLDS:
        raise DataError(
            f"folds= is a number from {FEWEST_FOLDS}, since fewer folds decide nothing, to the "
            f"number of groups, {groups}; got {count}"
        )
    of = stratified_folds(group, y.astype(int), count)
    if any(len(np.unique(y[of == k])) < 2 for k in range(count)):
        raise DataError(
            f"a fold would have rows of one label alone; give fewer folds than {count}, or more "
            "groups of the rarer label"
        )
    return of


def _suspicious(x: np.ndarray, y: np.ndarray) -> list[str]:
    """Notes on activations that are none: a column that is the label, and rows far larger than the
    others."""
    notes = []
    low, high = x[~y], x[y]
    if (
        same := (np.ptp(low, axis=0) == 0) & (np.ptp(high, axis=0) == 0) & (low[0] != high[0])
    ).any():
        notes.append(
            f"column {int(same.argmax())} of X has one number for each label, as the label itself "
            "has: leave it out if it is no activation"
        )
    varies = np.ptp(x, axis=0) > 0
    apart = np.abs(high.mean(0) - low.mean(0))[varies]
    if (apart <= EQUAL * x.std(0)[varies]).all():
        notes.append(
            "both labels have the same mean in every column of X, as if the rows of each label "
            "were centred by themselves, which takes away what a linear probe reads: centre all "
            "rows together"
        )
    off = np.abs(x - np.median(x, axis=0)).max(1)
    if len(far := np.flatnonzero(off > HUGE * np.median(off))):
        notes.append(
            f"{len(far)} of {len(x):,} rows, such as row {far[0]}, are more than {HUGE} times as "
            "far from the median row as is usual, and the probe follows them: a BOS token, a "
            "mean over tokens that includes the first one, or an overflow?"
        )
    return notes


def label_of_each(score: np.ndarray, y: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The mean score and the label of each group that has one label, in the order of the rows."""
    names = dict.fromkeys(group.tolist())  # in the order of their first rows
    points = [(score[group == k].mean(), y[group == k].mean()) for k in names]
    return np.array([p for p in points if p[1] in (0, 1)]).reshape(-1, 2).T


def in_blocks(labels: np.ndarray) -> np.ndarray | None:
    """The block of one label that each group is in; None where labels are mixed along the rows."""
    block = np.cumsum(np.diff(labels, prepend=labels[:1]) != 0)
    return block if 0 < BLOCK * len(np.unique(block)) <= len(block) else None


def in_order(score: np.ndarray, y: np.ndarray, group: np.ndarray) -> list[str]:
    """A note where the labels come in blocks, and within those of either label the score of a group
    moves with its place: by Spearman's rank correlation, at the 1% level for each label."""
    values, labels = label_of_each(score, y, group)
    block = in_blocks(labels)
    if block is None:
        return []
    both = np.stack([values, np.arange(len(block), dtype=float)])
    inside = both.copy()
    for k in np.unique(block):
        inside[:, block == k] -= inside[:, block == k].mean(1, keepdims=True)
    few = min((labels == k).sum() for k in (0, 1)) < 2 * FEWEST
    if few or any(np.ptp(x[labels == k]) == 0 for k in (0, 1) for x in inside):
        return []
    found = [scipy.stats.spearmanr(*inside[:, labels == k]) for k in (0, 1)]
    if max(x.pvalue for x in found) >= 0.01 or found[0].statistic * found[1].statistic < 0:
        return []
    apart, of_places = both[:, labels == 1].mean(1) - both[:, labels == 0].mean(1)
    explained = of_places * (inside[0] @ inside[1]) / np.square(inside[1]).sum()
    share = f" {related.ENOUGH}" * bool(explained >= apart / 2)
    return [
        f"{SORTED}, and among those of one label the probe's score drifts along the rows{share}: "
        "if X depends on when or in which batch a row was computed, that alone separates the "
        'labels; compute X in mixed order, or give controls={"batch": …} of each row'
    ]
