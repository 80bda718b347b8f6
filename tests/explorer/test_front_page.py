"""The first page and the experiments: what a store holds, and what to type where it holds
nothing."""

import json
import shutil
import subprocess
import sys

import pytest
from shelf import HOME, client, shelve, simulated

from assay.explorer import experiments as serve
from assay.explorer.library import Experiments
from assay.lab import catalogue
from assay.report.overview import listed

EXPERIMENT = {
    "name": "toy",
    "title": "A toy",
    "recorded": {"holds": 2},
    "board": "● 2",
    "local": {"runs": 3, "results": {"default": {"holds": 1, "fails": 1}}},
}


@pytest.fixture
def store(made, tmp_path):
    shelve(tmp_path / "store", "a" * 16, made, fvu=0.25)
    return tmp_path / "store"


def test_an_empty_store_says_what_to_type(tmp_path):
    page = client(tmp_path / "nowhere").get("/")
    assert page.status_code == 200
    assert "assay export DICTIONARY --format index" in page.text
    assert "assay run superposition" in page.text
    assert client(tmp_path).get("/.json").json()["dictionaries"] == []


def test_dictionaries_are_told_from_about_alone(store):
    for path in (store / "artefacts/index" / ("a" * 16)).iterdir():
        if path.name != "about.json":
            path.unlink()
    found = client(store).get("/.json").json()["dictionaries"]
    assert [(d["address"], d["fvu"], d["features"]) for d in found] == [("model/made-up", 0.25, 40)]
    assert f'<a href="{HOME}">' in client(store).get("/").text


def test_what_is_made_meanwhile_is_there(store, tmp_path):
    reader = client(store)
    assert len(reader.get("/.json").json()["dictionaries"]) == 1
    shelve(store, "b" * 16, simulated.made(tmp_path / "two"), name="second")
    assert [d["name"] for d in reader.get("/.json").json()["dictionaries"]] == ["made/up", "second"]
    assert reader.get("/model/second").status_code == 200
    shutil.rmtree(store / "artefacts/index" / ("b" * 16))
    assert reader.get("/model/second").status_code == 404


def test_two_indexes_of_one_name_have_two_addresses(store, tmp_path):
    shelve(store, "b" * 16, simulated.made(tmp_path / "two", width=50))
    found = client(store).get("/.json").json()["dictionaries"]
    assert sorted(d["features"] for d in found) == [40, 50]
    for d in found:
        assert client(store).get(f"/{d['address']}.json").json()["about"]["d_sae"] == d["features"]


def test_folders_that_are_being_made_or_are_something_else_are_not_shown(store):
    (store / "artefacts/index" / ("b" * 16 + ".partial")).mkdir()
    (store / "artefacts/index/README").mkdir()
    found = client(store).get("/.json").json()
    assert len(found["dictionaries"]) == 1 and found["broken"] == []


def test_verdicts_stand_there_with_their_signs(store):
    reader = client(
        store,
        experiments=Experiments(
            lambda: (EXPERIMENT, {**EXPERIMENT, "name": "b", "local": {"runs": 0, "results": {}}})
        ),
    )
    page = reader.get("/").text
    assert "● 1 holds" in page and "✕ 1 fails" in page
    assert "2 experiments with their records</a>; 1 was run in this store" in page
    assert '<a href="/experiments/b">' in reader.get("/experiments").text


def test_a_study_of_ones_own_stands_beside_the_catalogue_and_has_its_page(store):
    from assay.lab.records.records import read
    from assay.lab.store.atomic import seal

    record = {k: v for k, v in read("superposition").items() if k != "arms"}
    outcomes = [v["outcome"] for v in record["verdicts"]]
    folder = store / "results/my-study"
    folder.mkdir(parents=True)
    (folder / "default.json").write_bytes(seal({**record, "experiment": "my-study"}))
    (store / "results/stray.txt").write_text("no folder")
    reader = client(store, experiments=serve.experiments(store))
    assert reader.get("/.json").json()["studies"] == [
        {"name": "my-study", "results": {"default": {o: outcomes.count(o) for o in outcomes}}}
    ]
    assert '<a href="/experiments/my-study">my-study, a study of yours</a>' in reader.get("/").text
    (store / "results/only-estimates").mkdir()
    (store / "results/only-estimates/default.json").write_bytes(
        seal({**record, "experiment": "only-estimates", "verdicts": [], "exact": []})
    )
    assert "– 1 estimate</span>" in reader.get("/").text
    page = reader.get("/experiments/my-study")
    assert page.status_code == 200 and "assay report FILE" in page.text
    assert reader.get("/experiments/my-study?preset=smoke").status_code == 404
    assert reader.get("/experiments/stray.txt").status_code == 404


