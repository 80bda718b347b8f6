"""Sources: the texts that measure and judge, by hash, as long as they are those that this process
began with: Assay's, and that of an experiment's own file where it reads no other."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from assay.core import syntax
from assay.lab import catalogue
from assay.lab.judge.closed import closed
from assay.lab.store.origin import files, in_file

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("numpy", "scipy", "xarray", "torch")
_SHOWING = ("cli", "verbs", "report", "testing")  # what only shows results


def judging(origin: str) -> str:
    """64 hex digits of all code that judges an experiment; "" where that cannot be named: a text
    was written since the start, or a user's file may read others."""
    if not in_file(origin) and origin:
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
    one. Of the distribution that a module belongs to, its other experiments do not count, since
    none imports another; for a user's file, which may borrow from any, all that are there do."""
    read = Read.of(origin)
    digest = _hash(read)
    return digest if read.states(_written) == read.states(_at_start) else ""


@dataclass(frozen=True)
class Read:
    """What an experiment may read: folders of packages, but for some files in them."""

    roots: tuple[Path, ...]
    experiments: str = ""
    """The folder of the catalogue's experiments within the second root; "": all count."""
    module: str = ""
    """The one of them that counts."""

    @classmethod
    def of(cls, origin: str) -> Read:
        """What the experiment of this module or file reads."""
        if in_file(origin):  # which may borrow from any experiment
            others = sorted({top(e.origin) for e in catalogue.entries()})
            return cls((_ROOT, *(folder for name in others if (folder := package(name)))))
        folder = package(top(origin)) if origin else None
        if folder is None or folder == _ROOT:
            return cls((_ROOT,))
        parent, _, module = origin.removeprefix(f"{top(origin)}.").replace(".", "/").rpartition("/")
        return cls((_ROOT, folder), parent, module)

    def states(self, written: Callable[[Path], States]) -> dict[str, tuple[int, int]]:
        """Those files that count, by root and name, with when each was written and its size."""
        kept = tuple(f"{self.experiments}/{m}" for m in (f"{self.module}.py", f"{self.module}/"))
        return {
            f"{i}/{name}": state
            for i, root in enumerate(self.roots)
            for name, state in written(root).items()
            if i == 0
            or not self.experiments
            or not name.startswith(f"{self.experiments}/")
            or name.startswith((*kept, f"{self.experiments}/__init__.py"))
        }


def top(module: str) -> str:
    """The package that a module belongs to."""
    return module.partition(".")[0]


@functools.cache
def package(name: str) -> Path | None:
    """The folder of an installed package; None where there is none."""
    spec = find_spec(name)
    return Path(spec.origin).resolve().parent if spec is not None and spec.origin else None


@functools.cache
def _hash(read: Read) -> str:
    digest = hashlib.sha256("\0".join(f"{p} {_version(p)}" for p in _PACKAGES).encode())
    for name in sorted(read.states(_at_start)):
        number, _, file = name.partition("/")
        text = (read.roots[int(number)] / file).read_bytes()
        digest.update(Path(name).as_posix().encode() + b"\0" + text + b"\0")
    return digest.hexdigest()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # torch, where nothing is trained
        return ""


States = dict[str, tuple[int, int]]


def _written(root: Path) -> States:
    """When each file below a folder was last written, in nanoseconds, and its size: quicker than
    reading, and an edit that was undone shows too."""
    file_states: States = {}
    folders, passed = [str(root)], {str(_ROOT / name) for name in _SHOWING}
    # every command does this first: plain names, and none of the folders that do not count
    while folders:
        with os.scandir(folders.pop()) as inside:
            for entry in inside:
                if entry.name.endswith(".py") and entry.is_file():
                    state = entry.stat()
                    name = entry.path[len(str(root)) + 1 :]
                    file_states[name] = (state.st_mtime_ns, state.st_size)
                elif entry.is_dir(follow_symlinks=False) and entry.path not in passed:
                    folders.append(entry.path)
    return file_states


@functools.cache
def _at_start(root: Path) -> States:
    """Give the same as it was when this process began; a file that was written between then and
    the first look counts as written since."""
    file_states = _written(root)
    late = (_BEGAN - _TICK) * 1e9
    return {name: s if s[0] < late else (0, s[1]) for name, s in file_states.items()}


_BEGAN = time.time()
_TICK = 0.1  # seconds: a file's time is the clock's last tick, and so may lie before the start
_at_start(_ROOT)  # with the first module of the lab, so before an experiment can be found
