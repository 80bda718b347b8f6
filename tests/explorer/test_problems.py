"""What is broken, missing or asked wrongly has a page that says so in one sentence; nothing shows a
traceback."""

import json
import shutil

import pytest
from shelf import HOME, client, shelve, simulated

from assay.explorer import app

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
    told(client(store).get(HOME), 503, "features.parquet", "make it again")


TABLES = ["features", "contexts", "logits", "neighbours", "feature_tokens", "tokens", "documents"]
FILES = [*(f"{name}.parquet" for name in TABLES), "windows.npy", "decoder.npy"]
PAGES = [
    "",
    "?sort=density",
    "/4",
    "/4.json",
    "/search",
    "/search?by=token&q=1",
    "/search?by=text&q=<12><13>",
    "/search?by=promoted&q=1",
    "/search?order=density",
    "/prompt",
    "/steer",
]


def half(data):
    return data[: len(data) // 2]


def holes(data):
    return data[:4] + bytes(0 if i % 3 else b for i, b in enumerate(data[4:-200])) + data[-200:]


def words(data):
    return b"not what it was"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("whole")
    shelve(root, KEY, simulated.made(root / "made"))
    shelve(root, "b" * 16, simulated.made(root / "other", seed=1), name="other")
    return root


DAMAGES = (half, holes, words)
GRID = [
    pytest.param(file, damage, marks=[] if j == i % len(DAMAGES) else pytest.mark.thorough)
    for i, file in enumerate(FILES)
    for j, damage in enumerate(DAMAGES)
]
"""Each file and each kind of damage always; all with all where the thorough tests are asked for."""


@pytest.mark.parametrize(("file", "damage"), GRID)
def test_whatever_is_damaged_the_page_names_the_file_and_says_what_to_do(
    whole, tmp_path, file, damage
):
    shutil.copytree(whole / "artefacts", tmp_path / "artefacts")
    path = tmp_path / "artefacts/index" / KEY / file
    path.write_bytes(damage(path.read_bytes()))
    browser = client(tmp_path)
    told_so = 0
    for page in [HOME + each for each in PAGES]:
        answer = browser.get(page)
        assert answer.status_code in (200, 503), (page, answer.text[-300:])
        if answer.status_code == 503:
            told(answer, 503, file, "make it again")
            told_so += 1
    assert told_so


def test_a_folder_that_vanishes_while_it_is_read_is_told(store):
    browser = client(store)
    assert browser.get(HOME).status_code == 200
    shutil.rmtree(store / "artefacts/index" / KEY)
    told(browser.get(HOME), 404, "o index of a dictionary")
    told(browser.get("/"), 200, "assay export DICTIONARY --format index")


def test_an_index_of_another_width_than_its_dictionary_is_told(store):
    path = store / "artefacts/index" / KEY / "about.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"d_sae": 41}))
    told(client(store).get(HOME), 409, "40 features", "41")


@pytest.mark.parametrize(
    "query",
    [
        "sort=foo",
        "way=up",
        "page=0",
        "page=x",
        "page=99999999999999999999",
        "where=density",
        "where=density>=x",
        "where=density>=nan",
        "where=foo>=1",
        "where=density>=inf",
        "column=density",
        "column=density&compare=~&value=1",
        "sort=histogram",
        "where=density>=1;DROP TABLE features",
        "&".join(["where=density>=0.1"] + [f"where=density>={i}" for i in range(30)]),
    ],
)
def test_what_cannot_be_asked_is_told(store, query):
    browser = client(store)
    told(browser.get(f"{HOME}?{query}"), 400)
    found = browser.get(f"{HOME}.json?{query}")
    assert found.status_code == 400 and found.json()["error"]


def test_near_words_are_offered(store):
    told(client(store).get(f"{HOME}?sort=densty"), 400, "did you mean density?</p>")


@pytest.mark.parametrize("path", ["/x", "/a/b", "/model", "/model/none", "/static/none.js"])
def test_what_is_not_there_is_told(store, path):
    told(client(store).get(path), 404, '<a href="/">')


@pytest.mark.parametrize("path", [f"{HOME}/99", f"{HOME}/none", f"{HOME}?sort=foo"])
def test_a_problem_of_a_dictionary_keeps_its_frame(store, path):
    page = client(store).get(path).text
    assert f'<a href="{HOME}">' in page and f'href="{HOME}/search"' in page
    elsewhere = client(store).get("/model/made").text
    assert "/search" not in elsewhere, "another name that begins alike"


def test_a_mistake_of_the_program_shows_no_traceback(store, monkeypatch, caplog):
    def wrong(library, at, query):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(app, "ADDRESSES", (app.Address("/", wrong),))
    answer = client(store).get("/")
    told(answer, 500, "the terminal in which the server runs says where")
    assert "secret" not in answer.text and "ZeroDivisionError" in caplog.text
    assert "content-security-policy" in answer.headers
