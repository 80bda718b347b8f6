"""One table: what every metric must not depend on. Whatever is not listed as an exception must
stay; every exception must be real.

A world is an activation set, a dictionary, planted truth and losses. A change makes another world
that says the same: other row order, precision, unit, origin, order of latents, share between code
and decoder. A metric may differ only where EXCEPTIONS says why, and there it must differ, so that
the table cannot hide a metric that reads nothing."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring import metrics
from assay.dictionaries.nonlinearity import ReLU

B, D, F, N = 120, 6, 10, 4


@dataclass(frozen=True)
class World:
    x: np.ndarray
    encoder: np.ndarray
    bias: np.ndarray
    decoder: np.ndarray
    centre: np.ndarray
    codes: np.ndarray  # of the planted features
    true: np.ndarray

    losses: np.ndarray  # clean, spliced, ablated, KL of both
    label: np.ndarray
    dtype: type = np.float64

    @property
    def features(self):
        return np.maximum((self.x - self.centre) @ self.encoder + self.bias, 0).astype(self.dtype)

    @property
    def x_hat(self):
        return (self.features @ self.decoder + self.centre).astype(self.dtype)

    @property
    def rows(self):
        return self.x.astype(self.dtype)

    @property
    def mean(self):
        return self.x.mean(0)

    def dictionary(self, nonlinearity=None):
        parts = (self.encoder, self.bias, self.decoder, self.centre)
        return Dictionary(
            *(torch.tensor(p[None], dtype=torch.float32) for p in parts), nonlinearity or ReLU()
        )


def world(seed):
    own = np.random.default_rng(seed)
    true = own.normal(size=(N, D))
    codes = (own.random((B, N)) < 0.4) * own.exponential(size=(B, N))
    x = codes @ true + 0.1 * own.normal(size=(B, D)) + own.normal(size=D)
    decoder = np.concatenate([true, own.normal(size=(F - N, D))]) * own.uniform(0.5, 2, (F, 1))
    encoder = decoder.T / (decoder**2).sum(1)
    losses = np.stack(
        [own.exponential(size=B) + k for k in (0.0, 0.5, 3.0)]
        + [0.1 * own.exponential(size=B), own.exponential(size=B)]
    )
    return World(
        x,
        encoder,
        -0.1 * own.random(F),
        decoder,
        x.mean(0) + 0.1,
        codes,
        true,
        losses,
        own.random(B) < 0.4,
    )


REFERENCES = {
    "fvu": (0, 1),
    "shrinkage": (1, 1),
    "shrinkage, centred": (1, np.nan),
    "norm_ratio": (1, None),
    "norm_ratio, centred": (1, 0),
}
"""Value for x̂ = x and for x̂ = the mean; None: not fixed. FVU is 1 − explained variance."""


@pytest.mark.parametrize("name", REFERENCES)
@given(seed=st.integers(0, 99))
@settings(max_examples=5)
def test_perfect_and_mean_predictors(name, seed):
    x = world(seed).x
    mean = x.mean(0)
    of = getattr(metrics, name.split(",")[0])
    about = (mean,) if "centred" in name else ()
    for x_hat, wanted in zip((x, np.broadcast_to(mean, x.shape)), REFERENCES[name], strict=True):
        if wanted is not None:
            assert float(of(x, x_hat, *about)) == pytest.approx(wanted, abs=1e-9, nan_ok=True)


def test_predicting_nothing_is_no_better_than_the_mean():
    for seed in range(20):
        x = world(seed).x
        assert metrics.fvu(x, 0 * x) == pytest.approx((x**2).sum() / ((x - x.mean(0)) ** 2).sum())
        assert metrics.fvu(x, 0 * x) >= 1
        assert np.isnan(metrics.shrinkage(x, 0 * x))
