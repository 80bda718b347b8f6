"""Sixty-four modular-addition networks as one ensemble against single PyTorch runs, side by side in
one process.

Goals: at least as fast on a CPU, where both are bound by arithmetic; 20 times on a GPU, where
single runs leave it idle. Prints one JSON line per contender, then the ratio. Run: python
benchmarks/grokking.py [steps] [cpu|cuda]"""

from __future__ import annotations

import json
import os
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from torch import nn

from assay.core import Runs, grid
from assay.core.bench import Unkept
from assay_catalogue.experiments.grokking_efficiency.method import Grokking, lesson
from assay_catalogue.worlds.modular import addition as modular
from assay_catalogue.worlds.modular import network as modular_network

RUNS, REPEATS, WARM = 64, 5, 1
STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 25
DEVICE = torch.device(sys.argv[2] if len(sys.argv) > 2 else "cpu")
SIZES = (350, 450, 800)


class Adder(nn.Module):
    """The network as one would write it alone."""

    def __init__(self, start):
        super().__init__()
        self.E, self.W1, self.W2 = (nn.Parameter(start[name].clone()) for name in ("E", "W1", "W2"))

    def forward(self, a, b):
        return torch.relu((self.E[a] + self.E[b]) @ self.W1) @ self.W2


def runs(size):
    return Runs(grid(Grokking(pairs=size), seed=range(RUNS)))


def start(of):
    return {
        name: value.to(DEVICE)
        for name, value in modular_network.start(of.seeds, of.shared.p).items()
    }


class Here(Unkept):
    """Trains where the benchmark was told to."""

    device = DEVICE


def ours(of):
    modular_network.train(
        of,
        start(of),
        lesson(of),
        steps=STEPS,
        lr=of.each("lr"),
        decay=of.each("decay"),
        bench=Here(),
    )
    synchronise()


def singles(of):
    starts, orders = start(of), modular.order(of.seeds, of.shared.p)
    pairs = modular.pairs(of.shared.p)
    for i, spec in enumerate(of.specs):
        model = Adder({name: value[i] for name, value in starts.items()})
        adam = torch.optim.Adam(
            model.parameters(), lr=spec.lr, betas=(0.9, 0.98), weight_decay=spec.decay, fused=True
        )
        a, b = pairs[orders[i, : spec.pairs]].to(DEVICE).T
        y = (a + b) % spec.p
        for _ in range(STEPS):
            adam.zero_grad()
            nn.functional.cross_entropy(model(a, b), y).backward()
            adam.step()
    synchronise()


def synchronise():
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def main():
    torch.set_num_threads(1)
    for size in SIZES:
        of = runs(size)
        times: dict[str, list[float]] = {"ensemble": [], "singles": []}
        for repeat in range(REPEATS + WARM):
            for name, run in (
                ("ensemble", ours),
                ("singles", singles),
            ):  # interleaved, so that a busy machine slows both
                began = time.perf_counter()
                run(of)
                if repeat >= WARM:
                    times[name].append((time.perf_counter() - began) / STEPS / RUNS * 1e6)
        for name, t in times.items():
            print(
                json.dumps(
                    {
                        "contender": name,
                        "pairs": size,
                        "runs": RUNS,
                        "us_per_step_and_run": round(float(np.median(t)), 1),
                    }
                )
            )
        ratio = np.array(times["singles"]) / np.array(times["ensemble"])
        print(
            f"{size} pairs, {DEVICE.type}: ensemble is {np.median(ratio):.2f} times as fast; "
            f"{ratio.min():.2f} to {ratio.max():.2f}"
        )


if __name__ == "__main__":
    main()
