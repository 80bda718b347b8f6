"""Losses against loops in float64, and the gradients that the Gated paper's bookkeeping demands."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from assay.dictionaries.gates import Gated
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.selection import TopK
from assay.dictionaries.training import losses

RUNS, ROWS, D, F = 2, 6, 4, 5
CASES = [
    (losses.mse, TopK(2)),
    (losses.l1, ReLU()),
    (losses.gated, Gated()),
    (losses.gated_no_aux, Gated()),
]


def make(nonlinearity, seed=0):
    g = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    params = {
        "W_enc": draw(RUNS, D, F),
        "b_enc": 0.3 * draw(RUNS, F),
        "W_dec": draw(RUNS, F, D),
        "b_dec": 0.3 * draw(RUNS, D),
    }
    own = {name: value + 0.3 * draw(RUNS, F) for name, value in nonlinearity.init(RUNS, F).items()}
    return {**params, **own}, draw(ROWS, D), torch.tensor([0.1, 0.7], dtype=torch.float64)


def square(row, code, p):
    """Squared error of one row, over D, for the code of one row."""
    out = [sum(code[i] * p["W_dec"][i, j] for i in range(F)) + p["b_dec"][j] for j in range(D)]
    return sum((a - b) ** 2 for a, b in zip(row, out, strict=True)) / D


def by_hand(loss, nonlinearity, params, x, penalty, r):
    """The loss of run r, written out number by number."""
    p = {name: value[r].numpy() for name, value in params.items()}
    total = 0.0
    for row in x.numpy():
        z = [sum((row[j] - p["b_dec"][j]) * p["W_enc"][j, i] for j in range(D)) for i in range(F)]
        pre = [z[i] + p["b_enc"][i] for i in range(F)]
        if isinstance(nonlinearity, Gated):
            f = [
                max(math.exp(p["r_mag"][i]) * z[i] + p["b_mag"][i], 0) if pre[i] > 0 else 0
                for i in range(F)
            ]
        elif isinstance(nonlinearity, TopK):
            f = [max(v, 0) if v in sorted(pre)[-nonlinearity.k :] else 0 for v in pre]
        else:
            f = [max(v, 0) for v in pre]
        gate = [max(v, 0) for v in pre]
        total += square(row, f, p)
        if loss is not losses.mse:
            total += (
                penalty[r].item()
                * sum(gate if isinstance(nonlinearity, Gated) else f)
                / math.sqrt(D)
            )
        if loss is losses.gated:
            total += square(row, gate, p)
    return total / ROWS


@pytest.mark.parametrize(
    ("loss", "nonlinearity"), CASES, ids=lambda c: getattr(c, "__name__", str(c))
)
def test_the_formula(loss, nonlinearity):
    params, x, penalty = make(nonlinearity)
    got = loss(params, x, nonlinearity, penalty)
    assert got.tolist() == pytest.approx(
        [by_hand(loss, nonlinearity, params, x, penalty, r) for r in range(RUNS)], rel=1e-12
    )
    plain = loss(
        {name: value.numpy() for name, value in params.items()},
        x.numpy(),
        nonlinearity,
        penalty.numpy(),
    )
    assert torch.equal(torch.as_tensor(plain), got)  # NumPy arrays in, the same number out
    torch.testing.assert_close(loss(params, x.expand(RUNS, -1, -1), nonlinearity, penalty), got)


def test_the_terms_on_plain_arrays():
    x, x_hat = np.array([[3.0, 0.0], [0.0, 4.0]]), np.array([[0.0, 0.0], [0.0, 2.0]])
    assert losses.squared_error(x, x_hat).item() == (9 + 4) / 2 / 2
    assert losses.feature_sum(np.array([[1.0, 2.0], [0.0, 5.0]]), 4).item() == (3 + 5) / 2 / 2


def gradient(loss, nonlinearity, params, x, penalty):
    leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
    found = torch.autograd.grad(
        loss(leaves, x, nonlinearity, penalty).sum(), list(leaves.values()), allow_unused=True
    )
    return dict(
        zip(
            leaves,
            [
                torch.zeros_like(p) if g is None else g
                for g, p in zip(found, params.values(), strict=True)
            ],
            strict=True,
        )
    )


def test_the_auxiliary_term_moves_the_gate_and_never_the_decoder():
    params, x, penalty = make(Gated())
    whole, without = (
        gradient(loss, Gated(), params, x, penalty) for loss in (losses.gated, losses.gated_no_aux)
    )
    for name in ("W_dec", "r_mag", "b_mag"):
        assert torch.equal(whole[name], without[name]), name
    for name in ("W_enc", "b_enc"):
        assert not torch.allclose(whole[name], without[name])
    # b_dec hears of the auxiliary term only as the encoder's centre, not through the decoder copy
    through_encoder = -((whole["b_enc"] - without["b_enc"])[:, None] @ params["W_enc"].mT)[:, 0]
    torch.testing.assert_close(whole["b_dec"] - without["b_dec"], through_encoder)


def test_without_penalty_and_auxiliary_term_nothing_moves_the_gates_bias():
    params, x, _ = make(Gated())
    assert (
        gradient(losses.gated_no_aux, Gated(), params, x, torch.zeros(RUNS))["b_enc"] == 0
    ).all()


@pytest.mark.parametrize("name", ["r_mag", "b_mag", "W_dec"])
def test_finite_differences_away_from_the_gates_edge(name):
    params, x, penalty = make(Gated(), seed=3)
    found = gradient(losses.gated, Gated(), params, x, penalty)[name]
    step = 1e-6

    def at(
        index, change
    ):  # the auxiliary term is constant in all three: its decoder is a frozen copy
        moved = {k: v.clone() for k, v in params.items()}
        moved[name].view(-1)[index] += change
        return losses.gated_no_aux(moved, x, Gated(), penalty).sum()

    for index in range(0, found.numel(), 3):
        numeric = (at(index, step) - at(index, -step)) / (2 * step)
        assert numeric.item() == pytest.approx(found.view(-1)[index].item(), rel=1e-4, abs=1e-8)
