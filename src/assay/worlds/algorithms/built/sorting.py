"""Sorting: from each value, attention to the smallest larger one in the list, and a copy of it."""

from __future__ import annotations

from assay.core.heavy import torch
from assay.subjects.decoder import Shape
from assay.subjects.parts import Part
from assay.worlds.algorithms.built.circuit import (
    Circuit,
    attends,
    edge,
    empty,
    matrix,
    moves,
    rooms,
)
from assay.worlds.algorithms.sorted_list import sorted_list


def sorting(
    items: int = 5, values: int = 21, sharp: float = 20.0, beta: float = 20.0, at_least: int = 1
) -> Circuit:
    """Build one head whose score of value s from value d is −sharp · (s − d) where s ≥ d +
    at_least, and far lower elsewhere.

    With at_least = 0 it copies d itself: a rival that is right only where the separator asks for
    the least value."""
    task = sorted_list(items, values)
    r = rooms(token=values + 1, found=values)
    shape = Shape(
        layers=1,
        d=2 * values + 1,
        heads=1,
        m=0,
        context=task.length,
        vocab=values + 1,
        norm="none",
        d_head=values + 1,
        answers=values,
    )
    p = empty(shape)
    p["W_E"][0, :, r["token"].all] = torch.eye(values + 1)
    d, s = torch.meshgrid(torch.arange(values + 1), torch.arange(values + 1), indexing="ij")
    d = torch.where(d == values, -1, d)  # the separator comes before every value
    table = torch.where(
        (s - d >= at_least) & (s < values), -sharp * (s - d), -sharp * 4 * values
    ).double()
    table = torch.where((d == -1) & (s < values), -sharp * (s + 1), table).double()
    attends(p, 0, 0, matrix(shape, r["token"], table), matrix(shape, r["token"]))
    moves(p, 0, 0, r["token"], r["found"])
    p["W_U"][0, r["found"].all] = beta * torch.eye(values, dtype=torch.float64)
    wires = (
        edge("embed", "a0.0.q"),
        edge("embed", "a0.0.k"),
        edge("embed", "a0.0.v"),
        edge("a0.0", "logits"),
    )
    means = {"a0.0": "attends to the smallest value above the present one, and copies it"}
    return Circuit(task, shape, p, tuple(map(Part.parse, ("embed", "a0.0"))), wires, means)
