"""Figures drawn as SVG for pages and notebooks; offline, without a browser."""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Mapping
from typing import Any

from assay.core.figures import Figure
from assay.core.plain import plain, plain_all
from assay.report.vega import COLD, FIRE, vega

FONT = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', 'DejaVu Sans', sans-serif"


def svg(figure: Figure, *, titled: bool = True) -> str:
    """The figure as an SVG element for a page: no fixed size, and no ids shared with other
    figures."""
    drawing = render(vega(figure, titled=titled), figure.title)
    return re.sub('font-family="[^"]*"', f'font-family="{html.escape(FONT)}"', drawing)


def render(spec: Mapping[str, Any], title: str) -> str:
    """A Vega-Lite specification as an SVG element with this title for readers that see none."""
    import vl_convert

    drawing = _shaded(str(vl_convert.vegalite_to_svg(plain_all(spec))))
    prefix = "f" + hashlib.sha256(drawing.encode()).hexdigest()[:8]
    drawing = re.sub(r'id="([^"]+)"', rf'id="{prefix}\1"', drawing)
    drawing = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}\1)", drawing)
    label = html.escape(plain(title))
    return drawing.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def _shaded(drawing: str) -> str:
    """The shades of a heat map as opacity, so that its lightest lie on whatever paper the reader
    has."""

    def clear(shade: re.Match[str]) -> str:
        red, blue = int(shade[2]), int(shade[3])
        full, opacity = (
            (FIRE, 1 - blue / 255)
            if red == 255
            else (COLD, (255 - red) / (255 - int(COLD[1:3], 16)))
        )
        return (
            f'{shade[1]}="{full}" '
            f'{shade[1].replace("color", "opacity").replace("fill", "fill-opacity")}="{opacity:.3g}"'  # noqa: E501
        )

    return re.sub(r'(fill|stop-color)="rgb\((\d+), \d+, (\d+)\)"', clear, drawing)
