"""Shards: the order of rows against a plain loop over permutations, the same after a resume;
bounded memory."""

import weakref

import numpy as np
import pytest

from assay.core import rng
from assay.core.errors import DataError
from assay.data.shards import ShardReader, Shards

LENGTHS = (7, 12, 5, 9, 11, 3)
MEAN = np.zeros(2, np.float32)


def fill(shard, out):
    """Rows that say where they are from: shard and place."""
    out[:] = np.stack([np.full(len(out), shard), np.arange(len(out))], 1)


def naive(seed, batch):
    """All batches, by permutations and lists alone."""
    rows = []
    for shard, length in enumerate(LENGTHS):
        drawn = rng.permutation(np.array([seed]), "shards.rows", shard, length)[0]
        rows += [[float(shard), float(place)] for place in drawn.tolist()]
    return [rows[i : i + batch] for i in range(0, len(rows) - batch + 1, batch)]


@pytest.mark.parametrize("batch", [2, 5, 20, 47])
def test_rows_come_in_the_order_of_a_plain_loop(batch):
    """Batches that span shards among them; begun at any step, and backwards."""
    reader = ShardReader(Shards(LENGTHS, fill, MEAN, 1.0), batch, seed=3)
    wanted = naive(3, batch)
    assert [reader(step).tolist() for step in range(len(wanted))] == wanted
    for step in (len(wanted) - 1, len(wanted) // 2, 0):
        resumed = ShardReader(Shards(LENGTHS, fill, MEAN, 1.0), batch, seed=3)
        assert resumed(step).tolist() == wanted[step] == reader(step).tolist()


def test_numbers_that_are_not_finite_are_refused():
    def read(shard, out):
        out[:] = np.inf

    with pytest.raises(DataError, match="shard 0 of the activations has numbers that are not"):
        ShardReader(Shards([8], read, MEAN, 1.0), 4)(0)


def test_at_most_two_shards_are_in_memory(monkeypatch):
    """As the arrays that are alive say whenever another is made."""
    made = []
    most = []
    empty = np.empty

    def counted(shape, dtype):
        array = empty(shape, dtype)
        if array.ndim == 2:
            made.append(weakref.ref(array))
            most.append(sum(ref() is not None for ref in made))
        return array

    monkeypatch.setattr(np, "empty", counted)
    reader = ShardReader(Shards([8] * 60, fill, MEAN, 1.0), batch=5)
    for step in range(60):  # before the last batches, whose shards stay
        reader(step)
    assert len(most) >= 20 and max(most) <= 2


def test_a_reader_says_how_many_rows_there_are():
    reader = ShardReader(Shards([8] * 12, fill, MEAN, 1.0), 4)
    reader.check(24)
    with pytest.raises(DataError, match="rows for 24 steps of 4, and 25"):
        reader.check(25)
