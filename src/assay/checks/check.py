"""check: a function called with a thing, without it, and with near controls → a verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from assay.checks import diagnostics
from assay.checks.calls import EFFECT, Calls
from assay.checks.damage import Task, damaged
from assay.checks.diagnostics import Watch
from assay.checks.draws import FIRST, Controls, given, made, named
from assay.checks.judging import DAMAGE, Decided, Question, decide, others
from assay.checks.notes import remarks
from assay.checks.record import Record, digest, source
from assay.checks.rows import ENDS, Prompts, effects, table
from assay.controls.table import control
from assay.controls.things import Draw, Thing
from assay.errors import ClaimError, nearest
from assay.notes import Note
from assay.verdicts.conditions import parse
from assay.verdicts.doubts import doubts
from assay.verdicts.result import Judged, Provenance, Result, doubted, now, versions
from assay.verdicts.rule import DRAWS

MORE, RARE = 12, 0.05
"""Rivals of a pool where the first few leave open whether another one satisfies the claim, and how
probable that may be."""
OF_TABLES = frozenset(("copies",))
"""Doubts that no check has: a function of one thing about each prompt has numbers on a curve."""


def check(
    claim: str,
    function: Callable[[Any, Any], Any],
    prompts: Any,
    holds: str,
    thing: Thing,
    *,
    controls: Controls = None,
    known: Mapping[str, Any] | None = None,
    damage: Task | tuple[Task, Any] | None = None,
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
        draws: how many of each control that is drawn; by default as many as it takes.
        scope: what was changed, where, and in which model.
        save: a file of what was measured, from which an interrupted check goes on.

    Raises:
        DataError: numbers, prompts or a thing that cannot be used; what a call leaves behind.
        ClaimError: a claim that cannot be judged on these numbers.
        RunError: what the function raises, with the control and the prompt.
    """
    begun, read = now(), Prompts.read(prompts)
    question = Question(
        *(claim, parse(holds), read, _names(unit) or ("prompt",), _names(fixed), bounds),
        given=(parse(given),) if given else (),
        known=known is not None,
    )
    thing = thing.bound(read.each)
    about = {"claim": claim, "condition": holds, "function": digest(source(function))}
    about |= {"thing": digest(thing.value), "prompts": digest(read.value)}
    alone = any(name.removesuffix(end) == EFFECT for name in question.read for end in ENDS)
    calls = Calls(function, read, thing, none, alone, Record(save, about))
    run = _Run(calls, question, controls, draws)
    run.start(known)
    if damage is not None and run.holds and known is None:
        run.damage(damage)
    decided, notes = run.decide()
    notes += [*remarks(question, run.measured, decided, thing, controls, damage=damage is not None)]
    found = doubts(decided.case, decided.verdict)
    notes += [note for note in found if note.code not in OF_TABLES]
    h, why = decided.case.h, {d.control.name: d.control.why for d in run.measured.draws.values()}
    judged = Judged(claim, holds, h, doubted(decided.verdict, notes), why, tuple(notes))
    rows = table(read, run.measured.arms, question.units, question.fixed)
    made = Provenance(begun, now(), versions(), {"prompts": about["prompts"]})
    return Result(claim, (judged,), rows, scope, made, (decided.samples,))


def _names(x: str | Sequence[str]) -> tuple[str, ...]:
    return (x,) * bool(x) if isinstance(x, str) else tuple(x)


