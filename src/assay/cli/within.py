"""What `assay run --within` says before it runs: which seeds fit the time, and what the rest would
have brought."""

from __future__ import annotations

import sys

from assay.cli.printing import tell
from assay.cli.progress import lasting
from assay.core.experiment import Experiment
from assay.core.reading import plural
from assay.lab.lab import Lab
from assay.lab.plan.design import Design, design
from assay.lab.plan.preset import Preset


def chosen(
    lab: Lab, experiment: Experiment, preset: Preset, within: str | None
) -> tuple[Preset, float | None]:
    """Give what runs within a time, and its seconds, once it is told on standard error what was
    given up; without one what was asked for."""
    if within is None:
        return preset, None
    width = lab.executor_for([experiment]).width
    choice = design(lab.store, experiment, preset, within, width)
    for line in lines(choice, within.strip()):
        tell(line, sys.stderr)
    return choice.preset, choice.seconds


def lines(choice: Design, within: str) -> list[str]:
    """Say what runs, what was given up for it, and how much wider intervals are to be expected."""
    before = f", as chosen on {choice.since[:16].replace('T', ' ')}" if choice.since else ""
    part, whole = (
        f.command[0] if f.command is not None and f.plan.missing else None
        for f in (choice.chosen, choice.whole)
    )
    takes = lasting(part) if part is not None else "nothing, since it is stored"
    if choice.seeds == choice.of_seeds:
        return [f"within {within}: all of it fits, {takes}{before}"]
    rest = f"; all of it takes {lasting(whole)}" if whole is not None else ""
    known = [
        f"; claim {i}: ±{b.half_width:.3g}, not ±{a.half_width:.3g}: {b.expected}"
        for i, (a, b) in enumerate(zip(choice.whole.claims, choice.chosen.claims, strict=True), 1)
        if a.half_width and b.half_width
    ]
    return [
        f"within {within}: {choice.seeds} of {choice.of_seeds} {plural('seed', choice.of_seeds)}; "
        f"{len(choice.chosen.plan.rows)} of {len(choice.whole.plan.rows)} runs, "
        f"{takes}{rest}{before}",
        f"that costs: intervals over seeds about {choice.wider:.2g} times as "
        f"wide{''.join(known[:4])}{' …' if known[4:] else ''}",
    ]
