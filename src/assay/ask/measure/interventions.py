"""Interventions: how a model is changed while it reads one prompt, as edits of its sites. `check`
and its helpers refuse impossible tables; `points`, `swept` and `filled` set a table to one point of
its sweep; `edits_of` makes the edits of one prompt; the functions at the end describe a change in
words."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any, TypeAlias, TypeVar

import msgspec
from jaxtyping import Float

from assay.ask.measure import directions, edges
from assay.ask.measure.heads import head_of, heads_by_layer
from assay.ask.measure.prompts import SLOT
from assay.ask.measure.tokenized import Prompt, range_ends, whole_slot
from assay.ask.tables import (
    Block,
    Direction,
    Intervention,
    Path,
    Plain,
    Positions,
    Probe,
    Read,
    Top,
)
from assay.core.errors import DataError, nearest
from assay.core.heavy import torch
from assay.core.nouns import plural
from assay.subjects import edits
from assay.subjects.edits import Change, Edits
from assay.subjects.site import Site
from assay.subjects.subject import Edit

WAYS = (
    *("add", "project_out", "keep", "erase", "ablate", "scale", "patch", "clamp", "reconstruct"),
    *("block", "function", "noise"),
)
"""The fields that say what an intervention does; each table has one."""
ALONG = ("add", "project_out", "keep", "erase", "along")
"""Those that name a direction."""
CUTS = ("ablate", "scale", "patch")
"""Those that can be applied to heads and neurons."""
ONE_DIRECTION = ("add", "project_out", "erase")
ABLATIONS = ("zero", "mean", "resample")
SWAPPED = "swapped"
PATCHES = ("corrupted", "other", "clean", SWAPPED)
TABLES = ("block",)
"""Fields that are tables: a sweep of this name fills a slot, as in {block}.{head}."""
FIXED = ("name", "sweep", "prompts", "controls", "damage", "after")
"""Fields that a sweep cannot change."""
NUMBERED, NUMBER = ("position", "source_position", "to", "attends", "neurons"), re.compile(r"-?\d+")
"""Fields with numbers, whose slots can be filled by a number."""
LATENT = ("feature", "clamp")
"""Fields with a dictionary and its latent."""
T = TypeVar("T", Direction, Intervention, Read, Probe)


def way_of(table: Intervention) -> str:
    """The kind of an intervention. Raises: DataError if it has none or several."""
    swept = table.sweep.keys() - {*TABLES}
    stated = {w for w in WAYS if getattr(table, w) not in (None, "", 0.0) or w in swept}
    stated |= {"scale"} if table.scale is not None else set()  # 0 is a valid factor
    ways = [w for w in WAYS if w in stated]
    if len(ways) != 1:
        got = " and ".join(ways) or "none of them"
        raise DataError(f"give one of {', '.join(WAYS)} for {table.name!r}, got {got}")
    way = ways[0]
    for site in sites_of(table):
        if table.position != "all" and site.endswith(("hook_pattern", "hook_attn_scores")):
            raise DataError(
                f"{table.name!r}: at {site} a position is the token that attends, so what others "
                f"see of it would stay; write block = {{ from = …, to = {_toml(table.position)}, "
                "layers = […] } in place of a site (docs/tables/intervene.md, Blocked attention)"
            )
    for name, options in (("ablate", ABLATIONS), ("patch", PATCHES)):
        waits = () if name not in table.sweep else ("",)  # for a level
        if way == name and (value := getattr(table, name)) not in (*waits, *options):
            means = 'write ablate = "mean", and source for the mean over other prompts'
            hint = means if value == "mean" else nearest(value, options)
            raise DataError(f"{table.name!r}: {name} takes one of its kinds; {hint}")
    return way


def check(table: Intervention, tables: Sequence[Direction]) -> None:
    """Refuse an intervention that is impossible for any model and prompts. Raises: DataError,
    ModelError."""
    _check_sweep(table, tables)
    for point in points(table):
        swept_table = swept(table, point)
        way = way_of(swept_table)
        direction = direction_of(swept_table, tables)
        for word, kind in (("strength", "add"), ("value", "clamp")):
            if way != kind and getattr(table, word) != getattr(Intervention(name=""), word):
                raise DataError(f"{table.name!r}: {word} belongs to {kind}, and it has {way}")
        sourced = swept_table.ablate in ("mean", "resample") or swept_table.patch == "other"
        if (table.source or table.source_position != "") and not (sourced and table.source):
            raise DataError(
                f"{table.name!r}: source names the prompts whose activations are put there: write "
                'it next to ablate = "mean" or "resample", or patch = "other"'
            )
        if table.source_position != "" and swept_table.ablate != "mean":
            raise DataError(
                f"{table.name!r}: source_position is where a mean is taken; with "
                f"{way} = {getattr(swept_table, way)!r} each text has its own position"
            )
        if swept_table.patch == "clean" and not table.after:
            raise DataError(
                f'{table.name!r}: patch = "clean" restores what the unchanged model has; name the '
                'intervention that comes before it with after = "…"'
            )
        if swept_table.patch == SWAPPED:
            _check_swapped(table, swept_table)
        several = table.neurons or not isinstance(table.site, str)
        _check_direction(table, swept_table, way, filled(direction, point) if direction else None)
        if table.path and (way != "patch" or several or table.after):
            raise DataError(
                f"{table.name!r}: a path is that of a patch of heads, or of one MLP, and comes "
                "after no other change"
            )
        if way == "function" and (table.heads or table.neurons or table.top):
            raise DataError(
                f"{table.name!r}: a function takes a whole site, without heads, neurons and top, "
                'such as site = "blocks.9.attn.hook_z", and there x[..., 2, :] is head 2'
            )
        if swept_table.heads and way not in CUTS:
            raise DataError(
                f"{table.name!r}: heads are ablated, scaled or patched; {way} takes a site"
            )
        if (latents := latents_of(swept_table)) and min(latents) < 0:
            raise DataError(f"{table.name!r}: latents are numbered from 0, got {min(latents)}")
        _check_parts(swept_table, way)
        _check_window(swept_table, way)
        if way == "block":
            _check_block(swept_table)
            continue
        if way in ("clamp", "reconstruct") or (
            direction and (direction.feature or direction.sweep)
        ):
            continue  # its site may be the dictionary's, or wait for a level
        where(swept_table, filled(direction, point) if direction else None)


def _check_swapped(written: Intervention, table: Intervention) -> None:
    """Refuse a swap that does not name two places, or is combined with another change."""
    if not isinstance(table.position, tuple) or len(table.position) != 2:
        raise DataError(
            f'{table.name!r}: patch = "swapped" swaps what a site has at two places of a prompt: '
            f'write position = ["{{name}}", "{{other}}"], or two numbers; got {written.position!r}'
        )
    if table.after or table.path:
        raise DataError(
            f"{table.name!r}: a swap is of what the unchanged model has, along no path and after "
            "no other change"
        )


def _check_direction(
    written: Intervention, table: Intervention, way: str, direction: Direction | None
) -> None:
    """Refuse a direction that cannot be used in this way, at one point of the sweep; `written` is
    the intervention with its sweep."""
    if table.along and (way != "patch" or table.heads or table.neurons or table.top or table.path):
        raise DataError(
            f"{table.name!r}: along names the direction along which a site is patched; write "
            'patch = "corrupted" and no heads, neurons, top or path'
        )
    if direction is None:
        return
    if way == "erase":
        site = direction.site
        if not (direction.difference and site and written.site in ("", site)) or table.window:
            raise DataError(
                f"{table.name!r}: a concept is erased where its direction is learned: give "
                f"{direction.name!r} a site and a difference of two or more labels, and "
                f"{table.name!r} no other site; one table for each of several sites"
            )
    several = directions.is_subspace(direction)
    if way not in (("keep", "project_out", "erase") if several else (*ONE_DIRECTION, "patch")):
        raise DataError(
            f"{table.name!r}: several directions, such as principal components (components = 50) "
            "or probes one after another (iterations = 8), are kept, projected out or erased, with "
            f"keep, project_out or erase; {direction.name!r} is "
            f"{'several of them' if several else 'one direction'}"
        )
    if several or directions.is_one(direction):
        return
    if direction.rank > 1 and not table.along:
        raise DataError(
            f"{table.name!r}: {direction.name!r} has {direction.rank} dimensions, which can only "
            'be patched: write patch = "corrupted" and along = "…"'
        )
    if direction.rank == 1 and (way != "add" or table.position != "all"):
        raise DataError(
            f"{table.name!r}: {direction.name!r} has a vector for each token, which can only be "
            "added, each to the token at its place; leave out position here, or give "
            f"{direction.name!r} one position, such as -1"
        )


def before(table: Intervention, tables: Sequence[Intervention]) -> Intervention | None:
    """The intervention that is made before another one in the same arm; None if there is none.
    Raises: DataError for one that is not possible."""
    if not table.after:
        return None
    by_name = {t.name: t for t in tables if t.name != table.name}
    if table.after not in by_name:
        hint = nearest(table.after, by_name)
        raise DataError(
            f"{table.name!r} comes after {table.after!r}, but no other intervention has "
            f"this name; {hint}"
        )
    first = by_name[table.after]
    whole = first.top is None or not first.top.within
    if first.sweep or first.after or not whole:
        field = next((f for f in ("sweep", "after") if getattr(first, f)), "parts for each prompt")
        raise DataError(
            f"{table.name!r} comes after {first.name!r}, which has {field}; the first "
            f"of two changes must be a single one, so sweep {table.name!r} instead"
        )
    return msgspec.structs.replace(first, damage="", prompts="", controls=None)


def both(name: str, first: Edits, second: Edits) -> Edits:
    """Combine two changes of one prompt. Raises: DataError if both change the same site."""
    if same := sorted(str(site) for site in {*first} & {*second}):
        raise DataError(
            f"{name!r} and the change before it both change {same[0]}; change another "
            'site, or write one function that does both (function = "FILE.py:NAME")'
        )
    return {**first, **second}


def latents_of(table: Intervention) -> tuple[int, ...]:
    """The latents that an intervention sets."""
    latents = table.clamp[1] if table.clamp else ()
    return (latents,) if isinstance(latents, int) else latents


def neurons_by_site(table: Intervention) -> dict[Site, list[int]]:
    """The neurons that an intervention changes: at its site, or each "BLOCK.NEURON" in the MLP of
    its block. Raises: DataError, ModelError."""
    by_site: dict[Site, list[int]] = {}
    for neuron in table.neurons:
        if isinstance(neuron, str) == bool(table.site):
            raise DataError(
                f"{table.name!r}: neurons are numbers at one site, or, without a site, each "
                f'"BLOCK.NEURON", such as "9.41"; got {neuron!r}'
            )
        layer, number = head_of(neuron) if isinstance(neuron, str) else (0, neuron)
        site = Site.parse(str(table.site)) if table.site else Site("mlp_post", layer)
        if len(site.dims.split()) != 3:
            raise DataError(
                f"{table.name!r}: {site} has several rows of numbers for each token, so a neuron "
                'is not one number there; change whole heads, with heads = ["9.1"]'
            )
        by_site.setdefault(site, []).append(number)
    return by_site


def _check_parts(table: Intervention, way: str) -> None:
    """Refuse neurons, latents and choices of parts that do not go together."""
    top, cut = table.top, way in CUTS
    if table.neurons and (not cut or table.heads or not isinstance(table.site, str)):
        raise DataError(f"{table.name!r}: neurons are ablated or patched at one site")
    numbers = [n for neurons in neurons_by_site(table).values() for n in neurons]
    if numbers and (len({*table.neurons}) < len(table.neurons) or min(numbers) < 0):
        raise DataError(f"{table.name!r}: each neuron once, numbered from 0")
    if way == "clamp" and not (latents_of(table) or top):
        raise DataError(
            f'{table.name!r}: name latents to be set, or top = {{ n = 3, of = "latents" }}'
        )
    chosen = top.of if top else "heads" if table.heads else "neurons" if table.neurons else ""
    one_site = chosen == "neurons" and bool(table.site)
    if table.all_but and (not (chosen == "heads" or one_site) or table.path):
        raise DataError(
            f"{table.name!r}: all_but changes all other heads of the model, or all other neurons "
            "of a site, along no path: write heads, or neurons with a site, or a top that chooses "
            "them"
        )
    if top is None:
        return
    if not str(top.n).isdecimal() or int(top.n) < 1:
        raise DataError(f"{table.name!r}: n of top is how many, at least 1, got {top.n!r}")
    if not str(top.skip).isdecimal():
        raise DataError(f"{table.name!r}: skip of top is how many, or a slot; got {top.skip!r}")
    if top.within and (
        top.of == "latents" or not (table.ablate == "zero" or table.scale is not None)
    ):
        raise DataError(
            f"{table.name!r}: heads or neurons that are chosen for each prompt are set to zero or "
            'scaled; write ablate = "zero" or scale'
        )
    fits = {
        "heads": cut and not (table.heads or table.site or table.neurons),
        "neurons": cut and not (table.neurons or table.heads),
        "latents": way == "clamp" and not latents_of(table),
    }
    if not fits[top.of] or not isinstance(table.site, str):
        how = {
            "heads": "are ablated or patched, without a site or heads",
            "neurons": "are ablated or patched, at one site or without a site over blocks; leave "
            "out neurons = … and heads",
            "latents": 'are set by clamp = ["DICTIONARY", []], without numbers',
        }[top.of]
        raise DataError(f"{table.name!r}: {top.of} that are chosen {how}")


def _check_window(table: Intervention, way: str) -> None:
    """Refuse a window without blocks to be around."""
    if table.window is None:
        return
    if not table.window[0] <= 0 <= table.window[1]:
        raise DataError(
            f"{table.name!r}: a window is from so many blocks before to so many after, such as "
            f"[-4, 5]; got {[*table.window]}"
        )
    blocks = table.block.layers if table.block else all(s[:7] == "blocks." for s in sites_of(table))
    of_parts = table.heads or table.neurons or table.top or table.path
    if not blocks or of_parts or way in ("clamp", "reconstruct"):
        raise DataError(
            f"{table.name!r}: a window is around the blocks of a site, such as "
            '"blocks.{layer}.hook_mlp_out", or around the layers of a block of attention'
        )


def _check_block(table: Intervention) -> None:
    """Refuse fields that the block has itself, and impossible tokens."""
    assert table.block is not None
    edges.check(table.name, table.block)
    for field in ("site", "heads", "position"):
        if getattr(table, field) != getattr(Intervention(name=""), field):
            raise DataError(
                f"{table.name!r}: {field} is of other interventions; a block says its tokens in "
                "from and to, and its place in layers or heads"
            )


def _toml(place: Positions) -> str:
    place = place[0] if isinstance(place, tuple) else whole_slot(place) or place
    return str(place) if isinstance(place, int) else f'"{place}"'


def _check_sweep(table: Intervention, tables: Sequence[Direction]) -> None:
    fields = [f for f in table.__struct_fields__ if f not in FIXED]
    names = {named_direction(table)}
    names |= {str(n) for way in ALONG for n in table.sweep.get(way, ())}
    about = [table, *(t for t in tables if t.name in names)]
    texts = [str(getattr(t, field)) for t in about for field in t.__struct_fields__]
    slots = {name for text in texts for name in SLOT.findall(text)}
    for name, levels in table.sweep.items():
        if name in FIXED or not (name in fields or name in slots):
            hint = nearest(name, [*fields, *slots])
            raise DataError(f"{table.name!r} sweeps {name!r}, no field or slot of it; {hint}")
        if not levels or len({repr(v) for v in levels}) < len(levels):
            raise DataError(f"{table.name!r} sweeps {name} over {list(levels)}; each level once")
        if name == "heads" and any(not isinstance(v, str) for v in levels):
            raise DataError(f'{table.name!r}: heads are texts, such as "9.10", not numbers')


def expanded(table: Intervention, tables: Sequence[Direction]) -> Intervention:
    """Add the levels of its directions' sweeps to an intervention. Raises: DataError for a sweep of
    a field that the intervention has."""
    levels: dict[str, tuple[Plain, ...]] = {}
    for swept_table in at_points(table):
        direction = direction_of(swept_table, tables)
        for name, options in (direction.sweep if direction else {}).items():
            if name in table.__struct_fields__ and name not in TABLES:
                raise DataError(
                    f"the direction {named_direction(table)!r} sweeps {name}, which "
                    f"{table.name!r} has too; sweep a slot, such as blocks.{{layer}}.hook_resid_pre"
                )
            levels[name] = options
    return msgspec.structs.replace(table, sweep={**levels, **table.sweep})


def direction_of(table: Intervention, tables: Sequence[Direction]) -> Direction | None:
    """The direction that an intervention adds, projects out or erases. Raises: DataError if it does
    not exist."""
    name = named_direction(table)
    return directions.find(tables, name) if name else None


def named_direction(table: Intervention) -> str:
    """The name of the direction that an intervention uses; "" if none."""
    return next((name for way in ALONG if (name := getattr(table, way))), "")


def points(table: T) -> list[dict[str, Plain]]:
    """All combinations of the levels of a table's sweep; a single empty one without a sweep."""
    values = (v for v in table.sweep.values())
    return [dict(zip(table.sweep, c, strict=True)) for c in itertools.product(*values)]


