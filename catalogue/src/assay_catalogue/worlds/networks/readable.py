"""Decoders written by hand on a text of pairs: how much each knows, and how much of that can be
read off it, is known exactly.

After token x comes its partner with probability `SURE`, and else any token. A decoder knows the
partners of some tokens. What it knows plainly takes two nodes a token: the token's own coordinate
of the stream, and a neuron that fires on it alone. What it knows densely is spread over all
coordinates and `DENSE` neurons, each of which fires on a random half of all tokens; only together
do they say it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from assay.core.heavy import torch
from assay.train import rng

VOCAB, SURE = 64, 0.9
DENSE = 72
"""Neurons of the dense part: more than tokens, so that it can say anything."""
STRENGTH = 4.0
"""What a known partner's coordinate gets, next to 1 for the token itself."""


@dataclass(frozen=True)
class Known:
    """How many partners a decoder knows plainly, and how many densely."""

    plain: int
    dense: int = 0

    @property
    def neurons(self) -> int:
        """How many neurons that takes."""
        return self.plain + (DENSE if self.dense else 0)

    def capability(self) -> float:
        """Nats a token that it saves on its text, of what a uniform guess loses.

        Formula: (plain + dense)/V · gain
        """
        return (self.plain + self.dense) / VOCAB * gain()

    def by_rules(self, names: int) -> float:
        """The share of neurons' firings that rules of so many names explain, by sensitivity less
        false alarms, on average.

        Formula: (plain + DENSE · names/(V/2)) / (plain + DENSE); 1 without a dense part
        """
        dense = self.neurons - self.plain
        return (self.plain + dense * min(1.0, names / (VOCAB / 2))) / self.neurons


def gain() -> float:
    """Nats that knowing a token's partner saves: ln V less the entropy of what follows."""
    p = SURE + (1 - SURE) / VOCAB
    return math.log(VOCAB) + p * math.log(p) + (1 - p) * math.log((1 - p) / (VOCAB - 1))


def partners(seeds: Int[np.ndarray, " run"]) -> Int[np.ndarray, "run v"]:
    """Which token is the partner of each, a permutation drawn by each seed."""
    return rng.permutation(seeds, "readable.partners", 0, VOCAB)


def text(
    seeds: Int[np.ndarray, " run"], windows: int, context: int, part: str
) -> Int[np.ndarray, "run window s"]:
    """Windows of the text of each seed."""
    partner, rows = partners(seeds), np.arange(len(seeds))[:, None]
    free = rng.integers(seeds, f"readable.{part}.free", 0, (windows, context), VOCAB)
    sure = rng.uniform(seeds, f"readable.{part}.sure", 0, (windows, context)) < SURE
    out = free.copy()
    for t in range(1, context):
        out[..., t] = np.where(sure[..., t], partner[rows, out[..., t - 1]], free[..., t])
    return out


def decoder(seeds: Int[np.ndarray, " run"], known: Known, context: int) -> dict[str, torch.Tensor]:
    """The parameters [run, …] of such a decoder: one block, one head that reads nothing, ReLU
    neurons."""
    runs, d, m = len(seeds), 2 * VOCAB, known.neurons
    hot, cold = _normed(d)
    names = rng.permutation(
        seeds, "readable.known", 0, VOCAB
    )  # the first tokens are known plainly, the next ones densely
    halves = np.argsort(rng.uniform(seeds, "readable.halves", 0, (DENSE, VOCAB)), -1) < VOCAB // 2
    target = STRENGTH * np.eye(VOCAB)[partners(seeds)]  # [run, token, partner]
    before = np.full((runs, VOCAB, m), -0.5)  # what each neuron gets at each token, before its ReLU
    out = np.zeros((runs, m, VOCAB))
    for i in range(runs):
        plain, dense = names[i, : known.plain], names[i, known.plain : known.plain + known.dense]
        before[i, plain, np.arange(known.plain)] = 1.0
        out[i, : known.plain] = target[i, plain]
        if known.dense:
            on = halves[i].T  # [token, neuron]
            before[i, :, known.plain :] = np.where(on, 1.0, -1.0)
            # More neurons than tokens, on at random halves: the equations on · out = target have an
            # exact solution, in which every neuron takes part.
            out[i, known.plain :] = np.linalg.pinv(on.astype(float)) @ np.where(
                np.isin(np.arange(VOCAB), dense)[:, None], target[i], 0.0
            )
    W_in, W_out, W_U = np.zeros((runs, d, m)), np.zeros((runs, m, d)), np.zeros((runs, d, VOCAB))
    # LayerNorm makes `hot` of a token's one and `cold` of every zero. With W = before/(hot − cold)
    # and the bias −cold Σ W, what is left at a token is its own entry of `before`.
    W_in[:, :VOCAB] = before / (hot - cold)
    W_out[:, :, VOCAB:] = out
    W_U[:, VOCAB:] = np.eye(VOCAB) * _boost() / _compute_contrast(d)
    zeros, ones = (
        (lambda *shape: np.zeros((runs, *shape))),
        (lambda *shape: np.ones((runs, *shape))),
    )
    params = {
        "W_E": np.broadcast_to(np.eye(VOCAB, d), (runs, VOCAB, d)),
        "W_pos": zeros(context, d),
        "gain_1": ones(1, d),
        "bias_1": zeros(1, d),
        "W_QKV": zeros(1, d, 3, 1, 2),
        "b_QKV": zeros(1, 3, 1, 2),
        "W_O": zeros(1, 1, 2, d),
        "b_O": zeros(1, d),
        "gain_2": ones(1, d),
        "bias_2": zeros(1, d),
        "W_in": W_in[:, None],
        "b_in": -cold * W_in.sum(1)[:, None],
        "W_out": W_out[:, None],
        "b_out": zeros(1, d),
        "gain": ones(d),
        "bias": zeros(d),
        "W_U": W_U,
    }
    return {
        name: torch.from_numpy(np.ascontiguousarray(p, np.float32)) for name, p in params.items()
    }


def _normed(d: int) -> tuple[float, float]:
    """What LayerNorm makes of the one and of the zeros of a one-hot vector."""
    spread = math.sqrt((1 - 1 / d) / d + 1e-5)
    return (1 - 1 / d) / spread, -1 / d / spread


def _compute_contrast(d: int) -> float:
    """By how much a known partner's coordinate stands out among the others after the last
    LayerNorm."""
    mean = (1 + STRENGTH) / d
    return STRENGTH / math.sqrt((1 + STRENGTH**2) / d - mean**2 + 1e-5)


def _boost() -> float:
    """The logit above all others at which a partner's probability is right."""
    p = SURE + (1 - SURE) / VOCAB
    return math.log(p * (VOCAB - 1) / (1 - p))
