"""Decoding by the rows of the features that are on, against a loop over every feature."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.dictionaries import decoding
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU


def made(runs, b, f, d, density, seed, dtype=torch.float32):
    g = torch.Generator().manual_seed(seed)
    features = torch.randn(runs, b, f, generator=g, dtype=dtype) * (
        torch.rand(runs, b, f, generator=g) < density
    )
    return (
        features,
        torch.randn(runs, f, d, generator=g, dtype=dtype),
        torch.randn(runs, d, generator=g, dtype=dtype),
    )


def by_loops(features, W_dec, b_dec):
    out = np.zeros((*features.shape[:2], W_dec.shape[-1]))
    for r, row in np.ndindex(*features.shape[:2]):
        out[r, row] = b_dec[r].double()
        for i in range(features.shape[-1]):
            out[r, row] += float(features[r, row, i]) * W_dec[r, i].double().numpy()
    return out


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@settings(max_examples=25)
@given(
    runs=st.integers(1, 3),
    b=st.integers(1, 7),
    f=st.integers(1, 40),
    d=st.sampled_from([3, 64, 70]),
    density=st.sampled_from([0.0, 0.03, 0.06, 0.3, 1.0]),
    seed=st.integers(0, 99),
)
def test_both_ways_give_the_sum_over_features(dtype, runs, b, f, d, density, seed):
    features, W_dec, b_dec = made(runs, b, f, d, density, seed, dtype)
    found = decoding.decode(features, W_dec, b_dec)
    assert found.dtype == dtype
    np.testing.assert_allclose(
        found,
        by_loops(features, W_dec, b_dec),
        rtol=0,
        atol=1e-4 if dtype == torch.float32 else 1e-12,
    )


def test_few_is_a_matter_of_the_share_that_is_on_and_not_of_its_size():
    codes = torch.zeros(4, 32)
    codes[:, 3], codes[:, 5] = 1e-30, -7.0
    assert decoding.few(codes)
    codes[0, 8] = torch.nan
    assert not decoding.few(codes)


def test_rows_of_zeros_between_others_stay_in_place():
    features = torch.zeros(2, 5, 200)
    features[0, 3, 7], features[1, 0, 199] = 2.0, 3.0
    W_dec, b_dec = torch.randn(2, 200, 64), torch.randn(2, 64)
    found = decoding.decode(features, W_dec, b_dec)
    wanted = b_dec[:, None].repeat(1, 5, 1)
    wanted[0, 3] += 2 * W_dec[0, 7]
    wanted[1, 0] += 3 * W_dec[1, 199]
    torch.testing.assert_close(found, wanted)


def test_nothing_to_decode_is_nothing():
    assert decoding.decode(torch.zeros(2, 0, 9), torch.ones(2, 9, 64), torch.ones(2, 64)).shape == (
        2,
        0,
        64,
    )


def test_gradients_are_those_of_the_product():
    features, W_dec, b_dec = made(1, 6, 300, 64, 0.02, 0)
    given_grad = torch.randn(1, 6, 64)
    grads = []
    for decode in (decoding.decode, lambda f, W, b: f @ W + b[:, None]):
        leaves = [t.clone().requires_grad_() for t in (features, W_dec, b_dec)]
        grads.append(torch.autograd.grad(decode(*leaves), leaves, given_grad))
    for found, wanted in zip(*grads, strict=True):
        torch.testing.assert_close(found, wanted)


def test_a_run_of_nan_stays_its_own():
    features, W_dec, b_dec = made(2, 6, 300, 64, 0.02, 1)
    wanted = decoding.decode(features[:1], W_dec[:1], b_dec[:1])
    features[1] = torch.nan
    found = decoding.decode(features, W_dec, b_dec)
    assert found[1].isnan().all()
    torch.testing.assert_close(found[:1], wanted)


def test_a_dictionary_decodes_alike_from_rows_that_do_not_lie_in_order():
    features, W_dec, b_dec = made(1, 9, 400, 64, 0.02, 2)
    turned = W_dec.mT.contiguous().mT
    one, other = (Dictionary(W.mT, torch.zeros(1, 400), W, b_dec, ReLU()) for W in (W_dec, turned))
    torch.testing.assert_close(one.decode(features), other.decode(features))
