"""ModelStudy: a study of models for `composing`. It has the arms and how they are measured, their
specs, what is known about their measures before a run, and (at the end) the estimates of
CPU-seconds and disk space."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from assay import errors
from assay.ask import arms, checks, inputs
from assay.ask.measure import (
    controls,
    damage,
    dictionaries,
    measuring,
    models,
    probe_tasks,
    probes,
    reads,
    sae_arms,
    saes,
    training,
)
from assay.ask.measure.damage import DamageTask
from assay.ask.measure.measuring import Measured
from assay.ask.measure.probe_tasks import ProbeTask
from assay.ask.measure.sae_arms import SaeTask
from assay.ask.measure.tasks import Task
from assay.ask.near import ELSEWHERE, OTHER_TEXT
from assay.ask.part import AskedSpec, Part, ReadingsSpec
from assay.ask.resolved import ResolvedStudy
from assay.ask.tables import Model
from assay.ask.text import Text
from assay.core import foreign
from assay.core.bench import Bench
from assay.core.columns import Axes
from assay.core.errors import AssayError
from assay.core.experiment import Arm, Cost
from assay.core.fit import Trained
from assay.core.heavy import xr
from assay.core.measures import measures
from assay.core.reading import LEFT_OUT
from assay.core.runs import Runs
from assay.core.spec import SpecMap, changed
from assay.lab.catalogue import STORE
from assay.subjects import sizes
from assay.subjects.folder import ModelFolder


class ModelStudy(ResolvedStudy):
    """A study of models, with its arms. Raises: ExperimentError with line and column, for what is
    wrong with the text and its files."""

    def __init__(self, text: Text) -> None:
        super().__init__(text)
        arms.add_arms(self)
        checks.leave_out_reads(self)

    def controls_of(self, arm: str, measured: Sequence[str] = ()) -> tuple[Part, ...]:
        """The near controls of an arm for a claim that reads these measures: those whose result can
        differ."""
        reads_named = [r for r in self.text.study.read if r.name in measured]

        def bears(part: Part) -> bool:
            stands_in = part.task.stands_in
            if stands_in == "heads":
                return bool(reads_named) and all(map(controls.names_a_head, reads_named))
            if stands_in == "blocks":
                return bool(reads_named) and all(map(controls.names_a_block, reads_named))
            if stands_in == "labels":
                return bool(reads_named) and any(map(controls.chooses_by_labels, reads_named))
            if stands_in == "position":
                return bool(reads_named) and all(map(controls.looks_at_a_slot, reads_named))
            if stands_in == "unrelated" and reads_named and not isinstance(part.task, SaeTask):
                gradients = [r.gradient for r in reads_named]
                relevant = [*reads_named, *(r for r in self.text.study.read if r.name in gradients)]
                return any(
                    controls.varies(r, part.task.prompts)
                    or controls.compares_texts(r)
                    or (isinstance(part.task, Task) and part.task.pairs(r))
                    for r in relevant
                )
            if isinstance(part.task, DamageTask):
                # a number of all prompts does not get worse prompt by prompt; and for a change of
                # weights the loss is the claimed effect, not a side effect
                changes_weights = part.task.model.weights and not part.task.intervention
                idle = {"across", *(("loss",) if changes_weights else ())}
                return not reads_named or any(reads.kind_of(r) not in idle for r in reads_named)
            return True

        return tuple(
            p for p in self.parts if p.of == arm and bears(p) and p.label not in self.at_chance
        )

    @cached_property
    def at_chance(self) -> frozenset[str]:
        """The controls of probes that are at chance because of their prompts, whatever the model
        does: they do not count as beaten. Frozen studies keep all."""
        labels: set[str] = set()
        for part in self.parts if self.frozen is None else ():
            if not isinstance(part.task, ProbeTask) or part.control:
                continue
            try:
                folder = self.found_of(part, part.task.model.bos)
            except AssayError:  # reported where what it reads is asked for
                continue
            labels |= {f"{part.label}/{name}" for name in probe_tasks.at_chance(part.task, folder)}
        return frozenset(labels)

    @property
    def shared(self) -> models.AsTheyAre | None:
        """What workers share: the models, if there are any."""
        return models.AsTheyAre(tuple(self.models), self.folder) if self.models else None

    @cached_property
    def by_label(self) -> Mapping[str, Part]:
        """The parts by their labels."""
        return {p.label: p for p in self.parts}

    @cached_property
    def changed_arms(self) -> frozenset[str]:
        """The arms in which a model is changed, compared or read by a dictionary: a statement that
        names one is about it."""
        trained = {p.label for p in self.parts if isinstance(p.task, SaeTask) and not p.of}
        changed = {p.label for p in self.parts if p.task.intervention or p.task.is_difference}
        return frozenset(trained | changed) - {"main"}

    def specs(self, preset: str, seeds: Sequence[int]) -> tuple[AskedSpec, ...]:
        """The specs of the arm main at a preset."""
        if not self.parts:
            return ()
        chosen = seeds[:2] if preset == "smoke" else seeds
        about = self._asked(self.parts[0])
        return tuple(AskedSpec(seed=s, smoke=preset == "smoke", **about) for s in chosen)

    def _asked(self, part: Part) -> dict[str, Any]:
        """The fields of the specs of an arm that say what is measured."""
        return self.once(("asked", part.label), partial(part.asked, self.identity))

    def _specs(self, part: Part, main: Sequence[AskedSpec]) -> tuple[AskedSpec, ...]:
        """The specs of the runs of an arm, one for each run of the arm main."""
        with_words: SpecMap[AskedSpec] = changed(**self._asked(part))
        return with_words(tuple(main))

    def arms(self) -> dict[str, Arm[Any]]:
        """The arms: nothing is trained, everything is measured."""
        return {
            part.label: Arm(
                lambda runs, bench: Trained.nothing(runs),
                specs=partial(self._specs, part),
                measure=self._measure(part),
                note=part.description,
                learned=self._learned(part),
                levels=_levels(part.task),
                brings=tuple(p.label for p in self.parts if p.of == part.label),
            )
            for part in self.parts
        }

    def _learned(self, part: Part) -> tuple[str, ...]:
        """The credited parts that were learned in an arm, by the names of arms: in a control all
        but its own, in an untrained model all but its original."""
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
        """Measure an arm, unless the store has the same content from this study or another."""

        def measure(runs: Runs[AskedSpec], _: Trained, bench: Bench) -> xr.Dataset:
            def build(path: Path) -> None:
                smoke = runs.shared.smoke
                task = inputs.ready(self, bench, part.task, smoke=smoke)
                if isinstance(task, SaeTask):
                    place, *others = (models.located(self.folder, m.name) for m in task.models)
                    about = partial(inputs.learning, self, task.table.name, place)
                    other, how = "".join(others), task.control
                    learning = partial(about, other=other, control=how, smoke=smoke)
                    tell = partial(bench.report, unit="dictionaries")
                    _save(path, *sae_arms.measure(task, learning, runs.seeds, bench, tell))
                    return
                counts = "runs" if isinstance(task, ProbeTask) else "prompts"
                try:
                    measured, coords = engine(task).measure(
                        task,
                        runs.seeds,
                        self.folder,
                        str(bench.device),
                        smoke,
                        lambda finished, total: bench.report(finished, total, counts),
                        bench.root,
                    )
                except errors.DataError as e:
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
        names = [models.states(m) for m in part.models]
        hashes = [[inputs.model_hash(self, n) for n in group] for group in names]
        read = inputs.inputs(self, runs.specs[0])
        files = {n: h for n, h in read.items() if n.split()[0] not in ("model", "prompts")}
        return part.readings(runs, hashes, files)

    def measured(self, part: Part) -> dict[str, Axes]:
        """The measures of an arm, with their dimensions and levels."""
        axes = partial(engine(part.task).axes, part.task)
        by_measure: dict[str, Axes] = self.once(("measured", part.label), axes)
        return by_measure

    def range_of(self, arm: str, measure: str) -> tuple[float | None, float | None]:
        """The smallest and the largest value of a measure of an arm; None if unbounded."""
        task = self.by_label[arm].task
        low, high = task.range_of(measure)
        read = next((r for r in getattr(task, "reads", ()) if r.name == measure), None)
        if low is None and read and read.feature and not getattr(task, "is_difference", False):
            name = read.feature[0]
            opened = partial(dictionaries.opened, name, self.folder, STORE.get())
            with suppress(AssayError):  # the dictionary is not at hand
                low = self.once(("least", name), lambda: opened().least)
        return low, high

    def is_of_first(self, part: Part) -> bool:
        """Whether an arm belongs to the first model or a dictionary, and is not a control: it is
        checked even if no statement names it."""
        of_first_model = part.task.models == self.models[:1] or isinstance(part.task, SaeTask)
        return part.control is None and of_first_model

    def found_of(self, part: Part, bos: bool | None = None) -> ModelFolder:
        """The folder of an arm's model, or of its first checkpoint. Raises: AssayError."""
        return self.found(models.states(part.task.model)[0], bos)

    def left_out(self, arms: Mapping[str, Any]) -> list[str]:
        """The arms that do not run because no statement needs them."""
        return [p.label for p in self.parts if p.label not in arms]


