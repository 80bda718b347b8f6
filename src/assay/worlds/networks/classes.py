"""Points of several classes, each a Gaussian cloud about a centre of its own: a task whose best
accuracy is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int

from assay.core import rng
from assay.core.errors import DataError
from assay.core.heavy import torch

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
