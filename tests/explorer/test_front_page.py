"""The first page: what a store holds, and what to type where it holds nothing."""

import json
import shutil
import subprocess
import sys

import pytest
from shelf import HOME, client, shelve, simulated


@pytest.fixture
def store(made, tmp_path):
    shelve(tmp_path / "store", "a" * 16, made, fvu=0.25)
    return tmp_path / "store"


def test_an_empty_store_says_what_to_type(tmp_path):
    page = client(tmp_path / "nowhere").get("/")
    assert page.status_code == 200
    assert "assay export DICTIONARY --format index" in page.text
    assert client(tmp_path).get("/.json").json()["dictionaries"] == []


def test_dictionaries_are_told_from_about_alone(store):
    for path in (store / "artefacts/index" / ("a" * 16)).iterdir():
        if path.name != "about.json":
            path.unlink()
    found = client(store).get("/.json").json()["dictionaries"]
    assert [(d["address"], d["fvu"], d["features"]) for d in found] == [
        ("model/made-up~text", 0.25, 40)
    ]
    assert f'<a href="{HOME}">' in client(store).get("/").text


def test_what_is_made_meanwhile_is_there(store, tmp_path):
    reader = client(store)
    assert len(reader.get("/.json").json()["dictionaries"]) == 1
    shelve(store, "b" * 16, simulated.made(tmp_path / "two"), name="second")
    assert [d["name"] for d in reader.get("/.json").json()["dictionaries"]] == ["made/up", "second"]
    assert reader.get("/model/second~text").status_code == 200
    shutil.rmtree(store / "artefacts/index" / ("b" * 16))
    assert reader.get("/model/second~text").status_code == 404


def test_two_indexes_of_one_name_have_two_addresses(store, tmp_path):
    shelve(store, "b" * 16, simulated.made(tmp_path / "two", width=50))
    found = client(store).get("/.json").json()["dictionaries"]
    assert sorted(d["features"] for d in found) == [40, 50]
    for d in found:
        assert client(store).get(f"/{d['address']}.json").json()["about"]["d_sae"] == d["features"]
        (other,) = (x["address"] for x in found if x is not d)
        assert (
            f'<a href="/{other}">{other}</a>, which differs in '
            in client(store).get(f"/{d['address']}").text
        )


def test_an_index_of_another_text_leaves_the_address_of_the_first_to_it(store, tmp_path):
    before = client(store).get(f"{HOME}.json").json()["features"]
    made = simulated.made(tmp_path / "two", width=50)
    shelve(store, "b" * 16, made, corpus="texts/of/docs", corpus_sha256="3" * 64)
    found = client(store).get("/.json").json()["dictionaries"]
    addresses = {"model/made-up~text": 40, "model/made-up~docs": 50}
    assert {d["address"]: d["features"] for d in found} == addresses
    assert client(store).get(f"{HOME}.json").json()["features"] == before
    without = client(store).get("/model/made-up/3.json")
    assert without.status_code == 404
    assert without.json()["error"].endswith("it has model/made-up~docs, model/made-up~text")


def test_of_one_reading_the_index_with_most_ablated_features_is_listed(store, tmp_path):
    more = {"ablated": 6, "fvu": 0.25}
    shelve(store, "b" * 16, simulated.made(tmp_path / "two"), **more)
    (only,) = client(store).get("/.json").json()["dictionaries"]
    assert (only["address"], only["taken_out"]) == ("model/made-up~text", 6)
    shelve(store, "c" * 16, simulated.made(tmp_path / "three", windows=12))
    found = [d["address"] for d in client(store).get("/.json").json()["dictionaries"]]
    assert found == ["model/made-up~text", "model/made-up~text~" + "b" * 6]
    page = client(store).get("/").text
    assert page.count("which differs in") == 1
    assert f"~{'b' * 6}, which differs in tokens read</span>" in page
    assert client(store).get(f"{HOME}.json").json()["beside"] == [], "the same dictionary"
    shelve(store, "d" * 16, simulated.made(tmp_path / "four"), dtype="bfloat16", **more)
    assert len(client(store).get("/.json").json()["dictionaries"]) == 3, "another reading"
    assert "differs in tokens read, dtype</span>" in client(store).get("/").text


def test_folders_that_are_being_made_or_are_something_else_are_not_shown(store):
    (store / "artefacts/index" / ("b" * 16 + ".partial")).mkdir()
    (store / "artefacts/index/README").mkdir()
    found = client(store).get("/.json").json()
    assert len(found["dictionaries"]) == 1 and found["broken"] == []


def test_no_page_from_an_index_loads_torch(store):
    code = """
import json, sys
from pathlib import Path
from starlette.testclient import TestClient
from assay.explorer.app import application
from assay.explorer.library import Library
store = Path(sys.argv[1])
client = TestClient(application(Library(store)), base_url="http://127.0.0.1")
home = "/model/made-up~text"
statuses = [client.get(page).status_code for page in ("/", home, home + "/3")]
print(json.dumps([statuses, sorted({"torch", "transformers", "vl_convert"} & set(sys.modules))]))
"""
    told = subprocess.run(
        [sys.executable, "-c", code, str(store)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    ).stdout
    assert json.loads(told) == [[200] * 3, []]
