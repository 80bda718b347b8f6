"""judge: a claim and the measures of all arms → holds, fails, unspecific or undecided; every arm is
judged by the same code."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from msgspec import structs

from assay.core import power, ties
from assay.core.bands import OfMeans
from assay.core.bounded import bounded_mean
from assay.core.claim_intervals import (
    final,
    grouped,
    groups_in_words,
    independent,
    interval_of_table,
    limits,
    outcome_by,
    read_units,
    scaled,
)
from assay.core.claims import ESTIMAND, Claim, rescale, unscaled
from assay.core.contrasts import UNDEFINED, Between, contrast
from assay.core.digits import told_apart
from assay.core.heavy import scipy, xr
from assay.core.intervals import DRAWS, FEWEST, FOLD, Cells, Interval, shared_training
from assay.core.intervals import fewest as fewest_of
from assay.core.lost_runs import half_agrees, survivors, worst_cases_agree
from assay.core.nouns import counted, plural
from assay.core.one_unit import NONE, OneUnit, find
from assay.core.outlying_units import decisive, idle, warning
from assay.core.power import beyond, distance, nearest_edge, placed, strict
from assay.core.reading import (
    LEARNED,
    LEFT_OUT,
    Levels,
    Others,
    Table,
    run_unit,
)
from assay.core.reasons import (
    BLIND,
    IDENTICAL,
    MOST_TIMES,
    NO_LEAD,
    OUT_OF_REACH,
    STRADDLES,
    TIES,
    TOO_CLOSE,
    UNCONTROLLED,
    draws_counted,
)
from assay.core.results import (
    EDITION,
    Contrast,
    Judged,
    Other,
    Outcome,
    Price,
    Verdict,
    control_level,
    narrower_level,
)
from assay.core.scopes import listed

USUAL = 0.95
"""The usual level of an interval, without earlier looks."""
WIDER = 1.5
"""An interval that is so many times as wide must be so because of groups of units."""
FEWEST_ALONE = 20
"""Units that a claim needs when no trained run is resampled: it then speaks about these runs
only."""
Arms: TypeAlias = "Mapping[str, xr.Dataset]"
Scope = str | Callable[[Iterable[str], Mapping[str, Any]], str]
"""What a number is about: a phrase, or a function of the trained arms behind it and the condition
on their runs."""


UNLESS_HOLDS = ("", STRADDLES, TIES, IDENTICAL)
"""Reasons of a verdict other than *holds* that give way to a reason why it could not have held."""


class _Arm(NamedTuple):
    """What one arm's numbers say by themselves; interval and table on the scale of judging."""

    verdict: Verdict
    interval: Interval
    table: Table
    between: Between | None = None
    """For a control: how far the method lies from it."""


ByArm = Mapping[str, _Arm]
BY_WIDTH = ("", STRADDLES)
"""Reasons of a verdict that rests on where its own interval lies."""


def judge(claim: Claim, arms: Arms, level: float = USUAL, scope: Scope = "") -> Judged:
    """Judge a claim with its controls, its planted effects and violations, and every other arm on
    which it can be computed.

    A pure function of the measures. `scope` names the model, site and text, as a phrase or as a
    function of what was read. The outcome *holds* requires that every control is beaten, and that
    no arm satisfies the claim in which a credited part was not learned. Arms that no claim names
    are judged at 95% where the level is stricter.
    Raises: ClaimError when the claim cannot be computed on these arms.
    """
    level = claim.level(level)

    # Controls are asked without gates: one that satisfies the claim discredits it, converged or
    # not. A planted effect must be found under the same gates as the claim.
    def ask(names: Iterable[str], *, gated: bool = False) -> dict[str, _Arm]:
        return {name: _judge_arm(claim, name, arms, level, scope, gated=gated) for name in names}

    reach = _reach(claim, arms, level)
    method = _within_reach(claim, ask((claim.of,), gated=True)[claim.of], arms, reach)
    no_lead = _no_lead(claim, arms, level)
    method = method._replace(verdict=_with_lead(claim, method.verdict, no_lead))
    fails = method.verdict.outcome == "fails"
    if claim.automatic and (fails or _has_effect(claim, method.interval)):
        claim = replace(claim, automatic=())
    controls = {
        name: _as_control(claim, method, control, level)
        for name, control in ask(made(claim, arms)).items()
        if name not in claim.automatic or _is_outside(claim, control)
    }
    planted, violations = ask(claim.must_hold, gated=True), ask(claim.violations)
    rivals = _others(claim, arms, min(level, USUAL), scope)
    verdict = _with_others(claim, method, controls, planted, violations, rivals, level)
    verdict = structs.replace(verdict, warning=_next_to_controls(verdict.warning, controls))
    failing, holding, violated = (
        {name: stand.verdict for name, stand in stands.items()}
        for stands in (controls, planted, violations)
    )
    satisfying = {name: v for name, (v, *_) in rivals.items() if v.outcome == "holds"}
    copied = ("lacks", "estimate", "low", "high", "n")
    also = {
        name: Other(reason=claim.may_hold.get(name), **{key: getattr(v, key) for key in copied})
        for name, v in satisfying.items()
    }
    return Judged(
        **structs.asdict(verdict) | _power(claim, method, controls, planted, level, reach),
        controls=failing,
        planted=holding,
        violations=violated,
        also=also,
        asked=tuple(rivals),
        sides=claim.ceiling.means(arms) if claim.ceiling and not claim.where else {},
        together=claim.together,
        edition=EDITION,
        claim=claim,
        condition=claim.condition,
    )


