"""Carried: what a claim compares, arm by arm, as numbers, with all that a verdict on it needs, so
that code without the claim can judge it.

A claim's value is a Python function of measures. It is called by the judge as ever, and what it
gave for each arm is kept: a table of terms over units. Its statistic, a function of means, becomes
steps. Nothing is computed a second way here."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from msgspec import structs

from assay.core.claims import Claim
from assay.core.contrasts import is_ratio, own_contrast, side_of
from assay.core.heavy import xr
from assay.core.intervals import interval
from assay.core.judging import FEWEST, FEWEST_ALONE, Scope, judge
from assay.core.memo import remembering
from assay.core.reading import LEARNED, Others, Table, run_unit, tabulate
from assay.core.reasons import IDENTICAL
from assay.core.results import Judged
from assay.core.scales import rescale
from assay.core.stats import mean
from assay.dictionaries.measuring.measures import TABLE
from assay.report.bundle import steps

Arms = Mapping[str, "xr.Dataset"]
Told = dict[str, Any]


@dataclass(frozen=True)
class Carried:
    """A claim as data: what it says, and its numbers by key."""

    said: Told
    numbers: Mapping[str, np.ndarray]
    judged: Judged | None = None
    """The verdict of Assay's own judge on the same measures; None for a study's claim, which was
    judged before."""

    @property
    def why_not(self) -> str:
        """Why it cannot be judged without Assay; "" where it can."""
        return str(self.said.get("why_not", ""))


@dataclass(frozen=True)
class _Call:
    """One call of a claim's value: by whom it was asked, for which arm, and what it gave."""

    others: Others
    arm: xr.Dataset
    given: Any


@dataclass(frozen=True)
class Look:
    """At which level a claim was judged, and on which seeds; None: on all that there are."""

    level: float = 0.95
    seeds: tuple[int, ...] | None = None

    def of(self, arms: Arms) -> Arms:
        """The arms as they were looked at: with the runs of these seeds."""
        if self.seeds is None:
            return arms
        return {
            name: a.isel(run=np.isin(a["seed"].values, self.seeds))
            if "seed" in a.coords and a["seed"].dims == ("run",)
            else a
            for name, a in arms.items()
        }


ONCE = Look()


def carry_all(
    claims: Iterable[Claim],
    arms: Arms,
    scope: Scope = "",
    looks: Mapping[str, Look] = MappingProxyType({}),
) -> list[Carried]:
    """Judge claims on the measures of all arms, each as at its look, and write down what was
    judged. Raises: ClaimError as `judge`."""
    arms_by_look: dict[Look, Arms] = {}
    carried_claims = []
    for claim in claims:
        look = looks.get(claim.text, ONCE)
        arms_by_look.setdefault(look, look.of(arms))
        with remembering(arms_by_look[look]):
            carried_claims.append(carry(claim, arms_by_look[look], scope, look.level))
    return carried_claims


def worded(
    claim: Claim, look: Look = ONCE, reason: str = "", arms: Arms = MappingProxyType({})
) -> Carried:
    """Write down a claim of a study, whose condition says what is computed of the measures: it
    needs no numbers of its own.

    `reason` is the verdict's, which may say that units are identical by arithmetic.
    """
    lacking = [name for name, arm in arms.items() if claim.lacks(arm.attrs.get(LEARNED))]
    extra_fields = {
        "level": look.level,
        "seeds": look.seeds,
        "carried": True,
        "lacking": lacking,
    } | ({"identical": True} if reason == IDENTICAL else {})
    return Carried(_describe_claim(claim) | extra_fields, {})


