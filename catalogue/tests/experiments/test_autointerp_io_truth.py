"""The scoring of autointerp-io on a hand-made model whose features fire, write and are followed as
planted."""

import numpy as np
import pytest
import torch

from assay_catalogue.experiments.autointerp_io.one_token import open_measures, planted_measures
from assay_catalogue.experiments.autointerp_io.reading import Features, Reading, dense_as
from assay_catalogue.experiments.autointerp_io.scored import drawn_measures
from assay_catalogue.experiments.autointerp_io.setting import InputsOutputs
from assay_catalogue.explaining.learner import Split
from assay_catalogue.explaining.rule import Positions
from assay_catalogue.explaining.scoring import by_context

V, NEXT = 60, 0.9
"""Tokens, and how often token i is followed by i + 1."""


def chain(seed, windows):
    """Windows in which token i is followed by i + 1 with chance NEXT, else by any token."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, V, (windows, 64))
    for p in range(1, 64):
        goes_on = rng.random(windows) < NEXT
        tokens[goes_on, p] = (tokens[goes_on, p - 1] + 1) % V
    return tokens


@pytest.fixture(scope="module")
def planted():
    """Feature i fires on token i and raises token i + 1 most; neurons are noise."""
    rng = np.random.default_rng(0)
    seen, fresh = (Positions(t, np.ones(t.shape, bool)) for t in (chain(1, 300), chain(2, 200)))
    h = tuple(
        torch.from_numpy(rng.normal(size=(len(at), 32)).astype(np.float32)) for at in (seen, fresh)
    )
    read = Reading(
        seen,
        fresh,
        Split(seen, seen.row // 64 % 4 == 0),
        h,
        None,
        torch.zeros(V, 8),
        [f"t{i} " for i in range(V)],
    )
    f = tuple(
        torch.from_numpy((at.shifted(0) == np.arange(V)[:, None]).astype(np.float32))
        for at in (seen, fresh)
    )
    weights = np.roll(np.eye(V), 1, axis=1) + rng.random((V, V)) * 0.1
    return Features(read, f, weights)


@pytest.fixture(scope="module")
def scores(planted):
    return drawn_measures(InputsOutputs(features=8, names=1, firings=50), planted)


def mean(named, name):
    return float(np.nanmean(named[name][1]))


def test_planted_features_are_told_in_full_by_rules_and_noise_is_not(scores):
    assert (
        mean(scores, "detection_in")
        == mean(scores, "fuzzing_in")
        == mean(scores, "auroc_in")
        == 1.0
    )
    assert mean(scores, "simulation_in") == pytest.approx(1.0)
    assert mean(scores, "f1") == 1.0
    for name in ("neuron", "direction", "again"):
        assert mean(scores, name) == pytest.approx(0.5, abs=0.03)


def test_what_comes_next_tells_as_arithmetic_says(scores):
    """Token i + 1 comes after i with chance .9 + .1/60; after another token with about a sixtieth
    of that which is left."""
    after = NEXT + (1 - NEXT) / V
    elsewhere = (1 - after) / (V - 1)
    assert mean(scores, "auroc_out") == pytest.approx(
        0.5 + (after * 63 / 64 - elsewhere) / 2, abs=0.01
    )  # a window's last token has no next
    assert mean(scores, "auroc_both") == 1.0
    assert mean(scores, "auroc_permuted") == 1.0  # the rule alone tells all


def test_followers_name_what_is_promoted_and_inputs_do_not(scores):
    assert mean(scores, "follow_own") == 1.0
    assert mean(scores, "follow_other") == pytest.approx(0.5, abs=0.15)
    assert mean(scores, "logits_in") == pytest.approx(
        0.5, abs=0.25
    )  # one token among the noise of 60 weights, eight times
    assert mean(scores, "logits_both") == pytest.approx(
        (1 + mean(scores, "logits_in")) / 2, abs=0.02
    )


def test_other_features_rules_say_nothing(scores):
    assert mean(scores, "shuffled") == pytest.approx(
        0.5, abs=0.1
    )  # neighbours in the chain share contexts
    assert mean(scores, "bare") == 0.5  # nothing but quotes was said


def test_too_few_features_leave_missing_numbers(planted):
    few = drawn_measures(InputsOutputs(features=V + 5, names=1, further=False), planted)
    assert (
        np.isfinite(few["detection_in"][1]).sum() == V
        and np.isnan(few["detection_in"][1]).sum() == 5
    )


def test_no_token_leaves_these_features_open(planted):
    found = open_measures(
        InputsOutputs(pairs=4), planted, np.full((len(planted.reading.fresh), V), 1 / V)
    )
    assert (
        found["open"][1] == 0 and found["strict"][1] == 0 and np.isnan(found["given_next"][1]).all()
    )
    assert found["lasting"][1] == V


def test_another_models_expectation_tells_a_feature_that_it_shares(planted):
    """Features that fire on a token where the sixth before it was even; a reference that then
    expects what they promote."""
    fires = []
    for at in (planted.reading.seen, planted.reading.fresh):
        before = np.pad(at.tokens, ((0, 0), (6, 0)), constant_values=1)[:, :64].ravel()[at.row]
        fires.append(
            torch.from_numpy(
                ((at.shifted(0) == np.arange(V)[:, None]) & (before % 2 == 0)).astype(np.float32)
            )
        )
    likely = np.full((len(planted.reading.fresh), V), 0.01)
    row, own = np.arange(len(likely)), planted.reading.fresh.shifted(0)
    likely[row, (own + 1) % V] += fires[1].numpy().max(0)
    found = open_measures(
        InputsOutputs(names=1, pairs=8, firings=30),
        Features(planted.reading, tuple(fires), planted.weights),
        likely,
    )
    assert found["open"][1] == 8 and mean(found, "likely_own") == 1.0
    assert mean(found, "likely_other") == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_token_in_context_features_are_found_all_and_only(seed):
    told = planted_measures(InputsOutputs(seed=seed))
    assert (
        told["found_in_context"][1] == 1
        and told["found_on_token"][1] == told["found_on_context"][1] == 0
    )  # recall 1, precision 1
    assert mean(told, "planted_next") == pytest.approx(0.925, abs=0.02) and mean(
        told, "planted_before"
    ) == pytest.approx(0.5, abs=0.03)
    assert mean(told, "marked_before") > 0.95 and mean(told, "marked_next") == pytest.approx(
        0.5, abs=0.03
    )


def test_others_fire_as_often_as_asked():
    a, b = torch.randn(1000, 3), torch.randn(500, 3)
    for rate, (x, y) in zip(
        (0.01, 0.1, 0.5), dense_as(a, b, np.array([0.01, 0.1, 0.5])), strict=True
    ):
        assert (x > 0).mean() == pytest.approx(rate, abs=0.0011) and (
            y > 0
        ).mean() == pytest.approx(rate, abs=0.1)


def test_the_contexts_of_a_planted_feature_are_those_with_its_token(planted):
    """What detection counts, by a loop: a context of 32 tokens fires if the token stands in it."""
    at, value = planted.reading.fresh, planted.values(7)[1]
    by_hand = [
        (at.tokens[w, a : a + 32] == 7).any() for w in range(len(at.tokens)) for a in (0, 32)
    ]
    assert (by_context(at, value) > 0).tolist() == by_hand
