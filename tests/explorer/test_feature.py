"""A feature's page: its numbers are those of the arrays, its words follow from the numbers, and no
token of a text is obeyed."""

import re
import shutil
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from shelf import assert_obeys_the_policy, client

from assay.explorer import render, shading
from assay.explorer.pages import feature
from assay.features.index.reader import Index
from pages_world import BASE, HOSTILE

FEATURES = 40


@pytest.fixture(scope="module")
def index(world):
    return Index(world.folder)


class Parsed(HTMLParser):
    """A page as a browser reads it: tags with attributes, texts, and what was said of each
    token."""

    def __init__(self, html):
        super().__init__()
        self.tags = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        self.text += " " if tag in ("a", "dt", "dd", "td", "th", "p", "li", "h1") else ""

    def handle_data(self, data):
        self.text += data


def read(world, address):
    answer = world.client.get(address)
    assert answer.status_code == 200, answer.text[-300:]
    return Parsed(answer.text)


@pytest.mark.parametrize("reliable", [True, False])
def test_the_page_says_of_every_token_what_the_arrays_say(world, tmp_path, reliable):
    """Effects to first order are left out unless ablations support them."""
    if reliable:
        store = Path(shutil.copytree(world.store, tmp_path / "store"))
        about = store / "artefacts/index" / world.folder.name
        replace(Index(about).about, ablated=40, agreement=0.9).write(about)
        world = replace(world, client=client(store))
    k = 4
    page = read(world, f"{BASE}/{k}")
    acts, effects = world.made.acts[..., k], world.made.effects[..., k]
    listed = world.client.get(f"{BASE}/{k}.json").json()["contexts"]
    contexts = {(c["window"], c["position"]): c for c in listed}.values()  # each is shown once
    expected = Counter()
    for c in contexts:
        for i in range(len(c["ids"])):
            a = acts[c["window"], c["position"] - c["at"] + i]
            e = effects[c["window"], c["position"] - c["at"] + i] if reliable else None
            if a > 0:
                expected[f"a{render.level(a / acts.max())}", shading.format_tip(a, e)] += 1
    shown = Counter(
        (tag["class"].split()[0], tag["data-tip"])
        for name, tag in page.tags
        if name == "b" and "data-tip" in tag
    )
    assert shown == expected
    assert sum(
        "fires" in tag["class"].split()
        for name, tag in page.tags
        if name == "b" and tag.get("class")
    ) == len(contexts)


def test_a_positive_effect_of_taking_out_helps_and_a_negative_one_hurts():
    assert shading.format_tip(1.5, 0.02) == (
        "activation 1.50; without it here the loss of later tokens rises by 0.020 nats, to first "
        "order: it helps"
    )
    assert shading.format_tip(1.5, -0.02) == (
        "activation 1.50; without it here the loss of later tokens falls by 0.020 nats, to first "
        "order: it hurts"
    )
    assert shading.format_tip(1234.0, 99.9).startswith("activation 1,234; without")
    assert "rises by 100 nats" in shading.format_tip(1234.0, 99.9)
    assert shading.format_tip(1.5, None) == "activation 1.50"


