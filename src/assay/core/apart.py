"""Apart: arms of a table that have no unit in common, such as ten runs of one kind and ten others
of another: independent groups, of which the means are compared."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from assay.core.claims import Value
from assay.core.columns import Column
from assay.core.contrasts import OfGroups
from assay.core.errors import ClaimError
from assay.core.expression import Parsed, is_linear
from assay.core.heavy import xr
from assay.core.intervals import Means, Statistic
from assay.core.nouns import plural
from assay.core.power import FEWEST

UNBOUNDED = "bounds make no interval exact here; judge each arm by itself with them"
"""What is said where units of independent groups lie between bounds."""
COUNT = "is "
"""The prefix of a term that says which units another one has."""


def are_apart(arms: Mapping[str, xr.Dataset], unit: str) -> bool:
    """Whether no two of these arms have a unit in common."""
    levels = [set(x.dropna(unit)[unit].values.tolist()) for x in arms.values()]
    return len(levels) > 1 and all(not a & b for a, b in itertools.combinations(levels, 2))


def by_means(parsed: Parsed, main_arm: str) -> Parsed:
    """Give the same quantity as one of means of single arms, over units of which each has some.

    Each unit counts in the terms of its own arm alone: means are sums over numbers, so that the
    statistic is one of ratios of sums, and its interval that of independent groups. The spread of
    each arm is that of its own n − 1, as of Welch's t (`put_apart`).
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

    def of_sums(m: Means) -> np.ndarray:
        with np.errstate(all="ignore"):  # a draw without a unit of one arm has no number
            return statistic({name: m[name] / m[COUNT + name] for name in terms})

    return replace(parsed, terms=terms, statistic=OfGroups(of_sums))


def put_apart(value: Value, unit: str) -> Value:
    """Align the numbers of all arms on the units of all, 0 where an arm lacks a unit, each next to
    an indicator of the units it has."""

    def put(arm: xr.Dataset, arms: Mapping[str, xr.Dataset]) -> dict[str, xr.DataArray]:
        by_term = {name: x.dropna(unit) for name, x in value(arm, arms).items()}
        levels = set(
            itertools.chain.from_iterable(x[unit].values.tolist() for x in by_term.values())
        )
        every = sorted(levels, key=str)
        terms = {}
        for name, x in by_term.items():
            count, mean = x.sizes[unit], x.mean(unit)
            wider = np.sqrt(count / max(1, count - 1) * (len(every) - 1) / len(every))
            x = mean + wider * (x - mean)
            terms[name] = x.reindex({unit: every}, fill_value=0.0)
            terms[COUNT + name] = xr.ones_like(x).reindex({unit: every}, fill_value=0.0)
        return terms

    return put


def in_words(arms: Mapping[str, xr.Dataset], unit: str) -> str:
    """Say what is compared. Raises: ClaimError for a group that is too small."""
    sizes = {name: x.dropna(unit).sizes[unit] for name, x in arms.items()}
    for name, n in sizes.items():
        if n < FEWEST:
            raise ClaimError(f"too few units: {name} has {n} of {FEWEST} {plural(unit, FEWEST)}")
    groups = " and ".join(f"{n} of {name}" for name, n in sizes.items())
    return f"no {unit} is in two arms: judged as independent groups, {groups}"


def _single(column: Column) -> Callable[[Callable[[Column], xr.DataArray]], xr.DataArray]:
    return lambda names: names(column)
