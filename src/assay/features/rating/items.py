"""What a rater sees: contexts of features in an order that says nothing, without number, density or
whose feature it is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from assay.core import rng
from assay.core.errors import DataError
from assay.core.heavy import scipy
from assay.core.spec import canonical_json
from assay.features.index.reader import Context, Index

RAREST, COMMONEST = 20, 0.25
"""Firings that a feature needs to be shown at all, and the share of tokens above which it is on too
often to be shown by contexts."""


@dataclass(frozen=True)
class Passage:
    """A piece of text, and how strongly the feature is on at each token, as a share of its
    maximum."""

    tokens: tuple[str, ...]
    shades: tuple[float, ...]
    at: int
    """Place of the token at which it fires."""


@dataclass(frozen=True)
class Item:
    """A feature to be rated. Only its passages are shown; the rest is for whoever counts."""

    arm: str
    match: int
    """Features of all arms with one number have about the same density."""
    feature: int
    passages: tuple[Passage, ...]

    @cached_property
    def hash(self) -> str:
        """SHA-256 of what is shown, and of nothing else."""
        return hashlib.sha256(
            canonical_json([[p.tokens, p.shades, p.at] for p in self.passages]).encode()
        ).hexdigest()


def shuffled(
    arms: Mapping[str, tuple[Index, Sequence[int]]], passages: int, seed: int
) -> tuple[Item, ...]:
    """Lay out the features of all arms, as many of each, in an order drawn by the seed."""
    items = [
        Item(arm, match, number, _passages(index, number, passages))
        for arm, (index, numbers) in arms.items()
        for match, number in enumerate(numbers)
    ]
    order = rng.generator(seed, "rating/order").permutation(len(items))
    return tuple(items[i] for i in order)


def chosen(index: Index, count: int, seed: int) -> list[int]:
    """Draw features evenly by how often they fire, one from each of `count` equally large groups.
    Raises: DataError for too few."""
    firings, density = (index.columns((name,))[name] for name in ("firings", "density"))
    fit = np.flatnonzero((firings >= RAREST) & (density <= COMMONEST))
    if len(fit) < count:
        raise DataError(
            f"{index.about.name} has {len(fit)} features with {RAREST} firings or more and a "
            f"density of at most {COMMONEST:g}; "
            f"asked for {count}: say fewer --features, or index more tokens"
        )
    groups = np.array_split(fit[np.argsort(density[fit], kind="stable")], count)
    draw = rng.generator(seed, "rating/features")
    return [int(draw.choice(group)) for group in groups]


def matched(index: Index, density: Float[np.ndarray, "n"]) -> list[int]:
    """Find a feature of another dictionary for each density: the assignment with the least sum of
    |log ratios|. Raises: DataError."""
    columns = index.columns(("firings", "density"))
    fit = np.flatnonzero(
        (columns["firings"] >= min(RAREST, columns["firings"].max(initial=0)))
        & (columns["density"] > 0)
    )
    if len(fit) < len(density):
        raise DataError(
            f"{index.about.name} has {len(fit)} features that fire often enough, and "
            f"{len(density)} are to be rated"
        )
    distances = np.abs(np.log(density)[:, None] - np.log(columns["density"][fit])[None])
    rows, places = scipy.optimize.linear_sum_assignment(distances)
    numbers: Int[np.ndarray, "n"] = fit[places[np.argsort(rows)]]
    return [int(number) for number in numbers]


def _passages(index: Index, number: int, count: int) -> tuple[Passage, ...]:
    """Half of the passages are the feature's strongest, the others evenly spaced through its
    firings, strongest first."""
    contexts = index.contexts(number)
    top = [c for c in contexts if c.kind == "top"][: (count + 1) // 2]
    top_places = {(c.window, c.position) for c in top}
    even = [c for c in contexts if c.kind == "even" and (c.window, c.position) not in top_places]
    n_even = min(count - len(top), len(even))
    spaced = [even[int((i + 0.5) * len(even) / n_even)] for i in range(n_even)]
    maximum = max((c.value for c in contexts), default=1.0)
    return tuple(_passage(context, maximum) for context in (*top, *spaced))


def _passage(context: Context, maximum: float) -> Passage:
    shades: list[Any] = [round(max(0.0, a) / maximum, 2) for a in context.activations]
    return Passage(context.tokens, tuple(shades), context.at)
