"""What `assay plan` prints: what a run, or a run of the whole catalogue, would take and bring."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from assay.cli.printing import draw, emit, grid, megabytes, say, tell
from assay.cli.progress import lasting
from assay.core import extras
from assay.core.compute import Range
from assay.core.experiment import ALL
from assay.core.power import CHANCE, MOST
from assay.core.reading import plural
from assay.lab.catalogue import entry
from assay.lab.lab import Lab
from assay.lab.plan.forecast import Prospect
from assay.lab.store.origin import STUDIES
from assay.verbs import plan
from assay.verbs.assumptions import Asked, find_unsaid
from assay.verbs.plan import Arm, Bought, Planned, PlannedCatalogue

if TYPE_CHECKING:
    from assay.cli.options import Choice, Place


def print_plan(name: str, choice: Choice, lab: Lab, budget: str | None, place: Place) -> int:
    """Plan an experiment, a study or all of the catalogue, print that, and tell what to exit with:
    2 for a study that lacks something."""
    if name == ALL:
        whole = plan.plan_catalogue(lab, choice.preset, budget, choice.set)
        emit(whole) if place.json else catalogue(whole, place.options)
        return 0
    unsaid = None
    if name.endswith(STUDIES):
        unsaid = find_unsaid(entry(name).path, lab)
        if unsaid.exit_code:
            emit(unsaid) if place.json else lacking(unsaid)
            return unsaid.exit_code
    experiment_plan = plan.plan(lab, *choice.of(name), budget)
    if place.json:
        emit(experiment_plan)
        return 0
    show_plan(experiment_plan, name, place.options)
    if unsaid is not None:
        assumed(unsaid)
    return 0


def show_plan(experiment_plan: Planned, name: str, place: str = "") -> None:
    """Print what would run, arm by arm, what it will take, and what is to be expected of each
    claim; then commands for this name and store."""

    def typed(options: str) -> str:  # the name as it was typed: a file may lie in another folder
        return f"{shlex.quote(name)}{options[len(options.split()[0]) :]}{place}"

    budget = experiment_plan.budget
    bought = budget if isinstance(budget, Bought) else None
    arms(experiment_plan.arms)
    print()
    claims(experiment_plan)
    if experiment_plan.scope:
        say(f"Verdicts will speak for: {experiment_plan.scope}")
    say(
        f"{experiment_plan.frozen.told[0].upper()}{experiment_plan.frozen.told[1:]}."
        if experiment_plan.frozen
        else "Nothing is frozen: its verdicts will be exploratory."
    )
    for note in experiment_plan.notes:
        say(f"note: {note}")
    if bought is not None:
        widths = (
            f"; half-widths are those of {bought.planned_seeds:,}" if bought.planned_seeds else ""
        )
        say(f"{bought.text} buys {counted(bought.seeds)}, stored ones included{widths}.")
    print()
    if bought is not None and bought.missing:
        for line in spent(experiment_plan, bought):
            say(line)
        tell(f"To spend it: assay run {typed(bought.options)}{without_torch()}")
        return
    if not experiment_plan.missing:
        tell(f"Everything is stored. Verdicts: assay show {typed(experiment_plan.options)}")
        return
    if bought is not None:  # no run to train: the plain advice would overspend it
        within = (
            f"{bought.planned_seeds:,} seeds are within it, and they are stored"
            if bought.planned_seeds
            else "not one seed is within it"
        )
        say(f"{bought.text} buys nothing here: {within}. The preset takes more:")
    for line in describe_costs(experiment_plan):
        say(line)
    subject = "The preset itself" if bought is not None else "Next"
    tell(f"{subject}: assay run {typed(experiment_plan.options)}{without_torch()}")


def lacking(gaps: Asked) -> None:
    """Print what a study has to say before it can run, and what would be taken in place of the
    rest."""
    for gap in (u for u in gaps.unsaid if u.default is None):
        say(gap.text)
    assumed(gaps)


def assumed(gaps: Asked) -> None:
    """Print what a study does not say, what is taken in its place, and what that costs."""
    rows = [u for u in gaps.unsaid if u.default is not None]
    if not rows:
        return
    print()
    table = grid("not said", "taken in its place", "costs", "or")
    for u in rows:
        table.add_row(u.where, u.default, u.cost, u.text)
    draw(table)


def arms(arm_rows: Sequence[Arm]) -> None:
    """Print the table of arms: runs, what is stored, CPU-seconds of each."""
    table = grid(
        "arm",
        "runs",
        "stored",
        "missing",
        "CPU-s a run",
        "why",
        right=("runs", "stored", "missing", "CPU-s a run"),
    )
    for arm in arm_rows:
        cost = (
            "unknown" if arm.cpu_seconds is None else f"{'≤ ' * arm.at_most}{arm.cpu_seconds:.2f}"
        )
        table.add_row(
            arm.name, str(arm.runs), str(arm.runs - arm.missing), str(arm.missing), cost, arm.why
        )
    draw(table)


def claims(experiment_plan: Planned) -> None:
    """Print, for each claim, its units and those of its controls, the half-width to expect, and
    what decides it; then the estimates in words, and the curves."""
    for i, c in enumerate(experiment_plan.claims, 1):
        every = ", ".join(
            f"{arm}: {count}" for part in (c.judged, c.controls) for arm, count in part.items()
        )
        say(f"{i}. {c.text}")
        say(f"  units {every}; {outlined(c)}")
        if c.reads:
            say(f"  reads {', '.join(c.reads)}")
    for e in (e for e in experiment_plan.estimates if e.reads or e.over):
        crossing = f", and where it is {e.crosses}" if e.crosses is not None else ""
        say(f"– {e.text}")
        curve = f"a curve over {e.over}{crossing}" if e.over else "a number with its interval"
        say(f"  {curve}; reads {', '.join(e.reads) or 'what its code says'}")
    if experiment_plan.claims and experiment_plan.spread_from:
        say(
            f"Half-widths are extrapolated from {experiment_plan.spread_from}, on the scale on "
            "which a "
            "claim is judged; gates apart."
        )


def outlined(c: Prospect) -> str:
    """Say what is to be expected of a claim, in a sentence; what is unknown says so."""
    if c.half_width is None and c.fewest is None:
        return f"half-width unknown: {c.why or 'nothing is measured yet'}"
    spent = f", {spanned(c.seconds)} CPU-seconds" if c.seconds is not None else ""
    need = c.why if c.fewest is None else f"{c.fewest:,} {plural(c.factor, 2)} are enough{spent}"
    sample_size = f" at {c.units:,} {plural(c.factor, c.units)}" if c.units is not None else ""
    return (
        f"half-width {number(c.half_width)}{sample_size}, {number(c.distance)} to its bound: "
        f"{c.expected}{powered(c.power)}; {need}"
    ) + (f"; {c.warning}" if c.warning else "")


def powered(power: float | None) -> str:
    """Say in which share of such experiments a claim is decided, and whether that is too seldom; ""
    where nothing is known."""
    if power is None:
        return ""
    words = f", decided in {power:.0%} of such experiments, controls included"
    return words if power >= CHANCE else f"{words}: underpowered as planned"


def describe_costs(experiment_plan: Planned) -> list[str]:
    """Say what the command takes: time by the clock, CPU-seconds, memory, disk; what is unknown
    says so."""
    clock = timed(
        experiment_plan.command_seconds, experiment_plan.command_cpu_seconds, experiment_plan
    )
    return [
        f"{experiment_plan.missing} runs to train, {clock}.",
        needed(experiment_plan.disk_bytes, experiment_plan),
    ]


def spent(experiment_plan: Planned, bought: Bought) -> list[str]:
    """Say what it takes to spend a budget."""
    clock = timed(bought.command_seconds, bought.command_cpu_seconds, experiment_plan)
    return [
        f"{bought.planned_seeds:,} seeds are {bought.missing:,} runs to train, {clock}.",
        needed(bought.disk_bytes, experiment_plan),
    ]


def timed(clock: Range | None, cpu: Range | None, experiment_plan: Planned) -> str:
    """Say how long a command takes, and where that is known from."""
    if clock is None or cpu is None:
        return (
            f"{experiment_plan.stated_cost}, by its header"
            if experiment_plan.stated_cost
            else "an unknown time"
        )
    return f"{lasting(clock)} ({spanned(cpu)} CPU-seconds, from {experiment_plan.times_from})"


def needed(disk: int | None, experiment_plan: Planned) -> str:
    """Say how much memory and disk it takes, in a sentence."""
    memory = (
        f"{experiment_plan.memory_bytes / 1e9:.1f} GB a process"
        if experiment_plan.memory_bytes
        else "an unknown amount"
    )
    place = "an unknown amount" if disk is None else megabytes(disk)
    return f"Memory {memory}; {place} of disk, {megabytes(experiment_plan.free_bytes)} free."


def catalogue(catalogue_plan: PlannedCatalogue, place: str = "") -> None:
    """Print what every experiment would take, and all of them as one command."""
    table = grid(
        "experiment",
        "runs",
        "stored",
        "CPU-s stored",
        "to run",
        "CPU-s to spend",
        "from",
        right=("runs", "stored", "CPU-s stored", "to run", "CPU-s to spend"),
    )
    for e in catalogue_plan.experiments:
        work = (
            "–"
            if not e.missing
            else spanned(e.work_cpu_seconds)
            if e.work_cpu_seconds is not None
            else "unknown"
        )
        source = e.times_from if e.missing else ""
        numbers = (
            str(e.cached + e.missing),
            str(e.cached),
            f"{e.stored_cpu_seconds:.0f}",
            str(e.missing),
        )
        table.add_row(e.experiment, *numbers, work, source)
    draw(table)
    print()
    for name, why in catalogue_plan.unknown.items():
        say(f"{name} is not counted: {why}")
    untold = [e.experiment for e in catalogue_plan.experiments if e.work_cpu_seconds is None]
    if untold:
        say(f"Nothing tells how long these take: {', '.join(untold)}.")
    clock, cpu, disk = (
        catalogue_plan.told.command_seconds,
        catalogue_plan.told.command_cpu_seconds,
        catalogue_plan.total.disk_bytes,
    )
    if clock is not None and cpu is not None:
        who = "The others" if untold else "All of them"
        took = f"{lasting(clock)}, {spanned(cpu)} CPU-seconds"
        say(
            f"{who} on {catalogue_plan.workers} workers: {took}; {megabytes(disk)} of disk, shared "
            "artefacts once."
        )
    say(f"Stored runs have taken {catalogue_plan.total.stored_cpu_seconds:.0f} CPU-seconds.")
    tell(
        "Next: assay run "
        f"catalogue{'' if catalogue_plan.preset == 'default' else f' --preset {catalogue_plan.preset}'}{place}{without_torch()}"  # noqa: E501
    )


def without_torch() -> str:
    """Say, after a command that trains, what it needs and is not installed; "" where torch is."""
    return f" ({lacks})" if (lacks := extras.missing("torch")) else ""


def spanned(r: Range) -> str:
    """Write a range as "10 to 40", or one number where both ends print the same."""
    low, high = (
        f"{x:.2e}" if 0 < x < 0.01 or x >= 1e6 else f"{x:,.0f}" if x >= 100 else f"{x:.3g}"
        for x in (r.low, r.high)
    )
    return low if low == high else f"{low} to {high}"


def counted(r: Range | None) -> str:
    """Write a range of seeds; beyond what anybody needs there are no more figures."""
    if r is None:
        return "an unknown number of seeds"
    if r.low > MOST:
        return f"more than {MOST:,} seeds, more than anybody needs"
    high = f"more than {MOST:,}" if r.high > MOST else f"{r.high:,.0f}"
    return f"{r.low:,.0f} seeds" if r.known else f"{r.low:,.0f} to {high} seeds"


def number(x: float | None) -> str:
    """Write an amount in three digits; a dash where there is none."""
    return "–" if x is None else "below 1e-6" if x < 1e-6 else f"{x:.3g}"
