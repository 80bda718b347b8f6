"""Reproduced: a result next to its record, as rows of tables."""

from __future__ import annotations

from assay.core.compute import time_in_words
from assay.lab.judge.recording import Statement
from assay.lab.verifying import Reproduction
from assay.report import tables

SIDES = ("recorded", "reproduced")
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


def claims(outcome: Reproduction) -> list[tuple[str, ...]]:
    """Each claim on both sides, the reason of a difference below it: it is long, and would leave
    the claim no room next to it."""
    return [
        (
            f"{s.text}\n→ {s.why}" if s.why else s.text,
            shown(s.old, s.kind),
            shown(s.new, s.kind),
            "differs" if s.why else "same",
        )
        for s in outcome.statements
        if s.kind == "verdicts" or s.why
    ]


def costs(outcome: Reproduction) -> list[tuple[str, ...]]:
    """Cost and environment on both sides."""
    cost, environment = outcome.cost, outcome.environment
    rows = [
        ("time by the clock", *(time_in_words(cost[side]["seconds"]) for side in SIDES)),
        ("CPU-seconds", *(f"{cost[side]['cpu_seconds']:,.0f}" for side in SIDES)),
    ]
    for key, name in SHOWN.items():
        rows.append((name, *(str(environment[s].get(key, "")) or "unknown" for s in SIDES)))
    return rows


def shown(statement: Statement, kind: str) -> str:
    """Write how a statement came out, with its number unless it is exact."""
    if statement is None:
        return "absent"
    row = tables.row(statement)
    return row.outcome if kind == "exact" else " ".join((row.sign, row.estimate, row.interval))
