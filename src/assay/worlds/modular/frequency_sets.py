"""Which sets of frequencies an experiment looks at: a seed's random, good and bad ones."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Int

from assay.core import rng
from assay.worlds.modular import interference
from assay.worlds.modular.interference import Optimum
from assay.worlds.modular.primes import prime

DRAWN = 24
"""Random sets among which a seed's good and bad ones are found."""


@lru_cache(maxsize=64)
def drawn_sets(
    seeds: tuple[int, ...], p: int, count: int, decay: float, nu: float
) -> dict[str, tuple[Int[np.ndarray, "run frequency"], Optimum]]:
    """{kind: (the seeds' sets, their cheapest circuits)}, where each seed draws 24 sets.

    Kinds: `random`, the first drawn; `good` and `bad`, those of lowest and highest J; `same`,
    another set of good's orbit, as frequencies up to p − 1. Raises: SpecError as
    `interference.optimum`."""
    most, n = (prime(p) - 1) // 2, len(seeds)
    candidates = np.stack(
        [
            rng.permutation(np.array(seeds), "frequencies.lot", i, most)[:, :count] + 1
            for i in range(DRAWN)
        ],
        1,
    )
    best = interference.optimum(candidates.reshape(-1, count).tolist(), p, decay=decay, nu=nu)
    J = best.objective.reshape(n, DRAWN)
    unit = 2 + rng.integers(
        np.array(seeds), "frequencies.unit", 0, (1,), max(most - 1, 1)
    )  # not 1, which changes nothing

    def pick(i: Int[np.ndarray, " run"]) -> tuple[Int[np.ndarray, "run frequency"], Optimum]:
        rows = np.arange(n) * DRAWN + i
        return candidates[np.arange(n), i], Optimum(
            best.objective[rows], best.size[rows], best.amplitudes[rows]
        )

    good = pick(J.argmin(1))
    turned = np.array(interference.masks((good[0] * unit).tolist(), p))
    amplitudes = np.zeros_like(turned)
    for r, (k, u) in enumerate(zip(good[0], unit[:, 0], strict=True)):
        for frequency in k.tolist():
            [image] = interference.folded([frequency * int(u)], p)
            amplitudes[r, image - 1] = good[1].amplitudes[r, frequency - 1]
    same = (good[0] * unit % p, Optimum(good[1].objective, good[1].size, amplitudes))
    return {
        "random": pick(np.zeros(n, dtype=int)),
        "good": good,
        "bad": pick(J.argmax(1)),
        "same": same,
    }
