"""Controls: what stands in the place of an intervention, a probe or the model itself, to see
whether the sentence is about what it names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assay.ask import directions, interventions
from assay.ask.tables import Direction, Intervention, Probe
from assay.core.errors import DataError, nearest


@dataclass(frozen=True)
class Control:
    """A near control: an arm ARM/NAME with one thing replaced."""

    name: str
    why: str
    """What it would explain, if it did as well."""


RANDOM = Control("random", "any direction as long, among those that activations fill, does it")
FEATURE = Control("random", "another feature that is on in these prompts, as long, does it")
TOKENS = Control("tokens", "that of random tokens, as long, does it")
SHUFFLED = Control("shuffled", "a direction learned from labels that tell nothing does it")
LAYER = Control("layer", "what it has at right angles, learned a third of the model away, does it")
HEADS = Control("heads", "as many other heads of the same blocks that write as much do it")
ELSEWHERE = Control("layer", "the same change a third of the model away does it")
TOKEN = Control("token", "the same change at another token does it")
UNRELATED = Control("unrelated", "what an unrelated prompt has there does it")
DAMAGE = Control("damage", "the same change does as much to any other task of the model")
OTHER_TEXT = Control("other-text", "as many steps on unrelated text do it")


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
    if way == "clamp":
        return (FEATURE, DAMAGE)
    sites = (table.site,) if isinstance(table.site, str) else table.site
    place: tuple[Control, ...] = (ELSEWHERE,) if all(map(_in_a_block, sites)) else ()
    if table.heads:
        place = (HEADS,)
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


def chosen(
    name: str, known: Sequence[Control], wanted: tuple[str, ...] | None
) -> tuple[Control, ...]:
    """Those of the known controls that are wanted; all where nothing is said."""
    if wanted is None:
        return tuple(known)
    by_name = {c.name: c for c in known}
    for other in wanted:
        if other not in by_name:
            hint = nearest(other, by_name) if by_name else "it has none"
            raise DataError(f"{name!r} has no control {other!r}; {hint}")
    return tuple(by_name[other] for other in wanted)


BAG = Control("bag", "the tokens up to there tell as much, in whatever order")
EMBEDDING = Control("embedding", "the embeddings of its tokens tell as much")
PLACES = Control("places", "the embeddings of its tokens, each at its place, tell as much")
UNTRAINED = Control("untrained", "a model that learned nothing tells as much")
PERMUTED = Control("permuted", "a probe that learns labels dealt out at random is right as often")


def of_probe(table: Probe, *, trained: bool = True) -> tuple[Control, ...]:
    """The near controls of a probe: all, or those that it names. Raises: DataError for a name that
    is none of them, as `untrained` of a model that is not trained."""
    known = (BAG, EMBEDDING, PLACES, *((UNTRAINED,) if trained else ()), PERMUTED)
    return chosen(table.name, known, table.controls)
