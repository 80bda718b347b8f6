"""Process: `assay run` as a process of its own, identified by its number and the time it started,
since the system gives numbers of ended processes to others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

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
IMPORTS = """
import assay.ask.composing, assay.cli.progress, assay.lab.judge.result, assay.lab.work.worker
import assay.verbs.run, assay.verbs.verdicts
import torch._dynamo, scipy.special, xarray
"""
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

    def words(self) -> list[str]:
        """Say them to `BOOT`."""
        seconds = 0 if self.seconds is None else int(self.seconds + GRACE) + 1
        return [str(self.memory or 0), str(seconds)]


def environment() -> dict[str, str]:
    """The variables of a run: it imports what this process does, and nothing that happens to be in
    its folder."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


def spawn(
    words: Sequence[str], place: Path, output: Path, log: Path, limits: Limits
) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    """Start `assay` with these words in a folder and a process group of its own, and give where it
    waits for a byte."""
    command = [sys.executable, "-P", "-c", COLD, *limits.words(), *words]
    with _streams(output, log) as (streams, go):
        given, out, err = streams
        return subprocess.Popen(
            command,
            stdin=given,
            stdout=out,
            stderr=err,
            env=environment(),
            cwd=place,
            start_new_session=True,
        ), go


def fork(
    template: str, words: Sequence[str], place: Path, output: Path, log: Path, limits: Limits
) -> tuple[Forked, IO[bytes]]:
    """Start it as a fork of the template at this address, where its workers are forked as well.
    Raises: OSError where the template is gone or busy."""
    env = {**environment(), VARIABLE: template}
    with _streams(output, log) as (streams, go):
        return Forked(
            template,
            WARM,
            [*limits.words(), *words],
            streams,
            env,
            cwd=place,
            timeout=ANSWERS,
            session=True,
        ), go


@contextmanager
def _streams(output: Path, log: Path) -> Iterator[tuple[list[int], IO[bytes]]]:
    """Have the three streams of a process while it starts, and what writes to the first."""
    for path in (output, log):  # what an earlier process still writes is another file
        path.unlink(missing_ok=True)
    waits, goes = os.pipe()
    go = os.fdopen(goes, "wb")
    try:
        with output.open("wb") as out, log.open("wb") as err:
            yield [waits, out.fileno(), err.fileno()], go
    except OSError:
        go.close()
        raise
    finally:
        os.close(waits)


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
    # ticks since the machine started, and an id that distinguishes its starts
    return "" if fields[0] in "ZX" else f"{boot.read_text().strip()} {fields[19]}"


def last_line(log: Path) -> str:
    """Give the last line that a process printed into a file; "" where there is none."""
    with suppress(OSError), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = file.read().decode(errors="replace").split("\n")
        return next(filter(None, map(str.strip, reversed(lines))), "")
    return ""
