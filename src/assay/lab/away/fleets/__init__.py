"""Fleets: start workers on other machines, and say what became of them.

A worker is the command `assay worker`: it claims groups of a store by lease. So a fleet hands out
no work and keeps no truth: it may lose any of its workers at any moment, and what they did is in
the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

__all__ = ["Fleet", "Member", "Resources", "State"]

State = Literal["waiting", "running", "preempted", "lost", "ended"]
"""Where a worker is: not begun, at work, stopped by its engine to be begun again, gone without a
word, or ended by itself."""


@dataclass(frozen=True)
class Resources:
    """What each worker of a fleet is given; 0 leaves it to the engine."""

    cpus: int = 1
    gpus: int = 0
    memory: int = 0
    """Bytes."""
    seconds: int = 0
    """After which the engine stops it."""


@dataclass(frozen=True)
class Member:
    """One worker that was asked for: the engine's name for it, and where its log is."""

    id: str
    log: str


class Fleet(Protocol):
    """An engine that starts workers somewhere."""

    @property
    def width(self) -> int:
        """How many workers at most."""

    def submit(self, n: int, command: Sequence[str]) -> Sequence[Member]:
        """Ask for `n` processes that run this command, and return at once. Raises: FleetError for
        what the user can mend."""

    def look(self, members: Sequence[Member]) -> Mapping[str, State]:
        """The state of each, by id. Raises: FleetError when the engine does not answer."""

    def cancel(self, members: Sequence[Member]) -> None:
        """Stop them, as far as they still run; those that ended long ago are no error."""
