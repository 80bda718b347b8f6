"""Figures as Vega-Lite specifications.

The method (the series called "main", or else the first) takes the accent; seven series differ in
colour, and in dash or mark as well; series named by numbers are an ordered ramp. Lines are labelled
at their ends, everything else by a legend above."""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from assay.core.figures import Figure
from assay.report.interval_plot import labels, log_ticks, ticks
from assay.report.palette import LIGHT, RAMP, SERIES

WIDTH, HEIGHT = 400, 250
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
FIRE = "#ff8c00"
"""The full shade of a heat map; its blue is 0, so that a shade's blue says how much paper shows
through."""
COLD = "#408ce6"
"""The full shade below 0, where a heat map has such numbers; its red is 64, so that a shade's red
says how much paper shows through."""
MARGIN = 0.04
"""Of what is drawn, on either side, to the ends of a value axis."""
DOTTED = ("points", "joined")
"""Marks that are dots with their intervals."""


def vega(figure: Figure, *, titled: bool = True) -> dict[str, Any]:
    """The Vega-Lite specification of a figure, its data included."""
    colored = figure.color if figure.mark != "heatmap" else None
    series = _distinct(figure.columns[colored]) if colored else []
    labelled = figure.mark == "line" and not figure.facet and 1 < len(series) <= 8
    panels = _distinct(figure.columns[figure.facet]) if figure.facet else []
    abreast = len(panels) if len(panels) <= 4 else 3
    longest = max((len(str(name)) for name in series), default=0) if labelled else 0
    width = max(280, WIDTH - 7 * max(0, longest - 10))
    width = width if len(panels) < 2 else round(2 * WIDTH / abreast) - 40
    lying = _lying(figure, width)
    height = _height(figure, lying, len(panels), width)
    layer = _marks(figure, series, labelled, width, width * max(1, min(abreast, len(panels))))
    layer += _rules(figure, "x" if lying else "y", height)
    layer += _end_labels(figure, series, width) if labelled else []
    body: dict[str, Any] = {"layer": layer, "width": width, "height": height}
    if figure.facet:
        facet = {"field": figure.facet, "type": "nominal", "title": None, "sort": panels}
        spacing = {"column": 36, "row": 20}
        body = {"facet": facet, "columns": abreast, "spacing": spacing, "spec": body}
    title = {"text": _wrapped(figure.title, 100 if panels else 56), "anchor": "start"}
    ticks_of = {"tickCount": 5 if width > 250 else 3, "labelFlush": False}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "data": {"values": _rows(figure)},
        **body,
        **({"title": title} if titled else {}),
        "config": _CONFIG | {"axisXQuantitative": ticks_of},
    }


def _height(figure: Figure, lying: bool, panels: int, width: int) -> int:
    """The height of a panel: of lying bars or points by how many there are, of one among several by
    its width."""
    if lying:
        return 34 * len(_distinct(figure.columns[figure.x]))
    if panels < 2:
        rows = len(_distinct(figure.columns[figure.y])) if figure.mark == "heatmap" else 0
        return max(HEIGHT, 16 * rows)
    return round(0.75 * width + 40)


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


def _wrapped(text: str, length: int) -> list[str]:
    return textwrap.wrap(text, length, break_long_words=False, break_on_hyphens=False) or [""]


def _field(name: str) -> str:
    """A column's name as Vega-Lite reads it: dots and brackets mean nesting unless escaped."""
    return re.sub(r"([.\[\]\\])", r"\\\1", name)