def _save(path: Path, measured: Measured, coords: Mapping[str, list[Any]]) -> None:
    """Write measures: the numbers, and their dimensions and units."""
    about = {name: [dims, unit] for name, (dims, _, unit) in measured.items()}
    (path / "about.json").write_text(json.dumps({"measured": about, "coords": coords}))
    np.savez(path / "numbers.npz", **{name: array for name, (_, array, _) in measured.items()})


def _load(path: Path, runs: int) -> tuple[Measured, dict[str, list[Any]]]:
    """Read measures for so many runs; if nothing is random all runs have the same."""
    about = json.loads(foreign.read_stored(path / "about.json"))
    measured: Measured = {}
    with np.load(path / "numbers.npz") as numbers:
        for name, (dims, unit) in about["measured"].items():
            array = numbers[name]
            array = np.repeat(array[:1], runs, 0) if len(array) != runs else array
            measured[name] = (dims, array, unit)
    return measured, about["coords"]


def engine(task: Task | ProbeTask | SaeTask) -> Any:
    """The module that measures a task."""
    if isinstance(task, SaeTask):
        return sae_arms
    if isinstance(task, DamageTask):
        return damage
    return probes if isinstance(task, ProbeTask) else measuring


def _levels(task: Task | ProbeTask | SaeTask) -> dict[str, int]:
    """The number of units of an arm, if known before it is measured."""
    if isinstance(task, SaeTask) and not task.source:
        return {}
    return {task.unit: len(task.levels)}


