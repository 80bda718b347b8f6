"""Every colour of a report, once: its light and its dark value. Pages, interval plots and figures take them from here.

Figures are drawn with the light values; in the dark, style rules repaint exactly those values, so one SVG serves both.
"""

from __future__ import annotations

PALETTE: dict[str, tuple[str, str]] = {
    "paper": ("#ffffff", "#0d1117"),
    "ink": ("#1f2328", "#e6edf3"),
    "quiet": ("#59636e", "#9aa4ae"),
    "hairline": ("#d1d9e0", "#30363d"),
    "method": ("#0b63ce", "#58a6ff"),
    "holds": ("#1a7f37", "#3fb950"),
    "fails": ("#b42318", "#ff7b72"),
    "unspecific": ("#9a6700", "#d29922"),
    "undecided": ("#6e7781", "#9198a1"),
    "allowed": ("#e3eefb", "#15263d"),
    "promoted": ("#d0453c", "#e5635a"),
    "suppressed": ("#3d7fe0", "#539bf5"),
    "grey1": ("#4b535c", "#c4ccd4"),
    "grey2": ("#7a838d", "#8f98a2"),
    "grey3": ("#99a1aa", "#747d87"),
    "ramp1": ("#a9cbf5", "#2a4d78"),
    "ramp2": ("#78aeef", "#3567a3"),
    "ramp3": ("#478fe4", "#4382cd"),
    "ramp4": ("#1b6fd1", "#6aa9f2"),
    "ramp5": ("#0a4f9f", "#98c6fa"),
    "ramp6": ("#06336b", "#c8e1ff"),
}
"""Name → (light, dark). `ramp` is for ordered levels, `grey` for baselines, `undecided` also for controls."""

LIGHT = {name: light for name, (light, _) in PALETTE.items()}
TEXT = ("ink", "quiet", "method", "holds", "fails", "unspecific", "undecided")
"""The colours that text is set in; each has a contrast of at least 4.5 on `paper`, light and dark."""


def contrast(a: str, b: str) -> float:
    """The contrast ratio of two colours given as #rrggbb, 1 to 21.

    Formula: (L₁ + .05) / (L₂ + .05), L the relative luminance of sRGB
    Source: Web Content Accessibility Guidelines 2.1, contrast ratio
    """

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def css() -> str:
    """The palette as style rules: variables for pages, and the repainting of figures in the dark."""
    light = "".join(f"--{name}:{value};" for name, (value, _) in PALETTE.items())
    dark = "".join(f"--{name}:{value};" for name, (_, value) in PALETTE.items())
    repaint = "".join(
        f'.figure svg [fill="{day}"]{{fill:{night}}}.figure svg [stroke="{day}"]{{stroke:{night}}}'
        for day, night in PALETTE.values()
    )
    return (
        f":root{{color-scheme:light dark;{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}\n{repaint}}}\n"
    )