def test_one_sentence_says_how_often_on_what_and_what_the_loss_is_without_it(world, index):
    words = {
        k: "".join(
            p if isinstance(p, str) else f"[{p['token']}]"
            for p in feature.sentence(index.feature(k), index)
        )
        for k in (0, 4, 5, 6, 7)
    }
    assert words[0] == (
        "It fired on none of the 744 tokens of this text: dead here, though perhaps not on "
        "another text."
    )
    share = (world.made.acts[..., 4] > 0).sum() / world.made.kept.sum()
    words = {k: text.replace("\N{NO-BREAK SPACE}", " ") for k, text in words.items()}
    assert words[4].startswith(
        "Ablating it raises the loss by 0.012 [0.010, 0.015] nats where it is on: it helps. It "
        f"fires on {100 * share:.3g}% of tokens, on many different ones, such as ["
    )
    assert words[5].startswith(
        "Ablating it lowers the loss by 0.031 [0.020, 0.042] nats where it is on: it hurts."
    )
    named = index.names(list(words))
    for k in (4, 5, 6):
        tokens = " or ".join(f"[{token}]" for token in named[k].tokens)
        before = f" of its firings come right before {tokens}, which it promotes"
        promoted = named[k].kind == "promoted"
        assert (before in words[k]) == promoted, "only where its name says so"
        at_name = f"{tokens} ({feature.percent(named[k].precision or 0, 2)} of its firings)"
        is_named = at_name.replace("\N{NO-BREAK SPACE}", " ") in words[k]
        assert is_named == (named[k].kind == "rule"), "of the tokens that its title has"
    for k in range(40):
        name, top = index.names([k])[k], [c for c in index.feature(k).contexts if c.kind == "top"]
        after = name.kind == "promoted"
        texts = [[*c.tokens, None][c.at + after] for c in top]
        same = [text for i, text in enumerate(texts) if {*texts[: i + 1]} == {texts[0]}]
        known = name.mixed or len(same) < 2 or same[0] in {None, *name.tokens}
        said = "".join(p for p in feature.sentence(index.feature(k), index) if isinstance(p, str))
        assert (f"its {len(same)} strongest contexts are " in said) != known
    why = "first-order estimates have not been checked against enough ablations yet."
    unknown = f"Its effect on the loss is unknown: it was not ablated, and {why}"
    assert words[7].startswith("It fires on ") and words[7].endswith(f" {unknown}")


def test_a_first_order_estimate_that_ablations_contradict_is_no_headline(world, index):
    about = replace(index.about, ablated=12, agreement=-0.021)
    row, ablated = index.feature(7).numbers, index.feature(4).numbers
    for many, word in ((12, "unchecked"), (40, "unreliable")):
        unknown = f"it was not ablated, and first-order estimates are {word} here."
        said = feature._worth(row, replace(about, ablated=many))
        assert said == f"Its effect on the loss is unknown: {unknown}"
    assert feature._worth(ablated, about).endswith(": it helps."), "it was measured"
    reliable = replace(about, ablated=40, agreement=0.9)
    assert feature._worth(row, reliable).startswith("To first order, on all of the text, ")
    assert "checked" not in feature._worth(row, reliable)
    unchecked = feature._worth(row, replace(about, ablated=0, agreement=None))
    why = (
        "it was not ablated, and first-order estimates have not been checked against ablations yet."
    )
    assert unchecked == f"Its effect on the loss is unknown: {why}", "even its sign may be wrong"
    context = next(c for c in index.feature(7).contexts if c.effects is not None)
    assert "to first order" in shading.line(context, 1.0).tokens
    assert "to first order" not in shading.line(context, 1.0, doubted=True).tokens


@pytest.mark.parametrize(("text", "shown"), [("\n", "↵"), (" ", "·"), (" a", "·a"), ("", "empty")])
def test_the_token_at_which_it_fires_is_never_an_empty_box(text, shown):
    markup = shading.tokens(["x", text], [0.0, 1.0], None, 1.0, 1)
    (box,) = re.findall(r"<b [^>]*>(.*?)</b>", markup)
    assert re.sub("<[^>]*>", "", box) == shown


def test_antipode_and_nearest_are_linked(world):
    page = read(world, f"{BASE}/2")
    links = [tag.get("href") for name, tag in page.tags if name == "a"]
    assert f"{BASE}/3" in links and "antipode 3" in page.text
    cosine = world.made.directions.decoder / np.linalg.norm(
        world.made.directions.decoder, axis=1, keepdims=True
    )
    cosine = cosine @ cosine.T
    np.fill_diagonal(cosine, 0)
    nearest = world.client.get(f"{BASE}/7.json").json()["neighbours"]["decoder"]
    order = np.argsort(-np.abs(cosine[7]))[:5]
    assert [r["other"] for r in nearest] == order.tolist()
    assert [r["cosine"] for r in nearest] == pytest.approx(cosine[7, order].tolist(), abs=1e-5)


