"""A redundant copy: two heads that do the same, and neurons that need only one of them. Taking out either changes nothing; both, all."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int

from assay.subjects.decoder import Shape
from assay.subjects.parts import Part
from assay.worlds.algorithms.built.circuit import SHARP, Circuit, attends, edge, empty, matrix, moves, rooms
from assay.worlds.algorithms.task import Task, unasked


def previous(values: int = 8, length: int = 8) -> Task:
    """Name the token before, from the second place on."""

    def drawn(of: np.random.Generator, n: int) -> Int[np.ndarray, "n s"]:
        return of.integers(values, size=(n, length))

    def answer(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        out = unasked(tokens)
        out[:, 1:] = tokens[:, :-1]
        return out

    names = tuple(map(str, range(values)))
    return Task(f"previous-{length}-{values}", names, names, length, drawn, answer)


def redundant(values: int = 8, length: int = 8, heads: int = 2) -> Circuit:
    """Build heads that each copy the token before into one room, and for each value a pair of neurons that makes 1 of anything from ½ on.

    Formula: min(x, ½) · 2, as 2 ReLU(x) − 2 ReLU(x − ½), where x is the number of heads that copy; its slope at 1 and 2 is 0.
    """
    task = previous(values, length)
    r = rooms(token=values, place=length, copied=values, found=values)
    width = max(values, length)
    shape = Shape(
        layers=1, d=sum(x.size for x in r.values()), heads=heads, m=2 * values, context=length, vocab=values, norm="none", d_head=width,
        activation="relu",
    )  # fmt: skip
    p = empty(shape)
    p["W_E"][0, :, r["token"].all] = torch.eye(values)
    p["W_pos"][0, :, r["place"].all] = torch.eye(length)
    back = torch.diag(torch.full((length - 1,), SHARP, dtype=torch.float64), -1)
    for head in range(heads):
        attends(p, 0, head, matrix(shape, r["place"], back), matrix(shape, r["place"]))
        moves(p, 0, head, r["token"], r["copied"])
    one = torch.eye(values, dtype=torch.float64)
    p["W_in"][0, 0, r["copied"].all] = torch.cat([one, one], 1)
    p["b_in"][0, 0, values:] = -0.5
    p["W_out"][0, 0, :, r["found"].all] = 2 * torch.cat([one, -one])
    p["W_U"][0, r["found"].all] = SHARP * one
    copies = tuple(f"a0.{head}" for head in range(heads))
    wires = tuple(edge(*pair) for copy in copies for pair in (("pos", f"{copy}.q"), ("pos", f"{copy}.k"), ("embed", f"{copy}.v"), (copy, "m0")))
    means = dict.fromkeys(copies, "copies the token one place back") | {"m0": "makes the same of one copy as of several"}
    return Circuit(task, shape, p, tuple(map(Part.parse, ("embed", "pos", *copies, "m0"))), (*wires, edge("m0", "logits")), means)
