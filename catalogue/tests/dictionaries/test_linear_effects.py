"""Linear effects: parts and their changes against their definitions, and counts against errors
worked out one by one."""

from __future__ import annotations

import numpy as np
import torch

from assay_catalogue.analysis import readout as ro
from assay_catalogue.dictionaries import linear_effects as le
from assay_catalogue.dictionaries.cell_measures import binned_median, linear_errors
from seeded import drawn

D, M = 16, 40


def test_changed_parts_have_the_length_and_direction_that_they_should():
    parts, x, draws = (drawn(50, D, seed=i) for i in range(3))
    assert torch.equal(le.tenfold(parts, x, draws), 10 * parts)
    assert torch.equal(le.longer(parts, x, draws), 1.6 * parts)
    for change in (le.turned, le.scattered):
        torch.testing.assert_close(change(parts, x, draws).norm(dim=1), parts.norm(dim=1))
    half = torch.cosine_similarity(le.turned(parts, x, draws), x)
    torch.testing.assert_close(
        half, torch.cosine_similarity(le.turned(parts, x, draws), parts), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(
        torch.cosine_similarity(le.scattered(parts, x, draws), draws), torch.ones(50)
    )


def test_principal_parts_add_up_to_the_update():
    update = drawn(30, D) * torch.linspace(1, 4, D)
    parts, row = le.principal_parts(update, D)
    total = torch.zeros(30, D).index_add_(0, row, parts)
    torch.testing.assert_close(total, update - update.mean(0), atol=1e-4, rtol=0)
    few, _ = le.principal_parts(update, 3)
    assert few.shape == (90, D) and torch.linalg.matrix_rank(few, atol=1e-3) == 3


def test_counts_are_those_of_the_errors_of_each_part():
    gain = 1 + 0.3 * drawn(D, seed=2)
    read = ro.Readout(
        drawn(M, D, seed=3), drawn(D, seed=4), gain, True, 1e-5, ro.gram(drawn(200, D, seed=1))
    )
    x, row, document = 3 * drawn(60, D, seed=5), torch.arange(60).repeat(10), torch.arange(60) % 2
    parts = 0.2 * drawn(600, D, seed=6)
    found = le.effect_errors(parts, row, x, read, document, 2, 7)
    alone = linear_errors(parts, x[row], read)
    for kind in le.KINDS:
        _, counts, _ = found[kind]
        assert counts.shape[:2] == (1, 2) and counts.sum() == 600
        exact = float(alone[kind][document[row] == 1].median())
        np.testing.assert_allclose(binned_median(counts[0, 1:]), exact, rtol=0.1)
        assert found[f"random_{kind}"][1].sum() == 150
    long, short = (
        binned_median(found[f"{name}jacobian"][1].sum(1))[0] for name in ("tenfold_", "")
    )
    assert long > 3 * short
    assert np.isfinite(found["frozen_by_size"][1]).any()
