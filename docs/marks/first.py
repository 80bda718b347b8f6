"""The picture of the README: the claim of its first example with the controls that decided it, from
a committed record.

It is drawn wide and for a narrow screen, and repaints itself in the dark."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path

from markupsafe import Markup
from msgspec import structs

from assay.core.results import Judged, ResultData
from assay.lab.records import records
from assay.report import palette
from assay.report.interval_plot import interval_svg
from assay.report.tables import SIGNS, estimate_of, minus

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs/pictures"
RECORD = ROOT / "replications/records/middle-places-smollm2.json"
CLAIM = 0
"""Which of the record's claims it shows."""
ARM = "probe after block 14"
CONTROLS = {
    "agent/places": "token embeddings, no block",
    "agent/untrained": "the same model, untrained",
    "agent/permuted": "shuffled labels",
}
"""What the picture calls the arms of its claim."""
WIDE, NARROW, EDGE = 680, 360, 12
"""Widths of its two forms, and the space around it, in pixels."""
STYLE = """
svg{font:13px -apple-system,"Segoe UI",Helvetica,Arial,sans-serif;background:var(--paper)}
text{fill:var(--ink)}.title{font-weight:600;font-size:15px}.quiet,.scale{fill:var(--quiet)}
.unspecific{fill:var(--unspecific);font-weight:600}.line,.axis{stroke:var(--hairline);fill:none}.axis{stroke:var(--grey2)}
.allowed{fill:var(--allowed)}.threshold{stroke:var(--ink)}.numbers{font-variant-numeric:tabular-nums}
.unit{fill:var(--method);opacity:.5}.bar{stroke:var(--method);stroke-width:2.5}.filled{fill:var(--method)}
.open{fill:none;stroke:var(--method);stroke-width:1.5}.method .name,.method .numbers{font-weight:600}
.control text{fill:var(--quiet)}.control .unit{fill:var(--undecided)}
.control .bar{stroke:var(--undecided);stroke-width:1.5;stroke-dasharray:2 2}.control .filled{fill:var(--undecided)}
"""  # noqa: E501


def files() -> dict[Path, str]:
    """The two files of the picture and what they hold: wide, and for a narrow screen."""
    return {FOLDER / "first.svg": draw(WIDE), FOLDER / "first-narrow.svg": draw(NARROW)}


def markup() -> str:
    """The lines that show the picture in Markdown: its narrow form on a narrow screen; its words
    for those who cannot see it."""
    claim = _claim()
    controls = "; ".join(f"{arm} {' '.join(estimate_of(v))}" for arm, v in claim.controls.items())
    alt = minus(
        f"“{claim.text}” is {claim.outcome}: {' '.join(estimate_of(claim))}; its "
        f"controls: {controls}"
    )
    return (
        '<picture>\n  <source media="(max-width: 600px)" '
        'srcset="docs/pictures/first-narrow.svg">\n'
        f'  <img src="docs/pictures/first.svg" alt="{alt}">\n</picture>\n'
    )


def draw(width: int) -> str:
    """The claim as SVG: its outcome, its words, and its interval above those of its controls."""
    claim = _claim()
    lines = textwrap.wrap(claim.text, (width - 2 * EDGE) // 7)
    plot = Markup(interval_svg(claim, (width - 2 * EDGE) // 7))
    top = 50 + 18 * len(lines)
    height = top + int(plot.partition('height="')[2].partition('"')[0]) + EDGE
    body = Markup('<text class="title {0}" y="14">{1} {0}</text>').format(
        claim.outcome, SIGNS[claim.outcome]
    )
    for i, line in enumerate(lines):
        body += Markup('<text y="{}">{}</text>').format(38 + 18 * i, minus(line))
    inside = width - 2 * EDGE
    body += Markup('<svg y="{}" width="{}">{}</svg>').format(top - EDGE, inside, plot)
    inner = Markup('<svg x="{0}" y="{0}" width="{1}" height="{2}" overflow="visible">{3}</svg>')
    panel = inner.format(EDGE, inside, height, body)
    style = f"{palette.css()}{STYLE}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}"><style>{style}</style>'
        f'<rect width="100%" height="100%" fill="var(--paper)"/>{panel}</svg>\n'
    )


def _claim() -> Judged:
    """The claim under the names of the picture, without what is at chance by construction."""
    written_by = "assay verify replications/middle-places-smollm2.toml --record"
    record = records.read_file(RECORD, written_by, measures=False)
    assert record is not None
    claim = ResultData.from_json(record).verdicts[CLAIM]
    controls = {name: claim.controls[arm] for arm, name in CONTROLS.items()}
    edge = math.nextafter(float(claim.threshold.removeprefix("> ")), math.inf)  # it is open
    return structs.replace(
        claim,
        arm=ARM,
        near={},
        also={},
        published=None,
        controls=controls,
        range=(edge, math.inf),
    )
