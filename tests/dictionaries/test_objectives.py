"""Every loss of every architecture against a loop in float64, by finite differences, and where
gradients must not go."""

import itertools
import math

import pytest
import torch

from acceptance.test_objectives import DEAD, OUT, ROWS, RUNS, D, F, make
from assay.core.errors import DataError
from assay.dictionaries.gates import Gated, GatedShift, GatedSigmoid, GatedUntied, ScaledReLU
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.selection import BatchTopK, TopK
from assay.dictionaries.training import losses
from assay.dictionaries.training.auxiliary import aux_k

CASES = {
    "relu": (ReLU(), losses.l1),
    "relu_weighted": (ReLU(), losses.l1_weighted),
    "relu_by_layer": (ReLU(), losses.L1Weighted(parts=(1, 3))),
    "gated": (Gated(), losses.gated),
    "gated_no_aux": (Gated(), losses.gated_no_aux),
    "gated_unfrozen_aux": (Gated(), losses.gated_unfrozen_aux),
    "gated_untied": (GatedUntied(), losses.gated),
    "gated_no_rmag": (GatedShift(), losses.gated),
    "gated_no_heaviside": (ScaledReLU(), losses.gated),
    "gated_sigmoid": (GatedSigmoid(), losses.gated_sigmoid),
    "gated_sigmoid_relu": (GatedSigmoid(), losses.gated_no_aux),
    "topk": (TopK(2), losses.mse),
    "topk_aux": (TopK(2), losses.TopKAux(alpha=0.3, dead_after=50)),
    "batchtopk": (BatchTopK(2), losses.mse),
    "batchtopk_aux": (BatchTopK(2), losses.TopKAux(alpha=0.3, dead_after=50)),
    "matryoshka": (BatchTopK(2), losses.Matryoshka((1, 3, 6), alpha=0.3, dead_after=50)),
    "jumprelu": (JumpReLU(), losses.jumprelu),
}
every = pytest.mark.parametrize(("nonlinearity", "loss"), CASES.values(), ids=CASES)


def extras(loss):
    return {k: v for k, v in {"idle": DEAD, "progress": 0.5}.items() if k in losses.wants(loss)}


# --- the loops ------------------------------------------------------------------------------------