def made(claim: Claim, arms: Arms) -> tuple[str, ...]:
    """Give the controls of a claim that could be made, each with its twins."""
    return tuple(name for name in claim.must_fail if not unmade(claim, name, arms))


def unmade(claim: Claim, control: str, arms: Arms) -> str:
    """Name the controls, of one and its twins, that could not be made; "" where all could."""
    every = (control, *claim.twins.get(control, ()))
    return next((name for name in every if LEFT_OUT in arms.get(name, ())), "")


def _reach(claim: Claim, arms: Arms, level: float) -> tuple[float, float]:
    """Between which values an arm's number must lie, given the bounds of its measure and what it is
    compared with; infinite where no bounds are known."""
    ends = []
    for extreme in claim.ceiling.extremes(arms) if claim.ceiling else ():
        with np.errstate(all="ignore"):
            ends.append(_alone(claim, extreme, level)[0].estimate)
    if len(ends) < 2 or not np.isfinite(ends).all():
        return -math.inf, math.inf
    return min(ends), max(ends)


def _within_reach(claim: Claim, method: _Arm, arms: Arms, reach: tuple[float, float]) -> _Arm:
    """The method's verdict, undecided where the bounds of its measure make it impossible to hold:
    that it did not is then no finding."""
    v = method.verdict
    if v.outcome == "holds" or v.reason not in UNLESS_HOLDS or claim.ceiling is None:
        return method
    (low, high), _ = claim.edges
    if reach[0] <= high and reach[1] >= low:
        return method
    least, greatest = unscaled(claim.scale, reach)
    words = (
        f"more units do not help: as {claim.ceiling.others(arms)}, the value can only be from "
        f"{least:.3g} to {greatest:.3g}"
    )
    v = structs.replace(v, outcome="undecided", reason=OUT_OF_REACH, price=Price(words))
    return method._replace(verdict=v)


def _no_lead(claim: Claim, arms: Arms, level: float) -> Price | None:
    """What decides a claim about a lead that the unchanged model does not have; None where it has
    it, and of any other claim."""
    if claim.lead is None:
        return None
    i, _ = _alone(claim.lead, arms, level)
    if not i.low <= 0:
        return None
    return Price(
        f"more units do not help: {claim.lead.text} is {i.estimate:.2g} [{i.low:.2g}, "
        f"{i.high:.2g}]; choose prompts on which the model prefers the right answer"
    )


def _with_lead(claim: Claim, v: Verdict, no_lead: Price | None) -> Verdict:
    """The verdict, undecided where the unchanged model does not have the lead that the claim is
    about: that it did not fall is then no finding, and neither is which share of it is left."""
    may_hold = v.outcome == "holds" and not claim.of_share  # and only its controls are in the way
    if no_lead is None or v.reason not in UNLESS_HOLDS or may_hold:
        return v
    return structs.replace(v, outcome="undecided", reason=NO_LEAD, price=no_lead)


def _as_control(claim: Claim, method: _Arm, control: _Arm, level: float) -> _Arm:
    """The verdict on a control as such: it fails where its own interval, at the level of controls,
    lies outside the range to hold, and the method lies beyond it on the range's side."""
    v, i, table, _ = control
    between = None
    if min(*method.interval.n, *i.n) > 1 and i.band is None:
        between = contrast(claim, method.table, table, level)
        of = between.interval
        v = structs.replace(v, contrast=Contrast(of.estimate, of.low, of.high, between.shared))
    if v.outcome == "holds" or v.reason not in ("", STRADDLES):
        return _Arm(v, i, table, between)
    reason, price = _not_beaten(claim, method, control._replace(between=between), level)
    outcome: Outcome = "undecided" if reason else "fails"
    v = structs.replace(v, outcome=outcome, reason=reason, price=price)
    if narrower_level(v):
        at_level = limits(i, control_level(level))
        v = structs.replace(v, narrower=unscaled(claim.scale, at_level))
    return _Arm(v, i, table, between)


