"""judge: a claim and the measures of all arms → holds, fails, unspecific or undecided; every arm is
judged by the same code."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from assay.core import power, prices
from assay.core.bounded import bounded_mean
from assay.core.claims import Claim, Judged, Outcome, Price, Verdict
from assay.core.errors import ClaimError
from assay.core.heavy import scipy, xr
from assay.core.intervals import DRAWS, Interval, interval
from assay.core.memo import of_all
from assay.core.outlying_units import warning
from assay.core.power import edges, placed
from assay.core.reading import Levels, Others, Table, plural, run_unit, tabulate
from assay.core.reasons import IDENTICAL, TIES
from assay.core.scales import ESTIMAND, rescale, unscale
from assay.core.stats import mean

USUAL = 0.95
"""The level of an interval that is looked at once."""
FEWEST = 6
"""Units of every factor that a verdict needs: five of five alike has p = 1/32."""
FEWEST_ALONE = 20
"""Units that a claim needs when no trained run is resampled: it then speaks about these runs
only."""
ALIKE = 0.5
"""Share of the units that may not have one and the same number, unless the claim names their
bounds."""
UNDEFINED = 0.01
"""Share of draws that may be undefined before the gate `overlap` is not met."""

Arms: TypeAlias = "Mapping[str, xr.Dataset]"
Scope = str | Callable[[Iterable[str], Mapping[str, Any]], str]
"""For what a number speaks: a phrase, or a function of the trained arms behind it and of which of
their runs it asks for."""
Asked = Mapping[str, tuple[Verdict, Interval]]


def judge(claim: Claim, arms: Arms, level: float = USUAL, scope: Scope = "") -> Judged:
    """Judge a claim with its controls, its planted effects, and every other arm that it can be
    asked of.

    A pure function of the measures. `scope` says for which model, site and text, as a phrase or as
    a function of what was read. The outcome *holds* stands only if
    every control fails and no other arm satisfies the claim but those that it names in `also`. Arms
    that nobody named are asked at 95 % where the level is stricter: an early look must not overlook
    what a later one would find.
    Raises: ClaimError when the claim cannot be computed on these arms.
    """
    # Controls are asked without gates: one that satisfies the claim discredits it, converged or
    # not. A planted effect must be found under the same gates as the claim.
    verdict, i = _judge_arm(claim, claim.of, arms, level, scope, gated=True)
    controls = {name: _judge_arm(claim, name, arms, level, scope) for name in claim.must_fail}
    planted = {
        name: _judge_arm(claim, name, arms, level, scope, gated=True) for name in claim.must_hold
    }
    also, arm_names = _others_that_hold(claim, arms, min(level, USUAL), scope)
    verdict = _with_power(claim, verdict, i, controls, planted, level)
    failing, holding = ({name: v for name, (v, _) in some.items()} for some in (controls, planted))
    return Judged(
        claim,
        _with_others(claim, verdict, failing, holding, also),
        failing,
        holding,
        also,
        arm_names,
    )


def _with_power(
    claim: Claim, verdict: Verdict, i: Interval, controls: Asked, planted: Asked, level: float
) -> Verdict:
    """The verdict with what would have been found: controls and planted effects have to come out as
    they must, too, in the same experiment, their true values being those that were measured."""
    # No spread is known from which experiments could be simulated.
    if verdict.reason.startswith("too few") or (not i.variance and claim.bounds is None):
        return verdict

    def met(v: Verdict, arm_interval: Interval, holds: bool) -> float:
        # Undecided for another reason than width, an arm would be so again, however many units
        # there are.
        judged = not v.reason or v.reason == "interval straddles"
        return (
            power.chance(claim, arm_interval, arm_interval.estimate, level)[0 if holds else 1]
            if judged
            else 0.0
        )

    must = [met(*pair, False) for pair in controls.values()] + [
        met(*pair, True) for pair in planted.values()
    ]
    rest = math.prod(must)
    effect_alone = power.detectable(claim, i, level)
    return replace(
        verdict,
        detectable=power.detectable(claim, i, level, rest),
        detectable_alone=effect_alone,
        controls_chance=rest,
    )


def _others_that_hold(
    claim: Claim, arms: Arms, level: float, scope: Scope
) -> tuple[dict[str, Verdict], tuple[str, ...]]:
    """The verdicts of all other arms that satisfy the claim too, and the names of all that could be
    asked."""
    holding: dict[str, Verdict] = {}
    arm_names: list[str] = []
    for name in arms:
        if name in (claim.of, *claim.must_fail, *claim.must_hold):
            continue
        try:
            with np.errstate(all="ignore"):
                if _may_hold(claim, name, arms, level):
                    verdict, _ = _judge_arm(claim, name, arms, level, scope)
                    holding |= {name: verdict} if verdict.outcome == "holds" else {}
            arm_names.append(name)
        except Exception:  # an arm that lacks what the claim reads has no answer to give
            continue
    return holding, tuple(arm_names)


def _may_hold(claim: Claim, name: str, arms: Arms, level: float) -> bool:
    """Whether an arm's Student-t limits, which cost nothing, lie in the range to hold; without it
    the hull cannot."""
    i, *_ = standing(
        replace(claim, of=name, must_fail=(claim.of,), near={}, also={}, must_hold=(), half={}),
        arms,
        level,
    )
    low, high = (i.low, i.high) if claim.bounds else (i.t_low, i.t_high)
    return _place(claim, low, high) == "holds"


def standing(
    claim: Claim, arms: Arms, level: float = 0.95
) -> tuple[Interval, tuple[float, float], tuple[float, float]]:
    """Tell where a claim's own arm stands on the scale of judging, runs that diverged left out: an
    interval, the range to hold and the range to fail. Of the interval the exact limits count where
    units have bounds, else Student's t, since there are no draws."""
    arm_reader = Others(arms, claim.of, claim.where)
    _read(claim, claim.of, arm_reader)
    if bad := arm_reader.diverged(run_unit(claim.units, arm_reader)):
        arm_reader = Others(arms, claim.of, claim.where, without=bad)
    factors = len(claim.units)
    data = _scaled(claim, claim.of, _read(claim, claim.of, arm_reader))
    if claim.bounds is not None:
        return _interval(claim, data, level), *edges(claim)
    return interval(
        data.or_empty(factors), claim.statistic, factors=factors, level=level, draws=1
    ), *edges(claim)


