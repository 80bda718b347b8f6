"""What a study trains, ready for those who read it: models and dictionaries, each known by the
content of what it learns before it is there, and trained when it is first needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from assay.ask.measure import models, saes, training
from assay.ask.measure.probe_tasks import ProbeTask
from assay.ask.measure.prompts import PromptSet
from assay.ask.measure.sae_arms import SaeTask
from assay.ask.measure.saes import Learning
from assay.ask.measure.tasks import Task
from assay.ask.parts import Parts
from assay.ask.tables import Model, Train
from assay.controls.table import FROZEN, NOT_TRAINED
from assay.core.bench import Bench
from assay.core.errors import AssayError
from assay.data.tiny import tiny
from assay.subjects.folder import fingerprint


class Trained(Parts):
    """The arms of a study with what it trains for them."""

    def ready(self, bench: Bench, task: Any, *, smoke: bool) -> Any:
        """A task with the folders and files of what the study trains, trained now or before."""
        if isinstance(task, ProbeTask):
            table = _with_files(task.table, self._files(bench, [task.table], smoke))
            return dataclasses.replace(
                task, table=table, model=self._opened_from(bench, task.model)
            )
        model = self._opened_from(bench, task.model)
        if isinstance(task, SaeTask):
            return dataclasses.replace(task, model=model)
        less, start = (self._opened_from(bench, m) if m else None for m in (task.less, task.start))
        about = (*task.reads, *task.own_directions, *filter(None, [task.intervention]))
        files = self._files(bench, about, smoke)
        return dataclasses.replace(
            task,
            model=model,
            less=less,
            start=start,
            reads=tuple(_with_files(r, files) for r in task.reads),
            directions=tuple(_with_files(d, files) for d in task.directions),
            intervention=_with_files(task.intervention, files) if task.intervention else None,
        )

    def learning(
        self, name: str, model: str, seed: int, *, control: str = "", smoke: bool = False
    ) -> Learning:
        """The training of a dictionary, or of what stands in its place in a control.

        Args:
            name: of the dictionary.
            model: the folder or the name of the model that it reads.
            seed: of the training.
            control: a near control's name.
            smoke: whether it only shows that everything runs.
        """
        table = self.saes[name]
        return Learning(
            saes.smaller(table) if smoke else table,
            model,
            self.model_hash(self._of(name).name),
            self.prompts.get(table.prompts),
            seed,
            untrained=control == NOT_TRAINED.name,
            frozen="decoder" if control == FROZEN.name else saes.frozen(table),
            bos=self._of(name).bos,
        )

    def dictionary_hash(self, name: str) -> str:
        """What identifies a dictionary that the study trains. Raises: ExperimentError."""
        with self._told_where(name):
            return training.key(self.learning(name, "", self.saes[name].seed).spec)

    def model_hash(self, name: str) -> str:
        """What identifies a model, also one that the study trains. Raises: AssayError,
        ExperimentError."""
        if name not in self.trains:
            return fingerprint(self._folder(name))
        table = self.trains[name]
        with self._told_where(table.name):
            if not table.of:
                return training.key(training.small_by_content(self._located(table)))
            return training.key(self._spec(name))

    def _spec(self, name: str) -> training.TunedSpec:
        """What a model was trained from, and how."""
        start = self._start(Model(name=name))
        begun = self.model_hash(start.name) if start and start.name in self.trains else ""
        return training.spec(*self._tuning(name), begun)

    def used(self, task: Task | ProbeTask | SaeTask) -> set[str]:
        """The dictionaries that the study trains for an arm."""
        if isinstance(task, SaeTask):
            return {task.table.name}
        if isinstance(task, ProbeTask):
            return _named([task.table]) & {*self.saes}
        about = (*task.reads, *task.own_directions, *filter(None, [task.intervention]))
        return _named(about) & {*self.saes}

    def _of(self, name: str) -> Model:
        """The model whose activations a dictionary of the study reads."""
        names = [t.name for t in self.text.study.train]
        return self._read_by(names.index(name), self.saes[name])

    def _files(self, bench: Bench, tables: Any, smoke: bool) -> Mapping[str, str]:
        """The file of each dictionary that these tables name and the study trains."""
        files = {}
        for name in sorted(_named(tables) & {*self.saes}):
            model = self._opened_from(bench, self._of(name))
            place = models.located(self.folder, model.name)
            learning = self.learning(name, place, self.saes[name].seed, smoke=smoke)
            files[name] = str(learning.path(bench).absolute())
        return files

    def _opened_from(self, bench: Bench, model: Model) -> Model:
        """A model with its folder, where the study trains it, or what it is like."""
        if model.like in self.trains:
            return msgspec.structs.replace(model, like=self._start_of_twin(bench, model.like))
        if model.name in self.trains:
            return msgspec.structs.replace(model, name=str(self._trained(bench, model.name)))
        return model

    def _start_of_twin(self, bench: Bench, name: str) -> str:
        """A folder of a trained model's shape and tokens."""
        table = self.trains[name]
        return self._folder(name) if table.of else str(self._trained(bench, name))

    def _trained(self, bench: Bench, name: str) -> Path:
        """The folder of a model that the study trains, trained now or before."""
        table = self.trains[name]
        if not table.of:
            return tiny(training.small(self._located(table)), bench)
        tuning = self._tuning(name)

        def build(path: Path) -> None:
            begun = self._start(Model(name=name))
            if begun and begun.name in self.trains:
                folder = str(self._trained(bench, begun.name))
                tuned = (tuning[0], folder, *tuning[2:])
            else:
                tuned = tuning
            training.train(*tuned, str(bench.device), path, bench.report)

        return bench.artefact(self._spec(name), build)

    def _tuning(self, name: str) -> tuple[Train, str, PromptSet | None, bool | None]:
        """How a model is trained further, with its text where it lies: from which folder, on which
        prompts, and whether texts begin with a BOS."""
        table = self._located(self.trains[name])
        known = (*self.models, *self.on_other_text.values())
        bos = next(m.bos for m in known if m.name == name)
        return table, self._folder(name), self.prompts.get(table.prompts), bos

    @contextmanager
    def _told_where(self, name: str) -> Iterator[None]:
        """Tell where in the file that stands whose training leads to a refusal."""
        names = [t.name for t in self.text.study.train]
        try:
            yield
        except AssayError as e:
            if str(e).startswith(f"{self.text.path} line"):
                raise
            raise self.text.error(("train", names.index(name)), e) from e


FIELDS = ("feature", "clamp", "dictionary", "jaccard")
"""The fields of tables that name a dictionary: by itself, or with a latent."""


def _named(tables: Any) -> set[str]:
    """The dictionaries that tables name."""
    names: set[str] = set()
    for table in tables:
        for field in FIELDS:
            if value := getattr(table, field, None):
                names.add(value if isinstance(value, str) else value[0])
        names |= {str(level) for level in table.sweep.get("dictionary", ())}
    return names


def _with_files(table: Any, files: Mapping[str, str]) -> Any:
    """A table with the file of each dictionary in place of its name."""
    changes: dict[str, Any] = {}
    for field in FIELDS:
        value = getattr(table, field, None)
        if isinstance(value, str) and value in files:
            changes[field] = files[value]
        elif value and not isinstance(value, str) and value[0] in files:
            changes[field] = (files[value[0]], value[1])
    if levels := table.sweep.get("dictionary"):
        changes["sweep"] = {**table.sweep, "dictionary": tuple(files.get(v, v) for v in levels)}
    return msgspec.structs.replace(table, **changes)
