"""What no W_out reads: a tiny model's blocks against projectors written out, token by token."""

import numpy as np
import pytest
import torch

from assay.subjects.pretrained import load
from assay.subjects.site import Site
from assay_catalogue.analysis.readout import null_projector, readout
from assay_catalogue.subjects.unread import OUTLIER, unread
from tiny_models import make


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_sums_are_those_of_each_token(tmp_path, kind):
    model = load(str(make(tmp_path / "model", kind)))
    tokens, document = np.random.default_rng(0).integers(0, 200, (4, 20)), np.array([0, 1, 0, 1])
    found = unread(model, tokens, document)
    block, m = 1, found.h.shape[1]
    h = model.run(torch.from_numpy(tokens), capture=[Site("mlp_post", block)], logits=False).acts[
        Site("mlp_post", block)
    ]
    h, of = h[:, 1:].flatten(0, 1).double(), document.repeat(19)
    size = h.norm(dim=1)
    keep = (size <= OUTLIER * size.median()).numpy()
    h, of = h[keep] - h[keep].mean(0), of[keep]
    W_out = readout(model, block).W_out
    assert m == len(W_out)
    for name, x in (("total", h), ("null", h @ null_projector(W_out))):
        expected = [float(x[of == d].square().sum()) for d in (0, 1)]
        np.testing.assert_allclose(getattr(found, name)[block], expected, rtol=1e-4)
    share = found.random_null.sum() / found.total.sum()
    assert share == pytest.approx(1 - W_out.shape[1] / m, abs=0.15)


def test_the_last_block_is_given_with_its_stream(tmp_path):
    model = load(str(make(tmp_path / "model", "llama")))
    tokens = np.random.default_rng(0).integers(0, 200, (3, 12))
    found = unread(model, tokens, np.arange(3))
    post = model.run(torch.from_numpy(tokens), capture=[Site("resid_post", 2)], logits=False).acts[
        Site("resid_post", 2)
    ]
    made = found.mid + readout(model, 2).update(found.h)
    assert len(made) == len(found.document) == 33
    torch.testing.assert_close(made, post[:, 1:].flatten(0, 1), atol=1e-4, rtol=1e-4)
