"""What `assay show NAME --arm ARM` prints: what was changed, and what each claim says when another arm stands in the method's place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.cli import printing
from assay.core.claims import Claim
from assay.core.reasons import told
from assay.report import tables

if TYPE_CHECKING:
    from assay.core.claims import Judged, Verdict
    from assay.core.experiment import Experiment
    from assay.lab.result import Result

CAME = {
    "fails": "fails here too, as it should",
    "holds": "HOLDS here as well: the claim is fooled",
    "unspecific": "HOLDS here, as for others: the claim is fooled",
}


def show(result: Result, experiment: Experiment) -> None:
    """Print the arm, the claims that it decides beside the method's own numbers, and in a line each reason why others say nothing of it."""
    arm, note = result.arm, experiment.arms[result.arm].note
    printing.say(f"Judged as if it were the method: {arm}{f', {note}' if note else ''}.")
    printing.say("A claim should fail here, unless its author says that it may hold.")
    print()
    table = printing.grid("", "claim", arm, "main", "came out")
    table.expand, table.columns[1].ratio, table.columns[4].max_width = True, 1, 14
    decided = [one for one in result.judged if one.verdict.outcome != "undecided"]
    for one in decided:
        shown = {**one.also, **one.controls, **one.planted}
        fine = allowed(experiment, one, arm)
        came = "it may hold: its author says so" if fine else CAME[one.verdict.outcome]
        table.add_row(tables.CHECKS[fine or one.verdict.outcome == "fails"], one.claim.text, number(one.verdict), number(shown.get("main")), came)
    if decided:
        printing.draw(table)
    for reason, texts in undecided(result).items():
        printing.say(f"Undecided, {reason}: {'; '.join(texts)}")
    if result.skipped:
        printing.say(f"Not asked, since they compare {arm} itself or need what it lacks: {'; '.join(text for text, _ in result.skipped)}")
    others = sum(isinstance(s, Claim) and s.of not in ("main", arm) for s in experiment.claims)
    if others:
        printing.say(f"{others} more {'claim is' if others == 1 else 'claims are'} about other arms, and not asked.")


def allowed(experiment: Experiment, one: Judged, arm: str) -> bool:
    """Whether a claim that holds of this arm names it beforehand as one that may."""
    own = next((s for s in experiment.claims if isinstance(s, Claim) and s.text == one.claim.text), one.claim)
    return one.verdict.outcome in ("holds", "unspecific") and arm in own.may_hold


def number(verdict: Verdict | None) -> str:
    """Write an estimate with its interval; "" of an arm that was not asked."""
    if verdict is None:
        return ""
    return "\n".join(tables.estimate({"estimate": verdict.estimate, "low": verdict.low, "high": verdict.high}))


def undecided(result: Result) -> dict[str, list[str]]:
    """Group the texts of undecided claims by the reason in words."""
    found: dict[str, list[str]] = {}
    for one in result.judged:
        if one.verdict.outcome == "undecided":
            found.setdefault(told(one.verdict.reason), []).append(one.claim.text)
    return found
