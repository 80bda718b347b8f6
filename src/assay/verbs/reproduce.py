"""Reproduce: an experiment run in an empty store and compared with its committed record."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from assay.core.errors import AssayError, ExperimentError, StoreError, nearest
from assay.core.experiment import Experiment
from assay.lab import contest as contesting
from assay.lab.lab import Lab
from assay.lab.plan.preset import Preset
from assay.lab.records import contests, recording, records
from assay.lab.records.contests import WORDS, Contest
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


@dataclass(frozen=True)
class Repeated:
    """A contest as it was recorded, and as it came out again."""

    recorded: Contest
    now: Contest
    same: bool
    """Whether the same came of it, and one estimate lies within the other's interval."""


@verb("a result from an empty store beside its record, or a contest repeated")
def command(
    name: Name,
    /,
    *,
    root: Path | None = None,
    preset: str = "default",
    contest: str = "",
    record: Flag = False,
    machine: Machine = CPU,
    door: Door,
) -> Answer[Reproduction | Repeated]:
    """Run it from an empty store and compare with the committed record, claim by claim; or one
    contest of it; exit 1 on a difference.

    Parameters
    ----------
    root
        Folder for the store, which must not hold the experiment and is kept; without it a temporary
        one.
    preset
        The preset that was recorded.
    contest
        Repeat this contest of the record alone: the claim's number and the arm, as 2.lot.
    record
        Where every number is equal, let the record have the cost, date and machine of this run.

    Examples
    --------
    assay reproduce superposition
    """
    if contest and record:
        raise AssayError("--record is of a whole record, --contest repeats one contest of it")
    experiment, chosen = Choice(preset=preset).of(name)
    try:
        with door.run(experiment.name) as display:
            if contest:
                repeated = repeat(experiment, preset, contest, machine.lab, root, display)
                return Answer(repeated, compare(repeated), int(not repeated.same))
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


def repeat(
    experiment: Experiment,
    preset: str,
    name: str,
    make_lab: Callable[[Path], Lab],
    root: Path | None = None,
    on_event: OnEvent | None = None,
) -> Repeated:
    """Train and measure the arm of a committed contest again, from an empty store. Raises:
    ExperimentError for a contest that there is not; StoreError for a store that is in use."""
    past_contests = contests.of_record(records.name_of(experiment, preset), experiment.origin)
    past = next((c for c in past_contests if c.name == name), None)
    if past is None:
        raise ExperimentError(
            f"{experiment.name} has no contest {name!r}; "
            f"{nearest(name, [c.name for c in past_contests])}"
        )
    with _folder(root) as folder:
        lab = make_lab(folder)
        now, _ = contesting.contest(
            lab,
            experiment,
            past.number,
            contesting.restore(experiment, past),
            preset=preset,
            by=past.by,
            on_event=on_event,
        )
    apart = not (past.low <= now.estimate <= past.high or now.low <= past.estimate <= now.high)
    return Repeated(past, now, past.effect == now.effect and not apart)


def compare(repeated: Repeated) -> Iterator[Part]:
    """Tell a contest on both sides."""
    rows = [
        (
            side,
            f"{tables.number(c.estimate)} [{tables.number(c.low)}, {tables.number(c.high)}]",
            WORDS[c.effect],
        )
        for side, c in (("recorded", repeated.recorded), ("repeated", repeated.now))
    ]
    yield Table(("", "the arm's number", "effect"), rows)
    yield "reproduced" if repeated.same else "not reproduced"


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
    with _folder(root) as folder:
        lab = make_lab(folder)
        require_unused(lab, experiment)
        result = lab.run(experiment, preset, on_event)
        outcome = reproduction(result, known)
        if record and outcome.equal:
            recording.take_cost(experiment, known, result, lab.plan(experiment, preset))
        return outcome


@contextmanager
def _folder(root: Path | None) -> Iterator[Path]:
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
