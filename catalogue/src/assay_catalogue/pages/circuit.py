"""A small model as a page: its picture as the one template shows it, in the explorer and in a file
of its own."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files

from markupsafe import Markup

from assay.core.schema import to_json
from assay.explorer import render
from assay.explorer.render import Shown
from assay_catalogue.circuits.picture.contents import Picture
from assay_catalogue.circuits.picture.maps import Map
from assay_catalogue.circuits.verify.score import Row, Table
from assay_catalogue.pages.graphs import causal
from assay_catalogue.pages.heatmaps import heatmap, key


def share(score: Row, controls: Mapping[str, Row]) -> Markup:
    """Draw one score; nothing where it is not known."""
    if not math.isfinite(score.estimate):
        return Markup("")
    positions = {
        name: 100 * min(1.0, max(0.0, row.estimate))
        for name, row in controls.items()
        if math.isfinite(row.estimate)
    }
    ticks = Markup("").join(
        Markup('<line class="control" x1="{x:.1f}%" x2="{x:.1f}%" y1="4" y2="20"/>').format(x=x)
        for x in positions.values()
    )
    controls_text = ", ".join(
        f"{name} {render.share(row.estimate, 3)}" for name, row in controls.items()
    )
    label = (
        f"{render.share(score.estimate, 3)} [{render.share(score.low, 3)}, "
        f"{render.share(score.high, 3)}]; controls: {controls_text}"
    )
    low, high, x = (100 * min(1.0, max(0.0, v)) for v in (score.low, score.high, score.estimate))
    return Markup(
        '<svg class="share" width="100%" height="24" role="img" aria-label="{}"><title>{}</title>'
        '<line class="axis" x1="0" x2="100%" y1="12" y2="12"/>'
        '{}<line class="bar" x1="{:.1f}%" x2="{:.1f}%" y1="12" y2="12"/><circle class="dot" '
        'cx="{:.1f}%" cy="12" r="4.5"/></svg>'
    ).format(label, label, ticks, low, high, x)


LOOKS = {
    "itself": "itself",
    "first": "first place",
    "before": "place before",
    "same token": "same token earlier",
    "after the same": "after the same",
}
"""Where a head looks, in words of a column's head."""


def build_page(
    picture: Picture,
    *,
    scoring: str = "",
    tried: str = "",
    spoiler: bool = False,
    opened: bool = False,
) -> Shown:
    """Give the page; `scoring` is the address at which its scores can be asked for, `tried` says on
    how much it was scored.

    A spoiler is an explanation that nobody asked for: it is folded up, unless it was `opened`.
    """
    patching = max((m.largest for m in picture.patching), default=0.0)
    drawings = {
        "scoring": scoring,
        "tried": tried,
        "spoiler": spoiler,
        "opened": opened,
        "where": LOOKS,
        "graph": causal(picture.graph) if picture.graph else "",
        "patterns": [
            (p.head, [heatmap(m, 1.0) for m in (p.mean, *p.examples)]) for p in picture.attention
        ],
        "patching": [(m, heatmap(m, patching)) for m in picture.patching],
        "tables": [(m, heatmap(m)) for m in picture.tables],
        "attention_key": key(1.0, signed=False),
        "patching_key": key(patching, signed=_signed(picture.patching)),
        "keys": [key(m.largest, signed=_signed([m])) for m in picture.tables],
        "bars": _bars(picture.table) if picture.table else (),
        "most": max((abs(r.direct) for r in picture.parts), default=0.0) or 1.0,
    }
    return Shown("circuit.html", {"picture": picture}, drawings)


def render_standalone(picture: Picture, tried: str = "", *, spoiler: bool = False) -> str:
    """Write the page as one file that opens without a server and asks nobody for anything, its
    numbers inside."""
    page = build_page(picture, tried=tried, spoiler=spoiler)
    body = (
        render.environment()
        .get_template(page.template)
        .render(**{**page.values, **page.drawn, "layout": "parts/alone.html"})
    )
    script = files("assay.explorer").joinpath("static", "maps.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    numbers = base64.b64encode(json.dumps(to_json(picture), ensure_ascii=True).encode()).decode()
    return (
        render.environment()
        .get_template("circuit_alone.html")
        .render(
            name=picture.name,
            body=Markup(body),
            style=Markup(render.style()),
            script=Markup(script),
            hash=f"sha256-{digest}",
            numbers=numbers,
        )
    )


def _signed(maps: Sequence[Map]) -> bool:
    """Whether anything lies so far below 0 that it is seen."""
    most = max((m.largest for m in maps), default=0.0)
    return any(x is not None and x < -0.005 * most for m in maps for row in m.values for x in row)


def _bars(table: Table) -> list[Markup]:
    """A line for each part of the score, and one for the quality; controls as ticks."""
    every = {kind: (*c.parts, c.quality) for kind, c in table.controls.items()}
    return [
        share(row, {kind: rows[i] for kind, rows in every.items()})
        for i, row in enumerate((*table.own.parts, table.own.quality))
    ]
