"""Closed: whether what a file computes follows from its own text, from what it is given and from
installed packages alone, by the names in it.

A file that opens others, imports a neighbour, or asks for the time or the environment is not
closed; neither is one of which that cannot be seen. What is wrongly taken for open costs time
only."""

from __future__ import annotations

import ast
import re

_PURE = re.compile(
    r"(__future__|abc|annotated_types|collections|dataclasses|enum|fractions|functools|itertools"
    r"|math|numbers|numpy|operator|re|statistics|string|typing|typing_extensions)(\..*)?"
)
"""Modules of Python and packages that ask for nothing outside by themselves."""
_HEAVY = re.compile("scipy|torch|xr")
"""Of `assay.core.heavy`."""
_ASSAY = re.compile(
    "Arm|Bench|Claim|Elsewhere|Estimate|Exact|Experiment|Figure|Finding|Gate|Group|Joint|Measures"
    "|PerRun|Published|Runs|Spec|Trained|Verdict|by|changed|converged|curve|descent|fit|grid"
    "|integers|measures|normal|permutation|rival|same_method|stats|uniform"
)
"""Of `assay`."""
_OPENING = re.compile(
    "(open|load|read|mem|genfromtxt|fromfile|fromregex|from_file|DataSource|eval|exec|compile"
    "|__(?!(name|init|post_init|call|class|doc)__$)).*"
    "|attrgetter|breakpoint|getattr|globals|input|locals|methodcaller|setattr|vars"
)
"""Names of Python, NumPy, torch and xarray that read files, or reach what does."""


def closed(tree: ast.Module) -> bool:
    """Whether a file of this text opens nothing and imports no neighbour."""
    return all(map(_harmless, ast.walk(tree)))


def _harmless(node: ast.AST) -> bool:
    if isinstance(node, ast.Import):
        return all(
            _PURE.fullmatch(n.name) or (n.name, n.asname) == ("assay", None) for n in node.names
        )
    if isinstance(node, ast.ImportFrom):
        module, names = node.module or "", [n.name for n in node.names]
        if node.level or any(map(_OPENING.fullmatch, names)):
            return False
        if module in ("assay", "assay.core.heavy"):
            known = _ASSAY if module == "assay" else _HEAVY
            return all(map(known.fullmatch, names))
        return bool(_PURE.fullmatch(module))
    if isinstance(node, ast.Attribute):
        if isinstance(node.value, ast.Name) and node.value.id == "assay":
            return bool(_ASSAY.fullmatch(node.attr))
        return not _OPENING.fullmatch(node.attr)
    return not (isinstance(node, ast.Name) and _OPENING.fullmatch(node.id))
