"""Plan: what a run would take and bring, in words; and what a study does not say, what is taken in
its place, and what that costs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace

from assay.core import heavy
from assay.core.compute import Range
from assay.core.garbage import uncollected
from assay.core.power import CHANCE
from assay.core.reading import plural
from assay.lab.catalogue import entry
from assay.lab.forecast import Prospect
from assay.lab.store.origin import STUDIES
from assay.verbs.options import CPU, DEFAULT, HERE, Choice, Machine, Name, Place
from assay.verbs.plan import (
    Arm,
    Planned,
    StudyGaps,
    plan,
)
from assay.verbs.sent import of_study, shown
from assay.verbs.verb import Answer, AnswerPart, Line, Table, lasting, megabytes, verb


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
    """Show what would run and why, its cost, the power of each claim, and what a study leaves
    open.

    Parameters
    ----------
    prompts
        For a study: show this many prompts of each table token by token, as each model reads them.

    Examples
    --------
    assay plan superposition
    """
    lab = machine.lab(place.root)
    unsaid: StudyGaps | None = None
    if name.endswith(STUDIES):
        from assay.verbs.unsaid import already, find_unsaid  # what asks a model loads much

        unsaid = find_unsaid(entry(name).path, lab)
        if unsaid.exit_code:
            return Answer(unsaid, lacking(unsaid), unsaid.exit_code)
    experiment, preset = choice.of(name)
    planned = plan(lab, experiment, preset)
    if unsaid is not None and (note := already(entry(name).path, lab, experiment, preset, planned)):
        planned = replace(planned, notes=(*planned.notes, note))
    planned = replace(planned, sent=of_study(name, prompts))
    return Answer(planned, _with(unsaid, words(planned, name, place.options)))


def words(planned: Planned, name: str, place: str = "") -> Iterator[AnswerPart]:
    """Say what would run, arm by arm, what it will take, and what is to be expected of each claim;
    then commands for this name and store."""

    def typed(options: str) -> str:  # the name as it was typed: a file may be in another folder
        return f"{shlex.quote(name)}{options[len(options.split()[0]) :]}{place}"

    yield arms(planned.arms)
    yield ""
    yield from claims(planned)
    if planned.scope:
        yield f"Scope of the verdicts: {planned.scope}"
    frozen = planned.frozen.told if planned.frozen else ""
    nothing = "The study is not frozen, so its verdicts will be exploratory."
    yield f"{frozen[0].upper()}{frozen[1:]}." if frozen else nothing
    yield from (f"note: {note}" for note in planned.notes)
    yield ""
    yield from shown(planned.sent)
    if planned.missing:
        yield f"{planned.missing} runs to train, {timed(planned)}."
        yield needed(planned)
        yield Line(f"Next: assay run {typed(planned.options)}{without_torch()}")
    else:
        yield Line(f"Everything is stored. Verdicts: assay show {typed(planned.options)}")


def lacking(gaps: StudyGaps) -> Iterator[AnswerPart]:
    """Say what a study has to say before it can run, and what would be taken in place of the
    rest."""
    yield from (gap.text for gap in gaps.unsaid if gap.default is None)
    yield from assumed(gaps)


def _with(gaps: StudyGaps | None, parts: Iterator[AnswerPart]) -> Iterator[AnswerPart]:
    """Put what a study leaves open around its plan: first the claims that come out undecided
    whatever is measured."""
    if gaps is None:
        yield from parts
        return
    from assay.verbs.unsaid import hopeless  # loads much

    yield from (lines := [f"! {line}" for line in hopeless(gaps.unsaid)])
    if lines:
        yield ""
    yield from parts
    yield from assumed(gaps)


def assumed(gaps: StudyGaps) -> Iterator[AnswerPart]:
    """Say what a study does not say, what is taken in its place, and what that costs."""
    rows = [(u.where, u.default, u.cost, u.text) for u in gaps.unsaid if u.default is not None]
    if rows:
        yield ""
        yield Table(("not specified", "default used", "cost", "alternative"), rows)


def arms(arm_rows: Sequence[Arm]) -> Table:
    """Give for each arm its runs, what is stored, and the CPU-seconds of a run."""
    numbers = ("runs", "stored", "missing", "CPU-s a run")
    rows = []
    for arm in arm_rows:
        cost = "unknown" if arm.cpu_seconds is None else f"{arm.cpu_seconds:.2f}"
        counts = (str(arm.runs), str(arm.runs - arm.missing), str(arm.missing))
        rows.append((arm.name, *counts, cost, arm.why))
    return Table(("arm", *numbers, "why"), rows, right=numbers)


def claims(planned: Planned) -> Iterator[AnswerPart]:
    """Give for each claim its units and those of its controls, the half-width to expect, and what
    decides it; then the estimates in words, and the curves."""
    for i, c in enumerate(planned.claims, 1):
        counts = ", ".join(f"{arm}: {count}" for arm, count in {**c.judged, **c.controls}.items())
        yield f"{i}. {c.text}"
        yield f"  units {counts}; {outlined(c)}"
        if c.reads:
            yield f"  reads {', '.join(c.reads)}"
    for e in (e for e in planned.estimates if e.reads or e.over):
        crossing = f", and where it is {e.crosses}" if e.crosses is not None else ""
        curve = f"a curve over {e.over}{crossing}" if e.over else "a number with its interval"
        yield f"– {e.text}"
        yield f"  {curve}; reads {', '.join(e.reads) or 'what its code says'}"
    if planned.claims and planned.spread_from:
        nothing, _, why = planned.spread_from.partition(": ")
        yield (
            f"No forecast of the intervals: {why}."
            if nothing == "nothing"
            else f"Half-widths are forecast from {planned.spread_from}, on the scale on which a "
            "claim is judged. They do not say whether its gates will be met."
        )


def outlined(c: Prospect) -> str:
    """Say what is to be expected of a claim, in a sentence; what is unknown says so."""
    if c.half_width is None and c.fewest is None:
        return f"half-width unknown: {c.why or 'nothing is measured yet'}"
    spent = f", {amount(c.seconds)} CPU-seconds" if c.seconds is not None else ""
    need = c.why if c.fewest is None else f"{c.fewest:,} {plural(c.factor, 2)} are enough{spent}"
    sample_size = f" at {c.units:,} {plural(c.factor, c.units)}" if c.units is not None else ""
    outcome = c.expected
    # what these units decide of the claim by itself, they need not decide of its controls
    if outcome in ("holds", "fails") and c.power is not None and c.power < CHANCE:
        outcome = f"{outcome} by itself"
        need = f"{need} without controls" if c.fewest is not None else need
    line = f"half-width {number(c.half_width)}{sample_size}, threshold {number(c.distance)} away"
    line += f": {outcome}{powered(c.power)}; {need}"
    return line + (f"; {c.warning}" if c.warning else "")


def powered(power: float | None) -> str:
    """Say in which share of such experiments a claim is decided, and whether that is too seldom; ""
    where nothing is known."""
    if power is None:
        return ""
    words = f"decided in {power:.0%} of such experiments"
    if power >= CHANCE:
        return f", {words}, controls included"
    return f"; together with its controls {words}: underpowered"


def timed(planned: Planned) -> str:
    """Say how long a command takes, and where that is known from."""
    clock, cpu = planned.command_seconds, planned.command_cpu_seconds
    if clock is None or cpu is None:
        return "time unknown"
    return f"{lasting(clock)} ({amount(cpu)} CPU-seconds, estimated from {planned.cost_from})"


def needed(planned: Planned) -> str:
    """Say how much memory and disk it takes, in a sentence."""
    memory = f"{planned.memory_bytes / 1e9:.1f} GB a process" if planned.memory_bytes else "unknown"
    disk, free = megabytes(planned.disk_bytes), megabytes(planned.free_bytes)
    return f"Memory: {memory}. Disk: {disk}, {free} free."


def without_torch() -> str:
    """Say, after a command that trains, what it needs and is not installed; "" where torch is."""
    return f" ({lacks})" if (lacks := heavy.missing("torch")) else ""


def amount(r: Range) -> str:
    """Write the middle of a range in three digits."""
    x = r.middle
    return f"{x:.2e}" if 0 < x < 0.01 or x >= 1e6 else f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def number(x: float | None) -> str:
    """Write an amount in three digits; a dash where there is none."""
    return "–" if x is None else "below 1e-6" if x < 1e-6 else f"{x:.3g}"
