"""Features taken out, scaled or set in one text, and what the model predicts then.

What one firing does to the next token: every token's log-probability with and without the
feature at that one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from assay.core.errors import DataError, ModelError
from assay.core.heavy import torch
from assay.dictionaries.measuring.ablation import nats, spliced_run
from assay.features.effects import added
from assay.features.importance import check_direct, end_of_stream
from assay.features.live.reader import Reader, Reading


@dataclass(frozen=True)
class Change:
    """What is done to one feature: its activation is multiplied by `factor`, or set to `value`
    whether or not it was on.

    Raises: DataError unless one of the two is given, as a finite number.
    """

    feature: int
    factor: float | None = None
    """0 takes it out."""
    value: float | None = None
    """In the dictionary's units, as `Firings.value`."""
    positions: tuple[int, ...] | None = None
    """Where; None: at every token that counts. Elsewhere nothing is changed."""

    def __post_init__(self) -> None:
        settings = [x for x in (self.factor, self.value) if x is not None]
        if len(settings) != 1 or not isfinite(settings[0]):
            raise DataError(
                "a change gives a feature either a factor or a value, a finite number; got "
                f"{self.factor} and {self.value}"
            )

    @classmethod
    def out(cls, feature: int, positions: tuple[int, ...] | None = None) -> Change:
        """Takes the feature out."""
        return cls(feature, factor=0.0, positions=positions)

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
    first: int = 0,
) -> Float[torch.Tensor, "s d"]:
    """What changes add to the activations where the dictionary writes; `first` is the number of the
    first of these positions.

    The columns of `codes` are the activations of `features_of(changes)`. Several changes of one
    feature act one after the other.

    Formula: Σ_k (a'_k − a_k) d_k, so that what the dictionary leaves unexplained stays
    """
    features, new = features_of(changes), codes.clone()
    position = first + torch.arange(len(codes), device=codes.device)
    for change in changes:
        column = features.index(change.feature)
        mask = (
            counts
            if change.positions is None
            else counts
            & torch.isin(position, torch.tensor(change.positions, device=position.device))
        )
        new[:, column] = torch.where(mask, change.of(new[:, column]), new[:, column])
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
    """A text as the model predicts it with features changed, beside what it predicted before."""

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


def change(
    reader: Reader,
    reading: Reading,
    changes: Sequence[Change],
    *,
    mode: Literal["full", "direct"] = "full",
) -> Changed:
    """Change features in a text and see every prediction again. One pass from the dictionary's
    block on.

    "full" runs all later blocks again; "direct" changes only the stream before the final norm.

    Raises: DataError for features that are not there; ModelError in mode "direct" for a site
    outside the residual stream."""
    check_changes(reader, changes)
    device, s = reading.acts.device, len(reading)
    codes = torch.from_numpy(reading.firings.columns(features_of(changes), s)).to(device)
    part = changed_part(
        reader, changes, codes, reading.inputs, torch.from_numpy(reading.keep).to(device)
    )
    site, passage = reader.target, reading.passage
    if mode == "direct":
        check_direct(site)
        site, passage = end_of_stream(reader.subject, passage.tokens)
    trace = spliced_run(reader.subject, site, passage, (passage.acts[0] + part)[None])
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
        [i for i in some if sign * risen[i] > 0]
        for some, sign in zip(lists[2:], (1, -1), strict=True)
    )
    return Outlook(
        position,
        float(changed.kl[position]),
        *(_chances(reader, some, before, after) for some in lists),
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


@dataclass(frozen=True)
class Without:
    """The predictions with a feature taken out at one position, beside those as they are."""

    next: Outlook
    """The next token's distribution there, before and after."""
    delta: float | None
    """Rise of the loss of the text's own next token, nats; above 0 the firing helps. None at the
    last token."""
    later: float
    """Rise of the loss of all tokens after the position together, nats."""


@dataclass(frozen=True)
class FiringEffect:
    """One feature at one token of a text, and what taking it out there does."""

    feature: int
    position: int
    activation: float
    full: Without
    """All later blocks run again."""
    direct: Without | None
    """Only the stream before the final norm changes, as sae_vis has it; None outside the residual
    stream."""
    contribution: float | None
    """What it adds to the logit of the text's own next token along the direct path, without the
    norm's division; None where that is none."""


def firing_effect(
    reader: Reader, reading: Reading, feature: int, position: int, count: int = 5
) -> FiringEffect:
    """Take a feature out at one position, and list the `count` tokens whose probability rises and
    falls most.

    Formula: p − p without a_k(t) d_k at t, of every next token; `contribution` a_k(t) (d_k
    ∘ w) W_U
    Source: callummcdougall/sae_vis, the tables that it shows when a token is pointed at, which are
    by the difference of log p

    Three passes of the model. Raises: DataError where the feature is not on.
    """
    firing = reading.firings.at(position).of(feature)
    if not len(firing):
        raise DataError(f"feature {feature} is not on at token {position} of this text")
    following = reading.ids[position + 1] if position + 1 < len(reading) else None

    def without(changed: Changed) -> Without:
        delta = changed.delta[position:]
        next_outlook = outlook(reader, reading, changed, position, count)
        return Without(next_outlook, float(delta[0]) if len(delta) else None, float(delta.sum()))

    out = [Change.out(feature, (position,))]
    direct = contribution = None
    try:
        direct = without(change(reader, reading, out, mode="direct"))
        if following is not None:
            logit = reader.subject.unembed()[:, following]
            contribution = float(reader.parts(reading, firing)[0].float() @ logit)
    except ModelError:  # outside the residual stream no path is direct
        pass
    return FiringEffect(
        feature,
        position,
        float(firing.value[0]),
        without(change(reader, reading, out)),
        direct,
        contribution,
    )
