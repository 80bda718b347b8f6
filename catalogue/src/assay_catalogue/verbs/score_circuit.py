"""Score-circuit: an explanation of a small model tested against the model, part by part, together
with four controls that must do worse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from assay.core.errors import AssayError, SpecError
from assay.verbs.parts import AnswerPart, Table
from assay.verbs.parts import Line as Text
from assay.verbs.verb import HERE, Answer, Flag, Flat, Place, verb
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
"""Anything smaller is printed as 0.00."""
LARGE = 0.05
"""A share of the logits' squared error that is worth correcting."""


@dataclass(frozen=True, kw_only=True)
class Trials:
    """How thoroughly an explanation is tested."""

    inputs: int = 1000
    """Inputs of the task that were not used in training; the units of the intervals."""
    resamples: int = 10_000
    """Resampled inputs for causal scrubbing."""
    candidates: int = 100_000
    """Inputs searched for those on which the explanation predicts errors."""


@dataclass(frozen=True, kw_only=True)
class Hard(Trials):
    """How thoroughly an explanation is tested, and on which inputs."""

    seed: int = 1000
    """Seed of all inputs and exchanges."""


FULLY = Hard()


@dataclass(frozen=True)
class Line:
    """A number with its interval over inputs, or None with the reason."""

    name: str
    estimate: float | None
    low: float | None
    high: float | None
    why: str = ""


@dataclass(frozen=True)
class Control:
    """A control explanation and its scores."""

    kind: str
    name: str
    quality: Line
    parts: tuple[Line, ...]
    refused: str
    """Why it cannot be applied to the model, if so."""


@dataclass(frozen=True)
class Exchanged:
    """A variable exchanged between two inputs: the share of answers that change as predicted; None
    if no change was predicted."""

    variable: str
    pairs: int
    right: float | None
    low: float | None
    high: float | None
    learned: float | None
    """The same share along directions learned at that part."""
    unfounded: float | None
    """The same share along directions learned for unrelated answers."""


@dataclass(frozen=True)
class Explained:
    """The scores of an explanation and of its controls."""

    file: str
    of: str
    name: str
    leaves_out: str
    code: bool
    """Whether the file is code, which was executed."""
    size: int
    """How many names and numbers the explanation contains."""
    numbers: int
    """How many parameters the model has."""
    quality: Line
    parts: tuple[Line, ...]
    details: tuple[Line, ...]
    controls: tuple[Control, ...]
    ranked: bool
    """Whether its interval is above that of each control."""
    exchanged: tuple[Exchanged, ...]
    as_good: Mapping[str, int]
    """How many other sets of equally many pieces, and other places of the same variables, do as
    well, and how many were tested."""
    worst: tuple[str, ...]
    """The pieces claimed to be irrelevant whose joint ablation costs most."""
    cost: float | None
    """What they cost, as a share of what all pieces cost."""
    alone: Mapping[str, float]
    """What ablating each named piece alone costs, as a share of what all cost. Two redundant pieces
    both cost nothing."""
    errors: Mapping[str, float]
    """Where the squared error of its logits comes from, as shares of the variance of the model's:
    offset, scale, rest."""
    factor: float | None
    """The factor that brings its logits closest to the model's."""
    corrected: float | None
    """What E3 would be with this factor, not counting weights of its own."""
    differ: tuple[str, ...]
    """The inputs on which its logits differ most."""


@dataclass(frozen=True)
class Ours:
    """An explanation that is shipped with Assay, as a file."""

    of: str
    rival: bool
    """Whether it is the plausible wrong one."""
    toml: str


@verb("the scores of an explanation; our explanation; or the parts of the model")
def score_circuit(
    what: Literal["check", "show", "look"],
    file: str,
    /,
    *,
    rival: Flag = False,
    hard: Annotated[Hard, Flat] = FULLY,
    place: Place = HERE,
) -> Answer[Explained | Ours | small_model.Model]:
    """Score an explanation of a small model by ablation, causal scrubbing, how well it
    predicts logits and errors, and its length.

    Parameters
    ----------
    what
        check: test an explanation against its model, with four controls; show: print our
        explanation of a model; look: list what each part of a model does.
    file
        With check, an explanation: NAME.toml, which is data, or NAME.py, which is executed. With
        show and look, a model; with look also a challenge.
    rival
        With show: print the plausible but wrong explanation instead of ours.

    Examples
    --------
    assay score-circuit check my_explanation.toml
    assay score-circuit show induction
    assay score-circuit show monthly-palindromes/22062 --rival
    assay score-circuit look induction
    """
    if rival and what != "show":
        raise AssayError("--rival only goes with show")
    if what == "show":
        given = ours(file, place.root, rival=rival)
        return Answer(given, [Text(given.toml.removesuffix("\n"))])
    if what == "look":
        model = small_model.look(Path(file), place.root)
        return Answer(model, small_model.words(model))
    explained = check(Path(file), hard, place.root)
    return Answer(explained, words(explained))


