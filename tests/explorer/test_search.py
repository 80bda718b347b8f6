"""Search: what it lists is what a loop over the arrays finds, and every list says what it hides."""

import math
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from scipy.stats import binomtest
from shelf import client

from assay.explorer.pages import search
from assay.features.index.reader import Index
from assay.features.index.schema import COMPANIONS
from pages_world import BASE, HOSTILE, WORDS, words

SEARCH = f"{BASE}/search"
KNOWN = [*WORDS, *HOSTILE]


def told(world, address):
    html = world.client.get(address)
    assert html.status_code == 200, html.text[-400:]
    path, _, query = address.partition("?")
    return world.client.get(f"{path}.json?{query}").json()


def all_of(world, address):
    """The rows of the one list, through every page of it; each page says how many are not on it."""
    rows, offset = [], 0
    while True:
        page = told(world, f"{address}&offset={offset}")["lists"][0]
        assert page["hidden"] == page["total"] - len(page["rows"])
        rows += page["rows"]
        offset += search.ROWS
        if offset >= page["total"]:
            assert len(rows) == page["total"] and page["later"] is None
            return rows


def test_by_token_lists_the_features_that_a_loop_finds(world):
    token = KNOWN.index(" def")
    expected = {}
    for k in range(40):
        fired = Counter(int(t) for t in world.made.tokens[world.made.acts[..., k] > 0])
        kept = sorted(fired, key=lambda t: (-fired[t], t))[:COMPANIONS]
        if token in kept:
            expected[k] = (fired[token], fired[token] / sum(fired.values()))
    page = told(world, f"{SEARCH}?by=token&q=def")
    assert page["chosen"] == {"token": token, "text": " def"}
    rows = all_of(world, f"{SEARCH}?by=token&q=def")
    lower = [
        math.prod(
            binomtest(r["firings"], round(r["firings"] / r[of])).proportion_ci(method="wilson").low
            for of in ("share", "recall")
        )
        for r in rows
    ]
    assert lower == sorted(lower, reverse=True) and any(r["firings"] < 3 for r in rows)
    first = world.client.get(f"{SEARCH}?by=token&q=def").text
    grey = first.count('<tr class="few">')
    assert grey == sum(r["firings"] < 3 for r in rows[: search.ROWS])
    assert ("fewer than 3 times, which may be chance" in first) == (grey > 0)
    assert {r["feature"]: r["firings"] for r in rows} == {k: n for k, (n, _) in expected.items()}
    assert {r["feature"]: r["share"] for r in rows} == pytest.approx(
        {k: share for k, (_, share) in expected.items()}
    )


def test_a_feature_is_found_by_the_token_on_which_it_fires_most_strongly(world):
    expected: dict[int, list[int]] = {}
    for k in range(40):
        acts = world.made.acts[..., k]
        fired = Counter(int(t) for t in world.made.tokens[acts > 0])
        kept = sorted(fired, key=lambda t: (-fired[t], t))[:COMPANIONS]
        strongest = int(world.made.tokens.ravel()[acts.argmax()])
        if fired and strongest not in kept:
            expected.setdefault(strongest, []).append(k)
    assert expected
    for token, features in expected.items():
        address = f"{SEARCH}?by=token&q={quote(words([token])[0])}&id={token}"
        page = told(world, address)
        assert [r["feature"] for r in page["lists"][1]["rows"]] == features
        many = "1 feature:" if len(features) == 1 else f"{len(features)} features, by number:"
        assert f"{many} the strongest firing is on this token" in world.client.get(address).text


def test_a_list_of_one_has_no_order(world):
    totals = set()
    for token in told(world, f"{SEARCH}?by=promoted&q=e")["tokens"]:
        address = f"{SEARCH}?by=promoted&q=e&id={token['token']}"
        total = told(world, address)["lists"][0]["total"]
        totals.add(min(total, 2))
        ordered = "the highest logit first" in world.client.get(address).text
        assert ordered == (total > 1)
    assert {1, 2} <= totals


