"""One dictionary over ranks: what a step takes and sends here with one rank and with two, and the
arithmetic of a huge one on many GPUs.

    python benchmarks/sharded.py [--repeats 3] [--arithmetic]

Ranks are processes of one thread each, on gloo; one and two ranks take turns. CPU time says what a
rank computes however busy the machine is, wall time what one waits. Bytes are those that the code
counts, as a ring sends them, beside what the formula says. The arithmetic (alone with
`--arithmetic`) takes every figure from the assumptions that it prints."""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, fields

import numpy as np
import torch

from assay.core import rng
from assay.dictionaries.selection import BatchTopK, TopK
from assay.dictionaries.sharded.part import Part
from assay.dictionaries.sharded.ranks import join_ranks
from assay.dictionaries.sharded.training import fit_sharded
from assay.dictionaries.training.losses import mse
from assay.dictionaries.training.train import Method

D, WIDTH, BATCH, K = 576, 9216, 1024, 32
KINDS = {"TopK": TopK(K), "BatchTopK": BatchTopK(K)}
WARM, STEPS = 2, 6


def ring(size: int, count: int) -> int:
    """Bytes that each of `count` ranks sends so that all have the sum of `size` bytes."""
    return 2 * (count - 1) * size // count


def sent_by(kind: str, shards: int, batch: int, d: int, k: int) -> int:
    """Bytes that a rank sends in one step of float32, without replicas and AuxK."""
    # reconstructions, the share of b_dec's gradient, whether all is finite together with L0
    sums = [4 * batch * d, 4 * d, 16]
    if kind == "TopK":
        return sum(ring(size, shards) for size in sums) + (shards - 1) * 4 * batch * k
    # BatchTopK: counts of 16 bits, then of 15
    return sum(ring(size, shards) for size in [*sums, 4 * 2**16, 4 * 2**15])


def rank() -> None:
    """Be one rank: print seconds and bytes of a step of each kind."""
    with join_ranks(timeout=120) as ranks:
        part = Part(ranks, WIDTH)
        x = torch.randn(BATCH, D, generator=torch.Generator().manual_seed(0))
        for kind, nonlinearity in KINDS.items():
            marks: list[tuple[float, float, int]] = []

            def batches(step: int, marks: list[tuple[float, float, int]] = marks) -> torch.Tensor:
                marks.append((time.perf_counter(), time.process_time(), sum(ranks.sent().values())))
                return x

            method = Method(nonlinearity, mse, WIDTH, lr=np.array([1e-6]), penalty=np.array([0.0]))
            fit_sharded(part, method, batches, d=D, steps=WARM + STEPS)
            wall, cpu, sent = (
                [(b - a) for a, b in zip(its[WARM:], its[WARM + 1 :], strict=False)]
                for its in zip(*marks, strict=True)
            )
            took = {"wall": statistics.median(wall), "cpu": statistics.median(cpu), "sent": sent[0]}
            if ranks.rank == 0:
                print(json.dumps({"kind": kind, "ranks": ranks.size, **took}))


def measured(repeats: int) -> None:
    """Print what a step takes with one rank and with two, in turn."""
    found: dict[tuple[str, int], list[dict[str, float]]] = {}
    for _ in range(repeats):
        for ranks in (1, 2):
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = str(free.getsockname()[1])
            env = {
                "WORLD_SIZE": str(ranks),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": port,
                "OMP_NUM_THREADS": "1",
            }
            command = [sys.executable, __file__, "--rank"]
            started = [
                subprocess.Popen(
                    command,
                    env=os.environ | env | {"RANK": str(i)},
                    stdout=subprocess.PIPE,
                    text=True,
                )
                for i in range(ranks)
            ]
            said = [process.communicate(timeout=600)[0] for process in started]
            for line in filter(None, said[0].splitlines()):
                one = json.loads(line)
                found.setdefault((one["kind"], ranks), []).append(one)
    print(
        f"a step of {WIDTH:,} latents over {D} dimensions, {BATCH} rows, k = {K}, float32, "
        f"one thread a rank; medians of {repeats}\n"
    )
    print(
        "| kind | ranks | wall, ms | CPU of a rank, ms | against one rank, wall and CPU | "
        "bytes a rank sends, counted | by the formula |"
    )
    print("|---|---|---|---|---|---|---|")
    for kind in KINDS:
        one = {
            name: statistics.median(its[name] for its in found[kind, 1]) for name in ("wall", "cpu")
        }
        for ranks in (1, 2):
            wall, cpu = (
                statistics.median(its[name] for its in found[kind, ranks])
                for name in ("wall", "cpu")
            )
            sent = int(found[kind, ranks][0]["sent"])
            gain = f"{one['wall'] / wall:.2f}×, {one['cpu'] / cpu:.2f}×"
            print(
                f"| {kind} | {ranks} | {1e3 * wall:.0f} | {1e3 * cpu:.0f} | {gain} | {sent:,} "
                f"| {sent_by(kind, ranks, BATCH, D, K):,} |"
            )


