"""Checks of an arm before its model is opened. `check` refuses what cannot work and collects
remarks for the author. A read that an arm cannot have, such as attention to a repeated token where
there is none, is left out if no statement uses it in this arm (`leave_out_reads`)."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from itertools import product
from typing import Any

from assay.ask.measure import (
    choosing,
    dictionaries,
    directions,
    edges,
    elsewhere,
    interventions,
    measuring,
    models,
    own_code,
    pairs,
    paths,
    probe_tasks,
    prompts,
    reads,
    saes,
    selecting,
    training,
)
from assay.ask.measure.damage import DamageTask
from assay.ask.measure.heads import check_heads, check_neurons, checked_heads, heads_by_layer
from assay.ask.measure.interventions import sites_of
from assay.ask.measure.probe_tasks import ProbeTask
from assay.ask.measure.prompts import PromptSet
from assay.ask.measure.sae_arms import SaeTask
from assay.ask.measure.tasks import Task
from assay.ask.measure.tokenized import Prompt, prompt
from assay.ask.part import LEFT_OUT, Part
from assay.ask.resolved import ResolvedStudy
from assay.ask.tables import Direction, Intervention, Plain, Positions, Probe, Read
from assay.ask.text import measures_named
from assay.core import compute
from assay.core.dependence import MOST_ANSWERS
from assay.core.errors import AssayError, DataError, ModelError, nearest
from assay.core.intervals import FOLD
from assay.core.nouns import counted, plural
from assay.core.scopes import listed
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.fitting import fitted
from assay.lab.catalogue import STORE
from assay.subjects import chats, sizes
from assay.subjects.folder import ModelFolder, otherwise
from assay.subjects.site import Site
from assay.subjects.sizes import read_sizes


def check(study: ResolvedStudy, part: Part) -> None:
    """Refuse what is known to be wrong with an arm before a model is opened, and collect remarks
    for the author. Raises: ExperimentError, with the place and the model."""
    if not isinstance(part.task, SaeTask):
        words = [split_in_words(part.task), few_in_words(part.task), uneven_in_words(part.task)]
        if part.task.prompts.selection:
            words.append(selecting.in_words(part.task.prompts, len(part.task.levels)))
        study.remarks += [w for w in words if w not in ("", *study.remarks)]
    for model in part.task.models:
        for name in models.states(model):
            try:
                folder = study.found(name, model.bos)
            except AssayError:  # reported where its inputs are hashed
                if name in study.trains and not study.trains[name].of:
                    _check_unmade(study, part, training.shell(study.located(study.trains[name])))
                continue
            who = f"model {model.label or name}: " if len(study.models) > 1 else ""
            remarks = _check(study, part, folder, who)
            study.remarks += [r for r in remarks if r not in study.remarks]


def leave_out_reads(study: ResolvedStudy) -> None:
    """Leave out reads that an arm cannot have and that no statement uses in it or its controls,
    with a remark."""
    stated = measures_named(study.text.study)
    arms, used = {arm for arm, _ in stated} | {"main"}, {name for _, name in stated}
    for part in study.parts:
        task = part.task
        if part.of or not isinstance(task, Task) or part.label not in arms:
            continue
        idle = [r for r in task.reads if (part.label, r.name) not in stated and r.name in used]
        out = {r.name: why for r in idle if (why := _refusal(study, task, r))}
        if out and len(out) < len(task.reads):
            for i, other in enumerate(study.parts):
                if part.label in (other.label, other.of) and isinstance(other.task, Task):
                    remaining = tuple(r for r in other.task.reads if r.name not in out)
                    changed = dataclasses.replace(other.task, reads=remaining)
                    study.parts[i] = dataclasses.replace(other, task=changed)
            study.remarks += [
                f"{name} is left out of {part.label}, where no claim needs it: {why}"
                for name, why in out.items()
            ]


def _refusal(study: ResolvedStudy, task: Task, read: Read) -> str:
    """Say why an arm cannot have a read; "" if it can, as far as is known."""
    if isinstance(task, DamageTask):
        return ""
    sides = [p for p in (task.prompts, task.than) if p is not None]
    for model in (m for m in task.models if not m.like):
        with suppress(AssayError):  # reported where what it reads is asked for
            folder = study.found(models.states(model)[0], model.bos)
            for prompts in sides:
                side = dataclasses.replace(task, prompts=prompts, than=None)
                try:
                    remarks_of(study, side, read, folder)
                except AssayError as e:
                    return str(e)
    return ""


def _check_unmade(study: ResolvedStudy, part: Part, folder: ModelFolder) -> None:
    """Refuse sites and heads that a model trained from scratch will not have; it has no tokens
    yet."""
    text, task = study.text, part.task
    if isinstance(task, SaeTask):
        _check(study, part, folder, "")
    elif isinstance(task, ProbeTask):
        with text.located("probe", text.index("probe", task.table.name)):
            probe_tasks.check_sites(task, folder)
            if task.change:
                check_places(task.change, folder)
    else:
        for read in task.reads:
            with text.located("read", text.index("read", read.name)):
                check_read(read, folder)
        if task.intervention is not None:
            with text.located("intervene", text.index("intervene", task.intervention.name)):
                check_places(task, folder)


def _check(study: ResolvedStudy, part: Part, folder: ModelFolder, who: str) -> list[str]:
    text, task = study.text, part.task
    remarks: list[str] = []
    if isinstance(task, SaeTask):
        with text.located("train", text.index("train", task.table.name), "site", who=who):
            saes.check(task.table, folder)
        return saes.remarks(task.table)
    if isinstance(task, Task) and not task.model.like:
        with text.located("model", 0, who=who):
            models.check_weights(task.model, folder)
    model = (task.model.device, task.model.dtype)
    remarks += study.once(("taken", folder, *model), lambda: [*taken_in_words(task, folder)])
    if isinstance(task, Task) and task.than is not None:
        side = dataclasses.replace(task, prompts=task.than, than=None)
        remarks += _check(study, dataclasses.replace(part, task=side), folder, who)
    name = task.prompts.table.name
    with text.located("prompts", text.index("prompts", name), who=who):
        rows = _rows(study, task, folder)
    opened = cache(partial(_opened, study, folder))
    code = partial(own_code.load, folder=study.folder)
    if isinstance(task, ProbeTask):
        with text.located("probe", text.index("probe", task.table.name), who=who):
            probe_tasks.check_sites(task, folder)
            if not part.control:
                probe_tasks.check_prompts(task, folder)
            if task.change and not part.control:
                check_intervention(task.change, rows, folder, opened, code)
        return [*within_words([task.table], rows), *probe_tasks.remarks(task)]
    if part.control is None:
        remarks += [*prompts.remarks(task.prompts), *first_tokens(task, rows)]
        remarks += [*means_in_words(task, rows), *sinks_of_texts(task, folder)]
        remarks += within_words([*task.reads, *task.own_directions, task.intervention], rows)
        remarks += special_tokens(task, folder)
        remarks += ends_in_words(task, folder)
        texts = [*dict.fromkeys(row.text for row in task.prompts.rows)]
        remarks += [remark] if (remark := otherwise(folder, texts)) else []
    for read in task.reads if part.control is None else ():
        with text.located("read", text.index("read", read.name), who=who):
            remarks += remarks_of(study, task, read, folder)
    if task.intervention is not None:
        i = text.index("intervene", task.intervention.name)
        where = next((k for k in ("heads", "site") if getattr(task.intervention, k)), "name")
        with text.located("intervene", i, where, who=who):
            check = partial(check_intervention, task, rows, folder, opened, code)
            key = (folder, name, *task.rows, "intervene", task.intervention.name)
            study.once(key, check)  # as for its controls
            remarks += [*clipped_in_words(task, folder), *sinks_in_words(task, rows)]
            if part.control is None:
                remarks += [*mean_ablation_in_words(task), *swap_in_words(task, rows)]
                remarks += [*first_in_words(task, rows), *idle_in_words(task, rows)]
                if "from" not in text.entry("intervene", i).get("block", ()):
                    remarks += passed_on_in_words(task, rows)
            elif task.moves and not task.intervention.block:
                remarks += moved_in_words(part.label, task, rows)
            elif (
                task.control != "layer"
                and 2 * task.standing > read_sizes(folder.config)["h"] * folder.layers
            ):
                remarks.append(f"{part.label}: {elsewhere.few_heads(task.intervention)}{LEFT_OUT}")
    return remarks


def remarks_of(study: ResolvedStudy, task: Task, read: Read, folder: ModelFolder) -> list[str]:
    """The remarks on a read on the prompts of a task. Raises: AssayError if it cannot be read."""

    def ready() -> list[str]:
        opened = cache(partial(_opened, study, folder))
        code = partial(own_code.load, folder=study.folder)
        rows = _rows(study, task, folder)
        check_projection(read, task, folder)
        return [*measuring.remarks(task, read, rows, opened, code)]

    key = (folder, task.prompts.table.name, *task.rows, "read", read.name)
    remarks: list[str] = study.once(key, ready)
    return remarks


def _opened(study: ResolvedStudy, folder: ModelFolder, name: str) -> Dictionary:
    """A dictionary by its name; for one that the study trains, an empty one of its shape."""
    if name in study.saes:
        return saes.blank(study.saes[name], folder)
    return fitted(name, dictionaries.opened(name, study.folder, STORE.get()), folder)


ENOUGH = 20
"""With this many units of one kind an exact interval can decide."""
FEWEST = 2
"""Rows of each label that a shuffled control needs."""


def _rows(study: ResolvedStudy, task: Task | ProbeTask, folder: ModelFolder) -> list[Prompt]:
    names = [r.name for r in task.reads]
    key = (folder, task.prompts.table.name, *task.rows, *names)
    return study.once(key, partial(prompts_of, task, folder))


def prompts_of(task: Task | ProbeTask, folder: ModelFolder) -> list[Prompt]:
    """The prompts of an arm, as tokens. Raises: DataError, ModelError if there are none or one is
    too long."""
    prompts = [prompt(folder, task.prompts.rows[i]) for i in task.rows]
    if not prompts:
        raise DataError(f"of {task.prompts.table.name} no prompt is left to be measured")
    longest = max(prompts, key=lambda p: len(p.tokens))
    writes = max(map(reads.writes, task.reads), default=0)
    length, limit = len(longest.tokens) + writes, folder.most_tokens
    if length > limit:
        place = longest.row.place
        raise ModelError(f"{folder.name} reads at most {limit} tokens, {place} has {length}")
    return prompts


def few_in_words(task: Task | ProbeTask) -> str:
    """Say that there are few units, for a bounded measure on which most may agree; "" otherwise."""
    count, unit = len(task.levels), task.unit
    bounded = isinstance(task, ProbeTask) or any(
        None not in task.range_of(read.name) for read in task.reads
    )
    if not bounded or count >= ENOUGH or unit == FOLD:
        return ""
    return (
        f"{count} {plural(unit, count)} are measured: if nearly all agree, they may be too few for "
        "a verdict"
    )


def split_in_words(task: Task | ProbeTask) -> str:
    """Say which prompts are learned from and which are measured; "" if all are measured."""
    if isinstance(task, ProbeTask) and (k := task.table.folds):
        table, count = task.source.table, len(task.source.rows)
        by = f" by {table.split}" if table.split else ""
        return (
            f"{task.table.name}: {count} prompts are dealt out{by} to {k} folds; "
            + (f"a fold of {task.table.test}" if task.test else "each")
            + " is judged by what is learned from the others"
        )
    if not task.learns_here:
        return ""
    learned = len(task.prompts.rows) - len(task.rows)
    by = f", split by {task.prompts.table.split}" if task.prompts.table.split else ""
    return (
        f"of {len(task.prompts.rows)} prompts, {learned} are used for learning and "
        f"{len(task.rows)} are measured{by}"
    )


def uneven_in_words(task: Task | ProbeTask) -> str:
    """Say how many groups of each label are measured if that is not its share of all, as it would
    be if the column were called label; "" otherwise."""
    prompts, rows = task.prompts, task.prompts.rows
    learned = [task.table] if isinstance(task, ProbeTask) else task.own_directions
    names = [t.label for t in learned if isinstance(t, Probe) or t.difference or t.probe]
    for name in dict.fromkeys(names) if task.learns_here else ():
        if "label" in rows[0].columns or any(name not in row.columns for row in rows):
            continue
        label_of = dict(
            pairs := {*zip(prompts.groups(range(len(rows))), prompts.column(name), strict=True)}
        )
        measured = {*prompts.groups(task.rows)}
        every, here = Counter(label_of.values()), Counter(label_of[x] for x in measured)
        share = len(measured) / len(label_of)
        is_even = all(abs(here[x] - share * n) < 1 for x, n in every.items())
        if not is_even and len(pairs) == len(label_of) and len(every) <= MOST_ANSWERS:
            counts = listed(f"{n} of “{x}”" for x, n in sorted(here.items(), key=lambda kv: -kv[1]))
            return (
                f"{name}: the measured half has {counts}; call the column label, and both halves "
                "get the same share of each"
            )
    return ""


def first_tokens(task: Task, prompts: Sequence[Prompt]) -> Iterator[str]:
    """Say what the first token is if a read uses it: one that opens every text, or the text's
    own."""
    about = [r.name for r in task.reads if r.position == 0 or (r.pattern and r.to == 0)]
    first = prompts[0]
    if about:
        text = first.folder.tokenizer.decode(first.tokens[:1])
        whose = "" if first.opening else f", of {first.row.place}: the model reads no BOS"
        yield f"{', '.join(about)}: the first token is {text!r}{whose}"
    sinks = [r.name for r in task.reads if r.pattern and r.to == 0 and r.position == "mean"]
    if sinks and not first.opening:
        yield (
            f"{', '.join(sinks)}: the mean over tokens counts the attention of the first token to "
            "itself, which is always 1; for the other tokens alone, write a range that all prompts "
            'have, such as position = "1:8"'
        )


def within_words(tables: Sequence[Any], prompts: Sequence[Prompt]) -> Iterator[str]:
    """Warn of a position by number that is the last token of a slot in some prompts, and an earlier
    one of the slot's word in all others."""
    for t, slot in product(filter(None, tables), prompts[0].row.spans):
        if not isinstance(place := t.position, int) or place == -1 or "position" in t.sweep:
            continue
        with suppress(DataError):  # a slot that cannot be a position
            words = [(p, p.at(place), p.covered(f"{{{slot}}}")) for p in prompts]
            cut = [(p, n) for p, n, word in words if n in word[:-1]]
            ends = sum(n == word[-1] for _, n, word in words)
            is_word = not any(" " in p.row.columns[slot] for p, _ in cut)
            if cut and is_word and ends == len(prompts) - len(cut) > 0:
                (p, n), word = cut[0], cut[0][0].row.columns[slot]
                yield (
                    f"{t.name}: position {place} is the last token of {{{slot}}} in {ends} of "
                    f"{len(prompts)} prompts, but only {p.folder.tokenizer.decode([p.tokens[n]])!r}"
                    f' of {word!r} in {p.row.place}; write position = "{{{slot}}}"'
                )


