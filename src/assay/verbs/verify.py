"""Verify: a result compared with its committed record, from what is stored, from the record's own
measures or from an empty store; or a bundle with what it states."""

from __future__ import annotations

import contextlib
import shlex
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from assay.core import foreign
from assay.core.errors import AssayError, ExperimentError, StoreError
from assay.core.experiment import ALL, Experiment
from assay.core.results import ResultData
from assay.lab import catalogue
from assay.lab.judge import anchors, recording, registered
from assay.lab.judge.anchors import Anchor
from assay.lab.judge.recording import Difference, Statement, departs
from assay.lab.judge.reproduction import Reproduction, reproduction
from assay.lab.lab import Lab
from assay.lab.plan.preset import Preset, override
from assay.lab.records import contests, records
from assay.lab.store import groups
from assay.lab.work.events import OnEvent
from assay.report import tables
from assay.report.bundle.checking import CheckedBundle
from assay.verbs.bundle import anchored, check_bundle, compared, is_bundle
from assay.verbs.options import CPU, DEFAULT, HERE, Choice, Flag, Machine, Place
from assay.verbs.verb import Answer, AnswerPart, Door, Line, Table, duration, verb

REGISTRATION = ".prereg.json"
"""How the file of what was frozen ends."""
CONTESTS = "assay.contests"
"""The group of entry points in which another distribution names the function that judges a
committed contest again."""
STORED, MEASURES = "the stored runs", "the record's own measures"
"""From what a result was judged that is compared with its record."""
SHOWN = {
    "cpu": "processor",
    "cores": "cores",
    "free_cores": "free cores",
    "memory_gib": "memory, GiB",
    "system": "system",
    "device": "device",
    "torch": "torch",
    "python": "Python",
    "numpy": "NumPy",
    "assay": "Assay",
    "commit": "commit",
    "finished": "finished",
}


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
class Frozen:
    """What was frozen, and what says from outside when."""

    path: Path
    hash: str
    time: str
    anchors: tuple[Anchor, ...]


@dataclass(frozen=True)
class Written:
    """The file that a record was written to."""

    path: Path


@verb(
    "where a result differs from its record, or a bundle from what it states; or the record written"
)
def command(
    name: str,
    /,
    *,
    rerun: Flag = False,
    keep: Path | None = None,
    record: Flag = False,
    authority: Path | None = None,
    choice: Choice = DEFAULT,
    place: Place = HERE,
    machine: Machine = CPU,
    door: Door,
) -> Answer[Compared | Written | Reproduction | CheckedBundle | Frozen]:
    """Compare a result with its committed record, or judge a bundle again. Exits with 1 if they
    differ.

    Where nothing is stored, the record's own measures are judged by today's rule.

    Parameters
    ----------
    name
        The name of an experiment, or the path of its file; catalogue for every record; a bundle (a
        zip or its folder); or a frozen study (a .prereg.json file).
    rerun
        Run the experiment from an empty store first, and compare that.
    keep
        With --rerun: the folder of that store, which must not contain the experiment; by default a
        temporary folder.
    record
        Write the stored result as the record: commit, keys, small measures, verdicts, seconds. With
        --rerun: if every number is equal, update the cost, date and machine of the record.
    authority
        For a bundle or a frozen study: a PEM file with the certificates of the time stamp
        authorities that you trust; by default those of the system.

    Examples
    --------
    assay verify superposition
    assay export superposition --format bundle --out superposition.zip
    assay verify superposition.zip
    """
    if keep is not None and not rerun:
        raise AssayError("--keep names the store of --rerun; add --rerun, or use --root")
    if name == ALL or is_bundle(name) or name.endswith(REGISTRATION):
        if rerun or record or choice != DEFAULT:
            raise AssayError(
                "--rerun, --record, --preset and --set go with the name of one experiment"
            )
        return of_catalogue(door) if name == ALL else of_file(Path(name), authority)
    experiment, preset = choice.of(name)
    if rerun:
        return of_rerun(name, experiment, preset, machine, keep, door, record)
    if record:
        written = write(place.lab(), experiment, preset)
        return Answer(written, [Line(str(written.path))])
    return in_words(compare(place.lab(), experiment, preset))