def _not_beaten(
    claim: Claim, method: _Arm, control: _Arm, level: float, *, would_hold: bool = False
) -> tuple[str, Price | None]:
    """Why a control is not beaten, and what would beat it if the claim holds, or would hold with
    more units; "" and None where it is."""
    i, between, at_level = control.interval, control.between, control_level(level)
    low, high = limits(i, at_level)
    if not placed(strict(claim), low, high)[1]:
        i = replace(i, low=low, high=high)
        return STRADDLES, _price_of_control(claim, method, control.verdict.arm, i, at_level)
    has_lead = (
        method.verdict.outcome == "holds" or would_hold
    )  # only what would hold has to be ahead
    if not has_lead or _beaten(claim, method, i, between):
        return "", None
    ahead = beyond(claim, i)
    return TOO_CLOSE, between and power.price_to_decide(ahead, between.interval, level)


def _price_with_controls(claim: Claim, method: _Arm, controls: ByArm, level: float) -> Price | None:
    """What decides a claim that would hold if its own number were decided: so many units that each
    control is beaten as well, or else why none would be enough for one."""
    price = own = method.verdict.price
    for name, control in controls.items():
        if price and price.more and _judged(control.verdict):
            _, further = _not_beaten(claim, method, control, level, would_hold=True)
            if further and further.more is None:
                price = power.price_of_arm(f"control {name}", further)
            elif own and further and further.factor == price.factor:
                if (further.more or 0) <= (price.more or 0):
                    continue
                alone = f"{own.more:,} would do for the claim's own interval"
                near = f"because control {name} is close to the threshold"
                price = structs.replace(further, text=f"{further.text}, {near}; {alone}")
    return price


def _price_of_control(claim: Claim, method: _Arm, name: str, i: Interval, level: float) -> Price:
    """What decides a control: more units or, if they would be too many, another threshold."""
    if placed(strict(claim), i.estimate, i.estimate)[0]:
        return Price(f"{_unspecific(claim)}, because the estimate of {name} satisfies it too")
    price = power.price_to_decide(strict(claim), i, level)
    if price is not power.ON and (price.more is None or price.more <= MOST_TIMES * max(i.n)):
        return price
    theirs, ours = unscaled(claim.scale, (i.estimate, method.interval.estimate))
    how = "freeze" if claim.condition else "state"  # of a table nothing is frozen
    return Price(
        f"more {' or '.join(plural(x, 2) for x in claim.units)} do not help, because the interval "
        f"of {name} is much wider than its distance from the threshold; instead, {how} a claim "
        f"with a threshold between its estimate, {theirs:.3g}, and the claim's own, {ours:.3g}, "
        "and test it on fresh data"
    )


def _beaten(claim: Claim, method: _Arm, control: Interval, between: Between | None) -> bool:
    target, ours = beyond(claim, control), method.interval
    if between is None and not (control.band and claim.beats):
        return True  # bands lie on both sides of the threshold, and nothing more is asked
    i = between.interval if between else None
    if i and target.low < i.low and i.high < target.high and i.undefined <= UNDEFINED:
        return True
    # Exact limits that do not meet need no contrast, which units on two bounds make too wide.
    low, high = ours.low - control.high, ours.high - control.low
    apart = high < target.high if math.isinf(target.low) else low > target.low
    return apart and (i is None or None not in (ours.bounds, control.bounds))


def _power(
    claim: Claim,
    method: _Arm,
    controls: ByArm,
    planted: ByArm,
    level: float,
    reach: tuple[float, float],
) -> dict[str, Any]:
    """The effects that would have been detected, where controls must be beaten and planted effects
    must hold in the same experiment, their true values being the measured ones. None where bounds
    put such effects out of `reach`."""
    i = method.interval
    # No spread is known from which experiments could be simulated.
    if method.verdict.reason.startswith(("too few", OUT_OF_REACH)):
        return {}
    spread = i.variance or i.bounds is not None
    if i.band is not None or not spread or not math.isfinite(i.variance):
        return {}

    # Undecided for another reason than width, an arm would be so again with any number of units.
    least, greatest = unscaled(claim.scale, reach)

    def reachable(ends: tuple[float, float]) -> tuple[float, float]:
        return ends if ends[0] <= greatest and ends[1] >= least else power.NOTHING

    alone = reachable(power.detectable(claim, i, level))
    if not all(_judged(stand.verdict) for stand in (*controls.values(), *planted.values())):
        return {"controls_chance": 0.0, "detectable_alone": alone}
    planted_chance = math.prod(
        power.chance(claim, k, k.estimate, level)[0] for _, k, *_ in planted.values()
    )
    beaten = power.beaten(claim, i, [(k, b) for _, k, _, b in controls.values()], level)
    return {
        "detectable": reachable(
            power.detectable(claim, i, level, lambda truth: planted_chance * beaten(truth))
        ),
        "detectable_alone": alone,
        "controls_chance": planted_chance * beaten(i.estimate),
    }