def means_in_words(task: Task, prompts: Sequence[Prompt]) -> Iterator[str]:
    """Say that a mean over tokens leaves out the first token, if the model reads no BOS."""
    tables: list[Read | Direction] = [*task.reads, *task.own_directions]
    about = [
        t.name
        for t in tables
        if t.position == "mean"
        and (isinstance(t, Direction) or reads.KINDS[reads.kind_of(t)].skips_first)
    ]
    if about and not any(p.opening for p in prompts):
        yield (
            f'{", ".join(about)}: position = "mean" leaves out the first token of each prompt, '
            "whose activations are often a hundred times as large as any other's"
        )


def sinks_of_texts(task: Task, folder: ModelFolder) -> Iterator[str]:
    """Warn that the activation of a text is read at the first token of the model, or partly at
    spaces that pad the shorter text."""
    for table in (t for t in task.own_directions if t.activation):
        is_one_text = isinstance(table.activation, str)
        texts: Sequence[str] = [str(table.activation)] if is_one_text else [*table.activation]
        counts = [len(folder.tokenizer.encode(text)) for text in texts]
        if (longest := max(counts)) > min(counts):
            yield (
                f"{table.name}: {texts[0]!r} has {counts[0]} tokens and {texts[1]!r} {counts[1]}, "
                "so the shorter one is filled up with spaces, whose activations may be far larger; "
                "choose texts with equally many tokens"
            )
        if not folder.opening and table.position in ("all", 0, -longest):
            which = "its first vector is" if table.position == "all" else "this is"
            yield (
                f"{table.name}: without a BOS, {which} read at the first token that the model "
                "reads, whose activations are often many times as large as any other's, whatever "
                "it says (an attention sink); write bos = true under [[model]], if the model has "
                "such a token, or begin both texts with the same word"
            )


