"""Every probe of streetlight on the same questions: which rows each regime gives, what each method reads, what each reaches."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from assay.core import rng

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Bool, Float, Int
    from torch import Tensor

    from assay.dictionaries.dictionary import Dictionary
    from assay.features.kernel_probe import Questions, Tuned

REGIMES = ("standard", "8 examples", "32 examples", "1 in 9", "noise 20 %", "noise 40 %")
SCARCE = ("8 examples", "32 examples")
BASELINES = ("logistic", "pca", "means", "neighbours", "attention", "tokens", "bigrams")
"""The quiver without a dictionary; the last two read the text, not the model."""
SAE = ("sae-1", "sae-4", "sae-16", "sae-64", "sae-all", "recon")
"""What a dictionary adds to it: the best k features, all of them, the reconstruction."""
OTHERS = ("error", "untuned", "random-1", "random-again-1", "pca-recon")
METHODS = (*BASELINES, *SAE, *OTHERS)
PARTS = ("test", "shifted")
RANKS = (4, 8, 16, 32)
IDENTITY = 256
"""Rank of the principal components whose reconstruction stands for one that loses nothing that matters."""


@dataclass(frozen=True, eq=False)
class Asked:
    """Several questions as probes meet them: normalised activations token by token, token ids, true answers, parts."""

    names: tuple[str, ...]
    x: Float[Tensor, "q row s d"]
    tokens: Int[np.ndarray, "q row s"]
    label: Bool[np.ndarray, "q row"]
    part: Int[np.ndarray, "q row"]


def questions(asked: Asked, regime: str, seed: int, permuted: bool = False) -> Questions:
    """The rows of a regime: fewer training rows, few with the answer yes, or some told wrongly; tests are always the same and true.

    Scarce regimes tune on as few rows as they train on. With `permuted` the answers of training and validation rows change places.
    """
    import torch

    from assay.features.kernel_probe import Questions

    told, rows = asked.label.copy(), []
    for q in range(len(told)):
        draw = rng.generator(seed, f"streetlight.{regime}", q)
        mine = [[draw.permutation(np.flatnonzero((asked.part[q] == p) & (asked.label[q] == yes))) for yes in (True, False)] for p in (0, 1)]
        if regime in SCARCE:
            half = int(regime.split()[0]) // 2
            mine = [[side[:half] for side in sides] for sides in mine]
        elif regime == "1 in 9":
            mine[0][0] = mine[0][0][: max(2, len(mine[0][1]) // 8)]
        train, validation = (np.concatenate(sides) for sides in mine)
        if regime.startswith("noise"):
            wrong = train[draw.permutation(len(train))[: round(float(regime.split()[1]) / 100 * len(train))]]
            told[q, wrong] = ~told[q, wrong]
        if permuted:
            for part in (train, validation):
                told[q, part] = told[q, draw.permutation(part)]
        rows.append((train, validation, *(np.flatnonzero(asked.part[q] == p) for p in (2, 3))))
    first, second, *tests = (torch.from_numpy(np.stack(part)) for part in zip(*rows, strict=True))
    return Questions(torch.from_numpy(asked.label), torch.from_numpy(told), first, second, tuple(tests))


def pooled(x: Float[Tensor, "q row s d"], there: Bool[Tensor, "q row s"]) -> Float[Tensor, "2 q row d"]:
    """Each text as one vector in two ways: its last token's, and the mean over its tokens."""
    import torch

    last = there.sum(-1) - 1
    end = x.gather(2, last[..., None, None].expand(-1, -1, 1, x.shape[-1]))[:, :, 0]
    return torch.stack([end, (x * there[..., None]).sum(2) / there.sum(-1, keepdim=True)])


def grams(tokens: Int[np.ndarray, "q row s"]) -> tuple[Float[Tensor, "q row row"], Float[Tensor, "q row row"]]:
    """Inner products of texts as bags of tokens, and as bags of tokens and pairs that follow each other."""
    import torch

    found: tuple[list, list] = [], []
    for texts in tokens.tolist():
        single = [{t for t in text if t >= 0} for text in texts]
        double = [one | {pair for pair in pairwise(text) if pair[1] >= 0} for one, text in zip(single, texts, strict=True)]
        for bags, out in zip((single, double), found, strict=True):
            place: dict = {}
            for bag in bags:
                for item in bag:
                    place.setdefault(item, len(place))
            b = np.zeros((len(bags), len(place)), np.float32)
            for i, bag in enumerate(bags):
                b[i, [place[item] for item in bag]] = 1
            out.append(b @ b.T)
    return torch.from_numpy(np.stack(found[0])), torch.from_numpy(np.stack(found[1]))


