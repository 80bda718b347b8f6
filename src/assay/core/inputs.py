"""Inputs: which files a run reads from outside, noted as it reads, so that a later change is seen.

A file that Assay opens passes `foreign.regular`, and its hash is noted; of a folder of texts one
hash of all. A file that a user's own code opens, with `open`, `np.load`, `torch.load` or
`from_pretrained`, is seen by an audit hook of Python's: its path is noted, its content not checked.
A library that opens files outside of Python (safetensors' `load_file`, pyarrow) goes unseen, and so
does what another process opens.

No input is what belongs to Python, to installed packages, to the system, to Assay's cache (but
what comes from a hub is one, since branches move) or to the store; nor the experiment's own files;
nor what was written after the run began, by the run itself.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import site
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Self

from assay.core import cache, foreign
from assay.core.errors import DataError
from assay.core.plain import canonical_json, plain

NOTE = "read.json"
"""The file next to a stored run or artefact that lists the files it read, and their places."""
PROGRAM = (".py", ".pyc", ".pyi", ".pth", ".so", ".nbi", ".nbc")
"""How files end that are programs, or what was compiled of them."""
SYSTEM = (
    "/proc",
    "/sys",
    "/dev",
    "/run",
    "/etc",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/share",
    "/usr/bin",
)
_unnoted: ContextVar[bool] = ContextVar("unnoted", default=False)
_open: list[Watch] = []


class Watch:
    """Notes what is read while it is entered, in any thread; entered again, it goes on.

    What a process once opened may stay in memory, so a later group of the experiment read it too.
    """

    def __init__(self, *excluded: Path):
        self.files: dict[str, str] = {}
        """The hash of each file or folder of texts that Assay opened, by its absolute path."""
        self.unchecked: set[str] = set()
        """Absolute paths of files that were opened past Assay."""
        self._apart = set(map(_absolute, excluded))
        self._entered, self._began, self._store = 0, 0.0, ""
        self._hashed: set[str] = set()
        self._passed_over: set[str] = set()

    def works_in(self, store: Path) -> None:
        """Say which store the runs work in; what they make there is no input."""
        self._apart |= {_absolute(store / part) for part in ("artefacts", "groups", "tmp")}
        self._store = _absolute(store)

    def __enter__(self) -> Self:
        if not self._entered:
            _listen()
            self._began = time.time()
            self._hashed, self._passed_over = set(), set()
            _open.append(self)
        self._entered += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._entered -= 1
        if not self._entered:
            _open.remove(self)

    def _opened(self, path: str, digest: str = "") -> None:
        """Note a file that Assay opens; only the first time, since hashing it opens it again."""
        if path not in self._hashed:
            self._hashed.add(path)
            if not self._inside(path) and not self._fresh(path):
                self.files[path] = digest or _sha256(Path(path))

    def _seen(self, path: str, writes: bool) -> None:
        """Note a file that was opened in some other way."""
        if path in self._hashed or path in self.unchecked or path in self._passed_over:
            return
        if not writes and not Path(path).is_file():
            return
        no_input = writes or _common(path) or self._inside(path) or self._of_store(path)
        (self._passed_over if no_input or self._fresh(path) else self.unchecked).add(path)

    def _inside(self, path: str) -> bool:
        if _within(path, self._apart):
            return True
        hub = str(cache.hub())
        return _within(path, _installed(str(cache.folder()))) and not _within(
            path, (_absolute(hub), os.path.realpath(hub))
        )

    def _of_store(self, path: str) -> bool:
        return bool(self._store) and _within(path, [self._store])

    def _fresh(self, path: str) -> bool:
        """Whether it was changed since this began; a time that was set by hand does not count."""
        return Path(path).stat().st_ctime >= self._began


@contextmanager
def unnoted() -> Iterator[None]:
    """Note nothing of what the body opens: parts of what is noted as a whole."""
    token = _unnoted.set(True)
    try:
        yield
    finally:
        _unnoted.reset(token)


def note(path: Path, digest: str) -> None:
    """Note a folder that Assay opens, by a hash of what is in it."""
    for watch in tuple(_open):
        watch._opened(_absolute(path), digest)


def take_over(text: bytes, home: Path | None = None) -> None:
    """Note what `packed` says about a stored artefact or run that is used now."""
    files, unchecked = unpacked(text)
    for watch in _open:
        watch.files.update(
            {str(resolve_place(place, home)): digest for place, digest in files.items()}
        )
        watch.unchecked.update(str(resolve_place(place, home)) for place in unchecked)


def of_texts(files: Mapping[str, str]) -> str:
    """Hash a folder of texts: 64 hex digits of its files' relative paths and hashes."""
    return hashlib.sha256(
        "".join(f"{name}\0{digest}\n" for name, digest in sorted(files.items())).encode()
    ).hexdigest()


def visible(folder: Path) -> list[Path]:
    """List the files of a folder at any depth, sorted, without those below a hidden name."""
    files = [
        p
        for p in folder.rglob("*")
        if p.is_file() and not any(s.startswith(".") for s in p.relative_to(folder).parts)
    ]
    return sorted(files, key=lambda p: p.relative_to(folder).as_posix())