def in_a_row(levels: Sequence[Any]) -> bool:
    """Whether levels are consecutive whole numbers."""
    first, count = levels[0], len(levels)
    return all(isinstance(x, int) for x in levels) and [*levels] == [*range(first, first + count)]


def in_rows(levels: Iterable[Any]) -> list[str]:
    """Write each level, but more than a few consecutive whole numbers as "0 to 14"."""
    rows: list[list[Any]] = []
    for x in levels:
        if rows and in_a_row([*rows[-1], x]):
            rows[-1].append(x)
        else:
            rows.append([x])
    ends = ([f"{row[0]} to {row[-1]}"] if len(row) > FEW else map(str, row) for row in rows)
    return [*itertools.chain.from_iterable(ends)]


def at_points(table: T) -> list[T]:
    """A table at each point of its sweep. Raises: DataError as `swept`."""
    return [swept(table, point) for point in points(table)]


def at_first(table: T) -> T:
    """A table at the first point of its sweep. Raises: DataError as `swept`."""
    return swept(table, points(table)[0])


def together(
    points: Sequence[Mapping[str, Plain]], others: Sequence[Mapping[str, Plain]]
) -> list[tuple[int, int]]:
    """Pair the points of two sweeps, by number, that have the same level of every dimension that
    both sweep."""
    return [
        (i, k)
        for i, point in enumerate(points)
        for k, other in enumerate(others)
        if all(point.get(name, level) == level for name, level in other.items())
    ]


