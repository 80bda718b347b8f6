"""Journal: the files to which a store and the records only append, one line each, with the hash of what it says."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from assay.core.spec import canonical_json
from assay.lab.atomic import explained, write
from assay.lab.sealed import SEAL
from assay.lab.store import Store

FROZEN: Mapping[str, type] = {"seeds": str, "claims": dict, "arms": dict}
"""What a line has that says what was judged."""
JUDGINGS = "looks.jsonl"
"""The file in which a store notes each judging of a claim."""
JUDGING: Mapping[str, type] = {"preset": str, "text": str}
"""What a line of it has."""
UNSEALED = {"time", "commit", "preset", "text", "n", "outcome", "claims_key", "seeds", "claims", "arms"}
"""All that a line of an older store has, from before there were hashes; whatever else a line has, its hash is among it."""
SEEDS = re.compile(r"(-?\d+:-?\d+)?(,-?\d+:-?\d+)*")
"""What `spans` writes."""


def stored(store: Store, experiment: str) -> Path:
    """Where a store keeps what was frozen at each look."""
    return store.root / "results" / experiment / "frozen.jsonl"


def files(store: Store, experiment: str) -> list[Path]:
    """The files of looks that a store has of an experiment."""
    return [p for p in (store.root / "results" / experiment / JUDGINGS, stored(store, experiment)) if p.exists()]


def lines(numbers: Sequence[int]) -> str:
    """Some lines as the subject of a sentence: "line 3 is", "lines 1, 2, 5 are"; of many the first ones."""
    told = ", ".join(map(str, numbers[:5])) + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")
    return f"line {told} is" if len(numbers) == 1 else f"lines {told} are"


def line(look: Mapping[str, Any]) -> bytes:
    """A line of a file of looks, with the hash of what it says."""
    return (canonical_json({**look, SEAL: digest(canonical_json(look))}) + "\n").encode()


def read(path: Path, needed: Mapping[str, type] = FROZEN) -> list[dict[str, Any]]:
    """Every line of a file of looks, oldest first; one that was torn by a kill or changed, or has not what is needed, is left out."""
    return [look for _, look in _lines(path, needed) if look is not None]


def damaged(path: Path) -> list[int]:
    """The numbers, from 1, of lines that are not as they were written, such as one that a kill tore."""
    needed: Mapping[str, type] = FROZEN if path.name != JUDGINGS else JUDGING
    return [number for number, look in _lines(path, needed) if look is None]


def mend(store: Store, path: Path) -> None:
    """Leave out the damaged lines of a file of looks; the file as it was is kept in the store's `tmp`."""
    if not path.is_file():
        store.remove(path)
        return
    lines, bad = path.read_bytes().split(b"\n"), set(damaged(path))
    kept = b"".join(text + b"\n" for number, text in enumerate(lines, 1) if text.strip() and number not in bad)
    with explained(store.root):
        shutil.copyfile(path, store.prepare().root / "tmp" / f"damaged-{path.parent.name}-{path.name}-{uuid.uuid4().hex[:12]}")
        write(path, kept)


def _lines(path: Path, needed: Mapping[str, type]) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Each line that is not empty with its number, and what it says; None where that cannot be trusted."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    except OSError:
        lines = [b"no file that can be read"]
    for number, text in enumerate(lines, 1):
        if text.strip():
            yield number, _look(text, needed)


def _look(text: bytes, needed: Mapping[str, type]) -> dict[str, Any] | None:
    with contextlib.suppress(ValueError, RecursionError):
        look = json.loads(text)
        if not isinstance(look, dict) or not all(isinstance(look.get(k), kind) for k, kind in needed.items()):
            return None
        held = look.pop(SEAL, None)
        whole = held == digest(canonical_json(look)) if held else set(look) <= UNSEALED
        if whole and SEEDS.fullmatch(look.get("seeds", "")):
            return look
    return None


def judgings(store: Store, experiment: str) -> list[dict[str, Any]]:
    """Every noted judging of an experiment's claims in a store, oldest first."""
    return read(store.root / "results" / experiment / JUDGINGS, JUDGING)


def append(path: Path, lines: bytes) -> None:
    """Put these lines at the end of a file, on lines of their own. Raises: OSError when the disk is full."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        end = os.fstat(handle).st_size
        torn = end > 0 and os.pread(handle, 1, end - 1) != b"\n"  # by a full disk: what follows would be lost with it
        lines = b"\n" * torn + lines
        if os.write(handle, lines) < len(lines):  # one write: lines of two processes never mix
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(handle)
    finally:
        os.close(handle)


def digest(text: str) -> str:
    """12 hex digits that stand for a text."""
    return sha256(text.encode()).hexdigest()[:12]
