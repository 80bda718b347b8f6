"""Dry: everything about an arm that can be known before a model is opened: sites, heads, positions,
and the tokens of every prompt and answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from assay.ask.measure import (
    choosing,
    directions,
    edges,
    interventions,
    measuring,
    own_code,
    paths,
    reads,
    replacements,
)
from assay.ask.measure.heads import check as check_heads
from assay.ask.measure.heads import head_of, heads_by_layer
from assay.ask.measure.interventions import sites_of
from assay.ask.measure.probes import ProbeTask
from assay.ask.measure.prompts import PromptSet
from assay.ask.measure.seen import Prompt, prompt
from assay.ask.measure.tasks import Task
from assay.ask.tables import Direction, Intervention, Plain, Positions, Read
from assay.core import compute
from assay.core.errors import DataError, ModelError, nearest
from assay.core.intervals import FOLD
from assay.core.reading import plural
from assay.dictionaries.dictionary import Dictionary
from assay.subjects import chats, sizes
from assay.subjects.folder import ModelFolder
from assay.subjects.site import Site
from assay.subjects.sizes import read_sizes

ENOUGH = 20
"""Units of one kind, at which an exact interval may decide."""
FEWEST = 2
"""Rows of each label that a shuffled control needs."""


def prompts_of(task: Task | ProbeTask, folder: ModelFolder) -> list[Prompt]:
    """The prompts that an arm measures, as tokens. Raises: DataError, ModelError where there are
    none or one is too long."""
    prompts = [prompt(folder, task.prompts.rows[i]) for i in task.rows]
    if not prompts:
        raise DataError(f"of {task.prompts.table.name} no prompt is left to be measured")
    longest = max(prompts, key=lambda p: len(p.tokens))
    writes = max(map(reads.writes, task.reads), default=0)
    length, most = len(longest.tokens) + writes, folder.most_tokens
    if length > most:
        place = longest.row.place
        raise ModelError(f"{folder.name} reads at most {most} tokens, {place} has {length}")
    return prompts


def few_in_words(task: Task | ProbeTask) -> str:
    """Say that units are few, of a measure with bounds that most may share; "" where they are
    not."""
    count, unit = len(task.levels), task.unit
    bounded = isinstance(task, ProbeTask) or any(
        None not in task.range_of(read.name) for read in task.reads
    )
    if not bounded or count >= ENOUGH or unit == FOLD:
        return ""
    return (
        f"{count} {plural(unit, count)} are measured: if nearly all agree, a verdict needs at "
        f"least {ENOUGH}"
    )


def split_in_words(task: Task | ProbeTask) -> str:
    """Say which prompts are learned from and which are measured; "" where all are measured."""
    if isinstance(task, ProbeTask) and (k := task.table.folds):
        table, count = task.source.table, len(task.source.rows)
        by = f" by {table.split}" if table.split else ""
        return (
            f"{task.table.name}: {count} prompts are dealt out{by} to {k} folds; "
            + (f"a fold of {task.table.test}" if task.test else "each")
            + " is judged by what is learned from the others"
        )
    if not task.learns_here:
        return ""
    learned = len(task.prompts.rows) - len(task.rows)
    by = f", split by {task.prompts.table.split}" if task.prompts.table.split else ""
    return (
        f"of {len(task.prompts.rows)} prompts, {learned} are used for learning and "
        f"{len(task.rows)} are measured{by}"
    )


def first_tokens(task: Task, prompts: Sequence[Prompt]) -> list[str]:
    """Say what the first token is where a read speaks of it: one that opens every text, or a
    text's own."""
    about = [r.name for r in task.reads if r.position == 0 or (r.pattern and r.to == 0)]
    if not about:
        return []
    first = prompts[0]
    text = first.folder.tokenizer.token_text(first.tokens[:1])[0]
    what = "" if first.opening else f", of {first.row.place}: the model reads no BOS"
    return [f"{', '.join(about)}: the first token is {text!r}{what}"]


def means_in_words(task: Task, prompts: Sequence[Prompt]) -> list[str]:
    """Say that a mean over tokens leaves out the first, where the model reads no BOS."""
    tables: list[Read | Direction] = [*task.reads, *task.own_directions]
    about = [
        t.name
        for t in tables
        if t.position == "mean"
        and (isinstance(t, Direction) or reads.KINDS[reads.kind_of(t)].skips_first)
    ]
    if not about or any(p.opening for p in prompts):
        return []
    return [
        f'{", ".join(about)}: position = "mean" leaves out the first token of each prompt, whose '
        "activations are often a hundred times as large as any other's"
    ]


