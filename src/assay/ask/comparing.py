"""Comparing: which arm a statement about models is about, and what takes the place of the arms that
it compares where a control takes that of one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from assay.ask import notes
from assay.ask.asked import Asked, Part
from assay.ask.measure.measuring import Task
from assay.ask.measure.probe_tasks import MAJORITY, ProbeTask
from assay.ask.wording import Condition
from assay.core.claims import Value
from assay.core.errors import ExperimentError
from assay.core.heavy import xr


def about(asked: Asked, read: Condition, controls: Collection[str]) -> str:
    """Give the arm that a statement is about: the first that it names and that is no control; of
    arms of a model the first in which something is done to it. Of two probes that are said to be
    equally good it is the one that breaks the sentence where it gets worse."""
    names = [name for name in read.parsed.arms if name not in controls]
    done = [name for name in names if name in asked.done]
    if asked.frozen is None:
        done += [n for n in names if n in asked.by_label and _is_tuned(asked, n)]
        done = [n for n in names if n in done and not asked.by_label[n].of] or done
        if worse := _breaking(asked, read):
            return worse
    return next(iter((*done, *names)), "main")


def _breaking(asked: Asked, read: Condition) -> str:
    """Of a sentence that compares probes and is so where all are alike: the first probe that breaks
    it by getting worse; "" of any other sentence, or where none does."""
    walk, parsed = read.parsed.terms.get("value"), read.parsed
    named = [p for p in map(asked.by_label.get, parsed.arms) if p is not None]
    if walk is None or len(named) < 2 or not all(map(_is_probe, named)):
        return ""

    def holds(worse: str) -> bool:
        with np.errstate(all="ignore"):
            x = float(walk(lambda c: np.float64(0.0 if c.arm == worse else 0.75)))
        return parsed.low < x < parsed.high

    return next((arm for arm in parsed.arms if holds("") and not holds(arm)), "")


def _is_tuned(asked: Asked, arm: str) -> bool:
    """Whether an arm is of a model that the study trains further."""
    train = asked.trains.get(asked.by_label[arm].task.model.name)
    return train is not None and bool(train.of)


def _is_probe(part: Part) -> bool:
    return isinstance(part.task, ProbeTask) and not part.of and part.task.control != MAJORITY


def rivals(asked: Asked, main: str, read: Condition, controls: Collection[str]) -> tuple[str, ...]:
    """Give the other arms of a comparison of interventions; none of any other claim, or of what was
    frozen before both sides of one moved together. What comes before both is no rival."""
    by_label = asked.by_label

    def is_done(arm: str) -> bool:
        task = by_label[arm].task if arm in by_label else None
        return isinstance(task, Task) and bool(task.intervention) and not task.is_difference

    if asked.frozen is not None or not is_done(main):
        return ()
    task = by_label[main].task
    first = task.first if isinstance(task, Task) else None
    before = f"{main.rpartition('/')[0]}/{first.name}".lstrip("/") if first else ""
    others = (a for a in read.parsed.arms if a not in (main, before, *controls))
    return tuple(a for a in others if is_done(a))


def twins(
    asked: Asked, main: str, read: Condition, controls: Collection[str]
) -> dict[str, dict[str, str]]:
    """Give what takes the place of the other arms of a comparison where a control takes that of its
    own, by the control's name: their twins where it is untrained, for else one that learned nothing
    is compared with one that did; and their own control of this name where two interventions are
    compared."""
    own, by_label = f"{main}/untrained", asked.by_label
    pairs: dict[str, dict[str, str]] = {}
    for part in asked.controls_of(main):
        for other in rivals(asked, main, read, controls) if part.label in controls else ():
            twin = f"{other}/{part.label.rpartition('/')[2]}"
            if twin in by_label and not asked.are_one_draw(part.label, twin):
                pairs.setdefault(part.label, {})[other] = twin
    others = [a for a in read.parsed.arms if a != main and not asked.have_equal_twins(main, a)]
    untrained = {a: f"{a}/untrained" for a in others if f"{a}/untrained" in by_label}
    return pairs | ({own: untrained} if untrained and own in controls else {})


def pairs_in_words(
    asked: Asked, where: str, main: str, read: Condition, controls: Collection[str]
) -> Iterator[str]:
    """Say which pairs stand in for both sides of a comparison."""
    compared = rivals(asked, main, read, controls)
    pairs = [
        f"{control} less {twin}"
        for control, others in twins(asked, main, read, controls).items()
        for other, twin in others.items()
        if other in compared
    ]
    if pairs:
        yield (
            f"{where}: it compares two interventions, so one control replaces both: "
            f"{', '.join(pairs)}"
        )


def of_control(part: Part, entry: Any, read: Condition) -> Any:
    """Complete a claim about a control: that it does nothing, what it is the control of must break.
    Raises: ExperimentError where it is to do something, and nobody says what must fail then."""
    entry = msgspec.structs.replace(entry, credits=entry.credits or ())
    if entry.control:
        return entry
    low, high, task = read.parsed.low, read.parsed.high, part.task
    nothing = task.chance if isinstance(task, ProbeTask) else 0.0
    is_none = isinstance(task, ProbeTask) and low < nothing < high
    is_none = is_none or notes.is_of_nothing(part, read, or_nearly=True)
    if part.of in read.parsed.arms or not is_none:
        raise ExperimentError(
            f"{part.label} is a control of {part.of}, and a claim that it does something needs a "
            f'control of its own: write control = ["…"], an arm for which the claim should fail, '
            f"or claim that {part.label} does little, which {part.of} then has to break"
        )
    violations = entry.violations or ((part.of,) if low < nothing < high else ())
    return msgspec.structs.replace(entry, control=(part.of,), violations=violations)


def refuse_unpaired(asked: Asked, arms: Sequence[str]) -> None:
    """Refuse a comparison of arms of which some units are the same and others are not, as they
    could be compared neither unit by unit nor as two groups. Raises: ExperimentError."""
    parts = [asked.by_label[a] for a in dict.fromkeys(arms) if a in asked.by_label]
    for part in parts[1:]:
        first, levels = parts[0], {*part.task.levels}
        own = {*first.task.levels}
        if part.task.unit != first.task.unit or levels == own or levels.isdisjoint(own):
            continue
        lack = sorted(levels ^ own)
        raise ExperimentError(
            f"{first.label} and {part.label} are measured on other {first.task.unit} levels, such "
            f"as {lack[0]!r}, which one of them lacks: they are compared one by one where both "
            f"have the same {len(own)}, and as two groups where they have none in common; leave "
            "out what one of them lacks, or name the levels of one otherwise"
        )


def read_besides(value: Value, others: Mapping[str, Mapping[str, str]]) -> Value:
    """Read the arms next to a control from those that belong to it."""

    def besides(arm: xr.Dataset, arms: Mapping[str, xr.Dataset]) -> Any:
        names = others.get(str(getattr(arms, "under", "")), {})
        return value(arm, _Renamed(arms, names) if names else arms)

    return besides


class _Renamed(dict[str, Any]):
    """Arms, some of which are others under their names."""

    def __init__(self, arms: Mapping[str, xr.Dataset], names: Mapping[str, str]) -> None:
        super().__init__()
        self.arms, self.names = arms, names

    def __missing__(self, name: str) -> xr.Dataset:
        return self.arms[self.names.get(name, name)]


def unlike(asked: Asked, main: str, read: Condition, controls: Sequence[str]) -> tuple[str, ...]:
    """Give the arms that are no excuse of a claim: those whose numbers mean something else; nothing
    done in the place of one side of a comparison alone; and next to a control all that is not
    named."""
    compared, others = rivals(asked, main, read, controls), read.parsed.arms
    if asked.by_label[main].of and asked.frozen is None:
        return tuple(label for label in asked.by_label if label not in (main, *controls))
    if compared:
        others = (*others, *asked.by_label)
    labels = asked.unlike(main, others)
    return labels + tuple(p.label for p in asked.parts if p.of in compared)
