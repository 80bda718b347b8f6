"""Several: experiments and studies run one after another, with a table of all their claims."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

from assay.core.errors import AssayError
from assay.core.results import ResultData
from assay.core.schema import OMITTED
from assay.lab import catalogue
from assay.lab.judge.kept import around
from assay.report import tables
from assay.verbs import verdicts
from assay.verbs.judged import judged, warn
from assay.verbs.machine import Elsewhere
from assay.verbs.parts import AnswerPart, Table
from assay.verbs.verb import Answer, Choice, Door, Place


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
    exit_code: int = field(metadata=OMITTED)
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
                planned = lab.plan(experiment, preset)
                result = judged(lab, experiment, preset, planned, door.run(experiment.name))
                about = around(experiment, preset, result)
                of = result, about, name, experiment.origin, place, expect
                answer = verdicts.answer(*of, verbose=verbose, stored=not planned.missing)
                result = answer.result
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
        claims = tables.claims(ran.result) if ran.result is not None else []
        outcome = "" if claims else "no result" if ran.result is None else "no claims"
        rows.append((ran.name, ran.question, outcome, f"{ran.seconds:.1f}"))
        rows += [("", r.text, r.came_out, "") for r in claims]
    seconds = sum(ran.seconds for ran in several.ran)
    rows.append(("all", "", "", f"{seconds:.1f}"))
    yield Table(("name", "question, claims", "outcome", "s"), rows, ("s",), {"question, claims": 1})
