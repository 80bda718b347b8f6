"""ResolvedStudy: a study of models with every name in its text resolved: models, prompts, trainings
and dictionaries. `arms` makes its arms, and `inputs` trains what it trains. The functions below the
class read the tables of models and dictionaries."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from assay.ask import hook_names
from assay.ask.measure import choosing, interventions, models, prompts, saes, selecting, training
from assay.ask.measure.prompts import PromptSet
from assay.ask.measure.tasks import Task
from assay.ask.part import Part
from assay.ask.tables import Intervention, Model, Train, Weights
from assay.ask.text import Study, Text, frozen_arms, measures_named, reads_of
from assay.core.errors import AssayError, ExperimentError, nearest
from assay.lab.catalogue import STORE
from assay.lab.store.store import Store
from assay.subjects import fetch
from assay.subjects.adapters import BETWEEN
from assay.subjects.folder import ModelFolder, find

T = TypeVar("T")


class ResolvedStudy:
    """The tables of a study by name. Raises: ExperimentError with line and column, for what is
    wrong with the text and its files."""

    def __init__(self, text: Text) -> None:
        self.text, study = text, text.study
        self._worked_out: dict[Any, Any] = {}
        self.named: dict[str, str] = {}  # by the identity of each folder its name in the text
        self.folder = text.path.parent
        self.trains = {
            training.name_of(t): t for t in study.train if training.kind_of(t) != "dictionary"
        }
        self.saes = _dictionaries(text)  # with defaults filled in
        self.models, self.parts, self.remarks = _models(text), list[Part](), list[str]()
        self.frozen, self.trained_for_controls = frozen_arms(text.path), dict[str, Model]()
        self.prompts: dict[str, PromptSet] = {}
        if not self.models:
            return
        _refuse_duplicates(text)
        study = self._with_sites(study)
        self.text = replace(text, study=study)
        bare = tuple(msgspec.structs.replace(p, rows=(), slots={}) for p in study.prompts)
        study_text = msgspec.json.encode(msgspec.structs.replace(study, prompts=bare)).decode()
        for i, entry in enumerate(study.prompts):
            with text.located("prompts", i):
                loaded = prompts.load(entry, self.folder, study_text)
            if isinstance(entry.where, str):
                with text.located("prompts", i, "where"):
                    selection = selecting.of_table(entry, study.read, self.models[0])
                loaded = replace(loaded, selection=selection)
            self.prompts[entry.name] = loaded

    def _with_sites(self, study: Study) -> Study:
        """The study with `blocks.*` sites written out, and the names of changes by which parts are
        chosen replaced by the changes. Raises: ExperimentError."""
        tables: dict[str, list[Any]] = {"read": [], "intervene": [], "direction": []}
        for kind, group in tables.items():
            for i, table in enumerate(getattr(study, kind)):
                with self.text.located(kind, i):
                    whole = choosing.with_change(table, study.intervene) if table.top else table
                    direction = kind == "direction"
                    group.append(whole if direction else hook_names.resolved(whole, self._layers))
        return msgspec.structs.replace(study, **{k: tuple(v) for k, v in tables.items()})

    def _layers(self) -> int:
        """The number of blocks of each model. Raises: AssayError if they differ."""
        counts = {m.label or m.name: self.shaped_as(m).layers for m in self.models if m.name}
        if len({*counts.values()}) > 1:
            each = ", ".join(f"{name} has {n}" for name, n in counts.items())
            raise ExperimentError(f"blocks.* means every block, and {each} blocks; number them")
        return max(counts.values(), default=0)

    @property
    def selects(self) -> bool:
        """Whether some of its prompts are selected by what the unchanged model makes of them."""
        return any(prompts.selection for prompts in self.prompts.values())

    @cached_property
    def first(self) -> PromptSet:
        """The first prompts, which are measured by default."""
        return next(iter(self.prompts.values()))

    def prompts_called(self, name: str) -> PromptSet:
        """The prompts of this name. Raises: ExperimentError if there are none."""
        if name not in self.prompts:
            raise ExperimentError(f"there are no prompts {name!r}; {nearest(name, self.prompts)}")
        return self.prompts[name]

    def intervention(self, name: str) -> Intervention:
        """The intervention of this name, without the prompts of its control `damage`. Raises:
        ExperimentError if there is none."""
        by_name = {t.name: t for t in self.text.study.intervene}
        if name not in by_name:
            raise ExperimentError(f"there is no intervention {name!r}; {nearest(name, by_name)}")
        return msgspec.structs.replace(by_name[name], damage="")

    def is_tuned(self, model: Model) -> bool:
        """Whether the study trains this model further."""
        return model.name in self.trains and bool(self.trains[model.name].of)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """The cached result of `make` for this key."""
        if key not in self._worked_out:
            self._worked_out[key] = make()
        value: T = self._worked_out[key]
        return value

    def found(self, name: str, bos: bool | None = None) -> ModelFolder:
        """The folder of a model, cached. Raises: AssayError."""
        place = self.folder_of(name)
        return self.once(("folder", place, bos), partial(find, place, bos))

    def identity(self, name: str) -> str:
        """What identifies a model: its name, or the content of a folder, whatever its path."""
        place = self.folder_of(name).partition(BETWEEN)[0]
        if name in self.trains or place in fetch.MODELS or not Path(place).expanduser().is_dir():
            return name
        with suppress(AssayError):  # reported where its inputs are hashed
            found = f"folder {self.found(name).fingerprint[:16]}"
            self.named[found] = name
            return found
        return name

    def shaped_as(self, model: Model) -> ModelFolder:
        """A folder with the settings of a model, also of one trained from scratch. Raises:
        AssayError."""
        small = self.trains.get(model.name)
        bare = training.shell(small) if small and not small.of else None
        return bare or self.found(models.states(model)[0])

    def folder_of(self, name: str) -> str:
        """The folder of a model; for one that the study trains further, that of its start, which
        has the same tokens and shapes; for one from scratch its trained folder, if it exists."""
        if name in self.trains and not self.trains[name].of:
            with suppress(AssayError):
                spec = training.small_by_content(self.located(self.trains[name]))
                return str(Store(STORE.get()).built(spec) or name)
            return name
        if start := self.start_of(Model(name=name)):
            return self.folder_of(start.name)
        return self.once(("place", name), partial(models.located, self.folder, name))

    def located(self, table: Train) -> Train:
        """A training with defaults filled in, and the path of its text."""
        table = training.usual(table)
        return msgspec.structs.replace(table, text=models.located(self.folder, table.text))

    def start_of(self, model: Model) -> Model | None:
        """The model from which this one is known to be changed: the start of its training, or the
        first checkpoint."""
        if model.name in self.trains:
            origin = self.trains[model.name].of
            if not origin:
                return None
            return next(m for m in self.models if origin in (m.name, m.label))
        return Model(name=model.checkpoints[0]) if model.checkpoints[1:] else None

    def prefix(self, m: int, model: Model) -> str:
        """The prefix of the names of a model's arms. Raises: ExperimentError without a label."""
        if not m:
            return ""
        if not model.label:
            message = (
                'a second model needs a label, before the names of its arms: label = "tuned", say'
            )
            raise self.text.error(("model", m, "label"), message)
        return f"{model.label}/"

    def task(self, model: Model, table: Intervention | None = None) -> Task:
        """The task of an arm: a model under an intervention."""
        study = self.text.study
        measured = self.first
        if table is not None and table.prompts:
            measured = self.prompts_called(table.prompts)
        return Task(
            model,
            measured,
            reads_of(study.read, measured.table.name, first=True),
            table,
            directions=study.direction,
            sources=self.prompts,
            first=interventions.before(table, study.intervene) if table else None,
            chooses=any(
                t.top
                and choosing.learns(t.top)
                and self.prompts.get(t.prompts, self.first) is measured
                and choosing.prompts_of(t.top, study.read) in ("", measured.table.name)
                for t in study.intervene
            ),
            choosers=study.read if any(r.prompts for r in study.read) else (),
        )

    def read_by(self, table: Train) -> Model:
        """The model whose activations a dictionary reads, or the first of two. Raises:
        ExperimentError."""
        return self._reader(table, table.models[0] if table.models else table.of)

    def other_of(self, table: Train) -> Model | None:
        """The second model of a crosscoder of two. Raises: ExperimentError if it does not fit the
        first."""
        if not table.models:
            return None
        first, second = self.read_by(table), self._reader(table, table.models[1])
        names = [self.folder_of(m.name) for m in (first, second)]
        wrong = "" if first != second else f"{table.name!r} reads a model twice; name two"
        if not models.same_tokens(*names) or first.bos != second.bos:
            wrong = (
                "a crosscoder reads two models on the same tokens, and "
                f"{' and '.join(table.models)} cut texts into different tokens; name models with "
                "the same tokenizer"
            )
        if wrong:
            raise self.text.error(("train", self.text.index("train", table.name), "models"), wrong)
        return second

    def _reader(self, table: Train, name: str) -> Model:
        by_name = {**_by_name(self.models), "main": self.models[0]}
        model = by_name.get(name) if name else self.models[0]
        field = "models" if table.models else "of"
        message = ""
        if model is not None and model.dtype not in ("", "float32"):
            message = (
                f"a dictionary learns from activations in float32, and its model is {model.dtype}"
            )
        elif model is not None and model.weights and (model.sweep or not table.models):
            message = f"a dictionary learns from models as they are, and {name} has other weights"
        elif model is None or not model.name:
            message = _no_model_of(name, by_name)
        if model is None or message:
            raise self.text.error(("train", self.text.index("train", table.name), field), message)
        return model


