"""Forecast: what a plan's command will take, and what its verdicts can be expected to look like;
for a budget, what it buys.

Outcomes beside inputs: seconds, memory, disk and FLOP on the one side, and on the other, for each
claim, how wide its interval will be, whether that decides it, and the fewest seeds that do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from assay.core import compute
from assay.core.claims import Claim
from assay.core.compute import Budget, Range
from assay.core.errors import AssayError
from assay.core.experiment import Experiment
from assay.core.heavy import xr
from assay.core.judging import FEWEST
from assay.core.outlook import Outlook, outlook
from assay.core.outlying_units import warning
from assay.core.power import MOST
from assay.core.reading import plural
from assay.core.runs import Runs
from assay.core.spec import Spec
from assay.lab import records, speed, times
from assay.lab.plan import Plan
from assay.lab.preset import apply_preset
from assay.lab.recording import arms as recorded
from assay.lab.result import common_seeds, with_derived


@dataclass(frozen=True)
class Prospect:
    """What is to be expected of one claim, on the scale on which it is judged; None where nothing
    is known."""

    text: str
    scale: str
    factor: str = ""
    """The unit that is bought; empty where its units are others."""
    units: int | None = None
    half_width: float | None = None
    distance: float | None = None
    """From the estimate to the bound that keeps it from its outcome."""
    expected: str = "unknown"
    """holds, fails, undecided or unknown, if the estimate stays where it is; gates and controls
    apart."""
    power: float | None = None
    """In which share of such experiments it is decided, controls included, if the estimates are the
    truth."""
    fewest: int | None = None
    """The fewest units that are expected to decide."""
    seconds: Range | None = None
    """CPU-seconds of so many."""
    why: str = ""
    """Why something is unknown, or will not be decided."""
    warning: str = ""
    """Which units lie apart from the others: few of them foretell little."""


@dataclass(frozen=True)
class Bought:
    """What a budget buys where that is known, and what it is to spend it."""

    range: Range
    """How many seeds it buys, those included that are stored."""
    seeds: int
    """The middle of these, but no more than anybody needs: what half-widths and the rest are told
    of."""
    chosen: str
    """The seeds themselves, as `--set` takes them."""
    runs: int
    """Of these seeds, those runs that are not stored."""
    command: tuple[Range, Range] | None
    """Seconds by the clock here and CPU-seconds of training them."""
    flop: Range | None
    disk: int | None
    """Bytes; None where all of the plan is stored."""

    @property
    def whole(self) -> bool:
        """Whether these seeds spend all of it; no if it buys more than anybody needs."""
        return self.range.low <= MOST


@dataclass(frozen=True)
class Forecast:
    """A plan with what can be expected of it; None where nothing is known."""

    plan: Plan
    cpu: Range | None
    """CPU-seconds of the missing runs."""
    times_from: str
    command: tuple[Range, Range] | None
    """Seconds by the clock and CPU-seconds of the whole command."""
    memory: int | None
    """Bytes that one process holds, as recorded."""
    flop: Range | None
    """FLOP of the missing runs, where the experiment states them."""
    rate: float | None
    """FLOP per CPU-second of matrix products here, where FLOP had to be turned into seconds."""
    spread_from: str
    """Whose spread the half-widths are extrapolated from."""
    claims: tuple[Prospect, ...]
    budget: Budget | None = None
    artefacts: Mapping[str, int] = field(default_factory=dict)
    """Bytes of what the missing runs may share with other experiments, by name; part of the plan's
    disk."""
    bought: Bought | None = None
    """What the budget buys."""
    notes: tuple[str, ...] = ()
    off: Range = times.MACHINE
    """By what factor CPU-seconds may be off here."""
    bench: str | None = None
    """When `assay bench` measured this machine, in ISO 8601; None where it did not."""


def forecast(
    plan: Plan,
    experiment: Experiment,
    workers: int = 1,
    budget: Budget | None = None,
    claims: bool = True,
) -> Forecast:
    """What can be expected of a plan, and of a budget if there is one; reads the store and the
    record, writes nothing.

    Without `claims` only times, memory and FLOP.
    """
    experiment = apply_preset(experiment, plan.preset)
    rows = {arm: [r.job.spec for r in arm_rows] for arm, arm_rows in plan.by_arm().items()}
    missing = {
        arm: [r.job.spec for r in arm_rows if r.state == "missing"]
        for arm, arm_rows in plan.by_arm().items()
    }
    missing = {arm: specs for arm, specs in missing.items() if specs}
    flop, rate = _flop(experiment, missing), None
    per_run, cpu, source = _work(plan, experiment, rows, missing)
    scaled = plan.speed if source.startswith("the record") else None
    off = times.uncertainty_factor(scaled)
    if scaled is not None:
        source += ", at the speed that assay bench found here"
    if cpu is None and flop is not None:
        benched = speed.flop_per_cpu_second()
        rate = benched or compute.measured()
        cpu, source = (
            times.by_flop(flop, rate),
            "its FLOP and assay bench" if benched else "its FLOP and a benchmark",
        )
    busy = min(workers, times.groups(experiment, missing))
    record = records.load_record(experiment, plan.preset.name) or {}
    prediction = Forecast(
        plan,
        cpu,
        source,
        times.command(cpu, busy, off) if cpu is not None else None,
        record.get("provenance", {}).get("peak_rss"),
        flop,
        rate,
        "",
        (),
        budget,
        _artefacts(experiment, missing),
        off=off,
        bench=bench_speed.measured if (bench_speed := speed.load_speed()) is not None else None,
    )
    per_seed = _each_seed(rows, per_run)
    if budget is not None:
        seeds, note = _seeds(budget, plan, experiment, workers, per_seed, off)
        bought = (
            _bought(seeds, plan, experiment, workers, per_seed, off) if seeds is not None else None
        )
        prediction = replace(prediction, bought=bought, notes=(note,) if note else ())
    return _with_claims(prediction, experiment, record, per_seed) if claims else prediction


def measured(plan: Plan, experiment: Experiment) -> Mapping[str, xr.Dataset]:
    """What is measured of every arm, derived ones included: of stored seeds where there are enough,
    else as recorded; empty without."""
    return _spread(plan, experiment, records.load_record(experiment, plan.preset.name) or {})[1]


def survey(parts: Sequence[Forecast], workers: int) -> tuple[Range | None, Range | None, int]:
    """Seconds by the clock and CPU-seconds of several commands as one, None where one is unknown;
    bytes they write.

    Artefacts that several of them name are counted once; their time is counted in each that built
    one for its record."""
    works = [p.cpu * p.off if p.cpu is not None else None for p in parts]
    shared = {name: size for p in parts for name, size in p.artefacts.items()}
    disk = sum(p.plan.disk - sum(p.artefacts.values()) for p in parts) + sum(shared.values())
    if None in works:
        return None, None, disk
    clock, cpu = times.command(
        sum((w for w in works if w is not None), Range(0, 0)), workers, Range(1, 1)
    )
    fresh = sum(bool(p.plan.missing) for p in parts)
    judging = times.starting()[0] * max(
        0.0, fresh - 1.0
    )  # each by itself; what is stored was judged before
    return clock + judging / workers, cpu + judging, disk


# what it takes ------------------------------------------------------------------------------------


def _work(
    plan: Plan, experiment: Experiment, rows: times.Specs, missing: times.Specs
) -> tuple[dict[str, Range], Range | None, str]:
    """CPU-seconds of one run of each arm, those of all missing runs, and where they come from."""
    scaled = plan.cost_from not in ("the experiment", "the record")
    recorded = times.as_recorded(experiment, rows, plan.preset.name) if scaled else {}
    if scaled and rows.keys() <= recorded.keys():
        per_run, source = (
            {arm: recorded[arm] / len(specs) for arm, specs in rows.items()},
            "the record, scaled",
        )
    else:
        per_run = {
            arm: Range(0.0 if arm in plan.at_most else c, c) for arm, c in plan.per_run.items()
        }
        source = plan.cost_from
    if not missing.keys() <= per_run.keys():
        return per_run, None, "unknown"
    return (
        per_run,
        sum((per_run[arm] * len(specs) for arm, specs in missing.items()), Range(0, 0)),
        source,
    )


def _flop(experiment: Experiment, specs: Mapping[str, Sequence[Spec]]) -> Range | None:
    if experiment.cost is None or not specs:
        return None
    stated = [experiment.cost(Runs(tuple(s))).flop for s in specs.values()]
    return (
        sum((compute.amount(f, "FLOP") for f in stated if f is not None), Range(0, 0))
        if None not in stated
        else None
    )


def _artefacts(experiment: Experiment, specs: Mapping[str, Sequence[Spec]]) -> dict[str, int]:
    cost = experiment.cost
    return (
        {k: n for s in specs.values() for k, n in cost(Runs(tuple(s))).artefacts.items()}
        if cost is not None
        else {}
    )


def _each_seed(rows: times.Specs, per_run: Mapping[str, Range]) -> Range | None:
    """CPU-seconds of one more seed in all arms."""
    seeds = {s.seed for specs in rows.values() for s in specs}
    if not seeds or not rows.keys() <= per_run.keys():
        return None
    return sum((per_run[arm] * len(specs) for arm, specs in rows.items()), Range(0, 0)) / len(seeds)


def _seeds(
    budget: Budget,
    plan: Plan,
    experiment: Experiment,
    workers: int,
    per_seed: Range | None,
    off: Range,
) -> tuple[Range | None, str]:
    """How many seeds a budget buys, stored ones included, and why that is not known."""
    stored = float(
        len({r.job.spec.seed for r in plan.rows} - {r.job.spec.seed for r in plan.missing})
    )
    if budget.seconds is not None:
        if per_seed is None or not per_seed.low:
            return None, "how long a seed takes is unknown"
        cost, (starting, _) = per_seed * off, times.starting()
        available_seconds = [
            max(0.0, (budget.seconds - start) * workers) for start in (starting.high, starting.low)
        ]
        return Range(
            stored + available_seconds[0] // cost.high, stored + available_seconds[1] // cost.low
        ), ""
    rows = {arm: [r.job.spec for r in arm_rows] for arm, arm_rows in plan.by_arm().items()}
    whole = _flop(experiment, rows)
    if whole is None or not whole.low or budget.flop is None:
        return (
            None,
            (
                f"{experiment.name} states no FLOP, so what {budget.text} buys is unknown; give a "
                "time on this machine, such as 5m"
            ),
        )
    seeds = {r.job.spec.seed for r in plan.rows}
    bought = budget.flop / (whole / len(seeds))
    return Range(stored + bought.low // 1, stored + bought.high // 1), ""


def _bought(
    seed_range: Range,
    plan: Plan,
    experiment: Experiment,
    workers: int,
    per_seed: Range | None,
    off: Range,
) -> Bought:
    """What it takes to have so many seeds, in proportion to what the plan's own take."""
    seeds, missing = ({r.job.spec.seed for r in rows} for rows in (plan.rows, plan.missing))
    seed_count = min(MOST, int(seed_range.middle))
    new = max(0, seed_count - len(seeds - missing))
    arms = plan.by_arm()
    busy = min(workers, len(arms) * math.ceil(new / experiment.seeds_per_group))
    flop = _flop(experiment, {arm: [r.job.spec for r in rows] for arm, rows in arms.items()})
    return Bought(
        range=seed_range,
        seeds=seed_count,
        chosen=f"seed={min(seeds)}:{min(seeds) + seed_count}",
        runs=round(new * len(plan.rows) / len(seeds)),
        command=times.command(per_seed * float(new), busy, off) if per_seed is not None else None,
        flop=flop * (new / len(seeds)) if flop is not None else None,
        disk=round(plan.disk * new / len(missing)) if missing else None,
    )


