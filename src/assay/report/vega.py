"""Figures as Vega-Lite specifications.

The method (the series called "main", or else the first) takes the accent; seven series differ in
colour, and in dash or mark as well; series named by numbers are an ordered ramp. Lines are labelled
at their ends, everything else by a legend above. A narrow drawing, for a phone, has a legend in
every case, its panels below each other, and long names on several lines. A histogram of more than
60 distinct values of `x` is binned here, each row counting `y`, or once when `y` is `x`; with
fewer, `x` holds the bins' centres and `y` their counts."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from assay.core.figures import Figure
from assay.report.interval_plot import ticks
from assay.report.palette import LIGHT, RAMP, SERIES

WIDTH, HEIGHT = 400, 250
NARROW = 340
"""The width of a narrow drawing with all its labels, which a page of 380 pixels shows at its own
size."""
DASHES = ([1, 0], [6, 3], [2, 2], [9, 3, 2, 3], [14, 4], [1, 4], [9, 3, 2, 3, 2, 3])
SHAPES = (
    "circle",
    "square",
    "triangle-up",
    "diamond",
    "cross",
    "triangle-down",
    "M-1,-.3H-.3V-1H.3V-.3H1V.3H.3V1H-.3V.3H-1Z",
)
WIDE = "Verdana, 'DejaVu Sans', sans-serif"
"""Figures are measured in a font as wide as any that a reader has, so that no label runs into its
neighbour or over the edge."""
LETTER = 8
"""About the width of a letter of that font, in pixels."""
NAME = 16
"""Letters of a line of a long name, where the drawing is narrow."""
FIRE = "#ff8c00"
"""The full shade of a heat map; its blue is 0, so that a shade's blue says how much paper shows
through."""
COLD = "#408ce6"
"""The full shade below 0, where a heat map has such numbers; its red is 64, so that a shade's red
says how much paper shows through."""
BINS, MOST_BARS = 40, 60
DOTTED = ("points", "joined")
"""Marks that are dots with their intervals."""


def vega(
    figure: Figure,
    *,
    titled: bool = True,
    standalone: bool = False,
    narrow: bool = False,
    panel: int = 0,
) -> dict[str, Any]:
    """The Vega-Lite specification of a figure, its data included; `standalone`: with white paper,
    for a file that no page frames.

    A `narrow` one is for a phone; `panel` is then the width of its panels, less labels.
    """
    plotted = _binned(figure) if figure.mark == "histogram" else figure
    rows = _rows(plotted)
    series = (
        _distinct(plotted.columns[plotted.color])
        if plotted.color and plotted.mark != "heatmap"
        else []
    )
    labelled = plotted.mark == "line" and not plotted.facet and 1 < len(series) <= 8 and not narrow
    panels = _distinct(plotted.columns[plotted.facet]) if plotted.facet else []
    abreast = 1 if narrow else len(panels) if len(panels) <= 4 else 3
    longest = max((len(str(name)) for name in series), default=0) if labelled else 0
    width = (
        max(280, WIDTH - 7 * max(0, longest - 10))
        if len(panels) < 2
        else round(2 * WIDTH / abreast) - 40
    )
    width = (panel or 270) if narrow else width
    lying = _lying(plotted, width)
    height = _height(plotted, lying, narrow, len(panels), width)
    across = width * max(1, min(abreast, len(panels)))
    layer = [
        *_marks(plotted, series, labelled, width, narrow, across),
        *_rules(plotted, "x" if lying else "y", height),
    ]
    if labelled:
        layer += _end_labels(plotted, series, width)
    body: dict[str, Any] = {"layer": layer, "width": width, "height": height}
    if plotted.facet:
        facet = {"field": plotted.facet, "type": "nominal", "title": None, "sort": panels}
        body = {
            "facet": facet,
            "columns": abreast,
            "spacing": {"column": 36, "row": 20},
            "spec": body,
        }
    title = {
        "text": _wrapped(figure.title, 100 if panels and not narrow else 40 if narrow else 56),
        "anchor": "start",
    }
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "data": {"values": rows},
        **body,
        **({"title": title} if titled else {}),
        "config": _CONFIG
        | (_ALONE if standalone else {})
        | {"axisXQuantitative": {"tickCount": 5 if width > 250 else 3, "labelFlush": False}},
    }


def _height(figure: Figure, lying: bool, narrow: bool, panels: int, width: int) -> int:
    """The height of a panel: of lying bars or points by how many there are, of one among several by
    its width."""
    if lying:
        lines = (
            max(len(_wrapped(str(name), NAME)) for name in _distinct(figure.columns[figure.x]))
            if narrow
            else 1
        )
        return (18 + 16 * lines) * len(_distinct(figure.columns[figure.x]))
    if panels < 2:
        rows = len(_distinct(figure.columns[figure.y])) if figure.mark == "heatmap" else 0
        return max(220 if narrow else HEIGHT, 16 * rows)
    return 150 if narrow else round(0.75 * width + 40)


def _distinct(values: Sequence) -> list:
    return list(dict.fromkeys(map(_plain, values)))


def _plain(value: Any) -> Any:
    """A value as JSON holds it; what is not finite is missing."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _numeric(values: Sequence) -> bool:
    return all(
        isinstance(v, int | float) and not isinstance(v, bool)
        for v in map(_plain, values)
        if v is not None
    )


