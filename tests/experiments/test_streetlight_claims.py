"""Every claim of streetlight can hold, can fail, and becomes unspecific where a control passes;
numbers are planted, not trained.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this
experiment's own is tested here."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from assay.core.measures import measures
from assay.core.runs import Runs
from assay.data.concepts import CONCEPTS
from assay.experiments.streetlight import experiment
from assay.experiments.streetlight.claims import gain, good, picked, selection_terms, surface
from assay.experiments.streetlight.probes import (
    BASELINES,
    CHANCE,
    HARD,
    METHODS,
    PERMUTED,
    REGIMES,
    SAE,
    SCARCE,
    STANDARD,
    Asked,
    best_feature,
    best_of_lone,
    coded,
    grams,
    pooled,
    questions,
    read_of,
)
from assay.lab.result import with_derived

TASKS = [c.name for c in CONCEPTS]
LEVEL = {
    "logistic": 0.90,
    "pca": 0.88,
    "means": 0.80,
    "neighbours": 0.75,
    "attention": 0.86,
    "tokens": 0.70,
    "bigrams": 0.72,
    "sae-1": 0.78,
    "sae-4": 0.80,
    "sae-16": 0.86,
    "sae-64": 0.86,
    "sae-all": 0.86,
    "recon": 0.87,
    "error": 0.75,
    "untuned": 0.80,
    "random-1": 0.65,
    "random-again-1": 0.65,
    "pca-equal": 0.87,
}
"""Test AUROC in a world where every claim holds."""
NOTHING = dict.fromkeys(METHODS, 0.5)
ONE = {"sae-1": 0.99, "sae-4": 0.99, "sae-16": 0.99, "sae-64": 0.98, "sae-all": 0.96}
"""What probes reach of planted questions: the best feature is the answer."""


@dataclass(frozen=True)
class World:
    """Planted truth: AUROC by arm and method, on unseen texts and on shifted ones; shares of what
    is found by looking."""

    level: dict = field(default_factory=lambda: LEVEL)
    arm: dict = field(
        default_factory=lambda: {
            "planted": ONE,
            "untrained": {"sae-1": 0.65},
            "frozen": {"sae-1": 0.65, "recon": 0.8},
        }
    )
    """What differs in an arm."""
    permuted: dict = field(default_factory=lambda: NOTHING)
    """AUROC where answers were permuted."""
    scarce: dict = field(default_factory=lambda: {"planted": 0.05})
    many: dict = field(default_factory=lambda: {"planted": 0.05})
    """How much more than the regression the dictionary's best probe reaches with few texts, and
    with 64, by arm."""
    lucky: float = 0.20
    """Spread of the test AUROC of probes that validation never chooses: what choosing by the test
    would gain."""
    shares: dict = field(
        default_factory=lambda: {
            "found": 1.0,
            "found_random": 0.1,
            "found_shuffled": 0.05,
            "lot": 0.3,
            "lot_random": 0.1,
        }
    )
    other: dict = field(default_factory=lambda: {"frozen": {"found": 0.1, "lot": 0.1}})
    """What looking finds in the dictionaries of another arm, where it differs."""
    asked: float = 0.6

    def but(self, **changed) -> "World":
        """Return the world with some of its numbers replaced."""
        return replace(
            self,
            **{
                n: {**getattr(self, n), **v} if isinstance(v, dict) else v
                for n, v in changed.items()
            },
        )

    def arms(self) -> dict:
        """The measures that runs of the default preset would have, derived controls included."""
        return with_derived(
            experiment,
            {n: self.measures(n) for n, a in experiment.arms.items() if a.train is not None},
        )

    def measures(self, arm: str):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        own, shared = (
            np.random.default_rng(list(experiment.arms).index(arm)),
            np.random.default_rng(99),
        )
        regimes, n, t = list(runs.shared.regimes), len(runs), len(TASKS)
        level = {**self.level, **self.arm.get(arm, {})}
        tasks = (
            [f"feature {i + 1}" for i in range(runs.shared.lots)]
            if runs.shared.asks == "planted"
            else TASKS
        )
        t = len(tasks)
        auroc = np.zeros((n, t, len(regimes), len(METHODS)))
        task = shared.normal(0, 0.01, t)[None, :, None]
        good = (np.arange(t) < 0.6 * t)[
            None, :, None
        ]  # the concepts of which there is a good feature
        for m, name in enumerate(METHODS):
            auroc[..., m] = level[name] + task + own.normal(0, 0.002, (n, t, 1))
            if name in ("sae-1", *CHANCE[:2]) and arm != "planted" and level[name] > 0.7:
                auroc[..., m] += np.where(good, 0.12, -0.18)
            if PERMUTED in regimes:
                auroc[:, :, regimes.index(PERMUTED), m] = self.permuted[name] + own.normal(
                    0, 0.004, (n, t)
                )
        validation = auroc - 0.1
        for name in ("sae-4", "sae-64", "sae-all") if arm != "planted" else ():
            auroc[..., METHODS.index(name)] += own.normal(0, self.lucky / 2, (n, t, len(regimes)))
        best, recon = METHODS.index("logistic"), METHODS.index("recon")
        validation[..., best] = 0.95
        validation[..., recon] = 0.93 + own.normal(0, 0.01, validation.shape[:-1])
        for r, name in enumerate(regimes):
            if name in SCARCE:
                auroc[:, :, r, METHODS.index("untuned")] -= 0.1
            lead = (self.scarce if name in SCARCE else self.many).get(arm)
            if lead is not None and name != PERMUTED:
                top = METHODS.index("sae-64")
                validation[:, :, r, top] = 0.99
                auroc[:, :, r, top] = auroc[:, :, r, best] + lead + own.normal(0, 0.002, (n, t))
        auroc = np.clip(auroc, 0.01, 1.0)
        named = {
            "validation": ("run task regime probe", validation, "AUROC"),
            "auroc": ("run task regime probe", auroc, "AUROC"),
            "shifted": ("run task probe", auroc[:, :, 0] - 0.1, "AUROC"),
        }
        if runs.shared.asks == "listed":
            shares = {**self.shares, **self.other.get(arm, {})}
            named |= {
                k: ("run", np.clip(v + own.normal(0, 0.005, n), 0, 1), "share")
                for k, v in {**shares, "fvu": 0.2, "dead": 0.1}.items()
            }
        if runs.shared.weights == "trained" and runs.shared.asks != "planted":
            named["asked"] = (
                "run task",
                np.broadcast_to(self.asked + 2 * task[0, :, 0], (n, t)),
                "AUROC",
            )
        return measures(
            runs, coords={"task": tasks, "regime": regimes, "probe": list(METHODS)}, **named
        )


WORLD = World()


# claim → (a world without the effect, {control: a world in which it passes too})
NAMED = {
    "random-again": WORLD.but(level={"random-again-1": 0.78}),
    **{arm: WORLD.but(arm={arm: {"sae-1": 0.78}}) for arm in ("untrained", "frozen")},
}
FLAT = WORLD.but(other={"frozen": {"found": 0.6}}, shares={"found": 0.6})
"""Looking finds as much where the decoder was never learned."""
AHEAD = WORLD.but(many={"main": 0.05, "half": 0.05}, scarce={"main": 0.05, "half": 0.05})
"""The dictionary's probes are ahead, and validation tells."""
CASES = {
    "Not an extreme": (WORLD.but(level={"sae-1": 0.65}), NAMED),
    "Naming tells": (
        WORLD.but(arm={"frozen": {"sae-1": 0.78}}),
        {
            "random-again": WORLD.but(level={"random-again-1": 0.78}),
            "untrained": WORLD.but(arm={"untrained": {"sae-1": 0.78}}),
        },
    ),
    "Looking first": (
        WORLD.but(shares={"found": 0.02}),
        {"shuffled-look": WORLD.but(shares={"found_shuffled": 1.0})},
    ),
    "What is found": (
        WORLD.but(shares={"found": 0.1}),
        {
            "frozen": WORLD.but(other={"frozen": {"found": 0.5}}),
            "shuffled-look": WORLD.but(shares={"found_shuffled": 0.5}),
        },
    ),
    "Looking does not": (
        FLAT,
        WORLD.but(other={"frozen": {"found": 0.1}}, shares={"found": 0.6}),
        {
            "random-look": FLAT.but(shares={"found_random": 0.6}),
            "shuffled-look": FLAT.but(shares={"found_shuffled": 0.6}),
        },
    ),
    "Counting rules": (
        WORLD.but(other={"frozen": {"found": 0.1, "lot": 0.3}}),
        {"half": WORLD.but(other={"half": {"lot": 0.1}})},
    ),
    "A dictionary adds": (
        WORLD.but(scarce={"planted": 0.018}, many={"planted": 0.018}),
        AHEAD,
        {
            "planted": WORLD.but(many={"planted": 0.0}, scarce={"planted": 0.0}),
            "oracle": WORLD.but(lucky=0.001),
        },
    ),
    "Careless tables": (
        AHEAD.but(lucky=0.15),
        {"planted": WORLD.but(many={"planted": 0.0}, scarce={"planted": 0.0})},
    ),
    "A weak baseline": (WORLD.but(level={"untuned": 1.0}), {"tuned": AHEAD}),
    "One feature": (
        WORLD.but(level={"sae-1": 0.92}),
        {
            "planted": WORLD.but(arm={"planted": {"sae-1": 0.8}}),
            "permuted": WORLD.but(permuted={"logistic": 0.6}),
        },
    ),
    "Reconstruction loses": (
        WORLD.but(level={"recon": 0.80}),
        {
            "frozen": WORLD.but(arm={"frozen": {"sae-1": 0.65}}),
            "one-feature": WORLD.but(level={"recon": 0.8, "pca-equal": 0.79}),
        },
    ),
    "What a dictionary leaves": (
        WORLD.but(level={"error": 0.5}),
        {"permuted": WORLD.but(permuted={"error": 0.7})},
    ),
    "Asked in words": (WORLD.but(asked=0.85), {"permuted": WORLD.but(asked=0.3)}),
}


