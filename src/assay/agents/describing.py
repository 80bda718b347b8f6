"""Describing: what can be asked: the catalogue in lines, one experiment in full, and pages as
text."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.agents import basis
from assay.agents.answers import Answer
from assay.agents.basis import Looks, Source, Standing
from assay.agents.verdicts import Verdict, counted, verdicts
from assay.core import syntax
from assay.core.errors import ExperimentError, nearest
from assay.core.experiment import PRESETS, Experiment
from assay.core.plain import plain
from assay.core.spec import Spec, per_run_fields, ranges
from assay.lab import catalogue, looks, provenance, records
from assay.lab.store import Store
from assay.studies.wording import made_of
from assay.verbs.catalogue import listed

PART = 16_000
"""Characters of a page that one answer holds."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One experiment of the catalogue."""

    name: str
    question: str
    claim: str
    controls: str
    recorded: str
    """How many of its claims came out how, in its committed record."""
    cost: str


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field of an experiment's runs, which a study may set."""

    name: str
    default: str
    may_be: str
    meaning: str
    several: bool
    """Whether runs of one arm may differ in it; several values of another field make further
    arms."""


@dataclass(frozen=True)
class Arm:
    """An arm: a variant that is trained, or derived from others; main is the method."""

    name: str
    note: str
    measures: tuple[str, ...]
    """What a claim can say about it, as ARM.MEASURE; empty where no record tells."""
    dimensions: dict[str, tuple[str, ...]]
    """Of measures that vary over more than runs: over what. A claim names a level, as
    MEASURE[DIMENSION=LEVEL], or mean(…, over=DIMENSION)."""


@dataclass(frozen=True, kw_only=True)
class Detail:
    """One experiment in full."""

    name: str
    question: str
    paper: str
    cost: str
    scope: str
    presets: tuple[str, ...]
    seeds: str
    """Those that its claims are judged on by default."""
    fields: tuple[Field, ...]
    arms: tuple[Arm, ...]
    verdicts: tuple[Verdict, ...]
    exact: tuple[str, ...]
    looks: Looks
    standing: Standing
    source: Source | None
    """Where the verdicts come from; null where nothing is recorded."""


def every(root: Path, find: str) -> Answer:
    """List the experiments whose texts have all of these words; none given: all."""
    words = find.lower().split()
    lines = []
    for e in listed(root).experiments:
        line = Line(
            name=e.name,
            question=e.title,
            claim=e.claim,
            controls=e.baselines,
            cost=e.cost,
            recorded=counted([o for o, n in e.recorded.items() for _ in range(n)])
            if e.recorded
            else "not recorded, or exact statements only",
        )
        if all(w in " ".join(map(str, dataclasses.astuple(line))).lower() for w in words):
            lines.append(line)
    none = (
        f"no experiment has all of these words: {find}; leave find out for all of them"
        if not lines
        else ""
    )
    summary = none or (
        f"{len(lines)} of the catalogue. Verdicts are those of committed records; ask for one "
        "by name for intervals, controls and scope"
    )
    return {
        "told": summary,
        "experiments": lines,
        "next": "experiments(name=…) gives one in full: fields, arms, measures, verdicts",
    }


def describe_experiment(root: Path, name: str) -> Answer:
    """Describe one experiment in full. Raises: ExperimentError."""
    entry = find_entry(name)
    experiment, header, record = (
        catalogue.find(entry.name),
        entry.header(),
        records.read(entry.name, entry.origin),
    )
    data = record or {"verdicts": (), "provenance": {}}
    seeds = [s.seed for s in experiment.default]
    detail = Detail(
        name=entry.name,
        question=header.title,
        paper=header.paper,
        cost=header.cost,
        scope=experiment.scope_of("default"),
        presets=(*PRESETS, *records.elsewhere(entry.name, entry.origin)),
        seeds=looks.spans(seeds),
        fields=_fields(experiment.default[0]),
        arms=_arms(experiment, data),
        verdicts=verdicts(data),
        exact=basis.exact(data),
        looks=basis.count_looks(experiment, seeds, Store(root), include_current=record is not None),
        standing=basis.standing(data),
        source=basis.of_record(data) if record else None,
    )
    summary = f"{header.title}. " + (
        f"Recorded: {counted([v.outcome for v in detail.verdicts])}. "
        if record
        else "Nothing is recorded. "
    )
    what = (
        "write_study(question=…, experiment, fields, claims) asks a question of your own on fresh "
        "seeds; page(name) has its documentation"
    )
    return {"told": summary.strip(), "detail": detail, "next": what}


