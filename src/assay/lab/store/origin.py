"""Origin: which files an experiment is made of: a file, a folder with `__init__.py`, or a
module."""

from __future__ import annotations

import hashlib
import importlib.util
import traceback
from pathlib import Path

OPENS = "__init__.py"
STUDIES = (".toml", ".md")
"""How files end that describe an experiment as data."""


def files(origin: str) -> list[Path]:
    """The file at a path, or that of a module; of a folder all of its files, sorted. Empty where
    there is none."""
    if not origin:
        return []
    try:
        if not in_file(origin):
            spec = importlib.util.find_spec(origin)
            origin = (spec and spec.origin) or ""
    except (ImportError, ValueError):
        return []
    path = Path(origin)
    if not path.is_file():
        return []
    return sorted(path.parent.rglob("*.py")) if path.name == OPENS else [path]


def code(origin: str) -> str:
    """16 hex digits of the text of its file, or of all files of its folder; stored with each run,
    not part of its key. Empty without a file."""
    try:
        paths = files(origin)
        if len(paths) < 2:
            return hashlib.sha256(paths[0].read_bytes()).hexdigest()[:16] if paths else ""
        folder = min((p.parent for p in paths), key=lambda p: len(p.parts))
        texts = (
            p.relative_to(folder).as_posix().encode() + b"\0" + p.read_bytes() + b"\0"
            for p in paths
        )
        return hashlib.sha256(b"".join(texts)).hexdigest()[:16]
    except OSError:
        return ""


def in_file(origin: str) -> bool:
    """Whether it is the path of a file: somebody's own experiment, or a study; else a module."""
    return origin.endswith((".py", *STUDIES))


def called(path: Path) -> str:
    """The name of a file without its ending, or of the folder that it opens."""
    return path.parent.name if path.name == OPENS else path.stem


def parent_folder(path: Path) -> Path:
    """The folder in which the file, or the folder that it opens, lies."""
    return path.parent.parent if path.name == OPENS else path.parent


def where(error: BaseException, origin: str) -> str:
    """File and line of an error: the last place inside the experiment's own files, if there is
    one."""
    if isinstance(error, SyntaxError) and error.filename and not error.filename.startswith("<"):
        return f"{error.filename} line {error.lineno}"
    own_frames = frames_in(error, origin)
    return f"{own_frames[-1].filename} line {own_frames[-1].lineno}" if own_frames else origin


def frames_in(error: BaseException, origin: str) -> list[traceback.FrameSummary]:
    """The places of a traceback that lie in the experiment's own files."""
    own_files = {str(path) for path in files(origin)}
    return [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in own_files
    ]
