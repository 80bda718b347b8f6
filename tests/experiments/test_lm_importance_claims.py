"""Every claim of lm-importance can hold, can fail, and becomes unspecific where a control passes;
numbers are planted, not trained.

Planted are the mean change of the loss in each quarter of strength and the shares of right and
wrong firings, for a feature's part and for what stands in its place; sums per document follow by
drawing firings, rare features having few. Derived controls are made by the experiment's own code.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this
experiment's own is tested here."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import xarray as xr

from assay.core.measures import measures
from assay.core.runs import Runs
from assay.experiments.lm_importance import experiment
from assay.experiments.lm_importance.claims import KINDS, kinds, lower_limits, surely_important
from assay.experiments.lm_importance.figures import word
from assay.experiments.lm_importance.method import log_uniform
from named_claims import Planted, claim_of, findings, outcome_of

DOCUMENTS, FEATURES, EACH = 24, 12, 320
# nats by quarter of strength, weakest first; shares of firings
MAIN = {
    "change": (0.0, 0.1, 0.2, 0.4),
    "change_random": (0.0, 0.0, 0.0, 0.05),
    "change_permuted": (0.0, 0.0, 0.0, 0.05),
    "change_late": (0.01, 0.01, 0.02, 0.04),
    "change_direct": (0.01, 0.02, 0.03, 0.08),
    "right": 0.4,
    "right_random": 0.2,
    "right_permuted": 0.2,
    "wrong": 0.1,
    "wrong_random": 0.2,
    "wrong_permuted": 0.2,
}
FROZEN = {**MAIN, "change": (0.0, 0.0, 0.0, 0.02)}
SMALL = (0.0, 0.0, 0.0, 0.01)


@dataclass(frozen=True)
class World(Planted, of=experiment):
    """Planted truth of the learned dictionaries and of those with a frozen decoder."""

    main: dict = field(default_factory=lambda: MAIN)
    frozen: dict = field(default_factory=lambda: FROZEN)
    rare: float = 1.0
    """What a feature of the rarest third is worth per firing, over what one of the most frequent
    is."""
    densities: tuple[float, float] = (0.003, 0.3)

    def but(self, **changed) -> "World":
        return replace(self, main={**self.main, **changed})

    def measures(self, arm: str):
        own = np.random.default_rng(100 + list(experiment.arms).index(arm))
        runs = Runs(experiment.specs_of(arm, experiment.default))
        level = self.frozen if arm == "frozen-decoder" else self.main
        density = np.geomspace(*self.densities, FEATURES)
        length = own.lognormal(0, 0.4, DOCUMENTS)
        each = np.minimum(20_000 * density, EACH)
        n = own.poisson(
            each[:, None, None] * (length / length.sum())[:, None] / 4,
            (len(runs), FEATURES, DOCUMENTS, 4),
        ).astype(float)
        useless = np.add.outer(np.arange(len(runs)), np.arange(FEATURES)) % 6 == 0
        worth = np.repeat([self.rare, 1, 1], FEATURES // 3) * ~useless
        named = {"firings": n}
        for name, by_quarter in level.items():
            if arm == "frozen-decoder" and name.endswith(("_permuted", "_late", "_direct")):
                continue
            mean = np.broadcast_to(by_quarter, (4,))
            if name.startswith(("right", "wrong")):
                doubtful = 3 if name == "wrong" else 1  # every fourth feature is often wrong
                share = np.where(np.arange(FEATURES) % 4 == 3, doubtful, 1)[:, None, None] * mean
                named[name] = own.binomial(n.astype(int), share).astype(float)
            else:
                noise = 0.02 if name in ("change_late", "change_direct") else 0.25
                scale = 1 if name == "change_random" else worth[..., None, None]
                named[name] = n * mean * scale + noise * np.sqrt(n) * own.standard_normal(n.shape)
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
    "The dictionary carries": (
        WORLD.but(change=SMALL),
        {
            "random": WORLD.but(change_random=LIKE),
            "permuted": WORLD.but(change_permuted=LIKE),
            "frozen-decoder": World(frozen=MAIN),
        },
    ),
    "It is the direction": (
        WORLD.but(change=SMALL),
        {
            "weak": WORLD.but(change=(0.4,) * 4),
            "permuted": WORLD.but(change_permuted=LIKE),
            "frozen-decoder": World(frozen=MAIN),
        },
    ),
    "Importance is not frequency": (World(rare=0.02), {"total": World(densities=(0.1, 0.1001))}),
    "Most of it acts through later": (
        WORLD.but(change_direct=(0.05, 0.1, 0.15, 0.35)),
        {"late": WORLD.but(change_late=(0.05, 0.1, 0.15, 0.4))},
    ),
}


def claim(start: str):
    return claim_of(experiment, start)


def test_findings_can_be_computed():
    assert np.isfinite(list(findings(experiment, WORLD.arms()).values())).all()


def test_a_dictionary_that_reconstructs_nothing_is_not_judged():
    arms = WORLD.arms()
    arms["main"] = arms["main"].assign(error=0.9 * arms["main"].variance)
    assert outcome_of(experiment, "It is the direction", arms) == ("undecided", "gate reconstructs")


def test_a_features_interval_is_student_t_of_a_ratio_over_its_documents():
    from scipy import stats

    own = np.random.default_rng(0)
    n = own.integers(0, 5, 20).astype(float)
    change = n * own.normal(0.1, 0.3, 20)
    there = [i for i in range(20) if n[i]]
    left_out = [
        sum(change[j] for j in there if j != i) / sum(n[j] for j in there if j != i) for i in there
    ]
    m = len(there)
    error = np.sqrt((m - 1) / m * sum((x - np.mean(left_out)) ** 2 for x in left_out))
    wanted = change.sum() / n.sum() - stats.t.ppf(0.975, m - 1) * error
    assert lower_limits(change, n) == pytest.approx(wanted)
    assert np.isnan(lower_limits(change[:1], n[:1] + 1))


def test_a_feature_with_few_firings_is_no_unit():
    arm = WORLD.measures("main")
    few = arm.assign(firings=arm.firings.where(arm.density > 0.02, 0.1))
    assert (
        np.isnan(surely_important(few, {}).values[:, :4]).all()
        and np.isfinite(surely_important(few, {}).values[:, -1]).all()
    )


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
    found = kinds(strong_firings(django, mixed, usual, unseen, django, mixed, usual, (0, 5)))[0]
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
    xr.testing.assert_allclose(
        total.change.sum(("document", "quarter")),
        main.change.sum(("document", "quarter")) * main.density,
    )


def test_the_weak_arm_is_the_weakest_quarter_alone():
    arms = WORLD.arms()
    assert arms["weak"].sizes["quarter"] == 1
    np.testing.assert_array_equal(
        arms["weak"].change.values[..., 0], arms["main"].change.values[..., 0]
    )


def test_a_token_is_named_as_it_can_be_seen():
    assert word(np.array([ord(c) for c in "\n x\0\0"])) == r"'\n x'"
