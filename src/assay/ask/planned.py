"""Planned: what a run would cost and measure, as plain data. `plan` makes it; `sent` shows the
first prompts as the models read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from assay.ask.wording import condition
from assay.core import scopes
from assay.core.claims import Claim, Estimate
from assay.core.compute import Range
from assay.core.errors import AssayError
from assay.core.experiment import Experiment
from assay.core.measures import sizes
from assay.core.nouns import plural
from assay.core.schema import OMITTED
from assay.core.spec import Spec
from assay.lab.catalogue import entry
from assay.lab.forecast import Prospect, forecast
from assay.lab.judge.followed import following
from assay.lab.judge.registered import read_looks
from assay.lab.lab import Lab
from assay.lab.plan.plan import Plan
from assay.lab.plan.preset import Preset, scope
from assay.lab.store.origin import STUDIES
from assay.lab.store.store import Store


@dataclass(frozen=True)
class Gap:
    """Something that a study does not say."""

    where: str
    """The field, such as `claim 1: control`."""
    text: str
    """What to write."""
    default: str | None
    """The default; null if there is none and the field is required."""
    cost: str = "nothing"
    """The cost of the default, in words."""


@dataclass(frozen=True, kw_only=True)
class StudyGaps:
    """What a study does not say."""

    study: str
    gaps: tuple[Gap, ...]
    exit_code: int = field(metadata=OMITTED)
    """2 if something has to be written before the study can run."""


@dataclass(frozen=True)
class Run:
    """One run: whether it is stored, and if not, why."""

    arm: str
    seed: int
    key: str
    state: Literal["cached", "missing"]
    why: str


@dataclass(frozen=True)
class Arm:
    """The runs of one arm, and the cost of one."""

    name: str
    runs: int
    missing: int
    cpu_seconds: float | None
    """CPU-seconds of a run, if known."""
    why: str
    """Why runs are missing."""


@dataclass(frozen=True)
class Expected(Prospect):
    """The forecast for a claim, and the number of units of each of its factors in the arms."""

    judged: Mapping[str, str] = field(default_factory=dict)
    controls: Mapping[str, str] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    """For a study's claim: the measures that it reads, with their levels and what is averaged."""


@dataclass(frozen=True)
class Estimated:
    """An estimated number, which is not judged, and what it reads."""

    text: str
    over: str
    """For a curve: the field over whose levels it goes."""
    crosses: float | None
    reads: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """What was frozen of the planned experiment."""

    hash: str
    """SHA-256 of what was frozen, 64 hex digits."""
    time: str
    looked: str | None
    """When it was judged; null if it was not."""
    changed: tuple[str, ...]
    """What differs from what was frozen: any difference makes verdicts exploratory."""
    told: str
    """A sentence with all of this."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What one experiment's command would do, run by run, its cost, and the forecast for each
    claim; null if unknown."""

    experiment: str
    preset: str
    scope: str = field(metadata=OMITTED)
    """The models, sites and corpora to which its verdicts would generalise, and what was
    changed."""
    cached: int
    missing: int
    seconds: float | None
    cpu_seconds: float | None
    cost_from: str
    disk_bytes: int
    free_bytes: int
    notes: tuple[str, ...]
    runs: tuple[Run, ...]
    command_seconds: Range | None
    """Wall-clock seconds of the whole command."""
    command_cpu_seconds: Range | None
    memory_bytes: int | None
    """Recorded bytes of one process."""
    spread_from: str
    """Whose spread the half-widths are extrapolated from."""
    options: str = field(metadata=OMITTED)
    """What to type after `assay run` or `assay show` for this preset."""
    claims: tuple[Expected, ...]
    estimates: tuple[Estimated, ...]
    frozen: Frozen | None
    """What was frozen of it; null if nothing was, so that its verdicts will be exploratory."""
    arms: tuple[Arm, ...] = field(metadata=OMITTED)
    sent: tuple[Sent, ...] = ()
    """The prompts for --prompts, as models read them."""


def plan(lab: Lab, experiment: Experiment, preset: Preset) -> Planned:
    """Plan a run of one experiment, without changing the store."""
    experiment = experiment.sized(preset.specs)
    width = lab.executor_for(experiment).width
    estimate = forecast(lab.plan(experiment, preset), experiment, width)
    plan, (clock, cpu) = estimate.plan, estimate.command or (None, None)
    counts, columns = units(plan, experiment), reads(experiment)
    return Planned(
        experiment=plan.experiment,
        preset=plan.preset.title,
        scope=_scope(experiment, plan.preset),
        cached=len(plan.cached),
        missing=len(plan.missing),
        seconds=plan.seconds,
        cpu_seconds=plan.cpu_seconds,
        cost_from=plan.cost_from,
        disk_bytes=plan.disk,
        free_bytes=plan.free,
        notes=(*experiment.remarks, *plan.notes),
        runs=tuple(Run(r.job.arm, r.job.spec.seed, r.job.key, r.state, r.why) for r in plan.rows),
        command_seconds=clock,
        command_cpu_seconds=cpu,
        memory_bytes=estimate.memory,
        spread_from=estimate.spread_from,
        options=f"{experiment.typed}{plan.preset.options}",
        claims=tuple(
            Expected(**vars(c), **counts[c.text], reads=columns.get(c.text, ()))
            for c in estimate.claims
        ),
        estimates=tuple(
            Estimated(s.text, s.over, s.crosses, columns.get(s.text, ()))
            for s in experiment.claims
            if isinstance(s, Estimate)
        ),
        frozen=frozen(lab.store, experiment, plan),
        arms=arms(plan),
    )


