"""The law of sparse inputs as a set of weighted ones: moments in closed form, losses beside finer
integrals and by sampling."""

import pytest
import torch

from assay.core.errors import DataError
from assay_catalogue.worlds.bottleneck.phase import expected_errors
from assay_catalogue.worlds.bottleneck.sparse_law import sparse_law

DENSITY = torch.tensor([1.0, 0.3, 0.02], dtype=torch.float64)


def model(features, width, runs=3):
    draw = torch.Generator().manual_seed(features)
    W = torch.randn(runs, features, width, generator=draw, dtype=torch.float64) * 0.7
    return W, 0.1 * torch.randn(runs, features, generator=draw, dtype=torch.float64)


@pytest.mark.parametrize("features", [1, 2, 5, 6])
def test_moments_to_third_order_are_those_of_independent_sparse_uniforms(features):
    law = sparse_law(features)
    w = law.weights(DENSITY)
    torch.testing.assert_close(w.sum(1), torch.ones(3, dtype=torch.float64))
    for power in (1, 2, 3):  # E x^k = p / (k + 1)
        moment = w @ law.x**power
        torch.testing.assert_close(moment, (DENSITY / (power + 1)).unsqueeze(1).expand_as(moment))
    second = torch.einsum("rb,bf,bg->rfg", w, law.x, law.x)
    off = ~torch.eye(features, dtype=torch.bool)
    torch.testing.assert_close(
        second[:, off], (DENSITY**2 / 4).unsqueeze(1).expand(3, int(off.sum()))
    )


def test_losses_of_a_linear_model_are_exact_by_covariances():
    W, b = model(5, 2)
    law = sparse_law(5)
    A = W @ W.transpose(1, 2)
    got = law.errors(A, b, law.weights(DENSITY), relu=False)
    rest = torch.eye(5, dtype=torch.float64) - A
    mean = (DENSITY / 2).unsqueeze(1)
    variance = (DENSITY / 3 - DENSITY**2 / 4).unsqueeze(1)
    want = (
        variance * rest.square().sum(-1)
        + ((rest @ mean.unsqueeze(1).expand(3, 5, 1)).squeeze(-1) - b).square()
    )
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("features", [2, 3])
def test_losses_with_a_relu_are_near_a_finer_integral(features):
    W, b = model(features, 2)
    law = sparse_law(features)
    got = law.errors(W @ W.transpose(1, 2), b, law.weights(DENSITY))
    for r, p in enumerate(DENSITY.tolist()):
        want = expected_errors(W[r].numpy(), b[r].numpy(), p)
        assert got[r].tolist() == pytest.approx(want.tolist(), rel=0.02, abs=1e-6)


def test_losses_with_a_relu_are_near_a_large_sample():
    W, b = model(5, 2)
    law = sparse_law(5)
    got = law.errors(W @ W.transpose(1, 2), b, law.weights(DENSITY))
    draw = torch.Generator().manual_seed(1)
    for r, p in enumerate(DENSITY.tolist()):
        x = torch.rand(300_000, 5, generator=draw, dtype=torch.float64)
        x = x * (torch.rand(x.shape, generator=draw) < p)
        made = (x @ W[r] @ W[r].T + b[r]).relu()
        assert got[r].tolist() == pytest.approx(
            (made - x).square().mean(0).tolist(), rel=0.03, abs=1e-6
        )


@pytest.mark.parametrize("relu", [True, False])
def test_the_gradient_written_by_hand_is_autograds(relu):
    W, b = model(4, 2)
    law = sparse_law(4)
    w = law.weights(DENSITY)
    weight = torch.rand(3, 4, dtype=torch.float64)
    A = (W @ W.transpose(1, 2)).requires_grad_()
    b.requires_grad_()
    by_hand = torch.autograd.grad((weight * law.errors(A, b, w, relu)).sum(), (A, b))
    made = torch.einsum("rij,bj->rbi", A, law.x) + b.unsqueeze(1)
    made = made.relu() if relu else made
    plain = torch.einsum("rb,rbi->ri", w, (made - law.x).square())
    for mine, theirs in zip(
        by_hand, torch.autograd.grad((weight * plain).sum(), (A, b)), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


def test_bad_input_is_one_line():
    with pytest.raises(DataError, match="1 to 6 features, got 7: sample instead"):
        sparse_law(7)
    for wrong in (0.0, 1.5, float("nan")):
        with pytest.raises(
            DataError, match="a density is a probability above 0 and at most 1, got"
        ):
            sparse_law(2).weights(torch.tensor([0.5, wrong]))
