"""Contents: what identifies a study's measurements, without any names: rendered prompts, models by
their files, and reads by what they compute. `quantity` describes a measure in this way; `rehearse`
measures two prompts of each arm before a long study, so that a refusal comes at once; `scope` says
what the verdicts generalise to."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from assay.ask import inputs, model_study
from assay.ask.inputs import chat_folder, dictionary_content
from assay.ask.measure import (
    dictionaries,
    interventions,
    measuring,
    models,
    own_code,
    reads,
    saes,
    training,
)
from assay.ask.measure.damage import DamageTask
from assay.ask.measure.prompts import PromptRow, combined
from assay.ask.measure.sae_arms import SaeTask
from assay.ask.measure.tasks import Task, stated
from assay.ask.measure.tokenized import prompt
from assay.ask.model_study import ModelStudy
from assay.ask.part import Part, at_levels, model_phrase
from assay.ask.tables import Intervention, Model
from assay.ask.text import Study
from assay.ask.wording import condition
from assay.core.claims import Claim
from assay.core.columns import Column
from assay.core.digits import estimate
from assay.core.errors import AssayError, DataError
from assay.core.experiment import Experiment, Rows
from assay.core.heavy import xr
from assay.core.intervals import interval
from assay.core.nouns import counted
from assay.core.stats import mean
from assay.data import corpus as corpora
from assay.lab.catalogue import STORE
from assay.lab.work.events import BEFORE
from assay.subjects import chats
from assay.subjects.folder import find, opening_in_words

NAMES = ("name", "label", "prompts", "test", "controls", "of", "text", "sweep", "seed", "damage")
"""Fields that name something or choose levels or seeds, and are not part of a quantity."""
ANSWERED = ("log_prob", "prob", "accuracy", "rank")
"""Kinds of reads that are functions of the same numbers: how probable answers are."""
ANSWERS = (*ANSWERED, "generates", "begins", "logit_lens", "logit", "tokens")
"""Fields whose values are answers: another answer to the same prompt was seen with the first."""
NEXT = ("answers", "logit", "logit_lens")
"""Kinds of reads of the next token whose differences between the two answers of a pair are
equal."""

TRAINED = "for these trained runs only"
"""How a scope describes units within runs, here runs of an unchanged model."""


def asked_in(study: Experiment) -> ModelStudy:
    """Give the study of models from which an experiment was composed."""
    assert isinstance(study.materials, Contents), study.name
    return study.materials.asked


POINTS = 1000
"""At most this many points of a sweep are also described as a measure without a sweep."""
Columns = Mapping[str, Sequence[tuple[str, str]]]


class Contents:
    """What a study measures of models and experiments, by content."""

    def __init__(self, study: ModelStudy, columns: Columns, leads: Iterable[Claim]) -> None:
        self.asked, self.columns = study, columns
        self.leads = {lead.text: lead for lead in leads}  # which the unchanged model should have

    def measures(self, arm: str) -> tuple[str, ...]:
        """Return the names of the measures of an arm of a model; nothing for other arms."""
        part = self.asked.by_label.get(arm)
        return tuple(self.asked.measured(part)) if part else ()

    def prompts(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Return the prompts that runs read, by the name of the input: their hash, and the content
        of each row."""
        sets = self.asked.prompts if self.asked.parts else {}
        return {
            f"prompts {name}": (
                prompts.digest,
                tuple(json.dumps([r.text, sorted(r.columns.items())]) for r in prompts.rows),
            )
            for name, prompts in sets.items()
        }

    def same_rows(self, read: Mapping[str, str]) -> dict[str, str]:
        """Return what a run read, with prompts of the same rows as they are now."""
        sets = self.asked.prompts.values() if self.asked.parts else ()
        now = {digest: prompts.digest for prompts in sets for digest in prompts.same_runs}
        return {name: now.get(content, content) for name, content in read.items()}

    def files(self) -> Sequence[Path]:
        """Return the files that hold its prompts."""
        text = self.asked.text
        return [text.path.parent / p.file for p in text.study.prompts if p.file]

    def scope(self, words: str, condition: str = "") -> str:
        """Write a scope without slots of sweeps and, if nothing was trained, without trained runs;
        for a claim with this condition, only with the levels that it reads."""
        return spoken_scope(self.asked.text.study, words, condition)

    def rows(self, arm: str) -> Rows | None:
        """Return the rows on which an arm is measured; None for an arm of an experiment, and for
        dictionaries of which each seed trains its own."""
        if (part := self.asked.by_label.get(arm)) is None:
            return None
        task = part.task
        if isinstance(task, SaeTask):
            if task.drawn:
                return None
            if task.source is None:
                digests = {d.path: d.sha256 for d in corpora.load(task.table.text).documents}
                names = tuple(task.levels)
                return Rows(task.unit, names, names, tuple(digests[name] for name in names))
            chosen, prompts = task.source.halves()[1], task.source
        else:
            chosen, prompts = task.rows, task.prompts
        texts = tuple(prompts.rows[i].text for i in chosen)
        paired = [row.text for row in task.than.rows] if task.than else []
        paired += self._rendered(task.models, [prompts.rows[i] for i in chosen])
        units, places = prompts.units(chosen), tuple(prompts.rows[i].place for i in chosen)
        return Rows(prompts.unit, texts, tuple(units), tuple(paired), places)

    def _rendered(self, model_tables: Sequence[Model], rows: Sequence[PromptRow]) -> list[str]:
        """The texts into which templates render chats: as plain texts they are the same prompts."""
        talks = [row.chat for row in rows if row.chat]
        names = [name for model in model_tables for name in models.states(model)] if talks else []
        templates = [chats.read(chat_folder(self.asked, name).texts) for name in names]
        return [t.render(chat).text.removeprefix(t.bos) for t in templates for chat in talks]

    def models(self) -> dict[str, str]:
        """Return the content hash of every model of an arm, as its files are now. Raises:
        AssayError if one is not available."""
        return {name: self._content(name) for name in self.model_names()}

    def model_names(self) -> list[str]:
        """Return the name of every model of an arm, once."""
        tasks = (part.task for part in self.asked.parts)
        names = (name for task in tasks for m in task.models for name in models.states(m))
        return [*dict.fromkeys(names)]

    def rehearse(
        self, arms: Collection[str], seeds: Collection[int], device: str, say: Callable[[str], None]
    ) -> None:
        """If the arms take long, measure two prompts in each of them whose model is available, and
        say so; where that is quick, all of the unchanged model, to say which leads it lacks.
        Raises: ExperimentError, with the table that causes a refusal."""
        study, runs = self.asked, len(seeds)
        each = model_study.seconds(study, arms, runs, runs)
        tried = _tried(study, arms, each, runs)
        for n, part in enumerate(tried):
            done = f"{BEFORE}trying each arm on two prompts: {n} of {len(tried)} arms done"
            say(done)
            leads = [x for x in self.leads.values() if x.of == part.label]
            is_quick = 10 * each.get(part.label, 0.0) < sum(each.values())
            tick = _saying(say, f"{done}, {part.label}")
            for line in _try(study, part, leads if is_quick else [], min(seeds), device, tick):
                say(line)
        models.opened.cache_clear()  # workers open it for themselves

    def quantity(
        self, arm: str, measure: str
    ) -> tuple[dict[str, str], Any, list[Any], list[Any]] | None:
        """Return the content hashes of what a measure of an arm is read from, its description as
        JSON values without names, the measures that are functions of the same numbers, and its
        description at each point of a sweep; None for an arm of an experiment. Raises:
        AssayError."""
        if (part := self.asked.by_label.get(arm)) is None:
            return None
        task = part.task
        # in no order: a difference the other way round is the same
        hashes = sorted(
            f"{self._weights(n)}{models.reweighted_in_words(model)}"
            for model in task.models
            for n in models.states(model)
        )
        inputs = {f"model {i}": content for i, content in enumerate(hashes)}
        if isinstance(task, SaeTask) and task.table.text:
            texts = sorted(d.sha256 for d in corpora.load(task.table.text).documents)
            inputs["corpus"] = sha256("".join(texts).encode()).hexdigest()  # whatever their names
        facts = {"control": task.words["control"], "untrained": task.words["untrained"]}
        if isinstance(task, SaeTask):  # whose `dictionary` is a kind, and no name
            words = stated(task.table)
            facts |= {"of": {k: v for k, v in words.items() if k not in NAMES}, "measure": measure}
        elif isinstance(task, Task):
            facts |= {"read": self._read(task, measure), "change": self._change(task)}
        else:
            probe_words = {k: v for k, v in self._bare(task.table).items() if k != "intervention"}
            facts |= {"of": probe_words, "measure": measure}
            facts |= {"change": self._bare(task.intervention)} if task.intervention else {}
        every, of_points = self._with_same(task, facts), list[Any]()
        for point in self._points(task, measure):
            of_points += self._with_same(task, facts | point)
        words_of = (json.dumps(x, sort_keys=True) for x in (*every, *of_points))
        bare = [json.loads(self._slots(task, words)) for words in words_of]
        return inputs, bare[0], bare[1 : len(every)], bare[len(every) :]

    def _points(self, task: Any, measure: str) -> Iterator[dict[str, Any]]:
        """The description of a measure at each point of its sweep, which equals that of a measure
        without a sweep."""
        if not isinstance(task, Task) or isinstance(task, DamageTask):
            return
        table = next((r for r in task.reads if r.name == measure), None)
        if table is None or not (table.sweep or (task.intervention and task.intervention.sweep)):
            return
        first = interventions.points(task.intervention) if task.intervention else [{}]
        then = interventions.points(table)
        for i, k in interventions.together(first, then)[:POINTS]:
            single = replace(
                task,
                intervention=task.intervention and interventions.swept(task.intervention, first[i]),
                reads=(interventions.swept(table, then[k]),),
            )
            yield {"read": self._read(single, measure), "change": self._change(single)}

    def _with_same(self, task: Any, facts: dict[str, Any]) -> list[dict[str, Any]]:
        return [facts, *(facts | {"read": x} for x in self._same(task, facts.get("read")))]

    def _content(self, name: str) -> str:
        """The hash of a model's files; for a model that the study trains, of what it learns."""
        if name in self.asked.trains:
            return inputs.model_hash(self.asked, name)
        return find(self.asked.folder_of(name)).content

    def _weights(self, name: str) -> str:
        """The hash of a model's weights; for a model that the study trains, of what determines
        them."""
        if name not in self.asked.trains:
            return self.asked.found(name).weights_content
        if not self.asked.trains[name].of:
            return inputs.model_hash(self.asked, name)
        table, start, source, _ = inputs.tuning(self.asked, name)
        begun = self.asked.start_of(Model(name=name))
        again = begun is not None and begun.name in self.asked.trains
        content = self._weights(begun.name) if begun and again else find(start).weights_content
        return training.key(replace(training.spec(table, start, source, None, "-"), model=content))

    def _dictionary(self, name: str) -> str:
        """The hash of a dictionary; for one that the study trains, of what determines it."""
        if name not in self.asked.saes:
            return dictionary_content(self.asked, name)
        spec = inputs.learning(self.asked, name, "", self.asked.saes[name].seed).spec
        return training.key(
            replace(spec, model=self._weights(self.asked.read_by(self.asked.saes[name]).name))
        )

    def _bare(self, table: Any) -> dict[str, Any]:
        """The fields of a table without names and answers, with dictionaries by content."""
        words = {k: v for k, v in stated(table).items() if k not in NAMES}
        for field in inputs.FIELDS:
            if value := words.get(field):
                name, latents = (value, []) if isinstance(value, str) else (value[0], value[1:])
                content = "" if "{" in name else self._dictionary(name)
                words[field] = [content, *latents]
        for field in ("projection", *interventions.ALONG, "cosine", "distance", "direction"):
            if name := words.get(field):
                several = name if isinstance(name, list | tuple) else (name,)
                every = [self._direction(str(direction)) for direction in several]
                words[field] = every if several is name else every[0]
        if code := words.get("function"):
            words["function"] = own_code.digest(code, self.asked.folder)
        return {k: v for k, v in words.items() if k not in ANSWERS}

    def _direction(self, name: str) -> dict[str, Any]:
        """The definition of a direction, with the prompts that it is learned from by content."""
        table = next((d for d in self.asked.text.study.direction if d.name == name), None)
        if table is None:  # its name is filled by a sweep, whose levels do not count
            return {}
        source = self.asked.prompts.get(table.prompts)
        return {**self._bare(table), "learned from": source.digest if source else ""}

    def _read(self, task: Task, measure: str) -> Any:
        if isinstance(task, DamageTask):
            return measure
        table = next((r for r in task.reads if r.name == measure), None)
        if table is None:
            return measure
        kind = reads.kind_of(table)
        return ["answers" if kind in ANSWERED else kind, self._bare(table)]

    def _same(self, task: Any, read: Any) -> list[Any]:
        """The other reads of the same next token: another function of its logits, or the logit lens
        after the last block, where the model ends."""
        if not isinstance(read, list) or read[0] not in NEXT:
            return []
        folder = self.asked.found(models.states(task.models[0])[0])
        end = {"site": f"blocks.{folder.layers - 1}.hook_resid_post"}
        bare = {k: v for k, v in read[1].items() if (k, v) != ("site", end["site"])}
        if "site" in bare:
            return []
        return [x for kind in NEXT for x in ([kind, bare], [kind, bare | end]) if x != read]

    def _change(self, task: Task) -> Any:
        return self._bare(task.intervention) if task.intervention else None

    def _slots(self, task: Any, text: str) -> str:
        """A text with the slots of the prompts replaced by their order."""
        prompts = task.source if isinstance(task, SaeTask) else task.prompts
        spans = prompts.rows[0].spans if prompts else {}
        for i, name in enumerate(sorted(spans, key=lambda name: spans[name])):
            text = text.replace(f"{{{name}}}", f"{{{i}}}")
        return text


