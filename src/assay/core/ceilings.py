"""Ceilings: where all units of everything that a claim compares lie on one bound of the measure, so
that no difference could show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from assay.core.columns import Column
from assay.core.heavy import xr

Arms = Mapping[str, "xr.Dataset"]


def ceiling(
    columns: Sequence[Column],
    bounds: tuple[float, float],
    numbers: Callable[[xr.Dataset, Column], xr.DataArray],
) -> Callable[[Arms], str]:
    """Give what says of measured arms that all these columns, of one measure, lie on the same of
    its bounds; "" where one does not, or is not measured.

    `numbers` reads a column of an arm.
    """

    def words(arms: Arms) -> str:
        ends = set()
        for c in columns:
            if c.arm is None or c.arm not in arms:
                return ""
            x = numbers(arms[c.arm], c).values
            x = x[~np.isnan(x)]
            ends.add(next((end for end in bounds if x.size and (x == end).all()), None))
        if len(ends) > 1 or ends <= {None}:
            return ""
        every = "both" if len(columns) == 2 else "all"
        return f"{every} are at the bound of {columns[0].name}: no difference could show"

    return words
