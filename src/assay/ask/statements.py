"""Statements: complete each claim and estimate of a study (`claim`, `estimate`), and check it
against the arms and measures (`hold_to`). The second half refuses unknown names, and runs on which
a statement could not be judged."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec
import numpy as np

from assay.ask import comparing, wording
from assay.ask.draft import Statement, StudyDraft
from assay.ask.measure import reads
from assay.ask.measure.probe_tasks import POOLED, ProbeTask
from assay.ask.measure.prompts import PromptSet
from assay.ask.measure.sae_arms import LATENT, SaeTask
from assay.ask.measure.tasks import Task
from assay.ask.ranges import counted_by
from assay.ask.tables import Prompts
from assay.ask.text import ClaimEntry, EstimateEntry, Plain, frozen_bounds
from assay.ask.wording import QUANTITIES, dims_over, hold, made_of, natural, stored
from assay.core.bounded import BoundedColumns
from assay.core.claims import Claim, Estimate, Groups
from assay.core.columns import LOCATING, Axes, Column, refuse_other_levels
from assay.core.errors import nearest
from assay.core.experiment import Experiment, Joint
from assay.core.heavy import xr
from assay.core.reasons import GIVEN
from assay.core.spec import Spec, per_run_fields

DOCUMENT = "document"
"""A unit besides seeds, if measures have it."""


def claim(study: StudyDraft, s: Statement) -> Claim:
    """Make a claim, after checking its arms and measures."""
    refuse_unknown(study, s.table, s.i, s.entry, s)
    if s.entry.empty is not None and not math.isfinite(s.entry.empty):
        message = (
            f"empty is the number that means no effect, got {s.entry.empty:g}; leave it out if "
            "there is none"
        )
        raise s.error("empty", message)
    s.entry = _with_proposals(study, s, s.entry)
    s.entry = _completed(study, s)
    if not s.entry.control:
        message = (
            "a verdict needs a control, and none is added automatically here: write "
            'control = ["…"], an arm for which the claim should fail; or leave out controls in the '
            "table that they come from, which a control that the condition names does not need; "
            "for a number by itself, such as how far two methods agree, write an [[estimate]]"
        )
        raise s.error("control", message)
    for key in ("control", "planted"):
        for name in getattr(s.entry, key):
            if name != s.main and name in s.read.parsed.arms:
                message = (
                    f"{name} is in the condition, so it would be compared with itself; a "
                    f"control takes the place of {s.main}: name another arm, such as a "
                    "baseline or a second training"
                )
                raise s.error(key, message)
    units = _units(study, s)
    hold_to(study, s, (s.main, *s.entry.control, *s.entry.planted), {"units": units})
    compared = (s.main, *s.read.parsed.arms)
    with study.text.located("claim", s.i):
        if unit := comparing.unit_apart(study.asked, compared) if study.asked.parts else "":
            judged = comparing.of_groups(s.entry, units, unit, s.main, s.read)
        else:
            judged = wording.claim(msgspec.structs.replace(s.entry, units=units), s.main, s.read)
    refuse_unlearned(study, s, judged)
    if not study.asked.parts:
        return judged
    with study.text.located(s.table, s.i, s.key):
        comparing.refuse_unpaired(study.asked, compared)
    comparison = study.asked, s.main, s.read, s.entry.control
    if twins := comparing.twins(*comparison):
        value = comparing.read_besides(judged.value, twins)
        pairs = {control: (*others.values(),) for control, others in twins.items()}
        judged = dataclasses.replace(judged, value=value, twins=pairs)
    unlike = comparing.unlike(*comparison) if s.main in study.asked.by_label else ()
    groups = _groups(study, s, judged.units)
    ends = comparing.ends_of_shares(study.asked, s.main, s.read) or _within(study, s)
    _refuse_beyond(study, s)
    judged = dataclasses.replace(judged, unlike=unlike, groups=groups, natural=ends)
    more = _lead(study, s, judged) | _none(study, s, judged)
    return dataclasses.replace(judged, ceiling=_ceiling(study, s), **more)


def _none(study: StudyDraft, s: Statement, judged: Claim) -> dict[str, Any]:
    """The automatic controls of a claim that a change has no effect; of one about the number of a
    changed arm alone, which has no value for no effect of its own, the arm without the change."""
    part = study.asked.by_label.get(s.main)
    if part is None or part.of or not isinstance(part.task, Task):
        return {}
    if comparing.no_effect(study.asked, part, s.read) is not None:
        near = [p.label for p in study.asked.controls_of(s.main)]
        return {"automatic": tuple(n for n in judged.must_fail if n in near)}
    is_alone = {*s.read.parsed.arms} <= {s.main} and comparing.is_change(study.asked, s.main, ())
    return {"unchanged": comparing.unchanged_model(study.asked, part.task)} if is_alone else {}


def _ceiling(study: StudyDraft, s: Statement) -> BoundedColumns | None:
    """What a claim compares, by one measure, with its bounds: the two models or arms or, for a
    single arm, the arm and the unchanged model; None otherwise."""
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
    # no bounds for other levels, or functions of them
    low, high = ends if len({c.key for c in columns}) == 1 else (None, None)

    # the unchanged model lacks the sweep of a change
    axes = {arm: known.axes for arm, known in study.measured.items()}
    columns = [c.within(axes.get(str(c.arm), {}).get(c.name, c.named)) for c in columns]

    def numbers(arm: xr.Dataset, c: Column) -> xr.DataArray:
        x, dims = arm[c.name], {str(d) for d in arm[c.name].dims}
        return c.within(dims).take(x, dims)

    bounds = None if low is None or high is None else (low, high)
    is_change = comparing.is_change(study.asked, s.main, {str(c.arm) for c in columns} - {s.main})
    return BoundedColumns(columns, bounds, numbers, lambda c: c.name, s.main, base, is_change)


def _lead(study: StudyDraft, s: Statement, judged: Claim) -> dict[str, Any]:
    """The lead of one answer over another that the unchanged model must have, where a claim says
    that it falls if something is taken out, or compares what is left with a multiple of it; nothing
    for any other claim. What is put in may lower a lead of 0 as well."""

    def takes_out(arm: str) -> bool:
        part = study.asked.by_label.get(arm)
        table = part.task.intervention if part is not None else None
        return table is not None and table.takes_out

    columns = sorted(s.read.columns, key=lambda c: takes_out(c.arm or s.main))
    if [takes_out(c.arm or s.main) for c in columns] != [False, True]:
        return {}
    base, arm = columns[0], columns[0].arm or s.main
    is_lead = any(
        isinstance(getattr(read, key), tuple)
        for read in study.asked.text.study.read
        for key in reads.PAIRS
        if read.name == base.name
    )
    if not is_lead or base.how == "each" or arm in study.asked.changed_arms:
        return {}

    def compute(left: float, lead: float) -> float:
        with np.errstate(all="ignore"):
            return float(s.read.parsed.walk(dict(zip(columns, (lead, left), strict=True)).get))

    by_left, by_lead = (compute(*at) - compute(1.0, 3.0) for at in ((1.5, 3.0), (1.0, 3.5)))
    is_share = by_left * by_lead < 0 and not math.isclose(by_left, -by_lead)
    falls = judged.high <= 0 if by_left > 0 else judged.low >= 0 and judged.high == math.inf
    if not is_share and not (s.read.pairs and falls):
        return {}

    def value(x: xr.Dataset, _: Mapping[str, xr.Dataset]) -> xr.DataArray:
        return base.take(x[base.name], ["run", *judged.units])

    lead = Claim(
        f"{arm}.{base.name} without the change",
        value=value,
        units=judged.units,
        where=judged.where,
        low=0.0,
        of=arm,
        must_fail=judged.must_fail,
        threshold_from=GIVEN,
        source=judged.source,
    )
    return {"lead": lead, "of_share": is_share}


def _completed(study: StudyDraft, s: Statement) -> Any:
    """A claim with defaults that follow from its subject: what it credits, and the near controls of
    its arm."""
    if not study.asked.parts:
        return s.entry
    part = study.asked.by_label.get(s.main)
    if part is not None and part.of and study.asked.frozen is None:
        with study.text.located(s.table, s.i):
            return comparing.of_control(study.asked, part, s.entry, s.read)
    credited = s.entry.credits or (s.main if s.main in study.asked.by_label else ())
    entry = msgspec.structs.replace(s.entry, credits=credited)
    measures = [c.name for c in s.read.columns]
    every, compared = study.asked.controls_of(s.main, measures), s.read.parsed.arms
    every = comparing.bearing(study.asked, s.main, s.read, every)
    near = {p.label: p.why for p in every if p.label not in compared}
    # Named controls are added to the automatic ones; a claim of no effect, which any arm without
    # an effect satisfies, only has those that its author names, or a violation.
    # The size of a violation is judged where the value for no effect is known; where it is not, a
    # violation of any size would stand in for the controls.
    none = comparing.no_effect(study.asked, part, s.read) if part else None
    if none and entry.empty is None:
        entry = msgspec.structs.replace(entry, empty=none)
    empty = entry.empty or 0.0
    sized = s.read.parsed.low < empty < s.read.parsed.high or study.asked.frozen is not None
    violations = entry.violations if sized else ()
    if violations and comparing.is_of_nothing(study.asked, study.asked.by_label[s.main], s.read):
        entry = msgspec.structs.replace(entry, control=entry.control or violations)
    if near and not (entry.control and violations):
        control = tuple(dict.fromkeys((*entry.control, *near)))
        entry = msgspec.structs.replace(entry, control=control, near={**near, **entry.near})
    if entry.bounds is None and (frozen := frozen_bounds(study.text.path, entry.text)):
        entry = msgspec.structs.replace(entry, bounds=frozen)
    return entry


def _within(study: StudyDraft, s: Statement) -> tuple[float, float] | None:
    """The natural range of a unit, if it is bounded and the claim has no quantity of a
    dictionary."""
    if s.entry.bounds or any(c.name in QUANTITIES for c in s.read.columns):
        return None
    ends = _natural(study, s)
    return ends if ends is not None and all(map(math.isfinite, ends)) else None


def _refuse_beyond(study: StudyDraft, s: Statement) -> None:
    """Refuse a threshold beyond all values that its quantity can have, such as 70 for an accuracy:
    whatever is measured, the claim is false there, or true."""
    parsed, ends = s.read.parsed, _natural(study, s)
    if ends is None or study.asked.frozen is not None:
        return
    (least, greatest), low, high = ends, parsed.low, parsed.high
    never = low > greatest or high < least
    always = (low < least or math.isinf(low)) and (high > greatest or math.isinf(high))
    if not never and not always:
        return
    [*edges] = (x for x in (low, high) if math.isfinite(x))
    within = f"from {least:g} to {greatest:g}"
    if math.isinf(greatest):
        within = f"{least:g} or more"
    if math.isinf(least):
        within = f"{greatest:g} or less"
    share = f"; write a percentage as a share, {edges[0] / 100:g}"
    is_percentage = ends == (0, 1) and len(edges) == 1 and 1 < edges[0] <= 100
    message = (
        f"{parsed.quantity} is always {within}, so the claim is {'false' if never else 'true'} "
        f"whatever is measured{share if is_percentage else '; write a threshold in this range'}"
    )
    raise s.error(s.key, message)


def _natural(study: StudyDraft, s: Statement) -> tuple[float, float] | None:
    """The smallest and the largest value of a statement for a unit: by the reads of models, or the
    range of a quantity of a dictionary."""
    for whole in s.read.parsed.together:
        if whole.walk is s.read.parsed.terms.get("value") and whole.how in ("count", "share"):
            c, sizes = whole.columns[0], dict[str, int]()
            arm_measures = study.measured.get(c.arm or s.main)
            for x in whole.columns if arm_measures else ():
                axes = arm_measures.axes.get(x.name, {}) if arm_measures else {}
                sizes |= {d: len(axes[d]) for d in whole.over if axes.get(d)}
            if whole.how == "share" or len(sizes) == len(whole.over):
                return 0.0, 1.0 if whole.how == "share" else float(math.prod(sizes.values()))

    def ends(c: Column) -> tuple[float | None, float | None]:
        if c.how in LOCATING:
            return _levels(study, c.arm or s.main, c)
        if study.asked.parts and c.name not in QUANTITIES:
            return study.asked.range_of(c.arm or s.main, c.name)
        m = QUANTITIES.get(c.name)
        lower = m is not None and m.better.startswith("lower")  # errors and counts, from 0 up
        return (m.low, m.high) if m is not None and lower else (None, None)

    return natural(s.read, ends)


def _levels(study: StudyDraft, arm: str, c: Column) -> tuple[float | None, float | None]:
    """For `first`, the smallest level and the one after the last; for `last`, the one before the
    first and the largest."""
    axes = study.measured[arm].axes.get(c.name, {}) if arm in study.measured else {}
    levels = [x for x in axes.get(c.over[0], ()) if isinstance(x, int | float)]
    if len(levels) < 2 or len(levels) < len(axes[c.over[0]]):
        return None, None
    if c.how == "last":
        return float(2 * levels[0] - levels[1]), float(max(levels))
    return float(min(levels)), float(2 * levels[-1] - levels[-2])


def _with_proposals(study: StudyDraft, s: Statement, entry: Any) -> Any:
    """A claim about a single measure with the defaults of its arm."""
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
    """Make an estimate, after checking its arms and measures."""
    refuse_unknown(study, s.table, s.i, s.entry, s)
    units = _units(study, s)
    swept = {"over": over} if (over := dims_over(s.entry)) else {}
    hold_to(study, s, (s.main,), {"units": units, **swept})
    with study.text.located("estimate", s.i):
        made = wording.estimate(msgspec.structs.replace(s.entry, units=units), s.main, s.read)
    ends = _natural(study, s)
    whole = ends is not None and all(map(math.isfinite, ends)) and study.asked.frozen is not None
    tables = json.dumps(msgspec.to_builtins(study.text.study), default=str)
    numbered = any(counted_by(name, tables) for name in over)
    made = dataclasses.replace(made, groups=_groups(study, s, made.units), numbered=numbered)
    return dataclasses.replace(made, natural=made.natural or ends, bounds=ends if whole else None)


def _groups(study: StudyDraft, s: Statement, units: Sequence[str]) -> Groups:
    """The groups of a statement's units, such as slots whose combinations are the prompts."""
    with study.text.located(s.table, s.i, s.key):
        by_unit = comparing.groups(study.asked, s.main, s.read) if study.asked.parts else {}
    return {unit: groups for unit, groups in by_unit.items() if unit in units}