LOADING, DRAWING = 0.3, 3e-9
"""CPU-seconds of an arm itself, whose model is open, and to draw a weight."""
PROMPTED, PROBED = 0.65, 0.4
"""Measured divided by estimated time of passes of prompts, and of probes, in eleven studies of
SmolLM2 (2 to 40 CPU-seconds each)."""
TUNED = 2, 75
"""Passes that a token costs when SmolLM2 is trained further, and the tokens that a step adds."""


def seconds(study: ModelStudy, arms: Collection[str], together: int, runs: int) -> dict[str, float]:
    """CPU-seconds of one run of each of these arms, if so many runs of all are measured together;
    estimated from the sizes of models and prompts, without arms whose model is not available."""
    parts = [p for p in study.parts if p.label in arms]
    once = _once(study, parts)
    own = {p.label: own_seconds(study, p, together) for p in parts}
    return {arm: s + once.get(arm, 0.0) / runs for arm, s in own.items() if s is not None}


def own_seconds(study: ModelStudy, part: Part, runs: int) -> float | None:
    """CPU-seconds of one run of an arm, without what all arms and runs share; None if the model is
    not available."""
    task, total = part.task, 0.0
    for model in task.models:
        states = models.states(model)
        if (size := _size(study, states[0])) is None:
            return None
        whole = measuring.blocks(size) + size["d"] * size["v"]
        drawing = runs * (whole + size["d"] * size["v"]) * DRAWING if model.like else 0.0
        reading = engine(task).seconds(task, size, runs)
        if not isinstance(task, SaeTask):
            reading *= PROBED if isinstance(task, ProbeTask) else PROMPTED
        new = not part.of or part.control in (OTHER_TEXT, ELSEWHERE)
        if new and (table := study.trains.get(states[0])):
            table = training.usual(table)
            rows = source.rows if (source := study.prompts.get(table.prompts)) else ()
            lengths = [len(row.text) / measuring.SIGNS for row in rows] or [table.context or 0]
            length = min(table.context or 0, sum(lengths) / len(lengths))
            passes, stepping = TUNED if table.of else (3, 0)
            tokens = (table.steps or 0) * (stepping + (table.batch or 0) * length)
            reading += passes * measuring.PASS * tokens * whole
        total += len(states) * (LOADING + drawing + reading) / runs
    return total


