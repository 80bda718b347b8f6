"""Memory: what a process that worked on one experiment hands back before it works on another."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import math
import os
from pathlib import Path

MUCH = 2**30
"""Bytes beyond which a worker hands back: less is not worth half a second, nor that a model is read again when experiments take turns."""
_CACHE = type(functools.cache(lambda: None))


def resident() -> float:
    """Bytes of this process that are in memory now; infinity where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return math.inf


def hand_back() -> None:
    """Empty the caches of Assay's functions, language models and open harvests among them, and give free memory to the system.

    What was cached is made again where it is asked for again.
    """
    for cached in [found for found in gc.get_objects() if type(found) is _CACHE]:
        if str(getattr(cached, "__module__", "")).startswith("assay."):
            cached.cache_clear()
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # where the C library is not glibc
        ctypes.CDLL(None).malloc_trim(0)  # what is free between blocks in use as well
