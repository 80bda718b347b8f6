"""The interval plot of one claim as inline SVG: the allowed range shaded, thresholds as lines,
method and controls on one axis.

Positions along the axis are percentages and there is no view box, so text keeps its size and the
plot fits any width. Colours are classes, which the page's style sheet sets for light and dark.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from markupsafe import Markup

from assay.core.bands import BANDED
from assay.core.digits import decimals, number
from assay.core.results import Estimated, Judged, Other, Published, Verdict, unit_of
from assay.report.tables import ROLES, control, estimate_of, limits, minus, quantity

ROW, TOP, AXIS, TITLE = 54, 20, 30, 18
NAME, BAR = 14, 30
"""Heights of a row's text and of its bar, from the row's top, in pixels."""
ABREAST, LONGEST = 44, 88
"""Letters of a line of an axis's title, which fit on a small screen, and of all that an axis shows;
of what is longer only the unit is printed."""
LINE = 17
"""Height of a further line of text; every row has as many lines as the one with most."""
DOT, ROOM, LARGEST = 4, 3, 5
"""Height of a unit's point in a stack of equal ones; how many of them fit below a bar, of more
there is one point with their number; and the largest radius of such a point, in pixels."""
LETTER = 2.5
"""Width of a letter of the axis, in percent of a plot on a small screen."""
FITS, WIDE = 46, 58
"""The letters of a row's text that fit on one line of a small screen, and of 460 pixels; the style
sheet sets names that fit there next to their numbers."""
FAR = 8
"""A control or published number further from the method and its thresholds than so many of their
spans gets an arrow."""
NAMED, LABEL = 50, 60
"""So many units of a row, those farthest from its estimate, have their names in the page, each in
at most so many letters."""
FAR_UNITS = 2
"""A unit further from all intervals and thresholds than so many of their spans is counted at the
edge of the plot, and not drawn."""

CLASSES = {"near": "control near", "control": "control", "violation": "control"}
"""The class of an arm's row by its role; all others are grey, as what is planted is."""
CAME = {"fails": "", "holds": ": satisfies it too", "undecided": ": undecided"}
"""The words for each outcome of a control; of one that fails the sign says enough."""
FOUND = {True: "found", False: "not found", None: "undecided"}
"""What came of what was planted."""
MARKS = {
    "holds": '<circle r="5" class="filled"/>',
    "fails": '<path d="M-4.5-4.5L4.5 4.5M-4.5 4.5L4.5-4.5" class="cross"/>',
    "undecided": '<circle r="4.5" class="open"/>',
    "unspecific": (
        '<circle r="4.5" class="open"/><path d="M0-4.5A4.5 4.5 0 0 0 0 4.5Z" class="filled"/>'
    ),
    "finding": '<circle r="4" class="filled"/>',
    "published": '<line class="tick" y1="-6" y2="6"/>',
}
"""Outcome → the mark of what has a verdict of its own; other arms have a dot, so that no control
looks like a claim that fails, and a published number has a tick."""


class _Row(NamedTuple):
    """One arm of the plot, or the published number; limits as they are printed."""

    name: str
    """With what it is to the claim."""
    group: str
    """The class of the row: method, control, planted or published."""
    mark: str
    words: str
    """Its numbers."""
    estimate: float
    low: float = math.nan
    high: float = math.nan
    points: tuple[float, ...] = ()
    units: tuple[str, ...] = ()
    """The name of each of these points; empty where they are not known."""


def interval_plot(statement: Judged | Estimated) -> Markup:
    """The plot of one verdict for a page, whose style sheet sets it by the width of its place; also
    of an estimate, which has no range."""
    drawn = interval_svg(statement)
    return drawn and Markup('<div class="intervals-plot">{}</div>').format(drawn)


def interval_svg(statement: Judged | Estimated, fits: int = FITS) -> Markup:
    """Draw one verdict. Where a row has more than `fits` letters, numbers are below names, and what
    is longer than a line wraps."""
    claim = statement if isinstance(statement, Judged) else None
    rows = list(_rows(statement, claim))
    low, high = claim.range if claim else (-math.inf, math.inf)
    shown = quantity(statement)
    span = _domain(rows, [low, high], shown == "effect" or " - " in shown)
    if span is None:
        return Markup("")

    def to_percent(value: float) -> float:
        return 3 + 94 * (value - span[0]) / (span[1] - span[0])

    longest = max(len(row.name) + len(row.words) for row in rows)
    lines = 1 if longest <= fits else max(sum(map(len, _wrapped(row, fits))) for row in rows)
    more = LINE * (lines - 1)
    *tops, bottom = range(TOP, TOP + (ROW + more) * len(rows) + 1, ROW + more)
    bars = [top + BAR + more for top in tops]
    body = [_range(low, high, to_percent, bars)] if _finite(low, high) else []
    body += [_line(y, row, to_percent, span, more, fits) for y, row in zip(bars, rows, strict=True)]
    title = textwrap.wrap(axis_title(statement), ABREAST)
    body.append(_axis(_ticks(span, _whole(rows)), to_percent, bottom, title))
    label = f"{statement.text}: {rows[0].words}" + (
        f", threshold {claim.threshold}" if claim and claim.threshold else ""
    )
    return Markup(
        '<svg class="intervals{}" width="100%" height="{}" role="img" aria-label="{}">{}</svg>'
    ).format(
        " two-lines" if lines == 2 and longest <= WIDE else "",
        bottom + AXIS + TITLE * len(title),
        label,
        Markup("").join(body),
    )


