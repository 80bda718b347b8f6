"""Trigrams, explained: a head copies the token before, and the MLP names what completes the pair of both.

Neither token alone tells what follows, so that the MLP has to hold a table of pairs. Which pairs it holds is read off the model: tokens
are drawn evenly, so that every pair stands in many places, and a pair counts that makes the model name the same token in most of them.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from assay.circuits.explanation import Explanation, Variable
from assay.circuits.places import Place
from assay.circuits.problem import Problem
from assay.core import rng
from assay.subjects.parts import Part, parts

SEED, INPUTS, OFTEN = 2000, 500, 8
"""Of the sequences on which roles are looked for, how many, and how often each pair stands in evenly drawn ones; no score is taken on them."""
LEAST = 0.5
"""A head looks one back where it does so with this much of its attention, on average."""


def explanation(problem: Problem) -> Explanation:
    """Explain a model of trigrams: heads that look one back, and a table of pairs in the MLP.

    Heads are found by attention: `backward`; pairs by what the model names: `pairs`; the margin is what fits its logits best.
    """
    names, table = problem.task.tokens, pairs(problem)
    rule = "".join(f"{c} if before == '{names[a]}' and token == '{names[b]}' else " for (a, b), c in table.items())
    return Explanation(
        of="monthly-trigrams", name="a head copies the token before, the MLP completes the pair", answer="found", margin=round(margin(problem, table), 1),
        variables=(
            Variable("before", "last(token, there(place) == place - 1)", backward(problem), ("place.q", "place.k", "token.v")),
            Variable("found", f"{rule}-1", memory(problem), ("before", "token")),
        ),
        leaves_out="What is somewhat likelier after the first token of a pair, or at any place; which neurons hold which pair.",
    )  # fmt: skip


def rival(problem: Problem) -> Explanation:
    """Say that the present token alone tells what follows: for each token the completion of one pair that it ends."""
    names, table = problem.task.tokens, pairs(problem)
    alone = {b: c for (_, b), c in table.items()}
    rule = "".join(f"{c} if token == '{names[b]}' else " for b, c in alone.items())
    return Explanation(
        of="monthly-trigrams", name="the MLP completes the present token, whatever stood before", answer="found", margin=round(margin(problem, table), 1),
        variables=(Variable("found", f"{rule}-1", memory(problem), ("token",)),),
        leaves_out="The token before.",
    )  # fmt: skip


def backward(problem: Problem) -> tuple[Place, ...]:
    """Find the heads that look one back; the one that does so most where none reaches LEAST."""
    tokens = problem.task.draw(SEED, 0, INPUTS, held_out=True)
    share = {
        Part("head", layer, head): float(np.diagonal(pattern[0, :, head].numpy(), -1, 1, 2).mean())
        for layer, pattern in enumerate(problem.run(tokens).patterns)
        for head in range(pattern.shape[2])
    }
    chosen = [part for part, x in share.items() if x >= LEAST] or [max(share, key=lambda part: share[part])]
    return tuple(map(Place, chosen))


def memory(problem: Problem) -> tuple[Place, ...]:
    """The MLPs."""
    return tuple(Place(part) for part in parts(problem.params) if part.kind == "mlp")


def pairs(problem: Problem) -> dict[tuple[int, int], int]:
    """Find which token the model names after which pair, in most of the places where the pair stands; pairs in order."""
    tokens = _evenly(problem)
    named = problem.named(problem.logits(tokens))
    size = len(problem.task.tokens)
    pair = tokens[:, 1:-1] * size + tokens[:, 2:]  # of two that stand side by side after the first place
    said = named[:, 2:]
    often = np.bincount(pair.ravel(), minlength=size**2)
    kinds, times = np.unique(np.stack([pair.ravel(), said.ravel()])[:, said.ravel() >= 0], axis=1, return_counts=True)
    return {divmod(int(p), size): int(c) for (p, c), k in zip(kinds.T, times, strict=True) if k > LEAST * often[p]}


def margin(problem: Problem, table: dict[tuple[int, int], int]) -> float:
    """Fit how far the logit of what completes a pair lies above the others, over all places where a pair stands."""
    tokens = problem.task.draw(SEED, 0, INPUTS, held_out=True)
    logits = problem.logits(tokens)
    found = np.full(tokens.shape, -1)
    for (a, b), c in table.items():
        found[:, 1:][(tokens[:, :-1] == a) & (tokens[:, 1:] == b)] = c
    there = found >= 0
    there[:, -1] = False  # after the last token nothing is asked
    chosen, said = logits[there], found[there]
    if not len(said):
        return 1.0
    own = chosen[np.arange(len(said)), said]
    return float(np.mean((own - (chosen.sum(1) - own) / (chosen.shape[1] - 1))))


def _evenly(problem: Problem) -> Int[np.ndarray, "n s"]:
    """Sequences of evenly drawn tokens after the first, so many that each pair is expected OFTEN times."""
    task = problem.task
    like = task.draw(SEED, 1, 1, held_out=True)
    size = len(task.tokens) - 1  # START comes first, and nowhere else
    n = -(-OFTEN * size**2 // (task.length - 2))
    tokens = rng.generator(SEED, "monthly.trigrams.evenly").integers(size, size=(n, task.length))
    tokens[:, 0] = like[0, 0]
    return tokens
