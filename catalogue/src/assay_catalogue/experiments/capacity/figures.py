"""The figures of capacity."""

from __future__ import annotations

from assay.core import Arms, Figure, figure
from assay.core.heavy import xr


def shared(dimensions: int, features: int) -> str:
    """The title of the first figure, which says how features share two dimensions where there are
    five of them."""
    if (dimensions, features) == (2, 5):
        return "Two dimensions are shared by two, four and five features as inputs get sparser"
    return f"How features share {dimensions} dimensions, {features} of them, as inputs get sparser"


def drawings(arms: Arms) -> list[Figure]:
    return [by_density(arms["main"]), regimes(arms["main"])]


def by_density(main: xr.Dataset) -> Figure:
    """Capacity of every feature along densities."""
    rows = [
        (feature_name(i, main), p, main.capacity.values[main.density.values == p, i])
        for i in range(main.sizes["feature"])
        for p in sorted(set(main.density.values.tolist()))
    ]
    return figure(
        shared(main.attrs["width"], main.sizes["feature"]),
        "line",
        {"feature": "color", "density": "x", "mean": "mean"},
        rows,
        x_log=True,
        x_title="probability that a feature is active",
        y_title="capacity (dimensions)",
        rules=((0.5, ""), (0.4, "")),
        note="Dashed: a half and two fifths of a dimension.",
    )


def regimes(main: xr.Dataset) -> Figure:
    """Capacity of every feature in every run, at three densities."""
    levels = sorted(set(main.density.values.tolist()), reverse=True)
    rows = [
        (f"density {p:.2f}", main.attrs["ratio"] ** i, float(c))
        for p in (levels[0], levels[(len(levels) - 1) // 2], levels[-1])
        for capacities in main.capacity.values[main.density.values == p]
        for i, c in enumerate(capacities)
    ]
    return figure(
        "Importance decides who gets a share, hardly how large",
        "points",
        {"density": "color", "importance": "x", "capacity": "y"},
        rows,
        x_title="importance",
        y_title="capacity (dimensions)",
    )


def feature_name(i: int, arm: xr.Dataset) -> str:
    """A feature by its importance."""
    return f"importance {arm.attrs['ratio'] ** i:.2f}"
