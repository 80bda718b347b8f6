"""Parts: the arms of a study that asks models, as its text has them: each model as it is and under
each intervention, and beside it its near controls."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import msgspec

from assay.ask import arms
from assay.ask.measure import (
    controls,
    directions,
    interventions,
    models,
    probe_tasks,
    prompts,
    reads,
    sae_arms,
    saes,
    sentences,
    training,
)
from assay.ask.measure.measuring import Task
from assay.ask.measure.probe_tasks import MAJORITY, ProbeTask
from assay.ask.measure.prompts import PromptSet
from assay.ask.measure.sae_arms import SaeTask
from assay.ask.part import Part
from assay.ask.tables import Intervention, Model, Probe, Train
from assay.ask.text import Study, Text, frozen_arms, frozen_words, is_left_out
from assay.controls.table import (
    FROZEN,
    PLACES,
    chosen,
)
from assay.core.errors import AssayError, DataError, ExperimentError, nearest
from assay.data import corpus as corpora
from assay.lab.plan.plan import ROOT
from assay.lab.store.store import Store
from assay.subjects.folder import ModelFolder, find, most_tokens

T = TypeVar("T")


class Parts:
    """The arms that the text of a study makes, in order. Raises: ExperimentError with line and
    column, for what the text and its files show to be wrong."""

    def __init__(self, text: Text) -> None:
        self.text, study = text, text.study
        self._worked_out: dict[Any, Any] = {}
        self.folder = text.path.parent
        self.trains = {
            training.name_of(t): t for t in study.train if training.kind_of(t) != "dictionary"
        }
        self.saes: dict[str, Train] = {}  # with all that they leave out
        for i, train in enumerate(study.train):
            for key, what in training.wrong(train, [p.name for p in study.prompts]):
                raise text.error(("train", i, key), what)
            if training.kind_of(train) == "dictionary":
                whole = training.usual(train)
                for key, what in saes.wrong(whole):
                    raise text.error(("train", i, key), what)
                place = models.located(self.folder, whole.text)
                self.saes[train.name] = msgspec.structs.replace(whole, text=place)
        self.models, self.parts, self.remarks = self._resolved(), list[Part](), list[str]()
        self.frozen, self.on_other_text = frozen_arms(text.path), dict[str, Model]()
        if not self.models:
            return
        self._refuse_duplicates()
        self.prompts: dict[str, PromptSet] = {}
        for i, entry in enumerate(study.prompts):
            with text.located("prompts", i):
                self.prompts[entry.name] = prompts.load(entry, self.folder, self._uses)
        if not self.prompts and (study.read or study.probe or not self.saes):
            raise text.error(
                ("model",), 'a model is asked something: write [[prompts]] and text = "…"'
            )
        for i, direction in enumerate(study.direction):
            with text.located("direction", i):
                directions.check(direction)
        for i, read in enumerate(study.read):
            with text.located("read", i):
                reads.check(read, study.direction)
        if not (study.read or study.probe or self.saes):
            what = (
                'something is read: write [[read]], a name and log_prob = " yes", say; or [[probe]]'
            )
            raise text.error(("model",), what)
        if study.intervene and not study.read:
            what = 'something is read under it: write [[read]], a name and log_prob = " yes", say'
            raise text.error(("intervene", 0), what)
        for i, train in enumerate(study.train):
            if train.name in self.saes and train.context is None:
                self._shorten(i, self.saes[train.name])
        self._refuse_latents()
        if self.prompts:
            self._ask_all()
            self._refuse_leaks()
        for i, train in enumerate(study.train):
            if train.name in self.saes:
                with text.located("train", i):
                    self.parts += self._of_dictionary(i, self.saes[train.name])

    def _refuse_leaks(self) -> None:
        """Refuse prompts of which a unit is both learned from and measured, and a direction that is
        learned from the texts on which it is judged."""
        tasks = [p.task for p in self.parts if isinstance(p.task, Task)]
        learned = {task.prompts.table.name for task in tasks if task.learns_here}
        for i, entry in enumerate(self.text.study.prompts):
            if entry.name in learned:
                with self.text.located("prompts", i):
                    self.prompts[entry.name].halves()
        for task in tasks if self.frozen is None else ():
            for table in task.own_directions:
                i = [d.name for d in self.text.study.direction].index(table.name)
                with self.text.located("direction", i, "prompts"):
                    directions.refuse_leaks(table, task.sources, task.prompts)

    @property
    def _uses(self) -> str:
        """All that the study says, without the rows of its prompts."""
        study = self.text.study
        bare = [msgspec.structs.replace(p, rows=(), slots={}) for p in study.prompts]
        without_rows = msgspec.structs.replace(study, prompts=tuple(bare))
        return msgspec.json.encode(without_rows).decode()

    def _ask_all(self) -> None:
        """Add the arms of all reads and probes, of each model and of their differences."""
        study, text = self.text.study, self.text
        self.first = next(iter(self.prompts.values()))
        with text.located("read", 0):
            taken_names = {name: i.name for i in study.intervene for name in i.sweep}
            taken_names |= {p.unit: p.table.name for p in self.prompts.values()}
            taken_names |= {d: p.table.name for p in self.prompts.values() for d in p.dims()}
            reads.check_sweeps(study.read, taken_names | dict.fromkeys(("run", "seed"), "each run"))
        self.prompts[sentences.NAME] = sentences.plain()
        for m, model in enumerate(self.models):
            if study.read:
                arms.ask(self, m, model)
            for i, probe in enumerate(study.probe):
                with text.located("probe", i):
                    self.parts += self._probe(self._prefix(m, model), model, probe)
        for i, diff in enumerate(study.diff):
            with text.located("diff", i):
                if (diff.models is None) == (diff.prompts is None):
                    what = "say models or prompts of it, two of either"
                    raise ExperimentError(f"{diff.name!r}: {what}")
                if diff.models:
                    arms.compare(self, i, diff, diff.models)
                else:
                    arms.compare_prompts(self, i, diff)
        for m, model in enumerate(self.models if study.read else ()):
            arms.ask_other_prompts(self, m, model)

    def _of_dictionary(self, i: int, table: Train) -> list[Part]:
        """The arms of a dictionary that is trained; before the first of a study that asks nothing
        else what it takes to be better than: the mean activation."""
        model = self._read_by(i, table)
        documents: tuple[str, ...] = ()
        if table.text:
            corpus = corpora.load(table.text)
            documents = tuple(corpus.documents[k].path for k in corpus.part("test"))
        task = SaeTask(model, table, self.prompts.get(table.prompts), documents=documents)
        if not task.levels:
            what = "the test part of its text is empty; give a text of more files"
            raise DataError(f"{table.name!r} cannot be measured: {what}")
        parts = [Part(table.name, task)]
        known = [c for c in sae_arms.CONTROLS if not (c is FROZEN and table.frozen)]
        for control in chosen(table.name, known, table.controls):
            changed = dataclasses.replace(task, control=control.name)
            parts.append(Part(f"{table.name}/{control.name}", changed, control, table.name))
        if not self.parts:
            parts.insert(0, Part("main", dataclasses.replace(task, control=sae_arms.MEAN)))
        return parts

    def _read_by(self, i: int, table: Train) -> Model:
        """The model whose activations a dictionary reads."""
        by_name = {name: m for m in reversed(self.models) for name in (m.name, m.label) if name}
        model = by_name.get(table.of) if table.of else self.models[0]
        if model is not None and model.dtype not in ("", "float32"):
            what = (
                f"a dictionary learns from activations in float32, and its model is {model.dtype}"
            )
            raise self.text.error(("train", i, "of"), what)
        if model is not None and model.weights:
            what = f"a dictionary learns from models as they are, and {table.of} has other weights"
            raise self.text.error(("train", i, "of"), what)
        if model is None or not model.name:
            hint = nearest(table.of, [n for n, m in by_name.items() if m.name])
            what = f"there is no model {table.of!r} with weights of its own; {hint}"
            raise self.text.error(("train", i, "of"), what)
        return model

    def _shorten(self, i: int, table: Train) -> None:
        """Take windows no longer than the model reads, where nobody says how long they are."""
        model = self._read_by(i, table)
        small = self.trains.get(model.name)
        with suppress(AssayError):
            folder = training.shell(small) if small and not small.of else None
            most = most_tokens(folder or self.found(model.name))
            context = min(most, table.context or most)
            self.saes[table.name] = msgspec.structs.replace(table, context=context)

    def _refuse_latents(self) -> None:
        """Refuse a latent that a dictionary of the study does not have."""
        study = self.text.study
        for kind, key in (("read", "feature"), ("direction", "feature"), ("intervene", "clamp")):
            for i, table in enumerate(getattr(study, kind)):
                feature = getattr(table, key)
                if feature is not None and feature[0] in self.saes:
                    with self.text.located(kind, i, key):
                        own = feature[1] if isinstance(feature[1], tuple) else (feature[1],)
                        for latent in (*own, *table.sweep.get(key, ())):
                            sae = self.saes[feature[0]]
                            saes.refuse_latent(sae, latent, writes=kind != "read")
        for i, probe in enumerate(study.probe):
            for name in (probe.dictionary, *probe.sweep.get("dictionary", ())):
                if name in self.saes:
                    with self.text.located("probe", i, "dictionary"):
                        saes.refuse_codes(self.saes[name])

    def _probe(self, prefix: str, model: Model, table: Probe) -> list[Part]:
        """The arms of a probe in a model; before the first of a study that reads nothing else what
        it takes to be better than: the most frequent label."""
        for name in (n for n in (table.prompts, table.test) if n and n not in self.prompts):
            hint = nearest(name, self.prompts)
            raise ExperimentError(f"there are no prompts {name!r}; {hint}")
        source = self.prompts.get(table.prompts, self.first)
        test = self.prompts.get(table.test)
        test = test and prompts.alike(test, source)
        frozen = frozen_words(self.text.path, f"{prefix}{table.name}/untrained")
        task = ProbeTask(model, table, source, test, one_twin=frozen is None or "twin" in frozen)
        probe_tasks.check(task)
        parts, name = [Part(f"{prefix}{table.name}", task)], f"{prefix}{table.name}"
        for control in controls.of_probe(table, trained=not model.like):
            if is_left_out(f"{name}/{control.name}", self.frozen):
                continue
            changed = dataclasses.replace(task, control=control.name)
            if control == PLACES:
                changed = dataclasses.replace(changed, table=probe_tasks.linear(task))
            parts.append(Part(f"{name}/{control.name}", changed, control, name))
        if not self.parts:
            plain = msgspec.structs.replace(table, sweep={})
            parts.insert(0, Part("main", ProbeTask(model, plain, source, test, MAJORITY)))
        return parts

    def _resolved(self) -> tuple[Model, ...]:
        """The models, each twin with the name of the model that it is like."""
        for i, model in enumerate(self.text.study.model):
            with self.text.located("model", i):
                models.check(model)
        tables = [models.named(m) for m in self.text.study.model]
        by_name = {name: m for m in reversed(tables) for name in (m.name, m.label) if name}
        resolved = []
        for i, model in enumerate(tables):
            other = by_name.get(model.like) if model.like else None
            if other is not None and other.like:
                what = f"{model.like!r} is untrained itself; name the model that both are twins of"
                raise self.text.error(("model", i, "like"), what)
            like = models.states(other)[0] if other else model.like
            bos = other.bos if other and model.bos is None else model.bos
            model = msgspec.structs.replace(model, like=like, bos=bos)
            if other is not None:
                same = {"dtype": other.dtype, "device": other.device}
                model = msgspec.structs.replace(model, **same)
            resolved.append(model)
        for i, table in enumerate(self.text.study.train):
            if training.kind_of(table) == "dictionary":
                continue
            other = by_name.get(table.of)
            if table.of and (other is None or not other.name or other.weights):
                hint = nearest(table.of, [n for n, m in by_name.items() if m.name])
                what = f"there is no model {table.of!r} with weights of its own; {hint}"
                raise self.text.error(("train", i, "of"), what)
            bos = other.bos if other else None
            name = training.name_of(table)
            resolved.append(Model(name=name, label=table.name, bos=bos, controls=table.controls))
            by_name[table.name] = resolved[-1]  # another may begin as this one ends
        return tuple(resolved)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, worked out the first time that this key is asked for."""
        if key not in self._worked_out:
            self._worked_out[key] = make()
        value: T = self._worked_out[key]
        return value

    def found(self, name: str, bos: bool | None = None) -> ModelFolder:
        """The folder of a model, as it was when it was first looked for. Raises: AssayError."""
        place = self._folder(name)
        return self.once(("folder", place, bos), partial(find, place, bos))

    def _folder(self, name: str) -> str:
        """Where a model lies; of one that the study trains, that which it begins as, of the same
        tokens and shapes; of one from nothing where it was trained, if it was."""
        if name in self.trains and not self.trains[name].of:
            with suppress(AssayError):
                spec = training.small_by_content(self._located(self.trains[name]))
                return str(Store(ROOT.get()).built(spec) or name)
            return name
        if start := self._start(Model(name=name)):
            return self._folder(start.name)
        return models.located(self.folder, name)

    def _located(self, table: Train) -> Train:
        """A training with all that it leaves out, and its text where it lies."""
        table = training.usual(table)
        return msgspec.structs.replace(table, text=models.located(self.folder, table.text))

    def _start(self, model: Model) -> Model | None:
        """The model of which this one is known to be a change: what it was trained from, or the
        first of its states."""
        if model.name in self.trains:
            origin = self.trains[model.name].of
            if not origin:
                return None
            return next(m for m in self.models if origin in (m.name, m.label))
        return Model(name=model.checkpoints[0]) if model.checkpoints[1:] else None

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
            first=interventions.before(table, study.intervene) if table else None,
            chooses=any(
                t.top and self.prompts.get(t.prompts, self.first) is measured
                for t in study.intervene
            ),
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
        names["arm"] += [p.name for p in study.probe]
        labels = [m.label for m in study.model]
        for i, train in enumerate(study.train):
            if train.name in (*labels, *names["arm"], *(t.name for t in study.train[:i])):
                what = f"the name {train.name!r} is taken by another model or arm; choose another"
                raise self.text.error(("train", i, "name"), what)
        for i, label in enumerate(labels):
            if label and (label in labels[:i] or label in names["arm"]):
                what = f"the label {label!r} is taken by another model or arm; choose another"
                raise self.text.error(("model", i, "label"), what)


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
            for field in ("feature", "clamp", "dictionary", "jaccard"):
                if value := getattr(entry, field, None):
                    yield f"{kind} {i}", value if isinstance(value, str) else value[0]
            if code := getattr(entry, "function", ""):
                yield f"{kind} {i}", code.rpartition(":")[0]
