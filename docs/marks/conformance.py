"""Tables of conformance: every vector against every library, and what vectors ask for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any

from assay.core.schema import to_json
from assay.report.tables import cell, markdown
from assay_vectors import functions, issues, runner
from assay_vectors.outcomes import KINDS, SIGNS
from assay_vectors.vectors import load
from marks.sections import folded


def vectors() -> str:
    """Every vector by family: what is asked, and the outcome of every library recorded; Assay's is
    measured here and now."""
    columns = _columns()
    families = []
    for family in dict.fromkeys(v.family for v in load()):
        family_vectors = [v for v in load() if v.family == family]
        heads = ("", family, *(p["peer"] for p in columns))
        rows = [
            (v.id, cell(v.title), *(SIGNS[_outcome(page, v.id)] for page in columns))
            for v in family_vectors
        ]
        table = markdown(heads, rows, "|---|---|" + ":-:|" * len(columns))
        families.append(folded(f"{family}: {len(family_vectors)}", table))
    return "\n".join(families)


def operations() -> str:
    """What vectors ask for: inputs by name, and the quantities that come out."""
    rows = [
        (
            ", ".join(f"`{word}`" for word in (name.operation, *name.words)),
            ", ".join(f"`{word}`" for word in name.inputs),
            ", ".join(f"`{word}`" for word in name.quantities),
            f"{name.ids[0]}–{name.ids[-1]}" if len(name.ids) > 1 else name.ids[0],
        )
        for name in functions.names()
    ]
    return markdown(("name", "called with", "gives", "vectors"), rows)


def outcomes() -> str:
    """How many vectors each library has right, defines otherwise, has wrong, and does not offer;
    with the versions it ran in."""
    heads = ("library", "version", *(f"{SIGNS[k]} {k}" for k in KINDS), "run")
    rows = []
    for page in _columns():
        counts = Counter(_outcome(page, vector.id) for vector in load())
        numbers = (str(counts[kind]) for kind in KINDS)
        where = ", ".join(f"{name} {version}" for name, version in page["environment"].items())
        when = f"{page['date']}, {where}" if page["date"] else "whenever this table is made"
        rows.append((page["peer"], page["version"], *numbers, when))
    return markdown(heads, rows, "|---|---|" + "--:|" * 4 + "---|")


def differences() -> str:
    """A text for an issue of each library: every cause of wrong answers, with the call, what came
    out and what is right."""
    texts = []
    for page in runner.read():
        adapter = runner.adapter(page["command"].split()[3])
        for text in issues.pages(page, adapter).values():
            title, _, body = text.removeprefix("# ").partition("\n")
            texts.append(folded(cell(title), body))
    return "\n".join(texts)


def _outcome(page: Mapping[str, Any], id: str) -> str:
    return next((e["outcome"] for e in page["outcomes"] if e["id"] == id), "not offered")


@cache
def _columns() -> tuple[Mapping[str, Any], ...]:
    """Assay as it is, then everything recorded."""
    run = runner.run_assay(load())
    ours = {
        "peer": run.peer,
        "version": run.version,
        "command": "assay conformance",
        "date": "",
        "environment": {},
    }
    return ({**ours, "outcomes": to_json(run.outcomes)}, *runner.read())
