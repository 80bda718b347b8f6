"""The picture of the README: a claim beside its controls, a frontier, one feature
card; all from committed records.

It is drawn twice, side by side and for a narrow screen one under the other, and repaints itself in
the dark. The card is one of the twenty that are drawn by lot; `python docs/marks --card STORE`
keeps it again after `assay run gated-sae`."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup
from msgspec import structs

from assay.core.experiment import Experiment
from assay.core.plain import plain
from assay.core.results import Judged, ResultData
from assay.features.card import FeatureCard
from assay.lab import catalogue
from assay.lab.lab import Lab
from assay.lab.records import records
from assay.report import palette
from assay.report.interval_plot import interval_plot, ticks
from assay.report.tables import SIGNS, estimate_of, minus
from marks import pictures

FOLDER = Path(__file__).resolve().parents[1] / "pictures"
NAME = "gated-sae"
NAMES = {"relu": "ReLU + L1", "wide-rescaled": "mended", "main": "Gated"}
"""What the picture calls the arms of its claim."""
CLAIM = 1
"""Which of the entry's claims it shows."""
FEATURE = 4327
"""The showcase's feature whose card is shown: of the twenty drawn by lot, one that can be read in
five lines."""
WIDE, NARROW, GAP, EDGE, HEIGHT = (376, 304, 296), 360, 32, 12, 330
"""Widths of the panels side by side and of each one alone, the space between and around them, their
height, in pixels."""
STYLE = """
svg{font:13px -apple-system,"Segoe UI",Helvetica,Arial,sans-serif;background:var(--paper)}
text{fill:var(--ink)}.title{font-weight:600;font-size:15px}.quiet,.scale{fill:var(--quiet)}
.holds{fill:var(--holds);font-weight:600}.line,.axis{stroke:var(--hairline);fill:none}.axis{stroke:var(--grey2)}
.allowed{fill:var(--allowed)}.threshold{stroke:var(--ink)}.numbers{font-variant-numeric:tabular-nums}
.unit{fill:var(--method);opacity:.5}.bar{stroke:var(--method);stroke-width:2.5}.filled{fill:var(--method)}
.method .name,.method .numbers{font-weight:600}.method .filled{fill:var(--holds)}.control text{fill:var(--quiet)}
.control .unit{fill:var(--undecided)}.control .bar{stroke:var(--undecided);stroke-width:1.5;stroke-dasharray:2 2}
.control .filled{fill:var(--undecided)}.other{stroke:var(--grey2);stroke-width:1.5}.dot{fill:var(--grey1)}
.label{paint-order:stroke;stroke:var(--paper);stroke-width:4px;stroke-linejoin:round}.own{font-weight:600;fill:var(--method)}
.code{font:12px ui-monospace,SFMono-Regular,Menlo,"DejaVu Sans Mono",monospace}.on{fill:#ff8c00;fill-opacity:.35}.fires{stroke:#ff8c00;fill:none}
"""  # noqa: E501


def files() -> dict[Path, str]:
    """The two files of the picture and what they hold: side by side, and one under the other."""
    return {
        FOLDER / "first.svg": draw_panels(WIDE),
        FOLDER / "first-narrow.svg": draw_panels((NARROW,)),
    }


def markup() -> str:
    """The lines that show the picture in Markdown: its narrow form on a narrow screen; its words
    for who cannot see it."""
    claim = _claim()
    value, interval = estimate_of(claim)
    controls = " and ".join(
        f"{NAMES[arm]} {' '.join(estimate_of(v))}" for arm, v in claim.controls.items()
    )
    alt_text = minus(
        f"“{claim.text}” {claim.outcome}: {value} {interval}; its controls, which must fail: "
        f"{controls}. Methods side by side. A feature of SmolLM2 in five lines of code"
    )
    return (
        '<picture>\n  <source media="(max-width: 600px)" '
        'srcset="docs/pictures/first-narrow.svg">\n'
        f'  <img src="docs/pictures/first.svg" alt="{alt_text}">\n</picture>\n'
    )


