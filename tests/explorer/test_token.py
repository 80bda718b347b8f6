"""One feature at one token: the tables and losses are those of a naive float64 pass without the
feature there; limits are said."""

import numpy as np
import pytest
import tiny_world
from starlette.testclient import TestClient
from tiny_world import LAST, TEXT, log_probabilities

import tiny_models
from assay.explorer import live
from assay.explorer.app import application


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_world.make(tmp_path_factory.mktemp("token"))


@pytest.fixture(scope="module")
def client(tiny):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "SHOWN", 60.0)
        yield TestClient(application(tiny.library()), base_url="http://127.0.0.1")


def strongest(tiny, ids):
    """A feature and a token in the middle of the text at which it is on."""
    _, codes = tiny.naive(ids)
    position, feature = np.unravel_index(np.argmax(codes[3:-2]), codes[3:-2].shape)
    return int(feature), int(position) + 3


def without(tiny, ids, k, t, at):
    """log softmax at every position as the model is, and with the feature's part at one token taken
    off a site."""
    plain, codes = tiny.naive(ids)
    here = np.zeros_like(codes[:, k])
    here[t] = codes[t, k]
    part = tiny.part(here, k)
    return log_probabilities(plain), log_probabilities(tiny.naive(ids, at, part)[0])


@pytest.mark.parametrize(("mode", "at"), [("full", tiny_world.SITE), ("direct", LAST)])
def test_every_number_is_a_naive_passes(tiny, client, mode, at):
    ids = tiny.ids(TEXT)
    k, t = strongest(tiny, ids)
    before, after = without(tiny, ids, k, t, at)
    found = client.get(
        f"{tiny.base}/{k}/token.json", params={"text": TEXT, "position": t, "load": 1}
    ).json()["found"]
    one, following = found[mode], ids[0, t + 1]
    assert one["delta_ce"] == pytest.approx(before[t, following] - after[t, following], abs=1e-4)
    assert one["saevis_loss_effect"] == -one["delta_ce"]
    assert found["probability"] == pytest.approx(np.exp(before[t, following]), rel=1e-4)
    assert one["probability"] == pytest.approx(np.exp(after[t, following]), rel=1e-3)
    change = before[t] - after[t]
    lost = np.exp(before[t]) - np.exp(after[t])
    for name, order in (("less", np.argsort(-lost)), ("more", np.argsort(lost))):
        assert [row["change"] for row in one[name]] == pytest.approx(
            change[order[:5]].tolist(), abs=1e-4
        )
        for row in one[name]:
            assert (row["before"], row["after"]) == pytest.approx(
                (np.exp(before[t, row["id"]]), np.exp(after[t, row["id"]])), rel=1e-3
            )
    for row in one["likely"]:
        assert (row["before"], row["after"]) == pytest.approx(
            (np.exp(before[t, row["id"]]), np.exp(after[t, row["id"]])), rel=1e-3
        )
    assert [row["id"] for row in one["likely"]] == np.argsort(-before[t])[:5].tolist()
    later = (before - after)[np.arange(t, ids.shape[1] - 1), ids[0, t + 1 :]]
    assert one["later"] == pytest.approx(later.sum(), abs=1e-3)


def test_a_context_of_the_index_is_read_as_the_index_read_it(tiny, client):
    context = next(
        c
        for c in tiny.index.feature(int(tiny.index.alive[3])).contexts
        if c.position + 1 < tiny.index.about.context
    )
    k, ids = int(tiny.index.alive[3]), tiny.index.windows[[context.window]]
    before, after = without(tiny, ids, k, context.position, tiny_world.SITE)
    address = f"{tiny.base}/{k}/token"
    told = client.get(
        f"{address}.json",
        params={"window": context.window, "position": context.position, "load": 1},
    ).json()
    assert told["found"]["activation"] == pytest.approx(context.value, rel=1e-3)
    following = ids[0, context.position + 1]
    assert told["found"]["full"]["delta_ce"] == pytest.approx(
        (before - after)[context.position, following], abs=1e-4
    )
    weight = tiny_models.weights(tiny.model)
    row = (
        context.value
        * tiny_world.made_up().W_dec[0][k].double().numpy()
        * weight["model.norm.weight"]
    )
    assert told["found"]["contribution"] == pytest.approx(
        float(row @ weight["lm_head.weight"][following]), rel=1e-3, abs=1e-4
    )
    page = client.get(address, params={"window": context.window, "position": context.position}).text
    assert "the feature makes likelier" in page
    assert "Along the direct path alone" in page


def test_pointing_loads_no_model_and_says_so(tiny):
    library = tiny.library()
    client = TestClient(application(library), base_url="http://127.0.0.1")
    page = client.get(f"{tiny.base}/3/token", params={"window": 0, "position": 3})
    assert "needs the model" in page.text and "load=1" in page.text
    assert not library.live.begun(tiny.index)


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ({"window": 99999}, 400, "indow is a whole number"),
        ({"window": 0, "position": -1}, 400, "osition is a whole number"),
        ({"text": "x " * 3000, "position": 3, "load": 1}, 200, "at most"),
        ({"text": TEXT, "position": 0, "load": 1}, 200, "is not on at token 0"),
        ({"text": TEXT, "position": 200, "load": 1}, 200, "numbered from 0, got 200"),
    ],
)
def test_what_cannot_be_answered_is_told(tiny, client, query, status, words):
    answer = client.get(f"{tiny.base}/3/token", params=query)
    assert answer.status_code == status and words in answer.text


def test_a_feature_that_is_not_there_is_told(tiny, client):
    assert (
        client.get(f"{tiny.base}/48/token", params={"window": 0, "position": 3}).status_code == 404
    )