def clipped_in_words(task: Task, folder: ModelFolder) -> list[str]:
    """Say around which blocks the ends of the model cut a window off."""
    if (table := task.intervention) is None or table.window is None:
        return []
    tables = [interventions.swept(table, point) for point in interventions.points(table)]
    blocks = [n for t in tables if t.block for n in map(int, t.block.layers)]
    blocks += [Site.parse(s).layer or 0 for t in tables if not t.block for s in sites_of(t)]
    before, after = table.window
    cut = [n for n in dict.fromkeys(blocks) if not -before <= n < folder.layers - after]
    words = (
        f"{table.name}: the window has fewer blocks around {', '.join(map(str, cut))}, where the "
        f"model begins or ends (it has blocks 0 to {folder.layers - 1})"
    )
    return [words] if cut else []


def taken_in_words(task: Task | ProbeTask, folder: ModelFolder) -> list[str]:
    """Say what is taken of a folder that has more than one model, what stands on one in memory, and
    where one is larger than the memory that is free here."""
    words = [f"{folder.name}: {folder.left_out}"] if folder.left_out else []
    if folder.live is not None:
        words.append(f"{folder.name} is {folder.live.provenance}")
    elif not task.model.device:
        each = 4 if task.model.dtype in ("", "float32") else 2
        try:
            shapes = folder.shapes()
            sizes.check_memory(folder.config, shapes, each, compute.free_memory(), folder.name)
        except ModelError as e:
            words.append(f"here {e}")
    return words


def special_tokens(task: Task, folder: ModelFolder) -> list[str]:
    """Say which messages have a special token of the model among their words, where it opens or
    ends a message of its own."""
    cases = [
        (found[0], row.place)
        for row in (task.prompts.rows[i] for i in task.rows)
        if row.chat
        and (found := chats.special_tokens(folder.tokenizer, [c for _, c in row.chat.messages]))
    ]
    if not cases:
        return []
    return [
        f"{task.prompts.table.name}: {len(cases)} of {len(task.rows)} chats have a special token "
        f"in a message, such as {cases[0][0]!r} ({cases[0][1]})"
    ]


def ends_in_words(task: Task, folder: ModelFolder) -> list[str]:
    """Say what ends what a model writes, and what else decides it than the likeliest token. Raises:
    ModelError for settings that Assay does not obey."""
    about = ", ".join(r.name for r in task.reads if reads.writes(r))
    if not about:
        return []
    writing = folder.writing
    writing.check()
    ends = [repr(t) for t in folder.tokenizer.token_text(writing.ends)]
    words = [f"{about}: writing ends at {' or '.join(ends) or 'no token'} ({writing.source})"]
    if writing.changes:
        words.append(f"{about}: {', '.join(writing.changes)} of {writing.source} are obeyed")
    if writing.draws:
        words.append(f"{about}: the likeliest token is taken, and {writing.source} asks for draws")
    return words


def check_read(read: Read, folder: ModelFolder) -> None:
    """Check the site or the head of a read at every point of its sweep, without a prompt. Raises:
    DataError, ModelError."""
    for point in interventions.points(read):
        table = interventions.swept(read, point)
        if table.site:
            folder.check(Site.parse(table.site))
        if table.pattern:
            layer, head = head_of(table.pattern)
            _site(read.name, Site("z", layer), [head], folder)


def check_places(task: Task, folder: ModelFolder) -> None:
    """Check where something is done to the model, at every point of its sweep, without a prompt.
    Raises: DataError, ModelError."""
    assert task.intervention is not None
    for point in interventions.points(task.intervention):
        _check_place(interventions.swept(task.intervention, point), point, task, folder, ())


def _check_place(
    table: Intervention,
    point: Mapping[str, Plain],
    task: Task,
    folder: ModelFolder,
    prompts: Sequence[Prompt],
) -> None:
    if table.block is not None:
        sizes = read_sizes(folder.config)
        for site, _ in edges.places(table.name, table.block, sizes["layers"], sizes["h"]):
            folder.check(site)
        return
    direction = interventions.direction_of(table, task.directions)
    direction = interventions.filled(direction, point) if direction else None
    if not (
        table.clamp or table.reconstruct or (direction and direction.feature and not table.site)
    ):
        places = interventions.where(table, direction)  # a dictionary's site is known when read
        for site, heads in places:
            _site(table.name, site, heads, folder)
        if table.path is not None:
            paths.check(table, places, folder)
        if direction is not None and prompts:
            _direction(direction, places[0][0], task, folder)


def check_projection(read: Read, task: Task, folder: ModelFolder) -> None:
    """Check the directions that a read is along, at every point of its sweep. Raises: DataError,
    ModelError."""
    for point in interventions.points(read):
        level = interventions.swept(read, point)
        for name in reads.directions_of(level):
            direction = reads.filled(directions.find(task.directions, name), point)
            if site := level.site or direction.site:
                _direction(direction, Site.parse(site), task, folder)
            elif not direction.feature:
                raise DataError(
                    f"{read.name}: {name!r} has no site of its own; say where it is read"
                )


