"""Reproduce: an experiment run in an empty store and compared with its committed record."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from assay.core.errors import StoreError
from assay.core.experiment import Experiment
from assay.lab.lab import Lab
from assay.lab.plan.preset import Preset
from assay.lab.records import recording
from assay.lab.records.recording import Statement
from assay.lab.records.reproduction import Reproduction, reproduction
from assay.lab.work import groups
from assay.lab.work.events import OnEvent
from assay.report import tables
from assay.verbs.options import CPU, Choice, Flag, Machine, Name
from assay.verbs.record import recorded
from assay.verbs.verb import Answer, Door, Part, Table, duration, verb

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


@verb("a result from an empty store next to its record")
def command(
    name: Name,
    /,
    *,
    root: Path | None = None,
    preset: str = "default",
    record: Flag = False,
    machine: Machine = CPU,
    door: Door,
) -> Answer[Reproduction]:
    """Run it from an empty store and compare with the committed record, claim by claim; exit 1 on a
    difference.

    Parameters
    ----------
    root
        Folder for the store, which must not hold the experiment and is kept; without it a temporary
        one.
    preset
        The preset that was recorded.
    record
        Where every number is equal, let the record have the cost, date and machine of this run.

    Examples
    --------
    assay reproduce superposition
    """
    experiment, chosen = Choice(preset=preset).of(name)
    try:
        with door.run(experiment.name) as display:
            outcome = reproduce(experiment, chosen, machine.lab, root, display, record=record)
    except KeyboardInterrupt:
        if root is not None:
            where = f"{shlex.quote(name)}{chosen.options} --root {shlex.quote(str(root))}"
            door.aside(f"to go on with what is stored: assay run {where}, then assay check {where}")
        raise
    if not record:
        return Answer(outcome, words(outcome), int(not outcome.same))
    cost = "has the cost of this run" if outcome.equal else "keeps its cost: not all is equal"
    return Answer(outcome, [*words(outcome), f"The record {cost}."], int(not outcome.equal))


def words(reproduction: Reproduction) -> Iterator[Part]:
    """Tell every claim on both sides, what differs, cost, environments and how many numbers are
    equal."""
    yield Table(
        ("claim", "recorded", "reproduced", ""),
        [
            # the reason below the claim: it is long, and would leave the claim no room beside it
            (
                f"{s.text}\n→ {s.why}" if s.why else s.text,
                in_words(s.old, s.kind),
                in_words(s.new, s.kind),
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


def in_words(statement: Statement, kind: str) -> str:
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
        else "what is claimed is no longer the same"
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
            f"{root} already holds {experiment.name} ({held[0].relative_to(root)}), which would "
            "be read and not reproduced; "
            "leave --root out, or name an empty folder"
        )
