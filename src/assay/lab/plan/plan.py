"""Plan: for each run whether it is stored or why it is missing, and what the missing ones
need: disk and CPU-seconds. Nothing is done.

A known time is scaled by the ratio of steps. Of other fields that all runs of an arm share, larger
ones count the middle between no effect and one in proportion, so that the result is off by a factor
of at most 2; where fields are too different nothing is known."""

from __future__ import annotations

import contextlib
import gc
import json
import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from assay.core.compute import Range, in_bytes
from assay.core.errors import Operator, StoreError
from assay.core.experiment import Experiment
from assay.core.nouns import counted
from assay.core.runs import Runs
from assay.core.spec import Spec, per_run_fields
from assay.lab.catalogue import STORE
from assay.lab.plan.preset import Preset, apply_preset
from assay.lab.records import contests, records
from assay.lab.store import journal, origin
from assay.lab.store.folder import size
from assay.lab.store.groups import RunGroup, WantedRun, unfinished
from assay.lab.store.origin import STUDIES
from assay.lab.store.runs import Damaged, Job, Stored
from assay.lab.store.store import Store

NEVER_RUN = "never run"
"""Why a run is missing of which nothing is stored."""


class PlannedRun(msgspec.Struct, frozen=True):
    """One run: what it is, whether it is stored, and if not, why."""

    job: Job
    state: Literal["cached", "missing"]
    why: str
    """Empty when cached."""
    parent: str | None
    inputs: Mapping[str, str]
    stored: Stored | None = None
    """The stored run: the cached one, or an outdated one."""


@dataclass(frozen=True)
class Plan:
    """What a command would do. Times are None where nothing is known."""

    experiment: str
    preset: Preset
    rows: tuple[PlannedRun, ...]
    cpu_seconds: float | None
    """CPU-seconds of one thread for the missing runs."""
    seconds: float | None
    """Seconds until they are done, shared among the workers."""
    cost_from: str
    """Where the times come from: the experiment, the record, runs of this store, or nowhere."""
    disk: int
    """Bytes the missing runs need, as far as that is known."""
    free: int
    """Bytes free on the disk of the store."""
    per_run: Mapping[str, float] = field(default_factory=dict)
    """CPU-seconds per run of each arm, where known."""
    scaled: bool = False
    """Whether times are known of runs with other fields or steps."""
    notes: tuple[str, ...] = ()
    draws: bool = False
    """As the experiment's."""
    listing: frozenset[tuple[str, int]] = frozenset()
    """The folders of runs that were there when it was made."""

    def __repr__(self) -> str:
        """Summarise it in a line, with its notes below."""
        seconds = self.cpu_seconds
        cost = "" if seconds is None else f", about {seconds:,.0f} CPU-seconds"
        runs = counted(len(self.missing), "run")
        line = f"{self.experiment}: {runs} to do, {len(self.cached):,} stored{cost}"
        return "\n".join((line, *(f"note: {note}" for note in self.notes)))

    @cached_property
    def missing(self) -> tuple[PlannedRun, ...]:
        """The runs that would be trained or measured."""
        return tuple(r for r in self.rows if r.state == "missing")

    @cached_property
    def cached(self) -> tuple[PlannedRun, ...]:
        """The runs that are stored and usable."""
        return tuple(r for r in self.rows if r.state == "cached")

    @cached_property
    def stored(self) -> tuple[Stored, ...]:
        """What the store has of the cached runs."""
        return tuple(r.stored for r in self.cached if r.stored is not None)

    @property
    def wanted(self) -> list[WantedRun]:
        """The missing runs as those that groups may cover."""
        return [WantedRun(r.job, r.parent, r.inputs) for r in self.missing]

    @property
    def cpu_spent(self) -> float:
        """CPU-seconds of the stored runs."""
        return sum(float(run.provenance.get("cpu_seconds", 0.0)) for run in self.stored)

    @property
    def sessions(self) -> tuple[tuple[float, float], ...]:
        """When groups of the stored runs were worked on: (start, end) in seconds of the epoch, each
        once."""
        sessions = (s for run in self.stored for s in run.provenance.get("sessions", []))
        return tuple(sorted({(float(start), float(end)) for start, end in sessions}))

    def by_arm(self) -> Mapping[str, tuple[PlannedRun, ...]]:
        """The rows of each trained arm, in the order of its specs."""
        return self._arms

    @cached_property
    def _arms(self) -> Mapping[str, tuple[PlannedRun, ...]]:
        arms: dict[str, list[PlannedRun]] = {}
        for r in self.rows:
            arms.setdefault(r.job.arm, []).append(r)
        return {a: tuple(rows) for a, rows in arms.items()}

    def require_disk(self) -> None:
        """Refuse a plan whose missing runs need more disk than is free. Raises: StoreError."""
        if self.missing and self.disk > self.free:
            need, have = in_bytes(self.disk), in_bytes(self.free)
            raise StoreError(
                f"{self.experiment} needs about {need} of disk, {have} are free",
                Operator("; free some or name another disk with --root"),
            )


