"""Values: what an index gives: features, the places at which they fire, rows of its tables, and the
bounds that rows are chosen by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from assay.core.errors import DataError, nearest
from assay.features.index.schema import FEATURES

Row = Mapping[str, Any]
Compare = Literal[">=", "<=", "="]
SORTED = {column.name: column for column in FEATURES if not column.type.endswith("[]")}
"""Columns of `features` by which a table can be sorted and filtered."""
NUMERIC = {name for name, column in SORTED.items() if column.type != "VARCHAR"}


@dataclass(frozen=True)
class Condition:
    """A bound on a column of `features`."""

    column: str
    compare: Compare
    value: float | str


@dataclass(frozen=True)
class Page:
    """Some rows of a table, and how many there are in all."""

    rows: tuple[Row, ...]
    total: int


@dataclass(frozen=True)
class Context:
    """One place at which a feature fires, with the tokens around it."""

    kind: str
    """top: among the strongest, one a window; even: evenly spaced by rank through all firings."""
    rank: int
    share: float
    """Share of the feature's firings that are weaker or as weak."""
    window: int
    position: int
    document: str
    value: float
    at: int
    """Place of the firing token among the tokens."""
    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    activations: tuple[float, ...]
    effects: tuple[float, ...] | None
    """Rise of the loss of all later tokens, in nats and to first order, if the feature were taken
    out at that token."""


@dataclass(frozen=True)
class Feature:
    """Everything an index knows of one feature. `numbers` are the columns of `features`, as
    schema.FEATURES says them."""

    address: str
    numbers: Row
    contexts: tuple[Context, ...]
    promoted: tuple[tuple[str, float], ...]
    """Tokens, and what one unit adds to their logits along the direct path."""
    suppressed: tuple[tuple[str, float], ...]
    neighbours: tuple[Row, ...]
    tokens: tuple[Row, ...]
    """Tokens on which it fires most: text, firings, share, recall."""

    @property
    def logit_edges(self) -> tuple[float, ...]:
        """Edges of the bins of `logit_histogram`, from the most suppressed token's logit to the
        most promoted one's; none without it."""
        if not self.numbers["logit_histogram"]:
            return ()
        return tuple(
            np.linspace(
                self.suppressed[0][1], self.promoted[0][1], len(self.numbers["logit_histogram"]) + 1
            ).tolist()
        )


def filtering(conditions: Sequence[Condition]) -> tuple[str, list[Any]]:
    """Write conditions as SQL, with the values of its question marks. Raises: DataError for a
    column that is not there or a bound that is no number."""
    parts, values = [], []
    for c in conditions:
        if c.column not in SORTED:
            raise DataError(
                f"no column {c.column!r} to filter by; {nearest(c.column, list(SORTED))}"
            )
        if c.compare not in (">=", "<=", "="):
            raise DataError(f"a filter compares by >=, <= or =, got {c.compare!r}")
        if c.column in NUMERIC and not isinstance(c.value, int | float):
            raise DataError(f"{c.column} is a number, got {c.value!r}")
        parts.append(f'"{c.column}" {c.compare} ?')
        values.append(c.value)
    return (" WHERE " + " AND ".join(parts) if parts else ""), values


def check_numeric(*names: str) -> None:
    """Refuse columns that hold no numbers. Raises: DataError."""
    for name in names:
        if name not in NUMERIC:
            raise DataError(f"no column of numbers {name!r}; {nearest(name, sorted(NUMERIC))}")


def known(value: float) -> float | None:
    """A number, or None for NaN."""
    return None if np.isnan(value) else float(value)
