"""Intact: an artefact in which anything was changed is named, set aside and built again; it is
never computed on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from assay.cli.main import main
from assay.core import integrity
from assay.core.errors import DamageError, StoreError
from assay.core.spec import Spec
from assay.lab.store.store import Store


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
    # as another process would see it, even within the resolution of the file system's clock
    integrity._verified_states.clear()
    (broken,) = store.broken_artefacts()
    assert broken[0] == path and store.built(TableSpec()) is None
    assert main(["doctor", "--root", str(store.root)]) == 1
    assert "damaged artefact" in capsys.readouterr().out
    again = store.artefact(TableSpec(), build)
    assert again == path and numbers(again) == whole and not list(store.broken_artefacts())
    assert str(path) in capsys.readouterr().err
    assert len(list((store.root / "tmp").glob("damaged-*"))) == 1, (
        "what was damaged is kept for a while"
    )


def test_a_changed_note_is_damage_too(tmp_path):
    store = Store(tmp_path / "s")
    path = store.artefact(TableSpec(), build)
    for text in (
        b"",
        b"{}",
        b"[]",
        b"{",
        b'{"acts.npy": 3}',
        b'{"acts.npy": [1, "x"]}',
        b"[" * 9999,
    ):
        (path / integrity.NOTE).write_bytes(text)
        integrity._verified_states.clear()
        assert store.built(TableSpec()) is None, text


def test_an_older_stores_artefacts_are_used_and_none_is_added(tmp_path):
    store, built = Store(tmp_path / "s"), []
    path = store.artefact(TableSpec(), build)
    (path / integrity.NOTE).unlink()
    # as stores were before there were hashes
    (store.root / "store.json").write_text('{"format": 1}')
    older = Store(store.root)
    assert older.built(TableSpec()) == path, "nothing is known of it"
    assert not list(older.broken_artefacts()), "nothing is known of it"
    with pytest.raises(StoreError, match="can only be read"):
        older.artefact(TableSpec(), lambda p: built.append(p))
    assert not built


def test_lost_hashes_are_damage_and_not_made_anew(tmp_path, capsys):
    store = Store(tmp_path / "s")
    path = store.artefact(TableSpec(), build)
    changed(path / "acts.npy", "zeros", None)
    (path / integrity.NOTE).unlink()
    integrity._verified_states.clear()
    again = Store(store.root)
    assert again.built(TableSpec()) is None
    assert [p for p, _ in again.broken_artefacts()] == [path]
    assert (
        numbers(again.artefact(TableSpec(), build))
        == np.arange(400.0).sum() + np.arange(50.0).sum()
    )
    assert "hashes.json" in capsys.readouterr().err


@dataclass(frozen=True, kw_only=True)
class WideSpec(Spec):
    MAPPED = frozenset({"acts.npy"})


# 3.6 MB: four blocks
WIDE = np.random.default_rng(0).standard_normal((9000, 100), dtype=np.float32)


def wide(path):
    np.save(path / "acts.npy", WIDE.reshape(90, 100, 100))


def test_a_mapped_file_is_compared_where_it_is_touched(tmp_path):
    store = Store(tmp_path / "s")
    path = store.artefact(WideSpec(), wide)
    whole = bytearray((path / "acts.npy").read_bytes())
    whole[2 * integrity.BLOCK + 7] ^= 1
    (path / "acts.npy").write_bytes(whole)
    integrity._verified_states.clear()
    assert store.built(WideSpec()) == path, "sizes agree, and nothing was touched"
    assert [p for p, _ in store.broken_artefacts()] == [path], (
        "whoever reads all of it finds the bit"
    )
    mapped = integrity.Mapped(path / "acts.npy")
    harmed = (2 * integrity.BLOCK + 7 - 128) // 400
    for row in (0, 1, 2600, 8999, harmed - 2000):
        assert np.array_equal(mapped.rows(np.array([row]), 100), WIDE[[row]])
    with pytest.raises(DamageError, match="block 2 differs"):
        mapped.rows(np.array([5, harmed]), 100)
    with pytest.raises(DamageError, match="block 2 differs"):
        mapped.rows(np.array([harmed]), 100)


@pytest.mark.parametrize("seed", range(20))
def test_whichever_bit_it_is_and_whatever_is_read(tmp_path, seed):
    rng = np.random.default_rng(seed)
    np.save(tmp_path / "acts.npy", WIDE)
    (tmp_path / integrity.NOTE).write_bytes(integrity.described(tmp_path))
    data = bytearray((tmp_path / "acts.npy").read_bytes())
    data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    (tmp_path / "acts.npy").write_bytes(data)
    for _ in range(50):
        rows = rng.integers(9000, size=int(rng.integers(1, 60)))
        try:
            assert np.array_equal(
                integrity.Mapped(tmp_path / "acts.npy").rows(rows, 100), WIDE[rows]
            )
        except DamageError:
            break
    with pytest.raises(DamageError):
        integrity.Mapped(tmp_path / "acts.npy").rows(np.arange(9000), 100)


def test_the_same_rows_as_plain_indexing_and_each_block_is_read_once(tmp_path, monkeypatch):
    np.save(tmp_path / "acts.npy", WIDE)
    (tmp_path / integrity.NOTE).write_bytes(integrity.described(tmp_path))
    read, real = [], integrity._hash
    monkeypatch.setattr(integrity, "_hash", lambda block: read.append(len(block)) or real(block))
    mapped, rng = integrity.Mapped(tmp_path / "acts.npy"), np.random.default_rng(0)
    assert mapped.shape == WIDE.shape and len(read) == 1
    for _ in range(30):
        rows = rng.integers(9000, size=300)
        assert np.array_equal(mapped.rows(rows, 100), WIDE[rows])
    assert len(read) == 4 and sum(read) == (tmp_path / "acts.npy").stat().st_size


def test_nobody_maps_a_file_past_its_hashes():
    """A memory map that is opened elsewhere would be read without a look at its hashes; activations
    that a user names have none."""
    source = Path(integrity.__file__).parents[1]
    maps = {
        p.relative_to(source).as_posix() for p in source.rglob("*.py") if "mmap" in p.read_text()
    }
    assert maps == {"core/integrity.py", "dictionaries/training/batches.py"}


def test_a_folder_is_hashed_once(tmp_path, monkeypatch):
    store = Store(tmp_path / "s")
    path = store.artefact(TableSpec(), build)
    store.artefact(TableSpec(), build)
    monkeypatch.setattr(integrity, "_hashes", lambda path: pytest.fail("hashed twice"))
    assert store.artefact(TableSpec(), build) == path == store.built(TableSpec())
