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
from assay.core.table import estimate, judge

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
        planted: Names = (),
        also: Names = (),
        unlearned: Names = (),
        violation: Names = (),
        fixed: Names = (),
        empty: float | None = None,
        beats: float = 0.0,
        bounds: tuple[float, float] | None = None,
        scope: Scope = "",
        arm_column: ArmColumn = "arm",
    ) -> Answer:
        """Judge a sentence about your own numbers as Assay judges its own: an interval over units,
        and a control that has to fail.

        Args:
            claim: The sentence, such as mine.loss - old.loss < -0.05: arms, columns, a
                threshold.
            control: Arms of the table for which it must come out false, and could come out
                true; without one dealt, the same rows with their labels dealt out.
            about: The arm that controls replace; needed only if the outcome depends on it.
            unit: Columns over whose levels you generalise: seed, document. At least six levels
                each.
            planted: Arms with a planted effect, for which it must hold.
            also: Rivals that may satisfy it as well.
            unlearned: Arms in which nothing was learned, such as random ones.
            violation: Arms with a planted violation, where little or nothing is claimed.
            fixed: Columns, such as template, of whose levels here alone the claim speaks; without,
                the verdict also has to be the same with their levels as units.
            empty: The value where there is nothing: 0.5 for an AUROC; 0 by default.
            beats: By how much controls must be beaten, in the claim's units.
            bounds: The least and greatest value that the claim can have for a unit.
        """
        with self._one, _table(rows) as (table, source):
            verdict = judge(
                table,
                claim=claim,
                unit=unit,
                control=control,
                about=about,
                must_hold=planted,
                also=also,
                unlearned=unlearned,
                violation=violation,
                fixed=fixed,
                empty=empty,
                beats=beats,
                bounds=bounds,
                scope=scope,
                arm_column=arm_column,
            )
        return answers.table(verdict, source)

    def estimate(
        self,
        rows: Rows,
        value: Line,
        unit: Names = ("seed",),
        over: Name = "",
        crosses: float | None = None,
        scope: Scope = "",
        arm_column: ArmColumn = "arm",
    ) -> Answer:
        """Estimate a number of your own table with its interval, or a curve over a swept column
        with a band, and where it crosses a value. For how large, and at what; `judge` is for
        claims.

        Args:
            value: A quantity without a threshold, such as mine.loss - old.loss.
            unit: Columns over whose levels you generalise: seed, document.
            over: A column that was swept: a curve over its levels.
            crosses: A value of the curve: at which level it has it.
        """
        with self._one, _table(rows) as (table, source):
            number = estimate(
                table,
                value=value,
                unit=unit,
                over=over,
                crosses=crosses,
                scope=scope,
                arm_column=arm_column,
            )
        return answers.number(number, source)


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
