"""A score between 0 and 1 beside those of controls, as a line: an estimate with its interval, and a
tick for each control."""

from __future__ import annotations

import math
from collections.abc import Mapping

from markupsafe import Markup

from assay.circuits.verify.score import Row
from assay.explorer import render


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
