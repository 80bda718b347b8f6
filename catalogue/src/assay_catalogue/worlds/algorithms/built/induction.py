"""Induction: after a token that stood before, what followed it there. A head that looks one token
back, and one that reads it."""

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


def repeated(half: int = 8, values: int = 16) -> Task:
    """Repeat START's list of distinct values: asked from its second beginning on, for the next
    one."""

    def draw_inputs(generator: np.random.Generator, n: int) -> Int[np.ndarray, "n s"]:
        first = generator.random((n, values)).argsort(1)[:, :half]
        return np.concatenate([np.full((n, 1), values), first, first], 1)

    def answer(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        out = unasked(tokens)
        out[:, half + 1 : -1] = tokens[:, 2 : half + 1]
        return out

    names = tuple(map(str, range(values)))
    return Task(
        f"repeated-{half}-{values}", (*names, "START"), names, 2 * half + 1, draw_inputs, answer
    )


def induction(half: int = 8, values: int = 16) -> Circuit:
    """Build a decoder of two blocks, each with one head that matters and one that only adds noise
    where nobody reads.

    What stands at the first place can only look at itself, so a token of its own stands there.
    """
    task, tokens = repeated(half, values), values + 1
    r = rooms(token=tokens, place=task.length, before=tokens, found=tokens, noise=tokens)
    shape = shape_of(task, r, layers=2, heads=2, d_head=max(tokens, task.length))
    p = empty(shape)
    p["W_E"][0, :, r["token"].all] = torch.eye(tokens)
    p["W_pos"][0, :, r["place"].all] = torch.eye(task.length)
    back = torch.diag(
        torch.full((task.length - 1,), SHARP, dtype=torch.float64), -1
    )  # row: where the query is; column: one before
    attends(p, 0, 0, matrix(shape, r["place"], back), matrix(shape, r["place"]))
    moves(p, 0, 0, r["token"], r["before"])
    same = SHARP * torch.eye(tokens, dtype=torch.float64)
    attends(p, 1, 0, matrix(shape, r["token"], same), matrix(shape, r["before"]))
    moves(p, 1, 0, r["token"], r["found"])
    for layer in range(2):
        moves(p, layer, 1, r["token"], r["noise"])
    p["W_U"][0, r["found"].all] = SHARP * torch.eye(tokens, values, dtype=torch.float64)
    wires = "pos>a0.0.q pos>a0.0.k embed>a0.0.v embed>a1.0.q a0.0>a1.0.k embed>a1.0.v a1.0>logits"
    means = {
        "a0.0": "copies the token one place back",
        "a1.0": (
            "attends to where the token before is the present one, and copies what stands there"
        ),
    }
    return built(task, shape, p, "embed pos a0.0 a1.0", wires, means)