@pytest.mark.parametrize("by", ["token", "promoted", "suppressed"])
def test_a_token_says_how_many_features_its_list_has(world, by):
    for token in told(world, f"{SEARCH}?by={by}&q=e")["tokens"]:
        listing = told(world, f"{SEARCH}?by={by}&q=e&id={token['token']}")["lists"][0]
        assert token["features"] == listing["total"]
    assert ">0 features<" not in world.client.get(f"{SEARCH}?by={by}&q=e").text


def test_the_word_typed_is_meant_whatever_longer_words_contain_it():
    spelt = {"token": 1, "text": "return", "features": 2, "count": 5}
    spaced = {"token": 2, "text": " return", "features": 40, "count": 900}
    other = {"token": 3, "text": "returns", "features": 90, "count": 9}
    assert search._usual([spelt, spaced, other], "return") == 2, "the form with more features"
    assert search._usual([spelt, spaced | {"features": 2}, other], "return") == 1
    assert search._usual([spelt, spaced, other], " return") == 2
    assert search._usual([spelt | {"features": 0}, spaced, other], "return") == 2
    assert search._usual([other], "return") == 3
    unlisted = [row | {"features": 0} for row in (spelt, spaced)]
    assert search._usual([*unlisted, other], "return") == 1, "not another word that contains it"
    capital = {"token": 4, "text": " Return", "features": 3, "count": 2}
    assert search._usual([spelt, capital], "Return") == 4
    assert search._usual([capital, other], "return") == 4, "the same word but for a capital"


def test_the_form_with_the_most_features_is_listed_and_named(world, monkeypatch):
    """Of two tokens that differ by a space alone."""
    spaced = {"token": KNOWN.index(" def"), "text": " def", "count": 5}
    spelt = {"token": 99, "text": "def", "count": 5}
    said = "The list is of the form with the most features."
    for many, few in ((spaced, spelt), (spelt, spaced)):
        rows = [many | {"features": 3}, few | {"features": 1}]
        rows = [row | {"containing": 2, "listed": 2} for row in rows]
        monkeypatch.setattr(search.searching, "tokens_like", lambda *asked, rows=rows: rows)
        address = f"{SEARCH}?by=promoted&q=def"
        assert told(world, address)["chosen"]["token"] == many["token"]
        assert said in world.client.get(address).text
        assert said not in world.client.get(f"{address}&id={few['token']}").text


def test_where_no_token_that_contains_the_text_is_listed_the_note_says_so(world):
    listed = {t for k in range(40) for t, _ in Index(world.folder).feature(k).promoted}
    (bare, *_) = (
        f"ame{i}" for i in range(100, 299) if not any(f"ame{i}" in text for text in listed)
    )
    page = told(world, f"{SEARCH}?by=promoted&q={bare}")
    assert page["note"].endswith("No token that contains it has features listed.")
    assert "below" not in page["note"]


def test_tokens_are_grouped_by_how_they_match(world):
    tokens = told(world, f"{SEARCH}?by=token&q=name1")["tokens"]
    for token in tokens:
        text = token["text"].strip()
        assert token["match"] == (0 if text == "name1" else 1)
    shown = [token["match"] for token in tokens if token["shown"]]
    assert shown == sorted(shown) and 1 in shown
    page = world.client.get(f"{SEARCH}?by=token&q=ame1").text
    assert "Longer tokens that contain “ame1”" in page and "begin with" not in page


def test_a_number_that_cannot_be_told_from_0_is_grey_in_a_list(world, tmp_path):
    """First-order numbers are listed once ablations support them."""
    assert "first order" not in world.client.get(f"{SEARCH}?by=token&q=def").text
    store = Path(shutil.copytree(world.store, tmp_path / "store"))
    about = store / "artefacts/index" / world.folder.name
    replace(Index(about).about, ablated=40, agreement=0.9).write(about)
    world = replace(world, client=client(store))
    page = told(world, f"{SEARCH}?by=token&q=def")
    html = world.client.get(f"{SEARCH}?by=token&q=def").text
    cells = re.findall(r'data-name="first order, where on">(.*?)</td>', html)
    rows = page["lists"][0]["rows"]
    assert len(cells) == sum(len(listed["rows"]) for listed in page["lists"])
    for row, cell in zip(rows, cells, strict=False):
        low, high = row["gradient_low"], row["gradient_high"]
        assert ('class="quiet"' in cell) == (low is None or low <= 0 <= high)
        assert ("[" in cell) == (low is not None)
    assert "Grey: cannot be distinguished from 0" in html


