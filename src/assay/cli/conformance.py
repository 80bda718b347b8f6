"""What `assay conformance` prints: a table of outcomes, and of vectors that were named what they
ask."""

from __future__ import annotations

from collections import Counter

from assay.cli import printing
from assay.conformance.outcomes import KINDS
from assay.report.conformance import SIGNS, said, wrong_cases
from assay.verbs.conformance import Conformance


def show(found: Conformance, explained: bool) -> None:
    """Print a table of outcomes and their counts; with `explained` each vector's definition and
    derivation, and right answers too."""
    if explained:
        for vector in found.vectors:
            for line in (
                f"{vector.id}: {vector.title}",
                f"  defined: {vector.definition}",
                f"  derived: {vector.derivation}",
                f"  source: {vector.source}",
            ):
                printing.say(line)
            for other in vector.alternatives:
                printing.say(
                    f"  also in use: {other.definition} ({other.source}): "
                    f"{said(dict(other.expected))}"
                )
            print()
    table = printing.grid("", "vector", "what", "got", "expected")
    table.expand, table.columns[2].ratio, table.columns[3].ratio, table.columns[4].ratio = (
        True,
        4,
        3,
        3,
    )
    for vector, outcome in zip(found.vectors, found.outcomes, strict=True):
        got, right = (
            wrong_cases(outcome.got, outcome.expected) if outcome.outcome != "right" else ("", "")
        )
        if explained and outcome.outcome == "right":
            got, right = (
                "; ".join(dict.fromkeys(map(said, part)))
                for part in (outcome.got, outcome.expected)
            )
        got, right = (f"({outcome.why})", "") if outcome.outcome == "not offered" else (got, right)
        table.add_row(SIGNS[outcome.outcome], vector.id, vector.title, got, right)
    printing.draw(table)
    counts = Counter(outcome.outcome for outcome in found.outcomes)
    print(
        f"\n{found.peer} {found.version}: "
        + ", ".join(f"{SIGNS[kind]} {counts[kind]} {kind}" for kind in KINDS)
    )
    if found.recorded is not None:
        print(
            f"recorded as {found.recorded}; the tables: python -m assay.report.docs "
            "docs/conformance.md"
        )
