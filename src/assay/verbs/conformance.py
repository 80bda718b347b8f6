"""Conformance: Assay, or a peer in its own environment, held to vectors whose right answer can be
worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from assay.conformance import runner
from assay.conformance.outcomes import Outcome
from assay.conformance.vectors import Vector, select
from assay.core.errors import AssayError
from assay.core.schema import BESIDE


@dataclass(frozen=True)
class Conformance:
    """What a library made of each vector."""

    peer: str
    version: str
    outcomes: tuple[Outcome, ...]
    failed: bool
    """Whether Assay itself is not right everywhere; a peer's outcomes never count."""
    recorded: Path | None = None
    """The file in conformance/results that now holds them."""
    vectors: tuple[Vector, ...] = field(default=(), metadata=BESIDE)


def conform(
    ids: Sequence[str] = (),
    against: str | None = None,
    python: Path | None = None,
    record: bool = False,
) -> Conformance:
    """Run the vectors of these ids, or all, on Assay or on a peer by the interpreter of its
    environment.

    Raises: AssayError, one line, for a peer that cannot be run, and options that do not go
    together."""
    vectors = tuple(select(ids))
    if against is None:
        if python is not None or record:
            raise AssayError(
                f"{'--python' if python is not None else '--record'} is about a peer; name it "
                "with --against"
            )
        run = runner.run_assay(vectors)
        return Conformance(
            run.peer,
            run.version,
            run.outcomes,
            not all(outcome.passed for outcome in run.outcomes),
            vectors=vectors,
        )
    if record and ids:
        raise AssayError("--record keeps a whole run; leave out the ids")
    runner.adapter(against)  # an unknown name is told before anything about interpreters
    if python is None:
        raise AssayError(
            f"give --python the interpreter of an environment in which {against} is installed"
        )
    if record:
        runner.require_checkout()
    run = runner.against(against, python, vectors)
    where = Path("conformance/results") / runner.write(run, against) if record else None
    return Conformance(run.peer, run.version, run.outcomes, False, where, vectors)