def _axis(figure: Figure, axis: str, *, discrete: bool = False, room: int = 0) -> dict[str, Any]:
    """Encoding of one position: type, scale, title; names longer than `room` letters are wrapped
    into several lines."""
    name, log = (figure.x, figure.x_log) if axis == "x" else (figure.y, figure.y_log)
    numeric = _numeric(figure.columns[name])
    title = (figure.x_title if axis == "x" else figure.y_title) or (name if numeric else "")
    encoding: dict[str, Any] = {"field": _field(name)}
    encoding["title"] = _wrapped(title, 48 if axis == "x" else 32)
    if discrete or not numeric:
        ticks_of: dict[str, Any] = {"labelAngle": 0, "grid": False}
        if axis == "x" and (numeric or figure.mark == "heatmap"):
            ticks_of |= {"labelOverlap": "parity", "labelSeparation": 4}
        names = [str(v) for v in _distinct(figure.columns[name])]
        if room and any(len(n) > room and " " in n for n in names):
            lines = json.dumps({n: _wrapped(n, room) for n in names})
            ticks_of["labelExpr"] = f"{lines}['' + datum.value]"
        return encoding | {"type": "ordinal", "sort": None, "axis": ticks_of}
    encoding["type"] = "quantitative"
    numbers = [v for v in _collect_numbers(figure, axis) if v > 0]
    if not log or not numbers:
        whole = all(float(v).is_integer() for v in _collect_numbers(figure, axis))
        ticks_of = {"axis": {"tickMinStep": 1}} if whole else {}
        if axis == "x" and figure.x_ticks:
            ticks_of = {"axis": _ticks(figure.x_ticks) | {"labelOverlap": "greedy"}}
        domain, values = _value_axis(figure) if axis == "y" else ([], [])
        if domain:
            scale = {"domain": domain, "nice": False, "zero": False}
            return encoding | {"scale": scale, "axis": _ticks(values)}
        return encoding | {"scale": {"zero": figure.mark == "bars"}} | ticks_of
    low, high = min(numbers), max(numbers)
    margin = (high / low) ** 0.04 if high > low else 1.1
    scale = {"type": "log", "domain": [low / margin, high * margin], "nice": False}
    if high == low:  # no tick of a log axis may be near
        return encoding | {"scale": scale, "axis": _ticks([low])}
    values = log_ticks(low / margin, high * margin)
    few = {"values": values, "tickCount": len(values), "labelOverlap": "greedy"} if values else {}
    return encoding | {"scale": scale, "axis": {"format": ",.9~g"} | few}


def _ticks(values: Sequence[float]) -> dict[str, Any]:
    """Ticks at these numbers, whose labels say them exactly: a format of Vega's rounds some."""
    texts = f"{json.dumps(labels(values))}[indexof({json.dumps([*values])}, datum.value)]"
    return {"values": [*values], "tickCount": len(values), "labelExpr": texts}


def _value_axis(figure: Figure) -> tuple[list[float], list[float]]:
    """The ends of a linear value axis, with room around bands and lines, and its ticks; none of
    bars, which begin at 0, of a heat map, and without two numbers."""
    without = figure.y_log or figure.mark in ("bars", "heatmap")
    numbers = [] if without else _collect_numbers(figure, "y")
    low, high = min(numbers, default=0.0), max(numbers, default=0.0)
    if not low < high:
        return [], []
    room, most = MARGIN * (high - low), 4 if figure.facet else 6
    whole = all(float(v).is_integer() for v in numbers)
    return [low - room, high + room], ticks(low - room, high + room, most, whole=whole)


def _collect_numbers(figure: Figure, axis: str) -> list[float]:
    """All numbers that one axis has to show: the column, its band, the reference lines."""
    names = [figure.x] if axis == "x" else [figure.y, *(figure.band or ())]
    numbers = [
        float(v) for name in names for v in map(_plain, figure.columns[name]) if v is not None
    ]
    return numbers + ([float(y) for y, _ in figure.rules] if axis == "y" else [])


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
    key: dict[str, Any] = {"title": None, "orient": "top", "columns": max(1, min(4, room))}
    key |= {"symbolOpacity": 1, "labelLimit": 400}
    if figure.mark == "line":
        key |= {"symbolType": "stroke", "symbolSize": 700, "symbolStrokeWidth": 2}
    base: dict[str, Any] = {"field": _field(figure.color), "type": "nominal", "sort": None}
    base["legend"] = key if legend else None

    def of(values: Sequence) -> dict[str, Any]:
        cycled = [values[i % len(values)] for i in range(len(order))]
        return base | {"scale": {"domain": order, "range": cycled}}

    style = {"color": of(colours)}
    if figure.mark == "line":
        style["strokeDash"] = of(DASHES)
    # a legend of lines shows their dashes
    if figure.mark in DOTTED or (figure.mark == "line" and not legend):
        style["shape"] = of(SHAPES)
    return style


