"""Dashboards: features of an index as pages in one file."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from assay.core.errors import AssayError, DataError
from assay.evaluation import indexing
from assay.explorer import offline
from assay.features.index.reader import Index
from assay.lab.store import atomic
from assay.lab.store.store import Store


@dataclass(frozen=True, kw_only=True)
class Which:
    """Which features are exported."""

    features: str = ""
    """The numbers of the features to write, such as 1,2,5-9."""
    top: int | None = None
    """How many features to write: those with the largest `by`; by default 100, if none is named."""
    by: str = "importance"
    """The column of the index by which --top chooses: importance, gradient_total, density, maximum,
    …. Features without a value are left out."""


FIRST = Which()


@dataclass(frozen=True, kw_only=True)
class FeaturePages:
    """Features as pages in one file: of which dictionary, how many, and where the file is."""

    address: str
    features: tuple[int, ...]
    chosen: str
    """How they were, in words."""
    written: Path
    bytes: int


def export_features(
    dictionary: str,
    out: Path,
    which: Which = FIRST,
    *,
    root: Path = Path("assay-store"),
    make: Callable[[], Index] | None = None,
) -> FeaturePages:
    """Write pages of a dictionary's features; `dictionary` is a file, a stored run or an address in
    the explorer, and `make` makes its index where the store has none.

    Raises: DataError for a dictionary without an index, and features that are not there; AssayError
    where nothing can be written."""

    store = Store(root)
    if out.exists():
        raise AssayError(f"{out} exists already; remove it, or name another --out")
    index = indexing.known(dictionary, store) or (make() if make is not None else None)
    if index is None:
        raise DataError(
            f"{dictionary} has no index in {root}; make one with: assay export {dictionary} "
            "--format index"
        )
    numbers, chosen = choose(index, which)
    out.parent.mkdir(parents=True, exist_ok=True)
    atomic.write(out, offline.page(index, numbers, chosen).encode("utf-8", "replace"))
    return FeaturePages(
        address=index.about.address,
        features=tuple(numbers),
        chosen=chosen,
        written=out,
        bytes=out.stat().st_size,
    )


def choose(index: Index, which: Which) -> tuple[list[int], str]:
    """Find the features that are meant, in order, and say how they were chosen. Raises: DataError
    for one that is not there."""
    if which.features:
        if which.top is not None:
            raise AssayError("--features and --top both choose features; give one of them")
        numbers: dict[int, None] = {}
        for part in which.features.split(","):
            match = re.fullmatch(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?", part)
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
            if last < first or last >= index.about.d_sae:
                raise DataError(
                    f"--features is numbers from 0 to {index.about.d_sae - 1:,}, such as "
                    f"1,2,5-9; got {part!r}"
                )
            numbers |= dict.fromkeys(range(first, last + 1))
        return list(numbers), "as named"
    top = 100 if which.top is None else which.top
    if top < 1:
        raise AssayError(f"--top is a number of features, at least 1, got {top}")
    rows = [
        row for row in index.features(order=which.by, limit=top).rows if row[which.by] is not None
    ]
    if not rows:
        raise DataError(
            f"no feature of {index.about.address} has a number {which.by}; choose by another "
            "one, such as --by density"
        )
    return [row["feature"] for row in rows], f"those with the largest {which.by.replace('_', ' ')}"