def swept(table: T, point: Mapping[str, Plain]) -> T:
    """Set a table to one point: swept fields get its values, and slots are filled by them. Raises:
    DataError for a value that a field cannot have."""
    fields: dict[str, Any] = {}
    for name in table.__struct_fields__:
        value: Any = getattr(table, name)
        if name in point and name not in (*FIXED, *TABLES):
            level = point[name]
            if name == "neurons":
                value = (level,)
            elif isinstance(value, tuple | list) and name != "position":
                # a dictionary's latent, or one head or text
                value = (*value[:-1], level) if name in LATENT else (str(level),)
            else:
                value = level
        else:
            value = _filled(value, point)
            if name in NUMBERED:
                value = _numbered(value)
        fields[name] = value
    # what is left out stays so: an empty list may be nothing that a study can write
    usual = _usual(type(table))
    fields = {name: value for name, value in fields.items() if value != usual[name]}
    try:
        return msgspec.convert(fields, type(table))
    except msgspec.ValidationError as e:
        raise DataError(f"{table.name!r} cannot have {dict(point)}: {e}") from None


def _numbered(value: Any) -> Any:
    """Convert values, or lists of them, to numbers where slots were filled by numbers."""
    if isinstance(value, tuple):
        return tuple(map(_numbered, value))
    return int(value) if isinstance(value, str) and NUMBER.fullmatch(value) else value