MEAN_TAKEN = ": the mean is taken "
"""Part of the remark on a mean ablation."""
OF_CHANGES = re.compile(
    rf"{MEAN_TAKEN}|an attention sink|filled up with spaces|fewer blocks around|which is always 1"
    "|the measured half has "
)
"""What a remark has on how a change or a read is made, which is repeated next to its verdict."""


def mean_ablation_in_words(task: Task) -> Iterator[str]:
    """Say over which prompts and tokens the mean of an ablation is taken."""
    table = task.intervention
    if table is None or interventions.at_first(table).ablate != "mean":
        return
    source = task.sources.get(table.source)
    texts = f"the {len(source.rows)} prompts of {source.table.name}" if source else "these prompts"
    place = table.position if table.source_position == "" else table.source_position
    words = (
        f"over {texts}, at {interventions.token_in_words(place)}"
        if place != "all"
        else f"over all tokens of {texts} together, except for the first token, which has its own "
        "mean; for the mean at each position, write position = [0, 1, 2, …]"
    )
    several = isinstance(place, tuple) and place == table.position
    yield f"{table.name}{MEAN_TAKEN}{words}{', of each by itself' if several else ''}"


def swap_in_words(task: Task, prompts: Sequence[Prompt]) -> Iterator[str]:
    """Say what a swap of two places does, and what its control swaps."""
    table = task.intervention and interventions.at_first(task.intervention)
    if not table or table.patch != interventions.SWAPPED or not prompts:
        return
    p, text = prompts[0], prompts[0].folder.tokenizer.decode
    first, second = (
        text([p.tokens[n] for n in places]).strip() for places in interventions.swapped(table, p)
    )
    yield (
        f"{table.name}: each of two places gets what the unchanged model has at the other one, "
        f"such as at {first!r} and {second!r} of {p.row.place}; the text stays as it is. The "
        f"control token swaps the first place, {first!r}, with another token instead"
    )


