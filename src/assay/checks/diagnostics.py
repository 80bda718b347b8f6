"""Diagnostics: whether a function's numbers differ from call to call, whether something stays in
the model, whether a prompt's number depends on the others in its call, and whether the function
ignores what it is given."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from assay.checks.calls import Calls
from assay.checks.judging import Measured
from assay.checks.rows import ENDS, FEWEST, Numbers, effects
from assay.errors import DataError, RunError
from assay.notes import Note
from assay.verdicts.conditions import Condition

EXACT, ROUNDING = 1e-6, 0.05
"""The shares of the largest effect by which single precision moves a number, and up to which a
batch of another size may."""
CLEAR = 3.0
"""So many times the difference between calls that agree is a change."""
AGAIN, IN_ORDER = 7, 8
"""Further calls that have to agree with one that differs from the first two: of a noisy yes or no,
p²(1 - p)⁸ < 0.7% of calls are like that. And calls that all have to move one way: noise does so
in 2 of 8! cases."""
SOME = 8
"""Prompts at most that are called once more in other company."""
SHARES = 720_720
"""All shares of up to 16 are multiples of 1 by this."""


def apart(first: Numbers, other: Numbers) -> np.ndarray:
    """By how much each number differs at most."""
    return np.array([np.nanmax(np.abs(other[n] - x), initial=0.0) for n, x in first.items()])


def sizes(numbers: Numbers) -> dict[str, float]:
    """What differences are small beside: the largest effect, or the spread of the prompts."""
    stems = [name for name in numbers if not name.endswith(ENDS)]
    spread = {n: float(np.nanstd(numbers[f"{n}{ENDS[0]}"])) for n in stems}
    return {n: max(float(np.nanmax(abs(numbers[n]), initial=0.0)), spread[n]) for n in stems}


def is_fine(numbers: Iterable[np.ndarray]) -> bool:
    """Whether numbers are finer than counts, or shares of a few, which hide small changes."""
    known = np.concatenate([x[np.isfinite(x)] for x in numbers]) * SHARES
    return bool((np.abs(known - np.round(known)) > 1e-3).any())


# ---- noise and state -----------------------------------------------------------------------------


@dataclass
class Repeats:
    """Calls that are alike, between which others are made."""

    call: Callable[[], Numbers]
    seen: list[Numbers] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.seen += [self.call(), self.call()]

    def is_noisy(self, size: np.ndarray) -> bool:
        """Whether two calls in a row differ."""
        return bool((apart(*self.seen[:2]) > EXACT * size).any())

    def moves_on(self) -> bool:
        """Whether each call moves the numbers further in one direction."""
        while self._in_order() and len(self.seen) < IN_ORDER:
            self.seen.append(self.call())
        return self._in_order()

    def has_moved(self, size: np.ndarray) -> bool:
        """Whether numbers have moved for good since the first two calls, which agreed."""
        first, last = self.seen[0], self.call()
        moved, least = apart(first, last), EXACT * size
        for _ in range(AGAIN):
            if not (moved > least).any():
                return False
            least = np.maximum(least, CLEAR * apart(last, self.call()))
        return bool((moved > least).any())

    def _in_order(self) -> bool:
        moves = np.diff([np.concatenate([*x.values()]) for x in self.seen], axis=0)
        moves = moves[:, (moves != 0).any(0)]
        return moves.size > 0 and bool(((moves > 0).all(0) | (moves < 0).all(0)).all())


class Watch:
    """Two prompts, on which calls are repeated."""

    def __init__(self, calls: Calls) -> None:
        self.calls, self.rows = calls, range(FEWEST)
        thing = calls.thing
        self.without = Repeats(lambda: calls.without(self.rows))
        self.within = Repeats(lambda: calls(thing.value, thing.name, self.rows))
        first, other = self.without.seen[0], self.within.seen[0]
        self.numbers = effects(first, other)
        self.size = np.array([*sizes(self.numbers).values()])
        both = (self.without, self.within)
        self.noisy = any(x.is_noisy(self.size) for x in both)
        if self.noisy and any(x.moves_on() for x in both):
            raise self._left("each call moves its numbers further")

    def finish(self) -> None:
        """Refuse a function that has left something in the model. Raises: DataError
        (leaves-something)."""
        if not self.noisy and self.without.has_moved(self.size):
            raise self._left(f"without {self.calls.thing.name} its numbers are no longer the same")

    def _left(self, why: str) -> DataError:
        message = f"{self.calls.name} leaves something in the model, such as a hook: {why}"
        return DataError("leaves-something", message)


# ---- what else is in the call --------------------------------------------------------------------

Part = tuple[Sequence[int], Numbers]
"""Some prompts, and their numbers in a call of only these."""


def measured(calls: Calls, watch: Watch, condition: Condition) -> tuple[Measured, list[Note]]:
    """Call without the thing and with it; twice, if calls differ; and once more on some prompts, to
    see whether a number depends on the others in its call. Raises: DataError (one-for-all)."""
    value, main = calls.thing.value, calls.thing.name
    before, after = calls.without(), calls(value, main)
    numbers = effects(before, after)
    size = np.array([*sizes(numbers).values()])
    some = sorted(calls.prompts.by_length[: min(SOME, len(calls.prompts) // 2)], reverse=True)
    part, there = calls(value, main, some), {n: x[some] for n, x in after.items()}
    noisy = watch.noisy
    if (apart(part, there) > ROUNDING * size).any():
        noisy |= bool((apart(part, calls(value, main, some, again=1)) > EXACT * size).any())
        beside = calls.without(some)
    else:
        beside = {n: x[some] for n, x in before.items()}
    repeats, jitter = list[Numbers](), dict[str, float]()
    if noisy:
        other = effects(calls.without(again=1), calls(value, main, again=1))
        repeats = [numbers, other]
        jitter = {n: float(np.nanmean(np.abs(x - other[n]))) for n, x in numbers.items()}
        numbers = {n: (x + other[n]) / 2 for n, x in numbers.items()}
        before = {n: numbers[f"{n}{ENDS[0]}"] for n in before}
    parts = [(some, effects(beside, part)), (watch.rows, watch.numbers), *_alone(calls)]
    read = {c.name for c in condition.columns}
    refuse_one_for_all(calls.name, numbers, parts, read)
    return Measured(before, {main: numbers}, repeats=tuple(repeats)), dependence(
        numbers, parts, jitter, condition
    )


def _alone(calls: Calls) -> list[Part]:
    """A call of one prompt, which has no padding; of two for a function that does not take one."""
    for count in (1, 2):
        rows = calls.prompts.by_length[:count]
        with contextlib.suppress(RunError, DataError):
            after = calls(calls.thing.value, calls.thing.name, rows)
            return [(rows, effects(calls.without(rows), after))]
    return []


def refuse_one_for_all(name: str, numbers: Numbers, some: Sequence[Part], read: set[str]) -> None:
    """Refuse a function that gives one number for its whole call. Raises: DataError
    (one-for-all)."""
    for stem in sizes(numbers):
        both = [f"{stem}{end}" for end in ENDS]
        calls = [numbers, *(x for rows, x in some if len(rows) > 1)]
        if not read & {stem, *both} or not all(
            (x[c] == x[c][0]).all() for x in calls for c in both
        ):
            continue
        firsts = [(numbers[c][0], x[c][0]) for x in calls for c in both]
        if any(abs(a - b) > 0.01 * max(abs(a), abs(b)) for a, b in firsts):
            message = f"{name} gives one {stem} for the whole call; return one for each prompt"
            raise DataError("one-for-all", message)


def dependence(
    numbers: Numbers, some: Sequence[Part], noise: Mapping[str, float], condition: Condition
) -> list[Note]:
    """Notes on numbers that depend on the other prompts in the call; a doubt where that moves what
    the condition reads by more than half of the effect."""
    notes, read = list[Note](), {c.name for c in condition.columns}
    for stem, size in sizes(numbers).items():
        both = [f"{stem}{end}" for end in ENDS]
        moved = {c: [x[c] - numbers[c][rows] for rows, x in some] for c in (stem, *both)}
        known = [d for c in both for x in moved[c] if (d := np.abs(x[np.isfinite(x)])).size]
        usual = max((float(d.mean()) for d in known), default=0.0)
        if usual <= max(ROUNDING * size, CLEAR * noise.get(stem, 0.0)):
            continue
        whole = all((numbers[c] % 1 == 0).all() for c in both)
        shift = max(
            (_shift(d, whole=whole) for c in read & {*moved} for d in moved[c]), default=0.0
        )
        mean = float(np.nanmean(numbers[stem]))
        off = [abs(mean), *_short(numbers, condition)]
        most = f"{max(float(d.max()) for d in known):.3g}"
        code = "batch-decides" if 2 * shift > max(off) else "batch"
        notes.append(Note(code, {"name": stem, "by": most}))
    return notes


def _shift(moved: np.ndarray, *, whole: bool) -> float:
    """By how much prompts move on average; of whole numbers, which may be drawn anew in each call,
    by how much their mean does beyond two standard errors."""
    moved = moved[np.isfinite(moved)]
    if not moved.size or (whole and len(moved) < 6):
        return 0.0
    if not whole:
        return float(np.abs(moved).mean())
    return max(0.0, abs(float(moved.mean())) - 2 * float(moved.std()) / math.sqrt(len(moved)))


def _short(numbers: Numbers, condition: Condition) -> list[float]:
    """How far the mean of the only number that a condition reads is from its range."""
    names = {c.name for c in condition.columns}
    if len(names) != 1 or not names <= {*numbers}:
        return []
    mean = float(np.nanmean(numbers[names.pop()]))
    return [condition.low - mean, mean - condition.high]


# ---- what changes nothing ------------------------------------------------------------------------


def refuse_ignoring(
    calls: Calls, arms: Mapping[str, Numbers], read: set[str], *, few: bool = False
) -> None:
    """Refuse a function that gives the same numbers whatever it is given, or none; of a few prompts
    only where they are no counts. Raises: DataError (ignores, no-number)."""
    stems = [n for n in next(iter(arms.values())) if not n.endswith(ENDS)]
    for stem in stems:
        named = read & {stem, *(f"{stem}{end}" for end in ENDS)}
        if named and all(np.isnan(x[stem]).all() for x in arms.values()):
            raise DataError("no-number", f"{calls.name} gives {stem} of no prompt, but NaN")
    after = [x[f"{n}{ENDS[1]}"] for x in arms.values() for n in stems]
    moved = any(np.nan_to_num(x[n]).any() for x in arms.values() for n in stems)
    if not moved and (not few or is_fine(after)):
        message = (
            f"{calls.name} gives the same numbers with {calls.thing.name}, without it and with"
        )
        raise DataError("ignores", f"{message} every control: it ignores what it is given")


def unmoved(main: str, arms: Mapping[str, Numbers], read: set[str]) -> list[Note]:
    """A note where the thing leaves some prompts exactly as they are, though numbers are no counts;
    not on a number that nothing changes, which others are compared with."""
    numbers = arms[main]
    for stem in sizes(numbers):
        named = read & {stem, *(f"{stem}{end}" for end in ENDS)}
        n, of = int((numbers[stem] == 0).sum()), len(numbers[stem])
        compared = not any(np.nan_to_num(x[stem]).any() for x in arms.values())
        if named and n and not compared and is_fine([numbers[f"{stem}{ENDS[1]}"]]):
            return [Note("unmoved", {"n": n, "of": of, "thing": main})]
    return []


def idle(main: str, arms: Mapping[str, Numbers], control: str) -> str:
    """Why a control tests nothing: it changes nothing, or by its making it gives the opposite of
    what the thing does; empty where it does test."""
    still, opposite = True, True
    for stem, size in sizes(arms[main]).items():
        ours, theirs = (arms[arm] for arm in (main, control))
        small = EXACT * max(size, float(np.nanmax(np.abs(ours[f"{stem}{ENDS[0]}"]), initial=0.0)))
        still &= bool((np.abs(np.nan_to_num(theirs[stem])) <= small).all())
        after = ours[f"{stem}{ENDS[1]}"] + theirs[f"{stem}{ENDS[1]}"]
        mirrored = np.abs(np.nan_to_num(ours[stem] + theirs[stem])).max() <= small
        opposite &= bool(mirrored or (np.ptp(after) <= small < np.ptp(ours[f"{stem}{ENDS[1]}"])))
    fine = is_fine(x for arm in arms.values() for x in arm.values())
    if not fine or not (still or opposite):
        return ""
    return "it changes no number" if still else "its numbers are those of the thing, reversed"
