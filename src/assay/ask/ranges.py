"""Ranges: write out the levels of a sweep, blocks and tokens that a study gives as a range, such as
"0:30", "1:" or "-5:"."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.ask.measure import models
from assay.ask.measure.tokenized import range_ends
from assay.core.errors import AssayError, ExperimentError
from assay.subjects.folder import find
from assay.subjects.sizes import read_sizes

_RANGE, LEVELS = re.compile(r"(-?\d{1,9})?:(-?\d{1,9})?(?::(\d{1,9}))?"), 10_000
"""A range of whole numbers with its end excluded, and the maximum number of levels."""
_SLOT = re.compile(r"\{(\w+)([+-]\d+)?\}")
"""A slot of a change of weights, possibly with an offset, as in {layer+1}."""


def spell(path: Path, table: Mapping[str, Any]) -> None:
    """Write out the ranges in the tables of a study: levels of sweeps, blocks in which attention is
    blocked, and positions. Raises: ExperimentError for a range without an end if the number of
    blocks or heads is unknown."""
    for kind in ("model", "direction", "intervene", "read", "probe"):
        entries = table.get(kind)
        for entry in entries if isinstance(entries, list) else ():
            fields = entry if isinstance(entry, dict) else {}
            block = fields["block"] if isinstance(fields.get("block"), dict) else {}
            top = fields["top"] if isinstance(fields.get("top"), dict) else {}
            places = (
                *((fields, "position"), (fields, "source_position")),
                *((block, "to"), (top, "position")),
            )
            for holder, field in places if kind in ("intervene", "read") else ():
                if field in holder:
                    holder[field] = _spelled_tokens(holder[field])
            sweep = fields["sweep"] if isinstance(fields.get("sweep"), dict) else {}
            words = json.dumps([fields, table.get("direction")], default=str)
            for holder, name in ((block, "layers"), *((sweep, name) for name in sweep)):
                if isinstance(levels := holder.get(name), str) and _RANGE.fullmatch(levels):
                    counted = "layers" if holder is block else counted_by(name, words)
                    holder[name] = _spelled(levels, name, counted, path, table)
            if kind == "model" and isinstance(fields.get("weights"), dict):
                fields["weights"] = _weights_of(fields["weights"], sweep, path)


def _weights_of(weights: Mapping[str, Any], sweep: Mapping[str, Any], path: Path) -> Any:
    """The changes of weights for a change with slots, one for each level of a sweep. Raises:
    ExperimentError for a slot without levels, or levels without a slot."""
    slots = {m[1] for m in _SLOT.finditer(json.dumps(weights))}
    if lost := sorted(slots ^ {*sweep}):
        has, lacks = ("weights", "sweep") if lost[0] in slots else ("sweep", "weights")
        raise ExperimentError(
            f"{path}: {has} of a model names {lost[0]}, and {lacks} does not; write both, as in "
            'weights = { swap = ["{layer}", "{layer+1}"] } with sweep = { layer = "0:29" }'
        )
    every = [v if isinstance(v, list) else [v] for v in sweep.values()]
    if math.prod(map(len, every)) > LEVELS:
        raise ExperimentError(f"{path}: a sweep of weights has more than {LEVELS:,} levels")
    points = (dict(zip(sweep, levels, strict=True)) for levels in itertools.product(*every))
    if not sweep:
        return weights
    return [{field: _filled(v, point) for field, v in weights.items()} for point in points]


def _filled(value: Any, point: Mapping[str, Any]) -> Any:
    """A value with its slots filled; a value that is a single slot becomes the level, plus its
    offset."""
    if isinstance(value, list):
        return [_filled(v, point) for v in value]

    def level(slot: re.Match[str]) -> Any:
        x = point[slot[1]]
        return x + int(slot[2] or 0) if isinstance(x, int) else x

    if not isinstance(value, str):
        return value
    alone = _SLOT.fullmatch(value)
    return level(alone) if alone else _SLOT.sub(lambda slot: str(level(slot)), value)


def _spelled(levels: str, name: str, size: str, path: Path, table: Mapping[str, Any]) -> list[int]:
    """The numbers of a range; without an end up to the number of blocks, or of heads of a block."""
    first, end, step = (None if x is None else int(x) for x in _RANGE.fullmatch(levels).groups())  # type: ignore[union-attr]
    start = first or 0
    if end is None:
        try:
            model = table["model"][0]
            place = model.get("name") or model.get("like") or model["checkpoints"][0]
            end = read_sizes(find(models.located(path.parent, place)).config)[size]
        except (AssayError, KeyError, IndexError, TypeError, AttributeError):
            why = "the model is not known" if size else "it is of neither blocks nor heads"
            raise ExperimentError(
                f'{path}: {name} = "{levels}" has no end, and {why}; write the end, as in '
                f'"{start}:{start + 4}"'
            ) from None
        start += end if start < 0 else 0
    return [*range(start, end, step or 1)[: LEVELS + 1]] if step != 0 else []


def counted_by(slot: str, words: str) -> str:
    """Tell whether a slot numbers blocks or heads in the texts of a table; "" for anything else."""
    if re.search(
        rf'(blocks|layers)\.{{{slot}}}|"{{{slot}}}\.|"(layers|swap)": \["{{{slot}}}"', words
    ):
        return "layers"
    return "h" if re.search(rf'"(pattern|heads)": \[?"[^\]]*\.{{{slot}}}"', words) else ""


def _spelled_tokens(place: Any) -> Any:
    """The tokens of a range, such as "4:10", ":4" or "-5:", also within a list; any other place,
    and a range whose ends are counted from different ends, stays, because it differs between
    prompts."""
    if isinstance(place, list):
        lists = [x if isinstance(x, list) else [x] for x in map(_spelled_tokens, place)]
        return [n for tokens in lists for n in tokens]
    if (ends := range_ends(place)) is None:
        return place
    first, end = (x or 0 for x in ends)
    same_end = (first < 0) == (end < 0 or ends[1] is None)
    return [*range(first, end)] or place if same_end else place
