"""Every claim of lm-importance can hold, can fail, and becomes unspecific where a control passes;
numbers are planted, not trained.

Planted are the mean change of the loss in each quarter of strength and the shares of right and
wrong firings, for a feature's part and for what stands in its place; sums per document follow by
drawing firings, rare features having few. Derived controls are made by the experiment's own code.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this
experiment's own is tested here."""

from dataclasses import dataclass, field, replace

import numpy as np
from named_claims import Planted, claim_of, findings, outcome_of

from assay.core.measures import measures
from assay.core.runs import Runs
from assay_catalogue.experiments.lm_importance import experiment
from assay_catalogue.experiments.lm_importance.claims import KINDS, beyond_chance, kinds
from assay_catalogue.experiments.lm_importance.method import log_uniform

DOCUMENTS, FEATURES, EACH = 24, 12, 240
# nats at the weakest and the strongest quarter of firings; shares of strong firings
MAIN = {
    "change": (0.0, 0.4),
    "change_random": (0.0, 0.05),
    "change_permuted": (0.0, 0.05),
    "right": 0.4,
    "right_random": 0.2,
    "right_permuted": 0.2,
    "wrong": 0.04,
    "wrong_random": 0.09,
    "wrong_permuted": 0.09,
}
FROZEN = {**MAIN, "change": (0.0, 0.02), "right": 0.2, "wrong": 0.09}
SMALL = (0.0, 0.01)


@dataclass(frozen=True)
class World(Planted, of=experiment):
    """Planted truth of the learned dictionaries and of those with a frozen decoder."""

    main: dict = field(default_factory=lambda: MAIN)
    frozen: dict = field(default_factory=lambda: FROZEN)
    rare: float = 1.0
    """What a feature of the rarest third is worth per firing, over what one of the most frequent
    is."""
    doubtful: tuple[str, ...] = ("wrong",)
    """Of whom the denser half of features is often wrong."""
    densities: tuple[float, float] = (0.003, 0.3)

    def but(self, **changed) -> "World":
        return replace(self, main={**self.main, **changed})

    def measures(self, arm: str):
        own = np.random.default_rng(100 + list(experiment.arms).index(arm))
        runs = Runs(experiment.specs_of(arm, experiment.default))
        level = self.frozen if arm == "frozen-decoder" else self.main
        density = np.geomspace(*self.densities, FEATURES)
        length = own.lognormal(0, 0.4, DOCUMENTS)
        each = np.minimum(100_000 * density, EACH)
        n = own.poisson(
            each[:, None, None] * (length / length.sum())[:, None] / 2,
            (len(runs), FEATURES, DOCUMENTS, 2),
        ).astype(float)
        useless = np.add.outer(np.arange(len(runs)), np.arange(FEATURES)) % 6 == 0
        worth = np.repeat([self.rare, 1, 1], FEATURES // 3) * ~useless
        named = {"firings": n}
        for name, by_quarter in level.items():
            if arm == "frozen-decoder" and name.endswith("_permuted"):
                continue
            mean = np.broadcast_to(by_quarter, (2,))
            if name.startswith(("right", "wrong")):
                times = 14 if name in self.doubtful and arm != "frozen-decoder" else 1
                share = (
                    np.where(np.arange(FEATURES) < FEATURES // 2, 1, times)[:, None, None] * mean
                )
                share = np.minimum(share, 0.56)
                named[name] = own.binomial(n.astype(int), share).astype(float)
            else:
                scale = 1 if name == "change_random" else worth[..., None, None]
                named[name] = n * mean * scale + 0.25 * np.sqrt(n) * own.standard_normal(n.shape)
        flat = (len(runs), FEATURES)
        data = {name: ("run feature document quarter", x, "1") for name, x in named.items()}
        data["density"] = ("run feature", np.broadcast_to(density, flat), "1")
        data["number"] = ("run feature", np.broadcast_to(np.arange(FEATURES), flat), "1")
        data["spoken"] = ("run feature letter", np.broadcast_to([ord("a"), 0], (*flat, 2)), "1")
        data |= {
            name: ("run feature", x * np.ones(flat), "1")
            for name, x in (("own", 2.0), ("others", 1.0))
        }
        tokens = np.round(200 * length)
        sums = {
            "tokens": tokens,
            "active": 16 * tokens,
            "variance": 1024 * tokens,
            "error": 256 * tokens,
        }
        data |= {
            name: ("run document", np.broadcast_to(x, (len(runs), DOCUMENTS)), "1")
            for name, x in sums.items()
        }
        return measures(
            runs, coords={"document": [f"file-{i:02}" for i in range(DOCUMENTS)]}, **data
        )


WORLD = World()
LIKE = MAIN["change"]

# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "It is the direction": (
        WORLD.but(change=SMALL),
        {
            "weak": WORLD.but(change=(0.4, 0.4)),
            "permuted": WORLD.but(change_permuted=LIKE),
            "frozen-decoder": World(frozen=MAIN),
        },
    ),
    "Importance is not frequency": (World(rare=0.02), {"total": World(densities=(0.1, 0.1001))}),
    "Features that are rare": (
        WORLD.but(right=0.2, wrong=0.2),
        {
            "permuted": WORLD.but(right_permuted=0.4, wrong_permuted=0.01),
            "frozen-decoder": World(frozen=FROZEN | {"right": 0.4, "wrong": 0.01}),
        },
    ),
    "Features that are often wrong": (
        World(doubtful=()),
        {
            "permuted": World(doubtful=("wrong", "wrong_permuted")),
            "frozen-decoder": World(frozen=FROZEN | {"wrong": 0.3}),
        },
    ),
}


