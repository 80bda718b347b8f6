"""The prompt page: its numbers are those of the live functions, or of a naive float64 pass; what
cannot be read is said."""

import re
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_world
from starlette.testclient import TestClient
from tiny_world import TEXT, WIDTH, Tiny, log_probabilities

import tiny_models
from assay.core import integrity
from assay.explorer import live
from assay.explorer.app import application
from assay.explorer.pages import prompt
from assay.features.index import searching
from assay.features.index.names import Name
from assay.features.index.reader import Index
from assay.features.live import prompts
from assay.features.live.ablation import ablate_features, attribute
from assay.features.live.edits import Change, change, likely
from assay.subjects import folder
from assay.subjects.pretrained import Pretrained
from assay.train import rng


@pytest.fixture(scope="module", autouse=True)
def patient():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "SHOWN", 60.0)  # so that a page waits for the model
        yield


@pytest.fixture(scope="module")
def library(tiny):
    return tiny.library()


@pytest.fixture(scope="module")
def client(library):
    return TestClient(application(library), base_url="http://127.0.0.1")


@pytest.fixture
def ask(tiny, client):
    def asked(**query):
        answer = client.get(f"{tiny.base}/prompt.json", params={"text": TEXT, **query})
        assert answer.status_code == 200, answer.text
        return answer.json()

    return asked


@pytest.fixture
def reader(tiny, library):
    return library.live.loaded(tiny.index).reader


def test_its_numbers_are_those_of_the_live_functions(ask, reader):
    """Which are those of naive passes: features/test_live.py, features/test_live_changes.py."""
    reading, at = reader.read(TEXT), 8
    found, on = ask(at=at, exact=1), reading.cut(at + 1).on.tolist()
    assert [t["loss"] for t in found["tokens"]][1:] == pytest.approx(reading.loss.tolist())
    assert [c["id"] for c in ask()["likely"]] == [
        c.id for c in likely(reader, reading, len(reading) - 1, 10)
    ]
    assert found["then"]["loss"] == pytest.approx(reading.loss[at - 1])
    exact = dict(zip(on, ablate_features(reader, reading, on).on(at - 1), strict=True))
    whole = attribute(reader, reading, at - 1)
    first = dict(zip(*(x.tolist() for x in whole.by_feature()), strict=True))
    rows = [*found["matters"], *found["further"]]
    assert [row["exact"] for row in rows] == pytest.approx(
        sorted(exact.values(), key=lambda delta: -abs(delta)), abs=1e-5
    ), "all were ablated, and are listed by that"
    assert len(found["matters"]) == 10 and {row["feature"] for row in rows} == set(on)
    for name, values in (("exact", exact), ("first_order", first)):
        of_rows = [values[row["feature"]] for row in rows]
        assert [row[name] for row in rows] == pytest.approx(of_rows, abs=1e-5)
    assert found["first_order"]["features"] == pytest.approx(whole.value.sum())
    most = [row["feature"] for row in found["matters"]]
    together = ablate_features(reader, reading, [most]).on(at - 1)
    assert found["found"]["together"] == pytest.approx(together[0], abs=1e-5)


@pytest.mark.parametrize(
    ("asked", "one"),
    [
        ({"out": 3}, Change.out(3)),
        ({"scale": "3:2.5"}, Change(3, factor=2.5)),
        ({"clamp": "3:4"}, Change(3, value=4.0)),
    ],
)
def test_a_change_is_that_of_the_live_functions(asked, one, ask, reader):
    found = ask(at=7, **asked)["changed"]
    made = change(reader, reader.read(TEXT), [one])
    assert found["kl"] == pytest.approx(made.kl[6], abs=1e-6)
    assert found["probability"] == pytest.approx(np.exp(-made.after[6]), rel=1e-3)
    assert found["deltas"][1:] == pytest.approx(made.delta.tolist(), abs=1e-5)
    assert (found["text_before"], found["text_after"]) == pytest.approx(
        (made.before.sum(), made.after.sum()), rel=1e-4
    )


