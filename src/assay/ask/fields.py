"""Fields: what can be set in an experiment or a study, its arms, and the measures that claims can
use."""

from __future__ import annotations

import ast
import inspect
import itertools
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.ask import composing, sides
from assay.ask.part import Part
from assay.ask.sides import Side
from assay.ask.text import read
from assay.ask.wording import QUANTITIES, made_of
from assay.core import scopes, syntax
from assay.core.errors import AssayError, nearest
from assay.core.experiment import Experiment
from assay.core.heavy import xr
from assay.core.spec import Spec, ranges
from assay.dictionaries.measuring.measures import SUMS
from assay.lab import catalogue
from assay.lab.lab import Lab
from assay.lab.plan.preset import Preset
from assay.lab.records import records
from assay.lab.store.origin import STUDIES

Chosen = Callable[[], tuple[Experiment, Preset]]
"""Gives the experiment and the preset that are meant, if the name is not that of a study."""
FEW = 8
"""Levels and values are listed up to this many."""


@dataclass(frozen=True)
class Field:
    """A field of an experiment."""

    name: str
    default: str
    """Its value at the preset; of several the first."""
    may_be: str
    """Its bounds in words; "" if any value of its type is allowed."""
    meaning: str


@dataclass(frozen=True)
class Variant:
    """An arm of an experiment."""

    name: str
    note: str
    changes: Mapping[str, str]
    """Fields in which its runs differ from those of main, with their values."""
    made_of: tuple[str, ...]
    """For an arm that is not trained: the arms from whose measures it is computed; otherwise the
    arm that it builds on."""


@dataclass(frozen=True)
class Dimension:
    """A dimension of a measure besides runs."""

    name: str
    size: int | None
    """How many levels it has; null if unknown before a run."""
    levels: tuple[str, ...]
    """The first levels."""


@dataclass(frozen=True)
class Measure:
    """A number that runs give."""

    name: str
    words: str
    """A one-line description; "" if neither a study nor the table of measures has one."""
    unit: str
    low: float | None
    """The smallest possible value; null if there is none or it is unknown."""
    high: float | None
    better: str
    """Which way is better; "" if neither is."""
    measured: tuple[float, float] | None
    """The smallest and the largest value in the record or the store."""
    dimensions: tuple[Dimension, ...]
    arms: tuple[str, ...]


@dataclass(frozen=True)
class Fields:
    """What can be set in an experiment, or in those that a study borrows, and what is measured."""

    experiment: str
    measures: tuple[Measure, ...]
    fields: Mapping[str, tuple[Field, ...]]
    """By the name of the experiment."""
    arms: Mapping[str, tuple[Variant, ...]]
    """By the name of the experiment."""


def described(name: str, chosen: Chosen, lab: Lab) -> Fields:
    """List the arms of an experiment, its fields and its measures."""
    title, by_arm = measured(name, chosen, lab)
    if name.endswith(STUDIES):  # a study that asks a model has its tables
        borrowed = sides.sides(read(catalogue.entry(name).path))
        experiments = [(side.of, side.of.default) for side in borrowed]
    else:
        experiment, preset = chosen()
        experiments = [(experiment, preset.specs)]
    settable = {e.name: fields(specs) for e, specs in experiments}
    arms = {e.name: variants(e, specs) for e, specs in experiments}
    return Fields(title, merged(by_arm), settable, arms)


def of_arm(listing: Fields, arm: str) -> Fields:
    """Keep what one arm changes and measures. Raises: AssayError for an unknown arm."""
    measures = tuple(m for m in listing.measures if arm in m.arms)
    variants = {
        name: tuple(a for a in arms if a.name == arm) for name, arms in listing.arms.items()
    }
    names = {a for m in listing.measures for a in m.arms}
    names |= {a.name for arms in listing.arms.values() for a in arms}
    if arm not in names:
        raise AssayError(f"{listing.experiment} has no arm {arm!r}; {nearest(arm, sorted(names))}")
    return Fields(listing.experiment, measures, {}, variants)


