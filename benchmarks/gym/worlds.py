"""Worlds: a small model that reads some directions of its inputs, drawn from a level and a seed, so
that which candidates matter is known.

The model is y = w·x with w drawn anew for every training seed. Of each candidate direction a the
effect in a group of prompts is how much of y is gone when a is projected out, E (w·a)(a·x). A
candidate is *planted* where w reads it more than it reads any direction. It is *loud* where inputs
lie far along it: what any direction that loud would do, its near control does as well."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le
from jaxtyping import Bool, Float

from assay.core.spec import Spec
from assay.train import rng

STREAM = "gym"
ASKED = 0.5
"""What counts as an effect: by how much a planted candidate is read beyond its near control."""


@dataclass(frozen=True)
class Level:
    """How hard it is to tell what was planted."""

    question: str
    candidates: int
    groups: int
    planted: float
    """Share of candidates that are planted."""
    effect: float
    """Of a planted candidate, in the unit of what counts as one (.5)."""
    common: float = 0.0
    """How much w reads every direction."""
    loud: float = 0.0
    """Share of candidates that are loud."""
    local: bool = False
    """Whether what is planted is so in one group only."""
    noise: float = 0.5
    """Standard deviation between training seeds of what w reads of a direction."""
    failing: float = 0.0
    """Share of training seeds in which nothing planted is read."""


LEVELS = {
    1: Level("Which of three directions does the model read?", 3, 1, 0.5, 4.0),
    2: Level("The same, where effects are small", 4, 1, 0.5, 2.4),
    3: Level("The same, where some directions are only loud", 6, 1, 0.4, 3.0, 0.5, 0.5),
    4: Level("In which of six groups of prompts, if in any?", 4, 6, 0.5, 4.0, local=True),
    5: Level("Which of twelve, in which of three groups?", 12, 3, 0.2, 4.0, 0.5, 0.3, local=True),
    6: Level(
        "The same as 3, where one training in ten fails", 6, 1, 0.4, 4.0, 0.5, 0.5, failing=0.1
    ),
}
"""The levels by number."""


@dataclass(frozen=True, kw_only=True)
class Direction(Spec):
    """One training seed of a world, and the candidate that is projected out."""

    level: Annotated[int, Ge(1), Le(6)] = 1
    """Of difficulty."""
    world: Annotated[int, Ge(0)] = 0
    """The seed that the world was drawn from."""
    candidate: Annotated[int, Ge(0)] = 0
    """Which direction."""
    near: Annotated[int, Ge(0), Le(2)] = 0
    """1 or 2: one of the candidate's near controls, directions as loud that are not planted."""
    prompts: Annotated[int, Gt(0)] = 64
    """Prompts of each group."""


@dataclass(frozen=True)
class World:
    """What was planted, by level and seed."""

    level: int
    seed: int

    @property
    def about(self) -> Level:
        """The level's numbers."""
        return LEVELS[self.level]

    def _uniform(self, what: str, *shape: int) -> np.ndarray:
        key = [1000 * self.seed + self.level]
        return rng.uniform(np.array(key), f"{STREAM}.{what}", 0, shape)[0].astype(np.float64)

    @cached_property
    def planted(self) -> Bool[np.ndarray, "candidate group"]:
        """Where the model reads a candidate beyond what it reads of any direction."""
        s = self.about
        chosen = self._uniform("planted", s.candidates) < s.planted
        if not s.local:
            return np.repeat(chosen[:, None], s.groups, 1)
        group = np.floor(self._uniform("group", s.candidates) * s.groups).astype(int)
        return chosen[:, None] & (group[:, None] == np.arange(s.groups))

    @cached_property
    def loudness(self) -> Float[np.ndarray, " candidate"]:
        """How far inputs lie along each candidate."""
        s = self.about
        is_loud = self._uniform("loud", s.candidates) < s.loud
        return np.where(is_loud, 3.0, 1.0)

    @cached_property
    def truth(self) -> Float[np.ndarray, "candidate group"]:
        """Each candidate's effect less that of its near control."""
        return np.where(self.planted, ASKED * self.about.effect, 0.0) * (1 - self.about.failing)

    def measure(
        self, seeds: np.ndarray, candidate: int, near: int = 0, prompts: int = 64
    ) -> Float[np.ndarray, "seed group"]:
        """Measure the effect of projecting a candidate out, or a near control of it, by training
        seed and group."""
        s, which = self.about, f"{candidate}.{near}"
        key = self.seed * 7919 + self.level * 104_729 + np.asarray(seeds, np.int64) * 1_000_003
        read = s.common + s.noise * rng.normal(key, f"{STREAM}.w.{which}", 0, (1,))  # [seed 1]
        works = rng.uniform(key, f"{STREAM}.works", 0, (1,)) >= s.failing
        loud = self.loudness[candidate]
        x = loud * (1 + rng.normal(key, f"{STREAM}.x.{which}", 0, (s.groups, prompts)) / 2)
        # as much in nats wherever it is planted, so that loudness alone is no sign of it
        gain = 0.0 if near else np.where(self.planted[candidate], ASKED * s.effect, 0.0) / loud
        return ((read + works * gain)[..., None] * x).mean(-1)