def spoken_scope(study: Study, words: str, claim_condition: str = "") -> str:
    """Write a scope of a study without slots and, if nothing was trained, without trained runs; for
    a claim with `claim_condition`, with the sites of its own reads and the levels that it names, if
    any."""
    if study.model and not study.train:
        subject = "these models" if study.model[1:] else "this model"
        words = words.replace(TRAINED, f"for {subject} and prompts like these")
        over, _, others = words.partition("; ")
        if re.search(rf"\b{re.escape(over.removeprefix('over '))}\b", others):
            words = others  # how many prompts there are is said with their file
    picked: dict[str, set[str]] = {}
    columns: Sequence[Column] = ()
    for compared in (True, False):  # of a claim, or of an estimate
        with suppress(AssayError):
            columns = columns or condition(claim_condition, compared=compared).columns
    used = {c.name for c in columns}
    sites_read = {r.site for r in study.read if r.name in used or not columns}
    for site in {r.site for r in study.read if r.site} - sites_read:  # only other claims read there
        words = words.replace(f", read at {site}", "")
    for dim, level in (x for c in columns for x in c.levels):
        picked.setdefault(dim, set()).add(str(level))
    every = {dim for c in columns for dim in c.over}
    levels = {
        slot: [x for x in values if str(x) in picked.get(slot, ()) and slot not in every] or values
        for slot, values in _levels(study, {name for c in columns for name in (c.arm, c.name)})
    }
    return at_levels(words, levels)


