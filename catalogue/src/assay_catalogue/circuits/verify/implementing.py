"""E3, another implementation: an explanation's own logits beside the model's, how far they are
apart and why, and where most.

Logits count up to a constant for all classes of a position. The squared error has three parts that
add up: what is the same on every input (offset), what one factor would mend (scale), and the rest.
Where weights are given, the model is also run with them, and with what they lack of the model's
own: the first must give the model's logits and solve the task, the second must not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.intervals import Means
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify.chance import share, unread
from assay_catalogue.worlds.algorithms.task import has_answer

WORST = 10
FLAT = 1e-9
"""Squared logits on an input: a model whose logits vary less is taken to give the same on every
input."""


@dataclass(frozen=True)
class Worst:
    """An input on which both differ most."""

    text: str
    position: int
    model: str
    """The class that it names."""
    explanation: str
    apart: str
    """The class whose logits are furthest apart."""
    logits: tuple[float, float]
    """That class's logit, the model's and the explanation's, each less the mean over classes."""
    error: float
    """Squared difference of centred logits there."""


@dataclass(frozen=True, eq=False)
class Implemented:
    """How far the logits of an explanation are those of the model."""

    terms: Mapping[str, Float[np.ndarray, " n"]]
    decomposition: Mapping[str, float]
    """Shares of the variance of the model's logits: offset, scale, rest; together 1 − the share
    explained."""
    factor: float
    """The factor that brings the explanation's logits closest to the model's; NaN if they are the
    same for all classes."""
    corrected: float
    """The share of variance that they explain with this factor."""
    worst: tuple[Worst, ...]
    weights: bool
    """Whether the explanation has weights of its own."""


def implemented(program: Program, tokens: Int[np.ndarray, "n s"]) -> Implemented:
    """Compare on these inputs. Raises: SpecError where the explanation says nothing about the
    logits."""
    problem, weights = program.problem, program.explanation.weights
    truth = problem.logits(tokens)
    replaced = {
        **problem.params,
        **{name: x.to(problem.params[name]) for name, x in weights.items()},
    }
    program_logits = (
        program.logits(tokens)
        if program.answers or not weights
        else problem.logits(tokens, replaced)
    )
    where = has_answer(problem.task.answer(tokens))
    a, b = _centred(truth), _centred(program_logits)
    # Sums of an input, not means: E3 is then a ratio of sums over inputs, with an interval that
    # knows how both vary.
    error = ((a - b) ** 2).sum(-1) * where
    spread = ((a - _average(a, where)) ** 2).sum(-1) * where
    count = where.sum(1)
    agree = ((problem.named(truth) == problem.named(program_logits)) & where).sum(1) / count
    terms = {"error": error.sum(1), "spread": spread.sum(1), "agree": agree}
    if weights:
        # What the explanation's weights leave of the model's: if that still solves the task, they
        # have missed the mechanism.
        lacks = {name: problem.params[name] - x for name, x in replaced.items() if name in weights}
        theirs = problem.logits(tokens, replaced)
        terms["error.weights"] = (((a - _centred(theirs)) ** 2).sum(-1) * where).sum(1)
        terms["right.chance"] = unread(problem, tokens)
        for name, logits in (
            ("own", truth),
            ("explained", theirs),
            ("left", problem.logits(tokens, {**replaced, **lacks})),
        ):
            terms[f"right.{name}"] = problem.right(logits, tokens)
    # Over inputs and positions at once.
    order = np.argsort(-error, axis=None, kind="stable")[:WORST]
    places = zip(*np.unravel_index(order, error.shape), strict=True)
    worst = tuple(
        _describe_worst(program, tokens[n], s, truth[n, s], program_logits[n, s], error[n, s])
        for n, s in places
    )
    factor, reached = _factor(a, b, where) if program.answers else (np.nan, np.nan)
    return Implemented(
        terms,
        _decomposed(a, b, where),
        factor,
        reached,
        tuple(w for w in worst if w.error > 1e-12),
        bool(weights),
    )


