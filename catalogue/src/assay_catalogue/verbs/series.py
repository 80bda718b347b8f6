"""Series: run every experiment of the catalogue with one command, and report the results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Any

from cyclopts import Parameter

from assay.core.compute import lasting, time_in_words
from assay.core.errors import AssayError
from assay.core.experiment import ALL
from assay.core.results import Judged, ResultData
from assay.core.schema import OMITTED
from assay.lab import catalogue
from assay.lab.lab import Lab
from assay.lab.plan.preset import everywhere
from assay.lab.work.events import Failed, Progress, Said, Saved, Started, batch
from assay.report import statements, tables
from assay.verbs.machine import NOT_ELSEWHERE, Elsewhere
from assay.verbs.parts import AnswerPart, Aside, Table
from assay.verbs.verb import DEFAULT, HERE, Answer, Choice, Door, Place, verb
from assay_catalogue.recorded import series as lab_series
from assay_catalogue.recorded.series import Ended, ExperimentOutcome, Surveyed

Names = Annotated[
    str, Parameter(help="A pattern such as 'monthly-*'; by default the whole catalogue.")
]


@dataclass(frozen=True)
class Failure:
    """The error with which an experiment ended."""

    kind: str
    text: str


@dataclass(frozen=True)
class Ran:
    """One experiment: its runs, how many of them this command trained, and its result or error."""

    name: str
    runs: int
    trained: int
    error: Failure | None
    result: ResultData | None


@dataclass(frozen=True, kw_only=True)
class Series:
    """The results of every experiment."""

    preset: str
    seconds: float
    """Seconds during which at least one of its stored runs was in progress, in any command."""
    cpu_seconds: float
    experiments: tuple[Ran, ...]
    errors: str = ""
    """How many of the verdicts are expected to be wrong, in words."""
    exit_code: int = field(metadata=OMITTED)
    """0 if everything was measured, else that of the worst error."""


@verb("the results of every experiment")
def command(
    names: Names = ALL,
    /,
    *,
    choice: Choice = DEFAULT,
    machine: Elsewhere = NOT_ELSEWHERE,
    place: Place = HERE,
    door: Door,
) -> Answer[Series]:
    """Run every experiment of the catalogue, or those whose names match a pattern, and summarise
    the results. To write pages, use `assay report`.

    Examples
    --------
    assay series 'monthly-*' --preset smoke
    """
    with door.bar(names, "experiments") as bar:
        lab = machine.lab(place.root)
        summary = series(lab, choice.preset, choice.set, shown_on(bar), names)
    return Answer(summary, words(summary), summary.exit_code)


def shown_on(bar: Any) -> Callable[[str, Any], None]:
    """Make what shows the events of a series on a bar: a line for each experiment as it ends, and
    on a terminal what is at work, below the bar."""
    at_work: dict[str, tuple[str, str]] = {}

    def show(name: str, event: Any) -> None:
        match event:
            case Surveyed():
                bar.say(surveyed(bar.name, event))
                bar(0, event.experiments)
            case Started() | Progress():
                at_work[event.group] = name, f"{name} · {batch(event.arms, event.seeds)}"
            case Saved():
                at_work.pop(event.group, None)
            case Failed():
                at_work.pop(event.group, None)
                bar.say(f"{name}, {', '.join(event.arms)}: crashed, {event.text}")
            case Said():
                bar.say(event.text)
            case Ended():
                for group in [g for g, (of, _) in at_work.items() if of == name]:
                    del at_work[group]
                bar.say(f"{event.done} of {event.total}  {ended(event)}")
                bar(event.done, event.total)
        if bar.redrawn:
            bar.below = [line for _, line in at_work.values()]

    return show


def surveyed(name: str, event: Surveyed) -> str:
    """Say what there is to do, in a line: experiments, runs, and how long it takes."""
    runs, missing = sum(len(p.rows) for p in event.plans), sum(len(p.missing) for p in event.plans)
    head = f"{name}: {event.experiments} experiments, {runs:,} runs, {runs - missing:,} stored"
    if not missing:
        return head
    time = "an unknown time" if event.seconds is None else lasting(event.seconds)
    return (
        f"{head}; {missing:,} to train on {event.workers} worker{'s' * (event.workers > 1)}, {time}"
    )


def ended(event: Ended) -> str:
    """Say how one experiment ended, in a line."""
    part = event.part
    if part.data is None:
        return f"{part.name}: no result, {' '.join(str(part.error).split())}"
    data = ResultData.from_json(part.data)
    signs = tables.signs(tables.outcomes(data.verdicts)) or "no claims"
    return f"{part.name}: {signs}, {time_in_words(data.seconds) if part.trained else 'stored'}"


def series(
    lab: Lab,
    preset: str,
    sets: tuple[str, ...] = (),
    on_event: Callable[[str, Any], None] | None = None,
    names: str = ALL,
) -> Series:
    """Train the missing runs of every experiment, judge each, and summarise the results.

    `names` may be a pattern such as "monthly-*", for the experiments whose names match it.

    Raises: AssayError for a pattern that no name matches, or for fields that are set.
    """
    entries = [e for e in catalogue.entries() if names == ALL or fnmatchcase(e.name, names)]
    if not entries:
        raise AssayError(
            f"no experiment of the catalogue matches {names!r}; type assay list to see them"
        )
    if sets:
        raise AssayError(
            f"--set changes the fields of one experiment; name it instead of {names!r}"
        )
    lab_outcome = lab_series.series(
        lab, [e.name for e in entries], everywhere(preset), on_event or (lambda name, event: None)
    )
    return described(lab_outcome)


def words(outcome: Series) -> Iterator[AnswerPart]:
    """Report each experiment's verdicts and cost, and the errors to expect."""
    rows: list[tuple[str, ...]] = []
    claims: list[Judged] = []
    for part in outcome.experiments:
        if (result := part.result) is None:
            rows.append((part.name, "no result", "", "", ""))
            continue
        claims += result.verdicts
        signs = tables.signs(tables.outcomes(result.verdicts))
        made = describe_training(part)
        rows.append((part.name, signs, *spent(result.seconds, result.cpu_seconds), made))
    signs = tables.signs(tables.outcomes(claims))
    rows.append(("all", signs, *spent(outcome.seconds, outcome.cpu_seconds), ""))
    yield Table(("experiment", "verdicts", "s", "CPU-s", "trained"), rows, right=("s", "CPU-s"))
    yield ""
    if outcome.errors:
        yield outcome.errors
    for part in outcome.experiments:
        if part.error is not None:
            yield Aside(f"{part.name}: {' '.join(part.error.text.split())}")


