"""Inputs with a feature present follow their law."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from assay.core.runs import Runs
from assay.core.spec import PerRun, Spec, grid
from assay_catalogue.data.present_features import present_features


@dataclass(frozen=True, kw_only=True)
class Toy(Spec):
    density: PerRun[float] = 0.1


@pytest.mark.parametrize("p", [0.01, 0.3, 1.0])
def test_inputs_with_a_feature_present_follow_the_law_given_that(p):
    n, rows = 4, 40_000
    x = present_features(Runs(grid(Toy(density=p), seed=(5,))), n, rows, "test")[0].numpy()
    on = x > 0
    assert on.any(1).all()
    count = stats.binom(n, p).pmf(np.arange(1, n + 1)) / (1 - (1 - p) ** n)
    seen = np.bincount(on.sum(1), minlength=n + 1)[1:] / rows
    assert np.abs(seen - count).max() < 0.01
    assert np.abs(on.mean(0) - p / (1 - (1 - p) ** n)).max() < 0.01, (
        "no feature is present oftener than another"
    )
    assert stats.kstest(x[on], "uniform").pvalue > 1e-4
