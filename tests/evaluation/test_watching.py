"""What is told before the result: a site or model that is not the file's."""

import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_evaluating import SAELENS, own, plain, whole

import tiny_models
from assay.evaluation import evaluate, look
from assay.evaluation.indexing import few_documents
from assay.evaluation.summary import too_few
from assay.evaluation.watching import Warned
from assay.subjects import folder as models

SITE = "blocks.1.hook_resid_post"
FIT = ("it is not sparse", "it leaves", "the clean loss", "its file does not say ")


def of_the_file(found):
    """The warnings of a site or a model that is not the one in the dictionary's file."""
    return [text for text in found.dictionaries[0]["warnings"] if not text.startswith(FIT)]


def test_what_is_stored_is_not_told_again(model, texts, tmp_path):
    ask = {"model": model, "text": texts, "root": tmp_path, "tokens": 200}
    evaluate(plain(), **ask)
    heard = []
    evaluate(plain(), watch=heard.append, **ask)
    assert not heard


@pytest.mark.parametrize(
    ("given", "warned"),
    [
        ("blocks.0.hook_resid_post", True),
        ("layers.0", True),
        (SITE, False),
        ("layers.1", False),
        # the stream after block 1 is the stream before block 2
        ("blocks.2.hook_resid_pre", False),
        ("", False),
    ],
)
def test_a_site_that_is_not_the_files_is_said_before_anything_is_computed(
    given, warned, model, texts, tmp_path, monkeypatch
):
    class Computed(Exception):
        pass

    def load(*_):
        raise Computed

    heard = []
    ask = {
        "model": model,
        "text": texts,
        "root": tmp_path,
        "tokens": 100,
        "context": 12,
        "site": given,
        "watch": heard.append,
    }
    with monkeypatch.context() as only:
        only.setattr("assay.evaluation.texts.load", load)
        with pytest.raises(Computed):
            evaluate(plain(), **ask)
    says = f"{given} was given (--site), but its file says {SITE}; it is measured at {given}"
    assert heard == ([Warned("dictionary 1", says)] if warned else [])
    for _ in range(2):  # measured, and from the store
        found = evaluate(plain(), **ask)
        assert of_the_file(found) == ([says] if warned else [])
        assert (f"dictionary 1: {says}" in found.notes) == warned


def test_without_a_listener_python_warns(model, texts, tmp_path):
    ask = {"model": model, "text": texts, "root": tmp_path, "tokens": 100, "context": 12}
    with pytest.warns(
        UserWarning,
        match=r"dictionary 1: layers\.0 was given \(--site\), but its file says blocks\.1",
    ):
        evaluate(plain(), site="layers.0", **ask)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # the file says none
        evaluate(plain(()), site="layers.0", **ask)


def test_too_few_documents_for_an_interval_are_said_before_the_model_is_loaded(
    model, texts, tmp_path, monkeypatch
):
    """With what would be enough, which then is."""

    class Computed(Exception):
        pass

    def heard(folder=texts, **asked):
        events = []

        def load(*_):
            raise Computed

        with monkeypatch.context() as only:
            only.setattr("assay.evaluation.texts.load", load)
            with pytest.raises(Computed):
                evaluate(
                    plain(), model=model, text=folder, root=tmp_path, context=12, **asked,
                    watch=events.append,
                )  # fmt: skip
        return [event.text for event in events]

    (few,) = heard(tokens=40)
    assert few.startswith("no interval will be possible: it needs 6 documents, and 3 are read; ")
    enough = int(re.search(r"--tokens (\d+) is usually enough", few)[1])
    assert heard(tokens=enough) == []
    (ablated,) = heard(tokens=enough, ablation_tokens=40)
    assert ablated.startswith("of what is measured under ablation, no interval will be possible")
    enough = int(re.search(r"--ablation-tokens (\d+) is usually", ablated)[1])
    assert heard(tokens=enough, ablation_tokens=enough) == []
    small = tiny_models.write_texts(tmp_path / "small", 4, lambda i: 20)
    for tokens in (300, 100_000):
        (few,) = heard(small, tokens=tokens)
        assert "4 are read; the text has no more of at least 12 tokens, so add files" in few


def test_a_part_with_too_few_documents_names_the_whole_text():
    said = [too_few(3, 10**6, 64, part, all_read=True) for part in ("test", "all")]
    assert "the test part of the text has no more of at least 64 tokens" in said[0]
    assert ["--part all" in x for x in said] == [True, False]


def test_an_index_says_before_its_work_that_no_interval_will_be_possible(model, texts, tmp_path):
    plain().save(tmp_path / "d.safetensors")
    small = tiny_models.write_texts(tmp_path / "small", 4, lambda i: 20)

    def said(folder, tokens):
        of = str(tmp_path / "d.safetensors"), str(model), str(folder), tmp_path / "s"
        return few_documents(*of, tokens=tokens, context=12)

    assert "it needs 6 documents, and 2 are read; --tokens 144 is" in said(texts, 48)
    assert said(texts, 144) == ""
    for tokens in (100, 100_000):
        assert "4 are read; the text has no more of at least 12 tokens" in said(small, tokens)


def named(name, **trained):
    return plain(
        origin={
            "format": "saelens",
            "config": {"model_name": name},
            **({"trained_on": trained} if trained else {}),
        }
    )