@cache
def _usual(kind: type[msgspec.Struct]) -> Mapping[str, Any]:
    return {f.name: f.default for f in msgspec.structs.fields(kind)}


def filled(table: Direction, point: Mapping[str, Plain]) -> Direction:
    """Set a direction to one point of the intervention that uses it: its own sweep sets fields, the
    intervention's sweep only fills slots."""
    levels = {name: level for name, level in point.items() if name in table.sweep}
    slots = {n: v for n, v in point.items() if n not in table.__struct_fields__ or n in levels}
    return swept(table, slots)


def _filled(value: Any, point: Mapping[str, Plain]) -> Any:
    """The value of a field with the slots of all its texts filled."""
    if isinstance(value, str):
        return SLOT.sub(lambda m: str(point[m[1]]) if m[1] in point else m[0], value)
    if isinstance(value, tuple | list):
        return tuple(_filled(v, point) for v in value)
    if isinstance(value, Block | Top | Path):
        parts = {f: _filled(getattr(value, f), point) for f in value.__struct_fields__}
        if isinstance(value, Block):
            parts |= {f: _numbered(parts[f]) for f in ("from_", "to")}
        return msgspec.structs.replace(value, **parts)
    return value


def where(table: Intervention, direction: Direction | None) -> list[tuple[Site, list[int] | None]]:
    """The sites that an intervention changes, with the heads at each. Raises: DataError,
    ModelError."""
    if table.heads and table.site:
        raise DataError(
            f"{table.name!r}: give a site or heads, not both: to change head 0 of block 5 write "
            'heads = ["5.0"] and no site'
        )
    if table.heads:
        return [(Site("z", layer), numbers) for layer, numbers in heads_by_layer(table.heads)]
    if table.neurons and not table.site:
        return [(site, None) for site in neurons_by_site(table)]
    if table.top and not table.site and table.top.of != "latents":
        return []  # known after the choice
    sites = sites_of(table)
    if sites == ("",):
        if direction is None or not direction.site:
            raise DataError(
                f'{table.name!r} needs a site, such as site = "blocks.0.hook_resid_pre"'
            )
        sites = (direction.site,)
    return [(Site.parse(site), None) for site in sites]


