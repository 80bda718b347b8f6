"""A study on its way to an Experiment: its text with the arms that it borrows or makes, and its
statements as read, before they are checked against the arms."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from assay.ask import comparing, missing, sides
from assay.ask.annotated import annotated
from assay.ask.model_study import ModelStudy
from assay.ask.sides import Side
from assay.ask.text import Text
from assay.ask.wording import Condition, condition
from assay.core.columns import Axes
from assay.core.compute import duration
from assay.core.errors import ExperimentError, nearest
from assay.core.experiment import PRESETS
from assay.core.spec import Spec, per_run_fields


class Statement:
    """A claim or an estimate of a study, with its condition or quantity read."""

    def __init__(self, text: Text, table: str, i: int, study: ModelStudy | None) -> None:
        self.text, self.table, self.i = text, table, i
        self.entry: Any = getattr(text.study, table)[i]
        self.key = "holds" if table == "claim" else "value"
        with text.located(table, i, self.key):
            words = getattr(self.entry, self.key)
            self.read: Condition = condition(words, compared=table == "claim")
        controls = getattr(self.entry, "control", ())
        arms = [name for name in self.read.parsed.arms if name not in controls]
        # the arm that it is about
        self.main = comparing.about(study, self.read, controls) if study else [*arms, "main"][0]

    def error(self, key: str | None, message: object) -> ExperimentError:
        """Make the refusal of one of its fields, or of the whole statement."""
        return self.text.error((self.table, self.i, *([key] if key else [])), message)


@dataclasses.dataclass(frozen=True)
class KnownMeasures:
    """What is known about the measures of an arm before any run: their dimensions, and the
    experiment whose record they are from."""

    axes: Mapping[str, Axes]
    side: Side | None = None
    complete: bool = False
    """Whether every level is known, as for arms of a model, whose levels are in the text."""

    @property
    def units(self) -> tuple[str, ...]:
        """The possible units: fields in which runs differ, and dimensions."""
        dims = (dim for axes in self.axes.values() for dim in axes)
        return tuple(dict.fromkeys([*(self.fields or ("seed",)), *dims]))

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields in which runs of an experiment's arm may differ."""
        return tuple(per_run_fields(type(self.side.of.default[0]))) if self.side else ()

    @property
    def settled(self) -> bool:
        """Whether the levels are those recorded, as no field is set on which they could depend."""
        if self.complete:
            return True
        return self.side is not None and not self.side.fields and self.side.part.preset == "default"


class StudyDraft:
    """A study on its way to an Experiment: its borrowed experiments and its arms. Raises:
    ExperimentError for what is wrong with them."""

    def __init__(self, text: Text) -> None:
        _check_words(text)
        self.sides = sides.sides(text) if text.study.experiment else []
        asks = "model" if text.study.model else "train" if text.study.train else ""
        if asks and self.sides:
            message = "a study asks models or borrows experiments; write two studies"
            raise text.error((asks,), message)
        self.asked = ModelStudy(text)
        self.verdict_notes: Any = None
        self.annotate: Any = partial(annotated, self.asked, {}, "")
        # the arms and measures that each statement reads, by its text
        self.columns: dict[str, list[tuple[str, str]]] = {}
        self.seeds = missing.seeds(text) if self.sides or self.asked.parts else ()
        _refuse_duplicates(text, self.sides, self.seeds)
        self.first = {preset: self._main_specs(preset) for preset in PRESETS}
        self.borrowed = {
            name: arm
            for side in self.sides
            for name, arm in sides.arms_of(side, self.sides[0]).items()
        }
        # an experiment needs an arm main, even if it does not run
        self.idle = {name for name, arm in self.borrowed.items() if arm.specs is sides.none}
        self.arms = self.borrowed | self.asked.arms()
        for i, part in enumerate(text.study.experiment):
            for name in (n for n in part.learned if n not in self.borrowed):
                hint = nearest(name, self.borrowed)
                message = f"the study has no arm {name!r} of an experiment; {hint}"
                raise text.error(("experiment", i, "learned"), message)
        self.text = text
        self.measured = {
            side.named(arm): KnownMeasures(axes, side)
            for side in self.sides
            for arm, axes in sides.measured(side).items()
        }
        self.measured |= {
            p.label: KnownMeasures(self.asked.measured(p), complete=True) for p in self.asked.parts
        }

    def _main_specs(self, preset: str) -> tuple[Spec, ...]:
        """The specs of the arm main at a preset: of the models, otherwise of the first
        experiment."""
        if self.asked.parts:
            return self.asked.specs(preset, self.seeds)
        if not self.sides:
            return ()
        side = self.sides[0]
        if preset == "smoke":
            return side.specs("smoke", ())
        return side.specs(side.part.preset if preset == "default" else preset, self.seeds)

    def statement(self, table: str, i: int) -> Statement:
        """Read a claim or an estimate."""
        return Statement(self.text, table, i, self.asked if self.asked.parts else None)


def _check_words(text: Text) -> None:
    """Refuse a budget that is not a duration, and a threshold without its source."""
    if text.study.budget:
        with text.located("budget"):
            duration(text.study.budget)
    for i, entry in enumerate(text.study.claim):
        if entry.threshold and not re.match(rf"({'|'.join(SOURCES)})\b", entry.threshold):
            message = (
                "threshold must say where the number in the claim comes from: "
                '"plan: …" (chosen before any look at results), or "paper: …", "theory: …", '
                f'"pilot: …"; got {entry.threshold!r}'
            )
            raise text.error(("claim", i, "threshold"), message)


SOURCES = ("plan", "paper", "theory", "pilot")
"""The possible sources of a threshold."""


def _refuse_duplicates(text: Text, study_sides: Sequence[Side], seeds: Sequence[int]) -> None:
    """Refuse the same runs under two labels: their agreement is no evidence, and as a control one
    could not differ from the other."""
    for side, other in itertools.combinations(study_sides, 2):
        specs, other_specs = (s.specs(s.part.preset, seeds) for s in (side, other))
        if side.of.name == other.of.name and set(specs) & set(other_specs):
            first, second = (f"{s.label}/main" if s.label else "main" for s in (side, other))
            message = (
                f"{first} and {second} have the same runs; leave one out, or set a field in which "
                "they differ"
            )
            raise text.error(("experiment", text.study.experiment.index(other.part)), message)
