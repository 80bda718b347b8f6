"""Tokens as pages show them: white space by quiet marks, activation as shading, the firing token
outlined; all text escaped."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from assay.features.card import Example, FeatureCard

BARS = 24
_MARKS = {"\n": "⏎", "\t": "⇥", "\r": "␍", " ": "·"}
_SPACE = re.compile(r"[\n\t\r]| {2,}|^ +$|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def _mark(match: re.Match[str]) -> str:
    marks = "".join(_MARKS.get(c, "␣" if c.isspace() else "␀") for c in match.group())
    return f'<i class="ws">{marks}</i>'


def words(text: str) -> Markup:
    """Running text on one line: line ends, tabs, control characters and runs of spaces become
    marks, single spaces stay."""
    return Markup(_SPACE.sub(_mark, str(escape(text))))


def token(text: str) -> Markup:
    """A token by itself: every white space is marked and nothing breaks the line."""
    marked = re.sub(
        r"\s|[\x00-\x1f\x7f]",
        lambda m: f'<i class="ws">{_MARKS.get(m.group(), "␣")}</i>',
        str(escape(text)),
    )
    return Markup(marked or '<i class="ws">empty</i>')


def context(example: Example, maximum: float) -> Markup:
    """An example's tokens; shading is linear in activation / the feature's maximum, as sae_vis and
    Neuronpedia have it."""
    parts: list[str] = []
    plain = ""
    for i, (text, activation) in enumerate(zip(example.tokens, example.activations, strict=True)):
        if activation <= 0 and i != example.at:
            plain += text
            continue
        share = min(1.0, max(0.0, activation / maximum)) if maximum > 0 else 0.0
        fires = f' class="fires{" long" if len(text) > 20 else ""}"' if i == example.at else ""
        parts.append(
            f'{words(plain)}<b{fires} style="--a:{share:.2f}" '
            f'title="{activation:.3g}">{words(text)}</b>'
        )
        plain = ""
    return Markup("".join([*parts, words(plain)]))


def histogram(card: FeatureCard) -> Markup:
    """The histogram of log activation as a small SVG that fills its column, in at most 24 bars; the
    counts are in its label."""
    step = -(-len(card.counts) // BARS)
    counts = [sum(card.counts[i : i + step]) for i in range(0, len(card.counts), step or 1)]
    highest, width = max(counts, default=1) or 1, 100 * step / max(1, len(card.counts))
    bars = Markup("").join(
        Markup('<rect x="{:.2f}%" width="{:.2f}%" y="{:.1f}" height="{:.1f}"/>').format(
            i * width, 0.9 * width, 60 - h, h
        )
        for i, h in enumerate(60 * c / highest for c in counts)
    )
    label = (
        f"firings by activation from {card.edges[0]:.2g} to {card.edges[-1]:.2g}, logarithmic: "
        f"{', '.join(map(str, counts))}"
    )
    return Markup(
        '<svg class="histogram" width="100%" height="60" role="img" aria-label="{}">{}</svg>'
    ).format(label, bars)
