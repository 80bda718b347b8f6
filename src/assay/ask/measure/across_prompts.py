"""Across prompts: numbers of all prompts of a read together, such as the effective rank of their
activations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from jaxtyping import Float

from assay.ask.measure import similarity
from assay.ask.measure.activations import own_site
from assay.ask.measure.directions import label_of
from assay.ask.measure.prompts import PromptRow, PromptSet
from assay.ask.measure.tokenized import Context, PassOutput, Prompt, Ready, positions
from assay.ask.tables import Read
from assay.core import spread
from assay.core.errors import DataError, nearest
from assay.train import rng

_WORDS = {
    "effective_rank": "effective rank of",
    "participation_ratio": "participation ratio of",
    "explained": "share of the variance that {n} principal component{s} explain{v} of",
    "cosine": "mean cosine of every two of",
    "cka": "linear CKA of",
    "rsa": "rank correlation of the similarities of every two of",
    "distance": "distance between the means for {first} and {second} of",
}


PAIRED = ("cka", "rsa")
"""Those that compare the arrangement of the prompts in two sets of activations."""


def words(read: Read) -> str:
    """What is computed from the activations, in words."""
    first, second = read.labels or ("", "")
    n, is_single = read.components, read.components == 1
    ends = {"s": "" if is_single else "s", "v": "s" if is_single else ""}
    return _WORDS.get(read.across, "").format(n=n, first=first, second=second, **ends)


def check(read: Read, prompts: PromptSet, rows: Sequence[int]) -> None:
    """Refuse a distance between groups that do not exist. Raises: DataError."""
    for label in read.labels or ():
        labels = {*prompts.column(read.label, rows)}
        if label_of(label) not in labels:
            raise DataError(
                f"{read.name}: no prompt has {read.label} = {label_of(label)!r}; "
                f"{nearest(label_of(label), labels)}"
            )
    if read.labels is not None and prompts.table.levels == read.label:
        raise DataError(
            f"{read.name}: every level of {read.label} has one of the two groups alone; take "
            f"levels out of {prompts.table.name}"
        )


def across(read: Read, prompt: Prompt, context: Context) -> Ready:
    """One number of the activations on all prompts. Each prompt has a part of it: the mean of the
    parts is the number, and their spread is that of the number between samples of prompts."""
    site, dealt = own_site(read, prompt), context.stands_in == "labels"
    positions(read, prompt)
    pairs = read.across in PAIRED
    other, other_side = similarity.second(read, prompt, context) if pairs else (site, None)

    def vector(output: PassOutput) -> Float[np.ndarray, " d"]:
        acts = [output.act(site, read.position)]
        acts += [other_side(output).act(other, read.position)] if other_side else []
        return np.concatenate([x.flatten().cpu().numpy() for x in acts])

    return Ready(
        lambda reading: [vector(output) for output in reading],
        sites=(site, other),
        compares=pairs and not (read.other_site or read.other_text),
        of_all=partial(_of_all, read, dealt, prompt.folder.width(site)),
    )


def of_each(
    ready: Ready, x: Float[np.ndarray, "variant row d"], prompts: PromptSet, rows: Sequence[int]
) -> Float[np.ndarray, "variant row"]:
    """The part of each row under each edit, for every level of the prompts separately. A unit of
    many rows has a larger part than one of few, so that the mean over units is the number."""
    assert ready.of_all is not None
    parts = np.full(x.shape[:2], np.nan)
    levels, units = np.array(prompts.level_of(rows)), np.array(prompts.units(rows))
    for level in np.unique(levels):
        group = np.flatnonzero(levels == level)
        _, index, counts = np.unique(units[group], return_inverse=True, return_counts=True)
        weights = counts[index] * len(counts) / len(group)
        for v, vectors in enumerate(x):
            of_level = ready.of_all(vectors[group], [prompts.rows[rows[i]] for i in group.tolist()])
            number = of_level.mean()
            parts[v, group] = number + weights * (of_level - number)
    return parts


def _of_all(
    read: Read, dealt: bool, width: int, x: Float[np.ndarray, "n d"], rows: Sequence[PromptRow]
) -> Float[np.ndarray, " n"]:
    """The part of each prompt. If `dealt`, labels are shuffled, equally for all seeds. Of two
    sites, the first `width` numbers of a vector belong to the first."""
    functions: dict[str, Callable[[spread.Vectors], spread.Moved]] = {
        "effective_rank": spread.effective_rank,
        "participation_ratio": spread.participation_ratio,
        "explained": partial(spread.explained, components=read.components),
        "cosine": spread.cosine,
        "cka": lambda x: spread.cka(x[:, :width], x[:, width:]),
        "rsa": lambda x: spread.rsa(x[:, :width], x[:, width:]),
    }
    if read.labels is not None:
        labels = np.array([label_of(row.columns[read.label]) for row in rows])
        if dealt:
            labels = labels[rng.permutation(np.array([0]), "ask.labels", 0, len(labels))[0]]
        first, second = (labels == label_of(label) for label in read.labels)
        if not (first.any() and second.any()):
            return np.full(len(x), np.nan)
        functions["distance"] = partial(spread.distance, first=first, second=second)
    return spread.by_vector(functions[read.across], x)
