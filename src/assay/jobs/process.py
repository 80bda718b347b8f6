"""Process: `assay run` as a process of its own, identified by its number and the time it started,
since the system gives numbers of ended processes to others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

from assay.lab.work.template import VARIABLE, Forked

GRACE = 15.0
"""Seconds that a run has to end by itself after it was interrupted."""
BOOT = """
import os, resource, signal, sys
memory, seconds = map(int, sys.argv[1:3])
if not os.read(0, 1): sys.exit()
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.nice(5)
if memory: resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
signal.alarm(seconds)
"""
COLD = f"{BOOT}os.execv(sys.executable, [sys.executable, '-P', '-m', 'assay', *sys.argv[3:]])"
WARM = f"{BOOT}import runpy; del sys.argv[1:3]; runpy.run_module('assay', run_name='__main__')"
"""Waits until its number is written down, then becomes `assay run`. Its alarm survives that, so a
run ends in time even where no server is left."""
IMPORTS = "import torch, assay.ask.composing, assay.lab.work.worker, assay.verbs.run"
"""What a template of runs imports first."""
ANSWERS = 10.0
"""Seconds that a template may take to fork, as when it opens a model for another run."""
Child: TypeAlias = subprocess.Popen[bytes] | Forked


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one run may use; None: as much as it takes."""

    seconds: float | None = None
    """By the clock, since it was started."""
    memory: int | None = None
    """Bytes of address space of each of its processes."""


def environment() -> dict[str, str]:
    """The variables of a run: it imports what this process does, and nothing that happens to be in
    its folder."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


def spawn(
    words: Sequence[str],
    place: Path,
    output: Path,
    log: Path,
    limits: Limits,
    template: str = "",
) -> tuple[Child, IO[bytes]]:
    """Start `assay` with these words in a folder and a process group of its own, and give where it
    waits for a byte; forked from the template at this address, if there is one."""
    seconds = 0 if limits.seconds is None else int(limits.seconds + GRACE) + 1
    for path in (output, log):  # what an earlier process still writes is another file
        path.unlink(missing_ok=True)
    words, env = [str(limits.memory or 0), str(seconds), *words], environment()
    waits, go = os.pipe()
    with output.open("wb") as out, log.open("wb") as err, open(waits, "rb") as given:  # noqa: PTH123
        streams = [file.fileno() for file in (given, out, err)]
        if template:
            warm = {**env, VARIABLE: template}  # its workers are forked there as well
            how: dict[str, Any] = {"cwd": place, "timeout": ANSWERS, "session": True}
            with suppress(OSError):
                return Forked(template, WARM, words, streams, warm, **how), os.fdopen(go, "wb")
        command = [sys.executable, "-P", "-c", COLD, *words]
        child = subprocess.Popen(
            command, stdin=given, stdout=out, stderr=err, env=env, cwd=place, start_new_session=True
        )
    return child, os.fdopen(go, "wb")


def started(pid: int) -> str:
    """Say when the process of this number started, as the system writes it; "" where there is none,
    or it has ended."""
    status, boot = Path(f"/proc/{pid}/stat"), Path("/proc/sys/kernel/random/boot_id")
    if not boot.exists():  # no Linux
        words = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
        state, _, when = subprocess.run(words, capture_output=True, text=True).stdout.partition(" ")
        return "" if state.startswith("Z") else when.strip()
    try:
        fields = status.read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    # ticks since the machine started, of which the other number tells one start from the next
    return "" if fields[0] in "ZX" else f"{boot.read_text().strip()} {fields[19]}"


def last_line(log: Path) -> str:
    """Give the last line that a process printed into a file; "" where there is none."""
    with suppress(OSError), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = file.read().decode(errors="replace").split("\n")
        return next(filter(None, map(str.strip, reversed(lines))), "")
    return ""
