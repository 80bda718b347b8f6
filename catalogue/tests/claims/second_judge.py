"""The judging rule a second time, written from docs/verdicts.md alone; test_second_judge.py
compares it with the engine.

Written for the first edition of the rule and rewritten for the second, from the page again: no code
of the engine's is used but the statistics that claims are made of, with their own contrasts.

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
"""As many as the page has; they only tell whether a statistic is defined."""
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
    V: float = math.nan
    k: float = math.nan
    nu: float = math.nan
    between: tuple | None = None
    """The bounds and the units of exact limits."""

    def at(self, level):
        """Gives the limits at another level."""
        if self.between:
            return exact(*self.between, level)
        return hull(self.estimate, self.V, self.k, self.nu, level)[:2]


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


def theta(statistic, made, *weights):
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
        found = np.asarray(statistic(means), float)
    if found.ndim > 1:
        raise ValueError("a statistic gives one number")
    return found.reshape(-1)


def without_cells(statistic, made):
    """Gives the statistic without each single cell."""
    own = {k: x[made.present] for k, x in made.terms.items()}
    with np.errstate(all="ignore"):
        return np.asarray(
            statistic({k: (x.sum(0) - x) / (len(x) - 1) for k, x in own.items()}), float
        ).reshape(-1)


def spread(left_out):
    """Gives the jackknife's variance."""
    return (len(left_out) - 1) / len(left_out) * np.sum((left_out - left_out.mean()) ** 2)


def moments(statistic, claim, made):
    """Gives V, k, ν and whether the statistic is defined with one unit left out."""
    sizes, factors = made.sizes, range(len(claim.units))
    left_out = []
    for f in factors:
        weights = [np.ones((sizes[f], m)) for m in sizes]
        weights[f] -= np.eye(sizes[f])
        left_out.append(theta(statistic, made, *weights))
    single = [spread(x) for x in left_out]
    k = sum(((len(x) - 1) / len(x)) ** 1.5 * np.sum((x.mean() - x) ** 3) for x in left_out)
    V, nu = single[0], sizes[0] - 1.0
    if len(factors) == 2:
        V = max(sum(single) - spread(without_cells(statistic, made)), *single)
        share = sum(v**2 / (m - 1) for v, m in zip(single, sizes, strict=True))
        nu = V**2 / share if share > 0 else min(sizes) - 1.0
    return V, k, nu, all(np.isfinite(x).all() for x in left_out)


def hull(estimate, V, k, nu, level=0.95):
    """Gives the limits of the hull, then those of t and of t corrected for skew."""
    t, error = stats.t.ppf((1 + level) / 2, nu), math.sqrt(V) if V >= 0 else math.nan
    c = k / V**1.5 if V > 0 else 0.0

    def h(q):
        return q if abs(c) < 1e-6 else 3 / c * (np.cbrt(1 + c * (q - c / 6)) - 1)

    plain = (estimate - t * error, estimate + t * error)
    skewed = (estimate - h(t) * error, estimate - h(-t) * error)
    return min(plain[0], skewed[0]), max(plain[1], skewed[1]), plain, skewed


def measure(claim, made, draws=DRAWS):
    """Gives the estimate and its interval."""
    sizes, factors = made.sizes, range(len(claim.units))
    n = min(sizes[f] for f in factors)
    estimate = theta(claim.statistic, made)[0] if n else math.nan
    if n < 2:
        return Interval(estimate)
    V, k, nu, whole = moments(claim.statistic, claim, made)
    bounds = exact_bounds(claim, made)
    if bounds:
        (x,) = made.terms.values()
        # Of crossed factors only the cells of a diagonal are independent.
        levels = x[made.present] if len(claim.units) == 1 else np.diagonal(x)
        low, high = exact(levels, estimate, bounds)
        return Interval(estimate, low, high, V=V, k=k, nu=nu, between=(levels, estimate, bounds))
    share = undefined(claim.statistic, made, draws)
    low, high, plain, skewed = hull(estimate, V, k, nu)
    agree = math.sqrt(V) <= 1e-15 * abs(estimate) or half_alike(claim, made)
    overlap = math.isfinite(estimate) and share <= 0.01 and whole
    return Interval(estimate, low, high, {"t": plain, "skew": skewed}, agree, overlap, V, k, nu)


