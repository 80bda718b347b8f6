"""Functions that people give arrays of their own: NumPy, torch and lists give equal numbers, and
anything else is one line."""

import numpy as np
import pytest
import torch

import assay
from assay.core.errors import AssayError, DataError
from assay.dictionaries import ReLU
from assay_catalogue.worlds.bottleneck import capacity, crowding, phase, rescaling
from seeded import drawn

X = drawn(12, 4).double()
X_HAT = drawn(12, 4, seed=1).double()
F = drawn(12, 6, seed=2).relu().double()
W = torch.nn.functional.normalize(drawn(1, 6, 4, seed=3), dim=-1)
ONE = assay.Dictionary(W.mT.contiguous(), torch.zeros(1, 6), W, torch.zeros(1, 4), ReLU())
LOSSES = torch.tensor([2.0, 3.0]), torch.tensor([2.5, 3.1]), torch.tensor([4.0, 5.0])
ARMS = ["ours"] * 8 + ["theirs"] * 8 + ["none"] * 8


TABLE = {
    "l0": (assay.metrics.l0, F),
    "fvu": (assay.metrics.fvu, X, X_HAT),
    "shrinkage": (assay.metrics.shrinkage, X, X_HAT, X.mean(0)),
    "norm_ratio": (assay.metrics.norm_ratio, X, X_HAT),
    "density": (assay.metrics.density, F),
    "dead": (assay.metrics.dead, F),
    "ce_recovered": (assay.metrics.ce_recovered, *LOSSES),
    "kl_recovered": (assay.metrics.kl_recovered, *LOSSES[1:]),
    "document_sums": (
        lambda x, document, mean: assay.metrics.document_sums(ONE, x, document, 3, mean)["error"],
        X,
        torch.arange(12) % 3,
        X.mean(0),
    ),
    "Dictionary.encode": (ONE.encode, X),
    "Dictionary.decode": (ONE.decode, F[None]),
    "Dictionary.reconstruct": (ONE.reconstruct, X),
    "train_dictionary": (
        lambda x: assay.train_dictionary(ReLU(), x, width=5, penalty=0.1, steps=3).W_dec,
        X,
    ),
    "stats.interval": (
        lambda x: assay.stats.interval({"x": x}, assay.stats.mean).estimate,
        X[:, 0],
    ),
    "capacity": (capacity.capacity, X),
    "dimensionality": (capacity.dimensionality, X),
    "crowding": (crowding.crowding, X, torch.rand(12).double() + 0.1),
    "features_per_dimension": (rescaling.features_per_dimension, X),
    "superposed_loss": (phase.superposed_loss, torch.tensor([0.1, 0.5]), torch.tensor([1.0, 0.5])),
    "kept_loss": (phase.kept_loss, torch.tensor([0.1, 0.5]), torch.tensor([1.0, 0.5])),
    "boundary": (phase.boundary, torch.tensor([0.2, 1.0, 3.0])),
    "expected_errors": (
        lambda w, b: phase.expected_errors(w, b, 0.3),
        torch.tensor([[1.0], [-1.0]]),
        torch.zeros(2),
    ),
}
"""What is called, and with which arrays."""


@pytest.mark.parametrize("name", TABLE)
def test_numpy_torch_and_lists_give_equal_numbers(name):
    call, *given = TABLE[name]
    of_tensors, of_arrays, of_lists = (
        np.asarray(call(*map(kind, given)))
        for kind in (torch.Tensor.clone, torch.Tensor.numpy, torch.Tensor.tolist)
    )
    assert np.isfinite(of_tensors).any()
    np.testing.assert_allclose(of_arrays, of_tensors, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(of_lists, of_tensors, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [[[1.0, 2.0], [3.0]], "text", [None, None], {"a": 1}],
    ids=["ragged", "text", "none", "mapping"],
)
@pytest.mark.parametrize(
    "name", [name for name in TABLE if name not in ("judge", "stats.interval")]
)
def test_what_is_no_array_of_numbers_is_one_line(name, wrong):
    call, _, *rest = TABLE[name]
    with pytest.raises(AssayError) as refused:
        call(wrong, *rest)
    assert "\n" not in str(refused.value)


def test_a_dictionary_is_made_of_tensors():
    with pytest.raises(DataError, match="made of torch tensors, and its b_enc is none"):
        assay.Dictionary(
            W.mT.contiguous(), np.zeros((1, 6), np.float32), W, torch.zeros(1, 4), ReLU()
        )
