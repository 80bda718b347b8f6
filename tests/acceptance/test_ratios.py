"""Every normalised measure at points where nothing is to be explained: undefined, never a perfect
score."""

import warnings

import numpy as np
import pytest

from assay.dictionaries.measuring import metrics

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def test_what_can_be_explained_is_what_it_was():
    x = np.random.default_rng(1).normal(size=(50, 4))
    for scale, shift in ((1.0, 0.0), (1e-9, 0.0), (1.0, 1e6), (1e12, -1e12)):
        y, guess = scale * x + shift, scale * 0.9 * x + shift
        by_hand = (((y - guess) ** 2).sum()) / ((y - y.mean(0)) ** 2).sum()
        assert metrics.fvu(y, guess) == pytest.approx(by_hand, rel=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metrics.shrinkage(x, 0.9 * x) == pytest.approx(0.9)
