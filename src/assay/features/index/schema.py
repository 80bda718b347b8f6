"""The tables of an index: every column with its type, unit and meaning, so that pages, files and
SQL say the same of a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.core.errors import DataError

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
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
"""Of a feature's activations where it is on."""
BINS = 50
"""Bars of the linear histogram, from 0 to the maximum."""
MATCHED = 0.7
"""A feature recurs in another dictionary that has a decoder row of at least this cosine."""
ANTIPODAL = -0.9
"""Two features are antipodal where their decoder rows have a cosine of at most this."""


@dataclass(frozen=True)
class Column:
    """One column of a table: its type in DuckDB's words, its unit, and what it says."""

    name: str
    type: str
    unit: str
    words: str


def _columns(*rows: tuple[str, str, str, str]) -> tuple[Column, ...]:
    return tuple(Column(*row) for row in rows)


FEATURES = _columns(
    ("feature", "INTEGER", "", "its number in the dictionary"),
    ("firings", "BIGINT", "tokens", "tokens at which it is on"),
    ("density", "DOUBLE", "1", "share of tokens at which it is on"),
    ("class", "VARCHAR", "", "dead, ultra-rare, rare, ordinary or dense, by density"),
    ("documents", "INTEGER", "documents", "documents in which it is on"),
    ("maximum", "DOUBLE", "activation", "its strongest activation"),
    ("mean", "DOUBLE", "activation", "its mean activation where it is on"),
    ("quantiles", "DOUBLE[]", "activation", "quantiles .1, .25, .5, .75, .9, .99 where it is on"),
    (
        "histogram",
        "INTEGER[]",
        "tokens",
        "counts of activations in 50 equal bins from 0 to the maximum; zeros are not counted",
    ),
    (
        "log_histogram",
        "INTEGER[]",
        "tokens",
        "counts in bins of a sixth of an octave from 1/128 to 128",
    ),
    ("purity", "DOUBLE", "1", "share of the commonest token among its strongest contexts"),
    ("token", "INTEGER", "token", "the token on which it fires most often"),
    ("token_share", "DOUBLE", "1", "share of its firings on that token"),
    (
        "decoder_norm",
        "DOUBLE",
        "activation",
        "length of its decoder row, in units of the raw activations",
    ),
    (
        "encoder_cosine",
        "DOUBLE",
        "1",
        (
            "cosine of its encoder column with its decoder row; null where they lie in different "
            "spaces"
        ),
    ),
    (
        "nearest",
        "INTEGER",
        "feature",
        "the feature whose decoder row is nearest by absolute cosine",
    ),
    ("nearest_cosine", "DOUBLE", "1", "that cosine, with its sign"),
    ("antipode", "INTEGER", "feature", "a feature that points the other way: cosine at most −.9"),
    (
        "gradient_total",
        "DOUBLE",
        "nat/token",
        "rise of the loss without it, to first order, on all tokens of the text: per token",
    ),
    (
        "gradient_active",
        "DOUBLE",
        "nat/active token",
        "rise of the loss without it, to first order, per token at which it is on",
    ),
    (
        "gradient_low",
        "DOUBLE",
        "nat/active token",
        (
            "lower end of that number's 95 % interval over documents, Student's t; from six "
            "documents on"
        ),
    ),
    ("gradient_high", "DOUBLE", "nat/active token", "upper end of that interval"),
    (
        "ablated_firings",
        "INTEGER",
        "tokens",
        "firings in the sample on which it was taken out; null where it was not",
    ),
    (
        "importance",
        "DOUBLE",
        "nat/active token",
        "mean change of cross-entropy where it is on when it is taken out; above 0 it helps",
    ),
    (
        "importance_low",
        "DOUBLE",
        "nat/active token",
        "lower end of its 95 % interval over documents",
    ),
    ("importance_high", "DOUBLE", "nat/active token", "upper end of that interval"),
    ("importance_total", "DOUBLE", "nat/token", "its importance times its density in the sample"),
    (
        "spill",
        "DOUBLE",
        "nat/token",
        "mean change of cross-entropy where it is off, through attention",
    ),
    ("hit_share", "DOUBLE", "1", "share of its firings at which taking it out raises the loss"),
    (
        "ablation_text",
        "DOUBLE",
        "nat/token",
        "mean change of cross-entropy over all tokens of the sample, spill included",
    ),
    (
        "gradient_sample",
        "DOUBLE",
        "nat/token",
        "the first-order estimate of that number on the same sample",
    ),
    (
        "logit_histogram",
        "INTEGER[]",
        "tokens",
        "counts of the vocabulary's tokens in 50 equal bins of what one unit of it adds to their "
        "logits, from "
        "the most suppressed to the most promoted; null in an index made before this was kept",
    ),
    (
        "direct_share",
        "DOUBLE",
        "1",
        (
            "bounded share of its effect on the logits that takes the direct path: "
            "‖Δ_dir‖²/(‖Δ_dir‖²+‖Δ_ind‖²)"
        ),
    ),
    ("direct_signed", "DOUBLE", "1", "signed share of the direct path: ⟨Δ_dir, Δ_tot⟩/‖Δ_tot‖²"),
    (
        "norm_cosine",
        "DOUBLE",
        "1",
        "cosine of its exact effect on the logits with the one read off its decoder row",
    ),
    ("norm_overlap", "DOUBLE", "1", "share of the ten most promoted tokens on which both agree"),
    (
        "seeds",
        "INTEGER",
        "dictionaries",
        "other dictionaries in which it recurs: a decoder row of cosine at least .7",
    ),
    (
        "seed_cosines",
        "DOUBLE[]",
        "1",
        "best cosine of its decoder row in each of the other dictionaries",
    ),
    (
        "seed_spans",
        "DOUBLE[]",
        "1",
        "share of its decoder row within the span of the eight nearest rows of each",
    ),
)

