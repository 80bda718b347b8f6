"""Given the current token: where it leaves open whether a feature fires, does what came before
tell, or what comes next?

A token-in-context feature fires on one token ("the") and only in one subject. Its inputs are odd to
describe, while what it promotes may be simple. Here both descriptions are scored on the places of
that one token, each with as many names.

Source: nostalgebraist, remarks on Towards Monosemanticity; Bricken et al. 2023, Towards
Monosemanticity, on "the" in one subject"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from assay_catalogue.explaining.evidence import OutputExplanation, input_explanation
from assay_catalogue.explaining.learner import Limits, learn
from assay_catalogue.explaining.rule import Place, Positions
from assay_catalogue.explaining.scoring import auroc, levels

SHARE, RATE = 0.8, 0.5
"""A token-in-context feature has at least this share of its activation on one token, and fires on
less than this share of it."""
OPEN = (0.05, 0.5)
"""A token leaves open whether a feature fires if it fires on at least the first and less than the
second share of its places."""
EARLIER: tuple[Place, ...] = (-1, -2, -3, -4, "recent")
"""Where a rule may look when the token itself is given; the token is among the recent ones, but
there at every place."""


@dataclass(frozen=True, eq=False)
class OnTokens:
    """A feature by the current token."""

    share: Float[np.ndarray, " token"]
    """Of its activation."""
    rate: Float[np.ndarray, " token"]
    """Of the token's places, how many it fires on; 0 for a token that is not there."""
    firings: Int[np.ndarray, " token"]


def on_tokens(text: Positions, value: Float[np.ndarray, " row"], vocabulary: int) -> OnTokens:
    """Where a feature's activation stands, and how often it fires there, token by token."""
    tokens = text.shifted(0)
    places, firings = (
        np.bincount(tokens[rows], minlength=vocabulary) for rows in (slice(None), value > 0)
    )
    mass = np.bincount(tokens, np.maximum(value, 0), minlength=vocabulary)
    return OnTokens(mass / max(mass.sum(), 1e-300), firings / np.maximum(places, 1), firings)


def token_in_context(on: OnTokens, firings: int = 50) -> int | None:
    """The one token of a token-in-context feature; None for any other feature, or one that fires
    less often there than `firings`."""
    token = int(on.share.argmax())
    return (
        token
        if on.share[token] >= SHARE and on.rate[token] < RATE and on.firings[token] >= firings
        else None
    )


def open_token(on: OnTokens, firings: int = 50) -> int | None:
    """The token with most of a feature's activation among those that leave open whether it fires;
    None if it never fires so often."""
    some = (on.rate >= OPEN[0]) & (on.rate < OPEN[1]) & (on.firings >= firings)
    return int(np.where(some, on.share, -1).argmax()) if some.any() else None


@dataclass(frozen=True, eq=False)
class Given:
    """The places of one token, on the text that is explained and on the one that is not, and where
    a feature fires there."""

    seen: Positions
    fresh: Positions
    validation: Bool[np.ndarray, " row"]
    """Rows of `seen` that say when a rule stops."""
    value: Float[np.ndarray, " row"]
    """Activations on `seen`."""
    fires: Bool[np.ndarray, " row"]
    """Firings on `fresh`."""

    @staticmethod
    def at(
        token: int,
        learning_text: Positions,
        fresh: Positions,
        validation: Bool[np.ndarray, " row"],
        values: tuple[Float[np.ndarray, " row"], Float[np.ndarray, " row"]],
    ) -> Given:
        """The places of this token in two texts, with a feature's activations on both."""
        before, after = learning_text.shifted(0) == token, fresh.shifted(0) == token
        return Given(
            learning_text.of(before),
            fresh.of(after),
            validation[before],
            values[0][before],
            values[1][after] > 0,
        )

    def before(self, names: int) -> float:
        """AUROC on the fresh text of a rule about earlier tokens that may name so many of them; ½
        where none is learned."""
        rule = learn(
            self.seen, self.value > 0, self.validation, Limits(names=names, places=EARLIER)
        )
        return auroc(
            levels(input_explanation(rule, self.seen, self.value).scores(self.fresh), self.fires)
        )

    def next(self, tokens: Iterable[int]) -> float:
        """AUROC on the fresh text of whether one of these tokens comes next."""
        return auroc(
            levels(OutputExplanation(tuple(int(t) for t in tokens)).scores(self.fresh), self.fires)
        )

    def commonest(self, count: int) -> Int[np.ndarray, " count"]:
        """The tokens that come next most often on the text that is explained, whatever the feature
        does."""
        after = self.seen.following
        return np.argsort(-np.bincount(after[after >= 0]), kind="stable")[:count]


def following(
    text: Positions, fires: Bool[np.ndarray, " row"], count: int
) -> Int[np.ndarray, " count"]:
    """The tokens that come after a feature's firings more often than after other places, by the
    difference of shares, falling."""
    after = text.following
    size = int(after.max(initial=0)) + 2
    shares = [
        np.bincount(after[rows] + 1, minlength=size)[1:] / max(1, int(rows.sum()))
        for rows in (fires, ~fires)
    ]
    return np.argsort(shares[1] - shares[0], kind="stable")[:count]
