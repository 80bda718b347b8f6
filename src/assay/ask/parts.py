"""Parts: the arms of a study that asks models, as its text has them: each model as it is and under
each intervention, and beside it its near controls."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

import msgspec

from assay.ask.measure import (
    controls,
    damage,
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
from assay.ask.measure.damage import DamageTask
from assay.ask.measure.measuring import Task, stated
from assay.ask.measure.probe_tasks import MAJORITY, ProbeTask
from assay.ask.measure.prompts import PromptSet
from assay.ask.measure.sae_arms import SaeTask
from assay.ask.tables import Diff, Intervention, Model, Probe, Train
from assay.ask.text import Study, Text, frozen_arms, frozen_words, is_left_out
from assay.ask.wording import condition
from assay.controls.table import (
    CHANGED,
    DAMAGE,
    FROZEN,
    OTHER_TEXT,
    PLACES,
    POSITION,
    TOKEN,
    TRAINED,
    TWIN,
    TWINS,
    Control,
    chosen,
)
from assay.core.columns import Column
from assay.core.errors import AssayError, DataError, ExperimentError, nearest
from assay.core.runs import Runs
from assay.core.scopes import listed
from assay.core.spec import Spec
from assay.data import corpus as corpora
from assay.data.names import model_in_words
from assay.lab.plan.plan import ROOT
from assay.lab.store.store import Store
from assay.subjects.folder import ModelFolder, find, most_tokens
from assay.subjects.sizes import read_sizes

T = TypeVar("T")
LONGEST = 64
"""Tokens of the longest plain sentence in small vocabularies, roughly."""
LEFT_OUT = "; this control is left out"
"""How a note ends of an automatic control that cannot be made."""
STANDING_IN = ("unrelated", "shuffled", "heads", "position")
"""Controls of models as they are in which something stands in the place of what is read."""


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
    task: Task | ProbeTask | SaeTask
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
        name = model_phrase(task.model)
        name += f" less {model_phrase(task.less)}" if task.less else ""
        if task.than and isinstance(task, Task):
            name += f" on {task.prompts.table.name} less on {task.than.table.name}"
        # not in `why`, which is part of what is frozen
        where = ", at that which it changes most" if self.control is TOKEN else ""
        table = task.table if isinstance(task, ProbeTask) else task.intervention
        phrase = at_levels(task.phrase, table.sweep if table else {})
        return f"{name}, {phrase}{f'; {self.why}{where}' if self.why else ''}"

    def spec(self, seed: int, *, smoke: bool = False) -> AskedSpec:
        """The spec of one run."""
        model, asked = self._asked
        return AskedSpec(seed=seed, model=model, asked=asked, smoke=smoke)

    def specs(self, main: Sequence[AskedSpec]) -> tuple[AskedSpec, ...]:
        """The specs of its runs, one for each of the arm main."""
        return tuple(self.spec(s.seed, smoke=s.smoke) for s in main)

    @cached_property
    def _asked(self) -> tuple[str, str]:
        """The model of all of its specs, and what they ask."""
        about: dict[str, Any] = {
            **self.task.words,
            "models": [list(models.states(m)) for m in self.task.models],
            "prompts": [p.table.name for p in self.task.sets],
        }
        if isinstance(self.task, SaeTask):
            about["text"] = self.task.table.text
        if steps := models.levels(self.task.model):
            about["levels"] = steps
        about |= self._beginning
        words = json.dumps(about, sort_keys=True, ensure_ascii=False)
        model = self.task.model
        return f"untrained {model.like}" if model.like else models.states(model)[0], words

    @cached_property
    def _beginning(self) -> dict[str, Any]:
        """Whether texts begin with a BOS, and in what it computes, where that is said of a
        model."""
        said, dtypes = ([getattr(m, f) for m in self.task.models] for f in ("bos", "dtype"))
        weights = [models.reweighted_in_words(m) for m in self.task.models]
        return {
            **({"bos": said} if any(bos is not None for bos in said) else {}),
            **({"dtype": dtypes} if any(dtypes) else {}),
            **({"weights": weights} if any(weights) else {}),
        }

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
            **self._beginning,
        }
        if table := self.task.intervention:
            words["intervention"] = stated(msgspec.structs.replace(table, name="", prompts=""))
        return ReadingsSpec(
            asked=json.dumps(words, sort_keys=True, ensure_ascii=False),
            seeds=tuple(map(int, runs.seeds)) if self.task.drawn else (),
            smoke=runs.shared.smoke,
            reading=runs.shared.reading,
        )


FEW = 4
"""So many levels of a site are written one by one."""


def at_levels(words: str, sweep: Mapping[str, Sequence[object]]) -> str:
    """Write every name that has a slot, such as blocks.{layer}.hook_z, at the levels that fill it:
    each of a few, of more the first and the last."""
    for slot, levels in sweep.items():

        def filled(match: re.Match[str], slot: str = slot, levels: Any = levels) -> str:
            names = [match[0].replace(f"{{{slot}}}", str(level)) for level in levels]
            return f"{names[0]} to {names[-1]}" if len(names) > FEW else listed(names)

        words = re.sub(rf"[\w.{{}}]*\{{{slot}\}}(\.?[\w{{}}])*", filled, words)
    return words


def model_phrase(model: Model) -> str:
    """A model in a sentence."""
    for name, words in ((model.name, "{}"), (model.like, "the untrained twin of {}")):
        if name.startswith(training.PREFIX):
            return words.format(name.partition(": ")[2])
    if model.checkpoints:
        states = f"{len(model.checkpoints)} checkpoints, {', '.join(model.checkpoints)}"
        return f"the untrained twin of {states}" if model.like else states
    if model.like:
        return f"the untrained twin of {model_in_words(model.like)}"
    changed = models.reweighted_in_words(model)
    return f"{model_in_words(model.name)}{f' with {changed}' if changed else ''}"


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
                self._ask(m, model)
            for i, probe in enumerate(study.probe):
                with text.located("probe", i):
                    self.parts += self._probe(self._prefix(m, model), model, probe)
        for i, diff in enumerate(study.diff):
            with text.located("diff", i):
                if (diff.models is None) == (diff.prompts is None):
                    what = "say models or prompts of it, two of either"
                    raise ExperimentError(f"{diff.name!r}: {what}")
                if diff.models:
                    self._compare(i, diff, diff.models)
                else:
                    self._compare_prompts(i, diff)
        for m, model in enumerate(self.models if study.read else ()):
            self._ask_other_prompts(m, model)

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
                what = f"{model.like!r} is untrained itself; name the model that both are like"
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

    def _ask(self, m: int, model: Model) -> None:
        """Add the arms of one model: as it is, and under each intervention."""
        text, study = self.text, self.text.study
        prefix = self._prefix(m, model)
        main = prefix.rstrip("/") or "main"
        self.parts.append(Part(main, self._task(model)))
        key: tuple[str | int, ...] = ("model", m, "controls")
        if m >= len(study.model):
            key = ("train", [t.name for t in study.train].index(model.label))
        with text.located(*key):
            start = self._start(model)
            known = controls.of_model(
                study.read,
                self.first,
                untrained=bool(model.like),
                changed=start is not None,
            )
            known += [DAMAGE, OTHER_TEXT] if self._is_tuned(model) else []
            near = chosen(main, known, model.controls)
        twin = _untwinned(model) if model.like else _twin(model)
        for control in near:
            if control in (DAMAGE, OTHER_TEXT):
                self._add_unrelated(main, control, dataclasses.replace(self._task(model)))
                continue
            task = self._task(twin if control in (TWIN, TRAINED) else model)
            task = dataclasses.replace(task, start=start if control == CHANGED else None)
            self._add_control(main, control, task)
        for i, table in enumerate(study.intervene):
            with text.located("intervene", i):
                interventions.check(table, study.direction)
                table = interventions.expanded(table, study.direction)
                name = f"{prefix}{table.name}"
                task = self._task(model, msgspec.structs.replace(table, damage=""))
                self.parts.append(Part(name, task))
                whole = task
                for control in controls.of_intervention(table, study.direction):
                    if control.name == "layer" and self._has_one_block(model):
                        what = "the model has one block, and so no other layer"
                        self._leave_out(f"{name}/layer", what)
                        continue
                    label = f"{name}/{control.name}"
                    task = narrowed(whole, name, study, frozen_words(text.path, label))
                    if control == DAMAGE:
                        self._add_unrelated(name, control, task, table.damage, "damage")
                        continue
                    changed = dataclasses.replace(task, control=control.name)
                    self.parts.append(Part(label, changed, control, name))

    def _compare(self, i: int, diff: Diff, names: tuple[str, str]) -> None:
        """Add the arms of a difference between two models."""
        first, second = (self._model(i, name) for name in names)
        if first == second:
            raise self.text.error(("diff", i, "models"), "a model less itself is 0")
        if (steps := models.levels(first)) and steps != models.levels(second):
            what = "the first has checkpoints and the second not the same ones; give both the same"
            raise self.text.error(("diff", i, "models"), what)
        task = self._task(second, self._under(i, diff))
        task = dataclasses.replace(task, less=first)
        folders = [self._folder(models.states(m)[0]) for m in (first, second)]
        if not models.same_tokens(*folders):
            some = tuple(r for r in task.reads if reads.kind_of(r) not in reads.COMPARING)
            task = dataclasses.replace(task, reads=some)
        self.parts.append(Part(diff.name, task))
        table = task.intervention
        pairs = table is not None and bool(table.patch)  # whose source is the prompt's own pair
        known = controls.of_diff(
            () if pairs else task.reads, task.prompts, same_shape=models.same_shape(*folders)
        )
        if table is None and self._is_tuned(second) and self._start(second) == first:
            known += [DAMAGE, OTHER_TEXT]
        if table and DAMAGE in controls.of_intervention(table, self.text.study.direction):
            known += [DAMAGE]
        for control in chosen(diff.name, known, diff.controls):
            if control in (DAMAGE, OTHER_TEXT):
                self._add_unrelated(diff.name, control, task, self._unrelated(diff))
                continue
            other = task
            if control == CHANGED:
                other = dataclasses.replace(task, start=first)
            elif control == TWINS:
                one, two = (m if m.like else _twin(m) for m in (first, second))
                other = dataclasses.replace(task, model=two, less=one)
            self._add_control(diff.name, control, other)

    def _under(self, i: int, diff: Diff) -> Intervention | None:
        """The intervention under which both sides of a difference are read."""
        if not diff.intervention:
            return None
        by_name = {t.name: t for t in self.text.study.intervene}
        if diff.intervention not in by_name:
            what = f"there is no intervention {diff.intervention!r}"
            hint = nearest(diff.intervention, by_name)
            raise self.text.error(("diff", i, "intervention"), f"{what}; {hint}")
        table = msgspec.structs.replace(by_name[diff.intervention], damage="")
        return interventions.expanded(table, self.text.study.direction)

    def _unrelated(self, diff: Diff) -> str:
        """The unrelated prompts that the intervention of a difference names."""
        named = (t.damage for t in self.text.study.intervene if t.name == diff.intervention)
        return next(named, "")

    def _compare_prompts(self, i: int, diff: Diff) -> None:
        """Add the arms of a difference between two tables of prompts, in each model."""
        assert diff.prompts is not None
        for name in (n for n in diff.prompts if n not in self.prompts):
            hint = nearest(name, self.prompts)
            raise self.text.error(("diff", i, "prompts"), f"there are no prompts {name!r}; {hint}")
        first, second = (self.prompts[name] for name in diff.prompts)
        table = self._under(i, diff)
        for m, model in enumerate(self.models):
            task = dataclasses.replace(self._task(model, table), prompts=second, than=first)
            columns = {*first.rows[0].columns} & {*second.rows[0].columns}
            some = tuple(r for r in task.reads if reads.fits(r, columns))
            if table is None:  # nothing is done, so that nothing differs from the untouched model
                some = tuple(r for r in some if reads.kind_of(r) not in reads.COMPARING)
            task = dataclasses.replace(task, reads=some)
            _refuse_unpaired(task, first, second)
            name = f"{self._prefix(m, model)}{diff.name}"
            self.parts.append(Part(name, task))
            if table is not None:
                near = controls.of_intervention(table, self.text.study.direction)
                for control in chosen(name, near, diff.controls):
                    if control == DAMAGE:
                        self._add_unrelated(name, control, task, self._unrelated(diff))
                        continue
                    changed = dataclasses.replace(task, control=control.name)
                    self.parts.append(Part(f"{name}/{control.name}", changed, control, name))
                continue
            self._add_controls_of_model(name, task, diff.controls)

    def _add_controls_of_model(self, of: str, task: Task, wanted: tuple[str, ...] | None) -> None:
        """Add the near controls of what a model as it is has of a table of prompts, or of two."""
        model = task.model
        known = controls.of_model(
            task.reads, task.prompts, untrained=bool(model.like), changed=False
        )
        twin = _untwinned(model) if model.like else _twin(model)
        for control in chosen(of, known, wanted):
            other = twin if control in (TWIN, TRAINED) else model
            self._add_control(of, control, dataclasses.replace(task, model=other))

    def _ask_other_prompts(self, m: int, model: Model) -> None:
        """Add the arms of a model as it is on further prompts that a statement names as an arm."""
        study = self.text.study
        conditions = [*(c.holds for c in study.claim), *(e.value for e in study.estimate)]
        for entry in study.prompts[1:]:
            name = f"{self._prefix(m, model)}{entry.name}"
            arm = re.compile(rf"(?<![\w./-]){re.escape(name)}\"?\.\w")
            if any(map(arm.search, conditions)) and all(p.label != name for p in self.parts):
                task = dataclasses.replace(self._task(model), prompts=self.prompts[entry.name])
                columns = {*task.prompts.rows[0].columns}
                some = tuple(
                    r
                    for r in task.reads
                    if reads.fits(r, columns) and reads.kind_of(r) not in reads.COMPARING
                )
                task = dataclasses.replace(task, reads=some)
                self.parts.append(Part(name, task))
                self._add_controls_of_model(name, task, model.controls)

    def _add_control(self, of: str, control: Control, task: Task) -> None:
        """Add a control of models as they are, or of their difference."""
        stands_in: Any = control.name if control.name in STANDING_IN else ""
        task = dataclasses.replace(task, stands_in=stands_in)
        if control == POSITION:  # anything else is about the tokens that were there
            some = tuple(r for r in task.reads if controls.looks_at_a_slot(r))
            task = dataclasses.replace(task, reads=some)
        self.parts.append(Part(f"{of}/{control.name}", task, control, of))

    def _is_tuned(self, model: Model) -> bool:
        """Whether a model is one that the study trains further."""
        return model.name in self.trains and bool(self.trains[model.name].of)

    def _add_unrelated(
        self, of: str, control: Control, task: Task, name: str = "", key: str = ""
    ) -> None:
        """Add a control that does the same to unrelated prompts, or learns them; where it cannot be
        made it is left out, and the author is told."""
        label = f"{of}/{control.name}"
        if is_left_out(label, self.frozen):
            return
        train = self.trains.get(task.model.name)
        name = name or (train.damage if train else "")
        if name and name not in self.prompts:
            raise ExperimentError(f"there are no prompts {name!r}; {nearest(name, self.prompts)}")
        if control == OTHER_TEXT:
            assert train is not None
            other = self._on_other_text(train, name or sentences.NAME, task.model)
            self.parts.append(Part(label, dataclasses.replace(task, model=other), control, of))
            return
        fields = {f.name: getattr(task, f.name) for f in dataclasses.fields(Task)}
        fields |= {"control": control.name, "other": self.prompts[name or sentences.NAME]}
        if train is not None and not task.intervention and task.less is None:
            fields["start"] = self._start(task.model)
        made = DamageTask(**fields)
        if not name and not self._reads_sentences(task.model):
            self._leave_out(label, "the model reads fewer tokens at once than a plain sentence has")
            return
        try:
            if made.intervention is not None:
                damage.moved(made.intervention, made.unrelated)
        except DataError as e:
            if name:
                raise
            self._leave_out(label, e)
            return
        self.parts.append(Part(label, made, control, of))

    def _reads_sentences(self, model: Model) -> bool:
        """Whether a model reads the plain sentences, as far as it is known."""
        small = self.trains.get(model.name)
        if small and not small.of:
            return (training.usual(small).context or 0) >= LONGEST
        with suppress(AssayError):
            folder = self.found(models.states(model)[0])
            texts = [row.text + row.columns[sentences.END] for row in sentences.plain().rows]
            most = max(len(folder.tokenizer.encode(text)) for text in texts)
            return most + len(folder.opening) <= most_tokens(folder)
        return True

    def _has_one_block(self, model: Model) -> bool:
        """Whether a model is known to have one block."""
        with suppress(AssayError):
            small = self.trains.get(model.name)
            folder = training.shell(small) if small and not small.of else None
            folder = folder or self.found(models.states(model)[0])
            return read_sizes(folder.config)["layers"] == 1
        return False

    def _leave_out(self, label: str, why: object) -> None:
        """Tell of an automatic control that cannot be made, once."""
        line = f"{label}: {why}{LEFT_OUT}"
        self.remarks += [line] if line not in self.remarks else []

    def _on_other_text(self, train: Train, name: str, model: Model) -> Model:
        """A model that is trained as another one is, but on unrelated prompts."""
        other = msgspec.structs.replace(train, prompts=name, text="", damage="", controls=None)
        self.trains[training.name_of(other)] = other
        made = Model(name=training.name_of(other), bos=model.bos)
        self.on_other_text[made.name] = made
        return made

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


def narrowed(task: Task, arm: str, study: Study, frozen: Mapping[str, Any] | None) -> Task:
    """What a control of an arm measures: the levels that claims name, where all that read the arm
    name one; of what was frozen with all levels, all."""
    columns: list[Column] = []
    for entry in study.claim:
        with suppress(AssayError):  # reported where it is read
            columns += condition(entry.holds).columns
    others = [x for e in study.claim for x in (*e.near, *e.also, *e.control, *e.violations)]
    others += [word for e in study.estimate for word in [e.value] if f"{arm}/" in word]
    others += [c.arm for c in columns if c.arm and c.arm.startswith(f"{arm}/")]
    own = [c for c in columns if c.arm in (None, arm)]
    table = task.intervention
    if table is None or not own or any(arm in name for name in others):
        return task
    asked = json.loads(json.dumps(stated(table)))
    if frozen and (frozen.get("intervention") or {}).get("sweep") == asked.get("sweep"):
        return task
    sweep = dict(table.sweep)
    for dim, levels in table.sweep.items():
        named = {c.place(dim, x, levels) for c in columns for d, x in c.levels if d == dim}
        if named and all(dim in dict(c.levels) for c in own):
            sweep[dim] = tuple(levels[i] for i in sorted(named))
    return dataclasses.replace(task, intervention=msgspec.structs.replace(table, sweep=sweep))


def _refuse_unpaired(task: Task, first: PromptSet, second: PromptSet) -> None:
    """Refuse prompts that cannot be compared row by row. Raises: DataError."""
    names = f"{first.table.name} and {second.table.name}"
    if len(first.rows) != len(second.rows):
        what = f"they have {len(first.rows)} and {len(second.rows)}"
        raise DataError(f"{names} are compared row by row, and {what}; give as many rows of both")
    if first.digest == second.digest:
        raise DataError(f"{names} are the same prompts, so that their difference is 0")
    every = range(len(second.rows))
    if second.unit != first.unit or (
        second.unit != "prompt" and first.units(every) != second.units(every)
    ):
        raise DataError(f"{names} are compared row by row; give both rows of the same units")
    if task.learns_here or dataclasses.replace(task, prompts=first).learns_here:
        what = "something is learned or chosen from them; learn it from other prompts"
        raise DataError(f"{names} are compared row by row, and {what}")


def _twin(model: Model) -> Model:
    """An untrained model of the same shape, or of each state of a training."""
    return msgspec.structs.replace(model, name="", like=models.states(model)[0], weights=None)


def _untwinned(model: Model) -> Model:
    """The model whose untrained twin this is."""
    return msgspec.structs.replace(model, name=model.like, like="")


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
