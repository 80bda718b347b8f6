"""Sorting: from each value, attention to the smallest larger one in the list, and a copy of it."""

from __future__ import annotations

from assay.core.heavy import torch
from assay_catalogue.worlds.algorithms.built.circuit import (
    Circuit,
    attends,
    built,
    empty,
    matrix,
    moves,
    rooms,
    shape_of,
)
from assay_catalogue.worlds.algorithms.sorted_list import sorted_list


def sorting(
    items: int = 5, values: int = 21, sharp: float = 20.0, beta: float = 20.0, at_least: int = 1
) -> Circuit:
    """Build one head whose score of value s from value d is −sharp · (s − d) where s ≥ d +
    at_least, and far lower elsewhere.

    With at_least = 0 it copies d itself: a rival that is right only where the separator asks for
    the least value."""
    task = sorted_list(items, values)
    r = rooms(token=values + 1, found=values)
    shape = shape_of(task, r, layers=1, d_head=values + 1, answers=values)
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
    wires = "embed>a0.0.q embed>a0.0.k embed>a0.0.v a0.0>logits"
    means = {"a0.0": "attends to the smallest value above the present one, and copies it"}
    return built(task, shape, p, "embed a0.0", wires, means)
