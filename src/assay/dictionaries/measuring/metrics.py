"""How good a dictionary is: pure functions of activations x, reconstructions x̂ and features f, and
of their streamed sums.

Arrays are [b, d] or [run, b, d] (a 1-D array is rows of one number): NumPy, torch or lists. The
answer is of the same kind, NumPy for lists, in float64, one number per run. A quantity that is
undefined (nothing to divide by) is NaN. `document_sums` streams the same quantities over a test set
as sums per run and document, which is what a crossed bootstrap resamples; sums of several calls
about one mean add up; `finish` turns them into the numbers. What a measure makes of its sums is in
`measures`, for both."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from assay.core.arrays import Array, as_numpy, float64, is_tensor, less
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.measuring import measures
from assay.dictionaries.measuring.sums import document_sums, switched_on

Rows = Float[Array, "*run b d"]

__all__ = [
    "ce_recovered",
    "dead",
    "density",
    "document_sums",
    "finish",
    "fvu",
    "kl_recovered",
    "l0",
    "norm_ratio",
    "shrinkage",
    "switched_on",
]


def l0(features: Float[Array, "*run b f"]) -> Float[Array, "*run"]:
    """Mean number of features that are on in a row. Of signed features, as AbsTopK's, give the
    absolute values.

    Args:
        features: [b, f] or [run, b, f]; one is on where it is above 0.
    Formula: mean over rows of #{f > 0}
    Range: 0 to the width
    Better: lower, at equal FVU
    Example:
        >>> import assay
        >>> features = [[0.7, 0.0, 0.2], [0.0, 0.0, 0.4]]  # 2 are on, then 1
        >>> print(assay.metrics.l0(features))
        1.5
    """
    return float64(_rows(features) > 0).sum(-1).mean(-1)


def fvu(x: Rows, x_hat: Rows) -> Float[Array, "*run"]:
    """Fraction of variance unexplained: squared error over that of predicting the mean of the same
    rows.

    Args:
        x: activations, [b, d] or [run, b, d].
        x_hat: their reconstructions, same shape and unit.
    Formula: Σ‖x − x̂‖² / Σ‖x − x̄‖²
    Range: 0 to ∞; 1 is as bad as the mean; NaN where x does not vary
    Better: lower
    Example:
        >>> import assay
        >>> x, x_hat = [[0.0], [2.0]], [[0.5], [1.5]]  # error 0.5, variance 2
        >>> print(assay.metrics.fvu(x, x_hat))
        0.25
    """
    x, x_hat = _pair(x, x_hat)
    return measures.FVU.of(_sum((x - x_hat) ** 2), _sum(less(x, _mean(x)) ** 2))


def shrinkage(x: Rows, x_hat: Rows, mean: Float[Array, " d"] | float = 0.0) -> Float[Array, "*run"]:
    """Relative reconstruction bias γ: below 1 reconstructions are too short: scaled by 1/γ they
    would fit best.

    With `mean`, of the activations less that mean (γ centred): where activations have a large mean,
    raw γ is near 1 for anything.

    Args:
        x: activations, [b, d] or [run, b, d].
        x_hat: their reconstructions, same shape and unit.
        mean: subtracted from both, [d] or one number.
    Formula: γ = argmin E‖x̂/γ − x‖² = E‖x̂‖² / E[x̂·x]
    Range: 0 to ∞; 1 is unbiased; NaN where E[x̂·x], up to rounding, is not above 0
    Better: nearer 1
    Source: Improving Dictionary Learning with Gated Sparse Autoencoders (2024), section 4
    Example:
        >>> import assay
        >>> print(assay.metrics.shrinkage([[2.0], [4.0]], [[1.0], [2.0]]))  # half as long
        0.5
        >>> x, x_hat = [[99.0], [101.0]], [[99.5], [100.5]]  # half as far from a large mean
        >>> print(round(assay.metrics.shrinkage(x, x_hat), 4))
        1.0
        >>> print(assay.metrics.shrinkage(x, x_hat, mean=100.0))
        0.5
    """
    x, x_hat = _pair(x, x_hat, mean)
    return measures.GAMMA.of(_sum(x_hat**2), _sum(x_hat * x), _sum(x**2))


def norm_ratio(
    x: Rows, x_hat: Rows, mean: Float[Array, " d"] | float = 0.0
) -> Float[Array, "*run"]:
    """Length of reconstructions over that of activations; below 1 for every imperfect
    reconstruction, shrunken or not.

    Args:
        x: activations, [b, d] or [run, b, d].
        x_hat: their reconstructions, same shape and unit.
        mean: subtracted from both, [d] or one number.
    Formula: √(E‖x̂‖² / E‖x‖²)
    Range: 0 to ∞; NaN where x is 0
    Better: neither
    Example:
        >>> import assay
        >>> print(assay.metrics.norm_ratio([[3.0, 4.0]], [[3.0, 0.0]]))  # 3 / 5
        0.6
    """
    x, x_hat = _pair(x, x_hat, mean)
    return measures.NORM_RATIO.of(_sum(x_hat**2), _sum(x**2))


def density(features: Float[Array, "*run b f"]) -> Float[Array, "*run f"]:
    """Share of rows in which each feature is on.

    Args:
        features: [b, f] or [run, b, f]; one is on where it is above 0.
    Formula: #{f > 0} / rows
    Range: 0 to 1
    Better: neither
    Example:
        >>> import assay
        >>> features = [[0.7, 0.0], [0.2, 0.0], [0.0, 0.1], [0.0, 0.0]]
        >>> assay.metrics.density(features).tolist()  # on in 2 and in 1 of 4 rows
        [0.5, 0.25]
    """
    return float64(_rows(features) > 0).mean(-2)


def dead(features: Float[Array, "*run b f"]) -> Float[Array, "*run"]:
    """Share of features that are on in no row of the set.

    Args:
        features: [b, f] or [run, b, f]; one is on where it is above 0.
    Formula: #{i: f_i = 0 in all rows} / f
    Range: 0 to 1; falls as the set grows; NaN for no rows
    Better: lower
    Example:
        >>> import assay
        >>> print(assay.metrics.dead([[0.7, 0.0], [0.2, 0.0]]))  # the second feature is never on
        0.5
    """
    on = float64(_rows(features) > 0).sum(-2)
    return float64(on == 0).mean(-1) if _rows(features).shape[-2] else on.sum(-1) * float("nan")


def ce_recovered(clean: Array, spliced: Array, ablated: Array) -> Array:
    """Share of an ablation's loss that the reconstruction wins back, from cross-entropies in nats
    (or sums over equal tokens).

    Give both: `ablated` with the mean in place of the activation, and with zero; zero ablation
    hurts more and so flatters.

    Args:
        clean: cross-entropy of the untouched model, nats.
        spliced: with the reconstruction in place.
        ablated: with the mean, or zero, in place.
    Formula: (CE_ablated − CE_spliced) / (CE_ablated − CE_clean)
    Range: −∞ to ∞; 0 is as bad as the ablation, 1 loses nothing; NaN where ablation does not raise
    the loss
    Better: higher
    Example:
        >>> import assay
        >>> print(assay.metrics.ce_recovered(clean=3.0, spliced=3.5, ablated=8.0))  # 4.5 of 5 nats
        0.9
    """
    return measures.recovered(float64(ablated), float64(spliced), float64(clean))


def kl_recovered(spliced: Array, ablated: Array) -> Array:
    """Share of an ablation's change of the model's predictions that the reconstruction undoes, from
    KL(clean ‖ ·) in nats.

    Unlike the loss recovered it cannot be raised by a reconstruction that changes predictions for
    the better.

    Args:
        spliced: KL(clean ‖ spliced), nats.
        ablated: KL(clean ‖ ablated), nats.
    Formula: 1 − KL_spliced / KL_ablated: the loss recovered with KL in place of CE, as the clean
    run's KL is 0
    Range: −∞ to 1; 0 is as bad as the ablation; NaN where the ablation changes nothing
    Better: higher
    Example:
        >>> import assay
        >>> print(assay.metrics.kl_recovered(spliced=0.5, ablated=5.0))
        0.9
    """
    return measures.recovered(float64(ablated), float64(spliced))


def finish(
    sums: Mapping[str, Float[np.ndarray, "run document"]],
) -> dict[str, Float[np.ndarray, " run"]]:
    """Turn the sums of `document_sums` into measures, one number per run, each a function of total
    sums.

    Args:
        sums: by name, [run, document]; `firings` is [run, feature].
    Formula: those of `measures`: l0, fvu, gamma (centred), gamma_raw,
    norm_ratio (centred); dead
    Example:
        >>> import torch
        >>> import assay
        >>> eye, zero = torch.eye(2)[None], torch.zeros(1, 2)
        >>> halves = assay.Dictionary(eye, zero, eye / 2, zero, assay.dictionaries.ReLU())
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
        >>> sums = assay.metrics.document_sums(halves, x, [0, 0, 1, 1], documents=2, mean=x.mean(0))
        >>> assay.metrics.finish(sums)["fvu"], assay.metrics.finish(sums)["l0"]
        (array([0.5]), array([1.]))
    """
    total = {name: np.asarray(value).sum(-1) for name, value in sums.items()}
    of_sums = (
        measures.L0,
        measures.FVU,
        measures.GAMMA,
        measures.GAMMA_RAW,
        measures.NORM_RATIO,
    )
    return {m.name: m.statistic(total) for m in of_sums} | {
        "dead": (np.asarray(sums["firings"]) == 0).mean(-1)
    }


def _rows(value: Array) -> Array:
    """Convert to float64 [*run, b, d]; a 1-D array is rows of one number."""
    value = float64(value)
    return value.reshape(-1, 1) if value.ndim < 2 else value


def _pair(x: Array, x_hat: Array, mean: Array = 0.0) -> tuple[Array, Array]:
    x, x_hat = _rows(x), _rows(x_hat)
    if x.shape[-2:] != x_hat.shape[-2:]:
        raise DataError(
            f"x and x_hat must have the same rows and dimensions, got {list(x.shape)} and "
            f"{list(x_hat.shape)}"
        )
    if is_tensor(x) != is_tensor(x_hat):
        x, x_hat = torch.as_tensor(x), torch.as_tensor(x_hat)
    middle = (
        mean
        if isinstance(mean, int | float)
        else torch.as_tensor(mean)
        if is_tensor(x)
        else as_numpy(mean)
    )
    return less(x, middle), less(x_hat, middle)


def _mean(x: Array) -> Array:
    return x.mean(-2)[..., None, :]


def _sum(x: Array) -> Array:
    return x.sum(-1).sum(-1)