def carry(claim: Claim, arms: Arms, scope: Scope = "", level: float = 0.95) -> Carried:
    """Judge one claim, and write down what was judged."""
    calls: list[_Call] = []

    def value(arm: xr.Dataset, other_arms: Mapping[str, xr.Dataset]) -> Any:
        values = claim.value(arm, other_arms)
        assert isinstance(other_arms, Others)
        calls.append(_Call(other_arms, arm, values))
        return values

    judged = judge(replace(claim, value=value), arms, level, scope)
    judged = structs.replace(judged, claim=claim)
    numbers = _Numbers()
    description = _describe_claim(claim) | {"level": level, "half": [], "arms": {}}
    full_calls = [c for c in calls if c.others.arms is arms and not c.others.swap]
    for name in (claim.of, *claim.must_fail, *claim.must_hold, *claim.violations, *judged.asked):
        description["arms"][name] = _arm(
            claim, [c for c in full_calls if c.others.under == name], numbers
        )
    for name in (claim.of, *claim.must_hold):
        _gates(
            claim,
            description["arms"][name],
            [c for c in full_calls if c.others.under == name],
            numbers,
        )
    description |= {"identical": True} if judged.verdict.reason == IDENTICAL else {}
    if half := next((c for c in calls if c.others.swap), None):
        whole = next(c for c in calls if c.others.arms is not arms and not c.others.swap)
        description["half"] = [
            {"terms": numbers.keys(_table(claim, c).terms)} for c in (whole, half)
        ]
    try:
        description["statistics"] = _statistics(
            claim, [*description["arms"].values(), *description["half"]], numbers.kept
        )
        _contrasts(claim, description, numbers.kept)
    except steps.Untold as e:
        why = f"its statistic is Python that cannot be written as steps of NumPy: {e}"
        return Carried(
            description | {"carried": False, "why_not": why, "arms": {}, "half": []}, {}, judged
        )
    return Carried(description | {"carried": True}, numbers.kept, judged)


class _Numbers:
    """Arrays by key; equal ones are kept once."""

    def __init__(self) -> None:
        self.kept: dict[str, np.ndarray] = {}
        self.known: dict[tuple[tuple[int, ...], bytes], str] = {}

    def key(self, x: np.ndarray) -> str:
        """Keep an array, and give its key."""
        x = np.ascontiguousarray(x, dtype=np.float64)
        key = self.known.setdefault((x.shape, x.tobytes()), f"n{len(self.known)}")
        self.kept[key] = x
        return key

    def keys(self, terms: Mapping[str, np.ndarray]) -> dict[str, str]:
        """Keep the terms of a table."""
        return {name: self.key(x) for name, x in terms.items()}


def _describe_claim(claim: Claim) -> Told:
    """What a claim says, as plain values."""
    return {
        "text": claim.text,
        "of": claim.of,
        "units": list(claim.units),
        "unit": claim.unit,
        "where": dict(claim.where),
        "scale": claim.scale,
        "range": [_edge(claim.low), _edge(claim.high)],
        "fail_range": [_edge(e) for e in claim.fail_range],
        "bounds": list(claim.bounds) if claim.bounds else None,
        "must_fail": list(claim.must_fail),
        "must_hold": list(claim.must_hold),
        "near": dict(claim.near),
        "violations": list(claim.violations),
        "may_hold": dict(claim.may_hold),
        "beats": claim.beats,
        "distance": claim.distance,
        "empty": claim.empty,
        "natural": [_edge(x) for x in claim.natural] if claim.natural else None,
        "ratio": is_ratio(claim.statistic),
        "threshold": claim.threshold,
        "threshold_from": claim.threshold_since,
        "kind": claim.kind,
        "source": claim.source,
    }


def _edge(x: float) -> float | None:
    return float(x) if math.isfinite(x) else None


def _table(claim: Claim, call: _Call) -> Table:
    return tabulate(lambda: call.given, claim.units, claim.text, call.others)


def _arm(claim: Claim, calls: Sequence[_Call], numbers: _Numbers) -> Told:
    """The numbers of one arm in the method's place, runs that diverged left out, and what counting
    units needs."""
    first = next(c for c in calls if not c.others.without)
    unit = run_unit(claim.units, first.others)
    bad = first.others.diverged(unit)
    last = next((c for c in calls if c.others.without == bad), None) if bad else first
    table = _table(claim, last or first)
    terms = table.terms if last is not None else {name: x[:0] for name, x in table.terms.items()}
    arm = first.arm
    before = len(np.unique(arm[unit].values)) if unit in arm.coords else arm.sizes.get("run", 1)
    units_within_runs = "run" in arm.dims and all(u in arm.dims and u != "run" for u in claim.units)
    return {
        "terms": numbers.keys(terms),
        "levels": {u: len(level_values) for u, level_values in table.levels.items()},
        "dropped": len(bad),
        "run_unit": unit,
        "before": int(before),
        "lacks": claim.lacks(arm.attrs.get(LEARNED)),
        "fewest": FEWEST_ALONE if units_within_runs else FEWEST,
        "gates": {},
        "histories": {},
        "unit_levels": {u: level_values.tolist() for u, level_values in table.levels.items()},
    }


