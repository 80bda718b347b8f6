"""Shards: rows of activations in pieces that are made one after the other, and the reader that
gives them in batches: shuffled by a seed, two pieces in memory, the next one made meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from threading import Thread
from typing import Any

import numpy as np
from jaxtyping import Float

from assay.core import rng
from assay.core.errors import DataError
from assay.core.fit import SETTLING
from assay.core.heavy import torch

_CHECKED = 2**13


@dataclass(frozen=True, eq=False)
class Shards:
    """Rows [n, d] in pieces that come once, in their order, and how a piece is read."""

    lengths: Sequence[int]
    """Rows of each shard."""
    read: Callable[[int, Float[np.ndarray, "n d"]], None] = field(repr=False)
    """Fills an array of float16 with the rows of a shard."""
    mean: Float[np.ndarray, " d"]
    scale: float
    """By which rows are normalised, after their mean was taken off."""
    about: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What a dictionary that is trained on them should carry."""


class ShardReader:
    """Batches of raw rows as a function of the step, the rows of each shard shuffled by the seed.

    One shard after the other makes the order of the rows, of which a batch is a stretch. Two shards
    at most are in memory, of which one is read while the other is used; in the end those of the
    last batches, which are read again."""

    def __init__(self, shards: Shards, batch: int, seed: int = 0):
        """Cut the rows of `shards` into batches of `batch` rows."""
        self.shards, self.seed = shards, seed
        self._edges = np.cumsum([0, *shards.lengths])
        self.rows = int(self._edges[-1])
        self.batch = min(batch, self.rows)
        if self.batch < 2:
            raise DataError(f"activations must have at least two rows, got {self.rows}")
        self.steps = self.rows // self.batch
        """Steps that the rows are enough for."""
        self._loaded: dict[int, Future[tuple[torch.Tensor, torch.Tensor]]] = {}
        self._next: tuple[int, Future[torch.Tensor]] | None = None

    def __call__(self, step: int) -> Float[torch.Tensor, "b d"]:
        """The rows of a step, float32; meanwhile those of the next are prepared.

        Args:
            step: from 0.
        Raises: DataError for rows that cannot be read, are not finite, or do not come.
        """
        ready, future = self._next or (step, None)
        if future is not None and ready != step:
            future.exception()  # one at a time: both would read the same shards
            future = None
        self._next = None
        rows = self._gather(step) if future is None else future.result()
        if step + 1 < self.steps:
            self._next = step + 1, _begin(partial(self._gather, step + 1))
        return rows

    def check(self, steps: int) -> None:
        """Check that there are rows for so many steps.

        Args:
            steps: of the training.
        Raises: DataError.
        """
        if steps > self.steps:
            raise DataError(
                f"there are rows for {self.steps:,} steps of {self.batch:,}, and {steps:,} were "
                "asked for"
            )

    def _place(self, step: int) -> tuple[int, int]:
        """The shard in which the rows of a step begin, and where in it."""
        shard = int(np.searchsorted(self._edges, step * self.batch, side="right")) - 1
        return shard, int(step * self.batch - self._edges[shard])

    def _gather(self, step: int) -> torch.Tensor:
        shard, first = self._place(step)
        settling = self._place(max(0, self.steps - SETTLING))[0]
        begins, missing, parts = shard, self.batch, []
        while missing:
            least = min(shard, settling)
            self._loaded = {key: value for key, value in self._loaded.items() if key >= least}
            rows, order = self._shard(shard).result()
            its = order[first : first + missing]
            parts.append(rows.index_select(0, its).float())
            missing -= len(its)
            if missing:
                shard, first = shard + 1, 0
        # The next one, when there is room for it: the one before is through.
        if sum(key >= begins for key in self._loaded) == 1 and shard + 1 < len(self.shards.lengths):
            self._shard(shard + 1)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _shard(self, number: int) -> Future[tuple[torch.Tensor, torch.Tensor]]:
        if number not in self._loaded:
            self._loaded[number] = _begin(partial(self._load, number))
        return self._loaded[number]

    def _load(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Read the rows of a shard, and draw their order."""
        rows = np.empty((self.shards.lengths[number], len(self.shards.mean)), np.float16)
        self.shards.read(number, rows)
        for piece in range(0, len(rows), _CHECKED):
            if not np.isfinite(rows[piece : piece + _CHECKED]).all():
                raise DataError(
                    f"shard {number} of the activations has numbers that are not finite"
                )
        order = rng.permutation(np.array([self.seed]), "shards.rows", number, len(rows))[0]
        return torch.from_numpy(rows), torch.from_numpy(order.astype(np.int32))


def _begin(task: Callable[[], Any]) -> Future[Any]:
    """Run a task in a thread that does not keep the process from ending."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(task())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future