def _others(claim: Claim, arms: Arms, level: float, scope: Scope) -> dict[str, _Arm]:
    """Every arm that the claim does not name and that can be judged."""
    stands = {}
    asked = (claim.of, *claim.must_fail, *claim.must_hold, *claim.violations)
    for name in (name for name in arms if name not in (*asked, *claim.unlike)):
        # an arm that lacks what the claim reads has no answer to give
        with contextlib.suppress(Exception), np.errstate(all="ignore"):
            stand = _judge_arm(claim, name, arms, level, scope, brief=True)
            may_matter = stand.verdict.outcome == "holds" or stand.verdict.lacks
            stands[name] = _judge_arm(claim, name, arms, level, scope) if may_matter else stand
    return stands


def standing(
    claim: Claim, arms: Arms, level: float = 0.95
) -> tuple[Interval, tuple[float, float], tuple[float, float]]:
    """Locate a claim's own arm on the scale of judging, runs that diverged left out: an interval,
    the range to hold and the range to fail; without draws, so that whether the statistic
    is defined in them stays open."""
    return _alone(claim, arms, level)[0], *claim.edges


def numbers(claim: Claim, arms: Arms) -> Table:
    """Give the numbers of a claim's own arm, runs that diverged left out, on the scale of
    judging."""
    return _alone(claim, arms, USUAL)[1]


def by_level(claim: Claim, arms: Arms, unit: str) -> dict[Any, float]:
    """Give a claim's number at each level of one of its units, over all levels of the other; empty
    where a level has none."""
    data = numbers(claim, arms)
    cells = Cells(data.terms, len(claim.units))
    at_each = cells.apply(claim.statistic, cells.by_level(claim.units.index(unit)))
    levels = data.levels[unit].tolist()
    each = unscaled(claim.scale, at_each.tolist())
    return dict(zip(levels, each, strict=True)) if len(levels) == len(each) else {}


def controls_of(claim: Claim, arms: Arms) -> tuple[tuple[Interval, Between], ...]:
    """Give each control's interval, and how far the method lies from it, without draws."""
    _, ours = _alone(claim, arms, USUAL)
    contrasts = []
    for name in made(claim, arms):
        i, theirs = _alone(claim.about(name), arms, USUAL)
        contrasts.append((i, contrast(claim, ours, theirs, USUAL, draws=1)))
    return tuple(contrasts)


def _alone(claim: Claim, arms: Arms, level: float) -> tuple[Interval, Table]:
    arm_reader = Others(arms, claim.of, claim.where)
    read_units(claim, claim.of, arm_reader)
    if bad := arm_reader.diverged(run_unit(claim.units, arm_reader)):
        arm_reader = Others(arms, claim.of, claim.where, without=bad)
    data = scaled(claim, claim.of, read_units(claim, claim.of, arm_reader))
    return interval_of_table(claim, data, level, draws=1), data


def _judge_arm(
    claim: Claim,
    name: str,
    arms: Arms,
    level: float,
    scope: Scope,
    *,
    gated: bool = False,
    brief: bool = False,
) -> _Arm:
    """The verdict on one arm by itself, with its interval and its numbers; a brief one leaves out
    draws and price."""
    arm_reader, data, bad, survived = survivors(claim, name, arms)
    unit = run_unit(claim.units, arm_reader)
    data = scaled(claim, name, data)
    alone = interval_of_table(claim, data, level, draws=1 if brief else DRAWS)
    i = final(claim, name, data, alone, level)
    outcome = outcome_by(claim, i)
    # Units that diverged are not missing at random, and may be the worst on either side.
    if bad and survived:
        survived = worst_cases_agree(claim, data, unit, len(bad), i, outcome, level)
    gates = _gates(claim, arm_reader, bad, i, outcome, level, gated=gated)
    n = dict(zip(claim.units, i.n, strict=True))
    fewest = _fewest(claim.units, arm_reader.take(name))
    # Where enough were asked for, what lacks is what diverged.
    requested = n | {unit: n[unit] + len(bad)} if unit in n else n
    # Too few units because some diverged is "diverged"; too few that were asked for is "too few".
    survived = survived and all(n[u] >= fewest for u in n if requested[u] >= fewest)
    available = {u: max(len(data.levels[u]), n[u]) for u in n}
    reason, price = _reason(
        claim, i, requested, available, fewest, survived, gates, outcome, 0 if brief else level
    )
    if not reason and name == claim.of and (tie_text := ties.in_words(claim, data, i)):
        reason, price = TIES, ties.price(claim, data, i, tie_text)
    # Equal numbers are otherwise no ground for a verdict. Here their equality is the finding: the
    # arm changed nothing.
    if reason == TIES and outcome == "fails" and ties.is_identical(claim, arm_reader, i):
        reason, price = IDENTICAL, None
    one = find(claim, arms, data, i, level) if name == claim.of and reason in BY_WIDTH else NONE
    verdict = Verdict(
        **claim.facts | {"bounds": claim.bounds or i.bounds},
        **_ends(claim, i),
        detectable=(math.nan, math.nan),
        detectable_alone=(math.nan, math.nan),
        arm=name,
        outcome="undecided" if reason and reason != IDENTICAL else outcome,
        reason=reason,
        price=one.price or _price_of_groups(claim, data, i, alone, level, reason) or price,
        p=_p(claim, i),
        n=n,
        dropped=len(bad),
        scope=describe_scope(claim.units, i, arm_reader, scope, claim.fixed),
        method=_method_in_words(claim, name, i, level),
        gates=gates,
        points=unscaled(claim.scale, i.points.tolist()),
        levels=tuple(data.levels[claim.units[0]].tolist()),
        level_of=getattr(claim.statistic, "level_of", ""),
        never=claim.statistic.never(data.terms) if isinstance(claim.statistic, OfMeans) else None,
        warning=_warned(claim, arms, data, i, reason, level, one) if name == claim.of else "",
        lacks=claim.lacks(arms[name].attrs.get(LEARNED)),
    )
    return _Arm(verdict, i, data)


