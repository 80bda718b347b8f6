"""Memory: what a process that worked on one experiment hands back before it works on another."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc

_CACHE = type(functools.cache(lambda: None))


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
