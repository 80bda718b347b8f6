"""Figure: data and a mark. Nothing here draws; `report/draw.py` does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from assay.core.display import Shown
from assay.core.errors import ClaimError
from assay.core.heavy import scipy, xr
from assay.core.results import Curve, Estimated, unit_of

Mark = Literal["line", "points", "joined", "bars", "heatmap"]
"""joined: points with their intervals, and a line through those of a series in the order of x."""


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
    x_ticks: tuple[float, ...] = ()
    """Where a linear x axis has its ticks; empty: at round numbers."""
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
    """Mean and its 95% Student-t interval (mean, low, high); a single value has no interval and
    gives NaN limits.

    Formula: x̄ ± t₀.₉₇₅,ₙ₋₁ · s/√n over the values that are not NaN.
    """
    v = np.asarray(values, float)
    v = v[~np.isnan(v)]
    if len(v) < 2:
        return float(v[0]) if len(v) else float("nan"), float("nan"), float("nan")
    half = float(scipy.special.stdtrit(len(v) - 1, 0.975)) * float(v.std(ddof=1)) / len(v) ** 0.5
    return float(v.mean()), float(v.mean()) - half, float(v.mean()) + half


Channel = Literal["x", "y", "mean", "low", "high", "color", "facet"] | None
"""How a column is shown; None: it is in the data alone."""


def figure(
    title: str,
    mark: Mark,
    channels: Mapping[str, Channel],
    rows: Iterable[Sequence],
    *,
    note: str = "",
    x_title: str = "",
    y_title: str = "",
    x_log: bool = False,
    y_log: bool = False,
    rules: tuple[tuple[float, str], ...] = (),
) -> Figure:
    """A figure from its rows, and from what each of their columns stands for.

    Args:
        title: what is seen, a sentence.
        mark: how it is shown.
        channels: {column: channel} in the order of a row's values. On channel "mean" a row has the
            values that are averaged, or their (mean, low, high): the mean is y, and its t interval
            the band.
        rows: a sequence each.
        note: a line below.
        x_title: with its unit; the column's name when empty.
        y_title: with its unit; likewise.
        x_log: logarithmic axis.
        y_log: logarithmic axis.
        rules: (y, label) of horizontal lines.
    Example:
        >>> from assay.core import figure
        >>> rows = [("new", 16, [0.2, 0.4]), ("old", 16, [0.5, 0.5])]
        >>> channels = {"method": "color", "width": "x", "fvu": "mean"}
        >>> figure("FVU", "line", channels, rows).columns["fvu"]
        [0.3, 0.5]
    """
    names = [
        name
        for column, channel in channels.items()
        for name in ((column, "low", "high") if channel == "mean" else (column,))
    ]
    banded = "mean" in channels.values() or "low" in channels.values()
    by_channel = {channel: column for column, channel in channels.items()}
    return Figure(
        title,
        columns(names, (_with_intervals(row, channels.values()) for row in rows)),
        mark,
        x=by_channel["x"],
        y=by_channel.get("y") or by_channel["mean"],
        color=by_channel.get("color"),
        facet=by_channel.get("facet"),
        band=(by_channel.get("low", "low"), by_channel.get("high", "high")) if banded else None,
        note=note,
        x_title=x_title,
        y_title=y_title,
        x_log=x_log,
        y_log=y_log,
        rules=rules,
    )


def _with_intervals(row: Sequence, channels: Iterable[Channel]) -> list:
    """A row with the mean and both limits in the place of values."""
    out: list = []
    for value, channel in zip(row, channels, strict=True):
        if channel != "mean":
            out.append(value)
        else:
            out += value if isinstance(value, tuple) else summary(value)
    return out


def by_level(values: xr.DataArray, dim: str) -> Iterator[tuple[Any, np.ndarray]]:
    """Each coordinate of a dim with the values there, all other dims in one.

    Example:
        >>> import xarray as xr
        >>> from assay.core.figures import by_level
        >>> loss = xr.DataArray([[4.0, 2.0]], dims=("run", "step"), coords={"step": [1, 10]})
        >>> [(step, values.tolist()) for step, values in by_level(loss, "step")]
        [(1, [4.0]), (10, [2.0])]
    """
    for i, level in enumerate(values[dim].values.tolist()):
        yield level, values.isel({dim: i}).values.ravel()


def curve(
    title: str,
    arms: Mapping[str, xr.Dataset],
    *,
    x: str,
    y: Callable[[xr.Dataset, Mapping[str, xr.Dataset]], xr.DataArray],
    which: Sequence[str] | None = None,
    x_title: str = "",
    y_title: str = "",
    x_log: bool = False,
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
        x_title: with its unit.
        y_title: with its unit.
        x_log: logarithmic axis.
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
        for level in sorted(set(levels.tolist())):
            rows.append((name, level, values.values[levels == level]))
    return figure(
        title,
        "line",
        {"arm": "color", x: "x", "mean": "mean"},
        rows,
        x_title=x_title or x,
        y_title=y_title or "mean",
        x_log=x_log,
        rules=rules,
    )


SERIES = 7
"""So many curves share a figure."""
MARKED = 12
"""So many levels that are whole numbers, at most, have a tick each."""


def figures_of(findings: Iterable[Estimated]) -> tuple[Figure, ...]:
    """Draw the curves among estimates with their bands: those over one field, in one unit, in one
    figure; one over names as the points farthest from zero, and one over two dimensions as a heat
    map before them."""
    shared: dict[tuple[str, ...], list[Estimated]] = {}
    for e in findings:
        if e.curve is not None:
            alone = () if e.curve.is_plain else (e.text,)
            shared.setdefault((e.curve.over, unit_of(e), *alone), []).append(e)
    drawn: list[Figure] = []
    for group in shared.values():
        first, c = group[0], group[0].curve
        assert c is not None
        if c.is_plain:
            drawn += [_lines(group[k : k + SERIES]) for k in range(0, len(group), SERIES)]
        else:
            drawn += [_heat_map(first, c)] if len(c.dims) == 2 else []
            drawn.append(_ranked(first, c))
    return tuple(drawn)


def _lines(group: Sequence[Estimated]) -> Figure:
    """A line with its band for each curve over numbers."""
    curves = [(e, e.curve) for e in group if e.curve is not None]
    over, several = curves[0][1].over, len(curves) > 1
    named = [e.condition for e in group]
    names = named if all(named) and len({*named}) == len(named) else [e.text for e in group]
    rows = [
        (level, name, y, *e.limits(k))
        for name, (e, c) in zip(names, curves, strict=True)
        for k, (level, y) in enumerate(zip(c.levels, c.estimate, strict=True))
    ]
    table = columns((over, "curve", "estimate", "low", "high"), rows)
    crossings = {k: c.crossing for k, (_, c) in zip(names, curves, strict=True) if c.crossing}
    values = {x.value: f"{x.value:.3g}" for x in crossings.values()}
    values |= {x: words for e, _ in curves for x, words in _references(e)}
    if min(table["low"]) < 0 < max(table["high"]):
        values = {0.0: "0"} | values
    words = "".join(f" {k if several else 'It'} {x.words}." for k, x in crossings.items())
    curve = curves[0][1]
    levels, count = curve.levels, len(curve.levels)
    few_whole = count <= MARKED and all(float(x).is_integer() for x in levels)
    which = "Each" if several else "The"
    note = f"{which} band covers {curve.all_levels} together in 95% of cases."
    return Figure(
        "; ".join(e.text for e in group) if len(group) < 3 else f"{len(group)} curves over {over}",
        table if several else {k: x for k, x in table.items() if k != "curve"},
        "line",
        x=over,
        y="estimate",
        color="curve" if several else None,
        band=("low", "high"),
        note=note + words,
        y_title=group[0].measured if not several else unit_of(group[0]),
        x_log=curves[0][1].log,
        x_ticks=levels if few_whole else (),
        rules=tuple(values.items()),
    )


def _references(e: Estimated) -> list[tuple[float, str]]:
    """The numbers of other arms to compare a curve with; none that it is the difference from."""
    return [(x, f"{name} {x:.3g}") for name, x in e.sides.items() if name not in e.condition]


def _ranked(e: Estimated, c: Curve) -> Figure:
    """The extreme points of a scan, each with its part of the band."""
    ks = c.listed()
    of = f": {len(ks)} of {len(c.levels)}, {c.extremes} first" if c.levels[len(ks) :] else ""
    dim = " ".join(c.dims)
    is_pair = len(c.dims) > 1
    names = (c.in_words(k) if is_pair else ", ".join(map(str, c.at(k))) for k in ks)
    rows = ((name, c.estimate[k], *e.limits(k)) for name, k in zip(names, ks, strict=True))
    return Figure(
        f"{e.text}{of}",
        columns((dim, "estimate", "low", "high"), rows),
        "points",
        x=dim,
        y="estimate",
        band=("low", "high"),
        note=f"The intervals cover {c.all_levels} together in 95% of cases. "
        + e.clear_of_zero * (not is_pair),
        y_title=e.measured,
        rules=((0.0, "0"), *_references(e)),
    )


def _heat_map(e: Estimated, c: Curve) -> Figure:
    """The estimate at every pair of levels, in the order of their numbers, with the band."""
    rows = [(*c.at(k), c.estimate[k], *e.limits(k)) for k in c.in_order]
    first, second = c.dims
    name, ends = e.measured, ("low", "high")
    table = columns((first, second, name, *ends), rows)
    note = e.clear_of_zero
    if note.startswith("The "):
        note = f"{note.removesuffix('.')}; a dot marks such a cell."
    dots = None if e.is_one_sided else ends
    return Figure(e.text, table, "heatmap", x=second, y=first, color=name, band=dots, note=note)
