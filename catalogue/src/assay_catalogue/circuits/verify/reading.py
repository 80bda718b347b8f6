"""Reading: whether what a part writes distinguishes the values that a variable is said to have.

A value is read from what is written by the nearest mean: each value has the mean of the other
inputs that have it, those that were the same so far left out, and distances are counted in units of
the spread within values. So a part distinguishes no finer values than it holds: "the token and 100
times a number of the input" has as near a mean for each number. And it holds no coarser ones than
can be read off: a sum does not hold its own remainder, whose means lie among the sums.

Formula: tanh((d² to the nearest other value − d² to its own) / 4). That is 2p − 1, where p is the
probability of its own value against that other one under normal distributions of equal covariance:
1 where the part distinguishes them, 0 where it does not, less where it is taken for the other. A
value that no other input has is compared with the distance at which values usually lie from their
own means; where no value at all is shared nothing can be read, and it is −1.

Source: Fisher 1936, The Use of Multiple Measurements (the linear discriminant)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from assay.core.heavy import torch
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify.chance import LEAST
from assay_catalogue.circuits.verify.pieces import Cut

AMONG = 1000
"""Inputs, or more, from which the means are taken."""
ROUNDING = 1e-9
"""This share of the variance is taken for rounding, and added to the spread within values."""
Ids = Int[np.ndarray, "n s"]
"""At each position, which inputs are the same: equal numbers."""


def reference(problem: Problem, tokens: Ids) -> Ids:
    """Give these inputs and so many others after them that means can be taken."""
    more = problem.task.draw(0, 2, max(AMONG - len(tokens), 1), held_out=True)
    return np.concatenate([tokens, more])


def readings(
    program: Program, many: Ids, values: dict[str, Ids], read: Ids, n: int
) -> dict[str, list[Float[np.ndarray, "n s"]]]:
    """Measure for each variable with a place how far its values are distinguished on the first n
    inputs: by all its places together, and then by each of several alone."""
    cut = Cut(program.problem, [u.place for u in program.units])
    wrote = dict(zip(cut.pieces, cut.divided(program.problem.run(many)), strict=True))
    by_place = {piece.place: x.double().numpy() for piece, x in wrote.items() if piece.place}
    found = {}
    for v in program.explanation.variables:
        if v.at:
            each = [by_place[place] for place in v.at]
            sets = [np.concatenate(each, -1), *(each if len(each) > 1 else ())]
            found[v.name] = [distinguished(x, values[v.name], read)[:n] for x in sets]
    return found


def together(found: list[Float[np.ndarray, "n s"]], felt: Float[np.ndarray, "n s"]) -> np.ndarray:
    """Give what all places of a variable distinguish together; 0 where one of them by itself
    distinguishes next to nothing of what is felt, and so holds no copy and no share of it."""
    alone = [float((x * felt).sum() / max(felt.sum(), 1e-12)) for x in found[1:]]
    return found[0] * (min(alone, default=1.0) > LEAST)


def distinguished(
    written: Float[np.ndarray, "n s d"], values: Ids, read: Ids
) -> Float[np.ndarray, "n s"]:
    """Measure for each input and position how far its value is distinguished from the nearest other
    one; `read` says which inputs were the same so far."""
    n, s, d = written.shape
    centres = [_centres(written[:, i], values[:, i], read[:, i]) for i in range(s)]
    if not any(shared.any() for *_, shared in centres):
        return np.full((n, s), -1.0)
    off = np.concatenate([written[:, i] - centres[i][0][values[:, i]] for i in range(s)])
    within = off.T @ off / sum(n - len(means) for means, *_ in centres)
    variance = max(float(written.var((0, 1)).sum()), np.finfo(float).tiny)
    spread = np.linalg.cholesky(within + ROUNDING * variance * np.eye(d))
    unit = np.linalg.inv(spread).T
    own, other = np.full((2, n, s), np.nan)
    for i, (means, mine, shared) in enumerate(centres):
        x, to = written[:, i] @ unit, means @ unit
        own[shared, i] = ((x - mine @ unit) ** 2).sum(1)[shared]
        squared = (x**2).sum(1)[:, None] - 2 * x @ to.T + (to**2).sum(1)
        squared[np.arange(n), values[:, i]] = np.inf
        # Where all inputs have one value there is nothing to distinguish.
        other[:, i] = squared.min(1) if len(means) > 1 else own[:, i]
    usual = np.nanmean(own)
    return np.tanh((np.nan_to_num(other, nan=usual) - np.nan_to_num(own, nan=usual)) / 4)


def _centres(
    x: Float[np.ndarray, "n d"], value: Int[np.ndarray, " n"], read: Int[np.ndarray, " n"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean of each value; for each input the mean of others that have its value and were not
    the same so far; and whether there are any."""
    pair = np.stack([value, read], 1)
    twins = np.unique(pair, axis=0, return_inverse=True)[1].ravel()
    (sums, sizes), (same, alike) = _sums(x, value), _sums(x, twins)
    others = (sizes[value] - alike[twins])[:, None]
    return sums / sizes[:, None], (sums[value] - same[twins]) / others.clip(1), others[:, 0] > 0


def _sums(x: Float[np.ndarray, "n d"], label: Int[np.ndarray, " n"]) -> tuple[np.ndarray, ...]:
    sizes = np.bincount(label)
    sums = torch.zeros(len(sizes), x.shape[1], dtype=torch.float64)
    return sums.index_add_(0, torch.from_numpy(label), torch.from_numpy(x)).numpy(), sizes
