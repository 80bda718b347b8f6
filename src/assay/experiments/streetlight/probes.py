"""Every probe of streetlight on the same questions: which rows each regime gives, what each method
reads, what each reaches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core import rng
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.features import kernel_probe as probe
from assay.features.attention_probe import attention_scores, components
from assay.features.kernel_probe import Questions, Tuned, best

STANDARD = ("standard",)
SCARCE = tuple(f"{n} examples{suffix}" for n in (8, 32) for suffix in ("", ", again"))
HARD = (*SCARCE, "1 in 9", "noise 20 %")
REGIMES = (*STANDARD, *HARD)
PERMUTED = "permuted"
"""A control beside the regimes: the answers of training and validation texts changed places."""
PERMUTATIONS = 2
"""Draws of it, whose mean counts: one says little."""
MEANINGLESS = ("sae-1", "error")
"""What is asked of a dictionary when answers are permuted."""
BASELINES = ("logistic", "pca", "means", "neighbours", "attention", "tokens", "bigrams")
"""The quiver without a dictionary; the last two read the text, not the model."""
SAE = ("sae-1", "sae-4", "sae-16", "sae-64", "sae-all", "recon")
"""What a dictionary adds to it: the best k features, all of them, the reconstruction."""
CHANCE = ("random-1", "random-again-1")
"""The best feature of random dictionaries, drawn anew for each seed whatever its dictionary is."""
EQUAL = "pca-equal"
"""A regression on principal components that leave as much of the variance unexplained as the
dictionary does."""
METHODS = (*BASELINES, *SAE, "error", "untuned", *CHANCE, EQUAL)
RANKS = (4, 8, 16, 32)


@dataclass(frozen=True, eq=False)
class Asked:
    """Several questions as probes meet them: normalised activations token by token, token ids, true
    answers, parts."""

    names: tuple[str, ...]
    x: Float[torch.Tensor, "q row s d"]
    tokens: Int[np.ndarray, "q row s"]
    label: Bool[np.ndarray, "q row"]
    part: Int[np.ndarray, "q row"]

    @cached_property
    def there(self) -> Bool[torch.Tensor, "q row s"]:
        """Where there is a token."""
        return torch.from_numpy(self.tokens >= 0)

    @cached_property
    def raw(self) -> Float[torch.Tensor, "2 q row d"]:
        """The activations, pooled in two ways."""
        return pooled(self.x, self.there)

    @cached_property
    def plain(self) -> Plain:
        """What methods without a dictionary read of the texts, the same in all regimes."""
        few = components(self.x, self.there, questions(self, "standard", 0).train)
        return Plain(
            self.raw,
            dict(zip(("tokens", "bigrams"), grams(self.tokens), strict=True)),
            few,
            self.there,
        )


def questions(question_set: Asked, regime: str, seed: int, draw: int = 0) -> Questions:
    """The rows of a regime: fewer training rows, few with the answer yes, or some told wrongly;
    tests are always the same and true.

    Scarce regimes tune on as few rows as they train on. Where all rows are used and none is
    changed, the seed changes nothing."""

    labels, rows = question_set.label.copy(), []
    for q in range(len(labels)):
        generator = rng.generator(
            0 if regime == "standard" else seed, f"streetlight.{regime}.{draw}", q
        )
        sides_by_part = [
            [
                generator.permutation(
                    np.flatnonzero((question_set.part[q] == p) & (question_set.label[q] == yes))
                )
                for yes in (True, False)
            ]
            for p in (0, 1)
        ]
        if regime in SCARCE:
            half = int(regime.split()[0]) // 2
            sides_by_part = [[side[:half] for side in sides] for sides in sides_by_part]
        elif regime == "1 in 9":
            sides_by_part[0][0] = sides_by_part[0][0][: max(2, len(sides_by_part[0][1]) // 8)]
        train, validation = (np.concatenate(sides) for sides in sides_by_part)
        if regime.startswith("noise"):
            wrong = train[
                generator.permutation(len(train))[
                    : round(float(regime.split()[1]) / 100 * len(train))
                ]
            ]
            labels[q, wrong] = ~labels[q, wrong]
        if regime == PERMUTED:
            for part in (train, validation):
                labels[q, part] = labels[q, generator.permutation(part)]
        rows.append(
            (train, validation, *(np.flatnonzero(question_set.part[q] == p) for p in (2, 3)))
        )
    first, second, *tests = (torch.from_numpy(np.stack(part)) for part in zip(*rows, strict=True))
    return Questions(
        torch.from_numpy(question_set.label), torch.from_numpy(labels), first, second, tuple(tests)
    )


def pooled(
    x: Float[torch.Tensor, "q row s d"], mask: Bool[torch.Tensor, "q row s"]
) -> Float[torch.Tensor, "2 q row d"]:
    """Each text as one vector in two ways: its last token's, and the mean over its tokens."""
    last = mask.sum(-1) - 1
    end = x.gather(2, last[..., None, None].expand(-1, -1, 1, x.shape[-1]))[:, :, 0]
    return torch.stack([end, (x * mask[..., None]).sum(2) / mask.sum(-1, keepdim=True)])