def one(validation, test, names, shifted=None):
    """An arm of one run and one task with these AUROCs; methods that are not named are never
    chosen."""
    runs = Runs([experiment.default[0]])
    v, t, other = (
        np.zeros((1, 1, 1, len(METHODS))),
        np.zeros((1, 1, 1, len(METHODS))),
        np.zeros((1, 1, len(METHODS))),
    )
    for name, a, b in zip(names, validation, test, strict=True):
        (
            v[..., METHODS.index(name)],
            t[..., METHODS.index(name)],
            other[..., METHODS.index(name)],
        ) = a, b, b if shifted is None else shifted
    coords = {"task": ["one"], "regime": ["standard"], "probe": list(METHODS)}
    return measures(
        runs,
        coords=coords,
        validation=("run task regime probe", v, "1"),
        auroc=("run task regime probe", t, "1"),
        shifted=("run task probe", other, "1"),
    )


@pytest.mark.parametrize(("validation", "gained"), [(0.81, 0.0), (0.83, 0.12)])
def test_the_quiver_takes_the_arrow_that_validation_prefers(validation, gained):
    arm = one((0.80, 0.82, validation), (0.79, 0.78, 0.90), ("logistic", "pca", "sae-16"))
    assert gain(arm, STANDARD).item() == pytest.approx(gained)


