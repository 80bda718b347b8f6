"""The judging rule a second time, written from docs/verdicts.md alone; test_second_judge.py
compares it with the engine.

Its author had read the page, what a claim consists of (claims.py, measures.py) and the records;
neither the engine nor an earlier second judge. Choices were written down where the page was silent,
then 1,262 answers compared and the engine asked about planted measures. For what came out these
were mended on the page: a mean on a scale can have units that agree, too; the units of all arms but
the method may agree; other arms are judged like controls, with the gate `overlap`, planted ones
with the claim's own gates as well; groups of runs need no more units than runs do; diverged units
count before they leave, leave before the value is computed, and block where too few are left or no
factor is a field of runs.

Not on the page: a cell of several runs is missing if one is; runs of half the training may have
diverged; `where` comes first, and an arm that it leaves empty cannot be asked; several controls are
named with commas, of planted arms the first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import xarray as xr
from scipy import stats

from assay.core.stats import mean

DRAWS = 10_000
"""As many as the page has: two streams of so many put a limit within a fiftieth of the interval's
width of each other."""
SPACINGS = 100_000
LEAST, LEAST_LEVELS = 6, 20
MAP = {
    "plain": (lambda x: x, lambda y: y),
    "log": (np.log, np.exp),
    "log1m": (lambda x: -np.log1p(-x), lambda y: -np.expm1(-y)),
    "logit": (lambda x: np.log(x) - np.log1p(-x), lambda y: 1 / (1 + np.exp(-y))),
}
INSIDE = {
    "plain": (-math.inf, math.inf),
    "log": (0, math.inf),
    "log1m": (-math.inf, 1),
    "logit": (0, 1),
}


@dataclass
class Table:
    """Holds the cells of a claim: terms[name][first factor, second factor, sweep ...], NaN for a
    missing one."""

    terms: dict
    levels: list
    measured: bool
    """Whether all factors are only levels that were measured in runs."""

    @property
    def present(self):
        """Which cells count, [first, second]."""
        return np.all(
            [np.isfinite(x).all(tuple(range(2, x.ndim))) for x in self.terms.values()], axis=0
        )

    @property
    def sizes(self):
        """How many levels each factor has; a second one that is not named has one."""
        return [len(own) for own in self.levels]

    def take(self, first, second):
        """Keeps these positions of the two factors, repeated if they are."""
        levels = [
            [own[i] for i in at] for own, at in zip(self.levels, (first, second), strict=True)
        ]
        return Table(
            {k: x[np.ix_(first, second)] for k, x in self.terms.items()}, levels, self.measured
        )


@dataclass
class Interval:
    """Holds what the cells say, on the scale of judging."""

    estimate: float = math.nan
    low: float = math.nan
    high: float = math.nan
    limits: dict = field(default_factory=dict)
    agree: bool = False
    overlap: bool = True


class Others(Mapping):
    """Notes which of the other arms a value reads."""

    def __init__(self, arms):
        self.arms, self.read = arms, set()

    def __getitem__(self, name):
        self.read.add(name)
        return self.arms[name]

    def __iter__(self):
        return iter(self.arms)

    def __len__(self):
        return len(self.arms)


# From measures to cells


def selected(arm, where):
    """Keeps the runs that a claim is about; None if there are none."""
    for name, wanted in where.items():
        if is_field(arm, name):
            arm = arm.isel(run=arm[name].values == wanted)
        elif arm.attrs.get(name) != wanted:
            return None
    return arm if arm.sizes["run"] else None


def cells(term, units):
    """Gives the levels of each factor and a term's cells over them; runs that share all units are
    averaged."""
    along = [f if f in term.dims else "run" for f in units]
    if any(not is_field(term, f) for f, d in zip(units, along, strict=True) if d != f):
        raise ValueError(f"no units {units}")
    dims = list(dict.fromkeys([*along, *(d for d in term.dims if d == "run")]))
    values = term.transpose(*dims, ...).values.astype(float)
    places = np.indices(values.shape[: len(dims)]).reshape(len(dims), -1)
    levels, at = [], []
    for f, dim in zip(units, along, strict=True):
        names, inverse = np.unique(term[f].values, return_inverse=True)
        levels.append(names.tolist())
        at.append(inverse[places[dims.index(dim)]])
    if len(units) == 1:
        levels.append([None])
        at.append(np.zeros_like(at[0]))
    total = np.zeros([len(levels[0]), len(levels[1]), *values.shape[len(dims) :]])
    count = np.zeros([*total.shape[:2], *(1 for _ in total.shape[2:])])
    np.add.at(total, tuple(at), values.reshape(-1, *total.shape[2:]))
    np.add.at(count, tuple(at), 1)
    with np.errstate(all="ignore"):
        return levels, total / count


def computed(claim, arms, name):
    """Gives the cells of an arm on the claim's scale, and the arms that were read."""
    others = Others({k: a for k, a in arms.items() if k != name})
    with xr.set_options(arithmetic_join="exact"), np.errstate(all="ignore"):
        terms = claim.value(arms[name], others)
    terms = {"value": terms} if isinstance(terms, xr.DataArray) else dict(terms)
    found = {k: cells(x, claim.units) for k, x in terms.items()}
    levels = next(iter(found.values()))[0]
    if any(own != levels for own, _ in found.values()):
        raise ValueError("terms have other levels")
    forward, (least, greatest) = MAP[claim.scale][0], INSIDE[claim.scale]
    if any((x <= least).any() or (x >= greatest).any() for _, x in found.values()):
        raise ValueError("a cell on the bound of the scale, or infinite")
    measured = set(claim.units) <= set(arms[name].dims)
    made = Table({k: forward(x) for k, (_, x) in found.items()}, levels, measured)
    return made.take(
        *(np.flatnonzero(made.present.any(other)) for other in (1, 0))
    ), others.read | {name}


