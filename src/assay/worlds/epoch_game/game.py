"""The epoch game: work, invest for later epochs or shut down.

An episode is `horizon` epochs of `length` steps. Working earns the epoch's base reward plus `bonus`
for each unit; investing, at most once an epoch, earns the base less `cost` and adds a unit from the
next epoch on; after shutting down nothing is earned. A state is (epoch, step, units, flag), the
flag telling whether this epoch has invested. Units never outnumber earlier epochs."""

from __future__ import annotations

from dataclasses import dataclass


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
