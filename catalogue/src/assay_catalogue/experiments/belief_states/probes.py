"""Which process emits the tokens, and how beliefs are read from features: ridges out of folds,
beside a kernel regression on the tokens, and what they leave over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from assay.core import Runs, Spec
from assay.core.bench import Bench
from assay.core.heavy import torch
from assay_catalogue.features.linear_probe import (
    STRENGTHS,
    OutOfFold,
    centroids,
    distance_r2,
    kernel_out_of_fold,
    out_of_fold,
)
from assay_catalogue.worlds.hidden_markov.process import (
    HiddenMarkov,
    OwnProcess,
    PrefixTree,
    mess3,
    rrxor,
)


class Emitted(Protocol):
    """What says which process it is: a spec, or its values by themselves."""

    @property
    def process(self) -> str | OwnProcess: ...
    @property
    def x(self) -> float: ...
    @property
    def alpha(self) -> float: ...


@lru_cache
def emitting_process(process: str | OwnProcess, x: float, alpha: float) -> HiddenMarkov:
    """The process that emits the tokens. Raises: DataError for an impossible x or alpha."""
    if isinstance(process, OwnProcess):
        return HiddenMarkov(np.array(process.matrices))
    return rrxor() if process == "rrxor" else mess3(x, alpha)


@lru_cache(maxsize=8)
def prefixes_of(process: str | OwnProcess, x: float, alpha: float, length: int) -> PrefixTree:
    """The tree of all prefixes of at most this length."""
    return emitting_process(process, x, alpha).tree(length)


def tree_of(s: Emitted, length: int) -> PrefixTree:
    """The tree of prefixes for the process of a spec."""
    return prefixes_of(s.process, s.x, s.alpha, length)


HELD_OUT = {"prefix": "prefixes held out", "ending": "endings held out"}
FOLDS = {"prefix": 5, "ending": 6}
APART = 10**6
"""How far apart the seeds are of one run's draws of folds."""
WEAKER = (10.0, 100.0, 1000.0)
"""Penalties that a probe beside the kernel may choose as well: the last of them adds nothing."""


@dataclass(frozen=True, kw_only=True)
class OnTokens(Spec):
    """Kernel regression of the belief on the raw tokens, out of the folds that this seed draws:
    made once for all arms."""

    process: str | OwnProcess
    """As in BeliefStates, like the next four."""
    x: float
    """See there."""
    alpha: float
    """See there."""
    probed: int
    """See there."""
    ending: int
    """See there."""
    protocol: str
    """What is held out: "prefix" or "ending"."""


def regress(spec: Any, folder: Path) -> None:
    """Write the predictions of the kernel regression, and those within its training rows."""

    tree = tree_of(spec, spec.probed)
    group, k = held_out(tree, spec.ending, spec.protocol)
    last, belief = tree.last(spec.probed), torch.from_numpy(tree.belief)
    predictions = kernel_out_of_fold(last, tree.process.vocab, belief, group, k, seed=spec.seed)
    np.savez(
        folder / "kernel.npz",
        **{name: part.numpy() for name, part in predictions._asdict().items()},
    )


def on_tokens(s: Spec, seed: int, protocol: str, bench: Bench) -> OutOfFold:
    """The kernel regression's predictions [row, state], and those within its training rows [fold,
    row, state]."""

    fields = {name: getattr(s, name) for name in ("process", "x", "alpha", "probed", "ending")}
    [folder] = bench.artefacts([OnTokens(seed=seed, protocol=protocol, **fields)], regress)
    with np.load(folder / "kernel.npz") as stored:
        return OutOfFold(**{name: torch.from_numpy(part) for name, part in stored.items()})


def held_out(tree: PrefixTree, ending: int, protocol: str) -> tuple[Int[np.ndarray, "row"], int]:
    """The groups of prefixes that are held out together, and in how many folds."""
    group = np.arange(len(tree)) if protocol == "prefix" else tree.suffixes(ending)
    return group, FOLDS[protocol]


def fold_seeds(runs: Runs[BeliefStates], protocol: str) -> list[list[int]]:
    """The seeds of every run's folds [run][draw]."""
    return [
        [spec.seed + APART * i for i in range(spec.draws if protocol == "ending" else 1)]
        for spec in runs.specs
    ]


