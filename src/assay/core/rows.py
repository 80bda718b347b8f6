"""Rows: anyone's table as rows with a column of arms, units and numbers; what cannot be used is
refused in one line."""

from __future__ import annotations

import contextlib
import io
import json
import math
import numbers
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.core import eval_logs, foreign
from assay.core.arrays import is_tensor
from assay.core.errors import MANY, Argument, ClaimError, DataError, every, nearest
from assay.core.expression import Parsed
from assay.core.plain import plain

if TYPE_CHECKING:
    import pandas as pd

Names = tuple[str, ...]
MISSING = frozenset({"", "NA", "N/A", "n/a", "NaN", "nan", "None", "null"})
"""Words for a missing number."""
LARGEST, WIDEST = 64 * 2**20, 1_000
"""Bytes and columns of a file."""
TOO_MANY = "write a decimal comma (84,1) as a point (84.1), and a text that has a comma in quotes"
"""What mends a row of a CSV that has a value more than the header has names."""
JSON = frozenset((".json", ".jsonl", ".ndjson"))
NO_TABLES = (".assay", ".prereg.json", ".zip", ".toml", ".md", ".py", ".safetensors")
"""Ends of the names of files that hold no table, but are known."""
OTHER_FORMATS = frozenset(
    (
        *(".parquet", ".pq", ".feather", ".arrow"),
        *(".xls", ".xlsx", ".ods", ".pkl", ".pickle", ".npy", ".npz", ".h5"),
    )
)
"""Ends of the names of files that hold tables in other ways."""
EMPTY = "; if there is no number, leave the cell empty"
PART = r"\d+\.(?:0|[1-9]\d*)"
"""A name of a part of a model, such as 5.10 for a head: two whole numbers."""
SUMMARIES = frozenset(
    (
        *("mean", "avg", "average", "median", "total", "sum", "overall", "all"),
        *("std", "sd", "stdev", "sem", "se", "min", "max"),
    )
)
"""Names of rows that sum up the others of a table, as spreadsheets and scripts add them."""


def read(
    frame: Any,
    arm_column: str,
    *,
    needed: bool = True,
    wide: Callable[[pd.DataFrame], str] = lambda rows: "",
) -> tuple[pd.DataFrame, str]:
    """Give the rows of a table, with a column `arm`, and what to call it; where the column is not
    needed, a table without it is the arm main. `wide` says of a table how arms among its
    columns become rows. Raises: DataError."""
    source = "the table"
    if isinstance(frame, (str, Path)):
        source = str(frame)
        path = Path(frame)
        frame = _read_file(path, source, arm_column)
    rows = _as_frame(frame, source)
    if not needed and arm_column == "arm" and "arm" not in rows.columns:
        rows = rows.assign(arm="main")
    if len(rows.columns) == 1:
        _check_separator(source, arm_column, str(rows.columns[0]))
    if arm_column not in rows.columns:
        if how := wide(rows):
            raise DataError(f"{source} has no column {arm_column!r}, but {how}")
        texts = [c for c in rows.columns if isinstance(rows[c].iloc[0], str)] if len(rows) else []
        spelt = arm_column.lower() in [str(c).lower() for c in rows.columns]
        near = "" if texts and not spelt else f" {nearest(arm_column, rows.columns)};"
        raise DataError(
            f"{source} has no column {arm_column!r}, which says which variant each row "
            f"belongs to;{near} "
            "if it has another name, give it with ",
            Argument("arm_column", "NAME"),
            " (arm_column= in Python)",
        )
    return _with_arms(rows, source, arm_column), source


def _read_file(path: Path, source: str, arm_column: str) -> Any:
    """A file's table, by what the file is. Raises: DataError."""
    if path.name.endswith(NO_TABLES) and (what := foreign.purpose(path)):
        raise DataError(f"no table of numbers: {what}")
    if eval_logs.is_log(path):
        return eval_logs.read(path, arm_column)
    if path.suffix.lower() in JSON:
        return _read_json(path, source)
    return _read_csv(path, source, arm_column)


