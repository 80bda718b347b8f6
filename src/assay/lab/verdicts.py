"""Verdicts: one claim chosen from a result, which claims came out otherwise than was expected, and what decides the undecided."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from assay.core.errors import ClaimError
from assay.core.reasons import remedy, told

if TYPE_CHECKING:  # `assay judge` on a table needs no lab
    from assay.core.claims import Judged
    from assay.core.experiment import Experiment
    from assay.lab.preset import Preset
    from assay.lab.result import Result


def choose(result: Result, claim: str) -> Result:
    """Keep one claim of a result: by its number, from 1 in the order of the table, or by words of its text.

    Raises: ClaimError where none has them, or several.
    """
    if claim.isdecimal():
        found = list(result.judged[int(claim) - 1 : int(claim)]) if int(claim) else []
    else:
        found = [one for one in result.judged if claim.casefold() in one.claim.text.casefold()]
    if len(found) != 1:
        listed = "; ".join(f"{i}. {one.claim.text}" for i, one in enumerate(result.judged, 1)) or "there are none"
        count = len(found) or "no"
        raise ClaimError(f"{count} claims of {result.experiment} fit {claim!r}; name one by its number or by words of its text: {listed}")
    return replace(result, judged=tuple(found), exact=(), findings=(), skipped=(), failed=())


def otherwise(judged: Iterable[Judged], expected: str | None) -> tuple[str, ...]:
    """Say of each claim that did not come out as expected how it did; nothing where nothing was expected."""
    if expected is None:
        return ()
    found = [(one, one.verdict) for one in judged if one.verdict.outcome != expected]
    return tuple(f"expected {expected}, {v.outcome}{f' ({told(v.reason)})' if v.reason else ''}: {one.claim.text}" for one, v in found)


def deciding(result: Result, experiment: Experiment, preset: Preset) -> dict[str, list[int]]:
    """Find what to type after `assay` to decide what is undecided: each command with the numbers of its claims.

    More seeds where that decides it, as the price says; twice the steps where training is not converged.
    """
    found: dict[str, list[int]] = {}
    for number, one in enumerate(result.judged, 1):
        command = remedy(one.verdict.price.text)[1] if one.verdict.price is not None else ""
        if not command and one.verdict.reason == "gate converged":
            command = longer(experiment, preset)
        if command:
            found.setdefault(command, []).append(number)
    return found


def longer(experiment: Experiment, preset: Preset) -> str:
    """Write what to type after `assay` to train twice as many steps; "" where the specs have none, or differ in them."""
    steps = {getattr(spec, "steps", None) for spec in preset.specs}
    [most] = steps if len(steps) == 1 else [None]
    return f"run {experiment.typed}{preset.but(f'steps={2 * most}').options}" if isinstance(most, int) else ""
