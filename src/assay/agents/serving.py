"""Serving: the MCP server of a store by stdio, or by HTTP; the runner of its jobs is a process of
its own.

By HTTP the guard of the other interface for programs stands before it: names, pages of other sites,
tokens, sizes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mcp.server.transport_security import RequestBodyLimitMiddleware, TransportSecuritySettings

from assay.agents.server import Server, make_server
from assay.agents.tools import Tools
from assay.api import problems
from assay.api.guard import BODY, Guard, Rules
from assay.api.problems import Refused
from assay.api.tokens import read
from assay.core.errors import AssayError
from assay.explorer.security import LOOPBACK
from assay.jobs.bounds import Bounds
from assay.jobs.runner import running
from assay.jobs.work import Limits
from assay.lab.store import Store
from assay.verbs.serve import is_here, listen

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/mcp"
"""Where the server answers by HTTP."""
LIMITS = Limits(seconds=3600.0, memory=16 * 2**30)
"""What one job may take."""


@dataclass(frozen=True, kw_only=True)
class Door:
    """Where agents come in: standard input and output without a port, else an address, and who has
    a token for it."""

    port: int | None = None
    host: str = "127.0.0.1"
    tokens: Path | None = None


@dataclass(frozen=True)
class Served:
    """Where agents are answered by HTTP."""

    address: str
    root: str
    """The folder of the store."""
    tokens: int
    """How many tokens are let in; 0: whoever runs programs on this machine."""


def serve(
    root: Path, door: Door, bounds: Bounds, width: int, ready: Callable[[Served], None]
) -> None:
    """Answer agents about a store until they leave, or by HTTP until interrupted, and run what they
    submit.

    `ready` is told where, by HTTP. Raises: AssayError for a folder or a file that cannot be used,
    for an address beyond this machine without tokens, and where the port cannot be had.
    """
    place = bounds.workspace
    if place is not None and not place.is_dir():
        raise AssayError(
            f"{place} is no folder; --workspace names the folder whose files an agent may name"
        )
    if bounds.code and place is None:
        raise AssayError("--allow-code runs files of a workspace; name it with --workspace FOLDER")
    if width < 1:
        raise AssayError(f"--jobs is a number of jobs from 1 up, got {width}")
    if door.port is None and (door.tokens is not None or door.host != Door.host):
        raise AssayError(
            "--host and --token-file go with --http PORT; on standard input and output "
            "whoever started it is asked for no token"
        )
    if door.tokens is None and not is_here(door.host):
        raise AssayError(
            f"at {door.host} others can ask: name a file of tokens with --token-file, or "
            "leave out --host"
        )
    rules = Rules(_names(door.host), () if door.tokens is None else read(door.tokens))
    store = Store(root.absolute()).prepare()
    server = make_server(Tools(store.root, bounds))
    with running(store.root, width, LIMITS):
        aside = place or store.root / "jobs" / "nowhere"
        aside.mkdir(parents=True, exist_ok=True)
        os.chdir(
            aside
        )  # what an agent submits names nothing beside the place where the server was started
        server.run("stdio") if door.port is None else _answer(
            server, store.root, door.host, door.port, rules, ready
        )


def application(server: Server, rules: Rules) -> ASGIApp:
    """Give the application that answers by HTTP whoever the rules let in; no session is kept, so
    several servers may share a store."""
    inside = server.streamable_http_app(
        streamable_http_path=PATH,
        json_response=True,
        stateless_http=True,
        max_request_body_size=BODY,
        transport_security=TransportSecuritySettings(
            enable_dns_rebinding_protection=False
        ),  # the guard sees to that
    )
    whole = RequestBodyLimitMiddleware(
        inside, BODY
    )  # reads a body to its end first, so that one too long has an answer

    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await whole(scope, receive, send)
        except Refused as error:
            await problems.answer(error)(scope, receive, send)

    return Guard(told, rules)


def _answer(
    server: Server, root: Path, host: str, port: int, rules: Rules, ready: Callable[[Served], None]
) -> None:
    from assay.explorer.connections import answer

    listening = listen(host, port)
    name = f"[{host}]" if ":" in host else host
    try:
        ready(
            Served(
                f"http://{name}:{listening.getsockname()[1]}{PATH}", str(root), len(rules.holders)
            )
        )
        sys.stdout.flush()
        answer(application(server, rules), listening, lifespan="auto")
    finally:
        listening.close()


def _names(host: str) -> tuple[str, ...]:
    """The names that a server at an address answers to; none stands for any."""
    name = f"[{host}]" if ":" in host else host
    return (
        (*LOOPBACK, name.lower())
        if is_here(host)
        else ()
        if host in ("0.0.0.0", "::")
        else (name.lower(),)
    )
