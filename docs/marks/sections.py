"""Statements of an experiment in Markdown, as its page in the docs shows them: a narrow table
first, and the rest folded away."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from assay.core.claims import Claim
from assay.core.reasons import explain_reason
from assay.core.results import Estimated, Judged, ResultData, Verified
from assay.report import tables
from assay.report.tables import Row, minus
from marks import markdown
from marks.markdown import cell, folded

SPACE = "\N{NO-BREAK SPACE}"
"""Where a line of a narrow cell must not break."""
TOLD = {"": "control", "near": "near control"}
"""What a line of controls begins with, where it is not what is said beside one alone."""
LINES = 8
"""Lines of a short table."""
SHORT = 12
"""Words up to which a claim is shown whole; a longer one is cut at its colon."""


def heads(texts: Sequence[str]) -> list[str]:
    """Each claim in a few words: what is before its colon, or all of it where that is short or
    two claims would look alike."""
    cut = [text.partition(": ")[0] for text in texts]
    often = Counter(cut)
    return [
        text if len(text.split()) <= SHORT or often[head] > 1 else head
        for text, head in zip(texts, cut, strict=True)
    ]


def brief(record: ResultData, turned: Mapping[str, str] = MappingProxyType({})) -> str:
    """Show each claim in a few words with its verdict, our number, the threshold, and how many of
    its controls fail; or the exact statements of a record that has no claim.

    Only the first `LINES` of them; of the others it counts the outcomes. `turned` has the outcome
    now of claims that contests turned.
    """
    claims = record.verdicts
    if not claims:
        return _exact(record.exact[:LINES])
    rows = tables.rows(record, turned)[: len(claims)]
    words = heads([r.text for r in rows])
    lines = []
    for i, (v, r) in enumerate(zip(claims[:LINES], rows, strict=False)):
        reason = f"<br>{cell(explain_reason(v.reason))}" if v.reason else ""
        ours = f"{r.estimate} {r.interval.replace(' ', SPACE)}"
        numbers = (ours, cell(v.threshold), _controls(v, r))
        came_out = f"{r.came_out.replace(' ', SPACE)}{reason}"
        lines.append((str(i + 1), cell(words[i]), came_out, *map(minus, numbers)))
    columns = ("#", "claim", "verdict", "ours", "holds if", "controls that fail")
    table = markdown.table(columns, lines)
    if rest := claims[LINES:]:
        counted = tables.signs(tables.outcomes(rest))
        table += f"\n{len(rest)} more claim{'s' * (len(rest) > 1)}: {counted}.\n"
    return table


def _controls(v: Judged, r: Row) -> str:
    """How many controls fail, and what else keeps a claim from being specific: arms that pass
    although they did not learn what it credits."""
    must = [c.met for c in r.controls if c.arm in v.controls]
    fail = f"{sum(map(bool, must))} of {len(must)}"
    if not (unlearned := _unlearned_arms(v.reason)):
        return fail
    one = len(unlearned) == 1
    count = "an arm" if one else f"{len(unlearned)} arms"
    return f"{fail}; {count} that did not learn it pass{'es' * one}"


def _unlearned_arms(reason: str) -> list[str]:
    """List the arms that a reason says satisfy the claim without having learned what it credits."""
    words, found, _ = reason.partition(" too, unlearned")
    return re.sub(r" satisf(y|ies) it$", "", words).split(", ") if found else []


def full(record: ResultData, turned: Mapping[str, str] = MappingProxyType({})) -> str:
    """List the claims with every control, exact statements and estimates, each kind folded away;
    `turned` as in `brief`."""
    claims, exact, findings = record.verdicts, record.exact, record.findings
    right = sum(e.outcome == "exact" for e in exact)
    parts = {
        "The claims in full, with their controls (✓: a control that does not satisfy it)": (
            claims and _full(claims, tables.rows(record, turned))
        ),
        f"Theorems and facts of arithmetic: {right} of {len(exact)} are confirmed": (
            exact and _exact(exact)
        ),
        f"Estimates, which have no verdict: {len(findings)}": findings and _findings(findings),
    }
    return "\n".join(folded(summary, body) for summary, body in parts.items() if body)


def before(claims: Sequence[Claim]) -> str:
    """List what was fixed before the run: of each claim its arm, threshold and where that comes
    from, units, and controls."""
    lines = []
    for i, c in enumerate(claims, 1):
        lines.append(
            f"{i}. **{c.text}.** Of `{c.of}`, by {' × '.join(c.units)}. Holds if "
            f"{c.threshold}; *{tables.KIND_WORDS[c.kind]}*, {_short(c.threshold_since)}"
        )
        near = [f"`{arm}` (near: {why})" for arm, why in c.near.items()]
        controls = [*near, *(f"`{arm}`" for arm in c.must_fail if arm not in c.near)]
        lines += [f"    - must fail: {', '.join(controls)}"] if controls else []
        arms_by_reason = {
            why: ", ".join(f"`{arm}`" for arm, reason in c.may_hold.items() if reason == why)
            for why in c.may_hold.values()
        }
        lines += (
            [
                (
                    "    - may hold too: "
                    f"{'; '.join(f'{arms}: {why}' for why, arms in arms_by_reason.items())}"
                )
            ]
            if arms_by_reason
            else []
        )
    return minus("\n".join(lines)) + "\n"


def _full(claims: Sequence[Judged], rows: Sequence[Row]) -> str:
    """List each claim as it was judged, with what would have been found or would decide it, and
    every control."""
    lines = []
    for i, (v, r) in enumerate(zip(claims, rows, strict=False), 1):
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
            f"{i}. **{r.text}.** {r.came_out}, *{tables.KIND_WORDS[v.kind]}*: "
            f"{r.estimate} {r.interval}{unit}, {r.n}.{paper}{why}"
        )
        for kind in dict.fromkeys(c.remark for c in r.controls):
            same = "; ".join(
                f"{c.sign} `{c.arm}` {c.estimate} {c.interval}".lstrip()
                for c in r.controls
                if c.remark == kind
            )
            lines.append(f"    - {TOLD.get(kind, kind)}: {same}")
    return minus("\n".join(lines)) + "\n"


def _exact(exact: Sequence[Verified]) -> str:
    rows = (
        (
            minus(cell(r.text)),
            f"{r.sign}{SPACE}{r.outcome}",
            minus(r.estimate),
            minus(cell(r.interval)),
        )
        for r in map(tables.row, exact)
    )
    return markdown.table(("exact statement", "", "came out", "due"), rows)


def _findings(findings: Sequence[Estimated]) -> str:
    rows = []
    for r in map(tables.row, findings):
        value = minus(
            " ".join(filter(None, (r.estimate, r.interval.replace(" ", SPACE), cell(r.unit))))
        )
        told = "".join(f"<br>{minus(cell(line))}" for line in r.curve)
        rows.append((minus(cell(r.text)), f"{value}{told}", r.n))
    return markdown.table(("what", "estimate [95% interval]", "units"), rows)


def _short(origin: str) -> str:
    """Where a threshold comes from, without the description of the pilot that the page gives
    once."""
    return re.sub(r"^pilot: seeds[^:.]*: ", "pilot: ", origin)


def violations(results: Mapping[str, ResultData], earlier: Mapping[str, Mapping[str, str]]) -> str:
    """Say how many exact statements are violated, over all noted looks: one that came out after a
    change was violated all the same.

    `earlier` has, by experiment, the statements that were violated at a look, and how.
    """
    exact = {(name, e.text): e.outcome for name, data in results.items() for e in data.exact}
    past = {
        (name, text): how for name, violated in earlier.items() for text, how in violated.items()
    }
    every = {k for k, outcome in exact.items() if outcome == "violated"} | past.keys()
    listed = "; ".join(
        f'{name}, "{text}" ({past.get((name, text), "as recorded")})'
        for name, text in sorted(every)
    )
    summary = (
        f"Of exact statements {len(every)} violated of {len(exact.keys() | past.keys())}, over "
        "all looks that are noted"
    )
    return f"{summary}{f': {listed}' if listed else ''}."