def blocks_of(table: Intervention) -> set[int]:
    """The blocks that an intervention names, by its sites, its heads or its blocked attention."""
    names = [f"blocks.{n}." for n in table.block.layers] if table.block else [*sites_of(table)]
    names += [f"blocks.{head}" for head in table.heads]
    return {int(match[1]) for name in names if (match := re.match(r"blocks\.(\d+)\.", name))}


def places_in_blocks(table: Intervention) -> int:
    """Count the places in blocks that an intervention names, each of which the control `layer`
    moves; 0 where a direction has the site."""
    if table.block:
        start, stop = table.window or (0, 0)
        return len(table.block.layers) * (stop - start + 1)
    return len(heads_by_layer(table.heads)) or sum(map(bool, sites_of(table)))


def widened(
    table: Intervention, places: Sequence[tuple[Site, list[int] | None]], layers: int
) -> list[tuple[Site, list[int] | None]]:
    """Give the same places in all blocks of the window around each, as far as the model has
    them."""
    if table.window is None:
        return [*places]
    start, stop = table.window
    wide = {
        Site(site.kind, n): heads
        for site, heads in places
        for n in range(max(0, (site.layer or 0) + start), min(layers, (site.layer or 0) + stop + 1))
    }
    return [*wide.items()]


Put: TypeAlias = 'Callable[[Float[torch.Tensor, "1 s ..."]], Float[torch.Tensor, "1 s ..."]]'
"""The activations at the changed tokens → their replacement."""


