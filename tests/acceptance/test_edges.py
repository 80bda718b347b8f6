"""At the edges: one row, half precision, windows in place of rows, a rewritten dictionary; each
with the value it must have."""

import numpy as np
import pytest
import torch

from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring import metrics
from assay.dictionaries.nonlinearity import ReLU
from seeded import drawn

D, F = 6, 12


def one(nonlinearity=None, own=None, **more):
    W = torch.nn.functional.normalize(drawn(1, F, D), dim=-1)
    return Dictionary(
        W.mT.contiguous(),
        0.1 * drawn(1, F),
        W,
        drawn(1, D, seed=1),
        nonlinearity or ReLU(),
        own or {},
        **more,
    )


@pytest.mark.parametrize("axes", [(), (4,), (1, 4), (3, 4), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("per_token", ["", "length"])
def test_one_dictionary_keeps_the_leading_axes(axes, per_token):
    d = one(per_token=per_token)
    names = ("W_enc", "b_enc", "W_dec", "b_dec")
    W_enc, b_enc, W_dec, b_dec = (d.tensors()[name][0].numpy() for name in names)
    x = drawn(*axes, D)
    length = np.linalg.norm(x, axis=-1, keepdims=True) / D**0.5 if per_token else 1.0
    features = np.maximum((x.numpy() / length - b_dec) @ W_enc + b_enc, 0)
    made = (features @ W_dec + b_dec) * length
    assert np.allclose(d.encode(x), features, atol=1e-5) and d.encode(x).shape == (*axes, d.width)
    assert np.allclose(d.decode(d.encode(x), x), made, atol=1e-5)
    assert np.allclose(d.reconstruct(x.numpy()), made, atol=1e-5)
    on = d.active(x)
    assert np.allclose(on.value, features.reshape(-1, d.width)[on.row, on.feature], atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_activations_of_any_precision_are_read_in_that_of_the_weights(dtype):
    x = drawn(5, D).to(dtype)
    assert torch.equal(one().reconstruct(x), one().reconstruct(x.float()))


def test_sums_of_a_dictionary_that_normalises_each_row_are_those_of_its_reconstruction():
    d, x = one(per_token="layer-norm-exact"), drawn(9, D) * 3 + 1
    found = metrics.finish(metrics.document_sums(d, x, np.zeros(9, int), 1, x.double().mean(0)))
    assert found["fvu"][0] == pytest.approx(float(metrics.fvu(x, d.reconstruct(x))), rel=1e-5)