def of_file(path: Path, authority: Path | None) -> Answer[CheckedBundle | Frozen]:
    """Judge a bundle again, and report where it differs from what it states; or read what was
    frozen, and report what shows when."""
    if path.name.endswith(REGISTRATION):
        frozen = registered.read(foreign.regular(path))
        found = Frozen(path, frozen.hash, frozen.time, tuple(anchors.found(frozen, authority)))
        head = f"{path} is as it was frozen on {frozen.time}, by its author's clock"
        lines: list[AnswerPart] = [
            head,
            Line(f"sha256 {frozen.hash}"),
            *map(anchored, found.anchors),
        ]
        lines += [] if found.anchors else ["no time stamp is next to it, and no git note names it"]
        return Answer(found, lines, int(any(anchor.wrong for anchor in found.anchors)))
    bundle = check_bundle(path, authority)
    return Answer(bundle, compared(bundle), int(not bundle.same))


def of_catalogue(door: Door) -> Answer[Compared]:
    """Judge every committed record again, those of presets elsewhere too. Those whose measures are
    not here, as in a wheel, are left out."""
    if not (names := [entry.name for entry in catalogue.entries()]):
        raise AssayError(catalogue.MISSING)
    found = []
    with door.bar("verify", "experiments") as bar:
        for done, name in enumerate(names):
            bar(done, len(names))
            experiment = catalogue.find(name)
            for preset in ("default", *experiment.elsewhere):
                if not records.carried(records.name_of(experiment, preset), experiment.origin):
                    continue
                if (stored_record := records.load_record(experiment, preset)) is not None:
                    found.append(judged_again(experiment, preset, stored_record))
        bar(len(names), len(names))
    counts = (sum(f.statements for f in found), sum(f.contests for f in found))
    differences = tuple(d for f in found for d in f.differences)
    return in_words(Compared(ALL, MEASURES, len(found), *counts, differences))


