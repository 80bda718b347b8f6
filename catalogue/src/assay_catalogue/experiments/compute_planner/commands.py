"""Assay itself as a subject: one of its commands, run as a user would run it, with what it printed
and what it took."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from assay.core.errors import RunError

LIMIT = 600.0
"""Seconds after which a command is ended."""


@dataclass(frozen=True)
class Ran:
    """One command that ended well."""

    told: dict[str, Any]
    """The JSON object it printed."""
    seconds: float
    """By the clock, the start of the interpreter included."""
    cpu_seconds: float
    """Of the process and of those it started, user and system together."""
    load: float
    """What `load` said just before and just after it, their geometric mean."""


def load(cpu_seconds: float = 0.2) -> float:
    """How crowded the cores are: a busy loop's seconds by the clock over its CPU-seconds.

    Range: 1 on a core of its own; about 2 where two processes share each core; above. Takes
    `cpu_seconds` of CPU."""
    clock, start = time.perf_counter(), time.thread_time()
    while time.thread_time() - start < cpu_seconds:
        pass
    return (time.perf_counter() - clock) / (time.thread_time() - start)


def ran(*words: str, root: str) -> Ran:
    """What `assay WORDS --root ROOT --json` printed and took, on one thread. Ended when this
    process is interrupted.

    CPU-seconds are those of all children that ended meanwhile: run one command at a time.
    Raises: RunError with the last line it wrote when it fails, or takes ten minutes.
    """
    command: Sequence[str] = [sys.executable, "-m", "assay", *words, "--root", root, "--json"]
    crowded = load()
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    try:
        process = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
    except subprocess.TimeoutExpired as e:
        raise RunError(f"assay {' '.join(words)} took longer than {LIMIT:.0f} seconds") from e
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        last = (process.stderr.strip().splitlines() or ["nothing was written"])[-1]
        raise RunError(f"assay {' '.join(words)} ended with {process.returncode}: {last}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Ran(json.loads(process.stdout), seconds, cpu, (crowded * load()) ** 0.5)