def test_the_page_in_the_docs_reproduces_an_ablation(tiny, client, ask, capsys):
    docs = (Path(__file__).parents[2] / "docs/explorer.md").read_text()
    (code,) = re.findall(r"```py\n(.*?)```", docs, re.DOTALL)
    row = ask(exact=1)
    k, then = row["matters"][0]["feature"], row["then"]["id"]
    for words, here in (
        ('"smollm2"', repr(str(tiny.model))),
        ('"small-sae"', repr(str(tiny.model.parent / "one.safetensors"))),
        (", 340\n", f", {k}\n"),
        ("blocks.25.hook_resid_post", tiny_world.SITE),
        ('"The capital of France is"', repr(TEXT)),
        ('model.encode(" Paris")[0]', str(then)),
    ):
        assert code.count(words) == 1
        code = code.replace(words, here)
    exec(code, {})
    assert float(capsys.readouterr().out) == pytest.approx(row["matters"][0]["exact"], abs=1e-5)


def plain(html):
    return " ".join(re.sub("<[^>]*>", "", html).replace("&nbsp;", " ").split())


def test_a_name_that_says_little_is_left_to_the_pages_of_the_feature(
    tiny, client, ask, monkeypatch
):
    monkeypatch.setattr(Name, "poor", True)
    found = ask(at=8, exact=1)
    page = plain(client.get(f"{tiny.base}/prompt", params={"text": TEXT, "at": 8, "exact": 1}).text)
    poor = [row["feature"] for row in found["matters"]]
    for k in poor:
        own = client.get(f"{tiny.base}/{k}").text
        headline = plain(re.search("<h1>(.*?)(?:<span class=.score|</h1>)", own, re.S)[1])
        asked = {"text": TEXT, "scale": f"{k}:2"}
        assert f" {headline} " in plain(client.get(f"{tiny.base}/steer", params=asked).text)
        assert f" {k} no good name " in page
    about = tiny.index.about
    read = f"names come from {about.tokens:,} tokens of {about.corpus}."
    assert f"{len(poor)} names say little: {read}" in page
    assert f"assay serve {about.source} --model {about.model} --text FOLDER --site " in page
    assert "with --tokens 32768" in plain(client.get(tiny.base).text)


def test_the_model_is_loaded_once_while_texts_are_typed(tiny, monkeypatch):
    loaded, library = [], tiny.library()
    client = TestClient(application(library), base_url="http://127.0.0.1")
    monkeypatch.setattr(library.live, "_load", loaded.append)
    for page in ("prompt", "steer", "prompt"):
        client.get(f"{tiny.base}/{page}")
    library.live.begin(tiny.index).result(60)
    assert loaded == [tiny.index.about]


def test_the_order_is_provisional_until_all_features_are_ablated(tiny, client, ask):
    asked = {"text": f"{TEXT} at first", "at": 8}
    now, then, again = (
        client.get(f"{tiny.base}/prompt", params=asked | e).text for e in ({}, {"exact": 1}, {})
    )
    assert "Provisional: by the estimate" in now and ">measuring<" in now
    for page in (then, again):
        assert "Provisional: by" not in page and ">measuring<" not in page
    coloured = re.compile(r'class="amount (?:helps|hurts) ')
    assert "amount estimate" in now and not coloured.search(now), "an estimate may have either sign"
    assert coloured.search(then)
    rows = ask(**asked, exact=1)["matters"]
    shown = [int(k) for k in re.findall(r'<th scope="row"><a href="[^"]*/(\d+)">', then)]
    groups = (
        sorted((r for r in rows if r["beyond"] and r["exact"] > 0), key=lambda r: -r["exact"]),
        sorted((r for r in rows if r["beyond"] and r["exact"] < 0), key=lambda r: r["exact"]),
        sorted((r for r in rows if not r["beyond"]), key=lambda r: -r["exact"]),
    )
    assert shown[: len(rows)] == [r["feature"] for group in groups for r in group]


def test_an_effect_here_that_is_contrary_to_the_average_is_said_to_be(
    tiny, client, ask, monkeypatch
):
    really = prompt.ablate_each
    monkeypatch.setattr(prompt, "ablate_each", lambda *given: replace(really(*given), chance=0.0))
    asked = {"text": f"{TEXT} on average", "at": 8, "exact": 1}
    average = -np.sign(ask(**asked)["matters"][0]["exact"]) * 0.25
    clause = f"over the indexed text, it {'helps' if average > 0 else 'hurts'} on average:"
    for usual, says in ((average, True), (-average, False), (None, False)):
        monkeypatch.setattr(prompt, "usual_effect", lambda index, k, usual=usual: usual)
        page = plain(client.get(f"{tiny.base}/prompt", params=asked).text)
        assert (clause in page) == says


