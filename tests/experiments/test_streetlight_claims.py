"""Every claim of streetlight can hold, can fail, and becomes unspecific where a control passes;
numbers are planted, not trained.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this
experiment's own is tested here."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from assay.core import Runs, SpecError
from assay.core.measures import measures
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.experiments.streetlight import experiment
from assay.experiments.streetlight.claims import gains, good
from assay.experiments.streetlight.frame import Marked, lot, passages, places
from assay.experiments.streetlight.probes import (
    BASELINES,
    CHOSEN,
    METHODS,
    REGIMES,
    SAE,
    Asked,
    grams,
    numbers,
    own_methods,
    picked,
    questions,
    quiver,
    read_of,
)
from assay.features import kernel_probe as probe
from assay.features.probing import auroc
from named_claims import Planted

LEVEL = {
    "logistic": 0.84,
    "sae-1": 0.74,
    "sae-16": 0.77,
    "recon": 0.82,
    "error": 0.78,
    "random-1": 0.58,
    "random-16": 0.68,
    "random-again-1": 0.58,
    "random-again-16": 0.68,
    "pca-equal": 0.82,
    "words": 0.72,
    "surface": 0.72,
}
"""Test AUROC in a world where every claim holds."""


@dataclass(frozen=True)
class World(Planted, of=experiment):
    """Planted truth: AUROC by arm and method, what the quiver gains, shares of what is found by
    looking."""

    level: dict = field(default_factory=lambda: LEVEL)
    arm: dict = field(
        default_factory=lambda: {
            "planted": {"sae-1": 0.98, "sae-16": 0.97},
            "untrained": {"logistic": 0.6, "sae-1": 0.55, "sae-16": 0.55, "error": 0.56},
            "frozen": {"sae-1": 0.66, "error": 0.81},
        }
    )
    """What differs in an arm."""
    gain: dict = field(default_factory=lambda: {"planted": 0.11})
    """What the quiver gains with the dictionary, by arm: elsewhere nothing."""
    lucky: float = 0.045
    """How much more it seems to gain where the test picks."""
    found: dict = field(default_factory=lambda: {"main": 0.06, "half": 0.06, "frozen": 0.03})
    lots: dict = field(default_factory=lambda: {"main": 0.2, "half": 0.17})
    chance: dict = field(
        default_factory=lambda: {"found_random": 0.003, "found_shuffled": 0.0, "lot_random": 0.01}
    )
    """Shares of features and of rules, by arm; where none is named, .02."""

    def but(self, **changed) -> "World":
        """Return the world with some of its numbers replaced."""
        return replace(
            self,
            **{
                n: {**getattr(self, n), **v} if isinstance(v, dict) else v
                for n, v in changed.items()
            },
        )

    def measures(self, arm: str):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        draw = np.random.default_rng(list(experiment.arms).index(arm))
        n, regimes = len(runs), list(runs.shared.regimes)
        planted = runs.shared.asks == "planted"
        kinds = ("next token", "If.test")
        tasks = [f"{kinds[i % 2]} {i}" for i in range(runs.shared.concepts)]
        if planted:
            tasks = [f"feature {i}" for i in range(runs.shared.lots)]
        concept = np.random.default_rng(99).normal(0, 0.05, len(tasks))

        def around(level, *shape):
            return level + draw.normal(0, 0.02, (n, len(tasks), *shape))

        level = {**self.level, **self.arm.get(arm, {})}
        scores = np.stack([around(level[name]) for name in METHODS], -1) + concept[:, None]
        seen = {"without": 0.0, "with": self.gain.get(arm, 0.0), "without, by test": self.lucky}
        seen["with, by test"] = seen["with"] + self.lucky
        told = np.stack([around(0.8 + seen[name], len(regimes)) for name in CHOSEN], -1)
        named = {
            "auroc": ("run task probe", np.clip(scores, 0, 1), "AUROC"),
            "quiver": ("run task regime chosen", np.clip(told, 0, 1), "AUROC"),
        }
        if not planted:
            shares = {"found": self.found.get(arm, 0.02), "lot": self.lots.get(arm, 0.02)}
            named |= {
                k: ("run", np.clip(v + draw.normal(0, 0.002, n), 0, 1), "share")
                for k, v in {**shares, **self.chance, "fvu": 0.2}.items()
            }
        coords = {"task": tasks, "probe": list(METHODS), "regime": regimes, "chosen": list(CHOSEN)}
        return measures(runs, coords=coords, **named)


WORLD = World()


def arm(name, **level):
    """The world where an arm has these levels."""
    return WORLD.but(arm={name: {**WORLD.arm.get(name, {}), **level}})


# claim → (a world without the effect, {control: a world in which it passes too})
CASES = {
    "Named in advance": (
        WORLD.but(level={"sae-1": 0.58}),
        {
            "random-again": WORLD.but(level={"random-again-1": 0.74}),
            "untrained": arm("untrained", **{"sae-1": 0.74}),
        },
    ),
    "That the decoder": (
        arm("frozen", **{"sae-1": 0.74}),
        {
            "random-again": WORLD.but(level={"random-again-1": 0.74}),
            "untrained": arm("untrained", **{"sae-1": 0.74}),
        },
    ),
    "Sixteen features": (
        WORLD.but(level={"sae-16": 0.72}),
        {
            "random-again": WORLD.but(level={"random-again-16": 0.77}),
            "untrained": arm("untrained", **{"sae-16": 0.77}),
        },
    ),
    "One feature is not": (
        WORLD.but(level={"sae-1": 0.82}),
        {"rebuilt": WORLD.but(level={"recon": 0.74})},
    ),
    "Reconstruction loses": (
        WORLD.but(level={"recon": 0.75}),
        {"sixteen": WORLD.but(level={"sae-16": 0.82})},
    ),
    "A dictionary adds": (
        WORLD.but(gain={"main": 0.06, "half": 0.06}),
        {"planted": WORLD.but(gain={"planted": 0.0}), "oracle": WORLD.but(lucky=0.001)},
    ),
    "Careless tables": (
        WORLD.but(gain={"main": 0.2, "half": 0.2}),
        {"planted": WORLD.but(gain={"planted": 0.0})},
    ),
    "What a dictionary leaves": (
        WORLD.but(level={"error": 0.65}),
        {"untrained": arm("untrained", error=0.78)},
    ),
    "Looking tells": (
        WORLD.but(found={"main": 0.03, "half": 0.03}),
        {
            "untrained": WORLD.but(found={"untrained": 0.06}),
            "random-look": WORLD.but(chance={"found_random": 0.06}),
            "shuffled-look": WORLD.but(chance={"found_shuffled": 0.06}),
        },
    ),
    "Counting rules": (
        WORLD.but(lots={"frozen": 0.2}),
        {"half": WORLD.but(lots={"half": 0.05})},
    ),
}

SOURCE = """x = [1]
if x == y:
    é = f(x)
