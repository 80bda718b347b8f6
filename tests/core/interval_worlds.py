"""How often the intervals contain the truth, by simulation in worlds whose truth is known; prints docs/coverage.md.

python tests/core/interval_worlds.py [REPEATS] > docs/coverage.md
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from assay.core.intervals import Statistic, counts, interval
from assay.core.stats import at_matched, best_of, mean, ratio

World = Callable[[np.random.Generator], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Case:
    """A world to draw from, with the truth that an interval should contain."""

    name: str
    units: str
    world: World
    truth: float
    statistic: Statistic = mean
    factors: int = 1


@dataclass(frozen=True)
class Coverage:
    """Shares of repeats, 0 to 1: the truth inside; or wholly above or below both intervals, which makes a false verdict."""

    bootstrap: float
    t: float
    together: float
    false_below: float
    """Both intervals lie below the truth: "less than the truth" falsely holds."""
    false_above: float


def simulate(case: Case, repeats: int, seed: int = 0, draws: int = 10_000) -> Coverage:
    """The shares over `repeats` worlds drawn from `case`."""
    rng = np.random.default_rng([seed, sum(map(ord, case.name + case.units))])
    limits = []
    for _ in range(repeats):
        i = interval(case.world(rng), case.statistic, factors=case.factors, draws=draws)
        limits.append((i.low, i.high, i.t_low, i.t_high))
    low, high, t_low, t_high = np.array(limits).T
    b, t = (low <= case.truth) & (case.truth <= high), (t_low <= case.truth) & (case.truth <= t_high)
    below, above = (high < case.truth) & (t_high < case.truth), (low > case.truth) & (t_low > case.truth)
    return Coverage(b.mean(), t.mean(), (b | t).mean(), below.mean(), above.mean())


def plain_percentile(case: Case, repeats: int, seed: int = 0) -> float:
    """Coverage of the usual 2.5 % and 97.5 % percentiles of a mean of one factor, for comparison."""
    rng = np.random.default_rng([seed, sum(map(ord, case.name + case.units))])
    x = np.array([case.world(rng)["x"] for _ in range(repeats)])
    low, high = np.quantile(counts(0, x.shape[1], 10_000) @ x.T / x.shape[1], [0.025, 0.975], axis=0)
    return float(((low <= case.truth) & (case.truth <= high)).mean())


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(size=shape)


def _exponential(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.exponential(size=shape) - 1


def one_factor() -> Iterator[Case]:
    """Means of 6 to 20 independent units."""
    for name, draw in (("normal units", _normal), ("exponential units", _exponential)):
        for n in (6, 8, 16, 20):
            yield Case(name, f"{n}", lambda rng, draw=draw, n=n: {"x": draw(rng, n)}, 0.0)
    yield Case("mean of bests of 8 normal units", "6 groups", lambda rng: {"x": _bests(rng, 8)}, 1.4236003)  # E max of 8 normals


def _bests(rng: np.random.Generator, k: int) -> np.ndarray:
    import xarray as xr

    return best_of(xr.DataArray(rng.normal(size=6 * k), dims="seed"), k).values


def two_factors(shapes: tuple[tuple[int, int], ...] = ((6, 20), (6, 100), (8, 60))) -> Iterator[Case]:
    """Crossed units: cell = seed effect + document effect + noise, each of standard deviation 1 or absent."""
    spreads = {
        "seeds and cells vary": (1, 0, 1),
        "seeds, documents, cells vary": (1, 1, 1),
        "documents and cells vary": (0, 1, 1),
        "only cells vary": (0, 0, 1),
    }
    for what, (s, d, c) in spreads.items():
        for law, draw in (("normal", _normal), ("exponential", _exponential)):
            for a, b in shapes:

                def world(rng, s=s, d=d, c=c, draw=draw, a=a, b=b):
                    return {"x": s * draw(rng, a, 1) + d * draw(rng, 1, b) + c * draw(rng, a, b)}

                yield Case(f"{what}, {law}", f"{a} × {b}", world, 0.0, factors=2)
    for a, b in shapes:

        def sums(rng, a=a, b=b):
            size = rng.lognormal(sigma=1.0, size=(1, b)) * np.ones((a, 1))
            share = 0.2 * np.exp(0.1 * rng.normal(size=(a, 1)) + 0.1 * rng.normal(size=(1, b)) + 0.1 * rng.normal(size=(a, b)))
            return {"err": size * share, "var": size}

        yield Case(
            "ratio of sums, log-normal document sizes", f"{a} × {b}", sums, 0.2 * np.exp(0.015), ratio("err", "var"), factors=2
        )


def cells_as_units(shapes: tuple[tuple[int, int], ...] = ((6, 20), (6, 100), (8, 60))) -> Iterator[Case]:
    """The mistake that crossing avoids: the same cells, taken as independent units of one factor."""
    for case in list(two_factors(shapes))[: len(shapes)]:
        n = int(np.prod([int(x) for x in case.units.split(" × ")]))
        yield Case(
            f"{case.name}, cells taken as {n} units", case.units, lambda rng, w=case.world: {"x": w(rng)["x"].ravel()}, 0.0
        )


def matched() -> Iterator[Case]:
    """The difference of two sweeps at equal budget, over their overlap."""

    def world(rng, a=6, b=40):
        terms = {}
        size = rng.lognormal(sigma=0.7, size=(1, b, 1))
        for side, level, budgets in (("a", 0.20, (4.0, 11.0, 32.0)), ("b", 0.22, (5.0, 12.0, 38.0))):
            shift = 0.03 * rng.normal(size=(a, 1, 1))
            l0 = np.array(budgets) * np.exp(0.05 * rng.normal(size=(a, 1, 3)) + 0.1 * rng.normal(size=(1, b, 1)))
            fvu = level * (np.array(budgets) / 12) ** -0.2 * np.exp(shift + 0.1 * rng.normal(size=(a, b, 1)))
            terms |= {f"{side}.l0": l0 * np.ones((a, b, 3)), f"{side}.err": size * fvu, f"{side}.var": size * np.ones((a, b, 3))}
        return terms

    statistic = at_matched("l0", ratio("err", "var"))
    yield Case(
        "FVU difference at matched L0, 3 penalties", "6 × 40", world, _large_sample(world, statistic), statistic, factors=2
    )


def _large_sample(world: Callable, statistic: Statistic) -> float:
    """The truth of a world without closed form: the statistic of 4,000 × 40 units, averaged over 20 such."""
    found = []
    for seed in range(20):
        terms = world(np.random.default_rng([9, seed]), 4_000, 40)
        found.append(float(statistic({k: x.mean((0, 1))[None] for k, x in terms.items()})[0]))
    return float(np.mean(found))


def page(repeats: int) -> Iterator[str]:
    """The lines of docs/coverage.md."""
    error = 100 * np.sqrt(0.95 * 0.05 / repeats)
    yield "# How often the intervals contain the truth"
    yield ""
    yield f"""Simulated: {repeats:,} worlds a row, nominal 95 %, standard error of a row ±{error:.1f} %. Made by
