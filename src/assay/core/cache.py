"""Cache: the folder in which models and published dictionaries lie, and what was measured of this
machine; SHA-256 of files is remembered there, so that a model of gigabytes is read once, and again
only after it has changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from assay.core import foreign


def folder() -> Path:
    """Name the folder: $ASSAY_CACHE, else ~/.cache/assay."""
    return Path(os.environ.get("ASSAY_CACHE") or Path("~/.cache/assay").expanduser())


def hub(cache: Path | None = None) -> Path:
    """Name the folder of what comes from a hub. Branches move, so it is an input of a run."""
    return (cache or folder()) / "hub"


SMALL = 32e6
"""Bytes; a smaller file is read each time."""
SETTLED = 2.0
"""Seconds; a file that changed so lately may change again without another time of change, so its
hash is not kept."""
MOST = 2000
"""Files remembered; then the memory starts anew."""


def sha256(path: Path, memory: Path | None = None, most: int = foreign.LARGEST) -> str:
    """64 hex digits of a file's bytes; of a large one that has the same size, inode and times as
    before, those from before.

    Hashes are remembered in the model cache (`hashes.json`); where that cannot be written, files
    are read each time.

    Raises: DataError for what is no file, and for one of more than `most` bytes.
    """
    state = foreign.regular(path, most=most).stat()
    if state.st_size < SMALL:
        return digest_of(path)
    where = memory or folder() / "hashes.json"
    name = str(path.resolve())
    fingerprint = [state.st_size, state.st_ino, state.st_mtime_ns, state.st_ctime_ns]
    hashes = _known(where)
    if name in hashes and hashes[name][:4] == fingerprint:
        return str(hashes[name][4])
    digest = digest_of(path)
    if time.time() - max(state.st_mtime, state.st_ctime) > SETTLED:
        _keep(where, (hashes if len(hashes) < MOST else {}) | {name: [*fingerprint, digest]})
    return digest


def digest_of(path: Path) -> str:
    """64 hex digits of a file's bytes, which are read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _known(where: Path) -> dict[str, list[Any]]:
    try:
        hashes = json.loads(where.read_text())
    except (OSError, ValueError):
        return {}
    whole = isinstance(hashes, dict) and all(
        isinstance(v, list) and len(v) == 5 for v in hashes.values()
    )
    return hashes if whole else {}


def _keep(where: Path, hashes: dict[str, list[Any]]) -> None:
    partial = where.with_name(f"{where.name}.partial-{os.getpid()}")
    with contextlib.suppress(OSError):
        where.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(hashes))
        partial.replace(where)
