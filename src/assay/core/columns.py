"""Columns: what a claim in words names: a measure of an arm, levels of its dimensions, and those
over which it is averaged."""

from __future__ import annotations

import math
import operator
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.core.errors import MANY, ClaimError, nearest
from assay.core.heavy import xr

if TYPE_CHECKING:
    pass

Level = bool | int | float | str
Axes = Mapping[str, Sequence[Any]]
"""The dimensions of a measure with their levels; without levels where these are not known."""
BEYOND = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
LOCATING = ("first", "last", "argmax")
"""What is taken over levels and is one of them."""
SHOWN, LONGEST, LONG, FEW = 12, 160, 30, 3
"""Levels of a dimension that a refusal lists at most, their characters, and those of each."""


@dataclass(frozen=True)
class Column:
    """A measure as a claim names it; nothing else is selected, and nothing else is averaged."""

    arm: str | None
    """Its name; of the arm under judgement None."""
    name: str
    levels: tuple[tuple[str, Level], ...] = ()
    """(dimension, level), in the order of the text."""
    over: tuple[str, ...] = ()
    """The dimensions over whose levels the mean is taken, unit by unit."""
    how: str = "mean"
    """What is taken over them in place of the mean: sum, max, min, or first or last, the first or
    the last level at which the measure is `beyond` a number; or each, where all levels are kept for
    arithmetic over which something is taken."""
    beyond: tuple[str, float] | None = None
    """A sign and a number, of first and last."""
    ranges: tuple[tuple[str, float, float], ...] = ()
    """Of some dimensions from which level on, and before which one, it is taken."""

    def __str__(self) -> str:
        levels = ", ".join(f"{_written(dim)}={_written(level)}" for dim, level in self.levels)
        selected = {
            d: f"[{a:g}:{b:g}]".replace("-inf", "").replace("inf", "") for d, a, b in self.ranges
        }
        over = ", ".join(f"{_written(dim)}{selected.get(dim, '')}" for dim in self.over)
        text = f"{self.plain}[{levels}]" if levels else self.plain
        text += f" {self.beyond[0]} {self.beyond[1]:g}" if self.beyond else ""
        of = f"({over})" if self.over[1:] else over
        if over and self.how != "each":
            return f"{self.how}({text}, over={of})"
        return text + "".join(f" at {_written(dim)}{part}" for dim, part in selected.items())

    @property
    def plain(self) -> str:
        """The measure with its arm, as the language writes it."""
        if self.arm is None:
            return _written(self.name)
        name = f".{self.name}" if self.name.isidentifier() else f"[{_written(self.name)}]"
        return _written(self.arm) + name

    @property
    def key(self) -> str:
        """The column without its arm, such as slope[kind=rare]: the same in every arm."""
        return str(replace(self, arm=None))

    @property
    def named(self) -> tuple[str, ...]:
        """The dimensions that it names."""
        return (*(dim for dim, _ in self.levels), *self.over)

    def within(self, dims: Collection[str]) -> Column:
        """Leave out what it names of other dimensions than these."""
        levels = tuple((dim, level) for dim, level in self.levels if dim in dims)
        ranges = tuple(part for part in self.ranges if part[0] in dims)
        over = tuple(dim for dim in self.over if dim in dims)
        return replace(self, levels=levels, over=over, ranges=ranges)

    def check(self, axes: Axes, units: Collection[str]) -> None:
        """Hold it to the dimensions of its measure.

        Raises: ClaimError for a dimension that is missing, and for one that is neither a unit nor
        named, with its levels."""
        for dim in (d for d, _ in self.levels) if self.how == "each" else self.named:
            if dim not in axes:
                raise ClaimError(f"{self.plain} has no dimension {dim!r}; {nearest(dim, axes)}")
        for dim, low, high in self.ranges:
            if len(axes.get(dim, ())) and not _between(axes[dim], low, high):
                problem = f"no level in {dim}[{low:g}:{high:g}]{_listed(axes[dim])}"
                raise ClaimError(f"{self.plain} has {problem}")
        unnamed = {dim: axes[dim] for dim in axes if dim not in (*units, *self.named)}
        for dim in (d for d in self.over if unnamed and d not in axes):  # perhaps another's
            if (hint := nearest(dim, axes)).startswith("did you mean"):
                raise ClaimError(f"{self.plain} has no dimension {dim!r}; {hint}")
        if unnamed:
            description = " and ".join(
                f"{dim}{_listed(levels, FEW)}" for dim, levels in unnamed.items()
            )
            dims = " and ".join(unnamed)
            firsts = {dim: _plain(x[0]) if len(x) else "…" for dim, x in unnamed.items()}
            first = tuple((d, x if len(str(x)) <= LONG else "…") for d, x in firsts.items())
            single = replace(self, levels=(*self.levels, *first))
            every = str(replace(self, over=(*self.over, *unnamed)))
            if self.how == "each":
                every = f"{dims} in over=, too"
            unit = "one of them" if len(unnamed) > 1 else dims
            raise ClaimError(
                f"{self.plain} varies over {description}: write {single} for one value, or {every} "
                f"for the mean, or name {unit} as a unit, to generalise over it; or "
                f"estimate a curve over {dims}"
            )

    def place(self, dim: str, level: Level, levels: Sequence[Any]) -> int:
        """Find a level among those of a dimension. Raises: ClaimError where none, or more than one,
        is called so."""
        places = [i for i, other in enumerate(levels) if _same(_plain(other), level)]
        if len(places) == 1:
            return places[0]
        if places:
            raise ClaimError(
                f"{self.plain} has {len(places)} levels of {dim} that are called {level!r}"
            )
        names = [str(_plain(x)) for x in levels]
        # of numbers, the one that is spelt most alike is not the one that was meant
        there = f"it has {', '.join(names[:MANY])}"
        hint = nearest(level, names) if isinstance(level, str) else there
        raise ClaimError(f"{self.plain} has no {dim} {level!r}; {hint}")

    def take(self, x: xr.DataArray, units: Collection[str]) -> xr.DataArray:
        """Select and average what it names; a mean that meets NaN is NaN. Raises: ClaimError as
        `check` and `place` do."""
        axes = {
            str(d): x[d].values.tolist() if d in x.coords else range(x.sizes[d]) for d in x.dims
        }
        self.check(axes, units)
        ranges = {d: _between(axes[d], low, high) for d, low, high in self.ranges if d in axes}
        x = x.isel(ranges).isel(
            {dim: self.place(dim, level, axes[dim]) for dim, level in self.levels}, drop=True
        )
        if not self.over or self.how == "each":
            return x
        return over_levels(x, self.how, self.over, self.beyond, str(self))


