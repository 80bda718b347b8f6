"""What a verb says of a new kind of result: its claims as JSON, the same in lines, an exit code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from assay.verbs.parts import AnswerPart, Aside, Line
from assay.verbs.verb import Answer, Expected
from assay.verdicts.result import Judged, Provenance, Result


@dataclass(frozen=True)
class Stated:
    """A result without its numbers."""

    question: str
    outcome: str
    claims: tuple[Judged, ...]
    scope: str
    provenance: Provenance


def stated(result: Result) -> Stated:
    """What a result states."""
    of = result.provenance
    return Stated(result.question, result.outcome, result.claims, result.scope, of)


def answered(
    result: Result, expect: Expected = None, more: Iterable[str] = (), code: int = 0
) -> Answer[Stated]:
    """Answer with a result, and with further lines; with 1 where a claim came out otherwise than
    expected."""
    words: list[AnswerPart] = [Line(text) for text in (*str(result).splitlines(), *more)]
    other = [c for c in result.claims if expect and c.verdict.outcome != expect]
    words += [Aside(f"{c.verdict.outcome}, not {expect}: {c.holds}") for c in other]
    return Answer(stated(result), words, max(code, int(bool(other))))