def is_field(arm, name):
    """Says whether each run has a level of its own of this name."""
    return name in arm.coords and arm[name].dims == ("run",)


def without(arms, field, lost):
    """Leaves runs with these levels of a field out of all arms."""
    return {
        k: a.isel(run=~np.isin(a[field].values, list(lost))) if is_field(a, field) else a
        for k, a in arms.items()
    }


def diverged(arm, field):
    """Names the levels that have a diverged run."""
    if "diverged" not in arm or arm["diverged"].dims != ("run",) or not is_field(arm, field):
        return set()
    return set(arm[field].values[arm["diverged"].values.astype(bool)].tolist())


# From cells to an interval


def theta(claim, made, *weights):
    """Gives the statistic for each row of weights of the levels, [draw, level] for both factors; by
    default of all."""
    first, second = weights or [np.ones((1, n)) for n in made.sizes]
    present = made.present
    with np.errstate(all="ignore"):
        weight = np.einsum("da,ab,db->d", first, present.astype(float), second, optimize=True)
        means = {}
        for name, x in made.terms.items():
            known = np.where(present.reshape(*present.shape, *(1 for _ in x.shape[2:])), x, 0.0)
            total = np.einsum("db,db...->...d", second, np.tensordot(first, known, 1))
            means[name] = np.moveaxis(total / weight, -1, 0)
        found = np.asarray(claim.statistic(means), float)
    if found.ndim > 1:
        raise ValueError("a statistic gives one number")
    return found.reshape(-1)


def without_cells(claim, made):
    """Gives the statistic without each single cell."""
    own = {k: x[made.present] for k, x in made.terms.items()}
    with np.errstate(all="ignore"):
        return np.asarray(
            claim.statistic({k: (x.sum(0) - x) / (len(x) - 1) for k, x in own.items()}), float
        ).reshape(-1)


def spread(left_out):
    """Gives the jackknife's variance."""
    return (len(left_out) - 1) / len(left_out) * np.sum((left_out - left_out.mean()) ** 2)


def measure(claim, made):
    """Gives the estimate and its interval."""
    sizes, factors = made.sizes, range(len(claim.units))
    n = min(sizes[f] for f in factors)
    estimate = theta(claim, made)[0] if n else math.nan
    if n < 2:
        return Interval(estimate)
    if claim.bounds:
        return between_bounds(claim, made, estimate)
    left_out = []
    for f in factors:
        weights = [np.ones((sizes[f], m)) for m in sizes]
        weights[f] -= np.eye(sizes[f])
        left_out.append(theta(claim, made, *weights))
    V = sum(spread(x) for x in left_out)
    if len(factors) == 2:
        V = max(V - spread(without_cells(claim, made)), *(spread(x) for x in left_out))
    error, t = math.sqrt(V), stats.t.ppf(0.975, n - 1)

    rng = np.random.default_rng(1)
    draws = theta(
        claim, made, *(rng.multinomial(m, np.full(m, 1 / m), DRAWS).astype(float) for m in sizes)
    )
    undefined = ~np.isfinite(draws)
    at = stats.norm.cdf(np.array([-t, t]) * math.sqrt(n / (n - 1)))
    boot = np.quantile(draws[~undefined], at) if not undefined.all() else (math.nan, math.nan)

    k = sum(
        (len(x) - 1) ** 2 / (len(x) * (len(x) - 2)) * np.sum((x.mean() - x) ** 3)
        for x in left_out
        if len(x) > 2
    )
    c = k / V**1.5 if V > 0 else 0.0

    def h(q):
        return q if abs(c) < 1e-6 else 3 / c * (np.cbrt(1 + c * (q - c / 6)) - 1)

    limits = {
        "boot": tuple(boot),
        "t": (estimate - t * error, estimate + t * error),
        "skew": (estimate - h(t) * error, estimate - h(-t) * error),
    }
    low, high = (
        pick([pair[side] for pair in limits.values()]) for side, pick in enumerate((np.min, np.max))
    )
    overlap = (
        math.isfinite(estimate)
        and undefined.mean() <= 0.01
        and all(np.isfinite(x).all() for x in left_out)
    )
    agree = error <= 1e-15 * abs(estimate) or half_alike(claim, made)
    return Interval(estimate, low, high, limits, agree, overlap)


