"""Plan: what a run would take and bring, in words; and what a study leaves open."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace

from assay.ask.planned import Arm, Planned, StudyGaps, of_study, plan
from assay.core import heavy
from assay.core.compute import amount_in_words, in_bytes, lasting
from assay.core.errors import ExperimentError
from assay.lab.catalogue import entry
from assay.lab.plan.plan import uncollected
from assay.lab.store.origin import STUDIES
from assay.report.noted import notes_in_order
from assay.verbs.forecasts import counted, outlined
from assay.verbs.machine import CPU, Machine
from assay.verbs.parts import AnswerPart, Table, written
from assay.verbs.verb import DEFAULT, HERE, Answer, Choice, Name, Place, verb


@verb(
    "what would run, what it takes, what each claim's interval will be; of a study, what it lacks",
)
@uncollected()
def command(
    name: Name,
    /,
    *,
    prompts: int = 0,
    choice: Choice = DEFAULT,
    machine: Machine = CPU,
    place: Place = HERE,
) -> Answer[Planned | StudyGaps]:
    """Show what would run, its cost, the power of each claim, and what a study leaves open.

    Parameters
    ----------
    prompts
        For a study: show this many prompts of each table token by token, as each model reads them.

    Examples
    --------
    assay plan superposition
    """
    lab = machine.lab(place.root)
    gaps: StudyGaps | None = None
    if name.endswith(STUDIES):
        from assay.ask.missing import find_gaps  # which loads what asks a model

        try:
            gaps = find_gaps(entry(name).path)
        except ExperimentError:
            choice.of(name)  # which refuses it with all its mistakes
            raise
        if gaps.exit_code:
            lacking = written("plan_lacking", gaps=gaps.gaps, assumed=assumed(gaps))
            return Answer(gaps, lacking, gaps.exit_code)
    experiment, preset = choice.of(name)
    if gaps is not None:
        gaps = find_gaps(entry(name).path, experiment)
    planned = plan(lab, experiment, preset)
    planned = replace(planned, sent=of_study(name, prompts))
    return Answer(planned, words(planned, gaps, name, place.options))


def words(
    planned: Planned, gaps: StudyGaps | None, name: str, place: str = ""
) -> Iterator[AnswerPart]:
    """Report what would run, arm by arm, what it will take, and what is to be expected of each
    claim; then commands for this name and store. The claims that stay undecided come first."""
    options = planned.options  # the name as it was typed: a file may be in another folder
    typed = f"{shlex.quote(name)}{options[len(options.split()[0]) :]}{place}"
    undecided: list[str] = []
    if gaps is not None:
        from assay.ask.missing import hopeless  # which loads what asks a model

        undecided = hopeless(gaps.gaps)
    return written(
        "plan",
        p=planned,
        notes=notes_in_order(planned.notes, len(planned.claims)),
        undecided=undecided,
        arms=arms(planned.arms),
        claims=[(c, counted(c), outlined(c)) for c in planned.claims],
        time=timed(planned),
        disk=in_bytes(planned.disk_bytes),
        free=in_bytes(planned.free_bytes),
        typed=typed,
        lacks=heavy.missing("torch"),
        assumed=assumed(gaps),
    )


def assumed(gaps: StudyGaps | None) -> list[AnswerPart]:
    """List what a study does not say, what is taken in its place, what that costs, and what to
    write."""
    fields = [g for g in (gaps.gaps if gaps is not None else ()) if g.default is not None]
    left_out = [g for g in fields if g.default and g.default.startswith("left out: ")]
    used = [g for g in fields if g not in left_out]
    return [*written("plan_assumed", left_out=left_out, fields=used), ""] if fields else []


def arms(rows: Sequence[Arm]) -> Table:
    """Give for each arm its runs, what is stored, and the CPU-seconds of a run."""
    numbers = ("runs", "stored", "missing", "CPU-s per run")
    lines = []
    for arm in rows:
        cost = "unknown" if arm.cpu_seconds is None else f"{arm.cpu_seconds:.2f}"
        counts = (str(arm.runs), str(arm.runs - arm.missing), str(arm.missing))
        lines.append((arm.name, *counts, cost, arm.why))
    return Table(("arm", *numbers, "why"), lines, right=numbers)


def timed(planned: Planned) -> str:
    """Say how long a command takes, and where that is known from."""
    clock, cpu = planned.command_seconds, planned.command_cpu_seconds
    if clock is None or cpu is None:
        return "the time is not known yet"
    return (
        f"{lasting(clock)} if the cores are free ({amount_in_words(cpu)} CPU-seconds, estimated "
        f"from {planned.cost_from})"
    )
