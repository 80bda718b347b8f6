"""The readout: the specification's small vectors by hand, the vocabulary written out, and a real
model's own logits."""

import math

import numpy as np
import pytest
import torch

from assay.core.errors import ModelError
from assay.subjects.pretrained import load
from assay.subjects.site import Site
from assay_catalogue.analysis import readout as ro
from tiny_models import make

W_U = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])


def plain(d=2, centres=False, gram=None, W_out=None, eps=0.0):
    """A readout whose logits are the normalised stream itself."""
    return ro.Readout(
        torch.eye(d) if W_out is None else W_out,
        torch.zeros(d),
        torch.ones(d),
        centres,
        eps,
        torch.eye(d, dtype=torch.float64) if gram is None else gram,
    )


def test_the_gram_matrix_measures_logits_without_the_vocabulary():
    e = torch.tensor([1.0, -1.0], dtype=torch.float64)
    plain_gram, centred = ro.gram(W_U, centred=False), ro.gram(W_U)
    np.testing.assert_allclose(plain_gram, [[2, 1], [1, 5]])
    np.testing.assert_allclose(centred, [[2 / 3, -1], [-1, 2]], atol=1e-15)
    assert float(e @ plain_gram @ e) == pytest.approx(5)
    assert float(e @ centred @ e) == pytest.approx(14 / 3)
    L = ro.factor(plain_gram)
    np.testing.assert_allclose(
        L, [[math.sqrt(2), 0], [1 / math.sqrt(2), 3 / math.sqrt(2)]], atol=1e-5
    )
    np.testing.assert_allclose(L.T @ e, [0.70711, -2.12132], atol=1e-5)


def test_the_gram_form_is_exact_in_float32_sizes():
    draw = torch.Generator().manual_seed(1)
    W, e = torch.randn(2000, 64, generator=draw), torch.randn(100, 64, generator=draw)
    logits = (e @ W.T).double()
    logits -= logits.mean(1, keepdim=True)
    measured = torch.einsum("bi,ij,bj->b", e.double(), ro.gram(W), e.double())
    np.testing.assert_allclose(measured, logits.square().sum(1), rtol=1e-5)


@pytest.mark.parametrize("m, d, sd", [(512, 128, 0.027011), (1536, 576, 0.017458)])
def test_null_shares_of_random_directions_have_the_spread_of_a_beta(m, d, sd):
    p = 1 - d / m
    assert math.sqrt(2 * p * (1 - p) / (m + 2)) == pytest.approx(sd, abs=5e-7)
    if m == 512:
        draw = torch.Generator().manual_seed(2)
        null = ro.null_projector(torch.randn(m, d, generator=draw)).float()
        x = torch.nn.functional.normalize(torch.randn(20_000, m, generator=draw), dim=1)
        share = (x @ null).square().sum(1).double()
        assert float(share.mean()) == pytest.approx(p, abs=5 * sd / math.sqrt(20_000))
        assert float(share.std()) == pytest.approx(sd, rel=0.03)


def test_effects_under_rms_norm_in_two_dimensions():
    r, o = torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 0.0]])
    read = plain()
    effects = read.effects(o, r + o)
    scale = read.L[0, 0]  # the jitter's 1 + 5e-7
    np.testing.assert_allclose(effects.exact / scale, [[0.151472, -0.131371]], atol=2e-6)
    np.testing.assert_allclose(effects.frozen / scale, [[0.25, 0]], atol=1e-6)
    np.testing.assert_allclose(effects.jacobian / scale, [[0.125, -0.125]], atol=1e-6)
    assert float(effects.error(effects.frozen)) == pytest.approx(0.81900, abs=5e-6)
    assert float(effects.error(effects.jacobian)) == pytest.approx(0.13580, abs=5e-6)


def test_as_the_part_vanishes_only_the_jacobian_gets_right():
    x = torch.tensor([[4.0, 4.0, 1.0]], dtype=torch.float64)
    o = torch.tensor([[1.0, 0.5, 0.0]], dtype=torch.float64)
    read = plain(3)
    object.__setattr__(read, "L", torch.eye(3, dtype=torch.float64))
    small = read.effects(1e-5 * o, x)
    assert float(small.error(small.jacobian)) < 1e-5
    assert float(small.error(small.frozen)) > 0.3


def test_where_the_length_stays_the_frozen_one_is_exact_and_the_jacobian_not():
    x, o = torch.tensor([[2.0, -1.0, 2.0]]), torch.tensor([[1.0, 1.0, 0.0]])
    effects = plain(3).effects(o, x)
    assert float(effects.error(effects.frozen)) < 1e-6
    assert float(effects.error(effects.jacobian)) > 0.05


def test_a_part_along_the_stream_has_no_exact_effect_and_no_relative_error():
    x = torch.tensor([[4.0, 4.0]])
    effects = plain().effects(x / 4, x)
    assert float(effects.exact.norm()) < 1e-6 and float(effects.frozen.norm()) > 0.1
    none = ro.Effects(torch.zeros(1, 2), effects.frozen, effects.jacobian)
    assert none.error(none.frozen).isnan().all()


