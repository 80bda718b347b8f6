"""Every claim of every experiment on one page: what came out, what is published, what it cost, how many errors to expect.

Takes records or stored results as plain values, so that the page in the docs and the index of a report say the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from assay.report import tables

JSON = Mapping[str, Any]
LEVEL = 0.95
"""Of every interval in the catalogue."""


def cost(data: JSON) -> str:
    """Seconds, CPU-seconds and the memory of the largest process, as measured: "17 s, 33 CPU-seconds, 0.6 GB a process"."""
    peak = (data.get("provenance") or {}).get("peak_rss") or 0
    memory = f", {peak / 1e9:.1f} GB a process" if peak else ""
    return f"{data.get('seconds', 0):,.0f} s, {data.get('cpu_seconds', 0):,.0f} CPU-seconds{memory}"


def about(data: JSON, title: str) -> str:
    """One experiment in a line: its title, what it cost, how many of its exact statements come out."""
    exact = [e["outcome"] for e in data["exact"]]
    beside = f" {exact.count('exact')} of {len(exact)} exact statements come out." if exact else ""
    head = f"{title}{'' if title.endswith('?') else '.'} " if title else ""
    return f"{head}{cost(data)}.{beside}"


def errors(verdicts: Sequence[JSON]) -> str:
    """How many false verdicts to expect among these claims, and how many remain when all of them are adjusted for at once.

    Formula: n (1 − level)/2 false *holds* and as many false *fails*, if every claim lay on its threshold; Holm over all n.
    """
    import numpy as np

    from assay.core.stats import holm

    n, tail = len(verdicts), len(verdicts) * (1 - LEVEL) / 2
    p = np.array([np.nan if v.get("p") is None else v["p"] for v in verdicts], dtype=float)
    decided = np.array([v["outcome"] != "undecided" for v in verdicts], dtype=bool)
    kept = int((holm(p, LEVEL) & decided).sum())
    return (
        f"{decided.sum()} of {n} claims are decided. If every one of the {n} lay exactly on its threshold, where errors are likeliest, "
        f"about {tail:.1f} would be expected to be announced as holding although they do not hold, and {tail:.1f} as failing although "
        f"they do not fail; the further they lie from it, the fewer. {kept} of the {decided.sum()} also survive Holm's adjustment over "
        f"all {n} at once: that even one of those is false has a chance of at most {100 * (1 - LEVEL):.0f} %, as far as intervals keep their level."
    )


def counts(
    results: Mapping[str, JSON],
    took: tuple[float, float] | None = None,
    beside: Mapping[str, str] | None = None,
    linked: bool = True,
) -> str:
    """One line per experiment in Markdown: its outcomes, how many of its numbers a paper prints, and its cost; and all together.

    `took` has the seconds and CPU-seconds of all together where they overlapped, `beside` a last column, `linked` whether their pages lie beside it.
    """
    heads = ("experiment", "claims", "●", "✕", "○", "published", "new", "s", "CPU-s", "GB a process", *(["made"] if beside else []))
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    total = [0] * 8
    for name, data in results.items():
        row = counted(data)
        total = [a + b for a, b in zip(total, row, strict=True)]
        peak = (data.get("provenance") or {}).get("peak_rss", 0) / 1e9
        named = f"[`{name}`]({name}.md)" if linked else f"`{name}`"
        lines.append(f"| {named} | " + " | ".join(map(str, row)) + f" | {peak:.1f} |" + (f" {beside[name]} |" if beside else ""))
    if took is not None:
        total[6:] = map(round, took)
    return "\n".join([*lines, "| **all** | " + " | ".join(f"**{n}**" for n in total) + " | |" + " |" * bool(beside)]) + "\n"


def counted(data: JSON) -> list[int]:
    """Of one experiment: claims, those that hold, fail, are undecided; with a number in print, without; seconds, CPU-seconds."""
    verdicts = data["verdicts"]
    outcome = [v["outcome"] for v in verdicts]
    known = [tables.literature(v)[0] for v in verdicts]
    new = known.count("new")
    numbers = len(known) - new - known.count("")
    said = [outcome.count(o) for o in ("holds", "fails", "undecided")]
    return [len(verdicts), *said, numbers, new, round(data["seconds"]), round(data["cpu_seconds"])]


def listed(data: JSON) -> str:
    """Every claim of one experiment in Markdown: outcome, estimate with its interval, what is published, and every control."""
    lines = ["| | claim | estimate [95 % interval] | published | control |", "|---|---|---|---|---|"]
    for r in tables.rows({"verdicts": data["verdicts"]}):
        why = f"<br>*{tables.cell(r.why)}*" if r.why else ""
        published = f"{r.published} ({r.setup})" if r.setup else r.published
        controls = "<br>".join(f"{c.sign} `{c.arm}` {c.estimate} {c.interval}" for c in r.controls)
        value = " ".join(filter(None, (r.estimate, r.interval, tables.cell(r.unit))))
        words = f"{tables.cell(r.text)}{why}"
        lines.append(f"| {r.sign} {r.outcome} | {words} | " + tables.minus(f"{value} | {published} | {controls} |"))
    return "\n".join(lines) + "\n"
