"""Experiments of a store, as the explorer lists them, and the report page of each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from assay.core.errors import AssayError
from assay.core.figures import figures_of
from assay.core.results import ResultData
from assay.core.schema import to_json
from assay.explorer.library import Experiments
from assay.lab import catalogue as known
from assay.lab.store.atomic import unseal
from assay.report import overview, pages

State = tuple[Any, ...]


def experiments(root: Path) -> Experiments:
    """Give the explorer the experiments as `assay list` lists them, and the pages of `assay
    report`."""
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
                rows = tuple(to_json(entry) for entry in overview.listed(root).experiments)
                list_cache.clear()
                list_cache[state] = rows
            return list_cache[state]

    def studies() -> tuple[Mapping[str, Any], ...]:
        known_names = {entry.name for entry in known.entries()}
        folders = sorted(p for p in (root / "results").glob("*") if p.name not in known_names)
        rows = ((p.name, overview.find_stored(root, p.name).results) for p in folders)
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

    return Experiments(listed, studies, page, held)


def _state(name: str, stored: Path | None) -> State:
    """What the page of a result changes with: the result, or the record where nothing is stored."""
    return str(stored), _changed(stored or known.record_path(name))


def _changed(path: Path) -> int:
    """When a file was last written, in nanoseconds; 0 where it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _page(root: Path, name: str, stored: Path | None) -> tuple[str, Mapping[str, Any]] | None:
    """Make the page of a result: with its figures where the runs are there, else of the stored
    verdicts, else of the record."""
    from assay.report.stored import page_of, read_record, record_page  # which loads the lab

    home = "/experiments"
    if stored is not None and name not in {entry.name for entry in known.entries()}:
        study: dict[str, Any] = unseal(stored)
        study["notes"] = [*study.get("notes", ()), "the whole page is written by assay report FILE"]
        judged = ResultData.from_json(study)
        return pages.page(judged, figures=figures_of(judged.findings), home="/"), study
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
