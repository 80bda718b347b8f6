"""Random arrays by name: the same (seed, stream, index) gives the same numbers in any group of runs
and after any resume."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int, Shaped


@lru_cache(maxsize=4096)
def _key(seed: int, stream: str) -> tuple[int, int]:
    # The name is the key: streams need no registry, and no two of them can overlap but by a
    # collision of hashes.
    digest = hashlib.sha256(f"{seed}/{stream}".encode()).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:16], "little")


def generator(seed: int, stream: str, index: int = 0) -> np.random.Generator:
    """A Philox generator for one name. The index is the highest counter word: lower, neighbouring
    indices would overlap."""
    return np.random.Generator(
        np.random.Philox(key=np.array(_key(int(seed), stream), np.uint64), counter=[0, 0, 0, index])
    )


def _spread(
    seeds: Int[np.ndarray, " run"], draw: Callable[[int], np.ndarray]
) -> Shaped[np.ndarray, "run ..."]:
    """Draws once per distinct seed and gives each run its seed's array."""
    distinct, back = np.unique(np.asarray(seeds), return_inverse=True)
    values = np.stack([draw(int(s)) for s in distinct])
    return (
        values
        if len(distinct) == len(back) and (back == np.arange(len(back))).all()
        else values[back]
    )


def normal(
    seeds: Int[np.ndarray, " run"], stream: str, index: int, shape: tuple[int, ...]
) -> Float[np.ndarray, "run ..."]:
    """Standard normal float32 numbers, [run, *shape].

    Args:
        seeds: each run's seed, [run].
        stream: a name, such as "train".
        index: which draw of it, from 0.
        shape: of one run's numbers.
    Example:
        >>> import numpy as np
        >>> import assay
        >>> x = assay.normal(np.array([1000, 1001, 1000]), "start", 0, (2, 5))
        >>> x.shape, bool((x[0] == x[2]).all()), bool((x[0] == x[1]).any())
        ((3, 2, 5), True, False)
    """
    return _spread(seeds, lambda s: generator(s, stream, index).standard_normal(shape, np.float32))


def uniform(
    seeds: Int[np.ndarray, " run"], stream: str, index: int, shape: tuple[int, ...]
) -> Float[np.ndarray, "run ..."]:
    """Uniform float32 numbers in [0, 1), [run, *shape].

    Args:
        seeds: each run's seed, [run].
        stream: a name, such as "train".
        index: which draw of it, from 0.
        shape: of one run's numbers.
    Example:
        >>> import numpy as np
        >>> import assay
        >>> v = assay.uniform(np.array([1000, 1001]), "inputs", 0, (1000,))
        >>> v.shape, bool((v >= 0).all() and (v < 1).all()), float(v.mean().round(1))
        ((2, 1000), True, 0.5)
    """
    return _spread(seeds, lambda s: generator(s, stream, index).random(shape, np.float32))


def integers(
    seeds: Int[np.ndarray, " run"], stream: str, index: int, shape: tuple[int, ...], high: int
) -> Int[np.ndarray, "run ..."]:
    """Uniform int64 numbers in [0, high), [run, *shape].

    Args:
        seeds: each run's seed, [run].
        stream: a name, such as "train".
        index: which draw of it, from 0.
        shape: of one run's numbers.
        high: one above the largest.
    Example:
        >>> import numpy as np
        >>> import assay
        >>> dice = assay.integers(np.array([1000]), "dice", 0, (100,), high=6)
        >>> dice.shape, np.unique(dice)
        ((1, 100), array([0, 1, 2, 3, 4, 5]))
    """
    return _spread(seeds, lambda s: generator(s, stream, index).integers(high, size=shape))


def permutation(
    seeds: Int[np.ndarray, " run"], stream: str, index: int, n: int
) -> Int[np.ndarray, "run n"]:
    """A uniform permutation of 0 … n−1 for each run.

    Args:
        seeds: each run's seed, [run].
        stream: a name, such as "train".
        index: which draw of it, from 0.
        n: length.
    Example:
        >>> import numpy as np
        >>> import assay
        >>> order = assay.permutation(np.array([1000, 1001]), "rows", 0, 5)
        >>> np.sort(order)
        array([[0, 1, 2, 3, 4],
               [0, 1, 2, 3, 4]])
    """
    return _spread(seeds, lambda s: generator(s, stream, index).permutation(n))
