"""The smallest difference of two trainings that is not luck."""

import numpy as np
import pytest

from assay.core.intervals import smallest_difference


def test_two_new_units_lie_further_apart_in_five_per_cent_of_pairs():
    draw = np.random.default_rng(1)
    n, worlds = 7, 40_000
    s = draw.normal(0, 3, (worlds, n)).std(1, ddof=1)
    apart = np.abs(draw.normal(0, 3, (worlds, 2)) @ [1, -1])
    limit = np.array([smallest_difference(1.0, n)]) * s
    assert (apart > limit).mean() == pytest.approx(0.05, abs=0.004)
    assert np.isnan(smallest_difference(1.0, 1))
