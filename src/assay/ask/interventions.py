"""Interventions: what is done to a model while it reads one prompt, as edits of its sites."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from jaxtyping import Float

from assay.ask.prompts import SLOT
from assay.ask.seen import Prompt
from assay.ask.tables import Direction, Intervention, Plain, Probe, Read
from assay.core.errors import DataError, nearest
from assay.core.heavy import torch
from assay.subjects import edits
from assay.subjects.edits import Edits
from assay.subjects.site import Site

WAYS = ("add", "project_out", "ablate", "patch", "clamp")
ABLATIONS = ("zero", "mean", "resample")
PATCHES = ("corrupted", "other")
T = TypeVar("T", Direction, Intervention, Read, Probe)


def way_of(table: Intervention) -> str:
    """What kind of intervention it is. Raises: DataError where it says none or several."""
    ways = [w for w in WAYS if getattr(table, w) not in (None, "")]
    if len(ways) != 1:
        got = " and ".join(ways) or "none of them"
        raise DataError(f"say one of {', '.join(WAYS)} of {table.name!r}, got {got}")
    way = ways[0]
    for name, known in (("ablate", ABLATIONS), ("patch", PATCHES)):
        if way == name and (value := getattr(table, name)) not in known:
            raise DataError(
                f"{table.name!r}: {name} takes one of its kinds; {nearest(value, known)}"
            )
    return way


def points(table: T) -> list[dict[str, Plain]]:
    """The levels of a table's sweep, every combination; one without any where it sweeps nothing."""
    values = (v for v in table.sweep.values())
    return [dict(zip(table.sweep, c, strict=True)) for c in itertools.product(*values)]


def swept(table: T, point: Mapping[str, Plain]) -> T:
    """Set a table to one point: swept fields have its values, slots are filled by them. Raises:
    DataError for a value that a field cannot have."""
    fields: dict[str, Any] = {}
    for name in table.__struct_fields__:
        value: Any = getattr(table, name)
        if name in point and name not in ("name", "sweep"):
            level = point[name]
            if isinstance(value, tuple):  # a dictionary's latent, or one head or text
                latent = isinstance(value[-1], int) if value else False
                value = (*value[:-1], level) if latent else (str(level),)
            else:
                value = level
        elif isinstance(value, str):
            value = _filled(value, point)
        elif isinstance(value, tuple):
            value = tuple(_filled(v, point) if isinstance(v, str) else v for v in value)
        fields[name] = value
    try:
        return msgspec.convert(fields, type(table))
    except msgspec.ValidationError as e:
        raise DataError(f"{table.name!r} cannot have {dict(point)}: {e}") from None


def _filled(text: str, point: Mapping[str, Plain]) -> str:
    return SLOT.sub(lambda m: str(point[m[1]]) if m[1] in point else m[0], text)


def where(table: Intervention, direction: Direction | None) -> list[tuple[Site, list[int] | None]]:
    """The sites that an intervention changes, with the heads at each. Raises: DataError,
    ModelError."""
    if table.heads and table.site:
        raise DataError(f"{table.name!r}: say a site or heads, not both")
    if table.heads:
        by_layer: dict[int, list[int]] = {}
        for head in table.heads:
            layer, number = head_of(head)
            by_layer.setdefault(layer, []).append(number)
        return [(Site("z", layer), numbers) for layer, numbers in sorted(by_layer.items())]
    sites = (table.site,) if isinstance(table.site, str) else table.site
    if sites == ("",):
        if direction is None or not direction.site:
            raise DataError(
                f'{table.name!r} needs a site, such as site = "blocks.0.hook_resid_pre"'
            )
        sites = (direction.site,)
    return [(Site.parse(site), None) for site in sites]


def head_of(text: str) -> tuple[int, int]:
    """Layer and number of a head such as "9.6". Raises: DataError."""
    layer, dot, number = text.partition(".")
    if not (dot and layer.isdecimal() and number.isdecimal()):
        raise DataError(f'a head is written LAYER.HEAD, such as "9.6"; got {text!r}')
    return int(layer), int(number)


@dataclass(frozen=True, eq=False)
class Source:
    """What another text, or all prompts together, had at the sites: what is put there."""

    acts: Mapping[Site, Float[torch.Tensor, "s ..."]]
    means: Mapping[Site, Float[torch.Tensor, "..."]]


def edits_of(
    table: Intervention,
    prompt: Prompt,
    places: Sequence[tuple[Site, list[int] | None]],
    vector: Float[torch.Tensor, "d"] | None,
    source: Source | None,
) -> Edits:
    """The edits of one prompt."""
    way, positions = way_of(table), prompt.positions(table.position)
    made: Edits = {}
    for site, heads in places:
        if way == "add":
            assert vector is not None
            made |= edits.add(site, table.strength * vector, positions=positions)
        elif way == "project_out":
            assert vector is not None
            made |= edits.project_out(site, vector, positions=positions)
        elif table.ablate == "zero":
            made |= edits.zero(site, positions=positions, heads=heads)
        elif table.ablate == "mean":
            assert source is not None
            mean = source.means[site]
            value = mean if heads is None else mean[heads]
            made |= edits.replace(site, value, positions=positions, heads=heads)
        else:  # resample and patch
            assert source is not None
            other = {site: source.acts[site][None]}
            made |= edits.patch(site, other, positions=positions, heads=heads)
    return made


def in_words(table: Intervention) -> str:
    """Say what is done, in a phrase."""
    way = way_of(table)
    place = ", ".join(table.heads) or (
        table.site if isinstance(table.site, str) else ", ".join(table.site)
    )
    what = {
        "add": f"{table.strength:g} × {table.add} added",
        "project_out": f"{table.project_out} projected out",
        "ablate": f"{table.ablate} ablation",
        "patch": f"patched from {'the pair' if table.patch == 'corrupted' else 'another prompt'}",
        "clamp": f"latent {table.clamp[1] if table.clamp else ''} clamped to {table.value:g}",
    }[way]
    at = "" if table.position == "all" else f", at token {table.position}"
    return f"{what}{f' at {place}' if place else ''}{at}"