def half_alike(claim, made):
    """Says whether half or more of the units of a mean have one number."""
    if claim.statistic is not mean or len(claim.units) > 1:
        return False
    (x,) = made.terms.values()
    _, counts = np.unique([f"{v:.11e}" for v in x[made.present]], return_counts=True)
    return 2 * counts.max() >= counts.sum()


def between_bounds(claim, made, estimate):
    """Gives the exact interval of a mean whose units have bounds."""
    (x,) = made.terms.values()
    square = np.zeros(2)
    for f in range(len(claim.units)):
        levels = np.nanmean(np.where(made.present, x, math.nan), 1 - f)
        limits = [
            gaffke(levels, bound, at)
            for bound, at in zip(claim.bounds, (0.025, 0.975), strict=True)
        ]
        square += (np.array(limits) - estimate) ** 2
    low, high = estimate + np.array([-1, 1]) * np.sqrt(square)
    return Interval(estimate, max(low, claim.bounds[0]), min(high, claim.bounds[1]))


def gaffke(levels, bound, at):
    """Gives a percentile of the mean of the levels and a bound under weights that are uniform on
    the simplex."""
    names, counts = np.unique([*levels, bound], return_counts=True)
    weights = np.random.default_rng(2).gamma(counts, size=(SPACINGS, len(names)))
    return np.quantile(weights @ names / weights.sum(1), at)


# From intervals to a verdict


def outcome(claim, low, high):
    """Says whether an interval on the scale of judging holds, fails or straddles."""
    forward = MAP[claim.scale][0]
    edges = [
        float(forward(e)) if math.isfinite(e) else e
        for e in (claim.low, claim.high, *claim.fail_range)
    ]
    if edges[0] <= low and high <= edges[1]:
        return "holds"
    return "fails" if low > edges[3] or high < edges[2] else "straddles"


def few(claim, made):
    """Tells of which factor there are too few units, if of one."""
    needed = LEAST_LEVELS if made.measured else LEAST
    short = [
        f"{n} of {needed} {f}s" for n, f in zip(made.sizes, claim.units, strict=False) if n < needed
    ]
    return f"too few units: {short[0]}" if short else ""


def divergence_decides(claim, factor, made, whole, decided):
    """Says whether the units that have a diverged run are too many, or could have changed the
    outcome."""
    if factor is None or few(claim, made):
        return True
    at = claim.units.index(factor)
    missing = whole.sizes[at] - made.sizes[at]
    if missing > whole.sizes[at] / 4:
        return True
    weights = [np.ones((made.sizes[at], n)) for n in made.sizes]
    weights[at] = np.eye(made.sizes[at])
    own = theta(claim, made, *weights)
    for copied in (np.nanargmin(own), np.nanargmax(own)):
        places = [list(range(n)) for n in made.sizes]
        places[at] += [copied] * missing
        again = measure(claim, made.take(*places))
        if outcome(claim, again.low, again.high) != decided:
            return True
    return False


def survives(claim, arms, field, found, decided):
    """Says whether the outcome stays when the interval moves by what the second half of training
    changed."""
    for pair in claim.half.items():
        for k, other in (pair, pair[::-1]):
            arms = without(
                arms,
                field,
                set(arms[k][field].values.tolist()) - set(arms[other][field].values.tolist()),
            )
    if not arms[claim.of].sizes["run"]:
        return False
    halved = {k: arms[claim.half.get(k, k)] for k in arms}
    full, half = (theta(claim, computed(claim, a, claim.of)[0])[0] for a in (arms, halved))
    return all(
        outcome(claim, found.low + d, found.high + d) == decided for d in (full - half, half - full)
    )


