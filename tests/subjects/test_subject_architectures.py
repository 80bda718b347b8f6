"""A new architecture is one file: one that Assay does not have, with attention and MLP side by
side, read and edited in full."""

import numpy as np
import pytest
import torch

import tiny_models
from assay.core.errors import ModelError
from assay.subjects import architectures
from assay.subjects.pretrained import load
from assay.subjects.site import KINDS, Site

FILE = """
from assay.subjects.architectures import Architecture, read_by, returned_by

NEOX = Architecture(
    name="gpt_neox",
    sizes={"layers": "num_hidden_layers", "d": "hidden_size", "m": "intermediate_size", "h": "num_attention_heads", "v": "vocab_size"},
    prefix="gpt_neox.",
    stored={"embed_in.weight": "v d", "final_layer_norm.weight": "d", "layers.*.mlp.dense_h_to_4h.weight": "m d"},
    blocks="layers",
    final_norm="final_layer_norm",
    sites={
        "resid_pre": read_by(""),
        "z": read_by("attention.dense"),
        "attn_out": returned_by("attention.dense"),
        "mlp_pre": returned_by("mlp.dense_h_to_4h"),
        "mlp_post": read_by("mlp.dense_4h_to_h"),
        "mlp_out": returned_by("mlp.dense_4h_to_h"),
        "resid_post": returned_by(""),
    },
)
"""  # noqa: E501
TOKENS = torch.tensor([[5, 17, 200, 3, 41, 41, 99], [250, 0, 8, 77, 130, 6, 2]])


@pytest.fixture(scope="module")
def neox(tmp_path_factory):
    """A random model that Assay refuses, and then reads with this file alone."""
    root = tmp_path_factory.mktemp("architectures")
    folder = model(root / "model")
    with pytest.raises(
        ModelError, match="of type gpt_neox; Assay can hook llama, mistral, qwen2, gpt2"
    ):
        load(str(folder))
    (root / "neox_of_the_test.py").write_text(FILE)
    architectures.__path__.append(str(root))
    architectures.known.cache_clear()
    try:
        yield load(str(folder))
    finally:
        architectures.__path__.remove(str(root))
        architectures.known.cache_clear()


def model(folder):
    import transformers

    folder.mkdir()
    config = transformers.GPTNeoXConfig(
        vocab_size=tiny_models.save_tokenizer(folder),
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=64,
        use_parallel_residual=True,
        attention_dropout=0.0,
        hidden_dropout=0.0,
    )
    made = transformers.AutoModelForCausalLM.from_config(config)
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for p in made.parameters():
            p.copy_(0.3 * torch.randn(p.shape, generator=draw) + (p.ndim == 1))
    made.save_pretrained(folder)
    return folder


def test_its_stream_is_what_transformers_calls_hidden_states(neox):
    hidden = neox.model(input_ids=TOKENS, output_hidden_states=True).hidden_states
    acts = neox.run(TOKENS, capture=neox.sites).acts
    for layer in range(3):
        assert torch.equal(acts[Site("resid_pre", layer)], hidden[layer])
    assert torch.equal(acts[Site("final_norm")], hidden[3])


def test_attention_and_mlp_write_side_by_side(neox):
    acts = neox.run(TOKENS, capture=neox.sites).acts
    for layer in range(3):
        before, attention, mlp, after = (
            acts[Site(kind, layer)] for kind in ("resid_pre", "attn_out", "mlp_out", "resid_post")
        )
        assert torch.allclose(before + attention + mlp, after, atol=1e-4)


def test_an_edit_reaches_only_what_reads_it(neox):
    """With both halves side by side an edit of the attention's output leaves the MLP of the block
    as it was."""
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


