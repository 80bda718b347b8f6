"""What a library's maintainers can be told: a page for each cause of wrong answers, with the call,
what came out, what is right and why, and lines of NumPy that show it."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from assay_vectors.outcomes import reproduction, wrong_cases
from assay_vectors.vectors import Vector, folder, load


def _slug(page: Mapping[str, Any]) -> str:
    return "".join(c if c.isalnum() else "-" for c in page["peer"].lower())


def pages(page: Mapping[str, Any], adapter: Path) -> dict[str, str]:
    """The pages about one recorded result, by library and first vector: vectors with one cause
    share a page, as conformance/causes.json says."""
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
    return {
        f"{_slug(page)}-{ids[0]}": _page(
            page, [(vectors[id], wrong[id]) for id in ids], cause, adapter
        )
        for ids, cause in groups
        if ids
    }


def _page(
    page: Mapping[str, Any],
    pairs: list[tuple[Vector, Mapping[str, Any]]],
    cause: str,
    adapter: Path,
) -> str:
    vector, entry = pairs[0]
    where = ", ".join(f"{name} {version}" for name, version in page["environment"].items())
    lines = [f"# {page['peer']} {page['version']}: {vector.title}", ""]
    lines += [cause, ""] if cause else []
    lines += ["| vector | got | right |", "|---|---|---|"]
    for v, e in pairs:
        got, right = wrong_cases(e["got"], [dict(case.expected) for case in v.cases])
        lines.append(f"| {v.id}: {v.title} | {_cell(got)} | {_cell(right)} |")
    lines += ["", f"By definition: {vector.definition}.", "", vector.derivation, ""]
    lines += [f"Source: {vector.source}. Run on {page['date']} with {where}.", ""]
    if call := called(vector.operation, adapter):
        lines += ["The call:", "", "```python", call, "```", ""]
    script = [line for line in reproduction(vector, _first(vector, entry)) if len(line) <= 400]
    lines += ["The right answer:", "", "```python", *script, "```"]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _first(vector: Vector, entry: Mapping[str, Any]) -> int:
    """The first case that came out otherwise."""
    pairs = zip(entry["got"], vector.cases, strict=True)
    return next((i for i, (got, case) in enumerate(pairs) if got != dict(case.expected)), 0)


def called(operation: str, adapter: Path) -> str:
    """The text of the function by which an adapter answers an operation; "" for none that is
    written out."""
    for path in (adapter, adapter.parent / "core_evaluation.py"):
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
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
