"""Every key of a dictionary's settings, in four formats: its reconstruction is what the library's
formula gives with that key, or the file is refused, or the key is named in a note. Truth: the
formulas, written out."""

import copy
from collections import Counter

import pytest
import torch
from test_dictionary_settings import D, N, learned, saelens, second_scope, sparse, weights

from assay.core.errors import AssayError
from assay.dictionaries.formats import dictionary_learning, gemma_scope, sparsify
from assay.dictionaries.formats import saelens as of_saelens
from assay.dictionaries.formats.opening import load

X = torch.randn(6, D, generator=torch.Generator().manual_seed(3))
ODD = (7, "odd", None, [1], {"a": 1})


class Impossible(Exception):
    """A setting with which the library has no number, or another model."""


def need(truth):
    if not truth:
        raise Impossible


def top(pre, k, by):
    need(type(k) is int and 1 <= k <= N)
    kept = by(pre).topk(k, -1).indices
    return torch.zeros_like(pre).scatter(-1, kept, pre.gather(-1, kept))


def saelens_number(c):
    w, x = weights(), X
    architecture = c.get("architecture") or "standard"
    function = c.get("activation_fn", "relu")
    need(architecture in ("standard", "topk", "abstopk") and function in ("relu", "topk"))
    need(c["d_in"] in (D, None) and c["d_sae"] in (N, None))
    norm = c.get("normalize_activations") or "none"
    centred = c.get("apply_b_dec_to_input")
    back = lambda out: out  # noqa: E731
    if norm == "layer_norm":
        mean, std = x.mean(-1, keepdim=True), x.std(-1, keepdim=True)
        x, back = (x - mean) / (std + 1e-5), lambda out: out * std + mean
    elif norm == "constant_norm_rescale":
        factor = D**0.5 / x.norm(dim=-1, keepdim=True)
        x, back = x * factor, lambda out: out / factor
    else:
        need(norm == "none")
    pre = (x - w["b_dec"] if centred or centred is None else x) @ w["W_enc"] + w["b_enc"]
    kwargs = c.get("activation_fn_kwargs")
    k = c.get("k") or (kwargs or {}).get("k") if isinstance(kwargs, dict | None) else c.get("k")
    rows = w["W_dec"]
    if architecture == "standard" and function == "relu":
        return back(pre.clamp_min(0) @ rows + w["b_dec"])
    need(not isinstance(kwargs, dict) or kwargs.get("k", k) == k)
    if c.get("rescale_acts_by_decoder_norm"):
        norms = rows.norm(dim=-1)
        pre, rows = pre * norms, rows / norms[:, None]
    codes = top(pre, k, torch.abs) if architecture == "abstopk" else top(pre, k, torch.Tensor.relu)
    codes = codes if architecture == "abstopk" else codes.clamp_min(0)
    return back(codes @ rows + w["b_dec"])


