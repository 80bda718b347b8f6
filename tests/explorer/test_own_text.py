"""A feature on the reader's own text: activations and effects of a tiny model, as a naive float64
pass has them."""

import numpy as np
import pytest
import torch
from starlette.testclient import TestClient

import tiny_models
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.evaluation import indexing
from assay.explorer import live
from assay.explorer.app import application
from assay.explorer.library import Library
from assay.subjects import folder

SITE = "blocks.1.hook_resid_post"
TEXT = "def add(self, other):\n    return self + other\n"


def made_up(seed=0):
    draw = torch.Generator().manual_seed(seed)
    W = torch.nn.functional.normalize(torch.randn(1, 48, 24, generator=draw), dim=-1)
    return Dictionary(
        0.6 * W.mT, torch.full((1, 48), -0.2), W, torch.zeros(1, 24), ReLU(), sites=(SITE,)
    )


def codes_of(x):
    return np.maximum(x @ made_up().W_enc[0].double().numpy() - np.float32(0.2), 0)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_models.make(tmp_path_factory.mktemp("models") / "llama", "llama")


@pytest.fixture(scope="module")
def found(model, tmp_path_factory):
    root = tmp_path_factory.mktemp("own") / "store"
    texts = tmp_path_factory.mktemp("texts")
    for i in range(30):
        (texts / f"{i:02}.txt").write_text(
            f"def add{i}(self, other):\n    return self + other\n" * 4
        )
    made_up().save(root.parent / "one.safetensors")
    made = indexing.index(
        root.parent / "one.safetensors",
        model=model,
        text=texts,
        root=root,
        tokens=240,
        context=12,
        ablate=2,
        ablate_windows=2,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "SHOWN", 60.0)  # so that the page waits for the model
        yield TestClient(application(Library(root)), base_url="http://127.0.0.1"), made, root


def test_activations_and_the_loss_without_it_are_those_of_a_naive_pass(model, found):
    client, made, _ = found
    ids = np.array([folder.find(str(model)).tokenizer.encode(TEXT)])
    logits, acts = tiny_models.naive(model, ids)
    codes = codes_of(acts[SITE])[0]
    codes[0] = 0  # the first token does not count
    k = int(codes[:, :].sum(0).argmax())
    told = client.get(f"/{made.about.address}/{k}/activation.json", params={"text": TEXT}).json()[
        "own"
    ]
    assert told["activations"] == pytest.approx(codes[:, k].tolist(), abs=1e-4)
    assert all(
        effect == 0 for effect, a in zip(told["effects"], codes[:, k], strict=True) if a == 0
    )
    row = made_up().W_dec[0][k].double().numpy()
    part = codes[None, :, k, None] * row
    edited, _ = tiny_models.naive(model, ids, {SITE: lambda x: x - part})
    before, after = (tiny_models.naive_loss(each, ids).sum() for each in (logits, edited))
    assert told["removed"] == pytest.approx(after - before, abs=1e-3)


def test_the_page_marks_the_tokens_and_says_what_cannot_be_read(found):
    client, made, _ = found
    address = f"/{made.about.address}/1/activation"
    assert 'class="context mine"' in client.get(address, params={"text": TEXT}).text
    assert client.get(address).status_code == 200
    for text in ("x " * 3000, "a"):
        answer = client.get(address, params={"text": text})
        assert answer.status_code == 200 and 'class="warning"' in answer.text


def test_a_dictionary_that_changed_since_is_refused(found):
    _, made, root = found
    client = TestClient(application(Library(root)), base_url="http://127.0.0.1")
    made_up(seed=3).save(root.parent / "one.safetensors")
    answer = client.get(f"/{made.about.address}/1/activation", params={"text": TEXT})
    assert "is another dictionary than the one that was indexed" in answer.text
