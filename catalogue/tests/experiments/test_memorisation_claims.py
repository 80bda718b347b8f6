"""Every claim of memorisation can hold, can fail, and can be made unspecific by its controls;
planted measures, nothing trained."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from named_claims import claim_of

from assay.core import Claim, Exact, Runs, SpecError, judge
from assay.core.bench import Unkept
from assay.core.estimates import verify
from assay.core.measures import measures
from assay_catalogue.experiments.memorisation import experiment
from assay_catalogue.experiments.memorisation.claims import ESTIMATED, MODELS, controls
from assay_catalogue.experiments.memorisation.method import (
    EACH,
    KINDS,
    SHOWN,
    Memorisation,
    measure,
)
from assay_catalogue.experiments.memorisation.removals import MIXED, RULES, RUNGS, block

MEMORISED = {
    "unique": 1.8,
    "once": 1.8,
    "predictable": 0.05,
    "2 copies": 1.1,
    "4 copies": 0.6,
    "8 copies": 0.35,
    "16 copies": 0.2,
    "32 copies": 0.1,
    "topic": 0.2,
    "rule": 0.01,
    "unseen unique": 0.0,
    "unseen predictable": 0.0,
}
GROUP = {
    "once": 1.9,
    "predictable": 0.05,
    "2 copies": 3.0,
    "4 copies": 3.4,
    "8 copies": 3.8,
    "16 copies": 4.1,
    "32 copies": 4.5,
    "topic": 3.1,
    MIXED[0]: 0.5,
    MIXED[1]: 0.5,
}
EXTRACTED = {"unique": 0.2, "once": 0.2, "predictable": 0.1, "32 copies": 0.8, "topic": 0.2}
BITS = {"32 copies": 36.0, "topic": 200.0, MIXED[0]: 300.0, MIXED[1]: 300.0}


@dataclass(frozen=True)
class World:
    """What differs from those numbers in the measures of trained models, {measure: {kind: number}},
    and in derived arms."""

    changes: dict = field(default_factory=dict)
    exchanged: float = 0.0
    """Memorisation of unique strings by exchanged labels."""
    rule: float = 0.1
    everything: float = 0.8
    """What removing the rule within the budget costs, and without one."""

    def arms(self) -> dict:
        found = {}
        for i, (name, arm) in enumerate(experiment.arms.items()):
            found[name] = arm.derive(found) if arm.derive else self.measures(name, i)
        return found

    def measures(self, arm: str, stream: int):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        rng = np.random.default_rng(stream)
        n = len(runs)

        def by_kind(what, known):
            level = {**known, **self.changes.get(what, {})}
            return np.stack(
                [
                    level.get(kind, np.nan) * np.exp(rng.normal(0, 0.05, n))
                    + rng.normal(0, 0.003, n)
                    for kind in KINDS
                ],
                1,
            )

        kinds = {
            "memorised": MEMORISED,
            "exchanged": {"unique": self.exchanged, "predictable": 0.0},
            "accuracy": MEMORISED,
            "group": GROUP,
            "extracted": EXTRACTED,
            "least_bits": BITS,
            "by_literals": BITS,
        }
        named = {what: ("run kind", by_kind(what, known), "1") for what, known in kinds.items()}
        for what in ("bits", "share"):
            named[what] = ("run rung", rng.uniform(0.4, 0.6, (n, len(RUNGS))), "1")
        level = np.array([self.rule, self.rule, self.everything])
        named["rule_damage"] = ("run rule", level + rng.normal(0, 0.02, (n, 3)), "nats per token")
        for what in ("loss_in", "loss_out"):
            named[what] = ("run shown", rng.uniform(1, 4, (n, EACH * len(SHOWN))), "nats per token")
        coords = {
            "kind": KINDS,
            "rung": [f"{a}: {b}" for a, b in RUNGS],
            "rule": list(RULES),
            "shown": [f"{kind} {i + 1}" for kind in SHOWN for i in range(EACH)],
        }
        return measures(runs, coords=coords, **named)


WORLD = World()


def but(what: str, **kinds: float) -> World:
    """The world with other numbers for some kinds of documents."""
    return World(
        changes={what: {kind.replace("_", " ").removeprefix("of "): x for kind, x in kinds.items()}}
    )


def cases(model: str) -> dict:
    """claim → (the world without the effect, {control: a world in which it passes too}), for one
    kind of model."""
    placebo, exchanged, once, predictable, mixed, unlimited = controls(
        model, "placebo", "exchanged", "once", "predictable", "mixed", "no-budget"
    )
    told = MODELS[model]
    simple = {"least_bits": {MIXED[0]: 36.0}, "by_literals": {MIXED[0]: 36.0}}
    return {
        f"{told[0].upper()}{told[1:]} memorises unique strings": (
            but("memorised", unique=0.3),
            {placebo: but("memorised", unseen_unique=1.0), exchanged: World(exchanged=1.0)},
        ),
        f"Near-duplicates hide what {told}": (
            but("memorised", of_32_copies=1.0),
            {once: but("memorised", once=0.1), predictable: but("group", predictable=1.0)},
        ),
        f"With {told}, removing the group": (
            but("group", of_32_copies=0.3),
            {predictable: but("group", predictable=1.0), once: but("group", once=3.0)},
        ),
        **{
            f"With {told}, near-duplicates are simpler to select than a topic{how}": (
                but(what, topic=60.0),
                {mixed: World(changes=simple)},
            )
            for what, how in (
                ("least_bits", " by any selector"),
                ("by_literals", " by literals alone"),
            )
            if (model, what) not in ESTIMATED
        },
        f"With {told}, a rule": (World(rule=1.0), {unlimited: World(everything=0.1)}),
        f"From {told} near-duplicates": (
            but("extracted", of_32_copies=0.3),
            {once: but("extracted", once=0.8), predictable: but("extracted", predictable=0.8)},
        ),
    }


CASES = {start: case for model in MODELS for start, case in cases(model).items()}
CLAIMS = [c for c in experiment.claims if isinstance(c, Claim)]


@pytest.mark.parametrize("start", [c.text for c in CLAIMS if c.half])
def test_what_half_a_training_gives_otherwise_decides_nothing(start):
    claim = claim_of(experiment, start)
    arms = WORLD.arms()
    [half] = claim.half.values()
    reasons = set()
    for turn in (lambda x: 30 * x, lambda x: -30 * x, lambda x: x.clip(0) ** 2):
        turned = {
            name: x if x.dtype.kind != "f" else turn(x) for name, x in arms[half].data_vars.items()
        }
        reasons.add(judge(claim, {**arms, half: arms[half].assign(turned)}).verdict.reason)
    assert "gate converged" in reasons  # what training takes out of the range, if it goes on


def test_what_is_exact():
    assert [verify(e, WORLD.arms()).outcome for e in experiment.claims if isinstance(e, Exact)] == [
        "exact"
    ] * 2


@pytest.mark.parametrize(
    "arm",
    ["count", *(pytest.param(arm, marks=pytest.mark.thorough) for arm in ("main", "softmax"))],
)
def test_a_run_is_the_same_alone_and_measures_every_kind(arm):
    specs = experiment.specs_of(arm, tuple(s.replace(steps=4) for s in experiment.smoke))
    together, alone = Runs(specs), Runs(specs[-1:])
    train = experiment.arms[arm].train
    whole, one = (measure(r, train(r, Unkept()), Unkept()) for r in (together, alone))
    for name in one.data_vars:
        np.testing.assert_allclose(
            one[name].values[0], whole[name].values[-1], rtol=1e-3, atol=2e-4, equal_nan=True
        )
    assert np.isfinite(whole.memorised.sel(kind=[k for k in KINDS if k not in MIXED])).all()


def test_a_small_transformer_trains_too():
    spec = experiment.default[0].replace(
        model="transformer", documents=512, subsets=4, steps=2, batch=4, hidden=16, budget=0.08
    )
    runs = Runs([spec])
    found = measure(runs, experiment.arms["main"].train(runs, Unkept()), Unkept())
    assert np.isfinite(found.memorised.sel(kind="unique")).all()


def test_a_block_removes_what_it_says_and_within_the_budget():
    b = block(0, 1024, 12, 0.5, 0.05)
    assert b.budget == 51 and b.kept.shape == (12 + 1 + len(b.removals), 1024 + 48)
    assert b.kept[12].all()  # the model on everything
    for removal, kept in zip(b.removals, b.kept[13:], strict=True):
        np.testing.assert_array_equal(kept, ~removal.chosen)
        if np.isfinite(removal.bits) and removal.name != RULES[2]:
            assert removal.chosen.sum() <= 51
    halves = [next(r.chosen for r in b.removals if r.name == name) for name in MIXED]
    np.testing.assert_array_equal(halves[0] | halves[1], b.corpus.of("32 copies", "topic"))
    assert not (halves[0] & halves[1]).any()
    assert next(r for r in b.removals if r.name == RULES[2]).chosen.sum() == 64


def test_counting_finds_what_was_planted():
    runs = Runs(
        experiment.specs_of(
            "count", tuple(s.replace(seed=i) for i, s in enumerate(experiment.default[:2]))
        )
    )
    found = measure(runs, experiment.arms["count"].train(runs, Unkept()), Unkept()).mean("run")
    shown = found.memorised.sel(
        kind=["unique", "2 copies", "4 copies", "8 copies", "32 copies", "predictable"]
    ).values
    assert (np.diff(shown) < 0).all() and shown[0] > 1 and shown[-1] < 0.1
    assert abs(float(found.memorised.sel(kind="unseen unique"))) < 0.1
    assert (
        float(found.group.sel(kind="32 copies"))
        > 2
        > 0.1
        > float(found.group.sel(kind="predictable"))
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"documents": 100}, "Memorisation.documents must be at least 512, got 100"),
        ({"rate": 1.0}, "Memorisation.rate must be above 0 and below 1, got 1"),
        ({"prompt": 30}, "Memorisation.prompt must be from 4 to 24, got 30"),
        (
            {"model": "lstm"},
            (
                "Memorisation.model must be one of 'network', 'softmax', 'count', 'transformer', "
                "got 'lstm'"
            ),
        ),
        (
            {"subsets": 5},
            (
                "Memorisation.subsets times rate must be a whole number of models between 0 and "
                "subsets, got 5 times 0.5"
            ),
        ),
    ],
)
def test_impossible_specs_are_one_line(wrong, said):
    with pytest.raises(SpecError) as e:
        Memorisation(**wrong)
    assert said in str(e.value) and "\n" not in str(e.value)
