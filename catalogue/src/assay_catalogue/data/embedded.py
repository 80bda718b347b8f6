"""Sparse features along known directions of a narrower space, about a mean: activations whose every
density has a formula."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.train import rng

SMALLEST = 1e-12
"""Below this a density from the formula is rounding: it sums cosines of size 1 in double
precision."""


@dataclass(frozen=True, eq=False)
class Embedded:
    """One world for each run: x = mean + Σ_k on_k · a_k · direction_k + noise · n.

    on_k is 1 with probability p_k, a_k uniform on [low, high], n standard normal, all independent.
    `shift` is subtracted from every row at the end, so that `centred` is the same world and the
    same draws about 0."""

    seeds: Int[np.ndarray, " run"]
    probability: Float[np.ndarray, "run feature"]
    directions: Float[np.ndarray, "run feature d"]
    """Unit rows."""
    mean: Float[np.ndarray, "run d"]
    low: float = 0.5
    high: float = 1.5
    noise: float = 0.03
    shift: Float[np.ndarray, "run d"] | None = None

    @property
    def expected(self) -> Float[np.ndarray, "run d"]:
        """E x, in units of x.

        Formula: mean + Σ p_k (low + high)/2 direction_k − shift
        """
        middle = (self.low + self.high) / 2
        whole = self.mean + middle * np.einsum("rk,rkd->rd", self.probability, self.directions)
        return whole if self.shift is None else whole - self.shift

    @property
    def covariance(self) -> Float[np.ndarray, "run d d"]:
        """Cov x.

        Formula: Σ Var(on_k a_k) direction_k directionᵀ_k + noise² I, Var(on a) = p E a² − p² (E a)²
        """
        first = (self.low + self.high) / 2
        second = (self.low**2 + self.low * self.high + self.high**2) / 3
        spread = self.probability * second - (self.probability * first) ** 2
        whole = np.einsum("rk,rkd,rke->rde", spread, self.directions, self.directions)
        return whole + self.noise**2 * np.eye(whole.shape[-1])

    def detectors(
        self, features: Int[np.ndarray, " feature"]
    ) -> Float[np.ndarray, "run feature d"]:
        """Encoder rows that read these true features with the least disturbance by all others.

        Formula: w = Σ⁻¹ v / (vᵀ Σ⁻¹ v), so w·v = 1 and the variance of w·x is as small as that
        allows
        Source: Capon, High-resolution frequency-wavenumber spectrum analysis, 1969
        """
        v = self.directions[:, features]
        w = np.linalg.solve(self.covariance, v.swapaxes(1, 2)).swapaxes(1, 2)
        return w / (w * v).sum(-1, keepdims=True)

    @property
    def centred(self) -> Embedded:
        """Subtract the world's expectation from every row."""
        new_shift = self.expected if self.shift is None else self.expected + self.shift
        return Embedded(
            self.seeds,
            self.probability,
            self.directions,
            self.mean,
            self.low,
            self.high,
            self.noise,
            new_shift,
        )

    def batches(
        self, batch: int, stream: str = "train"
    ) -> Callable[[int], Float[torch.Tensor, "run b d"]]:
        """A source of float32 batches, a function of the step; streams of different names are
        independent."""
        _, features, d = self.directions.shape
        p = torch.from_numpy(self.probability.astype(np.float32))[:, None]
        V = torch.from_numpy(self.directions.astype(np.float32))
        shifted_mean = self.mean if self.shift is None else self.mean - self.shift
        centre = torch.from_numpy(shifted_mean.astype(np.float32))[:, None]
        block = max(
            1, 4096 // batch
        )  # steps drawn at once: opening a stream costs as much as a thousand numbers

        @lru_cache(maxsize=2)
        def draw_block(number: int) -> tuple[torch.Tensor, torch.Tensor]:
            v = rng.uniform(self.seeds, f"embedded.{stream}", number, (block, batch, features))
            n = rng.normal(self.seeds, f"embedded.noise.{stream}", number, (block, batch, d))
            return torch.from_numpy(v), torch.from_numpy(n)

        def draw(step: int) -> Float[torch.Tensor, "run b d"]:
            v, n = (part[:, step % block] for part in draw_block(step // block))
            amplitude = torch.where(
                v < p, self.low + (self.high - self.low) / p * v, 0.0
            )  # v/p is uniform where v < p
            return torch.baddbmm(centre + self.noise * n, amplitude, V)

        return draw

    def exceedance(
        self, w: Float[np.ndarray, "run f d"], b: Float[np.ndarray, "run f"]
    ) -> Float[np.ndarray, "run f"]:
        """P(w·x + b > 0) of one input, exact down to SMALLEST: the density of a ReLU feature with
        this encoder row and bias.

        Formula: ½ + (2/π) Σ_{j odd} Im φ(jω)/j, the mean of a square wave of half-period H = π/ω, φ
        the characteristic function of w·x + b, a product over features. H is so large that no sum
        of any chance reaches it, the last j so large that the noise has damped what is left.
        Range: [0, 1]
        Raises: DataError without noise, since nothing then damps the sum.
        Source: Hughett, Error bounds for numerical inversion of a probability characteristic
        function, 1998"""
        if self.noise <= 0:
            raise DataError(
                "densities by formula need noise above 0: without it the distribution of w·x "
                "has jumps"
            )
        w = np.asarray(w, np.float64)
        centre = self.mean if self.shift is None else self.mean - self.shift
        offset = np.einsum("rfd,rd->rf", w, centre) + b
        c = np.einsum("rfd,rkd->rfk", w, self.directions)
        size = np.maximum(np.linalg.norm(w, axis=-1), 1e-30)
        out = [
            _positive(o / s, k / s[:, None], p, self)
            for o, k, s, p in zip(offset, c, size, self.probability, strict=True)
        ]
        return np.stack(out)


def _positive(
    offset: Float[np.ndarray, " f"],
    c: Float[np.ndarray, "f k"],
    p: Float[np.ndarray, " k"],
    world: Embedded,
) -> Float[np.ndarray, " f"]:
    """P(offset + Σ on·a·c + noise > 0) for rows of unit length."""
    if not len(c):
        return np.zeros(0)
    reach = (
        np.abs(offset) + 6 * world.high
    )  # six strongest features at once, all along the row, is rarer than 1e-12
    far = np.abs(offset) > 10 * world.high
    if far.any():  # a row of length 0 among them: certain either way
        out = (offset > 0).astype(float)
        out[~far] = _positive(offset[~far], c[~far], p, world) if not far.all() else out[~far]
        return out
    omega = np.pi / reach
    last = int(np.ceil(7.5 / (world.noise * omega.min())))  # exp(−7.5²/2) = 6e-13
    middle, half = (world.high + world.low) / 2, (world.high - world.low) / 2
    out = np.empty(len(c))
    for a in range(0, len(c), 64):  # few rows at a time stay in the cache
        rows = slice(a, a + 64)
        s = np.where(np.abs(c[rows]) < 1e-9, 1e-9, c[rows]) * omega[rows, None]
        turn, swing = np.exp(1j * middle * s), np.exp(1j * half * s)
        turned, swung, around = turn.copy(), swing.copy(), np.exp(1j * omega[rows] * offset[rows])
        around2, turn, swing, o = around**2, turn**2, swing**2, around.copy()
        total = np.zeros(len(s))
        for j in range(1, last + 1, 2):
            factor = (
                p * (turned * (swung.imag / (half * j * s)) - 1) + 1
            )  # 1 − p + p E exp(i j s a)
            damped = np.exp(-0.5 * (j * omega[rows] * world.noise) ** 2)
            total += (o * factor.prod(-1)).imag * damped / j
            turned, swung, o = turned * turn, swung * swing, o * around2
        out[rows] = 0.5 + 2 / np.pi * total
    return np.clip(out, 0.0, 1.0)


def embedded(
    seeds: Int[np.ndarray, " run"],
    features: int,
    d: int,
    *,
    p: tuple[float, float] = (1e-3, 1e-1),
    mean: float = 2.0,
    rare: Sequence[float] = (),
    noise: float = 0.03,
) -> Embedded:
    """A world by seed: random unit directions, probabilities log-uniform on `p`, a random mean of
    length `mean`.

    `rare` are the probabilities of further features, the last ones.
    Raises: DataError for probabilities that are none.
    """
    if not 0 < p[0] <= p[1] <= 1 or not all(0 < q <= 1 for q in rare):
        raise DataError(
            f"probabilities lie above 0 and at most at 1, the smaller first; got p={p}, "
            f"rare={tuple(rare)}"
        )
    seeds = np.asarray(seeds)
    where = np.log(p[0]) + (np.log(p[1]) - np.log(p[0])) * rng.uniform(
        seeds, "embedded.p", 0, (features,)
    ).astype(np.float64)
    chance = np.concatenate(
        [np.exp(where), np.broadcast_to(np.asarray(rare, float), (len(seeds), len(rare)))], axis=1
    )
    V = rng.normal(seeds, "embedded.V", 0, (features + len(rare), d)).astype(np.float64)
    mu = rng.normal(seeds, "embedded.mean", 0, (d,)).astype(np.float64)
    V /= np.linalg.norm(V, axis=-1, keepdims=True)
    return Embedded(
        seeds, chance, V, mean * mu / np.linalg.norm(mu, axis=-1, keepdims=True), noise=noise
    )
