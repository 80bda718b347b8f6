"""Serving: the MCP server of a store by stdio, or by HTTP on this machine alone; the runner of its jobs is a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from assay.agents.server import PATH, Server, application, made
from assay.agents.tools import Tools
from assay.core.errors import AssayError
from assay.explorer.security import LOOPBACK
from assay.jobs.bounds import Bounds
from assay.jobs.runner import running
from assay.lab.store import Store
from assay.verbs.serve import READERS, listen

OWNER = "mcp"
"""Whose jobs those of agents on this machine are."""


def serve(root: Path, http: int | None, workspace: Path | None, code: bool, width: int, ready: Callable[[str], None]) -> None:
    """Answer agents about a store until they leave, or by HTTP until interrupted, and run what they submit.

    `ready` is told the address by HTTP. Raises: AssayError for a folder that is not there, and where the port cannot be had.
    """
    if workspace is not None and not workspace.is_dir():
        raise AssayError(f"{workspace} is no folder; --workspace names the folder whose files an agent may name")
    if code and workspace is None:
        raise AssayError("--allow-code runs files of a workspace; name it with --workspace FOLDER")
    if width < 1:
        raise AssayError(f"--width is a number of jobs from 1 up, got {width}")
    store = Store(root.absolute()).prepare()
    place = workspace.resolve() if workspace is not None else None
    server = made(Tools(store.root, Bounds(workspace=place, code=code), OWNER))
    with running(store.root, width):
        aside = place or store.root / "jobs" / "nowhere"
        aside.mkdir(parents=True, exist_ok=True)
        os.chdir(aside)  # what an agent submits names nothing beside the place where the server was started
        server.run("stdio") if http is None else answer(server, http, ready)


def answer(server: Server, port: int, ready: Callable[[str], None]) -> None:
    """Answer at a port of this machine alone until interrupted. Raises: AssayError where the port cannot be had."""
    import uvicorn

    listening = listen("127.0.0.1", port)
    config = uvicorn.Config(
        application(server, LOOPBACK), log_level="error", access_log=False, server_header=False, date_header=False, ws="none",
        limit_concurrency=READERS, h11_max_incomplete_event_size=32 * 1024, timeout_graceful_shutdown=2,
    )  # fmt: skip
    try:
        ready(f"http://127.0.0.1:{listening.getsockname()[1]}{PATH}")
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:  # how a person ends it
        pass
    finally:
        listening.close()
