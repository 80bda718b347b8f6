"""What `assay run --within` says before it runs: what was given up to fit the time, and what that
costs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from assay.cli.printing import tell
from assay.cli.progress import lasting
from assay.core.reading import plural

if TYPE_CHECKING:
    from assay.core.experiment import Experiment
    from assay.lab.lab import Lab
    from assay.lab.preset import Preset
    from assay.verbs.within import Fitted


def chosen(
    lab: Lab, experiment: Experiment, preset: Preset, within: str | None
) -> tuple[Preset, float | None]:
    """Give what runs within a time, and its seconds, once it is told on standard error what was
    given up; without one what was asked for."""
    if within is None:
        return preset, None
    from assay.verbs.within import fitted

    found = fitted(lab, experiment, preset, within)
    for line in lines(found):
        tell(line, sys.stderr)
    return found.choice, found.seconds


def lines(found: Fitted) -> list[str]:
    """Say what runs, what was given up for it, and how much wider intervals are to be expected."""
    takes = (
        lasting(found.command_seconds)
        if found.command_seconds is not None
        else "nothing, since it is stored"
    )
    before = f", as chosen on {found.since[:16].replace('T', ' ')}" if found.since else ""
    gone = []
    if found.seeds < found.of_seeds:
        gone.append(f"{found.seeds} of {found.of_seeds} {plural('seed', found.of_seeds)}")
    gone += [
        f"without {name} {', '.join(map(str, values))}, which no claim asks for"
        for name, values in found.left_out_values.items()
    ]
    if found.left_out_arms:
        gone.append(
            f"without arms {', '.join(found.left_out_arms)}, of which no claim is asked then"
        )
    if not gone:
        return [f"within {found.within}: all of it fits, {takes}{before}"]
    whole = (
        f"; all of it takes {lasting(found.whole_seconds)}"
        if found.whole_seconds is not None
        else ""
    )
    told = [
        (
            f"within {found.within}: {'; '.join(gone)}; {found.runs} of {found.of_runs} runs, "
            f"{takes}{whole}{before}"
        )
    ]
    if found.seeds < found.of_seeds:
        known = [(i, c) for i, c in enumerate(found.claims, 1) if c.whole and c.chosen]
        each = "".join(
            f"; claim {i}: ±{c.chosen:.3g}, not ±{c.whole:.3g}: {c.expected}" for i, c in known[:4]
        )
        told.append(
            f"that costs: intervals over seeds about {found.wider:.2g} times as "
            f"wide{each}{' …' if known[4:] else ''}"
        )
    return told
