"""Cross-entropy and KL under splicing and ablation, against naive float64 forwards of tiny models,
written out per token."""

import numpy as np
import pytest
import torch

import tiny_models
from assay.core.errors import DataError
from assay.dictionaries.measuring.ablation import (
    Donors,
    capture,
    compare,
    spliced_run,
    spliced_runs,
)
from assay.subjects.pretrained import load
from assay.subjects.site import Site

WINDOWS, S, D = 5, 10, 24


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def folder(request, tmp_path_factory):
    return tiny_models.make(tmp_path_factory.mktemp("ablation") / request.param, request.param)


def tokens():
    return np.random.default_rng(0).integers(0, 250, (WINDOWS, S))


def keep():
    kept = np.random.default_rng(1).random((WINDOWS, S)) < 0.8
    kept[:, 0] = False
    return torch.from_numpy(kept)


def donors(width=D):
    return Donors.of(torch.randn(40, width, generator=torch.Generator().manual_seed(3)), seed=5)


def logs(logits):
    """log softmax in float64, row by row."""
    out = np.zeros(logits.shape)
    for place in np.ndindex(logits.shape[:-1]):
        row = logits[place] - logits[place].max()
        out[place] = row - np.log(np.exp(row).sum())
    return out


def naive(folder, site, new):
    """Cross-entropy and KL(clean ‖ new) of every prediction by a naive forward with `new` at the
    kept positions of the site."""
    kept = keep().numpy()[..., None]
    clean = logs(tiny_models.naive(folder, tokens())[0])

    def edit(x):
        flat = x.reshape(*x.shape[:2], -1)
        return np.where(kept, new, flat).reshape(x.shape)

    other = logs(tiny_models.naive(folder, tokens(), {site: edit})[0])
    ce, kl = np.zeros((WINDOWS, S - 1)), np.zeros((WINDOWS, S - 1))
    for w in range(WINDOWS):
        for t in range(S - 1):
            ce[w, t] = -other[w, t, tokens()[w, t + 1]]
            kl[w, t] = sum(
                np.exp(p) * (p - q) for p, q in zip(clean[w, t], other[w, t], strict=True)
            )
    return ce, kl


@pytest.mark.parametrize(
    "site",
    [
        "blocks.1.hook_resid_pre",
        "blocks.1.hook_resid_post",
        "blocks.2.hook_resid_post",
        "blocks.1.hook_mlp_out",
        "blocks.0.attn.hook_z",
        "ln_final.hook_normalized",
    ],
)
@pytest.mark.parametrize("most", [1, 14])
def test_runs_that_share_a_pass_are_those_of_one_pass_each(folder, site, most):
    model, site = load(str(folder)), Site.parse(site)
    passage, clean = capture(model, site, torch.from_numpy(tokens()), keep())
    draw = torch.Generator().manual_seed(0)
    news = [torch.randn(passage.acts.shape, generator=draw) for _ in range(4)]
    runs = list(spliced_runs(model, site, passage, iter(news), most))
    ce, kl = compare(clean, runs)
    assert len(runs) == 4
    assert ce.shape == (5, WINDOWS, S - 1)
    assert kl.shape == (4, WINDOWS, S - 1)
    for v, new in enumerate(news):
        expected = naive(folder, str(site), new.numpy())
        np.testing.assert_allclose(ce[1 + v], expected[0], rtol=1e-4, atol=2e-5)
        np.testing.assert_allclose(kl[v], expected[1], rtol=1e-4, atol=2e-5)
        alone, _ = compare(clean, [spliced_run(model, site, passage, new)])
        np.testing.assert_allclose(ce[[0, 1 + v]], alone, rtol=1e-6)


def test_resampled_activations_are_other_tokens_and_the_same_for_every_dictionary():
    rows = torch.arange(60.0).view(30, 2)
    acts = torch.zeros(3, 4, 2)
    a, b = (Donors.of(rows, seed=1).put("resample", acts, first) for first in (0, 1))
    assert torch.equal(a[1:], b[:2]) and not torch.equal(a[0], b[0])
    assert all(any(torch.equal(x, row) for row in rows) for x in a.flatten(0, 1))
    assert not torch.equal(a, Donors.of(rows, seed=2).put("resample", acts))


def test_what_does_not_fit_is_refused():
    with pytest.raises(DataError, match="donors are 24 wide, the activations 7"):
        donors().put("zero", torch.zeros(1, 2, 7))
    with pytest.raises(DataError, match="at least two rows"):
        Donors.of(torch.zeros(3))


def test_a_transcoder_reads_one_site_and_replaces_another(folder):
    model = load(str(folder))
    reads = Site.parse("blocks.1.hook_resid_mid")
    site = Site.parse("blocks.1.hook_mlp_out")
    passage, clean = capture(model, site, torch.from_numpy(tokens()), keep(), reads)
    _, at_reads = tiny_models.naive(folder, tokens())
    np.testing.assert_allclose(passage.inputs, at_reads[str(reads)], atol=2e-5)
    new = torch.randn(passage.acts.shape, generator=torch.Generator().manual_seed(0))
    _, kl = compare(clean, [spliced_run(model, site, passage, new)])
    np.testing.assert_allclose(
        kl[0], naive(folder, str(site), new.numpy())[1], rtol=1e-4, atol=2e-5
    )
