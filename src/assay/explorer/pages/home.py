"""The first page: the dictionaries, experiments and verdicts of a store, and what to type where
there is none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import QueryParams

from assay.explorer.library import Entry, Library
from assay.explorer.pages import making
from assay.explorer.render import Shown


def page(library: Library, path_params: Mapping[str, str], query: QueryParams) -> Shown:
    """Show what there is; nothing is opened for it but each index's about.json."""
    entries, broken = library.look()
    experiments = library.experiments.listed()
    stored = [e for e in experiments if e["local"]["results"]]
    return Shown(
        "home.html",
        {
            "root": str(library.root.name),
            "dictionaries": [entry_to_row(entry) for entry in entries],
            "broken": broken,
            "stored": stored,
            "studies": library.experiments.studies(),
            "making": None if library.making is None else making.describe_making(library.making),
            "recorded": sum(bool(e["recorded"]) for e in experiments),
            "experiments": len(experiments),
        },
        {"making": library.making},
    )


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
