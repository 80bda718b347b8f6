"""Notes: what the author of a study of models should know before it runs. `of_study` collects them:
conditions that are too easy to satisfy (`_of_claim` and below), units that are fewer than they look
(`_alike`), comparisons of unlike things, and where directions are learned and used (`_places`)."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from assay.ask import comparing, objections, selection
from assay.ask.measure import (
    choosing,
    controls,
    directions,
    interventions,
    models,
    probe_tasks,
    prompts,
    reads,
)
from assay.ask.measure.interventions import sites_of
from assay.ask.measure.next_tokens import whole
from assay.ask.measure.probe_tasks import ProbeTask, giving
from assay.ask.measure.prompts import SLOT, PromptRow, PromptSet
from assay.ask.measure.sae_arms import SaeTask
from assay.ask.measure.tasks import Task, stated
from assay.ask.measure.tokenized import Prompt, prompt, texts_of
from assay.ask.model_study import ModelStudy
from assay.ask.near import DAMAGE
from assay.ask.part import LEFT_OUT, Part
from assay.ask.tables import Answer, Diff, Direction, Intervention, Probe, Read
from assay.ask.wording import Condition
from assay.core.bands import MIDDLE, OfMeans
from assay.core.columns import Column
from assay.core.errors import AssayError
from assay.core.expression import HOW
from assay.core.intervals import FEWEST
from assay.core.nouns import counted, plural
from assay.core.scopes import listed
from assay.subjects import fetch

LEAST = 1e-300
"""A threshold below this counts as 0."""
UNSEEN = "the claim is also true if nothing happens: unless a control has an effect"
"""How a note begins on what a claim of no effect needs."""
HARDLY = "make the interval wide"
"""Part of a note on too few units."""
SOME = 20
"""Number of other rows' answers with which one is compared."""
WITH_FOILS = (*reads.PAIRS, "accuracy")
"""Kinds of reads whose first answer is the right one, and the others are not."""


@dataclass(frozen=True)
class Asking:
    """The subject of a note: a claim or an estimate with what it reads."""

    where: str
    """Such as "claim 1"."""
    main: str
    """The arm that it is about."""
    read: Condition
    units: tuple[str, ...]
    violations: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    """Controls that the author names."""
    over: tuple[str, ...] = ()
    """For an estimate: the dimensions over which it is a curve."""
    idle: tuple[str, ...] = ()
    """Controls that say nothing about this claim, or about others on the same arm."""

    @property
    def compared(self) -> bool:
        """Whether it has a threshold."""
        return math.isfinite(self.read.parsed.low) or math.isfinite(self.read.parsed.high)


def of_study(questions: ModelStudy, askings: Sequence[Asking]) -> list[str]:
    """Give all notes of a study, each once."""
    notes: list[str] = []
    for asking in askings:
        notes += [*_tokens(questions, asking), *_same_models(questions, asking)]
        notes += [f"{asking.where}: {words}" for words in asking.read.parsed.meant]
        if part := questions.by_label.get(asking.main):
            of_claim = list[str]()
            if asking.compared:
                of_claim += [note for _, note in if_true(questions, part, asking)]
                of_claim += _of_claim(questions, part, asking)
                of_claim += [*_objections(questions, part, asking), *_unlike_texts(part, asking)]
            of_claim += [*_halved(questions, asking), *_by_place(questions, part, asking)]
            notes += [f"{asking.where}: {note}" for note in of_claim]
            notes += _alike(questions, part, asking)
    named_arms = {c.arm or a.main for a in askings for c in a.read.columns}
    blind = sorted(x for x in questions.at_chance if x.rpartition("/")[0] in named_arms)
    if blind:
        notes.append(
            f"{', '.join(blind)}: prompts of every label have the same tokens equally "
            f"often, so {'these controls are' if blind[1:] else 'this control is'} at "
            "chance whatever the model does, and not counted as beaten"
        )
    parts = [p for p in questions.parts if p.label in named_arms and not p.of]
    notes += [*_absent(parts), *_alike_changes(parts)]
    for part in parts:
        notes += [*_places(part.task, part.label), *_value_vectors(part), *_learned_again(part)]
    given = {p.label: giving(p.task) for p in parts if isinstance(p.task, ProbeTask)}
    for words in filter(None, dict.fromkeys(given.values())):
        notes.append(f"{', '.join(x for x in given if given[x] == words)}: {words}")
    return list(dict.fromkeys(notes))


def _halved(questions: ModelStudy, asking: Asking) -> Iterator[str]:
    """Note that prompts are lost to a claim because parts are chosen on them for another one."""
    arms = {asking.main, *(c.arm for c in asking.read.columns)}
    tasks = [p.task for p in questions.parts if p.label in arms and isinstance(p.task, Task)]
    tops = [t.intervention.top for t in tasks if t.intervention and t.intervention.top]
    learns = [*tops, *(t for t in tasks if replace(t, chooses=False).learns_here)]
    if tasks and not learns:
        measured, rows = len(tasks[0].rows), len(tasks[0].prompts.rows)
        if measured < rows:
            yield (
                f"judged on {measured} of {rows} prompts, because parts are chosen by top on the "
                "others for another arm; a study of its own, or prompts of their own under top, "
                "would leave it all of them"
            )