def obstacle(claim, arms, name, gates):
    """Names the first reason not to judge an arm, or nothing; gives its interval."""
    whole, read = computed(claim, arms, name)
    factor = next((f for f in claim.units if is_field(arms[name], f)), None)
    field = factor or "seed"
    lost = set().union(*(diverged(arms[k], field) for k in read))
    arms = without(arms, field, lost)
    made = computed(claim, arms, name)[0] if arms[name].sizes["run"] else whole.take([], [])
    found = measure(claim, made)
    decided = outcome(claim, found.low, found.high)
    if few(claim, whole):
        return few(claim, whole), found
    if lost and divergence_decides(claim, factor, made, whole, decided):
        return "diverged", found
    for gate in gates:
        if not np.all(gate.met(arms[name])):
            return f"gate {gate.name}", found
    if not found.overlap:
        return "gate overlap", found
    if decided == "straddles":
        return "interval straddles", found
    if name == claim.of and name in claim.half and not survives(claim, arms, field, found, decided):
        return "gate converged", found
    if found.agree and name == claim.of:
        return (
            "identical in every unit"
            if decided == "fails" and identical(claim, arms, name)
            else "units agree"
        ), found
    return "", found


def identical(claim, arms, name):
    """Says whether nothing differs in any unit, though the units of the arms that are compared do,
    as turning them by one place shows."""
    made = computed(claim, arms, name)[0]
    unit = claim.units[0]
    if claim.scale != "plain" or any(
        theta(claim, made.take([i], list(range(made.sizes[1]))))[0] for i in range(made.sizes[0])
    ):
        return False
    others = {
        k: a if k == name else a.roll({a[unit].dims[0]: 1})
        for k, a in arms.items()
        if unit in a.coords
    }
    try:
        turned = computed(claim, others, name)[0]
    except Exception:
        return False
    single = [
        theta(claim, turned.take([i], list(range(turned.sizes[1]))))[0]
        for i in range(turned.sizes[0])
    ]
    return all(single) and abs(theta(claim, turned)[0]) <= 1e-9 * max(map(abs, single))


def ask(claim, arms, name, gates=()):
    """Judges one arm in the method's place by its interval."""
    reason, found = obstacle(claim, arms, name, gates)
    decided = (
        "undecided"
        if reason and "identical" not in reason
        else outcome(claim, found.low, found.high)
    )
    back = MAP[claim.scale][1]
    limits = {k: tuple(float(back(x)) for x in pair) for k, pair in found.limits.items()}
    estimate, low, high = (float(back(x)) for x in (found.estimate, found.low, found.high))
    return SimpleNamespace(
        arm=name,
        outcome=decided,
        reason=reason,
        estimate=estimate,
        low=low,
        high=high,
        limits=limits,
    )


def judge(claim, arms):
    """Gives the verdict on a claim, and what every other arm says to it."""
    arms = {k: a for k, whole in arms.items() if (a := selected(whole, claim.where)) is not None}
    verdict = ask(claim, arms, claim.of, claim.gates)
    controls = {name: ask(claim, arms, name) for name in claim.must_fail}
    planted = {name: ask(claim, arms, name, claim.gates) for name in claim.must_hold}
    others = {}
    for name in arms:
        if name == claim.of or name in controls or name in planted:
            continue
        try:
            others[name] = ask(claim, arms, name)
        except Exception:  # the claim cannot be computed there, for whatever reason
            continue
    also = [name for name, a in others.items() if a.outcome == "holds"]
    unnamed = [name for name in also if name not in claim.also and name != claim.half.get(claim.of)]
    missed = [name for name, a in planted.items() if a.outcome != "holds"]
    satisfied = [name for name, a in controls.items() if a.outcome == "holds"]
    open_ones = [name for name, a in controls.items() if a.outcome == "undecided"]
    if missed and verdict.reason in ("", "interval straddles"):
        told = ("undecided", f"planted {missed[0]} not found")
    elif verdict.outcome == "holds" and satisfied:
        told = ("unspecific", f"control {', '.join(satisfied)} satisfies it too")
    elif verdict.outcome == "holds" and unnamed:
        told = (
            "unspecific",
            f"{', '.join(unnamed)} {'satisfy' if unnamed[1:] else 'satisfies'} it too",
        )
    elif verdict.outcome == "holds" and open_ones:
        told = ("undecided", f"control {', '.join(open_ones)} undecided")
    else:
        told = (verdict.outcome, verdict.reason)
    verdict.outcome, verdict.reason = told
    return SimpleNamespace(
        verdict=verdict, controls=controls, planted=planted, others=others, also=also
    )
