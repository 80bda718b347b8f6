"""One prediction in a text: what the model expects, which features matter to it, and what changes
of features do to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from assay.core.errors import DataError
from assay.features.live.ablation import (
    Attribution,
    ablate_features,
    attribute,
    reconstructed_loss,
)
from assay.features.live.edits import Chance, Change, Changed, Outlook, change, likely, outlook
from assay.features.live.reader import Reader, Reading

COUNT = 10
"""Next tokens that are listed, and features of those that are ablated."""
DRAWS = 2
"""Random directions ablated in the place of each feature: by luck the furthest of the features
and of twice as many directions is a feature at one prompt in three, which the page says; more would
double the wait."""
PASSED = 12_288
"""Tokens that pass through the later blocks to ablate features and the directions in their places,
at most, or as many as `COUNT` features take: seven seconds on one core for the showcase."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """A prediction and what its features do to first order."""

    text: Reading
    padded: bool
    """Whether the text is read after line breaks, as it alone is too short."""
    position: int
    """Number of the token that is predicted; as many as there are: what comes after the text."""
    likely: tuple[Chance, ...]
    target: int
    """Id of the token that is asked about."""
    reading: Reading
    """The text, with that token at its position."""
    first: Attribution


@dataclass(frozen=True, eq=False)
class Ablated:
    """What ablating features does to the loss of a prediction."""

    delta: Mapping[int, float]
    """Of each feature that was ablated alone, the largest absolute values first, nats."""
    together: float
    """Of the first `COUNT` of them, at once."""
    features: float
    """Of all features that are on, at once."""
    error: float
    """Of setting the error of the dictionary to zero."""
    chance: float
    """The largest effect of random directions in their places."""


def predict(reader: Reader, text: str, at: int | None, then: int | None) -> Prediction:
    """Read a text and attribute the prediction of its token number `at`, by default of what comes
    after it; `then` is the id of another token to ask about there.

    Raises: DataError for a text that cannot be read, or a token that is not there.
    """
    ids = reader.encode(text)
    missing = max(0, reader.skip_first + 2 - len(ids))
    start = len(reader.subject.folder.beginning(reader.bos))
    whole = reader.read_ids([*ids[:start], *reader.encode("\n")[-1:] * missing, *ids[start:]])
    position = len(whole) if at is None else at
    if not 1 <= position <= len(whole):
        raise DataError(
            f"predictions of this text's tokens are 1 to {len(whole) - 1}, and {len(whole)} of "
            f"what comes after; got {position}"
        )
    likeliest = likely(reader, whole, position - 1, COUNT)
    actual = whole.ids[position] if position < len(whole) else None
    target = then if then is not None else actual if actual is not None else likeliest[0].id
    if target >= (vocab_size := reader.subject.model.config.vocab_size):
        raise DataError(f"the model's tokens are numbered 0 to {vocab_size - 1:,}, got {target}")
    reading = whole if target == actual else reader.read_ids(whole.ids[:position], target)
    first = attribute(reader, reading, position - 1)
    return Prediction(whole, missing > 0, position, likeliest, target, reading, first)


def first_order(p: Prediction) -> list[tuple[int, float]]:
    """The features that can affect a prediction, each with its first-order effect, the largest
    absolute values first."""
    return [(int(k), float(v)) for k, v in zip(*p.first.by_feature(), strict=True) if v]


def to_ablate(p: Prediction) -> list[int]:
    """The features that are ablated alone: all that can affect the prediction, or where that takes
    too long, those with the largest first-order effects."""
    most = PASSED // ((p.position + 1) * (1 + DRAWS))
    return [k for k, _ in first_order(p)[: max(COUNT, most)]]


def ablate_each(reader: Reader, p: Prediction) -> Ablated:
    """Ablate features alone, random directions in their places, the features that turn out to
    matter most together, all features that are on, and the error of the dictionary."""
    text, tried = p.reading.cut(p.position + 1), to_ablate(p)

    def ablated(features: Sequence[Any], random: int | None = None) -> Float[np.ndarray, " n"]:
        return ablate_features(reader, text, features, last=True, random=random).on()

    effects = zip(tried, ablated(tried).tolist(), strict=True)
    delta = dict(sorted(effects, key=lambda effect: -abs(effect[1])))
    together, whole = ablated([list(delta)[:COUNT], text.on.tolist()]).tolist()
    error = float((reconstructed_loss(reader, text) - text.loss)[-1])
    chance = float(np.abs([ablated(tried, random=i) for i in range(DRAWS)]).max())
    return Ablated(delta, together, whole, error, chance)


def change_features(
    reader: Reader, p: Prediction, changes: Sequence[Change]
) -> tuple[Changed, Outlook]:
    """Change features wherever they count: the losses of the text, and the next token's
    distribution, before and after."""
    changed = change(reader, p.reading, changes)
    return changed, outlook(reader, p.reading, changed, p.position - 1, COUNT)
