"""Tasks: what one arm measures, as far as is known before any model is opened: a model, its prompts
and reads, the change of the model, and what determines the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

import msgspec

from assay.ask.measure import choosing, directions, interventions, reads
from assay.ask.measure.prompts import PromptSet
from assay.ask.near import DRAWN
from assay.ask.tables import Direction, Intervention, Model, Position, Read, Top

OTHERS, STANDING = "other_heads", "other_head"
"""The measure of the control `heads` with the heads that replaced the named ones, and its
dimension."""
BLOCKS, BLOCK = "other_blocks", "other_block"
"""The measure of the control `layer` with the blocks in which it makes the change, and its
dimension."""
MOVED = "moved_by"
"""The measure of the control `token`: by how many tokens it moves the change; of blocked attention,
where each prompt has its own, in the first prompt."""
CHOSEN, PART = "chosen_parts", "chosen_part"
"""The measure of an intervention with the parts that were chosen for it, and its dimension."""

NEWER = {"lowest": False, "position": "", "change": "", "among": 0}
"""Fields of `top` that were added later, with their defaults."""


def chosen_for(read: Read) -> str:
    """Name the measure with the parts that were chosen for a read."""
    return f"{CHOSEN}_for_{read.name}"


def stated(table: Any) -> dict[str, Any]:
    """The fields of a table that differ from their defaults."""
    kind: Any = type(table)
    if kind.__name__ not in _defaults:
        _defaults[kind.__name__] = {f.name: f.default for f in msgspec.structs.fields(kind)}
    usual = _defaults[kind.__name__]
    whole: dict[str, Any] = msgspec.to_builtins(table)
    if top := whole.get("top"):  # without fields that are newer than the first stored runs
        whole["top"] = {k: v for k, v in top.items() if NEWER.get(k, top) != v}
        if not isinstance(table.top.change, str):
            whole["top"]["change"] = {**stated(table.top.change), "name": ""}
    return {k: v for k, v in whole.items() if getattr(table, k) != usual[k] and k != "controls"}


_defaults: dict[str, Mapping[str, Any]] = {}
"""The defaults of each kind of table; looking them up takes longer than the rest of `stated`."""


class WithoutReads:
    """What a task has of `Task` that measures something else than reads."""

    reads: ClassVar[tuple[Read, ...]] = ()
    less: ClassVar[None] = None
    than: ClassVar[None] = None
    start: ClassVar[None] = None
    stands_in: ClassVar[str] = ""
    is_difference: ClassVar[bool] = False


@dataclass(frozen=True)
class Task:
    """What one arm measures: a model, its prompts and reads, and the change of the model."""

    model: Model
    prompts: PromptSet
    reads: tuple[Read, ...]
    intervention: Intervention | None = None
    control: str = ""
    """The name of the near control."""
    directions: tuple[Direction, ...] = ()
    sources: Mapping[str, PromptSet] = field(default_factory=dict)
    """The prompts of the study, by name."""
    less: Model | None = None
    """In a difference of models: the one that is subtracted."""
    than: PromptSet | None = None
    """In a difference of prompts: those that are subtracted, row by row."""
    stands_in: Literal["", "unrelated", "shuffled", "heads", "blocks", "labels", "position"] = ""
    """In a control of unchanged models, what is replaced: the prompts, the weights, the heads or
    blocks that are read, the labels by which parts are chosen, or the tokens."""
    start: Model | None = None
    """For a shuffled change: the original model."""
    made_for: PromptSet | None = None
    """For a change that is measured on other prompts: those for which its directions are
    learned."""
    chooses: bool = False
    """Whether an intervention of the study chooses parts on one half of the prompts."""
    first: Intervention | None = None
    """A change that is made before the intervention."""
    choosers: tuple[Read, ...] = ()
    """The reads by which parts may be chosen, if they are not the measured ones."""
    avoids: tuple[Position, ...] = ()
    """In the control `token`: the positions that other arms of its claims change."""
    rehearsed: bool = False
    """Whether it is only to be seen that it works, so that parts are chosen on two prompts."""

    @cached_property
    def models(self) -> tuple[Model, ...]:
        """The models that determine its numbers, the one that is read first."""
        others = dict.fromkeys(m for m in (self.less, self.start) if m)
        return (self.model, *others)

    @cached_property
    def sets(self) -> tuple[PromptSet, ...]:
        """The prompts that determine its numbers, the measured ones first."""
        names = [d.prompts for d in self.own_directions]
        tops = [*self._tops, *(d.top for d in self.own_directions if d.top)]
        names += [choosing.prompts_of(top, self.choosers or self.reads) for top in tops]
        names += [t.source for t in (self.intervention, self.first) if t]
        sources = [self.sources[n] for n in dict.fromkeys(names) if n in self.sources]
        if self.made_for and tops and self.made_for not in sources:
            sources.append(self.made_for)
        return (self.prompts, *((self.than,) if self.than else ()), *sources)

    @property
    def _tops(self) -> list[Top]:
        tables = (self.intervention, self.first, *self.reads)
        return [table.top for table in tables if table and table.top]

    @cached_property
    def _changes(self) -> list[Intervention]:
        first = [self.first] if self.first else []
        return [*(interventions.at_points(self.intervention) if self.intervention else []), *first]

    @cached_property
    def own_directions(self) -> list[Direction]:
        """The directions that determine its numbers."""
        names = {name for r in self.reads for name in reads.directions_of(r)}
        tables = self._changes
        names |= {interventions.named_direction(t) for t in tables}
        names |= {t.top.by for t in tables if t.top and isinstance(t.top.by, str)}
        names |= {top.by for top in self._tops if isinstance(top.by, str)}
        tops = [d.top for d in self.directions if d.name in names and d.top]
        names |= {top.by for top in tops if isinstance(top.by, str)}
        return [d for d in self.directions if d.name in names]

    @cached_property
    def phrase(self) -> str:
        """The change of the model, in words."""
        table = self.intervention
        if table is None:
            return "as it is"
        first = f", after {interventions.in_words(self.first)}" if self.first else ""
        return f"{interventions.in_words(table)}{first}"

    @cached_property
    def words(self) -> dict[str, Any]:
        """What determines its numbers besides the contents of models and prompts."""
        by = {d.top.by for d in self.own_directions if d.top}
        choosers = [r for r in self.choosers or self.reads if r.name in by]
        graded_names = {r.gradient for r in (*self.reads, *choosers)} - {""}
        graded = [r for r in self.choosers or self.reads if r.name in graded_names]
        selection = self.prompts.selection
        return {
            "reads": [stated(r) for r in self.reads],
            "intervention": stated(self.intervention) if self.intervention else None,
            # an older control "heads" drew heads at random, so this one has another name
            "control": "heads in turn"
            if self.control == "heads"
            else self.control or self.stands_in,
            "untrained": [bool(m.like) for m in self.models],
            "directions": [stated(d) for d in self.own_directions],
            "halved": self.learns_here,
            **({"gradients of": [stated(r) for r in graded]} if graded else {}),
            **({"heads chosen by": [stated(r) for r in choosers]} if choosers else {}),
            **({"than": "the second prompts"} if self.than else {}),
            **({"avoids": list(self.avoids)} if self.avoids else {}),
            **({"first": stated(self.first)} if self.first else {}),
            **({"selected by": [stated(r) for r in selection.reads]} if selection else {}),
        }

    @property
    def is_difference(self) -> bool:
        """Whether its numbers are differences, of two models or of two prompts."""
        return self.less is not None or self.than is not None

    def pairs(self, read: Read) -> bool:
        """Whether a read compares the arrangement of the prompts of one table with that of another
        table."""
        plain = self.than is not None and self.intervention is None
        return plain and bool(read.across) and reads.compares(read)

    def range_of(self, measure: str) -> tuple[float | None, float | None]:
        """The smallest and the largest value of a measure; None if unbounded."""
        read = next((r for r in self.reads if r.name == measure), None)
        low, high = reads.natural(read) if read else (None, None)
        compares = read is not None and reads.compares(read)
        if read is None or not self.is_difference or (compares and self.than is None):
            return low, high
        if low is None or high is None:  # a difference of two such is unbounded on both sides
            return None, None
        return low - high, high - low

    def about(self, measure: str) -> tuple[str, str, str]:
        """Describe a measure: what it is, its unit, and which way is better."""
        if measure == OTHERS:
            return "the heads that stood in, numbered through all blocks", "1", ""
        if measure == BLOCKS:
            return "the blocks in which the change is made", "1", ""
        if measure == MOVED:
            return "by how many tokens the change is moved", "1", ""
        if measure == CHOSEN or measure in map(chosen_for, self.reads):
            return "the parts that were chosen, heads numbered through all blocks", "1", ""
        read = reads.by_name(self.reads, measure)
        kind = reads.KINDS[reads.kind_of(read)]
        return kind.words(read), kind.unit, kind.better

    @property
    def unit(self) -> str:
        """The unit over which is generalised, besides seeds."""
        return self.prompts.unit

    @cached_property
    def learns_here(self) -> bool:
        """Whether anything is learned from the prompts that are measured, so that only the other
        half of them is measured."""
        names = ("", self.prompts.table.name)
        tops = [*(r.top for r in self.reads), *(d.top for d in self.directions)]
        chosen_from = [
            choosing.prompts_of(t, self.choosers or self.reads)
            for t in tops
            if t and choosing.learns(t)
        ]
        if any(name in names for name in chosen_from):
            return True
        return self.chooses or any(
            directions.way_of(d) in directions.LEARNED and d.prompts in names
            for d in self.directions
        )

    @property
    def is_idle(self) -> bool:
        """Whether its intervention adds nothing at any level of a sweep."""
        table = self.intervention
        adds = table is not None and bool(table.add) and not {"add", "strength"} & {*table.sweep}
        return adds and table is not None and table.strength == 0

    @cached_property
    def rows(self) -> list[int]:
        """The rows that are measured; in a rehearsal two of them, with different prompts."""
        rows = self.prompts.halves()[1] if self.learns_here else [*range(len(self.prompts.rows))]
        texts = {self.prompts.rows[i].text: i for i in reversed(rows)}
        return [*reversed(texts.values())][:2] if self.rehearsed else rows

    @cached_property
    def levels(self) -> list[str]:
        """The levels of the unit over which is generalised: each prompt by its number, or the
        values of the column."""
        if self.prompts.unit == "prompt":
            return [str(i) for i in self.rows]
        return list(dict.fromkeys(self.prompts.column(self.prompts.unit, self.rows)))

    @cached_property
    def drawn(self) -> bool:
        """Whether seeds differ: in what a direction is learned from, or in random draws."""
        if self.new_each_seed or {self.control, self.stands_in} & DRAWN:
            return True
        if any(r.temperature or "temperature" in r.sweep for r in self.reads):
            return True
        if any(self._learned(name) for r in self.reads for name in reads.directions_of(r)):
            return True
        tables = self._changes
        if any(t.ablate == "resample" or t.patch == "other" or t.noise for t in tables):
            return True
        names = map(interventions.named_direction, tables)
        return any(name and self._learned(name) for name in names)

    @property
    def new_each_seed(self) -> bool:
        """Whether each seed has its own model or prompts."""
        redrawn = self.stands_in not in ("", "heads", "blocks", "labels")
        return bool(self.model.like or (self.less and self.less.like) or redrawn)

    @property
    def standing(self) -> int:
        """How many heads or blocks replace the named ones in the controls `heads` and `layer`, or
        how many parts are chosen; otherwise 0."""
        table = self.intervention
        if table and self.control == "layer" and not table.top:
            return max(map(interventions.places_in_blocks, interventions.at_points(table)))
        chosen = ("heads", "random-heads", *(("",) if table and table.top else ()))
        if table is None or self.control not in chosen:
            return 0
        if table.top and table.top.within:
            return 0
        tables = interventions.at_points(table)
        return max(int(t.top.n) if t.top else len(t.heads) for t in tables)

    @property
    def moves(self) -> bool:
        """Whether it is a control that makes a change at other tokens."""
        return self.control == "token" and self.intervention is not None

    @property
    def parts_measure(self) -> tuple[str, str]:
        """The measure with the replaced or chosen parts, and its dimension."""
        if self.control == "layer":
            return BLOCKS, BLOCK
        return (OTHERS, STANDING) if self.control else (CHOSEN, PART)

    def _learned(self, name: str) -> bool:
        return directions.way_of(directions.find(self.directions, name)) in directions.LEARNED
