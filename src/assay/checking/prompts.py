"""Prompts: the rows that a user's function is called with, in the form in which they were given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from assay.ask.measure import prompts
from assay.checking.fingerprint import Fingerprint
from assay.core.dependence import answers, combinations_in_words, combined_with, crossed
from assay.core.errors import DataError, nearest
from assay.core.expression import parse
from assay.core.power import FEWEST
from assay.core.scopes import listed
from assay.core.wordings import numbered, shared_words
from assay.lab.judge import tried

PROMPT = "prompt"
"""The unit where none is named: each prompt."""
KEPT = (PROMPT, "arm", "draw")
"""Names that a column of prompts cannot have next to the numbers."""
EVEN, SOME = 0.4, 0.1
"""The share of prompts from which each of two values counts as one of two kinds that are there on
purpose, such as a label, and not as a sample of values; that from which a difference between them
is reported."""
SHORT, THREE = 20, 3
"""Up to how many characters, and of how many columns, a value that all prompts have is named."""


def two_kinds(columns: Mapping[str, Iterable[Any]], share: float = EVEN) -> list[str]:
    """Name the columns with two values that prompts have about equally often, or each at least in
    this share of them, apart from the possible answers of a task."""
    cells = {name: [*map(str, values)] for name, values in columns.items()}
    known = answers(cells)
    counts = {name: Counter(x) for name, x in cells.items() if name not in known}
    return [n for n, c in counts.items() if len(c) == 2 and min(c.values()) >= share * c.total()]


@dataclass(frozen=True, eq=False)
class Given:
    """Prompts as they were given: a list of texts or of rows, or a pandas DataFrame."""

    value: Any

    @classmethod
    def read(cls, value: Any, name: str = "prompts=") -> Given:
        """Take prompts, or read a CSV, JSONL or text file of them. Raises: DataError."""
        if isinstance(value, str | Path):
            records = [dict(cells) for _, cells in prompts.read_file(Path(value))]
            value = [r["text"] if [*r] == ["text"] else r for r in records]
        if not hasattr(value, "__iter__"):
            raise DataError(f"{name} is a list, a DataFrame or the path of a file, got {value!r}")
        if not hasattr(value, "iloc"):
            value = list(value)
        if len(value) < 2:
            raise DataError(f"{name} has length {len(value)}; a claim needs {FEWEST} or more")
        return cls(value)

    def __len__(self) -> int:
        return len(self.value)

    def take(self, rows: Sequence[int]) -> Any:
        """Choose rows, in the form in which all were given."""
        if hasattr(self.value, "iloc"):
            return self.value.iloc[list(rows)]
        return [self.value[i] for i in rows]

    def name(self, row: int) -> str:
        """Say which prompt it is, with its first words."""
        value = self.value.iloc[row].to_dict() if hasattr(self.value, "iloc") else self.value[row]
        text = " ".join(str(value).split())
        return f"prompt {row + 1} ({text if len(text) <= 60 else text[:59] + '…'})"

    @cached_property
    def contents(self) -> list[str]:
        """What each says: its text, or a hash of the row where it has none."""
        if self._texts is not None:
            return [str(text) for text in self._texts]
        rows = [*self.columns.values()] or [self.value]
        return [
            row[0] if len(row) == 1 and isinstance(row[0], str) else Fingerprint().add(row).digest
            for row in zip(*rows, strict=True)
        ]

    @cached_property
    def by_length(self) -> list[int]:
        """The numbers of all rows, those with the shortest texts first; of equal ones, the last in
        their order first, since a call of these alone moves them to other places."""
        lengths = [len(str(x)) for x in self._texts or self.rows]
        return sorted(range(len(self)), key=lambda i: (lengths[i], -i))

    def tried(
        self, noun: str, asks: Any, check: Any, *, ledger: bool, function: str = ""
    ) -> list[str]:
        """Note that a claim was tried on these rows, and say how many were, from the second on.

        Args:
            noun: what the rows are: prompts, texts, rows.
            asks: all that decides the numbers but the rows.
            check: what came out, of a function or of a probe.
            ledger: whether it is noted; where not, this is said.
            function: a hash of the function that was asked.
        """
        if not ledger:
            return [f"not counted (the ledger is off): how many claims were tried on these {noun}"]
        holds: str = check.question.holds
        names = sorted({c.name for c in parse(holds).columns})
        asked = [Fingerprint().add(asks).digest, names]
        rows, too = self.contents, {k: v.outcome == "holds" for k, v in check.controls.items()}
        claims = tried.note_asked(f"these {noun}", rows, function, asked, holds, check.judged, too)
        return [*claims, *tried.scans(self.contents, self.columns)]

    @cached_property
    def distinct(self) -> bool:
        """Whether no two prompts are the same."""
        return len({str(row) for row in self.rows}) == len(self)

    @cached_property
    def rows(self) -> list[Any]:
        """Give the rows, those of a DataFrame as dicts."""
        return self.value.to_dict("records") if hasattr(self.value, "iloc") else self.value

    @cached_property
    def _texts(self) -> list[Any] | None:
        return next((x for n, x in self.columns.items() if n in ("text", PROMPT)), None)

    @cached_property
    def columns(self) -> dict[str, list[Any]]:
        """The columns that all rows have, of plain values."""
        records = self.rows if all(isinstance(r, Mapping) for r in self.rows) else []
        names = [n for n in (records[0] if records else ()) if all(n in r for r in records)]
        columns = {str(n): [r[n] for r in records] for n in names}
        plain = (bool, int, float, str)
        return {n: x for n, x in columns.items() if all(isinstance(v, plain) for v in x)}

    def scope(self, these: Iterable[str], chosen: str = "") -> str:
        """Say of which prompts alone a claim is, what these have in common: the value, if it is
        short, of at most three columns, those of words first; and where its thing was `chosen`."""
        same = {n: x[0] for n, x in self.columns.items() if len({*map(str, x)}) == 1}
        short = [n for n, x in same.items() if 0 < len(str(x)) <= SHORT]
        first = sorted(short, key=lambda n: not isinstance(same[n], str))[:THREE]
        alike = listed(f"{n} always {same[n]}" for n in first)
        return "; ".join(filter(None, (" and ".join(these), alike, chosen)))

    @cached_property
    def answers(self) -> list[str]:
        """The columns whose values are all possible answers."""
        return answers({n: x for n, x in self.columns.items() if isinstance(x[0], str)})

    def column(self, name: str) -> list[Any]:
        """Give a column. Raises: DataError where not all rows have it."""
        if name not in self.columns:
            raise DataError(f"the prompts have no column {name!r}; {nearest(name, self.columns)}")
        return self.columns[name]

    def units(
        self, named: str | Sequence[str] | None, fixed: Sequence[str] = ()
    ) -> tuple[tuple[str, ...], list[str]]:
        """Choose the units, those that are named or, where prompts are a product of columns, the
        one of these with the fewest values that a verdict can be about and that is not `fixed`; and
        what is noted of it.

        Raises: DataError for a column that the prompts lack.
        """
        named = (named,) if isinstance(named, str) and named else tuple(named or ())
        for name in (*named, *fixed):
            if name != PROMPT:
                self.column(name)
        if twice := {*named} & {*fixed}:
            raise DataError(
                f"unit= and fixed= both name {min(twice)!r}; a claim generalises over a unit, and "
                "is only about the values of a fixed column, so leave one of them out"
            )
        if named:
            return tuple(named), []
        groups = {name: numbered(x) for name, x in self.columns.items()}
        counts = {name: len(np.unique(of)) for name, of in groups.items()}
        pairs = crossed(groups)
        is_crossed = {name for pair in pairs for name in pair} - {*fixed}
        enough = sorted((n for n in is_crossed if counts[n] >= FEWEST), key=counts.__getitem__)
        if not enough:
            return (PROMPT,), []
        unit = enough[0]
        both = next(pair for pair in pairs if unit in pair)
        what = combinations_in_words(PROMPT, {name: counts[name] for name in both})
        return (unit,), [f"{what}, so the unit is {unit}; unit= names another one"]

    def stays(
        self, units: Sequence[str], fixed: Sequence[str] = (), *, every: bool = False
    ) -> dict[str, np.ndarray]:
        """Say what each value of the unit is combined with, so that the claim is about these values
        alone: those of a column that is not `fixed`, or what texts have in common; with the value
        of each prompt. With `every`, also what only some values of the unit are combined with."""
        if len(units) != 1 or units[0] not in self.columns:
            return {}
        known = (units[0], *fixed, *self.answers)
        others = {n: x for n, x in self.columns.items() if n not in known}
        texts = {n: x for n, x in others.items() if isinstance(x[0], str)}
        groups = {name: numbered(cells) for name, cells in texts.items()}
        for name, cells in texts.items():
            groups |= {f"{way} of {name}": of for way, of in shared_words(cells).items()}
        groups |= {n: numbered(x) for n, x in others.items() if n not in texts}
        return combined_with(numbered(self.columns[units[0]]), groups, every=every)
