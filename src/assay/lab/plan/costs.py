"""Costs: the CPU-seconds that a run of each arm takes, from the experiment, its record or runs that
are stored.

A known time is scaled by the ratio of steps. Of other fields that all runs of an arm share, larger
ones count the middle between no effect and one in proportion, so that the result is off by a factor
of at most 2; where fields are too different nothing is known."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from assay.core.experiment import Experiment
from assay.core.runs import Runs
from assay.core.spec import Spec, canonical_json, per_run_fields
from assay.lab.plan.preset import Preset
from assay.lab.records import records
from assay.lab.store.runs import Stored

LARGER = 4.0
"""By which factor fields may be larger than known ones, taken together, for times to be known: the
middle between no effect and one in proportion is then off by at most 2."""
MEASURING = 0.05
"""The share of a run's recorded cost that no number of steps changes: measuring, for one."""
LONGER = 20.0
"""By which factor runs may be longer than stored ones that tell what they take: a run of very few
steps shows what starting costs, not what a step costs."""


class Costs(NamedTuple):
    """CPU-seconds of a run by arm, where they are known."""

    per_run: Mapping[str, float]
    source: str
    """Where they are known from: the experiment, the record, runs of this store, or unknown."""
    scaled: bool
    """Whether they are of runs with other steps or fields."""


def stated(experiment: Experiment, preset: Preset) -> Costs | None:
    """Return what an experiment says of its costs, for which it may look at its model; None where
    it does not say it of every arm."""
    arms = _arms(experiment, preset)
    if experiment.cost is None:
        return None
    seconds = {n: experiment.cost(Runs(specs)).cpu_seconds for n, specs in arms.items()}
    if None in seconds.values():
        return None
    per_run = {n: (s or 0.0) / len(arms[n]) for n, s in seconds.items()}
    return Costs(per_run, "the experiment", False)


def known(
    experiment: Experiment,
    preset: Preset,
    recorded: Mapping[str, float],
    stored: Sequence[Stored],
    cached: Sequence[Stored],
) -> Costs:
    """Return what records and stored runs say of the costs.

    Args:
        experiment: whose runs they are.
        preset: what is to be run.
        recorded: CPU-seconds of a run by arm, as the preset's record has them.
        stored: all stored runs of the experiment.
        cached: those that the preset uses.
    """
    arms = _arms(experiment, preset)
    if preset.title in ("default", *experiment.elsewhere) and arms.keys() <= recorded.keys():
        return Costs(_here(recorded, cached), "the record", False)
    # a wheel has no specs and measures of presets that ask elsewhere
    readable = recorded and records.carried(
        records.name_of(experiment, preset.name), experiment.origin
    )
    record = (records.load_record(experiment, preset.name) if readable else None) or {}
    by_record, by_store = (
        {n: cost for n, specs in arms.items() if (cost := find(n, specs[0])) is not None}
        for find in (partial(_recorded, record), partial(_stored, stored))
    )
    # Runs that are alike say more than others.
    found = by_store | {
        n: c for n, c in by_record.items() if c.alike or not by_store.get(n, c).alike
    }
    seconds = {n: c.seconds for n, c in found.items()}
    seconds |= _here({n: s for n, s in seconds.items() if found[n] is by_record.get(n)}, cached)
    if expected := {n: s for n, s in experiment.expected.items() if n in arms and n not in found}:
        source = "records of its experiments scaled by steps, passes of models by size"
        return Costs(seconds | expected, source, True)
    source = "the record" if by_record else "runs of this store" if found else "unknown"
    scaled = not all(c.alike for c in found.values())
    return Costs(seconds, f"{source}, scaled by steps" if scaled else source, scaled)


def _arms(experiment: Experiment, preset: Preset) -> dict[str, tuple[Any, ...]]:
    """The specs of each trained arm that has some."""
    trained = [n for n, a in experiment.arms.items() if a.train is not None]
    return {n: specs for n in trained if (specs := experiment.specs_of(n, preset.specs))}


