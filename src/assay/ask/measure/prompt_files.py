"""Prompt files: the records of a JSONL, CSV or plain text file, each with the line on which it
begins. Line ends and quotes alone decide what a record is, never what a cell says."""

from __future__ import annotations

import csv
import io
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from assay.core import foreign
from assay.core.errors import DataError

LARGEST = 2**25
"""Bytes of a file of prompts."""
KINDS = (".jsonl", ".csv", ".txt")
Record = tuple[str, dict[str, object]]
"""Where it begins, as "reviews.csv line 3", and its cells by the names of their columns."""
_LINE = re.compile(r"\r\n|\n|\r")
_BLANK = " \t"
_CELLS = threading.Lock()
"""The longest cell that the module csv reads is a setting of the whole process."""


def read(path: Path) -> list[Record]:
    """The records of a file. Raises: DataError, with line and column."""
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise DataError(f"prompts are read from {', '.join(KINDS)}, got {path.name}")
    text = foreign.text(path, "a file of prompts", LARGEST)
    if "\0" in text:
        before = _LINE.split(text[: text.index("\0")])
        raise DataError(
            f"{path.name} line {len(before)} column {len(before[-1]) + 1} has a NUL, as binary "
            "files and UTF-16 without a mark do; save it as UTF-8 text"
        )
    if kind == ".csv":
        return list(_of_csv(path.name, text))
    lines = [(f"{path.name} line {n}", line) for n, line in enumerate(_LINE.split(text), 1)]
    lines = [(place, line) for place, line in lines if line.strip(_BLANK)]
    if kind == ".jsonl":
        return [(place, _object(place, line)) for place, line in lines]
    return [(place, {"text": line}) for place, line in lines]


def _of_csv(name: str, text: str) -> Iterator[Record]:
    """The records of a CSV file, whose first record names the columns. Raises: DataError."""
    header: list[str] | None = None
    for line, cells in _cells(name, text):
        place = f"{name} line {line}"
        if header is None:
            header = cells
            _check_header(place, header)
        elif len(cells) != len(header):
            raise DataError(
                f"{place} has not as many cells as the header: {len(cells)}, and the header "
                f"{len(header)}"
            )
        else:
            yield place, dict(zip(header, cells, strict=True))


def _cells(name: str, text: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of each record that is no blank line, with the line on which it begins. Raises:
    DataError."""
    with _CELLS:
        before = csv.field_size_limit(LARGEST)
        try:
            # newline="": a line end within quotes is a part of its cell
            reader = csv.reader(io.StringIO(text, newline=""), strict=True)
            rows, line = list[tuple[int, list[str]]](), 1
            for cells in reader:
                rows += [(line, cells)] if cells else []
                line = reader.line_num + 1
        except csv.Error as e:
            why = str(e)
            if "unexpected end of data" in why:
                why = "a quote that opens in it is never closed"
            raise DataError(f"{name} line {line} is no CSV: {why}") from None
        finally:
            csv.field_size_limit(before)
    yield from rows


def _check_header(place: str, header: Sequence[str]) -> None:
    """Refuse columns without a name, and two of one name. Raises: DataError."""
    for number, column in enumerate(header, 1):
        if not column.strip():
            raise DataError(f"{place}: column {number} of {len(header)} has no name")
    twice = [column for column, n in Counter(header).items() if n > 1]
    if twice:
        numbers = [str(n) for n, column in enumerate(header, 1) if column == twice[0]]
        raise DataError(
            f"{place}: columns {' and '.join(numbers)} are both called {twice[0]!r}; a column has "
            "one name of its own"
        )


class _Constant(str):
    """NaN or Infinity, which JSON itself does not have."""


_DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=_Constant)
"""Numbers stay as they are written: 1.50 is no 1.5 to a model."""


def _object(place: str, line: str) -> dict[str, object]:
    """The object on a line, of texts, numbers, true and false. Raises: DataError, with the
    column."""
    record: dict[str, object] = {}
    try:
        at = _expect(line, 0, "{", "must be an object of texts and numbers")
        while line[at : at + 1] != "}":
            begin = at
            name, at = _DECODER.raw_decode(line, begin)
            if type(name) is not str or line[begin] != '"':
                raise json.JSONDecodeError("a name in quotes is expected here", line, begin)
            begin = _expect(line, at, ":", "no colon after a name")
            value, at = _DECODER.raw_decode(line, begin)
            if why := _unusable(name, value, name in record):
                raise DataError(f"{place} column {begin + 1}: {why}")
            record[name] = value
            at = _skip(line, at)
            if line[at : at + 1] != "}":
                at = _expect(line, at, ",", "no comma between two values")
                if line[at : at + 1] == "}":
                    raise json.JSONDecodeError("a value is expected after the comma", line, at)
        if (end := _skip(line, at + 1)) < len(line):
            raise json.JSONDecodeError("more text follows the object", line, end)
    except json.JSONDecodeError as e:
        raise DataError(f"{place} column {e.pos + 1} is no JSON: {e.msg}") from None
    except RecursionError:
        raise DataError(f"{place} must be an object of texts and numbers") from None
    return record


def _skip(line: str, at: int) -> int:
    while line[at : at + 1] in (" ", "\t"):
        at += 1
    return at


def _expect(line: str, at: int, sign: str, why: str) -> int:
    """Where it goes on behind a sign that must be here."""
    at = _skip(line, at)
    if line[at : at + 1] != sign:
        raise json.JSONDecodeError(why, line, at)
    return _skip(line, at + 1)


def _unusable(name: str, value: object, again: bool) -> str:
    """Why a value is no part of a prompt; "" where it may be one."""
    if again:
        return f"the second value called {name!r}; an object has each name once"
    if value is None:
        return f"{name!r} is null, which is no text; write a text, or leave the row out"
    if isinstance(value, _Constant):
        return f"{name!r} is {value}, which is no number; write a number or a text"
    if isinstance(value, list | dict):
        return f"{name!r} must be a text or a number, got {type(value).__name__}"
    try:
        f"{name}{value}".encode()
    except UnicodeEncodeError:
        return f"{name!r} has half of a character (a lone surrogate), which no tokenizer reads"
    return ""