def hash_current(path: Path) -> str | None:
    """Hash a file or a folder of texts as it is now; None where it cannot be read."""
    try:
        with unnoted():
            if path.is_dir():
                return of_texts({p.relative_to(path).as_posix(): _sha256(p) for p in visible(path)})
            return _sha256(path)
    except (OSError, ValueError, DataError):
        return None


def placed(path: str, home: Path | None) -> str:
    """Write the path of a file: below the folder `home`, else below ~, else whole."""
    for start, sign in ((home, ""), (Path.home(), "~/")):
        if start is not None and Path(path).is_relative_to(start):
            return sign + Path(path).relative_to(start).as_posix()
    return path


def resolve_place(place: str, home: Path | None) -> Path:
    """Give the path of what `placed` or `as_seen_from` said."""
    path = Path(place).expanduser() if place.startswith("~/") else (home or Path()) / place
    return Path(os.path.normpath(path)) if ".." in path.parts else path


def as_seen_from(folder: Path, path: str) -> str:
    """Write the path of a file: below ~, else relative to a folder that may be moved with it."""
    place = placed(path, None)
    if not Path(place).is_absolute():
        return place
    return Path(os.path.relpath(place, folder.resolve())).as_posix()


def brief(place: str) -> str:
    """Name a file without telling whose it is: outside by its name and its folder's."""
    return plain("/".join(Path(place).parts[-2:]) if place.startswith(("~", "/", "../")) else place)


def packed(files: Mapping[str, str], unchecked: Iterable[str], home: Path | None = None) -> bytes:
    """Make the text of `read.json`; empty where nothing was read."""
    hashed = {placed(path, home): digest for path, digest in files.items()}
    unhashed = sorted({placed(path, home) for path in unchecked} - hashed.keys())
    return (
        canonical_json({"files": hashed, "unchecked": unhashed}).encode()
        if hashed or unhashed
        else b""
    )


def unpacked(text: bytes) -> tuple[dict[str, str], tuple[str, ...]]:
    """Read what `packed` made: hashes by place, and the places of files that were not checked.

    Raises: ValueError, TypeError, KeyError.
    """
    data: dict[str, Any] = json.loads(text)
    files, unchecked = dict(data["files"]), tuple(data["unchecked"])
    if not all(isinstance(word, str) for word in (*files, *files.values(), *unchecked)):
        raise TypeError(NOTE)
    return files, unchecked


def _sha256(path: Path) -> str:
    state = path.stat()
    if (
        time.time() - max(state.st_mtime, state.st_ctime) <= cache.SETTLED
    ):  # it may change again without another time of change
        return cache.sha256(path)
    return _remembered(path, (state.st_size, state.st_ino, state.st_mtime_ns, state.st_ctime_ns))


@functools.lru_cache(maxsize=10_000)
def _remembered(path: Path, state: tuple[int, ...]) -> str:
    return cache.sha256(path)


@functools.cache
def _installed(cache_folder: str) -> frozenset[str]:
    """The folders of Python, of installed packages, of Assay and its cache; links followed and
    not."""
    places = [
        Path(p) / part
        for p in {sys.prefix, sys.base_prefix}
        for part in ("lib", "lib64", "bin", "include", "share", "etc")
    ]
    places += (
        [Path(sys.prefix)] if sys.prefix != sys.base_prefix else []
    )  # a virtual environment is all Python's
    places += [Path(p) for p in (*site.getsitepackages(), site.getusersitepackages())] + [
        Path(__file__).parents[1],
        Path(cache_folder),
    ]
    return frozenset({*map(_absolute, places), *map(os.path.realpath, places)})


@functools.cache
def _scratch() -> frozenset[str]:
    """Folders whose files are no data: the system's, scratch files, and settings of a user's."""
    home = Path.home()
    places = [
        *map(Path, SYSTEM),
        Path(tempfile.gettempdir()),
        home / ".config",
        home / ".cache/matplotlib",
        home / ".cache/fontconfig",
    ]
    return frozenset({*map(_absolute, places), *map(os.path.realpath, places)})


def _common(path: str) -> bool:
    return path.endswith(PROGRAM) or _within(path, _scratch())


def _absolute(path: str | Path) -> str:
    """Give a path from the root. Links are not followed, since where they lead may change."""
    return os.path.abspath(path)  # noqa: PTH100


def _within(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(folder + os.sep) for folder in folders)


def _passed(path: Path) -> None:
    """Hear of a file that passed Assay's door."""
    if _open and not _unnoted.get():
        for watch in tuple(_open):
            watch._opened(_absolute(path))


def _audited(event: str, arguments: tuple[Any, ...]) -> None:
    """Hear of whatever Python opens. A hook cannot be removed, so it costs one look unless
    watched."""
    if not _open or event != "open" or _unnoted.get():
        return
    path, mode, flags = arguments
    if not isinstance(path, str | bytes):
        return  # a file that is open already
    how = mode if isinstance(mode, str) else ""
    writes = (
        any(c in how for c in "wax")
        if how
        else bool(flags & (os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
    )
    try:
        where = _absolute(os.fsdecode(path))
        for watch in tuple(_open):
            watch._seen(where, writes)
    except (OSError, ValueError):  # opening it raises the same
        return


@functools.cache
def _listen() -> None:
    """Follow Assay's door, and Python's own, from the first watch on."""
    foreign.followers.append(_passed)
    sys.addaudithook(_audited)
