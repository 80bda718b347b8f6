"""Explain: an explanation of a small model held to that model, part by part, beside four that must
not do as well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from assay.core.errors import AssayError, SpecError
from assay.verbs.options import HERE, Flag, Flat, Place
from assay.verbs.verb import Answer, Part, Table, verb
from assay.verbs.verb import Line as Text
from assay_catalogue.circuits import known
from assay_catalogue.circuits.explanation import Explanation
from assay_catalogue.circuits.files import load, written
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.verify.implementing import Worst
from assay_catalogue.circuits.verify.score import Effort, Row, Score, table
from assay_catalogue.circuits.verify.score import Table as ScoreTable
from assay_catalogue.verbs import small_model
from assay_catalogue.verbs.small_model import known_or_none, of_file, subject

SEEN = 0.005
"""What is less is 0.00 as it is printed."""
LARGE = 0.05
"""A share of the logits' squared error that is worth mending."""


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


FULLY = Hard()


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
    """A variable exchanged between two inputs: the share of answers that come out as foretold; None
    where none was to change."""

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
    """How many other sets of as many pieces, and other homes of the same variables, do as well, and
    how many were tried."""
    worst: tuple[str, ...]
    """The pieces called irrelevant whose removal together hurts most."""
    cost: float | None
    """What these cost: a share of what all pieces cost."""
    alone: Mapping[str, float]
    """What each named piece costs when it alone is taken away: a share of what all cost. Two that
    stand in for each other both cost nothing."""
    errors: Mapping[str, float]
    """Where the squared error of its logits comes from, as shares of the variance of the model's:
    offset, scale, rest."""
    factor: float | None
    """By which its logits, multiplied, come nearest to the model's."""
    mended: float | None
    """What E3 would then be, weights of its own apart."""
    differ: tuple[str, ...]
    """Inputs on which its logits are furthest off."""


@dataclass(frozen=True)
class Ours:
    """An explanation that comes with Assay, as a file."""

    of: str
    rival: bool
    """Whether it is the plausible wrong one."""
    toml: str


@verb("an explanation of a small model held to it; ours; the model taken apart")
def explain(
    what: Literal["check", "show", "look"],
    file: str,
    /,
    *,
    rival: Flag = False,
    hard: Annotated[Hard, Flat] = FULLY,
    place: Place = HERE,
) -> Answer[Explained | Ours | small_model.Model]:
    """Score an explanation of a small model: ablation, causal scrubbing, its own logits, inputs it
    says fail, and how short it is.

    Parameters
    ----------
    what
        check: hold it to the model that it names, beside four controls; show: print ours of a
        model; look: take a model apart.
    file
        check: an explanation, NAME.toml, which is data, or NAME.py, which is run; show and look: a
        model; look: a challenge, too.
    rival
        With show: the plausible but wrong one in place of ours.

    Examples
    --------
    assay explain check my_explanation.toml
    assay explain show induction
    assay explain show monthly-palindromes/22062 --rival
    assay explain look induction
    """
    if rival and what != "show":
        raise AssayError("--rival goes with show; what is checked or looked at is what is named")
    if what == "show":
        given = ours(file, place.root, rival=rival)
        return Answer(given, [Text(given.toml.removesuffix("\n"))])
    if what == "look":
        model = small_model.look(Path(file), place.root)
        return Answer(model, small_model.words(model))
    explained = check(Path(file), hard, place.root)
    return Answer(explained, words(explained))


def words(outcome: Explained) -> Iterator[Part]:
    """Tell what an explanation reaches, what its controls do, and what would help it."""
    kinds = [c.kind for c in outcome.controls]
    yield (
        f"{outcome.name}, of {outcome.of}: {outcome.size} names and numbers for a model of "
        f"{outcome.numbers:,} numbers."
    )
    if outcome.code:
        yield "The file is code, and was run."
    yield ""
    controls = [(*c.parts, c.quality) for c in outcome.controls]
    rows = [
        (x.name, number(x.estimate), interval(x), *(number(c[i].estimate) for c in controls))
        for i, x in enumerate((*outcome.parts, outcome.quality))
    ]
    yield Table(("", "yours", "interval", *kinds), rows, right=("yours", "interval", *kinds))
    yield ""
    if none := [p.name for p in outcome.parts if p.estimate == 0]:
        yield f"Quality is 0 because {' and '.join(none)} {'is' if len(none) == 1 else 'are'} 0."
    if outcome.quality.why:
        yield f"Quality is 0: {outcome.quality.why}."
    for x in (*outcome.parts, *(x for x in outcome.details if x.estimate is not None)):
        if x.why not in ("", outcome.quality.why) or x in outcome.details:
            yield f"{x.name}: {x.why or f'{number(x.estimate)} {interval(x)}'}"
    for exchange in outcome.exchanged:
        yield f"{exchange.variable} exchanged: {foretold(exchange)}"
    n = outcome.as_good
    if any(n.values()):
        sets = f"{n['sets']} of {n['sets tried']} other sets of as many pieces"
        homes = f"{n['homes']} of {n['homes tried']} other homes"
        yield (
            f"As good: {sets if n['sets tried'] else 'no other set was tried'}; "
            f"{homes if n['homes tried'] else 'no other home was tried'}."
        )
    if outcome.worst and outcome.cost is not None:
        hurts = (
            f"Called irrelevant, and hurts most: {', '.join(outcome.worst)} ({outcome.cost:.2f} of "
            "what all cost)."
        )
        yield hurts if outcome.cost >= SEEN else "Nothing you left out hurts."
    yield from logits(outcome)
    for text in outcome.differ[:3]:
        yield f"Furthest off: {text}."
    for c in outcome.controls:
        if c.refused:
            yield f"The control {c.kind} does not fit the model: {c.refused}"
    low = outcome.quality.low or 0.0
    above = ", ".join(c.kind for c in outcome.controls if (c.quality.high or 0.0) >= low)
    yield (
        "It is better than every control."
        if outcome.ranked
        else f"It is not better than every control: {above}."
    )


