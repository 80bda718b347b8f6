"""Hand-written gradients against autograd of the loss: every architecture, ragged sizes, dead and
broken runs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from assay.dictionaries.gates import Gated
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.selection import BatchTopK, TopK
from assay.dictionaries.training import losses
from assay.dictionaries.training.kernels import choice, reference, sparse
from assay.dictionaries.training.kernels.dense import dense
from assay.dictionaries.training.kernels.reference import StepInput

AUX = losses.TopKAux(alpha=0.5, dead_after=50)
MATRYOSHKA = losses.Matryoshka((1, 2, 3), alpha=0.5, dead_after=50)
BY_HAND = {
    "relu": (losses.l1, ReLU()),
    "weighted": (losses.l1_weighted, ReLU()),
    "gated": (losses.gated, Gated()),
    "gated_no_aux": (losses.gated_no_aux, Gated()),
    "jumprelu": (losses.jumprelu, JumpReLU(0.2, 0.1)),
    "topk": (losses.mse, TopK(3)),
    "topk_aux": (AUX, TopK(3)),
    "batchtopk": (losses.mse, BatchTopK(2)),
    "batchtopk_aux": (AUX, BatchTopK(2)),
    "matryoshka": (MATRYOSHKA, BatchTopK(2)),
}
SPARSE = {"weighted": "relu", "gated_no_aux": "gated", "jumprelu": "jump"}
"""The sparse step of a loss, where it has not its name."""


def sparse_step(name):
    step = SPARSE.get(name, name if name in ("relu", "gated") else "topk")
    return getattr(sparse, f"{step}_sparse")


CASES = {name: (dense, *pair) for name, pair in BY_HAND.items()} | {
    f"{name}_sparse": (sparse_step(name), *pair) for name, pair in BY_HAND.items()
}
every = pytest.mark.parametrize(("kernel", "loss", "nonlinearity"), CASES.values(), ids=CASES)


def make(nonlinearity, runs=3, rows=17, d=11, f=23, per_run=False, seed=0):
    """Parameters as training stores them (both matrices row per latent), rows and penalties."""
    g = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=g)

    W_dec = torch.nn.functional.normalize(draw(runs, f, d), dim=-1)
    params = {
        "W_enc": 0.3 * W_dec + 0.1 * draw(runs, f, d),
        "b_enc": 0.1 * draw(runs, f),
        "W_dec": W_dec,
        "b_dec": 0.1 * draw(runs, d),
    }
    own = {name: value + 0.1 * draw(runs, f) for name, value in nonlinearity.init(runs, f).items()}
    if isinstance(nonlinearity, JumpReLU):
        nonlinearity.confine(own)
    return (
        {**params, **own},
        draw(runs, rows, d) if per_run else draw(rows, d),
        torch.linspace(0.1, 0.4, runs),
    )


def asked(loss, params):
    """The loss for this width, and what it asks for by name: in every run but the second, every
    third latent is dead."""
    runs, f, _ = params["W_enc"].shape
    if isinstance(loss, losses.Matryoshka):
        loss = replace(loss, prefixes=tuple(sorted({1, f // 2, f} - {0})))
    idle = 100 * (torch.arange(f) % 3 == 0).repeat(runs, 1)
    idle[1:2] = 0
    return loss, {
        k: v for k, v in {"idle": idle, "progress": 0.6}.items() if k in losses.wants(loss)
    }


def close(found, wanted, relative):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].shape == value.shape and found[name].dtype == torch.float32, name
        assert (found[name] - value).norm() <= relative * value.norm() + 1e-12, name


@every
@pytest.mark.parametrize(
    "sizes",
    [{}, {"rows": 1}, {"per_run": True}, {"d": 1, "f": 3}, {"runs": 1, "rows": 64, "f": 7}],
    ids=str,
)
def test_equal_to_autograd(kernel, loss, nonlinearity, sizes):
    params, x, penalty = make(nonlinearity, **sizes)
    loss, more = asked(loss, params)
    wanted, gradients = reference.autograd(
        StepInput(loss, params, x, nonlinearity, penalty, torch.float32, more)
    )
    series, found = kernel(StepInput(loss, params, x, nonlinearity, penalty, torch.float32, more))
    close(found, gradients, 5e-7)
    torch.testing.assert_close(series["loss"], wanted["loss"], rtol=1e-6, atol=0)


@every
def test_curves_say_what_they_claim(kernel, loss, nonlinearity):
    params, x, penalty = make(nonlinearity)
    loss, more = asked(loss, params)
    series, _ = kernel(StepInput(loss, params, x, nonlinearity, penalty, torch.float32, more))
    standard = reference.standard(params)
    features = nonlinearity(losses.project(standard, x), params["b_enc"], params)
    torch.testing.assert_close(series["l0"], (features > 0).sum((1, 2)) / len(x))
    torch.testing.assert_close(
        series["mse"], losses.squared_error(x, losses.decode(standard, features))
    )


@every
def test_a_decoder_row_of_length_0_has_the_gradient_that_autograd_has(kernel, loss, nonlinearity):
    params, x, penalty = make(nonlinearity)
    loss, more = asked(loss, params)
    params["W_dec"][0, 3] = 0
    _, gradients = reference.autograd(
        StepInput(loss, params, x, nonlinearity, penalty, torch.float32, more)
    )
    _, found = kernel(StepInput(loss, params, x, nonlinearity, penalty, torch.float32, more))
    close(found, gradients, 1e-6)


@every
def test_a_dictionary_with_nothing_on(kernel, loss, nonlinearity):
    params, x, penalty = make(nonlinearity)
    loss, more = asked(loss, params)
    params["b_enc"] -= 100
    _, gradients = reference.autograd(
        StepInput(loss, params, x, nonlinearity, penalty, torch.float32, more)
    )
    series, found = kernel(StepInput(loss, params, x, nonlinearity, penalty, torch.float32, more))
    assert (series["l0"] == 0).all() and (found["W_enc"] == 0).all() and (found["W_dec"] == 0).all()
    close(found, gradients, 1e-6)


@every
def test_a_broken_run_leaves_its_neighbours_bitwise_alone(kernel, loss, nonlinearity):
    params, x, penalty = make(nonlinearity)
    loss, more = asked(loss, params)
    _, found = kernel(StepInput(loss, params, x, nonlinearity, penalty, torch.float32, more))
    params["W_enc"][1, 0, 0] = torch.nan
    series_nan, found_nan = kernel(
        StepInput(loss, params, x, nonlinearity, penalty, torch.float32, more)
    )
    assert series_nan["loss"][1].isnan()
    for name in found:
        assert torch.equal(found[name][[0, 2]], found_nan[name][[0, 2]]), name


@every
@pytest.mark.parametrize("per_run", [False, True])
def test_chunks_of_runs_change_nothing(kernel, loss, nonlinearity, per_run, monkeypatch):
    params, x, penalty = make(nonlinearity, runs=5, per_run=per_run)
    loss, more = asked(loss, params)
    series, whole = kernel(StepInput(loss, params, x, nonlinearity, penalty, torch.float32, more))
    for most in ("CACHED", "TOGETHER"):  # two runs at a time: chunks of 2, 2 and 1
        monkeypatch.setattr(choice, most, 2 * 17 * 23)
    pieces_series, pieces = choice.in_chunks(
        kernel, StepInput(loss, params, x, nonlinearity, penalty, torch.float32, more), {}
    )
    close(pieces, whole, 1e-6)
    close(pieces_series, series, 1e-6)


@every
def test_bfloat16_products_are_near(kernel, loss, nonlinearity):
    params, x, penalty = make(nonlinearity, rows=256, d=64, f=48)
    loss, more = asked(loss, params)
    _, exact = kernel(StepInput(loss, params, x, nonlinearity, penalty, torch.float32, more))
    series, found = choice.in_chunks(
        kernel, StepInput(loss, params, x, nonlinearity, penalty, torch.bfloat16, more), {}
    )
    close(found, exact, 0.1)  # gates and top-k places that sit on an edge may flip
    assert all(value.dtype == torch.float32 for value in series.values())


def test_each_loss_finds_its_kernel_and_a_new_one_autograd():
    for name, (loss, nonlinearity) in BY_HAND.items():
        assert choice.sparse_for(loss, nonlinearity) is sparse_step(name)
        assert choice.kernel_for(loss, nonlinearity, 32) is dense
        # of the others only training tells the density
        few = sparse.topk_sparse if isinstance(nonlinearity, TopK | BatchTopK) else dense
        assert choice.kernel_for(loss, nonlinearity, 4608) is few
    assert choice.kernel_for(losses.l1, Gated(), 32) is reference.autograd
    assert (
        choice.kernel_for(lambda params, x, nonlinearity, penalty: penalty, ReLU(), 32)
        is reference.autograd
    )