SOME = 3
"""Places of a control that are written out."""


def moved_in_words(label: str, task: Task, prompts: Sequence[Prompt]) -> list[str]:
    """Say which tokens the control `token` may change, or that there are none."""
    assert task.intervention is not None
    if "position" in task.intervention.sweep or not prompts:
        return []
    table = interventions.at_first(task.intervention)
    if not (free := elsewhere.free_shifts(table, prompts, task.avoids)):
        return [f"{label}: {elsewhere.nowhere(table, task.avoids)}{LEFT_OUT}"]
    examples = [interventions.tokens_in_words(table, prompts[0], n) for n in free[:SOME]]
    more = f", or {counted(len(free) - SOME, 'other place')}" if free[SOME:] else ""
    strongest = ", the one at which it changes most" if free[1:] else ""
    avoided = f", never at {interventions.token_in_words(task.avoids)}" if task.avoids else ""
    return [
        f"{label} makes the same change at another token of each prompt{strongest}{avoided}: in "
        f"{prompts[0].row.place}, {'one of ' if free[1:] else ''}{', '.join(examples)}{more}"
    ]


def clipped_in_words(task: Task, folder: ModelFolder) -> Iterator[str]:
    """Say which windows are cut off by the first or last block of the model."""
    if (table := task.intervention) is None or table.window is None:
        return
    tables = interventions.at_points(table)
    blocks = [n for t in tables if t.block for n in map(int, t.block.layers)]
    blocks += [Site.parse(s).layer or 0 for t in tables if not t.block for s in sites_of(t)]
    start, stop = table.window
    cut = [n for n in dict.fromkeys(blocks) if not -start <= n < folder.layers - stop]
    if cut:
        around = listed(interventions.in_rows(cut))
        yield (
            f"{table.name}: the window has fewer blocks around {around}, where the model begins or "
            f"ends (it has blocks 0 to {folder.layers - 1})"
        )


