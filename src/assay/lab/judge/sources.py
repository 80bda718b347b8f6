"""Sources: the code that measures and judges, by hash, as long as its files are those that this
process began with."""

from __future__ import annotations

import functools
import hashlib
import os
import time
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from assay.lab import catalogue
from assay.lab.store.origin import in_file

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("numpy", "scipy", "xarray", "torch")
_SHOWING = ("cli", "verbs", "report", "testing")  # what only shows results
States = dict[str, tuple[int, int]]
"""When each file was last written, in nanoseconds, and its size, by its name."""


def unchanged(origin: str) -> str:
    """64 hex digits of every file that measures or judges an experiment from this module or file,
    and of what it computes with; "" where one was written since the start.

    After that it is not known which modules hold the old text and which, imported later, the new
    one. Of the distribution that a module belongs to, its other experiments do not count, since
    none imports another; for a user's file, which may borrow from any, all that are there do."""
    digest = _hash(origin)
    return digest if _states(origin, _written) == _states(origin, _at_start) else ""


@functools.cache
def _hash(origin: str) -> str:
    digest = hashlib.sha256("\0".join(f"{p} {_version(p)}" for p in _PACKAGES).encode())
    roots = _roots(origin)
    for name in sorted(_states(origin, _at_start)):
        number, _, file = name.partition("/")
        text = (roots[int(number)] / file).read_bytes()
        digest.update(name.encode() + b"\0" + text + b"\0")
    return digest.hexdigest()


def _states(origin: str, written: Callable[[Path], States]) -> States:
    """The files that count, by the number of their root and their name."""
    folder, module = "", ""
    if origin and not in_file(origin):
        folder, _, module = origin.partition(".")[2].replace(".", "/").rpartition("/")
    own = tuple(f"{folder}/{name}" for name in (f"{module}.py", f"{module}/", "__init__.py"))
    return {
        f"{i}/{name}": state
        for i, root in enumerate(_roots(origin))
        for name, state in written(root).items()
        if not (i and folder and name.startswith(f"{folder}/")) or name.startswith(own)
    }


@functools.cache
def _roots(origin: str) -> tuple[Path, ...]:
    """The folders of the packages whose files an experiment may read, Assay's own first."""
    names = catalogue.modules() if in_file(origin) else [origin]
    packages = map(_package, sorted({name.partition(".")[0] for name in names if name}))
    return tuple(dict.fromkeys([_ROOT, *filter(None, packages)]))


def _package(name: str) -> Path | None:
    """The folder of an installed package; None where there is none."""
    spec = find_spec(name)
    return Path(spec.origin).resolve().parent if spec is not None and spec.origin else None


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # torch, where nothing is trained
        return ""


def _written(root: Path) -> States:
    """The state of each file below a folder: quicker than reading, and an edit that was undone
    shows too."""
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
_TICK = 0.1  # seconds: a file's time is the clock's last tick, and so may be before the start
_at_start(_ROOT)  # with the first module of the lab, so before an experiment can be found
