"""Verifying: a result compared with its committed record: from what is stored, from the record's
own measures, or from an empty store."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from assay.core.errors import AssayError, ExperimentError, StoreError
from assay.core.experiment import ALL, Experiment
from assay.core.heavy import offered
from assay.core.results import ResultData
from assay.core.schema import OMITTED
from assay.lab import catalogue
from assay.lab.judge import recording, registered
from assay.lab.judge.recording import Difference, Statement, departs, dumped, paired
from assay.lab.judge.result import Result
from assay.lab.lab import Lab
from assay.lab.plan.preset import Preset, override
from assay.lab.records import contests, records
from assay.lab.work.events import OnEvent

JSON = Mapping[str, Any]
BITWISE = ("cpu", "python", "torch", "numpy")
"""Where these agree, on one thread, runs are expected to be equal to the last digit."""


@dataclass(frozen=True)
class StatementCompared:
    """A statement on both sides."""

    kind: Literal["verdicts", "exact", "findings"]
    text: str
    recorded: Mapping[str, Any] | None
    """Outcome and numbers; None where that side lacks the statement."""
    reproduced: Mapping[str, Any] | None
    same: bool
    why: str
    """How the two differ; empty where they do not."""
    old: Statement = field(default=None, metadata=OMITTED)
    """All that the record says about it."""
    new: Statement = field(default=None, metadata=OMITTED)


@dataclass(frozen=True)
class Numbers:
    """How many recorded numbers of measures are equal to the last digit of single precision."""

    equal: int
    total: int
    expected_equal: bool
    """Whether processor and versions agree, so that equal numbers are expected."""
    unequal: tuple[str, ...]
    """Which measures are not equal everywhere, as arm.measure."""


@dataclass(frozen=True)
class Reproduction:
    """A result compared with its record."""

    experiment: str
    preset: str
    same: bool
    """Whether every statement came out as recorded, on the claims that were recorded."""
    same_claims: bool
    """False where a text, range or control was changed since the record."""
    same_runs: bool
    """False where specs or the meaning of training changed since the record."""
    statements: tuple[StatementCompared, ...]
    cost: Mapping[str, Mapping[str, float]]
    """Seconds and CPU-seconds, recorded and reproduced."""
    environment: Mapping[str, Mapping[str, Any]]
    """Machine and versions, recorded and reproduced; no host names, no paths."""
    numbers: Numbers


def reproduction(result: Result, record: JSON) -> Reproduction:
    """Compare a result with the record of the same experiment."""
    current, recorded = result.data, ResultData.from_json(record)
    statements = tuple(_compared(*pair) for pair in paired(current, recorded))
    sides = {"recorded": recorded, "reproduced": current}
    same_claims = result.claims_key == record["claims_key"]
    environment = {side: _environment(d.provenance) for side, d in sides.items()}
    same_environment = all(
        environment["recorded"].get(k) == environment["reproduced"].get(k) for k in BITWISE
    )
    equal, total, unequal = _numbers(result, record)
    return Reproduction(
        experiment=result.experiment,
        preset=result.preset,
        same=same_claims and all(s.same for s in statements),
        same_claims=same_claims,
        same_runs=result.provenance["keys"] == record["provenance"].get("keys"),
        statements=statements,
        cost={
            side: {"seconds": d.seconds, "cpu_seconds": d.cpu_seconds} for side, d in sides.items()
        },
        environment=environment,
        numbers=Numbers(equal, total, same_environment, unequal),
    )


def _compared(kind: Any, text: str, old: Statement, new: Statement) -> StatementCompared:
    why = departs(old, new)
    return StatementCompared(kind, text, _short(old), _short(new), not why, why, old, new)


def _environment(provenance: JSON) -> dict[str, Any]:
    machine, software = provenance.get("machine") or {}, provenance.get("software") or {}
    return {
        **machine,
        "device": provenance.get("device", ""),
        **software,
        "finished": provenance.get("finished", ""),
    }


def _numbers(result: Result, record: JSON) -> tuple[int, int, tuple[str, ...]]:
    """How many numbers of the recorded measures are equal, how many there are, and the measures
    that are not equal everywhere."""
    equal = total = 0
    unequal = []
    for arm, recorded in record["arms"].items():
        variables = dumped(result.arms[arm])["variables"] if arm in result.arms else {}
        for name, was in recorded["measures"]["variables"].items():
            old, new = was["values"], variables.get(name, {}).get("values")
            same = 0 if new is None else _same(old, new)
            equal, total = equal + same, total + old.size
            if same < old.size:
                unequal.append(f"{arm}.{name}")
    return equal, total, tuple(unequal)


def _same(old: np.ndarray, new: np.ndarray) -> int:
    """How many numbers are equal in single precision: records hold those close to 1 in more."""
    if old.shape != new.shape:
        return 0
    a, b = (x.astype(np.float32) if x.dtype.kind == "f" else x for x in (old, new))
    return int(np.count_nonzero((a == b) | ((a != a) & (b != b))))


def _short(s: Statement) -> dict[str, Any] | None:
    keys = ("outcome", "estimate", "low", "high", "value")
    return None if s is None else {k: v for k, v in s.to_json().items() if k in keys}


CONTESTS = "assay.contests"
"""The group of entry points in which another distribution names the function that judges a
committed contest again."""
STORED, MEASURES = "the stored runs", "the record's own measures"
"""From what a result was judged that is compared with its record."""


@dataclass(frozen=True)
class Compared:
    """What was judged again and compared with its record, and where it differs."""

    experiment: str
    judged: str
    """From what: the stored runs, or the record's own measures."""
    records: int
    statements: int
    contests: int
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Written:
    """The file that a record was written to."""

    path: Path