def test_a_name_is_poor_if_tokens_hardly_say_where_the_feature_fires():
    mixed, some = (Name("rule", ("a",), score=0.1, precision=p) for p in (0.2, 0.9))
    assert mixed.poor and Name("").poor and Name("few", words="fires once").poor
    assert not some.poor and not Name("rule", ("a",), score=0.6, precision=0.2).poor
    assert not Name("given", words="digits").poor


@pytest.mark.parametrize(
    ("importance", "gradient", "reliable", "usual"),
    [
        ((0.2, 0.1, 0.3), (-0.5, -0.6, -0.4), True, 0.2),
        ((0.2, -0.1, 0.3), (-0.5, -0.6, -0.4), True, None),
        ((np.nan,) * 3, (-0.5, -0.6, -0.4), True, -0.5),
        ((np.nan,) * 3, (-0.5, -0.6, -0.4), False, None),
    ],
)
def test_the_usual_effect_is_that_of_the_features_page(importance, gradient, reliable, usual):
    columns = ("importance", "importance_low", "importance_high")
    columns += ("gradient_active", "gradient_low", "gradient_high")
    glances = {c: np.array([v]) for c, v in zip(columns, importance + gradient, strict=True)}
    index = SimpleNamespace(glances=glances, about=SimpleNamespace(reliable=reliable))
    assert prompt.usual_effect(index, 0) == usual


def test_a_feature_within_what_random_directions_do_is_not_said_to_help(
    tiny, client, ask, monkeypatch
):
    """The bound is the largest effect of a random direction in the place of each feature."""
    ids, at = tiny.ids(TEXT), 8
    logits, codes = tiny.naive(ids)
    before = -log_probabilities(logits)[at - 1, ids[0, at]]
    found = ask(at=at, exact=1)
    seeds, tried = np.arange(prompt.DRAWS), [*found["matters"], *found["further"]]
    tried.sort(key=lambda row: -abs(row["first_order"]))  # in this order directions are drawn
    drawn = rng.normal(seeds, "ablation.controls", 0, (len(tried), 24)).astype(np.float64)
    effects = []
    for row, directions in zip(tried, drawn.swapaxes(0, 1), strict=True):
        length = np.linalg.norm(tiny.part(codes[:, row["feature"]], row["feature"])[0], axis=-1)
        for direction in directions:
            part = (length[:, None] * direction / np.linalg.norm(direction))[None]
            after = -log_probabilities(tiny.naive(ids, less=part)[0])[at - 1, ids[0, at]]
            effects.append(abs(after - before))
    assert found["found"]["chance"] == pytest.approx(max(effects), abs=1e-4)
    assert found["found"]["random"] == len(effects)
    for row in found["matters"]:
        assert row["beyond"] == (abs(row["exact"]) > found["found"]["chance"])
    really = prompt.ablate_each
    monkeypatch.setattr(prompt, "ablate_each", lambda *given: replace(really(*given), chance=9.5))
    page = client.get(f"{tiny.base}/prompt", params={"text": TEXT + " again", "exact": 1}).text
    assert (
        "helps it more than chance: ablating one of them raises the loss by at most" in page
        and "9.5 nats" in page
    )
    assert "These help" not in page and "These hurt" not in page


@pytest.mark.parametrize(("rise", "cancel"), [(-1e-9, True), (-0.5, False)])
def test_effects_that_cancel_are_said_to(rise, cancel, tiny, client, monkeypatch):
    """Without all of them the loss is what it is with them, and not without each."""
    really = prompt.ablate_each
    monkeypatch.setattr(
        prompt, "ablate_each", lambda *given: replace(really(*given), together=rise)
    )
    query = {"text": TEXT + " again" * (1 + cancel), "at": 8, "exact": 1}  # measured anew
    page = client.get(f"{tiny.base}/prompt", params=query).text
    assert (", since their effects cancel." in page) == cancel
    assert ("together they hurt it" in page) == (not cancel)


