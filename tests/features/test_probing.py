"""Probes on worlds where it is known what can be read from what, and AUROC against counting pairs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from assay.core.errors import DataError
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.features.probing import (
    Probed,
    Rows,
    accuracy,
    auroc,
    auroc_of,
    chosen_features,
    context,
    dense_probe,
    probe_all,
    random_dictionary,
    sparse_probe,
    token_probe,
)

D, WIDTH, B, DOCUMENTS = 8, 8, 800, 10


def eye():
    """A dictionary whose features are the positive parts of the first coordinates, in units that differ."""
    scale = torch.logspace(-1, 1, WIDTH)
    return Dictionary(
        (torch.eye(D) * scale)[None], torch.zeros(1, WIDTH), (torch.eye(WIDTH) / scale[:, None])[None], torch.zeros(1, D), ReLU()
    )


def world(question, seed=0):
    own = np.random.default_rng(seed)
    x = (own.random((B, D)) < 0.3) * own.exponential(size=(B, D)) + 0.01 * own.normal(size=(B, D))
    tokens = own.integers(0, 20, (B // 10, 10))
    document = np.repeat(np.arange(B // 10) % DOCUMENTS, 10)
    label = {
        "feature": x[:, 3] > 0.2,
        "two": (x[:, 3] > 0.2) | (x[:, 5] > 0.2),
        "token": tokens.reshape(-1) < 4,
        "linear": x @ np.linspace(-1, 1, D) > 0,
        "nothing": own.random(B) < 0.5,
    }[question]
    return Rows(torch.from_numpy(x).float(), context(tokens, 4).reshape(B, 4), label, document)


def read(probed):
    return auroc(probed.score, probed.label)


def test_auroc_counts_pairs():
    assert auroc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1])) == 0.75
    assert auroc(np.ones(4), np.array([0, 1, 0, 1])) == 0.5
    assert math.isnan(auroc(np.ones(3), np.ones(3)))
    own = np.random.default_rng(0)
    score, label = own.integers(0, 6, 40), own.random(40) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in score[label] for b in score[~label]]
    assert auroc(torch.from_numpy(score), torch.from_numpy(label)) == pytest.approx(np.mean(pairs))


def test_auroc_from_sums_is_the_same_in_every_resampling_of_documents():
    own = np.random.default_rng(1)
    probed = Probed(own.integers(-9, 9, 300).astype(float), own.random(300) < 0.4, np.repeat([3, 5, 8], 100))
    sums = probed.sums([3, 5, 8])
    assert auroc_of({k: sums[k].sum(0) for k in ("positives", "negatives")}) == pytest.approx(read(probed))
    weights = np.array([[2, 0, 1], [1, 1, 1]])
    drawn = auroc_of({k: weights @ sums[k] for k in ("positives", "negatives")})
    rows = np.concatenate([np.flatnonzero(probed.document == d) for d in (3, 3, 8)])
    assert drawn.tolist() == pytest.approx([auroc(probed.score[rows], probed.label[rows]), read(probed)])
    assert accuracy(sums) == pytest.approx(((probed.score > 0) == probed.label).mean())
    assert sums["rows"].tolist() == [100] * 3
    with pytest.raises(DataError, match="missing: 5"):
        probed.sums([3, 8, 9])
    turned = probed.sums([8, 3, 5])
    assert all((turned[name][[1, 2, 0]] == values).all() for name, values in sums.items())
    smooth = replace(probed, score=own.normal(size=300))
    binned = auroc_of({k: v.sum(0) for k, v in smooth.sums([3, 5, 8], bins=64).items() if k in ("positives", "negatives")})
    assert binned == pytest.approx(read(smooth), abs=0.01)


def test_the_spread_of_guessing_is_the_known_one():
    """Standard error of AUROC under no effect: √((n₁ + n₀ + 1)/(12 n₁ n₀)), .0409 for 100 and 100."""
    own, label = np.random.default_rng(2), np.arange(200) < 100
    found = [auroc(own.normal(size=200), label) for _ in range(400)]
    assert np.std(found) == pytest.approx(0.0409, rel=0.12) and np.mean(found) == pytest.approx(0.5, abs=0.01)


def test_one_feature_is_enough_where_one_was_planted():
    train, test = world("feature").halves()
    found = probe_all(eye(), train, test, (1, 2))
    assert found["sparse-1"].features == (3,) and read(found["sparse-1"]) > 0.999
    assert read(found["random-1"]) < 0.95 and abs(read(found["tokens"]) - 0.5) < 0.1
    assert set(found) == {"dense", "tokens", "sparse-1", "sparse-2", "random-1", "random-2"}


def test_two_features_are_needed_where_two_were_planted():
    train, test = world("two").halves()
    found = sparse_probe(eye(), train, test, (1, 2))
    assert set(found[2].features) == {3, 5} and found[2].features[:1] == found[1].features
    assert read(found[2]) > 0.99 > 0.9 > read(found[1])


def test_each_baseline_reads_what_only_it_can():
    train, test = world("token").halves()
    assert read(token_probe(train, test)) > 0.99 and abs(read(dense_probe(train, test)) - 0.5) < 0.1
    train, test = world("linear").halves()
    assert read(dense_probe(train, test)) > 0.98 and abs(read(token_probe(train, test)) - 0.5) < 0.1


def test_no_probe_reads_what_is_not_there():
    train, test = world("nothing").halves()
    spread = math.sqrt((len(test.label) + 1) / (12 * test.label.sum() * (~test.label).sum()))
    for name, probed in probe_all(eye(), train, test, (1, 5)).items():
        assert abs(read(probed) - 0.5) < 4 * spread, name


def test_features_are_chosen_by_the_difference_of_means_on_training_rows():
    train, _ = world("two").halves()
    one = eye()
    f = (one.encode(train.x)[0] * torch.linalg.vector_norm(one.W_dec[0], dim=1)).double().numpy()
    difference = [
        abs(
            np.mean([f[i, k] for i in range(len(f)) if train.label[i]])
            - np.mean([f[i, k] for i in range(len(f)) if not train.label[i]])
        )
        for k in range(WIDTH)
    ]
    assert chosen_features(one, train, 4, chunk=17).tolist() == np.argsort(difference)[::-1][:4].tolist()


def test_nothing_leaks_from_the_test_rows():
    rows = world("linear")
    train, test = rows.halves()
    assert not set(train.document) & set(test.document) and len(train.x) + len(test.x) == B
    wrong = Rows(test.x, test.context, ~test.label, test.document)
    for name, probed in probe_all(eye(), train, test, (2,)).items():
        assert (probed.score == probe_all(eye(), train, wrong, (2,))[name].score).all(), name


def test_a_factor_between_code_and_decoder_changes_nothing():
    train, test = world("two").halves()
    one, factor = eye(), torch.logspace(2, -2, WIDTH)
    other = replace(one, W_enc=one.W_enc * factor, W_dec=one.W_dec / factor[:, None])
    for k, probed in sparse_probe(other, train, test, (1, 2)).items():
        assert probed.features == sparse_probe(one, train, test, (1, 2))[k].features
        np.testing.assert_allclose(probed.score, sparse_probe(one, train, test, (1, 2))[k].score, atol=1e-3)


def test_the_random_dictionary_is_as_wide_and_as_sparse():
    rows = world("nothing")
    control = random_dictionary(eye(), rows.x)
    assert control.width == WIDTH
    assert (control.encode(rows.x) > 0).float().mean() == pytest.approx(
        float((eye().encode(rows.x) > 0).float().mean()), abs=0.02
    )
    assert torch.equal(control.W_dec, random_dictionary(eye(), rows.x).W_dec)
    assert not torch.equal(control.W_dec, random_dictionary(eye(), rows.x, seed=1).W_dec)


def test_contexts():
    assert context(np.array([[5, 6, 7]]), 2).tolist() == [[[-1, 5], [5, 6], [6, 7]]]


def test_what_does_not_fit_is_refused():
    rows = world("feature")
    with pytest.raises(DataError, match="got 800 activations, 800 contexts, 3 labels"):
        Rows(rows.x, rows.context, rows.label[:3], rows.document)
    with pytest.raises(DataError, match="with the answer yes are fewer than two"):
        Rows(rows.x, rows.context, rows.label & (rows.document == 0), rows.document).halves()
    with pytest.raises(DataError, match="got 2 runs"):
        sparse_probe(Dictionary.join([eye()] * 2), rows, rows)