LIMITS = (
    *("estimate", "low", "high", "boot_low", "boot_high"),
    *("t_low", "t_high", "skew_low", "skew_high"),
)
"""The numbers of an interval that are kept with a verdict."""


def _ends(claim: Claim, i: Interval) -> dict[str, Any]:
    """The estimate and the limits of an interval in the claim's unit, by name."""
    ends = unscaled(claim.scale, [getattr(i, name) for name in LIMITS])
    return dict(zip(LIMITS, ends, strict=True))


def _gates(
    claim: Claim,
    arm_reader: Others,
    bad: Levels,
    i: Interval,
    outcome: Outcome,
    level: float,
    *,
    gated: bool,
) -> dict[str, bool]:
    """Whether an arm meets each condition for being judged; those of the claim only where it is
    `gated`."""
    name, gates = str(arm_reader.under), dict[str, bool]()
    if gated and i.n[0]:
        gates = {g.name: bool(np.all(g.met(arm_reader.take(name)))) for g in claim.gates}
    # `not <=`, so that NaN does not pass.
    if i.n[0] and not i.undefined <= UNDEFINED:
        gates["divisor" if getattr(claim.statistic, "divisors", ()) else "overlap"] = False
    if gated and name == claim.of and name in claim.half and outcome != "undecided":
        agrees = half_agrees(claim, arm_reader.arms, bad, i, outcome, level)
        gates["converged"] = gates.get("converged", True) and agrees
    return gates


def _price_of_groups(
    claim: Claim, data: Table, i: Interval, alone: Interval, level: float, reason: str
) -> Price | None:
    """What decides a claim that its groups leave undecided, since more units do not add groups:
    None for another reason, and where the interval is hardly wider with groups as units."""

    def width(unit: str, name: str) -> float:
        of = {unit: {name: claim.groups[unit][name]}}
        by = grouped(of, claim.units, claim.statistic, data, alone, level)
        return by.high - by.low

    if reason != STRADDLES or not i.high - i.low > WIDER * (alone.high - alone.low):
        return None
    for unit, groupings in claim.groups.items():
        if groupings.keys() <= {"pair"}:  # of which more units are more
            continue
        name, *others = sorted(groupings, key=lambda name: -width(unit, name))
        values = {groupings[name].get(x, x) for x in map(str, data.levels[unit])}
        which = f"{name} ({len(values)} values)"
        which += f", or of {counted(len(others), 'other column')}," if others else ""
        outcome, whole = outcome_by(claim, alone), plural(unit, 2)
        words = {"holds": ", and the claim would hold", "fails": ", and the claim would fail"}
        low, high = told_apart(*unscaled(claim.scale, (alone.low, alone.high)))
        return Price(
            f"by {whole} alone, the interval would be [{low}, {high}]{words.get(outcome, '')}; "
            f"more {whole} do not help, because those that share a value of {which} count as one "
            f'unit, too: use more values there, or write unit = "{unit}" under the prompts, for a '
            f"verdict about other {whole} with the same values"
        )
    return None


def _method_in_words(claim: Claim, name: str, i: Interval, level: float) -> str:
    parts = (
        describe_method(claim.units, level, i.bounds, i.n, i.ends),
        claim.statistic.words if isinstance(claim.statistic, OfMeans) and i.band else "",
        f"simultaneous for {claim.together} claims" if claim.together > 1 else "",
        groups_in_words(claim.groups) if name == claim.of else "",
        f"{i.rounding:.4g} wider on either side for rounding" if i.rounding else "",
        ESTIMAND[claim.scale],
    )
    return "; ".join(part for part in parts if part)


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
    short = [u for u in claim.units if n[u] < fewest]
    unmet = [g for g, met in gates.items() if not met]
    if short:
        unit = min(short, key=lambda u: n[u])
        straddles = level and outcome == "undecided" and min(i.n) > 1
        likely = power.price_to_decide(claim, i, level) if straddles else None
        price = power.price_of_units(unit, n[unit], available[unit], fewest, likely)
        few = f"too few units: {n[unit]} of {fewest} {plural(unit, fewest)}"
        return few, power.price_with_gates(price, unmet)
    if not survived:
        how = "more units do not help: fix the training of the runs that diverged"
        return "diverged", Price(how)
    if unmet:
        return f"gate {unmet[0]}", power.price_of_gate(unmet[0], i)
    if outcome != "undecided":
        return "", None
    return STRADDLES, power.price_to_decide(claim, i, level) if level else None


