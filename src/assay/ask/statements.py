"""Statements: each claim and estimate of a study, completed by what it leaves out, and held to the
arms and measures that there are."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import msgspec

from assay.ask import comparing, refusals, wording
from assay.ask.draft import Statement, StudyDraft
from assay.ask.text import frozen_bounds
from assay.ask.wording import QUANTITIES, dims_over, natural, stored
from assay.core.bounded import BoundedColumns
from assay.core.claims import Claim, Estimate, Groups
from assay.core.columns import Column
from assay.core.heavy import xr

DOCUMENT = "document"
"""A unit beside seeds where measures have it."""


def claim(study: StudyDraft, s: Statement) -> Claim:
    """Make a claim, with every arm that it names held to those there are, and every measure to
    those known."""
    refusals.refuse_unknown(study, s.table, s.i, s.entry, s)
    if s.entry.empty is not None and not math.isfinite(s.entry.empty):
        what = (
            f"empty is the number that means no effect, got {s.entry.empty:g}; leave it out if "
            "there is none"
        )
        raise s.error("empty", what)
    s.entry = _with_proposals(study, s, s.entry)
    s.entry = _completed(study, s)
    if not s.entry.control:
        what = (
            "a verdict needs a control, and none is added automatically here: write "
            'control = ["…"], an arm for which the claim should fail; or remove controls = [] '
            "from the table that the controls come from"
        )
        raise s.error("control", what)
    for key in ("control", "planted"):
        for name in getattr(s.entry, key):
            if name != s.main and name in s.read.parsed.arms:
                what = (
                    f"{name} is in the condition, so it would be compared with itself; a "
                    f"control takes the place of {s.main}: name another arm, such as a "
                    "baseline or a second training"
                )
                raise s.error(key, what)
    units = _units(study, s)
    refusals.hold_to(study, s, (s.main, *s.entry.control, *s.entry.planted), {"units": units})
    compared = (s.main, *s.read.parsed.arms)
    with study.text.located("claim", s.i):
        if unit := comparing.unit_apart(study.asked, compared) if study.asked.parts else "":
            judged = comparing.of_groups(s.entry, units, unit, s.main, s.read)
        else:
            judged = wording.claim(msgspec.structs.replace(s.entry, units=units), s.main, s.read)
    refusals.refuse_unlearned(study, s, judged)
    if not study.asked.parts:
        return judged
    with study.text.located(s.table, s.i, s.key):
        comparing.refuse_unpaired(study.asked, compared)
    told = study.asked, s.main, s.read, s.entry.control
    if twins := comparing.twins(*told):
        judged = dataclasses.replace(judged, value=comparing.read_besides(judged.value, twins))
    unlike = comparing.unlike(*told) if s.main in study.asked.by_label else ()
    groups = _groups(study, s, judged.units)
    ends = comparing.ends_of_shares(study.asked, s.main, s.read) or _within(study, s)
    ceiling = _ceiling(study, s)
    return dataclasses.replace(judged, unlike=unlike, ceiling=ceiling, groups=groups, natural=ends)


def _ceiling(study: StudyDraft, s: Statement) -> BoundedColumns | None:
    """What both models, or arms, that a claim compares have by one measure, with its bounds;
    of one arm by itself what that and the untouched model have; None elsewhere."""
    base = ""
    columns = [dataclasses.replace(c, arm=c.arm or s.main) for c in s.read.columns]
    ends: tuple[float | None, float | None] = (None, None)
    if len(columns) == 1 and not (sides := comparing.compared(study.asked, s.main)):
        plain = not columns[0].over and {s.main, "main"} <= {*study.asked.by_label}
        sides = (s.main, "main") if plain else ()
        columns = [dataclasses.replace(columns[0], arm=arm) for arm in dict.fromkeys(sides)]
    else:
        if len(columns) == 1:
            base = sides[0] if len(sides) == 2 else ""
            columns = [dataclasses.replace(columns[0], arm=arm) for arm in sides]
        ends = study.asked.range_of(columns[0].arm or s.main, columns[0].name)
    every_level = any(c.how == "each" for c in columns)
    if len(columns) < 2 or len({c.name for c in columns}) > 1 or every_level:
        return None
    # of other levels, or what is taken of them, nothing is said of bounds
    low, high = ends if len({c.key for c in columns}) == 1 else (None, None)

    def numbers(arm: xr.Dataset, c: Column) -> xr.DataArray:
        x, dims = arm[c.name], {str(d) for d in arm[c.name].dims}
        return c.within(dims).take(x, dims)

    bounds = None if low is None or high is None else (low, high)
    return BoundedColumns(columns, bounds, numbers, lambda c: c.name, s.main, base)


def _completed(study: StudyDraft, s: Statement) -> Any:
    """A claim with what follows from what it is about, where it does not say it: what it
    credits, and the near controls of its arm."""
    if not study.asked.parts:
        return s.entry
    part = study.asked.by_label.get(s.main)
    if part is not None and part.of and study.asked.frozen is None:
        with study.text.located(s.table, s.i):
            return comparing.of_control(part, s.entry, s.read)
    credited = s.entry.credits or (s.main if s.main in study.asked.by_label else ())
    entry = msgspec.structs.replace(s.entry, credits=credited)
    measures = [c.name for c in s.read.columns]
    every, compared = study.asked.controls_of(s.main, measures), s.read.parsed.arms
    every = comparing.bearing(study.asked, s.main, s.read, every)
    near = {p.label: p.why for p in every if p.label not in compared}
    # Named controls stand beside those that come by themselves; a claim of no effect, which any
    # arm without one satisfies, has those alone that its author names, or what breaks it.
    # The size of a violation is judged where the range contains 0; where it does not, as in a claim
    # about a share of what the model does, a violation of any size would stand in for the controls.
    sized = s.read.parsed.low < 0 < s.read.parsed.high or study.asked.frozen is not None
    violations = entry.violations if sized else ()
    if violations and comparing.is_of_nothing(study.asked.by_label[s.main], s.read):
        entry = msgspec.structs.replace(entry, control=entry.control or violations)
    if near and not (entry.control and violations):
        control = tuple(dict.fromkeys((*entry.control, *near)))
        entry = msgspec.structs.replace(entry, control=control, near={**near, **entry.near})
    if entry.bounds is None and (frozen := frozen_bounds(study.text.path, entry.text)):
        entry = msgspec.structs.replace(entry, bounds=frozen)
    return entry


def _within(study: StudyDraft, s: Statement) -> tuple[float, float] | None:
    """The natural range of a unit, where it has two ends and no quantity of a dictionary is in
    it."""
    if s.entry.bounds or any(c.name in QUANTITIES for c in s.read.columns):
        return None
    known = _natural(study, s)
    return known if known is not None and all(map(math.isfinite, known)) else None


def _natural(study: StudyDraft, s: Statement) -> tuple[float, float] | None:
    """The least and greatest number that a statement can have for a unit: by the reads of
    models, or what a quantity of a dictionary can be."""

    for whole in s.read.parsed.together:
        if whole.walk is s.read.parsed.terms.get("value") and whole.how in ("count", "share"):
            c, sizes = whole.columns[0], dict[str, int]()
            known = study.measured.get(c.arm or s.main)
            for x in whole.columns if known else ():
                axes = known.axes.get(x.name, {}) if known else {}
                sizes |= {d: len(axes[d]) for d in whole.over if axes.get(d)}
            if whole.how == "share" or len(sizes) == len(whole.over):
                return 0.0, 1.0 if whole.how == "share" else float(math.prod(sizes.values()))

    def ends(c: Column) -> tuple[float | None, float | None]:
        if c.how in ("first", "argmax"):
            return _levels(study, c.arm or s.main, c)
        if study.asked.parts and c.name not in QUANTITIES:
            return study.asked.range_of(c.arm or s.main, c.name)
        m = QUANTITIES.get(c.name)
        lower = m is not None and m.better.startswith("lower")  # errors and counts, from 0 up
        return (m.low, m.high) if m is not None and lower else (None, None)

    return natural(s.read, ends)


def _levels(study: StudyDraft, arm: str, c: Column) -> tuple[float | None, float | None]:
    """The least level at which something may first be so, and the one behind the last."""
    known = study.measured[arm].axes.get(c.name, {}) if arm in study.measured else {}
    levels = [x for x in known.get(c.over[0], ()) if isinstance(x, int | float)]
    if len(levels) < 2 or len(levels) < len(known[c.over[0]]):
        return None, None
    return float(min(levels)), float(2 * levels[-1] - levels[-2])


def _with_proposals(study: StudyDraft, s: Statement, entry: Any) -> Any:
    """A claim about one measure by itself with what its arm proposes, where it says nothing."""
    value, columns = s.read.parsed.terms.get("value"), s.read.parsed.columns
    if value is None or len(columns) != 1 or value(lambda column: 0.375) != 0.375:
        return entry
    proposed = comparing.proposed(study.asked, s.main, columns[0].name, len(study.seeds))
    edges = [x for x in (s.read.parsed.low, s.read.parsed.high) if math.isfinite(x)]
    if "units" in proposed and (
        entry.units not in ((), proposed["units"])
        or entry.bounds is not None
        or not all(0 <= edge <= 1 for edge in edges)
    ):
        proposed = {"empty": proposed["empty"]}
    silent = {k: v for k, v in proposed.items() if not getattr(entry, k) or k == "fixed"}
    if "fixed" in silent:
        silent["fixed"] = (*entry.fixed, *silent["fixed"])
    if entry.empty is not None:
        silent.pop("empty", None)
    return msgspec.structs.replace(entry, **silent)


def estimate(study: StudyDraft, s: Statement) -> Estimate:
    """Make an estimate, held to the arms and measures that there are."""
    refusals.refuse_unknown(study, s.table, s.i, s.entry, s)
    units = _units(study, s)
    swept = {"over": over} if (over := dims_over(s.entry)) else {}
    refusals.hold_to(study, s, (s.main,), {"units": units, **swept})
    with study.text.located("estimate", s.i):
        made = wording.estimate(msgspec.structs.replace(s.entry, units=units), s.main, s.read)
    known = _natural(study, s)
    whole = known is not None and all(map(math.isfinite, known)) and study.asked.frozen is not None
    made = dataclasses.replace(made, groups=_groups(study, s, made.units))
    return dataclasses.replace(made, natural=made.natural or known, bounds=known if whole else None)


def _groups(study: StudyDraft, s: Statement, units: Sequence[str]) -> Groups:
    """The groups of a statement's units, such as slots of which prompts are combinations."""
    with study.text.located(s.table, s.i, s.key):
        found = comparing.groups(study.asked, s.main) if study.asked.parts else {}
    return {unit: groups for unit, groups in found.items() if unit in units}


