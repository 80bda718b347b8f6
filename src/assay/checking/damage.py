"""Damage: what the same change does to another task, on the scale of what it does to the one that a
claim is about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.checking.calls import Calls, Numbers
from assay.checking.prompts import Given

MOST = 4.0
"""An effect counts as at most so many times its spread: where every prompt gives nearly the same
number, anything else would be nothing next to it."""
Also = Callable[[Any, Any], Any]


@dataclass(frozen=True, eq=False)
class Change:
    """What a claim credits, and what it does to the claim's own numbers."""

    kind: str
    thing: Any
    none: Any
    before: Numbers
    effects: Numbers


def damaged(
    change: Change, also: Also | tuple[Also, Any], own: Given, *, lower: bool, keep: bool
) -> Numbers:
    """Measure the control `damage`: the numbers without what is credited, plus as many of their
    spreads as the other task's move by, towards the claim.

    Args:
        change: what is credited.
        also: (thing, prompts) → a number for each prompt, or (function, its prompts).
        own: the prompts of the claim.
        lower: whether the condition has a lower edge, so that an effect is claimed upwards.
        keep: whether calls are kept.
    """
    function, prompts = also if isinstance(also, tuple) else (also, own.value)
    calls = Calls(function, Given.read(prompts), keep=keep, total=2)
    without, with_it = calls("none", change.none), calls(change.kind, change.thing)
    shares = np.max([_share(without[n], with_it[n]) for n in without], axis=0)
    count = len(own)
    dealt = np.array([shares[i % len(shares) :: count].mean() for i in range(count)])
    numbers: Numbers = {}
    for name, base in change.before.items():
        moved = base + change.effects[name]
        effect = (1 if lower else -1) * _spread(base, moved) * dealt
        if np.isin([*base, *moved], (0, 1)).all():  # yes and no: a share is never beyond them
            effect = np.clip(base + effect, 0, 1) - base
        numbers |= {name: effect, f"{name}_after": base + effect, f"{name}_before": base}
    return numbers


def _spread(before: np.ndarray, after: np.ndarray) -> float:
    """The spread of numbers between prompts, at least a share of what they move by."""
    moved = abs(float(np.nanmean(after - before)))
    return max(float(np.sqrt((np.nanvar(before) + np.nanvar(after)) / 2)), moved / MOST)


def _share(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """How far each prompt of the other task moves, in spreads, whichever way."""
    spread = _spread(before, after)
    moved = np.abs(after - before)
    return np.asarray(moved / spread) if spread else np.zeros_like(moved)
