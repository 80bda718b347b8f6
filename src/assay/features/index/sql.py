"""A reader's own SQL over an index: one SELECT, on its tables alone, within bounds of time, memory and rows.

A connection is made for each question and thrown away. It sees the index's files and nothing else: no other file, no network, no
extension, no Python variable; and its settings are locked before the question is read.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core.errors import DataError
from assay.features.index.about import Damaged
from assay.features.index.schema import TABLES, selecting

if TYPE_CHECKING:
    import duckdb

ROWS = 200
SECONDS = 5.0
MEMORY = "512MB"
LENGTH = 10_000
"""Characters of a question."""
CELL = 1_000
"""Characters of a cell that is no number."""
AT_ONCE, WAIT = 2, 1.0
"""Questions that run side by side, and seconds that a further one waits for its turn."""
_NUMBERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "FLOAT", "DOUBLE", "BOOLEAN"}
_running = threading.BoundedSemaphore(AT_ONCE)

Cell = float | int | str | bool | None


@dataclass(frozen=True)
class Answer:
    """The rows of a question, and whether there are more."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    more: bool
    seconds: float


def ask(folder: Path, question: str, *, rows: int = ROWS, seconds: float = SECONDS, memory: str = MEMORY) -> Answer:
    """Answer one SELECT over the tables of the index in a folder; numbers stay numbers, all else becomes text.

    Raises: DataError in one line for what is no SELECT, asks for anything but the index, is wrong, or takes too long or too much memory.
    """
    if len(question) > LENGTH:
        raise DataError(f"a question has at most {LENGTH:,} characters, this one {len(question):,}")
    import duckdb

    start = time.perf_counter()
    with _turn(), _locked(folder, memory) as connection:
        stop = threading.Timer(seconds, connection.interrupt)
        stop.start()
        try:
            asked = connection.sql(_only_select(question))
            if asked is None:
                raise DataError("only SELECT is answered here")
            names, types = tuple(asked.columns), tuple(map(str, asked.types))
            shown = asked.limit(rows + 1).project(", ".join(_cell(i, t) for i, t in enumerate(types, 1)))
            found = shown.fetchall()
        except duckdb.InterruptException as error:
            raise DataError(f"the question took more than {seconds:g} s and was stopped") from error
        except duckdb.OutOfMemoryException as error:
            raise DataError(f"the question needs more than {memory} of memory") from error
        except duckdb.PermissionException as error:
            raise DataError("only the tables of this index can be read: no other file, no extension, no setting") from error
        except duckdb.Error as error:
            raise DataError(_line(error)) from error
        finally:
            stop.cancel()
    plain = tuple(tuple(_finite(value) for value in row) for row in found[:rows])
    return Answer(names, types, plain, len(found) > rows, time.perf_counter() - start)


@contextmanager
def _turn() -> Iterator[None]:
    if not _running.acquire(timeout=WAIT):
        raise DataError("others are asking; try again in a few seconds")
    try:
        yield
    finally:
        _running.release()


@contextmanager
def _locked(folder: Path, memory: str) -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    config: dict[str, Any] = {
        "threads": 1, "memory_limit": memory, "temp_directory": "", "autoload_known_extensions": False, "autoinstall_known_extensions": False,
        "allow_community_extensions": False, "python_enable_replacements": False,
    }  # fmt: skip
    files = {name: str((folder / f"{name}.parquet").absolute()) for name in TABLES}
    connection = duckdb.connect(":memory:", config=config)
    try:
        connection.execute(f"SET allowed_paths = [{', '.join(_quoted(path) for path in files.values())}]")
        for name, path in files.items():
            try:
                connection.execute(f"CREATE VIEW {name} AS {selecting(connection, name, path)}")
            except duckdb.Error as error:
                raise Damaged(folder, f"{name}.parquet", error) from error
        connection.execute("SET enable_progress_bar = false")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection
    finally:
        connection.close()


def _only_select(question: str) -> str:
    """The question itself, where it is one SELECT; a COPY among others could write over the index."""
    import duckdb

    statements = _parsed(question)
    if len(statements) != 1:
        raise DataError(f"one question at a time, please; there are {len(statements)} here")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise DataError(f"only SELECT is answered here, not {statements[0].type.name}")
    head, end, tail = question.rpartition(";")
    try:
        ended = end and not _parsed(tail) and len(_parsed(head)) == 1
    except DataError:  # a semicolon within a text
        ended = False
    return (head if ended else question) + "\n"


def _parsed(question: str) -> list[duckdb.Statement]:
    import duckdb

    try:
        return duckdb.extract_statements(question)
    except duckdb.Error as error:
        raise DataError(_line(error)) from error


def _cell(place: int, type_: str) -> str:
    return f"#{place}" if type_ in _NUMBERS else f"left(CAST(#{place} AS VARCHAR), {CELL})"


def _finite(value: Any) -> Cell:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _line(error: Exception) -> str:
    """What DuckDB says, in one line and without the place of any file."""
    return str(error).splitlines()[0][:300]