def _rows(figure: Figure) -> list[dict[str, Any]]:
    names = list(figure.columns)
    return [
        dict(zip(names, map(_plain, row), strict=True))
        for row in zip(*figure.columns.values(), strict=True)
    ]


def _wrapped(text: str, most: int = 60) -> list[str]:
    lines = [""]
    for word in text.split():
        lines = (
            [*lines[:-1], f"{lines[-1]} {word}".strip()]
            if len(lines[-1]) + len(word) < most
            else [*lines, word]
        )
    return lines


def _field(name: str) -> str:
    """A column's name as Vega-Lite reads it: dots and brackets mean nesting unless escaped."""
    return re.sub(r"([.\[\]\\])", r"\\\1", name)


def _binned(figure: Figure) -> Figure:
    """A histogram's bars: `_left`, `_right` and the count, by equal bins of x (of log x when the
    axis is logarithmic)."""
    to, back = (math.log10, lambda v: 10**v) if figure.x_log else (float, float)
    weights = (
        [1] * len(figure.columns[figure.x]) if figure.x == figure.y else figure.columns[figure.y]
    )
    pairs = [(_plain(x), _plain(n)) for x, n in zip(figure.columns[figure.x], weights, strict=True)]
    points = [
        (to(x), n)
        for x, n in pairs
        if x is not None and n is not None and (x > 0 or not figure.x_log)
    ]
    centres = sorted({x for x, _ in points})
    if len(centres) > MOST_BARS or figure.x == figure.y:
        low, high = (centres[0], centres[-1]) if centres else (0.0, 1.0)
        step = (high - low) / BINS or 1.0
        counts = [0.0] * BINS
        for x, n in points:
            counts[min(int((x - low) / step), BINS - 1)] += n
        bars = [(low + i * step, low + (i + 1) * step, n) for i, n in enumerate(counts)]
    else:
        step = min((after - before for before, after in pairwise(centres)), default=1.0)
        bars = [(x - step / 2, x + step / 2, n) for x, n in points]
    columns = {
        "_left": [back(a) for a, _, _ in bars],
        "_right": [back(b) for _, b, _ in bars],
        "count": [n for *_, n in bars],
    }
    return replace(
        figure,
        columns=columns,
        x="_left",
        y="count",
        color=None,
        facet=None,
        band=None,
        x_title=figure.x_title or figure.x,
        y_title=figure.y_title or "count",
    )


