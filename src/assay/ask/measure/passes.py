"""Passes: what a model gave for texts under edits, kept in a notebook's process from one run of a
study to the next, so that a changed threshold or another read of the same tokens asks no model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import sha256
from typing import Any, TypeAlias

from assay.subjects.subject import Trace

Traces: TypeAlias = list[list[Trace]]
MOST = 2**28
"""Bytes that are kept."""
_known: dict[str, Traces] = {}
_keeps: ContextVar[bool] = ContextVar("keeps", default=False)


@contextmanager
def kept() -> Iterator[None]:
    """Keep what passes give while the body runs, for all that come later in this process."""
    before = _keeps.set(True)
    try:
        yield
    finally:
        _keeps.reset(before)


def once(about: Any, run: Callable[[], Traces]) -> Traces:
    """Give what a pass gave before, else run it; the last ones are kept.

    Args:
        about: all that decides what it gives, with a repr that says it; None: it is not kept.
        run: the pass.
    """
    if about is None or not _keeps.get():
        return run()
    key = sha256(repr(about).encode()).hexdigest()
    traces = _known.pop(key) if key in _known else run()
    _known[key] = traces
    while sum(map(_bytes, _known.values())) > MOST:
        _known.pop(next(iter(_known)))
    return traces


def _bytes(traces: Traces) -> int:
    tensors = [x for row in traces for t in row for x in (t.final, *t.acts.values())]
    storages = [x.untyped_storage() for x in tensors if x is not None]
    return sum({s.data_ptr(): s.nbytes() for s in storages}.values())
