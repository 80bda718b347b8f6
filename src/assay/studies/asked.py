"""Asked: the models that a study asks, as arms: each intervention, and beside it its near
controls."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from assay.ask import controls, dictionaries, directions, interventions, measuring, prompts, reads
from assay.ask.controls import Control
from assay.ask.measuring import Task
from assay.ask.prompts import PromptSet
from assay.ask.tables import Direction, Intervention, Model
from assay.core.bench import Bench
from assay.core.columns import Axes
from assay.core.errors import AssayError, ExperimentError, nearest
from assay.core.experiment import Arm
from assay.core.fit import Trained
from assay.core.heavy import xr
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.core.spec import Spec
from assay.data.names import model_in_words
from assay.lab.plan.plan import ROOT
from assay.studies.text import Text
from assay.subjects import sizes
from assay.subjects.folder import find, fingerprint

PASS, LOADING = 2 / 50e9, 5.0
"""CPU-seconds for each weight and token of one pass, and to load a model."""


@dataclass(frozen=True, kw_only=True)
class AskedSpec(Spec):
    """What one arm measures, in words that decide every number; contents are among what the run
    reads."""

    model: str = ""
    asked: str = ""
    """Reads, intervention, control and directions, as JSON."""
    smoke: bool = False
    reading: int = 1
    """Raised when the same words come to mean other numbers."""


@dataclass(frozen=True)
class Part:
    """One arm of a study that asks a model."""

    label: str
    """What the arm is called."""
    task: Task
    control: Control | None = None
    of: str = ""
    """The arm whose control it is."""

    @property
    def told(self) -> str:
        """What it is, in a line."""
        table = self.task.intervention
        what = f"{table.name}: {interventions.in_words(table)}" if table else "as it is"
        model = self.task.model
        name = f"the untrained twin of {model.like}" if model.like else model.name
        return f"{name}, {what}{f'; {self.control.why}' if self.control else ''}"

    @property
    def learned(self) -> tuple[str, ...] | None:
        """What was learned in it, as `Arm.learned`: in a control nothing of what is credited."""
        return () if self.control or self.task.model.like else None

    def spec(self, seed: int, *, smoke: bool = False) -> AskedSpec:
        """The spec of one run."""
        task = self.task
        said: dict[str, Any] = {
            "reads": [_said(r) for r in task.reads],
            "intervention": _said(task.intervention) if task.intervention else None,
            "control": task.control,
            "directions": [_said(d) for d in self._directions],
            "halved": task.learns_here,
        }
        words = json.dumps(said, sort_keys=True, ensure_ascii=False)
        name = f"untrained {task.model.like}" if task.model.like else task.model.name
        return AskedSpec(seed=seed, model=name, asked=words, smoke=smoke)

    @property
    def _directions(self) -> list[Direction]:
        """The directions that decide its numbers."""
        table = self.task.intervention
        names = {r.projection for r in self.task.reads}
        at = [interventions.swept(table, p) for p in interventions.points(table)] if table else []
        names |= {name for t in at for name in (t.add, t.project_out)}
        return [d for d in self.task.directions if d.name in names]


def _said(table: Any) -> dict[str, Any]:
    """What a table says beside its defaults."""
    usual = {f.name: f.default for f in msgspec.structs.fields(type(table))}
    whole: dict[str, Any] = msgspec.to_builtins(table)
    return {k: v for k, v in whole.items() if getattr(table, k) != usual[k] and k != "controls"}


class Asked:
    """What a study asks of models. Raises: ExperimentError with line and column, for what the text
    and its files show to be wrong."""

    def __init__(self, text: Text) -> None:
        self.text, study = text, text.study
        self.folder = text.path.parent
        self.models, self.parts = study.model, list[Part]()
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
                reads.check(read)
        if not study.read:
            what = 'something is read: write [[read]], a name and log_prob = " yes", say'
            raise text.error(("model",), what)
        self.first = next(iter(self.prompts.values()))
        for m, model in enumerate(study.model):
            prefix = self._prefix(m, model)
            self.parts.append(self._part(f"{prefix}main", model))
            for i, table in enumerate(study.intervene):
                with text.located("intervene", i):
                    interventions.check(table, study.direction)
                    table = interventions.expanded(table, study.direction)
                    name = f"{prefix}{table.name}"
                    self.parts.append(self._part(name, model, table))
                    for control in controls.of_intervention(table, study.direction):
                        label = f"{name}/{control.name}"
                        self.parts.append(self._part(label, model, table, control, name))

    def _prefix(self, m: int, model: Model) -> str:
        if not m:
            return ""
        if not model.label:
            what = (
                'a second model needs a label, before the names of its arms: label = "tuned", say'
            )
            raise self.text.error(("model", m, "label"), what)
        return f"{model.label}/"

    def _part(
        self,
        label: str,
        model: Model,
        table: Intervention | None = None,
        control: Control | None = None,
        of: str = "",
    ) -> Part:
        study = self.text.study
        measured = self.first
        if table is not None and table.prompts:
            if table.prompts not in self.prompts:
                hint = nearest(table.prompts, self.prompts)
                raise ExperimentError(f"there are no prompts {table.prompts!r}; {hint}")
            measured = self.prompts[table.prompts]
        task = Task(
            model,
            measured,
            study.read,
            table,
            control.name if control else "",
            study.direction,
            self.prompts,
        )
        return Part(label, task, control, of)

    def _refuse_duplicates(self) -> None:
        study = self.text.study
        for table in ("prompts", "read", "direction", "intervene"):
            names: list[str] = []
            for i, entry in enumerate(getattr(study, table)):
                if entry.name in names or (table == "intervene" and entry.name == "main"):
                    what = f"there is a {table} {entry.name!r} already; give it another name"
                    raise self.text.error((table, i, "name"), what)
                names.append(entry.name)

    # what composing asks --------------------------------------------------------------------------

    def controls_of(self, arm: str) -> tuple[Part, ...]:
        """The near controls of an arm."""
        return tuple(p for p in self.parts if p.of == arm)

    @cached_property
    def by_label(self) -> Mapping[str, Part]:
        """The parts by the names of their arms."""
        return {p.label: p for p in self.parts}

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
                learned=part.learned,
            )
            for part in self.parts
        }

    def _measure(self, part: Part) -> Callable[[Runs[AskedSpec], Trained, Bench], xr.Dataset]:
        def measure(runs: Runs[AskedSpec], trained: Trained, bench: Bench) -> xr.Dataset:
            named, coords = measuring.measure(
                part.task,
                runs.seeds,
                self.folder,
                str(bench.device),
                runs.shared.smoke,
                lambda done, total: bench.report(done, total, "prompts"),
                bench.root,
            )
            return measures(runs, coords=coords, **named)

        return measure

    def measured(self, part: Part) -> dict[str, Axes]:
        """What an arm measures, with its dimensions and their levels."""
        task = part.task
        swept = task.intervention.sweep if task.intervention else {}
        axes: dict[str, Axes] = {}
        for read in task.reads:
            own = {f"{read.name}_{n}" if n in swept else n: v for n, v in read.sweep.items()}
            axes[read.name] = {**swept, **own, task.prompts.unit: ()}
        return axes

    def units(self, arms: Sequence[str]) -> tuple[str, ...]:
        """Over what a claim about these arms generalises: over prompts, or the column that parts
        them, and over seeds where something is drawn in one of the arms."""
        about = [self.by_label[a] for a in arms if a in self.by_label]
        unit = about[0].task.prompts.unit if about else "prompt"
        return ("seed", unit) if any(p.task.drawn for p in about) else (unit,)

    def inputs(self, spec: AskedSpec, arm: Part | None = None) -> Mapping[str, str]:
        """What a run reads: the contents of model and prompts. Raises: ExperimentError."""
        name = spec.model.removeprefix("untrained ")
        try:
            model = fingerprint(measuring.located(self.folder, name))
        except AssayError as e:
            names = [m.like or m.name for m in self.models]
            raise self.text.error(("model", names.index(name), "name"), e) from e
        digests = {f"prompts {n}": p.digest for n, p in self.prompts.items()}
        return {"model": model, **digests, **self._dictionaries}

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
                contents[f"dictionary {of[0]}"] = source.sha256
        return contents

    def seconds(self, part: Part, runs: int) -> float | None:
        """CPU-seconds of one run of an arm, by the size of its model and its prompts; None
        where the model is not here."""
        task = part.task
        name = measuring.located(self.folder, task.model.like or task.model.name)
        try:
            folder = find(name)
            size = sizes.read_sizes(folder.config)
        except AssayError:
            return None
        blocks = size["layers"] * (
            4 * size["d"] ** 2 + 3 * size["d"] * size.get("m", 2 * size["d"])
        )
        table, rows = task.intervention, task.rows
        length = sum(len(task.prompts.rows[i].text) for i in rows) / 4  # a token is some 4 signs
        points = len(interventions.points(table)) if table else 1
        variants = points * (runs if task.drawn else 1)
        reading = variants * (length * blocks + len(rows) * len(task.reads) * size["d"] * size["v"])
        return LOADING / 4 / runs + PASS * reading / runs

    @property
    def scope(self) -> str:
        """For which models and prompts verdicts speak."""
        names = (
            f"the untrained twin of {model_in_words(m.like)}" if m.like else model_in_words(m.name)
            for m in self.models
        )
        count, table = len(self.parts[0].task.rows), self.first.table
        source = f" of {table.file}" if table.file else ""
        return f"{' and '.join(names)}, {count} prompts{source}"


def _nothing(runs: Runs[Any], bench: Bench) -> Trained:
    return Trained.nothing(runs)
