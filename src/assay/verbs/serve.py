"""Serve: the explorer of a store at an address of this machine."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from assay.core.errors import AssayError
from assay.core.results import ResultData
from assay.core.schema import to_json
from assay.explorer.library import Experiments, Library, Making
from assay.features.index.names import read
from assay.lab import catalogue as known
from assay.lab.records import records
from assay.lab.store.sealed import unseal
from assay.report import pages
from assay.verbs import background
from assay.verbs.background import Wanted

if TYPE_CHECKING:
    from assay.explorer.guard import Rules

State = tuple[Any, ...]
NOTHING: AbstractContextManager[Any] = nullcontext()


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
) -> Served:
    """Answer at an address until interrupted; `ready` is told where as soon as it can be opened, at
    the page of the dictionary that `request` names.

    Its index is made meanwhile, where that is asked for. Beyond this machine it asks for a token,
    which is made up where none is given. `names` is a file of names for the dictionary's
    features.

    Raises: AssayError for a store that is no folder, and where the address cannot be had."""
    from assay.explorer.app import application

    if names is not None and request is None:
        raise AssayError("--names gives names to the features of a dictionary; say which one")
    if names is not None:
        read(names)
    if root.exists() and not root.is_dir():
        raise AssayError(f"{root} is not a folder; --root names the folder of a store")
    making = (
        None
        if request is None or not request.make
        else Making(request.address, request.name, request.there)
    )
    meanwhile = (
        nullcontext()
        if making is None or request is None
        else background.index_in_background(making, request)
    )
    path = "" if request is None else request.address
    return _run(
        lambda rules: application(
            Library(root, experiments(root), making, (path, names) if names else None),
            rules,
        ),
        root,
        host,
        port,
        token,
        path,
        ready,
        meanwhile,
    )


def _run(
    make: Callable[[Rules], Any],
    root: Path,
    host: str,
    port: int | None,
    token: str | None,
    path: str,
    ready: Callable[[Served], None],
    meanwhile: AbstractContextManager[Any] = NOTHING,
) -> Served:
    """Answer with an application at an address until interrupted, in the context `meanwhile`."""
    from assay.explorer.connections import answer_at, is_here, names
    from assay.explorer.guard import Rules

    if token is not None and not token.isascii():
        raise AssayError("--token is text of ASCII characters")
    token = token or ("" if is_here(host) else secrets.token_urlsafe(16))

    def served(address: str) -> Served:
        return Served(address + path + (f"?token={token}" if token else ""), str(root))

    app = make(Rules(names(host), token))
    return served(
        answer_at(app, host, port, lambda address: ready(served(address)), meanwhile=meanwhile)
    )


def experiments(root: Path) -> Experiments:
    """Tell the explorer of experiments by the verbs that the command line has: `assay list` and the
    pages of `assay report`."""
    from assay.verbs import catalogue

    page_cache: dict[tuple[str, str], tuple[State, tuple[str, Mapping[str, Any]]]] = {}
    list_cache: dict[State, tuple[Mapping[str, Any], ...]] = {}
    one_lists = Lock()

    def listed() -> tuple[Mapping[str, Any], ...]:
        state = tuple(
            (str(p), _changed(p))
            for kind in ("results/*/*.json", "runs/*")
            for p in sorted(root.glob(kind))
        )
        with one_lists:  # of a hundred readers, one lists what has changed
            if state not in list_cache:  # records, which are many bytes, are read once
                rows = tuple(to_json(entry) for entry in catalogue.listed(root).experiments)
                list_cache.clear()
                list_cache[state] = rows
            return list_cache[state]

    def studies() -> tuple[Mapping[str, Any], ...]:
        known_names = {entry.name for entry in known.entries()}
        folders = sorted(p for p in (root / "results").glob("*") if p.name not in known_names)
        rows = ((p.name, catalogue.find_stored(root, p.name).results) for p in folders)
        return tuple({"name": name, "results": results} for name, results in rows if results)

    def stored(name: str, preset: str) -> Path | None:
        return {path.stem: path for path in (root / "results" / name).glob("*.json")}.get(preset)

    def held(name: str, preset: str) -> tuple[str, Mapping[str, Any]] | None:
        cached = page_cache.get((name, preset))
        return (
            cached[1]
            if cached is not None and cached[0] == _state(name, stored(name, preset))
            else None
        )

    def page(name: str, preset: str) -> tuple[str, Mapping[str, Any]] | None:
        cached_page = held(name, preset)
        if cached_page is not None:
            return cached_page
        of_catalogue = name in {entry.name for entry in known.entries()}
        if not of_catalogue and name not in {study["name"] for study in studies()}:
            return None
        path = stored(name, preset)
        if path is None and (preset != "default" or not of_catalogue):
            return None
        state, rendered = _state(name, path), _page(root, name, path)
        if rendered is not None:
            page_cache[name, preset] = state, rendered
        return rendered

    return Experiments(
        listed=listed,
        studies=studies,
        page=page,
        held=lambda name, preset: held(name, preset) is not None,
    )


def _state(name: str, stored: Path | None) -> State:
    """What the page of a result changes with: the result, or the record where nothing is stored."""
    return str(stored), _changed(stored or records.path(name))


def _changed(path: Path) -> int:
    """When a file was last written, in nanoseconds; 0 where it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _page(root: Path, name: str, stored: Path | None) -> tuple[str, Mapping[str, Any]] | None:
    """Make the page of a result: with its figures where the runs are there, else of the stored
    verdicts, else of the record."""
    from assay.verbs.pages import page_of, read_record, record_page  # which loads the lab

    home = "/experiments"
    if stored is not None and name not in {entry.name for entry in known.entries()}:
        study: dict[str, Any] = unseal(stored)
        study["notes"] = [*study.get("notes", ()), "its figures are written by assay report FILE"]
        return pages.page(ResultData.from_json(study), home="/"), study
    if stored is not None:
        try:
            from assay.lab.engines import Inline
            from assay.lab.lab import Lab
            from assay.lab.plan.preset import override

            experiment = known.find(name)
            html, result = page_of(
                Lab(root, Inline()), experiment, override(experiment, stored.stem, ()), home
            )
            return html, result.to_json()
        except (
            AssayError,
            ImportError,
        ) as error:  # runs that were removed, fields that were set, an installation without torch
            data: dict[str, Any] = unseal(stored)
            data["notes"] = [*data.get("notes", ()), f"its figures are missing: {error}"]
            return record_page(data, name, stored.stem, home), data
    record = read_record(name)
    return None if record is None else (record_page(record, name, "default", home), record)
