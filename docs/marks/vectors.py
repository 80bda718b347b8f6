"""Markdown tables for pages about the vectors: every vector with the outcome of every
library, and what functions may be named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from assay_vectors import functions, runner
from assay_vectors.outcomes import KINDS, SIGNS
from assay_vectors.vectors import load
from marks import issues, markdown


def vectors() -> str:
    """List every vector by family, with the outcome of every library; Assay's is
    measured now."""
    columns = _columns()
    families = []
    for family in dict.fromkeys(v.family for v in load()):
        members = [v for v in load() if v.family == family]
        heads = ("", family, *(page["peer"] for page in columns))
        rows = [
            (v.id, markdown.cell(v.title), *(SIGNS[_outcome(page, v.id)] for page in columns))
            for v in members
        ]
        table = markdown.table(heads, rows, "|---|---|" + ":-:|" * len(columns))
        families.append(markdown.folded(f"{family}: {len(members)}", table))
    return "\n".join(families)


def operations() -> str:
    """List what functions may be named: their inputs, and the quantities they give."""

    def code(names: Iterable[str]) -> str:
        return ", ".join(f"`{name}`" for name in names)

    rows = [
        (
            code((name.operation, *name.common)),
            code(name.inputs),
            code(name.quantities),
            f"{name.ids[0]}–{name.ids[-1]}" if len(name.ids) > 1 else name.ids[0],
        )
        for name in functions.names()
    ]
    heads = ("name", "called with", "gives", "vectors")
    return markdown.table(heads, rows)


def outcomes() -> str:
    """Count the outcomes of each library, with the versions it ran with."""
    heads = ("library", "version", *(f"{SIGNS[k]} {k}" for k in KINDS), "run")
    all_versions = Counter(v for page in _columns() for v in page["environment"].items())
    usual = {name: text for (name, text), _ in reversed(all_versions.most_common())}
    rows = []
    for page in _columns():
        counts = Counter(_outcome(page, vector.id) for vector in load())
        numbers = (str(counts[kind]) for kind in KINDS)
        other = [v for v in page["environment"].items() if usual[v[0]] != v[1]]
        run = ", ".join([page["date"] or "in each run of the tests", *map(" ".join, other)])
        rows.append((page["peer"], page["version"], *numbers, run))
    table = markdown.table(heads, rows, "|---|---|" + "--:|" * 4 + "---|")
    versions = ", ".join(map(" ".join, sorted(usual.items())))
    return f"{table}\nVersions, unless a row has others: {versions}.\n"


def differences() -> str:
    """Write a text for an issue about every cause of wrong answers."""
    texts = []
    for page in runner.results():
        for text in issues.pages(page, runner.recorded_adapter(page)):
            title, _, body = text.removeprefix("# ").partition("\n")
            texts.append(markdown.folded(markdown.cell(title), body))
    return "\n".join(texts)


def _outcome(page: Mapping[str, Any], id: str) -> str:
    entries = (e["outcome"] for e in page["outcomes"] if e["id"] == id)
    return next(entries, "not offered")


@cache
def _columns() -> tuple[Mapping[str, Any], ...]:
    """Return Assay's outcomes as they are now, then all recorded results."""
    run = runner.run_library("assay", load())
    outcomes = [{"id": o.id, "outcome": o.outcome} for o in run.outcomes]
    assay = {"peer": run.peer, "version": run.version, "date": "", "environment": {}}
    return {**assay, "outcomes": outcomes}, *runner.results()
