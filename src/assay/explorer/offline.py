"""Offline: the pages of chosen features as one file, which opens without a server and without a
network."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files

from jinja2 import Environment
from markupsafe import Markup

from assay.core.errors import DataError
from assay.explorer import render
from assay.explorer.pages import feature
from assay.features.index.reader import Index


def page(index: Index, numbers: Sequence[int], chosen: str = "as named") -> str:
    """Write features' pages into one, with a list of contents; `chosen` says how they were. The
    keys j, k and r go through them.

    Raises: DataError for no feature, or one that is not there.
    """
    if not numbers:
        raise DataError("no feature was chosen; give --features or --top")
    env = _environment(frozenset(numbers))
    parts = []
    for place, number in enumerate(numbers):
        view = feature.build_page(index, number, index.about.address)
        around = {
            "previous": numbers[place - 1] if place else None,
            "next": numbers[place + 1] if place + 1 < len(numbers) else None,
            "random": numbers[(place + max(1, round(len(numbers) * 0.618))) % len(numbers)],
        }
        view = replace(view, values={**view.values, **around})
        drawings = {**view.drawn, "layout": "parts/alone.html"}
        parts.append(Markup(env.get_template(view.template).render(**{**view.values, **drawings})))
    script = files("assay.explorer").joinpath("static", "feature.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    glances, promoted = index.glance(numbers), index.promoted(numbers)
    contents = [{**glances[k], "promotes": promoted[k]} for k in numbers]
    return env.get_template("offline.html").render(
        about=index.about,
        chosen=chosen,
        pages=parts,
        contents=contents,
        style=Markup(render.style()),
        script=Markup(script),
        hash=f"sha256-{digest}",
    )


@functools.lru_cache(maxsize=4)
def _environment(chosen: frozenset[int]) -> Environment:
    """The explorer's templates, in which a feature is a place in this file, or no link where it is
    not in it."""
    env = render.environment().overlay()
    env.filters = {
        **env.filters,
        "feature": lambda dictionary, number: f"#f{number}" if number in chosen else "",
    }
    return env