def axis_title(statement: Judged | Estimated) -> str:
    """Say what an axis shows, and in which unit: "patched.right, in nats"; "" of what is neither
    known."""
    shown = quantity(statement)
    unit = f"in {unit}" if (unit := unit_of(statement)) else ""
    return ", ".join(filter(None, [shown * (len(shown) <= LONGEST), unit]))


def _rows(statement: Judged | Estimated, claim: Judged | None) -> Iterator[_Row]:
    """The arm that a statement is about, all others that it names or that make it unspecific, and
    the published number."""
    name, outcome = (claim.arm, claim.outcome) if claim else ("", "finding")
    numbers = statement.estimate, *limits(statement)
    words = minus(" ".join(filter(None, estimate_of(statement))))
    of_mean = BANDED in statement.method  # a number over the means of levels: no mean of units
    points = () if of_mean else statement.points
    yield _Row(name or "value", "method", outcome, words, *numbers, points, _named(claim))
    for role, arm, v in claim.arms() if claim else ():
        if role == "true":
            continue
        c, about = control(role, arm, v, claim), claim if isinstance(v, Other) else None
        kind = ROLES.get(role, "")
        if kind == "control":
            came = CAME[c.outcome]
        else:
            came = f": {kind} {FOUND[c.met]}"
        came = came if kind else ": may satisfy it too" if role == "also" else ": satisfies it too"
        came = came if c.too else came.replace("it too", "the claim")
        points = () if isinstance(v, Other) or of_mean else v.points
        mark = "undecided" if c.outcome == "undecided" else "finding"
        numbers = v.estimate, *limits(v, about)
        words = minus(f"{c.estimate} {c.interval}")
        name = f"{c.sign} {arm}{came}".lstrip()
        group, units = CLASSES.get(role, "planted"), _named(v)
        yield _Row(name, group, mark, words, *numbers, points, units)
    if isinstance(paper := statement.published, Published):
        name = "published" if paper.same else "published, other set-up"
        yield _Row(name, "published", "published", minus(number(paper.number)), paper.number)


def _named(verdict: Verdict | Other | None) -> tuple[str, ...]:
    """Name each unit: a prompt by its row and its text, others by their level."""
    if not isinstance(verdict, Verdict) or not verdict.units:
        return ()
    prompts = (f"{r.row} ({textwrap.shorten(r.label, LABEL)})" for r in verdict.rows)
    return tuple(f"{verdict.units[0]} {x}" for x in (*prompts,) or verdict.levels)


def _finite(*values: float) -> list[float]:
    return [v for v in values if math.isfinite(v)]


def _domain(rows: list[_Row], ends: list[float], effect: bool) -> tuple[float, float] | None:
    """What the axis shows: the method and its thresholds, other arms and units that are not too far
    away, and 0 where that is no effect and leaves a third of the width to all else."""
    method, *others = rows
    core = _finite(method.estimate, method.low, method.high, *ends)
    more = [v for o in others for v in _finite(o.estimate, o.low, o.high)]
    core = core or more
    if not core or not _finite(*(row.estimate for row in rows)):
        return None
    low, high = min(core), max(core)
    span = (high - low) or abs(high) / 2 or 1.0
    near = [v for v in more if low - FAR * span <= v <= high + FAR * span] + [low, high]
    low, high = min(near), max(near)
    reach = FAR_UNITS * ((high - low) or span)
    units = [v for row in rows for v in _finite(*row.points)]
    drawn = [v for v in units if low - reach <= v <= high + reach]
    low, high = min([low, *drawn]), max([high, *drawn])
    if effect and 3 * (high - low) >= max(high, 0.0) - min(low, 0.0):
        low, high = min(low, 0.0), max(high, 0.0)
    margin, wide = 0.06 * ((high - low) or span), 0.25 * ((high - low) or span)
    below, above = min([low, *units]) < low, max([high, *units]) > high
    # how many lie beyond an end is written there, where no unit is drawn
    return low - margin - wide * below, high + margin + wide * above


