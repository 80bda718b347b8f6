"""Statistics and direct-path logits against naive loops over a dense toy."""

import numpy as np
import pytest

from assay.features import effects, statistics

ROWS, FEATURES = 660, 7


def test_streamed_density_maximum_and_histogram_equal_those_of_the_dense_array():
    r = np.random.default_rng(0)
    dense = np.maximum(r.normal(-0.5, 1, (ROWS, FEATURES)), 0).astype(np.float32)
    dense[:, 3] = 0  # a dead feature
    sums = statistics.start(FEATURES)
    for rows in np.array_split(dense, 7):
        row, feature = np.nonzero(rows)
        statistics.update(sums, feature, rows[row, feature], 0)
    sums.rows[0] = len(dense)
    assert np.array_equal(statistics.density(sums), (dense > 0).mean(0))
    assert np.array_equal(sums.maximum, dense.max(0))
    for f in range(FEATURES):
        inside = np.clip(dense[:, f][dense[:, f] > 0], statistics.EDGES[0], None)
        assert np.array_equal(sums.histogram[f], np.histogram(inside, statistics.EDGES)[0])


def test_nan_and_zero_are_no_firings():
    sums = statistics.start(1)
    statistics.update(sums, np.zeros(3, int), np.array([np.nan, 0.0, 2.0]), 3)
    assert sums.firings[0] == 1
    assert sums.maximum[0] == 2
    assert statistics.density(sums)[0] == pytest.approx(1 / 3)


def test_purity_by_hand():
    assert statistics.purity(
        np.array([[4, 4, 4, 9], [1, 2, -1, -1], [7, -1, -1, -1]])
    ).tolist() == [0.75, 0.5, 1.0]
    assert np.isnan(statistics.purity(np.array([[-1, -1]]))).all()


def test_direct_logits_fold_the_norms_weight_and_extremes_break_ties_by_id():
    r = np.random.default_rng(1)
    decoder = r.normal(size=(3, 4))
    unembedding = r.normal(size=(4, 9))
    norm = r.uniform(0.5, 2, 4)
    naive = [
        [sum(decoder[k, j] * norm[j] * unembedding[j, v] for j in range(4)) for v in range(9)]
        for k in range(3)
    ]
    assert effects.direct_logits(decoder, unembedding, norm) == pytest.approx(
        np.array(naive), abs=1e-5
    )
    u = np.array([0.5, -0.5, 1.0]) @ np.array([[2, -1, 0, 1], [0, 1, 1, -2], [1, 0, -1, 0]])
    # the worked vector of the visualiser's conventions
    assert u.tolist() == [2, -1, -1.5, 1.5]
    ids, logits = effects.extremes(np.array([[1.0, 3, 3, -2, 3]]), 2)
    assert ids.tolist() == [[[1, 2], [3, 0]]] and logits.tolist() == [[[3, 3], [-2, 1]]]
