"""Mamba: equal to transformers' on shared weights and to the formulas in float64, read and edited
at every site, alone and as an ensemble."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import tiny_models
from assay.core.errors import ModelError, SpecError
from assay.subjects.pretrained import load
from assay.subjects.site import Site
from assay_catalogue.subjects.mamba import Shape, forward
from assay_catalogue.subjects.mamba_files import config, read, stored, write
from assay_catalogue.subjects.mamba_hooked import hidden_attention

SHAPE = Shape(layers=3, d=12, channels=24, state=5, rank=3, vocab=300)
TOKENS = torch.from_numpy(np.random.default_rng(1).integers(300, size=(2, 13)))
KINDS = (
    "resid_pre",
    "in_proj",
    "gate",
    "conv",
    "ssm_in",
    "delta",
    "B",
    "C",
    "write",
    "state",
    "ssm_out",
    "gated",
    "mixer_out",
    "resid_post",
)


def varied(shape: Shape, runs: int = 2) -> dict[str, torch.Tensor]:
    """Parameters of which none is at a value that hides it."""
    draw, out = torch.Generator().manual_seed(5), {}
    for name, size in shape.parameters().items():
        noise = torch.randn(runs, *size, generator=draw)
        out[name] = 1 + 0.2 * noise if name.startswith("gain") or name == "D" else 0.4 * noise
    return out


def naive(params, shape: Shape, tokens, edits=None) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Logits [s, v] of one sequence of one run and the activations at every site, by the formulas
    in float64, edits applied."""
    acts: dict[str, np.ndarray] = {}
    p = {name: value.double().numpy() for name, value in params.items()}

    def at(name, x):
        acts[name] = np.array((edits or {}).get(name, lambda v: v)(x))
        return acts[name]

    def silu(x):
        return x / (1 + np.exp(-x))

    def norm(x, gain):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * gain

    x = p["W_E"][tokens]
    for n in range(shape.layers):
        q = {name: value[n] for name, value in p.items() if name not in ("W_E", "gain", "W_U")}
        hook = f"blocks.{n}.hook_"
        x = at(hook + "resid_pre", x)
        read = norm(x, q["gain_1"])
        v = at(hook + "in_proj", read @ q["W_in"] + q.get("b_in", 0))
        gate = at(hook + "skip", read @ q["W_gate"] + q.get("b_gate", 0))
        if shape.conv:
            k, out = shape.conv, np.zeros_like(v) + q.get("b_conv", 0)
            for t in range(len(v)):
                out[t] += sum(
                    q["W_conv"][:, j] * v[t - k + 1 + j] for j in range(k) if t - k + 1 + j >= 0
                )
            v = at(hook + "conv", out)
        u = at(hook + "ssm_input", silu(v))
        ones = np.ones((len(u), 1))
        raw = u @ q["W_delta_1"] @ q["W_delta_2"] if shape.selective else 0 * u
        delta = at(hook + "delta", np.log1p(np.exp(raw + q["b_delta"])))
        B, C = (
            at(hook + name, u @ q[f"W_{name}"] if shape.selective else ones * q[name])
            for name in "BC"
        )
        add = at(hook + "write", delta[:, :, None] * u[:, :, None] * B[:, None])
        h, states = np.zeros(add.shape[1:]), np.zeros_like(add)
        for t in range(len(u)):
            h = np.exp(-delta[t][:, None] * np.exp(q["A_log"])) * h + add[t]
            states[t] = h
        y = at(hook + "ssm_output", (at(hook + "state", states) * C[:, None]).sum(-1) + q["D"] * u)
        out = at(
            hook + "out_proj",
            at(hook + "after_skip", y * silu(gate)) @ q["W_out"] + q.get("b_out", 0),
        )
        x = at(hook + "resid_post", x + out)
    final = at("ln_final.hook_normalized", norm(x, p["gain"]))
    return final @ (p["W_E"].T if shape.tied else p["W_U"]), acts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random Mamba made and saved by transformers, and its logits there."""
    import transformers

    root = tmp_path_factory.mktemp("mamba")
    vocab = tiny_models.save_tokenizer(root)
    settings = transformers.MambaConfig(
        vocab_size=vocab,
        hidden_size=24,
        state_size=6,
        num_hidden_layers=3,
        time_step_rank=2,
        use_bias=True,
    )
    model, draw = (
        transformers.AutoModelForCausalLM.from_config(settings).eval(),
        torch.Generator().manual_seed(2),
    )
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=draw))
        model.save_pretrained(root)
        out = model(TOKENS, output_hidden_states=True, use_cache=False)
    return root, out.logits, out.hidden_states


PARTS = [
    {},
    {"conv": 0},
    {"conv": 3, "conv_bias": False},
    {"selective": False},
    {"biases": True, "tied": False},
]


@pytest.mark.parametrize("parts", PARTS, ids=str)
def test_every_mixture_of_parts_is_the_formula_at_every_site(parts):
    shape = replace(SHAPE, **parts)
    params = varied(shape)
    kinds = [kind for kind in KINDS if kind != "conv" or shape.conv]
    sites = [Site(kind, layer) for layer in range(shape.layers) for kind in kinds] + [
        Site("final_norm")
    ]
    logits, acts = forward(
        {name: value.double() for name, value in params.items()}, TOKENS, capture=sites
    )
    fast, _ = forward({name: value.double() for name, value in params.items()}, TOKENS)
    single, _ = forward(params, TOKENS)
    torch.testing.assert_close(fast, logits, atol=1e-11, rtol=1e-11)
    for run in range(2):
        truth, at = naive(
            {name: value[run] for name, value in params.items()}, shape, TOKENS[1].numpy()
        )
        assert np.abs(single[run, 1].numpy() - truth).max() <= 5e-5 * np.abs(truth).max()
        np.testing.assert_allclose(logits[run, 1], truth, atol=1e-10, rtol=1e-10)
        for site in sites:
            np.testing.assert_allclose(
                acts[site][run, 1], at[str(site)], atol=1e-10, rtol=1e-10, err_msg=str(site)
            )


@pytest.mark.parametrize("parts", PARTS, ids=str)
def test_an_edit_at_any_site_is_the_formula_with_that_edit(parts):
    """Position 4 is scaled in the second block; all that follows must be what the formulas give."""
    shape = replace(SHAPE, **parts)
    single = varied(shape, runs=1)
    params, last = {name: value.double() for name, value in single.items()}, Site("state", 2)
    plain, _ = forward(params, TOKENS)

    def torch_edit(x):
        x[:, :, 4] *= 1.5  # [run, b, s, …]
        return x

    def numpy_edit(x):
        x = x.copy()
        x[4] *= 1.5
        return x

    for site in (Site(kind, 1) for kind in KINDS if kind != "conv" or shape.conv):
        logits, acts = forward(params, TOKENS, edits={site: torch_edit}, capture=[last])
        truth, at = naive(
            {name: value[0] for name, value in params.items()},
            shape,
            TOKENS[0].numpy(),
            {str(site): numpy_edit},
        )
        assert float((logits - plain).abs().max()) > 1e-3, site
        np.testing.assert_allclose(logits[0, 0], truth, atol=1e-10, rtol=1e-10, err_msg=str(site))
        np.testing.assert_allclose(
            acts[last][0, 0], at[str(last)], atol=1e-10, rtol=1e-10, err_msg=str(site)
        )
        rough = forward(single, TOKENS, edits={site: torch_edit})[0]
        assert np.abs(rough[0, 0].numpy() - truth).max() <= 5e-5 * np.abs(truth).max(), site


def test_an_edit_of_what_is_written_is_carried_on_and_one_of_the_state_is_not():
    params, donor = varied(SHAPE, runs=1), TOKENS.flip(0)
    state, write_, out = Site("state", 0), Site("write", 0), Site("ssm_out", 0)
    _, mine = forward(params, TOKENS, capture=[state, write_, out])
    _, other = forward(params, donor, capture=[state])

    def put(x, by):
        x[:, :, 5] += by
        return x

    by = (other[state] - mine[state])[:, :, 5]
    _, stays = forward(params, TOKENS, edits={state: lambda x: put(x, by)}, capture=[out])
    _, carried = forward(params, TOKENS, edits={write_: lambda x: put(x, by)}, capture=[state, out])
    torch.testing.assert_close(carried[state][:, :, 5], other[state][:, :, 5], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(stays[out][:, :, 5], carried[out][:, :, 5], atol=1e-5, rtol=1e-5)
    assert torch.allclose(stays[out][:, :, 6:], mine[out][:, :, 6:], atol=1e-6)
    assert float((carried[out] - mine[out])[:, :, 6].abs().max()) > 1e-2


def test_gradients_of_the_fast_way_are_those_of_the_visited_way():
    params = varied(SHAPE)
    found = []
    for edits in ({}, {Site("state", layer): lambda x: x for layer in range(3)}):
        leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
        logits, _ = forward(leaves, TOKENS, edits=edits)
        found.append(torch.autograd.grad(logits.square().mean(), list(leaves.values())))
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4 * float(theirs.abs().max()), rtol=1e-3)


def test_runs_do_not_influence_each_other():
    params = varied(SHAPE, runs=3)
    together, _ = forward(params, TOKENS)
    broken, _ = forward(
        {
            k: torch.cat([v[:1], torch.full_like(v[1:2], torch.nan), v[2:]])
            for k, v in params.items()
        },
        TOKENS,
    )
    assert torch.equal(broken[[0, 2]], together[[0, 2]]) and broken[1].isnan().all()
    alone, _ = forward({k: v[2:] for k, v in params.items()}, TOKENS)
    torch.testing.assert_close(alone[0], together[2], atol=1e-5, rtol=1e-5)
    each, _ = forward(params, torch.stack([TOKENS, TOKENS.flip(0), TOKENS]))
    torch.testing.assert_close(
        each[1],
        forward({k: v[1:2] for k, v in params.items()}, TOKENS.flip(0))[0][0],
        atol=1e-5,
        rtol=1e-5,
    )


def test_a_folder_of_transformers_computes_what_it_computed_there(folder):
    root, logits, hidden = folder
    subject = load(str(root))
    bound = 1e-5 * float(logits.abs().max())
    assert float((subject.run(TOKENS).logits - logits).abs().max()) <= bound  # the fast way
    trace = subject.run(TOKENS, capture=subject.sites)
    assert float((trace.logits - logits).abs().max()) <= bound  # every site visited
    params, shape = read(str(root))
    for row, tokens in enumerate(
        TOKENS.numpy()
    ):  # in float32 both are off by rounding, which grows with the stream
        _, at = naive({name: value[0] for name, value in params.items()}, shape, tokens)
        for layer in range(3):
            truth = at[f"blocks.{layer}.hook_resid_post"]
            for found in (trace.acts[Site("resid_post", layer)], hidden[layer]):
                assert np.abs(found[row].numpy() - truth).max() <= 5e-6 * np.abs(truth).max()
    assert shape == Shape(layers=3, d=24, channels=48, state=6, rank=2, vocab=300, biases=True)
    assert float((forward(params, TOKENS)[0][0] - logits).abs().max()) <= bound


@pytest.mark.parametrize(
    "parts",
    [{}, {"conv": 3, "conv_bias": False, "tied": False}, {"biases": True, "channels": 12}],
    ids=str,
)
def test_a_folder_of_ours_is_what_transformers_reads(parts, tmp_path):
    import transformers

    vocab = tiny_models.save_tokenizer(tmp_path)
    shape = replace(SHAPE, vocab=vocab, **parts)
    params = varied(shape)
    write(tmp_path / "run-1", params, shape, tmp_path / "tokenizer.json", {"name": "a test"}, run=1)
    theirs, told = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "run-1", output_loading_info=True
    )
    assert not told["missing_keys"] and not told["unexpected_keys"]
    with torch.no_grad():
        logits = theirs.eval()(TOKENS, use_cache=False).logits
    own = forward(params, TOKENS)[0][1]
    assert float((own - logits).abs().max()) <= 1e-5 * float(logits.abs().max())
    back, again = read(str(tmp_path / "run-1"))
    assert again == shape and back.keys() == params.keys()
    assert all(torch.equal(back[name][0], params[name][1]) for name in params)
    assert ("lm_head.weight" in stored(params, shape)) != shape.tied


def test_its_sites_are_met_in_order_and_have_the_sizes_told(folder):
    subject, met = load(str(folder[0])), []
    plain = subject.run(TOKENS)
    trace = subject.run(
        TOKENS,
        edits={site: lambda x, site=site: met.append(site) or x for site in subject.sites},
        capture=subject.sites,
    )
    assert tuple(met) == subject.sites and tuple(site.kind for site in met[1:15]) == KINDS
    assert all(
        trace.acts[site].shape == (*TOKENS.shape, *subject.folder.shape(site))
        for site in subject.sites
    )
    assert all(Site.parse(str(site)) == site for site in subject.sites)
    assert float((trace.logits - plain.logits).abs().max()) <= 1e-5 * float(
        plain.logits.abs().max()
    )
    stopped = subject.run(TOKENS, capture=[Site("delta", 1)], logits=False)
    assert stopped.logits is None
    torch.testing.assert_close(
        stopped.acts[Site("delta", 1)], trace.acts[Site("delta", 1)], atol=1e-5, rtol=1e-5
    )


def test_an_edit_through_the_folder_is_the_edit_of_the_ensemble(folder):
    subject, (params, _) = load(str(folder[0])), read(str(folder[0]))
    for kind in KINDS:
        site = Site(kind, 1)
        edited = subject.run(TOKENS, edits={site: lambda x: 0.5 * x}).logits
        mine = forward(params, TOKENS, edits={site: lambda x: 0.5 * x})[0][0]
        assert float((edited - mine).abs().max()) <= 2e-5 * float(mine.abs().max()), kind


def test_a_run_can_begin_late_and_be_differentiated(folder):
    subject, site = load(str(folder[0])), Site("resid_pre", 2)
    whole = subject.run(TOKENS, capture=[site])
    late = subject.run(TOKENS, start=(2, whole.acts[site]))
    torch.testing.assert_close(late.logits, whole.logits)
    leaf = whole.acts[Site("resid_pre", 2)].clone().requires_grad_()
    final = subject.run(TOKENS, edits={site: lambda x: leaf}, gradients=True).final
    assert torch.autograd.grad(final.sum(), leaf)[0].abs().max() > 0


def test_hidden_attention_of_a_folder_makes_what_the_layer_adds(folder):
    subject = load(str(folder[0]))
    acts = subject.run(TOKENS, capture=subject.sites).acts
    for layer in range(3):
        u, out = acts[Site("ssm_in", layer)], subject.blocks[layer].mixer.out_proj
        for given, kind in (({"skip": True}, "ssm_out"), ({"skip": True, "gate": True}, "gated")):
            alpha = hidden_attention(subject, TOKENS, layer, **given)
            made, target = torch.einsum("bcts,bsc->btc", alpha, u), acts[Site(kind, layer)]
            assert float((made - target).abs().max()) <= 1e-5 * float(target.abs().max())
        added = out(made)
        assert float((added - acts[Site("mixer_out", layer)]).abs().max()) <= 1e-5 * float(
            added.abs().max()
        )
    few = hidden_attention(subject, TOKENS, 1, [3, 7], skip=True, gate=True)
    torch.testing.assert_close(
        few, hidden_attention(subject, TOKENS, 1, skip=True, gate=True)[:, [3, 7]]
    )


def test_half_precision_is_near_and_scans_in_single(folder):
    subject = load(str(folder[0]), dtype="bfloat16")
    trace = subject.run(TOKENS, capture=[Site("state", 0), Site("ssm_in", 0)])
    assert (
        trace.acts[Site("state", 0)].dtype == torch.float32
        and trace.acts[Site("ssm_in", 0)].dtype == torch.bfloat16
    )
    assert float((trace.logits.float() - folder[1]).abs().mean()) < 0.05 * float(folder[1].std())


def test_a_time_invariant_scan_has_the_same_steps_at_every_position():
    shape = replace(SHAPE, selective=False)
    sites = [Site(kind, 1) for kind in ("delta", "B", "C")]
    _, acts = forward(varied(shape), TOKENS, capture=sites)
    assert all(
        torch.equal(acts[site], acts[site][:, :1, :1].expand_as(acts[site])) for site in sites
    )


def test_what_cannot_be_done_is_told_in_one_line(folder, tmp_path):
    subject = load(str(folder[0]))
    with pytest.raises(
        ModelError, match="a cache holds what attention has read, and mamba has no attention"
    ):
        subject.run(TOKENS, cache=object())
    with pytest.raises(
        ModelError,
        match=r"blocks\.0\.hook_mlp_out does not exist: blocks of mamba have resid_pre, in_proj",
    ):
        subject.run(TOKENS, capture=[Site("mlp_out", 0)])
    with pytest.raises(
        SpecError, match=r"blocks\.3\.hook_delta does not exist: this Mamba has 3 blocks"
    ):
        forward(varied(SHAPE), TOKENS, capture=[Site("delta", 3)])
    with pytest.raises(SpecError, match="hook_conv does not exist"):
        forward(varied(replace(SHAPE, conv=0)), TOKENS, capture=[Site("conv", 0)])
    with pytest.raises(
        SpecError,
        match=r"the edit of blocks\.0\.hook_B must return \[2, 2, 13, 5\], returned \[2, 2, 13\]",
    ):
        forward(varied(SHAPE), TOKENS, edits={Site("B", 0): lambda x: x[..., 0]})
    for parts, said in (
        ({"conv": 0}, "conv=0"),
        ({"selective": False}, "selective=false"),
        ({"channels": 25}, "25 and d=12"),
    ):
        with pytest.raises(SpecError, match=said):
            config(replace(SHAPE, **parts))
    llama = load(str(tiny_models.make(tmp_path / "llama", "llama")))
    with pytest.raises(ModelError, match=r"hidden attention is of Mamba; .* is llama"):
        hidden_attention(llama, TOKENS, 0)
    with pytest.raises(ModelError, match="holds a model of type llama, not a Mamba"):
        read(str(tmp_path / "llama"))


def test_a_folder_that_would_compute_something_else_is_refused(folder, tmp_path):
    import json
    import shutil

    for change, said in (
        ({"hidden_act": "relu"}, "SiLU only"),
        ({"layer_norm_epsilon": 1e-6}, "layer_norm_epsilon must be 1e-05"),
        ({"state_size": 7}, r"mixer\.A_log is \[48, 6\]"),
    ):
        broken = tmp_path / next(iter(change))
        shutil.copytree(folder[0], broken)
        settings = json.loads((broken / "config.json").read_text())
        (broken / "config.json").write_text(json.dumps(settings | change))
        with pytest.raises(ModelError, match=said):
            read(str(broken))