def _units(study: StudyDraft, s: Statement) -> tuple[str, ...]:
    """The units of a statement: the named ones, or those of its arms that remain in its measures.
    Raises: ExperimentError if none remains."""
    if study.asked.parts:
        reads = [(study.measured.get(c.arm or s.main), c.name) for c in s.read.columns]
        if not s.entry.units and reads and all(k and k.axes.get(n) == {} for k, n in reads):
            return ("seed",)  # one number per run, such as the share of dead latents
        arms = (s.main, *s.read.parsed.arms)
        if not s.entry.units and reads and all(k and LATENT in k.axes.get(n, ()) for k, n in reads):
            return (*comparing.units(study.asked, arms)[:-1], LATENT)
        units = s.entry.units or comparing.units(study.asked, arms)
        gone = [u for u in units if all(u in c.named for c in s.read.columns)]
        if gone and (s.entry.units or len(gone) == len(units)):
            raise s.error(
                s.key,
                f"nothing in {s.read.parsed.text} has a number for each {gone[0]}, which is a unit "
                f"to generalise over; leave out what is taken over {gone[0]}, or its level",
            )
        refuse_mixed_labels(study, s)
        return tuple(u for u in units if u not in gone)
    return s.entry.units or ("seed", *_documents(study, s))


def _documents(study: StudyDraft, s: Statement) -> tuple[str, ...]:
    """The unit `document`, if all measures of a statement are known to have documents, and it does
    not say how to combine them."""
    for c in s.read.columns:
        arm_measures = study.measured.get(c.arm or s.main)
        axes = arm_measures.axes if arm_measures else {}
        if not all(DOCUMENT in axes.get(t, ()) for t in stored(c.name, axes)):
            return ()
    names_documents = any(DOCUMENT in c.named for c in s.read.columns)
    return () if names_documents or getattr(s.entry, "over", False) else (DOCUMENT,)


