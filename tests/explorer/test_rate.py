"""The rating page: answers are those of the terminal, nothing says whose a feature is, and nobody
else can send an answer."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
from dataclasses import replace

import pytest
import rate_world
from rate_world import ARMS, World
from starlette.testclient import TestClient

from assay.cli import terminal
from assay.core.errors import AssayError
from assay.explorer.app import application, rating_application
from assay.explorer.library import Library
from assay.explorer.pages.rate import Sheet

HERE = "http://127.0.0.1"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> World:
    return rate_world.make(tmp_path_factory.mktemp("rate"))


@pytest.fixture
def world(drawn, tmp_path) -> World:
    shutil.copytree(drawn.folder, tmp_path / "rating")
    return replace(drawn, folder=tmp_path / "rating")


def client(world: World, rater: str = "ann") -> TestClient:
    return TestClient(
        rating_application(Sheet(world.rating(rater))), base_url=HERE, headers={"origin": HERE}
    )


def hidden(html: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', html))


def answer(browser: TestClient, key: str, words: str = "", page: str = "/rate") -> str:
    """Press a key on a page; gives the page that comes next."""
    asked = browser.get(page)
    told = browser.post("/rate", data=hidden(asked.text) | {"score": key, "words": words})
    assert told.status_code == 200, told.text
    return told.text


def test_answers_are_those_of_the_terminal(world, monkeypatch):
    keys = [str(1 + (7 * i) % 3) for i in range(24)]
    browser = client(world)
    for i, key in enumerate(keys):
        html = answer(browser, key, "plus and minus" if i == 3 else "")
    assert "All 24 are answered" in html and "assay rate" in html and "--results" in html
    typed = "".join(
        f"{key} plus and minus\n" if i == 3 else f"{key}\n" for i, key in enumerate(keys)
    )
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    assert terminal.ask(world.rating("bob"))
    ann, bob = (world.rating(rater).answers for rater in ("ann", "bob"))
    assert ann.answers == bob.answers and not ann.fault and len(ann.answers) == 24
    assert list(ann.answers) == list(bob.answers), "asked in the same order"


def test_page_and_terminal_take_turns_on_one_file(world, monkeypatch):
    browser = client(world)
    answer(browser, "1")
    monkeypatch.setattr(sys, "stdin", io.StringIO("3\nq\n"))
    terminal.ask(world.rating("ann"))
    answer(browser, "2")
    rating = world.rating("ann")
    assert [a.score for a in rating.answers.answers.values()] == [
        1.0,
        0.0,
        0.5,
    ] and not rating.answers.fault


def test_nothing_of_the_page_says_whose_a_feature_is(world):
    """Beside its passages the source of every item's page is the same, but for its number."""
    browser, rating = client(world), world.rating("ann")
    sources = set()
    for i, item in enumerate(rating.items):
        html = browser.get(f"/rate?item={i + 1}").text
        shown = re.search(r'<ol class="examples">.*?</ol>', html, re.DOTALL).group()
        tags = set(re.findall(r"<[^>]*>", shown))
        assert tags <= {
            '<ol class="examples">',
            "</ol>",
            "<li>",
            "</li>",
            '<span class="context">',
            "<span>",
            "</span>",
            "</b>",
            *(f'<b class="a{n}{more}">' for n in range(21) for more in ("", " fires")),
            '<span class="ws">',
        }
        frame = re.sub(r"\d+", "N", html.replace(shown, "").replace(hidden(html)["form"], ""))
        sources.add(re.sub(r'<nav class="pages".*?</nav>', "", frame, flags=re.DOTALL))
        told = rate_world.words(html.replace(shown, ""))
        assert not told & {*ARMS, "density", "decoder", "match", "arm", item.hash[:8]}
        assert not set(re.findall(r"made/up|elsewhere|artefacts", html))
        told = browser.get(f"/rate.json?item={i + 1}").json()
        assert set(told) == {"place", "of", "left", "rater", "passages", "given"} and all(
            set(passage) == {"tokens", "shades", "at"} for passage in told["passages"]
        )
    assert len(sources) == 1