def undefined(statistic, made, draws):
    """Gives the share of draws in which a statistic is no number."""
    if not draws:
        return 0.0
    rng = np.random.default_rng(1)
    drawn = (rng.multinomial(m, np.full(m, 1 / m), draws).astype(float) for m in made.sizes)
    return 1 - np.isfinite(theta(statistic, made, *drawn)).mean()


def exact_bounds(claim, made):
    """Gives the bounds of exact limits, if there are some."""
    natural, bounds = claim.natural or (math.inf, math.inf), claim.bounds
    if not bounds and claim.statistic is mean and claim.scale == "plain":
        (x,) = made.terms.values()
        binary = all(map(math.isfinite, natural)) and np.isin(x[made.present], natural).all()
        bounds = natural if binary else None
    if len(claim.units) == 2 and bounds:
        (x,) = made.terms.values()
        whole = any((x == end).all() for end in bounds)
        return bounds if whole else None
    return bounds


def half_alike(claim, made):
    """Says whether half or more of the units of a mean have one number."""
    if claim.statistic is not mean or len(claim.units) > 1:
        return False
    (x,) = made.terms.values()
    _, counts = np.unique([f"{v:.11e}" for v in x[made.present]], return_counts=True)
    return 2 * counts.max() >= counts.sum()


def exact(levels, estimate, bounds, level=0.95):
    """Gives the exact interval of a mean whose units have bounds."""
    ends = ((1 - level) / 2, (1 + level) / 2)
    low, high = (gaffke(levels, bound, at) for bound, at in zip(bounds, ends, strict=True))
    return max(min(low, estimate), bounds[0]), min(max(high, estimate), bounds[1])


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
    own = theta(claim.statistic, made, *weights)
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
    full, half = (
        theta(claim.statistic, computed(claim, a, claim.of)[0])[0] for a in (arms, halved)
    )
    change = full - half
    ends = [found.low + change, found.high + change]
    if claim.distance:
        inside = np.linspace(*ends, 10_001)
        ends = [abs(inside).min(), abs(inside).max()]
    if found.between:
        ends = np.clip(ends, *found.between[2])
    return outcome(claim, *ends) == decided


def obstacle(claim, arms, name, gates):
    """Names the first reason not to judge an arm, or nothing; gives its interval and its cells."""
    whole, read = computed(claim, arms, name)
    factor = next((f for f in claim.units if is_field(arms[name], f)), None)
    field = factor or "seed"
    lost = set().union(*(diverged(arms[k], field) for k in read))
    arms = without(arms, field, lost)
    made = computed(claim, arms, name)[0] if arms[name].sizes["run"] else whole.take([], [])
    found = measure(claim, made)
    decided = outcome(claim, found.low, found.high)
    if few(claim, whole):
        return few(claim, whole), found, made
    if lost and divergence_decides(claim, factor, made, whole, decided):
        return "diverged", found, made
    for gate in gates:
        if not np.all(gate.met(arms[name])):
            return f"gate {gate.name}", found, made
    if not found.overlap:
        return "gate overlap", found, made
    if decided == "straddles":
        return "interval straddles", found, made
    if name == claim.of and name in claim.half and not survives(claim, arms, field, found, decided):
        return "gate converged", found, made
    if found.agree and name == claim.of:
        return (
            (
                "identical in every unit"
                if decided == "fails" and identical(claim, arms, name)
                else "units agree"
            ),
            found,
            made,
        )
    return "", found, made


def identical(claim, arms, name):
    """Says whether nothing differs in any unit, though the units of the arms that are compared do,
    as turning them by one place shows."""
    made = computed(claim, arms, name)[0]
    unit = claim.units[0]
    if claim.scale != "plain" or any(
        theta(claim.statistic, made.take([i], list(range(made.sizes[1]))))[0]
        for i in range(made.sizes[0])
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
        theta(claim.statistic, turned.take([i], list(range(turned.sizes[1]))))[0]
        for i in range(turned.sizes[0])
    ]
    return all(single) and abs(theta(claim.statistic, turned)[0]) <= 1e-6 * max(map(abs, single))


