"""Rows: the prompts of a check, and the table of what was measured on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assay.checks.record import digest
from assay.controls import vectors
from assay.errors import DataError, nearest
from assay.verdicts.files import text
from assay.verdicts.rows import read

Numbers = Mapping[str, np.ndarray]
"""By name a number for each prompt."""
ENDS = ("_before", "_after")
FEWEST = 2


def copied(x: Any) -> Any:
    """Data of its own; anything else, such as a model, as it is."""
    if isinstance(x, Mapping):
        return {key: copied(value) for key, value in x.items()}
    if type(x) in (list, tuple):
        return type(x)(map(copied, x))
    if vectors.is_tensor(x):
        return x.clone()
    return x.copy() if isinstance(x, np.ndarray | pd.DataFrame) else x


@dataclass(frozen=True, eq=False)
class Prompts:
    """Prompts, as a function gets them.

    Attributes:
        value: a list or a DataFrame.
    """

    value: Any

    @classmethod
    def read(cls, prompts: Any) -> Prompts:
        """Read prompts: a list of texts or rows, a DataFrame, or the path of a table or of a text
        with one prompt on each line. Raises: DataError (few-prompts, taken-name)."""
        if isinstance(prompts, str | Path):
            path = Path(prompts)
            if path.suffix == ".txt":
                prompts = [line for line in text(path).splitlines() if line.strip()]
            else:
                prompts = read(path).frame.to_dict("records")
        made = cls(prompts if isinstance(prompts, pd.DataFrame) else list(prompts))
        if len(made) < FEWEST:
            raise DataError("few-prompts", f"{len(made)} prompts; give {FEWEST} at least")
        if taken := {"arm", "prompt"} & {*made.columns}:
            raise DataError("taken-name", f"a column is called {min(taken)}; rename it", "prompts")
        return made

    def __len__(self) -> int:
        return len(self.value)

    @cached_property
    def each(self) -> list[Any]:
        """The prompts one by one."""
        is_frame = isinstance(self.value, pd.DataFrame)
        return self.value.to_dict("records") if is_frame else self.value

    def take(self, at: Sequence[int]) -> Any:
        """Some of the prompts, copied."""
        if isinstance(self.value, pd.DataFrame):
            return self.value.iloc[[*at]].copy()
        return [copied(self.value[i]) for i in at]

    @cached_property
    def by_length(self) -> list[int]:
        """The prompts from the shortest on; of equally long ones the last comes first."""
        return sorted(range(len(self)), key=lambda i: (len(str(self.each[i])), -i))

    @cached_property
    def columns(self) -> dict[str, list[Any]]:
        """The texts and numbers of the prompts, by column."""
        if all(isinstance(p, str) for p in self.each):
            return {"text": self.each}
        if not all(isinstance(p, Mapping) for p in self.each):
            return {}
        names = dict.fromkeys(str(name) for p in self.each for name in p)
        columns = {name: [p.get(name) for p in self.each] for name in names}
        plain = (str, int, float, np.generic, type(None))
        return {c: x for c, x in columns.items() if all(isinstance(v, plain) for v in x)}

    @cached_property
    def labels(self) -> list[int]:
        """The number of each prompt, from 1; copies have that of the first."""
        first: dict[str, int] = {}
        return [first.setdefault(digest(p), i) for i, p in enumerate(self.each, 1)]


def effects(before: Numbers, after: Numbers) -> dict[str, np.ndarray]:
    """Each number's change, and the number before and after it."""
    found: dict[str, np.ndarray] = {}
    for name, x in after.items():
        found[name] = x - before[name]
        found |= dict(zip((f"{name}{end}" for end in ENDS), (before[name], x), strict=True))
    return found


def table(
    prompts: Prompts, arms: Mapping[str, Numbers], units: Sequence[str], fixed: Sequence[str]
) -> pd.DataFrame:
    """A row for each arm and prompt; with units of other kinds one for each arm and cell of units,
    in which every value of what is fixed counts equally. Raises: DataError (unknown-column)."""
    numbers = list(next(iter(arms.values())))
    about = {"prompt": prompts.labels, **prompts.columns}
    for name in (*units, *fixed):
        if name not in about:
            raise DataError("unknown-column", f"no column {name}; {nearest(name, about)}")
    if same := {*about} & {*numbers}:
        raise DataError("same-name", f"a column and a number are called {min(same)}; rename one")
    parts = [pd.DataFrame({"arm": arm, **about, **x}) for arm, x in arms.items()]
    rows = pd.concat(parts, ignore_index=True)
    if units == ("prompt",):
        return rows
    cell = [*dict.fromkeys(("arm", *units))]
    own = [c for c in about if c not in units and (rows.groupby(cell)[c].nunique() <= 1).all()]
    means = rows.groupby([*cell, *fixed], sort=False)[numbers].mean()
    by_cell = rows.groupby(cell, sort=False)
    return means.groupby(cell, sort=False).mean().join(by_cell[own].first()).reset_index()
