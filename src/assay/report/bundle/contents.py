"""Contents: what a claim compares, arm by arm, as numbers, with all that a verdict on it needs, so
that code without the claim can judge it.

A claim's value is a Python function of measures. The judge calls it as ever, and what it gave for
each arm is kept: a table of terms over units. Its statistic, a function of means, becomes steps.
Nothing is computed a second way here. Of a claim in words the terms become steps, too: of measures,
which then are the only numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from msgspec import structs

from assay.ask.wording import QUANTITIES, ROUNDING, condition, stored
from assay.core.across import OfAll
from assay.core.bands import OfMeans
from assay.core.claims import Claim, rescale
from assay.core.columns import Column
from assay.core.contrasts import is_ratio, own_contrast, side_of
from assay.core.errors import ClaimError
from assay.core.heavy import xr
from assay.core.intervals import Means, Statistic, fewest
from assay.core.judging import FEWEST_ALONE, USUAL, Scope, judge, made
from assay.core.measures import by
from assay.core.memo import remembering
from assay.core.reading import LEARNED, Others, run_unit, tabulate
from assay.core.reasons import IDENTICAL, NO_LEAD, OUT_OF_REACH
from assay.core.results import Judged
from assay.core.stats import mean
from assay.report.bundle import steps
from assay.report.bundle.judge import Measures, complete

Arms = Mapping[str, "xr.Dataset"]
Described = dict[str, Any]


@dataclass(frozen=True)
class Carried:
    """A claim as data: what it says, its numbers by key, and the verdict of Assay's own judge."""

    described: Described
    numbers: Mapping[str, np.ndarray]
    judged: Judged


class _Call(NamedTuple):
    """One call of a claim's value: by whom it was asked, for which arm, and what it gave."""

    reader: Others
    arm: xr.Dataset
    value: Any


def carry_all(
    every: Iterable[Claim], arms: Arms, scope: Scope = "", level: float = USUAL
) -> list[Carried]:
    """Judge claims at a level, and write down what was judged. Raises: ClaimError as `judge`."""
    with remembering(arms):
        return [carry(claim, arms, scope, level) for claim in every]


def carry(claim: Claim, arms: Arms, scope: Scope = "", level: float = USUAL) -> Carried:
    """Judge one claim at a level, and write down what was judged."""
    calls: list[_Call] = []

    def value(arm: xr.Dataset, other_arms: Mapping[str, xr.Dataset]) -> Any:
        values = claim.value(arm, other_arms)
        assert isinstance(other_arms, Others)
        calls.append(_Call(other_arms, arm, values))
        return values

    judged = judge(replace(claim, value=value), arms, level, scope)
    judged = structs.replace(judged, claim=claim)
    numbers: dict[str, np.ndarray] = {}
    described = _describe_claim(claim) | {"arms": {}, "level": claim.level(level)}
    described["must_fail"] = [*made(claim, arms)]
    described |= {"identical": True} if judged.verdict.reason == IDENTICAL else {}
    gates = {claim.of: judged.gates, **{name: v.gates for name, v in judged.planted.items()}}
    full = [c for c in calls if c.reader.arms is arms and not c.reader.swap]
    roles = (claim.of, *described["must_fail"], *claim.must_hold, *claim.violations)
    for name in (*roles, *judged.asked):
        table = _arm(claim, [c for c in full if c.reader.under == name], numbers)
        stated = {gate: met for gate, met in gates.get(name, {}).items() if gate != "overlap"}
        described["arms"][name] = table | {"gates": stated}
    why = _why_not(claim, judged)
    try:
        described["statistics"] = [] if why else _statistics(claim, described, numbers)
    except steps.NoSteps as e:
        why = f"its statistic is Python that cannot be written as steps of NumPy: {e}"
    if why:
        return Carried(described | {"arms": {}, "carried": False, "why_not": why}, {}, judged)
    return Carried(described | {"carried": True, "why_not": ""}, numbers, judged)


def _why_not(claim: Claim, judged: Judged) -> str:
    """Why the code of a bundle cannot judge a claim; "" where it can."""
    if isinstance(claim.statistic, OfMeans):
        return (
            "its number is taken over the levels of a sweep, such as the largest of several means, "
            "and the code of a bundle does not compute the band that its interval needs"
        )
    if isinstance(claim.statistic, OfAll):
        return (
            "it is a correlation or an AUROC, whose interval stays within its range, and the "
            "code of a bundle does not compute such intervals"
        )
    if judged.verdict.reason == OUT_OF_REACH:
        return "the bounds of its measure put its range out of reach of what it is compared with"
    if judged.verdict.reason == NO_LEAD:
        return "the unchanged model does not have the lead that the claim is about"
    return ""