def _levels(study: Study, names: Collection[str | None]) -> Iterator[tuple[str, Sequence[object]]]:
    """The levels of each slot in the tables of these names, or else in all tables."""
    changes = [interventions.expanded(t, study.direction) for t in study.intervene]
    tables: list[Any] = [*changes, *study.read, *study.probe]
    for slot in dict.fromkeys(name for t in tables for name in t.sweep):
        swept = [t for t in tables if slot in t.sweep]
        own = [t for t in swept if t.name in names]
        yield slot, [*dict.fromkeys(x for t in own or swept for x in t.sweep[slot])]


LEADLESS = "there is no clear lead to lose; to save the time, press Ctrl-C and choose other prompts"
LONG = 60.0
"""CPU-seconds above which a study is rehearsed; a shorter one reaches its refusals soon anyway."""


def _try(
    study: ModelStudy,
    part: Part,
    leads: Sequence[Claim],
    seed: int,
    device: str,
    tick: measuring.Tick,
) -> Iterator[str]:
    """Measure two prompts of an arm, and say which of these leads it lacks. Raises:
    ExperimentError, with the table that causes a refusal."""
    task, text = part.task, study.text
    if not isinstance(task, Task):
        return
    table = task.intervention
    keys = ("intervene", text.index("intervene", table.name)) if table else ("model", 0)
    try:
        measuring.rehearse(task, seed, study.folder, device, tick, STORE.get())
        if leads:
            yield from _leadless(task, leads, study.folder, device, tick)
    except AssayError as e:
        # a control that cannot be made is left out, with a note
        if part.control is None or not isinstance(e, DataError):
            raise text.error(keys, e) from e


