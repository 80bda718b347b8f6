"""check: a function called with a thing, without it, and with near controls → a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from assay.checks.calls import EFFECT, Calls, Prompts, Record, digest, effects, source
from assay.checks.diagnostics import Watch, measure, refuse_ignoring, remarks
from assay.checks.draws import Controls, Function, Supply, authors, damaged, named
from assay.checks.judging import DAMAGE, Bench, Decided
from assay.controls.table import control
from assay.controls.things import Draw, Thing
from assay.errors import ClaimError, nearest
from assay.verdicts.claims import names
from assay.verdicts.conditions import parse
from assay.verdicts.doubts import doubts
from assay.verdicts.result import Judged, Provenance, Result, doubted, now, versions
from assay.verdicts.rule import DRAWS

NOISE, RIVALS = 2, 4
"""Draws of noise, and rivals of a pool, that may already rule a claim out."""
OF_TABLES = frozenset(("copies",))
"""Doubts that no check has: a function of one thing about each prompt has numbers on a curve."""


def check(
    claim: str,
    function: Function,
    prompts: Any,
    holds: str,
    thing: Thing,
    *,
    controls: Controls = None,
    known: Mapping[str, Any] | None = None,
    damage: Function | tuple[Function, Any] | None = None,
    given: str = "",
    none: Any = None,
    unit: str | Sequence[str] = (),
    fixed: str | Sequence[str] = (),
    bounds: tuple[float, float] | None = None,
    draws: int = 0,
    scope: str = "",
    save: str | Path | None = None,
) -> Result:
    """Judge a claim about what a function measures, with near controls in place of the thing.

    The function is called with the thing or with `none`, and prompts; it gives one number for each
    prompt, or several by name. For NAME the condition reads NAME_before, NAME_after and NAME, which
    is the change; the only number may be called `effect`.

    Args:
        claim: what is claimed, in words.
        function: what measures, called with the thing and prompts.
        prompts: texts, rows, a DataFrame, or the path of a table or of a text file.
        holds: the condition, such as "effect < -1".
        thing: what the claim credits.
        controls: further controls by name, one or several each; or the names of those to keep.
        known: for a claim of no effect, things with a small known one, by name.
        damage: another task of the same model, which the change should leave as it is: a function
            of the same form, or that with prompts of its own.
        given: a condition without which the claim is not decided, such as "lead_before > 0".
        none: what the function gets where it is called without the thing.
        unit: one or two columns over which the claim generalises; each prompt by default.
        fixed: columns about whose values alone the claim is.
        bounds: the least and greatest number of a prompt.
        draws: how many of each control that is drawn, at most; by default as many as it takes.
        scope: what was changed, where, and in which model.
        save: a file of what was measured, from which an interrupted check goes on.

    Raises:
        DataError: numbers, prompts or a thing that cannot be used; what a call leaves behind.
        ClaimError: a claim that cannot be judged on these numbers.
        RunError: what the function raises, with the control and the prompt.
    """
    begun, read = now(), Prompts.read(prompts)
    condition, needed = parse(holds), parse(given) if given else None
    units, is_fixed = names(unit) or ("prompt",), names(fixed)
    bench = Bench(read, condition, units, is_fixed, bounds, needed, known is not None)
    thing = thing.bound(read.each)
    asked = [claim, holds, digest(source(function)), digest(thing.value, none), digest(read.value)]
    calls = Calls(function, read, thing, none, bench.reads(EFFECT), Record(save, asked))
    run = _Run(calls, bench, Supply(thing, read.each, controls), draws)
    run.start(known)
    if damage is not None and known is None:
        run.damage(damage)
    decided = run.decide()
    notes = [*run.notes, *remarks(bench, decided, thing, controls)]
    found = doubts(decided.case, decided.verdict)
    notes += [note for note in found if note.code not in OF_TABLES]
    why = {draw.control.name: draw.control.why for draw in bench.draws.values()}
    verdict = doubted(decided.verdict, notes)
    judged = Judged(claim, holds, decided.case.h, verdict, why, tuple(notes))
    made = Provenance(begun, now(), versions(), {"prompts": asked[-1]})
    rows = read.table(bench.arms, units, is_fixed)
    return Result(claim, (judged,), rows, scope, made, (decided.samples,))


class _Run:
    """The calls of a check, in order."""

    def __init__(self, calls: Calls, bench: Bench, supply: Supply, count: int) -> None:
        self.calls, self.bench, self.supply, self.count = calls, bench, supply, count

    def start(self, known: Mapping[str, Any] | None) -> None:
        """Call everything on two prompts, and then on all; one of each control where the claim does
        not hold by itself, which none can change. Raises: AssayError."""
        calls, watch, bench = self.calls, Watch(self.calls), self.bench
        for name in sorted(bench.read - {*watch.numbers}):
            hint = nearest(name, watch.numbers)
            raise ClaimError("unknown-column", f"{calls.name} gives no {name}; {hint}")
        if known is None:
            first = self.supply.first(min(self.count, RIVALS), min(self.count or NOISE, NOISE))
        else:
            first = [*authors(calls.thing, bench.prompts.each, known)]
        each = {d.control.name: d for d in reversed(first)}
        dry = {name: calls(draw.value, name, watch.rows) for name, draw in each.items()}
        dry = {name: effects(watch.first, numbers) for name, numbers in dry.items()}
        refuse_ignoring(calls, {calls.thing.name: watch.numbers, **dry}, few=True)
        calls.left, self.watch = 3 + len(first), watch
        self.notes = measure(calls, watch, bench)
        self.add(first if bench.decide().alone or known is not None else [*each.values()])
        refuse_ignoring(calls, bench.arms)

    def add(self, further: Sequence[Draw]) -> None:
        """Call the function with further draws."""
        arms, there, before = self.bench.arms, self.bench.draws, self.bench.before
        draws = [draw for arm, draw in there.items() if arm != DAMAGE]
        self.calls.left = max(self.calls.left, len(further))
        for arm, draw in named([*draws, *further], self.bench.main).items():
            if arm not in arms:
                arms[arm], there[arm] = effects(before, self.calls(draw.value, arm)), draw

    def damage(self, task: Function | tuple[Function, Any]) -> None:
        """Measure the control `damage`, if the claim holds against the others."""
        b, side = self.bench, 1 if self.bench.condition.low > -np.inf else -1
        if b.decide().beside_rivals:
            b.arms[DAMAGE], b.unable = damaged(self.calls, task, b.arms[b.main], side)
            b.draws[DAMAGE] = Draw(control("removal", DAMAGE), None)

    def decide(self) -> Decided:
        """Judge, with further draws as long as these may change the verdict. Raises: DataError
        (leaves-something)."""
        decided = self.bench.decide()
        while further := self._further(decided):
            self.add(further)
            decided = self.bench.decide()
        self.watch.finish()
        return decided

    def _further(self, decided: Decided) -> list[Draw]:
        """The draws that are missing, if the claim may still hold: of those that are asked for; or
        of all of noise, and of as many again where exactly one satisfies the claim."""
        tested, tries = decided.verdict.controls, self.calls.thing.tries
        hits = {c.name: tested[c.name].satisfied for c in decided.case.h.controls if c.noise}
        if not decided.beside_rivals or max(hits.values(), default=0) > 1:
            return []
        twice = tries >= DRAWS and all(tested[name].draws >= DRAWS for name in hits)
        wanted = {name: 2 * DRAWS if twice and n else tries for name, n in hits.items()}
        if self.count:
            wanted = dict.fromkeys(tested, self.count)
        have = {name: tested[name].draws for name in tested}
        most = max(wanted.values(), default=0)
        return [*self.supply.further(lambda c: wanted.get(c.name, 0), have, most)] if most else []
