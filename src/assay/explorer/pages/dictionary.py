"""A dictionary: what it is, how it stands beside others, how its features are, and the table of
them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from starlette.datastructures import QueryParams

from assay.dictionaries.measuring.rarity import BOUNDS
from assay.explorer import charts, commands, query_args
from assay.explorer.library import Entry, Library
from assay.explorer.pages import lists
from assay.explorer.pages.home import entry_to_row
from assay.explorer.problems import UNKNOWN, Problem
from assay.explorer.render import Moved, Raw, Shown
from assay.features.index import charting, names
from assay.features.index.reader import Index
from assay.features.index.values import NUMERIC, SORTED, Condition

ROWS = 50
"""Features on a page of the table."""
POINTS, BINS = 100_000, 128
"""So many points are sent as they are; above that, counts on a grid of so many cells each way."""
CLASSES = {
    "dead": "on at no token of this text; a longer text may find it on",
    "ultra-rare": "on at fewer than one token in 100,000",
    "rare": "on at fewer than one token in 1,000",
    "ordinary": "on at up to one token in 10",
    "dense": (
        "on at more than one token in 10: not a defect by itself, some directions matter everywhere"
    ),
}
LOGARITHMIC = frozenset(
    {"firings", "density", "documents", "maximum", "mean", "decoder_norm", "ablated_firings"}
)
"""Columns whose axis is logarithmic unless asked otherwise: above 0, and spread over decades."""
STATE = ("sort", "way", "x", "y", "xscale", "yscale")


def page(library: Library, path_params: Mapping[str, str], query: QueryParams) -> Shown | Moved:
    """Show one dictionary; what its table and its scatter show is in the query string."""
    entry = library.entry(path_params["model"], path_params["dictionary"])
    index = library.index(path_params["model"], path_params["dictionary"])
    path = f"/{entry.address}"
    view = _View(index, query)
    if "column" in query:
        return Moved(query_args.link(path, view.state()))
    view.page = min(view.page, 1 + max(0, index.count(view.where) - 1) // ROWS)
    table = index.features(
        where=view.where,
        order=view.sort,
        descending=view.way == "desc",
        offset=view.skip,
        limit=ROWS,
    )
    summary = {**index.summary, **names.legible(index), **names.namesakes(index)}
    siblings = [entry_to_row(e) for e in library.beside(entry)]
    numbers = [row["feature"] for row in table.rows]
    name_of, promoted = index.names(numbers), index.promoted(numbers)
    rows = [
        {**row, "name": name_of[row["feature"]], "promotes": promoted[row["feature"]]}
        for row in table.rows
    ]
    start = dict(index.start)
    values = {
        "address": entry.address,
        "about": index.about,
        "this": entry_to_row(entry),
        "beside": siblings,
        "rise_tokens": (index.about.compared or {}).get("tokens"),
        "summary": summary,
        "start": lists.cards(index, list(start), start),
        "view": {name: getattr(view, name) for name in STATE}
        | {"where": [query_args.format_condition(c) for c in view.where]},
        "features": {
            "total": table.total,
            "hidden": index.about.d_sae - table.total,
            "first": view.skip,
            "rows": rows,
        },
    }
    columns = view.columns()
    return Shown(
        "dictionary.html",
        values,
        {
            "command": commands.writer(index),
            "folder": index.folder,
            "classes": CLASSES,
            "fewest": names.FEWEST,
            "legible": names.LEGIBLE,
            **_drawn(index),
            "columns": columns,
            "known": SORTED,
            "numeric": sorted(NUMERIC),
            "rows_each": ROWS,
            "links": _Links(path, view),
            "plots": _plots(entry, library.beside(entry)),
            "densities": charts.log_bars(
                charting.spread(index, "density"), 4, list(BOUNDS.values()), "density, logarithmic"
            ),
            "bounds": view.bounds(),
            "others": [query_args.format_condition(c) for c in view.others()],
            "making": library.making
            if library.making is not None and library.making.address == entry.address
            else None,
        },
    )


def typed(library: Library, path_params: Mapping[str, str], query: QueryParams) -> Moved:
    """Go to the dictionary whose name was typed with its slash, such as gated-sae/showcase. Raises:
    Problem."""
    model, name = path_params["model"], f"{path_params['first']}/{path_params['second']}"
    for entry in sorted(library.look()[0], key=lambda entry: -entry.made):
        if entry.address.startswith(f"{model}/") and name in (entry.about.source, entry.about.name):
            return Moved(f"/{entry.address}")
    raise Problem(UNKNOWN, "there is no page at this address")


@lru_cache(8)
def _drawn(index: Index) -> dict[str, Any]:
    return lists.drawn(index, [k for k, _ in index.start])


class _View:
    """What of the features is asked for: conditions, order, page, and the axes of the scatter."""

    def __init__(self, index: Index, query: QueryParams):
        about = index.about
        names = list(SORTED)
        self.index, self.where = index, query_args.conditions(query)
        self.worth = (
            "gradient_active" if about.gradients else "importance" if about.ablated else "density"
        )  # of all features before of some
        self.sort = query_args.choice(
            query, "sort", names, "gradient_total" if about.gradients else self.worth
        )
        self.way = query_args.choice(query, "way", ("desc", "asc"), "desc")
        self.page = query_args.number(query, "page", 1, 1, 1 + about.d_sae // ROWS)
        self.x = query_args.choice(query, "x", sorted(NUMERIC), "density")
        self.y = query_args.choice(
            query, "y", sorted(NUMERIC), self.worth if self.worth != "density" else "maximum"
        )
        self.xscale, self.yscale = (
            query_args.choice(
                query, name, ("log", "linear"), "log" if axis in LOGARITHMIC else "linear"
            )
            for name, axis in (("xscale", self.x), ("yscale", self.y))
        )

    @property
    def skip(self) -> int:
        """Rows before this page of the table."""
        return (self.page - 1) * ROWS

    def state(self, **changes: Any) -> list[tuple[str, Any]]:
        """Give the query string of this view with some of it changed, without what goes without
        saying."""
        usual = _View(self.index, QueryParams())
        fields = {name: getattr(self, name) for name in STATE} | {"page": self.page} | changes
        fields["xscale"] = (
            None
            if fields["xscale"] == ("log" if fields["x"] in LOGARITHMIC else "linear")
            else fields["xscale"]
        )
        fields["yscale"] = (
            None
            if fields["yscale"] == ("log" if fields["y"] in LOGARITHMIC else "linear")
            else fields["yscale"]
        )
        where = fields.pop("where", self.where)
        return [("where", query_args.format_condition(c)) for c in where] + [
            (k, None if v == getattr(usual, k, None) else v) for k, v in fields.items()
        ]

    def columns(self) -> list[str]:
        """Name the columns of the table: those that this index has, and whatever it is sorted or
        filtered by."""
        about = self.index.about
        first_order = ["gradient_total", "gradient_active"] if about.gradients else []
        taken_out = ["importance"] if about.ablated else []
        columns = [
            "density",
            "maximum",
            *first_order,
            *taken_out,
            *(["seeds"] if about.seeds else []),
        ]
        for name in (self.sort, *(c.column for c in self.where)):
            if name not in (
                *columns,
                "feature",
                "token",
                "importance_low",
                "importance_high",
                "gradient_low",
                "gradient_high",
            ):
                columns.append(name)
        return columns

    def bounds(self) -> dict[str, Any]:
        """Tell the brushed box: the bounds on the columns of the axes."""
        box: dict[str, Any] = {}
        for axis, column in (("x", self.x), ("y", self.y)):
            for end, compare in (("from", ">="), ("to", "<=")):
                values = [
                    c.value for c in self.where if c.column == column and c.compare == compare
                ]
                box[f"{axis}_{end}"] = values[-1] if values else None
        return box

    def others(self) -> list[Condition]:
        """List the conditions that are not part of the box, and so choose the points of the
        scatter."""
        return [c for c in self.where if c.column not in (self.x, self.y) or c.compare == "="]


class _Links:
    """Addresses of this page with one thing changed."""

    def __init__(self, path: str, view: _View):
        self.path, self.view = path, view

    def sort(self, column: str) -> str:
        """Sort by a column; by the one that it is sorted by, the other way round."""
        way = "asc" if self.view.sort == column and self.view.way == "desc" else "desc"
        return query_args.link(self.path, self.view.state(sort=column, way=way, page=None))

    def without(self, bound: Condition) -> str:
        """Drop a condition."""
        return query_args.link(
            self.path, self.view.state(where=[c for c in self.view.where if c != bound], page=None)
        )

    def only(self, column: str, compare: str, value: str) -> str:
        """Show the features that one condition leaves."""
        return (
            query_args.link(
                self.path,
                self.view.state(where=[query_args.condition(column, compare, value)], page=None),
            )
            + "#features"
        )

    def page(self, number: int) -> str:
        """Turn to a page of the table."""
        return query_args.link(self.path, self.view.state(page=number))

    def all(self) -> str:
        """Drop every condition."""
        return query_args.link(self.path, self.view.state(where=[], page=None))

    def points(self) -> str:
        """Give the address of the scatter's points."""
        v = self.view
        where = [("where", query_args.format_condition(c)) for c in v.others()]
        return query_args.link(
            f"{self.path}/points",
            [*where, ("x", v.x), ("y", v.y), ("xscale", v.xscale), ("yscale", v.yscale)],
        )