def test_a_list_with_features_opens_and_says_that_the_token_itself_has_none(world):
    page = told(world, f"{SEARCH}?by=token&q=e")
    assert page["lists"][0]["total"] and page["chosen"]["text"].strip() != "e"
    assert "“e” itself is no token of this model's vocabulary. The list below" in page["note"]
    assert not told(world, f"{SEARCH}?by=token&q=def")["note"]


def test_a_token_without_features_says_whether_it_is_in_the_text(world):
    tokens = world.made.tokens
    listed = set()
    for k in range(40):
        fired = Counter(int(t) for t in tokens[world.made.acts[..., k] > 0])
        listed |= set(sorted(fired, key=lambda t: (-fired[t], t))[:COMPANIONS])
    counts = Counter(tokens.ravel().tolist())
    vocabulary = len(world.made.directions.unembedding.T)
    unlisted = [i for i in range(len(KNOWN), vocabulary) if i not in listed]
    (seen, *_), (unseen, *_) = ([i for i in unlisted if (i in counts) == is_in] for is_in in (1, 0))
    page = told(world, f"{SEARCH}?by=token&id={seen}&q={quote(words([seen])[0])}")
    assert f"occurs {counts[seen]} time" in page["note"]
    contexts = [told(world, f"{BASE}/{k}")["contexts"] for k in range(40)]
    fires = sum(any(c["ids"][c["at"]] == seen for c in kept) for kept in contexts)
    assert (f"{fires} feature" in page["note"]) == bool(fires) == bool(page["instead"])
    page = told(world, f"{SEARCH}?by=token&id={unseen}&q={quote(words([unseen])[0])}")
    assert "The indexed text does not contain the token “" in page["note"]
    assert not page["instead"]
    sentence = quote("The next word is " + words([unseen])[0].strip()).replace("%20", "+")
    assert page["prompt"] == f"{BASE}/prompt?text={sentence}&rows=size#heat"
    html = world.client.get(f"{SEARCH}?by=token&id={unseen}&q={quote(words([unseen])[0])}").text
    assert "let the model read “The next word is " in html
    assert not told(world, f"{SEARCH}?by=token&q=def")["prompt"]


def test_the_prompt_that_is_offered_contains_the_token(world, monkeypatch):
    """A model reads a word after a space as another token than at the start of a line."""
    index = Index(world.folder)
    spelt, spaced = ({"token": k, "text": text} for k, text in ((1, "river"), (2, " river")))
    tokens = {"river": 1, " river": 2}

    def encode(text):
        return [tokens.get(piece, 0) for piece in re.findall(r" ?river|\s|\S", text)]

    monkeypatch.setattr(search, "_encoder", lambda index: (encode, ""))
    for same, reads in (([spelt], "river"), ([spaced], " river"), ([spelt, spaced], " river")):
        found = search._elsewhere(index, BASE.strip("/"), "river", same)
        assert found["reads"] == reads
        assert found["sentence"].endswith("\nriver" if reads == "river" else " river")
    assert not search._elsewhere(index, BASE.strip("/"), "rivulet", [])["reads"]
    unseen = [row | {"count": 0} for row in (spelt, spaced)]
    both = search._unlisted(index, BASE.strip("/"), "river", unseen)
    assert "does not contain the token “river” or “·river”, so" in both["note"]


