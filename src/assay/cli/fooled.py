"""What `assay show NAME --arm ARM` prints: what was changed, and what each claim says when another
arm stands in the method's place."""

from __future__ import annotations

from collections.abc import Mapping
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
    "control": "does not: a control, and must not",
    "other": "does not",
    "also": "does, and may: its author says so",
    "method": "DOES: the claim is fooled",
    "unnamed": "DOES, and nobody said it might",
    "passing": "DOES: a control, and must not",
}


def show(result: Result, experiment: Experiment) -> None:
    """Print the arm, and for every claim its number beside those of main and of the arm that the
    claim is about, and whether it satisfies it."""
    from assay.lab.result import judge_statements

    arm, note = result.arm, experiment.arms[result.arm].note
    claims = [s for s in experiment.claims if isinstance(s, Claim)]
    printing.say(f"Judged as if it were the method: {arm}{f', {note}' if note else ''}.")
    printing.say(
        "Does it satisfy what is claimed? It should not, unless the author says that it may."
    )
    print()
    table = printing.grid("", "claim", arm, "main", "satisfies it?")
    table.expand, table.columns[1].ratio, table.columns[4].max_width = True, 1, 18
    there = {one.claim.text: one for one in result.judged}
    others = [s.about(arm) for s in claims if s.of not in ("main", arm)]
    asked = judge_statements(others, result.arms, origin=experiment.origin)
    there |= {one.claim.text: one for one in asked.judged}
    as_main = judge_statements(
        [s if s.of == "main" else s.about("main") for s in claims],
        result.arms,
        origin=experiment.origin,
    ).judged
    main = {one.claim.text: one.verdict for one in as_main}
    lacking = dict((*result.skipped, *asked.failed, *asked.skipped))
    rows, own = 0, []
    for i, s in enumerate(claims, 1):
        one = there.get(s.text)
        if s.of == arm and arm != "main":
            own.append(i)
        elif one is not None and one.verdict.outcome != "undecided":
            sign, came = satisfied(s, arm, one.verdict.outcome != "fails")
            told = came if s.of == "main" else f"{came} (the claim is about {s.of})"
            table.add_row(
                sign, f"{i} {s.text}", number(one.verdict), number(main.get(s.text)), told
            )
            rows += 1
    if rows:
        printing.draw(table)
    for reason, texts in undecided(there).items():
        printing.say(f"Undecided, {reason}: {'; '.join(texts)}")
    missing = [s.text for s in claims if s.text in lacking]
    if missing:
        printing.say(
            f"Not asked, since they compare {arm} itself or need what it lacks: "
            f"{'; '.join(missing)}"
        )
    for i in own:
        outcome = [
            f" ({mine.verdict.outcome})"
            for mine in judge_statements(
                [claims[i - 1]], result.arms, origin=experiment.origin
            ).judged
        ]
        printing.say(f"Claim {i} is about {arm} itself{''.join(outcome)}: {claims[i - 1].text}")


def satisfied(claim: Claim, arm: str, does: bool) -> tuple[str, str]:
    """The sign of an arm that satisfies a claim, or does not, and whether it may."""
    if not does:
        return tables.CHECKS[True], CAME["control" if arm in claim.must_fail else "other"]
    if arm in claim.may_hold or arm in claim.must_hold:
        return "", CAME["also"]
    return tables.CHECKS[False], CAME[
        "passing" if arm in claim.must_fail else "method" if claim.of == "main" else "unnamed"
    ]


def number(verdict: Verdict | None) -> str:
    """Write an estimate with its interval; "" of an arm that was not asked."""
    if verdict is None:
        return ""
    return "\n".join(
        tables.estimate({"estimate": verdict.estimate, "low": verdict.low, "high": verdict.high})
    )


def undecided(found: Mapping[str, Judged]) -> dict[str, list[str]]:
    """Group the texts of undecided claims by the reason in words."""
    grouped: dict[str, list[str]] = {}
    for text, one in found.items():
        if one.verdict.outcome == "undecided":
            grouped.setdefault(told(one.verdict.reason), []).append(text)
    return grouped
