"""Statements of recorded experiments in Markdown, for pages over many of them: each experiment in a
line, its statements counted by kind and outcome, and every claim with its controls."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from assay.core.results import Published, ResultData
from assay.report import statements, tables
from assay.report.tables import minus
from marks import markdown
from marks.markdown import cell

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


def about(data: ResultData, title: str) -> str:
    """One experiment in a line: its title, what it cost, how many of its exact statements are
    confirmed."""
    exact = [e.outcome for e in data.exact]
    confirmed = f"{exact.count('exact')} of {len(exact)} are confirmed to within rounding"
    exact_note = f" Theorems and facts of arithmetic: {confirmed}." if exact else ""
    head = f"{title}{'' if title.endswith('?') else '.'} " if title else ""
    return f"{head}{statements.cost(data)}.{exact_note}"


def counts(results: Mapping[str, ResultData], links: Mapping[str, str]) -> str:
    """One line per experiment in Markdown: outcomes by kind, how many of its numbers a paper
    prints, and its cost; and all together. `links` has the addresses of their documentation."""
    rows = []
    total = [0] * (len(HEADS) - 2)
    for name, data in results.items():
        row = counted(data)
        total = [a + b for a, b in zip(total, row, strict=True)]
        label = f"[`{name}`]({links[name]})" if name in links else f"`{name}`"
        rows.append([label, *map(str, row), f"{statements.peak(data):.1f}"])
    rows.append(["**all**", *(f"**{n}**" for n in total), ""])
    return markdown.table(HEADS, rows)


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
    signs = tables.checked(claims).removesuffix(".")
    head = "; ".join(filter(None, (signs, "other arms that satisfy the claim")))
    rows = []
    for r in claims:
        why = f"<br>*{minus(cell(r.advice))}*" if r.advice else ""
        published = f"{r.published} ({r.setup})" if r.setup else r.published
        texts = [
            f"{c.sign} `{c.arm}` {c.estimate} {c.interval}{f' ({c.remark})' if c.remark else ''}"
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
    return markdown.table(("", "claim", "estimate [95% interval]", "published", head), rows)
