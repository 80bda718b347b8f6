"""The linear probe: sklearn's Ridge in explicit loops, planted truths that it finds, and noise that
it refuses."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from assay.features.linear_probe import INNER, folds
from assay_catalogue.features.linear_probe import STRENGTHS, centroids, distance_r2, out_of_fold
from assay_catalogue.worlds.hidden_markov.process import rrxor

TREE = rrxor().tree(10)
BELIEF = torch.from_numpy(TREE.belief)
PREFIX = np.arange(len(TREE))
ENDING = TREE.suffixes(5)


def r2(x, y=BELIEF, group=PREFIX, k=5, **more):
    off = (out_of_fold(x, y, group, k, **more) - y).square().sum((1, 2))
    return (1 - off / (y - y.mean(0)).square().sum()).numpy()


def noise(width, runs=1, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(runs, len(TREE), width)))


def sklearn_ridge(x, y, strength, at):
    """Standardised by the rows it is fitted on; sklearn's penalty is in squared units, ours in
    shares of tr(G)/d."""
    scaler = StandardScaler().fit(x)
    z = scaler.transform(x)
    alpha = strength * np.trace(z.T @ z) / z.shape[1]
    return Ridge(alpha=alpha, solver="cholesky").fit(z, y).predict(scaler.transform(at))


def test_it_is_sklearns_ridge_in_nested_folds():
    rng = np.random.default_rng(0)
    group = rng.integers(0, 24, 150)
    x = rng.normal(size=(3, 150, 20)) @ rng.normal(size=(20, 20)) + 3
    y = x[0, :, :3] + [[0.1], [4.0], [9.0]][0] * rng.normal(size=(150, 3))
    found = out_of_fold(torch.from_numpy(x), torch.from_numpy(y), group, 4).numpy()
    outer = folds(group, 4)
    chosen = set()
    for run in range(3):
        for fold in range(4):
            train, held = outer != fold, outer == fold
            inner = folds(group[train], INNER)
            errors = []
            for strength in STRENGTHS:
                error = 0.0
                for one in range(INNER):
                    a, b = x[run, train][inner != one], x[run, train][inner == one]
                    error += (
                        (
                            sklearn_ridge(a, y[train][inner != one], strength, b)
                            - y[train][inner == one]
                        )
                        ** 2
                    ).sum()
                errors.append(error)
            best = STRENGTHS[int(np.argmin(errors))]
            chosen.add(best)
            np.testing.assert_allclose(
                found[run, held],
                sklearn_ridge(x[run, train], y[train], best, x[run, held]),
                atol=1e-6,
            )
    assert len(chosen) > 1  # the choice was one


@pytest.mark.parametrize(("group", "k"), [(PREFIX, 5), (ENDING, 6)])
def test_a_planted_belief_is_found(group, k):
    mix = np.random.default_rng(3).normal(size=(5, 64))
    exact = torch.from_numpy(TREE.belief @ mix + 7)[None]
    assert r2(exact, group=group, k=k) == pytest.approx(1, abs=1e-6)
    assert r2(exact + 0.3 * noise(64), group=group, k=k) > 0.95


@pytest.mark.parametrize(("group", "k"), [(PREFIX, 5), (ENDING, 6)])
def test_noise_and_shuffled_beliefs_are_not(group, k):
    assert (r2(noise(256, runs=2), group=group, k=k) < 0.02).all()
    order = np.random.default_rng(0).permutation(len(TREE))
    assert r2(BELIEF[None] + 0.01 * noise(5), BELIEF[order], group, k) < 0.02


def test_next_token_and_token_tables_with_prefixes_held_out():
    """Measured with other code on the same enumerated prefixes, other folds: .287; .07, .21, .31,
    .46, .61."""
    assert r2(torch.from_numpy(TREE.predicted)[None]) == pytest.approx(0.287, abs=0.005)
    for k, wanted in enumerate((0.07, 0.21, 0.31, 0.46, 0.61), 1):
        table = np.eye(TREE.suffixes(k).max() + 1)[TREE.suffixes(k)]
        assert r2(torch.from_numpy(table)[None]) == pytest.approx(wanted, abs=0.011)


def test_an_ending_never_seen_says_nothing():
    table = np.eye(ENDING.max() + 1)[ENDING]
    assert r2(torch.from_numpy(table)[None]) > 0.55
    assert r2(torch.from_numpy(table)[None], group=ENDING, k=6) < 0.02


def test_runs_are_probed_by_themselves():
    x = torch.cat(
        [
            BELIEF[None] @ torch.ones(5, 8).double() * 0 + noise(8),
            BELIEF[None] @ torch.randn(5, 8).double(),
        ]
    )
    together = out_of_fold(x, BELIEF, PREFIX, 5)
    torch.testing.assert_close(
        together[1], out_of_fold(x[1:], BELIEF, PREFIX, 5)[0], atol=1e-9, rtol=1e-7
    )


def test_a_diverged_run_spoils_no_other():
    x = noise(8, runs=3)
    clean = out_of_fold(x, BELIEF, PREFIX, 5)
    x[1, 7, 2] = torch.nan
    dirty = out_of_fold(x, BELIEF, PREFIX, 5)
    assert dirty[1].isnan().any()
    torch.testing.assert_close(dirty[[0, 2]], clean[[0, 2]], atol=1e-12, rtol=0)


def test_distances():
    """The intrinsic agreement of RRXOR's belief and next-token distances over the 35 states of its
    prefixes is .2349."""
    belief = centroids(BELIEF[None], TREE.state)[0]
    assert distance_r2(TREE.process.predicted(belief), belief) == pytest.approx(0.2349, abs=5e-5)
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))[0]
    assert distance_r2(3 * belief @ q + 1, belief) == pytest.approx(1)
    a, b = np.random.default_rng(1).normal(size=(2, 6, 3))
    pairs = [
        (np.linalg.norm(a[i] - a[j]), np.linalg.norm(b[i] - b[j]))
        for i in range(6)
        for j in range(i)
    ]
    assert distance_r2(a, b) == pytest.approx(np.corrcoef(np.array(pairs).T)[0, 1] ** 2)
    alike = 0.1 * np.eye(6)  # all points equally far from each other: no order to agree with
    assert (
        np.isnan(distance_r2(alike, b))
        and np.isnan(distance_r2(b, alike))
        and np.isnan(distance_r2(0 * alike, b))
    )
