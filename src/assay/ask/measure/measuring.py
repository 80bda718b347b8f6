"""Measuring: the values of an arm's reads on all of its prompts, for each seed and point of its
sweeps.

`tasks` says what is measured, `changes` makes the edits, and `passes` runs the model. Here,
`measure` opens the models and runs one `Readings` per model state and block of seeds, which fills
in the numbers of all reads; `_tidy` averages them over units. `seconds` estimates the cost,
`remarks` makes reads ready without the model, and `selected` finds the prompts that a condition
selects."""

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
    pairs,
    passes,
    reads,
    selecting,
)
from assay.ask.measure.changes import Changes
from assay.ask.measure.passes import Given, Passes, Written
from assay.ask.measure.prompts import SLOT, PromptRow, PromptSet
from assay.ask.measure.tasks import MOVED, PART, Task, chosen_for, stated
from assay.ask.measure.tokenized import Context, PassOutput, Prompt, Ready, Want, prompt
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
"""A read with its sweep, a point of the sweep, and the read at this point."""
Measured = dict[str, tuple[str, Any, str]]
"""Measures by name: (dims, array, unit)."""
SMOKE = 6
"""Prompts at most in the smoke preset."""
PASS = 2 / 50e9
"""CPU-seconds for each weight and token of a pass."""
NUMBER = 2e-4
"""CPU-seconds of each number that is read, per level of a sweep and prompt."""
CALL = 20.0
"""What reading all weights from memory adds to a pass, in tokens."""
SIGNS = 4
"""Characters per token, roughly."""
_effects_known: dict[str, Float[np.ndarray, "part row"]] = {}
"""Effects of changes of single parts, which an arm and its controls share."""


def axes(task: Task) -> dict[str, Axes]:
    """Give the measures of an arm, with their dimensions and levels."""
    swept: dict[str, Sequence[Any]] = {**models.levels(task.model)}
    swept |= task.intervention.sweep if task.intervention else {}
    unit = {task.prompts.unit: task.levels}
    by: dict[str, Sequence[Any]] = {**task.prompts.dims()}
    measures: dict[str, Axes] = {
        r.name: {**swept, **_own_sweep(r, swept), **by, **unit} for r in task.reads
    }
    if task.standing:
        name, dim = task.parts_measure
        measures[name] = {**swept, dim: [*range(task.standing)]}
    if task.moves:
        measures[MOVED] = swept
    for read in (r for r in task.reads if r.top):
        places = range(max(int(t.top.n) for _, _, t in _tables([read]) if t.top))
        measures[chosen_for(read)] = {
            **models.levels(task.model),
            **read.sweep,
            f"{PART}_for_{read.name}": [*places],
        }
    return measures


