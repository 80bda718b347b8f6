"""Evaluation tables: how an evaluation is reported in the terminal."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.core.schema import to_json
from assay.evaluation.result import Evaluated
from assay.evaluation.summary import LEAST
from assay.report import evaluations
from assay.report.evaluations import TABLE
from assay.verbs.parts import AnswerPart, Cell, Line, Table, written

SHORT = {"loss_recovered_mean": "recovered (mean)", "loss_recovered_zero": "recovered (zero)"}


def words(evaluation: Evaluated) -> Iterator[AnswerPart]:
    """Report what was found, warnings, what was measured, the tables, and what to type."""
    plain, entries = to_json(evaluation), evaluation.dictionaries
    shown = evaluations.shortened(entries)
    table = next((p for p in evaluation.written if p.name == TABLE), None)
    alarming = tuple(text for e in entries for text in e["warnings"])
    return written(
        "evaluate",
        found=[f"{name} {text}" for name, text in evaluations.answers(entries).items()],
        setting=evaluations.setting(plain),
        tables=single(shown[0]) if len(shown) == 1 else several(shown),
        unequal=evaluations.unequal_l0([e["measures"]["l0"]["estimate"] for e in entries]),
        baselines=against_baselines(entries[0]) if len(entries) == 1 else (),
        warnings=evaluations.sentences_once(n for n in evaluation.notes if n.endswith(alarming)),
        notes=[note for note in evaluation.notes if not note.endswith(alarming)],
        without_interval=dict.fromkeys(evaluations.without_interval(shown).values()),
        measures=len(entries[0]["measures"]),
        cached=all(e["cached"] for e in entries),
        files=evaluation.written,
        next=judging(table, entries) if table is not None else (),
    )


def several(entries: Sequence[Mapping[str, Any]]) -> Iterator[AnswerPart]:
    """List the measures of two or three dictionaries, a column for each, or of more."""
    if len(entries) > 3:
        yield from many(entries)
    else:
        yield Table(("", *(e["name"] for e in entries)), evaluations.side_by_side(entries))


def single(entry: Mapping[str, Any]) -> Iterator[AnswerPart]:
    """List the measures of one dictionary by group, a row for each."""
    rows: list[tuple[Cell, ...]] = []
    for title, names in evaluations.grouped(entry["measures"]).items():
        rows.append(((title, ""), "", "", ""))
        for r in (evaluations.row_of(entry, name) for name in names):
            unit = "" if r.estimate == "not estimated" else r.unit
            last = ", ".join(filter(None, (unit, r.on)))
            rows.append((f"  {r.label}", r.estimate, r.interval, last))
    yield Table((entry["name"], "estimate", "95%", ""), rows, right=("estimate",))


def many(entries: Sequence[Mapping[str, Any]]) -> Iterator[AnswerPart]:
    """List the measures of many dictionaries, a row for each under its number."""
    names = [name for name in evaluations.LEADING if any(name in e["measures"] for e in entries)]
    order = {site: i for i, site in enumerate(dict.fromkeys(e["site"] for e in entries))}
    numbered = [
        (str(i), e) for i, e in enumerate(sorted(entries, key=lambda e: order[e["site"]]), 1)
    ]
    yield Table(
        ("", "dictionary", "site"), [(i, e["name"], e["site"]) for i, e in numbered], right=("",)
    )
    yield ""
    heads = [SHORT.get(name, evaluations.labels()[name]) for name in names]
    rows = [(i, *(cell(e, name, "\n") for name in names)) for i, e in numbered]
    yield Table(("", *heads), rows, right=("",))


def cell(entry: Mapping[str, Any], name: str, between: str) -> Cell:
    """Write one measure of a dictionary, and its interval after it."""
    if name not in entry["measures"]:
        return ""
    row = evaluations.row_of(entry, name)
    return row.estimate, f"{between}{row.interval}"


def judging(table: Path, entries: Sequence[Mapping[str, Any]]) -> Iterator[AnswerPart]:
    """Show the command that judges whether the better of the first two dictionaries leaves less
    unexplained, if the text has the documents for it and they are equally sparse; the third is a
    control."""
    l0s = [e["measures"]["l0"]["estimate"] for e in entries[:2]]
    if len(entries) < 2 or evaluations.unequal_l0(l0s):
        return
    fewest = min(e["documents"] for e in entries)
    if fewest < LEAST:
        yield (
            f"To judge a difference, at least {LEAST} documents are needed, and {fewest} were "
            "read; a larger --tokens reads more, if the text has more."
        )
        return
    better, worse = sorted(entries[:2], key=lambda e: e["measures"]["fvu"]["estimate"] or 0.0)
    names = better["name"], worse["name"]
    arms = [name if name.isidentifier() else f'"{name}"' for name in names]
    claim = " - ".join(f"mean({arm}.error)/mean({arm}.variance)" for arm in arms) + " < -0.01"
    words = ["assay", "judge", str(table), "--unit", "document"]
    if controls := [e["name"] for e in entries[2:]]:
        words += ["--control", controls[0], "--about", names[0]]
        yield "To judge a difference:"
    else:
        yield (
            f"To judge a difference (for a control, evaluate a third dictionary too, such as one "
            f"trained like {names[1]} with another seed):"
        )
    yield Line(f"{shlex.join(words)} \\")
    yield Line(f"  --claim {shlex.quote(claim)}")


def against_baselines(entry: Mapping[str, Any]) -> Iterator[AnswerPart]:
    """Show what a dictionary is compared with."""
    if numbers := entry["compared"]:
        yield Table(evaluations.baseline_heads(numbers), evaluations.baseline_rows(numbers))
        yield ""
