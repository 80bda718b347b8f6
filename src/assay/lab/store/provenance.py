"""Where a number comes from: versions, commit, machine and times; no host names and no paths."""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import os
import platform
import resource
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("torch", "numpy", "scipy", "xarray", "transformers", "tokenizers", "safetensors")


@functools.cache
def software() -> dict[str, Any]:
    """Version of Assay and of what its numbers depend on, and the commit where Assay runs from a
    checkout."""
    ours = {
        "assay": _version("interp-assay"),
        "commit": commit(),
        "python": platform.python_version(),
    }
    return ours | {p: _version(p) for p in _PACKAGES}


@functools.cache
def commit() -> str:
    """The git commit of the checkout Assay runs from, with `+` when files differ from it; empty
    outside a checkout."""
    checkout = Path(__file__).resolve().parents[4]
    if not (checkout / ".git").exists():
        return ""
    try:
        head = subprocess.run(
            ["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10
        )
        dirty = subprocess.run(
            ["git", "-C", checkout, "status", "--porcelain", "-uno"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    if head.returncode == 0:
        return head.stdout.strip()[:12] + ("+" if dirty.stdout.strip() else "")
    return ""


@functools.cache
def machine() -> dict[str, Any]:
    """Processor, cores, free cores and memory in GiB."""
    sizes = {
        "cores": os.cpu_count() or 1,
        "free_cores": cores(),
        "memory_gib": round(_memory() / 2**30, 1),
    }
    return {"cpu": _cpu(), **sizes, "system": platform.system()}


THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
"""The variables that say, before a library is loaded, on how many threads it computes."""


def cores() -> int:
    """The number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def timestamp(seconds: float | None = None) -> str:
    """The present time, or that many seconds after the epoch, as ISO 8601 in UTC, to the second."""
    moment = time.time() if seconds is None else seconds
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).isoformat(timespec="seconds")


def peak_rss() -> int:
    """The largest resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def cpu_seconds() -> float:
    """CPU-seconds of this process so far, and of those it started that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def forget_peak() -> None:
    """Start `peak_rss` anew from what is resident now, where the system (Linux) can do so."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0


def digest(text: str) -> str:
    """64 hex digits: SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()
