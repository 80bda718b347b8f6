"""Figures drawn: SVG for pages and notebooks, PNG; offline, without a browser."""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Mapping
from typing import Any

from assay.core.figures import Figure
from assay.core.plain import plain, plain_all
from assay.report import palette
from assay.report.vega import COLD, FIRE, vega

FONT = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', 'DejaVu Sans', sans-serif"


def svg(figure: Figure, *, titled: bool = True, standalone: bool = False) -> str:
    """The figure as an SVG element for a page: no fixed size, and no ids shared with other
    figures.

    One that is `standalone`, as a file, brings its own paper, and follows light and dark."""
    drawing = _render(vega(figure, titled=titled, standalone=standalone))
    prefix = "f" + hashlib.sha256(drawing.encode()).hexdigest()[:8]
    drawing = re.sub(r'id="([^"]+)"', rf'id="{prefix}\1"', drawing)
    drawing = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}\1)", drawing)
    if standalone:
        drawing = re.sub("(<svg [^>]*>)", lambda tag: tag[1] + _scheme(drawing), drawing, count=1)
    else:
        drawing = re.sub('font-family="[^"]*"', f'font-family="{html.escape(FONT)}"', drawing)
    label = html.escape(plain(figure.title))
    return drawing.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def _render(spec: Mapping[str, Any]) -> str:
    import vl_convert

    return _shaded(str(vl_convert.vegalite_to_svg(plain_all(spec))))


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


def _scheme(drawing: str) -> str:
    """Style rules inside a file, by which its colours follow the reader's light or dark."""
    dark = f"@media (prefers-color-scheme:dark){{svg{{{palette.variables(dark=True)}}}}}"
    return f"<style>svg{{{palette.variables()}}}{dark}{palette.repaint('svg', drawing)}</style>"


def png(figure: Figure) -> bytes:
    """The figure as a PNG image at twice its size, on white."""
    import vl_convert

    return vl_convert.vegalite_to_png({**plain_all(vega(figure)), "background": "white"}, scale=2)