def test_of_equal_arrows_the_mean_counts():
    arm = one((0.8, 0.8, 0.8), (0.7, 0.8, 0.9), ("logistic", "pca", "sae-16"))
    assert picked(arm, BASELINES).item() == pytest.approx(0.75)
    assert gain(arm, STANDARD).item() == pytest.approx(0.05)


def test_a_feature_may_be_asked_to_be_good_on_both_kinds_of_text():
    for test, shifted, alone, wanted in ((0.9, 0.8, 1, 1), (0.9, 0.7, 1, 0), (0.8, 0.8, 0, 0)):
        arm = one((0.8,), (test,), ("sae-1",), shifted)
        assert (good(arm).item(), good(arm, parts=("test", "shifted")).item()) == (alone, wanted)


def test_concepts_of_surface_are_those_that_words_give_away():
    assert surface({"main": one((0.8, 0.8), (0.9, 0.95), ("tokens", "logistic"))}) == []
    assert surface({"main": one((0.8, 0.8), (0.94, 0.95), ("tokens", "logistic"))}) == ["one"]


def asked(q=4, sizes=(64, 32, 80, 80)):
    import torch

    part = np.repeat(np.arange(4), sizes)
    label = np.tile(np.arange(sum(sizes)) % 2 == 0, (q, 1))
    return Asked(
        tuple(TASKS[:q]),
        torch.zeros(q, sum(sizes), 3, 5),
        np.zeros((q, sum(sizes), 3), int),
        label,
        np.tile(part, (q, 1)),
    )


