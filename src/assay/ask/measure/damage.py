"""Damage: what a change of a model does to another task of the same model, on the scale of its
effect on the prompts of the claim.

A part that everything needs also carries what a claim names. The control `damage` makes the same
change while the model continues unrelated prompts. The loss of probability of their endings,
divided by its spread, replaces the change's own effect divided by its own spread, in the direction
in which a model gets worse: new behaviour after a change is not explained by what the change
breaks.

For a difference of two models under a change, it is by how much more the change harms the second.
For a difference of two kinds of prompts, the damage counts in the direction of the difference,
since either kind may be harmed.

The unrelated prompts are 48 plain English sentences, unless a study names others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Int

from assay.ask.measure import choosing, measuring, models, reads, tasks
from assay.ask.measure.measuring import Measured, Tick
from assay.ask.measure.prompts import SLOT, PromptSet, load
from assay.ask.measure.tasks import Task
from assay.ask.measure.tokenized import whole_slot
from assay.ask.tables import Intervention, Model, Position, Prompts, Read
from assay.core.columns import Axes
from assay.core.errors import DataError
from assay.core.heavy import xr
from assay.subjects.folder import find
from assay.subjects.tokenizer import Tokenizer

SENTENCES = "plain sentences"
"""Their name among the prompts of a study, which no study can use itself."""
START, END = "start", "end"
"""The columns: who or what a sentence is about, and how it ends."""

_TEXT = """
The old baker| opened his shop| before the sun came up
My younger sister| forgot her umbrella| on the bus again
The two boys| ran down the hill| to catch the ball
Our neighbour| painted the fence| green last summer
A small dog| was barking| at the closed door
The train| was late| because of the heavy snow
Her grandmother| told us a story| about a clever fox
The waiter| brought two cups| of hot coffee
The farmer| looked at the sky| and hoped for rain
Most of the guests| had left| by ten in the evening
The kitchen window| was open| all night long
His first bicycle| was red| with a silver bell
The teacher| wrote a long word| on the board
A cold wind| blew through the trees| in the garden
The children| built a tower| out of wooden blocks
The postman| left a letter| under the mat
Their new house| has three rooms| and a large kitchen
The cat| slept on the chair| in front of the fire
Every morning she| drinks a glass| of warm milk
The carpenter| cut the board| into four equal parts
A group of students| sat on the grass| and talked about music
The nurse| closed the curtains| so that he could sleep
The lake| was frozen| for most of the winter
My uncle| repairs old clocks| in his spare time
The soup| needs more salt| and a little pepper
The librarian| found the book| on the top shelf
Some of the apples| had fallen| from the tree
The driver| stopped the car| at the side of the road
The little girl| counted the steps| up to her room
A long queue| had formed| in front of the theatre
The gardener| watered the roses| early in the morning
His shoes| were wet| after the walk in the rain
The music| became louder| as we came closer
The captain| sent a message| to the other ship
The shop on the corner| sells bread| and fresh vegetables
The baby| laughed loudly| when the door opened
The hotel| was full| so they slept in the car
Our team| lost the game| in the last minute
The bridge| was closed| for three weeks
The painter| mixed the blue| with a little white
A tall man| asked the way| to the nearest station
The moon| rose slowly| above the dark hills
The students| finished the test| in less than an hour
Her coat| was hanging| behind the door
The cook| washed the rice| and put it in the pot
The path| goes through the forest| and along the river
The choir| sang the last song| without any light
The mechanic| checked the engine| but found nothing wrong
"""


@cache
def plain_sentences() -> PromptSet:
    """The 48 sentences; the end of each is a column."""
    names, lines = (START, "middle", END), _TEXT.strip().splitlines()
    rows = tuple(dict(zip(names, line.split("|"), strict=True)) for line in lines)
    return load(Prompts(name=SENTENCES, text="{start}{middle}", rows=rows), Path())


RISE, BEFORE = "unrelated_loss_rises", "unrelated_loss"
"""Measures of the control: the rise of the loss on unrelated text, and the loss before."""
PARTS = (tasks.OTHERS, tasks.CHOSEN)
"""Measures that are not numbers of a model."""
LEAST_SPREAD = 0.1
"""Nats per token; a smaller spread of the unrelated prompts is replaced by this one."""
MOST = 4.0
"""An effect counts as at most this many times its spread. If every prompt gives nearly the same
number, any other effect would be nothing in comparison."""
FIRST = 5
"""Minimum number of tokens before the end of a plain sentence."""
SENTENCE = "sentence"


@dataclass(frozen=True)
class DamageTask(Task):
    """What the control `damage` measures: the change of another arm, and its effect on unrelated
    prompts. If the change is a training, `start` is the model before it."""

    other: PromptSet | None = None
    """The unrelated prompts."""

    @property
    def unrelated(self) -> PromptSet:
        """The unrelated prompts."""
        assert self.other is not None
        return self.other

    @cached_property
    def sets(self) -> tuple[PromptSet, ...]:
        """The prompts that determine its numbers, with the unrelated ones last."""
        return (*super().sets, self.unrelated)

    @cached_property
    def words(self) -> dict[str, Any]:
        """What determines its numbers besides the contents of models and prompts."""
        words = {**super().words, "control": "damage", "read on": [*read_on(self.unrelated)]}
        by_effect = self.intervention and choosing.by_effect(self.intervention, self.reads)
        return {**words, "chosen": "by effect"} if by_effect else words

    def about(self, measure: str) -> tuple[str, str, str]:
        """Describe a measure: what it is, its unit, and which way is better."""
        if measure == RISE:
            return "by how much the loss on unrelated text rises, a token", "nats", "lower"
        if measure == BEFORE:
            return "the loss on unrelated text before the change, a token", "nats", "lower"
        return super().about(measure)


def read_on(other: PromptSet) -> tuple[str, str]:
    """What is read of unrelated prompts: the log-probability of their ends, if they have such a
    column, otherwise the loss of their text."""
    ends = all(END in row.columns for row in other.rows)
    return ("log_prob", f"{{{END}}}") if ends else ("loss", "")


def moved(table: Intervention, other: PromptSet) -> Intervention:
    """Make the same change at a position that unrelated prompts have. Raises: DataError if the loss
    of their text could not show it."""
    slots = [name for name in other.rows[0].spans if name != END]

    def place(position: Position) -> Position:
        if whole := whole_slot(position):
            return place(whole)
        if isinstance(position, int):
            return position if -FIRST <= position < FIRST else -1
        if (slot := SLOT.fullmatch(position)) and slot[1] not in slots:
            return f"{{{slots[0]}}}" if slots else -1
        return position

    several = table.position if isinstance(table.position, tuple) else ()
    new_position: Any = tuple(dict.fromkeys(map(place, several))) or place(table.position)  # type: ignore[arg-type]
    changes: dict[str, Any] = {"position": new_position}
    if table.source and table.ablate == "mean" and table.source_position == "":
        changes["source_position"] = table.position
    swept = dict(table.sweep)
    if "position" in swept:
        swept["position"] = tuple(place(p) for p in swept["position"])  # type: ignore[arg-type]
        changes["sweep"] = swept
    places = {*(new_position if several else (new_position,)), *swept.get("position", ())}
    if -1 in places and read_on(other)[0] == "loss":
        raise DataError(
            f"{other.table.name} has no column {END}, and the loss on its text "
            "does not show a change at the last token"
        )
    if table.patch == "other":  # texts of other lengths
        changes |= {"patch": "", "ablate": "resample"}
    return msgspec.structs.replace(table, **changes)


def axes(task: DamageTask) -> dict[str, Axes]:
    """The measures of the control, with their dimensions and levels."""
    swept: dict[str, Sequence[Any]] = {**models.levels(task.model)}
    swept |= task.intervention.sweep if task.intervention else {}
    plain = {k: v for k, v in measuring.axes(task).items() if k not in PARTS}
    return {**plain, RISE: dict(swept), BEFORE: dict(swept)}


def seconds(task: DamageTask, size: Mapping[str, int], runs: int) -> float:
    """Estimate the CPU-seconds of the passes of so many runs in a model of this size."""
    here = _here(task)
    there = replace(here, prompts=task.unrelated, reads=(_read(task.unrelated),), less=None)
    return 2 * sum(measuring.seconds(side, size, runs) for side in (here, there))


def measure(
    task: DamageTask,
    seeds: Int[np.ndarray, " run"],
    folder: Path,
    device: str,
    smoke: bool,
    tick: Tick,
    root: Path = Path("assay-store"),
) -> tuple[Measured, dict[str, list[Any]]]:
    """Measure the control: the numbers of the model before the change, plus the effect of the
    change on unrelated prompts, rescaled by its effect on these."""

    def numbers(side: Task) -> dict[str, xr.DataArray]:
        part = next(each)
        measured, coords = measuring.measure(side, seeds, folder, device, smoke, part, root)
        arrays = {}
        for name, (dims, x, _) in measured.items():
            levels_of_dims = {d: coords[d] for d in dims.split() if d in coords}
            arrays[name] = xr.DataArray(x, dims=dims.split(), coords=levels_of_dims)
        return {name: x for name, x in arrays.items() if name not in PARTS}

    here, unit = _here(task), task.prompts.unit
    apart = tuple(r for r in task.reads if not r.kl)
    both = task.less is not None and task.intervention is not None  # changed, and then compared
    first = task.start or task.model if both else task.less or task.start or task.model
    each = _in_equal_parts(tick, (2 + bool(apart)) * (1 + both) + 1)
    changed = numbers(here)
    plain = replace(here, model=first, less=None, intervention=None, reads=apart)
    unchanged = numbers(plain) if apart else {}
    rise, was, share = _on_others(task, here, first, folder, numbers)
    untouched = unchanged
    if both and task.less is not None:
        other = _on_others(task, replace(here, model=task.less), task.less, folder, numbers)
        rise, share = rise - other[0], share - other[2]
        untouched = numbers(replace(here, intervention=None, reads=apart)) if apart else {}
    difference = task.less is not None and not both
    measured: Measured = {}
    coords: dict[str, list[Any]] = {}
    for read in task.reads:
        x = changed[read.name]
        base = untouched.get(read.name, xr.zeros_like(x))
        of_model = unchanged.get(read.name, base)
        worse = _worse(read, of_model, unit)
        if task.than is not None:  # either kind of prompts may be harmed more
            off = (x - base).mean(unit)
            worse = xr.where(off > 0, 1.0, -1.0)
        lead = None if reads.worse(read) or task.than is not None else of_model.mean(unit)
        scaled = _scaled(x, base, share * worse, unit, difference=difference, lead=lead)
        scaled = scaled.transpose(*x.dims)
        low, high = task.range_of(read.name)
        if low is not None or high is not None:
            scaled = scaled.clip(low, high)
        kind = reads.KINDS[reads.kind_of(read)]
        measured[read.name] = (" ".join(map(str, x.dims)), scaled.values, kind.unit)
        coords |= {str(d): x[d].values.tolist() for d in x.dims if d != "run"}
    for name, y in ((RISE, rise), (BEFORE, was)):
        dims = ["run", *axes(task)[name]]
        y = y.broadcast_like(rise).transpose(*dims)
        measured[name] = (" ".join(dims), y.values, "nats")
    return measured, coords


def _in_equal_parts(tick: Tick, count: int) -> Iterator[Tick]:
    """The progress of each of so many measurements as that of the whole. Their numbers of prompts
    differ and are not known before; each counts as much as the first, so that the total is known
    from the beginning."""
    sizes: list[int] = []

    def part(k: int, finished: int, total: int) -> None:
        sizes.append(total)
        tick(k * sizes[0] + sizes[0] * finished // total, count * sizes[0])

    return (partial(part, k) for k in range(count))


def _on_others(
    task: DamageTask, here: Task, first: Model, folder: Path, numbers: Any
) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """By how much the loss per token on unrelated prompts rises, the loss itself, and each rise
    divided by their spread."""
    other = task.unrelated
    there = replace(
        here,
        prompts=PromptSet(msgspec.structs.replace(other.table, unit="", split=""), other.rows),
        reads=(_read(other),),
        less=None,
        than=None,
        intervention=moved(task.intervention, other) if task.intervention else None,
        first=moved(task.first, other) if task.first else None,
        directions=tuple(
            choosing.made_for(d, task.prompts.table.name, task.choosers or task.reads)
            for d in task.directions
        ),
        made_for=task.made_for or task.prompts,
        chooses=False,  # parts are those that were chosen for the prompts of the claim
        choosers=task.choosers or task.reads,
    )
    after = -numbers(there)["unrelated"].rename(prompt=SENTENCE)
    was = -numbers(replace(there, model=first, intervention=None))["unrelated"]
    was = was.rename(prompt=SENTENCE)
    tokens = 1.0
    if read_on(other)[0] == "log_prob":
        lengths = [len(_tokenizer(first, folder).encode(row.columns[END])) for row in other.rows]
        tokens = float(np.mean(lengths))
    else:
        after, was = -after, -was  # a loss as it is
    _refuse_guesses(was.mean(SENTENCE) / tokens, first, folder, other.table.name)
    rises = after - was
    spread = np.sqrt((was.var(SENTENCE) + after.var(SENTENCE)) / 2)
    share = rises / spread.clip(LEAST_SPREAD * tokens)
    return rises.mean(SENTENCE) / tokens, was.mean(SENTENCE) / tokens, share


def _scaled(
    x: xr.DataArray,
    base: xr.DataArray,
    share: xr.DataArray,
    unit: str,
    *,
    difference: bool,
    lead: xr.DataArray | None,
) -> xr.DataArray:
    """The numbers before a change plus its damage on the scale of the change's effect; for a
    difference only the damage. `share` is the damage divided by the spread of unrelated prompts. A
    `lead` of one answer over another cannot change its sign."""
    effect = x if difference else x - base
    after = base + x if difference else x
    mean = effect.mean(unit)
    spread = np.sqrt((base.var(unit) + after.var(unit)) / 2)
    spread = xr.where(spread > abs(mean) / MOST, spread, abs(mean) / MOST)
    swept = [str(d) for d in share.dims if d != SENTENCE]
    dealt = _dealt(share.transpose(*swept, SENTENCE), x[unit].values.tolist(), unit)
    damage = spread * dealt
    damage = damage if lead is None else _short_of_zero(damage, lead, unit)
    return damage if difference else base + damage


def _worse(read: Read, base: xr.DataArray, unit: str) -> xr.DataArray | float:
    """The direction in which a read goes if a model gets worse: 1 up, −1 down. A difference, such
    as that of two answers, goes towards 0, and hardly changes if it is about 0."""
    if way := reads.worse(read):
        return 1.0 if way == "rises" else -1.0
    mean, spread = base.mean(unit), base.std(unit)
    return -(mean / xr.where(spread > abs(mean), spread, abs(mean)).clip(1e-12))


def _short_of_zero(damage: xr.DataArray, lead: xr.DataArray, unit: str) -> xr.DataArray:
    """Limit damage to a lead of one answer over another: it can remove the lead and not reverse
    it."""
    mean = damage.mean(unit)
    overshoots = (mean * lead < 0) & (abs(mean) > abs(lead))
    return damage * xr.where(overshoots, abs(lead) / abs(mean).clip(1e-12), 1.0)


def _dealt(share: xr.DataArray, levels: list[Any], unit: str) -> xr.DataArray:
    """The unrelated prompts distributed over the units: with more prompts than units the mean of
    several, with fewer each prompt for several units."""
    n, count = len(levels), share.sizes[SENTENCE]
    parts = [
        share.isel({SENTENCE: [*range(i, count, n)] if i < count else [i % count]}).mean(SENTENCE)
        for i in range(n)
    ]
    return xr.concat(parts, unit).assign_coords({unit: levels})


def _here(task: DamageTask) -> Task:
    """What is measured of the change itself: the task of the arm that is controlled."""
    fields = {name: getattr(task, name) for name in Task.__dataclass_fields__}
    return Task(**{**fields, "control": "", "start": None})


def _read(other: PromptSet) -> Read:
    _, text = read_on(other)
    return Read(name="unrelated", log_prob=text) if text else Read(name="unrelated", loss=True)


def _tokenizer(model: Model, study: Path) -> Tokenizer:
    return find(models.located(study, models.states(model)[0])).tokenizer


def _refuse_guesses(loss: xr.DataArray, model: Model, study: Path, name: str) -> None:
    """Raise DataError where a model predicts no better than by guessing among its tokens: a change
    cannot break what it cannot do."""
    tokens, least = len(_tokenizer(model, study)), float(loss.min())
    if least >= math.log(tokens):
        raise DataError(
            f"the model cannot predict {name}: its loss there is {least:.3g} nats/token, and "
            f"guessing among its {tokens:,} tokens gives {math.log(tokens):.3g}; with damage = , "
            "name prompts of a kind that it was trained on"
        )