def read_out_of_folds(
    x: Mapping[str, torch.Tensor],
    y: torch.Tensor,
    runs: Runs[BeliefStates],
    tree: PrefixTree,
    protocol: str,
    kernels: Sequence[Sequence[Any]] | None = None,
) -> dict[str, torch.Tensor]:
    """{probe: y as read by a ridge out of folds [run, draw, row, state]}; cut to 0 … 1, since y are
    probabilities.

    With `kernels` [run][draw], a share of the kernel's predictions and a probe of what that share
    leaves over."""

    group, k = held_out(tree, runs.shared.ending, protocol)

    def read(features: torch.Tensor, i: int, j: int, seed: int) -> torch.Tensor:
        how = (
            {} if kernels is None else {"baseline": kernels[i][j], "strengths": STRENGTHS + WEAKER}
        )
        return out_of_fold(features[i % len(features)][None], y, group, k, seed=seed, **how)[
            0
        ].clamp(0, 1)

    return {
        name: torch.stack(
            [
                torch.stack([read(features, i, j, seed) for j, seed in enumerate(draw_seeds)])
                for i, draw_seeds in enumerate(fold_seeds(runs, protocol))
            ]
        )
        for name, features in x.items()
    }


def probe_all(
    x: Mapping[str, torch.Tensor],
    runs: Runs[BeliefStates],
    tree: PrefixTree,
    protocol: str,
    bench: Bench,
) -> dict[str, torch.Tensor]:
    """{probe: beliefs as predicted [run, draw, row, state]}, fitted to exact beliefs; "kernel" is
    no probe but the kernel regression."""
    s, belief = runs.specs[0], torch.from_numpy(tree.belief)
    kernels = [
        [on_tokens(s, seed, protocol, bench) for seed in draws]
        for draws in fold_seeds(runs, protocol)
    ]
    predictions = read_out_of_folds(x, belief, runs, tree, protocol)
    if s.read == "tokens":
        return predictions | {
            "kernel": torch.stack(
                [torch.stack([kernel.predicted for kernel in draws]) for draws in kernels]
            ).clamp(0, 1)
        }
    kernel_predictions = read_out_of_folds(
        {name: x[name] for name in (judged_probe(vars(s)), "softmax")},
        belief,
        runs,
        tree,
        protocol,
        kernels,
    )
    return predictions | {
        f"{name} + kernel": predicted for name, predicted in kernel_predictions.items()
    }


def judged_probe(spec: Mapping[str, Any]) -> str:
    """The probe that stands for a run, by its static fields: on Mess3 a trained network's last
    layer, else all; of tokens, the best rival."""
    if spec["read"] == "tokens":
        return "additive" if spec["process"] == "mess3" else "kernel"
    return f"layer {spec['layers']}" if spec["process"] == "mess3" and spec["steps"] else "concat"


def unexplained(
    predictions: Mapping[str, torch.Tensor], y: Float[torch.Tensor, "row state"]
) -> Float[np.ndarray, "run probe"]:
    """[run, probe]: the share of the spread of y that is not read, 1 − R², mean over draws of
    folds."""
    spread = (y - y.mean(0)).square().sum()
    return rounded(
        np.stack(
            [
                ((predicted - y).square().sum((2, 3)).mean(1) / spread).numpy()
                for predicted in predictions.values()
            ],
            1,
        )
    )


def distances(
    tree: PrefixTree,
    belief: Float[torch.Tensor, "row state"],
    predictions: Mapping[str, torch.Tensor],
) -> dict[str, tuple[str, Any, str]]:
    """How well distances between the 35 predicted beliefs are those of the true ones, and those of
    the next-token distributions."""

    true, following = (
        centroids(y[None], tree.state)[0] for y in (belief, torch.from_numpy(tree.predicted))
    )
    means = [centroids(predicted[:, 0], tree.state) for predicted in predictions.values()]
    return {
        f"distance_{name}": (
            "run probe",
            rounded(np.stack([distance_r2(m, to) for m in means], 1)),
            "R²",
        )
        for name, to in (("belief", true), ("next", following))
    }


def rounded(values: ArrayLike) -> np.ndarray:
    """Six digits: a record is a text, and nobody reads more."""
    return np.round(np.asarray(values, dtype=np.float64), 6)
