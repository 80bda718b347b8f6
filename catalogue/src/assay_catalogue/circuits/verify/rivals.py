"""Rivals: how many other explanations of the same size do as well. Explanations are not unique, and
a score without this hides it.

Two kinds are counted: other sets of as many pieces, by what is left when only they are kept and
when only they are taken away; and the same variables at other parts, by causal scrubbing.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from assay.core.errors import AssayError, SpecError
from assay.train import rng
from assay_catalogue.circuits.explanation import Explanation
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify.chance import share, unread
from assay_catalogue.circuits.verify.pieces import Cut, Sweep
from assay_catalogue.circuits.verify.scrubbing import (
    Alike,
    classes,
    group_identical,
    once,
    prefixes,
    recovered,
)
from assay_catalogue.subjects.parts import Part, parts

MOST = 200
"""Most rivals of a kind; all where there are fewer."""
TRIES = 5 * MOST
"""Ways to move variables that are looked through for these."""
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
    own_score, rival_scores = _sets(program, few, seed)
    read = prefixes(few)
    same = {
        name: group_identical(x, read) for name, x in classes(program, few).items()
    }  # a rival's variables have the same values elsewhere
    terms = {
        "full": program.problem.right(program.problem.logits(few), few),
        "unread": unread(program.problem, few),
    }
    # One round and few inputs, for the own explanation as for its rivals: they are compared, and
    # none is reported.
    scrub = _scrub(program, few, seed, same, terms)
    elsewhere = itertools.islice(_moved(program, seed), MOST)
    homes = [_scrub(rival, few, seed, same, terms) for rival in elsewhere]
    return Rivals(
        sum(x >= own_score - NEAR for x in rival_scores),
        len(rival_scores),
        sum(x >= scrub - NEAR for x in homes),
        len(homes),
    )


def _sets(program: Program, tokens: np.ndarray, seed: int) -> tuple[float, list[float]]:
    """Keep and remove, half and half, of the own set of pieces and of others with as many."""
    problem = program.problem
    cut = Cut(problem, [u.place for u in program.units])
    mean = [x.mean(0, keepdim=True) for x in cut.clean(tokens)]
    in_explanation = cut.named
    k, indices = int(in_explanation.sum()), np.arange(len(in_explanation))
    sets = [
        x
        for x in (np.isin(indices, c) for c in _chosen(len(indices), k, seed))
        if not np.array_equal(x, in_explanation)
    ]
    masks = [
        np.ones(len(in_explanation), bool),
        # Kept and taken away in turn, which the slices [::2] and [1::2] below part again.
        *(m for x in (in_explanation, *sets) for m in (x, ~x)),
    ]
    full, *good = (
        float(x.mean())
        for x in Sweep(cut, tokens, mean).each(masks, lambda logits: problem.right(logits, tokens))
    )
    none = float(unread(problem, tokens).mean())

    def score(remaining: float, gone: float) -> float:
        return float(share(remaining - none, full - none) + share(full - gone, full - none)) / 2

    own_score, *rival_scores = map(score, good[::2], good[1::2])
    return own_score, rival_scores


def _chosen(n: int, k: int, seed: int) -> Iterator[tuple[int, ...]]:
    """All sets of k out of n, or so many at random."""
    # One more than MOST tells whether there are more, without counting what may be astronomically
    # many.
    all_of_them = list(itertools.islice(itertools.combinations(range(n), k), MOST + 1))
    if len(all_of_them) <= MOST:
        yield from all_of_them
        return
    generator = rng.generator(seed, "circuits.rivals.sets")
    yield from (tuple(generator.choice(n, k, replace=False)) for _ in range(MOST))


def _scrub(
    program: Program,
    tokens: np.ndarray,
    seed: int,
    same: Mapping[str, Alike],
    terms: Mapping[str, np.ndarray],
) -> float:
    """E2 of one round."""
    # Anew for each rival: all of them draw from the same numbers.
    generator = rng.generator(seed, "circuits.rivals.scrub")
    scores = program.problem.right(
        once(program, tokens, [same[u.variable] for u in program.units], generator), tokens
    )
    return float(
        recovered(
            {name: x.mean(keepdims=True) for name, x in {**terms, "scrubbed": scores}.items()}
        )[0]
    )


def moved(explanation: Explanation, problem: Problem, seed: int) -> Explanation:
    """Say the same of other parts: variables go to other heads and MLPs.

    Where to is drawn among all ways in which they can be read in their order.

    Raises: SpecError where there is no other way.
    """
    program = Program(explanation, problem)
    elsewhere = next(_moved(program, seed), None)
    if elsewhere is None:
        raise SpecError(f"{explanation.name}: its variables have no other possible places")
    name = f"{explanation.name}, moved"
    return dataclasses.replace(elsewhere.explanation, name=name, size=program.size)


def _moved(program: Program, seed: int) -> Iterator[Program]:
    """Put the variables into other heads and MLPs, wherever they can be read in their order.

    Each way comes once. Parts that change places make no other home if the same is said of both.
    """
    e, params = program.explanation, program.problem.params
    # Parts move, not places: two variables in one part stay together, and keep their neurons and
    # positions.
    homes = list(
        dict.fromkeys(p.part for v in e.variables for p in v.at if p.part.kind in ("head", "mlp"))
    )
    if not homes:
        return
    candidates = [p for p in parts(params) if p.kind in ("head", "mlp")]
    rules = {v.name: v.rule for v in e.variables}
    known_ways = {frozenset((v.rule, p) for v in e.variables for p in v.at)}
    for way in _ways(candidates, len(homes), rng.generator(seed, "circuits.rivals.homes")):
        new = dict(zip(homes, way, strict=True))
        places_by_name = {
            v.name: tuple(dataclasses.replace(p, part=new.get(p.part, p.part)) for p in v.at)
            for v in e.variables
        }
        if (
            # By what is said of where: parts that change places make the same set if they have the
            # same rule.
            where := frozenset(
                (rules[name], p) for name, places in places_by_name.items() for p in places
            )
        ) in known_ways:
            continue
        known_ways.add(where)
        try:
            rival = program.moved(places_by_name)
        except AssayError:  # a part that reads nothing of what it would have to
            continue
        yield rival


def _ways(
    parts: Sequence[Part], k: int, generator: np.random.Generator
) -> Iterator[Sequence[Part]]:
    """All ordered choices of k parts in random order, or so many at random where there are more."""
    if math.perm(len(parts), k) <= TRIES:
        ways = list(itertools.permutations(parts, k))
        yield from (ways[i] for i in generator.permutation(len(ways)))
    else:
        yield from ([parts[i] for i in generator.permutation(len(parts))[:k]] for _ in range(TRIES))
