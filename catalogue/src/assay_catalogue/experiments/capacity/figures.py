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
    """Capacity of every feature along densities."""
    main = arms["main"]
    rows = [
        (feature_name(i, main), p, main.capacity.values[main.density.values == p, i])
        for i in range(main.sizes["feature"])
        for p in sorted(set(main.density.values.tolist()))
    ]
    return [
        figure(
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
    ]


def feature_name(i: int, arm: xr.Dataset) -> str:
    """A feature by its importance."""
    return f"importance {arm.attrs['ratio'] ** i:.2f}"
