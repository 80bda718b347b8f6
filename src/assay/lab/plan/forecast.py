"""Forecast: about how long a plan's command takes, what its verdicts can be expected to look like,
and for a time, how many seeds fit into it.

Times are a ratio: what a record, or the store, says that a run took, times the number of runs and
the ratio of their steps (`lab.plan`). They may be off by a factor either way."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

import msgspec

from assay.core import cache, foreign
from assay.core.claims import Claim, claims_key
from assay.core.compute import Range, duration
from assay.core.errors import AssayError
from assay.core.experiment import Experiment
from assay.core.heavy import xr
from assay.core.judging import FEWEST
from assay.core.memo import remembering
from assay.core.outlook import outlook
from assay.core.outlying_units import warning
from assay.core.power import MOST
from assay.core.reading import plural
from assay.core.runs import Runs
from assay.core.schema import BESIDE
from assay.core.spec import Spec, canonical_json
from assay.lab.judge.journal import digest
from assay.lab.judge.result import common_seeds, stamp, with_derived
from assay.lab.plan.plan import Plan
from assay.lab.plan.preset import apply_preset
from assay.lab.records import records
from assay.lab.records.recording import arms as recorded
from assay.lab.store.atomic import write
from assay.lab.store.origin import in_file

START = 4.0
"""CPU-seconds of a process by itself: imports, judging, figures. Pilot: smoke presets of eleven
experiments, seeds below 1000."""
MACHINE, SCALED = 1.25, 2.0
"""By which factor times of recorded runs may be off on another machine, or at another hour, and
those of runs with other steps or fields."""


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
class Budget:
    """A time; how many seeds fit into it is null where the cost of one is unknown."""

    text: str
    seeds: Range | None = None


@dataclass(frozen=True, kw_only=True)
class Bought(Budget):
    """How many seeds fit into a time, stored ones included, and what they take."""

    planned_seeds: int
    """About how many, but no more than anybody needs: what half-widths and the rest are told of."""
    set: str
    """The seeds themselves, as `--set` takes them."""
    missing: int
    """Of these seeds, those runs that are not stored."""
    command_seconds: Range
    """Seconds by the clock here of training them."""
    command_cpu_seconds: Range
    disk_bytes: int | None
    """Null where all of the plan is stored."""
    options: str = field(metadata=BESIDE)
    """What to type after `assay run` to spend it."""


@dataclass(frozen=True)
class Forecast:
    """A plan with what can be expected of it; None where nothing is known."""

    plan: Plan
    command: tuple[Range, Range] | None
    """Seconds by the clock and CPU-seconds of the whole command."""
    memory: int | None
    """Bytes that one process holds, as recorded."""
    artefacts: Mapping[str, int] = field(default_factory=dict)
    """Bytes of what the missing runs may share with other experiments, by name; part of the plan's
    disk."""
    spread_from: str = ""
    """Whose spread the half-widths are extrapolated from."""
    claims: tuple[Prospect, ...] = ()
    budget: Budget | Bought | None = None
    """What fits into the time that was given."""
    notes: tuple[str, ...] = ()


def forecast(
    plan: Plan,
    experiment: Experiment,
    workers: int = 1,
    budget: str | None = None,
    claims: bool = True,
) -> Forecast:
    """Tell what can be expected of a plan; reads the store and the record, and writes to neither.

    Args:
        plan: what would run.
        experiment: whose plan it is.
        workers: how many groups are worked on at the same time.
        budget: a time such as 5m; half-widths are then those of the seeds that fit into it.
        claims: whether claims are looked at, which takes longer than times and sizes.
    Raises: DataError for a time that cannot be read.
    """
    experiment = apply_preset(experiment, plan.preset)
    missing: dict[str, list[Spec]] = {}
    for row in plan.missing:
        missing.setdefault(row.job.arm, []).append(row.job.spec)
    artefacts: dict[str, int] = {}
    if experiment.cost is not None:
        for specs in missing.values():
            artefacts |= experiment.cost(Runs(tuple(specs))).artefacts
    groups = sum(
        math.ceil(len({s.seed for s in specs}) / experiment.seeds_per_group)
        for specs in missing.values()
    )
    record = records.load_record(experiment, plan.preset.name, measures=False) or {}
    cpu = plan.cpu_seconds
    prediction = Forecast(
        plan,
        command(cpu, min(workers, groups), _off(plan)) if cpu is not None else None,
        record.get("provenance", {}).get("peak_rss"),
        artefacts,
    )
    count = len({r.job.spec.seed for r in plan.rows})
    arms = [r.job.arm for r in plan.rows]
    known = bool(arms) and plan.per_run.keys() >= set(arms)
    per_seed = sum(plan.per_run[arm] for arm in arms) / count if known else None
    if budget is not None:
        fits = _fitting(budget, plan, experiment, workers, per_seed)
        notes = () if isinstance(fits, Bought) else ("how long a seed takes is unknown",)
        prediction = replace(prediction, budget=fits, notes=notes)
        count = fits.planned_seeds if isinstance(fits, Bought) else count
    if not claims:
        return prediction
    source, prospects = _remembered(plan, experiment, count, per_seed)
    return replace(prediction, spread_from=source, claims=prospects)


def command(cpu: float, workers: int, off: float) -> tuple[Range, Range]:
    """Tell the seconds by the clock and the CPU-seconds of a whole command that does so many
    CPU-seconds of work on so many workers, which may be off by a factor."""
    workers = max(1, workers)
    return Range.about(START + cpu / workers, off), Range.about(START * workers + cpu, off)


def measured(plan: Plan, experiment: Experiment) -> Mapping[str, xr.Dataset]:
    """What is measured of every arm, derived ones included: of stored seeds where there are enough,
    else as recorded; empty without."""
    return _spread(plan, experiment)[1]


def survey(parts: Sequence[Forecast], workers: int) -> tuple[Range | None, Range | None, int]:
    """Seconds by the clock and CPU-seconds of several commands as one, None where one is unknown;
    bytes they write.

    Artefacts that several of them name are counted once; their time is counted in each that built
    one for its record."""
    shared = {name: size for p in parts for name, size in p.artefacts.items()}
    disk = sum(p.plan.disk - sum(p.artefacts.values()) for p in parts) + sum(shared.values())
    works = [p.plan.cpu_seconds for p in parts if p.plan.cpu_seconds is not None]
    if len(works) < len(parts):
        return None, None, disk
    # Each is judged by itself; what is stored was judged before.
    judging = START * max(0, sum(bool(p.plan.missing) for p in parts) - 1)
    off = max((_off(p.plan) for p in parts), default=MACHINE)
    return *command(sum(works) + judging, workers, off), disk


def _off(plan: Plan) -> float:
    return SCALED if plan.scaled else MACHINE


def _fitting(
    text: str, plan: Plan, experiment: Experiment, workers: int, per_seed: float | None
) -> Budget | Bought:
    """How many seeds fit into a time, each taking so many CPU-seconds, and what they take in
    proportion to the plan's own."""
    seconds = duration(text)
    if not per_seed:
        return Budget(text)
    seeds, missing = ({r.job.spec.seed for r in rows} for rows in (plan.rows, plan.missing))
    stored, off = len(seeds - missing), _off(plan)
    fitting = workers * max(0.0, seconds - START) / per_seed
    count = min(MOST, stored + int(fitting))
    new = max(0, count - stored)
    groups = len(plan.by_arm()) * math.ceil(new / experiment.seeds_per_group)
    clock, cpu = command(per_seed * new, min(workers, groups), off)
    chosen = f"seed={min(seeds)}:{min(seeds) + count}"
    return Bought(
        text=text,
        seeds=stored + Range(fitting // off, fitting * off // 1),
        planned_seeds=count,
        set=chosen,
        missing=round(new * len(plan.rows) / len(seeds)),
        command_seconds=clock,
        command_cpu_seconds=cpu,
        disk_bytes=round(plan.disk * new / len(missing)) if missing else None,
        options=f"{experiment.typed}{plan.preset.but(chosen).options}",
    )


def _remembered(
    plan: Plan, experiment: Experiment, seeds: int, per_seed: float | None
) -> tuple[str, tuple[Prospect, ...]]:
    """Whose spread is extrapolated, and what is to be expected of each claim with so many seeds.

    Loading measures, and the libraries that read them, takes most of the time of a plan. So the
    last answer about each experiment whose code can be named lies in the cache, beside all that it
    follows from: the runs, the record, the statements and the code that judges."""
    question = _question(plan, experiment, seeds, per_seed)
    if not question:
        return _expected(plan, experiment, seeds, per_seed)
    own = experiment.origin if in_file(experiment.origin) else ""  # files may share a name
    file = cache.folder() / "plans" / f"{experiment.name}{own and '-' + digest(own)}.msgpack"
    with contextlib.suppress(OSError, msgspec.MsgspecError, AssayError):
        data = foreign.read(file, "an earlier plan", foreign.LONGEST)
        before, source, claims = msgspec.msgpack.decode(
            data, type=tuple[str, str, tuple[Prospect, ...]]
        )
        if before == question:
            return source, claims
    source, claims = _expected(plan, experiment, seeds, per_seed)
    with contextlib.suppress(OSError):  # a cache that cannot be written costs only time
        file.parent.mkdir(parents=True, exist_ok=True)
        write(file, msgspec.msgpack.encode((question, source, claims), enc_hook=_as_text))
    return source, claims


def _as_text(value: object) -> str:
    """Give a sentence of a class of its own, such as one with sizes filled in, as plain text."""
    if not isinstance(value, str):
        raise NotImplementedError(f"an answer holds plain values, got {type(value).__name__}")
    return str(value)


def _question(plan: Plan, experiment: Experiment, seeds: int, per_seed: float | None) -> str:
    """64 hex digits of all that an answer follows from; "" where the code that judges cannot be
    named."""
    if not (code := stamp(experiment, plan)):
        return ""
    record = records.path(records.name_of(experiment, plan.preset.name), experiment.origin)
    files = [p for p in (record, records.arrays(record)) if p.is_file()]
    digests = [sha256(foreign.read(p, "a record", records.LARGEST)).hexdigest() for p in files]
    rows = "\n".join(f"{r.job.key} {r.state}" for r in plan.rows)
    parts = [code, digests, claims_key(experiment.claims), seeds, per_seed]
    return sha256(f"{canonical_json(parts)}\n{rows}".encode()).hexdigest()


def _expected(
    plan: Plan, experiment: Experiment, seeds: int, per_seed: float | None
) -> tuple[str, tuple[Prospect, ...]]:
    source, arms = _spread(plan, experiment)
    known = {s for a in arms.values() for s in a.seed.values.tolist()} if arms else set()
    claims = [c for c in experiment.claims if isinstance(c, Claim)]
    with remembering(arms):
        return source, tuple(_prospect(c, arms, seeds, len(known), per_seed) for c in claims)


def _spread(plan: Plan, experiment: Experiment) -> tuple[str, Mapping[str, xr.Dataset]]:
    """The measures from which half-widths are extrapolated: of stored seeds where there are enough,
    else the record's."""
    stored = {r.job.spec.seed for r in plan.rows} - {r.job.spec.seed for r in plan.missing}
    if len(stored) >= FEWEST:
        arms, n = common_seeds(plan)
        return f"{n} stored seeds", with_derived(experiment, arms)
    if not records.carried(records.name_of(experiment, plan.preset.name), experiment.origin):
        return f"nothing: of its record's measures {records.ELSEWHERE}", {}
    if record := records.load_record(experiment, plan.preset.name):
        try:
            arms = with_derived(experiment, recorded(experiment, record))
        except AssayError as e:  # the experiment has moved on since
            return f"nothing, since its record no longer fits it ({e})", {}
        other = ", made with other fields" if plan.preset.title != record.get("preset") else ""
        return f"the record{other}", arms
    return f"nothing: no record, and fewer than {FEWEST} stored seeds", {}


def _prospect(
    claim: Claim,
    arms: Mapping[str, xr.Dataset],
    seeds: int,
    known: int,
    per_seed: float | None,
) -> Prospect:
    nothing = Prospect(claim.text, claim.scale)
    if not arms:
        return replace(nothing, why="nothing is measured yet")
    try:
        bought = outlook(claim, arms)
        ahead = bought or outlook(claim, arms, claim.units[0])
    except AssayError as e:
        return replace(nothing, why=str(e))
    except Exception as e:  # an experiment's own code, on measures of other fields
        return replace(nothing, why=f"{type(e).__name__}: {e}")
    if ahead is None:
        return replace(nothing, why="it has no interval yet")
    prospect = replace(nothing, factor=ahead.factor, distance=ahead.distance)
    if bought is None:
        why = f"seeds do not buy its units, {plural(ahead.factor, 2)}, one by one"
        prospect = replace(prospect, why=why)
        if seeds != known:
            return prospect
    elif (need := ahead.fewest()) is None:
        prospect = replace(prospect, why=f"decided by {ahead.told()}")
    elif per_seed is not None:  # seeds in proportion: a claim may count only some of them
        spent = per_seed * need * known / ahead.units
        prospect = replace(prospect, fewest=need, seconds=Range(spent, spent))
    else:
        prospect = replace(prospect, fewest=need)
    units = int(ahead.units * seeds / known)
    return replace(
        prospect,
        units=units,
        half_width=ahead.half_width(units),
        expected=ahead.outcome(units),
        power=ahead.power(units),
        warning=warning(claim, ahead.interval) if bought else "",
    )