def sinks_in_words(task: Task, prompts: Sequence[Prompt]) -> Iterator[str]:
    """Warn that a block hides the first token that the model reads."""
    if (table := task.intervention) is None or table.block is None or task.control:
        return
    blocks = [t.block for t in interventions.at_points(table)]
    blocked = [p for p in prompts if any(b and 0 in edges.pairs(b, p)[1] for b in blocks)]
    if blocked:
        text = blocked[0].folder.tokenizer.decode(blocked[0].tokens[:1])
        yield (
            f"{table.name}: in {len(blocked)} of {len(prompts)} prompts the first token that the "
            f"model reads, such as {text!r}, is blocked too. Many heads rest on it where they need "
            "nothing else (an attention sink), so this disturbs them whatever it says, and the "
            "control token leaves it in sight; block later tokens"
        )


PASSED_ON = "only the last token cannot attend to "
"""Part of the remark on tokens that may pass on what is hidden from the last one."""


def passed_on_in_words(task: Task, prompts: Sequence[Prompt]) -> Iterator[str]:
    """Say how many tokens still see what a block hides, in every block of the model, from the last
    token alone, which reads them."""
    table = task.intervention
    if table is None or not (block := table.block) or block.layers or block.heads or table.sweep:
        return
    between = {len(p.tokens) - 2 - edges.pairs(block, p)[1][-1] for p in prompts}
    if most := max(between, default=0):
        count = " to ".join(map(str, sorted({min(between), most})))
        hidden = interventions.end_in_words(block.to)
        yield (
            f"{table.name}: {PASSED_ON}{hidden}; the {count} {plural('token', most)} between still "
            f'can, and the last token reads them: from = "all" hides {hidden} from all'
        )