def grams(
    tokens: Int[np.ndarray, "q row s"],
) -> tuple[Float[torch.Tensor, "q row row"], Float[torch.Tensor, "q row row"]]:
    """Inner products of texts as bags of tokens, and as bags of tokens and pairs that follow each
    other."""
    matrices: tuple[list, list] = [], []
    for texts in tokens.tolist():
        single = [{t for t in text if t >= 0} for text in texts]
        double = [
            unigrams | {pair for pair in pairwise(text) if pair[1] >= 0}
            for unigrams, text in zip(single, texts, strict=True)
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


def coded(
    question_set: Asked,
    encode: Callable[[int, Float[torch.Tensor, "b d"]], Float[torch.Tensor, "b k"]],
) -> Float[torch.Tensor, "2 q row k"]:
    """What `encode` makes of each question's tokens, pooled text by text; what texts are filled up
    with is not coded."""
    pools: list[torch.Tensor] = []
    with torch.no_grad():
        for i, (x, mask) in enumerate(zip(question_set.x, question_set.there, strict=True)):
            count, values = mask.sum(-1), encode(i, x[mask])
            text, ends = torch.arange(len(mask)).repeat_interleave(count), count.cumsum(0) - 1
            mean = (
                values.new_zeros(len(mask), values.shape[-1]).index_add_(0, text, values)
                / count[:, None]
            )
            pools.append(torch.stack([values[ends], mean]))
    return torch.stack(pools, 1)


def read_of(
    question_set: Asked, dictionary: Dictionary
) -> dict[str, Float[torch.Tensor, "2 q row k"]]:
    """Features times the length of their decoder rows, reconstruction and error, pooled text by
    text.

    Decoding is linear, so that what is pooled first need not be decoded token by token.
    """
    f = coded(question_set, lambda _, x: dictionary.encode(x)[0])
    reconstruction = dictionary.decode(f.flatten(0, 2)[None])[0].unflatten(0, f.shape[:3])
    return {
        "features": f * dictionary.W_dec[0].norm(dim=1),
        "recon": reconstruction,
        "error": question_set.raw - reconstruction,
    }


@dataclass(frozen=True, eq=False)
class Plain:
    """What methods without a dictionary read of the texts, worked out once for all regimes."""

    raw: Float[torch.Tensor, "2 q row d"]
    grams: dict[str, Float[torch.Tensor, "q row row"]]
    """Inner products of texts as bags of tokens, and of tokens and pairs."""
    few: Float[torch.Tensor, "q row s k"]
    """Tokens in principal components of all training texts, in every regime: no answers are needed
    for them."""
    there: Bool[torch.Tensor, "q row s"]


def plain_methods(r: Plain, q: Questions) -> Iterator[tuple[str, Tuned]]:
    """The quiver without a dictionary, and the regression that nobody tuned; two poolings and every
    strength are settings of all that have them."""
    rows = [probe.prepared(x, q) for x in r.raw]
    inner = [probe.products(x, q) for x in rows]
    ranks = [n for n in RANKS if n < q.train.shape[1]]
    counted = {
        name: [gram.gather(2, q.train[:, None].expand(-1, gram.shape[1], -1))]
        for name, gram in r.grams.items()
    }
    yield from regressions(
        {
            "logistic": inner,
            "pca": [k for kernel in inner for k in probe.component_products(kernel, q, ranks)],
            **counted,
        },
        q,
    )
    yield "means", tuned([probe.mean_scores(k, q) for k in inner], q)
    yield "neighbours", tuned([probe.neighbour_scores(x, q) for x in rows], q)
    yield "attention", tuned([attention_scores(r.few, r.there, q)], q)
    yield "untuned", tuned([probe.regression_scores(probe.products(r.raw[0], q), q, (1.0,))], q)


def own_methods(
    codes: dict[str, Float[torch.Tensor, "2 q row k"]],
    q: Questions,
    names: Sequence[str] = (*SAE, "error"),
) -> Iterator[tuple[str, Tuned]]:
    """What is read of one dictionary: its best k features, all of them, its reconstruction and its
    error."""
    read = {
        "sae-all": list(codes["features"]),
        "recon": list(codes["recon"]),
        "error": list(codes["error"]),
    }
    tops = [probe.top_features(f, q, 64) for f in codes["features"]]
    read |= {
        f"sae-{k}": [
            probe.chosen(f, top[:, :k]) for f, top in zip(codes["features"], tops, strict=True)
        ]
        for k in (4, 16, 64)
    }
    if "sae-1" in names:
        yield "sae-1", best_feature(codes["features"], q)
    yield from regressions(
        {
            name: [probe.products(probe.prepared(x, q), q) for x in read[name]]
            for name in names
            if name != "sae-1"
        },
        q,
    )


def best_feature(features: Float[torch.Tensor, "2 q row f"], q: Questions) -> Tuned:
    """The best single feature, chosen on training texts."""
    return score_columns([probe.chosen(f, probe.top_features(f, q, 1)) for f in features], q)


def best_of_lone(question_set: Asked, dictionary: Dictionary, q: Questions) -> Tuned:
    """The best single feature of a dictionary whose features do not compete: texts that do not
    choose need only the chosen ones."""

    rows, labels = q.train.numpy(), q.told.gather(1, q.train)
    arrays = (
        np.take_along_axis(part, rows.reshape(*rows.shape, *[1] * (part.ndim - 2)), 1)
        for part in (question_set.tokens, question_set.label, question_set.part)
    )
    every = torch.arange(rows.shape[1]).expand(rows.shape)
    features = coded(
        Asked(question_set.names, q.of(question_set.x, q.train), *arrays),
        lambda _, x: dictionary.encode(x)[0],
    )
    tops = torch.cat(
        [
            probe.top_features(f, probe.Questions(labels, labels, every, every, ()), 1)
            for f in features
        ],
        1,
    )
    few = [
        replace(
            dictionary,
            W_enc=dictionary.W_enc[..., latents],
            b_enc=dictionary.b_enc[:, latents],
            W_dec=dictionary.W_dec[:, latents],
        )
        for latents in tops
    ]
    last, mean = coded(question_set, lambda i, x: few[i].encode(x)[0])
    return score_columns([last[..., :1], mean[..., 1:]], q)


def score_columns(columns: Sequence[Float[torch.Tensor, "q row 1"]], q: Questions) -> Tuned:
    """One column by itself, turned as training texts have it: any regression on it orders texts
    so."""
    return tuned(
        [probe.mean_scores(probe.products(probe.prepared(x, q), q), q) for x in columns], q
    )


def regression(poolings: Sequence[Float[torch.Tensor, "q row k"]], q: Questions) -> Tuned:
    """A tuned regression on these columns, whichever pooling validation prefers."""
    return dict(regressions({"": [probe.products(probe.prepared(x, q), q) for x in poolings]}, q))[
        ""
    ]


def regressions(
    inner: dict[str, list[Float[torch.Tensor, "q row n"]]], q: Questions
) -> Iterator[tuple[str, Tuned]]:
    """A tuned regression for every name, whichever of its inner products validation prefers; all
    are solved at once."""
    scores = iter(probe.all_regression_scores([k for both in inner.values() for k in both], q))
    for name, both in inner.items():
        yield name, tuned([next(scores) for _ in both], q)


def tuned(parts: Sequence[Float[torch.Tensor, "setting q row"]], q: Questions) -> Tuned:
    """What the best setting of several lots of them reaches."""

    return best(torch.cat(list(parts)), q)