"""


def test_places_are_what_the_grammar_says_also_behind_letters_of_two_bytes():
    inside = {name: "".join(np.array(list(SOURCE))[mask]) for name, mask in places(SOURCE).items()}
    assert inside["If.test"] == "x == y" and inside["Compare.comparators"] == "y"
    assert inside["Call.args"] == "x" and inside["Call.func"] == "f"
    assert inside["Assign.targets"] == "xé" and inside["Assign.value"] == "[1]f(x)"
    assert inside["If.body"] == "é = f(x)" and inside["List.elts"] == "1"
    assert places("if if") == {}


def test_passages_answer_what_the_concept_says_and_are_drawn_anew():
    draw = np.random.default_rng(0)
    marked = tuple(Marked(np.arange(100, 400), draw.random((300, 3)) < 0.5) for _ in range(2))
    rows, label, part = passages(marked, (8, 4, 6), 0)
    answers = [m.true[r - 100, np.arange(3)[:, None]] for m, r in zip(marked, rows, strict=True)]
    assert (np.concatenate(answers, 1) == label).all()
    assert all(len(set(row)) == row.size for where in rows for row in where)
    assert part[0].tolist() == [*[0] * 4, 1, 1] * 2 + [2] * 6
    assert all(label[0, part[0] == p].mean() == 0.5 for p in (0, 1, 2))
    again, other = (passages(marked, (8, 4, 6), seed)[0] for seed in (0, 1))
    assert (again[0] == rows[0]).all() and (other[0] != rows[0]).any()
    rare = tuple(Marked(m.rows, (np.arange(300) < 5)[:, None]) for m in marked)
    few = passages(rare, (8, 4, 6), 0)[0][0][0, :6]  # one of five is taken twice
    assert sorted(set(few.tolist())) == [100, 101, 102, 103, 104] and few[5] == few[0]


def test_lots_share_no_concept_and_what_is_left_over_is_said():
    names = [f"c{i}" for i in range(10)]
    assert names[lot(names, 0, 6)] == names[:6] and names[lot(names, 1, 6)] == names[6:]
    with pytest.raises(SpecError, match="has 10 concepts"):
        lot(names, 2, 6)


def reached(validation, test, names):
    """What methods reach of one question; those that are not named are never chosen."""
    known = dict(zip(names, zip(validation, test, strict=True), strict=True))
    return {n: np.array(known.get(n, (0.0, 0.0)))[:, None] for n in (*BASELINES, *SAE)}


@pytest.mark.parametrize(("validation", "gained"), [(0.81, 0.0), (0.83, 0.12)])
def test_the_quiver_takes_the_arrow_that_validation_prefers(validation, gained):
    methods = ("logistic", "pca", "sae-16")
    told = quiver(reached((0.80, 0.82, validation), (0.79, 0.78, 0.90), methods))[:, 0]
    without, with_it, without_by_test, with_by_test = told
    assert with_it - without == pytest.approx(gained)
    assert (without_by_test, with_by_test) == (0.79, 0.90)


def test_of_equal_arrows_the_mean_counts():
    scores = reached((0.8, 0.8, 0.8), (0.7, 0.8, 0.9), ("logistic", "pca", "sae-16"))
    assert picked(scores, BASELINES) == pytest.approx(0.75)
    assert quiver(scores)[:2, 0] == pytest.approx([0.75, 0.8])


def asked(q=4, sizes=(64, 32, 80), d=5, seed=0):
    part = np.tile(np.repeat(np.arange(3), sizes), (q, 1))
    label = np.tile(np.arange(sum(sizes)) % 2 == 0, (q, 1))
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(*part.shape, d, generator=draw) + 0.7 * torch.from_numpy(label)[..., None]
    names = tuple(f"concept {i}" for i in range(q))
    return Asked(names, x, np.zeros((*part.shape, 3), int), label, part)


@pytest.mark.parametrize(
    ("regime", "n", "wrong", "v"),
    [("plain", 64, 0, 32), ("scarce", 16, 0, 16), ("noisy", 64, 13, 32)],
)
def test_regimes_change_training_and_never_the_test(regime, n, wrong, v):
    texts = asked()
    q, again, other = (questions(texts, regime, seed) for seed in (3, 3, 4))
    (test,) = q.tests
    assert (q.train.shape[1], q.validation.shape[1], test.shape[1]) == (n, v, 80)
    parts = [texts.part[0][rows] for rows in (q.train, q.validation, test)]
    assert all((part == i).all() for i, part in enumerate(parts))
    told, true = q.told.gather(1, q.train), q.label.gather(1, q.train)
    assert ((told != true).sum(1) == wrong).all() and (true.sum(1) == n // 2).all()
    assert (q.told == q.label)[:, texts.part[0] > 0].all()
    assert (q.train == again.train).all() and (q.told == again.told).all()
    assert (q.train != other.train).any()


def test_bags_count_what_two_passages_share():
    single, double = grams(np.array([[[1, 2, 3], [2, 3, 3], [4, 4, 4]]]))
    assert single[0].tolist() == [[3, 2, 0], [2, 2, 0], [0, 0, 1]]
    # 1, 2, 3, (1, 2), (2, 3), ends in 3; 2, 3, (2, 3), (3, 3), ends in 3; 4, (4, 4), ends in 4
    assert double[0].tolist() == [[6, 4, 0], [4, 5, 0], [0, 0, 3]]


def small(d=5, f=9, seed=0):
    """A dictionary with decoder rows of different lengths."""
    own = torch.Generator().manual_seed(seed)
    w, bias = torch.randn(1, d, f, generator=own), torch.randn(1, d, generator=own)
    decoder = 2 * w.mT + torch.randn(1, f, d, generator=own)
    return Dictionary(w, torch.zeros(1, f), decoder, bias, ReLU())


def test_what_is_read_of_a_dictionary_are_features_at_their_length_and_two_halves_of_the_text():
    one, texts = small(), asked(q=2, sizes=(8, 4, 4))
    read = read_of(texts, one)
    torch.testing.assert_close(read["recon"] + read["error"], texts.x)
    f = one.encode(texts.x.flatten(0, 1))[0]
    torch.testing.assert_close(read["features"].flatten(0, 1), f * one.W_dec[0].norm(dim=1))
    torch.testing.assert_close(read["recon"].flatten(0, 1), one.decode(f[None])[0])


def test_the_best_feature_is_read_as_it_is_and_turned_by_training_passages():
    texts = asked(q=3, sizes=(16, 8, 8))
    read, q = read_of(texts, small()), questions(texts, "plain", 0)
    best = numbers(own_methods(read, q, ("sae-1", "sae-4")))["sae-1"]
    f = read["features"]
    for i in range(3):
        yes, train = q.label[i].numpy(), q.train[i].numpy()
        column = f[i, :, probe.top_features(f, q, 1)[i, 0]].double().numpy()
        sign = np.sign(column[train][yes[train]].mean() - column[train][~yes[train]].mean())
        parts = (q.validation[i].numpy(), q.tests[0][i].numpy())
        assert best[:, i] == pytest.approx([auroc(sign * column[at], yes[at]) for at in parts])


def test_derived_arms_change_what_they_say_and_answer_for_nothing_else():
    arms = WORLD.arms()
    main, again, some = arms["main"].auroc, arms["random-again"].auroc, arms["sixteen"].auroc
    for k in (1, 16):
        np.testing.assert_array_equal(
            again.sel(probe=f"sae-{k}"), main.sel(probe=f"random-again-{k}")
        )
    assert set(again.probe.values) == {"sae-1", "sae-16", "random-1", "surface"}
    changed = (some.sel(probe="recon") == main.sel(probe="sae-16")).all("run").values
    assert (changed == (np.arange(len(changed)) % 7 < 6)).all()
    oracle, leaky = (gains(arms[name], arms) for name in ("oracle", "leaky"))
    np.testing.assert_array_equal(oracle["honest"], oracle["careless"])
    honest, careless = gains(arms["main"], arms).values()
    left = float((leaky["honest"].mean() - honest.mean()) / (careless.mean() - honest.mean()))
    assert left == pytest.approx(4 / 7, abs=0.05)
    np.testing.assert_array_equal(arms["shuffled-look"].found, arms["main"].found_shuffled)
    assert set(arms["random-look"]) == {"found"}
    assert list(arms["main"].regime.values) == list(REGIMES)


def test_a_good_feature_has_an_auroc_of_85():
    assert good(arm("main", **{"sae-1": 0.99}).arms()["main"]).mean() > 0.9
    assert good(arm("main", **{"sae-1": 0.7}).arms()["main"]).mean() < 0.1
