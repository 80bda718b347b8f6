"""Serving: the MCP server of a store by stdio, or by HTTP; the runner of its jobs is a process of
its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server.lowlevel import Server
from mcp.server.transport_security import RequestBodyLimitMiddleware, TransportSecuritySettings

from assay.agents.server import make_server, talk
from assay.agents.tools import Tools
from assay.api import problems
from assay.api.serving import Served, answer, let_in, working
from assay.core.errors import AssayError
from assay.explorer.guard import BODY, Guard, Refused, Rules
from assay.jobs.bounds import Bounds
from assay.jobs.work import Limits
from assay.lab.executors import Site

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/mcp"
"""Where the server answers by HTTP."""


@dataclass(frozen=True, kw_only=True)
class Door:
    """Where agents come in: standard input and output without a port, else an address, and who has
    a token for it."""

    port: int | None = None
    host: str = "127.0.0.1"
    tokens: Path | None = None


def serve(
    root: Path,
    door: Door,
    bounds: Bounds,
    limits: Limits,
    width: int,
    site: Site,
    ready: Callable[[Served], None],
) -> None:
    """Answer agents about a store until they leave, or by HTTP until interrupted, and run what they
    submit, so many jobs at a time within these limits, at a site.

    `ready` is told where, by HTTP. Raises: AssayError for a folder or a file that cannot be used,
    for an address beyond this machine without tokens, and where the port cannot be had.
    """
    if door.port is None and (door.tokens is not None or door.host != Door.host):
        raise AssayError(
            "--host and --token-file go with --http PORT; on standard input and output "
            "whoever started it is asked for no token"
        )
    rules = let_in(door.host, door.tokens)
    with working(root, bounds, limits, width, site) as (store, inside):
        server = make_server(Tools(store, inside))
        if door.port is None:
            anyio.run(talk, server)
            return
        app = application(server, rules)
        answer(app, root, rules, (door.host, door.port, PATH[1:]), ready, "auto")


def application(server: Server[Any], rules: Rules) -> ASGIApp:
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

    return Guard(told, rules, answer=problems.answer)