`python tests/core/interval_worlds.py {repeats}`; a slow test (`pytest -m slow tests/core/test_coverage.py`) checks the rows.
The code that is tested here is the code that judges.

*Bootstrap* is the expanded percentile interval, *t* the Student-t interval by jackknife. Below 20 units of the smaller factor
both must agree before anything is decided, so a decided verdict is wrong only where both miss on the same side: *together* is
the share of worlds in which at least one of them contains the truth. *Falsely below* (*above*) is the share in which both lie
wholly below (above) the truth: with the threshold exactly at the truth, that is how often "less than" ("more than") would be
announced although it is not so; nominal is 2.5 %. The last three rows, with 2,000 draws, are the mistake that crossing avoids.
"""
    yield "## One factor"
    yield ""
    yield "| world | units | plain percentile | bootstrap | t | together | falsely below | falsely above |"
    yield "|---|---|---|---|---|---|---|---|"
    for case in one_factor():
        yield _row(case, simulate(case, repeats), f"{plain_percentile(case, repeats):.1%} | ")
    yield ""
    yield "## Two crossed factors"
    yield ""
    yield "Every cell is the sum of a seed effect, a document effect and noise, each of standard deviation 1 or absent."
    yield ""
    yield "| world | units | bootstrap | t | together | falsely below | falsely above |"
    yield "|---|---|---|---|---|---|---|"
    for case in (*two_factors(), *matched()):
        yield _row(case, simulate(case, repeats))
    for case in cells_as_units():
        yield _row(case, simulate(case, repeats, draws=2_000))


def _row(case: Case, c: Coverage, extra: str = "") -> str:
    shares = " | ".join(f"{x:.1%}" for x in (c.bootstrap, c.t, c.together, c.false_below, c.false_above))
    return f"| {case.name} | {case.units} | {extra}{shares} |"


if __name__ == "__main__":
    for line in page(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000):
        print(line, flush=True)