def first_in_words(task: Task, prompts: Sequence[Prompt]) -> Iterator[str]:
    """Warn that a change copies from the first token that the model reads to a later one, or is at
    the first one in some prompts alone."""
    if (written := task.intervention) is None or written.block is not None:
        return
    by_place = {t.position: t for t in interventions.at_points(written) if t.position != "all"}
    for table in by_place.values():
        ends = [_at_first_token(task, table, p) for p in prompts]
        source = task.sources[table.source].rows if table.source else ()
        place = table.position if table.source_position == "" else table.source_position
        pool = [prompt(prompts[0].folder, row) for row in source] if place != "all" else []
        taken, changed = [0 in p.all_at(place) for p in pool], [to for to, _ in ends]
        if crossed := [p for p, (to, by) in zip(prompts, ends, strict=True) if to != by]:
            words = (
                f"in {len(crossed)} of {len(prompts)} prompts, such as {crossed[0].row.place}, the "
                "change copies from the first token that the model reads to a later one, or from "
                "a later one to the first"
            )
        elif len({*changed, *taken}) > 1:
            such = f", such as {prompts[changed.index(True)].row.place}" if any(changed) else ""
            words = (
                f"the first token that the model reads is changed in {sum(changed)} of "
                f"{len(prompts)} prompts{such}"
            )
            if taken:
                words += f", and its activations are taken in {sum(taken)} of the {len(taken)} of "
            words += table.source if taken else ", and a later one in the others"
        else:
            continue
        yield (
            f"{table.name}: {words}. Many heads rest on the first token where they need nothing "
            "else (an attention sink), and its activations are often many times as large as any "
            "other's, which alone may give the number; begin every prompt with the same word, or "
            "choose texts with equally many tokens up to there"
        )


IDLE = "the two texts are the same up to "
"""Part of the remark on a patch that changes nothing."""


def idle_in_words(task: Task, prompts: Sequence[Prompt]) -> Iterator[str]:
    """Say that the two texts of pairs are the same up to the tokens that are patched, so that both
    have the same activations there."""
    table = task.intervention
    if table is None or table.patch != "corrupted":
        return
    place, *others = {t.position for t in interventions.at_points(table)}
    if others or place == "all":  # of a sweep some may well change nothing; all of a pair is not
        return
    if alike := [p for p in prompts if _is_idle(task, place, p)]:
        yield (
            f"{table.name}: {IDLE}{interventions.token_in_words(place)} in {len(alike)} of "
            f"{len(prompts)} prompts, such as {alike[0].row.place}, so that the patch changes "
            "nothing there"
        )


def _is_idle(task: Task, place: Positions, p: Prompt) -> bool:
    other = pairs.corrupted(task.prompts, p)
    theirs = pairs.corresponding(p, other, place, task.prompts) or ()
    ends = [*zip(p.all_at(place), theirs, strict=False)]
    return bool(ends) and all([*p.tokens[: i + 1]] == [*other.tokens[: j + 1]] for i, j in ends)


def _at_first_token(task: Task, table: Intervention, p: Prompt) -> tuple[bool, bool]:
    """Whether the first token that the model reads is changed, and whether the activations that
    replace those of a prompt are of the first token of its other text, or of a swap's other
    place."""
    if table.patch == interventions.SWAPPED:
        first, second = interventions.swapped(table, p)
        return 0 in first, 0 in second
    here = 0 in p.all_at(table.position)
    if table.patch != "corrupted":
        return here, here
    other = pairs.corrupted(task.prompts, p)
    return here, 0 in (pairs.corresponding(p, other, table.position, task.prompts) or ())


def taken_in_words(task: Task | ProbeTask, folder: ModelFolder) -> Iterator[str]:
    """Say where a model in memory comes from, and whether a model exceeds the free memory."""
    if folder.live is not None:
        yield f"{folder.name} is {folder.live.provenance}"
    elif not task.model.device:
        each = 4 if task.model.dtype in ("", "float32") else 2
        try:
            shapes = folder.shapes()
            sizes.check_memory(folder.config, shapes, each, compute.free_memory(), folder.name)
        except ModelError as e:
            yield f"here {e}"


def special_tokens(task: Task, folder: ModelFolder) -> Iterator[str]:
    """Say which chats have, within a message, a special token that opens or ends messages."""
    cases = [
        (tokens[0], row.place)
        for row in (task.prompts.rows[i] for i in task.rows)
        if row.chat
        and (tokens := chats.special_tokens(folder.tokenizer, [c for _, c in row.chat.messages]))
    ]
    if cases:
        yield (
            f"{task.prompts.table.name}: {len(cases)} of {len(task.rows)} chats have a special "
            f"token in a message, such as {cases[0][0]!r} ({cases[0][1]})"
        )


def ends_in_words(task: Task, folder: ModelFolder) -> Iterator[str]:
    """Say which tokens end what the model writes, and which settings change the choice of the
    likeliest token. Raises: ModelError for settings that Assay does not support."""
    about = ", ".join(r.name for r in task.reads if reads.writes(r))
    if not about:
        return
    writing = folder.writing
    writing.check()
    ends = [repr(folder.tokenizer.decode([t])) for t in writing.ends]
    yield f"{about}: writing ends at {' or '.join(ends) or 'no token'} ({writing.source})"
    if writing.changes:
        yield f"{about}: {', '.join(writing.changes)} of {writing.source} are obeyed"
    if writing.draws:
        yield f"{about}: the likeliest token is taken, and {writing.source} asks for draws"