def variants(experiment: Experiment, specs: Sequence[Any]) -> tuple[Variant, ...]:
    """List the arms of an experiment with what each changes at these specs."""
    changed = changes(experiment, tuple(specs))
    return tuple(
        Variant(
            str(name),
            str(arm.note),
            changed.get(name, {}),
            sides.read_by(experiment, name) if arm.derive else (arm.after,) if arm.after else (),
        )
        for name, arm in experiment.sized(tuple(specs)).arms.items()
    )


def fields(specs: Sequence[Spec]) -> tuple[Field, ...]:
    """List the fields of an experiment's specs, with their values in the first one and their
    docstrings."""
    first, texts = specs[0], meanings(type(specs[0]))
    return tuple(
        Field(name, str(getattr(first, name)), bounds, texts.get(name, ""))
        for name, bounds in ranges(type(first)).items()
    )


def meanings(cls: type) -> dict[str, str]:
    """The docstrings of the fields of a class and its bases."""
    meanings: dict[str, str] = {}
    for base_class in reversed(cls.__mro__):
        try:
            (body,) = syntax.module(textwrap.dedent(inspect.getsource(base_class))).body
        except (OSError, TypeError, SyntaxError, ValueError):
            continue
        parts: list[Any] = getattr(body, "body", [])
        for field, after in itertools.pairwise(parts):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
            ):
                meanings[ast.unparse(field.target)] = " ".join(str(after.value.value).split())
    return meanings


def measured(name: str, chosen: Chosen, lab: Lab) -> tuple[str, dict[str, list[Measure]]]:
    """Name the experiment, and list the measures of each arm, as far as a study, a record or the
    store has them, also for a study without claims."""
    by_arm: dict[str, list[Measure]] = {}
    if name.endswith(STUDIES):
        entry = catalogue.entry(name)
        recorded: dict[str, dict[str, list[Measure]]] = {}
        for arm, axes, whose in composing.measured(read(entry.path)):
            if isinstance(whose, Side):
                lender = whose.of
                if lender.name not in recorded:
                    of_lender = _recorded(lender.name, lender.origin)
                    recorded[lender.name] = of_lender | _derived(lender)
                arms = recorded[lender.name].items()
                by_arm[arm] = next(measures for a, measures in arms if whose.named(a) == arm)
            else:
                by_arm[arm] = [_described(name, levels, whose) for name, levels in axes.items()]
        return entry.name, by_arm
    experiment, preset = chosen()
    by_arm = _stored(lab, experiment, preset) or _recorded(experiment.name, experiment.origin)
    return experiment.name, by_arm | _derived(experiment)


def merged(by_arm: Mapping[str, Sequence[Measure]]) -> tuple[Measure, ...]:
    """List the measures of all arms with the quantities that can be computed from them; equal
    measures of several arms are listed once."""
    groups: dict[tuple[Any, ...], list[Measure]] = {}
    for arm, known_measures in by_arm.items():
        names = [m.name for m in known_measures]
        quantities = [_described(name, {}, None) for name in made_of(names)]
        for m in (*known_measures, *quantities):
            same = (m.name, m.words, m.unit, m.low, m.high, m.dimensions)
            groups.setdefault(same, []).append(_with(m, arms=(arm,)))
    return tuple(
        _with(
            group[0],
            arms=tuple(m.arms[0] for m in group),
            measured=_span([x for m in group for x in m.measured or ()]),
        )
        for group in groups.values()
    )


def _described(name: str, axes: Mapping[str, Sequence[Any]], whose: Any) -> Measure:
    """A measure of an arm of a model or a dictionary, before it is measured."""
    dims = tuple(_dimension(dim, levels) for dim, levels in axes.items())
    if isinstance(whose, Part):
        words, unit, better = whose.task.about(name)
        low, high = whose.task.range_of(name)
        return Measure(name, words, unit, low, high, better, None, dims, ())
    return _tabled(name, SUMS.get(name, ""), dims, None)


