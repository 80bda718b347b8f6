"""Texts for a library's issue tracker: one for each cause of wrong answers, with the
call, what came out, what is right and why, and lines of NumPy that reproduce it."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from assay_vectors.text import differences, reproduction
from assay_vectors.vectors import Vector, folder, load


def pages(page: Mapping[str, Any], adapter: Path) -> list[str]:
    """Write the texts about one recorded result: vectors with the same cause, by
    causes.json, share a text."""
    wrong = {e["id"]: e for e in page["outcomes"] if e["outcome"] == "wrong"}
    vectors = {vector.id: vector for vector in load()}
    causes = json.loads((folder() / "causes.json").read_text(encoding="utf-8"))
    groups = [
        ([id for id in cause["vectors"] if id in wrong], cause["cause"])
        for cause in causes
        if cause["peer"] == page["peer"]
    ]
    grouped = {id for ids, _ in groups for id in ids}
    groups += [([id], "") for id in wrong if id not in grouped]
    return [
        _page(page, [(vectors[id], wrong[id]) for id in ids], cause, adapter)
        for ids, cause in groups
        if ids
    ]


def _page(
    page: Mapping[str, Any],
    pairs: list[tuple[Vector, Mapping[str, Any]]],
    cause: str,
    adapter: Path,
) -> str:
    vector, entry = pairs[0]
    versions = (f"{name} {version}" for name, version in page["environment"].items())
    lines = [f"# {page['peer']} {page['version']}: {vector.title}", ""]
    lines += [cause, ""] if cause else []
    lines += ["| vector | got | right |", "|---|---|---|"]
    for v, e in pairs:
        texts = differences(e["got"], [dict(case.expected) for case in v.cases])
        got, right = (text.replace("|", "\\|") for text in texts)
        lines.append(f"| {v.id}: {v.title} | {got} | {right} |")
    lines += ["", f"By definition: {vector.definition}.", "", vector.derivation, ""]
    where = f"Run on {page['date']} with {', '.join(versions)}."
    lines += [f"Source: {vector.source}. {where}", ""]
    if source := operation_source(vector.operation, adapter):
        lines += ["The call:", "", "```python", source, "```", ""]
    script = reproduction(vector, _first_difference(vector, entry))
    script = [line for line in script if len(line) <= 400]
    lines += ["The right answer:", "", "```python", *script, "```"]
    return "\n".join(lines) + "\n"


def _first_difference(vector: Vector, entry: Mapping[str, Any]) -> int:
    """Return the first case whose result is not the expected one."""
    pairs = enumerate(zip(entry["got"], vector.cases, strict=True))
    return next((i for i, (got, c) in pairs if got != dict(c.expected)), 0)


def operation_source(operation: str, adapter: Path) -> str:
    """Return the source of the function by which an adapter answers an operation, or ""
    if it has none."""
    for path in (adapter, adapter.parent / "core_evaluation.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for key, value in _entries(tree):
            if key == operation:
                name = getattr(value, "id", getattr(value, "attr", ""))
                for node in ast.walk(tree):
                    if isinstance(node, ast.FunctionDef) and node.name == name:
                        return ast.unparse(node)
                return ast.unparse(value)
    return ""


def _entries(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant):
                    yield str(key.value), value
