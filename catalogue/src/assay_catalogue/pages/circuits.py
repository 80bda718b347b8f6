"""Small models, and the page of each."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import QueryParams

from assay.explorer.library import Library
from assay.explorer.render import Shown
from assay_catalogue.pages import circuit
from assay_catalogue.pages.shelf import EFFORT, shelf

TRIED = (
    f"on {EFFORT['inputs']} inputs and {EFFORT['resamples']} resamples; assay explain check takes "
    "more of both"
)


def page(library: Library, path_params: Mapping[str, str], query: QueryParams) -> Shown:
    """List the small models; none is computed for it."""
    return Shown(
        "circuits.html",
        {"circuits": [{"name": s.name, "of": s.of} for s in shelf(library.root).subjects()]},
    )


def show_circuit(library: Library, path_params: Mapping[str, str], query: QueryParams) -> Shown:
    """Show one small model; with score=1 its explanation is scored, which takes a while. Raises:
    Problem where there is none.

    An explanation of ours is folded up, and neither seen nor scored until somebody opens it.
    """
    score_requested = query.get("score") == "1"
    picture = shelf(library.root).picture(path_params["name"], score=score_requested)
    ours = any(s.ours for s in shelf(library.root).subjects() if s.name == path_params["name"])
    waits = picture.graph is not None and picture.table is None and not score_requested
    scoring = f"/circuits/{path_params['name']}?score=1" if waits else ""
    return circuit.build_page(
        picture, scoring=scoring, tried=TRIED, spoiler=ours, opened=score_requested
    )
