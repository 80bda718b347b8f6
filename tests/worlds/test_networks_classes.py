"""Gaussian clouds: their moments, the best accuracy of two, and batches by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import ndtr

from assay.core.errors import DataError
from assay.worlds.networks.classes import Clouds

SEEDS = np.arange(3)


def test_points_lie_around_the_centre_of_their_class_with_noise_of_one():
    clouds = Clouds(d=4, classes=3)
    x, label = clouds.batches(SEEDS, 30_000)(0)
    off = x - clouds.centres(SEEDS).gather(1, label.unsqueeze(-1).expand(-1, -1, 4))
    np.testing.assert_allclose(off.mean(1), 0, atol=0.03)
    np.testing.assert_allclose(off.std(1), 1, atol=0.02)
    np.testing.assert_allclose([(label == k).float().mean() for k in range(3)], 1 / 3, atol=0.01)


def test_centres_are_as_far_apart_as_asked():
    centres = Clouds(d=20, classes=10, apart=4.0).centres(np.arange(60))
    square = torch.cdist(centres, centres).square().sum((1, 2)) / 90
    assert float(square.mean()) ** 0.5 == pytest.approx(4.0, rel=0.03)


def test_the_nearest_of_two_centres_is_right_as_often_as_half_their_distance_says():
    clouds = Clouds(d=5, classes=2)
    x, label = clouds.batches(SEEDS, 40_000, "test")(0)
    right = (clouds.nearest(SEEDS, x) == label).float().mean(1)
    a, b = clouds.centres(SEEDS).unbind(1)
    np.testing.assert_allclose(right, ndtr((a - b).norm(dim=1).numpy() / 2), atol=0.006)


def test_a_batch_belongs_to_seed_stream_and_step():
    clouds = Clouds(d=4, classes=3)
    draw, alone, test = (
        clouds.batches(SEEDS, 7),
        clouds.batches(SEEDS[1:2], 7),
        clouds.batches(SEEDS, 7, "test"),
    )
    for step in (900, 3, 0):
        for mine, theirs, other in zip(draw(step), alone(step), test(step), strict=True):
            assert torch.equal(mine[1], theirs[0]) and not torch.equal(mine, other)
    assert not torch.equal(draw(0)[0], draw(1)[0])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"classes": 1}, "at least 2 classes"),
        ({"apart": 0.0}, "a distance above 0, got 0"),
        ({"d": 0}, "d=0"),
    ],
)
def test_impossible_clouds_are_refused(wrong, said):
    with pytest.raises(DataError, match=said):
        Clouds(**wrong)
