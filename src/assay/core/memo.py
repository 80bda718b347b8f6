"""Once: what statements make of the measures is made once while an experiment is judged, however
many of them read it.

Judging asks every claim of every arm, so that a sum over documents or a matching of features comes
up dozens of times. Only within `remembering` anything is kept, and only of the arms that it was
given as they are, never of a selection of their runs."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Concatenate, ParamSpec, TypeVar

from assay.core.heavy import xr

P = ParamSpec("P")
T = TypeVar("T")


class _Memory:
    """The arms of one judging, and what was made of them."""

    def __init__(self, arms: Mapping[str, xr.Dataset]) -> None:
        self.arms, self.known = arms, {id(arm) for arm in arms.values()}
        self.made: dict[Hashable, Any] = {}


_memory: ContextVar[_Memory | None] = ContextVar("made of arms", default=None)


@contextlib.contextmanager
def remembering(arms: Mapping[str, xr.Dataset]) -> Iterator[None]:
    """Keep until the end what is made from these arms, which must not change meanwhile."""
    memory = _memory.get()
    if memory is not None and memory.arms is arms:
        yield
        return
    token = _memory.set(_Memory(arms))
    try:
        yield
    finally:
        _memory.reset(token)


def once(make: Callable[Concatenate[xr.Dataset, P], T]) -> Callable[Concatenate[xr.Dataset, P], T]:
    """Mark a function of an arm and of plain values: its result must not change, and while arms
    are remembered it is asked once."""

    @functools.wraps(make)
    def call_once(arm: xr.Dataset, *args: P.args, **more: P.kwargs) -> T:
        memory = _memory.get()
        if memory is None or id(arm) not in memory.known:
            return make(arm, *args, **more)
        key = (make, id(arm), args, *sorted(more.items()))
        if key not in memory.made:
            memory.made[key] = make(arm, *args, **more)
        value: T = memory.made[key]
        return value

    return call_once


def of_all(arms: Mapping[str, xr.Dataset], key: Hashable, make: Callable[[], T]) -> T:
    """Give what `make` makes of all these arms, where they are remembered once for each key."""
    memory = _memory.get()
    if memory is None or memory.arms is not arms:
        return make()
    if key not in memory.made:
        memory.made[key] = make()
    value: T = memory.made[key]
    return value