def _refuse_column(
    study: StudyDraft, s: Statement, column: Column, axes: Mapping[str, Axes]
) -> None:
    """Refuse a column of the prompts as a dimension that it is not."""
    is_known = column.name in axes and column.name != s.read.equal
    for dim in column.named if is_known else ():
        tables = [
            p.table.name
            for p in (study.asked.prompts.values() if study.asked.parts else ())
            if dim in p.rows[0].columns
        ]
        if dim not in axes[column.name] and tables:
            raise s.error(
                s.key,
                f"{column.plain} has no dimension {dim!r}, which is a column of the prompts "
                f'{tables[0]}: levels = "{dim}" under [[prompts]] makes its values levels',
            )


def _refuse_other_unit(study: StudyDraft, s: Statement, c: Column, units: Sequence[str]) -> None:
    """Refuse an arm whose units differ from those of the statement, such as one of few-shot
    prompts, whose unit is a row."""
    part, main = study.asked.by_label.get(c.arm or ""), study.asked.by_label.get(s.main)
    if part is None or main is None or isinstance(part.task, SaeTask):
        return
    unit, table = part.task.unit, part.task.prompts.table.name
    axes = study.measured[part.label].axes.get(c.name, {})
    if unit not in axes or unit in (*c.named, *units) or isinstance(main.task, SaeTask):
        return
    sets = [part.task.prompts, main.task.prompts]
    shared = [x for x in sets[0].rows[0].columns if x in sets[1].rows[0].columns]
    same = next((x for x in shared if _are_same_units(sets, x)), "")
    how = f'unit = "{same}"' if same else "unit = the column of a name that both have"
    raise s.error(
        s.key,
        f"{part.label} is measured on each {unit} of {table}, and {s.main} on each "
        f"{main.task.unit} of {main.task.prompts.table.name}, so they cannot be compared one by "
        f"one: write {how} under both [[prompts]]",
    )