def check_intervention(
    task: Task,
    prompts: Sequence[Prompt],
    folder: ModelFolder,
    opened: Callable[[str], Dictionary],
    code: Callable[[str], Callable[..., Any]],
) -> None:
    """Check what is done to the model at every point of its sweep, on every prompt, with the
    dictionaries that it names. Raises: DataError, ModelError."""
    assert task.intervention is not None
    for point in interventions.points(task.intervention):
        table = interventions.swept(task.intervention, point)
        _check_place(table, point, task, folder, prompts)
        if table.clamp:
            choosing.site_of_latents(table, opened(table.clamp[0]), folder)
        if table.reconstruct:
            choosing.site_of(table, table.reconstruct, opened(table.reconstruct), folder)
        if table.source:
            if table.source not in task.sources:
                hint = nearest(table.source, task.sources)
                raise DataError(f"{table.name!r}: there are no prompts {table.source!r}; {hint}")
            place = table.position if table.source_position == "" else table.source_position
            for row in task.sources[table.source].rows if place != "all" else ():
                _at_source_position(table, prompt(folder, row), place)
        if table.top:
            some = task.choosers or task.reads
            measured = task.made_for or task.prompts
            source = choosing.source_of(table.top, measured, task.sources, some)
            choosing.check(table, table.top, source, task.directions, some, folder)
            learned_from = [prompt(folder, source[0].rows[i]) for i in source[1]]
            for p in learned_from if table.position != "all" else ():
                p.all_at(table.position)
            for read in (r for r in some if r.name == table.top.by and not r.sweep):
                deque(measuring.remarks(task, read, learned_from, opened, code), 0)
        for site, numbers in interventions.neurons_by_site(table).items():
            if max(numbers) >= (width := folder.width(site)):
                raise DataError(
                    f"{table.name!r}: {site} has neurons 0 to {width - 1:,}, got {max(numbers):,}"
                )
        for site, _ in interventions.where(table, None) if table.function else ():
            for p in prompts[:2] if own_code.can_be_tried(code(table.function)) else ():
                x = own_code.tried(p, [site]).acts[site][None]
                own_code.changed(table.function, code(table.function), site, x, p)
        for p in prompts:
            interventions.positions_of(table, p)
            if table.block is not None:
                edges.pairs(table.block, p)
        if table.patch == "corrupted":
            _check_pairs(task.prompts, prompts, table)


def _at_source_position(table: Intervention, p: Prompt, place: Positions) -> None:
    """Refuse a prompt of a source that has no such position. Raises: DataError with the field that
    says another one."""
    try:
        p.all_at(place)
    except DataError as e:
        raise DataError(
            f"{e}; where the mean of {table.source!r} is taken is source_position, such as -1"
        ) from e


def _check_pairs(source: PromptSet, prompts: Sequence[Prompt], table: Intervention) -> None:
    """Refuse pairs that cannot be patched, with all rows of which the same is wrong. Raises:
    DataError."""
    rows: dict[str, list[str]] = {}
    for p in prompts:
        other = replacements.corrupted(source, p)
        if why := replacements.misfit(p, other, table.position, source):
            rows.setdefault(why, []).append(p.row.place)
    for why, places in rows.items():
        first, *more = dict.fromkeys(places)
        numbers = [place.split()[-1] for place in more]
        raise DataError(f"{', '.join([first, *numbers])}: {why}")


def _site(name: str, site: Site, heads: Sequence[int] | None, folder: ModelFolder) -> None:
    folder.check(site)
    if heads is not None:
        check_heads(name, site.layer, heads, folder.shape(site)[0])


def _direction(table: Direction, site: Site, task: Task, folder: ModelFolder) -> None:
    way = directions.way_of(table)
    place = Site.parse(table.site) if table.site else site
    folder.check(place)
    for layer, numbers in heads_by_layer(table.heads):
        _site(f"direction {table.name}", Site("result", layer), numbers, folder)
    directions.check_tokens(table, folder)
    if folder.width(place) != folder.width(site):
        raise DataError(
            f"direction {table.name!r} has {folder.width(place)} numbers, "
            f"{site} {folder.width(site)}"
        )
    if way not in directions.LEARNED:
        return
    learned_from = directions.source_of(table, task.sources, task.prompts)
    same = learned_from.table.name == task.prompts.table.name  # of which the other half is judged
    rows = learned_from.halves()[0] if same else [*range(len(learned_from.rows))]
    labelled = bool(table.difference or table.probe)
    count = len(learned_from.sample(rows, 0, labelled=labelled, label=table.label))
    if table.component and table.component >= count:
        raise DataError(
            f"direction {table.name!r}: a seed learns from {count} prompts, which have "
            f"{max(0, count - 1)} components, got {table.component}"
        )
    for i in rows:
        if table.position not in ("all", "mean"):
            prompt(folder, learned_from.rows[i]).at(table.position)
    for label in table.difference or table.probe or ():
        labels = learned_from.column(table.label, rows)
        count = labels.count(str(label))
        if count < FEWEST:
            raise DataError(
                f"direction {table.name!r} is learned from {len(rows)} prompts, but only {count} "
                f"{'has' if count == 1 else 'have'} {table.label} = {label!r}; give {FEWEST}"
            )
