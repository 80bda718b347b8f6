"""Two hops of logic: the first MLP finds x₁ ∧ x₂, the second that xor x₃. What lies between them is
planted, and known."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from assay.core.heavy import torch
from assay.subjects.decoder import Shape
from assay.subjects.parts import Part
from assay.worlds.algorithms.built.circuit import SHARP, Circuit, edge, empty, rooms
from assay.worlds.algorithms.task import Task


def and_then_xor(idle: int = 2) -> Task:
    """Tell (x₁ ∧ x₂) xor x₃ of one token that stands for 3 + idle bits; idle ones change
    nothing."""
    bits = 3 + idle

    def draw_inputs(generator: np.random.Generator, n: int) -> Int[np.ndarray, "n s"]:
        return generator.integers(2**bits, size=(n, 1))

    def answer(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        x = tokens[..., None] >> np.arange(bits) & 1
        return (x[..., 0] & x[..., 1]) ^ x[..., 2]

    names = tuple("".join(str(t >> i & 1) for i in range(bits)) for t in range(2**bits))
    return Task(f"and-then-xor-{idle}", names, ("0", "1"), 1, draw_inputs, answer)


def two_hops(idle: int = 2) -> Circuit:
    """Build two MLPs: ReLU(x₁ + x₂ − 1) is the first hop h; ReLU(h + x₃) − 2 ReLU(h + x₃ − 1) the
    second."""
    task, bits = and_then_xor(idle), 3 + idle
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
    p["W_in"][0, 0, :2, 0], p["b_in"][0, 0, 0] = 1.0, -1.0
    p["W_out"][0, 0, 0, r["hop"].start] = 1.0
    p["W_in"][0, 1, [2, r["hop"].start]], p["b_in"][0, 1, 1] = 1.0, -1.0
    p["W_out"][0, 1, :, r["found"].start] = torch.tensor([1.0, -2.0], dtype=torch.float64)
    p["W_U"][0, r["found"].start] = SHARP * torch.tensor([-1.0, 1.0], dtype=torch.float64)
    p["W_U"][0, r["one"].start, 0] = SHARP
    wires = (
        edge("embed", "m0"),
        edge("embed", "m1"),
        edge("m0", "m1"),
        edge("m1", "logits"),
        edge("embed", "logits"),
    )
    means = {
        "m0": "finds that both of the first two bits are on",
        "m1": "tells whether that and the third bit differ",
    }
    return Circuit(task, shape, p, tuple(map(Part.parse, ("embed", "m0", "m1"))), wires, means)
