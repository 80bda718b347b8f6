"""Inputs whose truth is known because we planted it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from assay.core import rng
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.core.runs import Runs

Seeds = Sequence[int] | Int[np.ndarray, "run"]


def sparse_features(
    runs: Runs,
    features: int,
    batch: int,
    stream: str = "train",
    density: Float[np.ndarray, "run f"] | None = None,
) -> Callable[[int], Float[torch.Tensor, "run b f"]]:
    """A source of batches: x_i is uniform on [0, 1) with probability p, the run's `density`, and 0
    otherwise; all independent.

    Every run has its own batch, drawn once per distinct seed: from one uniform v, x = v/p where v <
    p, so runs that share a seed and differ in p share v. Streams of different names are
    independent: train on "train", measure on "test". With `density` every feature of every run has
    a probability of its own.

    Args:
        runs: with a per-run field `density`, unless it is given here.
        features: number of features.
        batch: rows of a step.
        stream: name of the random stream.
        density: probabilities p, [run, f].
    Raises: DataError for a `density` outside (0, 1].
    Source: Toy Models of Superposition, "Experiment setup" (p = 1 − S).
    Example:
        >>> import numpy as np
        >>> from assay import Runs, Spec, planted
        >>> p = np.array([[0.5, 0.1]])
        >>> x = planted.sparse_features(Runs([Spec(seed=0)]), features=2, batch=4096, density=p)(0)
        >>> x.shape, [round(float(share), 1) for share in (x > 0).float().mean(1)[0]]
        (torch.Size([1, 4096, 2]), [0.5, 0.1])
    """
    distinct, back = np.unique(runs.seeds, return_inverse=True)
    chance = runs.each("density")[:, None] if density is None else density
    if not ((chance > 0) & (chance <= 1)).all():
        raise DataError(
            f"density is a probability above 0 and at most 1, got {chance.min():g} to "
            f"{chance.max():g}"
        )
    inverse = 1 / torch.from_numpy(chance.astype(np.float32)).unsqueeze(1)
    runs_per_seed = len(back) // len(distinct)  # runs of each seed, where these stand side by side
    spread = (
        None
        if np.array_equal(back, np.arange(len(back)) // runs_per_seed)
        else torch.from_numpy(back)
    )
    block = max(
        1, 4096 // batch
    )  # steps drawn at once: opening a stream costs as much as a thousand numbers

    @lru_cache(maxsize=2)
    def draw_block(number: int) -> Float[torch.Tensor, "seed step b f"]:
        return torch.from_numpy(
            rng.uniform(distinct, f"planted.{stream}", number, (block, batch, features))
        )

    def draw(step: int) -> Float[torch.Tensor, "run b f"]:
        v = draw_block(step // block)[:, step % block]
        if spread is None:
            x = (v.unsqueeze(1) * inverse.unflatten(0, (-1, runs_per_seed))).flatten(0, 1).neg_()
        else:
            x = (v[spread] * inverse).neg_()
        return torch.threshold_(
            x, -1.0, 0.0
        ).neg_()  # 0 where v ≥ p: three times faster than a mask

    return draw


def present_features(
    runs: Runs, features: int, batch: int, stream: str
) -> Float[torch.Tensor, "run b f"]:
    """Draw inputs of `sparse_features` given that at least one feature is present.

    At density .01 that is one input in twenty of five features: the others are all 0 and say
    nothing new. The feature that is present first is drawn from its law, those before it are
    absent, and those after it are independent.

    Args:
        runs: with a per-run field `density`.
        features: number of features.
        batch: number of inputs.
        stream: name of the random stream.
    Example:
        >>> import numpy as np
        >>> from assay import planted
        >>> from dataclasses import dataclass
        >>> from assay.core import PerRun, Runs, Spec
        >>> @dataclass(frozen=True, kw_only=True)
        ... class Inputs(Spec):
        ...     density: PerRun[float] = 0.01
        >>> runs = Runs([Inputs(seed=0)])
        >>> x = planted.present_features(runs, features=5, batch=1000, stream="test")
        >>> bool((x > 0).any(-1).all())  # none of 1,000 inputs is empty
        True
    """
    distinct, back = np.unique(runs.seeds, return_inverse=True)
    v = rng.uniform(distinct, f"planted.{stream}", 0, (batch, features))[back]
    u = rng.uniform(distinct, f"planted.{stream}.first", 0, (batch, 1))[back]
    p = runs.each("density")[:, None, None]
    first_by = 1 - (1 - p) ** np.arange(
        1, features + 1
    )  # probability that a feature up to this place is present
    first = (u * first_by[..., -1:] >= first_by).sum(-1, keepdims=True)
    place = np.arange(features)
    v = np.where(place < first, 1.0, np.where(place == first, p * v, v))
    return torch.from_numpy(np.where(v < p, v / p, 0.0).astype(np.float32))


def one_hot(features: int) -> Float[torch.Tensor, "b f"]:
    """Each feature by itself, with value 1: the identity, as a batch.

    Args:
        features: number of features.
    Example:
        >>> from assay import planted
        >>> planted.one_hot(2)
        tensor([[1., 0.],
                [0., 1.]])
    """
    return torch.eye(features)


def variance(density: float) -> float:
    """The variance of one input feature, p/3 − p²/4: E u² = 1/3 and (E u)² = 1/4, each present with
    probability p.

    Args:
        density: probability p.
    Example:
        >>> from assay import planted
        >>> round(planted.variance(1.0), 4)  # of a uniform number on [0, 1): 1/12
        0.0833
    """
    return density / 3 - density**2 / 4


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
        >>> from assay.data.planted import Mixture
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