@pytest.mark.parametrize(
    ("regime", "n", "yes", "wrong", "v"),
    [
        ("standard", 64, 32, 0, 32),
        ("8 examples", 8, 4, 0, 8),
        ("8 examples, again", 8, 4, 0, 8),
        ("32 examples", 32, 16, 0, 32),
        ("1 in 9", 36, 4, 0, 32),
        ("noise 20 %", 64, None, 13, 32),
    ],
)
def test_regimes_change_training_and_never_the_test(regime, n, yes, wrong, v):
    texts = asked()
    q, again, other = (questions(texts, regime, seed) for seed in (3, 3, 4))
    assert (q.train != questions(texts, regime, 3, draw=1).train).any()
    assert (
        q.train.shape[1] == n
        and q.validation.shape[1] == v
        and [t.shape[1] for t in q.tests] == [80, 80]
    )
    assert (
        (texts.part[0][q.train] == 0).all()
        and (texts.part[0][q.validation] == 1).all()
        and (texts.part[0][q.tests[1]] == 3).all()
    )
    told, true = q.told.gather(1, q.train), q.label.gather(1, q.train)
    assert ((told != true).sum(1) == wrong).all() and (yes is None or (told.sum(1) == yes).all())
    assert (q.told == q.label)[:, texts.part[0] > 0].all()
    assert (q.train == again.train).all() and (q.told == again.told).all()
    assert (regime == "standard") == bool(
        (q.train == other.train).all() and (q.told == other.told).all()
    )


def test_permuted_answers_are_as_many_and_tests_stay_true():
    texts = asked(q=8)
    q = questions(texts, PERMUTED, 0)
    for rows in (q.train, q.validation):
        assert (q.told.gather(1, rows).sum(1) == q.label.gather(1, rows).sum(1)).all() and (
            q.told.gather(1, rows) != q.label.gather(1, rows)
        ).any()
    assert (q.told == q.label)[:, texts.part[0] > 1].all()


def test_texts_are_pooled_without_what_stands_behind_their_end():
    import torch

    x = torch.arange(24.0).reshape(1, 2, 4, 3)
    there = torch.tensor([[[1, 1, 1, 1], [1, 1, 0, 0]]]).bool()
    last, mean = pooled(x, there)
    torch.testing.assert_close(last[0], torch.stack([x[0, 0, 3], x[0, 1, 1]]))
    torch.testing.assert_close(mean[0], torch.stack([x[0, 0].mean(0), x[0, 1, :2].mean(0)]))


def test_bags_count_what_two_texts_share():
    single, double = grams(np.array([[[1, 2, 3], [2, 3, -1], [4, 4, -1]]]))
    assert single[0].tolist() == [[3, 2, 0], [2, 2, 0], [0, 0, 1]]
    assert double[0].tolist() == [[5, 3, 0], [3, 3, 0], [0, 0, 2]]


def test_texts_are_coded_one_by_one_and_without_what_fills_them_up():
    import torch

    texts = asked(q=2, sizes=(2, 2, 2, 2))
    texts = replace(
        texts,
        x=torch.randn(2, 8, 3, 5),
        tokens=np.where(np.arange(3) < 2, 7, -1) * np.ones((2, 8, 1), int),
    )
    found = coded(texts, lambda _, x: 2 * x)
    torch.testing.assert_close(found, pooled(2 * texts.x, texts.there))
    other = replace(texts, x=torch.where(texts.there[..., None], texts.x, 1e3))
    torch.testing.assert_close(coded(other, lambda _, x: 2 * x), found)


def small(d=5, f=9, seed=0):
    """A dictionary with decoder rows of different lengths, and texts to read with it."""
    import torch

    from assay.dictionaries.dictionary import Dictionary
    from assay.dictionaries.nonlinearity import ReLU

    own = torch.Generator().manual_seed(seed)
    w, bias = torch.randn(1, d, f, generator=own), torch.randn(1, d, generator=own)
    texts = asked(q=3, sizes=(16, 8, 8, 8))
    label = torch.from_numpy(texts.label)[..., None, None]
    tokens = np.where(np.arange(3) < 2, 7, -1) * np.ones(texts.tokens.shape, int)
    texts = replace(texts, x=torch.randn(3, 40, 3, d, generator=own) + 0.7 * label, tokens=tokens)
    return Dictionary(
        w, torch.zeros(1, f), 2 * w.mT + torch.randn(1, f, d, generator=own), bias, ReLU()
    ), texts


