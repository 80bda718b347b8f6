"""Anyone's table as rows: CSV, TSV, JSON, Parquet, a log of evaluations, or a frame in memory."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assay.errors import DataError, nearest
from assay.verdicts import logs
from assay.verdicts.files import contents, from_json, text

WIDEST = 1_000
"""Columns of a table."""
LARGEST = 50_000_000
"""Cells of a table."""
NOTHING = frozenset(("", "NA", "N/A", "n/a", "NaN", "nan", "None", "null"))
"""How a missing number is written."""
TRUTH = {"True": 1.0, "true": 1.0, "False": 0.0, "false": 0.0}


@dataclass(frozen=True, eq=False)
class Rows:
    """A table as rows.

    Attributes:
        frame: a row for each measurement, with the column `arm` if the table has arms.
        source: what to call the table.
        levels: columns of which a claim has to name a level, or say that it takes their mean.
        inputs: the SHA-256 of each file.
    """

    frame: pd.DataFrame
    source: str
    levels: tuple[str, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)


def read(table: Any, arm: str = "") -> Rows:
    """Read a table; what is given is left as it was.

    Args:
        table: the path of a file or of a folder of logs, a DataFrame, columns by name, or rows.
        arm: the column that says to which arm a row belongs; else `arm`, or the `model` of a log.

    Raises:
        DataError: what is no table, in one line.
    """
    if not isinstance(table, str | Path):
        return Rows(_with_arms(_plain(table), arm), "the table")
    path, source = Path(table), str(table)
    log = logs.read(path)
    frame, levels, files = log or (_of_file(path), [], [path])
    arm = "model" if log and not arm and "arm" not in frame else arm
    frame = _with_arms(_plain(frame, source), arm, source)
    if path.suffix.lower() in SEPARATORS:
        frame = frame.apply(lambda x: x if x.name == "arm" else _typed(x))
    inputs = {str(p): hashlib.sha256(contents(p)).hexdigest() for p in files}
    return Rows(frame, source, tuple(x for x in levels if x in frame and x != "arm"), inputs)


SEPARATORS = {".csv": ",", ".tsv": "\t"}


def _of_file(path: Path) -> Any:
    kind = path.suffix.lower()
    if kind in SEPARATORS:
        return _of_csv(path, SEPARATORS[kind])
    if kind == ".parquet":
        return _of_parquet(path)
    if kind == ".json":
        return _listed(from_json(contents(path), str(path)), path)
    if kind in (".jsonl", ".ndjson"):
        lines = enumerate(text(path).splitlines(), 1)
        return _listed([from_json(x, f"{path} line {n}") for n, x in lines if x.strip()], path)
    contents(path)
    message = "a table is a .csv, .tsv, .json, .jsonl or .parquet, or a log of evaluations"
    raise DataError("not-a-table", message, str(path))


def _of_csv(path: Path, separator: str) -> dict[str, list[str]]:
    """Columns of text."""
    reader = csv.reader(io.StringIO(text(path), newline=""), delimiter=separator, strict=True)
    header, lines = next(reader, []), list[list[str]]()
    try:
        for line in filter(None, reader):
            if len(line) != len(header):
                message = f"it has {len(line)} values, and the header {len(header)} names"
                raise DataError("uneven", message, f"{path} line {reader.line_num}")
            lines.append(line)
    except csv.Error as e:
        raise DataError("not-a-table", str(e), f"{path} line {reader.line_num}") from None
    _check(header, len(lines), str(path))
    return {name: [line[k].strip() for line in lines] for k, name in enumerate(header)}


def _typed(x: pd.Series) -> pd.Series:
    """Texts as truth values or numbers where all are. Names such as 1.1 and 1.10, of which numbers
    would make one, stay texts."""
    known = x.where(~x.isin(NOTHING))
    values = known.dropna()
    if len(values) and values.isin(TRUTH).all():
        return known.map(TRUTH)
    numbers = pd.to_numeric(known, errors="coerce")
    whole = 0 < len(values) == numbers.notna().sum() and values.nunique() == numbers.nunique()
    return numbers if whole else x.where(x != "")


def _listed(rows: Any, path: Path) -> list[dict[str, Any]]:
    """Objects as rows."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError("not-a-table", "it is no list of objects, one for each row", str(path))
    _check({name for row in rows for name in row}, len(rows), str(path))
    return rows


def _of_parquet(path: Path) -> pd.DataFrame:
    data = io.BytesIO(contents(path))
    try:
        from pyarrow import ArrowException, parquet
    except ModuleNotFoundError:
        message = "Parquet needs pyarrow: pip install pyarrow"
        raise DataError("needs-pyarrow", message, str(path)) from None
    try:
        file = parquet.ParquetFile(data)
        _check(file.schema_arrow.names, file.metadata.num_rows, str(path))
        return file.read().to_pandas()
    except (ArrowException, OSError, ValueError) as e:
        raise DataError("not-a-table", f"it is not Parquet: {e}", str(path)) from None


def _check(names: Collection[str], rows: int, at: str) -> None:
    """Refuse what is no table, or too large for one, before it is made."""
    times = Counter(name.strip() for name in names)
    if not rows or not times:
        raise DataError("empty", "the table has no rows", at)
    if twice := [name for name, n in times.items() if n > 1]:
        raise DataError("same-name", f"several columns are called {twice[0]!r}", at)
    if len(times) > WIDEST or rows * len(times) > LARGEST:
        most = f"at most {WIDEST:,} columns and {LARGEST:,} cells are read"
        raise DataError("too-large", most, at)


def _plain(table: Any, source: str = "the table") -> pd.DataFrame:
    """A frame of its own, with named indices as columns and each cell a number or a text."""
    if isinstance(table, Mapping):
        table = {k: np.asarray(v) if hasattr(v, "__array__") else v for k, v in table.items()}
    try:
        frame = pd.DataFrame(table)
    except (ValueError, TypeError) as e:
        raise DataError("not-a-table", f"expected a DataFrame or columns: {e}", source) from None
    named = [x for x in frame.index.names if x is not None and x not in frame]
    frame = frame.reset_index(named).reset_index(drop=True)
    frame.columns = pd.Index([str(name).strip() for name in frame.columns])
    _check([*frame.columns], len(frame), source)
    loose = [c for c in map(str, frame) if frame[c].dtype in (object, "category")]
    return frame.assign(**{c: frame[c].astype(object).map(_cell) for c in loose})


def _cell(x: Any) -> Any:
    """A list or object in a cell as its text, so that rows can be grouped by it."""
    return json.dumps(x, default=str) if isinstance(x, list | dict | np.ndarray) else x


def _with_arms(frame: pd.DataFrame, column: str, source: str = "the table") -> pd.DataFrame:
    """The frame with its arms, as texts, in the column `arm`."""
    if column not in frame and column:
        message = f"no column {column}; {nearest(column, frame.columns)}"
        raise DataError("unknown-column", message, source)
    if column not in ("", "arm") and "arm" in frame:
        raise DataError("two-arms", f"it has a column arm as well as {column}", source)
    frame = frame.rename(columns={column: "arm"})
    if "arm" not in frame:
        return frame
    if (missing := frame["arm"].isna() | (frame["arm"] == "")).any():
        row = int(missing.to_numpy().argmax()) + 1
        raise DataError("no-arm", "its arm is empty", f"{source} row {row}")
    return frame.assign(arm=frame["arm"].astype(str).str.strip())
