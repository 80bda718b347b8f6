"""The store beyond its contract: damage, newer formats, clashes of short names, full disks, and
reading without writing."""

import itertools
import json
import threading

import numpy as np
import pytest
import torch

from assay.core.errors import StoreError
from assay.lab.store.runs import Damaged
from assay.lab.store.store import Store
from store_contract import sample
from stored_bytes import put


def stored(tmp_path, seed=1):
    store = Store(tmp_path / "s")
    job, data, trained = sample(seed)
    return store, job, put(store, job, data, trained)


@pytest.mark.parametrize(
    ("file", "change", "says"),
    [
        ("measures.safetensors", lambda b: b[:-1], "measures.safetensors has"),
        (
            "measures.safetensors",
            lambda b: b[:-1] + bytes([b[-1] ^ 1]),
            "measures.safetensors differs",
        ),
        ("params.safetensors", lambda b: b[:-1], "params.safetensors has"),
        ("spec.json", lambda b: b.replace(b"main", b"mein"), "spec.json differs"),
        ("status.json", lambda b: b[: len(b) // 2], "status.json"),
        ("status.json", lambda b: b"[]", "status.json"),
        ("inputs.json", None, "inputs.json cannot be read"),
    ],
)
def test_damage_is_named_and_never_reused(tmp_path, file, change, says):
    store, job, found = stored(tmp_path)
    path = found.folder / file
    path.write_bytes(change(path.read_bytes())) if change else path.unlink()
    bad = store.find(job.key)
    assert isinstance(bad, Damaged)
    assert says in bad.reason
    assert store.get(job.key) is None
    assert [d.folder for d in store.damaged()] == [found.folder]
    _, data, trained = sample(1)
    again = put(store, job, data, trained)
    assert again.folder == found.folder
    assert list(store.damaged()) == []


def test_damaged_parameters_are_found_when_they_are_loaded(tmp_path):
    store, job, found = stored(tmp_path)
    path = found.folder / "params.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(StoreError, match=r"params\.safetensors is damaged"):
        store.get(job.key).trained()


def test_a_clash_of_short_names_lengthens_the_later_one(tmp_path):
    store, job, found = stored(tmp_path)
    base = store.root / "runs" / "sample"
    other, data, trained = sample(2)
    # as if the first run, of the same seed, had a key that begins with the same 8 digits
    found.folder.rename(base / f"{other.key[:8]}-main-s2")
    spec = base / f"{other.key[:8]}-main-s2" / "spec.json"
    assert json.loads(spec.read_text())["key"] == job.key
    second = put(store, other, data, trained)
    assert second.folder.name.startswith(other.key[:16] + "-")
    assert store.get(other.key).folder == second.folder


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"format": 99}', "has format 99, this version reads up to 1; upgrade"),
        ("not json", "is damaged"),
        ("{}", "is damaged"),
    ],
)
def test_other_stores_are_refused_in_one_line(tmp_path, text, says):
    (tmp_path / "store.json").write_text(text)
    with pytest.raises(StoreError, match=says) as e:
        Store(tmp_path)
    assert "\n" not in str(e.value)


def test_a_folder_in_which_a_run_waits_for_its_turn_is_opened(tmp_path):
    (tmp_path / "locks").mkdir()
    assert Store(tmp_path).root == tmp_path


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(StoreError, match=r"no store\.json but holds thesis\.tex"):
        Store(tmp_path)
    with pytest.raises(StoreError, match="a store is a folder"):
        Store(tmp_path / "thesis.tex")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_artefacts_are_shared_and_continued(tmp_path):
    store = Store(tmp_path / "s")
    specs = [sample(i)[0].spec for i in range(6)]
    built, gate, entered = [], threading.Barrier(2), itertools.count()

    def build(spec, folder):
        if next(entered) < 2:
            # both builders are inside at once, so neither waits for the other
            gate.wait(timeout=10)
        built.append(spec.seed)
        (folder / "x").write_text(str(spec.seed))

    results = []
    threads = [
        threading.Thread(target=lambda: results.append(Store(store.root).artefacts(specs, build)))
        for _ in range(2)
    ]
    [t.start() for t in threads]
    [t.join(30) for t in threads]
    assert sorted(built) == list(range(6))
    assert results[0] == results[1]
    assert [(p / "x").read_text() for p in results[0]] == [str(i) for i in range(6)]


def test_a_folder_that_another_process_removed_first_is_gone(tmp_path):
    store = Store(tmp_path)
    folder = tmp_path / "groups" / "0123"
    folder.mkdir(parents=True)
    store.remove(folder)
    store.remove(folder)
    assert not folder.exists()


def test_cleaning_removes_only_what_is_old(tmp_path):
    store, _, _ = stored(tmp_path)
    (store.root / "tmp" / "left").mkdir()
    (store.root / "tmp" / "left" / "x").write_text("abc")
    assert store.clean() == 0
    assert store.clean(older=0) == 3
    assert list((store.root / "tmp").iterdir()) == []


def test_parameters_watched_along_the_way_are_stored_too():
    """`watched` names them W/at; only histories and their steps are told apart by a slash."""
    from assay.core.fit import Trained
    from assay.lab.store.runs import dump_trained, load_trained

    tensors = {"W": torch.ones(1, 2), "W/at": torch.arange(6.0).view(1, 3, 2)}
    trained = Trained(tensors, {}, {"loss": np.ones((1, 4))}, np.arange(1, 5), np.array([False]))
    again = load_trained(dump_trained(trained))
    assert set(again.tensors) == {"W", "W/at"}
    assert set(again.history) == {"loss"}
    assert again.steps.tolist() == [1, 2, 3, 4]
    torch.testing.assert_close(again.tensors["W/at"], tensors["W/at"])


def test_a_store_that_nobody_names_is_that_of_every_command(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSAY_ROOT", str(tmp_path / "mine"))
    assert Store().root == tmp_path / "mine" and Store(tmp_path).root == tmp_path
    monkeypatch.delenv("ASSAY_ROOT")
    assert str(Store().root) == "assay-store"