def test_no_other_page_is_there_beside_it(world):
    browser = client(world)
    for page in ("/experiments", "/model/made-up", "/model/made-up/3"):
        assert browser.get(page).status_code == 404
    assert browser.get("/").url.path == "/rate"


def test_the_explorer_itself_has_no_such_page(world):
    browser = TestClient(application(Library(world.root)), base_url=HERE, headers={"origin": HERE})
    assert browser.get("/rate").status_code == 404 and browser.post(
        "/rate", data={"score": "1"}
    ).status_code in (404, 405)


@pytest.mark.parametrize(
    ("headers", "changed", "status"),
    [
        ({"origin": "http://evil.example"}, {}, 403),
        ({"origin": "null"}, {}, 403),
        ({"sec-fetch-site": "cross-site"}, {}, 403),
        ({}, {"form": "x"}, 403),
        ({}, {"form": ""}, 403),
        ({}, {"form": "ä"}, 403),
        ({}, {"score": "4"}, 400),
        ({}, {"score": ""}, 400),
        ({}, {"item": "25"}, 400),
        ({}, {"item": "0"}, 400),
        ({}, {"words": "x" * 201}, 400),
    ],
)
def test_only_this_page_can_send_an_answer(world, headers, changed, status):
    browser = client(world)
    form = hidden(browser.get("/rate").text) | {"score": "1"}
    assert browser.post("/rate", data=form | changed, headers=headers).status_code == status
    assert not world.rating("ann").answers.answers


def test_reading_never_answers_and_nobody_answers_without_saying_from_where(world):
    browser = client(world)
    form = hidden(browser.get("/rate").text) | {"score": "1"}
    browser.get("/rate", params=form)
    bare = TestClient(rating_application(Sheet(world.rating("ann"))), base_url=HERE)
    assert bare.post("/rate", data=form).status_code == 403
    assert not world.rating("ann").answers.answers


def test_an_answer_is_changed_by_going_back(world):
    browser = client(world)
    answer(browser, "1", "a word")
    html = browser.get("/rate?item=1").text
    assert (
        "Answered before: one meaning" in html
        and 'value="a word"' in html
        and 'aria-pressed="true"' in html
    )
    answer(browser, "3", page="/rate?item=1")
    rating = world.rating("ann")
    assert (
        rating.answers.answers[rating.items[0].hash].score == 0.0
        and len(rating.answers.answers) == 1
    )


def test_another_rater_who_goes_on_keeps_the_results_back(world):
    for _ in range(2):
        answer(client(world, "bob"), "1")
    browser = client(world)
    for _ in range(24):
        html = answer(browser, "2")
    assert "Another rater goes on" in html


def test_after_the_arms_were_shown_nothing_counts(world):
    browser = client(world)
    answer(browser, "1")
    form = hidden(browser.get("/rate").text)
    world.rating("ann").answers.show_arms()
    told = browser.post("/rate", data=form | {"score": "1"})
    assert told.status_code == 409 and "answers no longer count" in told.text
    with pytest.raises(AssayError, match="answers no longer count"):
        world.rating("ann")


def test_hostile_words_stay_words(world):
    browser = client(world)
    answer(browser, "2", '"><script>alert(1)</script>')
    assert "<script>alert" not in browser.get("/rate?item=1").text
    line = json.loads((world.folder / "ann.jsonl").read_text().splitlines()[1])
    assert line["words"] == '"><script>alert(1)</script>'


def test_a_folder_without_a_rating_says_how_to_begin_one(world, tmp_path):
    with pytest.raises(AssayError, match="begin one with: assay rate DICTIONARY"):
        replace(world, folder=tmp_path / "none").rating("ann")
