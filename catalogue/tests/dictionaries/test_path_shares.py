"""Halves of a dictionary, and effects summed by path."""

import numpy as np
import torch

from assay_catalogue.dictionaries.path_shares import effect_sums, halves


def test_halves_are_of_equal_size_and_parted_by_number_by_share_and_by_lot():
    share = torch.tensor([0.1, 0.9, 0.5, 0.2, 0.8, torch.nan])
    parted = halves(share, 3)
    assert parted["trained"].tolist() == [0, 0, 0, 1, 1, 1]
    assert parted["sorted"].tolist() == [1, 0, 0, 1, 0, 1] or parted["sorted"].tolist() == [
        1,
        0,
        1,
        1,
        0,
        0,
    ]
    assert parted["random"].sum() == 3
    assert halves(share, 3)["random"].equal(parted["random"])


def test_effects_are_summed_by_path_half_and_document():
    draw = np.random.default_rng(0)
    features = draw.uniform(size=(6, 4)) * (draw.uniform(size=(6, 4)) < 0.6)
    rows = draw.normal(size=(4, 3))
    pulls = [{path: draw.normal(size=(6, 3)) for path in ("direct", "indirect")} for _ in range(2)]
    half, document = np.array([0, 1, 1, 0]), np.array([0, 0, 1, 1, 1, 2])
    given = [{path: torch.from_numpy(g) for path, g in one.items()} for one in pulls]
    parted = {"one": torch.from_numpy(half), "other": torch.from_numpy(1 - half)}
    found = effect_sums(
        torch.from_numpy(features),
        torch.from_numpy(rows),
        given,
        parted,
        torch.from_numpy(document),
        3,
    )
    for path in ("direct", "indirect"):
        expected = np.zeros((3, 2))
        for t in range(6):
            for i in range(4):
                expected[document[t], half[i]] += np.mean(
                    [(features[t, i] * (one[path][t] @ rows[i])) ** 2 for one in pulls]
                )
        np.testing.assert_allclose(found[path], [expected, expected[:, ::-1]])
    assert found["active"][0].sum() == (features > 0).sum()
