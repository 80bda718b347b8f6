"""The largest few of each row against sorting the whole row."""

import numpy as np
import pytest

from assay.features.effects import largest


@pytest.mark.parametrize(
    ("n", "m", "count"),
    [(3, 5000, 10), (4, 1024, 5), (2, 700, 600), (5, 7, 5), (3, 4, 9), (2, 6, 0), (0, 9, 2)],
)
def test_it_is_what_a_stable_sort_puts_first(n, m, count):
    rng = np.random.default_rng(m)
    for values in (
        rng.normal(size=(n, m)),
        np.round(rng.normal(size=(n, m)), 1),
        np.zeros((n, m)),
    ):  # with ties, and nothing but ties
        assert (
            largest(values, count) == np.argsort(-values, axis=1, kind="stable")[:, :count]
        ).all()
