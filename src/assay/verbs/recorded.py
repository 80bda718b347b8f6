"""Recorded: the page of a committed record, where nothing of its experiment is stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assay.core.results import ResultData
from assay.lab import catalogue
from assay.lab.records import contests, records
from assay.report import pages

NOTE = "this is the committed record: nothing of this experiment is stored here"
"""What such a page says first."""


def read(name: str, title: str = "default") -> dict[str, Any] | None:
    """Read the record of a catalogue experiment's preset, with a note of what would run it; None
    where there is none. Raises: ExperimentError for a file that is no record."""
    usual = title == "default"
    origin = catalogue.entry(name).origin
    record = records.read(name if usual else f"{name}.{title}", origin)
    if record is None:
        return None
    run = f"assay run {name}" if usual else f"assay run {name} --preset {title}"
    notes = [*record.get("notes", ()), f"{NOTE}; run it with: {run}"]
    whole = {key: value for key, value in record.items() if key != "arms"}  # megabytes of measures
    return {**whole, "notes": notes}


def page(record: Mapping[str, Any], name: str, title: str, home: str) -> str:
    """Make the page of a record, or of a stored result whose runs are gone; `home` is the address
    of the page over all experiments."""
    return pages.page(
        ResultData.from_json(record),
        header=catalogue.entry(name).header(),
        home=home,
        turned=turned(name, title),
    )


def turned(name: str, title: str) -> Mapping[str, str]:
    """Tell the outcome now of each claim of a catalogue experiment's preset that a contest
    turned."""
    return contests.turned(contests.of_preset(name, title, catalogue.entry(name).origin))
