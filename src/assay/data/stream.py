"""Stream: a folder that one process fills with shards while others read them, so that no more than
a few lie on the disk at any time. Both ends may be killed at any moment, and go on.

    FOLDER/stream.json          what the rows are, how many come, how they are centred and scaled
    FOLDER/shard-000123.npy     rows, whole: each appears by one rename, and is never written again
    FOLDER/written.json         where whoever fills it stands; touched while it is at work
    FOLDER/reader-NAME.json     which shard is the first that a reader may still ask for

A shard goes when every reader is beyond it. A reader says so only after its training was kept at a
later step, so that whatever it may have to read again after a kill is still there."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from jaxtyping import Float

from assay.core.errors import DataError, RunError, StoreError
from assay.data.shards import Shards

HEADER, WRITTEN, LOCK = "stream.json", "written.json", "stream.lock"
PATIENCE = 300.0
"""Seconds for which a reader waits while nobody fills the stream."""
_LOOK = 0.02
_BEAT = 5.0


@dataclass(frozen=True, kw_only=True)
class Stream:
    """What comes through a folder."""

    d: int
    """Numbers of a row."""
    rows: int
    """Rows of each shard."""
    shards: int
    """Shards in all."""
    window: int
    """Shards whose rows readers shuffle together."""
    most: int
    """Shards on the disk at once."""
    mean: tuple[float, ...]
    scale: float
    limit: float = math.inf
    """Length from which vectors were left out."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """Whose rows they are, as plain JSON: what a dictionary that is trained on them carries, and
    what is compared before a stream goes on."""

    def check(self) -> None:
        """Raise DataError for sizes with which nothing could come through."""
        if min(self.d, self.rows, self.shards, self.window) < 1:
            raise DataError("a stream has at least one shard of one row of one number")
        if self.most < 2 * self.window and self.most < self.shards:
            raise DataError(
                f"a stream that is shuffled over {self.window} shards needs room for "
                f"{2 * self.window} on the disk, got {self.most}"
            )


def open_stream(folder: Path, name: str | None, patience: float = PATIENCE) -> Shards:
    """The shards of a stream for one reader, who waits for those that are not there yet.

    Args:
        folder: of the stream.
        name: of the reader, by which it goes on after a kill; None: it reads beside one that has
            a name, as other ranks do.
        patience: seconds for which to wait while nobody fills it.
    Raises: RunError where nothing comes; DataError for what another has read and removed.
    """
    _wait(folder, folder / HEADER, patience)
    header = read_header(folder)

    def read(shard: int, out: np.ndarray) -> None:
        path = _path(folder, shard)
        if not path.exists() and _state(folder)["shard"] > shard:
            # Looked for again: it may have come between the two looks.
            if not path.exists():
                raise DataError(
                    f"shard {shard} of the stream {folder} was read before and is gone; begin a "
                    "new one in another folder"
                )
        else:
            _wait(folder, path, patience)
        out[:] = np.load(path, mmap_mode="r")

    def release(first: int) -> None:
        if name is not None:
            _publish(folder / f"reader-{name}.json", json.dumps({"shard": first}).encode())

    return Shards(
        header.d,
        [header.rows] * header.shards,
        read,
        normalisation=(np.array(header.mean, np.float32), header.scale),
        in_order=True,
        most=header.most,
        release=release,
        about=header.about,
    )


def read_header(folder: Path) -> Stream:
    """What a stream says of itself. Raises: StoreError."""
    try:
        fields = json.loads((folder / HEADER).read_text())
        return Stream(**{**fields, "mean": tuple(fields["mean"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{folder / HEADER} is not the head of a stream ({error})") from error


def fill_stream(
    folder: Path,
    block: Callable[[int, float], Float[np.ndarray, "n d"]],
    header: Callable[[], Stream],
    *,
    about: Mapping[str, Any],
    readers: int = 1,
    begun: Callable[[], None] = lambda: None,
    watch: Callable[[int, int], None] = lambda written, shards: None,
) -> Stream:
    """Write shard after shard of the rows of blocks 0, 1, 2 and so on, waiting while as many as may
    lie there have not been read; what was begun goes on where it was.

    A block must be the same whenever it is asked for.

    Args:
        folder: of the stream.
        block: (number, limit of the head) → rows, in any number.
        header: makes the head, where there is none yet.
        about: whose rows they are: what a stream that was begun is compared with.
        readers: how many there will be; nothing is removed before all have come.
        begun: called once readers can open the stream.
        watch: called with (shards written, shards) again and again, also while it waits.
    Raises: StoreError for a stream of something else, one that another process fills, or a disk
    that is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _filling(folder), _explained(folder):
        for partial in folder.glob(".*.new"):
            partial.unlink()
        if not (folder / HEADER).exists():
            head = header()
            head.check()
            _publish(folder / HEADER, json.dumps(asdict(head)).encode())
        stream = read_header(folder)
        if stream.about != json.loads(json.dumps(dict(about))):
            raise StoreError(
                f"{folder} has a stream of something else; name another folder, or remove it"
            )
        state = _state(folder)
        beat = _Beat(folder)
        begun()
        rows = _Rows(lambda number: block(number, stream.limit), state["block"], state["skipped"])
        for shard in range(state["shard"], stream.shards):
            while shard - _least(folder, readers) >= stream.most:
                beat()
                watch(shard, stream.shards)
                time.sleep(_LOOK)
            its = rows.take(stream.rows, stream.d, beat)
            # After a kill between the two writes it is there already, and may have been read.
            if not _path(folder, shard).exists():
                _publish(_path(folder, shard), its)
            _publish(folder / WRITTEN, json.dumps({"shard": shard + 1, **rows.place}).encode())
            _least(folder, readers)
            watch(shard + 1, stream.shards)
        return stream