def _absent(parts: Sequence[Part]) -> Iterator[str]:
    """Name the models that are not fetched, so that parts of the study are unchecked."""
    names = {name for p in parts for m in p.task.models for name in models.states(m)}
    for name in sorted(names & {*fetch.MODELS}):
        if not fetch.MODELS[name].present():
            yield (
                f"{fetch.MODELS[name].absent}. Until then, what depends on its tokens, its sites "
                "and the number of its blocks is not checked, and the cost is unknown"
            )


def _alike_changes(parts: Sequence[Part]) -> Iterator[str]:
    """Name the arms that make the identical change, by the fields of their tables."""
    arms: dict[str, list[str]] = {}
    for part in parts:
        task = part.task
        if isinstance(task, Task) and task.intervention and not task.is_difference:
            table = msgspec.structs.replace(task.intervention, name="", damage="")
            facts = [*map(stated, (table, task.model)), task.prompts.digest]
            arms.setdefault(json.dumps(facts, sort_keys=True), []).append(part.label)
    yield from (f"{listed(x)} make the same change" for x in arms.values() if x[1:])


def with_idle(questions: ModelStudy, askings: Sequence[Asking]) -> list[Asking]:
    """The askings with the controls that say nothing about one on the same arm, since controls are
    written once for all of them."""
    idle: dict[str, list[str]] = {}
    for asking in askings:
        if asking.compared and (part := questions.by_label.get(asking.main)):
            useless = _swept_too(questions, part, asking) + _of_any_text(questions, part, asking)
            idle.setdefault(asking.main, []).extend(useless)
    return [replace(a, idle=tuple(dict.fromkeys(idle.get(a.main, ())))) for a in askings]


def if_true(questions: ModelStudy, part: Part, asking: Asking) -> Iterator[tuple[str, str]]:
    """Give the notes on other reasons for which a claim may be true, which do not bear on one that
    fails; each with the control that shows whether it is so, "" where none does."""
    for note in (*_cannot(part, asking), *_fewer_tokens(questions, part, asking)):
        yield f"{part.label}/untrained", note
    for note in _any_patch(questions, part, asking):
        yield f"{part.label}/unrelated", note
    by_name = [*_at_nothing(questions, part, asking), *_same_places(questions, part, asking)]
    for note in (*by_name, *_general(questions, part, asking)):
        yield note.partition(" ")[0], note
    others = [*_nothing(questions, part, asking), *_any_size(asking), *_lowered(asking)]
    others += [
        *_habit(part, asking),
        *_single_logit(questions, part, asking),
        *_copied(part, asking),
        *_by_definition(part, asking),
    ]
    others += selection.note(part, asking.read) if questions.selects else ()
    tables = questions.text.study
    for note in (*others, *of_none(part, tables.diff), *_of_some(part, tables.direction)):
        yield "", note


def _objections(questions: ModelStudy, part: Part, asking: Asking) -> Iterator[str]:
    """Note that a change cannot reach what is read, or that it is one of the text or of the answer,
    which does not explain why it has no effect."""
    columns = asking.read.columns
    doubts = list[str]()
    of_none = comparing.is_of_nothing(questions, part, asking.read)
    with contextlib.suppress(AssayError):  # the model is not here, and its depth unknown
        layers = questions.shaped_as(part.task.model).layers
        yield from objections.unreached(part, columns, layers)
        doubts = [*objections.of_output(part, columns, layers)] if not of_none else []
    if not of_none:
        yield from doubts or objections.of_input(part, columns)


def _of_claim(questions: ModelStudy, part: Part, asking: Asking) -> Iterator[str]:
    yield from _each_by_itself(asking)
    yield from _cancelling(questions, asking)
    if comparing.of_weights_alone(questions, part.label, asking.read):
        yield (
            "its numbers are of the weights alone, and the same for every prompt: so the interval "
            "is a point, and the verdict is about exactly these heads"
        )


# conditions that much else satisfies --------------------------------------------------------------


def _nothing(questions: ModelStudy, part: Part, asking: Asking) -> Iterator[str]:
    task, parsed = part.task, asking.read.parsed
    trained = isinstance(task, Task) and task.model.name in questions.trains
    probes = [questions.by_label.get(arm) for arm in parsed.arms]
    if isinstance(task, ProbeTask) and not asking.violations:
        rivals = [p for p in probes if p not in (part, None) and p.of != part.label]
        learns_nothing = comparing.worked_out(
            parsed.walk, lambda c: probe_tasks.nothing(c.name, 0.75 if rivals else 0.5)
        )
        true, no_controls = parsed.low < learns_nothing < parsed.high, task.table.controls == ()
        if true and rivals:
            yield (
                "the claim is also true if no probe learns anything: also claim that the "
                "first of them is right, as in p.accuracy > 0.7"
            )
        elif (
            true  # of a probe that reads under a change, the controls are other changes
            and not task.change
            and math.isinf(parsed.high - parsed.low)
            and not (no_controls and asking.controls)
        ):
            without = ", such as the same one without test" if task.test else ""
            label = part.label
            more = _more_elsewhere(part, asking) or f"q.accuracy - {label}.accuracy > 0.1"
            yield (
                "a probe at chance satisfies it too, as its controls are, so that it cannot hold: "
                f"write what the probe can read, as in {label}.accuracy > 0.7, or less than "
                f"another probe reads, as in {more}; or write controls = [] under "
                f'{task.table.name}, and under the claim control = ["own"], where own is a '
                f"probe that reads there what is known to be there, such as the last token, "
                f"or the same at a site where it can be read{without}"
            )
    done_by_none = (
        comparing.is_of_nothing(questions, part, asking.read, of_trained=trained) and not part.of
    )
    if table := getattr(task, "intervention", None):  # one may claim little of what is kept
        done_by_none = done_by_none and not (table.keep or table.reconstruct)
    none = comparing.no_effect(questions, part, asking.read)
    if done_by_none and none is None and not parsed.low < 0 < parsed.high:
        read = next((c.name for c in parsed.columns if c.arm == part.label), "READ")
        yield (
            "the claim is also true if nothing happens: write it as a difference with a size, as "
            f"in abs({part.label}.{read} - main.{read}) < 0.4, so that violations can stand in for "
            "its controls"
        )
    elif not asking.violations and not asking.controls and done_by_none:
        yield (
            f"{UNSEEN}, name under violations an arm whose effect is larger than the claim allows, "
            f"but less than twice as large{_dose(part, asking, none or 0.0)}"
        )


