"""Every family opens, and its sites are what their names say: a tiny random folder of each, against
transformers' own forward pass and its weights."""

import pytest
import torch

import tiny_models
from assay.subjects.pretrained import load
from assay.subjects.site import Site

WINDOW = {"sliding_window": 4, "head_dim": 8, "query_pre_attn_scalar": 8}
FAMILIES = {
    "llama": {},
    "mistral": {"sliding_window": 4},
    "qwen2": {},
    "qwen3": {"head_dim": 8},
    "olmo2": {},
    "phi3": {},
    "gemma2": WINDOW,
    "gemma3_text": WINDOW
    | {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]},
    "gpt_neox": {"num_key_value_heads": 4},
    "gptj": {"rotary_dim": 4},
    "gpt2": {},
    "mamba": {"state_size": 4},
}
"""Every type that has a file, or a value in one, with the settings that its tiny model needs."""
FOUND = {
    "stablelm": {},
    "starcoder2": {},
    "gemma": {"head_dim": 8},
    "glm4": {"head_dim": 8},
    "nemotron": {},
    "mixtral": {"num_local_experts": 4},
    "bloom": {"n_layer": 3, "n_head": 4},
}
"""Types without a file of their own."""
TOKENS = torch.tensor([[5, 17, 200, 3, 41, 41, 99, 7], [250, 0, 8, 77, 130, 6, 2, 31]])


def near(x, y):
    return bool((x - y).norm() <= 1e-5 * y.norm())


@pytest.fixture(scope="module")
def subjects(tmp_path_factory):
    root, loaded = tmp_path_factory.mktemp("families"), {}

    def subject(kind):
        if kind not in loaded:
            folder = tiny_models.make(root / kind, kind, **(FAMILIES | FOUND)[kind])
            loaded[kind] = load(str(folder))
        return loaded[kind]

    return subject


@pytest.mark.parametrize("kind", [*FAMILIES, *FOUND])
def test_logits_and_the_stream_are_transformers_own_bit_for_bit(subjects, kind):
    subject, inside = subjects(kind), {"rot_q", "rot_k", "attn_scores", "pattern"}
    theirs = subject.model(input_ids=TOKENS, output_hidden_states=True, use_cache=False)
    trace = subject.run(TOKENS, capture=[s for s in subject.sites if s.kind not in inside])
    # Mamba's mixer is run in parts of our own, to give its sites: equal up to rounding
    same = torch.equal if kind != "mamba" else near
    assert same(trace.logits, theirs.logits)
    for layer in range(3):
        # transformers lists what enters a block, of Mamba what leaves it
        site = Site("resid_post" if kind == "mamba" else "resid_pre", layer)
        assert same(trace.acts[site], theirs.hidden_states[layer])
        if layer:
            before, after = (
                trace.acts[Site(*s)] for s in (("resid_post", layer - 1), ("resid_pre", layer))
            )
            assert torch.equal(before, after)
    assert same(trace.acts[Site("final_norm")], theirs.hidden_states[3])


