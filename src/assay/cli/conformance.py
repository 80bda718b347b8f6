"""What `assay conformance` prints: a table of outcomes, and of vectors that were named what they
ask."""

from __future__ import annotations

from collections import Counter

from assay.cli import printing
from assay.conformance.outcomes import KINDS, SIGNS, to_text, wrong_cases
from assay.verbs.conformance import Conformance


def show(conformance: Conformance, explained: bool) -> None:
    """Print a table of outcomes and their counts; with `explained` each vector's definition and
    derivation, and right answers too."""
    if explained:
        for vector in conformance.vectors:
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
                    f"{to_text(dict(other.expected))}"
                )
            print()
    table = printing.grid("", "vector", "what", "got", "expected")
    table.expand, table.columns[2].ratio, table.columns[3].ratio, table.columns[4].ratio = (
        True,
        4,
        3,
        3,
    )
    for vector, outcome in zip(conformance.vectors, conformance.outcomes, strict=True):
        got, right = (
            wrong_cases(outcome.got, outcome.expected) if outcome.outcome != "right" else ("", "")
        )
        if explained and outcome.outcome == "right":
            got, right = (
                "; ".join(dict.fromkeys(map(to_text, part)))
                for part in (outcome.got, outcome.expected)
            )
        got, right = (f"({outcome.why})", "") if outcome.outcome == "not offered" else (got, right)
        table.add_row(SIGNS[outcome.outcome], vector.id, vector.title, got, right)
    printing.draw(table)
    counts = Counter(outcome.outcome for outcome in conformance.outcomes)
    print(
        f"\n{conformance.peer} {conformance.version}: "
        + ", ".join(f"{SIGNS[kind]} {counts[kind]} {kind}" for kind in KINDS)
    )
    if conformance.recorded is not None:
        print(
            f"recorded as {conformance.recorded}; the tables: python docs/marks docs/conformance.md"
        )
