"""Ceilings: what the bounds of a measure leave a claim to find. Where all units of everything that
it compares lie on one bound, no difference could show; where the arm that it is compared with
leaves too little room, the range that it names is out of reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from assay.core.columns import Column
from assay.core.heavy import xr

Arms = Mapping[str, "xr.Dataset"]


@dataclass(frozen=True)
class Bounded:
    """Several columns of one measure that a claim compares."""

    columns: Sequence[Column]
    """All with their arm."""
    bounds: tuple[float, float] | None
    """The least and the greatest number of the measure; None where it has none."""
    numbers: Callable[[xr.Dataset, Column], xr.DataArray]
    """Reads a column of an arm."""
    variable: Callable[[Column], str]
    """The variable of an arm that a column is read from."""
    main: str
    """The arm under judgement."""
    base: str = ""
    """The arm that is subtracted within `main`, where it is the difference of two models."""

    def at_bound(self, arms: Arms) -> str:
        """Say that all columns lie on the same bound; "" where one does not, or is not measured."""
        ends: set[float | None] = set()
        if self.bounds is None:
            return ""
        for c in self.columns:
            if c.arm is None or c.arm not in arms:
                return ""
            x = self.numbers(arms[c.arm], c).values
            x = x[~np.isnan(x)]
            ends.add(next((end for end in self.bounds if x.size and (x == end).all()), None))
        if len(ends) > 1 or ends <= {None}:
            return ""
        every = "both" if len(self.columns) == 2 else "all"
        what = f"{every} are at the bound of {self.columns[0].name}: no difference could show"
        return f"{what}; ask something {'harder' if ends == {self.bounds[1]} else 'easier'}"

    def extremes(self, arms: Arms) -> Iterator[Arms]:
        """Give the arms as they would be with every number of the arm under judgement at one of the
        bounds, then at the other; nothing where what it is compared with was not measured."""
        own = {self.variable(c) for c in self.columns if c.arm == self.main or self.base}
        if not own or self.bounds is None or not {c.arm for c in self.columns} <= {*arms}:
            return
        main = arms[self.main]
        for end in self.bounds:
            less = {name: arms[self.base][name] if self.base else 0.0 for name in own}
            ends = {name: main[name] * 0 + end - less[name] for name in own}
            yield {**arms, self.main: main.assign(ends)}

    def means(self, arms: Arms) -> dict[str, float]:
        """Compute the mean of every column, by its name; nothing where an arm was not measured."""
        if not all(self.variable(c) in arms.get(str(c.arm), ()) for c in self.columns):
            return {}
        return {str(c): float(self.numbers(arms[str(c.arm)], c).mean()) for c in self.columns}

    def others(self, arms: Arms) -> str:
        """Say at which mean each other arm is, such as "main.refuses is 0.12"."""
        shown = [c for c in self.columns if c.arm == (self.base or c.arm) != self.main]
        return " and ".join(
            f"{c} is {float(self.numbers(arms[str(c.arm)], c).mean()):.2g}" for c in shown
        )
