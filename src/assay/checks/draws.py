"""Draws: what a function is called with in place of the thing, each as an arm with a name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import singledispatch
from typing import Any

import numpy as np

from assay.checks.rows import Prompts
from assay.controls import vectors
from assay.controls.material import ByPrompt, column
from assay.controls.table import TABLE, Control
from assay.controls.things import Draw, Parts, Thing, Vector, item
from assay.errors import ClaimError, DataError, nearest

Controls = Mapping[str, Any] | Sequence[str] | None
FIRST = 4
"""Draws of noise with which a claim may already be out of reach."""


def made(
    thing: Thing, prompts: Prompts, controls: Controls, count: int, most: int = 0
) -> Iterator[Draw]:
    """What stands in for a thing: its own draws, those that are named, or its own and further ones.

    Args:
        count: how many of what is drawn; 0 for the usual number.
        most: so many draws of noise of each control at most; 0 for all.

    Raises:
        DataError: a control that is the thing itself, or of another form (same-thing, wrong-part).
        ClaimError: no control, or none of this name (no-control, unknown-control).
    """
    kept = () if controls is None or isinstance(controls, Mapping) else tuple(controls)
    seen: dict[str, int] = {}
    for draw in thing.draws(prompts.each, count, kept):
        name = draw.control.name
        if (kept and name not in kept) or (most and draw.control.noise and seen.get(name) == most):
            continue
        seen[name] = seen.get(name, 0) + 1
        yield draw
    if unknown := {*kept} - {*seen}:
        raise ClaimError(
            "unknown-control", f"no control {min(unknown)}; {nearest(min(unknown), seen)}"
        )
    own = controls if isinstance(controls, Mapping) else {}
    if not seen and not own:
        raise ClaimError(
            "no-control", f"nothing stands in for {thing.name}; give controls={{name: …}}"
        )
    yield from given(thing, prompts, own)


def given(thing: Thing, prompts: Prompts, own: Mapping[str, Any]) -> Iterator[Draw]:
    """Draws of one's own: one of each name, or several. Raises: DataError."""
    known = {c.name: c for c in TABLE.get(thing.aspect, ())}
    for name, x in own.items():
        of = known.get(name, Control(name, f"{name} has the effect as well"))
        for value in several(thing, x, prompts.each):
            if _same(value, thing.value):
                raise DataError("same-thing", f"{thing.name} is what the claim is about", name)
            yield Draw(of, value, thing.named(value))


def _same(a: Any, b: Any) -> bool:
    with contextlib.suppress(ValueError):  # of lists of unlike lengths
        return bool(np.array_equal(vectors.as_numpy(a), vectors.as_numpy(b)))
    return False


@singledispatch
def several(thing: Thing, x: Any, rows: Sequence[Any]) -> list[Any]:
    """One thing, or each of a list of them."""
    return x if isinstance(x, list) else [x]


@several.register
def _(thing: Vector, x: Any, rows: Sequence[Any]) -> list[Any]:
    one = not isinstance(x, list) or all(np.ndim(number) == 0 for number in x)
    return [
        vectors.cast(np.asarray(v) if isinstance(v, list) else v, thing.value)
        for v in ([x] if one else x)
    ]


@several.register
def _(thing: Parts, x: Any, rows: Sequence[Any]) -> list[Any]:
    pool = {*thing.pool}
    for each in ([x], x):
        if isinstance(x, list) and all(
            isinstance(v, list) and v and {*map(item, v)} <= pool for v in each
        ):
            return [[*map(item, v)] for v in each]
    raise DataError("wrong-part", f"give a list such as {thing.value}, or a list of such lists")


@several.register
def _(thing: ByPrompt, x: Any, rows: Sequence[Any]) -> list[Any]:
    one = isinstance(x, str) or len(x) == len(rows)
    return [column(v, rows) for v in ([x] if one else x)]


def named(draws: Iterable[Draw], taken: Iterable[str]) -> dict[str, Draw]:
    """Draws by arm: their own name, or that of their control with a number."""
    arms, used, listed = dict[str, Draw](), {*taken}, list(draws)
    counts: dict[str, int] = {}
    for draw in listed:
        name = draw.control.name
        counts[name] = counts.get(name, 0) + 1
        several = sum(d.control.name == name for d in listed) > 1 or draw.control.noise
        arm = draw.name or (f"{name} {counts[name]}" if several else name)
        arm = arm if arm not in used else f"{name} {counts[name]}: {draw.name}"
        arms[arm] = draw
        used.add(arm)
    return arms