def _dose(part: Part, asking: Asking, none: float) -> str:
    """What to write for an arm with a small effect, under a claim that a change has none, and how
    to find out how small it is, given the number without one; "" where the arm is another model or
    the claim about a curve."""
    task, parsed = part.task, asking.read.parsed
    if not isinstance(task, Task) or task.intervention is None or parsed.together:
        return ""
    if any(c.over for c in parsed.columns):
        return ""
    first = interventions.at_first(task.intervention)
    places = (*sites_of(first), *(f"blocks.{head}" for head in first.heads), "blocks.0")
    site = re.findall(r"blocks\.\d+", " ".join(places))[0] + ".hook_resid_post"
    place = ", position = -1" * all(r.position == -1 and not r.loss for r in _asked(task, asking))
    end = parsed.high if math.isfinite(parsed.high) else parsed.low
    own = rf"(?<![\w./]){re.escape(part.label)}(\.\w+)(?:\[[^\]]*\])?"
    value = re.sub(own, r"small\1", parsed.quantity)
    return (
        f', such as [[intervene]] name = "small", site = "{site}"{place}, noise = 0.3, with the '
        f"noise at which {value} is between {end:g} and {2 * end - none:g}, its interval beyond "
        f"{end:g}; to find it, write sweep = {{ noise = [0.1, 0.2, 0.5, 1, 2, 5] }} instead of "
        f'noise, and [[estimate]] value = "{value}", over = "noise"'
    )


def _more_elsewhere(part: Part, asking: Asking) -> str:
    """A condition that a probe reads more at another level of its sweep; "" if there is none."""
    column = asking.read.columns[0]
    sweep = part.task.table.sweep if isinstance(part.task, ProbeTask) else {}
    for dim, level in column.levels:
        if others := [x for x in sweep.get(dim, ()) if str(x) != str(level)]:
            other = replace(column, levels=tuple({**dict(column.levels), dim: others[-1]}.items()))
            sides = (f"{part.label}.{replace(c, arm=None)}" for c in (other, column))
            return f"{' - '.join(sides)} > 0.1"
    return ""


WORST = {"accuracy": 0.0, "generates": 0.0, "begins": 0.0, "rank": 1e4, "loss": 20.0}
"""Typical values of reads for a model that has learned nothing."""


def _cannot(part: Part, asking: Asking) -> Iterator[str]:
    """Note that an unchanged model is claimed to do badly, which its untrained control does as
    well."""
    task, walk, columns = part.task, asking.read.parsed.walk, asking.read.columns
    if not isinstance(task, Task) or task.intervention or task.is_difference or task.model.like:
        return
    kinds = [reads.kind_of(reads.by_name(task.reads, c.name)) for c in columns]
    if len(columns) != 1 or kinds[0] not in WORST:
        return
    worst = comparing.worked_out(walk, lambda c: WORST[kinds[0]])
    if asking.read.parsed.low < worst < asking.read.parsed.high:
        sides = [f"{asking.main}.easy", str(columns[0])]
        less = " - ".join(sides[::-1] if WORST[kinds[0]] else sides)
        how = f"compare it with a read that the model does well, as in {less} > 0.2"
        how = _both_ends(task, columns[0]) or how
        yield f"a model that learned nothing satisfies it too, which makes it unspecific: {how}"


def _both_ends(task: Task, column: Column) -> str:
    """How to write that the first level with a property is late, but not never; "" otherwise."""
    sweep = reads.by_name(task.reads, column.name).sweep
    numbers = [x for d in column.over for x in sweep.get(d, ()) if isinstance(x, int | float)]
    if column.how != "first" or len(numbers) < 2:
        return ""
    never = f"{2 * numbers[-1] - numbers[-2]:g}"
    ends = f"{numbers[len(numbers) // 2]:g} < median({column}) < {never}"
    return f"write both ends, since {never} means that it never is so, as in {ends}"


def falls_only(questions: ModelStudy, main: str, read: Condition) -> str:
    """Name the read of which a claim says only that a patch from the pair lowers it; "" for any
    other claim."""
    part, parsed = questions.by_label.get(main), read.parsed
    table = part.task.intervention if part else None
    walk, columns = parsed.walk, parsed.columns
    if table is None or len(columns) != 2 or columns[0].name != columns[1].name:
        return ""
    if all(t.patch != "corrupted" for t in interventions.at_points(table)):
        return ""
    if (columns[0].arm == main) == (columns[1].arm == main):
        return ""
    patched, other = sorted(columns, key=lambda c: c.arm != main)
    low, alike, high = (
        comparing.worked_out(walk, {patched: x, other: 1.0}.__getitem__) for x in (0.0, 1.0, 2.0)
    )
    below = math.isfinite(parsed.high) and not math.isfinite(parsed.low) and low < alike < high
    above = math.isfinite(parsed.low) and not math.isfinite(parsed.high) and low > alike > high
    return patched.name if alike == 0 and (below or above) else ""