def _axis(
    figure: Figure, axis: str, *, discrete: bool = False, narrow: bool = False, room: int = 0
) -> dict[str, Any]:
    """Encoding of one position: type, scale, title; names longer than `room` letters stand on
    several lines."""
    name, log = (figure.x, figure.x_log) if axis == "x" else (figure.y, figure.y_log)
    title = (figure.x_title if axis == "x" else figure.y_title) or (
        name if _numeric(figure.columns[name]) else ""
    )
    most = 36 if axis == "x" else 26
    encoding: dict[str, Any] = {
        "field": _field(name),
        "title": _wrapped(title, most if narrow else most + 16),
    }
    if discrete or not _numeric(figure.columns[name]):
        spaced = (
            {"labelOverlap": "parity", "labelSeparation": 4}
            if figure.mark == "heatmap" and axis == "x"
            else {}
        )
        names = [str(v) for v in _distinct(figure.columns[name])]
        if room and any(len(n) > room and " " in n for n in names):
            spaced["labelExpr"] = (
                f"{json.dumps({n: _wrapped(n, room) for n in names})}['' + datum.value]"
            )
        return encoding | {
            "type": "ordinal",
            "sort": None,
            "axis": {"labelAngle": 0, "grid": False, **spaced},
        }
    encoding["type"] = "quantitative"
    numbers = [v for v in _collect_numbers(figure, axis) if v > 0]
    if not log or not numbers:
        return encoding | {"scale": {"zero": figure.mark in ("bars", "histogram")}}
    low, high = min(numbers), max(numbers)
    margin = (
        1
        if figure.mark == "histogram" and axis == "x"
        else (high / low) ** 0.04
        if high > low
        else 1.1
    )
    return encoding | {
        "scale": {"type": "log", "domain": [low / margin, high * margin], "nice": False},
        "axis": {"format": "~g", "values": _log_ticks(low / margin, high * margin)},
    }


def _collect_numbers(figure: Figure, axis: str) -> list[float]:
    """All numbers that one axis has to show: the column, its band, the reference lines."""
    names = ["_left", "_right"] if figure.mark == "histogram" and axis == "x" else [figure.x]
    names = names if axis == "x" else [figure.y, *(figure.band or ())]
    numbers = [
        float(v) for name in names for v in map(_plain, figure.columns[name]) if v is not None
    ]
    return numbers + ([float(y) for y, _ in figure.rules] if axis == "y" else [])


