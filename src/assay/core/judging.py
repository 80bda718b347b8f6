"""judge: a claim and the measures of all arms → holds, fails or undecided; controls are judged by the same code."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import xarray as xr
from scipy.special import stdtr, stdtrit

from assay.core.claims import Claim, Judged, Outcome, Price, Verdict
from assay.core.errors import ClaimError
from assay.core.intervals import DRAWS, Interval, interval
from assay.core.reading import Others, Table, plural, run_unit, tabulate
from assay.core.scales import ESTIMAND, rescale, unscale
from assay.core.stats import holm

FEWEST = 6
"""Units of every factor that a verdict needs: five of five alike has p = 1/32."""
FEWEST_ALONE = 20
"""Units that a claim needs when no trained run is resampled: it then speaks about these runs only."""
AGREE_BELOW = 20
"""With fewer units of the smaller factor, the Student-t interval must give the same outcome."""
UNDEFINED = 0.01
"""Share of draws that may be undefined before the gate `overlap` is not met."""

Arms = Mapping[str, xr.Dataset]


def judge(claim: Claim, arms: Arms, level: float = 0.95, scope: str = "") -> Judged:
    """The claim's verdict with those of its controls and planted effects; a pure function of the measures.

    `scope` says for which model, site and corpus, as a phrase. The outcome *holds* stands only if every control fails.
    Raises: ClaimError when the claim cannot be computed on these arms.
    """
    own = _judge_arm(claim, claim.of, arms, level, scope, gated=True)
    controls = {name: _judge_arm(claim, name, arms, level, scope, gated=False) for name in claim.must_fail}
    planted = {name: _judge_arm(claim, name, arms, level, scope, gated=True) for name in claim.must_hold}
    return Judged(claim, _with_others(own, controls, planted), controls, planted)


def adjust(judged: Sequence[Judged], level: float = 0.95) -> list[Judged]:
    """The same verdicts with `adjusted`: what remains after Holm's adjustment over all these claims, controls apart."""
    passed = holm(np.array([j.verdict.p for j in judged], dtype=float), level)
    kept = [j.verdict.outcome if ok else "undecided" for j, ok in zip(judged, passed, strict=True)]
    return [replace(j, verdict=replace(j.verdict, adjusted=outcome)) for j, outcome in zip(judged, kept, strict=True)]


def standing(claim: Claim, arms: Arms, level: float = 0.95) -> tuple[Interval, tuple[float, float], tuple[float, float]]:
    """Where a claim's own arm stands on the scale of judging, runs that diverged left out: an interval whose Student-t limits
    count (there are no draws), the range to hold and the range to fail."""
    others = Others(arms, claim.of, claim.where)
    _read(claim, claim.of, others)
    if bad := others.diverged(run_unit(claim.units, others)):
        others = Others(arms, claim.of, claim.where, without=bad)
    factors = len(claim.units)
    data = _scaled(claim, claim.of, _read(claim, claim.of, others))
    return interval(data.or_empty(factors), claim.statistic, factors=factors, level=level, draws=1), *_edges(claim)


