"""Superposition toys as one ensemble against as many single PyTorch runs, side by side in one
process.

Goals, with batches given and data included: at 8 runs at least 4 and 3 times as fast, at 64 runs 8
and 4 times. Prints one JSON line per contender, then a table.
Run: python benchmarks/ensembles.py [steps] [runs] [device]
"""

from __future__ import annotations

import json
import os
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from torch import nn

from assay.core import Runs, descent, grid
from assay.data import planted
from assay_catalogue.experiments.superposition import Superposition
from assay_catalogue.worlds.bottleneck import toy

STEPS, RUNS = [int(a) for a in sys.argv[1:3]] + [100, 64][len(sys.argv[1:3]) :]
DEVICE = torch.device(sys.argv[3] if len(sys.argv) > 3 else "cpu")
REPEATS, WARM = 9, 2
GOALS = {8: (4, 3), 64: (8, 4)}
SPECS = grid(Superposition(), seed=range(RUNS))


class Toy(nn.Module):
    """The toy as one would write it alone."""

    def __init__(self, W):
        super().__init__()
        self.W, self.b = nn.Parameter(W.clone()), nn.Parameter(torch.zeros(len(W)))

    def forward(self, x):
        return torch.relu(x @ self.W @ self.W.T + self.b)


def ours(batches):
    runs = Runs(SPECS)
    s = runs.shared
    group = descent(
        runs,
        toy.bottleneck(runs, s.features, s.width),
        lambda p, x: toy.mean_square(toy.reconstruct(p, x), x),
        lr=runs.each("lr"),
    )
    for name, tensor in group.state.items():
        group.state[name] = tensor.detach().to(DEVICE)
    source = batches if batches is not None else planted.sparse_features(runs, s.features, s.batch)
    for step in range(STEPS):
        group.step_fn(group.state, source(step).to(DEVICE), step)


def singles(batches):
    starts = toy.bottleneck(Runs(SPECS), 20, 5)["W"]
    for i, spec in enumerate(SPECS):
        model = Toy(starts[i]).to(DEVICE)
        adam = torch.optim.Adam(model.parameters(), lr=spec.lr, fused=True)
        generator = torch.Generator().manual_seed(spec.seed)
        for step in range(STEPS):
            if batches is not None:
                x = batches(step)[i]
            else:
                x = torch.rand(spec.batch, 20, generator=generator) * (
                    torch.rand(spec.batch, 20, generator=generator) < spec.density
                )
            x = x.to(DEVICE)
            adam.zero_grad()
            (model(x) - x).square().mean().backward()
            adam.step()


def main():
    torch.set_num_threads(1)
    drawn = planted.sparse_features(Runs(SPECS), 20, 256)
    given = [drawn(step).to(DEVICE) for step in range(STEPS)]
    contenders = {
        "ensemble, batches given": lambda: ours(given.__getitem__),
        "singles, batches given": lambda: singles(given.__getitem__),
        "ensemble, data included": lambda: ours(None),
        "singles, data included": lambda: singles(None),
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for repeat in range(REPEATS + WARM):
        for name, run in contenders.items():  # interleaved, so that a busy machine slows all alike
            began = time.perf_counter()
            run()
            if DEVICE.type == "cuda":
                torch.cuda.synchronize(DEVICE)
            if repeat >= WARM:
                times[name].append((time.perf_counter() - began) / STEPS * 1e3)
    for name, t in times.items():
        print(
            json.dumps(
                {
                    "contender": name,
                    "runs": RUNS,
                    "device": str(DEVICE),
                    "ms_per_step_min": round(min(t), 4),
                    "median": round(float(np.median(t)), 4),
                }
            )
        )
    print()
    for kind, goal in zip(
        ("batches given", "data included"), GOALS.get(RUNS, ("none", "none")), strict=True
    ):
        pairs = np.array(times[f"singles, {kind}"]) / np.array(times[f"ensemble, {kind}"])
        print(
            f"{kind}: ensemble of {RUNS} is {np.median(pairs):.2f} times as fast (goal "
            f"{goal}); pairs {pairs.min():.2f} to {pairs.max():.2f}"
        )


if __name__ == "__main__":
    main()
