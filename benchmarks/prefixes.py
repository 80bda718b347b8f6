"""A training step of small transformers: on distinct prefixes, on sequences, and each run by itself
with PyTorch's own attention.

Goal: prefixes at least 1.5 times as fast as sequences at equal gradients, for 6 runs of
belief-states. Prints one JSON line per contender, then the ratios.
Run: python benchmarks/prefixes.py [steps] [runs]
"""

from __future__ import annotations

import json
import os
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch

from assay.core import Runs, descent, grid
from assay_catalogue.experiments import belief_states
from assay_catalogue.experiments.belief_states import method as belief_states_method
from assay_catalogue.worlds.hidden_markov.process import rrxor
from assay_catalogue.worlds.networks.transformer import (
    MATRICES,
    Prefixes,
    Sizes,
    forward,
    forward_prefixes,
    transformer,
)

STEPS, RUNS = [int(a) for a in sys.argv[1:3]] + [20, 6][len(sys.argv[1:3]) :]
REPEATS = 5
SPECS = grid(belief_states.DEFAULT, seed=range(RUNS))
SIZES = Sizes(layers=4, d=64, heads=1, d_head=8, d_mlp=256, context=10, vocab=2)
TREE = rrxor().tree(10)
FOLLOWS = torch.from_numpy(TREE.predicted.astype(np.float32))


def on_prefixes(params, batch):
    token, position, ancestors, weight, target = batch
    logits, _ = forward_prefixes(params, Prefixes(token, position, ancestors))
    return -(weight[..., None] * target * logits.log_softmax(-1)).sum((1, 2)) / 640


def on_sequences(params, batch):
    tokens, target = batch
    return -(target * forward(params, tokens)[0].log_softmax(-1)).sum((1, 2, 3)) / 640


def sequences(runs):
    draw = rrxor().sequences(runs.seeds, 64, 10)

    def batch(step):
        tokens = draw(step)
        return torch.from_numpy(tokens), FOLLOWS[torch.from_numpy(TREE.rows(tokens))]

    return batch


def seconds(specs, loss, source):
    """CPU-seconds a step of all these runs as one group, batches included."""
    runs = Runs(specs)
    group = descent(
        runs,
        transformer(runs.seeds, SIZES),
        loss,
        lr=np.full(len(runs), 3e-3),
        clip=0.3,
        decay=dict.fromkeys(MATRICES, 1.0),
    )
    batch = source(runs)
    group.step_fn(group.state, batch(0), 0)
    started = time.process_time()
    for step in range(STEPS):
        group.step_fn(group.state, batch(step), step)
    return (time.process_time() - started) / STEPS


def main():
    torch.set_num_threads(1)
    contenders = {
        "prefixes": lambda: seconds(SPECS, on_prefixes, belief_states_method.batches),
        "sequences": lambda: seconds(SPECS, on_sequences, sequences),
        "sequences, one run at a time": lambda: sum(
            seconds([s], on_sequences, sequences) for s in SPECS
        ),
    }
    times = {name: [] for name in contenders}
    for _ in range(REPEATS):  # in turn, so that a slow moment of the machine meets all of them
        for name, measure in contenders.items():
            times[name].append(measure())
    for name, found in times.items():
        print(
            json.dumps(
                {"contender": name, "runs": RUNS, "ms_a_step": [round(1e3 * t, 2) for t in found]}
            )
        )
    base = np.array(times["prefixes"])
    for name in list(times)[1:]:
        print(f"{name} / prefixes: {np.median(np.array(times[name]) / base):.2f}")


if __name__ == "__main__":
    main()
