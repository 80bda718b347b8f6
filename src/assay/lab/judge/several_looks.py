"""Several looks: what older versions froze with looks on the way is judged as it was then: each
claim by the first look that settled it, on the seeds and at the level of that look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from assay.core.experiment import Experiment
from assay.core.heavy import xr
from assay.core.judging import Scope
from assay.core.results import Judged
from assay.core.spec import Spec
from assay.lab.judge.result import judge_statements, with_derived
from assay.lab.plan.preset import Preset
from assay.lab.store.journal import seeds_of


def settled(
    experiment: Experiment,
    preset: Preset,
    looks: Sequence[Mapping[str, Any]],
    arms: Mapping[str, xr.Dataset],
    specs: Mapping[str, Sequence[Spec]],
    scope: Scope,
) -> dict[str, Judged]:
    """Judge claims at the looks before the last one; gives those that they settle, by text.

    Args:
        looks: as they were frozen, the last one on all seeds.
        arms: the measures of trained arms.
        specs: those of their runs, in the same order.
        scope: for what verdicts speak.
    """
    judged: dict[str, Judged] = {}
    for level, part in at_looks(experiment, preset, looks[:-1], arms, specs):
        measured = with_derived(experiment, part)
        statements = judge_statements(experiment.claims, measured, scope=scope, level=level)
        for j in statements.judged:
            if j.outcome != "undecided":
                judged.setdefault(j.text, j)
    return judged


def at_looks(
    experiment: Experiment,
    preset: Preset,
    looks: Sequence[Mapping[str, Any]],
    arms: Mapping[str, xr.Dataset],
    specs: Mapping[str, Sequence[Spec]],
) -> Iterator[tuple[float, dict[str, xr.Dataset]]]:
    """Give the level of each look, and the trained arms with the runs that it looked at."""
    for look in looks:
        early = preset.of_seeds(seeds_of(look["seeds"])).specs
        chosen = {arm: set(experiment.specs_of(arm, early)) for arm in arms}
        yield (
            float(look["level"]),
            {
                arm: data.isel(run=[spec in chosen[arm] for spec in specs[arm]])
                for arm, data in arms.items()
            },
        )


def applied(judged: Sequence[Judged], earlier: Mapping[str, Judged]) -> tuple[Judged, ...]:
    """Put claims that an earlier look settled in the place of those that the last one judged."""
    return tuple(earlier.get(j.text, j) for j in judged)
