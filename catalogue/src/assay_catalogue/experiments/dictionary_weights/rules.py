"""How well a rule tells where a feature fires, and where a neuron does that fires as often: learned
on one text, scored on other files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.heavy import torch
from assay.data.harvest import Harvest
from assay.dictionaries.dictionary import Dictionary
from assay.train.rng import permutation, uniform
from assay_catalogue.explaining.evidence import input_explanation
from assay_catalogue.explaining.learner import Split
from assay_catalogue.explaining.rule import Positions
from assay_catalogue.explaining.scoring import balanced_accuracy, contexts, cut

FIRINGS = 50
"""Tokens of the text that is explained on which a feature must fire to be drawn."""
COMMON = slice(10, 100)
"""Ranks of the tokens, by how common they are, of which a planted feature has three."""
OFTEN = 0.9
"""How often it fires on them."""
PLANTED = 4
"""Planted features, which are easy to tell."""


@dataclass(frozen=True, eq=False)
class Texts:
    """The text that rules are learned on, and the one on which they are scored."""

    seen: Positions
    fresh: Positions
    held: Bool[np.ndarray, "row"]
    """Rows of a quarter of the seen files, by which rules are stopped."""

    def told(
        self, train_values: Float[np.ndarray, "row"], fresh: Float[np.ndarray, "row"]
    ) -> float:
        """Detection: balanced accuracy at telling the fresh contexts of 32 tokens in which
        something fires, by the rule of the seen ones."""
        rule = Split(self.seen, self.held).learn(train_values > 0)
        explanation = input_explanation(rule, self.seen, train_values)
        threshold = cut(contexts(self.seen, explanation.scores(self.seen), train_values))
        return balanced_accuracy(
            contexts(self.fresh, explanation.scores(self.fresh), fresh), threshold
        )


def as_often(
    train_values: Float[np.ndarray, "row"], fresh: Float[np.ndarray, "other"], firings: int
) -> tuple[Float[np.ndarray, "row"], Float[np.ndarray, "other"]]:
    """A neuron on both texts, above the value that it exceeds on so many tokens of the first."""
    edge = np.partition(train_values, -firings - 1)[-firings - 1]
    return np.maximum(train_values - edge, 0), np.maximum(fresh - edge, 0)


def readable(
    dictionary: Dictionary, data: Harvest, test: Harvest, *, seed: int, windows: int, features: int
) -> dict[str, tuple[str, Any, str]]:
    """Detection by rules, each the mean over features that are drawn by lot, over neurons that fire
    as often, and over planted features.

    Rules are learned on so many windows of the first text.
    """
    windows = min(windows, len(data.tokens))
    row_ids = data.kept[data.kept < windows * data.tokens.shape[1]]
    _, file = np.unique(data.document[row_ids], return_inverse=True)
    texts = Texts(
        Positions(data.tokens[:windows], data.keep[:windows]),
        Positions(test.tokens, test.keep),
        file % 4 == 0,
    )
    x, y = data.rows(row_ids), test.rows(test.kept)
    train_codes, fresh = codes(dictionary, x), codes(dictionary, y)
    lot = np.array([seed])
    candidates = np.flatnonzero(((train_codes > 0).sum(0) >= FIRINGS) & ((fresh > 0).sum(0) > 0))
    sample = candidates[
        permutation(lot, "dictionary-weights.drawn", 0, len(candidates))[0][:features]
    ]
    neurons = permutation(lot, "dictionary-weights.neurons", 0, x.shape[1])[0][: len(sample)]
    token_ids = [p.shifted(0) for p in (texts.seen, texts.fresh)]
    common = np.argsort(-np.bincount(token_ids[0]), kind="stable")[COMMON]
    scores: dict[str, list[float]] = {"told": [], "told_neurons": [], "told_planted": []}
    for feature, neuron in zip(sample, neurons, strict=True):
        scores["told"].append(texts.told(train_codes[:, feature], fresh[:, feature]))
        both = as_often(
            x[:, neuron].numpy(), y[:, neuron].numpy(), int((train_codes[:, feature] > 0).sum())
        )
        scores["told_neurons"].append(texts.told(*both))
    for i in range(PLANTED):
        chosen = common[permutation(lot, "dictionary-weights.tokens", i, len(common))[0][:3]]
        scores["told_planted"].append(
            texts.told(
                *(planted(tokens, chosen, seed, i, part) for part, tokens in enumerate(token_ids))
            )
        )
    values = {
        name: np.nanmean(accuracies) if len(accuracies) else np.nan
        for name, accuracies in scores.items()
    }
    return {name: ("run", np.array([value]), "balanced accuracy") for name, value in values.items()}


def planted(
    tokens: Int[np.ndarray, "row"],
    chosen: Int[np.ndarray, "token"],
    seed: int,
    index: int,
    part: int,
) -> Float[np.ndarray, "row"]:
    """A feature that fires on most occurrences of these tokens and nowhere else."""
    luck = uniform(np.array([seed]), f"dictionary-weights.planted.{part}", index, (len(tokens),))[0]
    return np.where(np.isin(tokens, chosen) & (luck < OFTEN), 1.0, 0.0)


def codes(dictionary: Dictionary, x: Float[torch.Tensor, "b m"]) -> Float[np.ndarray, "b f"]:
    """Features of normalised activations, a few thousand rows at a time."""
    return np.concatenate([dictionary.normalised.encode(part).numpy() for part in x.split(2048)])
