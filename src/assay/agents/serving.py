"""Serving: the MCP server of a store on standard input and output, or on loopback HTTP by the
library's own server, with a runner of what is asked."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from assay.agents.asking import Bounds
from assay.agents.server import Tools, make_server
from assay.core.errors import AssayError
from assay.jobs.process import Limits
from assay.jobs.runner import running
from assay.lab.store.store import Store

if TYPE_CHECKING:
    from starlette.types import ASGIApp

PATH = "/mcp"
"""Where the server answers by HTTP."""
BODY = 256 * 1024
"""The most bytes of one request."""


def serve_stdio(server: Server[Any]) -> None:
    """Answer the program that started this one until it closes standard input."""

    async def answer() -> None:
        async with stdio_server() as (received, sent):
            await server.run(received, sent, server.create_initialization_options())

    anyio.run(answer)


def serve_http(server: Server[Any], listening: socket.socket) -> None:
    """Answer programs of this machine at a listening socket until interrupted."""
    import uvicorn

    config = uvicorn.Config(application(server), log_level="error", timeout_graceful_shutdown=2)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])


def application(server: Server[Any]) -> ASGIApp:
    """Give the application of the library, which refuses a Host and an Origin of any other machine;
    it keeps no session, so several servers may share a store."""
    return server.streamable_http_app(
        streamable_http_path=PATH,
        json_response=True,
        stateless_http=True,
        max_request_body_size=BODY,
        host="127.0.0.1",
    )


def listen(host: str, port: int) -> socket.socket:
    """Take a port of this machine; 0: any that is free. Raises: AssayError for an address that
    other machines reach, and a port that cannot be had."""
    with suppress(ValueError):
        host = str(ipaddress.ip_address("127.0.0.1" if host == "localhost" else host))
        if not ipaddress.ip_address(host).is_loopback:
            host = ""
    if host not in ("127.0.0.1", "::1"):
        raise AssayError(
            "--host must be 127.0.0.1, ::1 or localhost: agents are served on this machine only; "
            "from another one, start `ssh HOST assay mcp` as the server's command"
        )
    if not 0 <= port <= 65535:
        raise AssayError(f"--http is a port from 0 to 65535, got {port}")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        why = error.strerror or error
        raise AssayError(f"{host}:{port} is not available ({why}); name another --http") from error


def address(listening: socket.socket) -> str:
    """Give the address of the server at a socket."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{PATH}"


def serve(
    root: Path,
    bounds: Bounds,
    limits: Limits,
    width: int,
    options: Sequence[str],
    listening: socket.socket | None,
    ready: Callable[[str], None],
) -> None:
    """Answer agents about a store until they leave, or by HTTP until interrupted, and run what they
    ask, so many runs at once within limits, with options of `assay run`.

    `ready` gets the address. Raises: AssayError for a folder that cannot be used."""
    with working(root, bounds, limits, width, options) as (store, inside):
        server = make_server(Tools(store, inside))
        if listening is None:
            serve_stdio(server)
        else:
            ready(address(listening))
            serve_http(server, listening)


@contextmanager
def working(
    root: Path, bounds: Bounds, limits: Limits, width: int, options: Sequence[str]
) -> Iterator[tuple[Path, Bounds]]:
    """Have a runner of a store while the body runs, in a folder where a relative path leads into
    the workspace, or to nothing; give the store's folder, and the bounds there. Raises:
    AssayError."""
    place = bounds.workspace
    if place is not None and not place.is_dir():
        raise AssayError(
            f"{place} is not a folder; --workspace names the one whose files may be used"
        )
    if bounds.code and place is None:
        raise AssayError(
            "--allow-code runs files of the workspace: name that folder with --workspace"
        )
    if width < 1:
        raise AssayError(f"--jobs is a number of runs, at least 1, got {width}")
    store = Store(root.absolute()).prepare()
    aside = (place or store.root / "jobs" / "nowhere").resolve()
    aside.mkdir(parents=True, exist_ok=True)
    os.chdir(aside)
    with running(store.root, width, limits, options):
        yield store.root, replace(bounds, workspace=aside if place else None)