def _with_others(
    claim: Claim,
    method: _Arm,
    controls: ByArm,
    planted: ByArm,
    violations: ByArm,
    rivals: ByArm,
    level: float,
) -> Verdict:
    """The verdict after all other arms have spoken; the first reason that applies is kept."""
    verdict = method.verdict
    # The arm itself could not be judged, which is said before anything about its company.
    unjudged = ("too few", "diverged", "gate", TIES, IDENTICAL, OUT_OF_REACH, NO_LEAD)
    early = verdict.reason.startswith(unjudged)
    for name, (v, *_) in planted.items():
        if v.outcome != "holds" and not early:
            absent = "more units do not help: the planted effect itself was found to be absent"
            price = power.price_of_arm(name, v.price or Price(absent))
            reason = f"planted {name} not found"
            return structs.replace(verdict, outcome="undecided", reason=reason, price=price)
    passing = [name for name, (v, *_) in controls.items() if v.outcome == "holds"]
    # Only what holds can be unspecific: what fails needs no control. Units that agree would hold as
    # well if they had an interval, and none would tell them from a control that passes.
    tied = verdict.reason == TIES and outcome_by(claim, method.interval) == "holds"
    if verdict.outcome != "holds" and not (tied and passing):
        within = placed(claim, method.interval.estimate, method.interval.estimate)[0]
        words = _satisfying(claim, controls, passing) if within else ""
        if words and verdict.reason.startswith("too few"):
            return structs.replace(verdict, price=_in_vain(verdict.price, words))
        if verdict.reason != STRADDLES or not within:
            return verdict
        price = Price(words) if words else _price_with_controls(claim, method, controls, level)
        return structs.replace(verdict, price=price)

    def unspecific(names: list[str], head: str, tail: str) -> Verdict:
        satisfy = "satisfies" if len(names) == 1 or head else "satisfy"
        reason = f"{head}{', '.join(names)} {satisfy} it too{tail}"
        warnings = verdict.warning, _also_perfect(claim, method, controls, names)
        words = "; ".join(filter(None, warnings))
        return structs.replace(
            verdict, outcome="unspecific", reason=reason, warning=words, price=None
        )

    if passing:
        return unspecific(passing, "control ", "")
    every = {**controls, **planted, **violations, **rivals}
    if _is_null(claim, every):
        if reason := _blind(claim, controls, violations):
            price = _price_to_see(claim, violations, reason)
            return structs.replace(verdict, outcome="undecided", reason=reason, price=price)
    elif lacking := [n for n, (v, *_) in every.items() if v.lacks and v.outcome == "holds"]:
        return unspecific(lacking, "", ", unlearned")
    if not controls:
        return structs.replace(verdict, outcome="undecided", reason=UNCONTROLLED)
    for name, (v, *_) in controls.items():
        if v.outcome == "undecided":
            reason, price = f"control {name} not beaten", power.price_of_arm(name, v.price)
            return structs.replace(verdict, outcome="undecided", reason=reason, price=price)
    return verdict


def _in_vain(price: Price | None, words: str) -> Price | None:
    """So many more units, with what they would do to a claim that a control satisfies."""
    if price is None or not price.more:
        return price
    would = re.sub(r"^more .*? (?=may |could )", "", words)
    return structs.replace(price, text=f"{price.text}, {would}")


def _satisfying(claim: Claim, controls: ByArm, passing: Sequence[str]) -> str:
    """Say what more units would do where controls satisfy a claim, or their estimates do; "" where
    none does."""
    known = {n: c for n, c in controls.items() if _judged(v := c.verdict) or "too few" in v.reason}
    estimates = {name: control.interval.estimate for name, control in known.items()}
    names = passing or [name for name, x in estimates.items() if placed(claim, x, x)[0]]
    if not names:
        return ""
    of = "" if passing else f"the {plural('estimate', len(names))} of "
    satisfy, which = "satisfy" if names[1:] else "satisfies", listed(draws_counted(names))
    return f"{_unspecific(claim, bool(passing))}, because {of}{which} {satisfy} it too"


def _unspecific(claim: Claim, surely: bool = False) -> str:
    """What more units would do to a claim that a control satisfies, or whose estimate does."""
    more = f"more {' or '.join(plural(unit, 2) for unit in claim.units)}"
    if surely:
        return f"{more} could only make the claim unspecific"
    return f"{more} may make the claim unspecific but will probably not make it hold"


