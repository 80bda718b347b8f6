"""`assay reproduce`: an experiment from an empty store, compared with its committed record."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from assay.cli import printing
from assay.cli.progress import Display, duration
from assay.lab.records.recording import Statement
from assay.lab.records.reproduction import Reproduction
from assay.report import tables
from assay.verbs.reproduce import reproduce

if TYPE_CHECKING:
    from assay.cli.options import Choice, Machine

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


def run(name: str, choice: Choice, machine: Machine, root: Path | None, as_json: bool) -> int:
    """Reproduce an experiment and print what came of it; the exit code: 0 as recorded, 1 different.

    An interrupt says how a store that is kept goes on.
    """
    experiment, chosen = choice.of(name)
    try:
        with Display(experiment.name) as display:
            reproduction = reproduce(experiment, chosen, machine.lab, root, display)
    except KeyboardInterrupt:
        if root is not None:
            where = f"{shlex.quote(name)}{chosen.options} --root {shlex.quote(str(root))}"
            printing.tell(
                f"to go on with what is stored: assay run {where}, then assay check {where}",
                sys.stderr,
            )
        raise
    printing.emit(reproduction) if as_json else show(reproduction)
    return 0 if reproduction.same else 1


def show(reproduction: Reproduction) -> None:
    """Print every claim on both sides, what differs, cost, environments and how many numbers are
    equal."""

    def to_text(v: Statement) -> str:
        if v is None:
            return "absent"
        row = tables.row(v)
        return " ".join((row.sign, row.estimate, row.interval))

    claims = printing.grid("claim", "recorded", "reproduced", "")
    claims.expand, claims.columns[0].ratio = True, 1
    for s in reproduction.statements:
        if s.kind == "verdicts" or s.why:
            both = (s.old, s.new)
            ours = (
                tuple(map(to_text, both))
                if s.kind != "exact"
                else tuple("absent" if v is None else tables.row(v).outcome for v in both)
            )
            # the reason below the claim: it is long, and would leave the claim no room beside it
            claims.add_row(
                f"{s.text}\n→ {s.why}" if s.why else s.text, *ours, "differs" if s.why else "same"
            )
    printing.draw(claims)
    print()
    sides = printing.grid("", "recorded", "reproduced")
    for key, words in (("seconds", "time by the clock"), ("cpu_seconds", "CPU-seconds")):
        cost = [reproduction.cost[side][key] for side in ("recorded", "reproduced")]
        sides.add_row(words, *(duration(c) if key == "seconds" else f"{c:,.0f}" for c in cost))
    for key, words in SHOWN.items():
        sides.add_row(
            words,
            *(
                str(reproduction.environment[side].get(key, "")) or "unknown"
                for side in ("recorded", "reproduced")
            ),
        )
    printing.draw(sides)
    print()
    for line in summary(reproduction):
        printing.say(line)


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
