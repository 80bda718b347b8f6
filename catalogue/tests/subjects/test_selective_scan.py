"""The scan: equal to a loop in float64 and to a parallel scan, with gradients that differences
confirm; and equal to its hidden attention."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from assay.core.errors import ModelError
from assay_catalogue.subjects.selective_scan import (
    hidden_attention,
    selective_scan,
    states,
    written,
)

SIZES = (2, 3, 11, 5, 4)  # runs, batch, positions, channels, state


def drawn(sizes=SIZES, dtype=torch.float64, seed=0):
    """u, Δ > 0, A < 0, B, C."""
    r, b, s, c, n = sizes
    draw = torch.Generator().manual_seed(seed)
    u, B, C = (
        torch.randn(*shape, generator=draw, dtype=dtype)
        for shape in ((r, b, s, c), (r, b, s, n), (r, b, s, n))
    )
    delta, A = (
        torch.rand(r, b, s, c, generator=draw, dtype=dtype),
        -4 * torch.rand(r, c, n, generator=draw, dtype=dtype),
    )
    return u, delta, A, B, C


def naive(u, delta, A, B, C) -> np.ndarray:
    """One number at a time, in Python's own floats."""
    y = np.zeros(u.shape)
    for r, b, c in np.ndindex(u.shape[0], u.shape[1], u.shape[3]):
        h = [0.0] * A.shape[2]
        for t in range(u.shape[2]):
            step = float(delta[r, b, t, c])
            h = [
                math.exp(step * float(A[r, c, n])) * h[n]
                + step * float(B[r, b, t, n] * u[r, b, t, c])
                for n in range(len(h))
            ]
            y[r, b, t, c] = sum(float(C[r, b, t, n]) * h[n] for n in range(len(h)))
    return y


def doubled(u, delta, A, B, C):
    """The parallel way: pairs (decay, addition) combined over distances 1, 2, 4, …; 3.5 to 10 times
    as slow as ours on a CPU."""
    a, x, reach = torch.exp(delta.unsqueeze(-1) * A[:, None, None]), written(u, delta, B), 1
    while reach < u.shape[2]:
        x = torch.cat([x[:, :, :reach], x[:, :, reach:] + a[:, :, reach:] * x[:, :, :-reach]], 2)
        a = torch.cat([a[:, :, :reach], a[:, :, reach:] * a[:, :, :-reach]], 2)
        reach *= 2
    return (x * C.unsqueeze(-2)).sum(-1)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-6)], ids=str
)
def test_it_is_the_loop(dtype, tolerance):
    exact = drawn()
    truth = naive(*exact)
    for way in (
        selective_scan,
        doubled,
        lambda u, d, A, B, C: (states(d, A, written(u, d, B)) * C.unsqueeze(-2)).sum(-1),
    ):
        found = way(*(x.to(dtype) for x in exact)).double().numpy()
        assert np.abs(found - truth).max() <= tolerance * np.abs(truth).max()


def test_four_positions_worked_out_by_hand():
    """u = (1, 2, −1, 3), Δ = (.5, 1, .25, 2), A = (−1, −2)."""
    u, delta = (
        torch.tensor(x, dtype=torch.float64)[None, None, :, None]
        for x in ([1.0, 2, -1, 3], [0.5, 1, 0.25, 2])
    )
    A = torch.tensor([[[-1.0, -2]]], dtype=torch.float64)
    B, C = (
        torch.tensor(x, dtype=torch.float64)[None, None]
        for x in ([[1.0, 0], [0, 1], [1, 1], [0.5, -1]], [[1.0, 1], [1, 0], [0, 1], [1, 2]])
    )
    y = selective_scan(u, delta, A, B, C).flatten().tolist()
    assert y == pytest.approx([0.5, 0.183940, 0.963061, -8.979169], abs=1e-6)
    rows = [
        [0.5, 0, 0, 0],
        [0.183940, 0, 0, 0],
        [0, 0.606531, 0.25, 0],
        [0.019387, 0.022218, 0.042992, -3],
    ]
    np.testing.assert_allclose(hidden_attention(delta, A, B, C)[0, 0, 0], rows, atol=1e-6)


def test_gradients_are_those_of_differences():
    inputs = [x.requires_grad_() for x in drawn((2, 2, 5, 3, 2))]
    assert torch.autograd.gradcheck(selective_scan, inputs)


def test_gradients_are_those_of_the_parallel_way():
    weight = torch.randn(
        *SIZES[:4], dtype=torch.float64, generator=torch.Generator().manual_seed(9)
    )
    found = []
    for way in (selective_scan, doubled):
        inputs = [x.requires_grad_() for x in drawn()]
        found.append(torch.autograd.grad((way(*inputs) * weight).sum(), inputs))
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-11, rtol=1e-11)


