"""Verdicts: an experiment or a study run, or what is stored of it shown."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from assay.core.experiment import Experiment
from assay.core.results import ResultData
from assay.lab.judge.result import Result
from assay.lab.judge.verdicts import choose
from assay.lab.lab import Lab
from assay.lab.plan.preset import Preset
from assay.lab.store.origin import STUDIES
from assay.lab.work.events import OnEvent
from assay.studies.budget import affordable


def run(
    lab: Lab,
    experiment: Experiment,
    preset: Preset,
    watching: AbstractContextManager[OnEvent] | None = None,
) -> ResultData:
    """Train and measure what is missing, then judge; a study only within its budget. What is stored
    is given at once.

    `watching` is entered where something is to be done, and gives what is told of it.
    Raises: ExperimentError for a study that would take longer than its budget; RunError;
    StoreError; KeyboardInterrupt, resumable."""
    if (known := lab.known(experiment, preset, run=True)) is not None:
        return ResultData.from_json(known)
    if experiment.origin.endswith(STUDIES):
        affordable(Path(experiment.origin), lab, experiment, preset)
    with watching if watching is not None else nullcontext() as on_event:
        return lab.run(experiment, preset, on_event).data


def show(
    lab: Lab, experiment: Experiment, preset: Preset, arm: str = "main", claim: str | None = None
) -> ResultData:
    """Give the verdicts of what is stored, all or one claim, by its number or words of its text;
    nothing is trained or written.

    Another `arm` is judged as if it were the method.
    Raises: StoreError where runs are missing; ExperimentError for an unknown arm; ClaimError where
    no claim is the one, or several."""
    stored_result = load_or_judge(lab, experiment, preset, arm, claim)
    if isinstance(stored_result, ResultData):
        return stored_result
    return (stored_result if claim is None else choose(stored_result, claim)).data


def load_or_judge(
    lab: Lab, experiment: Experiment, preset: Preset, arm: str = "main", claim: str | None = None
) -> Result | ResultData:
    """Give what is stored, as it was written where no more than that is asked for; else judge
    it."""
    known = lab.known(experiment, preset) if arm == "main" and claim is None else None
    return ResultData.from_json(known) if known is not None else lab.judge(experiment, preset, arm)
