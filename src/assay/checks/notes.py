"""Notes: what a check says of its controls and prompts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from assay.checks.diagnostics import idle, unmoved
from assay.checks.draws import Controls
from assay.checks.judging import DAMAGE, Decided, Measured, Question, noise
from assay.checks.record import digest
from assay.checks.rows import Prompts
from assay.controls.table import TABLE
from assay.controls.things import Parts, Place, Thing
from assay.errors import DataError
from assay.notes import Note


def remarks(
    question: Question,
    measured: Measured,
    decided: Decided,
    thing: Thing,
    controls: Controls,
    *,
    damage: bool,
) -> Iterator[Note]:
    """Everything that there is to say, besides what the diagnostics and doubts say."""
    if error := noise(question, measured):
        yield Note("noise", {"by": f"{error:.2g}"})
    yield from unmoved(measured.main, measured.arms, question.read)
    yield from _tests(measured)
    yield from _about(question, decided)
    if not question.known:
        yield from _lacking(question, measured, decided, thing, controls, damage=damage)
    if isinstance(thing, Parts):
        yield from _parts(question, measured, thing)


def _tests(measured: Measured) -> Iterator[Note]:
    """The controls that test nothing: a doubt where none does."""
    why = dict[str, str]()
    for name, control in measured.controls.items():
        each = [idle(measured.main, measured.arms, arm) for arm in control.arms if arm != DAMAGE]
        why[name] = measured.unable if name == DAMAGE else each[0] if all(each) else ""
    code = "no-test" if all(why.values()) else "idle"
    for name, reason in why.items():
        if reason:
            yield Note(code, {"control": name, "why": reason})


def _about(question: Question, decided: Decided) -> Iterator[Note]:
    """Prompts that are copies, and units that have no number."""
    labels, rows = question.prompts.labels, decided.case.rows
    if copies := len(labels) - len({*labels}):
        yield Note("same-prompts", {"n": copies})
    for unit, n in decided.verdict.n.items():
        if (of := rows[unit].nunique()) > n:
            yield Note("left-out", {"n": of - n, "of": of, "unit": unit})


def _lacking(
    question: Question,
    measured: Measured,
    decided: Decided,
    thing: Thing,
    controls: Controls,
    *,
    damage: bool,
) -> Iterator[Note]:
    """The controls that are missing, or were left out."""
    missing = thing.missing()
    if not damage and isinstance(thing, Parts | Place) and not decided.case.h.is_null:
        missing[DAMAGE] = "damage=another task"
    if decided.case.h.is_null and math.isfinite(question.condition.high - question.condition.low):
        missing["known"] = "known={name: a thing with a small effect}"
    for name, how in missing.items():
        if name not in measured.controls:
            yield Note("no-control", {"control": name, "give": how})
    if controls is not None and not isinstance(controls, Mapping):
        for c in TABLE.get(thing.aspect, ()):
            if c.default and c.name not in {*controls, *missing}:
                yield Note("dropped-control", {"control": c.name})


def _parts(question: Question, measured: Measured, thing: Parts) -> Iterator[Note]:
    """Where parts were chosen, how many others were tried, and how large these are. Raises:
    DataError (chosen-on)."""
    if thing.chosen_on is None:
        yield Note("selection", {"thing": measured.main})
    else:
        own = {digest(p) for p in question.prompts.each}
        if n := len(own & {digest(p) for p in Prompts.read(thing.chosen_on).each}):
            message = f"{n} of these prompts are among those that {measured.main} was chosen on"
            raise DataError("chosen-on", f"{message}; give others", "chosen_on")
    control = measured.controls.get(thing.kind)
    others = (len({*thing.pool}) - len(thing.value)) // len(thing.value)
    if control and len(control.arms) < others:
        yield Note("few-draws", {"control": control.name, "n": len(control.arms), "of": others})