InputsOf = Callable[[Job, Stored | None], Mapping[str, str]]


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Look for no garbage meanwhile: of a large store every look would go through all its runs."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@uncollected()
def plan(
    store: Store,
    experiment: Experiment,
    preset: Preset,
    workers: int = 1,
    inputs_of: InputsOf | None = None,
    first: Plan | None = None,
) -> Plan:
    """What running this preset would do. Reads the store, writes nothing. Raises: SpecError,
    ExperimentError, StoreError.

    `inputs_of` says what a run should have read from outside; by default the experiment is asked,
    which may need its model. `first` is an earlier plan of the same, whose runs, with what they
    should have read, and whose costs are taken over: asking the experiment again costs time, and
    its answer may have changed."""
    origin.check(store, experiment.name, experiment.origin)
    experiment = apply_preset(experiment, preset)
    STORE.set(store.root)
    inputs_for = experiment.inputs or (lambda spec: {})
    listing = store.listing(experiment.name)
    shelf = _Shelf(store, experiment, preset, compares=inputs_of is not as_stored)
    if first is None:
        rows = _rows(shelf, _runs(shelf, inputs_of or (lambda job, _: inputs_for(job.spec))))
    else:
        rows = _rows(shelf, first.rows)
    missing = [r for r in rows if r.state == "missing"]
    cached = [r.stored for r in rows if r.state == "cached" and r.stored is not None]
    # which may look at the model as well
    cost = None if inputs_of is as_stored else experiment.cost
    per_run, cost_from, scaled = (
        (first and Costs(first.per_run, first.cost_from, first.scaled))
        or (cost and stated_costs(experiment, preset))
        or known_costs(
            experiment, preset, shelf.record.get("cost", {}), [*shelf.runs.values()], cached
        )
    )
    cpu: float | None = 0.0
    disk = 0
    # in order: sums of floats keep every digit
    for arm in dict.fromkeys(r.job.arm for r in missing):
        arm_rows = [r for r in missing if r.job.arm == arm]
        cpu = cpu + per_run[arm] * len(arm_rows) if cpu is not None and arm in per_run else None
        disk += int(_bytes_per_run(shelf, arm) * len(arm_rows))
    # the largest of any arm: what they write next to measures, such as a harvest, they share
    if cost is not None:
        specs = [[r.job.spec for r in missing if r.job.arm == arm] for arm in experiment.arms]
        disk += max((cost(Runs(s)).bytes for s in specs if s), default=0)
    seconds = None if cpu is None else cpu / max(1, min(workers, len(missing)))
    return Plan(
        experiment.name,
        preset,
        rows,
        cpu,
        seconds,
        cost_from,
        disk,
        store.free(),
        per_run,
        scaled,
        shelf.notes(rows),
        experiment.draws,
        listing,
    )


def replan(store: Store, experiment: Experiment, first: Plan) -> Plan:
    """Plan once more after work on it: what is stored by now of the same runs."""
    return plan(store, experiment, first.preset, first=first) if first.missing else first


