"""Conformance: Assay, or a peer in its own environment, held to vectors whose right answer can be
worked out by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from assay.core.errors import AssayError
from assay.core.schema import BESIDE
from assay.verbs.options import Flag
from assay.verbs.verb import Answer, Line, Part, Table, verb
from assay_vectors import functions, runner, sarif
from assay_vectors.outcomes import KINDS, SIGNS, Outcome, report, to_text, wrong_cases
from assay_vectors.vectors import LATEST, Vector, select


@dataclass(frozen=True)
class Conformance:
    """What a library made of each vector."""

    peer: str
    version: str
    outcomes: tuple[Outcome, ...]
    failed: bool
    """Whether Assay itself is not right everywhere, or functions that were named are wrong; a
    peer's outcomes never count."""
    recorded: Path | None = None
    """The file that now holds them."""
    vectors: tuple[Vector, ...] = field(default=(), metadata=BESIDE)


@verb("which vectors with a right answer came out")
def conformance(
    *ids: str,
    against: Annotated[str | None, Parameter(show_default=False)] = None,
    python: Annotated[Path | None, Parameter(show_default=False)] = None,
    record: Flag = False,
    sarif: Annotated[Path | None, Parameter(show_default=False)] = None,
    vectors: str = LATEST,
    names: Flag = False,
) -> Answer[Conformance]:
    """Hold Assay, your functions or a peer to vectors whose right answer can be worked out by hand;
    exit 1 where one is wrong, of a peer never.

    Parameters
    ----------
    ids
        Vectors to run and explain, such as C01; all without any.
    against
        Your functions as module:name; a peer with an adapter (saelens, sparsify, …), or the path of
        an adapter.
    python
        Interpreter of an environment in which the peer is installed.
    record
        Keep the peer's outcomes as data in a checkout's conformance/results.
    sarif
        File to write what module:name got wrong to, as code hosts show it.
    vectors
        Frozen set of vectors.
    names
        List what functions may be called, with their inputs, and run nothing.

    Examples
    --------
    assay conformance C01
    """
    if names:
        return Answer(Conformance("", vectors, (), False), [listing()])
    done = conform(ids, against, python, record, sarif, vectors)
    return Answer(done, words(done, explained=bool(ids)), 1 if done.failed else 0)


def listing() -> Table:
    """Tell the names of functions, what they are called with, and what they give."""
    rows = [
        (
            ", ".join((name.operation, *name.words)),
            ", ".join(name.inputs),
            ", ".join(name.quantities),
            " ".join(name.ids),
        )
        for name in functions.names()
    ]
    return Table(("name", "called with", "gives", "vectors"), rows)


def words(conformance: Conformance, explained: bool) -> Iterator[Part]:
    """Tell every outcome, and how many there are of each kind; with `explained` each vector's
    definition and derivation first, and right answers too."""
    for vector in conformance.vectors if explained else ():
        yield f"{vector.id}: {vector.title}"
        yield f"  defined: {vector.definition}"
        yield f"  derived: {vector.derivation}"
        yield f"  source: {vector.source}"
        for other in vector.alternatives:
            yield (
                f"  also in use: {other.definition} ({other.source}): "
                f"{to_text(dict(other.expected))}"
            )
        yield ""
    pairs = zip(conformance.vectors, conformance.outcomes, strict=True)
    yield Table(
        ("", "vector", "what", "got", "expected"),
        [(SIGNS[o.outcome], vector.id, vector.title, *sides(o, explained)) for vector, o in pairs],
        wide={"what": 4, "got": 3, "expected": 3},
    )
    counts = Counter(outcome.outcome for outcome in conformance.outcomes)
    totals = ", ".join(f"{SIGNS[kind]} {counts[kind]} {kind}" for kind in KINDS)
    yield ""
    yield Line(f"{f'{conformance.peer} {conformance.version}'.strip()}: {totals}")
    if conformance.recorded is not None:
        yield Line(f"written: {conformance.recorded}")


def sides(outcome: Outcome, explained: bool) -> tuple[str, str]:
    """Write what came out and what is right: of a right answer only where it is explained."""
    if outcome.outcome == "not offered":
        return f"({outcome.why})", ""
    if outcome.outcome != "right":
        return wrong_cases(outcome.got, outcome.expected)
    if not explained:
        return "", ""
    got, right = (
        "; ".join(dict.fromkeys(map(to_text, x))) for x in (outcome.got, outcome.expected)
    )
    return got, right


def conform(
    ids: Sequence[str] = (),
    against: str | None = None,
    python: Path | None = None,
    record: bool = False,
    sarif: Path | None = None,
    version: str = LATEST,
) -> Conformance:
    """Run the vectors of these ids, or all, on Assay, on functions by name, or on a peer by the
    interpreter of its environment.

    Raises: AssayError, one line, for a peer that cannot be run, and options that do not go
    together."""
    vectors = tuple(select(ids, version))
    if against is not None and ":" in against and not against.endswith(".py"):
        if python is not None or record:
            raise AssayError(
                f"{against} runs in this environment and is not recorded: leave out "
                f"{'--python' if python is not None else '--record'}"
            )
        return _named(against, ids, vectors, sarif, version)
    if sarif is not None:
        raise AssayError("--sarif is about functions of yours: name them, --against module:name")
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


def _named(
    reference: str,
    ids: Sequence[str],
    vectors: tuple[Vector, ...],
    place: Path | None,
    version: str,
) -> Conformance:
    """Without ids only the vectors that one of the functions answers."""
    library = functions.imported(reference)
    vectors = tuple(v for v in vectors if ids or library.serving(v))
    run = runner.named(library, vectors)
    if place is not None:
        pairs = zip(vectors, run.outcomes, strict=True)
        results = [_result(vector, outcome, library) for vector, outcome in pairs]
        place.write_text(sarif.page(results, version), encoding="utf-8")
    failed = any(outcome.outcome == "wrong" for outcome in run.outcomes)
    return Conformance(run.peer, run.version, run.outcomes, failed, place, vectors)


def _result(vector: Vector, outcome: Outcome, library: functions.Functions) -> sarif.Result:
    file, line = library.place(vector) or (Path("conftest.py"), 1)
    inside = file.is_relative_to(Path.cwd())
    name = str(file.relative_to(Path.cwd())) if inside else file.name
    return sarif.Result(vector.id, outcome.outcome, report(vector, outcome), (name, line))
