"""A reader's SQL answers questions about the index, and can do nothing else."""

import resource
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import simulated

from assay.core.errors import DataError
from assay.features.index import sql


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> simulated.Made:
    return simulated.made(tmp_path_factory.mktemp("index"))


def test_an_answer_equals_the_arrays(made: simulated.Made) -> None:
    found = sql.ask(
        made.folder,
        "SELECT feature, firings, density FROM features ORDER BY feature; -- all of them",
    )
    on = (made.acts > 0).reshape(-1, made.acts.shape[-1])
    assert found.columns == ("feature", "firings", "density") and not found.more
    assert [row[1] for row in found.rows] == on.sum(0).tolist()
    assert np.allclose([row[2] for row in found.rows], on.sum(0) / made.kept.sum())


def test_rows_beyond_the_bound_are_said_and_not_fetched(made: simulated.Made) -> None:
    found = sql.ask(made.folder, "FROM contexts SELECT feature, tokens", rows=7)
    assert len(found.rows) == 7 and found.more
    assert isinstance(found.rows[0][1], str)


def test_what_is_no_number_is_text_of_bounded_length_and_no_answer_has_a_number_json_lacks(
    made: simulated.Made,
) -> None:
    found = sql.ask(
        made.folder,
        (
            "SELECT repeat('x', 100000) AS a, 'nan'::DOUBLE AS b, range(99999) AS c, DATE "
            "'2020-01-01' AS a"
        ),
    )
    assert found.rows[0][:2] == ("x" * sql.CELL, "nan")
    assert len(str(found.rows[0][2])) == sql.CELL and found.rows[0][3] == "2020-01-01"


@pytest.mark.parametrize(
    "question",
    [
        "SELECT 1",
        "SELECT 1;",
        "SELECT 1 -- one",
        "SELECT 1; -- one",
        "FROM (SELECT 1) ; ",
        "VALUES (1)",
    ],
)
def test_a_question_may_end_as_people_end_them(made: simulated.Made, question: str) -> None:
    assert sql.ask(made.folder, question).rows == ((1,),)


def test_a_semicolon_within_a_text_ends_nothing(made: simulated.Made) -> None:
    assert sql.ask(made.folder, "SELECT 'a;b' AS x").rows == (("a;b",),)


FORBIDDEN = {
    "a file as CSV": "SELECT * FROM read_csv('{secret}')",
    "a file as text": "SELECT content FROM read_text('{secret}')",
    "a file as bytes": "SELECT content FROM read_blob('{secret}')",
    "a file by name": "SELECT * FROM '{secret}'",
    "a file beside the index": "SELECT * FROM read_text('{folder}/about.json')",
    ("a file through the index"): (
        "SELECT * FROM read_text('{folder}/features.parquet/../about.json')"
    ),
    "the list of files": "SELECT * FROM glob('{folder}/../*')",
    "a sniffed file": "SELECT * FROM sniff_csv('{secret}')",
    "a JSON file": "SELECT * FROM read_json('{secret}')",
    "the network": "SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')",
    "a copy out": "COPY (SELECT 1) TO '{folder}/out.csv'",
    "a copy over the index": "COPY (SELECT 1) TO '{folder}/features.parquet' (FORMAT parquet)",
    ("a copy within a query"): (
        "WITH a AS (COPY (SELECT 1) TO '{folder}/features.parquet') SELECT * FROM a"
    ),
    "a table": "CREATE TABLE a AS SELECT 1",
    "an insert": "INSERT INTO features VALUES (1)",
    ("an insert within a query"): (
        "WITH a AS (INSERT INTO features (feature) VALUES (1) RETURNING *) SELECT * FROM a"
    ),
    "a deletion within a query": "WITH a AS (DELETE FROM features RETURNING *) SELECT * FROM a",
    "an update": "UPDATE features SET density = 1",
    "a drop": "DROP VIEW features",
    "another database": "ATTACH '{folder}/a.db'",
    "a setting": "SET threads = 8",
    "a setting undone": "SET enable_external_access = true",
    "a setting by a pragma": "PRAGMA enable_external_access = true",
    "a setting by a function": "SELECT set_config('threads', '8')",
    "an extension": "INSTALL httpfs",
    "an extension loaded": "LOAD '{folder}/x.duckdb_extension'",
    "an export": "EXPORT DATABASE '{folder}'",
    "a call": "CALL pragma_version()",
    "a plan": "EXPLAIN ANALYZE SELECT 1",
    "two questions": "SELECT 1; SELECT 2",
    "a question and a drop": "SELECT 1; DROP VIEW features",
    "no question": "-- nothing",
    "a query in a text": "SELECT * FROM query('COPY (SELECT 1) TO ''{folder}/out.csv''')",
    "a table in a text": "SELECT * FROM query_table('{secret}')",
    "a variable of Python": "SELECT * FROM question",
    "the environment": "SELECT getenv('HOME')",
    "parentheses without end": "SELECT " + "(" * 4000 + "1" + ")" * 4000,
    "nonsense": "SELEC 1",
    "a column that is not there": "SELECT nothing FROM features",
    "bytes that are no text": "SELECT '\x00' FROM nothing",
    "too long": "SELECT " + "1 + " * 4000 + "1",
}


