"""Memory: what a process that worked on one experiment hands back before it works on another, and
which errors say that it was too little."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import math
import os
import sys
from pathlib import Path

from assay.core.compute import free_memory
from assay.lab import catalogue

MUCH = 2**30
"""Bytes beyond which a worker hands back where memory is short: less is not worth half a second,
nor that a model is read again when experiments take turns."""
_WORDS = (
    "can't start new thread",
    "not enough memory",
    "can't allocate memory",
    "CUDA out of memory",
    "HIP out of memory",
    "MPS backend out of memory",
)
"""What Python says of threads, and torch's allocators; that of the processor raises a RuntimeError
like any other."""
_CACHE = type(functools.cache(lambda: None))


def lacked(error: BaseException) -> bool:
    """Whether an error says that there was no memory left: Python's and NumPy's, and torch's of a
    processor or a device."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)


def resident() -> float:
    """Bytes of this process that are in memory now; infinity where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return math.inf


def is_short() -> bool:
    """Whether this process holds much, and the system could not give as much again."""
    return (used := resident()) > MUCH and free_memory() < used


def hand_back() -> None:
    """Empty the caches of Assay's functions, language models and open harvests among them, and give
    free memory to the system.

    What was cached is made again where it is asked for again.
    """
    packages = {"assay", *(name.partition(".")[0] for name in catalogue.modules())}
    ours = tuple(f"{name}." for name in packages)
    for cached in [candidate for candidate in gc.get_objects() if type(candidate) is _CACHE]:
        if str(getattr(cached, "__module__", "")).startswith(ours):
            cached.cache_clear()
    gc.collect()
    if "torch" in sys.modules and sys.modules["torch"].cuda.is_initialized():
        sys.modules["torch"].cuda.empty_cache()
    with contextlib.suppress(OSError, AttributeError):  # where the C library is not glibc
        ctypes.CDLL(None).malloc_trim(0)  # what is free between blocks in use as well