def _also_perfect(claim: Claim, method: _Arm, controls: ByArm, passing: Sequence[str]) -> str:
    """Say that controls are perfect in each unit, as the method is; "" where none is."""
    best, x = claim.bounds or claim.natural or (), method.interval.estimate
    alike = [n for n in passing if n in controls and controls[n][1].estimate == x]
    others = f"{len(alike)} controls" if alike[1:] else "".join(alike)
    perfect = f"{claim.of} and {others} have {x:g}, the best there is: ask something harder"
    return perfect if alike and x in best else ""


def _is_null(claim: Claim, asked: ByArm) -> bool:
    """Whether the range to hold contains, within its ends, the value where there is nothing; unless
    an arm that lacks what is credited fails the claim, or an automatic control, or the arm without
    the change: that arm then does not give nothing."""
    (low, high), _ = claim.edges
    if not low < _nothing(claim) < high:
        return False
    others = (*claim.automatic, claim.unchanged)
    return not any(
        (arm.verdict.lacks or name in others) and _is_outside(claim, arm)
        for name, arm in asked.items()
    )


def _has_effect(claim: Claim, i: Interval) -> bool:
    """Whether a claim with one edge is true with an effect to the other side that is larger than
    what it allows: it then credits this effect."""
    (low, high), _ = claim.edges
    nothing = _nothing(claim)
    if math.isinf(high):
        return i.low > 2 * nothing - low
    return math.isinf(low) and i.high < 2 * nothing - high


def _nothing(claim: Claim) -> float:
    """The value without any effect, on the scale of judging; NaN where there is none."""
    if claim.empty is None:
        return math.nan if claim.scale in ("log", "logit") else 0.0
    return float(rescale(claim.scale, claim.empty))


def _blind(claim: Claim, controls: ByArm, violations: ByArm) -> str:
    """Why a claim of no effect is blind: a planted violation is not found, or no control is seen to
    violate the claim, and no planted violation of at most twice the threshold; empty where it is
    not blind. A planted one is as large as its author likes, so a large one shows little."""
    for name, arm in violations.items():
        if not _is_outside(claim, arm):
            return f"violation {name} not found"
    for name, arm in {**controls, **violations}.items():
        shows = name not in violations or _is_small(claim, arm.interval)
        if shows and _is_outside(claim, arm):
            return ""
    return BLIND


def _is_small(claim: Claim, i: Interval) -> bool:
    """Whether an effect is at most twice as far from none as the threshold that it is beyond."""
    (low, high), _ = claim.edges
    nothing = _nothing(claim)
    return abs(i.estimate - nothing) <= 2 * abs((high if i.estimate > high else low) - nothing)


def _price_to_see(claim: Claim, violations: ByArm, reason: str) -> Price:
    """What would show that a small effect is found: more units, or a larger effect, where a
    violation is small but its interval spans the threshold; or else another violation."""
    for name, (v, i, *_) in violations.items():
        is_beyond = placed(strict(claim), i.estimate, i.estimate)[1] and _is_small(claim, i)
        if reason == f"violation {name} not found" and v.reason == STRADDLES and is_beyond:
            at, *ends = unscaled(claim.scale, (i.estimate, i.low, i.high))
            low, high = sorted(ends)
            seen = f"show that {name}, at {at:.3g} [{low:.3g}, {high:.3g}], is beyond the threshold"
            larger = f"{seen}: give it a larger effect, of at most twice the threshold"
            if v.price and v.price.more and v.price.more <= MOST_TIMES * max(i.n):
                return structs.replace(v.price, text=f"{larger}, or take {v.price.text}")
            return Price(larger)
    wanted = f"name as a violation an arm whose value is {small_effects(claim)}"
    control = "as a control one that clearly does not satisfy the claim"
    return Price(f"more units do not help: {wanted}, or {control}")


def small_effects(claim: Claim) -> str:
    """What a planted violation of a claim of no effect may be: between 0.1 and 0.2."""
    ends, nothing = [e for e in claim.edges[0] if math.isfinite(e)], _nothing(claim)
    near = unscaled(claim.scale, ends)
    far = unscaled(claim.scale, [nothing + 2 * (e - nothing) for e in ends])
    return " or ".join(f"between {a:.3g} and {b:.3g}" for a, b in zip(near, far, strict=True))


def _judged(v: Verdict) -> bool:
    """Whether only the width of its interval could keep an arm from being decided."""
    return v.reason in ("", STRADDLES, TOO_CLOSE)


def _is_outside(claim: Claim, arm: _Arm) -> bool:
    """Whether an arm is seen to lie outside the range to hold."""
    i = arm.interval
    return _judged(arm.verdict) and bool(placed(strict(claim), i.low, i.high)[1])


def _warned(
    claim: Claim, arms: Arms, data: Table, i: Interval, reason: str, level: float, one: OneUnit
) -> str:
    """The warning next to the verdict on the claim's own arm; empty where there is none."""
    ceiling = claim.ceiling.at_bound(arms) if claim.ceiling else ""
    folds = widened_folds(claim.units, i)
    # of a number for all levels, or of all units, no unit has one
    whole = i.band or i.ends
    apart = "" if whole or idle(claim, data, i, level) else warning(claim, i)
    unit = one.words if i.ends else decisive(claim, data, reason, level)
    words = apart, unit, ceiling, folds
    return "; ".join(filter(None, words))


