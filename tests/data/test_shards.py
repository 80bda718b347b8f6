"""Shards: the order of rows against a plain loop over permutations, the same after a resume, from
any storage and in any form; bounded memory; a stream that is never larger than it may be."""

from __future__ import annotations

import json
import threading
import weakref
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch

from assay.core import rng
from assay.core.errors import DataError, RunError, StoreError
from assay.data.shards import ShardReader, Shards, open_shards
from assay.data.stream import HEADER, Stream, fill_stream, open_stream

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


def block(number: int, limit: float) -> np.ndarray:
    """Rows of a stream, 5 or none in a block."""
    count = 0 if number % 4 == 2 else 5
    return np.stack([np.full(count, number), np.arange(count)], 1).astype(np.float16)


HEAD = {"d": 2, "rows": 8, "shards": 12, "window": 2, "most": 6, "mean": (1.0, 2.0), "scale": 0.5}
ABOUT = {"of": "rows"}


def fill(folder: Path, **options: object) -> None:
    head = Stream(**HEAD, about=ABOUT)
    fill_stream(folder, block, lambda: head, about=ABOUT, **options)  # type: ignore[arg-type]


def all_rows() -> list[list[float]]:
    rows = [row for number in range(99) for row in block(number, 0).tolist()]
    return rows[: HEAD["rows"] * HEAD["shards"]]


def naive_stream(batch: int, seed: int) -> list[list[list[float]]]:
    rows, order = all_rows(), []
    per = HEAD["rows"] * HEAD["window"]
    for window, first in enumerate(range(0, len(rows), per)):
        drawn = rng.permutation(np.array([seed]), "shards.rows", window, per)[0]
        order += [rows[first + i] for i in drawn.tolist()]
    return [order[i : i + batch] for i in range(0, len(order) - batch + 1, batch)]


class Stop(Exception):
    pass


@pytest.mark.parametrize("stops", [(), (3, 4, 9), tuple(range(1, 12))])
def test_a_stream_gives_every_row_and_is_never_larger_than_it_may(
    tmp_path: Path, stops: tuple[int, ...]
) -> None:
    """Filled by a thread that is stopped after some shards and begun again, and read by one that
    begins again at its last release each time; in the order of a plain loop."""
    failed: list[BaseException] = []
    largest = 0

    def run() -> None:
        nonlocal largest
        left = list(stops)

        def watch(written: int, shards: int) -> None:
            nonlocal largest
            largest = max(largest, len(list(tmp_path.glob("*shard-*"))))
            if left and written == left[0]:
                left.pop(0)
                raise Stop

        while True:
            try:
                return fill(tmp_path, watch=watch)
            except Stop:
                continue
            except BaseException as error:
                failed.append(error)
                return None

    thread = threading.Thread(target=run)
    thread.start()
    wanted, step, got = naive_stream(7, 5), 0, {}
    while step < len(wanted):
        reader = ShardReader(open_stream(tmp_path, "a", patience=20), 7, seed=5, window=2)
        assert reader.steps == len(wanted)
        reader.release(step)
        while step < len(wanted):
            got[step] = reader(step).tolist()
            step += 1
            if reader.due(step):
                reader.release(step)
                break
    reader.release(None)
    thread.join(20)
    assert not failed and not thread.is_alive()
    assert [got[i] for i in range(len(wanted))] == wanted
    assert 3 <= largest <= HEAD["most"]


def test_a_stream_that_was_begun_is_held_to_what_it_is(tmp_path: Path) -> None:
    def stop(written: int, shards: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        fill(tmp_path, watch=stop)
    before = (tmp_path / "shard-000000.npy").read_bytes()
    with pytest.raises(StoreError, match="of something else"):
        fill_stream(tmp_path, block, lambda: Stream(**HEAD), about={"of": "others"})
    # Killed before it could say that the shard is written: it stays as it is.
    (tmp_path / "written.json").unlink()
    with pytest.raises(Stop):
        fill(tmp_path, watch=stop)
    assert (tmp_path / "shard-000000.npy").read_bytes() == before
    assert json.loads((tmp_path / "written.json").read_text())["shard"] == 1
    assert json.loads((tmp_path / HEADER).read_text())["shards"] == 12


def test_one_process_fills_and_readers_do_not_wait_for_ever(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"stream.json did not come"):
        open_stream(tmp_path, "a", patience=0.1)

    def second(written: int, shards: int) -> None:
        with pytest.raises(StoreError, match="another process fills"):
            fill(tmp_path)
        raise Stop

    with pytest.raises(Stop):
        fill(tmp_path, watch=second)
    reader = ShardReader(open_stream(tmp_path, "a", patience=0.2), 7, window=2)
    with pytest.raises(RunError, match=r"shard-000001.npy did not come"):
        reader(0)


def test_what_another_has_read_is_gone(tmp_path: Path) -> None:
    def stop(written: int, shards: int) -> None:
        if written == 3:
            open_stream(tmp_path, "a").release(2)
        if written == 4:
            raise Stop

    with pytest.raises(Stop):
        fill(tmp_path, watch=stop)
    late = ShardReader(open_stream(tmp_path, "b", patience=1), 7, window=2)
    with pytest.raises(DataError, match=r"shard 0 of the stream .* was read before and is gone"):
        late(0)


@pytest.mark.parametrize(
    ("changes", "words"), [({"most": 3}, "needs room for 4"), ({"rows": 0}, "at least one")]
)
def test_sizes_that_let_nothing_through_are_refused(
    tmp_path: Path, changes: dict[str, int], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        fill_stream(tmp_path, block, lambda: Stream(**{**HEAD, **changes}), about={})


def test_a_training_that_would_starve_is_refused(tmp_path: Path) -> None:
    def stop(written: int, shards: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        fill(tmp_path, watch=stop)
    reader = ShardReader(open_stream(tmp_path, "a"), 4, window=2)
    reader.check(24, 4)
    with pytest.raises(DataError, match="rows for 24 steps"):
        reader.check(25, 4)
    with pytest.raises(DataError, match="the last 20 batches need room"):
        reader.check(24, 20)
    with pytest.raises(DataError, match="larger than a window of 16 rows"):
        ShardReader(open_stream(tmp_path, "a"), 17, window=2).check(2, 1)
