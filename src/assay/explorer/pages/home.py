"""The first page: the dictionaries, experiments and verdicts of a store, and what to type where there is none."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import QueryParams

from assay.explorer.library import Library
from assay.explorer.render import Shown


def page(library: Library, at: Mapping[str, str], query: QueryParams) -> Shown:
    """Show what there is; nothing is opened for it but each index's about.json."""
    entries, broken = library.look()
    dictionaries = [{"address": e.address, "name": e.about.name} for e in entries]
    return Shown("home.html", {"dictionaries": dictionaries, "broken": broken})
