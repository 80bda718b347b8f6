"""Looking first: for how many features some rule about tokens is found, and for how many rules a
feature."""

from __future__ import annotations

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
from assay.dictionaries.dictionary import Dictionary
from assay.features.labels import window_labels
from assay.features.predicates import common, followed, rules
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
