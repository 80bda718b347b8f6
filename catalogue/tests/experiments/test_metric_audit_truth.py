"""What the measures of metric-audit say of dictionaries whose quality is known without training: an
oracle, a holed one, a random one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import betainc
from sklearn.linear_model import LogisticRegression

from assay.core.bench import Unkept
from assay.core.runs import Runs
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay_catalogue.experiments.metric_audit import model, planted
from assay_catalogue.experiments.metric_audit.panel import MetricAudit, opened
from assay_catalogue.explaining.evidence import input_explanation
from assay_catalogue.explaining.learner import Split
from assay_catalogue.explaining.rule import Positions
from assay_catalogue.features.probing import Rows, auroc, chosen_features, one_feature

S = MetricAudit(
    share=0.4,
    d=64,
    parents=8,
    children=2,
    width=24,
    k=2,
    l0=2.0,
    rows=1500,
    known=4,
    concepts=3,
    steps=4,
    batch=16,
)
HELD = planted.held_out(S, seed=3)
ALL = float(S.width)
"""An L0 at which a dictionary is read whole."""


def made(W_enc, W_dec, b=-0.01):
    return Dictionary(
        W_enc[None], torch.full((1, W_enc.shape[1]), b), W_dec[None], torch.zeros(1, S.d), ReLU()
    )


def scored(one, l0=ALL - 1):
    return planted.scored(one, HELD, one, one.W_dec[0], l0)


@pytest.fixture(scope="module")
def oracle():
    """Fewer features than dimensions: the pseudo-inverse reads every code exactly."""
    return made(torch.linalg.pinv(HELD.directions), HELD.directions)


def test_an_oracle_gets_the_best_number_of_every_measure(oracle):
    found, (f1, mmcs) = scored(oracle)
    assert f1 == pytest.approx(1, abs=1e-3) and mmcs == pytest.approx(1, abs=1e-5)
    for name in ("recovered", "agreement"):
        assert found[name] == pytest.approx(1, abs=0.01), name
    assert found["probe"] > 0.8  # of any of three features a single latent tells one
    assert found["fvu"] < 1e-3 and found["moved"] == pytest.approx(0, abs=1e-5)
    assert found["absorption"] == 0
    assert found["l0"] == pytest.approx((HELD.on[1]).sum(1).mean(), abs=1e-3)


def test_truth_is_about_features_without_labels_alone(oracle):
    """A dictionary that lost every feature with a label is probed at chance and is all true."""
    kept = torch.zeros(S.width, dtype=bool)
    kept[torch.from_numpy(HELD.hidden)] = True
    assert kept.sum() == S.width // 2
    found, truths = scored(made(oracle.W_enc[0] * kept, oracle.W_dec[0]))
    assert truths == pytest.approx((1, 1), abs=1e-3)
    assert found["probe"] < 0.6
    found, (f1, _) = scored(made(oracle.W_enc[0] * ~kept, oracle.W_dec[0]))
    assert f1 < 0.4 and found["probe"] > 0.8


def test_a_dictionary_is_read_at_the_l0_that_is_asked(oracle):
    for l0 in (0.2, 0.4):
        found, _ = scored(oracle, l0)
        assert found["l0"] == pytest.approx(l0, rel=0.1)


def test_an_explainer_learns_the_words_of_a_latent_and_nothing_of_noise():
    draw = np.random.default_rng(0)
    words = tuple(draw.random((4000, 12)) < 0.1 for _ in range(2))

    def told(rule):
        return planted.explained(words, tuple(rule(w)[:, None] for w in words))

    assert told(lambda w: w[:, 3]) == 1
    assert told(lambda w: w[:, 3] | w[:, 7]) == 1 and told(lambda w: w[:, 3] & w[:, 7]) == 1
    assert told(lambda w: draw.random(len(w)) < 0.1) < 0.25
    three = told(lambda w: w[:, 3] | w[:, 7] | w[:, 9])
    said, truly = 1 - 0.9**2, 1 - 0.9**3
    assert three == pytest.approx(2 * said / (said + truly), abs=0.03)


def test_words_say_less_than_the_truth(oracle):
    """Each word stands for two features, and is left out one time in five."""
    on, words = HELD.on[1], HELD.words[1]
    assert words.mean() > on.mean()
    fires = tuple(part.astype(np.float32) > 0 for part in HELD.on)
    assert 0.4 < planted.explained(HELD.words, fires) < 0.95


def test_a_parent_that_its_children_absorb_is_seen_as_absorbed_and_costs_the_truth_and_no_reconstruction(  # noqa: E501
    oracle,
):
    W_enc, W_dec = oracle.W_enc[0].clone(), HELD.directions.clone()
    parent_of = S.world().parent_of()
    for child in range(S.parents, 24):
        W_enc[:, parent_of[child]] -= 20 * oracle.W_enc[0][:, child]
        W_dec[child] += W_dec[parent_of[child]]
    found, (f1, _) = scored(made(W_enc, W_dec))
    _, (right, _) = scored(oracle)
    assert found["absorption"] == pytest.approx(1, abs=0.02) and f1 < right - 0.05
    assert (
        found["fvu"] < 0.2
    )  # amounts of parents and children differ; the directions that are needed are there


def test_random_directions_get_what_chance_gives():
    rows = torch.nn.functional.normalize(
        torch.randn(24, S.d, generator=torch.Generator().manual_seed(0)), dim=1
    )
    found, (f1, mmcs) = scored(made(rows.mT, rows))
    # the largest of 24 squared cosines, each of Beta(1/2, (d - 1)/2)
    below = lambda c: 1 - betainc(0.5, (S.d - 1) / 2, c * c) ** 24  # noqa: E731
    assert mmcs == pytest.approx(quad(below, 0, 1)[0], abs=0.05)
    assert f1 < 0.5 and found["recovered"] < 0.9


def test_a_probe_orders_inputs_as_the_probe_of_a_language_model_does(oracle):
    f = [oracle.encode(x).numpy() for x in HELD.x]
    by_hand = []
    for choose, judge in zip(*(part.T for part in HELD.concept), strict=True):
        rows = Rows(HELD.x[0], choose, np.arange(S.rows))
        by_hand.append(auroc(one_feature(oracle, rows, HELD.x[1]), judge))
    assert planted.probed(HELD, f) == pytest.approx(np.mean(by_hand))


def test_a_probe_on_one_feature_orders_inputs_as_the_feature_does(oracle):
    x, label = HELD.x, HELD.concept[0][:, 3]
    rows = [
        Rows(part, answer, np.arange(len(part)) // 50)
        for part, answer in zip(x, (label, HELD.concept[1][:, 3]), strict=True)
    ]
    regression = LogisticRegression(C=1e6).fit(
        oracle.encode(x[0])[:, chosen_features(oracle, rows[0], 1).copy()], label
    )
    one = oracle.encode(x[1])[:, chosen_features(oracle, rows[0], 1).copy()]
    assert auroc(regression.decision_function(one), rows[1].label) == pytest.approx(
        auroc(one_feature(oracle, rows[0], x[1]), rows[1].label)
    )
    no = [Rows(part.x, ~part.label, part.document) for part in rows]  # asked the other way round
    turned = auroc(one_feature(oracle, no[0], x[1]), no[1].label)
    assert (
        turned == pytest.approx(auroc(one_feature(oracle, rows[0], x[1]), rows[1].label))
        and turned > 0.5
    )


@pytest.mark.thorough
def test_recipes_differ_by_what_they_say_and_copies_share_the_world_alone():
    runs = Runs([S.replace(seed=i) for i in (1, 2)])
    trained = planted.train(runs, Unkept())
    assert all(x.shape[:2] == (2, 2) for x in trained.tensors.values())
    found = opened(trained, 1)
    assert len(found) == len(planted.KINDS) * len(planted.MOMENTA)
    assert all(len(copies) == 2 for copies in found.values())
    starts = [
        trained.tensors[f"{name}.start"][r, c, 0] for name in found for r in (0, 1) for c in (0, 1)
    ]
    assert len({float(W[0, 0]) for W in starts}) == len(starts)
    measured = planted.measure(runs, trained, Unkept())
    assert np.isfinite(measured.truths).all()
    rate = measured.scores.sel(measure="rate").values
    np.testing.assert_array_equal(rate[..., 0], rate[..., 1])
    assert len(np.unique(rate)) == rate.size // 2
    assert rate.min() >= planted.RATES[0] and rate.max() <= planted.RATES[1]


def test_a_recipe_trains_at_the_rate_that_its_world_draws():
    seeds = np.array([1, 2])
    for name, method in planted.methods(S, seeds).items():
        kind, recipe = name.split()
        drawn = planted.rates(seeds)[:, planted.KINDS.index(kind), int(recipe)]
        np.testing.assert_array_equal(method.lr, drawn.repeat(2))
        assert method.betas[0] == planted.MOMENTA[int(recipe)]
        assert method.width == S.width


def test_the_kinds_of_the_panel_on_a_model_are_told_apart_by_name():
    assert set(model.methods(Runs([S]))) == set(model.KINDS) - {model.DRAWN}


def test_tokens_renumbered_without_gaps_are_explained_and_scored_alike():
    draw = np.random.default_rng(5)
    texts = [np.minimum(draw.zipf(1.4, (12, 64)) * 7, 49_000) for _ in range(2)]
    renumbered = model.renumbered(*texts)
    assert max(t.max() for t in renumbered) + 1 == len(np.unique(np.concatenate(texts)))
    value = np.where(
        (texts[0] == 7) | (np.roll(texts[0], 1, 1) == 14) | (draw.random((12, 64)) < 0.05), 1.0, 0.0
    ).ravel()
    said = []
    for first, second in (texts, renumbered):
        places = [Positions(tokens, np.ones_like(tokens, bool)) for tokens in (first, second)]
        rule = Split(places[0], places[0].row // 64 % 3 == 0).learn(value > 0)
        assert rule is not None
        said.append([input_explanation(rule, places[0], value).scores(place) for place in places])
    for plain, dense in zip(*said, strict=True):
        np.testing.assert_array_equal(plain, dense)
        assert len(np.unique(plain)) > 1
