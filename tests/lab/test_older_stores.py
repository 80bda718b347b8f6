"""Stores that older versions of Assay wrote are read as they are, and not written into where their
files have no hashes.

Each archive in tests/fixtures/stores was written by a commit of this repository (README.md there):
mostly its walk.py run whole, its stopped.py stopped at step 2.
"""

import copy
import hashlib
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

import store_contract
from assay.cli.main import main
from assay.core import integrity
from assay.core.errors import StoreError
from assay.dictionaries.formats import load
from assay.jobs.folder import Job, cancel
from assay.jobs.runner import Runner
from assay.lab.judge import recording
from assay.lab.records import records
from assay.lab.store.atomic import seal, unseal
from assay.lab.store.store import Store

STORES = Path(__file__).parents[1] / "fixtures" / "stores"
OLDER = ("without-hashes", "looks-frozen", "hashes-of-files")
"""Before every file of a store was hashed."""
PRESENT = ("hashes-of-blocks", "registrations")
WHERE = ("--preset", "smoke", "--root", "store")


def unpacked(tmp_path, name):
    with tarfile.open(STORES / f"{name}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    integrity._verified_states.clear()
    return tmp_path


@pytest.fixture
def old(tmp_path, monkeypatch, request):
    monkeypatch.chdir(unpacked(tmp_path, request.param))
    return tmp_path / "store"


def contents(root, *but):
    files = [
        p
        for p in sorted(root.rglob("*"))
        if p.is_file() and not {*but} & set(p.relative_to(root).parts)
    ]
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in files}


def told(capsys, *words, code=0):
    assert main([*words]) == code, capsys.readouterr()
    return capsys.readouterr()


@pytest.mark.parametrize("old", [*OLDER, *PRESENT], indirect=True)
def test_every_stores_runs_are_read_and_nothing_is_written(old, capsys):
    before = contents(old)
    assert len(list(Store(old).list())) == 6 and not list(Store(old).damaged())
    ends = {
        s.arm + str(json.loads(s.spec_json)["seed"]): float(s.measures()["end"])
        for s in Store(old).list()
    }
    # what walk.py does
    assert ends["far0"] == pytest.approx(ends["main0"] + 10)
    assert ends["far1"] == pytest.approx(ends["main1"] + 10)
    plan = json.loads(told(capsys, "plan", "walk.py", *WHERE, "--json").out)
    assert (plan["cached"], plan["missing"]) == (6, 0)
    shown = json.loads(told(capsys, "show", "walk.py", *WHERE, "--json").out)
    found = {f["text"]: f["estimate"] for f in shown["findings"]}
    assert found["Where it ends"] == pytest.approx(np.mean([ends["main0"], ends["main1"]]))
    assert "damaged" not in told(capsys, "doctor", "--root", "store").out
    assert contents(old) == before


@pytest.mark.parametrize("old", PRESENT, indirect=True)
def test_a_store_of_this_kind_is_gone_on_with(old, capsys):
    assert not Store(old).older
    told(capsys, "run", "walk.py", *WHERE, "--executor", "inline")
    # stops itself at step 2
    told(capsys, "run", "stopped.py", *WHERE, "--executor", "inline", code=130)
    assert not [
        harm
        for harm in json.loads(told(capsys, "doctor", "--root", "store", "--json").out)["checks"]
        if "damaged" in harm["about"]
    ]


@pytest.mark.parametrize("old", OLDER, indirect=True)
def test_nothing_is_written_into_a_store_without_hashes(old, capsys):
    before = contents(old)
    said = told(capsys, "run", "walk.py", *WHERE, "--executor", "inline", code=2).err
    assert "was written by an older Assay, and can only be read" in said
    assert said.count("\n") == 1
    assert "older store" in told(capsys, "doctor", "--root", "store").out
    assert contents(old, "locks") == before
    assert main(["report", "walk.py", *WHERE, "--out", "pages"]) == 0
    assert "The walk ends above" in Path("pages/walk-smoke.html").read_text()


def test_a_dictionary_of_the_first_version_reconstructs_as_it_did(tmp_path):
    from safetensors.torch import load_file

    home = unpacked(tmp_path, "dictionary") / "d"
    found = load(home / "dictionary.safetensors")
    expected = load_file(home / "expected.safetensors")
    assert torch.equal(found.decode(found.encode(expected["x"])), expected["y"])


