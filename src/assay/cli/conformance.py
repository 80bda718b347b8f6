"""`assay conformance`: run the vectors on Assay or on a peer, and print what came out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from assay.cli import printing
from assay.conformance import results, runner
from assay.conformance.outcomes import KINDS
from assay.conformance.runner import Run
from assay.conformance.vectors import Vector, select
from assay.core.errors import AssayError
from assay.report.conformance import SIGNS, said, wrong_cases


def conform(ids: Sequence[str], against: str | None, python: Path | None, record: bool, as_json: bool) -> int:
    """The exit code after running and printing: 1 where Assay itself is not right everywhere; a peer's outcomes never count.

    Raises: AssayError, one line, for a peer that cannot be run, and options that do not go together.
    """
    vectors = select(ids)
    if against is None and (python is not None or record):
        raise AssayError(f"{'--python' if python is not None else '--record'} is about a peer; name it with --against")
    if record and ids:
        raise AssayError("--record keeps a whole run; leave out the ids")
    if against is not None:
        runner.adapter(against)  # an unknown name is told before anything about interpreters
        if python is None:
            raise AssayError(f"give --python the interpreter of an environment in which {against} is installed")
    run = runner.own(vectors) if against is None else runner.against(against, python, vectors)  # type: ignore[arg-type]
    if as_json:
        printing.emit([outcome.to_json() for outcome in run.outcomes])
    else:
        show(run, vectors, explained=bool(ids))
    if record and against is not None:
        where = results.write(run, against)
        if not as_json:
            print(f"recorded as conformance/results/{where}; the tables: python -m assay.report.docs docs/conformance.md")
    return 0 if against is not None or all(outcome.passed for outcome in run.outcomes) else 1


def show(run: Run, vectors: Sequence[Vector], explained: bool) -> None:
    """Print a table of outcomes and their counts; with `explained` each vector's definition and derivation, and right answers too."""
    if explained:
        for vector in vectors:
            for line in (f"{vector.id}: {vector.title}", f"  defined: {vector.definition}", f"  derived: {vector.derivation}",
                         f"  source: {vector.source}"):  # fmt: skip
                printing.say(line)
            for other in vector.alternatives:
                printing.say(f"  also in use: {other.definition} ({other.source}): {said(dict(other.expected))}")
            print()
    table = printing.grid("", "vector", "what", "got", "expected")
    table.expand, table.columns[2].ratio, table.columns[3].ratio, table.columns[4].ratio = True, 4, 3, 3
    for vector, outcome in zip(vectors, run.outcomes, strict=True):
        got, right = wrong_cases(outcome.got, outcome.expected) if outcome.outcome != "right" else ("", "")
        if explained and outcome.outcome == "right":
            got, right = ("; ".join(dict.fromkeys(map(said, part))) for part in (outcome.got, outcome.expected))
        got, right = (f"({outcome.why})", "") if outcome.outcome == "not offered" else (got, right)
        table.add_row(SIGNS[outcome.outcome], vector.id, vector.title, got, right)
    printing.draw(table)
    counts = Counter(outcome.outcome for outcome in run.outcomes)
    print(f"\n{run.peer} {run.version}: " + ", ".join(f"{SIGNS[kind]} {counts[kind]} {kind}" for kind in KINDS))
