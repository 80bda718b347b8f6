"""Asked: what composing wants to know of a study that asks models: arms and how they are measured,
specs, what runs read, how long they take, and for what verdicts speak."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from assay.ask import applying
from assay.ask.measure import (
    controls,
    damage,
    dictionaries,
    dry,
    measuring,
    models,
    own_code,
    places,
    probe_tasks,
    probes,
    prompts,
    sae_arms,
    saes,
    training,
)
from assay.ask.measure.damage import DamageTask
from assay.ask.measure.measuring import Measured
from assay.ask.measure.probe_tasks import ProbeTask
from assay.ask.measure.sae_arms import SaeTask
from assay.ask.measure.saes import Learning
from assay.ask.measure.seen import Prompt
from assay.ask.measure.tasks import Task
from assay.ask.part import AskedSpec, Part, ReadingsSpec
from assay.ask.tables import Read
from assay.ask.text import Text
from assay.ask.trained import Trained as TrainedParts
from assay.core import foreign
from assay.core.bench import Bench
from assay.core.columns import Axes
from assay.core.errors import AssayError, DataError
from assay.core.experiment import Arm
from assay.core.fit import Trained
from assay.core.heavy import xr
from assay.core.measures import measures
from assay.core.reading import LEFT_OUT
from assay.core.runs import Runs
from assay.data import corpus as corpora
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.fitting import fitted
from assay.lab.plan.plan import ROOT
from assay.lab.store.store import Store
from assay.subjects import chats
from assay.subjects.folder import ModelFolder, otherwise


class Asked(TrainedParts):
    """What a study asks of models, for whoever composes its experiment. Raises: ExperimentError
    with line and column, for what the text and its files show to be wrong."""

    def __init__(self, text: Text) -> None:
        super().__init__(text)
        applying.leave_out_reads(self)

    def controls_of(self, arm: str, measured: Sequence[str] = ()) -> tuple[Part, ...]:
        """The near controls of an arm, for a claim that reads these measures: those that could come
        out otherwise."""
        reads_named = [r for r in self.text.study.read if r.name in measured]

        def bears(part: Part) -> bool:
            stands_in = part.task.stands_in
            if stands_in == "heads":
                return bool(reads_named) and all(map(controls.names_a_head, reads_named))
            if stands_in == "position":
                return bool(reads_named) and all(map(controls.looks_at_a_slot, reads_named))
            if stands_in == "unrelated" and reads_named and not isinstance(part.task, SaeTask):
                return any(controls.varies(r, part.task.prompts) for r in reads_named)
            return True

        return tuple(
            p for p in self.parts if p.of == arm and bears(p) and p.label not in self.at_chance
        )

    @cached_property
    def at_chance(self) -> frozenset[str]:
        """The controls of probes that their prompts keep at chance, whatever the model does: they
        are not counted as beaten. Of what was frozen none is left out."""
        labels: set[str] = set()
        for part in self.parts if self.frozen is None else ():
            if not isinstance(part.task, ProbeTask) or part.control:
                continue
            try:
                folder = self.found_of(part, part.task.model.bos)
            except AssayError:  # reported where what it reads is asked for
                continue
            labels |= {f"{part.label}/{name}" for name in places.at_chance(part.task, folder)}
        return frozenset(labels)

    @property
    def shared(self) -> models.AsTheyAre | None:
        """What workers share: the models, where there are some."""
        return models.AsTheyAre(tuple(self.models), self.folder) if self.models else None

    @cached_property
    def by_label(self) -> Mapping[str, Part]:
        """The parts by the names of their arms."""
        return {p.label: p for p in self.parts}

    @cached_property
    def done(self) -> frozenset[str]:
        """The arms in which something is done to a model: what a sentence that names one is
        about."""
        return frozenset(
            p.label
            for p in self.parts
            if p.task.intervention
            or p.task.is_difference
            or (isinstance(p.task, SaeTask) and not p.of)
        ) - {"main"}

    def specs(self, preset: str, seeds: Sequence[int]) -> tuple[AskedSpec, ...]:
        """The specs of the arm main at a preset."""
        if not self.parts:
            return ()
        some = seeds[:2] if preset == "smoke" else seeds
        return tuple(self.parts[0].spec(s, smoke=preset == "smoke") for s in some)

    def arms(self) -> dict[str, Arm[Any]]:
        """The arms: nothing is trained, everything is measured."""

        return {
            part.label: Arm(
                _nothing,
                specs=part.specs,
                measure=self._measure(part),
                note=part.told,
                learned=self._learned(part),
                levels=_levels(part.task),
                brings=tuple(p.label for p in self.parts if p.of == part.label),
            )
            for part in self.parts
        }

    def _learned(self, part: Part) -> tuple[str, ...]:
        """What is credited and was learned in an arm, by the names of arms: in a control all but
        its own, in an untrained model all but what it is like."""
        lacks = {part.of}
        if part.task.model.like and not part.of:
            arms = {
                models.states(m)[0]: m.label if i else "main"
                for i, m in enumerate(self.models)
                if not m.like
            }
            lacks |= {arms.get(part.task.model.like, "")}
        return tuple(p.label for p in self.parts if not p.of and p.label not in lacks)

    def _measure(self, part: Part) -> Callable[[Runs[AskedSpec], Trained, Bench], xr.Dataset]:
        """Measure an arm, unless the store has all of it by content, from this study or another."""

        def measure(runs: Runs[AskedSpec], trained: Trained, bench: Bench) -> xr.Dataset:
            def build(path: Path) -> None:
                smoke = runs.shared.smoke
                task = self.ready(bench, part.task, smoke=smoke)
                if isinstance(task, SaeTask):
                    place = models.located(self.folder, task.model.name)

                    def learning(seed: int) -> Learning:
                        return self.learning(
                            task.table.name, place, seed, control=task.control, smoke=smoke
                        )

                    tell = partial(bench.report, unit="dictionaries")
                    _save(path, *sae_arms.measure(task, learning, runs.seeds, bench, tell))
                    return
                try:
                    measured, coords = engine(task).measure(
                        task,
                        runs.seeds,
                        self.folder,
                        str(bench.device),
                        smoke,
                        lambda done, total: bench.report(done, total, "prompts"),
                        bench.root,
                    )
                except DataError as e:
                    if part.control is None:
                        raise
                    why = " ".join(str(e).split())
                    measured = {LEFT_OUT: ("run why", np.ones((len(runs.seeds), 1)), "1")}
                    coords = {"why": [why]}
                _save(path, measured, coords)

            path = bench.artefact(self._readings(part, runs), build)
            measured, coords = _load(path, len(runs.seeds))
            return measures(runs, coords=coords, **measured)

        return measure

    def _readings(self, part: Part, runs: Runs[AskedSpec]) -> ReadingsSpec:
        """What runs of an arm measure, by content."""
        names = [models.states(m) for m in part.task.models]
        hashes = [[self._hash(n) for n in group] for group in names]
        read = self.inputs(runs.specs[0])
        files = {n: h for n, h in read.items() if n.split()[0] not in ("model", "prompts")}
        return part.readings(runs, hashes, files)

    def stored(self, store: Store, arm: str, seeds: Sequence[int], *, smoke: bool) -> bool:
        """Whether a store has by content what these runs of an arm measure, from any study."""
        part = self.by_label[arm]
        runs = Runs(tuple(part.spec(seed, smoke=smoke) for seed in seeds))
        return store.built(self._readings(part, runs)) is not None

    def measured(self, part: Part) -> dict[str, Axes]:
        """What an arm measures, with its dimensions and their levels."""
        axes = partial(engine(part.task).axes, part.task)
        known: dict[str, Axes] = self.once(("measured", part.label), axes)
        return known

    def range_of(self, arm: str, measure: str) -> tuple[float | None, float | None]:
        """The least and greatest number that a measure of an arm can be; None for no end."""
        return self.by_label[arm].task.range_of(measure)

    def is_of_first(self, part: Part) -> bool:
        """Whether an arm is the first model's own or a dictionary's, and nobody's control: it is
        checked though no statement names it."""
        own = part.task.models == self.models[:1] or isinstance(part.task, SaeTask)
        return part.control is None and own

    def check(self, part: Part) -> None:
        """Refuse what can be known to be wrong of an arm before a model is opened; remember what
        the author should know. Raises: ExperimentError, with the place and the model."""
        if not isinstance(part.task, SaeTask):
            words = [dry.split_in_words(part.task), dry.few_in_words(part.task)]
            self.remarks += [w for w in words if w not in ("", *self.remarks)]
        for model in part.task.models:
            for name in models.states(model):
                try:
                    folder = self.found(name, model.bos)
                except AssayError:  # told where what it reads is asked for
                    if name in self.trains and not self.trains[name].of:
                        self._check_places(part, training.shell(self._located(self.trains[name])))
                    continue
                who = f"model {model.label or name}: " if len(self.models) > 1 else ""
                remarks = self._check(part, folder, who)
                self.remarks += [r for r in remarks if r not in self.remarks]

    def _check_places(self, part: Part, folder: ModelFolder) -> None:
        """Refuse sites and heads that a model from nothing will not have; it has no tokens yet."""
        study, task = self.text.study, part.task
        if isinstance(task, SaeTask):
            self._check(part, folder, "")
        elif isinstance(task, ProbeTask):
            names = [p.name for p in study.probe]
            with self._located_in("", "probe", names.index(task.table.name)):
                probe_tasks.check_sites(task, folder)
        else:
            for read in task.reads:
                with self._located_in("", "read", study.read.index(read)):
                    dry.check_read(read, folder)
            if task.intervention is not None:
                i = [t.name for t in study.intervene].index(task.intervention.name)
                with self._located_in("", "intervene", i):
                    dry.check_places(task, folder)

    def _check(self, part: Part, folder: ModelFolder, who: str) -> list[str]:
        study, task = self.text.study, part.task
        remarks: list[str] = []
        if isinstance(task, SaeTask):
            with self._located_in(who, "train", self._place(task.table.name), "site"):
                saes.check(task.table, folder)
            return []
        if isinstance(task, Task) and not task.model.like:
            with self._located_in(who, "model", 0):
                models.check_weights(task.model, folder)
        remarks += dry.taken_in_words(task, folder)
        if isinstance(task, Task) and task.than is not None:
            side = dataclasses.replace(task, prompts=task.than, than=None)
            remarks += self._check(dataclasses.replace(part, task=side), folder, who)
        names = [t.name for t in study.prompts]
        with self._located_in(who, "prompts", names.index(task.prompts.table.name)):
            at = (folder, task.prompts.table.name, *task.rows)
            asked = (*at, *(r.name for r in task.reads))
            rows = self.once(asked, partial(dry.prompts_of, task, folder))
        if isinstance(task, ProbeTask):
            names = [t.name for t in study.probe]
            with self._located_in(who, "probe", names.index(task.table.name)):
                probe_tasks.check_sites(task, folder)
                if not part.control:
                    probe_tasks.check_prompts(task, folder)
            return probe_tasks.remarks(task)
        if part.control is None:
            remarks += [*prompts.remarks(task.prompts), *dry.first_tokens(task, rows)]
            remarks += dry.means_in_words(task, rows)
            remarks += dry.special_tokens(task, folder)
            remarks += dry.ends_in_words(task, folder)
            texts = [*dict.fromkeys(row.text for row in task.prompts.rows)]
            remarks += [said] if (said := otherwise(folder, texts)) else []
        for read in task.reads if part.control is None else ():
            with self._located_in(who, "read", study.read.index(read)):
                remarks += self.remarks_of(task, read, folder)
        opened = cache(partial(self._opened, folder))
        code = partial(own_code.load, folder=self.folder)
        if task.intervention is not None:
            i = [t.name for t in study.intervene].index(task.intervention.name)
            where = next((k for k in ("heads", "site") if getattr(task.intervention, k)), "name")
            with self._located_in(who, "intervene", i, where):
                check = partial(dry.check_intervention, task, rows, folder, opened, code)
                self.once(
                    (*at, "intervene", task.intervention.name), check
                )  # as its controls have it
        return remarks

    def remarks_of(self, task: Task, read: Read, folder: ModelFolder) -> list[str]:
        """What to know of a read on the prompts of a task. Raises: AssayError where it cannot be
        read."""

        def ready() -> list[str]:
            opened = cache(partial(self._opened, folder))
            code = partial(own_code.load, folder=self.folder)
            rows = dry.prompts_of(task, folder)
            return _remarks(task, read, rows, folder, opened, code)

        key = (folder, task.prompts.table.name, *task.rows, "read", read.name)
        found: list[str] = self.once(key, ready)
        return found

    def _opened(self, folder: ModelFolder, name: str) -> Dictionary:
        """A dictionary by its name; of one that the study trains as much as is known before."""
        if name in self.saes:
            return saes.blank(self.saes[name], folder)
        return fitted(name, dictionaries.opened(name, self.folder, ROOT.get()), folder)

    def _place(self, name: str) -> int:
        """Which of the trainings has this name."""
        return [t.name for t in self.text.study.train].index(name)

    @contextmanager
    def _located_in(self, who: str, *keys: str | int) -> Iterator[None]:
        """Tell where in the file that stands which leads to a refusal, and of which model it
        is."""
        try:
            yield
        except AssayError as e:
            raise self.text.error(keys, f"{who}{e}") from e

    def inputs(self, spec: AskedSpec) -> Mapping[str, str]:
        """What a run reads: the contents of models and prompts. Raises: ExperimentError."""
        return self.once(("inputs", spec.asked), partial(self._inputs, json.loads(spec.asked)))

    def _inputs(self, about: Mapping[str, Any]) -> Mapping[str, str]:
        """The contents of what is read by all specs that ask the same."""
        names = list(dict.fromkeys(itertools.chain.from_iterable(about["models"])))
        digests = {f"model {name}" if names[1:] else "model": self._hash(name) for name in names}
        digests |= {f"prompts {n}": self.prompts[n].digest for n in about["prompts"]}
        for read in about.get("reads", ()):
            if name := (read.get("feature") or [read.get("jaccard", "")])[0]:
                i = [r.name for r in self.text.study.read].index(read["name"])
                with self.text.located("read", i):
                    digests[f"dictionary {name}"] = self._content(name)
        read_by = {d["feature"][0] for d in about.get("directions", ()) if "feature" in d}
        if clamp := (about.get("intervention") or {}).get("clamp"):
            read_by.add(clamp[0])
        digests |= {f"dictionary {n}": h for n, h in self._dictionaries.items() if n in read_by}
        entries = [("read", r) for r in about.get("reads", ())]
        entries += [("intervene", about.get("intervention") or {})]
        for kind, entry in (e for e in entries if e[1].get("function")):
            i = [t.name for t in getattr(self.text.study, kind)].index(entry["name"])
            with self.text.located(kind, i, "function"):
                name = entry["function"]
                digests[f"code {name}"] = own_code.digest(name, self.folder)
        if table := about.get("probe"):
            probe = next(p for p in self.text.study.probe if p.name == table["name"])
            with self.text.located("probe", self.text.study.probe.index(probe), "dictionary"):
                known = {name: self._content(name) for name in probes.named([probe])}
            digests |= {f"dictionary {n}": content for n, content in known.items()}
        for i, name in enumerate(names if self._has_chats(about["prompts"]) else ()):
            digests[f"chat template {i}"] = chats.read(self.chat_folder(name).texts).digest
        if table := about.get("trained"):
            digests["corpus"] = corpora.load(about["text"]).fingerprint if about["text"] else ""
        return {name: content for name, content in digests.items() if content}

    def _has_chats(self, names: Sequence[str]) -> bool:
        """Whether any of these prompts are chats."""
        return any(self.prompts[name].table.messages for name in names)

    def chat_folder(self, name: str) -> ModelFolder:
        """The folder with the chat template of a model: of one that the study trains further, that
        with which it begins."""
        while name in self.trains and self.trains[name].of:
            of = self.trains[name].of
            name = next((models.states(m)[0] for m in self.models if of in (m.label, m.name)), of)
        return self.found(name)

    def _content(self, name: str) -> str:
        """What identifies a dictionary. Raises: DataError, ExperimentError."""
        if name in self.saes:
            return self.dictionary_hash(name)
        return dictionaries.source(name, self.folder, ROOT.get()).sha256

    @cached_property
    def _dictionaries(self) -> Mapping[str, str]:
        """The contents of the dictionaries whose features are directions or clamped, by name."""
        contents: dict[str, str] = {}
        for table, i, feature in (
            *(("direction", i, d.feature) for i, d in enumerate(self.text.study.direction)),
            *(("intervene", i, t.clamp) for i, t in enumerate(self.text.study.intervene)),
        ):
            if feature is not None:
                with self.text.located(table, i):
                    contents[feature[0]] = self._content(feature[0])
        return contents

    def _hash(self, name: str) -> str:
        """What identifies a model; one that is not here is told with its place."""
        try:
            return self.model_hash(name)
        except AssayError as e:
            if name in self.trains:
                raise
            tables = enumerate(self.text.study.model)
            keys = ("checkpoints", "name", "like")
            places = [
                (i, key)
                for i, m in tables
                for key in keys
                if (name in m.checkpoints if key == "checkpoints" else getattr(m, key) == name)
            ]
            raise self.text.error(("model", *places[0]) if places else ("model",), e) from e

    def found_of(self, part: Part, bos: bool | None = None) -> ModelFolder:
        """The folder of the model of an arm, or of the first of its states. Raises: AssayError."""
        return self.found(models.states(part.task.model)[0], bos)

    def left_out(self, arms: Mapping[str, Any]) -> list[str]:
        """The arms that do not run, since no statement names or needs them."""
        return [p.label for p in self.parts if p.label not in arms]


def _remarks(
    task: Task,
    read: Read,
    rows: Sequence[Prompt],
    folder: ModelFolder,
    opened: Callable[[str], Dictionary],
    code: Callable[[str], Callable[..., Any]],
) -> list[str]:
    """What to know of a read on these prompts. Raises: DataError where it cannot be read."""
    dry.check_projection(read, task, folder)
    return [*measuring.remarks(task, read, rows, opened, code)]


def _save(path: Path, measured: Measured, coords: Mapping[str, list[Any]]) -> None:
    """Write what was measured: the numbers, and what they are."""
    about = {name: [dims, unit] for name, (dims, _, unit) in measured.items()}
    (path / "about.json").write_text(json.dumps({"measured": about, "coords": coords}))
    np.savez(path / "numbers.npz", **{name: array for name, (_, array, _) in measured.items()})


def _load(path: Path, runs: int) -> tuple[Measured, dict[str, list[Any]]]:
    """Read what was measured, for so many runs; where nothing is drawn all have the same."""
    about = json.loads(foreign.read_stored(path / "about.json"))
    measured: Measured = {}
    with np.load(path / "numbers.npz") as numbers:
        for name, (dims, unit) in about["measured"].items():
            array = numbers[name]
            array = np.repeat(array[:1], runs, 0) if len(array) != runs else array
            measured[name] = (dims, array, unit)
    return measured, about["coords"]


def engine(task: Task | ProbeTask | SaeTask) -> Any:
    """What measures a task."""
    if isinstance(task, SaeTask):
        return sae_arms
    if isinstance(task, DamageTask):
        return damage
    return probes if isinstance(task, ProbeTask) else measuring


def _levels(task: Task | ProbeTask | SaeTask) -> dict[str, int]:
    """How many units an arm has, where that is known before it is measured."""
    if isinstance(task, SaeTask) and not task.source:
        return {}
    return {task.unit: len(task.levels)}


def _nothing(runs: Runs[Any], bench: Bench) -> Trained:
    return Trained.nothing(runs)
