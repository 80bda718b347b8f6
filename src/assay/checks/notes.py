"""Notes: what a check says of its controls and prompts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from assay.checks.diagnostics import idle, unmoved
from assay.checks.judging import DAMAGE, Decided
from assay.checks.rows import Prompts, digest
from assay.controls.table import TABLE
from assay.controls.things import Parts, Place
from assay.errors import DataError
from assay.notes import Note

if TYPE_CHECKING:
    from assay.checks.check import Run


def remarks(run: Run, decided: Decided) -> Iterator[Note]:
    """What there is to say of a verdict, its controls and the prompts. Raises: DataError."""
    if decided.noise:
        yield Note("noise", {"by": f"{decided.noise:.2g}"})
    yield from unmoved(run.question, run.measured)
    labels = run.question.prompts.labels
    if copies := len(labels) - len({*labels}):
        yield Note("same-prompts", {"n": copies})
    for unit, n in decided.verdict.n.items():
        if (of := decided.case.rows[unit].nunique()) > n:
            yield Note("left-out", {"n": of - n, "of": of, "unit": unit})
    yield from _tests(run)
    if not run.question.known:
        yield from _lacking(run, decided)
    if isinstance(run.thing, Parts):
        yield from _parts(run, run.thing, decided)


def _tests(run: Run) -> Iterator[Note]:
    """The controls that test nothing: a doubt where none does."""
    why, m = dict[str, str](), run.measured
    for name, control in m.controls.items():
        each = [m.unable if arm == DAMAGE else idle(m, arm) for arm in control.arms]
        why[name] = each[0] if all(each) else ""
    code = "no-test" if all(why.values()) else "idle"
    for name in filter(why.get, why):
        yield Note(code, {"control": name, "why": why[name]})


def _lacking(run: Run, decided: Decided) -> Iterator[Note]:
    """The controls that are missing, and those that were left out."""
    missing, h = run.thing.missing(), decided.case.h
    if not run.has_damage and isinstance(run.thing, Parts | Place) and not h.is_null:
        missing[DAMAGE] = "damage=another task"
    if h.is_null and math.isfinite(h.high - h.low):
        missing["known"] = "known={name: a thing with a small effect}"
    named = {*(run.controls or ())}
    for name in missing.keys() - named:
        yield Note("no-control", {"control": name, "give": missing[name]})
    if named and not isinstance(run.controls, Mapping):
        for c in TABLE.get(run.thing.aspect, ()):
            if c.default and c.name not in {*named, *missing}:
                yield Note("dropped-control", {"control": c.name})


def _parts(run: Run, thing: Parts, decided: Decided) -> Iterator[Note]:
    """Where parts were chosen, and how many others were tried. Raises: DataError (chosen-on)."""
    if thing.chosen_on is None:
        yield Note("selection", {"thing": thing.name})
    else:
        own = {digest(p) for p in run.question.prompts.each}
        if n := len(own & {digest(p) for p in Prompts.read(thing.chosen_on).each}):
            message = f"{thing.name} was chosen on {n} of these prompts; give others"
            raise DataError("chosen-on", message, "chosen_on")
    control = run.measured.controls.get(thing.kind)
    of = len({*thing.pool}) // len(thing.value) - 1
    if control and len(control.arms) < of and decided.verdict.outcome == "holds":
        yield Note("few-draws", {"control": control.name, "n": len(control.arms), "of": of})