def words(outcome: Explained) -> Iterator[AnswerPart]:
    """Report the scores of an explanation and its controls, and what would improve it."""
    kinds = [c.kind for c in outcome.controls]
    yield (
        f"{outcome.name}, of {outcome.of}: {outcome.size} names and numbers, for a model with "
        f"{outcome.numbers:,} parameters."
    )
    if outcome.code:
        yield "The file is code, and it was executed."
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
        yield f"{exchange.variable} exchanged: {predicted(exchange)}"
    n = outcome.as_good
    if any(n.values()):
        sets = f"{n['sets']} of {n['sets tried']} other sets of equally many pieces"
        homes = f"{n['homes']} of {n['homes tried']} other places"
        yield (
            f"As good: {sets if n['sets tried'] else 'no other set was tested'}; "
            f"{homes if n['homes tried'] else 'no other place was tested'}."
        )
    if outcome.worst and outcome.cost is not None:
        hurts = (
            f"Claimed irrelevant, but costs most: {', '.join(outcome.worst)} ({outcome.cost:.2f} "
            "of what all parts cost)."
        )
        yield hurts if outcome.cost >= SEEN else "Ablating what you left out costs nothing."
    yield from logits(outcome)
    for text in outcome.differ[:3]:
        yield f"Largest error: {text}."
    for c in outcome.controls:
        if c.refused:
            yield f"The control {c.kind} cannot be applied to the model: {c.refused}"
    low = outcome.quality.low or 0.0
    above = ", ".join(c.kind for c in outcome.controls if (c.quality.high or 0.0) >= low)
    yield (
        "It is better than every control."
        if outcome.ranked
        else f"It is not better than every control: {above}."
    )


def predicted(exchange: Exchanged) -> str:
    """Describe how many answers changed as predicted when a variable was exchanged."""
    if not exchange.pairs:
        return "no change of an answer was predicted"
    return (
        f"{number(exchange.right)} of changed answers as predicted ({exchange.pairs} pairs; "
        f"learned directions {number(exchange.learned)}, for unrelated answers "
        f"{number(exchange.unfounded)})"
    )


def logits(outcome: Explained) -> Iterator[str]:
    """Report where the squared error of its logits comes from, and which factor would reduce it."""
    if not outcome.errors or sum(outcome.errors.values()) < SEEN:
        return
    shares = ", ".join(f"{name} {share:.2f}" for name, share in outcome.errors.items())
    yield f"The logits' squared error, as shares of the variance of the model's: {shares}."
    factor, corrected = outcome.factor, outcome.corrected
    if factor is None or corrected is None or factor <= 0 or outcome.errors["scale"] < LARGE:
        return
    yield (
        f"If you multiply your logits (or the margin) by about {factor:.2g}, they explain "
        f"{corrected:.2f} of that variance."
    )


def number(value: float | None) -> str:
    """Write a number; a dash where there is none."""
    return "—" if value is None else f"{value:.3f}"


def interval(line: Line) -> str:
    """Write the two ends of a number's interval."""
    return "" if line.low is None else f"{number(line.low)} – {number(line.high)}"


def check(file: Path, hard: Hard, root: Path) -> Explained:
    """Test an explanation against the model it names, which may be in this store.

    A Python file is code, and is executed. Raises: DataError, SpecError or ModelError, in one
    line that names the place.
    """
    explanation = load(file)
    model = of_file(file, explanation, root)
    scores = table(explanation, model.rival(), model.problem, hard.seed, effort(hard))
    return to_explained(file, explanation, model.problem, scores)


def ours(model_name: str, root: Path, *, rival: bool = False) -> Ours:
    """Return our explanation of a model, or the plausible wrong one, as the text of a TOML file.

    Raises: ModelError where there is no such model; SpecError where no explanation of it is
    shipped, or where TOML does not hold it."""

    if model_name in known.names():
        return Ours(model_name, rival, known.text(model_name, rival=rival))
    model_subject = subject(model_name, root)
    if model_subject.own is None:
        raise SpecError(
            f"no explanation of {model_name} is shipped; to score yours: assay score-circuit check "
            "NAME.toml"
        )
    return Ours(
        model_name,
        rival,
        written(replace(model_subject.rival() if rival else model_subject.own(), of=model_name)),
    )


def against(
    file: Path, explanation: Explanation, problem: Problem, rival: Explanation, hard: Hard
) -> Explained:
    """Test the explanation in this file against a model, with a plausible wrong explanation as a
    control. Raises: as `check`."""

    return to_explained(
        file, explanation, problem, table(explanation, rival, problem, hard.seed, effort(hard))
    )


def to_explained(
    file: Path, explanation: Explanation, problem: Problem, score_table: ScoreTable
) -> Explained:
    """Turn the scores of an explanation and its controls into plain values."""
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
        corrected=known_or_none(own_score.corrected),
        differ=tuple(map(_worst_to_text, own_score.differ)),
    )


def effort(trials: Trials) -> Effort:
    """Turn options into an effort. Raises: SpecError for too little."""

    if min(trials.inputs, trials.resamples, trials.candidates) < 100:
        raise SpecError("--inputs, --resamples and --candidates must each be at least 100")
    return Effort(inputs=trials.inputs, resamples=trials.resamples, candidates=trials.candidates)


def _worst_to_text(w: Worst) -> str:
    """Where an explanation's logits differ most, and by how much."""
    by = (
        f"the logit of {w.apart}, minus the mean of all, is {w.logits[0]:.1f} and {w.logits[1]:.1f}"
    )
    return (
        f"{w.text}: at {w.position} the model says {w.model}, the explanation {w.explanation}; {by}"
    )


def _to_control(kind: str, score: Score) -> Control:
    return Control(
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