def test_a_quantised_model_is_told_apart_from_the_one_that_a_file_names(texts, tmp_path):
    folder = tiny_models.make(tmp_path / "model", "llama", bos_token_id=3)
    (folder / "assay.json").write_text('{"name": "SmolLM2-135M", "quantisation": "Q8_0"}')
    ask = {
        "model": folder,
        "text": texts,
        "root": tmp_path / "s",
        "tokens": 100,
        "watch": lambda event: None,
    }
    says = (
        "its file names HuggingFaceTB/SmolLM2-135M, but it is measured on SmolLM2-135M, 8-bit "
        "Q8_0: a quantised version of it, by its name"
    )
    assert of_the_file(evaluate(named("HuggingFaceTB/SmolLM2-135M"), **ask)) == [says]
    read = look(
        "def f(x):",
        named("HuggingFaceTB/SmolLM2-135M"),
        bos=False,
        **{k: ask[k] for k in ("model", "root", "watch")},
    )
    assert read.notes[1:] == [says]  # the first is that random weights predict nothing
    (other,) = of_the_file(evaluate(named("gpt2"), **ask))
    assert "another model or another version of it, by its name" in other
    ours = models.find(str(folder)).fingerprint
    # a hash tells more than a name
    assert of_the_file(evaluate(named("gpt2", model=ours), **ask)) == []
    (digest,) = of_the_file(evaluate(named("SmolLM2-135M-Q8_0", model="0" * 64), **ask))
    assert "a model with another hash" in digest


def test_a_folder_without_a_name_leaves_it_open(model, texts, tmp_path):
    ask = {"model": model, "text": texts, "root": tmp_path, "tokens": 1000}
    says = (
        "its file names the model tiny; it cannot be checked whether model (llama, local folder) "
        "is this model"
    )
    assert of_the_file(evaluate(SAELENS / "topk", **ask)) == [says]  # it does not fit
    fits = evaluate(whole(config={"model_name": "tiny"}), **ask)
    assert not any("cannot be checked" in note for note in fits.notes)


def test_each_token_has_its_strongest_features_and_sinks_stand_apart(model, tmp_path):
    text = "def f3_1(x):\n    return x + 12"
    found = look(
        text,
        plain(),
        model=model,
        features=2,
        per_token=3,
        skip_first=1,
        outlier=1.05,
        root=tmp_path,
    )
    ids = np.array([models.find(str(model)).tokenizer.encode(text)])
    logits, acts = tiny_models.naive(model, ids)
    x = acts[SITE][0]
    codes, loss = own(plain())[0](x), tiny_models.naive_loss(logits, ids)[0]
    length = np.linalg.norm(x, axis=1)
    after = np.sort(length[1:])
    length /= after[(len(after) - 1) // 2]
    keep = (np.arange(len(x)) > 0) & (length <= 1.05)
    assert 2 < keep.sum() < len(x) - 2
    assert [t["position"] for t in found.by_token] == np.flatnonzero(keep).tolist()
    assert [t["position"] for t in found.sinks] == np.flatnonzero(~keep).tolist() == found.left_out
    for t in (*found.by_token, *found.sinks):
        i = t["position"]
        wanted = [int(k) for k in np.argsort(-codes[i])[:3] if codes[i, k] > 0]
        assert [f["feature"] for f in t["features"]] == wanted
        assert t["on"] == (codes[i] > 0).sum()
        assert [f["activation"] for f in t["features"]] == pytest.approx(
            codes[i, wanted].tolist(), rel=1e-4
        )
        assert t["token"] == found.tokens[i]
        assert t["length"] == pytest.approx(length[i], rel=1e-4)
        assert t["loss"] is None if i == 0 else t["loss"] == pytest.approx(loss[i - 1], rel=1e-4)
    everything = look(
        text, plain(), model=model, features=2, skip_first=0, outlier=0, root=tmp_path
    )
    assert not everything.sinks and len(everything.by_token) == len(x)


def test_sinks_of_a_dictionary_are_in_no_top_list(model, tmp_path):
    """A feature that is on at the first token alone is listed there, and nowhere else."""
    text = "def f3_1(x):\n    return x + 12"
    ids = np.array([models.find(str(model)).tokenizer.encode(text)])
    x = torch.tensor(tiny_models.naive(model, ids)[1][SITE][0], dtype=torch.float32)
    normal = torch.linalg.lstsq(
        torch.cat([x, torch.ones(len(x), 1)], 1), torch.eye(len(x))[0]
    ).solution
    d = replace(
        plain(), mean=None, scale=None, W_enc=plain().W_enc.clone(), b_enc=plain().b_enc.clone()
    )
    # 50 at the first token, about -50 at others
    d.W_enc[0, :, 0], d.b_enc[0, 0] = (100 * normal[:24], 100 * float(normal[24]) - 50)
    found = look(text, d, model=model, features=48, per_token=48, root=tmp_path)
    assert len(x) <= 25  # so that a plane can part the first token from all others
    assert all(f["feature"] != 0 for t in found.by_token for f in t["features"])
    assert all(f["feature"] != 0 for f in found.features)
    assert found.sinks[0]["position"] == 0
    assert found.sinks[0]["features"][0]["feature"] == 0
