"""An experiment's statements as its page in the docs shows them: a narrow table for the first look,
the rest of each folded away.

Takes a record as plain values, and an experiment's claims for what was fixed before the run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from assay.core.claims import Claim
from assay.core.reasons import told
from assay.report import tables
from assay.report.tables import cell, minus

JSON = Mapping[str, Any]
SPACE = "\N{NO-BREAK SPACE}"
"""Where a line of a narrow cell must not break."""
TOLD = {"": "control", "near": "near control"}
"""What a line of controls begins with, where it is not what is said beside one alone."""
SHORT = 12
"""Words up to which a claim is shown whole; a longer one is cut at its colon."""


def folded(summary: str, body: str) -> str:
    """Fold Markdown away under a line that says what is there."""
    return f"<details>\n<summary>{summary}</summary>\n\n{body.strip()}\n\n</details>\n"


def verdicts(record: JSON) -> str:
    """Show each claim in a few words with its verdict, and fold away the claims in full, exact
    statements and findings."""
    claims, exact, findings = (
        list(record.get(kind, ())) for kind in ("verdicts", "exact", "findings")
    )
    if not claims:
        return _exact(exact)
    parts = [
        scanned(claims),
        folded(
            "The claims in full, with their controls (✓: a control that fails, as it must)",
            _full(claims),
        ),
    ]
    if exact:
        right = sum(e.get("outcome", "exact") == "exact" for e in exact)
        parts.append(folded(f"Exact statements: {right} of {len(exact)} come out", _exact(exact)))
    if findings:
        parts.append(
            folded(f"Findings, which have no verdict: {len(findings)}", _findings(findings))
        )
    return "\n".join(parts)


def scanned(claims: Sequence[JSON]) -> str:
    """Each claim in one narrow line: a few words, the verdict, our number, the threshold, and a
    paper's number where one is printed."""
    printed = any(isinstance(v.get("published"), Mapping) for v in claims)
    titles = ["#", "claim", "verdict", "ours", "holds if", *(["published"] if printed else [])]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    rows = tables.rows({"verdicts": claims})
    for i, (words, v, r) in enumerate(
        zip(heads([r.text for r in rows]), claims, rows, strict=True), 1
    ):
        reason = f"<br>{cell(told(v['reason']))}" if v.get("reason") else ""
        ours = f"{r.estimate} {r.interval.replace(' ', SPACE)}"
        paper = f"{r.published} ({r.setup})" if r.setup else r.published
        cells = [
            minus(ours),
            minus(cell(v.get("threshold", ""))),
            *([minus(paper)] if printed else []),
        ]
        lines.append(
            f"| {i} | {cell(words)} | {r.sign}{SPACE}{r.outcome}{reason} | {' | '.join(cells)} |"
        )
    return "\n".join(lines) + "\n"


def heads(texts: Sequence[str]) -> list[str]:
    """Each claim in a few words: what stands before its colon, or all of it where that is short or
    two claims would look alike."""
    cut = [text.partition(": ")[0] for text in texts]
    often = Counter(cut)
    return [
        text if len(text.split()) <= SHORT or often[head] > 1 else head
        for text, head in zip(texts, cut, strict=True)
    ]


def before(claims: Sequence[Claim]) -> str:
    """List what was fixed before the run: of each claim its arm, threshold and where that comes
    from, units, and controls."""
    lines = []
    for i, c in enumerate(claims, 1):
        lines.append(
            f"{i}. **{c.text}.** Of `{c.of}`, by {' × '.join(c.units)}. Holds if "
            f"{c.threshold}; *{c.kind}*, {_short(c.threshold_since)}"
        )
        near = [f"`{arm}` (near: {why})" for arm, why in c.near.items()]
        controls = [*near, *(f"`{arm}`" for arm in c.must_fail if arm not in c.near)]
        lines += [f"    - must fail: {', '.join(controls)}"] if controls else []
        alike = {
            why: ", ".join(f"`{arm}`" for arm, said in c.may_hold.items() if said == why)
            for why in c.may_hold.values()
        }
        lines += (
            [f"    - may hold too: {'; '.join(f'{arms}: {why}' for why, arms in alike.items())}"]
            if alike
            else []
        )
    return minus("\n".join(lines)) + "\n"


def _full(claims: Sequence[JSON]) -> str:
    """List each claim as it was judged, with what would have been found or would decide it, and
    every control."""
    lines = []
    for i, (v, r) in enumerate(zip(claims, tables.rows({"verdicts": claims}), strict=True), 1):
        paper = (
            ""
            if not r.published
            else " New."
            if r.published == "new"
            else f" Published: {r.published} ({r.setup})."
        )
        why = f" {r.advice[:1].upper()}{r.advice[1:]}." if r.advice else ""
        unit = f" {r.unit}" if r.unit else ""
        lines.append(
            f"{i}. **{r.text}.** {r.sign} {r.outcome}, *{v.get('kind', 'confirming')}*: "
            f"{r.estimate} {r.interval}{unit}, {r.n}.{paper}{why}"
        )
        for kind in dict.fromkeys(c.told for c in r.controls):
            same = "; ".join(
                f"{c.sign} `{c.arm}` {c.estimate} {c.interval}".lstrip()
                for c in r.controls
                if c.told == kind
            )
            lines.append(f"    - {TOLD.get(kind, kind)}: {same}")
    return minus("\n".join(lines)) + "\n"


def _exact(exact: Sequence[JSON]) -> str:
    lines = ["| exact statement | | came out | due |", "|---|---|---|---|"]
    for r in tables.rows({"exact": exact}):
        lines.append(
            f"| {minus(cell(r.text))} | {r.sign}{SPACE}{r.outcome} | "
            f"{minus(f'{r.estimate} | {cell(r.interval)}')} |"
        )
    return "\n".join(lines) + "\n"


def _findings(findings: Sequence[JSON]) -> str:
    lines = ["| finding | estimate [95 % interval] | units |", "|---|---|---|"]
    for r in tables.rows({"findings": findings}):
        value = minus(
            " ".join(filter(None, (r.estimate, r.interval.replace(" ", SPACE), cell(r.unit))))
        )
        lines.append(f"| {minus(cell(r.text))} | {value} | {r.n} |")
    return "\n".join(lines) + "\n"


def _short(origin: str) -> str:
    """Where a threshold comes from, without the description of the pilot that the page gives
    once."""
    return re.sub(r"^pilot: seeds[^:.]*: ", "pilot: ", origin)
