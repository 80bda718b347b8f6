"""Planted inputs follow their law, and a run gets the same ones in any group."""

import numpy as np
import pytest

from acceptance.test_planted_inputs import RUNS
from assay.core.errors import DataError
from assay.data import planted


@pytest.mark.parametrize("p", [0.0, -0.1, 1.5, float("nan")])
def test_a_density_that_is_no_probability_is_one_clear_line(p):
    with pytest.raises(DataError, match="density is a probability above 0 and at most 1"):
        planted.sparse_features(RUNS, 2, 8, density=np.full((len(RUNS), 2), p))
