"""Composing: a study as an Experiment: arms borrowed from experiments, fields set, and the author's
claims."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from assay.core.claims import Claim
from assay.core.columns import Axes
from assay.core.errors import AssayError, ClaimError, ExperimentError, nearest
from assay.core.experiment import PRESETS, Arm, Cost, Experiment, Header, Joint, Words
from assay.core.spec import Spec, per_run_fields
from assay.studies import dictionaries, missing, packing, sides
from assay.studies.dictionaries import Settled, Trains
from assay.studies.measured import DENSITY, TERMS, MeasuredSpec
from assay.studies.sides import Side
from assay.studies.text import Plain, Text, read
from assay.studies.wording import Condition, claim, condition, hold, made_of, renamed

if TYPE_CHECKING:
    from assay.core.runs import Runs


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
        dataclasses.replace(text, study=msgspec.structs.replace(text.study, claim=()))
    ).arms
    found = sides.sides(text)
    owned = dictionaries.parts(text, _trains(found, missing.seeds(text) if found else ()))
    text = _by_arm(text, owned)
    for i, said in enumerate(text.study.claim):
        _named(text, i, _condition(text, i).parsed.arms if said.holds.strip() else (), arms, owned)


def composed(text: Text) -> Experiment:
    """The Experiment of a study that lacks nothing essential but, perhaps, claims. Raises:
    ExperimentError."""
    path, found = text.path, sides.sides(text)
    seeds = missing.seeds(text) if found else ()
    _apart(text, found, seeds)
    owned = dictionaries.parts(text, _trains(found, seeds))
    first = _first(found, owned, seeds)
    settled = Settled(text, owned)
    borrowed = {name: arm for side in found for name, arm in sides.arms_of(side, found[0]).items()}
    arms = packing.together(borrowed, first["default"]) | settled.arms(
        lambda given: given == first["smoke"]
    )
    text = _by_arm(text, owned)
    conditions = [_condition(text, i) for i in range(len(text.study.claim))]
    there = {
        side.named(arm): _Measured(axes, side)
        for side in found
        for arm, axes in sides.measured(side).items()
    }
    there |= {
        p.label: _Measured({t: {"document": ()} for t in TERMS} | {name: {} for name in DENSITY})
        for p in owned
    }
    claims = tuple(_claim(text, i, read, arms, there, owned) for i, read in enumerate(conditions))
    by_class = {type(side.of.default[0]): side for side in reversed(found)}
    packed = (
        packing.seeds_per_group(s.of, s.part.preset, s.arms, s.specs(s.part.preset, seeds))
        for s in found
    )
    together = text.study.together or min(packed, default=_most(owned))
    measure = found[0].of.measure if found else settled.arms(lambda given: False)["main"].measure
    assert measure is not None  # every dictionary's arm measures
    try:
        made = Experiment(
            arms=arms,
            measure=measure,
            claims=claims,
            page=_page(text, found, owned),
            seeds_per_group=together,
            smoke=first["smoke"],
            default=first["default"],
            full=first["full"],
            borrows=tuple(dict.fromkeys(s.of.name for s in found)),
            inputs=_inputs(text, by_class, settled),
            cost=_cost(by_class),
            expected=_times(found, owned, seeds, together),
            version=sum(s.of.version for s in found) or 1,
            measured=sum(s.of.measured for s in found) or 1,
            scope=_words(found, owned, seeds),
        )
    except AssayError as e:
        raise ExperimentError(f"{path}: {e}") from e
    for i, read_as in enumerate(conditions):
        _can_be_judged(text, i, read_as, made)
        _can_come_out(text, i, read_as, made, borrowed)
    return made


def _most(owned: Sequence[dictionaries.Part]) -> int:
    """All trainings of a dictionary together, so that they share the passes of the model that are
    the same for all."""
    return max((len(p.paths) for p in owned), default=1)


def _first(
    found: Sequence[Side], owned: Sequence[dictionaries.Part], seeds: Sequence[int]
) -> dict[str, tuple[Spec, ...]]:
    """The specs of the arm main at each preset: of the first experiment, else of the first
    dictionary."""
    if not found:
        return {preset: dictionaries.specs(owned[0], preset) if owned else () for preset in PRESETS}
    side = found[0]
    return {
        p: side.specs(
            *{"smoke": ("smoke", ()), "default": (side.part.preset, seeds)}.get(p, (p, seeds))
        )
        for p in PRESETS
    }


def _trains(found: Sequence[Side], seeds: Sequence[int]) -> dict[str, Trains]:
    """The arms that train something, which may be dictionaries."""
    made = {}
    for side in found:
        for arm in (a for a in side.arms if side.of.arms[a].train is not None):

            def specs(preset: str, side: Side = side, arm: str = arm) -> tuple[Spec, ...]:
                chosen = (
                    side.specs("smoke", ())
                    if preset == "smoke"
                    else side.specs(side.part.preset, seeds)
                )
                return side.of.specs_of(arm, chosen)

            made[side.named(arm)] = Trains(side.named(arm), side.of, specs)
    return made


def _by_arm(text: Text, owned: Sequence[dictionaries.Part]) -> Text:
    """The study with the first dictionary called main where its claims call it by its label."""
    if text.study.experiment or not owned or owned[0].said.label in ("", "main"):
        return text
    label = owned[0].said.label

    def named(name: str) -> str:
        return "main" if name == label else name

    claims = tuple(
        msgspec.structs.replace(
            c,
            holds=renamed(c.holds, label, "main"),
            control=tuple(map(named, c.control)),
            planted=tuple(map(named, c.planted)),
            near={named(k): v for k, v in c.near.items()},
            also={named(k): v for k, v in c.also.items()},
        )
        for c in text.study.claim
    )
    return dataclasses.replace(text, study=msgspec.structs.replace(text.study, claim=claims))


def header(path: Path) -> Header:
    """What a list says of a study. Raises: ExperimentError."""
    study = read(path).study
    claims = "; ".join(c.text for c in study.claim)
    controls = ", ".join(dict.fromkeys(name for c in study.claim for name in c.control))
    names = ", ".join(
        dict.fromkeys(
            [*(p.name for p in study.experiment), *(["dictionaries"] if study.dictionary else [])]
        )
    )
    return Header(
        study.question.rstrip("."),
        f"a study of {names}",
        claims or "none yet",
        controls or "none yet",
        "as planned",
    )


def _condition(text: Text, i: int) -> Condition:
    try:
        return condition(text.study.claim[i].holds)
    except ClaimError as e:
        raise ExperimentError(f"{text.at('claim', i, 'holds')}: {e}") from None


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
    there: Mapping[str, _Measured],
    owned: Sequence[dictionaries.Part],
) -> Claim:
    """A claim of the study, with every arm that it names held to those there are, and every measure
    to those known."""
    said = text.study.claim[i]
    named = _named(text, i, read.parsed.arms, arms, owned)
    of = next((name for name in read.parsed.arms if name not in said.control), "main")
    labels = {p.label: p.said.label or p.label for p in owned}
    for key in ("control", "planted"):
        for name in (n for n in named[key] if n != of and n in read.parsed.arms):
            told = (
                f"{labels.get(name, name)} stands in the condition, where it would be compared "
                "with itself"
            )
            how = (
                f"a control takes the place of {labels.get(of, of)}: name another arm, such as a "
                "baseline or one trained once more"
            )
            raise ExperimentError(f"{text.at('claim', i, key)}: {told}; {how}")
    for c in read.columns:
        have = there[c.arm or of].axes if (c.arm or of) in there else (c.name,)
        if c.name not in (offered := (*have, *made_of(tuple(have)))):
            raise ExperimentError(
                f"{text.at('claim', i, 'holds')}: arm {c.arm or of} has no measure "
                f"{c.name!r}; {nearest(c.name, offered)}"
            )
    units = said.units or missing.units(owned, (of, *read.parsed.arms))
    for unit in units:
        if of in there and unit not in (known := there[of].units):
            raise ExperimentError(
                f"{text.at('claim', i, 'units')}: what arm {of} measures has no unit "
                f"{unit!r}; {nearest(unit, known)}"
            )
    for c in read.columns:
        for arm in (
            m
            for m in ((of, *said.control, *said.planted) if c.arm in (None, of) else (c.arm,))
            if m in there
        ):
            try:
                hold(
                    dataclasses.replace(c, arm=arm),
                    there[arm].axes,
                    units,
                    settled=there[arm].settled,
                    loosely=c.name == read.equal,
                )
            except ClaimError as e:
                raise ExperimentError(f"{text.at('claim', i, 'holds')}: {e}") from None
    try:
        return claim(msgspec.structs.replace(said, units=units), of, read)
    except ClaimError as e:
        raise ExperimentError(f"{text.at('claim', i)}: {e}") from None


def _named(
    text: Text,
    i: int,
    holds: Sequence[str],
    arms: Mapping[str, Arm],
    owned: Sequence[dictionaries.Part],
) -> dict[str, Iterable[str]]:
    """The arms that a claim names, by where it does. Raises: ExperimentError for one that the study
    has not."""
    said = text.study.claim[i]
    named: dict[str, Iterable[str]] = {
        "holds": holds,
        "control": said.control,
        "near": said.near,
        "also": said.also,
        "planted": said.planted,
    }
    for key, names in named.items():
        for name in names:
            if name not in arms:
                own = {p.label: p.said.label for p in owned}
                there = _per_run(text, name) or nearest(name, (own.get(a) or a for a in arms))
                raise ExperimentError(
                    f"{text.at('claim', i, key)}: the study has no arm {name!r}; {there}"
                )
    return named


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


def _can_be_judged(text: Text, i: int, read: Condition, made: Experiment) -> None:
    """Refuse a claim for which an arm has no runs, or runs that it does not tell apart: better
    before training than after."""
    said = text.study.claim[i]
    of = next(c.of for c in made.claims[i : i + 1] if isinstance(c, Claim))
    units = next(c.units for c in made.claims[i : i + 1] if isinstance(c, Claim))
    for arm in dict.fromkeys((of, *read.parsed.arms, *said.control, *said.planted)):
        if made.arms[arm].train is None:
            continue
        specs = made.specs_of(arm, made.default)
        kept = [s for s in specs if all(getattr(s, k, None) == v for k, v in said.where.items())]
        if not kept:
            raise ExperimentError(
                f"{text.at('claim', i, 'where')}: {_none_there(arm, specs, said.where)}"
            )
        apart = [
            n
            for n in per_run_fields(type(kept[0]))
            if n != "seed" and n not in units and len({getattr(s, n) for s in kept}) > 1
        ]
        if read.equal and len(apart) != 1:
            told = (
                f"at equal {read.equal} needs runs of {arm} that differ in one field; they differ "
                f"in {', '.join(apart) or 'nothing but the seed'}"
            )
            raise ExperimentError(f"{text.at('claim', i, 'holds')}: {told}")
        if apart and not read.equal:
            levels = ", ".join(map(str, sorted({getattr(s, apart[0]) for s in kept})))
            how = (
                f"say which is meant with where = {{ {apart[0]} = … }}, compare at equal l0, say, "
                "or make an arm of each value with paired"
            )
            raise ExperimentError(
                f"{text.at('claim', i)}: the runs of {arm} differ in {apart[0]} ({levels}); {how}"
            )


def _apart(text: Text, found: Sequence[Side], seeds: Sequence[int]) -> None:
    """Refuse the same runs under two labels: what they have in common is no evidence, and one would
    be a control of the other that cannot pass."""
    for side, other in itertools.combinations(found, 2):
        if side.of.name == other.of.name and set(side.specs(side.part.preset, seeds)) & set(
            other.specs(other.part.preset, seeds)
        ):
            at = text.at("experiment", text.study.experiment.index(other.part))
            one, two = (f"{s.label}/main" if s.label else "main" for s in (side, other))
            raise ExperimentError(
                f"{at}: {one} and {two} have the same runs; leave one out, or set a field in "
                "which they differ"
            )


def _can_come_out(
    text: Text, i: int, read: Condition, made: Experiment, borrowed: Mapping[str, Arm]
) -> None:
    """Refuse a control with the same runs as an arm that it would be compared with: the difference
    is nought, so that it cannot but fail."""
    said, of = (
        text.study.claim[i],
        next(c.of for c in made.claims[i : i + 1] if isinstance(c, Claim)),
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
            (inspect.unwrap(arm.train), inspect.unwrap(arm.measure or made.measure), spec)
            for spec in made.specs_of(name, made.default)
        }

    for control, other in itertools.product(said.control, (a for a in read.parsed.arms if a != of)):
        if runs(control) & runs(other):
            told = (
                f"{control} has the same runs as {other}, with which it would be compared, so "
                "that it cannot but fail"
            )
            raise ExperimentError(
                f"{text.at('claim', i, 'control')}: {told}; name an arm that could come out "
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
    told = (
        f"it has {', '.join(have)}"
        if have
        else nearest(field, (f.name for f in dataclasses.fields(specs[0])))
    )
    return f"arm {arm} has no run with {field} = {where.get(field)}; {told}"


def _words(
    found: Sequence[Side], owned: Sequence[dictionaries.Part], seeds: Sequence[int]
) -> Words:
    """Say for what verdicts speak in the words of the experiments and dictionaries that they
    read."""

    def words(preset: str, runs: Mapping[str, tuple[Spec, ...]]) -> str:
        measured = [p for p in owned if p.label in runs]
        trained = {p.trains.arm: p.trains.specs(preset) for p in measured if p.trains}
        phrases = sides.scopes(found, preset, seeds, {**trained, **runs})
        return "; ".join(dict.fromkeys([*phrases, *(p.scope for p in measured)]))

    return words


def _page(text: Text, found: Sequence[Side], owned: Sequence[dictionaries.Part]) -> str:
    """What a reader of the report must know: the question, what stands beside what, and what was
    left out."""
    lines = [f"**The question.** {text.study.question}", ""]
    lines += [
        f"- {f'`{s.label}/…`' if s.label else 'Arms without a label'}: {s.told}." for s in found
    ]
    lines += [
        (
            f"- `{p.label}`{f' ({p.said.label})' if p.said.label not in ('', p.label) else ''}: "
            f"{p.told}."
        )
        for p in owned
    ]
    left = {s.of.name: [name for name in s.of.arms if name not in s.arms] for s in found}
    for name, arms in left.items():
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
            at = text.at("experiment", text.study.experiment.index(side.part), "fields")
            raise ExperimentError(f"{at}: {side.of.name} cannot read what it needs: {e}") from e

    return inputs


def _cost(by_class: Mapping[type, Side]) -> Callable[[Runs[Any]], Cost] | None:
    if not all(side.of.cost for side in by_class.values()) or not by_class:
        return None

    def cost(runs: Runs[Any]) -> Cost:
        side = by_class.get(type(runs.specs[0]))
        return side.of.cost(runs) if side is not None and side.of.cost else Cost()

    return cost


def _times(
    found: Sequence[Side], owned: Sequence[dictionaries.Part], seeds: Sequence[int], together: int
) -> dict[str, float]:
    """CPU-seconds of a run of each arm, as far as records, or the size of a dictionary's model,
    tell."""
    times = {arm: seconds for side in found for arm, seconds in sides.expected(side, seeds).items()}
    return times | {
        part.label: seconds for part in owned if (seconds := part.seconds(together)) is not None
    }