def test_an_unknown_token_leads_to_contexts(world):
    page = told(world, f"{SEARCH}?by=token&q=DEFenestrate")
    assert page["tokens"] == page["lists"] == []
    assert page["instead"] == f"{SEARCH}?by=text&q=DEFenestrate"
    answer = world.client.get(f"{SEARCH}?by=token&q=DEFenestrate").text
    assert "search for features that fire at the end of “DEFenestrate”" in answer


@pytest.mark.parametrize("by, sign", [("promoted", 1), ("suppressed", -1)])
def test_by_promoted_token_lists_the_features_that_a_product_finds(world, by, sign):
    d = world.made.directions
    logits = sign * (d.decoder.astype(np.float64) @ d.unembedding)
    for name in (" def", " name99"):
        token = KNOWN.index(name) if name in KNOWN else 99
        expected = {k for k in range(40) if token in np.argsort(-logits[k])[:10]}
        assert {r["feature"] for r in all_of(world, f"{SEARCH}?by={by}&q=x&id={token}")} == expected


def test_by_text_lists_features_that_are_on_at_its_last_token_in_a_kept_context(world):
    w, s = 3, 7
    ids = world.made.tokens[w, s - 1 : s + 1].tolist()
    text = "".join(words(ids))
    page = told(world, f"{SEARCH}?by=text&q={quote(text)}")
    found = {r["feature"] for listed in page["lists"] for r in listed["rows"]}
    contexts = {k: told(world, f"{BASE}/{k}")["contexts"] for k in range(40)}
    places = {
        (w, s)
        for w, s in zip(*np.nonzero(world.made.tokens == ids[1]), strict=True)
        if s and world.made.tokens[w, s - 1] == ids[0]
    }
    assert found == {
        k
        for k, kept in contexts.items()
        if any((c["window"], c["position"]) in places for c in kept)
    }
    assert found and "The model is not here" in page["note"]


@pytest.mark.parametrize(
    "asked",
    ["by=nothing&q=a", "by=token&q=" + "a" * 201, "by=token&q=a&offset=-1", "by=token&q=a&id=x"],
)
def test_what_cannot_be_searched_for_is_one_line(world, asked):
    answer = world.client.get(f"{SEARCH}?{asked}")
    assert answer.status_code == 400 and "Traceback" not in answer.text
    if "by=nothing" in asked:
        assert "is not a choice for by: token, text, promoted, suppressed.</p>" in answer.text


@pytest.mark.parametrize("q", [*HOSTILE, "<b>", "%", "_", "'", '"', "\\", "zzzz", " "])
@pytest.mark.parametrize("by", search.WAYS)
def test_whatever_is_searched_for_is_shown_and_not_obeyed(world, by, q):
    answer = world.client.get(f"{SEARCH}?by={by}&q={quote(q)}")
    assert answer.status_code == 200
    assert not re.search(
        '<script>alert|<img|<b>|[\u202a-\u202e\u2066-\u2069\x00\x1b]|onmouseover="', answer.text
    )


def test_a_number_leads_to_the_feature_unless_a_way_of_searching_is_chosen(world):
    corner = world.client.get(f"{SEARCH}?q=7", follow_redirects=False)
    assert (corner.status_code, corner.headers["location"]) == (303, f"{BASE}/7")
    form = world.client.get(f"{SEARCH}?by=token&q=7")
    assert f'Go to <a href="{BASE}/7">feature 7</a>' in form.text
    beyond = world.client.get(f"{SEARCH}?q=40")
    assert "There is no feature 40: the features are numbered 0 to 39." in beyond.text


def test_what_the_examples_search_for_is_in_the_text_and_found(world):
    form = world.client.get(SEARCH).text.partition("For example:")[2].partition("</form>")[0]
    links = [link.replace("&amp;", "&") for link in re.findall(r'href="([^"]*by=[^"]*)"', form)]
    assert links
    for address in links:
        found = told(world, address)
        assert found["chosen"]["text"] == found["q"] and found["lists"][0]["rows"]
        assert {row["text"]: row["count"] for row in found["tokens"]}[found["q"]] > 0