def ask(claim, arms, name, gates=()):
    """Judges one arm in the method's place by its interval."""
    reason, found, made = obstacle(claim, arms, name, gates)
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
        found=found,
        made=made,
        lacks=lacks(claim, arms[name]),
    )


def lacks(claim, arm):
    """Says whether a part that the claim credits was not learned in an arm."""
    parts = arm.attrs.get("learned parts")
    return parts is not None and (not claim.credits or bool(set(claim.credits) - set(parts)))


def place(claim, low, high):
    """Says on which side of the range to hold an interval lies wholly, if on one: -1, 0 or 1."""
    forward = MAP[claim.scale][0]
    least, most = (float(forward(e)) if math.isfinite(e) else e for e in (claim.low, claim.high))
    return -1 if high < least else 1 if low > most else 0


def clear(answer):
    """Says whether an arm could be judged but for the width of its interval."""
    return answer.reason in ("", "interval straddles", "not told from the method")


def beaten(claim, own, control):
    """Says whether the method lies beyond a control, on the side away from it."""
    side = -place(claim, *control.found.at(0.8))
    statistic = claim.statistic
    ways = [getattr(statistic, "contrast", None) or (lambda m, c: statistic(m) - statistic(c))]
    if getattr(statistic, "is_ratio", False):
        ways.insert(0, lambda m, c: np.log(statistic(m)) - np.log(statistic(c)))
    for way in ways:
        estimate, V, k, nu, share = difference(claim, own.made, control.made, way)
        if share <= 0.01:
            break
    low, high = hull(estimate, V, k, nu)[:2]
    if share <= 0.01 and (low if side > 0 else -high) > claim.beats:
        return True
    gap = own.found.low - control.found.high if side > 0 else control.found.low - own.found.high
    return bool(own.found.between and control.found.between and gap > claim.beats)


def difference(claim, own, control, way):
    """Gives estimate, V, k, ν of a contrast, and the share of draws in which it is no number: on
    common levels, or as of independent arms."""
    draws = 0 if claim.statistic is mean else DRAWS
    common = [
        [k for k in mine if k in set(theirs)]
        for mine, theirs in zip(own.levels, control.levels, strict=True)
    ]
    if all(len(c) >= LEAST for c in common[: len(claim.units)]):
        sides = [
            made.take(
                *(
                    [levels.index(k) for k in c]
                    for levels, c in zip(made.levels, common, strict=True)
                )
            )
            for made in (own, control)
        ]
        terms = {(s, k): x for s, made in enumerate(sides) for k, x in made.terms.items()}
        both = Table(terms, common, own.measured)
        both = both.take(*(np.flatnonzero(both.present.any(other)) for other in (1, 0)))
        if min(both.sizes[: len(claim.units)]) >= LEAST:

            def paired(m):
                mine, theirs = ({k: x for (s, k), x in m.items() if s == side} for side in (0, 1))
                return way(mine, theirs)

            V, k, nu, whole = moments(paired, claim, both)
            share = undefined(paired, both, draws) if whole else 1.0
            return theta(paired, both)[0], V, k, nu, share
    full = [{k: x[made.present].mean(0) for k, x in made.terms.items()} for made in (own, control)]

    def repeated(m, side):
        n = len(next(iter(m.values())))
        return {k: np.stack([x] * n) for k, x in full[side].items()}

    alone = (
        (own, lambda m: way(m, repeated(m, 1))),
        (control, lambda m: way(repeated(m, 0), m)),
    )
    parts = [moments(single, claim, made) for made, single in alone]
    V, k = parts[0][0] + parts[1][0], parts[0][1] + parts[1][1]
    welch = sum(v**2 / nu for v, _, nu, _ in parts)
    share = max(undefined(single, made, draws) for made, single in alone)
    share = share if all(whole for *_, whole in parts) else 1.0
    estimate = theta(alone[0][1], own)[0]
    return estimate, V, k, V**2 / welch if welch > 0 else min(nu for *_, nu, _ in parts), share


