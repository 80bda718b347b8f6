"""Apart: arms of a table that have no unit in common, such as ten runs of one kind and ten others
of another: independent groups, of which the means are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from assay.core.columns import Column
from assay.core.errors import ClaimError
from assay.core.expression import Parsed, is_linear
from assay.core.heavy import xr
from assay.core.intervals import Means, Statistic
from assay.core.strata import of_each


def by_means(parsed: Parsed, main_arm: str, strata: bool = False) -> Parsed:
    """Give the same quantity as one of means of single arms, over units of which each has some.

    Each unit counts in the terms of its own arm alone: means are sums over numbers, so that the
    statistic is one of ratios of sums, and its interval that of independent groups (`strata.put`).
    Raises: ClaimError where it is no sum of such means."""
    statistic: Statistic
    if "value" in parsed.terms:
        walk, columns = parsed.terms["value"], parsed.columns
        if not is_linear(walk, columns):
            arms = " and ".join(dict.fromkeys(c.arm or main_arm for c in columns))
            raise ClaimError(
                f"{parsed.text!r}: {arms} have no unit in common, so nothing can be "
                "computed unit by unit; compare means, as in mean(a.x) - mean(b.x)"
            )
        terms = {str(i): _single(c) for i, c in enumerate(columns)}

        def of_means(m: Means) -> np.ndarray:
            return np.asarray(walk(lambda c: m[str(columns.index(c))]))

        statistic = of_means
    else:
        terms = dict(parsed.terms)
        statistic = parsed.statistic

    return replace(parsed, terms=terms, statistic=of_each(statistic, strata))


def _single(column: Column) -> Callable[[Callable[[Column], xr.DataArray]], xr.DataArray]:
    return lambda names: names(column)
