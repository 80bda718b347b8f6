"""Small figures of numbers as inline SVG: they fill their column, need no script, and have their
numbers as text for screen readers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup, escape

from assay.core.nouns import counted, plural
from assay.explorer.render import number

HIGH = 96
"""Pixels that the tallest bar has."""


def histogram(
    counts: Sequence[int], edges: Sequence[float], subject: str, unit: str = "token"
) -> Markup:
    """Bars of counts between edges, drawn equally wide; hovering shows a bar's bounds and count.
    `unit` is the noun of what is counted."""
    if not counts or len(edges) != len(counts) + 1:
        return Markup()
    highest, width = max(counts) or 1, 100 / len(counts)
    unit_text = escape(unit)
    bars = "".join(
        f"<g><title>{number(low)} to {number(high)}: {counted(count, unit_text)}</title><rect "
        'class="hit" '
        f'x="{i * width:.3f}%" y="0" '
        f'width="{width:.3f}%" '
        f'height="{HIGH}"/>{_bar(i * width, 0.88 * width, HIGH * count / highest)}</g>'
        for i, (count, (low, high)) in enumerate(zip(counts, pairwise(edges), strict=True))
    )
    label = (
        f"{subject}, from {number(edges[0])} to {number(edges[-1])} in {len(counts)} bins; "
        f"{plural(unit, 2)} in each: {', '.join(map(str, counts))}"
    )
    return Markup(
        '<svg class="histogram" width="100%" height="{}" role="img" aria-label="{}">{}</svg>'
    ).format(HIGH, label, Markup(bars))


def _bar(x: float, width: float, height: float) -> str:
    """A bar on the lower edge; one that is not empty is never too low to be seen."""
    if height <= 0:
        return ""
    visible_height = max(1.0, height)
    return (
        f'<rect class="bar" x="{x:.3f}%" y="{HIGH - visible_height:.1f}" width="{width:.3f}%" '
        f'height="{visible_height:.1f}"/>'
    )


def interval(value: float, low: float, high: float, subject: str) -> Markup:
    """An estimate with its interval on a line that shows 0."""
    left_edge, right = min(low, 0.0), max(high, 0.0)
    span = (right - left_edge) or 1.0
    left_edge, span = left_edge - 0.06 * span, 1.12 * span
    zero, a, b, c = (100 * (x - left_edge) / span for x in (0.0, low, high, value))
    return Markup(
        '<svg class="interval-bar" width="100%" height="24" role="img" aria-label="{}: {} [{}, '
        '{}]">'
        '<line class="axis" x1="0" x2="100%" y1="12" y2="12"/><line class="tick" x1="{z:.2f}%" '
        'x2="{z:.2f}%" y1="2" y2="22"/>'
        '<line class="bar" x1="{a:.2f}%" x2="{b:.2f}%" y1="12" y2="12"/><circle class="dot" '
        'cx="{c:.2f}%" cy="12" r="4.5"/></svg>'
    ).format(subject, number(value), number(low), number(high), z=zero, a=a, b=b, c=c)