def draw_panels(widths: Sequence[int]) -> str:
    """The picture as SVG: the three panels in one row of these widths, or stacked where there is
    one width only."""
    panels = {
        "A claim beside its controls": claim_panel,
        "A frontier of methods": frontier_panel,
        "A feature, of twenty drawn by lot": card_panel,
    }
    stacked = len(widths) == 1
    body, x, y = Markup(""), EDGE, GAP
    for (title, panel), width in zip(
        panels.items(), [*widths] * len(panels) if stacked else widths, strict=True
    ):
        heading = Markup('<text class="title" y="14">{}</text>').format(title)
        body += Markup(
            '<svg x="{}" y="{}" width="{}" height="{}" overflow="visible">{}{}</svg>'
        ).format(x, y, width, HEIGHT, heading, panel(width))
        x, y = (x, y + HEIGHT + GAP // 2) if stacked else (x + width + GAP, y)
    size = (NARROW + 2 * EDGE, y) if stacked else (x - GAP + EDGE, HEIGHT + GAP)
    opened = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="{0}" height="{1}" viewBox="0 0 {0} {1}">'
    ).format(*size)
    return (
        f'{opened}<style>{palette.css()}{STYLE}</style><rect width="100%" height="100%" '
        f'fill="var(--paper)"/>{body}</svg>\n'
    )


def claim_panel(width: int) -> Markup:
    """The first claim of the experiment: its outcome, its words, and its interval beside threshold
    and controls."""
    claim = _claim()
    labelled_claim = structs.replace(
        claim,
        arm=NAMES[claim.arm],
        near={},
        published=None,
        also={},
        controls={NAMES[arm]: control for arm, control in claim.controls.items()},
    )
    sign = Markup('<text class="{0}" y="42">{1} {0}</text>').format(
        claim.outcome, SIGNS[claim.outcome]
    )
    lines = textwrap.wrap(claim.text, width // 7)
    plot = Markup('<svg y="{}" width="{}">{}</svg>').format(
        58 + 18 * len(lines), width, interval_plot(labelled_claim)
    )
    return (
        sign
        + _lines(lines, 62)
        + plot
        + _lines(["A claim counts only if it fails for its controls."], HEIGHT - 24, "quiet")
    )


def frontier_panel(width: int) -> Markup:
    """What each method leaves unexplained, FVU over L0, with 95 % intervals over seeds; the
    method's own sweep is joined."""
    columns = pictures.figures(_experiment(), _record())[0].columns
    points = list(zip(*(columns[c] for c in ("arm", "L0", "mean", "low", "high")), strict=True))
    left_edge, right, top, bottom = 40, width - 8, 66, HEIGHT - 62
    spans = [
        (math.log(min(p[1] for p in points) / 1.1), math.log(max(p[1] for p in points) * 1.1)),
        (min(p[3] for p in points) - 0.01, max(p[4] for p in points) + 0.005),
    ]

    def project(l0: float, fvu: float) -> tuple[float, float]:
        share = [
            (v - low) / (high - low)
            for v, (low, high) in zip((math.log(l0), fvu), spans, strict=True)
        ]
        return left_edge + (right - left_edge) * share[0], bottom - (bottom - top) * share[1]

    out = Markup('<text class="quiet" y="42">variance left unexplained (FVU)</text>')
    for fvu in ticks(*spans[1]):
        y = project(1, fvu)[1]
        out += Markup(
            '<path class="line" d="M{} {:.1f}H{}"/><text class="scale" x="0" '
            'y="{:.1f}">{:.2f}</text>'
        ).format(left_edge, y, right, y + 4, fvu)
    for l0 in (15, 20, 30, 40):
        out += Markup(
            '<text class="scale" x="{:.1f}" y="{}" text-anchor="middle">{}</text>'
        ).format(project(l0, 0)[0], bottom + 18, l0)
    out += Markup(
        '<text class="quiet" x="{}" y="{}" text-anchor="end">features on per token (L0), '
        "logarithmic</text>"
    ).format(right, bottom + 38)
    curve = sorted(project(l0, mean) for arm, l0, mean, _, _ in points if arm == points[0][0])
    out += Markup('<path class="other" fill="none" d="M{}"/>').format(
        "L".join(f"{x:.1f} {y:.1f}" for x, y in curve)
    )
    for arm, l0, mean, low, high in points:
        is_method, (x, y) = arm == points[0][0], project(l0, mean)
        out += Markup('<path class="{}" d="M{:.1f} {:.1f}V{:.1f}"/>').format(
            "bar" if is_method else "other", x, project(l0, low)[1], project(l0, high)[1]
        )
        out += Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="4"/>').format(
            "filled" if is_method else "dot", x, y
        )
        if not is_method:
            out += Markup('<text class="label" x="{:.1f}" y="{:.1f}">{}</text>').format(
                x + 9, y + 4, arm
            )
    x, y = curve[-1]
    return out + Markup(
        '<text class="label own" x="{:.1f}" y="{:.1f}" text-anchor="end">{}</text>'
    ).format(x + 6, y - 12, points[0][0])