def _judge_arm(claim: Claim, name: str, arms: Arms, level: float, scope: str, *, gated: bool) -> Verdict:
    others = Others(arms, name, claim.where)
    data = _read(claim, name, others)
    unit = run_unit(claim.units, others)
    bad = others.diverged(unit)
    survived = True
    if bad:
        before, others = others, Others(arms, name, claim.where, without=bad)
        left = others.take(name).sizes.get("run", 0)
        survived = len(bad) <= _units_of(before.take(name), unit) / 4
        data = _read(claim, name, others) if left else Table({t: x[:0] for t, x in data.terms.items()}, data.levels)
    data = _scaled(claim, name, data)
    i = _interval(claim, data, level)
    outcome = _outcome(claim, i)
    if bad and survived:
        survived = _worst_cases_agree(claim, data, unit, len(bad), i, outcome, level)
    gates = {g.name: bool(np.all(g.met(others.take(name)))) for g in claim.gates} if gated and i.n[0] else {}
    if i.n[0] and not i.undefined <= UNDEFINED:
        gates["overlap"] = False
    if gated and name == claim.of and name in claim.half and outcome != "undecided":
        gates["converged"] = gates.get("converged", True) and _half_agrees(claim, arms, bad, i, outcome, level)

    n = dict(zip(claim.units, i.n, strict=True))
    fewest = _fewest(claim.units, others.take(name))
    asked = n | {unit: n[unit] + len(bad)} if unit in n else n  # where enough were asked for, what lacks is what diverged
    survived = survived and all(n[u] >= fewest for u in n if asked[u] >= fewest)
    there = {u: max(len(data.levels[u]), n[u]) for u in n}
    reason, price = _reason(claim, i, asked, there, fewest, survived, gates, outcome, level)
    estimate, low, high, t_low, t_high = (unscale(claim.scale, x) for x in (i.estimate, i.low, i.high, i.t_low, i.t_high))
    return Verdict(
        arm=name,
        outcome="undecided" if reason else outcome,
        reason=reason,
        price=price,
        estimate=estimate,
        low=low,
        high=high,
        t_low=t_low,
        t_high=t_high,
        p=_p(claim, i),
        n=n,
        dropped=len(bad),
        scope=describe_scope(claim.units, i, others, scope),
        method="; ".join(t for t in (describe_method(claim.units, i, level), ESTIMAND[claim.scale]) if t),
        gates=gates,
        points=tuple(unscale(claim.scale, x) for x in i.points.tolist()),
    )


def _reason(
    claim: Claim,
    i: Interval,
    n: Mapping[str, int],
    there: Mapping[str, int],
    fewest: int,
    survived: bool,
    gates: Mapping[str, bool],
    outcome: Outcome,
    level: float,
) -> tuple[str, Price | None]:
    """Why one arm by itself is undecided, the first reason that applies, and its price; empty and None when it is decided."""
    short, unmet = [u for u in claim.units if n[u] < fewest], [g for g, met in gates.items() if not met]
    if short:
        unit = min(short, key=lambda u: n[u])
        return f"too few units: {n[unit]} of {fewest} {plural(unit, fewest)}", _lacking(unit, n[unit], there[unit], fewest)
    if not survived:
        return "diverged", Price("more units do not help: mend the training of the runs that diverged")
    if unmet:
        return f"gate {unmet[0]}", _gate_price(unmet[0], i)
    return ("interval straddles", _price(claim, i, level)) if outcome == "undecided" else ("", None)


def _with_others(own: Verdict, controls: Mapping[str, Verdict], planted: Mapping[str, Verdict]) -> Verdict:
    """The verdict after its controls and planted effects have spoken; the first reason that applies is kept."""
    early = own.reason.startswith(("too few", "diverged", "gate"))
    for name, v in planted.items():
        if v.outcome != "holds" and not early:
            price = v.price or Price("more units do not help: the planted effect itself was judged absent")
            return replace(own, outcome="undecided", reason=f"planted {name} not found", price=_of(name, price))
    if own.outcome == "holds":
        for name, v in controls.items():
            if v.outcome == "holds":
                price = Price("more units do not help: the claim is also true where it must not be; choose another threshold")
                return replace(own, outcome="undecided", reason=f"control {name} passes (vacuous)", price=price)
        for name, v in controls.items():
            if v.outcome == "undecided":
                return replace(own, outcome="undecided", reason=f"control {name} undecided", price=_of(name, v.price))
    return own


def _read(claim: Claim, name: str, others: Others) -> Table:
    return tabulate(lambda: claim.value(others.take(name), others), claim.units, claim.text, others)


def _scaled(claim: Claim, name: str, data: Table) -> Table:
    """The terms' units on the scale of the claim. Raises: ClaimError when one lies on the scale's bound."""
    mapped = {term: rescale(claim.scale, x) for term, x in data.terms.items()}
    for term, x in data.terms.items():
        off = ~np.isnan(x) & ~np.isfinite(mapped[term])
        if claim.scale != "plain" and off.any():
            raise ClaimError(
                f"claim {claim.text!r}: a unit of arm {name!r} is {x[off].ravel()[0]:g}, on or beyond the bound of "
                f"scale={claim.scale!r}; give shares of k in n as (k + 1/2)/(n + 1)"
            )
    return Table(mapped, data.levels)


def _units_of(data: xr.Dataset, unit: str) -> int:
    return len(np.unique(data[unit].values)) if unit in data.coords else data.sizes.get("run", 1)


