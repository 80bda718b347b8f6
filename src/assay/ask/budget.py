"""Budget: a study that would take longer than its author allows is not run."""

from __future__ import annotations

from pathlib import Path

from assay.ask.text import read
from assay.core.compute import duration
from assay.core.experiment import Experiment
from assay.lab.forecast import forecast
from assay.lab.lab import Lab
from assay.lab.plan.plan import Plan


def refuse_beyond_budget(lab: Lab, experiment: Experiment, planned: Plan) -> None:
    """Refuse a study that is expected to take longer than its budget; where nothing is known of its
    times it may run. Raises: ExperimentError, with what would fit."""
    text = read(Path(experiment.origin))
    if not text.study.budget or not planned.missing:
        return
    with text.located("budget"):
        most = duration(text.study.budget)
    width = lab.executor_for([experiment]).width
    took = forecast(planned, experiment, width, claims=False).command
    if took is not None and took[0].low > most:
        what = (
            f"the missing runs would take {took[0].low:,.0f} s or more, and the budget is "
            f"{text.study.budget.strip()}; raise it, or name fewer seeds, arms or values; "
            "nothing was run"
        )
        raise text.error(("budget",), what)
