"""Site names: the field's own, both ways."""

import pytest

from acceptance.test_site import MAMBA, NAMES
from assay.core.errors import ModelError
from assay.subjects.site import KINDS, Site
from assay_catalogue.subjects.mamba_architecture import KINDS as OWN


def test_every_kind_is_named_above():
    assert {kind for kind, *_ in NAMES.values()} == set(KINDS)
    assert {kind for kind, *_ in MAMBA.values()} == set(OWN)


@pytest.mark.parametrize(
    ("module", "site"),
    [
        ("model.layers.10.mlp", "blocks.10.hook_mlp_out"),
        ("model.layers.3.self_attn", "blocks.3.hook_attn_out"),
        ("transformer.h.0", "blocks.0.hook_resid_post"),
        ("gpt_neox.layers.5.attention", "blocks.5.hook_attn_out"),
    ],
)
def test_a_module_of_transformers_is_answered_with_the_site_of_what_it_returns(module, site):
    with pytest.raises(ModelError, match=f"write {site}$"):
        Site.parse(module)


def test_an_unknown_kind_gets_the_nearest():
    with pytest.raises(ModelError, match=r"did you mean resid_pre"):
        Site("resid_pree", 3)


def test_a_layer_goes_with_the_kinds_of_a_block_only():
    with pytest.raises(ModelError, match=r"needs a layer"):
        Site("z")
    with pytest.raises(ModelError, match=r"has no layer"):
        Site("final_norm", 2)
