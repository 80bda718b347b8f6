"""Changes of features as a query string says them: out=12, scale=12:2, clamp=12:8.5; and as three
fields of a form."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import QueryParams

from assay.explorer.problems import ASKED, Problem
from assay.explorer.render import number
from assay.features.live.edits import Change

MOST = 10
"""Features that are changed at once."""
WAYS = {"out": "take out", "scale": "multiply by", "clamp": "set to"}
LARGEST = 1e6


@dataclass(frozen=True)
class Wanted:
    """What is to be done to one feature wherever it counts; a page shows it before torch is there
    to do it."""

    feature: int
    way: str
    amount: float = 0.0

    @property
    def change(self) -> Change:
        """As the live functions take it."""
        return (
            Change(self.feature, value=self.amount)
            if self.way == "clamp"
            else Change(self.feature, factor=self.amount)
        )

    @property
    def words(self) -> str:
        """Say it in words."""
        return {
            "out": "taken out",
            "scale": f"multiplied by {number(self.amount)}",
            "clamp": f"set to {number(self.amount)}",
        }[self.way]


def read(query: QueryParams, width: int) -> tuple[Wanted, ...]:
    """Read the changes, each feature once: the last that is said of it counts. Raises: Problem."""
    entries = [
        (name, *value.partition(":")[::2]) for name, value in query.multi_items() if name in WAYS
    ]
    fields = [query.getlist(name) for name in ("feature", "way", "amount")]
    entries += [
        (way, feature, amount)
        for feature, way, amount in zip(*fields, strict=False)
        if feature.strip()
    ]
    changes_by_feature: dict[int, Wanted] = {}
    for way, feature, amount in entries:
        change = _parse_change(way, feature.strip(), amount.strip(), width)
        changes_by_feature.pop(change.feature, None)
        changes_by_feature[change.feature] = change
    if len(changes_by_feature) > MOST:
        raise Problem(
            ASKED, f"at most {MOST} features are changed at once, got {len(changes_by_feature)}"
        )
    return tuple(changes_by_feature.values())


def _parse_change(way: str, feature: str, amount: str, width: int) -> Wanted:
    if way not in WAYS:
        raise Problem(ASKED, f"a feature can be changed by {', '.join(WAYS)}, got {way[:40]!r}")
    if not re.fullmatch(r"[0-9]{1,9}", feature) or int(feature) >= width:
        raise Problem(ASKED, f"features are numbered 0 to {width - 1:,}, got {feature[:40]!r}")
    if way == "out":
        return Wanted(int(feature), way)
    try:
        value = float(amount)
    except ValueError:
        value = float("nan")
    if not abs(value) <= LARGEST:
        raise Problem(
            ASKED, f"to {WAYS[way]} takes a number of at most {LARGEST:,.0f}, got {amount[:40]!r}"
        )
    return Wanted(int(feature), way, value)


def state(changes: Sequence[Wanted]) -> list[tuple[str, str]]:
    """Write changes as parts of a query string."""
    return [
        (w.way, str(w.feature) if w.way == "out" else f"{w.feature}:{w.amount:.6g}")
        for w in changes
    ]


def without(changes: Sequence[Wanted], feature: int) -> tuple[Wanted, ...]:
    """The changes of all other features."""
    return tuple(w for w in changes if w.feature != feature)


def instead(changes: Sequence[Wanted], change: Wanted) -> tuple[Wanted, ...]:
    """These changes with one more, in place of an earlier one of its feature."""
    return (*without(changes, change.feature), change)
