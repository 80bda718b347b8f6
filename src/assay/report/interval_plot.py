"""The interval plot of one claim as inline SVG: the allowed range shaded, thresholds as lines,
method and controls on one axis.

Positions along the axis are percentages and there is no view box, so text keeps its size and the
plot fits any width. Colours are classes, which the page's style sheet sets for light and dark.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from markupsafe import Markup

from assay.core.results import Estimated, Judged, Other, Published, Verdict
from assay.report.tables import decimals, estimate_of, limits, minus, number

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
    "near": ", near: should fail",
    "control": ", should fail",
    "planted": ", must hold",
    "violation": ", planted violation: should fail",
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


class _Row(NamedTuple):
    """One arm of the plot; limits as they are printed."""

    name: str
    kind: str
    """method, or what `Judged.arms` says that it is."""
    outcome: str
    words: str
    """Its numbers."""
    estimate: float
    low: float
    high: float
    points: tuple[float, ...] = ()


def interval_plot(statement: Judged | Estimated) -> Markup:
    """The plot of one verdict; also of an estimate, which has no range."""
    claim = statement if isinstance(statement, Judged) else None
    rows = [_row((claim and claim.arm) or "value", "method", statement)]
    rows += [_row(arm, role, v, claim) for role, arm, v in claim.arms()] if claim else []
    paper = statement.published if isinstance(statement.published, Published) else None
    low, high = claim.range if claim else (-math.inf, math.inf)
    span = _domain(rows, (low, high), _finite(paper.number) if paper else [])
    if span is None:
        return Markup("")

    def to_percent(value: float) -> float:
        return 3 + 94 * (value - span[0]) / (span[1] - span[0])

    count = len(rows) + bool(paper)
    more = LINE if any(map(_long, rows)) else 0
    bottom = TOP + (ROW + more) * count
    body = [_range(low, high, to_percent, count, more)] if _finite(low, high) else []
    body += [_line(i, row, to_percent, span, more) for i, row in enumerate(rows)]
    if paper:
        body.append(_published(len(rows), paper, to_percent, span, more))
    body.append(_axis(span, to_percent, bottom))
    label = f"{statement.text}: {rows[0].words}" + (
        f", threshold {claim.threshold}" if claim and claim.threshold else ""
    )
    return Markup(
        '<svg class="intervals" width="100%" height="{}" role="img" aria-label="{}">{}</svg>'
    ).format(bottom + AXIS, label, Markup("").join(body))


def _row(
    name: str, kind: str, numbers: Verdict | Other | Estimated, claim: Judged | None = None
) -> _Row:
    """An arm; one that satisfies the claim as well is known by its numbers alone."""
    other = claim if isinstance(numbers, Other) else None
    outcome = numbers.outcome if isinstance(numbers, Verdict) else "holds" if other else "finding"
    words = " ".join(estimate_of(numbers, other))
    points = () if isinstance(numbers, Other) else numbers.points
    return _Row(name, kind, outcome, words, numbers.estimate, *limits(numbers, other), points)


def _finite(*values: float) -> list[float]:
    return [v for v in values if math.isfinite(v)]


def _domain(
    rows: list[_Row], thresholds: tuple[float, ...], published: list[float]
) -> tuple[float, float] | None:
    """What the axis shows: the method and its thresholds, and whatever else is not too far away."""
    method, *others = rows
    core = _finite(method.estimate, method.low, method.high, *thresholds)
    more = [v for o in others for v in _finite(o.estimate, o.low, o.high)] + published
    core = core or more
    if not core or not _finite(*(row.estimate for row in rows)):
        return None
    low, high = min(core), max(core)
    span = (high - low) or abs(high) / 2 or 1.0
    near = [v for v in more if low - FAR * span <= v <= high + FAR * span] + [low, high]
    low, high = min(near), max(near)
    margin = 0.06 * ((high - low) or span)
    return low - margin, high + margin


def _range(low: float, high: float, to_percent: Any, rows: int, more: int) -> Markup:
    """The allowed range and its thresholds: a strip behind each row's bar, so that no line crosses
    a number."""
    ends = {value: to_percent(value) for value in _finite(low, high)}
    left_edge, right = ends.get(low, 0.0), ends.get(high, 100.0)
    out = Markup("")
    for i in range(rows):
        top = TOP + (ROW + more) * i + BAR + more - 10
        out += Markup(
            '<rect class="allowed" x="{:.2f}%" width="{:.2f}%" y="{}" height="20"/>'
        ).format(left_edge, right - left_edge, top)
        for x in ends.values():
            out += Markup(
                '<line class="threshold" x1="{0:.2f}%" x2="{0:.2f}%" y1="{1}" y2="{2}"/>'
            ).format(x, top, top + 20)
    edge = Markup('<text class="edge" x="{:.2f}%" y="13" text-anchor="{}">{}</text>')
    # Two labels would meet, at the latest on a small screen.
    if len(ends) == 2 and right - left_edge < 40:
        middle = (left_edge + right) / 2
        return out + edge.format(middle, _anchor(middle, 15), minus(f"{low:g} to {high:g}"))
    for value, x in ends.items():
        # with > the lowest number that holds is the one next to the threshold
        typed = 0.0 if abs(value) < 1e-300 else float(f"{value:.12g}")
        signs = "≥>" if value == low else "≤<"
        out += edge.format(x, _anchor(x, 10), minus(f"{signs[typed != value]} {typed:g}"))
    return out


def _anchor(x: float, margin: float) -> str:
    return "start" if x < margin else "end" if x > 100 - margin else "middle"


def _line(i: int, row: _Row, to_percent: Any, span: tuple[float, float], more: int) -> Markup:
    """One arm: its name and numbers; beneath them units as faint points, the interval as a thin
    bar, the estimate as a mark."""
    name, kind, outcome, words, middle, low, high, points = row
    top = TOP + (ROW + more) * i
    text_y, y = top + NAME, top + BAR + more
    role, brief = _part(kind, outcome), _part(kind, outcome, brief=True)
    out = _labels(name, role, brief, words, text_y, more)
    if not math.isfinite(middle):
        return out
    for p in _finite(*points):
        if span[0] <= p <= span[1]:
            out += Markup('<circle class="unit" cx="{:.2f}%" cy="{}" r="2"/>').format(
                to_percent(p), y + 7
            )
    if len(_finite(low, high)) == 2 and high >= span[0] and low <= span[1]:
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


def _long(row: _Row) -> bool:
    """Whether a row's name and part leave no room for its numbers beside them."""
    whole, brief = (
        len(row.name) + len(_part(row.kind, row.outcome, brief)) + len(row.words)
        for brief in (False, True)
    )
    return whole > FITS or brief > NARROW


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
    i: int, published: Published, to_percent: Any, span: tuple[float, float], more: int
) -> Markup:
    """The published number as a labelled tick; another set-up is said, not hidden."""
    value, top = published.number, TOP + (ROW + more) * i
    text_y, y = top + NAME, top + BAR + more
    role = "" if published.same else ", other set-up"
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
