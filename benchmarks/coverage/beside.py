"""How often the intervals and verdicts of `assay.verdicts.rule` are right, beside those of the rule
before it, on the same data; prints beside.md.

Goal: never more than 1.5 points below the old ones; at most 3 % of claims whose truth is the
threshold hold, and no more than with the old rule where units are skewed.
Run: python benchmarks/coverage/beside.py [WORLDS] > benchmarks/coverage/beside.md
"""

import sys
from collections.abc import Iterator

import numpy as np
import rule_worlds as worlds
from interval_worlds import Case, across, cells_as_units, matched, one_factor, shares, two_factors

from assay.core import bounded, intervals
from assay.verdicts.rule import Control, Hypothesis, Sample, interval, judge
from assay.verdicts.statistics import pseudo_values

SIZES = (6, 8, 12, 16, 24, 36, 48)
DROP, EDGE = 1.5, 3.0
Row = tuple[str, str, str]
"""A world, its units, and what was found."""


def sample(case: Case, terms: dict[str, np.ndarray]) -> Sample:
    """The terms of a world as the new rule reads them: its mean, its ratio, or the pseudo-values of
    its own function."""
    formula, shape = "x0", next(iter(terms.values())).shape[: case.factors]
    if len(terms) > 2:
        terms = {"x": own(case, terms)}
    elif len(terms) == 2:
        formula = "x0 / x1"
    cells = np.stack([np.broadcast_to(x, shape).ravel() for x in terms.values()], 1)
    return Sample(cells, labels(shape), formula, case.bounds, exact=True)


def labels(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """The units of each cell."""
    return {f"factor {k}": x.ravel() for k, x in enumerate(np.indices(shape))}


def own(case: Case, terms: dict[str, np.ndarray]) -> np.ndarray:
    """The pseudo-values of a world's statistic of two factors."""

    def without(axis: int, k: int) -> float:
        means = {name: np.delete(x, k, axis).mean((0, 1)) for name, x in terms.items()}
        return float(case.statistic({name: x[None] for name, x in means.items()})[0])

    means = {name: x.mean((0, 1))[None] for name, x in terms.items()}
    known = [np.ones(n, bool) for n in next(iter(terms.values())).shape[:2]]
    return pseudo_values(float(case.statistic(means)[0]), without, known)


def covered(case: Case, count: int) -> np.ndarray:
    """How often the old and the new interval contain the truth, and lie below and above it, in
    percent, [rule, share]."""
    rng, limits = np.random.default_rng(sum(map(ord, case.name + case.units))), []
    for _ in range(count):
        terms = case.world(rng)
        if case.bounds is None:
            old = intervals.interval(terms, case.statistic, factors=case.factors, draws=1)
        else:
            (x,) = terms.values()
            old = bounded.bounded_mean([x], float(x.mean()), case.bounds)
        limits.append([(old.low, old.high), interval(sample(case, terms)).limits()])
    low, high = np.array(limits).T
    low, high = np.nan_to_num(low, nan=-np.inf), np.nan_to_num(high, nan=np.inf)
    inside = (low <= case.truth) & (case.truth <= high)
    return 100 * np.stack([inside, high < case.truth, low > case.truth]).mean(2).T


def decided(
    method: np.ndarray, control: np.ndarray, threshold: float, bounds: tuple[float, float] | None
) -> np.ndarray:
    """How many tables hold, fail and are unspecific by the old and by the new rule, in percent."""
    old = worlds.decided(method, control, threshold)
    h = Hypothesis(threshold, controls=(Control("control", ("control",)),))
    shape = method.shape[1:] if method.shape[2] > 1 else method.shape[1:2]
    of = lambda x: Sample(x.reshape(-1, 1), labels(shape), bounds=bounds)  # noqa: E731
    pairs = zip(method, control, strict=True)
    found = [judge(h, {"main": of(x), "control": of(y)}).outcome for x, y in pairs]
    new = [found.count(outcome) / len(found) for outcome in ("holds", "fails", "unspecific")]
    return 100 * np.array([old[:3], new])


def verdicts(count: int) -> Iterator[tuple[str, str, np.ndarray, bool]]:
    """Each world of the whole rule, its units, the shares, and whether its truth is the edge."""
    for name, effects in worlds.EFFECTS.items():
        for shape in ((6, 1), (8, 1), (12, 1), (24, 1), (48, 1), (6, 24), (8, 40)):
            arms = worlds.tables(effects, shape, of=count, seed=1)
            units = f"{shape[0]}" if shape[1] == 1 else f"{shape[0]} × {shape[1]}"
            yield name, units, decided(*arms, worlds.MARGIN, None), effects == (1, 0)
    for name, draw in worlds.LAWS.items():
        for n in SIZES:
            for effect in (1, 2):
                arms = worlds.tables((effect, 0), (n, 1), draw, of=count, seed=2)
                edge = f"{name}, {'twice' if effect == 2 else 'on'} the threshold"
                yield edge, f"{n}", decided(*arms, worlds.MARGIN, None), effect == 1
    for pair in ((0.7, 0.5), (0.95, 0.5), (0.95, 0.85), (0.95, 0.95)):
        for spreads in ((0, 0), worlds.SEEDS_AND_DOCUMENTS, (1, 1)):
            arms = worlds.answers(pair, spreads, of=count, seed=1)
            name = f"right answers, .7 asked: {pair[0]:g}, control {pair[1]:g}; spreads {spreads}"
            yield name, "6 × 24", decided(*arms, 0.7, (0, 1)), pair[0] == 0.7


def cell(shares: np.ndarray) -> str:
    """The new shares, and the old ones in brackets where they differ."""
    old, new = ("/".join(f"{x:.1f}" for x in row) for row in shares)
    return new if new == old else f"{new} ({old})"


def page(count: int) -> Iterator[str]:
    """The lines of beside.md; what misses the goal comes last."""
    yield "# The rule, beside the one before it"
    yield f"""
{count:,} worlds a cell, by `python benchmarks/coverage/beside.py {count}`; where the old rule finds
otherwise on the same data, its shares are in brackets. How often the interval contains the truth,
and how often it lies below/above it, in percent; where a divisor may be 0 there is no interval, and
nothing is decided:
"""
    missed, rows = list[str](), list[Row]()
    cases = [*one_factor(SIZES), *shares(SIZES), *two_factors(), *matched(), *cells_as_units()]
    for case in cases:
        found = covered(case, count)
        rows.append((case.name, case.units, cell(found)))
        if found[1, 0] < found[0, 0] - DROP:
            missed.append(f"{case.name}, {case.units}: covers {found[1, 0]:.1f}, {found[0, 0]:.1f}")
    yield from across(rows)
    yield "\nHow often a claim with one control *holds*, *fails* and is *unspecific*, in percent:\n"
    rows, skewed = [], dict[str, None]()
    for name, units, found, edge in verdicts(count):
        rows.append((name, units, cell(found)))
        old, new = found[:, 0]
        if (edge and new > max(EDGE, old)) or (not edge and abs(new - old) > DROP):
            missed.append(f"{name}, {units}: holds {new:.1f}, before {old:.1f}")
        elif edge and new > EDGE:
            skewed |= {name: None}
    yield from across(rows)
    yield f"\nMore than {EDGE:g} % hold, as with the old rule: {'; '.join(skewed) or 'none'}."
    yield f"\nMissed: {'; '.join(missed) or 'none'}."


if __name__ == "__main__":
    for line in page(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000):
        print(line, flush=True)
