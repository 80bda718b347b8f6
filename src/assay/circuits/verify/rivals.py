"""Rivals: how many other explanations of the same size do as well. Explanations are not unique, and a score without this hides it.

Two kinds are counted: other sets of as many pieces, by what is left when only they are kept and when only they are taken away; and the
same variables at other parts, by causal scrubbing.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from assay.circuits.program import Program
from assay.circuits.verify.pieces import Cut
from assay.circuits.verify.scrubbing import identities, once, recovered, unread
from assay.core import rng
from assay.core.errors import AssayError
from assay.subjects.parts import parts

MOST = 200
"""Most rivals of a kind; all where there are fewer."""
FEW = 96
"""Inputs on which they are compared."""
NEAR = 0.02
"""A rival within so much of the own score does as well."""


@dataclass(frozen=True)
class Rivals:
    """How many did as well, of how many that were tried."""

    sets: int
    sets_tried: int
    homes: int
    homes_tried: int


def rivals(program: Program, tokens: Int[np.ndarray, "n s"], seed: int) -> Rivals:
    """Count rivals on a few of these inputs."""
    few = tokens[:FEW]
    own, others = _sets(program, few, seed)
    scrub = _scrub(program, few, seed)
    homes = [_scrub(rival, few, seed) for rival in _moved(program, seed)]
    return Rivals(sum(x >= own - NEAR for x in others), len(others), sum(x >= scrub - NEAR for x in homes), len(homes))


def _sets(program: Program, tokens: np.ndarray, seed: int) -> tuple[float, list[float]]:
    """Keep and remove, half and half, of the own set of pieces and of others with as many."""
    problem = program.problem
    cut = Cut(problem, [u.place for u in program.units])
    mean = [x.mean(0, keepdim=True) for x in cut.clean(tokens)]
    named = cut.named

    def good(kept: Bool[np.ndarray, "piece"]) -> float:
        return float(problem.goodness(_run(cut, tokens, kept, mean), tokens).mean())

    full, none = good(np.ones(len(named), bool)), good(np.zeros(len(named), bool))

    def score(kept: Bool[np.ndarray, "piece"]) -> float:
        span = full - none
        return float(np.clip((good(kept) - none) / span, 0, 1) + np.clip((full - good(~kept)) / span, 0, 1)) / 2 if span else 0.0

    k, at = int(named.sum()), np.arange(len(named))
    sets = [np.isin(at, c) for c in _chosen(len(at), k, seed)]
    return score(named), [score(x) for x in sets if not np.array_equal(x, named)]


def _run(cut: Cut, tokens: np.ndarray, kept: np.ndarray, instead: list[Tensor]) -> Float[Tensor, "n s v"]:
    with torch.no_grad():
        return cut.replaced(tokens, np.broadcast_to(kept, (len(tokens), len(kept))), instead)


def _chosen(n: int, k: int, seed: int) -> Iterator[tuple[int, ...]]:
    """All sets of k out of n, or so many at random."""
    all_of_them = list(itertools.islice(itertools.combinations(range(n), k), MOST + 1))
    if len(all_of_them) <= MOST:
        yield from all_of_them
        return
    of = rng.generator(seed, "circuits.rivals.sets")
    yield from (tuple(of.choice(n, k, replace=False)) for _ in range(MOST))


def _scrub(program: Program, tokens: np.ndarray, seed: int) -> float:
    """E2 of one round."""
    problem, of = program.problem, rng.generator(seed, "circuits.rivals.scrub")
    kept = problem.goodness(once(program, tokens, identities(program, tokens), of), tokens)
    terms = {"full": problem.goodness(problem.logits(tokens), tokens), "unread": unread(problem, tokens), "scrubbed": kept}
    return float(recovered({name: x.mean(keepdims=True) for name, x in terms.items()})[0])


def _moved(program: Program, seed: int) -> Iterator[Program]:
    """Other homes for these variables: other heads and MLPs, wherever they can be read in the order that the explanation says."""
    e, params = program.explanation, program.problem.params
    homes = list(dict.fromkeys(p.part for v in e.variables for p in v.at if p.part.kind in ("head", "mlp")))
    if not homes:
        return
    others = [p for p in parts(params) if p.kind in ("head", "mlp")]
    ways = list(itertools.islice(itertools.permutations(others, len(homes)), 5 * MOST))
    of = rng.generator(seed, "circuits.rivals.homes")
    made = 0
    for i in of.permutation(len(ways)):
        if list(ways[i]) == homes or made == MOST:
            continue
        new = dict(zip(homes, ways[i], strict=True))
        at = {v.name: tuple(dataclasses.replace(p, part=new.get(p.part, p.part)) for p in v.at) for v in e.variables}
        variables = tuple(dataclasses.replace(v, at=at[v.name]) for v in e.variables)
        try:
            rival = Program(dataclasses.replace(e, variables=variables), program.problem)
        except AssayError:  # a part that reads nothing of what it would have to
            continue
        made += 1
        yield rival
