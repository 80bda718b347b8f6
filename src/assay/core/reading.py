"""From a statement's value to plain arrays [unit, unit, ...]: which arms it read, which runs count,
which levels pair up."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.core.errors import ClaimError, nearest
from assay.core.heavy import xr
from assay.core.nouns import plural

Levels = frozenset
MADE_OF = "derived from"
"""The attribute of a derived arm that names the trained arms whose measures it was made of."""
LEFT_OUT = "left_out"
"""The one measure of a control that could not be made, with the reason as its level."""
LEARNED = "learned parts"
"""The attribute of an arm in which not all was learned that names the parts which were."""


@dataclass(frozen=True)
class Table:
    """Terms as arrays whose first axes are the units, with the levels of each unit."""

    terms: dict[str, np.ndarray]
    levels: dict[str, np.ndarray]

    def or_empty(self, factors: int) -> dict[str, np.ndarray]:
        """The terms; without any unit where none has a number in all of them, as where no seed
        reached what was asked for."""
        masks = [~np.isnan(x).any(axis=tuple(range(factors, x.ndim))) for x in self.terms.values()]
        if np.logical_and.reduce(masks).any():
            return self.terms
        return {name: x[:0] for name, x in self.terms.items()}


class LazyArms(Mapping[str, Any]):
    """Arms of these names, each made when it is read first, since most are not."""

    def __init__(self, names: Collection[str], make: Callable[[str], xr.Dataset]) -> None:
        self.names, self.make = names, make
        self.made: dict[str, xr.Dataset] = {}

    def __getitem__(self, name: str) -> xr.Dataset:
        if name not in self.names:
            raise KeyError(name)
        if name not in self.made:
            self.made[name] = self.make(name)
        return self.made[name]

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


class Others(Mapping):
    """The arms a statement may read: without the one under judgement, only the runs it asks for;
    remembers which were read.

    Not Mapping[str, Dataset]: a type checker at run time would look into it, and looking is
    recorded as reading."""

    def __init__(
        self,
        arms: Mapping[str, xr.Dataset],
        under: str | None = None,
        where: Mapping[str, Any] | None = None,
        swap: Mapping[str, str] | None = None,
        without: Levels = Levels(),  # noqa: B008
    ) -> None:
        self.arms, self.under, self.without = arms, under, without
        self.where, self.swap = where or {}, swap or {}
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> xr.Dataset:
        if name == self.under:
            raise ClaimError(
                f"arm {name!r} is being judged, so it would be compared with itself; name "
                "another arm as the control"
            )
        return self.take(name)

    def take(self, name: str) -> xr.Dataset:
        """The measures of an arm, the one under judgement included."""
        name = self.swap.get(name, name)
        if name not in self.arms:
            raise ClaimError(f"no arm {name!r}; {nearest(name, map(str, self.arms))}")
        self.read.add(name)
        data = _where(self.arms[name], name, self.where)
        return _without(data, self.without)

    def __contains__(self, name: object) -> bool:
        return name != self.under and name in self.arms

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.arms if name != self.under)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @property
    def trained(self) -> frozenset[str]:
        """The arms behind what was read: of a derived one, those that it was made of."""
        sources = (self.arms[name].attrs.get(MADE_OF, (name,)) for name in self.read)
        return frozenset(itertools.chain.from_iterable(sources))

    def diverged(self, unit: str) -> Levels:
        """The (unit, level) pairs of all runs that diverged in the arms read so far."""
        bad = set()
        for name in self.read:
            data = _where(self.arms[name], name, self.where)
            if "diverged" in data and "run" in data.dims:
                bad |= {
                    (unit, level)
                    for level in _levels(data, unit)[data["diverged"].values.astype(bool)].tolist()
                }
        return Levels(bad)


def _where(data: xr.Dataset, name: str, where: Mapping[str, Any]) -> xr.Dataset:
    for field, level in where.items():
        if field in data.coords and data[field].dims == ("run",):
            values = data[field].values
            near = isinstance(level, float) and values.dtype.kind in "fiu"
            chosen = np.isclose(values, level, rtol=1e-12, atol=0) if near else values == level
            if not chosen.any():
                raise ClaimError(
                    f"arm {name!r} has no run with {field}={level!r}; it has "
                    f"{_some(np.unique(values))}"
                )
            data = data.isel(run=chosen)
        elif field in data.attrs:
            if data.attrs[field] != level:
                raise ClaimError(
                    f"arm {name!r} has no run with {field}={level!r}; it has {data.attrs[field]!r}"
                )
        else:
            coords = [str(k) for k, c in data.coords.items() if c.dims == ("run",)] + [
                str(k) for k in data.attrs
            ]
            raise ClaimError(
                f"where names {field!r}, which is not a field of the runs of arm {name!r}; "
                f"{nearest(field, coords)}"
            )
    return data


def _levels(data: xr.Dataset, unit: str) -> np.ndarray:
    return data[unit].values if unit in data.coords else np.arange(data.sizes["run"])


def _without(data: xr.Dataset, bad: Levels) -> xr.Dataset:
    if not bad or "run" not in data.dims:
        return data
    unit = next(iter(bad))[0]
    return data.isel(run=~np.isin(_levels(data, unit), [level for _, level in bad]))


def tabulate(
    call: Callable[[], Any],
    units: tuple[str, ...],
    text: str,
    arm_reader: Others,
    swept: str = "",
) -> Table:
    """The value of a statement, computed by `call`, as arrays over its units; `swept` is the one of
    them that is no unit but the field of a curve.

    Raises: ClaimError when the value names an unknown measure, loses a unit, or pairs arms with
    other levels."""
    try:
        with xr.set_options(arithmetic_join="exact"):
            value = call()
    except xr.AlignmentError as e:
        raise ClaimError(
            f"{_quoted(text)}: arms cannot be paired: "
            f"{_mismatch(arm_reader, units) or str(e).splitlines()[0]}"
        ) from e
    except (AttributeError, KeyError) as e:
        missing = _missing_measure(e)
        if missing is None:
            raise
        names = sorted(
            {str(v) for name in arm_reader.read for v in arm_reader.arms[name].data_vars}
        )
        arms = ", ".join(sorted(arm_reader.read))
        raise ClaimError(
            f"{_quoted(text)}: no measure {missing!r} in {arms}; {nearest(missing, names)}"
        ) from e
    terms = (
        dict(value)
        if isinstance(value, Mapping) and not isinstance(value, xr.Dataset)
        else {"value": value}
    )
    for name, x in terms.items():
        if not isinstance(x, xr.DataArray):
            raise ClaimError(
                f"{_quoted(text)}: a value is a DataArray or a dict of them, got "
                f"{type(x).__name__} for {name!r}"
            )
    tables = {
        name: _unit_axes(x, units, f"{_quoted(text)}: term {name!r}", swept)
        for name, x in terms.items()
    }
    first, (_, levels) = next(iter(tables.items()))
    for name, (_, other) in tables.items():
        for unit in units:
            if not np.array_equal(levels[unit], other[unit]):
                raise ClaimError(
                    f"{_quoted(text)}: terms {first!r} and {name!r} have other levels of {unit!r}: "
                    f"{_lacking(unit, (first, levels[unit]), (name, other[unit]))}"
                )
    arrays = {name: x for name, (x, _) in tables.items()}
    if swept in terms[first].indexes and levels[swept].dtype.kind not in "iuf":
        written = terms[first][swept].values  # names, in the order of their file
        order, axis = np.searchsorted(levels[swept], written), units.index(swept)
        arrays = {name: x.take(order, axis) for name, x in arrays.items()}
        levels = {**levels, swept: written}
    return Table(arrays, levels)


def _missing_measure(e: AttributeError | KeyError) -> str | None:
    """The name that a Dataset was asked for in vain; None when the error is about something
    else."""
    match = re.match(
        r"\"?No variable named '([^']*)'|'Dataset' object has no attribute '([^']*)'",
        str(e).strip(),
    )
    return next((g for g in match.groups() if g is not None), None) if match else None


def _unit_axes(
    x: xr.DataArray, units: tuple[str, ...], label: str, swept: str
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The numbers with the units as first axes, levels in ascending order; runs that share their
    per-run units are averaged."""
    coords, dims = x.coords.variables, [str(d) for d in x.dims]
    fields = [str(k) for k, c in coords.items() if c.dims == ("run",)]
    per_run = [u for u in units if u not in dims and u in fields]
    lost = [u for u in units if u not in dims and u not in per_run]
    if lost:
        why = "it was averaged away, or arms with other levels were combined"
        role = "swept field" if lost[0] == swept else "unit"
        raise ClaimError(
            f"{label} has no {role} {lost[0]!r} ({why}); "
            f"{nearest(lost[0], [*(d for d in dims if d != 'run'), *fields])}"
        )
    values = np.asarray(
        x.values, dtype=np.float64
    )  # plain arrays from here on: xarray takes longer to sort them than all that follows
    levels = {}
    for unit in (u for u in units if u in dims):
        axis = dims.index(unit)
        coordinate = coords[unit].values if unit in coords else np.arange(values.shape[axis])
        levels[unit], order = np.unique(coordinate, return_index=True)
        if len(order) < len(coordinate):
            raise ClaimError(f"{label} has dim {unit!r} with repeated levels")
        if (order[1:] < order[:-1]).any():
            values = values.take(order, axis)
    other_dims = [d for d in dims if d not in (*units, "run")]
    unit_dims = [u for u in units if u not in per_run]
    runs = (
        ["run"] if "run" in dims and "run" not in units else []
    )  # of a table, a unit as any other
    values = values.transpose([dims.index(d) for d in (*runs, *unit_dims, *other_dims)])
    if not runs:
        return values, levels
    codes = []
    for unit in per_run:
        levels[unit], code = np.unique(coords[unit].values, return_inverse=True)
        codes.append(code)
    shape = tuple(len(levels[u]) for u in per_run)
    flat = np.ravel_multi_index(codes, shape) if codes else np.zeros(len(values), dtype=int)
    size = int(np.prod(shape))
    sums = np.zeros((size, *values.shape[1:]))
    np.add.at(sums, flat, values)
    times = np.bincount(flat, minlength=size).reshape(size, *[1] * (values.ndim - 1))
    with np.errstate(all="ignore"):
        means = (sums / np.where(times > 0, times, np.nan)).reshape(*shape, *values.shape[1:])
    axes = [*per_run, *unit_dims]
    return np.moveaxis(means, [axes.index(u) for u in units], range(len(units))), levels


