"""A look at one text: Δ is that of a naive float64 forward without the feature; tokens, losses and
choice of features are as said."""

import numpy as np
import pytest
from test_evaluating import SAELENS, own, plain

import tiny_models
from assay.core.errors import DataError, SpecError
from assay.evaluation import look, summary
from assay.subjects import folder as models

TEXT = "def f3_1(x):\n    return x + 12"


@pytest.fixture(scope="module")
def found(model, tmp_path_factory):
    return look(TEXT, plain(), model=model, features=4, root=tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def naive(model):
    ids = np.array([models.find(str(model)).tokenizer.encode(TEXT)])
    site = "blocks.1.hook_resid_post"
    logits, acts = tiny_models.naive(model, ids)
    codes = own(plain())[0](acts[site][0])
    codes[0] = 0.0
    return ids, site, tiny_models.naive_loss(logits, ids), codes


@pytest.mark.parametrize(("skip", "outlier"), [(0, 0.0), (3, 1.05)])
def test_delta_is_that_of_a_forward_pass_without_the_feature(skip, outlier, naive, model, tmp_path):
    found = look(
        TEXT, plain(), model=model, features=4, skip_first=skip, outlier=outlier, root=tmp_path
    )
    ids, site, clean, _ = naive
    acts = tiny_models.naive(model, ids)[1][site][0]
    length = np.linalg.norm(acts, axis=1)
    after = np.sort(length[skip:])
    keep = (np.arange(len(acts)) >= skip) & (
        length <= (outlier * after[(len(after) - 1) // 2] if outlier else np.inf)
    )
    assert list(found.left_out) == np.flatnonzero(~keep).tolist()
    assert (skip == 0) == keep.all()
    assert keep.sum() > 2
    codes = own(plain())[0](acts) * keep[:, None]
    rows = (plain().W_dec[0] / plain().scale[0]).double().numpy()
    tried = np.argsort(-codes.sum(0) * np.linalg.norm(rows, axis=1))[:32]
    deltas = {}
    for k in tried[codes[:, tried].any(0)]:
        without = tiny_models.naive(
            model, ids, {site: lambda x, k=k: x - codes[:, k, None] * rows[k]}
        )[0]
        deltas[int(k)] = (tiny_models.naive_loss(without, ids) - clean).sum()
    assert [f["feature"] for f in found.features] == sorted(deltas, key=lambda k: -abs(deltas[k]))[
        :4
    ]
    for f in found.features:
        mine = codes[:, f["feature"]]
        assert f["delta"] == pytest.approx(deltas[f["feature"]], abs=2e-5)
        np.testing.assert_allclose(f["activations"], mine, rtol=1e-4, atol=1e-6)
        assert f["maximum"] == pytest.approx(mine.max(), rel=1e-5)
        assert f["strongest"][0]["position"] == mine.argmax()
    assert found.tried == len(deltas)
    assert found.on == codes.any(0).sum()
    assert found.l0 == pytest.approx((codes[keep] > 0).sum(1).mean(), rel=1e-6)


def test_of_a_model_that_guesses_the_losses_say_nothing(found, model):
    vocabulary = models.find(str(model)).config["vocab_size"]
    assert found.loss > np.log(vocabulary) - 0.1, "its weights are random"
    better = "hardly" if round(found.loss, 2) < round(np.log(vocabulary), 2) else "no"
    told = f"is {better} better than a guess among all {vocabulary:,} tokens"
    assert told in found.notes[0]
    (below,) = summary.guessing(10.76, 49_152)
    assert "10.76 nats, is hardly better than a guess among all 49,152 tokens (10.80)" in below
    (above,) = summary.guessing(10.84, 49_152)
    assert "10.84 nats, is no better than a guess" in above and not summary.guessing(10.6, 49_152)


def test_what_is_left_out_is_said():
    from assay.report.evaluations import left_out

    data = {"tokens": ["a", " b", "\n", "c"], "skip_first": 1, "outlier": 6.0}
    assert left_out(data | {"left_out": []}) == "No token is left out."
    assert (
        left_out(data | {"left_out": [0]})
        == 'Left out, neither counted nor ablated: the first token ("a").'
    )
    both = left_out(data | {"left_out": [0, 1, 2], "skip_first": 2})
    assert both == (
        'Left out, neither counted nor ablated: the first 2 tokens ("a", "\xa0b") and what is '
        'longer than 6 medians ("↵").'
    )


def test_promoted_tokens_follow_the_direct_path(found, model):
    w = tiny_models.weights(model)
    d = plain()
    f = found.features[0]
    row = d.W_dec[0, f["feature"]].double().numpy() / 0.7
    logits = (row * w["model.norm.weight"]) @ w["lm_head.weight"].T
    np.testing.assert_allclose([v for _, v in f["promoted"]], np.sort(logits)[::-1][:5], rtol=1e-4)
    np.testing.assert_allclose([v for _, v in f["suppressed"]], np.sort(logits)[:5], rtol=1e-4)


def test_a_table_has_the_firings(found):
    frame = found.to_pandas()
    for f in found.features:
        mine = frame[frame.feature == f["feature"]]
        assert len(mine) == sum(a > 0 for a in f["activations"])
        assert (mine.delta == f["delta"]).all()


def test_a_bos_comes_first_where_the_file_says_so(model, tmp_path):
    found = look(TEXT, SAELENS / "topk", model=model, features=1, root=tmp_path)
    assert found.bos
    assert found.left_out == [0]
    assert len(found.tokens) > len(TEXT.split())
    assert (
        look(TEXT, SAELENS / "topk", model=model, features=1, bos=False, root=tmp_path).tokens
        == found.tokens[1:]
    )
    assert found.l0 <= 6 and not (tmp_path / "store.json").exists()


def test_what_cannot_be_looked_at(model, tmp_path):
    with pytest.raises(
        DataError, match="make it with: assay run gated-sae, or name one with --dictionary"
    ):
        look(TEXT, model=model, root=tmp_path)
    with pytest.raises(DataError, match="the text has length 1 in tokens; give at least 3"):
        look("x", plain(), model=model, root=tmp_path)
    with pytest.raises(DataError, match="give at least 92, so that"):
        look(TEXT, plain(), model=model, skip_first=90, root=tmp_path)
    with pytest.raises(
        DataError, match=r"tokens are left out, with skip_first 1 and outlier 0\.01"
    ):
        look(TEXT, plain(), model=model, outlier=0.01, root=tmp_path)
    with pytest.raises(SpecError, match="skip_first must be at least 0, got -1"):
        look(TEXT, plain(), model=model, skip_first=-1, root=tmp_path)
    with pytest.raises(DataError, match="features must be at least 1"):
        look(TEXT, plain(), model=model, features=0, root=tmp_path)
    with pytest.raises(DataError, match="reads at most 64 tokens"):
        look(TEXT * 9, plain(), model=model, root=tmp_path)


def test_features_with_a_sign_are_on_where_they_are_negative(model, tmp_path):
    from dataclasses import replace

    from assay.dictionaries.selection import AbsTopK

    found = look(
        TEXT, replace(plain(), nonlinearity=AbsTopK(3)), model=model, features=12, root=tmp_path
    )
    negative = [f for f in found.features if max(f["activations"]) <= 0]
    assert negative
    for f in found.features:
        sizes = np.abs(f["activations"])
        assert f["maximum"] == pytest.approx(sizes.max(), rel=1e-4) and sizes.max() > 0
        assert [s["position"] for s in f["strongest"]] == np.argsort(-sizes, kind="stable")[
            : min(5, (sizes > 0).sum())
        ].tolist()


@pytest.mark.thorough
@pytest.mark.model
def test_of_a_model_that_is_no_toy(tmp_path):
    """Taking out a feature that carries the whole stream destroys the prediction; one that is never
    on costs nothing."""
    import torch

    from assay.dictionaries.dictionary import Dictionary
    from assay.dictionaries.nonlinearity import ReLU

    eye = torch.eye(576)[None]
    both = Dictionary(
        torch.cat([eye, -eye], 2),
        torch.zeros(1, 1152),
        torch.cat([eye, -eye], 1),
        torch.zeros(1, 576),
        ReLU(),
    )
    text = "The capital of France is Paris, and the capital of Italy is Rome."
    found = look(text, both, site="blocks.9.hook_resid_pre", features=2, root=tmp_path)
    assert found.loss == pytest.approx(found.loss_spliced, abs=1e-3)
    assert 1 < found.loss < 3.5
    assert found.l0 == pytest.approx(576, abs=1)
    assert "".join(found.tokens) == text
    assert abs(found.features[0]["delta"]) >= abs(found.features[1]["delta"]) > 0
