"""Composing: a study as an Experiment: arms borrowed from experiments, fields set, and the author's
claims."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from assay.core.claims import Claim, Estimate
from assay.core.columns import Axes
from assay.core.errors import AssayError, ClaimError, ExperimentError, nearest
from assay.core.experiment import PRESETS, Arm, Cost, Experiment, Header, Joint, Words
from assay.core.runs import Runs
from assay.core.spec import Spec, per_run_fields
from assay.studies import dictionaries, missing, sides
from assay.studies.arm_measures import DENSITY, TERMS, MeasuredSpec
from assay.studies.dictionaries import Settled, Trains
from assay.studies.sides import Side
from assay.studies.text import Plain, Text, read
from assay.studies.wording import Condition, claim, condition, estimate, hold, made_of, renamed


def experiment(path: Path) -> Experiment:
    """The Experiment that a study's file describes. Raises: ExperimentError, one line with line and
    column."""
    text = read(path)
    if lacks := missing.essential(text):
        known(text)
        raise ExperimentError(
            lacks[0].text
            + (f" (and {len(lacks) - 1} more: assay plan {path} lists them)" if lacks[1:] else "")
        )
    return composed(text)


def known(text: Text) -> None:
    """Refuse a study that names an experiment, a field or an arm that there is not, whatever it
    does not say yet. Raises: ExperimentError."""
    if not text.study.experiment and not text.study.dictionary:
        return
    arms = composed(
        dataclasses.replace(text, study=msgspec.structs.replace(text.study, claim=(), estimate=()))
    ).arms
    study_sides = sides.sides(text)
    owned = dictionaries.parts(
        text, _trains(study_sides, missing.seeds(text) if study_sides else ())
    )
    text = _by_arm(text, owned)
    for i, claim_entry in enumerate(text.study.claim):
        _collect_arms(
            text,
            i,
            _condition(text, i).parsed.arms if claim_entry.holds.strip() else (),
            arms,
            owned,
        )
    for i, entry in enumerate(text.study.estimate):
        names = _quantity(text, i).parsed.arms if entry.value.strip() else ()
        _refuse_unknown(text, "estimate", i, {"value": names}, arms, owned)


def composed(text: Text) -> Experiment:
    """The Experiment of a study that lacks nothing essential but, perhaps, claims. Raises:
    ExperimentError."""
    path, study_sides = text.path, sides.sides(text)
    seeds = missing.seeds(text) if study_sides else ()
    _refuse_duplicates(text, study_sides, seeds)
    owned = dictionaries.parts(text, _trains(study_sides, seeds))
    first = _first(study_sides, owned, seeds)
    settled = Settled(text, owned)
    borrowed = {
        name: arm
        for side in study_sides
        for name, arm in sides.arms_of(side, study_sides[0]).items()
    }
    arms = borrowed | settled.arms(lambda specs: specs == first["smoke"])
    for i, part in enumerate(text.study.experiment):
        for name in (n for n in part.learned if n not in borrowed):
            raise ExperimentError(
                f"{text.at('experiment', i, 'learned')}: the study has no arm {name!r} of an "
                f"experiment; {nearest(name, borrowed)}"
            )
    text = _by_arm(text, owned)
    conditions = [_condition(text, i) for i in range(len(text.study.claim))]
    quantities = [_quantity(text, i) for i in range(len(text.study.estimate))]
    measured_by_arm = {
        side.named(arm): _Measured(axes, side)
        for side in study_sides
        for arm, axes in sides.measured(side).items()
    }
    measured_by_arm |= {
        p.label: _Measured({t: {"document": ()} for t in TERMS} | {name: {} for name in DENSITY})
        for p in owned
    }
    claims = tuple(
        _claim(text, i, read, arms, measured_by_arm, owned) for i, read in enumerate(conditions)
    )
    estimates = tuple(
        _estimate(text, i, read, arms, measured_by_arm, owned) for i, read in enumerate(quantities)
    )
    by_class = {type(side.of.default[0]): side for side in reversed(study_sides)}
    usual = (s.of.seeds_per_group for s in study_sides)
    together = text.study.together or min(usual, default=_most(owned))
    measure = (
        study_sides[0].of.measure
        if study_sides
        else settled.arms(lambda specs: False)["main"].measure
    )
    assert measure is not None  # every dictionary's arm measures
    try:
        study_experiment = Experiment(
            arms=arms,
            measure=measure,
            claims=(*claims, *estimates),
            page=_page(text, study_sides, owned),
            seeds_per_group=together,
            smoke=first["smoke"],
            default=first["default"],
            full=first["full"],
            borrows=tuple(dict.fromkeys(s.of.name for s in study_sides)),
            inputs=_inputs(text, by_class, settled),
            cost=_cost(by_class),
            expected=_times(study_sides, owned, seeds, together),
            version=sum(s.of.version for s in study_sides) or 1,
            measured=sum(s.of.measured for s in study_sides) or 1,
            scope=_words(study_sides, owned, seeds),
        )
    except AssayError as e:
        raise ExperimentError(f"{path}: {e}") from e
    for i, (c, read_as) in enumerate(zip(claims, conditions, strict=True)):
        needed = (c.of, *read_as.parsed.arms, *c.must_fail, *c.must_hold)
        _refuse_mixed(text, "claim", i, c, needed, read_as, study_experiment)
        _can_come_out(text, i, read_as, study_experiment, borrowed)
    for i, (number, read_as) in enumerate(zip(estimates, quantities, strict=True)):
        needed = read_as.parsed.arms or ("main",)
        _refuse_mixed(text, "estimate", i, number, needed, read_as, study_experiment)
    return study_experiment


def _most(owned: Sequence[dictionaries.Part]) -> int:
    """All trainings of a dictionary together, so that they share the passes of the model that are
    the same for all."""
    return max((len(p.paths) for p in owned), default=1)


def _first(
    study_sides: Sequence[Side], owned: Sequence[dictionaries.Part], seeds: Sequence[int]
) -> dict[str, tuple[Spec, ...]]:
    """The specs of the arm main at each preset: of the first experiment, else of the first
    dictionary."""
    if not study_sides:
        return {preset: dictionaries.specs(owned[0], preset) if owned else () for preset in PRESETS}
    side = study_sides[0]
    return {
        p: side.specs(
            *{"smoke": ("smoke", ()), "default": (side.part.preset, seeds)}.get(p, (p, seeds))
        )
        for p in PRESETS
    }


def _trains(study_sides: Sequence[Side], seeds: Sequence[int]) -> dict[str, Trains]:
    """The arms that train something, which may be dictionaries."""
    trains_by_arm = {}
    for side in study_sides:
        for arm in (a for a in side.arms if side.of.arms[a].train is not None):

            def specs(preset: str, side: Side = side, arm: str = arm) -> tuple[Spec, ...]:
                chosen = (
                    side.specs("smoke", ())
                    if preset == "smoke"
                    else side.specs(side.part.preset, seeds)
                )
                return side.of.specs_of(arm, chosen)

            learned = side.part.learned.get(side.named(arm), side.of.arms[arm].learned)
            trains_by_arm[side.named(arm)] = Trains(side.named(arm), side.of, specs, learned)
    return trains_by_arm


def _by_arm(text: Text, owned: Sequence[dictionaries.Part]) -> Text:
    """The study with the first dictionary called main where its claims call it by its label."""
    if text.study.experiment or not owned or owned[0].said.label in ("", "main"):
        return text
    label = owned[0].said.label

    def rename_arm(name: str) -> str:
        return "main" if name == label else name

    claims = tuple(
        msgspec.structs.replace(
            c,
            holds=renamed(c.holds, label, "main"),
            control=tuple(map(rename_arm, c.control)),
            planted=tuple(map(rename_arm, c.planted)),
            violations=tuple(map(rename_arm, c.violations)),
            near={rename_arm(k): v for k, v in c.near.items()},
            also={rename_arm(k): v for k, v in c.also.items()},
        )
        for c in text.study.claim
    )
    estimates = tuple(
        msgspec.structs.replace(e, value=renamed(e.value, label, "main"))
        for e in text.study.estimate
    )
    study = msgspec.structs.replace(text.study, claim=claims, estimate=estimates)
    return dataclasses.replace(text, study=study)


def header(path: Path) -> Header:
    """What a list says of a study. Raises: ExperimentError."""
    study = read(path).study
    texts = [*(c.text for c in study.claim), *(e.text for e in study.estimate)]
    controls = ", ".join(dict.fromkeys(name for c in study.claim for name in c.control))
    names = ", ".join(
        dict.fromkeys(
            [*(p.name for p in study.experiment), *(["dictionaries"] if study.dictionary else [])]
        )
    )
    return Header(
        study.question.rstrip("."),
        f"a study of {names}",
        "; ".join(texts) or "none yet",
        controls or "none yet",
        "as planned",
    )


def _condition(text: Text, i: int) -> Condition:
    try:
        return condition(text.study.claim[i].holds)
    except ClaimError as e:
        raise ExperimentError(f"{text.at('claim', i, 'holds')}: {e}") from None


def _quantity(text: Text, i: int) -> Condition:
    try:
        return condition(text.study.estimate[i].value, compared=False)
    except ClaimError as e:
        raise ExperimentError(f"{text.at('estimate', i, 'value')}: {e}") from None


@dataclasses.dataclass(frozen=True)
class _Measured:
    """What is known of the measures of an arm before any run: their dimensions, and of which
    experiment that is recorded."""

    axes: Mapping[str, Axes]
    side: Side | None = None

    @property
    def units(self) -> tuple[str, ...]:
        """What there may be units of: fields in which runs differ, and dimensions."""
        fields = per_run_fields(type(self.side.of.default[0])) if self.side else ("seed",)
        return tuple(
            dict.fromkeys([*fields, *(dim for axes in self.axes.values() for dim in axes)])
        )

    @property
    def settled(self) -> bool:
        """Whether the levels are those recorded: no field is set on which they could depend."""
        return self.side is not None and not self.side.fields and self.side.part.preset == "default"


def _claim(
    text: Text,
    i: int,
    read: Condition,
    arms: Mapping[str, Arm],
    measured_by_arm: Mapping[str, _Measured],
    owned: Sequence[dictionaries.Part],
) -> Claim:
    """A claim of the study, with every arm that it names held to those there are, and every measure
    to those known."""
    claim_entry = text.study.claim[i]
    arms_by_key = _collect_arms(text, i, read.parsed.arms, arms, owned)
    main_arm = next((name for name in read.parsed.arms if name not in claim_entry.control), "main")
    labels = {p.label: p.said.label or p.label for p in owned}
    for key in ("control", "planted"):
        for name in (n for n in arms_by_key[key] if n != main_arm and n in read.parsed.arms):
            message = (
                f"{labels.get(name, name)} stands in the condition, where it would be compared "
                "with itself"
            )
            how = (
                f"a control takes the place of {labels.get(main_arm, main_arm)}: name another "
                "arm, such as a "
                "baseline or one trained once more"
            )
            raise ExperimentError(f"{text.at('claim', i, key)}: {message}; {how}")
    units = claim_entry.units or missing.units(owned, (main_arm, *read.parsed.arms))
    judged = (main_arm, *claim_entry.control, *claim_entry.planted)
    _hold_columns(text, ("claim", i, "holds"), read, judged, {"units": units}, measured_by_arm)
    try:
        made = claim(msgspec.structs.replace(claim_entry, units=units), main_arm, read)
    except ClaimError as e:
        raise ExperimentError(f"{text.at('claim', i)}: {e}") from None
    _refuse_unlearned(text, i, made, arms, labels)
    return made


def _estimate(
    text: Text,
    i: int,
    read: Condition,
    arms: Mapping[str, Arm],
    measured_by_arm: Mapping[str, _Measured],
    owned: Sequence[dictionaries.Part],
) -> Estimate:
    """An estimate of the study, held to the arms and measures that there are."""
    entry = text.study.estimate[i]
    _refuse_unknown(text, "estimate", i, {"value": read.parsed.arms}, arms, owned)
    main_arm = next(iter(read.parsed.arms), "main")
    units = entry.units or missing.units(owned, (main_arm, *read.parsed.arms))
    dims = {"units": units} | ({"over": (entry.over,)} if entry.over else {})
    _hold_columns(text, ("estimate", i, "value"), read, (main_arm,), dims, measured_by_arm)
    try:
        return estimate(msgspec.structs.replace(entry, units=units), main_arm, read)
    except ClaimError as e:
        raise ExperimentError(f"{text.at('estimate', i)}: {e}") from None


def _hold_columns(
    text: Text,
    place: tuple[str, int, str],
    read: Condition,
    judged: Sequence[str],
    dims: Mapping[str, Sequence[str]],
    measured_by_arm: Mapping[str, _Measured],
) -> None:
    """Refuse a measure that an arm has not, a unit or swept field that there is not, and what is
    neither named nor one of these; `judged` are the arms that stand for the first."""
    main_arm, (table, i, _) = judged[0], place
    for c in read.columns:
        have = (
            measured_by_arm[c.arm or main_arm].axes
            if (c.arm or main_arm) in measured_by_arm
            else (c.name,)
        )
        if c.name not in (offered := (*have, *made_of(tuple(have)))):
            raise ExperimentError(
                f"{text.at(*place)}: arm {c.arm or main_arm} has no measure "
                f"{c.name!r}; {nearest(c.name, offered)}"
            )
    for key, names in dims.items():
        for name in names if main_arm in measured_by_arm else ():
            if name not in (known := measured_by_arm[main_arm].units):
                raise ExperimentError(
                    f"{text.at(table, i, key)}: what arm {main_arm} measures has no "
                    f"{'unit' if key == 'units' else 'swept field'} {name!r}; "
                    f"{nearest(name, known)}"
                )
    for c in read.columns:
        for arm in (
            m for m in (judged if c.arm in (None, main_arm) else (c.arm,)) if m in measured_by_arm
        ):
            try:
                hold(
                    dataclasses.replace(c, arm=arm),
                    measured_by_arm[arm].axes,
                    [name for names in dims.values() for name in names],
                    settled=measured_by_arm[arm].settled,
                    loosely=c.name == read.equal,
                )
            except ClaimError as e:
                raise ExperimentError(f"{text.at(*place)}: {e}") from None


def _refuse_unlearned(
    text: Text, i: int, made: Claim, arms: Mapping[str, Arm], labels: Mapping[str, str]
) -> None:
    """Refuse a credited part that no arm names, and an excuse or a planted effect in which one was
    not learned. Raises: ExperimentError."""
    parts = sorted({part for arm in arms.values() for part in arm.learned or ()})
    for part in made.credits:
        if parts and part not in parts:
            raise ExperimentError(
                f"{text.at('claim', i, 'credits')}: no arm says that {part!r} was learned; "
                f"{nearest(part, parts)}"
            )
    for key, names in (("also", made.also), ("planted", made.must_hold)):
        for name in (n for n in names if made.lacks(arms[n].learned)):
            credited = " and ".join(made.credits) or "every part"
            raise ExperimentError(
                f"{text.at('claim', i, key)}: in {labels.get(name, name)} not all was learned that "
                f"the claim credits, {credited}; leave it out, or say in credits what the claim is "
                "about"
            )


def _collect_arms(
    text: Text,
    i: int,
    holds: Sequence[str],
    arms: Mapping[str, Arm],
    owned: Sequence[dictionaries.Part],
) -> dict[str, Iterable[str]]:
    """The arms that a claim names, by where it does. Raises: ExperimentError for one that the study
    has not."""
    claim_entry = text.study.claim[i]
    arms_by_key: dict[str, Iterable[str]] = {
        "holds": holds,
        "control": claim_entry.control,
        "near": claim_entry.near,
        "also": claim_entry.also,
        "planted": claim_entry.planted,
        "violations": claim_entry.violations,
    }
    _refuse_unknown(text, "claim", i, arms_by_key, arms, owned)
    return arms_by_key


def _refuse_unknown(
    text: Text,
    table: str,
    i: int,
    arms_by_key: Mapping[str, Iterable[str]],
    arms: Mapping[str, Arm],
    owned: Sequence[dictionaries.Part],
) -> None:
    for key, names in arms_by_key.items():
        for name in names:
            if name not in arms:
                labels = {p.label: p.said.label for p in owned}
                hint = _per_run(text, name) or nearest(name, (labels.get(a) or a for a in arms))
                raise ExperimentError(
                    f"{text.at(table, i, key)}: the study has no arm {name!r}; {hint}"
                )


def _per_run(text: Text, name: str) -> str:
    """What to write where an arm is named after a value in which the runs of one arm differ;
    nothing of any other name."""
    fields = {field.partition("=")[0] for field in name.rpartition("/")[0].split(",")}
    for part in text.study.experiment:
        for field, values in part.fields.items():
            if field in fields and isinstance(values, list | tuple):
                return (
                    f"runs of one arm differ in {field}; for an arm of each value write paired = "
                    f"{{ {field} = {list(values)} }} in place of it"
                )
    return ""


def _refuse_mixed(
    text: Text,
    table: str,
    i: int,
    statement: Claim | Estimate,
    arms: Iterable[str],
    read: Condition,
    study_experiment: Experiment,
) -> None:
    """Refuse a claim or an estimate for which an arm has no runs, or runs that it does not tell
    apart, and a curve over what no runs differ in: better before training than after."""
    key = "holds" if isinstance(statement, Claim) else "value"
    over = statement.over if isinstance(statement, Estimate) else ""
    for arm in dict.fromkeys(arms):
        if study_experiment.arms[arm].train is None:
            continue
        specs = study_experiment.specs_of(arm, study_experiment.default)
        matching = [
            s for s in specs if all(getattr(s, k, None) == v for k, v in statement.where.items())
        ]
        if not matching:
            raise ExperimentError(
                f"{text.at(table, i, 'where')}: {_none_there(arm, specs, statement.where)}"
            )
        if over in per_run_fields(type(matching[0])):
            levels_of_over = {getattr(s, over) for s in matching}
            if len(levels_of_over) < 2:
                raise ExperimentError(
                    f"{text.at(table, i, 'over')}: the runs of {arm} do not differ in {over}, "
                    f"which is {min(levels_of_over)}; list its values under fields, as in "
                    f"fields = {{ {over} = [… , …] }}"
                )
        varying = [
            n
            for n in per_run_fields(type(matching[0]))
            if n not in ("seed", over, *statement.units)
            and len({getattr(s, n) for s in matching}) > 1
        ]
        if read.equal and len(varying) != 1:
            message = (
                f"at equal {read.equal} needs runs of {arm} that differ in one field; they differ "
                f"in {', '.join(varying) or 'nothing but the seed'}"
            )
            raise ExperimentError(f"{text.at(table, i, key)}: {message}")
        if varying and not read.equal:
            levels = ", ".join(map(str, sorted({getattr(s, varying[0]) for s in matching})))
            how = (
                f"say which is meant with where = {{ {varying[0]} = … }}, compare at equal l0, "
                "say, or make an arm of each value with paired"
                if isinstance(statement, Claim)
                else f'draw a curve with over = "{varying[0]}", or say which is meant with where = '
                f"{{ {varying[0]} = … }}"
            )
            raise ExperimentError(
                f"{text.at(table, i)}: the runs of {arm} differ in {varying[0]} ({levels}); {how}"
            )


def _refuse_duplicates(text: Text, study_sides: Sequence[Side], seeds: Sequence[int]) -> None:
    """Refuse the same runs under two labels: what they have in common is no evidence, and one would
    be a control of the other that cannot pass."""
    for side, other in itertools.combinations(study_sides, 2):
        if side.of.name == other.of.name and set(side.specs(side.part.preset, seeds)) & set(
            other.specs(other.part.preset, seeds)
        ):
            place = text.at("experiment", text.study.experiment.index(other.part))
            first_label, two = (f"{s.label}/main" if s.label else "main" for s in (side, other))
            raise ExperimentError(
                f"{place}: {first_label} and {two} have the same runs; leave one out, or set a "
                "field in "
                "which they differ"
            )


def _can_come_out(
    text: Text, i: int, read: Condition, study_experiment: Experiment, borrowed: Mapping[str, Arm]
) -> None:
    """Refuse a control with the same runs as an arm that it would be compared with: the difference
    is nought, so that it cannot but fail."""
    claim_entry, main_arm = (
        text.study.claim[i],
        next(c.of for c in study_experiment.claims[i : i + 1] if isinstance(c, Claim)),
    )

    def runs(name: str) -> set[tuple[Any, ...]]:
        arm = borrowed.get(name)
        if (
            arm is None
            or arm.train is None
            or arm.after is not None
            or isinstance(arm.train, Joint)
        ):
            return set()
        return {
            (
                inspect.unwrap(arm.train),
                inspect.unwrap(arm.measure or study_experiment.measure),
                spec,
            )
            for spec in study_experiment.specs_of(name, study_experiment.default)
        }

    for control, other in itertools.product(
        claim_entry.control, (a for a in read.parsed.arms if a != main_arm)
    ):
        if runs(control) & runs(other):
            message = (
                f"{control} has the same runs as {other}, with which it would be compared, so "
                "that it cannot but fail"
            )
            raise ExperimentError(
                f"{text.at('claim', i, 'control')}: {message}; name an arm that could come out "
                "the other way"
            )


def _none_there(arm: str, specs: Sequence[Spec], where: Mapping[str, Plain]) -> str:
    """Say which field of `where` leaves an arm without a run, and what it has instead."""
    field = next(
        (k for k, v in where.items() if not any(getattr(s, k, None) == v for s in specs)),
        next(iter(where), ""),
    )
    if not specs:
        return f"arm {arm} has no runs"
    have = sorted({str(getattr(s, field)) for s in specs if hasattr(s, field)})
    hint = (
        f"it has {', '.join(have)}"
        if have
        else nearest(field, (f.name for f in dataclasses.fields(specs[0])))
    )
    return f"arm {arm} has no run with {field} = {where.get(field)}; {hint}"


def _words(
    study_sides: Sequence[Side], owned: Sequence[dictionaries.Part], seeds: Sequence[int]
) -> Words:
    """Say for what verdicts speak in the words of the experiments and dictionaries that they
    read."""

    def words(preset: str, runs: Mapping[str, tuple[Spec, ...]]) -> str:
        measured = [p for p in owned if p.label in runs]
        trained = {p.trains.arm: p.trains.specs(preset) for p in measured if p.trains}
        phrases = sides.scopes(study_sides, preset, seeds, {**trained, **runs})
        return "; ".join(dict.fromkeys([*phrases, *(p.scope for p in measured)]))

    return words


def _page(text: Text, study_sides: Sequence[Side], owned: Sequence[dictionaries.Part]) -> str:
    """What a reader of the report must know: the question, what stands beside what, and what was
    left out."""
    lines = [f"**The question.** {text.study.question}", ""]
    lines += [
        f"- {f'`{s.label}/…`' if s.label else 'Arms without a label'}: {s.told}."
        for s in study_sides
    ]
    lines += [
        (
            f"- `{p.label}`{f' ({p.said.label})' if p.said.label not in ('', p.label) else ''}: "
            f"{p.told}."
        )
        for p in owned
    ]
    unused_arms = {
        s.of.name: [name for name in s.of.arms if name not in s.arms] for s in study_sides
    }
    for name, arms in unused_arms.items():
        lines += (
            [
                "",
                (
                    f"Of {name} these arms did not run, and no claim was asked of them: "
                    f"{', '.join(arms)}."
                ),
            ]
            if arms
            else []
        )
    return "\n".join([*lines, "", text.page]).strip()


def _inputs(
    text: Text, by_class: Mapping[type, Side], settled: Settled
) -> Callable[[Any], Mapping[str, str]] | None:
    """What runs read from outside; a model or a text that an experiment cannot have is told with
    its place in the study."""
    if not settled.found and not any(side.of.inputs for side in by_class.values()):
        return None

    def inputs(spec: Any) -> Mapping[str, str]:
        if isinstance(spec, MeasuredSpec):
            return settled.inputs(spec)
        side = by_class[type(spec)]
        try:
            return side.of.inputs(spec) if side.of.inputs else {}
        except AssayError as e:
            place = text.at("experiment", text.study.experiment.index(side.part), "fields")
            raise ExperimentError(f"{place}: {side.of.name} cannot read what it needs: {e}") from e

    return inputs


def _cost(by_class: Mapping[type, Side]) -> Callable[[Runs[Any]], Cost] | None:
    if not all(side.of.cost for side in by_class.values()) or not by_class:
        return None

    def cost(runs: Runs[Any]) -> Cost:
        side = by_class.get(type(runs.specs[0]))
        return side.of.cost(runs) if side is not None and side.of.cost else Cost()

    return cost


def _times(
    study_sides: Sequence[Side],
    owned: Sequence[dictionaries.Part],
    seeds: Sequence[int],
    together: int,
) -> dict[str, float]:
    """CPU-seconds of a run of each arm, as far as records, or the size of a dictionary's model,
    tell."""
    times = {
        arm: seconds for side in study_sides for arm, seconds in sides.expected(side, seeds).items()
    }
    return times | {
        part.label: seconds for part in owned if (seconds := part.seconds(together)) is not None
    }