def _are_same_units(sets: Sequence[PromptSet], column: str) -> bool:
    """Whether a column has the same values, several of them, in two tables of prompts."""
    first, second = ({row.columns.get(column) for row in p.rows} for p in sets)
    return first == second and len(first) > 1


OF_LABELS = "auroc|f1|precision|recall"
"""Functions that need a label for each unit, as a pattern."""
FEW = 12
"""Up to this many measures are listed if one is misspelt."""


def hold_to(
    study: StudyDraft, s: Statement, judged: Sequence[str], dims: Mapping[str, Sequence[str]]
) -> None:
    """Refuse an unknown measure, unit or swept field, and dimensions of a measure that are neither
    named nor averaged; `judged` are the arm of the statement and those that replace it."""
    main, measured = judged[0], study.measured
    for c in s.read.columns:
        arm = c.arm or main
        _refuse_unmeasured(study, s, arm, c.name)
        if c.arm in (None, main):
            _refuse_lacking(study, s, judged, c.name)
    for key, names in dims.items():
        for name in names if main in measured else ():
            if name not in (offered := measured[main].units):
                kind = "unit" if key == "units" else "swept field"
                hint = nearest(name, offered)
                raise s.error(key, (f"the measures of arm {main} have no {kind} {name!r}; {hint}"))
    for c in s.read.columns:
        for arm in judged if c.arm in (None, main) else (c.arm,):
            if arm in measured:
                fields = dict.fromkeys(measured[arm].fields, ())
                axes = {
                    m: {**{f: fields[f] for f in c.named if f in fields}, **a}
                    for m, a in measured[arm].axes.items()
                }
                _refuse_column(study, s, c, axes)
                _refuse_other_unit(study, s, dataclasses.replace(c, arm=arm), dims.get("units", ()))
                with study.text.located(s.table, s.i, s.key):
                    hold(
                        dataclasses.replace(c, arm=arm),
                        axes,
                        [name for names in dims.values() for name in names],
                        settled=measured[arm].settled,
                        loosely=c.name == s.read.equal,
                    )
    _refuse_pooled(study, s, judged)
    for whole in s.read.parsed.together:
        for subject in judged:
            arms = [subject if c.arm in (None, main) else c.arm or subject for c in whole.columns]
            axes_of_arms = [
                measured[a].axes.get(c.name, {}) if a in measured else {}
                for a, c in zip(arms, whole.columns, strict=True)
            ]
            if all(axes_of_arms):
                with study.text.located(s.table, s.i, s.key):
                    refuse_other_levels(whole.text, whole.over, axes_of_arms)


