"""Damage: what the thing does to another task of the same model, on the scale of the claim's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from assay.checks.calls import Calls
from assay.checks.rows import ENDS, Numbers, Prompts, effects, stems
from assay.verdicts.rule import Sample, interval

Function = Callable[[Any, Any], Any]
MOST = 4.0
"""An effect is at most so many spreads: where all prompts have nearly one number, any is large."""


def damaged(
    calls: Calls, task: Function | tuple[Function, Any], numbers: Numbers, side: int
) -> tuple[Numbers, str]:
    """The claim's numbers without the thing, moved to one side by as many of their spreads as
    another task is moved, either way; and why that tests nothing, or "".

    Args:
        task: (thing, prompts) → numbers, or that with prompts of its own.
    """
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
    able = any(_can_lose(x[np.isfinite(x)]) for x in without.values())
    return effects(before, moved), "" if able else "the model cannot do the other task"


def _spread(before: np.ndarray, after: np.ndarray) -> float:
    """The standard deviation between prompts, or the share of what they move by if that is more."""
    moved = abs(float(np.nanmean(after - before)))
    return max(float(np.sqrt((np.nanvar(before) + np.nanvar(after)) / 2)), moved / MOST) or 1.0


def _can_lose(x: np.ndarray) -> bool:
    """Whether numbers are not about 0, and not below it in part only."""
    low, _ = interval(Sample(x[:, None], {"prompt": np.arange(len(x))})).limits()
    return not low <= 0 <= x.max(initial=-np.inf)
