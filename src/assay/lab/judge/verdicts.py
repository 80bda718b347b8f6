"""Verdicts: one claim chosen from a result, which claims came out otherwise than was expected, and
what decides the undecided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from assay.core.errors import ClaimError
from assay.core.experiment import Experiment
from assay.core.reasons import remedy
from assay.core.results import Judged
from assay.lab.judge.result import Result, twice_the_steps
from assay.lab.plan.preset import Preset


def choose(result: Result, claim: str) -> Result:
    """Keep one claim of a result: by its number, from 1 in the order of the table, or by words of
    its text.

    Raises: ClaimError where none has them, or several.
    """
    if claim.isdecimal():
        matches = list(result.judged[int(claim) - 1 : int(claim)]) if int(claim) else []
    else:
        matches = [
            judgement
            for judgement in result.judged
            if claim.casefold() in judgement.text.casefold()
        ]
    if len(matches) != 1:
        listed = (
            "; ".join(f"{i}. {judgement.text}" for i, judgement in enumerate(result.judged, 1))
            or "there are none"
        )
        count = len(matches) or "no"
        raise ClaimError(
            f"{count} claims of {result.experiment} fit {claim!r}; name one by its number or "
            f"by words of its text: {listed}"
        )
    return replace(result, judged=tuple(matches), exact=(), findings=(), skipped=(), failed=())


def deciding(
    verdicts: Sequence[Judged], experiment: Experiment, preset: Preset
) -> dict[str, list[int]]:
    """Find what to type after `assay` to decide what is undecided: each command with the numbers of
    its claims.

    More seeds where that decides it, as the price says; twice the steps where training is not
    converged."""
    numbers_by_command: dict[str, list[int]] = {}
    for number, verdict in enumerate(verdicts, 1):
        command = remedy(verdict.price.text, verdict.price_in_times)[1] if verdict.price else ""
        if not command and verdict.reason == "gate converged" and (sets := twice_the_steps(preset)):
            command = f"run {experiment.typed}{preset.but(sets).options}"
        if command:
            numbers_by_command.setdefault(command, []).append(number)
    return numbers_by_command