def follows(questions: ModelStudy, main: str, name: str) -> str:
    """What a claim about a patch from the pair should say instead of "it falls"."""
    read = reads.by_name(questions.text.study.read, name)
    pair = any(isinstance(getattr(read, k), tuple) for k in reads.PAIRS)
    where = "" if pair else ", where R is a read [right, the pair's]"
    return f"to claim that the answer follows, write '{main}.{name if pair else 'R'} < -X'{where}"


def _any_patch(questions: ModelStudy, part: Part, asking: Asking) -> Iterator[str]:
    name = falls_only(questions, part.label, asking.read)
    if name and any(p.label == f"{part.label}/unrelated" for p in questions.parts):
        yield (
            f"any other prompt's activations may make '{name}' fall; "
            f"{follows(questions, part.label, name)}"
        )


def _any_size(asking: Asking) -> Iterator[str]:
    parsed = asking.read.parsed
    if re.match(r"\s*abs\s*\(", parsed.text.lstrip("0 <=")) and 0 <= parsed.low < LEAST:
        yield f"any change at all satisfies {parsed.text}: name a size"


def _each_by_itself(asking: Asking) -> Iterator[str]:
    """Note that levels are chosen unit by unit, although a curve of means may be intended."""
    parsed = asking.read.parsed
    if re.search(r"\bshare\((?!.*\bover=.*\)$)", parsed.text):
        return  # a share counts units
    parts = parsed.statistic.parts if isinstance(parsed.statistic, OfMeans) else ()
    if any(part.how == MIDDLE for part in parts):
        return
    ways = [t.how for t in parsed.together if not t.of_means]
    ways += [c.how for c in parsed.columns if c.over]
    for way in (w for w in dict.fromkeys(ways) if w in HOW and w != "sum"):
        unit = plural(asking.units[0] if asking.units else "unit", 2)
        first = f"{parsed.columns[0].arm or asking.main}.{parsed.columns[0].name}"
        yield (
            f"{way}(…) is computed for each of the {unit} separately, and then averaged; if you "
            f"mean that of the mean over {unit}, write mean(…) inside: {way}(mean({first}) …)"
        )


def _at_nothing(questions: ModelStudy, part: Part, asking: Asking) -> Iterator[str]:
    """Note that a threshold equals the value of a control without a preference, which no number of
    units can separate from it."""
    task, parsed = part.task, asking.read.parsed
    signed = isinstance(task, Task) and all(
        task.range_of(c.name) == (None, None) for c in parsed.columns
    )
    every = comparing.bearing(questions, part.label, asking.read, questions.controls_of(part.label))
    controls = [p for p in every if p.task.model.like]
    if not signed or not controls or parsed.share:
        return
    edges = [e for e in (parsed.low, parsed.high) if math.isfinite(e)]
    value = comparing.worked_out(parsed.walk, lambda c: 0.0)
    if any(abs(edge - value) < LEAST for edge in edges):
        yield (
            f"{controls[0].label} has no preference, so its number is about {value:g}, which is "
            "the threshold: it is not beaten with any number of units; name a size, such as a "
            "tenth of what you expect"
        )


def _same_places(questions: ModelStudy, part: Part, asking: Asking) -> Iterator[str]:
    """Note that controls make the changes of a sweep over whose levels an extreme is taken."""
    table = part.task.intervention
    if not isinstance(table, Intervention) or not isinstance(part.task, Task):
        return
    idle = {f"{part.label}/{c.name}" for c in comparing.repeated(questions, part, asking.read)}
    for label in idle & {*questions.by_label}:
        yield (
            f"{label} makes nearly the same changes as the sweep, in another order, so their "
            f"extreme is the same{LEFT_OUT}"
        )
        return
    for name in _swept_too(questions, part, asking):
        yield (
            f"{part.label}/{name} changes other {'heads' if name == 'heads' else 'blocks'} at each "
            "level, most of which the sweep has as well, so it satisfies the claim whenever "
            f"this is true: write {_without(questions, table, *asking.idle)}"
        )


def _swept_too(questions: ModelStudy, part: Part, asking: Asking) -> list[str]:
    """The controls most of whose changes a sweep that a statement takes together has as well."""
    table, parsed = part.task.intervention, asking.read.parsed
    if not isinstance(table, Intervention):
        return []
    dims = {
        d for t in parsed.together if not comparing.in_order(questions, part, t) for d in t.over
    }
    dims |= {d for c in parsed.columns if c.how != "each" for d in c.over}
    places = [*table.heads, *sites_of(table), *map(str, table.block.layers if table.block else ())]
    dims -= {d for c in parsed.columns for d, _, _ in c.ranges}  # others are outside these
    swept = dims & {*SLOT.findall(" ".join(places))}
    same = comparing.swept_too(questions, part, asking.read, swept) if swept else ()
    names = (c.name for c in same if f"{part.label}/{c.name}" in questions.by_label)
    return [*dict.fromkeys(names)]


