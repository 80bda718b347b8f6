"""Doors that a verb opens: the explorer for browsers, HTTP for programs, the Model Context Protocol
for agents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from assay.core import extras
from assay.core.errors import AssayError
from assay.verbs.options import HERE, Flag, Flat, Place
from assay.verbs.verb import Answer, Aside, Door, Line, Part, verb

if TYPE_CHECKING:
    from assay.jobs.work import Limits


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Api:
    """Whether and how programs submit work over HTTP."""

    api: Flag = False
    """Instead, and alone: answer programs that submit studies and experiments; a runner takes their
    jobs (docs/api.md)."""
    token_file: Path | None = None
    """With --api: TOML that says who may ask, and how much; beyond this machine it is needed."""
    new_token: str | None = None
    """With --api: print a new token for this name, and the lines for the file, and end."""
    workspace: Path | None = None
    """With --api: the one folder whose files a submission may name; none without it."""
    allow_code: Flag = False
    """With --api: experiment files of the workspace may run; they are programs."""
    job_seconds: float = 3600.0
    """With --api: the longest that a job may run, by the clock."""
    job_memory: float = 16.0
    """With --api: GiB of address space that each process of a job may have."""
    jobs: int = 1
    """With --api: how many jobs run at the same time."""
    on: str = "workers"
    """With --api: where jobs train, as for `assay mcp`."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Agents:
    """Where agents come in, and what they may name."""

    http: int | None = None
    """Answer at this port instead; 0: any that is free."""
    host: str = "127.0.0.1"
    """With --http: the address; beyond this machine tokens are needed."""
    token_file: Path | None = None
    """With --http: TOML that says who may ask, and how much, as for `assay serve --api`."""
    workspace: Path | None = None
    """The one folder whose files an agent may name; none without it."""
    allow_code: Flag = False
    """Experiment files of the workspace may run; they are programs."""
    job_seconds: float = 3600.0
    """The longest that a job may run, by the clock; with --on none or an engine, with its wait for
    workers."""
    job_memory: float = 16.0
    """GiB of address space that each process of a job may have."""
    jobs: int = 1
    """How many submitted jobs run at the same time."""
    on: str = "workers"
    """Where they train: workers, inline or none as after `assay run --executor`, or slurm, ray:… or
    local:N as after `assay run --on`; in the same text what goes with it, such as "slurm
    --partition gpu --time 4:00:00"."""


NO_API, BY_STDIO = Api(), Agents()


def opened(door: Door, in_browser: bool = False, meanwhile: str = "") -> Callable[[Any], None]:
    """Give what tells where a door is as soon as it can be entered, and what is done meanwhile."""

    def ready(served: Any) -> None:
        door.answer(
            Answer(served, [Line(served.address), *([Aside(meanwhile)] if meanwhile else [])])
        )
        if in_browser:
            door.open(served.address)

    return ready


def served() -> Any:
    """Give the types of what `serve` answers."""
    from assay.api.serving import Served as ToPrograms
    from assay.http.tokens import Made
    from assay.verbs.serve import Served

    return Served | ToPrograms | Made


def to_agents() -> Any:
    """Give the type of what `mcp` answers."""
    from assay.api.serving import Served

    return Served