def _refuse_unmeasured(study: StudyDraft, s: Statement, arm: str, name: str) -> None:
    """Refuse a measure that an arm does not have; of a read that was left out since its prompts
    cannot fill it, say which column they lack."""
    side = study.measured.get(arm)
    have = tuple(side.axes) if side else (name,)
    if name in (offered := (*have, *made_of(have))):
        return
    quoted = [a for a in study.arms if a.startswith(f"{name}/")]
    hint = (
        f'put an arm with / in its name in quotes, as in "{quoted[0]}".{have[0]}'
        if quoted and have
        else _listed(name, have, offered)
    )
    task = study.asked.by_label[arm].task if arm in study.asked.by_label else None
    if isinstance(task, SaeTask):
        hint = _of_dictionary(task, have)
    for i, read in enumerate(study.text.study.read):
        if read.name == name and isinstance(task, Task):
            with study.text.located("read", i):
                reads.require_columns(read, task.prompts)
    hint += f"; assay list {side.side.of.name} describes each" if side and side.side else ""
    raise s.error(s.key, f"arm {arm} has no measure {name!r}; {hint}")


def _refuse_lacking(study: StudyDraft, s: Statement, judged: Sequence[str], name: str) -> None:
    """Refuse controls of an experiment that lack a measure of the arm that they replace."""
    for arm in judged[1:]:
        other = study.measured.get(arm)
        if other and other.side and name not in (*other.axes, *made_of(tuple(other.axes))):
            message = f"{arm} has no {name!r}, which would be read in place of that of {judged[0]}"
            raise s.error(None, f"{message}; it has {', '.join(other.axes)}")


