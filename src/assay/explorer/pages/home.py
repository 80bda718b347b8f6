"""The first page: the dictionaries of a store, and what to type where there is none; and how far an
index is that is being made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import QueryParams

from assay.explorer.library import Entry, Library, Making
from assay.explorer.render import Shown

DIFFERENCES = {
    "site": "site",
    "corpus_sha256": "text",
    "part": "part of the text",
    "d_sae": "features",
    "tokens": "tokens read",
    "context": "length of the windows",
    "bos": "start token",
    "skip_first": "positions left out",
    "outlier": "outliers left out",
    "dtype": "dtype",
    "gradients": "gradients",
    "seeds": "other dictionaries",
}
"""What two indexes of one text may differ in, and what it is called."""


def page(library: Library, path_params: Mapping[str, str], query: QueryParams) -> Shown:
    """Show what there is; nothing is opened for it but each index's about.json."""
    entries, broken = library.look()
    return Shown(
        "home.html",
        {
            "root": str(library.root.absolute()),
            "dictionaries": [entry_to_row(entry) for entry in entries],
            "broken": broken,
            "making": None if library.making is None else describe_making(library.making),
        },
        {
            "making": library.making,
            "differences": {e.address: _differs(e, entries) for e in entries},
        },
    )


def _differs(entry: Entry, entries: Sequence[Entry]) -> list[str]:
    """What sets an index apart from the newest one of its text."""
    first = next(e for e in entries if e.address == entry.about.address)
    return differences(entry, first)


def differences(one: Entry, other: Entry) -> list[str]:
    """What sets an index apart from another one of the same dictionary."""
    return [w for k, w in DIFFERENCES.items() if getattr(one.about, k) != getattr(other.about, k)]


def entry_to_row(entry: Entry) -> dict[str, Any]:
    """One dictionary as a row: what it is of, how large, how sparse, how exact."""
    a = entry.about
    return {
        "address": entry.address,
        "name": a.name,
        "model": a.model_words or a.model,
        "site": a.site,
        "kind": a.kind,
        "features": a.d_sae,
        "l0": a.l0,
        "fvu": a.fvu,
        "loss_rise": None if a.loss is None or a.loss_spliced is None else a.loss_spliced - a.loss,
        "loss_rise_low": (a.rise or {}).get("low"),
        "loss_rise_high": (a.rise or {}).get("high"),
        "corpus": a.corpus,
        "tokens": a.tokens,
        "taken_out": a.ablated,
        "indexed": datetime.fromtimestamp(entry.made, UTC).strftime("%Y-%m-%d %H:%M"),
    }


def progress(library: Library, path_params: Mapping[str, str], query: QueryParams) -> Shown:
    """Give the lines that say how far the index is, alone; they ask for themselves again."""
    return Shown("making.html", describe_making(library.making), {"making": library.making})


def waiting(making: Making) -> Shown:
    """Show, where an index is asked for that is not there yet, how far it is."""
    return Shown("unmade.html", describe_making(making), {"making": making})


def describe_making(making: Making | None) -> dict[str, Any]:
    """Tell the JSON of an index that is being made; of none, that there is none."""
    return (
        {"address": None}
        if making is None
        else {"address": making.address, "name": making.name, "there": making.there}
        | asdict(making.progress)
    )
