"""Rows: the prompts of a check, and the table of what was measured on them."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

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
    if vectors.is_tensor(x):
        return x.clone()
    return copy.deepcopy(x) if isinstance(x, list | dict | np.ndarray | pd.DataFrame) else x


def digest(*parts: Any) -> str:
    """A hash of data by their content; of anything else, such as a model, by its type."""

    def plain(x: Any) -> Any:
        if isinstance(x, pd.DataFrame):
            return x.to_dict("list")
        return vectors.as_numpy(x).tolist() if hasattr(x, "shape") else type(x).__qualname__

    return sha256(json.dumps(parts, default=plain).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Prompts:
    """Prompts in the form in which a function gets them: a list or a DataFrame."""

    value: Any

    @classmethod
    def read(cls, prompts: Any) -> Prompts:
        """Read a list of texts or rows, a DataFrame, or the path of a table or of a text with a
        prompt on each line. Raises: DataError (few-prompts, taken-name)."""
        if isinstance(prompts, str | Path):
            if Path(prompts).suffix == ".txt":
                prompts = [x for x in text(Path(prompts)).splitlines() if x.strip()]
            else:
                prompts = read(prompts).frame.to_dict("records")
        made = cls(prompts if isinstance(prompts, pd.DataFrame) else list(prompts))
        if len(made.each) < FEWEST:
            raise DataError("few-prompts", f"{len(made.each)} prompts; give {FEWEST} at least")
        if taken := {"arm", "prompt"} & {*made.columns}:
            raise DataError("taken-name", f"a column is called {min(taken)}; rename it", "prompts")
        return made

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
        return sorted(range(len(self.each)), key=lambda i: (len(str(self.each[i])), -i))

    @cached_property
    def columns(self) -> dict[str, list[Any]]:
        """The texts and numbers of the prompts, by column."""
        if all(isinstance(p, str) for p in self.each):
            return {"text": self.each}
        rows = self.each if all(isinstance(p, Mapping) for p in self.each) else []
        columns = {c: [p.get(c) for p in rows] for c in dict.fromkeys(c for p in rows for c in p)}
        plain = (str, int, float, np.generic, type(None))
        return {str(c): x for c, x in columns.items() if all(isinstance(v, plain) for v in x)}

    @cached_property
    def labels(self) -> list[int]:
        """The number of each prompt, from 1; copies have that of the first."""
        first: dict[str, int] = {}
        return [first.setdefault(digest(p), i) for i, p in enumerate(self.each, 1)]

    def table(
        self, arms: Mapping[str, Numbers], units: Sequence[str], fixed: Sequence[str]
    ) -> pd.DataFrame:
        """A row for each arm and prompt; with units of other kinds one for each arm and cell of
        units, in which every value of what is fixed counts equally. Raises: DataError."""
        numbers, about = list(next(iter(arms.values()))), {"prompt": self.labels, **self.columns}
        for name in (*units, *fixed):
            if name not in about:
                raise DataError("unknown-column", f"no column {name}; {nearest(name, about)}")
        if same := {"arm", *about} & {*numbers}:
            raise DataError("same-name", f"a column and a number are called {min(same)}")
        rows = pd.concat([pd.DataFrame({"arm": a, **about, **x}) for a, x in arms.items()])
        if [*units] == ["prompt"]:
            return rows.reset_index(drop=True)
        by_cell = rows.groupby(cell := ["arm", *units], sort=False)
        own = [c for c in about if c not in units and (by_cell[c].nunique() <= 1).all()]
        means = rows.groupby([*cell, *fixed], sort=False)[numbers].mean()
        return means.groupby(cell, sort=False).mean().join(by_cell[own].first()).reset_index()


def effects(before: Numbers, after: Numbers) -> dict[str, np.ndarray]:
    """Each number's change, and the number before and after it."""
    found: dict[str, np.ndarray] = {}
    for name, x in after.items():
        found |= {name: x - before[name], f"{name}{ENDS[0]}": before[name], f"{name}{ENDS[1]}": x}
    return found


def stems(numbers: Numbers) -> list[str]:
    """The names under which a function gave numbers."""
    return [name for name in numbers if not name.endswith(ENDS)]
