"""A look at one text as a page, made from its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assay.features.card import Example
from assay.report import pages


def page(data: Mapping[str, Any]) -> str:
    """The whole page of one look: the text shaded once for each feature, with what taking that out does."""
    shown = []
    for f in data["features"]:
        at = f["strongest"][0]["position"] if f["strongest"] else 0
        shown.append(f | {"example": Example(tuple(data["tokens"]), tuple(f["activations"]), at, "", at)})
    return pages.environment().get_template("look.html").render(data=data, features=shown)
