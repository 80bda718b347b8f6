"""A feature with nothing to gain: under a penalty alone, how it dies, and where it cannot.

The input is x ~ N(μ, s² I), the feature ReLU(w·x + b), the loss λ E ReLU(w·x + b): no
reconstruction, nobody to help. By symmetry w stays in the plane of μ and its own start, so its part
along μ, its part across, and b say everything."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from assay.core.heavy import scipy


@dataclass(frozen=True, eq=False)
class Path:
    """One feature along training."""

    time: Float[np.ndarray, " t"]
    along: Float[np.ndarray, " t"]
    """w·μ̂."""
    across: Float[np.ndarray, " t"]
    """Length of the rest of w."""
    bias: Float[np.ndarray, " t"]
    density: Float[np.ndarray, " t"]
    """P(w·x + b > 0)."""

    @property
    def cosine(self) -> Float[np.ndarray, " t"]:
        """Cosine of w with μ; −1 is where all such features meet."""
        return self.along / np.hypot(self.along, self.across)

    @property
    def alignment(self) -> Float[np.ndarray, " t"]:
        """κ, the mean cosine of two such features whose rests are at right angles: the squared
        cosine with μ."""
        return self.cosine**2

    def slope(self, start: float, end: float) -> float:
        """Decades by which the density moves per decade of time between two times; −1 is ρ ∝
        1/t."""
        log_density = np.interp(np.log10([start, end]), np.log10(self.time), np.log10(self.density))
        return float((log_density[1] - log_density[0]) / np.log10(end / start))


def density(mean: float, spread: float, parallel, across, bias):
    """P(w·x + b > 0).

    Formula: Φ((w·μ + b) / (s ‖w‖))
    """
    return scipy.special.ndtr((parallel * mean + bias) / (spread * np.hypot(parallel, across)))


def floor(mean: float, spread: float = 1.0) -> float:
    """The least density of a feature whose bias is held at 0, reached as w turns to −μ:
    Φ(−‖μ‖/s)."""
    return float(scipy.special.ndtr(-mean / spread))


def flow(
    mean: float,
    *,
    spread: float = 1.0,
    parallel: float = 0.0,
    across: float = 1.0,
    bias: float = 0.0,
    penalty: float = 1.0,
    held: bool = False,
    end: float = 1e9,
    points: int = 600,
) -> Path:
    """A feature's way under gradient flow from a start of given parts along μ and across, to time
    `end`.

    Formula: ẇ = −λ (μ P + s² w φ(u)/(s‖w‖)), ḃ = −λ P (0 where the bias is `held`), u = (w·μ +
    b)/(s‖w‖), P = Φ(u); integrated over log t, since deaths take decades
    Source: derived here; the gradient of E ReLU(z) for normal z
    """

    def change(log_t: float, y: np.ndarray) -> list[float]:
        a, r, b = y
        norm = np.hypot(a, r)
        u = (a * mean + b) / (spread * norm)
        fires, shrinks = (
            scipy.special.ndtr(u),
            spread * np.exp(-u * u / 2) / np.sqrt(2 * np.pi) / norm,
        )
        rate = -penalty * np.exp(log_t)
        # Over log t every rate gains a factor t, dw/d ln t = t dw/dt: times span twelve decades.
        return [
            rate * (mean * fires + shrinks * a),
            rate * shrinks * r,
            0.0 if held else rate * fires,
        ]

    log_times = np.linspace(np.log(1e-3), np.log(end), points)
    s = scipy.integrate.solve_ivp(
        change,
        (log_times[0], log_times[-1]),
        [parallel, across, bias],
        t_eval=log_times,
        # Stiff: parts that settled long ago would force explicit steps to stay tiny.
        method="Radau",
        rtol=1e-8,
        atol=1e-11,
    )
    a, r, b = s.y
    return Path(np.exp(s.t), a, r, b, density(mean, spread, a, r, b))
