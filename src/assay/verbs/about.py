"""About: what a claim credits, typed as in Python."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from assay.controls import material, things
from assay.core import foreign
from assay.errors import ClaimError, DataError, nearest

THINGS: Mapping[str, Any] = MappingProxyType(
    {
        **{x.__name__: x for x in (things.Vector, things.Subspace, things.Heads, things.Neurons)},
        **{x.__name__: x for x in (things.Latents, things.Edges, things.Place)},
        **{x.__name__: x for x in (material.Patch, material.Span, material.Text)},
        "Vector.learned": things.Vector.learned,
    }
)
LARGEST = 1 << 30
"""Bytes of a file of numbers."""


def thing(text: str) -> things.Thing:
    """Read a thing such as Heads([(2, 1)], of=(4, 6)); a text that ends in .npy is that file.

    Raises:
        ClaimError: no call of a thing on literals.
        DataError: a file that is none of numbers.
    """
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        call = ast.Constant(None)
    name = ast.unparse(call.func) if isinstance(call, ast.Call) else ""
    if name not in THINGS:
        raise ClaimError("no-thing", f"--about is no thing; {nearest(name, THINGS)}", at=text)
    assert isinstance(call, ast.Call)
    try:
        args = [_value(node) for node in call.args]
        named = {k.arg: _value(k.value) for k in call.keywords if k.arg}
        made: things.Thing = THINGS[name](*args, **named)
    except (TypeError, ValueError) as e:
        raise ClaimError("no-thing", str(e), at=text) from e
    return made


def files(text: str) -> list[str]:
    """The .npy files that a thing names."""
    try:
        nodes = ast.walk(ast.parse(text.strip(), mode="eval"))
    except SyntaxError:
        return []
    values = (n.value for n in nodes if isinstance(n, ast.Constant))
    return [x for x in values if isinstance(x, str) and x.endswith(".npy")]


def _value(node: ast.expr) -> Any:
    x = ast.literal_eval(node)
    if isinstance(x, dict):
        return {k: _read(v) for k, v in x.items()}
    return [*map(_read, x)] if isinstance(x, list) else _read(x)


def _read(x: Any) -> Any:
    if not (isinstance(x, str) and x.endswith(".npy")):
        return x
    try:
        return np.asarray(np.load(foreign.regular(Path(x), "an .npy file", LARGEST)))
    except (ValueError, EOFError) as e:
        raise DataError("not-numbers", f"no .npy file of numbers ({e})", at=x) from e
