"""Sources: the texts of Assay that measure and judge, by hash, as long as they are those that this
process began with."""

from __future__ import annotations

import functools
import hashlib
import os
from importlib import metadata
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("numpy", "scipy", "xarray", "torch")
_SPOKEN = ("cli", "verbs", "report", "testing", "conformance")  # what only shows results


def unchanged() -> str:
    """64 hex digits of every file that measures or judges, and of what it computes with; "" where
    one was written since the start.

    After that nobody can say which modules hold the old text and which, imported later, the new
    one."""
    digest = _hash()
    return digest if _written() == _AT_START else ""


@functools.cache
def _hash() -> str:
    digest = hashlib.sha256("\0".join(f"{p} {_version(p)}" for p in _PACKAGES).encode())
    for name in sorted(_AT_START):
        digest.update(Path(name).as_posix().encode() + b"\0" + (_ROOT / name).read_bytes() + b"\0")
    return digest.hexdigest()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # torch, where nothing is trained
        return ""


def _written() -> dict[str, tuple[int, int]]:
    """When each file was last written, in nanoseconds, and its size: quicker than reading, and an
    edit that was undone shows too."""
    file_states: dict[str, tuple[int, int]] = {}
    folders, passed = [str(_ROOT)], {str(_ROOT / name) for name in _SPOKEN}
    # every command does this first: plain names, and none of the folders that do not count
    while folders:
        with os.scandir(folders.pop()) as inside:
            for entry in inside:
                if entry.name.endswith(".py") and entry.is_file():
                    state = entry.stat()
                    file_states[entry.path[len(str(_ROOT)) + 1 :]] = (
                        state.st_mtime_ns,
                        state.st_size,
                    )
                elif entry.is_dir(follow_symlinks=False) and entry.path not in passed:
                    folders.append(entry.path)
    return file_states


_AT_START = _written()  # with the first module of the lab, so before an experiment can be found