def claim(start: str):
    return claim_of(experiment, start)


def test_findings_can_be_computed():
    assert np.isfinite(list(findings(experiment, WORLD.arms()).values())).all()


def test_a_dictionary_that_reconstructs_nothing_is_not_judged():
    arms = WORLD.arms()
    arms["both"] = arms["both"].assign(error=0.9 * arms["both"].variance)
    assert outcome_of(experiment, "It is the direction", arms) == ("undecided", "gate reconstructs")


def test_what_features_and_random_directions_share_is_chance():
    arm = WORLD.measures("main")
    same = arm.assign(right_random=arm.right, wrong_random=arm.wrong)
    for kind in (0, 1):
        difference = beyond_chance(kind)(same, {})
        assert float(abs(difference).max()) == 0
        assert difference.sizes["feature"] == (FEATURES // 2, FEATURES)[kind]


def strong_firings(*features):
    """One run whose features have these (right, wrong) at their strongest quarter, rarest first."""
    arm = WORLD.measures("main").isel(run=[0], feature=range(len(features)), document=[0])
    for name, x in zip(("right", "wrong"), np.array(features, float).T, strict=True):
        values = np.zeros(arm[name].shape)
        values[0, :, 0, -1] = x
        arm = arm.assign({name: arm[name].copy(data=values)})
    return arm


def test_the_two_kinds_are_found_by_their_rule():
    django, mixed, usual, unseen = (9, 1), (6, 4), (7, 3), (4, 0)
    found = kinds(strong_firings(django, mixed, usual, unseen, django, mixed, usual, (0, 5)))
    found = found.values.ravel()
    named = ["" if np.isnan(k) else KINDS[int(k)] for k in found]
    right, wrong, neither = KINDS
    assert named == [
        right,
        wrong,
        neither,
        "",
        neither,
        wrong,
        neither,
        wrong,
    ]  # the second django is no rare feature


def test_features_are_drawn_log_uniformly_and_none_twice():
    density = np.random.default_rng(0).permutation(np.geomspace(1e-4, 0.5, 1000))
    drawn = log_uniform(density, 12, 1e-3, seed=3)
    assert (
        len(set(drawn.tolist())) == 12
        and (np.diff(density[drawn]) > 0).all()
        and density[drawn].min() >= 1e-3
    )
    edges = np.linspace(np.log(density[density >= 1e-3].min()), np.log(0.5), 13)
    assert (np.histogram(np.log(density[drawn]), edges)[0] == 1).all()
    assert len(set(log_uniform(np.full(5, 0.1), 5, 1e-3, seed=0).tolist())) == 5
    assert set(log_uniform(np.array([0.2, 1e-5, 0.1, 1e-6]), 3, 1e-3, seed=0).tolist()) == {
        0,
        1,
        2,
    }  # too few as dense as asked


def test_importance_over_all_tokens_is_importance_where_active_times_density():
    arms = WORLD.arms()
    main, total = arms["main"], arms["total"]
    half_of_them = total.change.values[len(main.run) :]
    np.testing.assert_allclose(half_of_them, main.change * main.density)


def test_the_weak_arm_is_the_weakest_quarter_alone():
    arms = WORLD.arms()
    assert arms["weak"].sizes["quarter"] == 1
    weakest = arms["main"].change.values[..., 0]
    np.testing.assert_array_equal(arms["weak"].change.values[-len(weakest) :, ..., 0], weakest)
