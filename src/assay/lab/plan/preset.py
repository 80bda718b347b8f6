"""Preset: which specs are asked for, and what `--set` changed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

from assay.core import scopes
from assay.core.errors import Argument, AssayError, Command, SpecError, nearest
from assay.core.experiment import Experiment
from assay.core.runs import Runs
from assay.core.spec import Spec, canonical_json, field_value, per_run_fields, ranges, with_values
from assay.lab.store.origin import STUDIES

Where = Mapping[str, Any]
"""Values that fields of the runs have which a claim reads."""


@dataclass(frozen=True)
class Preset:
    """A named set of specs; `title` names its result: the preset, and 8 hex digits of what was
    changed."""

    name: str
    specs: tuple[Spec, ...]
    sets: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """`default`, or `default-1a2b3c4d` when fields were changed."""
        if not self.sets:
            return self.name
        return f"{self.name}-{hashlib.sha256(canonical_json(sorted(self.sets)).encode()).hexdigest()[:8]}"  # noqa: E501

    @property
    def options(self) -> str:
        """What to type after `assay run NAME` to get this preset: options, with a space before
        each."""
        return str(self.run("")).removeprefix("assay run ")

    def run(self, experiment: str) -> Command:
        """Give the command that runs this preset of an experiment, by the name or path that is
        typed for it."""
        return Command(experiment, self.name, self.sets)

    def of_seeds(self, seeds: Set[int]) -> Preset:
        """Give the specs of these seeds alone, under the same title."""
        return replace(self, specs=tuple(s for s in self.specs if s.seed in seeds))

    def but(self, text: str) -> Preset:
        """Put this field=value in the place of what was set of the field; without specs, for its
        options."""
        field = text.partition("=")[0]
        return Preset(
            self.name,
            (),
            tuple(sorted([s for s in self.sets if s.partition("=")[0] != field] + [text])),
        )


MOST = 100_000
"""Runs of one arm that a command takes; asked for more, it would hold the machine long before
anything is trained."""


def override(experiment: Experiment, preset: str = "default", sets: Sequence[str] = ()) -> Preset:
    """The preset with fields set by texts `field=value`; equal specs are asked for once.

    A per-run field also takes several values, `penalty=0.1,0.3`, or a range of integers,
    `seed=1000:1016`: each spec is then repeated with each of them.

    Raises: ExperimentError for an unknown preset; SpecError for an unknown field, a wrong type or
    an impossible value."""
    specs: tuple[Any, ...] = experiment.preset(preset)
    if not specs:
        raise SpecError(f"preset {preset!r} of {experiment.name} has no specs")
    experiment = experiment.designed(specs[:1])
    for text in sets:
        specs = _set(specs, text, experiment)
    chosen = Preset(
        preset,
        specs,
        tuple(sorted(f"{n.strip()}={v.strip()}" for n, _, v in (s.partition("=") for s in sets))),
    )
    for arm in (name for name, a in experiment.arms.items() if a.train is not None):
        try:
            if arm_specs := experiment.specs_of(arm, chosen.specs):
                Runs(arm_specs)  # all runs of an arm share their static fields
        except AssayError:
            raise
        except Exception as e:
            raise SpecError(
                f"arm {arm} makes no specs of {' '.join(sets) or preset}: {type(e).__name__}: {e}"
            ) from e
    for name, sentence in experiment.frozen.items():
        if {getattr(s, name) for s in specs} != {was := getattr(experiment.default[0], name)}:
            raise SpecError(
                f"{name} of {experiment.name} cannot be set: {sentence} would be false; "
                f"leave it at {was}, or ask in other words, in a study"
            )
    # a size that a sentence names and nothing has is reported before anything is trained
    experiment.sized(chosen.specs)
    return chosen


def _set(specs: tuple[Any, ...], text: str, experiment: Experiment) -> tuple[Any, ...]:
    """Return specs with a field set by a text `field=value`, each for every value that it names.
    Raises: SpecError."""
    cls = type(specs[0])
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals:
        fields_known = ", ".join(
            f"{n}={getattr(specs[0], n)}" + (f" ({range_text})" if range_text else "")
            for n, range_text in ranges(cls).items()
        )
        raise SpecError(
            Argument("sets", option="--set"),
            f" needs field=value, got {text!r}; fields, as they are: {fields_known}",
        )
    if name not in (names := [f.name for f in fields(cls)]):
        if experiment.origin.endswith(STUDIES):
            raise SpecError(f"--set cannot change {name} in a study; change it in the study's file")
        raise SpecError(f"the runs have no field {name}; {nearest(name, names)}")
    values = _values(value) if name in per_run_fields(cls) else [value]
    if len(specs) * len(values) > MOST:
        raise SpecError(
            f"{text} makes {len(specs) * len(values):,} runs of an arm; one command takes "
            f"up to {MOST:,}"
        )
    return tuple(dict.fromkeys(with_values(s, {name: v}) for s in specs for v in values))


def apply_preset(experiment: Experiment, preset: Preset) -> Experiment:
    """Give the experiment with the sizes of a preset in every sentence. Raises: SpecError for sizes
    that a sentence lacks."""
    return experiment.sized(preset.specs) if preset.specs else experiment


def spelled(spec: Spec, field: str, value: Any) -> tuple[Any, ...]:
    """The values that a field is given by one value, a list of them, or a range of whole numbers
    such as "0:6".

    A list that the field takes as it is, as several numbers in one, is one value. Raises: SpecError
    for what the field cannot be."""
    try:
        return (field_value(type(spec), field, value),)
    except SpecError:
        if isinstance(value, list) and value:
            return tuple(
                dict.fromkeys(field_value for v in value for field_value in spelled(spec, field, v))
            )
        if (
            isinstance(value, str)
            and (":" in value or "-" in value)
            and len(several := _values(value)) > 0
            and all(v.isdecimal() for v in several)
        ):
            return tuple(dict.fromkeys(field_value(type(spec), field, int(v)) for v in several))
        raise


def scope(
    experiment: Experiment,
    preset: Preset,
    read: Iterable[str] = (),
    where: Where = MappingProxyType({}),
) -> str:
    """Say for what verdicts of this preset speak that read these arms, each field once.

    The experiment's own words come first, whose braces show most of what was set; then what they do
    not show. Only runs count whose fields have the values in `where`.
    """
    experiment = apply_preset(experiment, preset)
    more = unspoken(experiment, preset.name, preset.specs, read)
    parts = [f"changed: {', '.join(f'{n}={_typed(v)}' for n, v in more.items())}"] if more else []
    words = experiment.scope_of(preset.name, preset.specs, read, where)
    if parts or preset.name != "default":
        return "; ".join(filter(None, (words, ", ".join([f"preset {preset.name}", *parts]))))
    return words


def scope_by_reading(
    experiment: Experiment, preset: Preset
) -> Callable[[Iterable[str], Where], str]:
    """Make `scope` a function of what is read; hundreds of verdicts read the same few arms."""
    phrases: dict[tuple[frozenset[str], str], str] = {}

    def speaks(read: Iterable[str], where: Where) -> str:
        cache_key = frozenset(read), repr(where)
        if cache_key not in phrases:
            phrases[cache_key] = scope(experiment, preset, cache_key[0], where)
        return phrases[cache_key]

    return speaks


def unspoken(
    experiment: Experiment, preset: str, specs: tuple[Spec, ...], read: Iterable[str] = ()
) -> dict[str, tuple[Any, ...]]:
    """Find the fields in which specs differ from those of a preset and of which the experiment's
    words show nothing, each with its values now."""
    base = experiment.preset(preset)

    def shows(name: str, values: tuple[Any, ...]) -> bool:
        try:
            changed_specs = tuple(
                dict.fromkeys(s.replace(**{name: v}) for s in base for v in values)
            )
            words = experiment.scope_of(preset, changed_specs, read)
        except AssayError:  # a field that only goes with others is named as well
            return False
        return words != experiment.scope_of(preset, base, read)

    changed = scopes.changes(specs, base)
    return {n: values for n, values in changed.items() if n == "seed" or not shows(n, values)}


def _typed(values: Sequence[Any]) -> str:
    """The values of a field as they are typed after its name."""
    first = values[0]
    if len(values) > 1 and values == tuple(range(first, first + len(values))):
        return f"{first}:{first + len(values)}"
    return ",".join(str(x) for v in values for x in (v if isinstance(v, tuple) else (v,)))


def _values(text: str) -> list[str]:
    first, colon, last = (part.strip() for part in text.partition(":"))
    if colon and first.isdecimal() and last.isdecimal():
        if max(len(first), len(last)) > 18 or int(last) - int(first) > MOST:
            raise SpecError(f"a range has up to {MOST:,} values, got {text[:60]}")
        if int(last) <= int(first):
            raise SpecError(f"a range needs first:end with end above first, got {text}")
        return [str(i) for i in range(int(first), int(last))]
    if dashed := re.fullmatch(r"(\d{1,18})\s*-\s*(\d{1,18})", text.strip()):
        start, end = map(int, dashed.groups())
        raise SpecError(
            f"a range ends before its second number; write {start}:{end + 1}, not {text.strip()}"
        )
    return [t for t in text.split(",") if t.strip()] or [text]
