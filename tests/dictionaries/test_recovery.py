"""Recovery of planted truth: loops, matchings found by trying all, worlds where the answer is
known."""

import itertools
import math

import numpy as np
import pytest
import torch

from assay.core.errors import DataError
from assay.dictionaries.measuring.recovery import cosines, mcc, mcc_matched, support, support_sums

KINDS = [np.asarray, torch.as_tensor]


def rows(n, d, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def loop(a, b):
    return abs(
        sum(x * y for x, y in zip(a, b, strict=True))
        / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))
    )


@pytest.mark.parametrize("kind", KINDS)
def test_loops_and_all_matchings(kind):
    true, learned = rows(3, 4), rows(5, 4, 1)
    pairs = [[loop(a, b) for b in learned] for a in true]
    assert float(mcc(kind(true), kind(learned))) == pytest.approx(
        np.mean([max(line) for line in pairs])
    )
    best = max(
        sum(pairs[i][k] for i, k in enumerate(order))
        for order in itertools.permutations(range(5), 3)
    )
    assert float(mcc_matched(kind(true), kind(learned))) == pytest.approx(best / 3)
    fewer = max(
        sum(pairs[i][k] for k, i in enumerate(order))
        for order in itertools.permutations(range(3), 2)
    )
    # one true feature is left without
    assert float(mcc_matched(kind(true), kind(learned[:2]))) == pytest.approx(fewer / 3)
    assert isinstance(
        mcc(kind(true), kind(learned)), np.floating if kind is np.asarray else torch.Tensor
    )


def test_the_truth_scores_one_whatever_its_order_sign_and_length():
    true = rows(6, 8)
    learned = np.concatenate([-2 * true[::-1], rows(9, 8, 2)])
    assert mcc(true, learned) == pytest.approx(1)
    assert mcc_matched(true, learned) == pytest.approx(1)


def test_one_direction_for_all_fools_only_the_maximum():
    true = np.stack([np.ones(4) + 0.01 * row for row in rows(5, 4)])
    learned = np.concatenate([np.ones((1, 4)), np.zeros((4, 4))])
    assert mcc(true, learned) > 0.99 and mcc_matched(true, learned) < 0.21


def test_orthogonal_directions_score_zero_and_runs_keep_their_axis():
    eye = np.eye(6)
    assert mcc(eye[:3], eye[3:]) == 0 and mcc_matched(eye[:3], eye[3:]) == 0
    true, learned = (np.stack([rows(4, 5, s), rows(4, 5, s + 1)]) for s in (0, 7))
    for measure in (mcc, mcc_matched):
        assert measure(true, learned).tolist() == pytest.approx(
            [float(measure(t, u)) for t, u in zip(true, learned, strict=True)]
        )
    assert cosines(torch.from_numpy(true), learned).shape == (2, 4, 4)


def planted(b=400, n=4, d=16, seed=0):
    own = np.random.default_rng(seed)
    true = np.linalg.qr(own.normal(size=(d, d)))[0][:n] * own.uniform(0.5, 2, (n, 1))
    return (own.random((b, n)) < 0.2) * own.exponential(size=(b, n)), true


@pytest.mark.parametrize("kind", KINDS)
def test_perfect_codes_have_perfect_support(kind):
    codes, _ = planted()
    scale = np.array([3.0, 0.1, 1, 2])
    features = (codes * scale)[:, ::-1]
    found = support(support_sums(kind(codes), kind(features.copy())))
    assert (found["f1"] == 1).all()
    assert (found["precision"] == 1).all()
    assert found["match"].tolist() == [3, 2, 1, 0]
    assert (support(support_sums(codes, 0.5 * codes))["f1"] == 1).all()


def test_support_is_counted_by_hand_and_parts_add_up():
    codes = np.array([[1, 0], [1, 0], [1, 0], [0, 0], [0, 0.0]])
    features = np.array([[2, 0, 0], [1, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 0.0]])
    found = support(support_sums(codes, features))
    assert found["match"][0] == 0
    assert found["precision"][0] == pytest.approx(2 / 3)
    assert found["recall"][0] == pytest.approx(2 / 3)
    assert found["f1"][0] == pytest.approx(2 / 3)
    assert all(math.isnan(found[k][1]) for k in ("precision", "recall", "f1"))
    by_direction = support(support_sums(codes, features), np.array([2, -1]))
    assert by_direction["f1"][0] == 0 and math.isnan(by_direction["precision"][0])
    halves = [support_sums(codes[i], features[i]) for i in (slice(0, 2), slice(2, 5))]
    for name, whole in support_sums(codes, features).items():
        assert (halves[0][name] + halves[1][name] == whole).all()


def test_independent_firing_has_the_f1_of_chance():
    """Two independent events of probability p and q: both at pq, so F1 is 2pq/(p + q)."""
    own = np.random.default_rng(0)
    codes, features = (own.random((200_000, 1)) < p for p in (0.2, 0.3))
    assert support(support_sums(codes, features))["f1"] == pytest.approx(2 * 0.06 / 0.5, abs=0.01)


def test_what_does_not_fit_is_refused():
    with pytest.raises(DataError, match=r"equally wide, got \[2, 3\] and \[2, 4\]"):
        mcc(rows(2, 3), rows(2, 4))
    with pytest.raises(DataError, match="same rows, got 3 and 4"):
        support_sums(rows(3, 2), rows(4, 2))


def test_of_two_latents_with_the_same_f1_the_one_with_more_hits_is_taken_wherever_it_stands():
    # one true feature, on in rows 0 … 3; latent a fires on rows 0 … 1 (F1 2·2/(2+4) = 2/3), latent
    # b on all and 4 … 7 (2·4/(8+4) = 2/3)
    codes = np.zeros((8, 1))
    codes[:4] = 1
    a, b = np.zeros(8), np.ones(8)
    a[:2] = 1
    for order in ([a, b], [b, a]):
        found = support(support_sums(codes, np.stack(order, 1)))
        assert found["f1"][0] == pytest.approx(2 / 3)
        assert found["recall"][0] == 1
        assert found["precision"][0] == 0.5
