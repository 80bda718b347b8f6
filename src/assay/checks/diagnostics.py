"""Diagnostics: whether calls differ, whether something stays in the model, whether a prompt's
number depends on the others in its call, and what changes nothing."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from assay.checks.calls import ENDS, FEWEST, Calls, Numbers, Prompts, digest, effects, stems
from assay.checks.draws import Controls
from assay.checks.judging import DAMAGE, Bench, Decided
from assay.controls.table import TABLE
from assay.controls.things import Parts, Place, Thing
from assay.errors import DataError, RunError
from assay.notes import Note

EXACT, ROUNDING = 1e-6, 0.05
"""The shares of the largest effect by which single precision moves a number, and by which a batch
of another size may."""
CLEAR = 3.0
"""So many times the difference between calls that agree is a change."""
AGAIN, IN_ORDER = 7, 8
"""Calls that have to agree with one that differs from two before, as of a noisy yes or no do at
most p²(1 - p)⁸ < 0.7%; and that all have to move one way, as noise does in 2 of 8! cases."""
SOME = 8
"""Prompts at most that are called once more in other company."""
SHARES = 720_720
"""All shares of up to 16 are multiples of 1 by this."""
Part = tuple[Sequence[int], Numbers]
"""Some prompts, and their numbers in a call of only these."""


def apart(first: Numbers, other: Numbers) -> np.ndarray:
    """By how much each number differs at most."""
    return np.array([np.nan_to_num(abs(other[n] - x)).max() for n, x in first.items()])


def sizes(numbers: Numbers) -> np.ndarray:
    """What differences are compared with: the largest effect of each number, or its spread."""
    ends = [np.nan_to_num([numbers[n], numbers[f"{n}{ENDS[0]}"]]) for n in stems(numbers)]
    return np.array([max(abs(effect).max(), before.std()) for effect, before in ends])


def is_fine(numbers: Iterable[np.ndarray]) -> bool:
    """Whether numbers are finer than counts, or shares of a few, which hide small changes."""
    known = np.concatenate([x[np.isfinite(x)] for x in numbers]) * SHARES
    return bool((np.abs(known - np.round(known)) > 1e-3).any())


# ---- noise and state -----------------------------------------------------------------------------


class Watch:
    """Two prompts, on which calls are repeated to tell noise from what stays in the model."""

    def __init__(self, calls: Calls) -> None:
        self.calls, self.rows = calls, range(FEWEST)
        value, main = calls.thing.value, calls.thing.name
        self.without = lambda: calls.without(self.rows)
        each = (self.without, lambda: calls(value, main, self.rows))
        seen = [[call(), call()] for call in each]
        self.first, self.numbers = seen[0][0], effects(seen[0][0], seen[1][0])
        self.exact = EXACT * sizes(self.numbers)
        self.noisy = any((apart(*pair) > self.exact).any() for pair in seen)
        if self.noisy and any(map(_moves_on, seen, each)):
            raise self._left("each call moves its numbers further")

    def finish(self) -> None:
        """Refuse a function whose numbers without the thing have changed for good. Raises:
        DataError (leaves-something)."""
        last, least = self.without(), self.exact
        moved = apart(self.first, last)
        for _ in range(0 if self.noisy else AGAIN):
            if not (moved > least).any():
                return
            least = np.maximum(least, CLEAR * apart(last, self.without()))
        if not self.noisy and (moved > least).any():
            raise self._left(f"without {self.calls.thing.name} its numbers are others than before")

    def _left(self, why: str) -> DataError:
        message = f"{self.calls.name} leaves something in the model, such as a hook: {why}"
        return DataError("leaves-something", message)


def _moves_on(seen: list[Numbers], call: Callable[[], Numbers]) -> bool:
    """Whether each call moves the numbers further in one direction."""
    while True:
        moves = np.diff([np.concatenate([*x.values()]) for x in seen], axis=0)
        moves = moves[:, (moves != 0).any(0)]
        one_way = moves.size > 0 and bool(((moves > 0).all(0) | (moves < 0).all(0)).all())
        if not one_way or len(seen) >= IN_ORDER:
            return one_way
        seen.append(call())


# ---- what else is in the call --------------------------------------------------------------------


def measure(calls: Calls, watch: Watch, bench: Bench) -> list[Note]:
    """Call without the thing and with it; twice, if calls differ; and once more on some prompts, to
    see whether a number depends on the others in its call. Raises: DataError (one-for-all)."""
    value, main, by_length = calls.thing.value, calls.thing.name, calls.prompts.by_length
    before, after = calls.without(), calls(value, main)
    numbers, noisy = effects(before, after), watch.noisy
    few = sorted(by_length[: min(SOME, len(by_length) // 2)], reverse=True)  # and less padding
    part = calls(value, main, few)
    beside: Numbers = {n: x[few] for n, x in before.items()}
    if (apart(part, {n: x[few] for n, x in after.items()}) > ROUNDING * sizes(numbers)).any():
        beside, again = calls.without(few), calls(value, main, few, again=1)
        noisy |= bool((apart(part, again) > EXACT * sizes(numbers)).any())
    jitter = dict.fromkeys(numbers, 0.0)
    if noisy:
        other = effects(calls.without(again=1), calls(value, main, again=1))
        jitter = {n: float(np.nan_to_num(abs(x - other[n])).mean()) for n, x in numbers.items()}
        bench.repeats = (numbers, other)
        numbers = {n: (x + other[n]) / 2 for n, x in numbers.items()}
    bench.before = {n: numbers[f"{n}{ENDS[0]}"] for n in before}
    bench.arms[main] = numbers
    parts = [(few, effects(beside, part)), (watch.rows, watch.numbers), *_alone(calls)]
    return [note for name in before for note in _company(bench, name, parts, jitter[name])]


def _alone(calls: Calls) -> list[Part]:
    """A call of one prompt, which has no padding; of two for a function that does not take one."""
    for count in (1, 2):
        rows = calls.prompts.by_length[:count]
        with contextlib.suppress(RunError, DataError):
            after = calls(calls.thing.value, calls.thing.name, rows)
            return [(rows, effects(calls.without(rows), after))]
    return []


def _company(bench: Bench, name: str, parts: Sequence[Part], jitter: float) -> list[Note]:
    """A note on a number that depends on the other prompts in the call; a doubt where that moves
    what the condition reads by more than half of the effect. Raises: DataError (one-for-all)."""
    numbers, both = bench.arms[bench.main], [f"{name}{end}" for end in ENDS]
    moved = {c: [x[c] - numbers[c][rows] for rows, x in parts] for c in (name, *both)}
    known = [d for c in both for x in moved[c] if (d := abs(x[np.isfinite(x)])).size]
    usual, most = max((d.mean(), d.max()) for d in known) if known else (0.0, 0.0)
    size = sizes({n: numbers[n] for n in moved})[0]
    if usual <= max(ROUNDING * size, CLEAR * jitter):
        return []
    calls = [numbers, *(x for rows, x in parts if len(rows) > 1)]
    if bench.reads(name) and all((x[c] == x[c][0]).all() for x in calls for c in both):
        message = f"{name} is one number for the whole call; return one for each prompt"
        raise DataError("one-for-all", message)
    shifts = [np.nan_to_num(abs(d)).mean() for c in bench.read & {*moved} for d in moved[c]]
    decides = 2 * max(shifts, default=0.0) > abs(np.nanmean(numbers[name]))
    code = "batch-decides" if decides else "batch"
    return [Note(code, {"name": name, "by": f"{most:.3g}"})]


# ---- what changes nothing ------------------------------------------------------------------------


def refuse_ignoring(calls: Calls, arms: Mapping[str, Numbers], *, few: bool = False) -> None:
    """Refuse a function that gives the same numbers whatever it is given, or none; of a few prompts
    only where they are no counts. Raises: DataError (ignores, no-number)."""
    names = stems(next(iter(arms.values())))
    after = [x[f"{n}{ENDS[1]}"] for x in arms.values() for n in names]
    if not few and all(np.isnan(x).all() for x in after):
        raise DataError("no-number", f"{calls.name} gives no number of any prompt, but NaN")
    moved = any(np.nan_to_num(x[n]).any() for x in arms.values() for n in names)
    if not moved and (not few or is_fine(after)):
        message = f"{calls.name} ignores what it is given: its numbers are always the same"
        raise DataError("ignores", message)


def unmoved(bench: Bench) -> list[Note]:
    """A note where the thing leaves some prompts exactly as they are, though numbers are no counts;
    not of a number that nothing changes, which others are compared with."""
    numbers = bench.arms[bench.main]
    for name in filter(bench.reads, bench.before):
        n, of = int((numbers[name] == 0).sum()), len(numbers[name])
        changes = any(np.nan_to_num(x[name]).any() for x in bench.arms.values())
        if n and changes and is_fine([numbers[f"{name}{ENDS[1]}"]]):
            return [Note("unmoved", {"n": n, "of": of, "thing": bench.main})]
    return []


def idle(bench: Bench, control: str) -> str:
    """Why a control tests nothing: it changes nothing, or by its making it gives the opposite of
    what the thing does; empty where it does test."""
    ours, theirs = (bench.arms[arm] for arm in (bench.main, control))
    still = opposite = is_fine(x for arm in bench.arms.values() for x in arm.values())
    for name, size in zip(stems(ours), sizes(ours), strict=True):
        x, y = ours[f"{name}{ENDS[1]}"], theirs[f"{name}{ENDS[1]}"]
        small = EXACT * max(size, np.nan_to_num(abs(ours[f"{name}{ENDS[0]}"])).max())
        still &= bool((np.abs(np.nan_to_num(theirs[name])) <= small).all())
        mirrored = np.abs(np.nan_to_num(ours[name] + theirs[name])).max() <= small
        opposite &= bool(mirrored or np.ptp(x + y) <= small < np.ptp(x))
    if still:
        return "it changes no number"
    return "its numbers are those of the thing, reversed" if opposite else ""


# ---- what is said of all this --------------------------------------------------------------------


def remarks(bench: Bench, decided: Decided, thing: Thing, controls: Controls) -> Iterator[Note]:
    """What there is to say of a verdict, its controls and the prompts. Raises: DataError."""
    if decided.noise:
        yield Note("noise", {"by": f"{decided.noise:.2g}"})
    yield from unmoved(bench)
    if copies := len(bench.prompts.labels) - len({*bench.prompts.labels}):
        yield Note("same-prompts", {"n": copies})
    for unit, n in decided.verdict.n.items():
        if (of := decided.case.rows[unit].nunique()) > n:
            yield Note("left-out", {"n": of - n, "of": of, "unit": unit})
    yield from _tests(bench)
    yield from () if bench.known else _lacking(bench, decided, thing, controls)
    yield from _parts(bench, decided, thing) if isinstance(thing, Parts) else ()


def _tests(bench: Bench) -> Iterator[Note]:
    """The controls that test nothing: a doubt where none does."""
    why = dict[str, str]()
    for name, control in bench.controls.items():
        each = [bench.unable if arm == DAMAGE else idle(bench, arm) for arm in control.arms]
        why[name] = each[0] if all(each) else ""
    code = "no-test" if all(why.values()) else "idle"
    for name in filter(why.get, why):
        yield Note(code, {"control": name, "why": why[name]})


def _lacking(bench: Bench, decided: Decided, thing: Thing, controls: Controls) -> Iterator[Note]:
    """The controls that are missing, and those that were left out."""
    missing, h = thing.missing(), decided.case.h
    if DAMAGE not in bench.controls and isinstance(thing, Parts | Place) and decided.alone:
        missing[DAMAGE] = "damage=another task"
    if h.is_null and math.isfinite(h.high - h.low):
        missing["known"] = "known={name: a thing with a small effect}"
    named = {*(controls or ())}
    for name in (name for name in missing if name not in named):
        yield Note("no-control", {"control": name, "give": missing[name]})
    if named and not isinstance(controls, Mapping):
        for c in TABLE.get(thing.aspect, ()):
            if c.default and c.name not in {*named, *missing}:
                yield Note("dropped-control", {"control": c.name})


def _parts(bench: Bench, decided: Decided, thing: Parts) -> Iterator[Note]:
    """Where parts were chosen, and how many others were tried. Raises: DataError (chosen-on)."""
    if thing.chosen_on is None:
        yield Note("selection", {"thing": thing.name})
    else:
        own = {digest(p) for p in bench.prompts.each}
        if n := len(own & {digest(p) for p in Prompts.read(thing.chosen_on).each}):
            message = f"{thing.name} was chosen on {n} of these prompts; give others"
            raise DataError("chosen-on", message, "chosen_on")
    control, of = bench.controls.get(thing.kind), len({*thing.pool}) // len(thing.value) - 1
    if control and len(control.arms) < of and decided.verdict.outcome == "holds":
        yield Note("few-draws", {"control": control.name, "n": len(control.arms), "of": of})