def _interval(claim: Claim, data: Table, level: float) -> Interval:
    factors = len(claim.units)
    return interval(data.or_empty(factors), claim.statistic, factors=factors, level=level, draws=DRAWS)


def _edges(claim: Claim) -> tuple[tuple[float, float], tuple[float, float]]:
    """The ranges to hold and to fail on the scale of judging."""

    def mapped(e: float) -> float:
        return e if math.isinf(e) else rescale(claim.scale, e)

    (fail_low, fail_high) = claim.fail_range
    return (mapped(claim.low), mapped(claim.high)), (mapped(fail_low), mapped(fail_high))


def _place(claim: Claim, low: float, high: float) -> Outcome:
    (hold_low, hold_high), (fail_low, fail_high) = _edges(claim)
    if hold_low <= low and high <= hold_high:
        return "holds"
    return "fails" if high < fail_low or low > fail_high else "undecided"


def _outcome(claim: Claim, i: Interval, shift: float = 0.0) -> Outcome:
    """Where the interval lies; below 20 units of the smaller factor only if the t interval lies there too."""
    outcome = _place(claim, i.low + shift, i.high + shift)
    if min(i.n) < AGREE_BELOW and _place(claim, i.t_low + shift, i.t_high + shift) != outcome:
        return "undecided"
    return outcome


def _worst_cases_agree(claim: Claim, data: Table, unit: str, lost: int, i: Interval, outcome: Outcome, level: float) -> bool:
    """Whether the outcome is the same with the lost units counted as copies of the lowest, then of the highest, of the others."""
    if unit not in claim.units:
        return False
    axis = claim.units.index(unit)
    turned = {name: x.swapaxes(0, axis) for name, x in data.terms.items()}
    each = interval(turned, claim.statistic, factors=len(claim.units), level=level, draws=1).points if axis else i.points
    finite = np.flatnonzero(np.isfinite(each))
    if len(each) != len(data.levels[unit]) or not len(finite):
        return False
    for worst in (finite[np.argmin(each[finite])], finite[np.argmax(each[finite])]):
        filled = {n: np.concatenate([x, np.repeat(x.take([worst], axis), lost, axis)], axis) for n, x in data.terms.items()}
        if _outcome(claim, _interval(claim, Table(filled, data.levels), level)) != outcome:
            return False
    return True


def _half_agrees(claim: Claim, arms: Arms, bad: Levels, i: Interval, outcome: Outcome, level: float) -> bool:
    """Whether the outcome survives moving both intervals by the change between half and full training, up and down.

    Like is compared with like: all arms keep only the seeds (or other per-run units) that every half-length arm has, and the
    full arms only the runs that their half-length arms have too. A few seeds are enough to tell how far a value still moves.
    """
    for unit in claim.units:
        levels = [set(arms[half][unit].values.tolist()) for half in claim.half.values() if unit in arms[half].coords]
        if levels and arms[claim.of].coords[unit].dims == ("run",):
            common = set.intersection(*levels)
            arms = {name: _keep(arm, (unit,), {(level,) for level in common}) for name, arm in arms.items()}
    alike = {**arms, **{full: _shared(arms[full], arms[half]) for full, half in claim.half.items()}}

    def at(others: Others) -> float:
        return _interval(claim, _scaled(claim, claim.of, _read(claim, claim.of, others)), level).estimate

    full = at(Others(alike, claim.of, claim.where, without=bad))
    change = abs(full - at(Others(arms, claim.of, claim.where, swap=claim.half, without=bad)))
    return all(_outcome(claim, i, shift) == outcome for shift in (-change, change))


def _shared(arm: xr.Dataset, other: xr.Dataset) -> xr.Dataset:
    """The runs of an arm whose per-run fields are those of a run of the other arm."""
    names = tuple(str(n) for n, c in arm.coords.items() if c.dims == ("run",) and n in other.coords)
    return _keep(arm, names, set(zip(*(other[n].values.tolist() for n in names), strict=True)))


def _keep(arm: xr.Dataset, names: tuple[str, ...], levels: set[tuple]) -> xr.Dataset:
    """The runs of an arm whose fields `names` have these levels; the arm as it is where it lacks the fields."""
    if not all(n in arm.coords and arm[n].dims == ("run",) for n in names):
        return arm
    return arm.isel(run=[there in levels for there in zip(*(arm[n].values.tolist() for n in names), strict=True)])