CONTEXTS = _columns(
    ("feature", "INTEGER", "", "the feature"),
    (
        "kind",
        "VARCHAR",
        "",
        "top: among the strongest, one a window; even: evenly spaced by rank through all firings",
    ),
    ("rank", "INTEGER", "", "from 0, strongest first"),
    ("share", "DOUBLE", "1", "share of its firings that are weaker or as weak"),
    ("window", "INTEGER", "window", "window of the text"),
    ("position", "INTEGER", "tokens", "where in the window it fires"),
    ("document", "INTEGER", "document", "the document"),
    ("value", "DOUBLE", "activation", "its activation there"),
    ("at", "INTEGER", "", "place of the firing token among the tokens shown"),
    (
        "tokens",
        "INTEGER[]",
        "token",
        "tokens shown, −16 … +8 around the firing one, cut at the window's ends",
    ),
    ("activations", "DOUBLE[]", "activation", "its activation at each of them"),
    (
        "effects",
        "DOUBLE[]",
        "nat",
        (
            "rise of the loss of all later tokens, to first order, if it were taken out there; "
            "null without gradients"
        ),
    ),
)

LOGITS = _columns(
    ("feature", "INTEGER", "", "the feature"),
    ("sign", "INTEGER", "", "1 promoted, −1 suppressed"),
    ("rank", "INTEGER", "", "from 0, largest first"),
    ("token", "INTEGER", "token", "the token"),
    (
        "logit",
        "DOUBLE",
        "logit per unit activation",
        (
            "what one unit of the feature adds along the direct path, the final norm's weight "
            "folded in"
        ),
    ),
)

NEIGHBOURS = _columns(
    ("feature", "INTEGER", "", "the feature"),
    (
        "kind",
        "VARCHAR",
        "",
        "decoder: nearest decoder rows; feature: correlated features; neuron: correlated neurons "
        "of the block's MLP; "
        "axis: largest components of the decoder row where the basis is that of neurons",
    ),
    ("rank", "INTEGER", "", "from 0, nearest first"),
    ("other", "INTEGER", "", "the other feature, neuron or axis"),
    ("cosine", "DOUBLE", "1", "of decoder rows, or of activations uncentred"),
    (
        "pearson",
        "DOUBLE",
        "1",
        "correlation of activations over all tokens of the sample, zeros included",
    ),
    ("value", "DOUBLE", "", "axis: the signed component"),
    ("share", "DOUBLE", "1", "axis: its share of the row's absolute sum"),
)

FEATURE_TOKENS = _columns(
    ("feature", "INTEGER", "", "the feature"),
    ("rank", "INTEGER", "", "from 0, most firings first"),
    ("token", "INTEGER", "token", "a token on which it fires"),
    ("firings", "INTEGER", "tokens", "how often"),
    ("share", "DOUBLE", "1", "share of the feature's firings"),
    ("recall", "DOUBLE", "1", "share of that token's occurrences at which it fires"),
)

TOKENS = _columns(
    ("token", "INTEGER", "token", "its id"),
    ("text", "VARCHAR", "", "its text; bytes that are no UTF-8 as U+FFFD"),
    ("count", "BIGINT", "tokens", "how often it occurs in the text"),
)

DOCUMENTS = _columns(
    ("document", "INTEGER", "document", "its number"),
    ("name", "VARCHAR", "", "its path in the corpus"),
)

TABLES: Mapping[str, tuple[Column, ...]] = {
    "features": FEATURES,
    "contexts": CONTEXTS,
    "logits": LOGITS,
    "neighbours": NEIGHBOURS,
    "feature_tokens": FEATURE_TOKENS,
    "tokens": TOKENS,
    "documents": DOCUMENTS,
}
"""Each a Parquet file of the folder and a table of its SQL."""


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
"""Rows of a row group, which whoever asks for one feature reads whole: small for a quick page, not
so small that their list grows long."""
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