def _read_json(path: Path, source: str) -> list[dict[str, Any]]:
    """The objects of a JSON list, or of the lines of a file. Raises: DataError."""
    text = foreign.text(path, "a table of JSON objects", LARGEST)
    rows, place = [], "it"
    try:
        if path.suffix.lower() == ".json":
            rows = json.loads(text)
        else:
            for n, line in enumerate(text.splitlines(), 1):
                place = f"line {n}"
                rows += [json.loads(line)] if line.strip() else []
    except (ValueError, RecursionError) as e:
        raise DataError(f"{source}: {place} is not JSON ({e})") from e
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{source} is no table: a list of objects is, one for each row")
    foreign.within(len({name for row in rows for name in row}), WIDEST, path, "columns")
    return rows


def _read_csv(path: Path, source: str, arm_column: str) -> pd.DataFrame:
    """A file's table. Raises: DataError for what is none, in one line."""
    import pandas as pd

    separator = "\t" if path.suffix == ".tsv" else ","
    try:
        text = foreign.read(path, "a CSV file", LARGEST)
        _check_header(path, text, separator, source, arm_column)
        # an arm may well be called "null", which pandas would read as nothing
        frame = pd.read_csv(
            io.BytesIO(text),
            sep=separator,
            float_precision="round_trip",
            keep_default_na=False,
            na_values=[""],
        )
    except pd.errors.EmptyDataError as e:
        raise DataError(
            f"{source} is empty; expected a header line with arm, the units and the numbers"
        ) from e
    except (UnicodeDecodeError, pd.errors.ParserError) as e:
        raise DataError(_unreadable(path, source, e)) from e
    # pandas would take the first column for row names
    if not isinstance(frame.index, pd.RangeIndex):
        raise DataError(
            f"{source} is not a comma-separated table: line 2 has more values than the header "
            f"has names; {TOO_MANY}"
        )
    return _with_names(frame, text, separator)


def _with_names(frame: pd.DataFrame, text: bytes, separator: str) -> pd.DataFrame:
    """The table with columns of names such as 1.1 and 1.10, the heads of a layer, as text: as
    numbers, the two would be the same."""
    import pandas as pd

    for place, (_, column) in enumerate([*frame.items()]):
        if not _may_be_names(column):
            continue
        written = pd.read_csv(
            io.BytesIO(text), sep=separator, usecols=[place], dtype=str, keep_default_na=False
        ).iloc[:, 0]
        written = written.str.strip()
        if written.str.fullmatch(PART).all() and written.nunique() > column.nunique():
            frame.isetitem(place, written.to_numpy())
    return frame


def _may_be_names(x: pd.Series) -> bool:
    """Whether numbers may be names of parts, two whole numbers with a dot between them."""
    return x.dtype.kind == "f" and all(re.fullmatch(PART, repr(float(value))) for value in x)


def _check_header(path: Path, text: bytes, separator: str, source: str, arm_column: str) -> None:
    """Refuse text that is no CSV, or that repeats a column name. pandas renames the second of two
    equal names before anyone could ask which one is meant."""
    import pandas as pd

    if path.suffix.lower() in OTHER_FORMATS or text.startswith(b"PAR1"):
        raise DataError(
            f"{source} is not CSV: tables are read as text, separated by commas, or by tabs "
            "in a .tsv, or as JSON lines in a .jsonl; write one with pandas' "
            "to_csv(…, index=False), or in Python give the DataFrame to assay.judge"
        )
    if text.lstrip().startswith(b"#"):
        raise DataError(
            f"{source} begins with a comment (#); its first line is the header: leave comments out"
        )
    columns = text.partition(b"\n")[0].count(separator.encode()) + 1
    foreign.within(columns, WIDEST, path, "columns")
    header = pd.read_csv(
        io.BytesIO(text), sep=separator, header=None, nrows=1, dtype=str, keep_default_na=False
    )
    if len(header.columns) == 1:
        _check_separator(source, arm_column, str(header.iloc[0, 0]), decimals=True)
    names = Counter(str(c).strip() for c in header.iloc[0])
    if twice := [name for name, n in names.items() if name and n > 1]:
        raise DataError(
            f"{source} has several columns called {twice[0]!r}; each column needs its own name"
        )


