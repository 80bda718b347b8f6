"""Turn: one thread at a time runs a model, for hooks hang on its modules; a few wait, and not for
long."""

from __future__ import annotations

import threading
from typing import Self

from assay.explorer.problems import AWAY, Problem

WAITING, PATIENCE = 8, 30.0
"""Pages that may wait for one model, and seconds that each does."""


class Turn:
    """Lets one thread at a time use a model. Raises: Problem, when entered, where too many wait or
    the wait is too long."""

    def __init__(self) -> None:
        self._model, self._count, self._waiting = threading.Lock(), threading.Lock(), 0

    def __enter__(self) -> Self:
        with self._count:
            if self._waiting >= WAITING:
                raise Problem(AWAY, f"{WAITING} others wait for this model; ask again in a moment")
            self._waiting += 1
        try:
            if not self._model.acquire(timeout=PATIENCE):
                raise Problem(
                    AWAY, f"the model was busy for {PATIENCE:g} seconds; ask again in a moment"
                )
        finally:
            with self._count:
                self._waiting -= 1
        return self

    def __exit__(self, *_: object) -> None:
        self._model.release()
