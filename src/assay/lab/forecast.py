"""Forecast: about how long a plan's command takes, and what its verdicts can be expected to look
like.

Times are a ratio: what a record, or the store, says that a run took, times the number of runs and
the ratio of their steps (`lab.plan.plan`). They may be off by a factor either way. Half-widths and
powers are extrapolated on the scale on which a claim is judged, from the spread of the units that
there are; what the other factor of a crossed pair contributes stays, however many are added."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from assay.core.bands import OfMeans
from assay.core.claims import Claim
from assay.core.compute import Range
from assay.core.contrasts import Between
from assay.core.errors import AssayError
from assay.core.experiment import Experiment
from assay.core.heavy import xr
from assay.core.intervals import Interval
from assay.core.judging import controls_of, standing
from assay.core.memo import remembering
from assay.core.nouns import plural
from assay.core.outlying_units import warning
from assay.core.power import CHANCE, FEWEST, beaten, chance, enough, half_width, placed, with_units
from assay.lab.judge.recording import arms as recorded
from assay.lab.judge.result import common_seeds, with_derived
from assay.lab.plan.plan import Plan, command_times
from assay.lab.plan.preset import apply_preset
from assay.lab.records import records

UNMEASURED = "nothing is measured yet"


@dataclass(frozen=True)
class Prospect:
    """What is to be expected of one claim, on the scale on which it is judged; None where nothing
    is known."""

    text: str
    scale: str
    factor: str = ""
    """The unit of which there could be more; empty where seeds do not bring more units."""
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
    """Which units are far from the others: a few such units say little about more of them."""


@dataclass(frozen=True)
class Forecast:
    """A plan with its forecast; None where nothing is known."""

    plan: Plan
    command: tuple[Range, Range] | None
    """Seconds by the clock and CPU-seconds of the whole command."""
    memory: int | None
    """Bytes that one process holds, as recorded."""
    spread_from: str = ""
    """Whose spread the half-widths are extrapolated from."""
    claims: tuple[Prospect, ...] = ()


def forecast(plan: Plan, experiment: Experiment, workers: int = 1) -> Forecast:
    """Forecast a plan; reads the store and the record, and writes to neither.

    Args:
        plan: what would run.
        experiment: whose plan it is.
        workers: how many groups are worked on at the same time.
    """
    experiment = apply_preset(experiment, plan.preset)
    record = records.load_record(experiment, plan.preset.name, measures=False) or {}
    memory = record.get("provenance", {}).get("peak_rss")
    takes = command_times(plan, experiment, workers)
    arms, count = [r.job.arm for r in plan.rows], len({r.job.spec.seed for r in plan.rows})
    is_known = bool(arms) and plan.per_run.keys() >= set(arms)
    per_seed = sum(plan.per_run[arm] for arm in arms) / count if is_known else None
    source, measured = spread(plan, experiment)
    seeds = {s for arm in measured.values() for s in arm.seed.values.tolist()}
    statements = [c for c in experiment.claims if isinstance(c, Claim)]
    with remembering(measured):
        prospects = [prospect(c, measured, count, len(seeds), per_seed) for c in statements]
    return Forecast(plan, takes, memory, source, tuple(prospects))


def spread(plan: Plan, experiment: Experiment) -> tuple[str, Mapping[str, xr.Dataset]]:
    """The measures from which half-widths are extrapolated, and whose they are: of stored seeds
    where there are enough, else the record's."""
    stored = {r.job.spec.seed for r in plan.rows} - {r.job.spec.seed for r in plan.missing}
    if len(stored) >= FEWEST:
        arms, n = common_seeds(plan)
        return f"{n} stored {_seeds(experiment)}", with_derived(experiment, arms)
    if not records.carried(records.name_of(experiment, plan.preset.name), experiment.origin):
        return f"nothing: of its record's measures {records.ELSEWHERE}", {}
    if record := records.load_record(experiment, plan.preset.name):
        try:
            arms = with_derived(experiment, recorded(experiment, record))
        except AssayError as e:  # the experiment has moved on since
            return f"nothing: its record no longer fits ({e})", {}
        other = ", made with other fields" if plan.preset.title != record.get("preset") else ""
        return f"the record{other}", arms
    if not stored:
        return "nothing: the study has not been run yet", {}
    few = f"fewer than {FEWEST} {_seeds(experiment)} are stored"
    return f"nothing: it has no recorded result, and {few}", {}


