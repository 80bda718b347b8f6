"""The tables of an index: every column with its type, unit and meaning, so that pages and
files say the same of a number.

Tables on disk: columns as Parquet, block by block, each part whole or not there; joined at the
end into one file a table."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from assay.core.errors import DataError, nearest

if TYPE_CHECKING:
    import duckdb

TOP, EVEN = 20, 40
"""Contexts kept of a feature: the strongest, one a window, and some evenly spaced through its
firings by rank."""
BEFORE, AFTER = 16, 8
"""Tokens of context on each side of the firing one."""
RANKS = 10
"""Tokens listed as promoted, and as suppressed."""
COMPANIONS = 5
"""Neighbours of each kind, and tokens that a feature fires on most."""
BINS = 50
"""Bars of the linear histogram, from 0 to the maximum."""
MATCHED = 0.7
"""A feature recurs in another dictionary that has a decoder row of at least this cosine."""
TOGETHER = 0.9
"""Two features fire together where their activations have a correlation of at least this,"""
OFTEN = 20
"""and each is on at so many tokens or more: two that are on once, at one token, would have 1."""
ANTIPODAL = -0.9
"""Two features are antipodal where their decoder rows have a cosine of at most this."""


@dataclass(frozen=True)
class Column:
    """One column of a table: its type in DuckDB's words, its unit, and what it says."""

    name: str
    type: str
    unit: str
    words: str


def _tables() -> dict[str, tuple[Column, ...]]:
    text = Path(__file__).with_name("columns.toml").read_text(encoding="utf-8")
    return {
        table: tuple(Column(name, *row) for name, row in columns.items())
        for table, columns in tomllib.loads(text).items()
    }


TABLES: Mapping[str, tuple[Column, ...]] = _tables()
"""Each a Parquet file of the folder; columns.toml describes every column."""
FEATURES = TABLES["features"]
IDENTIFIERS = frozenset({"feature", "token", "nearest", "antipode"})
"""Columns of features whose numbers are names, and no amounts."""
EFFECTS = (
    *("importance", "importance_low", "importance_high"),
    *("gradient_active", "gradient_low", "gradient_high"),
)
"""Columns of features that say what the loss is without one, each with its interval."""
YOUNGER = {"features": frozenset({"gradient_low", "gradient_high", "logit_histogram"})}
"""Columns that the first indexes lack; whatever lacks another one is no such table."""


def selecting(connection: duckdb.DuckDBPyConnection, name: str, path: str) -> str:
    """Give the query that reads a table's file, with NULL in each column that is younger than the
    file. Raises: duckdb.Error."""
    file = "read_parquet('" + path.replace("'", "''") + "')"
    column_names = {
        column for column, *_ in connection.execute(f"DESCRIBE SELECT * FROM {file}").fetchall()
    }
    younger = YOUNGER.get(name, frozenset())
    columns = [
        f'NULL::{c.type} AS "{c.name}"' if c.name in younger - column_names else f'"{c.name}"'
        for c in TABLES[name]
    ]
    return f"SELECT {', '.join(columns)} FROM {file}"


def adding(connection: duckdb.DuckDBPyConnection, rows: str, more: Mapping[int, Row]) -> str:
    """Give the query that reads the table of features with more numbers of some of them, in the
    places of NULL."""
    types = {column.name: column.type for column in FEATURES}
    names = [name for name in types if name in next(iter(more.values()))]
    columns = ", ".join(f'"{name}" {types[name]}' for name in names)
    connection.execute(f"CREATE TABLE added ({columns})")
    connection.executemany(
        f"INSERT INTO added VALUES ({', '.join('?' * len(names))})",
        [[row[name] for name in names] for row in more.values()],
    )
    both = ", ".join(f'coalesce(f."{x}", a."{x}") AS "{x}"' for x in names if x != "feature")
    return f"SELECT f.* REPLACE ({both}) FROM ({rows}) f LEFT JOIN added a USING (feature)"


@dataclass(frozen=True, eq=False)
class Ragged:
    """Lists of unlike length, one after the other."""

    flat: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, inside: np.ndarray) -> Ragged:
        """Rows of an array [row, place] without the places that are not inside."""
        return cls(values[inside], inside.sum(1))


