"""Draws: what a function is called with in place of the thing, each as an arm with a name."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from assay.checks.calls import ENDS, Calls, Numbers, Prompts, effects, stems
from assay.controls import vectors
from assay.controls.material import Patch, Span, column
from assay.controls.table import TABLE, Control
from assay.controls.things import Draw, Parts, Place, Thing, Vector, item
from assay.errors import ClaimError, DataError, nearest
from assay.verdicts.rule import Sample, interval

Controls = Mapping[str, Any] | Sequence[str] | None
Function = Callable[[Any, Any], Any]
MOST = 4.0
"""An effect is at most so many spreads: where all prompts have nearly one number, any is large."""


class Supply:
    """What stands in for a thing, made when it is asked for.

    Attributes:
        own: the author's own, by control.
        kept: the names of controls that are kept, if any are named.
    """

    def __init__(self, thing: Thing, rows: Sequence[Any], controls: Controls) -> None:
        self.thing, self.rows = thing, rows
        is_own = isinstance(controls, Mapping)
        self.own: Mapping[str, Any] = controls if is_own else {}  # type: ignore[assignment]
        self.kept = () if is_own else tuple(controls or ())

    def first(self, count: int, noise: int) -> list[Draw]:
        """Everything, with so many draws of noise of each control. Raises: ClaimError (no-control,
        unknown-control), DataError."""
        draws = [*self.further(lambda c: noise if c.noise else 10**9, {}, count)]
        names = {draw.control.name for draw in draws}
        for name in (name for name in self.kept if name not in names):
            raise ClaimError("unknown-control", f"no control {name}; {nearest(name, names)}")
        if not names and not self.own:
            message = f"nothing stands in for {self.thing.name}; give controls={{name: …}}"
            raise ClaimError("no-control", message)
        return [*draws, *authors(self.thing, self.rows, self.own)]

    def further(
        self, most: Callable[[Control], int], have: Mapping[str, int], count: int
    ) -> Iterator[Draw]:
        """The draws of each control up to so many, without those that there are."""
        at = Counter[str]()
        for draw in self.thing.draws(self.rows, count, self.kept):
            control = draw.control
            at[control.name] += 1
            is_kept = not self.kept or control.name in self.kept
            if is_kept and have.get(control.name, 0) < at[control.name] <= most(control):
                yield draw


def authors(thing: Thing, rows: Sequence[Any], own: Mapping[str, Any]) -> Iterator[Draw]:
    """The author's own: of each name one, which is nested as the thing is, or a list of several.
    Raises: DataError (same-thing, wrong-part)."""
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
    if isinstance(thing, Patch | Span):
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


# ---- damage to another task ----------------------------------------------------------------------


def damaged(
    calls: Calls, task: Function | tuple[Function, Any], numbers: Numbers, side: int
) -> tuple[Numbers, str]:
    """The claim's numbers without the thing, moved to one side by as many of their spreads as
    another task, or one with prompts of its own, is moved; and why that tests nothing, or ""."""
    function, prompts = task if isinstance(task, tuple) else (task, calls.prompts.value)
    other = Calls(function, Prompts.read(prompts), calls.thing, calls.none, record=calls.record)
    without, after = other.without(again=-1), other(calls.thing.value, calls.thing.name, again=-1)
    share = np.max([abs(after[n] - x) / _spread(x, after[n]) for n, x in without.items()], axis=0)
    count, before, moved = len(calls.prompts.each), dict[str, Any](), dict[str, Any]()
    dealt = np.array([share[i % len(share) :: count].mean() for i in range(count)])
    for name in stems(numbers):
        x, y = (numbers[f"{name}{end}"] for end in ENDS)
        before[name], moved[name] = x, x + side * _spread(x, y) * dealt
        if np.isin([*x, *y], (0, 1)).all():
            moved[name] = moved[name].clip(0, 1)
    able = not isinstance(calls.thing, Parts | Place | Patch | Span)  # but something is put in
    able |= any(_can_lose(x[np.isfinite(x)]) for x in without.values())
    return effects(before, moved), "" if able else "the model cannot do the other task"


def _spread(before: np.ndarray, after: np.ndarray) -> float:
    """The standard deviation between prompts, or the share of what they move by if that is more."""
    moved = abs(float(np.nanmean(after - before)))
    return max(float(np.sqrt((np.nanvar(before) + np.nanvar(after)) / 2)), moved / MOST) or 1.0


def _can_lose(x: np.ndarray) -> bool:
    """Whether numbers are not about 0, and not below it in part only."""
    low, _ = interval(Sample(x[:, None], {"prompt": np.arange(len(x))})).limits()
    return not low <= 0 <= x.max(initial=-np.inf)