# what it brings -----------------------------------------------------------------------------------


def _with_claims(
    prediction: Forecast, experiment: Experiment, record: Mapping[str, Any], per_seed: Range | None
) -> Forecast:
    """The forecast with what is to be expected of each claim at the plan's number of seeds, or the
    budget's."""
    source, arms = _spread(prediction.plan, experiment, record)
    planned_seeds = len({r.job.spec.seed for r in prediction.plan.rows})
    known = {s for a in arms.values() for s in a.seed.values.tolist()} if arms else set()
    seeds = prediction.bought.seeds if prediction.bought is not None else planned_seeds
    claims = [c for c in experiment.claims if isinstance(c, Claim)]
    prospects = tuple(_prospect(c, arms, seeds, len(known), per_seed) for c in claims)
    return replace(prediction, spread_from=source, claims=prospects)


def _spread(
    plan: Plan, experiment: Experiment, record: Mapping[str, Any]
) -> tuple[str, Mapping[str, xr.Dataset]]:
    """The measures from which half-widths are extrapolated: of stored seeds where there are enough,
    else the record's."""
    stored = {r.job.spec.seed for r in plan.rows} - {r.job.spec.seed for r in plan.missing}
    if len(stored) >= FEWEST:
        arms, n = common_seeds(plan)
        return f"{n} stored seeds", with_derived(experiment, arms)
    if record:
        try:
            arms = with_derived(experiment, recorded(experiment, record))
        except AssayError as e:  # the experiment has moved on since
            return f"nothing, since its record no longer fits it ({e})", {}
        return "the record" + (
            ", made with other fields" if plan.preset.title != record.get("preset") else ""
        ), arms
    return f"nothing: no record, and fewer than {FEWEST} stored seeds", {}


