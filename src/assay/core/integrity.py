"""Intact: folders that carry the hashes of their files, which are compared when a file is used, so
that no changed byte is computed on.

A file is hashed in blocks. Most are compared whole, once in each process; of a file that is mapped
into memory only the blocks that are touched, each at its first touch, so that a look at a large
harvest costs as much as what it looks at."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Int

from assay.core import foreign
from assay.core.errors import DamageError
from assay.core.spec import canonical_json

NOTE = "hashes.json"
BLOCK = 2**20
"""Bytes that share a hash."""

_State = tuple[tuple[str, int, int], ...]
_verified_states: dict[tuple[Path, frozenset[str]], _State] = {}
"""Folders that this process found to be intact, with sizes and times of their files then: each file
is hashed once."""


def described(folder: Path) -> bytes:
    """Give the text of `hashes.json` for a folder that is finished: of each file its size and the
    hashes of its blocks. Raises: OSError."""
    files = {p.relative_to(folder).as_posix(): p for p in _files(folder)}
    return canonical_json(
        {name: [p.stat().st_size, _hashes(p)] for name, p in files.items()}
    ).encode()


def noted(folder: Path) -> bool:
    """Whether a folder carries hashes; those of older stores do not."""
    return (folder / NOTE).exists()


def wrong(folder: Path, mapped: Collection[str] = ()) -> str:
    """What is not as it was noted, in a few words; empty where all is. Of files that are `mapped`
    only the size is compared."""
    key = (folder, frozenset(mapped))
    try:
        # Before files are read: one that changes meanwhile has another state the next time, and is
        # hashed again.
        state = _state(folder)
        if _verified_states.get(key) == state:
            return ""
        noted = json.loads(foreign.read_stored(folder / NOTE))
        if strange := {p.relative_to(folder).as_posix() for p in _files(folder)} - set(noted):
            return f"{min(strange)} is not in {NOTE}"
        for name, (size, hashes) in noted.items():
            path = folder / name
            if path.stat().st_size != size:
                return f"{name} has {path.stat().st_size:,} bytes instead of {size:,}"
            if name not in mapped and _hashes(path) != hashes:
                return f"{name} differs from its hash"
    except OSError as e:
        return f"{Path(e.filename or folder).name} cannot be read ({e.strerror})"
    except (ValueError, TypeError, AttributeError, RecursionError):
        return f"{NOTE} is not what a store writes"
    _verified_states[key] = state
    return ""


def differs(path: Path, spans: Collection[tuple[int, int]] = ()) -> bool:
    """Whether a file is not as its folder noted it; of `spans` of bytes [first, end) only the
    blocks that hold them are read.

    A folder without hashes is taken as it is. Raises: OSError.
    """
    if not noted(path.parent):
        return False
    try:
        size, hashes = json.loads(foreign.read_stored(path.parent / NOTE))[path.name]
        if isinstance(hashes, str):  # of the whole file, as an older version wrote
            return False
        if not spans:
            return bool(path.stat().st_size != size or _hashes(path) != hashes)
        touched = {
            block for first, end in spans for block in range(first // BLOCK, (end - 1) // BLOCK + 1)
        }
        with foreign.open_stored(path, sys.maxsize) as file:
            for block in sorted(touched):
                file.seek(block * BLOCK)
                if _hash(file.read(BLOCK)) != hashes[block]:
                    return True
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return True
    return False


class Mapped:
    """An array [row, …] in a .npy file, mapped into memory; what is touched for the first time is
    compared with its hash.

    A folder without hashes is taken as it is: whether it may lack them is for its store to know.

    Raises: DamageError where the file is missing, is no such array, or is not among the hashes.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            foreign.open_stored(path, sys.maxsize).close()  # a pipe would be waited for
            self._array = np.load(path, mmap_mode="r")
            self._hashes = (
                json.loads(foreign.read_stored(path.parent / NOTE))[path.name][1]
                if noted(path.parent)
                else []
            )
            if isinstance(self._hashes, str):  # of the whole file, as an older version wrote
                self._hashes = []
        except (OSError, ValueError, EOFError, KeyError, TypeError) as e:
            raise DamageError(path.parent, f"{path} is missing or damaged") from e
        self.shape: tuple[int, ...] = self._array.shape
        self._left = np.ones(len(self._hashes), bool)
        with foreign.open_stored(path, sys.maxsize) as file:
            self._check(file, np.flatnonzero(self._left)[:1])  # the header: shape and type
        self._start = path.stat().st_size - self._array.nbytes

    def rows(self, index: Int[np.ndarray, " n"], width: int) -> np.ndarray:
        """Rows of `width` numbers, the leading dimensions taken as one. Raises: DamageError at the
        first block that was changed."""
        if self._left.any():
            first = self._start + np.asarray(index, np.int64) * width * self._array.itemsize
            last = first + width * self._array.itemsize - 1
            # Marks of beginnings and ends, summed up: blocks that any row touches, without a list
            # of each row's.
            touched = np.zeros(
                len(self._left) + 1, int
            )  # +1 where a row's blocks begin, −1 after they end
            np.add.at(touched, first // BLOCK, 1)
            np.add.at(touched, last // BLOCK + 1, -1)
            fresh = np.flatnonzero((np.cumsum(touched)[:-1] > 0) & self._left)
            if len(fresh):
                with foreign.open_stored(self.path, sys.maxsize) as file:
                    self._check(file, fresh)
        return np.asarray(self._array.reshape(-1, width)[index])

    def _check(self, file: BinaryIO, blocks: Iterable[int]) -> None:
        for block in blocks:
            file.seek(int(block) * BLOCK)
            if _hash(file.read(BLOCK)) != self._hashes[block]:
                raise DamageError(
                    self.path.parent, f"{self.path} is damaged: block {block} differs from its hash"
                )
            self._left[block] = False


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name != NOTE)


def _state(folder: Path) -> _State:
    stats = [(str(p), p.stat()) for p in (*_files(folder), folder / NOTE)]
    return tuple((name, s.st_size, s.st_mtime_ns) for name, s in stats)


def _hashes(path: Path) -> list[str]:
    with foreign.open_stored(path, sys.maxsize) as file:
        return [_hash(block) for block in iter(lambda: file.read(BLOCK), b"")]


def _hash(block: bytes) -> str:
    return hashlib.sha256(block).hexdigest()
