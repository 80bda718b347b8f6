"""Every key of a foreign dictionary's settings is obeyed, refused by name, harmless, or named in
one note. Truth: the formulas of the libraries, and models changed as TransformerLens changes
them."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import tokenizers
import torch
from safetensors.torch import load_file, save_file

import tiny_models
from assay.ask.measure import measuring, prompts
from assay.ask.measure.tasks import Task
from assay.ask.tables import Intervention, Model, Prompts, Read
from assay.core.errors import DataError
from assay.dictionaries.formats.opening import load as open_dictionary
from assay.evaluation import evaluate, look
from assay.evaluation.indexing import index
from folders import FAMILIES, model_of

D, N = 24, 32


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root, known = tmp_path_factory.mktemp("settings"), {}

    def of(family):
        if family not in known:
            known[family] = folder = tiny_models.make(root / family, family, **FAMILIES[family])
            # embeddings with a mean of their own, which no norm sees
            if family == "gpt2":
                path = folder / "model.safetensors"
                w = load_file(path)
                draw = torch.Generator().manual_seed(0)
                name = next(n for n in w if n.endswith("wte.weight"))
                w[name] += 2 * torch.randn(len(w[name]), 1, generator=draw)
                save_file(w, path, {"format": "pt"})
        return known[family]

    return of


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return tiny_models.write_texts(tmp_path_factory.mktemp("texts"), 8, lambda i: 3 + i % 3)


def weights(exact=False):
    """A random pair of encoder and decoder; or what takes the mean over dimensions out, exactly."""
    draw = torch.Generator().manual_seed(1)
    if exact:
        C = torch.eye(D) - 1 / D
        zero = {"b_enc": torch.zeros(2 * D), "b_dec": torch.zeros(D)}
        return {"W_enc": torch.cat([C, -C], 1), "W_dec": torch.cat([C, -C]), **zero}
    of = {"W_enc": (D, N), "b_enc": (N,), "W_dec": (N, D), "b_dec": (D,)}
    return {name: 0.4 * torch.randn(shape, generator=draw) for name, shape in of.items()}


def saelens(folder, site="blocks.1.hook_resid_post", w=None, **config):
    """A folder of SAELens' with these settings."""
    folder.mkdir(parents=True)
    w = weights() if w is None else w
    save_file({k: v.contiguous() for k, v in w.items()}, folder / "sae_weights.safetensors")
    d_sae = w["W_enc"].shape[1]
    usual = {
        "architecture": "standard",
        "d_in": D,
        "d_sae": d_sae,
        "hook_name": site,
        "prepend_bos": False,
        "context_size": 12,
        "normalize_activations": "none",
        "apply_b_dec_to_input": True,
    }
    (folder / "cfg.json").write_text(json.dumps(usual | config))
    return folder


def evaluated(path, model, texts, store, **more):
    [entry] = evaluate(
        path, model=model, text=texts, root=store, tokens=160, outlier=0, ablation_tokens=1, **more
    ).dictionaries
    return entry, {name: m["estimate"] for name, m in entry["measures"].items()}


def centred(model):
    """A GPT-2 whose writing weights are centred, as TransformerLens does it: embeddings, positions
    and the last matrices of attention and MLP lose their mean over the stream's dimensions."""
    model = copy.deepcopy(model)
    model.lm_head = torch.nn.Linear(D, len(model.lm_head.weight), bias=False)
    model.lm_head.weight.data = model.transformer.wte.weight.data.clone()
    base = model.transformer
    base.wte.weight = torch.nn.Parameter(base.wte.weight.data.clone())
    for weight in (base.wte.weight, base.wpe.weight):
        weight.data -= weight.data.mean(-1, keepdim=True)
    for block in base.h:
        for last in (block.attn.c_proj, block.mlp.c_proj):
            last.weight.data -= last.weight.data.mean(-1, keepdim=True)
            last.bias.data -= last.bias.data.mean()
    return model


@torch.no_grad()
def truth(model, w, tokens, module):
    """FVU and losses with the reconstruction of a module's output in its place, by a naive pass;
    position 0 stays."""
    ids, seen = torch.from_numpy(tokens.astype(np.int64)), {}
    first = lambda out: out[0] if isinstance(out, tuple) else out  # noqa: E731
    handle = module.register_forward_hook(lambda m, a, out: seen.update(x=first(out)))
    clean = model(input_ids=ids, use_cache=False).logits
    handle.remove()
    x = seen["x"].double()
    codes = ((x - w["b_dec"].double()) @ w["W_enc"].double() + w["b_enc"].double()).clamp_min(0)
    made = codes @ w["W_dec"].double() + w["b_dec"].double()

    def put(m, a, out):
        new = torch.cat([first(out)[:, :1], made[:, 1:].float()], 1)
        return (new, *out[1:]) if isinstance(out, tuple) else new

    handle = module.register_forward_hook(put)
    spliced = model(input_ids=ids, use_cache=False).logits
    handle.remove()
    ce = [
        float(-z[:, 1:-1].double().log_softmax(-1).gather(2, ids[:, 2:, None]).mean())
        for z in (clean, spliced)
    ]
    kept = x[:, 1:].reshape(-1, D)
    error = (kept - made[:, 1:].reshape(-1, D)).square().sum()
    return float(error / (kept - kept.mean(0)).square().sum()), *ce