def _prospect(
    claim: Claim,
    arms: Mapping[str, xr.Dataset],
    seeds: int | None,
    known: int,
    per_seed: Range | None,
) -> Prospect:
    nothing = Prospect(claim.text, claim.scale)
    if not arms:
        return replace(nothing, why="nothing is measured yet")
    try:
        claim_outlook, bought = outlook(claim, arms), True
        if claim_outlook is None:
            claim_outlook, bought = outlook(claim, arms, claim.units[0]), False
    except AssayError as e:
        return replace(nothing, why=str(e))
    except Exception as e:  # an experiment's own code, on measures of other fields
        return replace(nothing, why=f"{type(e).__name__}: {e}")
    if claim_outlook is None:
        return replace(nothing, why="it has no interval yet")
    if not bought:
        why = f"seeds do not buy its units, {plural(claim_outlook.factor, 2)}, one by one"
        prospect = replace(
            nothing, factor=claim_outlook.factor, distance=claim_outlook.distance, why=why
        )
        return _extrapolate(prospect, claim_outlook, known, known) if seeds == known else prospect
    need = claim_outlook.fewest()
    nothing = replace(
        nothing,
        factor=claim_outlook.factor,
        distance=claim_outlook.distance,
        fewest=need,
        warning=warning(claim, claim_outlook.interval),
    )
    if need is None:
        nothing = replace(nothing, why=f"decided by {claim_outlook.told()}")
    elif per_seed is not None:  # seeds in proportion: a claim may count only some of them
        nothing = replace(nothing, seconds=per_seed * (need * known / claim_outlook.units))
    return (
        _extrapolate(nothing, claim_outlook, seeds, known)
        if seeds is not None
        else replace(nothing, why="how many seeds it buys is unknown")
    )


def _extrapolate(prospect: Prospect, claim_outlook: Outlook, seeds: int, known: int) -> Prospect:
    units = int(claim_outlook.units * seeds / known)
    return replace(
        prospect,
        units=units,
        half_width=claim_outlook.half_width(units),
        expected=claim_outlook.outcome(units),
        power=claim_outlook.power(units),
    )
