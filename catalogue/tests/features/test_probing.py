"""Probes on worlds where it is known what can be read from what, and AUROC against counting
pairs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay_catalogue.features.probing import (
    Rows,
    auroc,
    chosen_features,
    one_feature,
    random_directions,
)

D, WIDTH, B, DOCUMENTS = 8, 8, 800, 10


def eye():
    """A dictionary whose features are the positive parts of the first coordinates, in units that
    differ."""
    scale = torch.logspace(-1, 1, WIDTH)
    return Dictionary(
        (torch.eye(D) * scale)[None],
        torch.zeros(1, WIDTH),
        (torch.eye(WIDTH) / scale[:, None])[None],
        torch.zeros(1, D),
        ReLU(),
    )


def world(question, seed=0):
    own = np.random.default_rng(seed)
    x = (own.random((B, D)) < 0.3) * own.exponential(size=(B, D)) + 0.01 * own.normal(size=(B, D))
    document = np.repeat(np.arange(B // 10) % DOCUMENTS, 10)
    label = {
        "feature": x[:, 3] > 0.2,
        "two": (x[:, 3] > 0.2) | (x[:, 5] > 0.2),
        "linear": x @ np.linspace(-1, 1, D) > 0,
        "nothing": own.random(B) < 0.5,
    }[question]
    return Rows(torch.from_numpy(x).float(), label, document)


def halves(rows):
    """Training and test rows, of different documents."""
    return tuple(
        Rows(rows.x[torch.as_tensor(at)], rows.label[at], rows.document[at])
        for at in (np.flatnonzero(rows.document % 2 == part) for part in (0, 1))
    )


def test_auroc_counts_pairs():
    assert auroc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1])) == 0.75
    assert auroc(np.ones(4), np.array([0, 1, 0, 1])) == 0.5
    assert math.isnan(auroc(np.ones(3), np.ones(3)))
    own = np.random.default_rng(0)
    score, label = own.integers(0, 6, 40), own.random(40) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in score[label] for b in score[~label]]
    assert auroc(torch.from_numpy(score), torch.from_numpy(label)) == pytest.approx(np.mean(pairs))


def test_the_spread_of_guessing_is_the_known_one():
    """Standard error of AUROC under no effect: √((n₁ + n₀ + 1)/(12 n₁ n₀)), .0409 for 100 and
    100."""
    own, label = np.random.default_rng(2), np.arange(200) < 100
    found = [auroc(own.normal(size=200), label) for _ in range(400)]
    assert np.std(found) == pytest.approx(0.0409, rel=0.12) and np.mean(found) == pytest.approx(
        0.5, abs=0.01
    )


def test_one_feature_is_enough_where_one_was_planted():
    train, test = halves(world("feature"))
    assert chosen_features(eye(), train, 1) == [3]
    assert auroc(one_feature(eye(), train, test.x), test.label) > 0.999
    random = random_directions(train.x, WIDTH, 0.3)
    assert auroc(one_feature(random, train, test.x), test.label) < 0.95


def test_two_features_are_chosen_where_two_were_planted_and_one_is_not_enough():
    train, test = halves(world("two"))
    assert set(chosen_features(eye(), train, 2)) == {3, 5}
    assert auroc(one_feature(eye(), train, test.x), test.label) < 0.9


def test_one_feature_does_not_read_what_is_not_there():
    train, test = halves(world("nothing"))
    spread = math.sqrt((len(test.label) + 1) / (12 * test.label.sum() * (~test.label).sum()))
    assert abs(auroc(one_feature(eye(), train, test.x), test.label) - 0.5) < 4 * spread


def test_features_are_chosen_by_the_difference_of_means_on_training_rows():
    train, _ = halves(world("two"))
    one = eye()
    f = (one.encode(train.x) * torch.linalg.vector_norm(one.W_dec[0], dim=1)).double().numpy()
    difference = [
        abs(
            np.mean([f[i, k] for i in range(len(f)) if train.label[i]])
            - np.mean([f[i, k] for i in range(len(f)) if not train.label[i]])
        )
        for k in range(WIDTH)
    ]
    assert (
        chosen_features(one, train, 4, chunk=17).tolist()
        == np.argsort(difference)[::-1][:4].tolist()
    )


def test_a_factor_between_code_and_decoder_changes_nothing():
    train, test = halves(world("two"))
    one, factor = eye(), torch.logspace(2, -2, WIDTH)
    other = replace(one, W_enc=one.W_enc * factor, W_dec=one.W_dec / factor[:, None])
    np.testing.assert_array_equal(chosen_features(other, train, 2), chosen_features(one, train, 2))
    np.testing.assert_allclose(
        one_feature(other, train, test.x), one_feature(one, train, test.x), rtol=1e-4, atol=1e-6
    )


def test_random_directions_are_as_many_and_as_sparse_as_was_asked():
    rows = world("nothing")
    control = random_directions(rows.x, 2 * WIDTH, 0.2)
    assert control.width == 2 * WIDTH and torch.allclose(
        control.W_dec.norm(dim=-1), torch.ones(2 * WIDTH)
    )
    on = (control.encode(rows.x) > 0).float().mean(0)
    assert (on - 0.2).abs().max() < 0.01, "each in the same share of rows"
    assert torch.equal(control.W_dec, random_directions(rows.x, 2 * WIDTH, 0.2).W_dec)
    assert not torch.equal(control.W_dec, random_directions(rows.x, 2 * WIDTH, 0.2, seed=1).W_dec)