def _saying(say: Callable[[str], None], where: str) -> measuring.Tick:
    """What says how many prompts have been measured, until all are."""

    def tick(finished: int, total: int) -> None:
        if finished < total:
            say(f"{where}: {finished} of {counted(total, 'prompt')}")

    return tick


def _tried(
    study: ModelStudy, arms: Collection[str], each: Mapping[str, float], runs: int
) -> list[Part]:
    """The arms that are tried before their runs, given what one run of each takes: none if all are
    quick."""
    if runs * sum(each.values()) < LONG:
        return []
    return [p for p in study.parts if p.label in arms and _is_rehearsed(study, p)]


def trial_seconds(
    study: ModelStudy, arms: Collection[str], each: Mapping[str, float], runs: int
) -> float:
    """CPU-seconds that it takes to try these arms before their runs, given what one run of each
    takes."""
    trials = [
        replace(p, task=measuring.rehearsal(p.task))
        for p in _tried(study, arms, each, runs)
        if isinstance(p.task, Task)
    ]
    return sum(model_study.own_seconds(study, p, 1) or 0.0 for p in trials)


def _leadless(
    task: Task, leads: Sequence[Claim], folder: Path, device: str, tick: measuring.Tick
) -> Iterator[str]:
    """Measure what these leads read in the unchanged model, and say which of them it lacks."""
    names = {lead.text.split()[0].rpartition(".")[2] for lead in leads}
    task = replace(task, reads=tuple(r for r in task.reads if r.name in names) or task.reads)
    about = (np.array([0]), folder, device, False, tick, STORE.get())
    measured, levels = measuring.measure(task, *about)
    arrays = {name: (dims.split(), x) for name, (dims, x, _) in measured.items()}
    for lead in leads:
        x: Any = lead.value(xr.Dataset(arrays, coords=levels), {})
        x = x.mean("run")
        units = [u for u in lead.units if u in x.dims]
        if not units:  # one run has no spread between runs
            continue
        i = interval({"x": x.transpose(*units, ...).values}, mean, factors=len(units))
        if i.low <= 0:
            shown = " ".join(estimate(i.estimate, i.low, i.high))
            n = counted(x.sizes[units[0]], units[0])
            yield f"{lead.text} is {shown} on these {n}: {LEADLESS}"


