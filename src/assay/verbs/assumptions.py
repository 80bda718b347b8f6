"""Asked: what a study has not said: what it cannot do without, and what is taken in place of the
rest, with what that costs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from assay.core.errors import AssayError
from assay.core.experiment import Experiment
from assay.core.schema import BESIDE
from assay.lab.lab import Lab
from assay.lab.plan.preset import override
from assay.studies import missing
from assay.studies.composing import composed
from assay.studies.text import Text, read


@dataclass(frozen=True)
class Unsaid:
    """Something that a study does not say."""

    where: str
    """The field, such as `claim 1: control`."""
    text: str
    """What to write."""
    default: str | None
    """What is taken in its place; null where nothing can be, so that it has to be said."""
    cost: str
    """What that costs, in words."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a study does not say."""

    study: str
    unsaid: tuple[Unsaid, ...]
    exit_code: int = field(metadata=BESIDE)
    """2 where something has to be said before it can run."""


def find_unsaid(path: Path, lab: Lab, known: Experiment | None = None) -> Asked:
    """Tell what a study does not say, what is taken in its place, and what that costs; `known` is
    its experiment, where it was composed already. Raises: ExperimentError."""
    text = read(path)
    lacks = missing.essential(text)
    assumed = missing.assumed(text) if text.study.experiment or text.study.dictionary else []
    if text.study.model and not lacks:
        assumed = missing.of_models(text, known or composed(text))
    seed_cost = _each_seed(text, lab, known) if text.study.experiment else ""
    rows = [Unsaid(m.where, m.text, m.default, "") for m in lacks]
    rows += [Unsaid(m.where, m.text, m.default, seed_cost if m.each else m.cost) for m in assumed]
    return Asked(study=str(path), unsaid=tuple(rows), exit_code=2 if lacks else 0)


def _each_seed(text: Text, lab: Lab, known: Experiment | None) -> str:
    """What a seed costs, with all arms, whatever is claimed."""
    try:
        experiment = replace(known or composed(text.bare), name="study")
        seeds = missing.seeds(text)
        plan = lab.plan(experiment, override(experiment))
    except AssayError as e:
        return f"unknown: {e}"
    if plan.cpu_seconds is None:
        return "unknown: no record tells what these runs take"
    return (
        f"about {plan.cpu_seconds / len(seeds):,.0f} CPU-seconds a seed, {plan.cpu_seconds:,.0f} "
        "in all"
    )
