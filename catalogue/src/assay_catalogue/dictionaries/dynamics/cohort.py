"""Groups of latents followed through one training: who is rare, how densities move, what gradients
and ablations say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from assay.core.heavy import torch
from assay_catalogue.data.embedded import SMALLEST
from assay_catalogue.dictionaries.dynamics.pulls import (
    Params,
    ablate,
    append_latents,
    features,
    matched,
    pulls,
)

FEWEST = 10
"""Rows on which a latent must fire for its gradient to be reported."""
DRIFTING = 0.2
"""Net drift below which the penalty's share is not reported: it is unbounded where both terms
cancel."""


@dataclass(frozen=True, eq=False)
class Snapshots:
    """One run's ReLU dictionary at several steps of training."""

    steps: Sequence[int]
    W_enc: Float[torch.Tensor, "step d f"]
    b_enc: Float[torch.Tensor, "step f"]
    b_dec: Float[torch.Tensor, "step d"]

    def density(
        self, world: Any, latents: Int[np.ndarray, " latent"], checkpoints: Sequence[int]
    ) -> Float[np.ndarray, "latent step"]:
        """The probability that these latents fire at these checkpoints (indices into `steps`), by
        the formula of an Embedded world."""
        chosen = torch.as_tensor(latents, dtype=torch.int64)
        W = self.W_enc[list(checkpoints)][:, :, chosen].double()
        bias = self.b_enc[list(checkpoints)][:, chosen].double() - torch.einsum(
            "sd,sdf->sf", self.b_dec[list(checkpoints)].double(), W
        )
        rows = W.permute(2, 0, 1).reshape(1, -1, W.shape[1]).numpy()
        return world.exceedance(rows, bias.mT.reshape(1, -1).numpy()).reshape(
            len(latents), len(checkpoints)
        )


@dataclass(frozen=True, eq=False)
class Counted(Snapshots):
    """Follow a cohort on inputs whose densities have no formula: firings are counted on rows."""

    def density(
        self, world: Any, latents: Int[np.ndarray, " latent"], checkpoints: Sequence[int]
    ) -> Float[np.ndarray, "latent step"]:
        """The share of rows `world` [b, d] on which these latents fire at these checkpoints; none
        at all counts as half a firing."""
        chosen = torch.as_tensor(latents, dtype=torch.int64)
        fired = torch.zeros(len(latents), len(checkpoints))
        for k, step in enumerate(checkpoints if len(latents) else ()):
            W = self.W_enc[step][:, chosen]
            # (x − b_dec) W + b_enc = x W + (b_enc − b_dec W): one bias in place of centred inputs.
            bias = self.b_enc[step][chosen] - self.b_dec[step] @ W
            fired[:, k] = sum((torch.addmm(bias, part, W) > 0).sum(0) for part in world.split(8192))
        return fired.clamp_min(0.5).double().numpy() / len(world)


def slopes(
    density: Float[np.ndarray, "latent step"], steps: Sequence[int] | Int[np.ndarray, " step"]
) -> Float[np.ndarray, " latent"]:
    """How fast densities move: decades per decade of training steps, by least squares; NaN for
    fewer than two steps.

    Formula: slope of log₁₀ ρ on log₁₀ step, with ρ below SMALLEST counted as SMALLEST, so falls are
    at least as steep as told"""
    if len(steps) < 2:
        return np.full(len(density), np.nan)
    t = np.log10(np.asarray(steps, float))
    t = t - t.mean()
    return np.log10(np.maximum(density, SMALLEST)) @ t / (t @ t)


def median(values: Float[np.ndarray, " latent"]) -> float:
    """The median of the numbers that are not NaN; NaN of none."""
    finite = values[~np.isnan(values)]
    return float(np.median(finite)) if len(finite) else float("nan")


MOST = 50_000
"""Rows, at most, on which a group is looked at: enough for one that fires often."""


def where_any_fires(
    params: Params, x: Float[torch.Tensor, "b d"], latents: Int[torch.Tensor, " latent"]
) -> Float[torch.Tensor, "kept d"]:
    """The rows of x on which at least one of the latents fires, the first MOST of them."""
    if not len(latents):
        return x[:0]
    selected_params = {
        "W_enc": params["W_enc"][:, latents],
        "b_enc": params["b_enc"][latents],
        "b_dec": params["b_dec"],
    }
    return x[torch.cat([features(selected_params, part).amax(1) > 0 for part in x.split(16_384)])][
        :MOST
    ]


