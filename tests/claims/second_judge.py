"""The judging rule a second time, written in other code from docs/verdicts.md, so that a slip in either shows as a disagreement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from scipy import special, stats

DRAWS = 2000
SCALES = {
    "plain": (lambda x: x, lambda y: y),
    "log": (np.log, np.exp),
    "log1m": (lambda x: -np.log1p(-x), lambda y: -np.expm1(-y)),
    "logit": (special.logit, special.expit),
}


class NotComputable(Exception):
    """The value of a claim could not be computed on an arm."""


@dataclass
class Answer:
    """What one arm says: an outcome, the first reason against it, and the numbers behind both, in the claim's own unit."""

    arm: str
    outcome: str
    reason: str
    estimate: float
    low: float
    high: float
    limits: dict[str, tuple[float, float]]
    n: dict[str, int]
    dropped: int
    gates: dict[str, bool]


@dataclass
class Judgement:
    """What a claim gets: its method's answer, and what its controls, planted effects and other arms say."""

    verdict: Answer
    controls: dict[str, Answer]
    planted: dict[str, Answer]
    others: dict[str, Answer]

    @property
    def also(self) -> list[str]:
        """The other arms that satisfy the claim too."""
        return [arm for arm, answer in self.others.items() if answer.outcome == "holds"]


class Others(Mapping):
    """The arms but the one in the method's place, with only the runs asked for; it remembers which were read."""

    def __init__(self, arms, own: str, where, lost=frozenset(), swap=None):
        self.arms, self.own, self.where, self.lost, self.swap = arms, own, where, lost, swap or {}
        self.read: set[str] = set()

    def take(self, name: str) -> xr.Dataset:
        """The measures of an arm, the one in the method's place included."""
        name = self.swap.get(name, name)
        arm = _where(self.arms[name], self.where)
        self.read.add(name)
        for unit, level in self.lost:
            arm = arm.isel(run=np.flatnonzero(arm[unit].values != level)) if unit in arm.coords else arm
        return arm

    def __getitem__(self, name: str) -> xr.Dataset:
        if name == self.own:
            raise KeyError(f"{name} would be compared with itself")
        return self.take(name)

    def __contains__(self, name) -> bool:
        return name != self.own and name in self.arms

    def __iter__(self):
        return (name for name in self.arms if name != self.own)

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass
class Cells:
    """The numbers of one arm: per term an array [cell, ...], and for each cell the index of its level in each factor."""

    terms: dict[str, np.ndarray]
    levels: list[np.ndarray]
    """Per factor, the level of every cell."""
    n: list[int]
    lost: int = 0
    """Units left out because a run of theirs diverged."""
    filled: list[Cells] = field(default_factory=list)
    """The same with the lost units at the lowest, and at the highest, of the others."""

    def estimate(self, statistic) -> float:
        """The statistic of the means over all cells."""
        try:
            found = self.theta(statistic, np.ones((1, len(self.levels[0]))))
        except Exception as e:
            raise NotComputable(str(e)) from e
        if found.shape != (1,):
            raise NotComputable("the statistic gives more than one number")
        return float(found[0])

    def theta(self, statistic, weights: np.ndarray) -> np.ndarray:
        """The statistic of the means that each row of `weights` [draw, cell] gives."""
        with np.errstate(all="ignore"):
            total = weights.sum(1)
            means = {k: np.tensordot(weights, x, 1) / total.reshape(-1, *[1] * (x.ndim - 1)) for k, x in self.terms.items()}
            return np.asarray(statistic(means), dtype=float)

    def without(self, factor: int) -> np.ndarray:
        """Weights that leave out one level of a factor at a time."""
        return (np.arange(self.n[factor])[:, None] != self.levels[factor]).astype(float)

    def drawn(self, rng: np.random.Generator) -> np.ndarray:
        """Weights of draws with replacement, of each factor by itself."""
        weights = np.ones((DRAWS, len(self.levels[0])))
        for n, level in zip(self.n, self.levels, strict=True):
            weights *= rng.multinomial(n, np.full(n, 1 / n), DRAWS)[:, level]
        return weights


def judge(claim, arms: dict[str, xr.Dataset]) -> Judgement:
    """The verdict of a claim on the measures of all arms of its experiment."""
    verdict = _answer(claim, arms, claim.of, method=True)
    controls = {arm: _answer(claim, arms, arm) for arm in claim.must_fail}
    planted = {arm: _answer(claim, arms, arm) for arm in claim.must_hold}
    others = {}
    for arm in arms:
        if arm not in (claim.of, *controls, *planted):
            try:
                others[arm] = _answer(claim, arms, arm, quick=True)
            except NotComputable:
                continue
    judgement = Judgement(verdict, controls, planted, others)
    verdict.outcome, verdict.reason = _final(claim, judgement)
    return judgement


