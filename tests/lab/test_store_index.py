"""The index of a large store: whatever happens to files, to the index or at the same time, it gives
what reading every file gives, and it is really asked."""

import os
import random
import shutil
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from assay.lab.store import index
from assay.lab.store.runs import Stored
from assay.lab.store.store import Store
from store_contract import sample

RUNS = 8


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store of a few runs, of which an index is kept at once."""
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(index, "WORTH", 1)
    monkeypatch.setattr(index, "SETTLED", 0.0)
    store = Store(tmp_path / "s")
    for seed in range(RUNS):
        put(store, seed)
    return store


def put(store, seed, **changes):
    job, data, trained = sample(seed)
    about = {
        "cpu_seconds": 0.5 + seed,
        "sessions": [[1, 2.5]],
        "machine": {"cores": 2, "cpu": "ø"},
        "texts": {"train": {"a": "0" * 8}, "measure": {}},
        **changes,
    }
    return store.put(job, data, trained if seed % 2 else None, {"model": "f" * 12}, about)


def name(store):
    (folder,) = (store.root / "runs").iterdir()
    return folder.name


@pytest.fixture
def opened(monkeypatch):
    """The folders that were opened."""
    folders, at = [], Store.at
    monkeypatch.setattr(
        Store, "at", lambda self, folder: folders.append(folder) or at(self, folder)
    )
    return folders


def same(store):
    """Whether the index gives what the files say, twice; what it gives."""
    given = index.every(store, name(store))
    assert given == list(store.every(name(store)))
    assert [list(run.provenance) for run in given if isinstance(run, Stored)] == [
        list(run.provenance) for run in store.list(name(store))
    ], "in the same order"
    assert index.every(store, name(store)) == given
    return given


def file(tmp_path):
    (path,) = (tmp_path / "cache/runs").glob("*.sqlite")
    return path


def tick(path):
    """Wait until a change of this file has another time."""
    before, probe = path.stat().st_ctime_ns, path.with_name("probe")
    while True:
        probe.touch()
        if probe.stat().st_ctime_ns > before:
            return probe.unlink()


def tree(folder):
    return {
        p: (p.stat().st_mtime_ns, p.read_bytes() if p.is_file() else b"") for p in folder.rglob("*")
    }


def test_what_is_known_is_not_opened_again_and_the_store_is_not_written(store, opened):
    before = tree(store.root)
    given = same(store)
    assert len(given) == RUNS and len(opened) == RUNS
    opened.clear()
    same(store)
    assert opened == [] and tree(store.root) == before


def test_small_experiments_and_files_that_may_still_change_are_not_kept(
    store, monkeypatch, tmp_path, opened
):
    monkeypatch.setattr(index, "SETTLED", 3600.0)
    same(store)
    assert len(opened) == 2 * RUNS
    monkeypatch.setattr(index, "SETTLED", 0.0)
    monkeypatch.setattr(index, "WORTH", RUNS + 1)
    same(store)
    assert not list(tmp_path.glob("cache/runs/*"))


def test_runs_that_come_go_and_are_stored_anew_are_seen(store, opened):
    shutil.rmtree(next(run.folder for run in same(store) if seed(run) == 2))
    assert len(same(store)) == RUNS - 1
    put(store, 99)
    put(store, 1, finished="later")
    opened.clear()
    again = same(store)
    assert sorted(map(seed, again)) == [0, 1, 3, 4, 5, 6, 7, 99]
    assert len(opened) == 2, "these two alone"
    assert [seed(r) for r in again if r.provenance.get("finished") == "later"] == [1]


@pytest.mark.parametrize(
    "part",
    ["measures.safetensors", "params.safetensors", "spec.json", "provenance.json", "status.json"],
)
@pytest.mark.parametrize("how", ["in place", "in place, its time set back", "renamed", "gone"])
def test_a_file_that_was_changed_is_read_whatever_its_times_say(store, part, how):
    run = next(r for r in same(store) if isinstance(r, Stored) and r.has_params)
    path = run.folder / part
    text, times = path.read_bytes(), path.stat()
    tick(path)
    if how == "gone":
        path.unlink()
    elif how == "renamed":
        path.with_suffix(".new").write_bytes(text[:-1] + bytes([text[-1] ^ 1]))
        path.with_suffix(".new").replace(path)
    else:
        with path.open("r+b") as f:
            f.write(bytes([text[0] ^ 1]))
        if "set back" in how:
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    given = same(store)
    # of parameters the length is looked at, by either
    damaged = part != "params.safetensors" or how == "gone"
    assert sum(not isinstance(r, Stored) for r in given) == damaged
    path.unlink(missing_ok=True)
    path.write_bytes(text)
    assert all(isinstance(r, Stored) for r in same(store))


def test_another_store_in_the_same_place_is_another(store, tmp_path):
    same(store)
    store.root.rename(tmp_path / "old")
    other = Store(store.root)
    for seed in range(RUNS):
        put(other, seed, finished="in the other")
    assert all(run.provenance["finished"] == "in the other" for run in same(other))


def test_an_index_that_is_damaged_anywhere_costs_time_alone(store, tmp_path):
    same(store)
    path, draw = file(tmp_path), random.Random(7)
    whole = path.read_bytes()
    for _ in range(150):
        text = bytearray(whole)
        for _ in range(draw.choice([1, 1, 8, 64])):
            text[draw.randrange(len(text))] ^= 1 << draw.randrange(8)
        path.write_bytes(text)
        same(store)


@pytest.mark.parametrize("text", [b"", b"no database", b"SQLite format 3\0" + bytes(84)])
def test_what_is_no_index_is_made_anew(store, tmp_path, text, opened):
    same(store)
    path = file(tmp_path)
    for broken in (text, path.read_bytes()[:5000]):
        path.write_bytes(broken)
        same(store)
        opened.clear()
        same(store)
        assert opened == [], "whole again"
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE runs (something, else_)")
    same(store)
    opened.clear()
    same(store)
    assert opened == []


def test_another_text_of_assay_does_not_read_it(store, monkeypatch, opened):
    same(store)
    monkeypatch.setattr(index, "_text", lambda: "another")
    opened.clear()
    same(store)
    assert len(opened) == RUNS


def test_a_cache_that_cannot_be_written_is_no_matter(store, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "file"))
    assert len(same(store)) == RUNS


def test_one_that_another_process_writes_is_passed_by(store, tmp_path, monkeypatch):
    same(store)
    monkeypatch.setattr(index, "WAIT", 0.01)
    with sqlite3.connect(file(tmp_path), isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        put(store, 50)
        assert len(same(store)) == RUNS + 1
        other.execute("ROLLBACK")
    assert file(tmp_path).exists(), "it was whole"


def test_indexes_that_nobody_asked_for_are_deleted(store, tmp_path):
    same(store)
    old = file(tmp_path).with_name("0123456789abcdef.sqlite")
    old.write_bytes(b"")
    os.utime(old, (0, time.time() - index.UNUSED - 9))
    put(store, 70)
    same(store)
    assert not old.exists()


def test_many_may_ask_while_runs_come_and_go(store):
    experiment, ended, wrong = name(store), threading.Event(), []

    def ask():
        while not ended.is_set():
            try:
                for run in index.every(store, experiment):
                    if isinstance(run, Stored) and run.provenance["cpu_seconds"] != 0.5 + seed(run):
                        wrong.append(run)
            except Exception as e:
                wrong.append(e)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for t in threads:
        t.start()
    for i in range(30):
        put(store, 100 + i % 7)
        if i % 3 == 2:
            folder: Path = put(store, 200).folder
            store.remove(folder)
    ended.set()
    for t in threads:
        t.join()
    assert wrong == []
    same(store)


def seed(run):
    return int(run.folder.name.rpartition("-s")[2])


def test_what_is_gone_leaves_the_index(store, tmp_path):
    shutil.rmtree(same(store)[0].folder)
    same(store)
    with sqlite3.connect(file(tmp_path)) as rows:
        assert rows.execute("SELECT count(*) FROM runs").fetchone() == (RUNS - 1,)
