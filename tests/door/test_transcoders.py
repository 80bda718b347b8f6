"""Transcoders of an MLP's input, in four formats, on a model: reconstruction and loss are those of
transformers with hooks written here. Before and after the norm's weight are two places."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import tiny_models
from acceptance.test_transcoders import NORMS, D, N, block_of, models, normalized
from assay.core.errors import DataError, ModelError
from assay.dictionaries.formats.opening import load as open_dictionary
from assay.evaluation import evaluate
from assay.subjects.pretrained import load
from assay.subjects.site import Site
from folders import model_of

__all__ = ["models"]
ADDED = {"gemma2": "post_feedforward_layernorm", "gemma3_text": "post_feedforward_layernorm"}
"""What the MLP's output goes through before it is added."""


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return tiny_models.write_texts(tmp_path_factory.mktemp("texts"), 6, lambda i: 2 + i % 3)


def weights(skip=False):
    draw = torch.Generator().manual_seed(3)
    of = {"W_enc": (D, N), "b_enc": (N,), "W_dec": (N, D), "b_dec": (D,), "threshold": (N,)}
    made = {name: 0.4 * torch.randn(shape, generator=draw) for name, shape in of.items()}
    made["threshold"] = made["threshold"].abs()
    return made | ({"W_skip": 0.3 * torch.randn(D, D, generator=draw)} if skip else {})


@torch.no_grad()
def truth(folder, family, after, code, tokens):
    """FVU and losses with the transcoder in place of the MLP, position 0 of each window left as it
    is."""
    model, ids = model_of(folder), torch.from_numpy(tokens.astype(np.int64))
    block, seen = block_of(model), {}
    norm = block.get_submodule(NORMS[family])
    last = block.get_submodule(ADDED.get(family, "mlp"))
    handles = [
        norm.register_forward_pre_hook(lambda m, a: seen.update(x=normalized(m, a[0]))),
        block.mlp.register_forward_pre_hook(lambda m, a: seen.update(after=a[0])),
        last.register_forward_hook(lambda m, a, out: seen.update(y=out)),
    ]
    clean = model(input_ids=ids, use_cache=False).logits
    x, y = (seen["after"] if after else seen["x"]).double(), seen["y"].double()
    made = code(x)

    def put(module, args, out):
        return torch.cat([out[:, :1], made[:, 1:].to(out.dtype)], 1)

    for handle in handles:
        handle.remove()
    last.register_forward_hook(put)
    spliced = model(input_ids=ids, use_cache=False).logits
    logs = [z[:, 1:-1].double().log_softmax(-1) for z in (clean, spliced)]
    targets = ids[:, 2:, None]
    ce = [float(-log.gather(2, targets).mean()) for log in logs]
    kept = y[:, 1:].reshape(-1, D)
    variance = (kept - kept.mean(0)).square().sum()
    error = (kept - made[:, 1:].reshape(-1, D)).square().sum()
    return float(error / variance), *ce


def jump(w, x):
    z = x @ w["W_enc"].double() + w["b_enc"].double()
    z = torch.where(z > w["threshold"].double(), z.clamp_min(0), 0.0)
    return z @ w["W_dec"].double() + w["b_dec"].double()


def relu(w, x):
    out = (x @ w["W_enc"].double() + w["b_enc"].double()).clamp_min(0) @ w["W_dec"].double()
    skip = x @ w["W_skip"].double().T if "W_skip" in w else 0.0
    return out + w["b_dec"].double() + skip


def top4(w, x):
    z = x @ w["W_enc"].double() + w["b_enc"].double()
    kept = z.topk(4, dim=-1)
    z = torch.zeros_like(z).scatter(-1, kept.indices, kept.values.clamp_min(0))
    skip = x @ w["W_skip"].double().T if "W_skip" in w else 0.0
    return z @ w["W_dec"].double() + w["b_dec"].double() + skip


def gemma_scope(folder, w):
    place = folder / "gemma-scope-2b-pt-transcoders/layer_1/width_16k/average_l0_1"
    place.mkdir(parents=True)
    np.savez(place / "params.npz", **{k: v.numpy() for k, v in w.items() if k != "W_skip"})
    return place / "params.npz"