def foretold(exchange: Exchanged) -> str:
    """Say how many answers changed as foretold when a variable was exchanged."""
    if not exchange.pairs:
        return "no answer was to change"
    return (
        f"{number(exchange.right)} of changed answers as foretold ({exchange.pairs} pairs; learned "
        f"directions {number(exchange.learned)}, for nothing {number(exchange.unfounded)})"
    )


def logits(outcome: Explained) -> Iterator[str]:
    """Tell where the squared error of its logits comes from, and which factor would mend it."""
    if not outcome.errors or sum(outcome.errors.values()) < SEEN:
        return
    shares = ", ".join(f"{name} {share:.2f}" for name, share in outcome.errors.items())
    yield f"The logits' squared error, as shares of the variance of the model's: {shares}."
    factor, mended = outcome.factor, outcome.mended
    if factor is None or mended is None or factor <= 0 or outcome.errors["scale"] < LARGE:
        return
    yield (
        f"Multiply your logits (or the margin) by about {factor:.2g}, and they have {mended:.2f} "
        "of that variance."
    )


def number(value: float | None) -> str:
    """Write a number; a dash where there is none."""
    return "—" if value is None else f"{value:.3f}"


def interval(line: Line) -> str:
    """Write the two ends of a number's interval."""
    return "" if line.low is None else f"{number(line.low)} – {number(line.high)}"


def check(file: Path, hard: Hard, root: Path) -> Explained:
    """Hold an explanation to the model it names, which this store may hold.

    A Python file is code, and is run. Raises: DataError, SpecError or ModelError, one line that
    names the place.
    """
    explanation = load(file)
    model = of_file(file, explanation, root)
    scores = table(explanation, model.rival(), model.problem, hard.seed, effort(hard))
    return to_explained(file, explanation, model.problem, scores)


def ours(model_name: str, root: Path, *, rival: bool = False) -> Ours:
    """Give our explanation of a model, or the plausible wrong one, as the text of a TOML file.

    Raises: ModelError where there is no such model; SpecError where no explanation of it is
    shipped, or where TOML does not hold it."""

    if model_name in known.names():
        return Ours(model_name, rival, known.text(model_name, rival=rival))
    model_subject = subject(model_name, root)
    if model_subject.own is None:
        raise SpecError(
            f"no explanation of {model_name} is shipped; assay explain check NAME.toml scores yours"
        )
    return Ours(
        model_name,
        rival,
        written(replace(model_subject.rival() if rival else model_subject.own(), of=model_name)),
    )


def against(
    file: Path, explanation: Explanation, problem: Problem, rival: Explanation, hard: Hard
) -> Explained:
    """Hold an explanation, which stands in this file, to a model, beside an explanation that sounds
    as good. Raises: as `check`."""

    return to_explained(
        file, explanation, problem, table(explanation, rival, problem, hard.seed, effort(hard))
    )


def to_explained(
    file: Path, explanation: Explanation, problem: Problem, score_table: ScoreTable
) -> Explained:
    """Turn what an explanation and its controls reach into plain values."""
    own_score, r = score_table.own, score_table.rivals
    return Explained(
        file=str(file),
        of=explanation.of,
        name=explanation.name,
        leaves_out=explanation.leaves_out,
        code=file.suffix == ".py",
        size=own_score.size,
        numbers=problem.size,
        quality=line(own_score.quality),
        parts=tuple(map(line, own_score.parts)),
        details=tuple(map(line, own_score.details)),
        controls=tuple(_to_control(kind, score) for kind, score in score_table.controls.items()),
        ranked=score_table.ranked,
        exchanged=tuple(
            Exchanged(
                x.variable,
                x.pairs,
                *map(known_or_none, (x.right, x.place.low, x.place.high, x.learned, x.unfounded)),
            )
            for x in score_table.interchange
        ),
        as_good={
            "sets": r.sets,
            "sets tried": r.sets_tried,
            "homes": r.homes,
            "homes tried": r.homes_tried,
        },
        worst=own_score.worst,
        cost=known_or_none(own_score.cost),
        alone=own_score.alone or {},
        errors=own_score.errors or {},
        factor=known_or_none(own_score.factor),
        mended=known_or_none(own_score.mended),
        differ=tuple(map(_worst_to_text, own_score.differ)),
    )


def effort(trials: Trials) -> Effort:
    """Turn what was asked for into what is done. Raises: SpecError for too little."""

    if min(trials.inputs, trials.resamples, trials.candidates) < 100:
        raise SpecError("an explanation is tried on at least 100 inputs, resamples and candidates")
    return Effort(inputs=trials.inputs, resamples=trials.resamples, candidates=trials.candidates)


def _worst_to_text(w: Worst) -> str:
    """Where an explanation's logits are furthest off, and by how much."""
    by = f"the logit of {w.apart}, less the mean of all, is {w.logits[0]:.1f} and {w.logits[1]:.1f}"
    return (
        f"{w.text}: at {w.position} the model says {w.model}, the explanation {w.explanation}; {by}"
    )


def _to_control(kind: str, score: Score) -> Beside:
    return Beside(
        kind, score.name, line(score.quality), tuple(map(line, score.parts)), score.refused
    )


def line(row: Row) -> Line:
    """Turn a row of a score into one of a result: what is not known is None."""
    return Line(
        row.name,
        known_or_none(row.estimate),
        known_or_none(row.low),
        known_or_none(row.high),
        row.why,
    )
