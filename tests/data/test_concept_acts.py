"""Activations of texts read together, filled up and sorted by length, are those of each text read
alone."""

import numpy as np
import torch

from assay.data.concept_acts import _filled, _run
from assay.subjects.site import Site


class Sums:
    """A model whose activation at a position is the sum of the tokens so far, in every dimension;
    it notes how much it reads at once."""

    def __init__(self):
        self.shapes = []

    def run(self, tokens, capture, logits):
        self.shapes.append(tuple(tokens.shape))
        acts = tokens.cumsum(1)[..., None].float().expand(-1, -1, 3)
        return type("Trace", (), {"acts": {capture[0]: acts}})


def test_texts_read_together_are_those_read_alone():
    ids = [[1, 5, 2], [1, 3], [1, 4, 4, 4, 9], [1, 8, 1]]
    model, site = Sums(), Site.parse("blocks.0.hook_resid_pre")
    found = _run(model, ids, site, batch=2)
    assert found.shape == (4, 4, 3) and found.dtype == np.float16
    for row, text in zip(found, ids, strict=True):
        wanted = np.zeros(4)
        wanted[: len(text) - 1] = np.cumsum(text)[1:]  # the opening token is left out
        np.testing.assert_array_equal(row, np.repeat(wanted[:, None], 3, 1))
    assert model.shapes == [(2, 3), (2, 5)], "short texts are read beside short ones"
    assert torch.from_numpy(_filled(ids)).min() == -1


def test_what_float16_cannot_hold_is_kept_in_float32():
    ids = [[1, 2, 70_000], [1, 2, 3]]
    acts = _run(Sums(), ids, Site.parse("blocks.0.hook_resid_pre"), first=2)
    assert acts.dtype == np.float32
    np.testing.assert_array_equal(acts[:, :, 0], [[70_003], [6]])