@pytest.mark.parametrize("kind", sorted({*FAMILIES} - {"mamba"}))
def test_patterns_are_transformers_own_bit_for_bit(subjects, kind):
    """Within attention its plain form is run, step by step: transformers' "eager"."""
    subject = subjects(kind)
    trace = subject.run(TOKENS, capture=subject.sites)
    usual = subject.model.config._attn_implementation
    subject.model.set_attn_implementation("eager")
    try:
        theirs = subject.model(input_ids=TOKENS, output_attentions=True, use_cache=False)
    finally:
        subject.model.set_attn_implementation(usual)
    # GPT-J divides scores by a root where others multiply
    same = torch.equal if kind != "gptj" else near
    assert same(trace.logits, theirs.logits)
    for layer in range(3):
        pattern = trace.acts[Site("pattern", layer)]
        assert same(pattern, theirs.attentions[layer])
        assert torch.equal(trace.acts[Site("attn_scores", layer)].softmax(-1), pattern)
        value, z = trace.acts[Site("v", layer)], trace.acts[Site("z", layer)]
        shared = value.repeat_interleave(z.shape[2] // value.shape[2], 2)
        assert torch.allclose(torch.einsum("bhqk,bkhe->bqhe", pattern, shared), z, atol=1e-5)
    assert subject.model.config._attn_implementation == usual


@pytest.mark.parametrize("kind", sorted({*FAMILIES} - {"mamba"}))
def test_scales_and_heads_writes_are_what_the_stream_makes_of_them(subjects, kind):
    subject = subjects(kind)
    acts = subject.run(TOKENS, capture=subject.sites).acts
    for site, scale in acts.items():
        if site.kind.endswith("_scale") and "post" not in site.kind:
            read = {"ln1_scale": "resid_pre", "ln2_scale": "resid_mid", "final_scale": "resid_post"}
            kind_read = read[site.kind]
            if Site(kind_read, 0) not in acts:
                kind_read = "resid_pre"  # side by side
            x = acts[Site(kind_read, 2 if site.layer is None else site.layer)].double()
            if kind in ("gpt2", "gptj", "gpt_neox"):
                x = x - x.mean(-1, keepdim=True)
            assert torch.allclose(
                scale.double(), x.square().mean(-1, keepdim=True).sqrt(), rtol=1e-3
            )
    half = subject.run(TOKENS, edits={Site("result", 1): lambda x: x / 2}, capture=subject.sites)
    place = subject.blocks[1].get_submodule(subject.places["result"].module)
    without = acts[Site("result", 1)].sum(2) + (0 if place.bias is None else place.bias)
    written = place(acts[Site("z", 1)].flatten(2))
    assert torch.allclose(without, written, atol=1e-5)
    change = half.acts[Site("result", 1)] * 2 - acts[Site("result", 1)]
    assert torch.allclose(change, torch.zeros_like(change), atol=1e-5)


@pytest.mark.parametrize("kind", sorted({*FAMILIES} - {"mamba"}))
def test_what_is_written_back_unchanged_changes_nothing_and_a_head_is_taken_out_at_each_site(
    subjects, kind
):
    """Takes out one head by its z, by what it writes and by attending to nothing."""
    subject, site = subjects(kind), Site("resid_post", 1)

    def without(x, axis):
        x.select(axis, 2).zero_()
        return x

    plain, z, result, pattern = (
        subject.run(TOKENS, edits=edits, capture=[site, Site("pattern", 0)], logits=False).acts[
            site
        ]
        for edits in (
            dict.fromkeys(subject.sites, torch.clone),
            {Site("z", 1): lambda x: without(x, 2)},
            {Site("result", 1): lambda x: without(x, 2)},
            {Site("pattern", 1): lambda x: without(x, 1)},
        )
    )
    untouched = subject.run(TOKENS, capture=[site, Site("pattern", 0)], logits=False).acts[site]
    assert torch.allclose(plain, untouched, atol=1e-4)
    assert not torch.allclose(plain, z, atol=1e-3)
    assert torch.allclose(z, result, atol=1e-4)
    assert torch.allclose(z, pattern, atol=1e-4)


@pytest.mark.parametrize("kind", sorted({*FAMILIES, *FOUND} - {"mamba"}))
def test_what_parts_write_adds_up_and_an_edit_of_one_is_what_is_added(subjects, kind):
    """So that the write is at its site in full: behind the norms that a family has after it."""
    subject = subjects(kind)
    acts = subject.run(TOKENS, capture=subject.sites).acts
    for layer in range(3):
        before, attention, mlp, after = (
            acts[Site(k, layer)] for k in ("resid_pre", "attn_out", "mlp_out", "resid_post")
        )
        assert torch.allclose(before + attention + mlp, after, atol=1e-5 * float(after.abs().max()))
        mid = acts.get(Site("resid_mid", layer))
        assert mid is None or torch.allclose(before + attention, mid, rtol=1e-5, atol=1e-5)
    for part in ("attn_out", "mlp_out"):
        site, last = Site(part, 2), Site("resid_post", 2)
        plain, none = (
            subject.run(TOKENS, capture=[last, Site("mlp_out", 2)], edits=edits, logits=False).acts
            for edits in ({}, {site: torch.zeros_like})
        )
        change = plain[last] - none[last]
        moved = plain[Site("mlp_out", 2)] - none[Site("mlp_out", 2)]
        expected = acts[site] + (moved if part == "attn_out" else 0)
        assert torch.allclose(change, expected, atol=1e-5 * float(plain[last].abs().max()))


@pytest.mark.parametrize("kind", sorted({*FAMILIES, *FOUND}))
def test_a_late_start_gives_what_a_whole_pass_gives(subjects, kind):
    """Also where a block's mask or positions depend on its number."""
    subject, before = subjects(kind), Site("resid_pre", 2)
    whole = subject.run(TOKENS, capture=[before])
    late = subject.run(TOKENS, start=(2, whole.acts[before]))
    assert torch.equal(late.logits, whole.logits)


def test_within_a_gated_mlp_the_sites_are_what_its_weights_make_of_each_other(subjects):
    """Phi-3 keeps gate and up in one matrix; the site is the gate alone."""
    subject, layer = subjects("phi3"), 1
    acts = subject.run(TOKENS, capture=subject.sites).acts
    mlp = subject.blocks[layer].mlp
    gate, up = mlp.gate_up_proj.weight.chunk(2)
    mid = subject.blocks[layer].post_attention_layernorm(acts[Site("resid_mid", layer)])
    pre, post = acts[Site("mlp_pre", layer)], acts[Site("mlp_post", layer)]
    assert torch.allclose(pre, mid @ gate.T, atol=1e-5)
    assert torch.allclose(post, torch.nn.functional.silu(pre) * (mid @ up.T), atol=1e-5)


@pytest.mark.parametrize("kind", ["llama", "gemma2", "gemma3_text", "gpt2", "olmo2"])
def test_the_unembedding_with_the_norm_folded_in_is_the_direct_path(subjects, kind):
    """Gemma's norms multiply by 1 + their weight, GPT-2's take the mean out."""
    subject = subjects(kind)
    norm, head = subject.final_norm, subject.model.get_output_embeddings()
    x = torch.randn(5, 24, generator=torch.Generator().manual_seed(0)).double()
    y, eps = x, getattr(norm, "eps", getattr(norm, "variance_epsilon", None))
    if kind == "gpt2":
        y = x - x.mean(-1, keepdim=True)
    length = (y.square().mean(-1, keepdim=True) + eps).sqrt()
    with torch.no_grad():
        expected = head(norm(x.float())) - (head(norm.bias) if kind == "gpt2" else 0)
    assert torch.allclose((x / length).float() @ subject.unembed(), expected, atol=1e-4)


@pytest.mark.parametrize("kind", ["gemma2", "gemma3_text", "olmo2"])
def test_norms_of_what_is_written_divide_by_its_root_mean_square(subjects, kind):
    """Under TransformerLens' names; twice the scale halves what is added."""
    subject = subjects(kind)
    acts = subject.run(TOKENS, capture=subject.sites).acts
    for layer in range(3):
        down = subject.blocks[layer].mlp.down_proj.weight.double()
        for half, wrote in (
            ("1", acts[Site("result", layer)].double().sum(2)),
            ("2", acts[Site("mlp_post", layer)].double() @ down.T),
        ):
            scale = Site.parse(f"blocks.{layer}.ln{half}_post.hook_scale")
            mean_square = wrote.square().mean(-1, keepdim=True)
            expected = (mean_square + subject.model.config.rms_norm_eps).sqrt()
            torch.testing.assert_close(acts[scale].double(), expected, rtol=1e-5, atol=1e-6)
            out = Site("attn_out" if half == "1" else "mlp_out", layer)
            got = subject.run(TOKENS, edits={scale: lambda x: 2 * x}, capture=[out], logits=False)
            torch.testing.assert_close(2 * got.acts[out], acts[out], rtol=1e-4, atol=1e-5)


def test_capped_logits_are_capped(subjects):
    logits = subjects("gemma2").run(TOKENS).logits
    assert float(logits.abs().max()) <= 30


@pytest.mark.parametrize("positions", [1, 3])
def test_a_model_that_reads_few_positions_opens(positions, tmp_path):
    folder = tiny_models.make(tmp_path / "model", "gpt2", n_positions=positions)
    tokens = TOKENS[:1, :positions]
    subject = load(str(folder))
    assert torch.equal(subject.run(tokens).logits, subject.model(input_ids=tokens).logits)
