"""Seen: whether what a claim credits was learned from the very prompts that judge it, or may have
been chosen by them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, median
from typing import Any

import numpy as np

from assay.checking.prompts import PROMPT, Given
from assay.core.arrays import as_numpy
from assay.core.clustered import clustered, number
from assay.core.dependence import Cells
from assay.core.digits import estimate
from assay.core.errors import DataError
from assay.core.heavy import scipy
from assay.core.intervals import FEWEST
from assay.core.judging import outcome_of
from assay.core.nouns import joined
from assay.core.results import Judged
from assay.core.scopes import listed
from assay.core.wordings import are_known, numbered, spelling

LEAST_NUMBERS, ROUNDED = 3, 0.01
"""So many numbers of a row that are not whole show that it is the same by more than chance; the
share of its distance from the mean row by which rounding may move it."""
REACH = 5.0
"""How many standard deviations of a random projection are searched."""
WOULD = {"fails": "would fail", "undecided": "would be undecided"}
ERRORS = 4.0
"""Standard errors in an interval at 95%."""
BY_CHANCE = 1e-3
"""How probable what two lists share may be by chance alone for it to show that they are of the same
prompts."""
THESE = "so it was probably learned from these very prompts"
"""Said of a direction whose rows and the prompts have more in common than by chance."""


@dataclass(frozen=True, eq=False)
class Seen:
    """The prompts from which the thing of a claim was learned."""

    prompts: np.ndarray
    """Of each prompt whether it was."""
    among: str
    """What they are among, in words."""


def in_examples(examples: Any, given: Given) -> Seen:
    """Find the prompts whose text, but for spelling, is one of the training examples, or in one
    that has several; or which hold its numbers."""
    rows = Given(examples if hasattr(examples, "iloc") else list(examples))
    known = {spelling(text) for text in (*_said(rows), *_texts(rows.rows))} - {""}
    same = np.array([spelling(text) in known for text in _said(given)])
    with contextlib.suppress(DataError):
        numbers = np.atleast_2d([] if known else as_numpy(rows.rows).astype(float))
        same |= _hold(given, numbers) if numbers.ndim == 2 else False
    return Seen(same, "the training examples")


def in_rows(acts: Sequence[Any], given: Given) -> Seen:
    """Find the prompts that hold a row of the activations that a direction was learned from."""
    rows = np.concatenate([as_numpy(part).astype(float) for part in acts])
    return Seen(_hold(given, rows), "the rows that the direction was learned from")


def chosen_on(kind: str, prompts: Any, given: Given) -> str:
    """Say on how many other prompts the thing of a claim was chosen. Raises: DataError where one of
    the prompts `given` is among these, but for spelling, or where the two cannot be compared."""
    other = Given.read(prompts, "chosen_on=")
    names = [n for n in given.columns if n in other.columns]
    names = [n for n in names if n in ("text", PROMPT)][:1] or names
    if type(given.rows[0]) is not type(other.rows[0]) or (given.columns and not names):
        has = listed(given.columns) or "no columns"
        raise DataError(
            f"chosen_on= cannot be compared with prompts=, which has {has}; give both in one form"
        )
    keys, known = (_keys(x, names) for x in (given, other))
    same = [key in {*known} for key in keys]
    with contextlib.suppress(DataError):
        numbers = np.atleast_2d(as_numpy(other.rows).astype(float))
        same = [*(np.array(same) | _hold(given, numbers))] if numbers.ndim == 2 else same
    if any(same):
        raise DataError(
            f"{sum(same)} of the {len(given)} prompts are among those of chosen_on=, such as "
            f"{given.name(same.index(True))}; leave them out of prompts=, or leave out chosen_on="
        )
    were = f"{kind} chosen on {len(other)} other prompts"
    if are_known(keys, known):
        return f"{were} of the same wording"
    same_values = _known_values(given, other)
    return f"{were} with the same values of {joined(same_values)}" if same_values else were


def _known_values(given: Given, other: Given) -> list[str]:
    """The columns of a few texts, such as templates, that come again and are all among those of the
    other prompts."""
    columns = {n: x for n, x in given.columns.items() if n not in given.answers}
    texts = {n: {*x} for n, x in columns.items() if all(isinstance(v, str) for v in x)}
    few = [n for n, values in texts.items() if 1 < len(values) <= len(given) / 2]
    return [n for n in few if texts[n] <= {*other.columns.get(n, ())}]


def _keys(given: Given, names: Sequence[str]) -> list[str]:
    """What each row says in these columns, or by itself, but for spelling."""
    rows = zip(*(given.columns[n] for n in names), strict=True)
    said = [" ".join(map(str, row)) for row in rows] if names else given.contents
    return [*map(spelling, said)]


def notes_on_labels(
    rows: tuple[Sequence[bool], np.ndarray] | None, given: Given, numbers: Mapping[str, np.ndarray]
) -> list[str]:
    """Say that the prompts have the labels of the rows that a direction was learned from, one by
    one; and that it is more than chance, where the labels have no regular order, or where the
    numbers of the prompts follow the rows.

    Args:
        rows: the label of each row, and its projection on the direction; None of another thing.
        given: the prompts.
        numbers: by name the numbers of the prompts.
    Formula: Σ (n − 3) artanh²(r) over the two labels, r the correlation of the numbers with the
        projections of n rows, has a χ² distribution with 2 degrees of freedom by chance
    """
    if rows is None:
        return []
    own, along = numbered(rows[0]), rows[1]
    columns = [n for n, x in given.columns.items() if np.array_equal(numbered(x), own)]
    if not columns:
        return []
    count = int(own.sum())
    steps = range(1, len(own) // 2 + 1)
    is_regular = np.count_nonzero(np.diff(own)) == 1 or any(
        np.array_equal(own[k:], own[:-k]) for k in steps
    )
    found = not is_regular and 2 / math.comb(len(own), count) < BY_CHANCE
    for x in numbers.values():
        parts = [(along[own == k], x[own == k]) for k in (0, 1)]
        if all(len(a) > 3 and min(np.ptp(a), np.ptp(b)) > 0 for a, b in parts):  # not NaN either
            r = np.clip([np.corrcoef(*part)[0, 1] for part in parts], -1 + 1e-9, 1 - 1e-9)
            total = np.arctanh(r) ** 2 @ [len(a) - 3 for a, _ in parts]
            found |= bool(scipy.stats.chi2.sf(total, 2) < BY_CHANCE)
    words = (
        f"the column {columns[0]} of the {len(own)} prompts has the labels of the {len(own)} rows "
        "that the direction was learned from, one by one"
    )
    if found:
        return [f"{words}, {THESE}, which it separates even if they are noise: check it on others"]
    return [f"{words}: if these are the same prompts, check it on others"]


def _said(given: Given) -> list[str]:
    """What each row says; "" of one that has neither plain columns nor a text."""
    return given.contents if given.columns else [" ".join(_texts(row)) for row in given.rows]


def _texts(value: Any) -> Iterator[str]:
    """The texts of an example: of a pair, of named fields, or of messages."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(part)