def find_entry(name: str) -> catalogue.Entry:
    """Find an experiment of the catalogue by its name, never a file. Raises: ExperimentError."""
    known = {e.name: e for e in catalogue.entries()}
    if name not in known:
        raise ExperimentError(
            f"no experiment is called {plain(name[:80])!r}; {nearest(name[:80], known)}"
        )
    return known[name]


def page(root: Path, name: str, part: int) -> Answer:
    """Give one part of a page: the documentation of an experiment or of how Assay works, else what
    is recorded. Raises: ExperimentError."""
    folder = Path(__file__).resolve().parents[3] / "docs"
    paths_by_name = (
        {path.stem: path for path in folder.glob("*.md")}
        if folder.with_name("pyproject.toml").exists()
        else {}
    )
    if name in paths_by_name:
        text, source = (
            _bare(paths_by_name[name].read_text(encoding="utf-8")),
            f"docs/{name}.md at commit {provenance.commit() or 'unknown'}",
        )
    else:
        known = sorted({*paths_by_name, *(e.name for e in catalogue.entries())})
        if name not in known:
            raise ExperimentError(
                f"no page is called {plain(name[:80])!r}; {nearest(name[:80], known)}"
            )
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
    source = basis.of_record(record)
    return "\n".join(
        [
            *lines,
            f"The committed record, made at commit {source.commit or 'unknown'}: {source.told}",
            *(f"- {v.told} Scope: {v.scope}." for v in verdicts(record)),
            *basis.exact(record),
        ]
    )


def _bare(text: str) -> str:
    """Markdown without pictures and the marks of tables that are made."""
    text = re.sub(
        r"<picture>.*?</picture>|<!--.*?-->|!\[[^\]]*\]\([^)]*\)", "", text, flags=re.DOTALL
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _fields(spec: Spec) -> tuple[Field, ...]:
    cls, texts = type(spec), meanings(type(spec))
    several = per_run_fields(cls)
    fields = []
    for name, bounds in ranges(cls).items():
        fields.append(
            Field(
                name=name,
                default=str(getattr(spec, name)),
                may_be=bounds,
                meaning=texts.get(name, ""),
                several=name in several,
            )
        )
    return tuple(fields)


def meanings(cls: type) -> dict[str, str]:
    """What stands under each field of a class and of those it is made of."""
    meanings: dict[str, str] = {}
    for base_class in reversed(cls.__mro__):
        try:
            (body,) = syntax.module(textwrap.dedent(inspect.getsource(base_class))).body
        except (OSError, TypeError, SyntaxError, ValueError):
            continue
        parts: list[Any] = getattr(body, "body", [])
        for field, after in itertools.pairwise(parts):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
            ):
                meanings[ast.unparse(field.target)] = " ".join(str(after.value.value).split())
    return meanings


def _arms(experiment: Experiment, record: basis.JSON) -> tuple[Arm, ...]:
    measured = {arm: data["measures"]["variables"] for arm, data in record.get("arms", {}).items()}
    arms = []
    for name, arm in experiment.arms.items():
        variables = measured.get(name, {})
        dims = {m: tuple(d for d in v["dims"] if d != "run") for m, v in variables.items()}
        arms.append(
            Arm(
                name,
                arm.note,
                (*variables, *made_of(tuple(variables))),
                {m: over for m, over in dims.items() if over},
            )
        )
    return tuple(arms)
