"""Dictionaries that are compared are measured on one set of windows, whatever their files say: the
same dictionary twice has the same numbers twice, and alone is measured as its file says."""

import numpy as np
import pytest
from test_dictionary_settings import saelens

import tiny_models
from assay.evaluation import evaluate
from assay.report.evaluations import setting

MEASURES = ("fvu", "l0", "ce_clean", "ce_spliced", "mse")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_models.make(tmp_path_factory.mktemp("one") / "m", "llama", bos_token_id=5)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return tiny_models.write_texts(tmp_path_factory.mktemp("texts"), 12, lambda i: 4 + i % 3)


def compared(paths, model, texts, store, **more):
    result = evaluate(
        *paths, model=model, text=texts, root=store, tokens=400, ablation_tokens=50, **more
    )
    return {e["name"]: e for e in result.dictionaries}


def numbers(entry):
    return {n: [entry["measures"][n][k] for k in ("estimate", "low", "high")] for n in MEASURES}


def windows_of(store):
    return {
        np.load(path).shape: np.load(path)
        for path in (store / "artefacts/evaluation-text").glob("*/tokens.npy")
    }


def test_the_same_dictionary_twice_has_the_same_numbers_twice(model, texts, tmp_path):
    long, short = (
        saelens(tmp_path / name, context_size=n) for name, n in (("long", 32), ("short", 12))
    )
    both = compared([long, short], model, texts, tmp_path / "store")
    assert numbers(both["long"]) == numbers(both["short"])
    assert both["long"]["context"] == both["short"]["context"] == 12
    told = "measured in windows of 12 tokens, not 32, so that all read the same text"
    assert told in both["long"]["notes"] and told not in both["short"]["notes"]
    [alone] = compared([long], model, texts, tmp_path / "store").values()
    assert alone["context"] == 32
    assert not any("the same text" in n for n in alone["notes"])
    # again, now that each is stored by itself, and in another order
    again = compared([short, long], model, texts, tmp_path / "store")
    assert {n: numbers(e) for n, e in again.items()} == {n: numbers(e) for n, e in both.items()}
    assert all(e["cached"] for e in again.values())
    said = compared([long, short], model, texts, tmp_path / "store", context=16)
    assert [e["context"] for e in said.values()] == [16, 16]


def test_with_and_without_a_bos_the_text_behind_it_is_the_same(model, texts, tmp_path):
    first = saelens(tmp_path / "with", prepend_bos=True, context_size=16)
    second = saelens(tmp_path / "without", prepend_bos=False, context_size=24)
    store = tmp_path / "store"
    both = compared([first, second], model, texts, store)
    assert (both["with"]["context"], both["without"]["context"]) == (16, 15)
    assert (both["with"]["bos"], both["without"]["bos"]) == (True, False)
    some = windows_of(store)
    [with_bos], [without] = ([x for s, x in some.items() if s[1] == n] for n in (16, 15))
    assert (with_bos[:, 0] == 5).all()
    np.testing.assert_array_equal(with_bos[:, 1:], without)
    assert both["with"]["opening"].startswith("with ")
    assert both["without"]["opening"] == "without a BOS"
    data = {"model": "m", "text": "t", "setting": {"skip_first": 1, "outlier": 0, "tokens": 9}}
    told = " ".join(setting(data | {"dictionaries": list(both.values())}))
    assert "All windows have the same text" in told
    assert "All windows" not in " ".join(setting(data | {"dictionaries": [both["with"]]}))


def test_of_a_text_that_one_was_trained_on_all_read_the_part_that_it_has_not_seen(
    model, texts, tmp_path
):
    from assay.data import corpus

    name = corpus.load(str(texts)).name
    seen = saelens(tmp_path / "seen", metadata={"dataset_path": name, "dataset_part": "train"})
    fresh = saelens(tmp_path / "fresh")
    both = compared([seen, fresh], model, texts, tmp_path / "store")
    assert both["seen"]["part"] == both["fresh"]["part"] == "test"
    assert numbers(both["seen"]) == numbers(both["fresh"])
    why = "because seen was trained on another part of it"
    assert f"measured on the test part alone, {why}" in both["fresh"]["notes"]


def test_those_that_agree_are_measured_as_ever(model, texts, tmp_path):
    """No key moves where nothing has to be shared."""
    paths = [saelens(tmp_path / name) for name in ("a", "b")]
    alone = [compared([p], model, texts, tmp_path / "store") for p in paths]
    both = compared(paths, model, texts, tmp_path / "store")
    assert all(e["cached"] for e in both.values())
    assert numbers(both["a"]) == numbers(alone[0]["a"])
