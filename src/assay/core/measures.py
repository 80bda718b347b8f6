"""Measures: numbers of runs with names, units and labelled axes: an xarray Dataset whose first dim
is always `run`."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from assay.core.errors import ClaimError
from assay.core.heavy import xr
from assay.core.plain import plain
from assay.core.runs import Runs
from assay.core.spec import Spec, canonical_json, per_run_fields, static_fields


def measures(
    runs: Runs, *, coords: Mapping[str, Sequence] | None = None, **named: tuple[str, Any, str]
) -> xr.Dataset:
    """A Dataset with one variable for each `name=("run feature", array, "unit")`.

    Every per-run field of the spec is a coordinate of `run`, every static field an attribute. Dims
    whose levels mean something (documents, steps) need `coords`, or runs measured on other
    documents would be stacked silently.

    Args:
        runs: those measured.
        coords: levels of the dims other than `run`, {dim: levels}.
        **named: (dims, array, unit) by name.
    Raises: ClaimError when a name belongs to xarray, the first dim is not `run`, or shapes do not
    fit.
    Example:
        >>> import assay
        >>> runs = assay.Runs(assay.grid(assay.Spec(), seed=[1000, 1001]))
        >>> data = assay.measures(runs, loss=("run", [0.25, 0.75], "nats"))
        >>> data.loss.units, data.seed.values.tolist(), float(data.loss.mean())
        ('nats', [1000, 1001], 0.5)
    """
    return _assemble(runs.specs, coords or {}, named)


@functools.cache
def taken_names() -> frozenset[str]:
    """Names that a measure cannot have, since a Dataset has them for something else."""
    return frozenset(dir(xr.Dataset)) | {"run", "__metadata__"}


def _assemble(
    specs: Sequence[Spec],
    coords: Mapping[str, Sequence],
    entries: Mapping[str, tuple[str, Any, str]],
) -> xr.Dataset:
    cls = type(specs[0])
    variables = {}
    for name, (dims, array, unit) in entries.items():
        if name in taken_names():
            raise ClaimError(
                f"a measure cannot be called {name!r}: xarray uses that name; choose another"
            )
        axes = tuple(dims.split())
        values = _numpy(array)
        if not axes or axes[0] != "run":
            raise ClaimError(f"the first dim of measure {name!r} must be run, got {dims!r}")
        if values.ndim != len(axes) or values.shape[0] != len(specs):
            raise ClaimError(
                f"measure {name!r} says dims {dims!r} of {len(specs)} runs, got shape "
                f"{list(values.shape)}"
            )
        variables[name] = (axes, values, {"units": unit})
    run_coords = {f: ("run", np.array([getattr(s, f) for s in specs])) for f in per_run_fields(cls)}
    try:
        data = xr.Dataset(
            variables, coords={**run_coords, **{k: list(v) for k, v in coords.items()}}
        )
    except ValueError as e:
        raise ClaimError(f"these measures do not fit together: {str(e).splitlines()[0]}") from e
    data.attrs = {f: getattr(specs[0], f) for f in static_fields(cls)}
    return data


def _numpy(array: Any) -> np.ndarray:
    if hasattr(array, "detach"):
        array = array.detach().cpu().numpy()
    return np.asarray(array)


def storable(data: Any, specs: Sequence[Spec]) -> str:
    """Say why these measures of the runs of these specs could not be stored and read again, in
    words; "" where they can."""
    if not isinstance(data, xr.Dataset):
        return (
            "must return a Dataset, which assay.core.measures makes, got "
            f"{'nothing' if data is None else type(data).__name__}"
        )
    if not data.data_vars:
        return "returned a Dataset without a measure"
    for name, values in data.data_vars.items():
        taken = {*taken_names(), *per_run_fields(type(specs[0]))}
        if not isinstance(name, str) or not name or plain(name) != name or name in taken:
            return (
                f"called a measure {plain(str(name))!r}, a name that is taken or cannot be "
                "stored; choose another"
            )
        if "run" not in values.dims or values.sizes["run"] != len(specs):
            lengths = zip(values.dims, values.shape, strict=True)
            dims = ", ".join(f"{d} {n}" for d, n in lengths) or "no dims"
            return f"must return one row for each of {len(specs)} runs; measure {name!r} has {dims}"
        names = [*map(str, values.dims)]
        if odd := [d for d in names if names.count(d) > 1 or d.split() != [d]]:
            return (
                f"gave measure {name!r} the dim {odd[0]!r} twice or with a space in it; dims are "
                "words, each of them once"
            )
        if values.dtype.kind not in "biuf" or values.dtype.itemsize > 8:
            return (
                f"must return real numbers of at most 64 bits; measure {name!r} is {values.dtype}"
            )
    for name, c in data.coords.items():
        levels = c.values.tolist() if c.ndim == 1 and c.dims != ("run",) else []
        if not all(isinstance(v, str | int | float) and v == v for v in levels):
            return (
                f"gave {str(name)!r} levels that are neither texts nor numbers, such as "
                f"{str(levels[0])[:60]!r}"
            )
    return ""


def one_run(data: xr.Dataset, index: int) -> xr.Dataset:
    """The measures of one run; the dim `run` is gone."""
    return data.isel(run=index)


def to_tensors(run: xr.Dataset) -> tuple[dict[str, np.ndarray], str]:
    """The variables of one run as arrays, and a text (canonical JSON) with their dims, units and
    coordinates."""
    arrays = {str(k): np.array(v.values, order="C") for k, v in run.data_vars.items()}
    variables = {
        str(k): {"dims": list(v.dims), "unit": v.attrs.get("units", "1")}
        for k, v in run.data_vars.items()
    }
    coords = {str(k): c.values.tolist() for k, c in run.coords.items() if c.ndim == 1}
    return arrays, canonical_json({"variables": variables, "coords": coords})


def from_tensors(arrays: Mapping[str, np.ndarray], text: str) -> xr.Dataset:
    """The measures of one run back from `to_tensors`; run coordinates and attributes come with
    `stack`."""
    meta = json.loads(text)
    variables = {
        k: (tuple(m["dims"]), arrays[k], {"units": m["unit"]}) for k, m in meta["variables"].items()
    }
    return xr.Dataset(variables, coords=meta["coords"])


def sizes(arrays: Mapping[str, np.ndarray], text: str) -> dict[str, int]:
    """The length of each dim of the measures of one run, from `to_tensors`."""
    meta = json.loads(text)
    lengths = {dim: len(levels) for dim, levels in meta["coords"].items()}
    for name, m in meta["variables"].items():
        lengths |= dict(zip(m["dims"], arrays[name].shape, strict=True))
    return lengths


def stack(specs: Sequence[Spec], per_run: Sequence[xr.Dataset]) -> xr.Dataset:
    """The measures of several runs along `run`, with coordinates and attributes from their specs.

    Raises: ClaimError when the runs were measured with other variables or on other levels
    (documents, steps)."""
    first = per_run[0]
    for spec, other in zip(specs, per_run, strict=True):
        if set(other.data_vars) != set(first.data_vars):
            raise ClaimError(
                f"run {spec.to_json()} has other measures: "
                f"{sorted(set(map(str, other.data_vars)) ^ set(map(str, first.data_vars)))}"
            )
        for name, v in first.data_vars.items():
            if v.shape != (shape := other[name].shape):
                raise ClaimError(
                    f"run {spec.to_json()} has {name} of shape {list(shape)}, another of "
                    f"{list(v.shape)}; measure all runs alike"
                )
        for name, c in first.coords.items():
            if c.ndim == 1 and not np.array_equal(c.values, other.coords[name].values):
                raise ClaimError(
                    f"runs were measured on other levels of {name!r}; measure them on the same ones"
                )
    coords = {str(k): c.values.tolist() for k, c in first.coords.items() if c.ndim == 1}
    entries = {
        str(k): (
            " ".join(("run", *map(str, v.dims))),
            np.stack([o[k].values for o in per_run]),
            v.attrs.get("units", "1"),
        )
        for k, v in first.data_vars.items()
    }
    return _assemble(specs, coords, entries)


def stack_stored(
    specs: Sequence[Spec], stored: Sequence[tuple[Mapping[str, np.ndarray], str]]
) -> xr.Dataset:
    """Stack what `to_tensors` gave of several runs, as `stack` does; where all were measured alike
    no Dataset is made of each. Raises: as `stack`."""
    arrays, texts = zip(*stored, strict=True)
    shapes = {tuple(sorted((name, x.shape) for name, x in run.items())) for run in arrays}
    if len(set(texts)) > 1 or len(shapes) > 1:
        return stack(specs, [from_tensors(*run) for run in stored])
    meta = json.loads(texts[0])
    entries = {
        name: (" ".join(("run", *m["dims"])), np.stack([run[name] for run in arrays]), m["unit"])
        for name, m in meta["variables"].items()
    }
    return _assemble(specs, meta["coords"], entries)


def by(arm: xr.Dataset, *names: str) -> xr.Dataset:
    """Replace the dim `run` of measures by (seed, *names); other run coordinates are dropped.

    A combination that no run has is NaN. Raises: ClaimError when two runs share all levels, or a
    name is no run coordinate.

    Args:
        arm: its measures, with the dim `run`.
        *names: per-run fields that become dims.
    Example:
        >>> from dataclasses import dataclass
        >>> import assay
        >>> @dataclass(frozen=True, kw_only=True)
        ... class Sweep(assay.Spec):
        ...     lr: assay.PerRun[float] = 0.1
        ...     width: int = 8
        >>> runs = assay.Runs(assay.grid(Sweep(), lr=[0.1, 0.2], seed=[0, 1, 2]))
        >>> data = assay.measures(runs, loss=("run", [0, 1, 2, 3, 4, 5], "nats"))
        >>> assay.by(data, "lr").loss.sel(seed=2).values  # the loss of both rates
        array([2, 5])
    """
    order = ("seed", *[n for n in names if n != "seed"])
    for n in order:
        if n not in arm.coords or arm.coords[n].dims != ("run",):
            coords = ", ".join(str(k) for k, c in arm.coords.items() if c.dims == ("run",))
            raise ClaimError(f"{n!r} is not a coordinate of the runs; those are {coords}")
    levels = list(zip(*[arm.coords[n].values.tolist() for n in order], strict=True))
    if len(set(levels)) < len(levels):
        raise ClaimError(
            f"several runs share the same {', '.join(order)}; name the field that tells them apart"
        )
    if len(order) > 1:
        return _spread(arm, order)
    return arm.drop_vars(
        [k for k, c in arm.coords.items() if c.dims == ("run",) and k != "seed"]
    ).swap_dims(run="seed")


def only(arm: xr.Dataset, *names: str) -> xr.Dataset:
    """Take these measures of an arm, and whether its runs diverged where that was measured: what an
    arm that is derived of it answers for.

    Args:
        arm: its measures.
        *names: those to take.
    Example:
        >>> import xarray as xr
        >>> from assay.core.measures import only
        >>> arm = xr.Dataset({name: ("run", [0.5]) for name in ("loss", "l0", "diverged")})
        >>> list(only(arm, "loss"))
        ['loss', 'diverged']
    """
    return arm[[*names, *(["diverged"] if "diverged" in arm else [])]]


def instead(
    source: str, *names: str, **measured: str
) -> Callable[[Mapping[str, xr.Dataset]], xr.Dataset]:
    """Derive an arm from another's measures, some of them in the place of others; it answers for
    nothing that it does not name.

    Args:
        source: the arm.
        *names: measures that stay as they are.
        **measured: each other measure's replacement.
    Example:
        >>> import xarray as xr
        >>> from assay.core import instead
        >>> main = xr.Dataset({"part": ("run", [0.5]), "random_part": ("run", [0.25])})
        >>> derived = instead("main", part="random_part")({"main": main})
        >>> derived.part.values, list(derived)
        (array([0.25]), ['part'])
    """

    def derive(arms: Mapping[str, xr.Dataset]) -> xr.Dataset:
        data = arms[source]
        others = {name: data[other].rename(name) for name, other in measured.items()}
        return only(data.assign(others), *names, *measured)

    return derive


def _levels(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The levels of a coordinate, ascending, None first, and which of them each run has."""
    if values.dtype != object:
        return np.unique(values, return_inverse=True)
    levels = sorted(set(values.tolist()), key=lambda v: (v is not None, v))
    return np.array(levels, dtype=object), np.array([levels.index(v) for v in values.tolist()])