def _without(questions: ModelStudy, table: Intervention, *names: str) -> str:
    """What to write for an intervention to keep its usual controls except these."""
    usual = msgspec.structs.replace(table, controls=None)
    usual_controls = controls.of_intervention(usual, questions.text.study.direction)
    others = [c.name for c in usual_controls if c.name not in names]
    more = ' and under the claim control = ["…"], an arm for which it should fail'
    return f"controls = {json.dumps(others)} under {table.name}{'' if others else more}"


def _general(questions: ModelStudy, part: Part, asking: Asking) -> Iterator[str]:
    """Note that a change raises the loss on whole texts, as it does in its control."""
    table, names = part.task.intervention, _of_any_text(questions, part, asking)
    if table is None:
        return
    for name in names:
        yield (
            f"{part.label}/{name} is what the same change does to the loss on other text, of which "
            "a claim about text in general is true as well: if this is one, write "
            f"{_without(questions, table, *asking.idle)}"
        )


def _of_any_text(questions: ModelStudy, part: Part, asking: Asking) -> list[str]:
    """The control whose loss equals that of a change that is read as the loss on whole texts."""
    table, task, label = part.task.intervention, part.task, f"{part.label}/{DAMAGE.name}"
    if not isinstance(task, Task) or table is None or table.controls is not None:
        return []
    whole = all(r.loss and r.position == Read(name="").position for r in _asked(task, asking))
    meant = label in questions.by_label and not comparing.is_of_nothing(
        questions, part, asking.read
    )
    return [DAMAGE.name] if whole and meant else []


def _lowered(asking: Asking) -> Iterator[str]:
    """Note that a correlation is claimed to be low, which noise alone achieves."""
    parsed = asking.read.parsed
    if re.search(r"\bcorr\(", parsed.text) and math.isinf(parsed.low):
        yield (
            "noise alone lowers a correlation, so few or noisy numbers satisfy this claim; also "
            "claim one that has to be high, such as that of two halves of the prompts"
        )


def _habit(part: Part, asking: Asking) -> Iterator[str]:
    """Note that one answer is right after every prompt, where giving it speaks for the claim."""
    task, columns = part.task, asking.read.columns
    if not isinstance(task, Task) or task.intervention or task.is_difference or len(columns) != 1:
        return
    for read in _asked(task, asking):
        texts, one = controls.answers(read), not controls.varies(read, task.prompts)
        one &= reads.kind_of(read) in ("log_prob", "prob", "accuracy", "logit_lens")
        if one and len(texts) > 1 and _speaks_for(asking, read, 0, columns):
            yield (
                f"{texts[0]!r} is right after every prompt, so a habit of saying it is enough; "
                "add prompts for which it is wrong, and write the answers as columns"
            )


def _single_logit(questions: ModelStudy, part: Part, asking: Asking) -> Iterator[str]:
    """Note that under a change a number moves when all logits do, which changes no probability."""
    task, parsed = part.task, asking.read.parsed
    if not isinstance(task, Task):
        return
    asked = [r for r in _asked(task, asking) if reads.kind_of(r) == "logit"]
    alone = [r for r in asked if not isinstance(r.logit, tuple) or not r.logit[1:]]
    names = {r.name for r in alone}
    for arm in dict.fromkeys(c.arm or asking.main for c in parsed.columns):
        numbers = [
            {
                c: 1.0 + step * (c.name in names and (c.arm or asking.main) == arm)
                for c in parsed.columns
            }
            for step in (0.0, 0.5)
        ]
        still, moved = (comparing.worked_out(parsed.walk, x.__getitem__) for x in numbers)
        if abs(moved - still) > LEAST and comparing.is_change(questions, arm, ()):
            answers = controls.answers(alone[0])
            such = f", as in logit = [{json.dumps(answers[0])}, …]" if answers else ""
            yield (
                f"{alone[0].name} is a single logit, which also moves when all logits move "
                f"together and no probability changes: read log_prob, or the difference of two "
                f"logits{such}"
            )
            return


def _cancelling(questions: ModelStudy, asking: Asking) -> Iterator[str]:
    """Note that abs() is applied to the mean over the draws of a control."""
    for inside in re.findall(r"\babs\(((?:[^()]|\([^()]*\))*)\)", asking.read.parsed.text):
        for arm in dict.fromkeys(re.findall(r"""['"]([^'"]+)['"]\.""", inside)):
            part = questions.by_label.get(arm)
            if part is not None and part.control is not None and part.control.drawn:
                yield (
                    f"{arm} has a draw for each seed, and abs(…) is taken of the mean of all: "
                    "opposite effects of the draws cancel out in it, so that it is smaller than "
                    "that of most draws"
                )


def _fewer_tokens(questions: ModelStudy, part: Part, asking: Asking) -> Iterator[str]:
    """Note that of two answers the one that is claimed to lead has fewer tokens in most prompts,
    and so fewer log probabilities, which are all negative, to add."""
    task, columns = part.task, asking.read.columns
    if not isinstance(task, Task) or task.intervention or task.is_difference or len(columns) != 1:
        return
    for read in _asked(task, asking):
        answers = read.log_prob
        if not isinstance(answers, tuple) or not answers[1:]:
            continue
        counts = list[tuple[int, ...]]()
        with contextlib.suppress(AssayError):  # the model is not here, or reported where it is read
            folder = questions.found_of(part)
            rows = [prompt(folder, task.prompts.rows[i]) for i in task.rows]
            counts = [tuple(_fewest(p, x) for x in answers) for p in rows]
        for i, other in ((0, 1), (1, 0)):
            fewer = sum(x[i] < x[other] for x in counts)
            if 2 * fewer > len(counts) and _speaks_for(asking, read, i, columns):
                first, second = (next(iter(texts_of(answers[k]))) for k in (i, other))
                yield (
                    f"in {fewer} of {len(counts)} prompts, {first!r} has fewer tokens than "
                    f"{second!r}, and so fewer negative log probabilities that are added, which "
                    f"alone may give {read.name}; compare answers of equally many tokens"
                )


