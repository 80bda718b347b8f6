"""E4, adversarial inputs: those on which an explanation says the model fails, tried on the model
beside as many others.

Others are: inputs on which it is said to work, random ones, and ones that a gradient points to: of
many inputs, those for which the loss would rise most to first order, from random starts. All are
drawn by the task, so none is of another kind.

Of a model that does not err there is nothing to foretell, and no score. But who writes `fails` all
the same, and names inputs on which nothing happens, is refuted: that is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from assay.core.heavy import torch
from assay.core.intervals import Means
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.program import Program
from assay_catalogue.subjects.parts import Part, run_by_parts

CANDIDATES = 100_000
"""Inputs among which failing ones are looked for."""
BLOCK = 5_000
LEAST = 20
"""Fewer inputs that are said to fail tell nothing."""
SOUND = 1e-3
"""A model that errs less often has nothing to predict, unless it does so on what is predicted; nor
has one whose errors among the candidates are too few to be found by whoever knows them."""
TRIED = 20_000
"""How many of them the model is tried on, to see how often it errs."""
STARTS = 64


@dataclass(frozen=True, eq=False)
class Tried:
    """Whether the model errs, input by input of each kind; as many of each."""

    terms: Mapping[str, Float[np.ndarray, " k"]]
    candidates: int
    """Inputs among which failing ones were looked for."""
    why: str = ""
    """Why there is no score: nothing fails, so nothing can be predicted. Or why it is 0."""


def tried(program: Program, seed: int, most: int = 1000, candidates: int = CANDIDATES) -> Tried:
    """Look for inputs that are said to fail, so many at most, and try them beside others."""
    task, problem = program.problem.task, program.problem
    failing: list[np.ndarray] = []
    working: list[np.ndarray] = []
    n_inputs = errors = asked_of = 0
    # Streams 1000, 1001, …: a block a stream, so that the first blocks are the same however many
    # are asked for.
    while n_inputs < candidates and sum(map(len, failing)) < most:
        tokens = task.draw(
            seed, 1000 + n_inputs // BLOCK, min(BLOCK, candidates - n_inputs), held_out=True
        )
        bad = program.fails(tokens).any(1)
        failing.append(tokens[bad])
        working.append(tokens[~bad][:most])
        n_inputs += len(tokens)
        if asked_of < TRIED:
            errors += int(_wrong(problem, tokens).sum())
            asked_of += len(tokens)
    foretold = sum(map(len, failing))
    bad, fine = np.concatenate(failing)[:most], np.concatenate(working)
    k = min(len(bad), len(fine))
    summary = (
        f"the model errs on {errors:,} of {asked_of:,} inputs; {foretold:,} of {n_inputs:,} are "
        "predicted to fail"
    )
    sound = errors / asked_of < SOUND
    # Refuted is only who writes `fails`: answers that are wrong here and there do not claim that
    # the model errs.
    refuted = program.explanation.fails is not None and foretold >= LEAST and not errors
    if k < LEAST:
        # A score of 0, of zeros, is a score and counts; no terms at all would mean that there is
        # none.
        if refuted or errors / asked_of >= max(
            SOUND, 2 * LEAST / n_inputs
        ):  # of fewer errors whoever knew them all would find too few
            return Tried(
                {"failing": np.zeros(LEAST), "working": np.zeros(LEAST)}, n_inputs, summary
            )
        return Tried({}, n_inputs, summary)
    # As many of each kind, and from streams of their own.
    other = task.draw(seed, 900, k, held_out=True)
    pool = task.draw(seed, 901, 4 * k, held_out=True)
    notes = problem.noted("by gradient", pool)
    pointed = notes[k] = notes[k] if k in notes else by_gradient(problem, pool, k)
    kinds = {"failing": bad[:k], "working": fine[:k], "random": other, "gradient": pointed}
    terms = {name: _wrong(problem, tokens) for name, tokens in kinds.items()}
    silent = not any(x.any() for x in terms.values())
    if silent and sound and program.explanation.fails is None:
        return Tried(
            {},
            n_inputs,
            f"the model errs on {errors} of {asked_of:,} inputs, and on none that are predicted to "
            "fail",
        )
    return Tried(terms, n_inputs, summary if silent else "")


def _wrong(problem: Problem, tokens: Int[np.ndarray, "n s"]) -> Float[np.ndarray, " n"]:
    """On which inputs the model errs; explanations of one model are tried on the same ones."""
    notes = problem.noted("wrong", tokens)
    if "wrong" not in notes:
        notes["wrong"] = problem.wrong(problem.logits(tokens), tokens)
    return notes["wrong"]


def predicted(m: Means) -> np.ndarray:
    """E4: how much oftener the model errs where it is said to fail than where it is said to work,
    at least 0."""
    return np.clip(m["failing"] - m["working"], 0, 1)


def by_gradient(problem: Problem, pool: Int[np.ndarray, "p s"], k: int) -> Int[np.ndarray, "k s"]:
    """Choose k inputs of a pool by the largest first-order rise of the loss from any of a few
    random starts.

    Formula: loss(x) + Σ over positions of the gradient at the embedding of x · (embedding of x' −
    that of x)"""
    starts = torch.from_numpy(pool[:STARTS])
    W = problem.params["W_E"][0]
    embeddings = W[starts].clone().requires_grad_()
    logits = run_by_parts(
        problem.params,
        starts,
        problem.activation,
        written={Part("embed"): lambda _: embeddings[None]},
    ).logits[0]
    loss = -problem.told(logits, pool[:STARTS]).sum(1)
    (slope,) = torch.autograd.grad(loss.sum(), embeddings)
    # The first-order rise is a sum over positions of one number for each token that could stand
    # there: a table [start, s, v], from which any input is read off without a pass.
    rise = torch.einsum("asd,vd->asv", slope, W) - (slope * embeddings.detach()).sum(
        -1, keepdim=True
    )
    gained = (
        rise[:, torch.arange(pool.shape[1]), torch.from_numpy(pool)].sum(-1)
        + loss.detach()[:, None]
    )  # [start, p]
    # Far from a start the first order is a poor guess; of several the most hopeful one counts.
    best = gained.max(0).values.numpy()
    return pool[np.argsort(-best, kind="stable")[:k]]
