"""Shards: the order of rows against a plain loop over permutations, the same after a resume, from
any storage and in any form; bounded memory."""

from __future__ import annotations

import weakref
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch

from assay.core import rng
from assay.core.errors import DataError
from assay.data.shards import ShardReader, Shards, open_shards

LENGTHS = (7, 12, 5, 9, 11, 3)


def rows_of(shard: int, length: int) -> np.ndarray:
    """Rows that say where they are from: shard and place."""
    return np.stack([np.full(length, shard), np.arange(length)], 1).astype(np.float16)


def save(folder: Path) -> Path:
    for i, length in enumerate(LENGTHS):
        np.save(folder / f"part-{i}.npy", rows_of(i, length))
    return folder


def naive(seed: int, batch: int, window: int, epochs: int) -> list[list[list[float]]]:
    """The batches of some epochs, by permutations and lists alone."""
    batches: list[list[list[float]]] = []
    number = 0
    for epoch in range(epochs):
        shards = rng.permutation(np.array([seed]), "shards.order", epoch, len(LENGTHS))[0].tolist()
        order: list[list[float]] = []
        for first in range(0, len(shards), window):
            rows = [
                [float(shard), float(place)]
                for shard in shards[first : first + window]
                for place in range(LENGTHS[shard])
            ]
            drawn = rng.permutation(np.array([seed]), "shards.rows", number, len(rows))[0]
            order += [rows[i] for i in drawn.tolist()]
            number += 1
        batches += [order[i : i + batch] for i in range(0, len(order) - batch + 1, batch)]
    return batches


@pytest.mark.parametrize("window", [1, 2, 4, 6])
@pytest.mark.parametrize("batch", [2, 5, 20, 47])
def test_rows_come_in_the_order_of_a_plain_loop(tmp_path: Path, window: int, batch: int) -> None:
    """In any window and batch, those that span windows among them, over three epochs; begun at any
    step, and backwards."""
    reader = ShardReader(open_shards(save(tmp_path)), batch, seed=3, window=window)
    wanted = naive(3, batch, window, 3)
    assert [reader(step).tolist() for step in range(len(wanted))] == wanted
    for step in (len(wanted) - 1, len(wanted) // 2, 0):
        resumed = ShardReader(open_shards(tmp_path), batch, seed=3, window=window)
        assert resumed(step).tolist() == wanted[step] == reader(step).tolist()


def test_every_row_comes_once_in_an_epoch(tmp_path: Path) -> None:
    reader = ShardReader(open_shards(save(tmp_path)), batch=47, seed=0, window=2)
    every = sorted(row for i, n in enumerate(LENGTHS) for row in rows_of(i, n).tolist())
    assert sorted(reader(0).tolist()) == sorted(reader(1).tolist()) == every
    assert reader(0).tolist() != reader(1).tolist()


def test_shards_are_opened_from_anywhere_and_in_any_form(tmp_path: Path) -> None:
    """A folder, a pattern, a list, a URL; float32 and float16 of either byte order; windows of a
    harvest, whose position 0 is left out."""
    save(tmp_path)
    memory = fsspec.filesystem("memory")
    windows = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    try:
        for path in sorted(tmp_path.glob("*.npy")):
            memory.pipe(f"/shards/{path.name}", path.read_bytes())
        wanted = ShardReader(open_shards(tmp_path), 20, 1)(0)
        places = ["memory://shards", "memory://shards/part-*.npy", f"{tmp_path}/part-*.npy"]
        for place in [*places, sorted(tmp_path.glob("*"))]:
            assert torch.equal(ShardReader(open_shards(place), 20, 1)(0), wanted)
    finally:
        memory.rm("/shards", recursive=True)
    np.save(tmp_path / "big.npy", windows.astype(">f4"))
    reader = ShardReader(open_shards(tmp_path / "big.npy"), 6)
    assert sorted(reader(0).tolist()) == windows[:, 1:].reshape(-1, 3).tolist()


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.ones((3, 2), int), "int64"),
        (np.ones(3, np.float16), r"float16 \[3\]"),
        (np.ones((0, 2), np.float16), r"\[0, 2\]"),
        (np.asfortranarray(np.ones((3, 2), np.float16)), "column by column"),
        (np.ones((3, 5), np.float16), "one length and type"),
    ],
)
def test_what_are_no_rows_is_refused(tmp_path: Path, array: np.ndarray, words: str) -> None:
    np.save(tmp_path / "a.npy", np.ones((3, 2), np.float16))
    np.save(tmp_path / "b.npy", array)
    with pytest.raises(DataError, match=words):
        open_shards(tmp_path)


def test_damage_and_absence_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no .npy file is at"):
        open_shards(tmp_path)
    with pytest.raises(DataError, match=r"none.npy is not a readable"):
        open_shards(tmp_path / "none.npy")
    np.save(tmp_path / "a.npy", np.full((8, 2), np.inf, np.float16))
    with pytest.raises(DataError, match="not finite"):
        ShardReader(open_shards(tmp_path), 4)(0)
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:-4])
    with pytest.raises(DataError, match="ends after 28 of 32 bytes"):
        ShardReader(open_shards(tmp_path), 4)(0)


def test_at_most_two_windows_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the arrays that are alive say whenever another is made."""
    made: list[weakref.ref[np.ndarray]] = []
    most = []
    empty = np.empty

    def counted(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        array = empty(shape, dtype)
        if array.ndim == 2:
            made.append(weakref.ref(array))
            most.append(sum(ref() is not None for ref in made))
        return array

    def read(shard: int, out: np.ndarray) -> None:
        out[:] = shard

    monkeypatch.setattr(np, "empty", counted)
    reader = ShardReader(Shards(2, [8] * 24, read), batch=5, window=3)
    for step in range(100):
        reader(step)
    assert len(most) >= 20 and max(most) <= 2


def test_a_reader_of_rows_that_come_once_says_how_many_there_are() -> None:
    reader = ShardReader(Shards(2, [8] * 12, lambda n, out: None, in_order=True), 4, window=2)
    reader.check(24)
    with pytest.raises(DataError, match="rows for 24 steps of 4, and 25"):
        reader.check(25)
