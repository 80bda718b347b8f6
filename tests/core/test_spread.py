"""Statistics of sets of vectors are those that NumPy computes, and their intervals cover."""

from functools import partial

import numpy as np
import pytest
from scipy.stats import spearmanr

from assay.core import spread
from assay.core.intervals import interval

FIRST = np.arange(24) < 10
STATISTICS = {
    "effective_rank": spread.effective_rank,
    "participation_ratio": spread.participation_ratio,
    "explained": partial(spread.explained, components=2),
    "cosine": spread.cosine,
    "cka": lambda x: spread.cka(x, seen_elsewhere(x)),
    "rsa": lambda x: spread.rsa(x, seen_elsewhere(x)),
    "distance": partial(spread.distance, first=FIRST, second=~FIRST),
}


def seen_elsewhere(x):
    """Vectors that have something to do with others, of another number of dimensions."""
    return np.tanh(x[:, :4] @ np.random.default_rng(0).standard_normal((4, 7)))


def naive(name, x):
    """A statistic in the plain way."""
    if name == "cka":
        a, b = (z - z.mean(0) for z in (x, seen_elsewhere(x)))
        norm = np.linalg.norm
        return norm(a.T @ b) ** 2 / (norm(a.T @ a) * norm(b.T @ b))
    if name == "rsa":
        sides = x, seen_elsewhere(x)
        pairs = [(i, j) for i in range(len(x)) for j in range(i)]
        alike = [[np.corrcoef(z[i], z[j])[0, 1] for i, j in pairs] for z in sides]
        return spearmanr(*alike).statistic
    if name == "distance":
        return np.linalg.norm(x[FIRST].mean(0) - x[~FIRST].mean(0))
    if name == "cosine":
        pairs = [(a, b) for i, a in enumerate(x) for b in x[:i]]
        return np.mean([a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in pairs])
    p = np.sort(np.linalg.eigvalsh(np.cov(x.T)))[::-1]
    p = p[p > 1e-12] / p.sum()
    if name == "explained":
        return p[:2].sum()
    return 1 / (p**2).sum() if name == "participation_ratio" else np.exp(-(p * np.log(p)).sum())


def vectors(seed, width=30):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((24, width)) / np.sqrt(np.arange(1, width + 1)) + 0.3


@pytest.mark.parametrize("name", STATISTICS)
def test_the_mean_over_vectors_is_the_statistic(name):
    for width in (5, 30):
        x = vectors(1, width)
        parts = spread.by_vector(STATISTICS[name], x)
        assert parts.mean() == pytest.approx(naive(name, x))


@pytest.mark.parametrize("name", ["effective_rank", "participation_ratio", "explained", "cka"])
def test_a_part_is_what_a_vector_with_more_weight_changes(name):
    x = vectors(2, 6)
    many = np.tile(x, (100, 1))
    for i in (0, 7):
        more = STATISTICS[name](np.vstack([many, x[i : i + 1]]))[0]
        slope = (more - STATISTICS[name](many)[0]) * (len(many) + 1)
        assert STATISTICS[name](x)[1][i] == pytest.approx(slope, rel=0.02, abs=1e-3)


@pytest.mark.parametrize("name", STATISTICS)
def test_intervals_cover_the_mean_of_the_statistic_over_samples(name):
    parts = [spread.by_vector(STATISTICS[name], vectors(seed)) for seed in range(10, 160)]
    truth = np.mean([p.mean() for p in parts])
    intervals = [interval({"x": p}, lambda m: m["x"]) for p in parts]
    assert np.mean([i.low <= truth <= i.high for i in intervals]) >= 0.93


def test_what_has_no_spread_has_no_rank():
    assert np.isnan(spread.by_vector(spread.effective_rank, np.ones((4, 3)))).all()
    assert np.isnan(spread.by_vector(spread.effective_rank, np.ones((1, 3)))).all()
