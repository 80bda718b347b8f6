"""The inside of files that people write by hand: cells of tables, frames, events, explanations.

What is read is what the text says, by rules of a few lines that are written here once more;
everything else is one line. A short form runs always; `pytest -m slow
tests/attacks/test_insides.py` tries 3,000."""

import csv
import datetime
import decimal
import fractions
import io
import json
import math
import numbers
import re

import numpy as np
import pandas as pd
import pytest
from damage import told
from test_hostile import CLAIM, TABLE, said, wrong
from test_messages import line_changed, messaged

from assay import judge
from assay.core.errors import AssayError
from assay_catalogue.circuits import files, known

NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
"""As Python's own float: white space around a number, a line break in quotes too, says nothing."""
EMPTY = {"", "NA", "N/A", "n/a", "NaN", "nan", "None", "null"}
CELLS = (
    "",
    " ",
    "nan",
    "NaN",
    "-nan",
    "inf",
    "-inf",
    "Infinity",
    "1e400",
    "1e308",
    "-1e308",
    "1_000",
    "0_1",
    "1,5",
    '"1,5"',
    '"0.25"',
    '"0.2',
    '0.2"',
    '""',
    '"',
    "0x10",
    "0b1",
    "0o7",
    "٣",
    "１",
    "½",
    "−1",
    "1e",
    "e1",
    "1.2.3",
    "0.2\0",
    "\0",
    "\x000.2",
    "0.2\r",
    "TRUE",
    "True",
    "false",
    "NA",
    "null",
    "0.30000000000000004",
    "1" * 400,
    "9" * 25,
    "=1+1",
    "\ufeff0.2",
    "0.2 ",
    "\t0.2",
    "+0.2",
    "--1",
    ".2",
    "2.",
    ".",
    "1e-400",
    "0.2f",
    "1d5",
    "1E-5",
    "#",
    "# 1",
    "\\N",
    "'0.2'",
    "nan(0x1)",
    "1 000",
    "$1",
    "5%",
    "1j",
    "0.2\n",
    '"0.2\n"',
    "1979-05-27",
    "x" * 3_000,
    "\x1b[31m",
    "\u202e1",
    "0.2;0.3",
    "1e1_0",
    "1e٣",
    "1\u00a0",
    "\u20091",
)
"""What stands where a table has a number, a unit or an arm."""


def number(text):
    """What a cell says, by the rules above: a finite number, nothing (NaN), or None where it is
    neither."""
    if text.strip() in EMPTY:
        return math.nan
    return float(text) if NUMBER.fullmatch(text) and math.isfinite(float(text)) else None


def harmed(text, rng):
    """A table in which one thing is other than anybody meant, as bytes; and which."""
    rows = [line.split(",") for line in text.splitlines()]
    at, column = int(rng.integers(1, len(rows))), int(rng.integers(len(rows[0])))
    odd = CELLS[int(rng.integers(len(CELLS)))]
    how = int(rng.integers(16))
    if how < 7:
        rows[at][column] = odd
    elif how == 7:
        rows[0][column] = (
            odd,
            rows[0][0],
            f" {rows[0][column]} ",
            rows[0][column].upper(),
            f'"{rows[0][column]}"',
        )[int(rng.integers(5))]
    elif how == 8:
        rows.insert(at, list(rows[int(rng.integers(1, len(rows)))]))
    elif how == 9:
        rows[at] = rows[at][:column] if rng.random() < 0.5 else [*rows[at], odd]
    elif how == 10:
        for row in rows[at:]:
            row[column] = odd
    elif how == 11:
        for row in rows:
            row.append(odd)
    elif how == 12:
        rows.insert(at, [("", " ", "#", ",,,", "\0", "\x1a")[int(rng.integers(6))]])
    end = ("\n", "\r\n", "\r", "\n\n", ";\n")[int(rng.integers(5))] if how == 13 else "\n"
    whole = end.join(",".join(row) for row in rows)
    whole = (
        ("\ufeff" + whole, whole.replace(",", ";"), whole.replace(",", ", "), whole + '\n"')[
            int(rng.integers(4))
        ]
        if how == 14
        else whole
    )
    coding = (
        ("utf-16", "utf-32", "utf-7", "cp037", "utf-8-sig", "latin-1")[int(rng.integers(6))]
        if how == 15
        else "utf-8"
    )
    return whole.encode(coding, errors="replace"), f"{how}: {odd!r}"[:60]


def real(value):
    """Read a value of Python as the page says: a real number, a text that says one, or nothing."""
    if value is None or value is pd.NA:
        return math.nan
    if isinstance(value, str):
        return number(value)
    if not isinstance(value, numbers.Real | decimal.Decimal | np.bool_):
        return None
    return float(value) if abs(value) < 1e308 or value != value else None


