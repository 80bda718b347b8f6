"""What one firing does to the next token: every token's log-probability with and without the
feature at that one place."""

from __future__ import annotations

from dataclasses import dataclass

from assay.core.errors import DataError, ModelError
from assay.features.live.edits import Change, Changed, Outlook, change, outlook
from assay.features.live.logits import Unembedding
from assay.features.live.reader import Reader, Reading


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
    """Take a feature out at one position, and list the `count` tokens whose log-probability rises
    and falls most.

    Formula: log p − log p without a_k(t) d_k at t, of every next token; `contribution` a_k(t) (d_k
    ∘ w) W_U
    Source: callummcdougall/sae_vis, the tables that it shows when a token is pointed at

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
            logits = Unembedding.of(reader.subject).linear(reader.parts(reading, firing))
            contribution = float(logits[0, following])
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
