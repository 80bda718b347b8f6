"""A score between 0 and 1 beside those of controls, as a line: an estimate with its interval, and a
tick for each control."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from markupsafe import Markup

from assay.explorer import render

if TYPE_CHECKING:
    from assay.circuits.verify.score import Row


def share(own: Row, controls: Mapping[str, Row]) -> Markup:
    """Draw one score; nothing where it is not known."""
    if not math.isfinite(own.estimate):
        return Markup("")
    at = {
        name: 100 * min(1.0, max(0.0, row.estimate))
        for name, row in controls.items()
        if math.isfinite(row.estimate)
    }
    ticks = Markup("").join(
        Markup('<line class="control" x1="{x:.1f}%" x2="{x:.1f}%" y1="4" y2="20"/>').format(x=x)
        for x in at.values()
    )
    beside = ", ".join(f"{name} {render.share(row.estimate, 3)}" for name, row in controls.items())
    told = (
        f"{render.share(own.estimate, 3)} [{render.share(own.low, 3)}, "
        f"{render.share(own.high, 3)}]; controls: {beside}"
    )
    low, high, x = (100 * min(1.0, max(0.0, v)) for v in (own.low, own.high, own.estimate))
    return Markup(
        '<svg class="share" width="100%" height="24" role="img" aria-label="{}"><title>{}</title>'
        '<line class="axis" x1="0" x2="100%" y1="12" y2="12"/>'
        '{}<line class="bar" x1="{:.1f}%" x2="{:.1f}%" y1="12" y2="12"/><circle class="dot" '
        'cx="{:.1f}%" cy="12" r="4.5"/></svg>'
    ).format(told, told, ticks, low, high, x)
