"""Site names: the field's own, both ways."""

import re

import pytest

from assay.core.errors import ModelError
from assay.subjects.site import Site

NAMES = {
    "blocks.9.hook_resid_pre": ("resid_pre", 9, "b s d"),
    "blocks.0.hook_resid_mid": ("resid_mid", 0, "b s d"),
    "blocks.6.hook_resid_post": ("resid_post", 6, "b s d"),
    "blocks.3.attn.hook_z": ("z", 3, "b s h e"),
    "blocks.29.hook_attn_out": ("attn_out", 29, "b s d"),
    "blocks.1.mlp.hook_pre": ("mlp_pre", 1, "b s m"),
    "blocks.1.mlp.hook_post": ("mlp_post", 1, "b s m"),
    "blocks.10.hook_mlp_out": ("mlp_out", 10, "b s d"),
    "ln_final.hook_normalized": ("final_norm", None, "b s d"),
    "ln_final.hook_scale": ("final_scale", None, "b s 1"),
    "hook_embed": ("embed", None, "b s d"),
    "hook_pos_embed": ("pos_embed", None, "b s d"),
    "blocks.0.ln1.hook_scale": ("ln1_scale", 0, "b s 1"),
    "blocks.0.ln2.hook_scale": ("ln2_scale", 0, "b s 1"),
    "blocks.2.attn.hook_q": ("q", 2, "b s h e"),
    "blocks.2.attn.hook_k": ("k", 2, "b s kv e"),
    "blocks.2.attn.hook_v": ("v", 2, "b s kv e"),
    "blocks.2.attn.hook_rot_q": ("rot_q", 2, "b s h e"),
    "blocks.2.attn.hook_rot_k": ("rot_k", 2, "b s kv e"),
    "blocks.2.attn.hook_attn_scores": ("attn_scores", 2, "b h q k"),
    "blocks.2.attn.hook_pattern": ("pattern", 2, "b h q k"),
    "blocks.2.attn.hook_result": ("result", 2, "b s h d"),
    "blocks.1.mlp.hook_pre_linear": ("mlp_pre_linear", 1, "b s m"),
    "blocks.1.ln2.hook_normalized": ("ln2_normalized", 1, "b s d"),
    "blocks.1.mlp.hook_in": ("mlp_in", 1, "b s d"),
}
SYNONYMS = {
    "blocks.3.hook_in": "blocks.3.hook_resid_pre",
    "blocks.3.hook_out": "blocks.3.hook_resid_post",
    "blocks.3.attn.q.hook_out": "blocks.3.attn.hook_q",
    "blocks.3.attn.o.hook_in": "blocks.3.attn.hook_z",
    "blocks.3.attn.hook_out": "blocks.3.hook_attn_out",
    "blocks.3.mlp.out.hook_in": "blocks.3.mlp.hook_post",
    "blocks.3.mlp.hook_out": "blocks.3.hook_mlp_out",
    "blocks.3.hook_mlp_in": "blocks.3.hook_resid_mid",
    "embed.hook_out": "hook_embed",
    "unembed.hook_in": "ln_final.hook_normalized",
}
"""Names of TransformerLens 3, as its bridge gives them, and of before."""
MAMBA = {
    "blocks.4.hook_in_proj": ("in_proj", 4, "b s c"),
    "blocks.4.hook_skip": ("gate", 4, "b s c"),
    "blocks.4.hook_conv": ("conv", 4, "b s c"),
    "blocks.4.hook_ssm_input": ("ssm_in", 4, "b s c"),
    "blocks.0.hook_delta": ("delta", 0, "b s c"),
    "blocks.0.hook_B": ("B", 0, "b s n"),
    "blocks.0.hook_C": ("C", 0, "b s n"),
    "blocks.12.hook_write": ("write", 12, "b s c n"),
    "blocks.12.hook_state": ("state", 12, "b s c n"),
    "blocks.1.hook_ssm_output": ("ssm_out", 1, "b s c"),
    "blocks.1.hook_after_skip": ("gated", 1, "b s c"),
    "blocks.1.hook_out_proj": ("mixer_out", 1, "b s d"),
}


@pytest.mark.parametrize("text", [*NAMES, *MAMBA])
def test_a_name_and_its_site_are_inverse(text):
    kind, layer, dims = (NAMES | MAMBA)[text]
    site = Site.parse(text)
    assert (site.kind, site.layer, site.dims, str(site)) == (kind, layer, dims, text)
    assert site == Site(kind, layer)


@pytest.mark.parametrize("text", SYNONYMS)
def test_names_of_transformerlens_3_are_understood(text):
    assert str(Site.parse(text)) == SYNONYMS[text]


@pytest.mark.parametrize(
    "text",
    [
        "blocks.9.hook_resid_pr",
        "blocks.x.hook_resid_pre",
        "blocks.-1.hook_resid_pre",
        "hook_resid_pre",
        "",
        "blocks.1.ln_final",
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_site(text):
    with pytest.raises(ModelError) as caught:
        Site.parse(text)
    assert repr(text) in str(caught.value)
    known = re.search(r"(?:did you mean|known:|such as) (\S+?)(?:[?,]|$)", str(caught.value))[1]
    assert Site.parse(known.replace("<layer>", "1"))
    assert "\n" not in str(caught.value)
