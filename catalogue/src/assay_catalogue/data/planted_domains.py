"""A planted text whose subjects are known: tokens that mean more in one domain than in another, and
features that fire on them there.

The text is sentences of six random tokens. The fifth of each is the token of one feature, and the
sentence is about that feature's domain or not. What comes after the token depends on the domain;
with `marked`, what stands before it does, and the next token does not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from assay.train import rng

SENTENCE, PLACE = 6, 4
"""Tokens of a sentence, and where in it a feature's own token stands."""


@dataclass(frozen=True, eq=False)
class PlantedDomains:
    """Windows of such a text, and where features of three kinds fire: only the first kind is
    token-in-context."""

    tokens: Int[np.ndarray, "window s"]
    own: Int[np.ndarray, " feature"]
    """Each feature's own token."""
    follows: Int[np.ndarray, "feature n"]
    """The tokens that come after it in its domain."""
    in_context: Bool[np.ndarray, "feature window s"]
    """Fires on its own token in its domain."""
    on_token: Bool[np.ndarray, "feature window s"]
    """Fires on its own token wherever it stands."""
    on_context: Bool[np.ndarray, "feature window s"]
    """Fires on every token of a sentence of its domain."""


def planted_domains(
    seed: int,
    part: int,
    windows: int,
    *,
    features: int = 12,
    sentences: int = 10,
    ordinary: int = 100,
    follows_per_feature: int = 5,
    share: float = 0.2,
    inside: float = 0.9,
    outside: float = 0.05,
    marked: bool = False,
) -> PlantedDomains:
    """Draw the text of a seed; parts of one seed share tokens and meanings, and differ in all that
    is drawn.

    A sentence is about its domain with chance `share`. There the next token is one of `follows`
    with chance `inside`, elsewhere with chance `outside`. With `marked` these two are equal to
    `outside`, and a marker of the feature's own stands one to four places before the token if and
    only if the sentence is about the domain. So, given the token, a next token of `follows` tells
    firing with an AUROC of ½ + (inside − outside)/2 and earlier tokens with ½; with `marked` with ½
    and, the four places looked at, 1.

    Source: "the" in one subject is a feature of Bricken et al. 2023, Towards Monosemanticity;
    nostalgebraist's remarks on it"""
    seeds = np.array([seed])
    kind = f"planted-domains.{int(marked)}.{part}"
    follows = (
        ordinary
        + features * 2
        + np.arange(features * follows_per_feature).reshape(features, follows_per_feature)
    )  # after ordinary, own and marking tokens
    own_tokens, marks = ordinary + np.arange(features), ordinary + features + np.arange(features)
    tokens = rng.integers(seeds, f"{kind}.text", 0, (windows, sentences, SENTENCE), ordinary)[0]
    which = rng.integers(seeds, f"{kind}.feature", 0, (windows, sentences), features)[0]
    chance, pick, place = (
        rng.uniform(seeds, f"{kind}.{name}", 0, (windows, sentences))[0]
        for name in ("next", "pick", "place")
    )
    domain = rng.uniform(seeds, f"{kind}.domain", 0, (windows, sentences))[0] < share
    tokens[:, :, PLACE] = own_tokens[which]
    is_followed = chance < np.where(domain & (not marked), inside, outside)
    tokens[:, :, PLACE + 1] = np.where(
        is_followed,
        follows[which, (pick * follows_per_feature).astype(int)],
        tokens[:, :, PLACE + 1],
    )
    if marked:
        w, s = np.nonzero(domain)
        tokens[w, s, PLACE - 1 - (place[w, s] * PLACE).astype(int)] = marks[which[w, s]]
    about = (which[None] == np.arange(features)[:, None, None])[..., None]
    is_place = np.arange(SENTENCE) == PLACE
    flat = (features, windows, sentences * SENTENCE)
    return PlantedDomains(
        tokens.reshape(windows, -1),
        own_tokens,
        follows,
        (about & domain[..., None] & is_place).reshape(flat),
        (about & is_place & np.ones_like(domain)[..., None]).reshape(flat),
        (about & domain[..., None] & np.ones(SENTENCE, bool)).reshape(flat),
    )
