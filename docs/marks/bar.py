"""The records that do not meet the bar of the catalogue, and why, as the bar's own test has it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from marks import markdown
from marks.markdown import folded

FILE = Path(__file__).parents[2] / "catalogue/tests/claims/committed.py"
"""Where the bar's test has what it asks of nobody yet: PENDING of nothing that needs a record,
COSTLY of no cost."""


def lists(text: str, *names: str) -> list[Any]:
    """Read these lists from the text of a file that names them."""
    found = {
        node.target.id: ast.literal_eval(node.value)
        for node in ast.parse(text).body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.target.id in names
        and node.value is not None
    }
    return [found[name] for name in names]


def reasons(text: str) -> dict[str, str]:
    """Read why each entry does not meet the bar, from the text of a file that names them."""
    pending, costly = lists(text, "PENDING", "COSTLY")
    return {**pending, **costly}


def next_look(linked: Callable[[str], str], text: str = "") -> str:
    """List the claims that say little, and what becomes of them at their next look."""
    (known,) = lists(text or FILE.read_text("utf-8"), "NEXT_LOOK")
    rows = []
    for what, claims in known.items():
        named: dict[str, list[str]] = {}
        for name, number in (claim.split() for claim in claims):
            named.setdefault(name, []).append(number)
        labels = []
        for name, numbers in named.items():
            entry, _, preset = name.partition(".")
            labels.append(
                f"{linked(entry)}{f', `{preset}`,' if preset else ''} {', '.join(numbers)}"
            )
        rows.append(("; ".join(labels), markdown.cell(what)))
    return markdown.table(("claims", "at their next look"), rows)


def unmet(linked: Callable[[str], str], why: Mapping[str, str] | None = None) -> str:
    """List the entries that do not meet the bar with the reason of each, folded away."""
    known = reasons(FILE.read_text("utf-8")) if why is None else why
    rows = []
    for name in sorted(known):
        entry, _, preset = name.partition(".")
        label = f"{linked(entry)}{f', `{preset}`' if preset else ''}"
        rows.append((label, markdown.cell(known[name])))
    table = markdown.table(("entry", "why"), rows)
    return folded(f"{len(rows)} records do not meet it yet, and why", table)