def _unreadable(path: Path, source: str, error: Exception) -> str:
    """Why a file cannot be read as a CSV, and how to fix it."""
    packed = path.suffix in (".gz", ".bz2", ".zip", ".xz", ".zst", ".tar", ".tgz")
    if isinstance(error, UnicodeDecodeError) and not packed:
        wide = error.start == 0 and error.object[:2] in foreign.WIDE
        problem = "it is UTF-16" if wide else f"it is not UTF-8 text (byte {error.start:,})"
        return f"{source} is not a comma-separated table: {problem}; save it as UTF-8"
    why = str(error).splitlines()[0].strip()
    if counts := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", why):
        names, line, values = counts.groups()
        why = f"line {line} has {values} values, the header {names} names; {TOO_MANY}"
    return f"{source} is not a comma-separated table{' (unpack it first)' * packed}: {why}"


def _as_frame(frame: Any, source: str) -> pd.DataFrame:
    """Columns of any kind as a DataFrame. Raises: DataError."""
    import pandas as pd

    try:
        if isinstance(frame, Mapping):
            frame = {k: v.tolist() if is_tensor(v) else v for k, v in frame.items()}
        rows = pd.DataFrame(frame)
        # what groupby and set_index made the index of are columns like the others
        named = [name for name in rows.index.names if name is not None]
        rows = rows.reset_index([name for name in named if name not in rows.columns])
        rows = rows.reset_index(drop=True) if named else rows
    except (ValueError, TypeError) as e:
        why = str(e).splitlines()[0]
        raise DataError(
            f"expected a DataFrame, or columns of one length, got {type(frame).__name__}: {why}"
        ) from e
    rows = rows.rename(columns=lambda c: plain(str(c)).strip())
    if rows.columns.duplicated().any():
        twice = rows.columns[rows.columns.duplicated()][0]
        raise DataError(f"{source} has several columns called {twice!r}")
    return rows


def _with_arms(rows: pd.DataFrame, source: str, arm_column: str) -> pd.DataFrame:
    """Rows with the names of their arms in the column `arm`. Raises: DataError."""
    if arm_column != "arm":
        # a claim may name it, and a column that vanishes is never judged
        if "arm" in rows.columns:
            raise DataError(
                f"{source} has a column 'arm' besides {arm_column!r}; rename one of them, or "
                "judge by 'arm'"
            )
        rows = rows.rename(columns={arm_column: "arm"})
    if rows.empty:
        raise DataError(f"{source} has no rows")
    rows["arm"] = rows["arm"].astype(object).map(_label)
    if rows["arm"].isna().any():
        raise DataError(f"{source} has no arm in {places(rows['arm'].isna())}")
    rows["arm"] = rows["arm"].str.strip()
    _check_spellings(f"{source}: the arms", map(str, rows["arm"].unique()))
    return rows


def _check_spellings(noun: str, names: Iterable[str]) -> None:
    """Refuse names that differ by case alone. Raises: DataError."""
    first_spellings: dict[str, str] = {}
    for name in names:
        if (other := first_spellings.setdefault(name.casefold(), name)) != name:
            raise DataError(
                f"{noun} {other!r} and {name!r} differ by case alone; write them in one way, or "
                "give them different names"
            )


def melted(rows: pd.DataFrame, parsed: Parsed, units: Names, controls: Names) -> str:
    """Which columns look like arms of the claim, and how they become rows; "" where none does."""
    names = [str(c) for c in rows.select_dtypes("number") if c not in units]
    pairs = [(c.arm, c.name) for c in parsed.columns if c.arm]
    value, rename, claim = parsed.columns[0].name, "", ""
    if pairs:
        every = [*pairs, *((control, name) for control in controls for _, name in pairs)]
        arms = [n for n in names if any(n == a or _is_both(n, a, x) for a, x in every)]
        listed = arms
        rename = "" if set(arms) <= {a for a, _ in every} else "name each after its arm alone; "
    else:
        listed = list(dict.fromkeys(c.name for c in parsed.columns))
        start = re.match(r"(\w*?[\W_])\w+(?: \1\w+)+$", " ".join(listed))
        value = start[1].strip("_.- ") if start else "value"
        arms = [n for n in names if n in listed or (start and n.startswith(start[1]))]
        claim = re.sub("|".join(map(re.escape, listed)), rf"\g<0>.{value}", parsed.text)
        claim = f", and the claim is {claim}"
    if not {*listed} <= {*names} or len(arms) < 2 - bool(pairs):
        return ""
    others = [str(c) for c in rows if str(c) not in arms]
    return (
        f"{' and '.join(map(repr, listed))} look like arms: a table has one row for each arm and "
        f"unit; {rename}table.melt({others}, var_name='arm', value_name={value!r}) of pandas makes "
        f"them{claim}"
    )


