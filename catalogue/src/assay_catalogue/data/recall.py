"""Associative recall: pairs of a key and its value, then every key again, and which value was its;
drawn by seed and step."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from assay.train import rng


def recall(
    seeds: Int[np.ndarray, " run"],
    stream: str,
    step: int,
    *,
    batch: int,
    keys: int,
    values: int,
    pairs: int,
) -> Int[np.ndarray, "run b s"]:
    """Sequences of 4 · pairs tokens: key, value, key, value, …, then each key once more in any
    order, each followed by its value.

    Keys are tokens 0 to keys − 1 and differ within a sequence; values are the next `values` tokens,
    drawn with repeats. What follows a key of the first half cannot be known, what follows one of
    the second half can: `asked` says where. Of no sequence does another give any sign."""
    key = rng.uniform(seeds, f"{stream}.keys", step, (batch, keys)).argsort(-1)[..., :pairs]
    value = keys + rng.integers(seeds, f"{stream}.values", step, (batch, pairs), values)
    order = rng.uniform(seeds, f"{stream}.order", step, (batch, pairs)).argsort(-1)
    second_half = np.stack([np.take_along_axis(part, order, -1) for part in (key, value)], -1)
    return np.concatenate([np.stack([key, value], -1), second_half], -2).reshape(
        len(seeds), batch, 4 * pairs
    )


def locate_queries(pairs: int) -> slice:
    """The positions at which a key stands whose value has been shown; the answer is the token after
    each."""
    return slice(2 * pairs, 4 * pairs, 2)
