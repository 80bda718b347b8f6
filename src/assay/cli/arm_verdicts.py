"""What `assay show NAME --arm ARM` prints: what was changed, and what each claim says when another
arm stands in the method's place."""

from __future__ import annotations

from collections.abc import Mapping

from assay.cli import printing
from assay.core.claims import Claim
from assay.core.experiment import Experiment
from assay.core.reasons import explain_reason
from assay.core.results import Judged, Verdict
from assay.lab.result import Result, judge_statements
from assay.report import tables

CAME = {
    "control": "does not: a control, and must not",
    "other": "does not",
    "also": "does, and may: its author says so",
    "true": "does, as another arm may",
    "unnamed": "DOES, and lacks what is credited",
    "passing": "DOES: a control, and must not",
}


def show(result: Result, experiment: Experiment) -> None:
    """Print the arm, and for every claim its number beside those of main and of the arm that the
    claim is about, and whether it satisfies it."""
    arm, note = result.arm, experiment.arms[result.arm].note
    claims = [s for s in experiment.claims if isinstance(s, Claim)]
    printing.say(f"Judged as if it were the method: {arm}{f', {note}' if note else ''}.")
    printing.say(
        "Does it satisfy what is claimed? Controls must not, nor what lacks a credited part."
    )
    print()
    table = printing.grid("", "claim", arm, "main", "satisfies it?")
    table.expand, table.columns[1].ratio, table.columns[4].max_width = True, 1, 18
    judged_by_text = {judged_claim.text: judged_claim for judged_claim in result.judged}
    other_claims = [s.about(arm) for s in claims if s.of not in ("main", arm)]
    judgements = judge_statements(other_claims, result.arms, origin=experiment.origin)
    judged_by_text |= {judged_claim.text: judged_claim for judged_claim in judgements.judged}
    as_main = judge_statements(
        [s if s.of == "main" else s.about("main") for s in claims],
        result.arms,
        origin=experiment.origin,
    ).judged
    main = {judged_claim.text: judged_claim for judged_claim in as_main}
    lacking = dict((*result.skipped, *judgements.failed, *judgements.skipped))
    rows, own_numbers = 0, []
    for i, s in enumerate(claims, 1):
        judged_claim = judged_by_text.get(s.text)
        if s.of == arm and arm != "main":
            own_numbers.append(i)
        elif judged_claim is not None and judged_claim.outcome != "undecided":
            sign, came = satisfied(s, judged_claim)
            answer = came if s.of == "main" else f"{came} (the claim is about {s.of})"
            table.add_row(
                sign,
                f"{i} {s.text}",
                number(judged_claim),
                number(main.get(s.text)),
                answer,
            )
            rows += 1
    if rows:
        printing.draw(table)
    for reason, texts in undecided(judged_by_text).items():
        printing.say(f"Undecided, {reason}: {'; '.join(texts)}")
    missing = [s.text for s in claims if s.text in lacking]
    if missing:
        printing.say(
            f"Not asked, since they compare {arm} itself or need what it lacks: "
            f"{'; '.join(missing)}"
        )
    for i in own_numbers:
        outcome = [
            f" ({own_claim.outcome})"
            for own_claim in judge_statements(
                [claims[i - 1]], result.arms, origin=experiment.origin
            ).judged
        ]
        printing.say(f"Claim {i} is about {arm} itself{''.join(outcome)}: {claims[i - 1].text}")


def satisfied(claim: Claim, verdict: Verdict) -> tuple[str, str]:
    """The sign of an arm that satisfies a claim, or does not, and whether it may."""
    arm = verdict.arm
    if verdict.outcome == "fails":
        return tables.CHECKS[True], CAME["control" if arm in claim.must_fail else "other"]
    if arm in claim.must_fail:
        return tables.CHECKS[False], CAME["passing"]
    if verdict.lacks:
        return tables.CHECKS[False], CAME["unnamed"]
    return "", CAME["also" if arm in claim.may_hold or arm in claim.must_hold else "true"]


def number(verdict: Verdict | None) -> str:
    """Write an estimate with its interval; "" of an arm that was not asked."""
    if verdict is None:
        return ""
    return "\n".join(tables.estimate(verdict.estimate, verdict.low, verdict.high))


def undecided(judged_by_text: Mapping[str, Judged]) -> dict[str, list[str]]:
    """Group the texts of undecided claims by the reason in words."""
    grouped: dict[str, list[str]] = {}
    for text, judged_claim in judged_by_text.items():
        if judged_claim.outcome == "undecided":
            grouped.setdefault(explain_reason(judged_claim.reason), []).append(text)
    return grouped
