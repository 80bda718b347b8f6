"""Statements in Markdown: of an experiment as its page in the docs shows them, a narrow table first
and the rest folded away; of many what came out, what it cost, and how many errors to expect.

Takes records or stored results, so that pages, docs and the index of a report say the same."""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from assay.core.claims import Claim
from assay.core.reasons import explain_reason
from assay.core.results import Estimated, Judged, Published, ResultData, Verified
from assay.report import tables
from assay.report.tables import cell, minus

SPACE = "\N{NO-BREAK SPACE}"
"""Where a line of a narrow cell must not break."""
TOLD = {"": "control", "near": "near control"}
"""What a line of controls begins with, where it is not what is said beside one alone."""
LINES = 10
"""Lines of a short table."""
SHORT = 12
"""Words up to which a claim is shown whole; a longer one is cut at its colon."""


COLUMNS = (
    *(
        (f"{kind} {tables.SIGNS[o]}", kind, o)
        for kind in ("risky", "confirming")
        for o in tables.OUTCOMES
    ),
    ("exact", "exact", "exact"),
    ("violated", "exact", "violated"),
)
"""Head, kind and outcome of what is counted apart."""
HEADS = (
    "experiment",
    *(head for head, *_ in COLUMNS),
    "estimates",
    "published",
    "s",
    "CPU-s",
    "GB a process",
)


def folded(summary: str, body: str) -> str:
    """Fold Markdown away under a line that says what is there."""
    return f"<details>\n<summary>{summary}</summary>\n\n{body.strip()}\n\n</details>\n"


def brief(record: ResultData) -> str:
    """Show each claim in a few words with its verdict, our number, the threshold, and how many of
    its controls fail; or the exact statements of a record that has no claim.

    Only the first `LINES` of them; of the others it counts the outcomes.
    """
    claims = record.verdicts
    if not claims:
        return _exact(record.exact[:LINES])
    rows = list(map(tables.row, claims))
    words = heads([r.text for r in rows])
    lines = []
    for i, (v, r) in enumerate(zip(claims[:LINES], rows, strict=False)):
        reason = f"<br>{cell(explain_reason(v.reason))}" if v.reason else ""
        ours = f"{r.estimate} {r.interval.replace(' ', SPACE)}"
        must = [c.met for c in r.controls if c.role in ("near", "control")]
        numbers = (ours, cell(v.threshold), f"{sum(map(bool, must))} of {len(must)}")
        came_out = f"{r.sign}{SPACE}{r.outcome}{reason}"
        lines.append((str(i + 1), cell(words[i]), came_out, *map(minus, numbers)))
    columns = ("#", "claim", "verdict", "ours", "holds if", "controls that fail")
    table = tables.markdown(columns, lines)
    if rest := claims[LINES:]:
        counted = tables.signs(tables.outcomes(rest))
        table += f"\n{len(rest)} more claim{'s' * (len(rest) > 1)}: {counted}.\n"
    return table


def full(record: ResultData) -> str:
    """List the claims with every control, exact statements and estimates, each kind folded away."""
    claims, exact, findings = record.verdicts, record.exact, record.findings
    right = sum(e.outcome == "exact" for e in exact)
    parts = {
        "The claims in full, with their controls (✓: a control that fails, as it must)": (
            claims and _full(claims)
        ),
        f"Exact statements: {right} of {len(exact)} come out": exact and _exact(exact),
        f"Estimates, which have no verdict: {len(findings)}": findings and _findings(findings),
    }
    return "\n".join(folded(summary, body) for summary, body in parts.items() if body)


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


def _full(claims: Sequence[Judged]) -> str:
    """List each claim as it was judged, with what would have been found or would decide it, and
    every control."""
    lines = []
    for i, (v, r) in enumerate(zip(claims, map(tables.row, claims), strict=True), 1):
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
            f"{i}. **{r.text}.** {r.sign} {r.outcome}, *{v.kind}*: "
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
    return tables.markdown(("exact statement", "", "came out", "due"), rows)


def _findings(findings: Sequence[Estimated]) -> str:
    rows = []
    for r in map(tables.row, findings):
        value = minus(
            " ".join(filter(None, (r.estimate, r.interval.replace(" ", SPACE), cell(r.unit))))
        )
        told = "".join(f"<br>{minus(cell(line))}" for line in r.curve)
        rows.append((minus(cell(r.text)), f"{value}{told}", r.n))
    return tables.markdown(("what", "estimate [95 % interval]", "units"), rows)


def _short(origin: str) -> str:
    """Where a threshold comes from, without the description of the pilot that the page gives
    once."""
    return re.sub(r"^pilot: seeds[^:.]*: ", "pilot: ", origin)


def cost(data: ResultData) -> str:
    """Seconds, CPU-seconds and the memory of the largest process, as measured: "17 s, 33
    CPU-seconds, 0.6 GB a process"."""
    memory = f", {peak(data):.1f} GB a process" if peak(data) else ""
    return f"{data.seconds:,.0f} s, {data.cpu_seconds:,.0f} CPU-seconds{memory}"