@dataclass(frozen=True)
class Moved:
    """Medians over a group: the penalty's signed share of the gradient, what resists it, and net
    drift; over how many latents."""

    share: float
    resists: float
    drift: float
    counted: int
    fired: tuple[int, ...]
    """Rows on which each counted latent fired."""


def moved(
    params: Params,
    x: Float[torch.Tensor, "b d"],
    latents: Int[torch.Tensor, " latent"],
    penalty: float,
    like: Sequence[int] = (),
) -> Moved:
    """What moves the encoders of a group on rows x; with `like`, on as many firing rows as another
    group's latents had.

    Without equal numbers of rows the comparison is an artefact: from n rows even a balanced
    gradient drifts by about 1/√n."""
    most = (
        torch.tensor([like[i % len(like)] for i in range(len(latents))], dtype=torch.int64)
        if len(like)
        else None
    )
    p = pulls(params, x, latents, penalty, most)
    # Held to another group's numbers of rows, a latent need not have more than its counterpart had.
    enough = p.fired >= (FEWEST if most is None else torch.minimum(most, torch.tensor(FEWEST)))
    drift = torch.where(enough, p.drift, torch.nan).numpy()
    share = torch.where(enough & (p.drift > DRIFTING), p.share, torch.nan).numpy()
    resists = torch.where(enough & (p.fired > 0) & (penalty > 0), p.resists, torch.nan).numpy()
    return Moved(
        median(share),
        median(resists),
        median(drift),
        int(enough.sum()),
        tuple(p.fired[enough].tolist()),
    )


@dataclass(frozen=True)
class Conspiracy:
    """Sums over the rows on which a group fires: what it saves only together, and what as many
    ordinary firings save."""

    synergy: float
    ordinary: float
    events: int


def conspiracy(
    params: Params,
    x: Float[torch.Tensor, "b d"],
    latents: Int[torch.Tensor, " latent"],
    strength: torch.Tensor,
    loss: torch.Tensor,
) -> Conspiracy:
    """The synergy of a group on rows x beside the ordinary firings (strength, loss of single
    ablation) matched to its own."""
    rows = where_any_fires(params, x, latents)
    if not len(rows):
        return Conspiracy(float("nan"), float("nan"), 0)
    a = ablate(params, rows, latents)
    return Conspiracy(float(a.synergy), float(matched(a.strength, strength, loss)), len(a.strength))


def with_dead_weight(
    params: Params,
    x: Float[torch.Tensor, "b d"],
    rng: np.random.Generator,
    count: int,
    density: float,
) -> tuple[Params, Int[torch.Tensor, " latent"]]:
    """The dictionary with `count` latents of random directions more that fire on a share `density`
    of rows x, and their indices."""
    d, f = params["W_enc"].shape
    unit = torch.from_numpy(rng.standard_normal((2, count, d)).astype(np.float32))
    unit = unit / unit.norm(dim=-1, keepdim=True)
    z = (x - params["b_dec"]) @ unit[0].mT
    # At the next value below those that are to fire, ReLU's strict comparison leaves just these on.
    bias = -z.topk(max(1, round(density * len(x))) + 1, dim=0).values[-1]
    return append_latents(params, unit[0].mT, bias, unit[1]), torch.arange(f, f + count)


def with_halves(
    params: Params, latents: Int[torch.Tensor, " latent"]
) -> tuple[Params, Int[torch.Tensor, " twice"]]:
    """The dictionary with each of the latents replaced by two that encode half of it, so that only
    both together are missed."""
    f = params["W_enc"].shape[1]
    halved: Mapping[str, torch.Tensor] = {
        **params,
        "W_enc": params["W_enc"].clone(),
        "b_enc": params["b_enc"].clone(),
    }
    # ReLU(z/2) = ReLU(z)/2, and both halves have the same decoder row: the reconstruction is as it
    # was.
    halved["W_enc"][:, latents] /= 2
    halved["b_enc"][latents] /= 2
    more = append_latents(
        halved, halved["W_enc"][:, latents], halved["b_enc"][latents], params["W_dec"][latents]
    )
    return more, torch.cat([latents, torch.arange(f, f + len(latents))])