def run_unit(units: tuple[str, ...], arm_reader: Others) -> str:
    """The unit that diverged runs leave with: the first that is a field of the runs, else seed,
    else the run itself."""
    coords = {
        str(k)
        for name in arm_reader.read
        for k, c in arm_reader.arms[name].coords.items()
        if c.dims == ("run",)
    }
    return next((u for u in units if u in coords), "seed" if "seed" in coords else "run")


def _mismatch(arm_reader: Others, units: tuple[str, ...]) -> str:
    read = sorted(arm_reader.read)
    for unit in units:
        levels_by_arm = {
            n: np.unique(arm_reader.arms[n][unit].values)
            for n in read
            if unit in arm_reader.arms[n].coords
        }
        for name, levels in levels_by_arm.items():
            first = levels_by_arm.get(read[0], levels)
            if not np.array_equal(levels, first):
                apart = "to compare the arms as independent groups, give them different"
                if unit in ("seed", "run") and (others := [repr(u) for u in units if u != unit]):
                    apart = f"or name {others[0]} alone as the unit, to average each arm over its"
                add = (
                    "add what is missing, or drop these levels in both if they are not missing "
                    "because of their numbers, as failures are"
                )
                ways = [add, f"{apart} {plural(unit, 2)}"]
                if 2 * len(np.intersect1d(levels, first)) < min(len(levels), len(first)):
                    ways.reverse()
                return (
                    f"{read[0]!r} and {name!r} have different levels of {unit!r}: "
                    f"{_lacking(unit, (read[0], first), (name, levels))}; {'; '.join(ways)}"
                )
    return ""


def _lacking(unit: str, *levels_by_name: tuple[str, np.ndarray]) -> str:
    """Which levels of one each of two lacks, in words."""
    (a, of_a), (b, of_b) = ((name, set(levels.tolist())) for name, levels in levels_by_name)
    lacking = ((a, sorted(of_b - of_a)), (b, sorted(of_a - of_b)))
    return ", ".join(
        f"{name!r} has no {unit} {_some(levels)}" for name, levels in lacking if levels
    )


def _some(levels: Any) -> str:
    examples = [str(x) for x in list(levels)[:4]]
    return (
        (", ".join(examples) + (f" … ({len(levels)} in all)" if len(levels) > 4 else ""))
        if examples
        else "none"
    )


def _quoted(text: str) -> str:
    return f"claim {text!r}" if len(text) <= 80 else f"claim '{text[:77]}…'"