def _is_both(name: str, arm: str, column: str) -> bool:
    """Whether a column is called after an arm and a measure, in either order."""
    arm, column = re.escape(arm), re.escape(column)
    return bool(re.fullmatch(rf"{arm}[\W_]?{column}|{column}[\W_]?{arm}", name))


def _check_separator(source: str, arm_column: str, name: str, *, decimals: bool = False) -> None:
    """Refuse a table whose only column has a name of several, parted by another sign."""
    if other := re.search(r"[;\t|]", name):
        points = ", and decimal points" if decimals else ""
        raise DataError(
            f"{source} has no column {arm_column!r}, but one called {name!r}: its values are "
            f"separated by {other[0]!r}; write commas{points}"
        )


def check_units(
    rows: pd.DataFrame, units: tuple[str, ...], parsed: Parsed, role: str = "unit"
) -> None:
    """Refuse columns that cannot be units, or what a curve goes over. Raises: ClaimError,
    DataError."""
    if not 1 <= len(units) <= 2 or len(set(units)) < len(units):
        taken = {"arm", *(c.name for c in parsed.columns)}
        others = [str(n) for n, t in rows.dtypes.items() if n not in taken and t.kind != "f"]
        got = ", ".join(units) or f"none; other columns: {', '.join(others[:MANY]) or 'none'}"
        raise ClaimError(
            "name one or two columns whose levels are independent units, such as ",
            Argument("unit", ("seed",)),
            f"; got {got}",
        )
    if rows["arm"].is_unique and rows["arm"].size > 1:
        raise DataError(
            "each arm has one row, so there is nothing to generalise over: give the rows that "
            "these numbers are means of, such as one for each seed or prompt"
        )
    every(*(partial(_check_unit, rows, unit, parsed, role) for unit in units))


def _check_unit(rows: pd.DataFrame, unit: str, parsed: Parsed, role: str) -> None:
    if unit == "arm" or unit in (c.name for c in parsed.columns):
        noun = "a unit" if role == "unit" else "what a curve goes over"
        taken = "judged by the claim" if parsed.kind == "claim" else "what is estimated"
        raise ClaimError(
            f"column {unit!r} cannot be {noun}: it is {'the arm' if unit == 'arm' else taken}"
        )
    if unit not in rows.columns:
        raise ClaimError(
            f"no column {unit!r}, which is named as {'a unit' if role == 'unit' else 'swept'}; "
            f"{nearest(unit, [c for c in rows.columns if c != 'arm'])}"
        )
    if rows[unit].dtype.kind == "O":  # 3 and "d3" in one column cannot be put in order otherwise
        rows[unit] = rows[unit].astype(object).map(_label).str.strip()
        _check_levels(unit, [str(x) for x in rows[unit].dropna().unique()])
    elif rows[unit].dtype.kind == "f":
        rows[unit] = rows[unit].astype(float)  # of halves pandas forms no groups
        check_names(rows, unit)
    if rows[unit].isna().any():
        raise DataError(f"{role} column {unit!r} is empty in {places(rows[unit].isna())}")


