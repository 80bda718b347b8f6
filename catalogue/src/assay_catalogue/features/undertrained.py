"""Tokens that a model was hardly trained on: indicators read off its embeddings, and whether it can
repeat them.

Every indicator is lower the less a token was trained, measured against tokens that are known to be
unused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.arrays import less
from assay_catalogue.features.probing import auroc

INDICATORS = ("norm", "distance", "cosine", "cosine, no first component", "cosine, no mean")


def indicators(
    rows: Float[np.ndarray, "token d"], reference: Int[np.ndarray, " known"]
) -> dict[str, Float[np.ndarray, " token"]]:
    """Each token's indicators, of rows of the input embedding or of the unembedding, beside the
    mean of the reference tokens' rows.

    `norm` needs no reference. The first principal component is that of the centred rows; it is
    taken off the rows as they are.
    Formula: ‖r‖; ‖r − r̄_ref‖; 1 − cos(r, r̄_ref), as it is, without the first component, and with
    the mean row subtracted
    Source: Land & Bartolo 2024, Fishing for Magikarp, by its code (cohere-ai/magikarp, utils.py)
    """
    rows = np.asarray(rows, dtype=np.float64)
    centred = rows - rows.mean(0)
    first = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    lengths = (np.linalg.norm(rows, axis=1), np.linalg.norm(rows - rows[reference].mean(0), axis=1))
    stripped = (rows, rows - np.outer(rows @ first, first), centred)
    return dict(
        zip(
            INDICATORS,
            (*lengths, *(cosine_distance(x, x[reference].mean(0)) for x in stripped)),
            strict=True,
        )
    )


def cosine_distance(
    rows: Float[np.ndarray, "token d"], to: Float[np.ndarray, " d"]
) -> Float[np.ndarray, " token"]:
    """One less the cosine between each row and a direction; 1 where a row is 0.

    Range: 0 to 2.
    """
    return 1 - rows @ to / np.maximum(np.linalg.norm(rows, axis=1) * np.linalg.norm(to), 1e-12)


def auroc_low(
    score: Float[np.ndarray, "*any token"],
    low: Bool[np.ndarray, "*any token"],
    rest: Bool[np.ndarray, "*any token"],
) -> np.ndarray:
    """How well low scores tell some tokens from the rest: the probability that one of them is
    lower, ties counting half.

    Range: 0 to 1, 0.5 by chance. Better: higher. NaN where either is empty.
    """

    def single(score: np.ndarray, low: np.ndarray, rest: np.ndarray) -> float:
        both = np.concatenate([score[low], score[rest]])
        return 1 - auroc(both, np.arange(len(both)) < low.sum())

    lead = score.shape[:-1]
    flat = (
        np.broadcast_to(x, score.shape).reshape(-1, score.shape[-1]) for x in (score, low, rest)
    )
    return np.array([single(*parts) for parts in zip(*flat, strict=True)]).reshape(lead)


def growth(
    score: Float[np.ndarray, "*any token"], number: Int[np.ndarray, " token"]
) -> Float[np.ndarray, "2 *any"]:
    """How scores grow with the number of times that tokens were seen: the correlation of the
    logarithms, and the power b of score ∝ n^b.

    Unlike a correlation of ranks it has no ties where several tokens share a number. Scores below
    1e-12 count as 1e-12.
    Formula: corr(log n, log score); b = cov(log n, log score)/var(log n)
    Range: the correlation −1 to 1. NaN where all scores, or all numbers, are alike.
    """
    x, y = np.log(number), np.log(np.maximum(np.asarray(score, np.float64), 1e-12))
    x, y = less(x, x.mean()), less(y, y.mean(-1, keepdims=True))
    both, variance = y @ x, x @ x
    with np.errstate(invalid="ignore"):
        return np.stack([both / np.sqrt(variance * np.square(y).sum(-1)), both / variance])


def precision_recall(
    score: Float[np.ndarray, " token"],
    target: Bool[np.ndarray, " token"],
    candidates: Bool[np.ndarray, " token"],
    count: int,
) -> tuple[float, float]:
    """Of the `count` lowest among the tokens asked about: the share that are wanted, and the share
    of the wanted that are among them.

    Range: 0 to 1. Better: higher.
    """
    among = np.flatnonzero(candidates)
    lowest = among[np.argsort(score[among], kind="stable")[:count]]
    hits = int(target[lowest].sum())
    return hits / max(1, len(lowest)), hits / max(1, int((target & candidates).sum()))


def repetition(
    next_token: Callable[[Int[np.ndarray, "b s"]], Float[np.ndarray, "... b v"]],
    tokens: Int[np.ndarray, " token"],
    times: int = 12,
) -> Float[np.ndarray, "... token"]:
    """The probability of each token after so many copies of itself; `next_token` gives
    distributions after prompts of tokens.

    Range: 0 to 1. Better: neither; what a model was trained on it can repeat.
    """
    p = next_token(np.repeat(np.asarray(tokens)[:, None], times, 1))
    return np.take_along_axis(
        p, np.broadcast_to(np.asarray(tokens)[:, None], (*p.shape[:-1], 1)), -1
    )[..., 0]
