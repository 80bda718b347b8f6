"""How good an explanation is, on text that it has not seen: of where a feature fires, and of what
it does to the logits.

Every score compares what an explanation expects at each position with the feature's activation
there. What an explanation could not say is NaN and left out, never 0. Thresholds are chosen on the
text that was explained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from assay.core.arrays import less
from assay.train import rng
from assay_catalogue.explaining.rule import Positions

CONTEXT, HIGHLIGHTED = 32, 5
"""Tokens of a context, and positions of each kind that are highlighted in one."""


@dataclass(frozen=True)
class Levels:
    """How many positions have each value of a score, where the feature fires and where it does not;
    scores ascending."""

    score: Float[np.ndarray, " level"]
    fires: Float[np.ndarray, " level"]
    silent: Float[np.ndarray, " level"]


def distinct(
    x: Shaped[np.ndarray, " row"],
) -> tuple[Shaped[np.ndarray, " level"], Int[np.ndarray, " row"]]:
    """(the values there are, ascending; the number of each row's one), by hash: few values many
    times need no sorting of rows."""
    import pandas as pd

    codes, values = pd.factorize(x)
    order = np.argsort(values)
    rank = np.empty(len(order), int)
    rank[order] = np.arange(len(order))
    return values[order], rank[codes]


def levels(score: Float[np.ndarray, " row"], fires: Bool[np.ndarray, " row"]) -> Levels:
    """Count positions by score; those without a score are left out."""
    known = np.isfinite(score)
    values, index = distinct(score[known])
    yes = np.bincount(index, fires[known], minlength=len(values))
    return Levels(values, yes, np.bincount(index, minlength=len(values)) - yes)


def auroc(counts: Levels) -> float:
    """The chance that a firing position has the higher score of the two, ties counted half.

    Formula: Σ_i fires_i (Σ_{j<i} silent_j + silent_i / 2) / (Σ fires · Σ silent)
    Range: 0 to 1; 1/2 by chance; NaN where the feature fires everywhere or nowhere
    Better: higher
    """
    below = np.cumsum(counts.silent) - counts.silent / 2
    pairs = counts.fires.sum() * counts.silent.sum()
    return float((counts.fires * below).sum() / pairs) if pairs else float("nan")


def average_precision(counts: Levels) -> float:
    """Precision averaged over recall, equal scores taken together.

    Formula: Σ_i (recall_i − recall_{i−1}) precision_i, scores falling
    Range: 0 to 1; the share of firing positions by chance; NaN where there is none
    Better: higher
    """
    hits, predicted = np.cumsum(counts.fires[::-1]), np.cumsum((counts.fires + counts.silent)[::-1])
    return (
        float((counts.fires[::-1] * hits / np.maximum(predicted, 1)).sum() / hits[-1])
        if len(hits) and hits[-1]
        else float("nan")
    )


def cut(counts: Levels) -> float:
    """The score at and above which saying "fires" has the greatest balanced accuracy; inf where
    never to say so is as good."""
    if not (counts.fires.sum() and counts.silent.sum()):
        return float("inf")
    hit, false = (np.cumsum(x[::-1])[::-1] / x.sum() for x in (counts.fires, counts.silent))
    best = int(np.argmax(hit - false))
    return float(counts.score[best]) if hit[best] - false[best] > 0 else float("inf")


def balanced_accuracy(counts: Levels, threshold: float) -> float:
    """The mean of the shares of firing and of silent positions that are told right by scores at and
    above a cut.

    Range: 0 to 1; 1/2 by chance; NaN without both
    Better: higher
    """
    predicted = counts.score >= threshold
    if not (counts.fires.sum() and counts.silent.sum()):
        return float("nan")
    return (
        float(
            counts.fires[predicted].sum() / counts.fires.sum()
            + counts.silent[~predicted].sum() / counts.silent.sum()
        )
        / 2
    )


def by_context(
    text: Positions, values: Float[np.ndarray, " row"], length: int = CONTEXT
) -> Float[np.ndarray, " context"]:
    """The greatest value in each context of so many tokens; NaN where none of its positions has
    one."""
    windows, s = text.tokens.shape
    whole = np.full((windows, -(-s // length) * length), -np.inf)
    flat = np.full(windows * s, -np.inf)
    flat[text.row] = np.where(np.isfinite(values), values, -np.inf)
    whole[:, :s] = flat.reshape(windows, s)
    greatest = whole.reshape(-1, length).max(1)
    return np.where(np.isfinite(greatest), greatest, np.nan)


def contexts(
    text: Positions,
    score: Float[np.ndarray, " row"],
    value: Float[np.ndarray, " row"],
    length: int = CONTEXT,
) -> Levels:
    """Contexts by the greatest score in them, and whether the feature fires anywhere in them."""
    greatest = by_context(text, value, length)
    context_score = by_context(text, score, length)
    return levels(
        np.where(np.isfinite(greatest), context_score, np.nan), np.nan_to_num(greatest, nan=0.0) > 0
    )


def detection(
    score: Float[np.ndarray, " row"],
    value: Float[np.ndarray, " row"],
    text: Positions,
    threshold: float,
    length: int = CONTEXT,
) -> float:
    """Balanced accuracy of telling contexts in which the feature fires from those in which it does
    not.

    Formula: mean of sensitivity and specificity of "the greatest score in the context is at least
    `at`", over all contexts
    Range: 0 to 1; 1/2 by chance
    Better: higher
    Source: Paulo et al. 2024, detection; there 50 contexts of each kind, shown to a language model
    """
    return balanced_accuracy(contexts(text, score, value, length), threshold)


def fuzzing(
    score: Float[np.ndarray, " row"],
    value: Float[np.ndarray, " row"],
    text: Positions,
    threshold: float,
    seed: int,
    length: int = CONTEXT,
) -> float:
    """Balanced accuracy of telling highlighted positions that fire from others of the same context.

    Formula: in every context with a firing, up to 5 firing positions and as many of the others,
    drawn by seed
    Range: 0 to 1; 1/2 by chance
    Better: higher
    Source: Paulo et al. 2024, fuzzing
    """
    s = text.tokens.shape[1]
    context = text.row // s * -(-s // length) + text.row % s // length
    fires = value > 0
    random_order = np.argsort(
        rng.uniform(np.array([seed]), "explaining.fuzzing", 0, (len(text),))[0], kind="stable"
    )
    order = random_order[
        np.lexsort((~fires[random_order], context[random_order]))
    ]  # by context, firings first, each kind in a drawn order
    both = context[order] * 2 + ~fires[order]
    rank = np.arange(len(order)) - np.searchsorted(both, both)
    number = np.bincount(both, minlength=2 * (context.max(initial=0) + 1))
    least = np.minimum(np.minimum(number[0::2], number[1::2]), HIGHLIGHTED)
    chosen = order[rank < least[context[order]]]
    return balanced_accuracy(levels(score[chosen], fires[chosen]), threshold)


def simulation(score: Float[np.ndarray, " row"], value: Float[np.ndarray, " row"]) -> float:
    """Pearson correlation of expected and true activations over all positions.

    Range: −1 to 1; 0 for an expectation that never varies; NaN where the feature does not
    Better: higher
    Source: Bills et al. 2023, simulation scoring; there on excerpts that a language model reads
    """
    known = np.isfinite(score)
    if not known.any():
        return float("nan")
    x, y = (
        less(a, a.mean())
        for a in (score[known].astype(np.float64), value[known].astype(np.float64))
    )
    if not y.any():
        return float("nan")
    if not x.any():
        return 0.0
    x, y = (
        x / np.abs(x).max(),
        y / np.abs(y).max(),
    )  # so that no square is lost, however small the unit
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))


def lineup(
    tokens: Sequence[Sequence[int]],
    steered: Sequence[Int[np.ndarray, " steered"]],
    foils: Int[np.ndarray, "feature foil"],
) -> Float[np.ndarray, " feature"]:
    """For each feature whether the tokens that steering with it raised name its explanation among
    its foils; ties share the point.

    Formula: 1 / #best if the true explanation shares as many tokens with the steered ones as the
    best does, else 0
    Range: 0 to 1; 1 / (1 + foils) by chance; NaN without foils
    Better: higher
    """
    out = np.full(len(steered), 0.0 if foils.shape[1] else np.nan)
    for i, raised in enumerate(steered):
        shared = [len(np.intersect1d(raised, tokens[j])) for j in (i, *foils[i].tolist())]
        out[i] += (shared[0] == max(shared)) / shared.count(max(shared))
    return out


def logit_prediction(tokens: Sequence[int], weights: Float[np.ndarray, " v"]) -> float:
    """AUROC with which the feature's logit weights tell the tokens that an explanation names from
    all others.

    Range: 0 to 1; 1/2 by chance; NaN for an explanation that names none
    Better: higher
    """
    mask = np.zeros(len(weights), bool)
    mask[list(tokens)] = True
    return auroc(levels(weights, mask))


def logistic(
    x: Float[np.ndarray, "level input"],
    fires: Float[np.ndarray, " level"],
    silent: Float[np.ndarray, " level"],
    ridge: float = 1e-3,
) -> Float[np.ndarray, " coefficient"]:
    """Coefficients and intercept of a logistic regression on counted levels, by Newton's method; a
    small ridge keeps them finite.

    Formula: argmin −Σ fires log σ(xw + b) − Σ silent log σ(−xw − b) + ridge · n · (w² + b²) / 2, on
    inputs of unit variance"""
    n = fires + silent
    total = n.sum()
    centre = (n[:, None] * x).sum(0) / total
    spread = np.sqrt((n[:, None] * (x - centre) ** 2).sum(0) / total)
    spread = np.where(spread > 0, spread, 1.0)
    z = np.column_stack([(x - centre) / spread, np.ones(len(x))])
    w = np.zeros(z.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(z @ w, -30, 30)))
        slope = z.T @ (n * p - fires) + ridge * total * w
        bend = (z * (n * p * (1 - p))[:, None]).T @ z + ridge * total * np.eye(len(w))
        step = np.linalg.solve(bend, slope)
        w -= step
        if np.abs(step).max() < 1e-9:
            break
    return np.append(w[:-1] / spread, w[-1] - (w[:-1] / spread * centre).sum())