def sparsify_number(c):
    w, latents = weights(), c.get("num_latents")
    need(c.get("d_in") == D and (latents or D * (c.get("expansion_factor") or 0)) == N)
    need(not c.get("skip_connection") and c.get("activation", "topk") in ("topk", "groupmax"))
    pre = (X if c.get("transcode") else X - w["b_dec"]) @ w["W_enc"] + w["b_enc"]
    k = c.get("k")
    if c.get("activation") == "groupmax":
        need(type(k) is int and k > 0 and N % k == 0)
        groups = pre.relu().reshape(len(X), k, N // k)
        best = groups == groups.max(-1, keepdim=True).values
        codes = (groups * best).reshape(len(X), N)
    elif c.get("signed"):
        codes = top(pre, k, torch.abs)
    else:
        codes = top(pre.relu(), k, torch.Tensor.relu)
    return codes @ w["W_dec"] + w["b_dec"]


def plain_number(c):
    w, trainer = weights(), c.get("trainer", {})
    for key, size in {"activation_dim": D, "dict_size": N}.items():
        need(trainer.get(key) in (size, None))
    need(trainer.get("dict_class") in ("AutoEncoder", None))
    return ((X - w["b_dec"]) @ w["W_enc"] + w["b_enc"]).relu() @ w["W_dec"] + w["b_dec"]


def jumping_number(c):
    need(c.get("architecture") == "jump_relu" and not c.get("affine_connection"))
    w = weights()
    pre = X @ w["W_enc"] + w["b_enc"]
    return (pre * (pre > 1)) @ w["W_dec"] + w["b_dec"]


def of_trainer(folder, **config):
    return learned(folder, trainer=config)


FORMATS = {
    "saelens": (
        saelens,
        saelens_number,
        of_saelens.KNOWN,
        {
            "architecture": ["topk", "abstopk", "gated", "jumprelu", "temporal", "nobodys", None],
            "activation_fn": ["topk", "tanh-relu"],
            "activation_fn_kwargs": [{"k": 3}, {}],
            "k": [3, 0, -1, N + 1, 2.5, True],
            "apply_b_dec_to_input": [False, None],
            "normalize_activations": [
                "layer_norm",
                "constant_norm_rescale",
                "expected_average_only_in",
                "nobodys",
                None,
            ],
            "rescale_acts_by_decoder_norm": [True, False],
            "d_in": [D + 1, None],
            "d_sae": [N + 1, None],
        },
    ),
    "sparsify": (
        sparse,
        sparsify_number,
        sparsify.KNOWN,
        {
            "activation": ["groupmax", "topk", "nobodys"],
            "k": [3, 0, -1, N + 1, 2.5, None],
            "num_latents": [0, N - 1, None],
            "expansion_factor": [2],
            "d_in": [D + 1, None],
            "skip_connection": [True, False],
            "transcode": [True, False],
            "signed": [True, False],
        },
    ),
    "dictionary_learning": (
        of_trainer,
        lambda c: plain_number({"trainer": c}),
        dictionary_learning.KNOWN,
        {
            "dict_class": ["AutoEncoderTopK", "GatedAutoEncoder", "nobodys", None],
            "activation_dim": [D + 1, None],
            "dict_size": [N + 1, None],
        },
    ),
    "gemma-scope": (
        second_scope,
        jumping_number,
        gemma_scope.KNOWN,
        {"architecture": ["relu", None], "affine_connection": [True, False]},
    ),
}
USUAL = {
    "saelens": {
        "architecture": "standard",
        "d_in": D,
        "d_sae": N,
        "normalize_activations": "none",
        "apply_b_dec_to_input": True,
    },
    "sparsify": {"activation": "topk", "d_in": D, "num_latents": N, "k": 4, "expansion_factor": 1},
    "gemma-scope": {"architecture": "jump_relu"},
}
TOGETHER = {
    "saelens": [
        {"architecture": "topk", "k": 4},
        {"architecture": "abstopk", "k": 4},
        {"activation_fn": "topk", "activation_fn_kwargs": {"k": 5}},
    ],
    "sparsify": [{"activation": "groupmax"}],
}
"""Settings that others need beside them."""


@pytest.mark.parametrize("name", FORMATS)
def test_a_setting_is_obeyed_refused_or_named(tmp_path, name):
    write, number, known, used = FORMATS[name]
    usual = USUAL.get(name, {})
    plain = number(usual)
    places = {"saelens": "hook_name hook_name_out model_from_pretrained_kwargs", "sparsify": ""}
    others = {*known.split(), "nobodys"} - {*used, *places.get(name, "").split()}
    others -= {"hook_head_index_out", "trainer", "layer", "submodule_name"}
    cases = [
        (key, value, beside)
        for key, some in used.items()
        for value in some
        for beside in ({}, *TOGETHER.get(name, ()))
    ]
    cases += [(key, ODD[(i + j) % 5], {}) for i, key in enumerate(sorted(others)) for j in range(2)]
    count = Counter()
    for i, (key, value, beside) in enumerate(cases):
        config = copy.deepcopy({**beside, key: value})
        try:
            expected = number(usual | config)
        except Impossible:
            expected = None
        try:
            made = load(write(tmp_path / f"{i}", **config))
        except AssayError:
            assert key in used or "hook" in key or key in ("topk_threshold_lr",), (key, value)
            count["refused"] += 1
            continue
        assert expected is not None, (key, value, beside)
        got = made.reconstruct(X)
        torch.testing.assert_close(got, expected, msg=f"{key} {value} {beside}")
        named = [said.split(".")[-1] for said in made.origin.get("unread", ())]
        assert named == ["nobodys"] * (key == "nobodys" and value is not None), (key, value)
        count["same" if torch.allclose(expected, plain) else "obeyed"] += 1
    assert count["refused"] >= 2 and count["same"] >= 2, count