class _Shelf:
    """One reading of everything stored for an experiment."""

    def __init__(self, store: Store, experiment: Experiment, preset: Preset, *, compares: bool):
        self.store, self.experiment, self.preset = store, experiment, preset
        self.compares, self.present = compares, origin.Present(origin.home(experiment.origin))
        stored_runs = store.every(experiment.name)
        self.runs = {s.key: s for s in stored_runs if isinstance(s, Stored)}
        self.damaged = tuple(s for s in stored_runs if isinstance(s, Damaged))
        self.groups: dict[str, RunGroup] = {}
        """The unfinished group of each run that is in one, by key."""
        for group in unfinished(store, experiment.name):
            for key in group.keys:
                self.groups.setdefault(key, group)
        self.other_versions = {
            (s.arm, s.spec_json): s.version
            for s in self.runs.values()
            if s.version != experiment.version
        }

    @cached_property
    def record(self) -> Mapping[str, Any]:
        """What the JSON file of the preset's record says; nothing without one."""
        return records.load_record(self.experiment, self.preset.name, measures=False) or {}

    @cached_property
    def text(self) -> origin.Text:
        """What the experiment's files say now."""
        return origin.text(self.experiment)

    def row(self, run: WantedRun | PlannedRun) -> PlannedRun:
        job, stored, materials = run.job, self.runs.get(run.job.key), self.experiment.materials
        inputs = materials.same_rows(run.inputs) if materials else run.inputs
        why = self._absent(job) if stored is None else self._outdated(stored, inputs)
        return PlannedRun(job, "missing" if why else "cached", why, run.parent, inputs, stored)

    def _absent(self, job: Job) -> str:
        for d in self.damaged:
            if job.key.startswith(d.folder.name.split("-")[0]):
                return f"damaged: {d.reason} ({d.folder.name})"
        if (group := self.groups.get(job.key)) is not None:
            if error := group.error:
                return f"crashed: {error.splitlines()[0]}"
            step = group.step
            return f"unfinished group at step {step}" if step else "group begun, no checkpoint yet"
        if not self.other_versions:
            return NEVER_RUN
        old = self.other_versions.get((job.arm, job.spec.to_json()))
        return f"version {old} → {self.experiment.version}" if old is not None else NEVER_RUN

    def _outdated(self, stored: Stored, inputs: Mapping[str, str]) -> str:
        earlier, current = stored.inputs, inputs
        if earlier != current:
            earlier, current = (origin.compared(self.experiment, i) for i in (earlier, current))
        if earlier != current:
            names = sorted(earlier.keys() | current.keys())
            pairs = [(n, earlier.get(n), current.get(n)) for n in names]
            return "other inputs: " + ", ".join(_changed(*x) for x in pairs if x[1] != x[2])
        if self.compares and stored.read and (changed := self.present.changed(stored.read)):
            return f"other inputs: {changed}"
        if stored.measured != self.experiment.measured:
            how = "measured again from stored parameters"
            if not stored.has_params:
                how = "trained again, since no parameters are stored"
            return f"measuring changed {stored.measured} → {self.experiment.measured}; {how}"
        if self.text.whole and not self.text.made(stored):
            near = "" if self.text.is_alone else ", or a file that it imports,"
            return f"{Path(self.experiment.origin).name}{near} was edited; trained again"
        return ""

    def notes(self, rows: Sequence[PlannedRun]) -> tuple[str, ...]:
        """What a reader should know: runs that another text of the experiment's file produced,
        looks that cannot be trusted."""
        messages = []
        cached = [r.stored for r in rows if r.stored is not None and r.state == "cached"]
        code = origin.code(self.experiment.origin) if self.experiment.origin else ""
        other = [s for s in cached if s.provenance.get("code") != code and not self.text.made(s)]
        # what a study says of training is in specs
        if code and other and not self.experiment.origin.endswith(STUDIES):
            messages.append(
                f"cached runs made by another text of {self.experiment.name}'s file: {len(other)}; "
                "if the change affects training or measuring, raise version= or measured= in its "
                "Experiment, so that they are made again"
            )
        messages += origin.notes(cached, self.present, outdated=not self.compares)
        messages += [
            f"of {path} {bad}, so later changes may go unnoticed"
            for path, bad, _ in journal.harmed(self.store, self.experiment.name)
        ]
        if self.record:  # only recorded claims are contested
            experiment = self.experiment
            past = contests.of_preset(experiment.name, self.preset.title, experiment.origin)
            messages += contests.lines(past)
        return tuple(messages)


def as_stored(job: Job, stored: Stored | None) -> Mapping[str, str]:
    """What the stored run read, whatever that was: for showing results where the model or corpus is
    not at hand."""
    return stored.inputs if stored is not None else {}