def _kept(numbers: dict[str, np.ndarray], x: np.ndarray) -> str:
    """Keep an array, and give its key; equal ones are kept once."""
    x = np.ascontiguousarray(x, dtype=np.float64)
    same = (key for key, y in numbers.items() if np.array_equal(x, y, equal_nan=True))
    key = next(same, f"n{len(numbers)}")
    numbers[key] = x
    return key


PLAIN = """
text condition of units unit where scale bounds must_fail must_hold near violations
automatic unchanged may_hold beats distance empty threshold kind source rounding
"""
"""Fields of a claim that are exported unchanged."""


def _describe_claim(claim: Claim) -> Described:
    """What a claim says, as plain values."""
    plain = {name: getattr(claim, name) for name in PLAIN.split()}
    return {
        **{k: dict(v) if isinstance(v, Mapping) else v for k, v in plain.items()},
        "range": [_edge(claim.low), _edge(claim.high)],
        "fail_range": [_edge(e) for e in claim.fail_range],
        "natural": [_edge(x) for x in claim.natural] if claim.natural else None,
        "ratio": is_ratio(claim.statistic),
        "threshold_from": claim.threshold_since,
        "groups": {unit: _numbered(groupings) for unit, groupings in claim.groups.items()},
    }


def _numbered(groupings: Mapping[str, Mapping[str, str]]) -> Described:
    """Groups by number: their names may be texts that a bundle keeps to itself."""
    numbers = {name: sorted(set(groups.values())) for name, groups in groupings.items()}
    return {
        name: {level: f"group {numbers[name].index(group)}" for level, group in groups.items()}
        for name, groups in groupings.items()
    }


def _edge(x: float) -> float | None:
    return float(x) if math.isfinite(x) else None


def _arm(claim: Claim, calls: Sequence[_Call], numbers: dict[str, np.ndarray]) -> Described:
    """The numbers of one arm in the method's place, runs that diverged left out, and what counting
    units needs."""
    first = next(c for c in calls if not c.reader.without)
    unit, arm, dims = run_unit(claim.units, first.reader), first.arm, first.arm.dims
    bad = first.reader.diverged(unit)
    last = next((c for c in calls if c.reader.without == bad), None) if bad else first
    call = last or first
    table = tabulate(lambda: call.value, claim.units, claim.text, call.reader)
    terms = table.terms if last else {name: x[:0] for name, x in table.terms.items()}
    levels = {u: x.tolist() for u, x in table.levels.items()}
    runs = np.arange(arm.sizes.get("run", 1))
    if unit in arm.coords:
        runs, lost = np.unique(arm[unit].values), [level for _, level in bad]
        levels.setdefault(unit, [x for x in runs.tolist() if x not in lost])
    within_runs = all(u in dims and u != "run" for u in claim.units) and "run" in dims
    return {
        "terms": {name: _kept(numbers, x) for name, x in terms.items()},
        "dropped": len(bad),
        "run_unit": unit,
        "before": len(runs),
        "lacks": claim.lacks(arm.attrs.get(LEARNED)),
        "fewest": FEWEST_ALONE if within_runs else fewest(claim.units),
        "unit_levels": levels,
    }


def _statistics(
    claim: Claim, described: Described, numbers: Mapping[str, np.ndarray]
) -> list[Described]:
    """A claim's statistic by its name, or as steps for each kind of terms that its tables have, and
    how it compares controls with the method where it has a way of its own; each table says which.
    Raises: NoSteps."""
    statistics: list[Described] = []
    arms, plain = described["arms"], claim.statistic is mean

    def means_of(table: Described) -> Means:
        terms = {k: rescale(claim.scale, numbers[key]) for k, key in table["terms"].items()}
        present = complete(terms, len(claim.units))
        means = {k: x[present].mean(0) for k, x in terms.items()} if present.any() else {}
        return {k: np.repeat(x[None], steps.TRIED, 0) for k, x in means.items()}

    def place(statistic: Statistic, means: Means) -> int | None:
        if not means:  # no measure to compute anything from
            return None
        values: Described = {"steps": steps.trace(statistic, means)}
        if divisors := getattr(statistic, "divisors", ()):
            values["divisors"] = [steps.trace(divisor, means) for divisor in divisors]
        if values not in statistics:
            statistics.append(values)
        return statistics.index(values)

    for table in arms.values():
        table["statistic"] = 0 if plain else place(claim.statistic, means_of(table))
    by = own_contrast(claim.statistic)

    def compare(m: Means) -> np.ndarray:
        assert by is not None
        return by(side_of(m, "method"), side_of(m, "control"))

    for control in described["must_fail"] if by else ():
        pair = {"method": means_of(arms[claim.of]), "control": means_of(arms[control])}
        both = {f"{side}.{k}": x for side, means in pair.items() for k, x in means.items()}
        arms[control]["contrast"] = place(compare, both if all(pair.values()) else {})
    return statistics or [{"name": "mean"}]


