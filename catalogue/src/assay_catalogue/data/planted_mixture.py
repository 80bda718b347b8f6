"""Inputs that are mixtures of planted directions, each of them on by itself and rarely."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.train import rng

Seeds = Sequence[int] | Int[np.ndarray, "run"]


@dataclass(frozen=True)
class Mixture:
    """The law x = Σ a_i d_i: directions of length 1 drawn by each seed, each of them on by itself
    and rarely.

    A feature is on with probability `density`, by an amount a ~ Exp(1); so E a = p, E a² = 2p, and
    without superposition E‖x‖² = 2p · features. No noise. Seeds have directions and inputs of their
    own; streams of different names are
    independent: train on "train", measure on "test".

    Example:
        >>> import torch
        >>> from assay_catalogue.data.planted_mixture import Mixture
        >>> mixture = Mixture(d=8, features=16, density=0.1)
        >>> codes, x = mixture.codes([0], batch=4)(0), mixture.inputs([0], batch=4)(0)
        >>> torch.allclose(x, codes @ mixture.directions([0]))
        True
    """

    d: int = 32
    """Dimensions of an input."""
    features: int = 128
    """Directions, more than dimensions for superposition."""
    density: float = 0.02
    """Probability p that a feature is on."""
    orthonormal: bool = False
    """Directions orthogonal to each other, at most d of them; otherwise independent and uniform on
    the sphere."""

    def __post_init__(self) -> None:
        if self.d < 1 or self.features < 1:
            raise DataError(
                f"a Mixture needs d and features of at least 1, got d={self.d}, "
                f"features={self.features}"
            )
        if not 0 < self.density <= 1:
            raise DataError(
                f"Mixture.density is a probability above 0 and at most 1, got {self.density}"
            )
        if self.orthonormal and self.features > self.d:
            raise DataError(
                f"at most d={self.d} directions can be orthogonal, got features={self.features}"
            )

    def directions(self, seeds: Seeds) -> Float[torch.Tensor, "run f d"]:
        """The true directions of each seed, rows of length 1.

        Args:
            seeds: of each run, [run].
        """
        W = rng.normal(np.asarray(seeds), "planted.directions", 0, (self.features, self.d)).astype(
            np.float64
        )
        if self.orthonormal:  # Q of a normal matrix, up to signs: directions in general position
            W = np.linalg.qr(W.swapaxes(1, 2))[0].swapaxes(1, 2)
        return torch.from_numpy(W / np.linalg.norm(W, axis=-1, keepdims=True)).float()

    def codes(
        self, seeds: Seeds, batch: int, stream: str = "train"
    ) -> Callable[[int], Float[torch.Tensor, "run b f"]]:
        """A source of true amounts, step → [run, b, f]; 0 where a feature is off.

        Args:
            seeds: of each run, [run].
            batch: rows of a step.
            stream: name of the random stream.
        """
        draw_codes, back = self._drawn(seeds, batch, stream)
        return lambda step: draw_codes(step)[back]

    def inputs(
        self, seeds: Seeds, batch: int, stream: str = "train"
    ) -> Callable[[int], Float[torch.Tensor, "run b d"]]:
        """A source of inputs, step → [run, b, d]: the codes of the same seeds, batch and stream
        times the directions.

        Drawn once per distinct seed, so a sweep costs no more than one run.

        Args:
            seeds: of each run, [run].
            batch: rows of a step.
            stream: name of the random stream.
        """
        draw_codes, back = self._drawn(seeds, batch, stream)
        directions = self.directions(np.unique(seeds))
        return lambda step: (draw_codes(step) @ directions)[back]

    def _drawn(
        self, seeds: Seeds, batch: int, stream: str
    ) -> tuple[Callable[[int], Float[torch.Tensor, "seed b f"]], torch.Tensor]:
        """The codes of the distinct seeds, and which of them each run has."""
        distinct, back = np.unique(np.asarray(seeds), return_inverse=True)
        cells = batch * self.features
        block = max(
            1, 16_384 // batch
        )  # steps drawn at once: opening a stream costs as much as a thousand numbers

        @lru_cache(maxsize=2 * len(distinct))
        def firings(seed: int, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            """Where features are on in a block of steps, in order; how much; and where each step
            starts."""
            g = rng.generator(seed, f"planted.mixture.{stream}", number)
            positions = _successes(g, self.density, block * cells)
            return (
                positions % cells,
                g.standard_exponential(len(positions), np.float32),
                np.searchsorted(positions, np.arange(block + 1) * cells),
            )

        def draw(step: int) -> Float[torch.Tensor, "seed b f"]:
            number, place = divmod(step, block)
            codes = np.zeros((len(distinct), cells), np.float32)
            for row, seed in zip(codes, distinct.tolist(), strict=True):
                positions, amount, starts = firings(seed, number)
                span = slice(starts[place], starts[place + 1])
                row[positions[span]] = amount[span]
            return torch.from_numpy(codes.reshape(len(distinct), batch, self.features))

        return draw, torch.from_numpy(back)


def _successes(g: np.random.Generator, p: float, n: int) -> Int[np.ndarray, " k"]:
    """The places, ascending, of the successes among n trials of probability p, drawn by their
    geometric gaps.

    The same law as n uniform numbers below p, at p times the cost.
    """
    positions = np.zeros(0, dtype=np.int64)
    last = -1
    while last < n - 1:
        remaining = n - 1 - last
        gaps = g.geometric(p, int(remaining * p + 4 * (remaining * p) ** 0.5) + 8)
        positions = np.concatenate((positions, last + np.cumsum(gaps)))
        last = int(positions[-1])
    return positions[positions < n]