def _fewest(p: Prompt, answer: Answer) -> int:
    return min(len(p.behind(text).tokens) for text in texts_of(answer))


def _copied(part: Part, asking: Asking) -> Iterator[str]:
    """Note that most prompts, or most of the texts that a patch takes its activations from, contain
    an answer, and not the alternatives, where copying it speaks for the claim."""
    if not isinstance(part.task, Task):
        return
    prompts, columns = part.task.prompts, asking.read.columns
    rows = [prompts.rows[i] for i in part.task.rows]
    for read in _asked(part.task, asking):
        texts = controls.answers(read)
        own = [c for c in columns if c.name == read.name]
        for i, count in _containing(rows, [r.text for r in rows], texts):
            if 2 * count > len(rows) and _speaks_for(asking, read, i, own):
                yield f"{count} of {len(rows)} prompts {_contain(read, texts, i)}"
        patches = [t for t in objections.claimed(part, columns) if t.patch == "corrupted"]
        with contextlib.suppress(AssayError):  # reported where the pair is read
            sources = [objections.source_text(r, prompts, t) for t in patches[:1] for r in rows]
            changed = [c for c in own if c.arm in (None, part.label)]
            for i, count in _containing(rows, sources, texts) if sources else ():
                if 2 * count > len(rows) and _speaks_for(asking, read, i, changed):
                    yield f"{count} of {len(rows)} texts to patch from {_contain(read, texts, i)}"


def _contain(read: Read, texts: Sequence[str], i: int) -> str:
    others = ", and not the others" if texts[1:] else ""
    return f"contain the answer {texts[i]!r} of {read.name}{others}: copying it is enough"


def _containing(
    rows: Sequence[PromptRow], read_texts: Sequence[str], answers: Sequence[str]
) -> Iterator[tuple[int, int]]:
    """Count for each answer, by its number, the rows whose text contains it, and not the
    alternatives."""
    every = [[r.fill(text) for text in answers] for r in rows]
    if single := len(answers) == 1:  # the alternatives are the answers of other rows
        others = [*dict.fromkeys(words[0] for words in every)][:SOME]
        every = [[words[0], *(x for x in others if x != words[0])] for words in every]
    there = [
        [bool(whole(x).search(text)) for x in words]
        for text, words in zip(read_texts, every, strict=True)
    ]
    for i in range(len(answers)):
        yield i, sum(has[i] and not (any(has[1:]) if single else all(has)) for has in there)


def _speaks_for(asking: Asking, read: Read, i: int, columns: Iterable[Column]) -> bool:
    """Whether copying the i-th answer of a read, in one of these columns, moves the number towards
    the range, as far as is known."""
    kind, parsed = reads.kind_of(read), asking.read.parsed
    if kind in WITH_FOILS and isinstance(texts := getattr(read, kind), tuple):
        is_right = i < len(controls.answers(msgspec.structs.replace(read, **{kind: texts[:1]})))
    elif kind in reads.ANSWERS:
        is_right = kind != "rank"  # which is 1 at best
    else:
        return True
    step = 0.5 if is_right else -0.5
    usual = comparing.worked_out(parsed.walk, lambda _: 1.0)
    for column in columns:
        numbers = {c: 1.0 + step * (c == column) for c in parsed.columns}
        moved = comparing.worked_out(parsed.walk, numbers.__getitem__)
        is_away = moved > usual and math.isinf(parsed.low)
        if not is_away and not (moved < usual and math.isinf(parsed.high)):
            return True
    return False


def _by_definition(part: Part, asking: Asking) -> Iterator[str]:
    """Note that a change is along the unembedding of an answer, whose logit it changes in any
    model."""
    task, table = part.task, part.task.intervention
    if not isinstance(task, Task) or table is None:
        return
    first = interventions.at_first(table)
    direction = interventions.direction_of(first, task.directions)
    if direction is None:
        return
    tokens = direction.unembedding
    own_tokens = {tokens} if isinstance(tokens, str) else {*tokens}
    for read in _asked(task, asking):
        if both := sorted(own_tokens & {*controls.answers(read)} - {""}):
            yield (
                f"{direction.name} is the unembedding of {both[0]!r}, of which {read.name} is a "
                "function: near the end of the model, this changes it in any model, by "
                "definition; change an early block, or read other words of the same meaning"
            )


def _asked(task: Task, asking: Asking) -> list[Read]:
    return [r for r in task.reads if r.name in {c.name for c in asking.read.columns}]


def of_none(part: Part, diffs: Sequence[Diff] = ()) -> Iterator[str]:
    """Note that a change, a probe, a difference or a model has no near controls because its author
    removed them."""
    table = getattr(part.task, "table", None) or part.task.intervention
    table = next((d for d in diffs if part.label.rpartition("/")[2] == d.name), table)
    controls, name = (part.task.model if table is None else table).controls, part.label
    if controls == ():
        name = name if table is None else table.name
        yield f"controls = [] under {name}: this claim has no near control of its kind"