def test_an_experiment_leads_to_those_of_its_dictionaries_that_are_indexed(store, tmp_path):
    shelve(store, "b" * 16, simulated.made(tmp_path / "two"), name="toy/0123abcd-main-s3")
    page = (
        client(store, experiments=Experiments(lambda: (EXPERIMENT, {**EXPERIMENT, "name": "b"})))
        .get("/experiments")
        .text
    )
    assert page.count('<a href="/model/toy-0123abcd-main-s3">0123abcd-main-s3</a>') == 1


def test_experiments_are_those_that_the_command_line_lists(store):
    found = (
        client(store, experiments=serve.experiments(store))
        .get("/experiments.json")
        .json()["experiments"]
    )
    told = {e.name: (dict(e.recorded), e.title) for e in listed(store).experiments}
    assert {e["name"]: (e["recorded"], e["title"]) for e in found} == told


def test_a_recorded_experiment_has_its_report_page(store):
    name = next(e.name for e in listed(store).experiments if e.recorded)
    answer = client(store, experiments=serve.experiments(store)).get(f"/experiments/{name}")
    assert answer.status_code == 200 and 'id="verdicts"' in answer.text
    assert "committed record" in answer.text
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "'self'" not in answer.headers["content-security-policy"]
    record = (
        client(store, experiments=serve.experiments(store)).get(f"/experiments/{name}.json").json()
    )
    assert record["experiment"] == name and record["verdicts"]


def test_a_verdict_that_a_contest_turned_says_so_on_its_report_page(store):
    """A regular pentagon that nobody trained uses up all capacity, too."""
    page = client(store, experiments=serve.experiments(store)).get("/experiments/capacity").text
    assert "by contest" in page.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize("preset", ["default", "smoke", "default-0123abcd"])
def test_a_stored_result_whose_runs_are_gone_is_still_shown(store, preset):
    from assay.lab.records.records import read
    from assay.lab.store.atomic import seal

    name = "superposition"
    record = {k: v for k, v in read(name).items() if k != "arms"}
    path = store / "results" / name / f"{preset}.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(seal(record))
    reader = client(store, experiments=serve.experiments(store))
    answer = reader.get(f"/experiments/{name}?preset={preset}")
    assert answer.status_code == 200 and "figures are missing" in answer.text
    assert f"/experiments/{name}" in reader.get("/").text
    assert reader.get(f"/experiments/{name}?preset=..%2Fother").status_code == 404


@pytest.mark.parametrize(
    "name",
    [
        "nothing",
        "../../pyproject.toml",
        "..%2F..%2Fpyproject.toml",
        "%2Fetc%2Fpasswd",
        "superposition.py",
    ],
)
def test_only_names_of_the_catalogue_are_experiments(store, name):
    asked = client(store, experiments=serve.experiments(store)).get(f"/experiments/{name}")
    assert asked.status_code == 404
    assert name not in {e.name for e in catalogue.entries()}


def test_no_page_from_an_index_loads_torch(store):
    code = """
import json, sys
from pathlib import Path
from starlette.testclient import TestClient
from assay.explorer.app import application
from assay.explorer.library import Library
from assay.explorer.experiments import experiments
store = Path(sys.argv[1])
client = TestClient(application(Library(store, experiments(store))), base_url="http://127.0.0.1")
statuses = [client.get(page).status_code for page in ("/", "/experiments", "/model/made-up", "/experiments/superposition")]
print(json.dumps([statuses, sorted({"torch", "transformers", "vl_convert"} & set(sys.modules))]))
"""  # noqa: E501
    told = subprocess.run(
        [sys.executable, "-c", code, str(store)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    ).stdout
    assert json.loads(told) == [[200] * 4, []]
