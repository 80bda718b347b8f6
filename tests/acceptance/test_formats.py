"""Every file that a peer's own package wrote is read to what that package computes from it; what
has two readings is refused.

The fixtures and what the peers computed, in float64 from float32 weights, are data;
tests/fixtures/formats/README.md says how they were made.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from assay.dictionaries.formats import load
from assay.dictionaries.nonlinearity import ReLU

ROOT = Path(__file__).parents[1] / "fixtures/formats"
PEERS = ("saelens", "dictionary_learning", "sparsify", "gemma_scope", "llama_scope")
EXPECTED = {peer: load_file(ROOT / f"expected/{peer}.safetensors") for peer in PEERS}


def path_of(peer, case):
    """The file or folder of a case, as a user would name it."""
    folder = ROOT / peer / case
    if peer in ("saelens", "dictionary_learning"):
        return next(folder.glob("checkpoints/*"), folder)
    if peer == "sparsify":
        return next(p for p in folder.iterdir() if p.is_dir())
    return next(p for p in sorted(folder.rglob("*")) if p.suffix in (".npz", ".safetensors"))


def doubled(dictionary):
    """The same dictionary in float64, so that only the weights' own rounding is left."""
    return dictionary._map(lambda value: value.double())


def assert_same(got, wanted):
    """Equal to 1e-6 of the largest number."""
    assert got.shape == wanted.shape
    assert (got - wanted).abs().max() <= 1e-6 * wanted.abs().max()


MLP = ("blocks.3.mlp.hook_in", "blocks.3.hook_mlp_out")
BY_NAME = ["architecture", "site"]
"""What the names of a file's folders say."""


@pytest.mark.parametrize(
    ("peer", "case", "site", "out", "inferred"),
    [
        ("saelens", "standard", "blocks.3.hook_resid_pre", None, []),
        ("saelens", "old_standard", "blocks.3.hook_resid_pre", None, ["architecture"]),
        ("saelens", "skip_transcoder", "blocks.3.hook_resid_pre", "blocks.3.hook_mlp_out", []),
        ("saelens", "transcoder", "blocks.3.hook_resid_pre", "unknown", []),
        ("dictionary_learning", "standard", "blocks.3.hook_resid_post", None, ["site"]),
        ("dictionary_learning", "standard_no_config", None, None, ["architecture"]),
        ("sparsify", "topk", "blocks.3.hook_resid_post", None, ["site"]),
        ("sparsify", "expansion", "blocks.3.hook_mlp_out", None, ["site"]),
        ("sparsify", "transcode", *MLP, ["site", "site_out"]),
        ("gemma_scope", "residual", "blocks.3.hook_resid_post", None, BY_NAME),
        ("gemma_scope", "attention", "blocks.3.attn.hook_z", None, BY_NAME),
        ("gemma_scope", "embedding", "hook_embed", None, BY_NAME),
        ("gemma_scope", "second_skip", *MLP, ["site", "site_out"]),
        ("llama_scope", "residual", "blocks.3.hook_resid_post", None, []),
    ],
)
def test_places_and_what_was_inferred(peer, case, site, out, inferred):
    found = load(path_of(peer, case))
    assert found.sites == ((site,) if site else ())
    assert found.sites_out == ((out,) if out else ())
    assert found.origin["inferred"] == inferred
    told = load(path_of(peer, case), site="blocks.1.hook_resid_pre")
    assert told.sites == ("blocks.1.hook_resid_pre",)
    assert "site" not in told.origin["inferred"]


@pytest.mark.parametrize("name", ["jumprelu", "topk"])
def test_settings_of_llama_scope_without_any_threshold(tmp_path, name):
    """The library's own default is 0: a JumpReLU is then a ReLU, and a TopK keeps the k largest."""
    shutil.copytree(path_of("llama_scope", "residual").parents[1], tmp_path / "it")
    place = tmp_path / "it/hyperparams.json"
    settings = json.loads(place.read_text()) | {"act_fn": name, "top_k": 4}
    del settings["jump_relu_threshold"]
    place.write_text(json.dumps(settings))
    w = load_file(tmp_path / "it/checkpoints/final.safetensors")
    W, b, V = (w[n].double() for n in ("encoder.weight", "encoder.bias", "decoder.weight"))
    x, scale = EXPECTED["llama_scope"]["x"].double(), 8**0.5 / 5.5
    pre = ((scale * x) @ W.T + b).relu() * V.norm(dim=0)
    least = pre.sort(descending=True).values[:, 3:4] if name == "topk" else 0.0
    wanted = pre * (pre >= least)
    found = doubled(load(tmp_path / "it"))
    f = found.encode(x)
    assert torch.equal(f > 0, wanted > 0)
    made = (wanted / V.norm(dim=0)) @ V.T + w["decoder.bias"].double()
    assert_same(found.reconstruct(x), made / scale)


def test_topk_reads_as_its_class_says():
    """One file, two readings: 4 features a row, or those above .9."""
    path = path_of("dictionary_learning", "topk_no_config")
    x = EXPECTED["dictionary_learning"]["x"].double()
    f = EXPECTED["dictionary_learning"]["topk_no_config/f"]
    assert_same(doubled(load(path, architecture="AutoEncoderTopK")).encode(x), f)
    dense = doubled(load(path, architecture="AutoEncoderTopK"))
    pre = replace(dense, nonlinearity=ReLU()).encode(x)
    assert_same(
        doubled(load(path, architecture="BatchTopKSAE")).encode(x), pre * (pre > torch.tensor(0.9))
    )


def test_llama_scope_is_known_by_its_folder_too():
    for case, name in (("residual", "final.safetensors"), ("distilled", "sae_weights.safetensors")):
        folder = next(p for p in (ROOT / "llama_scope" / case).rglob("*.json")).parent
        assert load(folder).origin["format"] == "llama-scope"
        assert load(folder).origin["file"] == name


def test_llama_scope_thresholds_are_on_features_times_rows_lengths(tmp_path):
    """Rows of any length: Language-Model-SAEs divides them by it and multiplies what it jumps by
    it; a target may have another length."""
    from safetensors.torch import save_file

    folder = tmp_path / "tc"
    shutil.copytree(path_of("llama_scope", "residual").parents[1], folder)
    g = torch.Generator().manual_seed(3)
    W, b = torch.randn(32, 8, generator=g), torch.randn(32, generator=g)
    V, c = torch.randn(8, 32, generator=g), torch.randn(8, generator=g)
    save_file(
        {"encoder.weight": W, "encoder.bias": b, "decoder.weight": V, "decoder.bias": c},
        folder / "checkpoints/final.safetensors",
    )
    settings = json.loads((folder / "hyperparams.json").read_text())
    settings |= {
        "hook_point_out": "blocks.3.hook_mlp_out",
        "dataset_average_activation_norm": {"in": 5.0, "out": 2.0},
    }
    (folder / "hyperparams.json").write_text(json.dumps(settings))
    # its own words: biases divided by the factors, rows times their quotient, then rows to length
    # 1; 0.7 is what one has to exceed
    into, out = 8**0.5 / 5.0, 8**0.5 / 2.0
    x = torch.randn(40, 8, generator=g).double()
    rows = V.double() * into / out
    length = rows.norm(dim=0)
    pre = (x @ W.double().T + b.double() / into) * length
    wanted = (pre * (pre > 0.7)) @ (rows / length).T + c.double() / out
    assert_same(doubled(load(folder)).reconstruct(x), wanted)
