"""Figure: data and a mark. Nothing here draws; `report/draw.py` does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from assay.core.display import Shown
from assay.core.errors import ClaimError
from assay.core.heavy import scipy, xr

Mark = Literal["line", "points", "bars", "heatmap", "histogram"]


@dataclass(frozen=True)
class Figure(Shown):
    """Long-format columns and how to show them; the title states what is seen.

    Example:
        >>> from assay import Figure
        >>> columns = {"width": [16, 32, 64], "fvu": [0.4, 0.3, 0.25]}
        >>> Figure("Wider dictionaries explain more", columns, "line", x="width", y="fvu")
        <Figure 'Wider dictionaries explain more': line of fvu over width, 3 rows>
    """

    title: str
    columns: Mapping[str, Sequence]
    mark: Mark
    x: str
    y: str
    color: str | None = None
    facet: str | None = None
    band: tuple[str, str] | None = None
    """Names of the columns with the lower and upper end of the interval."""
    note: str = ""
    x_title: str = ""
    """Axis title with its unit; the column's name when empty."""
    y_title: str = ""
    x_log: bool = False
    y_log: bool = False
    rules: tuple[tuple[float, str], ...] = field(default=())
    """Horizontal reference lines: (y, label)."""

    def __repr__(self) -> str:
        return (
            f"<Figure {self.title!r}: {self.mark} of {self.y} over {self.x}, "
            f"{len(self.columns[self.x])} rows>"
        )

    def __post_init__(self) -> None:
        lengths = {k: len(v) for k, v in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise ClaimError(
                f"the columns of figure {self.title!r} must have one length, got {lengths}"
            )
        used = (self.x, self.y, self.color, self.facet, *(self.band or ()))
        for name in used:
            if name is not None and name not in self.columns:
                raise ClaimError(
                    f"figure {self.title!r} names column {name!r}, which it lacks; columns: "
                    f"{', '.join(self.columns)}"
                )


def columns(names: Sequence[str], rows: Iterable[Sequence]) -> dict[str, list]:
    """A figure's columns by name, from its rows."""
    listed = list(rows)
    return {name: [row[i] for row in listed] for i, name in enumerate(names)}


def summary(values: np.ndarray) -> tuple[float, float, float]:
    """Mean and its 95 % Student-t interval (mean, low, high); a single value has no interval and
    gives NaN limits.

    Formula: x̄ ± t₀.₉₇₅,ₙ₋₁ · s/√n over the values that are not NaN.
    """
    v = np.asarray(values, float)
    v = v[~np.isnan(v)]
    if len(v) == 0:
        return float("nan"), float("nan"), float("nan")
    if len(v) == 1:
        return float(v[0]), float("nan"), float("nan")
    half = float(scipy.special.stdtrit(len(v) - 1, 0.975)) * float(v.std(ddof=1)) / len(v) ** 0.5
    return float(v.mean()), float(v.mean()) - half, float(v.mean()) + half


def curve(
    title: str,
    arms: Mapping[str, xr.Dataset],
    *,
    x: str,
    y: Callable[[xr.Dataset, Mapping[str, xr.Dataset]], xr.DataArray],
    which: Sequence[str] | None = None,
    note: str = "",
    x_title: str = "",
    y_title: str = "",
    x_log: bool = False,
    y_log: bool = False,
    rules: tuple[tuple[float, str], ...] = (),
) -> Figure:
    """A line per arm: the mean of `y(arm, others)` at each level of the per-run field `x`, with its
    t interval over runs.

    Args:
        title: what is seen, a sentence.
        arms: measures by arm.
        x: a per-run field.
        y: (arm, the other arms) → [run].
        which: arms to show; None: all.
        note: a line below.
        x_title: with its unit.
        y_title: with its unit.
        x_log: logarithmic axis.
        y_log: logarithmic axis.
        rules: (y, label) of horizontal lines.
    Example:
        >>> import xarray as xr
        >>> import assay
        >>> coords = {"width": ("run", [16, 16, 32, 32])}
        >>> arm = xr.Dataset({"fvu": ("run", [0.5, 0.3, 0.2, 0.2])}, coords=coords)
        >>> figure = assay.curve("FVU", {"main": arm}, x="width", y=lambda arm, others: arm.fvu)
        >>> figure.columns["width"], figure.columns["mean"]
        ([16, 32], [0.4, 0.2])
    """
    rows = []
    for name in which or arms:
        if name not in arms:
            continue
        values = y(arms[name], {k: v for k, v in arms.items() if k != name})
        levels = arms[name][x].values
        rows += [
            (name, level, *summary(values.values[levels == level]))
            for level in sorted(set(levels.tolist()))
        ]
    return Figure(
        title,
        columns(("arm", x, "mean", "low", "high"), rows),
        "line",
        x=x,
        y="mean",
        color="arm",
        band=("low", "high"),
        note=note,
        x_title=x_title or x,
        y_title=y_title or "mean",
        x_log=x_log,
        y_log=y_log,
        rules=rules,
    )
