"""Modular addition: a head adds two numbers, neurons bend the sum at every whole number, and the
logits read the sum modulo p."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from assay.core.heavy import torch
from assay_catalogue.worlds.algorithms.built.circuit import (
    SHARP,
    Circuit,
    attends,
    built,
    empty,
    matrix,
    moves,
    rooms,
    shape_of,
)
from assay_catalogue.worlds.algorithms.task import Task, unasked


def remainder(p: int = 7) -> Task:
    """Name a + b modulo p of "a b =", asked at "="."""

    def draw_inputs(generator: np.random.Generator, n: int) -> Int[np.ndarray, "n s"]:
        return np.concatenate([generator.integers(p, size=(n, 2)), np.full((n, 1), p)], 1)

    def answer(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        out = unasked(tokens)
        out[:, 2] = tokens[:, :2].sum(1) % p
        return out

    names = tuple(map(str, range(p)))
    return Task(f"remainder-{p}", (*names, "="), names, 3, draw_inputs, answer)


def modular_sum(p: int = 7) -> Circuit:
    """Build one head that averages a and b at "=", and an MLP of 2p + 1 ReLUs that makes a bump at
    each sum from 0 to 2p − 2."""
    task, sums = remainder(p), 2 * p - 1
    r = rooms(value=1, place=3, total=1, found=p)
    shape = shape_of(task, r, layers=1, m=sums + 2, d_head=3)
    w = empty(shape)
    w["W_E"][0, :p, r["value"].start] = torch.arange(p).double()
    w["W_pos"][0, :, r["place"].all] = torch.eye(3)
    look = torch.zeros(3, 3, dtype=torch.float64)
    look[2, :2] = SHARP
    attends(w, 0, 0, matrix(shape, r["place"], look), matrix(shape, r["place"]))
    moves(w, 0, 0, r["value"], r["total"])
    w["W_in"][0, 0, r["total"].start] = 2.0  # the head gives the mean of the two
    w["b_in"][0, 0] = -(torch.arange(sums + 2) - 1).double()
    for s in range(sums):
        w["W_out"][0, 0, s : s + 3, r["found"].start + s % p] += torch.tensor(
            [1.0, -2.0, 1.0], dtype=torch.float64
        )
    w["W_U"][0, r["found"].all] = SHARP * torch.eye(p, dtype=torch.float64)
    wires = "pos>a0.0.q pos>a0.0.k embed>a0.0.v a0.0>m0 m0>logits"
    means = {
        "a0.0": "averages the two numbers",
        "m0": "makes a bump at each possible sum, and writes each to its remainder",
    }
    return built(task, shape, w, "embed pos a0.0 m0", wires, means)
