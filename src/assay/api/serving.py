"""Serving: the jobs of a store at an address, with a runner that takes them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from assay.core.errors import AssayError
from assay.http.tokens import read
from assay.jobs.bounds import Bounds
from assay.jobs.runner import running
from assay.jobs.work import Limits
from assay.lab.executors import Site
from assay.lab.store.store import Store

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from assay.http.guard import Rules


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
    site: Site = Site(),  # noqa: B008 — frozen
    ready: Callable[[Served], None],
) -> Served:
    """Answer at an address until interrupted, while a runner takes the store's jobs, whose runs are
    trained at a site; `ready` is told where.

    Relative paths in what is submitted are those of the workspace; without one, of an empty folder.

    Raises: AssayError for an address beyond this machine without tokens, and for a folder or a file
    that cannot be used."""
    from assay.api import app

    rules = let_in(host, tokens)
    with working(root, bounds, limits, width, site) as (store, inside):
        application = app.application(app.Served(store, inside), rules)
        return answer(application, root, rules, (host, port, ""), ready)


def let_in(host: str, tokens: Path | None) -> Rules:
    """Tell who may ask at an address: those of a file of tokens, or programs of this machine.
    Raises: AssayError."""
    from assay.http.connections import is_here, names
    from assay.http.guard import Rules

    if tokens is None and not is_here(host):
        raise AssayError(
            f"at {host} others can ask: name a file of tokens with --token-file, or leave out "
            "--host"
        )
    return Rules(names(host), () if tokens is None else read(tokens))


@contextmanager
def working(
    root: Path, bounds: Bounds, limits: Limits, width: int, site: Site
) -> Iterator[tuple[Path, Bounds]]:
    """Have a runner take the jobs of a store while the body runs, in a folder where what is
    submitted names nothing by accident; give the store's folder, and the bounds there. Raises:
    AssayError."""
    place = bounds.workspace
    if place is not None and not place.is_dir():
        raise AssayError(f"{place} is no folder; --workspace names the one whose files may be used")
    if bounds.code and place is None:
        raise AssayError(
            "--allow-code runs files of the workspace: name that folder with --workspace"
        )
    if width < 1:
        raise AssayError(f"--jobs is a number of jobs from 1 up, got {width}")
    store = Store(root.absolute()).prepare()
    aside = (place or store.root / "jobs" / "nowhere").resolve()
    aside.mkdir(parents=True, exist_ok=True)
    os.chdir(aside)
    site.make(store.root)  # what is wrong with it is told at once
    with running(store.root, width, limits, site):
        yield store.root, replace(bounds, workspace=aside if place else None)


def answer(
    application: ASGIApp,
    root: Path,
    rules: Rules,
    place: tuple[str, int | None, str],
    ready: Callable[[Served], None],
    lifespan: str = "off",
) -> Served:
    """Answer with an application at a place (host, port, path) until interrupted. Raises:
    AssayError where it cannot be had."""
    from assay.http.connections import answer_at

    def served(address: str) -> Served:
        return Served(address + path, str(root), len(rules.holders))

    host, port, path = place
    return served(
        answer_at(
            application, host, port, lambda address: ready(served(address)), lifespan=lifespan
        )
    )
