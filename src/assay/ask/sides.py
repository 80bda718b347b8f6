"""Sides: the experiments that a study borrows, each with one choice of fields. `sides` reads them
and chooses the arms that run; `arms_of` gives the arms under the study's names; `measured`,
`derived` and `expected` use the experiments' records."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from assay.ask.text import Part, Plain, Text, frozen_arms
from assay.ask.wording import condition
from assay.core.columns import Axes
from assay.core.errors import AssayError, ExperimentError, HeldError, nearest
from assay.core.experiment import Arm, Derive, Experiment, Joint
from assay.core.heavy import xr
from assay.core.reading import LazyArms, Others
from assay.core.scopes import listed
from assay.core.spec import Spec, per_run_fields
from assay.lab import catalogue
from assay.lab.judge.recording import arms as recorded
from assay.lab.plan.plan import GROUP, alone, over
from assay.lab.plan.preset import spelled, unspoken
from assay.lab.records import records
from assay.lab.store.origin import STUDIES, in_file


@dataclass(frozen=True)
class Side:
    """One experiment with one choice of fields, whose arms are compared with those of others."""

    label: str
    """The prefix of the names of its arms; "" for the first side."""
    of: Experiment
    part: Part
    fields: Mapping[str, Plain | tuple[Plain, ...]]
    """Fields that all of its runs share."""
    varied: Mapping[str, tuple[Plain, ...]]
    """Fields in which its runs differ."""
    arms: tuple[str, ...]
    needed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Arms that the study does not list, each with the reason why it runs."""
    _made: dict[tuple[str, tuple[int, ...]], tuple[Spec, ...]] = dataclasses.field(
        default_factory=dict, compare=False, repr=False
    )

    def named(self, arm: str) -> str:
        """The name of an arm in the study."""
        return f"{self.label}/{arm}" if self.label else str(arm)

    def specs(self, preset: str, seeds: Sequence[int]) -> tuple[Spec, ...]:
        """Its specs at a preset with these seeds, or with the preset's own. Raises: SpecError."""
        key = preset, tuple(seeds)
        if key not in self._made:  # every arm of every side asks again, of hundreds of specs
            self._made[key] = self._specs(*key)
        return self._made[key]

    def _specs(self, preset: str, seeds: tuple[int, ...]) -> tuple[Spec, ...]:
        specs: tuple[Any, ...] = tuple(
            dict.fromkeys(s.replace(**self.fields) for s in self.of.preset(preset))
        )
        varied = {**self.varied, **({"seed": seeds} if seeds and "seed" not in self.varied else {})}
        for name, values in varied.items():
            # specs that differ only in this field become one
            bases = dict.fromkeys(s.replace(**{name: values[0]}) for s in specs)
            specs = tuple(dict.fromkeys(s.replace(**{name: v}) for s in bases for v in values))
        return specs

    def base(self, preset: str, *, first: bool) -> str:
        """The preset of its experiment for a preset of the study."""
        return preset if preset == "smoke" or (first and preset != "default") else self.part.preset

    @property
    def description(self) -> str:
        """Its fields in words, such as "gated-sae, width 256"."""
        fields = {**self.fields, **self.varied}
        phrases = (
            f"{name} {', '.join(map(str, v)) if isinstance(v, tuple) else v}"
            for name, v in fields.items()
        )
        return ", ".join([self.of.name, *phrases])


def sides(text: Text) -> list[Side]:
    """The experiments of a study, one for each value of fields that all runs of an arm share.
    Raises: ExperimentError."""
    study_sides: list[Side] = []
    for i, part in enumerate(text.study.experiment):
        in_folder = in_file(part.name) or "/" in part.name
        with text.located("experiment", i, "name"):
            base = catalogue.find(str(text.path.parent / part.name) if in_folder else part.name)
        if base.origin.endswith(STUDIES):
            error = f"{part.name} is a study itself; name the experiments it is about"
            raise text.error(("experiment", i, "name"), error)
        with text.located("experiment", i, "preset"):
            spec = base.preset(part.preset)[0]
        for key in ("fields", "paired"):
            if "seed" in getattr(part, key):  # only the study's own seeds are frozen
                error = (
                    "a study has the same seeds for all of its experiments; write seeds = "
                    '"…" above the first [[…]], in place of the field seed'
                )
                raise text.error(("experiment", i, key), error)
        arms, needed = _chosen(text, i, base, part)
        choices = _choices(text, i, part, spec)
        per_run = per_run_fields(type(spec))
        for names in choices:
            varied = {k: v for k, v in names.items() if k in per_run and isinstance(v, tuple)}
            fields = {k: v for k, v in names.items() if k not in varied}
            values = [f"{k}={v}" for k, v in fields.items() if any(c[k] != v for c in choices)]
            label = ",".join(filter(None, [part.label, *values])) if study_sides else ""
            if label in {s.label for s in study_sides}:
                error = f"{base.name} needs a label of its own, to tell its arms apart"
                raise text.error(("experiment", i, "label"), error)
            study_sides.append(Side(label, base, part, fields, varied, arms, needed))
    for side in study_sides:
        with text.located("experiment", text.study.experiment.index(side.part), "fields"):
            specs = side.specs(side.part.preset, ())
            try:
                side.of.specs_of("main", specs)
            except HeldError as e:
                if (free := _alone(side, specs, e)) is None:
                    error = f"leave it out, or write a second [[experiment]] with another {e.field}"
                    raise ExperimentError(f"{e}; {error}") from e
                study_sides[study_sides.index(side)] = dataclasses.replace(side, of=free)
    return study_sides


