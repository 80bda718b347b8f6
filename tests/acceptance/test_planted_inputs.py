"""Planted inputs follow their law, and a run gets the same ones in any group."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import stats

from assay.core.runs import Runs
from assay.core.spec import PerRun, Spec, grid
from assay.data import planted


@dataclass(frozen=True, kw_only=True)
class Toy(Spec):
    density: PerRun[float] = 0.1


RUNS = Runs(grid(Toy(), density=(1.0, 0.1, 0.01), seed=(3, 4)))


def test_features_are_uniform_where_they_are_on():
    x = planted.sparse_features(RUNS, 10, 20_000)(5).numpy()
    for run, spec in zip(x, RUNS, strict=True):
        on = run[run > 0]
        p, n = spec.density, run.size  # tolerances: five standard errors
        assert len(on) / n == pytest.approx(p, rel=5 * ((1 - p) / (p * n)) ** 0.5)
        assert stats.kstest(on, "uniform").pvalue > 1e-3
        assert run.var() == pytest.approx(planted.variance(p), rel=5 * (9 / (5 * p) / n) ** 0.5)
        correlation = np.corrcoef(run.T) - np.eye(10)
        assert np.abs(correlation).max() < 0.05


def test_a_run_gets_the_same_inputs_alone_and_in_any_group():
    together = planted.sparse_features(RUNS, 7, 32)
    for step in (0, 1, 127, 128, 1000):
        x = together(step)
        for i, spec in enumerate(RUNS):
            assert torch.equal(x[i], planted.sparse_features(Runs([spec]), 7, 32)(step)[0])


def test_the_order_of_runs_moves_no_input():
    """Runs of one seed side by side, as a sweep over densities gives them, and in any other
    order."""
    sides = Runs(grid(Toy(), seed=(3, 4), density=(1.0, 0.1, 0.01)))
    x, y = (planted.sparse_features(runs, 7, 32)(130) for runs in (RUNS, sides))
    for spec, one in zip(RUNS, x, strict=True):
        assert torch.equal(one, y[sides.specs.index(spec)])


def test_steps_and_streams_differ():
    draw = planted.sparse_features(RUNS, 7, 32)
    assert not torch.equal(draw(0), draw(1))
    assert not torch.equal(draw(0), planted.sparse_features(RUNS, 7, 32, stream="test")(0))


def test_one_hot_is_each_feature_by_itself():
    assert torch.equal(planted.one_hot(3), torch.eye(3))


def test_each_feature_may_have_a_density_of_its_own():
    chance = np.tile(np.array([0.5, 0.02, 1.0]), (len(RUNS), 1))
    x = planted.sparse_features(RUNS, 3, 40_000, density=chance)(0)
    share = (x > 0).double().mean(1).numpy()
    assert np.abs(share - chance).max() < 5 * 0.5 / 40_000**0.5
    even = np.tile(RUNS.each("density")[:, None], (1, 3))
    assert torch.equal(
        planted.sparse_features(RUNS, 3, 32, density=even)(4),
        planted.sparse_features(RUNS, 3, 32)(4),
    )
