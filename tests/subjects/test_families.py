"""Every family opens, and its sites are what their names say: a tiny random folder of each, against
transformers' own forward pass and its weights."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

import tiny_models
from acceptance.test_families import FAMILIES, FOUND, TOKENS, subjects
from assay.core.errors import ModelError
from assay.subjects import architectures
from assay.subjects.pretrained import load
from assay.subjects.site import KINDS, Site

__all__ = ["subjects"]


def test_these_are_all_that_have_a_file():
    assert set(FAMILIES) == set(architectures.known())
    assert not set(FOUND) & set(architectures.known())


@pytest.mark.parametrize("kind", [*FAMILIES, *FOUND])
def test_sites_are_met_in_their_order_and_have_their_widths(subjects, kind):
    subject, met = subjects(kind), []
    edits = {site: lambda x, site=site: met.append(site) or x for site in subject.sites}
    acts = subject.run(TOKENS, capture=subject.sites, edits=edits).acts
    assert tuple(met) == subject.sites
    assert all(
        x[0, 0].numel() == subject.width(site) for site, x in acts.items() if site.dims[2] == "s"
    )
    if kind in FAMILIES and kind != "mamba":
        absent = set(KINDS) - {site.kind for site in subject.sites}
        assert absent == set(subject.folder.architecture.absent) | (
            set() if kind == "gpt2" else {"pos_embed"}
        )


def test_a_block_in_sequence_has_a_stream_between(tmp_path):
    folder = tiny_models.make(tmp_path / "model", "gpt_neox", use_parallel_residual=False)
    subject = load(str(folder))
    assert {site.kind for site in subject.sites} == set(KINDS) - {"pos_embed", "mlp_pre_linear"}
    before, attention, mid = (
        subject.run(TOKENS, capture=subject.sites).acts[Site(kind, 1)]
        for kind in ("resid_pre", "attn_out", "resid_mid")
    )
    assert torch.equal(before + attention, mid)


def test_a_site_that_a_family_lacks_says_why(subjects):
    with pytest.raises(ModelError, match=r"hook_resid_mid does not exist: attention and MLP read"):
        subjects("gptj").run(TOKENS, capture=[Site("resid_mid", 1)])


REFUSED = {
    "granite": ({"residual_multiplier": 0.2}, "the stream after block 0 is not the stream before"),
    "cohere": ({"logit_scale": 0.5}, "logits differ from transformers' own"),
    "opt": (
        {"ffn_dim": 40, "word_embed_proj_dim": 24},
        "no list of blocks with a norm after it can be found",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_model_that_does_not_pass_is_refused_where_it_breaks(kind, tmp_path):
    changes, why = REFUSED[kind]
    folder = tiny_models.make(tmp_path / "model", kind, **changes)
    with pytest.raises(ModelError, match=why) as refused:
        load(str(folder))
    assert "\n" not in str(refused.value)


def test_numbers_that_are_none_prove_nothing(tmp_path):
    """Weights are finite, and what they make is not: squares of 1e30 pass float32."""
    folder = tiny_models.make(tmp_path / "model", "llama")
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.down_proj.weight"].fill_(3e38)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="block 1 is not the stream before it"):
        load(str(folder))


def test_code_of_its_own_is_never_run(tmp_path):
    folder = tiny_models.make(tmp_path / "model", "stablelm")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "my_own", "auto_map": {"AutoModelForCausalLM": "code.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(ModelError, match="brings code of its own"):
        load(str(folder))


def test_a_config_that_promises_more_than_the_files_hold_is_refused(tmp_path):
    folder = tiny_models.make(tmp_path / "model", "stablelm")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 50_000}))
    with pytest.raises(ModelError, match=r"are [\d,]+ numbers, its config\.json claims [\d,]+"):
        load(str(folder))
