"""Programs that somebody edits are compiled from their text each time: Python tells kept bytecode
from a newer text by whole seconds and length."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def unkept() -> Iterator[None]:
    """Keep no bytecode of what the body imports or runs, so that the same file, edited within the
    second, is read anew."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