def _of_some(part: Part, tables: Sequence[Direction]) -> Iterator[str]:
    """Name the near controls of a change or of a probe that its author removed, where some are
    left."""
    table = getattr(part.task, "table", None) or part.task.intervention
    if not isinstance(table, Intervention | Probe) or not (names := table.controls):
        return
    free = msgspec.structs.replace(table, controls=None)
    if isinstance(free, Probe):
        usual = controls.of_probe(free, trained=not part.task.model.like)
    else:
        usual = controls.of_intervention(free, tables)
    if lacking := [c.name for c in usual if c.name not in names]:
        yield f"controls = {json.dumps(names)} under {table.name} leaves out {listed(lacking)}"


# units --------------------------------------------------------------------------------------------


def _alike(questions: ModelStudy, part: Part, asking: Asking) -> Iterator[str]:
    """Note that prompts share the values of slots, and the consequences."""
    task = part.task
    if isinstance(task, SaeTask):
        return
    table, count = task.prompts.table, len(task.rows)
    if len({task.prompts.rows[i].text for i in task.rows}) == 1 < count:
        yield (
            f"all {count} prompts are the same text, so that at most the answers differ between "
            "them; if its slots should be filled, write them as {country}"
        )
    if task.prompts.unit not in asking.units or questions.frozen is not None:
        return
    groups = comparing.groups(questions, part.label, asking.read).get(task.prompts.unit, {})
    if pairs := groups.get("pair"):
        yield (
            f"{len(pairs)} {plural(task.prompts.unit, 2)} are {len({*pairs.values()})} mirrored "
            "pairs: each has the text that the other is patched from or compared with, so the "
            "verdict has to be the same with each pair as one unit"
        )
    if texts := groups.get("text"):
        yield (
            f"the {len(texts)} {plural(task.prompts.unit, 2)} say only {len({*texts.values()})} "
            "different things, apart from their spelling, so the verdict has to be the same with "
            "each of these as one unit"
        )
    if task.prompts.unit != "prompt" or table.unit:
        return
    if column_values := prompts.shared(task.prompts, task.rows):
        each = " × ".join(f"{len({*x})} of {name}" for name, x in sorted(column_values.items()))
        made = "are combinations" if len(column_values) > 1 else "share values"
        same, how = "the verdict has to be the same", "with"
        if not questions.text.study.claim:  # an estimate has no verdict
            same, how = "the interval allows", "for"
        crossed = f", and {how} both crossed" if len(column_values) == 2 else ""
        crossed = f", and {how} any two crossed" if len(column_values) > 2 else crossed
        yield (
            f"the {count} {'prompts' if table.name == 'prompts' else f'prompts of {table.name}'} "
            f"{made} ({each}), so {same} {how} each of these as units{crossed}; "
            f"{_few_values(column_values)}"
        )


def _few_values(columns: Mapping[str, Sequence[str]]) -> str:
    """What to write for prompts that are combinations, and which slots have too few values."""
    counts = {name: len({*x}) for name, x in sorted(columns.items())}
    if few := {name: n for name, n in counts.items() if n < FEWEST}:
        each = " and ".join(f"the {n} values of {name}" for name, n in few.items())
        return (
            f"{each} {HARDLY}; more values would narrow it, more prompts with these values would "
            'not; with unit = "prompt" under [[prompts]], the verdict applies only to these values'
        )
    return (
        'write unit = the one that you generalise over, or unit = "prompt" if prompts are '
        "independent"
    )


# what is compared ---------------------------------------------------------------------------------


def _tokens(questions: ModelStudy, asking: Asking) -> Iterator[str]:
    """Note that a number per token is compared between models with different tokenisers."""
    by_read = {r.name: reads.kind_of(r) for r in questions.text.study.read}
    for name in dict.fromkeys(c.name for c in asking.read.columns):
        if by_read.get(name) not in ("loss", "entropy", "rank"):
            continue
        arms = dict.fromkeys(c.arm or asking.main for c in asking.read.columns if c.name == name)
        parts = [questions.by_label[arm] for arm in arms if arm in questions.by_label]
        every = dict.fromkeys(m for p in parts for m in p.task.models)
        if comparing.cut_alike(questions, [*every]):
            continue
        yield (
            f"{asking.where}: these models cut texts into different tokens, so {name} of "
            "a token refers to different things; log_prob of a text can be compared"
        )


def _same_models(questions: ModelStudy, asking: Asking) -> Iterator[str]:
    """Note that the two models that a statement compares have the same weights."""
    arms = dict.fromkeys(c.arm or asking.main for c in asking.read.columns)
    tasks = [p.task for a in arms if (p := questions.by_label.get(a)) and isinstance(p.task, Task)]
    pairs = [(t.less, t.model) for t in tasks if t.less is not None]
    pairs += [
        (a.model, b.model)
        for a, b in itertools.combinations(tasks, 2)
        if a.model != b.model and a.intervention == b.intervention and a.sets == b.sets
    ]
    for pair in pairs:
        if comparing.have_same_weights(questions, *pair):
            names = " and ".join(model.label or "main" for model in pair)
            yield (
                f"{asking.where}: {names} have the same weights, so they are equal in every unit "
                "unless their settings differ; compare models with different weights"
            )


