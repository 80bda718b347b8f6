"""The small transformer: its formula in naive float64 loops, prefixes as rows, gradients of both,
and runs that do not touch."""

import math

import numpy as np
import pytest
import torch

from assay.core.errors import SpecError
from assay_catalogue.worlds.hidden_markov.process import mess3, rrxor
from assay_catalogue.worlds.networks.transformer import (
    MATRICES,
    Prefixes,
    Sizes,
    distinct,
    forward,
    forward_prefixes,
    transformer,
)

SIZES = Sizes(layers=2, d=6, heads=2, d_head=3, d_mlp=7, context=5, vocab=3)
SEEDS = np.array([4, 9, 4])


def varied(seeds, sizes):
    """Starting parameters with gains and biases that matter."""
    params = transformer(seeds, sizes)
    g = torch.Generator().manual_seed(1)
    return {
        k: v if k in MATRICES else v + 0.3 * torch.randn(v.shape, generator=g)
        for k, v in params.items()
    }


def naive(params, run, tokens):
    """Logits [s, v] and residuals [layer, s, d] of one sequence, by the formulas, one number at a
    time."""
    p = {k: v[run].double().numpy() for k, v in params.items()}
    layers, d, _, heads, e = p["W_QKV"].shape

    def norm(x, gain, bias):
        mean = sum(x) / d
        variance = sum((a - mean) ** 2 for a in x) / d
        return [
            (a - mean) / math.sqrt(variance + 1e-5) * g + b
            for a, g, b in zip(x, gain, bias, strict=True)
        ]

    x = [[p["W_E"][t][i] + p["W_pos"][at][i] for i in range(d)] for at, t in enumerate(tokens)]
    residuals = []
    for n in range(layers):
        read = [norm(row, p["gain_1"][n], p["bias_1"][n]) for row in x]
        qkv = [np.einsum("d,dkhe->khe", np.array(row), p["W_QKV"][n]) for row in read]
        new = []
        for at in range(len(tokens)):
            row = list(x[at])
            for h in range(heads):
                score = [sum(qkv[at][0, h] * qkv[j][1, h]) / math.sqrt(e) for j in range(at + 1)]
                weight = [math.exp(a) / sum(math.exp(b) for b in score) for a in score]
                z = sum(w * qkv[j][2, h] for j, w in enumerate(weight))
                for i in range(d):
                    row[i] += sum(z[k] * p["W_O"][n, h, k, i] for k in range(e))
            hidden = np.maximum(
                np.array(norm(row, p["gain_2"][n], p["bias_2"][n])) @ p["W_in"][n] + p["b_in"][n], 0
            )
            new.append(np.array(row) + hidden @ p["W_out"][n] + p["b_out"][n])
        x = new
        residuals.append(np.array(x))
    return np.array([np.array(norm(row, p["gain"], p["bias"])) @ p["W_U"] for row in x]), np.array(
        residuals
    )


@pytest.mark.parametrize("shared", [True, False])
def test_it_is_the_formula(shared):
    params = varied(SEEDS, SIZES)
    tokens = torch.from_numpy(np.random.default_rng(0).integers(3, size=(3, 2, 5)))
    logits, residuals = forward(params, tokens[0] if shared else tokens)
    for r in range(3):
        for row in range(2):
            wanted, streams = naive(params, r, tokens[0 if shared else r, row].tolist())
            np.testing.assert_allclose(logits[r, row], wanted, atol=1e-5)
            np.testing.assert_allclose(torch.stack(residuals)[:, r, row], streams, atol=1e-5)


def test_the_start_belongs_to_the_seed_and_has_the_stated_spread():
    big = Sizes(layers=4, d=64, heads=1, d_head=8, d_mlp=256, context=10, vocab=2)
    params = transformer(SEEDS, big)
    assert sum(p[0].numel() for p in params.values()) == 142_592
    alone = transformer(SEEDS[1:2], big)
    for name, p in params.items():
        assert torch.equal(p[0], p[2])
        assert torch.equal(p[1], alone[name][0])
    assert not torch.equal(params["W_in"][0], params["W_in"][1])
    for name, deviation in {
        "W_E": 0.1,
        "W_QKV": 1 / 8,
        "W_O": 0.5 / 8**0.5,
        "W_in": 1 / 8,
        "W_out": 0.5 / 16,
    }.items():
        assert params[name].std().item() == pytest.approx(deviation, rel=0.1)


