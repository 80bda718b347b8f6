"""A feature on the reader's own text: activations and effects of a tiny model, as a naive float64
pass has them."""

import html
import json
import re
import shutil
import time

import numpy as np
import pytest
import tiny_world
from starlette.testclient import TestClient
from tiny_world import TEXT, log_probabilities

from assay.core import integrity
from assay.evaluation import indexing, one_ablated
from assay.explorer import live
from assay.explorer.app import application
from assay.explorer.library import Library


@pytest.fixture(scope="module")
def client(tiny):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "SHOWN", 60.0)  # so that the page waits for the model
        yield TestClient(application(tiny.library()), base_url="http://127.0.0.1")


def test_activations_and_the_loss_without_it_are_those_of_a_naive_pass(tiny, client):
    ids = tiny.ids(TEXT)
    logits, codes = tiny.naive(ids)
    k = int(codes.sum(0).argmax())
    address = f"{tiny.base}/{k}/activation.json"
    told = client.get(address, params={"text": TEXT}).json()["own"]
    assert told["activations"] == pytest.approx(codes[:, k].tolist(), abs=1e-4)
    off = [e for e, a in zip(told["effects"], codes[:, k], strict=True) if a == 0]
    assert off == [0] * len(off)
    edited = tiny.naive(ids, less=tiny.part(codes[:, k], k))[0]
    nexts = np.arange(ids.shape[1] - 1), ids[0, 1:]
    before, after = (-log_probabilities(x)[nexts].sum() for x in (logits, edited))
    assert told["removed"] == pytest.approx(after - before, abs=1e-3)


def test_the_page_marks_the_tokens_and_says_what_cannot_be_read(tiny, client):
    address = f"{tiny.base}/1/activation"
    assert 'class="context mine"' in client.get(address, params={"text": TEXT}).text
    assert client.get(address).status_code == 200
    for text in ("x " * 3000, "a"):
        answer = client.get(address, params={"text": text})
        assert answer.status_code == 200 and 'class="warning"' in answer.text


def copied(tiny, folder):
    """A store to write to, next to its model and its dictionary."""
    shutil.copytree(tiny.model, folder / "llama")
    shutil.copy(tiny.store.parent / "one.safetensors", folder)
    return shutil.copytree(tiny.store, folder / "store")


def test_a_dictionary_that_changed_since_is_refused(client, tiny, tmp_path):
    store = copied(tiny, tmp_path)
    tiny_world.made_up(seed=3).save(tmp_path / "one.safetensors")
    other = TestClient(application(Library(store)), base_url="http://127.0.0.1")
    answer = other.get(f"{tiny.base}/1/activation", params={"text": TEXT})
    assert "is another dictionary than the one that was indexed" in answer.text


def test_the_tokens_that_never_count_are_not_counted(tiny, client):
    page = client.get(f"{tiny.base}/1/activation", params={"text": TEXT}).text
    count = tiny.ids(TEXT).shape[1] - 1
    assert re.search(rf"On at (none|\d+) of the {count} tokens that count", page)
    assert "The first token is never counted" in page


def test_a_feature_is_ablated_on_the_indexed_text_and_that_is_kept(tiny, client, tmp_path):
    """It says what an index says in which all features are ablated."""
    root = tiny.store.parent
    whole = indexing.index(
        root / "one.safetensors",
        model=tiny.model,
        text=root / "texts",
        root=tmp_path / "whole",
        tokens=480,
        context=12,
        ablate=tiny_world.WIDTH,
        ablate_windows=2,
    )
    k = next(
        k
        for k in range(tiny_world.WIDTH)
        if tiny.index.feature(k).numbers["importance"] is None
        and whole.feature(k).numbers["importance"] is not None
    )
    store, address = copied(tiny, tmp_path), f"{tiny.base}/{k}"
    page = TestClient(application(Library(store)), base_url="http://127.0.0.1").get
    assert "Ablate this one on the indexed text" in page(address).text
    assert "per token where it is off" not in page(address).text
    measured = page(address, params={"ablate": "1"}).text
    assert "per token where it is off" in measured and "Ablate this one" not in measured
    later = TestClient(application(Library(store)), base_url="http://127.0.0.1").get
    assert "per token where it is off" in later(address).text
    numbers, expected = later(f"{address}.json").json()["numbers"], whole.feature(k).numbers
    for name in ("importance", "importance_total", "spill", "ablation_text", "gradient_sample"):
        assert numbers[name] == pytest.approx(expected[name], abs=1e-6)
    assert numbers["ablated_firings"] == expected["ablated_firings"] > 0
    assert numbers["importance_low"] == pytest.approx(expected["importance_low"], abs=1e-6)
    in_table = f"{tiny.base}.json?where=ablated_firings>%3D1"
    for reader in (page, later):
        shown = reader(in_table).json()
        rows = {row["feature"]: row["importance"] for row in shown["features"]["rows"]}
        assert rows[k] == pytest.approx(expected["importance"], abs=1e-6)
        assert len(rows) == shown["summary"]["ablated"] == tiny.index.about.ablated + 1
    assert "; 1 on its own page, the others spaced evenly by how often" in later(tiny.base).text


