"""Asked: what a study has not said: what it cannot do without, and what is taken in place of the rest, with what that costs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from assay.core.compute import budget
from assay.core.errors import AssayError, ExperimentError
from assay.core.experiment import Experiment
from assay.core.schema import BESIDE
from assay.lab.forecast import forecast
from assay.lab.lab import Lab
from assay.lab.preset import Preset, override
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


def asked(path: Path, lab: Lab) -> Asked:
    """Tell what a study does not say, what is taken in its place, and what that costs. Raises: ExperimentError."""
    text = read(path)
    lacks = missing.essential(text)
    assumed = missing.assumed(text) if text.study.experiment or text.study.dictionary else []
    each = _each_seed(text, lab) if text.study.experiment else ""
    rows = [Unsaid(m.where, m.text, m.default, "") for m in lacks]
    rows += [Unsaid(m.where, m.text, m.default, each if m.each else "nothing") for m in assumed]
    return Asked(study=str(path), unsaid=tuple(rows), exit_code=2 if lacks else 0)


def affordable(path: Path, lab: Lab, experiment: Experiment, preset: Preset) -> None:
    """Refuse a study that is expected to take longer than its budget; where nothing is known of its times it may run.

    Raises: ExperimentError, with what would fit.
    """
    text = read(path)
    if not text.study.budget:
        return
    try:
        most = budget(text.study.budget)
    except AssayError as e:
        raise ExperimentError(f"{text.at('budget')}: {e}") from None
    if most.seconds is None:
        raise ExperimentError(f"{text.at('budget')}: a study's budget is a time on this machine, such as 10m, got {most.text!r}")
    plan = lab.plan(experiment, preset)
    found = forecast(plan, experiment, lab.executor_for([experiment]).width, claims=False) if plan.missing else None
    if found is None or found.command is None or found.command[0].low <= most.seconds:
        return
    least = found.command[0].low
    raise ExperimentError(
        f"{text.at('budget')}: what is missing takes {least:,.0f} s or more, and the budget is {most.text}; "
        "raise it, or name fewer seeds, arms or values; nothing was run"
    )


def _each_seed(text: Text, lab: Lab) -> str:
    """What a seed costs, with all arms, whatever is claimed."""
    try:
        bare = composed(replace(text, study=msgspec.structs.replace(text.study, claim=())))
        experiment = replace(bare, name="study")
        seeds = missing.seeds(text)
        plan = lab.plan(experiment, override(experiment))
    except AssayError as e:
        return f"unknown: {e}"
    if plan.cpu_seconds is None:
        return "unknown: no record tells what these runs take"
    return f"about {plan.cpu_seconds / len(seeds):,.0f} CPU-seconds a seed, {plan.cpu_seconds:,.0f} in all"
