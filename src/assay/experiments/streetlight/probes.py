"""Every probe of streetlight on the same questions: which rows each regime gives, what each method
reads, what each reaches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core import rng
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.features import kernel_probe as probe
from assay.features.kernel_probe import Questions, Tuned, best

REGIMES = ("plain", "scarce", "noisy")
"""All training passages; few of them; all, some told wrongly."""
FEW, WRONG = 16, 0.2
"""Passages in a scarce regime, as many for validation; the share that is told wrongly in a noisy
one."""
BASELINES = ("logistic", "pca", "means", "neighbours", "tokens", "bigrams")
"""The quiver without a dictionary; the last two read the text, not the model."""
SAE = ("sae-1", "sae-4", "sae-16", "sae-64", "sae-all", "recon")
"""What a dictionary adds to it: the best k features, all of them, the reconstruction."""
CHANCE = ("random-1", "random-16", "random-again-1", "random-again-16")
"""The best features of two random dictionaries, drawn anew for each seed."""
SURFACE = ("tokens", "bigrams", *CHANCE[:2])
"""What is to be had without learning anything of the model: words, and random directions."""
EQUAL = "pca-equal"
"""A regression on principal components that leave as much of the variance unexplained as the
dictionary does."""
METHODS = ("logistic", "sae-1", "sae-16", "recon", "error", *CHANCE, EQUAL, "words", "surface")
"""What is recorded with all training passages; the last two are what validation chooses among."""
CHOSEN = ("without", "with", "without, by test", "with, by test")
"""What is recorded of the quiver in every regime: without a dictionary and with it, chosen by
validation as a careful person does, and by the test."""
RANKS = (4, 8, 16, 32)

Numbers = dict[str, np.ndarray]
"""What methods reach, by name: [validation and test; q]."""


@dataclass(frozen=True, eq=False)
class Asked:
    """Several questions as probes meet them: normalised activations of the last tokens of passages,
    the passages' token ids, true answers, parts."""

    names: tuple[str, ...]
    x: Float[torch.Tensor, "q row d"]
    tokens: Int[np.ndarray, "q row s"]
    label: Bool[np.ndarray, "q row"]
    part: Int[np.ndarray, "q row"]


