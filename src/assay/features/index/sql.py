"""A reader's own SQL over an index: one SELECT, on its tables and known functions alone, within
bounds of time, memory and rows.

Each question is answered by a process of its own, which the operating system ends where it takes
too long or too much memory. It sees the index's files and nothing else: no other file, no network,
no extension, no Python variable; and its settings are locked before the question is read.
"""

from __future__ import annotations

import contextlib
import json
import math
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
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
STARTING = 20.0
"""Seconds within which a process has to start, however busy the machine is."""
MEMORY = "512MB"
ROOM = 640 * 2**20
"""Bytes of addresses that the process may take beyond those with which it starts: more than MEMORY,
as DuckDB counts no text it makes."""
LENGTH = 10_000
"""Characters of a question."""
CELL = 1_000
"""Characters of a cell that is no number."""
AT_ONCE, WAIT = 2, 1.0
"""Questions that run side by side, and seconds that a further one waits for its turn."""
_NUMBERS = {
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "FLOAT",
    "DOUBLE",
    "BOOLEAN",
}
KNOWN = frozenset(
    """
    abs acos asin atan atan2 cbrt ceil ceiling cos degrees even exp factorial fdiv floor fmod gamma gcd greatest isfinite isinf isnan
    lcm least lgamma ln log log10 log2 mod pi pow power radians random round sign sin sqrt tan trunc xor divide add subtract multiply
    coalesce if ifnull nullif error constant_or_null typeof
    array_agg any_value approx_count_distinct approx_quantile arg_max arg_max_null arg_min arg_min_null argmax argmin avg bit_and bit_or
    bit_xor bool_and bool_or corr count count_if count_star countif covar_pop covar_samp entropy favg first fsum geomean
    geometric_mean group_concat histogram kahan_sum kurtosis kurtosis_pop last list listagg mad max max_by mean median min min_by mode
    product quantile quantile_cont quantile_disc regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy
    regr_syy sem skewness stddev stddev_pop stddev_samp string_agg sum sumkahan var_pop var_samp variance wavg weighted_avg
    cume_dist dense_rank fill first_value lag last_value lead nth_value ntile percent_rank rank rank_dense row_number
    ascii bar chr concat concat_ws contains damerau_levenshtein ends_with format format_bytes hamming ilike_escape instr jaccard
    jaro_similarity lcase left length levenshtein like_escape lower lpad ltrim md5 not_ilike_escape not_like_escape ord position prefix
    printf regexp_extract regexp_extract_all regexp_full_match regexp_matches regexp_replace regexp_split_to_array repeat replace reverse
    right rpad rtrim split split_part starts_with string_split string_split_regex strip_accents strlen strpos str_split substr substring
    suffix translate trim ucase unicode upper
    array_contains array_extract array_length array_slice array_sort array_to_string flatten generate_series len list_aggregate
    list_any_value list_append list_apply list_avg list_concat list_contains list_count list_distinct list_element list_extract
    list_filter list_first list_has list_has_all list_has_any list_indexof list_last list_max list_median list_min list_position
    list_prepend list_product list_reduce list_reverse list_reverse_sort list_select list_slice list_sort list_stddev_samp list_sum
    list_transform list_unique list_value list_var_samp list_zip map map_keys map_values range row struct_extract struct_pack unnest
    unpivot_list array_value
    """.split()  # noqa: E501, SIM905
)
"""Functions that a question may use: of numbers, texts, lists, groups and windows; none that tells
of the machine, or waits."""
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


def ask(
    folder: Path, question: str, *, rows: int = ROWS, seconds: float = SECONDS, memory: str = MEMORY
) -> Answer:
    """Answer one SELECT over the tables of the index in a folder; numbers stay numbers, all else
    becomes text.

    Raises: DataError in one line for what is no SELECT, asks for anything but the index, is wrong,
    or takes too long or too much memory."""
    if len(question) > LENGTH:
        raise DataError(f"a question has at most {LENGTH:,} characters, this one {len(question):,}")
    start = time.perf_counter()
    text = _only_select(question)
    _check(text)
    request = {
        "folder": str(folder.absolute()),
        "question": text,
        "rows": rows,
        "seconds": seconds,
        "memory": memory,
    }
    with _turn():
        try:
            process = subprocess.run(
                [sys.executable, "-m", __name__],
                input=json.dumps(request),
                capture_output=True,
                text=True,
                timeout=STARTING + seconds,
            )
        except subprocess.TimeoutExpired as error:
            raise DataError(f"the question took more than {seconds:g} s and was stopped") from error
    try:
        answer = json.loads(process.stdout)
    except ValueError:  # it was killed at one of its limits, or by the machine
        raise DataError(
            f"the question took more than {seconds:g} s or needs more than {memory} of "
            "memory, and was stopped"
        ) from None
    if "damaged" in answer:
        raise Damaged(folder, answer["damaged"], answer["why"])
    if "error" in answer:
        raise DataError(answer["error"])
    plain = tuple(tuple(row) for row in answer["rows"])
    return Answer(
        tuple(answer["columns"]),
        tuple(answer["types"]),
        plain[:rows],
        len(plain) > rows,
        time.perf_counter() - start,
    )