def _is_rehearsed(study: ModelStudy, part: Part) -> bool:
    """Whether an arm needs nothing that is trained first, and is not a control that draws a model
    or prompts."""
    task = part.task
    if not isinstance(task, Task) or isinstance(task, DamageTask) or inputs.used(study, task):
        return False
    if part.of and task.new_each_seed:
        return False
    names = {name for m in task.models for name in models.states(m)}
    return names.isdisjoint(study.trains)


def scope(study: ModelStudy, arms: Sequence[str]) -> str:
    """The models, prompts and sites to which verdicts generalise that read these arms."""
    parts = [p for p in study.parts if p.label in arms and not p.of] or study.parts[:1]
    tables = [m for p in parts for m in reversed(p.task.models)]
    phrases = [_models_in_words(study, [m for i, m in enumerate(tables) if m not in tables[:i]])]
    in_words, files = {}, [p.file for p in study.text.study.prompts]
    for part in parts:
        if isinstance(part.task, SaeTask):
            in_words[part.task.in_words] = part.task.in_words
            phrases += [f"a dictionary at {' and '.join(saes.reads_at(part.task.table))}"]
            continue
        for source in (part.task.prompts, part.task.than):
            if source is not None:
                table = source.table
                name = table.file or (table.name if part.task.than else "")
                if table.name != study.first.table.name and files.count(table.file) > 1:
                    name = f"{table.name} ({table.file})" if table.file else table.name
                file = f" of {name}" if name else ""
                which = f" where {source.selection.condition}" if source.selection else ""
                count = counted(len(part.task.rows), "prompt")
                stays = combined(source, part.task.rows) if study.frozen is None else []
                these = f" with {' and '.join(stays)}" if stays else ""
                in_words[table.name] = f"{count}{file}{which}{these}"
    phrases.append(" and ".join(in_words.values()))
    for intervention in (p.task.intervention for p in parts if p.task.intervention):
        name = interventions.named_direction(intervention)
        sites = [d.site for d in study.text.study.direction if d.name == name]
        site = intervention.site or next(iter(sites), "")
        places = [site] if isinstance(site, str) else [*site]
        others = (intervention.block, intervention.top, intervention.neurons, intervention.function)
        latents = _latents_in_words(study, intervention, name)
        if any(others) or not (any(places) or intervention.heads):
            phrases.append(f"with {interventions.in_words(intervention)}{latents}")
            continue
        if intervention.heads:
            places = [interventions.heads_in_words(intervention.heads)]
        token = interventions.token_in_words(intervention.position)
        place = "" if intervention.position == "all" else f", {token.removeprefix('the ')}"
        around = interventions.window_in_words(intervention)
        if any(places):
            phrases.append(f"changed at {', '.join(places)}{around}{place}{latents}")
    read_at = ((r.site, r.other_site) for p in parts for r in p.task.reads)
    phrases += [f"read at {site}" for source in read_at for site in source if site]
    return ", ".join(dict.fromkeys(phrases))


