"""An untrained model: the architecture of another, fewer blocks, weights that depend on the seed
alone."""

import json

import pytest
import torch
from safetensors.torch import load_file

from assay.core.errors import ModelError
from assay.subjects.folder import find
from assay.subjects.pretrained import load
from assay.subjects.site import Site
from assay.subjects.untrained import redrawn, untrained
from tiny_models import make


def test_it_has_the_shape_of_the_model_and_random_weights_of_its_own(tmp_path, bench):
    folder = make(tmp_path / "model", "llama")
    first, again, other = (untrained(str(folder), 1, bench, seed) for seed in (0, 0, 1))
    assert first == again != other
    model, trained = load(str(first)), load(str(folder))
    assert model.layers == 1
    assert model.width(Site("resid_post", 0)) == trained.width(Site("resid_post", 0))
    assert find(str(first)).tokenizer.encode("def f(x)") == find(str(folder)).tokenizer.encode(
        "def f(x)"
    )
    state, theirs = model.model.state_dict(), trained.model.state_dict()
    name = "model.layers.0.mlp.up_proj.weight"
    assert state[name].shape == theirs[name].shape
    assert not torch.equal(state[name], theirs[name])
    assert not torch.equal(state[name], load(str(other)).model.state_dict()[name])
    # transformers initialises matrices from a normal law with the config's spread
    assert state[name].std().item() == pytest.approx(
        find(str(folder)).config["initializer_range"], rel=0.2
    )


def test_making_one_leaves_the_global_random_stream_alone(tmp_path, bench):
    folder = make(tmp_path / "model", "llama")
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    untrained(str(folder), 1, bench)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("blocks", [0, 99])
def test_blocks_that_the_model_does_not_have_are_refused(tmp_path, bench, blocks):
    folder = make(tmp_path / "model", "llama")
    with pytest.raises(ModelError, match="can have 1 to"):
        untrained(str(folder), blocks, bench)


def test_weights_drawn_again_in_memory_are_as_before_training(tmp_path):
    folder = str(make(tmp_path / "model", "gpt2"))
    first, again, other = (redrawn(load(folder), seed).model.state_dict() for seed in (0, 0, 1))
    name = "transformer.h.0.mlp.c_fc.weight"
    assert torch.equal(first[name], again[name])
    assert not torch.equal(first[name], other[name])
    assert first[name].std().item() == pytest.approx(
        find(folder).config["initializer_range"], rel=0.2
    )
    assert (first["transformer.ln_f.weight"] == 1).all()
    assert (first["transformer.ln_f.bias"] == 0).all()


def test_a_family_whose_norms_multiply_by_one_more_than_their_weights(tmp_path, bench):
    window = {"sliding_window": 4, "head_dim": 8, "query_pre_attn_scalar": 8}
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    folder = str(make(tmp_path / "model", "gemma3_text", layer_types=kinds, **window))
    cut = load(str(untrained(folder, 2, bench)))
    assert cut.layers == 2 and cut.model.config.layer_types == kinds[:2]
    for model in (cut, redrawn(load(folder))):
        assert torch.equal(model.gain, torch.ones(24))


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_tied_weights_may_be_stored_under_either_name(tmp_path, bench, kind):
    folder = make(tmp_path / "model", kind, tie_word_embeddings=True)
    made = untrained(str(folder), 1, bench)
    stored = load_file(made / "model.safetensors")
    assert ("lm_head.weight" in stored) != (
        f"{'transformer.wte' if kind == 'gpt2' else 'model.embed_tokens'}.weight" in stored
    )
    model = load(str(made))
    assert model.model.get_input_embeddings().weight is model.model.get_output_embeddings().weight
    config = json.loads((made / "config.json").read_text()) | {"tie_word_embeddings": False}
    if "lm_head.weight" in stored:
        (made / "config.json").write_text(json.dumps(config))
        with pytest.raises(ModelError, match="lack"):
            load(str(made))
