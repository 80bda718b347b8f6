"""What does not depend on how a dictionary was trained, worked out once for all arms that ask the
same: baselines, and random dictionaries; and principal components that leave as much over as a
dictionary does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from assay.core import rng
from assay.core.bench import Bench
from assay.core.heavy import torch
from assay.core.spec import Spec
from assay.data import concepts
from assay.data.harvest import Harvest
from assay.dictionaries.baselines.linear import pca_to
from assay.experiments.streetlight.looking import Looked, found_in
from assay.experiments.streetlight.probes import (
    CHANCE,
    PERMUTED,
    Asked,
    best_of_lone,
    plain_methods,
    questions,
    regression,
)
from assay.features.kernel_probe import Tuned
from assay.features.probing import random_directions

Numbers = dict[str, np.ndarray]
"""Arrays by name; those of a method are [validation, test, shifted; q]."""


@dataclass(frozen=True, kw_only=True)
class AskedSpec(Spec):
    """The concepts' texts as a model reads them at a site, on a harvest's scale."""

    model: str
    """Hash of the model."""
    site: str
    """Where its activations are taken."""
    dtype: str
    """What it computes in."""
    windows: int
    """Windows of the harvest that sets the scale."""
    concepts: str
    """Hash of the list."""
    sizes: tuple[int, ...]
    """Texts of each part."""
    methods: int = 3
    """Counted up when a probe changes."""


@dataclass(frozen=True, kw_only=True)
class PlainSpec(Spec):
    """What methods without a dictionary reach in some regime; the seed draws its rows."""

    of: AskedSpec
    """The texts."""
    regime: str
    """Which training texts, and what is told of them."""
    draw: int
    """Which of several draws."""


@dataclass(frozen=True, kw_only=True)
class ChanceSpec(Spec):
    """What random dictionaries of a width and sparsity reach; the seed draws them."""

    of: AskedSpec
    """The texts."""
    width: int
    """Features."""
    k: int
    """How many of them are on, in the mean."""
    looked: int
    """Windows that are looked at."""
    test: str
    """The text that is looked at, as JSON."""


def asked_spec(data: Harvest, sizes: tuple[int, ...]) -> AskedSpec:
    """The name under which everything about these texts is kept."""
    return AskedSpec(
        model=data.trained_on["model"],
        site=data.spec.site,
        dtype=data.dtype,
        windows=data.spec.windows,
        concepts=concepts.fingerprint(),
        sizes=tuple(sizes),
    )


@dataclass(frozen=True, eq=False)
class Baselines:
    """Methods without a dictionary on the same texts; kept in the store where the texts have a name
    there."""

    asked: Asked
    bench: Bench
    kept: AskedSpec | None

    def reached(self, regime: str, seed: int, draw: int = 0) -> Numbers:
        """What every baseline reaches in a regime; of permuted answers the regression alone."""

        def work() -> Numbers:
            q = questions(self.asked, regime, seed, draw)
            return rows(
                [("logistic", regression(list(self.asked.raw), q))]
                if regime == PERMUTED
                else plain_methods(self.asked.plain, q)
            )

        if self.kept is None:
            return work()
        spec = PlainSpec(
            seed=0 if regime == "standard" else seed, of=self.kept, regime=regime, draw=draw
        )
        return arrays(self.bench, spec, work)


def chance(
    question_set: Asked,
    data: Harvest,
    tokens: Looked | None,
    seed: int,
    width: int,
    k: int,
    bench: Bench,
    chance_spec: ChanceSpec | None,
    methods: Sequence[str] = CHANCE,
) -> Numbers:
    """The best feature of random dictionaries, one for each of these names; of the first also what
    looking finds."""

    def work() -> Numbers:
        x, q = sample(data, seed)[:2048], questions(question_set, "standard", 0)
        reached: dict[str, Tuned] = {}
        out: Numbers = {}
        for i, name in enumerate(methods):
            dictionary = random_directions(x, width, k / width, seed + 10**6 * i)
            reached[name] = best_of_lone(question_set, dictionary, q)
            if tokens is not None and not i:
                out = {
                    name: np.array(value) for name, value in found_in(dictionary, tokens).items()
                }
        return out | rows(reached.items())

    return work() if chance_spec is None else arrays(bench, chance_spec, work)


def equal(question_set: Asked, data: Harvest, tokens: Looked, seed: int, fvu: float) -> Tuned:
    """A regression on principal components that leave over what a dictionary with this FVU on the
    tokens that judge does."""
    axes = pca_to(sample(data, seed), tokens.x[1], fvu)
    return regression(
        [axes.decode(axes.encode(x.flatten(0, 1)))[0].view_as(x) for x in question_set.raw],
        questions(question_set, "standard", 0),
    )


def sample(data: Harvest, seed: int) -> Float[torch.Tensor, "b d"]:
    """So many tokens of the training harvest, drawn by lot."""
    return data.rows(rng.generator(seed, "streetlight.sample").permutation(data.kept)[:16_384])


def rows(methods: Iterable[tuple[str, Tuned]]) -> Numbers:
    """What methods reach, as arrays [validation, test, shifted; q]."""
    return {
        name: np.stack([scores.validation.numpy(), *scores.tests.numpy()])
        for name, scores in methods
    }


def arrays(bench: Bench, spec: Spec, work: Callable[[], Numbers]) -> Numbers:
    """The arrays kept under this name, worked out by whoever comes first."""

    def build(path: Path) -> None:
        values: dict[str, Any] = work()
        np.savez(path / "numbers.npz", **values)

    return dict(np.load(bench.artefact(spec, build) / "numbers.npz"))
