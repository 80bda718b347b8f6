"""Serving: the interface of a store at an address, with a runner that takes its jobs."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from assay.api.tokens import read
from assay.core.errors import AssayError
from assay.jobs.bounds import Bounds
from assay.jobs.runner import running
from assay.jobs.work import Limits
from assay.lab.store import Store
from assay.verbs.serve import is_here, listen


@dataclass(frozen=True)
class Served:
    """Where the interface of a store is."""

    address: str
    root: str
    """The folder of the store."""
    tokens: int
    """How many tokens are let in; 0: whoever runs programs on this machine."""


def serve(
    root: Path,
    host: str = "127.0.0.1",
    port: int | None = None,
    tokens: Path | None = None,
    bounds: Bounds = Bounds(),  # noqa: B008
    limits: Limits = Limits(),  # noqa: B008
    *,
    width: int = 1,
    ready: Callable[[Served], None],
) -> Served:
    """Answer at an address until interrupted, while a runner takes the store's jobs; `ready` is
    told where.

    Relative paths in what is submitted are those of the workspace; without one, of an empty folder.

    Raises: AssayError for an address beyond this machine without tokens, and for a folder or a file
    that cannot be used."""
    from assay.api import app
    from assay.api.guard import Rules
    from assay.explorer.connections import answer
    from assay.explorer.security import LOOPBACK

    is_local = is_here(host)
    if tokens is None and not is_local:
        raise AssayError(
            f"at {host} others can ask: name a file of tokens with --token-file, or leave out "
            "--host"
        )
    if bounds.workspace is not None and not bounds.workspace.is_dir():
        raise AssayError(
            f"{bounds.workspace} is no folder; --workspace names the one whose files may be used"
        )
    if bounds.code and bounds.workspace is None:
        raise AssayError(
            "--allow-code runs files of the workspace: name that folder with --workspace"
        )
    holders = () if tokens is None else read(tokens)
    store = Store(root.absolute()).prepare()
    listening = listen(host, port)
    if bounds.workspace is not None:
        bounds = replace(bounds, workspace=bounds.workspace.resolve())
    aside = bounds.workspace or store.root / "jobs" / "nowhere"
    if bounds.workspace is None:
        aside.mkdir(parents=True, exist_ok=True)
    os.chdir(aside)  # what is submitted names nothing beside the place where the server was started
    name = f"[{host}]" if ":" in host else host
    everywhere = host in ("0.0.0.0", "::")
    hosts = (*LOOPBACK, name.lower()) if is_local else () if everywhere else (name.lower(),)
    application = app.application(app.Served(store.root, bounds), Rules(hosts, holders))
    service = Served(f"http://{name}:{listening.getsockname()[1]}/", str(root), len(holders))
    try:
        with running(store.root, width, limits):
            ready(service)
            answer(application, listening)
    finally:
        listening.close()
    return service
