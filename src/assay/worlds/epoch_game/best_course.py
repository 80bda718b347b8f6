"""The epoch game worked out: its best course by dynamic programming, and the most that a policy
without memory can earn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float
from numpy.polynomial import Polynomial

from assay.worlds.epoch_game.game import Game

USUAL = {
    "recipe": Game(),
    "weak penalty": Game(penalty=-1.0),
    "no shutdown": Game(shutdown=False),
    "always positive": Game(turn=None),
    "turn at 1": Game(turn=1),
    "turn at 2": Game(turn=2),
    "turn at 4": Game(turn=4),
    "no investing": Game(invest=False),
    "no investing, no shutdown": Game(invest=False, shutdown=False),
    "always positive, one epoch at a time": Game(turn=None, discount=0.0),
    "recipe, one epoch at a time": Game(discount=0.0),
}
"""The games that the experiment compares, at their usual numbers."""


@dataclass(frozen=True)
class Course:
    """What a best policy does from the start on; the game has no chance, so this is one course."""

    returned: float
    """Sum of its rewards, undiscounted."""
    invests: tuple[int, ...]
    """The epochs in which it invests."""
    steps: int
    """Steps before it shuts down, or all of them."""

    @property
    def at_first(self) -> float:
        """How many units it buys; NaN if it does not buy them in the very first epochs."""
        return len(self.invests) if self.invests == tuple(range(len(self.invests))) else np.nan


@cache
def best(game: Game) -> Course:
    """A best course of an agent that sees the whole state: backward induction over (epoch, step,
    units, flag).

    Of equally good actions working comes first, then investing. With a discount below 1 each
    epoch's actions are best for what that discount leaves; `returned` is undiscounted all the same.
    """
    base = game.base

    @cache
    def value(e: int, t: int, u: int, f: int) -> tuple[float, str]:
        if t == game.length:
            return game.discount * value(e + 1, 0, u + f, 0)[0] if e + 1 < game.horizon else 0.0, ""
        choices = [(base[e] + game.bonus * u + value(e, t + 1, u, f)[0], "work")]
        if game.invest and not f:
            choices.append((base[e] - game.cost + value(e, t + 1, u, 1)[0], "invest"))
        if game.shutdown:
            choices.append((0.0, "shutdown"))
        # max keeps the first of equals; rounded, since sums in another order differ in their last
        # digits.
        return max(choices, key=lambda choice: round(choice[0], 9))

    returned, steps, u = 0.0, 0, 0
    invests: list[int] = []
    for e in range(game.horizon):
        f = 0
        for t in range(game.length):
            action = value(e, t, u, f)[1]
            if action == "shutdown":
                return Course(returned, tuple(invests), steps)
            returned += base[e] + game.bonus * u if action == "work" else base[e] - game.cost
            steps += 1
            if action == "invest":
                invests.append(e)
                f = 1
        u += f
    return Course(returned, tuple(invests), steps)


def stopping_after(game: Game, epochs: int) -> float:
    """What working for so many epochs and then shutting down earns."""
    return game.length * sum(game.base[:epochs])


def forgetful(game: Game, keep: Float[np.ndarray, " step"]) -> float:
    """What working earns with a chance to shut down before each step that depends on the step of
    the epoch alone.

    Formula: Σ_e base_e Kᵉ Σ_t Π_{s ≤ t} keep_s, K = Π_s keep_s, with keep_s the probability of
    going on at step s."""
    within = np.cumprod(keep)
    return float(sum(b * within[-1] ** e for e, b in enumerate(game.base)) * within.sum())


def best_forgetful(game: Game, *, first: bool = False) -> tuple[float, float]:
    """The best probability of going on and what it earns, for an agent without index, units or
    investing that tells steps apart.

    Formula: max over P in [0, 1] of (T − 1 + P) Σ_e base_e Pᵉ, by the roots of its derivative. All
    stopping is then at an epoch's last step: whatever the chance K to get through an epoch, its
    steps are reached most often so. With `first` it is at an epoch's first step instead: T Σ_e
    base_e Pᵉ⁺¹. Where no epoch is bad P is 1."""
    within = Polynomial([0, game.length]) if first else Polynomial([game.length - 1, 1])
    earned = within * Polynomial(game.base)
    flat = earned.deriv().roots()
    inside = [float(keep) for keep in flat.real[abs(flat.imag) < 1e-12] if 0 < float(keep) < 1]
    return max(
        ((keep, float(earned(keep))) for keep in (0.0, 1.0, *inside)), key=lambda pair: pair[1]
    )


def counting(game: Game) -> float:
    """What a fixed rule earns that sees its units and no index: investing in every epoch makes a
    clock of them.

    It invests once an epoch until it has k units, for the best k, and shuts down at the last step
    of the epoch after, or at its first step if that epoch is bad. A lower bound of what such an
    observer can earn.
    Formula: max over k of Σ_{e<k} (T − 1)(base_e + bonus·e) + base_e − cost, and (T − 1) max(0,
    base_k + bonus·k)."""
    rest = game.length - 1
    worth = [rest * (b + game.bonus * e) + b - game.cost for e, b in enumerate(game.base)]
    return max(
        sum(worth[:k]) + rest * max(0.0, b + game.bonus * k) for k, b in enumerate(game.base)
    )
