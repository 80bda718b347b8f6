"""Whether a dictionary found what was planted: directions, and when they are on.

True features are rows [n, d] with codes [b, n], learned ones a decoder [f, d] with features [b, f];
either may have a run axis in front. A dictionary can have the right directions and the wrong codes,
and the reverse, so the two are measured apart."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int

from assay.core.arrays import Array, float64, ratio_or_nan
from assay.core.errors import DataError
from assay.core.heavy import scipy, torch


def cosines(
    true: Float[Array, "*run n d"], learned: Float[Array, "*run f d"]
) -> Float[Array, "*run n f"]:
    """Cosine of every true direction with every learned one.

    Formula: t_i·d_k / (‖t_i‖‖d_k‖)
    Range: −1 to 1; 0 for a learned row of length 0, NaN for a true one
    Better: 1 for one pair of each row, 0 for the others
    """
    if np.shape(true)[-1] != np.shape(learned)[-1]:
        raise DataError(
            f"true and learned directions must be equally wide, got {list(np.shape(true))} "
            f"and {list(np.shape(learned))}"
        )
    true, learned = float64(true), float64(learned)
    if isinstance(true, torch.Tensor) != isinstance(learned, torch.Tensor):
        device = (true if isinstance(true, torch.Tensor) else learned).device
        true, learned = (
            torch.as_tensor(true, device=device),
            torch.as_tensor(learned, device=device),
        )
    length = _length(learned)
    return ratio_or_nan(true, _length(true)) @ (learned / (length + (length == 0))).swapaxes(-1, -2)


def mcc(true: Float[Array, "*run n d"], learned: Float[Array, "*run f d"]) -> Float[Array, "*run"]:
    """Mean over true features of the largest absolute cosine with any learned direction.

    Several true features may share one learned direction, and any large dictionary scores high:
    read it next to that of random directions.

    Formula: (1/n) Σ_i max_k |cos(t_i, d_k)|
    Range: 0 to 1; chance is .478 for 128 learned directions in 32 dimensions; NaN if a true one is
    0
    Better: higher, above chance
    Source: Taking features out of superposition with sparse autoencoders (2022), there signed and
    called MMCS"""
    similarity = abs(cosines(true, learned))
    return (
        similarity.amax(-1) if isinstance(similarity, torch.Tensor) else similarity.max(-1)
    ).mean(-1)


def mcc_matched(
    true: Float[Array, "*run n d"], learned: Float[Array, "*run f d"]
) -> Float[Array, "*run"]:
    """Mean absolute cosine where each learned direction is given to one true feature at most, as
    well as can be.

    Formula: max over one-to-one matchings m of (1/n) Σ_i |cos(t_i, d_m(i))|; a true feature that is
    left without counts 0
    Range: 0 to 1, at most `mcc`; chance is .455 for 128 true and 128 learned directions in 32
    dimensions; NaN if a true one is 0
    Better: higher, above chance
    Source: the assignment is scipy.optimize.linear_sum_assignment; the mean correlation coefficient
        of independent component analysis, with cosines in place of correlations
    """
    similarity = abs(cosines(true, learned))
    plain = similarity.cpu().numpy() if isinstance(similarity, torch.Tensor) else similarity
    flat = plain.reshape(-1, *plain.shape[-2:])
    coefficients = np.array(
        [
            matrix[_assign(matrix)].sum() / matrix.shape[0] if np.isfinite(matrix).all() else np.nan
            for matrix in flat
        ]
    ).reshape(plain.shape[:-2])
    return (
        torch.from_numpy(coefficients).to(similarity.device)
        if isinstance(similarity, torch.Tensor)
        else coefficients[()]
    )


def support_sums(
    codes: Float[Array, "b n"], features: Float[Array, "b f"]
) -> dict[str, Float[np.ndarray, "..."]]:
    """Counts that `support` is made of, which add up over parts of a test set: `both` [n, f],
    `truly` [n], `fires` [f]."""
    true, fires = (float64(values) > 0 for values in (codes, features))
    if len(true) != len(fires):
        raise DataError(
            f"codes and features must have the same rows, got {len(true)} and {len(fires)}"
        )
    a, b = (_plain(on) for on in (true, fires))
    return {"both": a.T @ b, "truly": a.sum(0), "fires": b.sum(0)}


def support(
    sums: Mapping[str, Float[np.ndarray, "..."]], match: Int[np.ndarray, " n"] | None = None
) -> dict[str, Float[np.ndarray, " n"]]:
    """How well one learned feature says when each true one is on: `precision`, `recall`, `f1`, and
    `match`, which one it is.

    Without `match` the learned feature of best F1 is taken, chosen and measured on the same rows,
    which flatters where few rows are active.

    Formula: precision = both/fires, recall = both/truly, F1 = 2·both/(fires + truly)
    Range: 0 to 1; NaN where the true feature is never on; precision NaN where the learned one never
    fires; match −1 gives 0
    Better: higher
    """
    both, truly, fires = (
        np.asarray(sums[name], dtype=np.float64) for name in ("both", "truly", "fires")
    )
    f1 = ratio_or_nan(2 * both, np.where(truly > 0, truly, np.nan)[:, None] + fires)
    if (
        match is None
    ):  # of equally good ones that with most hits, so that the order of latents decides nothing
        score = np.nan_to_num(f1, nan=-1.0)
        chosen = np.where(score == score.max(1, keepdims=True), both, -1.0).argmax(1)
    else:
        chosen = np.asarray(match)
    rows, has_match = np.arange(len(truly)), chosen >= 0
    hit, fired = (
        np.where(has_match, both[rows, chosen], 0.0),
        np.where(has_match, fires[chosen], 0.0),
    )
    return {
        "precision": np.where(truly > 0, ratio_or_nan(hit, fired), np.nan),
        "recall": ratio_or_nan(hit, truly),
        "f1": np.where(truly > 0, ratio_or_nan(2 * hit, truly + fired), np.nan),
        "match": chosen,
    }


def _plain(values: Array) -> Float[np.ndarray, "..."]:
    return np.asarray(values.detach().cpu() if isinstance(values, torch.Tensor) else values).astype(
        np.float64
    )


def _length(rows: Array) -> Array:
    norm = (rows**2).sum(-1) ** 0.5
    return norm[..., None]


def _assign(similarity: Float[np.ndarray, "n f"]) -> tuple[np.ndarray, np.ndarray]:
    return scipy.optimize.linear_sum_assignment(similarity, maximize=True)
