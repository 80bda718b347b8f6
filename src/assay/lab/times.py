"""Times: CPU-seconds that runs will take, from an experiment's record or from its FLOP, as ranges;
and what a command adds.

A record knows what its own runs cost. Other numbers of runs and steps lie between bounds: training
may cost what its runs do, or what its groups do; and a part of the cost may be measuring, which
goes with runs and which no number of steps changes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from assay.core.compute import Range, measured
from assay.core.errors import StoreError
from assay.core.experiment import Experiment
from assay.core.runs import Runs
from assay.core.spec import Spec
from assay.lab import records, speed
from assay.lab.plan import Plan, over
from assay.lab.sealed import unseal
from assay.lab.speed import recorded
from assay.lab.store import Store

STARTING = Range(2.5, 6.0)
"""CPU-seconds of a command by itself: imports, judging, figures. Pilot: smoke presets of eleven
experiments, seeds below 1000."""
STARTED = Range(0.65, 1.35)
"""What each process of a command takes beside its runs, in units of what `assay bench` found that
starting a worker takes: its own process, which also judges, and each worker. Pilot: smoke presets
of seven experiments, on crowded cores."""
FIXED = 0.2
"""The share of a run's recorded cost that may be measuring, whatever the number of steps. Pilot:
the commands of compute-planner."""
MACHINE = Range(0.8, 1.25)
"""By how much one machine, or one hour, differs from the recorded one where `assay bench` was not
run on both."""
REACHED = Range(0.02, 0.5)
"""The share of the rate of plain matrix products that trainings of small models reach."""

Specs = Mapping[str, Sequence[Spec]]


def as_recorded(experiment: Experiment, arms: Specs, preset: str = "default") -> dict[str, Range]:
    """CPU-seconds of all these runs of each arm, by the record; arms are left out of which it tells
    nothing.

    It tells nothing of an arm it lacks, and of one with larger static fields than the recorded
    ones, steps apart. Where they are smaller, as in smoke presets, what was recorded is an upper
    bound and the lower one is 0. Where the speed of both machines is known, it is what they take
    here, as far as the middle goes."""
    record = records.load_record(experiment, preset) or {}
    relative_speed = speed.relative_speed(record)
    speed_factor = relative_speed.middle if relative_speed is not None else 1.0
    known = {}
    for arm, specs in arms.items():
        held, run_cost = record.get("arms", {}).get(arm), record.get("cost", {}).get(arm)
        if held is None or run_cost is None or not specs:
            continue
        if (
            comparison := over(specs[0], {**held["shared"], **held["specs"][0]}, held["specs"][0])
        ) is None:
            continue
        steps, less = comparison
        recorded = len(held["specs"])
        of_seeds = {s.get("seed", held["shared"].get("seed")) for s in held["specs"]}
        by_runs = len(specs) / recorded
        by_groups = _groups(experiment, {s.seed for s in specs}) / _groups(experiment, of_seeds)
        whole = float(run_cost) * recorded * speed_factor
        by = (by_runs, max(by_runs, by_groups))
        shares = [
            fixed * by_runs + (1 - fixed) * trained * steps
            for fixed in (0.0, FIXED)
            for trained in by
        ]
        known[arm] = Range(0.0 if less else whole * min(shares), whole * max(shares))
    return known


def by_flop(flop: Range, rate: float) -> Range:
    """CPU-seconds of so many FLOP where plain matrix products run at `rate` FLOP per CPU-second and
    trainings reach a share of it."""
    return flop / (REACHED * rate)


def groups(experiment: Experiment, arms: Specs) -> int:
    """About how many groups these runs make: no more workers than that have anything to do."""
    return sum(_groups(experiment, {s.seed for s in specs}) for specs in arms.values() if specs)


def uncertainty_factor(relative_speed: Range | None) -> Range:
    """By what factor a cost that was recorded elsewhere, and scaled by the middle of this ratio of
    speeds, may still be off here."""
    return relative_speed / relative_speed.middle if relative_speed is not None else MACHINE


def command(cpu: Range, workers: int, off: Range = MACHINE) -> tuple[Range, Range]:
    """Seconds by the clock and CPU-seconds of a whole command that does so much work, off by such a
    factor, on so many workers."""
    work = cpu * off
    workers = max(1, workers)
    clock, startup_cpu = starting(workers)
    return clock + Range(work.low / workers, work.high / workers), startup_cpu + work


def starting(workers: int = 1) -> tuple[Range, Range]:
    """Seconds by the clock and CPU-seconds that a command takes beside its runs: as `assay bench`
    found, where it was run here."""
    known = speed.load_speed()
    piece = known.pieces.get(speed.STARTING) if known is not None else None
    if piece is None:
        return STARTING, STARTING * float(workers)
    startup = STARTED * (piece.median_ms / 1e3)
    return startup * 2.0, startup * (
        workers + 1.0
    )  # workers start after the command's own process, side by side


def measured_here(
    store: Store, experiment: Experiment, plan: Plan, provenance: Mapping[str, Any]
) -> dict[str, Any]:
    """What a result's provenance has besides: how fast its machine is, as stored with it before,
    else as it is now.

    `speed` is what `assay bench` keeps of the machine on which the runs were made.
    `flop_per_cpu_second` is that of matrix products, measured for 2 seconds if it was not by `assay
    bench`; only where the experiment states FLOP to turn into seconds."""
    before = _stored(store, experiment, plan)
    current_speed = speed.load_speed()
    machine_key = (
        provenance.get("machine", {}).get("cpu"),
        provenance.get("software", {}).get("torch"),
    )
    measurements: dict[str, Any] = {}
    if pieces := recorded({"provenance": before}) or (
        current_speed.medians()
        if current_speed is not None and (current_speed.cpu, current_speed.torch) == machine_key
        else {}
    ):
        measurements["speed"] = pieces
    specs = [tuple(r.job.spec for r in rows) for rows in plan.by_arm().values()]
    if experiment.cost is not None and all(
        experiment.cost(Runs(s)).flop is not None for s in specs
    ):
        measurements["flop_per_cpu_second"] = before.get("flop_per_cpu_second") or float(
            f"{speed.flop_per_cpu_second() or measured():.3g}"
        )
    return measurements


def _stored(store: Store, experiment: Experiment, plan: Plan) -> Mapping[str, Any]:
    """The provenance of the result that is stored already; empty where there is none that can be
    read."""
    try:
        provenance = unseal(store.root / "results" / experiment.name / f"{plan.preset.title}.json")[
            "provenance"
        ]
    except (StoreError, ValueError, KeyError, TypeError):
        return {}
    return provenance if isinstance(provenance, dict) else {}


def _groups(experiment: Experiment, seeds: set[Any]) -> int:
    return math.ceil(len(seeds) / experiment.seeds_per_group)