def _unlike_texts(part: Part, asking: Asking) -> Iterator[str]:
    """Note that losses on texts of two labels are compared that have few words in common, and that
    no control of the author is named."""
    task, columns = part.task, asking.read.columns
    if not isinstance(task, Task) or task.intervention or task.is_difference or asking.controls:
        return
    label, is_own = task.prompts.table.levels, all(c.arm in (None, part.label) for c in columns)
    named = {str(level) for c in columns for dim, level in c.levels if dim == label}
    losses = [r.name for r in _asked(task, asking) if r.loss]
    if len(named) != 2 or not losses or not is_own:
        return
    by_unit: dict[str, dict[str, set[str]]] = {}
    for unit, i in zip(task.prompts.units(task.rows), task.rows, strict=True):
        row = task.prompts.rows[i]
        words = by_unit.setdefault(unit, {}).setdefault(row.columns[label], set())
        words.update(re.findall(r"\w+", row.text.lower()))
    pairs = [[words[name] for name in named] for words in by_unit.values()]
    few = sum(2 * len(a & b) < min(len(a), len(b)) for a, b in pairs)
    if 2 * few > len(pairs):
        unit = plural(task.prompts.unit, len(pairs))
        yield (
            f"in {few} of {len(pairs)} {unit}, the texts share fewer than half of their words: "
            f"that some are rarer alone may give the difference in {losses[0]}; write texts that "
            "differ in one word, and use each word with both labels"
        )


def _by_place(questions: ModelStudy, part: Part, asking: Asking) -> Iterator[str]:
    """Note that rows of two files are compared only by their position."""
    task, names = part.task, comparing.paired_by_place(questions, part.label, asking.read)
    than = task.than if isinstance(task, Task) and task.unit == "prompt" else None
    if isinstance(task, Task) and than and not prompts.go_together(than, task.prompts):
        names = than.table.name, task.prompts.table.name
    if names:
        yield (
            f"row 1 of {names[0]} is compared with row 1 of {names[1]}, and so on, though no "
            "column says that they belong together; a column of the same values in both would, "
            "such as id"
        )


# where --------------------------------------------------------------------------------------------


def _places(task: Task | ProbeTask | SaeTask, label: str) -> Iterator[str]:
    """Say where a direction is learned and where it is used."""
    table = task.intervention
    if table is None or not isinstance(task, Task):
        return
    swept = interventions.at_first(table)
    direction = interventions.direction_of(swept, task.directions)
    if direction is None or directions.way_of(direction) not in directions.LEARNED:
        return
    source = task.sources.get(direction.prompts, task.prompts)
    learned, acts = map(interventions.token_in_words, (direction.position, swept.position))
    place = ", ".join(sites_of(swept))
    several = directions.is_subspace(direction)
    acts += " but the first" if several and swept.position == "all" else ""
    there = f" of {place}" if place and place != direction.site else ""
    ways = {
        "add": "added",
        "erase": "erased",
        "along": "patched",
        "keep": "kept alone",
        "project_out": "taken out",
    }
    change = next(words for way, words in ways.items() if getattr(swept, way))
    source_place = direction.site or f"heads {', '.join(direction.heads)}"
    if direction.top:
        source_place = interventions.top_in_words(direction.top, "", direction.position)
    more = ""
    if direction.prompts and direction.top and not choosing.prompts_of(direction.top, task.reads):
        source_name = direction.prompts
        more = f'; to choose on {source_name} as well, write prompts = "{source_name}" in top'
    yield (
        f"{direction.name} is learned {_learned_from(direction, source, task)}at {learned} of "
        f"{source_place}; {label}: {change} at {acts}{there}{more}"
    )


def _value_vectors(part: Part) -> Iterator[str]:
    """Say how the neurons are chosen that write a direction."""
    for table in part.task.own_directions if isinstance(part.task, Task) else ():
        if table.top and table.top.of == "neurons":
            chosen = interventions.top_in_words(table.top, "", table.position)
            yield f"{table.name} is what {chosen}, write to the stream at an activation of 1"


def _learned_again(part: Part) -> Iterator[str]:
    """Note that rows that are measured also occur, in other words, among those from which a
    direction is learned."""
    task = part.task
    if not isinstance(task, Task):
        return
    for table in task.own_directions:
        measured, source = task.prompts, task.sources.get(table.prompts)
        if source is None or source.table.name == measured.table.name:
            continue
        learned = [row.columns for row in source.rows]
        count = sum(bool(row.columns) and row.columns in learned for row in measured.rows)
        if count and directions.way_of(table) in directions.LEARNED:
            yield (
                f"{part.label}: {count} of the {len(measured.rows)} prompts of "
                f"{measured.table.name} have the columns of rows from which {table.name} is "
                f"learned: measure other rows, or leave out prompts under {table.name}"
            )


def _learned_from(direction: Direction, source: PromptSet, task: Task) -> str:
    """The prompts from which a direction is learned; "" if their split is reported separately."""
    if source.table.name == task.prompts.table.name:
        return ""
    count = len(source.rows)
    if labels := direction.difference or direction.probe:
        column = source.column(direction.label)
        count = sum(column.count(str(label)) for label in labels)
    split = f", by whole values of {source.table.split}" if source.table.split else ""
    return f"from {counted(count, 'prompt')} of {source.table.name}{split}, "
