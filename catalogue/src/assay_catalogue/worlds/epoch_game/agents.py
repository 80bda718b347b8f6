"""Agents of the epoch game with a run axis: a table or a small network, trained by the exact policy
gradient or by REINFORCE."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.bench import Bench
from assay.core.descent import descent
from assay.core.fit import Trained, fit
from assay.core.heavy import torch
from assay.core.runs import Runs
from assay.train import rng
from assay_catalogue.worlds.epoch_game.policies import (
    INVEST,
    SHUTDOWN,
    WORK,
    Games,
    Policy,
    behaviour,
    greedy,
    policy,
    policy_gradient,
)

Params: TypeAlias = "Mapping[str, torch.Tensor]"


def table(seeds: Int[np.ndarray, " run"], games: Games, scale: float) -> dict[str, torch.Tensor]:
    """A logit for every state and action, normal with standard deviation `scale`: {"logits": [run
    action epoch step unit flag]}."""
    return {
        "logits": torch.from_numpy(
            rng.normal(seeds, "epochs.table", 0, games.shape) * np.float32(scale)
        ).double()
    }


def network(seeds: Int[np.ndarray, " run"], games: Games, hidden: int) -> dict[str, torch.Tensor]:
    """A network of two layers from what is observed to logits: W1 [run input hidden], b1, W2 [run
    hidden action], b2.

    Hidden weights are normal with variance 2 over the four inputs that are on at once; the second
    layer starts small."""
    inputs = observations(games).shape[1]
    first = rng.normal(seeds, "epochs.W1", 0, (inputs, hidden)) * np.float32(0.5**0.5)
    second = rng.normal(seeds, "epochs.W2", 0, (hidden, 3)) * np.float32(0.1)
    runs = len(seeds)
    return {
        "W1": torch.from_numpy(first),
        "b1": torch.zeros(runs, hidden),
        "W2": torch.from_numpy(second),
        "b2": torch.zeros(runs, 3),
    }


def observations(games: Games) -> Float[torch.Tensor, "state input"]:
    """What a network sees of each state, states in the order of a table: epoch and step one-hot,
    units in halves, the flag."""
    _, horizon, length, units, flags = games.shape
    e, t, u, f = (
        x.reshape(-1)
        for x in torch.meshgrid(*map(torch.arange, (horizon, length, units, flags)), indexing="ij")
    )
    one_hot = torch.nn.functional.one_hot
    return torch.cat(
        (one_hot(e, horizon), one_hot(t, length), u[:, None] / 2, f[:, None]), 1
    ).float()


def logits_of(params: Params, games: Games) -> Policy:
    """The logits of an agent, table or network, in every state as it is."""
    if "logits" in params:
        return params["logits"]
    inputs = observations(games).to(params["W1"])
    hidden = torch.baddbmm(
        params["b1"].unsqueeze(1), inputs.expand(len(params["W1"]), *inputs.shape), params["W1"]
    ).relu()
    out = torch.baddbmm(params["b2"].unsqueeze(1), hidden, params["W2"])  # [run state action]
    return out.movedim(-1, 1).unflatten(2, games.shape[1:])


def mask_logits(
    logits: Policy, index: Bool[torch.Tensor, " run"], units: Bool[torch.Tensor, " run"]
) -> Policy:
    """The logits where not all is shown: without the index every epoch looks like the first,
    without units all counts look like 0."""

    def hide(x: torch.Tensor, visible: torch.Tensor, axis: int) -> torch.Tensor:
        if bool(visible.all()):
            return x
        return torch.where(visible.view(-1, *[1] * (x.ndim - 1)), x, x.narrow(axis, 0, 1))

    return hide(hide(logits, index, 2), units, 4)


def shifted(logits: Policy, by: int) -> Policy:
    """The logits where the index shown is `by` epochs ahead of the true one, and at the ends the
    first or the last."""
    last = logits.shape[2] - 1
    return logits[:, :, (torch.arange(last + 1, device=logits.device) + by).clamp(0, last)]


def conduct(
    games: Games, params: Params, index: Bool[np.ndarray, " run"], units: Bool[np.ndarray, " run"]
) -> dict[str, Float[torch.Tensor, "run ..."]]:
    """What agents do over an episode, exactly: `behaviour` with what each is shown, and what they
    make of a false index.

    `greedy` [run]: return of always taking the likeliest action. `frozen` [run]: probability of
    shutting down where the index reads 0 throughout. `ahead`, `behind` [run]: epochs begun where it
    is one ahead or behind. `off_the_path` [run epoch]: probability of shutting down at an epoch's
    first step without units, whether it ever gets there or not."""
    raw = logits_of(params, games)
    index_visible, counted = (
        torch.from_numpy(np.asarray(x)).to(raw.device) for x in (index, units)
    )
    visible_logits = mask_logits(raw, index_visible, counted)
    frozen, ahead, behind = (
        behaviour(games, policy(games, x))
        for x in (
            mask_logits(visible_logits, torch.zeros_like(index_visible), counted),
            shifted(visible_logits, 1),
            shifted(visible_logits, -1),
        )
    )
    return behaviour(games, policy(games, visible_logits)) | {
        "greedy": behaviour(games, greedy(policy(games, visible_logits)))["returned"],
        "frozen": frozen["stopped"],
        "ahead": ahead["begun"].sum(1),
        "behind": behind["begun"].sum(1),
        "off_the_path": policy(games, raw)[:, SHUTDOWN, :, 0, 0, 0],
    }


def sampled_gradient(
    games: Games, probabilities: Policy, draws: Float[torch.Tensor, "run time episode"]
) -> tuple[torch.Tensor, Policy]:
    """Mean return of sampled episodes, and REINFORCE's estimate of the gradient in the logits of
    every state.

    The baseline of a step is the mean return from there on of the other episodes that are still
    running, so it adds no bias; an episode that runs alone has none. One uniform number a step
    chooses the action. Only for a discount of 1.
    Source: Williams 1992, Simple statistical gradient-following algorithms.
    """
    _, _, length, units, flags = games.shape
    runs, time, episodes = draws.shape
    more = torch.stack(
        (games.allowed[:, INVEST:].any(1), games.allowed[:, SHUTDOWN]), 1
    )  # whether a later action is allowed
    cumulative = (
        probabilities[:, :SHUTDOWN]
        .cumsum(1)
        .masked_fill(~more, torch.inf)
        .view(runs, 2, time, units * flags)
    )
    unit, flag = (
        torch.zeros(runs, episodes, dtype=torch.int64, device=draws.device) for _ in range(2)
    )
    alive = torch.ones(runs, episodes, dtype=torch.bool, device=draws.device)
    steps = []
    for i in range(time):
        e, t = divmod(i, length)
        if i and t == 0:
            unit, flag = (unit + flag).clamp_max_(units - 1), torch.zeros_like(flag)
        state = flags * unit + flag
        edges = cumulative[:, :, i].gather(2, state.unsqueeze(1).expand(-1, 2, -1))
        action = (draws[:, i].unsqueeze(1) >= edges).sum(1)
        reward = torch.where(
            action == WORK,
            games.base[:, e, None] + games.bonus[:, None] * unit,
            torch.where(action == INVEST, games.base[:, e, None] - games.cost[:, None], 0.0),
        )
        steps.append((state, action, reward * alive, alive))
        flag = torch.where(alive & (action == INVEST), 1, flag)
        alive = alive & (action < SHUTDOWN)
    state, action, reward, on = (
        torch.stack(x, 1) for x in zip(*steps, strict=True)
    )  # [run time episode]
    to_go = reward.flip(1).cumsum(1).flip(1)
    # Leaving the episode itself out keeps the baseline independent of its own actions.
    other_count = on.sum(-1, keepdim=True) - 1
    baseline = ((to_go * on).sum(-1, keepdim=True) - to_go) / other_count.clamp_min(1)
    advantage = torch.where(on, to_go - torch.where(other_count > 0, baseline, 0.0), 0.0) / episodes
    place = (
        action * time + torch.arange(time, device=state.device)[:, None]
    ) * units * flags + state
    weight = torch.zeros_like(probabilities).flatten(1)
    weight = weight.scatter_add_(1, place.flatten(1), advantage.to(weight).flatten(1)).view(
        probabilities.shape
    )
    # ∂ log π(a)/∂ logit_c = 1[a = c] − π(c), so that what all actions of a state gained together is
    # taken off by its probabilities.
    return reward.sum(1).mean(-1), weight - probabilities * weight.sum(1, keepdim=True)


def train(
    runs: Runs,
    games: Games,
    params: Params,
    index: Bool[np.ndarray, " run"],
    units: Bool[np.ndarray, " run"],
    *,
    lr: float,
    steps: int,
    episodes: int = 0,
    probe_at: Sequence[int] = (),
    bench: Bench,
) -> Trained:
    """The agents after `steps` steps; the history's loss is minus the mean return.

    With 0 episodes each step goes up the exact policy gradient by plain ascent at rate `lr`; else
    up an estimate from that many sampled episodes, by Adam. `index` and `units` say what each run
    is shown while it learns."""
    on = games.base.device
    index_visible, counted = (torch.from_numpy(np.asarray(x)).to(on) for x in (index, units))
    time = games.base.shape[1] * games.length

    def ascent(probabilities: Policy, step: int) -> tuple[torch.Tensor, Policy]:
        if not episodes:
            return policy_gradient(games, probabilities)
        draws = torch.from_numpy(
            rng.uniform(runs.seeds, "epochs.episodes", step, (time, episodes))
        ).to(on)
        return sampled_gradient(games, probabilities, draws)

    def loss(p: Params, step: int) -> Float[torch.Tensor, " run"]:
        logits = mask_logits(logits_of(p, games), index_visible, counted)
        with torch.no_grad():
            value, gradient = ascent(policy(games, logits), step)
        projection = (logits * gradient).flatten(1).sum(1)
        return (
            projection.detach() - projection - value
        )  # its value is minus the return, its gradient minus the one given

    group = descent(runs, dict(params), loss, lr=np.full(len(runs), lr), plain=not episodes)
    batches: Callable[[int], int] = lambda step: step  # noqa: E731
    return fit([group], batches, steps=steps, probe_at=probe_at, bench=bench)[0]


def parted(trained: Trained, sizes: Sequence[int]) -> list[Trained]:
    """Runs that were trained together as one Trained for each of several arms, by the numbers of
    their runs in order."""
    edges = np.cumsum([0, *sizes])
    return [
        Trained(
            tensors={name: x[a:b] for name, x in trained.tensors.items()},
            header=trained.header,
            history={name: x[a:b] for name, x in trained.history.items()},
            steps=trained.steps,
            diverged=trained.diverged[a:b],
        )
        for a, b in pairwise(edges.tolist())
    ]
