"""How often the intervals contain the truth, by simulation in worlds whose truth is known; prints
catalogue/records/coverage.md, which docs/explanation/evidence.md sums up.

python benchmarks/coverage/interval_worlds.py [REPEATS] > catalogue/records/coverage.md

Also writes the error rates that the catalogue counts with, src/assay/report/coverage.json.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rule_worlds import page as whole_rule

from assay.core.bounded import bounded_mean
from assay.core.intervals import Statistic, interval
from assay.core.outlying_units import find_outliers
from assay.core.stats import at_best, at_matched, mean, ratio

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
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True)
class Coverage:
    """Shares of repeats, 0 to 1: the truth inside; or the whole interval above or below it, which
    makes a false verdict."""

    t: float
    skewed: float
    hull: float
    """Of the interval that decides: the hull of the two, or the exact one."""
    false_below: float
    """It lies below the truth: "less than the truth" falsely holds."""
    false_above: float


def simulate(case, repeats, seed=0):
    """The shares over `repeats` worlds drawn from `case`."""
    rng = np.random.default_rng([seed, sum(map(ord, case.name + case.units))])
    limits = []
    for _ in range(repeats):
        terms = case.world(rng)
        if case.bounds is not None:
            (x,) = terms.values()
            exact = bounded_mean([x], float(x.mean()), case.bounds)
            limits.append((*(np.nan,) * 4, exact.low, exact.high))
            continue
        i = interval(terms, case.statistic, factors=case.factors, draws=1)
        limits.append((i.t_low, i.t_high, i.skew_low, i.skew_high, i.low, i.high))
    each = np.array(limits).T
    inside = [
        ((low <= case.truth) & (case.truth <= high)).mean()
        for low, high in each.reshape(3, 2, repeats)
    ]
    return Coverage(*inside, (each[5] < case.truth).mean(), (each[4] > case.truth).mean())


def _normal(rng, *shape):
    return rng.normal(size=shape)


def _exponential(rng, *shape):
    return rng.exponential(size=shape) - 1


def _lognormal(rng, *shape):
    return rng.lognormal(size=shape) - np.exp(0.5)


def _heavy(rng, *shape):
    return rng.standard_t(3, size=shape)


def _one_in_ten_lower(rng, *shape):
    return 0.1 * rng.normal(size=shape) - 1.5 * (rng.random(shape) < 0.1) + 0.15


def _rare_and_large(rng, *shape):
    return (
        np.where(rng.random(shape) < 0.1, rng.normal(5, 1, shape), 0.2 * rng.random(shape)) - 0.59
    )


APART = {
    "units of spread 0.1, one in ten lower by 1.5": _one_in_ten_lower,
    "units from 0 to 0.2, one in ten about 5": _rare_and_large,
}
"""Units of two kinds, one of them rare: where it was not drawn, nothing tells of it."""
LAWS = {
    "normal units": _normal,
    "exponential units": _exponential,
    "log-normal units": _lognormal,
    "t3 units": _heavy,
}
SIZES = (6, 8, 12, 16, 20, 24, 36)


def one_factor(sizes=SIZES):
    """Means of so many independent units."""
    for name, draw in (LAWS | APART).items():
        for n in sizes:
            yield Case(name, f"{n}", lambda rng, draw=draw, n=n: {"x": draw(rng, n)}, 0.0)
    yield Case(
        "mean of bests of 8 normal units", "6 groups", lambda rng: {"x": _bests(rng, 8)}, 1.4236003
    )  # E max of 8 normals

    def pairs(rng):
        return {
            "x": np.repeat(rng.normal(size=6), 2) * np.sqrt(0.5)
            + rng.normal(size=12) * np.sqrt(0.5)
        }

    yield Case("seeds in pairs of correlation .5, taken as independent", "12", pairs, 0.0)


def shares(sizes=SIZES):
    """Means of units between 0 and 1, judged by the exact interval; of crossed ones, by the
    hull."""
    for p in (0.5, 0.9, 0.98):
        for n in sizes:
            yield Case(
                f"binary, share {p:g}",
                f"{n}",
                lambda rng, p=p, n=n: {"x": (rng.random(n) < p) * 1.0},
                p,
                bounds=(0, 1),
            )
    for n in (6, 16, 36):
        yield Case(
            "twentieths, share .95",
            f"{n}",
            lambda rng, n=n: {"x": rng.binomial(20, 0.95, n) / 20},
            0.95,
            bounds=(0, 1),
        )
        yield Case(
            "Beta(5, 1)", f"{n}", lambda rng, n=n: {"x": rng.beta(5, 1, n)}, 5 / 6, bounds=(0, 1)
        )

        def rare(rng, n=n):
            return {
                "x": np.where(
                    rng.random(n) < 0.1, 0.05 * rng.random(n), 0.95 + 0.05 * rng.random(n)
                )
            }

        yield Case(
            "near 1, one in ten near 0", f"{n}", rare, 0.1 * 0.025 + 0.9 * 0.975, bounds=(0, 1)
        )

    def crossed(rng):
        odds = 2.9 + rng.normal(size=(12, 1)) + rng.normal(size=(1, 40))
        return {"x": (rng.random((12, 40)) < 1 / (1 + np.exp(-odds))) * 1.0}

    draws = np.random.default_rng(5).normal(size=(2, 4_000_000)).sum(0) + 2.9
    yield Case(
        "binary, seeds and documents vary",
        "12 × 40",
        crossed,
        float((1 / (1 + np.exp(-draws))).mean()),
        factors=2,
    )


def _bests(rng, k):
    import xarray as xr

    x = xr.DataArray(rng.normal(size=6 * k), dims="seed")
    return at_best(x, x, k, "high").values


def two_factors(shapes=((6, 20), (6, 100), (8, 60))):
    """Crossed units: cell = seed effect + document effect + noise, each of standard deviation 1 or
    absent."""
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
    for a, b in shapes[:1]:

        def clustered(rng, a=a, b=b):
            groups = np.repeat(rng.normal(size=(1, -(-b // 5))), 5, 1)[
                :, :b
            ]  # five documents an author, correlation .5
            document = 3 * np.sqrt(0.5) * (groups + rng.normal(size=(1, b)))
            return {"x": rng.normal(size=(a, 1)) + document + rng.normal(size=(a, b))}

        yield Case(
            "documents in clusters of five, correlation .5, taken as independent",
            f"{a} × {b}",
            clustered,
            0.0,
            factors=2,
        )

        def small(rng, a=a, b=b):
            size = rng.exponential(size=(1, b)) * rng.exponential(
                size=(a, b)
            )  # many denominators near 0
            return {"err": size * (0.2 + 0.02 * rng.normal(size=(a, 1))), "var": size}

        yield Case(
            "ratio of sums, denominators near 0",
            f"{a} × {b}",
            small,
            0.2,
            ratio("err", "var"),
            factors=2,
        )
    for a, b in shapes:

        def sums(rng, a=a, b=b):
            size = rng.lognormal(sigma=1.0, size=(1, b)) * np.ones((a, 1))
            share = 0.2 * np.exp(
                0.1 * rng.normal(size=(a, 1))
                + 0.1 * rng.normal(size=(1, b))
                + 0.1 * rng.normal(size=(a, b))
            )
            return {"err": size * share, "var": size}

        yield Case(
            "ratio of sums, log-normal document sizes",
            f"{a} × {b}",
            sums,
            0.2 * np.exp(0.015),
            ratio("err", "var"),
            factors=2,
        )


def cells_as_units(shapes=((6, 20), (6, 100), (8, 60))):
    """The mistake that crossing avoids: the same cells, taken as independent units of one
    factor."""
    for case in list(two_factors(shapes))[: len(shapes)]:
        n = int(np.prod([int(x) for x in case.units.split(" × ")]))
        yield Case(
            f"{case.name}, cells taken as {n} units",
            case.units,
            lambda rng, w=case.world: {"x": w(rng)["x"].ravel()},
            0.0,
        )


def matched():
    """The difference of two sweeps at equal budget, over their overlap."""

    def world(rng, a=6, b=40):
        terms = {}
        size = rng.lognormal(sigma=0.7, size=(1, b, 1))
        for side, level, budgets in (
            ("a", 0.20, (4.0, 11.0, 32.0)),
            ("b", 0.22, (5.0, 12.0, 38.0)),
        ):
            shift = 0.03 * rng.normal(size=(a, 1, 1))
            l0 = np.array(budgets) * np.exp(
                0.05 * rng.normal(size=(a, 1, 3)) + 0.1 * rng.normal(size=(1, b, 1))
            )
            fvu = (
                level
                * (np.array(budgets) / 12) ** -0.2
                * np.exp(shift + 0.1 * rng.normal(size=(a, b, 1)))
            )
            terms |= {
                f"{side}.l0": l0 * np.ones((a, b, 3)),
                f"{side}.err": size * fvu,
                f"{side}.var": size * np.ones((a, b, 3)),
            }
        return terms

    statistic = at_matched("l0", ratio("err", "var"))
    yield Case(
        "FVU difference at matched L0, 3 penalties",
        "6 × 40",
        world,
        _large_sample(world, statistic),
        statistic,
        factors=2,
    )


def _large_sample(world, statistic):
    """The truth of a world without closed form: the statistic of 4,000 × 40 units, averaged over 20
    such."""
    found = []
    for seed in range(20):
        terms = world(np.random.default_rng([9, seed]), 4_000, 40)
        found.append(float(statistic({k: x.mean((0, 1))[None] for k, x in terms.items()})[0]))
    return float(np.mean(found))


def across(rows, corner="world"):
    """A table with a line for each name and a column for each number of units, of triples (name,
    units, cell); cells are empty where there is none."""
    table = {}
    for name, units, cell in rows:
        table.setdefault(name, {})[units] = cell
    columns = dict.fromkeys(units for cells in table.values() for units in cells)
    yield f"| {corner} | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for name, cells in table.items():
        yield f"| {name} | {' | '.join(cells.get(units, '') for units in columns)} |"


def filled_cells(page):
    """Every cell that is not empty in the tables of a page, by name and column; of two of one
    name and column the first."""
    there = {}
    heads = []
    for line in page.splitlines():
        name, *cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if not line.startswith("|"):
            heads = []
        elif not heads:
            heads = cells
        else:
            found = {(name, h): cell for h, cell in zip(heads, cells, strict=False) if cell}
            there = found | there
    return there


def warned(repeats):
    """How often the units of each law are said to lie apart."""
    for name, draw in (LAWS | APART).items():
        rng = np.random.default_rng(sum(map(ord, name)))
        for n in SIZES:
            share = np.mean([len(find_outliers(draw(rng, n))) > 0 for _ in range(repeats)])
            yield name, f"{n}", f"{share:.1%}"


def covered(cases, repeats, rates):
    """How often the hull of each case contains the truth, and lies falsely below and above it;
    what the catalogue counts with goes into the rates."""
    for case in cases:
        found = simulate(case, repeats)
        if law := COUNTED.get(case.name):
            rates.setdefault(law, {})[case.units] = [
                round(found.false_below, 4),
                round(found.false_above, 4),
            ]
        sides = f"{found.false_below:.1%}/{found.false_above:.1%}"
        yield case.name, case.units, f"{found.hull:.1%} {sides}"


def page(repeats):
    """The lines of catalogue/records/coverage.md; the error rates by law and units go to
    coverage.json on the way."""
    from curve_worlds import page as curves

    error = 100 * np.sqrt(0.95 * 0.05 / repeats)
    rates = {}
    yield f"""# How often the intervals contain the truth

