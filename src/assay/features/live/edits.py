"""Features taken out, scaled or set in one text, and what the model predicts then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite

import numpy as np
from jaxtyping import Bool, Float

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.measuring.ablation import nats, spliced_run
from assay.features.effects import added
from assay.features.live.reader import Reader, Reading


@dataclass(frozen=True)
class Change:
    """What is done to one feature at every token that counts: its activation is multiplied by
    `factor`, or set to `value` whether or not it was on.

    Raises: DataError unless one of the two is given, as a finite number.
    """

    feature: int
    factor: float | None = None
    """0 takes it out."""
    value: float | None = None
    """In the dictionary's units, as `Firings.value`."""

    def __post_init__(self) -> None:
        settings = [x for x in (self.factor, self.value) if x is not None]
        if len(settings) != 1 or not isfinite(settings[0]):
            raise DataError(
                "a change gives a feature either a factor or a value, a finite number; got "
                f"{self.factor} and {self.value}"
            )

    @classmethod
    def out(cls, feature: int) -> Change:
        """Takes the feature out."""
        return cls(feature, factor=0.0)

    def of(self, codes: Float[torch.Tensor, " s"]) -> Float[torch.Tensor, " s"]:
        """Activations after the change."""
        return (
            torch.full_like(codes, self.value)
            if self.factor is None and self.value is not None
            else codes * (self.factor or 0.0)
        )


def changed_part(
    reader: Reader,
    changes: Sequence[Change],
    codes: Float[torch.Tensor, "s k"],
    inputs: Float[torch.Tensor, "s d_in"],
    counts: Bool[torch.Tensor, " s"],
) -> Float[torch.Tensor, "s d"]:
    """What changes add to the activations where the dictionary writes.

    The columns of `codes` are the activations of `features_of(changes)`. Several changes of one
    feature act one after the other.

    Formula: Σ_k (a'_k − a_k) d_k, so that what the dictionary leaves unexplained stays
    """
    features, new = features_of(changes), codes.clone()
    for change in changes:
        column = features.index(change.feature)
        new[:, column] = torch.where(counts, change.of(new[:, column]), new[:, column])
    return added(reader.dictionary, features, new - codes, inputs)


def features_of(changes: Sequence[Change]) -> list[int]:
    """The features that are changed, each once."""
    return list(dict.fromkeys(change.feature for change in changes))


def check_changes(reader: Reader, changes: Sequence[Change]) -> None:
    """Refuse changes of features that are not there. Raises: DataError."""
    wrong = [k for k in features_of(changes) if not 0 <= k < reader.dictionary.width]
    if wrong:
        raise DataError(f"features are numbered 0 to {reader.dictionary.width - 1}, got {wrong[0]}")


@dataclass(frozen=True, eq=False)
class Changed:
    """A text as the model predicts it with features changed, next to its unchanged predictions."""

    changes: tuple[Change, ...]
    before: Float[np.ndarray, " s-1"]
    """The loss of each prediction as it is, nats."""
    after: Float[np.ndarray, " s-1"]
    """The loss with the changes."""
    kl: Float[np.ndarray, " s"]
    """KL(before ‖ after) of the next token's distribution at each position, nats."""
    final: Float[torch.Tensor, "s d"] = field(repr=False)
    """What the unembedding reads with the changes."""

    @property
    def delta(self) -> Float[np.ndarray, " s-1"]:
        """The loss with the changes less the loss before: above 0 they make the text less
        likely."""
        return self.after - self.before


def change(reader: Reader, reading: Reading, changes: Sequence[Change]) -> Changed:
    """Change features in a text and see every prediction again. One pass from the dictionary's
    block on.

    Raises: DataError for features that are not there."""
    check_changes(reader, changes)
    device, s = reading.acts.device, len(reading)
    codes = torch.from_numpy(reading.firings.columns(features_of(changes), s)).to(device)
    part = changed_part(
        reader, changes, codes, reading.inputs, torch.from_numpy(reading.keep).to(device)
    )
    passage = reading.passage
    trace = spliced_run(reader.subject, reader.target, passage, (passage.acts[0] + part)[None])
    assert trace.final is not None and trace.head is not None
    target = torch.tensor(
        [*reading.ids[1:], 0], device=device
    )  # of the last prediction only the distribution counts
    loss, kl = [], []
    with torch.no_grad():
        for rows in torch.arange(s, device=device).split(128):
            measures = nats(
                trace.head(reading.final[rows]), trace.head(trace.final[0, rows]), target[rows]
            )
            loss.append(measures[0])
            kl.append(measures[1])
    after, divergence = (torch.cat(x).cpu().numpy() for x in (loss, kl))
    return Changed(
        tuple(changes), reading.loss, after[:-1], np.maximum(divergence, 0), trace.final[0]
    )


@dataclass(frozen=True)
class Chance:
    """A possible next token and how probable it is, before and after."""

    id: int
    text: str
    before: float
    after: float


@dataclass(frozen=True)
class Outlook:
    """The next token after one position, before and after a change."""

    position: int
    kl: float
    """KL(before ‖ after), nats."""
    before: tuple[Chance, ...]
    """The most probable before, first of all the most probable."""
    after: tuple[Chance, ...]
    """The most probable after."""
    rose: tuple[Chance, ...]
    """Those whose probability rose most; none where nothing changed."""
    fell: tuple[Chance, ...]
    """Those whose probability fell most."""


def outlook(
    reader: Reader, reading: Reading, changed: Changed, position: int, count: int = 10
) -> Outlook:
    """Compare the distributions of the next token at one position. Two rows of logits are made.

    Raises: DataError for a position that is not there.
    """
    before, after = (
        _log_probabilities(reader, final, position) for final in (reading.final, changed.final)
    )
    risen = after.exp() - before.exp()
    lists = [_first(order, count) for order in (before, after, risen, -risen)]
    lists[2:] = (
        [i for i in tokens if sign * risen[i] > 0]
        for tokens, sign in zip(lists[2:], (1, -1), strict=True)
    )
    return Outlook(
        position,
        float(changed.kl[position]),
        *(_chances(reader, tokens, before, after) for tokens in lists),
    )


def likely(reader: Reader, reading: Reading, position: int, count: int = 10) -> tuple[Chance, ...]:
    """The most probable next tokens at one position as the model is; `before` and `after` are the
    same. One row of logits is made.

    Raises: DataError for a position that is not there.
    """
    log_probs = _log_probabilities(reader, reading.final, position)
    return _chances(reader, _first(log_probs, count), log_probs, log_probs)


def _log_probabilities(
    reader: Reader, final: Float[torch.Tensor, "s d"], position: int
) -> Float[torch.Tensor, " v"]:
    if not 0 <= position < len(final):
        raise DataError(f"the text's tokens are numbered 0 to {len(final) - 1}, got {position}")
    with torch.no_grad():
        logits: torch.Tensor = reader.subject.head(final[position : position + 1])
    return logits[0].double().log_softmax(-1).cpu()


def _first(values: Float[torch.Tensor, " v"], count: int) -> list[int]:
    """The places of the largest, ties by token id."""
    return [int(i) for i in torch.argsort(-values, stable=True)[:count]]


def _chances(
    reader: Reader,
    ids: list[int],
    before: Float[torch.Tensor, " v"],
    after: Float[torch.Tensor, " v"],
) -> tuple[Chance, ...]:
    words = reader.subject.token_text(ids)
    return tuple(
        Chance(i, word, float(before[i].exp()), float(after[i].exp()))
        for i, word in zip(ids, words, strict=True)
    )
