"""What evaluating tells whoever watches, before its result: what differs from a dictionary's file,
and numbers so far."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Warned:
    """A site or model that is not the one in a dictionary's file; told before anything is
    computed."""

    dictionary: str
    text: str


@dataclass(frozen=True)
class SoFar:
    """A dictionary's measures on the part of the text that is done: estimates alone, as intervals
    wait for all documents."""

    dictionary: str
    tokens: int
    """Tokens that count."""
    documents: int
    measures: Mapping[str, float]


@dataclass(frozen=True)
class Begun:
    """What begins now and takes a while before anything else is told."""

    text: str


Watch = Callable[[Warned | SoFar | Begun], None]


def warn(event: Warned | SoFar | Begun) -> None:
    """Give a warning as Python does, and keep silent about all else."""
    if isinstance(event, Warned):
        warnings.warn(f"{event.dictionary}: {event.text}", UserWarning, stacklevel=2)
