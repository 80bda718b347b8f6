"""Compare: two dictionaries of one site; which features have a counterpart in the other, and what
only one of them has."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from starlette.datastructures import QueryParams

from assay.explorer import figures, query_args
from assay.explorer.library import Library
from assay.explorer.problems import UNFIT, Problem
from assay.explorer.query_args import link
from assay.explorer.render import Shown
from assay.features.index import matching
from assay.features.index.about import Damaged
from assay.features.index.matching import Match
from assay.features.index.reader import Index
from assay.features.index.schema import MATCHED

ONLY = 0.5
"""A feature whose best cosine lies below is said to be in one dictionary only."""
ROWS, BINS = 25, 40
LISTS = {"pairs": "nearest pairs", "first": "only in the first", "second": "only in the second"}
SORTS = ("cosine", "density", "importance")
Columns = Mapping[str, np.ndarray]


def page(library: Library, path_params: Mapping[str, str], query: QueryParams) -> Shown:
    """Show two dictionaries beside each other. Raises: Problem where they are not of one site, or
    too many to compare."""
    model, other = path_params["model"], path_params.get("other", path_params["model"])
    addresses = (model, path_params["first"]), (other, path_params["second"])
    entries = [library.entry(*address) for address in addresses]
    first, second = (library.index(*address) for address in addresses)
    sides = [(index.about.d_in, index.about.site_out) for index in (first, second)]
    if sides[0] != sides[1]:
        raise Problem(
            UNFIT,
            (
                f"{first.about.name} writes to {first.about.site_out}, {second.about.name} to "
                f"{second.about.site_out}: not one site of one width"
            ),
        )
    match = _match(first.folder, entries[0].made, second.folder, entries[1].made)
    for index, nearest in ((first, match.there), (second, match.back)):
        if len(nearest) != index.about.d_sae:
            raise Damaged(
                index.folder,
                matching.FILE,
                f"it has {len(nearest):,} rows for {index.about.d_sae:,} features",
            )
    chosen = query_args.choice(query, "list", list(LISTS), "pairs")
    sort = query_args.choice(query, "sort", SORTS, "cosine" if chosen == "pairs" else "density")
    offset = query_args.number(query, "offset", 0, 0, 10**9)
    names = ("firings", "density", "importance")
    columns = first.columns(names), second.columns(names)
    values: dict[str, Any] = {
        "path": f"compare/{model}/{path_params['first']}/"
        f"{f'{other}/' if other != model else ''}{path_params['second']}",
        "models": first.about.model_sha256 != second.about.model_sha256,
        "first": _side(first, "/".join(addresses[0]), match.cosine, columns[0]),
        "second": _side(second, "/".join(addresses[1]), match.back_cosine, columns[1]),
        "mutual": int(match.mutual.sum()),
        "chance": match.chance,
        "matched": MATCHED,
        "only": ONLY,
        "list": chosen,
        "sort": sort,
        "offset": offset,
        **_rows(first, second, match, columns, chosen, sort, offset),
    }
    state = [("list", chosen), ("sort", sort)]
    base, after, before = f"/{values['path']}", offset + ROWS, max(0, offset - ROWS)
    edges = [-1 + 2 * i / BINS for i in range(BINS + 1)]
    drawings = {
        "lists": {name: (words, link(base, [("list", name)])) for name, words in LISTS.items()},
        "sorts": {name: link(base, [("list", chosen), ("sort", name)]) for name in SORTS},
        "later": link(base, [*state, ("offset", after)]) if after < values["total"] else None,
        "earlier": link(base, [*state, ("offset", before or None)]) if offset else None,
        "figures": [
            figures.histogram(
                np.histogram(cosines, edges)[0].tolist(),
                edges,
                "best cosine of each feature",
                "features",
            )
            for cosines in (match.cosine, match.back_cosine)
        ],
    }
    return Shown("compare.html", values, drawings)


@lru_cache(8)
def _match(first: Path, first_made: float, second: Path, second_made: float) -> Match:
    """Both times are there so that an index made anew is compared anew."""
    return matching.match(matching.rows(first), matching.rows(second))


def _side(
    index: Index, base: str, cosine: Float[np.ndarray, " f"], columns: Columns
) -> dict[str, Any]:
    """What is said of one of the two: how many of its features, and of its firings, have a
    counterpart."""
    firings = columns["firings"]
    total = firings.sum()
    return {
        "dictionary": base,
        "about": index.about,
        "features": len(cosine),
        "alive": int((firings > 0).sum()),
        "found": int((cosine >= MATCHED).sum()),
        "share": float((cosine >= MATCHED).mean()),
        "median": float(np.median(cosine)),
        "alone": int((cosine < ONLY).sum()),
        "weighted": float(firings[cosine >= MATCHED].sum() / total) if total else None,
    }


def _rows(
    first: Index,
    second: Index,
    match: Match,
    columns: tuple[Columns, Columns],
    chosen: str,
    sort: str,
    offset: int,
) -> dict[str, Any]:
    """One page of the chosen list: features, each with the nearest of the other dictionary."""
    if chosen == "second":
        index, other, near, cosine, table = second, first, match.back, match.back_cosine, columns[1]
    else:
        index, other, near, cosine, table = first, second, match.there, match.cosine, columns[0]
    listed = np.flatnonzero(match.mutual if chosen == "pairs" else cosine < ONLY)
    order = _order(cosine if sort == "cosine" else table[sort], listed)
    features = listed[order][offset : offset + ROWS].tolist()
    glances, right = index.glance(features), other.glance([int(near[i]) for i in features])
    rows = [
        {"cosine": float(cosine[i]), "own": glances[i], "other": right[int(near[i])]}
        for i in features
    ]
    return {"rows": rows, "total": len(listed), "hidden": len(listed) - len(rows)}


def _order(by: Float[np.ndarray, " f"], listed: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """From the largest down, what is not known last, ties by feature."""
    value = by[listed].astype(np.float64)
    return np.lexsort((listed, -np.nan_to_num(value, nan=-np.inf)))