def estimate(rows, number=number):
    """The mean over seeds of gated less relu: rows of one arm and seed averaged, seeds without a
    number in both left out."""
    if None in (found := [number(row["fvu"]) for row in rows]):
        return None
    seeds = [row["seed"] for row in rows]
    if all(NUMBER.fullmatch(s) for s in seeds):
        seeds = [float(s) for s in seeds]
    cells = {}
    for row, seed, value in zip(rows, seeds, found, strict=True):
        cells.setdefault((row["arm"].strip(), seed), []).append(value)
    means = {key: sum(values) / len(values) for key, values in cells.items()}
    both = [
        means["gated", s] - means["relu", s]
        for s in dict.fromkeys(seeds)
        if ("gated", s) in means and ("relu", s) in means
    ]
    both = [value for value in both if not math.isnan(value)]
    return sum(both) / len(both) if both else math.nan


def rows_of(data):
    """What the rows of a table say, by Python's own reader; None where the bytes are no such
    table."""
    try:
        table = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        table.fieldnames = [name.strip() for name in table.fieldnames or ()]
        rows = list(table)
    except (UnicodeDecodeError, csv.Error):
        return None
    twice = len(set(table.fieldnames)) < len(table.fieldnames)
    return None if twice or any(None in row or None in row.values() for row in rows) else rows


def close(a, b):
    """Whether two numbers are the same but for rounding."""
    return None not in (a, b) and (
        math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12) or (math.isnan(a) and math.isnan(b))
    )


def judged(here, rng):
    """What `assay judge` makes of a table."""
    data, how = harmed(TABLE, rng)
    (here / "t.csv").write_bytes(data)
    code, out, err = said("judge", str(here / "t.csv"), *CLAIM, "--json")
    found = wrong(code, err)
    if code == 0 and not found:
        shown = json.loads(out)
        shown = (shown["verdicts"][0] if "verdicts" in shown else shown)["estimate"]
        rows = rows_of(data)
        if rows is not None and not close(
            math.nan if shown is None else shown, right := estimate(rows)
        ):
            found = f"shows {shown}, the text says {right}"
    return how, found


OBJECTS = (
    None,
    True,
    3,
    -0.0,
    10**400,
    2**70,
    math.nan,
    math.inf,
    1j,
    "0.2",
    "x",
    b"0.2",
    decimal.Decimal("0.2"),
    decimal.Decimal("sNaN"),
    fractions.Fraction(1, 5),
    datetime.date(2026, 1, 1),
    datetime.timedelta(1),
    [0.2],
    {"a": 1},
    {1},
    object(),
    pd.NA,
    pd.NaT,
    np.float16(0.2),
    np.array([0.2]),
    np.datetime64("2026"),
    range(3),
    int,
    ...,
    lambda: 1,
    np.str_("1"),
    "\ud800",
    pd.Timestamp(0),
    pd.Interval(0, 1),
)


def framed(here, rng):
    """What `judge` makes of a frame in a notebook, with one value that no table has."""
    frame = pd.read_csv(io.StringIO(TABLE)).astype(object)
    odd = OBJECTS[int(rng.integers(len(OBJECTS)))]
    how, column = int(rng.integers(4)), int(rng.integers(3))
    if how < 2:
        frame.iat[int(rng.integers(len(frame))), column] = odd
    elif how == 2:
        # as objects: what has no text in UTF-8 pandas itself would not take
        frame[frame.columns[column]] = pd.Series([odd] * len(frame), dtype=object)
    else:
        frame = {name: list(frame[name]) for name in frame}
        frame[odd if isinstance(odd, str | int | float | bytes) else "fvu"] = [odd] * int(
            rng.integers(26)
        )
    try:
        found = judge(frame, claim=CLAIM[1], unit="seed", control="none").verdict.estimate
    except AssayError as error:
        return f"{how} {column} {odd!r}"[:60], "more than a line" if "\n" in str(error) else ""
    if how < 3 and column == 2:
        right = estimate(
            [
                {k: v if k == "fvu" else str(v) for k, v in row.items()}
                for row in frame.to_dict("records")
            ],
            real,
        )
        if right is None or not close(found, right):
            return f"{how} {column} {odd!r}"[:60], f"gives {found}, the values say {right}"
        return f"{how} {column} {odd!r}"[:60], ""
    return f"{how} {column} {odd!r}"[:60], "" if -1 < found < 1 or math.isnan(
        found
    ) else f"estimate {found}"


def explained(here, rng):
    """What is read of an explanation with a line that nobody meant."""
    names = sorted(known.names())
    path = here / "e.toml"
    path.write_text(known.text(names[int(rng.integers(len(names)))]))
    how = line_changed(path, rng)
    try:
        files.load(path)
    except AssayError as error:
        return how, "more than a line" if "\n" in str(error) else ""
    return how, ""


def agent(here, rng):
    """What an agent's message by HTTP leads to."""
    return messaged(here, rng, None)


KINDS = (judged, framed, judged, explained, judged, agent, judged)


def test_cells_that_nobody_meant(tmp_path):
    assert not (wrong := told(KINDS, tmp_path, range(40), 41)), wrong


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("block", range(30))
def test_three_thousand_cells_that_nobody_meant(tmp_path, block):
    seeds = range(100 * block + 1000, 100 * block + 1100)
    assert not (wrong := told(KINDS, tmp_path, seeds, 41)), wrong
