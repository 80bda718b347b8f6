"""Figures drawn: SVG for pages and notebooks, PNG and PDF for papers; offline, without a browser."""

from __future__ import annotations

import hashlib
import html
import re

from assay.core.figures import Figure
from assay.core.plain import plain, plain_all
from assay.report.vega import vega


def svg(figure: Figure, *, titled: bool = True, alone: bool = False) -> str:
    """The figure as an SVG element that can stand in a page: no fixed size in the way, no ids shared with other figures.

    One that stands `alone`, as a file, brings its own paper, and room for the widest font.
    """
    import vl_convert

    drawn = vl_convert.vegalite_to_svg(plain_all(vega(figure, titled=titled, alone=alone)))
    prefix = "f" + hashlib.sha256(drawn.encode()).hexdigest()[:8]
    drawn = re.sub(r'id="([^"]+)"', rf'id="{prefix}\1"', drawn)
    drawn = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}\1)", drawn)
    return drawn.replace("<svg ", f'<svg role="img" aria-label="{html.escape(plain(figure.title))}" ', 1)


def png(figure: Figure) -> bytes:
    """The figure as a PNG image at twice its size, on white."""
    import vl_convert

    return vl_convert.vegalite_to_png({**plain_all(vega(figure)), "background": "white"}, scale=2)


def pdf(figure: Figure) -> bytes:
    """The figure as a one-page PDF."""
    import vl_convert

    return vl_convert.vegalite_to_pdf(plain_all(vega(figure)))