@pytest.mark.parametrize("process", [rrxor(), mess3()])
def test_distinct_prefixes_give_what_sequences_give(process):
    sizes = Sizes(layers=3, d=16, heads=2, d_head=4, d_mlp=32, context=6, vocab=process.vocab)
    params = varied(SEEDS, sizes)
    tree = process.tree(6)
    tokens = process.sequences(SEEDS, 20, 6)(0)
    ids = tree.rows(tokens)
    prefixes, count, named = distinct(tokens, ids)
    assert count.sum(1).tolist() == [120] * 3
    logits, residuals = forward(params, torch.from_numpy(tokens))
    few, streams = forward_prefixes(params, prefixes)
    whole, whole_streams = forward_prefixes(
        params,
        Prefixes(
            *(torch.from_numpy(a)[None] for a in (tree.token, tree.depth - 1, tree.ancestors))
        ),
    )
    for r in range(3):
        row = {int(n): i for i, n in enumerate(named[r]) if count[r, i]}
        at = [row[i] for i in ids[r].ravel()]
        torch.testing.assert_close(few[r, at], logits[r].flatten(0, 1), atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(
            whole[r, ids[r].ravel()], logits[r].flatten(0, 1), atol=1e-6, rtol=1e-5
        )
        for mine, all_of_them, wanted in zip(streams, whole_streams, residuals, strict=True):
            torch.testing.assert_close(mine[r, at], wanted[r].flatten(0, 1), atol=1e-6, rtol=1e-5)
            torch.testing.assert_close(
                all_of_them[r, ids[r].ravel()], wanted[r].flatten(0, 1), atol=1e-6, rtol=1e-5
            )
        occurs = {int(i): n for i, n in zip(*np.unique(ids[r], return_counts=True), strict=True)}
        assert {int(n): int(c) for n, c in zip(named[r], count[r], strict=True) if c} == occurs


def test_gradients_on_prefixes_are_those_on_sequences():
    params = {k: v.requires_grad_() for k, v in varied(SEEDS, SIZES).items()}
    process = mess3()
    tokens = process.sequences(SEEDS, 30, 5)(0)
    ids = process.tree(5).rows(tokens)
    prefixes, count, _ = distinct(tokens, ids)
    logits, _ = forward(params, torch.from_numpy(tokens))
    rows, _ = forward_prefixes(params, prefixes)
    wanted = torch.autograd.grad(logits.log_softmax(-1)[..., 0].sum(), list(params.values()))
    found = torch.autograd.grad((rows.log_softmax(-1)[..., 0] * count).sum(), list(params.values()))
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, atol=2e-4, rtol=1e-4)


def test_runs_do_not_influence_each_other():
    tokens = rrxor().sequences(SEEDS, 8, 5)(0)
    sizes = Sizes(layers=2, d=6, heads=2, d_head=3, d_mlp=7, context=5, vocab=2)
    params = varied(SEEDS, sizes)
    together, _ = forward(params, torch.from_numpy(tokens))
    broken = {
        k: torch.cat([v[:1], torch.full_like(v[1:2], torch.nan), v[2:]]) for k, v in params.items()
    }
    after, _ = forward(broken, torch.from_numpy(tokens))
    assert torch.equal(after[[0, 2]], together[[0, 2]])
    assert after[1].isnan().all()
    alone, _ = forward({k: v[1:2] for k, v in params.items()}, torch.from_numpy(tokens[1:2]))
    torch.testing.assert_close(alone[0], together[1], atol=1e-6, rtol=1e-5)


def test_too_long_a_text_and_impossible_sizes_are_told():
    params = transformer(SEEDS, SIZES)
    with pytest.raises(SpecError, match="at most 5 tokens, got 6"):
        forward(params, torch.zeros(1, 6, dtype=torch.long))
    tree = mess3().tree(6)
    with pytest.raises(SpecError, match="at most 5 tokens, got 6"):
        forward_prefixes(
            params,
            Prefixes(
                *(torch.from_numpy(a)[None] for a in (tree.token, tree.depth - 1, tree.ancestors))
            ),
        )
    with pytest.raises(SpecError, match="layers of at least 1, got 0"):
        Sizes(layers=0, d=1, heads=1, d_head=1, d_mlp=1, context=1, vocab=1)
