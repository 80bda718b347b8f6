"""Budget: whether a study is expected to fit the time that its author gave it."""

from __future__ import annotations

from pathlib import Path

from assay.core.compute import duration
from assay.core.errors import AssayError, ExperimentError
from assay.core.experiment import Experiment
from assay.lab.forecast import forecast
from assay.lab.lab import Lab
from assay.lab.preset import Preset
from assay.studies.text import read


def affordable(path: Path, lab: Lab, experiment: Experiment, preset: Preset) -> None:
    """Refuse a study that is expected to take longer than its budget; where nothing is known of its
    times it may run.

    Raises: ExperimentError, with what would fit.
    """
    text = read(path)
    if not text.study.budget:
        return
    try:
        most = duration(text.study.budget)
    except AssayError as e:
        raise ExperimentError(f"{text.at('budget')}: {e}") from None
    plan = lab.plan(experiment, preset)
    prediction = (
        forecast(plan, experiment, lab.executor_for([experiment]).width, claims=False)
        if plan.missing
        else None
    )
    if prediction is None or prediction.command is None or prediction.command[0].low <= most:
        return
    least = prediction.command[0].low
    raise ExperimentError(
        f"{text.at('budget')}: what is missing takes {least:,.0f} s or more, and the budget is "
        f"{text.study.budget.strip()}; "
        "raise it, or name fewer seeds, arms or values; nothing was run"
    )