def _dictionaries(text: Text) -> dict[str, Train]:
    """The dictionaries that a study trains, by name. Raises: ExperimentError for any impossible
    training."""
    study, by_name = text.study, dict[str, Train]()
    for i, train in enumerate(study.train):
        for key, message in training.wrong(train, [p.name for p in study.prompts]):
            raise text.error(("train", i, key), message)
        if training.kind_of(train) == "dictionary":
            whole = training.usual(train)
            for key, message in saes.wrong(whole):
                raise text.error(("train", i, key), message)
            place = models.located(text.path.parent, whole.text)
            each = whole.per_seed or _asks_for_dead(study, train.name)
            by_name[train.name] = msgspec.structs.replace(whole, text=place, per_seed=each)
    return by_name


def _asks_for_dead(study: Study, name: str) -> bool:
    """Whether a statement uses the share of dead latents of a dictionary, which is one number per
    dictionary, so that each seed trains one; not if another table names the dictionary."""
    is_named = any(
        value == name or (isinstance(value, tuple) and value[:1] == (name,) and value[1:] != ((),))
        for table in (*study.read, *study.direction, *study.intervene, *study.probe)
        for value in (getattr(table, field) for field in table.__struct_fields__)
    )
    return not is_named and any(
        arm.split("/")[0] == name and m == "dead" for arm, m in measures_named(study)
    )