def compare(lab: Lab, experiment: Experiment, preset: Preset) -> Compared:
    """Compare what is stored with the committed record; where no run is stored, judge the record's
    own measures. Raises: StoreError where some runs are missing; ExperimentError without a
    record."""
    stored_record = recorded(experiment, preset)
    folder = lab.store.root / "runs" / experiment.name
    plan = lab.plan(experiment, preset) if folder.exists() else None
    if plan is None or len(plan.missing) == len(plan.rows):
        return judged_again(experiment, preset.name, stored_record)
    result = lab.judge(experiment, preset)
    differences = tuple(recording.check(result, stored_record))
    statements = len(recording.paired(result.data, ResultData.from_json(stored_record)))
    return Compared(experiment.name, STORED, 1, statements, 0, differences)


def judged_again(experiment: Experiment, preset: str, record: Mapping[str, Any]) -> Compared:
    """Judge the measures in a record, and the contests of its claims, by today's rule, controls and
    models; nothing is trained. Raises: ExperimentError; ClaimError."""
    name = records.name_of(experiment, preset)
    judged, exact, findings = recording.rejudge(experiment, record)
    now = ResultData(verdicts=judged, exact=exact, findings=findings)
    pairs = recording.paired(now, ResultData.from_json(record))
    differences = [
        Difference(f"{name}: {text} ({why})", recording.described(old), recording.described(new))
        for _, text, old, new in pairs
        if (why := departs(old, new))
    ]
    effects = [
        (past, judge(experiment, past))
        for judge in (point.load() for point in offered().select(group=CONTESTS))
        for past in contests.of_record(name, experiment.origin)
    ]
    differences += [
        Difference(f"{name}: contest {past.name}", past.effect, effect)
        for past, effect in effects
        if effect != past.effect
    ]
    differences += _other_inputs(experiment, preset, record)
    return Compared(experiment.name, MEASURES, 1, len(pairs), len(effects), tuple(differences))


def _other_inputs(
    experiment: Experiment, preset: str, record: Mapping[str, Any]
) -> Iterator[Difference]:
    """The inputs of a record, such as a model, that are other ones here."""
    if experiment.inputs is None:
        return
    read = dict(record["provenance"]["inputs"])
    with contextlib.suppress(AssayError):  # the model is not at hand: its revision is not known
        for key, digest in experiment.inputs(override(experiment, preset).specs[0]).items():
            if key in read and read[key] != digest:
                noun = f"{records.name_of(experiment, preset)}: {key} that it reads"
                yield Difference(noun, read[key][:12], digest[:12])


def write(lab: Lab, experiment: Experiment, preset: Preset) -> Written:
    """Write what is stored as the record: commit, keys, small measures, verdicts, seconds.

    Raises: StoreError where runs are missing.
    """
    result, plan = lab.judge(experiment, preset), lab.plan(experiment, preset)
    if plan.missing:
        raise StoreError(
            f"a record holds all runs of {experiment.name}, and {len(plan.missing)} of them are "
            f"missing ({plan.missing[0].why})"
        )
    return Written(recording.write_record(experiment, result, plan, lab.store))


def recorded(experiment: Experiment, preset: Preset) -> Mapping[str, Any]:
    """Read the committed record of an experiment. Raises: ExperimentError when there is none, or it
    is of another preset."""
    stored_record = records.load_record(experiment, preset.name)
    if stored_record is None:
        typed = f"{experiment.typed}{preset.options}"
        frozen = registered.adjacent_path(experiment, preset)
        if frozen is not None and frozen.exists():
            raise ExperimentError(
                f"{experiment.typed} has no record to compare with; to check what was frozen: "
                f"assay verify {os.path.relpath(frozen)}"
            )
        raise ExperimentError(
            f"{records.name_of(experiment, preset.name)} has no committed record to compare its "
            f"result with; assay verify {typed} --record writes one from the stored runs, to be "
            "committed with its file"
        )
    recorded_preset = str(stored_record.get("preset", preset.name)).partition("-")[
        0
    ]  # fields that were set, such as seeds, may differ
    if recorded_preset != preset.name:
        raise ExperimentError(
            f"the record of {experiment.name} is of preset {recorded_preset}, not {preset.name}; "
            "compare "
            f"with --preset {recorded_preset}"
        )
    return stored_record


def reproduce(
    experiment: Experiment,
    preset: Preset,
    make_lab: Callable[[Path], Lab],
    on_event: OnEvent | None = None,
) -> Reproduction:
    """Run an experiment from an empty store, in a temporary folder, and compare with its record,
    claim by claim; `make_lab` makes the lab on a store.

    Raises: ExperimentError without a record of this preset."""
    record = recorded(experiment, preset)
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        result = make_lab(Path(folder) / "store").run(experiment, preset, on_event)
        return reproduction(result, record)


def every(progress: Callable[[int, int], None]) -> Compared:
    """Judge every committed record again, those of presets elsewhere too. Those whose measures are
    not here, as in a wheel, are left out. Raises: AssayError without a catalogue."""
    if not (names := [entry.name for entry in catalogue.entries()]):
        raise AssayError(catalogue.MISSING)
    presets = []
    for done, name in enumerate(names):
        progress(done, len(names))
        experiment = catalogue.find(name)
        for preset in ("default", *experiment.elsewhere):
            if not records.carried(records.name_of(experiment, preset), experiment.origin):
                continue
            if (stored_record := records.load_record(experiment, preset)) is not None:
                presets.append(judged_again(experiment, preset, stored_record))
    progress(len(names), len(names))
    counts = (sum(f.statements for f in presets), sum(f.contests for f in presets))
    differences = tuple(d for f in presets for d in f.differences)
    return Compared(ALL, MEASURES, len(presets), *counts, differences)
