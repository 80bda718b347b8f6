"""Arms as arrays on one grid, of which arithmetic is NumPy's.

Every array has an axis for each kind of unit, then one for each dimension that a condition takes
something over; an axis that an array does not have has length 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from assay.errors import ClaimError, nearest
from assay.verdicts.conditions import Column


@dataclass
class Grid:
    """Arms, and the axes of their arrays.

    Attributes:
        main: the arm of columns that name none.
        swap: the arms that take the place of others.
        over: dimensions that something is taken over.
        labels: the texts of all units in order, and the levels of dimensions.
    """

    arms: Mapping[str, xr.Dataset]
    main: str
    swap: Mapping[str, str]
    units: tuple[str, ...]
    over: tuple[str, ...]
    labels: dict[str, np.ndarray] = field(default_factory=dict)

    def arm(self, arm: str) -> xr.Dataset:
        """The arm that a column means. Raises: ClaimError."""
        name = self.swap.get(arm or self.main, arm or self.main)
        if name not in self.arms:
            raise ClaimError("unknown-arm", f"no arm {name}; {nearest(name, self.arms)}")
        return self.arms[name]

    def span_units(self, names: Iterable[str]) -> None:
        """Find the units that any of these arms has, or else the arms whose place they take.
        Raises: ClaimError: there are none, or one is there twice."""
        names = list(names)
        for unit in self.units:
            found = [labels_of(self.arm(arm), unit) for arm in names]
            if not any(map(len, found)):
                found = [labels_of(self.arms.get(arm or self.main), unit) for arm in names]
            if not any(map(len, found)):
                raise ClaimError("no-units", f"these arms have no {unit}s")
            if any(len({*x}) < len(x) for x in found):
                raise ClaimError("repeated-unit", f"a {unit} is there twice")
            self.labels[unit] = np.unique(np.concatenate(found))

    def read(self, column: Column) -> np.ndarray:
        """A column at the levels that it names. Raises: ClaimError."""
        data, name = self.arm(column.arm), column.name
        if name not in data.data_vars:
            hint = nearest(name, map(str, data.data_vars))
            raise ClaimError("unknown-column", f"no number {name}; {hint}")
        replaced = self.arms.get(column.arm or self.main, data).get(name, data[name])
        for dim in (d for d in self.over if d in replaced.dims):
            self.labels.setdefault(dim, replaced.get_index(dim).to_numpy())
        return self.array(_at_levels(data[name], column.levels))

    def array(self, x: xr.DataArray) -> np.ndarray:
        """An array on the grid. Raises: ClaimError: it has other dimensions or levels."""
        if x.dtype.kind not in "biuf":
            raise ClaimError("not-numbers", f"{x.name} is no number: {x.dtype}")
        axes = (*self.units, *self.over)
        x = x.squeeze([d for d in x.dims if d not in axes and x.sizes[d] == 1], drop=True)
        for dim in (d for d in x.dims if d not in axes):
            raise _open(dim)
        places = [self._places(x, dim) for dim in axes]
        out = np.full([len(self.labels[d]) if d in x.dims else 1 for d in axes], np.nan)
        values = x.transpose(*(d for d in axes if d in x.dims)).to_numpy()
        out[np.ix_(*places)] = values.reshape([len(at) for at in places])
        return out

    def _places(self, x: xr.DataArray, dim: str) -> np.ndarray:
        if dim not in x.dims:
            return np.zeros(1, int)
        names = labels_of(x, dim) if dim in self.units else x.get_index(dim).to_numpy()
        known = self.labels.setdefault(dim, names)
        if dim in self.units and np.isin(names, known).all():
            return np.searchsorted(known, names)
        if names.tolist() != known.tolist():
            raise ClaimError("other-levels", f"{x.name or 'a function'} has other {dim}s")
        return np.arange(len(names))

    def of_units(self, x: Any) -> np.ndarray:
        """An array over units alone. Raises: ClaimError: it has levels."""
        x, n = np.asarray(x), len(self.units)
        for dim in (d for d, size in zip(self.over, x.shape[n:], strict=False) if size > 1):
            raise _open(dim)
        return x.reshape(x.shape[:n] or [1] * n)

    def with_levels(self, x: np.ndarray) -> np.ndarray:
        """An array over units, with an axis for each dimension."""
        return x.reshape(x.shape + (1,) * len(self.over))

    def is_share(self, name: str) -> bool:
        """Whether a number is 0 or 1 in all arms that have it, and 1 in one of them."""
        found = [x[name].to_numpy() for x in self.arms.values() if name in x.data_vars]
        alone = all(((x == 0) | (x == 1) | (x != x)).all() for x in found)
        return alone and any((x == 1).any() for x in found)


def labels_of(x: Any, unit: str) -> np.ndarray:
    """The labels of a kind of unit in an arm or array, as texts; none where it has no units."""
    has = isinstance(x, xr.DataArray | xr.Dataset) and unit in x.dims
    return x.get_index(unit).to_numpy().astype(str) if has else np.empty(0, str)


def _open(dim: Any) -> ClaimError:
    return ClaimError("open-level", f"say which {dim}: x[{dim}=…], or mean(x, over={dim})")


def _at_levels(x: xr.DataArray, levels: Sequence[tuple[str, str]]) -> xr.DataArray:
    """An array at the levels that a condition names: by their texts, or else by their numbers."""
    for dim, level in levels:
        if dim not in x.dims:
            hint = nearest(dim, map(str, x.dims))
            raise ClaimError("unknown-dimension", f"{x.name} has no {dim}; {hint}")
        known = x.get_index(dim).to_numpy()
        at = np.flatnonzero(known.astype(str) == level)
        if not at.size and known.dtype.kind in "iuf":
            with suppress(ValueError):
                at = np.flatnonzero(np.isclose(known, float(level), rtol=1e-7, atol=0))
        if not at.size:
            hint = nearest(level, map(str, known))
            raise ClaimError("unknown-level", f"no {dim} {level}; {hint}")
        x = x.isel({dim: int(at[0])}, drop=True)
    return x
