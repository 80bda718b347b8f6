"""Foreign: the door for files that somebody else wrote: what a path is, and how long, is looked at before anything is read."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

from assay.core.errors import DataError

LONGEST = 16 * 2**20
"""Bytes of JSON settings that are read; those that are known have a few thousand."""
KINDS = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a pipe, which may never end",
    stat.S_ISCHR: "a device, which may never end",
    stat.S_ISBLK: "a device",
    stat.S_ISSOCK: "a socket",
}


def regular(path: Path, expected: str = "a file") -> Path:
    """This path, if a file is there, links followed. Raises: DataError for anything that may block, never end, or is not there."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # ValueError: a NUL in its name
        raise DataError(f"{path} cannot be read ({getattr(error, 'strerror', None) or error}); expected {expected}") from error
    if not stat.S_ISREG(mode):
        kind = next((told for is_it, told in KINDS.items() if is_it(mode)), "no file")
        raise DataError(f"{path} is {kind}; expected {expected}")
    return path


def json_object(path: Path, longest: int = LONGEST) -> dict[str, Any]:
    """The JSON object in a file of at most so many bytes. Raises: DataError."""
    with regular(path, "a JSON file").open("rb") as file:
        text = file.read(longest + 1)
    if len(text) > longest:
        raise DataError(f"{path} is more than {longest / 2**20:.0f} MiB of JSON; settings are a few lines")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise DataError(f"{path} is not readable JSON ({first})") from error
    if not isinstance(value, dict):
        raise DataError(f"{path} must hold one JSON object, got a {type(value).__name__}")
    return value
