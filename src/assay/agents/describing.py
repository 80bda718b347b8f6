"""Describing: what can be asked: the catalogue in lines, one experiment in full, and pages as
text."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

from assay.agents import basis
from assay.agents.answers import Answer, verdict
from assay.ask.fields import fields, variants
from assay.ask.wording import made_of
from assay.core.errors import ExperimentError, nearest
from assay.core.experiment import Experiment
from assay.core.plain import as_json, plain
from assay.core.results import ResultData
from assay.lab import catalogue
from assay.lab.records import contests, records
from assay.lab.store import journal, provenance
from assay.lab.store.store import Store
from assay.report import tables
from assay.report.overview import listed

KINDS = ("tutorials", "how-to", "explanation", "reference")
"""Folders of docs, by what a reader wants."""
PART = 16_000
"""Characters of a page that one answer holds."""
FIRST = 2_500
"""Bytes of a list: a longer one says less of each."""


def every(root: Path, find: str) -> Answer:
    """List the experiments whose texts have all of these words; none given: all."""
    lines = [
        {
            "name": e.name,
            "question": e.title,
            "claim": e.claim,
            "controls": e.baselines,
            "recorded": ", ".join(f"{n} {outcome}" for outcome, n in e.recorded.items())
            or "not recorded, or exact statements only",
            "cost": e.cost,
        }
        for e in listed(root).experiments
    ]
    words = find.lower().split()
    lines = [e for e in lines if all(w in " ".join(e.values()).lower() for w in words)]
    summary = (
        f"{len(lines)} of the catalogue. Verdicts are those of committed records; the name of "
        "one gives its intervals, controls and scope"
        if lines
        else f"no experiment has all of these words: {find}; leave find out for all of them"
    )
    shorter: list[Any] = [
        lines,
        [{"name": e["name"], "question": e["question"]} for e in lines],
        [e["name"] for e in lines],
    ]
    shown = next((s for s in shorter if len(as_json(s).encode()) < FIRST), shorter[-1])
    return {
        "told": summary,
        "experiments": shown,
        "next": (
            "experiments(name=…) gives one in full, experiments(find=…) those about something; "
            "ask_model asks a language model of yours, check judges your own hook"
        ),
    }


def describe_experiment(root: Path, name: str) -> Answer:
    """Describe one experiment in full: what a study may set, what a claim may name, and what is
    recorded. Raises: ExperimentError."""
    entry = find_entry(name)
    experiment = catalogue.find(entry.name)
    header, record = entry.header(), records.read(entry.name, entry.origin)
    challenges = contests.of_record(entry.name, entry.origin)
    data = ResultData.from_json(record or {})
    seeds = [s.seed for s in experiment.default]
    detail = {
        "name": entry.name,
        "question": header.title,
        "paper": header.paper,
        "cost": header.cost,
        "scope": experiment.scope_of("default"),
        "presets": experiment.presets,
        "seeds": journal.spans(seeds),
        "fields": [vars(f) for f in fields(experiment.default)],
        "arms": _arms(experiment, record or {}),
        "verdicts": list(map(verdict, data.verdicts)),
        "exact": basis.exact(data),
        "looks": basis.count_looks(
            experiment, seeds, Store(root), include_current=record is not None
        ),
        "standing": basis.standing(data),
        "contests": contests.lines(challenges),
        "source": basis.of_record(record) if record else None,
    }
    outcomes = tables.tallied(contests.after(data.verdicts, challenges)) or "no claim was judged"
    return {
        "told": f"Recorded: {outcomes}" if record else "Nothing is recorded",
        "detail": detail,
        "next": (
            "write_study(question=…, experiment, fields, claims) asks a question of your own on "
            "fresh seeds; page(name) has its documentation"
        ),
    }


def find_entry(name: str) -> catalogue.Entry:
    """Find an experiment of the catalogue by its name, never a file. Raises: ExperimentError."""
    entries = {e.name: e for e in catalogue.entries()}
    if name not in entries:
        raise ExperimentError(
            f"no experiment is called {plain(name[:80])!r}; {nearest(name[:80], entries)}"
        )
    return entries[name]


def page(root: Path, name: str, part: int) -> Answer:
    """Give one part of a page: the documentation of an experiment or of how Assay works, else what
    is recorded; without a name the list of pages. Raises: ExperimentError."""
    folders = _pages()
    pages = [path.stem for folder in folders for path in folder.glob("*.md")]
    names = sorted({*pages, *(e.name for e in catalogue.entries())})
    if not name:
        return {"told": f"{len(names)} pages", "pages": names, "next": "page(name=…) reads one"}
    if name not in names:
        raise ExperimentError(
            f"no page is called {plain(name[:80])!r}; {nearest(name[:80], names)}"
        )
    documented = (catalogue.documented(folder, name) for folder in folders)
    if (documentation := next(filter(None, documented), None)) is not None:
        text, source = (
            _bare(documentation.text),
            f"docs/{documentation.link} at commit {provenance.commit() or 'unknown'}",
        )
    else:
        text, source = (
            _recorded(root, name),
            "the header of its file and its committed record; its documentation is not installed",
        )
    parts = (
        textwrap.wrap(
            text, PART, break_long_words=True, replace_whitespace=False, drop_whitespace=False
        )
        if len(text) > PART
        else [text]
    )
    if not 1 <= part <= len(parts):
        raise ExperimentError(f"{name} has parts 1 to {len(parts)}, got {part}")
    more = f"page(name, part={part + 1}) goes on" if part < len(parts) else "this is its end"
    return {
        "told": f"part {part} of {len(parts)}",
        "name": name,
        "part": part,
        "parts": len(parts),
        "text": parts[part - 1],
        "source": source,
        "next": more,
    }


def _pages() -> list[Path]:
    """List the folders of pages: of Assay's checkout, and next to the records of experiments."""
    docs = Path(__file__).resolve().parents[3] / "docs"
    others = {
        catalogue.record_path(e.name, e.origin).parent.with_name("docs")
        for e in catalogue.entries()
    }
    found = [p for p in (docs, *sorted(others)) if p.with_name("pyproject.toml").exists()]
    return [*found, *(docs / kind for kind in KINDS if docs in found)]