@dataclass(frozen=True, eq=False)
class Read:
    """What methods read of the texts, worked out once for all regimes."""

    x: Float[Tensor, "q row s d"]
    there: Bool[Tensor, "q row s"]
    raw: Float[Tensor, "2 q row d"]
    tokens: Float[Tensor, "q row row"]
    bigrams: Float[Tensor, "q row row"]
    features: dict[str, Float[Tensor, "2 q row f"]]
    """Of the dictionary and of two that were drawn at random."""
    linear: dict[str, Float[Tensor, "2 q row d"]]
    """The reconstruction, the error, and what principal components reconstruct."""


def read(asked: Asked, dictionaries: dict[str, Dictionary], components: Dictionary) -> Read:
    """Encode and pool the texts; `dictionaries` has "sae", which is reconstructed from as well, and the random ones."""
    import torch

    there = torch.from_numpy(asked.tokens >= 0)
    features: dict[str, list] = {name: [] for name in dictionaries}
    linear: dict[str, list] = {"recon": [], "error": [], "pca-recon": []}
    with torch.no_grad():
        for x, mask in zip(asked.x, there, strict=True):
            flat = x[mask]  # tokens alone, not what texts are filled up with

            def pool(rows: Tensor, mask: Tensor = mask) -> Tensor:
                full = rows.new_zeros(*mask.shape, rows.shape[-1])
                full[mask] = rows
                return pooled(full[None], mask[None])[:, 0]

            for name, one in dictionaries.items():
                f = one.normalised.encode(flat)
                features[name].append(pool(f[0] * one.W_dec[0].norm(dim=1)))
                if name == "sae":
                    made = one.normalised.decode(f)[0]
            linear["recon"].append(pool(made))
            linear["error"].append(pool(flat - made))
            linear["pca-recon"].append(pool(components.decode(components.encode(flat))[0]))
    tokens, bigrams = grams(asked.tokens)
    stacked = ({name: torch.stack(parts, 1) for name, parts in named.items()} for named in (features, linear))
    return Read(asked.x, there, pooled(asked.x, there), tokens, bigrams, *stacked)


def methods(r: Read, q: Questions, seed: int = 0) -> Iterator[tuple[str, Tuned]]:
    """Each method's best setting by validation, and what it reaches; two poolings and every strength are settings of all that have them."""
    import torch

    from assay.features import kernel_probe as probe
    from assay.features.attention_probe import attention_scores

    rows = [probe.prepared(x, q) for x in r.raw]
    inner = [probe.products(x, q) for x in rows]

    def tuned(parts: Sequence[Tensor]) -> Tuned:
        return probe.best(torch.cat(list(parts)), q)

    yield "logistic", tuned([probe.regression_scores(k, q) for k in inner])
    yield "pca", tuned([probe.component_scores(k, q, [n for n in RANKS if n < q.train.shape[1]]) for k in inner])
    yield "means", tuned([probe.mean_scores(k, q) for k in inner])
    yield "neighbours", tuned([probe.neighbour_scores(x, q) for x in rows])
    yield "attention", tuned([attention_scores(r.x, r.there, q, seed=seed)])
    for name, gram in (("tokens", r.tokens), ("bigrams", r.bigrams)):
        k = gram.gather(2, q.train[:, None].expand(-1, gram.shape[1], -1))
        yield name, tuned([probe.regression_scores(k, q)])
    for name, both in r.features.items():
        tops = [probe.top_features(f, q, 64) for f in both]
        for count in (1, 4, 16, 64) if name == "sae" else (1,):
            own = [probe.prepared(probe.chosen(f, top[:, :count]), q) for f, top in zip(both, tops, strict=True)]
            yield f"{name}-{count}", tuned([probe.regression_scores(probe.products(x, q), q) for x in own])
    every = {"sae-all": r.features["sae"], **r.linear}
    for name, both in every.items():
        yield name, tuned([probe.regression_scores(probe.products(probe.prepared(x, q), q), q) for x in both])
    yield "untuned", tuned([probe.regression_scores(probe.products(r.raw[0], q), q, (1.0,))])
