"""Tables made from the closed lists of the code, notes, doubts and near controls, and from what a
benchmark printed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from inspect import getdoc
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from assay.controls.material import Patch, Span, Text, Training
from assay.controls.table import NEEDS, TABLE, Control
from assay.controls.things import (
    Edges,
    Heads,
    Latents,
    Neurons,
    Place,
    Subspace,
    Thing,
    Vector,
)
from assay.notes import NOTES
from assay.verdicts.doubts import DOUBTS
from marks import markdown

FIGURES = Path(__file__).parents[2] / "benchmarks/figures"
"""What benchmarks printed, a file each."""
COLUMNS = re.compile(r" {2,}|(?<=\d) (?=\d)")
"""What is between the columns of a printed table."""
GATE = Path(__file__).parents[2] / "benchmarks/gate/gate.result.json"
FALSE = "**false, all**"
JUDGED = {True: "by count", False: "each"}
THINGS: tuple[Thing, ...] = (
    *(Vector([1.0, 0.0]), Subspace(np.eye(2)[:1], around=np.eye(2))),
    *(Heads([(0, 0)], of=(1, 2)), Neurons([0], of=2), Latents([0], of=2), Edges([0], of=2)),
    *(Place(0, [1]), Place("a", ["b"], "site"), Place(0, [1], "token")),
    *(Patch(["a", "b"]), Span(["a"], cuts=[(["a", "b"], 0, 1)]), Text("a b")),
    Training(None),
)
"""One of each kind, which shows what it makes by itself."""


def notes() -> str:
    """Every note in the order of its code: its text, its meaning, and whether it is a doubt."""
    rows = [
        (f"`{code}`", *map(markdown.cell, (kind.template, kind.meaning)), "doubt" * kind.doubt)
        for code, kind in sorted(NOTES.items())
    ]
    return markdown.table(("code", "text", "what it means, and what to do", ""), rows)


def doubts() -> str:
    """Every doubt about a table, with its formula and source."""
    rows = []
    for doubt in DOUBTS:
        first, *_ = (doc := getdoc(doubt) or "").split("\n\n")
        said = (first, _part(doc, "Formula"), _part(doc, "Source"))
        rows.append((f"`{doubt.__name__}`", *(markdown.cell(" ".join(x.split())) for x in said)))
    return markdown.table(("doubt", "when it is raised", "formula", "source"), rows)


def _part(doc: str, name: str) -> str:
    """A part of a docstring, up to the next one."""
    found = re.search(rf"^{name}: (.*?)(?=^\w+: |\Z)", doc, re.M | re.S)
    return found[1].strip().rstrip(".") if found else ""


def controls() -> str:
    """The near controls that a check makes of each thing, and what each needs."""
    rows = [
        (_called(thing), f"`{c.name}`", JUDGED[c.noise], *map(markdown.cell, said))
        for thing in THINGS
        for c in TABLE[thing.aspect]
        for said in [(c.why, needs(thing, c))]
    ]
    heads = ("the claim is about", "control", "beaten", "what would explain as much", "needs")
    return markdown.table(heads, rows)


def _called(thing: Thing) -> str:
    name = f"`{type(thing).__name__}`"
    return f"{name} ({thing.aspect})" if isinstance(thing, Place) else name


def needs(thing: Thing, control: Control) -> str:
    """What a control needs that the thing alone does not have."""
    if control.name in thing.near(0):
        return "" if control.default else f"controls=[{control.name!r}]"
    return NEEDS.get(f"{thing.aspect}/{control.name}", f"makers={{{control.name!r}: …}}")


def figures(name: str) -> str:
    """The tables that a benchmark printed, or nothing before it has run."""
    path = FIGURES / f"{name}.txt"
    if not path.exists():
        return ""
    lines = path.read_text("utf-8").strip().splitlines()
    parts = [COLUMNS.split(line.strip()) for line in lines]
    table = [part for part in parts if len(part) > 1]
    below = "\n".join(line for line, part in zip(lines, parts, strict=True) if len(part) == 1)
    if not table:  # it is written as Markdown already
        return f"{below}\n"
    return markdown.table(table[0], table[1:]) + (f"\n{below}\n" if below else "")


def gate() -> str:
    """How many claims of each group each analysis of the gate reports as true; of all true and of
    all false ones with Wilson's interval."""
    answers = json.loads(GATE.read_text("utf-8"))
    arms, groups = (list(dict.fromkeys(x[key] for x in answers)) for key in ("arm", "group"))
    rows = []
    for name in ("true", FALSE, *(group for group in groups if group != "true")):
        chosen = [x for x in answers if x["group"] == name or (name == FALSE and not x["true"])]
        cells = []
        for arm in arms:
            came = [x["told"] for x in chosen if x["arm"] == arm]
            k, n = sum(came), len(came)
            low, high = binomtest(k, n).proportion_ci(method="wilson")
            limits = f" [{low:.2f}, {high:.2f}]" * (name in ("true", FALSE))
            cells.append(f"{k} of {n}{limits}")
        rows.append((name, *cells))
    return markdown.table(("claims", *arms), rows, rule="|---|" + "--:|" * len(arms))


KINDS: Mapping[str, Callable[..., str]] = {
    "controls": controls,
    "doubts": doubts,
    "figures": figures,
    "gate": gate,
    "notes": notes,
}
