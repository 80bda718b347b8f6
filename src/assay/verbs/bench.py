"""Bench: how fast this machine is at the pieces of work that experiments are made of, measured once
and kept for `assay plan`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from assay.core.descent import descent
from assay.core.heavy import torch
from assay.core.runs import Runs
from assay.data import planted
from assay.lab import provenance, speed
from assay.lab.speed import FILES, PRODUCT, STARTING, Speed
from assay.subjects import fetch
from assay.subjects.pretrained import fast_dtype, load
from assay.subjects.site import Site

if TYPE_CHECKING:
    from assay.dictionaries.steps import Products, Size

SECONDS = 32.0
"""By the clock, for all pieces of work together; each may take its share of what is left."""
WORDS: dict[Products, str] = {"float32": "fp32", "bfloat16": "bf16"}
TOYS, TOY_STEPS = 20, 50
"""Toys in the ensemble that is timed: a group of `superposition`; and their steps."""
BLOCK, TOKENS, CONTEXT = 9, 512, 128
"""How far SmolLM2 is run, on how many tokens, in windows of how many: where `gated-sae` reads its
activations."""
MEGABYTES = 64
IMPORTS = "import assay.lab.worker, assay.lab.result, torch, scipy.stats, xarray"
Work = Callable[[], None]
"""What does a piece of work once."""
Watching = Callable[[int, int], None]


@dataclass(frozen=True)
class Row:
    """One piece of work, in CPU-milliseconds of one thread."""

    name: str
    median_ms: float
    min_ms: float
    ratio_to_gemm: float
    """Over the encoder product of the same size and precision; of what is no dictionary's, over the
    large one in fp32."""


@dataclass(frozen=True)
class Benched:
    """What was measured of this machine, and when."""

    cpu: str
    threads: int
    torch: str
    measured: str
    """When, in ISO 8601."""
    seconds: float | None
    """What measuring took by the clock; null where it was done before."""
    rows: tuple[Row, ...]


def bench(remeasure: bool = False, watch: Watching = lambda done, total: None) -> Benched:
    """Tell how fast this machine is; measured where it is not known yet, or `again`, and kept.
    Raises: OSError where it cannot be kept."""
    known = None if remeasure else speed.load_speed()
    if known is not None:
        return _to_benched(known, None)
    start = time.monotonic()
    machine_speed = measured(SECONDS, watch)
    speed.keep(machine_speed)
    return _to_benched(machine_speed, round(time.monotonic() - start, 1))


def measured(seconds: float, watch: Watching = lambda done, total: None) -> Speed:
    """Measure every piece of work in about so many seconds by the clock, each at least once after a
    warm-up."""
    until, pieces = time.monotonic() + seconds, {}
    with tempfile.TemporaryDirectory() as folder:
        makers = list(_makers(Path(folder)))
        for i, (name, make) in enumerate(makers):
            watch(i, len(makers))
            share = max(0.0, until - time.monotonic()) / (len(makers) - i)
            pieces[name] = speed.timed(
                make(), share, warm=name != STARTING
            )  # a process of its own is as cold each time
    watch(len(makers), len(makers))
    cpu, torch = speed.machine()
    return Speed(cpu, 1, torch, provenance.timestamp(), pieces)


def _to_benched(machine_speed: Speed, seconds: float | None) -> Benched:
    rows = []
    for name, piece in machine_speed.pieces.items():
        reference = machine_speed.pieces[
            _product(name)
            if _product(name) in machine_speed.pieces
            else next(iter(machine_speed.pieces))
        ]
        rows.append(
            Row(
                name,
                round(piece.median_ms, 3),
                round(piece.min_ms, 3),
                round(piece.median_ms / max(reference.median_ms, 1e-6), 3),
            )
        )
    return Benched(
        machine_speed.cpu,
        machine_speed.threads,
        machine_speed.torch,
        machine_speed.measured,
        seconds,
        tuple(rows),
    )


def _product(name: str) -> str:
    """Name the product that a piece of work is compared with, by its last two words: width and
    precision."""
    return " ".join(["encoder product", *name.split()[-2:]])


def _makers(folder: Path) -> Iterator[tuple[str, Callable[[], Work]]]:
    """Every piece of work: its name, and what makes it ready. The slow ones come last, when it is
    known what time is left."""
    from assay.dictionaries.steps import SIZES, architectures

    large, small = SIZES
    for size in (large, small):
        for products, word in WORDS.items():
            yield f"encoder product {size.width} {word}", partial(_encoder, size, products)
    yield PRODUCT, _product_numpy
    yield f"ensemble of {TOYS} toys, {TOY_STEPS} steps", _toys
    yield from zip(FILES, (partial(_writing, folder), partial(_reading, folder)), strict=True)
    yield STARTING, lambda: _starting
    if fetch.SMOLLM2.present() is not None:
        yield f"SmolLM2 to block {BLOCK}, {TOKENS} tokens", _forward
    for size in (small, large):
        for products, word in reversed(WORDS.items()):
            for name in architectures(size):
                yield f"{name} {size.width} {word}", partial(_step, size, name, products)


def _encoder(size: Size, products: Products) -> Work:
    from assay.dictionaries.steps import product

    x, multiply = size.rows(), product(size, products)
    return lambda: multiply(x)


def _step(size: Size, architecture: str, products: Products) -> Work:
    from assay.dictionaries.steps import step

    x, take = size.rows(), step(size, architecture, products)
    return lambda: take(x)


def _product_numpy() -> Work:
    """The product of `core.compute.measured`, once."""
    a = np.random.default_rng(0).standard_normal((512, 512), dtype=np.float32) / 32
    b = a @ a

    def multiply() -> None:
        np.matmul(a, a, out=b)

    return multiply


def _toys() -> Work:
    """Steps of small models of superposition, side by side, their batches included."""

    from assay.worlds.bottleneck import toy

    runs = Runs([toy.Model(seed=seed, density=0.1) for seed in range(TOYS)])
    start = toy.bottleneck(runs, 20, 5)
    group = descent(
        runs, start, lambda p, x: toy.mean_square(toy.reconstruct(p, x), x), lr=np.full(TOYS, 1e-3)
    )
    batches = planted.sparse_features(runs, 20, 256)

    def steps() -> None:
        for i in range(TOY_STEPS):
            group.step_fn(group.state, batches(i), i)

    return steps


def _writing(folder: Path) -> Work:
    """Write activations as a harvest does."""
    data = np.zeros(MEGABYTES * 2**20 // 2, np.float16)
    return lambda: np.save(folder / "acts.npy", data)


def _reading(folder: Path) -> Work:
    """Read them again."""
    _writing(folder)()

    def read() -> None:
        np.load(folder / "acts.npy")

    return read


def _starting() -> None:
    """Start a process that imports what a worker needs, and wait until it has ended."""
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)


def _forward() -> Work:
    """Run the language model as far as its activations are read, in the precision that is fast
    here."""

    model, site = load("smollm2", dtype=fast_dtype()), Site.parse(f"blocks.{BLOCK}.hook_resid_pre")
    tokens = torch.arange(TOKENS).view(-1, CONTEXT)

    def run() -> None:
        model.run(tokens, capture=[site], logits=False)

    return run