def _seeds(experiment: Experiment) -> str:
    """The noun for what seeds number, in the plural."""
    return "draws of the controls" if experiment.draws else "seeds"


def unforecast(claim: Claim) -> str:
    """Say why a claim has no forecast however much is measured; "" where it may have one."""
    if not isinstance(claim.statistic, OfMeans) or not claim.statistic.has_band:
        return ""
    inner = " or ".join(filter(None, (part.comparison for part in claim.statistic.parts)))
    needs = f", which is wide where it leaves open at several whether {inner}" if inner else ""
    return (
        f"it comes from a band of all levels together{needs}. The judge.py of a bundle cannot "
        "judge this claim again"
    )


def prospect(
    claim: Claim,
    arms: Mapping[str, xr.Dataset],
    seeds: int,
    seeds_stored: int,
    per_seed: float | None = None,
) -> Prospect:
    """Say what is to be expected of a claim with so many seeds, from the measures of those that are
    known; a seed takes so many CPU-seconds."""
    nothing = Prospect(claim.text, claim.scale)
    if why := unforecast(claim):
        return replace(nothing, why=why)
    if not arms:
        return replace(nothing, why=UNMEASURED)
    try:
        i, *_ = standing(claim, arms)
        if min(i.n) < 2 or not math.isfinite(i.variance):
            return replace(nothing, why="it has no interval yet")
        controls = controls_of(claim, arms)
    except AssayError as e:
        return replace(nothing, why=str(e))
    except Exception as e:  # an experiment's own code, on measures of other fields
        return replace(nothing, why=f"{type(e).__name__}: {e}")
    by_seed = "seed" in claim.units
    k = claim.units.index("seed") if by_seed else 0
    factor, units = claim.units[k], int(i.n[k] * seeds / seeds_stored)
    result = replace(nothing, factor=factor, distance=_distance(claim, i.estimate))
    if not by_seed:
        why = f"more runs do not help, because its units are {plural(factor, 2)}"
        result = replace(result, why=why)
        if seeds != seeds_stored:
            return result
    elif (need := enough(claim, i, (k,), FEWEST)) is None:
        why = f"no number of {plural(factor, 2)} decides it"
        if not any(placed(claim, i.estimate, i.estimate)):
            why = "its estimate is between the values at which it holds and those at which it fails"
        result = replace(result, why=why)
    else:  # seeds in proportion: a claim may count only some of them
        spent = None if per_seed is None else per_seed * need * seeds_stored / i.n[k]
        seconds = None if spent is None else Range(spent, spent)
        result = replace(result, fewest=need, seconds=seconds)

    def at(i: Interval) -> Interval:
        return with_units(i, k, units) if min(i.n, default=0) > 1 else i

    expected, power = "undecided", 0.0
    if units >= FEWEST:
        rivals = [(at(c), b._replace(interval=at(b.interval))) for c, b in controls]
        expected, power = _decided(claim, at(i), rivals)
    return replace(
        result,
        units=units,
        half_width=half_width(claim, at(i)) if units > 2 else None,
        expected=expected,
        power=power,
        warning=warning(claim, i) if by_seed else "",
    )


def _distance(claim: Claim, estimate: float) -> float:
    """From an estimate to the nearest finite bound that keeps it from its outcome; 0 where no width
    decides."""
    inside, outside = placed(claim, estimate, estimate)
    ends = [e for e in claim.edges[0 if inside else 1] if math.isfinite(e)]
    return min(abs(estimate - e) for e in ends) if inside or outside else 0.0


def _decided(
    claim: Claim, i: Interval, rivals: Sequence[tuple[Interval, Between]]
) -> tuple[str, float]:
    """What 80% of such experiments come to if the estimate is the truth, and in which share of
    them the claim is decided, controls included."""
    holds, fails = chance(claim, i, i.estimate)
    outcome = "holds" if holds >= CHANCE else "fails" if fails >= CHANCE else "undecided"
    if any(min(k.n, default=0) < 2 for k, _ in rivals):  # by a single unit nothing is beaten
        return outcome, fails
    return outcome, fails + holds * beaten(claim, i, rivals, 0.95)(i.estimate)