def _once(study: ModelStudy, parts: Sequence[Part]) -> dict[str, float]:
    """CPU-seconds that these arms need once for all runs, by the first arm that needs it: passes up
    to the site of a dictionary, and the training of one whose own arm does not run."""
    seconds: dict[str, float] = {}
    trained = {p.task.table.name for p in parts if isinstance(p.task, SaeTask) and not p.of}
    read: set[tuple[Any, ...]] = set()
    for part in parts:
        is_own_arm = isinstance(part.task, SaeTask)
        used = () if is_own_arm else (study.saes[n] for n in inputs.used(study, part.task))
        tasks = [SaeTask(study.read_by(t), t, study.prompts.get(t.prompts)) for t in used]
        for task in [part.task] if isinstance(part.task, SaeTask) else tasks:
            if not (size := _size(study, task.model.name)):
                continue
            needed = 0.0
            if (activations := sae_arms.passes_of(task)) not in read:
                needed += sae_arms.passes(task, size)
            if not is_own_arm and task.table.name not in trained:
                needed += sae_arms.seconds(task, size, 1)
                trained.add(task.table.name)
            read.add(activations)
            seconds[part.label] = seconds.get(part.label, 0.0) + needed
    return seconds


def _size(study: ModelStudy, name: str) -> Mapping[str, int] | None:
    """The sizes of a model; None if it is not available."""
    table = study.trains.get(name)
    if table is not None and (start := study.start_of(Model(name=name))):
        return _size(study, start.name)
    if table is not None:
        spec = training.small(training.usual(table))
        sizes_of = {"layers": spec.layers, "d": spec.d, "m": spec.m, "v": spec.vocab}
        return {**sizes_of, "h": spec.heads}
    try:
        return sizes.read_sizes(study.found(name).config)
    except AssayError:
        return None


def cost(study: ModelStudy, runs: Runs[Any]) -> Cost:
    """The disk space of runs besides their measures: for models that the study trains, and for the
    activations that its dictionaries learn from."""
    about = json.loads(runs.specs[0].asked)
    names = {n for states in about["models"] for n in states}
    model_sizes = [size for n in names if n in study.trains and (size := _size(study, n))]
    total = sum(4 * (measuring.blocks(s) + 2 * s["d"] * s["v"]) for s in model_sizes)
    for name in {p.task.table.name for p in study.parts if isinstance(p.task, SaeTask)}:
        table = study.saes[name]
        model = study.read_by(table)
        if "trained" in about and model.name in names and (size := _size(study, model.name)):
            sites = len(table.models or saes.sites_of(table))
            total += 2 * size["d"] * sites * (table.tokens or 0)
    return Cost(bytes=total)
