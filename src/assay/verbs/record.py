"""Record: a stored result compared with the committed record of its experiment, or written as that
record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core.errors import AssayError, ExperimentError, StoreError
from assay.core.experiment import Experiment
from assay.lab.lab import Lab
from assay.lab.plan.preset import Preset
from assay.lab.records import recording, records
from assay.lab.records.recording import Difference
from assay.report.bundle.checking import CheckedBundle
from assay.verbs.bundle import check_bundle, compared, is_bundle
from assay.verbs.options import DEFAULT, HERE, Choice, Flag, Place
from assay.verbs.verb import Answer, Line, Table, verb


@dataclass(frozen=True)
class Checked:
    """Where a stored result departs from its record."""

    experiment: str
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Written:
    """The file that a record was written to."""

    path: Path


@verb(
    "where a result departs from its record, or a bundle from what it states; or the record "
    "written",
)
def command(
    name: str,
    /,
    *,
    record: Flag = False,
    choice: Choice = DEFAULT,
    place: Place = HERE,
) -> Answer[Checked | Written | CheckedBundle]:
    """Compare what is stored with the committed record, or what a bundle states with what this
    Assay judges; exit 1 on a difference.

    Parameters
    ----------
    name
        An experiment's name, or the path of its file; or a bundle, a zip or its folder.
    record
        Write the record instead: commit, keys, small measures, verdicts, seconds.

    Examples
    --------
    assay check superposition
    assay export superposition --format bundle --out superposition.zip
    assay check superposition.zip
    """
    if is_bundle(name):
        if record or choice != DEFAULT:
            raise AssayError("--record, --preset and --set are of a stored result, not of a bundle")
        bundle = check_bundle(Path(name))
        return Answer(bundle, compared(bundle), int(not bundle.same))
    lab, (experiment, preset) = place.lab(), choice.of(name)
    if record:
        return as_record(lab, experiment, preset)
    comparison = check(lab, experiment, preset)
    rows = [(d.what, d.recorded, d.now) for d in comparison.differences]
    if not rows:
        return Answer(comparison, [Line(f"{comparison.experiment}: as recorded")])
    return Answer(comparison, [Table(("what", "recorded", "now"), rows)], 1)


def as_record(lab: Lab, experiment: Experiment, preset: Preset) -> Answer[Written]:
    """Write the record, and tell where it is."""
    written = record(lab, experiment, preset)
    return Answer(written, [Line(str(written.path))])


def check(lab: Lab, experiment: Experiment, preset: Preset) -> Checked:
    """Compare what is stored with the committed record. Raises: StoreError where runs are missing;
    ExperimentError without a record."""
    result = lab.judge(experiment, preset)
    return Checked(experiment.name, tuple(lab.check(result, recorded(experiment, preset))))


def record(lab: Lab, experiment: Experiment, preset: Preset) -> Written:
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
        raise ExperimentError(
            f"{records.name_of(experiment, preset.name)} has no record; "
            f"make one: assay run {typed}, then assay check {typed} --record"
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
