"""Measuring: all prompts of an arm under all of its edits, in few passes, and every read."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
from jaxtyping import Float, Int

from assay.ask.measure import (
    choosing,
    controls,
    dictionaries,
    directions,
    interventions,
    logits,
    models,
    own_code,
    passes,
    reads,
)
from assay.ask.measure.directions import Learner
from assay.ask.measure.editing import Editing
from assay.ask.measure.heads import heads_by_layer
from assay.ask.measure.logits import Rows
from assay.ask.measure.prompts import PromptSet
from assay.ask.measure.seen import Context, PassOutput, Prompt, Ready, Want, prompt
from assay.ask.tables import Direction, Intervention, Model, Plain, Position, Read
from assay.core.columns import Axes
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.fitting import fitted
from assay.subjects.batches import ROWS, most_rows, run_many
from assay.subjects.edits import Edits, continued
from assay.subjects.folder import ModelFolder
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay.subjects.sizes import read_sizes
from assay.subjects.subject import Trace

Tick = Callable[[int, int], None]
Table: TypeAlias = tuple[Read, Mapping[str, Plain], Read]
"""A read as it was written, a level of its sweep, and the read at this level."""
DRAWN = ("random", "shuffled", "tokens", "heads", "neurons", "latents", "unrelated")
"""Controls in which something is drawn by the seed."""
OTHERS, STANDING = "other_heads", "other_head"
"""The measure of the control `heads` that says which heads stood in, and its dimension."""
CHOSEN, PART = "chosen_parts", "chosen_part"
"""The measure of an intervention that says which parts were chosen for it, and its dimension."""
SMOKE = 6
"""Prompts at most in the preset that only shows that everything runs."""
WRITING = 32
"""Texts that are written on together."""
CAPTURED, ON_A_DEVICE = 2**26, 2**28
"""Activations that are there at once, in a pass, on a CPU and elsewhere: 256 MB and 1 GB of
float32."""
READ = 2**28
"""Activations that are there at once where nothing is edited, of all sites together."""


PASS = 2 / 50e9
"""CPU-seconds for each weight and token of one pass."""
SIGNS = 4
"""Signs of text that are a token, roughly."""
Measured = dict[str, tuple[str, Any, str]]
"""Measures by name: (dims, array, unit)."""


def stated(table: Any) -> dict[str, Any]:
    """What a table says beside its defaults."""
    kind: Any = type(table)
    if kind.__name__ not in _defaults:
        _defaults[kind.__name__] = {f.name: f.default for f in msgspec.structs.fields(kind)}
    usual = _defaults[kind.__name__]
    whole: dict[str, Any] = msgspec.to_builtins(table)
    return {k: v for k, v in whole.items() if getattr(table, k) != usual[k] and k != "controls"}


_defaults: dict[str, Mapping[str, Any]] = {}
"""Of each kind of table; working them out takes longer than all else of `stated`."""


def blocks(size: Mapping[str, int]) -> int:
    """How many weights the blocks of a model of this size have, roughly."""
    width, wide = size["d"], size.get("m", 2 * size["d"])
    return size["layers"] * (4 * width**2 + 3 * width * wide)


@dataclass(frozen=True)
class Task:
    """What one arm measures: a model, its prompts and reads, and what is done to it."""

    model: Model
    prompts: PromptSet
    reads: tuple[Read, ...]
    intervention: Intervention | None = None
    control: str = ""
    """The near control that this is, by name."""
    directions: tuple[Direction, ...] = ()
    """All directions of the study."""
    sources: Mapping[str, PromptSet] = field(default_factory=dict)
    """The prompts that directions are learned from, by name."""
    less: Model | None = None
    """In a difference of models: that whose numbers are taken off."""
    than: PromptSet | None = None
    """In a difference of prompts: those whose numbers are taken off, row by row."""
    stands_in: Literal["", "unrelated", "shuffled", "heads", "position"] = ""
    """In a control of models as they are: what stands in the place of the prompts, the weights, the
    head that is read, or the tokens."""
    start: Model | None = None
    """Of a shuffled change: the model that was changed."""
    made_for: PromptSet | None = None
    """Of a change that is measured on other prompts: those for which its directions are learned."""
    chooses: bool = False
    """Whether an intervention of the study chooses parts on one half of the prompts."""
    first: Intervention | None = None
    """What is done besides, before the intervention."""

    @cached_property
    def models(self) -> tuple[Model, ...]:
        """The models that decide its numbers, that which it asks first."""
        rest = dict.fromkeys(m for m in (self.less, self.start) if m)
        return (self.model, *rest)

    @cached_property
    def sets(self) -> tuple[PromptSet, ...]:
        """The prompts that decide its numbers, those that are measured first."""
        names = (d.prompts for d in self.own_directions if d.prompts in self.sources)
        sources = (self.sources[n] for n in dict.fromkeys(names))
        return (self.prompts, *((self.than,) if self.than else ()), *sources)

    @cached_property
    def own_directions(self) -> list[Direction]:
        """The directions that decide its numbers."""
        table = self.intervention
        names = {name for r in self.reads for name in reads.directions_of(r)}
        tables = (
            [interventions.swept(table, p) for p in interventions.points(table)] if table else []
        )
        names |= {name for t in tables for name in (t.add, t.project_out)}
        names |= {t.top.by for t in tables if t.top and isinstance(t.top.by, str)}
        names |= {self.first.add, self.first.project_out} if self.first else {""}
        return [d for d in self.directions if d.name in names]

    @cached_property
    def phrase(self) -> str:
        """What is done to the model, in words."""
        table = self.intervention
        if table is None:
            return "as it is"
        first = f", after {interventions.in_words(self.first)}" if self.first else ""
        return f"{table.name}: {interventions.in_words(table)}{first}"

    @cached_property
    def words(self) -> dict[str, Any]:
        """What decides its numbers beside the contents of models and prompts."""
        return {
            "reads": [stated(r) for r in self.reads],
            "intervention": stated(self.intervention) if self.intervention else None,
            # those that a draw of heads had before every other head was asked in turn are others
            "control": "heads in turn"
            if self.control == "heads"
            else self.control or self.stands_in,
            "untrained": [bool(m.like) for m in self.models],
            "directions": [stated(d) for d in self.own_directions],
            "halved": self.learns_here,
            **({"than": "the second prompts"} if self.than else {}),
            **({"first": stated(self.first)} if self.first else {}),
        }

    @property
    def is_difference(self) -> bool:
        """Whether its numbers are differences, of two models or of two prompts."""
        return self.less is not None or self.than is not None

    def range_of(self, measure: str) -> tuple[float | None, float | None]:
        """The least and greatest number that a measure can be; None for no end."""
        read = next((r for r in self.reads if r.name == measure), None)
        low, high = reads.natural(read) if read else (None, None)
        compares = read is not None and reads.kind_of(read) in reads.COMPARING
        if read is None or not self.is_difference or (compares and self.than is None):
            return low, high
        if low is None or high is None:  # a difference of two such has no end on either side
            return None, None
        return low - high, high - low

    def about(self, measure: str) -> tuple[str, str, str]:
        """Say what a measure is, its unit, and which way is better."""
        if measure == OTHERS:
            return "the heads that stood in, numbered through all blocks", "1", ""
        if measure == CHOSEN:
            return "the parts that were chosen, heads numbered through all blocks", "1", ""
        read = reads.by_name(self.reads, measure)
        kind = reads.KINDS[reads.kind_of(read)]
        return kind.words(read), kind.unit, kind.better

    @property
    def unit(self) -> str:
        """What is generalised over beside seeds."""
        return self.prompts.unit

    @cached_property
    def learns_here(self) -> bool:
        """Whether anything of the study is learned from the prompts that are measured, so that only
        the other half of them is."""
        return self.chooses or any(
            directions.way_of(d) in directions.LEARNED
            and d.prompts in ("", self.prompts.table.name)
            for d in self.directions
        )

    @property
    def is_idle(self) -> bool:
        """Whether its intervention adds nothing, at no level of a sweep."""
        table = self.intervention
        adds = table is not None and bool(table.add) and not {"add", "strength"} & {*table.sweep}
        return adds and table is not None and table.strength == 0

    @cached_property
    def rows(self) -> list[int]:
        """The rows that are measured."""
        return self.prompts.halves()[1] if self.learns_here else [*range(len(self.prompts.rows))]

    @cached_property
    def levels(self) -> list[str]:
        """The levels of the unit that is generalised over: each prompt by its number, or the values
        of the column."""
        if self.prompts.unit == "prompt":
            return [str(i) for i in self.rows]
        return list(dict.fromkeys(self.prompts.column(self.prompts.unit, self.rows)))

    @cached_property
    def drawn(self) -> bool:
        """Whether seeds differ: in what a direction is learned from, or in what is drawn."""
        if self.new_each_seed or self.control in DRAWN or self.stands_in == "heads":
            return True
        if any(self._learned(name) for r in self.reads for name in reads.directions_of(r)):
            return True
        if self.intervention is None:
            return False
        tables = [
            interventions.swept(self.intervention, p)
            for p in interventions.points(self.intervention)
        ]
        tables += [self.first] if self.first else []
        if any(t.ablate == "resample" or t.patch == "other" or t.noise for t in tables):
            return True
        return any(name and self._learned(name) for t in tables for name in (t.add, t.project_out))

    @property
    def new_each_seed(self) -> bool:
        """Whether each seed has a model, or prompts, of its own."""
        drawn = self.stands_in not in ("", "heads")
        return bool(self.model.like or (self.less and self.less.like) or drawn)

    @property
    def standing(self) -> int:
        """How many heads stand in for those that an intervention names, in the control `heads`, or
        how many parts are chosen for it; else 0."""
        table = self.intervention
        if table is None or self.control not in (("heads", "") if table.top else ("heads",)):
            return 0
        tables = [interventions.swept(table, p) for p in interventions.points(table)]
        return max(int(t.top.n) if t.top else len(t.heads) for t in tables)

    @property
    def said(self) -> tuple[str, str]:
        """The measure that says which parts stood in or were chosen, and its dimension."""
        return (OTHERS, STANDING) if self.control else (CHOSEN, PART)

    def _learned(self, name: str) -> bool:
        return directions.way_of(directions.find(self.directions, name)) in directions.LEARNED


def axes(task: Task) -> dict[str, Axes]:
    """Give what an arm measures, with its dimensions and their levels."""
    swept: dict[str, Sequence[Any]] = {**models.levels(task.model)}
    swept |= task.intervention.sweep if task.intervention else {}
    unit = {task.prompts.unit: task.levels}
    by: dict[str, Sequence[Any]] = {**task.prompts.dims()}
    measures: dict[str, Axes] = {r.name: {**swept, **r.sweep, **by, **unit} for r in task.reads}
    if task.standing:
        name, dim = task.said
        measures[name] = {**swept, dim: [*range(task.standing)]}
    return measures


def seconds(task: Task, size: Mapping[str, int], runs: int) -> float:
    """Guess the CPU-seconds of the passes of so many runs of an arm in a model of this size."""
    if task.than is not None:
        sides = (replace(task, prompts=p, than=None) for p in (task.prompts, task.than))
        return sum(seconds(side, size, runs) for side in sides)
    length = sum(len(task.prompts.rows[i].text) for i in task.rows) / SIGNS
    points = len(interventions.points(task.intervention)) if task.intervention else 1
    variants = points * (runs if task.drawn else 1)
    mean_length = length / len(task.rows)
    looked = sum(reads.unembedded(r, mean_length) for r in task.reads) * len(task.rows)
    written = max((r.tokens for r in task.reads if r.generates), default=0) * len(task.rows)
    products = (length + written) * blocks(size) + looked * size["d"] * size["v"]
    if task.intervention and choosing.by_effect(task.intervention, task.reads) is not None:
        variants += choosing.count(task.intervention, size)  # the same for all seeds
    return PASS * variants * products


def measure(
    task: Task,
    seeds: Int[np.ndarray, " run"],
    folder: Path,
    device: str,
    smoke: bool,
    tick: Tick,
    root: Path = Path("assay-store"),
    rows: Sequence[int] | None = None,
) -> tuple[Measured, dict[str, list[Any]]]:
    """Measure one arm: its reads by name, as (dims, array, unit), and the levels of their dims.
    Files lie in `folder`, stored dictionaries in the store `root`; `rows` are in the place of all
    prompts that are measured."""
    rows = rows or (task.rows[:SMOKE] if smoke else task.rows)
    if not rows:
        raise DataError(f"of {task.prompts.table.name} no prompt is left to be measured")
    distinct = [int(s) for s in dict.fromkeys(seeds.tolist())] if task.drawn else [int(seeds[0])]
    dictionary = cache(partial(dictionaries.opened, folder=folder, root=root))
    code = cache(partial(own_code.load, folder=folder))
    tables = _tables(task.reads)
    sweep = interventions.points(task.intervention) if task.intervention else [{}]
    states = models.states(task.model)
    values = np.full((len(distinct), len(states), len(sweep), len(tables), len(rows)), np.nan)
    stand_ins = np.full((len(distinct), len(states), len(sweep), task.standing), np.nan)
    blocks = [[seed] for seed in distinct] if task.new_each_seed else [distinct]
    rounds = list(itertools.product(range(len(states)), enumerate(blocks)))
    for n, (state, (b, block)) in enumerate(rounds):
        model, key = _model(task, state, block[0], folder, device)
        part = _Pass(task, model, block, sweep, tables, rows, key, dictionary, code)
        base = None
        if task.less is not None:
            other = _opened(task.less, state, block[0], folder, device, place=1)
            base = _Pass(task, other[0], block, sweep, tables, rows, other[1], dictionary, code)
        elif task.than is not None:
            side = replace(task, prompts=task.than, than=None)
            base = _Pass(side, model, block, sweep, tables, rows, key, dictionary, code)
        into = values[b : b + 1, state] if task.new_each_seed else values[:, state]
        part.into(into, _part_of(tick, n, len(rounds)), base)
        part.others_into(stand_ins[b : b + 1, state] if task.new_each_seed else stand_ins[:, state])
    by_seed = {seed: i for i, seed in enumerate(distinct)}
    index = [by_seed.get(int(s), 0) for s in seeds]
    return _tidy(task, tables, rows, values[index], stand_ins[index])


def rehearse(task: Task, seed: int, folder: Path, device: str, root: Path) -> None:
    """Measure two different prompts of an arm with one seed, at the first and the last level of all
    that an intervention sweeps, to see whether it can be done. Raises: DataError, ModelError."""
    table = task.intervention
    if table is not None:
        ends = {name: tuple(dict.fromkeys((v[0], v[-1]))) for name, v in table.sweep.items()}
        table = msgspec.structs.replace(table, sweep=ends)
    texts = {task.prompts.rows[i].text: i for i in reversed(task.rows)}
    rows = [*reversed(texts.values())][:2]
    only = replace(task, intervention=table)
    measure(only, np.array([seed]), folder, device, False, lambda done, of: None, root, rows)


def _model(task: Task, state: int, seed: int, folder: Path, device: str) -> tuple[Pretrained, str]:
    """The model that a task asks, and what its activations are known by."""
    second, second_key = _opened(task.model, state, seed, folder, device)
    if task.stands_in != "shuffled":
        return second, second_key
    assert task.start is not None
    first, first_key = _opened(task.start, state, seed, folder, device, place=1)
    if first_key == second_key:  # the state of a training with which it begins
        return second, second_key
    model = models.changed(first, second, seed, place=2)
    return model, f"{first_key} {second_key} shuffled {seed}"


def _opened(
    table: Model, state: int, seed: int, folder: Path, device: str, place: int = 0
) -> tuple[Pretrained, str]:
    """A model, as it is or untrained, and what its activations are known by; of one that has no
    other states, the one that it has."""
    states = models.states(table)
    name = models.located(folder, states[state if len(states) > 1 else 0])
    if table.like:
        model = models.untrained(name, seed, device, place, table.bos, table.dtype, table.device)
        return model, f"{model.fingerprint}{models.said(table)} untrained {seed}"
    model = models.as_it_is(name, device, table)
    return model, f"{model.fingerprint}{models.said(table)}"


def _tables(some: Sequence[Read]) -> list[Table]:
    """Each level of each read."""
    return [
        (read, point, interventions.swept(read, point))
        for read in some
        for point in interventions.points(read)
    ]


def remarks(
    task: Task,
    read: Read,
    prompts: Sequence[Prompt],
    dictionary: Callable[[str], Dictionary],
    code: Callable[[str], Callable[..., Any]] = own_code.load,
) -> Iterator[str]:
    """Make a read ready for prompts, without the model's weights, and tell what to know of it, such
    as answers of several tokens; a user's own function is tried on numbers drawn at random. Raises:
    DataError, with the read or the prompt's place."""
    known: dict[str, list[tuple[str, str]]] = {}
    for table in _tables([read]):
        head = partial(own_code.any_logits, read_sizes(prompts[0].folder.config)["v"])
        of_each = _ready(task, table, prompts, dictionary, code, head=head)
        for p, ready in [*zip(prompts, of_each, strict=True)][:2] if read.function else ():
            ready.numbers([own_code.tried(p, ready.sites)] * 2)
        for p, ready in zip(prompts, of_each, strict=True):
            for note, text in ready.notes:
                if all(place != p.row.place for _, place in known.setdefault(note, [])):
                    known[note].append((text, p.row.place))
    for note, cases in known.items():
        text, place = cases[0]
        yield (
            f"{read.name}: {len(cases)} of {len(prompts)} prompts have {note}, such as {text!r} "
            f"({place})"
        )


