"""How often a band contains a whole curve, and an interval the place where it crosses a value, by
simulation in worlds whose truth is known; prints a part of catalogue/records/coverage.md.

python benchmarks/coverage/curve_worlds.py [REPEATS]
"""

import sys
from dataclasses import dataclass
from itertools import product

import numpy as np
from interval_worlds import across

from assay.core.estimates import curve

LEVELS = (1, 2, 3, 4, 5, 6)
TRUTH = np.array([1.0, 0.9, 0.7, 0.4, 0.15, 0.05])
CROSSES, PLACE = 0.5, 3 + 2 / 3
SHAPES = ((6,), (8,), (16,), (6, 24))
ALIKE = {"normal": (0.0, 0.9), "exponential": (0.0, 0.5)}
LAWS = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "exponential": lambda rng, shape: rng.exponential(size=shape) - 1,
}


@dataclass(frozen=True)
class Shares:
    """Shares of repeats, 0 to 1: the whole curve in the band; in the intervals that cover each
    level alone; the crossing in its interval; and how many times as wide the band is."""

    band: float
    alone: float
    crossing: float
    wider: float


def draw(rng, law, shape, alike):
    """Units about the true curve, [unit, level] or [unit, unit, level]: effects of each factor and
    of each cell, whose correlation between levels is `alike`."""

    def effect(*size):
        common, own = (LAWS[law](rng, (*size, n)) for n in (1, len(LEVELS)))
        return np.sqrt(alike) * common + np.sqrt(1 - alike) * own

    if len(shape) == 1:
        return TRUTH + 0.15 * effect(*shape)
    a, b = shape
    return TRUTH + 0.1 * effect(a, 1) + 0.2 * effect(1, b) + 0.3 * effect(a, b)


def simulate(law, shape, alike, repeats):
    """The shares over so many worlds."""
    rng = np.random.default_rng([*shape, int(10 * alike), len(law)])
    found = []
    for _ in range(repeats):
        x = {"x": draw(rng, law, shape, alike)}
        c = curve(
            x,
            LEVELS,
            lambda m: m["x"],
            over="level",
            factors=len(shape),
            crosses=CROSSES,
            draws=400,
        )
        assert c.crossing is not None
        found.append(
            (
                all(low <= y <= high for (low, high), y in zip(c.band, TRUTH, strict=True)),
                all(p.low <= y <= p.high for p, y in zip(c.points, TRUTH, strict=True)),
                c.crossing.low <= PLACE <= c.crossing.high,
                c.wider,
            )
        )
    return Shares(*np.mean(found, 0))


def page(repeats):
    """The lines of the part."""
    yield f"""## Curves

A curve over {len(LEVELS)} levels of a swept field, on all of which the same units are measured: how often the band contains the whole of it, then the
interval of a crossing the true one. {repeats:,} worlds each, by `python benchmarks/coverage/curve_worlds.py {repeats}`.
"""  # noqa: E501
    worlds = ((u, n, r) for u in LAWS for n, r in product(SHAPES, ALIKE[u]))
    found = ((u, n, r, simulate(u, n, r, repeats)) for u, n, r in worlds)
    yield from across(
        (
            (f"{u}, {r:g}", " × ".join(map(str, n)), f"{s.band:.1%} {s.crossing:.1%}")
            for u, n, r, s in found
        ),
        "units, correlation of levels",
    )


if __name__ == "__main__":
    for line in page(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000):
        print(line, flush=True)