def _models(text: Text) -> tuple[Model, ...]:
    """The models, with each twin's original resolved, followed by those that the study trains."""
    for i, model in enumerate(text.study.model):
        with text.located("model", i):
            models.check(model)
    tables = [models.named(m) for m in text.study.model]
    by_name, resolved = _by_name(tables), list[Model]()
    for i, model in enumerate(tables):
        other = by_name.get(model.like) if model.like else None
        if other is not None and other.like:
            message = f"{model.like!r} is untrained itself; name the model that both are twins of"
            raise text.error(("model", i, "like"), message)
        model = _with_donor(text, i, model, by_name)
        like = models.states(other)[0] if other else model.like
        bos = other.bos if other and model.bos is None else model.bos
        model = msgspec.structs.replace(model, like=like, bos=bos)
        if other is not None:
            same = {"dtype": other.dtype, "device": other.device}
            model = msgspec.structs.replace(model, **same)
        resolved.append(model)
    for i, table in enumerate(text.study.train):
        if training.kind_of(table) == "dictionary":
            continue
        other = by_name.get(table.of)
        if table.of and (other is None or not other.name or other.weights):
            raise text.error(("train", i, "of"), _no_model_of(table.of, by_name))
        bos = other.bos if other else None
        name = training.name_of(table)
        resolved.append(Model(name=name, label=table.name, bos=bos, controls=table.controls))
        by_name[table.name] = resolved[-1]  # another training may start from this one
    return tuple(resolved)


def _with_donor(text: Text, i: int, model: Model, by_name: Mapping[str, Model]) -> Model:
    """A model with the folder of the model from which some weights are taken."""
    changed = tuple(_placed(text, i, w, by_name) for w in models.changes(model))
    if not any(w.from_ for w in changed):
        return model
    weights = changed if isinstance(model.weights, tuple) else changed[0]
    return msgspec.structs.replace(model, weights=weights)


def _placed(text: Text, i: int, weights: Weights, by_name: Mapping[str, Model]) -> Weights:
    if not (name := weights.from_):
        return weights
    donor = text.study.model[0] if name == "main" else by_name.get(name, Model(name=name))
    if not donor.name or donor.weights:
        message = f"weights are taken from a model as it is in its folder, which {name!r} is not"
        raise text.error(("model", i, "weights", "from"), message)
    return msgspec.structs.replace(weights, from_=models.located(text.path.parent, donor.name))


def _by_name(tables: Sequence[Model]) -> dict[str, Model]:
    """Models by their names and labels, the first of each."""
    return {name: m for m in reversed(tables) for name in (m.name, m.label) if name}


def _no_model_of(name: str, by_name: Mapping[str, Model]) -> str:
    hint = nearest(name, [n for n, m in by_name.items() if m.name])
    return f"there is no model {name!r} with weights of its own; {hint}"


def _refuse_duplicates(text: Text) -> None:
    """Refuse a name or a label of two tables. Raises: ExperimentError."""
    study = text.study
    names: dict[str, list[str]] = {"arm": ["main"]}
    for table in ("prompts", "read", "direction", "intervene", "diff"):
        kind = "arm" if table in ("intervene", "diff") else table
        for i, entry in enumerate(getattr(study, table)):
            if entry.name in names.setdefault(kind, []):
                message = f"the name {entry.name!r} is taken by another {kind}; choose another"
                raise text.error((table, i, "name"), message)
            names[kind].append(entry.name)
    names["arm"] += [p.name for p in study.probe]
    labels = [m.label for m in study.model]
    for i, train in enumerate(study.train):
        if train.name in (*labels, *names["arm"], *(t.name for t in study.train[:i])):
            message = f"the name {train.name!r} is taken by another model or arm; choose another"
            raise text.error(("train", i, "name"), message)
    for i, label in enumerate(labels):
        if label and (label in labels[:i] or label in names["arm"]):
            message = f"the label {label!r} is taken by another model or arm; choose another"
            raise text.error(("model", i, "label"), message)
