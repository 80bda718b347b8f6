"""A redundant copy: two heads that do the same, and neurons that need only one of them. Taking out
either changes nothing; both, all."""

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


def previous(values: int = 8, length: int = 8, back: int = 1) -> Task:
    """Name the token so many places back, the one before from the second place on."""

    def draw_inputs(generator: np.random.Generator, n: int) -> Int[np.ndarray, "n s"]:
        return generator.integers(values, size=(n, length))

    def answer(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        out = unasked(tokens)
        out[:, back:] = tokens[:, :-back]
        return out

    names = tuple(map(str, range(values)))
    return Task(
        f"previous-{length}-{values}" + f"-{back}" * (back > 1),
        names,
        names,
        length,
        draw_inputs,
        answer,
    )


def redundant(values: int = 8, length: int = 8, heads: int = 2, back: int = 1) -> Circuit:
    """Build heads that copy the token so many places back into one room, and for each value two
    neurons that make 1 of anything from ½ on.

    Formula: min(x, ½) · 2, as 2 ReLU(x) − 2 ReLU(x − ½), where x is the number of heads that copy;
    its slope at 1 and 2 is 0."""
    task = previous(values, length, back)
    r = rooms(token=values, place=length, copied=values, found=values)
    shape = shape_of(task, r, layers=1, heads=heads, m=2 * values, d_head=max(values, length))
    p = empty(shape)
    p["W_E"][0, :, r["token"].all] = torch.eye(values)
    p["W_pos"][0, :, r["place"].all] = torch.eye(length)
    look = torch.diag(torch.full((length - back,), SHARP, dtype=torch.float64), -back)
    for head in range(heads):
        attends(p, 0, head, matrix(shape, r["place"], look), matrix(shape, r["place"]))
        moves(p, 0, head, r["token"], r["copied"])
    identity = torch.eye(values, dtype=torch.float64)
    p["W_in"][0, 0, r["copied"].all] = torch.cat([identity, identity], 1)
    p["b_in"][0, 0, values:] = -0.5
    p["W_out"][0, 0, :, r["found"].all] = 2 * torch.cat([identity, -identity])
    p["W_U"][0, r["found"].all] = SHARP * identity
    copies = [f"a0.{head}" for head in range(heads)]
    wires = " ".join(f"pos>{c}.q pos>{c}.k embed>{c}.v {c}>m0" for c in copies) + " m0>logits"
    far = "one place" if back == 1 else f"{back} places"
    means = dict.fromkeys(copies, f"copies the token {far} back") | {
        "m0": "makes the same of one copy as of several"
    }
    return built(task, shape, p, f"embed pos {' '.join(copies)} m0", wires, means)