def _latents_in_words(study: ModelStudy, table: Intervention, direction: str) -> str:
    """Name the latents that are clamped or steered along, their dictionary and its site; "" where
    an intervention has none."""
    features = [d.feature for d in study.text.study.direction if d.name == direction and d.feature]
    if (feature := table.clamp or next(iter(features), None)) is None:
        return ""
    name, numbers = feature
    latents = [*numbers] if isinstance(numbers, tuple) else [numbers]
    words = f"latent{'s' * bool(latents[1:])} {', '.join(map(str, latents))} of {name}"
    words = f"in {name}" if table.clamp else words  # the change says which latents it clamps
    with suppress(AssayError):  # the dictionary has not been downloaded or trained yet
        trained = study.saes.get(name)
        sites = (
            saes.reads_at(trained)
            if trained
            else dictionaries.opened(name, study.folder, STORE.get()).sites
        )
        words += f", at {' and '.join(sites)}" if sites else ""
    return f" ({words})"


def _models_in_words(study: ModelStudy, tables: Sequence[Model]) -> str:
    """The models, and what each model's texts begin with, as far as they are available."""
    names, openings = map(model_phrase, tables), [_opening_in_words(study, m) for m in tables]
    if len({*openings}) == 1:
        return ", ".join(filter(None, [" and ".join(names), openings[0]]))
    each = zip(names, openings, strict=True)
    return " and ".join(", ".join(filter(None, pair)) for pair in each)


def _opening_in_words(study: ModelStudy, model: Model) -> str:
    try:
        folder = study.found(models.states(model)[0], model.bos)
        opening: Sequence[int] = folder.opening
        if first := next((p for p in study.prompts.values() if p.table.messages), None):
            sent = prompt(folder, first.rows[0])
            opening = sent.tokens[: sent.opening]
        return opening_in_words(folder, opening)
    except AssayError:  # not fetched yet; or refused where its prompts are read
        return "" if model.bos is None else "with a BOS" if model.bos else "without a BOS"