def edits_of(
    table: Intervention,
    prompt: Prompt,
    places: Sequence[tuple[Site, list[int] | None]],
    *,
    vector: Float[torch.Tensor, "..."] | None = None,
    rows: Mapping[Site, Float[torch.Tensor, "s ..."]] | None = None,
    feature: Put | None = None,
    user_change: Callable[[Site, torch.Tensor], torch.Tensor] | None = None,
    shift: int = 0,
) -> Edits:
    """The edits of one prompt.

    Args:
        table: at one point of its sweep.
        prompt: whose tokens are changed.
        places: sites, each with the heads that are changed there.
        vector: what is added or projected out; or the direction, or basis [k, d], along which rows
            are put. What is added may have a row for each token, from the first on.
        rows: what is put at each token of the prompt.
        feature: what sets a feature, erases a concept or changes a subspace.
        own: a user's own change of what a site has.
        shift: by how many tokens a single position is moved.
    """
    way = way_of(table)
    positions = positions_of(table, prompt, shift, learned=feature is not None)
    combined: Edits = {}
    for site, heads in places:
        if way == "add":
            assert vector is not None
            if vector.ndim > 1:
                positions = prompt.own[: len(vector)]
                vector = vector[: len(positions)]
            combined |= edits.add(site, table.strength * vector, positions=positions)
        elif feature is not None:
            combined |= {site: Change(site, feature, positions)}
        elif way == "project_out":
            assert vector is not None
            combined |= edits.project_out(site, vector, positions=positions)
        elif way == "function":
            assert user_change is not None
            combined |= {site: Change(site, partial(user_change, site), positions)}
        elif table.scale is not None:
            combined |= edits.scale(site, table.scale, positions=positions, heads=heads)
        elif table.ablate == "zero":
            combined |= edits.zero(site, positions=positions, heads=heads)
        else:
            assert rows is not None
            goes_on = bool(table.ablate or table.reconstruct)
            edit = put(site, rows[site], positions, heads, goes_on)
            combined |= edit if vector is None else {site: _along(edit[site], vector)}
    if table.neurons:
        neurons = neurons_by_site(table)
        return {site: _of_neurons(edit, neurons[site]) for site, edit in combined.items()}
    return combined


def _along(edit: Edit, vector: Float[torch.Tensor, "..."]) -> Edit:
    """Restrict a change to a direction, or to an orthonormal basis."""
    assert isinstance(edit, Change)
    change, basis = edit.change, vector if vector.ndim > 1 else (vector / vector.norm())[None]

    def some(x: torch.Tensor) -> torch.Tensor:
        return x + ((change(x) - x) @ basis.to(x).T) @ basis.to(x)

    return dataclasses.replace(edit, change=some)


def _of_neurons(edit: Edit, neurons: Sequence[int]) -> Edit:
    """Restrict a change to these coordinates of a site."""
    assert isinstance(edit, Change)
    change, index = edit.change, [*neurons]

    def some(x: torch.Tensor) -> torch.Tensor:
        new = x.clone()
        new[..., index] = torch.broadcast_to(change(x), x.shape)[..., index]
        return new

    return dataclasses.replace(edit, change=some)


