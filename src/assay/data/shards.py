"""Shards: rows of activations in many files, here or on object storage, and the reader that gives
them in batches: shuffled by a seed, a few files in memory, the next ones fetched meanwhile."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Thread
from typing import IO, Any

import numpy as np
from jaxtyping import Float, Int

from assay.core import rng
from assay.core.errors import DataError
from assay.core.fit import SETTLING
from assay.core.heavy import torch

WINDOW = 8
"""Shards whose rows are shuffled together, and lie in memory."""
_CHECKED = 2**13
_ASKED = 16


@dataclass(frozen=True, eq=False)
class Shards:
    """Rows [n, d] in pieces, and how a piece is read."""

    d: int
    """Numbers of a row."""
    lengths: Sequence[int]
    """Rows of each shard."""
    read: Callable[[int, Float[np.ndarray, "n d"]], None] = field(repr=False)
    """Fills an array with the rows of a shard."""
    dtype: np.dtype = field(default_factory=lambda: np.dtype(np.float16))
    """What rows are in memory: as they are stored."""
    normalisation: tuple[Float[np.ndarray, " d"], float] | None = None
    """Mean and scale, where they are known; otherwise those of the first window are taken."""
    in_order: bool = False
    """Whether they come once, in the order of their numbers."""
    about: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What a dictionary that is trained on them should carry."""


def open_shards(names: str | Path | Sequence[str | Path]) -> Shards:
    """Open .npy files of rows [n, d], or of windows [w, s, d] whose position 0 is left out.

    Args:
        names: paths or URLs that fsspec opens, with * or not, or folders of such files; in the
            order of the files' names.
    Raises: DataError for what holds no float16 or float32 rows of one length.
    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from assay.data.shards import ShardReader, open_shards
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for i in range(3):
        ...         np.save(f"{folder}/acts-{i}.npy", np.full((4, 2), i, np.float16))
        ...     reader = ShardReader(open_shards(folder), batch=6, seed=0)
        ...     sorted(reader(0)[:, 0].tolist() + reader(1)[:, 0].tolist())
        [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0]
    """
    files = list(_files([names] if isinstance(names, str | Path) else names))
    if not files:
        raise DataError(f"no .npy file is at {names}; give files, folders or patterns such as a/*")
    with ThreadPoolExecutor(_ASKED) as pool:  # a request for each, where they lie far away
        heads = list(pool.map(lambda file: _opened(file, _head), files))
    kinds = {(shape[-1], dtype) for shape, dtype in heads}
    if len(kinds) > 1:
        listed = ", ".join(sorted(f"{dtype} of {d}" for d, dtype in kinds))
        raise DataError(f"shards must hold rows of one length and type, got {listed}")
    [(d, dtype)] = kinds
    lengths = [shape[0] * (shape[1] - 1 if len(shape) == 3 else 1) for shape, _ in heads]

    def read(shard: int, out: np.ndarray) -> None:
        _opened(files[shard], partial(_fill, out=out))

    return Shards(d, lengths, read, dtype.newbyteorder("="))