def test_quarters_hold_the_even_sample_from_strong_to_weak(index):
    contexts = index.feature(4).contexts
    even = [c for c in contexts if c.kind == "even"]
    parts = feature.quarters(even)
    assert [name for name, _ in parts] == list(feature.QUARTERS)
    assert all(len(part) == 10 for _, part in parts)
    top = {(c.window, c.position) for c in contexts if c.kind == "top"}
    new = [c for c in even if (c.window, c.position) not in top]
    shown = [c for _, part in feature.quarters(contexts) for c in part]
    assert len(new) < len(even) and sorted(shown, key=even.index) == new, "none is shown twice"
    for (_, stronger), (_, weaker) in pairwise(parts):
        assert min(c.value for c in stronger) >= max(c.value for c in weaker)


def test_a_feature_that_was_not_ablated_says_how_it_can_be(world):
    """Which more are ablated is chosen by how often they fire, and not by name; a text of one's own
    ablates the feature that is asked."""
    for k, chosen in ((4, True), (6, True), (7, False), (11, False)):
        html = world.client.get(f"{BASE}/{k}").text
        assert ("this one may not be among them" in html) == (not chosen)
        assert 'id="yours"' in html


def test_a_quarter_has_a_range_only_where_its_ends_are_written_differently(world):
    ranges = []
    for k in range(40):
        found = re.findall(
            r"quarter: (\d+) shown, (.*?)</summary>", world.client.get(f"{BASE}/{k}").text
        )
        ranges += [(int(n), words.split(" to ")) for n, words in found]
    assert all(len(set(ends)) == len(ends) for _, ends in ranges)
    assert all(len(ends) == 1 for n, ends in ranges if n == 1)
    assert {len(ends) for _, ends in ranges} == {1, 2}


def test_following_another_visits_every_feature_that_fires_once(index):
    seen, at = [], 7
    for _ in range(len(index.alive)):
        at = feature.another(index, at)
        seen.append(at)
    assert sorted(seen) == index.alive.tolist() and 0 not in seen
    assert feature.another(index, 0) in seen


@pytest.mark.parametrize("k", range(FEATURES))
def test_no_page_has_a_number_that_is_none_or_obeys_a_token(world, k):
    answer = world.client.get(f"{BASE}/{k}")
    assert answer.status_code == 200
    page = Parsed(answer.text)
    assert not re.search(r"\b(nan|inf|None|undefined)\b", page.text)
    assert_obeys_the_policy(page.tags)
    assert {tag.get("src") for name, tag in page.tags if name == "script"} == {
        "/static/vendor/htmx-4.0.1/htmx.min.js",
        "/static/explorer.js",
        "/static/feature.js",
    }
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x1b]", answer.text)


def test_hostile_tokens_are_there_to_be_read(world):
    text = "".join(read(world, f"{BASE}/{k}").text for k in (1, 4, 5))
    assert HOSTILE[0] in text and "{{ 7 * 7 }}" in text and "&amp;" in text


@pytest.mark.parametrize("number", ["40", "99999999999999999999999", "-1", "4.5", "4e0", "०"])
def test_a_feature_that_is_not_there_is_said_to_be_missing(world, number):
    for ending in ("", ".json"):
        answer = world.client.get(f"{BASE}/{number}{ending}")
        assert answer.status_code == 404 and "Traceback" not in answer.text


def test_a_text_of_ones_own_without_the_model_says_why_and_shows_the_feature_all_the_same(world):
    page = read(world, f"{BASE}/4/activation?text=import+%3Cb%3E")
    assert "does not say where its dictionary is" in page.text
    assert "Where it fires" in page.text
    assert "import <b>" in page.text