def _range(low: float, high: float, to_percent: Any, bars: Sequence[int]) -> Markup:
    """The allowed range and its thresholds: a strip behind each row's bar, so that no line crosses
    a number."""
    ends = {value: to_percent(value) for value in _finite(low, high)}
    left_edge, right = ends.get(low, 0.0), ends.get(high, 100.0)
    out = Markup("")
    for top in (y - 10 for y in bars):
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
        both = minus(f"{low:g} to {high:g}")
        return out + edge.format(middle, _anchor(middle, both), both)
    for value, x in ends.items():
        # with > the lowest number that holds is the one next to the threshold
        typed = 0.0 if abs(value) < 1e-300 else float(f"{value:.12g}")
        signs = "≥>" if value == low else "≤<"
        words = minus(f"{signs[typed != value]} {typed:g}")
        out += edge.format(x, _anchor(x, words), words)
    return out


def _anchor(x: float, words: str) -> str:
    """From where words at a percentage of the width are written, so that they fit a small
    screen."""
    half = LETTER / 2 * len(words)
    return "start" if x < half else "end" if x > 100 - half else "middle"


def _wrapped(row: _Row, fits: int) -> tuple[list[str], list[str]]:
    """Name and numbers in lines of so many letters, of which bold ones are wider."""
    letters = fits * 3 // 4 if row.group == "method" else fits
    return textwrap.wrap(row.name, letters), textwrap.wrap(row.words, letters)


def _text(kind: str, lines: Sequence[str], x: int, y: int, anchor: str = "start") -> Markup:
    """Lines of text, each from the same percentage of the width."""
    line = Markup('<text class="{}" x="{}%" y="{}" text-anchor="{}">{}</text>')
    drawn = (line.format(kind, x, y + LINE * i, anchor, words) for i, words in enumerate(lines))
    return Markup("").join(drawn)


def _line(
    y: int, row: _Row, to_percent: Any, span: tuple[float, float], more: int, fits: int
) -> Markup:
    """One row, whose bar is at `y`: its name, and its numbers next to it or, where a row does not
    fit on a line, below it; beneath them units as faint points, the interval as a thin bar, the
    estimate as a mark."""
    name, group, shape, words, middle, low, high, *_ = row
    names, numbers = _wrapped(row, fits) if more else ([name], [words])
    numbers_y = y - BAR + NAME - LINE * (len(numbers) - 1)
    name_y = numbers_y - LINE * len(names) if more else numbers_y
    out = _text("name", names, 3, name_y) + _text("numbers", numbers, 97, numbers_y, "end")
    if not math.isfinite(middle):
        return out
    if span[0] <= middle <= span[1]:
        out += _units(row, to_percent, span, y + 7)
    if len(_finite(low, high)) == 2 and high >= span[0] and low <= span[1]:
        ends = to_percent(max(low, span[0])), to_percent(min(high, span[1]))
        out += Markup('<line class="bar" x1="{:.2f}%" x2="{:.2f}%" y1="{}" y2="{}"/>').format(
            *ends, y, y
        )
    if span[0] <= middle <= span[1]:
        mark = Markup(MARKS.get(shape, MARKS["finding"]))
        out += Markup('<svg class="mark {}" x="{:.2f}%" y="{}" overflow="visible">{}</svg>').format(
            shape, to_percent(middle), y, mark
        )
    else:
        out += _arrow(middle < span[0], y)
    return Markup('<g class="{}">{}</g>').format(group, out)


def _units(row: _Row, to_percent: Any, span: tuple[float, float], y: int) -> Markup:
    """Units as faint points with their names, equal ones in a stack, or as one point with their
    number; at each end of the axis, how many lie beyond it."""
    out = Markup("")
    names = row.units if len(row.units) == len(row.points) else ("",) * len(row.points)
    points = [(p, name) for p, name in zip(row.points, names, strict=True) if math.isfinite(p)]
    points.sort(key=lambda unit: -abs(unit[0] - row.estimate))
    stacks: dict[str, list[Markup]] = {}
    for k, (p, name) in enumerate(points):
        if span[0] <= p <= span[1]:
            title = Markup("<title>{}: {}</title>").format(name, minus(number(p)))
            shown = title if name and k < NAMED else Markup("")
            stacks.setdefault(f"{to_percent(p):.2f}%", []).append(shown)
    taken = [float(place[:-1]) for place in stacks]
    for place, titles in sorted(stacks.items(), key=lambda stack: -len(stack[1])):
        if len(titles) > ROOM:
            out += _count(len(titles), len(points), place, y, taken)
            continue
        for k, title in enumerate(titles):
            out += Markup('<circle class="unit" cx="{}" cy="{}" r="2">{}</circle>').format(
                place, y + DOT * k, title
            )
    beyond = Markup('<text class="scale halo" x="{}%" y="{}" text-anchor="{}">{}</text>')
    if below := sum(p < span[0] for p, _ in points):
        out += beyond.format(0, y + 5, "start", f"◂ {below} more")
    if above := sum(p > span[1] for p, _ in points):
        out += beyond.format(100, y + 5, "end", f"{above} more ▸")
    return out