class ShardReader:
    """Batches of raw rows as a function of the step, in an order that the seed draws.

    Shards are dealt into windows of so many, in another order each epoch unless they come in order,
    and the rows of a window are shuffled; one window after the other makes the order of the rows,
    of which a batch is a stretch. The few that fill no batch at the end of an epoch are left out.
    Two windows at most are in memory, of which one is fetched while the other is used; of rows that
    come once, in the end those of the last batches, which are read again."""

    def __init__(self, shards: Shards, batch: int, seed: int = 0, window: int = WINDOW):
        """Deal the shards of `shards` into windows of `window`, for batches of `batch` rows."""
        self.shards, self.seed, self.window = shards, seed, max(1, min(window, len(shards.lengths)))
        self.rows = sum(shards.lengths)
        self.batch = min(batch, self.rows)
        if self.batch < 2:
            raise DataError(f"activations must have at least two rows, got {self.rows}")
        self.per_epoch = self.rows // self.batch
        self.steps = self.per_epoch if shards.in_order else None
        """Steps that the rows are enough for; None: any number."""
        self._windows: dict[int, Future[tuple[torch.Tensor, torch.Tensor]]] = {}
        self._orders: dict[int, tuple[list[np.ndarray], np.ndarray]] = {}
        self._next: tuple[int, Future[torch.Tensor]] | None = None

    def __call__(self, step: int) -> Float[torch.Tensor, "b d"]:
        """The rows of a step, float32; meanwhile those of the next are prepared.

        Args:
            step: from 0.
        Raises: DataError for rows that cannot be read, are not finite, or do not come.
        """
        ready, future = self._next or (step, None)
        if future is not None and ready != step:
            future.exception()  # one at a time: both would fetch the same windows
            future = None
        self._next = None
        rows = self._gather(step) if future is None else future.result()
        if self.steps is None or step + 1 < self.steps:
            self._next = step + 1, _begin(partial(self._gather, step + 1))
        return rows

    def moments(
        self, measure: Callable[[np.ndarray], tuple[torch.Tensor, float]]
    ) -> tuple[Float[torch.Tensor, " d"], float]:
        """Mean and scale: those of the shards, or what `measure` says of the first window.

        Args:
            measure: a function of rows [n, d].
        """
        if self.shards.normalisation is not None:
            mean, scale = self.shards.normalisation
            return torch.from_numpy(np.asarray(mean, np.float32)), float(scale)
        return measure(self._fetch(0).result()[0].numpy())

    def check(self, steps: int) -> None:
        """Check that there are rows for so many steps.

        Args:
            steps: of the training.
        Raises: DataError.
        """
        if self.steps is not None and steps > self.steps:
            raise DataError(
                f"there are rows for {self.steps:,} steps of {self.batch:,}, and {steps:,} were "
                "asked for"
            )

    def _place(self, step: int) -> tuple[int, int]:
        """The window in which the rows of a step begin, counted over epochs, and where in it."""
        epoch, i = divmod(step, self.per_epoch)
        edges = self._order(epoch)[1]
        window = int(np.searchsorted(edges, i * self.batch, side="right")) - 1
        return epoch * (len(edges) - 1) + window, int(i * self.batch - edges[window])

    def _order(
        self, epoch: int
    ) -> tuple[list[Int[np.ndarray, " shard"]], Int[np.ndarray, " edge"]]:
        """The shards of each window of an epoch, and where each begins among its rows."""
        if epoch not in self._orders:
            count = len(self.shards.lengths)
            order = np.arange(count)
            if not self.shards.in_order:
                order = rng.permutation(np.array([self.seed]), "shards.order", epoch, count)[0]
            windows = [order[i : i + self.window] for i in range(0, count, self.window)]
            lengths = np.asarray(self.shards.lengths)
            edges = np.cumsum([0, *(int(lengths[window].sum()) for window in windows)])
            self._orders = {
                key: value for key, value in self._orders.items() if abs(key - epoch) < 2
            } | {epoch: (windows, edges)}
        return self._orders[epoch]

    def _gather(self, step: int) -> torch.Tensor:
        window, first = self._place(step)
        begins, missing, parts = window, self.batch, []
        while missing:
            least = min(window, self._settling)
            self._windows = {key: value for key, value in self._windows.items() if key >= least}
            rows, order = self._fetch(window).result()
            its = order[first : first + missing]
            parts.append(rows.index_select(0, its).float())
            missing -= len(its)
            if missing:
                window, first = window + 1, 0
        # The next one, when there is room for it: the one before is through.
        if sum(key >= begins for key in self._windows) == 1 and window + 1 < self._ends:
            self._fetch(window + 1)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    @property
    def _settling(self) -> float:
        """The first window of the last batches, where rows come once."""
        return math.inf if self.steps is None else self._place(max(0, self.steps - SETTLING))[0]

    @property
    def _ends(self) -> float:
        return -(-len(self.shards.lengths) // self.window) if self.shards.in_order else math.inf

    def _fetch(self, window: int) -> Future[tuple[torch.Tensor, torch.Tensor]]:
        if window not in self._windows:
            self._windows[window] = _begin(partial(self._load, window))
        return self._windows[window]

    def _load(self, window: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Read the rows of a window, and draw their order."""
        epoch, i = divmod(window, -(-len(self.shards.lengths) // self.window))
        its = self._order(epoch)[0][i]
        rows = np.empty(
            (sum(self.shards.lengths[n] for n in its), self.shards.d), self.shards.dtype
        )
        first = 0
        for n in its:
            out = rows[first : first + self.shards.lengths[n]]
            self.shards.read(int(n), out)
            for piece in range(0, len(out), _CHECKED):
                if not np.isfinite(out[piece : piece + _CHECKED]).all():
                    raise DataError(f"shard {n} of the activations has numbers that are not finite")
            first += len(out)
        order = rng.permutation(np.array([self.seed]), "shards.rows", window, len(rows))[0]
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


def _files(names: Iterable[str | Path]) -> Iterable[tuple[Any, str]]:
    """The file system and path of every file that is meant."""
    import fsspec

    for name in names:
        try:
            system, path = fsspec.core.url_to_fs(str(name))
            folder = "*" not in path and system.isdir(path)
            pattern = f"{path.rstrip('/')}/*.npy" if folder else path
            files = sorted(system.glob(pattern)) if "*" in pattern else [path]
        except (OSError, ValueError, ImportError) as error:
            raise DataError(f"{name} cannot be listed: {error}") from error
        yield from ((system, file) for file in files)


def _opened(file_at: tuple[Any, str], use: Callable[[IO[bytes]], Any]) -> Any:
    system, path = file_at
    try:
        with system.open(path, "rb") as file:
            return use(file)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path} is not a readable .npy file of rows [n, d] ({error}); save it with np.save"
        ) from error


def _head(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of an array. Raises: ValueError for one that is not of rows."""
    version = np.lib.format.read_magic(file)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, by_column, dtype = read(file)
    if dtype.kind != "f" or dtype.itemsize > 4 or len(shape) not in (2, 3) or not all(shape):
        raise ValueError(f"it has {dtype} {list(shape)}, wanted are float16 or float32")
    if by_column and len(shape) > 1 and 1 not in shape:
        raise ValueError("it is stored column by column; save np.ascontiguousarray of it")
    return shape, dtype


def _fill(file: IO[bytes], out: Float[np.ndarray, "n d"]) -> None:
    """Read an array into `out`, without a copy of it where it is stored as it is wanted."""
    shape, dtype = _head(file)
    direct = len(shape) == 2 and dtype == out.dtype
    rows = out if direct else np.empty(shape, dtype)
    buffer, first = rows.reshape(-1).view(np.uint8).data, 0
    while first < len(buffer):
        if not (count := file.readinto(buffer[first:])):  # type: ignore[attr-defined]
            raise EOFError(f"it ends after {first:,} of {len(buffer):,} bytes")
        first += count
    if not direct:
        out[:] = (rows[:, 1:] if len(shape) == 3 else rows).reshape(len(out), -1)