def _judge_arm(
    claim: Claim, name: str, arms: Arms, level: float, scope: Scope, *, gated: bool = False
) -> tuple[Verdict, Interval]:
    """The verdict on one arm by itself, and its interval on the scale of judging."""
    arm_reader = Others(arms, name, claim.where)
    data = _read(claim, name, arm_reader)
    unit = run_unit(claim.units, arm_reader)
    bad = arm_reader.diverged(unit)
    survived = True
    if bad:
        before, arm_reader = arm_reader, Others(arms, name, claim.where, without=bad)
        run_count = arm_reader.take(name).sizes.get("run", 0)
        # More than a quarter lost is no accident, and no bound on the lost ones is worth trying.
        survived = len(bad) <= _units_of(before.take(name), unit) / 4
        data = (
            _read(claim, name, arm_reader)
            if run_count
            else Table({t: x[:0] for t, x in data.terms.items()}, data.levels)
        )
    data = _scaled(claim, name, data)
    i = _interval(claim, data, level)
    outcome = _outcome(claim, i)
    tie_text = _describe_ties(claim, data, i)
    # What diverged is not missing at random: the outcome has to stand if the lost units had been
    # the worst on either side.
    if bad and survived:
        survived = _worst_cases_agree(claim, data, unit, len(bad), i, outcome, level)
    gates = (
        {g.name: bool(np.all(g.met(arm_reader.take(name)))) for g in claim.gates}
        if gated and i.n[0]
        else {}
    )
    # `not <=`, so that NaN does not pass.
    if i.n[0] and not i.undefined <= UNDEFINED:
        gates["overlap"] = False
    if gated and name == claim.of and name in claim.half and outcome != "undecided":
        gates["converged"] = gates.get("converged", True) and _half_agrees(
            claim, arms, bad, i, outcome, level
        )

    n = dict(zip(claim.units, i.n, strict=True))
    fewest = _fewest(claim.units, arm_reader.take(name))
    requested = (
        n | {unit: n[unit] + len(bad)} if unit in n else n
    )  # where enough were asked for, what lacks is what diverged
    # Too few units because some diverged is "diverged"; too few that were asked for is "too few".
    survived = survived and all(n[u] >= fewest for u in n if requested[u] >= fewest)
    available = {u: max(len(data.levels[u]), n[u]) for u in n}
    reason, price = _reason(claim, i, requested, available, fewest, survived, gates, outcome, level)
    if not reason and tie_text and name == claim.of:
        reason, price = (
            TIES,
            Price(
                f"{tie_text}: name the bounds of a unit for an exact interval, or state a "
                "theorem as Exact"
            ),
        )
    # Equal numbers are otherwise no ground for a verdict. Here their equality is the finding: the
    # arm changed nothing.
    if reason == TIES and outcome == "fails" and _identical(claim, arm_reader, i):
        reason, price = IDENTICAL, None
    limits = (
        "estimate",
        "low",
        "high",
        "boot_low",
        "boot_high",
        "t_low",
        "t_high",
        "skew_low",
        "skew_high",
    )
    verdict = Verdict(
        arm=name,
        outcome="undecided" if reason and reason != IDENTICAL else outcome,
        reason=reason,
        price=price,
        **{name: unscale(claim.scale, getattr(i, name)) for name in limits},  # type: ignore[arg-type]
        p=_p(claim, data, i),
        n=n,
        dropped=len(bad),
        scope=describe_scope(claim.units, i, arm_reader, scope),
        method="; ".join(
            t
            for t in (describe_method(claim.units, level, claim.bounds), ESTIMAND[claim.scale])
            if t
        ),
        gates=gates,
        points=tuple(unscale(claim.scale, x) for x in i.points.tolist()),
        warning=warning(claim, i) if name == claim.of else "",
    )
    return verdict, i


