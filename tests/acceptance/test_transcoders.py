"""A transcoder before and after the norm's weight: both places are what the norm's definition
says."""

import pytest
import torch

import tiny_models
from assay.subjects.pretrained import load
from assay.subjects.site import Site
from folders import FAMILIES, model_of

D, N = 24, 40
NORMS = {
    "llama": "post_attention_layernorm",
    "qwen3": "post_attention_layernorm",
    "gemma2": "pre_feedforward_layernorm",
    "gemma3_text": "pre_feedforward_layernorm",
    "gpt_neox": "post_attention_layernorm",
    "gpt2": "ln_2",
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root, known = tmp_path_factory.mktemp("transcoded"), {}

    def of(family):
        if family not in known:
            changes = FAMILIES[family] | {"bos_token_id": 3}
            known[family] = tiny_models.make(root / family, family, **changes)
        return known[family]

    return of


def block_of(model, layer=1):
    base = model.base_model
    return (base.h if hasattr(base, "h") else base.layers)[layer]


@torch.no_grad()
def normalized(norm, x):
    """What a norm makes before it multiplies by its weight: by its definition."""
    if isinstance(norm, torch.nn.LayerNorm):
        x = x - x.mean(-1, keepdim=True)
    eps = getattr(norm, "eps", getattr(norm, "variance_epsilon", None))
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt()


@pytest.mark.parametrize("family", NORMS)
def test_the_two_places_of_a_norm_are_what_its_definition_says(models, family):
    """And edits of them act: a shift before the weight is one of weight times as much behind it."""
    folder = models(family)
    model, plain = load(str(folder)), model_of(folder)
    ids = torch.tensor([[5, 9, 40, 77, 12]])
    seen = {}
    block = block_of(plain)
    norm = block.get_submodule(NORMS[family])
    norm.register_forward_pre_hook(lambda m, a: seen.update(x=normalized(m, a[0])))
    block.mlp.register_forward_pre_hook(lambda m, a: seen.update(after=a[0]))
    with torch.no_grad():
        plain(input_ids=ids)
    before, after = Site("ln2_normalized", 1), Site("mlp_in", 1)
    scale = Site("ln2_scale", 1)
    acts = model.run(ids, capture=[before, after, scale], logits=False).acts
    torch.testing.assert_close(acts[before], seen["x"], atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(acts[after], seen["after"], atol=2e-5, rtol=1e-4)
    shift = torch.linspace(-1, 1, D)
    gain = 1 + norm.weight if "gemma" in family else norm.weight
    one = model.run(ids, edits={before: lambda x: x + shift}).logits
    other = model.run(ids, edits={after: lambda x: x + shift * gain.detach()}).logits
    torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    halved = model.run(ids, edits={scale: lambda x: 2 * x}, capture=[before], logits=False)
    torch.testing.assert_close(halved.acts[before], acts[before] / 2, atol=2e-5, rtol=1e-4)