@pytest.mark.parametrize("centres", [False, True])
@pytest.mark.parametrize("eps", [0.0, 1e-5])
@pytest.mark.parametrize("share", [1e-4, 1e-2, 0.3, 0.5])
def test_rounding_is_no_effect_of_a_part_along_the_stream(centres, eps, share):
    x = 3 * torch.randn(1000, 64, generator=torch.Generator().manual_seed(0)) + 1
    read = plain(64, centres, eps=eps)
    effects = read.effects(share * read.project(x), x)
    for linear in (effects.frozen, effects.jacobian):
        assert effects.error(linear).isnan().all()


@pytest.mark.parametrize("centres", [False, True])
@pytest.mark.parametrize("share", [1e-4, 1e-2, 0.3])
def test_exact_effects_in_float32_are_those_in_float64(centres, share):
    draw = torch.Generator().manual_seed(1)
    x, part = (torch.randn(1000, 64, generator=draw, dtype=torch.float64) for _ in range(2))
    part *= share
    whole, rest = (v - v.mean(-1, keepdim=True) if centres else v for v in (x, x - part))
    sizes = [(v.square().mean(-1, keepdim=True) + 1e-5).sqrt() for v in (whole, rest)]
    written_out = (whole / sizes[0] - rest / sizes[1]).float()
    read = plain(64, centres, eps=1e-5)
    effects = read.effects(part.float(), x.float())
    off = (effects.exact / read.L[0, 0] - written_out).norm(dim=-1) / written_out.norm(dim=-1)
    assert float(off.max()) < 1e-5
    assert not effects.error(effects.frozen).isnan().any()


def test_a_part_as_long_as_the_stream_at_sixty_degrees_is_frozen_exactly():
    x, part = torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, math.sqrt(3.0)]])
    effects = plain().effects(part, x)
    assert (
        float(effects.error(effects.frozen)) < 1e-6 < 0.3 < float(effects.error(effects.jacobian))
    )


@pytest.mark.parametrize(
    "kind, changes", [("gpt2", {"n_inner": 40, "tie_word_embeddings": False}), ("llama", {})]
)
def test_a_models_own_logits(tmp_path, kind, changes):
    """The last block's update, left out of the stream, changes the logits as the readout says; so
    for a model of either norm."""
    model = load(str(make(tmp_path / kind, kind, **changes)))
    read = ro.readout(model, 2)
    tokens = torch.arange(24).view(2, 12) * 7 % 200
    sites = [Site("mlp_post", 2), Site("mlp_out", 2), Site("resid_post", 2)]
    clean = model.run(tokens, capture=sites)
    h, o, x = (clean.acts[site].flatten(0, 1) for site in sites)
    torch.testing.assert_close(read.update(h), o, atol=1e-5, rtol=1e-4)
    without = model.run(tokens, edits={sites[1]: torch.zeros_like}).logits
    difference = (clean.logits - without).flatten(0, 1).double()
    difference -= difference.mean(1, keepdim=True)
    exact = read.exact(o, x)
    np.testing.assert_allclose(exact.square().sum(1), difference.square().sum(1), rtol=1e-3)
    np.testing.assert_allclose(
        exact @ exact.T,
        difference @ difference.T,
        rtol=1e-2,
        atol=1e-3 * float(exact.square().sum(1).max()),
    )


def test_behind_a_norm_what_an_mlp_adds_is_linear_in_activations_over_its_divisor(tmp_path):
    """Gemma 3 norms what its MLP writes; the update is read off the model."""
    gemma = load(str(make(tmp_path / "model", "gemma3_text")))
    tokens = torch.tensor([[5, 17, 200, 3, 41, 41, 99]])
    h, o = Site("mlp_post", 1), Site("mlp_out", 1)
    acts = gemma.run(tokens, capture=[h, o]).acts
    read = ro.readout(gemma, 1)
    torch.testing.assert_close(read.update(acts[h][0]), acts[o][0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(read.scaled(acts[h][0]) @ read.W_out, acts[o][0])
    unread = torch.randn(7, len(read.W_out)) @ read.null
    torch.testing.assert_close(read.update(acts[h][0] + unread), acts[o][0], rtol=1e-3, atol=1e-5)


def test_a_gram_matrix_is_the_same_in_parts(monkeypatch):
    W = torch.randn(50, 6)
    whole = ro.gram(W)
    monkeypatch.setattr(ro, "ROWS", 7)
    torch.testing.assert_close(ro.gram(W), whole)


def test_logits_that_are_capped_have_no_readout(tmp_path):
    gemma2 = load(str(make(tmp_path / "model", "gemma2")))
    with pytest.raises(ModelError, match="caps its logits"):
        ro.readout(gemma2, 1)
