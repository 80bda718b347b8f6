"""Whether a dictionary found what was planted: directions, when they are on, and how strongly; each
beside what chance gives.

True features are rows [n, d] with codes [b, n], learned ones a decoder [f, d] with features [b, f];
either may have a run axis in front. A dictionary can have the right directions and the wrong codes,
and the reverse, so the three are measured apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float, Int

from assay.core import rng
from assay.core.arrays import Array, as_numpy
from assay.core.errors import DataError
from assay.core.heavy import scipy, torch
from assay.dictionaries.measuring.arrays import float64, less, ratio_or_nan


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
    read it beside `mcc_chance`.

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


def matching(
    true: Float[Array, "n d"], learned: Float[Array, "f d"], one_to_one: bool = False
) -> Int[np.ndarray, " n"]:
    """For each true feature the learned one of largest absolute cosine; one-to-one: −1 for those
    left without."""
    similarity = as_numpy(abs(cosines(true, learned)))
    if not one_to_one:
        return similarity.argmax(-1)
    matches = np.full(len(similarity), -1)
    rows, columns = _assign(similarity)
    matches[rows] = columns
    return matches


def mcc_chance(
    n: int,
    f: int,
    d: int,
    draws: int = 100,
    seed: int = 0,
    measure: Callable[[Array, Array], Array] = mcc,
) -> tuple[float, float]:
    """Mean and standard deviation of a recovery measure where all directions are random, by
    simulation.

    Give `measure=mcc_matched` for the one-to-one form. Directions are normal vectors, drawn by
    `core.rng`.

    Formula: mean and sd over `draws` of measure(random [n, d], random [f, d])
    Range: 0 to 1
    Better: neither
    """
    seeds = np.array([seed])
    values = [
        float(
            measure(
                rng.normal(seeds, "recovery.true", i, (n, d))[0],
                rng.normal(seeds, "recovery.learned", i, (f, d))[0],
            )
        )
        for i in range(draws)
    ]
    return float(np.mean(values)), float(np.std(values, ddof=1))


def mcc_chance_exact(f: int, d: int) -> float:
    """What `mcc` is on average where all directions are random, by integration; it does not depend
    on the number of true ones.

    Formula: ∫₀¹ 1 − F(c²)^f dc, with F the distribution function of Beta(½, (d − 1)/2), which is
        that of cos² of two random directions in d dimensions
    Range: 0 to 1
    Better: neither
    """
    if d == 1:
        return 1.0
    return float(
        scipy.integrate.quad(
            lambda c: 1 - scipy.special.betainc(0.5, (d - 1) / 2, c * c) ** f, 0, 1, limit=200
        )[0]
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
    which flatters where few rows are active; with `matching(…)` it is chosen by direction.

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


def magnitude_r2(
    codes: Float[Array, "b n"],
    features: Float[Array, "b f"],
    true: Float[Array, "n d"],
    learned: Float[Array, "f d"],
    match: Int[np.ndarray, " n"] | None = None,
) -> Float[np.ndarray, " n"]:
    """How well the matched learned feature gives each true one's strength, where the true one is
    on; nothing is refitted.

    Strength is in units of the activations, so neither the length of a row nor a factor moved from
    it to the code counts. A shrunken code has the right support and a low R².

    Formula: 1 − Σ(a − â)² / Σ(a − ā)² over rows with a > 0, a = code · ‖t_i‖, â = feature · ‖d_k‖,
    k the match
    Range: −∞ to 1; NaN where a true feature is on in fewer than two rows or always equally strong
    Better: higher
    """
    match = matching(true, learned) if match is None else np.asarray(match)
    a, f, t, d = (_plain(values) for values in (codes, features, true, learned))
    a, f = a * np.linalg.norm(t, axis=1), f * np.linalg.norm(d, axis=1)
    result = np.full(a.shape[1], np.nan)
    for i, k in enumerate(match):
        on = a[:, i] > 0
        if on.any():
            strength, guess = a[on, i], f[on, k] if k >= 0 else np.zeros(int(on.sum()))
            result[i] = 1 - ratio_or_nan(
                np.asarray(((strength - guess) ** 2).sum()),
                np.asarray((less(strength, strength.mean()) ** 2).sum()),
            )
    return result


def _plain(values: Array) -> Float[np.ndarray, "..."]:
    return np.asarray(values.detach().cpu() if isinstance(values, torch.Tensor) else values).astype(
        np.float64
    )


def _length(rows: Array) -> Array:
    norm = (rows**2).sum(-1) ** 0.5
    return norm[..., None]


def _assign(similarity: Float[np.ndarray, "n f"]) -> tuple[np.ndarray, np.ndarray]:
    return scipy.optimize.linear_sum_assignment(similarity, maximize=True)
