"""What any policy does and earns in the epoch game, exactly, with a run axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from jaxtyping import Bool, Float

from assay.core.heavy import torch
from assay_catalogue.worlds.epoch_game.best_course import Game

WORK, INVEST, SHUTDOWN = 0, 1, 2
"""Actions, in the order of a policy's second axis."""

Policy: TypeAlias = 'Float[torch.Tensor, "run action epoch step unit flag"]'
Visits: TypeAlias = 'Float[torch.Tensor, "run epoch step unit flag"]'


@dataclass(frozen=True, eq=False)
class Games:
    """The games of several runs, alike in horizon and length."""

    length: int
    base: Float[torch.Tensor, "run epoch"]
    bonus: Float[torch.Tensor, " run"]
    cost: Float[torch.Tensor, " run"]
    discount: Float[torch.Tensor, " run"]
    allowed: Bool[torch.Tensor, "run action 1 1 1 flag"]
    """Which actions there are; the flag takes investing away."""

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Sizes of the axes action, epoch, step, unit and flag."""
        horizon = self.base.shape[1]
        return 3, horizon, self.length, horizon, 2

    @property
    def work(self) -> Float[torch.Tensor, "run epoch 1 unit 1"]:
        """Reward of working, in each epoch and with each number of units."""
        units = torch.arange(self.base.shape[1], dtype=self.base.dtype, device=self.base.device)
        return (self.base[:, :, None] + self.bonus[:, None, None] * units)[:, :, None, :, None]

    @property
    def investing(self) -> Float[torch.Tensor, "run epoch 1 1 1"]:
        """Reward of investing, in each epoch."""
        return (self.base - self.cost[:, None])[..., None, None, None]


def stacked(
    games: Sequence[Game], dtype: torch.dtype | None = None, device: torch.device | str = "cpu"
) -> Games:
    """Several games as tensors with a run axis; all must have one horizon and one length."""
    assert len({(g.horizon, g.length) for g in games}) == 1, games

    def stack_field(name: str) -> torch.Tensor:
        return torch.tensor(
            [getattr(g, name) for g in games], dtype=dtype or torch.float64, device=device
        )

    allowed = torch.tensor(
        [[(True, True), (g.invest, False), (g.shutdown, g.shutdown)] for g in games], device=device
    )
    return Games(
        games[0].length,
        stack_field("base"),
        stack_field("bonus"),
        stack_field("cost"),
        stack_field("discount"),
        allowed[:, :, None, None, None],
    )


def policy(games: Games, logits: Policy) -> Policy:
    """Probabilities of actions from logits; what is not allowed has none."""
    return logits.masked_fill(~games.allowed, -torch.inf).softmax(1)


def greedy(probabilities: Policy) -> Policy:
    """The policy that always takes the likeliest action."""
    return torch.zeros_like(probabilities).scatter_(1, probabilities.argmax(1, keepdim=True), 1.0)


def visits(games: Games, probabilities: Policy) -> Visits:
    """How likely an episode is to come to each state, from (0, 0, 0, 0) on; 1 at most, and not
    discounted."""
    _, horizon, length, *_ = games.shape
    work, invest = probabilities[:, WORK], probabilities[:, INVEST]
    visit_probability = torch.zeros_like(work)
    current = torch.zeros_like(work[:, 0, 0])
    current[:, 0, 0] = 1
    for e in range(horizon):
        for t in range(length):
            visit_probability[:, e, t] = current
            after = current * work[:, e, t]
            after[..., 1] += (current * invest[:, e, t]).sum(-1)
            current = after
        grown = torch.zeros_like(current)
        grown[..., 0] = current[..., 0]
        grown[:, 1:, 0] += current[:, :-1, 1]  # the unit counts from the next epoch on
        current = grown
    return visit_probability


def action_values(
    games: Games, probabilities: Policy
) -> tuple[Float[torch.Tensor, " run"], Policy]:
    """What an episode earns on average, and what follows from each action in each state; with the
    games' discounts."""
    _, horizon, length, *_ = games.shape
    work, invest = probabilities[:, WORK], probabilities[:, INVEST]
    reward = work * games.work + invest * games.investing
    later = torch.zeros_like(work)
    value = torch.zeros_like(work[:, 0, 0])
    discount = games.discount[:, None, None]
    for e in reversed(range(horizon)):
        # With the flag, the next epoch begins with one unit more, and both begin without a flag.
        grown = torch.cat((value[:, 1:, :1], value[:, -1:, :1]), 1)
        value = discount * torch.cat((value[..., :1], grown), -1)
        for t in reversed(range(length)):
            later[:, e, t] = value
            value = torch.addcmul(
                torch.addcmul(reward[:, e, t], work[:, e, t], value),
                invest[:, e, t],
                value[..., 1:],
            )
    action_value = torch.stack(
        (
            games.work + later,
            (games.investing + later[..., 1:]).expand_as(later),
            torch.zeros_like(later),
        ),
        1,
    )
    return value[:, 0, 0], action_value


def policy_gradient(
    games: Games, probabilities: Policy
) -> tuple[Float[torch.Tensor, " run"], Policy]:
    """What an episode earns on average, and its exact gradient in the logits of every state.

    Formula: ∂J/∂θ(s, a) = d(s) π(a|s) (Q(s, a) − V(s)), with d the visits. With a discount below 1
    states are still visited as they are, only what they are worth is discounted: each epoch counts
    alike, and none counts the next."""
    value, action_value = action_values(games, probabilities)
    chosen = probabilities * action_value
    return value, visits(games, probabilities).unsqueeze(1) * (
        chosen - probabilities * chosen.sum(1, keepdim=True)
    )


def behaviour(games: Games, probabilities: Policy) -> dict[str, Float[torch.Tensor, "run ..."]]:
    """What a policy does over an episode, exactly: numbers for each run or for each of its epochs.

    `returned` [run]: mean return, without discount. `stopped` [run]: probability of shutting down
    at all. By epoch [run epoch]: `reached`, the probability that it comes to its first step;
    `begun`, that it also acts there; `invested`, mean units bought in it; `stops` and
    `stops_first`, probabilities of shutting down in it and at its first step, once it is reached.
    """
    visit_probability = visits(games, probabilities)
    invested, stop = (
        (visit_probability * probabilities[:, action]).sum((3, 4)) for action in (INVEST, SHUTDOWN)
    )  # [run epoch step]
    reached = visit_probability[:, :, 0].sum((2, 3))
    plain = replace(games, discount=torch.ones_like(games.discount))
    return {
        "returned": action_values(plain, probabilities)[0],
        "stopped": stop.sum((1, 2)),
        "reached": reached,
        "begun": reached - stop[..., 0],
        "invested": invested.sum(-1),
        "stops": stop.sum(-1) / reached,
        "stops_first": stop[..., 0] / reached,
    }
