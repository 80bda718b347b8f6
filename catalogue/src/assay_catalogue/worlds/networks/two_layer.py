"""Classifiers of two layers with weights of their own in each, with a run axis: ReLU or tanh, with
or without biases; and points of several classes, each a Gaussian cloud about a centre of its own.

What rescaling does to them: W₁ times c and W₂ over c is the same function if the non-linearity is a
ReLU and nothing is added before it; with W₁ alone the outputs are multiplied by c.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.core.runs import Runs
from assay.train import rng

State: TypeAlias = "dict[str, torch.Tensor]"


def start(runs: Runs, inputs: int, hidden: int, classes: int, bias: bool = False) -> State:
    """Starting parameters of every run: W1 [run h d] of variance 2/d, W2 [run k h] of variance 1/h,
    biases b1, b2 zero if any.

    Rows of W1 are neurons.
    """
    W1 = torch.from_numpy(
        rng.normal(runs.seeds, "two_layer.W1", 0, (hidden, inputs))
        * np.float32((2 / inputs) ** 0.5)
    )
    W2 = torch.from_numpy(
        rng.normal(runs.seeds, "two_layer.W2", 0, (classes, hidden))
        * np.float32((1 / hidden) ** 0.5)
    )
    params = {"W1": W1, "W2": W2}
    return (
        params | {"b1": torch.zeros(len(runs), hidden), "b2": torch.zeros(len(runs), classes)}
        if bias
        else params
    )


def logits(
    params: Mapping[str, torch.Tensor], x: Float[torch.Tensor, "run b d"], tanh: bool = False
) -> Float[torch.Tensor, "run b k"]:
    """Outputs of every run: W₂ ReLU(W₁ x + b₁) + b₂, with a tanh in the ReLU's place if asked,
    without biases where there are none."""
    hidden = torch.bmm(x, params["W1"].transpose(1, 2))
    if "b1" in params:
        hidden = hidden + params["b1"].unsqueeze(1)
    out = torch.bmm(hidden.tanh() if tanh else hidden.relu(), params["W2"].transpose(1, 2))
    return out + params["b2"].unsqueeze(1) if "b2" in params else out


def rescaled(
    params: Mapping[str, torch.Tensor], c: float, back: bool = True, bias: bool = False
) -> State:
    """Multiply W₁ by c and, if `back`, divide W₂ by c; with `bias` b₁ is multiplied as well."""
    out = {**params, "W1": params["W1"] * c}
    if back:
        out["W2"] = params["W2"] / c
    if bias and "b1" in params:
        out["b1"] = params["b1"] * c
    return out


def cross_entropy(
    z: Float[torch.Tensor, "run b k"], label: Int[torch.Tensor, "run b"]
) -> Float[torch.Tensor, " run"]:
    """Mean cross-entropy of each run, in nats an input."""
    return -z.log_softmax(-1).gather(-1, label.unsqueeze(-1)).flatten(1).mean(1)


def effects(
    params: Mapping[str, torch.Tensor],
    x: Float[torch.Tensor, "run b d"],
    label: Int[torch.Tensor, "run b"],
    scales: Sequence[float],
    tanh: bool = False,
) -> dict[str, Float[torch.Tensor, "run scale"]]:
    """What multiplying W₁ by each scale c does to every run on these inputs, by name.

    With W₂ over c: `loss` (nats) and `change`, the largest change of an output over the largest
    output; `change_biased`, the same with b₁ times c as well. With W₁ alone: `loss_alone` (nats),
    `not_times`, by how much outputs over c then differ, and `reclassified`, the share of inputs
    whose class changes."""
    outputs = logits(params, x, tanh)
    size = outputs.abs().amax((1, 2))

    def measure_scales(
        measure: Callable[[torch.Tensor, float], torch.Tensor], **how: bool
    ) -> Float[torch.Tensor, "run scale"]:
        return torch.stack(
            [measure(logits(rescaled(params, c, **how), x, tanh), c) for c in scales], -1
        )

    def off(z: torch.Tensor) -> torch.Tensor:
        return (z - outputs).abs().amax((1, 2)) / size

    return {
        "loss": measure_scales(lambda z, c: cross_entropy(z, label)),
        "change": measure_scales(lambda z, c: off(z)),
        "change_biased": measure_scales(lambda z, c: off(z), bias=True),
        "loss_alone": measure_scales(lambda z, c: cross_entropy(z, label), back=False),
        "not_times": measure_scales(lambda z, c: off(z / c), back=False),
        "reclassified": measure_scales(
            lambda z, c: (z.argmax(-1) != outputs.argmax(-1)).float().mean(1), back=False
        ),
    }


Seeds = Sequence[int] | Int[np.ndarray, "run"]
Batch: TypeAlias = 'tuple[Float[torch.Tensor, "run b d"], Int[torch.Tensor, "run b"]]'


@dataclass(frozen=True)
class Clouds:
    """x = centre of its class + standard normal noise, all classes equally likely; centres are
    drawn by each seed.

    No classifier is right more often than the one that takes the nearest centre.
    """

    d: int = 20
    """Dimensions of a point."""
    classes: int = 10
    """Clouds."""
    apart: float = 4.0
    """Typical distance of two centres, in standard deviations of the noise: the root of its mean
    square."""

    def __post_init__(self) -> None:
        if self.d < 1 or self.classes < 2:
            raise DataError(
                f"Clouds need d of at least 1 and at least 2 classes, got d={self.d}, "
                f"classes={self.classes}"
            )
        if self.apart <= 0:
            raise DataError(f"Clouds.apart is a distance above 0, got {self.apart:g}")

    def centres(self, seeds: Seeds) -> Float[torch.Tensor, "run k d"]:
        """The centres of each seed's classes, normal numbers of variance apart²/2d."""
        normals = rng.normal(np.asarray(seeds), "classes.centres", 0, (self.classes, self.d))
        return torch.from_numpy(normals * np.float32(self.apart / (2 * self.d) ** 0.5))

    def batches(self, seeds: Seeds, batch: int, stream: str = "train") -> Callable[[int], Batch]:
        """A source of points and their classes, step → ([run, b, d], [run, b]); streams of
        different names are independent."""
        seeds = np.asarray(seeds)
        centres = self.centres(seeds)
        block = max(
            1, 4_096 // batch
        )  # steps drawn at once, as opening a stream costs as much as a thousand numbers

        def draw_block(number: int) -> tuple[torch.Tensor, torch.Tensor]:
            shape = (block, batch)
            label = torch.from_numpy(
                rng.integers(seeds, f"classes.label.{stream}", number, shape, self.classes)
            )
            noise = torch.from_numpy(
                rng.normal(seeds, f"classes.noise.{stream}", number, (*shape, self.d))
            )
            return noise, label

        cache: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

        def draw(step: int) -> Batch:
            number, place = divmod(step, block)
            if number not in cache:
                cache.clear()
                cache[number] = draw_block(number)
            noise, label = (t[:, place] for t in cache[number])
            class_centres = centres.gather(1, label.unsqueeze(-1).expand(-1, -1, self.d))
            return class_centres + noise, label

        return draw

    def nearest(
        self, seeds: Seeds, x: Float[torch.Tensor, "run b d"]
    ) -> Int[torch.Tensor, "run b"]:
        """The class of the nearest centre of each point: the best that can be told."""
        return torch.cdist(x, self.centres(seeds).to(x.device)).argmin(-1)