class _Run:
    """The calls of a check, in order."""

    def __init__(self, calls: Calls, question: Question, controls: Controls, count: int) -> None:
        self.calls, self.question, self.thing = calls, question, calls.thing
        self.controls, self.count = controls, count

    def start(self, known: Mapping[str, Any] | None) -> None:
        """Call everything on two prompts, and then on all; one of each control where the claim does
        not hold by itself, which none can change."""
        watch = self.watch = Watch(self.calls)
        for name in sorted(self.question.read - {*watch.numbers}):
            hint = nearest(name, watch.numbers)
            raise ClaimError("unknown-column", f"{self.calls.name} gives no {name}; {hint}")
        prompts = self.calls.prompts
        if known is None:
            most = 0 if self.count else FIRST
            first = [*made(self.thing, prompts, self.controls, self.count, most)]
        else:
            first = [*given(self.thing, prompts, known)]
        one_each = [*{d.control.name: d for d in reversed(first)}.values()]
        dry = {self.thing.name: watch.numbers}
        for draw in one_each:
            numbers = self.calls(draw.value, draw.control.name, watch.rows)
            dry[draw.control.name] = effects(watch.without.seen[0], numbers)
        diagnostics.refuse_ignoring(self.calls, dry, self.question.read, few=True)
        self.calls.progress.total = 3 + len(first)
        self.measured, self.notes = diagnostics.measured(self.calls, watch, self.question.condition)
        self.holds = decide(self.question, self.measured).may_hold
        self.add(first if self.holds or known is not None else one_each)
        diagnostics.refuse_ignoring(self.calls, self.measured.arms, self.question.read)

    def add(self, further: Sequence[Draw]) -> None:
        """Call the function with further draws."""
        m = self.measured
        draws = [d for arm, d in m.draws.items() if arm != DAMAGE]
        for arm, draw in named([*draws, *further], [m.main]).items():
            if arm not in m.arms:
                m.arms[arm] = effects(m.before, self.calls(draw.value, arm))
                m.draws[arm] = draw

    def damage(self, task: Task | tuple[Task, Any]) -> None:
        """Measure the control `damage`."""
        m, up = self.measured, self.question.condition.low > -np.inf
        m.arms[DAMAGE], m.unable = damaged(self.calls, task, m.arms[m.main], up=up)
        m.draws[DAMAGE] = Draw(control("removal", DAMAGE), None)

    def decide(self) -> tuple[Decided, list[Note]]:
        """Judge, with further draws where they may change the verdict. Raises: DataError."""
        decided, thing = decide(self.question, self.measured), self.thing
        noise = [n for n, c in self.measured.controls.items() if c.noise]
        for most in () if self.count or self.question.known else (thing.tries, 2 * DRAWS):
            hits = {n: decided.verdict.controls[n].satisfied for n in noise}
            if not decided.by_rivals or max(hits.values(), default=2) > 1:
                break
            if most > thing.tries:
                noise = [n for n in noise if hits[n] == 1] if thing.tries >= DRAWS else []
            self.add([*self.beyond(noise, most)])
            decided = decide(self.question, self.measured)
        if decided.verdict.outcome == "holds":
            decided = self._rivals(decided)
        self.watch.finish()
        return decided, self.notes

    def _rivals(self, decided: Decided) -> Decided:
        """Try more of a pool, where the first few leave it open whether another satisfies the
        claim; and note where it stays open."""
        for most in (MORE, 0):
            open_ = {
                c.name: chance
                for c in decided.case.h.controls
                if not c.noise and (chance := others(decided, c)) > RARE
            }
            spare = [*self.beyond([*open_], max(most, 10**9 * (not most)))]
            if most and not self.count:
                self.add(spare)
                decided = decide(self.question, self.measured)
            elif not most:
                names = {d.control.name for d in spare}
                rest = {n: f"{x:.0%}" for n, x in open_.items() if n in names}
                self.notes += [Note("open", {"control": n, "share": x}) for n, x in rest.items()]
        return decided

    def beyond(self, names: Sequence[str], most: int) -> Iterator[Draw]:
        """The draws of these controls up to so many, without those that there are."""
        have = Counter(d.control.name for d in self.measured.draws.values())
        kept = () if isinstance(self.controls, Mapping) else tuple(self.controls or ())
        for draw in self.thing.draws(self.calls.prompts.each, most, kept) if names else ():
            name = draw.control.name
            if name in names:
                have[name] -= 1
                if have[name] < 0:
                    yield draw
