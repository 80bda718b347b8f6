"""Files that someone else wrote: what a path is and how much it holds is looked at before it is
read."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from assay.errors import DataError

LARGEST = 256 * 2**20
"""Bytes of a table or a log."""


def contents(path: Path, most: int = LARGEST) -> bytes:
    """Read a regular file of at most so many bytes; a pipe or device is never waited for.

    Raises:
        DataError: no-file, not-a-file, too-large, unreadable.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise DataError("no-file", "there is no such file", str(path)) from None
    except (OSError, ValueError) as e:  # ValueError: a NUL in the name
        raise DataError("unreadable", str(getattr(e, "strerror", e)), str(path)) from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise DataError("not-a-file", "a file is needed, not a folder or pipe", str(path))
    with os.fdopen(handle, "rb") as file:
        data = file.read(most + 1)  # a file of /proc says that it has no bytes
    if len(data) > most:
        raise DataError("too-large", f"it has more than {most >> 20:,} MiB", str(path))
    return data


def text(path: Path) -> str:
    """Read a file of UTF-8 text, with or without a mark at its start. Raises: DataError."""
    try:
        return contents(path).decode("utf-8-sig")
    except UnicodeDecodeError as e:
        message = f"byte {e.start:,} is not UTF-8 text: save the file as UTF-8"
        raise DataError("not-text", message, str(path)) from None


def from_json(data: str | bytes, at: str) -> Any:
    """The value that a text of JSON holds. Raises: DataError with the code not-json."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as e:
        raise DataError("not-json", f"it is not JSON: {e}", at) from None
