"""One claim: all that is known of it; and what another arm makes of every claim."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from assay.controls.table import in_words
from assay.core.claims import Claim
from assay.core.errors import ClaimError
from assay.core.experiment import Experiment
from assay.core.reasons import explain_reason
from assay.core.results import Judged, ResultData, Verdict
from assay.lab.judge.result import Result, judge_statements
from assay.report import tables
from assay.verbs.verb import AnswerPart, Table

CAME = {
    "other": "does not",
    "also": "does, and may: its author says so",
    "true": "does, as another arm may",
    "unnamed": "DOES, and lacks what is credited",
}
"""Whether an arm that is no control satisfies a claim, in words."""


def asked(
    every: Result, claim: str | None, experiment: Experiment
) -> tuple[ResultData, Iterator[AnswerPart]]:
    """Give what is asked for of a result, one claim or all claims for another arm than the method,
    and the same in words. Raises: ClaimError where no claim is the one, or several."""
    chosen = every if claim is None else choose(every, claim)
    if every.arm != "main":
        return chosen.data, arm_in_words(chosen, experiment)
    from assay.verbs.pages import slug  # which loads templates

    number = every.judged.index(chosen.judged[0]) + 1
    page = f"report/{slug(experiment.name, every.preset)}.html#claim-{number}"
    words = claim_in_words(chosen.judged[0], number, f"{page}, once the pages are written (below)")
    return chosen.data, words


def claim_in_words(judged_claim: Judged, number: int, page: str) -> Iterator[AnswerPart]:
    """Tell all that is known of one claim, a line for each thing; `page` says where its figure
    is."""
    claim, row = judged_claim.claim, tables.row(judged_claim)
    why = row.why.removeprefix(f"{row.outcome}: ")
    gates = [f"{name} {'met' if met else 'not met'}" for name, met in judged_claim.gates.items()]
    kind = tables.KIND_WORDS[claim.kind]
    lines = [
        (f"claim {number}", claim.text),
        ("verdict", f"{row.sign} {row.outcome}, {kind}" + (f"; {why}" if why else "")),
        ("estimate", " ".join(filter(None, (row.estimate, row.interval, row.unit)))),
        ("interval", "; ".join(filter(None, (judged_claim.method, row.agreed)))),
        ("threshold", f"{claim.threshold}, from {claim.threshold_from}"),
        (
            "units",
            f"{row.n} of {claim.of}: " + ", ".join(map(tables.number, judged_claim.points)),
        ),
        *((c.arm, control_to_text(c, judged_claim)) for c in row.controls),
        ("gates", ", ".join(gates)),
        ("power", "" if "power" in row.why else tables.describe_detectable(judged_claim)),
        ("published", published(judged_claim)),
        ("source", claim.source),
        ("scope", judged_claim.scope),
        ("figure", page),
    ]
    yield Table(("", ""), [(name, words) for name, words in lines if words], headless=True)


def control_to_text(control: tables.Control, judged_claim: Judged) -> str:
    """Write a control: how it came out, its number, and why the author names it."""
    why = {**judged_claim.claim.near, **judged_claim.claim.may_hold}.get(control.arm, "")
    came = control.line.rpartition(": ")[2]
    text = f"{control.sign} {control.estimate} {control.interval}: {came}".lstrip()
    return f"{text} ({in_words(why)})" if why else text


def published(judged_claim: Judged) -> str:
    """Write what a paper prints of the same quantity, where it stands, and how far it compares."""
    paper = judged_claim.claim.published
    if paper is None or isinstance(paper, str):
        return "new: no paper that we know prints it" if paper else ""
    note = f"; {paper.note}" if paper.note else ""
    return f"{paper.number:g}, {paper.source} ({paper.at}), {paper.set_up}{note}"


def arm_in_words(result: Result, experiment: Experiment) -> Iterator[AnswerPart]:
    """Tell the arm, and for every claim its number beside that of the arm that the claim is about,
    and whether it satisfies it. A control is told as the verdict on the claim has it."""
    arm, note = result.arm, experiment.arms[result.arm].note
    claims = [s for s in experiment.claims if isinstance(s, Claim)]
    yield f"Judged as if it were the method: {arm}{f', {note}' if note else ''}."
    yield "Does it satisfy the claims? Controls and arms that lack a credited part should not."
    yield ""
    judged_by_text = {judged_claim.text: judged_claim for judged_claim in result.judged}
    other_claims = [s.about(arm) for s in claims if s.of not in ("main", arm)]
    judgements = judge_statements(other_claims, result.arms, origin=experiment.origin)
    judged_by_text |= {judged_claim.text: judged_claim for judged_claim in judgements.judged}
    as_claimed = judge_statements(claims, result.arms, origin=experiment.origin).judged
    method = {judged_claim.text: judged_claim for judged_claim in as_claimed}
    lacking = dict((*result.skipped, *judgements.failed, *judgements.skipped))
    rows, own_numbers, undecided = [], [], dict[str, list[int]]()
    for i, s in enumerate(claims, 1):
        claimed = method.get(s.text)
        verdict = (claimed.controls.get(arm) if claimed else None) or judged_by_text.get(s.text)
        if s.of == arm and arm != "main":
            own_numbers.append(i)
        elif verdict is not None:
            sign, came = satisfied(s, verdict)
            answer = came if s.of == "main" else f"{came} (the claim is about {s.of})"
            rows.append((sign, f"{i} {s.text}", number(verdict), number(claimed), answer))
            if verdict.outcome == "undecided":
                undecided.setdefault(explain_reason(verdict.reason), []).append(i)
    if rows:
        names = ("", "claim", arm, "method", "satisfies it?")
        yield Table(names, rows, wide={"claim": 1}, narrow={"satisfies it?": 18})
    for reason, numbers in undecided.items():
        yield f"Undecided, {reason}: {', '.join(f'claim {i}' for i in numbers)}"
    missing = [s.text for s in claims if s.text in lacking]
    if missing:
        yield (
            f"Not asked, since they compare {arm} itself or need what it lacks: "
            f"{'; '.join(missing)}"
        )
    for i in own_numbers:
        claimed = method.get(claims[i - 1].text)
        value = f" ({claimed.outcome}, {' '.join(number(claimed).split())})" if claimed else ""
        yield f"Claim {i} is about {arm} itself{value}: {claims[i - 1].text}"


def satisfied(claim: Claim, verdict: Verdict) -> tuple[str, str]:
    """The sign of an arm that satisfies a claim, or does not, and whether it may."""
    arm = verdict.arm
    if arm in claim.must_fail:
        control = tables.control("control", arm, verdict)
        return control.sign, f"a control: {control.state}"
    if verdict.outcome == "undecided":
        return tables.CHECKS[None], "undecided"
    if verdict.outcome == "fails":
        return tables.CHECKS[True], CAME["other"]
    if verdict.lacks:
        return tables.CHECKS[False], CAME["unnamed"]
    return "", CAME["also" if arm in claim.may_hold or arm in claim.must_hold else "true"]


def number(verdict: Verdict | None) -> str:
    """Write an estimate with its interval; "" of an arm that was not asked."""
    if verdict is None:
        return ""
    return "\n".join(tables.estimate(verdict.estimate, verdict.low, verdict.high))


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
