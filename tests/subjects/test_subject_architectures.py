"""A new architecture is one file: one that Assay does not have, read and edited in full."""

from contextlib import contextmanager

import pytest
import torch

import tiny_models
from acceptance.test_subject_architectures import TOKENS
from assay.core.errors import ModelError
from assay.subjects import architectures
from assay.subjects.pretrained import load
from assay.subjects.site import Site

FILE = """
from assay.subjects.architectures import Architecture, read_by, returned_by

STARCODER2 = Architecture(
    name="starcoder2",
    sizes={"layers": "num_hidden_layers", "d": "hidden_size", "m": "intermediate_size", "h": "num_attention_heads", "v": "vocab_size"},
    prefix="model.",
    stored={"embed_tokens.weight": "v d", "norm.weight": "d", "layers.*.mlp.c_fc.weight": "m d"},
    blocks="layers",
    final_norm="norm",
    sites={
        "resid_pre": read_by(""),
        "z": read_by("self_attn.o_proj"),
        "attn_out": returned_by("self_attn.o_proj"),
        "resid_mid": read_by("post_attention_layernorm", shared=True),
        "mlp_pre": returned_by("mlp.c_fc"),
        "mlp_post": read_by("mlp.c_proj"),
        "mlp_out": returned_by("mlp.c_proj"),
        "resid_post": returned_by(""),
    },
)
"""  # noqa: E501


@contextmanager
def known(folder, text):
    """A file of architectures with this text, found like ours."""
    (folder / f"starcoder_in_{folder.name}.py").write_text(text)
    architectures.__path__.append(str(folder))
    architectures.known.cache_clear()
    try:
        yield
    finally:
        architectures.__path__.remove(str(folder))
        architectures.known.cache_clear()


@pytest.fixture(scope="module")
def starcoder(tmp_path_factory):
    """A random model of a type that Assay finds its way in, and then knows by this file alone."""
    root = tmp_path_factory.mktemp("architectures")
    folder = tiny_models.make(root / "model", "starcoder2")
    with pytest.raises(
        ModelError,
        match=(
            r"blocks\.1\.hook_resid_mid does not exist: where it lies in such a block, only a file "
            r"in architectures/ could say; blocks of starcoder2 have resid_pre, z, attn_out"
        ),
    ):
        load(str(folder)).run(TOKENS, capture=[Site("resid_mid", 1)])
    with known(root, FILE):
        yield load(str(folder))


def test_its_stream_is_what_transformers_calls_hidden_states(starcoder):
    hidden = starcoder.model(input_ids=TOKENS, output_hidden_states=True).hidden_states
    acts = starcoder.run(TOKENS, capture=starcoder.sites).acts
    for layer in range(3):
        assert torch.equal(acts[Site("resid_pre", layer)], hidden[layer])
    assert torch.equal(acts[Site("final_norm")], hidden[3])


def test_a_file_gives_every_site(starcoder):
    assert {site.kind for site in starcoder.sites} >= {"resid_mid", "mlp_pre", "mlp_post"}
    acts = starcoder.run(TOKENS, capture=starcoder.sites).acts
    for layer in range(3):
        before, attention, mid = (
            acts[Site(kind, layer)] for kind in ("resid_pre", "attn_out", "resid_mid")
        )
        assert torch.equal(before + attention, mid)


def test_a_file_whose_places_are_wrong_is_refused_with_the_block(tmp_path):
    """What a file says is proved as well as what is found."""
    wrong = FILE.replace(
        '"attn_out": returned_by("self_attn.o_proj")', '"attn_out": returned_by("self_attn.q_proj")'
    )
    folder = tiny_models.make(tmp_path / "model", "starcoder2")
    told = "the stream after block 0 is not the stream before it"
    with known(tmp_path, wrong), pytest.raises(ModelError, match=told):
        load(str(folder))


def test_a_kind_of_site_that_no_other_has_is_named_in_its_file_alone(tmp_path):
    with pytest.raises(ModelError, match=r"no site 'blocks\.1\.mlp\.hook_act'"):
        Site.parse("blocks.1.mlp.hook_act")
    with pytest.raises(ModelError, match=r"did you mean blocks\.1\.hook_resid_pre\?"):
        Site.parse("blocks.1.resid_pre")
    own = FILE.replace(
        '"mlp_post": read', '"mlp_act": returned_by("mlp.act"),\n        "mlp_post": read'
    )
    own = own.replace("\n)\n", '\n    kinds={"mlp_act": ("mlp.hook_act", "b s m")},\n)\n')
    folder = tiny_models.make(tmp_path / "model", "starcoder2")
    with known(tmp_path, own):
        subject, site = load(str(folder)), Site.parse("blocks.1.mlp.hook_act")
        assert site == Site("mlp_act", 1)
        assert str(site) == "blocks.1.mlp.hook_act"
        assert subject.width(site) == 40
        acts = subject.run(TOKENS, capture=[site, Site("mlp_pre", 1)]).acts
        wanted = torch.nn.functional.gelu(acts[Site("mlp_pre", 1)], approximate="tanh")
        assert torch.allclose(acts[site], wanted, atol=1e-6)


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
    told = rf"starcoder2 has the site kind '{kind}' at {hook} \({axes}\), but {there}"
    with known(tmp_path, own), pytest.raises(ModelError, match=told) as refusal:
        Site("in_proj", 0)
    assert "\n" not in str(refusal.value)