def gemma_scope_2(folder, w):
    folder.mkdir()
    names = {"W_enc": "w_enc", "W_dec": "w_dec"}
    tensors = {names.get(k, k): v for k, v in w.items() if k != "W_skip"}
    tensors["affine_skip_connection"] = w["W_skip"].T.contiguous()
    save_file(tensors, folder / "params.safetensors")
    config = {
        "architecture": "jump_relu",
        "hf_hook_point_in": "model.layers.1.pre_feedforward_layernorm.output",
        "hf_hook_point_out": "model.layers.1.post_feedforward_layernorm.output",
        "model_name": "tiny",
        "width": N,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def sparsify(folder, w):
    place = folder / "layers.1.mlp"
    place.mkdir(parents=True)
    tensors = {
        "encoder.weight": w["W_enc"].T.contiguous(),
        "encoder.bias": w["b_enc"],
        "W_dec": w["W_dec"],
        "b_dec": w["b_dec"],
        "W_skip": w["W_skip"],
    }
    save_file(tensors, place / "sae.safetensors")
    config = {"d_in": D, "num_latents": N, "k": 4, "transcode": True, "skip_connection": True}
    (place / "cfg.json").write_text(json.dumps(config | {"activation": "topk"}))
    return place


def saelens(reads="ln2.hook_normalized", **loading):
    def write(folder, w):
        folder.mkdir()
        parts = {k: v for k, v in w.items() if k not in ("threshold", "W_skip")}
        save_file(parts, folder / "sae_weights.safetensors")
        config = {
            "architecture": "transcoder",
            "d_in": D,
            "d_out": D,
            "d_sae": N,
            "apply_b_dec_to_input": False,
            "metadata": {
                "hook_name": f"blocks.1.{reads}",
                "hook_name_out": "blocks.1.hook_mlp_out",
                "model_from_pretrained_kwargs": loading,
            },
        }
        (folder / "cfg.json").write_text(json.dumps(config))
        return folder

    return write


def jump_and_skip(w, x):
    return jump(w, x) + x @ w["W_skip"].double().T


CASES = {
    "gemma-scope": ("gemma2", False, gemma_scope, jump),
    "gemma-scope 2": ("gemma3_text", True, gemma_scope_2, jump_and_skip),
    "sparsify": ("qwen3", True, sparsify, top4),
    "sparsify, side by side": ("gpt_neox", True, sparsify, top4),
    "saelens, RMSNorm": ("llama", False, saelens(), relu),
    "saelens, LayerNorm": ("gpt2", True, saelens(), relu),
    "saelens, LayerNorm folded": ("gpt2", False, saelens(fold_ln=True), relu),
    "saelens, what the MLP reads": ("llama", True, saelens("mlp.hook_in"), relu),
    "saelens, that of a folded norm": ("llama", False, saelens("mlp.hook_in", fold_ln=True), relu),
}


@pytest.mark.parametrize("case", CASES)
def test_a_transcoder_has_the_numbers_of_its_mlp_replaced(models, texts, tmp_path, case):
    family, after, write, code = CASES[case]
    w = weights(skip="skip" in code.__name__ or code in (relu, top4))
    if code is relu and write.__qualname__.startswith("saelens"):
        del w["W_skip"]
    path = write(tmp_path / "coder", w)
    model = models(family)
    [entry] = evaluate(
        path,
        model=model,
        text=texts,
        root=tmp_path / "store",
        tokens=160,
        context=12,
        bos=False,
        outlier=0,
        ablation_tokens=1,
    ).dictionaries
    [found] = (tmp_path / "store/artefacts/evaluation-text").glob("*/tokens.npy")
    fvu, clean, spliced = truth(model, family, after, lambda x: code(w, x), np.load(found))
    assert spliced - clean > 0.05 or abs(spliced - clean) > 1e-3  # it matters
    got = {name: m["estimate"] for name, m in entry["measures"].items()}
    assert got["fvu"] == pytest.approx(fvu, rel=1e-4)
    assert got["ce_clean"] == pytest.approx(clean, abs=1e-5)
    assert got["ce_spliced"] == pytest.approx(spliced, abs=1e-5)
    other, _, _ = truth(model, family, not after, lambda x: code(w, x), np.load(found))
    assert abs(other - fvu) > 0.01  # the two places are told apart


def test_what_a_module_returns_is_refused_where_a_norm_comes_behind_it(models, texts, tmp_path):
    path = sparsify(tmp_path / "coder", weights(skip=True))
    for family in ("gemma2", "gemma3_text"):
        with pytest.raises(DataError, match=rf"{family} norms that before it is added"):
            evaluate(path, model=models(family), text=texts, root=tmp_path / "store")


def test_a_place_that_a_family_does_not_have_is_refused_with_the_reason(tmp_path):
    olmo = load(str(tiny_models.make(tmp_path / "olmo", "olmo2")))
    with pytest.raises(ModelError, match="attention and MLP read the stream itself"):
        olmo.folder.check(Site("ln2_normalized", 0))
    acts = olmo.run(torch.tensor([[4, 5]]), capture=[Site("mlp_in", 0), Site("resid_mid", 0)]).acts
    assert torch.equal(acts[Site("mlp_in", 0)], acts[Site("resid_mid", 0)])
    gptj = load(str(tiny_models.make(tmp_path / "gptj", "gptj", rotary_dim=4)))
    with pytest.raises(ModelError, match="attention and MLP read one norm"):
        gptj.folder.check(Site("ln2_normalized", 0))


def test_names_of_places_are_as_their_libraries_mean_them(tmp_path):
    w = weights(skip=True)
    for name, (write, reads) in {
        "a": (gemma_scope, "blocks.1.ln2.hook_normalized"),
        "b": (gemma_scope_2, "blocks.1.mlp.hook_in"),
        "c": (sparsify, "blocks.1.mlp.hook_in"),
    }.items():
        dictionary = open_dictionary(write(tmp_path / name, w))
        assert dictionary.sites == (reads,)
        assert dictionary.sites_out == ("blocks.1.hook_mlp_out",)
