"""A training on a stream: killed at both ends and begun again, it is the training that nothing
interrupted, on rows in the order of a plain loop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from assay.core import rng
from assay.core.errors import DataError
from assay.data.shards import ShardReader, Shards, open_shards
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.selection import BatchTopK, TopK
from assay.dictionaries.sharded.part import Part
from assay.dictionaries.sharded.ranks import Ranks
from assay.dictionaries.sharded.training import fit_sharded, train_sharded
from assay.dictionaries.training.losses import mse
from assay.dictionaries.training.quick import train_dictionary
from assay.dictionaries.training.train import Method

D, ROWS, SHARDS, WINDOW, MOST = 6, 256, 40, 2, 8
BATCH, STEPS, WIDTH, SEED = 20, 512, 20, 3
MEAN, SCALE = np.arange(6.0, dtype=np.float32), 0.7


def block(number: int, limit: float = 0.0) -> np.ndarray:
    """Rows of a stream, the same whenever they are asked for."""
    return rng.generator(7, "stream", number).standard_normal((100, D)).astype(np.float16) + 1


@cache
def stream() -> np.ndarray:
    """All rows, in the order in which they are harvested."""
    return np.concatenate([block(i) for i in range(1 + ROWS * SHARDS // 100)])[: ROWS * SHARDS]


@cache
def order() -> list[int]:
    """The stream cut into windows, each in the order of a permutation."""
    rows: list[int] = []
    for window, first in enumerate(range(0, ROWS * SHARDS, WINDOW * ROWS)):
        drawn = rng.permutation(np.array([SEED]), "shards.rows", window, WINDOW * ROWS)[0]
        rows += (first + drawn).tolist()
    return rows


def naive(step: int) -> torch.Tensor:
    """The rows of a step, normalised."""
    its = stream()[order()[step * BATCH : (step + 1) * BATCH]].astype(np.float32)
    return torch.from_numpy((its - MEAN) * np.float32(SCALE))


def by_hand() -> dict[str, torch.Tensor]:
    """What one process makes of these rows without shards, reader or stream."""
    method = Method(TopK(3), mse, WIDTH, lr=np.array([2e-3]), penalty=np.zeros(1))
    part = Part(Ranks.alone(), WIDTH)
    return dict(fit_sharded(part, method, naive, d=D, steps=STEPS, seed=SEED).tensors)


def assert_same(dictionary: Dictionary, wanted: dict[str, torch.Tensor]) -> None:
    for name in ("W_enc", "W_dec", "b_enc", "b_dec"):
        value = getattr(dictionary, name)
        value = value.mT if name == "W_enc" else value
        assert torch.allclose(value, wanted[name], rtol=0, atol=1e-6), name


FILL = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
import test_streamed as t
from assay.data.stream import Stream, fill_stream
head = Stream(d=t.D, rows=t.ROWS, shards=t.SHARDS, window=t.WINDOW, most=t.MOST,
              mean=tuple(t.MEAN.tolist()), scale=t.SCALE, about=dict(sites=["here"]))
fill_stream(Path("stream"), t.block, lambda: head, about=dict(sites=["here"]))
"""
TRAIN = [
    "stream",
    "out",
    "--stream",
    "--kind",
    "TopK",
    "--k",
    "3",
    "--width",
    str(WIDTH),
    "--steps",
    str(STEPS),
]
TRAIN += ["--batch", str(BATCH), "--seed", str(SEED)]


def started(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, *words], cwd=folder)