def _runs(shelf: _Shelf, inputs_of: InputsOf) -> Iterator[WantedRun]:
    experiment = shelf.experiment

    def job(arm: str, spec: Spec) -> Job:
        return Job(experiment.name, experiment.version, arm, spec)

    for name, arm in experiment.arms.items():
        if arm.train is None:
            continue
        for spec, pair in experiment.pairs(name, shelf.preset.specs):
            run = job(name, spec)
            parent = job(arm.after, pair).key if arm.after and pair else None
            yield WantedRun(run, parent, dict(inputs_of(run, shelf.runs.get(run.key))))


def _rows(shelf: _Shelf, runs: Iterable[WantedRun | PlannedRun]) -> tuple[PlannedRun, ...]:
    by_key = {run.job.key: shelf.row(run) for run in runs}  # equal specs are one run
    rows = dict[str, list[PlannedRun]]()
    for row in by_key.values():
        rows.setdefault(row.job.arm, []).append(row)
    # A missing run needs its parent's parameters: where they are not stored, the parent is missing
    # too.
    for _ in rows:  # once per arm: chains of arms that build on each other
        needed = {
            r.parent
            for arm_entries in rows.values()
            for r in arm_entries
            if r.state == "missing" and r.parent is not None
        }
        rows = {
            name: [_without_params(r) if r.job.key in needed else r for r in arm_entries]
            for name, arm_entries in rows.items()
        }
    return tuple(r for arm_entries in rows.values() for r in arm_entries)


def _without_params(row: PlannedRun) -> PlannedRun:
    if row.state == "missing" or (row.stored is not None and row.stored.has_params):
        return row
    return replace(
        row, state="missing", why="its parameters are not stored, and another arm builds on them"
    )


def _bytes_per_run(shelf: _Shelf, arm: str) -> float:
    stored_runs = [s for s in shelf.runs.values() if s.arm == arm]
    if stored_runs:
        return size(stored_runs[-1].folder)
    return float(shelf.record.get("bytes", {}).get(arm, 0.0))


def _changed(name: str, was: str | None, now: str | None) -> str:
    """Say which input changed, and of prompts what its hash is of."""
    if name.startswith("prompts ") and was and now:
        name = name.replace("prompts prompts", "prompts")
        return f"{name} with another row, column, text, unit or split"
    earlier, current = ("nothing" if x is None else x[:12] for x in (was, now))
    return f"{name} {earlier}, now {current}"


def spanned(sessions: Iterable[tuple[float, float]]) -> float:
    """Seconds that are in at least one of these sessions."""
    seconds, end = 0.0, float("-inf")
    for start, stop in sorted(sessions):
        seconds += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return seconds


LARGER = 4.0
"""By which factor fields may be larger than known ones, taken together, for times to be known: the
middle between no effect and one in proportion is then off by at most 2."""
MEASURING = 0.05
"""The share of a run's recorded cost that no number of steps changes: measuring, for one."""
LONGER = 20.0
"""By which factor runs may be longer than stored ones that tell what they take: a run of very few
steps shows what starting costs, not what a step costs."""


START, OPENING = 6.0, 9e-9
"""CPU-seconds of a command by itself, with its workers: imports, judging, figures; and to open each
byte of what workers share, such as a language model. Measured on two studies of SmolLM2 and one of
a small network."""
GROUP = 0.3
"""CPU-seconds of a group of runs by itself: its checkpoints, its measures, and writing them."""
MACHINE, SCALED = 1.25, 2.0
"""By which factor times of recorded runs may be off on another machine, or at another hour, and
those of runs with other steps or fields."""


def command_times(
    plan: Plan, experiment: Experiment, workers: int = 1
) -> tuple[Range, Range] | None:
    """Return the seconds by the clock of a whole command that works on what is missing, on so many
    workers, and its CPU-seconds; None where these are not known."""
    if (cpu := plan.cpu_seconds) is None:
        return None
    seeds: dict[str, set[int]] = {}
    for row in plan.missing:
        seeds.setdefault(row.job.arm, set()).add(row.job.spec.seed)
    groups = sum(math.ceil(len(group) / experiment.seeds_per_group) for group in seeds.values())
    opened = experiment.shared.size() if experiment.shared is not None and plan.missing else 0.0
    return command(cpu, min(workers, groups), plan.scaled, OPENING * opened)


