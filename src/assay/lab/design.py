"""Design: the largest part of what a preset asks for that fits into a time, chosen before anything
runs and written down.

First fewer seeds, never fewer than claims need. If the fewest do not fit, values of swept fields go
that no claim asks for, then arms that no claim names or reads; a control never does. What is stored
costs nothing. The same figures give the same choice, and a command that was interrupted goes on
with the one that it began. What fits is told by the middle of the planned time, as a budget is.

    <root>/within/<experiment>/<16hex>.json    what was chosen, for a preset and a number of seconds
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from assay.core.claims import Claim, Estimate, claims_key
from assay.core.compute import Range
from assay.core.errors import AssayError, ExperimentError, StoreError
from assay.core.experiment import Experiment
from assay.core.heavy import xr
from assay.core.judging import FEWEST
from assay.core.reading import Others
from assay.core.spec import canonical_json, per_run_fields
from assay.lab import provenance
from assay.lab.atomic import explained, write
from assay.lab.forecast import Forecast, Prospect, forecast, measured
from assay.lab.plan import Plan, plan
from assay.lab.preset import Preset, apply_preset, override
from assay.lab.sealed import seal, unseal
from assay.lab.store import Store


@dataclass(frozen=True)
class Design:
    """What is to run, and what was given up for it."""

    preset: Preset
    whole: Forecast
    """Of what was asked for."""
    chosen: Forecast
    seeds: int
    of_seeds: int
    needed: int
    """The fewest seeds with which claims are as decided as with all of them, as far as that is
    known."""
    values: Mapping[str, tuple[Any, ...]]
    """Values of swept fields that were left out."""
    arms: tuple[str, ...]
    """Arms that were left out."""
    since: str = ""
    """When an earlier command chose it, in ISO 8601; "" where this one does."""

    @property
    def everything(self) -> bool:
        """Whether nothing was given up."""
        return self.preset.specs == self.whole.plan.preset.specs and not self.arms


def design(
    store: Store, experiment: Experiment, preset: Preset, seconds: float, text: str, workers: int
) -> Design:
    """Choose what to run within so many seconds by the clock, and write that down; or find what an
    earlier command chose.

    Raises: ExperimentError, one line, where nothing fits, with the least time; where nothing is
    known of how long a run takes."""
    file = (
        store.root
        / "within"
        / experiment.name
        / f"{_hash_question(experiment, preset, seconds)}.json"
    )
    try:
        choice = unseal(file)
    except StoreError:
        choice = {}
    if choice:
        before = replace(
            _with(experiment, preset, choice["sets"]), within=text if choice["sets"] else ""
        )
        return _make_design(
            store, experiment, preset, before, workers, choice["needed"], choice["when"]
        )
    new_design = _chosen(store, experiment, preset, seconds, text, workers)
    store.prepare()
    with explained(store.root):
        file.parent.mkdir(parents=True, exist_ok=True)
        sets = [s for s in new_design.preset.sets if s not in preset.sets]
        choice = {
            "preset": preset.title,
            "chosen": new_design.preset.title,
            "within": text,
            "seconds": seconds,
            "sets": sets,
            "needed": new_design.needed,
        }
        write(file, seal({**choice, "when": provenance.timestamp()}))
    return new_design


def noted(store: Store, current_plan: Plan) -> Plan:
    """The plan with a preset that says which time it was chosen to fit, where the store knows that
    somebody chose it."""
    for file in sorted((store.root / "within" / current_plan.experiment).glob("*.json")):
        try:
            choice = unseal(file)
        except StoreError:
            continue
        if choice["sets"] and choice["chosen"] == current_plan.preset.title:
            return replace(
                current_plan, preset=replace(current_plan.preset, within=choice["within"])
            )
    return current_plan


def forget(store: Store, experiment: str) -> None:
    """Delete what was chosen for an experiment."""
    if (folder := store.root / "within" / experiment).exists():
        store.remove(folder)


def _hash_question(experiment: Experiment, preset: Preset, seconds: float) -> str:
    """16 hex digits of what is asked: other specs, claims or arms are another question."""
    question = [
        experiment.version,
        preset.name,
        list(preset.sets),
        list(experiment.arms),
        [s.to_json() for s in preset.specs],
        seconds,
    ]
    return hashlib.sha256(
        canonical_json([question, claims_key(experiment.claims)]).encode()
    ).hexdigest()[:16]


def _with(experiment: Experiment, preset: Preset, sets: Iterable[str]) -> Preset:
    return override(experiment, preset.name, (*preset.sets, *sets))


def _forecast(
    store: Store, experiment: Experiment, preset: Preset, workers: int, claims: bool = False
) -> Forecast:
    return forecast(plan(store, experiment, preset, workers), experiment, workers, claims=claims)


def _make_design(
    store: Store,
    experiment: Experiment,
    preset: Preset,
    chosen: Preset,
    workers: int,
    needed: int,
    since: str = "",
) -> Design:
    """The design of a chosen preset, beside what was asked for."""
    specs: Sequence[Any] = preset.specs
    values = {}
    for field in _swept(specs):
        remaining = {getattr(s, field) for s in chosen.specs}
        if gone := tuple(
            v for v in dict.fromkeys(getattr(s, field) for s in specs) if v not in remaining
        ):
            values[field] = gone
    seeds, of_seeds = (len({s.seed for s in some.specs}) for some in (chosen, preset))
    whole = _forecast(store, experiment, preset, workers, claims=True)
    part = _forecast(store, experiment, chosen, workers, claims=True)
    return Design(
        chosen,
        whole,
        part,
        seeds,
        of_seeds,
        needed,
        values,
        tuple(a for a in chosen.without if a not in preset.without),
        since,
    )


def _chosen(
    store: Store, experiment: Experiment, preset: Preset, seconds: float, text: str, workers: int
) -> Design:
    whole = _forecast(store, experiment, preset, workers, claims=True)
    if whole.plan.missing and whole.command is None:
        raise ExperimentError(
            f"how long a run of {experiment.name} takes is unknown here, so nothing can be chosen "
            f"to fit {text}; "
            "one seed would tell, which is none of those judged: assay run "
            f"{experiment.typed}{preset.but('seed=0').options}"
        )
    seeds = sorted({s.seed for s in preset.specs})
    needed = _needed(experiment, whole.claims, len(seeds))

    def some(count: int, sets: Sequence[str]) -> Preset | None:
        """The preset with the first seeds alone, where that leaves a part of what it had."""
        try:
            chosen = _with(
                experiment,
                preset,
                (*sets, *([] if count == len(seeds) else [f"seed={_spelled(seeds[:count])}"])),
            )
        except AssayError:  # an arm that takes seeds by the dozen, say
            return None
        return replace(chosen, within=text) if set(chosen.specs) <= set(preset.specs) else None

    def takes(chosen: Preset) -> Range:
        prediction = _forecast(store, experiment, chosen, workers)
        if not prediction.plan.missing:
            return Range(0, 0)
        return (
            prediction.command[0]
            if prediction.command is not None
            else whole.command[0]
            if whole.command is not None
            else Range(0, 0)
        )

    sets: list[str] = []
    least = takes(preset)
    if least.middle <= seconds:
        return _make_design(
            store, experiment, preset, preset, workers, needed
        )  # all of it: nothing is changed, and nothing needs a name
    for more in ([], *_left_out(store, experiment, preset, workers)):
        sets += more
        fewest = some(needed, sets)
        if fewest is None:
            continue
        least = min(least, takes(fewest), key=lambda r: r.middle)
        if least.middle > seconds:
            continue
        low, high, best = needed, len(seeds), fewest
        while low < high:  # more seeds take longer
            middle = (low + high + 1) // 2
            candidate = some(middle, sets)
            if candidate is not None and takes(candidate).middle <= seconds:
                low, best = middle, candidate
            else:
                high = middle - 1
        return _make_design(store, experiment, preset, best, workers, needed)
    count = (
        f"with {needed} seeds, which its claims need"
        if needed < len(seeds)
        else "as it is, since its claims need all of its seeds"
    )
    raise ExperimentError(
        f"{experiment.name} does not fit into {text}: {count}, it takes about "
        f"{math.ceil(least.middle)} s; nothing was run"
    )


def _needed(experiment: Experiment, claims: Sequence[Prospect], seeds: int) -> int:
    """The fewest seeds that claims need: enough for a verdict at all, and for those expected to be
    decided by all of them, to decide them.

    All of them where seeds are no unit of a claim: it may speak of the best of several, and with
    fewer it would be another quantity."""
    if not all("seed" in c.units for c in experiment.claims if isinstance(c, Claim)):
        return seeds
    need = [FEWEST]
    for p in claims:
        if p.fewest and p.units and p.factor == "seed" and p.expected in ("holds", "fails"):
            need.append(
                math.ceil(p.fewest * seeds / p.units)
            )  # seeds in proportion: a claim may count only some of them
    return min(seeds, max(need))


def _left_out(
    store: Store, experiment: Experiment, preset: Preset, workers: int
) -> list[list[str]]:
    """What goes in turn, as `--set` takes it: values of swept fields that no claim asks for, then
    arms that no claim names or reads."""
    options = [
        [f"{field}={','.join(map(str, values))}"]
        for field, values in _asked_values(experiment, preset).items()
    ]
    if arms := _unasked(store, experiment, preset, workers):
        options.append([f"without={arm}" for arm in arms])
    return options


def _swept(specs: Sequence[Any]) -> list[str]:
    return [
        f
        for f in per_run_fields(type(specs[0]))
        if f != "seed" and len({getattr(s, f) for s in specs}) > 1
    ]


def _asked_values(experiment: Experiment, preset: Preset) -> dict[str, tuple[Any, ...]]:
    """The values of each swept field that claims ask for, where every claim says which and leaving
    out others changes nothing that it reads."""
    claims = _asking(apply_preset(experiment, preset))
    specs: Sequence[Any] = preset.specs
    values_by_field = {}
    for field in _swept(specs):
        values = tuple(
            v
            for v in dict.fromkeys(getattr(s, field) for s in specs)
            if any(c.where.get(field) == v for c in claims)
        )
        if (
            not claims
            or not all(field in c.where for c in claims)
            or not all(isinstance(v, bool | int | float | str) for v in values)
        ):
            continue
        less = tuple(s for s in specs if getattr(s, field) in values)
        pairs = {(arm, c) for c in claims if isinstance(c, Claim) for arm in c.named}
        if less and all(
            _select_runs(experiment, arm, c, less) == _select_runs(experiment, arm, c, preset.specs)
            for arm, c in pairs
        ):
            values_by_field[field] = values
    return values_by_field


def _asking(experiment: Experiment) -> list[Claim | Estimate]:
    """What runs are for: the claims, the estimates in words, and the curves; other estimates take
    what is there."""
    return [
        s
        for s in experiment.claims
        if isinstance(s, Claim) or (isinstance(s, Estimate) and (s.condition or s.over))
    ]


def _select_runs(experiment: Experiment, arm: str, claim: Claim, specs: Any) -> set[Any]:
    """The runs of an arm that a claim reads, of those it has at these specs."""
    if experiment.arms[arm].train is None:
        return set()
    return {
        s
        for s in experiment.specs_of(arm, specs)
        if all(getattr(s, k, v) == v for k, v in claim.where.items())
    }


def _unasked(store: Store, experiment: Experiment, preset: Preset, workers: int) -> list[str]:
    """Arms that no claim names, and none reads, as recorded or stored measures show; where nothing
    is measured, none."""
    experiment = apply_preset(experiment, preset)
    arms = measured(plan(store, experiment, preset, workers), experiment)
    if not arms:
        return []
    needed = {"main"}
    try:
        for s in _asking(experiment):
            if isinstance(s, Estimate):
                arm_reader = Others(arms, where=s.where)
                s.value(arm_reader)
                needed |= arm_reader.read
            else:
                for arm in s.named:
                    needed |= {arm} | _read(s, arm, arms)
        waiting = list(needed)
        while waiting:  # what a derived arm is made of, and what an arm builds on
            needed_arm = experiment.arms[waiting.pop()]
            more = ({needed_arm.after} if needed_arm.after else set()) | (
                _made_of(needed_arm.derive, experiment, arms) if needed_arm.derive else set()
            )
            waiting += more - needed
            needed |= more
    except (
        Exception
    ):  # an experiment's own code, on measures of other fields: then nobody can tell what it reads
        return []
    return [name for name in experiment.arms if name not in needed]


def _read(claim: Claim, arm: str, arms: Mapping[str, xr.Dataset]) -> set[str]:
    other_arms = Others(arms, where=claim.where)
    claim.value(other_arms.take(arm), other_arms)
    return other_arms.read


def _made_of(derive: Any, experiment: Experiment, arms: Mapping[str, xr.Dataset]) -> set[str]:
    other_arms = Others(
        {name: data for name, data in arms.items() if experiment.arms[name].train is not None}
    )
    derive(other_arms)
    return other_arms.read


def _spelled(seeds: Sequence[int]) -> str:
    """Seeds as `--set` takes them."""
    first, last = seeds[0], seeds[-1]
    return (
        f"{first}:{last + 1}"
        if list(seeds) == list(range(first, last + 1)) and first >= 0
        else ",".join(map(str, seeds))
    )