def _recorded(root: Path, name: str) -> str:
    entry = find_entry(name)
    header, record = entry.header(), records.read(name, entry.origin)
    lines = [
        header.title,
        f"Paper: {header.paper}",
        f"Claim: {header.claim}",
        f"Controls: {header.baselines}",
        f"Cost: {header.cost}",
        "",
    ]
    if record is None:
        return "\n".join([*lines, "Nothing is recorded."])
    source, data = basis.of_record(record), ResultData.from_json(record)
    return "\n".join(
        [
            *lines,
            f"The committed record, made at commit {source.commit or 'unknown'}: {source.told}",
            *(f"- {verdict(v)['told']} Scope: {v.scope}." for v in data.verdicts),
            *basis.exact(data),
            *contests.lines(contests.of_record(name, entry.origin)),
        ]
    )


def _bare(text: str) -> str:
    """Markdown without pictures and the marks of tables that are made."""
    text = re.sub(
        r"<picture>.*?</picture>|<!--.*?-->|!\[[^\]]*\]\([^)]*\)", "", text, flags=re.DOTALL
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _arms(experiment: Experiment, record: basis.JSON) -> list[Answer]:
    """Variants that are trained, or derived from others; main is the method. A claim names their
    measures as ARM.MEASURE, where a record lists them, and of a measure with `dimensions` a level,
    as MEASURE[DIMENSION=LEVEL], or mean(…, over=DIMENSION)."""
    measured = {arm: data["measures"]["variables"] for arm, data in record.get("arms", {}).items()}
    arms = []
    for arm in variants(experiment, experiment.default):
        name = arm.name
        variables = measured.get(name, {})
        dims = {m: [d for d in v["dims"] if d != "run"] for m, v in variables.items()}
        arms.append(
            {
                "name": name,
                "note": arm.note,
                "changes": arm.changes,
                "made_of": arm.made_of,
                "measures": (*variables, *made_of(tuple(variables))),
                "dimensions": {m: over for m, over in dims.items() if over},
            }
        )
    return arms