def over_levels(
    x: xr.DataArray, how: str, over: Sequence[str], beyond: tuple[str, float] | None, text: str
) -> xr.DataArray:
    """Take something over the levels of dimensions, unit by unit: of `first`, `last`, `count` and
    `share` the level at which, how many times and in which share of them a number is `beyond`
    another; of `argmax` the level of the largest, the first of several. What meets NaN is NaN.
    Raises: ClaimError for `first`, `last` and `argmax` of levels that are no numbers."""
    if how in LOCATING:
        return _place(x, how, over, beyond, text)
    if beyond is not None:
        so = BEYOND[beyond[0]](x, beyond[1]).astype(float).where(x.notnull())
        x, how = so, {"count": "sum", "share": "mean"}[how]
    together: xr.DataArray = getattr(x, how)([*over], skipna=False)
    return together


def _place(
    x: xr.DataArray, how: str, over: Sequence[str], beyond: tuple[str, float] | None, text: str
) -> xr.DataArray:
    """The first or the last level at which each unit is beyond a number; where none is, the level
    that would follow the last, or come before the first. Without a number the level at which it is
    largest. Raises: ClaimError for levels that are no numbers."""
    dim = over[0]
    levels = x[dim].values if dim in x.coords else np.arange(x.sizes[dim])
    if over[1:] or levels.dtype.kind not in "iuf":
        raise ClaimError(f"{text} is over one dimension whose levels are numbers")
    levels = levels.astype(float)
    if how == "last":  # the first one from the other end
        x, levels = x.isel({dim: slice(None, None, -1)}), levels[::-1]
    step = levels[-1] - levels[-2] if len(levels) > 1 else -1 if how == "last" else 1
    extended = np.append(levels, levels[-1] + step)
    if beyond is None:
        index = x.fillna(-np.inf).argmax(dim)
    else:
        so = BEYOND[beyond[0]](x, beyond[1])
        index = so.argmax(dim).where(so.any(dim), len(levels))
    place = index.copy(data=np.asarray(extended[index.values.astype(int)]))
    return place.where(x.notnull().all(dim))


def refuse_other_levels(text: str, over: Sequence[str], sides: Sequence[Axes]) -> None:
    """Refuse arithmetic over the levels of dimensions that no measure of it has, or of which two
    measures have other levels. Raises: ClaimError."""
    for dim in over:
        known = [[*axes[dim]] for axes in sides if dim in axes]
        if not known:
            offered = dict.fromkeys(d for axes in sides for d in axes)
            raise ClaimError(f"nothing in {text} has a dimension {dim!r}; {nearest(dim, offered)}")
        if other := next((x for x in known if x and known[0] and x != known[0]), None):
            raise ClaimError(
                f"{text} needs the same levels of {dim} on both sides, got {_listed(known[0])} and "
                f"{_listed(other)}; give both sweeps the same levels, or take {dim} of each side "
                f"by itself, as in max(a.x, over={dim}) - max(b.x, over={dim})"
            )


def _written(name: Level) -> str:
    """A name or a level as the language writes it: quoted where it is no plain name and no
    number."""
    if not isinstance(name, str) or name.isidentifier() or name == "…":
        return str(name)
    return f"'{name}'" if '"' in name else f'"{name}"'


def _plain(level: Any) -> Level:
    value = level.item() if isinstance(level, np.generic) else level
    return value if isinstance(value, bool | int | float | str) else str(value)


def _between(levels: Sequence[Any], low: float, high: float) -> list[int]:
    """The places of the levels that are numbers from one on and before another."""
    numbers = enumerate(map(_plain, levels))
    return [i for i, x in numbers if not isinstance(x, str) and low <= x < high]


def _same(level: Level, requested: Level) -> bool:
    """Whether a level is the one asked for: a number by its value, all else by its text."""
    if isinstance(level, int | float) and (x := _value(requested)) is not None:
        return math.isclose(level, x, rel_tol=1e-12)
    return str(level) == str(requested)


def _value(level: Level) -> float | None:
    """The number that a level is, or whose text it is."""
    try:
        return float(level)
    except ValueError:
        return None


def _listed(levels: Sequence[Any], most: int = SHOWN) -> str:
    if isinstance(levels, range):
        return f" (0 to {len(levels) - 1})"
    names = [shorten(str(_plain(x)), LONG, placeholder="…") for x in levels[:most]]
    while len(names) > 1 and sum(map(len, names)) > LONGEST:
        names.pop()
    more = f", … {len(levels):,} in all" if len(levels) > len(names) else ""
    return f" ({', '.join(names)}{more})" if names else ""