def explained(m: Means) -> np.ndarray:
    """Share of the variance of the model's logits that the explanation's have, at least 0;
    undefined where they are alike on all inputs."""
    return share(m["spread"] - m["error"], m["spread"], FLAT)


def faithful(m: Means) -> np.ndarray:
    """E3: that share; where weights are given, the least of it, of the same and of accuracy with
    them, and of what is lost with the rest alone."""
    whole_share = explained(m)
    if "right.explained" not in m:
        return whole_share
    theirs = explained({**m, "error": m["error.weights"]})
    return np.minimum.reduce(
        [whole_share, theirs, _accuracy(m, "explained"), 1 - _accuracy(m, "left")]
    )


def _accuracy(m: Means, which: str) -> np.ndarray:
    """Accuracy between that of the best answer that reads nothing, 0, and the model's, 1; undefined
    where it has no more."""
    return share(m[f"right.{which}"] - m["right.chance"], m["right.own"] - m["right.chance"])


def _decomposed(a: np.ndarray, b: np.ndarray, where: Bool[np.ndarray, "n s"]) -> dict[str, float]:
    """Divide the squared error, as shares of the spread of a."""
    mask = where[..., None]
    spread = float((((a - _average(a, where)) ** 2) * mask).sum())
    # Once means over inputs are off, a least-squares factor splits what is left at right angles; so
    # the three add up to the whole squared error, with no cross terms.
    offset = float((_average(a - b, where) ** 2 * mask).sum())
    a, b = (a - _average(a, where)) * mask, (b - _average(b, where)) * mask
    whole = float(((a - b) ** 2).sum())
    power = float((b**2).sum())
    best = float((a * b).sum()) / power if power else 0.0
    rest = float(((a - best * b) ** 2).sum())
    return (
        {"offset": offset / spread, "scale": (whole - rest) / spread, "rest": rest / spread}
        if spread
        else {}
    )


def _factor(
    a: Float[np.ndarray, "n s v"], b: Float[np.ndarray, "n s v"], where: Bool[np.ndarray, "n s"]
) -> tuple[float, float]:
    """Give the factor of b that leaves the least squared error, and the share of the variance of a
    that b then explains, at least 0.

    Formula: Σ a · b / Σ b · b, over classes and where an answer is asked for.
    """
    mask = where[..., None]
    # Unlike the scale above this is of logits with their offset: the factor by which one would
    # multiply what the explanation gives.
    power = float((b * b * mask).sum())
    spread = float((((a - _average(a, where)) ** 2) * mask).sum())
    if not power or not spread:
        return np.nan, np.nan
    factor = float((a * b * mask).sum()) / power
    return factor, max(0.0, 1 - float((((a - factor * b) ** 2) * mask).sum()) / spread)


def _average(
    x: Float[np.ndarray, "n s v"], where: Bool[np.ndarray, "n s"]
) -> Float[np.ndarray, "1 s v"]:
    """The mean over inputs where an answer is asked for."""
    # A position at which nothing is ever asked has no inputs to average.
    return (x * where[..., None]).sum(0, keepdims=True) / np.maximum(where.sum(0), 1)[None, :, None]


def _centred(x: Float[np.ndarray, "*n v"]) -> Float[np.ndarray, "*n v"]:
    return x - x.mean(-1, keepdims=True)


def _describe_worst(
    program: Program,
    tokens: np.ndarray,
    position: int,
    model: np.ndarray,
    program_logits: np.ndarray,
    error: float,
) -> Worst:
    task = program.problem.task
    names = task.answers
    a, b = _centred(model), _centred(program_logits)
    k = int(abs(a - b).argmax())
    return Worst(
        task.said(tokens),
        int(position),
        names[int(model.argmax())],
        names[int(program_logits.argmax())],
        names[k] if k < len(names) else str(k),
        (float(a[k]), float(b[k])),
        float(error),
    )