def tokens_of(store):
    [found] = (store / "artefacts/evaluation-text").glob("*/tokens.npy")
    return np.load(found)


CENTRING = {"center_writing_weights": True}


@pytest.mark.parametrize("where", ["top", "metadata"])
@pytest.mark.parametrize("site, module", [("hook_resid_post", ""), ("hook_mlp_out", "mlp")])
def test_centred_writing_weights_are_obeyed(models, texts, tmp_path, where, site, module):
    model, loading = models("gpt2"), {"model_from_pretrained_kwargs": CENTRING}
    config = loading if where == "top" else {"metadata": loading}
    path = saelens(tmp_path / "sae", f"blocks.1.{site}", **config)
    entry, got = evaluated(path, model, texts, tmp_path / "store")
    changed, tokens = centred(model_of(model)), tokens_of(tmp_path / "store")
    block = changed.transformer.h[1]
    fvu, clean, spliced = truth(changed, weights(), tokens, block.get_submodule(module))
    assert got["fvu"] == pytest.approx(fvu, rel=1e-4)
    assert got["ce_clean"] == pytest.approx(clean, abs=1e-4)
    assert got["ce_spliced"] == pytest.approx(spliced, abs=1e-4)
    assert any("center_writing_weights" in note for note in entry["notes"])
    plain = saelens(tmp_path / "plain", f"blocks.1.{site}")
    _, other = evaluated(plain, model, texts, tmp_path / "other")
    as_it_is = model_of(model)
    raw = as_it_is.transformer.h[1].get_submodule(module)
    wrong, *_ = truth(as_it_is, weights(), tokens_of(tmp_path / "other"), raw)
    assert other["fvu"] == pytest.approx(wrong, rel=1e-4)
    assert abs(wrong - fvu) > 0.01 or module  # it matters


def test_an_exact_dictionary_of_a_centred_model_is_exact(models, texts, tmp_path):
    """The review's input: the projection that takes the mean out, read with and without."""
    model = models("gpt2")
    exact = weights(exact=True)
    path = saelens(tmp_path / "a", w=exact, model_from_pretrained_kwargs=CENTRING)
    _, got = evaluated(path, model, texts, tmp_path / "store")
    assert got["fvu"] == pytest.approx(0, abs=1e-9)
    _, got = evaluated(saelens(tmp_path / "b", w=exact), model, texts, tmp_path / "store")
    assert got["fvu"] > 0.2


def test_an_rms_norm_has_nothing_to_centre_as_in_transformerlens(models, texts, tmp_path):
    paths = [
        saelens(tmp_path / "a", model_from_pretrained_kwargs=CENTRING),
        saelens(tmp_path / "b"),
    ]
    got = [evaluated(p, models("llama"), texts, tmp_path / "store")[1] for p in paths]
    assert got[0] == got[1]


