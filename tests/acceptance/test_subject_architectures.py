"""An architecture that Assay does not have: an edit reaches only what reads it."""

import torch

import tiny_models
from assay.subjects.pretrained import load
from assay.subjects.site import Site

TOKENS = torch.tensor([[5, 17, 200, 3, 41, 41, 99], [250, 0, 8, 77, 130, 6, 2]])


def test_an_edit_reaches_only_what_reads_it(tmp_path):
    """With both halves side by side, as in GPT-NeoX, an edit of the attention's output leaves the
    MLP of the block as it was."""
    neox = load(str(tiny_models.make(tmp_path / "model", "gpt_neox", num_key_value_heads=4)))
    site, mlp = Site("attn_out", 1), Site("mlp_out", 1)
    plain = neox.run(TOKENS, capture=neox.sites)
    edited = neox.run(TOKENS, capture=neox.sites, edits={site: torch.zeros_like})
    assert torch.equal(plain.acts[mlp], edited.acts[mlp])
    assert torch.allclose(
        edited.acts[Site("resid_post", 1)],
        plain.acts[Site("resid_pre", 1)] + plain.acts[mlp],
        atol=1e-4,
    )
    assert not torch.allclose(plain.logits, edited.logits)