def _next_to_controls(warning: str, controls: ByArm) -> str:
    """The warning about a unit without which the claim would hold by itself, where a control speaks
    against it then, too."""
    outcomes = {v.outcome for v, *_ in controls.values()}
    words = " it would hold"
    if "undecided" in outcomes:
        own = "the claim's own interval would be in the range"
        words = f", {own}, but a control would still be undecided"
    if "holds" in outcomes:
        words = " it would be unspecific, as a control satisfies it too"
    return warning.replace(" it would hold", words)


def rename_unit(warning: str, unit: str, names: Mapping[str, str]) -> str:
    """Name the unit that a warning is about as its author knows it, by its level."""
    level = rf"\b{unit} (\S+?)(?= it would| makes the|, the claim's)"
    return re.sub(level, lambda m: names.get(m[1], m[0]), warning)


def _fewest(units: Sequence[str], data: xr.Dataset) -> int:
    """The fewest units: 20 where they are only levels measured in trained runs (documents) and no
    run is resampled; else 6, or 5 folds."""
    trained_only = "run" in data.dims and all(u in data.dims and u != "run" for u in units)
    trained_only = trained_only and tuple(units) != (FOLD,)
    return FEWEST_ALONE if trained_only else fewest_of(units)


def _p(claim: Claim, i: Interval) -> float:
    """The two-sided p-value at the nearest edge, by Student's t or the exact interval; NaN where no
    interval has a width."""
    if i.df < 1 or math.isnan(i.variance):
        return math.nan
    if i.bounds is not None:
        edge = nearest_edge(claim, i)
        return bounded_mean([independent(i)], i.estimate, i.bounds, edge=edge).p
    if not i.variance:
        return math.nan
    t = min(0, i.rounding - distance(claim, i)) / math.sqrt(i.variance)
    return float(2 * scipy.special.stdtr(i.df, t))


def describe_scope(
    units: Sequence[str], i: Interval, arm_reader: Others, scope: Scope, stays: Sequence[str] = ()
) -> str:
    """Over which units a number generalises, what else it is about, and what the experiment
    adds."""
    over = " × ".join(f"{n:,} {plural(u, n)}" for u, n in zip(units, i.n, strict=True))
    first = arm_reader.arms[sorted(arm_reader.read)[0]] if arm_reader.read else None
    fixed = first is not None and _fewest(units, first) == FEWEST_ALONE
    words = scope if isinstance(scope, str) else scope(arm_reader.trained, arm_reader.where)
    # "what is learned from" is a part of frozen studies, so it is reworded here
    plain = (noun.replace("what is learned from", "the training rows") for noun in stays)
    parts = [f"over {over}", *(f"of these {noun}" for noun in plain)]
    parts += ["for these trained runs only" if fixed else "", words]
    return "; ".join(p for p in parts if p)


def describe_method(
    units: Sequence[str],
    level: float,
    bounds: tuple[float, float] | None = None,
    n: Sequence[int] = (),
    ends: tuple[float, float] | None = None,
) -> str:
    """How the interval was made, in one line; of `n` units, where they are known, and of a
    statistic that lies between two ends."""
    words = f"{percent(level)}, over {' × '.join(plural(unit, 2) for unit in units)}"
    if bounds is not None:
        apart = f", of cells that share no {' and no '.join(units)}" if len(units) == 2 else ""
        return f"{words}{apart}; exact for values between {bounds[0]:g} and {bounds[1]:g}"
    if ends is not None:
        scale = "Fisher's z" if ends == (-1, 1) else "the logit"
        return f"{words}; Student's t interval on the scale of {scale}, by the jackknife"
    few = min(n, default=FEWEST) < FEWEST
    both = "the union of Student's t and the skew-corrected interval"
    words += "; Student's t interval" if few else f"; {both}"
    if FOLD in units:
        return f"{words}, widened for the training data that folds share (Nadeau and Bengio)"
    return f"{words}; fewer than {FEWEST} units show no skew to correct for" if few else words


def widened_folds(units: Sequence[str], i: Interval) -> str:
    """Say why the interval over folds is wide; "" of other units."""
    if FOLD not in units or i.bounds is not None or min(i.n) < 2:
        return ""
    times = math.sqrt(shared_training(FOLD, i.n[units.index(FOLD)]))
    return (
        f"folds share training data, so the interval is {times:.2g} times as wide as that of "
        "independent units"
    )


def percent(level: float) -> str:
    """Write a level with two digits of what it leaves out: 95%, 99.69%, 99.9985%."""
    return f"{round(100 * level, 1 - math.floor(math.log10(100 * (1 - level)))):.12g}%"