def as_control(claim, own, control):
    """Judges a control as such."""
    if control.outcome == "holds" or not clear(control):
        return
    if not place(claim, *control.found.at(0.8)):
        control.outcome, control.reason = "undecided", "interval straddles"
    elif own.outcome == "holds" and not beaten(claim, own, control):
        control.outcome, control.reason = "undecided", "not told from the method"
    else:
        control.outcome, control.reason = "fails", ""


def nothing(claim):
    """Gives the value for nothing, on the scale of judging."""
    if claim.empty is None and claim.scale in ("log", "logit"):
        return math.nan
    return float(MAP[claim.scale][0](claim.empty or 0.0))


def outside(claim, answer):
    """Says whether an arm is found to lie outside of the range to hold."""
    return clear(answer) and place(claim, answer.found.low, answer.found.high) != 0


def blind(claim, controls, violations):
    """Says why a null claim shows too little, if it does."""
    missed = [name for name, a in violations.items() if not outside(claim, a)]
    if missed:
        return f"violation {missed[0]} not found"
    forward = MAP[claim.scale][0]
    for a in [*violations.values(), *controls.values()]:
        side = place(claim, a.found.low, a.found.high)
        if outside(claim, a):
            edge = float(forward(claim.high if side > 0 else claim.low))
            if abs(a.found.estimate - nothing(claim)) <= 2 * abs(edge - nothing(claim)):
                return ""
    return "blind"


def judge(claim, arms):
    """Gives the verdict on a claim, and what every other arm says to it."""
    arms = {k: a for k, whole in arms.items() if (a := selected(whole, claim.where)) is not None}
    verdict = ask(claim, arms, claim.of, claim.gates)
    controls = {name: ask(claim, arms, name) for name in claim.must_fail}
    for control in controls.values():
        as_control(claim, verdict, control)
    planted = {name: ask(claim, arms, name, claim.gates) for name in claim.must_hold}
    violations = {name: ask(claim, arms, name) for name in claim.violations}
    others = {}
    for name in arms:
        if name == claim.of or name in {*controls, *planted, *violations}:
            continue
        try:
            others[name] = ask(claim, arms, name)
        except Exception:  # the claim cannot be computed there, for whatever reason
            continue
    every = {**controls, **planted, **violations, **others}
    missed = [name for name, a in planted.items() if a.outcome != "holds"]
    satisfied = [name for name, a in controls.items() if a.outcome == "holds"]
    unlearned = [name for name, a in every.items() if a.lacks and a.outcome == "holds"]
    open_ones = [name for name, a in controls.items() if a.outcome == "undecided"]
    forward = MAP[claim.scale][0]
    ends = [float(forward(e)) if math.isfinite(e) else e for e in (claim.low, claim.high)]
    null = ends[0] < nothing(claim) < ends[1] and not any(
        a.lacks and outside(claim, a) for a in every.values()
    )
    holds = verdict.outcome == "holds"
    told = (verdict.outcome, verdict.reason)
    if missed and verdict.reason in ("", "interval straddles"):
        told = ("undecided", f"planted {missed[0]} not found")
    elif holds and satisfied:
        told = ("unspecific", f"control {', '.join(satisfied)} satisfies it too")
    elif holds and null and blind(claim, controls, violations):
        told = ("undecided", blind(claim, controls, violations))
    elif holds and unlearned and not null:
        satisfy = "satisfy" if unlearned[1:] else "satisfies"
        told = ("unspecific", f"{', '.join(unlearned)} {satisfy} it too, unlearned")
    elif holds and open_ones:
        told = ("undecided", f"control {open_ones[0]} not beaten")
    verdict.outcome, verdict.reason = told
    also = [name for name, a in others.items() if a.outcome == "holds"]
    return SimpleNamespace(
        verdict=verdict,
        controls=controls,
        planted=planted,
        violations=violations,
        others=others,
        also=also,
    )