def test_whoever_reads_its_codes_reads_them_centred(models, texts, tmp_path):
    """look, an index and a study: each code is that of the centred model's activation."""
    model, text = models("gpt2"), "def f1_2(x):\n    return x"
    path = saelens(tmp_path / "sae", model_from_pretrained_kwargs=CENTRING)
    changed, w = centred(model_of(model)), weights()
    seen = {}
    changed.transformer.h[1].register_forward_hook(
        lambda m, a, out: seen.update(x=out[0] if isinstance(out, tuple) else out)
    )
    ids = tokenizers.Tokenizer.from_file(str(model / "tokenizer.json")).encode(text).ids
    with torch.no_grad():
        changed(torch.tensor([ids]))
        x = seen["x"][0]
        codes = ((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]).clamp_min(0)
    looked = look(text, path, model=model, features=3, root=tmp_path / "store", outlier=0)
    for listed in looked.features:
        np.testing.assert_allclose(
            listed["activations"][1:], codes[1:, listed["feature"]], rtol=1e-3, atol=1e-4
        )
    latent = int(codes[-1].argmax())
    rows = prompts.load(Prompts(rows=({"text": text}, {"text": "x = 10"})), Path())
    read = (Read(name="on", feature=(str(path), latent)), Read(name="after", entropy=True))
    clamp = Intervention(name="cut", clamp=(str(path), latent), value=0.0, position=-1)
    numbers = {}
    for table in (None, clamp):
        task = Task(Model(name=str(model)), rows, read, table)
        numbers[table is None], _ = measuring.measure(
            task, np.array([0]), tmp_path, "cpu", False, lambda d, t: None, root=tmp_path / "store"
        )
    assert numbers[True]["on"][1].reshape(-1)[0] == pytest.approx(
        float(codes[-1, latent]), rel=1e-3
    )

    def cut(m, a, out):
        whole = out[0] if isinstance(out, tuple) else out
        whole[0, -1] -= codes[-1, latent] * w["W_dec"][latent]
        return out

    changed.transformer.h[1].register_forward_hook(cut)
    with torch.no_grad():
        row = changed(torch.tensor([ids])).logits[0, -1].double().log_softmax(-1)
    expected = float(-(row.exp() * row).sum())
    assert numbers[False]["after"][1].reshape(-1)[0] == pytest.approx(expected, abs=1e-4)
    small = {"tokens": 60, "ablate": 0, "gradients": False, "outlier": 0}
    found = index(path, model=model, text=texts, root=tmp_path / "store", **small)
    plain = saelens(tmp_path / "plain")
    other = index(plain, model=model, text=texts, root=tmp_path / "store", **small)
    counts = [
        [r["firings"] for r in i.query("SELECT firings FROM features")] for i in (found, other)
    ]
    assert counts[0] != counts[1]


REFUSED = [
    ("gpt2", "attn.hook_z", {"refactor_factored_attn_matrices": True}),
    ("gpt2", "attn.hook_q", {"refactor_factored_attn_matrices": True}),
    ("gpt2", "attn.hook_z", {"fold_value_biases": True}),
    ("gpt2", "attn.hook_v", {"fold_value_biases": True}),
]
ALLOWED = [
    ("llama", "attn.hook_z", {"fold_value_biases": True}),  # its values have no bias
    ("gpt2", "hook_resid_post", {"fold_value_biases": True, "fold_ln": True}),
    ("gpt2", "hook_resid_post", {"refactor_factored_attn_matrices": True}),
    ("gpt2", "attn.hook_z", {"center_writing_weights": True, "center_unembed": True}),
    ("gpt2", "hook_resid_post", {"center_writing_weights": False, "fold_ln": False}),
    ("gpt2", "hook_resid_post", {"dtype": "float16", "n_devices": 1, "device": "cuda"}),
]


@pytest.mark.parametrize("family, site, loading", REFUSED)
def test_what_cannot_be_obeyed_is_refused_by_name(models, texts, tmp_path, family, site, loading):
    path = saelens(tmp_path / "sae", f"blocks.1.{site}", model_from_pretrained_kwargs=loading)
    with pytest.raises(DataError, match=f"asks for {next(iter(loading))}, which changes"):
        evaluated(path, models(family), texts, tmp_path / "store")


@pytest.mark.parametrize("family, site, loading", ALLOWED)
def test_what_changes_nothing_there_is_no_matter(models, texts, tmp_path, family, site, loading):
    paths = [
        saelens(tmp_path / "a", f"blocks.1.{site}", model_from_pretrained_kwargs=loading),
        saelens(tmp_path / "b", f"blocks.1.{site}"),
    ]
    first, second = (evaluated(p, models(family), texts, tmp_path / "store") for p in paths)
    assert first[1] == second[1]
    assert not any("neither uses nor knows" in note for note in first[0]["notes"])


def test_a_head_of_many_is_refused(models, texts, tmp_path):
    path = saelens(tmp_path / "sae", "blocks.1.attn.hook_z", hook_head_index=2)
    with pytest.raises(DataError, match="hook_head_index 2: it is of one head alone"):
        evaluated(path, models("gpt2"), texts, tmp_path / "store")


def test_k_of_a_top_k_may_be_among_the_arguments_of_its_function(tmp_path):
    for i, more in enumerate(({"activation_fn_kwargs": {"k": 3}}, {"k": 3})):
        path = saelens(tmp_path / f"{i}", architecture="topk", **more)
        assert open_dictionary(path).nonlinearity.k == 3
    path = saelens(tmp_path / "two", architecture="topk", k=3, activation_fn_kwargs={"k": 4})
    with pytest.raises(DataError, match="k is 3, and 4 in activation_fn_kwargs"):
        open_dictionary(path)


