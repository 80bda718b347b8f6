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


RANDOM = Control("random", "any direction as long does it")
SHUFFLED = Control("shuffled", "a direction learned from labels that tell nothing does it")
LAYER = Control("layer", "the same direction learned a third of the model away does it")
HEADS = Control("heads", "as many random heads of the same layers do it")
ELSEWHERE = Control("layer", "the same change a third of the model away does it")
UNRELATED = Control("unrelated", "what an unrelated prompt has there does it")


def of_intervention(table: Intervention, tables: Sequence[Direction]) -> tuple[Control, ...]:
    """The near controls of an intervention: all that its kind has, or those that it names. Raises:
    DataError for a name that is none of them."""
    way = interventions.way_of(table)
    if way in ("add", "project_out"):
        direction = directions.find(tables, table.add or table.project_out)
        how = directions.way_of(direction)
        known = (RANDOM, *((SHUFFLED,) if how in ("difference", "probe") else ()))
        known += (LAYER,) if how in directions.LEARNED else ()
    elif way == "clamp":
        known = (RANDOM,)
    elif way == "patch":
        known = (UNRELATED, ELSEWHERE) if table.patch == "corrupted" else (ELSEWHERE,)
    else:
        known = (HEADS,) if table.heads else (ELSEWHERE,)
    return chosen(table.name, known, table.controls)


def chosen(
    name: str, known: Sequence[Control], wanted: tuple[str, ...] | None
) -> tuple[Control, ...]:
    """Those of the known controls that are wanted; all where nothing is said."""
    if wanted is None:
        return tuple(known)
    by_name = {c.name: c for c in known}
    for other in wanted:
        if other not in by_name:
            raise DataError(f"{name!r} has no control {other!r}; {nearest(other, by_name)}")
    return tuple(by_name[other] for other in wanted)


BAG = Control("bag", "the tokens up to there tell as much, in whatever order")
EMBEDDING = Control("embedding", "the embeddings of its tokens tell as much")
UNTRAINED = Control("untrained", "a model that learned nothing tells as much")
PERMUTED = Control("permuted", "a probe that learns labels dealt out at random is right as often")


def of_probe(table: Probe, *, trained: bool = True) -> tuple[Control, ...]:
    """The near controls of a probe: all, or those that it names. Raises: DataError for a name that
    is none of them, as `untrained` of a model that is not trained."""
    known = (BAG, EMBEDDING, *((UNTRAINED,) if trained else ()), PERMUTED)
    return chosen(table.name, known, table.controls)