def _hold(given: Given, rows: np.ndarray) -> np.ndarray:
    """Which prompts hold one of these rows of numbers, but for rounding."""
    found = np.zeros(len(given), bool)
    rows = rows[(rows % 1 != 0).sum(1) >= LEAST_NUMBERS]
    if not len(rows):
        return found
    middle = rows.mean(0)
    line = np.random.default_rng(0).normal(size=len(middle))
    order = np.argsort((rows - middle) @ line)
    rows = (rows - middle)[order]
    along = rows @ line
    for k, prompt in enumerate(given.rows):
        for row in _rows_of(prompt, len(middle)):
            off = row - middle
            most = ROUNDED * float(np.linalg.norm(off))
            low, high = np.searchsorted(along, off @ line + REACH * most * np.array([-1, 1]))
            found[k] |= bool((np.linalg.norm(rows[low:high] - off, axis=1) <= most).any())
    return found


def _rows_of(prompt: Any, width: int) -> Iterator[np.ndarray]:
    """The rows of so many numbers that a prompt is, or has in a field."""
    for value in prompt.values() if isinstance(prompt, Mapping) else [prompt]:
        with contextlib.suppress(DataError):
            x = np.atleast_2d(as_numpy(value).astype(float))
            yield from x if x.ndim == 2 and x.shape[1] == width else ()


