"""Packing: which runs of a study are trained as one ensemble, so that many small runs cost
arithmetic and not overhead.

An experiment's groups are sized for its own presets. A study sets fields, so that a run may be a
hundred times as cheap, and names arms side by side that differ in fields which runs of one ensemble
may differ in. What is decided here depends on the study and on what is recorded of its experiments,
never on the machine, and runs do not influence each other: their numbers are those of runs alone.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from assay.core.bench import Bench
from assay.core.compute import amount
from assay.core.errors import AssayError
from assay.core.experiment import Arm, Experiment, Joint
from assay.core.fit import Trained
from assay.core.runs import Runs
from assay.core.spec import Spec, static_fields
from assay.lab import records
from assay.lab.plan import over
from assay.lab.tensors import rows

WORTH = 2.0
"""CPU-seconds that a group of small runs is to take, by the record: many times what a group costs
beside its runs."""
MOST = 128
"""Runs of one arm in a group that is made larger than the experiment's own: what they hold at once
stays small."""

Specs = Sequence[Any]


def times(experiment: Experiment, study_specs: Specs, recorded_specs: Specs) -> float | None:
    """What a run of an arm costs with these specs, in units of what it costs with others; None
    where nothing tells.

    By their steps where all other fields are the same or smaller; where one is larger by FLOP, if
    the experiment states them."""
    step_ratio = over(study_specs[0], json.loads(recorded_specs[0].to_json()))
    if step_ratio is not None:
        return step_ratio[0]
    flop = [_flop(experiment, specs) for specs in (study_specs, recorded_specs)]
    return None if None in flop or not flop[1] else (flop[0] or 0.0) / flop[1]


def seeds_per_group(experiment: Experiment, preset: str, arms: Sequence[str], specs: Specs) -> int:
    """How many seeds of a study are trained as one ensemble, at these specs of an experiment that
    it borrows arms of.

    As many as the experiment takes itself, unless a run of no arm is larger than it is there: then
    as many as make as many runs in a group; or, where they are small by the record, as take WORTH
    CPU-seconds, if these are at most MOST runs of an arm."""
    recorded = records.cost_per_run(experiment, preset)
    group_sizes = []
    for arm in (name for name in arms if experiment.arms[name].train is not None):
        recorded_specs, study_specs = (
            experiment.specs_of(arm, experiment.preset(preset)),
            experiment.specs_of(arm, tuple(specs)),
        )
        if not recorded_specs or not study_specs:
            continue
        ratio = times(experiment, study_specs, recorded_specs)
        if ratio is None or not _no_larger(experiment, study_specs, recorded_specs):
            return experiment.seeds_per_group
        a_seed = len(study_specs) / len({s.seed for s in study_specs})
        matching_seeds = int(
            experiment.seeds_per_group
            * (len(recorded_specs) / len({s.seed for s in recorded_specs}))
            / a_seed
        )
        cost = recorded.get(arm, 0.0) * ratio
        worth = int(min(MOST, WORTH / cost) / a_seed) if cost else 0
        group_sizes.append(max(experiment.seeds_per_group, matching_seeds, worth))
    return min(group_sizes, default=experiment.seeds_per_group)


def _no_larger(experiment: Experiment, study_specs: Specs, recorded_specs: Specs) -> bool:
    """Whether a run with these specs is no larger than one with others: by its fields, else by the
    FLOP of a step."""
    if over(study_specs[0], json.loads(recorded_specs[0].to_json())) is not None:
        return True
    study_flop, other = (
        ((_flop(experiment, specs) or math.inf) / float(getattr(specs[0], "steps", 1) or 1))
        for specs in (study_specs, recorded_specs)
    )
    return study_flop <= other < math.inf


def together(arms: Mapping[str, Arm], specs: Specs) -> dict[str, Arm]:
    """The arms of a study, those trained as one ensemble that the same function trains and whose
    runs share every static field."""
    groups: dict[Any, list[str]] = {}
    for name, arm in arms.items():
        if arm.train is None or isinstance(arm.train, Joint) or arm.after is not None:
            continue
        if arm_specs := arm.specs(tuple(specs)) if arm.specs is not None else tuple(specs):
            groups.setdefault((arm.train, *_shared(arm_specs[0])), []).append(name)
    grouped_arms = dict(arms)
    for (train, *_), names in groups.items():
        if len(names) > 1:
            joint = Joint(_as_one(train))
            grouped_arms |= {name: replace(arms[name], train=joint) for name in names}
    return grouped_arms


def _as_one(
    train: Callable[[Runs[Any], Bench], Trained],
) -> Callable[[Sequence[Runs[Any]], Bench], list[Trained]]:
    """A training of several arms that puts those into one ensemble whose runs share every static
    field."""

    @functools.wraps(train)  # so that an edit of it is seen
    def trained(arm_runs: Sequence[Runs[Any]], bench: Bench) -> list[Trained]:
        groups: dict[Any, list[int]] = {}
        for i, runs in enumerate(arm_runs):
            groups.setdefault(_shared(runs.specs[0]), []).append(i)
        trained_by_index: dict[int, Trained] = {}
        for members in groups.values():
            whole, first = train(Runs([s for i in members for s in arm_runs[i].specs]), bench), 0
            for i in members:
                trained_by_index[i] = rows(whole, range(first, first + len(arm_runs[i])))
                first += len(arm_runs[i])
        return [trained_by_index[i] for i in range(len(arm_runs))]

    return trained


def _shared(spec: Spec) -> tuple[Any, ...]:
    """What runs of one ensemble have in common."""
    return type(spec), *(getattr(spec, name) for name in static_fields(type(spec)))


def _flop(experiment: Experiment, specs: Specs) -> float | None:
    """FLOP of a run; None where the experiment states none, or needs a model for it that is not
    here."""
    try:
        stated = experiment.cost(Runs(tuple(specs))).flop if experiment.cost is not None else None
    except AssayError:
        return None
    return amount(stated, "FLOP").middle / len(specs) if stated is not None else None
