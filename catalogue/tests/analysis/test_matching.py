"""Nearest neighbours of other groups, and what they leave: against naive loops, and on a planted
law that fools a partial correlation."""

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from assay.core.errors import ClaimError
from assay_catalogue.analysis.matching import beyond, donors, partial_spearman, spearman


def planted(direct: float, seed: int = 0, groups: int = 40, each: int = 12):
    """A cause, what it passes on (a step), and an outcome that rises and falls with the step's
    height, plus `direct` times the cause."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), each)
    cause = rng.normal(size=len(group))
    passed = np.where(cause > 0, 1.0, 0.0) + 0.3 * rng.normal(size=len(group))
    outcome = (
        np.exp(-((passed - 0.9) ** 2) / 0.1) + 0.1 * rng.normal(size=len(group)) + direct * cause
    )
    return group, cause, passed, outcome


def matched(direct, seed):
    group, cause, passed, outcome = planted(direct, seed)
    near = donors(passed[:, None], group, 3)
    return spearmanr(beyond(outcome, near), beyond(cause, near)).statistic


def test_donors_are_the_nearest_of_other_groups_by_a_naive_search():
    rng = np.random.default_rng(1)
    x, group = rng.normal(size=(30, 2)) * [1.0, 50.0], np.repeat(np.arange(6), 5)
    sd = x.std(0)
    for i, found in enumerate(donors(x, group, 4)):
        others = [j for j in range(30) if group[j] != group[i]]
        others.sort(key=lambda j: sum(((x[i] - x[j]) / sd) ** 2))
        assert found.tolist() == others[:4]


def test_beyond_is_what_is_left_of_the_donors_mean():
    assert beyond(np.array([5.0, 1.0, 2.0]), np.array([[1, 2], [0, 2], [0, 1]])).tolist() == [
        3.5,
        -2.5,
        -1.0,
    ]


def test_matching_finds_no_effect_where_a_partial_rank_correlation_does():
    """All of the cause acts through what was passed on, which the outcome does not follow in a
    straight line."""
    fooled = [
        partial_spearman(o, c, p[:, None])
        for _, c, p, o in (planted(0.0, seed) for seed in range(8))
    ]
    assert (
        abs(np.mean([matched(0.0, seed) for seed in range(8)])) < 0.07 < 0.15 < abs(np.mean(fooled))
    )


def test_matching_finds_a_direct_effect():
    assert np.mean([matched(0.3, seed) for seed in range(4)]) > 0.4


@pytest.mark.parametrize("n", [2, 3, 7, 20, 131])
def test_the_rank_correlation_is_scipys_bit_for_bit(n):
    rng = np.random.default_rng(n)
    for digits in (12, 1, 0):  # without ties, with some, with many
        for x, y in np.round(rng.normal(size=(30, 2, n)), digits):
            if np.ptp(x) > 0 and np.ptp(y) > 0:
                assert spearman(x, y) == spearmanr(x, y).statistic


def test_the_rank_correlation_of_what_has_no_order_is_not_a_number():
    x = np.arange(5.0)
    assert all(
        np.isnan(spearman(*pair))
        for pair in (
            (x, np.ones(5)),
            (np.ones(5), x),
            (x, np.append(x[:4], np.nan)),
            (x[:1], x[:1]),
        )
    )


def test_a_partial_rank_correlation_of_one_covariate_is_the_textbook_formula():
    rng = np.random.default_rng(2)
    z = rng.normal(size=50)
    x, y = z + rng.normal(size=50), z**3 + rng.normal(size=50)
    r = np.corrcoef([rankdata(v) for v in (x, y, z)])
    wanted = (r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
    assert partial_spearman(x, y, z[:, None]) == pytest.approx(wanted, abs=1e-12)
    assert np.isnan(partial_spearman(z, y, z[:, None]))  # nothing of x is left


@pytest.mark.parametrize(("k", "groups"), [(0, 4), (3, 1), (3, 2)])
def test_too_few_donors_are_one_clear_line(k, groups):
    x = np.arange(4.0)[:, None]
    with pytest.raises(ClaimError, match="donors"):
        donors(x, np.arange(4) % groups, k)
    with pytest.raises(ClaimError, match="numbers"):
        donors(np.full((4, 1), np.nan), np.arange(4), 1)
