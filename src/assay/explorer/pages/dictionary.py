"""A dictionary: what it is, how it compares with others, a summary of its features, and the table
of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from markupsafe import Markup
from starlette.datastructures import QueryParams

from assay.explorer import commands, figures, query_args, shading
from assay.explorer.library import Library
from assay.explorer.pages.feature import uncovered
from assay.explorer.pages.home import differences, entry_to_row
from assay.explorer.render import Moved, Shown
from assay.features.index import names, searching
from assay.features.index.reader import Index
from assay.features.index.schema import SORTED, Condition

ROWS = 50
"""Features on a page of the table."""
PER_DECADE = 4
"""Bins of the histogram of densities."""
CLASSES = {
    "dead": "on at no token of this text; a longer text may find it on",
    "ultra-rare": "on at fewer than one token in 100,000",
    "rare": "on at fewer than one token in 1,000",
    "ordinary": "on at up to one token in 10",
    "dense": (
        "on at more than one token in 10: not a defect by itself, some directions matter everywhere"
    ),
}
STATE = ("sort", "way")


def page(library: Library, path_params: Mapping[str, str], query: QueryParams) -> Shown | Moved:
    """Show one dictionary; what its table shows is in the query string."""
    entry = library.entry(path_params["model"], path_params["dictionary"])
    index = library.index(path_params["model"], path_params["dictionary"])
    path = f"/{entry.address}"
    view = _View(index, query)
    if "column" in query:
        return Moved(query_args.link(path, view.state()))
    table = index.features(
        where=view.where,
        order=view.sort,
        descending=view.way == "desc",
        offset=view.skip,
        limit=ROWS,
    )
    view.page = min(view.page, 1 + max(0, table.total - 1) // ROWS)
    summary = {**index.summary, **names.legible(index)}
    start = dict(index.start)
    values = {
        "address": entry.address,
        "about": index.about,
        "this": entry_to_row(entry),
        "beside": [entry_to_row(e) for e in library.same_site(entry)],
        "rise_tokens": (index.about.compared or {}).get("tokens"),
        "summary": summary,
        "start": [{**row, "twins": start[k]} for k, row in index.glance(list(start)).items()],
        "view": {name: getattr(view, name) for name in STATE}
        | {"where": [query_args.format_condition(c) for c in view.where]},
        "features": {
            "total": table.total,
            "hidden": index.about.d_sae - table.total,
            "first": view.skip,
            "rows": _rows(index, table.rows),
        },
    }
    if index.about.model:
        library.live.begin(index)  # a prompt is what most readers type next
    return Shown(
        "dictionary.html",
        values,
        {
            "others": [(e.address, differences(e, entry)) for e in library.same_text(entry)],
            "command": commands.writer(index),
            "folder": index.folder,
            "one_by_one": len(index.ablated),
            "classes": CLASSES,
            "fewest": names.FEWEST,
            "legible": names.LEGIBLE,
            **_counts(index),
            **_drawn(index),
            "asked": bool(query),
            "columns": view.columns(),
            "known": SORTED,
            "rows_each": ROWS,
            "links": _Links(path, view),
            "densities": _densities(index),
            "making": library.making
            if library.making is not None and library.making.address == entry.address
            else None,
        },
    )


def _rows(index: Index, features: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the table, each with the feature's name, where it fires most strongly and what it
    promotes."""
    numbers = [row["feature"] for row in features]
    name_of, promoted = index.names(numbers), index.promoted(numbers)
    strongest = searching.strongest_places(index, numbers)
    return [
        {**row, "name": name_of[k], "strongest": strongest.get(k), "promotes": promoted[k]}
        for k, row in zip(numbers, features, strict=True)
    ]


def _counts(index: Index) -> dict[str, Any]:
    """Count, among the features to start with, those without a good name, and those with one that
    help by ablation or are shown as they were ablated; and of all that were ablated those with
    one, and whether any feature has one."""
    low, is_named = index.glances["importance_low"], names.good(index)
    reliable = index.about.reliable
    shown = [k for k, _ in index.start if is_named[k]]
    return {
        "any_good": bool(is_named.any()),
        "unnamed": len(index.start) - len(shown),
        "helping": int((low[shown] > 0).sum()),
        "measured": int(((low[shown] > 0) | (np.isfinite(low[shown]) & (not reliable))).sum()),
        "named_ablated": int((is_named & np.isfinite(index.glances["importance"])).sum()),
    }


