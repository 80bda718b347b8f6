"""Every probe of utility on the same passages: what each reads, how each is tuned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.train import rng
from assay_catalogue.features import kernel_probe as probe
from assay_catalogue.features.kernel_probe import Questions, Tuned, best

FEW = 16
"""Columns that a sparse probe reads."""
BASELINES = ("coordinates-16", "coordinates-all", "means", "words", "fine-tuned")
"""What is tried without a dictionary; `coordinates-all` is a regression on the stream."""
KS = ("1", "16", "all", "best")
"""How many columns a probe reads; `best` is what validation prefers."""
SAE = tuple(f"features-{k}" for k in KS)
CHANCE = tuple(f"random-{k}" for k in KS)
COORDINATES = tuple(f"coordinates-{k}" for k in KS)
"""Such probes on a dictionary, on one of random directions, and on the stream itself."""
METHODS = (
    *SAE,
    *CHANCE,
    *COORDINATES,
    *("means", "words", "fine-tuned"),
    *("baseline", "with", "careless", "asked"),
)
"""What is recorded: `baseline` is what validation prefers without a dictionary, `with` with it, and
`careless` what the test under shift prefers with it."""
PARTS = ("same", "shift")
"""Tests: of the packages and wordings of the training passages, and of others."""

Numbers = dict[str, np.ndarray]
"""What methods reach, by name: [validation, same and shift; q]."""
Columns: TypeAlias = 'Mapping[str, Float[torch.Tensor, "q row k"]]'
"""What a probe may read, at the last token and as the mean over the last ones."""


@dataclass(frozen=True, eq=False)
class Passages:
    """Passages of several concepts as probes meet them."""

    names: tuple[str, ...]
    tokens: Int[np.ndarray, "q row s"]
    label: Bool[np.ndarray, "q row"]
    part: Int[np.ndarray, "q row"]


def questions(passages: Passages, train: int, seed: int, shuffled: bool = False) -> Questions:
    """A seed's random choice of passages to train on; what is left to learn from is for validation.
    Shuffled: labels to learn from are permuted."""
    told, rows = passages.label.copy(), []
    for i, part in enumerate(passages.part):
        order = rng.generator(seed, "utility.split", i).permutation(np.flatnonzero(part == 0))
        if shuffled:
            told[i, order] = told[i, rng.generator(seed, "utility.shuffled", i).permutation(order)]
        rows.append((order[:train], order[train:], *(np.flatnonzero(part == p) for p in (1, 2))))
    first, second, *tests = (torch.from_numpy(np.stack(each)) for each in zip(*rows, strict=True))
    return Questions(
        torch.from_numpy(passages.label), torch.from_numpy(told), first, second, tuple(tests)
    )


def pooled(x: Float[torch.Tensor, "q row t k"]) -> Columns:
    """The last token, and the mean over all that are read."""
    return {"last": x[:, :, -1], "mean": x.mean(2)}


def features(
    x: Float[torch.Tensor, "q row t d"], dictionary: Dictionary
) -> dict[str, Float[torch.Tensor, "q row f"]]:
    """Features times the length of their decoder rows, pooled."""
    length = dictionary.W_dec[0].norm(dim=1)
    out: dict[str, list[torch.Tensor]] = {"last": [], "mean": []}
    with torch.no_grad():
        for block in x:  # of one concept at a time
            f = (dictionary.encode(block.flatten(0, 1)) * length).unflatten(0, block.shape[:2])
            for name, columns in pooled(f[None]).items():
                out[name].append(columns[0].clone())
    return {name: torch.stack(blocks) for name, blocks in out.items()}


def sparse(columns: Columns, q: Questions, name: str) -> Iterator[tuple[str, Tuned]]:
    """Probes on one column, on sixteen, on all, and on as many as validation prefers; validation
    chooses the token too. One column is read as it is, turned as training passages have it."""
    single, few, every = [], [], []
    for x in columns.values():
        top = probe.chosen(x, probe.top_features(x, q, FEW))
        single += [probe.mean_scores(kernel(top[..., :1], q), q)]
        few, every = [*few, kernel(top, q)], [*every, kernel(x, q)]
    solved = probe.all_regression_scores([*few, *every], q)
    scores = {"1": torch.cat(single)}
    scores |= {"16": torch.cat(solved[: len(few)]), "all": torch.cat(solved[len(few) :])}
    scores["best"] = torch.cat([*scores.values()])
    for k, settings in scores.items():
        yield f"{name}-{k}", best(settings, q)


def kernel(x: Float[torch.Tensor, "q row k"], q: Questions) -> Float[torch.Tensor, "q row n"]:
    """Inner products of standardised columns with the training rows."""
    return probe.products(probe.prepared(x, q), q)


def plain(passages: Passages, columns: Columns, q: Questions) -> Iterator[tuple[str, Tuned]]:
    """What needs no dictionary: sparse and dense probes on the stream's coordinates, difference of
    means, words."""
    yield from sparse(columns, q, "coordinates")
    dense = [probe.mean_scores(kernel(x, q), q) for x in columns.values()]
    yield "means", best(torch.cat(dense), q)
    words = [
        gram.gather(2, q.train[:, None].expand(-1, gram.shape[1], -1))
        for gram in grams(passages.tokens)
    ]
    yield "words", best(torch.cat(probe.all_regression_scores(words, q)), q)


def grams(
    tokens: Int[np.ndarray, "q row s"],
) -> tuple[Float[torch.Tensor, "q row row"], Float[torch.Tensor, "q row row"]]:
    """Inner products of passages as bags of tokens, and as bags of tokens and of pairs that follow
    each other; −1 is no token."""
    matrices: tuple[list, list] = [], []
    for texts in tokens.tolist():
        kept = [[t for t in text if t >= 0] for text in texts]
        single: list[set] = [set(text) for text in kept]
        double = [bag | set(pairwise(text)) for bag, text in zip(single, kept, strict=True)]
        for bags, out in zip((single, double), matrices, strict=True):
            place: dict = {}
            for bag in bags:
                for item in bag:
                    place.setdefault(item, len(place))
            b = np.zeros((len(bags), len(place)), np.float32)
            for i, bag in enumerate(bags):
                b[i, [place[item] for item in bag]] = 1
            out.append(b @ b.T)
    return torch.from_numpy(np.stack(matrices[0])), torch.from_numpy(np.stack(matrices[1]))


def numbers(methods: Iterator[tuple[str, Tuned]]) -> Numbers:
    """What methods reach, as arrays [validation and tests; q]."""
    return {n: np.stack([t.validation.numpy(), *t.tests.numpy()]) for n, t in methods}


def picked(reached: Numbers, methods: Sequence[str], by: int = 0) -> Float[np.ndarray, "3 q"]:
    """What the method with the best AUROC in validation (0) or under shift (2) reaches; of several
    equal ones the mean."""
    scores = np.stack([reached[name] for name in methods if name in reached])
    first = scores[:, by] == scores[:, by].max(0)
    return (scores * first[:, None]).sum(0) / first.sum(0)