def _plots(entry: Entry, siblings: Sequence[Entry]) -> list[Any]:
    """Draw error against sparsity, for this dictionary and the others of its model and site, as far
    as it was measured."""
    rows = [(entry_to_row(e), e.key == entry.key) for e in (*siblings, entry)]
    plots = []
    for name, words in (("fvu", "FVU"), ("loss_rise", "rise of the loss, nats")):
        points = [
            charts.Point(r["name"], f"/{r['address']}", r["l0"], r[name], is_current)
            for r, is_current in rows
            if r[name] is not None
        ]
        if len(points) > 1 and any(p.here for p in points):  # one dot says nothing
            plots.append(charts.pareto(points, "L0, features on per token", words))
    return plots


def points(library: Library, path_params: Mapping[str, str], query: QueryParams) -> Raw:
    """Give the scatter's points: as they are, or counted on a grid where they are many.

    Bytes, little-endian: uint32 kind (0 points, 1 cells), how many follow, features that have a
    place, features that have none. Points: int32 feature, float32 x, float32 y of all. Cells:
    float64 x and y of the grid's first and last corner, on a logarithmic axis their logarithms;
    then int32 feature, float32 column, float32 row, int32 count of all; the feature is one of the
    cell's."""
    index = library.index(path_params["model"], path_params["dictionary"])
    view = _View(index, query)
    asked_for = index.count(view.where)
    return (_points if index.about.d_sae <= POINTS else _cells)(index, view, asked_for)