def card_panel(width: int) -> Markup:
    """The kept feature card: how often it fires, its strongest contexts, the tokens it promotes and
    suppresses."""
    card = json.loads(_card_path().read_text(encoding="utf-8"))
    out = _lines(
        [card["address"], f"on for {card['density']:.2%} of tokens, most strongly:"],
        42,
        "quiet",
    )
    letter, most = 7.3, int((width - 4) / 7.3)
    for i, example in enumerate(card["top"][:5]):
        out += _context(example, card["maximum"], 92 + 26 * i, letter, most)
    y = 96 + 26 * 5
    for word, side in (("promotes", "promoted"), ("suppresses", "suppressed")):
        tokens = " · ".join(_format_token(token).strip("·") for token in card[side])
        out += Markup(
            '<text class="quiet" y="{0}">{1}</text><text class="code" x="92" y="{0}">{2}</text>'
        ).format(y + 4, word, tokens)
        y += 24
    return out


def _context(
    example: Mapping[str, Any], maximum: float, y: int, letter: float, most: int
) -> Markup:
    """One context on one line, cut around the firing token; shading is linear in activation over
    the feature's maximum."""
    words = [_format_token(token) for token in example["tokens"]]
    starts = [sum(map(len, words[:i])) for i in range(len(words) + 1)]
    position = example["at"]
    begin = starts[position] - most // 2  # the firing token stands in one column
    line = (" " * max(0, -begin) + "".join(words)[max(0, begin) :])[:most]
    out = Markup("")
    for i, (word, activation) in enumerate(zip(words, example["activations"], strict=True)):
        a, b = max(starts[i], begin) - begin, min(starts[i] + len(word), begin + most) - begin
        if activation > 0 and b > a:
            box = (
                f'x="{letter * a:.1f}" y="{y - 13}" width="{letter * (b - a):.1f}" height="18" '
                'rx="3"'
            )
            out += Markup(f'<rect class="on" opacity="{min(1, activation / maximum):.2f}" {box}/>')
            out += Markup(f'<rect class="fires" {box}/>') if i == position else Markup("")
    text = Markup(
        '<text class="code" y="{}" xml:space="preserve" textLength="{:.1f}" '
        'lengthAdjust="spacing">{}</text>'
    )
    return out + text.format(y, letter * len(line), line)


def _format_token(token: str) -> str:
    """A token on one line: line ends and tabs as marks, runs of blanks as one."""
    return (
        " ".join(plain(token.replace("\n", "⏎").replace("\t", "⇥")).split(" "))
        if token.strip(" ")
        else "·"
    )


def _lines(lines: Sequence[str], y: int, kind: str = "") -> Markup:
    return Markup("").join(
        Markup('<text class="{}" y="{}">{}</text>').format(kind, y + 18 * i, minus(line))
        for i, line in enumerate(lines)
    )


def _experiment() -> Experiment:
    return catalogue.find(NAME)


def _record() -> Mapping[str, Any]:
    record = records.read(NAME)
    assert record is not None
    return record


def _claim() -> Judged:
    return ResultData.from_json(_record()).verdicts[CLAIM]


def _card_path() -> Path:
    return records.path(NAME).with_name(f"{NAME}.card.json")


def keep(store: str) -> Path:
    """Write the picture's card from a stored showcase; its file. Raises: StoreError when runs are
    missing."""
    [card] = [c for c in Lab(store).show(_experiment()).cards if c.index == FEATURE]
    _card_path().write_text(card_to_json(card), encoding="utf-8")
    return _card_path()


def card_to_json(card: FeatureCard) -> str:
    """What the picture needs of a card, as JSON: address, density, five contexts, three tokens
    either way."""
    top = [
        {"tokens": e.tokens, "activations": [round(a, 3) for a in e.activations], "at": e.at}
        for e in card.top[:5]
    ]
    sides = {
        side: [token for token, _ in getattr(card, side)[:3]] for side in ("promoted", "suppressed")
    }
    fields = {
        "address": card.address,
        "density": round(card.density, 6),
        "maximum": round(card.maximum, 3),
        "top": top,
        **sides,
    }
    return json.dumps(fields, ensure_ascii=False, indent=1) + "\n"