def check_read(read: Read, folder: ModelFolder) -> None:
    """Check the site or the head of a read at every point of its sweep, without a prompt. Raises:
    DataError, ModelError."""
    for table in interventions.at_points(read):
        if table.site:
            folder.check(Site.parse(table.site))
        if table.pattern:
            checked_heads(read.name, "z", [table.pattern], folder)


def check_places(task: Task, folder: ModelFolder) -> None:
    """Check the sites that an intervention changes, at every point of its sweep, without a prompt.
    Raises: DataError, ModelError."""
    assert task.intervention is not None
    for point in interventions.points(task.intervention):
        _check_place(interventions.swept(task.intervention, point), point, task, folder, ())


def _check_place(
    table: Intervention,
    point: Mapping[str, Plain],
    task: Task,
    folder: ModelFolder,
    prompts: Sequence[Prompt],
) -> None:
    if table.block is not None:
        sizes = read_sizes(folder.config)
        for site, _ in edges.places(table.name, table.block, sizes["layers"], sizes["h"]):
            folder.check(site)
        return
    direction = interventions.direction_of(table, task.directions)
    direction = interventions.filled(direction, point) if direction else None
    if not (
        table.clamp or table.reconstruct or (direction and direction.feature and not table.site)
    ):
        places = interventions.where(table, direction)  # a dictionary's site is known when read
        for site, heads in places:
            _site(table.name, site, heads, folder)
        if table.path is not None:
            paths.check(table, places, folder)
        if direction is not None and prompts:
            _direction(direction, places[0][0], task, folder)


def check_projection(read: Read, task: Task, folder: ModelFolder) -> None:
    """Check the directions of a read, at every point of its sweep. Raises: DataError,
    ModelError."""
    for point in interventions.points(read):
        level = interventions.swept(read, point)
        for name in reads.directions_of(level):
            direction = reads.filled(directions.find(task.directions, name), point)
            free = level.direction or isinstance(level.cosine, tuple)
            stream = "blocks.0.hook_resid_post"
            site = stream if level.direction else level.site or direction.site
            if not site and free and directions.is_of_stream(direction):
                site = stream
            if site:
                _direction(direction, Site.parse(site), task, folder)
            elif not direction.feature:
                raise DataError(
                    f"{read.name}: {name!r} has no site of its own; say where it is read"
                )


def check_intervention(
    task: Task,
    prompts: Sequence[Prompt],
    folder: ModelFolder,
    opened: Callable[[str], Dictionary],
    code: Callable[[str], Callable[..., Any]],
) -> None:
    """Check an intervention at every point of its sweep, on every prompt, with the dictionaries
    that it names. Raises: DataError, ModelError."""
    assert task.intervention is not None
    for point in interventions.points(task.intervention):
        table = interventions.swept(task.intervention, point)
        _check_place(table, point, task, folder, prompts)
        if table.clamp:
            choosing.site_of_latents(table, opened(table.clamp[0]), folder)
        if table.reconstruct:
            choosing.site_of(table, table.reconstruct, opened(table.reconstruct), folder)
        if table.source:
            if table.source not in task.sources:
                hint = nearest(table.source, task.sources)
                raise DataError(f"{table.name!r}: there are no prompts {table.source!r}; {hint}")
            place = table.position if table.source_position == "" else table.source_position
            for row in task.sources[table.source].rows if place != "all" else ():
                _at_source_position(table, prompt(folder, row), place)
        if table.top:
            choosers = task.choosers or task.reads
            measured = task.made_for or task.prompts
            source = choosing.source_of(table.top, measured, task.sources, choosers)
            choosing.check(table, table.top, source, task.directions, choosers, folder)
            learned_from = [prompt(folder, source[0].rows[i]) for i in source[1]]
            for p in learned_from if table.position != "all" else ():
                p.all_at(table.position)
            for read in (r for r in choosers if r.name == table.top.by and not r.sweep):
                deque(measuring.remarks(task, read, learned_from, opened, code), 0)
        for site, numbers in interventions.neurons_by_site(table).items():
            check_neurons(repr(table.name), site, numbers, folder)
        for site, _ in interventions.where(table, None) if table.function else ():
            for p in prompts[:2] if own_code.can_be_tried(code(table.function)) else ():
                x = own_code.tried(p, [site]).acts[site][None]
                own_code.changed(table.function, code(table.function), site, x, p)
        for p in prompts:
            interventions.positions_of(table, p)
            if table.block is not None:
                edges.pairs(table.block, p)
        if table.patch == "corrupted":
            _check_pairs(task.prompts, prompts, table)