def _count(count: int, of: int, place: str, y: int, taken: list[float]) -> Markup:
    """One point for so many equal units; with their number on a side where nothing is on a small
    screen, and where from then on something is."""
    radius = min(LARGEST, round(1.2 * math.sqrt(count), 1))
    x, reach = float(place[:-1]), LETTER * (1 + len(str(count)))
    point = Markup('<circle class="unit" cx="{}" cy="{}" r="{}"><title>{} of {}</title></circle>')
    out = point.format(place, y + 3, radius, count, of)
    words = Markup('<text class="count" x="{}" y="{}" dx="{}" text-anchor="{}">{}</text>')
    for side, sign in (("start", 1), ("end", -1)):
        ends = x + sign * reach / 2, x + sign * reach
        if 0 < ends[1] < 100 and not any(0 < sign * (t - x) <= reach for t in taken):
            taken += ends
            return out + words.format(place, y + 8, sign * (radius + 3), side, count)
    return out


def _arrow(leftward: bool, y: int) -> Markup:
    path = "M8-4L2 0L8 4" if leftward else "M-8-4L-2 0L-8 4"
    return Markup(
        '<svg x="{}%" y="{}" overflow="visible"><path class="arrow" d="{}"/></svg>'
    ).format(0 if leftward else 100, y, path)


def _whole(rows: Sequence[_Row]) -> bool:
    """Whether all that is shown are whole numbers, as levels and counts are; not of 0 and 1, of
    which a mean is a share."""
    numbers = [x for r in rows for x in r.points or _finite(r.estimate, r.low, r.high)]
    return all(float(x).is_integer() for x in numbers) and any(abs(x) > 1 for x in numbers)


def _axis(values: Sequence[float], to_percent: Any, bottom: int, title: Sequence[str]) -> Markup:
    out = Markup('<line class="axis" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(bottom)
    for value, label in zip(values, labels(values), strict=True):
        x = to_percent(value)
        out += Markup('<line class="axis" x1="{0:.2f}%" x2="{0:.2f}%" y1="{1}" y2="{2}"/>').format(
            x, bottom, bottom + 4
        )
        out += Markup('<text class="scale" x="{:.2f}%" y="{}" text-anchor="{}">{}</text>').format(
            x, bottom + 18, _anchor(x, label), label
        )
    for i, line in enumerate(title, 1):
        out += Markup('<text class="scale" x="50%" y="{}" text-anchor="middle">{}</text>').format(
            bottom + 18 + TITLE * i, minus(line)
        )
    return out


def _ticks(span: tuple[float, float], whole: bool) -> list[float]:
    """As many of up to five ticks as have room for their numbers on a small screen."""
    chosen: list[float] = []
    for most in (5, 4, 3, 2):
        chosen = ticks(*span, most, whole=whole)
        step = (chosen[1] - chosen[0]) / (span[1] - span[0]) if len(chosen) > 1 else 1
        if max(map(len, labels(chosen)), default=0) * LETTER < 94 * step:
            break
    return chosen


def ticks(low: float, high: float, most: int = 5, *, whole: bool = False) -> list[float]:
    """At most `most` round numbers between two ends; whole ones, where nothing else is shown."""
    raw = max((high - low) / most, float(whole))
    power = 10.0 ** math.floor(math.log10(raw))
    steps = [m * power for m in (1, 2, 2.5, 5, 10)]
    step = next(s for s in steps if s >= raw and not (whole and s % 1))
    places = max(0, (decimals(0, 2 * step) or 0) + 2)
    return [
        round(k * step, places) + 0.0
        for k in range(math.ceil(low / step), math.floor(high / step) + 1)
    ]


def log_ticks(low: float, high: float, most: int = 7) -> list[float]:
    """At most `most` numbers of one significant digit between two positive ends, as many as are
    evenly chosen in each power of ten; none where even powers of ten are more."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in (range(1, 10), (1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        values = [float(f"{d}e{power}") for power in powers for d in digits]
        if len(inside := [x for x in values if low <= x <= high]) <= most:
            return inside
    return []


def labels(values: Sequence[float]) -> list[str]:
    """Write the numbers of an axis as one would by hand: −10, 2,500, 0.0005; all of them with an
    exponent where one would have many zeros: 2e−7."""
    if all(1e-6 <= abs(value) < 1e9 for value in values if value):
        return [minus(f"{Decimal(repr(float(v))):,f}".removesuffix(".0")) for v in values]
    written = (next(t for k in (6, 15, 17) if float(t := f"{v:.{k}g}") == v) for v in values)
    return [minus(re.sub(r"e\+?(-?)0*", r"e\1", text)) for text in written]
