"""The interval plot of one claim as inline SVG: the allowed range shaded, thresholds as lines,
method and controls on one axis.

Positions along the axis are percentages and there is no view box, so text keeps its size and the
plot fits any width. Colours are classes, which the page's style sheet sets for light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from assay.report.tables import decimals, estimate, limits, minus, number, role_of_other

ROW, TOP, AXIS = 48, 20, 30
NAME, BAR = 14, 30
"""Heights of a row's text and of its bar, from the row's top, in pixels."""
LINE = 17
"""By so much every row is higher where the numbers of one stand on a line of their own."""
FITS, NARROW = 60, 46
"""So many letters of a row's text fit on one line, and on a small screen, where the shorter words
stand."""
FAR = 8
"""A control or published number further from the method and its thresholds than so many of their
spans gets an arrow."""

ROLES = {
    "near": ", near: must fail",
    "control": ", must fail",
    "planted": ", must hold",
    "violation": ", planted violation: must fail",
    "also": ", may hold too",
    "true": ", too",
    "unnamed": ", holds too",
}
MUST = {"near": "fails", "control": "fails", "planted": "holds", "violation": "fails"}
"""What an arm has to come out as."""
BRIEF = {
    "near": ", near",
    "planted": ", must hold",
    "violation": ", violation",
    "also": ", may hold too",
    "true": ", too",
    "unnamed": ", holds too",
    "published": ", other set-up",
}
"""Shorter words where there is little room; a control is known by its dotted bar."""
MARKS = {
    "holds": '<circle r="5" class="filled"/>',
    "fails": '<path d="M-4.5-4.5L4.5 4.5M-4.5 4.5L4.5-4.5" class="cross"/>',
    "undecided": '<circle r="4.5" class="open"/>',
    "unspecific": (
        '<circle r="4.5" class="open"/><path d="M0-4.5A4.5 4.5 0 0 0 0 4.5Z" class="filled"/>'
    ),
    "finding": '<circle r="4" class="filled"/>',
}
"""Outcome → the mark of what has a verdict of its own; other arms have a dot, so that no control
looks like a claim that fails."""


def interval_plot(entry: Mapping[str, Any]) -> Markup:
    """The plot of one verdict's JSON; also of an estimate, which has no range."""
    lines = [(entry.get("arm") or "value", "method", entry)]
    near = entry.get("near") or {}
    controls = [
        (arm, "near" if arm in near else "control", c)
        for arm, c in (entry.get("controls") or {}).items()
    ]
    lines += sorted(controls, key=lambda line: line[1] != "near")
    lines += [(arm, "planted", c) for arm, c in (entry.get("planted") or {}).items()]
    lines += [(arm, "violation", c) for arm, c in (entry.get("violations") or {}).items()]
    for arm, c in (entry.get("also") or {}).items():
        lines.append((arm, role_of_other(entry, c), {**c, "outcome": "holds"}))
    published = _number_of(entry.get("published"))
    span = _domain(entry, [line[2] for line in lines[1:]], published)
    if span is None:
        return Markup("")

    def to_percent(value: float) -> float:
        return 3 + 94 * (value - span[0]) / (span[1] - span[0])

    rows = len(lines) + bool(published)
    more = LINE if any(_long(name, kind, e) for name, kind, e in lines) else 0
    bottom = TOP + (ROW + more) * rows
    low, high = entry.get("range") or (None, None)
    body = [_range(low, high, to_percent, rows, more)] if (low, high) != (None, None) else []
    body += [
        _line(i, name, kind, e, to_percent, span, more) for i, (name, kind, e) in enumerate(lines)
    ]
    if published:
        body.append(_published(len(lines), published, to_percent, span, more))
    body.append(_axis(span, to_percent, bottom))
    value, interval = estimate(entry)
    label = f"{entry['text']}: {value} {interval}" + (
        f", threshold {entry['threshold']}" if entry.get("threshold") else ""
    )
    return Markup(
        '<svg class="intervals" width="100%" height="{}" role="img" aria-label="{}">{}</svg>'
    ).format(bottom + AXIS, label, Markup("").join(body))