def _final(claim, j: Judgement) -> tuple[str, str]:
    """The outcome after planted effects, controls and other arms were heard, with the first reason that applies."""
    if j.verdict.outcome == "undecided" and j.verdict.reason != "interval straddles":
        return "undecided", j.verdict.reason
    unfound = [arm for arm, a in j.planted.items() if a.outcome != "holds"]
    if unfound:
        return "undecided", f"planted {unfound[0]} not found"
    if j.verdict.outcome != "holds":
        return j.verdict.outcome, j.verdict.reason
    satisfied = [arm for arm, a in j.controls.items() if a.outcome == "holds"]
    if satisfied:
        return "unspecific", f"control {', '.join(satisfied)} satisfies it too"
    satisfied = [arm for arm in j.also if arm not in claim.also and arm != claim.half.get(claim.of)]
    if satisfied:
        return "unspecific", f"{', '.join(satisfied)} {'satisfies' if len(satisfied) == 1 else 'satisfy'} it too"
    open_ = [arm for arm, a in j.controls.items() if a.outcome == "undecided"]
    return ("undecided", f"control {open_[0]} undecided") if open_ else ("holds", "")


def _answer(claim, arms, name: str, *, method: bool = False, quick: bool = False) -> Answer:
    """What one arm says by itself in the method's place; gates and agreeing units only count for the method."""
    cells = _cells(claim, arms, name)
    interval = _Interval(claim, cells, skip=quick)
    low, high = interval.hull
    outcome = _stands(claim, low, high)
    gates: dict[str, bool] = {}
    if method:
        gates = {gate.name: bool(np.all(gate.met(_where(arms[name], claim.where)))) for gate in claim.gates if cells.n[0]}
        if claim.half and outcome != "straddles":
            gates["converged"] = gates.get("converged", True) and _survives(claim, arms, interval)
        if interval.undefined:
            gates["overlap"] = False
    reason = next(_reasons(claim, _where(arms[name], claim.where), cells, interval, gates, outcome, method), "")
    back = SCALES[claim.scale][1]
    return Answer(
        arm=name,
        outcome="undecided" if reason else outcome,
        reason=reason,
        estimate=float(back(interval.theta)),
        low=float(back(low)),
        high=float(back(high)),
        limits={k: (float(back(a)), float(back(b))) for k, (a, b) in interval.limits.items()},
        n=dict(zip(claim.units, cells.n, strict=True)),
        dropped=cells.lost,
        gates=gates,
    )


def _reasons(claim, arm, cells: Cells, interval: _Interval, gates, outcome: str, method: bool) -> Iterator[str]:
    """The reasons against an outcome, the first one first."""
    least = 20 if "run" in arm.dims and all(unit in arm.dims for unit in claim.units) else 6
    asked = [cells.n[0] + cells.lost, *cells.n[1:]]
    if min(asked) < least:
        yield "too few units"
    if min(cells.n) < least or cells.lost > asked[0] / 4:
        yield "diverged"
    filled = [_stands(claim, *_Interval(claim, f).hull) for f in cells.filled]
    if cells.lost and filled != [outcome, outcome]:
        yield "diverged"
    for gate in (gate for gate, met in gates.items() if not met):
        yield f"gate {gate}"
    if outcome == "straddles":
        yield "interval straddles"
    if method and interval.agree:
        yield "units agree"


def _survives(claim, arms, interval: _Interval) -> bool:
    """Whether the outcome stays when the interval is moved by the change since half the training, both ways.

    The change is that of the per-run units that both lengths have.
    """
    for unit in claim.units:
        had = [set(arms[half][unit].values.tolist()) for half in claim.half.values() if unit in arms[half].coords]
        if had and arms[claim.of][unit].dims == ("run",):
            both = list(set.intersection(*had))
            arms = {k: a.isel(run=np.flatnonzero(np.isin(a[unit], both))) if unit in a.coords else a for k, a in arms.items()}
    full, half = (_cells(claim, arms, claim.of, swap) for swap in ({}, claim.half))
    change = abs(full.estimate(claim.statistic) - half.estimate(claim.statistic))
    low, high = interval.hull
    return len({_stands(claim, low + by, high + by) for by in (-change, 0, change)}) == 1


def _edges(claim) -> tuple[float, float, float, float]:
    """The range to hold and the range outside of which the claim fails, on the claim's scale."""
    onto = SCALES[claim.scale][0]
    with np.errstate(all="ignore"):
        return tuple(float(onto(e)) if np.isfinite(e) else e for e in (claim.low, claim.high, *claim.fail_range))


def _stands(claim, low: float, high: float) -> str:
    """Whether an interval lies within the range to hold, wholly outside of the range to fail, or neither."""
    least, most, fail_least, fail_most = _edges(claim)
    if least <= low and high <= most:
        return "holds"
    return "fails" if high < fail_least or low > fail_most else "straddles"