What it means: [how often a verdict is right](../../docs/explanation/evidence.md). Made by `python benchmarks/coverage/interval_worlds.py {repeats}`, with
the code that judges; `pytest -m slow tests/core/test_coverage.py` checks it.
"""  # noqa: E501
    yield from whole_rule()
    yield f"""
## One factor

{repeats:,} worlds a cell, nominal 95 %, standard error ±{error:.1f} %: how often the interval that decides (the hull of Student's t and the t that is
corrected for skew) contains the truth, then how often it lies falsely below/above it.
"""  # noqa: E501
    yield from across(covered(one_factor(), repeats, rates))
    yield """
How often a verdict warns of units that lie apart, by the number of units, sets included in which the rare kind was not drawn:
"""  # noqa: E501
    yield from across(warned(repeats))
    yield """
## Shares, between bounds

By the exact interval, for binary units that of Clopper and Pearson; crossed ones by the hull.
"""
    yield from across(covered(shares(), repeats, rates))
    RATES.write_text(json.dumps(rates, indent=1) + "\n")
    yield """
## Two crossed factors

A cell is the sum of a seed effect, a document effect and noise, each of standard deviation 1 or absent. In the last lines cells are taken as
units: the mistake that crossing avoids.
"""  # noqa: E501
    yield from across(covered((*two_factors(), *matched(), *cells_as_units()), repeats, rates))
    yield ""
    yield from curves(repeats)


COUNTED = {
    "normal units": "normal",
    "exponential units": "exponential",
    "binary, share 0.9": "exact",
}
"""World → the law under which coverage.json has its error rates."""
RATES = Path(__file__).parents[2] / "src" / "assay" / "report" / "coverage.json"

if __name__ == "__main__":
    for line in page(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000):
        print(line, flush=True)