def _alone(side: Side, specs: tuple[Any, ...], error: HeldError) -> Experiment | None:
    """The experiment of a side whose only arm is main, with several values of a field that other
    arms would fix; None if other arms run, or a single value is refused as well."""
    main = side.of.arms["main"]
    if side.arms != ("main",) or error.values < 2 or main.specs is None:
        return None
    if any(main.specs((spec,)) != (spec,) for spec in specs):
        return None
    arms = {**side.of.arms, "main": dataclasses.replace(main, specs=None)}
    return dataclasses.replace(side.of, arms=arms)


def _chosen(
    text: Text, i: int, base: Experiment, part: Part
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The arms that run, and for those that are not listed the reason: another arm builds on them,
    or is computed from them."""
    for name in (n for n in part.arms if n not in base.arms):
        hint = nearest(name, base.arms)
        message = f"{base.name} has no arm {name!r}; {hint}; its arms: {', '.join(base.arms)}"
        raise text.error(("experiment", i, "arms"), message)
    stated = part.arms or named_arms(text, base.arms)
    if not stated:
        return tuple(base.arms), {}
    needed: dict[str, str] = {}
    waiting = list(stated)
    while waiting:
        arm = base.arms[name := waiting.pop()]
        reads: tuple[str, ...] = ()
        if arm.derive is not None:
            reads, how = read_by(base, name), f"{name} is made of what it measures"
        elif arm.after is not None:
            reads, how = (arm.after,), f"{name} builds on it"
        for other in (r for r in reads if r not in stated and r not in needed):
            needed[other] = how
            waiting.append(other)
    if i == 0 and "main" not in (*stated, *needed) and _reads_main(text):
        needed["main"] = "a statement reads it"
    chosen = tuple(name for name in base.arms if name in (*stated, *needed))
    return chosen, needed if part.arms else {}


def named_arms(text: Text, arms: Iterable[str]) -> tuple[str, ...]:
    """The arms of an experiment that a statement of the study names, or that were frozen with it;
    empty without statements, or if none is named."""
    study = text.study
    words = [e.value for e in study.estimate]
    for c in study.claim:
        words += [c.holds, *c.control, *c.near, *c.also, *c.planted, *c.violations]
    words += frozen_arms(text.path, of_old=False) or ()
    words += ["main"] if any(words) and _reads_main(text) else []

    def is_named(arm: str) -> bool:
        whole = re.compile(rf"(?<![\w-]){re.escape(arm)}(?![\w-])")
        return any(map(whole.search, words))

    return tuple(arm for arm in arms if is_named(arm))


def read_by(base: Experiment, arm: str) -> tuple[str, ...]:
    """The trained arms from which a derived arm is computed, according to the record of its
    experiment; all arms if that does not say."""
    return _derived(base, arm)[0]


def derived(base: Experiment) -> dict[str, xr.Dataset]:
    """The measures of the derived arms, computed from the record of their experiment, as far as
    possible."""
    by_arm = {name: _derived(base, name)[1] for name, a in base.arms.items() if a.derive}
    return {name: data for name, data in by_arm.items() if data is not None}


def _derived(base: Experiment, arm: str) -> tuple[tuple[str, ...], xr.Dataset | None]:
    derive = base.arms[arm].derive
    if derive not in _DERIVED:
        every = tuple(name for name, a in base.arms.items() if a.train is not None)
        _DERIVED[derive] = every, None
        with contextlib.suppress(Exception):  # an experiment's own code, on recorded measures
            if derive is not None and (recorded_measures := _measures_recorded(base)):
                measures = Others(recorded_measures)
                data = derive(measures)
                _DERIVED[derive] = tuple(name for name in every if name in measures.read), data
    return _DERIVED[derive]


_DERIVED: dict[Derive | None, tuple[tuple[str, ...], xr.Dataset | None]] = {}
"""Results of `_derived`, since a study is read several times in a command."""


@lru_cache(maxsize=2)
def _measures_recorded(base: Experiment) -> dict[str, xr.Dataset]:
    record = records.load_record(base, "default")
    return recorded(base, record) if record else {}


def _reads_main(text: Text) -> bool:
    """Whether a statement names the arm main, or no arm, which means main; true without
    statements."""
    study = text.study
    conditions = [(c.holds, True) for c in study.claim] + [(e.value, False) for e in study.estimate]
    lists = [(*c.control, *c.near, *c.also, *c.planted, *c.violations) for c in study.claim]
    if not conditions or any("main" in names for names in lists):
        return True
    for words, compared in conditions:
        try:
            columns = condition(words, compared=compared).columns
        except AssayError:  # reported where it is read
            return True
        if any(c.arm in (None, "main") for c in columns):
            return True
    return False


def _choices(text: Text, i: int, part: Part, spec: Spec) -> list[dict[str, Any]]:
    """Every combination of values of the fields that all runs of an arm share; other fields keep
    their lists as tuples."""
    shared: list[list[dict[str, Any]]] = []
    others: dict[str, Any] = {}
    per_run = per_run_fields(type(spec))
    for name, value in part.fields.items():
        with text.located("experiment", i, "fields"):
            values = spelled(spec, name, _resolve_path(text, value))
        if len(values) > 1 and name not in per_run:
            shared.append([{name: v} for v in values])
        else:
            others[name] = tuple(values) if len(values) > 1 else values[0]
    if part.paired:
        shared.append(_paired(text, i, part, spec))
    return [
        {**others, **{k: v for choice in chosen for k, v in choice.items()}}
        for chosen in itertools.product(*shared)
    ]


def _resolve_path(text: Text, value: Any) -> Any:
    """The path of a model or a text relative to the study, if a value begins with ./ or ../."""
    if isinstance(value, list):
        return [_resolve_path(text, v) for v in value]
    in_folder = isinstance(value, str) and value.startswith(("./", "../"))
    return str(text.path.parent / value) if in_folder else value


def _paired(text: Text, i: int, part: Part, spec: Spec) -> list[dict[str, Any]]:
    """The values of fields whose lists go together."""
    place = ("experiment", i, "paired")
    if len(lengths := {len(values) for values in part.paired.values()}) > 1 or lengths == {0}:
        counts = ", ".join(f"{name} {len(values)}" for name, values in part.paired.items())
        raise text.error(place, f"paired lists are as long as each other, got {counts}")
    if both := set(part.paired) & set(part.fields):
        raise text.error(place, f"{min(both)} is among fields as well; a field is set once")
    with text.located(*place):
        columns = {
            name: [spelled(spec, name, v)[0] for v in values]
            for name, values in part.paired.items()
        }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def arms_of(side: Side, first: Side) -> dict[str, Arm]:
    """The arms of one side under the study's names."""
    joints: dict[int, Joint] = {}
    arms: dict[str, Arm] = {}
    noted = side.of.sized(side.specs(side.part.preset, ())).arms  # notes name its sizes
    sized = dict(zip(side.of.arms, noted.values(), strict=True))
    for name in side.arms:
        arm = sized[name]
        changes: dict[str, Any] = {"note": str(arm.note), "asked": name not in side.needed}
        if arm.derive is not None:
            changes["derive"] = _seen_as(arm.derive, side)
        else:
            changes["measure"] = arm.measure or side.of.measure
        if isinstance(arm.train, Joint):
            # arms of one pass stay together, but never with those of another side
            changes["train"] = joints.setdefault(id(arm.train), Joint(arm.train.train))
        if arm.after is not None:
            changes["after"] = side.named(arm.after)
        elif arm.train is not None and side is not first:
            changes["specs"] = _specs_of(side, name, first)
        changes["learned"] = side.part.learned.get(side.named(name), arm.learned)
        arms[side.named(name)] = dataclasses.replace(arm, **changes)
    if side is first and "main" not in arms:  # main has the preset's specs, and does not run
        idle = dataclasses.replace(sized["main"], specs=none, after=None, asked=False)
        measure = idle.measure or side.of.measure
        arms = {"main": dataclasses.replace(idle, measure=measure, note="not listed"), **arms}
    return arms


def none(specs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Give no specs, for an arm that does not run."""
    return ()


def remarks(study_sides: Sequence[Side]) -> tuple[str, ...]:
    """Say which arms run that the study does not list, and why."""
    lines = (
        f"{side.named(arm)} is trained though arms does not list it, since "
        f"{why}; no claim is asked of it unless it names it"
        for side in study_sides
        for arm, why in side.needed.items()
    )
    return tuple(dict.fromkeys(lines))


def _specs_of(side: Side, arm: str, first: Side) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """The specs of an arm of another side, given those of the first one: the same preset and
    seeds."""

    def specs(base_specs: tuple[Any, ...]) -> tuple[Any, ...]:
        preset = "smoke" if base_specs == first.specs("smoke", ()) else side.part.preset
        seeds = () if preset == "smoke" else sorted({s.seed for s in base_specs})
        return side.of.specs_of(arm, side.specs(preset, seeds))

    return specs


def _seen_as(derive: Derive, side: Side) -> Derive:
    """A derived arm that reads arms by the names of its own experiment."""

    def derive_renamed(arms: Mapping[str, xr.Dataset]) -> xr.Dataset:
        # looked up lazily: a scope names only the arms that were read
        names = [n for n in side.arms if side.named(n) in arms]
        return derive(LazyArms(names, lambda name: arms[side.named(name)]))

    return derive_renamed


def scopes(
    study_sides: Sequence[Side],
    preset: str,
    seeds: Sequence[int],
    runs: Mapping[str, tuple[Spec, ...]],
) -> list[str]:
    """Say what verdicts that read these runs generalise to, once for all sides of an experiment.

    Fields that were set and do not show in the words of the experiment follow."""
    groups: dict[tuple[str, str], list[Side]] = {}
    for side in (s for s in study_sides if any(s.named(arm) in runs for arm in s.arms)):
        base = side.base(preset, first=side is study_sides[0])
        groups.setdefault((side.of.name, base), []).append(side)
    phrases = []
    for (_, base), group in groups.items():
        experiment, together = group[0].of, itertools.chain.from_iterable
        arms = {
            arm: tuple(together(runs.get(s.named(arm), ()) for s in group))
            for arm in experiment.arms
        }
        arms = {arm: specs for arm, specs in arms.items() if specs}
        specs = tuple(together(s.specs(base, () if base == "smoke" else seeds) for s in group))
        others = unspoken(experiment, base, specs, arms)
        parts = [f"{name} {listed(values)}" for name, values in others.items() if name != "seed"]
        parts += [f"preset {base}"] if base not in ("default", preset) else []
        phrases.append(", ".join([experiment.speaks_for(base, arms), *parts]))
    return phrases


def measured(side: Side) -> dict[str, dict[str, Axes]]:
    """What each arm measures, with its dimensions and their levels, according to the experiment's
    committed record.

    This allows wrong names to be reported before training. If the study sets fields, levels may
    differ from those recorded."""
    record = records.read(side.of.name, side.of.origin) or {}
    axes_by_arm: dict[str, dict[str, Axes]] = {}
    for arm, data in record.get("arms", {}).items():
        levels, variables = data["measures"]["coords"], data["measures"]["variables"]
        axes_by_arm[arm] = {
            name: {
                d: levels.get(d, range(n))
                for d, n in zip(v["dims"], v["values"].shape, strict=True)
                if d != "run"
            }
            for name, v in variables.items()
        }
    for arm, measures in derived(side.of).items():
        if arm in side.arms:
            axes_by_arm[arm] = {
                str(name): {
                    str(d): v[d].values.tolist() if d in v.coords else range(v.sizes[d])
                    for d in v.dims
                    if d != "run"
                }
                for name, v in measures.data_vars.items()
            }
    return axes_by_arm


def expected(side: Side, seeds: Sequence[int], together: int) -> dict[str, float]:
    """CPU-seconds of a run of each arm, from the record of its experiment and scaled by steps and
    by the number of seeds that train `together`; missing if other fields are larger."""
    recorded = records.cost_per_run(side.of, side.part.preset)
    seconds_by_arm = {}
    for arm in side.arms:
        if side.of.arms[arm].train is None or arm not in recorded:
            continue
        recorded_specs, study_specs = (
            side.of.specs_of(arm, specs)
            for specs in (side.of.preset(side.part.preset), side.specs(side.part.preset, seeds))
        )
        if not recorded_specs or not study_specs:
            continue
        if ratio := over(study_specs[0], json.loads(recorded_specs[0].to_json())):
            longer = alone(recorded_specs, study_specs, side.of.seeds_per_group, together)
            groups = -(-len(seeds) // together)
            own = recorded[arm] * ratio.longer * longer
            seconds_by_arm[side.named(arm)] = own + GROUP * groups / len(study_specs)
    return seconds_by_arm