def in_words(compared: Compared) -> Answer[Compared]:
    """Say what differs from the record, and what was compared."""
    parts: list[AnswerPart] = []
    if compared.differences:
        rows = [(d.what, d.recorded, d.now) for d in compared.differences]
        parts.append(Table(("what", "recorded", "now"), rows, wide={"what": 1}))
    if compared.judged == MEASURES:
        counts = (
            f"{n} {what}{'s' * (n != 1)}"
            for n, what in (
                (compared.statements, "statement"),
                (compared.contests, "contest"),
                (compared.records, "record"),
            )
        )
        because = "" if compared.experiment == ALL else "; no run is stored"
        parts.append(f"{', '.join(counts)}: judged again from {MEASURES}{because}")
    if not compared.differences:
        parts.append(Line(f"{compared.experiment}: as recorded"))
    return Answer(compared, parts, int(bool(compared.differences)))


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
        Difference(f"{name}: {text} ({why})", shown(old, kind), shown(new, kind))
        for kind, text, old, new in pairs
        if (why := departs(old, new))
    ]
    effects = [
        (past, judge(experiment, past))
        for judge in (point.load() for point in entry_points(group=CONTESTS))
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
                what = f"{records.name_of(experiment, preset)}: {key} that it reads"
                yield Difference(what, read[key][:12], digest[:12])


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
        raise ExperimentError(
            f"{records.name_of(experiment, preset.name)} has no record; "
            f"make one: assay run {typed}, then assay verify {typed} --record"
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


def of_rerun(
    name: str,
    experiment: Experiment,
    preset: Preset,
    machine: Machine,
    keep: Path | None,
    door: Door,
    record: bool,
) -> Answer[Reproduction]:
    """Run an experiment from an empty store, and report claim by claim how it compares with its
    record."""
    try:
        with door.run(experiment.name) as display:
            outcome = reproduce(experiment, preset, machine.lab, keep, display, record=record)
    except KeyboardInterrupt:
        if keep is not None:
            where = f"{shlex.quote(name)}{preset.options} --root {shlex.quote(str(keep))}"
            door.aside(f"to resume: assay run {where}, then assay verify {where}")
        raise
    if not record:
        return Answer(outcome, words(outcome), int(not outcome.same))
    cost = "has the cost of this run" if outcome.equal else "keeps its cost: not all is equal"
    return Answer(outcome, [*words(outcome), f"The record {cost}."], int(not outcome.equal))


def words(reproduction: Reproduction) -> Iterator[AnswerPart]:
    """Tell every claim on both sides, what differs, cost, environments and how many numbers are
    equal."""
    yield Table(
        ("claim", "recorded", "reproduced", ""),
        [
            # the reason below the claim: it is long, and would leave the claim no room beside it
            (
                f"{s.text}\n→ {s.why}" if s.why else s.text,
                shown(s.old, s.kind),
                shown(s.new, s.kind),
                "differs" if s.why else "same",
            )
            for s in reproduction.statements
            if s.kind == "verdicts" or s.why
        ],
        wide={"claim": 1},
    )
    yield ""
    cost, environment = reproduction.cost, reproduction.environment
    sides = ("recorded", "reproduced")
    rows = [
        ("time by the clock", *(duration(cost[side]["seconds"]) for side in sides)),
        ("CPU-seconds", *(f"{cost[side]['cpu_seconds']:,.0f}" for side in sides)),
    ]
    for key, name in SHOWN.items():
        rows.append((name, *(str(environment[side].get(key, "")) or "unknown" for side in sides)))
    yield Table(("", *sides), rows)
    yield ""
    yield from summary(reproduction)


def shown(statement: Statement, kind: str) -> str:
    """Write how a statement came out, with its number unless it is exact."""
    if statement is None:
        return "absent"
    row = tables.row(statement)
    return row.outcome if kind == "exact" else " ".join((row.sign, row.estimate, row.interval))


def summary(reproduction: Reproduction) -> list[str]:
    """Say what the comparison comes to, in sentences."""
    n = reproduction.numbers
    same_kinds: list[str] = [
        s.kind for s in reproduction.statements if s.kind != "verdicts" and s.same
    ]
    kinds = (("exact", "exact statement"), ("findings", "estimate"))
    also = [
        f"{many} {word}{'s' * (many != 1)}"
        for kind, word in kinds
        if (many := same_kinds.count(kind))
    ]
    lines = [f"As recorded too: {' and '.join(also)}."] if also else []
    if not reproduction.same_claims:
        lines.append("A text, range or control of a claim was changed since the record.")
    if not reproduction.same_runs:
        lines.append(
            "The record's runs were of other specs or of another version: single numbers need "
            "not agree."
        )
    expected = (
        "as processor and versions let expect"
        if n.expected_equal
        else "none need be, on another machine or other versions"
    )
    if n.expected_equal and n.equal < n.total:
        expected = (
            "all were expected on this machine and these versions; not in "
            f"{', '.join(n.unequal[:5])}"
        )
        expected += f" and {len(n.unequal) - 5} more measures" if len(n.unequal) > 5 else ""
    lines.append(
        f"{n.equal:,} of {n.total:,} recorded numbers are equal to the last digit; {expected}."
    )
    many = sum(not s.same for s in reproduction.statements)
    differ = (
        f"{many} {'statement differs' if many == 1 else 'statements differ'}"
        if many
        else "the claims are not the same as in the record"
    )
    verdict = (
        "reproduced: every statement came out as recorded"
        if reproduction.same
        else f"not reproduced: {differ}"
    )
    return [*lines, f"{reproduction.experiment} ({reproduction.preset}) is {verdict}."]


def reproduce(
    experiment: Experiment,
    preset: Preset,
    make_lab: Callable[[Path], Lab],
    root: Path | None = None,
    on_event: OnEvent | None = None,
    *,
    record: bool = False,
) -> Reproduction:
    """Run an experiment from an empty store and compare with its record, claim by claim; with
    `record` the record takes over what this run cost, if every number is equal.

    `make_lab` makes the lab on a store; the store is at `root` and kept, or in a temporary folder.

    Raises: ExperimentError without a record of this preset; StoreError where the store holds
    anything of the experiment."""
    known = recorded(experiment, preset)
    with empty_store(root) as folder:
        lab = make_lab(folder)
        require_unused(lab, experiment)
        result = lab.run(experiment, preset, on_event)
        outcome = reproduction(result, known)
        if record and outcome.equal:
            recording.take_cost(experiment, known, result, lab.plan(experiment, preset))
        return outcome


@contextmanager
def empty_store(root: Path | None) -> Iterator[Path]:
    """A folder for the store: the one that was named, or a temporary one."""
    if root is not None:
        yield root
        return
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        yield Path(folder) / "store"


def require_unused(lab: Lab, experiment: Experiment) -> None:
    """Refuse a store that holds anything of the experiment, which would be read and not reproduced.
    Raises: StoreError."""
    root = lab.store.root
    held = [
        p
        for p in (root / "runs" / experiment.name, root / "results" / experiment.name)
        if p.exists() and any(p.iterdir())
    ]
    held += [g.folder for g in groups.unfinished(lab.store, experiment.name)]
    if held:
        raise StoreError(
            f"{root} already contains {experiment.name} ({held[0].relative_to(root)}), "
            "which would be read instead of being reproduced; leave --keep out, or name an "
            "empty folder"
        )