def questions(asked: Asked, regime: str, seed: int) -> Questions:
    """The rows of a regime: fewer training rows, or some told wrongly; tests are always the same
    and true.

    A scarce regime tunes on as few rows as it trains on."""
    labels, rows = asked.label.copy(), []
    for q in range(len(labels)):
        draw = rng.generator(seed, f"streetlight.{regime}", q)
        sides_by_part = [
            [
                draw.permutation(np.flatnonzero((asked.part[q] == p) & (asked.label[q] == yes)))
                for yes in (True, False)
            ]
            for p in (0, 1)
        ]
        if regime == "scarce":
            sides_by_part = [[side[: FEW // 2] for side in sides] for sides in sides_by_part]
        train, validation = (np.concatenate(sides) for sides in sides_by_part)
        if regime == "noisy":
            wrong = train[draw.permutation(len(train))[: round(len(train) * WRONG)]]
            labels[q, wrong] = ~labels[q, wrong]
        rows.append((train, validation, np.flatnonzero(asked.part[q] == 2)))
    first, second, test = (torch.from_numpy(np.stack(part)) for part in zip(*rows, strict=True))
    told, true = torch.from_numpy(labels), torch.from_numpy(asked.label)
    return Questions(true, told, first, second, (test,))


def grams(
    tokens: Int[np.ndarray, "q row s"],
) -> tuple[Float[torch.Tensor, "q row row"], Float[torch.Tensor, "q row row"]]:
    """Inner products of passages as bags of tokens, and as bags of tokens, of pairs that follow
    each other, and of the last token."""
    matrices: tuple[list, list] = [], []
    for texts in tokens.tolist():
        single = [set(text) for text in texts]
        double = [
            bag | set(pairwise(text)) | {("last", text[-1])}
            for bag, text in zip(single, texts, strict=True)
        ]
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


def read_of(asked: Asked, dictionary: Dictionary) -> dict[str, Float[torch.Tensor, "q row k"]]:
    """Features times the length of their decoder rows, reconstruction and error."""
    with torch.no_grad():
        f = dictionary.encode(asked.x.flatten(0, 1))
        reconstruction = dictionary.decode(f)[0].view_as(asked.x)
    features = (f[0] * dictionary.W_dec[0].norm(dim=1)).unflatten(0, asked.x.shape[:2])
    return {"features": features, "recon": reconstruction, "error": asked.x - reconstruction}


def plain_methods(asked: Asked, q: Questions) -> Iterator[tuple[str, Tuned]]:
    """The quiver without a dictionary; every strength is a setting of all that have one."""
    rows = probe.prepared(asked.x, q)
    inner = probe.products(rows, q)
    ranks = [n for n in RANKS if n < q.train.shape[1]]
    words = {
        name: [gram.gather(2, q.train[:, None].expand(-1, gram.shape[1], -1))]
        for name, gram in zip(("tokens", "bigrams"), grams(asked.tokens), strict=True)
    }
    yield from regressions(
        {"logistic": [inner], "pca": probe.component_products(inner, q, ranks), **words}, q
    )
    yield "means", best(probe.mean_scores(inner, q), q)
    yield "neighbours", best(probe.neighbour_scores(rows, q), q)


def own_methods(
    read: dict[str, Float[torch.Tensor, "q row k"]], q: Questions, names: Sequence[str] = SAE
) -> Iterator[tuple[str, Tuned]]:
    """What is read of one dictionary: its best k features, all of them, its reconstruction, its
    error; one feature by itself, turned as training passages have it."""
    features = read["features"]
    tops = probe.top_features(features, q, 64)
    columns = {f"sae-{k}": probe.chosen(features, tops[:, :k]) for k in (1, 4, 16, 64)}
    columns |= {"sae-all": features, **{n: x for n, x in read.items() if n != "features"}}
    if "sae-1" in names:
        one = probe.products(probe.prepared(columns["sae-1"], q), q)
        yield "sae-1", best(probe.mean_scores(one, q), q)
    wanted = {name: columns[name] for name in names if name != "sae-1"}
    yield from regressions(
        {name: [probe.products(probe.prepared(x, q), q)] for name, x in wanted.items()}, q
    )


def regressions(
    inner: dict[str, list[Float[torch.Tensor, "q row n"]]], q: Questions
) -> Iterator[tuple[str, Tuned]]:
    """A tuned regression for every name, whichever of its inner products validation prefers; all
    are solved at once."""
    scores = iter(probe.all_regression_scores([k for ks in inner.values() for k in ks], q))
    for name, ks in inner.items():
        yield name, best(torch.cat([next(scores) for _ in ks]), q)


def numbers(methods: Iterator[tuple[str, Tuned]]) -> Numbers:
    """What methods reach, as arrays [validation and test; q]."""
    return {n: np.stack([t.validation.numpy(), *t.tests.numpy()]) for n, t in methods}


def picked(reached: Numbers, methods: Sequence[str], by: int = 0) -> Float[np.ndarray, "q"]:
    """Test AUROC of the method with the best AUROC in validation (0) or test (1); of several equal
    ones the mean."""
    scores = np.stack([reached[name] for name in methods])
    first = scores[:, by] == scores[:, by].max(0)
    return (scores[:, 1] * first).sum(0) / first.sum(0)


def quiver(reached: Numbers) -> Float[np.ndarray, "chosen q"]:
    """What the quiver reaches without a dictionary and with it, in the order of `CHOSEN`."""
    quivers = (BASELINES, (*BASELINES, *SAE))
    return np.stack([picked(reached, methods, by) for by in (0, 1) for methods in quivers])