@pytest.mark.parametrize("chance", [0.0, 9.5])
@pytest.mark.parametrize("many", [True, False])
def test_what_helps_most_is_said_of_the_features_that_were_ablated(
    tiny, client, ask, monkeypatch, chance, many
):
    """Which features are on is counted in a naive pass."""
    text, really, count = f"{TEXT} # {many} {chance}", prompt.ablate_each, 12
    if many:
        passes = count * (1 + prompt.DRAWS)
        monkeypatch.setattr(prompts, "PASSED", passes * (tiny.ids(text).size + 2) - 1)
    monkeypatch.setattr(
        prompt, "ablate_each", lambda *given: replace(really(*given), chance=chance)
    )
    _, codes = tiny.naive(tiny.ids(text))
    on = int((codes[1:] > 0).any(0).sum())
    page = client.get(f"{tiny.base}/prompt", params={"text": text, "exact": 1}).text
    sentence = " ".join(re.sub("<[^>]*>", "", page.partition("Features that matter to")[2]).split())
    assert (f"of the {count} features that were ablated (of {on})" in sentence) == many
    assert (f"Only {count} of the {on} features were ablated" in sentence) == many
    assert (f"of the {on} features that can affect it" in sentence) == (not many)
    assert ("helps it most" in sentence) == (not chance)
    assert ("None of the" in sentence) == (chance > 0)
    rows = [row for kind in ("matters", "further") for row in ask(text=text, exact=1)[kind]]
    known = [row["exact"] is not None for row in rows]
    assert known == sorted(known, reverse=True) and sum(known) == (count if many else on)
    assert len(rows) == on


def test_the_error_is_weighed_against_the_features_by_ablation(tiny, client, ask, monkeypatch):
    """A warning that rests on first order could be refuted by the ablations below it."""
    ids, at = tiny.ids(TEXT), 8
    logits, codes = tiny.naive(ids)
    _, acts = tiny_models.naive(tiny.model, ids, {})
    written = codes[None] @ tiny_world.made_up().W_dec[0].double().numpy()
    error = acts[tiny_world.SITE] - written
    error[:, 0] = 0  # the first token does not count
    loss = -log_probabilities(logits)[at - 1, ids[0, at]]
    found = ask(at=at, exact=1)["found"]
    for name, part in (("features", written), ("error", error)):
        after = -log_probabilities(tiny.naive(ids, less=part)[0])[at - 1, ids[0, at]]
        assert found[name] == pytest.approx(after - loss, abs=1e-4), name
    really, words = prompt.ablate_each, "the error of the dictionary matters more here than"
    for i, (features, error, warned) in enumerate([(3.1, 0.13, False), (-0.05, 0.13, True)]):
        found = {"features": features, "error": error}
        monkeypatch.setattr(
            prompt, "ablate_each", lambda *given, to=found: replace(really(*given), **to)
        )
        asked = {"text": f"{TEXT} twice {i}"}
        assert words not in client.get(f"{tiny.base}/prompt", params=asked).text
        asked["exact"] = 1
        assert (words in client.get(f"{tiny.base}/prompt", params=asked).text) == warned


def test_a_name_in_a_sentence_is_in_quotes(tiny, client, monkeypatch):
    really = prompt.ablate_each
    monkeypatch.setattr(prompt, "ablate_each", lambda *given: replace(really(*given), chance=0.0))
    page = client.get(f"{tiny.base}/prompt", params={"text": f"{TEXT} once", "exact": 1}).text
    (sentence,) = re.findall(r"eature <a [^>]*>\d+</a>(.*?) helps it most", page)
    name = re.sub("<[^>]*>", "", sentence)
    assert re.fullmatch(" “.+”", name), name
    monkeypatch.setattr(Name, "poor", True)
    page = client.get(f"{tiny.base}/prompt", params={"text": f"{TEXT} once", "exact": 1}).text
    (sentence,) = re.findall(r"eature <a [^>]*>\d+</a>(.*?) helps it most", page)
    assert re.fullmatch(", which fires here on “.+”,", re.sub("<[^>]*>", "", sentence))


def test_the_heat_map_holds_naive_activations_strongest_first(tiny, ask):
    _, codes = tiny.naive(tiny.ids(TEXT))
    maxima = np.array([tiny.index.feature(k).numbers["maximum"] or np.nan for k in range(WIDTH)])
    for order, by in (("size", codes.max(0)), ("share", codes.max(0) / maxima)):
        found = ask(rows=order)["heat"]
        rows = [f["feature"] for f in found["features"]]
        assert by[rows] == pytest.approx(np.sort(np.nan_to_num(by))[::-1][:16], rel=1e-3)
        assert found["on"] == (codes > 0).any(0).sum()
        assert found["hidden"] == found["on"] - 16
        np.testing.assert_allclose(
            [f["activations"] for f in found["features"]], codes[:, rows].T, atol=1e-4
        )


