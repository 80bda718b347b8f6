"""Balanced brackets: heights as means over what was read, neurons that notice where they fall below
zero, and a head that gathers these."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from assay.core.heavy import torch
from assay_catalogue.worlds.algorithms.built.circuit import (
    SHARP,
    Circuit,
    built,
    empty,
    moves,
    rooms,
    shape_of,
)
from assay_catalogue.worlds.algorithms.task import Task, unasked


def balanced(length: int = 10) -> Task:
    """Tell whether START b₁ … bₙ END is balanced, n even; asked at END.

    Half of the inputs are balanced, uniformly over walks with equal steps up and down that are made
    so by turning them at their lowest point; of the others half end at height 0, and half do not
    need to."""
    start, end = 2, 3

    def draw_inputs(generator: np.random.Generator, n: int) -> Int[np.ndarray, "n s"]:
        even = np.tile(np.repeat([0, 1], length // 2), (n, 1))
        even = np.take_along_axis(even, generator.random((n, length)).argsort(1), 1)
        height = np.cumsum(1 - 2 * even, 1)
        turned = np.take_along_axis(
            even, (height.argmin(1)[:, None] + 1 + np.arange(length)) % length, 1
        )
        kind = generator.random((n, 1))
        inner = np.where(
            kind < 0.5, turned, np.where(kind < 0.75, even, generator.integers(2, size=(n, length)))
        )
        return np.concatenate([np.full((n, 1), start), inner, np.full((n, 1), end)], 1)

    def answer(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        out = unasked(tokens)
        height = np.cumsum(1 - 2 * tokens[:, 1:-1], 1)
        out[:, -1] = (height.min(1) >= 0) & (height[:, -1] == 0)
        return out

    return Task(
        f"balanced-{length}",
        ("(", ")", "START", "END"),
        ("no", "balanced"),
        length + 2,
        draw_inputs,
        answer,
    )


def brackets(length: int = 10) -> Circuit:
    """Build two blocks: a head that averages steps and two neurons, then a head that averages what
    one neuron found over all places.

    Heights come divided by the number of tokens read, at most n + 2, so one step below zero is
    worth at least 1/(n + 2)."""
    task = balanced(length)
    r = rooms(step=1, height=1, below=1, off=1, faults=1, end=1)
    shape = shape_of(task, r, layers=2, m=2, d_head=1)
    p, n = empty(shape), length + 2
    p["W_E"][0, :2, r["step"].start] = torch.tensor([1.0, -1.0], dtype=torch.float64)
    p["W_E"][0, 3, r["end"].start] = 1.0
    moves(p, 0, 0, r["step"], r["height"])
    p["W_in"][0, 0, r["height"].start] = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    p["W_out"][0, 0, 0, r["below"].start] = 1.0
    p["W_out"][0, 0, :, r["off"].start] = 1.0
    moves(p, 1, 0, r["below"], r["faults"])
    least = 1 / n**2  # what one step below zero adds to the mean of faults
    p["W_U"][0, [r["faults"].start, r["off"].start], 0] = 2 * SHARP / least
    p["W_U"][0, r["end"].start, 1] = SHARP
    wires = "embed>a0.0.v a0.0>m0 m0>a1.0.v m0>logits a1.0>logits embed>logits"
    means = {
        "a0.0": "averages the steps so far: the height over the number of tokens",
        "m0": "notices a height below zero, and any height other than zero",
        "a1.0": "gathers over all places how far the height was below zero",
    }
    return built(task, shape, p, "embed a0.0 m0 a1.0", wires, means)
