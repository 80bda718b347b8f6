"""The difference of two trainings that is not luck, and standard errors of few runs."""

import numpy as np
import pytest
import xarray as xr

from assay.core.errors import ClaimError
from assay_catalogue.analysis.luck import normal_errors, smallest_difference


def test_two_new_units_lie_further_apart_in_five_per_cent_of_pairs():
    draw = np.random.default_rng(1)
    n, worlds = 7, 40_000
    s = draw.normal(0, 3, (worlds, n)).std(1, ddof=1)
    apart = np.abs(draw.normal(0, 3, (worlds, 2)) @ [1, -1])
    limit = np.array([smallest_difference(1.0, n)]) * s
    assert (apart > limit).mean() == pytest.approx(0.05, abs=0.004)
    assert np.isnan(smallest_difference(1.0, 1))


@pytest.mark.parametrize("n", [2, 3, 24])
def test_errors_of_few_runs_are_as_likely_beyond_a_limit_as_those_of_many(n):
    """Against scipy's own one-sample test, and, at n = 2, against the arctangent that is Student's
    law there."""
    from scipy import stats

    x = np.random.default_rng(n).normal(0.3, 1, (n, 5))
    found = normal_errors(xr.DataArray(x, dims=("run", "entry")))
    p = stats.ttest_1samp(x, 0).pvalue
    np.testing.assert_allclose(2 * stats.norm.sf(abs(found)), p, rtol=1e-9)
    np.testing.assert_array_equal(np.sign(found), np.sign(x.mean(0)))
    if n == 2:
        t = x.mean(0) / (abs(x[0] - x[1]) / 2)
        np.testing.assert_allclose(p, 1 - 2 * np.arctan(abs(t)) / np.pi, rtol=1e-9)


def test_the_errors_of_right_means_are_normal_and_one_run_has_none():
    draws = np.random.default_rng(0).normal(0, 1, (3, 20_000))
    found = normal_errors(xr.DataArray(draws, dims=("run", "entry")))
    assert np.mean(abs(found) > 1.96) == pytest.approx(0.05, abs=0.006)
    assert found.std() == pytest.approx(1, abs=0.02)
    assert (
        abs(normal_errors(xr.DataArray([1.0, 1.0], dims="run"))[0]) > 30
    )  # no spread at all, and yet off
    with pytest.raises(ClaimError, match="at least 2 runs, got 1"):
        normal_errors(xr.DataArray([1.0], dims="run"))