def test_one_position_and_no_gradient_are_no_special_cases():
    u, delta, A, B, C = drawn((1, 2, 1, 3, 2))
    torch.testing.assert_close(
        selective_scan(u, delta, A, B, C), delta * u * (B * C).sum(-1, keepdim=True)
    )
    leaves = [x.requires_grad_() for x in (u, delta, A, B, C)]
    assert (
        float(torch.autograd.grad(selective_scan(*leaves).sum(), leaves)[2].abs().max()) == 0
    )  # nothing decays before the second


def test_runs_do_not_influence_each_other():
    inputs = drawn()
    whole = selective_scan(*inputs)
    torch.testing.assert_close(whole[1:], selective_scan(*(x[1:] for x in inputs)))
    broken = selective_scan(
        *(torch.cat([torch.full_like(x[:1], torch.nan), x[1:]]) for x in inputs)
    )
    assert torch.equal(broken[1], whole[1]) and broken[0].isnan().all()


def test_steps_that_forget_everything_stay_finite():
    u, delta, A, B, C = (x.float() for x in drawn())
    leaves = [x.requires_grad_() for x in (u, 1e4 * delta, A, B, C)]
    y = selective_scan(*leaves)
    assert y.isfinite().all() and all(
        g.isfinite().all() for g in torch.autograd.grad(y.sum(), leaves)
    )
    assert hidden_attention(*leaves[1:]).isfinite().all()


def test_hidden_attention_times_the_values_is_the_output():
    u, delta, A, B, C = drawn()
    alpha, y = hidden_attention(delta, A, B, C), selective_scan(u, delta, A, B, C)
    assert alpha.shape == (2, 3, 5, 11, 11) and float(alpha.triu(1).abs().max()) == 0
    torch.testing.assert_close(
        torch.einsum("rbcts,rbsc->rbtc", alpha, u), y, atol=1e-12, rtol=1e-12
    )
    single = hidden_attention(*(x.float() for x in (delta, A, B, C)))
    error = torch.einsum("rbcts,rbsc->rbtc", single, u.float()) - y
    assert float(error.abs().max()) <= 2e-6 * float(y.abs().max())


def test_hidden_attention_with_what_passes_by_and_the_gate():
    u, delta, A, B, C = drawn()
    draw = torch.Generator().manual_seed(3)
    D, gate = (
        torch.randn(2, 5, generator=draw, dtype=torch.float64),
        torch.randn(2, 3, 11, 5, generator=draw, dtype=torch.float64),
    )
    alpha = hidden_attention(delta, A, B, C, D=D, gate=gate)
    whole = (selective_scan(u, delta, A, B, C) + D[:, None, None] * u) * gate * torch.sigmoid(gate)
    torch.testing.assert_close(
        torch.einsum("rbcts,rbsc->rbtc", alpha, u), whole, atol=1e-12, rtol=1e-12
    )


def test_near_misses_of_hidden_attention_are_told():
    """What decays from the position itself on, or at one mean rate, is not the output: the identity
    can fail."""
    u, delta, A, B, C = drawn()
    y = selective_scan(u, delta, A, B, C)
    early = torch.cat([delta[:, :, :1] * 0, delta[:, :, :-1]], 2)  # Σ from s in place of s + 1
    mean = delta.mean(2, keepdim=True).expand_as(delta)
    for wrong in (early, mean):
        alpha = hidden_attention(wrong, A, B, C) * (delta / wrong.clamp_min(1e-9)).transpose(
            2, 3
        ).unsqueeze(-2)
        error = torch.einsum("rbcts,rbsc->rbtc", alpha, u) - y
        assert float(error.abs().max()) > 0.05 * float(y.abs().max())


def test_a_long_text_loses_no_digits():
    """Differences of sums over thousands of positions, in float32 throughout, would be off by a
    thousandth."""
    u, delta, A, B, C = drawn((1, 1, 3000, 1, 2))
    alpha = hidden_attention(delta.float() * 3, A.float(), B.float(), C.float())
    y = selective_scan(u, delta * 3, A, B, C)
    error = torch.einsum("rbcts,rbsc->rbtc", alpha, u.float()) - y
    assert float(error.abs().max()) <= 1e-5 * float(y.abs().max())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_refused(dtype):
    """In float16 the sum over 512 positions is off by 2e-3 of its size."""
    draw = torch.Generator().manual_seed(0)
    shapes = (1, 1, 9, 3), (1, 1, 9, 3), (1, 3, 2), (1, 1, 9, 2), (1, 1, 9, 2)
    inputs = [torch.rand(shape, generator=draw) for shape in shapes]
    for half in range(5):
        some = [x.to(dtype) if i == half else x for i, x in enumerate(inputs)]
        with pytest.raises(ModelError, match=f"sums of {str(dtype)[6:]} drift"):
            selective_scan(*some)
    u, delta, A, B, C = (x.to(dtype) for x in inputs)
    with pytest.raises(ModelError, match="drift"):
        hidden_attention(delta, A, B, C)
    with pytest.raises(ModelError, match="drift"):
        states(delta, A, written(u, delta, B))
