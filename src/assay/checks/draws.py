"""Draws: what a function is called with in place of the thing, each as an arm with a name."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import singledispatch
from typing import Any

import numpy as np

from assay.controls import vectors
from assay.controls.material import ByPrompt, column
from assay.controls.table import TABLE, Control
from assay.controls.things import Draw, Parts, Thing, Vector, item
from assay.errors import ClaimError, DataError, nearest

Controls = Mapping[str, Any] | Sequence[str] | None
FIRST = 4
"""So many draws of noise may already rule a claim out."""


def usual(
    thing: Thing, rows: Sequence[Any], controls: Controls, count: int, most: int
) -> Iterator[Draw]:
    """What a thing makes, or what is named of it, and the author's own.

    Args:
        count: how many of what is drawn; 0 for the usual number.
        most: draws of noise at most.

    Raises:
        ClaimError: no control, or none of a name (no-control, unknown-control).
        DataError: a control of the author's that is none (same-thing, wrong-part).
    """
    kept = () if isinstance(controls, Mapping) else tuple(controls or ())
    seen = Counter[str]()
    for draw in thing.draws(rows, count, kept):
        name = draw.control.name
        seen[name] += 1
        if not (kept and name not in kept) and not (draw.control.noise and seen[name] > most):
            yield draw
    if unknown := sorted({*kept} - {*seen}):
        raise ClaimError("unknown-control", f"no control {unknown[0]}; {nearest(unknown[0], seen)}")
    if not seen and not controls:
        message = f"nothing stands in for {thing.name}; give controls={{name: …}}"
        raise ClaimError("no-control", message)
    yield from authors(thing, rows, controls if isinstance(controls, Mapping) else {})


def authors(thing: Thing, rows: Sequence[Any], own: Mapping[str, Any]) -> Iterator[Draw]:
    """The author's own, one of each name or several. Raises: DataError."""
    known = {c.name: c for c in TABLE.get(thing.aspect, ())}
    for name, x in own.items():
        control = known.get(name, Control(name, f"{name} has the effect as well"))
        for value in several(thing, x, rows):
            if _same(value, thing.value):
                raise DataError("same-thing", f"{thing.name} is what the claim is about", name)
            yield Draw(control, value, thing.named(value))


def _same(a: Any, b: Any) -> bool:
    with contextlib.suppress(ValueError):  # of lists of unlike lengths
        return bool(np.array_equal(vectors.as_numpy(a), vectors.as_numpy(b)))
    return False


@singledispatch
def several(thing: Thing, x: Any, rows: Sequence[Any]) -> list[Any]:
    """The value in place of a thing's, or those of a list of several."""
    return x if isinstance(x, list) else [x]


@several.register
def _(thing: Vector, x: Any, rows: Sequence[Any]) -> list[Any]:
    one = not isinstance(x, list) or all(np.ndim(v) == 0 for v in x)
    arrays = [np.array(v) if isinstance(v, list) else v for v in ([x] if one else x)]
    return [vectors.cast(v, thing.value) for v in arrays]


@several.register
def _(thing: Parts, x: Any, rows: Sequence[Any]) -> list[Any]:
    for each in ([x], x) if isinstance(x, list) else ():
        lists = [[*map(item, v)] if isinstance(v, list) else [] for v in each]
        if all(v and {*v} <= {*thing.pool} for v in lists):
            return lists
    raise DataError("wrong-part", f"give a list such as {thing.value}, or a list of such lists")


@several.register
def _(thing: ByPrompt, x: Any, rows: Sequence[Any]) -> list[Any]:
    one = isinstance(x, str) or len(x) == len(rows)
    return [column(v, rows) for v in ([x] if one else x)]


def named(draws: Sequence[Draw], main: str) -> dict[str, Draw]:
    """Draws by arm: their own name, or that of their control with a number."""
    arms, total, at = dict[str, Draw](), Counter(d.control.name for d in draws), Counter[str]()
    for draw in draws:
        name = draw.control.name
        at[name] += 1
        numbered = f"{name} {at[name]}" if total[name] > 1 or draw.control.noise else name
        arm = draw.name or numbered
        arms[arm if arm not in arms and arm != main else f"{numbered}: {arm}"] = draw
    return arms