def _of_dictionary(task: SaeTask, have: Sequence[str]) -> str:
    """What the arm of a dictionary measures, and how to write other measures."""
    name = task.table.name
    dead = "" if "dead" in have else ", and with per_seed = true dead"
    return (
        f"it has {', '.join(dict.fromkeys((*made_of(have), *have)))}{dead}; how much the loss "
        f'rises is a read: write [[intervene]] reconstruct = "{name}" and [[read]] loss = true'
    )


def _refuse_pooled(study: StudyDraft, s: Statement, judged: Sequence[str]) -> None:
    """Refuse functions of single units of a probe's AUROC, F1 or root mean square, or of a read
    across prompts: only the mean over units is this number, and the part of a unit may be outside
    its range."""
    parsed = s.read.parsed
    apart = {c for whole in parsed.together if not whole.of_means for c in whole.columns}
    across = [r.name for r in study.text.study.read if r.across]
    pooled = "|".join([*POOLED, *map(re.escape, across)])
    inside = rf"\b(corr|spearman|median|{OF_LABELS})\([^()]*\b({pooled})\b(?!\()"
    by_unit = parsed.share or re.search(inside, parsed.text)
    for c in parsed.columns:
        part = study.asked.by_label.get(c.arm or judged[0])
        probed = part is not None and c.name in POOLED and isinstance(part.task, ProbeTask)
        if not probed and (part is None or c.name not in across):
            continue
        if by_unit or c in apart or (c.over and c.how not in ("each", "mean", "sum")):
            name = f"{c.arm or judged[0]}.{c.name}"
            raise s.error(
                s.key,
                f"{name} is one number of all units, and none of them has one of its own; "
                f"write mean({name}), as in max(mean({name}), over=layer)",
            )


def refuse_mixed_labels(study: StudyDraft, s: Statement) -> None:
    """Refuse an AUROC, a precision, a recall or an F1 of units with rows of both labels."""
    tables = {r.name: r for r in study.text.study.read}
    function = re.search(rf"\b({OF_LABELS})\(", s.read.parsed.text)
    if function is None:
        return
    for c in s.read.columns:
        part, table = study.asked.by_label.get(c.arm or s.main), tables.get(c.name)
        if part is None or not isinstance(part.task, Task) or table is None or not table.column:
            continue
        name, prompts = np.atleast_1d(table.column)[0], part.task.prompts
        rows = zip(prompts.units(part.task.rows), prompts.column(name, part.task.rows), strict=True)
        labels: dict[str, set[str]] = {}
        for unit, label in rows:
            labels.setdefault(unit, set()).add(label)
        if mixed := next((u for u, names in labels.items() if len(names) > 1), ""):
            raise s.error(
                s.key,
                f"{function[1]}(…) takes one label of each {prompts.unit}, and {mixed!r} has rows "
                f"with several of {name}; {_of_single_prompts(prompts.table)}",
            )


def _of_single_prompts(table: Prompts) -> str:
    """What to write so that each prompt is a unit."""
    if not table.levels:
        return f'write unit = "prompt" under {table.name}'
    return (
        f"as {table.name} has levels, write a second [[prompts]] of the same texts, with unit = "
        '"prompt" and without levels, and name it by prompts in both of its [[read]]s'
    )