def _marks(
    figure: Figure, series: list, labelled: bool, width: int, across: int
) -> list[dict[str, Any]]:
    """The layers that show the data; `across` is the width of all panels together, which a legend
    may take."""
    style = _style(figure, series, not labelled, across)
    colour = style["color"]
    room = max(5, width // max(1, len(_distinct(figure.columns[figure.x]))) // LETTER)
    if figure.mark == "heatmap":
        return _heatmap(figure, room)
    lying, bars = _lying(figure, width), figure.mark == "bars"
    name_axis, value_axis = ("y", "x") if lying else ("x", "y")
    names = _axis(figure, "x", discrete=bars, room=0 if lying else room)
    place = {name_axis: names, value_axis: _axis(figure, "y")}
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


def _heatmap(figure: Figure, room: int) -> list[dict[str, Any]]:
    """Cells by shade, a dot where the interval does not contain 0, and the word none where there is
    no number."""
    name = figure.color or figure.y
    numbers = [v for v in map(_plain, figure.columns[name]) if v is not None]
    place = {
        "x": _axis(figure, "x", discrete=True, room=room),
        "y": _axis(figure, "y", discrete=True),
    }
    shade = {
        "field": _field(name),
        "type": "quantitative",
        "title": _wrapped(name, 22),
        "scale": _shades(numbers),
    }
    cells = {"type": "rect", "stroke": LIGHT["hairline"], "strokeWidth": 0.5}
    none = {"type": "text", "text": "none", "color": LIGHT["quiet"], "fontSize": 11}
    missing = [{"filter": f"!isValid(datum[{json.dumps(name)}])"}]
    layers: list[dict[str, Any]] = [
        {"mark": cells, "encoding": place | {"color": shade}},
        {"mark": none, "encoding": place, "transform": missing},
    ]
    if figure.band:
        low, high = (f"datum[{json.dumps(end)}]" for end in figure.band)
        clear = [{"filter": f"{low} > 0 || {high} < 0 && isValid({high})"}]
        dot = {"type": "point", "filled": True, "size": 20, "color": LIGHT["ink"], "opacity": 1}
        layers.append({"mark": dot, "encoding": place, "transform": clear})
    return layers


def _shades(values: Sequence[float]) -> dict[str, Any]:
    """The scale of a heat map: paper to orange; where anything is below 0, blue to paper to orange,
    alike on both sides of 0."""
    if not values or min(values) >= 0:
        return {"range": [LIGHT["paper"], FIRE], "interpolate": "rgb"}
    peak = max(map(abs, values))
    return {"domain": [-peak, 0, peak], "range": [COLD, LIGHT["paper"], FIRE], "interpolate": "rgb"}


def _lying(figure: Figure, width: int) -> bool:
    """Whether names are below each other at the side, since they are too long to be next to each
    other: of points, in lines. Numbers are not; some of them are left out."""
    names = [str(v) for v in _distinct(figure.columns[figure.x])]
    if figure.mark == "points" and not _numeric(figure.columns[figure.x]):
        names = [max(_wrapped(n, max(5, width // len(names) // LETTER)), key=len) for n in names]
    elif figure.mark != "bars" or _numeric(figure.columns[figure.x]):
        return False
    return len(names) * (max(map(len, names), default=1) + 1) * LETTER > width


def _rules(figure: Figure, axis: str, height: int) -> list[dict[str, Any]]:
    """Reference lines across the value axis, with their labels at the start of the line, on paper
    of their own; of upright dots at its end, where no dot is."""
    once: dict[str, Any] = {"values": [{}]}  # drawn once, not once per row
    ink = {"color": LIGHT["ink"]}
    rule = {"type": "rule", "strokeDash": [4, 3], "strokeWidth": 1, **ink}
    paper = {"stroke": LIGHT["paper"], "strokeWidth": 3}
    beyond = axis == "y" and figure.mark in DOTTED and not figure.facet
    layers: list[dict[str, Any]] = []
    _, named = _value_axis(figure)
    for value, label, below in _sides(figure, height):
        if label == f"{value:.3g}" and any(abs(value - t) < 1e-9 for t in named):
            label = ""  # the axis has this number
        text = {"type": "text", "text": label, "align": "left", "fontSize": 12, "dx": 3, **ink}
        above = {"baseline": "middle"} if beyond else {"baseline": "bottom", "dy": -2}
        text |= {"baseline": "top", "dy": 3} if below else above
        across = {axis: {"datum": value}}
        start = across | {"x" if axis == "y" else "y": {"value": "width" if beyond else 0}}
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


def _ends(figure: Figure, series: list) -> list[tuple[Any, Any, float]]:
    """(name, x, y) of the last point of every series that has points, lowest first."""
    ends = []
    for name in series:
        columns = (figure.columns[c] for c in (figure.x, figure.y, figure.color or ""))
        points = [(_plain(x), _plain(y)) for x, y, s in zip(*columns, strict=True) if s == name]
        points = [(x, y) for x, y in points if x is not None and y is not None]
        points = [
            (x, y) for x, y in points if (x > 0 or not figure.x_log) and (y > 0 or not figure.y_log)
        ]
        if points:
            last = max(points) if _numeric([x for x, _ in points]) else points[-1]
            ends.append((name, *last))
    return sorted(ends, key=lambda end: end[2])


def _end_labels(figure: Figure, series: list, width: int) -> list[dict[str, Any]]:
    """The names of the series next to the panel, pushed apart and led to their lines' ends."""
    to, back = (math.log10, lambda v: 10**v) if figure.y_log else (float, float)
    numbers = [to(v) for v in _collect_numbers(figure, "y") if v > 0 or not figure.y_log] or [0.0]
    # the axis is a little longer than the data
    gap = 1.2 * ((max(numbers) - min(numbers)) or 1.0) * 15 / HEIGHT
    labels = [
        {"_x": x, "_y": y, "_to": to(y), "_name": str(name)} for name, x, y in _ends(figure, series)
    ]
    for below, above in pairwise(labels):
        above["_to"] = max(above["_to"], below["_to"] + gap)
    over = max([0.0, *(label["_to"] - max(numbers) for label in labels)])
    for label in labels:
        label["_to"] = back(label["_to"] - over)
    method = "main" if "main" in series else None if _numeric(series) else series[0]
    is_method = {"test": {"field": "_name", "equal": str(method)}, "value": LIGHT["method"]}
    place = {"x": _axis(figure, "x") | {"field": "_x"}, "y": _axis(figure, "y") | {"field": "_y"}}
    words = {"text": {"field": "_name"}, "color": {"condition": is_method, "value": LIGHT["ink"]}}
    words |= {"x": {"value": width + 18}, "y": place["y"] | {"field": "_to"}}
    text = {"type": "text", "align": "left", "fontSize": 13}
    leader = {"type": "rule", "color": LIGHT["grey2"], "strokeWidth": 0.7}
    lead = place | {"x2": {"value": width + 15}, "y2": {"field": "_to"}}
    return [
        {"data": {"values": labels}, "mark": leader, "encoding": lead},
        {"data": {"values": labels}, "mark": text, "encoding": words},
    ]


_INK: dict[str, Any] = {
    "labelColor": LIGHT["ink"],
    "titleColor": LIGHT["ink"],
    "titleFontWeight": "normal",
}
_INK |= {"labelFontSize": 13, "titleFontSize": 13}
_AXIS: dict[str, Any] = {
    "labelColor": LIGHT["quiet"],
    "domainColor": LIGHT["grey2"],
    "tickColor": LIGHT["grey2"],
}
_AXIS |= {"tickSize": 4, "grid": False, "titlePadding": 8, "labelLimit": 240}
_ACROSS: dict[str, Any] = {
    "grid": True,
    "gridColor": LIGHT["hairline"],
    "gridOpacity": 0.6,
    "tickCount": 5,
}
_CONFIG = {
    "background": None,
    "aria": False,
    "font": WIDE,
    "padding": {"left": 4, "top": 4, "bottom": 4, "right": 12},
    "view": {"stroke": None},
    "title": {"fontSize": 14, "fontWeight": 600, "color": LIGHT["ink"], "offset": 10},
    "axis": _INK | _AXIS,
    "axisYQuantitative": {**_ACROSS, "domain": False, "ticks": False},
    "header": {"labelFontSize": 13, "labelColor": LIGHT["ink"], "labelFontWeight": 600},
    "legend": _INK,
}
