"""Within: the largest design that fits into a time, what was given up for it, and what that costs
in width of intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from assay.core.compute import Range, budget
from assay.core.errors import AssayError, ExperimentError
from assay.core.experiment import Experiment
from assay.core.outlook import Spread
from assay.core.schema import BESIDE
from assay.lab.design import Design, design
from assay.lab.lab import Lab
from assay.lab.preset import Preset


@dataclass(frozen=True)
class Width:
    """The half-width that the interval of a claim is expected to have, on the scale on which it is
    judged; null where that is unknown."""

    claim: str
    whole: float | None
    chosen: float | None
    expected: str
    """What it is then expected to be: holds, fails, undecided or unknown."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What runs within a time, and what was given up for it."""

    experiment: str
    within: str
    seconds: float
    preset: str
    """The title of what runs."""
    set: tuple[str, ...]
    """What was set to fit, as `--set` takes it; empty where everything fits."""
    seeds: int
    of_seeds: int
    needed_seeds: int
    """The fewest seeds with which claims are as decided as with all of them, as far as that is
    known."""
    left_out_values: Mapping[str, tuple[Any, ...]]
    left_out_arms: tuple[str, ...]
    runs: int
    of_runs: int
    command_seconds: Range | None
    """Seconds by the clock of what runs; null where everything of it is stored."""
    whole_seconds: Range | None
    """Seconds by the clock of all that was asked for; null where nothing tells, or everything is
    stored."""
    wider: float
    """By which factor fewer seeds widen intervals over seeds, by Student's t."""
    claims: tuple[Width, ...]
    since: str
    """When an earlier command chose it, in ISO 8601; "" where this one does."""
    choice: Preset = field(metadata=BESIDE)


def fitted(lab: Lab, experiment: Experiment, preset: Preset, within: str) -> Fitted:
    """Choose the largest design that fits, and write it down in the store; a command that is
    repeated finds the same.

    Raises: DataError for a time that cannot be read; AssayError for one elsewhere; ExperimentError,
    one line, where nothing fits."""
    parsed_budget = budget(within)
    if parsed_budget.seconds is None:
        raise AssayError(
            f"--within is a time on this machine, such as 10m, got {within!r}; assay plan "
            f"{experiment.typed} --budget takes others"
        )
    if not any(True for _ in preset.specs):
        raise ExperimentError(f"{experiment.name} has no runs in preset {preset.name}")
    fitted_design = design(
        lab.store,
        experiment,
        preset,
        parsed_budget.seconds,
        within.strip(),
        lab.executor_for([experiment]).width,
    )
    whole, chosen = fitted_design.whole, fitted_design.chosen
    widths = tuple(
        Width(a.text, a.half_width, b.half_width, b.expected)
        for a, b in zip(whole.claims, chosen.claims, strict=True)
    )
    return Fitted(
        experiment=experiment.name,
        within=within.strip(),
        seconds=parsed_budget.seconds,
        preset=fitted_design.preset.title,
        set=tuple(s for s in fitted_design.preset.sets if s not in preset.sets),
        seeds=fitted_design.seeds,
        of_seeds=fitted_design.of_seeds,
        needed_seeds=fitted_design.needed,
        left_out_values=fitted_design.values,
        left_out_arms=fitted_design.arms,
        runs=len(chosen.plan.rows),
        of_runs=len(whole.plan.rows),
        command_seconds=chosen.command[0]
        if chosen.command is not None and chosen.plan.missing
        else None,
        whole_seconds=whole.command[0]
        if whole.command is not None and whole.plan.missing
        else None,
        wider=_wider(fitted_design),
        claims=widths,
        since=fitted_design.since,
        choice=fitted_design.preset,
    )


def _wider(fitted_design: Design) -> float:
    return (
        Spread(1.0, fitted_design.of_seeds).expected(fitted_design.seeds)
        if 2 <= fitted_design.seeds < fitted_design.of_seeds
        else 1.0
    )
