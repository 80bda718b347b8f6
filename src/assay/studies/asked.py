"""Asked: the models that a study asks, as arms: each intervention, and beside it its near
controls."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from assay.ask import (
    controls,
    dictionaries,
    directions,
    dry,
    interventions,
    measuring,
    models,
    probe_tasks,
    probes,
    prompts,
    reads,
    training,
    untouched,
)
from assay.ask.controls import Control
from assay.ask.measuring import Measured, Task, said
from assay.ask.probe_tasks import MAJORITY, ProbeTask
from assay.ask.prompts import PromptSet
from assay.ask.tables import Diff, Intervention, Model, Probe, Train
from assay.core import foreign
from assay.core.bench import Bench
from assay.core.columns import Axes
from assay.core.errors import AssayError, ExperimentError, nearest
from assay.core.experiment import Arm, Cost
from assay.core.fit import Trained
from assay.core.heavy import xr
from assay.core.judging import FEWEST_ALONE
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.core.spec import Spec
from assay.data.names import model_in_words
from assay.lab.plan.plan import ROOT
from assay.lab.store.store import Store
from assay.studies.text import Study, Text
from assay.subjects import sizes
from assay.subjects.folder import ModelFolder, find, fingerprint

LOADING, DRAWING = 5.0, 2e-8
"""CPU-seconds to load a model, and to draw a weight."""


@dataclass(frozen=True, kw_only=True)
class AskedSpec(Spec):
    """What one arm measures, in words that decide every number; contents are among what the run
    reads."""

    model: str = ""
    asked: str = ""
    """Models, prompts, reads, intervention, control and directions, as JSON."""
    smoke: bool = False
    reading: int = 1
    """Raised when the same words come to mean other numbers."""


@dataclass(frozen=True, kw_only=True)
class ReadingsSpec(Spec):
    """What was measured, by content alone: whichever study asks for it again has it."""

    asked: str
    """As `AskedSpec.asked`, with hashes in place of the names of models and prompts."""
    seeds: tuple[int, ...]
    """Those of the runs; none where nothing is drawn."""
    smoke: bool
    reading: int


@dataclass(frozen=True)
class Part:
    """One arm of a study that asks a model."""

    label: str
    """What the arm is called."""
    task: Task | ProbeTask
    control: Control | None = None
    of: str = ""
    """The arm whose control it is."""

    @property
    def why(self) -> str:
        """What it would explain, of a control."""
        return self.control.why if self.control else ""

    @property
    def told(self) -> str:
        """What it is, in a line."""
        task = self.task
        name = f"{_called(task.model)}{f' less {_called(task.less)}' if task.less else ''}"
        return f"{name}, {task.phrase}{f'; {self.why}' if self.why else ''}"

    def spec(self, seed: int, *, smoke: bool = False) -> AskedSpec:
        """The spec of one run."""
        told: dict[str, Any] = {
            **self.task.words,
            "models": [list(models.states(m)) for m in self.task.models],
            "prompts": [p.table.name for p in self.task.sets],
        }
        words = json.dumps(told, sort_keys=True, ensure_ascii=False)
        model = self.task.model
        name = f"untrained {model.like}" if model.like else models.states(model)[0]
        return AskedSpec(seed=seed, model=name, asked=words, smoke=smoke)

    def readings(
        self, runs: Runs[AskedSpec], hashes: Sequence[Sequence[str]], files: Mapping[str, str]
    ) -> ReadingsSpec:
        """What its runs measure, by the hashes of its models, and of other files by name."""
        words = {
            **self.task.words,
            "models": hashes,
            "files": files,
            "prompts": [p.digest for p in self.task.sets],
            "levels": [models.levels(m) for m in self.task.models],
        }
        if table := self.task.intervention:
            words["intervention"] = said(msgspec.structs.replace(table, name="", prompts=""))
        return ReadingsSpec(
            asked=json.dumps(words, sort_keys=True, ensure_ascii=False),
            seeds=tuple(map(int, runs.seeds)) if self.task.drawn else (),
            smoke=runs.shared.smoke,
            reading=runs.shared.reading,
        )


def _called(model: Model) -> str:
    """A model in a sentence."""
    for name, words in ((model.name, "{}"), (model.like, "the untrained twin of {}")):
        if name.startswith(training.PREFIX):
            return words.format(name.partition(": ")[2])
    if model.checkpoints:
        states = f"{len(model.checkpoints)} checkpoints, {', '.join(model.checkpoints)}"
        return f"the untrained twin of {states}" if model.like else states
    if model.like:
        return f"the untrained twin of {model_in_words(model.like)}"
    return model_in_words(model.name)


class Asked:
    """What a study asks of models. Raises: ExperimentError with line and column, for what the text
    and its files show to be wrong."""

    def __init__(self, text: Text) -> None:
        self.text, study = text, text.study
        self.folder = text.path.parent
        self.trains = {training.name_of(t): t for t in study.train}
        self.models, self.parts, self.remarks = self._resolved(), list[Part](), list[str]()
        if not study.model:
            return
        self._refuse_duplicates()
        self.prompts: dict[str, PromptSet] = {}
        for i, entry in enumerate(study.prompts):
            with text.located("prompts", i):
                self.prompts[entry.name] = prompts.load(entry, self.folder)
        if not self.prompts:
            raise text.error(
                ("model",), 'a model is asked something: write [[prompts]] and text = "…"'
            )
        for i, direction in enumerate(study.direction):
            with text.located("direction", i):
                directions.check(direction)
        for i, read in enumerate(study.read):
            with text.located("read", i):
                reads.check(read, study.direction)
        if not study.read and not study.probe:
            what = (
                'something is read: write [[read]], a name and log_prob = " yes", say; or [[probe]]'
            )
            raise text.error(("model",), what)
        for i, table in enumerate(study.train):
            with text.located("train", i):
                training.check(table, list(self.prompts))
        if study.intervene and not study.read:
            what = 'something is read under it: write [[read]], a name and log_prob = " yes", say'
            raise text.error(("intervene", 0), what)
        self.first = next(iter(self.prompts.values()))
        with text.located("read", 0):
            taken = {name: i.name for i in study.intervene for name in i.sweep}
            taken |= {p.unit: p.table.name for p in self.prompts.values()}
            reads.check_sweeps(study.read, taken | dict.fromkeys(("run", "seed"), "each run"))
        for m, model in enumerate(self.models):
            if study.read:
                self._ask(m, model)
            for i, probe in enumerate(study.probe):
                with text.located("probe", i):
                    self.parts += self._probe(self._prefix(m, model), model, probe)
        for i, diff in enumerate(study.diff):
            with text.located("diff", i):
                self._compare(i, diff)

    def _probe(self, prefix: str, model: Model, table: Probe) -> list[Part]:
        """The arms of a probe in a model; before the first of a study that reads nothing else what
        it takes to be better than: the most frequent label."""
        for name in (n for n in (table.prompts, table.test) if n and n not in self.prompts):
            hint = nearest(name, self.prompts)
            raise ExperimentError(f"there are no prompts {name!r}; {hint}")
        source = self.prompts.get(table.prompts, self.first)
        task = ProbeTask(model, table, source, self.prompts.get(table.test))
        probe_tasks.check(task)
        parts, name = [Part(f"{prefix}{table.name}", task)], f"{prefix}{table.name}"
        for control in controls.of_probe(table, trained=not model.like):
            mine = dataclasses.replace(task, control=control.name)
            parts.append(Part(f"{name}/{control.name}", mine, control, name))
        if not self.parts:
            plain = msgspec.structs.replace(table, sweep={})
            parts.insert(0, Part("main", ProbeTask(model, plain, source, task.test, MAJORITY)))
        return parts

    def _resolved(self) -> tuple[Model, ...]:
        """The models, each twin with the name of the model that it is like."""
        tables = self.text.study.model
        for i, model in enumerate(tables):
            with self.text.located("model", i):
                models.check(model)
        by_name = {name: m for m in reversed(tables) for name in (m.name, m.label) if name}
        resolved = []
        for i, model in enumerate(tables):
            other = by_name.get(model.like) if model.like else None
            if other is not None and other.like:
                what = f"{model.like!r} is untrained itself; name the model that both are like"
                raise self.text.error(("model", i, "like"), what)
            like = models.states(other)[0] if other else model.like
            resolved.append(msgspec.structs.replace(model, like=like))
        for i, table in enumerate(self.text.study.train):
            other = by_name.get(table.of)
            if other is None or not other.name:
                hint = nearest(table.of, [n for n, m in by_name.items() if m.name])
                what = f"there is no model {table.of!r} with weights of its own; {hint}"
                raise self.text.error(("train", i, "of"), what)
            resolved.append(Model(name=training.name_of(table), label=table.name))
        return tuple(resolved)

    def _folder(self, name: str) -> str:
        """Where a model lies; of one that the study trains, that which it begins as, of the same
        tokens and shapes."""
        if start := self._start(Model(name=name)):
            name = start.name
        return models.located(self.folder, name)

    def _start(self, model: Model) -> Model | None:
        """The model of which this one is known to be a change: what it was trained from, or the
        first of its states."""
        if model.name in self.trains:
            of = self.trains[model.name].of
            return next(m for m in self.models if of in (m.name, m.label))
        return Model(name=model.checkpoints[0]) if model.checkpoints[1:] else None

    def _tuning(self, name: str) -> tuple[Train, str, PromptSet | None]:
        """How a model is trained, with its text where it lies: from which folder, on which
        prompts."""
        table = self.trains[name]
        table = msgspec.structs.replace(table, text=models.located(self.folder, table.text))
        return table, self._folder(name), self.prompts.get(table.prompts)

    def _trained_by(self, bench: Bench, task: Task | ProbeTask) -> Task | ProbeTask:
        """A task with the folders of the models that the study trains, trained now or before."""

        def ready(model: Model) -> Model:
            if model.like in self.trains:
                return msgspec.structs.replace(model, like=self._folder(model.like))
            if model.name not in self.trains:
                return model
            tuning = self._tuning(model.name)

            def build(path: Path) -> None:
                training.train(*tuning, str(bench.device), path, bench.report)

            path = bench.artefact(training.spec(*tuning), build)
            return msgspec.structs.replace(model, name=str(path))

        if isinstance(task, ProbeTask):
            return dataclasses.replace(task, model=ready(task.model))
        less, start = (ready(m) if m else None for m in (task.less, task.start))
        return dataclasses.replace(task, model=ready(task.model), less=less, start=start)

    def _ask(self, m: int, model: Model) -> None:
        """Add the arms of one model: as it is, and under each intervention."""
        text, study = self.text, self.text.study
        prefix = self._prefix(m, model)
        main = prefix.rstrip("/") or "main"
        self.parts.append(Part(main, self._task(model)))
        key = ("model", m, "controls") if m < len(study.model) else ("train", m - len(study.model))
        with text.located(*key):
            start = self._start(model)
            known = untouched.of_model(
                study.read,
                self.first,
                untrained=bool(model.like),
                changed=start is not None,
            )
            near = controls.chosen(main, known, model.controls)
        twin = _untwinned(model) if model.like else _twin(model)
        for control in near:
            task = self._task(
                twin if control in (untouched.UNTRAINED, untouched.TRAINED) else model
            )
            task = dataclasses.replace(task, start=start if control == untouched.CHANGED else None)
            self._add_control(main, control, task)
        for i, table in enumerate(study.intervene):
            with text.located("intervene", i):
                interventions.check(table, study.direction)
                table = interventions.expanded(table, study.direction)
                name = f"{prefix}{table.name}"
                task = self._task(model, table)
                self.parts.append(Part(name, task))
                for control in controls.of_intervention(table, study.direction):
                    changed = dataclasses.replace(task, control=control.name)
                    self.parts.append(Part(f"{name}/{control.name}", changed, control, name))

    def _compare(self, i: int, diff: Diff) -> None:
        """Add the arms of a difference between two models."""
        study = self.text.study
        first, second = (self._model(i, name) for name in diff.models)
        if first == second:
            raise self.text.error(("diff", i, "models"), "a model less itself is 0")
        if (steps := models.levels(first)) and steps != models.levels(second):
            what = "the first has checkpoints and the second not the same ones; give both the same"
            raise self.text.error(("diff", i, "models"), what)
        task = self._task(second)
        if diff.intervention:
            names = [t.name for t in study.intervene]
            if diff.intervention not in names:
                hint = nearest(diff.intervention, names)
                what = f"there is no intervention {diff.intervention!r}; {hint}"
                raise self.text.error(("diff", i, "intervention"), what)
            task = self._task(second, study.intervene[names.index(diff.intervention)])
        task = dataclasses.replace(task, model=second, less=first)
        names = [self._folder(models.states(m)[0]) for m in (first, second)]
        if any(r.kl for r in task.reads) and not models.same_tokens(*names):
            task = dataclasses.replace(task, reads=tuple(r for r in task.reads if not r.kl))
        self.parts.append(Part(diff.name, task))
        table = task.intervention
        pairs = table is not None and bool(table.patch)  # whose source is the prompt's own pair
        known = untouched.of_diff(
            () if pairs else task.reads, task.prompts, same_shape=models.same_shape(*names)
        )
        for control in controls.chosen(diff.name, known, diff.controls):
            other = task
            if control == untouched.CHANGED:
                other = dataclasses.replace(task, start=first)
            elif control == untouched.TWINS:
                one, two = (m if m.like else _twin(m) for m in (first, second))
                other = dataclasses.replace(task, model=two, less=one)
            self._add_control(diff.name, control, other)

    def _add_control(self, of: str, control: Control, task: Task) -> None:
        """Add a control of models as they are, or of their difference."""
        stands_in: Any = control.name if control.name in ("unrelated", "shuffled") else ""
        task = dataclasses.replace(task, stands_in=stands_in)
        self.parts.append(Part(f"{of}/{control.name}", task, control, of))

    def _model(self, i: int, name: str) -> Model:
        """The model that a difference names."""
        by_name = {"main": self.models[0], self.models[0].name: self.models[0]}
        by_name |= {m.label: m for m in self.models if m.label}
        if name not in by_name:
            hint = nearest(name, [n for n in by_name if n])
            raise self.text.error(("diff", i, "models"), f"there is no model {name!r}; {hint}")
        return by_name[name]

    def _prefix(self, m: int, model: Model) -> str:
        if not m:
            return ""
        if not model.label:
            what = (
                'a second model needs a label, before the names of its arms: label = "tuned", say'
            )
            raise self.text.error(("model", m, "label"), what)
        return f"{model.label}/"

    def _task(self, model: Model, table: Intervention | None = None) -> Task:
        """What an arm measures in a model under an intervention."""
        study = self.text.study
        measured = self.first
        if table is not None and table.prompts:
            if table.prompts not in self.prompts:
                hint = nearest(table.prompts, self.prompts)
                raise ExperimentError(f"there are no prompts {table.prompts!r}; {hint}")
            measured = self.prompts[table.prompts]
        return Task(
            model,
            measured,
            study.read,
            table,
            directions=study.direction,
            sources=self.prompts,
        )

    def _refuse_duplicates(self) -> None:
        study = self.text.study
        names: dict[str, list[str]] = {"arm": ["main"]}
        for table in ("prompts", "read", "direction", "intervene", "diff"):
            kind = "arm" if table in ("intervene", "diff") else table
            for i, entry in enumerate(getattr(study, table)):
                if entry.name in names.setdefault(kind, []):
                    what = f"the name {entry.name!r} is taken by another {kind}; choose another"
                    raise self.text.error((table, i, "name"), what)
                names[kind].append(entry.name)
        labels = [m.label for m in study.model]
        for i, train in enumerate(study.train):
            if train.name in (*labels, *names["arm"], *(t.name for t in study.train[:i])):
                what = f"the name {train.name!r} is taken by another model or arm; choose another"
                raise self.text.error(("train", i, "name"), what)
        for i, label in enumerate(labels):
            if label and (label in labels[:i] or label in names["arm"]):
                what = f"the label {label!r} is taken by another model or arm; choose another"
                raise self.text.error(("model", i, "label"), what)

    # what composing asks --------------------------------------------------------------------------

    def controls_of(self, arm: str, measured: Sequence[str] = ()) -> tuple[Part, ...]:
        """The near controls of an arm, for a claim that reads these measures: those that could come
        out otherwise."""
        asked = [r for r in self.text.study.read if r.name in measured]
        return tuple(
            p
            for p in self.parts
            if p.of == arm
            and (
                p.task.stands_in != "unrelated"
                or not asked
                or any(untouched.varies(r, p.task.prompts) for r in asked)
            )
        )

    @cached_property
    def by_label(self) -> Mapping[str, Part]:
        """The parts by the names of their arms."""
        return {p.label: p for p in self.parts}

    @cached_property
    def done(self) -> frozenset[str]:
        """The arms in which something is done to a model: what a sentence that names one is
        about."""
        return frozenset(p.label for p in self.parts if p.task.intervention or p.task.less)

    def specs(self, preset: str, seeds: Sequence[int]) -> tuple[AskedSpec, ...]:
        """The specs of the arm main at a preset."""
        if not self.parts:
            return ()
        some = seeds[:2] if preset == "smoke" else seeds
        return tuple(self.parts[0].spec(s, smoke=preset == "smoke") for s in some)

    def arms(self) -> dict[str, Arm[Any]]:
        """The arms: nothing is trained, everything is measured."""

        def specs(part: Part) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
            return lambda base: tuple(part.spec(s.seed, smoke=s.smoke) for s in base)

        return {
            part.label: Arm(
                _nothing,
                specs=specs(part),
                measure=self._measure(part),
                note=part.told,
                learned=self._learned(part),
                levels={part.task.prompts.unit: len(part.task.levels)},
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
                task = self._trained_by(bench, part.task)
                measured, coords = _engine(task).measure(
                    task,
                    runs.seeds,
                    self.folder,
                    str(bench.device),
                    runs.shared.smoke,
                    lambda done, total: bench.report(done, total, "prompts"),
                    bench.root,
                )
                _save(path, measured, coords)

            path = bench.artefact(self._readings(part, runs), build)
            measured, coords = _load(path, len(runs.seeds))
            return measures(runs, coords=coords, **measured)

        return measure

    def _readings(self, part: Part, runs: Runs[AskedSpec]) -> ReadingsSpec:
        """What runs of an arm measure, by content."""
        names = [models.states(m) for m in part.task.models]
        hashes = [[self._hash(n) for n in own] for own in names]
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
        return _engine(part.task).axes(part.task)

    def range_of(self, arm: str, measure: str) -> tuple[float | None, float | None]:
        """The least and greatest number that a measure of an arm can be; None for no end."""
        return self.by_label[arm].task.range_of(measure)

    def units(self, arms: Sequence[str]) -> tuple[str, ...]:
        """Over what a claim about these arms generalises: over prompts, or the column that parts
        them, and over seeds where something is drawn in one of the arms."""
        about = [self.by_label[a] for a in arms if a in self.by_label]
        unit = about[0].task.prompts.unit if about else "prompt"
        return ("seed", unit) if any(p.task.drawn for p in about) else (unit,)

    def proposed(self, arm: str, measure: str, runs: int) -> dict[str, Any]:
        """What a claim about one measure of a probe is given where it says nothing: the value where
        there is nothing to be told; and where there are enough units, so that seeds, whose draws
        overlap, need not be generalised over, these alone, with their bounds."""
        task = self.by_label[arm].task if arm in self.by_label else None
        if not isinstance(task, ProbeTask):
            return {}
        if measure == "balanced_accuracy":
            return {"empty": 1 / len(task.classes)}
        if measure != "accuracy":
            return {}
        unit = task.prompts.unit
        proposed: dict[str, Any] = {"empty": task.chance}
        if len(set(task.prompts.units(task.rows))) >= FEWEST_ALONE:
            fixed = f"{runs} draws of what is learned from"
            proposed |= {"units": (unit,), "bounds": (0.0, 1.0), "fixed": (fixed,)}
        return proposed

    def is_of_first(self, part: Part) -> bool:
        """Whether an arm is the first model's own, and nobody's control: it is checked though no
        statement names it."""
        return part.control is None and part.task.models == self.models[:1]

    def check(self, part: Part) -> None:
        """Refuse what can be known to be wrong of an arm before a model is opened; remember what
        the author should know. Raises: ExperimentError, with the place and the model."""
        self.remarks += [r for r in [dry.split_in_words(part.task)] if r not in ("", *self.remarks)]
        for model in part.task.models:
            for name in models.states(model):
                try:
                    folder = find(self._folder(name))
                except AssayError:  # told where what it reads is asked for
                    continue
                who = f"model {model.label or name}: " if len(self.models) > 1 else ""
                remarks = self._check(part, folder, who)
                self.remarks += [r for r in remarks if r not in self.remarks]

    def _check(self, part: Part, folder: ModelFolder, who: str) -> list[str]:
        study, task = self.text.study, part.task
        remarks: list[str] = []
        names = [t.name for t in study.prompts]
        with self._located(who, "prompts", names.index(task.prompts.table.name)):
            rows = dry.prompts_of(task, folder)
        if isinstance(task, ProbeTask):
            names = [t.name for t in study.probe]
            with self._located(who, "probe", names.index(task.table.name)):
                probe_tasks.check_sites(task, folder)
            return []
        for read in task.reads if part.control is None else ():
            with self._located(who, "read", study.read.index(read)):
                opened = cache(partial(dictionaries.opened, folder=self.folder, root=ROOT.get()))
                remarks += measuring.remarks(task, read, rows, opened)
        if task.intervention is not None:
            i = [t.name for t in study.intervene].index(task.intervention.name)
            where = next((k for k in ("heads", "site") if getattr(task.intervention, k)), "name")
            with self._located(who, "intervene", i, where):
                dry.check_intervention(task, rows, folder)
        return remarks

    @contextmanager
    def _located(self, who: str, *keys: str | int) -> Iterator[None]:
        """Tell where in the file that stands which leads to a refusal, and of which model it
        is."""
        try:
            yield
        except AssayError as e:
            raise self.text.error(keys, f"{who}{e}") from e

    def inputs(self, spec: AskedSpec) -> Mapping[str, str]:
        """What a run reads: the contents of models and prompts. Raises: ExperimentError."""
        told = json.loads(spec.asked)
        names = list(dict.fromkeys(itertools.chain.from_iterable(told["models"])))
        digests = {f"model {name}" if names[1:] else "model": self._hash(name) for name in names}
        digests |= {f"prompts {n}": self.prompts[n].digest for n in told["prompts"]}
        for read in told.get("reads", ()):
            if name := (read.get("feature") or [""])[0]:
                i = [r.name for r in self.text.study.read].index(read["name"])
                with self.text.located("read", i):
                    of = dictionaries.source(name, self.folder, ROOT.get())
                digests[f"dictionary {name}"] = of.sha256
        read_by = {d["feature"][0] for d in told.get("directions", ()) if "feature" in d}
        if clamp := (told.get("intervention") or {}).get("clamp"):
            read_by.add(clamp[0])
        digests |= {f"dictionary {n}": h for n, h in self._dictionaries.items() if n in read_by}
        if table := told.get("probe"):
            probe = next(p for p in self.text.study.probe if p.name == table["name"])
            with self.text.located("probe", self.text.study.probe.index(probe), "dictionary"):
                read = probes.dictionaries([probe], self.folder)
            digests |= {f"dictionary {n}": source.sha256 for n, source in read.items()}
        return digests

    @cached_property
    def _dictionaries(self) -> Mapping[str, str]:
        """The contents of the dictionaries whose features are directions or clamped, by name."""
        contents: dict[str, str] = {}
        for table, i, of in (
            *(("direction", i, d.feature) for i, d in enumerate(self.text.study.direction)),
            *(("intervene", i, t.clamp) for i, t in enumerate(self.text.study.intervene)),
        ):
            if of is not None:
                with self.text.located(table, i):
                    source = dictionaries.source(of[0], self.folder, ROOT.get())
                contents[of[0]] = source.sha256
        return contents

    def _hash(self, name: str) -> str:
        """What identifies a model; one that is not here is told with its place."""
        try:
            if name in self.trains:
                return training.key(training.spec(*self._tuning(name)))
            return fingerprint(self._folder(name))
        except AssayError as e:
            if name in self.trains:
                raise self.text.error(("train", [*self.trains].index(name)), e) from e
            tables = enumerate(self.text.study.model)
            keys = ("checkpoints", "name", "like")
            places = [
                (i, key)
                for i, m in tables
                for key in keys
                if (name in m.checkpoints if key == "checkpoints" else getattr(m, key) == name)
            ]
            raise self.text.error(("model", *places[0]) if places else ("model",), e) from e

    def seconds(self, part: Part, runs: int) -> float | None:
        """CPU-seconds of one run of an arm, by the size of its model and its prompts; None
        where the model is not here."""
        task, each = part.task, 0.0
        for model in task.models:
            states = models.states(model)
            try:
                size = sizes.read_sizes(find(self._folder(states[0])).config)
            except AssayError:
                return None
            whole = measuring.blocks(size) + size["d"] * size["v"]
            drawing = runs * (whole + size["d"] * size["v"]) * DRAWING if model.like else 0.0
            reading = _engine(task).seconds(task, size, runs)
            if not part.of and (table := self.trains.get(states[0])):
                reading += 3 * measuring.PASS * table.steps * table.batch * table.context * whole
            each += len(states) * (LOADING / 4 + drawing + reading) / runs
        return each

    def cost(self, runs: Runs[Any]) -> Cost:
        """What runs need beside their measures: room for the models that the study trains."""
        names = {n for own in json.loads(runs.specs[0].asked)["models"] for n in own}
        here = [self._folder(n) for n in names if n in self.trains]
        return Cost(bytes=sum(p.stat().st_size for name in here for p in find(name).weights))

    def scope(self, arms: Sequence[str]) -> str:
        """For which models, prompts and sites verdicts speak that read these arms."""
        own = [p for p in self.parts if p.label in arms and not p.of] or self.parts[:1]
        tables = dict.fromkeys(m for p in own for m in reversed(p.task.models))
        phrases = [" and ".join(_called(m) for m in tables)]
        shown = {}
        for part in own:
            table = part.task.prompts.table
            shown[table.name] = f"{len(part.task.rows)} prompts" + (
                f" of {table.file}" if table.file else ""
            )
        phrases.append(" and ".join(shown.values()))
        for intervention in (p.task.intervention for p in own if p.task.intervention):
            name = intervention.add or intervention.project_out
            named = [d.site for d in self.text.study.direction if d.name == name]
            site = intervention.site or intervention.heads or next(iter(named), "")
            places = [site] if isinstance(site, str) else [*site]
            phrases += [f"changed at {', '.join(places)}"] if any(places) else []
        phrases += [f"read at {r.site}" for p in own for r in p.task.reads if r.site]
        return ", ".join(dict.fromkeys(phrases))

    def left_out(self, arms: Mapping[str, Any]) -> list[str]:
        """The arms that do not run, since no statement names or needs them."""
        return [p.label for p in self.parts if p.label not in arms]


def _twin(model: Model) -> Model:
    """An untrained model of the same shape, or of each state of a training."""
    return msgspec.structs.replace(model, name="", like=models.states(model)[0])


def _untwinned(model: Model) -> Model:
    """The model whose untrained twin this is."""
    return msgspec.structs.replace(model, name=model.like, like="")


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


def _engine(task: Task | ProbeTask) -> Any:
    """What measures a task."""
    return probes if isinstance(task, ProbeTask) else measuring


def places(study: Study) -> Iterator[tuple[str, str]]:
    """Give every name of a study that may be that of a file or a folder, and where it stands."""
    for i, model in enumerate(study.model, 1):
        for name in (model.name, *model.checkpoints):
            yield f"model {i}", name
    for i, table in enumerate(study.prompts, 1):
        yield f"prompts {i}", table.file
    for i, tuned in enumerate(study.train, 1):
        yield f"train {i}", tuned.text
    for kind in ("direction", "intervene", "read", "probe"):
        for i, entry in enumerate(getattr(study, kind), 1):
            for field in ("feature", "clamp", "dictionary"):
                if value := getattr(entry, field, None):
                    yield f"{kind} {i}", value if isinstance(value, str) else value[0]


def _nothing(runs: Runs[Any], bench: Bench) -> Trained:
    return Trained.nothing(runs)
