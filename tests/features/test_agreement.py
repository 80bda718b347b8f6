"""Krippendorff's alpha against published examples and worked pairs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from assay.features.agreement import alpha

_ = np.nan
FOUR = np.array(
    # Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", part C: four observers,
    # twelve units
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
        [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
    ]
).T
THREE = np.array(
    [  # three coders, fifteen units: the worked example of the encyclopedia articles on alpha
        [_, _, _, _, _, 3, 4, 1, 2, 1, 1, 3, 3, _, 3],
        [1, _, 2, 1, 3, 3, 4, 3, _, _, _, _, _, _, _],
        [_, _, 2, 1, 3, 4, 4, _, 2, 1, 1, 3, 3, _, 4],
    ]
).T


@pytest.mark.parametrize(("scores", "published"), [(FOUR, 0.849), (THREE, 0.811)])
def test_published_examples(scores, published):
    assert round(alpha(scores), 3) == published


def naive(scores):
    """Pair by pair, as the definition has it."""
    units = [[v for v in unit if v == v] for unit in scores]
    units = [unit for unit in units if len(unit) > 1]
    values = [v for unit in units for v in unit]
    n = len(values)
    observed = (
        sum(
            (a - b) ** 2 / (len(unit) - 1)
            for unit in units
            for a, b in itertools.permutations(unit, 2)
        )
        / n
    )
    expected = sum((a - b) ** 2 for a, b in itertools.permutations(values, 2)) / (n * (n - 1))
    return 1 - observed / expected


def test_it_is_the_definition():
    rng = np.random.default_rng(0)
    scores = rng.choice([0, 0.5, 1], (40, 3)).astype(float)
    scores[rng.random(scores.shape) < 0.2] = np.nan
    assert alpha(scores) == pytest.approx(naive(scores), abs=1e-12)


def test_extremes():
    same = np.repeat([[0.0], [1.0], [0.5]], 2, 1)
    assert alpha(same) == 1
    assert np.isnan(alpha(np.ones((5, 2)))), "who always says one thing agrees by no choice"
    assert np.isnan(alpha(np.full((5, 2), np.nan)))