def test_the_page_links_to_features_and_a_form_becomes_a_link(tiny, client):
    page = client.get(f"{tiny.base}/prompt", params={"text": TEXT, "exact": 1, "out": 3})
    assert page.status_code == 200
    assert f'href="{tiny.base}/3"' in page.text
    assert "ablated" in page.text
    sent = {
        "sent": "1",
        "text": "a b\r\nc d",
        "out": "4",
        "feature": "5",
        "way": "clamp",
        "amount": "2.5",
    }
    moved = client.post(
        f"{tiny.base}/prompt",
        data=sent,
        headers={"origin": "http://127.0.0.1"},
        follow_redirects=False,
    )
    assert moved.status_code == 303
    assert moved.headers["location"] == f"{tiny.base}/prompt?text=a+b%0Ac+d&out=4&clamp=5%3A2.5"
    empty = client.get(f"{tiny.base}/prompt")
    assert empty.status_code == 200 and "Type a text" in empty.text


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"text": "é" * 1200}, "at most 6,000"),
        ({"at": 99}, "predictions of this text"),
        ({"then": 99999}, "the model's tokens are numbered"),
        ({"out": "48"}, "numbered 0 to 47"),
        ({"clamp": "3:1e9"}, "the amount is a number up to 1,000,000, got 1e9"),
        ({"scale": "3"}, "give the amount that feature 3 is multiplied by"),
        (
            {"feature": "3", "way": "out", "amount": "20"},
            "to ablate feature 3 takes no amount, got 20",
        ),
        ({"out": list(range(11))}, "at most 10 features"),
    ],
)
def test_what_cannot_be_asked_is_said(query, words, tiny, client):
    for ending in ("", ".json"):
        answer = client.get(f"{tiny.base}/prompt{ending}", params={"text": TEXT, **query})
        assert answer.status_code == 400
        assert words in answer.text.replace("&#39;", "'").lower()
        if not ending and len(query.get("text", "")) < 1000:
            assert 'id="ask"' in answer.text, "what was typed stays"
            for name in query.keys() & {"feature", "amount"}:
                assert re.search(f'name="{name}"[^>]*value="{query[name]}"', answer.text)


def test_a_text_of_one_token_is_answered_after_line_breaks(tiny, client):
    found = client.get(f"{tiny.base}/prompt.json", params={"text": "a"}).json()
    assert found["padded"] and found["state"] == "read"
    assert "".join(t["text"] for t in found["tokens"]).strip("\n") == "a"
    for blank in ("\n\n", "  ", "\n"):
        white = client.get(f"{tiny.base}/prompt.json", params={"text": blank}).json()
        assert white["state"] == "read" and len(white["tokens"]) >= 3
    longer = client.get(f"{tiny.base}/prompt.json", params={"text": TEXT}).json()
    assert not longer["padded"]


def test_the_prompts_that_are_offered_are_of_the_indexed_text():
    """Whole sentences but for their last words, and lines where there are too few, as in code."""

    class Text:
        def __init__(self, *windows):
            self.windows = np.arange(len(windows))[:, None]
            self.words = lambda ids: {k: windows[k] for k in ids}

    prose = [
        "cut off here. He came to see the\nold house. ",
        "He left. Nobody knew where the others were. And",
    ]
    more = [f"One day the {noun} went out alone.\n" for noun in ("dog", "cat", "cow")]
    code = (
        "x = 1\ndef add(self, other):\n    return self + other\n    raise TypeError from error\nfo"
    )
    offered = searching.beginnings(Text(*prose, "1. " + "".join(more)))
    assert offered == (
        "Nobody knew where the others",
        *(f"One day the {noun} went out" for noun in ("dog", "cat", "cow")),
    )
    assert searching.beginnings(Text(code), 2) == ("def add(self,", "return self +")
    assert searching.beginnings(Text("a\nb")) == ()


def test_no_text_becomes_markup_or_turns_the_page(tiny, client):
    hostile = '</textarea><script>alert(1)</script>\u202e{{ 7 * 7 }}\x00\x1b[31m" onmouseover=x'
    page = client.get(f"{tiny.base}/prompt", params={"text": hostile[:50], "exact": 1})
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert "\u202e" not in page.text
    assert "\x00" not in page.text
    assert "</textarea><script" not in page.text and ">49<" not in page.text