def positions_of(
    table: Intervention, prompt: Prompt, shift: int = 0, *, learned: bool = False
) -> slice | list[int] | None:
    """The changed positions; None for all, including those that the model writes."""
    if table.patch == SWAPPED:
        return [n for place in swapped(table, prompt, shift) for n in place]
    if table.position != "all":
        return [n + shift for n in prompt.all_at(table.position)]
    # a first token, whose activations are many times larger, is never used for learning
    learned = learned or bool(table.clamp or table.reconstruct or table.erase)
    first = max(1, prompt.opening) if learned else prompt.opening
    return slice(first, None) if first else None


def swapped(table: Intervention, prompt: Prompt, shift: int = 0) -> tuple[list[int], list[int]]:
    """The tokens of the two places that are swapped, the second one shifted. Raises: DataError if
    they have different lengths or overlap."""
    assert isinstance(table.position, tuple)
    first, second = map(prompt.all_at, table.position)
    if len(first) != len(second) or {*first} & {*second}:
        raise DataError(
            f"{prompt.row.place}: {token_in_words(table.position[0])} and "
            f"{token_in_words(table.position[1])} cannot be swapped: they are tokens {first} and "
            f"{second}; give two places with equally many tokens, and none in common"
        )
    return first, [n + shift for n in second]


def put(
    site: Site,
    rows: Float[torch.Tensor, "s ..."],
    positions: slice | list[int] | None = None,
    heads: list[int] | None = None,
    goes_on: bool = False,
) -> Edits:
    """Put a row at each token of the prompt; if `goes_on`, the last row also at tokens that are
    read or written after it."""
    by_pair = "q" in site.dims.split()  # rows of a pattern
    chosen, keys = rows.transpose(0, 1) if by_pair else rows, rows.shape[-1]
    chosen = chosen if positions is None else chosen[edits.stretch(positions, len(chosen))]
    chosen = chosen if heads is None else chosen[:, edits.stretch(heads, chosen.shape[1])]

    def change(x: torch.Tensor) -> torch.Tensor:
        new = x.clone()
        if by_pair:
            new[:, :, : len(chosen), :keys] = chosen.transpose(0, 1).to(x)
            return new
        new[:, : len(chosen)] = chosen[-x.shape[1] :].to(x)
        if goes_on:
            new[:, len(chosen) :] = chosen[-1].to(x)
        return new

    return {site: Change(site, change, positions, heads, goes_on and not by_pair)}


FEW = 4
"""Up to this many tokens are written out."""
PATCHED = {"corrupted": "the pair", "other": "another prompt", "clean": "the untouched model"}
"""The source of a patch, in words."""


def in_words(table: Intervention) -> str:
    """Describe a change in a phrase that can follow "with"."""
    way = way_of(table)
    is_unset = getattr(table, way) in ("", 0.0, None)
    if way in table.sweep and is_unset:  # in words the first level of all
        table = swept(table, {way: table.sweep[way][0]})
    place = heads_in_words(table.heads) or (
        table.site if isinstance(table.site, str) else ", ".join(table.site)
    )
    source = f" from {table.source}" if table.source else ""
    phrase = {
        "add": f"{table.strength:g} × {table.add} added",
        "project_out": f"{table.project_out} projected out",
        "keep": f"only {table.keep} kept",
        "erase": f"{table.erase} erased (LEACE)",
        "ablate": f"{table.ablate} ablation{source}",
        "scale": f"scaling by {table.scale:g}" if table.scale is not None else "",
        "patch": "a swap"
        if table.patch == SWAPPED
        else f"a patch{f' along {table.along}' if table.along else ''} from "
        f"{PATCHED.get(table.patch, table.patch)}{source}",
        "reconstruct": f"a reconstruction by {table.reconstruct}",
        "noise": f"noise of {table.noise:g} standard deviations added",
        "clamp": f"{_latents_in_words(table)} clamped to {table.value:g}",
        "block": _block_in_words(table),
        "function": f"a change by {table.function}",
    }[way]
    if table.neurons:
        neurons = f"neuron{'s' * bool(table.neurons[1:])} {', '.join(map(str, table.neurons))}"
        place = f"{neurons} of {place}" if place else neurons
    if table.top and table.top.of != "latents":
        place = top_in_words(table.top, place, table.position)
    place = f"all but {place}" if table.all_but else place
    place += window_in_words(table) if place else ""
    token = "" if table.position == "all" else f", at {token_in_words(table.position)}"
    if table.path:
        ways = {"q": "the queries of ", "k": "the keys of ", "v": "the values of "}
        ends = f"{ways.get(table.path.input, '')}{', '.join(table.path.to)}"
        token += f", along the path to {ends} alone"
    return f"{phrase}{f' at {place}' if place else ''}{token}"