ROWS, OTHER_ROWS = {"features": 256}, 4096
"""Rows of a row group, which is read whole for a single feature: few for a quick page, not so few
that the list of groups grows long."""
Values = np.ndarray | Sequence[Any] | Ragged

_ARROW = {"INTEGER": "int32", "BIGINT": "int64", "DOUBLE": "float64", "VARCHAR": "string"}


def write_part(folder: Path, table: str, number: int, columns: Mapping[str, Values]) -> None:
    """Write one block's rows of a table; a column that is not given is null, and so are NaN and, in
    numbers of things, −1."""
    import pyarrow.parquet as pq

    arrow_table = _arrow(TABLES[table], columns)
    (folder / table).mkdir(parents=True, exist_ok=True)
    path = folder / table / f"{number:05}.parquet"
    temporary = path.with_suffix(".partial")
    pq.write_table(
        arrow_table, temporary, compression="lz4", row_group_size=ROWS.get(table, OTHER_ROWS)
    )
    temporary.replace(path)


def has_part(folder: Path, table: str, number: int) -> bool:
    """Whether that block was written."""
    return (folder / table / f"{number:05}.parquet").exists()


def join(folder: Path, table: str, to: Path) -> None:
    """Write all parts of a table, in order, as one file; rows are in the order of features, so few
    row groups have those of one."""
    import pyarrow.parquet as pq

    parts = sorted((folder / table).glob("*.parquet"))
    with pq.ParquetWriter(to, pq.read_schema(parts[0]), compression="zstd") as writer:
        for part in parts:
            writer.write_table(pq.read_table(part), row_group_size=ROWS.get(table, OTHER_ROWS))


def _arrow(columns: Sequence[Column], arrays: Mapping[str, Any]) -> Any:
    import pyarrow as pa

    if extra := set(arrays) - {column.name for column in columns}:
        raise DataError(
            f"no column {min(extra)} in this table; known: {', '.join(c.name for c in columns)}"
        )
    rows = len(next(iter(arrays.values())))
    return pa.table({c.name: _column(c, arrays.get(c.name), rows) for c in columns})


def _column(column: Column, values: Any, rows: int) -> Any:
    import pyarrow as pa

    listed = column.type.endswith("[]")
    type_ = pa.type_for_alias(_ARROW[column.type.removesuffix("[]")])
    if values is None:
        return pa.nulls(rows, pa.list_(type_) if listed else type_)
    if isinstance(values, Ragged):
        offsets = pa.array(np.concatenate([[0], np.cumsum(values.lengths)]).astype(np.int32))
        return pa.ListArray.from_arrays(offsets, _flat(values.flat, type_))
    if isinstance(values, np.ndarray) and values.ndim == 2:
        return _lists(values, type_)
    if listed:
        return pa.array(list(values), pa.list_(type_))
    array = np.asarray(values)
    if array.dtype.kind == "f" and column.type != "VARCHAR":
        return pa.array(array.astype(np.float64), pa.float64(), mask=np.isnan(array)).cast(type_)
    if array.dtype.kind in "iu":
        return pa.array(
            array.astype(np.int64), pa.int64(), mask=array < 0 if column.unit else None
        ).cast(type_)
    return pa.array(array.tolist(), type_)


def _lists(values: np.ndarray, type_: Any) -> Any:
    """Rows of equal length as lists; a row of NaN alone is null."""
    import pyarrow as pa

    rows, width = values.shape
    empty = np.isnan(values).all(1) if values.dtype.kind == "f" and width else np.zeros(rows, bool)
    offsets = pa.array((np.arange(rows + 1) * width).astype(np.int32), mask=np.append(empty, False))
    return pa.ListArray.from_arrays(offsets, _flat(values.ravel(), type_))


def _flat(values: np.ndarray, type_: Any) -> Any:
    import pyarrow as pa

    if values.dtype.kind == "f":
        return pa.array(values.astype(np.float64), pa.float64(), mask=np.isnan(values)).cast(type_)
    return pa.array(values.astype(np.int64), pa.int64()).cast(type_)


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