def _own_sweep(read: Read, swept: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """The sweep of a read without the dimensions of its arm; at a shared dimension it is measured
    at the level of the change."""
    return {name: levels for name, levels in read.sweep.items() if name not in swept}


def seconds(task: Task, size: Mapping[str, int], runs: int) -> float:
    """Estimate the CPU-seconds of the passes of so many runs of an arm in a model of this size."""
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
    late = _late(task.intervention, size["layers"])
    products = (late * length + written) * blocks(size) + looked * size["d"] * size["v"]
    choosers = task.choosers or task.reads
    changes = [choosing.change_of(d, task.prompts) for d in task.own_directions if d.top]
    changes += [t for t in (task.intervention, task.first) if t]
    for change in (c for c in changes if c.top and choosing.by_effect(c, choosers) is not None):
        variants += choosing.count(change, size, choosers)  # the same for all seeds
    for read in (r for r in task.reads if r.top):
        stand_in = choosing.stand_in(read)
        by_effect = choosing.by_effect(stand_in, choosers) is not None
        variants += choosing.count(stand_in, size, choosers) if by_effect else 1
    products += sum(_backward(r, len(task.rows), length, size) for r in task.reads if r.gradient)
    levels = sum(len(interventions.points(r)) for r in task.reads)
    for top in (t.top for t in task.reads if t.top and choosing.of_heads(t.top, choosers)):
        levels += size["h"] * (len(top.layers) or size["layers"])
    if task.intervention and task.intervention.path:
        levels += round(2 * late * size["layers"])  # all later heads and MLPs are held
    called = [r.function for r in task.reads if r.function for _ in interventions.points(r)]
    if task.intervention and task.intervention.function:
        called += [task.intervention.function] * max(
            1, len(interventions.sites_of(task.intervention))
        )
    code_seconds = sum(map(own_code.seconds, called))
    numbers = (NUMBER * levels + code_seconds) * len(task.rows)
    once = PASS * (_untouched(task) / SIGNS + (1 - late) * length) * blocks(size)
    once += runs * _training(task, size, mean_length)
    return once + variants * (PASS * products + numbers)


def _late(table: Intervention | None, layers: int) -> float:
    """Which share of the blocks is run for each edit: those before the first that it touches are
    run once for all edits."""
    if table is None:
        return 1.0
    shares = []
    for one in interventions.at_points(table):
        sites = [one.site] if isinstance(one.site, str) else [*one.site]
        numbers = re.findall(r"(?:^|\s|blocks\.)(\d+)\.", " ".join([*one.heads, *sites]))
        shares.append(1 - min(map(int, numbers), default=0) / layers)
    return sum(shares) / len(shares)


def _backward(read: Read, rows: int, length: float, size: Mapping[str, int]) -> float:
    """Count the products of the passes in which a gradient is taken, of so many prompts that have
    so many tokens together: each prompt by itself, there and back; of several steps the blocks
    before the part are passed once."""
    total, unembedding = 0.0, size["d"] * size["v"]
    for _, layer in backward_places(read):
        begin = layer / size["layers"] if read.steps > 1 and layer is not None else 0.0
        once = (CALL * rows + length) * blocks(size)
        each = CALL * rows * ((1 - begin) * blocks(size) + unembedding)
        each += read.steps * ((1 - begin) * length * blocks(size) + rows * unembedding)
        total += begin * once + 2 * each + (once if read.patch else 0.0)
    return total


def backward_places(read: Read) -> set[tuple[str, int | None]]:
    """Find the places, as a position and the block, for each of which a gradient of a prompt is
    taken; of a sweep without steps, one gradient gives what all blocks have, and it is None."""
    places = set[tuple[str, int | None]]()
    for one in interventions.at_points(read):
        parts = [str(x).rpartition(".")[0] for x in (*one.heads, *one.neurons)]
        for part in parts or [one.site]:
            number = re.search(r"\d+", part) if read.steps > 1 or not read.sweep else None
            places.add((str(one.position), int(number[0]) if number else None))
    return places


def _signs(prompts: PromptSet, rows: Sequence[int], text: str) -> int:
    """The number of characters of another text of these rows, with its slots filled; slots of a
    sweep count as they are written."""
    slots = SLOT.findall(text)
    bare = len(text) - sum(len(slot) + 2 for slot in slots)
    filled = sum(len(prompts.rows[i].columns.get(slot, slot)) for i in rows for slot in slots)
    return bare * len(rows) + filled


def _untouched(task: Task) -> float:
    """The number of characters that are read without a change: for replacements of activations,
    learned directions and chosen parts."""
    table, measured = task.intervention, task.prompts
    measured_signs = sum(len(measured.rows[i].text) for i in task.rows)
    puts = table and (table.patch or table.noise or table.function or table.scale is not None)
    puts = puts or bool(table and table.ablate not in ("", "zero"))
    every = sum(len(row.text) for row in measured.rows)
    learns = task.learns_here and (table or any(r.top for r in task.reads))
    sources = [p for p in task.sets[1:] if p is not task.than]
    return (
        (measured_signs if puts else 0)
        + (every - measured_signs if learns else 0)
        + sum(len(row.text) for p in sources for row in p.rows)
    )


def _training(task: Task, size: Mapping[str, int], length: float) -> float:
    """Estimate the CPU-seconds in which a seed trains the directions of an arm on prompts of so
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
    """The number of weights in the blocks of a model of this size, roughly."""
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
    """Measure one arm. Returns its reads by name, as (dims, array, unit), and the levels of their
    dims. Files are relative to `folder`, stored dictionaries are in the store `root`; `rows`
    replaces the rows of all measured prompts."""
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
    """The numbers of the parts chosen for a read, by run, state, table and place."""
    shape = (len(picked), len(picked[0]), len(of_read), len([*levels.values()][-1]))
    numbers = np.full(shape, np.nan)
    for cell in itertools.product(*map(range, shape[:3])):
        chosen_numbers = picked[cell[0]][cell[1]][of_read[cell[2]]]
        numbers[cell][: len(chosen_numbers)] = chosen_numbers
    sizes = [len(v) for v in levels.values()]
    return " ".join(["run", *levels]), numbers[index].reshape(len(index), *sizes), "1"


def _moved(task: Task, shifts: Float[np.ndarray, "run state point"]) -> Measured:
    """By how many tokens the control `token` moved the change; empty for other arms."""
    if not task.moves:
        return {}
    dims = axes(task)[MOVED]
    shape = (len(shifts), *map(len, dims.values()))
    return {MOVED: (" ".join(["run", *dims]), shifts.reshape(shape), "1")}


def _rows_of(task: Task, smoke: bool, folder: Path, device: str, root: Path) -> Sequence[int]:
    """The rows that are measured. Raises: DataError if there are none."""
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
    """The rows that satisfy the condition of the prompts in the unchanged model; all rows if there
    is no condition. With levels, a unit is selected if all of its rows satisfy it."""
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
    readings.into(values, lambda *_: None)
    by_name = dict(zip((r.name for r in selection.reads), values[0, 0], strict=True))
    numbers = parsed.walk(lambda column: by_name[column.name])
    true = (parsed.low <= numbers) & (numbers <= parsed.high)
    left_out = {u for u, holds in zip(prompts.units(rows), true, strict=True) if not holds}
    if prompts.table.levels:
        true = [unit not in left_out for unit in prompts.units(rows)]
    return [i for i, holds in zip(rows, true, strict=True) if holds]


def rehearsal(task: Task) -> Task:
    """Two different prompts of an arm, at the first and the last level of each sweep. Parts are
    chosen on two prompts as well, and directions trained for one step."""

    def ended(table: Any) -> Any:
        ends = {name: tuple(dict.fromkeys((v[0], v[-1]))) for name, v in table.sweep.items()}
        return msgspec.structs.replace(table, sweep=ends)

    trained = [msgspec.structs.replace(d, steps=1) if d.das else d for d in task.directions]
    return replace(
        task,
        reads=(*map(ended, task.reads),),
        intervention=task.intervention and ended(task.intervention),
        directions=(*trained,),
        rehearsed=True,
    )


def rehearse(task: Task, seed: int, folder: Path, device: str, tick: Tick, root: Path) -> None:
    """Measure the rehearsal of an arm with one seed, to see whether it works. Raises: DataError,
    ModelError."""
    only = rehearsal(task)
    measure(only, np.array([seed]), folder, device, False, tick, root, only.rows)


def _model(task: Task, state: int, seed: int, folder: Path, device: str) -> tuple[Pretrained, str]:
    """The model of a task, and the key of its activations."""
    second, second_key = _opened(task.model, state, seed, folder, device)
    if task.stands_in != "shuffled":
        return second, second_key
    assert task.start is not None
    first, first_key = _opened(task.start, state, seed, folder, device, place=1)
    if first_key == second_key:  # the first checkpoint of a training
        return second, second_key
    model = models.changed(first, second, seed, place=2)
    return model, f"{first_key} {second_key} shuffled {seed}"


def _opened(
    table: Model, state: int, seed: int, folder: Path, device: str, place: int = 0
) -> tuple[Pretrained, str]:
    """A model, trained or untrained, and the key of its activations; a model without checkpoints
    has a single state."""
    states = models.states(table)
    state = state if len(states) > 1 else 0
    name, table = models.located(folder, states[state]), models.at(table, state)
    if table.like:
        about = table.bos, table.dtype, table.device, next(iter(models.changes(table)), None)
        model = models.untrained(name, seed, device, place, *about)
        return model, f"{model.fingerprint}{models.key_suffix(table)} untrained {seed}"
    model = models.as_it_is(name, device, table)
    return model, f"{model.fingerprint}{models.key_suffix(table)}"


def _tables(read_tables: Sequence[Read]) -> list[Table]:
    return [
        (read, point, interventions.swept(read, point))
        for read in read_tables
        for point in interventions.points(read)
    ]


def unrelated(task: Task, folder: ModelFolder, seed: int) -> dict[int, PromptRow]:
    """The rows of the control `unrelated`, with prompts into which the other text of each row's
    pair can be patched. Raises: DataError if there are none."""
    positions = {read.position for _, _, read in _tables(task.reads) if read.patch}

    def misfit(row: PromptRow) -> str:
        p = prompt(folder, row)
        other = pairs.corrupted(task.prompts, p)
        return next(filter(None, (pairs.misfit(p, other, x, task.prompts) for x in positions)), "")

    return controls.unrelated(task.prompts, task.rows, seed, misfit if positions else None)


OF_PROMPTS = re.compile(r": [\d,]+ of [\d,]+ prompts (has|have) ")
"""Part of each remark about the prompts of a read, which are repeated next to its number."""


def remarks(
    task: Task,
    read: Read,
    prompts: Sequence[Prompt],
    dictionary: Callable[[str], Dictionary],
    code: Callable[[str], Callable[..., Any]] = own_code.load,
) -> Iterator[str]:
    """Make a read ready for prompts without the model's weights, and give remarks such as answers
    of several tokens; a user's function is tried on random numbers. Raises: DataError, with the
    read or the prompt's place."""
    cases_by_note: dict[str, list[tuple[str, str]]] = {}
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
                if all(place != p.row.place for _, place in cases_by_note.setdefault(note, [])):
                    cases_by_note[note].append((text, p.row.place))
    for note, cases in cases_by_note.items():
        (text, place), (clause, end, use) = cases[0], note.partition("; ")
        number = f"{len(cases)} of {len(prompts)} prompts"
        yield f"{read.name}: in {number}, {clause}, such as {text!r} ({place}){end}{use}"


def _check_choice(task: Task, read: Read, folder: ModelFolder) -> None:
    """Refuse a choice for a read that is impossible for these prompts or this model. Raises:
    DataError, ModelError."""
    assert read.top is not None
    choosers = task.choosers or task.reads
    table = choosing.stand_in(read)
    interventions.check(table, task.directions)
    source = choosing.source_of(read.top, task.prompts, task.sources, choosers)
    choosing.check(table, read.top, source, task.directions, choosers, folder)
    for i in source[1] if table.position != "all" else ():
        prompt(folder, source[0].rows[i]).all_at(table.position)


def _part_of(tick: Tick, k: int, count: int) -> Tick:
    """Convert the progress of part k of `count` to that of the whole."""
    return lambda finished, total: tick(k * total + finished, count * total)


def _tidy(
    task: Task,
    tables: Sequence[Table],
    rows: Sequence[int],
    values: Float[np.ndarray, "run state point read row"],
    stand_ins: Float[np.ndarray, "run state point head"],
) -> tuple[Measured, dict[str, list[Any]]]:
    """The numbers with one dimension for each swept field, averaged over the rows of each unit."""
    unit = task.prompts.unit
    names = task.prompts.units(rows)
    levels = list(dict.fromkeys(names))
    by = task.prompts.dims()
    count = len(levels) * math.prod(map(len, by.values()))
    cells = zip(task.prompts.level_of(rows), names, strict=True)
    index = [level * len(levels) + levels.index(name) for level, name in cells]
    share = np.zeros((len(rows), count))
    share[np.arange(len(rows)), index] = 1.0
    sizes = share.sum(0)
    sizes[sizes == 0] = np.nan  # a smoke run lacks levels of some units
    values = values @ share / sizes  # a sum first: six times a sixth of 1 is not 1
    coords: dict[str, list[Any]] = {unit: levels, **by}
    swept: dict[str, Sequence[Any]] = {**models.levels(task.model)}
    swept |= task.intervention.sweep if task.intervention else {}
    points = interventions.points(task.intervention) if task.intervention else [{}]
    coords |= {name: list(options) for name, options in swept.items()}
    measured: Measured = {}
    for read in task.reads:
        columns = {k: point for k, (source, point, _) in enumerate(tables) if source is read}
        own_sweep = _own_sweep(read, swept)
        coords |= {name: list(options) for name, options in own_sweep.items()}
        shape = [len(v) for v in (*swept.values(), *own_sweep.values(), *by.values())]
        pairs = interventions.together(points, [*columns.values()])
        array = values[:, :, [w for w, _ in pairs], [[*columns][k] for _, k in pairs]]
        array = array.reshape(len(values), *shape, len(levels))
        kind = reads.KINDS[reads.kind_of(read)]
        measured[read.name] = (" ".join(["run", *swept, *own_sweep, *by, unit]), array, kind.unit)
    if task.standing:
        name, dim = task.parts_measure
        coords[dim] = [*range(task.standing)]
        shape = [len(stand_ins), *(len(v) for v in swept.values()), task.standing]
        measured[name] = (" ".join(["run", *swept, dim]), stand_ins.reshape(shape), "1")
    return measured, coords


class Readings:
    """The reads of an arm on its prompts, under every edit of its seeds and its sweep."""

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
            by_number |= unrelated(task, model.folder, seeds[0])
        prompts = [prompt(model.folder, by_number[i]) for i in rows]
        key = key and f"{key} {model.device}"
        arguments = (task, model, prompts, rows, seeds, sweep, key, fit, code, self._effects)
        self.changes = Changes(*arguments)  # type: ignore[arg-type]
        self.tables = [(source, point, self._chosen(read)) for source, point, read in tables]
        size = read_sizes(model.folder.config)
        self.parts = [choosing.numbered(read, size) for _, _, read in self.tables]
        memo: dict[Any, Any] = {}
        learned = self.changes.learned
        by_table = [
            _ready(task, table, prompts, fit, code, learned, model.head, model, memo)
            for table in self.tables
        ]
        if task.stands_in == "position":  # reads keep the positions of the original prompts
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
        """Fill in the numbers of every prompt, minus those of a base. Comparisons such as KL
        divergence, if the base is another model, are computed against the base instead."""
        rival = base if self.task.than is None else None
        written = self._written()
        base_written = base._written() if base else {}
        count, vectors = 0, dict[tuple[int, bool], Float[np.ndarray, "variant row d"]]()
        for batch, variants in self.passes.batches():
            passed = self.passes.given(batch, variants)
            other = base.passes.given(batch, variants) if base else None
            outputs = self._seen(
                passed, variants, written, rival.model if rival else None, other if rival else None
            )
            base_outputs = base._seen(other, variants, base_written) if base and other else None
            for p in batch:
                for k, read in enumerate(self.ready[p]):
                    measured_at = variants if read.of_all else self._measured_at(k, variants)
                    now, was = (
                        [side[p][v - variants.start] for v in measured_at] if side else []
                        for side in (outputs, base_outputs)
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
                        if self.task.pairs(self.tables[k][0]):  # a half per table
                            half = numbers.shape[1] // 2
                            both = [np.concatenate([x[:, :half] for x in both], 1)]
                        for of_base, x in enumerate(both):
                            shape = (self.passes.count, len(self.ready), x.shape[1])
                            of_read = vectors.setdefault((k, bool(of_base)), np.empty(shape))
                            of_read[variants.start : variants.stop, p] = x
                        continue
                    for v, number in zip(measured_at, numbers - less, strict=True):
                        s, w = divmod(v, len(self.changes.sweep))
                        values[s, w, k, p] = number
            if variants[-1] == self.passes.count - 1:
                count += len(batch)
                tick(count, len(self.ready))
        for (k, of_base), x in vectors.items():
            side = base if of_base and base else self
            parts = across_prompts.of_each(side.ready[0][k], x, side.task.prompts, side.rows)
            whole = parts.reshape(*values.shape[:2], -1)
            values[:, :, k] = values[:, :, k] - whole if of_base else whole

    def _measured_at(self, k: int, variants: range) -> Sequence[int]:
        """The variants at which a read is measured: all, except for levels of a sweep shared with
        the intervention."""
        count = len(self.changes.sweep)
        points = self._points.get(k, set())
        return variants if len(points) == count else [v for v in variants if v % count in points]

    def _seen(
        self,
        passed: Given,
        variants: range,
        written: Mapping[float, Mapping[tuple[int, int], Written]],
        base: Pretrained | None = None,
        other: Given | None = None,
    ) -> dict[int, list[PassOutput]]:
        """The outputs of each prompt under each edit; KL divergences are computed against a base,
        if there is one."""
        rows = passed.rows
        compared = any(w.needs_untouched for r in rows for w in r.wants)
        if other is not None and compared:  # otherwise the answers are each model's own tokens
            n = len(variants)  # all variants may share one
            rows = [
                replace(r, final=r.final.expand(n, -1), first=b.end.expand(n, -1))
                for r, b in zip(rows, other.rows, strict=True)
            ]
        numbers: dict[tuple[int, int], dict[Want, float]] = {}
        backward = any(r.gradient for r in self.task.reads)  # for gradients alone
        tables = passes.numbers(self.model, rows, base if compared else None)
        for i, r, table in zip(passed.of, rows, tables, strict=True):
            lines = np.broadcast_to(table, (len(variants), len(r.wants))).tolist()
            for v, line in zip(variants, lines, strict=True):
                numbers.setdefault((i, v), {}).update(zip(r.wants, line, strict=True))
        return {
            p: [
                PassOutput(
                    self.changes.prompts[p],
                    self.changes.variants[v][0],
                    passed.acts[p][v - variants.start],
                    other.acts[p][v - variants.start]
                    if other
                    else passed.acts[p][-1 if self.passes.clean else v - variants.start],
                    numbers.get((p, v), {}),
                    {heat: new[p, v].tokens for heat, new in written.items()},
                    {heat: new[p, v].losses for heat, new in written.items()},
                    self.changes.edits[p][v] if backward else {},
                )
                for v in variants
            ]
            for p in passed.prompts
        }

    def _effects(
        self, read: Read, table: Intervention, source: PromptSet, rows: Sequence[int]
    ) -> Float[np.ndarray, "part row"]:
        """The values of a read on these rows at each point of a sweep over parts, minus those
        without a change."""
        key = repr((self.changes.key, source.digest, [*rows], stated(table), stated(read)))
        if key not in _effects_known:
            tables = _tables([read])
            plain: Any = {"control": "", "less": None, "than": None, "made_for": None}
            numbers = []
            for changed in (table, None):
                sweep = interventions.points(changed) if changed else [{}]
                task = replace(self.task, prompts=source, intervention=changed, **plain)
                about = (tables, rows, self.changes.key, self.changes.dictionary, self.changes.code)
                values = np.full((1, len(sweep), len(tables), len(rows)), np.nan)
                Readings(task, self.model, [0], sweep, *about).into(values, lambda *_: None)
                numbers.append(values[0, :, 0])
            _effects_known[key] = numbers[0] - numbers[1]
        return _effects_known[key]

    def _written(self) -> dict[float, dict[tuple[int, int], Written]]:
        """What the model writes, if a read needs that, by temperature."""
        writing = [r for r in self.every if r.writes]
        by_heat = {
            h: [r for r in writing if r.temperature == h] for r in writing for h in [r.temperature]
        }
        return {
            heat: self.passes.written(
                max(r.writes for r in group), any(r.scored for r in group), heat
            )
            for heat, group in by_heat.items()
        }

    def _chosen(self, read: Read) -> Read:
        task = self.task
        choosers = task.choosers or task.reads
        learner = replace(self.changes.learner, measured=task.prompts)
        choice = choosing.Choice(learner, task.directions, choosers, self._effects)
        return choosing.of_read(read, choice, dealt=task.stands_in == "labels")


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
        target = reads.by_name(task.choosers or task.reads, name)
        if target.sweep or target.top:
            raise DataError(f"{read.name}: {name} sweeps or chooses; name a read of one number")
        return reads.ready(target, p, Context((), *about))

    context = Context(along, *about, other, {} if memo is None else memo, task.prompts)
    return [reads.ready(read, p, context) for p in prompts]
