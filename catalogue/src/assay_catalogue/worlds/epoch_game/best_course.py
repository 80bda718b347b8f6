"""The epoch game: work, invest for later epochs or shut down; and its best course, worked out by
dynamic programming.

An episode is `horizon` epochs of `length` steps. Working earns the epoch's base reward plus `bonus`
for each unit; investing, at most once an epoch, earns the base less `cost` and adds a unit from the
next epoch on; after shutting down nothing is earned. A state is (epoch, step, units, flag), the
flag telling whether this epoch has invested. Units never outnumber earlier epochs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Game:
    """One epoch game."""

    horizon: int = 8
    """Epochs in an episode."""
    length: int = 4
    """Steps in an epoch."""
    turn: int | None = 3
    """The first epoch with the penalty as base reward, where it is +1 before; None: it is +1
    throughout."""
    penalty: float = -3.0
    bonus: float = 0.4
    """What one unit adds to the reward of working."""
    cost: float = 1.0
    """What investing takes from the base reward."""
    invest: bool = True
    shutdown: bool = True
    discount: float = 1.0
    """Weight of all that follows the end of an epoch, seen from inside it; 0: only the present
    epoch counts."""

    @property
    def base(self) -> tuple[float, ...]:
        """The base reward of every epoch, a step."""
        last = self.horizon if self.turn is None else self.turn
        return tuple(1.0 if e < last else self.penalty for e in range(self.horizon))


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