def test_pooling_before_decoding_is_decoding_token_by_token():
    import torch

    one, texts = small()
    made = one.decode(one.encode(texts.x.flatten(0, 2)))[0].view_as(texts.x)
    read = read_of(texts, one)
    torch.testing.assert_close(read["recon"], pooled(made, texts.there), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        read["error"], pooled(texts.x - made, texts.there), rtol=1e-4, atol=1e-4
    )
    f = one.encode(texts.x.flatten(0, 2))[0].unflatten(0, texts.x.shape[:3]) * one.W_dec[0].norm(
        dim=1
    )
    torch.testing.assert_close(read["features"], pooled(f, texts.there), rtol=1e-4, atol=1e-4)


def test_the_best_feature_is_read_as_it_is_and_turned_by_training_texts():
    from assay.features import kernel_probe as probe
    from assay.features.probing import auroc

    one, texts = small()
    f, q = read_of(texts, one)["features"], questions(texts, "standard", 0)
    found = best_feature(f, q)
    for i in range(3):
        yes, train = q.label[i].numpy(), q.train[i].numpy()
        reached = []
        for x in f:
            column = x[i, :, probe.top_features(x, q, 1)[i, 0]].double().numpy()
            turned = column * np.sign(
                column[train][yes[train]].mean() - column[train][~yes[train]].mean()
            )
            reached.append(
                [
                    auroc(turned[at[i].numpy()], yes[at[i].numpy()])
                    for at in (q.validation, *q.tests)
                ]
            )
        best = max(reached, key=lambda r: r[0])
        assert [float(found.validation[i]), *found.tests[:, i].tolist()] == pytest.approx(best)


def test_a_feature_that_competes_with_none_is_found_without_coding_all_texts():
    import torch

    one, texts = small()
    q = questions(texts, "standard", 0)
    wanted, found = (
        best_feature(coded(texts, lambda _, x: one.encode(x)[0]), q),
        best_of_lone(texts, one, q),
    )
    torch.testing.assert_close(found.tests, wanted.tests)
    torch.testing.assert_close(found.validation, wanted.validation)


def test_what_is_left_of_a_careless_gain():
    for validation, honest in ((0.81, 0.0), (0.83, 0.12)):
        arm = one((0.80, 0.82, validation), (0.79, 0.78, 0.90), ("logistic", "pca", "sae-16"))
        arm = arm.isel(regime=[0] * len(REGIMES)).assign_coords(regime=list(REGIMES))
        terms = selection_terms(arm, {})
        assert terms["honest"].item() == pytest.approx(honest) and terms[
            "careless"
        ].item() == pytest.approx(0.12)


def test_derived_arms_change_what_they_say_and_answer_for_nothing_else():
    arms = WORLD.arms()
    main, again = arms["main"].auroc, arms["random-again"].auroc
    np.testing.assert_array_equal(
        again.sel(probe="sae-1", regime="standard"),
        main.sel(probe="random-again-1", regime="standard"),
    )
    assert set(again.probe.values) == {"sae-1", "random-1"}
    np.testing.assert_array_equal(arms["both-oracles"].validation, arms["both-oracles"].auroc)
    best = arms["both-oracles"].auroc.max("probe")
    np.testing.assert_array_equal(
        picked(arms["oracle"], (*BASELINES, *SAE)), picked(arms["both-oracles"], (*BASELINES, *SAE))
    )
    assert float(picked(arms["oracle"], (*BASELINES, *SAE)).max()) == pytest.approx(
        float(best.max())
    )
    np.testing.assert_array_equal(
        picked(arms["oracle"], BASELINES), picked(arms["main"], BASELINES).sel(regime=list(REGIMES))
    )
    assert PERMUTED not in arms["oracle"].regime
    np.testing.assert_array_equal(arms["shuffled-look"].found, arms["main"].found_shuffled)
    np.testing.assert_array_equal(
        arms["tuned"].auroc.sel(probe="untuned"), main.sel(probe="logistic", regime=list(SCARCE))
    )
    np.testing.assert_array_equal(
        arms["permuted"].auroc.sel(probe="error", regime="standard"),
        main.sel(probe="error", regime=PERMUTED),
    )
    assert set(STANDARD) | set(HARD) == set(REGIMES) > set(SCARCE)
