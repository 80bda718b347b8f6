"""One claim: all that is known about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from assay.ask.near import in_words
from assay.core import digits, reasons
from assay.core.errors import ClaimError
from assay.core.experiment import Experiment
from assay.core.results import Judged, ResultData
from assay.lab.judge.result import Result
from assay.report import tables
from assay.verbs.parts import AnswerPart, Table


def asked(
    every: Result, claim: str, experiment: Experiment
) -> tuple[ResultData, Iterator[AnswerPart]]:
    """Give one claim of a result, and the same in words. Raises: ClaimError where no claim is the
    one, or several."""
    from assay.report.stored import slug  # which loads templates

    chosen = choose(every, claim)
    number = every.judged.index(chosen.judged[0]) + 1
    page = f"report/{slug(experiment.name, every.preset)}.html#claim-{number}"
    words = claim_in_words(chosen.judged[0], number, f"{page}, once the pages are written (below)")
    return chosen.data, words


def claim_in_words(judged_claim: Judged, number: int, page: str) -> Iterator[AnswerPart]:
    """List all that is known about one claim, a line for each thing; `page` says where its figure
    is."""
    claim, row = judged_claim.claim, tables.row(judged_claim)
    why = "; ".join(filter(None, (row.why.removeprefix(f"{row.outcome}: "), *row.remarks)))
    gates = [f"{name} {'met' if met else 'not met'}" for name, met in judged_claim.gates.items()]
    kind = f", {row.kind}" if row.kind else ""
    source = "" if claim.threshold_from == reasons.GIVEN else f", from {claim.threshold_from}"
    points = ", ".join(map(digits.number, judged_claim.points))
    lines = [
        (f"claim {number}", claim.text),
        ("verdict", f"{row.came_out}{kind}" + (f"; {why}" if why else "")),
        ("estimate", " ".join(filter(None, (row.estimate, row.interval, row.unit)))),
        ("interval", "; ".join(filter(None, (judged_claim.method, row.agreed)))),
        ("threshold", f"{claim.threshold}{source}"),
        ("units", f"{row.n} of {claim.of}: {points}"),
        *((c.arm, control_to_text(c, judged_claim)) for c in row.controls),
        ("gates", ", ".join(gates)),
        ("power", "" if "power" in row.why else tables.describe_detectable(judged_claim)),
        ("published", published(judged_claim)),
        ("source", claim.source),
        ("figure", page),
    ]
    yield Table(("", ""), [(name, words) for name, words in lines if words], headless=True)


def control_to_text(control: tables.Control, judged_claim: Judged) -> str:
    """Write a control: how it came out, its number, and why the author names it."""
    claim, came = judged_claim.claim, control.line.rpartition(": ")[2]
    text = f"{control.sign} {control.estimate} {control.interval}: {came}".lstrip()
    if tests := claim.near.get(control.arm):
        return f"{text} (it tests whether {in_words(tests)})"
    excuse = claim.may_hold.get(control.arm)
    return f"{text} ({in_words(excuse)})" if excuse else text


def published(judged_claim: Judged) -> str:
    """Write what a paper prints for the same quantity, where, and how far it compares."""
    paper = judged_claim.claim.published
    if paper is None or isinstance(paper, str):
        return ""
    note = f"; {paper.note}" if paper.note else ""
    return f"{paper.number:g}, {paper.source} ({paper.at}), {paper.set_up}{note}"


def choose(result: Result, claim: str) -> Result:
    """Keep one claim of a result: by its number, from 1 in the order of the table, or by words of
    its text.

    Raises: ClaimError where none has them, or several.
    """
    every = dict(enumerate(result.judged, 1))
    if claim.isdecimal():
        matches = [every[int(claim)]] if int(claim) in every else []
    else:
        matches = [j for j in every.values() if claim.casefold() in j.text.casefold()]
    if len(matches) != 1:
        listed = "; ".join(f"{i}. {j.text}" for i, j in every.items()) or "there are none"
        raise ClaimError(
            f"{len(matches) or 'no'} claims of {result.experiment} fit {claim!r}; name one by its "
            f"number or by words of its text: {listed}"
        )
    return replace(result, judged=tuple(matches), exact=(), findings=(), skipped=(), failed=())
