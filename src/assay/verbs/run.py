"""Run: experiments and studies trained where runs are missing, here or elsewhere, and judged."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from assay.core.errors import AssayError
from assay.core.experiment import Experiment
from assay.core.results import ResultData
from assay.core.schema import BESIDE
from assay.lab import catalogue
from assay.lab.judge.kept import around
from assay.lab.store.origin import STUDIES
from assay.report import tables
from assay.verbs import verdicts
from assay.verbs.machine import NOT_ELSEWHERE, Elsewhere
from assay.verbs.parts import AnswerPart, Table
from assay.verbs.verb import DEFAULT, HERE, Answer, Choice, Door, Expected, Flag, Name, Place, verb

if TYPE_CHECKING:
    from assay.lab.lab import Lab
    from assay.lab.plan.preset import Preset
    from assay.lab.work.events import OnEvent


def warn(name: str, experiment: Experiment, door: Door) -> None:
    """Say which claims of a study no data could decide, or hardly any, and which of its prompts
    nothing uses."""
    if name.endswith(STUDIES):
        from assay.ask.missing import scarce, undecidable, unused

        lines = undecidable(experiment)
        for line in (*lines, *scarce(experiment), *unused(experiment)):
            door.aside(f"! {line}")
        if lines:
            door.aside("It runs nevertheless; Ctrl-C stops it, and keeps what was measured.")


def judged(
    lab: Lab,
    experiment: Experiment,
    preset: Preset,
    watching: AbstractContextManager[OnEvent] | None = None,
) -> ResultData:
    """Train and measure what is missing, then judge; a study only within its budget. What is stored
    is given at once.

    `watching` is entered where something is to be done, and gives what hears of it.
    Raises: ExperimentError for a study that would take longer than its budget; RunError;
    StoreError; KeyboardInterrupt, resumable."""
    planned = lab.plan(experiment, preset)
    if (known := lab.known(experiment, planned)) is not None:
        return known
    if experiment.origin.endswith(STUDIES):
        from assay.ask.missing import refuse_beyond_budget

        refuse_beyond_budget(lab, experiment, planned)
    with watching if watching is not None else nullcontext() as on_event:
        return lab.run(experiment, preset, on_event, planned).data


def results() -> Any:
    """Give the types of what a run answers."""
    return ResultData | Several


@verb(
    "verdicts, with their controls, after what is missing is trained",
    results=results,
)
def run(
    name: Name,
    /,
    *more: str,
    verbose: Flag = False,
    choice: Choice = DEFAULT,
    expect: Expected = None,
    machine: Elsewhere = NOT_ELSEWHERE,
    place: Place = HERE,
    door: Door,
) -> Answer[Any]:
    """Train and measure what is missing, then judge the claims. An interrupted run resumes.

    Parameters
    ----------
    more
        Further names or paths. They run one after another; each is printed once it is judged, with
        a table of all at the end.
    verbose
        Show every control, the power, and which other arms satisfy a claim.

    Examples
    --------
    assay run examples/country.toml
    assay run superposition --preset smoke
    assay run superposition gated-sae --preset smoke
    assay run superposition --on slurm --slurm partition=main --time 2h
    """
    from assay.verbs import verdicts

    if more:
        names = (name, *more)
        return run_several(names, choice, expect, machine, place, door, verbose)

    experiment, preset = choice.of(name)
    warn(name, experiment, door)
    lab = machine.lab(place.root)
    data = judged(lab, experiment, preset, door.run(experiment.name))
    about = around(experiment, preset, data)
    return verdicts.answer(data, about, name, experiment.origin, place, expect, verbose=verbose)


# several ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ran:
    """What became of a name among several."""

    name: str
    """As it was typed."""
    question: str
    """What its header or the study asks."""
    seconds: float
    """By the clock, judging included."""
    error: str | None
    result: ResultData | None


@dataclass(frozen=True)
class Several:
    """What became of each of several names, in their order."""

    ran: tuple[Ran, ...]
    exit_code: int = field(metadata=BESIDE)
    """That of the worst."""


def run_several(
    names: tuple[str, ...],
    choice: Choice,
    expect: str | None,
    machine: Elsewhere,
    place: Place,
    door: Door,
    verbose: bool = False,
) -> Answer[Several]:
    """Run each of several names, tell its verdicts, and go on with the next; where a run fails, the
    others run all the same. Workers stay, with the models that they have opened.

    Raises: AssayError for an option that is about one experiment only, and, before anything runs, for a name or a file that cannot be read.
    """  # noqa: E501
    from assay.lab.engines import Workers

    if choice.set:
        raise AssayError(f"--set is about one experiment, not about {len(names)}; name it alone")
    chosen = {name: choice.of(name) for name in names}  # a name that was typed twice once
    lab, ran, codes = machine.lab(place.root), [], [0]
    with lab.executor.staying() if isinstance(lab.executor, Workers) else nullcontext():
        for name, (experiment, preset) in chosen.items():
            began, error, result = time.perf_counter(), None, None
            try:
                warn(name, experiment, door)
                result = judged(lab, experiment, preset, door.run(experiment.name))
                about = around(experiment, preset, result)
                answer = verdicts.answer(
                    result, about, name, experiment.origin, place, expect, verbose=verbose
                )
                codes.append(answer.code)
                if not door.json:
                    door.answer(replace(answer, words=[*answer.words, ""]))
            except AssayError as e:
                codes.append(e.exit_code)
                error = str(e)
                door.aside(f"{name}: {' '.join(error.split())}")
            except (OSError, MemoryError, ModuleNotFoundError):  # of the machine: so of all
                raise
            except Exception as e:  # a defect, which is no reason to lose the others
                codes.append(1)
                error = f"{type(e).__name__}: {e}"
                hint = "" if verbose else "; --verbose shows where in Assay"
                door.aside(f"{name}: {' '.join(error.split())}{hint}")
                if verbose:
                    door.aside(traceback.format_exc())
            seconds = round(time.perf_counter() - began, 2)
            question = catalogue.entry(name).header().title
            ran.append(Ran(name, question, seconds, error, result))
    several = Several(tuple(ran), max(codes))
    return Answer(several, table(several), several.exit_code)


def table(several: Several) -> Iterator[AnswerPart]:
    """Tell in a row for each claim how it came out, below the question that it is about."""
    rows: list[tuple[str, ...]] = []
    for ran in several.ran:
        verdicts = ran.result.verdicts if ran.result is not None else ()
        outcome = "" if verdicts else "no result" if ran.result is None else "no claims"
        rows.append((ran.name, ran.question, outcome, f"{ran.seconds:.1f}"))
        rows += [("", v.text, f"{tables.SIGNS[v.outcome]} {v.outcome}", "") for v in verdicts]
    seconds = sum(ran.seconds for ran in several.ran)
    rows.append(("all", "", "", f"{seconds:.1f}"))
    yield Table(("name", "question, claims", "outcome", "s"), rows, ("s",), {"question, claims": 1})
