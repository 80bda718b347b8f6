"""How often whole studies with several looks are wrong, by simulation in worlds whose truth is
known; a section of records/coverage.md.

python tests/core/look_worlds.py [REPEATS [LAW ...]]

Each study draws its units once and is judged at each declared look by the code that judges, at that
look's level, until an interval leaves out the threshold. Prints the section.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from interval_worlds import across
from scipy.special import stdtrit

from assay.core.bounded import bounded_mean
from assay.core.intervals import interval
from assay.core.spending import boundaries
from assay.core.stats import mean


@dataclass(frozen=True)
class Law:
    """What a unit is drawn from, with its mean, its standard deviation, and its bounds if it is
    judged between bounds."""

    name: str
    mean: float
    deviation: float
    bounds: tuple[float, float] | None = None

    def draw(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Draw n units."""
        match self.name:
            case "normal":
                return rng.normal(size=n)
            case "exponential":
                return rng.exponential(size=n)
            case "log-normal":
                return rng.lognormal(size=n)
            case "t3":
                return rng.standard_t(3, size=n)
            case "binary, share 0.9":
                return (rng.random(n) < 0.9) * 1.0
            case "twentieths, share .95":
                return rng.binomial(20, 0.95, n) / 20
            case "Beta(5, 1)":
                return rng.beta(5, 1, n)
        raise ValueError(self.name)


LAWS = (
    Law("normal", 0.0, 1.0),
    Law("exponential", 1.0, 1.0),
    Law("log-normal", float(np.exp(0.5)), float(np.sqrt((np.e - 1) * np.e))),
    Law("t3", 0.0, float(np.sqrt(3))),
    Law("binary, share 0.9", 0.9, 0.3, (0, 1)),
    Law("twentieths, share .95", 0.95, float(np.sqrt(0.95 * 0.05 / 20)), (0, 1)),
    Law("Beta(5, 1)", 5 / 6, float(np.sqrt(5 / 36 / 7)), (0, 1)),
)
DESIGNS = ((16,), (8, 16), (4, 8, 16), (8, 12, 16), (6, 12, 18, 24))


@dataclass(frozen=True)
class Whole:
    """Shares of simulated studies, 0 to 1."""

    below: float
    """The truth is the threshold, and at some look the interval lay wholly below it: "less than"
    was found to hold, falsely."""
    above: float
    covers: float
    """The truth lies a standard deviation above the threshold, so that studies stop early: the
    interval at the stopping look has it."""
    early: float
    """Of these studies, stopped before the last look."""
    peeking: float
    """The truth is the threshold, and at some look an ordinary 95 % interval left it out: what
    looking without spending does."""


def simulate(
    law: Law, units: tuple[int, ...], repeats: int, seed: int = 0, draws: int = 10_000
) -> Whole:
    """Draw so many studies of a law and judge each at its looks."""
    rng = np.random.default_rng([seed, *units, *map(ord, law.name)])
    levels = [b.level for b in boundaries(units)]
    x = np.array([law.draw(rng, units[-1]) for _ in range(repeats)])
    at = [Judged(law, x[:, :n], level, draws) for n, level in zip(units, levels, strict=True)]
    usual = [Judged(law, x[:, :n], 0.95, draws) for n in units]
    sided, covers, early = np.zeros(repeats), np.zeros(repeats), np.zeros(repeats)
    for r in range(repeats):
        sided[r] = next((found for one in at if (found := one.side(r, law.mean))), 0)
        stop = next(
            (k for k, one in enumerate(at) if one.side(r, law.mean - law.deviation)), len(units) - 1
        )
        covers[r], early[r] = not at[stop].side(r, law.mean), stop < len(units) - 1
    peeking = np.mean([any(one.side(r, law.mean) for one in usual) for r in range(repeats)])
    return Whole(
        float((sided < 0).mean()),
        float((sided > 0).mean()),
        float(covers.mean()),
        float(early.mean()),
        float(peeking),
    )


class Judged:
    """The intervals that decide, of the same units of many studies at a level: on which side of a
    number each lies.

    The hull contains Student's t and the t corrected for skew, which cost nothing for all studies
    together. Only where a number lies outside of both is the interval itself computed, by the code
    that judges."""

    def __init__(self, law: Law, x: np.ndarray, level: float, draws: int) -> None:
        self.law, self.x, self.level, self.draws = law, x, level, draws
        n, middle = x.shape[1], x.mean(1)
        off = x - middle[:, None]
        error, skewness = (
            np.sqrt((off**2).sum(1) / (n * (n - 1))),
            (off**3).sum(1) / (n * (n - 1) * (n - 2)),
        )
        t = stdtrit(n - 1, (1 + level) / 2)
        with np.errstate(all="ignore"):
            c = skewness / error**3
            bent = [
                np.where(np.abs(c) < 1e-6, q, 3 / c * (np.cbrt(1 + c * (q - c / 6)) - 1))
                for q in (t, -t)
            ]
        self.low, self.high = (
            middle - error * np.maximum(t, bent[0]),
            middle + error * np.maximum(t, -bent[1]),
        )
        self.exact: dict[int, tuple[float, float]] = {}

    def side(self, r: int, number: float) -> int:
        """-1 where study r's interval lies wholly below the number, 1 where it lies above it, 0
        where it contains it."""
        if self.law.bounds is None and self.low[r] <= number <= self.high[r]:
            return 0
        if r not in self.exact:
            x, bounds = self.x[r], self.law.bounds
            if bounds is not None:
                exact = bounded_mean([x], float(x.mean()), bounds, self.level)
                self.exact[r] = exact.low, exact.high
            else:
                i = interval({"x": x}, mean, level=self.level, draws=self.draws)
                self.exact[r] = i.low, i.high
        low, high = self.exact[r]
        return int(low > number) - int(high < number)


def page(repeats: int, names: Sequence[str] = ()) -> Iterator[str]:
    """The lines of the section on looks."""
    yield f"""## Studies with looks

How often a study is falsely settled at any of its [declared](../docs/preregister.md) looks, where the truth is the threshold; nominal is 5 %. Then: how
often an ordinary 95 % interval left the truth out at one of these looks, which is peeking, undeclared. Columns are the seeds at each look; a look at 4
decides nothing and cannot be declared. {repeats:,} studies each, by `python tests/core/look_worlds.py {repeats}`.
"""  # noqa: E501
    found = (
        (law.name, units, simulate(law, units, repeats))
        for law in LAWS
        if not names or law.name in names
        for units in DESIGNS
    )
    yield from across(
        (
            (name, ", ".join(map(str, units)), f"{w.below + w.above:.1%} {w.peeking:.1%}")
            for name, units, w in found
        ),
        "units",
    )


if __name__ == "__main__":
    for line in page(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000, sys.argv[2:]):
        print(line, flush=True)
