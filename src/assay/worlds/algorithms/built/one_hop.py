"""Two steps of logic side by side: the first MLP finds x₁ ∧ x₂, the second x₃ ∧ x₄. Neither reads
the other."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from assay.core.heavy import torch
from assay.subjects.decoder import Shape
from assay.subjects.parts import Part
from assay.worlds.algorithms.built.circuit import SHARP, Circuit, edge, empty, rooms
from assay.worlds.algorithms.task import Task


def either_and(idle: int = 1) -> Task:
    """Tell (x₁ ∧ x₂) ∨ (x₃ ∧ x₄) of one token that stands for 4 + idle bits; idle ones change
    nothing."""
    bits = 4 + idle

    def draw_inputs(generator: np.random.Generator, n: int) -> Int[np.ndarray, "n s"]:
        return generator.integers(2**bits, size=(n, 1))

    def answer(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        x = tokens[..., None] >> np.arange(bits) & 1
        return (x[..., 0] & x[..., 1]) | (x[..., 2] & x[..., 3])

    names = tuple("".join(str(t >> i & 1) for i in range(bits)) for t in range(2**bits))
    return Task(f"either-and-{idle}", names, ("0", "1"), 1, draw_inputs, answer)


def one_hop(idle: int = 1) -> Circuit:
    """Build two MLPs, ReLU(x₁ + x₂ − 1) and ReLU(x₃ + x₄ − 1), of which either is enough for the
    answer."""
    task, bits = either_and(idle), 4 + idle
    r = rooms(bits=bits, hop=1, found=1, one=1)
    shape = Shape(
        layers=2,
        d=bits + 3,
        heads=1,
        m=2,
        context=1,
        vocab=2**bits,
        norm="none",
        d_head=1,
        answers=2,
        activation="relu",
    )
    p = empty(shape)
    token = torch.arange(2**bits)
    p["W_E"][0, :, r["bits"].all] = (token[:, None] >> torch.arange(bits) & 1).double()
    p["W_E"][0, :, r["one"].start] = 1.0
    for layer, room in enumerate(("hop", "found")):
        p["W_in"][0, layer, 2 * layer : 2 * layer + 2, 0], p["b_in"][0, layer, 0] = 1.0, -1.0
        p["W_out"][0, layer, 0, r[room].start] = 1.0
        p["W_U"][0, r[room].start] = 2 * SHARP * torch.tensor([-1.0, 1.0], dtype=torch.float64)
    p["W_U"][0, r["one"].start, 0] = SHARP
    wires = (
        edge("embed", "m0"),
        edge("embed", "m1"),
        edge("m0", "logits"),
        edge("m1", "logits"),
        edge("embed", "logits"),
    )
    means = {
        "m0": "finds that both of the first two bits are on",
        "m1": "finds that both of the next two are",
    }
    return Circuit(task, shape, p, tuple(map(Part.parse, ("embed", "m0", "m1"))), wires, means)