def _number_of(published: Any) -> Mapping[str, Any] | None:
    """What a paper prints, where it is a number and not the word that nobody has printed one."""
    return published if isinstance(published, Mapping) else None


def _finite(*values: float | None) -> list[float]:
    return [v for v in values if v is not None and math.isfinite(v)]


def _domain(
    entry: Mapping[str, Any], other_entries: list, published: Mapping[str, Any] | None
) -> tuple[float, float] | None:
    """What the axis shows: the method and its thresholds, and whatever else is not too far away."""
    core = _finite(entry.get("estimate"), *limits(entry), *(entry.get("range") or ()))
    more = [v for o in other_entries for v in _finite(o.get("estimate"), *limits(o))]
    more += _finite(published["number"]) if published else []
    if not core:
        core = more
    if not core or not _finite(entry.get("estimate"), *(o.get("estimate") for o in other_entries)):
        return None
    low, high = min(core), max(core)
    span = (high - low) or abs(high) / 2 or 1.0
    near = [v for v in more if low - FAR * span <= v <= high + FAR * span] + [low, high]
    low, high = min(near), max(near)
    margin = 0.06 * ((high - low) or span)
    return low - margin, high + margin


def _range(low: float | None, high: float | None, to_percent: Any, rows: int, more: int) -> Markup:
    """The allowed range and its thresholds: a strip behind each row's bar, so that no line crosses
    a number."""
    left_edge, right = (
        to_percent(low) if low is not None else 0.0,
        to_percent(high) if high is not None else 100.0,
    )
    out = Markup("")
    for i in range(rows):
        top = TOP + (ROW + more) * i + BAR + more - 10
        out += Markup(
            '<rect class="allowed" x="{:.2f}%" width="{:.2f}%" y="{}" height="20"/>'
        ).format(left_edge, right - left_edge, top)
        for x in (left_edge if low is not None else None, right if high is not None else None):
            if x is not None:
                out += Markup(
                    '<line class="threshold" x1="{0:.2f}%" x2="{0:.2f}%" y1="{1}" y2="{2}"/>'
                ).format(x, top, top + 20)
    edge = Markup('<text class="edge" x="{:.2f}%" y="13" text-anchor="{}">{}</text>')
    if (
        low is not None and high is not None and right - left_edge < 40
    ):  # two labels would meet, at the latest on a small screen
        middle = (left_edge + right) / 2
        return out + edge.format(middle, _anchor(middle, 15), minus(f"{low:g} to {high:g}"))
    for value, sign in ((low, "≥"), (high, "≤")):
        if value is not None:
            out += edge.format(
                to_percent(value), _anchor(to_percent(value), 10), minus(f"{sign} {value:g}")
            )
    return out


def _anchor(x: float, margin: float) -> str:
    return "start" if x < margin else "end" if x > 100 - margin else "middle"


def _line(
    i: int,
    name: str,
    kind: str,
    entry: Mapping[str, Any],
    to_percent: Any,
    span: tuple[float, float],
    more: int,
) -> Markup:
    """One arm: its name and numbers; beneath them units as faint points, the interval as a thin
    bar, the estimate as a mark."""
    top = TOP + (ROW + more) * i
    text_y, y = top + NAME, top + BAR + more
    value, interval = estimate(entry)
    outcome = entry.get("outcome", "finding")
    out = _labels(
        name,
        _part(kind, outcome),
        _part(kind, outcome, brief=True),
        f"{value} {interval}",
        text_y,
        more,
    )
    middle, (low, high) = entry.get("estimate"), limits(entry)
    if middle is None:
        return out
    for p in _finite(*(entry.get("points") or ())):
        if span[0] <= p <= span[1]:
            out += Markup('<circle class="unit" cx="{:.2f}%" cy="{}" r="2"/>').format(
                to_percent(p), y + 7
            )
    if low is not None and high is not None and high >= span[0] and low <= span[1]:
        ends = to_percent(max(low, span[0])), to_percent(min(high, span[1]))
        out += Markup('<line class="bar" x1="{:.2f}%" x2="{:.2f}%" y1="{}" y2="{}"/>').format(
            *ends, y, y
        )
    if span[0] <= middle <= span[1]:
        shape = outcome if kind == "method" or outcome == "undecided" else "finding"
        mark = Markup(MARKS.get(shape, MARKS["finding"]))
        out += Markup('<svg class="mark {}" x="{:.2f}%" y="{}" overflow="visible">{}</svg>').format(
            shape, to_percent(middle), y, mark
        )
    else:
        out += _arrow(middle < span[0], y)
    groups = {"near": "control near", "violation": "control"}
    group = groups.get(kind, "planted" if kind in ("also", "true", "unnamed") else kind)
    return Markup('<g class="{}">{}</g>').format(group, out)


