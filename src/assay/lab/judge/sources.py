"""Sources: the texts that measure and judge, by hash, as long as they are those that this process
began with: Assay's, and that of an experiment's own file where it reads no other."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from assay.core import syntax
from assay.lab.judge.closed import closed
from assay.lab.store.origin import files

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("numpy", "scipy", "xarray", "torch")
_SPOKEN = ("cli", "verbs", "report", "testing", "conformance")  # what only shows results


def judging(origin: str) -> str:
    """64 hex digits of all code that judges an experiment; "" where that cannot be named: a text
    was written since the start, or a user's file may read others."""
    if origin.startswith("assay."):
        return unchanged(origin)
    text = _closed(origin) if origin.endswith(".py") else b""
    if not text or not (ours := unchanged(origin)):
        return ""
    return hashlib.sha256(f"{ours} {platform.python_version()} ".encode() + text).hexdigest()


def _closed(origin: str) -> bytes:
    """The text of a user's file; empty where it may read others, or was written since the start,
    so that something else may have been imported."""
    try:
        (path,) = files(origin)  # a folder has several
        state, text = path.stat(), path.read_bytes()
        before = max(state.st_mtime, state.st_ctime) < _BEGAN - _TICK
        return text if before and closed(syntax.module(text)) else b""
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return b""


def unchanged(origin: str) -> str:
    """64 hex digits of every file that measures or judges an experiment from this module or file,
    and of what it computes with; "" where one was written since the start.

    After that nobody can say which modules hold the old text and which, imported later, the new
    one. Other experiments of the catalogue do not count, since none imports another; for a file of
    Python, which may import any, they do."""
    # "assay.experiments.gated_sae": itself alone; a study: no experiment of the catalogue
    except_for = None if origin.endswith(".py") else origin.removeprefix("assay.").replace(".", "/")
    digest = _hash(except_for)
    return digest if _counted(_written(), except_for) == _counted(_AT_START, except_for) else ""


def _counted(
    file_states: Mapping[str, tuple[int, int]], except_for: str | None
) -> dict[str, tuple[int, int]]:
    """Those files that count for an experiment."""
    kept = (f"{except_for}.py", f"{except_for}/", "experiments/__init__.py")
    return {
        name: state
        for name, state in file_states.items()
        if except_for is None or not name.startswith("experiments/") or name.startswith(kept)
    }


@functools.cache
def _hash(except_for: str | None) -> str:
    digest = hashlib.sha256("\0".join(f"{p} {_version(p)}" for p in _PACKAGES).encode())
    for name in sorted(_counted(_AT_START, except_for)):
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


_BEGAN = time.time()
_TICK = 0.1  # seconds: a file's time is the clock's last tick, and so may lie before the start
_AT_START = _written()  # with the first module of the lab, so before an experiment can be found
