"""Measuring: what an arm's reads give on all of its prompts, for each seed and point of its sweeps.

`tasks` says what is measured, `changes` what is done to the model, `passes` runs it, and `logits`
unembeds what it gives; here the numbers of all reads are put together."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
from jaxtyping import Float, Int

from assay.ask.measure import (
    across_prompts,
    choosing,
    controls,
    das,
    dictionaries,
    directions,
    interventions,
    models,
    own_code,
    passes,
    reads,
    selecting,
)
from assay.ask.measure.changes import Changes
from assay.ask.measure.passes import Given, Passes, Written
from assay.ask.measure.prompts import SLOT, PromptSet
from assay.ask.measure.seen import Context, PassOutput, Prompt, Ready, Want, prompt
from assay.ask.measure.tasks import MOVED, PART, Task, chosen_for, stated
from assay.ask.tables import Direction, Intervention, Model, Plain, Read
from assay.core.columns import Axes
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.fitting import fitted
from assay.subjects.folder import ModelFolder
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay.subjects.sizes import read_sizes

Tick = Callable[[int, int], None]
Table: TypeAlias = tuple[Read, Mapping[str, Plain], Read]
"""A read as it was written, a level of its sweep, and the read at this level."""
Measured = dict[str, tuple[str, Any, str]]
"""Measures by name: (dims, array, unit)."""
SMOKE = 6
"""Prompts at most in the preset that only shows that everything runs."""
PASS = 2 / 50e9
"""CPU-seconds for each weight and token of one pass."""
NUMBER = 2e-4
"""CPU-seconds of each number that is read, a level of a sweep and a prompt by itself."""
SIGNS = 4
"""Signs of text that are a token, roughly."""
_effects_known: dict[str, Float[np.ndarray, "part row"]] = {}
"""What changes of single parts do, which an arm and its controls ask for alike."""


def axes(task: Task) -> dict[str, Axes]:
    """Give what an arm measures, with its dimensions and their levels."""
    swept: dict[str, Sequence[Any]] = {**models.levels(task.model)}
    swept |= task.intervention.sweep if task.intervention else {}
    unit = {task.prompts.unit: task.levels}
    by: dict[str, Sequence[Any]] = {**task.prompts.dims()}
    measures: dict[str, Axes] = {
        r.name: {**swept, **_own_sweep(r, swept), **by, **unit} for r in task.reads
    }
    if task.standing:
        name, dim = task.said
        measures[name] = {**swept, dim: [*range(task.standing)]}
    if task.moves:
        measures[MOVED] = swept
    for read in (r for r in task.reads if r.top):
        most = range(max(int(t.top.n) for _, _, t in _tables([read]) if t.top))
        measures[chosen_for(read)] = {
            **models.levels(task.model),
            **read.sweep,
            f"{PART}_for_{read.name}": [*most],
        }
    return measures


def _own_sweep(read: Read, swept: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """What a read sweeps beside the dimensions of its arm; in one that both sweep, it is measured
    at each level of the change."""
    return {name: levels for name, levels in read.sweep.items() if name not in swept}


def seconds(task: Task, size: Mapping[str, int], runs: int) -> float:
    """Guess the CPU-seconds of the passes of so many runs of an arm in a model of this size."""
    if task.than is not None:
        sides = (replace(task, prompts=p, than=None) for p in (task.prompts, task.than))
        return sum(seconds(side, size, runs) for side in sides)
    length = sum(len(task.prompts.rows[i].text) for i in task.rows) / SIGNS
    points = len(interventions.points(task.intervention)) if task.intervention else 1
    variants = points * (runs if task.drawn else 1)
    mean_length = length / len(task.rows)
    others = [r.other_text for r in task.reads if r.other_text]
    length += sum(_signs(task.prompts, task.rows, text) for text in others) / SIGNS
    looked = sum(reads.unembedded(r, mean_length) for r in task.reads) * len(task.rows)
    by_heat: dict[float, int] = {}
    for read in task.reads:
        by_heat[read.temperature] = max(reads.writes(read), by_heat.get(read.temperature, 0))
    written = sum(by_heat.values()) * len(task.rows)
    products = (length + written) * blocks(size) + looked * size["d"] * size["v"]
    some = task.choosers or task.reads
    changes = [choosing.change_of(d, task.prompts) for d in task.own_directions if d.top]
    changes += [t for t in (task.intervention, task.first) if t]
    for change in (c for c in changes if c.top and choosing.by_effect(c, some) is not None):
        variants += choosing.count(change, size, some)  # the same for all seeds
    for read in (r for r in task.reads if r.top):
        stand_in = choosing.stand_in(read)
        by_effect = choosing.by_effect(stand_in, some) is not None
        variants += choosing.count(stand_in, size, some) if by_effect else 1
    backward = [(r, len(interventions.points(r))) for r in task.reads if r.gradient]
    passes = sum(3 * r.steps * (points if r.steps > 1 else 1) for r, points in backward)
    products += passes * length * blocks(size)
    levels = sum(len(interventions.points(r)) for r in task.reads)
    for top in (t.top for t in task.reads if t.top and choosing.of_heads(t.top, some)):
        levels += size["h"] * (len(top.layers) or size["layers"])
    called = [r.function for r in task.reads if r.function for _ in interventions.points(r)]
    if task.intervention and task.intervention.function:
        called += [task.intervention.function] * max(
            1, len(interventions.sites_of(task.intervention))
        )
    own = sum(map(own_code.seconds, called))
    numbers = (NUMBER * levels + own) * len(task.rows)
    once = PASS * _untouched(task) / SIGNS * blocks(size)
    once += runs * _training(task, size, mean_length)
    return once + variants * (PASS * products + numbers)


def _signs(prompts: PromptSet, rows: Sequence[int], text: str) -> int:
    """How many signs another text of these rows has, whose slots they fill; that of slots of a
    sweep is as long as it is written."""
    slots = SLOT.findall(text)
    bare = len(text) - sum(len(slot) + 2 for slot in slots)
    filled = sum(len(prompts.rows[i].columns.get(slot, slot)) for i in rows for slot in slots)
    return bare * len(rows) + filled


def _untouched(task: Task) -> float:
    """How many signs are read with nothing done, for what goes on in the place of activations, for
    directions that are learned, and for parts that are chosen."""
    table, measured = task.intervention, task.prompts
    own = sum(len(measured.rows[i].text) for i in task.rows)
    puts = table and (table.patch or table.noise or table.function or table.scale is not None)
    puts = puts or bool(table and table.ablate not in ("", "zero"))
    every = sum(len(row.text) for row in measured.rows)
    learns = task.learns_here and (table or any(r.top for r in task.reads))
    sources = [p for p in task.sets[1:] if p is not task.than]
    return (
        (own if puts else 0)
        + (every - own if learns else 0)
        + sum(len(row.text) for p in sources for row in p.rows)
    )


def _training(task: Task, size: Mapping[str, int], length: float) -> float:
    """Guess the CPU-seconds in which a seed trains the directions of an arm, from prompts of so
    many tokens: three passes a step, from the block of the site on."""
    times = {"random": 0, "layer": 2}.get(task.control, 1)
    total = 0.0
    for table in (d for d in task.own_directions if d.das):
        layer = Site.parse(table.site).layer or 0 if "{" not in table.site else 0
        share = 1 - layer / size["layers"]
        products = length * share * blocks(size) + size["d"] * size["v"]
        total += 3 * PASS * times * table.steps * das.BATCH * products
    return total


def blocks(size: Mapping[str, int]) -> int:
    """How many weights the blocks of a model of this size have, roughly."""
    width, wide = size["d"], size.get("m", 2 * size["d"])
    return size["layers"] * (4 * width**2 + 3 * width * wide)


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
    rows = rows or _rows_of(task, smoke, folder, device, root)
    distinct = [int(s) for s in dict.fromkeys(seeds.tolist())] if task.drawn else [int(seeds[0])]
    dictionary = cache(partial(dictionaries.opened, folder=folder, root=root))
    code = cache(partial(own_code.load, folder=folder))
    tables = _tables(task.reads)
    sweep = interventions.points(task.intervention) if task.intervention else [{}]
    states = models.states(task.model)
    values = np.full((len(distinct), len(states), len(sweep), len(tables), len(rows)), np.nan)
    stand_ins = np.full((len(distinct), len(states), len(sweep), task.standing), np.nan)
    shifts = np.full((len(distinct), len(states), len(sweep)), np.nan)
    picked: list[list[list[list[int]]]] = [[[] for _ in states] for _ in distinct]
    blocks = [[seed] for seed in distinct] if task.new_each_seed else [distinct]
    rounds = list(itertools.product(range(len(states)), enumerate(blocks)))
    for n, (state, (b, block)) in enumerate(rounds):
        model, key = _model(task, state, block[0], folder, device)
        part = Readings(task, model, block, sweep, tables, rows, key, dictionary, code)
        base = None
        if task.less is not None:
            other = _opened(task.less, state, block[0], folder, device, place=1)
            base = Readings(
                task, other[0], block, sweep, part.tables, rows, other[1], dictionary, code
            )
        elif task.than is not None:
            side = replace(task, prompts=task.than, than=None)
            other_rows = task.stands_in == "unrelated" and any(map(task.pairs, task.reads))
            of_side = [seed + 1 for seed in block] if other_rows else block
            base = Readings(side, model, of_side, sweep, tables, rows, key, dictionary, code)
        for k in [b] if task.new_each_seed else range(len(distinct)):
            picked[k][state] = part.parts
        into = values[b : b + 1, state] if task.new_each_seed else values[:, state]
        part.into(into, _part_of(tick, n, len(rounds)), base)
        here = (slice(b, b + 1) if task.new_each_seed else slice(None), state)
        part.changes.others_into(stand_ins[here])
        part.changes.shifts_into(shifts[here])
    by_seed = {seed: i for i, seed in enumerate(distinct)}
    index = [by_seed.get(int(s), 0) for s in seeds]
    measured, coords = _tidy(task, tables, rows, values[index], stand_ins[index])
    measured |= _moved(task, shifts[index])
    for read in (r for r in task.reads if r.top):
        of_read = [k for k, (source, _, _) in enumerate(tables) if source is read]
        levels = axes(task)[chosen_for(read)]
        coords |= {dim: [*v] for dim, v in levels.items()}
        measured[chosen_for(read)] = _chosen(levels, picked, of_read, index)
    return measured, coords


def _chosen(
    levels: Mapping[str, Sequence[Any]],
    picked: Sequence[Sequence[Sequence[Sequence[int]]]],
    of_read: Sequence[int],
    index: Sequence[int],
) -> tuple[str, Float[np.ndarray, "run ..."], str]:
    """The numbers of the parts that were chosen for a read, by run, state, table and place."""
    shape = (len(picked), len(picked[0]), len(of_read), len([*levels.values()][-1]))
    numbers = np.full(shape, np.nan)
    for at in itertools.product(*map(range, shape[:3])):
        found = picked[at[0]][at[1]][of_read[at[2]]]
        numbers[at][: len(found)] = found
    sizes = [len(v) for v in levels.values()]
    return " ".join(["run", *levels]), numbers[index].reshape(len(index), *sizes), "1"


def _moved(task: Task, shifts: Float[np.ndarray, "run state point"]) -> Measured:
    """By how many tokens the control `token` moved the change; nothing of other arms."""
    if not task.moves:
        return {}
    dims = axes(task)[MOVED]
    shape = (len(shifts), *map(len, dims.values()))
    return {MOVED: (" ".join(["run", *dims]), shifts.reshape(shape), "1")}


def _rows_of(task: Task, smoke: bool, folder: Path, device: str, root: Path) -> Sequence[int]:
    """The rows that are measured. Raises: DataError where none is left."""
    rows = task.rows[:SMOKE] if smoke else task.rows
    rows = selected(task.prompts, rows, folder, device, root) or (rows if smoke else [])
    if not rows:
        selection = task.prompts.selection
        where = f": {selection.condition} is true of none of them" if selection else ""
        raise DataError(f"of {task.prompts.table.name} no prompt is left to be measured{where}")
    return rows


def selected(
    prompts: PromptSet, rows: Sequence[int], folder: Path, device: str, root: Path
) -> list[int]:
    """Those of some rows of which the condition of the prompts is true in the unchanged model; all
    where there is none. With levels a unit is taken if it is true of all of its rows."""
    selection = prompts.selection
    if selection is None:
        return [*rows]
    parsed = selecting.condition(selection.condition)
    task = Task(selection.model, replace(prompts, selection=None), selection.reads)
    model, key = _model(task, 0, 0, folder, device)
    dictionary = cache(partial(dictionaries.opened, folder=folder, root=root))
    code = cache(partial(own_code.load, folder=folder))
    tables = _tables(selection.reads)
    values = np.full((1, 1, len(tables), len(rows)), np.nan)
    readings = Readings(task, model, [0], [{}], tables, rows, key, dictionary, code)
    readings.into(values, lambda done, of: None)
    by_name = dict(zip((r.name for r in selection.reads), values[0, 0], strict=True))
    numbers = parsed.walk(lambda column: by_name[column.name])
    true = (parsed.low <= numbers) & (numbers <= parsed.high)
    left_out = {u for u, kept in zip(prompts.units(rows), true, strict=True) if not kept}
    if prompts.table.levels:
        true = [unit not in left_out for unit in prompts.units(rows)]
    return [i for i, kept in zip(rows, true, strict=True) if kept]


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
    state = state if len(states) > 1 else 0
    name, table = models.located(folder, states[state]), models.at(table, state)
    if table.like:
        about = table.bos, table.dtype, table.device, next(iter(models.changes(table)), None)
        model = models.untrained(name, seed, device, place, *about)
        return model, f"{model.fingerprint}{models.said(table)} untrained {seed}"
    model = models.as_it_is(name, device, table)
    return model, f"{model.fingerprint}{models.said(table)}"


def _tables(some: Sequence[Read]) -> list[Table]:
    return [
        (read, point, interventions.swept(read, point))
        for read in some
        for point in interventions.points(read)
    ]


OF_PROMPTS = re.compile(r": [\d,]+ of [\d,]+ prompts (has|have) ")
"""What a remark on the prompts of a read has, which bears on its number."""


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
    if read.across:
        across_prompts.check(read, task.prompts, task.rows)
    for source, point, level in _tables([read]):
        if level.top is not None:
            _check_choice(task, level, prompts[0].folder)
        table = source, point, choosing.any_parts(level) if level.top else level
        head = partial(own_code.any_logits, read_sizes(prompts[0].folder.config)["v"])
        of_each = _ready(task, table, prompts, dictionary, code, head=head)
        tried = read.function and own_code.can_be_tried(code(read.function))
        for p, ready in [*zip(prompts, of_each, strict=True)][:2] if tried else ():
            ready.numbers([own_code.tried(p, ready.sites, ready.temperature)] * 2)
        for p, ready in zip(prompts, of_each, strict=True):
            for note, text in ready.notes:
                if all(place != p.row.place for _, place in known.setdefault(note, [])):
                    known[note].append((text, p.row.place))
    for note, cases in known.items():
        (text, place), have = cases[0], "has" if len(cases) == 1 else "have"
        yield (
            f"{read.name}: {len(cases)} of {len(prompts)} prompts {have} {note}, such as {text!r} "
            f"({place})"
        )


def _check_choice(task: Task, read: Read, folder: ModelFolder) -> None:
    """Refuse a choice for a read that no prompts or no model could make. Raises: DataError,
    ModelError."""
    assert read.top is not None
    some = task.choosers or task.reads
    table = choosing.stand_in(read)
    interventions.check(table, task.directions)
    source = choosing.source_of(read.top, task.prompts, task.sources, some)
    choosing.check(table, read.top, source, task.directions, some, folder)
    for i in source[1] if table.position != "all" else ():
        prompt(folder, source[0].rows[i]).all_at(table.position)


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
    points = interventions.points(task.intervention) if task.intervention else [{}]
    coords |= {name: list(options) for name, options in swept.items()}
    measured: Measured = {}
    for read in task.reads:
        columns = {k: at for k, (source, at, _) in enumerate(tables) if source is read}
        own = _own_sweep(read, swept)
        coords |= {name: list(options) for name, options in own.items()}
        shape = [len(v) for v in (*swept.values(), *own.values(), *by.values())]
        pairs = interventions.together(points, [*columns.values()])
        array = values[:, :, [w for w, _ in pairs], [[*columns][k] for _, k in pairs]]
        array = array.reshape(len(values), *shape, len(levels))
        kind = reads.KINDS[reads.kind_of(read)]
        measured[read.name] = (" ".join(["run", *swept, *own, *by, unit]), array, kind.unit)
    if task.standing:
        name, dim = task.said
        coords[dim] = [*range(task.standing)]
        shape = [len(stand_ins), *(len(v) for v in swept.values()), task.standing]
        measured[name] = (" ".join(["run", *swept, dim]), stand_ins.reshape(shape), "1")
    return measured, coords


class Readings:
    """The reads of an arm on its prompts, under every edit that its seeds and its sweep make."""

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
        self.task, self.model, self.rows = task, model, rows
        fit = cache(lambda name: fitted(name, dictionary(name), model.folder))
        by_number = dict(enumerate(task.prompts.rows))
        if task.stands_in == "unrelated":
            by_number |= controls.unrelated(task.prompts, task.rows, seeds[0])
        prompts = [prompt(model.folder, by_number[i]) for i in rows]
        key = key and f"{key} {model.device}"
        asked = (task, model, prompts, rows, seeds, sweep, key, fit, code, self._effects)
        self.changes = Changes(*asked)  # type: ignore[arg-type]
        self.tables = [(source, point, self._chosen(read)) for source, point, read in tables]
        size = read_sizes(model.folder.config)
        self.parts = [choosing.numbered(read, size) for _, _, read in self.tables]
        memo: dict[Any, Any] = {}
        learned = self.changes.learned
        by_table = [
            _ready(task, table, prompts, fit, code, learned, model.head, model, memo)
            for table in self.tables
        ]
        if task.stands_in == "position":  # reads stay those of the places that the prompts had
            self.changes = replace(self.changes, prompts=controls.scrambled(prompts, seeds[0]))
        self.ready = [list(group) for group in zip(*by_table, strict=True)]
        every = list(itertools.chain.from_iterable(self.ready))
        wants = [list(dict.fromkeys(w for r in group for w in r.wants)) for group in self.ready]
        sites = list(dict.fromkeys(site for r in every for site in r.sites))
        self.changes = replace(self.changes, sites=sites)
        changed = task.intervention is not None and task.less is None
        self.passes = Passes(
            self.changes, wants, sites, changed and any(r.needs_untouched for r in every)
        )
        self.every = every
        pairs = interventions.together(sweep, [point for _, point, _ in tables])
        # the points of the sweep at which each read is measured
        self._points: dict[int, set[int]] = {}
        for w, k in pairs:
            self._points.setdefault(k, set()).add(w)

    def into(
        self,
        values: Float[np.ndarray, "seed point read row"],
        tick: Tick,
        base: Readings | None = None,
    ) -> None:
        """Fill in the numbers of every prompt; less those of a base, but for KL divergence, which
        is then from the base, where that is another model."""
        rival = base if self.task.than is None else None
        written = self._written()
        base_written = base._written() if base else {}
        count, vectors = 0, dict[tuple[int, bool], Float[np.ndarray, "variant row d"]]()
        for some, variants in self.passes.batches():
            given = self.passes.given(some, variants)
            before = base.passes.given(some, variants) if base else None
            seen = self._seen(
                given, variants, written, rival.model if rival else None, before if rival else None
            )
            base_seen = base._seen(before, variants, base_written) if base and before else None
            for p in some:
                for k, read in enumerate(self.ready[p]):
                    at = variants if read.of_all else self._measured_at(k, variants)
                    now, was = (
                        [some[p][v - variants.start] for v in at] if some else []
                        for some in (seen, base_seen)
                    )
                    if not now:
                        continue
                    numbers = np.array(read.numbers(now), dtype=float)
                    apart = rival is None or not read.is_comparison
                    less: Any = 0.0
                    if base and was and apart:
                        less = np.array(base.ready[p][k].numbers(was), dtype=float)
                    if read.of_all:
                        both = [numbers, less] if base and apart else [numbers]
                        if self.task.pairs(self.tables[k][0]):  # half is of each table
                            half = numbers.shape[1] // 2
                            both = [np.concatenate([x[:, :half] for x in both], 1)]
                        for of_base, x in enumerate(both):
                            shape = (self.passes.count, len(self.ready), x.shape[1])
                            of_read = vectors.setdefault((k, bool(of_base)), np.empty(shape))
                            of_read[variants.start : variants.stop, p] = x
                        continue
                    for v, number in zip(at, numbers - less, strict=True):
                        s, w = divmod(v, len(self.changes.sweep))
                        values[s, w, k, p] = number
            if variants[-1] == self.passes.count - 1:
                count += len(some)
                tick(count, len(self.ready))
        for (k, of_base), x in vectors.items():
            side = base if of_base and base else self
            parts = across_prompts.of_each(side.ready[0][k], x, side.task.prompts, side.rows)
            whole = parts.reshape(*values.shape[:2], -1)
            values[:, :, k] = values[:, :, k] - whole if of_base else whole

    def _measured_at(self, k: int, variants: range) -> Sequence[int]:
        """Of these variants, those at which a read is measured: all, but for a level of its sweep
        that the intervention sweeps too."""
        count = len(self.changes.sweep)
        points = self._points.get(k, set())
        return variants if len(points) == count else [v for v in variants if v % count in points]

    def _seen(
        self,
        given: Given,
        variants: range,
        written: Mapping[float, Mapping[tuple[int, int], Written]],
        base: Pretrained | None = None,
        before: Given | None = None,
    ) -> dict[int, list[PassOutput]]:
        """What each prompt gave under each edit; KL divergences are from a base, if there is
        one."""
        rows = given.rows
        compared = any(w.needs_untouched for r in rows for w in r.wants)
        if before is not None and compared:  # else each model's answers are tokens of its own
            n = len(variants)  # all may share one
            rows = [
                replace(r, final=r.final.expand(n, -1), first=b.end.expand(n, -1))
                for r, b in zip(rows, before.rows, strict=True)
            ]
        numbers: dict[tuple[int, int], dict[Want, float]] = {}
        backward = any(r.gradient for r in self.task.reads)  # others need no edits of known passes
        tables = passes.numbers(self.model, rows, base if compared else None)
        for i, r, table in zip(given.of, rows, tables, strict=True):
            lines = np.broadcast_to(table, (len(variants), len(r.wants))).tolist()
            for v, line in zip(variants, lines, strict=True):
                numbers.setdefault((i, v), {}).update(zip(r.wants, line, strict=True))
        return {
            p: [
                PassOutput(
                    self.changes.prompts[p],
                    self.changes.variants[v][0],
                    given.acts[p][v - variants.start],
                    before.acts[p][v - variants.start]
                    if before
                    else given.acts[p][-1 if self.passes.clean else v - variants.start],
                    numbers.get((p, v), {}),
                    {heat: new[p, v].tokens for heat, new in written.items()},
                    {heat: new[p, v].losses for heat, new in written.items()},
                    self.changes.edits[p][v] if backward else {},
                )
                for v in variants
            ]
            for p in given.prompts
        }

    def _effects(
        self, read: Read, table: Intervention, source: PromptSet, rows: Sequence[int]
    ) -> Float[np.ndarray, "part row"]:
        """What a read has of each of these rows, at each point of a sweep over parts, less what it
        has where nothing is done."""
        key = repr((self.changes.key, source.digest, len(rows), stated(table), stated(read)))
        if key not in _effects_known:
            tables = _tables([read])
            plain: Any = {"control": "", "less": None, "than": None, "made_for": None}
            numbers = []
            for changed in (table, None):
                sweep = interventions.points(changed) if changed else [{}]
                task = replace(self.task, prompts=source, intervention=changed, **plain)
                given = (tables, rows, self.changes.key, self.changes.dictionary, self.changes.code)
                values = np.full((1, len(sweep), len(tables), len(rows)), np.nan)
                Readings(task, self.model, [0], sweep, *given).into(values, lambda done, of: None)
                numbers.append(values[0, :, 0])
            _effects_known[key] = numbers[0] - numbers[1]
        return _effects_known[key]

    def _written(self) -> dict[float, dict[tuple[int, int], Written]]:
        """What the model writes on, where a read asks for that, by the temperature."""
        writing = [r for r in self.every if r.writes]
        by_heat = {
            h: [r for r in writing if r.temperature == h] for r in writing for h in [r.temperature]
        }
        return {
            heat: self.passes.written(
                max(r.writes for r in some), any(r.scored for r in some), heat
            )
            for heat, some in by_heat.items()
        }

    def _chosen(self, read: Read) -> Read:
        task = self.task
        some = task.choosers or task.reads
        own = replace(self.changes.learner, measured=task.prompts)
        known = choosing.Known(own, task.directions, some, self._effects)
        return choosing.of_read(read, known, dealt=task.stands_in == "labels")


def _ready(
    task: Task,
    table: Table,
    prompts: Sequence[Prompt],
    dictionary: Callable[[str], Dictionary],
    code: Callable[[str], Callable[..., Any]],
    vector: Callable[[Direction, Site, int], torch.Tensor] = Context.vector,
    head: Callable[[torch.Tensor], torch.Tensor] = Context.head,
    model: Pretrained | None = None,
    memo: dict[Any, Any] | None = None,
) -> list[Ready]:
    """Make one level of a read ready for each prompt. Raises: DataError."""
    _, point, read = table
    along = tuple(
        reads.filled(directions.find(task.directions, name), point)
        for name in reads.directions_of(read)
    )
    about = vector, dictionary, task.stands_in, code, head, model

    def other(name: str, p: Prompt) -> Ready:
        one = reads.by_name(task.choosers or task.reads, name)
        if one.sweep or one.top:
            raise DataError(f"{read.name}: {name} sweeps or chooses; name a read of one number")
        return reads.ready(one, p, Context((), *about))

    context = Context(along, *about, other, {} if memo is None else memo, task.prompts)
    return [reads.ready(read, p, context) for p in prompts]
