"""The size of a training set at which two circuits cost the same, and sizes at which accuracy
crosses a half; run by run.

J is the regularised loss of a trained network. Memorising costs a power of the size, J_mem = α D^β;
generalising costs J_gen whatever the size. Theory puts the change from one to the other at D_crit,
where both are equal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from assay.core.errors import DataError
from assay.core.heavy import scipy


@dataclass(frozen=True)
class PowerLaw:
    """J = α D^β for each run."""

    log_alpha: Float[np.ndarray, " run"]
    """log α, of J at D = 1."""
    beta: Float[np.ndarray, " run"]
    residual: Float[np.ndarray, " run"]
    """Largest absolute deviation of log J from the line."""

    def at(self, size: float) -> Float[np.ndarray, " run"]:
        """J at a size."""
        return np.exp(self.log_alpha + self.beta * np.log(size))

    def log_size(self, cost: Float[np.ndarray, " run"]) -> Float[np.ndarray, " run"]:
        """log of the size at which memorising costs this much: with J_gen, log D_crit.

        Formula: (log cost − log α)/β, which is log (cost/α)^(1/β).
        """
        return (np.log(cost) - self.log_alpha) / self.beta


def power_law(size: Float[np.ndarray, " size"], cost: Float[np.ndarray, "run size"]) -> PowerLaw:
    """The straight line of log cost in log size by least squares, for each run; NaN where a cost is
    missing.

    Raises: DataError with fewer than two different sizes, or where a size or cost is not positive.
    """
    x, y = np.asarray(size, dtype=float), np.asarray(cost, dtype=float)
    if len(np.unique(x)) < 2:
        raise DataError(f"a power law needs costs at two sizes or more, got sizes {x.tolist()}")
    if (x <= 0).any() or (y <= 0).any():
        raise DataError("a power law is fitted to logarithms: sizes and costs must be above 0")
    x, y = np.log(x), np.log(y)
    off = x - x.mean()
    beta = y @ off / (off @ off)
    log_alpha = y.mean(1) - beta * x.mean()
    residual = np.abs(y - log_alpha[:, None] - beta[:, None] * x).max(1)
    return PowerLaw(log_alpha, beta, residual)


def proportion(x: Float[np.ndarray, " run"], y: Float[np.ndarray, " run"]) -> float:
    """ν of the line y = ν x through 0, by least squares: Σxy / Σx². For one network with x = Σ
    A^(2/3), y = ‖θ‖²: y/x."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    return float((x @ y) / (x @ x))


def crossing(
    size: Float[np.ndarray, " size"], accuracy: Float[np.ndarray, "run size"], level: float = 0.5
) -> Float[np.ndarray, " run"]:
    """The size at which accuracy first rises through `level`, by straight lines between sizes; for
    smooth curves.

    NaN where the sizes do not bracket it: all below, all above, or an accuracy is missing.
    """
    x, y = _ordered(size, accuracy)
    out = np.full(len(y), np.nan)
    for r, row in enumerate(y):
        above = row >= level
        if np.isnan(row).any() or above[0] or not above.any():
            continue
        i = int(above.argmax())
        out[r] = x[i - 1] + (level - row[i - 1]) / (row[i] - row[i - 1]) * (x[i] - x[i - 1])
    return out


def logistic_middle(
    size: Float[np.ndarray, " size"], accuracy: Float[np.ndarray, "run size"]
) -> Float[np.ndarray, " run"]:
    """The middle D of 1/(1 + e^−(size − D)/s), s > 0, that fits accuracy best by least squares; for
    curves that are not monotone.

    NaN where the middle lies outside the sizes: the grid does not bracket it; or where an accuracy
    is missing."""
    x, y = _ordered(size, accuracy)
    middle, scale = (x[0] + x[-1]) / 2, (x[-1] - x[0]) / 2
    places, slopes = (
        v.ravel() for v in np.meshgrid(np.linspace(-1.2, 1.2, 25), np.linspace(-4, 1, 11))
    )
    curves = _curve((x - middle) / scale, places, slopes)
    out = np.full(len(y), np.nan)
    for r, row in enumerate(y):
        if np.isnan(row).any():
            continue
        # From the best of a grid: the fit has local minima, all the more where curves are not
        # monotone.
        near = int(np.square(curves - row).sum(1).argmin())
        start = (places[near], slopes[near])
        fit = scipy.optimize.least_squares(
            lambda v, row=row: _curve((x - middle) / scale, *v) - row, start
        )  # type: ignore[misc]
        estimate = middle + scale * float(fit.x[0])
        if x[0] <= estimate <= x[-1]:
            out[r] = estimate
    return out


def odds_middle(
    size: Float[np.ndarray, " size"], accuracy: Float[np.ndarray, "run size"]
) -> Float[np.ndarray, " run"]:
    """The size at which the straight line of log odds in size, by least squares, is 0; for few
    sizes near a half.

    Accuracies are taken as 0.01 to 0.99. The line may cross outside the sizes. NaN where it does
    not rise, where it is 0 at no positive size, and where an accuracy is missing.
    """
    x, y = _ordered(size, accuracy)
    # 0 and 1 have infinite odds, and would decide the line alone.
    odds = np.clip(y, 0.01, 0.99)
    level = np.log(odds / (1 - odds))
    off = x - x.mean()
    rise = level @ off / (off @ off)
    least = (
        1e-12 * np.abs(level).sum(1) * np.abs(off).max() / (off @ off)
    )  # what rounding alone can make of a flat line
    estimate = x.mean() - level.mean(1) / np.where(rise > least, rise, np.nan)
    return np.where(estimate > 0, estimate, np.nan)


def _curve(x: np.ndarray, place: float | np.ndarray, slope: float | np.ndarray) -> np.ndarray:
    """Logistic curves [..., size] about `place`, of width e^slope."""
    # The width as e^slope is above 0 without a bound to keep; tanh does not overflow where e^−z
    # would.
    z = (x - np.asarray(place)[..., None]) * np.exp(-np.asarray(slope))[..., None]
    return 0.5 * (1 + np.tanh(z / 2))


def _ordered(size: np.ndarray, accuracy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ascending sizes, and accuracies in their order. Raises: DataError unless there is one for
    each of two sizes or more."""
    x, y = np.asarray(size, dtype=float), np.asarray(accuracy, dtype=float)
    if y.ndim != 2 or y.shape[1] != len(x) or len(np.unique(x)) < max(2, len(x)):
        raise DataError(
            "a crossing needs accuracies [run, size] at two different sizes or more, got "
            f"{list(y.shape)} at {x.tolist()}"
        )
    order = np.argsort(x)
    return x[order], y[:, order]
