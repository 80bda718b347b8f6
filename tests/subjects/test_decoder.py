"""Decoders with a run axis: equal to transformers' GPT-2 and Llama on shared weights, and to the
formulas in every mixture of parts."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.special import erf

from assay.core.errors import SpecError
from assay.subjects.decoder import Shape, family, forward, next_token_loss, stored, write
from assay.subjects.folder import find
from assay.subjects.pretrained import load
from assay.subjects.site import Site
from tiny_models import save_tokenizer

SIZES = {"layers": 2, "d": 24, "heads": 4, "m": 40, "context": 16}
GPT2 = {"norm": "layer", "positions": "learned", "activation": "gelu"}
LLAMA = {"norm": "rms", "positions": "rotary", "activation": "silu", "gated": True}


def varied(shape, runs=2):
    """Parameters of which none is at a value that hides it: gains near 1, biases not 0."""
    draw = torch.Generator().manual_seed(5)
    out = {}
    for name, size in shape.parameters().items():
        noise = torch.randn(runs, *size, generator=draw)
        out[name] = (
            1 + 0.2 * noise
            if name.startswith("gain")
            else 0.1 * noise
            if name.startswith("b")
            else 0.3 * noise
        )
    return out


def tokens_for(shape, rows=3):
    return torch.from_numpy(
        np.random.default_rng(1).integers(shape.vocab, size=(2, rows, shape.context))
    )


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize(
    "kind", [GPT2, GPT2 | {"activation": "gelu_new"}, LLAMA], ids=["gpt2", "gpt2-new", "llama"]
)
def test_a_folder_holds_what_transformers_computes(kind, tied, tmp_path):
    vocab = save_tokenizer(tmp_path)
    shape = Shape(vocab=vocab, tied=tied, **SIZES, **kind)
    params, tokens = varied(shape), tokens_for(shape)
    logits, residuals = forward(params, tokens, shape.activation)
    for run in range(2):
        folder = tmp_path / f"run-{run}"
        write(folder, params, shape, tmp_path / "tokenizer.json", {"name": "a test"}, run)
        model = load(str(folder))
        assert (
            type(model.model).__name__
            == {"gpt2": "GPT2LMHeadModel", "llama": "LlamaForCausalLM"}[family(shape)]
        )
        theirs = model.model(input_ids=tokens[run]).logits
        assert float((theirs - logits[run]).abs().max()) < 1e-5 * max(
            1.0, float(theirs.abs().max())
        )
        trace = model.run(tokens[run], capture=[Site("resid_post", 0)])
        torch.testing.assert_close(
            trace.acts[Site("resid_post", 0)], residuals[0][run], atol=1e-5, rtol=1e-5
        )
        own = next_token_loss(params, tokens, shape.activation)[run]
        torch.testing.assert_close(model.losses(tokens[run]), own, atol=1e-5, rtol=1e-5)
        assert (
            model.model.get_output_embeddings().weight is model.model.get_input_embeddings().weight
        ) == tied
        assert ("lm_head.weight" in stored(params, shape, run)) != tied
        assert find(str(folder)).provenance == "a test"


def naive(params, shape, tokens):
    """Logits [s, v] of one sequence of one run, by the formulas in float64."""
    p = {name: value.double().numpy() for name, value in params.items()}
    e = shape.e
    act = {
        "relu": lambda x: np.maximum(x, 0),
        "gelu": lambda x: x * (1 + erf(x / math.sqrt(2))) / 2,
        "gelu_new": lambda x: x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
        "silu": lambda x: x / (1 + np.exp(-x)),
    }[shape.activation]

    def norm(x, gain, bias):
        if shape.norm == "none":
            return x
        if shape.norm == "rms":
            return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * gain
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * gain + bias

    def turn(row, at):
        pairs = [
            complex(row[i], row[i + e // 2]) * np.exp(1j * at * 10_000 ** (-2 * i / e))
            for i in range(e // 2)
        ]
        return np.array([z.real for z in pairs] + [z.imag for z in pairs])

    def of(name, n):
        return p[name][n] if name in p else 0.0

    x = p["W_E"][tokens] + (p["W_pos"][: len(tokens)] if "W_pos" in p else 0)
    for n in range(shape.layers):
        qkv = np.einsum(
            "sd,dkhe->skhe", norm(x, of("gain_1", n), of("bias_1", n)), p["W_QKV"][n]
        ) + of("b_QKV", n)
        new = x.copy()
        for at in range(len(tokens)):
            for h in range(shape.heads):
                q, k, v = (qkv[:, i, h] for i in range(3))
                if shape.positions == "rotary":
                    q, k = (
                        np.array([turn(row, j) for j, row in enumerate(rows)]) for rows in (q, k)
                    )
                score = np.exp(k[: at + 1] @ q[at] / math.sqrt(e))
                new[at] += (score / score.sum()) @ v[: at + 1] @ p["W_O"][n, h]
            new[at] += of("b_O", n)
        x = new
        if not shape.m:
            continue
        read = norm(new, of("gain_2", n), of("bias_2", n))
        hidden = read @ p["W_in"][n] + of("b_in", n)
        hidden = act(read @ p["W_gate"][n]) * hidden if shape.gated else act(hidden)
        x = new + hidden @ p["W_out"][n] + of("b_out", n)
    return norm(x, p.get("gain"), p.get("bias")) @ (p["W_E"].T if shape.tied else p["W_U"])


MIXTURES = list(
    itertools.product(("layer", "rms"), ("learned", "rotary"), (False, True), (False, True))
)


@pytest.mark.parametrize(("norm", "positions", "gated", "tied"), MIXTURES, ids=str)
def test_every_mixture_of_parts_is_the_formula(norm, positions, gated, tied):
    activation = ("relu", "gelu", "gelu_new", "silu")[(norm == "rms") + 2 * gated]
    shape = Shape(
        layers=2,
        d=8,
        heads=2,
        m=12,
        context=5,
        vocab=7,
        norm=norm,
        positions=positions,
        activation=activation,
        gated=gated,
        tied=tied,
    )
    params, tokens = varied(shape), tokens_for(shape)
    logits, _ = forward(params, tokens, activation)
    for run in range(2):
        one = {name: value[run] for name, value in params.items()}
        np.testing.assert_allclose(
            logits[run, 0], naive(one, shape, tokens[run, 0].numpy()), atol=1e-5
        )


@pytest.mark.parametrize("norm", ["layer", "rms", "none"])
@pytest.mark.parametrize("m", [0, 6])
def test_narrow_or_wide_heads_other_answers_and_blocks_without_an_mlp_are_the_formula(norm, m):
    shape = Shape(
        layers=2,
        d=8,
        heads=3,
        m=m,
        context=5,
        vocab=7,
        norm=norm,
        activation="relu",
        d_head=6,
        answers=4,
    )
    params, tokens = varied(shape), tokens_for(shape)
    logits, _ = forward(params, tokens, "relu")
    assert logits.shape[-1] == 4
    for run in range(2):
        one = {name: value[run] for name, value in params.items()}
        np.testing.assert_allclose(
            logits[run, 0], naive(one, shape, tokens[run, 0].numpy()), atol=1e-5
        )
    with pytest.raises(SpecError, match="d_head=6, answers=4"):
        family(shape)


def test_what_no_configuration_expresses_is_refused_in_one_line():
    for norm, positions, gated in itertools.product(
        ("layer", "rms"), ("learned", "rotary"), (False, True)
    ):
        shape = Shape(vocab=300, norm=norm, positions=positions, gated=gated, **SIZES)
        if (norm, positions, gated) in (("layer", "learned", False), ("rms", "rotary", True)):
            assert family(shape) == ("gpt2" if norm == "layer" else "llama")
            continue
        with pytest.raises(SpecError) as told:
            family(shape)
        assert "\n" not in str(told.value)
        assert f"norm={norm}, positions={positions}" in str(told.value)


def test_runs_do_not_influence_each_other():
    shape = Shape(vocab=30, **SIZES, **LLAMA)
    params, tokens = varied(shape, runs=3), tokens_for(shape)[0]
    together, _ = forward(params, tokens, "silu")
    broken = {
        k: torch.cat([v[:1], torch.full_like(v[1:2], torch.nan), v[2:]]) for k, v in params.items()
    }
    after, _ = forward(broken, tokens, "silu")
    assert torch.equal(after[[0, 2]], together[[0, 2]]) and after[1].isnan().all()
    alone, _ = forward({k: v[2:] for k, v in params.items()}, tokens, "silu")
    torch.testing.assert_close(alone[0], together[2], atol=1e-5, rtol=1e-5)


def test_too_long_a_text_is_told_where_positions_are_learned():
    shape = Shape(vocab=30, **SIZES, **GPT2)
    with pytest.raises(SpecError, match="at most 16 tokens, got 17"):
        forward(varied(shape), torch.zeros(1, 17, dtype=torch.long), "gelu")
