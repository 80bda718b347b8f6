"""What is worked out once for all arms that ask the same: for how many features looking finds a
rule, and for how many rules a feature; methods without a dictionary, and random dictionaries;
principal components that leave as much over as a dictionary does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from assay.core import Bench, Spec, rng
from assay.core.hashes import sha256
from assay.core.heavy import torch
from assay.data import corpus as corpora
from assay.data.corpus import Windows
from assay.data.harvest import Harvest, HarvestSpec
from assay.dictionaries.baselines.linear import pca_to
from assay.dictionaries.dictionary import Dictionary
from assay.experiments.streetlight.probes import (
    CHANCE,
    Asked,
    Numbers,
    numbers,
    own_methods,
    questions,
    read_of,
    regressions,
)
from assay.features import kernel_probe as probe
from assay.features.labels import window_labels
from assay.features.predicates import common, followed, rules
from assay.features.probing import random_directions
from assay.subjects.folder import find

GOOD_F1 = 0.8
"""F1 from which a feature counts as following a rule."""
FIRINGS = 10
"""A feature that is on less often among the tokens that are looked at cannot be looked at."""


@dataclass(frozen=True, eq=False)
class Looked:
    """The tokens that are looked at, and as many that judge: activations, and what every rule says
    of them."""

    x: tuple[Float[torch.Tensor, "token d"], ...]
    true: tuple[Bool[torch.Tensor, "token rule"], ...]


def looked(data: Harvest, test: Harvest, windows: int, bench: Bench) -> Looked:
    """The tokens of the first windows of both harvests, outliers left out."""
    rules = token_rules(data, test, windows, bench)
    places = [np.flatnonzero(part.keep[:windows].ravel()) for part in (data, test)]
    true = tuple(
        torch.from_numpy(rule[indices]) for rule, indices in zip(rules, places, strict=True)
    )
    return Looked(
        tuple(part.rows(indices) for part, indices in zip((data, test), places, strict=True)), true
    )


def found_in(dictionary: Dictionary, tokens: Looked, seed: int | None = None) -> dict[str, float]:
    """Shares: of its live features for which looking finds a rule, of all rules for which there is
    a feature; FVU on the tokens that judge. With a seed also the first share with the rules of
    shuffled tokens."""

    with torch.no_grad():
        f = tuple(dictionary.encode(x)[0] for x in tokens.x)
        live = (f[0] > 0).sum(0) >= FIRINGS
        off = dictionary.decode(f[1][None])[0] - tokens.x[1]
    by_feature, by_rule = followed((f[0], f[1]), (tokens.true[0], tokens.true[1]))
    out = {
        "found": share(by_feature[live.numpy()] >= GOOD_F1),
        "lot": share(by_rule[~np.isnan(by_rule)] >= GOOD_F1),
        "fvu": float(off.square().sum() / (tokens.x[1] - tokens.x[1].mean(0)).square().sum()),
    }
    if seed is not None:
        draw = rng.generator(seed, "streetlight.shuffled")
        shuffled = [true[torch.from_numpy(draw.permutation(len(true)))] for true in tokens.true]
        out["found_shuffled"] = share(
            followed((f[0][:, live], f[1][:, live]), (shuffled[0], shuffled[1]))[0] >= GOOD_F1
        )
    return out


def share(those: Bool[np.ndarray, "n"]) -> float:
    """The share of yes; NaN of nothing."""
    return float(those.mean()) if len(those) else float("nan")


@dataclass(frozen=True, kw_only=True)
class RulesSpec(Spec):
    """The rules about the tokens of the first windows of two harvests."""

    model: str
    """Hash of the model whose tokenizer is read."""
    corpus: str
    """Fingerprint of the text."""
    train: HarvestSpec
    """The harvest whose tokens choose."""
    test: HarvestSpec
    """The harvest whose tokens judge."""
    looked: int
    """Windows of each."""
    library: int = 1
    """Counted up when the rules change."""


def token_rules(
    data: Harvest, test: Harvest, windows: int, bench: Bench
) -> tuple[Bool[np.ndarray, "token rule"], ...]:
    """What every rule says of the tokens that are looked at, and of those that judge; windows whose
    file does not parse have no syntax."""
    folder = find(data.spec.subject)

    def build(path: Path) -> None:
        tokenizer, corpus = folder.tokenizer, corpora.load(data.spec.corpus)
        text = tokenizer.token_text(range(len(tokenizer)))
        known = common(data.tokens[:windows], 200)
        for name, part in (("train", data), ("test", test)):
            first = Windows(
                *(
                    values[:windows]
                    for values in (part.windows.tokens, part.windows.document, part.windows.offset)
                )
            )
            labels, _ = window_labels(corpus, first, tokenizer)
            np.save(path / f"{name}.npy", rules(first.tokens, text, labels, known).true)

    fields: dict[str, Any] = {
        "model": sha256(folder.path / "tokenizer.json"),
        "corpus": data.trained_on["corpus"],
        "looked": windows,
    }
    plain = [
        part.spec.replace(subject="", site="blocks.0.hook_resid_pre") for part in (data, test)
    ]  # rules are about text alone
    where = bench.artefact(RulesSpec(train=plain[0], test=plain[1], **fields), build)
    return tuple(np.load(where / f"{name}.npy") for name in ("train", "test"))


@dataclass(frozen=True, kw_only=True)
class AskedSpec(Spec):
    """A lot of concepts with their passages, as a model reads them at a site."""

    model: str
    """Hash of the model."""
    corpus: str
    """Fingerprint of the text."""
    dtype: str
    """What the model computes in."""
    train: HarvestSpec
    """The harvest on which probes are trained."""
    test: HarvestSpec
    """The harvest on which they are judged."""
    sizes: tuple[int, ...]
    """Passages of each part."""
    concepts: int
    """Concepts of a lot."""
    lot: int
    """Which lot."""
    files: int
    """Files from which either answer has to come."""
    methods: int = 4
    """Counted up when a probe changes."""


@dataclass(frozen=True, kw_only=True)
class PlainSpec(Spec):
    """What methods without a dictionary reach in some regime; the seed draws the passages."""

    of: AskedSpec
    """The concepts."""
    regime: str
    """Which training passages, and what is told of them."""


@dataclass(frozen=True, kw_only=True)
class ChanceSpec(Spec):
    """What random dictionaries of a width and sparsity reach; the seed draws them."""

    of: AskedSpec
    """The concepts."""
    width: int
    """Features."""
    k: int
    """How many of them are on, in the mean."""
    looked: int
    """Windows that are looked at."""


def chance(
    asked: Asked, data: Harvest, tokens: Looked | None, seed: int, width: int, k: int
) -> Numbers:
    """The best features of two random dictionaries; of the first also what looking finds in these
    tokens."""
    x, q = sample(data, seed)[:2048], questions(asked, "plain", seed)
    out: Numbers = {}
    for i, names in enumerate((CHANCE[:2], CHANCE[2:])):
        dictionary = random_directions(x, width, k / width, seed + 10**6 * i)
        reached = numbers(own_methods(read_of(asked, dictionary), q, ("sae-1", "sae-16")))
        out |= dict(zip(names, reached.values(), strict=True))
        if tokens is not None and not i:
            out |= {name: np.array(value) for name, value in found_in(dictionary, tokens).items()}
    return out


def equal(
    asked: Asked, data: Harvest, tokens: Looked, seed: int, fvu: float
) -> Float[np.ndarray, "part q"]:
    """A regression on principal components that leave over what a dictionary with this FVU on the
    tokens that judge does."""
    axes, q = pca_to(sample(data, seed), tokens.x[1], fvu), questions(asked, "plain", seed)
    x = axes.decode(axes.encode(asked.x.flatten(0, 1)))[0].view_as(asked.x)
    inner = {"": [probe.products(probe.prepared(x, q), q)]}
    return numbers(regressions(inner, q))[""]


def sample(data: Harvest, seed: int) -> Float[torch.Tensor, "b d"]:
    """So many tokens of the training harvest, drawn by lot."""
    return data.rows(rng.generator(seed, "streetlight.sample").permutation(data.kept)[:16_384])


def arrays(bench: Bench, spec: Spec, work: Callable[[], Numbers]) -> Numbers:
    """The arrays kept under this name, worked out by whoever comes first."""

    def build(path: Path) -> None:
        values: dict[str, Any] = work()
        np.savez(path / "numbers.npz", **values)

    return dict(np.load(bench.artefact(spec, build) / "numbers.npz"))
