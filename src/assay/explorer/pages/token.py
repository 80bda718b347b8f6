"""Token: what one feature does at one token, which next tokens it makes likelier; asked for when
the token is pointed at or focused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.datastructures import QueryParams

from assay.core.errors import AssayError, DataError
from assay.explorer import asked
from assay.explorer.library import Library
from assay.explorer.live import TOKENS
from assay.explorer.problems import UNKNOWN, Problem
from assay.explorer.render import Shown
from assay.features.index.reader import Index

if TYPE_CHECKING:
    from assay.features.live.edits import Chance
    from assay.features.live.firing import FiringEffect, Without
    from assay.features.live.reader import Reader, Reading

COUNT = 5
"""Tokens listed as likelier, and as less likely."""


def page(library: Library, at: Mapping[str, Any], query: QueryParams) -> Shown:
    """Show a feature at one token of the index's text, or of the reader's own. A model is loaded
    for it only where `load` says so.

    Raises: Problem for a place that is not there; what cannot be read is said there in one line.
    """
    index, number = library.index(at["model"], at["dictionary"]), int(at["number"])
    if not 0 <= number < index.about.d_sae:
        raise Problem(
            UNKNOWN,
            (
                f"features of {index.about.name} are numbered 0 to {index.about.d_sae - 1:,}; "
                f"there is no {number}"
            ),
        )
    base, place = f"{at['model']}/{at['dictionary']}", _place(index, query)
    path = asked.link(f"/{base}/{number}/token", place)
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
        {"ask": asked.link(f"/{base}/{number}/token", [*place, ("load", 1)]), "path_here": path},
    )


Place = list[tuple[str, Any]]


def _place(index: Index, query: QueryParams) -> Place:
    """Where the token stands: in a window of the index's text, or in a text of the reader's.
    Raises: Problem."""
    if text := query.get("text", ""):
        return [("text", text), ("position", asked.number(query, "position", 0, 0, TOKENS - 1))]
    windows, length = index.windows.shape
    return [
        ("window", asked.number(query, "window", 0, 0, windows - 1)),
        ("position", asked.number(query, "position", 0, 0, length - 1)),
    ]


def answer(reader: Reader, index: Index, number: int, place: Place) -> dict[str, Any]:
    """All numbers of the page. Raises: DataError where the feature is not on there, or the token is
    beyond what is read."""
    from assay.features.live.firing import firing_effect

    told = dict(place)
    reading, position = _reading(reader, index, told), int(told["position"])
    if position >= len(reading):
        raise DataError(f"the text has {len(reading)} tokens, numbered from 0, got {position}")
    return effect(reading, firing_effect(reader, reading, number, position, COUNT))


def _reading(reader: Reader, index: Index, told: Mapping[str, Any]) -> Reading:
    if "text" in told:
        return reader.read(told["text"])
    ids = index.windows[told["window"]].tolist()
    if told["position"] + 1 >= reader.limit < len(ids):
        raise DataError(
            f"it is token {told['position']} of its window, of which {reader.limit} are read here"
        )
    return reader.read_ids(ids[: reader.limit])


def effect(reading: Reading, found: FiringEffect) -> dict[str, Any]:
    """Say what was found as plain values; both signs of the change of the loss, as each is called
    elsewhere."""
    t = found.position
    following = reading.words[t + 1] if t + 1 < len(reading) else None

    def without(one: Without) -> dict[str, Any]:
        return {
            "delta_ce": one.delta,
            "saevis_loss_effect": None if one.delta is None else -one.delta,
            "later": one.later,
            "kl": one.next.kl,
            "probability": None
            if one.delta is None
            else math.exp(-float(reading.loss[t]) - one.delta),
            "likely": [_row(c) for c in one.next.before],
            "less": [_row(c) for c in one.next.fell],
            "more": [_row(c) for c in one.next.rose],
        }

    return {
        "token": reading.words[t],
        "activation": found.activation,
        "following": following,
        "probability": None if following is None else math.exp(-float(reading.loss[t])),
        "contribution": found.contribution,
        "full": without(found.full),
        "direct": None if found.direct is None else without(found.direct),
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
