"""Costs: what the arms of a study that asks models take, in CPU-seconds and in room."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from assay.ask import trained
from assay.ask.measure import measuring, models, sae_arms, saes, training
from assay.ask.measure.sae_arms import SaeTask
from assay.ask.model_study import ModelStudy, engine
from assay.ask.part import Part
from assay.ask.tables import Model
from assay.controls.table import OTHER_TEXT
from assay.core.errors import AssayError
from assay.core.experiment import Cost
from assay.core.runs import Runs
from assay.subjects import sizes

LOADING, DRAWING = 5.0, 2e-8
"""CPU-seconds to load a model, and to draw a weight."""


def seconds(asked: ModelStudy, part: Part, runs: int) -> float | None:
    """CPU-seconds of one run of an arm, by the size of its model and its prompts; None
    where the model is not here."""
    task, total = part.task, 0.0
    for model in task.models:
        states = models.states(model)
        if (size := _size(asked, states[0])) is None:
            return None
        whole = measuring.blocks(size) + size["d"] * size["v"]
        drawing = runs * (whole + size["d"] * size["v"]) * DRAWING if model.like else 0.0
        reading = engine(task).seconds(task, size, runs)
        new = not part.of or part.control == OTHER_TEXT
        if new and (table := asked.trains.get(states[0])):
            table = training.usual(table)
            tokens = (table.steps or 0) * (table.batch or 0) * (table.context or 0)
            reading += 3 * measuring.PASS * tokens * whole
        total += len(states) * (LOADING / 4 + drawing + reading) / runs
    return total + _dictionary_seconds(asked, part)


def _dictionary_seconds(asked: ModelStudy, part: Part) -> float:
    """CPU-seconds of one run for the dictionaries that the study trains, where this is the
    first arm that needs them and no dictionary's own."""
    seconds = 0.0
    for name in () if isinstance(part.task, SaeTask) else trained.used(asked, part.task):
        first = next(p for p in asked.parts if name in trained.used(asked, p.task))
        model = asked.read_by(asked.saes[name])
        if first is part and (size := _size(asked, model.name)):
            task = SaeTask(model, asked.saes[name], asked.prompts.get(asked.saes[name].prompts))
            seconds += sae_arms.seconds(task, size, 1)
    return seconds


def _size(asked: ModelStudy, name: str) -> Mapping[str, int] | None:
    """The sizes of a model; None of one that is not here."""
    table = asked.trains.get(name)
    if table is not None and (start := asked.start_of(Model(name=name))):
        return _size(asked, start.name)
    if table is not None:
        spec = training.small(training.usual(table))
        sizes_of = {"layers": spec.layers, "d": spec.d, "m": spec.m, "v": spec.vocab}
        return {**sizes_of, "h": spec.heads}
    try:
        return sizes.read_sizes(asked.found(name).config)
    except AssayError:
        return None


def cost(asked: ModelStudy, runs: Runs[Any]) -> Cost:
    """What runs need beside their measures: room for the models that the study trains, and for
    the activations that its dictionaries learn from."""
    about = json.loads(runs.specs[0].asked)
    names = {n for states in about["models"] for n in states}
    known = [size for n in names if n in asked.trains and (size := _size(asked, n))]
    total = sum(4 * (measuring.blocks(s) + 2 * s["d"] * s["v"]) for s in known)
    for name in {p.task.table.name for p in asked.parts if isinstance(p.task, SaeTask)}:
        table = asked.saes[name]
        model = asked.read_by(table)
        if "trained" in about and model.name in names and (size := _size(asked, model.name)):
            sites = len(saes.sites_of(table))
            total += 2 * size["d"] * sites * (table.tokens or 0)
    return Cost(bytes=total)