def measured(carried: Carried, measures: Measures) -> Carried:
    """Give a claim in words its terms as steps of stored measures in place of numbers; as it is
    where these do not come to the same."""
    claim, tables = carried.described, carried.described["arms"]
    if not claim["condition"] or not claim["carried"]:
        return carried
    try:
        described = claim | reading(claim["condition"], claim["of"], measures.index)
        for name, table in tables.items():
            terms = measures.terms(described, name)
            for term, key in table["terms"].items():
                numbers = carried.numbers[key]
                np.testing.assert_allclose(terms[term], numbers, rtol=1e-12)
    except (ClaimError, LookupError, TypeError, ValueError, AssertionError):
        return carried
    without = {name: {**table, "terms": {}} for name, table in tables.items()}
    return replace(carried, described={**described, "arms": without}, numbers={})


def by_fields(arm: xr.Dataset) -> xr.Dataset:
    """An arm with a dimension for each field in which its runs differ; as it is where they differ
    in nothing that has a name."""
    fields = [str(k) for k, c in arm.coords.items() if c.dims == ("run",)]
    differ = [f for f in fields if len(np.unique(arm[f].values.astype(str))) > 1]
    try:
        return by(arm, *(f for f in differ if f != "seed"))
    except ClaimError:
        return arm


def names(text: str) -> set[str]:
    """Name the measures that a condition may read."""
    columns = [c.name for c in condition(text).columns]
    sums = (QUANTITIES[name].terms for name in columns if name in QUANTITIES)
    return {"diverged", *columns, *itertools.chain.from_iterable(sums)}


def reading(text: str, main_arm: str, index: Mapping[str, Any]) -> Described:
    """Write down a condition about this arm: which measures it reads, and its terms as steps of
    these. Raises: ClaimError, LookupError."""
    read, reads, terms = condition(text), dict[str, Any](), dict[str, Any]()

    def parts(c: Column) -> tuple[str, ...]:
        """The stored measures that a column is made of."""
        return stored(c.name, index[c.arm or main_arm]["variables"])

    def column(c: Column, name: str) -> str:
        """Note what a column reads, and give its key."""
        if c.how != "mean" or c.ranges:  # which a bundle carries as numbers
            raise ClaimError(f"{c} is not read from measures")
        levels, key = index[c.arm or main_arm]["levels"], str(replace(c, name=name))
        found_levels = [(dim, x, levels[dim]) for dim, x in c.levels if dim in levels]
        chosen = [(dim, have[c.place(dim, x, have)]) for dim, x, have in found_levels]
        arm = None if c.arm == main_arm else c.arm
        reads[key] = {"arm": arm, "measure": name, "at": chosen, "over": list(c.over)}
        return key

    def is_summed(c: Column) -> bool:
        return parts(c) != (c.name,)

    columns = read.parsed.columns
    summed: list[tuple[str, Column]] = []
    if read.equal:
        sides = zip("abcd", itertools.chain(*read.pairs), strict=False)
        pairs = (
            (side, replace(c, name=name)) for side, c in sides for name in (read.equal, c.name)
        )
        summed = [(f"{side}.{c.name}", c) for side, c in pairs]
    elif "value" in read.parsed.terms and any(map(is_summed, columns)):
        summed = [(str(c), c) for c in columns]
    for prefix, c in summed:
        for part in parts(c):
            term = f"{prefix}.{part if is_summed(c) else ''}"
            terms[term] = [{"do": "positive", "with": [{"term": column(c, part)}]}]
    if not summed:
        keys = {c: column(c, c.name) for c in columns}
        for term, walk in read.parsed.terms.items():
            terms[term] = steps.arithmetic(walk, keys, ROUNDING)
    return {"reads": reads, "terms": terms}
