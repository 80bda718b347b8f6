"""Picks: other heads, latents, layers, prompts and words in the place of those that a claim
names."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from assay.errors import DataError
from assay.train import rng

T = TypeVar("T", bound=Hashable)


def pick(seed: int, stream: str, index: int, count: int) -> int:
    """Draw a number below `count`, which depends only on the seed, the stream and the index."""
    return int(rng.integers(np.array([seed]), stream, index, (1,), count)[0, 0])


def random_others(items: Sequence[T], pool: Sequence[T], seed: int) -> list[T]:
    """Draw as many other items of a pool, all equally likely. Raises: DataError
    (no-others)."""
    others = [item for item in pool if item not in {*items}]
    if len(others) < len(items):
        raise DataError("no-others", f"{len(items)} are named, and there are {len(others)} others")
    order = rng.permutation(np.array([seed]), "ask.others", len(items), len(others))[0]
    return sorted(others[i] for i in order[: len(items)])  # type: ignore[type-var]


def matched(
    credited: Sequence[T],
    pool: Sequence[T],
    sizes: Sequence[Mapping[T, float]],
    draws: int,
    *,
    blocks: bool = False,
) -> list[list[T]]:
    """For each draw, choose for each item in turn the unused item of the pool that is nearest in
    all sizes.

    Args:
        credited: the items that a claim credits.
        pool: all items, with or without the credited ones.
        sizes: what should be similar, such as norms and frequencies; compared as logarithms.
        draws: the number of draws, fewer if the pool is used up.
        blocks: whether items are (block, number), with a preference for the same block.
    Raises: DataError (no-others, no-size).
    """
    others = [item for item in dict.fromkeys(pool) if item not in set(credited)]
    if len(others) < len(credited):
        why = f"{len(credited)} are credited and the pool has {len(others)} others"
        raise DataError("no-others", f"{why}: give a larger pool with of=")
    order = rng.permutation(np.array([0]), "check.pool", len(credited), len(others))[0]
    others = [others[i] for i in order]  # ties are broken at random
    logs = [_logs(size, [*credited, *others]) for size in sizes]

    def apart(item: T, other: T) -> float:
        blocks_apart = abs(item[0] - other[0]) if blocks else 0  # type: ignore[index]
        return 1e3 * blocks_apart + math.hypot(*(log[item] - log[other] for log in logs), 0.0)

    used: set[T] = set()
    result: list[list[T]] = []
    while len(result) < draws and len(others) - len(used) >= len(credited):
        match: list[T] = []
        for item in credited:
            free = [o for o in others if o not in used]
            match.append(min(free, key=lambda o, item=item: apart(item, o)))  # type: ignore[misc]
            used.add(match[-1])
        result.append(match)
    return result


def _logs(size: Mapping[T, float], items: Sequence[T]) -> dict[T, float]:
    """The logarithms of sizes, divided by their spread among these items."""
    if lacking := [item for item in items if item not in size]:
        raise DataError("no-size", f"{lacking[0]!r} has no size; give one for each of the pool")
    floor = 1e-6 * max(max(size[i] for i in items), 1e-300)
    logs = {item: math.log(max(size[item], floor)) for item in items}
    spread = float(np.std(list(logs.values()))) or 1.0
    return {item: x / spread for item, x in logs.items()}


def reordered(text: str, seed: int) -> str:
    """The words of a text in another order. Raises: DataError (no-order)."""
    words = text.split()
    if len(set(words)) < 2:
        raise DataError("no-order", f"the words of {text!r} cannot be put in another order")
    for index in range(100):
        order = rng.permutation(np.array([seed]), "check.words", index, len(words))[0]
        if (other := [words[i] for i in order]) != words:
            return " ".join(other)
    return " ".join(reversed(words))


def with_as_many_words(text: str, other: str) -> str:
    """A text, cut or repeated until it has as many words as another. Raises: DataError
    (no-words)."""
    words, count = text.split(), len(other.split())
    if not words:
        raise DataError("no-words", "a control's text is empty")
    return " ".join((words * (count // len(words) + 1))[:count])
