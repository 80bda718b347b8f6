"""Index: what a dictionary's features do on a text, read from its tables; pages, terminal, JSON and
Python ask here."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from assay.core import integrity
from assay.core.errors import DataError, nearest
from assay.dictionaries.measuring.redundancy import THRESHOLD
from assay.features.index import names
from assay.features.index.about import About, Damaged, Lookup
from assay.features.index.schema import (
    EFFECTS,
    FEATURES,
    OFTEN,
    SORTED,
    TABLES,
    TOGETHER,
    Condition,
    Context,
    Feature,
    Page,
    Row,
    adding,
    check_numeric,
    filtering,
    known,
    selecting,
)

if TYPE_CHECKING:
    import duckdb

HELD, MOST_HELD = {"features", "logits", "feature_tokens", "tokens", "documents"}, 200_000
"""Tables held in memory, and the features up to which they are; those of a wider dictionary are
read from their files every time."""


class _Tables:
    """The files of one index, its tables asked by SQL from many threads at once.

    Raises: DataError for a folder that is no index, or one that is damaged.
    """

    def __init__(self, folder: Path, ablated: Mapping[int, Row] | None = None):
        self.folder, self.about, self.ablated = folder, About.read(folder), ablated or {}
        for name in TABLES:
            if not (folder / f"{name}.parquet").is_file():
                raise Damaged(folder, f"{name}.parquet")
        if integrity.noted(folder) and (fault := integrity.wrong(folder)):
            file, _, why = fault.partition(" ")
            raise Damaged(folder, file, why)
        self._lock = threading.Lock()

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        connection = duckdb.connect(
            ":memory:", config={"threads": 1}
        )  # many readers share the cores
        connection.execute("SET parquet_metadata_cache = true")
        connection.execute("SET enable_progress_bar = false")
        for name in TABLES:
            path = str((self.folder / f"{name}.parquet").absolute())
            in_memory = name in HELD and self.about.d_sae <= MOST_HELD
            with self._undamaged(f"FROM {name}"):
                rows = selecting(connection, name, path)
                if name == "features" and self.ablated:
                    rows = adding(connection, rows, self.ablated)
                connection.execute(f"CREATE {'TABLE' if in_memory else 'VIEW'} {name} AS {rows}")
        return connection

    @contextmanager
    def _cursor(self, sql: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor for one statement. One that a thread keeps is closed when the thread ends, and
        DuckDB aborts the process where that is while the interpreter ends. Raises: Damaged."""
        with self._lock:  # two threads must not make the connection twice
            connection = self._connection
        with self._undamaged(sql), closing(connection.cursor()) as cursor:
            yield cursor

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Rows of a query of ours; `values` take the places of its question marks. Raises:
        Damaged."""
        with self._cursor(sql) as cursor:
            cursor.execute(sql, list(values))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def arrays(self, sql: str, values: Sequence[Any] = ()) -> dict[str, Any]:
        """Columns of a query of ours. Raises: Damaged."""
        with self._cursor(sql) as cursor:
            return cursor.execute(sql, list(values)).fetchnumpy()

    @contextmanager
    def _undamaged(self, sql: str) -> Iterator[None]:
        """Say which tables a statement reads where DuckDB cannot read one. Raises: Damaged."""
        import duckdb

        try:
            yield
        except (duckdb.OutOfMemoryException, duckdb.InterruptException):
            raise
        except duckdb.Error as error:
            tables = dict.fromkeys(
                name for name in re.findall(r"(?:FROM|JOIN) (\w+)", sql) if name in TABLES
            )
            raise Damaged(
                self.folder, " or ".join(f"{name}.parquet" for name in tables), error
            ) from error

    @cached_property
    def windows(self) -> Int[np.ndarray, "window s"]:
        try:
            tokens: np.ndarray = np.load(self.folder / "windows.npy")
        except (OSError, ValueError, EOFError) as error:
            raise Damaged(self.folder, "windows.npy", error) from error
        if tokens.shape != (expected := (self.about.windows, self.about.context)):
            raise Damaged(
                self.folder,
                "windows.npy",
                f"it has the shape {tokens.shape} where the index says {expected}",
            )
        return tokens

    def words(self, ids: set[int] | Sequence[int]) -> dict[int, str]:
        return {i: self.vocabulary[i] if 0 <= i < len(self.vocabulary) else "\ufffd" for i in ids}

    @cached_property
    def vocabulary(self) -> list[str]:
        """The text of every token, by its id."""
        return [row["text"] for row in self.query("SELECT text FROM tokens ORDER BY token")]


class Index(_Tables):
    """The tables of one index; safe to be read by many threads at once.

    `ablated` are the numbers of features that were ablated one by one, after the index was made.

    Raises: DataError for a folder that is no index, or one that is damaged.
    """

    def __init__(
        self,
        folder: Path,
        given_names: Mapping[int, names.Name] | None = None,
        ablated: Mapping[int, Row] | None = None,
    ):
        super().__init__(folder, ablated)
        self.given_names = given_names or {}
        self._lookup = {
            name: Lookup(folder / f"{name}.parquet")
            for name, columns in TABLES.items()
            if columns[0].name == "feature"
        }

    def features(
        self,
        *,
        where: Sequence[Condition] = (),
        order: str = "density",
        descending: bool = True,
        offset: int = 0,
        limit: int = 50,
    ) -> Page:
        """One page of the table of features, sorted by a column, ties by feature; last those
        without a number there, by the F1 of their names and then by density. The last page is
        given for an offset beyond it.

        Raises: DataError for a column that is not there or a bound that is no number.
        """
        if order not in SORTED:
            raise DataError(f"no column {order!r} to sort by; {nearest(order, list(SORTED))}")
        clause, values = filtering(where)
        way = "DESC" if descending else "ASC"
        found = self.arrays(
            f'SELECT feature, "{order}" IS NULL AS unknown FROM features{clause} '
            f'ORDER BY "{order}" {way} NULLS LAST, feature',
            values,
        )
        numbers, unknown = found["feature"], found["unknown"]
        rest = numbers[unknown]
        by_name = np.lexsort((-self.glances["density"][rest], -self.all_names.known[rest]))
        numbers = np.concatenate([numbers[~unknown], rest[by_name]]).tolist()
        offset = min(offset, max(0, len(numbers) - 1) // limit * limit)
        columns, page = ", ".join(f'"{name}"' for name in SORTED), numbers[offset : offset + limit]
        rows = self.query(
            f"SELECT {columns}, (SELECT text FROM tokens t WHERE t.token = f.token) AS token_text "
            f"FROM features f WHERE feature IN ({', '.join(map(str, page)) or 'NULL'})"
        )
        rows.sort(key=lambda row: page.index(row["feature"]))
        return Page(tuple(rows), len(numbers))

    def feature(self, number: int) -> Feature:
        """Everything about one feature. Raises: DataError for one that is not there."""
        if not 0 <= number < self.about.d_sae:
            raise DataError(
                f"features of {self.about.name} are numbered 0 to {self.about.d_sae - 1:,}, "
                f"got {number}"
            )
        rows, logits, tokens = (
            self._lookup[name].rows(number) for name in ("features", "logits", "feature_tokens")
        )
        if len(rows) != 1:
            raise Damaged(
                self.folder, "features.parquet", f"it has {len(rows)} rows of feature {number}"
            )
        row: dict[str, Any] = {**dict.fromkeys(column.name for column in FEATURES), **rows[0]}
        if row["importance"] is None:
            row |= self.ablated.get(number, {})
        near = sorted(self._lookup["neighbours"].rows(number), key=lambda r: (r["kind"], r["rank"]))
        words = self.words(
            {row["token"], *(r["token"] for r in logits), *(r["token"] for r in tokens)} - {None}
        )
        return Feature(
            address=f"{self.about.address}/{number}",
            numbers=row | {"token_text": words.get(row["token"])},
            contexts=self.contexts(number),
            promoted=tuple((words[r["token"]], r["logit"]) for r in logits if r["sign"] > 0),
            suppressed=tuple((words[r["token"]], r["logit"]) for r in logits if r["sign"] < 0),
            neighbours=tuple(
                {name: value for name, value in r.items() if name != "feature"} for r in near
            ),
            tokens=tuple(
                {
                    "text": words[r["token"]],
                    **{name: r[name] for name in ("token", "rank", "firings", "share", "recall")},
                }
                for r in tokens
            ),
        )

    def contexts(self, number: int, kind: str = "") -> tuple[Context, ...]:
        """Where a feature fires: the strongest, then the even sample, each from the strongest
        down."""
        rows = [row for row in self._lookup["contexts"].rows(number) if kind in ("", row["kind"])]
        rows.sort(key=lambda r: (r["kind"] != "top", r["rank"]))
        words = self.words({t for row in rows for t in row["tokens"]})
        return tuple(
            Context(
                kind=r["kind"],
                rank=r["rank"],
                share=r["share"],
                window=r["window"],
                position=r["position"],
                document=self._documents.get(r["document"], ""),
                value=r["value"],
                at=r["at"],
                ids=tuple(r["tokens"]),
                tokens=tuple(words[t] for t in r["tokens"]),
                activations=tuple(r["activations"]),
                effects=None if r["effects"] is None else tuple(r["effects"]),
            )
            for r in rows
        )

    def glance(self, numbers: Sequence[int]) -> dict[int, Row]:
        """Name, density, importance and commonest token of some features, by number: what a link to
        one says of it."""
        name_of = self.names(numbers)
        words = self.words({int(t) for t in self.glances["token"][list(numbers)] if t >= 0})
        return {i: self._glance(i, words) | {"name": name_of[i]} for i in numbers}

    def _glance(self, number: int, words: Mapping[int, str]) -> dict[str, Any]:
        density, importance, token = (
            self.glances[name][number] for name in ("density", "importance", "token")
        )
        token_fields = (
            {"token": int(token), "token_text": words[int(token)]}
            if token >= 0
            else {"token": None, "token_text": None}
        )
        return {
            "feature": number,
            "density": float(density),
            "importance": known(importance),
            **token_fields,
        }

    @cached_property
    def alive(self) -> Int[np.ndarray, " n"]:
        """The features that fire at all."""
        return np.flatnonzero(self.glances["density"] > 0)

    @cached_property
    def glances(self) -> dict[str, Float[np.ndarray, " f"]]:
        """The columns that a link to a feature needs, by feature."""
        return self.columns(("density", "token", "maximum", *EFFECTS))

    @property
    def maxima(self) -> Float[np.ndarray, " f"]:
        """The strongest activation of every feature, by number; 0 for one that never fires."""
        return np.nan_to_num(self.glances["maximum"])

    def columns(self, names: Sequence[str]) -> dict[str, Float[np.ndarray, " f"]]:
        """Columns of numbers of all features, by feature; NaN where there is none. Raises:
        DataError for a column that is no number."""
        check_numeric(*names)
        chosen = ", ".join(f'"{name}"::DOUBLE AS "{name}"' for name in names)
        arrays = self.arrays(f"SELECT {chosen} FROM features ORDER BY feature")
        return {
            name: np.ma.filled(np.ma.asarray(arrays[name], np.float64), np.nan) for name in names
        }

    @cached_property
    def _documents(self) -> dict[int, str]:
        return {
            row["document"]: row["name"]
            for row in self.query("SELECT document, name FROM documents")
        }

    @cached_property
    def token_numbers(self) -> dict[str, int]:
        """The id of every token, by its text; of two that are alike the first."""
        return {text: token for token, text in reversed(list(enumerate(self.vocabulary)))}

    @cached_property
    def contexts_by_row(
        self,
    ) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Row, feature and value of every context that is kept, by row of the text; row = window ·
        context + position."""
        sql = (
            'SELECT "window"::BIGINT * ? + position AS row, feature, value::FLOAT AS value FROM '
            "contexts"
        )
        arrays = self.arrays(sql, [self.windows.shape[1]])
        order = np.argsort(arrays["row"], kind="stable")
        return tuple(np.asarray(arrays[name])[order] for name in ("row", "feature", "value"))  # type: ignore[return-value]

    @cached_property
    def all_names(self) -> names.Names:
        """The best name of each feature that tokens alone give."""
        return names.names(self)

    def names(self, numbers: Sequence[int]) -> dict[int, names.Name]:
        """Say what features are about: words that were given, or else tokens, with a score."""
        return names.named(self, self.all_names, self.given_names, numbers)

    @cached_property
    def start(self) -> tuple[tuple[int, int], ...]:
        """The features to look at first, each with how many twins it hides."""
        return names.start(self)

    def promoted(
        self, features: Sequence[int], count: int = 3, sign: int = 1
    ) -> dict[int, list[str]]:
        """Tokens that features promote most, or with sign −1 suppress most."""
        listed = (
            ", ".join(str(int(feature)) for feature in features) or "NULL"
        )  # a list in so many words, by which blocks are skipped
        rows = self.query(
            f"SELECT feature, token FROM logits WHERE feature IN ({listed}) AND rank < ? AND "
            "sign = ? ORDER BY feature, rank",
            [count, sign],
        )
        words = self.words({row["token"] for row in rows})
        promoted: dict[int, list[str]] = {int(feature): [] for feature in features}
        for row in rows:
            promoted[row["feature"]].append(words[row["token"]])
        return promoted

    @cached_property
    def summary(self) -> Row:
        """Counts of features by class, and of those that are antipodal, have a twin, fire together
        with another, are taken out, and found in all other dictionaries."""
        rows = self.query('SELECT "class", count(*) AS n FROM features GROUP BY ALL')
        more = self.query(
            "SELECT count(antipode) AS antipodal, count(importance) AS ablated, count(*) FILTER "
            "(importance_low > 0) AS helpful, count(*) FILTER (importance_high < 0) AS harmful, "
            "count(*) FILTER (seeds = ?) AS recurring FROM features",
            [len(self.about.seeds)],
        )[0]
        twins = self.query(
            "SELECT count(DISTINCT n.feature) FILTER (kind = 'decoder' AND cosine > ?) AS twins, "
            "count(DISTINCT n.feature) FILTER (kind = 'feature' AND pearson >= ? AND "
            "least(f.firings, g.firings) >= ?) AS together "
            "FROM neighbours n JOIN features f ON f.feature = n.feature AND f.firings > 0 "
            "JOIN features g ON g.feature = n.other AND g.firings > 0",
            [THRESHOLD, TOGETHER, OFTEN],
        )[0]
        return {"classes": {row["class"]: row["n"] for row in rows}, **more, **twins}
