"""A look at one text as a page, made from its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assay.features.card import Example
from assay.report import pages

MARKS = {"\n": "⏎", "\t": "⇥", "\r": "␍"}
NAMED = 6
"""So many of the tokens that are left out are named, at each cause."""


def page(data: Mapping[str, Any]) -> str:
    """The whole page of one look: each token with its strongest features, then the text shaded once
    for each feature that matters."""
    features = []
    for f in data["features"]:
        position = f["strongest"][0]["position"] if f["strongest"] else 0
        features.append(
            f
            | {
                "example": Example(
                    tuple(data["tokens"]), tuple(f["activations"]), position, "", position
                )
            }
        )
    words = {"quoted": quoted, "strongest": strongest, "nats": nats}
    return (
        pages.environment()
        .get_template("look.html")
        .render(data=data, features=features, left_out=left_out(data), **words)
    )


def left_out(data: Mapping[str, Any]) -> str:
    """Which tokens are neither counted nor ablated, and why, as a sentence."""
    skip, words = data["skip_first"], data["tokens"]
    causes = []
    for places, cause in (
        (
            [i for i in data["left_out"] if i < skip],
            "the first token" if skip == 1 else f"the first {skip} tokens",
        ),
        (
            [i for i in data["left_out"] if i >= skip],
            f"what is longer than {data['outlier']:g} medians",
        ),
    ):
        more = f" and {len(places) - NAMED} more" if len(places) > NAMED else ""
        if places:
            names = ", ".join(
                quoted(words[i]).replace(" ", "\xa0") for i in places[:NAMED]
            )  # no line breaks inside a token
            causes.append(f"{cause} ({names}{more})")
    if not causes:
        return "No token is left out."
    return f"Left out, neither counted nor ablated: {' and '.join(causes)}."


def strongest(token: Mapping[str, Any]) -> str:
    """A token's strongest features with their activations; a dash where none is on."""
    return "   ".join(f"#{f['feature']} {f['activation']:.3g}" for f in token["features"]) or "–"


def nats(token: Mapping[str, Any]) -> str:
    """The loss at predicting a token; empty for the first, which nothing predicts."""
    return "" if token["loss"] is None else f"{token['loss']:.2f}"


def plain(token: str) -> str:
    """A token on one line: line ends and tabs as marks."""
    return "".join(MARKS.get(c, c if c.isprintable() else "␀") for c in token)


def quoted(token: str) -> str:
    """A token by itself, its spaces seen."""
    return f'"{plain(token)}"'