def _latents_in_words(table: Intervention) -> str:
    if table.top:
        return top_in_words(table.top, "", table.position)
    latents = latents_of(table)
    return f"latent{'s' * bool(latents[1:])} {', '.join(map(str, latents))}"


def top_in_words(top: Top, site: str, place: Positions) -> str:
    """Describe which parts are chosen for a change or a read at a position."""
    by = top.by if isinstance(top.by, str) else f"{top.by[0]} over {top.by[1]}"
    where = f" of {site}" if site else ""
    if not isinstance(top.change, str):
        by = f"effect on {by} (change of each: {in_words(top.change)})"
    by += " by AUROC" if top.score == "auroc" else ""
    by += " by its gradient" if top.score == "gradient" else ""
    by += " by attribution patching" if top.score == "attribution" else ""
    text = f"the {top.n} {top.of}{where} with the {'lowest' if top.lowest else 'highest'} {by}"
    if top.above is not None:
        text += f" {'below' if top.lowest else 'above'} {top.above:g}, as far as there are so many,"
    text += f" but for the first {top.skip}" if top.skip else ""
    text += f", among the {top.among} with the largest norm," if top.among else ""
    if top.score == "weights":
        return f"{text} by their output weights alone"
    on = top.prompts or "the prompts that are not measured"
    on = f"the other prompts of its {top.within}" if top.within else on
    # a read of each head may have a position of its own
    by_read = top.of == "heads" and by == top.by != "norm" and top.position == ""
    by_read = by_read or not isinstance(top.change, str)  # which has a position
    token = token_in_words(place if top.position == "" else top.position)
    return f"{text}, {'' if by_read else f'compared at {token} and '}chosen on {on}"


def window_in_words(table: Intervention) -> str:
    """Say which blocks around the named ones are changed as well; "" without a window."""
    if table.window is None:
        return ""
    start, stop = table.window
    return f" and in the blocks from {-start} before to {stop} after"


def _block_in_words(table: Intervention) -> str:
    if (block := table.block) is None:
        return ""
    layers = "all blocks"
    if block.layers:
        layers = f"{plural('block', len(block.layers))} {', '.join(in_rows(block.layers))}"
    layers += window_in_words(table)
    place = f"heads {', '.join(block.heads)}" if block.heads else layers
    attending, hidden = map(end_in_words, (block.from_, block.to))
    return f"attention from {attending} to {hidden} blocked in {place}"


def end_in_words(end: Positions) -> str:
    """Describe the tokens at one end of blocked attention, where a slot is all of its tokens."""
    return end if isinstance(end, str) and end.startswith("{") else token_in_words(end)


def sites_of(table: Intervention) -> tuple[str, ...]:
    """The names of the sites that an intervention changes."""
    return (table.site,) if isinstance(table.site, str) else table.site


def heads_in_words(heads: Sequence[str]) -> str:
    """Name heads with the site that is changed; "" if there are none."""
    return f"head{'s' * bool(heads[1:])} {', '.join(heads)} (hook_z)" if heads else ""


def tokens_in_words(table: Intervention, p: Prompt, shift: int = 0) -> str:
    """Write the tokens of a prompt at which a change is made, with their numbers."""
    positions = positions_of(table, p, shift)
    if table.block:
        positions = [edges.pairs(table.block, p)[1][0] + shift]
    assert isinstance(positions, list)
    pieces = p.folder.tokenizer.pieces(p.tokens)
    each = [f"{pieces[n]!r} (token {n})" for n in positions]
    return " and ".join(each if len(each) <= FEW else [each[0], f"{len(each) - 1} more"])


def token_in_words(place: Positions) -> str:
    """Describe one or several positions: the last token, token 3, tokens 4 to 9, every token, or
    the last token of a slot."""
    if isinstance(place, tuple):
        if place[2:] and in_a_row(place):
            return f"tokens {place[0]} to {place[-1]}"
        return " and ".join(map(token_in_words, place))
    if slot := whole_slot(place):
        return f"every token of {slot}"
    if ends := range_ends(place):
        return f"the tokens from {ends[0] or 0} to {'the last' if ends[1] is None else ends[1] - 1}"
    if place == -1 and not isinstance(place, str):
        return "the last token"
    if isinstance(place, str) and place.startswith("{"):
        return f"the last token of {place}"
    words = {"all": "every token", "mean": "the mean over tokens"}
    return words.get(str(place), f"token {place}")
