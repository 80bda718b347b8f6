"""The steering page: both continuations and what the change cost are those of a naive greedy pass;
limits are said."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from starlette.testclient import TestClient
from tiny_world import SITE, log_probabilities

import tiny_models
from assay.explorer import live, render
from assay.explorer.app import application
from assay.explorer.pages import steer as steer_page
from assay.features.index.names import Name
from assay.features.index.reader import Index
from assay.features.live.edits import Change
from assay.features.live.steering import steer
from assay.train import rng

TEXT, CLAMP = "def add(self", 6.0


@pytest.fixture(scope="module", autouse=True)
def patient():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "SHOWN", 60.0)
        yield


@pytest.fixture
def library(tiny):
    return tiny.library()


@pytest.fixture
def client(library):
    return TestClient(application(library), base_url="http://127.0.0.1")


def written(client, tiny, **query):
    """Ask until nothing more is to come."""
    for _ in range(200):
        answer = client.get(f"{tiny.base}/steer.json", params={"text": TEXT, **query})
        assert answer.status_code == 200, answer.text
        if answer.json()["state"] == "written":
            return answer.json()
    raise AssertionError("it never ends")


def greedy(tiny, new, clamp):
    """A continuation by whole passes over all tokens, with feature 3 set wherever it counts, and
    its KL from the model as it is."""
    ids, kl = tiny.ids(TEXT)[0].tolist(), []
    for _ in range(new):
        now = np.array([ids])
        plain, codes = tiny.naive(now)
        step = (
            (codes[:, 3] - clamp) * (np.arange(len(ids)) > 0)
            if clamp is not None
            else np.zeros(len(ids))
        )
        changed = tiny.naive(now, less=tiny.part(step, 3))[0]
        a, b = (log_probabilities(x)[-1] for x in (changed, plain))
        kl.append(float((np.exp(a) * (a - b)).sum()))
        ids.append(int(a.argmax()))
    return ids[-new:], kl


def promoted_by_3(tiny):
    rows = tiny.index.query("SELECT token FROM logits WHERE feature = 3 AND sign = 1", [])
    return [row["token"] for row in rows]


def test_random_directions_of_the_same_length_cost_and_promote_what_a_naive_pass_says(tiny, client):
    asked = {"clamp": f"3:{CLAMP}", "new": 6}
    found, ids = written(client, tiny, **asked), tiny.ids(TEXT)[0].tolist()
    whole = np.array([[*ids, *greedy(tiny, 6, CLAMP)[0]]])
    plain, codes = tiny.naive(whole)
    step = (codes[:, 3] - CLAMP) * (np.arange(whole.shape[1]) > 0)
    size = np.linalg.norm(tiny.part(step, 3)[0], axis=-1)[None, :, None]
    drawn = rng.normal(np.array([0]), "ablation.controls", 0, (steer_page.DRAWS, 24))[0]
    costs, chances = [], []
    for u in drawn / np.linalg.norm(drawn, axis=1, keepdims=True):
        changed = tiny.naive(whole, less=-size * u)[0]
        a, b = (log_probabilities(x)[len(ids) - 1 : -1] for x in (changed, plain))
        costs.append((np.exp(a) * (a - b)).sum(1).mean())
        chances.append(np.exp(a)[:, promoted_by_3(tiny)].sum(1).mean())
    assert found["random_kl"] == pytest.approx(costs, abs=1e-4)
    stream = np.linalg.norm(tiny_models.naive(tiny.model, whole)[1][SITE][0], axis=-1)
    acts = size[0, :, 0] > 0
    assert found["length"] == pytest.approx((size[0, :, 0] / stream)[acts].mean(), rel=1e-3)
    assert found["promoted"][0]["random"] == pytest.approx(chances, abs=1e-4)
    page = client.get(f"{tiny.base}/steer", params={"text": TEXT, **asked}).text
    n, stronger = len(costs), sum(cost >= found["mean_kl"] for cost in costs)
    assert ("more than each of" if not stronger else f"same length, {stronger} move") in page
    assert (f"fewer than 1 in {n + 1} " in page) == (not stronger)
    most = tiny.index.feature(3).numbers["maximum"]
    beyond = client.get(f"{tiny.base}/steer", params={"clamp": f"3:{6 * most}"}).text
    assert "times its largest" in beyond and "Type a prompt above" in beyond
    within = client.get(f"{tiny.base}/steer", params={"clamp": f"3:{most / 2}"}).text
    assert "times its largest" not in within


def test_promoted_tokens_have_the_probability_that_a_naive_pass_gives_them(tiny, client):
    asked = {"clamp": f"3:{CLAMP}", "new": 6}
    (found,) = written(client, tiny, **asked)["promoted"]
    first = len(tiny.ids(TEXT)[0])
    whole = np.array([[*tiny.ids(TEXT)[0].tolist(), *greedy(tiny, 6, CLAMP)[0]]])
    plain, codes = tiny.naive(whole)
    step = (codes[:, 3] - CLAMP) * (np.arange(whole.shape[1]) > 0)
    changed = tiny.naive(whole, less=tiny.part(step, 3))[0]
    for name, logits in (("before", plain), ("after", changed)):
        chances = np.exp(log_probabilities(logits)[first - 1 : -1])
        assert found[name] == pytest.approx(chances[:, promoted_by_3(tiny)].sum(1).mean(), abs=1e-4)
    page = client.get(f"{tiny.base}/steer", params={"text": TEXT, **asked}).text
    likelier = found["after"] > found["before"]
    words = " ".join(re.sub(r"<[^>]*>", "", page).split())
    assert f"promotes got {'likelier' if likelier else 'less likely'}. Their" in words
    with_and_without = (render.percent(found[name], 2) for name in ("after", "before"))
    assert "is {} with the change and {} without it.".format(*with_and_without) in words
    assert f"the largest is {render.percent(max(found['random']), 2)}." in words


def test_a_feature_that_is_set_to_no_amount_is_set_to_its_maximum(tiny, client):
    sent = {"sent": "1", "text": "a b", "feature": "3", "way": "clamp", "amount": ""}
    moved = client.get(f"{tiny.base}/steer", params=sent, follow_redirects=False)
    amount = float(re.search(r"clamp=3%3A([\d.]+)", moved.headers["location"])[1])
    most = tiny.index.feature(3).numbers["maximum"]
    assert amount == pytest.approx(most, rel=1e-3)
    assert re.search(r"<select[^>]*><option value=\"clamp\"", client.get(f"{tiny.base}/steer").text)
    # as a browser sends it
    without = {"sent": "1", "text": "a b", "feature": "3", "way": "out"}
    moved = client.get(f"{tiny.base}/steer", params=without, follow_redirects=False)
    assert moved.headers["location"].endswith("out=3")


def test_a_feature_that_never_fires_is_set_to_the_median_of_the_maxima_of_the_others(
    tiny, client, monkeypatch
):
    maxima = np.zeros_like(tiny.index.maxima)
    sent = {"sent": "1", "text": "a b", "feature": "3", "way": "clamp", "amount": ""}
    monkeypatch.setattr(Index, "maxima", maxima)
    assert (
        "Give the amount that feature 3 is set to."
        in client.get(f"{tiny.base}/steer", params=sent).text
    )
    maxima[[0, 1, 2]] = 4, 90, 7
    moved = client.get(f"{tiny.base}/steer", params=sent, follow_redirects=False)
    assert moved.headers["location"].endswith("clamp=3%3A7")
    never, most = (
        client.get(f"{tiny.base}/steer", params={"clamp": f"{k}:7"}).text for k in (3, 1)
    )
    assert "although it never fires" in never and "although it never fires" not in most


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("and which which which which", " which"),
        ("He said: a b a b a b a b a b", " a b"),
        ("x" + "\n" * 16, "\n"),
        ("the number of the numbers of the number", ""),
        ("no no no", ""),
        ("which which which which, he said", ""),
    ],
)
def test_what_a_text_ends_in_over_and_over_is_found(text, part):
    assert steer_page.repeated(text) == part


def test_a_page_says_that_a_text_repeats_itself(tiny, client):
    query = {"text": TEXT, "clamp": f"3:{CLAMP}", "new": 30}
    loops = written(client, tiny, **query)["loops"]
    page = client.get(f"{tiny.base}/steer", params=query).text
    assert ("The changed text repeats itself" in page) == (bool(loops[1]) and not loops[0])
    assert ("Both texts repeat themselves" in page) == all(loops)


def test_it_is_what_the_live_function_writes_and_more_goes_on_from_there(tiny, client, library):
    reader = library.live.loaded(tiny.index).reader
    asked = {"scale": "3:8", "out": "5", "temperature": "0.8", "seed": "4"}
    changes = [Change(3, factor=8.0), Change.out(5)]
    steps = list(steer(reader, TEXT, changes, new=12, temperature=0.8, seed=4))
    kl = [step.kl for step in steps if step.after_id is not None]
    first = written(client, tiny, **asked, new=5)
    found = written(client, tiny, **asked, new=12)
    assert (found["before"], found["after"]) == (steps[-1].before, steps[-1].after)
    assert found["kl"] == pytest.approx(kl, abs=1e-6) and found["kl"][:5] == first["kl"]
    assert steps[-1].after.startswith(first["after"])


def test_a_request_writes_for_a_moment_and_a_link_stops_it(tiny, client, monkeypatch):
    monkeypatch.setattr(live, "STRETCH", 0.0001)
    asked = {"text": TEXT, "clamp": "3:6", "new": 9}
    parts = [client.get(f"{tiny.base}/steer.json", params=asked).json() for _ in range(3)]
    assert [p["steps"] for p in parts] == [1, 2, 3]
    assert all(p["state"] == "writing" for p in parts)
    assert 'hx-trigger="load' in client.get(f"{tiny.base}/steer", params=asked).text
    stopped = client.get(f"{tiny.base}/steer", params={**asked, "stop": 1}, follow_redirects=False)
    assert stopped.status_code == 303
    assert "new=4" in stopped.headers["location"]
    assert "stop" not in stopped.headers["location"]
    *comparing, page = (client.get(stopped.headers["location"]).text for _ in range(8))
    whole = client.get(stopped.headers["location"].replace("steer?", "steer.json?")).json()
    for done, each in enumerate(comparing, 1):
        assert f"do to this text: {done} of 8 done" in each and 'hx-trigger="load' in each
        assert f" {max(whole['random_kl'][:done]):.2g}&nbsp;nats per token. " in each
    assert "data-done" in page and "4 of 4 tokens" in page and "20 tokens more" in page


def test_limits_are_said(tiny, client, monkeypatch):
    for query, words in (
        ({"new": 121}, "new is a whole number from 1 to 120"),
        ({"temperature": "hot"}, "temperature is a number"),
        ({"temperature": "-1"}, "temperature is a number"),
        ({"text": "ab cd " * 100}, "at most 64 are read"),
        ({"new": 60}, "leaves room for"),
        ({"seed": "x"}, "seed is a whole number"),
    ):
        answer = client.get(f"{tiny.base}/steer", params={"text": TEXT, "out": 3, **query})
        assert answer.status_code == 400 and words in answer.text.lower()
    monkeypatch.setattr(live, "STRETCH", 0.0001)
    for i in range(live.OPEN):
        assert (
            client.get(
                f"{tiny.base}/steer", params={"text": TEXT, "clamp": f"3:{i}", "new": 9}
            ).status_code
            == 200
        )
    asked = {"text": TEXT, "clamp": "3:77", "new": 9}
    refused = client.get(f"{tiny.base}/steer", params=asked)
    assert refused.status_code == 503
    assert "4 other texts are being written" in refused.text
    monkeypatch.setattr(live, "STALE", -1.0)
    assert client.get(f"{tiny.base}/steer", params=asked).status_code == 200
    monkeypatch.setattr(live, "LONGEST", 0.0)
    asked = {"text": TEXT, "clamp": "3:78", "new": 9}
    pages = [client.get(f"{tiny.base}/steer", params=asked).text for _ in range(2)]
    assert all("are over" in page for page in pages) and "data-done" in pages[1]


def test_one_that_was_given_up_is_written_again(tiny, client, monkeypatch):
    whole = written(client, tiny, clamp="3:5", new=6)
    other = TestClient(application(tiny.library()), base_url="http://127.0.0.1")
    monkeypatch.setattr(live, "STRETCH", 0.0001)
    asked = {"text": TEXT, "clamp": "3:5", "new": 6}
    assert other.get(f"{tiny.base}/steer.json", params=asked).json()["steps"] == 1
    monkeypatch.setattr(live, "STALE", -1.0)
    other.get(f"{tiny.base}/steer.json", params={**asked, "clamp": "3:9"})
    monkeypatch.setattr(live, "STALE", 10.0)
    assert written(other, tiny, clamp="3:5", new=6)["after"] == whole["after"]


def test_readers_of_one_text_and_of_several_do_not_mix(tiny, client):
    alone = {
        i: written(
            TestClient(application(tiny.library()), base_url="http://127.0.0.1"),
            tiny,
            clamp=f"3:{i}",
            new=8,
        )["after"]
        for i in (2, 9)
    }
    barrier = threading.Barrier(4)

    def ask(i):
        barrier.wait(20)
        return written(client, tiny, clamp=f"3:{i}", new=8)["after"]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, (2, 9, 2, 9))) == [alone[2], alone[9], alone[2], alone[9]]


@pytest.mark.parametrize(
    ("query", "words", "wrong"),
    [
        ({"way": "up"}, "not by way=up", "way"),
        ({"way": "scale", "amount": "2", "seed": "x"}, "seed is a whole number", "seed"),
        ({"way": "clamp", "amount": "two", "new": "9"}, "the amount is a number up to", "amount"),
        ({"amount": "two", "temperature": "hot"}, "temperature is a number", "temperature"),
        ({"feature": "99", "way": "scale", "amount": "2"}, "numbered 0 to 47", "feature"),
    ],
)
def test_what_cannot_be_asked_keeps_the_frame_and_the_form(query, words, wrong, tiny, client):
    asked = {"text": TEXT, "out": "3", "feature": "5"} | query
    answer = client.get(f"{tiny.base}/steer", params=asked)
    page = answer.text
    assert answer.status_code == 400 and words in page.replace("&#39;", "'").lower()
    assert f'href="{tiny.base}/prompt"' in page and f"{TEXT}</textarea>" in page
    assert '<input type="hidden" name="out" value="3">' in page, "the other change is kept"
    for name in asked.keys() - {"text", "out", "way"}:
        assert re.search(f'name="{name}"[^>]*value="{asked[name]}"', page), "as it was typed"
    if wrong != "way":
        assert f'<option value="{asked.get("way", "clamp")}"' in page
    (at,) = re.findall(r'name="(\w+)"[^>]*aria-invalid', page)
    assert at == wrong
    fieldset = next(part for part in page.split("</fieldset>") if "aria-invalid" in part)
    assert 'role="alert"' in fieldset, "the message is at the field"


def test_a_feature_alone_is_set_to_its_maximum(tiny, client):
    page = client.get(f"{tiny.base}/steer.json", params={"feature": 5, "way": "", "amount": ""})
    (change,) = page.json()["changes"]
    assert (change["feature"], change["way"]) == (5, "clamp") and change["amount"] > 0


def test_a_form_becomes_a_link_and_no_text_becomes_markup(tiny, client):
    sent = {
        "sent": "1",
        "text": "a b",
        "feature": "5",
        "way": "scale",
        "amount": "3",
        "new": "8",
        "temperature": "0",
        "seed": "0",
    }
    moved = client.post(
        f"{tiny.base}/steer",
        data=sent,
        headers={"origin": "http://127.0.0.1"},
        follow_redirects=False,
    )
    assert moved.headers["location"] == f"{tiny.base}/steer?text=a+b&scale=5%3A3&new=8"
    # so that the amount can be changed a little
    kept = client.get(moved.headers["location"]).text
    assert re.search(r'name="feature"[^>]*value="5"', kept)
    assert re.search(r'name="amount"[^>]*value="3"', kept)
    assert '<option value="scale" selected>' in kept
    page = client.get(
        f"{tiny.base}/steer", params={"text": "</pre><script>x\u202e", "out": 3, "new": 2}
    ).text
    assert "<script>x" not in page and "\u202e" not in page
    assert (
        "No feature is changed yet" in client.get(f"{tiny.base}/steer", params={"text": "a b"}).text
    )


def test_whoever_names_no_feature_is_offered_some_at_their_maximum(tiny, client):
    links = re.findall(r"clamp=(\d+)%3A([\d.]+)", client.get(f"{tiny.base}/steer").text)
    assert links
    for k, amount in links:
        assert float(amount) == pytest.approx(
            tiny.index.feature(int(k)).numbers["maximum"], abs=1e-3
        )
    assert len({tiny.index.feature(int(k)).numbers["token"] for k, _ in links}) == len(links)


def test_the_features_offered_are_those_with_words_in_their_names(tiny, client, monkeypatch):
    tokens = [("\n",), (".", "_"), (" this",), (" (", "if")]
    given = [Name("rule", t, score=0.9, precision=0.9) for t in tokens]
    monkeypatch.setattr(Index, "start", tuple((k, 0) for k in range(4)))
    monkeypatch.setattr(Index, "names", lambda self, numbers: {k: given[k] for k in numbers})
    offered = re.findall(r"clamp=(\d+)%3A", client.get(f"{tiny.base}/steer").text)
    assert offered == ["2", "3"]


def test_examples_are_beginnings_of_sentences():
    begun = steer_page.BEGUN.search("are split into files. The second of these holds the")
    assert begun[1] == "The second of these holds the"
    for text in (" into files", "of the text. It is", "in `a.py`. Each `x` of the list is a"):
        assert steer_page.BEGUN.search(text) is None


def test_a_change_of_a_feature_that_is_off_says_so_and_until_where(tiny, client):
    """Features that a naive pass finds off do nothing when they are multiplied; one that is on
    does."""
    text, new = "add", 3
    ids = tiny.ids(text)[0].tolist()
    for _ in range(new - 1):
        logits, _ = tiny.naive(np.array([ids]))
        ids.append(int(logits[-1].argmax()))
    is_on = (tiny.naive(np.array([ids]))[1] > 0).any(0)
    for feature in (int(is_on.argmin()), int(is_on.argmax())):
        asked = {"text": text, "scale": f"{feature}:3", "new": new}
        found = written(client, tiny, **asked)
        assert found["off"] != is_on[feature] and any(found["kl"]) == is_on[feature]
        page = client.get(f"{tiny.base}/steer", params=asked).text
        words = f"Feature {feature} is off on the prompt and on all 2 new tokens read after it"
        assert (words in page) != is_on[feature] and "0&nbsp;nats per token" not in page
    assert not is_on.all() and is_on.any()