def describe_training(part: Ran) -> str:
    """Say whether the command trained an experiment: "now", "stored before", or "12 of 40 runs
    now"."""
    if not part.trained:
        return "stored before"
    return "now" if part.trained == part.runs else f"{part.trained} of {part.runs} runs now"


def spent(seconds: float, cpu_seconds: float) -> tuple[str, str]:
    """Write seconds and CPU-seconds."""
    return f"{seconds:,.0f}", f"{cpu_seconds:,.0f}"


def described(lab_outcome: lab_series.Series) -> Series:
    """Summarise a series, with how many errors to expect among its claims."""
    experiments = tuple(map(_ran, lab_outcome.parts))
    claims = [v for ran in experiments if ran.result is not None for v in ran.result.verdicts]
    return Series(
        preset=lab_outcome.preset,
        seconds=round(lab_outcome.seconds, 1),
        cpu_seconds=round(lab_outcome.cpu_seconds, 1),
        experiments=experiments,
        errors=statements.errors(claims) if claims else "",
        exit_code=lab_outcome.exit_code,
    )


def _ran(part: ExperimentOutcome) -> Ran:
    error = None if part.error is None else Failure(type(part.error).__name__, str(part.error))
    return Ran(
        part.name,
        part.runs,
        part.trained,
        error,
        None if part.data is None else ResultData.from_json(part.data),
    )