def _at_source_position(table: Intervention, p: Prompt, place: Positions) -> None:
    """Refuse a prompt of a source that lacks the position. Raises: DataError with the field that
    sets another one."""
    try:
        p.all_at(place)
    except DataError as e:
        raise DataError(
            f"{e}; where the mean of {table.source!r} is taken is source_position, such as -1"
        ) from e


def _check_pairs(source: PromptSet, prompts: Sequence[Prompt], table: Intervention) -> None:
    """Refuse pairs that cannot be patched, and list all rows with the same problem. Raises:
    DataError."""
    rows: dict[str, list[str]] = {}
    for p in prompts:
        other = pairs.corrupted(source, p)
        if why := pairs.misfit(p, other, table.position, source):
            rows.setdefault(why, []).append(p.row.place)
    for why, places in rows.items():
        first, *more = dict.fromkeys(places)
        file, number = first.rsplit(" ", 1)
        numbers = interventions.in_rows([int(place.split()[-1]) for place in (first, *more)])
        where = f"{file} {', '.join(numbers)}" if more else f"{file} {number}"
        raise DataError(f"{where}: {why}")


def _site(name: str, site: Site, heads: Sequence[int] | None, folder: ModelFolder) -> None:
    folder.check(site)
    if heads is not None:
        check_heads(name, site.layer, heads, folder.shape(site)[0])


def _direction(table: Direction, site: Site, task: Task, folder: ModelFolder) -> None:
    way = directions.way_of(table)
    place = Site.parse(table.site) if table.site else site
    folder.check(place)
    for layer, numbers in heads_by_layer(table.heads):
        _site(f"direction {table.name}", Site("result", layer), numbers, folder)
    for layer, numbers in heads_by_layer(table.neurons):
        check_neurons(f"direction {table.name!r}", Site("mlp_post", layer), numbers, folder)
    directions.check_tokens(table, folder)
    if folder.width(place) != folder.width(site):
        raise DataError(
            f"direction {table.name!r} has {folder.width(place)} numbers, "
            f"{site} {folder.width(site)}"
        )
    if table.top is not None:
        by, measured = task.choosers or task.reads, task.made_for or task.prompts
        source = choosing.source_of(table.top, measured, task.sources, by)
        change = choosing.change_of(table, source[0])
        interventions.check(change, task.directions)
        choosing.check(change, table.top, source, task.directions, by, folder)
    if way not in directions.LEARNED:
        return
    learned_from = directions.source_of(table, task.sources, task.prompts)
    same = learned_from.table.name == task.prompts.table.name  # of which the other half is judged
    rows = learned_from.halves()[0] if same else [*range(len(learned_from.rows))]
    labelled = bool(table.difference or table.probe)
    count = len(learned_from.sample(rows, 0, labelled=labelled, label=table.label))
    components = table.component or table.components or 0
    components = 0 if table.position == "all" else components
    each = len(table.probe or table.difference or ()) - 1
    components = components or (table.iterations or 1) * each
    if components >= count:
        raise DataError(
            f"direction {table.name!r}: a seed learns from {count} prompts, which have "
            f"{max(0, count - 1)} components, got {components}"
        )
    for i in rows:
        p = prompt(folder, learned_from.rows[i])
        if table.position not in ("all", "mean"):
            p.at(table.position)
        if table.das:
            pairs.pair_of(p, table.position, learned_from)
            p.wants(p.behind(table.das))
    column = learned_from.column(table.label, rows) if labelled else []
    labelled_rows = [*zip(column, rows if labelled else [], strict=True)]
    for label in table.difference or table.probe or ():
        examples = [learned_from.rows[i] for name, i in labelled_rows if name == str(label)]
        if (count := len({(row.text, repr(row.chat)) for row in examples})) < FEWEST:
            copies = f", in {len(examples)} rows," if len(examples) > count else ""
            raise DataError(
                f"direction {table.name!r} is learned from {len(rows)} prompts, but only {count} "
                f"{'text' if count == 1 else 'texts'}{copies} {'has' if count == 1 else 'have'} "
                f"{table.label} = {label!r}; {_more_of(label, column)}"
            )


def _more_of(label: object, column: Sequence[str]) -> str:
    """What to write where too few rows have a label: one that is there or, where it is, more
    rows."""
    if label in column:
        return f"give {FEWEST} different texts, such as the same word in two sentences"
    return f"the labels here are {', '.join(dict.fromkeys(column)) or 'none'}"