def _points(index: Index, view: _View, asked_for: int) -> Raw:
    feature, x, y = charting.points(index, view.x, view.y, view.where)
    placed = np.isfinite(x) & np.isfinite(y)
    for values, scale in ((x, view.xscale), (y, view.yscale)):
        placed &= (values > 0) | (scale == "linear")
    feature, x, y = feature[placed], x[placed], y[placed]
    head = struct.pack("<4I", 0, len(feature), len(feature), asked_for - len(feature))
    payload = {
        "feature": feature,
        "x": x,
        "y": y,
        "placed": len(feature),
        "unplaced": asked_for - len(feature),
    }
    return _bytes(head, [feature.astype("<i4"), x.astype("<f4"), y.astype("<f4")], payload)


def _cells(index: Index, view: _View, asked_for: int) -> Raw:
    cells = charting.binned(
        index, view.x, view.y, BINS, view.xscale == "log", view.yscale == "log", view.where
    )
    i, j, count, feature = (
        np.array([cell[name] or 0 for cell in cells], np.int64)
        for name in ("i", "j", "count", "feature")
    )
    corners = np.array(
        [cells[0][name] for name in ("a0", "b0", "a1", "b1")] if cells else [0, 0, 1, 1], np.float64
    )
    placed = int(count.sum())
    head = (
        struct.pack("<4I", 1, len(cells), placed, asked_for - placed)
        + corners.astype("<f8").tobytes()
    )
    payload = {
        "bins": BINS,
        "corners": corners,
        "column": i,
        "row": j,
        "count": count,
        "feature": feature,
    }
    payload |= {"placed": placed, "unplaced": asked_for - placed}
    return _bytes(
        head,
        [feature.astype("<i4"), i.astype("<f4"), j.astype("<f4"), count.astype("<i4")],
        payload,
    )


def _bytes(head: bytes, parts: Sequence[np.ndarray], payload: Mapping[str, Any]) -> Raw:
    return Raw(
        head + b"".join(part.tobytes() for part in parts), "application/octet-stream", payload
    )
