"""`assay worker`: a line for each group on standard error while it works, and at its end what was
done."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.cli import printing
from assay.cli.progress import batch, duration
from assay.core.errors import AssayError
from assay.lab.records.provenance import THREADS
from assay.lab.work.events import Started
from assay.verbs.worker import worker

if TYPE_CHECKING:
    from assay.cli.options import Place


def run(
    place: Place,
    experiments: tuple[str, ...],
    study: Path | None,
    idle: float | None,
    threads: int,
    device: str | None,
) -> int:
    """Join the store, and work until asked to leave or idle for long enough. Raises: AssayError for
    options that make no sense."""
    from assay.cli.options import device_here

    if threads < 1:
        raise AssayError(f"--threads is a number of threads from 1 up, got {threads}")
    if idle is not None and not idle >= 0:
        raise AssayError(f"--idle is a number of seconds from 0 up, got {idle}")
    os.environ.update(
        dict.fromkeys(THREADS, str(threads))
    )  # before NumPy is loaded, which asks once
    if device is not None:
        device_here(device)

    tell(
        f"at work for {place.root.absolute()}"
        + ("" if idle is None else f", until there is nothing to do for {duration(idle)}")
    )
    with printing.aside():
        names = (*experiments, *([str(study)] if study is not None else []))
        outcome = worker(place.root, names, idle=idle, threads=threads, device=device, tell=tell)
    if place.json:
        printing.emit(outcome)
    else:
        count = {
            status: sum(did.status == status for did in outcome.groups)
            for status in ("done", "failed", "left")
        }
        printing.tell(
            "left; " + ", ".join(f"{n} {word}" for word, n in count.items() if n or word == "done")
        )
    return 0


def tell(event: Any) -> None:
    """Print what a worker says of a group, as one line."""
    printing.tell(event if isinstance(event, str) else line(event), sys.stderr)


def line(event: Any) -> str:
    """Say of a group that it was taken up, or how it ended here."""
    if isinstance(event, Started):
        return f"{batch(event)}: {event.runs} {'run' if event.runs == 1 else 'runs'} taken up"
    why = f", {event.text}" if event.text else ""
    ended = {"done": "stored", "failed": "crashed", "left": "left at its checkpoint"}[event.status]
    return (
        f"{event.experiment}: {', '.join(event.arms)} {ended} after {duration(event.seconds)}{why}"
    )
