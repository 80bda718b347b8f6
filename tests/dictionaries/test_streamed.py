"""A training on shards of rows reads them in the order of a plain loop."""

from functools import cache

import numpy as np
import pytest
import torch

from assay.core import rng
from assay.core.errors import DataError
from assay.core.runs import Runs
from assay.core.spec import Spec
from assay.data.shards import ShardReader, Shards
from assay.dictionaries.selection import BatchTopK, TopK
from assay.dictionaries.training.losses import mse
from assay.dictionaries.training.quick import train_dictionary
from assay.dictionaries.training.train import Method, fit_dictionaries

D, ROWS, SHARDS = 6, 256, 40
BATCH, STEPS, WIDTH, SEED = 20, 512, 20, 3
MEAN, SCALE = np.arange(6.0, dtype=np.float32), 0.7


def block(number, limit=0.0):
    """Rows of a stream, the same whenever they are asked for."""
    return rng.generator(7, "stream", number).standard_normal((100, D)).astype(np.float16) + 1


@cache
def stream():
    """All rows, in the order in which they are harvested."""
    return np.concatenate([block(i) for i in range(1 + ROWS * SHARDS // 100)])[: ROWS * SHARDS]


@cache
def order():
    """The stream cut into shards, each in the order of a permutation."""
    rows = []
    for shard, first in enumerate(range(0, ROWS * SHARDS, ROWS)):
        drawn = rng.permutation(np.array([SEED]), "shards.rows", shard, ROWS)[0]
        rows += (first + drawn).tolist()
    return rows


def naive(step):
    """The rows of a step, normalised."""
    its = stream()[order()[step * BATCH : (step + 1) * BATCH]].astype(np.float32)
    return torch.from_numpy((its - MEAN) * np.float32(SCALE))


def by_hand():
    """What these rows give without shards or a reader."""
    method = Method(TopK(3), mse, WIDTH, lr=np.array([2e-3]), penalty=np.zeros(1))
    runs = Runs([Spec(seed=SEED)])
    return dict(fit_dictionaries([(runs, method)], naive, d=D, steps=STEPS)[0].tensors)


def assert_same(dictionary, wanted):
    for name in ("W_enc", "W_dec", "b_enc", "b_dec"):
        assert torch.allclose(getattr(dictionary, name), wanted[name], rtol=0, atol=1e-6), name


def in_memory(seed=SEED):
    rows = stream()

    def read(shard, out):
        out[:] = rows[shard * ROWS : (shard + 1) * ROWS]

    return ShardReader(Shards([ROWS] * SHARDS, read, MEAN, SCALE), BATCH, seed)


def test_training_reads_what_a_plain_loop_reads():
    settings = {"width": WIDTH, "steps": STEPS, "batch": BATCH, "seed": SEED}
    assert_same(train_dictionary(TopK(3), in_memory(), **settings), by_hand())


def test_what_settles_reads_the_last_batches_again():
    """BatchTopK takes its threshold from the last 32 batches, whose rows are still in memory."""
    settings = {"width": WIDTH, "steps": STEPS, "batch": BATCH, "seed": SEED}
    reader, read = in_memory(), []
    inner = reader.shards.read
    object.__setattr__(reader.shards, "read", lambda n, out: (read.append(n), inner(n, out)))
    train_dictionary(BatchTopK(3), reader, **settings)
    assert read == list(range(SHARDS))


def test_a_reader_of_other_batches_is_refused():
    settings = {"width": WIDTH, "steps": STEPS, "seed": SEED}
    with pytest.raises(DataError, match="batches of 20 by seed 3, and training asks for 50"):
        train_dictionary(TopK(3), in_memory(), batch=50, **settings)
    with pytest.raises(DataError, match="rows for 512 steps of 20, and 513"):
        train_dictionary(TopK(3), in_memory(), batch=BATCH, **{**settings, "steps": 513})
