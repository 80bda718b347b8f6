"""Intact: an artefact in which anything was changed is named, set aside and built again; it is never computed on."""

from dataclasses import dataclass

import numpy as np
import pytest

from assay.cli.main import main
from assay.core.spec import Spec
from assay.lab import intact
from assay.lab.store import Store


@dataclass(frozen=True, kw_only=True)
class TableSpec(Spec):
    rows: int = 50
    """Rows of the table."""


def build(path):
    """Two files, one in a folder of its own."""
    (path / "parts").mkdir(exist_ok=True)
    np.save(path / "acts.npy", np.arange(400.0).reshape(50, 8))
    np.save(path / "parts" / "norms.npy", np.arange(50.0))


def numbers(path):
    return np.load(path / "acts.npy").sum() + np.load(path / "parts" / "norms.npy").sum()


def changed(path, how, rng):
    """One kind of damage to a file."""
    whole = bytearray(path.read_bytes())
    if how == "flip":
        at = int(rng.integers(len(whole)))
        whole[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(whole))
    elif how == "cut":
        path.write_bytes(bytes(whole[: int(rng.integers(len(whole)))]))
    elif how == "zeros":
        path.write_bytes(b"\0" * len(whole))
    elif how == "more":
        path.write_bytes(bytes(whole) + b"x")
    elif how == "gone":
        path.unlink()
    elif how == "folder":
        path.unlink()
        path.mkdir()


@pytest.mark.parametrize("how", ["flip", "cut", "zeros", "more", "gone", "folder"])
@pytest.mark.parametrize("name", ["acts.npy", "parts/norms.npy", "spec.json"])
@pytest.mark.parametrize("seed", range(4))
def test_the_same_numbers_or_a_named_file(tmp_path, how, name, seed, capsys):
    store, rng = Store(tmp_path / "s"), np.random.default_rng([seed, len(name)])
    path = store.artefact(TableSpec(), build)
    whole = numbers(path)
    changed(path / name, how, rng)
    intact._seen.clear()  # as another process would see it, even within the resolution of the file system's clock
    (broken,) = store.broken_artefacts()
    assert broken[0] == path and store.built(TableSpec()) is None
    assert main(["doctor", "--root", str(store.root)]) == 1
    assert "damaged artefact" in capsys.readouterr().out
    again = store.artefact(TableSpec(), build)
    assert again == path and numbers(again) == whole and not list(store.broken_artefacts())
    assert str(path) in capsys.readouterr().err
    assert len(list((store.root / "tmp").glob("damaged-*"))) == 1, "what was damaged is kept for a while"


def test_a_changed_note_is_damage_too(tmp_path):
    store = Store(tmp_path / "s")
    path = store.artefact(TableSpec(), build)
    for text in (b"", b"[]", b"{", b'{"acts.npy": 3}', b'{"acts.npy": [1, "x"]}', b"[" * 9999):
        (path / intact.NOTE).write_bytes(text)
        intact._seen.clear()
        assert store.built(TableSpec()) is None, text


def test_an_older_stores_artefacts_are_used_and_looked_after_from_then_on(tmp_path):
    store, built = Store(tmp_path / "s"), []
    path = store.artefact(TableSpec(), build)
    (path / intact.NOTE).unlink()
    assert store.built(TableSpec()) == path == store.artefact(TableSpec(), lambda p: built.append(p)) and not built
    changed(path / "acts.npy", "zeros", None)
    intact._seen.clear()
    assert store.built(TableSpec()) is None


def test_clean_removes_what_is_damaged(tmp_path, capsys):
    store = Store(tmp_path / "s")
    path = store.artefact(TableSpec(), build)
    changed(path / "acts.npy", "zeros", None)
    intact._seen.clear()
    assert main(["doctor", "--clean", "--root", str(store.root)]) in (0, 1)
    assert not path.exists() and str(path) in capsys.readouterr().out.replace("\n", "")


def test_a_folder_is_hashed_once(tmp_path, monkeypatch):
    store = Store(tmp_path / "s")
    path = store.artefact(TableSpec(), build)
    store.artefact(TableSpec(), build)
    monkeypatch.setattr(intact, "_hash", lambda path: pytest.fail("hashed twice"))
    assert store.artefact(TableSpec(), build) == path == store.built(TableSpec())