def _units(study: StudyDraft, s: Statement) -> tuple[str, ...]:
    """The units of a statement: those that it names, or those of its arms that something of it
    keeps. Raises: ExperimentError where nothing keeps one."""
    if study.asked.parts:
        known = [(study.measured.get(c.arm or s.main), c.name) for c in s.read.columns]
        if not s.entry.units and known and all(k and k.axes.get(n) == {} for k, n in known):
            return ("seed",)  # one number of a whole run, as the share of dead latents
        arms = (s.main, *s.read.parsed.arms)
        units = s.entry.units or comparing.units(study.asked, arms)
        gone = [u for u in units if all(u in c.named for c in s.read.columns)]
        if gone and (s.entry.units or len(gone) == len(units)):
            raise s.error(
                s.key,
                f"nothing in {s.read.parsed.text} has a number for each {gone[0]}, which is a unit "
                f"to generalise over; leave out what is taken over {gone[0]}, or its level",
            )
        refusals.refuse_mixed_labels(study, s)
        return tuple(u for u in units if u not in gone)
    return s.entry.units or ("seed", *_documents(study, s))


def _documents(study: StudyDraft, s: Statement) -> tuple[str, ...]:
    """The unit `document`, where all that a statement reads has documents, as far as that is
    known, and none of it says what becomes of them."""
    for c in s.read.columns:
        known = study.measured.get(c.arm or s.main)
        axes = known.axes if known else {}
        if not all(DOCUMENT in axes.get(t, ()) for t in stored(c.name, axes)):
            return ()
    said = any(DOCUMENT in c.named for c in s.read.columns)
    return () if said or getattr(s.entry, "over", False) else (DOCUMENT,)