class _Rows:
    """Rows of one block after the other, cut elsewhere."""

    def __init__(self, block: Callable[[int], np.ndarray], number: int, skipped: int):
        self._block, self._number, self._first = block, number, skipped
        self._rest: np.ndarray | None = None

    @property
    def place(self) -> dict[str, int]:
        """Where the next row is."""
        return {"block": self._number, "skipped": self._first}

    def take(self, count: int, d: int, beat: Callable[[], None]) -> Float[np.ndarray, "count d"]:
        """The next rows."""
        out, ready, empty = np.empty((count, d), np.float16), 0, 0
        while ready < count:
            if self._rest is None:
                self._rest = self._block(self._number)
                beat()
            its = self._rest[self._first : self._first + count - ready]
            out[ready : ready + len(its)] = its
            ready, self._first = ready + len(its), self._first + len(its)
            if self._first >= len(self._rest):
                empty = 0 if len(its) else empty + 1
                if empty > 1000:
                    raise DataError("a thousand blocks of activations in a row hold no vector")
                self._number, self._first, self._rest = self._number + 1, 0, None
        return out


class _Beat:
    """Touches a file now and then, by which readers know that somebody is at work."""

    def __init__(self, folder: Path):
        self._path, self._last = folder / WRITTEN, -_BEAT
        if not self._path.exists():
            _publish(self._path, json.dumps(_state(folder)).encode())

    def __call__(self) -> None:
        if time.monotonic() - self._last >= _BEAT:
            os.utime(self._path)
            self._last = time.monotonic()


@contextmanager
def _filling(folder: Path) -> Iterator[None]:
    try:
        with FileLock(folder / LOCK, timeout=0):
            yield
    except Timeout as error:
        raise StoreError(f"another process fills the stream {folder}; let it, or end it") from error


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"the stream {folder} cannot be written: {error}") from error


def _state(folder: Path) -> dict[str, int]:
    """Where the writing stands."""
    with suppress(FileNotFoundError):
        state: dict[str, int] = json.loads((folder / WRITTEN).read_text())
        return state
    return {"shard": 0, "block": 0, "skipped": 0}


def _least(folder: Path, readers: int) -> int:
    """The first shard that somebody may still ask for; those before it are removed."""
    marks = [json.loads(path.read_text())["shard"] for path in folder.glob("reader-*.json")]
    least = min(marks) if len(marks) >= readers else 0
    for path in folder.glob("shard-*.npy"):
        if int(path.stem.removeprefix("shard-")) < least:
            path.unlink()
    return least


def _wait(folder: Path, path: Path, patience: float) -> None:
    """Wait for a file, as long as somebody is at work."""
    last, since = 0.0, time.monotonic()
    while not path.exists():
        with suppress(OSError):
            if (beat := (folder / WRITTEN).stat().st_mtime) != last:
                last, since = beat, time.monotonic()
        if time.monotonic() - since > patience:
            raise RunError(
                f"{path} did not come, and nobody filled the stream for {patience:g} s; start the "
                "harvest and the training again, and both go on"
            )
        time.sleep(_LOOK)


def _path(folder: Path, shard: int) -> Path:
    return folder / f"shard-{shard:06d}.npy"


def _publish(path: Path, content: bytes | np.ndarray) -> None:
    """Let a file appear whole."""
    partial = path.with_name(f".{path.name}.new")
    with partial.open("wb") as file:
        if isinstance(content, bytes):
            file.write(content)
        else:
            np.save(file, content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