def refuse_unknown(
    study: StudyDraft, table: str, i: int, entry: ClaimEntry | EstimateEntry, s: Statement | None
) -> None:
    """Refuse an unknown arm of a statement, with its field."""
    names: dict[str, Iterable[str]] = {s.key: s.read.parsed.arms} if s else {}
    if isinstance(entry, ClaimEntry):
        keys = ("control", "near", "also", "planted", "violations")
        names |= {key: getattr(entry, key) for key in keys}
    for key, arms in names.items():
        for name in (a for a in arms if a not in study.arms or a in study.idle):
            available = [a for a in study.arms if a not in study.idle]
            asked = study.asked  # arms of further prompts are made once a statement names them
            available += [
                f"{asked.prefix(m, model)}{prompts.name}"
                for m, model in enumerate(asked.models)
                for prompts in study.text.study.prompts[1:]
            ]
            known = dict.fromkeys(available)
            hint = _left_out(study, name) or _main_of(study, name) or _read_first(study, s, name)
            hint = hint or nearest(name, known)
            raise study.text.error((table, i, key), f"the study has no arm {name!r}; {hint}")


def _left_out(study: StudyDraft, name: str) -> str:
    """What to write for an arm of an experiment that the study does not list; "" for any other
    name."""
    for side in study.sides:
        arm = next((a for a in side.of.arms if side.named(a) == name), None)
        if arm is not None:
            return (
                f"arms of {side.of.name} leaves it out: add {arm!r} to arms = "
                f"[{', '.join(map(json.dumps, side.part.arms))}], or leave out arms; "
                f"{side.of.name} has {', '.join(side.of.arms)}"
            )
    return ""


def _main_of(study: StudyDraft, name: str) -> str:
    """What to write for the first prompts, or for a model that is trained without a table of
    models, whose arm is main; "" for any other name."""
    tables = study.text.study
    if tables.model and [p.name for p in tables.prompts[:1]] == [name]:
        return "the first [[prompts]] are those of the arm main, so write main"
    trains = [t.name for t in tables.train if not t.of and not t.dictionary]
    if trains[:1] != [name] or tables.model:
        return ""
    return "without a [[model]], the first [[train]] is the arm main, so write main"


def _read_first(study: StudyDraft, s: Statement | None, name: str) -> str:
    """Say what to write if a read is written before its arm; "" for any other name."""
    after = next((c.name for c in s.read.parsed.columns if c.arm == name), "") if s else ""
    if after not in study.arms or all(r.name != name for r in study.text.study.read):
        return ""
    return f"the arm comes first, and then the read: write {after}.{name}"


def refuse_unlearned(study: StudyDraft, s: Statement, judged: Claim) -> None:
    """Refuse an unknown credited part, and other explanations or planted effects in which one was
    not learned."""
    parts = sorted({part for arm in study.arms.values() for part in arm.learned or ()})
    for part in (p for p in judged.credits if parts and p not in parts):
        message = f"no arm says that {part!r} was learned; {nearest(part, parts)}"
        raise s.error("credits", message)
    for key, names in (("also", judged.also), ("planted", judged.must_hold)):
        for name in (n for n in names if judged.lacks(study.arms[n].learned)):
            credited = " and ".join(judged.credits) or "every part"
            message = (
                f"in {name}, something that the claim credits was not learned, "
                f"{credited}; leave it out, or say in credits what the claim is about"
            )
            raise s.error(key, message)


def refuse_mixed(s: Statement, statement: Claim | Estimate | Any, whole: Experiment) -> None:
    """Refuse, before training, a claim or an estimate of which an arm has no runs, or runs that it
    does not distinguish, and a curve over a field in which runs do not differ."""
    if isinstance(statement, Claim):
        names = (statement.of, *s.read.parsed.arms, *statement.must_fail, *statement.must_hold)
    else:
        names = s.read.parsed.arms or ("main",)
    sweeping = {a for a in names if whole.arms[a].train is None}  # derived: checked after the run
    for arm in (a for a in dict.fromkeys(names) if whole.arms[a].train is not None):
        whose = arm if arm in s.read.parsed.arms else names[0]  # a control replaces the first
        columns = [c for c in s.read.columns if (c.arm or names[0]) == whose]
        if _varying(s, statement, arm, columns, whole.specs_of(arm, whole.default)):
            sweeping.add(arm)
    for pair in s.read.pairs if s.read.equal else ():
        arms = [c.arm or names[0] for c in pair]
        if sweeping.isdisjoint(arms):
            message = (
                f"at equal {s.read.equal} needs runs of {arms[0]} or of {arms[1]} that differ "
                "in one field, as in fields = { penalty = [0.1, 0.2, 0.4] }; they differ in "
                "nothing but the seed"
            )
            raise s.error(s.key, message)


