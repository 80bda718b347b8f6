"""Comparing: which arm a statement is about, which of its controls apply (`bearing`), what replaces
the other arms of a comparison in a control (`rivals`, `twins`), and which arms do not count as
other explanations (`unlike`). Studies that were frozen before a rule existed are judged without it,
hence the tests of `study.frozen`."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import numpy as np

from assay.ask import near
from assay.ask.measure import interventions, models, probe_tasks, prompts, reads
from assay.ask.measure.controls import compares_texts
from assay.ask.measure.probe_parts import WHOLE
from assay.ask.measure.probe_tasks import MAJORITY, SHARES, ProbeTask
from assay.ask.measure.sae_arms import NORMS, SaeTask
from assay.ask.measure.tasks import Task
from assay.ask.model_study import ModelStudy
from assay.ask.near import Control
from assay.ask.part import Part
from assay.ask.tables import Model, Read
from assay.ask.text import ClaimEntry
from assay.ask.wording import Condition, claim, natural
from assay.core import apart, strata
from assay.core.bands import AT, MIDDLE, OfMeans
from assay.core.claims import Claim, Value
from assay.core.columns import LOCATING, Column
from assay.core.errors import AssayError, ClaimError, ExperimentError
from assay.core.expression import PAIRED, Together, is_linear
from assay.core.heavy import xr
from assay.core.intervals import FOLD
from assay.core.judging import FEWEST_ALONE
from assay.core.nouns import plural
from assay.core.reading import LazyArms
from assay.subjects.sizes import read_sizes


def about(study: ModelStudy, read: Condition, controls: Collection[str]) -> str:
    """Give the arm that a statement is about: the first that it names and that is not a control; of
    arms of a model the first that is changed. For two probes that are claimed to be equally good,
    it is the one whose getting worse breaks the claim."""
    names = [name for name in read.parsed.arms if name not in controls]
    changed = [name for name in names if name in study.changed_arms]
    if study.frozen is None:
        changed += [name for name in names if _is_changed(study, name)]
        changed = [n for n in names if n in changed and not study.by_label[n].of] or changed
        if worse := _breaking(study, read):
            return worse
    return next(iter((*changed, *names)), "main")


def _breaking(study: ModelStudy, read: Condition) -> str:
    """In a claim that compares probes and is true of equal ones: the first probe that breaks the
    claim by getting worse; "" for any other claim."""
    parsed = read.parsed
    parts = [p for p in map(study.by_label.get, parsed.arms) if p is not None]
    if len(parts) < 2 or not all(map(_is_probe, parts)):
        return ""

    def holds(worse: str) -> bool:
        x = worked_out(parsed.walk, lambda c: 0.0 if c.arm == worse else 0.75)
        return parsed.low < x < parsed.high

    return next((arm for arm in parsed.arms if holds("") and not holds(arm)), "")


def _is_probe(part: Part) -> bool:
    return isinstance(part.task, ProbeTask) and not part.of and part.task.control != MAJORITY


def rivals(
    study: ModelStudy, main: str, read: Condition, controls: Collection[str]
) -> tuple[str, ...]:
    """Give the other arms of a comparison of interventions, weight changes or probes; none for any
    other claim, or for a study frozen before both sides of one moved together. A change that
    precedes both sides is no rival, and neither are probes that are claimed to be alike."""
    by_label = study.by_label
    probes = [a for a in read.parsed.arms if a in by_label and _is_probe(by_label[a])]
    if study.frozen is None and main in probes and not _breaking(study, read):
        return tuple(a for a in probes if a not in (main, *controls))

    def is_done(arm: str) -> bool:
        task = by_label[arm].task if arm in by_label else None
        changed = isinstance(task, Task) and bool(task.intervention or task.model.weights)
        return changed and task is not None and not task.is_difference

    if study.frozen is not None or not is_done(main):
        return ()
    task = by_label[main].task
    first = task.first if isinstance(task, Task) else None
    earlier = f"{main.rpartition('/')[0]}/{first.name}".lstrip("/") if first else ""
    others = (a for a in read.parsed.arms if a not in (main, earlier, *controls))
    return tuple(a for a in others if is_done(a))


def bearing(
    study: ModelStudy, main: str, read: Condition, arms: Sequence[Part]
) -> tuple[Part, ...]:
    """Choose the near controls of an arm that apply to a claim. For a probe that reads under a
    change: the controls of the change if the claim says that less can be read, which chance
    satisfies; otherwise those of the probe. For a sweep: no other layers or heads that the sweep
    has as well. For a claim of no effect: no damage, which a change without an effect does not do
    anyway, if other controls are left. For a model less the one that it was trained from: not
    their untrained twins, which are equal. For two texts not claimed to be alike: not the text of
    another row, which is less alike anyway."""
    part, walk = study.by_label.get(main), read.parsed.terms.get("value")
    if part and _compares_texts(part, read) and not _says_alike(part, read):
        arms = [p for p in arms if p.control not in (near.ANSWERS, near.UNPAIRED)]
    if part and isinstance(part.task, Task) and study.frozen is None:
        idle = repeated(study, part, read)
        arms = [p for p in arms if p.control not in idle]
        vain: tuple[Control, ...] = (near.DAMAGE,) if is_of_nothing(study, part, read) else ()
        is_trained = study.is_tuned(part.task.model) and _origins(study, main, read)
        vain += (near.TWIN,) if is_trained else ()
        arms = [p for p in arms if p.control not in vain] or arms
    if part and isinstance(part.task, SaeTask) and part.task.other:
        return tuple(p for p in arms if p.control in _of_crosscoder(read))
    if part is None or not isinstance(part.task, ProbeTask) or not part.task.change:
        return (*arms,)
    task, chance = part.task, {"accuracy": part.task.chance, "auroc": 0.5}
    usual = 1 / len(task.classes) if task.classes else 0.0

    def number(c: Column) -> float:
        nothing = probe_tasks.nothing(c.name, chance.get(c.name, usual))
        return nothing if (c.arm or main) == main else 1.0

    falls = walk is not None and read.parsed.low < worked_out(walk, number) < read.parsed.high
    probes = ((p, p.task) for p in arms if isinstance(p.task, ProbeTask))
    # a control of the change, or of the probe
    return tuple(p for p, probe in probes if bool(probe.change and probe.change.control) == falls)


def _of_crosscoder(read: Condition) -> tuple[Control, ...]:
    """The controls of a claim about a crosscoder of two models. If it is about relative decoder
    norms and true of two equal models: one untrained model; otherwise two identical models, or a
    change of equal size. For any other claim: dictionaries that reconstruct as well."""
    if not {c.name for c in read.columns} & {*NORMS}:
        return (near.DIRECTIONS, near.FROZEN, near.OTHER_UNTRAINED)
    walk, equal = read.parsed.terms.get("value"), {"relative_norm": 0.5, "shared": 1.0}
    number = walk and worked_out(walk, lambda c: equal.get(c.name, 0.0))
    alike = number is not None and read.parsed.low < number < read.parsed.high
    return (near.OTHER_UNTRAINED,) if alike else (near.ITSELF, near.CHANGED)


def _compares_texts(part: Part, read: Condition) -> list[Read]:
    """The reads of a statement on an unchanged model that compare two texts of each row."""
    if not isinstance(part.task, Task) or part.task.intervention:
        return []
    names = {c.name for c in read.columns}
    return [r for r in part.task.reads if r.name in names and compares_texts(r)]


def _says_alike(part: Part, read: Condition) -> bool:
    """Whether a claim says that the similarity of two texts exceeds a value."""
    (first, *others), distance = read.columns, "distance"
    by_name = {r.name: r for r in _compares_texts(part, read)}
    far = first.name in by_name and by_name[first.name].similarity == distance
    end = read.parsed.high if far else read.parsed.low
    return not others and math.isfinite(end)


EXTREME = ("max", "min", *LOCATING, AT)
"""Functions over levels whose result does not depend on the order of the levels."""
NEAR = 20
"""Blocks whose distance is at most the number of blocks divided by this are about the same."""


def repeated(study: ModelStudy, part: Part, read: Condition) -> tuple[Control, ...]:
    """Give the controls that mostly repeat changes of a sweep of which a statement takes an
    extreme: other layers, if most blocks a third of the model away are swept too, and other heads,
    if most heads of the same blocks are."""
    by, parsed = part.task.intervention or part.task.model, read.parsed
    free = [t for t in parsed.together if not in_order(study, part, t)]
    over = {d for t in free if t.how in EXTREME for d in t.over}
    over |= {d for c in parsed.columns if c.how in EXTREME for d in c.over}
    ranges = {x for c in parsed.columns for x in c.ranges}
    outside = ranges and over & {d for c in parsed.columns for d, _ in c.levels}
    if not over & {*by.sweep} or by.controls is not None or outside:
        return ()
    return swept_too(study, part, read, over)


def swept_too(
    study: ModelStudy, part: Part, read: Condition, over: Collection[str]
) -> tuple[Control, ...]:
    """Give the controls most of whose changes a sweep over these dimensions has as well."""
    table, model = part.task.intervention, part.task.model
    ranges = {x for c in read.parsed.columns for x in c.ranges}
    sizes = read_sizes(study.shaped_as(model).config)
    if table is None:
        return _most_away({n for w in models.changes(model) for n in models.blocks_of(w)}, sizes)
    points = [
        point
        for point in interventions.points(table)
        if all(d not in point or a <= float(point[d]) < b for d, a, b in ranges)
    ]
    fixed = {(d, level) for d, level in points[0].items() if d not in over}
    tables = [interventions.swept(table, p) for p in points if fixed <= {*p.items()}]
    heads = {head for t in tables for head in (t.block.heads if t.block else t.heads)}
    if heads:
        count = sizes.get("h", math.inf) * len({head.partition(".")[0] for head in heads})
        return (near.HEADS, near.BLOCKED_HEADS) if len(heads) > count / 2 else ()
    return _most_away({n for t in tables for n in interventions.blocks_of(t)}, sizes)


def _most_away(blocks: Collection[int], sizes: Mapping[str, int]) -> tuple[Control, ...]:
    """The controls at other layers, if most blocks a third of the model away are among these."""
    if len(blocks) < 2:
        return ()
    layers = sizes["layers"]
    step = max(1, layers // 3)
    away = [n for b in blocks for n in (b - step, b + step) if 0 <= n < layers]
    swept = sum(any(abs(n - b) <= layers // NEAR for b in blocks) for n in away)
    return (near.ELSEWHERE, near.BLOCKED_LAYERS) if swept > len(away) / 2 else ()


def in_order(study: ModelStudy, part: Part, whole: Together) -> bool:
    """Whether levels are compared with, or chosen by, a curve that no control changes. A control
    with the same changes at other levels then differs from the arm."""
    fixed = {r.name: {*r.sweep} for r in part.task.reads} if isinstance(part.task, Task) else {}
    stay = (c for c in whole.columns if c.arm and c.arm not in study.changed_arms)
    is_fixed = any(fixed.get(c.name, set()) & {*whole.over} for c in stay)
    return is_fixed and whole.how in (AT, *PAIRED)


def twins(
    study: ModelStudy, main: str, read: Condition, controls: Collection[str]
) -> dict[str, dict[str, str]]:
    """Give, by control, what replaces the other arms of a comparison. In the untrained control
    these are the other arms' untrained controls, since otherwise an untrained arm would be compared
    with a trained one; if two interventions are compared, it is their own control of the same
    name."""
    untrained_main, by_label = f"{main}/untrained", study.by_label
    pairs: dict[str, dict[str, str]] = {}
    for part in study.controls_of(main):
        moved = dict.fromkeys((*rivals(study, main, read, controls), *_origins(study, main, read)))
        for other in moved if part.label in controls else ():
            twin = f"{other}/{part.label.rpartition('/')[2]}"
            alone = part.control == near.TOKEN and _does_as_much(study, main, other, read)
            alone |= part.control == near.TWIN and have_equal_twins(study, main, other)
            alike = are_one_draw if isinstance(part.task, Task) else are_one_input
            if twin in by_label and not alone and not alike(study, part.label, twin):
                pairs.setdefault(part.label, {})[other] = twin
    if study.frozen is None and _breaking(study, read) == main:
        return pairs  # two untrained probes are equally good as well
    others = [a for a in read.parsed.arms if a != main and not have_equal_twins(study, main, a)]
    untrained = {a: f"{a}/untrained" for a in others if f"{a}/untrained" in by_label}
    return pairs | ({untrained_main: untrained} if untrained and untrained_main in controls else {})


def _does_as_much(study: ModelStudy, main: str, other: str, read: Condition) -> bool:
    """Whether a claim says of one change at two places that it does at least as much at the first.
    At two unrelated tokens it may do equally much, which satisfies the claim; so the control moves
    only the first."""
    tables = [study.by_label[arm].task.intervention for arm in (main, other)]
    bare = partial(msgspec.structs.replace, name="", position="all", controls=None)
    alike = [t and bare(t) for t in tables]
    if study.frozen is not None or alike[0] is None or alike[0] != alike[1]:
        return False

    def holds(main_value: float, other_value: float) -> bool:
        numbers = {main: main_value, other: other_value}
        x = worked_out(read.parsed.walk, lambda c: numbers.get(c.arm or main, 1.0))
        return read.parsed.low < x < read.parsed.high

    return any(holds(x, x) and not holds(1.0, x) for x in (0.0, 2.0))


def _origins(study: ModelStudy, main: str, read: Condition) -> tuple[str, ...]:
    """The arms with the unchanged model that a comparison reads next to a model with changed
    weights, or to one that the study trains further."""
    by_label = {a: study.by_label[a].task for a in read.parsed.arms if a in study.by_label}
    about = by_label.get(main)
    if study.frozen is not None or not isinstance(about, Task) or about.less is not None:
        return ()
    start = study.start_of(about.model) if study.is_tuned(about.model) else None
    if about.model.weights:
        start = msgspec.structs.replace(about.model, weights=None, sweep={})
    if start is None:
        return ()
    bare = partial(msgspec.structs.replace, label="", controls=None)
    same = (a for a, task in by_label.items() if bare(task.model) == bare(start))
    return tuple(a for a in same if by_label[a].intervention == about.intervention)


def is_change(study: ModelStudy, main: str, others: Collection[str]) -> bool:
    """Whether an arm is a changed model and these others are not. Two unchanged models, two probes
    or two changes are not a change of each other."""
    return _is_changed(study, main) and not any(_is_changed(study, other) for other in others)


def _is_changed(study: ModelStudy, arm: str) -> bool:
    model = study.by_label[arm].task.model if arm in study.by_label else None
    changed = model is not None and (study.is_tuned(model) or model.weights is not None)
    return changed or arm in study.changed_arms


def pairs_in_words(
    study: ModelStudy, where: str, main: str, read: Condition, controls: Collection[str]
) -> Iterator[str]:
    """Say which pairs of controls replace both sides of a comparison."""
    compared = rivals(study, main, read, controls)
    pairs = [
        f"{control} minus {twin}"
        for control, others in twins(study, main, read, controls).items()
        for other, twin in others.items()
        if other in compared
    ]
    if pairs:
        task = study.by_label[main].task
        kind = "interventions" if task.intervention else "models"
        kind = "probes" if isinstance(task, ProbeTask) else kind
        yield f"{where}: it compares two {kind}, so one control replaces both: {', '.join(pairs)}"


def of_control(study: ModelStudy, part: Part, entry: Any, read: Condition) -> Any:
    """Complete a claim about a control. If it claims no effect, the arm that it controls should
    break it. Raises: ExperimentError if it claims an effect and names no control."""
    entry = msgspec.structs.replace(entry, credits=entry.credits or ())
    if entry.control:
        return entry
    low, high, task = read.parsed.low, read.parsed.high, part.task
    nothing = task.chance if isinstance(task, ProbeTask) else 0.0
    is_none = isinstance(task, ProbeTask) and low < nothing < high
    is_none = is_none or is_of_nothing(study, part, read, or_nearly=True)
    if part.of in read.parsed.arms or not is_none:
        raise ExperimentError(
            f"{part.label} is a control of {part.of}, and a claim that it has an effect needs a "
            'control: write control = ["…"], an arm for which the claim should fail; or claim '
            f"that {part.label} has little effect, which should be false of {part.of}"
        )
    violations = entry.violations or ((part.of,) if low < nothing < high else ())
    return msgspec.structs.replace(entry, control=(part.of,), violations=violations)


def unit_apart(study: ModelStudy, arms: Sequence[str]) -> str:
    """Give the unit of which no two compared arms share a level, such as the groups that a probe is
    judged on and those of its test prompts; "" if there is none."""
    parts = [study.by_label[a] for a in dict.fromkeys(arms) if a in study.by_label]
    units = {part.task.unit for part in parts}
    levels = [{*part.task.levels} for part in parts]
    alone = all(a.isdisjoint(b) for a, b in itertools.combinations(levels, 2))
    return units.pop() if len(parts) > 1 and len(units) == 1 and alone else ""


def of_groups(
    entry: ClaimEntry, units: Sequence[str], unit: str, main: str, read: Condition
) -> Claim:
    """Make a claim that compares the means of arms with different units. Raises: ClaimError if it
    is not a sum of such means."""
    units = (unit, *(u for u in units if u != unit))
    if isinstance(read.parsed.statistic, OfMeans):
        raise ClaimError(
            f"{read.parsed.text!r}: the arms have no {unit} in common, so that nothing is taken "
            "over the levels of both; claim each arm by itself"
        )
    parsed = apart.by_means(read.parsed, main)
    made = claim(
        msgspec.structs.replace(entry, units=units, bounds=None),
        main,
        dataclasses.replace(read, parsed=parsed),
    )
    return dataclasses.replace(made, value=strata.put(made.value, (unit,)))


def refuse_unpaired(study: ModelStudy, arms: Sequence[str]) -> None:
    """Refuse a comparison of arms that share some units but not all: it is neither paired nor a
    comparison of two groups. Raises: ExperimentError."""
    parts = [study.by_label[a] for a in dict.fromkeys(arms) if a in study.by_label]
    for part in parts[1:]:
        if len({p.task.unit == FOLD for p in (parts[0], part)}) > 1:
            raise ExperimentError(
                f"{parts[0].label} and {part.label} are compared fold by fold, and one of them has "
                "no folds; write folds under both, the same number"
            )
        first, levels = parts[0], {*part.task.levels}
        base = {*first.task.levels}
        both = [t.prompts for t in (first.task, part.task) if not isinstance(t, SaeTask)]
        if levels == base and part.task.unit == first.task.unit == "prompt" and both[1:]:
            prompts.refuse_shuffled(*both)
        if part.task.unit != first.task.unit or levels == base or levels.isdisjoint(base):
            continue
        unit = first.task.unit
        raise ExperimentError(
            f"{first.label} is measured on {len(base)} {plural(unit, len(base))} and {part.label} "
            f"on {len(levels)}, of which {len(base & levels)} are the same: arms are compared one "
            "by one where all are the same, and as two groups where none is; write a claim of each,"
            " or name the prompts that both are measured on, of a probe under test"
        )


def of_weights_alone(study: ModelStudy, main: str, read: Condition) -> bool:
    """Whether all reads of a claim depend on the weights alone, so that every prompt and seed gives
    the same number."""
    parts = [study.by_label.get(c.arm or main) for c in read.columns]
    fixed = {r.name for r in study.text.study.read if reads.is_fixed(r)}
    return {c.name for c in read.columns} <= fixed and not any(p and p.task.drawn for p in parts)


def refuse_one_number(study: ModelStudy, main: str, read: Condition) -> None:
    """Refuse a claim about a single number of the weights, for which prompts are no units. Raises:
    ExperimentError."""
    if of_weights_alone(study, main, read) and not isinstance(read.parsed.statistic, OfMeans):
        name = read.columns[0].name
        raise ExperimentError(
            f"{name} is one number of the weights, whatever the prompts, so it has no interval and "
            "no verdict; write an [[estimate]], claim it of all heads, as in "
            f"share(mean(main.{name}) > 0.5, over=head) > 0.2, or read ov_rank or ov_cosine of a "
            "token of each prompt"
        )


def paired_by_place(study: ModelStudy, main: str, read: Condition) -> tuple[str, str] | None:
    """Name two tables of prompts that are compared row by row although no column pairs their rows;
    None otherwise. Raises: ExperimentError if more than a difference of means depends on the
    pairing."""
    arms = dict.fromkeys(c.arm or main for c in read.parsed.columns)
    tasks = {a: study.by_label[a].task for a in arms if a in study.by_label}
    sets = {a: t.prompts for a, t in tasks.items() if not isinstance(t, SaeTask)}
    first = next(iter(sets.values()), None)
    if first is None or any(p.unit != "prompt" for p in sets.values()):
        return None
    other = next((p for p in sets.values() if not prompts.go_together(first, p)), None)
    if other is None or unit_apart(study, [*arms]):
        return None
    statistic = read.parsed.statistic
    parts = statistic.parts if isinstance(statistic, OfMeans) else ()
    medians = [part.text for part in parts if part.how == MIDDLE]
    for term, walk in read.parsed.terms.items():
        used: list[Column] = []
        walk(lambda c, used=used: used.append(c) or np.float64(1.0))
        several = {sets[c.arm or main].digest for c in used if (c.arm or main) in sets}
        mean = term not in medians and is_linear(walk, [*dict.fromkeys(used)])
        if len(several) > 1 and not mean:
            names = f"{first.table.name} and {other.table.name}"
            raise ExperimentError(
                f"{read.parsed.text} is of pairs of rows, and no column says which rows of {names} "
                "belong together; give both a column of the same values in the same rows, such as "
                "id, or compare a mean of each"
            )
    return first.table.name, other.table.name


def read_besides(value: Value, others: Mapping[str, Mapping[str, str]]) -> Value:
    """Read the other arms of a comparison as their twins, while a control is computed."""

    def besides(arm: xr.Dataset, arms: Mapping[str, xr.Dataset]) -> Any:
        names = others.get(str(getattr(arms, "under", "")), {})
        with_partners = LazyArms({*arms, *names}, lambda name: arms[names.get(name, name)])
        return value(arm, with_partners if names else arms)

    return besides


def unlike(
    study: ModelStudy, main: str, read: Condition, controls: Sequence[str]
) -> tuple[str, ...]:
    """Give the arms that are not other explanations of a claim: arms whose numbers mean something
    else, arms that change only one side of a comparison, controls of reads that the claim does not
    use, arms on other prompts and, for a claim about a control, all arms that it does not name."""
    compared, others = rivals(study, main, read, controls), read.parsed.arms
    if study.by_label[main].of and study.frozen is None:
        return tuple(label for label in study.by_label if label not in (main, *controls))
    if compared:
        others = (*others, *study.by_label)
    labels = unlike_kinds(study, main, others)
    if study.frozen is None:
        if study.by_label[main].task.model.weights:  # controls of another model
            labels += tuple(p.label for p in study.parts if p.of not in ("", main))
        # controls of reads that the claim does not use
        bear = bearing(study, main, read, study.controls_of(main, [c.name for c in read.columns]))
        idle = (p for p in study.parts if p.of == main and p not in bear)
        labels += tuple(p.label for p in idle if p.label not in (*study.at_chance, *controls))
        # arms on other prompts
        sets = {p.label: p.task.sets for p in study.parts}
        digests = {x.digest for arm in (main, *read.parsed.arms) for x in sets.get(arm, ())[:1]}
        labels += tuple(
            label
            for label, used in sets.items()
            if used and label not in (main, *controls) and digests.isdisjoint({used[0].digest})
        )
    return labels + tuple(p.label for p in study.parts if p.of in compared)


def units(study: ModelStudy, arms: Sequence[str]) -> tuple[str, ...]:
    """The units over which a claim about these arms generalises: prompts, or the column that groups
    them, and seeds if one of the arms draws something."""
    about = [study.by_label[a] for a in arms if a in study.by_label]
    unit = about[0].task.unit if about else "prompt"
    return ("seed", unit) if any(p.task.drawn for p in about) else (unit,)


def groups(study: ModelStudy, arm: str, read: Condition) -> dict[str, dict[str, dict[str, str]]]:
    """By unit: the slots whose combinations make up the prompts, with the value of each prompt, the
    text of each unit if several say the same, and the pair of each unit if what is read mirrors
    another one. Empty for frozen studies, which are judged as they were. Raises: ExperimentError if
    most units are copies."""
    task = study.by_label[arm].task if arm in study.by_label else None
    if task is None or isinstance(task, SaeTask) or study.frozen is not None:
        return {}
    columns = {
        name: {str(i): value for i, value in zip(task.rows, values, strict=True)}
        for name, values in prompts.shared(task.prompts, task.rows).items()
    }
    sampled = any(read.temperature for read in study.text.study.read)
    texts = {} if sampled else prompts.spellings(task.prompts, task.rows)
    if 2 * (copies := len(texts) - len({*texts.values()})) > len(texts):
        raise ExperimentError(
            f"of the {len(texts)} {plural(task.prompts.unit, 2)} of {task.prompts.table.name}, "
            f"{copies} repeat the text and the answers of another, perhaps in another spelling: "
            "copies do not count as units; remove them"
        )
    pairs = prompts.mirrored(task.prompts, task.rows) if _reads_pairs(study, arm, read) else {}
    columns |= {"text": texts} if texts else {}
    columns |= {"pair": pairs} if pairs else {}
    return {task.prompts.unit: columns} if columns else {}


def _reads_pairs(study: ModelStudy, arm: str, read: Condition) -> bool:
    """Whether a statement about an arm reads numbers of both texts of a pair."""
    for column in read.columns:
        task = getattr(study.by_label.get(column.arm or arm), "task", None)
        if isinstance(task, Task):
            reads = [r for r in task.reads if r.name == column.name]
            changes = interventions.at_points(task.intervention) if task.intervention else ()
            similar = any(r.similarity and not (r.other_text or r.other_site) for r in reads)
            if similar or any(t.patch == "corrupted" for t in (*changes, *reads)):
                return True
    return False


def proposed(study: ModelStudy, arm: str, measure: str, runs: int) -> dict[str, Any]:
    """The defaults of a claim about one measure of a probe: the value at chance and, with enough
    units, these units alone, since the overlapping draws of seeds need not be generalised over."""
    task = study.by_label[arm].task if arm in study.by_label else None
    if not isinstance(task, ProbeTask):
        return {}
    each = 1 / max(1, len(task.classes))
    nothing = {"balanced_accuracy": each, "f1": each, "auroc": 0.5, "accuracy": task.chance}
    if measure not in nothing:
        return {}
    unit = task.prompts.unit
    proposed: dict[str, Any] = {"empty": nothing[measure]}
    if measure != "accuracy":
        return proposed
    if not task.table.folds and len(set(task.prompts.units(task.rows))) >= FEWEST_ALONE:
        fixed = f"{runs} draws of what is learned from"
        proposed |= {"units": (unit,), "fixed": (fixed,)}
    return proposed


def ends_of_shares(study: ModelStudy, main: str, read: Condition) -> tuple[float, float] | None:
    """The smallest and the largest mean of a claim about shares of probes, although a single unit
    may be outside; None for any other claim."""

    def ends(c: Column) -> tuple[float | None, float | None]:
        part = study.by_label.get(c.arm or main)
        is_share = part is not None and isinstance(part.task, ProbeTask) and c.name in SHARES
        return (0.0, 1.0) if is_share else (None, None)

    bounds = natural(read, ends)
    return bounds if bounds is not None and np.isfinite(bounds).all() else None


def unlike_kinds(study: ModelStudy, arm: str, read: Sequence[str] = ()) -> tuple[str, ...]:
    """The arms whose numbers mean something else than those of this arm: of a difference, arms of
    one model or of another kind of difference; of a changed model, arms of an unchanged one; and
    vice versa.

    The same unchanged model remains unless the claim reads it already: if it satisfies the claim,
    the change was not needed."""

    def kind(part: Part) -> tuple[bool, ...]:
        return part.task.less is None, part.task.than is None, part.task.intervention is None

    if (about := study.by_label.get(arm)) is None:
        return ()
    untouched = {
        p.label
        for p in study.parts
        if about.task.intervention and p.task.model == about.task.model
        if p.control is None and all(kind(p))
    }
    unlike = (p.label for p in study.parts if kind(p) != kind(about))
    return tuple(label for label in unlike if label in read or label not in untouched)


def compared(study: ModelStudy, arm: str) -> tuple[str, ...]:
    """The arms of the two models whose difference an arm is; none for any other arm."""
    about = study.by_label[arm].task if arm in study.by_label else None
    if not isinstance(about, Task) or about.less is None:
        return ()
    return tuple(
        p.label
        for model in (about.less, about.model)
        for p in study.parts
        if p.control is None and not p.task.is_difference and p.task.model == model
        if isinstance(p.task, Task) and p.task.intervention == about.intervention
    )


def cut_alike(study: ModelStudy, model_tables: Sequence[Model]) -> bool:
    """Whether models tokenise alike, as far as their folders are available."""
    names = [study.folder_of(models.states(m)[0]) for m in model_tables]
    return all(models.same_tokens(names[0], name) for name in names[1:])


def have_equal_twins(study: ModelStudy, arm: str, other: str) -> bool:
    """Whether two arms are of two models of one shape, whose untrained twins have the same weights:
    their difference would always be 0."""
    if not {arm, other} <= {*study.by_label}:
        return False
    first, second = (study.by_label[name].task for name in (arm, other))
    if isinstance(first, SaeTask) or first.model == second.model:
        return False
    if study.frozen is None and first.model.weights != second.model.weights:
        return False
    names = [study.folder_of(models.states(m)[0]) for m in (first.model, second.model)]
    return models.same_shape(*names)


def have_same_weights(study: ModelStudy, first: Model, second: Model) -> bool:
    """Whether two models that the study does not train differ at most in what they are called, and
    in files next to their weights."""
    bare = partial(msgspec.structs.replace, name="", label="", controls=None)
    names = [first.name, second.name]
    if not all(names) or bare(first) != bare(second) or {*names} & {*study.trains}:
        return False
    try:
        folders = [study.found(name) for name in names]
    except AssayError:  # reported where the model is opened
        return False
    sizes = [sorted(path.stat().st_size for path in folder.weights) for folder in folders]
    return sizes[0] == sizes[1] and folders[0].weights_content == folders[1].weights_content


def are_one_draw(study: ModelStudy, control: str, other: str) -> bool:
    """Whether two controls draw the same thing, as controls of two directions or latents that are
    used alike do. Their difference would be near 0 whatever the model does."""
    first, second = (study.by_label[name] for name in (control, other))
    tables = [p.task.intervention for p in (first, second)]
    is_drawn = first.control in (near.RANDOM, near.FEATURE, near.TOKENS)
    if first.task.model != second.task.model or not is_drawn:
        return False
    same = {"name": "", "clamp": None, **dict.fromkeys(interventions.ALONG, "")}
    bare = [t and msgspec.structs.replace(t, **same) for t in tables]
    names = [t and (interventions.named_direction(t), t.clamp) for t in tables]
    return bare[0] == bare[1] and names[0] != names[1]


def are_one_input(study: ModelStudy, control: str, other: str) -> bool:
    """Whether two controls of probes learn the same labels from the same tokens, whatever the sites
    of their probes. They would be equally accurate, so their difference would be 0 by
    construction."""
    first, second = (study.by_label[name].task for name in (control, other))
    assert isinstance(first, ProbeTask) and isinstance(second, ProbeTask)
    bare = partial(msgspec.structs.replace, name="", site="", test_site="", **WHOLE)
    reads_tokens = first.control in (near.BAG.name, near.EMBEDDING.name, near.PLACES.name)
    same = first.sets == second.sets and first.model.name == second.model.name
    return reads_tokens and same and bare(first.table) == bare(second.table)


def worked_out(walk: Callable[..., Any], names: Callable[[Column], float]) -> float:
    """The value of a condition for these numbers; NaN if undefined, such as 0/0."""
    with np.errstate(all="ignore"):
        return float(walk(lambda column: np.float64(names(column))))


def is_of_nothing(
    study: ModelStudy,
    part: Part,
    read: Condition,
    *,
    of_trained: bool = False,
    or_nearly: bool = False,
) -> bool:
    """Whether a claim about a change or a difference is also true if nothing changes, as far as is
    known: on other prompts a model has other numbers. `of_trained` includes claims about a model
    that the study trains; `or_nearly` includes a value on the edge."""
    edge = 1e-9 if or_nearly else 0.0
    x = unchanged_number(study, part, read, of_trained=of_trained)
    return read.parsed.low - edge < x < read.parsed.high + edge


def no_effect(study: ModelStudy, part: Part, read: Condition) -> float | None:
    """The number of a claim that a change has hardly an effect where it has none at all, whatever
    the model's numbers; None for any other claim. What is kept or put back has to be as good, which
    something else in its place may be as well."""
    others = {*read.parsed.arms} - {part.label}
    table = part.task.intervention
    if study.frozen is not None or not is_change(study, part.label, others):
        return None
    kept = table and (table.keep or table.reconstruct or table.all_but)
    if kept or not is_of_nothing(study, part, read):
        return None
    x, of_others = (unchanged_number(study, part, read, usual) for usual in (1.0, 2.0))
    return x if math.isclose(x, of_others, abs_tol=1e-9) else None


def unchanged_model(study: ModelStudy, task: Any) -> str:
    """The arm of the same model and prompts without a change; "" where there is none."""
    bases = (
        p.label
        for p in study.parts
        if p.task.model == task.model and p.control is None and p.task.intervention is None
        if not p.task.is_difference and p.task.sets[:1] == task.sets[:1]
    )
    return next(bases, "")


def unchanged_number(
    study: ModelStudy, part: Part, read: Condition, usual: float = 1.0, *, of_trained: bool = False
) -> float:
    """The number of a condition if nothing changes, where reads have this number without a change;
    NaN if it is not known."""
    task, walk, columns = part.task, read.parsed.walk, read.parsed.columns
    if not isinstance(task, Task) or read.equal:
        return math.nan
    arms = (c.arm or part.label for c in columns)
    others = [study.by_label[arm].task for arm in arms if arm in study.by_label]
    texts = {t.prompts.digest for t in (task, *others) if isinstance(t, Task)}
    if study.frozen is None and len(texts) > 1:
        return math.nan
    comparable = [r for r in task.reads if not (reads.uses_lens(r) or task.pairs(r))]
    unchanged = {r.name: reads.same(r) for r in comparable}
    compares = {name: number for name, number in unchanged.items() if number is not None}
    if not task.is_difference:
        if task.intervention is None and not of_trained and not task.model.weights:
            return math.nan
        swept = task.intervention.sweep if task.intervention else task.model.sweep
        levels = len({c.name for c in columns}) == 1 < len(columns) and all(
            dim in swept for c in columns for dim, _ in c.levels
        )
        alike = levels or len({c.arm or part.label for c in columns}) > 1
        if not alike and any(c.name not in compares for c in columns):
            return math.nan
    usual = 0.0 if task.is_difference else usual
    return worked_out(walk, lambda column: compares.get(column.name, usual))
