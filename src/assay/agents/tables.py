"""Tables: tools that judge or estimate numbers of the agent's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from assay.agents import answers, basis
from assay.agents.answers import Answer
from assay.agents.arguments import SHORT, ArmColumn, Line, Name, Names, Plain, Rows, Scope
from assay.agents.asking import most
from assay.agents.opening import Opening
from assay.core.errors import DataError, renamed
from assay.core.schema import to_json
from assay.verbs.stated import stated
from assay.verdicts.table import estimate, judge_table

ROWS, CELLS = 20_000, 1024 * 1024
"""Rows of a table, and characters of one in CSV."""


class OwnTables(Opening):
    """What is judged or estimated on a table."""

    def judge(
        self,
        rows: Rows,
        claim: Line,
        control: Names = (),
        about: Name = "",
        unit: Names = ("seed",),
        found: Names = (),
        missed: Names = (),
        fixed: Names = (),
        bounds: tuple[float, float] | None = None,
        tries: int = 1,
        scope: Scope = "",
        arm: ArmColumn = "",
    ) -> Answer:
        """Judge a sentence about your own numbers as Assay judges its own: an interval over units,
        and controls of which it has to be false.

        Args:
            claim: The sentence, such as mine.loss - old.loss < -0.05: arms, columns, a
                threshold.
            control: Arms of the table for which it must come out false, and could come out
                true.
            about: The arm that controls replace; needed only if the outcome depends on it.
            unit: Columns over whose levels you generalise: seed, document. At least six levels
                each.
            found: Arms with a planted effect, for which it must hold.
            missed: Arms of which a claim of little or no effect must be false.
            fixed: Columns, such as template, of whose levels here alone the claim speaks.
            bounds: The least and greatest number that a unit can have.
            tries: How many claims you tried, of which this is one.
        """
        with self._one, _table(rows) as (table, source):
            result = judge_table(
                table,
                claim,
                unit,
                control=control,
                about=about,
                found=found,
                missed=missed,
                fixed=fixed,
                bounds=bounds,
                tries=tries,
                scope=scope,
                arm=arm,
            )
        return answers.stated(to_json(stated(result)), source)

    def estimate(
        self, rows: Rows, value: Line, unit: Names = ("seed",), arm: ArmColumn = ""
    ) -> Answer:
        """Estimate a number of your own table with its interval. For how large; `judge` is for
        claims.

        Args:
            value: A quantity without a threshold, such as mine.loss - old.loss.
            unit: Columns over whose levels you generalise: seed, document.
        """
        with self._one, _table(rows) as (table, source):
            number = estimate(table, value, unit, arm=arm)
        return answers.number(to_json(number), source)


@contextmanager
def _table(rows: list[dict[str, Plain | None]] | str) -> Iterator[tuple[Any, basis.Source]]:
    """Give a table as `judge` takes it while the body runs, and where it comes from. Raises:
    DataError."""
    if isinstance(rows, str):
        most(len(rows), CELLS, "characters of rows")
        count = len(rows.splitlines()) - 1
        most(count, ROWS, "rows, which may be averages within units")
        with TemporaryDirectory(prefix="assay-") as folder:
            path = Path(folder) / "rows.csv"
            path.write_text(rows, encoding="utf-8", errors="replace")
            with renamed({str(path): "the table"}):
                yield path, basis.of_table(count, rows)
        return
    if not rows:
        raise DataError(
            "rows: the table has no rows; give objects such as {arm: mine, seed: 1, loss: 0.3}"
        )
    most(len(rows), ROWS, "rows, which may be averages within units")
    names = list(rows[0])
    if odd := next((i for i, row in enumerate(rows, 1) if set(row) != set(names)), 0):
        raise DataError(
            f"rows: row {odd} has other columns than the first; every row has "
            f"{', '.join(names)[:SHORT]}; a missing number is null"
        )
    columns = {name: [row[name] for row in rows] for name in names}
    yield columns, basis.of_table(len(rows), repr(columns))
