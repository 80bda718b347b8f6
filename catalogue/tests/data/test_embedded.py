"""The embedded world: its densities, mean and covariance by formula against counting, and its
detectors against others."""

import numpy as np
import pytest

from assay.core.errors import DataError
from assay_catalogue.data.embedded import embedded

SEEDS = np.array([3, 4])


@pytest.fixture(scope="module")
def drawn():
    world = embedded(SEEDS, 24, 12, rare=(5e-3,) * 2)
    draw = world.batches(4096, "test")
    return world, np.concatenate([draw(i).numpy() for i in range(40)], axis=1).astype(float)


def test_densities_by_formula_are_those_counted(drawn):
    """Within four standard errors of a count of 163,840 rows, from 1e-4 to nearly always."""
    world, x = drawn
    rng = np.random.default_rng(0)
    w = rng.standard_normal((2, 60, 12)) * rng.uniform(0.1, 3, (2, 60, 1))
    b = -rng.uniform(0, 2, (2, 60)) * np.linalg.norm(w, axis=-1)
    by_formula = world.exceedance(w, b)
    counted = (np.einsum("rbd,rfd->rbf", x, w) + b[:, None] > 0).mean(1)
    error = np.sqrt(by_formula * (1 - by_formula) / x.shape[1])
    assert (abs(counted - by_formula) <= 4 * error + 1e-9).all()
    assert (by_formula < 3e-3).any()
    assert (by_formula > 0.5).any()


def test_a_density_far_below_what_can_be_counted():
    """One true feature along the row: only it can fire, and only if its amplitude passes the bias;
    p · P(a > t), and the noise alone far off."""
    world = embedded(np.array([0]), 1, 4, p=(1e-6, 1e-6), mean=0.0, noise=0.01)
    assert world.exceedance(world.directions, np.array([[-1.25]]))[0, 0] == pytest.approx(
        1e-6 * 0.25, rel=1e-4
    )


def test_rows_that_fire_always_or_never():
    world = embedded(np.array([0]), 4, 4)
    w = np.zeros((1, 2, 4))
    assert world.exceedance(w, np.array([[1.0, -1.0]])).tolist() == [[1.0, 0.0]]
    assert world.exceedance(w[:, :0], np.zeros((1, 0))).shape == (1, 0)


def test_mean_and_covariance_are_those_counted(drawn):
    world, x = drawn
    assert x.mean(1) == pytest.approx(world.expected, abs=0.01)
    assert np.stack([np.cov(part.T) for part in x]) == pytest.approx(world.covariance, abs=0.012)


def test_centred_is_the_same_draw_about_zero(drawn):
    world, x = drawn
    centred = world.centred
    assert centred.expected == pytest.approx(np.zeros((2, 12)), abs=1e-12)
    assert centred.batches(4096, "test")(0).numpy() == pytest.approx(
        x[:, :4096] - world.expected[:, None], abs=1e-5
    )
    assert centred.centred.expected == pytest.approx(np.zeros((2, 12)), abs=1e-12)


def test_a_detector_reads_its_feature_with_the_least_variance(drawn):
    world, _ = drawn
    w = world.detectors(np.array([0, 25]))
    v = world.directions[:, [0, 25]]
    assert (w * v).sum(-1) == pytest.approx(np.ones((2, 2)))

    def variance(rows):
        return np.einsum("rfd,rde,rfe->rf", rows, world.covariance, rows)

    other = w + 0.1 * np.random.default_rng(1).standard_normal(w.shape)
    assert (variance(w) < variance(other / (other * v).sum(-1, keepdims=True))).all()


def test_a_run_alone_is_the_run_in_company():
    alone, both = embedded(SEEDS[1:], 8, 6), embedded(SEEDS, 8, 6)
    assert alone.batches(64)(5)[0].numpy() == pytest.approx(
        both.batches(64)(5)[1].numpy(), abs=1e-6
    )


def test_what_is_no_probability_is_refused():
    with pytest.raises(DataError, match="probabilities"):
        embedded(SEEDS, 4, 4, p=(0.0, 0.1))
    with pytest.raises(DataError, match="noise above 0"):
        embedded(SEEDS, 4, 4, noise=0.0).exceedance(np.ones((2, 1, 4)), np.zeros((2, 1)))