@contextmanager
def _turn() -> Iterator[None]:
    if not _running.acquire(timeout=WAIT):
        raise DataError("others are asking; try again in a few seconds")
    try:
        yield
    finally:
        _running.release()


# --- in the process that answers ------------------------------------------------------------------


def _main() -> None:
    request = json.loads(sys.stdin.read())
    try:
        answer = _answer(
            Path(request["folder"]),
            request["question"],
            request["rows"],
            request["seconds"],
            request["memory"],
        )
    except Damaged as damage:
        answer = {"damaged": damage.file, "why": str(damage.why)}
    except DataError as error:
        answer = {"error": str(error)}
    except MemoryError:
        answer = {"error": f"the question needs more than {request['memory']} of memory"}
    print(json.dumps(answer))


def _answer(
    folder: Path, question: str, rows: int, seconds: float, memory: str
) -> Mapping[str, Any]:
    import duckdb

    with _locked(folder, memory) as connection:
        _limit(seconds)
        stop = threading.Timer(seconds, connection.interrupt)
        stop.daemon = True
        stop.start()
        try:
            relation = connection.sql(question)
            if relation is None:
                raise DataError("only SELECT is answered here")
            names, types = list(relation.columns), list(map(str, relation.types))
            limited = relation.limit(rows + 1).project(
                ", ".join(
                    f"#{i}" if t in _NUMBERS else f"left(CAST(#{i} AS VARCHAR), {CELL})"
                    for i, t in enumerate(types, 1)
                )
            )
            answer = [[_finite(value) for value in row] for row in limited.fetchall()]
        except duckdb.InterruptException as error:
            raise DataError(f"the question took more than {seconds:g} s and was stopped") from error
        except duckdb.OutOfMemoryException as error:
            raise DataError(f"the question needs more than {memory} of memory") from error
        except duckdb.PermissionException as error:
            raise DataError(
                "only the tables of this index can be read: no other file, no extension, no setting"
            ) from error
        except duckdb.Error as error:
            if "bad_alloc" in str(error):
                raise DataError(f"the question needs more than {memory} of memory") from error
            raise DataError(_line(error)) from error
    return {"columns": names, "types": types, "rows": answer}


def _limit(seconds: float) -> None:
    """Have the operating system end this process beyond so many seconds of work, and refuse it more
    memory than ROOM."""
    with contextlib.suppress(
        ImportError, OSError, ValueError
    ):  # not every system has such limits; the asker's clock is left
        used = resource.getrusage(resource.RUSAGE_SELF)
        spent = math.ceil(used.ru_utime + used.ru_stime + seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (spent + 1, spent + 2))
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + ROOM
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


@contextmanager
def _locked(folder: Path, memory: str) -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    config: dict[str, Any] = {
        "threads": 1,
        "memory_limit": memory,
        "temp_directory": "",
        "autoload_known_extensions": False,
        "autoinstall_known_extensions": False,
        "allow_community_extensions": False,
        "python_enable_replacements": False,
    }
    files = {name: str((folder / f"{name}.parquet").absolute()) for name in TABLES}
    connection = duckdb.connect(":memory:", config=config)
    try:
        connection.execute(
            f"SET allowed_paths = [{', '.join(_quoted(path) for path in files.values())}]"
        )
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


def _check(question: str) -> None:
    """Refuse a question that names another table than the index's, or a function that is not known.
    Raises: DataError."""
    import duckdb

    config: dict[str, Any] = {
        "threads": 1,
        "autoload_known_extensions": False,
        "autoinstall_known_extensions": False,
    }
    with duckdb.connect(":memory:", config=config) as connection:
        try:
            tree = json.loads(
                connection.execute("SELECT json_serialize_sql(?)", [question]).fetchall()[0][0]
            )
        except duckdb.Error as error:
            raise DataError(_line(error)) from error
    if tree.get("error"):
        raise DataError(
            str(tree.get("error_message") or "only SELECT is answered here").splitlines()[0][:300]
        )
    nodes = list(_nodes(tree))
    cte_names = {
        str(node["key"]).lower()
        for node in nodes
        if "key" in node and isinstance(node.get("value"), dict)
    }
    for node in nodes:
        name = str(node.get("function_name", "")).lower()
        if name.isidentifier() and (name not in KNOWN or node.get("schema") or node.get("catalog")):
            raise DataError(
                f"the function {name} is not answered here: those of numbers, texts, lists, "
                "groups and windows are"
            )
        if node.get("type") in ("BASE_TABLE", "SHOW_REF"):
            table = str(node.get("table_name") or "").strip('"')
            if (
                node.get("schema_name")
                or node.get("catalog_name")
                or table.lower() not in {*TABLES, *cte_names}
            ):
                raise DataError(
                    f"only the tables of this index can be read, not {table[:80]}: "
                    f"{', '.join(TABLES)}"
                )


def _nodes(tree: Any) -> Iterator[Mapping[str, Any]]:
    """Walk the objects of a parsed question."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _only_select(question: str) -> str:
    """The question itself, where it is one SELECT; a COPY among others could write over the
    index."""
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


def _finite(value: Any) -> Cell:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _line(error: Exception) -> str:
    """What DuckDB says, in one line and without the place of any file."""
    return str(error).splitlines()[0][:300]


if __name__ == "__main__":
    _main()
