"""A feature on the reader's own text: activations and effects of a tiny model, as a naive float64
pass has them."""

import re
import shutil

import numpy as np
import pytest
import tiny_world
from starlette.testclient import TestClient
from tiny_world import TEXT, log_probabilities

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


def test_a_dictionary_that_changed_since_is_refused(client, tiny, tmp_path):
    shutil.copytree(tiny.store, tmp_path / "store")
    shutil.copytree(tiny.model, tmp_path / "llama")
    tiny_world.made_up(seed=3).save(tmp_path / "one.safetensors")
    other = TestClient(application(Library(tmp_path / "store")), base_url="http://127.0.0.1")
    answer = other.get(f"{tiny.base}/1/activation", params={"text": TEXT})
    assert "is another dictionary than the one that was indexed" in answer.text


def test_the_tokens_that_never_count_are_not_counted(tiny, client):
    page = client.get(f"{tiny.base}/1/activation", params={"text": TEXT}).text
    count = tiny.ids(TEXT).shape[1] - 1
    assert re.search(rf"On at (none|\d+) of the {count} tokens that count", page)
    assert "The first token is never counted" in page