def _spread(arm: xr.Dataset, order: Sequence[str]) -> xr.Dataset:
    """The dim `run` as one dim for each of these coordinates, levels ascending: xarray's unstack,
    without an index of pandas."""
    coded = [_levels(arm.variables[n].values) for n in order]
    levels = {n: level for n, (level, _) in zip(order, coded, strict=True)}
    codes = tuple(code for _, code in coded)
    shape = tuple(len(level) for level in levels.values())
    complete = int(np.prod(shape)) == arm.sizes["run"]
    variables = {}
    for name in arm.data_vars:
        x = arm.variables[name]
        if "run" not in x.dims:
            variables[name] = x
            continue
        other_dims = [d for d in x.dims if d != "run"]
        values = x.transpose("run", *other_dims).values
        whole = complete or values.dtype.kind in "fc"
        dtype = values.dtype if whole else np.float64
        table = np.full((*shape, *values.shape[1:]), 0 if complete else np.nan, dtype)
        table[codes] = values
        variables[name] = xr.Variable((*order, *other_dims), table, x.attrs)
    shared_coords = {
        name: arm.variables[name] for name in arm.coords if "run" not in arm.variables[name].dims
    }
    return xr.Dataset(variables, coords={**shared_coords, **levels}, attrs=arm.attrs)