def test_an_index_with_fewer_columns_is_read_and_lacks_only_those(tmp_path):
    from assay.features.index.reader import Index
    from assay.features.index.schema import TABLES

    (folder,) = (unpacked(tmp_path, "index-of-fewer-columns") / "store/artefacts/index").iterdir()
    rows = Index(folder).query("SELECT * FROM features ORDER BY feature")
    assert len(rows) == 20
    assert set(rows[0]) == {column.name for column in TABLES["features"]}
    assert {row["gradient_low"] for row in rows} == {None}
    assert sum(row["firings"] for row in rows) > 0
    assert Index(folder).feature(3).numbers["firings"] == rows[3]["firings"]


NEWER = "this version reads up to 1"


@pytest.mark.parametrize("name", ["store.json", "results/walk/smoke.json"])
def test_what_a_newer_version_wrote_is_one_line_that_says_upgrade(
    tmp_path, monkeypatch, capsys, name
):
    home = unpacked(tmp_path, "registrations")
    monkeypatch.chdir(home)
    path = home / "store" / name
    data = {k: v for k, v in json.loads(path.read_text()).items() if k != "sha256"}
    newer = {**data, "format": 2} if name == "store.json" else {**data, "schema": 2}
    path.write_bytes(json.dumps(newer).encode() if name == "store.json" else seal(newer))
    before = hashlib.sha256(path.read_bytes())
    if name == "store.json":
        said = told(capsys, "show", "walk.py", *WHERE, code=2).err
        assert NEWER in said and "upgrade" in said and said.count("\n") == 1
    else:
        with pytest.raises(StoreError, match=f"schema 2, {NEWER}; upgrade Assay"):
            unseal(path)
    main(["doctor", "--clean", "--root", "store"])
    assert hashlib.sha256(path.read_bytes()).digest() == before.digest(), "and it is left as it is"


def test_a_record_of_the_first_version_is_what_runs_of_this_one_are_compared_with(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(unpacked(tmp_path, "record"))
    told(capsys, "run", "walk.py", *WHERE, "--executor", "inline")
    assert told(capsys, "verify", "walk.py", *WHERE).out == "walk: as recorded\n"
    said = copy.deepcopy(records.read("walk", "walk.py"))
    said["verdicts"][0]["outcome"] = "holds"
    recording.save(Path("records/walk.json"), said)
    assert "walk: as recorded" not in told(capsys, "verify", "walk.py", *WHERE, code=1).out


@pytest.fixture
def old_jobs(tmp_path):
    """What the first version of jobs left: one that is done, and one that waits."""
    root = unpacked(tmp_path, "jobs") / "store"
    jobs = [Job(root, path.name) for path in (root / "jobs").iterdir()]
    done, waits = sorted(jobs, key=lambda job: job.state.order)
    assert (done.state.status, waits.state.status) == ("done", "queued")
    return root, done, waits


def test_jobs_of_the_first_version_are_answered_and_cancelled(old_jobs):
    root, done, waits = old_jobs
    assert done.asked["runs"] == 8
    (verdict,) = done.result["verdicts"]
    assert verdict["text"].startswith("More than half of the features are represented")
    assert verdict["n"] == {"seed": 2}
    assert cancel(root, waits.key).state.status == "cancelled"


@pytest.mark.thorough
def test_a_job_that_waits_since_the_first_version_meets_the_rules_of_this_one(old_jobs):
    """Its claim averages over features and does not say so."""
    root, _, waits = old_jobs
    Runner(root, options=("--executor", "inline")).run(until_idle=True)
    assert waits.state.status == "failed" and "varies over feature" in waits.state.error


def test_a_finished_store_of_format_1_opens_from_a_folder_that_is_only_read():
    store = Store(Path(__file__).parents[1] / "golden" / "store-1")
    assert {
        (s.status, s.arm, s.measured, store_contract.Sample.from_json(s.spec_json).seed)
        for s in store.list()
    } == {("done", "main", 2, 3), ("diverged", "main", 2, 4)}
    assert list(store.damaged()) == []
    job, data, trained = store_contract.sample(3)
    found = store.get(job.key)  # keys never move
    assert found.inputs == {"model": "abc"}
    for name in data.data_vars:
        assert (found.measures()[name].fillna(-1) == data[name].fillna(-1)).all()
    assert (found.trained().tensors["W"] == trained.tensors["W"]).all()
