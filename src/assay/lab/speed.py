"""Speed: how long fixed pieces of work take on this machine, measured once and kept, and how it
compares with another machine.

`assay bench` measures and keeps; a plan scales by it what a record cost elsewhere. One file beside
the models holds what was measured of each machine, by processor, threads and torch version: a home
may be shared by several."""

from __future__ import annotations

import contextlib
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from math import exp, log
from pathlib import Path
from typing import Any

from assay.core import cache
from assay.core.compute import Range
from assay.core.heavy import torch
from assay.lab import provenance
from assay.lab.atomic import write

PRODUCT = "product 512 × 512, NumPy"
"""The piece of work that `assay.core.compute.measured` repeats, whose FLOP are known: it turns FLOP
into seconds."""
_FLOP = 2 * 512**3
STARTING = "start a worker"
"""The piece of work that every command does once, and every worker of it."""
FILES = ("write 64 MB", "read 64 MB")
"""Pieces of work that the disk decides; they tell nothing of how long training takes."""
HOURS = 1.1
"""By what factor one machine differs from itself at another hour, where only its own programs
run."""
_REPEATS = 25


@dataclass(frozen=True)
class Piece:
    """How long one piece of work took, in CPU-milliseconds of one thread."""

    median_ms: float
    min_ms: float


@dataclass(frozen=True)
class Speed:
    """What was measured of one machine."""

    cpu: str
    threads: int
    torch: str
    measured: str
    """When, in ISO 8601."""
    pieces: Mapping[str, Piece]

    def medians(self) -> dict[str, float]:
        """Milliseconds by piece, as a result keeps them."""
        return {name: piece.median_ms for name, piece in self.pieces.items()}


def load_speed(threads: int = 1, file: Path | None = None) -> Speed | None:
    """What is kept of this processor with this torch and so many threads; None where nothing is, or
    nothing that can be read."""
    cpu, torch = machine()
    try:
        entry = _read_speeds(file or _file())[_key(cpu, threads, torch)]
        pieces = {
            str(name): Piece(float(p["median_ms"]), float(p["min_ms"]))
            for name, p in entry["pieces"].items()
        }
        return Speed(cpu, threads, torch, str(entry["measured"]), pieces)
    except (TypeError, KeyError, ValueError, AttributeError):
        return None


def keep(speed: Speed, file: Path | None = None) -> None:
    """Keep what was measured, in place of what was known of the same machine. Raises: OSError."""
    from filelock import FileLock

    target = file or _file()
    target.parent.mkdir(parents=True, exist_ok=True)
    pieces = {
        name: {"median_ms": p.median_ms, "min_ms": p.min_ms} for name, p in speed.pieces.items()
    }
    with FileLock(target.with_suffix(".lock")):
        known = _read_speeds(target) | {
            _key(speed.cpu, speed.threads, speed.torch): {
                "measured": speed.measured,
                "pieces": pieces,
            }
        }
        write(target, (json.dumps(known, indent=1, ensure_ascii=False) + "\n").encode())


def machine() -> tuple[str, str]:
    """Name this processor, and the version of torch; "" where none is installed."""
    try:
        torch = metadata.version("torch")
    except metadata.PackageNotFoundError:
        torch = ""
    return str(provenance.machine()["cpu"]), torch


def compared(speed: Speed | None, reference: Mapping[str, float]) -> Range | None:
    """CPU-seconds here for each one there, from the pieces of work that both have; None where there
    are none.

    Formula: geometric mean of the ratios, times and divided by their geometric standard deviation,
    or HOURS if that is more"""
    pieces = speed.medians() if speed is not None else {}
    names = [
        name
        for name in pieces
        if reference.get(name, 0) > 0 and pieces[name] > 0 and name not in FILES
    ]
    if not names:
        return None
    logs = [log(pieces[name] / reference[name]) for name in names]
    middle, spread = exp(statistics.fmean(logs)), max(exp(statistics.pstdev(logs)), HOURS)
    return Range(middle / spread, middle * spread)


def flop_per_cpu_second() -> float | None:
    """FLOP of plain matrix products in a CPU-second of this machine; None where they were not
    measured."""
    known = load_speed()
    return (
        1e3 * _FLOP / known.pieces[PRODUCT].median_ms
        if known is not None and PRODUCT in known.pieces
        else None
    )


def relative_speed(record: Mapping[str, Any]) -> Range | None:
    """CPU-seconds here for each one on the machine of a record or result; None where one of them
    was not measured."""
    reference = recorded(record)
    return compared(load_speed(), reference) if reference else None


def recorded(record: Mapping[str, Any]) -> Mapping[str, float]:
    """Milliseconds by piece on the machine of a record or result; empty where nobody measured
    it."""
    milliseconds = record.get("provenance", {}).get("speed", {})
    return (
        {str(k): float(v) for k, v in milliseconds.items() if isinstance(v, int | float)}
        if isinstance(milliseconds, dict)
        else {}
    )


def timed(work: Callable[[], None], seconds: float, warm: bool = True) -> Piece:
    """How long a piece of work takes on one thread: once to `warm` up, then again until this many
    seconds have gone by, at least once."""
    until = time.monotonic() + seconds
    with one_thread():
        if warm:
            work()
        spent: list[float] = []
        while not spent or (time.monotonic() < until and len(spent) < _REPEATS):
            start = provenance.cpu_seconds()
            work()
            spent.append(1e3 * (provenance.cpu_seconds() - start))
    return Piece(statistics.median(spent), min(spent))


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Have torch compute on one thread meanwhile, as a worker does."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _file() -> Path:
    return cache.folder() / "speed.json"


def _key(cpu: str, threads: int, torch: str) -> str:
    return f"{cpu}, {threads} thread{'s' * (threads != 1)}, torch {torch}"


def _read_speeds(file: Path) -> dict[str, Any]:
    try:
        speeds = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return speeds if isinstance(speeds, dict) else {}
