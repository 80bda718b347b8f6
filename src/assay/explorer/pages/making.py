"""Being indexed: what a page shows in the place of an index that is not there yet, and the lines
above one that more is added to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from starlette.datastructures import QueryParams

from assay.explorer.library import Library, Making
from assay.explorer.render import Shown


def page(library: Library, path_params: Mapping[str, str], query: QueryParams) -> Shown:
    """Give the lines that say how far the index is, alone; they ask for themselves again."""
    return Shown("making.html", describe_making(library.making), {"making": library.making})


def waiting(making: Making) -> Shown:
    """Show, where an index is asked for that is not there yet, how far it is."""
    return Shown("unmade.html", describe_making(making), {"making": making})


def describe_making(making: Making | None) -> dict[str, Any]:
    """Tell the JSON of an index that is being made; of none, that there is none."""
    return (
        {"address": None}
        if making is None
        else {"address": making.address, "name": making.name, "there": making.there}
        | asdict(making.progress)
    )
