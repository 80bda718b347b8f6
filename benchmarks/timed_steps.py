"""Steps: one training step of each architecture at two sizes, as fast as Assay makes it, ready to
be timed.

What a step costs depends on how many features are on. So that all architectures do the same work,
biases and thresholds start where about k features of a row are on, as many as TopK keeps, and the
learning rate is so small that they stay there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from jaxtyping import Float

from assay.core.heavy import torch
from assay.core.runs import Runs
from assay.core.spec import Spec
from assay.dictionaries.gates import Gated
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import Nonlinearity, ReLU
from assay.dictionaries.selection import BatchTopK, TopK
from assay.dictionaries.training import losses
from assay.dictionaries.training.train import Method, group

Products = Literal["float32", "bfloat16"]
START = 0.3
"""Standard deviation of a pre-activation at the start: rows of length START on standard normal
inputs."""
DEAD = 20_000
"""Rows without a firing after which AuxK counts a latent as dead."""
DEAD_SHARE, DEAD_BIAS = 10, -0.75
"""One latent in so many is dead where AuxK is timed: its bias keeps it from being chosen, and now
and then above 0."""


@dataclass(frozen=True)
class Size:
    """The size of a dictionary and of its batches."""

    width: int
    batch: int
    k: int
    """Features that are on in a row."""
    d: int = 576
    """Dimensions of the activations: those of SmolLM2-135M."""

    @property
    def quantile(self) -> float:
        """Where a pre-activation has to lie so that k of `width` lie above, on average."""
        # Rows of length START on standard normal inputs give normal pre-activations of that
        # deviation.
        return START * NormalDist().inv_cdf(1 - self.k / self.width)

    def rows(self) -> Float[torch.Tensor, "b d"]:
        """Draw a batch: standard normal activations, the same each time."""
        return torch.randn(self.batch, self.d, generator=torch.Generator().manual_seed(0))


SIZES = (Size(4608, 2048, 32), Size(512, 256, 12))
"""The size at which published dictionaries of a model this small are trained, and the size of
`gated-sae`."""


def architectures(size: Size) -> Mapping[str, tuple[Nonlinearity, losses.Loss]]:
    """Name what can be timed: how features are chosen, and the loss."""
    nested = (size.width // 16, size.width // 4, size.width)
    return {
        "TopK": (TopK(size.k), losses.mse),
        "TopK + AuxK": (TopK(size.k), losses.TopKAux(dead_after=DEAD)),
        "ReLU": (ReLU(), losses.l1),
        "Gated": (Gated(), losses.gated),
        "JumpReLU": (JumpReLU(start=size.quantile), losses.jumprelu),
        "BatchTopK": (BatchTopK(size.k), losses.mse),
        "Matryoshka": (BatchTopK(size.k), losses.Matryoshka(nested)),
    }


def step(
    size: Size,
    architecture: str,
    products: Products = "float32",
    runs: int = 1,
    device: torch.device | str = "cpu",
) -> Callable[[Float[torch.Tensor, "b d"]], None]:
    """Make a function that takes one step on a batch that lies on the device: forward, loss,
    backward, decoder constraint, Adam."""
    nonlinearity, loss = architectures(size)[architecture]
    ones = np.ones(runs)
    method = Method(
        nonlinearity,
        loss,
        size.width,
        lr=1e-6 * ones,
        penalty=0.01 * ones,
        betas=(0.9, 0.999),
        encoder_scale=START,
        products=products,
    )
    run_group = group(
        Runs([Spec(seed=seed) for seed in range(runs)]), method, d=size.d, steps=10**6
    )
    # Before the first step, at which Adam takes views of the state.
    run_group.state = {name: tensor.to(device) for name, tensor in run_group.state.items()}
    if architecture in ("ReLU", "Gated"):
        run_group.state["b_enc"].fill_(-size.quantile)
    if architecture == "Gated":
        run_group.state["b_mag"].fill_(-size.quantile)
    if architecture == "TopK + AuxK":
        run_group.state["b_enc"][:, ::DEAD_SHARE] = DEAD_BIAS
        run_group.state["idle.rows"][:, ::DEAD_SHARE] = DEAD
    count = 0

    def take(x: Float[torch.Tensor, "b d"]) -> None:
        nonlocal count
        run_group.step_fn(run_group.state, x, count)
        count += 1

    return take


def product(
    size: Size, products: Products = "float32", device: torch.device | str = "cpu"
) -> Callable[[Float[torch.Tensor, "b d"]], None]:
    """Make a function that multiplies a batch with the encoder and does nothing else: what a step
    is compared with."""
    dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[products]
    W = torch.randn(size.d, size.width, generator=torch.Generator().manual_seed(1)).to(
        device, dtype
    )

    def multiply(x: Float[torch.Tensor, "b d"]) -> None:
        x.to(dtype) @ W

    return multiply