def notes_on_seen(
    seen: Seen | None, judged: Judged, cells: Cells, known: np.ndarray, units: Sequence[np.ndarray]
) -> list[str]:
    """Say how many prompts the thing of a claim was learned from, and what would come of the others
    if the claim holds.

    Args:
        seen: which prompts these are; None where it is unknown what was learned from.
        judged: the verdict.
        cells: what the condition reads of each prompt that has a number.
        known: which prompts these are.
        units: by one or two units, which one each prompt belongs to.
    """
    if seen is None or not seen.prompts.any():
        return []
    count, of = int(seen.prompts.sum()), len(seen.prompts)
    these = f"all {of}" if count == of else f"{count} of the {of}"
    note = f"{these} prompts are among {seen.among}"
    if judged.outcome != "holds":
        return [note]
    if count == of:
        alone = "an effect on these alone would satisfy the claim"
        return [f"{note}, so {alone}: check it on other prompts"]
    rest = ~seen.prompts[known]
    terms = {name: x[rest] for name, x in cells.terms.items()}
    groups = [np.unique(x[known][rest], return_inverse=True)[1] for x in units]
    if min(len(np.unique(x)) for x in groups) < FEWEST:
        return [f"{note}; without these, it would be undecided: too few are left"]
    limits = clustered(terms, cells.statistic, groups)
    shown = " ".join(estimate(number(terms, cells.statistic), *limits))
    outcome = outcome_of(judged.claim, *limits)
    came = "it is" if outcome == "holds" else f"it {WOULD[outcome]}:"
    return [f"{note}; without these, {came} {shown}"]


def notes_on_choice(
    kind: str, chosen: Any, pool: int, judged: Judged, draws: Iterable[str]
) -> list[str]:
    """Say if a claim of an effect would not hold of members of a pool that were chosen by their
    effect on these prompts.

    Args:
        kind: what they are, such as neurons.
        chosen: the members, one or a list.
        pool: how many there were to choose from.
        judged: the verdict.
        draws: the arms that have as many others in their place.
    Formula: luck = √k m s, s the median standard error of a draw of k others, m = φ(z) n / k the
    mean of the k largest of n normal numbers, z the quantile of 1 - k / n
    """
    count = len(chosen) if isinstance(chosen, list) else 1
    low, high = judged.range
    widths = [v.high - v.low for v in map(judged.controls.get, draws) if v]
    widths = [width for width in widths if math.isfinite(width)]
    if judged.outcome != "holds" or low < 0 < high or not widths or count >= pool:
        return []
    z = NormalDist().inv_cdf(1 - count / pool)
    luck = math.sqrt(count) * NormalDist().pdf(z) * pool / count * median(widths) / ERRORS
    luck *= 1 if math.isfinite(low) else -1
    # one standard error instead of two: that of the best is smaller than that of any other
    ends = ((x + judged.estimate) / 2 - luck for x in judged.interval)
    outcome = outcome_of(judged.claim, *ends)
    if outcome == "holds":
        return []
    noun = kind.removesuffix("s")
    these = f"these {count} {noun}s were" if count > 1 else f"this {noun} was"
    return [
        f"if {these} chosen as the best of {pool:,} on these prompts, luck alone would give "
        f"an effect of about {luck:.2g}, without which the claim {WOULD[outcome]}: check it on "
        "other prompts, or give those on which you chose as chosen_on="
    ]