def _reason(
    claim: Claim,
    i: Interval,
    n: Mapping[str, int],
    available: Mapping[str, int],
    fewest: int,
    survived: bool,
    gates: Mapping[str, bool],
    outcome: Outcome,
    level: float,
) -> tuple[str, Price | None]:
    """Why one arm by itself is undecided, the first reason that applies, and its price; empty and
    None when it is decided."""
    short, unmet = (
        [u for u in claim.units if n[u] < fewest],
        [g for g, met in gates.items() if not met],
    )
    if short:
        unit = min(short, key=lambda u: n[u])
        return f"too few units: {n[unit]} of {fewest} {plural(unit, fewest)}", prices.lacking(
            unit, n[unit], available[unit], fewest
        )
    if not survived:
        return "diverged", Price(
            "more units do not help: mend the training of the runs that diverged"
        )
    if unmet:
        return f"gate {unmet[0]}", prices.of_gate(unmet[0], i)
    return (
        ("interval straddles", prices.to_decide(claim, i, level))
        if outcome == "undecided"
        else ("", None)
    )


def _with_others(
    claim: Claim,
    verdict: Verdict,
    controls: Mapping[str, Verdict],
    planted: Mapping[str, Verdict],
    also: Mapping[str, Verdict],
) -> Verdict:
    """The verdict after its controls, planted effects and all other arms have spoken; the first
    reason that applies is kept."""
    # The arm itself could not be judged, which is said before anything about its company.
    early = verdict.reason.startswith(("too few", "diverged", "gate", TIES, IDENTICAL))
    for name, v in planted.items():
        if v.outcome != "holds" and not early:
            price = v.price or Price(
                "more units do not help: the planted effect itself was judged absent"
            )
            return replace(
                verdict,
                outcome="undecided",
                reason=f"planted {name} not found",
                price=prices.of_arm(name, price),
            )
    # Only what holds can be unspecific: what fails needs no control.
    if verdict.outcome != "holds":
        return verdict
    passing = [name for name, v in controls.items() if v.outcome == "holds"]
    if passing:
        return replace(
            verdict, outcome="unspecific", reason=f"control {', '.join(passing)} satisfies it too"
        )
    unnamed = [name for name in also if name not in claim.may_hold]
    if unnamed:
        return replace(
            verdict,
            outcome="unspecific",
            reason=f"{', '.join(unnamed)} {'satisfies' if len(unnamed) == 1 else 'satisfy'} it too",
        )
    for name, v in controls.items():
        if v.outcome == "undecided":
            return replace(
                verdict,
                outcome="undecided",
                reason=f"control {name} undecided",
                price=prices.of_arm(name, v.price),
            )
    return verdict


