"""Grids of cases of which every row and every column is run, and the rest with the thorough
tests."""

import pytest


def some_pairs(names, first, second, each=2):
    """Mark a test of two parameters: of the pairs of their values one in `each` is not thorough."""
    return pytest.mark.parametrize(
        names,
        [
            pytest.param(x, y, marks=() if (i + j) % each == 0 else pytest.mark.thorough)
            for i, x in enumerate(first)
            for j, y in enumerate(second)
        ],
    )
