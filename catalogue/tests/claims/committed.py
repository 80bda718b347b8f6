"""What the tests of the catalogue share: its entries, their records, and the worlds planted for
their claims."""

from __future__ import annotations

import functools
import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

from assay.core.claims import Claim, Exact
from assay.lab import catalogue
from assay.lab.judge import recording
from assay.lab.records import records

ROOT = Path(__file__).parents[2]
PENDING: dict[str, str] = {
    "autointerp-io.long": (
        "two of its five claims are undecided: 23 tokens are too few for one, and the other did "
        "not survive the change since half of the training"
    ),
    "grokking-efficiency": (
        "the ten seeds of the claim of twice the speed, which fails by much, are skewed; and its "
        "record took 657 CPU-seconds on a slow machine with busy cores"
    ),
    "interpretable-capability.models": (
        "of its eight claims the rise by dictionaries on Gemma is undecided, and so is its only "
        "control, half-frozen dictionaries"
    ),
    "monthly-palindromes": (
        "one of its two claims is undecided: our explanation beats the half-right one in three "
        "models of twelve"
    ),
    "lm-importance": (
        "three of its four claims are undecided: features differ more than dictionaries, and "
        "hundreds of these would be needed; and its record was made on busy cores: 455 s"
    ),
    "utility": (
        "six of its seven claims are undecided: concepts differ more than methods do; and it takes "
        "921 CPU-seconds, of which more than half read the passages and ask, once for all runs"
    ),
}
"""Entries that do not meet the bar yet, and why; what needs no record is asked of them as well."""
COSTLY: dict[str, str] = {
    "sae-zoo": (
        "its record was made on a slow machine with busy cores: 627 s and 613 CPU-seconds, where "
        "others took 484"
    ),
    "end-to-end": (
        "its record was made on a slow machine with busy cores: 610 s and 715 CPU-seconds, where "
        "others took 258 and 372"
    ),
    "glitch-tokens": (
        "its record was made on a slow machine with busy cores: 559 CPU-seconds, where others took "
        "321"
    ),
    "memorisation": (
        "its record was made on a slow machine: 558 CPU-seconds, where others took 368"
    ),
    "metric-audit": (
        "its record was made on a slow machine with busy cores: 739 CPU-seconds, where others took "
        "319"
    ),
    "autointerp-io": (
        "its record was made on a slow machine with busy cores: 614 CPU-seconds, where others took "
        "442"
    ),
    "dictionary-weights": (
        "its record was made on a slow machine with busy cores: 605 CPU-seconds with rules for 36 "
        "features a seed, where twelve took 332 elsewhere"
    ),
    "gated-ablations": (
        "its record was made on a slow machine with busy cores: 862 CPU-seconds for 619 runs, "
        "where 604 took 451 elsewhere"
    ),
    "path-split": (
        "its record was made on a slow machine with busy cores: 813 CPU-seconds for ten models, "
        "where seven took 330 elsewhere"
    ),
    "interpretable-capability": (
        "its record was made on a slow machine: 778 CPU-seconds, where others took 444"
    ),
    "belief-states": (
        "its record was made on a slow machine: 744 CPU-seconds for 2,700 steps, where 1,800 took "
        "360 elsewhere"
    ),
    "superposition-collapse": (
        "its record was made on a slow machine: 640 CPU-seconds, where others took 453"
    ),
    "targets": "its record was made on a slow machine: 575 CPU-seconds, where others took 306",
    "compute-planner": (
        "its record was made on a slow machine: 684 CPU-seconds, where others took 262"
    ),
    "ultra-rare-features": (
        "its record was made on a slow machine: 570 CPU-seconds, where others took 339"
    ),
}
"""Records that took more CPU time than the bar allows, and why; all else is asked of them."""
NEXT_LOOK: dict[str, tuple[str, ...]] = {
    "an exact statement: the closed form for counted copies gives it": ("memorisation 16",),
    "out: how far the network and the table lie from that closed form becomes an estimate": (
        "memorisation 2",
        "memorisation 9",
    ),
    "an exact statement: least squares makes γ 1 on the inputs to which the repair is fitted": (
        "gated-ablations 8",
    ),
    "out: the loss has its minimum at Z = C and is minimised": ("s-curves 11",),
    "out: a gate of the claims before it asks the same": ("autointerp-io 8",),
    "a gate of the other claims: it says that the model can do what it is asked": (
        "sycophancy 1",
        "sycophancy.gemma 1",
    ),
    "a gate of the other claims: it says that the training worked": ("superposition-phase 1",),
}
"""What becomes of claims that are theorems, definitions or gates, by record and number, at their
next look: until then they stand as their records have them."""
LOOKED_AT: dict[str, int] = {
    "autointerp-io": 61_700,
    "gated-ablations": 64_200,
    "memorisation": 61_500,
    "s-curves": 43_200,
    "superposition-phase": 62_100,
    "sycophancy": 15_204,
    "sycophancy.gemma": 15_264,
}
"""The first seed of the look that these records hold."""
ENTRIES = [e.name for e in catalogue.entries() if e.origin.startswith("assay_catalogue.")]
ELSEWHERE = sorted(p.name.removesuffix(".json") for p in (ROOT / "records").glob("*.*.json"))
"""Records of presets that lie elsewhere, as NAME.PRESET: they are held to all that is asked of a
record."""
RECORDED = [name for name in ENTRIES if (ROOT / "records" / f"{name}.json").exists()] + ELSEWHERE
SOME = [
    "compute-planner",
    "lock-step",
    "mamba-induction",
    "monthly-distinct",
    "monthly-running-sum",
    "selection-noise",
    "sgd-noise",
    "superposition",
    "superposition-collapse",
]
"""Records that are soon judged again: with every `make test`, as a record hardly ever changes."""
OTHERS = [name for name in RECORDED if name not in SOME]
NAMES = [name for name in ENTRIES if name not in PENDING]
JUDGED = NAMES + [
    name for name in ELSEWHERE if name not in PENDING and name.partition(".")[0] not in PENDING
]
"""Records that have to meet the bar."""
UNANSWERED: tuple[str, ...] = ()
"""Entries of which more than a quarter of the claims are undecided, most of them blind: they say
that nothing is there, and plant no violation small enough. Each leaves this list with arms that
do."""
SKEWED_UNITS = {
    "autointerp-io": (
        "Outputs tell what the current token leaves open",
        "Features are told better than neurons",
    ),
    "dictionary-weights": (
        "The neuron basis stands out all the same",
        "Learned rows do it",
        "Learned directions make features readable",
    ),
}
"""Claims that are decided on fewer units than so skewed ones need, by how their texts begin; more
seeds would fix it."""
PLANTED = ROOT / "tests" / "experiments"


