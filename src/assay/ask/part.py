"""Part: one arm of a study of models: what it measures, its specs and its description. `at_levels`
and `model_phrase` write names and models in sentences."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from assay.ask.measure import models, training
from assay.ask.measure.interventions import in_a_row, in_rows
from assay.ask.measure.probe_tasks import ProbeTask
from assay.ask.measure.reads import FEW, uses_lens
from assay.ask.measure.sae_arms import SaeTask
from assay.ask.measure.tasks import Task, stated
from assay.ask.near import BLOCKED_LAYERS, ELSEWHERE, TOKEN, Control, in_words
from assay.ask.tables import Model
from assay.core.runs import Runs
from assay.core.scopes import listed
from assay.core.spec import Spec
from assay.data.names import model_in_words

LONGEST = 64
"""Tokens of the longest plain sentence with small vocabularies, roughly."""
LEFT_OUT = "; this control is left out"
"""The end of a note on an automatic control that cannot be made."""
STANDING_IN = ("unrelated", "shuffled", "heads", "blocks", "labels", "position")
"""Controls of unchanged models that replace something that is read."""


@dataclass(frozen=True, kw_only=True)
class AskedSpec(Spec):
    """What one arm measures, in words that determine every number; the contents are among the run's
    inputs."""

    model: str = ""
    asked: str = ""
    """Models, prompts, reads, intervention, control and directions, as JSON."""
    smoke: bool = False
    reading: int = 1
    """Raised when the meaning of the words changes."""


@dataclass(frozen=True, kw_only=True)
class ReadingsSpec(Spec):
    """What was measured, by content alone, so that any study can reuse it."""

    asked: str
    """As `AskedSpec.asked`, with hashes instead of the names of models and prompts."""
    seeds: tuple[int, ...]
    """The seeds of the runs; empty if nothing is random."""
    smoke: bool
    reading: int


ANOTHER_BLOCK = (
    " (earlier or later, where the change is larger; near an end of the model, this may be a "
    "neighbouring block)"
)
PLACES = (
    (TOKEN, " (the token that it changes most)"),
    (ELSEWHERE, ANOTHER_BLOCK),
    (BLOCKED_LAYERS, ANOTHER_BLOCK.replace("the change is", "the attention to these tokens is")),
)
"""How the place of a control is chosen."""


@dataclass(frozen=True)
class Part:
    """One arm of a study of models."""

    label: str
    """The name of the arm."""
    task: Task | ProbeTask | SaeTask
    control: Control | None = None
    of: str = ""
    """The arm that it controls."""

    @property
    def why(self) -> str:
        """The alternative explanation that a control tests."""
        return self.control.why if self.control else ""

    @property
    def description(self) -> str:
        """A description in one line."""
        task = self.task
        name = model_phrase(task.model)
        name += f" less {model_phrase(task.less)}" if task.less else ""
        if task.than and isinstance(task, Task):
            name += f" on {task.prompts.table.name} less on {task.than.table.name}"
        elif isinstance(task, Task) and task.prompts.table.name in [*task.sources][1:]:
            name += f" on the prompts {task.prompts.table.name}"
            if not self.of and isinstance(text := task.prompts.table.text, str) and text:
                name += f" (“{textwrap.shorten(text, 60, placeholder=' …')}”)"
        # not in `why`, which is part of what is frozen
        where = next((words for control, words in PLACES if control is self.control), "")
        table = task.table if isinstance(task, ProbeTask) else task.intervention
        phrase = at_levels(task.phrase, table.sweep if table else {})
        rival = f"; a control for another explanation: {in_words(self.why)}{where}"
        return f"{name}, {phrase}{rival if self.why else ''}"

    @cached_property
    def models(self) -> tuple[Model, ...]:
        """The models that determine its numbers, including the one that selects its prompts."""
        selection = self.task.prompts.selection if isinstance(self.task, Task) else None
        more = selection is not None and selection.model not in self.task.models
        return (*self.task.models, *([selection.model] if selection and more else []))

    def asked(self, identity: Callable[[str], str]) -> dict[str, Any]:
        """The fields of its specs that say what they measure, with the identity of each model in
        place of its name."""
        about: dict[str, Any] = {
            **self.task.words,
            "models": [[*map(identity, models.states(m))] for m in self.models],
            "prompts": [p.table.name for p in self.task.sets],
        }
        if isinstance(self.task, SaeTask):
            about["text"] = self.task.table.text
        if steps := models.levels(self.task.model):
            about["levels"] = steps
        about |= self._beginning
        words = json.dumps(about, sort_keys=True, ensure_ascii=False)
        model = self.task.model
        name = f"untrained {identity(model.like)}" if model.like else about["models"][0][0]
        # 2: a lens is compared with the model's own prediction; earlier, with the unchanged lens
        reading = 2 if isinstance(self.task, Task) and any(map(uses_lens, self.task.reads)) else 1
        return {"model": name, "asked": words, "reading": reading}

    @cached_property
    def _beginning(self) -> dict[str, Any]:
        """The BOS and dtype settings of its models, and the changes of their weights, if any."""
        bos_settings, dtypes = ([getattr(m, f) for m in self.models] for f in ("bos", "dtype"))
        weights = [models.reweighted_in_words(m) for m in self.models]
        return {
            **({"bos": bos_settings} if any(bos is not None for bos in bos_settings) else {}),
            **({"dtype": dtypes} if any(dtypes) else {}),
            **({"weights": weights} if any(weights) else {}),
        }

    def readings(
        self, runs: Runs[AskedSpec], hashes: Sequence[Sequence[str]], files: Mapping[str, str]
    ) -> ReadingsSpec:
        """What its runs measure, by the hashes of its models and of other files by name."""
        words = {
            **self.task.words,
            "models": hashes,
            "files": files,
            "prompts": [p.digest for p in self.task.sets],
            "levels": [models.levels(m) for m in self.models],
            **self._beginning,
            **({"second model": "start"} if self.task.start and not self.task.less else {}),
        }
        if table := self.task.intervention:
            words["intervention"] = stated(msgspec.structs.replace(table, name="", prompts=""))
        return ReadingsSpec(
            asked=json.dumps(words, sort_keys=True, ensure_ascii=False),
            seeds=tuple(map(int, runs.seeds)) if self.task.drawn else (),
            smoke=runs.shared.smoke,
            reading=runs.shared.reading,
        )


def at_levels(words: str, sweep: Mapping[str, Sequence[object]]) -> str:
    """Write names with slots, such as blocks.{layer}.hook_z, at the levels of the slots, and names
    of consecutive blocks: a few one by one; of more the first and the last, with the levels of each
    slot unless these are all values in between. Parts of blocks are named by their levels."""

    def filled(match: re.Match[str]) -> str:
        slots = [slot for slot in sweep if f"{{{slot}}}" in match[0]]
        names = [match[0]]
        for slot in slots:
            names = [n.replace(f"{{{slot}}}", str(x)) for n in names for x in sweep[slot]]
        if len(names) <= FEW:
            return listed(names)
        ends = f"{names[0]} to {names[-1]}"
        if slots[1:] and (parts := re.fullmatch(r"\{(\w+)\}\.\{(\w+)\}", match[0])):
            block, number = (listed(in_rows(sweep[slot])) for slot in parts.groups())
            return f"{number} of block {block}"
        every = slots[1:] or not in_a_row(sweep[slots[0]])
        levels = " × ".join(f"{slot} {listed(in_rows(sweep[slot]))}" for slot in slots)
        return f"{ends} ({levels})" if every else ends

    words = re.sub(r"[\w.{}]*\{\w+\}[\w.{}]*(?<!\.)", filled, words)
    row = rf"(blocks\.\d+(\.[\w.]+)), (?:blocks\.\d+\2, ){{{FEW - 1},}}(blocks\.\d+\2)(?!\w)"
    return re.sub(row, r"\1 to \3", words)


def model_phrase(model: Model) -> str:
    """A model in a sentence."""
    for name, words in ((model.name, "{}"), (model.like, "the untrained twin of {}")):
        if name.startswith(training.PREFIX):
            return words.format(name.partition(": ")[2])
    if model.checkpoints:
        states = f"{len(model.checkpoints)} checkpoints, {', '.join(model.checkpoints)}"
        return f"the untrained twin of {states}" if model.like else states
    model_words = model_in_words(model.like or model.name)
    changed = models.reweighted_in_words(model)
    if model.sweep and len(levels := changed.split("; ")) > 1:
        changed = f"{len(levels)} changes in turn, from “{levels[0]}” to “{levels[-1]}”"
    twin = "the untrained twin of " if model.like else ""
    return f"{twin}{model_words}{f' with {changed}' if changed else ''}"