def _read(claim: Claim, name: str, arm_reader: Others) -> Table:
    if (
        arm_reader.where
        or arm_reader.swap
        or arm_reader.without
        or not isinstance(claim.value, Hashable)
    ):
        return _tabulated(claim, name, arm_reader)[0]
    data, read = of_all(
        arm_reader.arms,
        (claim.value, claim.units, name),
        lambda: _tabulated(claim, name, arm_reader),
    )
    arm_reader.read |= read
    return data


def _tabulated(claim: Claim, name: str, arm_reader: Others) -> tuple[Table, frozenset[str]]:
    """The units of a claim's value on an arm, and which arms that read."""
    try:
        data = tabulate(
            lambda: claim.value(arm_reader.take(name), arm_reader),
            claim.units,
            claim.text,
            arm_reader,
        )
        return data, frozenset(arm_reader.read)
    except Exception as error:
        error.add_note(f"arm {name}")  # which of its arms a claim stumbles over
        raise


def _scaled(claim: Claim, name: str, data: Table) -> Table:
    """The terms' units on the scale of the claim. Raises: ClaimError when one is infinite, or lies
    on the scale's bound."""
    for term, x in data.terms.items():
        if (infinite := np.argwhere(np.isinf(x))).size:
            location = ", ".join(
                f"{unit} {data.levels[unit][i]}"
                for unit, i in zip(claim.units, infinite[0], strict=False)
            )
            more = f" and in {len(infinite) - 1} more places" if len(infinite) > 1 else ""
            raise ClaimError(
                f"claim {claim.text!r}: term {term!r} of arm {name!r} is infinite at "
                f"{location}{more}, "
                "and a mean of it means nothing; "
                "let the value be NaN where a run has no number"
            )
    mapped = {term: rescale(claim.scale, x) for term, x in data.terms.items()}
    for term, x in data.terms.items():
        off = ~np.isnan(x) & ~np.isfinite(mapped[term])
        if claim.scale != "plain" and off.any():
            raise ClaimError(
                f"claim {claim.text!r}: a unit of arm {name!r} is {x[off].ravel()[0]:g}, on or "
                "beyond the bound of "
                f"scale={claim.scale!r}; give shares of k in n as (k + 1/2)/(n + 1)"
            )
    return Table(mapped, data.levels)


def _units_of(data: xr.Dataset, unit: str) -> int:
    return len(np.unique(data[unit].values)) if unit in data.coords else data.sizes.get("run", 1)


