"""Inputs with families of features: a child is on only where its parent is, so that a dictionary
can absorb a parent or split it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.train import rng
from assay_catalogue.data.planted_mixture import Seeds


@dataclass(frozen=True)
class Families:
    """The law x = Σ a_i d_i with directions of length 1 drawn by each seed, of features that come
    as parents and their children.

    A parent is on by itself with its own probability; from the rarest to the commonest these form a
    geometric sequence. Where it is on, one of its children is on as well with probability `share`,
    each as often. Amounts are uniform on [½, 1½) and independent. No noise. Features are numbered
    parents first, then the children of parent 0, of parent 1, and so on. Streams of different names
    are
    independent: train on "train", measure on "test".

    Formula: P(parent i) = rarest · (commonest / rarest)^(i / (parents − 1)), P(child of i) = share
    · P(parent i) / children"""

    d: int = 32
    """Dimensions of an input."""
    parents: int = 32
    """Features that are on by themselves."""
    children: int = 2
    """Features of each parent that are on only where it is, at most one at a time."""
    rarest: float = 0.02
    """Probability of the first parent."""
    commonest: float = 0.1
    """Probability of the last parent."""
    share: float = 0.6
    """Probability that a child is on where its parent is."""

    def __post_init__(self) -> None:
        if self.d < 1 or self.parents < 2 or self.children < 1:
            raise DataError(
                f"Families needs d and children of at least 1 and two parents, got {self.d}, "
                f"{self.children} and {self.parents}"
            )
        if not 0 < self.rarest <= self.commonest <= 1 or not 0 < self.share < 1:
            raise DataError(
                "probabilities must be above 0 and in order, and share below 1, got "
                f"{self.rarest}, {self.commonest}, {self.share}"
            )

    @property
    def features(self) -> int:
        """Number of parents and children."""
        return self.parents * (1 + self.children)

    def density(self) -> Float[np.ndarray, " f"]:
        """The probability that each feature is on."""
        parent = np.geomspace(self.rarest, self.commonest, self.parents)
        return np.concatenate(
            [parent, np.repeat(self.share * parent / self.children, self.children)]
        )

    def directions(self, seeds: Seeds) -> Float[torch.Tensor, "run f d"]:
        """The true directions of each seed, independent and uniform on the sphere."""
        W = rng.normal(
            np.asarray(seeds), "planted.families.directions", 0, (self.features, self.d)
        ).astype(np.float64)
        return torch.from_numpy(W / np.linalg.norm(W, axis=-1, keepdims=True)).float()

    def codes(
        self, seeds: Seeds, batch: int, stream: str = "train"
    ) -> Callable[[int], Float[torch.Tensor, "run b f"]]:
        """A source of true amounts, step → [run, b, f]; 0 where a feature is off."""
        seeds, density = np.asarray(seeds), self.density()[: self.parents].astype(np.float32)

        def draw(step: int) -> Float[torch.Tensor, "run b f"]:
            on, which, *amounts = np.moveaxis(
                rng.uniform(seeds, f"planted.families.{stream}", step, (batch, self.parents, 4)),
                -1,
                0,
            )
            parent = on < density
            child = parent[..., None] & (
                np.floor(which * self.children / self.share)[..., None] == np.arange(self.children)
            )
            amount = [0.5 + a for a in amounts]
            children = np.where(child, amount[1][..., None], 0).reshape(len(seeds), batch, -1)
            return torch.from_numpy(
                np.concatenate([np.where(parent, amount[0], 0), children], -1).astype(np.float32)
            )

        return draw

    def inputs(
        self, seeds: Seeds, batch: int, stream: str = "train"
    ) -> Callable[[int], Float[torch.Tensor, "run b d"]]:
        """A source of inputs, step → [run, b, d]: the codes of the same seeds, batch and stream
        times the directions."""
        codes, directions = self.codes(seeds, batch, stream), self.directions(seeds)
        return lambda step: codes(step) @ directions

    def with_child(self, on: Bool[np.ndarray, "b f"]) -> Bool[np.ndarray, "b parent"]:
        """Where a child of each parent is on."""
        return np.asarray(
            on[:, self.parents :].reshape(len(on), self.parents, self.children).any(-1)
        )

    def parent_of(self) -> Int[np.ndarray, " f"]:
        """The parent of each feature; a parent's own number for itself."""
        parent_numbers = np.arange(self.parents)
        return np.concatenate([parent_numbers, np.repeat(parent_numbers, self.children)])