def _long(name: str, kind: str, entry: Mapping[str, Any]) -> bool:
    """Whether a row's name and part leave no room for its numbers beside them."""
    outcome, numbers = entry.get("outcome", "finding"), len(" ".join(estimate(entry)))
    words = [len(name) + len(_part(kind, outcome, brief)) + numbers for brief in (False, True)]
    return words[0] > FITS or words[1] > NARROW


def _part(kind: str, outcome: str, brief: bool = False) -> str:
    """Say what an arm must do, and what it does where that is not it."""
    role, must = (BRIEF if brief else ROLES).get(kind, ""), MUST.get(kind, "")
    if not must or outcome in (must, "finding"):
        return role
    came = "undecided" if outcome == "undecided" else "passes" if must == "fails" else "fails"
    if brief:
        return f"{role}, {came}"
    return f"{role}: undecided" if outcome == "undecided" else f"{role} but {came}"


def _labels(name: str, role: str, brief: str, numbers: str, y: int, more: int) -> Markup:
    """A row's text: the arm and its part on the left, its numbers on the right, lower where they
    need a line of their own."""
    part = (
        Markup('<tspan class="role">{}</tspan><tspan class="brief">{}</tspan>').format(role, brief)
        if brief != role
        else Markup.escape(role)
    )
    return Markup(
        '<text class="name" x="3%" y="{}">{}{}</text><text class="numbers" x="97%" y="{}" '
        'text-anchor="end">{}</text>'
    ).format(y, name, part, y + more, minus(numbers))


def _arrow(leftward: bool, y: int) -> Markup:
    path = "M8-4L2 0L8 4" if leftward else "M-8-4L-2 0L-8 4"
    return Markup(
        '<svg x="{}%" y="{}" overflow="visible"><path class="arrow" d="{}"/></svg>'
    ).format(0 if leftward else 100, y, path)


def _published(
    i: int, published: Mapping[str, Any], to_percent: Any, span: tuple[float, float], more: int
) -> Markup:
    """The published number as a labelled tick; another set-up is said, not hidden."""
    value, top = published["number"], TOP + (ROW + more) * i
    text_y, y = top + NAME, top + BAR + more
    role = "" if published.get("same") else ", other set-up"
    out = _labels(
        "published", role, BRIEF["published"] if role else "", number(value), text_y, more
    )
    if span[0] <= value <= span[1]:
        out += Markup('<line class="tick" x1="{0:.2f}%" x2="{0:.2f}%" y1="{1}" y2="{2}"/>').format(
            to_percent(value), y - 6, y + 6
        )
    else:
        out += _arrow(value < span[0], y)
    return Markup('<g class="published">{}</g>').format(out)


def _axis(span: tuple[float, float], to_percent: Any, bottom: int) -> Markup:
    out = Markup('<line class="axis" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(bottom)
    for value in ticks(*span):
        x = to_percent(value)
        out += Markup('<line class="axis" x1="{0:.2f}%" x2="{0:.2f}%" y1="{1}" y2="{2}"/>').format(
            x, bottom, bottom + 4
        )
        out += Markup('<text class="scale" x="{:.2f}%" y="{}" text-anchor="{}">{}</text>').format(
            x, bottom + 18, _anchor(x, 5), minus(f"{value:.6g}")
        )
    return out


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """At most `most` round numbers between two ends."""
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw)
    places = max(0, (decimals(0, 2 * step) or 0) + 2)
    return [
        round(k * step, places) + 0.0
        for k in range(math.ceil(low / step), math.floor(high / step) + 1)
    ]
