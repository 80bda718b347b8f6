"""Steps of logic on the bits of a token. Two hops: the first MLP finds x₁ ∧ x₂, the second that xor
x₃. One hop, twice: the first finds x₁ ∧ x₂, the second x₃ ∧ x₄, and neither reads the other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Int

from assay.core.heavy import torch
from assay.subjects.decoder import Shape
from assay_catalogue.worlds.algorithms.built.circuit import (
    SHARP,
    Circuit,
    Room,
    built,
    empty,
    rooms,
    shape_of,
)
from assay_catalogue.worlds.algorithms.task import Task

Bits = Int[np.ndarray, "n s bit"]


def _of_bits(name: str, bits: int, rule: Callable[[Bits], Int[np.ndarray, "n s"]]) -> Task:
    """Tell a rule's 0 or 1 of one token that stands for so many bits."""

    def answer(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        return rule(tokens[..., None] >> np.arange(bits) & 1)

    return Task(
        name,
        tuple("".join(str(t >> i & 1) for i in range(bits)) for t in range(2**bits)),
        ("0", "1"),
        1,
        lambda generator, n: generator.integers(2**bits, size=(n, 1)),
        answer,
    )


def and_then_xor(idle: int = 2) -> Task:
    """Tell (x₁ ∧ x₂) xor x₃ of one token that stands for 3 + idle bits; idle ones change
    nothing."""
    return _of_bits(f"and-then-xor-{idle}", 3 + idle, lambda x: (x[..., 0] & x[..., 1]) ^ x[..., 2])


def either_and(idle: int = 1) -> Task:
    """Tell (x₁ ∧ x₂) ∨ (x₃ ∧ x₄) of one token that stands for 4 + idle bits; idle ones change
    nothing."""
    return _of_bits(
        f"either-and-{idle}",
        4 + idle,
        lambda x: (x[..., 0] & x[..., 1]) | (x[..., 2] & x[..., 3]),
    )


def _bare(task: Task) -> tuple[Shape, dict[str, torch.Tensor], dict[str, Room]]:
    """Two MLPs of two neurons that do nothing yet: bits and a 1 are written by the embedding, and
    the answer is 0 unless something is written into `found`, or in one_hop `hop`."""
    bits = len(task.tokens[0])
    r = rooms(bits=bits, hop=1, found=1, one=1)
    shape = shape_of(task, r, layers=2, m=2, d_head=1)
    p = empty(shape)
    token = torch.arange(2**bits)
    p["W_E"][0, :, r["bits"].all] = (token[:, None] >> torch.arange(bits) & 1).double()
    p["W_E"][0, :, r["one"].start] = 1.0
    p["W_U"][0, r["one"].start, 0] = SHARP
    return shape, p, r


def two_hops(idle: int = 2) -> Circuit:
    """Build two MLPs: ReLU(x₁ + x₂ − 1) is the first hop h; ReLU(h + x₃) − 2 ReLU(h + x₃ − 1) the
    second."""
    task = and_then_xor(idle)
    shape, p, r = _bare(task)
    p["W_in"][0, 0, :2, 0], p["b_in"][0, 0, 0] = 1.0, -1.0
    p["W_out"][0, 0, 0, r["hop"].start] = 1.0
    p["W_in"][0, 1, [2, r["hop"].start]], p["b_in"][0, 1, 1] = 1.0, -1.0
    p["W_out"][0, 1, :, r["found"].start] = torch.tensor([1.0, -2.0], dtype=torch.float64)
    p["W_U"][0, r["found"].start] = SHARP * torch.tensor([-1.0, 1.0], dtype=torch.float64)
    means = {
        "m0": "finds that both of the first two bits are on",
        "m1": "tells whether that and the third bit differ",
    }
    wires = "embed>m0 embed>m1 m0>m1 m1>logits embed>logits"
    return built(task, shape, p, "embed m0 m1", wires, means)


def one_hop(idle: int = 1) -> Circuit:
    """Build two MLPs, ReLU(x₁ + x₂ − 1) and ReLU(x₃ + x₄ − 1), of which either is enough for the
    answer."""
    task = either_and(idle)
    shape, p, r = _bare(task)
    for layer, room in enumerate(("hop", "found")):
        p["W_in"][0, layer, 2 * layer : 2 * layer + 2, 0], p["b_in"][0, layer, 0] = 1.0, -1.0
        p["W_out"][0, layer, 0, r[room].start] = 1.0
        p["W_U"][0, r[room].start] = 2 * SHARP * torch.tensor([-1.0, 1.0], dtype=torch.float64)
    means = {
        "m0": "finds that both of the first two bits are on",
        "m1": "finds that both of the next two are",
    }
    wires = "embed>m0 embed>m1 m0>logits m1>logits embed>logits"
    return built(task, shape, p, "embed m0 m1", wires, means)
