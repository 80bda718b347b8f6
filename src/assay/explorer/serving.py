"""Serving: the explorer of a store at an address of this machine."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from assay.core.errors import AssayError
from assay.explorer import background
from assay.explorer.background import Stages, Wanted
from assay.explorer.library import Library, Making
from assay.features.index.names import read


@dataclass(frozen=True)
class Served:
    """Where the explorer of a store is."""

    address: str
    """What to open, with the token where one is asked for."""
    root: str
    """The folder of the store."""


def serve(
    root: Path,
    host: str = "127.0.0.1",
    port: int | None = None,
    token: str | None = None,
    request: Wanted | None = None,
    names: Path | None = None,
    *,
    ready: Callable[[Served], None],
    stages: Stages,
    say: Callable[[str], None],
) -> Served:
    """Answer at an address until interrupted; `ready` gets the address as soon as it can be opened:
    that of the dictionary that `request` names.

    Its index is made meanwhile, where that is asked for; `stages` shows how far it is, and `say`
    how it ended. Beyond this machine it asks for a token,
    which is made up where none is given. `names` is a file of names for the dictionary's
    features.

    Raises: AssayError for a store that is no folder, and where the address cannot be had."""
    from assay.explorer import connections
    from assay.explorer.app import application
    from assay.explorer.guard import Rules

    if names is not None and request is None:
        raise AssayError("--names gives names to the features of a dictionary; name the dictionary")
    if names is not None:
        read(names)
    if root.exists() and not root.is_dir():
        raise AssayError(f"{root} is not a folder; --root names the folder of a store")
    making = None
    if request is not None and request.make:
        of = request.address, request.name, request.there, request.steps[-1]["ablate"]
        making = Making(*of, "ablations" if request.covering else "")
    meanwhile = (
        nullcontext()
        if making is None or request is None
        else background.index_in_background(making, request, stages, say)
    )
    path = "" if request is None else request.address
    if token is not None and not token.isascii():
        raise AssayError("--token is text of ASCII characters")
    token = token or ("" if connections.is_here(host) else secrets.token_urlsafe(16))

    def served(address: str) -> Served:
        return Served(address + path + (f"?token={token}" if token else ""), str(root))

    library = Library(root, making, (path, names) if names else None)
    app = application(library, Rules(connections.names(host), token))

    def here(address: str) -> None:
        ready(served(address))

    try:
        return served(connections.answer_at(app, host, port, here, meanwhile=meanwhile))
    finally:
        library.live.close()
