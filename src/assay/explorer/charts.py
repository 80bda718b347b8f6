"""Charts that need no script: SVG made here, coloured by classes of the style sheet, with every
number in text beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from assay.explorer.render import number

WIDE, HIGH = 420, 230
LEFT, RIGHT, TOP, BOTTOM = 40, 14, 30, 40

LABELLED = 8
"""With more points than this only this dictionary's has its name beside it; the table names all."""


@dataclass(frozen=True)
class Point:
    """A dictionary on a plot of cost against error."""

    name: str
    href: str
    x: float
    y: float
    here: bool


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers from `low` to `high`, about as many as wanted."""
    if not high > low:
        return [low]
    step = 10 ** math.floor(math.log10((high - low) / count))
    step *= next(m for m in (1, 2, 5, 10) if (high - low) / (step * m) <= count)
    first = math.ceil(low / step - 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, math.floor(high / step + 1e-9) + 1)]


def pareto(points: Sequence[Point], x: str, y: str) -> Markup:
    """Draw dictionaries as points, both axes from 0; this one filled, others open, each a link with
    its name."""
    right, top = (1.1 * max([getattr(p, axis) for p in points] + [0]) or 1.0 for axis in "xy")

    def to_pixels(a: float, b: float) -> tuple[float, float]:
        return LEFT + (WIDE - LEFT - RIGHT) * a / right, HIGH - BOTTOM - (
            HIGH - TOP - BOTTOM
        ) * b / top

    marks = [_axes(ticks(0, right), ticks(0, top), right, top, x, y)]
    places = [to_pixels(p.x, p.y) for p in points]
    occupied = [(cy, cx - 6, cx + 6) for cx, cy in places]
    for p, (cx, cy) in sorted(
        zip(points, places, strict=True), key=lambda pair: (not pair[0].here, pair[0].y)
    ):
        name = p.name if len(p.name) <= 26 else p.name[:25] + "…"
        marks.append(
            Markup(
                '<a href="{}" class="{}"><title>{}</title><circle cx="{:.1f}" cy="{:.1f}" '
                'r="5"/>{}</a>'
            ).format(
                p.href,
                "here" if p.here else "other",
                f"{p.name}: {x} {number(p.x)}, {y} {number(p.y)}",
                cx,
                cy,
                _label_point(name, cx, cy, occupied, must=p.here)
                if p.here or len(points) <= LABELLED
                else "",
            )
        )
    return _svg(marks, f"{y} against {x}; the numbers are in the table below", HIGH)


def _label_point(
    name: str, cx: float, cy: float, occupied: list[tuple[float, float, float]], must: bool
) -> Markup:
    """Write a name right of its point, else left; where both lie on something, only if it must
    stand."""
    long = 7.2 * len(name)
    sides = [("start", cx + 9, cx + 9 + long), ("end", cx - 9 - long, cx - 9)]
    inside = [(way, a, b) for way, a, b in sides if a > LEFT and b < WIDE] or sides[:1]
    free = [
        (way, a, b)
        for way, a, b in inside
        if not any(
            abs(cy - y) < 14 and a < right and left_edge < b for y, left_edge, right in occupied
        )
    ]
    if not free and not must:
        return Markup("")
    way, a, b = (free or inside)[0]
    occupied.append((cy, a, b))
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="label">{}</text>').format(
        a if way == "start" else b, cy + 4, way, name
    )


def _axes(
    xs: Sequence[float], ys: Sequence[float], right: float, top: float, x: str, y: str
) -> Markup:
    parts = [
        Markup('<path class="axis" d="M{0} {1}V{2}H{3}"/>').format(
            LEFT, TOP, HIGH - BOTTOM, WIDE - RIGHT
        )
    ]
    for tick in xs:
        position = LEFT + (WIDE - LEFT - RIGHT) * tick / right
        parts.append(
            Markup('<text x="{:.1f}" y="{}" text-anchor="middle" class="scale">{}</text>').format(
                position, HIGH - BOTTOM + 16, f"{tick:g}"
            )
        )
    for tick in ys:
        position = HIGH - BOTTOM - (HIGH - TOP - BOTTOM) * tick / top
        parts.append(
            Markup('<text x="{}" y="{:.1f}" text-anchor="end" class="scale">{}</text>').format(
                LEFT - 6, position + 4, f"{tick:g}"
            )
        )
    parts.append(
        Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(WIDE - RIGHT, HIGH - 6, x)
    )
    parts.append(Markup('<text x="0" y="14">{}</text>').format(y))
    return Markup("").join(parts)


def log_bars(
    counts: Sequence[tuple[int, int]], per_decade: int, bounds: Sequence[float], name: str
) -> Markup:
    """Draw counts of features by the logarithm of a quantity, with the bounds of its classes as
    lines."""
    high, base = 150, 110
    first = min([i for i, _ in counts] + [math.floor(per_decade * math.log10(b)) for b in bounds])
    last = max([i for i, _ in counts] + [math.ceil(per_decade * math.log10(b)) for b in bounds]) + 1
    first, last = (
        per_decade * math.floor(first / per_decade),
        per_decade * math.ceil(last / per_decade),
    )
    unit, most = (WIDE - 28) / (last - first), max([n for _, n in counts] + [1])
    marks = [
        Markup(
            '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>'
        ).format(
            14 + (i - first) * unit,
            base - 96 * n / most,
            0.9 * unit,
            96 * n / most,
            (
                f"{n:,} features from {10 ** (i / per_decade):.2g} to "
                f"{10 ** ((i + 1) / per_decade):.2g}"
            ),
        )
        for i, n in counts
    ]
    marks.append(Markup('<path class="axis" d="M14 {0}H{1}"/>').format(base, WIDE - 14))
    for decade in range(first // per_decade, last // per_decade + 1):
        position = 14 + (decade * per_decade - first) * unit
        marks.append(
            Markup('<text x="{:.1f}" y="{}" text-anchor="middle" class="scale">{}</text>').format(
                position, base + 16, _power(decade)
            )
        )
    for bound in bounds:
        position = 14 + (per_decade * math.log10(bound) - first) * unit
        marks.append(Markup('<path class="bound" d="M{:.1f} 6V{}"/>').format(position, base))
    marks.append(
        Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(WIDE - 14, high - 6, name)
    )
    return _svg(
        marks,
        f"features by {name}; dashed lines part the classes, whose counts are in the table",
        high,
    )


def _power(decade: int) -> str:
    return {0: "1", -1: "0.1", -2: "0.01"}.get(
        decade, "10" + str(decade).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    )


def _svg(marks: Sequence[Markup], label: str, high: int) -> Markup:
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    ).format(WIDE, high, label, Markup("").join(marks))
