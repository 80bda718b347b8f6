"""Every colour of a report, once: its light and its dark value. Pages, interval plots and figures
take them from here.

Figures are drawn with the light values; style rules turn exactly those values into variables, so
one SVG serves light and dark."""

from __future__ import annotations

from importlib.resources import files

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
    "promoted": ("#3d7fe0", "#539bf5"),
    "suppressed": ("#d0453c", "#e5635a"),
    "grey1": ("#4b535c", "#c4ccd4"),
    "grey2": ("#7a838d", "#8f98a2"),
    "amber": ("#b35900", "#e3a04f"),
    "teal": ("#0f7b6c", "#4cc2b0"),
    "purple": ("#7a4fb5", "#b794f0"),
    "rose": ("#b0386f", "#f08cb4"),
    "olive": ("#6f7400", "#b9bf4a"),
    "ramp1": ("#4d94eb", "#1f62af"),
    "ramp2": ("#217ae6", "#2577d4"),
    "ramp3": ("#1665c4", "#4a90df"),
    "ramp4": ("#12529f", "#73a9e6"),
    "ramp5": ("#0e3f7c", "#9ec4ee"),
    "ramp6": ("#092c55", "#cce0f6"),
}
"""Name → (light, dark). `ramp` is for ordered levels, `grey2` for axes, `undecided` also for
controls."""

LIGHT = {name: light for name, (light, _) in PALETTE.items()}
TEXT = ("ink", "quiet", "method", "holds", "fails", "unspecific", "undecided", "purple")
"""The colours that text is set in; each has a contrast of at least 4.5 on `paper`, light and
dark."""
SERIES = ("method", "grey1", "amber", "teal", "purple", "rose", "olive")
"""The colours of a figure's series, the method's first; each has a contrast of at least 4.5 on
`paper`."""
RAMP = tuple(f"ramp{i}" for i in range(1, 7))
"""The colours of ordered levels, lowest first; each has a contrast of at least 3 on `paper`, and
more than the one before."""


def variables(dark: bool = False) -> str:
    """The palette as CSS variables, without a selector."""
    return "".join(f"--{name}:{values[dark]};" for name, values in PALETTE.items())


def variables_by_scheme() -> str:
    """The palette as CSS variables that follow the colour scheme of the element."""
    return "".join(f"--{name}:light-dark({day},{dark});" for name, (day, dark) in PALETTE.items())


def repaint(scope: str, text: str | None = None) -> str:
    """Rules that give every colour of a figure below `scope` its variable; with `text`, only the
    colours that occur in it."""
    return "".join(
        f'{scope} [{kind}="{day}"]{{{kind}:var(--{name})}}'
        for name, day in LIGHT.items()
        for kind in ("fill", "stroke")
        if text is None or f'{kind}="{day}"' in text
    )


def css() -> str:
    """The palette as style rules of a page: variables, light and dark, and figures that follow
    them."""
    return (
        f":root{{color-scheme:light dark;{variables()}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{variables(dark=True)}}}}}\n"
        f"{repaint('.figure svg')}\n"
    )


def styles(*names: str) -> str:
    """The style sheets of these names, one after the other."""
    return "".join(files("assay.report").joinpath(n).read_text(encoding="utf-8") for n in names)