def test_one_page_at_a_time_runs_a_model_and_few_wait(tiny, monkeypatch):
    library = tiny.library()
    client = TestClient(application(library), base_url="http://127.0.0.1")
    running = []
    most = []
    loaded = library.live.loaded(tiny.index)
    lock = threading.Lock()
    whole = Pretrained.run

    def slow(self, *args, **options):
        with lock:
            running.append(1)
            most.append(len(running))
        time.sleep(0.02)
        try:
            return whole(self, *args, **options)
        finally:
            with lock:
                running.pop()

    monkeypatch.setattr(Pretrained, "run", slow)
    with ThreadPoolExecutor(6) as pool:
        answers = list(
            pool.map(
                lambda i: client.get(
                    f"{tiny.base}/prompt.json", params={"text": f"{TEXT} {i}", "exact": 1}
                ),
                range(6),
            )
        )
    assert [a.status_code for a in answers] == [200] * 6
    assert max(most) == 1
    assert len(most) > 6
    monkeypatch.setattr(live, "WAITING", 0)
    busy = client.get(f"{tiny.base}/prompt", params={"text": "another text of words"})
    assert busy.status_code == 503 and "wait for this;" in busy.text
    monkeypatch.setattr(live, "WAITING", 8)
    monkeypatch.setattr(live, "PATIENCE", 0.05)
    with loaded.turn:
        answer = client.get(f"{tiny.base}/prompt", params={"text": "another text of words"})
    assert answer.status_code == 503 and "thers were first" in answer.text


def test_while_the_model_is_loaded_the_page_says_so(tiny, monkeypatch):
    library, gate = tiny.library(), threading.Event()
    client = TestClient(application(library), base_url="http://127.0.0.1")
    load = library.live._load
    monkeypatch.setattr(live, "SHOWN", 0.02)
    monkeypatch.setattr(library.live, "_load", lambda about: gate.wait(20) and load(about))
    for page, words in (
        (f"{tiny.base}/prompt", "Loading"),
        (f"{tiny.base}/3/activation", "Loading"),
        (f"{tiny.base}/steer", "Loading"),
    ):
        answer = client.get(page, params={"text": TEXT, "out": 3})
        assert answer.status_code == 200
        assert words in answer.text
        assert "hx-trigger" in answer.text
    gate.set()
    monkeypatch.setattr(live, "SHOWN", 60.0)
    assert (
        "Features that matter to" in client.get(f"{tiny.base}/prompt", params={"text": TEXT}).text
    )


def test_what_went_missing_or_changed_is_a_page_that_says_so(tiny, tmp_path):
    shutil.copytree(tiny.store, tmp_path / "store")
    shutil.copytree(tiny.model, tmp_path / "llama")
    about = next((tmp_path / "store/artefacts/index").glob("*/about.json"))
    one, was = tmp_path / "one.safetensors", about.read_text()
    tiny_world.made_up().save(one)

    def write(text):
        about.write_text(text)
        (about.parent / integrity.NOTE).write_bytes(integrity.described(about.parent))

    write(was)
    moved = Tiny(tmp_path / "store", tmp_path / "llama", tiny.index)

    def status():
        answer = TestClient(application(moved.library()), base_url="http://127.0.0.1").get(
            f"{tiny.base}/prompt", params={"text": TEXT}
        )
        return answer.status_code, answer.text.lower()

    assert status()[0] == 200
    tiny_world.made_up(seed=1).save(one)
    assert status()[0] == 409
    assert "another dictionary than the one that was indexed" in status()[1]
    one.unlink()
    assert status()[0] == 503 and "is not where it was" in status()[1]
    tiny_world.made_up().save(one)
    moved.model.rename(tmp_path / "gone")
    assert status()[0] == 503 and "no model" in status()[1]
    wide = tiny_models.make(tmp_path / "llama", "llama", hidden_size=32)
    assert status()[0] == 409
    assert "another model than the one that was indexed" in status()[1]
    write(was.replace(tiny.index.about.model_sha256, folder.find(str(wide)).fingerprint))
    assert status()[0] == 409
    assert "the dictionary reads 24 numbers per token" in status()[1]


def test_a_feature_without_a_maximum_in_the_index_has_no_share_of_it(tiny, client, monkeypatch):
    """As while the index is being made, or for one that is on in no indexed text."""
    query = {"params": {"text": TEXT, "token": 3}}
    before = client.get(f"{tiny.base}/prompt", **query).text
    assert "set to max" in before and ">•<" not in before
    monkeypatch.setattr(Index, "maxima", np.zeros(WIDTH))
    never = client.get(f"{tiny.base}/prompt", **query).text
    assert "set to max" not in never and ">•<" in never and "% of its maximum" not in never
