"""Notes: what a check says of its controls and prompts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from assay.checks.diagnostics import idle, unmoved
from assay.checks.draws import Controls
from assay.checks.judging import DAMAGE, Bench, Decided
from assay.checks.rows import Prompts, digest
from assay.controls.table import TABLE
from assay.controls.things import Parts, Place, Thing
from assay.errors import DataError
from assay.notes import Note


def remarks(bench: Bench, decided: Decided, thing: Thing, controls: Controls) -> Iterator[Note]:
    """What there is to say of a verdict, its controls and the prompts. Raises: DataError."""
    if decided.noise:
        yield Note("noise", {"by": f"{decided.noise:.2g}"})
    yield from unmoved(bench)
    if copies := len(bench.prompts.labels) - len({*bench.prompts.labels}):
        yield Note("same-prompts", {"n": copies})
    for unit, n in decided.verdict.n.items():
        if (of := decided.case.rows[unit].nunique()) > n:
            yield Note("left-out", {"n": of - n, "of": of, "unit": unit})
    yield from _tests(bench)
    yield from () if bench.known else _lacking(bench, decided, thing, controls)
    yield from _parts(bench, decided, thing) if isinstance(thing, Parts) else ()


def _tests(bench: Bench) -> Iterator[Note]:
    """The controls that test nothing: a doubt where none does."""
    why = dict[str, str]()
    for name, control in bench.controls.items():
        each = [bench.unable if arm == DAMAGE else idle(bench, arm) for arm in control.arms]
        why[name] = each[0] if all(each) else ""
    code = "no-test" if all(why.values()) else "idle"
    for name in filter(why.get, why):
        yield Note(code, {"control": name, "why": why[name]})


def _lacking(bench: Bench, decided: Decided, thing: Thing, controls: Controls) -> Iterator[Note]:
    """The controls that are missing, and those that were left out."""
    missing, h = thing.missing(), decided.case.h
    if DAMAGE not in bench.controls and isinstance(thing, Parts | Place) and decided.alone:
        missing[DAMAGE] = "damage=another task"
    if h.is_null and math.isfinite(h.high - h.low):
        missing["known"] = "known={name: a thing with a small effect}"
    named = {*(controls or ())}
    for name in (name for name in missing if name not in named):
        yield Note("no-control", {"control": name, "give": missing[name]})
    if named and not isinstance(controls, Mapping):
        for c in TABLE.get(thing.aspect, ()):
            if c.default and c.name not in {*named, *missing}:
                yield Note("dropped-control", {"control": c.name})


def _parts(bench: Bench, decided: Decided, thing: Parts) -> Iterator[Note]:
    """Where parts were chosen, and how many others were tried. Raises: DataError (chosen-on)."""
    if thing.chosen_on is None:
        yield Note("selection", {"thing": thing.name})
    else:
        own = {digest(p) for p in bench.prompts.each}
        if n := len(own & {digest(p) for p in Prompts.read(thing.chosen_on).each}):
            message = f"{thing.name} was chosen on {n} of these prompts; give others"
            raise DataError("chosen-on", message, "chosen_on")
    control, of = bench.controls.get(thing.kind), len({*thing.pool}) // len(thing.value) - 1
    if control and len(control.arms) < of and decided.verdict.outcome == "holds":
        yield Note("few-draws", {"control": control.name, "n": len(control.arms), "of": of})
