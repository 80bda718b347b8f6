"""Token: what one feature does at one token, which next tokens it makes likelier; asked for when
the token is pointed at or focused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import QueryParams

from assay.core.errors import AssayError, DataError
from assay.explorer import query_args
from assay.explorer.library import Library
from assay.explorer.live import TOKENS
from assay.explorer.problems import UNKNOWN, Problem
from assay.explorer.render import Shown
from assay.features.index.reader import Index
from assay.features.live.edits import Chance, FiringEffect, Without, firing_effect
from assay.features.live.reader import Reader, Reading

COUNT = 5
"""Tokens listed as likelier, and as less likely."""


def page(library: Library, path_params: Mapping[str, Any], query: QueryParams) -> Shown:
    """Show a feature at one token of the index's text, or of the reader's own. A model is loaded
    for it only where `load` says so.

    Raises: Problem for a place that is not there; what cannot be read is said there in one line.
    """
    index, number = (
        library.index(path_params["model"], path_params["dictionary"]),
        int(path_params["number"]),
    )
    if not 0 <= number < index.about.d_sae:
        raise Problem(
            UNKNOWN,
            (
                f"features of {index.about.name} are numbered 0 to {index.about.d_sae - 1:,}; "
                f"there is no {number}"
            ),
        )
    base, place = f"{path_params['model']}/{path_params['dictionary']}", _place(index, query)
    path = query_args.link(f"/{base}/{number}/token", place)
    values: dict[str, Any] = {
        "dictionary": base,
        "feature": number,
        "address": f"{base}/{number}",
        "about": index.about,
        "place": dict(place),
        "state": "away",
        "problem": "",
        "found": None,
    }
    live = library.live
    if query.get("load") == "1" or live.begun(index) or not index.about.model:
        try:
            loaded = live.loaded(index)
            values["state"] = "loading"
            if loaded is not None:
                values |= {
                    "state": "read",
                    "found": loaded.ask(
                        ("firing", number, *place),
                        lambda reader: answer(reader, index, number, place),
                    ),
                }
        except (AssayError, ImportError) as error:
            values |= {"state": "problem", "problem": str(error)}
    return Shown(
        "token.html",
        values,
        {
            "ask": query_args.link(f"/{base}/{number}/token", [*place, ("load", 1)]),
            "path_here": path,
        },
    )


Place = list[tuple[str, Any]]


def _place(index: Index, query: QueryParams) -> Place:
    """Where the token stands: in a window of the index's text, or in a text of the reader's.
    Raises: Problem."""
    if text := query.get("text", ""):
        return [
            ("text", text),
            ("position", query_args.number(query, "position", 0, 0, TOKENS - 1)),
        ]
    windows, length = index.windows.shape
    return [
        ("window", query_args.number(query, "window", 0, 0, windows - 1)),
        ("position", query_args.number(query, "position", 0, 0, length - 1)),
    ]


def answer(reader: Reader, index: Index, number: int, place: Place) -> dict[str, Any]:
    """All numbers of the page. Raises: DataError where the feature is not on there, or the token is
    beyond what is read."""
    fields = dict(place)
    reading, position = _reading(reader, index, fields), int(fields["position"])
    if position >= len(reading):
        raise DataError(f"the text has {len(reading)} tokens, numbered from 0, got {position}")
    return effect(reading, firing_effect(reader, reading, number, position, COUNT))


def _reading(reader: Reader, index: Index, fields: Mapping[str, Any]) -> Reading:
    if "text" in fields:
        return reader.read(fields["text"])
    ids = index.windows[fields["window"]].tolist()
    if fields["position"] + 1 >= reader.limit < len(ids):
        raise DataError(
            f"it is token {fields['position']} of its window, of which {reader.limit} are read here"
        )
    return reader.read_ids(ids[: reader.limit])


def effect(reading: Reading, firing: FiringEffect) -> dict[str, Any]:
    """Say what was found as plain values; both signs of the change of the loss, as each is called
    elsewhere."""
    t = firing.position
    following = reading.words[t + 1] if t + 1 < len(reading) else None

    def without(variant: Without) -> dict[str, Any]:
        return {
            "delta_ce": variant.delta,
            "saevis_loss_effect": None if variant.delta is None else -variant.delta,
            "later": variant.later,
            "kl": variant.next.kl,
            "probability": None
            if variant.delta is None
            else math.exp(-float(reading.loss[t]) - variant.delta),
            "likely": [_row(c) for c in variant.next.before],
            "less": [_row(c) for c in variant.next.fell],
            "more": [_row(c) for c in variant.next.rose],
        }

    return {
        "token": reading.words[t],
        "activation": firing.activation,
        "following": following,
        "probability": None if following is None else math.exp(-float(reading.loss[t])),
        "contribution": firing.contribution,
        "full": without(firing.full),
        "direct": None if firing.direct is None else without(firing.direct),
    }


def _row(chance: Chance) -> dict[str, Any]:
    """A next token: probability with the feature and without, and the difference of its logarithm,
    with less without."""
    change = (
        math.log(chance.before) - math.log(chance.after)
        if chance.before > 0 and chance.after > 0
        else None
    )
    return {
        "id": chance.id,
        "text": chance.text,
        "before": chance.before,
        "after": chance.after,
        "change": change,
    }