@dataclass(frozen=True)
class Assumed:
    """What the arithmetic rests on."""

    gpus: int = 64
    width: int = 2**24
    d: int = 4096
    batch: int = 8192
    k: int = 64
    flops: float = 4e14
    memory: float = 3.0e12
    network: float = 4.0e10


MEANING = {
    "gpus": "GPUs, each with a rank",
    "width": "latents",
    "d": "dimensions of the activations",
    "batch": "rows of a step, over all GPUs",
    "k": "features on in a row, TopK without dead latents",
    "flops": (
        "FLOP/s that a GPU reaches in the encoder's product in bfloat16 (an H100's peak is "
        "9.9e14); all else is float32"
    ),
    "memory": "bytes per second of a GPU's memory (an H100's peak is 3.35e12)",
    "network": "bytes per second that a GPU sends, while it receives as many (400 Gbit/s are 5e10)",
}


def arithmetic(a: Assumed) -> None:
    """Print memory, bytes and the floor of a step's time, for all GPUs as shards and for a quarter
    of them."""
    print("| assumed | value | what it is |\n|---|---|---|")
    for field in fields(a):
        value = getattr(a, field.name)
        print(
            f"| {field.name} | {f'{value:,}' if isinstance(value, int) else f'{value:.2g}'} | "
            f"{MEANING[field.name]} |"
        )
    grids = [(a.gpus, 1), (a.gpus // 4, 4)]
    rows: dict[str, list[str]] = {}

    def line(name: str, value: float, unit: str) -> None:
        rows.setdefault(f"{name}, {unit}", []).append(f"{value:,.1f}")

    for shards, replicas in grids:
        latents, b = a.width // shards, a.batch // replicas
        parameters = 2 * latents * a.d
        parts = {
            "parameters": 4 * parameters,
            "Adam's moments": 8 * parameters,
            "gradients": 4 * parameters,
            "encoder in bfloat16": parameters,
            "pre-activations in bfloat16": 2 * b * latents,
        }
        for name, size in parts.items():
            line(name, size / 1e9, "GB")
        line("**memory of a GPU**", sum(parts.values()) / 1e9, "GB")
        latent_bytes, row_bytes = (
            sent_by("TopK", shards, b, a.d, a.k),
            ring(4 * parameters, replicas),
        )
        line("sent to other shards", latent_bytes / 1e9, "GB")
        line("sent to other replicas", row_bytes / 1e9, "GB")
        product = 2 * b * a.d * latents / a.flops
        # Adam reads parameter, gradient and moments and writes all but the gradient; the gradients
        # are written, the encoder is cast
        adam, write = 28 * parameters / a.memory, (4 * parameters + 6 * parameters / 2) / a.memory
        choose = 2 * 2 * b * latents / a.memory  # pre-activations are written once and read once
        send = (latent_bytes + row_bytes) / a.network
        times = {
            "encoder's product": product,
            "choosing": choose,
            "gradients and the cast": write,
            "Adam": adam,
            "sending": send,
        }
        for name, seconds in times.items():
            line(name, 1e3 * seconds, "ms")
        total = sum(times.values())
        line("**floor of a step, nothing overlapped**", 1e3 * total, "ms")
        line("million rows an hour", 3600 * a.batch / total / 1e6, "")
        line("a checkpoint, all shards", 12 * parameters * shards / 1e9, "GB")
        line(
            "AuxK at its worst: sent besides",
            ((shards - 1) * 4 * b * (a.d // 2) + ring(4 * b * a.d, shards)) / 1e9,
            "GB",
        )
    print(
        "\n| | "
        + " | ".join(f"{s} shards × {r} replica{'s' if r > 1 else ''}" for s, r in grids)
        + " |\n|---|"
        + "---|" * len(grids)
    )
    for name, values in rows.items():
        print(f"| {name.removesuffix(', ')} | {' | '.join(values)} |")
    started = time.process_time()
    rng.normal_rows(np.array([0]), "benchmark", 0, 4096, slice(2**13, 2**13 + 2**9))
    rate = (2**13 + 2**9) * 4096 / (time.process_time() - started)
    print(
        f"\nthe start is drawn at {rate / 1e6:.0f} million numbers a second here: "
        f"{a.width * a.d / rate / 60:.0f} minutes for the last shard, once"
    )


def main() -> None:
    """Measure, then reckon."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--arithmetic", action="store_true")
    parser.add_argument("--rank", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.rank:
        rank()
        return
    if not asked.arithmetic:
        measured(asked.repeats)
        print()
    arithmetic(Assumed())


if __name__ == "__main__":
    main()
