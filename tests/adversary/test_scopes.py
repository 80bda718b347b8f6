"""Scopes under attack: every field of every experiment set to another legal value; a scope has to tell it, and once.

Nothing is trained. Truth comes from outside: what was set, and that a number in a sentence which no field moves is no field's value.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import xarray as xr

from assay.core import Arm, Claim, Experiment, Spec, grid
from assay.core.errors import AssayError
from assay.lab import catalogue, result
from assay.lab.preset import Preset, override, scope
from assay.subjects.fetch import MODEL

ENTRIES = [entry.name for entry in catalogue.entries()]
NUMBERS = dict(zip("two three four five six seven eight nine ten eleven twelve thirteen twenty".split(), (*range(2, 14), 20), strict=True))
CONSTANTS = {
    "dictionary-weights": {1},  # blocks of its models
    "lock-step": {2},  # coordinates that every example moves together
    "memorisation": {64},  # symbols of its world
    "streetlight": {24},  # concepts of its list
    "superposition-collapse": {20},  # starts in a unit
}
"""Numbers of a sentence that are constants of the experiment, and by chance a field's value as well."""
SPELLED = {"stdlib": "standard library", "docs": "documentation"}


def others(spec: Spec, name: str) -> Iterator[str]:
    """Other values of a field as they are typed, from near to far; most are legal."""
    value = getattr(spec, name)
    found: list[Any] = []
    for option in (get_type_hints(type(spec))[name], *get_args(get_type_hints(type(spec))[name])):
        found += get_args(option) if get_origin(option) is Literal else []
    if isinstance(value, bool):
        found += [not value]
    elif isinstance(value, int):
        found += [2 * value, value + 1, value + 2, value // 2, 3 * value, value - 1, value + 24, value + 100, 31, 53]
    elif isinstance(value, float):
        found += [value * 1.5, value / 2, value * 0.9, value + 0.5, value - 0.5, -1.5]
    elif isinstance(value, tuple):
        found += [tuple(x * (3 if isinstance(x, int) else by) for x in value if not isinstance(x, str)) for by in (0.95, 1.1)]
        found += [value[:-1], value[1:], (0.1,)]
    elif isinstance(value, str):
        found += ["./elsewhere"]
    for other in found:
        if other != value and other != ():
            yield ",".join(map(str, other)) if isinstance(other, tuple) else str(other)


def told(experiment: Experiment, text: str = "") -> tuple[str, str]:
    """The scope at the smoke preset with a field set: the sentence, and what is named after it."""
    found = scope(experiment, override(experiment, "smoke", [text] if text else []))
    sentence, _, rest = found.partition("; preset smoke")
    return sentence, rest


def legal(experiment: Experiment, name: str, most: int) -> Iterator[tuple[str, str, str]]:
    """Legal texts of a field, each with the sentence and what is named after it."""
    found = 0
    for value in dict.fromkeys(others(experiment.smoke[0], name)):
        if found < most:
            try:
                yield (value, *told(experiment, f"{name}={value}"))
            except AssayError:
                continue
            found += 1


def alone(experiment: Experiment) -> Experiment:
    """The experiment without any arm but main and those it builds on, so that every number of its sentence is of main's runs."""
    kept = {name: experiment.arms[name] for name in ("main", experiment.arms["main"].after) if name is not None}
    return replace(experiment, arms=kept, claims=())


def numbers(sentence: str) -> list[float]:
    """All numbers of a sentence in digits and in words, but for those of a model's name."""
    text = re.sub(rf"{re.escape(MODEL)}( \(4-bit Q4_1\)| \(4-bit\))?", "", sentence).lower()
    digits = [float(n.replace(",", "")) for n in re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?", text)]
    return [*digits, *(float(NUMBERS[w]) for w in re.findall("[a-z]+", text) if w in NUMBERS), *(1.0 for _ in re.findall(r"\bone-", text))]


def values(spec: Spec, name: str) -> list[Any]:
    """The values of a field that a sentence could write out."""
    value = getattr(spec, name)
    return list(value) if isinstance(value, tuple) else [value]


def statements(name: str, most: int) -> tuple[int, list[str]]:
    """Count the changes of an experiment's fields that could be made, and tell each that its scope does not tell exactly once."""
    experiment = catalogue.find(name)
    sentence, _ = told(experiment)
    problems, made = [], 0
    for field in (f.name for f in fields(experiment.smoke[0])):
        for value, now, rest in legal(experiment, field, most):
            made += 1
            here = f"{name}: {field}={value}"
            named = re.findall(rf"\b{field}=([^ ;]*)", rest)
            if (now != sentence) == bool(named) or len(named) > 1:
                problems.append(f"{here} is told {int(now != sentence) + len(named)} times: {now}{rest}")
            if named and not parsed(named[0]) == parsed(value):
                problems.append(f"{here} is told as {named[0]}")
    return made, problems


def parsed(text: str) -> Any:
    try:
        return [float(part) for part in text.strip("(),").replace(" ", "").split(",")]
    except ValueError:
        return text


@pytest.mark.parametrize("name", ENTRIES)
def test_whatever_is_set_is_told_once(name: str) -> None:
    made, problems = statements(name, 1)
    assert not problems, "\n".join(problems)
    assert made >= len(fields(catalogue.find(name).smoke[0])) / 3  # the others are for arms to set


@pytest.mark.parametrize("name", ENTRIES)
def test_no_sentence_writes_out_what_a_field_holds(name: str) -> None:
    """Of the numbers of a sentence, those that no legal change of a field removes are no field's value; nor is a word of it."""
    experiment = alone(catalogue.find(name))
    sentence, _ = told(experiment)
    left, found = numbers(sentence), {}
    for field in (f.name for f in fields(experiment.smoke[0])):
        if changes := list(legal(experiment, field, 3)):
            found[field] = changes
            for _, now, _ in changes:
                for gone in set(numbers(sentence)) - set(numbers(now)) | {n for n in left if numbers(now).count(n) < numbers(sentence).count(n)}:
                    left = [n for n in left if n != gone]
    held = {float(v) for f in found for v in values(experiment.smoke[0], f) if isinstance(v, int | float) and not isinstance(v, bool)}
    assert not (set(left) & held) - CONSTANTS.get(name, set()), f"{sentence!r} says {left}, and no change of a field moves them"
    for field in found:
        for value in (v for v in values(experiment.smoke[0], field) if isinstance(v, str) and len(v) > 2):
            word = SPELLED.get(value, value)
            if re.search(rf"\b{word}\b", sentence, re.IGNORECASE):
                assert all(now != sentence for _, now, _ in found[field]), f"{sentence!r} says {word}, whatever {field} is"


@pytest.mark.slow
@pytest.mark.parametrize("name", ENTRIES)
def test_whatever_is_set_is_told_once_at_many_values(name: str) -> None:
    _, problems = statements(name, 8)
    assert not problems, "\n".join(problems)


def study(path: Path, field: str, name: str = "sae-zoo", control: str = "relu", where: str = "") -> Experiment:
    """A study of an experiment, with a field set."""
    path.write_text(
        f'question = "?"\nseeds = "1000000:1000006"\n[[experiment]]\nname = "{name}"\nfields = {{ {field} }}\n'
        f'[[claim]]\ntext = "t"\nholds = "main.fvu < 0.5"\ncontrol = ["{control}"]\nthreshold = "plan: half"\n{where}'
    )
    return catalogue.find(str(path))


@pytest.mark.parametrize("asked", [(), ("gated-sae", "no-aux", "where = { penalty = 0.2 }")])
def test_a_study_says_where_it_looked_and_nowhere_else(tmp_path: Path, asked: tuple[str, ...]) -> None:
    made = study(tmp_path / "s.toml", "layer = 20", *asked)
    for preset in ("default", "smoke", "full"):
        found = scope(made, override(made, preset))
        assert len(re.findall(r"\b(block|layer)\W", found)) == 1 and "block 20" in found, found


def test_a_study_of_two_places_names_both_and_one_of_widths_all(tmp_path: Path) -> None:
    made = study(tmp_path / "s.toml", "layer = [5, 20], width = 256")
    found = made.scope_of("default", read=("main", "layer=20/main"))
    assert "before block 5 and 20" in found and "width 256" in found and "9" not in found
    only = made.scope_of("default", read=("layer=20/topk",))
    assert "before block 20," in only and "5 and" not in only
    wide = study(tmp_path / "w.toml", "width = [256, 512]")
    assert wide.scope_of("default", read=("main", "width=512/main")).endswith(", width 256 and 512")


@dataclass(frozen=True, kw_only=True)
class Place(Spec):
    place: str = "a plain"
    size: int = 8


def _never(runs: Any, bench: Any) -> Any:
    raise AssertionError("nothing is trained here")


def placed(*, claims: tuple[Claim, ...] = ()) -> Experiment[Place]:
    """An experiment whose arms lie at two places, and one derived from the farther."""
    return Experiment(
        arms={
            "main": Arm(_never),
            "far": Arm(_never, specs=lambda main: tuple(s.replace(place="a hill", size=9) for s in main)),
            "shifted": Arm(derive=lambda arms: arms["far"] + 1.0),
        },
        measure=_never, claims=claims, scope="{place}, {size} steps wide", name="places",
        smoke=grid(Place(), seed=range(2)), default=grid(Place(), seed=range(1000, 1008)), full=grid(Place(), seed=range(1000, 1008)),
    )  # fmt: skip


def test_a_verdict_speaks_for_the_arms_that_it_reads_and_no_others() -> None:
    def claim(text: str, of: str, value: Any, control: str) -> Claim:
        return Claim(text=text, of=of, value=value, low=0.5, unit="1", units=("seed",), must_fail=(control,), threshold_from="plan: half", source="us")

    one = claim("near", "main", lambda arm, arms: arm.x, "far")
    both = claim("both", "main", lambda arm, arms: arm.x - arms["far"].x, "shifted")
    derived = claim("derived", "shifted", lambda arm, arms: arm.x, "far")
    experiment = placed(claims=(one, both, derived))
    noise = np.random.default_rng(0).normal(0, 0.01, 8)
    arms = {n: xr.Dataset({"x": ("run", m + noise)}, {"seed": ("run", np.arange(1000, 1008))}) for n, m in (("main", 1.0), ("far", 0.0))}
    preset = override(experiment)
    found = result.judge_statements(
        experiment.claims, result.with_derived(experiment, arms), scope=lambda read, where: scope(experiment, preset, read, where)
    )
    scopes = {j.claim.text: (j.verdict.scope, *(c.scope for c in j.controls.values())) for j in found.judged}
    assert scopes == {
        "near": ("over 8 seeds; a plain, 8 steps wide", "over 8 seeds; a hill, 9 steps wide"),
        "both": ("over 8 seeds; a plain and a hill, 8 and 9 steps wide", "over 8 seeds; a hill, 9 steps wide"),
        "derived": ("over 8 seeds; a hill, 9 steps wide", "over 8 seeds; a hill, 9 steps wide"),
    }


def test_runs_that_a_claim_leaves_out_are_not_spoken_for() -> None:
    experiment = placed()
    mixed = Preset("default", tuple(itertools.chain(experiment.default, (s.replace(size=64) for s in experiment.default))))
    assert "8 and 64 steps" in scope(experiment, mixed)
    assert "64 steps" in (found := scope(experiment, mixed, (), MappingProxyType({"size": 64}))) and "8 and" not in found


def test_a_scope_that_names_no_field_is_refused_before_anything_is_trained() -> None:
    for words, why in (("{plaice}", "plaice"), ("{place", "brace"), ("{size:q}", "size")):
        with pytest.raises(AssayError, match=f"scope.*{why}"):
            replace(placed(), scope=words)