def peak(data: ResultData) -> float:
    """GB of memory of the largest process; 0 where that is not known."""
    return float(data.provenance.get("peak_rss") or 0) / 1e9


def about(data: ResultData, title: str) -> str:
    """One experiment in a line: its title, what it cost, how many of its exact statements come
    out."""
    exact = [e.outcome for e in data.exact]
    exact_note = (
        f" {exact.count('exact')} of {len(exact)} exact statements come out." if exact else ""
    )
    head = f"{title}{'' if title.endswith('?') else '.'} " if title else ""
    return f"{head}{cost(data)}.{exact_note}"


def errors(verdicts: Sequence[Judged]) -> str:
    """Say how many false verdicts to expect among these claims, by the error rates that were
    measured, not by nominal ones.

    Formula: a sum over claims of the measured rate at the claim's number of units, if every claim
    lay on its threshold.
    Source: docs/coverage.md, whose rates are packaged as coverage.json.
    """
    decided = sum(v.outcome != "undecided" for v in verdicts)
    even, skewed = (sum(rate(v, world) for v in verdicts) for world in ("normal", "exponential"))
    return (
        f"{decided} of {len(verdicts)} claims are decided. Errors are likeliest where a claim "
        "lies exactly on its threshold. "
        f"If all {len(verdicts)} did, about {even:.1f} would be announced as holding although "
        "they do not hold, and as many as failing: that is for "
        "units spread as normal ones are. For units as skewed as exponential ones it would be "
        f"about {skewed:.1f} on the worse side. "
        "The further claims lie from their thresholds, the fewer. These are measured rates, not "
        "nominal ones. "
        "They say nothing of claims whose units are not independent, or whose threshold was "
        "chosen by what came out."
    )


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


def rate(verdict: Judged, world: str) -> float:
    """The measured share of worlds in which a claim on its threshold is falsely announced, on the
    worse side, at this n of units."""
    table = _coverage()["exact" if verdict.bounds else world]
    n = min(verdict.n.values(), default=0)
    known = [int(k) for k in table if int(k) <= n] or [min(map(int, table))]
    return float(max(table[str(max(known))]))


@functools.cache
def _coverage() -> dict[str, dict[str, list[float]]]:
    """World → number of units → the shares falsely below and falsely above."""
    return json.loads((Path(__file__).parent / "coverage.json").read_text())


def counts(
    results: Mapping[str, ResultData],
    took: tuple[float, float] | None = None,
    last_column: Mapping[str, str] | None = None,
    linked: bool = True,
) -> str:
    """One line per experiment in Markdown: outcomes by kind, how many of its numbers a paper
    prints, and its cost; and all together.

    `took` has the seconds and CPU-seconds of all together where they overlapped, `beside` a last
    column, `linked` whether their pages lie beside it."""
    heads = (*HEADS, *(["made"] if last_column else []))
    rows = []
    total = [0] * (len(HEADS) - 2)
    for name, data in results.items():
        row = counted(data)
        total = [a + b for a, b in zip(total, row, strict=True)]
        label = f"[`{name}`]({name}.md)" if linked else f"`{name}`"
        last = [last_column[name]] if last_column else []
        rows.append([label, *map(str, row), f"{peak(data):.1f}", *last])
    if took is not None:
        total[-2:] = map(round, took)
    rows.append(["**all**", *(f"**{n}**" for n in total), "", *([""] if last_column else [])])
    return tables.markdown(heads, rows)


def counted(data: ResultData) -> list[int]:
    """Count one experiment's statements by kind and outcome; then estimates, numbers in print,
    seconds, CPU-seconds."""
    outcomes: list[tuple[str, str]] = [(v.kind, v.outcome) for v in data.verdicts]
    outcomes += [(e.kind, e.outcome) for e in data.exact]
    printed = sum(isinstance(v.published, Published) for v in data.verdicts)
    tallies = [outcomes.count((kind, outcome)) for _, kind, outcome in COLUMNS]
    return [
        *tallies,
        len(data.findings),
        printed,
        round(data.seconds),
        round(data.cpu_seconds),
    ]


def listed(data: ResultData) -> str:
    """Every claim of one experiment in Markdown: outcome, estimate with its interval, what is
    published, and every control."""
    if tables.only_exact(data):
        return f"{tables.ONLY_EXACT}\n"
    head = f"{tables.CHECKED}; and other arms that hold"
    rows = []
    for r in map(tables.row, data.verdicts):
        why = f"<br>*{minus(cell(r.advice))}*" if r.advice else ""
        published = f"{r.published} ({r.setup})" if r.setup else r.published
        texts = [
            f"{c.sign} `{c.arm}` {c.estimate} {c.interval}{f' ({c.told})' if c.told else ''}"
            for c in r.controls
        ]
        controls = "<br>".join(line.lstrip() for line in texts)
        value = " ".join(filter(None, (r.estimate, r.interval, cell(r.unit))))
        rows.append(
            (
                f"{r.sign} {r.outcome}<br>*{r.kind}*",
                f"{cell(r.text)}{why}",
                *map(minus, (value, published, controls)),
            )
        )
    return tables.markdown(("", "claim", "estimate [95 % interval]", "published", head), rows)