@pytest.fixture
def unchanged(made: simulated.Made) -> Iterator[Path]:
    before = {path.name: path.read_bytes() for path in sorted(made.folder.iterdir())}
    secret = made.folder.parent / "secret.csv"
    secret.write_text("word\nhidden\n")
    yield secret
    assert {path.name: path.read_bytes() for path in sorted(made.folder.iterdir())} == before


@pytest.mark.parametrize("question", FORBIDDEN.values(), ids=FORBIDDEN)
def test_nothing_but_the_index_is_read_and_nothing_is_written(
    made: simulated.Made, unchanged: Path, question: str
) -> None:
    with pytest.raises(DataError) as refused:
        sql.ask(
            made.folder,
            question.replace("{secret}", str(unchanged)).replace("{folder}", str(made.folder)),
        )
    assert "\n" not in str(refused.value) and "hidden" not in str(refused.value)


def test_a_question_without_end_is_stopped_in_time(
    made: simulated.Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "STARTING", 60.0)  # only then would the asker end it
    start = time.monotonic()
    with pytest.raises(DataError, match="was stopped"):
        sql.ask(
            made.folder,
            (
                "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range "
                "% 7 = 3"
            ),
            seconds=0.5,
        )
    assert time.monotonic() - start < 60


def test_a_question_without_end_in_memory_is_refused(made: simulated.Made) -> None:
    with pytest.raises(DataError, match="memory"):
        sql.ask(
            made.folder,
            "SELECT list(range) FROM (SELECT range FROM range(200000000))",
            memory="64MB",
            seconds=60,
        )


def test_questions_do_not_see_each_other(made: simulated.Made) -> None:
    with pytest.raises(DataError):
        sql.ask(made.folder, "SET VARIABLE a = 1")
    with pytest.raises(DataError, match="the function getvariable is not answered here"):
        sql.ask(made.folder, "SELECT getvariable('a')")


@pytest.mark.parametrize(
    "length", [pytest.param(400_000_000, marks=pytest.mark.thorough), 2_000_000_000]
)
def test_text_made_by_a_function_is_within_the_bounds_of_memory_and_time(
    made: simulated.Made, length: int
) -> None:
    """DuckDB counts no such text and looks at no clock meanwhile: what ends it is the operating
    system."""
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    with pytest.raises(DataError, match=r"memory|was stopped"):
        sql.ask(made.folder, f"SELECT length(repeat('x', {length}) || repeat('y', {length}))")
    assert time.monotonic() - start < 60
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss <= max(before, 1_300_000), (
        "kilobytes: what it starts with, and its room"
    )


@pytest.mark.parametrize(
    "question",
    [
        "SELECT * FROM duckdb_settings()",
        "FROM duckdb_views()",
        "SELECT sql FROM sqlite_master",
        "FROM pg_catalog.pg_views",
        "FROM information_schema.tables",
        "SELECT current_setting('home_directory')",
        "SELECT pg_sleep(60)",
        "SHOW ALL TABLES",
    ],
)
def test_nothing_is_said_of_the_machine(made: simulated.Made, question: str) -> None:
    with pytest.raises(DataError) as refused:
        sql.ask(made.folder, question)
    assert str(made.folder) not in str(refused.value)
