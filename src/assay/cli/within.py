"""What `assay run --within` says before it runs: what was given up to fit the time, and what that
costs."""

from __future__ import annotations

import sys

from assay.cli.printing import tell
from assay.cli.progress import lasting
from assay.core.experiment import Experiment
from assay.core.reading import plural
from assay.lab.lab import Lab
from assay.lab.preset import Preset
from assay.verbs.within import Fitted, fitted


def chosen(
    lab: Lab, experiment: Experiment, preset: Preset, within: str | None
) -> tuple[Preset, float | None]:
    """Give what runs within a time, and its seconds, once it is told on standard error what was
    given up; without one what was asked for."""
    if within is None:
        return preset, None

    fitted_design = fitted(lab, experiment, preset, within)
    for line in lines(fitted_design):
        tell(line, sys.stderr)
    return fitted_design.choice, fitted_design.seconds


def lines(fitted_design: Fitted) -> list[str]:
    """Say what runs, what was given up for it, and how much wider intervals are to be expected."""
    takes = (
        lasting(fitted_design.command_seconds)
        if fitted_design.command_seconds is not None
        else "nothing, since it is stored"
    )
    before = (
        f", as chosen on {fitted_design.since[:16].replace('T', ' ')}"
        if fitted_design.since
        else ""
    )
    gone = []
    if fitted_design.seeds < fitted_design.of_seeds:
        gone.append(
            f"{fitted_design.seeds} of {fitted_design.of_seeds} "
            f"{plural('seed', fitted_design.of_seeds)}"
        )
    gone += [
        f"without {name} {', '.join(map(str, values))}, which no claim asks for"
        for name, values in fitted_design.left_out_values.items()
    ]
    if fitted_design.left_out_arms:
        gone.append(
            f"without arms {', '.join(fitted_design.left_out_arms)}, of which no claim is "
            "asked then"
        )
    if not gone:
        return [f"within {fitted_design.within}: all of it fits, {takes}{before}"]
    whole = (
        f"; all of it takes {lasting(fitted_design.whole_seconds)}"
        if fitted_design.whole_seconds is not None
        else ""
    )
    sentences = [
        (
            f"within {fitted_design.within}: {'; '.join(gone)}; {fitted_design.runs} of "
            f"{fitted_design.of_runs} runs, "
            f"{takes}{whole}{before}"
        )
    ]
    if fitted_design.seeds < fitted_design.of_seeds:
        known = [(i, c) for i, c in enumerate(fitted_design.claims, 1) if c.whole and c.chosen]
        claim_widths = "".join(
            f"; claim {i}: ±{c.chosen:.3g}, not ±{c.whole:.3g}: {c.expected}" for i, c in known[:4]
        )
        sentences.append(
            f"that costs: intervals over seeds about {fitted_design.wider:.2g} times as "
            f"wide{claim_widths}{' …' if known[4:] else ''}"
        )
    return sentences
