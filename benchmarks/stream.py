"""A dictionary trained on a stream while both ends are killed: memory, disk, and what comes out
beside one process that has every row in memory.

    python benchmarks/stream.py [--vectors 20000000] [--d 16] [--kills 2]

One process makes rows, small planted ones in place of a language model's, and writes shards; one
trains. Each is killed by SIGKILL so many times, in turn, and begun again. The largest resident
memory of each, and the most that lay on the disk, are read every 50 ms."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from assay.core import rng
from assay.data.stream import Stream, fill_stream
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.selection import TopK
from assay.dictionaries.sharded.part import Part
from assay.dictionaries.sharded.ranks import Ranks
from assay.dictionaries.sharded.training import fit_sharded
from assay.dictionaries.training.losses import mse
from assay.dictionaries.training.train import Method

SEED, BLOCK, WINDOW, MOST, K = 0, 20_000, 8, 24, 4
ABOUT = {"of": "planted rows"}


def block(number: int, d: int) -> np.ndarray:
    """Rows that few of 2 d directions make."""
    directions = rng.generator(1, "directions").standard_normal((2 * d, d), np.float32)
    on = rng.generator(1, "rows", number).standard_normal((BLOCK, 2 * d), np.float32) - 1.5
    return (np.maximum(on, 0) @ directions).astype(np.float16)


def head(args: argparse.Namespace) -> Stream:
    """What the rows are, mean and scale by the first block."""
    rows = block(0, args.d).astype(np.float64)
    mean = rows.mean(0)
    scale = (args.d / ((rows - mean) ** 2).sum(1).mean()) ** 0.5
    return Stream(
        d=args.d,
        rows=args.rows,
        shards=args.vectors // args.rows,
        window=WINDOW,
        most=MOST,
        mean=tuple(float(np.float32(m)) for m in mean),
        scale=float(scale),
        about=ABOUT,
    )


def one_process(args: argparse.Namespace, steps: int) -> dict[str, torch.Tensor]:
    """Train the same on rows that are all in memory, in the order of plain permutations."""
    stream = head(args)
    count = stream.rows * stream.shards
    rows = np.concatenate([block(i, args.d) for i in range(-(-count // BLOCK))])[:count]
    per = stream.rows * WINDOW
    order = np.concatenate(
        [
            first
            + rng.permutation(np.array([SEED]), "shards.rows", window, min(per, count - first))[
                0
            ].astype(np.int32)
            for window, first in enumerate(range(0, count, per))
        ]
    )
    mean = torch.tensor(stream.mean)

    def batches(step: int) -> torch.Tensor:
        its = rows[order[step * args.batch : (step + 1) * args.batch]]
        return (torch.from_numpy(its).float() - mean) * stream.scale

    method = Method(TopK(K), mse, args.width, lr=np.array([2e-3]), penalty=np.zeros(1))
    part = Part(Ranks.alone(), args.width)
    return fit_sharded(part, method, batches, d=args.d, steps=steps, seed=SEED).tensors


class Watched:
    """A process that is begun again after each kill, and the most memory that it had."""

    def __init__(self, words: list[str], folder: Path):
        self.words, self.folder, self.peak, self.kills = words, folder, 0, 0
        self.begin()

    def begin(self) -> None:
        """Start it, or start it again."""
        self.process = subprocess.Popen(
            [sys.executable, *self.words], cwd=self.folder, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        """End it as a lost machine would, and start it again."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.kills += 1
        self.begin()

    def look(self) -> bool:
        """Note its memory; whether it still runs."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            self.peak = max(self.peak, 1024 * int(status.partition("VmHWM:")[2].split()[0]))
        except (OSError, IndexError):
            pass
        if (code := self.process.poll()) not in (None, 0):
            raise SystemExit(f"{self.words} ended with {code}")
        return code is None


def stage(folder: Path) -> int:
    """Shards that are written."""
    path = folder / "stream/written.json"
    return json.loads(path.read_text())["shard"] if path.exists() else 0


def lying(folder: Path) -> int:
    """Bytes of shards on the disk."""
    total = 0
    for path in (folder / "stream").glob("*shard-*"):
        try:
            total += path.stat().st_size
        except OSError:
            continue
    return total


def run(args: argparse.Namespace, folder: Path) -> None:
    """Train on the stream, kill, and print the account."""
    stream = head(args)
    steps = stream.rows * stream.shards // args.batch
    sizes = ["--vectors", args.vectors, "--d", args.d, "--rows", args.rows]
    filling = Watched([__file__, "--fill", "stream", *map(str, sizes)], folder)
    settings = {"kind": "TopK", "k": K, "width": args.width, "steps": steps}
    settings |= {"batch": args.batch, "seed": SEED}
    words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    module = ["-m", "assay.dictionaries.sharded"]
    training = Watched([*module, "stream", "out", "--stream", *words], folder)
    moments = [stream.shards * (i + 1) // (2 * args.kills + 1) for i in range(2 * args.kills)]
    begun, disk = time.monotonic(), 0
    while True:
        running = [filling.look(), training.look()]
        disk = max(disk, lying(folder))
        if moments and stage(folder) >= moments[0]:
            moments.pop(0)
            (filling if len(moments) % 2 else training).kill()
        if not any(running):
            break
        time.sleep(0.05)
    seconds = time.monotonic() - begun
    dictionary = Dictionary.load(folder / "out/dictionary.safetensors")
    print(
        f"{stream.rows * stream.shards:,} vectors of {args.d} float16 numbers, "
        f"{2 * args.d * stream.rows * stream.shards / 1e6:,.0f} MB in {stream.shards} shards; "
        f"{steps:,} steps of {args.batch:,}, {seconds:.0f} s"
    )
    print(f"killed: harvest {filling.kills} times, training {training.kills} times")
    print(f"largest on the disk: {disk / 1e6:.1f} MB; {MOST} shards may lie there")
    for what, peak in (("harvest", filling.peak), ("training", training.peak)):
        print(f"largest resident of the {what}: {peak / 1e6:.0f} MB")
    wanted = one_process(args, steps)
    wanted["W_enc"] = wanted["W_enc"].mT
    names = ("W_enc", "W_dec", "b_enc", "b_dec")
    off = max(float((getattr(dictionary, name) - wanted[name]).abs().max()) for name in names)
    print(f"largest difference of a weight from one process: {off:.2g}")


def main() -> None:
    """Fill a stream, or run the whole."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=int, default=20_000_000)
    parser.add_argument("--d", type=int, default=16)
    parser.add_argument("--rows", type=int, default=125_000, help="of a shard")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--kills", type=int, default=2, help="of each end")
    parser.add_argument("--fill", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.fill is not None:
        fill_stream(args.fill, lambda n, limit: block(n, args.d), lambda: head(args), about=ABOUT)
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        run(args, Path(folder))


if __name__ == "__main__":
    main()
