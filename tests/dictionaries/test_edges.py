"""At the edges: one row, half precision, windows in place of rows, a rewritten dictionary; each
with the value it must have."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from acceptance.test_edges import D, F, one
from assay.core.errors import DataError
from assay.core.runs import Runs
from assay.core.spec import Spec
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.gates import GatedUntied
from assay.dictionaries.measuring import metrics
from assay.dictionaries.nonlinearity import Identity, ReLU, Rescaled
from assay.dictionaries.selection import TopK
from assay.dictionaries.training import losses
from assay.dictionaries.training.kernels.reference import StepInput, autograd
from assay.dictionaries.training.kernels.sparse import sparse
from assay.dictionaries.training.train import Method, fit_dictionaries
from seeded import drawn


def test_a_shape_that_does_not_fit_is_refused_with_the_one_that_would():
    given, several = drawn(3, 4, D), Dictionary.join([one()] * 2)
    expected = r"\[tokens, 6\] or \[batch, position, 6\] for this dictionary, got \[3, 4, 5\]"
    for read in (one().encode, one().reconstruct):
        with pytest.raises(DataError, match=f"activations must be {expected}"):
            read(given[..., 1:])
    with pytest.raises(DataError, match=r"features must be \[tokens, .*, got \[3, 4, 5\]"):
        one().decode(given[..., 1:])
    with pytest.raises(DataError, match=r"of 2 runs, got \[3, 4, 6\]"):
        several.encode(given)
    with pytest.raises(DataError, match="features and their input must be of the same tokens"):
        one().decode(one().encode(given), given[0])
    assert several.encode(given[0]).shape == (2, 4, several.width)


def test_a_long_row_of_half_precision_keeps_its_length():
    eye, zero = torch.eye(D)[None], torch.zeros(1, D)
    x = torch.full((1, D), 60_000.0).half()  # its length is beyond float16
    same = Dictionary(eye, zero, eye, zero, Identity(), per_token="length").reconstruct(x)
    assert torch.allclose(same[0], x.float(), rtol=1e-6)


@pytest.mark.parametrize("kernel", [autograd, sparse])
def test_the_dead_have_nothing_to_explain_in_a_single_row(kernel):
    params = {
        "W_enc": one().W_enc.mT.contiguous(),
        "W_dec": one().W_dec,
        "b_enc": one().b_enc,
        "b_dec": one().b_dec,
    }
    idle = torch.arange(F)[None] * 10_000
    for loss, plain in (
        (losses.TopKAux(), losses.mse),
        (losses.Matryoshka((4, F)), losses.Matryoshka((4, F), alpha=0)),
    ):
        x, more = drawn(1, D, seed=2), {"idle": idle}
        wanted = autograd(StepInput(plain, params, x, TopK(2), torch.zeros(1), torch.float32, {}))
        found = kernel(StepInput(loss, params, x, TopK(2), torch.zeros(1), torch.float32, more))
        assert float(found[0]["loss"]) == pytest.approx(float(wanted[0]["loss"]), rel=1e-5)
        for name, grad in found[1].items():
            assert torch.allclose(grad.float(), wanted[1][name], atol=1e-6), name


@pytest.mark.parametrize("inner", [ReLU(), GatedUntied()])
def test_a_rescaled_nonlinearity_can_be_trained_from_where_it_does_nothing(inner, bench):
    @dataclass(frozen=True, kw_only=True)
    class Run(Spec):
        """One run."""

    def trained(nonlinearity, lr):
        method = Method(
            nonlinearity, losses.l1, F, lr=np.full(2, lr), penalty=np.full(2, 0.1), warm_up=1
        )
        runs = Runs([Run(seed=1), Run(seed=2)])
        made = fit_dictionaries(
            [(runs, method)], lambda step: drawn(50, D, seed=step), d=D, steps=4, bench=bench
        )
        return Dictionary.of(made[0])

    x = drawn(20, D, seed=9)
    assert torch.allclose(trained(Rescaled(inner), 0.0).encode(x), trained(inner, 0.0).encode(x))
    moved = trained(Rescaled(inner), 1e-2)
    assert moved.encode(x).isfinite().all()
    assert float((moved.own["factor"] - 1).abs().max()) > 1e-3


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_weights_of_any_precision_are_measured(dtype):
    from assay.evaluation import measure

    plain = one()
    d = Dictionary(
        *(t.to(dtype) for t in (plain.W_enc, plain.b_enc, plain.W_dec, plain.b_dec)), ReLU()
    )
    x, document = drawn(9, D), torch.zeros(9, dtype=torch.int64)
    wanted = metrics.document_sums(plain, x, document, 1, x.mean(0))
    found = metrics.document_sums(d, x, document, 1, x.mean(0))
    mine = measure.of_dictionary(d, x, x, document, 1, x.mean(0))[0]
    for name in ("error", "norm_raw"):
        assert found[name] == pytest.approx(
            wanted[name], rel=0.05 if dtype == torch.bfloat16 else 1e-5
        )
        assert mine[name].numpy() == pytest.approx(found[name][0], rel=1e-5)
