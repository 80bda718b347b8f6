"""Ranges: the levels of a sweep, blocks and tokens that a study writes as a range, such as "0:30",
"1:" or "-5:", written out one by one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.ask.measure import models
from assay.ask.measure.seen import range_ends
from assay.core.errors import AssayError, ExperimentError
from assay.subjects.folder import find
from assay.subjects.sizes import read_sizes

_RANGE, LEVELS = re.compile(r"(-?\d{1,9})?:(-?\d{1,9})?(?::(\d{1,9}))?"), 10_000
"""A range of whole numbers, without its end; and how many levels are written out at most."""
PLACED = ("position", "source_position")
"""The fields that may be a range of tokens."""


def spell(path: Path, table: Mapping[str, Any]) -> None:
    """Write out, in the tables of a study, the levels of each sweep that is a range, the blocks in
    which attention is blocked, and the tokens of a position. Raises: ExperimentError for a range
    without an end where it is not known how many blocks or heads there are."""
    for kind in ("direction", "intervene", "read", "probe"):
        entries = table.get(kind)
        for entry in entries if isinstance(entries, list) else ():
            entry = entry if isinstance(entry, dict) else {}
            block = entry.get("block")
            for held, field in (*((entry, f) for f in PLACED), (block, "to")):
                if kind in ("intervene", "read") and isinstance(held, dict) and field in held:
                    held[field] = _spelled_tokens(held[field])
            if isinstance(block, dict) and isinstance(block.get("layers"), str):
                block["layers"] = _spelled(block["layers"], "layers", "layers", path, table)
            sweep: Any = entry.get("sweep")
            for name, levels in [*sweep.items()] if isinstance(sweep, dict) else ():
                if isinstance(levels, str):
                    of = _counted(name, json.dumps([entry, table.get("direction")], default=str))
                    sweep[name] = _spelled(levels, name, of, path, table)


def _spelled(levels: str, name: str, of: str, path: Path, table: Mapping[str, Any]) -> Any:
    """The numbers of a range `of` blocks or heads; anything else as it is."""
    match = _RANGE.fullmatch(levels)
    if match is None:
        return levels
    first, end, step = int(match[1] or 0), match[2], int(match[3] or 1)
    if end is None:
        count = _how_many(of, path, table)
        if count is None:
            raise ExperimentError(
                f'{path}: {name} = "{levels}" has no end, and '
                f"{'the model is not known' if of else 'it is of neither blocks nor heads'}; write "
                f'the end, as in "{first}:{first + 4}"'
            )
        first, end = first + (count if first < 0 else 0), count
    return [*range(first, int(end), step)[: LEVELS + 1]] if step else []


def _counted(slot: str, words: str) -> str:
    """What a slot numbers in the texts of a table: blocks or the heads of one; "" for anything
    else."""
    if re.search(rf'blocks\.{{{slot}}}|"{{{slot}}}\.|"layers": \["{{{slot}}}"\]', words):
        return "layers"
    return "h" if re.search(rf'"(pattern|heads)": \[?"[^\]]*\.{{{slot}}}"', words) else ""


def _how_many(of: str, path: Path, table: Mapping[str, Any]) -> int | None:
    """How many blocks or heads the first model of a study has; None where that is not known."""
    try:
        model = table["model"][0]
        name = model.get("name") or model.get("like") or model["checkpoints"][0]
        return read_sizes(find(models.located(path.parent, name)).config)[of]
    except (AssayError, KeyError, IndexError, TypeError, AttributeError):
        return None


def _spelled_tokens(place: Any) -> Any:
    """The tokens of a range, such as "4:10", ":4" or "-5:", also within a list; any other place,
    and a range whose ends are not counted from the same end, as it is: prompts differ in it."""
    if isinstance(place, list):
        lists = [x if isinstance(x, list) else [x] for x in map(_spelled_tokens, place)]
        return [n for some in lists for n in some]
    ends = range_ends(place)
    if ends is None:
        return place
    first, end = ends[0] or 0, ends[1] or 0
    same_end = (first < 0) == (end < 0 or ends[1] is None)
    return [*range(first, end)] or place if same_end else place
