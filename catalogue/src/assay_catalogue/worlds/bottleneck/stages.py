"""Stages of training the autoencoder on one-hot inputs: the weights along the way, where the loss
stands, and how complex a state is.

A training is what `watched` gives: W/at [run moment f d] and b/at [run moment f] at the steps of
`moments`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.bench import Bench
from assay.core.fit import Trained, fit
from assay.core.heavy import torch
from assay_catalogue.analysis import chains, plateaus
from assay_catalogue.analysis.langevin import langevin
from assay_catalogue.analysis.sampler import n_beta_of
from assay_catalogue.worlds.bottleneck import one_hot, polygons

BLOCKS = 100
"""Equal parts of a chain, of each of which the mean loss is kept; its steps are a multiple."""
CURVED = 1e-6
"""Curvatures below this are none."""
LATE = 24
"""So many of the last moments are looked at for passages from state to state: about the last two
decades of training."""


def moments(steps: int) -> list[int]:
    """About fifty log-spaced steps from 1 to the last, at which weights are kept."""
    return sorted({round(t) for t in np.geomspace(1, steps, 50)})


def losses(trained: Trained, relu: bool = True) -> Float[np.ndarray, "run moment"]:
    """The expected loss of the weights that were kept, squared input."""
    W, b = (trained.tensors[f"{k}/at"] for k in "Wb")
    flat = one_hot.potential({"W": W.flatten(0, 1), "b": b.flatten(0, 1)}, relu)
    return flat.unflatten(0, W.shape[:2]).cpu().numpy()


def select_moments(trained: Trained, which: Int[np.ndarray, "run k"]) -> dict[str, torch.Tensor]:
    """W [run k f d] and b [run k f] of each run at these of its moments."""
    rows = np.arange(len(which))[:, None]
    return {k: trained.tensors[f"{k}/at"][rows, which] for k in "Wb"}


def standing(
    trained: Trained, steps: int, relu: bool = True
) -> tuple[Int[np.ndarray, "run plateau"], Bool[np.ndarray, "run plateau"]]:
    """The moment in the middle of each plateau, −1 where a run has fewer than four, and whether
    training left it again."""
    times = np.array(moments(steps))
    first, last = np.moveaxis(plateaus.standing(times, losses(trained, relu)), -1, 0)
    return (first + last) // 2, (last >= 0) & (last < len(times) - 1)


def settled(
    params: Mapping[str, torch.Tensor], steps: int = 1_500, lr: float = 0.5
) -> dict[str, torch.Tensor]:
    """The critical points to which descent on the expected loss takes states W [*any f d], b [*any
    f]: noise and data are gone.

    Columns that are off there, dead with a bias of at most 0, are parked at no weights and a bias
    of −1, so that chains do not turn them on by chance; no output changes by that.
    """
    shape = params["b"].shape
    W, b = params["W"].flatten(0, -3).clone(), params["b"].flatten(0, -2).clone()
    for _ in range(steps):
        slope = one_hot.slopes({"W": W, "b": b})[1]
        W, b = W - lr * slope["W"], b - lr * slope["b"]
    off = (W.norm(dim=-1) < 0.5) & (b <= 0)
    W, b = torch.where(off[..., None], 0.0, W), torch.where(off, polygons.DEAD, b)
    return {"W": W.view(*shape, W.shape[-1]), "b": b.view(shape)}


def passages(
    trained: Trained, steps: int, columns: int
) -> tuple[Float[np.ndarray, "run moment"], Int[np.ndarray, " run"], Bool[np.ndarray, " run"]]:
    """The sides of the state that each run is in at each moment, noise taken out; the last moment
    with fewer sides than at the end, the middle one where there is none; and whether there is one.
    Only the last 24 moments are looked at."""
    late = np.arange(len(moments(steps)))[-LATE:]
    params = settled(select_moments(trained, np.tile(late, (trained.tensors["b"].shape[0], 1))))
    flat = one_hot.potential({"W": params["W"].flatten(0, 1), "b": params["b"].flatten(0, 1)})
    sides = polygons.nearest(flat.view(params["b"].shape[:2]).cpu().numpy(), columns)[0]
    fewer = sides < sides[:, -1:]
    last = np.where(fewer, np.arange(len(late)), -1).max(1)
    return sides, late[np.where(last < 0, len(late) // 2, last)], last >= 0


def curvatures(
    params: Mapping[str, torch.Tensor], relu: bool = True
) -> Float[np.ndarray, "*any k"]:
    """Curvatures of the expected loss at states W [*any f d], b [*any f], ascending."""
    W, b = params["W"], params["b"]
    eigenvalues = one_hot.curvatures({"W": W.flatten(0, -3), "b": b.flatten(0, -2)}, relu)
    return eigenvalues.view(*b.shape[:-1], -1).cpu().numpy()


def exact(states: Sequence[polygons.Polygon], columns: int) -> dict[str, torch.Tensor]:
    """W [state f d] and b [state f] of polygons."""
    weights = [polygons.weights(p, columns) for p in states]
    return {k: torch.from_numpy(np.stack([m[k] for m in weights])) for k in ("W", "b")}


def exactly(columns: int, names: Sequence[str] = ()) -> tuple[Float[np.ndarray, " state"], ...]:
    """Of exact polygons, all that so many columns have unless named: the loss, the steepest slope,
    and half the curved directions."""
    params = exact(
        [polygons.parse_state(name, columns) for name in names or polygons.table(columns)], columns
    )
    loss, slopes = one_hot.slopes(params)
    steepest = torch.cat([slopes["W"].flatten(1), slopes["b"]], 1).abs().amax(1)
    return loss.numpy(), steepest.numpy(), (curvatures(params) > CURVED).sum(-1) / 2


def sample(
    seeds: Int[np.ndarray, " chain"],
    centre: Mapping[str, Float[torch.Tensor, "chain ..."]],
    *,
    samples: int,
    localisation: float,
    step: float,
    draws: int,
    burn: int,
    relu: bool = True,
    bench: Bench,
) -> tuple[dict[str, torch.Tensor], Bool[np.ndarray, " chain"]]:
    """One Langevin chain at each state, on the expected loss at the inverse temperature n/ln n of
    `samples` data; which diverged.

    `llc` [chain]: its estimate of the local learning coefficient; `moved`: by how much the last
    third of its draws lies above the first, in the same unit; `accepted`: the share of steps that
    the Metropolis rule would have taken."""
    n_beta = n_beta_of(samples)

    def loss(params: Mapping[str, torch.Tensor], batch: object) -> torch.Tensor:
        return one_hot.potential(params, relu)

    group = langevin(
        loss, centre, seeds, lr=step, n_beta=n_beta, localisation=localisation, acceptance=True
    )
    trained = fit(
        [group],
        lambda step: None,
        steps=draws,
        probe_at=chains.block_ends(draws, BLOCKS),
        bench=bench,
    )[0]
    mean_losses, accepted = (
        chains.mean_over(trained.steps.tolist(), trained.history[name], burn)
        for name in ("loss", "acceptance")
    )
    third = max(1, mean_losses.shape[-1] // 3)
    estimates = {
        "llc": chains.estimate(mean_losses, one_hot.potential(centre, relu).cpu().numpy(), n_beta),
        "moved": n_beta * (mean_losses[:, -third:].mean(-1) - mean_losses[:, :third].mean(-1)),
        "accepted": accepted.mean(-1),
    }
    return {name: torch.from_numpy(v) for name, v in estimates.items()}, trained.diverged


def sample_each(
    seeds: Int[np.ndarray, " run"],
    states: Mapping[str, Float[torch.Tensor, "run k ..."]],
    chains: int,
    *,
    bench: Bench,
    **knobs: Any,
) -> tuple[dict[str, torch.Tensor], Bool[np.ndarray, " run"]]:
    """Several chains at each of k states of every run, seeded from the run's seed on: what `sample`
    gives, [run k], as means over them."""
    shape = (*states["b"].shape[:2], chains)
    centre = {
        k: v.flatten(0, 1).repeat_interleave(chains, 0).contiguous() for k, v in states.items()
    }
    chain_seeds = seeds[:, None] + np.arange(shape[1] * chains)
    estimates, diverged = sample(chain_seeds.ravel(), centre, **knobs, bench=bench)
    return {k: v.view(shape).mean(-1) for k, v in estimates.items()}, np.asarray(
        diverged.reshape(shape).any((1, 2))
    )
