"""What does not depend on how a dictionary was trained, worked out once for all arms that ask the
same: methods without a dictionary, and random dictionaries; and principal components that leave as
much over as a dictionary does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from assay.core import Bench, Spec, rng
from assay.core.heavy import torch
from assay.data.harvest import Harvest, HarvestSpec
from assay.dictionaries.baselines.linear import pca_to
from assay.experiments.streetlight.looking import Looked, found_in
from assay.experiments.streetlight.probes import (
    CHANCE,
    Asked,
    Numbers,
    numbers,
    own_methods,
    questions,
    read_of,
    regressions,
)
from assay.features import kernel_probe as probe
from assay.features.probing import random_directions


@dataclass(frozen=True, kw_only=True)
class AskedSpec(Spec):
    """A lot of concepts with their passages, as a model reads them at a site."""

    model: str
    """Hash of the model."""
    corpus: str
    """Fingerprint of the text."""
    dtype: str
    """What the model computes in."""
    train: HarvestSpec
    """The harvest on which probes are trained."""
    test: HarvestSpec
    """The harvest on which they are judged."""
    sizes: tuple[int, ...]
    """Passages of each part."""
    concepts: int
    """Concepts of a lot."""
    lot: int
    """Which lot."""
    files: int
    """Files from which either answer has to come."""
    methods: int = 4
    """Counted up when a probe changes."""


@dataclass(frozen=True, kw_only=True)
class PlainSpec(Spec):
    """What methods without a dictionary reach in some regime; the seed draws the passages."""

    of: AskedSpec
    """The concepts."""
    regime: str
    """Which training passages, and what is told of them."""


@dataclass(frozen=True, kw_only=True)
class ChanceSpec(Spec):
    """What random dictionaries of a width and sparsity reach; the seed draws them."""

    of: AskedSpec
    """The concepts."""
    width: int
    """Features."""
    k: int
    """How many of them are on, in the mean."""
    looked: int
    """Windows that are looked at."""


def chance(
    asked: Asked, data: Harvest, tokens: Looked | None, seed: int, width: int, k: int
) -> Numbers:
    """The best features of two random dictionaries; of the first also what looking finds in these
    tokens."""
    x, q = sample(data, seed)[:2048], questions(asked, "plain", seed)
    out: Numbers = {}
    for i, names in enumerate((CHANCE[:2], CHANCE[2:])):
        dictionary = random_directions(x, width, k / width, seed + 10**6 * i)
        reached = numbers(own_methods(read_of(asked, dictionary), q, ("sae-1", "sae-16")))
        out |= dict(zip(names, reached.values(), strict=True))
        if tokens is not None and not i:
            out |= {name: np.array(value) for name, value in found_in(dictionary, tokens).items()}
    return out


def equal(
    asked: Asked, data: Harvest, tokens: Looked, seed: int, fvu: float
) -> Float[np.ndarray, "part q"]:
    """A regression on principal components that leave over what a dictionary with this FVU on the
    tokens that judge does."""
    axes, q = pca_to(sample(data, seed), tokens.x[1], fvu), questions(asked, "plain", seed)
    x = axes.decode(axes.encode(asked.x.flatten(0, 1)))[0].view_as(asked.x)
    inner = {"": [probe.products(probe.prepared(x, q), q)]}
    return numbers(regressions(inner, q))[""]


def sample(data: Harvest, seed: int) -> Float[torch.Tensor, "b d"]:
    """So many tokens of the training harvest, drawn by lot."""
    return data.rows(rng.generator(seed, "streetlight.sample").permutation(data.kept)[:16_384])


def arrays(bench: Bench, spec: Spec, work: Callable[[], Numbers]) -> Numbers:
    """The arrays kept under this name, worked out by whoever comes first."""

    def build(path: Path) -> None:
        values: dict[str, Any] = work()
        np.savez(path / "numbers.npz", **values)

    return dict(np.load(bench.artefact(spec, build) / "numbers.npz"))
