"""Intact: folders that carry the hashes of their files, which are compared when a folder is used, so that no changed byte is computed on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from assay.core.spec import canonical_json
from assay.lab.atomic import write

NOTE = "hashes.json"

_State = tuple[tuple[str, int, int], ...]
_seen: dict[Path, _State] = {}
"""Folders that this process found to be intact, with sizes and times of their files then: each file is hashed once."""


def note(folder: Path) -> None:
    """Write down size and hash of every file in a folder that is finished. Raises: OSError."""
    files = {str(p.relative_to(folder)): p for p in _files(folder)}
    write(folder / NOTE, canonical_json({name: [p.stat().st_size, _hash(p)] for name, p in files.items()}).encode())


def noted(folder: Path) -> bool:
    """Whether a folder carries hashes; those of older stores do not."""
    return (folder / NOTE).exists()


def wrong(folder: Path) -> str:
    """What is not as it was noted, in a few words; empty where all is, and where nothing was noted."""
    if not noted(folder):
        return ""
    try:
        state = _state(folder)
        if _seen.get(folder) == state:
            return ""
        for name, (size, digest) in json.loads((folder / NOTE).read_bytes()).items():
            path = folder / name
            if path.stat().st_size != size:
                return f"{name} has {path.stat().st_size:,} bytes instead of {size:,}"
            if _hash(path) != digest:
                return f"{name} differs from its hash"
    except OSError as e:
        return f"{Path(e.filename or folder).name} cannot be read ({e.strerror})"
    except (ValueError, TypeError, AttributeError, RecursionError):
        return f"{NOTE} is not what a store writes"
    _seen[folder] = state
    return ""


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name != NOTE)


def _state(folder: Path) -> _State:
    stats = [(str(p), p.stat()) for p in (*_files(folder), folder / NOTE)]
    return tuple((name, s.st_size, s.st_mtime_ns) for name, s in stats)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