def _here(recorded: Mapping[str, float], cached: Sequence[Stored]) -> dict[str, float]:
    """What is recorded of a run of each arm, times one ratio: what the stored runs of this plan
    took, over what is recorded of them."""
    spent = [
        (float(run.provenance.get("cpu_seconds", 0.0)), recorded[run.arm])
        for run in cached
        if run.arm in recorded
    ]
    took, expected = (sum(column) for column in zip(*spent, strict=True)) if spent else (0.0, 0.0)
    ratio = took / expected if took and expected else 1.0
    return {arm: seconds * ratio for arm, seconds in recorded.items()}


class _RunCost(NamedTuple):
    """CPU-seconds of a run, and whether they are of runs alike."""

    seconds: float
    alike: bool


def _recorded(record: Mapping[str, Any], arm: str, spec: Spec) -> _RunCost | None:
    """What one run of this spec takes by the record; None where it does not say it."""
    held, cost = record.get("arms", {}).get(arm), record.get("cost", {}).get(arm)
    if held is None or cost is None:
        return None
    first = held["specs"][0]
    ratio = over(spec, {**held["shared"], **first}, first)
    if ratio is None:
        return None
    seconds = float(cost) * (MEASURING + (1 - MEASURING) * ratio.longer)
    return _RunCost(seconds, ratio.alike and ratio.longer == 1)


def _stored(runs: Sequence[Stored], arm: str, spec: Spec) -> _RunCost | None:
    """What one run of this spec takes by stored runs of this arm; None where they tell nothing.

    The median of those nearest to it, in fields first and then in steps: the first group also pays
    for what all share."""
    spent: dict[Ratio, list[float]] = {}
    ignored = {*per_run_fields(type(spec))} - {"steps"}
    counted = [(name, Any, None) for name in json.loads(spec.to_json()) if name not in ignored]
    read = msgspec.json.Decoder(msgspec.defstruct("Counted", counted)).decode
    ratios: dict[bytes, Ratio | None] = {}  # thousands of runs differ in nothing that counts
    for stored in (s for s in runs if s.arm == arm):
        if (text := msgspec.json.encode(read(stored.spec_json))) not in ratios:
            ratios[text] = over(spec, msgspec.json.decode(text))
        ratio = ratios[text]
        cpu = float(stored.provenance.get("cpu_seconds", 0.0))
        if ratio is not None and ratio.longer <= LONGER and cpu:
            spent.setdefault(ratio, []).append(cpu)
    if not spent:
        return None
    nearest = min(spent, key=lambda r: (not r.alike, abs(1 - r.longer)))
    seconds = statistics.median(spent[nearest]) * (nearest.longer or 1.0)
    return _RunCost(seconds, nearest.alike and nearest.longer == 1)


class Ratio(NamedTuple):
    """How runs of one spec compare with those of another in what they take."""

    longer: float
    """By which factor they take longer."""
    alike: bool
    """Whether they are alike but for steps and what differs from run to run."""


def over(spec: Spec, known: Mapping[str, Any], ignored_fields: Iterable[str] = ()) -> Ratio | None:
    """Compare this spec with another by their steps, and by other fields that all runs of an arm
    share: larger ones count the middle between nothing and their ratio, smaller ones and flags
    nothing.

    None where fields are many times larger, or differ in kind. Ignored fields may differ from run
    to run."""
    fields: dict[str, Any] = json.loads(spec.to_json())
    per_run = {*ignored_fields, *per_run_fields(type(spec)), "steps"}
    other = [
        (fields[k], known.get(k))
        for k in fields
        if k not in per_run and canonical_json(fields[k]) != canonical_json(known.get(k))
    ]
    steps, before = float(fields.get("steps") or 0), float(known.get("steps") or 0)
    growth = math.prod(_growth(*pair) for pair in other)
    if growth > LARGER or (steps != before and not before):
        return None
    return Ratio((1.0 if steps == before else steps / before) * math.sqrt(growth), not other)


def _growth(value: Any, reference: Any) -> float:
    """By which factor a number, or the length of a list, is larger than another; 1 where it is
    smaller and for a flag, infinite where that cannot be known."""
    if isinstance(value, list) and isinstance(reference, list):
        value, reference = len(value), len(reference)
    if not all(isinstance(x, int | float) for x in (value, reference)):
        return math.inf
    if isinstance(value, bool) or isinstance(reference, bool):
        return 1.0 if type(value) is type(reference) else math.inf
    return 1.0 if value <= reference else value / reference if reference > 0 else math.inf
