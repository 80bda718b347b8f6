"""Verdicts: one claim chosen from a result, and which claims came out otherwise than was expected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from assay.core.errors import ClaimError

if TYPE_CHECKING:  # `assay judge` on a table needs no lab
    from assay.core.claims import Judged
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
    return tuple(f"expected {expected}, {one.verdict.outcome}: {one.claim.text}" for one in judged if one.verdict.outcome != expected)
