"""Worker: join a store's workers from any machine that sees its folder, and say what was done."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core.errors import AssayError
from assay.lab import catalogue
from assay.lab.away.worker_loop import Did, Joined
from assay.lab.records.provenance import THREADS
from assay.lab.work.events import Started
from assay.verbs.options import ANYWHERE, Anywhere, Several, device_here
from assay.verbs.verb import Answer, Door, Line, batch, duration, verb

ENDED = {"done": "stored", "failed": "crashed", "left": "left at its checkpoint"}
"""How a group ended here, in words."""


@dataclass(frozen=True)
class Worked:
    """What a worker did until it left."""

    groups: tuple[Did, ...]
    """In the order in which it took them up; one that it left and took up again stands twice."""


@verb("which groups a worker took up, and how each ended there")
def worker(
    *,
    experiment: Several = (),
    study: Path | None = None,
    idle: float | None = None,
    threads: int = 1,
    device: str | None = None,
    place: Anywhere = ANYWHERE,
    door: Door,
) -> Answer[Worked]:
    """Join a store from this or any machine that sees its folder, and work at what somebody waits
    for with --executor none.

    Parameters
    ----------
    experiment
        Only work for this experiment, by its name or file. Repeatable.
    study
        The file of a study: only work for that.
    idle
        Leave after so many seconds with nothing to do; without it, wait for more. Ctrl-C or
        SIGTERM: leave at the next checkpoint.
    threads
        Threads of this process; start more workers before you give one more threads.
    device
        Where tensors live on this machine: cpu, cuda, cuda:1; without it, where whoever waits wants
        them.

    Examples
    --------
    assay worker --idle 5
    """
    if threads < 1:
        raise AssayError(f"--threads is a number of threads from 1 up, got {threads}")
    if idle is not None and not idle >= 0:
        raise AssayError(f"--idle is a number of seconds from 0 up, got {idle}")
    # before NumPy is used, whose threads are counted once
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
    if device is not None:
        device_here(device)
    until = "" if idle is None else f", until there is nothing to do for {duration(idle)}"
    door.aside(f"at work for {place.root.absolute()}{until}")
    names = (*experiment, *([str(study)] if study is not None else []))
    only = [catalogue.entry(name).name for name in names]

    def tell(event: Any) -> None:
        door.aside(event if isinstance(event, str) else line(event))

    worked = Worked(tuple(Joined(place.root, only, device, tell, threads).run(idle)))
    counts = Counter[str](did.status for did in worked.groups)
    ended = [f"{counts[word]} {word}" for word in ENDED if counts[word] or word == "done"]
    return Answer(worked, [Line("left; " + ", ".join(ended))])


def line(event: Any) -> str:
    """Say of a group that it was taken up, or how it ended here."""
    if isinstance(event, Started):
        runs = f"{event.runs} {'run' if event.runs == 1 else 'runs'}"
        return f"{batch(event.arms, event.seeds)}: {runs} taken up"
    why = f", {event.text}" if event.text else ""
    return (
        f"{event.experiment}: {', '.join(event.arms)} {ENDED[event.status]} after "
        f"{duration(event.seconds)}{why}"
    )
