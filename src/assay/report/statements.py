"""Statements of experiments in sentences and Markdown: what came out, what it cost, how many errors
to expect, and whether what was frozen before was followed.

Takes records or stored results, so that pages, docs and the index of a report say the same."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from assay.core.results import Judged, Published, Registration, ResultData
from assay.report import tables
from assay.report.tables import cell, minus

SHORT = 12
"""Words up to which a claim is shown whole; a longer one is cut at its colon."""
COLUMNS = (
    *(
        (f"{word} {tables.SIGNS[o]}", kind, o)
        for kind, word in tables.KIND_WORDS.items()
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


def heads(texts: Sequence[str]) -> list[str]:
    """Each claim in a few words: what stands before its colon, or all of it where that is short or
    two claims would look alike."""
    cut = [text.partition(": ")[0] for text in texts]
    often = Counter(cut)
    return [
        text if len(text.split()) <= SHORT or often[head] > 1 else head
        for text, head in zip(texts, cut, strict=True)
    ]


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
    Source: records/coverage.md, whose rates are packaged as coverage.json.
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
    links: Mapping[str, str] | None = None,
) -> str:
    """One line per experiment in Markdown: outcomes by kind, how many of its numbers a paper
    prints, and its cost; and all together.

    `took` has the seconds and CPU-seconds of all together where they overlapped, `last_column` a
    last column, `links` the addresses of their documentation."""
    heads = (*HEADS, *(["made"] if last_column else []))
    rows = []
    total = [0] * (len(HEADS) - 2)
    for name, data in results.items():
        row = counted(data)
        total = [a + b for a, b in zip(total, row, strict=True)]
        label = f"[`{name}`]({links[name]})" if links and name in links else f"`{name}`"
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


def listed(data: ResultData, turned: Mapping[str, str] = MappingProxyType({})) -> str:
    """Every claim of one experiment in Markdown: outcome, estimate with its interval, what is
    published, and every control; `turned` as `tables.rows` has it."""
    if tables.only_exact(data):
        return f"{tables.ONLY_EXACT}\n"
    claims = tables.rows(data, turned)[: len(data.verdicts)]
    head = f"{tables.checked(claims)}; and other arms that hold"
    rows = []
    for r in claims:
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
                f"{r.came_out}<br>*{r.kind}*",
                f"{cell(r.text)}{why}",
                *map(minus, (value, published, controls)),
            )
        )
    return tables.markdown(("", "claim", "estimate [95 % interval]", "published", head), rows)


def frozen_lines(data: ResultData) -> list[str]:
    """Say of a result whether it is confirmatory or exploratory, and why."""
    if (registration := data.registration) is None:
        return ["exploratory: the study was not frozen before it was run"]
    when = f"frozen on {registration.time[:16].replace('T', ' ')} UTC"
    which = f"({registration.hash[:12]}, {registration.file})"
    more = frozen_others(registration)
    if data.standing != "exploratory":
        followed = (
            f"{when}, before any result as far as this store knows {which}, and followed since"
        )
        not_held = f"not frozen: {', '.join(data.lacking)}; freeze a new look, which holds them"
        return [
            f"{data.standing}: {followed}",
            *([not_held] if data.lacking else []),
            *(f"seen before it was frozen: {seen}" for seen in registration.seen),
            *more,
        ]
    missing, changed = registration.missing, registration.changed
    lost = "whether it was followed cannot be known: looks are missing"
    head = f"exploratory: {when} {which}, and {'not followed' if changed or not missing else lost}"
    return [
        head,
        *(f"not as frozen: {c}" for c in changed),
        *(f"missing: {m}" for m in missing),
        *more,
    ]


def frozen_others(registration: Registration) -> list[str]:
    """Say what else was frozen of the same arms on the same seeds: whoever sees the best of several
    should know of all.
    """
    if not (registrations := registration.others):
        return []
    head = (
        f"one of {len(registrations) + 1} registrations of these arms and seeds in this store; the "
        f"other{'s are' if len(registrations) > 1 else ' is'}"
    )
    return [
        head,
        *(
            (f"{other.experiment} ({other.time[:16].replace('T', ' ')} UTC, {other.hash[:12]}): ")
            + ("; ".join(other.claims) or "its file is gone")
            for other in registrations
        ),
    ]
