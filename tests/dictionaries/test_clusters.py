"""k-means as a dictionary: its code is the nearest centroid, by a naive search."""

import numpy as np
import pytest
import torch

from assay.core.errors import DataError
from assay.dictionaries.baselines.clusters import k_means
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.metrics import l0


def test_the_reconstruction_is_the_nearest_centroid_by_naive_search():
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32) + 3)
    d = k_means(x, 12, seed=1)
    centres = d.W_dec[0].numpy().astype(np.float64)
    nearest = [
        min(range(12), key=lambda i, row=row: float(((row - centres[i]) ** 2).sum()))
        for row in x.numpy().astype(np.float64)
    ]
    assert (
        torch.equal(d.encode(x)[0].argmax(-1), torch.tensor(nearest))
        and float(l0(d.encode(x))) == 1
    )
    assert np.allclose(d.reconstruct(x)[0].numpy(), centres[nearest], atol=1e-5)


def test_planted_clusters_are_found_and_it_saves_like_any_dictionary(tmp_path):
    draw = np.random.default_rng(3)
    truth = 10 * np.eye(4)
    x = torch.from_numpy(
        (truth[draw.integers(4, size=2000)] + 0.1 * draw.normal(size=(2000, 4))).astype(np.float32)
    )
    d = k_means(x, 4, seed=0)
    found = d.W_dec[0].numpy()
    assert sorted(np.abs(found[:, None] - truth).max(-1).argmin(1).tolist()) == [0, 1, 2, 3]
    assert np.abs(found[:, None] - truth).max(-1).min(1).max() < 0.05
    d.save(tmp_path / "k.safetensors")
    assert torch.equal(Dictionary.load(tmp_path / "k.safetensors").encode(x), d.encode(x))


def test_more_centroids_than_rows_are_refused():
    with pytest.raises(DataError, match="between 1 and 3"):
        k_means(torch.zeros(3, 2), 4, 0)
