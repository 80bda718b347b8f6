"""Mcp: the Model Context Protocol, for agents; it needs rooms that lie above the verbs."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import CycloptsError, Parameter

from assay.core import heavy
from assay.core.errors import AssayError
from assay.core.plain import plain
from assay.verbs.serve import opened
from assay.verbs.verb import HERE, Answer, Door, Flag, Flat, More, Place, verb


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Agents:
    """Where agents are answered, and what they may name."""

    http: int | None = None
    """Listen on this port of this machine instead of standard input; 0: any free port."""
    host: Annotated[str, More] = "127.0.0.1"
    """With --http: 127.0.0.1 or ::1."""
    workspace: Path | None = None
    """The one folder whose files an agent may use; by default none."""
    allow_code: Flag = False
    """Allow agents to run experiment files of the workspace, which are programs."""
    job_seconds: float = 3600.0
    """How long a run may take, in seconds of wall-clock time."""
    job_memory: float = 16.0
    """The address space of each process of a run, in GiB; there is no limit on a GPU."""
    jobs: int = 1
    """How many runs may be active at once."""
    run: Annotated[str, Parameter(allow_leading_hyphen=True)] = ""
    """Options of `assay run` that every run gets, in one text, such as "--device cuda"."""


@dataclass(frozen=True)
class ServedAgents:
    """Where agents are answered."""

    address: str
    root: str
    """The folder of the store."""


BY_STDIO = Agents()


@verb("where agents are answered")
def mcp(
    *, agents: Annotated[Agents, Flat] = BY_STDIO, place: Place = HERE, door: Door
) -> Answer[ServedAgents]:
    """Serve agents over the Model Context Protocol, on standard input and output (docs/agents.md).

    Examples
    --------
    assay mcp --http 8378
    assay mcp --jobs 4 --run "--on slurm --slurm partition=main --time 4h"
    """
    heavy.require("mcp")
    from assay.agents import serving
    from assay.agents.asking import Bounds
    from assay.jobs.process import Limits

    if agents.job_seconds <= 0 or agents.job_memory <= 0:
        raise AssayError("--job-seconds and --job-memory are numbers above 0")
    if agents.http is None and agents.host != Agents.host:
        raise AssayError("--host goes with --http PORT")
    options = options_of_run(agents.run)
    on_gpu = any("cuda" in word for word in options)
    limits = Limits(
        seconds=agents.job_seconds, memory=None if on_gpu else int(agents.job_memory * 2**30)
    )
    bounds = Bounds(
        workspace=agents.workspace and agents.workspace.resolve(), code=agents.allow_code
    )
    listening = None if agents.http is None else serving.listen(agents.host, agents.http)
    answer = opened(door)
    with door.speaking():
        serving.serve(
            place.root,
            bounds,
            limits,
            agents.jobs,
            options,
            listening,
            lambda address: answer(ServedAgents(address, str(place.root))),
        )
    return Answer(None)


def options_of_run(text: str) -> list[str]:
    """Read options of `assay run` from one text. Raises: AssayError for what is none."""
    from assay.cli.main import app

    try:
        words = shlex.split(text)
        app.parse_args(["run", "NAME", *words], exit_on_error=False, print_error=False)
    except (ValueError, CycloptsError) as error:
        raise AssayError(f"--run {plain(text)!r}: {plain(' '.join(str(error).split()))}") from error
    return words