def learned(folder, trainer=(), buffer=None, **config):
    """A folder of dictionary_learning's."""
    folder.mkdir(parents=True)
    w = weights()
    state = {
        "bias": w["b_dec"],
        "encoder.weight": w["W_enc"].T.contiguous(),
        "encoder.bias": w["b_enc"],
        "decoder.weight": w["W_dec"].T.contiguous(),
    }
    torch.save(state, folder / "ae.pt")
    usual = {"dict_class": "AutoEncoder", "activation_dim": D, "dict_size": N, "layer": 1}
    usual |= {"submodule_name": "resid_post_layer_1", "lm_name": "tiny", **dict(trainer)}
    config |= {"trainer": usual} | ({} if buffer is None else {"buffer": buffer})
    (folder / "config.json").write_text(json.dumps(config))
    return folder / "ae.pt"


def sparse(folder, **config):
    """A folder of sparsify's."""
    place, w = folder / "layers.1", weights()
    place.mkdir(parents=True)
    tensors = {"encoder.weight": w["W_enc"].T.contiguous(), "encoder.bias": w["b_enc"]}
    save_file(tensors | {n: w[n] for n in ("W_dec", "b_dec")}, place / "sae.safetensors")
    usual = {"activation": "topk", "d_in": D, "num_latents": N, "k": 4, "expansion_factor": 1}
    (place / "cfg.json").write_text(json.dumps(usual | config))
    return place


def second_scope(folder, **config):
    """A folder of Gemma Scope 2's."""
    folder.mkdir(parents=True)
    w = weights()
    tensors = {"w_enc": w["W_enc"], "w_dec": w["W_dec"], "threshold": torch.ones(N)}
    save_file(tensors | {n: w[n] for n in ("b_enc", "b_dec")}, folder / "params.safetensors")
    usual = {"architecture": "jump_relu", "hf_hook_point_in": "model.layers.1.output"}
    (folder / "config.json").write_text(json.dumps(usual | config))
    return folder


NOBODYS = {"nobody_knows": 7}
NAMED = {
    "saelens": (saelens, NOBODYS, ["nobody_knows"]),
    "saelens, metadata": (saelens, {"metadata": NOBODYS}, ["nobody_knows"]),
    "saelens, loading": (
        saelens,
        {"model_from_pretrained_kwargs": {**NOBODYS, "revision": "step3000"}},
        ["model_from_pretrained_kwargs.nobody_knows", "model_from_pretrained_kwargs.revision"],
    ),
    "saelens, some positions": (saelens, {"seqpos_slice": [1, 9]}, ["seqpos_slice"]),
    "saelens, all positions": (saelens, {"seqpos_slice": [None]}, []),
    "saelens, no special tokens": (
        saelens,
        {"exclude_special_tokens": True},
        ["exclude_special_tokens"],
    ),
    "dictionary_learning": (learned, NOBODYS, ["nobody_knows"]),
    "dictionary_learning, trainer": (learned, {"trainer": NOBODYS}, ["trainer.nobody_knows"]),
    "dictionary_learning, buffer": (
        learned,
        {"buffer": {"ctx_len": 9, "io": "in", "remove_bos": True, "n_ctxs": 3}},
        ["buffer.ctx_len", "buffer.io", "buffer.remove_bos"],
    ),
    "dictionary_learning, usual buffer": (learned, {"buffer": {"io": "out", "d_submodule": D}}, []),
    "sparsify": (sparse, NOBODYS, ["nobody_knows"]),
    "sparsify, of training": (sparse, {"normalize_decoder": True, "multi_topk": True}, []),
    "gemma-scope 2": (second_scope, NOBODYS, ["nobody_knows"]),
}


@pytest.mark.parametrize("case", NAMED)
def test_a_key_that_nobody_knows_is_named_in_one_note(case, models, texts, tmp_path):
    write, config, names = NAMED[case]
    path = write(tmp_path / "coder", **config)
    assert open_dictionary(path).origin.get("unread", []) == names
    site = "" if "buffer" not in case else "blocks.1.hook_resid_pre"
    entry, _ = evaluated(
        path,
        models("llama"),
        texts,
        tmp_path / "store",
        context=12,
        **({"site": site} if site else {}),
    )
    told = [note for note in entry["notes"] if "neither uses nor knows" in note]
    assert told == (
        [f"its settings have fields that Assay neither uses nor knows: {', '.join(names)}"]
        if names
        else []
    )


def test_what_goes_into_a_module_is_no_place_of_what_comes_out(tmp_path):
    assert open_dictionary(learned(tmp_path / "a")).sites == ("blocks.1.hook_resid_post",)
    assert open_dictionary(learned(tmp_path / "b", buffer={"io": "in"})).sites == ()
