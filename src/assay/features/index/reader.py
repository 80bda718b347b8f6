"""Index: what a dictionary's features do on a text, read from its tables; pages, terminal, JSON and
Python ask here."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float, Int

from assay.core import integrity
from assay.core.errors import DataError, nearest
from assay.dictionaries.measuring.redundancy import THRESHOLD
from assay.features.index import names
from assay.features.index.about import About, Damaged, Lookup
from assay.features.index.schema import FEATURES, OFTEN, TABLES, TOGETHER, selecting

if TYPE_CHECKING:
    import duckdb

Row = Mapping[str, Any]
Compare = Literal[">=", "<=", "="]
SORTED = {column.name: column for column in FEATURES if not column.type.endswith("[]")}
"""Columns of `features` by which a table can be sorted and filtered."""
HELD, MOST_HELD = {"features", "logits", "feature_tokens", "tokens", "documents"}, 200_000
"""Tables held in memory, and the features up to which they are; those of a wider dictionary are
read from their files every time."""
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


class Index:
    """The tables of one index; safe to be read by many threads at once.

    Raises: DataError for a folder that is no index, or one that is damaged.
    """

    def __init__(self, folder: Path, given_names: Mapping[int, names.Name] | None = None):
        self.folder, self.given_names = folder, given_names or {}
        self.about = About.read(folder)
        for name in TABLES:
            if not (folder / f"{name}.parquet").is_file():
                raise Damaged(folder, f"{name}.parquet")
        if integrity.noted(folder) and (fault := integrity.wrong(folder)):
            file, _, why = fault.partition(" ")
            raise Damaged(folder, file, why)
        self._lookup = {
            name: Lookup(folder / f"{name}.parquet")
            for name, columns in TABLES.items()
            if columns[0].name == "feature"
        }
        self._local = threading.local()
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
            held = name in HELD and self.about.d_sae <= MOST_HELD
            with self._undamaged(f"FROM {name}"):
                connection.execute(
                    f"CREATE {'TABLE' if held else 'VIEW'} {name} AS "
                    f"{selecting(connection, name, path)}"
                )
        return connection

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        """This thread's own cursor."""
        if not hasattr(self._local, "cursor"):
            with self._lock:  # two threads must not make the connection twice
                self._local.cursor = self._connection.cursor()
        return self._local.cursor  # type: ignore[no-any-return]

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Rows of a query of ours; `values` take the places of its question marks. Raises:
        Damaged."""
        with self._undamaged(sql):
            cursor = self._cursor().execute(sql, list(values))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def arrays(self, sql: str, values: Sequence[Any] = ()) -> dict[str, Any]:
        """Columns of a query of ours. Raises: Damaged."""
        with self._undamaged(sql):
            return self._cursor().execute(sql, list(values)).fetchnumpy()

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

    def count(self, where: Sequence[Condition] = ()) -> int:
        """Count the features that meet conditions. Raises: DataError for a column that is not there
        or a bound that is no number."""
        clause, values = _where(where)
        return int(self.query(f"SELECT count(*) AS n FROM features{clause}", values)[0]["n"])

    def features(
        self,
        *,
        where: Sequence[Condition] = (),
        order: str = "density",
        descending: bool = True,
        offset: int = 0,
        limit: int = 50,
    ) -> Page:
        """One page of the table of features, sorted by a column, nulls last, ties by feature.

        Raises: DataError for a column that is not there or a bound that is no number.
        """
        if order not in SORTED:
            raise DataError(f"no column {order!r} to sort by; {nearest(order, list(SORTED))}")
        clause, values = _where(where)
        total = self.count(where)
        way = "DESC" if descending else "ASC"
        columns = ", ".join(f'"{name}"' for name in SORTED)
        rows = self.query(
            f"SELECT {columns}, (SELECT text FROM tokens t WHERE t.token = f.token) AS token_text "
            f"FROM features f{clause} "
            f'ORDER BY "{order}" {way} NULLS LAST, feature LIMIT ? OFFSET ?',
            [*values, limit, offset],
        )
        return Page(tuple(rows), total)

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
        known, name_of = self._glances, self.names(numbers)
        words = self.words({int(t) for t in known["token"][list(numbers)] if t >= 0})
        return {i: self._glance(i, words) | {"name": name_of[i]} for i in numbers}

    def _glance(self, number: int, words: Mapping[int, str]) -> dict[str, Any]:
        density, importance, token = (
            self._glances[name][number] for name in ("density", "importance", "token")
        )
        token_fields = (
            {"token": int(token), "token_text": words[int(token)]}
            if token >= 0
            else {"token": None, "token_text": None}
        )
        return {
            "feature": number,
            "density": float(density),
            "importance": _known(importance),
            **token_fields,
        }

    @cached_property
    def alive(self) -> Int[np.ndarray, " n"]:
        """The features that fire at all."""
        return np.flatnonzero(self._glances["density"] > 0)

    @cached_property
    def _glances(self) -> dict[str, Float[np.ndarray, " f"]]:
        return self.columns(("density", "importance", "gradient_active", "token", "maximum"))

    @property
    def maxima(self) -> Float[np.ndarray, " f"]:
        """The strongest activation of every feature, by number; 0 for one that never fires."""
        return np.nan_to_num(self._glances["maximum"])

    def quantiles(
        self, features: Sequence[int], values: Sequence[float]
    ) -> Float[np.ndarray, " n"]:
        """Tell how unusual an activation is: the share of all tokens at which the feature is as
        strong or weaker, of each pair.

        From the stored histogram of 50 bins up to the maximum: exact at the edges of bins, and a
        straight line between them."""
        sql = (
            "SELECT feature, density, firings, maximum, histogram FROM features WHERE "
            "list_contains(?, feature)"
        )
        known = {row["feature"]: row for row in self.query(sql, [list(dict.fromkeys(features))])}
        out = np.ones(len(values))
        for i, (feature, value) in enumerate(zip(features, values, strict=True)):
            row = known[feature]
            if row["firings"]:
                below = np.cumsum([0, *row["histogram"]]) / row["firings"]
                edges = np.linspace(0, row["maximum"], len(below))
                out[i] = 1 - row["density"] * (1 - np.interp(value, edges, below))
        return out

    def columns(self, names: Sequence[str]) -> dict[str, Float[np.ndarray, " f"]]:
        """Columns of numbers of all features, by feature; NaN where there is none. Raises:
        DataError for a column that is no number."""
        for name in names:
            if name not in NUMERIC:
                raise DataError(f"no column of numbers {name!r}; {nearest(name, sorted(NUMERIC))}")
        chosen = ", ".join(f'"{name}"::DOUBLE AS "{name}"' for name in names)
        arrays = self.arrays(f"SELECT {chosen} FROM features ORDER BY feature")
        return {
            name: np.ma.filled(np.ma.asarray(arrays[name], np.float64), np.nan) for name in names
        }

    def longest(self, text: str) -> tuple[int, ...]:
        """Cut a text into the longest tokens of the vocabulary that fit, from its start; nothing
        where one place has no token."""
        ids: list[int] = []
        while text:
            length = next(
                (n for n in range(min(len(text), 40), 0, -1) if text[:n] in self._numbers), 0
            )
            if not length:
                return ()
            ids.append(self._numbers[text[:length]])
            text = text[length:]
        return tuple(ids)

    @cached_property
    def _documents(self) -> dict[int, str]:
        return {
            row["document"]: row["name"]
            for row in self.query("SELECT document, name FROM documents")
        }

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {text: token for token, text in reversed(list(enumerate(self._vocabulary)))}

    def words(self, ids: set[int] | Sequence[int]) -> dict[int, str]:
        """The text of token ids."""
        return {i: self._vocabulary[i] if 0 <= i < len(self._vocabulary) else "\ufffd" for i in ids}

    @cached_property
    def _vocabulary(self) -> list[str]:
        return [row["text"] for row in self.query("SELECT text FROM tokens ORDER BY token")]

    def by_token(self, token: int, limit: int = 50, offset: int = 0) -> Page:
        """Features that fire on a token, by the share of their firings that it is: of the five
        tokens of each that are kept."""
        total = self.query("SELECT count(*) AS n FROM feature_tokens WHERE token = ?", [token])[0][
            "n"
        ]
        rows = self.query(
            "SELECT x.feature, x.firings, x.share, x.recall, f.density, f.maximum, f.importance, "
            "f.gradient_active FROM feature_tokens x JOIN features f ON f.feature = x.feature "
            "WHERE x.token = ? ORDER BY x.share * x.recall DESC, x.feature LIMIT ? OFFSET ?",
            [token, limit, offset],
        )
        return Page(tuple(rows), total)

    def by_promoted(self, token: int, sign: int = 1, limit: int = 50, offset: int = 0) -> Page:
        """Features among whose ten most promoted (sign 1) or suppressed (sign −1) tokens this one
        is, strongest first."""
        total = self.query(
            "SELECT count(*) AS n FROM logits WHERE token = ? AND sign = ?", [token, sign]
        )[0]["n"]
        rows = self.query(
            "SELECT l.feature, l.logit, l.rank, f.density, f.maximum, f.importance, "
            "f.gradient_active FROM logits l JOIN features f ON f.feature = l.feature WHERE "
            "l.token = ? AND l.sign = ? ORDER BY l.logit * ? DESC, l.feature LIMIT ? OFFSET ?",
            [token, sign, sign, limit, offset],
        )
        return Page(tuple(rows), total)

    def tokens_like(self, text: str, limit: int = 20) -> list[Row]:
        """Tokens of the vocabulary that hold this text, the exact one first, then by how often they
        occur."""
        return list(
            self.query(
                "SELECT token, text, count FROM tokens WHERE contains(lower(text), lower(?)) "
                "ORDER BY text = ? DESC, trim(text) = trim(?) DESC, count DESC, token LIMIT ?",
                [text, text, text, limit],
            )
        )

    def tokens_near(self, text: str, limit: int = 20) -> list[Row]:
        """Tokens of two letters or more with which this text begins, the longest first, whatever
        their case and with a space before them or not."""
        return list(
            self.query(
                "SELECT token, text, count FROM tokens WHERE length(trim(text)) > 1 AND "
                "starts_with(lower(trim(?)), lower(trim(text))) "
                "ORDER BY length(trim(text)) DESC, count DESC, token LIMIT ?",
                [text, limit],
            )
        )

    def by_context(self, ids: Sequence[int], limit: int = 50, offset: int = 0) -> Page:
        """Features with a kept context in which these tokens follow each other and at whose last
        one they are on, by activation share."""
        if not ids:
            return Page((), 0)
        windows, positions = self._places(ids)
        row, feature, value = self._contexts_by_row
        target_rows = windows * self.windows.shape[1] + positions
        low, high = (np.searchsorted(row, target_rows, side) for side in ("left", "right"))
        hits = (
            np.repeat(low, high - low)
            + np.arange((high - low).sum())
            - np.repeat(np.cumsum(high - low) - (high - low), high - low)
        )
        known = self._glances
        features, contexts = np.unique(feature[hits], return_counts=True)
        relative = np.zeros(len(known["density"]))
        np.maximum.at(relative, feature[hits], value[hits] / known["maximum"][feature[hits]])
        order = np.lexsort((features, -relative[features]))[offset : offset + limit]
        rows = tuple(
            {
                "feature": int(k),
                "contexts": int(n),
                "relative": float(relative[k]),
                "density": float(known["density"][k]),
                "importance": _known(known["importance"][k]),
                "gradient_active": _known(known["gradient_active"][k]),
            }
            for k, n in zip(features[order], contexts[order], strict=True)
        )
        return Page(rows, len(features))

    @cached_property
    def _contexts_by_row(
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

    def _places(self, ids: Sequence[int]) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
        """Windows and positions of the last of these tokens wherever they follow each other in the
        text."""
        tokens = self.windows
        count = tokens.shape[1] - len(ids) + 1
        if count < 1:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        matches = np.ones((len(tokens), count), bool)
        for i, token in enumerate(ids):
            matches &= tokens[:, i : i + count] == token
        window, position = np.nonzero(matches)
        return window, position + len(ids) - 1

    @cached_property
    def windows(self) -> Int[np.ndarray, "window s"]:
        """The text."""
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

    def points(
        self, x: str, y: str, where: Sequence[Condition] = ()
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Feature, x and y of every feature that has both. Raises: DataError for a column that is
        no number."""
        clause, values = self._both(x, y, where)
        sql = f'SELECT feature, "{x}" AS a, "{y}" AS b FROM features{clause} ORDER BY feature'
        arrays = self.arrays(sql, values)
        return (
            np.asarray(arrays["feature"]),
            np.asarray(arrays["a"], np.float64),
            np.asarray(arrays["b"], np.float64),
        )

    def binned(
        self,
        x: str,
        y: str,
        bins: int,
        log_x: bool = False,
        log_y: bool = False,
        where: Sequence[Condition] = (),
    ) -> list[Row]:
        """Counts of features on a grid of `bins` × `bins` cells between the extremes: i, j, count,
        one feature of the cell.

        On a logarithmic axis only values above 0 count. Raises: DataError for a column that is no
        number."""
        clause, values = self._both(x, y, where)
        for name, log in ((x, log_x), (y, log_y)):
            clause += f' AND "{name}" > 0' if log else ""
        a, b = (
            f'ln("{name}")' if log else f'"{name}"::DOUBLE'
            for name, log in ((x, log_x), (y, log_y))
        )
        return self.query(
            f"WITH p AS (SELECT feature, {a} AS a, {b} AS b FROM features{clause}), e AS (SELECT "
            "min(a) AS a0, max(a) AS a1, min(b) AS b0, max(b) AS b1 FROM p) SELECT "
            f"least({bins - 1}, floor({bins} * (a - a0) / nullif(a1 - a0, 0)))::INTEGER AS i, "
            f"least({bins - 1}, floor({bins} * (b - b0) / nullif(b1 - b0, 0)))::INTEGER AS j, "
            "count(*) AS count, min(feature) AS feature, any_value(a0) AS a0, any_value(a1) AS "
            "a1, any_value(b0) AS b0, any_value(b1) AS b1 FROM p, e GROUP BY i, j ORDER BY i, j",
            values,
        )  # type: ignore[return-value]

    def _both(self, x: str, y: str, where: Sequence[Condition]) -> tuple[str, list[Any]]:
        for name in (x, y):
            if name not in NUMERIC:
                raise DataError(f"no column of numbers {name!r}; {nearest(name, sorted(NUMERIC))}")
        clause, values = _where(where)
        return f'{clause or " WHERE true"} AND "{x}" IS NOT NULL AND "{y}" IS NOT NULL', values

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

    def promoted(self, features: Sequence[int], count: int = 3) -> dict[int, list[str]]:
        """Tokens that features promote most."""
        listed = (
            ", ".join(str(int(feature)) for feature in features) or "NULL"
        )  # a list in so many words, by which blocks are skipped
        rows = self.query(
            f"SELECT feature, token FROM logits WHERE feature IN ({listed}) AND rank < ? AND "
            "sign > 0 ORDER BY feature, rank",
            [count],
        )
        words = self.words({row["token"] for row in rows})
        promoted: dict[int, list[str]] = {int(feature): [] for feature in features}
        for row in rows:
            promoted[row["feature"]].append(words[row["token"]])
        return promoted

    def spread(self, column: str, per_decade: int = 4) -> list[tuple[int, int]]:
        """Count features by the logarithm of a column: (i, n) says that n lie from
        10^(i/per_decade) up to the next; only above 0.

        Raises: DataError for a column that is no number.
        """
        if column not in NUMERIC:
            raise DataError(f"no column of numbers {column!r}; {nearest(column, sorted(NUMERIC))}")
        rows = self.query(
            f'SELECT floor({per_decade} * log10("{column}") + 1e-9)::INTEGER AS i, count(*) AS n '
            f'FROM features WHERE "{column}" > 0 '
            "GROUP BY i ORDER BY i"
        )
        return [(row["i"], row["n"]) for row in rows]

    def summary(self) -> Row:
        """Counts of features by class, and of those that are antipodal, have a twin, fire together
        with another, are taken out, and found in all other dictionaries."""
        return self._summary

    @cached_property
    def _summary(self) -> Row:
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


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _where(conditions: Sequence[Condition]) -> tuple[str, list[Any]]:
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
