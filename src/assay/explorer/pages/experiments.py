"""The experiments, and the report page of each."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import QueryParams

from assay.explorer.library import Library
from assay.explorer.problems import UNKNOWN, Problem
from assay.explorer.render import Raw, Shown

DEFAULT = "default"
REPORT = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "frame-ancestors 'none'; sandbox allow-scripts allow-downloads"
)
"""For a report page, which is one file with style and script inside: it gets an origin of its own,
and so no access to this server."""


def page(library: Library, path_params: Mapping[str, str], query: QueryParams) -> Shown:
    """List every experiment with its recorded and stored verdicts, and those of its dictionaries
    that are indexed."""
    indexed: dict[str, list[Mapping[str, str]]] = {}
    for entry in library.look()[0]:
        experiment, of_run, run = entry.about.name.partition("/")
        if of_run:
            indexed.setdefault(experiment, []).append({"address": entry.address, "run": run})
    return Shown(
        "experiments.html",
        {
            "experiments": [
                {**listing, "indexed": indexed.get(listing["name"], [])}
                for listing in library.experiments.listed()
            ]
        },
    )


def show_experiment(library: Library, path_params: Mapping[str, str], query: QueryParams) -> Raw:
    """Show the report page of one experiment. Raises: Problem where there is no such experiment, or
    nothing of it."""
    asked = path_params["name"], query.get("preset", DEFAULT)
    report = library.experiments.held(*asked)
    if report is None:
        with library.judging:
            report = library.experiments.page(*asked)
    if report is None:
        raise Problem(
            UNKNOWN,
            f"no result of an experiment {path_params['name'][:60]!r} is stored or recorded",
            "assay list",
        )
    html, result = report
    return Raw(html, "text/html", result, REPORT)
