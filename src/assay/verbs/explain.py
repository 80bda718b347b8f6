"""Explain: an explanation of a small model held to that model, part by part, beside four that must not do as well."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assay.circuits.explanation import Explanation
    from assay.circuits.problem import Problem
    from assay.circuits.verify.score import Effort, Row, Score, Table


@dataclass(frozen=True, kw_only=True)
class Trials:
    """On how much an explanation is tried."""

    inputs: int = 1000
    """Inputs of the task, none of them trained on; the units of the intervals."""
    resamples: int = 10_000
    """Inputs that causal scrubbing computes from other inputs."""
    candidates: int = 100_000
    """Inputs among which those are looked for that are said to fail."""


@dataclass(frozen=True, kw_only=True)
class Hard(Trials):
    """On how much an explanation is tried, and on which inputs."""

    seed: int = 1000
    """Draws all inputs and whatever is exchanged."""


@dataclass(frozen=True)
class Line:
    """A number with its interval over inputs; None where there is none, and why."""

    name: str
    estimate: float | None
    low: float | None
    high: float | None
    why: str = ""


@dataclass(frozen=True)
class Beside:
    """A control: what it is, and what it reaches."""

    kind: str
    name: str
    quality: Line
    parts: tuple[Line, ...]
    refused: str
    """Why it does not even fit the model."""


@dataclass(frozen=True)
class Exchanged:
    """A variable exchanged between two inputs: the share of answers that come out as foretold; None where none was to change."""

    variable: str
    pairs: int
    right: float | None
    low: float | None
    high: float | None
    learned: float | None
    """That share along directions learned at that part."""
    unfounded: float | None
    """That share along directions learned for answers that have nothing to do with it."""


@dataclass(frozen=True)
class Explained:
    """What an explanation reaches, and what its controls do."""

    file: str
    of: str
    name: str
    leaves_out: str
    code: bool
    """Whether the file is code, which was run."""
    size: int
    """Names and numbers that it takes to write it down."""
    numbers: int
    """Numbers in the model."""
    quality: Line
    parts: tuple[Line, ...]
    details: tuple[Line, ...]
    controls: tuple[Beside, ...]
    ranked: bool
    """Whether it is better than each control, by the intervals of both."""
    exchanged: tuple[Exchanged, ...]
    as_good: Mapping[str, int]
    """How many other sets of as many pieces, and other homes of the same variables, do as well, and how many were tried."""
    worst: tuple[str, ...]
    """The pieces called irrelevant whose removal together hurts most."""
    alone: Mapping[str, float]
    """What each named piece costs when it alone is taken away: a share of what all cost. Two that stand in for each other both cost nothing."""
    errors: Mapping[str, float]
    """Where the squared error of its logits comes from."""
    differ: tuple[str, ...]
    """Inputs on which its logits are furthest off."""
    page: Path | None = None
    """The page that was written."""


@dataclass(frozen=True)
class Seen:
    """One part of a small model."""

    part: str
    direct: float
    """What it adds to the right answer's logit, less the mean of the others, through no later part."""
    alone: float | None
    """What its absence costs, as a share of what the absence of all costs."""
    joint: float | None
    """What it costs once the one other part is gone that makes it matter most."""
    partner: str
    """That other part; "" where it matters most alone."""
    looks: Mapping[str, float | None]
    """Of a head: which share of its attention goes where."""
    asks: str
    finds: str
    share: float | None
    """Of a head: whose writing tells keys apart most, read by queries and by keys, and which share of it that is."""


@dataclass(frozen=True)
class Model:
    """A small model taken apart."""

    name: str
    model: str
    numbers: int
    right: float
    """Share of its answers that are right."""
    parts: tuple[Seen, ...]
    left_out: tuple[str, ...]
    """What is not told, and why."""
    page: Path | None
    """The page that was written."""


def check(file: Path, hard: Hard, page: Path | None = None) -> Explained:
    """Hold an explanation to the model it names, and write that as a page where one is asked for. A Python file is code, and is run.

    Raises: DataError, SpecError or ModelError, one line that names the place; AssayError where the page cannot be written.
    """
    from assay.circuits import known
    from assay.circuits.files import load
    from assay.circuits.verify.score import table

    explanation = load(file)
    problem = known.problem(explanation.of)
    _writable(page)
    found = table(explanation, known.rival(explanation.of), problem, hard.seed, effort(hard))
    told = _told(file, explanation, problem, found)
    if page is None:
        return told
    from assay.circuits.picture.taken import take
    from assay.explorer import circuit

    tried = f"on {hard.inputs:,} inputs, {hard.resamples:,} resamples, {hard.candidates:,} candidates, seed {hard.seed}"
    _write(page, circuit.alone(take(problem, explanation, found, name=explanation.of, seed=hard.seed), tried))
    return replace(told, page=page)


