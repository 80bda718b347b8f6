"""How good a dictionary is: pure functions of activations x, reconstructions x̂ and features f, and their streamed sums.

Arrays are [b, d] or [run, b, d] (a 1-D array is rows of one number), NumPy or torch; the answer is of the same kind, in
float64, one number per run. A quantity that is undefined (nothing to divide by) is NaN. `document_sums` streams the same
quantities over a test set as sums per run and document, which is what a crossed bootstrap resamples; sums of several calls
about one mean add up; `finish` turns them into the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from assay.core.errors import DataError

if TYPE_CHECKING:
    from assay.dictionaries.dictionary import Dictionary

Array = Any
"""A NumPy array or a torch tensor."""
Rows = Float[Array, "*run b d"]

__all__ = [
    "ce_recovered", "dead", "density", "document_sums", "finish", "fvu", "kl_recovered", "l0", "norm_ratio", "purity",
    "shrinkage", "shrinkage_v1", "switched_on",
]  # fmt: skip


def l0(features: Float[Array, "*run b f"]) -> Float[Array, "*run"]:
    """Mean number of features that are on in a row. Of signed features, as AbsTopK's, give the absolute values.

    Formula: mean over rows of #{f > 0}
    Range: 0 to the width
    Better: lower, at equal FVU
    """
    return _float64(_rows(features) > 0).sum(-1).mean(-1)


def fvu(x: Rows, x_hat: Rows) -> Float[Array, "*run"]:
    """Fraction of variance unexplained: squared error over that of predicting the mean of the same rows.

    Formula: Σ‖x − x̂‖² / Σ‖x − x̄‖²
    Range: 0 to ∞; 1 is as bad as the mean; NaN where x does not vary
    Better: lower
    """
    x, x_hat = _pair(x, x_hat)
    return _ratio(_sum((x - x_hat) ** 2), _sum((x - _mean(x)) ** 2))


def shrinkage(x: Rows, x_hat: Rows, mean: Float[Array, "d"] | float = 0.0) -> Float[Array, "*run"]:
    """Relative reconstruction bias γ: below 1 reconstructions are too short: scaled by 1/γ they would fit best.

    With `mean`, of the activations less that mean (γ centred): where activations have a large mean, raw γ is near 1 for anything.

    Formula: γ = argmin E‖x̂/γ − x‖² = E‖x̂‖² / E[x̂·x]
    Range: 0 to ∞; 1 is unbiased; NaN where E[x̂·x] ≤ 0
    Better: nearer 1
    Source: Improving Dictionary Learning with Gated Sparse Autoencoders (2024), section 4
    """
    x, x_hat = _pair(x, x_hat, mean)
    return _ratio(_sum(x_hat**2), _sum(x_hat * x))


def shrinkage_v1(x: Rows, x_hat: Rows, mean: Float[Array, "d"] | float = 0.0) -> Float[Array, "*run"]:
    """The earlier, wrong form of γ, kept to show what it does: it takes any error for shrinkage.

    Formula: E[x̂·x] / E‖x‖², which is 1 − FVU for every optimal linear projection
    Range: −∞ to ∞; NaN where x is 0
    Better: neither
    """
    x, x_hat = _pair(x, x_hat, mean)
    return _ratio(_sum(x_hat * x), _sum(x**2))


def norm_ratio(x: Rows, x_hat: Rows, mean: Float[Array, "d"] | float = 0.0) -> Float[Array, "*run"]:
    """Length of reconstructions over that of activations; below 1 for every imperfect reconstruction, shrunken or not.

    Formula: √(E‖x̂‖² / E‖x‖²)
    Range: 0 to ∞; NaN where x is 0
    Better: neither
    """
    x, x_hat = _pair(x, x_hat, mean)
    return _ratio(_sum(x_hat**2), _sum(x**2)) ** 0.5


def density(features: Float[Array, "*run b f"]) -> Float[Array, "*run f"]:
    """Share of rows in which each feature is on.

    Formula: #{f > 0} / rows
    Range: 0 to 1
    Better: neither
    """
    return _float64(_rows(features) > 0).mean(-2)


def dead(features: Float[Array, "*run b f"]) -> Float[Array, "*run"]:
    """Share of features that are on in no row of the set.

    Formula: #{i: f_i = 0 in all rows} / f
    Range: 0 to 1; falls as the set grows; NaN for no rows
    Better: lower
    """
    on = _float64(_rows(features) > 0).sum(-2)
    return _float64(on == 0).mean(-1) if _rows(features).shape[-2] else on.sum(-1) * float("nan")


def purity(features: Float[Array, "b f"], tokens: Int[Array, "b"], top: int = 20) -> Float[np.ndarray, "f"]:
    """Share of the commonest token among the rows where a feature is strongest: how lexical it is.

    Formula: max over tokens of #{of the `top` rows of largest f > 0 that hold the token} / #{those rows}
    Range: 1/top to 1; NaN for a feature that is never on
    Better: neither
    """
    values, tokens = _numpy(features), _numpy(tokens)
    result = np.full(values.shape[1], np.nan)
    for i in range(values.shape[1]):
        strongest = np.argsort(-values[:, i], kind="stable")[:top]
        strongest = strongest[values[strongest, i] > 0]
        if len(strongest):
            result[i] = np.unique(tokens[strongest], return_counts=True)[1].max() / len(strongest)
    return result


def ce_recovered(clean: Array, spliced: Array, ablated: Array) -> Array:
    """Share of an ablation's loss that the reconstruction wins back, from cross-entropies in nats (or sums over equal tokens).

    Give both: `ablated` with the mean in place of the activation, and with zero; zero ablation hurts more and so flatters.

    Formula: (CE_ablated − CE_spliced) / (CE_ablated − CE_clean)
    Range: −∞ to ∞; 0 is as bad as the ablation, 1 loses nothing; NaN where ablation does not raise the loss
    Better: higher
    """
    clean, spliced, ablated = _float64(clean), _float64(spliced), _float64(ablated)
    return _ratio(ablated - spliced, ablated - clean)


def kl_recovered(spliced: Array, ablated: Array) -> Array:
    """Share of an ablation's change of the model's predictions that the reconstruction undoes, from KL(clean ‖ ·) in nats.

    Unlike the loss recovered it cannot be raised by a reconstruction that changes predictions for the better.

    Formula: 1 − KL_spliced / KL_ablated: the loss recovered with KL in place of CE, as the clean run's KL is 0
    Range: −∞ to 1; 0 is as bad as the ablation; NaN where the ablation changes nothing
    Better: higher
    """
    spliced, ablated = _float64(spliced), _float64(ablated)
    return _ratio(ablated - spliced, ablated)


def document_sums(
    dictionary: Dictionary,
    x: Float[Tensor, "b d"],
    document: Int[Array, "b"],
    documents: int,
    mean: Float[Array, "d"],
    origin: Float[Array, "d"] | None = None,
    chunk: int = 1024,
) -> dict[str, Float[np.ndarray, "run document"]]:
    """Sums over the rows of each document, per run, and `firings` [run, feature]; one pass, memory bounded by `chunk` rows.

    With μ the `mean` of all rows, those of other calls included, the sums are `tokens` of 1, `active` of #{f > 0}, `error` of ‖x − x̂‖², `variance`
    of ‖x − μ‖², `dot` of (x̂ − μ)·(x − μ), `norm` of ‖x̂ − μ‖², `dot_raw` of x̂·x, `norm_raw` of ‖x̂‖², `square_raw` of ‖x‖².
    So FVU is error over variance, γ centred norm over dot, γ raw norm_raw over dot_raw, the earlier form dot over variance,
    L0 active over tokens. The raw sums are taken about `origin`: for normalised x give where raw activations are 0, −mean·scale.

    Sums of several batches add up only about one μ: about each batch's own mean, variance is too small and FVU too large.

    Raises: DataError where rows and documents do not fit together.
    """
    document = torch.as_tensor(document, device=x.device).long()
    if document.shape != x.shape[:1] or (len(document) and not 0 <= int(document.min()) <= int(document.max()) < documents):
        raise DataError(
            f"document must name, for each of the {len(x)} rows, one of 0 … {documents - 1}, got {list(document.shape)} numbers"
            + (f" from {int(document.min())} to {int(document.max())}" if len(document) else "")
        )
    middle = torch.as_tensor(mean, device=x.device, dtype=torch.float32)
    zero = torch.zeros_like(middle) if origin is None else torch.as_tensor(origin, device=x.device, dtype=torch.float32)
    names = ("tokens", "active", "error", "variance", "dot", "norm", "dot_raw", "norm_raw", "square_raw")
    sums = torch.zeros(len(names), len(dictionary), documents, dtype=torch.float64, device=x.device)
    firings = torch.zeros(len(dictionary), dictionary.width, dtype=torch.float64, device=x.device)
    with torch.no_grad():
        for a in range(0, len(x), chunk):
            rows = x[a : a + chunk].float()
            centred, raw = rows - middle, rows - zero
            shared = torch.ones_like(rows[:, 0]), _dot(centred, centred), _dot(raw, raw)
            for r, one in enumerate(dictionary):  # one run at a time: its features fit a cache
                features = one.encode(rows)
                x_hat = one.decode(features, rows)[0].to(rows.dtype)
                on = switched_on(one, features[0])
                firings[r] += on.sum(0)
                error, guess, raw_guess = rows - x_hat, x_hat - middle, x_hat - zero
                parts = (
                    shared[0], on.sum(1), _dot(error, error), shared[1], _dot(guess, centred), _dot(guess, guess),
                    _dot(raw_guess, raw), _dot(raw_guess, raw_guess), shared[2],
                )  # fmt: skip
                sums[:, r].index_add_(1, document[a : a + chunk], torch.stack(parts).double())
    return {name: s.cpu().numpy() for name, s in zip(names, sums, strict=True)} | {"firings": firings.cpu().numpy()}


def switched_on(dictionary: Dictionary, features: Float[Tensor, "... f"]) -> Float[Tensor, "... f"]:
    """1 where a feature is on, else 0: above 0, and for AbsTopK, whose features have a sign, anything but 0.

    Formula: 1[f > 0]; for AbsTopK 1[f ≠ 0]
    Range: 0 or 1
    Better: neither
    """
    from assay.dictionaries.selection import AbsTopK

    if isinstance(dictionary.nonlinearity, AbsTopK):
        return features.sign().abs_()
    return features.sign().clamp_min_(0)  # five times faster than comparing


def finish(sums: Mapping[str, Float[np.ndarray, "run document"]]) -> dict[str, Float[np.ndarray, "run"]]:
    """The measures of `document_sums`, one number per run, as ratios of total sums.

    Formula: l0, fvu, gamma (centred), gamma_raw, gamma_v1 (centred), norm_ratio (centred), dead
    """
    total = {name: np.asarray(value).sum(-1) for name, value in sums.items()}
    return {
        "l0": _ratio(total["active"], total["tokens"]),
        "fvu": _ratio(total["error"], total["variance"]),
        "gamma": _ratio(total["norm"], total["dot"]),
        "gamma_raw": _ratio(total["norm_raw"], total["dot_raw"]),
        "gamma_v1": _ratio(total["dot"], total["variance"]),
        "norm_ratio": _ratio(total["norm"], total["variance"]) ** 0.5,
        "dead": (np.asarray(sums["firings"]) == 0).mean(-1),
    }


def _dot(a: Float[Tensor, "b d"], b: Float[Tensor, "b d"]) -> Float[Tensor, "b"]:
    return torch.linalg.vecdot(a, b)


def _float64(value: Array) -> Array:
    return value.detach().double() if isinstance(value, Tensor) else np.asarray(value, dtype=np.float64)


def _numpy(value: Array) -> np.ndarray:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)


def _rows(value: Array) -> Array:
    """As float64 [*run, b, d]."""
    value = _float64(value)
    return value.reshape(-1, 1) if value.ndim < 2 else value


def _pair(x: Array, x_hat: Array, mean: Array = 0.0) -> tuple[Array, Array]:
    x, x_hat = _rows(x), _rows(x_hat)
    if x.shape[-2:] != x_hat.shape[-2:]:
        raise DataError(f"x and x_hat must have the same rows and dimensions, got {list(x.shape)} and {list(x_hat.shape)}")
    if isinstance(x, Tensor) != isinstance(x_hat, Tensor):
        x, x_hat = torch.as_tensor(x), torch.as_tensor(x_hat)
    middle = mean if isinstance(mean, int | float) else torch.as_tensor(mean) if isinstance(x, Tensor) else _numpy(mean)
    return x - middle, x_hat - middle


def _mean(x: Array) -> Array:
    return x.mean(-2)[..., None, :]


def _sum(x: Array) -> Array:
    return x.sum(-1).sum(-1)


def _ratio(a: Array, b: Array) -> Array:
    """a / b where b > 0, else NaN."""
    if isinstance(b, Tensor):
        return torch.where(b > 0, a / b, torch.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(b > 0, np.divide(a, b), np.nan)[()]