def _log_ticks(low: float, high: float) -> list[float]:
    """Ticks for a logarithmic axis: 1, 2, 5 of each decade while few, else decades, else every
    n-th; even steps if short."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [m * 10.0**k for k in decades for m in (1, 2, 5) if low <= m * 10.0**k <= high]
    whole = [10.0**k for k in decades if low <= 10.0**k <= high]
    few = fine if len(fine) <= 6 else whole[:: 1 + len(whole) // 8]
    return few if len(few) > 1 else ticks(low, high)


def _style(figure: Figure, series: list, legend: bool, across: int) -> dict[str, Any]:
    """Encodings that tell the series apart: colour, and dash or shape as well."""
    if not figure.color or not series:
        return {"color": {"value": LIGHT["method"]}}
    if _numeric(series) and len(series) > 2:
        order = sorted(series)
        step = (len(RAMP) - 1) / (len(order) - 1)
        colours = [LIGHT[RAMP[round(i * step)]] for i in range(len(order))]
    else:
        method = "main" if "main" in series else series[0]
        order = [method, *[s for s in series if s != method]]
        colours = [LIGHT[SERIES[i % len(SERIES)]] for i in range(len(order))]
    room = across // (LETTER * max(len(str(s)) for s in series) + 40)
    key = {
        "title": None,
        "orient": "top",
        "columns": max(1, min(4, room)),
        "symbolOpacity": 1,
        "labelLimit": 400,
    }
    key |= (
        {"symbolType": "stroke", "symbolSize": 700, "symbolStrokeWidth": 2}
        if figure.mark == "line"
        else {}
    )
    base = {
        "field": _field(figure.color),
        "type": "nominal",
        "sort": None,
        "legend": key if legend else None,
    }
    count = range(len(order))
    style = {"color": base | {"scale": {"domain": order, "range": colours}}}
    if figure.mark == "line":
        style["strokeDash"] = base | {
            "scale": {"domain": order, "range": [DASHES[i % len(DASHES)] for i in count]}
        }
    if figure.mark in DOTTED or (
        figure.mark == "line" and not legend
    ):  # a legend of lines shows their dashes
        style["shape"] = base | {
            "scale": {"domain": order, "range": [SHAPES[i % len(SHAPES)] for i in count]}
        }
    return style


def _marks(
    figure: Figure, series: list, labelled: bool, width: int, narrow: bool, across: int
) -> list[dict[str, Any]]:
    """The layers that show the data; `across` is the width of all panels together, which a legend
    may take."""
    style = _style(figure, series, not labelled, across)
    colour = style["color"]
    room = max(5, width // max(1, len(_distinct(figure.columns[figure.x]))) // LETTER)
    if figure.mark == "heatmap":
        return _heatmap(figure, narrow, room)
    if figure.mark == "histogram":
        return [_histogram(figure, colour, narrow)]
    lying, bars = _lying(figure, width), figure.mark == "bars"
    name_axis, value_axis = ("y", "x") if lying else ("x", "y")
    names = (NAME if narrow else 0) if lying else room
    place = {
        name_axis: _axis(figure, "x", discrete=bars, narrow=narrow, room=names),
        value_axis: _axis(figure, "y", narrow=narrow),
    }
    if bars and series and figure.color != figure.x:
        place[f"{name_axis}Offset"] = {"field": _field(figure.color or ""), "sort": None}
    ends: dict[str, Any] = {}
    if figure.band:
        low, high = map(_field, figure.band)
        ends = {value_axis: place[value_axis] | {"field": low}, f"{value_axis}2": {"field": high}}
    if bars:  # from zero; intervals as thin bars over them
        whisker = {"mark": {"type": "rule", "color": LIGHT["ink"]}, "encoding": place | ends}
        bar = {"mark": {"type": "bar"}, "encoding": place | {"color": colour}}
        return [bar, *([whisker] if ends else [])]
    layers: list[dict[str, Any]] = []
    if ends:
        thin = {"type": "rule", "strokeWidth": 1}
        area = {"type": "area", "opacity": 0.14}
        band = thin if figure.mark in DOTTED else area
        layers.append({"mark": band, "encoding": place | ends | {"color": colour}})
    if figure.mark == "line":
        line_style = {k: v for k, v in style.items() if k != "shape"}
        line = {"type": "line", "strokeWidth": 1.8}
        layers.append({"mark": line, "encoding": place | line_style})
    if figure.mark == "joined":
        through = {"type": "line", "strokeWidth": 1, "opacity": 0.6}
        layers.append({"mark": through, "encoding": place | {"color": colour}})
    if figure.mark in DOTTED or len(figure.columns[figure.x]) <= 12 * max(1, len(series)):
        dot_style = {k: v for k, v in style.items() if k != "strokeDash"}
        if figure.mark == "line" and "field" in colour:
            dot_style["color"] = colour | {"legend": None}
        dot = {"type": "point", "filled": True, "size": 34, "opacity": 1}
        layers.append({"mark": dot, "encoding": place | dot_style})
    return layers


def _heatmap(figure: Figure, narrow: bool, room: int) -> list[dict[str, Any]]:
    """Cells by shade, and the word none where there is no number."""
    name = figure.color or figure.y
    numbers = [v for v in map(_plain, figure.columns[name]) if v is not None]
    place = {
        "x": _axis(figure, "x", discrete=True, narrow=narrow, room=room),
        "y": _axis(figure, "y", discrete=True, narrow=narrow)
        | {"sort": "descending" if _numeric(figure.columns[figure.y]) else None},
    }
    shade = {
        "field": _field(name),
        "type": "quantitative",
        "title": figure.color,
        "scale": _shades(numbers),
    }
    cells = {"type": "rect", "stroke": LIGHT["hairline"], "strokeWidth": 0.5}
    none = {"type": "text", "text": "none", "color": LIGHT["quiet"], "fontSize": 11}
    missing = [{"filter": f"!isValid(datum[{json.dumps(name)}])"}]
    return [
        {"mark": cells, "encoding": place | {"color": shade}},
        {"mark": none, "encoding": place, "transform": missing},
    ]


def _histogram(figure: Figure, colour: dict[str, Any], narrow: bool) -> dict[str, Any]:
    """Bars that touch."""
    x, y = _axis(figure, "x", narrow=narrow), _axis(figure, "y", narrow=narrow)
    x["scale"] = x["scale"] if figure.x_log else {"zero": False}
    ends = {"x2": {"field": "_right"}, "y2": {"datum": 1 if figure.y_log else 0}}
    mark = {"type": "bar", "binSpacing": 0, "stroke": LIGHT["paper"], "strokeWidth": 0.5}
    return {"mark": mark, "encoding": {"x": x, "y": y, **ends, "color": colour}}


def _shades(values: Sequence[float]) -> dict[str, Any]:
    """The scale of a heat map: paper to orange; where anything is below 0, blue to paper to orange,
    alike on both sides of 0."""
    if not values or min(values) >= 0:
        return {"range": [LIGHT["paper"], FIRE], "interpolate": "rgb"}
    most = max(map(abs, values))
    return {"domain": [-most, 0, most], "range": [COLD, LIGHT["paper"], FIRE], "interpolate": "rgb"}


def _lying(figure: Figure, width: int) -> bool:
    """Whether names stand below each other at the side, since they are too long to stand next to
    each other: of points, in lines."""
    names = [str(v) for v in _distinct(figure.columns[figure.x])]
    if figure.mark == "points" and not _numeric(figure.columns[figure.x]):
        names = [max(_wrapped(n, max(5, width // len(names) // LETTER)), key=len) for n in names]
    elif figure.mark != "bars":
        return False
    return len(names) * (max(map(len, names), default=1) + 1) * LETTER > width


def _rules(figure: Figure, axis: str, height: int) -> list[dict[str, Any]]:
    """Reference lines across the value axis, with their labels at the start of the line, on paper
    of their own."""
    once: dict[str, Any] = {"values": [{}]}  # drawn once, not once per row
    ink = {"color": LIGHT["ink"]}
    rule = {"type": "rule", "strokeDash": [4, 3], "strokeWidth": 1, **ink}
    paper = {"stroke": LIGHT["paper"], "strokeWidth": 3}
    layers: list[dict[str, Any]] = []
    for value, label, below in _sides(figure, height):
        text = {"type": "text", "text": label, "align": "left", "fontSize": 12, "dx": 3, **ink}
        text |= {"baseline": "top", "dy": 3} if below else {"baseline": "bottom", "dy": -2}
        across = {axis: {"datum": value}}
        start = across | {"x" if axis == "y" else "y": {"value": 0}}
        layers += [
            {"data": once, "mark": mark, "encoding": place}
            for mark, place in ((rule, across), (text | paper, start), (text, start))
        ]
    return layers


def _sides(figure: Figure, height: int) -> list[tuple[float, str, bool]]:
    """Each reference line with whether its label hangs below it, as it does where the next line
    above is near."""
    if not figure.rules:
        return []
    to = math.log10 if figure.y_log else float
    numbers = [to(v) for v in _collect_numbers(figure, "y") if v > 0 or not figure.y_log] or [0.0]
    near = 20 * ((max(numbers) - min(numbers)) or 1.0) / height
    rules = sorted((value, label) for value, label in figure.rules if value > 0 or not figure.y_log)
    above = [to(value) for value, _ in rules[1:]] + [math.inf] * bool(rules)
    return [
        (value, label, after - to(value) < near)
        for (value, label), after in zip(rules, above, strict=True)
    ]


def _ends(figure: Figure, series: list) -> list[tuple[Any, tuple, tuple]]:
    """(name, first point, last point) of every series that has points, lowest end first."""
    ends = []
    for name in series:
        columns = (figure.columns[c] for c in (figure.x, figure.y, figure.color or ""))
        points = [(_plain(x), _plain(y)) for x, y, s in zip(*columns, strict=True) if s == name]
        points = [(x, y) for x, y in points if x is not None and y is not None]
        points = [
            (x, y) for x, y in points if (x > 0 or not figure.x_log) and (y > 0 or not figure.y_log)
        ]
        if _numeric([x for x, _ in points]):
            points.sort()
        if points:
            ends.append((name, points[0], points[-1]))
    return sorted(ends, key=lambda e: e[2][1])


def _end_labels(figure: Figure, series: list, width: int) -> list[dict[str, Any]]:
    """The names of the series beside the panel, pushed apart and led to their lines' ends; of short
    lines, over their starts."""
    to, back = (math.log10, lambda v: 10**v) if figure.y_log else (float, float)
    scale_x = math.log10 if figure.x_log else float
    ends = _ends(figure, series)
    numbers = [to(v) for v in _collect_numbers(figure, "y") if v > 0 or not figure.y_log] or [0.0]
    xs = (
        [scale_x(x) for _, *points in ends for x, _ in points]
        if figure.x_log or _numeric(figure.columns[figure.x])
        else []
    )
    short = min(xs) + 0.35 * (max(xs) - min(xs)) if xs else -math.inf
    gap = (
        1.2 * ((max(numbers) - min(numbers)) or 1.0) * 15 / HEIGHT
    )  # the axis is a little longer than the data
    values: dict[bool, list[dict]] = {True: [], False: []}
    for name, first, last in ends:
        is_short = bool(xs) and scale_x(last[0]) < short
        x, y = first if is_short else last
        values[is_short].append({"_x": x, "_y": y, "_to": to(y), "_name": str(name)})
    for labels in values.values():
        labels.sort(key=lambda label: label["_to"])
        for below, above in pairwise(labels):
            above["_to"] = max(above["_to"], below["_to"] + gap)
        over = max([0.0, *(label["_to"] - max(numbers) for label in labels)])
        for label in labels:
            label["_to"] = back(label["_to"] - over)
    method = "main" if "main" in series else None if _numeric(series) else series[0]
    colour = {
        "condition": {"test": {"field": "_name", "equal": str(method)}, "value": LIGHT["method"]},
        "value": LIGHT["ink"],
    }
    place = {"x": _axis(figure, "x") | {"field": "_x"}, "y": _axis(figure, "y") | {"field": "_y"}}
    to_label = place["y"] | {"field": "_to"}
    words = {"text": {"field": "_name"}, "color": colour, "y": to_label}
    text = {"type": "text", "align": "left", "fontSize": 13}
    leader = {"type": "rule", "color": LIGHT["grey2"], "strokeWidth": 0.7}
    lead = place | {"x2": {"value": width + 15}, "y2": {"field": "_to"}}
    late, early = {"values": values[False]}, {"values": values[True]}
    return [
        {"data": late, "mark": leader, "encoding": lead},
        {"data": late, "mark": text, "encoding": words | {"x": {"value": width + 18}}},
        {"data": early, "mark": text | {"dy": -10}, "encoding": words | {"x": place["x"]}},
    ]


_INK = {
    "labelColor": LIGHT["ink"],
    "titleColor": LIGHT["ink"],
    "titleFontWeight": "normal",
    "labelFontSize": 13,
    "titleFontSize": 13,
}
_CONFIG = {
    "background": None,
    "aria": False,
    "font": WIDE,
    "padding": {"left": 4, "top": 4, "bottom": 4, "right": 12},
    "view": {"stroke": None},
    "title": {"fontSize": 14, "fontWeight": 600, "color": LIGHT["ink"], "offset": 10},
    "axis": _INK
    | {
        "labelColor": LIGHT["quiet"],
        "domainColor": LIGHT["grey2"],
        "tickColor": LIGHT["grey2"],
        "tickSize": 4,
    }
    | {"grid": False, "titlePadding": 8, "labelLimit": 240},
    "axisYQuantitative": {
        "grid": True,
        "gridColor": LIGHT["hairline"],
        "gridOpacity": 0.6,
        "tickCount": 5,
    }
    | {"domain": False, "ticks": False},
    "header": {"labelFontSize": 13, "labelColor": LIGHT["ink"], "labelFontWeight": 600},
    "legend": _INK,
}
_ALONE = {"background": LIGHT["paper"]}
