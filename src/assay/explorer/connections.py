"""Connections: the explorer answered at an address, with a limit on how many connections are
open."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import uvicorn

from assay.core.errors import AssayError
from assay.explorer.guard import LOOPBACK

PORT = 8377
"""The port that is tried first where none was asked for."""
EVERYWHERE = ("0.0.0.0", "::")
"""Hosts that mean all addresses of this machine."""
NOTHING: AbstractContextManager[Any] = nullcontext()
READERS = 256
"""Connections at the same time."""


def is_here(host: str) -> bool:
    """Whether only programs of this machine reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(host: str, port: int | None) -> socket.socket:
    """Take a port: the one asked for, else the usual one where it is free, else any. Raises:
    AssayError."""
    if port is not None and not 0 <= port <= 65535:
        raise AssayError(f"--port is a number from 0 to 65535, got {port}")
    tried = [port] if port is not None else [PORT, 0]
    for candidate in tried:
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            server = socket.create_server(
                (host, candidate), family=family, backlog=socket.SOMAXCONN
            )
        except OSError as error:
            if candidate != tried[-1]:
                continue
            raise AssayError(
                f"{host}:{candidate} cannot be had ({error.strerror or error}); name another "
                "--port or --host"
            ) from error
        return server
    raise AssertionError("a port is tried")


def names(host: str) -> tuple[str, ...]:
    """List the names that a server at an address answers to; an empty tuple means any."""
    if is_here(host):
        return (*LOOPBACK, bracketed(host).lower())
    return () if host in EVERYWHERE else (bracketed(host).lower(),)


def bracketed(host: str) -> str:
    """Write a host as in an address."""
    return f"[{host}]" if ":" in host else host


def answer_at(
    app: Any,
    host: str,
    port: int | None,
    ready: Callable[[str], None],
    *,
    meanwhile: AbstractContextManager[Any] = NOTHING,
) -> str:
    """Answer with an application at an address until interrupted, in the context `meanwhile`; give
    the address, and to `ready` as soon as it can be opened. Raises: AssayError where it cannot be
    had."""
    listening = listen(host, port)
    name = socket.gethostname() if host in EVERYWHERE else bracketed(host)
    address = f"http://{name}:{listening.getsockname()[1]}/"
    try:
        ready(address)
        with meanwhile:
            answer(app, listening)
    finally:
        listening.close()
    return address


def answer(app: Any, listening: socket.socket) -> None:
    """Answer with an application at a listening socket until interrupted."""
    config = uvicorn.Config(
        app,
        http="h11",
        log_level="error",
        access_log=False,
        server_header=False,
        date_header=False,
        lifespan="off",
        ws="none",
        limit_concurrency=READERS,
        h11_max_incomplete_event_size=32 * 1024,
        timeout_graceful_shutdown=2,
    )
    with suppress(KeyboardInterrupt):  # how a person ends it
        uvicorn.Server(config).run(sockets=[listening])
