"""Judged: one experiment or study, with what is missing trained, and its claims judged."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from assay.core.experiment import Experiment
from assay.core.results import ResultData
from assay.lab.store.origin import STUDIES
from assay.verbs.verb import Door

if TYPE_CHECKING:
    from assay.lab.lab import Lab
    from assay.lab.plan.plan import Plan
    from assay.lab.plan.preset import Preset
    from assay.lab.work.events import OnEvent


def warn(name: str, experiment: Experiment, door: Door) -> None:
    """Say which claims of a study no data could decide, or hardly any, and which of its prompts and
    arms nothing uses."""
    if name.endswith(STUDIES):
        from assay.ask.missing import idle_arms, scarce, undecidable, unused

        lines = undecidable(experiment)
        for line in (*lines, *scarce(experiment), *unused(experiment), *idle_arms(experiment)):
            door.aside(f"! {line}")
        if lines:
            door.aside("It runs nevertheless; Ctrl-C stops it, and keeps what was measured.")


def judged(
    lab: Lab,
    experiment: Experiment,
    preset: Preset,
    planned: Plan,
    watching: AbstractContextManager[OnEvent],
) -> ResultData:
    """Train and measure what is missing, then judge; a study only within its budget. What is stored
    is given at once.

    `watching` is entered where there is work to do, and gives the listener for its events.
    Raises: ExperimentError for a study that would take longer than its budget; RunError;
    StoreError; KeyboardInterrupt, resumable."""
    if (cached := lab.known(experiment, planned)) is not None:
        return cached
    if experiment.origin.endswith(STUDIES):
        from assay.ask.missing import refuse_beyond_budget

        refuse_beyond_budget(lab, experiment, planned)
    with watching as on_event:
        return lab.run(experiment, preset, on_event, planned).data
