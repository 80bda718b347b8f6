"""Budget: whether a study is expected to fit the time that its author gave it."""

from __future__ import annotations

from pathlib import Path

from assay.ask.text import read
from assay.core.compute import duration
from assay.core.experiment import Experiment
from assay.lab.forecast import forecast
from assay.lab.lab import Lab
from assay.lab.plan.preset import Preset


def affordable(path: Path, lab: Lab, experiment: Experiment, preset: Preset) -> None:
    """Refuse a study that is expected to take longer than its budget; where nothing is known of its
    times it may run.

    Raises: ExperimentError, with what would fit.
    """
    text = read(path)
    if not text.study.budget:
        return
    with text.located("budget"):
        most = duration(text.study.budget)
    plan = lab.plan(experiment, preset)
    if not plan.missing:
        return
    width = lab.executor_for([experiment]).width
    took = forecast(plan, experiment, width, claims=False).command
    if took is not None and took[0].low > most:
        what = (
            f"what is missing takes {took[0].low:,.0f} s or more, and the budget is "
            f"{text.study.budget.strip()}; raise it, or name fewer seeds, arms or values; nothing "
            "was run"
        )
        raise text.error(("budget",), what)