@verb("where the explorer answers, or programs are; a new token", results=served)
def serve(
    dictionary: str | None = None,
    /,
    *,
    model: str = "smollm2",
    text: str = "stdlib",
    tokens: int | None = None,
    ablate: int | None = None,
    site: str | None = None,
    context: int | None = None,
    bos: bool | None = None,
    host: str = "127.0.0.1",
    port: int | None = None,
    token: str | None = None,
    open: Flag = False,
    names: Path | None = None,
    programs: Api = NO_API,
    place: Place = HERE,
    door: Door,
) -> Answer[Any]:
    """Explore the dictionaries of a store in the browser: their features, prompts, search,
    verdicts; and small models. Ends with Ctrl-C.

    Parameters
    ----------
    dictionary
        A dictionary to open at; where it is not indexed, that is done meanwhile.
    model
        Of a dictionary that is not indexed yet: smollm2, gemma3-270m, a model's folder, or a hub's
        OWNER/NAME (assay fetch).
    text
        And stdlib, docs (docstrings), or a folder of text files.
    tokens
        Tokens that the model reads for its index, 32768 without it; more than were read before add
        to those.
    ablate
        Features that are taken out on a sample for its index, 32 without it; 0: none.
    site
        Where its activations are read, such as blocks.9.hook_resid_post, if its file does not say.
    context
        Tokens in a window; 128 where the file does not say.
    bos
        Whether each window starts with the model's BOS token.
    host
        Address to answer at; beyond this machine a token is asked for.
    port
        8377 where it is free, else any, without it.
    token
        What a browser has to bring once, in the address; made up without it where one is needed.
    open
        Show it in the browser.
    names
        A CSV file of names for the dictionary's features, such as a language model's: columns
        feature, words and, where it is known, score.

    Examples
    --------
    assay serve gated-sae/showcase --open
    """
    if programs != NO_API:
        return serve_programs(programs, host, port, place, door)
    from assay.verbs import background
    from assay.verbs import serve as explorer

    wanted, meanwhile = None, ""
    if dictionary is not None:
        wanted = background.locate_index(
            dictionary,
            model,
            text,
            place.root,
            tokens=tokens,
            ablate=ablate,
            site=site,
            context=context,
            bos=bos,
        )
        meanwhile = (
            f"{wanted.name} is being indexed; the pages say how far that is, and Ctrl-C ends both"
        )
    ready = opened(door, open, meanwhile if wanted is not None and wanted.make else "")
    explorer.serve(place.root, host, port, token, wanted, names, ready=ready)
    return Answer(None)


def serve_programs(api: Api, host: str, port: int | None, place: Place, door: Door) -> Answer[Any]:
    """Answer programs until interrupted, or give a new token."""
    from assay.api import serving
    from assay.jobs.bounds import Bounds
    from assay.verbs.run import site

    if not api.api:
        raise AssayError(
            "--token-file, --new-token, --workspace, --allow-code, --job-seconds, "
            "--job-memory, --jobs and --on go with --api"
        )
    if api.new_token is not None:
        return token(api.new_token, api.token_file)

    bounds = Bounds(workspace=api.workspace, code=api.allow_code)
    serving.serve(
        place.root,
        host,
        port,
        api.token_file,
        bounds,
        limits(api),
        width=api.jobs,
        site=site(api.on),
        ready=opened(door),
    )
    return Answer(None)


def limits(door: Api | Agents) -> Limits:
    """Read what one job may take. Raises: AssayError."""
    from assay.jobs.work import Limits

    if door.job_seconds <= 0 or door.job_memory <= 0:
        raise AssayError("--job-seconds and --job-memory are numbers above 0")
    return Limits(seconds=door.job_seconds, memory=int(door.job_memory * 2**30))


def token(name: str, file: Path | None) -> Answer[Any]:
    """Give a new token, which is shown only here, and the lines that let it in."""
    from assay.http.tokens import new

    created = new(name)
    words: list[Part] = [
        f"The token of {name}, shown only once: {created.token}",
        f"Add this to {file or 'the file that --token-file names'}:",
        "",
        Line(created.lines),
    ]
    return Answer(created, words)


@verb("where agents are answered", results=to_agents)
def mcp(
    *, agents: Annotated[Agents, Flat] = BY_STDIO, place: Place = HERE, door: Door
) -> Answer[Any]:
    """Answer agents by the Model Context Protocol, on standard input and output, and run what they
    submit (docs/agents.md).

    Examples
    --------
    assay mcp --http 8378
    assay mcp --http 8378 --jobs 4 --on "slurm --partition main --time 4:00:00"
    """
    extras.require("mcp")
    from assay.agents import serving
    from assay.jobs.bounds import Bounds
    from assay.verbs.run import site

    bounds = Bounds(
        workspace=agents.workspace and agents.workspace.resolve(), code=agents.allow_code
    )
    http_door = serving.Door(port=agents.http, host=agents.host, tokens=agents.token_file)
    with door.speaking():
        serving.serve(
            place.root,
            http_door,
            bounds,
            limits(agents),
            agents.jobs,
            site(agents.on),
            opened(door),
        )
    return Answer(None)