def _interval(claim: Claim, data: Table, level: float) -> Interval:
    """The interval that decides: the hull of three, or, where a unit has bounds, the exact one in
    their place."""
    factors, terms = len(claim.units), data.or_empty(len(claim.units))
    i = interval(
        terms, claim.statistic, factors=factors, level=level, draws=1 if claim.bounds else DRAWS
    )
    if claim.bounds is None or min(i.n) < 2:
        return i
    (x,) = data.terms.values()
    if (off := x[(x < claim.bounds[0]) | (x > claim.bounds[1])]).size:
        raise ClaimError(
            f"claim {claim.text!r}: a unit is {off[0]:g}, outside of its bounds "
            f"{claim.bounds[0]:g} to {claim.bounds[1]:g}"
        )
    exact = bounded_mean(_points(data, factors), i.estimate, claim.bounds, level)
    nan = math.nan
    return replace(
        i,
        low=exact.low,
        high=exact.high,
        boot_low=nan,
        boot_high=nan,
        t_low=nan,
        t_high=nan,
        skew_low=nan,
        skew_high=nan,
    )


def _points(data: Table, factors: int) -> list[np.ndarray]:
    """For each factor the means of its levels over the other, of a claim with one term."""
    (x,) = data.terms.values()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a level without any number has no mean
        return [x] if factors == 1 else [np.nanmean(x, 1), np.nanmean(x, 0)]


def _describe_ties(claim: Claim, data: Table, i: Interval) -> str:
    """How many units have one and the same number, in words; empty where that is no obstacle."""
    if claim.bounds is not None or min(i.n) < 2:
        return ""
    if i.variance == 0:
        return f"all {i.n[0]} {plural(claim.units[0], i.n[0])} have the same number"
    points = i.points[np.isfinite(i.points)]
    if len(claim.units) == 2 or claim.statistic is not mean or not len(points):
        return ""  # what a ratio or a slope is of one unit by itself is no unit's number
    # Twelve digits: numbers that are one but for the order of a sum count as ties.
    _, times = np.unique([float(f"{x:.12g}") for x in points], return_counts=True)
    return (
        f"{times.max()} of {len(points)} {plural(claim.units[0], len(points))} have the same number"
        if times.max() >= ALIKE * len(points)
        else ""
    )


def _identical(claim: Claim, arm_reader: Others, i: Interval) -> bool:
    """Whether an arm differs from those that it is compared with by exactly nothing, though units
    differ: arithmetic, and no chance.

    So it is where the value is 0 in each unit and, with the units of the compared arms turned by
    one place, in none, yet 0 on the
    whole: the same numbers in another order.
    """
    if claim.scale != "plain" or i.variance or i.estimate or i.points.any():
        return False
    under = arm_reader.under
    try:
        arms = {
            name: arm_reader.take(name)
            if name == under
            else _turned(arm_reader.take(name), claim.units[0])
            for name in arm_reader.read
        }
        turned = _read(claim, str(under), Others(arms, under)).or_empty(len(claim.units))
        moved = interval(turned, claim.statistic, factors=len(claim.units), draws=1)
    except (
        ClaimError,
        KeyError,
        ValueError,
    ):  # arms that cannot be turned differ by what nobody knows
        return False
    sizes = np.abs(moved.points)
    return bool(sizes.size and (sizes > 0).all() and abs(moved.estimate) <= 1e-9 * sizes.max())


def _turned(arm: xr.Dataset, unit: str) -> xr.Dataset:
    """An arm with each level of a unit measured as the next one was. Raises: KeyError where runs do
    not cover all levels alike."""
    if unit not in arm.coords:
        return arm.roll({unit: 1}) if unit in arm.dims else arm
    levels = np.unique(arm[unit].values)
    following = dict(zip(levels.tolist(), np.roll(levels, -1).tolist(), strict=True))
    (dim,) = arm[unit].dims
    fields = [str(name) for name, c in arm.coords.items() if c.dims == (dim,)]
    keys = [
        dict(zip(fields, key, strict=True))
        for key in zip(*(arm[f].values.tolist() for f in fields), strict=True)
    ]
    index_by_key = {tuple(key.values()): place for place, key in enumerate(keys)}
    order = [index_by_key[tuple((key | {unit: following[key[unit]]}).values())] for key in keys]
    return arm.isel({dim: order}).assign_coords({f: arm[f] for f in fields})


