"""Mixtures follow their law, and a run gets the same ones in any group."""

import numpy as np
import pytest
import torch
from scipy import stats

from assay.core.errors import DataError
from assay_catalogue.data.planted_mixture import Mixture

SUPERPOSED, ORTHONORMAL = Mixture(), Mixture(features=32, orthonormal=True)


def test_features_are_on_with_their_probability_and_exponential_amounts():
    codes = SUPERPOSED.codes([3, 4], 20_000)(5).numpy()
    p, n = 0.02, codes[0].size
    for run in codes:
        on = run[run > 0]
        assert len(on) / n == pytest.approx(
            p, rel=5 * ((1 - p) / (p * n)) ** 0.5
        )  # five standard errors
        assert stats.kstest(on, "expon").pvalue > 1e-3
        assert np.abs(np.corrcoef((run > 0).T) - np.eye(128)).max() < 6 / 20_000**0.5
    assert abs(np.corrcoef(codes[0].ravel(), codes[1].ravel())[0, 1]) < 0.01


@pytest.mark.parametrize("density", [0.02, 0.5, 1.0])
def test_gaps_between_firings_are_those_of_independent_trials(density):
    """The count in a row is binomial, and neighbours in the stream, rows and steps included, know
    nothing of each other."""
    m = Mixture(d=2, features=10, density=density)
    draw = m.codes([1], 100)
    on = np.concatenate([draw(step)[0].numpy() > 0 for step in range(200)])
    counts = on.sum(1)
    se = (10 * density * (1 - density) / len(counts)) ** 0.5
    assert counts.mean() == pytest.approx(10 * density, abs=5 * se + 1e-9)
    assert counts.var() == pytest.approx(10 * density * (1 - density), rel=0.1, abs=1e-9)
    flat = on.ravel().astype(float)
    if density < 1:
        assert abs(np.corrcoef(flat[1:], flat[:-1])[0, 1]) < 5 / len(flat) ** 0.5


def test_directions_have_length_one_and_point_anywhere_or_are_orthogonal():
    D = SUPERPOSED.directions([0, 1]).double()
    torch.testing.assert_close(
        D.norm(dim=-1), torch.ones(2, 128, dtype=torch.float64), atol=1e-6, rtol=0
    )
    cosines = (D[0] @ D[0].T)[~torch.eye(128, dtype=torch.bool)]
    assert cosines.mean().abs() < 0.01  # uniform on the sphere in 32 dimensions: variance 1/32
    assert cosines.square().mean().item() == pytest.approx(1 / 32, rel=0.05)
    assert not torch.allclose(D[0], D[1])
    Q = ORTHONORMAL.directions([0, 1]).double()
    torch.testing.assert_close(
        Q @ Q.mT, torch.eye(32, dtype=torch.float64).expand(2, -1, -1), atol=1e-6, rtol=0
    )
    assert not torch.allclose(Q[0], Q[1])


@pytest.mark.parametrize("world", [SUPERPOSED, ORTHONORMAL])
def test_inputs_are_the_codes_times_the_directions(world):
    codes, x = world.codes([7], 64, "test")(2), world.inputs([7], 64, "test")(2)
    torch.testing.assert_close(x, codes @ world.directions([7]))
    x = world.inputs([7], 20_000)(0)
    assert x.square().sum(-1).mean().item() == pytest.approx(
        world.features * 0.02 * 2, rel=0.1
    )  # and cross terms of mean 0


def test_a_run_gets_the_same_inputs_alone_and_in_any_group():
    together = SUPERPOSED.inputs([5, 4, 4, 9], 32)
    for step in (0, 1, 511, 512, 5000):
        x = together(step)
        for i, seed in enumerate([5, 4, 4, 9]):
            torch.testing.assert_close(
                x[i], SUPERPOSED.inputs([seed], 32)(step)[0], atol=1e-6, rtol=0
            )


def test_any_order_of_steps_gives_the_same_codes():
    draw = SUPERPOSED.codes([2], 32)
    first = {step: draw(step) for step in (4000, 0, 513, 1)}
    for step, codes in first.items():
        assert torch.equal(codes, SUPERPOSED.codes([2], 32)(step))


def test_steps_streams_and_seeds_differ():
    draw = SUPERPOSED.codes([2], 32)
    others = (draw(1), SUPERPOSED.codes([2], 32, "test")(0), SUPERPOSED.codes([3], 32)(0))
    assert not any(torch.equal(draw(0), other) for other in others)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"density": 0.0}, "above 0"),
        ({"density": 1.5}, "at most 1"),
        ({"features": 0}, "at least 1"),
        ({"features": 33, "orthonormal": True}, "at most d=32 directions"),
    ],
)
def test_a_world_that_cannot_be_is_refused(wrong, said):
    with pytest.raises(DataError, match=said):
        Mixture(**wrong)
