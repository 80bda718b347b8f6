"""Interchange interventions: what a place holds on one input is put into another, and the
explanation must foretell the answer.

The variable is set to what it is on the other input, what follows from it is worked out, and the
model with the activations exchanged is asked. Only positions count where the foretold answer
changes. Beside it, what a learned alignment reaches: directions of the same part, found by
gradients so that exchanging them gives the foretold answers; and the same where answers were
foretold from a third input, so that there is nothing to be found. A place that does no better than
the second shows nothing.

Source: Geiger et al. 2021, Causal Abstractions of Neural Networks; Geiger et al. 2023, Finding
Alignments (learned directions); Sutter et al. 2025 (arXiv 2507.08802): maps of any power align any
network with any algorithm, so a learned alignment is a control and no proof."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.bounded import Bounded, bounded_mean
from assay.core.heavy import torch
from assay.train import rng
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.rules import Values
from assay_catalogue.circuits.verify.pieces import Cut
from assay_catalogue.subjects.parts import Part, run_by_parts
from assay_catalogue.worlds.algorithms.task import UNASKED, has_answer

STEPS, BATCH, RATE = 60, 64, 0.05
"""How an alignment is learned: steps of Adam, pairs a step, rate."""
WIDTH = 8
"""Directions that an alignment may use, at most those of the stream."""


@dataclass(frozen=True)
class Interchanged:
    """Shares of changed answers that come out as foretold; NaN where none changes."""

    variable: str
    pairs: int
    """Pairs of inputs on which an answer was to change."""
    place: Bounded
    """At the places that are claimed, over pairs."""
    right: float
    learned: float
    """Along directions learned at the same part."""
    unfounded: float
    """Along directions learned for answers that have nothing to do with what is exchanged."""


def interchanged(
    program: Program,
    variable: str,
    tokens: Int[np.ndarray, "n s"],
    seed: int,
    *,
    learn: bool = True,
) -> Interchanged:
    """Exchange one variable between pairs of these inputs; alignments are learned on the first half
    of the pairs and tried on the second."""
    n = len(tokens) // 3
    base, source, third = tokens[:n], tokens[n : 2 * n], tokens[2 * n : 3 * n]
    predicted, changed = _changes(program, variable, base, source)
    places = [u.place for u in program.units if u.variable == variable]
    cut = Cut(program.problem, [u.place for u in program.units])
    # All places of the variable at once; one of several alone would be put in beside the old value.
    mask = np.array([p.place not in places for p in cut.pieces])
    logits = cut.replaced(base, np.broadcast_to(mask, (n, len(mask))), cut.clean(source))
    pairs = changed.any(1)
    if not pairs.any():
        return Interchanged(variable, 0, Bounded(np.nan, np.nan, np.nan), np.nan, np.nan, np.nan)
    shares = _right(logits, predicted, changed)
    estimate = float(np.nanmean(shares))
    # Shares of few pairs, many of them 0 or 1: bounds that hold for such numbers, in place of a t
    # interval.
    place_bounds = bounded_mean([shares], estimate, (0.0, 1.0))
    part = places[0].part
    if not learn or part.kind in ("embed", "pos"):
        return Interchanged(variable, int(pairs.sum()), place_bounds, estimate, np.nan, np.nan)
    # Foretold from the third input, while the activations that are exchanged come from the second:
    # whatever is learned then is not a variable's.
    elsewhere, other = _changes(program, variable, base, third)
    learned = _aligned(program.problem, part, base, source, predicted, changed, seed)
    unfounded = _aligned(program.problem, part, base, source, elsewhere, other, seed)
    return Interchanged(variable, int(pairs.sum()), place_bounds, estimate, learned, unfounded)


def foretold(
    program: Program, tokens: Int[np.ndarray, "n s"], overrides: Values
) -> Int[np.ndarray, "n s"]:
    """Give the answers with these variables set; UNASKED where the explanation names none that the
    model has."""
    logits = program.logits(tokens, overrides or None)
    # Logits that are all alike name nothing, though argmax would give class 0.
    return np.where(logits.max(-1) > logits.min(-1), program.problem.named(logits), UNASKED)


def _changes(
    program: Program, variable: str, base: np.ndarray, source: np.ndarray
) -> tuple[Int[np.ndarray, "n s"], Bool[np.ndarray, "n s"]]:
    """Answers with the variable as on the source, and where an answer that is asked for is another
    than without."""
    after, before = (
        foretold(program, base, {variable: program.values(source)[variable]}),
        foretold(program, base, {}),
    )
    # Clipped, since it is used as an index below; `changed` leaves these places out.
    return after.clip(min=0), (after != before) & has_answer(program.problem.task.answer(base)) & (
        after >= 0
    )


def _right(
    logits: torch.Tensor, foretold: np.ndarray, changed: np.ndarray
) -> Float[np.ndarray, " n"]:
    """Of each pair, the share of changed answers that are as foretold; NaN where none changes."""
    hit = (logits.argmax(-1).numpy() == foretold) & changed
    with np.errstate(all="ignore"):
        return hit.sum(1) / np.where(changed.any(1), changed.sum(1), np.nan)


def _aligned(
    problem: Problem,
    part: Part,
    base: np.ndarray,
    source: np.ndarray,
    foretold: np.ndarray,
    changed: np.ndarray,
    seed: int,
) -> float:
    """Learn directions of what a part writes on half of the pairs, and give the share of the other
    half that comes out as foretold."""
    from torch.optim.adam import adam  # torch.optim hides the module by its own names

    half, d = len(base) // 2, problem.params["W_E"].shape[-1]
    if not changed[:half].any() or not changed[half:].any():
        return np.nan
    source_output = problem.run(source).wrote[part]
    start = rng.normal(np.array([seed]), f"circuits.alignment.{part}", 0, (d, min(d, WIDTH)))[0]
    free = torch.tensor(start, dtype=source_output.dtype, requires_grad=True)
    first, second, count = torch.zeros_like(free), torch.zeros_like(free), torch.zeros(())
    generator = rng.generator(seed, "circuits.alignment.batches")
    target, counts = torch.from_numpy(foretold), torch.from_numpy(changed)

    def exchanged(rows: np.ndarray) -> torch.Tensor:
        # The parameters are free and the directions orthonormal: gradients pass through QR, so no
        # constraint has to be kept.
        basis = torch.linalg.qr(free).Q
        swap = {part: lambda out: out + (source_output[:, rows] - out) @ basis @ basis.mT}
        return (
            run_by_parts(
                problem.params, torch.from_numpy(base[rows]), problem.activation, written=swap
            )
            .logits[0]
            .double()
        )

    # Pairs on which nothing is to change have no loss, and a batch of them would divide by 0.
    useful = np.flatnonzero(changed[:half].any(1))
    for _ in range(STEPS):
        rows = generator.choice(useful, BATCH)
        log_probs = exchanged(rows).log_softmax(-1).gather(-1, target[rows][..., None])[..., 0]
        (slope,) = torch.autograd.grad(-(log_probs * counts[rows]).sum() / counts[rows].sum(), free)
        # the function of torch: its optimiser imports the compiler, which takes longer than all of
        # this
        with torch.no_grad():
            adam(
                [free],
                [slope],
                [first],
                [second],
                [],
                [count],
                foreach=False,
                fused=False,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=RATE,
                weight_decay=0.0,
                eps=1e-8,
                maximize=False,
            )
    # Pairs that it was not learned on.
    rows = np.arange(half, len(base))
    with torch.no_grad():
        return float(np.nanmean(_right(exchanged(rows), foretold[rows], changed[rows])))