def _place(claim: Claim, low: float, high: float) -> Outcome:
    inside, outside = placed(claim, low, high)
    return "holds" if inside else "fails" if outside else "undecided"


def _outcome(claim: Claim, i: Interval, shift: float = 0.0) -> Outcome:
    """Where the interval lies, moved by `shift`; between bounds it is not moved beyond them."""
    low, high = i.low + shift, i.high + shift
    if claim.bounds is not None:
        # Only up to the bounds: the truth cannot lie beyond them.
        low, high = (min(max(x, claim.bounds[0]), claim.bounds[1]) for x in (low, high))
    return _place(claim, low, high)


def _worst_cases_agree(
    claim: Claim, data: Table, unit: str, lost: int, i: Interval, outcome: Outcome, level: float
) -> bool:
    """Whether the outcome is the same with the lost units counted as copies of the lowest, then of
    the highest, of the others."""
    if unit not in claim.units:
        return False
    axis = claim.units.index(unit)
    turned = {name: x.swapaxes(0, axis) for name, x in data.terms.items()}
    points = (
        interval(turned, claim.statistic, factors=len(claim.units), level=level, draws=1).points
        if axis
        else i.points
    )
    finite = np.flatnonzero(np.isfinite(points))
    if len(points) != len(data.levels[unit]) or not len(finite):
        return False
    # Copies of real units, since a statistic of several terms needs a whole unit and not a number.
    for worst in (finite[np.argmin(points[finite])], finite[np.argmax(points[finite])]):
        filled = {
            n: np.concatenate([x, np.repeat(x.take([worst], axis), lost, axis)], axis)
            for n, x in data.terms.items()
        }
        if _outcome(claim, _interval(claim, Table(filled, data.levels), level)) != outcome:
            return False
    return True


def _half_agrees(
    claim: Claim, arms: Arms, bad: Levels, i: Interval, outcome: Outcome, level: float
) -> bool:
    """Whether the outcome survives moving both intervals by the change between half and full
    training, up and down.

    Like is compared with like: all arms keep only the seeds (or other per-run units) that every
    half-length arm has, and the full arms only the runs that their half-length arms have too. A few
    seeds are enough to tell how far a value still moves."""
    for unit in claim.units:
        levels = [
            set(arms[half][unit].values.tolist())
            for half in claim.half.values()
            if unit in arms[half].coords
        ]
        if levels and arms[claim.of].coords[unit].dims == ("run",):
            common = set.intersection(*levels)
            arms = _Selected(
                arms,
                lambda name, arm, unit=unit, common=common: _keep(  # type: ignore[misc]
                    arm, (unit,), {(level,) for level in common}
                ),
            )
    full_length = arms
    shared_arms = _Selected(
        arms,
        lambda name, arm: (
            _shared(arm, full_length[claim.half[name]]) if name in claim.half else arm
        ),
    )

    def compute_estimate(arm_reader: Others) -> float:
        return _interval(
            claim, _scaled(claim, claim.of, _read(claim, claim.of, arm_reader)), level
        ).estimate

    full = compute_estimate(Others(shared_arms, claim.of, claim.where, without=bad))
    change = abs(
        full - compute_estimate(Others(arms, claim.of, claim.where, swap=claim.half, without=bad))
    )
    # As much again as the second half of training moved the value, either way: a run that still
    # moves may go on or turn back.
    return all(_outcome(claim, i, shift) == outcome for shift in (-change, change))


