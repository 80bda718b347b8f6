"""What figures are made of."""

import numpy as np
import pytest
import xarray as xr

from assay.core.figures import by_level, figure, summary


def test_a_figure_averages_what_stands_on_the_channel_mean_and_keeps_intervals_that_it_is_given():
    rows = [("a", 1, [1.0, 2.0, 3.0], "x"), ("b", 1, (0.5, 0.25, 0.75), "y")]
    channels = {"arm": "color", "step": "x", "loss": "mean", "seed": None}
    made = figure("Losses", "line", channels, rows)
    mean, low, high = summary(np.array([1.0, 2.0, 3.0]))
    assert made.columns == {
        "arm": ["a", "b"],
        "step": [1, 1],
        "loss": [mean, 0.5],
        "low": [low, 0.25],
        "high": [high, 0.75],
        "seed": ["x", "y"],
    }
    assert made.x == "step"
    assert made.y == "loss"
    assert made.color == "arm"
    assert made.facet is None
    assert made.band == ("low", "high")
    with pytest.raises(ValueError):
        figure("Losses", "line", channels, [("a", 1, [1.0])])


def test_along_a_dim_all_other_values_are_in_one():
    x = xr.DataArray(np.arange(6).reshape(2, 3), dims=("run", "step"), coords={"step": [1, 2, 4]})
    assert [(level, values.tolist()) for level, values in by_level(x, "step")] == [
        (1, [0, 3]),
        (2, [1, 4]),
        (4, [2, 5]),
    ]
