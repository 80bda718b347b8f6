"""Which near controls of the table (`assay.controls.table`) an intervention and a probe of a study
have."""

from __future__ import annotations

from collections.abc import Sequence

from assay.ask.measure import directions, interventions
from assay.ask.tables import Direction, Intervention, Probe
from assay.controls.table import (
    BAG,
    BLOCKED_HEADS,
    BLOCKED_LAYERS,
    BLOCKED_TOKENS,
    DAMAGE,
    ELSEWHERE,
    EMBEDDING,
    FEATURE,
    HEADS,
    LATENTS,
    LAYER,
    NEURONS,
    PERMUTED,
    PLACES,
    RANDOM,
    SHUFFLED,
    TOKEN,
    TOKENS,
    UNRELATED,
    UNTRAINED,
    Control,
    chosen,
)


def of_intervention(table: Intervention, tables: Sequence[Direction]) -> tuple[Control, ...]:
    """The near controls of an intervention: all that its kind has, or those that it names; of one
    that sweeps its kind those that every point has. Raises: DataError for a name that is none of
    them."""
    by_point = [
        _of_point(interventions.swept(table, point), tables)
        for point in interventions.points(table)
    ]
    known = [c for c in by_point[0] if all(c in other for other in by_point)]
    return chosen(table.name, known, table.controls)


def _of_point(table: Intervention, tables: Sequence[Direction]) -> tuple[Control, ...]:
    way = interventions.way_of(table)
    if direction := interventions.direction_of(table, tables):
        how = directions.way_of(direction)
        taken: tuple[Control, ...] = (DAMAGE,) if table.project_out else ()
        if how == "feature":
            return (FEATURE, *taken)
        if how not in directions.LEARNED:
            return (RANDOM, TOKENS, *taken)
        known: tuple[Control, ...] = (RANDOM,)
        known += (SHUFFLED,) if how in ("difference", "probe") else ()
        return (*known, *((LAYER,) if _in_a_block(direction.site) else ()), *taken)
    if way == "block":
        assert table.block is not None
        if table.block.heads:
            return (BLOCKED_TOKENS, BLOCKED_HEADS)
        return (BLOCKED_TOKENS, BLOCKED_LAYERS) if table.block.layers else (BLOCKED_TOKENS,)
    if way == "clamp":
        several = table.top is not None or not isinstance(table.clamp and table.clamp[1], int)
        return (LATENTS if several else FEATURE, DAMAGE)
    sites = (table.site,) if isinstance(table.site, str) else table.site
    place: tuple[Control, ...] = (ELSEWHERE,) if all(map(_in_a_block, sites)) else ()
    if table.heads or (table.top and table.top.of == "heads"):
        place = (HEADS,)
    elif table.neurons or table.top:
        place = (NEURONS,)
    elif table.position != "all" and all(map(_is_stream, sites)):
        place = (TOKEN,)
    return (UNRELATED, *place) if table.patch == "corrupted" else (*place, DAMAGE)


def _is_stream(site: str) -> bool:
    """Whether a site is the residual stream itself, which hands on what it has to the next block,
    so that the same site of another block is no other place."""
    return ".hook_resid_" in site or site == "hook_embed"


def _in_a_block(site: str) -> bool:
    """Whether there may be the same site in another block."""
    return site.startswith("blocks.")


def of_probe(table: Probe, *, trained: bool = True) -> tuple[Control, ...]:
    """The near controls of a probe: all, or those that it names. Raises: DataError for a name that
    is none of them, as `untrained` of a model that is not trained."""
    known = (BAG, EMBEDDING, PLACES, *((UNTRAINED,) if trained else ()), PERMUTED)
    return chosen(table.name, known, table.controls)