class _Selected(Mapping[str, "xr.Dataset"]):
    """Arms of which only some runs count; selected when an arm is read, since most are not."""

    def __init__(self, arms: Arms, select: Callable[[str, xr.Dataset], xr.Dataset]) -> None:
        self.arms, self.select = arms, select
        self.made: dict[str, xr.Dataset] = {}

    def __getitem__(self, name: str) -> xr.Dataset:
        if name not in self.made:
            self.made[name] = self.select(name, self.arms[name])
        return self.made[name]

    def __contains__(self, name: object) -> bool:
        return name in self.arms

    def __iter__(self) -> Iterator[str]:
        return iter(self.arms)

    def __len__(self) -> int:
        return len(self.arms)


def _shared(arm: xr.Dataset, other: xr.Dataset) -> xr.Dataset:
    """The runs of an arm whose per-run fields are those of a run of the other arm."""
    names = tuple(str(n) for n, c in arm.coords.items() if c.dims == ("run",) and n in other.coords)
    return _keep(arm, names, set(zip(*(other[n].values.tolist() for n in names), strict=True)))


def _keep(arm: xr.Dataset, names: tuple[str, ...], levels: set[tuple]) -> xr.Dataset:
    """The runs of an arm whose fields `names` have these levels; the arm as it is where it lacks
    the fields."""
    if not all(n in arm.coords and arm[n].dims == ("run",) for n in names):
        return arm
    return arm.isel(
        run=[key in levels for key in zip(*(arm[n].values.tolist() for n in names), strict=True)]
    )


def _fewest(units: Sequence[str], data: xr.Dataset) -> int:
    """20 where units are only levels that were measured in trained runs (documents) and no run is
    resampled; else 6."""
    trained_only = "run" in data.dims and all(u in data.dims and u != "run" for u in units)
    return FEWEST_ALONE if trained_only else FEWEST


def _p(claim: Claim, data: Table, i: Interval) -> float:
    """The two-sided p-value at the nearest edge, by Student's t or the exact interval; NaN where no
    interval has a width."""
    if i.df < 1 or math.isnan(i.variance):
        return math.nan
    if claim.bounds is not None:
        edge = prices.nearest_edge(claim, i)
        return bounded_mean(_points(data, len(claim.units)), i.estimate, claim.bounds, edge=edge).p
    return (
        float(2 * scipy.special.stdtr(i.df, -prices.distance(claim, i) / math.sqrt(i.variance)))
        if i.variance
        else math.nan
    )


def describe_scope(units: Sequence[str], i: Interval, arm_reader: Others, scope: Scope) -> str:
    """Over which units a number generalises, and what the experiment adds."""
    over = " × ".join(f"{n:,} {plural(u, n)}" for u, n in zip(units, i.n, strict=True))
    first = arm_reader.arms[sorted(arm_reader.read)[0]] if arm_reader.read else None
    fixed = first is not None and _fewest(units, first) == FEWEST_ALONE
    words = scope if isinstance(scope, str) else scope(arm_reader.trained, arm_reader.where)
    parts = [f"over {over}", "these trained runs only" if fixed else "", words]
    return "; ".join(p for p in parts if p)


def describe_method(
    units: Sequence[str], level: float, bounds: tuple[float, float] | None = None
) -> str:
    """How the interval was made, in one line."""
    over = " × ".join(units)
    if bounds is not None:
        return (
            f"{percent(level)} exact interval over {over}, units between {bounds[0]:g} and "
            f"{bounds[1]:g}"
        )
    boot = f"{'crossed ' * (len(units) == 2)}bootstrap ({DRAWS:,} draws, expanded percentile)"
    return (
        f"{percent(level)} hull over {over} of {boot}, Student's t by jackknife, and t corrected "
        "for skew"
    )


def percent(level: float) -> str:
    """Write a level with two digits of what it leaves out: 95%, 99.69%, 99.9985%."""
    return f"{round(100 * level, 1 - math.floor(math.log10(100 * (1 - level)))):.12g}%"