def _part_of(tick: Tick, k: int, count: int) -> Tick:
    """Tell how far all of it is by how far the part k of so many is."""
    return lambda done, total: tick(k * total + done, count * total)


def _tidy(
    task: Task,
    tables: Sequence[Table],
    rows: Sequence[int],
    values: Float[np.ndarray, "run state point read row"],
    stand_ins: Float[np.ndarray, "run state point head"],
) -> tuple[Measured, dict[str, list[Any]]]:
    """The numbers with a dimension for each swept field, averaged over the rows of each unit."""
    unit = task.prompts.unit
    names = task.prompts.units(rows)
    levels = list(dict.fromkeys(names))
    by = task.prompts.dims()
    count = len(levels) * math.prod(map(len, by.values()))
    at = zip(task.prompts.level_of(rows), names, strict=True)
    index = [level * len(levels) + levels.index(name) for level, name in at]
    share = np.zeros((len(rows), count))
    share[np.arange(len(rows)), index] = 1.0 / np.bincount(index)[index]
    values = values @ share
    values[..., share.sum(0) == 0] = np.nan  # a smoke run has not every level of each unit
    coords: dict[str, list[Any]] = {unit: levels, **by}
    swept: dict[str, Sequence[Any]] = {**models.levels(task.model)}
    swept |= task.intervention.sweep if task.intervention else {}
    coords |= {name: list(options) for name, options in swept.items()}
    measured: Measured = {}
    for read in task.reads:
        columns = [k for k, (source, _, _) in enumerate(tables) if source is read]
        sweep = read.sweep
        coords |= {name: list(options) for name, options in sweep.items()}
        shape = [len(v) for v in (*swept.values(), *sweep.values(), *by.values())]
        array = values[:, :, :, columns].reshape(len(values), *shape, len(levels))
        kind = reads.KINDS[reads.kind_of(read)]
        measured[read.name] = (" ".join(["run", *swept, *sweep, *by, unit]), array, kind.unit)
    if task.standing:
        name, dim = task.said
        coords[dim] = [*range(task.standing)]
        shape = [len(stand_ins), *(len(v) for v in swept.values()), task.standing]
        measured[name] = (" ".join(["run", *swept, dim]), stand_ins.reshape(shape), "1")
    return measured, coords