def command(cpu: float, workers: int, scaled: bool, opening: float = 0.0) -> tuple[Range, Range]:
    """Return the seconds by the clock of a whole command that does so many CPU-seconds of work on
    so many workers, and its CPU-seconds, with those of starting it and of opening what workers
    share; `scaled` where they are known of other runs."""
    off, workers, before = SCALED if scaled else MACHINE, max(1, workers), START + opening
    return Range.about(before + cpu / workers, off), Range.about(before + cpu, off)


class Costs(NamedTuple):
    """CPU-seconds of a run by arm, where they are known."""

    per_run: Mapping[str, float]
    source: str
    """Where they are known from: the experiment, the record, runs of this store, or unknown."""
    scaled: bool
    """Whether they are of runs with other steps or fields."""


def stated_costs(experiment: Experiment, preset: Preset) -> Costs | None:
    """Return the costs that an experiment states, for which it may look at its model; None where it
    does not state them for every arm."""
    arms = _arms(experiment, preset)
    if experiment.cost is None:
        return None
    seconds = {n: experiment.cost(Runs(specs)).cpu_seconds for n, specs in arms.items()}
    if None in seconds.values():
        return None
    per_run = {n: (s or 0.0) / len(arms[n]) for n, s in seconds.items()}
    return Costs(per_run, "the experiment", False)


def known_costs(
    experiment: Experiment,
    preset: Preset,
    recorded: Mapping[str, float],
    stored: Sequence[Stored],
    cached: Sequence[Stored],
) -> Costs:
    """Return what records and stored runs say about the costs.

    Args:
        experiment: whose runs they are.
        preset: what is to be run.
        recorded: CPU-seconds of a run by arm, as the preset's record has them.
        stored: all stored runs of the experiment.
        cached: those that the preset uses.
    """
    arms = _arms(experiment, preset)
    if preset.title in ("default", *experiment.elsewhere) and arms.keys() <= recorded.keys():
        return Costs(_here(recorded, cached), "the record", False)
    # a wheel has no specs and measures of presets that ask elsewhere
    readable = recorded and records.carried(
        records.name_of(experiment, preset.name), experiment.origin
    )
    record = (records.load_record(experiment, preset.name) if readable else None) or {}
    by_record, by_store = (
        {n: cost for n, specs in arms.items() if (cost := find(n, specs[0])) is not None}
        for find in (partial(_recorded, record), partial(_stored, stored))
    )
    # Runs that are alike say more than others.
    costs = by_store | {
        n: c for n, c in by_record.items() if c.alike or not by_store.get(n, c).alike
    }
    seconds = {n: c.seconds for n, c in costs.items()}
    seconds |= _here({n: s for n, s in seconds.items() if costs[n] is by_record.get(n)}, cached)
    if expected := {n: s for n, s in experiment.expected.items() if n in arms and n not in costs}:
        source = "what other runs took, scaled by steps and by the size of the model"
        return Costs(seconds | expected, source, True)
    source = "the record" if by_record else "runs of this store" if costs else "unknown"
    scaled = not all(c.alike for c in costs.values())
    return Costs(seconds, f"{source}, scaled by steps" if scaled else source, scaled)


def _arms(experiment: Experiment, preset: Preset) -> dict[str, tuple[Any, ...]]:
    """The specs of each trained arm that has some."""
    trained = [n for n, a in experiment.arms.items() if a.train is not None]
    return {n: specs for n in trained if (specs := experiment.specs_of(n, preset.specs))}


def _here(recorded: Mapping[str, float], cached: Sequence[Stored]) -> dict[str, float]:
    """What is recorded of a run of each arm, times one ratio: what the stored runs of this plan
    took, over what is recorded of them."""
    spent = [
        (float(run.provenance.get("cpu_seconds", 0.0)), recorded[run.arm])
        for run in cached
        if run.arm in recorded
    ]
    took, expected = (sum(column) for column in zip(*spent, strict=True)) if spent else (0.0, 0.0)
    ratio = took / expected if took and expected else 1.0
    return {arm: seconds * ratio for arm, seconds in recorded.items()}


def alone(recorded: Sequence[Spec], wanted: Sequence[Spec], before: int, now: int) -> float:
    """By which factor a run takes longer than recorded if fewer share their steps: the middle
    between no effect and one in proportion; `before` and `now` are seeds of a group."""
    was, is_ = (
        len(specs) / math.ceil(len({s.seed for s in specs}) / seeds)
        for specs, seeds in ((recorded, before), (wanted, now))
    )
    return math.sqrt(max(1.0, was / is_))


