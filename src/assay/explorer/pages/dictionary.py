"""A dictionary: what it is, how it stands beside others, how its features are, and the table of them."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import QueryParams

from assay.explorer.library import Library
from assay.explorer.render import Raw, Shown


def page(library: Library, at: Mapping[str, str], query: QueryParams) -> Shown:
    """Show one dictionary."""
    index = library.index(at["model"], at["dictionary"])
    return Shown("dictionary.html", {"address": f"{at['model']}/{at['dictionary']}", "about": index.about})


def points(library: Library, at: Mapping[str, str], query: QueryParams) -> Raw:
    """Give the scatter's points."""
    return Raw("[]", "application/json")