def check_names(rows: pd.DataFrame, name: str) -> None:
    """Refuse names such as 1.1 and 1.10 that were read as numbers, by which the two are the same:
    just those that two names would share are there twice. Raises: DataError."""
    if not _may_be_names(rows[name]):
        return
    counts = rows.groupby(["arm", name]).size()
    twice = counts == 2 * counts.groupby("arm").transform("min")
    parts = counts.index.get_level_values(name).map(repr).str.split(".")
    last = parts.str[1].to_numpy(str)
    tens = max(int(x) // 10 for x in last)
    for most in (tens, tens + 1):  # whose last may itself be one of the names, such as 20
        shared = np.isin(last, [str(k) for k in range(1, most + 1)])
        if parts[shared].str[0].nunique() > 1 and (twice == shared).all():
            part = counts.index.get_level_values(name)[shared][0]
            raise DataError(
                f"column {name!r} has {part} twice as often as most others, as where {part} and "
                f"{part}0 are two names, which are the same number: read the column as text, in "
                f"pandas with dtype={{{name!r}: str}}, or write names such as L0H1"
            )


def _check_levels(unit: str, levels: Sequence[str]) -> None:
    """Refuse levels of a unit that sum up the others, and those that differ only in case. Raises:
    DataError."""
    summing = [x for x in levels if x.casefold() in SUMMARIES]
    if summing and all(re.search(r"\d", x) for x in levels if x not in summing):
        raise DataError(
            f"column {unit!r} has {summing[0]!r} among its levels, which sums up the others and is "
            "no unit; leave such rows out"
        )
    _check_spellings(f"column {unit!r}: the levels", levels)


def check_numeric(rows: pd.DataFrame, column: str, units: tuple[str, ...], source: str) -> None:
    """Make a column numbers. Raises: ClaimError where there is none, DataError for what is no
    number."""
    import pandas as pd

    if column not in rows.columns:
        candidates = [c for c in rows.columns if c not in ("arm", *units)]
        hint = nearest(column, candidates).replace("known:", "it has")
        raise ClaimError(f"no column {column!r} in {source}; {hint}")
    raw = (
        rows[column]
        if rows[column].dtype.kind in "biuf"
        else rows[column].astype(object).map(_real)
    )
    numeric = pd.to_numeric(raw, errors="coerce")
    wrong = numeric.isna() & raw.notna() & ~raw.astype(str).str.strip().isin(MISSING)
    if wrong.any():
        raise DataError(
            f"column {column!r} must hold numbers, got {str(raw[wrong].iloc[0])[:80]!r} in "
            f"{places(wrong)}{_as_number(str(raw[wrong].iloc[0]).strip(), column)}"
        )
    if np.isinf(numeric).any():
        raise DataError(
            f"column {column!r} is infinite in {places(np.isinf(numeric))}; a mean of it means "
            f"nothing{EMPTY}"
        )
    rows[column] = numeric.astype(float)


def _as_number(text: str, column: str) -> str:
    """How a percentage, a decimal comma, or yes and no are written here, as the end of a sentence;
    of any other text, that a cell may be empty."""
    if text == column:
        return "; this row repeats the header, as in files that were joined: leave it out"
    if text.casefold() in ("yes", "no", "true", "false", "right", "wrong", "correct", "incorrect"):
        return "; write 1 and 0"
    if text.startswith(("\u2212", "\u2013")):
        return "; write the minus sign as -"
    if "±" in text:
        return "; write the number alone, and what it is the mean of as rows"
    if share := re.fullmatch(r"([-+]?\d*\.?\d+)\s*%", text):
        return f"; write {share[1]}, without the sign"
    if re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+", text):  # thousands, or three decimals
        return "; write thousands without a comma, and decimals behind a point"
    if re.fullmatch(r"[-+]?\d+,\d+", text):
        return f"; write {text.replace(',', '.')}, with a point"
    return EMPTY


def _real(value: Any) -> Any:
    """A cell of a column of any kind: a number, None for none, else its text; pandas would read
    times and bytes as numbers."""
    if _nothing(value):
        return None
    if isinstance(value, numbers.Real | Decimal | np.bool_):
        with contextlib.suppress(OverflowError, ValueError):
            return float(value)
    return plain(value if isinstance(value, str) else repr(value))


def _label(value: Any) -> Any:
    """What a cell of any kind calls an arm or a level of a unit: its text, None for none."""
    # Half a character, which no file can hold, is replaced; what a terminal obeys is changed where
    # it is printed.
    return None if _nothing(value) else str(value).encode("utf-8", "replace").decode()


def _nothing(value: Any) -> bool:
    return (
        value is None
        or type(value).__name__ == "NAType"
        or (isinstance(value, float) and math.isnan(value))
    )


def places(where: Any) -> str:
    """Name the first rows of a mask, from 1."""
    row_numbers = (np.flatnonzero(np.asarray(where)) + 1).tolist()
    first = ", ".join(map(str, row_numbers[:3]))
    return (
        f"row {first}"
        if len(row_numbers) == 1
        else f"rows {first}{' …' if len(row_numbers) > 3 else ''} ({len(row_numbers)} in all)"
    )


def is_text(values: Any) -> bool:
    """Tell whether a column holds anything but numbers."""
    from pandas.api.types import is_numeric_dtype

    return not is_numeric_dtype(values)