class _Interval:
    """The estimate of some cells and its interval: the hull of three, or the exact one between bounds."""

    def __init__(self, claim, cells: Cells, skip: bool = False):
        self.claim, self.cells, self.limits = claim, cells, {}
        self.hull, self.theta, self.agree, self.undefined = (np.nan, np.nan), np.nan, False, False
        if not cells.n[0]:
            return
        self.theta = cells.estimate(claim.statistic)
        if claim.bounds:
            self.hull = self.limits["exact"] = self._exact()
            return
        if min(cells.n) < 3:
            return
        self.t = stats.t.ppf(0.975, min(cells.n) - 1)
        self._student()
        if skip and _stands(claim, *self.limits["t"]) != "holds":
            self.hull = self.limits["t"]
            return
        self._bootstrap()
        ends = np.array(list(self.limits.values()))
        self.hull = float(ends[:, 0].min()), float(ends[:, 1].max())

    def _student(self) -> None:
        """Student's t from leaving units out, and the same corrected for skew."""
        claim, cells = self.claim, self.cells
        left_out = [cells.theta(claim.statistic, cells.without(f)) for f in range(len(cells.n))]
        spread = [(n - 1) / n * ((x - x.mean()) ** 2).sum() for n, x in zip(cells.n, left_out, strict=True)]
        V = spread[0]
        if len(spread) == 2:
            single = cells.theta(claim.statistic, 1 - np.eye(len(cells.levels[0])))
            both = (len(single) - 1) / len(single) * ((single - single.mean()) ** 2).sum()
            V = max(sum(spread) - both, *spread)
        k = sum((n - 1) ** 2 / (n * (n - 2)) * ((x.mean() - x) ** 3).sum() for n, x in zip(cells.n, left_out, strict=True))
        c = k / V**1.5 if V > 0 else 0.0

        def h(q: float) -> float:
            return q if abs(c) < 1e-6 else 3 / c * (np.cbrt(1 + c * (q - c / 6)) - 1)

        error = np.sqrt(V)
        self.limits["t"] = (self.theta - self.t * error, self.theta + self.t * error)
        self.limits["skew"] = (self.theta - h(self.t) * error, self.theta - h(-self.t) * error)
        self.undefined = not all(np.isfinite(x).all() for x in left_out) or not np.isfinite(self.theta)
        plain = claim.statistic is type(claim).__dataclass_fields__["statistic"].default
        points = cells.theta(claim.statistic, 1 - cells.without(0))
        alike = max(np.unique([f"{x:.11e}" for x in points if not np.isnan(x)], return_counts=True)[1], default=0)
        self.agree = error <= 1e-12 * abs(self.theta) or (plain and len(cells.n) == 1 and 2 * alike >= cells.n[0])

    def _bootstrap(self) -> None:
        """Percentiles of draws, expanded for few units."""
        n = min(self.cells.n)
        draws = self.cells.theta(self.claim.statistic, self.cells.drawn(np.random.default_rng(0)))
        self.undefined = self.undefined or np.isnan(draws).mean() > 0.01
        draws = draws[~np.isnan(draws)]
        if not len(draws):
            self.undefined = True
            return
        at = stats.norm.cdf([-self.t * np.sqrt(n / (n - 1)), self.t * np.sqrt(n / (n - 1))])
        self.limits["bootstrap"] = tuple(float(x) for x in np.quantile(draws, at))

    def _exact(self) -> tuple[float, float]:
        """Gaffke's interval of a mean of units between bounds; two factors' distances are added in squares."""
        claim, cells = self.claim, self.cells
        down = up = 0.0
        (x,) = cells.terms.values()
        for n, level in zip(cells.n, cells.levels, strict=True):
            units = np.bincount(level, x) / np.bincount(level)
            w = np.random.default_rng(0).dirichlet(np.ones(n + 1), 10 * DRAWS)
            down += (self.theta - np.quantile(w @ [*units, claim.bounds[0]], 0.025)) ** 2
            up += (np.quantile(w @ [*units, claim.bounds[1]], 0.975) - self.theta) ** 2
        return self.theta - np.sqrt(down), self.theta + np.sqrt(up)


def _where(arm: xr.Dataset, where) -> xr.Dataset:
    """The runs of an arm that have the wanted fields; an arm without such a run cannot be asked."""
    for name, wanted in where.items():
        if name in arm.attrs:
            if arm.attrs[name] != wanted:
                raise NotComputable(f"no run with {name}={wanted}")
            continue
        of = arm[name].values
        chosen = np.flatnonzero(np.isclose(of, wanted, rtol=1e-12, atol=0) if isinstance(wanted, float) else of == wanted)
        if not len(chosen):
            raise NotComputable(f"no run with {name}={wanted}")
        arm = arm.isel(run=chosen)
    return arm


