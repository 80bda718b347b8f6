"""Folds keep rows that are alike together."""

import numpy as np
import pytest

from assay.core.errors import DataError
from assay.features.linear_probe import folds

ENDING = np.random.default_rng(0).integers(0, 40, 900)
"""The group of each row."""


def test_folds_are_whole_groups_of_about_equal_size():
    fold = folds(ENDING, 6)
    assert all(len(np.unique(fold[g == ENDING])) == 1 for g in np.unique(ENDING))
    assert set(fold) == set(range(6))
    rows = np.bincount(fold)
    assert rows.max() < 1.3 * rows.min()
    assert (fold == folds(ENDING, 6)).all()
    assert not (fold == folds(ENDING, 6, seed=1)).all()


def test_too_few_groups_are_told():
    with pytest.raises(DataError, match="got 3"):
        folds(np.array([0, 1, 2]), 4)
