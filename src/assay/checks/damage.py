"""Damage: what the thing does to another task of the same model, on the scale of the claim's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from assay.checks.calls import Calls
from assay.checks.rows import Numbers, Prompts, effects
from assay.verdicts.rule import Sample, interval

Task = Callable[[Any, Any], Any]
MOST = 4.0
"""An effect is at most so many spreads: where each prompt gives nearly one number, any is large."""


def damaged(
    calls: Calls, task: Task | tuple[Task, Any], numbers: Numbers, *, up: bool
) -> tuple[Numbers, str]:
    """The claim's numbers without the thing, moved towards the claim by as many of their spreads as
    the other task is moved, either way; and why that tests nothing, or "".

    Args:
        task: (thing, prompts) → numbers of another task, or that with prompts of its own.
        numbers: of the thing.
        up: whether the claim is that they rise.
    """
    function, prompts = task if isinstance(task, tuple) else (task, calls.prompts.value)
    other = Calls(function, Prompts.read(prompts), calls.thing, calls.none, calls.record)
    without, after = other.without(again=-1), other(calls.thing.value, "damage", again=-1)
    shares = np.max([_share(without[n], after[n]) for n in without], axis=0)
    count = len(calls.prompts)
    dealt = np.array([shares[i % len(shares) :: count].mean() for i in range(count)])
    before, moved = {}, {}
    for name in (n for n in numbers if f"{n}_before" in numbers):
        x, y = numbers[f"{name}_before"], numbers[f"{name}_after"]
        before[name], moved[name] = x, x + (1 if up else -1) * _spread(x, y) * dealt
        if np.isin([*x, *y], (0, 1)).all():
            moved[name] = moved[name].clip(0, 1)
    return effects(before, moved), _unable(without)


def _spread(before: np.ndarray, after: np.ndarray) -> float:
    """The standard deviation between prompts, or the share of what they move by if that is more."""
    moved = abs(float(np.nanmean(after - before)))
    return max(float(np.sqrt((np.nanvar(before) + np.nanvar(after)) / 2)), moved / MOST)


def _share(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    spread = _spread(before, after)
    return np.abs(after - before) / spread if spread else np.zeros_like(before)


def _unable(without: Numbers) -> str:
    """Why nothing can be lost: all numbers are about 0, or below 0 in part only."""
    for x in without.values():
        known = x[np.isfinite(x)]
        low, _ = interval(Sample(known[:, None], {"prompt": np.arange(len(known))})).limits()
        if not low <= 0 <= known.max(initial=-np.inf):
            return ""
    return "the model cannot do the other task"