def _cells(claim, arms, name: str, swap=None) -> Cells:
    """The value of a claim on an arm, as numbers over its units, without those that have a diverged run in any arm read."""
    others = Others(arms, name, claim.where, swap=swap)
    grid = _grid(claim, others)
    lost = set()
    for arm in (_where(arms[n], claim.where) for n in others.read):
        per_run = next((u for u in (*claim.units, "seed") if u in arm.coords and arm[u].dims == ("run",)), None)
        if per_run and "diverged" in arm:
            lost |= {(per_run, level) for level in arm[per_run].values[arm["diverged"].values.astype(bool)].tolist()}
    if not lost:
        return _flat(grid, len(claim.units))
    cells = _flat(_grid(claim, Others(arms, name, claim.where, frozenset(lost), swap)), len(claim.units))
    cells.lost = len(lost)
    unit = next(iter(lost))[0]
    cells.filled = list(_filled(claim, cells, claim.units.index(unit))) if unit in claim.units else []
    return cells


def _filled(claim, cells: Cells, factor: int) -> Iterator[Cells]:
    """The cells with every lost unit as a copy of the unit with the lowest number, then of the one with the highest."""
    points = cells.theta(claim.statistic, 1 - cells.without(factor)) if cells.n[factor] else np.array([])
    if np.isnan(points).all():
        return
    for worst in (np.nanargmin(points), np.nanargmax(points)):
        at = np.flatnonzero(cells.levels[factor] == worst)
        rows = np.concatenate([np.arange(len(cells.levels[0])), np.tile(at, cells.lost)])
        levels = [level[rows] for level in cells.levels]
        levels[factor][len(cells.levels[0]) :] = np.repeat(cells.n[factor] + np.arange(cells.lost), len(at))
        n = [size + cells.lost * (f == factor) for f, size in enumerate(cells.n)]
        yield Cells({k: x[rows] for k, x in cells.terms.items()}, levels, n)


def _grid(claim, others: Others) -> dict[str, np.ndarray]:
    """The terms of a claim's value as arrays [unit, (unit,) ...] on the claim's scale; levels that differ are not paired."""
    try:
        with xr.set_options(arithmetic_join="exact"):
            value = claim.value(others.take(others.own), others)
        terms = {"value": value} if isinstance(value, xr.DataArray) else dict(value)
        terms = {k: _over_units(v, claim.units) for k, v in terms.items()}
        free = {d for v in terms.values() for d in v.dims} - set(claim.units)
        xr.align(*terms.values(), join="exact", exclude=free)
        return {k: _mapped(claim.scale, v.transpose(*claim.units, ...).values.astype(float)) for k, v in terms.items()}
    except Exception as e:
        raise NotComputable(f"{others.own}: {e}") from e


def _flat(grid: dict[str, np.ndarray], axes: int) -> Cells:
    """The cells that no term lacks; levels without any cell leave."""
    there = np.logical_and.reduce([~np.isnan(x).any(axis=tuple(range(axes, x.ndim))) for x in grid.values()])
    found = [np.unique(i, return_inverse=True) for i in np.nonzero(there)]
    return Cells({k: x[there] for k, x in grid.items()}, [i for _, i in found], [len(levels) for levels, _ in found])


def _mapped(scale: str, x: np.ndarray) -> np.ndarray:
    """Numbers on a claim's scale; one on its bound is refused."""
    with np.errstate(all="ignore"):
        y = SCALES[scale][0](x)
    if scale != "plain" and not np.isfinite(y[~np.isnan(x)]).all():
        raise NotComputable(f"a unit lies on the bound of {scale}")
    return y


def _over_units(v: xr.DataArray, units: tuple[str, ...]) -> xr.DataArray:
    """A term [unit, ...]: runs that share all units are averaged."""
    if "run" in v.dims:
        v = v.transpose("run", ...)
        found = {u: np.unique(v[u].values, return_inverse=True) for u in units if u not in v.dims and u in v.coords}
        shape = tuple(len(levels) for levels, _ in found.values())
        at = np.ravel_multi_index([i for _, i in found.values()], shape) if found else np.zeros(v.sizes["run"], int)
        sums = np.zeros((int(np.prod(shape)), *v.shape[1:]))
        np.add.at(sums, at, v.values)
        with np.errstate(all="ignore"):
            means = sums / np.bincount(at, minlength=len(sums)).reshape(-1, *[1] * (v.ndim - 1))
        coords = {u: levels for u, (levels, _) in found.items()} | {d: v[d].values for d in v.dims[1:]}
        return xr.DataArray(means.reshape(*shape, *v.shape[1:]), coords, (*found, *v.dims[1:]))
    return v.assign_coords({d: v[d].values for d in v.dims}).drop_vars([c for c in v.coords if c not in v.dims])
