"""What is broken, missing or asked wrongly has a page that says so in one sentence; nothing shows a traceback."""

import json
import shutil

import pytest
from shelf import HOME, client, shelve

from assay.explorer import app
from assay.features.index import reader

KEY = "a" * 16


@pytest.fixture
def store(made, tmp_path):
    shelve(tmp_path / "store", KEY, made)
    return tmp_path / "store"


def told(answer, status, *words):
    assert answer.status_code == status
    assert "Traceback" not in answer.text and "File &#34;" not in answer.text
    for word in words:
        assert word in answer.text, answer.text


@pytest.mark.parametrize("damage", ["{", "[]", "{}", '{"format": 999}', "\x00", ""])
def test_a_broken_index_is_named_on_the_first_page(store, damage):
    (store / "artefacts/index" / KEY / "about.json").write_text(damage)
    told(client(store).get("/"), 200, KEY, "cannot be read")
    told(client(store).get(HOME), 404, "cannot be read")


def test_a_table_that_is_gone_is_told(store):
    (store / "artefacts/index" / KEY / "features.parquet").unlink()
    told(client(store).get(HOME), 503, "features.parquet", "run assay index again")


def test_a_damaged_table_is_told(store):
    path = store / "artefacts/index" / KEY / "features.parquet"
    path.write_bytes(path.read_bytes()[:200])
    told(client(store).get(HOME), 503, "damaged")


def test_a_folder_that_vanishes_while_it_is_read_is_told(store):
    browser = client(store)
    assert browser.get(HOME).status_code == 200
    shutil.rmtree(store / "artefacts/index" / KEY)
    told(browser.get(HOME), 404, "o index of a dictionary")
    told(browser.get("/"), 200, "assay index DICTIONARY")


def test_tables_that_vanish_under_an_open_index_are_told(store, monkeypatch):
    monkeypatch.setattr(reader, "MOST_HELD", 0)  # as of a wide dictionary, whose tables are not held in memory
    browser = client(store)
    assert browser.get(HOME).status_code == 200
    for path in (store / "artefacts/index" / KEY).glob("*.parquet"):
        path.unlink()
    told(browser.get(f"{HOME}?sort=density"), 503, "damaged")
    told(browser.get(f"{HOME}/points"), 503, "damaged")


def test_an_index_of_another_width_than_its_dictionary_is_told(store):
    path = store / "artefacts/index" / KEY / "about.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"d_sae": 41}))
    told(client(store).get(HOME), 409, "40 features", "41")


@pytest.mark.parametrize(
    "query",
    ["sort=foo", "way=up", "page=0", "page=x", "page=99999999999999999999", "where=density", "where=density>=x", "where=density>=nan",
     "where=foo>=1", "where=density>=inf", "column=density", "column=density&compare=~&value=1", "x=class", "y=foo", "xscale=cubic",
     "sort=quantiles", "where=density>=1;DROP TABLE features", "&".join(["where=density>=0.1"] + [f"where=density>={i}" for i in range(30)])],
)  # fmt: skip
def test_what_cannot_be_asked_is_told(store, query):
    browser = client(store)
    told(browser.get(f"{HOME}?{query}"), 400)
    found = browser.get(f"{HOME}.json?{query}")
    assert found.status_code == 400 and found.json()["error"]


def test_near_words_are_offered(store):
    told(client(store).get(f"{HOME}?sort=densty"), 400, "did you mean density?")


@pytest.mark.parametrize("path", ["/x", "/a/b", "/model", "/model/none", "/static/none.js", "/experiments/none"])
def test_what_is_not_there_is_told(store, path):
    told(client(store).get(path), 404, '<a href="/">')


def test_a_mistake_of_the_program_shows_no_traceback(store, monkeypatch, caplog):
    def wrong(library, at, query):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(app, "ADDRESSES", (app.Address("/", wrong),))
    answer = client(store).get("/")
    told(answer, 500, "the terminal in which the server runs says where")
    assert "secret" not in answer.text and "ZeroDivisionError" in caplog.text
    assert "content-security-policy" in answer.headers
