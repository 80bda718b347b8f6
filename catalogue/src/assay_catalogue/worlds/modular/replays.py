"""Schedules of evaluations replayed on the checkpoints of one training, from many starting points;
histories with known answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float

from assay.train import rng
from assay_catalogue.analysis.evaluations import MONTHS, RATIO, Events, coverage, due

QUARTERS = (16, 19, 23, 27)
"""The first checkpoints, about a quarter of a doubling apart; all others are these times a power of
two."""
FIRST = QUARTERS[0]
STARTS = 24
"""Checkpoints at which a replayed schedule may begin: six doublings, a whole number of steps of 2×,
4× and 8×."""
YEAR = {
    name: [(float(k), g**k) for k in range(13)]
    for name, g in {"doubling": 2.0, "fourfold": 4.0, "flat": 1.0}.items()
}
"""Histories of a year by how compute grows from month to month."""
BY_HAND: tuple[tuple[Events, tuple[int, ...]], ...] = (
    ([(k, 2.0**k) for k in range(9)], (2, 4, 6, 8)),
    ([(k, 1.2**k) for k in range(13)], (3, 6, 9, 12)),
    ([(0, 1), (1, 3.9), (1.5, 4), (2, 15.9), (2.5, 16), (4, 17), (5.5, 18)], (2, 4, 6)),
    (
        [
            (0, 1e21),
            (0.5, 3e21),
            (1, 9e21),
            (1.5, 2.7e22),
            (4.4, 2.8e22),
            (4.6, 2.9e22),
            (4.7, 2e23),
        ],
        (2, 4, 6),
    ),
)
"""Histories, and the rows at which an evaluation is due every 4× or 3 months, the first row left
out."""


def checkpoint_steps(steps: int) -> tuple[int, ...]:
    """Steps of a training to keep, four to a doubling, each exactly twice the fourth before it;
    none below 16."""
    octaves = range(max(0, 1 + int(math.log2(max(1, steps) / QUARTERS[0]))))
    return tuple(s for k in octaves for b in QUARTERS if (s := b * 2**k) <= steps)


@lru_cache(maxsize=64)
def replays(
    steps: tuple[int, ...], ratio: float, months: float = math.inf
) -> Bool[np.ndarray, "start step"]:
    """Whether a checkpoint is evaluated, by a schedule that begins at each of the first `STARTS`
    checkpoints.

    The finished model is evaluated in any case, and nothing before a schedule begins. All steps
    cost the same compute and hardly any time.
    """
    out = np.zeros((STARTS, len(steps)), dtype=bool)
    for start in range(min(STARTS, len(steps))):
        out[
            start,
            [start + d.row for d in due([(0.0, step) for step in steps[start:]], ratio, months)],
        ] = True
    out[:, -1] = True
    return out


def planted_lag(ratio: float) -> float:
    """Compute when an ability is found over compute when it exists, if it stays; geometric mean
    over starting points.

    Range: 1 to ratio. Better: lower. Formula, but for steps being whole numbers: ratio^((d −
    1)/2d), d checkpoints to a ratio."""
    steps = checkpoint_steps(2**20)
    origin = 2 * STARTS
    index = (replays(steps, ratio) & (np.arange(len(steps)) >= origin)).argmax(1)
    return float(np.exp(np.log(np.array(steps)[index] / steps[origin]).mean()))


def rows_due(events: Events, ratio: float = RATIO, months: float = MONTHS) -> list[int]:
    """The rows at which an evaluation is due."""
    return [d.row for d in due(events, ratio, months)]


def random_history(seed: int, index: int, events: int = 40) -> list[tuple[float, float]]:
    """A history in which time and compute grow now hardly, now a lot: by up to two months and up to
    eightfold from row to row."""
    u = rng.uniform(np.array([seed]), "schedules.history", index, (2, events))[0].astype(float)
    return list(
        zip(
            np.cumsum(2 * u[0] ** 2).tolist(),
            (1e20 * np.cumprod(8.0 ** u[1] ** 2)).tolist(),
            strict=True,
        )
    )


def uncovered(seeds: Sequence[int], ratio: float, months: float, histories: int = 25) -> float:
    """By what share growth or time between evaluations exceeds the limit and the spacing of events,
    at most; 0 where nothing does.

    Over so many random `histories` of every seed. Range: from 0. Better: 0.
    Formula: growth ≤ ratio · max c_k/c_(k−1), time ≤ months + max (t_k − t_(k−1)), as the event
    before a due one was not due."""
    most = 0.0
    for events in (
        random_history(int(seed), i) for seed in np.unique(seeds) for i in range(histories)
    ):
        (growth, gap), rows = coverage(events, rows_due(events, ratio, months)), np.array(events)
        spacing: Float[np.ndarray, " event"] = np.diff(rows[:, 0])
        allowed = ratio * float((rows[1:, 1] / rows[:-1, 1]).max()), months + float(spacing.max())
        most = max(most, growth / allowed[0] - 1, gap / allowed[1] - 1)
    return most
