"""What is reported next to the verdicts of a study that asks models. `lines` collects it: remarks
of the plan, which heads replaced others, how many draws of a control pass, and how large a
violation of a claim of no effect has to be."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from assay.ask import by_label, comparing, notes, unmoved
from assay.ask.annotated import extremes
from assay.ask.checks import IDLE, PASSED_ON
from assay.ask.levels import called, located
from assay.ask.measure import choosing, damage, edges, interventions, neighbours, reads, selecting
from assay.ask.measure.damage import BEFORE, RISE, DamageTask
from assay.ask.measure.heads import head_of
from assay.ask.measure.probe_tasks import ProbeTask
from assay.ask.measure.prompts import SLOT
from assay.ask.measure.tasks import BLOCK, BLOCKS, CHOSEN, MOVED, OTHERS, Task, chosen_for
from assay.ask.measure.tokenized import prompt
from assay.ask.missing import CHEAP, FRESH
from assay.ask.model_study import ModelStudy
from assay.ask.notes import Asking
from assay.ask.part import LEFT_OUT, Part
from assay.ask.tables import Intervention, Read
from assay.core import power
from assay.core.bands import AT
from assay.core.claims import Claim
from assay.core.columns import Column
from assay.core.digits import estimate
from assay.core.errors import AssayError
from assay.core.heavy import xr
from assay.core.intervals import interval
from assay.core.judging import unmade
from assay.core.nouns import counted, plural
from assay.core.reasons import NO_LEAD, TRUE_UNCHANGED
from assay.core.results import Judged, Verdict
from assay.core.stats import mean
from assay.subjects.sizes import read_sizes

ENDS = ("first", "last")
"""The functions that give a level at which a condition is true."""
NAMED = 8
"""Up to this many draws are listed one by one; more are counted."""
Arms = Mapping[str, "xr.Dataset"]


def lines(
    questions: ModelStudy,
    askings: Mapping[str, Asking],
    bearing: Sequence[str],
    judged: Sequence[Judged],
    arms: Arms,
) -> list[str]:
    """Give what is reported next to these judged claims, one line each: the remarks of the plan,
    and what the measures show; `askings` by the text of the claim."""
    by_line: dict[str, list[int]] = {}
    for i, j in enumerate(judged, 1):
        for line in _of_claim(questions, askings.get(j.claim.text), j, arms):
            by_line.setdefault(line, []).append(i)
    numbers = {a.where: i for i, j in enumerate(judged, 1) if (a := askings.get(j.claim.text))}
    not_run = {*questions.by_label} - {*arms}
    bearing = [line for line in bearing if line.partition(": ")[0] not in not_run]
    for j in judged:
        if asking := askings.get(j.claim.text):
            known = dict(_known(questions, asking, j))
            bearing = [*filter(None, (known.get(line, line) for line in bearing))]
    bearing += _selected(questions, arms)
    bearing += unmoved.lines(questions, askings.values(), arms)
    bearing += _never(askings.values(), arms)
    bearing = [*_numbered(bearing, numbers), *_paired(questions, askings.values(), arms)]
    return bearing + [
        line if len(claims) == len(judged) else f"claim {', '.join(map(str, claims))}: {line}"
        for line, claims in by_line.items()
        if line not in bearing  # as the plan has said of a control that is left out
    ]


def _known(questions: ModelStudy, asking: Asking, judged: Judged) -> Iterator[tuple[str, str]]:
    """Give the lines of the plan on other reasons for which a claim may be true, in the words in
    which they bear on its verdict: "" where it fails, or where a control shows that it is not
    so."""
    part = questions.by_label.get(asking.main)
    for name, note in notes.if_true(questions, part, asking) if part else ():
        control, line = judged.controls.get(name), f"{asking.where}: {note}"
        came = control.outcome if control and not judged.no_test(name) else ""
        is_void = "fails" in (judged.outcome, came)
        is_void |= judged.outcome == "holds" and ("cannot hold" in note or notes.UNSEEN in note)
        words = line.replace(" may make ", " make ") if came == "holds" else line
        yield line, "" if is_void else words


def _numbered(bearing: Sequence[str], numbers: Mapping[str, int]) -> Iterator[str]:
    """Replace the plan's numbers of claims by their numbers among the judged ones, and drop lines
    about claims that are not judged."""
    for line in bearing:
        where, part, remark = line.partition(": ")
        if not part or not re.fullmatch(r"claim \d+", where):
            yield line
        elif where in numbers:
            yield f"claim {numbers[where]}: {remark}"


def _of_claim(
    questions: ModelStudy, asking: Asking | None, judged: Judged, arms: Arms
) -> Iterator[str]:
    claim, drawn = judged.claim, dict[str, Verdict]()
    for name in claim.must_fail:
        part = questions.by_label.get(name)
        if part is None or part.control is None or name not in arms:
            continue
        if missing := unmade(claim, name, arms):
            pair = "" if missing == name else f"{name} minus "
            yield f"{pair}{missing}: {arms[missing]['why'].values[0]}{LEFT_OUT}"
        elif isinstance(part.task, DamageTask):
            yield from _damage(part.label, part.task, arms[name])
        elif part.control.name in ("heads", "random-heads"):
            yield from _heads(questions, claim, part, arms)
        elif isinstance(part.task, Task) and MOVED in arms[name]:
            yield from _moved(questions, part, arms[name])
        elif BLOCKS in arms[name] and (change := part.task.intervention):
            yield from _say_blocks(name, arms[name][BLOCKS], change)
        elif part.task.drawn and name in judged.controls:
            drawn[name] = judged.controls[name]
    if (part := questions.by_label.get(claim.of)) is not None and claim.of in arms:
        yield from _chosen(questions, part, arms[claim.of])
    if judged.outcome != "fails":
        yield from _draws(drawn)
        yield from _too_small(judged)
    yield from _highest(asking, judged, arms)
    yield from _leadless(questions, asking, judged, arms)
    yield from _by_label(questions, asking, judged, arms)
    yield from _of_no_change(questions, asking, judged)
    yield from _rival_slot(questions, judged)
    yield from _passed_on(questions, asking, judged)
    yield from _more_seeds(questions, part, judged)
    if judged.outcome == "holds" and judged.controls and all(map(judged.no_test, judged.controls)):
        yield (
            "none of its controls is a test, so nothing excludes another explanation; name another "
            "control, one that could satisfy the claim as well"
        )


def _more_seeds(questions: ModelStudy, part: Part | None, judged: Judged) -> Iterator[str]:
    """Say with how many seeds a probe or a control that is always right decides an open claim,
    since they read the same activations as the others."""
    seeds, fewest = judged.n.get("seed", 0), power.fewest_to_hold(judged.claim)
    if (
        judged.outcome == "undecided"
        and part is not None
        and isinstance(part.task, ProbeTask)
        and questions.frozen is None
        and fewest is not None
        and 0 < seeds < fewest <= len(part.task.levels)
    ):
        yield (
            f"a probe or a control that is always right decides it with {fewest} seeds, not with "
            f'{seeds}: seeds = "{FRESH}:{FRESH + fewest}"{CHEAP}'
        )


def _passed_on(questions: ModelStudy, asking: Asking | None, judged: Judged) -> Iterator[str]:
    """Say that what is hidden from the last token may be passed on by tokens between, or that a
    patch changes nothing, which may be why an effect is not found."""
    part = questions.by_label.get(judged.claim.of)
    table = part.task.intervention if part else None
    if part is None or table is None or asking is None:
        return
    for remark in questions.remarks:
        name, _, words = remark.partition(": ")
        if name == table.name and words.startswith((PASSED_ON, IDLE)):
            of_none = comparing.is_of_nothing(questions, part, asking.read)
            is_unmoved = judged.outcome == "fails" and not of_none
            yield f"{'it may fail because ' * is_unmoved}{words}"


def _rival_slot(questions: ModelStudy, judged: Judged) -> Iterator[str]:
    """Name another slot with words of the same kind, at which no arm of the study makes a change
    that a claim credits to one slot, and how to make it there."""
    part = questions.by_label.get(judged.claim.of)
    task = part.task if part else None
    if judged.outcome != "holds" or not isinstance(task, Task) or not (t := task.intervention):
        return
    place = str(t.block.to if t.block else t.position)
    if not (slot := SLOT.fullmatch(place)) or (t.patch and not t.block):
        return
    text = task.prompts.template(task.prompts.rows[0])
    words = {
        name: {*task.prompts.column(name)}
        for name in SLOT.findall(text)
        if name in task.prompts.rows[0].columns
    }
    changed = {str(x.block.to if x.block else x.position) for x in questions.text.study.intervene}
    for name in dict.fromkeys(words):
        if f"{{{name}}}" not in changed and words[name] & words.get(slot[1], set()):
            yield (
                f"the columns {{{name}}} and {place} share words, and no control changes "
                f"{{{name}}}: to see whether only {place} matters, copy [[intervene]] {t.name} "
                f'with name = "other" and "{{{name}}}" in place of "{place}", and write control = '
                '["other"] under the claim'
            )
            return


def _selected(questions: ModelStudy, arms: Arms) -> list[str]:
    """Say how many prompts are measured, of those that a read selects."""
    tasks = {name: part.task for name, part in questions.by_label.items() if name in arms}
    lines = [
        selecting.in_words(task.prompts, len(task.levels), arms[name].sizes[task.unit])
        for name, task in tasks.items()
        if isinstance(task, Task) and task.prompts.selection and task.unit in arms[name].sizes
    ]
    return [*dict.fromkeys(lines)]


def _paired(questions: ModelStudy, askings: Iterable[Asking], arms: Arms) -> Iterator[str]:
    """Give an estimate under an intervention minus that of the unchanged model, unit by unit, so
    that the spread between units cancels."""
    for asking in askings:
        part = questions.by_label.get(asking.main)
        if asking.compared or part is None or len(asking.read.columns) != 1 or asking.over:
            continue
        task, column = part.task, asking.read.columns[0]
        base = comparing.unchanged_model(questions, task)
        alike = {asking.main, base} <= {*arms} and column.name in arms.get(base, ())
        plain = asking.read.parsed.terms.keys() == {"value"}
        if not (isinstance(task, Task) and task.intervention and alike and plain):
            continue
        with contextlib.suppress(AssayError):
            units = ["run", *asking.units]
            x = column.take(arms[asking.main][column.name], units)
            y = replace(column, levels=(), over=()).take(arms[base][column.name], units)
            less = (x - (y.mean("run") if "run" in y.dims else y)).swap_dims(run="seed")
            units = [u for u in asking.units if u in less.dims]
            less = less.mean([d for d in less.dims if d not in units]).transpose(*units)
            i = interval({"x": less.values}, mean, factors=len(units))
            yield (
                f"{asking.where}: minus {base}.{column.name}, unit by unit: "
                f"{i.estimate:.3g} [{i.low:.3g}, {i.high:.3g}]"
            )


def _leadless(
    questions: ModelStudy, asking: Asking | None, judged: Judged, arms: Arms
) -> Iterator[str]:
    """Say that the unchanged model lacks the lead that a change should have lowered, where the
    verdict does not say so. What is added may well lower it further."""
    if asking is None or judged.outcome == "unspecific" or judged.reason == NO_LEAD:
        return
    claim, parsed = judged.claim, asking.read.parsed
    for column in asking.read.columns if parsed.terms.keys() == {"value"} else ():
        part = questions.by_label.get(column.arm or asking.main)
        if part is None or not isinstance(part.task, Task) or not part.task.intervention:
            continue
        if judged.outcome == "holds" and part.task.intervention.add:
            continue
        named = [r for r in part.task.reads if r.name == column.name]
        is_lead = any(isinstance(getattr(r, key), tuple) for r in named for key in reads.PAIRS)
        at = dict.fromkeys(asking.read.columns, 1.0)
        one, zero = (parsed.walk({**at, column: x}.__getitem__) for x in (1.0, 0.0))
        end = claim.low if zero < one else -claim.high if zero > one else 0.0
        base = comparing.unchanged_model(questions, part.task)
        if not is_lead or end > -math.inf or column.name not in arms.get(base, ()):
            continue
        x = arms[base][column.name]
        units = [u for u in asking.units if u in x.dims] or ["run"]
        if {*x.dims} - {"run", part.task.unit, *units}:
            continue  # it varies over levels
        x = x.mean([d for d in x.dims if d not in units]).transpose(*units)
        i = interval({"x": x.values}, mean, factors=len(units))
        if i.low <= 0:
            yield (
                f"{base}.{column.name} is {' '.join(estimate(i.estimate, i.low, i.high))}, not "
                "clearly above 0: the unchanged model has no lead to lose or to turn round"
            )
            return


def _of_no_change(questions: ModelStudy, asking: Asking | None, judged: Judged) -> Iterator[str]:
    """Note that the number of the unchanged model, which is known only now, satisfies a claim about
    a change; not of what is kept, whose controls are that something else is kept."""
    part = questions.by_label.get(judged.claim.of)
    table = getattr(part.task, "intervention", None) if part else None
    unchanged = [x for name, x in judged.sides.items() if name.startswith("main.")]
    if asking is None or table is None or table.keep or table.reconstruct or judged.violations:
        return
    read, (low, high) = asking.read, judged.range
    known = judged.outcome != "fails" and len(read.columns) == len(unchanged) == 1
    if known and low <= read.parsed.walk(lambda _: unchanged[0]) <= high:
        yield TRUE_UNCHANGED


def _by_label(
    questions: ModelStudy, asking: Asking | None, judged: Judged, arms: Arms
) -> Iterator[str]:
    """Give the number at each of the few right answers or labels, if it clearly differs between
    them, or if the outcome would be another at one of them; of a claim that fails, only where they
    differ by at least as much as it misses the threshold by."""
    for split in by_label.splits(questions, asking, judged, arms):
        low, high = judged.range
        true = [f"“{name}”" for name, x in split.answers.items() if low <= x <= high]
        false = [f"“{name}”" for name in split.answers if f"“{name}”" not in true]
        doubtful = {"holds": false, "unspecific": false, "fails": true}.get(judged.outcome)
        numbers, x = split.answers.values(), judged.estimate
        is_small = max(numbers) - min(numbers) < max(low - x, x - high)
        if doubtful or (split.carries and not (judged.outcome == "fails" and is_small)):
            is_true = f"the claim is {'not ' * (doubtful is false)}true where {split.name} is "
            first = f"{is_true}{' or '.join(doubtful)}: " if doubtful else ""
            is_new = bool(false) and split.advice not in getattr(judged.price, "text", "")
            yield f"{first}{split.words}{f'; {split.advice}' * is_new}"


def _never(askings: Iterable[Asking], arms: Arms) -> Iterator[str]:
    """Say for how many units the condition of `first` or `last` is true at no level, and as which
    level these units are counted."""
    for asking in askings:
        parsed, main = asking.read.parsed, asking.main

        def column(c: Column, main: str = main) -> xr.DataArray:
            x = arms[c.arm or main][c.name]
            return c.take(x, [*map(str, x.dims)])

        curves = [(str(c), c.over, column(c)) for c in parsed.columns if c.how in ENDS]
        units = (t for t in parsed.together if t.how in ENDS and not t.of_means)
        curves += [(t.text, t.over, t.walk(column)) for t in units]
        for part in getattr(parsed.statistic, "parts", ()):
            if part.how in ENDS:
                terms = {k: walk(column) for k, walk in parsed.terms.items()}
                means = {k: x.mean({*x.dims} - {*part.over}).values for k, x in terms.items()}
                value = part.value({k: x[None] for k, x in means.items()})
                curves.append((part.text, part.over, xr.DataArray(value[0])))
        for text, (dim,), x in curves:
            levels = next(arm[dim].values for arm in arms.values() if dim in arm.coords)
            out = (x < levels.min()) | (x > levels.max())
            unit_dims = [u for u in asking.units if u in x.dims]
            never = out.all({*x.dims} - {*unit_dims})
            if never.any():
                share = f"{int(never.sum())} of {never.size}"
                units_in_words = f" of {share} {plural(unit_dims[0], 2)}" if unit_dims else ""
                level = float(x.where(out).max())
                yield (
                    f"{asking.where}: {text}: not true{units_in_words} for any {dim} from "
                    f"{levels[0]:g} to {levels[-1]:g}, which counts as {called(f'{dim} {level:g}')}"
                )


def _too_small(judged: Judged) -> Iterator[str]:
    """Say how large a violation of a claim of no effect is, and how large it should be."""
    claim = judged.claim
    edges = [e for e in (claim.low, claim.high) if math.isfinite(e)]
    nothing = claim.empty or 0.0
    for name, verdict in judged.violations.items():
        x = verdict.estimate
        if not edges or not math.isfinite(x):
            continue
        edge = min(edges, key=lambda e: abs(e - x))
        farthest = nothing + 2 * (edge - nothing)
        aim = f"aim between {edge:.3g} and {farthest:.3g}"
        if claim.low <= x <= claim.high:
            yield f"{name} should break the claim, but its {x:.3g} is within the range; {aim}"
        elif abs(x - nothing) > abs(farthest - nothing) and judged.outcome == "undecided":
            yield f"{name} breaks the claim by far, at {x:.3g}, which shows little; {aim}"


def _number(claim: Claim, name: str, arms: Arms, **levels: object) -> float:
    """The claim's number for an arm, by the mean over all units, or over those at these levels; NaN
    if it has none."""
    value = claim.value(arms[name], arms)
    terms: Mapping[str, Any] = value if isinstance(value, Mapping) else {"value": value}
    chosen = {t: x.sel({d: v for d, v in levels.items() if d in x.dims}) for t, x in terms.items()}
    means = {t: np.array([float(x.mean())]) for t, x in chosen.items()}
    return float(np.ravel(claim.statistic(means))[0])


def _heads(questions: ModelStudy, claim: Claim, part: Part, arms: Arms) -> Iterator[str]:
    """Say what each draw of other heads gave; of draws of several heads, in which range."""
    if claim.scale != "plain" or not isinstance(part.task, Task):
        return
    arm, name = arms[part.label], part.label
    by_heads: dict[tuple[str, ...], list[int]] = {}
    for i in range(arm.sizes["run"]):
        heads = _stood_in(questions, part, arm, i)
        if not heads:
            return
        by_heads.setdefault(heads, []).append(i)
    numbers = {
        heads: _number(claim, name, {**arms, name: arm.isel(run=runs)})
        for heads, runs in by_heads.items()
    }
    passing = {heads for heads, x in numbers.items() if claim.low <= x <= claim.high}
    several, draws = len(next(iter(numbers))) > 1, arm.sizes["run"]
    count = sum(len(by_heads[heads]) for heads in passing) if several else len(passing)
    of = f"{draws} draws of" if several else f"{len(numbers)}"
    words = f"{name}: {count} of {of} other heads satisf{'ies' if count == 1 else 'y'} the claim"
    if several:
        ends = dict.fromkeys(f"{x:.3g}" for x in (min(numbers.values()), max(numbers.values())))
        few = f"; only {counted(len(numbers), 'different draw')}" * (len(numbers) < draws)
        yield f"{words} ({' to '.join(ends)}{few})"
        return
    each = "; ".join(
        f"head {head}: {x:.3g}{', satisfies it' if (head,) in passing else ''}"
        for (head,), x in sorted(numbers.items())
    )
    yield f"{words}: {each}" if len(numbers) <= NAMED else words


def _damage(label: str, task: DamageTask, arm: xr.Dataset) -> Iterator[str]:
    """Say by how much the loss on unrelated text changes, and from which value."""
    rise, loss_before = (arm[name].mean("run").values.ravel() for name in (RISE, BEFORE))
    name = task.unrelated.table.name
    which = "" if name == damage.SENTENCES else f" ({name})"
    low, high = float(rise.min()), float(rise.max())
    ends = (low, high) if high - low >= 1e-9 else (low,)
    by = " to ".join(dict.fromkeys(f"{x:.3g}" for x in ends))
    nats = "nat" if by == "1" else "nats"
    was = float(loss_before.mean())
    yield f"{label}: the loss on unrelated text{which} changes by {by} {nats}/token, from {was:.3g}"


def _own_blocks(table: Intervention) -> list[int]:
    """The blocks in which a change is made at one level."""
    if not table.block:
        sites = " ".join(interventions.sites_of(table))
        return [int(n) for n in re.findall(r"blocks\.(\d+)\.", sites)]
    start, stop = table.window or (0, 0)
    around = (range(int(n) + start, int(n) + stop + 1) for n in table.block.layers)
    return sorted({n for near in around for n in near if n >= 0})


def _say_blocks(label: str, used: xr.DataArray, table: Intervention) -> Iterator[str]:
    """Say in which blocks the control `layer` made the change of this table, how far away and why
    in these; of a sweep, at each of its levels."""
    swept = [str(dim) for dim in used.dims if dim not in ("run", BLOCK)]
    numbers = used.rename(BLOCKS).to_series().dropna().astype(int)
    at, steps = dict[str, set[int]](), set[int]()
    for (_, *k), blocks in numbers.groupby(["run", *swept]):
        point: dict[str, Any] = dict(zip(swept, k, strict=True))
        at.setdefault(", ".join(f"{d} {x}" for d, x in point.items()), set()).update(blocks)
        here = interventions.swept(table, {d: x for d, x in point.items() if d in table.sweep})
        steps |= {abs(n - own) for n, own in zip(blocks, _own_blocks(here), strict=False)}
    if not steps:
        return
    if len({*map(frozenset, at.values())}) < 2 or len(at) > NAMED:
        at = {"": {*numbers}}
    where = (
        f"{plural('block', len(blocks))} {', '.join(interventions.in_rows(sorted(blocks)))}"
        + (f" (for {called(level)})" if level else "")
        for level, blocks in at.items()
    )
    ends = " to ".join(map(str, sorted({min(steps), max(steps)})))
    far = f"{ends} {plural('block', max(steps))} away"
    near = ", next to its own, which may do nearly the same" * (min(steps) == 1)
    more = "the hidden tokens get more attention" if table.block else "it is larger"
    side = f"on the side where {more}{near}"
    yield f"the control {label} makes the change in {'; '.join(where)}: {far}, {side}"


def _moved(questions: ModelStudy, part: Part, arm: xr.Dataset) -> Iterator[str]:
    """Say by how many tokens the control `token` moved the change, or that it hid other tokens, of
    those that get the most attention; with the tokens of the first prompt as an example."""
    table, task = part.task.intervention, part.task
    shifts = {int(n) for n in np.ravel(arm[MOVED].values) if np.isfinite(n)}
    if table is None or not isinstance(task, Task) or (table.block and task.prompts.selection):
        return
    swept = interventions.at_points(table)
    if len({(t.position, t.block and (t.block.from_, t.block.to)) for t in swept}) > 1:
        return  # what is moved differs between levels
    with contextlib.suppress(AssayError):  # the model is no longer here
        row = task.prompts.rows[task.rows[0]]
        p = prompt(questions.found_of(part), row)
        for n in sorted(shifts):
            by = f"{abs(n)} {plural('token', abs(n))} {'later' if n > 0 else 'earlier'}"
            where = interventions.tokens_in_words(swept[0], p, n)
            at = _levels_with(arm[MOVED] == n) if shifts - {n} else ""
            way = f"makes the change {by}{at}, such as at {where} in {row.place}"
            if block := swept[0].block:
                more = " and others" * (len(edges.pairs(block, p)[1]) > 1)
                way = f"hides other tokens{at}, such as {where}{more} in {row.place}"
            yield f"the control {part.label} {way}"


def _levels_with(found: xr.DataArray) -> str:
    """At which levels of a sweep something is so in any run: " at layer 6"; "" where they are too
    many to name."""
    swept = [dim for dim in found.dims if dim != "run"]
    series = found.any("run").to_series() if swept else None
    named = series.groupby(swept).any().loc[lambda x: x].index if series is not None else ()
    levels = [k if isinstance(k, tuple) else (k,) for k in named]
    words = [", ".join(f"{d} {x}" for d, x in zip(swept, k, strict=True)) for k in levels]
    return f" {located(' and '.join(words))}" if 0 < len(words) <= NAMED else ""


def _draws(controls: Mapping[str, Verdict]) -> Iterator[str]:
    """Say how many draws of each control would satisfy the claim alone, if any does: draws of
    opposite effects can have a mean near 0."""
    passing = []
    for name, verdict in controls.items():
        (low, high), numbers = verdict.range, verdict.points
        count = sum(low <= x <= high for x in numbers)
        if verdict.units[:1] == ("seed",) and count and verdict.outcome != "holds":
            passing.append(f"{count} of {len(numbers)} for {name}")
    if passing:
        yield f"single seeds of a control would satisfy the claim: {', '.join(passing)}"


def _highest(asking: Asking | None, judged: Judged, arms: Arms) -> Iterator[str]:
    """Say at which level the mean over units is highest, for what chooses a level and for extremes
    that are no mean over units; those that are have the level next to their number."""
    for e in extremes(asking, judged.claim, arms):
        if not e.of_means or e.how == AT or not judged.at:
            subject = "what chooses the level" if e.how == AT else "the mean over units"
            yield f"{e.text}: {subject} is {e.end} {located(e.levels)}, {e.mean:.3g}"


def _chosen(questions: ModelStudy, part: Part, arm: xr.Dataset) -> Iterator[str]:
    """Say which parts were chosen for an intervention or a read, at all levels of a sweep."""
    task = part.task
    tables: list[tuple[Intervention | Read, str, str]] = []
    if task.intervention:
        tables.append((task.intervention, CHOSEN, part.label))
    of_reads = [(r, chosen_for(r), f"{part.label}.{r.name}") for r in task.reads]
    for table, measure, name in (*tables, *of_reads):
        top = table.top
        if measure not in arm or top is None:
            continue
        with contextlib.suppress(AssayError):  # the model is no longer here
            size = read_sizes(questions.found_of(part).config)
            of_blocks = top.of != "latents" and not table.site
            count = size["h"] if top.of == "heads" else size.get("m", 1)
            x = arm[measure].isel(run=0)
            numbers = [int(n) for n in dict.fromkeys(np.ravel(x.values)) if np.isfinite(n)]
            names = [f"{n // count}.{n % count}" if of_blocks else f"{n}" for n in numbers]
            every = range(count * size["layers"])
            if of_blocks and 2 * len(numbers) > len(every):
                unchosen = [n for n in every if n not in numbers]
                names = [f"all but {', '.join(f'{n // count}.{n % count}' for n in unchosen)}"]
            how = "on the other half" if choosing.learns(top) else "by their output weights"
            how = f"on {top.prompts}" if top.prompts else how
            yield f"{name}: {top.of} chosen {how}: {', '.join(names)}"


def _stood_in(questions: ModelStudy, part: Part, arm: xr.Dataset, run: int) -> tuple[str, ...]:
    """The heads that replaced others in a run; none if a sweep has different ones at each level."""
    assert isinstance(part.task, Task)
    try:
        count = read_sizes(questions.found_of(part).config)["h"]
    except AssayError:  # the model is no longer here
        return ()
    if OTHERS in arm:
        x = arm[OTHERS].isel(run=run)
        if x.ndim != 1 and any(n > 1 for n in x.shape[:-1]):
            return ()
        heads = [int(h) for h in np.ravel(x.values) if np.isfinite(h)]
        return tuple(f"{h // count}.{h % count}" for h in heads)
    read = {r.name: r for r in part.task.reads if not part.task.intervention}
    patterns = {r.pattern for name, r in read.items() if r.pattern and not r.sweep}
    if len(patterns) != 1:
        return ()
    layer, head = head_of(next(iter(patterns)))
    return (f"{layer}.{neighbours.another(head, count, int(arm['seed'].values[run]))}",)