def _gates(claim: Claim, arm_entry: Told, calls: Sequence[_Call], numbers: _Numbers) -> None:
    """Note which gates were met; of one that asks whether a history has settled, the history as
    well, so that it can be asked again."""
    first = next(c for c in calls if not c.others.without)
    arm = next((c for c in calls if c.others.without), first).arm
    for gate in claim.gates:
        arm_entry["gates"][gate.name] = bool(np.all(gate.met(arm)))
        free = inspect.getclosurevars(gate.met).nonlocals
        if gate.met.__module__ == "assay.core.claims" and set(free) == {"measure", "within"}:
            history = arm[free["measure"]]
            mean_of_runs = history.mean([d for d in history.dims if d != "step"])
            arm_entry["histories"][gate.name] = {
                "steps": numbers.key(arm["step"].values),
                "values": numbers.key(mean_of_runs.values),
                "within": free["within"],
            }


def _statistics(
    claim: Claim, tables: Sequence[Told], numbers: Mapping[str, np.ndarray]
) -> list[Told]:
    """A claim's statistic by its name, or as steps for each set of terms that its tables have; each
    table is told which. Raises: Untold."""
    if claim.statistic is mean:
        for table in tables:
            table["statistic"] = 0
        return [{"name": "mean"}]
    statistics: list[Told] = []
    known: dict[tuple[Any, ...], int] = {}
    for table in tables:
        terms = {name: numbers[key] for name, key in table["terms"].items()}
        signature = tuple((name, x.shape[len(claim.units) :]) for name, x in terms.items())
        means = draw_means(claim, terms)
        if not means:  # nothing was measured of it, so that there is no mean to make anything of
            table["statistic"] = None
            continue
        if signature not in known:
            statistic = {"steps": steps.trace(claim.statistic, means)}
            known[signature] = (
                statistics.index(statistic) if statistic in statistics else len(statistics)
            )
            statistics += [] if statistic in statistics else [statistic]
        steps.check(
            statistics[known[signature]]["steps"], claim.statistic, means
        )  # noted of another arm: what is right there may be wrong here
        table["statistic"] = known[signature]
    return statistics


def _contrasts(claim: Claim, description: Told, numbers: Mapping[str, np.ndarray]) -> None:
    """Write down how the statistic compares each control with the method, where it has a way of its
    own. Raises: Untold."""
    tables, statistics = description["arms"], description["statistics"]
    if (by := own_contrast(claim.statistic)) is None:
        return

    def contrast(m: Mapping[str, np.ndarray]) -> np.ndarray:
        return by(side_of(m, "method"), side_of(m, "control"))

    for control in claim.must_fail:
        means = {
            f"{side}.{name}": x
            for side, arm in (("method", claim.of), ("control", control))
            for name, x in draw_means(
                claim, {name: numbers[key] for name, key in tables[arm]["terms"].items()}
            ).items()
        }
        if {name.partition(".")[0] for name in means} == {"method", "control"}:
            tables[control]["contrast"] = len(statistics)
            statistics.append({"steps": steps.trace(contrast, means)})


def draw_means(claim: Claim, terms: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Some means of a claim's terms [draw, ...] as a bootstrap draws them, on which steps are
    tried; empty where there are no units."""
    means: dict[str, np.ndarray] = {}

    def watching(m: Mapping[str, np.ndarray]) -> np.ndarray:
        if len(next(iter(m.values()))) == TRIES or not means:
            means.update({name: x.copy() for name, x in m.items()})
        return np.zeros(len(next(iter(m.values()))))

    scaled = Table({name: rescale(claim.scale, x) for name, x in terms.items()}, {})
    interval(scaled.or_empty(len(claim.units)), watching, factors=len(claim.units), draws=TRIES)
    if (
        means and len(next(iter(means.values()))) < TRIES
    ):  # one unit has one mean: others lie near it
        near = 1 + 0.01 * np.random.default_rng(0).standard_normal(TRIES)
        return {name: x[:1] * near.reshape(-1, *[1] * (x.ndim - 1)) for name, x in means.items()}
    return means


TRIES = 61
"""Draws on which the steps of a statistic are held to the statistic itself."""


def quantities(names: Iterable[str]) -> Told:
    """The quantities of the table of measures that a study names: the sums that each is made of,
    and how, as steps."""
    table, entries = {m.name: m for m in TABLE}, {}
    for name in names:
        if name not in table:
            continue
        rng = np.random.default_rng(0)
        tried = {term: rng.uniform(1, 2, TRIES) for term in table[name].terms}
        entries[name] = {
            "terms": list(table[name].terms),
            "formula": table[name].formula,
            "steps": steps.trace(table[name].statistic, tried),
        }
    return entries
