"""Sentences name sizes that are trained: whatever field is set, none keeps a number that the
default preset alone trains."""

import dataclasses
import re
import typing

import pytest

from assay.core import Arm, Claim, Exact, Experiment, PerRun, Spec, changed, grid
from assay.core.errors import AssayError, SpecError
from assay.core.spec import _alternatives, _hints
from assay.lab import catalogue
from assay.lab.judge import recording
from assay.lab.judge.result import with_derived
from assay.lab.plan.preset import apply_preset, override
from assay.lab.records import records

WORDS = dict(
    zip(
        ("three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
        range(3, 13),
        strict=True,
    )
)
WORDS |= {"sixteen": 16, "twenty": 20, "thirty": 30}
NUMBER = re.compile(
    r"(?<![\w.−])(?:\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)(?:e-?\d+)?|[a-z]+", re.IGNORECASE
)
NO_SIZE = re.compile(
    r"-?\s?(times|×|deviations|nat\b|others? |other networks|tokens that is written)"
)
"""What stands behind a number that is a ratio, or a margin in its unit."""
SPARED = {
    "belief-states": {
        (
            "ten",
            "0.05",
            "0.1",
        ): "exact statements about the processes alone, and margins of claims of old"
    },
    "clt-faithful": {
        ("1",): "the noise of two arms, a constant",
        ("0.1",): "the largest FVU of a dictionary that is asked",
    },
    "compute-planner": {
        ("24",): "toys that are foreseen, a constant",
        ("3", "three"): "GPT-3, and orders of magnitude",
    },
    "deep-linear": {("10", "3"): "where a rise begins; a closed form"},
    "eval-schedule": {("4.4", "4.7"): "histories worked out by hand"},
    "gated-ablations": {
        ("5",): "an L0 at which sweeps are compared",
        ("0.4",): "the sigmoid gate's λ",
    },
    "glitch-tokens": {
        ("16",): "occurrences, a constant",
        ("2,000", "3e-3", "0.1", "2"): "closed forms, and a share of all tokens",
    },
    "interpretable-capability": {("eight", "four"): "sizes of a ladder, and half of them"},
    "llc": {("10", "ten", "100"): "closed forms at settings of their own"},
    "mamba-induction": {("3",): "positions after a value"},
    "memorisation": {("12", "8"): "copies that are planted, constants"},
    "myopia": {("3", "4", ".1"): "closed forms of games of their own"},
    "s-curves": {
        ("0.1", "0.2", "0.3", "0.4", "0.5"): "runs from this start alone are read",
        (".5", ".1", "0.02", "10"): "a sum by hand, drops, a margin",
    },
    "superposition": {("0.01",): "runs at this density alone are read"},
    "superposition-llc": {("100", "5"): "batches of an arm, a constant, and a margin"},
    "superposition-phase": {("0.4",): "importances up to this are read, whichever are trained"},
    "targets": {("24",): "principal directions, a constant"},
    "ultra-rare-features": {("32", "4"): "latents that are added, and closed forms"},
}
"""Numbers in sentences that are no size of a training, though a field of the experiment has the
same value, and what they are."""


def numbers(text):
    """Each number that is written into a sentence, as it stands there and as it is; not ratios,
    margins with a unit, and articles."""
    text = re.sub(
        r"\{[^{}]*\}", "{}", getattr(text, "template", text)
    )  # what stands in a place is filled from the specs
    for found in NUMBER.finditer(text):
        word, rest = found[0].lower(), text[found.end() :]
        if NO_SIZE.match(rest) or (word[0].isalpha() and word not in WORDS):
            continue
        value = float(WORDS.get(word) or word.replace(",", ""))
        yield word, value / 100 if rest.startswith(" %") else value


def plain(value):
    """The numbers in a field's value; 0, 1 and 2 stand in too many sentences."""
    found = value if isinstance(value, tuple) else (value,)
    return {float(v) for v in found if isinstance(v, int | float) and not isinstance(v, bool)} - {
        0.0,
        1.0,
        2.0,
    }


def trained(experiment, specs):
    """{arm: {field: its numbers}} of every arm that trains anything."""
    made = {
        name: experiment.specs_of(name, specs)
        for name, arm in experiment.arms.items()
        if arm.train is not None
    }
    names = [f.name for f in dataclasses.fields(specs[0]) if f.name != "seed"]
    return {
        arm: {n: set().union(*(plain(getattr(s, n)) for s in all_)) for n in names}
        for arm, all_ in made.items()
        if all_
    }


def sentences(experiment):
    """(sentence, the arm it is about if it is about one, its thresholds)."""
    for c in experiment.claims:
        margins = (
            {abs(e) for e in (c.low, c.high, *c.fail_range)} if isinstance(c, Claim) else set()
        )
        yield c.text, None, margins
        for reasons in (getattr(c, "near", {}), getattr(c, "also", {})):
            yield from ((why, None, set()) for why in reasons.values())
    for name, arm in experiment.arms.items():
        yield name, None, set()
        yield arm.note, None if arm.derive else name, set()


def false(experiment, preset):
    """The sentences that keep a number which the default preset trains, and this one does not."""
    before = trained(experiment, experiment.default)
    now = trained(experiment, preset.specs)
    gone = {
        arm: set().union(*(before[arm][n] - now[arm][n] for n in now[arm]))
        for arm in before
        if arm in now
    }
    every = set().union(*gone.values())
    spared = {word for words in SPARED.get(experiment.name, {}) for word in words}
    told = []
    for new, arm, margins in sentences(apply_preset(experiment, preset)):
        for word, value in numbers(new):
            if (
                value in (gone.get(arm, set()) if arm else every)
                and value not in margins
                and word not in spared
            ):
                told.append(f"{experiment.name} {preset.options}: {word} in {new!r}")
    return told


def others(spec, field):
    """Texts of other values of a field, of which some may be refused."""
    value = getattr(spec, field)
    named = [
        a for option, _ in _alternatives(_hints(type(spec))[field]) for a in typing.get_args(option)
    ]
    if isinstance(value, bool):
        yield str(not value).lower()
    elif isinstance(value, str):
        yield from (a for a in named if isinstance(a, str) and a != value)
    elif isinstance(value, tuple) and value and isinstance(value[0], int | float):
        yield from (",".join(f"{x * by:g}" for x in value) for by in (0.9, 2.0))
        yield ",".join(map(str, value[:-1]))
    elif isinstance(value, int):
        yield from map(str, (value - 1, value + 1, value // 2, 2 * value, 7, 11))
    elif isinstance(value, float):
        yield from map(str, (0.9 * value, 1.1 * value, value / 2, 0.3))


def settings(experiment):
    """The preset smoke, and the default one with each field set to the first other value
    that is taken."""
    yield override(experiment, "smoke")
    for field in (f.name for f in dataclasses.fields(experiment.default[0]) if f.name != "seed"):
        for text in others(experiment.default[0], field):
            try:
                yield override(experiment, "default", [f"{field}={text}"])
                break
            except AssayError:  # refused with a line of its own
                continue


def few(name):
    """An experiment with its first twenty seeds, as few as any asks for."""
    found = catalogue.find(name)
    first = sorted({s.seed for s in found.default})[:20]
    return dataclasses.replace(found, default=tuple(s for s in found.default if s.seed in first))


@pytest.mark.parametrize(
    "name", ["grokking-efficiency", "grokking-frequencies", "end-to-end", "sycophancy"]
)
def test_no_sentence_keeps_a_size_that_is_not_trained(name):
    experiment = few(name)
    assert [told for preset in settings(experiment) for told in false(experiment, preset)] == []


@pytest.mark.slow
def test_no_sentence_of_the_catalogue_keeps_a_size_that_is_not_trained():
    found = (few(entry.name) for entry in catalogue.entries())
    assert [
        told
        for experiment in found
        for preset in settings(experiment)
        for told in false(experiment, preset)
    ] == []


def test_claims_of_other_sizes_name_those_sizes():
    experiment = catalogue.find("grokking-efficiency")
    now = apply_preset(experiment, override(experiment, "default", ["p=43", "pairs=540"]))
    sizes = sorted(
        {
            s.pairs
            for s in experiment.specs_of(
                "ungrok", override(experiment, "default", ["p=43", "pairs=540"]).specs
            )
        }
    )
    assert (
        now.claims[3].text == f"On {sizes[-1]} of its pairs it has an accuracy of at least 0.6"
        and sizes[-1] == 304
    )
    assert now.claims[6].of == "at-310" in now.arms and "at-460" not in now.arms
    larger = override(experiment, "default", ["p=113", "pairs=3600"])
    assert "3,600 pairs" in apply_preset(experiment, larger).arms["main"].note


def test_a_field_that_a_title_names_is_refused_in_one_line():
    for name, text, says in (
        ("monthly-maximum", "layers=2", "the title"),
        ("eval-schedule", "months=2", "3 months"),
        ("sycophancy", "planted=0.6", "rungs"),
        ("mamba-induction", "layers=2", "one state-space block"),
        ("superposition-llc", "columns=7", "six columns"),
    ):
        with pytest.raises(SpecError, match=says) as e:
            override(catalogue.find(name), "default", [text])
        assert "\n" not in str(
            e.value
        ) and f"leave it at {getattr(catalogue.find(name).default[0], text.split('=')[0])}" in str(
            e.value
        )


@pytest.mark.parametrize(
    ("name", "field", "value", "says"),
    [
        ("sae-zoo", "k", 24, "near 24 features a token"),
        ("mamba-induction", "pairs", 5, "Five pairs of 32 keys"),
        ("capacity", "width", 3, "share 3 dimensions"),
        ("end-to-end", "k", 12, "local, 12 on"),
    ],
)
def test_figures_name_the_sizes_of_what_they_show(name, field, value, says):
    experiment = catalogue.find(name)
    record = records.load_record(experiment, "default")
    arms = with_derived(experiment, recording.arms(experiment, record))
    before = " ".join(words(figure) for figure in experiment.figures(arms))
    for arm in arms.values():
        arm.attrs[field] = value
    assert says in " ".join(words(figure) for figure in experiment.figures(arms))
    assert says not in before
    assert "{" not in before


def words(figure):
    """All that stands beside a figure's marks."""
    labels = {v for column in figure.columns.values() for v in column if isinstance(v, str)}
    return " ".join([figure.title, figure.note, figure.x_title, figure.y_title, *labels])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sized(Spec):
    k: PerRun[int] = 16
    rate: float = 3e-5


def made(note="", frozen=None, **of):
    arms = {
        "main": Arm(lambda runs, bench: None, note=note),
        "double": Arm(lambda runs, bench: None, specs=changed(k=32)),
        "of-{double.k}": Arm(derive=lambda arms: arms["double"]),
    }
    about = Claim(
        text="At {main.k} more than at {double.k:w}, at {main.rate}",
        value=lambda a, b: a,
        low=0.0,
        must_fail=("of-{double.k}",),
        threshold_from="plan: none",
        source="none",
    )
    claims = (
        about,
        Exact(
            text="x_{i} is {{1}}, not {0}", value=lambda arms: 0, expected=0, tolerance=0, source=""
        ),
    )
    return Experiment(
        arms=arms,
        measure=lambda *_: None,
        claims=claims,
        smoke=grid(Sized(k=4)),
        default=grid(Sized()),
        full=grid(Sized(), k=(8, 64)),
        frozen=frozen or {},
        name="sized",
        **of,
    )
