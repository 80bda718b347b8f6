"""Draws: what a function is called with in place of the thing, each as an arm with a name."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from assay.controls import vectors
from assay.controls.material import ByPrompt, column
from assay.controls.table import TABLE, Control
from assay.controls.things import Draw, Parts, Thing, Vector, item
from assay.errors import ClaimError, DataError, nearest

Controls = Mapping[str, Any] | Sequence[str] | None


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
    """The author's own: of each name one, which is nested as the thing is, or a list of several.
    Raises: DataError."""
    known = {c.name: c for c in TABLE.get(thing.aspect, ())}
    for name, x in own.items():
        control = known.get(name, Control(name, f"{name} has the effect as well"))
        for value in x if _depth(x) > _depth(thing.value) else [x]:
            value = _like(thing, value, rows)
            with contextlib.suppress(ValueError):  # of lists of unlike lengths
                if np.array_equal(vectors.as_numpy(value), vectors.as_numpy(thing.value)):
                    raise DataError("same-thing", f"{thing.name} is what the claim is about", name)
            yield Draw(control, value, thing.named(value))


def _depth(x: Any) -> int:
    """How often lists are nested."""
    return 1 + _depth(x[0]) if isinstance(x, list) and x else getattr(x, "ndim", 0)


def _like(thing: Thing, value: Any, rows: Sequence[Any]) -> Any:
    """A value in the form of the thing's. Raises: DataError (wrong-part)."""
    if isinstance(thing, Vector):
        return vectors.cast(np.array(value) if isinstance(value, list) else value, thing.value)
    if isinstance(thing, ByPrompt):
        return column(value, rows)
    if isinstance(thing, Parts):
        value = [*map(item, value)] if isinstance(value, list) else []
        if not value or not {*value} <= {*thing.pool}:
            raise DataError("wrong-part", f"give a list such as {thing.value}, or several such")
    return value


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
