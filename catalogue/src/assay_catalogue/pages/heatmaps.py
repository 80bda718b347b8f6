"""Tables of numbers as heat maps: inline SVG that needs no script to be seen; a script tells what a
cell says when it is pointed at."""

from __future__ import annotations

import json
from collections.abc import Sequence

from markupsafe import Markup

from assay.core.plain import plain
from assay.explorer.render import level, number
from assay.report.tables import minus
from assay_catalogue.circuits.picture.maps import Map

CELL = 17
"""Pixels of a cell's side, where the page has room."""
LETTERS = 9
"""Of a name beside a row or above a column; the whole name is told when its cell is pointed at."""
_WIDE = 7.0


def heatmap(heat_map: Map, most: float | None = None) -> Markup:
    """Draw a map: orange above 0, blue below, the full shade at `most`, or else at the largest
    number in size."""
    scale = heat_map.largest if most is None else most
    across, row_names = (
        [_axis(name) for name in heat_map.columns],
        [_axis(name) for name in heat_map.rows],
    )
    upright = max(map(len, across), default=0) <= 2
    left_margin = 8 + round(_WIDE * max(map(len, row_names), default=0))
    top = CELL if upright else 8 + round(_WIDE * max(map(len, across), default=0))
    wide, high = len(across), len(row_names)
    size = left_margin + CELL * wide + 1, top + CELL * high + 1
    names = [
        Markup('<text class="down" x="{}" y="{}" text-anchor="end">{}</text>').format(
            left_margin - 5, top + CELL * i + 13, name
        )
        for i, name in enumerate(row_names)
    ]
    for i, name in enumerate(across):
        x = left_margin + CELL * i + CELL / 2
        turned = (
            Markup(' text-anchor="middle" y="{}"').format(top - 4)
            if upright
            else Markup(' transform="rotate(-90 {0} {1})" y="{1}"').format(x + 4, top - 4)
        )
        names.append(
            Markup('<text class="across" x="{}"{}>{}</text>').format(
                x if upright else x + 4, turned, name
            )
        )
    least = 1e-6 * scale  # less is rounding, and is told as 0
    row_texts = [
        " ".join("" if x is None else f"{x if abs(x) >= least else 0:.3g}" for x in row)
        for row in heat_map.values
    ]
    label = (
        f"{heat_map.title}{f' of {heat_map.of}' if heat_map.of else ''}: {high} rows, {wide} "
        "columns, the "
        f"largest {number(float(heat_map.largest))}"
    )
    return Markup(
        '<svg class="map" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" tabindex="0" '
        'aria-label="{label}" data-values="{values}" '
        'data-rows="{rows}" data-columns="{columns}" data-say="{say}" data-first="{first}" '
        'data-left="{left}" data-top="{top}">'
        '{names}<g transform="translate({left} {top}) scale({cell})">{cells}{grid}<rect '
        'class="cursor" width="1" height="1"/></g></svg>'
    ).format(
        w=size[0],
        h=size[1],
        label=label,
        values=";".join(row_texts),
        rows=_listed(heat_map.rows),
        columns=_listed(heat_map.columns),
        say=heat_map.say,
        first=heat_map.first,
        left=left_margin,
        top=top,
        names=Markup("").join(names),
        cell=CELL,
        cells=_cells(heat_map, scale),
        grid=_grid(heat_map),
    )


def key(most: float, signed: bool) -> Markup:
    """Draw what the shades mean, from nothing, or from as far below it, to the largest number."""
    steps = list(range(-20 if signed else 0, 21, 4))
    bars = Markup("").join(
        Markup('<rect class="{}" x="{}" width="14" height="10"/>').format(_shade(step), 14 * i)
        for i, step in enumerate(steps)
    )
    ends = number(-most) if signed else "0", number(float(most))
    return Markup(
        '<span class="key">{} <svg viewBox="0 0 {w} 10" width="{w}" height="10" '
        'aria-hidden="true">{}</svg> {}</span>'
    ).format(ends[0], bars, ends[1], w=14 * len(steps))


def _cells(heat_map: Map, scale: float) -> Markup:
    """All cells of one shade as one path, so that a page of maps stays small; what is 0 is
    paper."""
    paths: dict[int, list[str]] = {}
    for y, row in enumerate(heat_map.values):
        for x, value in enumerate(row):
            step = (
                0
                if value is None or not scale
                else level(abs(value) / scale)
                if abs(value) / scale > 0.005
                else 0
            )
            if step and value is not None:
                paths.setdefault(step if value > 0 else -step, []).append(f"M{x} {y}h1v1h-1z")
    return Markup("").join(
        Markup('<path class="{}" d="{}"/>').format(_shade(step), "".join(d))
        for step, d in sorted(paths.items())
    )


def _grid(heat_map: Map) -> Markup:
    """Lines between cells; where later positions cannot be seen there are none."""
    wide, high = len(heat_map.columns), len(heat_map.rows)
    ends = [
        max((x + 1 for x, v in enumerate(row) if v is not None), default=0)
        for row in heat_map.values
    ]
    flat = [
        f"M0 {y}h{max(ends[y - 1] if y else 0, ends[y] if y < high else 0)}"
        for y in range(high + 1)
    ]
    starts = [
        next((y for y, end in enumerate(ends) if end >= max(1, x)), high) for x in range(wide + 1)
    ]
    upright = [f"M{x} {start}v{high - start}" for x, start in enumerate(starts)]
    return Markup('<path class="lines" d="{}"/>').format("".join(flat + upright))


def _shade(step: int) -> str:
    return f"a{abs(step)} below" if step < 0 else f"a{step}"


def _axis(name: str) -> str:
    """A name beside an axis: cut, and of a position its number alone."""
    label = plain(name).removeprefix("position ").strip() or "␣"
    return minus(label) if len(label) <= LETTERS else label[: LETTERS - 1] + "…"


def _listed(names: Sequence[str]) -> str:
    return json.dumps([plain(name) for name in names], ensure_ascii=False, separators=(",", ":"))
