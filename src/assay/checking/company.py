"""Company: whether the number of a prompt depends on the others in its call, as where padding is
not masked, hooks pile up from prompt to prompt, or results are not put back in order."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product

import numpy as np

from assay.checking.calls import Numbers
from assay.checking.prompts import Given
from assay.checking.repeats import ALIKE, CLEAR
from assay.checking.result import CALL, ENDS, MORE
from assay.core.errors import DataError, RunError
from assay.core.expression import Parsed
from assay.core.intervals import FEWEST

DIGITS = 0.01
"""The share by which a number changes with the call that is no rounding, even in half precision."""
CHANCE = 2.0
"""Standard errors up to which answers that are whole numbers may move by chance, as they do if the
function draws anew, with the same seed, in each call."""
Part = tuple[Sequence[int], Numbers]
"""Some prompts, and their numbers in a call of only these: of each an effect and its two ends."""


def shorter_half(given: Given) -> list[int]:
    """The shorter half of the prompts in the reverse order. Each then has others next to it and
    another place in the call, and there is less padding."""
    return sorted(given.by_length[: (len(given) + 1) // 2], reverse=True)


def singly(given: Given, both: Callable[[Sequence[int]], Numbers]) -> list[Part]:
    """A call of a single prompt, which is not padded; of two for a function that needs two."""
    for few in (given.by_length[:1], given.by_length[:2]):
        with contextlib.suppress(RunError, DataError):
            return [(few, both(few))]
    return []


def differ(first: Numbers, other: Numbers) -> bool:
    """Whether any digit differs."""
    return any(not np.array_equal(x, other[name], equal_nan=True) for name, x in first.items())


def stems(numbers: Numbers) -> list[str]:
    """The names under which a function gave numbers."""
    return [name.removesuffix(ENDS[1]) for name in numbers if name.endswith(ENDS[1])]


def columns(stem: str) -> list[str]:
    """The names of a number's effect and of its two ends."""
    return [stem, *(f"{stem}{end}" for end in ENDS)]


def effects(before: Numbers, after: Numbers) -> Numbers:
    """Each number's effect, with its two ends."""
    numbers: Numbers = {}
    for stem, x in after.items():
        numbers |= dict(zip(columns(stem), (x - before[stem], before[stem], x), strict=True))
    return numbers


def is_far(numbers: Numbers, rows: Sequence[int], part: Numbers) -> bool:
    """Whether a number with the thing is in a call of these rows further from what it is in that of
    all than rounding in a batch of another size explains."""
    for stem, x in part.items():
        moved = np.abs(x - numbers[f"{stem}{ENDS[1]}"][rows])
        if np.nanmax(moved, initial=0.0) > ALIKE * _largest(numbers, stem):
            return True
    return False


def _largest(numbers: Numbers, stem: str) -> float:
    """What differences are small next to: the largest effect, or the spread of prompts."""
    effect, before, _ = (numbers[c] for c in columns(stem))
    return max(float(np.nanmax(np.abs(effect), initial=0.0)), float(np.nanstd(before)))


def refuse_one_for_all(
    function: str, numbers: Numbers, parts: Sequence[Part], parsed: Parsed
) -> None:
    """Refuse a function that returns one number for its whole call. Raises: DataError."""
    several = [(len(rows), part) for rows, part in parts if len(rows) > 1]
    read = {c.name for c in parsed.columns}
    for stem in stems(numbers):
        _, *both = columns(stem)
        calls = [numbers, *(part for _, part in several)]
        same = all((x[c] == x[c][0]).all() for x in calls for c in both)
        if not (same and read & {stem, *both}):
            continue
        for (count, part), c in product(several, both):
            whole, other = float(numbers[c][0]), float(part[c][0])
            if abs(whole - other) > DIGITS * max(abs(whole), abs(other)):
                raise DataError(
                    f"{function} returns one number for the whole call, such as a mean loss: "
                    f"{whole:.4g} for each of {len(numbers[c])} prompts, and {other:.4g} for "
                    f"each of {count} of them; let it return one for each prompt"
                )


def dependence(
    numbers: Numbers, parts: Sequence[Part], noise: Mapping[str, float], parsed: Parsed
) -> list[str]:
    """Note by how much the number of a prompt depends on its call, and whether this is more than
    half of the effect; nothing where it is no more than rounding, or than noise."""
    notes, read = [], {c.name for c in parsed.columns}
    for stem in stems(numbers):
        effect, *both = each = columns(stem)
        moved = {c: [x[c] - numbers[c][rows] for rows, x in parts] for c in each}
        apart = [np.abs(d[~np.isnan(d)]) for c in both for d in moved[c]]
        apart = [d for d in apart if d.size]
        most = max((float(d.max()) for d in apart), default=0.0)
        usual = max((float(d.mean()) for d in apart), default=0.0)
        if usual <= max(ALIKE * _largest(numbers, stem), CLEAR * noise.get(stem, 0.0)):
            continue
        shift_of = _share_shift if all((numbers[c] % 1 == 0).all() for c in both) else _shift
        shift = max((shift_of(d) for c in read & {*each} for d in moved[c]), default=0.0)
        least = max(abs(float(np.nanmean(numbers[effect]))), _short(numbers, parsed))
        more = MORE * (2 * shift > least)
        notes.append(
            f"{CALL}, by up to {most:.3g}{more}: is a mean, such as one that replaces activations, "
            "taken over the prompts of the call, is a hook removed before the next prompt, are the "
            "numbers in the order of the prompts, and is padding masked?"
        )
    return notes


def _shift(moved: np.ndarray) -> float:
    """By how much prompts move on average."""
    return 0.0 if np.isnan(moved).all() else float(np.nanmean(np.abs(moved)))


def _share_shift(moved: np.ndarray) -> float:
    """By how much the mean of answers that are whole numbers moves beyond chance."""
    if len(moved) < FEWEST:
        return 0.0
    chance = CHANCE * float(np.std(moved)) / math.sqrt(len(moved))
    return max(0.0, abs(float(moved.mean())) - chance)


def _short(numbers: Numbers, parsed: Parsed) -> float:
    """How far the mean is from the range of a condition on a single number; 0 where it is in it."""
    if not parsed.plain:
        return 0.0
    mean = float(np.nanmean(numbers[parsed.columns[0].name]))
    return max(parsed.low - mean, mean - parsed.high, 0.0)