@functools.cache
def committed(name):
    """The experiment and its record; of NAME.PRESET, that of a preset which lies elsewhere."""
    of, _, other = name.partition(".")
    experiment = catalogue.find(of)
    experiment = experiment.designed(experiment.preset(other or "default")[:1])
    record = records.read(name, experiment.origin)
    typed = f"{of} --preset {other}" if other else of
    assert record is not None, (
        f"records/{name}.json is missing; make it with: assay run {typed}, then assay check "
        f"{typed} --record"
    )
    return experiment, record


def preset(name):
    """The preset of which a record is."""
    return name.partition(".")[2] or "default"


@functools.cache
def judged_again(name):
    """Claims, theorems and findings on the record's measures, by today's statements."""
    return recording.rejudge(*committed(name))


def claims(name):
    """The claims of an experiment, theorems and findings left out."""
    of, _, other = name.partition(".")
    experiment = catalogue.find(of)
    experiment = experiment.designed(experiment.preset(other or "default")[:1])
    return [c for c in experiment.claims if isinstance(c, Claim)]


def theorems(name):
    """The exact statements of an experiment that makes no claim; of others their own tests see to
    them."""
    return [] if claims(name) else [e for e in catalogue.find(name).claims if isinstance(e, Exact)]


@functools.cache
def planted(name):
    """The module that plants WORLD and CASES for the claims of an experiment; of the monthly
    puzzles, whose claims are the same, what they share."""
    if str(PLANTED) not in sys.path:
        sys.path.append(str(PLANTED))
    if name.startswith("monthly-"):
        worlds, experiment = importlib.import_module("monthly_worlds"), catalogue.find(name)
        return SimpleNamespace(WORLD=worlds.World(experiment), CASES=worlds.cases(experiment))
    file = f"test_{name.replace('-', '_')}_claims"
    advice = "with WORLD and CASES, as in tests/experiments/test_superposition_claims.py"
    assert (PLANTED / f"{file}.py").exists(), (
        f"tests/experiments/{file}.py is missing: write it {advice}"
    )
    module = importlib.import_module(file)
    assert hasattr(module, "WORLD") and hasattr(module, "CASES"), (
        f"tests/experiments/{file}.py has to be written {advice}"
    )
    return module


@functools.cache
def cases(name):
    """Each claim of an experiment that CASES names: claim → (a world where it holds, one without
    the effect, {control: a world})."""
    found = {}
    for named, start, case in named_cases(name, claims(name)):
        assert len(case) in (2, 3), (
            f"CASES of {name}: {start!r} needs ([a world where it holds,] one without, "
            "{control: a world})"
        )
        found[named] = case if len(case) == 3 else (planted(name).WORLD, *case)
    return found


@functools.cache
def violations(name):
    """Each exact statement of an experiment without claims that CASES names: statement → a world in
    which it is violated."""
    return {e: world for e, _, world in named_cases(name, theorems(name))}


def named_cases(name, statements):
    """What CASES has on these statements: (the statement, the words that name it, its case)."""
    for start, case in planted(name).CASES.items() if statements else ():
        named = [s for s in statements if s.text.startswith(start)]
        assert len(named) == 1, (
            f"CASES of {name}: {start!r} starts {len(named)} claims; give as many words as name one"
        )
        yield named[0], start, case


_arms = {}


def arms(world):
    """The measures of a planted world, made once for the worlds that are asked for again."""
    if id(world) not in _arms:
        _arms[id(world)] = (world, world.arms())  # the world is kept, so that no other gets its id
    return _arms[id(world)][1]
