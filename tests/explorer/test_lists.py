"""A list of features: what it shows, the two files that it becomes, and what cannot be
listed."""

import csv
import io
import re

import pytest
from shelf import HOME, Tags, client, shelve, simulated
from starlette.testclient import TestClient

from assay.explorer.app import application
from assay.explorer.library import Library
from assay.explorer.pages import lists
from assay.explorer.render import environment
from assay.features.index import names
from assay.features.index.reader import Index


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("lists")
    folder = shelve(root, "a" * 16, simulated.made(root / "made"))
    shelve(root, "b" * 16, simulated.made(root / "other", seed=1), name="other", site="blocks.1.z")
    return root, client(root), Index(folder)


def test_a_list_has_its_features_in_their_order_with_names_and_contexts(world):
    _, browser, index = world
    found = browser.get(f"{HOME}/list.json?features=12,3,12").json()["features"]
    assert [f["feature"] for f in found] == [12, 3]
    ranged = browser.get(f"{HOME}/list.json?features=12,3-5,4").json()["features"]
    assert [f["feature"] for f in ranged] == [12, 3, 4, 5]
    named = index.names([12, 3])
    assert [f["name"]["score"] for f in found] == pytest.approx([named[k].score for k in (12, 3)])
    page = browser.get(f"{HOME}/list?features=12,3").text
    links = [attrs["href"] for tag, attrs in Tags(page).tags if tag == "a" and "download" in attrs]
    assert links == [f"{HOME}/list/{kind}?features=12%2C3" for kind in ("html", "csv")]
    assert page.count('class="context"') == 2


def test_what_a_name_does_not_cover_in_the_strongest_context_stands_beside_it(world):
    _, browser, index = world
    numbers = [k for k in range(40) if index.feature(k).contexts]
    also = lists.drawn(index, numbers)["also"]
    rules = 0
    for k in numbers:
        name, first = index.names([k])[k], index.contexts(k, "top")[0]
        if name.kind != "rule":
            continue
        rules += 1
        assert (k in also) == (first.tokens[first.at] not in name.tokens)
        shares = {row["text"]: row["share"] for row in index.feature(k).tokens}
        if k in also:
            text = first.tokens[first.at]
            assert also[k] == {"text": text, "share": shares.get(text)}
    assert rules and also
    k = next(iter(also))
    page = browser.get(f"{HOME}/list?features={k}").text
    assert re.search(r"also (before )?<q class=.tokens.>", page)


def test_a_mixed_name_is_said_to_be_mixed_in_words():
    mixed = names.Name("rule", (" a", "b"), score=0.1)
    assert lists.in_words(mixed).startswith("mixed, often “")
    assert "b" not in lists.in_words(mixed)[7:]
    precise = names.Name("rule", (" signal",), score=0.04, precision=0.95)
    assert lists.in_words(precise).startswith("some “")
    assert "signal" in lists.in_words(precise)
    title = environment().get_template("parts/name.html").module.title(precise)
    assert str(title).startswith('some <q class="tokens">') and "mixed" not in title


def test_the_file_of_names_is_what_serve_reads(world, tmp_path):
    root, browser, _ = world
    text = browser.get(f"{HOME}/list/csv?features=3,5").text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["feature"] for row in rows] == ["3", "5"]
    path = tmp_path / "names.csv"
    path.write_text(text.replace(rows[0]["words"], "my words", 1))
    library = Library(root, names=(HOME.strip("/"), path))
    with TestClient(application(library), base_url="http://127.0.0.1:8377") as renamed:
        assert "my words" in renamed.get(f"{HOME}/3").text
        assert renamed.get(f"{HOME}/3.json").json()["name"]["kind"] == "given"
    assert names.read(path, 40)[3].words == "my words"


def test_one_file_opens_without_a_server_and_runs_nothing_when_served(world):
    _, browser, _ = world
    answer = browser.get(f"{HOME}/list/html?features=3,5")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert {attrs["id"] for tag, attrs in Tags(answer.text).tags if tag == "main"} == {"f3", "f5"}


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("list?features=99", 400, "0 to 39"),
        ("list?features=12,9999,abc", 400, "&#39;9999&#39; is not a feature"),
        ("list?features=5-3", 400, "&#39;5-3&#39; is not a feature"),
        ("list?features=0-39,0-39,0-39", 400, "at most 100 features, got 120"),
        ("list?features=x", 400, "0 to 39"),
        (f"list?features={','.join(str(i % 40) for i in range(101))}", 400, "at most 100"),
        ("list/csv?features=", 400, "give features=12,40"),
        ("list/xml?features=1", 404, "html or csv"),
    ],
)
def test_what_cannot_be_listed_is_said(world, query, status, words):
    answer = world[1].get(f"{HOME}/{query}")
    assert answer.status_code == status and words in answer.text


def test_an_empty_list_says_how_to_fill_it(world):
    assert "Nothing is in it yet" in world[1].get(f"{HOME}/list").text


def test_the_picker_goes_to_each_other_dictionary_with_the_same_question(world):
    page = world[1].get(f"{HOME}/prompt").text
    links = [attrs.get("href") for tag, attrs in Tags(page).tags if tag == "a"]
    assert "/model/other/prompt" in links
