"""Times: CPU-seconds that runs will take, from an experiment's record or from its FLOP, as ranges; and what a command adds.

A record knows what its own runs cost. Other numbers of runs and steps lie between bounds: training may cost what its runs do,
or what its groups do; and a part of the cost may be measuring, which goes with runs and which no number of steps changes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from assay.core.compute import Range, measured
from assay.core.errors import StoreError
from assay.core.experiment import Experiment
from assay.core.runs import Runs
from assay.core.spec import Spec
from assay.lab import records
from assay.lab.plan import Plan, over
from assay.lab.sealed import unseal

if TYPE_CHECKING:
    from assay.lab.store import Store

STARTING = Range(2.5, 6.0)
"""CPU-seconds of a command by itself: imports, judging, figures. Pilot: smoke presets of eleven experiments, seeds below 1000."""
FIXED = 0.2
"""The share of a run's recorded cost that may be measuring, whatever the number of steps. Pilot: the commands of compute-planner."""
MACHINE = Range(0.8, 1.25)
"""By how much one machine, or one hour, differs from the recorded one."""
REACHED = Range(0.02, 0.5)
"""The share of the rate of plain matrix products that trainings of small models reach."""

Specs = Mapping[str, Sequence[Spec]]


def as_recorded(experiment: Experiment, arms: Specs) -> dict[str, Range]:
    """CPU-seconds of all these runs of each arm, by the record; arms are left out of which it tells nothing.

    It tells nothing of an arm it lacks, and of one with larger static fields than the recorded ones, steps apart. Where they
    are smaller, as in smoke presets, what was recorded is an upper bound and the lower one is 0.
    """
    record = records.read(experiment.name, experiment.origin) or {}
    known = {}
    for arm, specs in arms.items():
        held, each = record.get("arms", {}).get(arm), record.get("cost", {}).get(arm)
        if held is None or each is None or not specs:
            continue
        if (found := over(specs[0], {**held["shared"], **held["specs"][0]}, held["specs"][0])) is None:
            continue
        steps, less = found
        recorded = len(held["specs"])
        of_seeds = {s.get("seed", held["shared"].get("seed")) for s in held["specs"]}
        by_runs = len(specs) / recorded
        by_groups = _groups(experiment, {s.seed for s in specs}) / _groups(experiment, of_seeds)
        whole = float(each) * recorded
        by = (by_runs, max(by_runs, by_groups))
        shares = [fixed * by_runs + (1 - fixed) * trained * steps for fixed in (0.0, FIXED) for trained in by]
        known[arm] = Range(0.0 if less else whole * min(shares), whole * max(shares))
    return known


def by_flop(flop: Range, rate: float) -> Range:
    """CPU-seconds of so many FLOP where plain matrix products run at `rate` FLOP per CPU-second and trainings reach a share of it."""
    return flop / (REACHED * rate)


def groups(experiment: Experiment, arms: Specs) -> int:
    """About how many groups these runs make: no more workers than that have anything to do."""
    return sum(_groups(experiment, {s.seed for s in specs}) for specs in arms.values() if specs)


def command(cpu: Range, workers: int) -> tuple[Range, Range]:
    """Seconds by the clock and CPU-seconds of a whole command that does so much work on so many workers."""
    work = cpu * MACHINE
    workers = max(1, workers)
    return STARTING + Range(work.low / workers, work.high / workers), STARTING * float(workers) + work


def benchmark(store: Store, experiment: Experiment, plan: Plan) -> float | None:
    """FLOP per CPU-second of matrix products on the machine of this plan's result: as stored with it, else measured for 2 seconds.

    None where the experiment states no FLOP, so that there is nothing to turn into seconds.
    """
    specs = [tuple(r.job.spec for r in rows) for rows in plan.by_arm().values()]
    if experiment.cost is None or any(experiment.cost(Runs(s)).flop is None for s in specs):
        return None
    try:
        stored = unseal(store.root / "results" / experiment.name / f"{plan.preset.title}.json")
        return float(stored["provenance"]["flop_per_cpu_second"])
    except (StoreError, ValueError, KeyError, TypeError):
        return float(f"{measured():.3g}")


def _groups(experiment: Experiment, seeds: set[Any]) -> int:
    return math.ceil(len(seeds) / experiment.seeds_per_group)