def test_a_site_that_it_lacks_is_named_with_those_it_has(neox):
    assert {site.kind for site in neox.sites} == set(KINDS) - {"resid_mid"}
    with pytest.raises(
        ModelError,
        match=(
            r"blocks\.1\.hook_resid_mid does not exist: blocks of gpt_neox have resid_pre, z, "
            r"attn_out"
        ),
    ):
        neox.run(TOKENS, capture=[Site("resid_mid", 1)])


def test_a_kind_of_site_that_no_other_has_is_named_in_its_file_alone(tmp_path):
    with pytest.raises(ModelError, match=r"no site 'blocks\.1\.mlp\.hook_act'"):
        Site.parse("blocks.1.mlp.hook_act")
    own = FILE.replace(
        '"mlp_post": read', '"mlp_act": returned_by("mlp.act"),\n        "mlp_post": read'
    )
    own = own.replace("\n)\n", '\n    kinds={"mlp_act": ("mlp.hook_act", "b s m")},\n)\n')
    (tmp_path / "neox_with_one_more.py").write_text(own)
    folder = model(tmp_path / "model")
    architectures.__path__.append(str(tmp_path))
    architectures.known.cache_clear()
    try:
        subject, site = load(str(folder)), Site.parse("blocks.1.mlp.hook_act")
        assert (
            site == Site("mlp_act", 1)
            and str(site) == "blocks.1.mlp.hook_act"
            and subject.width(site) == 40
        )
        acts = subject.run(TOKENS, capture=[site, Site("mlp_pre", 1)]).acts
        assert torch.allclose(
            acts[site], torch.nn.functional.gelu(acts[Site("mlp_pre", 1)]), atol=1e-6
        )
    finally:
        architectures.__path__.remove(str(tmp_path))
        architectures.known.cache_clear()


@pytest.mark.parametrize(
    ("kind", "hook", "axes", "there"),
    [
        (
            "delta",
            "hook_step",
            "b s c",
            r"'delta' is at hook_delta \(b s c\)",
        ),  # Mamba's, placed elsewhere
        ("delta", "hook_delta", "b s h", r"'delta' is at hook_delta \(b s c\)"),
        ("step", "hook_delta", "b s c", r"'delta' is at hook_delta \(b s c\)"),
        (
            "mlp_out",
            "mlp.hook_out",
            "b s d",
            r"'mlp_out' is at hook_mlp_out \(b s d\)",
        ),  # every transformer's
    ],
    ids=str,
)
def test_a_kind_that_means_something_else_elsewhere_is_refused(kind, hook, axes, there, tmp_path):
    own = FILE.replace("\n)\n", f'\n    kinds={{"{kind}": ("{hook}", "{axes}")}},\n)\n')
    (tmp_path / f"neox_in_{tmp_path.name}.py").write_text(own)
    architectures.__path__.append(str(tmp_path))
    architectures.known.cache_clear()
    try:
        with pytest.raises(
            ModelError,
            match=rf"gpt_neox has the site kind '{kind}' at {hook} \({axes}\), but {there}",
        ) as told:
            Site("in_proj", 0)
        assert "\n" not in str(told.value)
    finally:
        architectures.__path__.remove(str(tmp_path))
        architectures.known.cache_clear()


@pytest.mark.parametrize("name", ["llama", "mistral", "qwen2", "gpt2"])
def test_every_architecture_is_whole(name, tmp_path):
    """Its sites are those of `site.py`, each in the order in which a forward pass meets them."""
    folder = tiny_models.make(tmp_path / name, name)
    subject, met = load(str(folder)), []
    edits = {site: lambda x, site=site: met.append(site) or x for site in subject.sites}
    subject.run(TOKENS, edits=edits)
    assert tuple(met) == subject.sites
    assert {site.kind for site in met} == set(KINDS)
    shapes = {
        site: subject.run(TOKENS, capture=[site], logits=False).acts[site].shape[2:]
        for site in subject.sites
    }
    assert {site: int(np.prod(shape)) for site, shape in shapes.items()} == {
        site: subject.width(site) for site in subject.sites
    }
