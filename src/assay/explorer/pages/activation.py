"""Activation: one feature on a text of the reader's own, as the feature's page shows its contexts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.datastructures import QueryParams

from assay.explorer import shading
from assay.explorer.library import Library
from assay.explorer.pages.prompt import checked
from assay.explorer.problems import ASKED, UNKNOWN, Problem
from assay.explorer.render import Shown

if TYPE_CHECKING:
    from assay.features.live.attribution import Attribution
    from assay.features.live.reader import Reader, Reading


def page(library: Library, at: Mapping[str, Any], query: QueryParams) -> Shown:
    """Show where a feature fires in a text. Raises: Problem for what cannot be read."""
    index, number = library.index(at["model"], at["dictionary"]), int(at["number"])
    base, text = f"{at['model']}/{at['dictionary']}", checked(query.get("text", ""))
    if not 0 <= number < index.about.d_sae:
        raise Problem(UNKNOWN, f"features of {index.about.name} are numbered 0 to {index.about.d_sae - 1:,}; there is no {number}")
    if not text.strip():
        raise Problem(ASKED, "there is no text to read; type some words")
    values: dict[str, Any] = {"address": f"{base}/{number}", "dictionary": base, "feature": number, "text": text, "about": index.about}
    loaded = library.live.loaded(index)
    if loaded is None:
        return Shown("activation.html", values | {"state": "loading"})

    def answer(reader: Reader) -> tuple[Reading, Attribution]:
        from assay.features.live.attribution import attribute

        reading = reader.read(text)
        return reading, attribute(reader, reading)

    reading, found = loaded.ask(("activation", text), answer)
    activations = reading.firings.columns([number], len(reading))[:, 0]
    effects, mine = np.zeros(len(reading)), found.firings.feature == number
    effects[found.firings.position[mine]] = found.value[mine]
    values |= {
        "state": "read", "tokens": reading.words, "activations": activations, "effects": effects, "left_out": reading.left_out,
        "firings": int((activations != 0).sum()), "strongest": float(activations.max()), "maximum": float(index.maxima[number]),
    }  # fmt: skip
    top = max(float(index.maxima[number]), float(activations.max()))
    return Shown("activation.html", values, {"shaded": shading.tokens(reading.words, activations.tolist(), effects.tolist(), top)})
