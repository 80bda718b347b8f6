"""The records that do not meet the bar of the catalogue, and why, as the bar's own test has it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from pathlib import Path

from assay.report import tables
from marks.sections import folded

FILE = Path(__file__).parents[2] / "catalogue/tests/claims/committed.py"
"""Where the bar's test has what it asks of nobody yet: PENDING of nothing that needs a record,
COSTLY of no cost."""


def reasons(text: str) -> dict[str, str]:
    """Read why each entry does not meet the bar, from the text of a file that names them."""
    lists = {
        node.target.id: ast.literal_eval(node.value)
        for node in ast.parse(text).body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.target.id in ("PENDING", "COSTLY")
        and node.value is not None
    }
    return {**lists["PENDING"], **lists["COSTLY"]}


def unmet(linked: Callable[[str], str], why: Mapping[str, str] | None = None) -> str:
    """List the entries that do not meet the bar with the reason of each, folded away."""
    known = reasons(FILE.read_text("utf-8")) if why is None else why
    rows = []
    for name in sorted(known):
        entry, _, preset = name.partition(".")
        label = f"{linked(entry)}{f', `{preset}`' if preset else ''}"
        rows.append((label, tables.cell(known[name])))
    table = tables.markdown(("entry", "why"), rows)
    return folded(f"{len(rows)} records do not meet it yet, and why", table)