def _fewest(units: Sequence[str], data: xr.Dataset) -> int:
    """20 where units are only levels that were measured in trained runs (documents) and no run is resampled; else 6."""
    alone = "run" in data.dims and all(u in data.dims and u != "run" for u in units)
    return FEWEST_ALONE if alone else FEWEST


def _distance(claim: Claim, i: Interval) -> float:
    (hold, fail) = _edges(claim)
    return min(abs(i.estimate - e) for e in (*hold, *fail) if math.isfinite(e))


def _p(claim: Claim, i: Interval) -> float:
    if i.df < 1 or math.isnan(i.variance):
        return math.nan
    if i.variance == 0:
        return 0.0
    return float(2 * stdtr(i.df, -_distance(claim, i) / math.sqrt(i.variance)))


def _price(claim: Claim, i: Interval, level: float) -> Price:
    """About how many more units would bring the half-width below the distance to the nearest threshold."""
    distance, t = _distance(claim, i), float(stdtrit(i.df, (1 + level) / 2))
    (hold_low, hold_high), (fail_low, fail_high) = _edges(claim)
    between = (fail_low <= i.estimate < hold_low) or (hold_high < i.estimate <= fail_high)
    if between and (fail_low, fail_high) != (hold_low, hold_high):
        return Price("more units do not help: the estimate lies between the two thresholds")
    wanted = (distance / t) ** 2
    if wanted == 0:
        return Price("no number of units: the estimate lies on the threshold")
    for k in sorted(range(len(i.parts)), key=lambda k: -i.parts[k]):
        room = wanted - (i.variance - i.parts[k])
        if room > 0:
            return _more(claim.units[k], max(1, math.ceil(i.n[k] * i.parts[k] / room) - i.n[k]))
    factor = math.ceil(10 * i.variance / wanted) / 10
    k = int(np.argmax(i.parts))
    more = math.ceil((factor - 1) * i.n[k])
    return Price(f"about {factor:g} times as many of both, {' and '.join(claim.units)}", claim.units[k], more)


def _lacking(unit: str, n: int, there: int, fewest: int) -> Price:
    """About how many more units, where `n` of those that are there have a number."""
    if not n and there:
        return Price(f"more {plural(unit, 2)} alone do not help: none of {there} has what the claim compares; change what is trained")
    return _more(unit, math.ceil((fewest - n) * max(there, n) / n) if n else fewest)


def _more(unit: str, more: int) -> Price:
    return Price(f"about {more:,} more {plural(unit, more)}", unit, more)


def _of(name: str, price: Price | None) -> Price | None:
    return replace(price, text=f"{name}: {price.text}") if price else None


def _gate_price(gate: str, i: Interval) -> Price:
    if gate == "overlap":
        what = f"in {i.undefined:.1%} of the draws" if i.undefined < 1 else "for the estimate itself or when one unit is left out"
        return Price(f"more units do not help: the statistic is undefined {what}; let the sweeps overlap, or choose other points")
    if gate == "converged" and i.n[0]:
        return Price("longer training; or more units, if a narrower interval survives the change since half-way")
    return Price(f"more units do not help: meet the gate {gate}, by longer training for instance")


def describe_scope(units: Sequence[str], i: Interval, others: Others, scope: str) -> str:
    """Over which units a number generalises, and what the experiment adds."""
    over = " × ".join(f"{n:,} {plural(u, n)}" for u, n in zip(units, i.n, strict=True))
    first = others.arms[sorted(others.read)[0]] if others.read else None
    fixed = first is not None and _fewest(units, first) == FEWEST_ALONE
    parts = [f"over {over}", "these trained runs only" if fixed else "", scope]
    return "; ".join(p for p in parts if p)


def describe_method(units: Sequence[str], i: Interval, level: float, agree: bool = True) -> str:
    """How the interval was made, in one line."""
    crossed = "crossed bootstrap" if len(units) == 2 else "bootstrap"
    text = f"{level:.0%} {crossed} over {' × '.join(units)}, {DRAWS:,} draws, expanded percentile"
    if agree and min(i.n) < AGREE_BELOW:
        text += f"; Student t by jackknife must agree (fewer than {AGREE_BELOW} units)"
    return text