def _scope(experiment: Experiment, preset: Preset) -> str:
    words = scope(experiment, preset, _arms_read(experiment))
    return experiment.materials.scope(words) if experiment.materials else words


def _arms_read(experiment: Experiment) -> set[str]:
    """Find the arms that claims and estimates with conditions read."""
    return {
        column.arm or (s.of if isinstance(s, Claim) else "main")
        for s in experiment.claims
        if isinstance(s, Claim | Estimate) and s.condition
        for column in condition(s.condition, compared=isinstance(s, Claim)).columns
    }


def reads(experiment: Experiment) -> dict[str, tuple[str, ...]]:
    """Give for each claim or estimate with a condition, by its text, the measures that it reads,
    with their levels and averages."""
    worded = [s for s in experiment.claims if isinstance(s, Claim | Estimate) and s.condition]
    return {
        s.text: tuple(map(str, condition(s.condition, compared=isinstance(s, Claim)).columns))
        for s in worded
    }


def frozen(store: Store, experiment: Experiment, plan: Plan) -> Frozen | None:
    """Say what was frozen of an experiment, and whether it was judged; None if nothing was frozen.
    Raises: StoreError for a changed file."""
    state, preset = following(store, experiment, plan, models=True), plan.preset
    if (registration := state.frozen) is None:
        return None
    looked = max((line["time"] for line in read_looks(store, experiment.name, preset)), default="")
    status = f"judged on {looked}" if looked else "not judged yet in this store"
    if state.departures:
        changes = "; ".join(state.departures)
        status = f"not as it was frozen, so its verdicts will be exploratory: {changes}"
    return Frozen(
        hash=registration.hash,
        time=registration.time,
        looked=looked or None,
        changed=state.departures,
        told=f"frozen on {registration.time} ({registration.hash[:12]}), {status}",
    )


def arms(plan: Plan) -> tuple[Arm, ...]:
    """Count the runs of each arm, with the reasons for missing ones and the cost of one."""
    arm_counts = []
    for name, rows in plan.by_arm().items():
        missing = [row for row in rows if row.state == "missing"]
        why = "; ".join(dict.fromkeys(row.why for row in missing))
        arm_counts.append(Arm(name, len(rows), len(missing), plan.per_run.get(name), why))
    return tuple(arm_counts)


def units(plan: Plan, experiment: Experiment) -> dict[str, dict[str, Any]]:
    """Count, for each claim by its text, the units of each factor in the judged arm and in every
    control."""

    def count(claim: Claim, arm: str) -> str:
        rows = plan.by_arm().get(arm)
        if rows is None:
            return "derived from other arms"
        specs: list[Spec] = [row.job.spec for row in rows]
        matching = [spec for spec in specs if scopes.fits(spec, claim.where)]
        stored = next((row.stored for row in rows if row.stored is not None), None)
        levels = experiment.arms[arm].levels
        lengths = sizes(*stored.tensors()) if stored is not None else levels
        # a dimension of the measures, such as documents, is counted once a run is stored
        fields = [unit for unit in claim.units if hasattr(specs[0], unit)]
        numbers = {**lengths, **{u: len({getattr(spec, u) for spec in matching}) for u in fields}}
        counted = [f"{numbers[u]} " if u in numbers else "" for u in claim.units]
        return " × ".join(n + plural(u, 2) for n, u in zip(counted, claim.units, strict=True))

    return {
        c.text: {
            "judged": {c.of: count(c, c.of)},
            "controls": {arm: count(c, arm) for arm in (*c.must_fail, *c.must_hold)},
        }
        for c in experiment.claims
        if isinstance(c, Claim)
    }


@dataclass(frozen=True)
class Sent:
    """A prompt as a model reads it."""

    model: str
    prompts: str
    """The name of its table."""
    place: str
    """Where it was written."""
    tokens: tuple[str, ...]
    """The text of each token."""
    ids: tuple[int, ...]
    positions: Mapping[str, int]
    """The last token of each slot or message, by name."""


def of_study(name: str, prompts: int) -> tuple[Sent, ...]:
    """Give the first prompts of each table of a study as every model reads them."""
    if not prompts:
        return ()
    if not name.endswith(STUDIES):
        raise AssayError("--prompts shows the prompts of a study; give the study's file")
    return tuple(sent(entry(name).path, prompts))


def sent(path: Path, count: int) -> Iterator[Sent]:
    """The first prompts of each table of a study, for each of its models. Raises: AssayError."""
    from assay.ask.measure import models, prompts
    from assay.ask.measure.tokenized import prompt
    from assay.ask.text import read
    from assay.subjects.folder import find

    text = read(path)
    tables = [prompts.load(table, path.parent) for table in text.study.prompts]
    for model in text.study.model:
        for name in models.states(model) if not model.like else ():
            folder = find(models.located(path.parent, name), model.bos)
            for source in tables:
                for row in source.rows[:count]:
                    p = prompt(folder, row)
                    places = {}
                    for slot in p.row.spans:
                        try:
                            places[slot] = p.at(f"{{{slot}}}")
                        except AssayError:  # an ambiguous position, which no read may use
                            continue
                    words = tuple(folder.tokenizer.pieces(p.tokens))
                    yield Sent(name, source.table.name, row.place, words, p.tokens, places)