def _varying(
    s: Statement,
    statement: Claim | Estimate | Any,
    arm: str,
    columns: Sequence[Column],
    specs: Sequence[Spec],
) -> list[str]:
    """The fields in which runs of an arm differ and over which a comparison at equal something may
    sweep. Raises: ExperimentError for any other, and if there are no runs."""
    overs = dims_over(s.entry) if isinstance(statement, Estimate) else ()
    chosen = [x for x in specs if all(getattr(x, k, None) == v for k, v in statement.where.items())]
    if not chosen:
        raise s.error("where", _no_runs(arm, specs, statement.where))
    fields = per_run_fields(type(chosen[0]))
    levels = {name: {getattr(x, name) for x in chosen} for name in fields}
    for over in (d for d in overs if d in levels and len(levels[d]) < 2):
        message = (
            f"the runs of {arm} do not differ in {over}, which is {min(levels[over])}; "
            f"list its values under fields, as in fields = {{ {over} = [… , …] }}"
        )
        raise s.error("over", message)
    named_levels = [(c, *x) for c in columns for x in c.levels if x[0] in levels]
    for c, dim, level in named_levels:
        with s.text.located(s.table, s.i, s.key):
            c.place(dim, level, sorted(levels[dim], key=str))
    named_fields = [n for n in fields if columns and all(n in c.named for c in columns)]
    units = ("seed", *overs, *statement.units, *named_fields)
    varying = [n for n in fields if n not in units and len(levels[n]) > 1]
    if s.read.equal and len(varying) > 1:
        message = (
            f"at equal {s.read.equal} needs runs of {arm} that differ in one field; they "
            f"differ in {', '.join(varying)}"
        )
        raise s.error(s.key, message)
    if varying and not s.read.equal:
        field = varying[0]
        how = (
            f"choose one with where = {{ {field} = … }}, compare at equal l0, "
            "say, or make an arm of each value with paired"
            if isinstance(statement, Claim)
            else f'draw a curve with over = "{field}", or choose one with where = {{ {field} = … }}'
        )
        values = ", ".join(map(str, sorted(levels[field])))
        raise s.error(None, f"the runs of {arm} differ in {field} ({values}); {how}")
    return varying


def refuse_equal_runs(study: StudyDraft, s: Statement, judged: Claim, whole: Experiment) -> None:
    """Refuse a control with the same runs as an arm that it would be compared with: the difference
    is 0, so that it always fails."""

    def runs(name: str) -> set[tuple[Any, ...]]:
        arm = study.borrowed.get(name)
        if arm is None or arm.train is None or arm.after or isinstance(arm.train, Joint):
            return set()
        how = inspect.unwrap(arm.train), inspect.unwrap(arm.measure or whole.measure)
        return {(*how, spec) for spec in whole.specs_of(name, whole.default)}

    for control in s.entry.control:
        task = part.task if (part := study.asked.by_label.get(control)) else None
        if isinstance(task, Task) and task.is_idle:
            message = f"{control} adds a direction with strength 0, so it always fails; name"
            raise s.error("control", f"{message} an arm that does something")
    compared = (a for a in s.read.parsed.arms if a != judged.of)
    for control, other in itertools.product(s.entry.control, compared):
        if runs(control) & runs(other):
            message = (
                f"{control} has the same runs as {other}, with which it would be "
                "compared, so it always fails; name an arm that could pass"
            )
            raise s.error("control", message)


def _listed(name: str, have: Sequence[str], offered: Sequence[str]) -> str:
    """The measures of an arm if they are few; otherwise the most similar name."""
    measures = [x for x in have if x not in ("diverged", "parameters")]
    if not 0 < len(measures) <= FEW:
        return nearest(name, offered)
    close = get_close_matches(name, measures, n=1, cutoff=0.75)  # only typing errors
    meant = f"did you mean {close[0]}?" if close else ""
    has = f"it has {', '.join(measures)}" if measures != close else ""
    return " ".join(filter(None, [meant, has]))


def _no_runs(arm: str, specs: Sequence[Spec], where: Mapping[str, Plain]) -> str:
    """Say which field of `where` leaves an arm without runs, and what it has instead."""
    if not specs:
        return f"arm {arm} has no runs"
    absent = (k for k, v in where.items() if not any(getattr(s, k, None) == v for s in specs))
    field = next(absent, next(iter(where), ""))
    have = sorted({str(getattr(s, field)) for s in specs if hasattr(s, field)})
    fields = (f.name for f in dataclasses.fields(specs[0]))
    hint = f"it has {', '.join(have)}" if have else nearest(field, fields)
    return f"arm {arm} has no run with {field} = {where.get(field)}; {hint}"