def until(ready: Callable[[], bool], *processes: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while not ready():
        assert time.monotonic() < end and all(p.poll() in (None, 0) for p in processes)
        time.sleep(0.002)


def written(folder: Path) -> int:
    path = folder / "stream/written.json"
    return json.loads(path.read_text())["shard"] if path.exists() else 0


def reached(folder: Path) -> int:
    """The last step that was kept."""
    places = sorted(folder.glob("out/step-*/manifest.json"))
    return int(places[-1].parent.name.removeprefix("step-")) if places else 0


@pytest.mark.thorough
def test_killed_at_both_ends_it_is_the_training_of_one_process(tmp_path: Path) -> None:
    """Each end is killed twice, at moments when the other is in the middle; shards on the disk
    never exceed what may lie there."""
    fill = ["-c", FILL.format(here=str(Path(__file__).parent))]
    train = ["-m", "assay.dictionaries.sharded", *TRAIN]
    filler, trainer = started(tmp_path, *fill), started(tmp_path, *train)
    for shards, step in ((3, 60), (14, 190)):
        until(lambda n=shards: written(tmp_path) >= n, filler, trainer)
        os.kill(filler.pid, signal.SIGKILL)
        filler.wait()
        filler = started(tmp_path, *fill)
        until(lambda n=step: reached(tmp_path) >= n, filler, trainer)
        if trainer.poll() is None:
            os.kill(trainer.pid, signal.SIGKILL)
        trainer.wait()
        assert len(list(tmp_path.glob("stream/*shard-*"))) <= MOST
        trainer = started(tmp_path, *train)
    assert trainer.wait(120) == filler.wait(120) == 0
    dictionary = Dictionary.load(tmp_path / "out/dictionary.safetensors")
    assert dictionary.sites == ("here",)
    assert_same(dictionary, by_hand())


def in_memory(seed: int = SEED) -> ShardReader:
    rows = stream()

    def read(shard: int, out: np.ndarray) -> None:
        out[:] = rows[shard * ROWS : (shard + 1) * ROWS]

    shards = Shards(D, [ROWS] * SHARDS, read, normalisation=(MEAN, SCALE), in_order=True, most=MOST)
    return ShardReader(shards, BATCH, seed, WINDOW)


def test_both_trainers_read_what_a_plain_loop_reads(tmp_path: Path) -> None:
    wanted = by_hand()
    settings = {"width": WIDTH, "steps": STEPS, "batch": BATCH, "seed": SEED}
    assert_same(train_dictionary(TopK(3), in_memory(), **settings), wanted)
    got = train_sharded(Ranks.alone(), TopK(3), in_memory(), tmp_path, **settings)
    dictionary = Dictionary.load(tmp_path / "dictionary.safetensors")
    assert_same(dictionary, wanted)
    # What is measured is measured on the last 32 batches.
    x = torch.cat([in_memory()(step) for step in range(STEPS - 32, STEPS)])
    error = (dictionary.decode(dictionary.encode(x))[0] - x).square().sum()
    variance = (x - x.mean(0)).square().sum()
    assert got.rows == 640 and got.fvu == pytest.approx(float(error / variance), rel=1e-4)


def test_what_settles_reads_the_last_batches_again(tmp_path: Path) -> None:
    """BatchTopK takes its threshold from the last 32 batches, which a stream must still have."""
    settings = {"width": WIDTH, "steps": STEPS, "batch": BATCH, "seed": SEED}
    released: list[int] = []
    reader = in_memory()
    object.__setattr__(reader.shards, "release", released.append)
    train_dictionary(BatchTopK(3), reader, keep=tmp_path, **settings)
    first = (STEPS - 32) * BATCH // (ROWS * WINDOW) * WINDOW
    assert released[0] == 0 and released[-1] == SHARDS
    assert released == sorted(released) and max(released[:-1]) == first
    assert max(np.diff(released[:-1])) <= MOST - WINDOW


def test_files_give_the_same_as_one_array(tmp_path: Path) -> None:
    """In one window their rows are shuffled as one, and mean and scale are those of all."""
    rows = stream()[:2000]
    for i in range(4):
        np.save(tmp_path / f"{i}.npy", rows[i * 500 : (i + 1) * 500])
    reader = ShardReader(open_shards(tmp_path), 64, seed=1, window=4)
    order = rng.permutation(np.array([1]), "shards.order", 0, 4)[0]
    files = np.concatenate([rows[i * 500 : (i + 1) * 500] for i in order])
    drawn = rng.permutation(np.array([1]), "shards.rows", 0, 2000)[0]
    settings = {"width": 10, "penalty": 0.1, "steps": 31, "batch": 64}
    got = train_dictionary(ReLU(), reader, seed=1, **settings)
    x = files[drawn].astype(np.float32)
    assert np.allclose(got.mean, rows.astype(np.float64).mean(0), atol=1e-6)
    variance = ((rows.astype(np.float64) - rows.astype(np.float64).mean(0)) ** 2).sum(1).mean()
    assert float(got.scale) == pytest.approx((D / variance) ** 0.5, rel=1e-6)
    assert torch.equal(reader(0), torch.from_numpy(x[:64]))


def test_a_reader_of_other_batches_is_refused() -> None:
    settings = {"width": WIDTH, "steps": STEPS, "seed": SEED}
    with pytest.raises(DataError, match="batches of 20 by seed 3, and training asks for 50"):
        train_dictionary(TopK(3), in_memory(), batch=50, **settings)
    with pytest.raises(DataError, match="rows for 512 steps of 20, and 513"):
        train_dictionary(TopK(3), in_memory(), batch=BATCH, **{**settings, "steps": 513})
