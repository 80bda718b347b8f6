"""Hook names: sites by their TransformerLens names, combined with other fields that name blocks;
`blocks.*.hook_mlp_out` is that of every block."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from assay.ask.tables import Intervention, Read
from assay.core.errors import DataError

EVERY = "blocks.*."
T = TypeVar("T", Intervention, Read)


def resolved(table: T, layers: Callable[[], int]) -> T:
    """Write the sites of a table block by block, and drop a site that only repeats the place of its
    heads or neurons. Raises: DataError if the two name different blocks."""
    sites: tuple[str, ...] = (table.site,) if isinstance(table.site, str) else table.site
    if table.site and table.top and table.top.layers:
        others = [f"blocks.{n}." for n in table.top.layers]
        if not all(s.startswith(EVERY) or any(map(s.startswith, others)) for s in sites):
            raise DataError(_two_places(table.name, "layers of top", table.top.layers, sites))
    for field, hook in (("heads", "attn.hook_z"), ("neurons", "mlp.hook_post")):
        parts = [str(x).partition(".")[::2] for x in getattr(table, field)]
        whole = parts and all(number for _, number in parts)
        if whole and sites and all(s.endswith(f".{hook}") for s in sites):
            if {*sites} != {f"blocks.{block}.{hook}" for block, _ in parts}:
                named_parts = getattr(table, field)
                raise DataError(_two_places(table.name, field, named_parts, sites))
            table, sites = msgspec.structs.replace(table, site=""), ()
    more: tuple[str, ...] = getattr(table, "sites", ())
    if not any(s.startswith(EVERY) for s in (*sites, *more)):
        return table
    if isinstance(table, Read):
        if not (table.direct or table.function):
            raise DataError(
                f"{table.name} reads one site, and {table.site} is that of every block; write site "
                f'= "blocks.{{layer}}.{table.site.removeprefix(EVERY)}" and sweep = {{ layer = '
                f'"0:{layers()}" }}'
            )
        every = _each(tuple(filter(None, sites)) + more, layers())
        return msgspec.structs.replace(table, site="", sites=every)
    return msgspec.structs.replace(table, site=_each(sites, layers()))


def _each(sites: tuple[str, ...], layers: int) -> tuple[str, ...]:
    """The sites, with that of every block written out."""
    numbers = [[*range(layers)] if s.startswith(EVERY) else [0] for s in sites]
    pairs = zip(sites, numbers, strict=True)
    return tuple(s.replace(EVERY, f"blocks.{n}.") for s, blocks in pairs for n in blocks)


def _two_places(name: str, field: str, parts: Sequence[object], sites: tuple[str, ...]) -> str:
    return (
        f"{name!r}: {field} = {json.dumps(parts)} and site = {', '.join(sites)} are in different "
        "blocks; leave one of them out"
    )
