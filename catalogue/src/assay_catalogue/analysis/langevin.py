"""langevin: a loss becomes a Group whose runs are chains that sample near a point, by gradient
steps with noise (SGLD)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float, Int

from assay.core.fit import Batch, Group, Losses, State
from assay.core.heavy import torch
from assay.core.runs import Runs
from assay.core.spec import Spec
from assay.train import rng
from assay_catalogue.analysis.sampler import PerChain, check_sampler

NUMBERS = 4096
"""Noise is drawn this many numbers at a time for each seed: as many steps as that holds, whatever
the size of the ensemble."""


def langevin(
    loss: Callable[[State, Batch], Float[torch.Tensor, " run"]],
    state: Mapping[str, Float[torch.Tensor, "run ..."]],
    seeds: Int[np.ndarray, " run"],
    *,
    lr: PerChain,
    n_beta: PerChain,
    localisation: PerChain,
    centre: Mapping[str, Float[torch.Tensor, "run ..."]] | None = None,
    stream: str = "langevin",
    paired: bool = False,
    acceptance: bool = False,
) -> Group:
    """A Group of chains that start at `state`, in its dtype; `fit` steps them and averages the loss
    between its probes.

    Formula: w ← w − (lr/2) · (n_beta · ∇loss(w) + localisation · (w − centre)) + √lr · N(0, 1),
    which samples the density exp(−n_beta · loss(w) − localisation/2 · |w − centre|²) but for errors
    of the step's size. `loss(params, batch)` is the mean over the data, or over a batch of it, of
    each chain; never the sum. A step's loss is that at the point it starts from.

    The series beside `loss`: with `paired`, `centre`, the loss of the same batch at the centre,
    which has to be subtracted when batches differ; with `acceptance`, the probability with which
    the Metropolis rule would have taken the step before (1 at step 0, which has none before it),
    and `refused`, the loss times what is missing of it to 1; both mean something on full batches
    only.

    The noise is a function of seed, stream and step, so chains that share a seed share their noise;
    give other streams where they must not. Raises: SpecError as `check_sampler`.
    """
    check_sampler(lr, n_beta, localisation)
    names = tuple(state)
    chains = Runs([Spec(seed=int(s)) for s in seeds])
    start: State = {n: state[n].detach().clone() for n in names}
    start |= {f"centre.{n}": (centre or state)[n].detach().clone() for n in names}
    if acceptance:
        start |= {f"jump.{n}": torch.zeros_like(start[n]) for n in names}
        start |= {
            "energy.before": torch.full((len(chains),), torch.inf, dtype=start[names[0]].dtype)
        }
    noise = _Noise(seeds, stream, {n: start[n].shape[1:] for n in names})
    column = {n: [-1, *[1] * (start[n].ndim - 1)] for n in names}

    def per_chain(value: PerChain, name: str) -> torch.Tensor:
        return (
            torch.as_tensor(np.broadcast_to(value, len(chains)).copy())
            .to(start[name])
            .view(column[name])
        )

    knobs = {
        n: (
            per_chain(lr, n),
            per_chain(n_beta, n),
            per_chain(localisation, n),
            per_chain(np.sqrt(lr), n),
        )
        for n in names
    }
    heat = knobs[names[0]][1].view(-1)

    def step_fn(
        state: State, batch: Batch, step: int
    ) -> Losses | tuple[Losses, Mapping[str, Losses]]:
        leaves = {n: state[n].detach().requires_grad_() for n in names}
        losses = loss(leaves, batch)
        grads = dict(
            zip(names, torch.autograd.grad(losses.sum(), list(leaves.values())), strict=True)
        )
        more: dict[str, Losses] = {}
        with torch.no_grad():
            if paired:
                more["centre"] = loss({n: state[f"centre.{n}"] for n in names}, batch)
            energy = heat.to(losses) * losses.detach()
            back, forth = torch.zeros_like(energy), torch.zeros_like(energy)
            for n, xi in noise.at(step, state).items():
                eps, beta, gamma, root = (k.to(state[n].device) for k in knobs[n])
                displacement = state[n] - state[f"centre.{n}"]
                push = (eps / 2) * (beta * grads[n] + gamma * displacement)
                move = root * xi - push
                if acceptance:
                    energy = energy + _total(gamma / 2 * displacement.square())
                    # Metropolis and Hastings, one step late: with U the energy, q(w → w') ∝
                    # exp(−‖w' − w + push(w)‖²/(2 lr)), and the probability min(1, exp(U(w) − U(w'))
                    # q(w' → w)/q(w → w')). `forth` is the exponent of the way there, ‖ξ‖²/2; `back`
                    # that of the way back from here.
                    back = back + _total((push - state[f"jump.{n}"]).square() / (2 * eps))
                    forth = forth + _total(xi.square() / 2)
                    state[f"jump.{n}"].copy_(move)
                state[n].add_(move)
            if acceptance:
                more["acceptance"] = (state["energy.before"] - energy - back).clamp(max=0).exp()
                more["refused"] = (1 - more["acceptance"]) * losses.detach()
                # ∞ before step 0, so that its acceptance is 1.
                state["energy.before"].copy_(energy + forth)
        return (losses, more) if more else losses

    return Group(chains, start, step_fn)


class _Noise:
    """Standard normal numbers of each step in the shapes of the parameters, drawn for many steps at
    once."""

    def __init__(self, seeds: np.ndarray, stream: str, shapes: Mapping[str, torch.Size]):
        self.seeds, self.stream, self.shapes = seeds, stream, shapes
        self.sizes = [math.prod(shape) for shape in shapes.values()]
        # By the size of the parameters alone: which block a step lies in is the same in any
        # ensemble.
        self.steps = max(1, NUMBERS // sum(self.sizes))
        self.block, self.drawn = -1, torch.empty(0)

    def at(self, step: int, state: State) -> dict[str, torch.Tensor]:
        if step // self.steps != self.block:
            self.block = step // self.steps
            normals = rng.normal(self.seeds, self.stream, self.block, (self.steps, sum(self.sizes)))
            self.drawn = (
                torch.from_numpy(normals).transpose(0, 1).contiguous()
            )  # [step, run, number]
        parts = self.drawn[step % self.steps].split(self.sizes, 1)
        return {
            n: part.reshape(-1, *shape).to(state[n])
            for part, (n, shape) in zip(parts, self.shapes.items(), strict=True)
        }


def _total(x: Float[torch.Tensor, "run ..."]) -> Float[torch.Tensor, " run"]:
    return x.flatten(1).sum(1)
