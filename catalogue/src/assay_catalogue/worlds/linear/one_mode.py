"""How one mode of a linear network is learned: curves in closed form for one layer and for two,
whatever the split between them, and solved numerically for more.

A network y = W₂ W₁ x on whitened inputs, taught y = A x, learns each singular mode of A by itself
if its weights start along the modes. A mode of strength s is then a product u = a·b of what the two
layers hold of it, with ȧ = (s − u) b and ḃ = (s − u) a, and a·a − b·b stays what it was. One layer
learns u itself. More layers hold gains w₁ … w_L of the mode, with u = w₁ ⋯ w_L, ẇⱼ = (s − u) u/wⱼ,
and wᵢ² − wⱼ² stays what it was. Times are in units of τ, one over the rate of gradient flow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from assay.core.errors import DataError
from assay.core.heavy import scipy

SAXE = (
    "Saxe, McClelland & Ganguli 2014, Exact solutions to the nonlinear dynamics of learning in "
    "deep linear neural networks"
)
SHALLOW_SHARPNESS = float(np.log(9) / np.log(2))
"""Rise time over half time of a single layer that starts at 0: ln 9 / ln 2, whatever the strength
of the mode."""

Times = Float[np.ndarray, "*t"]


def deep(t: Times | float, s: float, u0: float, imbalance: float = 0.0) -> Times:
    """What two layers hold of a mode after a time t, from u₀ on.

    Formula: u = (y − δ²/y)/4, where y = ‖a + b‖² follows a logistic curve from y₀ = √(δ² + 4u₀²) +
    2u₀ to 2s + r, at the rate r = √(δ² + 4s²): (y − 2s + r)/(2s + r − y) grows like e^{rt}. δ is
    the imbalance ‖a + b‖ ‖a − b‖, which is |a² − b²| of numbers a and b. Balanced, δ = 0, it is u =
    s e^{2st} / (e^{2st} − 1 + s/u₀).
    Raises: DataError where the mode does not grow: s not positive, or u₀ not below s, or nothing
    there to grow from.
    Source: Saxe et al. 2014 for δ = 0.
    """
    y0, top, rate = _start(s, u0, imbalance)
    bottom = 2 * s - rate
    # The logistic curve by its falling exponential: e^{rt} itself would overflow late on.
    decay = (top - y0) / (y0 - bottom) * np.exp(-rate * np.asarray(t, dtype=np.float64))
    y = (top + decay * bottom) / (1 + decay)
    return (y - imbalance**2 / y) / 4


def deep_time(share: float, s: float, u0: float, imbalance: float = 0.0) -> float:
    """The time at which `deep` reaches this share of s; negative if it starts above it.

    Formula: 1/r ln of (y − 2s + r)/(2s + r − y), at the end over the start. Balanced, at one
    half: ln(s/u₀ − 1) / 2s.
    Raises: DataError as `deep`, and for a share that is not between 0 and 1.
    """
    _share(share)
    y0, top, rate = _start(s, u0, imbalance)
    bottom, u = 2 * s - rate, share * s
    # u = (y − δ²/y)/4 solved for y: y² − 4 u y − δ² = 0, the root above 0.
    y = np.sqrt(imbalance**2 + 4 * u**2) + 2 * u
    return float(1 / rate * np.log((y - bottom) * (top - y0) / ((top - y) * (y0 - bottom))))


def shallow(t: Times | float, s: float, u0: float = 0.0) -> Times:
    """What one layer holds of a mode after a time t, from u₀ on.

    Formula: s (1 − e^{−t}) + u₀ e^{−t}. Source: Saxe et al. 2014."""
    decay = np.exp(-np.asarray(t, dtype=np.float64))
    return s * (1 - decay) + u0 * decay


def layered(t: Times, s: float, gains: Sequence[float]) -> Times:
    """What layers that start with these gains hold of a mode at ascending times, by a Runge–Kutta
    rule.

    Formula: u = w₁ ⋯ w_L, ẇⱼ = (s − u) u/wⱼ; balanced, u̇ = L u^{2 − 2/L} (s − u)
    Source: Saxe et al. 2014 for balanced layers.
    """

    def slope(time: float, w: np.ndarray) -> np.ndarray:
        u = w.prod()
        return (s - u) * u / w

    solved = scipy.integrate.solve_ivp(
        slope, (0.0, float(t[-1])), np.asarray(gains), t_eval=t, rtol=1e-9, atol=1e-12
    )
    return solved.y.prod(0)


def layered_time(share: float, s: float, gains: Sequence[float]) -> float:
    """The time at which `layered` reaches this share of s; negative if it starts above it.

    Formula: ∫ dx / (2u(s − u)) over x, the least of the squared gains, from its start to where
    u = share · s; balanced, ∫ du / (L u^{2 − 2/L} (s − u))
    Raises: DataError where the mode does not grow, and for a share that is not between 0 and 1.
    """
    _share(share)
    _start(s, float(np.prod(gains)), 0.0)
    squares = np.square(gains)

    def slowness(log_x: float) -> float:
        u = np.sqrt(np.exp(log_x) + squares - squares.min()).prod()
        return float(np.exp(log_x) / (2 * u * (s - u)))

    begin, end = np.log(squares.min()), np.log(_squares_at(share * s, gains).min())
    return float(scipy.integrate.quad(slowness, begin, end, epsabs=1e-10, epsrel=1e-10)[0])


def sharpness(s: float, u0: float, imbalance: float = 0.0) -> float:
    """Rise time, from 10 % to 90 % of s, over the time to one half, of two layers: below 1 is a
    plateau and then a step.

    Formula: balanced ln 81 / ln(s/u₀ − 1); for a large imbalance ln 9 / ln 2, as one layer. Raises:
    as `deep_time`."""
    low, half, high = (deep_time(share, s, u0, imbalance) for share in (0.1, 0.5, 0.9))
    return (high - low) / half


def imbalance_of(
    a: Float[np.ndarray, "*modes h"], b: Float[np.ndarray, "*modes h"]
) -> Float[np.ndarray, "*modes"]:
    """The imbalance ‖a + b‖ ‖a − b‖ of what two layers hold of each mode, as vectors over the
    hidden units. It is conserved."""
    return np.linalg.norm(a + b, axis=-1) * np.linalg.norm(a - b, axis=-1)


def split_gains(u0: float, layers: int, split: float = 1.0) -> tuple[float, ...]:
    """The gains of layers whose product is u₀: equal ones, but for the last, times `split`, and the
    first, over `split`."""
    even = u0 ** (1 / layers)
    return (even / split, *[even] * (layers - 2), even * split)


def balanced_time(share: float, s: float, u0: float, layers: int) -> float:
    """The time at which balanced layers that start at u₀ reach this share of s, two of them in
    closed form."""
    if layers == 2:
        return deep_time(share, s, u0)
    return layered_time(share, s, split_gains(u0, layers))


@lru_cache(maxsize=64)
def stable_rate(s: float, gains: tuple[float, ...]) -> float:
    """The rate of gradient descent above which a learned mode of strength s is left again by layers
    that started with these gains, in units of 1/τ.

    Formula: 2 / Σⱼ (s/wⱼ)², two over the curvature there; balanced 2 / (L s^{2 − 2/L}).
    """
    return float(2 / (s**2 / _squares_at(s, gains)).sum())


def reached(held: Float[np.ndarray, "*runs step"], level: float) -> Float[np.ndarray, "*runs"]:
    """When curves first come up to a level, in steps and parts of one (straight lines between
    steps); NaN if they start above or never do."""
    above = held >= level
    index = above.argmax(-1)
    before, after = (
        np.take_along_axis(held, np.maximum(index - k, 0)[..., None], -1)[..., 0] for k in (1, 0)
    )
    with np.errstate(all="ignore"):
        part = (level - before) / (after - before)
    return np.where(above.any(-1) & (index > 0), index - 1 + part, np.nan)


def _start(s: float, u0: float, imbalance: float) -> tuple[float, float, float]:
    """y₀, where y ends, and its rate."""
    if not (s > 0 and u0 < s):
        raise DataError(
            f"a mode grows from a start below its strength: got start {u0:g}, strength {s:g}"
        )
    y0 = float(np.sqrt(imbalance**2 + 4 * u0**2) + 2 * u0)
    if not y0 > 0:
        raise DataError(
            f"two layers grow from something: start {u0:g} with imbalance {imbalance:g} "
            "leaves both at 0 or opposed"
        )
    rate = float(np.sqrt(imbalance**2 + 4 * s**2))
    return y0, 2 * s + rate, rate


def _share(share: float) -> None:
    if not 0 < share < 1:
        raise DataError(f"a share of the strength lies between 0 and 1, got {share:g}")


def _squares_at(u: float, gains: Sequence[float]) -> np.ndarray:
    """The squared gains of layers when they hold u of a mode; their differences stay."""
    apart = np.square(gains) - min(gains) ** 2
    high = 2 / len(gains) * np.log(u)  # where all are balanced, and the least is less
    low = high - 200
    for _ in range(60):
        middle = (low + high) / 2
        below = np.sqrt(np.exp(middle) + apart).prod() < u
        low, high = (middle, high) if below else (low, middle)
    return np.exp(high) + apart