class _RunCost(NamedTuple):
    """CPU-seconds of a run, and whether they are of runs alike."""

    seconds: float
    alike: bool


def _recorded(record: Mapping[str, Any], arm: str, spec: Spec) -> _RunCost | None:
    """What one run of this spec takes by the record; None where it does not say it."""
    arm_record, cost = record.get("arms", {}).get(arm), record.get("cost", {}).get(arm)
    if arm_record is None or cost is None:
        return None
    first = arm_record["specs"][0]
    ratio = over(spec, {**arm_record["shared"], **first}, first)
    if ratio is None:
        return None
    seconds = float(cost) * (MEASURING + (1 - MEASURING) * ratio.longer)
    return _RunCost(seconds, ratio.alike and ratio.longer == 1)


def _stored(runs: Sequence[Stored], arm: str, spec: Spec) -> _RunCost | None:
    """What one run of this spec takes by stored runs of this arm; None where they tell nothing.

    The median of those nearest to it, in fields first and then in steps: the first group also pays
    for what all share."""
    spent: dict[Ratio, list[float]] = {}
    ignored = {*per_run_fields(type(spec))} - {"steps"}
    counted = [(name, Any, None) for name in json.loads(spec.to_json()) if name not in ignored]
    read = msgspec.json.Decoder(msgspec.defstruct("Counted", counted)).decode
    ratios: dict[bytes, Ratio | None] = {}  # thousands of runs differ in nothing that counts
    for stored in (s for s in runs if s.arm == arm):
        if (text := msgspec.json.encode(read(stored.spec_json))) not in ratios:
            ratios[text] = over(spec, msgspec.json.decode(text))
        ratio = ratios[text]
        cpu = float(stored.provenance.get("cpu_seconds", 0.0))
        if ratio is not None and ratio.longer <= LONGER and cpu:
            spent.setdefault(ratio, []).append(cpu)
    if not spent:
        return None
    nearest = min(spent, key=lambda r: (not r.alike, abs(1 - r.longer)))
    seconds = statistics.median(spent[nearest]) * (nearest.longer or 1.0)
    return _RunCost(seconds, nearest.alike and nearest.longer == 1)


class Ratio(NamedTuple):
    """How runs of one spec compare with those of another in what they take."""

    longer: float
    """By which factor they take longer."""
    alike: bool
    """Whether they are alike but for steps and what differs from run to run."""


def over(spec: Spec, past: Mapping[str, Any], ignored_fields: Iterable[str] = ()) -> Ratio | None:
    """Compare this spec with another by their steps, and by other fields that all runs of an arm
    share: larger ones count the middle between nothing and their ratio, smaller ones and flags
    nothing.

    None where fields are many times larger, or differ in kind. Ignored fields may differ from run
    to run."""
    fields: dict[str, Any] = json.loads(spec.to_json())
    per_run, encode = {*ignored_fields, *per_run_fields(type(spec)), "steps"}, msgspec.json.encode
    other = [
        (fields[k], past.get(k))
        for k in fields
        if k not in per_run and encode(fields[k]) != encode(past.get(k))
    ]
    steps, old = float(fields.get("steps") or 0), float(past.get("steps") or 0)
    growth = math.prod(_growth(*pair) for pair in other)
    if growth > LARGER or (steps != old and not old):
        return None
    return Ratio((1.0 if steps == old else steps / old) * math.sqrt(growth), not other)


def _growth(value: Any, reference: Any) -> float:
    """By which factor a number, or the length of a list, is larger than another; 1 where it is
    smaller and for a flag, infinite where that cannot be known."""
    if isinstance(value, list) and isinstance(reference, list):
        value, reference = len(value), len(reference)
    if isinstance(value, dict) and isinstance(reference, str):  # one of the user's own for a name
        return 1.0
    if not all(isinstance(x, int | float) for x in (value, reference)):
        return math.inf
    if isinstance(value, bool) or isinstance(reference, bool):
        return 1.0 if type(value) is type(reference) else math.inf
    return 1.0 if value <= reference else value / reference if reference > 0 else math.inf