def test_features_ablated_one_by_one_are_kept_when_more_are_ablated_with_the_index(
    tiny, client, tmp_path
):
    """Which others an index ablates does not change what ablating one does."""
    store = copied(tiny, tmp_path)
    page = TestClient(application(Library(store)), base_url="http://127.0.0.1").get
    k = next(k for k in tiny.index.alive.tolist() if np.isnan(tiny.index.glances["importance"][k]))
    page(f"{tiny.base}/{k}", params={"ablate": "1"})
    numbers = page(f"{tiny.base}/{k}.json").json()["numbers"]
    setting = {"tokens": 480, "context": 12, "ablate": 3, "ablate_windows": 2}
    dictionary, texts = tmp_path / "one.safetensors", tiny.store.parent / "texts"
    made = indexing.index(dictionary, model=tmp_path / "llama", text=texts, root=store, **setting)
    assert made.folder.name != tiny.index.folder.name
    assert one_ablated.kept(made.folder)[k]["importance"] == numbers["importance"]


def test_a_page_says_how_far_an_ablation_is(tiny, tmp_path, monkeypatch):
    """It answers at once, goes on asking, and has the numbers when the ablation is done."""
    monkeypatch.setattr(live, "SHOWN", 60.0)
    store = copied(tiny, tmp_path)
    library = Library(store)
    page = TestClient(application(library), base_url="http://127.0.0.1").get
    k = next(k for k in tiny.index.alive.tolist() if np.isnan(tiny.index.glances["importance"][k]))
    loaded = library.live.loaded(library.index(*tiny.base.strip("/").split("/")))
    monkeypatch.setattr(live, "SHOWN", 0.0)
    with loaded.turn:  # while another page uses the model
        shown = page(f"{tiny.base}/{k}", params={"ablate": "1"}).text
        assert "Ablating it on the indexed text." in shown
        assert f'hx-get="{tiny.base}/{k}?ablate=1"' in shown
    for _ in range(600):
        if "per token where it is off" in page(f"{tiny.base}/{k}", params={"ablate": "1"}).text:
            return
        time.sleep(0.05)
    pytest.fail("the ablation did not end")


def test_the_time_that_is_left_is_as_long_as_what_is_done_took():
    measured = live.Measurement(done=4, total=16, seconds=5.0)
    assert measured.left.low < 15.0 < measured.left.high
    assert live.Measurement().left is None


def test_what_cannot_be_ablated_is_said_in_one_line(tiny, client, tmp_path):
    store = copied(tiny, tmp_path)
    shutil.rmtree(store / "artefacts" / "index-shard")
    page = TestClient(application(Library(store)), base_url="http://127.0.0.1").get
    k = next(
        k for k in tiny.index.alive.tolist() if tiny.index.feature(k).numbers["importance"] is None
    )
    assert page(f"{tiny.base}/{tiny_world.WIDTH}", params={"ablate": "1"}).status_code == 404
    answer = page(f"{tiny.base}/{k}", params={"ablate": "1"})
    assert answer.status_code == 200
    folder = store / "artefacts" / "index" / tiny.index.folder.name
    words = f"The store lacks firings of this index; delete {folder} and make it again."
    assert answer.text.count(words) == 1 and '<pre class="command">assay export' in answer.text


def test_an_index_of_an_older_version_says_how_it_is_made_again(tiny, client, tmp_path):
    store = copied(tiny, tmp_path)
    folder = store / "artefacts" / "index" / tiny.index.folder.name
    older = json.loads((folder / "spec.json").read_text())
    del older["compared"]
    (folder / "spec.json").write_text(json.dumps(older))
    (folder / integrity.NOTE).write_bytes(integrity.described(folder))
    page = TestClient(application(Library(store)), base_url="http://127.0.0.1").get
    k = next(k for k in tiny.index.alive.tolist() if np.isnan(tiny.index.glances["importance"][k]))
    told = page(f"{tiny.base}/{k}", params={"ablate": "1"}).text
    assert "This index was made by an older version of Assay; make it again." in told
    (command,) = re.findall('<pre class="command">(.*?)</pre>', told)
    command = html.unescape(re.sub("<[^>]*>", "", command))
    assert f"--root {store} --ablate {tiny.index.about.ablated}" in command
