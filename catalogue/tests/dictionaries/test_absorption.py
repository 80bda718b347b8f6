"""Absorption is the hole that a special case leaves, and nothing where a latent misses at
random."""

from __future__ import annotations

import numpy as np
import pytest

from assay.core.errors import DataError
from assay_catalogue.dictionaries.absorption import absorbed


def world(seed=0, rows=40_000):
    draw = np.random.default_rng(seed)
    general = draw.random((rows, 3)) < 0.3
    return general, general & (draw.random((rows, 3)) < 0.4), draw


def test_a_planted_hole_is_found_at_its_size():
    general, special, draw = world()
    missed = draw.random(general.shape)
    fires = general & np.where(
        special, missed > [0.0, 0.5, 1.0], True
    )  # none, half and all of the special cases are missed
    assert absorbed(general, special, fires) == pytest.approx([0, 0.5, 1], abs=0.02)


def test_a_latent_that_misses_at_random_has_no_hole_however_much_it_misses():
    general, special, draw = world()
    assert absorbed(
        general, special, general & (draw.random(general.shape) < [0.9, 0.5, 0.05])
    ) == pytest.approx([0, 0, 0], abs=0.02)


def test_it_is_what_a_naive_loop_counts_and_nan_where_there_is_too_little():
    general, special, draw = world(rows=200)
    special[:, 2] = False
    fires = draw.random(general.shape) < 0.5
    wanted = []
    for i in range(2):
        both = [not fires[r, i] for r in range(200) if general[r, i] and special[r, i]]
        alone = [not fires[r, i] for r in range(200) if general[r, i] and not special[r, i]]
        wanted.append(sum(both) / len(both) - sum(alone) / len(alone))
    found = absorbed(general, special, fires)
    assert found[:2] == pytest.approx(wanted) and np.isnan(found[2])


def test_shapes_that_do_not_fit_are_refused():
    general, special, _ = world(rows=10)
    with pytest.raises(DataError, match="one shape"):
        absorbed(general, special[:, :2], general)