def _tabled(
    name: str, unit: str, dims: tuple[Dimension, ...], measured: tuple[float, float] | None
) -> Measure:
    """A measure described by the table of quantities."""
    if name not in QUANTITIES:
        summed = name in SUMS and "document" in (d.name for d in dims)
        words = "sum over a document's tokens" if summed else ""
        return Measure(name, words, unit, None, None, "", measured, dims, ())
    m = QUANTITIES[name]
    low, high = (x if math.isfinite(x) else None for x in (m.low, m.high))
    better = "" if m.better == "neither" else m.better
    words = f"{m.label}: {m.formula}"
    return Measure(name, words, unit or m.unit, low, high, better, measured, dims, ())


def _recorded(name: str, origin: str) -> dict[str, list[Measure]]:
    """The measures of each arm in the committed record of an experiment."""
    by_arm = {}
    for arm, data in (records.read(name, origin) or {}).get("arms", {}).items():
        coords, variables = data["measures"]["coords"], data["measures"]["variables"]
        by_arm[arm] = [
            _tabled(m, v["unit"], _dimensions(v["dims"], v["values"].shape, coords), _range(v))
            for m, v in variables.items()
        ]
    return by_arm


def _stored(lab: Lab, experiment: Experiment, preset: Preset) -> dict[str, list[Measure]]:
    """The measures of each arm in its first stored run."""
    by_arm: dict[str, list[Measure]] = {}
    for row in lab.plan(experiment, preset).cached:
        if row.stored is None or row.job.arm in by_arm:
            continue
        by_arm[row.job.arm] = _of_data(row.stored.measures())
    return by_arm


def _derived(experiment: Experiment) -> dict[str, list[Measure]]:
    """The measures of each derived arm, computed from the recorded ones."""
    return {arm: _of_data(data) for arm, data in sides.derived(experiment).items()}


def _of_data(data: xr.Dataset) -> list[Measure]:
    coords = {str(k): c.values.tolist() for k, c in data.coords.items() if c.ndim == 1}
    return [
        _tabled(
            str(m),
            v.attrs.get("units", "1"),
            _dimensions([str(d) for d in v.dims], v.shape, coords),
            _range({"values": v.values}),
        )
        for m, v in data.data_vars.items()
    ]


def _dimensions(
    dims: Sequence[str], shape: Sequence[int], coords: Mapping[str, Sequence[Any]]
) -> tuple[Dimension, ...]:
    return tuple(
        _dimension(d, coords[d]) if d in coords else Dimension(d, int(n), ())
        for d, n in zip(dims, shape, strict=True)
        if d != "run"
    )


def _dimension(name: str, levels: Sequence[Any]) -> Dimension:
    return Dimension(name, len(levels) or None, tuple(str(level) for level in levels[:FEW]))


def _range(variable: Mapping[str, Any]) -> tuple[float, float] | None:
    return _span(np.asarray(variable["values"], float).ravel().tolist())


def _span(values: Sequence[float]) -> tuple[float, float] | None:
    finite = [x for x in values if math.isfinite(x)]
    return (min(finite), max(finite)) if finite else None


def _with(measure: Measure, **changes: Any) -> Measure:
    return Measure(**{**vars(measure), **changes})


SHOWN = 3
"""Values of a field are listed up to this many; of more, the ends."""


def changes(experiment: Experiment, specs: tuple[Any, ...]) -> dict[str, dict[str, str]]:
    """Give for each trained arm the fields in which its runs differ from those of main, with their
    values in words."""
    main = experiment.specs_of("main", specs)
    return {
        name: {
            field: written(values)
            for field, values in scopes.changes(experiment.specs_of(name, specs), main).items()
        }
        for name, arm in experiment.arms.items()
        if arm.train is not None
    }


def written(values: tuple[Any, ...]) -> str:
    """Write the values of a field; of many numbers, the ends."""
    if len(values) > SHOWN and all(isinstance(v, int | float) for v in values):
        return f"{min(values)} to {max(values)}"
    return ", ".join(map(str, values[:SHOWN])) + " …" * (len(values) > SHOWN)