@lru_cache(8)
def _drawn(index: Index) -> dict[str, Any]:
    """The strongest context of each feature to start with, shaded, and the token there that its
    name does not cover."""
    numbers = [k for k, _ in index.start]
    lines, also = dict.fromkeys(numbers, Markup("")), {}
    for k, name in index.names(numbers).items():
        feature = index.feature(k)
        strongest = next((c for c in feature.contexts if c.kind == "top"), None)
        if strongest is not None:
            maximum, doubted = float(index.maxima[k]), not index.about.reliable
            lines[k] = shading.line(strongest, maximum, doubted).tokens
            if (more := uncovered(feature, name, strongest)) is not None:
                also[k] = more
    return {"lines": lines, "also": also}


def _densities(index: Index) -> tuple[Markup, float, float]:
    """Draw how many features have which density, with equal bins of its logarithm, and give the
    ends of the axis."""
    density = index.glances["density"]
    if not len(index.alive):
        return Markup(""), 0.0, 0.0
    bins = np.floor(PER_DECADE * np.log10(density[index.alive]) + 1e-9).astype(int)
    first, last = int(bins.min()), int(bins.max()) + 1
    edges = [10 ** (i / PER_DECADE) for i in range(first, last + 1)]
    counts = np.bincount(bins - first, minlength=last - first).tolist()
    return figures.histogram(counts, edges, "densities", "feature"), edges[0], edges[-1]


class _View:
    """What of the features is asked for: conditions, order and page."""

    def __init__(self, index: Index, query: QueryParams):
        about = index.about
        names = list(SORTED)
        self.index, self.where = index, query_args.conditions(query)
        self.first_order = about.reliable  # of all features before of some
        measured = "importance" if index.summary["ablated"] else "density"
        worth = "gradient_total" if self.first_order else measured
        self.sort = query_args.choice(query, "sort", names, worth)
        self.way = query_args.choice(query, "way", ("desc", "asc"), "desc")
        self.page = query_args.number(query, "page", 1, 1, 1 + about.d_sae // ROWS)

    @property
    def skip(self) -> int:
        """Rows before this page of the table."""
        return (self.page - 1) * ROWS

    def state(self, **changes: Any) -> list[tuple[str, Any]]:
        """Give the query string of this view with some of it changed, without what goes without
        saying."""
        usual = _View(self.index, QueryParams())
        fields = {name: getattr(self, name) for name in STATE} | {"page": self.page} | changes
        where = fields.pop("where", self.where)
        return [("where", query_args.format_condition(c)) for c in where] + [
            (k, None if v == getattr(usual, k, None) else v) for k, v in fields.items()
        ]

    def columns(self) -> list[str]:
        """Name the columns of the table: those that this index has, and whatever it is sorted or
        filtered by."""
        about = self.index.about
        first_order = ["gradient_total", "gradient_active"] if self.first_order else []
        taken_out = ["importance"] if self.index.summary["ablated"] else []
        seeds = ["seeds"] if about.seeds else []
        ends = (f"{name}_{end}" for name in ("importance", "gradient") for end in ("low", "high"))
        elsewhere = {"feature", "token", "ablated_firings", *ends}
        asked = [self.sort, *(c.column for c in self.where)]
        more = [name for name in asked if name not in elsewhere]
        usual = ["density", "maximum", *first_order, *taken_out, *seeds]
        return list(dict.fromkeys([*usual, *more]))


class _Links:
    """Addresses of this page with one thing changed."""

    def __init__(self, path: str, view: _View):
        self.path, self.view = path, view

    def sort(self, column: str) -> str:
        """Sort by a column; by the one that it is sorted by, the other way round."""
        way = "asc" if self.view.sort == column and self.view.way == "desc" else "desc"
        return self._opened(self.view.state(sort=column, way=way, page=None))

    def without(self, bound: Condition) -> str:
        others = [c for c in self.view.where if c != bound]
        return self._opened(self.view.state(where=others, page=None))

    def only(self, column: str, compare: str, value: str, sort: str | None = None) -> str:
        """Show the features that one condition leaves."""
        where = [query_args.condition(column, compare, value)]
        changes = {"where": where, "page": None} | ({"sort": sort} if sort else {})
        return query_args.link(self.path, self.view.state(**changes)) + "#features"

    def page(self, number: int) -> str:
        return self._opened(self.view.state(page=number))

    def all(self) -> str:
        return self._opened(self.view.state(where=[], page=None))

    def _opened(self, state: list[tuple[str, Any]]) -> str:
        """Keep the features in view where nothing is asked of them."""
        asked = any(value is not None for _, value in state)
        return query_args.link(self.path, state if asked else [("all", 1)])
