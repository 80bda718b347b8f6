"""Parts that a probe reads instead of a whole site: neurons, latents of a dictionary, or heads; and
their replacements in a control."""

from __future__ import annotations

from typing import Any

import msgspec
from jaxtyping import Float

from assay.ask.measure.heads import check_heads, heads_by_layer
from assay.ask.measure.prompts import SLOT
from assay.ask.near import OTHER_HEADS, OTHER_LATENTS, OTHER_NEURONS, Control
from assay.ask.tables import Probe
from assay.controls import picks
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.subjects.folder import ModelFolder
from assay.subjects.site import Site
from assay.subjects.sizes import read_sizes

FIELDS = {"neurons": OTHER_NEURONS, "latents": OTHER_LATENTS, "heads": OTHER_HEADS}
"""The fields that name parts, each with its control."""
WHOLE: dict[str, Any] = {"heads": (), "neurons": (), "latents": (), "sweep": {}, "intervention": ""}
"""Fields of a probe of a whole site in an unchanged model."""


def named(table: Probe) -> list[str]:
    """The fields of parts that a probe has."""
    return [field for field in FIELDS if getattr(table, field) or field in table.sweep]


def control_of(table: Probe) -> tuple[Control, ...]:
    """The control that reads other parts; none if a whole site is read, or a sweep goes over parts,
    whose best one is also among the others."""
    fields = [f for f in named(table) if f not in table.sweep]
    return tuple(FIELDS[f] for f in fields if not SLOT.search(str(getattr(table, f))))


def placed(table: Probe) -> Probe:
    """A probe at one point of its sweep, with the site of its heads. Raises: DataError."""
    if not table.heads:
        return table
    (layer, _), *others = heads_by_layer(table.heads)
    if others:
        raise DataError(f"{table.name!r} reads heads of one block, got {', '.join(table.heads)}")
    return msgspec.structs.replace(table, site=f"blocks.{layer}.attn.hook_z")


def check(table: Probe) -> None:
    """Refuse parts that do not belong to the input of the probe. Raises: DataError."""
    fields, reads_codes = named(table), bool(table.dictionary) or "dictionary" in table.sweep
    if not fields:
        return
    wrong = ""
    if fields[1:]:
        wrong = f"{' and '.join(fields)} are given; a probe reads one kind of parts"
    elif fields[0] != "heads" and reads_codes != (fields[0] == "latents"):
        wrong = "neurons are of a site, and latents of a dictionary"
    elif fields[0] == "heads" and (table.site or table.test_site or reads_codes):
        wrong = "heads are in place of a site; leave site, test_site and dictionary out"
    elif table.kind in ("sparse", "attention"):
        wrong = f"a {table.kind} probe chooses what it reads; write ridge, logistic or difference"
    if wrong:
        raise DataError(f"{table.name!r}: {wrong}")


def check_width(table: Probe, folder: ModelFolder) -> None:
    """Refuse neurons or heads that a model lacks. Raises: DataError, ModelError."""
    for layer, numbers in heads_by_layer(table.heads):
        check_heads(table.name, layer, numbers, read_sizes(folder.config)["h"])
    if table.neurons:
        _columns(table, folder.width(Site.parse(table.site)))


def read(
    table: Probe,
    x: Float[torch.Tensor, "row d"],
    folder: ModelFolder,
    learned: int,
    seed: int | None,
) -> Float[torch.Tensor, "row part"]:
    """The part of a whole site, or of all codes, that a probe reads; the first rows are those
    learned from. With a seed, other parts that vary between these rows. Raises: DataError if there
    are none."""
    if table.heads:
        count, ((_, heads),) = read_sizes(folder.config)["h"], heads_by_layer(table.heads)
        if seed is not None:
            heads = picks.random_others(heads, range(count), seed)
        return x.unflatten(1, (count, -1))[:, heads].flatten(1)
    if not (table.neurons or table.latents):
        return x
    columns = _columns(table, x.shape[1])
    if seed is not None:
        live = (x[:learned] != x[:1]).any(0).nonzero()[:, 0].tolist()
        columns = picks.random_others(columns, live, seed)
    return x[:, columns]


def _columns(table: Probe, width: int) -> list[int]:
    numbers = [int(n) for n in table.neurons or table.latents]
    if not all(0 <= n < width for n in numbers):
        noun = "neurons" if table.neurons else "latents"
        raise DataError(f"{table.name!r} has {noun} 0 to {width - 1:,} to read, got {numbers}")
    return numbers


def in_words(table: Probe) -> str:
    """The parts that are read, in words; "" for a whole site."""
    phrases = [f"{f} {', '.join(map(str, getattr(table, f)))}" for f in named(table)]
    return f" from {phrases[0]}" if phrases else ""