@dataclass(frozen=True, eq=False)
class _Given:
    """What passes gave for some prompts under some edits."""

    prompts: Sequence[int]
    rows: list[Rows]
    """What is to be unembedded, of all prompts."""
    of: list[int]
    """The prompt of each of these."""
    acts: Mapping[int, list[Mapping[Site, torch.Tensor]]]
    """What was captured of each prompt under each edit."""


class _Pass:
    """The prompts of an arm under every edit that its seeds and its sweep make."""

    def __init__(
        self,
        task: Task,
        model: Pretrained,
        seeds: Sequence[int],
        sweep: Sequence[Mapping[str, Plain]],
        tables: Sequence[Table],
        rows: Sequence[int],
        key: str,
        dictionary: Callable[[str], Dictionary],
        code: Callable[[str], Callable[..., Any]] = own_code.load,
    ) -> None:
        self.code = code
        self.task, self.model, self.seeds, self.rows = task, model, seeds, rows
        dictionary = cache(partial(_fitted, model.folder, dictionary))
        self.key, self.dictionary = key and f"{key} {model.device}", dictionary
        self.variants = [(s, point) for s in seeds for point in sweep]
        self.sweep = sweep
        by_number = dict(enumerate(task.prompts.rows))
        if task.stands_in == "unrelated":
            by_number |= controls.unrelated(task.prompts, task.rows, seeds[0])
        self.prompts = [prompt(model.folder, by_number[i]) for i in rows]
        self._vectors: dict[tuple[str, Site, int], torch.Tensor] = {}
        by_table = [
            _ready(
                task, table, self.prompts, dictionary, code, self._learned, lambda x: model.head(x)
            )
            for table in tables
        ]
        if task.stands_in == "position":  # reads stay those of the places that the prompts had
            self.prompts = controls.scrambled(self.prompts, seeds[0])
        self.ready = [list(group) for group in zip(*by_table, strict=True)]
        every = list(itertools.chain.from_iterable(self.ready))
        self.sites = list(dict.fromkeys(site for r in every for site in r.sites))
        self.wants = [
            list(dict.fromkeys(w for r in group for w in r.wants)) for group in self.ready
        ]
        changed = task.intervention is not None and task.less is None
        self.clean = changed and any(map(_compares, every))
        self.writes = max(r.writes for r in every)

    def into(
        self,
        values: Float[np.ndarray, "seed point read row"],
        tick: Tick,
        base: _Pass | None = None,
    ) -> None:
        """Fill in the numbers of every prompt; less those of a base, but for KL divergence, which
        is then from the base, where that is another model."""
        rival = base if self.task.than is None else None
        written = self._written()
        base_written = base._written() if base else {}
        count = 0
        for some, variants in self._batches():
            given = self._given(some, variants)
            before = base._given(some, variants) if base else None
            seen = self._seen(
                given, variants, written, rival.model if rival else None, before if rival else None
            )
            base_seen = base._seen(before, variants, base_written) if base and before else None
            for p in some:
                for k, read in enumerate(self.ready[p]):
                    numbers = np.array(read.numbers(seen[p]), dtype=float)
                    apart = rival is None or not _compares(read)
                    if base and base_seen and apart:
                        numbers -= base.ready[p][k].numbers(base_seen[p])
                    for v, number in zip(variants, numbers, strict=True):
                        s, w = divmod(v, len(self.sweep))
                        values[s, w, k, p] = number
            if variants[-1] == len(self.variants) - 1:
                count += len(some)
                tick(count, len(self.prompts))

    def _batches(self) -> Iterator[tuple[list[int], range]]:
        """Prompts of like lengths, and the edits under which they are read, that share a pass; so
        few that what is captured can be held."""
        sequences = self._sequences(range(len(self.prompts)))
        longest = max(len(self.prompts[p].tokens) + len(c) for p, c in sequences)
        numbers = longest * read_sizes(self.model.folder.config)["d"]
        numbers += _captured(self.model, self.sites, longest)
        rows = max(1, min(most_rows(self.model), _room(self.model) // numbers))
        count = len(self.variants)
        order = sorted(range(len(self.prompts)), key=lambda p: len(self.prompts[p].tokens))
        some = max(1, rows // count)
        for begin in range(0, len(order), some):
            for first in range(0, count, rows):
                yield order[begin : begin + some], range(first, min(first + rows, count))

    def _sequences(self, some: Iterable[int]) -> list[tuple[int, tuple[int, ...]]]:
        """Each of these prompts with each continuation behind which something is wanted, the prompt
        by itself first, but those that another one begins with: what comes later changes nothing
        earlier, unless the model is another for so long a text."""
        sequences = []
        for p in some:
            every = dict.fromkeys([(), *(w.continuation for w in self.wants[p])])
            sequences += [
                (p, c) for c in every if not any(o != c and self._covers(p, o, c) for o in every)
            ]
        return sequences

    def _covers(self, p: int, longer: tuple[int, ...], shorter: tuple[int, ...]) -> bool:
        """Whether a prompt's pass with one continuation has all that one with another has."""
        n = len(self.prompts[p].tokens)
        same = self.model.regime(n + len(longer)) == self.model.regime(n + len(shorter))
        return same and longer[: len(shorter)] == shorter

    def _given(self, some: Sequence[int], variants: range) -> _Given:
        """Run some prompts under some edits, and under none where that is needed."""
        sequences = self._sequences(some)
        its = slice(variants.start, variants.stop)
        untouched: list[Edits] = [{}] if self.clean else []
        traces = passes.once(
            self._known_by and (*self._known_by, sequences, variants, self.sites),
            lambda: run_many(
                self.model,
                [[*self.prompts[p].tokens, *c] for p, c in sequences],
                [
                    [*(self._on(e, p, c) for e in self.edits[p][its]), *untouched]
                    for p, c in sequences
                ],
                capture=self.sites,
            ),
        )
        rows, of = list[Rows](), list[int]()
        acts: dict[int, list[Mapping[Site, torch.Tensor]]] = {}
        for (p, continuation), traced in zip(sequences, traces, strict=True):
            if p not in acts and self._covers(p, continuation, ()):
                acts[p] = [_cut(t.acts, len(self.prompts[p].tokens)) for t in traced]
            groups: dict[tuple[int, Site | None], list[Want]] = {}
            for want in self.wants[p]:
                if self._covers(p, continuation, want.continuation):
                    groups.setdefault((want.position, want.site), []).append(want)
            for (position, site), wants in groups.items():
                vectors = [_vector(t, site, position) for t in traced]
                if len({x.data_ptr() for x in vectors}) == 1:  # before the first block edited
                    vectors = vectors[:1]
                final = torch.stack(vectors)
                final = logits.lensed(self.model, final) if site else final
                first = final[-1:] if self.clean else final[:1]
                rows.append(Rows(final[: len(variants)], first, tuple(wants)))
                of.append(p)
        return _Given(some, rows, of, acts)

    def _on(self, edits: Edits, p: int, continuation: tuple[int, ...]) -> Edits:
        """Edits of a prompt as they act on it with what follows: as when it is written on."""
        n = len(self.prompts[p].tokens)
        return continued(edits, n, n + len(continuation)) if continuation else edits

    def _seen(
        self,
        given: _Given,
        variants: range,
        written: Mapping[tuple[int, int], tuple[int, ...]],
        base: Pretrained | None = None,
        before: _Given | None = None,
    ) -> dict[int, list[PassOutput]]:
        """What each prompt gave under each edit; KL divergences are from a base, if there is
        one."""
        rows = given.rows
        compared = any(w.what == "kl" for r in rows for w in r.wants)
        if before is not None and compared:  # else each model's answers are tokens of its own
            rows = [
                replace(r, final=_each_of(r.final, variants), first=_each_of(b.final, variants))
                for r, b in zip(rows, before.rows, strict=True)
            ]
        numbers: dict[tuple[int, int], dict[Want, float]] = {}
        tables = logits.numbers(self.model, rows, base if compared else None)
        for i, r, table in zip(given.of, rows, tables, strict=True):
            lines = np.broadcast_to(table, (len(variants), len(r.wants))).tolist()
            for v, line in zip(variants, lines, strict=True):
                numbers.setdefault((i, v), {}).update(zip(r.wants, line, strict=True))
        return {
            p: [
                PassOutput(
                    self.prompts[p],
                    self.variants[v][0],
                    given.acts[p][v - variants.start],
                    before.acts[p][v - variants.start]
                    if before
                    else given.acts[p][-1 if self.clean else v - variants.start],
                    numbers.get((p, v), {}),
                    written.get((p, v), ()),
                )
                for v in variants
            ]
            for p in given.prompts
        }

    def _written(self) -> dict[tuple[int, int], tuple[int, ...]]:
        """What the model writes on behind each prompt under each edit, as tokens."""
        if not self.writes:
            return {}
        written: dict[tuple[int, int], tuple[int, ...]] = {}
        pairs = [(p, v) for p in range(len(self.prompts)) for v in range(len(self.variants))]
        pairs.sort(key=lambda pair: len(self.prompts[pair[0]].tokens))
        for _, group in itertools.groupby(
            pairs, key=lambda pair: len(self.prompts[pair[0]].tokens)
        ):
            for batch in _batched(group, WRITING):
                tokens = torch.tensor(
                    [self.prompts[p].tokens for p, _ in batch], device=self.model.device
                )
                ids = self.model.generate(
                    tokens, edits=[self.edits[p][v] for p, v in batch], new=self.writes
                )
                written |= {pair: tuple(new) for pair, new in zip(batch, ids, strict=True)}
        return written

    def _learned(self, table: Direction, site: Site, seed: int) -> Float[torch.Tensor, " d"]:
        """A direction as a seed learns it, for a read; learned at its own site, if it has one."""
        place = self.learner.site(table, site)
        key = (repr(table), place, seed)
        if key not in self._vectors:
            self._vectors[key] = self.learner.vector(table, place, seed)
        return self._vectors[key]

    @cached_property
    def _known_by(self) -> tuple[Any, ...] | None:
        """All that decides what its passes give: the model, the prompts and the edits. None where
        that is more than its tables say: a user's own code, a dictionary's file, parts that are
        chosen."""
        task, table = self.task, self.task.intervention
        learned = task.own_directions if table else ()
        if not self.key or any(d.feature for d in learned) or task.standing:
            return None
        if table and (table.function or table.clamp):
            return None
        sets = (*task.sets, *([task.made_for] if task.made_for else []))
        edits = [stated(table), task.control, [stated(d) for d in learned]] if table else []
        texts = [p.digest for p in sets], [p.tokens for p in self.prompts]
        return self.key, texts, self.rows, edits, self.variants, self.clean

    @cached_property
    def edits(self) -> list[list[Edits]]:
        """The edits of every prompt, one for each seed and point of the sweep."""
        if self.task.intervention is None:
            return [[{}] * len(self.variants) for _ in self.prompts]
        return self.editing.edits(self.variants)

    @cached_property
    def editing(self) -> Editing:
        """What makes the edits of an intervention."""
        table = self.task.intervention
        assert table is not None
        return Editing(
            self.model,
            self.prompts,
            table,
            self.task.control,
            self.task.directions,
            self.learner,
            self.task.reads,
            self.code,
            self.task.first,
            self._effects,
        )

    def _effects(self, read: Read, table: Intervention) -> Float[np.ndarray, "part row"]:
        """What a read has of each prompt on which is chosen, at each point of a sweep over parts,
        less what it has where nothing is done."""
        key = repr((self.key, self.task.prompts.digest, stated(table), stated(read)))
        if key not in _effects_known:
            rows, tables = self.task.prompts.halves()[0], _tables([read])
            numbers = []
            for changed in (table, None):
                sweep = interventions.points(changed) if changed else [{}]
                task = replace(self.task, intervention=changed, control="", less=None, than=None)
                given = (tables, rows, self.key, self.dictionary, self.code)
                values = np.full((1, len(sweep), len(tables), len(rows)), np.nan)
                _Pass(task, self.model, [0], sweep, *given).into(values, lambda done, of: None)
                numbers.append(values[0, :, 0])
            _effects_known[key] = numbers[0] - numbers[1]
        return _effects_known[key]

    def others_into(self, stand_ins: Float[np.ndarray, "seed point head"]) -> None:
        """Fill in which heads stood in for those that are named, each a number: all heads of the
        first block, then those of the next."""
        if not self.task.standing:
            return
        assert self.task.intervention is not None
        each = read_sizes(self.model.folder.config)["h"]
        for v, (seed, point) in enumerate(self.variants):
            table = self.editing.at(point)
            if self.task.control:
                heads = self.editing.others[seed, repr(table.heads)]
            else:
                heads = [(b, n) for b, some in heads_by_layer(table.heads) for n in some]
            numbers = [layer * each + head for layer, head in heads]
            numbers = numbers or [*(table.neurons or interventions.latents_of(table))]
            s, w = divmod(v, len(self.sweep))
            stand_ins[s, w, : len(numbers)] = numbers

    @cached_property
    def learner(self) -> Learner:
        """What gets directions of this model."""
        return Learner(
            self.model,
            self.task.made_for or self.task.prompts,
            self.task.sources,
            partial(activations, self.model, self.key),
            self.dictionary,
        )


def _ready(
    task: Task,
    table: Table,
    prompts: Sequence[Prompt],
    dictionary: Callable[[str], Dictionary],
    code: Callable[[str], Callable[..., Any]],
    vector: Callable[[Direction, Site, int], torch.Tensor] = Context.vector,
    head: Callable[[torch.Tensor], torch.Tensor] = Context.head,
) -> list[Ready]:
    """Make one level of a read ready for each prompt. Raises: DataError."""
    _, point, read = table
    along = tuple(
        reads.filled(directions.find(task.directions, name), point)
        for name in reads.directions_of(read)
    )
    context = Context(along, vector, dictionary, task.stands_in == "heads", code, head)
    return [reads.ready(read, p, context) for p in prompts]


def _compares(read: Ready) -> bool:
    """Whether a read is of the untouched model as well."""
    return read.compares or any(want.what == "kl" for want in read.wants)


def _fitted(folder: ModelFolder, dictionary: Callable[[str], Dictionary], name: str) -> Dictionary:
    return fitted(name, dictionary(name), folder)


def _vector(trace: Trace, site: Site | None, position: int) -> Float[torch.Tensor, " d"]:
    """What a site has at a token; without a site what the unembedding reads there."""
    x = trace.acts[site] if site else trace.final
    assert x is not None
    return x[0, position]


def _each_of(x: Float[torch.Tensor, "v d"], variants: range) -> Float[torch.Tensor, "v d"]:
    """A row for each edit, where all share one."""
    return x.expand(len(variants), -1)


def _cut(acts: Mapping[Site, torch.Tensor], length: int) -> dict[Site, torch.Tensor]:
    """What sites have on the first tokens of a sequence."""
    return {
        site: x[0, :, :length, :length] if "q" in site.dims.split() else x[0, :length]
        for site, x in acts.items()
    }


def _room(model: Pretrained) -> int:
    """How many activations a pass of this model may hold."""
    return CAPTURED if model.device.type == "cpu" else ON_A_DEVICE


def _captured(model: Pretrained, sites: Iterable[Site], length: int) -> int:
    """How many numbers sites have on a text of so many tokens."""
    pairs = [site for site in sites if "q" in site.dims.split()]
    widths = sum(model.width(site) for site in sites if site not in pairs)
    return length * widths + len(pairs) * length**2 * read_sizes(model.folder.config).get("h", 0)


_effects_known: dict[str, Float[np.ndarray, "part row"]] = {}
"""What changes of single parts do, which an arm and its controls ask for alike."""
_known: dict[tuple[str, str, str, Position], torch.Tensor] = {}
"""Activations that directions are learned from: (model, prompts, site, position)."""
KEPT = 64


def activations(
    model: Pretrained, model_key: str, prompts: PromptSet, site: Site, position: Position
) -> Float[torch.Tensor, "row d"]:
    """The activations of all rows at a site and a position; the last few are kept."""
    return all_activations(model, model_key, prompts, [site], position)[0]


def all_activations(
    model: Pretrained, model_key: str, prompts: PromptSet, sites: Sequence[Site], position: Position
) -> list[Float[torch.Tensor, "row d"]]:
    """The activations of all rows at several sites, of one pass for all that are not known yet."""

    def key(site: Site) -> tuple[str, str, str, Position]:
        return (model_key, prompts.digest, str(site), position)

    got = {site: _known[key(site)] for site in sites if key(site) in _known}
    if new := [site for site in dict.fromkeys(sites) if site not in got]:
        for site, acts in read_activations(model, prompts, new, position).items():
            while len(_known) >= KEPT:
                _known.pop(next(iter(_known)))
            got[site] = _known[key(site)] = acts
    return [got[site] for site in sites]


def read_activations(
    model: Pretrained, prompts: PromptSet, sites: Sequence[Site], position: Position
) -> dict[Site, Float[torch.Tensor, "row d"]]:
    """The activations of all rows at several sites, of one pass; nothing is kept."""
    rows: dict[Site, list[torch.Tensor]] = {site: [] for site in sites}
    every = [prompt(model.folder, row) for row in prompts.rows]
    numbers = _captured(model, rows, max(len(p.tokens) for p in every))
    for some in _batched(every, max(1, min(4 * ROWS, READ // numbers))):
        traces = run_many(model, [p.tokens for p in some], capture=list(rows), logits=False)
        for p, traced in zip(some, traces, strict=True):
            seen = PassOutput(p, acts={site: x[0] for site, x in traced[0].acts.items()})
            for site in rows:
                act = seen.act(site, position)
                # what is a view of the pass would keep all of it
                rows[site].append(act.clone() if model.dtype == "float32" else act)
    return {site: torch.stack(acts) for site, acts in rows.items()}


def _batched(items: Any, n: int) -> Iterator[tuple[Any, ...]]:
    """Batches of at most n."""
    iterator = iter(items)
    while batch := tuple(itertools.islice(iterator, n)):
        yield batch
