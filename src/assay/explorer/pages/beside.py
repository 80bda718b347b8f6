"""Beside: one text in two dictionaries, of one model or of two: what each model expects next, and
which features matter to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.datastructures import QueryParams

from assay.explorer import query_args
from assay.explorer.library import Library
from assay.explorer.pages import prompt
from assay.explorer.render import Moved, Shown

SIDES = (("model", "first"), ("other", "second"))


def page(library: Library, path_params: Mapping[str, str], query: QueryParams) -> Shown | Moved:
    """Show what both make of a text. Raises: Problem for one that cannot be read."""
    bases = ["/".join(path_params[part] for part in side) for side in SIDES]
    text = prompt.checked(query.get("text", ""))
    path = query_args.link(f"/beside/{'/'.join(bases)}", [("text", text)])
    if "sent" in query:
        return Moved(path)
    indexes = [library.index(*base.split("/")) for base in bases]
    loaded = [library.live.loaded(index) for index in indexes] if text else []
    waits = [index.about for index, reader in zip(indexes, loaded, strict=False) if reader is None]
    sides: list[dict[str, Any]] = []
    for base, index in zip(bases, indexes, strict=True):
        sides.append({"dictionary": base, "about": index.about})
    if loaded and not waits:
        for side, index, reader in zip(sides, indexes, loaded, strict=True):
            query_of_side = prompt.question(QueryParams({"text": text}), side["dictionary"], index)
            if reader is not None:
                side |= {"link": query_of_side.link()} | prompt.answers(
                    index, reader, query_of_side
                )
    return Shown(
        "beside.html",
        {"text": text, "state": "loading" if waits else "read" if loaded else "empty"}
        | {"sides": sides},
        {"here": path, "waits": waits, "examples": prompt.EXAMPLES},
    )