def look(what: Path, page: Path | None = None) -> Model:
    """Take a small model apart without scoring anything: a circuit by its name, an explanation's, or that of a challenge's folder.

    Raises: DataError, SpecError or ModelError, one line that names the place; AssayError where the page cannot be written.
    """
    from assay.circuits import known
    from assay.circuits.challenge import folder
    from assay.circuits.files import load
    from assay.circuits.picture.taken import take

    _writable(page)
    explanation = None
    if what.is_dir():
        problem, name = folder.opened(what), what.resolve().name
    elif what.suffix in (".toml", ".py"):
        explanation = load(what)
        problem, name = known.problem(explanation.of), explanation.of
    else:
        problem, explanation, name = known.problem(str(what)), known.explained(str(what)), str(what)
    found = take(problem, explanation, name=name)
    if page is not None:
        from assay.explorer import circuit

        _write(page, circuit.alone(found))
    parts = tuple(
        Seen(r.part, r.direct, r.alone, r.joint, r.partner, {x.kind: _known(x.share) for x in r.looks}, r.asks, r.finds, r.share)
        for r in found.parts
    )
    return Model(found.name, found.model, found.size, found.right, parts, found.left_out, page)


def _writable(page: Path | None) -> None:
    from assay.verbs.destination import writable_file

    if page is not None:
        writable_file(page.absolute(), "--page")


def _write(page: Path, html: str) -> None:
    from assay.lab import atomic

    page.absolute().parent.mkdir(parents=True, exist_ok=True)
    atomic.write(page, html.encode("utf-8", "replace"))


def against(file: Path, explanation: Explanation, problem: Problem, rival: Explanation, hard: Hard) -> Explained:
    """Hold an explanation, which stands in this file, to a model, beside an explanation that sounds as good. Raises: as `check`."""
    from assay.circuits.verify.score import table

    return _told(file, explanation, problem, table(explanation, rival, problem, hard.seed, effort(hard)))


def _told(file: Path, explanation: Explanation, problem: Problem, found: Table) -> Explained:
    own, r = found.own, found.rivals
    return Explained(
        file=str(file), of=explanation.of, name=explanation.name, leaves_out=explanation.leaves_out, code=file.suffix == ".py", size=own.size,
        numbers=problem.size, quality=line(own.quality), parts=tuple(map(line, own.parts)), details=tuple(map(line, own.details)),
        controls=tuple(_beside(kind, score) for kind, score in found.controls.items()), ranked=found.ranked,
        exchanged=tuple(
            Exchanged(x.variable, x.pairs, _known(x.right), _known(x.place.low), _known(x.place.high), _known(x.learned), _known(x.unfounded))
            for x in found.interchange
        ),
        as_good={"sets": r.sets, "sets tried": r.sets_tried, "homes": r.homes, "homes tried": r.homes_tried},
        worst=own.worst, alone=own.alone or {}, errors=own.errors or {},
        differ=tuple(f"{w.text}: at {w.position} the model says {w.model}, the explanation {w.explanation}" for w in own.differ),
    )  # fmt: skip


def effort(trials: Trials) -> Effort:
    """Turn what was asked for into what is done. Raises: SpecError for too little."""
    from assay.circuits.verify.score import Effort
    from assay.core.errors import SpecError

    if min(trials.inputs, trials.resamples, trials.candidates) < 100:
        raise SpecError("an explanation is tried on at least 100 inputs, resamples and candidates")
    return Effort(inputs=trials.inputs, resamples=trials.resamples, candidates=trials.candidates)


def _beside(kind: str, score: Score) -> Beside:
    return Beside(kind, score.name, line(score.quality), tuple(map(line, score.parts)), score.refused)


def line(row: Row) -> Line:
    """Turn a row of a score into one of a result: what is not known is None."""
    return Line(row.name, _known(row.estimate), _known(row.low), _known(row.high), row.why)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
