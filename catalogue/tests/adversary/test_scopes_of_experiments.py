"""Scopes under attack: each field of each experiment set to another value has to show, and once.

Nothing is trained. Truth comes from outside: what was set; and that a number of a sentence which no
field moves is no field's value.
"""

import re
from dataclasses import fields, replace
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from assay.core.errors import AssayError
from assay.lab import catalogue
from assay.lab.plan.preset import override, scope
from assay.subjects.fetch import SMOLLM2

ENTRIES = [entry.name for entry in catalogue.entries()]
NUMBERS = {
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "eleven": 11,
    "twelve": 12,
    "thirteen": 13,
    "twenty": 20,
}
CONSTANTS = {
    "gated-ablations": {32},  # a width that its claims need as it is
    "dictionary-weights": {1},  # blocks of its models
    "lock-step": {2},  # coordinates that every example moves together
    "memorisation": {64},  # symbols of its world
    "superposition-collapse": {20},  # starts in a unit
    "targets": {1},  # blocks of its models
}
"""Numbers of a sentence that are constants, and by chance the value of a field as well."""
SPELLED = {"stdlib": "standard library", "docs": "documentation"}


def candidates(spec, name):
    """Other values of a field as they are typed, from near to far; most are legal."""
    value, hint = getattr(spec, name), get_type_hints(type(spec))[name]
    values = []
    for option in (hint, *get_args(hint)):
        values += get_args(option) if get_origin(option) is Literal else []
    if isinstance(value, bool):
        values += [not value]
    elif isinstance(value, int):
        values += [2 * value, value + 1, value + 2, value // 2, 3 * value, value - 1]
        values += [value + 24, value + 100, 31, 53]
    elif isinstance(value, float):
        values += [value * 1.5, value / 2, value * 0.9, value + 0.5, value - 0.5, -1.5]
    elif isinstance(value, tuple):
        if not any(isinstance(x, str) for x in value):
            scaled = [[x * (3 if isinstance(x, int) else by) for x in value] for by in (0.95, 1.1)]
            values += map(tuple, scaled)
        values += [value[:-1], value[1:], (0.1,)]
    elif isinstance(value, str):
        values += ["./elsewhere"]
    texts = (
        ",".join(map(str, v)) if isinstance(v, tuple) else str(v) for v in values if v != value
    )
    return [text for text in dict.fromkeys(texts) if text]


def parts(experiment, text=""):
    """The scope at the smoke preset with a field set: the sentence, and what is named after it."""
    preset = override(experiment, "smoke", [text] if text else [])
    sentence, _, rest = scope(experiment, preset).partition("; preset smoke")
    return sentence, rest


def legal(experiment, name, most):
    """Legal texts of a field, each with the sentence and what is named after it."""
    accepted = 0
    for text in candidates(experiment.smoke[0], name):
        if accepted < most:
            try:
                yield (text, *parts(experiment, f"{name}={text}"))
                accepted += 1
            except AssayError:
                continue


def alone(experiment):
    """The experiment without any arm but main and the one that it builds on."""
    names = ("main", experiment.arms["main"].after)
    return replace(experiment, arms={n: experiment.arms[n] for n in names if n}, claims=())


def numbers(sentence):
    """All numbers of a sentence in digits and in words, but for those of a model's name."""
    text = re.sub(rf"{re.escape(SMOLLM2.model)}( \(4-bit( Q4_1)?\))?", "", sentence).lower()
    digits = re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?", text)
    words = [NUMBERS[word] for word in re.findall("[a-z]+", text) if word in NUMBERS]
    return [*(float(n.replace(",", "")) for n in digits), *words, *([1.0] * text.count("one-"))]


def values(spec, name):
    """The values of a field that a sentence could write out."""
    value = getattr(spec, name)
    return value if isinstance(value, tuple) else (value,)


def parsed(text):
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        return text


def problems(name, most):
    """Count the fields that could be changed, and list the changes that show not at all or
    twice."""
    experiment = catalogue.find(name)
    sentence, _ = parts(experiment)
    changed, wrong = set(), []
    for field in (f.name for f in fields(experiment.smoke[0])):
        for text, now, rest in legal(experiment, field, most):
            changed.add(field)
            named = re.findall(rf"\b{field}=([^ ;]*)", rest)
            if (now != sentence) + len(named) != 1:
                wrong.append(f"{name}, {field}={text}: {now}{rest}")
            if named and parsed(named[0]) != parsed(text):
                wrong.append(f"{name}, {field}={text} is named as {named[0]}")
    return len(changed), wrong


@pytest.mark.parametrize("name", ENTRIES)
def test_whatever_is_set_shows_once(name):
    changed, wrong = problems(name, 1)
    assert not wrong, "\n".join(wrong)
    assert changed >= len(fields(catalogue.find(name).smoke[0])) / 3  # the rest is for arms to set


@pytest.mark.slow
@pytest.mark.parametrize("name", ENTRIES)
def test_whatever_is_set_shows_once_at_many_values(name):
    _, wrong = problems(name, 8)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", ENTRIES)
def test_no_sentence_writes_out_what_a_field_holds(name):
    """A number that no legal change of a field removes is no field's value; nor is such a word."""
    experiment = alone(catalogue.find(name))
    first, (sentence, _) = experiment.smoke[0], parts(experiment)
    before, fixed, held = numbers(sentence), set(numbers(sentence)), set()
    for field in (f.name for f in fields(first)):
        sentences = [now for _, now, _ in legal(experiment, field, 3)]
        for after in map(numbers, sentences):
            fixed -= {n for n in before if after.count(n) < before.count(n)}
        for value in values(first, field) if sentences else ():
            if isinstance(value, str) and len(value) > 2:
                word = SPELLED.get(value, value)
                if re.search(rf"\b{word}\b", sentence, re.IGNORECASE):
                    assert sentence not in sentences, f"{sentence!r} says {word} for any {field}"
            elif isinstance(value, int | float) and not isinstance(value, bool):
                held.add(float(value))
    literal = (fixed & held) - CONSTANTS.get(name, set())
    assert not literal, f"{sentence!r} says {literal}, and no change of a field moves that"


def study(path, setting, name="sae-zoo", control="relu", where=""):
    """A study of an experiment, with a field set."""
    path.write_text(f"""
question = "?"
seeds = "1000000:1000006"

[[experiment]]
name = "{name}"
fields = {{ {setting} }}

[[claim]]
text = "Less than half is left unexplained"
holds = "main.fvu < 0.5"
control = ["{control}"]
threshold = "plan: half"
units = ["seed", "document"]
{where}
""")
    return catalogue.find(str(path))


@pytest.mark.parametrize("of", [(), ("gated-sae", "no-aux", "where = { penalty = 0.2 }")])
def test_a_study_names_the_block_that_it_reads_and_no_other(tmp_path, of):
    experiment = study(tmp_path / "s.toml", "layer = 20", *of)
    for preset in ("default", "smoke"):
        text = scope(experiment, override(experiment, preset))
        assert re.findall(r"\b(?:block|layer)\W*(\w+)", text) == ["20"], text


def test_a_verdict_of_a_study_names_the_sides_that_it_reads(tmp_path):
    blocks = study(tmp_path / "s.toml", "layer = [5, 20], width = 256")
    both = blocks.scope_of("default", read=("main", "layer=20/main"))
    assert "before block 5 and 20" in both and "width 256" in both and "9" not in both
    second = blocks.scope_of("default", read=("layer=20/relu",))
    assert "before block 20," in second and "5 and" not in second
    widths = study(tmp_path / "w.toml", "width = [256, 512]")
    words = widths.scope_of("default", read=("main", "width=512/main"))
    assert words.endswith(", width 256 and 512")