def by_hand(nonlinearity, loss, params, x, penalty, r, y=None, idle=None, progress=None):
    """The loss of run r, number by number, from the formulas of the papers."""
    p = {name: value[r].numpy() for name, value in params.items()}
    x = x.numpy()
    y = x if y is None else y.numpy()
    out = y.shape[1]
    centre = p.get("b_pre", p["b_dec"])

    def project(row, W):
        return [sum((row[j] - centre[j]) * W[j, i] for j in range(D)) for i in range(F)]

    z = [project(row, p["W_enc"]) for row in x]
    pre = [[zi + b for zi, b in zip(row, p["b_enc"], strict=True)] for row in z]
    pool = sorted((v for row in pre for v in row), reverse=True)

    def code(b):
        """Features of row b."""
        kind, on = type(nonlinearity), [v > 0 for v in pre[b]]
        if kind is ReLU:
            return [max(v, 0) for v in pre[b]]
        if kind is TopK:
            return [max(v, 0) if v in sorted(pre[b])[-nonlinearity.k :] else 0 for v in pre[b]]
        if kind is BatchTopK:
            return [max(v, 0) if v in pool[: nonlinearity.k * ROWS] else 0 for v in pre[b]]
        if kind is JumpReLU:
            return [v if v > t else 0 for v, t in zip(pre[b], p["threshold"], strict=True)]
        if kind is ScaledReLU:
            return [math.exp(s) * max(v, 0) for v, s in zip(pre[b], p["r_mag"], strict=True)]
        amount = project(x[b], p["W_mag"]) if kind is GatedUntied else z[b]
        stretch = [math.exp(s) for s in p["r_mag"]] if "r_mag" in p else [1] * F
        magnitude = [max(s * v + m, 0) for s, v, m in zip(stretch, amount, p["b_mag"], strict=True)]
        opened = [1 / (1 + math.exp(-v)) for v in pre[b]] if kind is GatedSigmoid else on
        return [m * o for m, o in zip(magnitude, opened, strict=True)]

    def decode(f, b, bias=True, only=F):
        row = [sum(f[i] * p["W_dec"][i, j] for i in range(only)) for j in range(out)]
        if bias:
            skip = [
                sum(x[b][i] * p["W_skip"][i, j] for i in range(D)) if "W_skip" in p else 0
                for j in range(out)
            ]
            row = [v + p["b_dec"][j] + skip[j] for j, v in enumerate(row)]
        return row

    def square(target, found):
        return sum((a - b) ** 2 for a, b in zip(target, found, strict=True)) / out

    codes = [code(b) for b in range(ROWS)]
    total = 0.0
    for b in range(ROWS):
        f, gate = codes[b], [max(v, 0) for v in pre[b]]
        for only in loss.prefixes if isinstance(loss, losses.Matryoshka) else (F,):
            total += square(y[b], decode(f, b, only=only))
        size = 0.0
        if loss is losses.l1:
            size = sum(f) / math.sqrt(out)
        elif isinstance(loss, losses.L1Weighted):
            edges = [0, loss.parts[0], out] if loss.parts else [0, out]
            lengths = [
                sum(
                    math.sqrt(sum(w**2 for w in p["W_dec"][i, a:e]))
                    for a, e in itertools.pairwise(edges)
                )
                for i in range(F)
            ]
            size = sum(v * length for v, length in zip(f, lengths, strict=True)) / math.sqrt(out)
        elif loss is losses.jumprelu:
            size = sum(v > t for v, t in zip(pre[b], p["threshold"], strict=True))
        elif loss is losses.gated_sigmoid:
            size = sum(1 / (1 + math.exp(-v)) for v in pre[b]) / math.sqrt(out)
        elif loss in (losses.gated, losses.gated_no_aux, losses.gated_unfrozen_aux):
            size = sum(gate) / math.sqrt(out)
        total += penalty[r].item() * size
        if loss in (losses.gated, losses.gated_unfrozen_aux):
            total += square(y[b], decode(gate, b))
    total /= ROWS
    if idle is not None:
        dead = [i for i in range(F) if idle[r, i] >= loss.dead_after]
        left = [
            [a - v for a, v in zip(y[b], decode(codes[b], b), strict=True)] for b in range(ROWS)
        ]
        middle = [sum(e[j] for e in left) / ROWS for j in range(out)]
        most = max(1, out // 2)
        missed = variance = 0.0
        for b in range(ROWS):
            ranked = sorted(dead, key=lambda i, b=b: -pre[b][i])[:most]
            back = decode(
                [max(pre[b][i], 0) if i in ranked else 0 for i in range(F)], b, bias=False
            )
            missed += square(left[b], back)
            variance += square(left[b], middle)
        total += loss.alpha * missed / variance if dead else 0
    return total


@every
@pytest.mark.parametrize("transcoder", [False, True])
def test_the_formula(nonlinearity, loss, transcoder):
    if transcoder and isinstance(loss, losses.L1Weighted) and loss.parts:
        loss = losses.L1Weighted(parts=(1, OUT - 1))
    params, x, penalty, more = make(nonlinearity, transcoder)
    more |= extras(loss)
    got = loss(params, x, nonlinearity, penalty, **more)
    wanted = [by_hand(nonlinearity, loss, params, x, penalty, r, **more) for r in range(RUNS)]
    assert got.tolist() == pytest.approx(wanted, rel=1e-12)
    apart = {k: v.expand(RUNS, -1, -1) for k, v in {"x": x, **more}.items() if k in ("x", "y")}
    torch.testing.assert_close(
        loss(params, apart.pop("x"), nonlinearity, penalty, **(more | apart)), got
    )


@pytest.mark.parametrize("name", ["relu", "gated", "topk"])
def test_arrays_of_numpy_give_the_same_number(name):
    nonlinearity, loss = CASES[name]
    params, x, penalty, _ = make(nonlinearity)
    plain = {k: v.numpy() for k, v in params.items()}, x.numpy(), nonlinearity, penalty.numpy()
    assert torch.equal(torch.as_tensor(loss(*plain)), loss(params, x, nonlinearity, penalty))


# --- gradients ------------------------------------------------------------------------------------


STOPPED = {  # what gets no gradient, or an estimate in place of one
    losses.gated: ("W_dec", "b_dec", "W_skip"),
    losses.jumprelu: ("threshold",),
}


@every
@pytest.mark.parametrize("transcoder", [False, True])
def test_gradients_are_finite_differences(nonlinearity, loss, transcoder):
    """Central differences in float64, a random direction for each parameter: away from kinks with
    probability one."""
    if transcoder and isinstance(loss, losses.L1Weighted) and loss.parts:
        loss = losses.L1Weighted(parts=(1, OUT - 1))
    params, x, penalty, more = make(nonlinearity, transcoder, seed=1)
    # AuxK's target gets no gradient: see below
    more |= {k: v for k, v in extras(loss).items() if k != "idle"}
    leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
    loss(leaves, x, nonlinearity, penalty, **more).sum().backward()
    g = torch.Generator().manual_seed(2)
    for name, value in params.items():
        if name in STOPPED.get(loss, ()):
            continue
        way = torch.randn(value.shape, generator=g, dtype=torch.float64)
        moved = [
            loss({**params, name: value + s * 1e-6 * way}, x, nonlinearity, penalty, **more).sum()
            for s in (1, -1)
        ]
        found = 0.0 if leaves[name].grad is None else (leaves[name].grad * way).sum().item()
        assert ((moved[0] - moved[1]) / 2e-6).item() == pytest.approx(found, rel=1e-4, abs=1e-8), (
            name
        )


def test_the_auxiliary_term_of_gated_on_two_numbers():
    """W_enc = (1, 1)ᵀ, b_gate = 0, W_dec = (1, 0), x = (1, 1), that term alone, times d: no
    gradient for W_dec; b_dec gets (−2, −2)."""
    one = torch.ones(1, 1, dtype=torch.float64)
    params = {
        "W_enc": one.expand(1, 2, 1),
        "b_enc": 0 * one,
        "W_dec": torch.tensor([[[1.0, 0.0]]], dtype=torch.float64),
        "b_dec": torch.zeros(1, 2, dtype=torch.float64),
        "r_mag": 0 * one,
        "b_mag": 0 * one,
    }
    x, grads = torch.ones(1, 2, dtype=torch.float64), []
    for loss in (losses.gated, losses.gated_no_aux):
        leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
        (2 * loss(leaves, x, Gated(), torch.zeros(1))).sum().backward()
        grads.append({name: leaf.grad for name, leaf in leaves.items()})
    assert (grads[0]["W_dec"] - grads[1]["W_dec"]).abs().max() == 0
    assert (grads[0]["b_dec"] - grads[1]["b_dec"]).flatten().tolist() == [-2, -2]


def test_a_sigmoid_gate_hears_of_the_reconstruction_and_a_hard_one_never():
    for nonlinearity, hears in ((GatedSigmoid(), True), (Gated(), False)):
        params, x, _, _ = make(nonlinearity)
        params["b_enc"].requires_grad_()
        losses.gated_no_aux(params, x, nonlinearity, torch.zeros(RUNS)).sum().backward()
        assert (params["b_enc"].grad != 0).any() == hears


# --- AuxK -----------------------------------------------------------------------------------------


def aux(error, pre, W_dec, dead):
    return aux_k(
        *(torch.tensor(v, dtype=torch.float64)[None] for v in (error, pre, W_dec)),
        torch.tensor(dead)[None],
    ).item()


def test_a_dead_latent_at_or_below_zero_leaves_the_residual_as_it_is():
    """Its reconstruction is 0, without b_dec and without negative values: a residual of 0 costs
    nothing, any other its whole self."""
    assert aux([[0.0, 0.0]], [[0.0]], [[1.0, 0.0]], [True]) == 0
    assert aux([[0.0, 0.0]], [[-2.0]], [[1.0, 0.0]], [True]) == 0
    # Σ‖e‖² over itself
    assert aux([[1.0, 0.0], [-1.0, 0.0]], [[-2.0], [0.0]], [[1.0, 0.0]], [True]) == 1


def test_auxk_takes_half_as_many_latents_as_dimensions_at_most():
    error, pre = [[3.0, 0.0], [-3.0, 0.0]], [[1.0, 2.0], [0.0, 0.0]]
    W_dec = [[0.0, 5.0], [1.0, 0.0]]
    # d/2 = 1: the larger, which gives (2, 0)
    assert aux(error, pre, W_dec, [True, True]) == pytest.approx((1 + 9) / 18)
    assert aux(error, pre, W_dec, [True, False]) == pytest.approx((9 + 25 + 9) / 18)
    assert aux(error, pre, W_dec, [False, False]) == 0


def test_auxks_gradient_is_a_finite_difference_of_the_term_with_its_target_fixed():
    g = torch.Generator().manual_seed(3)
    error, pre, W = (
        torch.randn(RUNS, *s, generator=g, dtype=torch.float64)
        for s in ((ROWS, D), (ROWS, F), (F, D))
    )
    dead = DEAD > 0
    for which in (1, 2):
        given = [error, pre, W]
        given[which] = given[which].clone().requires_grad_()
        aux_k(*given, dead).sum().backward()
        way = torch.randn(given[which].shape, generator=g, dtype=torch.float64)
        ends = []
        for s in (1, -1):
            moved = [error, pre, W]
            moved[which] = moved[which] + s * 1e-6 * way
            ends.append(aux_k(*moved, dead).sum())
        assert ((ends[0] - ends[1]) / 2e-6).item() == pytest.approx(
            (given[which].grad * way).sum().item(), rel=1e-5
        )


# --- Matryoshka, asking by name -------------------------------------------------------------------


def test_what_a_user_can_get_wrong():
    for prefixes in ((), (3, 2), (0, 4), (2, 2)):
        with pytest.raises(DataError, match="prefixes must be growing widths"):
            losses.Matryoshka(prefixes)
    params, x, penalty, _ = make(BatchTopK(2))
    with pytest.raises(
        DataError, match="the last of the prefixes must be the dictionary's width 6"
    ):
        losses.Matryoshka((2, 4))(params, x, BatchTopK(2), penalty)
